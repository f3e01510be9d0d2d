//! The body of an answer: inflated, capped, in memory that is used again.

use flate2::{Decompress, FlushDecompress, Status};
use http::{HeaderMap, header};

use super::{
    failure::{Reason, ScrapeError, Stage},
    pages::{Page, Pages, Room, SMALL},
};

/// A first page is inflated into so much; later ones find a buffer that fits.
const FIRST: usize = 64 << 10;

/// Distances of gzip, in bits: the largest that there are.
const WINDOW_BITS: u8 = 15;

/// A page on its way in.
#[derive(Debug)]
pub(super) struct Incoming<'a> {
    pages: &'a Pages,
    received: usize,
    page: Vec<u8>,
    coding: Coding,
    /// Whether HTTP says where the body ends. If not, it ends with the connection,
    /// and so does one that was cut.
    says_its_end: bool,
    /// For what is over [`SMALL`].
    room: Option<Room>,
}

#[derive(Debug)]
enum Coding {
    Plain,
    /// None between two members, or before the first.
    Gzip(Option<Decompress>),
}

impl<'a> Incoming<'a> {
    /// A page with these headers.
    pub(super) fn new(headers: &HeaderMap, pages: &'a Pages) -> Result<Self, ScrapeError> {
        let limit = pages.limit();
        let announced = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| usize::try_from(length).is_ok_and(|it| it > limit)) {
            return Err(too_large(limit));
        }
        // Codings have no case (RFC 9110, 8.4.1).
        let coding = headers.get(header::CONTENT_ENCODING);
        let coding = coding.map(|coding| coding.as_bytes().to_ascii_lowercase());
        let coding = match coding.as_deref() {
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
            pages,
            received: 0,
            page: pages.buffer(),
            coding,
            says_its_end: [header::CONTENT_LENGTH, header::TRANSFER_ENCODING]
                .iter()
                .any(|name| headers.contains_key(name)),
            room: None,
        })
    }

    /// Takes in the next piece. Waits for room where the page becomes a large one.
    pub(super) async fn take(
        &mut self,
        bytes: &[u8],
        stage: &mut Stage,
    ) -> Result<(), ScrapeError> {
        let limit = self.pages.limit();
        self.received = self.received.saturating_add(bytes.len());
        if self.received > limit {
            return Err(too_large(limit));
        }
        let small = limit.min(SMALL);
        let mut most = if self.room.is_some() { limit } else { small };
        let mut rest = bytes;
        while let Some(over) = self.take_up_to(most, rest)? {
            if most == limit {
                return Err(too_large(limit));
            }
            *stage = Stage::Room;
            self.room = self.pages.room().await;
            *stage = Stage::Body;
            (most, rest) = (limit, over);
        }
        Ok(())
    }

    /// Takes in what makes a page of up to `most` bytes. If there is more, gives
    /// what is left of `bytes`.
    fn take_up_to<'b>(
        &mut self,
        most: usize,
        bytes: &'b [u8],
    ) -> Result<Option<&'b [u8]>, ScrapeError> {
        match &mut self.coding {
            Coding::Plain if self.page.len() + bytes.len() > most => Ok(Some(bytes)),
            Coding::Plain => {
                grow(&mut self.page, most, bytes.len());
                self.page.extend_from_slice(bytes);
                Ok(None)
            }
            Coding::Gzip(member) => inflate(member, bytes, &mut self.page, most),
        }
    }

    /// The page, once nothing more comes.
    pub(super) fn finish(self) -> Result<Page, ScrapeError> {
        let is_whole = match self.coding {
            Coding::Gzip(None) => self.received > 0,
            Coding::Gzip(Some(_)) => false,
            // A number that was cut looks like another number.
            Coding::Plain => self.says_its_end || self.page.last().is_none_or(|end| *end == b'\n'),
        };
        is_whole
            .then_some(Page {
                bytes: self.page,
                room: self.room,
            })
            .ok_or_else(ScrapeError::cut_short)
    }
}

/// Makes room for `wanted` more bytes, and for as many as there are already, but
/// not for more than one over `most`: by that one it is seen that there is more.
fn grow(page: &mut Vec<u8>, most: usize, wanted: usize) {
    if page.capacity() - page.len() < wanted {
        let rest = (most + 1).saturating_sub(page.len());
        page.reserve_exact(FIRST.max(page.len()).min(rest).max(wanted));
    }
}

/// Inflates straight into the page, up to one byte over `most`; then gives what is
/// left of `bytes`. A gzip file may have several members (RFC 1952, 2.2).
fn inflate<'b>(
    member: &mut Option<Decompress>,
    mut bytes: &'b [u8],
    page: &mut Vec<u8>,
    most: usize,
) -> Result<Option<&'b [u8]>, ScrapeError> {
    loop {
        if member.is_none() && bytes.is_empty() {
            return Ok(None);
        }
        grow(page, most, 1);
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
        if status == Status::StreamEnd {
            *member = None;
        }
        if page.len() > most {
            return Ok(Some(bytes));
        }
        // It is not the room that it lacks.
        if status != Status::StreamEnd && page.len() < page.capacity() {
            return Ok(None);
        }
    }
}

fn too_large(limit: usize) -> ScrapeError {
    ScrapeError::new(
        Reason::TooLarge,
        format!("the page is larger than {limit} bytes: --kubelet-max-page-size"),
    )
}

#[cfg(test)]
mod tests;
