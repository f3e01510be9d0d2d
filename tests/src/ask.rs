//! A client of the Kubernetes API, which proxies `metrics.k8s.io` to the
//! frontends as a real one does; or of one frontend, as the aggregator asks it.

use std::{net::SocketAddr, path::Path, sync::Arc};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tributary_sim::{Ca, Cluster, Credential};

/// A caller with a client certificate. A connection of its own for every
/// request: it must not matter to the answer.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    /// Whom it tells to act for, and as a member of which group.
    acts_for: Option<(&'static str, &'static str)>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The items of a list, if it is one.
    pub fn items(&self) -> Vec<Value> {
        match self.json()["items"].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        }
    }

    /// The value of a metric, named with its labels.
    pub fn metric(&self, name: &str) -> Option<u64> {
        let text = String::from_utf8_lossy(&self.body);
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        text.lines().find_map(value)
    }

    /// The message of a refusal.
    pub fn message(&self) -> String {
        let json = self.json();
        json["message"].as_str().unwrap_or_default().to_owned()
    }
}

impl Client {
    /// An administrator, at the Kubernetes API.
    pub fn admin(cluster: &Cluster) -> Self {
        let pki = cluster.pki();
        let client = pki
            .client(Ca::Cluster, "kubernetes-admin", &["system:masters"])
            .expect("a client certificate");
        Self {
            address: cluster.api_address(),
            tls: client_config(pki.ca(Ca::Cluster), Some((client.certificate, client.key))),
            acts_for: None,
        }
    }

    /// The aggregator, at one frontend, on behalf of an administrator.
    pub fn front_proxy(cluster: &Cluster, frontend: SocketAddr) -> Self {
        Self::on_behalf_of("kubernetes-admin", "system:masters", cluster, frontend)
    }

    /// The aggregator, at one frontend, on behalf of this member of a group.
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
        Self {
            address: frontend,
            tls: client_config(cluster.pki().ca(Ca::Bus), Some(pair)),
            acts_for: Some((user, group)),
        }
    }

    /// Somebody without a certificate, at one frontend.
    pub fn stranger(cluster: &Cluster, frontend: SocketAddr) -> Self {
        Self {
            address: frontend,
            tls: client_config(cluster.pki().ca(Ca::Bus), None),
            acts_for: None,
        }
    }

    /// GETs `path`, as JSON.
    ///
    /// # Errors
    ///
    /// There is no answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.get_as(path, "application/json").await
    }

    /// GETs `path`, as what `accept` says.
    ///
    /// # Errors
    ///
    /// There is no answer.
    pub async fn get_as(&self, path: &str, accept: &'static str) -> anyhow::Result<Answer> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost")?;
        let stream = TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, stream)
            .await?;
        let mut request = Request::get(path)
            .header(header::HOST, "localhost")
            .header(header::ACCEPT, accept);
        if let Some((user, group)) = self.acts_for {
            request = request
                .header("X-Remote-User", user)
                .header("X-Remote-Group", group);
        }
        exchange(stream, request.body(Empty::new())?).await
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

/// GETs `path` without TLS, as probes do.
///
/// # Errors
///
/// There is no answer.
pub async fn plain(address: SocketAddr, path: &str) -> anyhow::Result<Answer> {
    let stream = TcpStream::connect(address).await?;
    let request = Request::get(path).header(header::HOST, "localhost");
    exchange(stream, request.body(Empty::new())?).await
}

/// One request on a connection of its own.
async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> anyhow::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        anyhow::Ok(Answer { status, body })
    };
    tokio::pin!(connection, exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        ended = &mut connection => {
            ended?;
            exchange.await
        }
    }
}

/// The TLS of a client that trusts frontends and shows nothing, for one protocol.
pub fn trusting(cluster: &Cluster, protocol: &str) -> Arc<ClientConfig> {
    speaking(cluster, None, protocol)
}

/// The same, with a certificate.
pub fn showing(cluster: &Cluster, pair: Credential, protocol: &str) -> Arc<ClientConfig> {
    speaking(cluster, Some((pair.certificate, pair.key)), protocol)
}

fn speaking(
    cluster: &Cluster,
    pair: Option<(String, String)>,
    protocol: &str,
) -> Arc<ClientConfig> {
    let mut config = client_config(cluster.pki().ca(Ca::Bus), pair);
    Arc::make_mut(&mut config).alpn_protocols = vec![protocol.as_bytes().to_vec()];
    config
}

fn client_config(ca: &str, pair: Option<(String, String)>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(ca.as_bytes()).expect("a CA");
    roots.add(ca).expect("a usable CA");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_root_certificates(roots);
    Arc::new(match pair {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM");
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
            builder
                .with_client_auth_cert(vec![chain], key)
                .expect("a pair")
        }
    })
}
