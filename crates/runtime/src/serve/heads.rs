//! Heads of requests while they are read.
//!
//! A peer whose head is not complete is unknown, and it may send the rest slowly. A few bytes in
//! HTTP/2 become large header fields when they are decoded, so a connection can need more memory
//! than was sent. A head that fits into one frame is decoded when it is complete. Longer heads need
//! a permit, of which there are few, and have a deadline. Only those of the front proxy do not: it sends
//! the requests of a whole cluster, and strangers must not take its room. A publisher is also trusted,
//! but its heads are short.
//!
//! No client of this server needs to send trailers after a request. h2 would decode them and keep them until the answer
//! is read. So trailers end the connection. A promise of a request ends it, too: only servers may send one, and h2
//! would check that only when the head is complete.
//!
//! Frames between heads are also counted, because a peer can send them without a request ([`super::allowance`]).

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    allowance::{Allowance, CONTENT, FRAME, SHORTEST_DATA, Spent},
    handle::ConnectionHandle,
    metrics::ServeMetrics,
};

/// How many bytes an HTTP/1 peer may send before it is answered, without a permit: the longest
/// frame of HTTP/2.
const SMALL: usize = 16 << 10;

/// How long a head may take once it has a permit.
const WITHIN: Duration = Duration::from_secs(5);

/// The frame header of HTTP/2 (RFC 9113, 4.1).
const FRAME_HEADER: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PUSH_PROMISE: u8 = 5;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// How an HTTP/2 client begins (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream with its HTTP bytes. A long head needs a permit.
#[derive(Debug)]
pub(super) struct Heads<S> {
    stream: S,
    handle: ConnectionHandle,
    metrics: ServeMetrics,
    /// The permits of all connections.
    room: Arc<Semaphore>,
    scanner: Scanner,
    taken: Option<Taken>,
    allowance: Allowance,
}

#[derive(Debug)]
struct Taken {
    until: Pin<Box<Sleep>>,
    _room: OwnedSemaphorePermit,
}

impl<S> Heads<S> {
    pub(super) fn new(
        stream: S,
        handle: ConnectionHandle,
        metrics: ServeMetrics,
        room: Arc<Semaphore>,
    ) -> Self {
        Self {
            stream,
            handle,
            metrics,
            room,
            scanner: Scanner::default(),
            taken: None,
            allowance: Allowance::new(Instant::now()),
        }
    }

    /// Takes or releases a permit, by what was read last.
    fn settle(&mut self) -> io::Result<()> {
        if let Some(why) = self.scanner.fault() {
            return Err(self.refuse(why));
        }
        if !self.scanner.goes_on() || self.handle.is_front_proxy() {
            self.taken = None;
            return Ok(());
        }
        if self.taken.is_some() {
            return Ok(());
        }
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            return Err(self.refuse("there is no room for the head of a request"));
        };
        self.taken = Some(Taken {
            until: Box::pin(sleep_until(Instant::now() + WITHIN)),
            _room: room,
        });
        Ok(())
    }

    /// Pays for the frames that were read last. Those of the front proxy are those of a whole cluster.
    fn pay(&mut self) -> io::Result<()> {
        let Some(spent) = self.scanner.spent() else {
            return Ok(());
        };
        let is_paid = self.handle.is_front_proxy()
            || self
                .allowance
                .spend(spent, self.handle.trust(), Instant::now());
        if is_paid {
            return Ok(());
        }
        self.metrics.control_frames_refused.inc();
        Err(io::Error::other("the peer sends too many control frames"))
    }

    fn refuse(&self, why: &'static str) -> io::Error {
        self.metrics.heads_refused.inc();
        io::Error::other(why)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heads<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.handle.is_answering() {
            // In HTTP/1 its head is complete. This read only detects a closed connection.
            this.scanner.answered();
            this.settle()?;
        }
        if let Some(taken) = &mut this.taken
            && taken.until.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(
                this.refuse("the head of a request was not whole in time")
            ));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        let new = buffer.filled().get(before..).unwrap_or_default();
        this.scanner.scan(new);
        this.pay()?;
        Poll::Ready(this.settle())
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heads<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.allowance.wrote(written);
        self.scanner.answered();
        self.settle()?;
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
        self.allowance.wrote(written);
        self.scanner.answered();
        self.settle()?;
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Detects in the received bytes whether a head goes on.
#[derive(Debug)]
enum Scanner {
    /// The received part of the preface.
    New(usize),
    One(Lines),
    Two(Frames),
}

impl Default for Scanner {
    fn default() -> Self {
        Self::New(0)
    }
}

impl Scanner {
    fn goes_on(&self) -> bool {
        match self {
            Self::New(_) => false,
            Self::One(lines) => lines.stored > SMALL,
            Self::Two(frames) => frames.goes_on,
        }
    }

    /// The first frame or field that no client may send here.
    fn fault(&self) -> Option<&'static str> {
        match self {
            Self::Two(frames) => frames.fault,
            Self::New(_) | Self::One(_) => None,
        }
    }

    /// The frames since the last call, if any costs something.
    fn spent(&mut self) -> Option<Spent> {
        match self {
            Self::Two(frames) if frames.spent.cost > 0 => Some(std::mem::take(&mut frames.spent)),
            Self::New(_) | Self::One(_) | Self::Two(_) => None,
        }
    }

    /// Scans received bytes.
    fn scan(&mut self, bytes: &[u8]) {
        match self {
            Self::New(seen) => {
                let expected = PREFACE.get(*seen..).unwrap_or_default();
                let common = expected.len().min(bytes.len());
                let (begin, rest) = bytes.split_at(common);
                if !expected.starts_with(begin) {
                    let mut lines = Lines::default();
                    lines.scan(PREFACE.get(..*seen).unwrap_or_default());
                    lines.scan(bytes);
                    *self = Self::One(lines);
                } else if common == expected.len() {
                    let mut frames = Frames::default();
                    frames.scan(rest);
                    *self = Self::Two(frames);
                } else {
                    *seen = seen.saturating_add(common);
                }
            }
            Self::One(lines) => lines.scan(bytes),
            Self::Two(frames) => frames.scan(bytes),
        }
    }

    /// A response is sent, so in HTTP/1 its request was read.
    fn answered(&mut self) {
        if let Self::One(lines) = self {
            lines.stored = lines.stored.min(lines.unfinished);
        }
    }
}

/// The lines of HTTP/1. A peer may send the next head, or a part of it, before it gets its answer.
#[derive(Debug, Default)]
struct Lines {
    /// Bytes since the last answer, and earlier bytes of an incomplete head.
    stored: usize,
    /// Bytes since the last empty line, which ends a head.
    unfinished: usize,
    /// Whether the line has bytes other than its line end.
    is_begun: bool,
}

impl Lines {
    fn scan(&mut self, bytes: &[u8]) {
        self.stored = self.stored.saturating_add(bytes.len());
        for byte in bytes {
            self.unfinished = self.unfinished.saturating_add(1);
            match byte {
                b'\n' if !self.is_begun => self.unfinished = 0,
                b'\n' => self.is_begun = false,
                b'\r' => {}
                _ => self.is_begun = true,
            }
        }
    }
}

/// The frames of HTTP/2.
#[derive(Debug, Default)]
struct Frames {
    /// The received part of a frame header.
    header: Vec<u8>,
    /// Remaining bytes of the payload.
    payload: usize,
    /// Whether a head began that this frame does not end.
    goes_on: bool,
    /// The newest stream. A client numbers streams upwards (RFC 9113, 5.1.1).
    newest: u32,
    /// The first frame that no client may send.
    fault: Option<&'static str>,
    /// The cost of frames that are neither requests nor content, and the requests.
    spent: Spent,
}

impl Frames {
    fn scan(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let skipped = self.payload.min(bytes.len());
            self.payload -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let missing = FRAME_HEADER.saturating_sub(self.header.len());
            let (new, rest) = bytes.split_at(missing.min(bytes.len()));
            self.header.extend_from_slice(new);
            bytes = rest;
            if let [a, b, c, kind, flags, s, t, u, v] = *self.header.as_slice() {
                let length = u32::from_be_bytes([0, a, b, c]);
                self.payload = usize::try_from(length).unwrap_or(usize::MAX);
                if matches!(kind, HEADERS | CONTINUATION) {
                    self.goes_on = flags & END_HEADERS == 0;
                }
                if kind == HEADERS {
                    self.spent.requests = self.spent.requests.saturating_add(1);
                    let stream = u32::from_be_bytes([s & 0x7f, t, u, v]);
                    if stream <= self.newest {
                        self.fault.get_or_insert("a request has trailers");
                    }
                    self.newest = self.newest.max(stream);
                }
                let cost = match kind {
                    HEADERS => 0,
                    DATA if length >= SHORTEST_DATA => CONTENT,
                    _ => FRAME,
                };
                self.spent.cost = self.spent.cost.saturating_add(cost);
                if kind == PUSH_PROMISE {
                    self.fault.get_or_insert("a client promises a request");
                }
                self.header.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests;
