//! `Accept` headers.
//!
//! - A client without a preference gets JSON.
//! - A clause that is not refused with `q=0` has requested the selected encoding.
//! - The cost is limited by the part of the header that is read.

use http::{HeaderMap, HeaderValue, header::ACCEPT};
use tributary_apiserver::fuzzing;

use crate::memory;

/// The most memory for one negotiation.
const MOST: usize = 64 << 10;

/// How many bytes of a header are read. The rest does not count, so nothing can be checked about longer headers.
const LOOKED_AT_BYTES: usize = 8 << 10;
const LOOKED_AT_CLAUSES: usize = 64;

/// Negotiates for the header lines of `data`.
pub fn check(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(64) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(ACCEPT, value);
        }
    }
    for answer in 0..fuzzing::api::ANSWERS {
        let (chosen, peak) = memory::peak(|| fuzzing::api::media_type(&headers, answer));
        assert!(peak <= MOST, "{peak} bytes");
        let Some(chosen) = chosen else { continue };
        let texts: Vec<&str> = headers
            .values()
            .filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
            .collect();
        let clauses: Vec<&str> = texts.iter().flat_map(|text| text.split(',')).collect();
        if data.len() > LOOKED_AT_BYTES || clauses.len() > LOOKED_AT_CLAUSES {
            continue;
        }
        let clauses: Vec<&str> = clauses.iter().map(|text| text.trim()).collect();
        if clauses.iter().all(|clause| clause.is_empty()) {
            assert_eq!(chosen, "application/json");
            continue;
        }
        let asks = |clause: &&str| {
            let range = clause.split(';').next().unwrap_or_default().trim();
            range == "*/*" || range == "application/*" || range == chosen
        };
        assert!(clauses.iter().any(asks), "{chosen} for {clauses:?}");
    }
}
