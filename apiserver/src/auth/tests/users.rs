//! How callers are authenticated, and the reviews about them, as recorded from metrics-server v0.9.0.

use std::sync::Arc;

use serde_json::json;
use tributary_sim::{Ca, Pki};

use super::{
    super::{answer::Denial, trust::Trust, user::User},
    cluster::golden,
    get, layer, peer, stranger, trust,
};

const NODE: &str = "/apis/metrics.k8s.io/v1beta1/nodes/n1";
const ROOT: &[(&str, &str)] = &[
    ("X-Remote-User", "root"),
    ("X-Remote-Group", "system:masters"),
];

/// The attributes of a GET of [`NODE`].
fn wanted() -> serde_json::Value {
    json!({"verb": "get", "group": "metrics.k8s.io", "version": "v1beta1", "resource": "nodes",
        "name": "n1"})
}

#[tokio::test]
async fn the_front_proxy_speaks_for_users() {
    let (pki, (client, asked)) = (Pki::new().unwrap(), golden());
    let layer = layer(client, trust(&pki));
    let proxy = peer(&pki, Ca::FrontProxy, "front-proxy-client", &[]);
    let mut head = get(
        &proxy,
        "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods?limit=1&fieldSelector=metadata.name%3Dweb-2",
        &[
            ("X-Remote-User", "alice"),
            ("X-Remote-Group", "dev"),
            ("X-Remote-Group", "ops"),
            ("X-Remote-Extra-Scopes", "a"),
            ("Accept", "*/*"),
        ],
    );
    assert_eq!(layer.admit(&mut head).await, Ok(()));
    assert_eq!(
        asked.access(),
        [json!({
            "resourceAttributes": {"namespace": "default", "verb": "list", "group": "metrics.k8s.io",
                "version": "v1beta1", "resource": "pods", "name": "web-2",
                "fieldSelector": {"requirements": [
                    {"key": "metadata.name", "operator": "In", "values": ["web-2"]}]}},
            "user": "alice", "groups": ["dev", "ops", "system:authenticated"],
            "extra": {"scopes": ["a"]}})]
    );
    let alice = head.extensions.get::<Arc<User>>().unwrap();
    assert_eq!(alice.name, "alice");
    let left: Vec<&str> = head.headers.keys().map(http::HeaderName::as_str).collect();
    assert_eq!(left, ["accept"], "nobody further in can believe the rest");
}

#[tokio::test]
async fn a_certificate_names_a_user() {
    let (pki, (client, asked)) = (Pki::new().unwrap(), golden());
    let layer = layer(client, trust(&pki));
    let jane = peer(&pki, Ca::Cluster, "jane", &["devs"]);
    // Her headers name another user. They are ignored.
    assert_eq!(layer.admit(&mut get(&jane, NODE, ROOT)).await, Ok(()));
    let mut asked = asked.access();
    let extra = asked[0].as_object_mut().unwrap().remove("extra").unwrap();
    assert_eq!(
        asked,
        [json!({"resourceAttributes": wanted(), "user": "jane",
            "groups": ["devs", "system:authenticated"]})]
    );
    let id = extra["authentication.kubernetes.io/credential-id"][0]
        .as_str()
        .unwrap();
    let hash = id.strip_prefix("X509SHA256=").unwrap();
    assert!(
        hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{id}"
    );
}

#[tokio::test]
async fn a_token_names_a_user() {
    let (client, asked) = golden();
    let layer = layer(client, Trust::default());
    let token = |token: &'static str| get(&stranger(), NODE, &[("Authorization", token)]);
    assert_eq!(layer.admit(&mut token("Bearer ok:sam")).await, Ok(()));
    assert_eq!(
        asked.all(),
        [
            ("tokenreviews".to_owned(), json!({"token": "ok:sam"})),
            (
                "subjectaccessreviews".to_owned(),
                json!({"resourceAttributes": wanted(), "user": "sam",
                    "groups": ["g1", "system:authenticated"], "uid": "u1"})
            ),
        ]
    );
    let answer = layer.admit(&mut token("Bearer nope")).await;
    assert_eq!(answer, Err(Denial::Unauthorized));
}

#[tokio::test]
async fn headers_without_a_certificate_count_for_nothing() {
    let (pki, (client, asked)) = (Pki::new().unwrap(), golden());
    let layer = layer(client, trust(&pki));
    let answer = layer.admit(&mut get(&stranger(), NODE, ROOT)).await;
    let Err(Denial::Forbidden { user, reason, .. }) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(
        (user.as_str(), reason.as_str()),
        ("system:anonymous", "fake reason")
    );
    assert_eq!(
        asked.access(),
        [
            json!({"resourceAttributes": wanted(), "user": "system:anonymous",
            "groups": ["system:unauthenticated"]})
        ]
    );
}

#[tokio::test]
async fn only_the_front_proxy_may_name_the_user() {
    let (pki, other) = (Pki::new().unwrap(), Pki::new().unwrap());
    let layer = layer(golden().0, trust(&pki));
    for (whose, peer) in [
        (
            "another name",
            peer(&pki, Ca::FrontProxy, "aggregator", &[]),
        ),
        (
            "another CA",
            peer(&other, Ca::FrontProxy, "front-proxy-client", &[]),
        ),
        (
            "the CA of the bus",
            peer(&pki, Ca::Bus, "front-proxy-client", &[]),
        ),
    ] {
        let answer = layer.admit(&mut get(&peer, NODE, ROOT)).await;
        assert_eq!(answer, Err(Denial::Unauthorized), "{whose}");
    }
    // The certificate of the front proxy does not name a user either.
    let proxy = peer(&pki, Ca::FrontProxy, "front-proxy-client", &[]);
    let answer = layer.admit(&mut get(&proxy, NODE, &[])).await;
    assert_eq!(answer, Err(Denial::Unauthorized));
}

#[tokio::test]
async fn a_certificate_that_is_no_good_does_not_spoil_a_token() {
    let (pki, other) = (Pki::new().unwrap(), Pki::new().unwrap());
    let layer = layer(golden().0, trust(&pki));
    let peer = peer(&other, Ca::Cluster, "jane", &[]);
    let sam = [("Authorization", "Bearer ok:sam")];
    assert_eq!(layer.admit(&mut get(&peer, NODE, &sam)).await, Ok(()));
}

#[tokio::test]
async fn impersonation_needs_permission() {
    let (pki, (client, asked)) = (Pki::new().unwrap(), golden());
    let layer = layer(client, trust(&pki));
    let jane = peer(&pki, Ca::Cluster, "jane", &["devs"]);
    let mut head = get(&jane, NODE, &[("Impersonate-User", "denied-bob")]);
    let answer = layer.admit(&mut head).await;
    assert!(
        matches!(&answer, Err(Denial::Forbidden { user, .. }) if user == "denied-bob"),
        "{answer:?}"
    );
    let first = asked.access()[0].clone();
    assert_eq!(
        first["resourceAttributes"],
        json!({"verb": "impersonate", "resource": "users", "name": "denied-bob"})
    );
    let bob = peer(&pki, Ca::Cluster, "denied-bob", &[]);
    let mut head = get(&bob, NODE, &[("Impersonate-User", "jane")]);
    let answer = layer.admit(&mut head).await;
    assert!(
        matches!(answer, Err(Denial::Forbidden { .. })),
        "{answer:?}"
    );
}
