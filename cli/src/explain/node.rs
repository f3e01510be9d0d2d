//! A node: whether it has metrics, who scrapes it, and why not.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;

use super::{
    Explained,
    reading::{METRICS, Reading},
};
use crate::{
    catalogue::Code,
    fleet::{FLEET, NodeScrape, NodeStatus},
    kube_api::{Failure, KubeApi},
    printed::{Outcome, between, span},
};

/// Explains a node.
pub async fn node(api: &KubeApi, name: &str, now: Timestamp) -> Explained {
    let paths = [
        format!("/api/v1/nodes/{name}"),
        format!("{FLEET}/nodescrapes/{name}"),
        format!("{METRICS}/nodes/{name}"),
    ];
    let [of_cluster, of_fleet, of_metrics] = &paths;
    let (object, scrape, reading) = futures::join!(
        api.get::<Node>(of_cluster),
        api.get::<NodeScrape>(of_fleet),
        api.get::<Reading>(of_metrics),
    );
    let (state, outcome) = match (&scrape, &reading) {
        (_, Ok(_)) => ("has metrics".to_owned(), Outcome::Healthy),
        (Ok(scrape), _) => (scrape.status.state.clone(), Outcome::Findings),
        (_, Err(Failure::NotFound(_))) => ("has no metrics".to_owned(), Outcome::Findings),
        (_, Err(_)) => ("cannot be read".to_owned(), Outcome::Unknown),
    };
    let mut explained = Explained::new(format!("node {name}: {state}"), outcome);
    explained.line("Kubernetes", of_node(&object));
    if let Ok(scrape) = &scrape {
        of_status(&scrape.status, now, &mut explained);
    }
    match &reading {
        Ok(reading) => reading.explain(now, &mut explained),
        Err(failure) => explained.line("answer", failure.to_string()),
    }
    if let Err(failure) = &scrape {
        explained.line("fleet", failure.to_string());
    }
    explained
}

/// What Kubernetes says of the Node.
fn of_node(object: &Result<Node, Failure>) -> String {
    let node = match object {
        Ok(node) => node,
        Err(failure) => return failure.to_string(),
    };
    let status = node.status.clone().unwrap_or_default();
    let ready = status.conditions.into_iter().flatten();
    let mut ready = ready.filter(|condition| condition.type_ == "Ready");
    let ready = match ready.next() {
        Some(condition) if condition.status == "True" => "Ready".to_owned(),
        Some(condition) => format!("not Ready: {}", condition.message.unwrap_or_default()),
        None => "no condition Ready".to_owned(),
    };
    let version = status.node_info.map(|info| info.kubelet_version);
    let version = version.filter(|version| !version.is_empty());
    match version {
        Some(version) => format!("{ready}, kubelet {version}"),
        None => ready,
    }
}

/// What the fleet says of it.
pub(super) fn of_status(status: &NodeStatus, now: Timestamp, explained: &mut Explained) {
    if !status.has_metrics() {
        let reason = [&*status.reason, &status.message].join(": ");
        explained.line("why", reason.trim_matches([':', ' ']));
        if let Some(code) = Code::find(&status.remedy) {
            let code = code.trouble().code;
            let remedy = format!(
                "{}: kubectl tributary explain trouble {code}",
                status.remedy
            );
            explained.line("what to do", remedy);
        }
    }
    let roles = &status.scrapers;
    for (role, names) in [
        ("owner", &roles.owners),
        ("standby", &roles.standby),
        ("former owner", &roles.leaving),
        ("rescuer", &roles.rescuers),
    ] {
        if !names.is_empty() {
            explained.line("scrapers", format!("{role} {}", names.join(", ")));
        }
    }
    if !status.resolution.is_empty() {
        explained.line("resolution", &status.resolution);
    }
    if let Some(sample) = &status.sample {
        let ago = span(between(sample.scraped_at, now));
        let behind = sample
            .measured_at
            .map(|at| span(between(at, sample.scraped_at)));
        let behind = behind.map(|behind| format!(", and measured {behind} before that"));
        explained.line("scrape", format!("{ago} ago{}", behind.unwrap_or_default()));
    }
    if let Some(failure) = &status.last_failure {
        let ago = span(between(failure.time, now));
        let text = format!(
            "{ago} ago by {}: {}: {}",
            failure.scraper, failure.reason, failure.message
        );
        explained.line("failure", text);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{kube_api::fake::Fake, printed::Paint};

    fn now() -> Timestamp {
        "2026-11-29T17:00:00Z".parse().unwrap()
    }

    #[tokio::test]
    async fn a_node_with_metrics_has_a_pair_a_window_and_scrapers() {
        let scrape = json!({ "metadata": { "name": "n-0" }, "status": {
            "state": "served", "resolution": "15s",
            "scrapers": { "owners": ["s-0"], "standby": ["s-1"] },
            "sample": { "scrapedAt": "2026-11-29T16:59:58Z", "measuredAt": "2026-11-29T16:59:50Z" },
        } });
        let reading = json!({
            "timestamp": "2026-11-29T16:59:50Z", "window": "15s",
            "usage": { "cpu": "600000000n", "memory": "1179648Ki" },
        });
        let ready = json!({ "metadata": { "name": "n-0" }, "status": {
            "conditions": [{ "type": "Ready", "status": "True" }],
        } });
        let api = Fake::default()
            .with("/api/v1/nodes/n-0", 200, ready)
            .with(&format!("{FLEET}/nodescrapes/n-0"), 200, scrape)
            .with(&format!("{METRICS}/nodes/n-0"), 200, reading)
            .api();
        let explained = node(&api, "n-0", now()).await;
        assert_eq!(explained.outcome, Outcome::Healthy);
        let expected = "\
node n-0: has metrics
  Kubernetes  Ready
  scrapers    owner s-0
              standby s-1
  resolution  15s
  scrape      2s ago, and measured 8s before that
  usage       cpu 600m, memory 1152Mi
  samples     measured at 2026-11-29T16:59:35Z and 2026-11-29T16:59:50Z, 15s apart; CPU usage is the mean between them
              the newer one is 10s old
";
        assert_eq!(explained.text(Paint::PLAIN), expected);
    }

    #[tokio::test]
    async fn a_node_without_metrics_says_why_and_what_to_do() {
        let scrape = json!({ "metadata": { "name": "n-0" }, "status": {
            "state": "failing", "reason": "tls", "message": "x509", "remedy": "KubeletCertificate",
            "lastFailure": { "time": "2026-11-29T16:59:50Z", "reason": "tls", "message": "x509", "scraper": "s-0" },
        } });
        let api = Fake::default()
            .with(&format!("{FLEET}/nodescrapes/n-0"), 200, scrape)
            .api();
        let explained = node(&api, "n-0", now()).await;
        assert_eq!(explained.outcome, Outcome::Findings);
        assert_eq!(explained.title, "node n-0: failing");
        assert_eq!(explained.lines("why"), ["tls: x509"]);
        let remedy = "KubeletCertificate: kubectl tributary explain trouble TRB042";
        assert_eq!(explained.lines("what to do"), [remedy]);
        assert_eq!(explained.lines("failure"), ["10s ago by s-0: tls: x509"]);
    }
}
