//! An `APIService` as JSON: what is not known here stays as it is.

use serde_json::{Value, json};

use crate::{api_services::API_SERVICES, printed::harmless};

/// The annotation that keeps the `spec` that was there before, or [`NONE`].
pub const KEPT: &str = "tributary.dev/before";

/// There was no such `APIService` before.
pub const NONE: &str = "none";

/// A version of `metrics.k8s.io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// What autoscalers ask, and kubectl up to 1.36.
    V1beta1,
    /// What kubectl asks from 1.37 on, if it is there.
    V1,
}

impl Version {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V1beta1 => "v1beta1",
            Self::V1 => "v1",
        }
    }

    /// The name of its `APIService`.
    #[must_use]
    pub fn object(self) -> String {
        format!("{}.metrics.k8s.io", self.name())
    }

    /// The path of its `APIService`.
    pub(super) fn path(self) -> String {
        format!("{API_SERVICES}/{}", self.object())
    }

    /// Where its resources are.
    pub(super) fn resources(self) -> String {
        format!("/apis/metrics.k8s.io/{}", self.name())
    }

    /// A client takes the version with the highest.
    fn priority(self) -> u8 {
        match self {
            Self::V1beta1 => 100,
            Self::V1 => 200,
        }
    }
}

/// A Service and its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its port.
    pub port: i64,
}

impl Service {
    /// That of a `spec`; `None` if kube-apiserver itself serves the version.
    pub(super) fn of(spec: &Value) -> Option<Self> {
        let service = spec.get("service")?;
        let text = |field: &str| Some(service.get(field)?.as_str()?.to_owned());
        Some(Self {
            namespace: text("namespace")?,
            name: text("name")?,
            port: service.get("port").and_then(Value::as_i64).unwrap_or(443),
        })
    }
}

impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = harmless(&format!("{}/{}", self.namespace, self.name));
        match self.port {
            443 => f.write_str(&name),
            port => write!(f, "{name}:{port}"),
        }
    }
}

/// Where a version leads: a Service in words.
pub(super) fn leads_to(spec: &Value) -> String {
    Service::of(spec).map_or_else(
        || "kube-apiserver itself".to_owned(),
        |service| service.to_string(),
    )
}

/// How kube-apiserver reaches Tributary: what a `spec` has beside group and version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Its Service.
    pub service: Service,
    /// The CA that verifies it, as the API writes bytes: base64 of PEM. `None` if it is not verified, or by the CAs of
    /// kube-apiserver's machine.
    pub ca: Option<String>,
    /// Whether it is not verified.
    pub insecure: bool,
}

impl Backend {
    /// That of a `spec`.
    pub(super) fn of(spec: &Value) -> Option<Self> {
        let ca = spec.get("caBundle").and_then(Value::as_str);
        let insecure = spec.get("insecureSkipTLSVerify").and_then(Value::as_bool);
        Some(Self {
            service: Service::of(spec)?,
            ca: ca.map(str::to_owned),
            insecure: insecure.unwrap_or(false),
        })
    }

    /// The `spec` of a version that leads there.
    pub(super) fn spec(&self, version: Version) -> Value {
        let Service {
            namespace,
            name,
            port,
        } = &self.service;
        let mut spec = json!({
            "group": "metrics.k8s.io",
            "version": version.name(),
            "groupPriorityMinimum": 100,
            "versionPriority": version.priority(),
            "service": { "namespace": namespace, "name": name, "port": port },
        });
        if let Some(fields) = spec.as_object_mut() {
            if self.insecure {
                fields.insert("insecureSkipTLSVerify".to_owned(), json!(true));
            } else if let Some(ca) = &self.ca {
                fields.insert("caBundle".to_owned(), json!(ca));
            }
        }
        spec
    }
}

/// An `APIService`.
#[derive(Clone, Debug, PartialEq)]
pub struct Object(pub(super) Value);

impl Object {
    /// A new one, before which there was none.
    pub(super) fn new(version: Version, spec: &Value) -> Self {
        Self(json!({
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": { "name": version.object(), "annotations": { KEPT: NONE } },
            "spec": spec,
        }))
    }

    pub(super) fn name(&self) -> &str {
        self.text("/metadata/name").unwrap_or_default()
    }

    pub(super) fn spec(&self) -> Value {
        self.0.get("spec").cloned().unwrap_or_default()
    }

    pub(super) fn service(&self) -> Option<Service> {
        Service::of(self.0.get("spec")?)
    }

    /// Where it leads, in words.
    pub(super) fn leads_to(&self) -> String {
        leads_to(self.0.get("spec").unwrap_or(&Value::Null))
    }

    fn text(&self, at: &str) -> Option<&str> {
        self.0.pointer(at)?.as_str()
    }

    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        let annotations = self.0.pointer("/metadata/annotations")?;
        annotations.get(name)?.as_str()
    }

    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.0.pointer("/metadata/labels")?.get(name)?.as_str()
    }

    /// The names of those who wrote it, the last one last.
    pub(super) fn managers(&self) -> Vec<&str> {
        let fields = self.0.pointer("/metadata/managedFields");
        let fields = fields.and_then(Value::as_array);
        let mut managers: Vec<(&str, &str)> = fields
            .into_iter()
            .flatten()
            // Controllers write the status all the time.
            .filter(|entry| entry.get("subresource").is_none())
            .filter_map(|entry| {
                let time = entry.get("time").and_then(Value::as_str);
                Some((time.unwrap_or_default(), entry.get("manager")?.as_str()?))
            })
            .collect();
        managers.sort_unstable();
        managers.into_iter().map(|(_, manager)| manager).collect()
    }

    /// The objects that own it: kind and name.
    pub(super) fn owner_references(&self) -> Vec<(String, String)> {
        let references = self.0.pointer("/metadata/ownerReferences");
        let references = references.and_then(Value::as_array);
        let text = |object: &Value, field: &str| Some(object.get(field)?.as_str()?.to_owned());
        let named = |it| Some((text(it, "kind")?, text(it, "name")?));
        references.into_iter().flatten().filter_map(named).collect()
    }

    /// What was there before, if that is kept.
    pub(super) fn kept(&self) -> Option<Kept> {
        match self.annotation(KEPT)? {
            NONE => Some(Kept::Nothing),
            text => {
                let spec: Value = serde_json::from_str(text).ok()?;
                spec.is_object().then_some(Kept::Spec(spec))
            }
        }
    }

    /// The same with another `spec`, and with the one of now kept.
    pub(super) fn changed(&self, spec: Value) -> Self {
        let mut changed = self.clone();
        let kept = self.spec().to_string();
        changed.set_annotation(KEPT, Some(kept));
        changed.set("spec", spec);
        changed
    }

    /// The same with the `spec` of before, and nothing kept.
    pub(super) fn restored(&self, spec: Value) -> Self {
        let mut restored = self.forgetting();
        restored.set("spec", spec);
        restored
    }

    /// The same with nothing kept.
    pub(super) fn forgetting(&self) -> Self {
        let mut forgetting = self.clone();
        forgetting.set_annotation(KEPT, None);
        forgetting
    }

    /// `DeleteOptions` that delete no other object of this name, and no other content.
    pub(super) fn delete_options(&self) -> Value {
        let field = |at: &str| self.0.pointer(at).cloned().unwrap_or_default();
        json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {
                "uid": field("/metadata/uid"),
                "resourceVersion": field("/metadata/resourceVersion"),
            },
        })
    }

    fn set(&mut self, field: &str, value: Value) {
        if let Some(fields) = self.0.as_object_mut() {
            fields.insert(field.to_owned(), value);
        }
    }

    fn set_annotation(&mut self, name: &str, value: Option<String>) {
        let Some(metadata) = self.0.get_mut("metadata").and_then(Value::as_object_mut) else {
            return;
        };
        let annotations = metadata
            .entry("annotations")
            .or_insert_with(|| json!({}))
            .as_object_mut();
        if let Some(annotations) = annotations {
            match value {
                Some(value) => drop(annotations.insert(name.to_owned(), json!(value))),
                None => drop(annotations.remove(name)),
            }
        }
    }
}

/// What was there before.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kept {
    /// No such object.
    Nothing,
    /// This `spec`.
    Spec(Value),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> Object {
        Object(json!({
            "metadata": { "name": "v1beta1.metrics.k8s.io", "resourceVersion": "7", "uid": "u" },
            "spec": {
                "group": "metrics.k8s.io", "insecureSkipTLSVerify": true,
                "service": { "namespace": "kube-system", "name": "metrics-server", "port": 443 },
            },
        }))
    }

    #[test]
    fn there_and_back_is_what_was_there() {
        let backend = Backend {
            service: Service {
                namespace: "t".to_owned(),
                name: "tributary".to_owned(),
                port: 8_443,
            },
            ca: Some("Q0E=".to_owned()),
            insecure: false,
        };
        let before = object();
        let changed = before.changed(backend.spec(Version::V1beta1));
        assert_eq!(changed.leads_to(), "t/tributary:8443");
        assert_eq!(Backend::of(&changed.spec()), Some(backend));
        assert_eq!(changed.0["metadata"]["resourceVersion"], "7");
        let Some(Kept::Spec(kept)) = changed.kept() else {
            panic!("{changed:?}");
        };
        let mut restored = changed.restored(kept);
        assert_eq!(restored.leads_to(), "kube-system/metrics-server");
        assert_eq!(restored.0["metadata"]["annotations"], json!({}));
        restored.0["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("annotations");
        assert_eq!(restored, before);
    }

    #[test]
    fn what_is_kept_is_a_spec_or_nothing() {
        let mut object = object();
        assert_eq!(object.kept(), None);
        for (text, kept) in [("none", Some(Kept::Nothing)), ("{", None), ("7", None)] {
            object.set_annotation(KEPT, Some(text.to_owned()));
            assert_eq!(object.kept(), kept, "{text}");
        }
        let new = Object::new(Version::V1, &json!({}));
        assert_eq!(new.kept(), Some(Kept::Nothing));
    }

    #[test]
    fn the_last_writer_is_known() {
        let mut object = object();
        object.0["metadata"]["managedFields"] = json!([
            { "manager": "kube-addon-manager", "time": "2026-11-29T10:00:02Z" },
            { "manager": "helm", "time": "2026-11-29T10:00:01Z" },
            { "manager": "kube-apiserver", "time": "2026-11-29T10:00:09Z", "subresource": "status" },
        ]);
        assert_eq!(object.managers(), ["helm", "kube-addon-manager"]);
    }
}
