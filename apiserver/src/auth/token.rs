//! Bearer tokens, reviewed by the Kubernetes API.

use std::sync::Arc;

use http::{HeaderMap, header::AUTHORIZATION};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};

use super::{
    ask::{Reviews, Unreviewed},
    cache::{self, Cache, Hold},
    metrics::Spares,
    user::User,
};

/// Tokens whose verdict is held.
const ROOM: usize = 8192;

/// Says whose a token is.
#[derive(Debug)]
pub(crate) struct Tokens {
    reviews: Reviews,
    verdicts: Cache<Verdict, Unreviewed>,
    hold: Hold,
    spares: Spares,
    /// Whom tokens are meant for; the Kubernetes API itself if nobody is named.
    audience: Option<Arc<str>>,
}

/// What a review says of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Whose it is.
    User(Arc<User>),
    /// It is nobody's, with the reason for people.
    Nobody(Arc<str>),
}

impl Tokens {
    /// Verdicts are held as `hold` says; only good ones stand in.
    pub(crate) fn new(reviews: Reviews, hold: Hold, spares: Spares) -> Self {
        Self {
            reviews,
            verdicts: Cache::new(ROOM, spares.clone()),
            hold,
            spares,
            audience: None,
        }
    }

    /// The same for tokens that are meant for `audience`, with room of their own.
    pub(crate) fn meant_for(&self, audience: Arc<str>) -> Self {
        Self {
            audience: Some(audience),
            ..Self::new(self.reviews.apart(), self.hold, self.spares.clone())
        }
    }

    /// Whom tokens are meant for.
    pub(crate) fn audience(&self) -> Option<&str> {
        self.audience.as_deref()
    }

    /// The user whose token this is; `None` if it is nobody's.
    pub(crate) async fn user(&self, token: &str) -> Result<Option<Arc<User>>, Unreviewed> {
        match self.verdict(token).await? {
            Verdict::User(user) => Ok(Some(user)),
            Verdict::Nobody(_) => Ok(None),
        }
    }

    /// Whose token this is, or why it is nobody's.
    pub(crate) async fn verdict(&self, token: &str) -> Result<Verdict, Unreviewed> {
        let ask = || {
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
                let status = reviews.ask(&review).await?.status.unwrap_or_default();
                // The error says that the token could not be checked, which
                // upstream does not hold either.
                let failed = status.error.as_ref().is_some_and(|error| !error.is_empty());
                let verdict = verdict(status, audience.as_deref());
                let hold = match verdict {
                    _ if failed => Hold::default(),
                    Verdict::User(_) => hold,
                    Verdict::Nobody(_) => Hold::only(hold.fresh),
                };
                Ok((verdict, hold))
            }
        };
        self.verdicts.get(cache::key(token.as_bytes()), ask).await
    }
}

/// A name without the verdict counts for nothing; nor does one that is not said
/// to be good for the audience that was asked about, as of an authenticator that
/// knows no audiences.
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

/// The token that a request carries, read as upstream reads it: scheme without
/// case, nothing after the token counts.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let mut words = value.trim().split(' ');
    let scheme = words.next()?;
    let token = words.next().filter(|token| !token.is_empty())?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

#[cfg(test)]
mod tests {
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
}
