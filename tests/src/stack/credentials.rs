//! The credentials that publishers send to frontends. They can be replaced while both run.

use std::path::PathBuf;

use tributary_sim::{Builder, TokenSpec};

use super::{RESOLUTION, Stack};

/// Credentials are checked often, so that tests do not wait long.
const RECHECK: &[&str] = &[
    "--max-sample-age=5m",
    "--bus-recheck-interval=1s",
    "--authentication-token-webhook-cache-ttl=100ms",
];

impl Stack {
    /// The same, with certificates that are checked again every second.
    pub async fn with_certificates(cluster: Builder, scrapers: usize, frontends: usize) -> Self {
        Self::with(cluster, (scrapers, frontends), RECHECK, RESOLUTION).await
    }

    /// The same, with tokens.
    pub async fn with_tokens(cluster: Builder, scrapers: usize, frontends: usize) -> Self {
        let mut stack = Self::with(cluster, (0, 0), RECHECK, RESOLUTION).await;
        stack.tokens = true;
        stack.renew_token();
        for _ in 0..frontends {
            stack.join_frontend().await;
        }
        for index in 0..scrapers {
            let scraper = stack.scraper(index, &stack.shard(index, scrapers)).await;
            stack.scrapers.push(Some(scraper));
        }
        stack
    }

    /// The file with the token of scrapers.
    pub(super) fn token_file(&self) -> PathBuf {
        self.cluster.paths().dir.join("bus-token")
    }

    /// The token that scrapers have now.
    pub fn first_token(&self) -> String {
        std::fs::read_to_string(self.token_file()).expect("a token")
    }

    /// Gives scrapers another token, and returns it.
    pub fn renew_token(&self) -> String {
        let spec = TokenSpec::new("system:serviceaccount:tributary:scraper");
        let token = self.cluster.mint(spec.audience("tributary-bus"));
        std::fs::write(self.token_file(), &token).expect("a file");
        token
    }

    /// The file with the CA of publishers.
    pub fn publishers_ca(&self) -> PathBuf {
        self.cluster.paths().dir.join("publishers.crt")
    }
}
