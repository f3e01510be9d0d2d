//! Both components with short time limits for the Kubernetes API.

use std::time::Duration;

use tributary_runtime::kube::Limits;
use tributary_sim::Builder;

use super::Stack;

impl Stack {
    /// A cluster without components. Those that are started with [`Stack::join_frontend`] and [`Stack::join_scraper`]
    /// have these limits for the Kubernetes API.
    pub async fn impatient(cluster: Builder, limits: Limits) -> Self {
        let resolution = Duration::from_secs(2);
        let mut stack = Self::with(cluster, (0, 0), &["--max-sample-age=5m"], resolution).await;
        stack.limits = limits;
        stack
    }
}
