//! Compresses pages without a new compressor for each, because the state of a compressor is ten times larger than a
//! page.

use std::io;

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use parking_lot::Mutex;

/// The most compressors that are kept: as many as pages are made at once on a machine with that many cores.
const KEPT: usize = 16;
/// Magic, deflate, no flags, no time, fastest, unknown system (RFC 1952).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

/// Compresses, with compressors that are used again.
#[derive(Debug, Default)]
pub(crate) struct Gzip(Mutex<Vec<Compress>>);

impl Gzip {
    /// `text` as one gzip member, at the level a Go server uses for speed.
    pub(crate) fn compress(&self, text: &[u8]) -> io::Result<Bytes> {
        let kept = self.0.lock().pop();
        let mut compress = kept.unwrap_or_else(|| Compress::new(Compression::fast(), false));
        let mut out = Vec::with_capacity(text.len() / 4 + 256);
        out.extend_from_slice(&HEADER);
        loop {
            let done = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
            let rest = text.get(done..).unwrap_or_default();
            if compress.compress_vec(rest, &mut out, FlushCompress::Finish)? == Status::StreamEnd {
                break;
            }
            out.reserve(out.capacity());
        }
        let mut crc = Crc::new();
        crc.update(text);
        out.extend_from_slice(&crc.sum().to_le_bytes());
        out.extend_from_slice(&crc.amount().to_le_bytes());
        compress.reset();
        let mut pool = self.0.lock();
        if pool.len() < KEPT {
            pool.push(compress);
        }
        Ok(Bytes::from(out))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_compressor_used_again_gives_the_text_back() {
        let gzip = Gzip::default();
        let long: String = (0_u64..20_000)
            .flat_map(|number| [(number * 7_919).to_string(), "\n".to_owned()])
            .collect();
        for text in ["", "short", &long, "short"] {
            let bytes = gzip.compress(text.as_bytes()).unwrap();
            let mut back = String::new();
            flate2::read::GzDecoder::new(&bytes[..])
                .read_to_string(&mut back)
                .unwrap();
            assert_eq!(back, text);
        }
    }
}
