//! Ends streams whose publishers may no longer publish.
//!
//! A stream is driven by its responses. A peer that takes none stops it, and with it any
//! check that the stream makes itself. So one task checks for all, and closes the
//! connection of a stream that does not end when it gets the refusal.

use std::time::Duration;

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tributary_proto::limits::STREAMS;
use tributary_runtime::serve::Peer;

/// How long a stream may take to end after it got the refusal.
const WITHIN: Duration = Duration::from_secs(5);

/// A stream that is checked.
pub(super) struct Checked {
    /// Resolves when the publisher may publish no longer.
    pub(super) denied: BoxFuture<'static, Status>,
    /// Tells the stream why.
    pub(super) reported: oneshot::Sender<Status>,
    /// The stream is over.
    pub(super) over: CancellationToken,
    /// Whose connection is closed in the end.
    pub(super) peer: Option<Peer>,
}

/// Takes streams in, until the task that checks them has ended.
pub(super) type Checks = mpsc::Sender<Checked>;

/// A place for all streams that begin at one time, and who reads it.
pub(super) fn checks() -> (Checks, mpsc::Receiver<Checked>) {
    mpsc::channel(STREAMS)
}

impl Checked {
    async fn run(self) {
        let status = tokio::select! {
            () = self.over.cancelled() => return,
            status = self.denied => status,
        };
        drop(self.reported.send(status));
        let ended = timeout(WITHIN, self.over.cancelled()).await;
        if ended.is_err()
            && let Some(peer) = self.peer
        {
            peer.close();
        }
    }
}

/// Checks every stream until `stop`.
pub(super) async fn check(mut streams: mpsc::Receiver<Checked>, stop: CancellationToken) {
    let mut checking = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(stream) = streams.recv() => checking.push(stream.run()),
            Some(()) = checking.next() => {}
        }
    }
}
