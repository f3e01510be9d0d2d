//! The `APIService`s of the groups that frontends serve, as an installation creates them, with the conditions that
//! kube-apiserver writes.

use serde_json::{Value, json};

use super::Cluster;
use crate::kube_api::AGGREGATED;
use crate::pki::FRONTEND_NAME;
use crate::store::API_SERVICES;

impl Cluster {
    /// Registers the groups that frontends serve before there is a frontend.
    pub fn register(&self) {
        self.shared.aggregator.register();
        self.write_api_services(false);
    }

    /// Writes the `APIService`s, with whether there is a frontend. What is so already is not written.
    pub(super) fn write_api_services(&self, is_available: bool) {
        for (group, versions) in AGGREGATED {
            for version in versions {
                let name = format!("{version}.{group}");
                let new = api_service(&name, (group, version), is_available);
                let stored = self.object(API_SERVICES.plural, "", &name);
                if stored.is_none_or(|stored| stored.get("status") != new.get("status")) {
                    // It has a kind that is served, and a name.
                    self.put_object(new).ok();
                }
            }
        }
    }
}

fn api_service(name: &str, (group, version): (&str, &str), is_available: bool) -> Value {
    let mut parts = FRONTEND_NAME.split('.');
    let service = parts.next().unwrap_or_default();
    let namespace = parts.next().unwrap_or_default();
    let (status, reason, message) = if is_available {
        ("True", "Passed", "all checks passed".to_owned())
    } else {
        let message = format!(
            "endpoints for service/{service} in \"{namespace}\" have no addresses with port name \"https\""
        );
        ("False", "MissingEndpoints", message)
    };
    json!({
        "apiVersion": API_SERVICES.api_version(),
        "kind": API_SERVICES.name,
        "metadata": { "name": name },
        "spec": {
            "group": group, "version": version, "groupPriorityMinimum": 100, "versionPriority": 100,
            "service": { "namespace": namespace, "name": service, "port": 443 },
        },
        "status": { "conditions": [
            { "type": "Available", "status": status, "reason": reason, "message": message },
        ] },
    })
}
