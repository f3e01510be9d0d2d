//! When certificates expire.

use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// When the first certificate of a chain expires, in seconds since the Unix epoch. The chain is not
/// valid afterwards.
pub fn first_to_expire<'a>(chain: impl IntoIterator<Item = &'a CertificateDer<'a>>) -> Option<i64> {
    chain.into_iter().filter_map(not_after).min()
}

/// When the last of some CAs expires: until then one is trusted.
pub fn last_to_expire<'a>(cas: impl IntoIterator<Item = &'a CertificateDer<'a>>) -> Option<i64> {
    cas.into_iter().filter_map(not_after).max()
}

/// The certificates in a PEM text that was read before.
pub fn in_pem(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem)
        .filter_map(Result::ok)
        .collect()
}

fn not_after(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(parsed.validity().not_after.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate that expires on the first of January of a year.
    fn until(year: i32) -> CertificateDer<'static> {
        let mut params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn a_chain_is_good_until_its_first_and_cas_until_their_last() {
        let both = [until(2031), until(2030)];
        // date -ud 2030-01-01 +%s
        assert_eq!(first_to_expire(&both), Some(1_893_456_000));
        assert_eq!(last_to_expire(&both), Some(1_924_992_000));
        assert_eq!(first_to_expire(&[]), None);
        let strange = CertificateDer::from(vec![1, 2, 3]);
        assert_eq!(last_to_expire(&[strange, until(2030)]), Some(1_893_456_000));
    }
}
