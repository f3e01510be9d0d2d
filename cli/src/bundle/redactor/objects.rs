//! Objects of the API without secrets.

use serde_json::{Map, Value};

use super::{
    REMOVED, Redactor,
    names::{is_login, is_secret, is_title, is_value},
    pods,
};

/// What an object is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It has nothing that is only there for others.
    Ordinary,
    /// A node: other programs write annotations, and the list of images is long.
    Node,
    /// A config map: of its data only names and sizes are kept.
    ConfigMap,
    /// An object of an application: its annotations are those of the application.
    Application,
}

/// The most text of one object that is kept. Those of Kubernetes have less than 2 MiB.
const MOST: usize = 8 << 20;

/// Annotations that are kept, of all objects except those of others.
const ANNOTATIONS: [&str; 8] = [
    "argocd.argoproj.io/tracking-id",
    "deployment.kubernetes.io/revision",
    "kubectl.kubernetes.io/restartedAt",
    "meta.helm.sh/release-name",
    "meta.helm.sh/release-namespace",
    "prometheus.io/port",
    "prometheus.io/scrape",
    "service.kubernetes.io/topology-mode",
];

/// Annotations of a node that say something about its metrics.
const OF_NODES: [&str; 4] = [
    "metrics.k8s.io/resource-metrics-path",
    "kubeadm.alpha.kubernetes.io/cri-socket",
    "node.alpha.kubernetes.io/ttl",
    "volumes.kubernetes.io/controller-managed-attach-detach",
];

/// Variables that change how our programs run, and of which none is a secret. Proxies may have a password, which is removed.
const VARIABLES: [&str; 14] = [
    "ALL_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "KUBERNETES_SERVICE_HOST",
    "KUBERNETES_SERVICE_PORT",
    "MALLOC_CONF",
    "NO_PROXY",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "TOKIO_WORKER_THREADS",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// What the next word of a command is.
#[derive(Clone, Copy, Debug)]
enum Awaited {
    Anything,
    /// The value of a flag.
    Secret,
    /// A user, perhaps with a password.
    User,
}

impl Awaited {
    fn after(word: &str) -> Self {
        if !word.starts_with('-') || word.contains('=') {
            return Self::Anything;
        }
        match word {
            "-u" | "-U" | "--user" | "--proxy-user" => Self::User,
            _ if is_secret(word) => Self::Secret,
            _ => Self::Anything,
        }
    }
}

impl Redactor {
    /// An object without secrets, and without what is not of use to readers.
    pub(crate) fn object(&mut self, kind: Kind, mut object: Value) -> Value {
        self.left = MOST;
        if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
            metadata.remove("managedFields");
        }
        match kind {
            Kind::Ordinary => {
                keep(&mut object, "/metadata", &ANNOTATIONS);
                keep(&mut object, "/spec/template/metadata", &ANNOTATIONS);
                self.removed += pods::reduce(&mut object);
            }
            Kind::Node => {
                keep(&mut object, "/metadata", &OF_NODES);
                if let Some(Value::Object(status)) = object.get_mut("status") {
                    status.remove("images");
                }
            }
            Kind::ConfigMap => {
                for data in ["data", "binaryData"] {
                    if let Some(Value::Object(data)) = object.get_mut(data) {
                        data.values_mut().for_each(|value| self.only_size(value));
                    }
                }
            }
            Kind::Application => keep(&mut object, "/metadata", &[]),
        }
        self.field("", object)
    }

    fn only_size(&mut self, value: &mut Value) {
        let bytes = value.as_str().map_or(0, str::len);
        self.removed += 1;
        *value = Value::String(format!("{bytes} bytes, not shown"));
    }

    fn field(&mut self, name: &str, value: Value) -> Value {
        let is_secret = is_secret(name) || is_login(name);
        match value {
            Value::String(text) if is_secret && !text.is_empty() => self.removed(),
            Value::Number(_) if is_secret => self.removed(),
            Value::String(text) => self.part(&text),
            Value::Array(items) if name == "env" => {
                items.into_iter().map(|item| self.variable(item)).collect()
            }
            Value::Array(items) if is_bytes(&items) => self.removed(),
            Value::Array(items) => self.items(name, items),
            Value::Object(fields) => self.fields(is_secret, fields),
            other => other,
        }
    }

    /// A text of an object, if there is not too much in it.
    fn part(&mut self, text: &str) -> Value {
        let Some(left) = self.left.checked_sub(text.len()) else {
            return self.removed();
        };
        self.left = left;
        Value::String(self.text(text).into_owned())
    }

    /// The words of a command may be flags with their values.
    fn items(&mut self, name: &str, items: Vec<Value>) -> Value {
        let mut awaited = Awaited::Anything;
        let mut clean = Vec::with_capacity(items.len());
        for item in items {
            let text = item.as_str().unwrap_or_default();
            // What begins with one dash may be a value.
            let is_flag = text.starts_with("--") || (text.starts_with('-') && text.len() <= 2);
            let next = Awaited::after(text);
            let is_secret = match std::mem::replace(&mut awaited, next) {
                Awaited::Secret => !is_flag,
                Awaited::User => !is_flag && text.contains(':'),
                Awaited::Anything => false,
            };
            clean.push(if is_secret {
                self.removed()
            } else {
                self.field(name, item)
            });
        }
        Value::Array(clean)
    }

    /// The fields of an object, which may have the name of a secret itself.
    fn fields(&mut self, is_named: bool, fields: Map<String, Value>) -> Value {
        // A header, or anything else that has its name in a field.
        let mut titles = fields.iter().filter(|(name, _)| is_title(name));
        let is_named = is_named || titles.any(|(_, title)| title.as_str().is_some_and(is_secret));
        let fields = fields.into_iter();
        let clean = fields.map(|(name, value)| {
            let is_secret = is_named && is_value(&name) && is_something(&value);
            let value = if is_secret {
                self.removed()
            } else {
                self.field(&name, value)
            };
            // Names are chosen by others, too.
            (self.text(&name).into_owned(), value)
        });
        Value::Object(clean.collect())
    }

    /// A variable of a container. Its value may be anything.
    fn variable(&mut self, variable: Value) -> Value {
        let Value::Object(mut fields) = variable else {
            return self.field("", variable);
        };
        let name = fields.get("name").and_then(Value::as_str);
        let is_known = name.is_some_and(|name| VARIABLES.contains(&name));
        if let Some(value) = fields.get_mut("value") {
            // A proxy may have a password, also without a scheme.
            let has_user = value.as_str().is_some_and(|text| text.contains('@'));
            if !is_known || has_user {
                *value = self.removed();
            }
        }
        self.fields(false, fields)
    }

    fn removed(&mut self) -> Value {
        self.removed += 1;
        Value::String(REMOVED.to_owned())
    }
}

/// Whether there is anything in it that could be a secret.
fn is_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => false,
        Value::String(text) => !text.is_empty() && text != REMOVED,
        Value::Array(items) => !items.is_empty(),
        Value::Number(_) | Value::Object(_) => true,
    }
}

/// How many numbers are bytes of something, such as a key.
const BYTES: usize = 24;

fn is_bytes(items: &[Value]) -> bool {
    let is_byte = |item: &Value| item.as_u64().is_some_and(|number| number < 256);
    items.len() >= BYTES && items.iter().all(is_byte)
}

/// Removes all annotations except those with these names, of the metadata at `path`.
fn keep(object: &mut Value, path: &str, names: &[&str]) {
    let metadata = object.pointer_mut(path);
    if let Some(Value::Object(annotations)) = metadata.and_then(|it| it.get_mut("annotations")) {
        annotations.retain(|name, _| names.contains(&name.as_str()));
    }
}
