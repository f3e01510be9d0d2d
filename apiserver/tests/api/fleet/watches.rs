//! Watches of the fleet.

use super::*;

/// The events of a watch.
struct Watch(Body);

impl Watch {
    async fn begin(router: &Router, query: &str) -> Result<Self, (u16, Value)> {
        let path = format!("{BASE}/nodescrapes?watch=true&{query}");
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let mut body = response.into_body();
        if status == 200 {
            return Ok(Self(body));
        }
        let whole = body.frame().await.unwrap().unwrap().into_data().unwrap();
        Err((status, serde_json::from_slice(&whole).unwrap()))
    }

    /// Type, name and state of the next event; `None` at the end.
    async fn next(&mut self) -> Option<Vec<(String, String, String)>> {
        let frame = self.0.frame().await?;
        let text = String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap();
        let event = |line: &str| {
            let event: Value = serde_json::from_str(line).unwrap();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let object = &event["object"];
            assert_eq!(object["kind"], "NodeScrape");
            assert_eq!(object["apiVersion"], "fleet.tributary.dev/v1alpha1");
            (
                text(&event["type"]),
                text(&object["metadata"]["name"]),
                text(&object["status"]["state"]),
            )
        };
        Some(text.lines().map(event).collect())
    }
}

fn event(kind: &str, name: &str, state: &str) -> (String, String, String) {
    (kind.to_owned(), name.to_owned(), state.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_what_is_there_and_then_what_changes() {
    let (cluster, _said) = cluster();
    let router = cluster.clone().router();
    let mut watch = Watch::begin(&router, "timeoutSeconds=60").await.unwrap();
    assert_eq!(
        watch.next().await.unwrap(),
        [
            event("ADDED", "n1", "served"),
            event("ADDED", "n2", "served"),
            event("ADDED", "n3", "failing"),
        ]
    );
    fail(&cluster, "n3", ("dial", "connection refused"));
    assert_eq!(
        watch.next().await.unwrap(),
        [event("MODIFIED", "n3", "failing")]
    );
    cluster.api.catalog.remove_node("n1");
    cluster.node("n4", &[]);
    assert_eq!(
        watch.next().await.unwrap(),
        [event("ADDED", "n4", "unreported")]
    );
    assert_eq!(
        watch.next().await.unwrap(),
        [event("DELETED", "n1", "gone")]
    );
    assert_eq!(watch.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_selected_no_longer_is_sent_as_deleted() {
    let (cluster, _said) = cluster();
    let router = cluster.clone().router();
    let query = "fieldSelector=status.state%3Dunreported";
    let mut watch = Watch::begin(&router, query).await.unwrap();
    cluster.node("n4", &[]);
    assert_eq!(
        watch.next().await.unwrap(),
        [event("ADDED", "n4", "unreported")]
    );
    fail(&cluster, "n4", ("dial", "connection refused"));
    assert_eq!(
        watch.next().await.unwrap(),
        [event("DELETED", "n4", "failing")]
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_where_the_list_ended() {
    let (cluster, _said) = cluster();
    let router = cluster.clone().router();
    let list = object(&router, "nodescrapes").await;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    assert!(version.parse::<u128>().is_ok(), "{version}");
    let query = format!("resourceVersion={version}");
    let mut watch = Watch::begin(&router, &query).await.unwrap();
    fail(&cluster, "n3", ("dial", "connection refused"));
    assert_eq!(
        watch.next().await.unwrap(),
        [event("MODIFIED", "n3", "failing")]
    );

    // It has the same objects; what it has of them is not known.
    let mut watch = Watch::begin(&router, &query).await.unwrap();
    assert_eq!(watch.next().await.unwrap().len(), 3);

    // One is gone, and no event would say so.
    cluster.api.catalog.remove_node("n1");
    let (status, reported) = Watch::begin(&router, &query).await.err().unwrap();
    assert_eq!((status, &reported["reason"]), (410, &json!("Expired")));
    let (status, _) = Watch::begin(&router, "resourceVersion=x")
        .await
        .err()
        .unwrap();
    assert_eq!(status, 410);

    // A part of a list has no version.
    let part = object(&router, "nodescrapes?limit=1").await;
    assert_eq!(part["metadata"].get("resourceVersion"), None);
}

#[tokio::test(start_paused = true)]
async fn informers_get_the_list_as_events_with_a_bookmark_after_it() {
    let (cluster, _said) = cluster();
    let router = cluster.clone().router();
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = Watch::begin(&router, query).await.unwrap();
    assert_eq!(watch.next().await.unwrap().len(), 3);
    let frame = watch.0.frame().await.unwrap().unwrap().into_data().unwrap();
    let bookmark: Value = serde_json::from_slice(&frame).unwrap();
    let list = object(&router, "nodescrapes").await;
    assert_eq!(
        bookmark,
        json!({
            "type": "BOOKMARK",
            "object": {
                "kind": "NodeScrape",
                "apiVersion": "fleet.tributary.dev/v1alpha1",
                "metadata": {
                    "resourceVersion": list["metadata"]["resourceVersion"],
                    "annotations": { "k8s.io/initial-events-end": "true" },
                },
            },
        })
    );
}

#[tokio::test(start_paused = true)]
async fn a_table_is_watched_row_by_row_with_its_columns_once() {
    let (cluster, _said) = cluster();
    let router = cluster.router();
    let request = Request::get(format!("{BASE}/nodescrapes?watch=true"))
        .header("accept", TABLE)
        .header("accept-encoding", "gzip")
        .header("user-agent", "curl/8")
        .body(Body::empty())
        .unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.headers().get("content-encoding"), None);
    let frame = response.into_body().frame().await.unwrap().unwrap();
    let text = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
    let events = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let events: Vec<Value> = events.collect();
    let columns = |event: &Value| {
        let columns = &event["object"]["columnDefinitions"];
        columns.as_array().map(Vec::len)
    };
    assert_eq!(
        events.iter().map(columns).collect::<Vec<_>>(),
        [Some(12), None, None]
    );
    let row = &events[2]["object"]["rows"][0];
    assert_eq!(
        (&row["cells"][0], &row["cells"][1]),
        (&json!("n3"), &json!("failing"))
    );
}

#[tokio::test(start_paused = true)]
async fn watches_are_bounded_and_end_with_the_process() {
    let (cluster, _said) = cluster();
    let router = cluster.clone().router();
    let mut watches = Vec::new();
    for _ in 0..16 {
        watches.push(Watch::begin(&router, "").await.unwrap());
    }
    let (status, reported) = Watch::begin(&router, "").await.err().unwrap();
    assert_eq!(
        (status, &reported["reason"]),
        (429, &json!("TooManyRequests"))
    );
    let mut last = watches.pop().unwrap();
    last.next().await.unwrap();
    cluster.api.ending.cancel();
    assert_eq!(last.next().await, None);
}

#[tokio::test]
async fn resource_metrics_are_still_not_watched() {
    let (cluster, _said) = cluster();
    let router = cluster.router();
    let mut statuses = BTreeMap::new();
    for path in [
        "/apis/metrics.k8s.io/v1/nodes?watch=true".to_owned(),
        format!("{BASE}/nodescrapes?watch=false"),
    ] {
        let answer = ask(&router, &path, &[]).await;
        statuses.insert(path, answer.status.as_u16());
    }
    assert_eq!(statuses.into_values().collect::<Vec<_>>(), [200, 405]);
}
