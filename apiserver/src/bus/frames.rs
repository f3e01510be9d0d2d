//! The messages of a stream, as bytes, before they are decoded.
//!
//! tonic would decode each message as soon as it is complete, and keep its largest buffer as long
//! as the stream lives. Here the size of a message is checked first, and a large one waits until
//! there is room. So the memory of large messages has a limit, for one publisher and for all,
//! whatever the number of streams.

use std::{future::poll_fn, sync::Arc, time::Duration};

use axum::body::Body;
use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};
use tokio_util::sync::PollSemaphore;
use tonic::Status;
use tributary_proto::limits::MESSAGE_BYTES;

use super::decode_permits::DecodePermits;

/// A longer message waits for room. The roster of a full node (250 pods with long names) has a
/// third of it.
const LARGE: usize = 256 << 10;

/// The memory for large messages of all publishers: 64 MiB.
const LARGE_AT_A_TIME: usize = 16;

/// The memory for large messages of one publisher: 16 MiB.
const LARGE_OF_PUBLISHER: usize = 4;

/// How long a large message may take to arrive, once there is room for it. Slower ones block
/// others.
const LARGE_WITHIN: Duration = Duration::from_secs(10);

/// The header of each message: a flag and the length.
const HEAD: usize = 5;

/// Room for the large messages of one publisher, within the room for all. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Room {
    all: Arc<Semaphore>,
    own: Arc<Semaphore>,
    /// Permits to decode messages.
    pub(super) decode_permits: DecodePermits,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(LARGE_AT_A_TIME)),
            own: Arc::new(Semaphore::new(LARGE_OF_PUBLISHER)),
            decode_permits: DecodePermits::default(),
        }
    }
}

impl Room {
    /// Room for another publisher, within the same room for all.
    pub(super) fn of_another(&self) -> Self {
        Self {
            all: Arc::clone(&self.all),
            own: Arc::new(Semaphore::new(LARGE_OF_PUBLISHER)),
            decode_permits: self.decode_permits.of_another(),
        }
    }
}

/// A whole message. Its room is released when it is dropped.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) bytes: Bytes,
    _room: Option<Taken>,
}

/// Both permits, in the order of waiting.
#[derive(Debug)]
struct Taken {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

/// Reads the messages of one stream.
#[derive(Debug)]
pub(super) struct Frames {
    body: Body,
    /// Bytes that have arrived and were not read.
    chunk: Bytes,
    head: BytesMut,
    in_flight: Option<Partial>,
    own: PollSemaphore,
    all: PollSemaphore,
}

/// An incomplete message.
#[derive(Debug)]
struct Partial {
    length: usize,
    bytes: BytesMut,
    room: Wait,
}

/// What a message waits for.
#[derive(Debug)]
enum Wait {
    /// Nothing: it is small.
    Nothing,
    /// Room of its publisher.
    Own,
    /// Room of all.
    All(OwnedSemaphorePermit),
    /// It has room, and must arrive by then.
    Until(Instant, Taken),
}

impl Frames {
    pub(super) fn new(body: Body, room: &Room) -> Self {
        Self {
            body,
            chunk: Bytes::new(),
            head: BytesMut::with_capacity(HEAD),
            in_flight: None,
            own: PollSemaphore::new(Arc::clone(&room.own)),
            all: PollSemaphore::new(Arc::clone(&room.all)),
        }
    }

    /// The next message. `None` at the end of the stream. It is cancel-safe.
    ///
    /// # Errors
    ///
    /// The bytes are not a message, or it is too long or too slow.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, Status> {
        loop {
            if self.in_flight.is_none() && self.has_head() {
                let length = self.length()?;
                if length <= self.chunk.len() && length <= LARGE {
                    let bytes = self.chunk.split_to(length);
                    return Ok(Some(Frame { bytes, _room: None }));
                }
                self.in_flight = Some(Partial::new(length));
            }
            self.make_room().await;
            if let Some(frame) = self.fill() {
                return Ok(Some(frame));
            }
            if !self.more().await? {
                return Ok(None);
            }
        }
    }

    /// Moves bytes to the header. Returns whether it is complete.
    fn has_head(&mut self) -> bool {
        let missing = HEAD.saturating_sub(self.head.len());
        let there = missing.min(self.chunk.len());
        self.head.extend_from_slice(&self.chunk.split_to(there));
        self.head.len() == HEAD
    }

    /// Reads and removes the header.
    fn length(&mut self) -> Result<usize, Status> {
        let mut head = std::mem::take(&mut self.head);
        if head.get_u8() != 0 {
            return Err(Status::internal(
                "a compressed message, which was not negotiated",
            ));
        }
        let length = usize::try_from(head.get_u32()).unwrap_or(usize::MAX);
        if length > MESSAGE_BYTES {
            return Err(Status::out_of_range(format!(
                "a message of {length} bytes, allowed are {MESSAGE_BYTES}"
            )));
        }
        Ok(length)
    }

    /// Waits until the current message may be read.
    async fn make_room(&mut self) {
        let Some(partial) = &mut self.in_flight else {
            return;
        };
        if matches!(partial.room, Wait::Own)
            && let Some(own) = poll_fn(|cx| self.own.poll_acquire(cx)).await
        {
            partial.room = Wait::All(own);
        }
        if !matches!(partial.room, Wait::All(_)) {
            return;
        }
        let all = poll_fn(|cx| self.all.poll_acquire(cx)).await;
        if let (Some(all), Wait::All(own)) = (all, std::mem::replace(&mut partial.room, Wait::Own))
        {
            let taken = Taken {
                _own: own,
                _all: all,
            };
            partial.room = Wait::Until(Instant::now() + LARGE_WITHIN, taken);
            partial.bytes.reserve(partial.length);
        }
    }

    /// Moves bytes to the current message, and returns it when it is complete.
    fn fill(&mut self) -> Option<Frame> {
        let partial = self.in_flight.as_mut()?;
        let missing = partial.length.saturating_sub(partial.bytes.len());
        let there = missing.min(self.chunk.len());
        partial.bytes.extend_from_slice(&self.chunk.split_to(there));
        if there < missing {
            return None;
        }
        let partial = self.in_flight.take()?;
        let room = match partial.room {
            Wait::Until(_, taken) => Some(taken),
            _ => None,
        };
        Some(Frame {
            bytes: partial.bytes.freeze(),
            _room: room,
        })
    }

    /// Reads more bytes. `false` at the end of the stream.
    async fn more(&mut self) -> Result<bool, Status> {
        let frame = match &self.in_flight {
            Some(Partial {
                room: Wait::Until(by, _),
                ..
            }) => timeout_at(*by, self.body.frame()).await.map_err(|_| {
                Status::deadline_exceeded("a large message took more than 10 s to arrive")
            })?,
            _ => self.body.frame().await,
        };
        match frame {
            Some(Ok(frame)) => {
                // Trailers are ignored.
                self.chunk = frame.into_data().unwrap_or_default();
                Ok(true)
            }
            None if self.in_flight.is_some() || !self.head.is_empty() => {
                Err(Status::internal("the stream ends within a message"))
            }
            // After an error the connection is gone, and there is no peer to answer.
            Some(Err(_)) | None => Ok(false),
        }
    }
}

impl Partial {
    fn new(length: usize) -> Self {
        let small = length <= LARGE;
        Self {
            length,
            bytes: BytesMut::with_capacity(if small { length } else { 0 }),
            room: if small { Wait::Nothing } else { Wait::Own },
        }
    }
}

#[cfg(test)]
mod tests;
