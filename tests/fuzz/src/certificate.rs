//! Certificates of callers.
//!
//! - A chain is trusted only if its first certificate was signed by the CA. After any change the signature does not
//!   match.
//! - The length of the chain limits the memory.

use tributary_apiserver::fuzzing;

use crate::memory;

/// The CA of the seeds. `tests/fuzz/certificates/make` made it and the certificates that it signed. Its key was
/// deleted.
const CA: &[u8] = include_bytes!("../certificates/ca.pem");
/// All certificates that the CA signed for clients or for any use, and the CA itself.
const SIGNED: [&[u8]; 7] = [
    include_bytes!("../certificates/ca.der"),
    include_bytes!("../certificates/intermediate.der"),
    include_bytes!("../certificates/client.der"),
    include_bytes!("../certificates/behind-intermediate.der"),
    include_bytes!("../certificates/version-1.der"),
    include_bytes!("../certificates/version-1-behind-intermediate.der"),
    include_bytes!("../certificates/says-ca.der"),
];
/// The date of the check, in seconds after the epoch: in 2027, when the seeds are valid.
const AT: u64 = 1_800_000_000;

const BYTES_PER_BYTE: usize = 64;
const BYTES_BESIDE: usize = 256 << 10;

/// Verifies a chain: certificates, each with a length of two bytes before it.
pub fn check(data: &[u8]) {
    let mut chain = Vec::new();
    let mut rest = data;
    while let [high, low, after @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (certificate, after) = after.split_at(len);
        chain.push(certificate.to_vec());
        rest = after;
    }
    let (trusted, peak) = memory::peak(|| fuzzing::auth::is_trusted(CA, &chain, AT));
    let most = data.len() * BYTES_PER_BYTE + BYTES_BESIDE;
    assert!(peak <= most, "{peak} bytes for {}", data.len());
    if trusted {
        let own = chain.first().map(Vec::as_slice);
        assert!(SIGNED.into_iter().any(|signed| Some(signed) == own));
    }
}
