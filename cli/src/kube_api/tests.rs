use k8s_openapi::api::core::v1::Node;
use serde_json::json;

use super::{fake::Fake, *};

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let page = |name: &str, token: &str| json!({ "metadata": { "continue": token }, "items": [{ "metadata": { "name": name } }] });
    let fake = Fake::default()
        .with("/api/v1/nodes", 200, page("a", "x/y="))
        .with("/api/v1/nodes?continue=x%2Fy%3D", 200, page("b", ""));
    let nodes = fake
        .api()
        .dated_list::<Node>("/api/v1/nodes")
        .await
        .unwrap();
    let names = nodes
        .read
        .into_iter()
        .map(|node| node.metadata.name.unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(nodes.date.unwrap().to_string(), "2026-11-29T17:00:00Z");
    assert_eq!(fake.asked()[0], "/api/v1/nodes?limit=500");
}

#[tokio::test]
async fn refusals_say_what_the_server_says() {
    let refused = |message: &str| json!({ "kind": "Status", "message": message });
    let api = Fake::default()
        .with("/a", 403, refused("nodes is forbidden"))
        .with("/b", 503, refused("unavailable"))
        .with("/c", 500, json!("broken"))
        .api();
    let refusal = async |path| api.get::<Value>(path).await.unwrap_err();
    let forbidden = Failure::Forbidden("nodes is forbidden".to_owned());
    assert_eq!(refusal("/a").await, forbidden);
    let unavailable = Failure::Unavailable("unavailable".to_owned());
    assert_eq!(refusal("/b").await, unavailable);
    let broken = "/c: 500 Internal Server Error: \"broken\"".to_owned();
    assert_eq!(refusal("/c").await, Failure::Failed(broken));
    assert_eq!(
        refusal("/d").await,
        Failure::NotFound("/d not found".to_owned())
    );
}

#[tokio::test]
async fn nulls_are_absent_fields() {
    let nodes =
        json!({ "metadata": null, "items": [{ "metadata": { "name": "a", "labels": null } }] });
    let api = Fake::default().with("/api/v1/nodes", 200, nodes).api();
    let nodes = api.list::<Node>("/api/v1/nodes").await.unwrap();
    assert_eq!(nodes.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_api_that_is_silent_is_given_up() {
    let silent = tower::service_fn(|_: Request<Body>| {
        std::future::pending::<Result<http::Response<Body>, std::io::Error>>()
    });
    let api = KubeApi {
        client: Client::new(silent, "default"),
        limit: Duration::from_secs(15),
        namespace: "default".to_owned(),
    };
    let failure = api.get::<Value>("/version").await.unwrap_err();
    assert_eq!(failure.to_string(), "no answer for /version in 15s");
}
