//! POST, PUT, PATCH and DELETE, with resource versions as the optimistic lock.

use std::sync::Arc;

use http::{Method, Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::render;
use super::route::Route;
use super::status::{Refusal, answer};
use crate::cluster::State;
use crate::encode::uid;
use crate::store::{KINDS, Key, Kind, NODES, Object, PODS, Stored};
use crate::tls::Body;

/// An object ready to be stored.
#[derive(Debug)]
pub(crate) struct Written {
    kind: &'static Kind,
    object: Value,
}

impl Written {
    /// Checks that the object has a kind and a name, and adds a UID and a date. `None` for a kind that is not served,
    /// or that is not stored as JSON (nodes and pods).
    pub(crate) fn new(mut object: Value, now: Timestamp) -> Option<Self> {
        let text = |name: &str| {
            object
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let (version, name) = (text("apiVersion"), text("kind"));
        let found = KINDS
            .into_iter()
            .find(|kind| kind.name == name && kind.api_version() == version);
        let kind = found.filter(|kind| kind.writable)?;
        let metadata = object.get_mut("metadata")?.as_object_mut()?;
        stamp(kind, metadata, now)?;
        Some(Self { kind, object })
    }
}

impl From<Written> for (&'static Kind, Object) {
    fn from(written: Written) -> Self {
        (written.kind, Object::Other(Arc::new(written.object)))
    }
}

/// A write request.
#[derive(Debug)]
pub(super) struct Write<'a> {
    pub(super) kind: &'static Kind,
    pub(super) route: &'a Route,
    pub(super) method: &'a Method,
    pub(super) content_type: &'a str,
    pub(super) body: &'a [u8],
    pub(super) now: Timestamp,
}

impl Write<'_> {
    pub(super) fn apply(&self, state: &mut State) -> Result<Response<Body>, Refusal> {
        if *self.method == Method::DELETE {
            return self.delete(state);
        }
        if !self.kind.writable {
            return Err(Refusal::method());
        }
        match (self.method.as_str(), self.route.name.is_empty()) {
            ("POST", true) => self.create(state, self.parse()?),
            ("PUT", false) => self.update(state, self.parse()?),
            ("PATCH", false) => self.patch(state),
            _ => Err(Refusal::method()),
        }
    }

    fn create(&self, state: &mut State, mut object: Value) -> Result<Response<Body>, Refusal> {
        let metadata = self.metadata(&mut object)?;
        if !metadata.contains_key("name")
            && let Some(prefix) = metadata.get("generateName").and_then(Value::as_str)
        {
            let id = uid(&[prefix, &self.now.to_string()]);
            let name = format!("{prefix}{}", id.split('-').next().unwrap_or_default());
            metadata.insert("name".to_owned(), json!(name));
        }
        stamp(self.kind, metadata, self.now)
            .ok_or_else(|| Refusal::bad_request("name or generateName is required"))?;
        let object = Object::Other(Arc::new(object));
        if state.store.get(self.kind, &object.key()).is_some() {
            return Err(Refusal::exists(self.kind, object.name()));
        }
        Ok(self.put(state, &object, StatusCode::CREATED))
    }

    fn update(&self, state: &mut State, mut object: Value) -> Result<Response<Body>, Refusal> {
        let (before, version) = self.stored(state)?;
        let metadata = self.metadata(&mut object)?;
        if metadata.get("name").and_then(Value::as_str) != Some(&self.route.name) {
            return Err(Refusal::bad_request(
                "the name of the object does not match the name on the URL",
            ));
        }
        self.check_version(metadata, version)?;
        for kept in ["uid", "creationTimestamp"] {
            if let Some(value) = before
                .get("metadata")
                .and_then(|metadata| metadata.get(kept))
            {
                metadata.insert(kept.to_owned(), value.clone());
            }
        }
        Ok(self.put(state, &Object::Other(Arc::new(object)), StatusCode::OK))
    }

    /// A merge patch (RFC 7386). Strategic merge patches and applied configurations are handled like merge patches,
    /// which is right except for lists of lists.
    fn patch(&self, state: &mut State) -> Result<Response<Body>, Refusal> {
        let media = self
            .content_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim();
        let apply = matches!(
            media,
            "application/apply-patch+yaml" | "application/apply-patch+json"
        );
        if !apply
            && !matches!(
                media,
                "application/merge-patch+json" | "application/strategic-merge-patch+json"
            )
        {
            return Err(Refusal::media_type(format!(
                "patch type {media:?} is not simulated"
            )));
        }
        let mut patch = self.parse()?;
        match self.stored(state) {
            Ok((mut object, version)) => {
                self.check_version(self.metadata(&mut patch)?, version)?;
                merge(&mut object, patch);
                Ok(self.put(state, &Object::Other(Arc::new(object)), StatusCode::OK))
            }
            Err(_) if apply => self.create(state, patch),
            Err(refusal) => Err(refusal),
        }
    }

    fn delete(&self, state: &mut State) -> Result<Response<Body>, Refusal> {
        if self.route.name.is_empty() {
            return Err(Refusal::method());
        }
        let key = self.key();
        let stored = state.store.get(self.kind, &key).cloned();
        let stored = stored.ok_or_else(|| Refusal::not_found(self.kind, &self.route.name))?;
        let options: Value = serde_json::from_slice(self.body).unwrap_or_default();
        if let Some(wanted) = options.get("preconditions") {
            let version = stored.version.to_string();
            let full = render::value(self.kind, &stored.object, stored.version);
            let uid = full
                .get("metadata")
                .and_then(|metadata| metadata.get("uid"))
                .cloned();
            let differs = |name: &str, stored: Option<&str>| {
                wanted
                    .get(name)
                    .and_then(Value::as_str)
                    .is_some_and(|wanted| Some(wanted) != stored)
            };
            if differs("resourceVersion", Some(&version))
                || differs("uid", uid.as_ref().and_then(Value::as_str))
            {
                return Err(Refusal::conflict(self.kind, &self.route.name));
            }
        }
        if *self.kind == PODS {
            state.remove_pod(&key, self.now.as_millisecond());
        } else if *self.kind == NODES {
            return Err(Refusal::method());
        } else {
            state.store.remove(self.kind, &key);
        }
        let details =
            json!({ "name": self.route.name, "group": self.kind.group, "kind": self.kind.plural });
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
        });
        Ok(answer(StatusCode::OK, &status))
    }

    fn key(&self) -> Key {
        (self.route.namespace.clone(), self.route.name.clone())
    }

    /// The stored object with the request's name, and its version.
    fn stored(&self, state: &State) -> Result<(Value, u64), Refusal> {
        match state.store.get(self.kind, &self.key()) {
            Some(Stored {
                object: Object::Other(value),
                version,
            }) => Ok((Value::clone(value), *version)),
            _ => Err(Refusal::not_found(self.kind, &self.route.name)),
        }
    }

    fn parse(&self) -> Result<Value, Refusal> {
        if self.content_type.contains("protobuf") {
            return Err(Refusal::media_type("the simulated api reads json only"));
        }
        let object: Value = serde_json::from_slice(self.body).map_err(|error| {
            Refusal::bad_request(format!("the object provided is unrecognized: {error}"))
        })?;
        object
            .is_object()
            .then_some(object)
            .ok_or_else(|| Refusal::bad_request("the body is no object"))
    }

    /// The object's metadata, with the namespace of the request.
    fn metadata<'v>(&self, object: &'v mut Value) -> Result<&'v mut Map<String, Value>, Refusal> {
        let no_object = || Refusal::bad_request("the body is no object");
        let object = object.as_object_mut().ok_or_else(no_object)?;
        let metadata = object
            .entry("metadata")
            .or_insert_with(|| json!({}))
            .as_object_mut();
        let metadata = metadata.ok_or_else(no_object)?;
        if self.kind.namespaced {
            let namespace = metadata
                .entry("namespace")
                .or_insert_with(|| json!(self.route.namespace));
            if namespace.as_str() != Some(&self.route.namespace) {
                let message = "the namespace of the provided object does not match the namespace sent on the request";
                return Err(Refusal::bad_request(message));
            }
        }
        Ok(metadata)
    }

    fn check_version(&self, metadata: &Map<String, Value>, version: u64) -> Result<(), Refusal> {
        match metadata.get("resourceVersion").and_then(Value::as_str) {
            None | Some("") => Ok(()),
            Some(text) if text == version.to_string() => Ok(()),
            Some(_) => Err(Refusal::conflict(self.kind, &self.route.name)),
        }
    }

    fn put(&self, state: &mut State, object: &Object, code: StatusCode) -> Response<Body> {
        let version = state.store.put(self.kind, object.clone());
        answer(code, &render::value(self.kind, object, version))
    }
}

/// Adds the fields that the API gives every new object. `None` without a name.
fn stamp(kind: &Kind, metadata: &mut Map<String, Value>, now: Timestamp) -> Option<()> {
    let name = metadata
        .get("name")
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty())?
        .to_owned();
    let namespace = metadata
        .get("namespace")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let id = uid(&[kind.plural, &namespace, &name, &now.to_string()]);
    metadata.insert("uid".to_owned(), json!(id));
    metadata.insert("creationTimestamp".to_owned(), json!(render::date(now)));
    metadata.remove("resourceVersion");
    Some(())
}

fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(target) = target.as_object_mut() else {
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(&key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_patch_follows_rfc_7386() {
        let mut target = json!({ "a": "b", "c": { "d": "e", "f": "g" } });
        merge(
            &mut target,
            json!({ "a": "z", "c": { "f": null, "n": [1] } }),
        );
        assert_eq!(target, json!({ "a": "z", "c": { "d": "e", "n": [1] } }));
    }
}
