//! Named checks behind `/livez`, `/readyz` and `/healthz`, in the manner of
//! every Kubernetes server (PARITY 6.1).
//!
//! A check is a question asked at request time, not a state kept in step: what
//! it answers cannot be stale.

use std::{fmt, sync::Arc};

use axum::{
    Router,
    extract::{Path, RawQuery, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};

/// One named question; the answer is `Ok`, or the reason why not.
#[derive(Clone)]
pub struct Check {
    name: &'static str,
    ask: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
}

impl Check {
    /// A check called `name`.
    pub fn new(
        name: &'static str,
        ask: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            ask: Arc::new(ask),
        }
    }

    /// The check that always passes: the process answers.
    pub fn ping() -> Self {
        Self::new("ping", || Ok(()))
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.name).finish()
    }
}

/// The checks of one endpoint, in the order in which they are shown.
#[derive(Clone, Debug)]
pub struct Endpoint {
    name: &'static str,
    checks: Arc<[Check]>,
}

impl Endpoint {
    /// The endpoint `/name` with these checks.
    pub fn new(name: &'static str, checks: Vec<Check>) -> Self {
        Self {
            name,
            checks: checks.into(),
        }
    }

    /// The paths it serves: its own, and one for each check.
    pub fn paths(&self) -> Vec<String> {
        let own = format!("/{}", self.name);
        let checks = self.checks.iter();
        let below = checks.map(|check| format!("{own}/{}", check.name));
        std::iter::once(own.clone()).chain(below).collect()
    }

    /// Everything about every check but those excluded: whether all pass, and
    /// the text that says so.
    fn verdict(&self, query: &Query) -> (bool, String) {
        let mut passed = true;
        let mut text = String::new();
        let mut unknown: Vec<&str> = query.exclude.iter().map(String::as_str).collect();
        for check in self.checks.iter() {
            let name = check.name;
            if query.exclude.iter().any(|excluded| excluded == name) {
                unknown.retain(|excluded| *excluded != name);
                line(&mut text, format_args!("[+]{name} excluded: ok"));
            } else if let Err(reason) = (check.ask)() {
                passed = false;
                line(&mut text, format_args!("[-]{name} failed: {reason}"));
            } else {
                line(&mut text, format_args!("[+]{name} ok"));
            }
        }
        if !unknown.is_empty() {
            let names = unknown.join("\",\"");
            line(
                &mut text,
                format_args!(
                    "warn: some health checks cannot be excluded: no matches for \"{names}\""
                ),
            );
        }
        let end = if passed { "passed" } else { "failed" };
        line(&mut text, format_args!("{} check {end}", self.name));
        (passed, text)
    }

    fn respond(&self, query: &Query) -> Response {
        let (passed, text) = self.verdict(query);
        if passed {
            let text = if query.verbose { text } else { "ok".to_owned() };
            plain(StatusCode::OK, text)
        } else {
            plain(StatusCode::INTERNAL_SERVER_ERROR, text)
        }
    }

    fn respond_one(&self, name: &str) -> Response {
        match self.checks.iter().find(|check| check.name == name) {
            None => plain(StatusCode::NOT_FOUND, "404 page not found\n".to_owned()),
            Some(check) => match (check.ask)() {
                Ok(()) => plain(StatusCode::OK, "ok".to_owned()),
                Err(reason) => plain(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    format!("internal server error: {reason}\n"),
                ),
            },
        }
    }
}

/// Routes for all of `endpoints`.
pub fn router(endpoints: impl IntoIterator<Item = Endpoint>) -> Router {
    endpoints
        .into_iter()
        .fold(Router::new(), |router, endpoint| {
            let own = format!("/{}", endpoint.name);
            let all = async |State(endpoint): State<Endpoint>, RawQuery(query): RawQuery| {
                endpoint.respond(&Query::parse(query.as_deref().unwrap_or_default()))
            };
            let one = async |State(endpoint): State<Endpoint>, Path(name): Path<String>| {
                endpoint.respond_one(&name)
            };
            router.merge(
                Router::new()
                    .route(&own, get(all))
                    .route(&format!("{own}/{{*check}}"), get(one))
                    .with_state(endpoint),
            )
        })
}

#[derive(Debug, Default)]
struct Query {
    verbose: bool,
    exclude: Vec<String>,
}

impl Query {
    fn parse(query: &str) -> Self {
        let mut parsed = Self::default();
        for pair in query.split('&') {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("verbose", _) => parsed.verbose = true,
                ("exclude", name) => parsed.exclude.push(name.to_owned()),
                _ => {}
            }
        }
        parsed
    }
}

fn line(text: &mut String, line: fmt::Arguments<'_>) {
    text.push_str(&line.to_string());
    text.push('\n');
}

fn plain(status: StatusCode, text: String) -> Response {
    let mut response = (status, text).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, private"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(path: &str) -> (u16, String) {
        let checks = vec![
            Check::ping(),
            Check::new("store-covered", || Err("2 of 3 nodes".to_owned())),
        ];
        let fine = Endpoint::new("livez", vec![Check::ping()]);
        let router = router([Endpoint::new("readyz", checks), fine]);
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn success_is_two_letters_unless_asked_for_more() {
        assert_eq!(ask("/livez").await, (200, "ok".to_owned()));
        assert_eq!(
            ask("/livez?verbose").await,
            (200, "[+]ping ok\nlivez check passed\n".to_owned())
        );
    }

    #[tokio::test]
    async fn failure_names_the_check_and_the_reason() {
        assert_eq!(
            ask("/readyz").await,
            (
                500,
                "[+]ping ok\n[-]store-covered failed: 2 of 3 nodes\nreadyz check failed\n"
                    .to_owned()
            )
        );
    }

    #[tokio::test]
    async fn a_check_can_be_left_out() {
        assert_eq!(
            ask("/readyz?exclude=store-covered&exclude=nope&verbose").await,
            (
                200,
                "[+]ping ok\n[+]store-covered excluded: ok\nwarn: some health checks cannot be \
                 excluded: no matches for \"nope\"\nreadyz check passed\n"
                    .to_owned()
            )
        );
    }

    #[tokio::test]
    async fn each_check_has_a_path() {
        assert_eq!(ask("/readyz/ping").await, (200, "ok".to_owned()));
        assert_eq!(
            ask("/readyz/store-covered").await,
            (500, "internal server error: 2 of 3 nodes\n".to_owned())
        );
        assert_eq!(ask("/readyz/nope").await.0, 404);
    }
}
