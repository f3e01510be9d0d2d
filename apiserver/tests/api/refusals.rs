//! What is refused, and in which words (docs/parity.md#selection,
//! docs/parity.md#errors).

use std::time::Duration;

use axum::{
    body::Body,
    http::{Method, Request},
};
use tributary_apiserver::store::{FailedScrape, Source};
use tributary_model::Timestamp;

use crate::cluster::{Answer, Cluster, NOW, ask, send};

const BASE: &str = "/apis/metrics.k8s.io/v1beta1";

/// The body of a `Status`.
fn status(message: &str, reason: &str, details: &str, code: u16) -> String {
    let message = serde_json::to_string(message).unwrap();
    format!(
        "{{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{{}},\"status\":\"Failure\",\
         \"message\":{message},\"reason\":\"{reason}\"{details},\"code\":{code}}}\n"
    )
}

async fn refused(path: &str) -> Answer {
    let answer = ask(&Cluster::small().router(), &format!("{BASE}{path}"), &[]).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer
}

#[tokio::test]
async fn objects_that_do_not_exist_are_not_found() {
    for (path, name, kind) in [
        ("/nodes/zzz", "node", "node"),
        ("/namespaces/default/pods/zzz", "pods", "pods"),
        ("/namespaces/none/pods/zzz", "pods", "pods"),
        ("/namespaces//pods/zzz", "pods", "pods"),
        ("/nodes/zz%7A", "node", "node"),
        ("/nodes%2Fzzz//", "node", "node"),
    ] {
        let answer = refused(path).await;
        assert_eq!(answer.status, 404);
        assert_eq!(
            answer.body,
            status(
                &format!("{name} \"zzz\" not found"),
                "NotFound",
                &format!(r#","details":{{"name":"zzz","kind":"{kind}"}}"#),
                404
            )
        );
    }
}

#[tokio::test]
async fn a_name_that_is_no_text_is_not_found() {
    let answer = refused("/nodes/%ff").await;
    let details = ",\"details\":{\"name\":\"\u{fffd}\",\"kind\":\"node\"}";
    let text = "node \"\u{fffd}\" not found";
    assert_eq!(answer.body, status(text, "NotFound", details, 404));
}

#[tokio::test]
async fn objects_without_metrics_are_not_found_and_it_is_said_why() {
    assert_eq!(
        refused("/nodes/n3").await.body,
        status(
            "no metrics for node \"n3\": no scraper has reported it yet",
            "NotFound",
            r#","details":{"name":"n3","group":"metrics.k8s.io","kind":"nodemetrics"}"#,
            404
        )
    );
    assert_eq!(
        refused("/namespaces/default/pods/new").await.body,
        status(
            "no metrics for pod \"default/new\": no scraper has reported it yet",
            "NotFound",
            r#","details":{"name":"default/new","group":"metrics.k8s.io","kind":"podmetrics"}"#,
            404
        )
    );
}

#[tokio::test]
async fn the_last_failure_of_a_node_is_sent() {
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
    let answer = ask(&cluster.router(), &format!("{BASE}/nodes/n3"), &[]).await;
    assert_eq!(
        answer.body,
        status(
            "no metrics for node \"n3\": last scrape failed 12s ago by scraper-2: \
             x509: unknown authority",
            "NotFound",
            r#","details":{"name":"n3","group":"metrics.k8s.io","kind":"nodemetrics"}"#,
            404
        )
    );
}

#[tokio::test]
async fn before_the_lists_are_read_no_client_gets_an_empty_list() {
    let router = Cluster::unread().router();
    for (path, what) in [
        ("/nodes", "node"),
        ("/nodes/n1", "node"),
        ("/pods", "pod"),
        ("/namespaces/default/pods", "pod"),
        ("/namespaces/default/pods/web-1", "pod"),
    ] {
        let answer = ask(&router, &format!("{BASE}{path}"), &[]).await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(
            answer.body,
            status(
                &format!("the {what} list has not been read yet"),
                "ServiceUnavailable",
                r#","details":{}"#,
                503
            )
        );
    }
}

#[tokio::test]
async fn paths_that_do_not_exist_are_not_found() {
    for path in [
        "/nodes/n1/foo",
        "/namespaces/default/nodes",
        "/watch/nodes",
        "/watch/pods",
        "/pods/web-1",
        "/namespaces/default",
        "/namespaces/default/pods/web-1/log",
        "/nothing",
        "//nodes",
        "/nodes//n1",
        "/node%2573",
        "/namespaces/default//pods",
        "/namespaces/default/pods//web-1",
        "/namespaces///pods",
        "/namespaces/default%2Fpods%2Fweb-1/pods",
    ] {
        let answer = refused(path).await;
        assert_eq!(
            answer.body,
            status(
                "the server could not find the requested resource",
                "NotFound",
                r#","details":{}"#,
                404
            ),
            "{path}"
        );
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found_by_any_method() {
    let router = Cluster::small().router();
    for path in [
        &format!("{BASE}/nothing"),
        "/apis/metrics.k8s.io/v2",
        "/version/x",
    ] {
        let request = Request::post(path).body(Body::empty()).unwrap();
        assert_eq!(send(&router, request).await.status, 404, "{path}");
    }
    let request = Request::post("/version//").body(Body::empty()).unwrap();
    assert_eq!(send(&router, request).await.status, 405);
}

#[tokio::test]
async fn every_method_but_get_is_refused() {
    let router = Cluster::small().router();
    for method in [
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ] {
        for path in [
            "/nodes",
            "/nodes/n1",
            "/pods",
            "/namespaces/default/pods/web-1",
            "",
        ] {
            let request = Request::builder()
                .method(&method)
                .uri(format!("{BASE}{path}"));
            let answer = send(&router, request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, 405);
            assert_eq!(answer.header("allow"), Some("GET"));
            assert_eq!(
                answer.body,
                status(
                    "the server does not allow this method on the requested resource",
                    "MethodNotAllowed",
                    r#","details":{}"#,
                    405
                )
            );
        }
    }
    let request = Request::head(format!("{BASE}/nodes"))
        .body(Body::empty())
        .unwrap();
    let head = send(&router, request).await;
    assert_eq!(head.status, 405);
    assert_eq!(head.header("content-type"), Some("application/json"));
    assert_eq!(head.header("content-length"), Some("197"));
}

#[tokio::test]
async fn watching_is_refused_at_once() {
    for (path, resource) in [
        ("/nodes?watch=true", "nodes"),
        ("/nodes?watch=1", "nodes"),
        ("/pods?watch=true&sendInitialEvents=true", "pods"),
        ("/namespaces/default/pods?timeout=3s&watch=true", "pods"),
    ] {
        let answer = refused(path).await;
        assert_eq!(answer.status, 405, "{path}");
        assert_eq!(
            answer.body,
            status(
                &format!(
                    "watch is not supported on resources of kind \"{resource}.metrics.k8s.io\""
                ),
                "MethodNotAllowed",
                &format!(r#","details":{{"group":"metrics.k8s.io","kind":"{resource}"}}"#),
                405
            )
        );
    }
}

#[tokio::test]
async fn parameters_that_cannot_be_read_are_reported() {
    for (query, message) in [
        (
            "labelSelector=!!!",
            "unable to parse requirement: found '!', expected: identifier",
        ),
        (
            "fieldSelector=bogus",
            "invalid selector: 'bogus'; can't understand 'bogus'",
        ),
        (
            "timeoutSeconds=abc",
            "strconv.ParseInt: parsing \"abc\": invalid syntax",
        ),
        (
            "limit=1&continue=abc",
            "continue key is not valid: not a token of this server",
        ),
        (
            "continue=AXBkZWZhdWx0L3dlYi0x",
            "continue key is not valid: it continues another resource",
        ),
        (
            "fieldSelector=spec.unschedulable%3Dfalse",
            "\"spec.unschedulable\" is not a known field selector: \
             only \"metadata.name\", \"metadata.namespace\"",
        ),
    ] {
        let answer = refused(&format!("/nodes?{query}")).await;
        assert_eq!(answer.body, status(message, "BadRequest", "", 400));
    }
    let request = format!("{BASE}/nodes?includeObject=bogus");
    let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    assert_eq!(
        ask(&Cluster::small().router(), &request, &accept)
            .await
            .body,
        unreadable(
            "Unable to convert to Table as requested: includeObject: Invalid value: \"bogus\": \
             must be 'Metadata', 'Object', 'None', or empty",
            "BadRequest",
            "",
            400
        )
    );
}

#[tokio::test]
async fn parameters_that_do_not_fit_together_are_reported() {
    let answer = refused("/nodes?resourceVersionMatch=Bogus").await;
    assert_eq!(answer.status, 422);
    assert_eq!(
        answer.body,
        concat!(
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"ListOptions.meta.k8s.io \"\" is invalid: [resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided, resourceVersionMatch: Unsupported value: \"Bogus\": supported values: \"Exact\", \"NotOlderThan\", \"\"]","#,
            r#""reason":"Invalid","details":{"group":"meta.k8s.io","kind":"ListOptions","causes":[{"reason":"FieldValueForbidden","message":"Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided","field":"resourceVersionMatch"},"#,
            r#"{"reason":"FieldValueNotSupported","message":"Unsupported value: \"Bogus\": supported values: \"Exact\", \"NotOlderThan\", \"\"","field":"resourceVersionMatch"}]},"code":422}"#,
            "\n"
        )
    );
    assert_eq!(refused("/pods?sendInitialEvents=true").await.status, 422);
}

/// Who takes no JSON either gets it nevertheless, for people to read.
fn unreadable(message: &str, reason: &str, details: &str, code: u16) -> String {
    let message = serde_json::to_string(message).unwrap();
    format!(
        "{{\n  \"kind\": \"Status\",\n  \"apiVersion\": \"v1\",\n  \"metadata\": {{}},\n  \
         \"status\": \"Failure\",\n  \"message\": {message},\n  \"reason\": \"{reason}\",\n  \
         {details}\"code\": {code}\n}}"
    )
}

#[tokio::test]
async fn a_client_that_accepts_no_format_gets_the_list_of_formats() {
    let router = Cluster::small().router();
    let unknown = "406: Not Acceptable\n\nAvailable representations: application/json, \
         application/yaml, application/vnd.kubernetes.protobuf, application/json;stream=watch, \
         application/vnd.kubernetes.protobuf;stream=watch";
    let unmade = "only the following media types are accepted: application/json, \
         application/yaml, application/vnd.kubernetes.protobuf";
    for (accept, message) in [
        ("application/cbor", unknown),
        ("text/html", unknown),
        (
            "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io",
            unmade,
        ),
        (
            "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
            unmade,
        ),
    ] {
        let answer = ask(&router, &format!("{BASE}/nodes"), &[("accept", accept)]).await;
        assert_eq!(answer.status, 406, "{accept}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let details = if message == unknown {
            "\"details\": {},\n  "
        } else {
            ""
        };
        let expected = unreadable(message, "NotAcceptable", details, 406);
        assert_eq!(answer.body, expected);
        assert_eq!(
            answer.header("content-length"),
            Some(&*expected.len().to_string())
        );
    }
    let html = [("accept", "text/html")];
    let document = ask(&router, "/openapi/v2", &html).await;
    assert_eq!(
        document.body,
        unreadable(
            "406: Not Acceptable\n\nAvailable representations: application/json",
            "NotAcceptable",
            "\"details\": {},\n  ",
            406
        )
    );
}

#[tokio::test]
async fn a_refusal_is_in_what_the_client_prefers() {
    let router = Cluster::small().router();
    let path = format!("{BASE}/nodes/zzz");
    let yaml = ask(&router, &path, &[("accept", "application/yaml")]).await;
    assert_eq!(yaml.status, 404);
    assert_eq!(yaml.header("content-type"), Some("application/yaml"));
    assert_eq!(
        yaml.body,
        "apiVersion: v1\ncode: 404\ndetails:\n  kind: node\n  name: zzz\nkind: Status\n\
         message: node \"zzz\" not found\nmetadata: {}\nreason: NotFound\nstatus: Failure\n"
    );
    let accept = "application/vnd.kubernetes.protobuf, application/json";
    let protobuf = ask(&router, &path, &[("accept", accept)]).await;
    assert_eq!(protobuf.status, 404);
    // Recorded from metrics-server v0.9.0.
    assert_eq!(protobuf.header("content-length"), Some("95"));
    assert_eq!(
        protobuf.bytes,
        b"k8s\0\x0a\x0c\x0a\x02v1\x12\x06Status\x12\x47\
          \x0a\x06\x0a\x00\x12\x00\x1a\x00\x12\x07Failure\x1a\x14node \"zzz\" not found\
          \x22\x08NotFound\x2a\x11\x0a\x03zzz\x12\x00\x1a\x04node\x28\x00\x32\x00\
          \x30\x94\x03\x1a\x00\x22\x00"
    );
}
