use axum::{Router, middleware, routing::get};
use http_body_util::BodyExt as _;
use prometheus_client::encoding::text;
use tower::ServiceExt as _;
use tributary_testkit::logs::Lines;

use super::*;
use crate::k8s::resource::examples::resources;

/// Verb, version, resource, scope and subresource.
fn labels(method: &str, uri: &str) -> [&'static str; 5] {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let target = Target::of(&method, &uri.parse().unwrap(), &resources());
    let group = if target.resource.is_empty() {
        ""
    } else {
        "metrics.k8s.io"
    };
    assert_eq!(target.group, group, "{uri}");
    let Target {
        verb,
        version,
        resource,
        scope,
        subresource,
        ..
    } = target;
    [verb, version, resource, scope, subresource]
}

#[test]
fn requests_are_distinguished_as_upstream_does() {
    const V1: &str = "/apis/metrics.k8s.io/v1";
    const BETA: &str = "/apis/metrics.k8s.io/v1beta1";
    for (method, uri, expected) in [
        (
            "GET",
            &*format!("{BETA}/nodes"),
            ["LIST", "v1beta1", "nodes", "cluster", ""],
        ),
        (
            "GET",
            &format!("{BETA}/nodes/n1"),
            ["GET", "v1beta1", "nodes", "resource", ""],
        ),
        (
            "GET",
            &format!("{V1}/pods/"),
            ["LIST", "v1", "pods", "cluster", ""],
        ),
        (
            "GET",
            &format!("{V1}/namespaces/shop/pods"),
            ["LIST", "v1", "pods", "namespace", ""],
        ),
        (
            "GET",
            &format!("{V1}/namespaces/shop/pods/web?pretty=true"),
            ["GET", "v1", "pods", "resource", ""],
        ),
        (
            "GET",
            &format!("{V1}/pods?watch=true"),
            ["WATCH", "v1", "pods", "cluster", ""],
        ),
        (
            "GET",
            &format!("{V1}/pods?watch=0"),
            ["LIST", "v1", "pods", "cluster", ""],
        ),
        (
            "DELETE",
            &format!("{V1}/nodes/n1"),
            ["DELETE", "v1", "nodes", "resource", ""],
        ),
        (
            "GET",
            "/readyz/metric-coverage",
            ["GET", "", "", "", "/readyz"],
        ),
        ("GET", "/metrics", ["GET", "", "", "", "/metrics"]),
        ("GET", V1, ["GET", "", "", "", "/apis"]),
    ] {
        assert_eq!(labels(method, uri), expected, "{method} {uri}");
    }
}

#[test]
fn what_a_client_makes_up_is_no_label() {
    for uri in ["/", "/nope", "/readyzzz", "/debug/nodesandmore"] {
        assert_eq!(labels("GET", uri), ["GET", "", "", "", ""], "{uri}");
    }
    for uri in [
        "/apis/made.up/v1/nodes",
        "/apis/metrics.k8s.io/v7/nodes",
        "/apis/metrics.k8s.io/v1/lots",
        "/apis/metrics.k8s.io/v1/namespaces/a/pods/b/c/d",
    ] {
        assert_eq!(labels("GET", uri), ["GET", "", "", "", "/apis"], "{uri}");
    }
    assert_eq!(labels("BREW", "/metrics")[0], "other");
}

/// The metrics after a request to `uri` with the answer `body`.
async fn shown(uri: &str, code: u16, body: &'static str) -> String {
    let mut registry = Registry::default();
    let metrics = RequestMetrics::register(&mut registry, resources());
    let code = StatusCode::from_u16(code).unwrap();
    let router = Router::new()
        .fallback(get(move || async move { (code, body) }))
        .layer(middleware::from_fn_with_state(metrics, measure));
    let request = Request::get(uri).body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let in_flight = "apiserver_current_inflight_requests{request_kind=\"readOnly\"} ";
    assert!(exposition(&registry).contains(&format!("{in_flight}1\n")));
    assert!(!exposition(&registry).contains("apiserver_request_total{"));
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        body
    );
    let text = exposition(&registry);
    assert!(text.contains(&format!("{in_flight}0\n")), "{text}");
    text
}

fn exposition(registry: &Registry) -> String {
    let mut labels = String::new();
    text::encode(&mut labels, registry).unwrap();
    labels
}

#[tokio::test]
async fn a_request_is_counted_when_its_answer_is_sent() {
    let text = shown(
        "/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods",
        200,
        "twelve bytes",
    )
    .await;
    let labels = "component=\"apiserver\",group=\"metrics.k8s.io\",resource=\"pods\",\
        scope=\"namespace\",subresource=\"\",verb=\"LIST\",version=\"v1beta1\"";
    for line in [
        format!("apiserver_request_total{{code=\"200\",dry_run=\"\",{labels}}} 1\n"),
        format!("apiserver_request_duration_seconds_count{{dry_run=\"\",{labels}}} 1\n"),
        format!("apiserver_request_sli_duration_seconds_count{{{labels}}} 1\n"),
        format!("apiserver_response_sizes_sum{{{labels}}} 12.0\n"),
        format!("apiserver_response_sizes_bucket{{le=\"1000.0\",{labels}}} 1\n"),
    ] {
        assert!(text.contains(&line), "{line} is not in {text}");
    }
}

#[tokio::test]
async fn a_request_that_was_turned_away_is_counted_as_that() {
    let labels = "component=\"apiserver\",group=\"metrics.k8s.io\",resource=\"nodes\",\
        scope=\"cluster\",subresource=\"\",verb=\"LIST\",version=\"v1\"";
    for (code, count) in [(429, 1), (504, 1), (403, 0)] {
        let text = shown("/apis/metrics.k8s.io/v1/nodes", code, "").await;
        let line = format!("apiserver_request_terminations_total{{code=\"{code}\",{labels}}} 1\n");
        assert_eq!(text.matches(&line).count(), count, "{line} in {text}");
        let line = format!("apiserver_request_total{{code=\"{code}\",dry_run=\"\",{labels}}} 1\n");
        assert!(text.contains(&line), "{line} is not in {text}");
    }
}

#[tokio::test]
async fn a_request_that_the_client_gave_up_is_no_longer_in_flight() {
    let mut registry = Registry::default();
    let metrics = RequestMetrics::register(&mut registry, resources());
    drop(metrics.begin(Target::of(
        &Method::GET,
        &Uri::from_static("/metrics"),
        &resources(),
    )));
    let text = exposition(&registry);
    assert!(text.contains("apiserver_current_inflight_requests{request_kind=\"readOnly\"} 0\n"));
    assert!(!text.contains("apiserver_request_total{"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_request_has_a_span_and_a_last_line_at_debug() {
    let (lines, _guard) = Lines::collect(tracing::Level::DEBUG);
    let refuse = async || {
        Span::current().record("user", "jane");
        Span::current().record("reason", "Forbidden");
        (StatusCode::FORBIDDEN, "no")
    };
    let metrics = RequestMetrics::register(&mut Registry::default(), resources());
    let router = Router::new()
        .fallback(get(refuse))
        .layer(middleware::from_fn_with_state(metrics, measure));
    let request = Request::get("/apis/metrics.k8s.io/v1/nodes?limit=5");
    let request = request.body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(lines.text(), "");
    response.into_body().collect().await.unwrap();
    let line = "DEBUG request{method=\"GET\" path=\"/apis/metrics.k8s.io/v1/nodes\" user=\"jane\" \
        reason=\"Forbidden\"}: tributary_apiserver::requests::metrics: request ended code=403 \
        took_ms=0 sent=2\n";
    assert_eq!(lines.text(), line);
}
