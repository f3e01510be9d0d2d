//! A frontend with two doors and a simulated cluster.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tributary_apiserver::{Frontend, args::Args};
use tributary_runtime::{clock::Clock, serve::Address};
use tributary_sim::{Cluster, TokenSpec};

use super::{
    caller::{Answer, Caller},
    publisher::Proof,
};

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// Whose tokens publishers show.
pub(crate) const SCRAPER: &str = "system:serviceaccount:kube-system:scraper";

/// A frontend that runs; open streams are checked every second.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pub(crate) api: SocketAddr,
    /// The listener over TLS.
    pub(crate) bus: SocketAddr,
    /// The Unix socket.
    pub(crate) socket: PathBuf,
    stop: CancellationToken,
    running: JoinSet<anyhow::Result<()>>,
}

impl Stage {
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let cluster = Cluster::builder().nodes(2).start().await.unwrap();
        Self::beside(cluster, flags).await
    }

    pub(crate) async fn beside(cluster: Cluster, flags: &[&str]) -> Self {
        let paths = cluster.paths();
        let socket = paths.dir.join("bus.sock");
        let own = [
            "tributary-apiserver".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
            "--secure-port=0".to_owned(),
            "--bus-address=127.0.0.1:0".to_owned(),
            format!("--bus-address=unix://{}", socket.display()),
            "--bus-recheck-interval=1s".to_owned(),
            "--authentication-token-webhook-cache-ttl=100ms".to_owned(),
            "--authorization-webhook-cache-authorized-ttl=100ms".to_owned(),
            "--authorization-webhook-cache-unauthorized-ttl=100ms".to_owned(),
            format!("--tls-cert-file={}", paths.frontend_certificate.display()),
            format!("--tls-private-key-file={}", paths.frontend_key.display()),
            format!("--kubeconfig={}", paths.kubeconfig.display()),
        ];
        let flags = own.into_iter().chain(flags.iter().map(ToString::to_string));
        let stop = CancellationToken::new();
        let args = Args::try_parse_from(flags).unwrap();
        let frontend = Frontend::start(args, Clock::system(), stop.clone())
            .await
            .unwrap();
        let tcp = |address: &Address| match address {
            Address::Tcp(address) => *address,
            Address::Unix(_) => panic!("a Unix socket"),
        };
        let api = tcp(frontend.api_address());
        let bus = tcp(frontend.bus_addresses().first().unwrap());
        let mut running = JoinSet::new();
        running.spawn(frontend.run());
        Self {
            cluster,
            api,
            bus,
            socket,
            stop,
            running,
        }
    }

    /// A token of a scraper for the bus.
    pub(crate) fn token(&self) -> String {
        self.cluster
            .mint(TokenSpec::new(SCRAPER).audience("tributary-bus"))
    }

    /// Shows a token of a scraper.
    pub(crate) fn good(&self) -> Proof {
        Proof::token(&self.token())
    }

    /// What somebody gets who may have everything.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        let mut spec = TokenSpec::new("root");
        spec.groups = vec!["system:masters".to_owned()];
        let root = Caller::stranger().bearer(&self.cluster.mint(spec));
        root.get(self.api, path).await
    }

    /// A counter of the frontend, with its labels.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let answer = self.get("/metrics").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        answer.body.lines().find_map(value).unwrap_or_default()
    }

    /// How much was refused for this reason.
    pub(crate) async fn refused(&self, reason: &str) -> u64 {
        self.metric(&format!(
            "tributary_bus_refused_total{{reason=\"{reason}\"}}"
        ))
        .await
    }

    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.running.join_next().await {
            ended.unwrap().unwrap();
        }
        self.cluster.stop().await;
    }
}
