//! The users of the simulated cluster: identities, ServiceAccount tokens and permissions.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::encode::{base64_url, hash, uid};

/// The audience of the Kubernetes API, which a token has by default.
pub const API_AUDIENCE: &str = "https://kubernetes.default.svc";

/// A caller, as an authenticator reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's name.
    pub user: String,
    /// A stable identifier; empty for certificates.
    pub uid: String,
    /// All groups, including `system:authenticated`.
    pub groups: Vec<String>,
    /// More attributes, for example the pod of a token.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Identity {
    pub(crate) fn certificate(user: &str, groups: &[&str], sha256: &str) -> Self {
        let groups = groups
            .iter()
            .copied()
            .chain(["system:authenticated"])
            .map(str::to_owned)
            .collect();
        let credential = format!("X509SHA256={sha256}");
        let extra = [(
            "authentication.kubernetes.io/credential-id".to_owned(),
            vec![credential],
        )]
        .into();
        Self {
            user: user.to_owned(),
            uid: String::new(),
            groups,
            extra,
        }
    }
}

/// The content of a new token. See [`Cluster::mint`](crate::Cluster::mint).
#[derive(Clone, Debug)]
pub struct TokenSpec {
    /// For example `system:serviceaccount:kube-system:tributary-scraper`. The groups follow from such a name.
    pub user: String,
    /// Groups in addition to those that follow from the name.
    pub groups: Vec<String>,
    /// The audiences of the token. If empty, [`API_AUDIENCE`].
    pub audiences: Vec<String>,
    /// How long it is valid. `None`: forever.
    pub lifetime: Option<Duration>,
    /// The pod to which it is bound. TokenReview returns it as `authentication.kubernetes.io/pod-name`.
    pub pod: Option<String>,
}

impl TokenSpec {
    /// A token of `user` for the Kubernetes API that does not expire.
    pub fn new(user: &str) -> Self {
        Self {
            user: user.to_owned(),
            groups: Vec::new(),
            audiences: Vec::new(),
            lifetime: None,
            pod: None,
        }
    }

    /// Adds an audience.
    #[must_use]
    pub fn audience(mut self, audience: &str) -> Self {
        self.audiences.push(audience.to_owned());
        self
    }

    /// Makes it expire after `lifetime`.
    #[must_use]
    pub fn lifetime(self, lifetime: Duration) -> Self {
        Self {
            lifetime: Some(lifetime),
            ..self
        }
    }

    /// Binds it to a pod.
    #[must_use]
    pub fn pod(self, name: &str) -> Self {
        Self {
            pod: Some(name.to_owned()),
            ..self
        }
    }
}

#[derive(Debug)]
struct Token {
    identity: Arc<Identity>,
    audiences: Vec<String>,
    expires: Option<Timestamp>,
}

/// What a user wants to do, as attributes of RBAC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) verb: String,
    pub(crate) group: String,
    /// With a subresource: `nodes/metrics`.
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Set for a path that is not a resource, such as `/metrics`.
    pub(crate) path: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    /// A user or a group.
    who: String,
    verb: String,
    group: String,
    resource: String,
}

/// Tokens and permissions. Plain data. The cluster has it behind its lock.
#[derive(Debug, Default)]
pub(crate) struct Access {
    tokens: HashMap<String, Token>,
    minted: u64,
    rules: Vec<Rule>,
    /// Users without the default permission.
    restricted: BTreeSet<String>,
}

impl Access {
    pub(crate) fn mint(&mut self, spec: TokenSpec, now: Timestamp) -> String {
        let identity = identity_of(&spec);
        let audiences = if spec.audiences.is_empty() {
            vec![API_AUDIENCE.to_owned()]
        } else {
            spec.audiences
        };
        let expires = spec
            .lifetime
            .and_then(|lifetime| now.checked_add(lifetime).ok());
        self.minted += 1;
        let token = jwt(&identity, &audiences, now, expires, self.minted);
        self.tokens.insert(
            token.clone(),
            Token {
                identity: Arc::new(identity),
                audiences,
                expires,
            },
        );
        token
    }

    /// Makes a token invalid, like the deletion of its pod.
    pub(crate) fn revoke(&mut self, token: &str) {
        self.tokens.remove(token);
    }

    /// The identity of a token and its audiences among `wanted`, or why the token is not valid.
    pub(crate) fn check(
        &self,
        token: &str,
        wanted: &[String],
        now: Timestamp,
    ) -> Result<(Arc<Identity>, Vec<String>), &'static str> {
        let known = self.tokens.get(token).ok_or("invalid bearer token")?;
        if known.expires.is_some_and(|expires| expires <= now) {
            return Err("token has expired");
        }
        let own = [API_AUDIENCE.to_owned()];
        let wanted = if wanted.is_empty() { &own } else { wanted };
        let shared: Vec<String> = wanted
            .iter()
            .filter(|audience| known.audiences.contains(audience))
            .cloned()
            .collect();
        if shared.is_empty() {
            return Err("token audiences are not valid for this target audience");
        }
        Ok((Arc::clone(&known.identity), shared))
    }

    pub(crate) fn allow(&mut self, who: &str, verb: &str, group: &str, resource: &str) {
        self.rules.push(Rule {
            who: who.to_owned(),
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
        });
    }

    pub(crate) fn restrict(&mut self, user: &str) {
        self.restricted.insert(user.to_owned());
    }

    /// Whether a user in these groups may do that. Administrators always may. So may `ServiceAccounts` and the scraper's
    /// certificate, unless they are restricted.
    pub(crate) fn allows(&self, user: &str, groups: &[String], wanted: &Attributes) -> bool {
        if groups.iter().any(|group| group == "system:masters") {
            return true;
        }
        let own = user.starts_with("system:serviceaccount:") || user == crate::pki::SCRAPER_USER;
        if own && !self.restricted.contains(user) {
            return true;
        }
        let resource = wanted.path.as_deref().unwrap_or(&wanted.resource);
        self.rules.iter().any(|rule| {
            (rule.who == user || groups.contains(&rule.who))
                && fits(&rule.verb, &wanted.verb)
                && fits(&rule.group, &wanted.group)
                && fits(&rule.resource, resource)
        })
    }
}

fn fits(rule: &str, wanted: &str) -> bool {
    rule == "*" || rule == wanted
}

fn identity_of(spec: &TokenSpec) -> Identity {
    let mut groups = spec.groups.clone();
    if let Some((namespace, _)) = service_account(&spec.user) {
        groups.push("system:serviceaccounts".to_owned());
        groups.push(format!("system:serviceaccounts:{namespace}"));
    }
    groups.push("system:authenticated".to_owned());
    let mut extra = BTreeMap::new();
    let id = uid(&["jti", &spec.user]);
    extra.insert(
        "authentication.kubernetes.io/credential-id".to_owned(),
        vec![format!("JTI={id}")],
    );
    if let Some(pod) = &spec.pod {
        extra.insert(
            "authentication.kubernetes.io/pod-name".to_owned(),
            vec![pod.clone()],
        );
        extra.insert(
            "authentication.kubernetes.io/pod-uid".to_owned(),
            vec![uid(&["pod", pod])],
        );
    }
    Identity {
        user: spec.user.clone(),
        uid: uid(&["user", &spec.user]),
        groups,
        extra,
    }
}

/// Namespace and name of `system:serviceaccount:namespace:name`.
fn service_account(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix("system:serviceaccount:")?.split_once(':')
}

/// A token in the form of a projected ServiceAccount token, so that clients can read when it expires. Its signature is
/// not checked, because the API server knows the text of each token.
fn jwt(
    identity: &Identity,
    audiences: &[String],
    now: Timestamp,
    expires: Option<Timestamp>,
    serial: u64,
) -> String {
    let header = json!({ "alg": "RS256", "kid": "simulated" });
    let mut claims = json!({
        "aud": audiences,
        "iat": now.as_second(),
        "iss": API_AUDIENCE,
        "jti": uid(&["jti", &identity.user]),
        "nbf": now.as_second(),
        "sub": identity.user,
    });
    if let (Some(expires), Some(claims)) = (expires, claims.as_object_mut()) {
        claims.insert("exp".to_owned(), json!(expires.as_second()));
    }
    let text = format!(
        "{}.{}",
        base64_url(header.to_string().as_bytes()),
        base64_url(claims.to_string().as_bytes())
    );
    let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), serial);
    let signature = [
        hash(&[&text]).to_be_bytes(),
        random.to_be_bytes(),
        serial.to_be_bytes(),
    ]
    .concat();
    format!("{text}.{}", base64_url(&signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRAPER: &str = "system:serviceaccount:kube-system:scraper";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_token_is_valid_for_its_audience_until_it_expires() {
        let mut access = Access::default();
        let spec = TokenSpec::new(SCRAPER)
            .audience("tributary-bus")
            .lifetime(Duration::from_mins(1))
            .pod("scraper-0");
        let token = access.mint(spec, at(100));
        let bus = ["tributary-bus".to_owned()];

        let (identity, audiences) = access.check(&token, &bus, at(159)).unwrap();
        assert_eq!(identity.user, SCRAPER);
        assert_eq!(
            identity.groups,
            [
                "system:serviceaccounts",
                "system:serviceaccounts:kube-system",
                "system:authenticated"
            ]
        );
        assert_eq!(
            identity.extra["authentication.kubernetes.io/pod-name"],
            ["scraper-0"]
        );
        assert_eq!(audiences, bus);
        assert_eq!(
            access.check(&token, &bus, at(160)),
            Err("token has expired")
        );
        assert_eq!(
            access.check(&token, &[], at(100)),
            Err("token audiences are not valid for this target audience")
        );
        access.revoke(&token);
        assert_eq!(
            access.check(&token, &bus, at(100)),
            Err("invalid bearer token")
        );
    }

    #[test]
    fn a_restricted_service_account_may_only_what_a_rule_says() {
        let mut access = Access::default();
        let publish = Attributes {
            verb: "create".to_owned(),
            group: "bus.tributary.dev".to_owned(),
            resource: "samplestreams".to_owned(),
            ..Attributes::default()
        };
        assert!(access.allows(SCRAPER, &[], &publish));
        access.restrict(SCRAPER);
        assert!(!access.allows(SCRAPER, &[], &publish));
        access.allow(SCRAPER, "create", "bus.tributary.dev", "*");
        assert!(access.allows(SCRAPER, &[], &publish));
        assert!(!access.allows("jane", &["dev".to_owned()], &publish));
        assert!(access.allows("root", &["system:masters".to_owned()], &publish));
    }
}
