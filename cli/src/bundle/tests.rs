//! Secrets here are invented.

use std::{
    collections::BTreeMap,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tar::Archive;
use tokio::time::Instant;

use super::*;
use crate::{
    kube_api::{
        KubeApi,
        fake::{Fake, Reply, answering},
    },
    printed::{Outcome, Paint},
};

const LIMITS: Limits = Limits {
    log: 1 << 10,
    all: 1 << 20,
};

const OURS: &str = "?labelSelector=app.kubernetes.io%2Fname%3Dtributary";

fn log_path(container: &str, more: &str) -> String {
    format!(
        "/api/v1/namespaces/sys/pods/tributary-a/log?container={container}&timestamps=true&tailLines=10000&limitBytes=16777216{more}"
    )
}

/// A cluster with one pod of two containers, of which one was restarted. What is not here is not found.
fn cluster() -> Fake {
    let service = json!({ "namespace": "sys", "name": "tributary" });
    let registration = json!({
        "metadata": { "name": "v1alpha1.fleet.tributary.dev" },
        "spec": { "group": "fleet.tributary.dev", "groupPriorityMinimum": 1, "versionPriority": 1, "service": service },
    });
    let pod = json!({
        "metadata": { "namespace": "sys", "name": "tributary-a" },
        "spec": { "containers": [
            { "name": "frontend", "env": [{ "name": "X", "value": "hunter2" }] },
            { "name": "scraper" },
        ] },
        "status": { "containerStatuses": [{ "name": "scraper", "restartCount": 1 }] },
    });
    let node = json!({ "metadata": { "name": "n-1", "annotations": { "cloud.example/join": "hunter2" } } });
    Fake::default()
        .list(
            "/apis/apiregistration.k8s.io/v1/apiservices",
            &json!([registration]),
        )
        .list(&format!("/api/v1/namespaces/sys/pods{OURS}"), &json!([pod]))
        .list(
            "/apis/fleet.tributary.dev/v1alpha1/nodescrapes",
            &json!([{ "metadata": { "name": "n-1" } }]),
        )
        .list("/api/v1/nodes", &json!([node]))
        .with(
            "/apis/autoscaling/v2/horizontalpodautoscalers",
            403,
            json!({ "message": "password=hunter2 forbidden" }),
        )
        .text(
            &log_path("frontend", ""),
            "2026-11-30T01:02:03Z 2026-11-30T01:02:03Z  INFO a: started token=hunter2\ntoken=hunter2\nhunter2\n",
        )
        .text(
            &log_path("scraper", ""),
            &format!("{}\n2026-11-30T01:02:03Z error: last\n", "x".repeat(2_000)),
        )
        .text(&log_path("scraper", "&previous=true"), "2026-11-30T01:02:03Z error: before\n")
}

async fn gathered(api: &KubeApi, limits: Limits) -> Contents {
    let now = "2026-11-30T01:02:03Z".parse().unwrap();
    Box::pin(gather(api, None, limits, now)).await
}

/// The files of an archive, by name.
fn unpacked(path: &Path) -> BTreeMap<String, String> {
    let mut archive = Archive::new(GzDecoder::new(std::fs::File::open(path).unwrap()));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        files.insert(name, text);
    }
    files
}

const ROOT: &str = "tributary-bundle-20261130T010203Z";

#[tokio::test]
async fn a_bundle_has_what_can_be_read_without_secrets() {
    let fake = cluster();
    let contents = gathered(&fake.api(), LIMITS).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("b.tar.gz");
    check(&path).unwrap();
    write(&contents, &path).unwrap();
    let files = unpacked(&path);

    assert!(fake.asked().iter().all(|path| !path.contains("/secrets")));
    let all: String = files.values().map(String::as_str).collect();
    assert!(!all.contains("hunter2"), "{all}");
    let file = |name: &str| files[&format!("{ROOT}/{name}")].as_str();
    assert_eq!(
        file("logs/sys/tributary-a/frontend.log"),
        "2026-11-30T01:02:03Z 2026-11-30T01:02:03Z  INFO a: started token=<removed>\n<2 lines that Tributary did not write>\n"
    );
    assert_eq!(
        file("logs/sys/tributary-a/scraper.log"),
        "2026-11-30T01:02:03Z error: last\n"
    );
    assert_eq!(
        file("logs/sys/tributary-a/scraper.previous.log"),
        "2026-11-30T01:02:03Z error: before\n"
    );
    let nodes: Value = serde_json::from_str(file("nodes.json")).unwrap();
    assert_eq!(
        nodes,
        json!({ "items": [{ "metadata": { "name": "n-1", "annotations": {} } }] })
    );
    let pods: Value = serde_json::from_str(file("pods.json")).unwrap();
    assert_eq!(
        pods["items"][0]["spec"]["containers"][0]["env"][0]["value"],
        "<removed>"
    );
    let doctor: Value = serde_json::from_str(file("doctor.json")).unwrap();
    assert_eq!(doctor["server"], "Tributary in sys");
}

#[tokio::test]
async fn an_output_gets_the_same_archive() {
    let contents = gathered(&cluster().api(), LIMITS).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("b.tar.gz");
    let of_file = write(&contents, &path).unwrap();
    let mut output = Vec::new();
    let of_output = write_to(&contents, &mut output).unwrap();
    assert_eq!(output, std::fs::read(&path).unwrap());
    assert_eq!(usize::try_from(of_file.bytes).unwrap(), output.len());
    let file = "-".to_owned();
    assert_eq!(of_output, Written { file, ..of_file });
}

#[tokio::test]
async fn a_bundle_lists_its_files_and_what_is_not_in_it() {
    let contents = gathered(&cluster().api(), LIMITS).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("b.tar.gz");
    let written = write(&contents, &path).unwrap();
    let files = unpacked(&path);
    assert_eq!(written.outcome, Outcome::Findings);
    let missing = written.missing.iter().map(|it| (&*it.what, &*it.reason));
    let missing: BTreeMap<_, _> = missing.collect();
    assert_eq!(
        missing["horizontalpodautoscalers.json"],
        "password=<removed> forbidden"
    );
    assert_eq!(
        missing["leases.json"],
        "/apis/coordination.k8s.io/v1/namespaces/sys/leases not found"
    );
    let index = &files[&format!("{ROOT}/index.txt")];
    for file in &written.files {
        assert_eq!(files[&format!("{ROOT}/{}", file.name)].len(), file.bytes);
        assert!(index.contains(&file.name), "{index}");
    }
    assert!(
        index.starts_with("Bundle of kubectl tributary 0.1.0, made at 2026-11-30T01:02:03Z\n"),
        "{index}"
    );
    assert!(index.contains("log of scraper, its last lines"), "{index}");
    assert!(
        index.contains("  horizontalpodautoscalers.json: password=<removed> forbidden\n"),
        "{index}"
    );
    let shown = text(&written, Paint::PLAIN);
    assert!(
        shown.contains("logs/sys/tributary-a/frontend.log"),
        "{shown}"
    );
    assert!(shown.contains("b.tar.gz: "), "{shown}");
}

#[tokio::test]
async fn a_bundle_is_for_its_owner_and_replaces_nothing() {
    let contents = gathered(&cluster().api(), LIMITS).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("b.tar.gz");
    write(&contents, &path).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = std::fs::read(&path).unwrap();
    let refused = check(&path).unwrap_err().to_string();
    assert!(
        refused.ends_with("exists already, and is not overwritten"),
        "{refused}"
    );
    write(&contents, &path).unwrap_err();
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let nowhere = directory.path().join("nowhere/b.tar.gz");
    let refused = format!("{:#}", write(&contents, &nowhere).unwrap_err());
    assert!(refused.starts_with("failed to create "), "{refused}");
}

#[tokio::test]
async fn a_bundle_has_a_limit_and_says_what_does_not_fit() {
    let nodes: Vec<Value> = (0..100)
        .map(|n| json!({ "metadata": { "name": format!("node-{n:03}") } }))
        .collect();
    let fake = cluster().list("/api/v1/nodes", &json!(nodes));
    let whole = gathered(&fake.api(), LIMITS).await;
    let bytes: usize = whole.files().iter().map(|file| file.bytes).sum();
    // Room for some of the nodes, and for none of the logs.
    let limits = Limits {
        all: bytes - 2_000,
        ..LIMITS
    };
    let cut = gathered(&fake.api(), limits).await;
    let bytes: usize = cut.files().iter().map(|file| file.bytes).sum();
    assert!(bytes <= limits.all, "{bytes} of {}", limits.all);
    let reason = |what: &str| {
        let missing = cut.missing().iter().find(|it| it.what == what);
        missing.map(|it| it.reason.as_str())
    };
    assert_eq!(
        reason("nodes.json"),
        Some("only the first 46 objects fit: --max-size")
    );
    let log = "logs/sys/tributary-a/frontend.log";
    assert_eq!(reason(log), Some("114 bytes do not fit: --max-size"));
    let nodes = cut
        .files()
        .iter()
        .find(|file| file.name == "nodes.json")
        .unwrap();
    let nodes: Value = serde_json::from_str(&nodes.text).unwrap();
    assert_eq!(nodes["items"].as_array().unwrap().len(), 46);
}

/// How long a bundle takes where a server answers like this.
async fn takes(
    answer: impl Fn(&str) -> Option<Reply> + Clone + Send + Sync + 'static,
) -> (Duration, Contents) {
    let api = answering(move |_, path, _| answer(path));
    let start = Instant::now();
    let contents = gathered(&api, LIMITS).await;
    (start.elapsed(), contents)
}

fn reply(status: u16, body: Value, takes: Duration) -> Reply {
    Reply {
        status,
        from_tributary: false,
        body,
        takes,
    }
}

#[tokio::test(start_paused = true)]
async fn a_bundle_ends_where_every_list_has_one_more_page() {
    let asked = Arc::new(AtomicUsize::new(0));
    let (took, contents) = takes(move |_| {
        let token = asked.fetch_add(1, Ordering::Relaxed).to_string();
        let body = json!({ "metadata": { "continue": token }, "items": [] });
        Some(reply(200, body, Duration::from_secs(14)))
    })
    .await;
    assert!(took <= Duration::from_secs(601), "{took:?}");
    let facts = contents.missing().first().unwrap();
    assert_eq!(
        (&*facts.what, &*facts.reason),
        (
            "versions.json",
            "what `doctor` looks at was not read in 240s"
        )
    );
    let reasons = contents.missing().iter().map(|it| it.reason.as_str());
    let late = reasons.filter(|reason| *reason == "everything together was not read in 600s");
    assert!(late.count() > 10, "{:?}", contents.missing());
}

#[tokio::test(start_paused = true)]
async fn a_bundle_ends_where_many_logs_are_silent() {
    let (took, contents) = takes(|path| {
        if path.contains("/log?") {
            return None;
        }
        if !path.starts_with("/api/v1/pods") {
            return Some(reply(404, json!({}), Duration::ZERO));
        }
        let containers: Vec<Value> = (0..1_000).map(|_| json!({ "name": "frontend" })).collect();
        let pod = json!({
            "metadata": { "namespace": "sys", "name": "tributary-a" },
            "spec": { "containers": containers },
        });
        Some(reply(200, json!({ "items": [pod] }), Duration::ZERO))
    })
    .await;
    assert!(took < Duration::from_mins(11), "{took:?}");
    let last = contents.missing().last().unwrap();
    assert_eq!(last.what, "logs that are not listed");
}

#[tokio::test]
async fn where_nothing_answers_there_is_a_bundle_that_says_so() {
    let contents = gathered(&Fake::default().api(), LIMITS).await;
    let names: Vec<&str> = contents.files().iter().map(|file| &*file.name).collect();
    assert_eq!(names, ["versions.json", "doctor.json"]);
    assert_eq!(contents.missing().len(), 17);
    let directory = tempfile::tempdir().unwrap();
    let written = write(&contents, &directory.path().join("b.tar.gz")).unwrap();
    // Nothing can be said of the cluster.
    assert_eq!(written.outcome, Outcome::Unknown);
    let one = Fake::default().list("/api/v1/nodes", &json!([]));
    let contents = gathered(&one.api(), LIMITS).await;
    let written = write(&contents, &directory.path().join("c.tar.gz")).unwrap();
    assert_eq!(written.outcome, Outcome::Findings);
}

/// The workloads of Tributary, of which there is none.
fn without_workloads() -> Fake {
    let workloads = ["deployments", "statefulsets", "daemonsets"];
    let workloads = workloads.map(|kind| format!("/apis/apps/v1/namespaces/sys/{kind}{OURS}"));
    let pods = format!("/api/v1/namespaces/sys/pods{OURS}");
    let lists = workloads.into_iter().chain([pods]);
    lists.fold(cluster(), |fake, path| fake.list(&path, &json!([])))
}

#[tokio::test]
async fn a_bundle_without_workloads_of_tributary_is_not_whole() {
    let reason = |contents: &Contents, what: &str| {
        let missing = contents.missing().iter().find(|it| it.what == what);
        missing.map(|it| it.reason.clone())
    };
    let workloads = "workloads of Tributary";
    let contents = gathered(&without_workloads().api(), LIMITS).await;
    let expected = "no Deployment, StatefulSet, DaemonSet or pod in the namespace sys has the label \
                    app.kubernetes.io/name=tributary";
    assert_eq!(reason(&contents, workloads).as_deref(), Some(expected));
    // One of the lists cannot be read: that is what is said.
    let pods = format!("/api/v1/namespaces/sys/pods{OURS}");
    let refused = json!({ "message": "pods is forbidden" });
    let fake = without_workloads().with(&pods, 403, refused);
    let contents = gathered(&fake.api(), LIMITS).await;
    assert_eq!(reason(&contents, workloads), None);
    let contents = gathered(&cluster().api(), LIMITS).await;
    assert_eq!(reason(&contents, workloads), None);
}

#[tokio::test]
async fn a_bundle_says_that_its_namespace_is_not_there() {
    let missing = json!({ "message": "namespaces \"shop\" not found" });
    let api = cluster()
        .list(
            "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers",
            &json!([]),
        )
        .with("/api/v1/namespaces/shop", 404, missing)
        .api();
    let now = "2026-11-30T01:02:03Z".parse().unwrap();
    let contents = Box::pin(gather(&api, Some("shop"), LIMITS, now)).await;
    let mut missing = contents.missing().iter();
    let missing = missing.find(|it| it.what == "the namespace shop").unwrap();
    assert_eq!(missing.reason, "namespaces \"shop\" not found");
}

#[tokio::test]
async fn a_bundle_does_not_name_the_kubeconfig_of_its_sender() {
    let node = json!({ "metadata": { "name": "n-1" }, "status": {
        "state": "failing", "remedy": "KubeletAnswer",
    } });
    let nodes = "/apis/fleet.tributary.dev/v1alpha1/nodescrapes";
    let mut api = cluster().list(nodes, &json!([node])).api();
    api.commands = crate::commands::tests::named();
    let contents = gathered(&api, LIMITS).await;
    let doctor = contents.files().iter().find(|it| it.name == "doctor.json");
    let doctor = &doctor.unwrap().text;
    assert!(doctor.contains("kubectl "), "{doctor}");
    assert!(!doctor.contains("--kubeconfig"), "{doctor}");
}

/// Forms in which people leave a secret, each over one line or several.
const FORMS: [&str; 19] = [
    "passwords:\n  alice: hunter2",
    "HTTP_PROXY=user:hunter2@host",
    "https:\\/\\/user:hunter2@host",
    "https%3A%2F%2Fuser%3Ahunter2%40host",
    "curl -su user:hunter2 host",
    "tool --auth hunter2",
    "--password\nhunter2",
    "<password kind=\"a\"><![CDATA[hunter2]]></password>",
    "password = \"\"\"\nhunter2\n\"\"\"",
    "cat <<EOF\nhunter2\nEOF",
    "password='a''hunter2'",
    "map[password:[hunter2 b]]",
    "(string) (len=7) \"hunter2\"",
    "PIN is hunter2",
    "GET / HTTP/1.1\nX-Anything: hunter2",
    "+ set -x hunter2",
    "2026-11-30 01:02:03 INFO hunter2",
    "INFO hunter2",
    "{\"level\":\"INFO\",\"fields\":{\"a\":\"hunter2\"}}",
];

#[tokio::test]
async fn what_others_leave_in_logs_and_pods_is_in_no_file_in_whatever_form() {
    for form in FORMS {
        let lines: Vec<&str> = form.split('\n').collect();
        let pod = json!({
            "metadata": {
                "namespace": "sys", "name": "tributary-a",
                "annotations": { "example.org/x": form },
            },
            "spec": { "containers": [{
                "name": "frontend",
                "command": lines, "args": lines, "workingDir": form,
                "env": [{ "name": "HTTPS_PROXY", "value": form.replace("hunter2", "a:hunter2@b") }],
                "lifecycle": { "postStart": { "exec": { "command": lines } } },
                "readinessProbe": { "exec": { "command": lines } },
            }] },
        });
        let stamped = |line: &&str| format!("2026-11-30T01:02:03Z {line}\n");
        let log = lines.iter().map(stamped).collect::<Vec<_>>().concat();
        let fake = cluster()
            .list(&format!("/api/v1/namespaces/sys/pods{OURS}"), &json!([pod]))
            .text(&log_path("frontend", ""), &log);
        let contents = gathered(&fake.api(), LIMITS).await;
        let log = contents
            .files()
            .iter()
            .find(|file| file.name.ends_with("frontend.log"));
        assert!(log.unwrap().text.contains("that Tributary did not write"));
        for file in contents.files() {
            assert!(
                !file.text.contains("hunter2"),
                "{form:?} in {}: {}",
                file.name,
                file.text
            );
        }
    }
}
