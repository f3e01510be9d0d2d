//! Authenticates and authorizes publishers by their tokens
//! (docs/decisions/0013-who-may-publish.md).

use std::sync::Arc;

use k8s_openapi::api::authorization::v1::ResourceAttributes;

use super::{
    Auth,
    access::Decision,
    attributes::Attributes,
    token::{Authentication, Tokens},
    user::User,
    waiting::{Caller, CallerKind},
};

/// The permission that a publisher needs, in RBAC.
const GROUP: &str = "bus.tributary.dev";
const RESOURCE: &str = "samplestreams";
const VERB: &str = "create";

/// Decides by reviews. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Publishing {
    auth: Auth,
    tokens: Arc<Tokens>,
}

/// Why a token may not publish.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MayNot {
    /// The token is not valid, or not for this audience.
    #[error("the token is not valid for audience {audience:?}: {why}")]
    Token { audience: Arc<str>, why: Arc<str> },
    /// Its user has no permission to publish.
    #[error("{user} may not {VERB} {RESOURCE}.{GROUP}{}{reason}", if reason.is_empty() { "" } else { ": " })]
    Forbidden { user: String, reason: Arc<str> },
    /// A review failed, which says nothing about the token. The log has the error: this message
    /// goes to strangers.
    #[error("unable to review {what}, try again")]
    ReviewError { what: &'static str },
}

impl Auth {
    /// Decides about tokens for `audience`.
    ///
    /// Reviews of tokens have their own limits, so that a crowd on the bus does not block users of
    /// the API. Decisions on access share their cache.
    pub(crate) fn publishing(&self, audience: &str) -> Publishing {
        Publishing {
            auth: self.clone(),
            tokens: Arc::new(self.0.tokens.meant_for(audience.into())),
        }
    }
}

impl Publishing {
    /// The user of the token, if it may publish.
    pub(crate) async fn publisher(&self, token: &str) -> Result<Arc<User>, MayNot> {
        let authentication = self
            .tokens
            .authenticate(token, &Caller::of(CallerKind::Unproven))
            .await;
        let user = match authentication.map_err(|_| MayNot::ReviewError { what: "the token" })? {
            Authentication::User(user) => user,
            Authentication::Refused(why) => {
                let audience = self.tokens.audience().unwrap_or_default().into();
                return Err(MayNot::Token { audience, why });
            }
        };
        if user.is_master() {
            return Ok(user);
        }
        let wanted = Attributes::Resource(Box::new(ResourceAttributes {
            group: Some(GROUP.to_owned()),
            resource: Some(RESOURCE.to_owned()),
            verb: Some(VERB.to_owned()),
            version: Some("v1".to_owned()),
            ..ResourceAttributes::default()
        }));
        let publisher = Caller::of(CallerKind::Publisher);
        match self.auth.0.access.decide(&user, &wanted, &publisher).await {
            Ok(Decision::Allowed) => Ok(user),
            Ok(Decision::Denied(reason)) => Err(MayNot::Forbidden {
                user: user.name.clone(),
                reason,
            }),
            Err(_) => Err(MayNot::ReviewError { what: "access" }),
        }
    }
}
