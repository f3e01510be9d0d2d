//! Deployments on a real node, whose containers burn what files of this machine say.

use std::path::Path;

use serde_json::{Value, json};

use super::IMAGE;

/// A Deployment. Each container burns the milli-cores that the file `APP.CONTAINER` in `levels` says at each moment.
pub fn deployment_of_levels(
    (namespace, app, node): (&str, &str, &str),
    levels: &Path,
    replicas: usize,
    containers: &[&str],
) -> Value {
    let containers = containers.iter().map(|container| {
        json!({
            "name": container,
            "image": IMAGE,
            "imagePullPolicy": "Never",
            "args": [format!("/levels/{app}.{container}")],
            // Without a request it would get what all others leave.
            "resources": { "requests": { "cpu": "50m" } },
            "volumeMounts": [{ "name": "levels", "mountPath": "/levels", "readOnly": true }],
        })
    });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "namespace": namespace, "name": app },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": app } },
            "template": {
                "metadata": { "labels": { "app": app } },
                "spec": {
                    "nodeName": node,
                    "hostNetwork": true,
                    "automountServiceAccountToken": false,
                    // The program does not end by itself.
                    "terminationGracePeriodSeconds": 1,
                    "tolerations": [{ "operator": "Exists" }],
                    "containers": containers.collect::<Vec<_>>(),
                    "volumes": [{ "name": "levels", "hostPath": { "path": levels, "type": "Directory" } }],
                },
            },
        },
    })
}
