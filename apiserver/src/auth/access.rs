//! Authorization by reviews of the Kubernetes API.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::authorization::v1::{SubjectAccessReview, SubjectAccessReviewSpec};

use super::{
    ask::{ReviewError, Reviews},
    attributes::Attributes,
    cache::{self, Cache, How, Settings, Ttl},
    metrics::StaleAnswers,
    user::User,
    waiting::{Caller, WaitingRoom},
};

/// The most cached approvals, as upstream.
const ROOM: usize = 8192;

/// The most cached denials. Every caller can cause any number of them.
const ROOM_FOR_DENIALS: usize = 2048;

/// Decisions on questions of more bytes are not cached, as upstream.
const LONGEST_CACHED: usize = 10_000;

/// A decision of the authorizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The user may do it.
    Allowed,
    /// The user may not, with the reason, which may be empty.
    Denied(Arc<str>),
}

/// How long decisions are cached.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Holds {
    /// Approvals.
    pub(crate) allowed: Ttl,
    /// Denials. They are never used when they are stale.
    pub(crate) denied: Duration,
}

/// Authorizes users.
#[derive(Debug)]
pub(crate) struct Access {
    reviews: Reviews,
    decisions: Cache<Decision, ReviewError>,
    ttls: Holds,
}

impl Access {
    /// `ttls` says how long decisions are cached, and `waiting` limits the requests that wait for
    /// them.
    pub(crate) fn new(
        reviews: Reviews,
        ttls: Holds,
        stale_answers: StaleAnswers,
        waiting: WaitingRoom,
    ) -> Self {
        let settings = Settings {
            room: ROOM,
            room_for_denials: ROOM_FOR_DENIALS,
            stale_answers,
            pulse: reviews.pulse().clone(),
            waiting,
        };
        Self {
            reviews,
            decisions: Cache::new(settings),
            ttls,
        }
    }

    /// Whether `user` may do what `attributes` say. `caller` waits for it.
    pub(crate) async fn decide(
        &self,
        user: &User,
        attributes: &Attributes,
        caller: &Caller,
    ) -> Result<Decision, ReviewError> {
        let review = SubjectAccessReview {
            spec: spec(user, attributes),
            ..SubjectAccessReview::default()
        };
        // The whole question is the key. Serializing it cannot fail, because it is all strings.
        let question = serde_json::to_vec(&review.spec).unwrap_or_default();
        let ttls = if question.len() < LONGEST_CACHED {
            self.ttls
        } else {
            Holds::default()
        };
        let ask = |how: How| {
            let reviews = self.reviews.clone();
            async move {
                let status = reviews.ask(&review, &how).await?;
                if status.allowed && status.denied != Some(true) {
                    return Ok((Decision::Allowed, ttls.allowed));
                }
                let reason = status.reason.unwrap_or_default();
                let ttl = Ttl::denial(ttls.denied);
                Ok((Decision::Denied(reason.into()), ttl))
            }
        };
        let key = cache::key(&question);
        self.decisions.get(key, caller, ask).await
    }
}

fn spec(user: &User, attributes: &Attributes) -> SubjectAccessReviewSpec {
    SubjectAccessReviewSpec {
        user: Some(user.name.clone()),
        groups: (!user.groups.is_empty()).then(|| user.groups.clone()),
        uid: (!user.uid.is_empty()).then(|| user.uid.clone()),
        extra: (!user.extra.is_empty()).then(|| user.extra.clone()),
        resource_attributes: attributes.resource(),
        non_resource_attributes: attributes.path(),
    }
}

/// Paths without authorization: `--authorization-always-allow-paths`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OpenPaths {
    exact: Vec<String>,
    prefixes: Vec<String>,
}

impl OpenPaths {
    /// Reads the values of the flag: a path, or a prefix that ends with `*`. The first slash may be
    /// missing.
    ///
    /// # Errors
    ///
    /// A `*` is not at the end. The message is upstream's.
    pub(crate) fn new(paths: &[String]) -> Result<Self, String> {
        let mut open = Self::default();
        for path in paths {
            let plain = path.strip_prefix('/').unwrap_or(path);
            match plain.strip_suffix('*') {
                Some(prefix) if !prefix.contains('*') => open.prefixes.push(prefix.to_owned()),
                None if !plain.contains('*') => open.exact.push(plain.to_owned()),
                _ => return Err(format!("only trailing * allowed in {plain:?}")),
            }
        }
        Ok(open)
    }

    /// Whether `attributes` are for such a path.
    pub(crate) fn has(&self, attributes: &Attributes) -> bool {
        let Attributes::Path { path, .. } = attributes else {
            return false;
        };
        let path = path.strip_prefix('/').unwrap_or(path);
        self.exact.iter().any(|exact| exact == path)
            || self
                .prefixes
                .iter()
                .any(|prefix| path.starts_with(prefix.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::k8s::resource::examples::resources;

    fn open(paths: &[&str]) -> Result<OpenPaths, String> {
        OpenPaths::new(&paths.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn a_path_is_open_whole_or_by_prefix() {
        let open = open(&["/healthz", "livez", "/public/*"]).unwrap();
        for (path, is) in [
            ("/healthz", true),
            ("/livez", true),
            ("/healthz/ping", false),
            ("/public/x/y", true),
            ("/publicity", false),
            ("/apis/metrics.k8s.io/v1/nodes", false),
        ] {
            let attributes = Attributes::of(&Method::GET, &path.parse().unwrap(), &resources());
            assert_eq!(open.has(&attributes), is, "{path}");
        }
    }

    #[test]
    fn resources_are_never_open() {
        let all = open(&["*"]).unwrap();
        let of = |path: &str| Attributes::of(&Method::GET, &path.parse().unwrap(), &resources());
        assert!(all.has(&of("/metrics")));
        assert!(!all.has(&of("/apis/metrics.k8s.io/v1/nodes")));
    }

    #[test]
    fn a_star_in_the_middle_is_refused() {
        assert_eq!(
            open(&["/a*b"]),
            Err("only trailing * allowed in \"a*b\"".to_owned())
        );
        assert!(open(&["/a**"]).is_err());
    }
}
