//! The connections of the page's server.
//!
//! Other users of this machine reach the port, too, and can keep connections open, or send requests and read no answers.
//! So a connection that has not shown the token is a stranger: it has little time for everything, and gives way when there
//! are too many. Only connections with the token stay.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
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

/// The longest head of a request, in bytes.
const HEAD: usize = 16 << 10;

/// Whether a request of a connection had the token.
#[derive(Clone, Debug, Default)]
pub(super) struct Proven(Arc<AtomicBool>);

impl Proven {
    /// A request had it.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
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
    /// Serves one more. If there are too many, the oldest stranger ends; if there is none, this one does.
    pub(super) fn serve(&mut self, stream: TcpStream, router: &Router) {
        while self.tasks.try_join_next().is_some() {}
        self.open.retain(|open| !open.task.is_finished());
        if self.open.len() >= CONNECTIONS {
            let stranger = self.open.iter().position(|open| !open.proven.is_set());
            let Some(stranger) = stranger.and_then(|index| self.open.remove(index)) else {
                return;
            };
            stranger.task.abort();
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
    if timeout(STRANGER, connection.as_mut()).await.is_err() && proven.is_set() {
        drop(connection.await);
    }
}

#[cfg(test)]
mod tests;
