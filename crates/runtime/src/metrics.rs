//! The registry, build information, and the resources that the process uses.

mod expirations;
mod format;
mod process;
mod scheduler;

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use prometheus_client::{encoding::text, metrics::info::Info, registry::Registry};
use tower_http::{CompressionLevel, compression::CompressionLayer};

pub use self::{expirations::Expirations, process::ProcessUsage};
use self::{format::Format, process::Process, scheduler::Scheduler};

/// The commit from which this is built. `unknown` in debug builds, and without git.
const REVISION: &str = env!("TRIBUTARY_REVISION");

/// A registry with the metrics of the process: `process_*`, `tributary_tokio_*` and `tributary_build_info`.
pub fn registry(version: &'static str) -> Registry {
    let mut registry = Registry::default();
    registry.register(
        "tributary_build",
        "The version that runs",
        Info::new([("version", version), ("revision", REVISION)]),
    );
    registry.register_collector(Box::new(Process));
    registry.register_collector(Box::new(Scheduler));
    registry
}

/// `/metrics` of `registry`: `OpenMetrics` for clients that accept it, and otherwise the text format that every client
/// reads (docs/parity.md#metrics). It is compressed for clients that accept that.
pub fn router(registry: Arc<Registry>) -> Router {
    let compression = CompressionLayer::new()
        .gzip(true)
        .quality(CompressionLevel::Fastest);
    let answer = get(move |headers: HeaderMap| {
        let registry = Arc::clone(&registry);
        async move { respond(&registry, &headers) }
    });
    Router::new().route("/metrics", answer).layer(compression)
}

fn respond(registry: &Registry, headers: &HeaderMap) -> Response {
    let format = Format::wanted(headers);
    let mut open = String::new();
    if let Err(error) = text::encode(&mut open, registry) {
        return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response();
    }
    let body = match format {
        Format::OpenMetrics => open,
        Format::Text => format::as_text(&open),
    };
    ([(header::CONTENT_TYPE, format.content_type())], body).into_response()
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(accept: (&str, &str)) -> (HeaderMap, Vec<u8>) {
        let request = Request::get("/metrics").header(accept.0, accept.1);
        let request = request.body(Body::empty()).unwrap();
        let response = router(Arc::new(registry("1.2.3"))).oneshot(request);
        let (head, body) = response.await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        (head.headers, body)
    }

    #[tokio::test]
    async fn the_process_tells_what_it_uses_in_the_names_that_dashboards_know() {
        let (headers, body) = ask(("accept", "text/plain;version=0.0.4")).await;
        assert_eq!(
            headers["content-type"],
            "text/plain; version=0.0.4; charset=utf-8"
        );
        let text = String::from_utf8(body).unwrap();
        let build = format!("{{version=\"1.2.3\",revision=\"{REVISION}\"}} 1\n");
        for line in [
            "# TYPE tributary_build_info gauge\ntributary_build_info{",
            &build,
            "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total ",
            "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes ",
            "# TYPE process_virtual_memory_bytes gauge\nprocess_virtual_memory_bytes ",
            "# TYPE process_virtual_memory_max_bytes gauge\nprocess_virtual_memory_max_bytes ",
            "# TYPE process_open_fds gauge\nprocess_open_fds ",
            "# TYPE process_max_fds gauge\nprocess_max_fds ",
            "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds ",
            "# TYPE tributary_tokio_workers gauge\ntributary_tokio_workers 1\n",
            "# TYPE tributary_tokio_tasks gauge\ntributary_tokio_tasks ",
            "# TYPE tributary_tokio_queue_depth gauge\ntributary_tokio_queue_depth 0\n",
            "# TYPE tributary_tokio_busy_seconds_total counter\ntributary_tokio_busy_seconds_total ",
        ] {
            assert!(text.contains(line), "{line:?} is not in {text}");
        }
        assert!(!text.contains("# EOF"), "{text}");
    }

    #[tokio::test]
    async fn open_metrics_has_its_type_and_ends_with_its_mark() {
        let (headers, body) = ask(("accept", "application/openmetrics-text")).await;
        assert_eq!(
            headers["content-type"],
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        );
        let text = String::from_utf8(body).unwrap();
        assert!(
            text.contains("# TYPE process_cpu_seconds counter\n"),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[tokio::test]
    async fn who_takes_gzip_gets_it() {
        let (headers, body) = ask(("accept-encoding", "gzip")).await;
        assert_eq!(headers["content-encoding"], "gzip");
        assert_eq!(body[..2], [0x1f, 0x8b]);
        assert_eq!(ask(("accept", "*/*")).await.0.get("content-encoding"), None);
    }
}
