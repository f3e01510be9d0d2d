//! Both components that give the Kubernetes API less time than in a real cluster.

use std::time::Duration;

use tributary_runtime::kube::Limits;
use tributary_sim::Builder;

use super::Stack;

impl Stack {
    /// Nobody yet, for those who are started with [`Stack::join_frontend`] and
    /// [`Stack::join_scraper`] and give the Kubernetes API so much time.
    pub async fn impatient(cluster: Builder, limits: Limits) -> Self {
        let resolution = Duration::from_secs(2);
        let mut stack = Self::with(cluster, (0, 0), &["--max-sample-age=5m"], resolution).await;
        stack.limits = limits;
        stack
    }
}
