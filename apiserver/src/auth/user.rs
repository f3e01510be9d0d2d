//! The user of a request.

use std::collections::BTreeMap;

/// The group whose members may do everything (k8s.io/apiserver `user`).
const MASTERS: &str = "system:masters";
const ANONYMOUS: &str = "system:anonymous";
const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";

/// An authenticated user. Handlers find it among the extensions of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    /// A stable identifier; empty for certificates.
    pub(crate) uid: String,
    pub(crate) groups: Vec<String>,
    /// More attributes, for example the pod of a token.
    pub(crate) extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// The anonymous user.
    pub(crate) fn anonymous() -> Self {
        Self {
            name: ANONYMOUS.to_owned(),
            groups: vec![UNAUTHENTICATED.to_owned()],
            ..Self::default()
        }
    }

    /// The same in the group of all authenticated users, as every authenticator upstream adds it.
    #[must_use]
    pub(crate) fn authenticated(mut self) -> Self {
        let known = [AUTHENTICATED, UNAUTHENTICATED];
        if !self.groups.iter().any(|group| known.contains(&&**group)) {
            self.groups.push(AUTHENTICATED.to_owned());
        }
        self
    }

    /// Whether this is the anonymous user.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.name == ANONYMOUS
    }

    /// The pod to which the token is bound. Tokens that Kubernetes mounts into pods are bound.
    pub(crate) fn pod(&self) -> Option<&str> {
        let names = self.extra.get("authentication.kubernetes.io/pod-name")?;
        names.first().map(String::as_str)
    }

    /// Whether the user may do everything.
    pub(crate) fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_all_is_added_once() {
        let jane = User {
            name: "jane".to_owned(),
            groups: vec!["dev".to_owned()],
            ..User::default()
        };
        let jane = jane.authenticated();
        assert_eq!(jane.groups, ["dev", "system:authenticated"]);
        assert_eq!(jane.clone().authenticated(), jane);
        assert_eq!(User::anonymous().authenticated(), User::anonymous());
        assert!(!jane.is_master());
    }
}
