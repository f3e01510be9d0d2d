//! Paths that are written in odd ways: what is authorized is what is served.
//!
//! The right answers are those of go-restful 3.13 and `RequestInfoFactory` of
//! Kubernetes 1.36 to the same requests.

use tributary_sim::TokenSpec;

use super::{caller::Caller, stage::Stage};

/// What is asked for, what somebody without permissions is told that he may not, and how
/// it is answered to somebody who may do anything.
const PATHS: &[(&str, &str, u16)] = &[
    ("/node%73", LIST_NODES, 200),
    ("/nodes//", LIST_NODES, 200),
    ("/nodes%2F", LIST_NODES, 200),
    ("/nodes/n%31", GET_N1, 404),
    ("/nodes%2Fn1", GET_N1, 404),
    ("/nodes%2fn1/", GET_N1, 404),
    ("/nodes/n%2531", r#"cannot get resource \"nodes\""#, 404),
    ("/node%2573", r#"cannot list resource \"node%73\""#, 404),
    ("/namespaces//pods", LIST_PODS, 200),
    ("/namespaces/%2Fpods", LIST_PODS, 200),
    ("/namespaces/a/pods", LIST_PODS_OF_A, 200),
    ("/namespaces/a%2Fpods", LIST_PODS_OF_A, 200),
    ("/name%73paces/%61/pod%73", LIST_PODS_OF_A, 200),
    (
        "/namespaces/a%2Fpods%2Fx/pods",
        r#"cannot get resource \"pods/pods\""#,
        404,
    ),
    (
        "/nodes/..%2F..%2Fpods",
        r#"cannot get resource \"nodes/..\""#,
        404,
    ),
];

const LIST_NODES: &str =
    r#"cannot list resource \"nodes\" in API group \"metrics.k8s.io\" at the cluster scope"#;
const GET_N1: &str = r#""nodes.metrics.k8s.io \"n1\" is forbidden"#;
const LIST_PODS: &str =
    r#"cannot list resource \"pods\" in API group \"metrics.k8s.io\" at the cluster scope"#;
const LIST_PODS_OF_A: &str =
    r#"cannot list resource \"pods\" in API group \"metrics.k8s.io\" in the namespace \"a\""#;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_authorized_is_what_is_served() {
    let stage = Stage::ready(&[]).await;
    let root = Caller::stranger().bearer(&stage.root());
    let anonymous = stage.cluster.mint(TokenSpec::new("nobody"));
    let anonymous = Caller::stranger().bearer(&anonymous);
    for (below, denied, status) in PATHS {
        for base in [
            "/apis/metrics.k8s.io/v1beta1",
            "/%61pis/metrics%2Ek8s.io/v1bet%61%31",
            "/apis%2Fmetrics.k8s.io%2Fv1beta1",
        ] {
            let path = format!("{base}{below}");
            let answer = anonymous.get(stage.api, &path).await;
            assert_eq!(answer.status, 403, "{path}: {answer:?}");
            assert!(answer.body.contains(denied), "{path}: {answer:?}");
            let answer = root.get(stage.api, &path).await;
            assert_eq!(answer.status, *status, "{path}: {answer:?}");
            assert_eq!(root.get_http2(stage.api, &path).await, *status, "{path}");
        }
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_path_is_open_in_any_form_and_no_other_is() {
    let stage = Stage::ready(&[]).await;
    let stranger = Caller::stranger();
    for (path, status) in [
        ("/livez", 200),
        ("/%6civez", 200),
        ("/live%7A", 200),
        ("/%256civez", 403),
        ("/livez%2F..%2Fmetrics", 403),
        ("/livez/../metrics", 403),
        ("/livez/", 403),
        ("/livez%2f", 403),
        ("/livez%3F", 403),
        ("/livez%23", 403),
        ("//livez", 403),
        ("/%6detrics", 403),
        ("/livez%00", 403),
        // Before anybody asks who it is.
        ("/livez%", 400),
        ("/apis/metrics.k8s.io/v1beta1/nodes/%zz", 400),
    ] {
        let answer = stranger.get(stage.api, path).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert_eq!(stranger.get_http2(stage.api, path).await, status, "{path}");
    }
    stage.stop().await;
}
