//! A ServiceAccount, as flags name it.

use std::{fmt, str::FromStr};

/// `[NAMESPACE/]NAME`, both of them names that can stand in a URL of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Without it, the namespace of this pod.
    pub namespace: Option<String>,
    /// Never empty.
    pub name: String,
}

/// What is no name of a ServiceAccount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("should be [NAMESPACE/]NAME of a ServiceAccount")]
pub struct BadServiceAccount;

impl FromStr for ServiceAccount {
    type Err = BadServiceAccount;

    fn from_str(text: &str) -> Result<Self, BadServiceAccount> {
        let (namespace, name) = match text.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, text),
        };
        let fits = |name: &str, most: usize| {
            (1..=most).contains(&name.len()) && name.split('.').all(is_label)
        };
        let namespace_fits =
            namespace.is_none_or(|namespace| fits(namespace, 63) && !namespace.contains('.'));
        if !fits(name, 253) || !namespace_fits {
            return Err(BadServiceAccount);
        }
        Ok(Self {
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        })
    }
}

/// Whether it is a DNS label of small letters.
fn is_label(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(letter)
        && text.ends_with(letter)
        && text.chars().all(|c| letter(c) || c == '-')
}

impl fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_namespace_or_none() {
        let account = |text: &str| text.parse::<ServiceAccount>();
        let reader = account("kubelet-reader").unwrap();
        assert_eq!(
            (reader.namespace.as_deref(), &*reader.name),
            (None, "kubelet-reader")
        );
        let reader = account("monitoring/kubelet.reader").unwrap();
        assert_eq!(reader.namespace.as_deref(), Some("monitoring"));
        assert_eq!(reader.to_string(), "monitoring/kubelet.reader");
    }

    #[test]
    fn what_cannot_stand_in_a_url_is_refused() {
        for text in [
            "", "/", "a/", "/b", "a/b/c", "a.b/c", "A", "a_b", "a/../b", "..", "a.", "-a", "a?b",
        ] {
            assert_eq!(
                text.parse::<ServiceAccount>(),
                Err(BadServiceAccount),
                "{text}"
            );
        }
    }
}
