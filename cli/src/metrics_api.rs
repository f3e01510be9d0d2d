//! `metrics.k8s.io`, in the version that is served.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIGroup;

use crate::kube_api::KubeApi;

/// The group.
const GROUP: &str = "/apis/metrics.k8s.io";

/// What autoscalers ask.
pub(crate) const V1BETA1: &str = "/apis/metrics.k8s.io/v1beta1";

/// What kubectl asks from 1.37 on, if it is there.
const V1: &str = "/apis/metrics.k8s.io/v1";

/// The path of the version to ask: `v1beta1`, or `v1` where only that is registered. Where it is not known which are, that
/// which every server has.
pub(crate) async fn root(api: &KubeApi) -> &'static str {
    let versions = api.get::<APIGroup>(GROUP).await;
    let versions = versions.map(|group| group.versions).unwrap_or_default();
    let has = |name: &str| versions.iter().any(|known| known.version == name);
    if has("v1") && !has("v1beta1") {
        V1
    } else {
        V1BETA1
    }
}

/// The group and the version of a path, for people.
pub(crate) fn name(root: &str) -> &str {
    root.trim_start_matches("/apis/")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kube_api::fake::Fake;

    #[tokio::test]
    async fn the_version_that_is_served_is_asked() {
        let group = |versions: &[&str]| {
            let version = |it: &&str| json!({ "groupVersion": format!("metrics.k8s.io/{it}"), "version": it });
            let versions: Vec<Value> = versions.iter().map(version).collect();
            json!({ "kind": "APIGroup", "name": "metrics.k8s.io", "versions": versions })
        };
        for (status, answer, expected) in [
            (200, group(&["v1", "v1beta1"]), V1BETA1),
            (200, group(&["v1beta1"]), V1BETA1),
            (200, group(&["v1"]), V1),
            (200, group(&[]), V1BETA1),
            (403, json!({ "message": "forbidden" }), V1BETA1),
            (404, json!({ "message": "not found" }), V1BETA1),
        ] {
            let api = Fake::default().with(GROUP, status, answer.clone()).api();
            assert_eq!(root(&api).await, expected, "{answer}");
        }
        assert_eq!(name(V1), "metrics.k8s.io/v1");
    }
}
