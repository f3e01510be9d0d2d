//! One connection, for those who answer the requests on it, and when it has to
//! end.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use axum::body::Body;
use http::Version;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::body::{Bounded, Slot};

/// A connection. Every request carries it as an extension.
#[derive(Clone, Debug)]
pub struct Line(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    idle: Duration,
    changed: Notify,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Requests whose answers are not over.
    open: usize,
    /// When the last answer was over.
    quiet_since: Instant,
    phase: Phase,
    /// Answers that have to be over at some time; at most one for each stream.
    bounded: Vec<(Instant, Version, Weak<Slot>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Leaving,
    /// The peer was told; cut off then, if it is still there with nothing to
    /// answer.
    Left(Instant),
}

/// What is to be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// No more requests; answers under way go on.
    Leave,
    /// The end.
    CutOff,
}

impl Line {
    pub(super) fn new(idle: Duration) -> Self {
        Self(Arc::new(Inner {
            idle,
            changed: Notify::new(),
            state: Mutex::new(State {
                open: 0,
                quiet_since: Instant::now(),
                phase: Phase::Open,
                bounded: Vec::new(),
            }),
        }))
    }

    /// Lets the peer send its next request on another connection: GOAWAY in
    /// HTTP/2. Requests under way are answered.
    pub fn leave(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Leaving;
            self.0.changed.notify_one();
        }
    }

    /// `body`, which at `deadline` ends with an error, so that the peer sees that
    /// it is not whole; also if the peer does not read. `kept` is dropped when
    /// the last of it was handed to the connection, or then.
    pub fn bound<T: Send + 'static>(
        &self,
        version: Version,
        body: Body,
        deadline: Option<Instant>,
        kept: T,
    ) -> Body {
        let bounded = Bounded::new(body, Box::new(kept));
        // What is short is taken at once.
        let Some(deadline) = deadline.filter(|_| bounded.is_long()) else {
            return Body::new(bounded);
        };
        let mut state = self.lock();
        state.bounded.retain(|(_, _, slot)| slot.strong_count() > 0);
        let slot = Arc::downgrade(bounded.slot());
        state.bounded.push((deadline, version, slot));
        drop(state);
        self.0.changed.notify_one();
        Body::new(bounded.until(deadline))
    }

    /// A request begins; it is over when what this returns is dropped.
    pub(super) fn begin(&self) -> Open {
        self.lock().open += 1;
        Open(self.clone())
    }

    /// Waits until something has to be done.
    pub(super) async fn due(&self) -> Due {
        loop {
            let changed = self.0.changed.notified();
            match self.look(Instant::now()) {
                Ok(next) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(next) => {}
                },
                Err(due) => return due,
            }
        }
    }

    /// When to look again, unless something is due now.
    fn look(&self, now: Instant) -> Result<Instant, Due> {
        let mut state = self.lock();
        let (late, ahead): (Vec<_>, _) = std::mem::take(&mut state.bounded)
            .into_iter()
            .partition(|(deadline, _, _)| *deadline <= now);
        state.bounded = ahead;
        let mut cut = false;
        for (_, version, slot) in late {
            let was_open = slot.upgrade().is_some_and(|slot| slot.cut());
            // A peer that does not read holds the whole connection in HTTP/1.
            cut |= was_open && version < Version::HTTP_2;
        }
        if cut {
            return Err(Due::CutOff);
        }
        let quiet = state.quiet_since + self.0.idle;
        let is_quiet = state.open == 0 && now >= quiet;
        match state.phase {
            Phase::Left(until) if is_quiet && now >= until => return Err(Due::CutOff),
            Phase::Open if !is_quiet => {}
            Phase::Left(_) => {}
            Phase::Open | Phase::Leaving => {
                state.phase = Phase::Left(now + self.0.idle);
                return Err(Due::Leave);
            }
        }
        let ahead = state.bounded.iter().map(|(deadline, _, _)| *deadline);
        let look = if quiet > now {
            quiet
        } else {
            now + self.0.idle
        };
        Ok(ahead.fold(look, Instant::min))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request whose answer is not over.
#[derive(Debug)]
pub(super) struct Open(Line);

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.open -= 1;
        state.quiet_since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::BodyExt as _;
    use tokio::time::timeout;

    use super::*;

    const IDLE: Duration = Duration::from_secs(90);
    const LIMIT: Duration = Duration::from_mins(1);

    /// How long until what is due.
    async fn due(line: &Line) -> (Due, Duration) {
        let start = Instant::now();
        (line.due().await, start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_left_and_then_cut_off() {
        let line = Line::new(IDLE);
        assert_eq!(due(&line).await, (Due::Leave, IDLE));
        assert_eq!(due(&line).await, (Due::CutOff, IDLE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_a_request_is_not_idle() {
        let line = Line::new(IDLE);
        let open = line.begin();
        assert!(timeout(10 * IDLE, line.due()).await.is_err());
        drop(open);
        assert_eq!(due(&line).await, (Due::Leave, IDLE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_to_end_ends_at_once() {
        let line = Line::new(IDLE);
        let _open = line.begin();
        line.leave();
        line.leave();
        assert_eq!(due(&line).await, (Due::Leave, Duration::ZERO));
        assert!(timeout(10 * IDLE, line.due()).await.is_err());
    }

    /// A body that never ends.
    fn endless() -> Body {
        Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_reads_is_let_go_in_time() {
        for (version, what) in [
            (Version::HTTP_11, (Due::CutOff, LIMIT)),
            (Version::HTTP_2, (Due::Leave, Duration::from_secs(200))),
        ] {
            let line = Line::new(Duration::from_secs(200));
            let (kept, freed) = tokio::sync::oneshot::channel::<()>();
            let body = line.bound(version, endless(), Some(Instant::now() + LIMIT), kept);
            assert_eq!(due(&line).await, what, "{version:?}");
            assert!(freed.await.is_err(), "{version:?}");
            assert!(body.collect().await.is_err(), "{version:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_read_ends_in_time_too() {
        let line = Line::new(IDLE);
        let start = Instant::now();
        let body = line.bound(Version::HTTP_2, endless(), Some(start + LIMIT), ());
        let error = body.collect().await.unwrap_err();
        assert_eq!(error.to_string(), "the answer was not over in time");
        assert_eq!(start.elapsed(), LIMIT);
    }

    #[tokio::test]
    async fn a_long_answer_goes_out_in_pieces_and_keeps_its_place_to_the_end() {
        let line = Line::new(IDLE);
        let (kept, mut freed) = tokio::sync::oneshot::channel::<()>();
        let whole: Vec<u8> = (0..=255).cycle().take(300_000).collect();
        let deadline = Some(Instant::now() + LIMIT);
        let mut body = line.bound(Version::HTTP_2, whole.clone().into(), deadline, kept);
        let mut sent = Vec::new();
        while let Some(frame) = body.frame().await {
            assert!(freed.try_recv().is_err(), "not dropped");
            sent.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
        assert_eq!(sent, whole);
        assert!(freed.await.is_err());
    }
}
