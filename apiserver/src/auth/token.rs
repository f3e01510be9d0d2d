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
    verdicts: Cache<Option<Arc<User>>, Unreviewed>,
    hold: Hold,
}

impl Tokens {
    /// Verdicts are held as `hold` says; only good ones stand in.
    pub(crate) fn new(reviews: Reviews, hold: Hold, spares: Spares) -> Self {
        Self {
            reviews,
            verdicts: Cache::new(ROOM, spares),
            hold,
        }
    }

    /// The user whose token this is; `None` if it is nobody's.
    pub(crate) async fn user(&self, token: &str) -> Result<Option<Arc<User>>, Unreviewed> {
        let ask = || {
            let (reviews, hold) = (self.reviews.clone(), self.hold);
            let review = TokenReview {
                spec: TokenReviewSpec {
                    audiences: None,
                    token: Some(token.to_owned()),
                },
                ..TokenReview::default()
            };
            async move {
                let status = reviews.ask(&review).await?.status.unwrap_or_default();
                // The error says that the token could not be checked, which
                // upstream does not hold either.
                let failed = status.error.as_ref().is_some_and(|error| !error.is_empty());
                let verdict = verdict(status).map(Arc::new);
                let hold = match verdict {
                    _ if failed => Hold::default(),
                    Some(_) => hold,
                    None => Hold::only(hold.fresh),
                };
                Ok((verdict, hold))
            }
        };
        self.verdicts.get(cache::key(token.as_bytes()), ask).await
    }
}

/// A name without the verdict counts for nothing.
fn verdict(status: TokenReviewStatus) -> Option<User> {
    let user = status.user.filter(|_| status.authenticated == Some(true))?;
    let extra = user.extra.unwrap_or_default();
    let user = User {
        name: user.username?,
        uid: user.uid.unwrap_or_default(),
        groups: user.groups.unwrap_or_default(),
        extra: extra
            .into_iter()
            .map(|(key, values)| (key.to_lowercase(), values))
            .collect(),
    };
    Some(user.authenticated())
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
