//! The endpoints of a Service. They show servers that have no labels of ours, and those that are no pods.

use k8s_openapi::api::{core::v1::Pod, discovery::v1};

use super::{Facts, Read};
use crate::kube_api::{KubeApi, encoded, path};

/// How many pods without our labels are read: more than there are frontends that an operator would look at one by one.
const MOST_PODS: usize = 5;

/// An endpoint of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address.
    pub address: String,
    /// Whether it gets requests.
    pub is_ready: bool,
    /// Whether it is about to end, as in a rolling update.
    pub is_terminating: bool,
    /// The name of its pod, if it has one.
    pub pod: Option<String>,
}

impl Endpoint {
    fn of(endpoint: v1::Endpoint) -> Self {
        let conditions = endpoint.conditions.unwrap_or_default();
        let target = endpoint
            .target_ref
            .filter(|it| it.kind.as_deref() == Some("Pod"));
        Self {
            address: endpoint.addresses.into_iter().next().unwrap_or_default(),
            is_ready: conditions.ready.unwrap_or(true),
            is_terminating: conditions.terminating.unwrap_or(false),
            pod: target.and_then(|target| target.name),
        }
    }

    /// Those of a Service.
    ///
    /// # Errors
    ///
    /// They cannot be listed.
    pub async fn all(api: &KubeApi, namespace: &str, service: &str) -> Read<Vec<Self>> {
        let slices = path(
            "/apis/discovery.k8s.io/v1/namespaces",
            &[namespace, "endpointslices"],
        );
        let selector = format!(
            "labelSelector=kubernetes.io/service-name%3D{}",
            encoded(service)
        );
        let slices = api
            .list::<v1::EndpointSlice>(&format!("{slices}?{selector}"))
            .await?;
        let all = slices.into_iter().flat_map(|slice| slice.endpoints);
        Ok(all.map(Self::of).collect())
    }
}

/// Reads the endpoints, and pods behind them that are not ready and have other labels than ours: with the state of its pod
/// a new one is not taken for one that is down.
pub(super) async fn read(api: &KubeApi, facts: &mut Facts) {
    let Some((namespace, service)) = facts.service() else {
        return;
    };
    let endpoints = Endpoint::all(api, &namespace, &service).await;
    if let (Ok(endpoints), Ok(pods)) = (&endpoints, &mut facts.pods) {
        let down = endpoints.iter().filter(|it| !it.is_ready);
        let names: Vec<&str> = down
            .filter_map(|it| it.pod.as_deref())
            .filter(|name| {
                let mut known = pods.iter();
                !known.any(|pod| pod.metadata.name.as_deref() == Some(*name))
            })
            .take(MOST_PODS)
            .collect();
        for name in names {
            let path = path("/api/v1/namespaces", &[&namespace, "pods", name]);
            pods.extend(api.get::<Pod>(&path).await);
        }
    }
    facts.endpoints = endpoints;
}
