//! Answers of which the end is kept: the logs of containers.

use http::{Request, header};
use http_body_util::BodyExt as _;
use kube::client::Body;
use tokio::time::timeout;

use super::{
    Failure, KubeApi,
    exchange::Answer,
    failure::{EXCERPT, content_type, failed},
};

/// The last part of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// Whole lines from the end, and a line without an end if the text has one. What is no UTF-8 is replaced.
    pub text: String,
    /// How many bytes were read.
    pub read: usize,
}

impl KubeApi {
    /// The last lines of a text, no more than `most` bytes.
    ///
    /// # Errors
    ///
    /// There is no answer.
    pub async fn tail(&self, path: &str, most: usize) -> Result<Tail, Failure> {
        self.proven().await?;
        timeout(self.limit, self.last_bytes(path, most))
            .await
            .map_err(|_| self.silent())?
    }

    async fn last_bytes(&self, path: &str, most: usize) -> Result<Tail, Failure> {
        let request = Request::get(path).header(header::ACCEPT, "text/plain, application/json");
        let request = request.body(Body::empty()).map_err(failed)?;
        let unreachable = |error| self.unreachable(&error);
        let (head, mut body) = self.head_of(request).await?.into_parts();
        let is_log = head.status.is_success();
        let most = if is_log { most } else { most.max(EXCERPT * 16) };
        let (mut last, mut read) = (Vec::new(), 0_usize);
        while let Some(frame) = body.frame().await {
            let Ok(chunk) = frame.map_err(unreachable)?.into_data() else {
                continue;
            };
            read = read.saturating_add(chunk.len());
            last.extend_from_slice(&chunk);
            if last.len() > most.saturating_mul(2) {
                last.drain(..last.len() - most);
            }
        }
        if !is_log {
            let answer = Answer {
                status: head.status,
                content_type: content_type(&head.headers),
                date: None,
                from_tributary: false,
                body: last,
                _turn: None,
            };
            return Err(self.refusal(path, &answer));
        }
        // The first line may be a part of one, and a part of a secret is not known as one.
        let begins = last.len().saturating_sub(most);
        let is_cut = begins > 0 || read > last.len();
        let mut text = last.get(begins..).unwrap_or_default();
        if is_cut {
            let end = text.iter().position(|byte| *byte == b'\n');
            text = end.and_then(|end| text.get(end + 1..)).unwrap_or_default();
        }
        let text = String::from_utf8_lossy(text).into_owned();
        Ok(Tail { text, read })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fake::Fake, *};

    async fn tail(text: &str, most: usize) -> (String, usize) {
        let api = Fake::default().text("/log", text).api();
        let tail = api.tail("/log", most).await.unwrap();
        (tail.text, tail.read)
    }

    #[tokio::test]
    async fn the_last_whole_lines_are_kept() {
        assert_eq!(tail("a\nb\n", 4).await, ("a\nb\n".to_owned(), 4));
        assert_eq!(tail("long\nb\nc", 6).await, ("b\nc".to_owned(), 8));
        assert_eq!(tail("long\nb\nc", 2).await, ("c".to_owned(), 8));
        assert_eq!(
            tail("one line that is too long", 5).await,
            (String::new(), 25)
        );
        assert_eq!(tail("", 5).await, (String::new(), 0));
    }

    #[tokio::test]
    async fn a_log_that_is_refused_has_the_reason() {
        let refused = serde_json::json!({ "message": "pods \"a\" is forbidden" });
        let api = Fake::default().with("/log", 403, refused).api();
        assert_eq!(
            api.tail("/log", 1).await,
            Err(Failure::Forbidden("pods \"a\" is forbidden".to_owned()))
        );
    }
}
