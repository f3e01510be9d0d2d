//! The streams to one frontend: one, and a second while credentials change.
//!
//! Make before break: the old stream is closed when the new one has sent all that
//! is stored, and it sends what is left before it ends. So no reading is lost, and
//! the frontend counts as connected all the while.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use tributary_runtime::backoff::Backoff;

use super::{
    client::{Client, Ended, Progress},
    credentials::Access,
    frontend_address::FrontendAddress,
};

/// Delays between dials. The longest is short: a frontend that was restarted has
/// to be full again within two seconds
/// (docs/decisions/0011-newest-per-node-wins.md).
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(1);

/// How long to wait after a frontend has said that we may not publish: each try
/// costs it a handshake and a review. New credentials are tried at once.
const DENIED_DELAY: Duration = Duration::from_secs(5);

/// How long a frontend may take to take in what is left when we leave.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// Publishes to `frontend_address`, again and again, until `gone`. Says when the state
/// changes and not when it lasts.
pub(super) async fn keep_publishing(
    frontend_address: FrontendAddress,
    client: Client,
    gone: CancellationToken,
) {
    let mut current = client.credentials.changes();
    let changed = Arc::new(Notify::new());
    let mut link = FrontendLink::new(frontend_address, client, Arc::clone(&changed));
    link.dial();
    loop {
        let redial = link.redial;
        tokio::select! {
            () = gone.cancelled() => break,
            Some((id, ended)) = link.running.next() => link.ended(id, ended),
            () = changed.notified() => link.progress(),
            () = until(redial) => link.dial(),
            Ok(()) = current.changed() => link.renew(current.borrow_and_update().as_ref()),
        }
    }
    link.close().await;
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// An open stream.
struct Live {
    progress: Progress,
    closing: CancellationToken,
}

struct FrontendLink {
    frontend_address: FrontendAddress,
    client: Client,
    changed: Arc<Notify>,
    running: FuturesUnordered<BoxFuture<'static, (u64, Result<(), Ended>)>>,
    live: BTreeMap<u64, Live>,
    /// The stream that counts; those before it are about to go.
    newest: u64,
    /// With what it was dialled.
    used: Option<Arc<Access>>,
    redial: Option<Instant>,
    backoff: Backoff,
    last_error: Option<String>,
    /// Whether the frontend is counted as connected.
    counted: bool,
}

impl FrontendLink {
    fn new(frontend_address: FrontendAddress, client: Client, changed: Arc<Notify>) -> Self {
        Self {
            frontend_address,
            client,
            changed,
            running: FuturesUnordered::new(),
            live: BTreeMap::new(),
            newest: 0,
            used: None,
            redial: None,
            backoff: Backoff::new(FIRST_DELAY, LONGEST_DELAY),
            last_error: None,
            counted: false,
        }
    }

    /// Begins a stream. One that was not ready yet is given up for it.
    fn dial(&mut self) {
        self.redial = None;
        for live in self.live.values().filter(|it| !it.progress.is_synced()) {
            live.closing.cancel();
        }
        self.newest += 1;
        let id = self.newest;
        let access = match self.client.credentials.access() {
            Ok(access) => access,
            Err(error) => return self.failed(&error.into(), false),
        };
        self.used = Some(Arc::clone(&access));
        let progress = Progress::new(Arc::clone(&self.changed));
        let closing = CancellationToken::new();
        let (frontend_address, client) = (self.frontend_address.clone(), self.client.clone());
        let (reported, until) = (progress.clone(), closing.clone());
        let stream = async move {
            let publishing = client.publish(&frontend_address, &access, until.clone(), reported);
            let ended = tokio::select! {
                () = drain_deadline(&until) => Ok(()),
                ended = publishing => ended,
            };
            (id, ended)
        };
        self.running.push(stream.boxed());
        self.live.insert(id, Live { progress, closing });
    }

    /// A stream has come further.
    fn progress(&mut self) {
        self.count();
        let newest = self.live.get(&self.newest);
        if newest.is_some_and(|newest| newest.progress.is_synced()) {
            for (_, old) in self.live.range(..self.newest) {
                old.closing.cancel();
            }
        }
    }

    /// Credentials have changed.
    fn renew(&mut self, current: Option<&Arc<Access>>) {
        let is_used = match (&self.used, current) {
            (Some(used), Some(current)) => Arc::ptr_eq(used, current),
            (None, None) => true,
            (None, Some(_)) | (Some(_), None) => false,
        };
        if self.frontend_address.is_tls() && !is_used {
            debug!(frontend_address = %self.frontend_address, "new credentials: a new stream");
            self.dial();
        }
    }

    fn ended(&mut self, id: u64, ended: Result<(), Ended>) {
        let live = self.live.remove(&id);
        self.count();
        if id != self.newest {
            debug!(frontend_address = %self.frontend_address, "the stream before has ended");
            return;
        }
        let welcomed = live.is_some_and(|live| live.progress.is_welcomed());
        self.failed(&ended.err().unwrap_or(Ended::Closed), welcomed);
    }

    /// The newest stream failed. An older one that is open stays in use.
    fn failed(&mut self, error: &Ended, welcomed: bool) {
        if welcomed {
            self.backoff.reset();
            self.last_error = None;
        }
        let delay = self.backoff.next_delay();
        let denied = error.is_denied();
        let delay = if denied { delay + DENIED_DELAY } else { delay };
        self.redial = Some(Instant::now() + delay);
        if denied {
            self.client.metrics.denied();
        }
        let error = error.to_string();
        if self.last_error.as_ref() != Some(&error) {
            let (frontend_address, others) = (&self.frontend_address, self.live.len());
            warn!(%frontend_address, error, others, "failed to keep a stream to the frontend, retrying");
            self.last_error = Some(error);
        }
    }

    /// A frontend is connected if one stream to it is.
    fn count(&mut self) {
        let connected = self.live.values().any(|live| live.progress.is_welcomed());
        if connected != self.counted {
            let gauge = &self.client.metrics.connected;
            if connected {
                gauge.inc()
            } else {
                gauge.dec()
            };
            self.counted = connected;
        }
    }

    /// Ends every stream when what is there has been sent.
    async fn close(mut self) {
        for live in self.live.values() {
            live.closing.cancel();
        }
        while self.running.next().await.is_some() {}
        info!(frontend_address = %self.frontend_address, "frontend disconnected");
    }
}

impl Drop for FrontendLink {
    fn drop(&mut self) {
        if self.counted {
            self.client.metrics.connected.dec();
        }
    }
}

/// Ends some time after `closing`.
async fn drain_deadline(closing: &CancellationToken) {
    closing.cancelled().await;
    tokio::time::sleep(LEAVE_WITHIN).await;
}
