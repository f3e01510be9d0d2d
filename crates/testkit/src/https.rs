//! One HTTPS client, for requests without a body.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// A complete answer. Two are equal if their status and body are equal. Headers differ, because they have a date and
/// the `Audit-Id`.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl PartialEq for Answer {
    fn eq(&self, other: &Self) -> bool {
        (self.status, &self.body) == (other.status, &other.body)
    }
}

impl Eq for Answer {}

impl Answer {
    /// The body as JSON. Null if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The items of a list, if it is one.
    pub fn items(&self) -> Vec<Value> {
        match self.json().get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        }
    }

    /// The value of a metric, named with its labels.
    pub fn metric(&self, name: &str) -> Option<u64> {
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        self.text().lines().find_map(value)
    }

    /// The message of a `Status`.
    pub fn message(&self) -> String {
        let json = self.json();
        let message = json.get("message").and_then(Value::as_str);
        message.unwrap_or_default().to_owned()
    }

    async fn of(response: Response<Incoming>) -> anyhow::Result<Self> {
        let (head, body) = response.into_parts();
        let body = body.collect().await.context("read an answer")?;
        Ok(Self {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        })
    }
}

/// The address of a server, and the TLS and headers of every request.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    headers: Vec<(String, String)>,
}

impl Client {
    /// For the server at `address`, with the name `localhost`.
    pub fn new(address: SocketAddr, tls: impl Into<Arc<ClientConfig>>) -> Self {
        Self {
            address,
            tls: tls.into(),
            headers: Vec::new(),
        }
    }

    /// Adds a header to every request.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Opens a TLS session.
    ///
    /// # Errors
    ///
    /// There is no server, or it refuses the session.
    pub async fn secured(&self) -> anyhow::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let name = ServerName::try_from("localhost")?;
        Ok(connector.connect(name, stream).await?)
    }

    /// A connection for several requests.
    ///
    /// # Errors
    ///
    /// There is no server, or it refuses the connection.
    pub async fn connect(&self) -> anyhow::Result<Session> {
        let stream = self.secured().await?;
        Session::over(stream, self.headers.clone()).await
    }

    /// GETs `path` on a new connection.
    ///
    /// # Errors
    ///
    /// There is no answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.connect().await?.get(path).await
    }
}

/// A connection in HTTP/1.1.
#[derive(Debug)]
pub struct Session {
    sender: SendRequest<Empty<Bytes>>,
    headers: Vec<(String, String)>,
    _connection: JoinSet<()>,
}

impl Session {
    async fn over<S>(stream: S, headers: Vec<(String, String)>) -> anyhow::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut tasks = JoinSet::new();
        // A failure is reported by the request.
        tasks.spawn(async move { drop(connection.await) });
        Ok(Self {
            sender,
            headers,
            _connection: tasks,
        })
    }

    /// GETs `path`, and reads the answer to its end.
    ///
    /// # Errors
    ///
    /// The connection is lost.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        Answer::of(self.begin(path, &[]).await?).await
    }

    /// GETs `path` with `more` headers, and leaves the body of the answer to the caller.
    ///
    /// # Errors
    ///
    /// The connection is lost.
    pub async fn begin(
        &mut self,
        path: &str,
        more: &[(&str, &str)],
    ) -> anyhow::Result<Response<Incoming>> {
        let mut request = Request::get(path).header(header::HOST, "localhost");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        self.sender.ready().await?;
        Ok(self
            .sender
            .send_request(request.body(Empty::new())?)
            .await?)
    }
}

/// GETs `path` without TLS, as probes do.
///
/// # Errors
///
/// There is no answer.
pub async fn plain(address: SocketAddr, path: &str) -> anyhow::Result<Answer> {
    let stream = TcpStream::connect(address).await?;
    Session::over(stream, Vec::new()).await?.get(path).await
}

/// The TLS of a client that trusts `ca`, a certificate in PEM, and shows `pair`, a certificate and
/// its key in PEM.
///
/// # Errors
///
/// They cannot be used.
pub fn client_tls(ca: &str, pair: Option<(&str, &str)>) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let Some((certificate, key)) = pair else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = CertificateDer::from_pem_slice(certificate.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
    Ok(builder.with_client_auth_cert(vec![chain], key)?)
}
