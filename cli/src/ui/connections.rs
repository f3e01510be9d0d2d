//! The connections of the page's server.
//!
//! Other users of this machine reach the port, too, and can keep connections open, or send requests and read no answers.
//! So a connection that has not shown the token is a stranger: it has little time for everything, and gives way when there
//! are too many. Connections with the token stay while they are used. A new connection is always served: of too many that
//! have the token, the oldest one without a request gives way.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::{AbortHandle, JoinSet},
    time::timeout,
};

/// How many connections are served: some pages, with six each.
const CONNECTIONS: usize = 64;

/// How long a connection may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may last without the token.
const STRANGER: Duration = Duration::from_secs(10);

/// How long a connection with the token may last without a request, or with an answer that is not read. A page that is open
/// asks more often.
const IDLE: Duration = Duration::from_mins(2);

/// The longest head of a request, in bytes.
const HEAD: usize = 16 << 10;

/// The requests of a connection that had the token.
#[derive(Clone, Debug, Default)]
pub(super) struct Proven(Arc<Requests>);

#[derive(Debug, Default)]
struct Requests {
    /// How many there were.
    all: AtomicUsize,
    /// How many of them have no answer yet.
    in_flight: AtomicUsize,
}

/// A request, until there is an answer.
#[derive(Debug)]
pub(super) struct InFlight(Proven);

impl Drop for InFlight {
    fn drop(&mut self) {
        let Proven(requests) = &self.0;
        requests.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Proven {
    /// One more request that has the token.
    pub(super) fn begin(&self) -> InFlight {
        self.0.all.fetch_add(1, Ordering::Relaxed);
        self.0.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self.clone())
    }

    fn all(&self) -> usize {
        self.0.all.load(Ordering::Relaxed)
    }

    fn is_stranger(&self) -> bool {
        self.all() == 0
    }

    fn is_idle(&self) -> bool {
        self.0.in_flight.load(Ordering::Relaxed) == 0
    }
}

/// A connection that is open.
#[derive(Debug)]
struct Open {
    task: AbortHandle,
    proven: Proven,
}

/// All that are open, the oldest first. They end with this.
#[derive(Debug, Default)]
pub(super) struct Connections {
    tasks: JoinSet<()>,
    open: VecDeque<Open>,
}

impl Connections {
    /// Serves one more. If there are too many, the oldest stranger ends; if there is none, the oldest one without a request; and
    /// if each has one, the oldest.
    pub(super) fn serve(&mut self, stream: TcpStream, router: &Router) {
        while self.tasks.try_join_next().is_some() {}
        self.open.retain(|open| !open.task.is_finished());
        if self.open.len() >= CONNECTIONS {
            let first = |which: fn(&Proven) -> bool| {
                let mut all = self.open.iter();
                all.position(|open| which(&open.proven))
            };
            let least = first(Proven::is_stranger).or_else(|| first(Proven::is_idle));
            if let Some(open) = self.open.remove(least.unwrap_or(0)) {
                open.task.abort();
            }
        }
        let proven = Proven::default();
        let router = router.clone().layer(Extension(proven.clone()));
        let task = self.tasks.spawn(serve(stream, router, proven.clone()));
        self.open.push_back(Open { task, proven });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, router: Router, proven: Proven) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    // That it ends with an error means: the browser has gone, or sent something else than HTTP.
    let mut seen = 0;
    let mut limit = STRANGER;
    while timeout(limit, connection.as_mut()).await.is_err() {
        // Nothing has happened since, and nothing is going to be answered.
        if proven.all() == seen && proven.is_idle() {
            break;
        }
        (seen, limit) = (proven.all(), IDLE);
    }
}

#[cfg(test)]
mod tests;
