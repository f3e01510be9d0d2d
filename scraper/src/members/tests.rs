use std::convert::Infallible;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use kube::client::Body;
use serde_json::{Value, from_slice, json};
use tokio::sync::mpsc;

use super::*;

const RESOLUTION: Duration = Duration::from_secs(15);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

/// An API that takes every request, and what it was asked.
fn api() -> (Client, mpsc::Receiver<(Method, String, Value)>) {
    let (asked, requests) = mpsc::channel(8);
    let service = tower::service_fn(move |request: Request<Body>| {
        let asked = asked.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let body = from_slice(&body).unwrap_or_default();
            asked
                .send((parts.method, parts.uri.path().to_owned(), body))
                .await
                .unwrap();
            let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" });
            let answer = Response::builder().status(StatusCode::OK);
            let body = Full::new(Bytes::from(status.to_string()));
            Ok::<_, Infallible>(answer.body(body).unwrap())
        }
    });
    (Client::new(service, "default"), requests)
}

/// A lease as it is read: renewed at a second, as that version.
fn read(holder: &str, renewed: i64) -> Option<Read> {
    let date = |seconds: i64| MicroTime(jiff::Timestamp::from_second(seconds).unwrap());
    Read::of(Object {
        metadata: ObjectMeta {
            name: Some(format!("tributary-{holder}")),
            resource_version: Some(renewed.to_string()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            acquire_time: Some(date(0)),
            renew_time: Some(date(renewed)),
            ..LeaseSpec::default()
        }),
    })
}

#[tokio::test]
async fn a_lease_that_was_left_behind_is_deleted_as_it_was_seen_last() {
    let (client, mut requests) = api();
    let clock = Clock::system();
    let metrics = ShareMetrics::default();
    let leases = Leases::new(
        client,
        "ns",
        ("default", "me"),
        clock.clone(),
        metrics.clone(),
    );
    let shared = Shared {
        membership: Mutex::new(Membership::new("me".into(), RESOLUTION, at(100))),
        objects: Mutex::default(),
        changed: Notify::new(),
    };
    let first = vec![read("gone", 90), read("lives", 98)];
    shared.apply(Change::Replace(first), at(100), &clock);
    for now in (105..250).step_by(5) {
        shared.apply(Change::Put(read("me", now)), at(now), &clock);
        shared.apply(Change::Put(read("lives", now)), at(now), &clock);
        leases.clean_one(&shared).await;
    }
    // "lives" is before us by name, so it is for them. It leaves.
    shared.apply(Change::Put(read("me", 250)), at(250), &clock);
    leases.clean_one(&shared).await;
    assert!(
        requests.try_recv().is_err(),
        "something was deleted too early"
    );
    shared.apply(Change::Remove(read("lives", 245)), at(251), &clock);
    leases.clean_one(&shared).await;
    let (method, path, body) = requests.recv().await.unwrap();
    assert_eq!(method, Method::DELETE);
    assert_eq!(
        path,
        "/apis/coordination.k8s.io/v1/namespaces/ns/leases/tributary-gone"
    );
    assert_eq!(body["preconditions"], json!({ "resourceVersion": "90" }));
    assert_eq!(metrics.leases_cleaned.get(), 1);
}
