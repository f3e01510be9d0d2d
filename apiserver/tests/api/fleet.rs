//! `fleet.tributary.dev`: who scrapes what, and what is wrong.

#[path = "fleet/tables.rs"]
mod tables;
#[path = "fleet/watches.rs"]
mod watches;

use std::{collections::BTreeMap, time::Duration};

use axum::{Router, body::Body, http::Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tributary_apiserver::{
    scrapers::node_roles::{Present, Publisher, Role, StreamRoles},
    store::{FailedScrape, Source},
};
use tributary_model::Timestamp;

use crate::cluster::{Cluster, NOW, ask, get, names};

const BASE: &str = "/apis/fleet.tributary.dev/v1alpha1";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

/// What the scrapers say, as long as it is stored.
type Said = (Vec<StreamRoles>, Vec<Present>);

fn publisher(source: &str, version: &str) -> Publisher {
    Publisher {
        source: source.into(),
        version: version.into(),
        group: "".into(),
        instance: "7-1".into(),
        resolution: Duration::from_secs(15),
    }
}

fn fail(cluster: &Cluster, node: &str, (reason, message): (&'static str, &str)) {
    let source = Source {
        name: "scraper-2".into(),
        resolution: Duration::from_secs(15),
    };
    let failed = FailedScrape {
        asked_at: Timestamp::from_millis(NOW - 12_000),
        by: "scraper-2".into(),
        reason,
        message: message.into(),
    };
    cluster.api.store.fail(&node.into(), failed, &source);
}

/// The small cluster, in which `n3` cannot be scraped, and two scrapers.
fn cluster() -> (Cluster, Said) {
    let cluster = Cluster::small();
    fail(&cluster, "n3", ("tls", "x509: unknown authority"));
    let node_roles = &cluster.api.node_roles;
    let present = vec![
        node_roles.arrived(publisher("scraper-2", "")),
        node_roles.arrived(publisher("scraper-1", "0.1.0")),
    ];
    let mut one = node_roles.stream_roles("scraper-1".into());
    one.take(Some(Role::Owner), vec!["n1".into()]);
    one.take(Some(Role::Standby), vec!["n2".into(), "n3".into()]);
    let mut two = node_roles.stream_roles("scraper-2".into());
    two.take(Some(Role::Owner), vec!["n2".into(), "n3".into()]);
    (cluster, (vec![one, two], present))
}

async fn object(router: &Router, path: &str) -> Value {
    serde_json::from_str(&get(router, &format!("{BASE}/{path}")).await).unwrap()
}

#[tokio::test]
async fn a_node_is_reported_with_its_scrapers_and_what_is_wrong() {
    let (cluster, _said) = cluster();
    let router = cluster.router();
    assert_eq!(
        object(&router, "nodescrapes/n3").await,
        json!({
            "kind": "NodeScrape",
            "apiVersion": "fleet.tributary.dev/v1alpha1",
            "metadata": { "name": "n3" },
            "status": {
                "state": "failing",
                "reason": "tls",
                "message": "x509: unknown authority",
                "remedy": "KubeletCertificate",
                "owner": "scraper-2",
                "standby": "scraper-1",
                "scrapers": { "owners": ["scraper-2"], "standby": ["scraper-1"] },
                "resolution": "15s",
                "lastFailure": {
                    "time": "2026-11-21T01:29:34Z",
                    "reason": "tls",
                    "message": "x509: unknown authority",
                    "scraper": "scraper-2",
                },
            },
        })
    );
    assert_eq!(
        object(&router, "nodescrapes/n2").await,
        json!({
            "kind": "NodeScrape",
            "apiVersion": "fleet.tributary.dev/v1alpha1",
            "metadata": {
                "name": "n2",
                "labels": { "kubernetes.io/hostname": "n2", "role": "a" },
            },
            "status": {
                "state": "served",
                "owner": "scraper-2",
                "standby": "scraper-1",
                "scrapers": { "owners": ["scraper-2"], "standby": ["scraper-1"] },
                "resolution": "15s",
                "sample": {
                    "scrapedAt": "2026-11-21T01:29:44Z",
                    "measuredAt": "2026-11-21T01:29:44Z",
                    "window": "12.5s",
                },
            },
        })
    );
    let missing = ask(&router, &format!("{BASE}/nodescrapes/n9"), &[]).await;
    assert_eq!(missing.status, 404);
    let missing: Value = serde_json::from_str(&missing.body).unwrap();
    assert_eq!(
        (&missing["message"], &missing["details"]),
        (
            &json!("nodescrapes.fleet.tributary.dev \"n9\" not found"),
            &json!({ "name": "n9", "group": "fleet.tributary.dev", "kind": "nodescrapes" })
        )
    );
}

#[tokio::test]
async fn scrapers_are_listed_by_name_with_their_roles() {
    let (cluster, _said) = cluster();
    let router = cluster.router();
    let list = object(&router, "scrapers").await;
    assert_eq!(list["kind"], "ScraperList");
    assert_eq!(
        list["items"],
        json!([
            {
                "metadata": { "name": "scraper-1" },
                "status": {
                    "source": "scraper-1",
                    "version": "0.1.0",
                    "instance": "7-1",
                    "resolution": "15s",
                    "streams": 1,
                    "nodes": { "owned": 1, "standby": 2, "leaving": 0, "rescued": 0, "unserved": 0 },
                    "oldestSample": "2026-11-21T01:29:44Z",
                },
            },
            {
                "metadata": { "name": "scraper-2" },
                "status": {
                    "source": "scraper-2",
                    "instance": "7-1",
                    "resolution": "15s",
                    "streams": 1,
                    "nodes": { "owned": 2, "standby": 0, "leaving": 0, "rescued": 0, "unserved": 1 },
                    "oldestSample": "2026-11-21T01:29:44Z",
                },
            },
        ])
    );
    assert_eq!(
        object(&router, "scrapers/scraper-1").await["status"],
        list["items"][0]["status"]
    );
    let missing = ask(&router, &format!("{BASE}/scrapers/scraper-3"), &[]).await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn a_scraper_whose_name_has_a_slash_can_be_named() {
    let (cluster, _said) = cluster();
    let _more = cluster.api.node_roles.arrived(publisher("pod-1/a%b", ""));
    let router = cluster.router();
    let scraper = object(&router, "scrapers/pod-1:a:b").await;
    assert_eq!(scraper["status"]["source"], "pod-1/a%b");
}

#[tokio::test]
async fn a_frontend_tells_of_itself() {
    let (cluster, _said) = cluster();
    let router = cluster.router();
    let list = object(&router, "metricsfrontends").await;
    assert_eq!(
        list["items"],
        json!([{
            "metadata": { "name": "frontend-0" },
            "status": {
                "version": "0.1.0",
                "coverage": { "nodes": 3, "served": 2, "failing": 1, "unusable": 0, "unreported": 0 },
                "streams": 2,
                "oldestSample": "2026-11-21T01:29:44Z",
            },
        }])
    );
    let other = ask(&router, &format!("{BASE}/metricsfrontends/frontend-1"), &[]).await;
    assert_eq!(other.status, 404);
}

#[tokio::test]
async fn selectors_choose() {
    let (cluster, _said) = cluster();
    let router = cluster.router();
    for (query, expected) in [
        ("fieldSelector=status.state%3Dfailing", &["n3"][..]),
        ("fieldSelector=status.state!%3Dfailing", &["n1", "n2"]),
        ("fieldSelector=status.owner%3Dscraper-2", &["n2", "n3"]),
        (
            "fieldSelector=status.owner%3Dscraper-2,status.state%3Dserved",
            &["n2"],
        ),
        ("fieldSelector=metadata.name%3Dn1", &["n1"]),
        ("fieldSelector=metadata.name%3Dn9", &[]),
        ("labelSelector=role", &["n1", "n2"]),
        ("labelSelector=role%3Da", &["n2"]),
    ] {
        let found = names(&router, &format!("{BASE}/nodescrapes?{query}")).await;
        assert_eq!(found, expected, "{query}");
    }
    let others = format!("{BASE}/scrapers?fieldSelector=metadata.name!%3Dscraper-1");
    assert_eq!(names(&router, &others).await, ["scraper-2"]);
    let bad = ask(
        &router,
        &format!("{BASE}/scrapers?fieldSelector=status.state%3Dx"),
        &[],
    )
    .await;
    assert_eq!(bad.status, 400);
}

#[tokio::test]
async fn lists_are_paged() {
    let (cluster, _said) = cluster();
    let router = cluster.router();
    for (resource, all) in [
        ("nodescrapes", &["n1", "n2", "n3"][..]),
        ("scrapers", &["scraper-1", "scraper-2"]),
    ] {
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let part = object(&router, &format!("{resource}?limit=1&continue={token}")).await;
            found.push(part["items"][0]["metadata"]["name"].clone());
            let Some(next) = part["metadata"]["continue"].as_str() else {
                break;
            };
            token = next.to_owned();
        }
        assert_eq!(found, all);
    }
    let of_nodes = object(&router, "nodescrapes?limit=1").await;
    let token = of_nodes["metadata"]["continue"].as_str().unwrap();
    let other = ask(&router, &format!("{BASE}/scrapers?continue={token}"), &[]).await;
    assert_eq!(other.status, 400);
}

#[tokio::test]
async fn protobuf_is_not_served() {
    let (cluster, _said) = cluster();
    let router = cluster.router();
    let path = format!("{BASE}/nodescrapes");
    for (accept, status, kind) in [
        (
            "application/vnd.kubernetes.protobuf",
            406,
            "application/json",
        ),
        (
            "application/vnd.kubernetes.protobuf,application/json",
            200,
            "application/json",
        ),
        ("application/yaml", 200, "application/yaml"),
    ] {
        let answer = ask(&router, &path, &[("accept", accept)]).await;
        assert_eq!(answer.status, status, "{accept}");
        if status == 200 {
            assert_eq!(answer.header("content-type"), Some(kind), "{accept}");
        }
    }
}

/// Whether all that `value` has is in the schema.
fn is_described(schema: &Value, value: &Value, at: &str) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let field = &schema["properties"][name];
                assert!(field["description"].is_string(), "{at}.{name}: {field}");
                is_described(field, value, &format!("{at}.{name}"));
            }
        }
        Value::Array(_) => assert_eq!(schema["type"], "array", "{at}"),
        Value::Number(_) => assert_eq!(schema["type"], "integer", "{at}"),
        Value::String(word) => {
            assert_eq!(schema["type"], "string", "{at}");
            if let Some(words) = schema["enum"].as_array() {
                assert!(words.contains(&json!(word)), "{at}: {word}");
            }
        }
        other => panic!("{at}: {other}"),
    }
}

#[tokio::test]
async fn explain_knows_every_field() {
    let (cluster, _said) = cluster();
    let mut rescuer = cluster.api.node_roles.stream_roles("scraper-3".into());
    rescuer.take(Some(Role::Rescuer), vec!["n3".into()]);
    rescuer.take(Some(Role::Leaving), vec!["n2".into()]);
    let router = cluster.router();
    let document = ask(
        &router,
        "/openapi/v3/apis/fleet.tributary.dev/v1alpha1",
        &[],
    )
    .await;
    let document: Value = serde_json::from_str(&document.body).unwrap();
    let schemas = &document["components"]["schemas"];
    for (resource, kind) in [
        ("nodescrapes", "NodeScrape"),
        ("scrapers", "Scraper"),
        ("metricsfrontends", "MetricsFrontend"),
    ] {
        let schema = &schemas[format!("dev.tributary.fleet.v1alpha1.{kind}")];
        let wanted = json!([{
            "group": "fleet.tributary.dev", "kind": kind, "version": "v1alpha1"
        }]);
        assert_eq!(schema["x-kubernetes-group-version-kind"], wanted);
        let operation = &document["paths"][format!("{BASE}/{resource}")]["get"];
        assert_eq!(operation["x-kubernetes-group-version-kind"], wanted[0]);
        let list = object(&router, resource).await;
        for item in list["items"].as_array().unwrap() {
            is_described(&schema["properties"]["status"], &item["status"], kind);
        }
    }
}
