//! Bearer tokens, reviewed by the Kubernetes API.

use std::sync::Arc;

use http::{HeaderMap, header::AUTHORIZATION};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};

use super::{
    ask::{ReviewError, Reviews},
    cache::{self, Cache, How, Settings, Ttl},
    metrics::StaleAnswers,
    user::User,
    waiting::{Caller, WaitingRoom},
};

/// The most valid tokens in the cache.
const ROOM: usize = 8192;

/// The most refused tokens in the cache. Strangers can send any number of them.
const ROOM_FOR_BAD: usize = 2048;

/// Authenticates tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    reviews: Reviews,
    authentications: Cache<Authentication, ReviewError>,
    ttl: Ttl,
    stale_answers: StaleAnswers,
    waiting: WaitingRoom,
    /// The audience of the tokens. `None`: the Kubernetes API itself.
    audience: Option<Arc<str>>,
}

/// The result of a review of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Authentication {
    /// Its user.
    User(Arc<User>),
    /// The token is refused, for this reason.
    Refused(Arc<str>),
}

impl Tokens {
    /// `ttl` says how long results are cached. Only valid tokens are used when they are stale.
    /// `waiting` limits the requests that wait.
    pub(crate) fn new(
        reviews: Reviews,
        ttl: Ttl,
        stale_answers: StaleAnswers,
        waiting: WaitingRoom,
    ) -> Self {
        let settings = Settings {
            room: ROOM,
            room_for_denials: ROOM_FOR_BAD,
            stale_answers: stale_answers.clone(),
            pulse: reviews.pulse().clone(),
            waiting: waiting.clone(),
        };
        Self {
            reviews,
            authentications: Cache::new(settings),
            ttl,
            stale_answers,
            waiting,
            audience: None,
        }
    }

    /// Reviews tokens for `audience`, with its own limits.
    pub(crate) fn meant_for(&self, audience: Arc<str>) -> Self {
        let (reviews, waiting) = (self.reviews.apart(), self.waiting.apart());
        Self {
            audience: Some(audience),
            ..Self::new(reviews, self.ttl, self.stale_answers.clone(), waiting)
        }
    }

    /// The audience of the tokens.
    pub(crate) fn audience(&self) -> Option<&str> {
        self.audience.as_deref()
    }

    /// The user of this token. `None` if the token is refused.
    pub(crate) async fn user(
        &self,
        token: &str,
        caller: &Caller,
    ) -> Result<Option<Arc<User>>, ReviewError> {
        match self.authenticate(token, caller).await? {
            Authentication::User(user) => Ok(Some(user)),
            Authentication::Refused(_) => Ok(None),
        }
    }

    /// The user of this token, or why it is refused.
    pub(crate) async fn authenticate(
        &self,
        token: &str,
        caller: &Caller,
    ) -> Result<Authentication, ReviewError> {
        let ask = |how: How| {
            let (reviews, ttl) = (self.reviews.clone(), self.ttl);
            let audience = self.audience.clone();
            let review = TokenReview {
                spec: TokenReviewSpec {
                    audiences: audience.as_deref().map(|it| vec![it.to_owned()]),
                    token: Some(token.to_owned()),
                },
                ..TokenReview::default()
            };
            async move {
                let status = reviews.ask(&review, &how).await?;
                // The error says that the token could not be checked. Upstream does not cache that
                // either.
                let failed = status.error.as_ref().is_some_and(|error| !error.is_empty());
                let authentication = authentication_of(status, audience.as_deref());
                let ttl = match authentication {
                    _ if failed => Ttl::default(),
                    Authentication::User(_) => ttl,
                    Authentication::Refused(_) => Ttl::denial(ttl.fresh),
                };
                Ok((authentication, ttl))
            }
        };
        let key = cache::key(token.as_bytes());
        self.authentications.get(key, caller, ask).await
    }
}

/// A name counts only if the token is authenticated, and only if its audience is confirmed:
/// authenticators that do not know audiences do not confirm any.
fn authentication_of(status: TokenReviewStatus, audience: Option<&str>) -> Authentication {
    let why = status.error.filter(|error| !error.is_empty());
    let why = why.unwrap_or_else(|| "it belongs to no user".to_owned());
    let good = status.authenticated == Some(true);
    let Some(user) = status.user.filter(|_| good) else {
        return Authentication::Refused(why.into());
    };
    let audiences = status.audiences.unwrap_or_default();
    if audience.is_some_and(|wanted| !audiences.iter().any(|it| it == wanted)) {
        return Authentication::Refused("its audience is another one".into());
    }
    let Some(name) = user.username else {
        return Authentication::Refused(why.into());
    };
    let extra = user.extra.unwrap_or_default();
    let user = User {
        name,
        uid: user.uid.unwrap_or_default(),
        groups: user.groups.unwrap_or_default(),
        extra: extra
            .into_iter()
            .map(|(key, values)| (key.to_lowercase(), values))
            .collect(),
    };
    Authentication::User(Arc::new(user.authenticated()))
}

/// The token of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BearerToken {
    /// No token.
    Nothing,
    /// A token.
    Token(String),
    /// A value that cannot be a token: it is not ASCII.
    Unreadable,
}

impl BearerToken {
    pub(crate) fn by(headers: &HeaderMap) -> Self {
        if let Some(token) = bearer(headers) {
            return Self::Token(token.to_owned());
        }
        let value = headers.get(AUTHORIZATION).filter(|it| it.to_str().is_err());
        let mut words = value
            .iter()
            .flat_map(|value| value.as_bytes().trim_ascii().split(|byte| *byte == b' '));
        match words.next() {
            Some(scheme) if scheme.eq_ignore_ascii_case(b"bearer") => Self::Unreadable,
            _ => Self::Nothing,
        }
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Token(token) => token.len(),
            Self::Nothing | Self::Unreadable => 0,
        }
    }
}

/// The token of a request, read as upstream does: the scheme in any case, and nothing after the
/// token counts.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let mut words = value.trim().split(' ');
    let scheme = words.next()?;
    let token = words.next().filter(|token| !token.is_empty())?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_token_is_what_follows_the_scheme() {
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            (" bearer abc def", Some("abc")),
            ("Bearer", None),
            ("Bearer ", None),
            ("Bearer  abc", None),
            ("Basic abc", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            assert_eq!(bearer(&headers), token, "{value}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }

    #[test]
    fn a_token_that_is_not_ascii_is_there_and_never_valid() {
        for (value, presented) in [
            (&b"Bearer abc"[..], BearerToken::Token("abc".to_owned())),
            (b" bearer \xe4bc", BearerToken::Unreadable),
            (b"Basic \xe4bc", BearerToken::Nothing),
            (b"\xe4", BearerToken::Nothing),
            (b"Basic abc", BearerToken::Nothing),
        ] {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_bytes(value).unwrap();
            headers.insert(AUTHORIZATION, value);
            assert_eq!(BearerToken::by(&headers), presented);
        }
    }
}
