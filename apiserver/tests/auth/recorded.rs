//! The probes of metrics-server v0.9.0, as recorded, and ours: the same except
//! the parts that are checked.

use std::collections::BTreeSet;

use http::HeaderMap;
use tributary_sim::Cluster;
use tributary_testkit::patience::eventually;

use super::{
    caller::{Answer, Caller},
    stage::Stage,
};

const RECORDED: &str = include_str!("../api/golden/discovery-health.txt");

/// What metrics-server checks, what we check for it, why.
const DIFFERENCES: [(&str, &str, &str); 10] = [
    ("log", "", "logging has no state that can fail"),
    (
        "poststarthook/max-in-flight-filter",
        "",
        "there are no hooks after the start",
    ),
    (
        "poststarthook/storage-object-count-tracker-hook",
        "",
        "there is no storage",
    ),
    (
        "metric-collection-timely",
        "",
        "nothing is collected in cycles; what is late is in metric-coverage",
    ),
    (
        "metric-storage-ready",
        "metric-coverage",
        "ready by the share of nodes that are served",
    ),
    (
        "metric-informer-sync",
        "node-informer-sync",
        "named by what is listed",
    ),
    (
        "metadata-informer-sync",
        "pod-informer-sync",
        "named by what is listed, and no cause for a restart",
    ),
    (
        "",
        "authentication-configuration",
        "a frontend that knows nobody is not ready",
    ),
    (
        "",
        "watch-activity",
        "a frontend that hears nothing new is not ready",
    ),
    (
        "",
        "kube-credentials",
        "a frontend that the Kubernetes API does not take is not ready",
    ),
];

/// What was recorded for a path: the body, after the status and headers are found to
/// be those of `answer`.
fn like_recorded(path: &str, (headers, answer): &(HeaderMap, Answer)) -> &'static str {
    let (_, rest) = RECORDED.split_once(&format!("### GET {path}\n")).unwrap();
    let section = rest.split("\n### ").next().unwrap();
    let (head, body) = section.split_once("\n\n").unwrap();
    let status = format!("HTTP/2 {} ", answer.status);
    assert!(head.starts_with(&status), "{path}: {answer:?}");
    let recorded = head.lines().filter_map(|line| line.split_once(": "));
    for (name, value) in recorded.filter(|(name, _)| *name != "content-length") {
        assert_eq!(headers[name], value, "{path}: {name}");
    }
    body.trim_end()
}

/// The checks of a verbose answer, all of which passed, and what it ends with.
fn checks(body: &str) -> (Vec<&str>, &str) {
    let lines: Vec<&str> = body.trim_end().lines().collect();
    let (end, checks) = lines.split_last().unwrap();
    let names = checks.iter().map(|line| {
        let name = line.strip_prefix("[+]");
        name.and_then(|name| name.strip_suffix(" ok")).expect(body)
    });
    (names.collect(), end)
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_answer_as_recorded_except_the_parts_that_are_checked() {
    // Of no nodes all are served.
    let cluster = Cluster::builder().nodes(0).start().await.unwrap();
    let stage = Stage::beside(cluster, &[]).await;
    let root = Caller::stranger().bearer(&stage.root());
    eventually(|| async {
        let answer = root.get(stage.api, "/readyz").await;
        if answer.status == 200 {
            return Ok(());
        }
        Err(answer)
    })
    .await;
    let mut line = root.connect(stage.api).await.unwrap();
    let mut met = BTreeSet::new();
    for path in ["/livez?verbose", "/readyz?verbose", "/healthz?verbose"] {
        let answer = line.whole(path).await.unwrap();
        let theirs = checks(like_recorded(path, &answer));
        let ours = checks(&answer.1.body);
        assert_eq!(ours.1, theirs.1, "{path}");
        for check in theirs.0.iter().filter(|check| !ours.0.contains(check)) {
            let listed = DIFFERENCES.iter().find(|(from, ..)| from == check);
            met.insert(*listed.unwrap_or_else(|| panic!("{path} lacks {check}")));
        }
        for check in ours.0.iter().filter(|check| !theirs.0.contains(check)) {
            let listed = DIFFERENCES.iter().find(|(_, to, _)| to == check);
            met.insert(*listed.unwrap_or_else(|| panic!("{path} has {check}")));
        }
    }
    assert_eq!(met, BTreeSet::from(DIFFERENCES));
    let answer = line.whole("/readyz/metric-coverage").await.unwrap();
    let theirs = like_recorded("/readyz/metric-storage-ready", &answer);
    assert_eq!(answer.1.body, theirs);
    stage.stop().await;
}
