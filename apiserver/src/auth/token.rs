//! Bearer tokens, reviewed by the Kubernetes API.

use std::sync::Arc;

use http::{HeaderMap, header::AUTHORIZATION};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};

use super::{
    ask::{Reviews, Unreviewed},
    cache::{self, Cache, Hold, How, Settings},
    metrics::Spares,
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
    verdicts: Cache<Verdict, Unreviewed>,
    hold: Hold,
    spares: Spares,
    waiting: WaitingRoom,
    /// The audience of the tokens. `None`: the Kubernetes API itself.
    audience: Option<Arc<str>>,
}

/// The result of a review of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its user.
    User(Arc<User>),
    /// It is refused, with the reason for people.
    Nobody(Arc<str>),
}

impl Tokens {
    /// `hold` says how long results are cached. Only valid tokens are used when they are stale.
    /// `waiting` limits the requests that wait.
    pub(crate) fn new(reviews: Reviews, hold: Hold, spares: Spares, waiting: WaitingRoom) -> Self {
        let settings = Settings {
            room: ROOM,
            room_for_denials: ROOM_FOR_BAD,
            spares: spares.clone(),
            pulse: reviews.pulse().clone(),
            waiting: waiting.clone(),
        };
        Self {
            reviews,
            verdicts: Cache::new(settings),
            hold,
            spares,
            waiting,
            audience: None,
        }
    }

    /// The same for tokens for `audience`, with its own limits.
    pub(crate) fn meant_for(&self, audience: Arc<str>) -> Self {
        let (reviews, waiting) = (self.reviews.apart(), self.waiting.apart());
        Self {
            audience: Some(audience),
            ..Self::new(reviews, self.hold, self.spares.clone(), waiting)
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
    ) -> Result<Option<Arc<User>>, Unreviewed> {
        match self.verdict(token, caller).await? {
            Verdict::User(user) => Ok(Some(user)),
            Verdict::Nobody(_) => Ok(None),
        }
    }

    /// The user of this token, or why it is refused.
    pub(crate) async fn verdict(
        &self,
        token: &str,
        caller: &Caller,
    ) -> Result<Verdict, Unreviewed> {
        let ask = |how: How| {
            let (reviews, hold) = (self.reviews.clone(), self.hold);
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
                let verdict = verdict(status, audience.as_deref());
                let hold = match verdict {
                    _ if failed => Hold::default(),
                    Verdict::User(_) => hold,
                    Verdict::Nobody(_) => Hold::denial(hold.fresh),
                };
                Ok((verdict, hold))
            }
        };
        let key = cache::key(token.as_bytes());
        self.verdicts.get(key, caller, ask).await
    }
}

/// A name counts only if the token is authenticated, and only if its audience is confirmed:
/// authenticators that do not know audiences do not confirm any.
fn verdict(status: TokenReviewStatus, audience: Option<&str>) -> Verdict {
    let why = status.error.filter(|error| !error.is_empty());
    let why = why.unwrap_or_else(|| "it is nobody's".to_owned());
    let good = status.authenticated == Some(true);
    let Some(user) = status.user.filter(|_| good) else {
        return Verdict::Nobody(why.into());
    };
    let audiences = status.audiences.unwrap_or_default();
    if audience.is_some_and(|wanted| !audiences.iter().any(|it| it == wanted)) {
        return Verdict::Nobody("it is meant for others".into());
    }
    let Some(name) = user.username else {
        return Verdict::Nobody(why.into());
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
    Verdict::User(Arc::new(user.authenticated()))
}

/// The token of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// No token.
    Nothing,
    /// A token.
    Token(String),
    /// A value that cannot be a token: it is not ASCII.
    Unreadable,
}

impl Shown {
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
    fn a_token_that_is_not_ascii_is_shown_and_cannot_be_good() {
        for (value, shown) in [
            (&b"Bearer abc"[..], Shown::Token("abc".to_owned())),
            (b" bearer \xe4bc", Shown::Unreadable),
            (b"Basic \xe4bc", Shown::Nothing),
            (b"\xe4", Shown::Nothing),
            (b"Basic abc", Shown::Nothing),
        ] {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_bytes(value).unwrap();
            headers.insert(AUTHORIZATION, value);
            assert_eq!(Shown::by(&headers), shown);
        }
    }
}
