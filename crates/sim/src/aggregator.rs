//! The work of kube-aggregator for `metrics.k8s.io`: it forwards requests to a frontend, with the user in headers.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use rustls::{ALL_VERSIONS, ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tributary_testkit::trust::any_server;

use crate::Error;
use crate::cluster::FrontendTrust;
use crate::encode::uid;
use crate::identity::Identity;
use crate::kube_api::Refusal;
use crate::pki::{Ca, FRONT_PROXY_NAME, Pki};
use crate::tls::{Body, Tasks, provider};

/// How long connecting to a frontend may take.
const CONNECT: Duration = Duration::from_secs(5);
/// The most idle connections to one frontend.
const IDLE: usize = 32;
/// The bytes of an extra key that are percent-encoded in a header's name: what RFC 7230 does not allow in a token.
const EXTRA_KEY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'(')
    .add(b')')
    .add(b',')
    .add(b'/')
    .add(b':')
    .add(b';')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'@')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'{')
    .add(b'}')
    .add(b'%');

type Proxy = Client<Dial, Full<Bytes>>;

/// The aggregating part of kube-apiserver.
#[derive(Debug)]
pub(crate) struct Aggregator {
    frontends: Mutex<Arc<[SocketAddr]>>,
    client: Mutex<Proxy>,
    next: AtomicUsize,
    is_registered: AtomicBool,
}

impl Aggregator {
    pub(crate) fn new(pki: &Pki, trust: &FrontendTrust) -> Result<Self, Error> {
        Ok(Self {
            frontends: Mutex::new(Arc::new([])),
            client: Mutex::new(client(pki, trust)?),
            next: AtomicUsize::new(0),
            is_registered: AtomicBool::new(false),
        })
    }

    pub(crate) fn set_frontends(&self, frontends: Vec<SocketAddr>) {
        if !frontends.is_empty() {
            self.register();
        }
        *self.frontends.lock() = frontends.into();
    }

    pub(crate) fn set_trust(&self, pki: &Pki, trust: &FrontendTrust) -> Result<(), Error> {
        *self.client.lock() = client(pki, trust)?;
        Ok(())
    }

    pub(crate) fn register(&self) {
        self.is_registered.store(true, Ordering::Relaxed);
    }

    /// Whether the groups are registered.
    pub(crate) fn serves(&self) -> bool {
        self.is_registered.load(Ordering::Relaxed)
    }

    /// Forwards a request to the frontends in turn, until one answers.
    ///
    /// A request that changes nothing is tried at the next frontend after any failure. Another one is tried only if no
    /// connection could be opened.
    pub(crate) async fn proxy(
        &self,
        parts: &Parts,
        body: Bytes,
        caller: &Identity,
    ) -> Result<Response<Body>, Refusal> {
        let frontends = Arc::clone(&self.frontends.lock());
        let client = self.client.lock().clone();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let headers = headers(parts, caller, turn);
        for index in 0..frontends.len() {
            let Some(frontend) = frontends.get((turn + index) % frontends.len()) else {
                break;
            };
            let Some(request) = request(*frontend, parts, &headers, body.clone()) else {
                return Err(Refusal::unavailable());
            };
            match client.request(request).await {
                Ok(response) => {
                    return Ok(response.map(|body| body.map_err(io::Error::other).boxed_unsync()));
                }
                Err(error) if again(&parts.method, &error) => {
                    tracing::debug!(%frontend, error = %chain(&error), "frontend does not answer");
                }
                Err(_) => break,
            }
        }
        Err(Refusal::unavailable())
    }
}

fn again(method: &Method, error: &ClientError) -> bool {
    error.is_connect() || method.is_safe()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

fn request(
    frontend: SocketAddr,
    parts: &Parts,
    headers: &HeaderMap,
    body: Bytes,
) -> Option<Request<Full<Bytes>>> {
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let uri: Uri = format!("https://{frontend}{path}").parse().ok()?;
    let mut request = Request::new(Full::new(body));
    request.method_mut().clone_from(&parts.method);
    *request.uri_mut() = uri;
    request.headers_mut().clone_from(headers);
    Some(request)
}

/// The client's headers without credentials and without the headers that only the aggregator may set, and the
/// aggregator's own headers.
fn headers(parts: &Parts, caller: &Identity, turn: usize) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &parts.headers {
        let text = name.as_str();
        let ours = text.starts_with("x-remote-")
            || text.starts_with("x-forwarded-")
            || text.starts_with("impersonate-");
        let hop = matches!(
            text,
            "authorization"
                | "connection"
                | "keep-alive"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
                | "host"
        );
        if !ours && !hop && *name != header::CONTENT_LENGTH {
            headers.append(name, value.clone());
        }
    }
    let mut say = |name: &str, value: &str| {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    };
    say("x-remote-user", &caller.user);
    if !caller.uid.is_empty() {
        say("x-remote-uid", &caller.uid);
    }
    for group in &caller.groups {
        say("x-remote-group", group);
    }
    for (key, values) in &caller.extra {
        let name = format!(
            "x-remote-extra-{}",
            utf8_percent_encode(&key.to_lowercase(), EXTRA_KEY)
        );
        for value in values {
            say(&name, value);
        }
    }
    if !parts.headers.contains_key("audit-id") {
        say("audit-id", &uid(&["audit", &turn.to_string()]));
    }
    let host = parts
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    say("x-forwarded-for", "127.0.0.1");
    say(
        "x-forwarded-host",
        host.or_else(|| parts.uri.authority().map(Authority::as_str))
            .unwrap_or_default(),
    );
    say("x-forwarded-proto", "https");
    say("x-forwarded-uri", parts.uri.path());
    headers
}

fn client(pki: &Pki, trust: &FrontendTrust) -> Result<Proxy, Error> {
    let certificate = pki.client(Ca::FrontProxy, FRONT_PROXY_NAME, &[])?;
    let (builder, name) = match trust {
        // This is `insecureSkipTLSVerify`.
        FrontendTrust::Unverified => (any_server(ALL_VERSIONS)?, None),
        FrontendTrust::Ca { pem, server_name } => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                roots.add(certificate.map_err(|_| Error::Pem)?)?;
            }
            let name = ServerName::try_from(server_name.clone()).map_err(|_| Error::Pem)?;
            let builder = ClientConfig::builder_with_provider(provider())
                .with_safe_default_protocol_versions()?;
            (builder.with_root_certificates(roots), Some(name))
        }
    };
    let mut config =
        builder.with_client_auth_cert(vec![certificate.der.clone()], certificate.key_der())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let dial = Dial {
        tls: TlsConnector::from(Arc::new(config)),
        name,
    };
    Ok(Client::builder(Tasks::default())
        .pool_max_idle_per_host(IDLE)
        .build(dial))
}

/// Opens TLS connections to frontends.
#[derive(Clone)]
struct Dial {
    tls: TlsConnector,
    /// The name that the certificate must have. `None`: the address.
    name: Option<ServerName<'static>>,
}

impl tower::Service<Uri> for Dial {
    type Response = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dial = self.clone();
        Box::pin(async move {
            let authority = uri.authority().map_or("", |authority| authority.as_str());
            let address: SocketAddr = authority.parse().map_err(io::Error::other)?;
            let name = dial.name.unwrap_or_else(|| ServerName::from(address.ip()));
            let connect = async {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                dial.tls.connect(name, stream).await
            };
            let stream = tokio::time::timeout(CONNECT, connect).await??;
            Ok(Stream(TokioIo::new(stream)))
        })
    }
}

/// A connection to a frontend, for hyper.
struct Stream(TokioIo<TlsStream<TcpStream>>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let h2 = self.0.inner().get_ref().1.alpn_protocol() == Some(b"h2");
        if h2 {
            Connected::new().negotiated_h2()
        } else {
            Connected::new()
        }
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
