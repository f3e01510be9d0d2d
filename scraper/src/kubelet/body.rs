//! The body of an answer: inflated, capped, in memory that is used again.

use std::{
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use flate2::write::MultiGzDecoder;
use http::{HeaderMap, HeaderValue, header};

use super::failure::{Reason, ScrapeError};

/// The largest page, as sent and as inflated. What a kubelet says of one
/// container is about 800 bytes with long names, so a node of
/// [`Roster::MAX_CONTAINERS`](tributary_model::Roster::MAX_CONTAINERS) fits.
pub const MAX_PAGE: usize = 16 << 20;

/// A page on its way in.
#[derive(Debug)]
pub(super) struct Incoming {
    received: usize,
    coding: Coding,
}

#[derive(Debug)]
enum Coding {
    Plain(Capped),
    Gzip(Box<MultiGzDecoder<Capped>>),
}

/// A buffer that refuses to grow over [`MAX_PAGE`].
#[derive(Debug)]
struct Capped(Vec<u8>);

/// What [`Capped`] refuses with.
#[derive(Debug, thiserror::Error)]
#[error("page over {MAX_PAGE} bytes")]
struct Full;

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len().saturating_add(bytes.len()) > MAX_PAGE {
            return Err(io::Error::other(Full));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Incoming {
    /// A page with these headers, into `buffer`.
    pub(super) fn new(headers: &HeaderMap, buffer: Vec<u8>) -> Result<Self, ScrapeError> {
        let announced = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| usize::try_from(length).is_ok_and(|l| l > MAX_PAGE)) {
            return Err(too_large());
        }
        let into = Capped(buffer);
        let coding = match headers
            .get(header::CONTENT_ENCODING)
            .map(HeaderValue::as_bytes)
        {
            None | Some(b"identity") => Coding::Plain(into),
            Some(b"gzip" | b"x-gzip") => Coding::Gzip(Box::new(MultiGzDecoder::new(into))),
            Some(other) => {
                let name = other.escape_ascii();
                return Err(ScrapeError::new(
                    Reason::Malformed,
                    format!("the answer is encoded as `{name}`, which was not asked for"),
                ));
            }
        };
        Ok(Self {
            received: 0,
            coding,
        })
    }

    /// Takes in the next piece.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), ScrapeError> {
        self.received = self.received.saturating_add(bytes.len());
        if self.received > MAX_PAGE {
            return Err(too_large());
        }
        match &mut self.coding {
            Coding::Plain(into) => into.write_all(bytes),
            Coding::Gzip(into) => into.write_all(bytes),
        }
        .map_err(|error| refused(&error))
    }

    /// The page, once nothing more comes.
    pub(super) fn finish(self) -> Result<Vec<u8>, ScrapeError> {
        match self.coding {
            Coding::Plain(page) => Ok(page.0),
            Coding::Gzip(page) => match page.finish() {
                Ok(page) => Ok(page.0),
                // What is missing shows as a checksum that is.
                Err(error) => Err(match refused(&error) {
                    error if error.reason() == Reason::TooLarge => error,
                    _ => ScrapeError::cut_short(),
                }),
            },
        }
    }
}

fn refused(error: &io::Error) -> ScrapeError {
    if matches!(error.get_ref(), Some(error) if error.is::<Full>()) {
        return too_large();
    }
    ScrapeError::new(Reason::Malformed, format!("gzip: {error}"))
}

fn too_large() -> ScrapeError {
    let megabytes = MAX_PAGE >> 20;
    ScrapeError::new(
        Reason::TooLarge,
        format!("the page is larger than {megabytes} MiB"),
    )
}

/// Buffers between two pages.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// So many are kept: pages are read at the same time by a few tasks only.
    const KEPT: usize = 16;
    /// A buffer that grew over this, by an odd page, is let go.
    const LARGEST_KEPT: usize = 256 << 10;

    /// An empty buffer.
    pub(super) fn take(&self) -> Vec<u8> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.pop().unwrap_or_default()
    }

    /// Gives a buffer back.
    pub(super) fn give(&self, mut buffer: Vec<u8>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < Self::KEPT && buffer.capacity() <= Self::LARGEST_KEPT {
            buffer.clear();
            kept.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn headers(encoding: &'static str) -> HeaderMap {
        let value = HeaderValue::from_static(encoding);
        [(header::CONTENT_ENCODING, value)].into_iter().collect()
    }

    fn read(headers: &HeaderMap, pieces: &[&[u8]]) -> Result<Vec<u8>, ScrapeError> {
        let mut incoming = Incoming::new(headers, Vec::new())?;
        for piece in pieces {
            incoming.take(piece)?;
        }
        incoming.finish()
    }

    #[test]
    fn gzip_comes_in_pieces() {
        let sent = gzip(b"hello kubelet");
        let (one, two) = sent.split_at(7);
        assert_eq!(
            read(&headers("gzip"), &[one, two]).unwrap(),
            b"hello kubelet"
        );
        assert_eq!(read(&HeaderMap::new(), &[b"a", b"b"]).unwrap(), b"ab");
    }

    #[test]
    fn gzip_that_ends_early_is_cut_short() {
        let sent = gzip(b"hello kubelet");
        for length in 1..sent.len() {
            let error = read(&headers("gzip"), &[&sent[..length]]).unwrap_err();
            assert_eq!(error, ScrapeError::cut_short(), "{length}");
        }
    }

    #[test]
    fn what_is_no_gzip_is_malformed() {
        let error = read(&headers("gzip"), &[b"# HELP a page of metrics"]).unwrap_err();
        assert_eq!(error.reason(), Reason::Malformed);
        let error = read(&headers("br"), &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the answer is encoded as `br`, which was not asked for"
        );
    }

    #[test]
    fn no_page_grows_over_its_limit() {
        let piece = vec![b'a'; 1 << 20];
        let exact: Vec<&[u8]> = vec![&piece; 16];
        assert_eq!(read(&HeaderMap::new(), &exact).unwrap().len(), 16 << 20);
        let over: Vec<&[u8]> = vec![&piece; 17];
        let expected = "the page is larger than 16 MiB";
        let error = read(&HeaderMap::new(), &over).unwrap_err();
        assert_eq!(
            (error.reason(), error.to_string().as_str()),
            (Reason::TooLarge, expected)
        );

        let bomb = gzip(&vec![0; 17 << 20]);
        assert!(bomb.len() < 200_000, "{}", bomb.len());
        assert_eq!(read(&headers("gzip"), &[&bomb]).unwrap_err(), error);

        let length = HeaderValue::from_static("16777217");
        let announced = [(header::CONTENT_LENGTH, length)].into_iter().collect();
        assert_eq!(read(&announced, &[]).unwrap_err(), error);
    }

    #[test]
    fn buffers_are_used_again_unless_they_are_huge() {
        let buffers = Buffers::default();
        buffers.give(Vec::with_capacity(1000));
        buffers.give(Vec::with_capacity(1 << 20));
        assert_eq!(buffers.take().capacity(), 1000);
        assert_eq!(buffers.take().capacity(), 0);
    }
}
