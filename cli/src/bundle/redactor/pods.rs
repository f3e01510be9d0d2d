//! Of pods and their templates, only what is of use to readers.
//!
//! What a pod runs is chosen by others. So fields are kept by a list of those that are of use, and not by how secrets look.

use serde_json::{Map, Value};

use super::REMOVED;

/// The names of the containers of Tributary.
pub(in crate::bundle) const CONTAINERS: [&str; 2] = ["frontend", "scraper"];

/// The fields of a container that are kept.
const OF_CONTAINERS: [&str; 17] = [
    "args",
    "command",
    "env",
    "envFrom",
    "image",
    "imagePullPolicy",
    "livenessProbe",
    "name",
    "ports",
    "readinessProbe",
    "resources",
    "restartPolicy",
    "securityContext",
    "startupProbe",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "volumeMounts",
];

/// The fields of a probe that are kept. Commands and headers are not.
const OF_PROBES: [&str; 9] = [
    "failureThreshold",
    "grpc",
    "httpGet",
    "initialDelaySeconds",
    "periodSeconds",
    "successThreshold",
    "tcpSocket",
    "terminationGracePeriodSeconds",
    "timeoutSeconds",
];

/// The fields of a request of a probe that are kept.
const OF_REQUESTS: [&str; 4] = ["host", "path", "port", "scheme"];

/// The kinds of volumes that are kept. They name objects and paths. Drivers have attributes of any kind.
const OF_VOLUMES: [&str; 8] = [
    "configMap",
    "downwardAPI",
    "emptyDir",
    "hostPath",
    "name",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

/// Reduces the specifications of pods in an object: its own, or that of its template. Returns how many values were removed.
pub(super) fn reduce(object: &mut Value) -> usize {
    let mut removed = 0;
    for path in ["/spec", "/spec/template/spec"] {
        if let Some(Value::Object(spec)) = object.pointer_mut(path) {
            removed += of_spec(spec);
        }
    }
    removed
}

fn of_spec(spec: &mut Map<String, Value>) -> usize {
    let mut removed = 0;
    for list in CONTAINER_LISTS {
        for container in items(spec.get_mut(list)) {
            removed += of_container(container);
        }
    }
    for volume in items(spec.get_mut("volumes")) {
        removed += only(volume, &OF_VOLUMES);
    }
    removed
}

fn of_container(container: &mut Map<String, Value>) -> usize {
    let mut removed = only(container, &OF_CONTAINERS);
    for probe in PROBES {
        if let Some(Value::Object(probe)) = container.get_mut(probe) {
            removed += only(probe, &OF_PROBES);
            if let Some(Value::Object(request)) = probe.get_mut("httpGet") {
                removed += only(request, &OF_REQUESTS);
            }
        }
    }
    let name = container.get("name").and_then(Value::as_str);
    let is_ours = name.is_some_and(|name| CONTAINERS.contains(&name));
    let (mut command, mut args) = (Words::default(), Words::default());
    if is_ours {
        (command.is_kept, args.is_kept) = (is_program, is_flag);
    }
    removed += command.of(container.get_mut("command"));
    removed + args.of(container.get_mut("args"))
}

/// Which words of a command are kept.
struct Words {
    is_kept: fn(&str) -> bool,
}

impl Default for Words {
    fn default() -> Self {
        Self { is_kept: |_| false }
    }
}

impl Words {
    fn of(&self, words: Option<&mut Value>) -> usize {
        let mut removed = 0;
        for word in words.and_then(Value::as_array_mut).into_iter().flatten() {
            if !word.as_str().is_some_and(self.is_kept) {
                *word = Value::String(REMOVED.to_owned());
                removed += 1;
            }
        }
        removed
    }
}

/// Whether it is the path of a program.
fn is_program(word: &str) -> bool {
    let is_of_path = |letter: char| letter.is_ascii_alphanumeric() || "/-_.".contains(letter);
    word.starts_with('/') && word.chars().all(is_of_path)
}

/// Whether it is a flag as the chart writes them, with its value in the same word. Of a word without dashes it is not known of which
/// flag it is the value.
fn is_flag(word: &str) -> bool {
    let is_of_name =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let name = word.split_once('=').map_or(word, |(name, _)| name);
    name.len() > 2 && name.starts_with("--") && name.chars().all(is_of_name)
}

fn items(list: Option<&mut Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    let items = list.and_then(Value::as_array_mut).into_iter().flatten();
    items.filter_map(Value::as_object_mut)
}

/// Leaves only the fields with these names.
fn only(fields: &mut Map<String, Value>, names: &[&str]) -> usize {
    let before = fields.len();
    fields.retain(|name, _| names.contains(&name.as_str()));
    before - fields.len()
}
