//! `limit` and `continue`, and lists that are longer than a page (docs/parity.md#selection).

use axum::Router;
use serde_json::Value;

use crate::cluster::{Cluster, Container, ask, container, get, names};

const PODS: &str = "/apis/metrics.k8s.io/v1beta1/pods";

async fn page(router: &Router, query: &str) -> (Vec<String>, Option<String>) {
    let path = format!("{PODS}?{query}");
    let list: Value = serde_json::from_str(&get(router, &path).await).unwrap();
    let token = list["metadata"]["continue"].as_str().map(str::to_owned);
    (names(router, &path).await, token)
}

#[tokio::test]
async fn a_list_goes_on_where_the_page_before_ended() {
    let router = Cluster::small().router();
    let (first, token) = page(&router, "limit=2").await;
    assert_eq!(first, ["web-1", "web-2"]);
    let (second, end) = page(&router, &format!("limit=2&continue={}", token.unwrap())).await;
    assert_eq!(second, ["dns"]);
    assert_eq!(end, None);
}

#[tokio::test]
async fn a_limit_counts_what_is_served_and_the_last_page_has_no_token() {
    let router = Cluster::small().router();
    // `new` comes first and has no metrics.
    let (all, token) = page(&router, "limit=3").await;
    assert_eq!(all, ["web-1", "web-2", "dns"]);
    assert_eq!(token, None);
    let (web, token) = page(&router, "limit=1&labelSelector=app%3Dweb").await;
    assert_eq!(web, ["web-1"]);
    let query = format!(
        "limit=1&labelSelector=app%3Dweb&continue={}",
        token.unwrap()
    );
    assert_eq!(
        page(&router, &query).await,
        (vec!["web-2".to_owned()], None)
    );
}

#[tokio::test]
async fn the_token_stands_in_the_metadata_of_the_list_and_of_the_table() {
    let router = Cluster::small().router();
    // Layout 1, nodes, no namespace, n1.
    let metadata = r#""metadata":{"continue":"AW4vbjE"},"#;
    let path = "/apis/metrics.k8s.io/v1beta1/nodes?limit=1";
    assert!(get(&router, path).await.contains(metadata));
    let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    assert!(ask(&router, path, &table).await.body.contains(metadata));
    assert_eq!(
        names(&router, &format!("{path}&continue=AW4vbjE")).await,
        ["n2"]
    );
}

#[tokio::test]
async fn a_token_is_good_though_its_pod_is_gone() {
    let cluster = Cluster::small();
    let catalog = cluster.api.catalog.clone();
    let router = cluster.router();
    let (_, token) = page(&router, "limit=1").await;
    catalog.remove_pod(&tributary_model::PodKey::new("default", "web-1"));
    let query = format!("continue={}", token.unwrap());
    assert_eq!(page(&router, &query).await.0, ["web-2", "dns"]);
}

/// 1,234 pods on one node, of which every seventh has no object.
fn large() -> Cluster {
    let cluster = Cluster::empty();
    cluster.node("n1", &[]);
    let mut containers: Vec<Container> = Vec::new();
    for number in 0..1_234 {
        let name = format!("pod-{number:05}");
        if number % 7 != 0 {
            cluster.pod("default", &name, &[("app", "web")]);
        }
        containers.push(container(("default", &name), "c", (12_500, 1024, None)));
    }
    cluster.report("n1", (12_500, 1024, None), &containers);
    cluster
}

fn expected() -> Vec<String> {
    let served = (0..1_234).filter(|number| number % 7 != 0);
    served.map(|number| format!("pod-{number:05}")).collect()
}

#[tokio::test]
async fn a_long_list_is_sent_in_pieces_and_whole() {
    let router = large().router();
    assert_eq!(names(&router, PODS).await, expected());
    let answer = ask(&router, PODS, &[]).await;
    assert_eq!(answer.header("content-length"), None);
    let pretty = ask(&router, &format!("{PODS}?pretty=1"), &[]).await;
    let (compact, pretty): (Value, Value) = (
        serde_json::from_str(&answer.body).unwrap(),
        serde_json::from_str(&pretty.body).unwrap(),
    );
    assert_eq!(compact, pretty);
}

#[tokio::test]
async fn pages_add_up_to_the_long_list() {
    let router = large().router();
    let mut found = Vec::new();
    let mut query = "limit=300".to_owned();
    loop {
        let (mut names, token) = page(&router, &query).await;
        found.append(&mut names);
        let Some(token) = token else { break };
        query = format!("limit=300&continue={token}");
    }
    assert_eq!(found, expected());
}
