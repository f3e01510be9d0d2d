//! One connection to one kubelet, kept alive between scrapes.
//!
//! There are thousands of these and each works for some milliseconds a minute,
//! so what counts is what an idle one holds. Between requests that is the
//! TLS stream and nothing else: hyper's buffers (over 16 KB) are made for a
//! request and given back after it, and there is no task. The price is that a
//! kubelet that hangs up is noticed only at the next request, which then dials
//! again.

use std::{
    fmt,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    body::{Body as _, Incoming as Body},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tributary_model::NodeName;

use super::{
    body::Incoming,
    certificate,
    credentials::Access,
    failure::{Reason, ScrapeError, Stage},
    interim,
    pages::{Page, Pages},
};

/// What bytes travel over.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A connection between two requests.
pub(super) struct Connection {
    wire: Box<dyn Wire>,
    end: Peer,
}

/// Where a connection leads, and with whose credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) host: Arc<str>,
    pub(super) port: u16,
    /// The node whose name its certificate must have, if that is verified.
    pub(super) node: Option<NodeName>,
    /// That of [`Access`].
    pub(super) generation: u64,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.end).finish()
    }
}

/// How a request ended.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The page, or why there is none.
    pub(super) page: Result<Page, ScrapeError>,
    /// The connection, if it can be used again.
    pub(super) connection: Option<Connection>,
    /// Whether it failed before an answer began.
    pub(super) unanswered: bool,
}

/// The most that the headers of an answer may be, and what hyper reads at
/// once. Kubelets send 250 bytes of headers; a usual page, compressed, is
/// less than this.
const READ_BUFFER: usize = 8 << 10;

/// A body that is not wanted is read up to here to keep the connection.
const LARGEST_SKIPPED: u64 = 16 << 10;

/// As Go's default. A kubelet that vanished is found by the time limit of the
/// next request; this keeps state in firewalls alive at long resolutions.
const KEEPALIVE: Duration = Duration::from_secs(30);

impl Connection {
    /// Where this leads.
    pub(super) fn end(&self) -> &Peer {
        &self.end
    }

    /// Dials. `limit` is the time that all addresses of a name have together.
    pub(super) async fn dial(
        end: Peer,
        access: &Access,
        limit: Duration,
        stage: &mut Stage,
    ) -> Result<Self, ScrapeError> {
        *stage = Stage::Dial;
        let stream = connect(&end, limit).await?;
        let wire: Box<dyn Wire> = match &access.tls {
            None => Box::new(stream),
            Some(connector) => {
                *stage = Stage::Handshake;
                let name = ServerName::try_from(end.host.to_string()).map_err(|_| {
                    let message = format!("`{}` is neither a name nor an address", end.host);
                    ScrapeError::new(Reason::Address, message)
                })?;
                let tls = connector.connect(name, stream).await;
                let tls = tls.map_err(|error| ScrapeError::handshake(&error))?;
                if let Some(node) = &end.node {
                    certificate::is_of_node(tls.get_ref().1.peer_certificates(), node)?;
                }
                Box::new(tls)
            }
        };
        Ok(Self { wire, end })
    }

    /// Sends a request and reads the answer.
    pub(super) async fn exchange(
        self,
        request: Request<Empty<Bytes>>,
        pages: &Pages,
        stage: &mut Stage,
    ) -> Exchange {
        *stage = Stage::Request;
        let made = http1::Builder::new()
            .read_buf_exact_size(Some(READ_BUFFER))
            .handshake(TokioIo::new(self.wire))
            .await;
        let (mut sender, mut driver) = match made {
            Ok((sender, driver)) => (sender, Some(driver)),
            Err(error) => return Exchange::unanswered(&error),
        };
        let (answer, fault) = {
            let talk = pin!(talk(&mut sender, request, pages, stage));
            driven(&mut driver, talk).await
        };
        if let (Err(_), Some(fault)) = (&answer.page, &fault)
            && *stage == Stage::Request
        {
            // It knows better than the talk what went wrong.
            return Exchange::unanswered(fault);
        }
        let wire = if answer.is_whole {
            idle(driver, &sender).await
        } else {
            None
        };
        Exchange {
            unanswered: answer.page.is_err() && *stage == Stage::Request,
            page: answer.page,
            connection: wire.map(|wire| Self {
                wire,
                end: self.end,
            }),
        }
    }
}

impl Exchange {
    fn unanswered(error: &hyper::Error) -> Self {
        Self {
            page: Err(ScrapeError::exchange(Stage::Request, error)),
            connection: None,
            unanswered: true,
        }
    }
}

/// Tries the addresses of a name in their order, each for its part of the time:
/// one that swallows packets must not hide one that answers.
async fn connect(end: &Peer, limit: Duration) -> Result<TcpStream, ScrapeError> {
    let found = lookup_host((&*end.host, end.port)).await;
    let addresses: Vec<SocketAddr> = found
        .map_err(|error| {
            let message = format!("resolve {}: {error}", end.host);
            ScrapeError::new(Reason::Dial, message)
        })?
        .collect();
    let parts = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match timeout(limit / parts, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                return match prepare(&stream) {
                    Ok(()) => Ok(stream),
                    Err(error) => Err(ScrapeError::dial(&error)),
                };
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    if last.kind() == io::ErrorKind::TimedOut {
        return Err(ScrapeError::timeout(Stage::Dial, limit));
    }
    Err(ScrapeError::dial(&last))
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))
}

type Driver = http1::Connection<TokioIo<Box<dyn Wire>>, Empty<Bytes>>;

/// Polls both until the talk is over; the driver moves the bytes for it. Gives
/// what the driver failed with, if it did.
async fn driven<F: Future>(
    driver: &mut Option<Driver>,
    mut talk: Pin<&mut F>,
) -> (F::Output, Option<hyper::Error>) {
    let mut fault = None;
    let said = poll_fn(|cx| {
        if let Some(running) = driver
            && let Poll::Ready(end) = Pin::new(running).poll(cx)
        {
            fault = end.err();
            // Only its drop tells the talk that nothing more will come.
            *driver = None;
        }
        talk.as_mut().poll(cx)
    });
    (said.await, fault)
}

/// What is left of a connection when its answer was read to the end: nothing,
/// if the kubelet has closed it or is about to.
async fn idle(
    driver: Option<Driver>,
    sender: &http1::SendRequest<Empty<Bytes>>,
) -> Option<Box<dyn Wire>> {
    let mut driver = driver?;
    let is_open = poll_fn(|cx| match Pin::new(&mut driver).poll(cx) {
        Poll::Ready(_) => Poll::Ready(false),
        Poll::Pending if sender.is_ready() => Poll::Ready(true),
        Poll::Pending => Poll::Pending,
    });
    if !is_open.await {
        return None;
    }
    let parts = driver.into_parts();
    // What came without being asked for is not the next answer.
    parts.read_buf.is_empty().then(|| parts.io.into_inner())
}

/// An answer, and whether nothing of it is left on the wire.
struct Answer {
    page: Result<Page, ScrapeError>,
    is_whole: bool,
}

async fn talk(
    sender: &mut http1::SendRequest<Empty<Bytes>>,
    mut request: Request<Empty<Bytes>>,
    pages: &Pages,
    stage: &mut Stage,
) -> Answer {
    let too_many = interim::counted(&mut request);
    let sending = async {
        sender.ready().await?;
        sender.send_request(request).await
    };
    let sent = tokio::select! {
        biased;
        () = too_many.cancelled() => {
            // It is an answer, so the request is not sent again.
            *stage = Stage::Body;
            return Answer {
                page: Err(ScrapeError::too_many_interim()),
                is_whole: false,
            };
        }
        sent = sending => sent,
    };
    let response = match sent {
        Ok(response) => response,
        Err(error) => {
            return Answer {
                page: Err(ScrapeError::exchange(*stage, &error)),
                is_whole: false,
            };
        }
    };
    *stage = Stage::Body;
    if response.status() == StatusCode::OK {
        let page = read(response, pages, stage).await;
        let is_whole = page.is_ok();
        Answer { page, is_whole }
    } else {
        refuse(response).await
    }
}

async fn read(
    response: Response<Body>,
    pages: &Pages,
    stage: &mut Stage,
) -> Result<Page, ScrapeError> {
    let mut incoming = Incoming::new(response.headers(), pages)?;
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ScrapeError::exchange(Stage::Body, &error))?;
        if let Some(bytes) = frame.data_ref() {
            incoming.take(bytes, stage).await?;
        }
    }
    incoming.finish()
}

/// A status other than 200. Its body is of no use; a short one is read so that
/// a thousand refusals do not cost a thousand handshakes.
async fn refuse(response: Response<Body>) -> Answer {
    let error = ScrapeError::status(response.status());
    let mut body = response.into_body();
    let is_short = body
        .size_hint()
        .upper()
        .is_some_and(|it| it <= LARGEST_SKIPPED);
    let mut is_whole = is_short;
    while is_whole && let Some(frame) = body.frame().await {
        is_whole = frame.is_ok();
    }
    Answer {
        page: Err(error),
        is_whole,
    }
}
