//! A client of one server. It opens a connection for a few requests and closes it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tributary_runtime::tls::{PairFiles, certificates, private_key, roots};

/// How long connecting may take, and each answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer, which is longer than a list of 5,000 nodes with 250 pods each.
const MAX_BODY: usize = 1 << 30;

/// The address of a server, and its TLS. Cheap to clone.
#[derive(Clone)]
pub(crate) struct HttpClient {
    address: SocketAddr,
    /// `None`: without TLS.
    tls: Option<TlsConnector>,
}

impl HttpClient {
    /// A client without TLS.
    pub(crate) fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }

    /// A client with TLS.
    pub(crate) fn tls(address: SocketAddr, tls: &TlsConnector) -> Self {
        Self {
            address,
            tls: Some(tls.clone()),
        }
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// There is no server, or a certificate is refused.
    pub(crate) async fn open(&self) -> anyhow::Result<Session> {
        timeout(PATIENCE, self.connect())
            .await
            .with_context(|| format!("connect to {}", self.address))?
            .with_context(|| format!("connect to {}", self.address))
    }

    async fn connect(&self) -> anyhow::Result<Session> {
        let stream = TcpStream::connect(self.address).await?;
        match &self.tls {
            None => Session::new(self.address, stream).await,
            Some(tls) => {
                let name = ServerName::from(self.address.ip());
                Session::new(self.address, tls.connect(name, stream).await?).await
            }
        }
    }
}

/// A connection.
pub(crate) struct Session {
    address: SocketAddr,
    sender: SendRequest<Empty<Bytes>>,
    /// The task of the connection, which ends when this is dropped.
    _connection: JoinSet<()>,
}

impl Session {
    async fn new<S>(address: SocketAddr, stream: S) -> anyhow::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut tasks = JoinSet::new();
        // A failure is reported by the request.
        tasks.spawn(async move { drop(connection.await) });
        Ok(Self {
            address,
            sender,
            _connection: tasks,
        })
    }

    /// GETs a path as JSON.
    ///
    /// # Errors
    ///
    /// The answer is not complete in time.
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
        timeout(PATIENCE, self.ask(path))
            .await
            .with_context(|| format!("get {path} from {}", self.address))?
            .with_context(|| format!("get {path} from {}", self.address))
    }

    async fn ask(&mut self, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
        let request = Request::get(path)
            .header(header::HOST, self.address.to_string())
            .header(header::ACCEPT, "application/json")
            .body(Empty::new())?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_BODY);
        let body = body.collect().await.map_err(anyhow::Error::from_boxed)?;
        Ok((status, body.to_bytes()))
    }
}

/// TLS that trusts one CA and has a client certificate.
///
/// # Errors
///
/// The files cannot be used.
pub(crate) fn connector(ca: &std::path::Path, own: &PairFiles) -> anyhow::Result<TlsConnector> {
    let config = ClientConfig::builder()
        .with_root_certificates(roots(ca)?)
        .with_client_auth_cert(certificates(&own.certificate)?, private_key(&own.key)?)?;
    Ok(TlsConnector::from(Arc::new(config)))
}
