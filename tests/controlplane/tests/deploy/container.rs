//! A container: a process in the unpacked image.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    net::IpAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::timeout,
};
use tracing::warn;

/// The image, unpacked by `tests/deploy/run`.
pub(crate) const IMAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/deploy/image");

/// What `tests/deploy/upgrade` has made of an older commit.
pub(crate) const OLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/older");

/// Where an image is unpacked: this commit's, or the older one's.
fn unpacked(image: Option<&str>) -> String {
    if image.is_some_and(|image| image.ends_with(":older")) {
        format!("{OLDER}/deploy/image")
    } else {
        IMAGE.to_owned()
    }
}

/// Makes a read-only root of the image, mounts the volumes, changes into it and becomes the command.
/// Arguments: the pod's directory, the container's root, the image, user, group, mounts as FROM TO pairs, `--`, the command.
const ENTER: &str = r#"
set -eu
points=$1 root=$2 image=$3 user=$4 group=$5
shift 5
mount -t overlay overlay -o "lowerdir=$points:$image" "$root"
while [ "$1" != -- ]; do
  mount --bind "$1" "$root$2"
  shift 2
done
shift
mount --bind /proc "$root/proc"
exec setpriv --pdeathsig KILL --no-new-privs --bounding-set=-all,+setuid,+setgid,+sys_chroot \
  chroot --userspec="$user:$group" --groups= "$root" "$@"
"#;

/// What all containers of a pod share.
pub(crate) struct World {
    pub(crate) dir: PathBuf,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) ip: IpAddr,
    pub(crate) folders: BTreeMap<String, PathBuf>,
    pub(crate) api_port: u16,
    pub(crate) logs: PathBuf,
}

/// One container, kept running.
pub(crate) struct Process {
    pod: String,
    spec: Container,
    world: Arc<World>,
    child: Child,
    restarts: u32,
}

impl Process {
    pub(crate) fn start(pod: &Pod, spec: &Container, world: &Arc<World>) -> anyhow::Result<Self> {
        let name = pod.name_any();
        let child = spawn(&name, spec, world)?;
        Ok(Self {
            pod: name,
            spec: spec.clone(),
            world: Arc::clone(world),
            child,
            restarts: 0,
        })
    }

    pub(crate) fn spec(&self) -> &Container {
        &self.spec
    }

    pub(crate) fn restarts(&self) -> u32 {
        self.restarts
    }

    /// Starts it again if it has ended.
    pub(crate) fn keep_running(&mut self) {
        let Ok(Some(status)) = self.child.try_wait() else {
            return;
        };
        warn!(
            "container {} of {} ended with {status}",
            self.spec.name, self.pod
        );
        match spawn(&self.pod, &self.spec, &self.world) {
            Ok(child) => (self.child, self.restarts) = (child, self.restarts + 1),
            Err(error) => warn!("{error:#}"),
        }
    }

    /// As a kubelet does: SIGTERM, and SIGKILL after the grace period.
    pub(crate) async fn stop(mut self, grace: Duration) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = id.and_then(Pid::from_raw) {
            // It may have ended just now.
            kill_process(pid, Signal::TERM).unwrap_or_default();
        }
        if timeout(grace, self.child.wait()).await.is_err() {
            warn!(
                "container {} of {} outlived its grace",
                self.spec.name, self.pod
            );
            drop(self.child.kill().await);
        }
    }
}

fn spawn(pod: &str, spec: &Container, world: &World) -> anyhow::Result<Child> {
    let dir = world.dir.join(&spec.name);
    let (points, root) = (dir.join("points"), dir.join("root"));
    fs::create_dir_all(&root)?;
    fs::create_dir_all(points.join("proc"))?;
    let mut mounts = Vec::new();
    for mount in spec.volume_mounts.iter().flatten() {
        let at = mount.mount_path.trim_start_matches('/');
        fs::create_dir_all(points.join(at))?;
        let from = world
            .folders
            .get(&mount.name)
            .context("a volume by that name")?;
        mounts.extend([text(from), format!("/{at}")]);
    }
    let log = world.logs.join(format!("{pod}-{}.log", spec.name));
    let log = OpenOptions::new().create(true).append(true).open(&log)?;
    let env = environment(pod, spec, world);
    let security = spec.security_context.as_ref();
    let user = security
        .and_then(|context| context.run_as_user)
        .unwrap_or(0);
    let group = security
        .and_then(|context| context.run_as_group)
        .unwrap_or(user);
    anyhow::ensure!(user != 0, "container {} would run as root", spec.name);
    let image = unpacked(spec.image.as_deref());
    let command = spec.command.iter().chain(&spec.args).flatten();
    let command = command.map(|word| expand(word, &env));
    Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            ENTER,
            "sh",
        ])
        .args([text(&points), text(&root), image])
        .args([user.to_string(), group.to_string()])
        .args(&mounts)
        .arg("--")
        .args(command)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .envs(env.clone())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("start container {} of {pod}", spec.name))
}

fn environment(pod: &str, spec: &Container, world: &World) -> BTreeMap<String, String> {
    let mut env = BTreeMap::from([
        ("HOSTNAME".to_owned(), pod.to_owned()),
        ("KUBERNETES_SERVICE_HOST".to_owned(), "127.0.0.1".to_owned()),
        (
            "KUBERNETES_SERVICE_PORT".to_owned(),
            world.api_port.to_string(),
        ),
    ]);
    for variable in spec.env.iter().flatten() {
        let source = variable.value_from.as_ref();
        let field = source.and_then(|source| source.field_ref.as_ref());
        let value = match field.map(|field| field.field_path.as_str()) {
            Some("metadata.name") => pod.to_owned(),
            Some("metadata.namespace") => world.namespace.clone(),
            Some("metadata.uid") => world.uid.clone(),
            Some("status.podIP") => world.ip.to_string(),
            _ => variable.value.clone().unwrap_or_default(),
        };
        env.insert(variable.name.clone(), value);
    }
    env
}

/// `$(NAME)` in commands and arguments.
fn expand(word: &str, env: &BTreeMap<String, String>) -> String {
    env.iter().fold(word.to_owned(), |word, (name, value)| {
        word.replace(&format!("$({name})"), value)
    })
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
