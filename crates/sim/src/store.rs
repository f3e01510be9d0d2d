//! The objects of the Kubernetes API with their versions, and the recent events from which watches may resume.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::broadcast;

use crate::objects::{Map, Node, Pod};

/// How many events of all kinds are kept for watches that resume.
pub(crate) const WINDOW: usize = 8_192;
/// How many events a watch may fall behind before the client must list again.
const LAG: usize = 8_192;

/// A kind of object the simulated API serves.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Empty for the core group.
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
    /// The kind in objects: `Pod`.
    pub(crate) name: &'static str,
    pub(crate) short: &'static [&'static str],
    pub(crate) namespaced: bool,
    /// Whether clients may create, change and delete objects.
    pub(crate) writable: bool,
}

impl Kind {
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `leases.coordination.k8s.io`, as messages name it.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }
}

const fn core(
    plural: &'static str,
    name: &'static str,
    short: &'static [&'static str],
    namespaced: bool,
) -> Kind {
    Kind {
        group: "",
        version: "v1",
        plural,
        name,
        short,
        namespaced,
        writable: true,
    }
}

pub(crate) static NODES: Kind = Kind {
    writable: false,
    ..core("nodes", "Node", &["no"], false)
};
pub(crate) static PODS: Kind = Kind {
    writable: false,
    ..core("pods", "Pod", &["po"], true)
};
pub(crate) static NAMESPACES: Kind = core("namespaces", "Namespace", &["ns"], false);
pub(crate) static CONFIG_MAPS: Kind = core("configmaps", "ConfigMap", &["cm"], true);
pub(crate) static SERVICES: Kind = core("services", "Service", &["svc"], true);
pub(crate) static SERVICE_ACCOUNTS: Kind = core("serviceaccounts", "ServiceAccount", &["sa"], true);
pub(crate) static LEASES: Kind = Kind {
    group: "coordination.k8s.io",
    ..core("leases", "Lease", &[], true)
};
pub(crate) static ENDPOINT_SLICES: Kind = Kind {
    group: "discovery.k8s.io",
    ..core("endpointslices", "EndpointSlice", &[], true)
};
pub(crate) static EVENTS: Kind = Kind {
    group: "events.k8s.io",
    ..core("events", "Event", &["ev"], true)
};
pub(crate) static API_SERVICES: Kind = Kind {
    group: "apiregistration.k8s.io",
    ..core("apiservices", "APIService", &[], false)
};

/// Every kind.
pub(crate) static KINDS: [&Kind; 10] = [
    &NODES,
    &PODS,
    &NAMESPACES,
    &CONFIG_MAPS,
    &SERVICES,
    &SERVICE_ACCOUNTS,
    &LEASES,
    &ENDPOINT_SLICES,
    &EVENTS,
    &API_SERVICES,
];

/// Namespace (empty for cluster-wide kinds) and name.
pub(crate) type Key = (String, String);

/// One object; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Object {
    Node(Arc<Node>),
    Pod(Arc<Pod>),
    /// Another kind, as the JSON that was written.
    Other(Arc<Value>),
}

impl Object {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Node(node) => &node.name,
            Self::Pod(pod) => &pod.name,
            Self::Other(value) => text(value, &["metadata", "name"]),
        }
    }

    pub(crate) fn namespace(&self) -> &str {
        match self {
            Self::Node(_) => "",
            Self::Pod(pod) => &pod.namespace,
            Self::Other(value) => text(value, &["metadata", "namespace"]),
        }
    }

    pub(crate) fn key(&self) -> Key {
        (self.namespace().to_owned(), self.name().to_owned())
    }

    /// The value of a label.
    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        let own: &Map = match self {
            Self::Node(node) => &node.labels,
            Self::Pod(pod) => &pod.labels,
            Self::Other(value) => return value.get("metadata")?.get("labels")?.get(key)?.as_str(),
        };
        own.get(key).map(String::as_str)
    }

    /// The value of a field for field selectors. `None` for other fields.
    pub(crate) fn field(&self, path: &str) -> Option<&str> {
        match (path, self) {
            ("metadata.name", _) => Some(self.name()),
            ("metadata.namespace", _) => Some(self.namespace()),
            ("status.phase", Self::Pod(pod)) => Some(pod.phase.as_str()),
            ("spec.nodeName", Self::Pod(pod)) => Some(&pod.node),
            ("spec.unschedulable", Self::Node(_)) => Some("false"),
            _ => None,
        }
    }
}

fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    path.iter()
        .try_fold(value, |value, step| value.get(step))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// An object and the version of its last change.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) object: Object,
    pub(crate) version: u64,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

impl Change {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One change, for watchers.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) kind: &'static Kind,
    pub(crate) change: Change,
    pub(crate) version: u64,
    pub(crate) object: Object,
    /// The object before the change, so that a watch with a selector learns that it is no longer selected.
    pub(crate) before: Option<Object>,
}

/// All objects. Plain data. The cluster has it behind its lock.
#[derive(Debug)]
pub(crate) struct Store {
    version: u64,
    tables: BTreeMap<&'static str, BTreeMap<Key, Stored>>,
    window: VecDeque<Event>,
    /// Events until this version are forgotten. A watch from an earlier version must list again.
    forgotten: u64,
    events: broadcast::Sender<Event>,
}

impl Default for Store {
    fn default() -> Self {
        let tables = KINDS
            .iter()
            .map(|kind| (kind.plural, BTreeMap::new()))
            .collect();
        Self {
            version: 1,
            tables,
            window: VecDeque::new(),
            forgotten: 0,
            events: broadcast::channel(LAG).0,
        }
    }
}

impl Store {
    /// The version of the newest change.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn get(&self, kind: &Kind, key: &Key) -> Option<&Stored> {
        self.tables.get(kind.plural)?.get(key)
    }

    /// The objects of a kind after `after`, sorted by their keys.
    pub(crate) fn range<'a>(
        &'a self,
        kind: &Kind,
        after: Option<&Key>,
    ) -> impl Iterator<Item = (&'a Key, &'a Stored)> + use<'a> {
        let start = after.map_or(Bound::Unbounded, |key| Bound::Excluded(key.clone()));
        self.tables
            .get(kind.plural)
            .into_iter()
            .flat_map(move |table| table.range((start.clone(), Bound::Unbounded)))
    }

    /// The objects of one namespace after `after`.
    pub(crate) fn namespace<'a>(
        &'a self,
        kind: &Kind,
        namespace: &str,
        after: Option<&Key>,
    ) -> impl Iterator<Item = (&'a Key, &'a Stored)> + use<'a> {
        let namespace = namespace.to_owned();
        let start = match after {
            Some(key) => Bound::Excluded(key.clone()),
            None => Bound::Included((namespace.clone(), String::new())),
        };
        let table = self.tables.get(kind.plural).into_iter();
        table
            .flat_map(move |table| table.range((start.clone(), Bound::Unbounded)))
            .take_while(move |(key, _)| key.0 == namespace)
    }

    /// Stores an object, or replaces one with the same name, and sends an event. Returns its version.
    pub(crate) fn put(&mut self, kind: &'static Kind, object: Object) -> u64 {
        self.version += 1;
        let version = self.version;
        let stored = Stored {
            object: object.clone(),
            version,
        };
        let before = self
            .tables
            .entry(kind.plural)
            .or_default()
            .insert(object.key(), stored);
        let before = before.map(|stored| stored.object);
        let change = if before.is_some() {
            Change::Modified
        } else {
            Change::Added
        };
        self.publish(Event {
            kind,
            change,
            version,
            object,
            before,
        });
        version
    }

    /// Removes an object and sends an event.
    pub(crate) fn remove(&mut self, kind: &'static Kind, key: &Key) -> Option<Stored> {
        let stored = self.tables.get_mut(kind.plural)?.remove(key)?;
        self.version += 1;
        let object = stored.object.clone();
        let before = Some(object.clone());
        self.publish(Event {
            kind,
            change: Change::Deleted,
            version: self.version,
            object,
            before,
        });
        Some(stored)
    }

    /// The stored events after `version`, and a receiver of new ones. `None` if some were forgotten.
    pub(crate) fn watch(
        &self,
        kind: &Kind,
        version: u64,
    ) -> Option<(Vec<Event>, broadcast::Receiver<Event>)> {
        if version < self.forgotten {
            return None;
        }
        let missed = self
            .window
            .iter()
            .filter(|event| event.version > version && event.kind == kind)
            .cloned();
        Some((missed.collect(), self.events.subscribe()))
    }

    /// Forgets all events, so that every watch from an older version than now must list again.
    pub(crate) fn compact(&mut self) {
        self.window.clear();
        self.forgotten = self.version;
    }

    fn publish(&mut self, event: Event) {
        if self.window.len() >= WINDOW
            && let Some(oldest) = self.window.pop_front()
        {
            self.forgotten = oldest.version;
        }
        self.window.push_back(event.clone());
        // An error means that there is no watch.
        self.events.send(event).ok();
    }
}

#[cfg(test)]
mod tests;
