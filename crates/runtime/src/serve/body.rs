//! Bodies of responses: counted, and with a deadline.

use std::{
    any::Any,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    handle::Open,
    metrics::{Cut, ServeMetrics},
    panics,
};

/// The longest piece that a connection gets at once. It keeps the piece until the peer reads, so
/// this is the cost of a peer that does not read.
const PIECE: usize = 128 << 10;

/// The content of a body.
pub(super) struct SharedBody(Mutex<Content>);

enum Content {
    Ahead {
        body: Body,
        piece: Bytes,
        /// When the connection last took a part of it.
        taken_at: Instant,
        _kept: Box<dyn Any + Send>,
    },
    Over,
    Late,
}

impl fmt::Debug for SharedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedBody").finish_non_exhaustive()
    }
}

impl SharedBody {
    /// Drops what was not sent yet. Returns whether there was something to drop.
    pub(super) fn cut(&self) -> bool {
        let mut content = self.lock();
        let was_ahead = matches!(*content, Content::Ahead { .. });
        if was_ahead {
            *content = Content::Late;
        }
        was_ahead
    }

    /// Whether the rest was dropped before the peer got it.
    pub(super) fn is_cut(&self) -> bool {
        matches!(*self.lock(), Content::Late)
    }

    /// When the connection last took a part of it. `None` if nothing is left.
    pub(super) fn taken_at(&self) -> Option<Instant> {
        match &*self.lock() {
            Content::Ahead { taken_at, .. } => Some(*taken_at),
            Content::Over | Content::Late => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.0.lock()
    }
}

/// A body that keeps something until its last piece was handed to the connection.
pub(super) struct Bounded {
    shared_body: Arc<SharedBody>,
    /// Whether the end comes after the last piece and not with it. hyper polls the end only when
    /// the peer allows that piece to be sent in HTTP/2. The value is kept until then.
    ends_apart: bool,
    deadline: Option<Deadline>,
}

struct Deadline {
    sleep: Pin<Box<Sleep>>,
    metrics: ServeMetrics,
}

/// The error of a body after its deadline.
#[derive(Debug, thiserror::Error)]
#[error("the answer was not complete in time")]
struct Late;

impl Bounded {
    pub(super) fn new(body: Body, kept: Box<dyn Any + Send>) -> Self {
        let content = Content::Ahead {
            body,
            piece: Bytes::new(),
            taken_at: Instant::now(),
            _kept: kept,
        };
        Self {
            shared_body: Arc::new(SharedBody(Mutex::new(content))),
            ends_apart: false,
            deadline: None,
        }
    }

    /// Makes the end come after the last piece, not with it.
    pub(super) fn ending_apart(self) -> Self {
        Self {
            ends_apart: true,
            ..self
        }
    }

    /// Makes the body end with an error at `deadline`. That is counted.
    pub(super) fn until(self, deadline: Instant, metrics: ServeMetrics) -> Self {
        let sleep = Box::pin(sleep_until(deadline));
        Self {
            deadline: Some(Deadline { sleep, metrics }),
            ..self
        }
    }

    pub(super) fn shared_body(&self) -> &Arc<SharedBody> {
        &self.shared_body
    }

    /// Whether it has more than one piece, or an unknown number.
    pub(super) fn is_long(&self) -> bool {
        let piece = u64::try_from(PIECE).unwrap_or(u64::MAX);
        let exact = http_body::Body::size_hint(self).exact();
        exact.is_none_or(|length| length > piece)
    }
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if let Some(Deadline { sleep, metrics }) = &mut this.deadline
            && sleep.as_mut().poll(cx).is_ready()
            && this.shared_body.cut()
        {
            metrics.cut(Cut::Deadline);
        }
        let mut content = this.shared_body.lock();
        let Content::Ahead {
            body,
            piece,
            taken_at,
            ..
        } = &mut *content
        else {
            let late = matches!(*content, Content::Late);
            return Poll::Ready(late.then(|| Err(axum::Error::new(Late))));
        };
        if piece.is_empty() {
            let frame = std::task::ready!(Pin::new(body).poll_frame(cx));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                None => {
                    *content = Content::Over;
                    return Poll::Ready(None);
                }
                Some(Ok(Ok(data))) => *piece = data,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            }
        }
        *taken_at = Instant::now();
        let next = if piece.len() > PIECE {
            // A copy, because a slice would keep the whole body in memory.
            Bytes::copy_from_slice(&piece.split_to(PIECE))
        } else {
            std::mem::take(piece)
        };
        Poll::Ready(Some(Ok(Frame::data(next))))
    }

    fn is_end_stream(&self) -> bool {
        match &*self.shared_body.lock() {
            Content::Ahead { body, piece, .. } => {
                !self.ends_apart && piece.is_empty() && body.is_end_stream()
            }
            Content::Over => true,
            Content::Late => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &*self.shared_body.lock() {
            Content::Ahead { body, piece, .. } => {
                let (mut hint, ahead) = (body.size_hint(), piece.len());
                let ahead = u64::try_from(ahead).unwrap_or(u64::MAX);
                if let Some(upper) = hint.upper() {
                    hint.set_upper(upper.saturating_add(ahead));
                }
                hint.set_lower(hint.lower().saturating_add(ahead));
                hint
            }
            Content::Over => SizeHint::with_exact(0),
            Content::Late => SizeHint::new(),
        }
    }
}

/// A body that counts as a request in flight until it is dropped.
pub(super) struct Counted {
    body: Body,
    _open: Open,
    metrics: ServeMetrics,
}

impl Counted {
    pub(super) fn new(body: Body, open: Open, metrics: ServeMetrics) -> Self {
        Self {
            body,
            _open: open,
            metrics,
        }
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let frame = panics::caught(&this.metrics, || Pin::new(&mut this.body).poll_frame(cx));
        frame.unwrap_or_else(|panicked| {
            // The rest of it must not be used.
            this.body = Body::empty();
            Poll::Ready(Some(Err(axum::Error::new(panicked))))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
