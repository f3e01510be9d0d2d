//! A node: whether it has metrics, who scrapes it, and why not.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;

use super::{
    Explained, Why,
    reading::Answer,
    unfed::{self, Expires, GROUP},
};
use crate::{
    catalogue::Code,
    fleet::{FLEET, NodeScrape, NodeStatus},
    kube_api::{Failure, KubeApi, path},
    printed::{Outcome, between, span},
};

/// Explains a node.
pub async fn node(api: &KubeApi, name: &str, now: Timestamp) -> Explained {
    let paths = [
        path("/api/v1/nodes", &[name]),
        path(FLEET, &["nodescrapes", name]),
    ];
    let [of_cluster, of_fleet] = &paths;
    let names = ["nodes", name];
    let (object, scrape, answer, scrapers) = futures::join!(
        api.get::<Node>(of_cluster),
        api.get::<NodeScrape>(of_fleet),
        Answer::read(api, &names),
        unfed::scrapers(api),
    );
    let (state, outcome) = match (&scrape, &answer.reading) {
        (_, Ok(_)) => ("has metrics".to_owned(), Outcome::Healthy),
        (Ok(scrape), _) => (scrape.status.state.clone(), Outcome::Findings),
        (_, Err(Failure::NotFound(_))) => ("has no metrics".to_owned(), Outcome::Findings),
        (_, Err(_)) => ("cannot be read".to_owned(), Outcome::Unknown),
    };
    let mut explained = Explained::new(format!("node {name}: {state}"), outcome);
    explained.detail("kind", "Node");
    explained.detail("name", name);
    explained.detail("state", &state);
    match &object {
        Ok(node) => of_node(node, &mut explained),
        Err(failure) => explained.unread("Kubernetes", failure),
    }
    if let Some(expires) = Expires::of(scrapers.as_deref(), scrape.as_ref().ok()) {
        expires.explain(api, &mut explained);
    }
    if let Ok(scrape) = &scrape {
        of_status(&scrape.status, api, now, &mut explained);
    }
    answer.explain(&mut explained);
    match &answer.reading {
        Ok(reading) => reading.explain(now, &mut explained),
        Err(Failure::NotFound(message)) => {
            if !unfed::is_unregistered(api, answer.root, &mut explained).await {
                explained.line("answer", message);
                explained.item("why", Why::of_metrics(message));
            }
        }
        Err(failure) => explained.unread("answer", failure),
    }
    if let Err(failure) = scrape {
        let failure = unfed::of_fleet(api, failure).await;
        explained.unread("fleet", &failure);
    }
    explained
}

/// What Kubernetes says of the Node.
fn of_node(node: &Node, explained: &mut Explained) {
    let status = node.status.clone().unwrap_or_default();
    let ready = status.conditions.into_iter().flatten();
    let mut ready = ready.filter(|condition| condition.type_ == "Ready");
    let ready = ready.next();
    let version = status.node_info.map(|info| info.kubelet_version);
    let version = version.filter(|version| !version.is_empty());
    explained.detail(
        "ready",
        ready.as_ref().map(|condition| condition.status == "True"),
    );
    explained.detail("kubelet", &version);
    let ready = match ready {
        Some(condition) if condition.status == "True" => "Ready".to_owned(),
        Some(condition) => format!("not Ready: {}", condition.message.unwrap_or_default()),
        None => "no condition Ready".to_owned(),
    };
    let kubelet = version.map(|version| format!(", kubelet {version}"));
    explained.line("Kubernetes", ready + &kubelet.unwrap_or_default());
}

/// What the fleet says of it.
pub(super) fn of_status(
    status: &NodeStatus,
    api: &KubeApi,
    now: Timestamp,
    explained: &mut Explained,
) {
    explained.detail("scrape", status);
    if !status.has_metrics() {
        let trouble = Code::find(&status.remedy);
        explained.why(&Why {
            from: GROUP,
            reason: &status.reason,
            message: &status.message,
            trouble: trouble.map(|code| code.trouble().code),
        });
        if let Some(code) = trouble {
            explained.remedy(code, api);
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
    use crate::{kube_api::fake::Fake, metrics_api::V1BETA1 as METRICS, printed::Paint};

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
  answer      metrics.k8s.io/v1beta1
  usage       cpu 600m, memory 1152Mi
  samples     measured at 2026-11-29T16:59:35Z and 2026-11-29T16:59:50Z, 15s apart; CPU usage is the mean between them
              the newer one is 10s old
";
        assert_eq!(explained.text(Paint::PLAIN), expected);
        let document = explained.document();
        assert_eq!(document["kind"], "Node");
        assert_eq!(document["name"], "n-0");
        assert_eq!(document["outcome"], "healthy");
        assert_eq!(document["ready"], true);
        assert_eq!(document["scrape"]["scrapers"]["owners"], json!(["s-0"]));
        assert_eq!(
            document["scrape"]["sample"]["scrapedAt"],
            "2026-11-29T16:59:58Z"
        );
        assert_eq!(document["metrics"]["usage"]["cpu"], "600000000n");
        assert_eq!(document["metrics"]["window"], "15s");
        assert_eq!(
            [&document["why"], &document["unread"]],
            [&json!([]), &json!([])]
        );
    }

    #[tokio::test]
    async fn a_node_without_metrics_says_why_and_what_to_do() {
        let scrape = json!({ "metadata": { "name": "n-0" }, "status": {
            "state": "failing", "reason": "tls", "message": "x509", "remedy": "KubeletCertificate",
            "lastFailure": { "time": "2026-11-29T16:59:50Z", "reason": "tls", "message": "x509", "scraper": "s-0" },
        } });
        let api = Fake::default()
            .with(METRICS, 200, json!({}))
            .with(&format!("{FLEET}/nodescrapes/n-0"), 200, scrape)
            .api();
        let explained = node(&api, "n-0", now()).await;
        assert_eq!(explained.outcome, Outcome::Findings);
        assert_eq!(explained.title, "node n-0: failing");
        assert_eq!(explained.lines("why"), ["tls: x509"]);
        let remedy = "KubeletCertificate: kubectl tributary explain trouble TRB042";
        assert_eq!(explained.lines("what to do"), [remedy]);
        assert_eq!(explained.lines("failure"), ["10s ago by s-0: tls: x509"]);
        let document = explained.document();
        let why = json!({
            "from": "fleet.tributary.dev", "reason": "tls", "message": "x509", "trouble": "TRB042",
        });
        assert_eq!(document["why"][0], why);
        assert_eq!(document["why"][1]["from"], "metrics.k8s.io");
        assert_eq!(document["state"], "failing");
        assert_eq!(document["scrape"]["lastFailure"]["scraper"], "s-0");
        assert_eq!(document["unread"][0]["what"], "Kubernetes");
        assert!(document.get("metrics").is_none(), "{document}");
    }

    #[tokio::test]
    async fn an_api_that_is_gone_is_said_once() {
        let explained = node(&crate::kube_api::fake::gone(), "n-0", now()).await;
        assert_eq!(explained.outcome, Outcome::Unknown);
        let expected = "\
node n-0: cannot be read
  why         failed to ask https://fake: refused
";
        assert_eq!(explained.text(Paint::PLAIN), expected);
        assert_eq!(explained.document()["unread"].as_array().unwrap().len(), 3);
    }
}
