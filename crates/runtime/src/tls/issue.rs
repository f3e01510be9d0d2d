//! Certificates that a process issues itself.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

/// The last second that a certificate can represent, in the year 9999.
const LAST: u64 = 253_402_300_799;

/// A serving certificate, its key, and the CA that signed it, all in PEM. The CA signs nothing else, because its key is
/// not kept.
#[derive(Clone)]
pub struct Issued {
    /// The CA's certificate.
    pub ca: String,
    /// The serving certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key must not be in a log.
        f.debug_struct("Issued").finish_non_exhaustive()
    }
}

/// Issues a certificate for servers with these DNS names, and a CA for it. The first name is also the common name. Both
/// are valid between two times, in seconds since the Unix epoch.
///
/// # Errors
///
/// A name is not valid in a certificate.
pub fn issue(names: &[String], from: u64, until: u64) -> Result<Issued, rcgen::Error> {
    let mut ca = CertificateParams::new(Vec::new())?;
    // Each CA has its own name, so that an operator can tell the two in a bundle apart.
    let ca_name = format!("tributary-ca-{from}");
    ca.distinguished_name.push(DnType::CommonName, ca_name);
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    set_validity(&mut ca, from, until);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;

    let mut own = CertificateParams::new(names)?;
    if let Some(name) = names.first() {
        own.distinguished_name
            .push(DnType::CommonName, name.as_str());
    }
    own.is_ca = IsCa::ExplicitNoCa;
    own.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    own.use_authority_key_identifier_extension = true;
    set_validity(&mut own, from, until);
    let key = KeyPair::generate()?;
    Ok(Issued {
        certificate: own.signed_by(&key, &ca)?.pem(),
        key: key.serialize_pem(),
        ca: ca.pem(),
    })
}

fn set_validity(params: &mut CertificateParams, from: u64, until: u64) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(from.min(LAST));
    params.not_after = epoch + Duration::from_secs(until.min(LAST));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{accepted, in_pem, pair};

    // `date -ud 2030-01-01 +%s`, and a year later.
    const FROM: u64 = 1_893_456_000;
    const UNTIL: u64 = 1_924_992_000;

    fn names() -> Vec<String> {
        vec!["a.test".to_owned(), "b.test".to_owned()]
    }

    #[test]
    fn what_is_issued_is_accepted_by_its_ca_for_its_names_and_in_its_time() {
        let made = issue(&names(), FROM, UNTIL).unwrap();
        let (cas, chain) = (
            in_pem(made.ca.as_bytes()),
            in_pem(made.certificate.as_bytes()),
        );
        let good = |cas: &[_], name, at| accepted(cas, &chain, name, at).is_ok();
        for (name, at, wanted) in [
            ("a.test", FROM, true),
            ("b.test", UNTIL, true),
            ("c.test", FROM, false),
            ("a.test", FROM - 1, false),
            ("a.test", UNTIL + 1, false),
        ] {
            assert_eq!(good(&cas, name, at), wanted, "{name} {at}");
        }
        let other = issue(&names(), FROM, UNTIL).unwrap();
        let other = in_pem(other.ca.as_bytes());
        assert!(!good(&other, "a.test", FROM));
        assert!(good(&[&other[..], &cas].concat(), "a.test", FROM));
        assert!(!good(&[], "a.test", FROM));
    }

    #[test]
    fn a_certificate_and_a_key_that_belong_together_are_a_pair() {
        let one = issue(&names(), FROM, UNTIL).unwrap();
        let other = issue(&names(), FROM, UNTIL).unwrap();
        let is_pair = |certificate: &str, key: &str| pair(certificate.as_bytes(), key.as_bytes());
        assert!(is_pair(&one.certificate, &one.key).is_ok());
        assert!(is_pair(&one.certificate, &other.key).is_err());
        assert!(is_pair("", &one.key).is_err());
        assert!(is_pair(&one.certificate, "half of a").is_err());
    }

    #[test]
    fn a_time_that_no_certificate_can_name_is_the_last_that_it_can() {
        assert!(issue(&names(), FROM, u64::MAX).is_ok());
    }

    #[test]
    fn a_key_is_in_no_log() {
        let made = issue(&names(), FROM, UNTIL).unwrap();
        assert_eq!(format!("{made:?}"), "Issued { .. }");
    }
}
