//! Discovery of the API: groups, versions, resources.

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::status::answer;
use crate::store::{KINDS, Kind};
use crate::tls::{Body, full};

/// The groups that frontends may serve, and their versions, the preferred one first.
pub(crate) const AGGREGATED: [(&str, &[&str]); 2] = [
    ("metrics.k8s.io", &["v1", "v1beta1"]),
    ("fleet.tributary.dev", &["v1alpha1"]),
];

/// Whether a path belongs to one of these groups.
pub(super) fn is_aggregated(path: &str) -> bool {
    let below = path.strip_prefix("/apis/");
    let group = below.and_then(|below| below.split_once('/'));
    group.is_some_and(|(name, _)| AGGREGATED.iter().any(|(group, _)| *group == name))
}

/// Groups that have only reviews.
const REVIEWS: [(&str, &[(&str, &str)]); 2] = [
    ("authentication.k8s.io", &[("tokenreviews", "TokenReview")]),
    (
        "authorization.k8s.io",
        &[
            ("subjectaccessreviews", "SubjectAccessReview"),
            ("selfsubjectaccessreviews", "SelfSubjectAccessReview"),
        ],
    ),
];

/// The answer for a path of discovery, health or version. `None` for other paths.
pub(super) fn discover(path: &str, metrics: bool) -> Option<Response<Body>> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let document = match parts.as_slice() {
        ["livez" | "readyz" | "healthz", ..] => return Some(Response::new(full("ok"))),
        ["version"] => json!({
            "major": "1", "minor": "36", "gitVersion": "v1.36.0", "gitCommit": "simulated", "gitTreeState": "clean",
            "buildDate": "2026-04-01T00:00:00Z", "goVersion": "go1.26", "compiler": "gc", "platform": "linux/amd64",
        }),
        ["api"] => json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1" }],
        }),
        ["apis"] => {
            json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups(metrics) })
        }
        ["api", "v1"] => resources("", "v1")?,
        ["apis", group] => {
            let mut found = groups(metrics)
                .into_iter()
                .find(|known| known["name"] == **group)?;
            let own = found.as_object_mut()?;
            own.insert("kind".to_owned(), json!("APIGroup"));
            own.insert("apiVersion".to_owned(), json!("v1"));
            found
        }
        ["apis", group, version] => resources(group, version)?,
        _ => return None,
    };
    Some(answer(StatusCode::OK, &document))
}

fn groups(metrics: bool) -> Vec<Value> {
    let mut names: Vec<&str> = KINDS
        .iter()
        .map(|kind| kind.group)
        .filter(|group| !group.is_empty())
        .collect();
    names.extend(REVIEWS.iter().map(|(group, _)| *group));
    names.sort_unstable();
    names.dedup();
    let mut groups: Vec<Value> = names.into_iter().map(|name| group(name, &["v1"])).collect();
    if metrics {
        groups.extend(AGGREGATED.map(|(name, versions)| group(name, versions)));
    }
    groups
}

/// The first version is the preferred one.
fn group(name: &str, versions: &[&str]) -> Value {
    let version =
        |version: &&str| json!({ "groupVersion": format!("{name}/{version}"), "version": version });
    json!({
        "name": name,
        "versions": versions.iter().map(version).collect::<Vec<_>>(),
        "preferredVersion": versions.first().map(version),
    })
}

fn resources(group: &str, version: &str) -> Option<Value> {
    let mut resources: Vec<Value> = KINDS
        .iter()
        .filter(|kind| kind.group == group && kind.version == version)
        .map(|kind| resource(kind))
        .collect();
    for (_, reviews) in REVIEWS
        .iter()
        .filter(|(known, _)| *known == group && version == "v1")
    {
        resources.extend(reviews.iter().map(|(plural, kind)| {
            json!({
                "name": plural, "singularName": kind.to_lowercase(), "namespaced": false, "kind": kind,
                "verbs": ["create"],
            })
        }));
    }
    if resources.is_empty() {
        return None;
    }
    let group_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources,
    }))
}

fn resource(kind: &Kind) -> Value {
    let read = ["get", "list", "watch"];
    let write = ["create", "delete", "patch", "update"];
    let verbs: Vec<&str> = if kind.writable {
        [&read[..], &write[..]].concat()
    } else {
        read.to_vec()
    };
    json!({
        "name": kind.plural,
        "singularName": kind.name.to_lowercase(),
        "namespaced": kind.namespaced,
        "kind": kind.name,
        "verbs": verbs,
        "shortNames": kind.short,
    })
}
