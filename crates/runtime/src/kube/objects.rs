//! Decodes the needed fields of objects.
//!
//! A type of the whole object is not necessary: fields that a type does not name are skipped.

use std::{borrow::Cow, fmt, marker::PhantomData};

use ::kube::{Error, core::Status};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{
    decoded::{Decode, Event, Page},
    left_out::LeftOut,
    null::from_json,
    watch::Change,
};

/// Decodes lists and watches of objects. `T` has the needed fields.
pub struct Objects<T>(PhantomData<fn() -> T>);

impl<T> Default for Objects<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T> fmt::Debug for Objects<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Objects")
    }
}

/// A list, with each object as raw JSON.
#[derive(Default, Deserialize)]
#[serde(default)]
struct List<'a> {
    metadata: Meta,
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    resource_version: String,
    #[serde(rename = "continue")]
    next: String,
}

/// A line of a watch, with its fields in any order.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Versioned {
    metadata: Meta,
}

/// The object of a line.
#[derive(Deserialize)]
struct Of<T> {
    object: T,
}

impl<T: DeserializeOwned> Decode for Objects<T> {
    type Item = T;

    // Whole objects and their metadata are decoded in the same way.
    const ACCEPT: Option<&'static str> = None;

    fn page(&mut self, json: &str) -> Result<Page<T>, Error> {
        let List { metadata, items } = from_json(json).map_err(Error::SerdeError)?;
        let mut left_out = LeftOut::default();
        let items = items.into_iter();
        Ok(Page {
            items: items.filter_map(|item| left_out.read(item.get())).collect(),
            version: metadata.resource_version,
            next: Some(metadata.next).filter(|next| !next.is_empty()),
            left_out,
        })
    }

    fn event(&mut self, json: &str) -> Result<Event<T>, Error> {
        let Line { kind, object } = from_json(json).map_err(Error::SerdeError)?;
        let mut left_out = LeftOut::default();
        let change = match &*kind {
            "ADDED" | "MODIFIED" => left_out.read(object.get()).map(Change::Put),
            "DELETED" => left_out.read_deleted(object.get()).map(Change::Remove),
            "BOOKMARK" => None,
            _ => return Err(failure(json)),
        };
        Ok(Event {
            version: version(object),
            changes: change.into_iter().collect(),
            left_out,
        })
    }
}

/// The version to watch from after this object. Empty if it has none.
pub fn version(object: &RawValue) -> String {
    let versioned = from_json::<Versioned>(object.get());
    versioned.unwrap_or_default().metadata.resource_version
}

/// The error of a line that reports a failure, or has an unknown type.
pub fn failure(json: &str) -> Error {
    match from_json(json) {
        Ok(Of::<Status> { object }) => Error::Api(Box::new(object)),
        Err(error) => Error::SerdeError(error),
    }
}

/// The object that the API returned for a write.
#[derive(Debug, Default, Deserialize)]
pub struct Answered<S> {
    /// Its decoded fields.
    pub status: Option<S>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(default)]
    #[derive(Default)]
    struct Named {
        metadata: Name,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Name {
        name: String,
    }

    fn names(items: &[Named]) -> Vec<&str> {
        items.iter().map(|item| &*item.metadata.name).collect()
    }

    fn page(json: &str) -> Page<Named> {
        Objects::default().page(json).unwrap()
    }

    fn event(json: &str) -> Result<String, Error> {
        let event = Objects::<Named>::default().event(json)?;
        let Event {
            version, changes, ..
        } = event;
        let changes = changes.into_iter().map(|change| match change {
            Change::Put(item) => format!("+{}", item.metadata.name),
            Change::Remove(item) => format!("-{}", item.metadata.name),
            Change::Replace(_) => "all".to_owned(),
        });
        Ok(format!("{} @{version}", changes.collect::<String>()))
    }

    #[test]
    fn a_list_is_read_whatever_is_null_or_missing() {
        let whole = page(
            r#"{"kind":"NodeList","metadata":{"resourceVersion":"7","continue":"abc"},
            "items":[{"metadata":{"name":"a"}},null,{"metadata":null},{"metadata":{"name":null}}]}"#,
        );
        assert_eq!(names(&whole.items), ["a", "", "", ""]);
        assert_eq!((&*whole.version, whole.next.as_deref()), ("7", Some("abc")));
        for json in [
            r#"{"metadata":{"resourceVersion":"7","continue":null},"items":null}"#,
            r#"{"kind":null,"apiVersion":null,"metadata":{"resourceVersion":"7"}}"#,
            r#"{"metadata":{"resourceVersion":"7","continue":""},"items":[]}"#,
        ] {
            let empty = page(json);
            assert_eq!((&*empty.version, empty.next), ("7", None), "{json}");
            assert!(empty.items.is_empty(), "{json}");
        }
        let nothing = page(r#"{"metadata":null,"items":null}"#);
        assert_eq!(nothing.version, "");
    }

    #[test]
    fn a_line_is_read_in_any_order() {
        for (json, expected) in [
            (
                r#"{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"8"}}}"#,
                "+a @8",
            ),
            (
                r#"{"object":{"metadata":{"name":"a","resourceVersion":null}},"type":"MODIFIED"}"#,
                "+a @",
            ),
            (r#"{"type":"DELETED","object":null}"#, "- @"),
            (
                r#"{"type":"BOOKMARK","object":{"kind":null,"metadata":{"resourceVersion":"9","annotations":null}}}"#,
                " @9",
            ),
        ] {
            assert_eq!(event(json).unwrap(), expected, "{json}");
        }
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Thing {
        metadata: Name,
        #[serde(default)]
        size: u8,
    }

    #[test]
    fn of_what_is_deleted_the_name_is_enough() {
        for (json, removed, left_out) in [
            (r#"{"metadata":{"name":"a"},"size":3}"#, Some(3), 0),
            (r#"{"metadata":{"name":"a"},"size":"x"}"#, Some(0), 0),
            (r#"{"metadata":{"name":7},"size":"x"}"#, None, 1),
            (r#"{"size":"x"}"#, None, 1),
            ("[]", None, 1),
        ] {
            let line = format!(r#"{{"type":"DELETED","object":{json}}}"#);
            let event = Objects::<Thing>::default().event(&line).unwrap();
            let changes: Vec<_> = event.changes.into_iter().collect();
            let size = match &changes[..] {
                [Change::Remove(Thing { metadata, size })] => {
                    assert_eq!(metadata.name, "a", "{json}");
                    Some(*size)
                }
                _ => None,
            };
            assert_eq!(
                (size, event.left_out.count()),
                (removed, left_out),
                "{json}"
            );
        }
        // A damaged object is not read as another event.
        let line = r#"{"type":"MODIFIED","object":{"metadata":{"name":"a"},"size":"x"}}"#;
        let event = Objects::<Thing>::default().event(line).unwrap();
        assert!(event.changes.is_empty());
        assert_eq!(event.left_out.count(), 1);
    }

    #[test]
    fn a_failure_is_logged_with_its_code() {
        for json in [
            r#"{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old","reason":"Expired"}}"#,
            r#"{"object":{"message":null,"metadata":null,"reason":null,"details":null,"status":null,"code":410},"type":"ERROR"}"#,
        ] {
            match event(json).unwrap_err() {
                Error::Api(status) => assert_eq!(status.code, 410, "{json}"),
                other => panic!("{json}: {other}"),
            }
        }
        assert!(matches!(
            event(r#"{"type":"ADDED"}"#),
            Err(Error::SerdeError(_))
        ));
        assert!(matches!(event("{"), Err(Error::SerdeError(_))));
    }
}
