//! A simulated autoscaler: it reads the metrics of a few pods again and again, so their nodes are scraped at the fast
//! resolution.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tributary_sim::Cluster;

use crate::{http_client::HttpClient, status::count};

/// How often kube-controller-manager looks at an autoscaler.
const EVERY: Duration = Duration::from_secs(15);

/// The number of pods. They are on different nodes, if there are as many.
const PODS: usize = 3;

/// The label of these pods.
const LABEL: (&str, &str) = ("scaled", "yes");

/// The pods that are scaled.
#[derive(Debug)]
pub(crate) struct Workload {
    namespace: String,
    pods: usize,
}

impl Workload {
    /// Labels the first pods of the first namespace.
    ///
    /// # Errors
    ///
    /// A pod is gone.
    pub(crate) fn label(cluster: &Cluster) -> anyhow::Result<Self> {
        let all = cluster.pods();
        let namespace = all.first().map(|(namespace, _)| namespace.clone());
        let namespace = namespace.unwrap_or_default();
        let own = all.iter().filter(|(other, _)| *other == namespace);
        let (key, value) = LABEL;
        let mut pods = 0;
        for (namespace, name) in own.take(PODS) {
            cluster.label_pod(namespace, name, key, Some(value))?;
            pods += 1;
        }
        Ok(Self { namespace, pods })
    }

    /// A line about it.
    pub(crate) fn text(&self) -> String {
        format!(
            "an autoscaler reads {} in {} every {} s, so their nodes are scraped every second",
            count(self.pods, "pod"),
            self.namespace,
            EVERY.as_secs()
        )
    }

    /// Reads their metrics until `stop`, as an autoscaler does.
    pub(crate) async fn read(self, client: HttpClient, stop: CancellationToken) {
        let (key, value) = LABEL;
        let path = format!(
            "/apis/metrics.k8s.io/v1beta1/namespaces/{}/pods?labelSelector={key}%3D{value}",
            self.namespace
        );
        let mut due = interval(EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(due.tick()).await.is_some() {
            // While no frontend answers, the next attempt may succeed.
            if let Ok(mut session) = client.open().await {
                drop(session.get(&path).await);
            }
        }
    }
}
