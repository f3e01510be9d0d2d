//! The labels of an object: sorted, shared, and immutable.

use std::{collections::HashSet, fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use tributary_runtime::selector::Selector;

/// The most bytes of the labels of a pod, keys and values together. If there are more, none is kept. Kubernetes limits
/// the size of a label and not their number: one pod may have a megabyte of them, and a frontend has all pods in
/// memory. Real pods have some hundred bytes.
pub(crate) const MOST_OF_POD: usize = 8 << 10;

/// The same limit for a node. Labels that describe hardware (node-feature-discovery, drivers of GPUs) take some
/// thousand bytes, and tenants cannot write labels of nodes.
pub(crate) const MOST_OF_NODE: usize = 64 << 10;

/// The labels of an object, sorted by key. Cheap to clone.
///
/// They are one text, `key NUL value NUL` repeated. Most pods share their labels with other pods, but a pod of a
/// stateful set or a job has labels of its own. With a separate text for each key and value, these would take most of
/// the memory of a pod.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels(Option<Arc<str>>);

/// The end of a key or value. The API server allows this character in neither.
const END: char = '\0';

/// The text in place of refused labels. It has no key and value, and differs from the text without labels.
const REFUSED: &str = "\0";

impl Labels {
    /// The value of the label `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        // There are few labels, so a binary search is not faster.
        self.iter()
            .find_map(|(have, value)| (have == key).then_some(value))
    }

    /// The value in place of refused labels.
    pub(crate) fn refused() -> Self {
        Self(Some(REFUSED.into()))
    }

    /// Whether the labels were refused because there are too many. Then none of them is known.
    pub fn are_refused(&self) -> bool {
        self.0.as_deref() == Some(REFUSED)
    }

    /// Whether they meet `selector`. Refused labels meet only an empty selector. They do not meet one that requires a
    /// label to be absent, because the object may have that label.
    pub fn meet(&self, selector: &Selector) -> bool {
        let are_known = selector.is_empty() || !self.are_refused();
        are_known && selector.matches(|key| self.get(key))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none() || self.are_refused()
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

/// Splits at the next [`END`]. It does what `str::split_once` does in a third of the time, because a list reads the
/// labels of every pod.
fn split(text: &str) -> Option<(&str, &str)> {
    let at = memchr::memchr(b'\0', text.as_bytes())?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The bytes of a label for the limit.
fn bytes(key: impl AsRef<str>, value: impl AsRef<str>) -> usize {
    key.as_ref().len() + value.as_ref().len()
}

impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for Labels {
    /// Skips labels with a NUL, which do not exist in Kubernetes. Keeps none if there are more than a pod may have.
    fn from_iter<T: IntoIterator<Item = (K, V)>>(labels: T) -> Self {
        Self::up_to(MOST_OF_POD, labels.into_iter().collect())
    }
}

impl Labels {
    fn up_to<K: AsRef<str>, V: AsRef<str>>(most: usize, mut labels: Vec<(K, V)>) -> Self {
        labels.retain(|(key, value)| !key.as_ref().contains(END) && !value.as_ref().contains(END));
        // Like in a map, the last of several values counts.
        labels.reverse();
        labels.sort_by(|(one, _), (other, _)| one.as_ref().cmp(other.as_ref()));
        labels.dedup_by(|(one, _), (other, _)| one.as_ref() == other.as_ref());
        let bytes: usize = labels.iter().map(|(key, value)| bytes(key, value)).sum();
        if bytes > most {
            return Self::refused();
        }
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

impl<'de> Deserialize<'de> for Labels {
    /// Reads the labels of a pod. Too many labels are not even built.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Bounded(MOST_OF_POD))
    }
}

/// Reads the labels of a node.
pub(super) fn of_node<'de, D: Deserializer<'de>>(from: D) -> Result<Labels, D::Error> {
    from.deserialize_map(Bounded(MOST_OF_NODE))
}

/// Reads labels up to this many bytes.
struct Bounded(usize);

impl<'de> Visitor<'de> for Bounded {
    type Value = Labels;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("labels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
        let mut labels: Vec<(String, String)> = Vec::new();
        let mut have = 0;
        while let Some((key, value)) = map.next_entry::<String, String>()? {
            have += bytes(&key, &value);
            if have > self.0 {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                return Ok(Labels::refused());
            }
            labels.push((key, value));
        }
        Ok(Labels::up_to(self.0, labels))
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.are_refused() {
            return f.write_str("refused");
        }
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Shares the memory of equal texts: the pods of a deployment have the same labels, and the pods of a namespace have
/// its name.
#[derive(Debug)]
pub(super) struct Interner {
    texts: HashSet<Arc<str>>,
    /// Unused texts are removed when there are this many texts.
    sweep_at: usize,
}

/// Up to this number, texts are kept even if they are unused.
const FEW: usize = 1_024;

impl Default for Interner {
    fn default() -> Self {
        Self {
            texts: HashSet::default(),
            sweep_at: FEW,
        }
    }
}

impl Interner {
    /// The known text that is equal to `text`. If there is none, `text` becomes known.
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

    /// The known labels that are equal to `labels`. If there are none, `labels` become known.
    pub(super) fn labels(&mut self, labels: Labels) -> Labels {
        Labels(labels.0.map(|text| self.text(&text)))
    }
}

#[cfg(test)]
mod tests {
    use tributary_runtime::kube::from_json;

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

    /// Labels with `count` keys of five bytes and empty values.
    fn many(count: usize) -> Labels {
        let labels: Vec<String> = (0..count).map(|n| format!(r#""{n:05}":"""#)).collect();
        from_json(&format!("{{{}}}", labels.join(","))).unwrap()
    }

    #[test]
    fn labels_are_kept_up_to_a_bound_and_those_beyond_it_not_at_all() {
        // 1,638 keys of five bytes are 8,190 bytes.
        let kept = many(1_638);
        assert_eq!((kept.iter().count(), kept.are_refused()), (1_638, false));
        for count in [1_639, 60_000] {
            let refused = many(count);
            assert!(refused.are_refused(), "{count}");
            assert!(refused.is_empty(), "{count}");
            assert_eq!(refused.get("00000"), None);
            // Refused labels are one text of one byte.
            assert_eq!(refused.0.unwrap().len(), 1);
        }
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(8_192));
        assert!(from_json::<Labels>(&long).unwrap().are_refused());
        let built = (0..1_639).map(|n| (format!("{n:05}"), ""));
        assert!(built.collect::<Labels>().are_refused());
        let none = from_json::<Labels>("{}").unwrap();
        assert!(none.is_empty() && !none.are_refused());
        assert!(from_json::<Labels>(r#"{"a":7}"#).is_err());
    }

    #[test]
    fn a_node_may_have_more_labels_than_a_pod() {
        #[derive(Deserialize)]
        struct Node(#[serde(deserialize_with = "of_node")] Labels);

        // 13,107 keys of five bytes are 65,535 bytes.
        for (count, refused) in [(1_639, false), (13_107, false), (13_108, true)] {
            let labels: Vec<String> = (0..count).map(|n| format!(r#""{n:05}":"""#)).collect();
            let Node(labels) = from_json(&format!("{{{}}}", labels.join(","))).unwrap();
            assert_eq!(labels.are_refused(), refused, "{count}");
            assert_eq!(labels.iter().count(), if refused { 0 } else { count });
        }
    }

    #[test]
    fn labels_that_were_refused_meet_no_selector_but_the_empty_one() {
        let refused = Labels::refused();
        for selector in ["a", "!a", "a!=b", "a notin (b)", "a=b", "a in (b)"] {
            assert!(!refused.meet(&selector.parse().unwrap()), "{selector}");
        }
        assert!(refused.meet(&"".parse().unwrap()));
        let none = Labels::default();
        assert!(none.meet(&"!a,b notin (c)".parse().unwrap()));
    }

    #[test]
    fn equal_labels_share_memory_and_nobodys_go() {
        let mut interner = Interner::default();
        let labels = || Labels::from_iter([("app", "web")]);
        let kept = interner.labels(labels());
        let again = interner.labels(labels());
        assert!(Arc::ptr_eq(
            kept.0.as_ref().unwrap(),
            again.0.as_ref().unwrap()
        ));
        for number in 0..3 * FEW {
            drop(interner.text(&number.to_string()));
        }
        assert!(interner.texts.len() <= FEW + 1, "{}", interner.texts.len());
        assert!(interner.texts.contains("app\0web\0"));
    }
}
