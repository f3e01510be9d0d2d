//! Faults of a kubelet, and the bodies that it then sends.

use std::io;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use futures::{StreamExt, stream};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use crate::tls::Body;

/// The fault of one kubelet. See [`Cluster::set_fault`](crate::Cluster::set_fault).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No fault.
    None,
    /// Every answer takes this long.
    Slow(Duration),
    /// Every answer has this status, and a line of text.
    Status(u16),
    /// The body and the connection end after this many bytes. (Compressed bytes, if the client accepts gzip.)
    CutShort(usize),
    /// 200 with bytes that are not text.
    Garbage,
    /// 200 with a web page, as a captive portal sends it.
    Html,
    /// A certificate of an unknown authority.
    WrongCertificate,
    /// A body of that many bytes, all comments.
    HugeBody(u64),
    /// A gzip body of half a megabyte that inflates to 512 MiB, all comments.
    GzipBomb,
    /// The node's clock is off by this many milliseconds.
    ClockOff(i64),
    /// Connections are refused.
    Refuse,
    /// Connections are accepted and never answered, not even the TLS handshake.
    Hang,
    /// 302 to this URL.
    Redirect(String),
    /// These pages, one for each request. The last one is repeated.
    ReplayPages(Vec<Bytes>),
    /// Always this body.
    Page(Bytes),
}

impl Fault {
    /// Whether connections that were open under this fault must be cut when it changes.
    pub(super) fn cuts(&self) -> bool {
        matches!(self, Self::Refuse | Self::Hang | Self::WrongCertificate)
    }
}

const COMMENT: &[u8] =
    b"# this line says nothing at all, but it is well formed, and there are many like it\n";
const CHUNK: usize = 1 << 16;
const BOMB_BLOCK: usize = 1 << 20;
const BOMB_BLOCKS: usize = 512;

/// `text`, which ends after `keep` bytes although its whole length was announced.
pub(super) fn cut_short(text: &Bytes, keep: usize) -> Body {
    let kept = text.slice(..keep.min(text.len()));
    let kept = stream::once(async { Ok(Frame::data(kept)) });
    let end = stream::once(async {
        // Pending once, so that the server sends the bytes before the end.
        tokio::task::yield_now().await;
        Err(io::Error::new(
            io::ErrorKind::ConnectionAborted,
            "the simulated kubelet stops here",
        ))
    });
    StreamBody::new(kept.chain(end)).boxed_unsync()
}

/// Comments, `length` bytes of them.
pub(super) fn huge(length: u64) -> Body {
    static BLOCK: LazyLock<Bytes> = LazyLock::new(|| comments(CHUNK));
    let chunks = stream::unfold(length, |left| async move {
        let take = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let chunk = BLOCK.slice(..take.min(BLOCK.len()));
        let left = left.saturating_sub(u64::try_from(chunk.len()).unwrap_or(left));
        (!chunk.is_empty()).then_some((Ok::<_, io::Error>(Frame::data(chunk)), left))
    });
    StreamBody::new(chunks).boxed_unsync()
}

/// A valid gzip member: one deflated block of comments, five hundred times.
pub(super) fn bomb() -> Bytes {
    static BOMB: LazyLock<Bytes> = LazyLock::new(|| build_bomb().unwrap_or_default());
    BOMB.clone()
}

fn build_bomb() -> Option<Bytes> {
    let block = comments(BOMB_BLOCK);
    let mut deflated = Vec::with_capacity(CHUNK);
    let mut compress = Compress::new(Compression::new(6), false);
    // A full flush ends on a byte boundary and refers to no earlier data, so the block can be repeated.
    let status = compress
        .compress_vec(&block, &mut deflated, FlushCompress::Full)
        .ok()?;
    if status != Status::Ok {
        return None;
    }
    let mut one = Crc::new();
    one.update(&block);
    let mut all = Crc::new();
    let mut gzip = BytesMut::from(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255][..]);
    for _ in 0..BOMB_BLOCKS {
        gzip.put_slice(&deflated);
        all.combine(&one);
    }
    // The last block is final and empty, with fixed codes.
    gzip.put_slice(&[3, 0]);
    gzip.put_u32_le(all.sum());
    gzip.put_u32_le(all.amount());
    Some(gzip.freeze())
}

fn comments(length: usize) -> Bytes {
    COMMENT.iter().copied().cycle().take(length).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_bomb_is_small_and_valid_and_inflates_to_512_mebibytes() {
        let bomb = bomb();
        assert!(bomb.len() < 4 << 20, "{} bytes", bomb.len());
        let mut inflated = 0_u64;
        let mut decoder = flate2::read::GzDecoder::new(&bomb[..]);
        let mut buffer = vec![0; 1 << 20];
        loop {
            match decoder.read(&mut buffer).unwrap() {
                0 => break,
                read => inflated += u64::try_from(read).unwrap(),
            }
        }
        assert_eq!(inflated, 512 << 20);
    }
}
