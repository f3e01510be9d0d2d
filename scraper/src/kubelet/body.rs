//! The body of an answer: inflated, capped, in memory that is used again.

use std::sync::{Mutex, PoisonError};

use flate2::{Decompress, FlushDecompress, Status};
use http::{HeaderMap, HeaderValue, header};

use super::failure::{Reason, ScrapeError};

/// The largest page, as sent and as inflated. What a kubelet says of one
/// container is about 800 bytes with long names, so a node of
/// [`Roster::MAX_CONTAINERS`](tributary_model::Roster::MAX_CONTAINERS) fits.
pub const MAX_PAGE: usize = 16 << 20;

/// A first page is inflated into so much; later ones find a buffer that fits.
const ROOM: usize = 64 << 10;

/// Distances of gzip, in bits: the largest that there are.
const WINDOW_BITS: u8 = 15;

/// A page on its way in.
#[derive(Debug)]
pub(super) struct Incoming {
    received: usize,
    page: Vec<u8>,
    coding: Coding,
}

#[derive(Debug)]
enum Coding {
    Plain,
    /// None between two members, or before the first.
    Gzip(Option<Decompress>),
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
        let coding = match headers
            .get(header::CONTENT_ENCODING)
            .map(HeaderValue::as_bytes)
        {
            None | Some(b"identity") => Coding::Plain,
            Some(b"gzip" | b"x-gzip") => Coding::Gzip(None),
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
            page: buffer,
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
            Coding::Plain => self.page.extend_from_slice(bytes),
            Coding::Gzip(member) => inflate(member, bytes, &mut self.page)?,
        }
        Ok(())
    }

    /// The page, once nothing more comes.
    pub(super) fn finish(self) -> Result<Vec<u8>, ScrapeError> {
        match self.coding {
            Coding::Gzip(None) if self.received > 0 => Ok(self.page),
            Coding::Gzip(_) => Err(ScrapeError::cut_short()),
            Coding::Plain => Ok(self.page),
        }
    }
}

/// Inflates straight into the page. A gzip file may have several members (RFC
/// 1952, 2.2).
fn inflate(
    member: &mut Option<Decompress>,
    mut bytes: &[u8],
    page: &mut Vec<u8>,
) -> Result<(), ScrapeError> {
    loop {
        if member.is_none() && bytes.is_empty() {
            return Ok(());
        }
        if page.len() == page.capacity() {
            page.reserve(ROOM.max(page.len()).min(MAX_PAGE + 1 - page.len()));
        }
        let decoder = member.get_or_insert_with(|| Decompress::new_gzip(WINDOW_BITS));
        let before = decoder.total_in();
        let status = decoder
            .decompress_vec(bytes, page, FlushDecompress::None)
            .map_err(|error| ScrapeError::new(Reason::Malformed, format!("gzip: {error}")))?;
        let taken = decoder.total_in().saturating_sub(before);
        bytes = usize::try_from(taken)
            .ok()
            .and_then(|taken| bytes.get(taken..))
            .unwrap_or_default();
        if page.len() > MAX_PAGE {
            return Err(too_large());
        }
        match status {
            Status::StreamEnd => *member = None,
            // It is not the room that it lacks.
            Status::Ok | Status::BufError if page.len() < page.capacity() => return Ok(()),
            Status::Ok | Status::BufError => {}
        }
    }
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
    use std::io::Write as _;

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
    fn gzip_of_several_members_is_one_page() {
        let sent = [gzip(b"hello "), gzip(b""), gzip(b"kubelet")].concat();
        assert_eq!(read(&headers("gzip"), &[&sent]).unwrap(), b"hello kubelet");
        let bytes: Vec<&[u8]> = sent.chunks(1).collect();
        assert_eq!(read(&headers("gzip"), &bytes).unwrap(), b"hello kubelet");
        let mut more = sent;
        more.extend_from_slice(b"trailing");
        let error = read(&headers("gzip"), &[&more]).unwrap_err();
        assert_eq!(error.reason(), Reason::Malformed);
    }

    #[test]
    fn a_checksum_that_is_wrong_is_malformed() {
        let mut sent = gzip(b"hello kubelet");
        let crc = sent.len() - 8;
        sent[crc] ^= 1;
        let error = read(&headers("gzip"), &[&sent]).unwrap_err();
        assert_eq!(error.reason(), Reason::Malformed);
    }

    #[test]
    fn gzip_grows_into_any_room() {
        let page: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let sent = gzip(&page);
        for capacity in [0, 1, 799_999, 800_000, 800_001] {
            let mut incoming =
                Incoming::new(&headers("gzip"), Vec::with_capacity(capacity)).unwrap();
            for piece in sent.chunks(10_000) {
                incoming.take(piece).unwrap();
            }
            assert_eq!(incoming.finish().unwrap(), page, "{capacity}");
        }
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
        let exact = gzip(&vec![0; 16 << 20]);
        let page = read(&headers("gzip"), &[&exact]).unwrap();
        assert_eq!(page.len(), 16 << 20);

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
