//! Certificates as text.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls_pki_types::CertificateDer;

/// Bytes per line.
const LINE: usize = 64;

/// All certificates, one after another.
pub(super) fn text(certificates: &[CertificateDer<'_>]) -> String {
    let mut text = String::new();
    for certificate in certificates {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = BASE64_STANDARD.encode(certificate);
        for line in encoded.as_bytes().chunks(LINE) {
            text.push_str(&String::from_utf8_lossy(line));
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use tributary_runtime::tls::{in_pem, issue};

    use super::*;

    #[test]
    fn what_is_written_is_what_others_write_and_is_read_again() {
        let made = issue(&["a.test".to_owned()], 0, 1).unwrap();
        let stored = in_pem(made.ca.as_bytes());
        assert_eq!(text(&stored), made.ca.replace("\r\n", "\n"));
        let both = [stored.clone(), in_pem(made.certificate.as_bytes())].concat();
        assert_eq!(in_pem(text(&both).as_bytes()), both);
        assert_eq!(text(&[]), "");
    }
}
