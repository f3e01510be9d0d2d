//! Ends streams whose publishers may no longer publish.
//!
//! A stream runs only while its responses are polled. A peer that reads no responses stops it, including any check
//! inside the stream. So one task checks all streams. If a stream does not end after it got the refusal, the task
//! closes its connection.

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
    /// Resolves when the publisher may no longer publish.
    pub(super) denied: BoxFuture<'static, Status>,
    /// Sends the refusal to the stream.
    pub(super) reported: oneshot::Sender<Status>,
    /// Cancelled when the stream has ended.
    pub(super) over: CancellationToken,
    /// The peer whose connection is closed if the stream does not end.
    pub(super) peer: Option<Peer>,
}

/// Passes streams to the task that checks them.
pub(super) type Checks = mpsc::Sender<Checked>;

/// A channel with room for the most streams that can be open.
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
