//! Callers without credentials.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http::{HeaderValue, Request, header::ACCEPT};
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::ServerName;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsConnector;
use tributary_e2e::ask::trusting;

use super::{Attack, ROUNDS};
use crate::fleet::Fleet;

/// What idle callers do.
pub(super) const IDLE: &str = "hold 6,000 connections to each frontend, half without a handshake, and 600 to each scraper, \
     from twelve addresses, and send nothing";
/// What callers do that never stay.
pub(super) const RECONNECT: &str = "begin a TLS handshake with each frontend, close the connection and begin again, 500 at a time from each of four addresses";
/// What busy callers do.
pub(super) const BUSY: &str =
    "send an `Accept` of a million clauses, tokens that nobody knows, and paths that do not exist";

/// What the fleet counts of the idle ones.
pub(super) const IDLE_COUNTED: &[&str] = &[
    "tributary_api_connections_evicted_total{reason=\"total\"}",
    "tributary_admin_connections_evicted_total{reason=\"total\"}",
];
/// Nothing certain is counted of those that reconnect: whether one is evicted depends on how soon a closed connection
/// is noticed.
pub(super) const RECONNECT_COUNTED: &[&str] = &[];
/// What the fleet counts of the busy ones. The HTTP/2 library refuses the long heads, so these are not counted.
pub(super) const BUSY_COUNTED: &[&str] = &["authentication_attempts{result=\"failure\"}"];

const CONNECTIONS: usize = 6_000;
const OF_A_SCRAPER: usize = 600;
const RECONNECTING: usize = 2_000;
const FEW_ADDRESSES: usize = 4;
/// The number of source addresses. Each address stays within its share, and together they exceed the limit of all.
/// Probes come from another address, like those of a kubelet.
const ADDRESSES: u8 = 12;

/// Opens connections and keeps them open. A closed connection is opened again.
pub(super) async fn idle(fleet: &Fleet) -> anyhow::Result<Attack> {
    let mut attack = Attack::new()?;
    for frontend in &fleet.frontends {
        for number in 0..CONNECTIONS {
            let tls = (number % 2 == 0).then(|| trusting(&fleet.cluster, "h2"));
            attack.spawn(hold(route(number, frontend.api), tls, spread(number)));
        }
    }
    for scraper in &fleet.scrapers {
        for number in 0..OF_A_SCRAPER {
            attack.spawn(hold(route(number, scraper.admin), None, spread(number)));
        }
    }
    Ok(attack)
}

/// Begins handshakes as fast as it can, and sends no request.
pub(super) async fn reconnect(fleet: &Fleet) -> anyhow::Result<Attack> {
    let mut attack = Attack::new()?;
    for frontend in &fleet.frontends {
        for number in 0..RECONNECTING {
            let tls = trusting(&fleet.cluster, "h2");
            let from = route(number % FEW_ADDRESSES, frontend.api);
            attack.spawn(begin_handshakes(from, tls));
        }
    }
    Ok(attack)
}

async fn begin_handshakes(route: Route, tls: Arc<rustls::ClientConfig>) {
    let Ok(name) = ServerName::try_from("localhost") else {
        return;
    };
    for _ in 0..ROUNDS {
        let shaken = timeout(Duration::from_secs(10), async {
            let stream = route.connect().await?;
            let connector = TlsConnector::from(Arc::clone(&tls));
            connector.connect(name.clone(), stream).await
        });
        if !matches!(shaken.await, Ok(Ok(_))) {
            // An evicted one waits for a moment, so that it is the fleet that is kept busy.
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Connections are opened over some seconds.
fn spread(number: usize) -> Duration {
    Duration::from_millis(u64::try_from(number).unwrap_or(0))
}

/// The two addresses of a connection.
#[derive(Clone, Copy, Debug)]
struct Route {
    from: Ipv4Addr,
    to: SocketAddr,
}

impl Route {
    async fn connect(self) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.from, 0).into())?;
        socket.connect(self.to).await
    }
}

fn route(number: usize, to: SocketAddr) -> Route {
    let host = u8::try_from(number % usize::from(ADDRESSES)).unwrap_or(0);
    Route {
        from: Ipv4Addr::new(127, 66, 0, 1 + host),
        to,
    }
}

async fn hold(route: Route, tls: Option<Arc<rustls::ClientConfig>>, after: Duration) {
    sleep(after).await;
    for _ in 0..ROUNDS {
        if let Ok(Ok(stream)) = timeout(Duration::from_secs(10), route.connect()).await {
            match &tls {
                None => wait_for_end(stream).await,
                Some(tls) => {
                    let connector = TlsConnector::from(Arc::clone(tls));
                    let Ok(name) = ServerName::try_from("localhost") else {
                        return;
                    };
                    let shaken = timeout(Duration::from_secs(10), connector.connect(name, stream));
                    if let Ok(Ok(stream)) = shaken.await {
                        wait_for_end(stream).await;
                    }
                }
            }
        }
        // Connects again after a pause, like a patient attacker.
        sleep(Duration::from_secs(2)).await;
    }
}

async fn wait_for_end(mut stream: impl tokio::io::AsyncRead + Unpin) {
    let mut buffer = [0; 256];
    while let Ok(1..) = tokio::io::AsyncReadExt::read(&mut stream, &mut buffer).await {}
}

/// Sends requests that cost as much as possible.
pub(super) async fn busy(fleet: &Fleet) -> anyhow::Result<Attack> {
    let mut attack = Attack::new()?;
    for frontend in &fleet.frontends {
        for _ in 0..4 {
            let tls = trusting(&fleet.cluster, "h2");
            attack.spawn(ask_dearly(frontend.api, tls));
        }
        for number in 0..200 {
            let tls = trusting(&fleet.cluster, "http/1.1");
            attack.spawn(guess(frontend.api, tls, number));
        }
    }
    Ok(attack)
}

/// Streams of one connection, each with an `Accept` that is short on the wire and long in memory.
async fn ask_dearly(address: SocketAddr, tls: Arc<rustls::ClientConfig>) {
    let clauses = HeaderValue::from_maybe_shared(bytes::Bytes::from(vec!["a"; 2_000].join(",")));
    let Ok(clauses) = clauses else { return };
    for _ in 0..ROUNDS {
        if let Some(stream) = connect(address, &tls).await
            && let Ok((mut sender, connection)) =
                http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await
        {
            let mut driver = JoinSet::new();
            driver.spawn(async move { drop(connection.await) });
            for _ in 0..2_000 {
                let mut request = Request::new(Empty::<bytes::Bytes>::new());
                *request.uri_mut() = http::Uri::from_static("https://localhost/livez");
                for _ in 0..250 {
                    request.headers_mut().append(ACCEPT, clauses.clone());
                }
                if sender.ready().await.is_err() || sender.send_request(request).await.is_err() {
                    break;
                }
            }
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// Requests of one connection, each with another token or path.
async fn guess(address: SocketAddr, tls: Arc<rustls::ClientConfig>, number: usize) {
    let mut turn = 0_u64;
    for _ in 0..ROUNDS {
        if let Some(mut stream) = connect(address, &tls).await {
            loop {
                turn += 1;
                let request = if number.is_multiple_of(2) {
                    format!(
                        "GET /apis HTTP/1.1\r\nhost: x\r\nauthorization: Bearer t{number}-{turn}\r\n\r\n"
                    )
                } else {
                    format!("GET /metrics/{number}-{turn} HTTP/1.1\r\nhost: x\r\n\r\n")
                };
                if stream.write_all(request.as_bytes()).await.is_err() {
                    break;
                }
                let mut buffer = [0; 4096];
                match tokio::io::AsyncReadExt::read(&mut stream, &mut buffer).await {
                    Ok(1..) => {}
                    _ => break,
                }
            }
        }
        sleep(Duration::from_millis(200)).await;
    }
}

async fn connect(
    address: SocketAddr,
    tls: &Arc<rustls::ClientConfig>,
) -> Option<tokio_rustls::client::TlsStream<TcpStream>> {
    let patience = Duration::from_secs(10);
    let stream = timeout(patience, TcpStream::connect(address))
        .await
        .ok()?
        .ok()?;
    let name = ServerName::try_from("localhost").ok()?;
    let connector = TlsConnector::from(Arc::clone(tls));
    timeout(patience, connector.connect(name, stream))
        .await
        .ok()?
        .ok()
}
