//! Labels of an object: few, sorted, shared, never changed.

use std::{fmt, sync::Arc};

/// The labels of an object, sorted by key. Cheap to clone.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels(Option<Arc<[Label]>>);

/// Key and value.
type Label = (Box<str>, Box<str>);

impl Labels {
    /// The value of the label `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        let labels = self.as_slice();
        let at = labels
            .binary_search_by(|(have, _)| (**have).cmp(key))
            .ok()?;
        labels.get(at).map(|(_, value)| &**value)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Keys and values in the order of the keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.as_slice()
            .iter()
            .map(|(key, value)| (&**key, &**value))
    }

    fn as_slice(&self) -> &[Label] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl<K: Into<Box<str>>, V: Into<Box<str>>> FromIterator<(K, V)> for Labels {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(labels: T) -> Self {
        let mut labels: Vec<Label> = labels
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        // As a map would: the last of several values stays.
        labels.reverse();
        labels.sort_by(|(one, _), (other, _)| one.cmp(other));
        labels.dedup_by(|(one, _), (other, _)| one == other);
        Self((!labels.is_empty()).then(|| labels.into()))
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_and_sorted() {
        let labels = Labels::from_iter([("tier", "x"), ("app", "web"), ("tier", "front")]);
        assert_eq!(format!("{labels:?}"), r#"{"app": "web", "tier": "front"}"#);
        assert_eq!(labels.get("tier"), Some("front"));
        assert_eq!(labels.get("ti"), None);
        assert!(Labels::from_iter(Vec::<(&str, &str)>::new()).is_empty());
    }
}
