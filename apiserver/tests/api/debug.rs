//! `/debug/nodes`, and who scrapes what in refusals.

use std::time::Duration;

use serde_json::{Value, json};
use tributary_apiserver::{
    scrapers::node_roles::{Role, StreamRoles},
    store::{FailedScrape, Source},
};
use tributary_model::{Columns, Endpoint, NodePoint, Reading, Remarks, RosterBuilder, Timestamp};

use crate::cluster::{Cluster, NOW, ask};

const BASE: &str = "/apis/metrics.k8s.io/v1beta1";

/// The small cluster, in which `n3` cannot be scraped. What the scrapers say
/// stands as long as their claims are stored.
fn cluster() -> (Cluster, [StreamRoles; 2]) {
    let cluster = Cluster::small();
    let source = Source {
        name: "scraper-2".into(),
        resolution: Duration::from_secs(15),
    };
    let failed = FailedScrape {
        asked_at: Timestamp::from_millis(NOW - 12_000),
        by: "scraper-2".into(),
        reason: "tls",
        message: "x509: unknown authority".into(),
    };
    cluster.api.store.fail(&"n3".into(), failed, &source);
    let mut one = cluster.api.node_roles.stream_roles("scraper-1".into());
    one.take(Some(Role::Owner), vec!["n1".into()]);
    one.take(Some(Role::Standby), vec!["n2".into(), "n3".into()]);
    let mut two = cluster.api.node_roles.stream_roles("scraper-2".into());
    two.take(Some(Role::Owner), vec!["n2".into(), "n3".into()]);
    (cluster, [one, two])
}

async fn debug(cluster: &Cluster, query: &str) -> (u16, Value) {
    let answer = ask(
        &cluster.clone().router(),
        &format!("/debug/nodes{query}"),
        &[],
    )
    .await;
    let json = serde_json::from_str(&answer.body).unwrap();
    (answer.status.into(), json)
}

/// The names in an answer, and how to go on.
fn names(answer: &Value) -> (Vec<&str>, Option<&str>) {
    let nodes = answer["nodes"].as_array().unwrap();
    let names = nodes.iter().map(|node| node["node"].as_str().unwrap());
    (names.collect(), answer["continue"].as_str())
}

#[tokio::test]
async fn a_node_is_reported_with_its_scrapers_and_its_failure() {
    let (cluster, _claims) = cluster();
    assert_eq!(
        debug(&cluster, "?node=n3").await,
        (
            200,
            json!({"nodes": [{
                "node": "n3",
                "state": "failing",
                "reason": "last scrape failed 12s ago by scraper-2: x509: unknown authority",
                "owners": ["scraper-2"],
                "standby": ["scraper-1"],
                "leaving": [],
                "rescuers": [],
                "resolutionSeconds": 15.0,
                "lastFailure": {
                    "time": "2026-11-21T01:29:34.5Z",
                    "ageSeconds": 12.0,
                    "reason": "tls",
                    "message": "x509: unknown authority",
                    "by": "scraper-2",
                },
            }]})
        )
    );
    let (_, one) = debug(&cluster, "?node=n1").await;
    assert_eq!(one["nodes"][0]["state"], "served");
    assert_eq!(one["nodes"][0]["owners"], json!(["scraper-1"]));
    assert_eq!(one["nodes"][0]["newestSample"]["ageSeconds"], 2.25);
}

#[tokio::test]
async fn the_endpoint_of_a_node_is_reported_if_it_is_not_the_default() {
    let (cluster, _claims) = cluster();
    for endpoint in Endpoint::ALL {
        let reading = Reading {
            node: "n2".into(),
            roster: RosterBuilder::default().build(),
            asked_at: Timestamp::from_millis(NOW),
            point: NodePoint::default(),
            columns: Columns::missing(0),
            remarks: Remarks {
                endpoint,
                ..Remarks::default()
            },
        };
        let source = Source {
            name: "scraper-2".into(),
            resolution: Duration::from_secs(15),
        };
        cluster.api.store.take(reading, &source);
        let expected = match endpoint {
            Endpoint::Resource => Value::Null,
            Endpoint::ResourceV1alpha1 => "/metrics/resource/v1alpha1".into(),
            Endpoint::StatsSummary => "/stats/summary".into(),
        };
        let (_, n2) = debug(&cluster, "?node=n2").await;
        assert_eq!(n2["nodes"][0]["endpoint"], expected);
    }
}

#[tokio::test]
async fn nodes_come_in_pages_or_all_at_once_or_by_state() {
    let (cluster, _claims) = cluster();
    let (_, all) = debug(&cluster, "").await;
    assert_eq!(names(&all), (vec!["n1", "n2", "n3"], None));
    let (_, first) = debug(&cluster, "?limit=2").await;
    assert_eq!(names(&first), (vec!["n1", "n2"], Some("n2")));
    let (_, rest) = debug(&cluster, "?limit=2&continue=n2").await;
    assert_eq!(names(&rest), (vec!["n3"], None));
    let (_, failing) = debug(&cluster, "?state=failing").await;
    assert_eq!(names(&failing), (vec!["n3"], None));
    let (_, late) = debug(&cluster, "?state=late").await;
    assert_eq!(names(&late), (vec![], None));
}

#[tokio::test]
async fn very_many_nodes_are_all_sent() {
    let (cluster, _claims) = cluster();
    for n in 0..1_200 {
        cluster.node(&format!("m{n:04}"), &[]);
    }
    let (_, all) = debug(&cluster, "").await;
    assert_eq!(names(&all).0.len(), 1_203);
    let (_, some) = debug(&cluster, "?limit=700").await;
    assert_eq!(names(&some).0.len(), 700);
    assert_eq!(names(&some).1, Some("m0699"));
    // As many as a page of the catalog holds, and none of them wanted.
    let (_, failing) = debug(&cluster, "?state=failing&limit=1").await;
    assert_eq!(names(&failing), (vec!["n3"], None));
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused() {
    let (cluster, _claims) = cluster();
    let refused = async |query: &str| {
        let (status, answer) = debug(&cluster, query).await;
        (status, answer["message"].as_str().unwrap().to_owned())
    };
    assert_eq!(
        refused("?node=zzz").await,
        (404, "node \"zzz\" not found".to_owned())
    );
    assert_eq!(
        refused("?limit=0").await,
        (400, "limit \"0\" is no number above 0".to_owned())
    );
    assert_eq!(
        refused("?state=odd").await,
        (400, "no node has the state \"odd\"".to_owned())
    );
    let (status, _) = debug(&Cluster::unread(), "").await;
    assert_eq!(status, 503);
}

#[tokio::test]
async fn a_refusal_says_who_scrapes_the_node() {
    let (cluster, stream_roles) = cluster();
    let message = async |path: &str| {
        let answer = ask(&cluster.clone().router(), &format!("{BASE}{path}"), &[]).await;
        assert_eq!(answer.status, 404);
        let json: Value = serde_json::from_str(&answer.body).unwrap();
        json["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        message("/nodes/n3").await,
        "no metrics for node \"n3\": last scrape failed 12s ago by scraper-2: x509: unknown \
         authority (node n3: owned by scraper-2, scraper-1 stands by)"
    );
    // Nobody knows where it runs.
    assert_eq!(
        message("/namespaces/default/pods/new").await,
        "no metrics for pod \"default/new\": no scraper has reported it yet"
    );
    let [one, two] = stream_roles;
    drop(two);
    assert_eq!(
        message("/nodes/n3").await,
        "no metrics for node \"n3\": last scrape failed 12s ago by scraper-2: x509: unknown \
         authority (node n3: no connected scraper owns it, scraper-1 stands by)"
    );
    drop(one);
}

#[tokio::test]
async fn a_pod_whose_node_fails_is_refused_without_names_of_the_cluster() {
    let (mut cluster, _claims) = cluster();
    cluster.ask_at(NOW + 60_000);
    let path = format!("{BASE}/namespaces/default/pods/web-1");
    let answer = ask(&cluster.clone().router(), &path, &[]).await;
    let json: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        json["message"],
        "no metrics for pod \"default/web-1\": its newest sample is 62s old"
    );
}
