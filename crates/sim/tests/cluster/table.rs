//! Pods as a Table, as `kubectl get -o wide` asks for them.

use std::pin::pin;

use futures::{AsyncBufReadExt as _, StreamExt as _};
use serde_json::{Value, json};

use crate::kube_api::{client, cluster};

/// What an event of a watch has: its type, whether it has columns, its version, and its rows.
fn event(line: &str) -> (String, bool, String, Vec<Value>) {
    let event: Value = serde_json::from_str(line).unwrap();
    let table = &event["object"];
    assert_eq!(table["kind"], "Table");
    (
        event["type"].as_str().unwrap().to_owned(),
        table["columnDefinitions"].is_array(),
        table["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .to_owned(),
        table["rows"].as_array().unwrap().clone(),
    )
}

#[tokio::test]
async fn pods_are_printed_as_a_table() {
    let cluster = cluster().await;
    let client = client(&cluster).await;
    let printed = |uri: &str| {
        let accept = "application/json;as=Table;g=meta.k8s.io;v=v1,application/json";
        let request = http::Request::get(uri).header("accept", accept);
        request.body(Vec::new()).unwrap()
    };
    let list: Value = client
        .request(printed("/api/v1/pods?limit=8"))
        .await
        .unwrap();
    assert_eq!(list["kind"], "Table");
    let columns = list["columnDefinitions"].as_array().unwrap();
    let names: Vec<&str> = columns
        .iter()
        .map(|column| column["name"].as_str().unwrap())
        .collect();
    assert_eq!((names[0], names[6]), ("Name", "Node"));
    let rows = list["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 8);
    let object = &rows[0]["object"];
    assert_eq!(object["kind"], "PartialObjectMetadata");
    assert_eq!(object["metadata"]["name"], rows[0]["cells"][0]);
    assert_eq!(object.get("spec"), None);
    assert_eq!(rows[0]["cells"][1], "1/1");
    let node = rows[0]["cells"][6].as_str().unwrap();
    assert!(node.starts_with("node-0000"), "{node}");
    let next = list["metadata"]["continue"].as_str().unwrap();
    let uri = format!("/api/v1/pods?limit=8&continue={next}");
    let rest: Value = client.request(printed(&uri)).await.unwrap();
    assert_eq!(rest["rows"].as_array().unwrap().len(), 4);
    for (include, kind) in [("Object", json!("Pod")), ("None", Value::Null)] {
        let uri = format!("/api/v1/pods?includeObject={include}");
        let list: Value = client.request(printed(&uri)).await.unwrap();
        assert_eq!(list["rows"][0]["object"]["kind"], kind);
    }
    let refused = client
        .request::<Value>(printed("/api/v1/pods?includeObject=x"))
        .await;
    assert!(matches!(refused, Err(kube::Error::Api(status)) if status.code == 400));
    cluster.stop().await;
}

#[tokio::test]
async fn only_the_first_event_of_a_printed_watch_has_columns() {
    let cluster = cluster().await;
    let client = client(&cluster).await;
    let uri = "/api/v1/pods?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan\
               &allowWatchBookmarks=true";
    let request =
        http::Request::get(uri).header("accept", "application/json;as=Table;g=meta.k8s.io;v=v1");
    let request = request.body(Vec::new()).unwrap();
    let mut lines = pin!(client.request_stream(request).await.unwrap().lines());
    let mut events = Vec::new();
    while events.len() < 13 {
        events.push(event(&lines.next().await.unwrap().unwrap()));
    }
    let (kind, has_columns, _, rows) = &events[0];
    assert_eq!(
        (kind.as_str(), *has_columns, rows.len()),
        ("ADDED", true, 1)
    );
    let (kind, has_columns, version, rows) = &events[12];
    assert_eq!((kind.as_str(), *has_columns), ("BOOKMARK", false));
    let meta = &rows[0]["object"]["metadata"];
    assert_eq!(meta["resourceVersion"], *version);
    assert_eq!(meta["annotations"]["k8s.io/initial-events-end"], "true");
    let (namespace, name) = cluster.pods().remove(0);
    cluster.move_pod(&namespace, &name, "node-00003").unwrap();
    let (kind, has_columns, version, rows) = event(&lines.next().await.unwrap().unwrap());
    assert_eq!((kind.as_str(), has_columns), ("DELETED", false));
    assert_eq!(rows[0]["object"]["metadata"]["resourceVersion"], *version);
    let (kind, _, _, rows) = event(&lines.next().await.unwrap().unwrap());
    assert_eq!(kind, "ADDED");
    assert_eq!(rows[0]["cells"][6], "node-00003");
    cluster.stop().await;
}
