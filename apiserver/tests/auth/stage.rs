//! A frontend and a simulated cluster.

use std::net::SocketAddr;

use clap::Parser as _;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tributary_apiserver::{Frontend, args::Args};
use tributary_runtime::{clock::Clock, serve::Address};
use tributary_sim::{Ca, Cluster, Pki, TokenSpec};
use tributary_testkit::patience::eventually;

use super::caller::Caller;

/// A list that needs authorization as a resource.
pub(crate) const NODES: &str = "/apis/metrics.k8s.io/v1beta1/nodes";

/// A frontend that runs, configured by nothing but the cluster's config map.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pub(crate) api: SocketAddr,
    pub(crate) leaving: CancellationToken,
    stop: CancellationToken,
    running: JoinSet<anyhow::Result<()>>,
    _dir: TempDir,
}

impl Stage {
    /// Waits until the frontend knows whom to trust and what there is.
    pub(crate) async fn ready(flags: &[&str]) -> Self {
        let stage = Self::start(flags).await;
        let root = Caller::stranger().bearer(&stage.root());
        eventually(|| async {
            for path in [NODES, "/readyz/authentication-configuration"] {
                let answer = root.get(stage.api, path).await;
                if answer.status != 200 {
                    return Err(answer);
                }
            }
            Ok(())
        })
        .await;
        stage
    }

    /// Starts the frontend, and waits for nothing.
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let cluster = Cluster::builder().start().await.unwrap();
        Self::beside(cluster, flags).await
    }

    pub(crate) async fn beside(cluster: Cluster, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let own = [
            "tributary-apiserver".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
            "--secure-port=0".to_owned(),
            format!("--bus-address=unix://{}/bus.sock", dir.path().display()),
            format!("--kubeconfig={}", cluster.paths().kubeconfig.display()),
        ];
        let flags = own.into_iter().chain(flags.iter().map(ToString::to_string));
        let stop = CancellationToken::new();
        let args = Args::try_parse_from(flags).unwrap();
        let frontend = Frontend::start(args, Clock::system(), stop.clone())
            .await
            .unwrap();
        let Address::Tcp(api) = *frontend.api_address() else {
            panic!("the API is served over TCP");
        };
        let leaving = frontend.leaving();
        let mut running = JoinSet::new();
        running.spawn(frontend.run());
        Self {
            cluster,
            api,
            leaving,
            stop,
            running,
            _dir: dir,
        }
    }

    /// A token of somebody who may do everything.
    pub(crate) fn root(&self) -> String {
        let mut spec = TokenSpec::new("root");
        spec.groups = vec!["system:masters".to_owned()];
        self.cluster.mint(spec)
    }

    /// The front proxy, with the cluster's own certificate.
    pub(crate) fn front_proxy(&self, user: &'static str) -> Caller {
        Caller::with(self.cluster.pki(), Ca::FrontProxy, "front-proxy-client")
            .header("X-Remote-User", user)
    }

    /// Lets the config map name these front proxy CAs.
    pub(crate) fn trust_proxies(&self, proxies: &[&Pki]) {
        let bundle: Vec<&str> = proxies.iter().map(|pki| pki.ca(Ca::FrontProxy)).collect();
        let map = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "namespace": "kube-system", "name": "extension-apiserver-authentication" },
            "data": {
                "client-ca-file": self.cluster.pki().ca(Ca::Cluster),
                "requestheader-allowed-names": "[\"front-proxy-client\"]",
                "requestheader-client-ca-file": bundle.concat(),
                "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
                "requestheader-group-headers": "[\"X-Remote-Group\"]",
                "requestheader-username-headers": "[\"X-Remote-User\"]",
            },
        });
        self.cluster.put_object(map).unwrap();
    }

    /// Waits until the frontend has ended by itself, as it was told to.
    pub(crate) async fn ended(&mut self) {
        self.running.join_next().await.unwrap().unwrap().unwrap();
    }

    /// Ends both.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.running.join_next().await {
            ended.unwrap().unwrap();
        }
        self.cluster.stop().await;
    }
}
