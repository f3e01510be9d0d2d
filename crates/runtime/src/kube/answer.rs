//! Responses of the Kubernetes API, read up to a limit.
//!
//! Every user who may create a pod decides how long a part of a list is: its annotations and labels
//! may have more than a megabyte. So a response is never read without a limit: reading stops when
//! it is longer.

use ::kube::{Client, Error, client::Body, core::Status};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;

use super::{activity::Activity, null::from_json};

/// A page of a list, or a line of a watch, of more bytes is given up. One object always
/// fits: etcd takes 1.5 MiB, and JSON needs up to six bytes for one (`<` is `\u003c`).
pub const MOST: usize = 16 << 20;

/// How many bytes of an error response are read.
const MOST_OF_REFUSAL: usize = 16 << 10;

/// How many characters of an error response are logged, if it is not a Status.
const MAX_CHARS: usize = 256;

/// A response whose head has arrived.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    /// Bytes that were received and not read yet.
    rest: Bytes,
    /// Records that the response could not be decoded.
    pub(super) activity: Option<Activity>,
}

/// Why a response could not be read.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is longer than [`MOST`].
    TooLong,
    /// The API returned an error, or the connection failed.
    Failed(Error),
}

impl Answer {
    /// Sends a request and reads the head of the response.
    ///
    /// # Errors
    ///
    /// There is no response, or it is an error. The status of the error is that of the head, whatever the body is.
    pub(super) async fn to(client: &Client, request: Request<Vec<u8>>) -> Result<Self, Error> {
        let answer = client.send(request.map(Body::from)).await?;
        let (head, body) = answer.into_parts();
        let answer = Self {
            body,
            rest: Bytes::new(),
            activity: head.extensions.get().cloned(),
        };
        if !head.status.is_success() {
            return Err(answer.refusal(head.status).await);
        }
        Ok(answer)
    }

    async fn refusal(mut self, code: StatusCode) -> Error {
        let mut text = Vec::new();
        // If the rest cannot be read, the status still says more than that failure.
        while text.len() < MOST_OF_REFUSAL
            && let Ok(Some(chunk)) = self.chunk().await
        {
            text.extend_from_slice(&chunk);
        }
        text.truncate(MOST_OF_REFUSAL);
        let text = String::from_utf8_lossy(&text);
        let status = from_json::<Status>(&text).unwrap_or_else(|_| {
            let excerpt: String = text.trim().chars().take(MAX_CHARS).collect();
            Status::failure(&excerpt, "Failed to parse error data")
        });
        Error::Api(Box::new(status.with_code(code.as_u16())))
    }

    /// The whole body.
    ///
    /// # Errors
    ///
    /// It is too long, or the connection failed.
    pub(super) async fn whole(mut self) -> Result<Vec<u8>, Unread> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.chunk().await.map_err(Unread::Failed)? {
            if whole.len() + chunk.len() > MOST {
                return Err(Unread::TooLong);
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole)
    }

    /// The next line, without its end. `None` after the last one.
    ///
    /// # Errors
    ///
    /// It is too long, or the connection failed.
    pub(super) async fn line(&mut self) -> Result<Option<Vec<u8>>, Unread> {
        let mut line = Vec::new();
        loop {
            if self.rest.is_empty() {
                let Some(chunk) = self.chunk().await.map_err(Unread::Failed)? else {
                    return Ok((!line.is_empty()).then_some(line));
                };
                self.rest = chunk;
            }
            let end = self.rest.iter().position(|byte| *byte == b'\n');
            let part = self.rest.split_to(end.unwrap_or(self.rest.len()));
            if line.len() + part.len() > MOST {
                return Err(Unread::TooLong);
            }
            line.extend_from_slice(&part);
            if end.is_some() {
                drop(self.rest.split_to(1));
                return Ok(Some(line));
            }
        }
    }

    /// The next bytes, or `None` at the end.
    async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(data) = frame?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
