//! One request, and its answer as it is sent.

use std::sync::Arc;

use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use jiff::{Timestamp, fmt::rfc2822};
use kube::client::Body;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout_at},
};

use super::{
    Failure, KubeApi,
    failure::{content_type, failed},
    interim,
};

/// The longest answer that is read: a page of a list of large objects.
const LONGEST: usize = 64 << 20;

/// From how many bytes on an answer needs a turn, so that there is one such answer at a time.
const LARGE: usize = 8 << 20;

/// By how much the memory for a large answer grows.
const STEP: usize = 8 << 20;

/// The header that names the server of an answer. kube-apiserver passes it on from the servers behind it.
const TRIBUTARY: &[u8] = b"tributary";

/// An answer with its headers, as far as they are read.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content_type: String,
    pub(super) date: Option<Timestamp>,
    pub(super) from_tributary: bool,
    pub(super) body: Vec<u8>,
    /// Of a large answer, until it is decoded.
    pub(super) _turn: Option<OwnedSemaphorePermit>,
}

impl Answer {
    /// The same, and the next large answer may be read.
    pub(super) fn without_turn(self) -> Self {
        Self {
            _turn: None,
            ..self
        }
    }
}

impl KubeApi {
    /// What the server answers until `end`; `None` if it does not. An answer that waits for its turn is not late: `end` moves
    /// by that time.
    pub(super) async fn exchange(
        &self,
        request: Request<Body>,
        end: &mut Instant,
    ) -> Result<Option<Answer>, Failure> {
        let Ok(answer) = timeout_at(*end, self.head_of(request)).await else {
            return Ok(None);
        };
        let (head, mut body) = answer?.into_parts();
        let date = head.headers.get(header::DATE);
        let date = date.and_then(|date| rfc2822::parse(date.to_str().ok()?).ok());
        let server = head.headers.get(header::SERVER);
        let from_tributary = server.is_some_and(|server| server.as_bytes() == TRIBUTARY);
        let (mut read, mut turn) = (Vec::new(), None);
        loop {
            let Ok(frame) = timeout_at(*end, body.frame()).await else {
                return Ok(None);
            };
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| self.unreachable(&error))?;
            let Ok(chunk) = frame.into_data() else {
                continue;
            };
            if read.len() + chunk.len() > LONGEST {
                return Err(Failure::Failed(format!(
                    "an answer of over {LONGEST} bytes"
                )));
            }
            if read.len() + chunk.len() > LARGE {
                if turn.is_none() {
                    let waits = Instant::now();
                    let turns = Arc::clone(&self.turn);
                    turn = Some(turns.acquire_owned().await.map_err(failed)?);
                    *end += waits.elapsed();
                }
                // Twice as much, as a vector grows by itself, is too much.
                if read.capacity() - read.len() < chunk.len() {
                    read.reserve_exact(chunk.len().max(STEP));
                }
            }
            read.extend_from_slice(&chunk);
        }
        Ok(Some(Answer {
            status: head.status,
            content_type: content_type(&head.headers),
            date: date.map(|date| date.timestamp()),
            from_tributary,
            body: read,
            _turn: turn,
        }))
    }

    /// Sends a request, and waits for the head of the answer.
    pub(super) async fn head_of(
        &self,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Failure> {
        let too_many = interim::counted(&mut request);
        tokio::select! {
            biased;
            () = too_many.notified() => Err(self.only_informs()),
            answer = self.client.send(request) => answer.map_err(|error| self.unreachable(&error)),
        }
    }
}
