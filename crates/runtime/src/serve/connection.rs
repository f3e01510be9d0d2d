//! One connection: TLS, then HTTP in either version, until it ends, is evicted, or reaches a limit.

use std::{convert::Infallible, io, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use http::{Request, Response, Version, header::CONNECTION};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls_pki_types::CertificateDer;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tracing::{debug, warn};

use super::{
    ConnectionNotes, FirstLook, Limits, Peer,
    body::Counted,
    connections::{Entered, Source, StepPermits},
    handle::{ConnectionAction, ConnectionHandle, TrustLevel},
    head,
    heads::Heads,
    listener::{self, Stream},
    metrics::ServeMetrics,
    panics,
};
use crate::{log_limiter::LogLimiter, tls::RefusedCertificate};

/// The most buffered bytes of an HTTP/2 stream whose peer does not read (docs/parity.md#serving).
const SEND_BUFFER: u32 = 256 << 10;

/// How often a silent HTTP/2 peer gets a ping, and how long it may take to answer.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(15);

/// An admitted connection, and what serves it.
pub(super) struct Connection {
    pub(super) name: Arc<str>,
    pub(super) router: Router,
    pub(super) first_look: FirstLook,
    pub(super) limits: Limits,
    pub(super) metrics: ServeMetrics,
    pub(super) stop: CancellationToken,
    pub(super) handle: ConnectionHandle,
    /// The address that it comes from.
    pub(super) source: Source,
    /// Its place among the connections.
    pub(super) entered: Entered,
    /// Permits for large heads.
    pub(super) large_heads: Arc<Semaphore>,
}

/// TLS of one server. Cheap to clone.
#[derive(Clone)]
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    /// Limits log lines about certificates that cannot be used.
    refusals: Arc<LogLimiter>,
}

impl Tls {
    pub(super) fn new(config: Arc<rustls::ServerConfig>) -> Self {
        Self {
            acceptor: config.into(),
            refusals: Arc::default(),
        }
    }

    /// Logs what is wrong with a certificate, if its owner can fix it. Other errors of handshakes
    /// are caused by strangers.
    pub(super) fn say(&self, peer: &str, error: &io::Error) {
        let Some(refused) = RefusedCertificate::cause_of(error) else {
            return;
        };
        if let Some(suppressed) = self.refusals.allow() {
            warn!(peer, subject = refused.subject, error = %refused.refusal, suppressed,
                "client certificate refused");
        }
    }
}

impl Connection {
    /// Serves it until it ends.
    pub(super) async fn serve(self, stream: Stream, tls: Option<Tls>) {
        let uid = listener::uid_of(&stream);
        let Some(tls) = tls else {
            return self.http(stream, Arc::default(), uid).await;
        };
        let handshake = self.entered.handshakes.run(tls.acceptor.accept(stream));
        let handshake = timeout(self.limits.handshake, handshake);
        let done = tokio::select! {
            () = self.stop.cancelled() => return,
            () = self.handle.evicted() => return,
            done = handshake => done,
        };
        let error = match done {
            Ok(Ok(stream)) => {
                let (_, session) = stream.get_ref();
                let chain = session.peer_certificates().unwrap_or_default();
                let certificates = chain.iter().cloned().collect();
                return self.http(stream, certificates, uid).await;
            }
            Ok(Err(error)) => {
                tls.say(&self.name, &error);
                error.to_string()
            }
            Err(_) => "timed out".to_owned(),
        };
        self.metrics.handshake_errors.inc();
        debug!(peer = %self.name, error, "TLS handshake failed");
    }

    async fn http<S>(
        self,
        stream: S,
        certificates: Arc<[CertificateDer<'static>]>,
        uid: Option<u32>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let peer = Peer {
            name: self.name,
            certificates,
            uid,
            notes: ConnectionNotes::default(),
        };
        let (handle, metrics, room) = (self.handle, self.metrics, self.entered);
        handle.established();
        peer.notes.put(handle.clone());
        peer.notes.put(self.source);
        self.first_look.at(&peer);
        let service = service_fn({
            let served = Served {
                peer: peer.clone(),
                handle: handle.clone(),
                router: self.router,
                step_permits: room.requests.clone(),
                metrics: metrics.clone(),
            };
            move |request| served.clone().answer(request)
        });
        let stream = Heads::new(stream, handle.clone(), metrics.clone(), self.large_heads);
        let builder = builder(&self.limits, handle.trust());
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection.into_owned());
        let mut stopping = false;
        let ended = loop {
            tokio::select! {
                ended = connection.as_mut() => break ended,
                () = self.stop.cancelled(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                due = handle.due() => match due {
                    ConnectionAction::Leave => connection.as_mut().graceful_shutdown(),
                    ConnectionAction::CutOff => {
                        debug!(peer = %peer.name, "connection cut off");
                        return;
                    }
                },
            }
        };
        if let Err(error) = ended {
            if head::was_refused(&*error) {
                metrics.heads_refused.inc();
            }
            debug!(peer = %peer.name, error, "connection ended");
        }
    }
}

/// Answers the requests of one connection.
#[derive(Clone)]
struct Served {
    peer: Peer,
    handle: ConnectionHandle,
    router: Router,
    step_permits: StepPermits,
    metrics: ServeMetrics,
}

impl Served {
    /// The response to one request. With `Connection: close` it is the last one on this connection,
    /// in HTTP/2, too, as in Go.
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Counted>, Infallible> {
        let open = self.handle.begin();
        let version = request.version();
        let mut response = match head::read(request) {
            Err(refusal) => {
                self.metrics.heads_refused.inc();
                refusal
            }
            Ok(request) => {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(self.peer);
                request.extensions_mut().insert(self.handle.clone());
                let answer = panics::answer_of(self.router.oneshot(request), &self.metrics);
                // A client may send many requests before it reads an answer.
                let is_proven = || self.handle.trust() > TrustLevel::Unknown;
                self.step_permits.run_until(is_proven, answer).await?
            }
        };
        if version == Version::HTTP_2 && response.headers_mut().remove(CONNECTION).is_some() {
            self.handle.leave();
        }
        Ok(response.map(|body| Counted::new(body, open, self.metrics)))
    }
}

/// The most cancelled requests that h2 has not read yet, on a connection that many users share: one user must not end
/// it for the others. h2's default of 20 is for a connection of one user.
const SHARED_RESETS: usize = 1_000;

fn builder(limits: &Limits, trust: TrustLevel) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.request_head)
        .max_headers(head::FIELDS)
        .max_buf_size(usize::try_from(limits.head_bytes).unwrap_or(usize::MAX));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.head_bytes)
        .initial_stream_window_size(limits.receive)
        .initial_connection_window_size(limits.receive)
        .max_send_buf_size(usize::try_from(SEND_BUFFER).unwrap_or(usize::MAX))
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG);
    if trust == TrustLevel::Trusted {
        // Requests that are refused one by one must not end the connection either.
        builder
            .http2()
            .max_pending_accept_reset_streams(SHARED_RESETS)
            .max_local_error_reset_streams(None);
    }
    if limits.http2 {
        builder
    } else {
        builder.http1_only()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http_body_util::Empty;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const GOAWAY: u8 = 7;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [kind, flags];
        [&length[..], &head, &stream.to_be_bytes(), payload].concat()
    }

    /// Sends sixty requests that are cancelled at once, in one piece, and then one more. Returns the kind of the first
    /// frame that ends the connection or answers the last request.
    async fn answer_after_sixty_given_up(trust: TrustLevel) -> u8 {
        let (mut client, server) = duplex(1 << 20);
        let service = service_fn(async |_: Request<Incoming>| {
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        });
        let builder = builder(&Limits::default(), trust);
        let serving = builder.serve_connection(TokioIo::new(server), service);
        let mut serving = pin!(serving.into_owned());
        // The header block of GET https://a/.
        let request = [0x82, 0x87, 0x84, 0x41, 1, b'a'];
        let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        sent.extend(frame(4, 0, 0, &[]));
        for n in 0..60 {
            let stream = 2 * n + 1;
            sent.extend(frame(HEADERS, 5, stream, &request));
            sent.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
        }
        let last = 121;
        sent.extend(frame(HEADERS, 5, last, &request));
        client.write_all(&sent).await.unwrap();
        let reading = async {
            loop {
                let mut head = [0; 9];
                client.read_exact(&mut head).await.unwrap();
                let [_, a, b, kind, _, stream @ ..] = head;
                let mut payload = vec![0; usize::from(u16::from_be_bytes([a, b]))];
                client.read_exact(&mut payload).await.unwrap();
                let answers = kind == HEADERS && u32::from_be_bytes(stream) == last;
                if answers || kind == GOAWAY {
                    return kind;
                }
            }
        };
        let answer = async {
            let mut reading = pin!(reading);
            loop {
                tokio::select! {
                    kind = &mut reading => return kind,
                    _ = &mut serving => {}
                }
            }
        };
        timeout(Duration::from_secs(20), answer).await.unwrap()
    }

    #[tokio::test]
    async fn what_one_user_gives_up_ends_no_connection_of_many() {
        assert_eq!(
            answer_after_sixty_given_up(TrustLevel::Trusted).await,
            HEADERS
        );
        assert_eq!(answer_after_sixty_given_up(TrustLevel::Known).await, GOAWAY);
    }
}
