//! A cluster in which nothing is wrong, for tests to break.

use serde_json::{Value, json};

use super::{Facts, Read, Scalers};
use crate::{api_services::Registration, kube_api::Failure};

/// The date.
pub(crate) const NOW: &str = "2026-11-29T17:00:00Z";

/// An object as the API writes it.
pub(crate) fn object<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A pod of a component that is ready.
pub(crate) fn pod(name: &str, component: &str) -> Value {
    json!({
        "metadata": {
            "namespace": "sys", "name": name, "creationTimestamp": "2026-11-29T10:00:00Z",
            "labels": { "app.kubernetes.io/name": "tributary", "app.kubernetes.io/component": component },
        },
        "status": {
            "phase": "Running",
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

/// A Node that is ready, and whose kubelet listens.
pub(crate) fn node(name: &str) -> Value {
    json!({
        "metadata": { "name": name, "creationTimestamp": "2026-11-29T10:00:00Z" },
        "status": {
            "addresses": [
                { "type": "Hostname", "address": name },
                { "type": "InternalIP", "address": "10.0.0.7" },
            ],
            "conditions": [{ "type": "Ready", "status": "True" }],
            "daemonEndpoints": { "kubeletEndpoint": { "Port": 10_250 } },
        },
    })
}

/// A node of the fleet that is served.
pub(crate) fn scrape(name: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "status": {
            "state": "served", "owner": "s-0", "standby": "s-1", "resolution": "15s",
            "sample": { "scrapedAt": "2026-11-29T16:59:58Z", "measuredAt": "2026-11-29T16:59:50Z" },
        },
    })
}

/// A Lease that was renewed then.
pub(crate) fn lease(holder: &str, renewed: &str) -> Value {
    json!({
        "metadata": {
            "namespace": "sys", "name": format!("tributary-{holder}"),
            "labels": { "tributary.dev/group": "" },
        },
        "spec": {
            "holderIdentity": holder, "leaseDurationSeconds": 15,
            "renewTime": format!("2026-11-29T{renewed}.000000Z"),
        },
    })
}

/// An `APIService` that leads to our Service and is available.
pub(crate) fn registration(name: &str) -> Registration {
    Registration {
        name: name.to_owned(),
        service: Some(("sys".to_owned(), "tributary".to_owned())),
        port: 443,
        available: Some(true),
        reason: "Passed".to_owned(),
        verifies: true,
        ..Registration::default()
    }
}

/// Several objects.
#[expect(clippy::unnecessary_wraps, reason = "the type of the facts")]
pub(crate) fn all<T: serde::de::DeserializeOwned>(
    values: impl IntoIterator<Item = Value>,
) -> Read<Vec<T>> {
    Ok(values.into_iter().map(object).collect())
}

impl Facts {
    /// Nothing is wrong.
    pub(crate) fn healthy() -> Self {
        let version = json!({
            "major": "1", "minor": "37", "gitVersion": "v1.37.1", "gitCommit": "", "gitTreeState": "",
            "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
        });
        let deployment = json!({
            "metadata": { "namespace": "sys", "name": "tributary" },
            "spec": { "selector": {}, "template": {} },
        });
        let scraper = |name: &str| {
            json!({ "metadata": { "name": name },
                    "status": { "source": name, "version": "0.1.0", "streams": 1 } })
        };
        let frontend = json!({
            "metadata": { "name": "f-0" },
            "status": { "version": "0.1.0", "streams": 2, "certificateExpires": "2027-02-20T00:00:00Z" },
        });
        let groups = ["apps", "apiregistration.k8s.io", "metrics.k8s.io"];
        let proxy = ("requestheader-client-ca-file".to_owned(), "PEM".to_owned());
        let names = [
            "v1beta1.metrics.k8s.io",
            "v1.metrics.k8s.io",
            "v1alpha1.fleet.tributary.dev",
        ];
        Self {
            now: NOW.parse().unwrap(),
            named: None,
            commands: crate::commands::Commands::default(),
            version: Ok(object(version)),
            groups: Ok(groups.map(str::to_owned).to_vec()),
            front_proxy: Ok([proxy].into()),
            registrations: Ok(names.map(registration).to_vec()),
            services: Ok(Vec::new()),
            deployments: all([deployment]),
            pods: all([
                pod("tributary-a", "frontend"),
                pod("s-0", "scraper"),
                pod("s-1", "scraper"),
            ]),
            endpoints: Ok(Vec::new()),
            nodes: all(["n-0", "n-1"].map(node)),
            scrapes: all(["n-0", "n-1"].map(scrape)),
            scrapers: all(["s-0", "s-1"].map(scraper)),
            frontends: all([frontend]),
            measured: Ok(Vec::new()),
            leases: all([lease("s-0", "16:59:57"), lease("s-1", "16:59:58")]),
            requests: Ok(Vec::new()),
            denied: Ok(Vec::new()),
            scalers: Ok(Scalers::default()),
        }
    }
    /// Nothing can be read.
    pub(crate) fn unread(failure: &Failure) -> Self {
        Self {
            now: NOW.parse().unwrap(),
            named: None,
            commands: crate::commands::Commands::default(),
            version: Err(failure.clone()),
            groups: Err(failure.clone()),
            front_proxy: Err(failure.clone()),
            registrations: Err(failure.clone()),
            services: Err(failure.clone()),
            deployments: Err(failure.clone()),
            pods: Err(failure.clone()),
            endpoints: Err(failure.clone()),
            nodes: Err(failure.clone()),
            scrapes: Err(failure.clone()),
            scrapers: Err(failure.clone()),
            frontends: Err(failure.clone()),
            measured: Ok(Vec::new()),
            leases: Err(failure.clone()),
            requests: Err(failure.clone()),
            denied: Err(failure.clone()),
            scalers: Err(failure.clone()),
        }
    }
}
