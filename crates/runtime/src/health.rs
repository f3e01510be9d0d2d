//! Named checks behind `/livez`, `/readyz` and `/healthz`, as every Kubernetes server has them
//! (docs/parity.md#probes).
//!
//! A check runs at request time. One that costs more, such as `metric-coverage`, repeats its result for a moment.

use std::{fmt, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Path, RawQuery, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use parking_lot::Mutex;
use tracing::info;

/// A named check. The result is `Ok`, or the reason of the failure.
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

    /// The check that always passes: the process responds.
    pub fn ping() -> Self {
        Self::new("ping", || Ok(()))
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.name).finish()
    }
}

/// The checks of one endpoint, in the order of the response.
#[derive(Clone, Debug)]
pub struct Endpoint {
    name: &'static str,
    checks: Arc<[Check]>,
    /// Whether reasons are hidden from callers without permission.
    without_reasons: bool,
    /// The failures that were logged last.
    last_logged: Arc<Mutex<String>>,
}

impl Endpoint {
    /// The endpoint `/name` with these checks.
    pub fn new(name: &'static str, checks: Vec<Check>) -> Self {
        Self {
            name,
            checks: checks.into(),
            without_reasons: false,
            last_logged: Arc::default(),
        }
    }

    /// Its paths: its own, and one for each check.
    pub fn paths(&self) -> Vec<String> {
        let own = format!("/{}", self.name);
        let checks = self.checks.iter();
        let below = checks.map(|check| format!("{own}/{}", check.name));
        std::iter::once(own.clone()).chain(below).collect()
    }

    fn router(self) -> Router {
        let own = format!("/{}", self.name);
        let all = async |State(endpoint): State<Self>, RawQuery(query): RawQuery| {
            endpoint.respond(&Query::parse(query.as_deref().unwrap_or_default()))
        };
        let one = async |State(endpoint): State<Self>, Path(name): Path<String>| {
            endpoint.respond_one(&name)
        };
        Router::new()
            .route(&own, get(all))
            .route(&format!("{own}/{{*check}}"), get(one))
            .with_state(self)
    }

    /// The results of all checks except the excluded ones.
    fn result(&self, query: &Query) -> ProbeResult {
        let mut result = ProbeResult::default();
        let mut unknown: Vec<&str> = query.exclude.iter().map(String::as_str).collect();
        for check in self.checks.iter() {
            let name = check.name;
            if query.exclude.iter().any(|excluded| excluded == name) {
                unknown.retain(|excluded| *excluded != name);
                result.say(format_args!("[+]{name} excluded: ok"));
            } else if let Err(reason) = (check.ask)() {
                line(&mut result.failing, format_args!("{name}: {reason}"));
                line(&mut result.open, format_args!("[-]{name} failed: {reason}"));
                line(
                    &mut result.without_reasons,
                    format_args!("[-]{name} failed: {WITHHELD}"),
                );
            } else {
                result.say(format_args!("[+]{name} ok"));
            }
        }
        if !unknown.is_empty() {
            let names = unknown.join("\",\"");
            result.say(format_args!(
                "warn: some health checks cannot be excluded: no matches for \"{names}\""
            ));
        }
        let passed = result.failing.is_empty();
        let end = if passed { "passed" } else { "failed" };
        result.say(format_args!("{} check {end}", self.name));
        result
    }

    fn respond(&self, query: &Query) -> Response {
        let ProbeResult {
            failing,
            open,
            without_reasons,
        } = self.result(query);
        if query.exclude.is_empty() {
            self.tell(&failing);
        }
        if failing.is_empty() {
            let text = if query.verbose { open } else { "ok".to_owned() };
            plain(StatusCode::OK, text)
        } else {
            self.failed(open, without_reasons)
        }
    }

    fn respond_one(&self, name: &str) -> Response {
        match self.checks.iter().find(|check| check.name == name) {
            None => plain(StatusCode::NOT_FOUND, "404 page not found\n".to_owned()),
            Some(check) => match (check.ask)() {
                Ok(()) => plain(StatusCode::OK, "ok".to_owned()),
                Err(reason) => self.failed(
                    format!("internal server error: {reason}\n"),
                    format!("internal server error: {WITHHELD}\n"),
                ),
            },
        }
    }

    /// The response to a failure, with the reasons and without.
    fn failed(&self, open: String, without_reasons: String) -> Response {
        const FAILED: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;
        if !self.without_reasons {
            return plain(FAILED, open);
        }
        let mut response = plain(FAILED, without_reasons);
        response.extensions_mut().insert(Withheld(open));
        response
    }

    /// Logs failures, once for each change, because callers may not keep the response.
    fn tell(&self, failing: &str) {
        let mut last_logged = self.last_logged.lock();
        if *last_logged == failing {
            return;
        }
        let names = |text: &str| -> Vec<String> {
            let names = text.lines().filter_map(|line| line.split_once(": "));
            names.map(|(name, _)| name.to_owned()).collect()
        };
        // A reason may have numbers. If only they change, nothing is logged.
        let is_news = names(&last_logged) != names(failing);
        failing.clone_into(&mut last_logged);
        if !is_news {
            return;
        }
        if failing.is_empty() {
            info!(endpoint = self.name, "all health checks pass");
        } else {
            info!(
                endpoint = self.name,
                error = failing.trim_end(),
                "health checks fail"
            );
        }
    }
}

/// The results of the checks of an endpoint.
#[derive(Debug, Default)]
struct ProbeResult {
    /// A line for each failure, with the reason.
    failing: String,
    /// The whole response.
    open: String,
    /// The whole response without reasons.
    without_reasons: String,
}

impl ProbeResult {
    fn say(&mut self, text: fmt::Arguments<'_>) {
        line(&mut self.open, text);
        line(&mut self.without_reasons, text);
    }
}

/// The full response, which is hidden. A layer that knows the caller may take it from the
/// extensions of the response.
#[derive(Clone, Debug)]
pub struct Withheld(String);

impl Withheld {
    /// The response with reasons.
    pub fn reveal(self, response: &mut Response) {
        *response.body_mut() = Body::from(self.0);
    }
}

/// The text in place of a reason, as upstream.
const WITHHELD: &str = "reason withheld";

/// Routes for all of `endpoints` that show why a check fails: for a port that not every client can
/// reach.
pub fn router(endpoints: impl IntoIterator<Item = Endpoint>) -> Router {
    endpoints
        .into_iter()
        .fold(Router::new(), |router, endpoint| {
            router.merge(endpoint.router())
        })
}

/// The same without reasons, which are [`Withheld`].
pub fn router_without_reasons(endpoints: impl IntoIterator<Item = Endpoint>) -> Router {
    router(endpoints.into_iter().map(|endpoint| Endpoint {
        without_reasons: true,
        ..endpoint
    }))
}

/// The most checks that a query can exclude: several times those that exist. Every client may send
/// it, and each is compared with each check.
const EXCLUDED: usize = 64;

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
                ("exclude", name) if parsed.exclude.len() < EXCLUDED => {
                    parsed.exclude.push(name.to_owned());
                }
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
    use axum::http::Request;
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
        (status, text(response).await)
    }

    async fn text(response: Response) -> String {
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
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
    async fn a_reason_can_be_withheld_and_revealed() {
        let checks = || {
            let covered = Check::new("store-covered", || Err("2 of 3 nodes".to_owned()));
            vec![Check::ping(), covered]
        };
        for (path, withheld, revealed) in [
            (
                "/readyz",
                "[+]ping ok\n[-]store-covered failed: reason withheld\nreadyz check failed\n",
                "[+]ping ok\n[-]store-covered failed: 2 of 3 nodes\nreadyz check failed\n",
            ),
            (
                "/readyz/store-covered",
                "internal server error: reason withheld\n",
                "internal server error: 2 of 3 nodes\n",
            ),
        ] {
            let router = router_without_reasons([Endpoint::new("readyz", checks())]);
            let request = || Request::get(path).body(Body::empty()).unwrap();
            let response = router.clone().oneshot(request()).await.unwrap();
            assert_eq!(text(response).await, withheld);
            let mut response = router.oneshot(request()).await.unwrap();
            let reasons = response.extensions_mut().remove::<Withheld>().unwrap();
            reasons.reveal(&mut response);
            assert_eq!(text(response).await, revealed);
        }
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
