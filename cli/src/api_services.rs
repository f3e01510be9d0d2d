//! How the API groups are registered: `APIService` objects.

use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::{
    APIService, APIServiceCondition,
};
use serde::Serialize;

use crate::kube_api::{Failure, KubeApi};

/// Their path.
pub const API_SERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";

/// The one that kubectl and autoscalers ask.
pub const METRICS: &str = "v1beta1.metrics.k8s.io";

/// The one of the fleet.
pub const FLEET: &str = "v1alpha1.fleet.tributary.dev";

/// The groups that frontends serve.
const GROUPS: [&str; 2] = ["metrics.k8s.io", "fleet.tributary.dev"];

/// An `APIService` of a group that frontends serve.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// Its name: version and group.
    pub name: String,
    /// Namespace and name of the Service, if it has one.
    pub service: Option<(String, String)>,
    /// The port of the Service.
    pub port: i32,
    /// What kube-apiserver says. `None` before it says anything.
    pub available: Option<bool>,
    /// Why, in a word.
    pub reason: String,
    /// Why, as a sentence.
    pub message: String,
    /// With which CAs kube-apiserver verifies the server: PEM.
    #[serde(skip)]
    pub ca_bundle: Vec<u8>,
    /// Whether it verifies the server at all.
    pub verifies: bool,
}

impl Registration {
    /// Those of our groups, the older version of a group last.
    #[must_use]
    pub fn all(services: &[APIService]) -> Vec<Self> {
        let ours = services.iter().filter(|service| {
            let spec = service.spec.as_ref();
            let group = spec.and_then(|spec| spec.group.as_deref());
            group.is_some_and(|group| GROUPS.contains(&group))
        });
        let mut all: Vec<Self> = ours.map(Self::of).collect();
        all.sort_by(|one, other| other.name.cmp(&one.name));
        all
    }

    fn of(object: &APIService) -> Self {
        let spec = object.spec.clone().unwrap_or_default();
        let service = spec.service.unwrap_or_default();
        let is_available = |condition: &&APIServiceCondition| condition.type_ == "Available";
        let status = object.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_ref());
        let condition = conditions.and_then(|all| all.iter().find(is_available));
        let condition = condition.cloned();
        Self {
            name: object.metadata.name.clone().unwrap_or_default(),
            port: service.port.unwrap_or(443),
            service: service.namespace.zip(service.name),
            available: condition
                .as_ref()
                .map(|condition| condition.status == "True"),
            reason: condition
                .as_ref()
                .and_then(|condition| condition.reason.clone())
                .unwrap_or_default(),
            message: condition
                .and_then(|condition| condition.message)
                .unwrap_or_default(),
            ca_bundle: spec.ca_bundle.unwrap_or_default().0,
            verifies: !spec.insecure_skip_tls_verify.unwrap_or(false),
        }
    }

    /// The Service as `namespace/name`; `-` for one that kube-apiserver itself serves.
    #[must_use]
    pub fn target(&self) -> String {
        let joined = |(namespace, name): &(String, String)| format!("{namespace}/{name}");
        self.service.as_ref().map_or_else(|| "-".to_owned(), joined)
    }
}

/// How our groups are registered.
///
/// # Errors
///
/// They cannot be listed.
pub async fn registrations(api: &KubeApi) -> Result<Vec<Registration>, Failure> {
    let services = api.list::<APIService>(API_SERVICES).await?;
    Ok(Registration::all(&services))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn those_of_our_groups_are_read() {
        let object = |name: &str, group: &str, status: &str| -> APIService {
            let value = json!({
                "metadata": { "name": name },
                "spec": { "group": group, "groupPriorityMinimum": 1, "versionPriority": 1,
                          "service": { "namespace": "t", "name": "tributary" }, "caBundle": "YQ==" },
                "status": { "conditions": [
                    { "type": "Available", "status": status, "reason": "Passed", "message": "ok" },
                ] },
            });
            serde_json::from_value(value).unwrap()
        };
        let objects = [
            object("v1.apps", "apps", "True"),
            object("v1.metrics.k8s.io", "metrics.k8s.io", "True"),
            object("v1beta1.metrics.k8s.io", "metrics.k8s.io", "False"),
        ];
        let all = Registration::all(&objects);
        let short = all.iter().map(|one| (&*one.name, one.available));
        assert_eq!(
            short.collect::<Vec<_>>(),
            [
                ("v1beta1.metrics.k8s.io", Some(false)),
                ("v1.metrics.k8s.io", Some(true))
            ]
        );
        let first = &all[0];
        assert_eq!((first.target().as_str(), first.port), ("t/tributary", 443));
        assert_eq!((&*first.ca_bundle, first.verifies), (&b"a"[..], true));
    }
}
