//! What is wrong although, or because, the API answers: no scraper brings newer samples, or no server is registered.

use serde_json::Value;

use super::{Explained, Why};
use crate::{
    catalogue::Code,
    fleet::{FLEET, NodeScrape, NodeStatus, Scraper},
    kube_api::{Failure, KubeApi},
    printed::Outcome,
};

/// Who says why something has no metrics, or will have none.
pub(super) const GROUP: &str = "fleet.tributary.dev";

/// The connected scrapers, if the frontend says which there are.
pub(super) async fn scrapers(api: &KubeApi) -> Option<Vec<Scraper>> {
    api.list(&format!("{FLEET}/scrapers")).await.ok()
}

/// What lets metrics expire, if they will.
#[derive(Clone, Debug)]
pub(super) struct Expires {
    code: Code,
    message: &'static str,
}

impl Expires {
    /// By the connected scrapers, and by what the frontend says of the node.
    pub(super) fn of(scrapers: Option<&[Scraper]>, node: Option<&NodeScrape>) -> Option<Self> {
        if scrapers.is_some_and(<[Scraper]>::is_empty) {
            return Some(Self {
                code: Code::NoScraperConnected,
                message: "no scraper is connected to the frontend that answers: what it has expires",
            });
        }
        // Of a node with metrics, the frontend names a remedy when its samples are late and no scraper scrapes it.
        let late = |status: &&NodeStatus| status.has_metrics();
        let code = Code::find(&node.map(|node| &node.status).filter(late)?.remedy)?;
        Some(Self {
            code,
            message: "no scraper brings newer samples of the node: what the frontend has expires",
        })
    }

    /// Adds it.
    pub(super) fn explain(&self, api: &KubeApi, to: &mut Explained) {
        if to.outcome == Outcome::Healthy {
            to.title.push_str(", which expire");
        }
        to.outcome = Outcome::Findings;
        to.why(&Why {
            from: GROUP,
            reason: "",
            message: self.message,
            trouble: Some(self.code.trouble().code),
        });
        to.remedy(self.code, api);
    }
}

/// Whether a 404 of the version of `metrics.k8s.io` only means that kube-apiserver does not know the API. If so, that is
/// added.
pub(super) async fn is_unregistered(api: &KubeApi, version: &str, to: &mut Explained) -> bool {
    if is_registered(api, version).await {
        return false;
    }
    to.why(&Why {
        from: "kube-apiserver",
        reason: "",
        message: "metrics.k8s.io/v1beta1 is not registered: autoscalers and older kubectl top have no metrics",
        trouble: Some(Code::ApiServiceMissing.trouble().code),
    });
    to.remedy(Code::ApiServiceMissing, api);
    true
}

/// Why the fleet says nothing. Without its API, 404 does not mean that there is no such object.
pub(super) async fn of_fleet(api: &KubeApi, failure: Failure) -> Failure {
    let is_absent = matches!(failure, Failure::NotFound(_));
    if is_absent && !is_registered(api, FLEET).await {
        return Failure::NotFound(format!("{GROUP} is not registered"));
    }
    failure
}

/// Whether kube-apiserver knows an API. Every user may ask that.
async fn is_registered(api: &KubeApi, path: &str) -> bool {
    let discovery = api.get::<Value>(path).await;
    !matches!(discovery, Err(Failure::NotFound(_)))
}

#[cfg(test)]
mod tests;
