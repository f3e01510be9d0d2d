//! The cgroup of a node, in every hierarchy.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
};

use anyhow::Context as _;

use crate::patience::eventually;

const MOUNTED: &str = "/sys/fs/cgroup";

/// All of ours begin so; the number of the process that made it follows.
const PREFIX: &str = "tributary-node-";

/// Controllers without which no kubelet starts.
const NEEDED: [&str; 3] = ["cpu", "cpuset", "memory"];

/// What a kubelet divides among its pods, below `pods`, and where its own processes are, below `node`.
#[derive(Debug)]
pub(super) struct Cgroup {
    /// Seen from the root of each hierarchy.
    name: String,
    hierarchies: Vec<PathBuf>,
}

impl Cgroup {
    /// Makes it, after those of tests that were killed are removed.
    pub(super) fn create(node: &str) -> anyhow::Result<Self> {
        let hierarchies = hierarchies()?;
        for hierarchy in &hierarchies {
            remove_stale(hierarchy)?;
        }
        let name = format!("/{PREFIX}{}-{node}", process::id());
        let cgroup = Self { name, hierarchies };
        for hierarchy in &cgroup.hierarchies {
            for part in ["", "/pods", "/node"] {
                let path = cgroup.at(hierarchy, part);
                create(&path).with_context(|| {
                    format!("make cgroup {}: is this root, and may it?", path.display())
                })?;
            }
        }
        Ok(cgroup)
    }

    /// Its path in each hierarchy.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Waits until its processes have ended, and removes it.
    pub(super) async fn remove(&self) -> anyhow::Result<()> {
        eventually("the node's processes are gone", async || {
            let mut all = self.hierarchies.iter();
            all.try_for_each(|hierarchy| remove(&self.at(hierarchy, "")))
        })
        .await
    }

    fn at(&self, hierarchy: &Path, part: &str) -> PathBuf {
        let mut path = hierarchy.as_os_str().to_owned();
        path.push(&self.name);
        path.push(part);
        path.into()
    }
}

/// Whether a line of a process's cgroups, as the kernel shows them, is within a node of this process.
pub(super) fn is_ours(cgroups: &str) -> bool {
    cgroups.contains(&format!("/{PREFIX}{}-", process::id()))
}

/// One in version 2, one for each controller in version 1.
fn hierarchies() -> anyhow::Result<Vec<PathBuf>> {
    let mounted = Path::new(MOUNTED);
    if mounted.join("cgroup.controllers").is_file() {
        return Ok(vec![mounted.to_owned()]);
    }
    let entries = fs::read_dir(mounted).with_context(|| format!("read {MOUNTED}"))?;
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        // A link is another name for one of the others; version 2 beside version 1 has no controllers.
        .filter(|path| path.join("cgroup.procs").is_file() && !path.is_symlink())
        .filter(|path| !path.join("cgroup.controllers").is_file())
        .collect();
    found.sort();
    for controller in NEEDED {
        let there = mounted.join(controller).join("cgroup.procs").is_file();
        anyhow::ensure!(
            there,
            "a real node needs the cgroup controller {controller}, mounted in {MOUNTED}"
        );
    }
    Ok(found)
}

fn create(path: &Path) -> io::Result<()> {
    fs::create_dir(path)?;
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    // In version 1 a new set has no CPU and no memory.
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if parent.join("cgroup.clone_children").is_file() && parent.join(file).is_file() {
            fs::write(path.join(file), fs::read(parent.join(file))?)?;
        }
    }
    // In version 2 a parent says which controllers its children have.
    if let Ok(controllers) = fs::read_to_string(parent.join("cgroup.controllers")) {
        for controller in controllers.split_whitespace() {
            let children = parent.join("cgroup.subtree_control");
            fs::write(children, format!("+{controller}"))?;
        }
    }
    Ok(())
}

/// Removes what a process left that is no more.
fn remove_stale(hierarchy: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(hierarchy)?.flatten() {
        let name = entry.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let maker = rest.and_then(|rest| rest.split('-').next());
        if maker.is_some_and(|pid| !Path::new("/proc").join(pid).is_dir()) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// A cgroup and those below it; refused while one has a process. Two tests may do it at once.
fn remove(path: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        // What is no directory belongs to the kernel.
        if entry.path().is_dir() {
            remove(&entry.path())?;
        }
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.with_context(|| format!("remove cgroup {}", path.display())),
    }
}
