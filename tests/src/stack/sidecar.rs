//! Both components in one pod, connected by a Unix socket.

use std::path::{Path, PathBuf};

use tributary_runtime::serve::Address;
use tributary_sim::Builder;

use super::{RESOLUTION, Stack, own_address};

impl Stack {
    /// One scraper and one frontend.
    pub async fn sidecar(cluster: Builder) -> Self {
        let (mut stack, socket) = Self::alone(cluster).await;
        stack.feed_through(&socket).await;
        stack
    }

    /// A frontend without scrapers, and its socket. Samples are served for minutes.
    pub async fn alone(cluster: Builder) -> (Self, PathBuf) {
        let mut stack = Self::with(cluster, (0, 0), &["--max-sample-age=5m"], RESOLUTION).await;
        let socket = stack.cluster.paths().dir.join("bus.sock");
        let address = Address::Unix(socket.clone());
        let front = stack.frontend(own_address(), &address).await;
        stack.frontends.push(Some(front));
        stack.announce();
        (stack, socket)
    }

    /// Starts a scraper of all nodes that publishes to the frontend at `socket`.
    pub async fn feed_through(&mut self, socket: &Path) {
        let sharding = [
            "--shard-index=0".to_owned(),
            "--shard-count=1".to_owned(),
            format!("--frontend=unix://{}", socket.display()),
        ];
        let scraper = self.scraper(0, &sharding).await;
        self.scrapers.push(Some(scraper));
    }
}
