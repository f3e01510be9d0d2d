//! Which requests are answered: only GET, only for this machine by its own name, only from the page itself, and only with
//! the token. A page of another site in the same browser can send requests to this port, also by a name that it makes
//! lead here; it does not know the token, and none of its requests looks like one of ours.

use std::{fmt, fmt::Write as _, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::connections::Proven;

/// The bytes of a token.
const TOKEN: usize = 32;

/// The names of this machine for itself. Any port: it may be forwarded by ssh.
const HOSTS: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// On every answer. Scripts and styles are files of ours, and nothing makes HTML of text.
const HEADERS: [(HeaderName, &str); 8] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=()",
    ),
];

/// What a browser must know.
pub(super) struct Key {
    token: String,
    /// The name of the cookie. Browsers send cookies to every port, so it has the port.
    cookie: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Method,
    Host,
    Site,
    NoToken,
    WrongToken,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "only GET\n"),
            Self::Host => (StatusCode::FORBIDDEN, "not by this name\n"),
            Self::Site => (StatusCode::FORBIDDEN, "not from another site\n"),
            Self::NoToken => (
                StatusCode::UNAUTHORIZED,
                "open the address that kubectl tributary ui wrote\n",
            ),
            Self::WrongToken => (
                StatusCode::FORBIDDEN,
                "this token is of an earlier run: open the address that kubectl tributary ui wrote\n",
            ),
        };
        let mut response = (status, text).into_response();
        if self == Self::Method {
            let allow = HeaderValue::from_static("GET");
            response.headers_mut().insert(header::ALLOW, allow);
        }
        response
    }
}

impl Key {
    /// A new one for a server on this port.
    pub(super) fn random(port: u16) -> anyhow::Result<Self> {
        let mut bytes = [0; TOKEN];
        let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
        let filled = random.fill(&mut bytes);
        filled.map_err(|_| anyhow::anyhow!("failed to get random bytes"))?;
        let mut token = String::new();
        for byte in bytes {
            write!(token, "{byte:02x}")?;
        }
        Ok(Self {
            token,
            cookie: format!("tributary-ui-{port}"),
        })
    }

    /// What the address contains.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Whether it is the token. Takes as long for each guess of the same length.
    fn is_token(&self, guess: &str) -> bool {
        let (ours, guess) = (self.token.as_bytes(), guess.as_bytes());
        let pairs = ours.iter().zip(guess);
        let differences = pairs.fold(0, |all, (one, other)| all | (one ^ other));
        ours.len() == guess.len() && differences == 0
    }

    /// Whether the request may be answered, and whether it brought the token in its address.
    fn decide(&self, request: &Request) -> Result<bool, Refusal> {
        if request.method() != Method::GET {
            return Err(Refusal::Method);
        }
        let headers = request.headers();
        let host = only(headers, &header::HOST).ok_or(Refusal::Host)?;
        if request.uri().authority().is_some() || !is_this_machine(host) {
            return Err(Refusal::Host);
        }
        if !is_from_here(headers, host) {
            return Err(Refusal::Site);
        }
        let query = request.uri().query().unwrap_or_default();
        let is_first = request.uri().path() == "/";
        if let Some(guess) = query.strip_prefix("token=").filter(|_| is_first) {
            return if self.is_token(guess) {
                Ok(true)
            } else {
                Err(Refusal::WrongToken)
            };
        }
        let mut guesses = cookies(headers, &self.cookie).peekable();
        if guesses.peek().is_none() {
            return Err(Refusal::NoToken);
        }
        if guesses.any(|guess| self.is_token(guess)) {
            return Ok(false);
        }
        Err(Refusal::WrongToken)
    }

    fn set_cookie(&self) -> Option<HeaderValue> {
        let Self { token, cookie } = self;
        let value = format!("{cookie}={token}; Path=/; HttpOnly; SameSite=Strict");
        HeaderValue::from_str(&value).ok()
    }
}

/// A header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

fn is_this_machine(host: &str) -> bool {
    let authority = host.parse::<Authority>();
    authority.is_ok_and(|authority| HOSTS.contains(&authority.host()) && !host.contains('@'))
}

/// Whether the page itself sent it, or the user opened it. Browsers that say where a request comes from are believed.
fn is_from_here(headers: &HeaderMap, host: &str) -> bool {
    let own = format!("http://{host}");
    let is_ours = headers.get_all(header::ORIGIN).iter().all(|it| it == &own);
    let text = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    let is_opened = text("sec-fetch-mode") == Some(b"navigate");
    let is_same = match text("sec-fetch-site") {
        None | Some(b"same-origin" | b"none") => true,
        Some(_) => is_opened,
    };
    is_ours && is_same
}

/// The values of a cookie.
fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let all = headers.get_all(header::COOKIE).iter();
    let pairs = all
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    let pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
    pairs.filter_map(move |(known, value)| (known == name).then_some(value))
}

/// Refuses what may not be answered, and puts the headers on every answer.
pub(super) async fn check(State(key): State<Arc<Key>>, request: Request, next: Next) -> Response {
    let decision = key.decide(&request);
    let proven = request.extensions().get::<Proven>().cloned();
    let mut response = match decision {
        Ok(_) => {
            let _in_flight = proven.as_ref().map(Proven::begin);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    };
    let headers = response.headers_mut();
    if decision.is_err() {
        // A stranger gets one answer, so that none of many can wait to be read.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if decision == Ok(true)
        && let Some(cookie) = key.set_cookie()
    {
        headers.insert(header::SET_COOKIE, cookie);
    }
    response
}
