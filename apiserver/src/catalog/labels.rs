//! Labels of an object: few, sorted, shared, never changed.

use std::{collections::HashSet, fmt, sync::Arc};

/// The labels of an object, sorted by key. Cheap to clone.
///
/// One text, `key NUL value NUL` again and again: most pods have labels of
/// which only a few kinds exist, but those of a stateful set or a job are like
/// no others, and a text of their own for every key and value would be the
/// most of what is known of a pod.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels(Option<Arc<str>>);

/// Between keys and values. The API server allows it in neither.
const END: char = '\0';

impl Labels {
    /// The value of the label `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        // Few: finding out which is the middle one takes as long.
        self.iter()
            .find_map(|(have, value)| (have == key).then_some(value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Keys and values in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest = self.0.as_deref().unwrap_or_default();
        std::iter::from_fn(move || {
            let (key, after) = split(rest)?;
            let (value, after) = split(after)?;
            rest = after;
            Some((key, value))
        })
    }
}

/// What is before the next [`END`], and what is after it. As `str::split_once`,
/// in a third of the time: a list goes through the labels of every pod.
fn split(text: &str) -> Option<(&str, &str)> {
    let at = memchr::memchr(b'\0', text.as_bytes())?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for Labels {
    /// Labels with a NUL in them, which cannot be, are left out.
    fn from_iter<T: IntoIterator<Item = (K, V)>>(labels: T) -> Self {
        let mut labels: Vec<(K, V)> = labels
            .into_iter()
            .filter(|(key, value)| !key.as_ref().contains(END) && !value.as_ref().contains(END))
            .collect();
        // As a map would: the last of several values stays.
        labels.reverse();
        labels.sort_by(|(one, _), (other, _)| one.as_ref().cmp(other.as_ref()));
        labels.dedup_by(|(one, _), (other, _)| one.as_ref() == other.as_ref());
        let mut text = String::new();
        for (key, value) in &labels {
            text.push_str(key.as_ref());
            text.push(END);
            text.push_str(value.as_ref());
            text.push(END);
        }
        Self((!text.is_empty()).then(|| text.into()))
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Texts of which equal ones share memory: the pods of a deployment have the
/// same labels, and those of a namespace its name.
#[derive(Debug)]
pub(super) struct Shared {
    texts: HashSet<Arc<str>>,
    /// How many there may be before those that nobody has any more go.
    sweep_at: usize,
}

/// As many texts are kept without looking whether anybody has them.
const FEW: usize = 1_024;

impl Default for Shared {
    fn default() -> Self {
        Self {
            texts: HashSet::default(),
            sweep_at: FEW,
        }
    }
}

impl Shared {
    /// `text`, or the equal one that is known.
    pub(super) fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        if self.texts.len() >= self.sweep_at {
            self.texts.retain(|text| Arc::strong_count(text) > 1);
            self.sweep_at = self.texts.len().saturating_mul(2).max(FEW);
        }
        let text = Arc::from(text);
        self.texts.insert(Arc::clone(&text));
        text
    }

    /// `labels`, or the equal ones that are known.
    pub(super) fn labels(&mut self, labels: Labels) -> Labels {
        Labels(labels.0.map(|text| self.text(&text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_and_sorted() {
        let labels = Labels::from_iter([
            ("tier", "x"),
            ("app", "web"),
            ("empty", ""),
            ("tier", "front"),
        ]);
        assert_eq!(
            format!("{labels:?}"),
            r#"{"app": "web", "empty": "", "tier": "front"}"#
        );
        assert_eq!(labels.get("tier"), Some("front"));
        assert_eq!(labels.get("empty"), Some(""));
        assert_eq!(labels.get("ti"), None);
        assert!(Labels::from_iter(Vec::<(&str, &str)>::new()).is_empty());
    }

    #[test]
    fn labels_that_cannot_be_are_left_out() {
        let labels = Labels::from_iter([("a\0b", "c"), ("a", "b\0c"), ("d", "e")]);
        assert_eq!(format!("{labels:?}"), r#"{"d": "e"}"#);
    }

    #[test]
    fn equal_labels_share_memory_and_nobodys_go() {
        let mut shared = Shared::default();
        let labels = || Labels::from_iter([("app", "web")]);
        let kept = shared.labels(labels());
        let again = shared.labels(labels());
        assert!(Arc::ptr_eq(
            kept.0.as_ref().unwrap(),
            again.0.as_ref().unwrap()
        ));
        for number in 0..3 * FEW {
            drop(shared.text(&number.to_string()));
        }
        assert!(shared.texts.len() <= FEW + 1, "{}", shared.texts.len());
        assert!(shared.texts.contains("app\0web\0"));
    }
}
