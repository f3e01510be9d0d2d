//! A client of the Kubernetes API, which proxies `metrics.k8s.io` to the frontends, or of one frontend, like the
//! aggregator.

use std::{net::SocketAddr, path::Path, sync::Arc};

use http::StatusCode;
use rustls::ClientConfig;
use tributary_sim::{Ca, Cluster, Credential};
use tributary_testkit::https::{self, client_tls};
pub use tributary_testkit::https::{Answer, plain};

/// A caller. It opens a connection for every request, because the answer must not depend on the connection.
#[derive(Clone, Debug)]
pub struct Client(https::Client);

impl Client {
    /// An administrator that calls the Kubernetes API.
    pub fn admin(cluster: &Cluster) -> Self {
        let pki = cluster.pki();
        let client = pki
            .client(Ca::Cluster, "kubernetes-admin", &["system:masters"])
            .expect("a client certificate");
        let pair = (client.certificate, client.key);
        let tls = client_config(pki.ca(Ca::Cluster), Some(&pair));
        Self(https::Client::new(cluster.api_address(), tls))
    }

    /// The aggregator that calls one frontend for an administrator.
    pub fn front_proxy(cluster: &Cluster, frontend: SocketAddr) -> Self {
        Self::on_behalf_of("kubernetes-admin", "system:masters", cluster, frontend)
    }

    /// The aggregator that calls one frontend for a user in this group.
    pub fn on_behalf_of(
        user: &'static str,
        group: &'static str,
        cluster: &Cluster,
        frontend: SocketAddr,
    ) -> Self {
        let read = |path: &Path| std::fs::read_to_string(path).expect("a file of the cluster");
        let paths = cluster.paths();
        let pair = (
            read(&paths.front_proxy_certificate),
            read(&paths.front_proxy_key),
        );
        let client = https::Client::new(
            frontend,
            client_config(cluster.pki().ca(Ca::Bus), Some(&pair)),
        );
        let client = client.header("X-Remote-User", user);
        Self(client.header("X-Remote-Group", group))
    }

    /// A caller without a certificate that calls one frontend.
    pub fn stranger(cluster: &Cluster, frontend: SocketAddr) -> Self {
        let tls = client_config(cluster.pki().ca(Ca::Bus), None);
        Self(https::Client::new(frontend, tls))
    }

    /// GETs `path`, as JSON.
    ///
    /// # Errors
    ///
    /// There is no answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.get_as(path, "application/json").await
    }

    /// GETs `path` with this `Accept`.
    ///
    /// # Errors
    ///
    /// There is no answer.
    pub async fn get_as(&self, path: &str, accept: &'static str) -> anyhow::Result<Answer> {
        self.0.clone().header("Accept", accept).get(path).await
    }

    /// GETs `path` and expects 200.
    pub async fn ok(&self, path: &str) -> Result<Answer, String> {
        match self.get(path).await {
            Ok(answer) if answer.status == StatusCode::OK => Ok(answer),
            Ok(answer) => Err(format!("{}: {}", answer.status, answer.message())),
            Err(error) => Err(format!("{error:#}")),
        }
    }
}

/// The TLS of a client that trusts frontends and has no certificate, for one protocol.
pub fn trusting(cluster: &Cluster, protocol: &str) -> Arc<ClientConfig> {
    speaking(cluster, None, protocol)
}

/// The same, with a client certificate.
pub fn showing(cluster: &Cluster, pair: Credential, protocol: &str) -> Arc<ClientConfig> {
    speaking(cluster, Some(&(pair.certificate, pair.key)), protocol)
}

fn speaking(
    cluster: &Cluster,
    pair: Option<&(String, String)>,
    protocol: &str,
) -> Arc<ClientConfig> {
    let mut config = client_config(cluster.pki().ca(Ca::Bus), pair);
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    Arc::new(config)
}

fn client_config(ca: &str, pair: Option<&(String, String)>) -> ClientConfig {
    let pair = pair.map(|(certificate, key)| (&**certificate, &**key));
    client_tls(ca, pair).expect("the TLS of a client")
}
