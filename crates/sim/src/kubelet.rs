//! One kubelet: an HTTPS server on the node's own loopback address that serves `/metrics/resource`.

mod fault;
mod gzip;
mod moment;
mod number;
mod page;
mod serves;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use jiff::Timestamp;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::cluster::Shared;
use crate::gate::Gate;
use crate::identity::{Attributes, Identity};
use crate::tls::{self, Body, full};
use crate::{Ca, Error, Pki};

pub use fault::Fault;
pub(crate) use gzip::Gzip;
pub(crate) use moment::Moment;
pub(crate) use page::Page;
pub use serves::Serves;
use serves::subresource;

/// The most connections of one kubelet. More are closed at once.
const CONNECTIONS: usize = 256;
/// How long a client may take for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The path of the page, unless the node's annotation has another one.
const PATH: &str = "/metrics/resource";
/// The node annotation that moves the page.
const PATH_ANNOTATION: &str = "metrics.k8s.io/resource-metrics-path";

/// How many times of pages are remembered.
const PAGES: usize = 16;

/// The callers that kubelets accept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KubeletAuth {
    /// All callers.
    #[default]
    Open,
    /// Callers with this bearer token. Others get 401.
    Token(String),
    /// As in a real kubelet: a client certificate of the cluster's authority or a token of the cluster (else 401),
    /// whose user may `get` `nodes/metrics`, or below `/stats` `nodes/stats` (else 403).
    Delegated,
}

/// What a kubelet has received. See [`Cluster::kubelet_stats`](crate::Cluster::kubelet_stats).
#[derive(Clone, Debug, Default)]
pub struct KubeletStats {
    /// Requests, including refused ones.
    pub requests: u64,
    /// TCP connections that were opened.
    pub connections: u64,
    /// The headers of the newest request; hyper limits them to 100.
    pub last_headers: HeaderMap,
    /// The path and query of the newest request.
    pub last_path: String,
    /// The times of the newest pages with this node's own numbers, in milliseconds, oldest first. At most sixteen.
    /// Without housekeeping they are also the times of the samples.
    pub pages: VecDeque<Timestamp>,
}

/// A running kubelet.
#[derive(Debug)]
pub(crate) struct Kubelet {
    name: String,
    address: SocketAddr,
    tls: Mutex<Arc<ServerConfig>>,
    shared: Arc<Shared>,
    fault: Mutex<Fault>,
    serves: Mutex<Serves>,
    gate: Gate,
    replayed: AtomicUsize,
    stats: Mutex<KubeletStats>,
}

impl Kubelet {
    pub(crate) fn new(
        name: &str,
        address: SocketAddr,
        tls: Arc<ServerConfig>,
        shared: Arc<Shared>,
    ) -> Arc<Self> {
        let gate = Gate::new(shared.stop.child_token());
        Arc::new(Self {
            name: name.to_owned(),
            address,
            tls: Mutex::new(tls),
            shared,
            fault: Mutex::new(Fault::None),
            serves: Mutex::default(),
            gate,
            replayed: AtomicUsize::new(0),
            stats: Mutex::default(),
        })
    }

    pub(crate) fn stats(&self) -> KubeletStats {
        self.stats.lock().clone()
    }

    pub(crate) fn requests(&self) -> u64 {
        self.stats.lock().requests
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the certificate for new connections. It has the kubelet's names.
    pub(crate) fn show(&self, pki: &Pki) -> Result<(), Error> {
        let names = [self.name.clone(), self.address.ip().to_string()];
        let credential = pki.server(Ca::Cluster, &names)?;
        let clients = self.shared.pki.ca_der(Ca::Cluster);
        let tls = tls::server_config(&credential, Some(clients))?;
        *self.tls.lock() = tls;
        Ok(())
    }

    /// Ends the listener and every connection.
    pub(crate) fn stop(&self) {
        self.gate.stop();
    }

    /// Sets the fault. Returns when it applies to new connections and requests.
    pub(crate) async fn set_fault(&self, fault: Fault) {
        let open = fault != Fault::Refuse;
        let cuts = fault.cuts();
        self.replayed.store(0, Ordering::Release);
        let before = std::mem::replace(&mut *self.fault.lock(), fault);
        if cuts || before.cuts() {
            self.gate.set(open).await;
        }
    }

    /// Sets the page for new requests.
    pub(crate) fn set_serves(&self, serves: Serves) {
        *self.serves.lock() = serves;
    }

    fn serves(&self) -> Serves {
        *self.serves.lock()
    }

    fn fault(&self) -> Fault {
        self.fault.lock().clone()
    }

    /// Accepts connections until the kubelet is stopped.
    pub(crate) async fn run(self: Arc<Self>, listener: TcpListener) {
        self.gate
            .run(self.address, listener, CONNECTIONS, |stream| {
                Arc::clone(&self).connection(stream)
            })
            .await;
    }

    async fn connection(self: Arc<Self>, stream: TcpStream) {
        self.count(|stats| stats.connections += 1);
        let config = match self.fault() {
            Fault::Hang => None,
            Fault::WrongCertificate => Some(Arc::clone(&self.shared.wrong_tls)),
            _ => {
                let shown = self.tls.lock();
                Some(Arc::clone(&shown))
            }
        };
        let Some(config) = config else {
            // Keeps the stream open until the fault changes and the connection is cut.
            return std::future::pending().await;
        };
        stream.set_nodelay(true).ok();
        let handshake =
            tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await;
        let Ok(Ok(stream)) = handshake else {
            return;
        };
        let holder = stream
            .get_ref()
            .1
            .peer_certificates()
            .and_then(|chain| self.shared.pki.holder(chain.first()?));
        let service = service_fn(move |request| {
            let (kubelet, holder) = (Arc::clone(&self), holder.clone());
            async move { kubelet.answer(&request, holder.as_deref()).await }
        });
        tls::serve(stream, service).await;
    }

    async fn answer(
        &self,
        request: &Request<Incoming>,
        holder: Option<&Identity>,
    ) -> io::Result<Response<Body>> {
        self.count(|stats| {
            stats.requests += 1;
            stats.last_headers.clone_from(request.headers());
            stats.last_path = request.uri().to_string();
        });
        let fault = self.fault();
        let gzip = accepts_gzip(request.headers());
        match fault {
            Fault::Slow(by) => tokio::time::sleep(by).await,
            Fault::Hang | Fault::Refuse => return std::future::pending().await,
            Fault::Status(code) => {
                let status =
                    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                return Ok(plain(
                    status,
                    status.canonical_reason().unwrap_or("simulated"),
                ));
            }
            Fault::Redirect(to) => {
                let answer = Response::builder()
                    .status(StatusCode::FOUND)
                    .header(header::LOCATION, to);
                return answer.body(full("")).map_err(io::Error::other);
            }
            _ => {}
        }
        let path = request.uri().path();
        if let Some(refusal) = self.refuse(request.headers(), holder, path) {
            return Ok(refusal);
        }
        if !self.has(path) {
            return Ok(plain(StatusCode::NOT_FOUND, "404 page not found\n"));
        }
        self.metrics(fault, gzip)
    }

    fn has(&self, path: &str) -> bool {
        let serves = self.serves();
        let own = self.shared.metrics_path(&self.name);
        let at = serves.path().or(own.as_deref()).unwrap_or(PATH);
        serves != Serves::Nothing && path == at
    }

    fn metrics(&self, fault: Fault, gzip: bool) -> io::Result<Response<Body>> {
        let mut off = 0;
        let text = match fault {
            Fault::Garbage => {
                Bytes::from_static(&[0, 159, 146, 150, 255, 1, 2, 3, b'\n', 0xc3, 0x28])
            }
            Fault::Html => {
                Bytes::from_static(b"<!DOCTYPE html>\n<html><body><h1>Sign in</h1></body></html>\n")
            }
            Fault::Page(page) => page,
            Fault::ReplayPages(pages) => {
                let next = self.replayed.fetch_add(1, Ordering::AcqRel);
                pages
                    .get(next)
                    .or(pages.last())
                    .cloned()
                    .unwrap_or_default()
            }
            Fault::HugeBody(length) => {
                return page(self.shows(), false, None, fault::huge(length));
            }
            Fault::GzipBomb => return page(self.shows(), true, None, full(fault::bomb())),
            Fault::CutShort(keep) => {
                let text = self.compressed(self.page(0), gzip)?;
                return page(
                    self.shows(),
                    gzip,
                    Some(text.len()),
                    fault::cut_short(&text, keep),
                );
            }
            Fault::ClockOff(by) => {
                off = by;
                self.page(off)
            }
            _ => self.page(off),
        };
        page(self.shows(), gzip, None, full(self.compressed(text, gzip)?))
    }

    /// The current page.
    fn page(&self, off: i64) -> Bytes {
        let Some(page) = self.shared.page(&self.name) else {
            return Bytes::new();
        };
        let now = self.shared.clock.now().as_millisecond().saturating_add(off);
        self.count(|stats| {
            if stats.pages.len() >= PAGES {
                stats.pages.pop_front();
            }
            stats.pages.extend(Timestamp::from_millisecond(now));
        });
        let moment = Moment::new(now, self.shared.housekeeping);
        let mut text = Vec::with_capacity(32 * 1024);
        match self.serves() {
            Serves::ResourceV1alpha1 => page.write_v1alpha1(moment, &mut text),
            Serves::StatsSummary => text.extend(page.summary(moment).to_string().into_bytes()),
            Serves::Resource | Serves::Nothing => page.write(moment, &mut text),
        }
        Bytes::from(text)
    }

    fn compressed(&self, text: Bytes, gzip: bool) -> io::Result<Bytes> {
        if gzip {
            self.shared.gzip.compress(&text)
        } else {
            Ok(text)
        }
    }

    fn refuse(
        &self,
        headers: &HeaderMap,
        holder: Option<&Identity>,
        path: &str,
    ) -> Option<Response<Body>> {
        let token = bearer(headers);
        match &self.shared.kubelet_auth {
            KubeletAuth::Open => None,
            KubeletAuth::Token(wanted) => (token != Some(wanted.as_str()))
                .then(|| plain(StatusCode::UNAUTHORIZED, "Unauthorized")),
            KubeletAuth::Delegated => {
                let by_token = token.and_then(|token| self.shared.bearer(token));
                let Some(caller) = holder.or(by_token.as_deref()) else {
                    return Some(plain(StatusCode::UNAUTHORIZED, "Unauthorized"));
                };
                let part = subresource(path);
                let wanted = Attributes {
                    verb: "get".to_owned(),
                    resource: format!("nodes/{part}"),
                    name: self.name.clone(),
                    ..Attributes::default()
                };
                let refused = !self.shared.allows(caller, &wanted);
                let text = format!(
                    "Forbidden (user={}, verb=get, resource=nodes, subresource(s)=[{part}])\n",
                    caller.user
                );
                refused.then(|| plain(StatusCode::FORBIDDEN, &text))
            }
        }
    }

    /// The start and the kind of the page.
    fn shows(&self) -> (Timestamp, &'static str) {
        (self.shared.started, self.serves().content_type())
    }

    fn count(&self, change: impl FnOnce(&mut KubeletStats)) {
        change(&mut self.stats.lock());
    }
}

pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

/// The path from a node's annotations, if one is set.
pub(crate) fn path_of(annotations: &crate::objects::Map) -> Option<String> {
    let path = annotations
        .get(PATH_ANNOTATION)
        .filter(|path| !path.is_empty())?;
    Some(if path.starts_with('/') {
        path.clone()
    } else {
        format!("/{path}")
    })
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .any(|value| value.to_str().is_ok_and(|text| text.contains("gzip")))
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let mut answer = Response::new(full(text.to_owned()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    answer
}

fn page(
    (started, content_type): (Timestamp, &'static str),
    gzip: bool,
    length: Option<usize>,
    body: Body,
) -> io::Result<Response<Body>> {
    let mut answer = Response::builder()
        .header(header::CONTENT_TYPE, content_type)
        .header("process-start-time-unix", started.as_second().to_string());
    if gzip {
        answer = answer.header(header::CONTENT_ENCODING, "gzip");
    }
    if let Some(length) = length {
        answer = answer.header(header::CONTENT_LENGTH, length);
    }
    answer.body(body).map_err(io::Error::other)
}
