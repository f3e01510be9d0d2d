use serde_json::{Value, json};

use super::*;
use crate::{kube_api::fake::Fake, printed::Paint};

const PACE: Pace = Pace {
    length: Duration::from_mins(1),
    every: Duration::from_secs(10),
};

fn servers() -> Servers {
    Servers {
        incumbent: Some("kube-system/metrics-server".to_owned()),
        tributary: "tributary-system/tributary".to_owned(),
    }
}

fn nodes(names: &[&str]) -> Value {
    let usage = json!({ "cpu": "100m", "memory": "1Gi" });
    names
        .iter()
        .map(|name| json!({ "metadata": { "name": name }, "usage": usage }))
        .collect()
}

fn pods(names: &[&str]) -> Value {
    let usage = json!({ "cpu": "100m", "memory": "64Mi" });
    let pod = |name: &&str| {
        json!({
            "metadata": { "namespace": "shop", "name": name },
            "containers": [{ "name": "main", "usage": usage }],
        })
    };
    names.iter().map(pod).collect()
}

/// Both serve this.
fn fake(theirs: &[&str], ours: &[&str]) -> Fake {
    Fake::default()
        .list("/apis/metrics.k8s.io/v1beta1/nodes", &nodes(theirs))
        .list("/apis/metrics.k8s.io/v1beta1/pods", &pods(&["web"]))
        .list(
            "/apis/fleet.tributary.dev/v1alpha1/nodeusages",
            &nodes(ours),
        )
        .list(
            "/apis/fleet.tributary.dev/v1alpha1/podusages",
            &pods(&["web"]),
        )
}

async fn compared(fake: &Fake, servers: Servers) -> (Comparison, Vec<String>) {
    let mut lines = Vec::new();
    let mut say = |line: &str| lines.push(line.to_owned());
    let comparison = compare(&fake.api(), servers, PACE, &mut say).await;
    (comparison, lines)
}

#[tokio::test(start_paused = true)]
async fn a_server_that_serves_everything_is_enough() {
    let fake = fake(&["a", "b"], &["a", "b"]);
    let (comparison, lines) = compared(&fake, servers()).await;
    assert_eq!(comparison.outcome, Outcome::Healthy);
    assert_eq!(lines.len(), 7);
    assert_eq!(
        lines[6],
        "round 7: Tributary serves 2 of 2 nodes, and 1 of 1 pod"
    );
    assert_eq!(
        text(&comparison, Paint::PLAIN),
        "Tributary (tributary-system/tributary) compared with kube-system/metrics-server in 7 rounds\n\
         KIND   INCUMBENT  BOTH  SHARE    ONLY TRIBUTARY  CPU DIFFERS  MEMORY DIFFERS\n\
         nodes  2          2     100.0 %  0               0 %          0 %\n\
         pods   1          1     100.0 %  0               0 %          0 %\n"
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_of_ten_is_not_enough_and_the_others_are_named_with_the_reason() {
    let all = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let scrapes = json!([
        { "metadata": { "name": "b" }, "status": { "state": "failing", "message": "x509" } },
        { "metadata": { "name": "c" }, "status": { "state": "unreported" } },
    ]);
    let fake = fake(&all, &["a"]).list("/apis/fleet.tributary.dev/v1alpha1/nodescrapes", &scrapes);
    let (comparison, _) = compared(&fake, servers()).await;
    assert_eq!(comparison.outcome, Outcome::Findings);
    let finding =
        "Tributary serves 10.0 % of the nodes of kube-system/metrics-server, and 95 % are needed";
    assert_eq!(comparison.findings, [finding]);
    let text = text(&comparison, Paint::PLAIN);
    for line in [
        "missing nodes: 9\n",
        "  b: failing: x509\n",
        "  c: unreported\n",
        "  d: Tributary does not know it: see --node-selector of its frontends\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_found_at_once() {
    let fake = fake(&["a"], &["a"]).with(
        "/apis/fleet.tributary.dev/v1alpha1/podusages",
        503,
        json!({ "message": "the server is currently unable to handle the request" }),
    );
    let (comparison, lines) = compared(&fake, servers()).await;
    assert_eq!((comparison.outcome, lines.len()), (Outcome::Findings, 1));
    let finding = "Tributary did not answer in 1 of 1 round: the server is currently unable to handle the request";
    assert_eq!(comparison.findings, [finding]);
}

#[tokio::test(start_paused = true)]
async fn without_another_server_the_nodes_of_the_cluster_count() {
    let cluster = json!([{ "metadata": { "name": "a" } }, { "metadata": { "name": "b" } }]);
    let none = Servers {
        incumbent: None,
        ..servers()
    };
    for (ours, outcome) in [
        (&["a", "b"][..], Outcome::Healthy),
        (&["a"], Outcome::Findings),
    ] {
        let fake = fake(&[], ours).list("/api/v1/nodes", &cluster);
        let (comparison, _) = compared(&fake, none.clone()).await;
        assert_eq!(comparison.outcome, outcome);
        assert_eq!(comparison.incumbent, "the Nodes of the cluster");
        assert_eq!(comparison.pods, None);
    }
    let failing = json!({ "message": "no" });
    let fake = fake(&[], &["a", "b"])
        .with("/apis/metrics.k8s.io/v1beta1/nodes", 503, failing)
        .list("/api/v1/nodes", &cluster);
    let (comparison, _) = compared(&fake, servers()).await;
    assert_eq!(comparison.outcome, Outcome::Healthy);
    assert_eq!(
        comparison.unknown,
        ["kube-system/metrics-server does not answer: no. So pods and usage were not compared"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_serves_no_node_is_no_measure() {
    let named = |name: &str| json!({ "metadata": { "name": name } });
    let why = "kube-system/metrics-server serves no node";
    for (cluster, ours, outcome, unknown) in [
        (
            json!([named("a"), named("b")]),
            &["a", "b"][..],
            Outcome::Healthy,
            format!("{why}. So pods and usage were not compared"),
        ),
        (
            json!([named("a"), named("b")]),
            &[],
            Outcome::Findings,
            format!("{why}. So pods and usage were not compared"),
        ),
        (
            json!([]),
            &[],
            Outcome::Unknown,
            format!("{why}, and the cluster has no node: there is nothing to compare with"),
        ),
    ] {
        let fake = fake(&[], ours).list("/api/v1/nodes", &cluster);
        let (comparison, _) = compared(&fake, servers()).await;
        assert_eq!(comparison.outcome, outcome, "{comparison:?}");
        assert_eq!(comparison.unknown, [unknown]);
    }
}

#[test]
fn there_is_something_to_compare_only_beside_another_server() {
    let service = |name: &str| Some(("t".to_owned(), name.to_owned()));
    let registered = |name: &str, service: Option<(String, String)>| Registration {
        name: name.to_owned(),
        service,
        ..Registration::default()
    };
    let fleet = registered("v1alpha1.fleet.tributary.dev", service("tributary"));
    let other = registered("v1beta1.metrics.k8s.io", service("metrics-server"));
    let ours = registered("v1beta1.metrics.k8s.io", service("tributary"));
    let servers = Servers::of(&[fleet.clone(), other.clone()]).unwrap();
    assert_eq!(servers.incumbent.as_deref(), Some("t/metrics-server"));
    assert_eq!(
        Servers::of(std::slice::from_ref(&fleet)).unwrap().incumbent,
        None
    );
    let already = Servers::of(&[fleet, ours]).unwrap_err();
    assert!(already.contains("already"), "{already}");
    let no_fleet = Servers::of(&[other]).unwrap_err();
    assert!(no_fleet.contains("apiService.fleet"), "{no_fleet}");
}
