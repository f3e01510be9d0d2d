//! Who asks.

use std::collections::BTreeMap;

/// The group of those who may do everything (k8s.io/apiserver `user`).
const MASTERS: &str = "system:masters";
const ANONYMOUS: &str = "system:anonymous";
const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";

/// A user, as an authenticator found it. Handlers find it among the extensions
/// of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    /// A stable identifier; empty for certificates.
    pub(crate) uid: String,
    pub(crate) groups: Vec<String>,
    /// Further facts, for example to which pod a token belongs.
    pub(crate) extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// Whoever has shown nothing.
    pub(crate) fn anonymous() -> Self {
        Self {
            name: ANONYMOUS.to_owned(),
            groups: vec![UNAUTHENTICATED.to_owned()],
            ..Self::default()
        }
    }

    /// The same in the group of all whose name is known, as every
    /// authenticator upstream adds it.
    #[must_use]
    pub(crate) fn authenticated(mut self) -> Self {
        let known = [AUTHENTICATED, UNAUTHENTICATED];
        if !self.groups.iter().any(|group| known.contains(&&**group)) {
            self.groups.push(AUTHENTICATED.to_owned());
        }
        self
    }

    /// Whether it has shown nothing.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.name == ANONYMOUS
    }

    /// The pod to which its token is bound, as those that Kubernetes puts into pods
    /// are.
    pub(crate) fn pod(&self) -> Option<&str> {
        let names = self.extra.get("authentication.kubernetes.io/pod-name")?;
        names.first().map(String::as_str)
    }

    /// Whether nothing is forbidden.
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
