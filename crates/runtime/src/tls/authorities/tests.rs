use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject as _;

use super::{
    super::certificate::Certificate,
    Purpose::{Client, Server},
    *,
};

/// The result of Go's `x509.Certificate.Verify`, written by `tests/make.go`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Go {
    Takes,
    Refuses,
}

use Go::{Refuses, Takes};

/// January 2027, in seconds since the Unix epoch, as in `make.go`.
const AT: u64 = 1_800_000_000;

/// Case, purpose, Go's result, ours.
#[rustfmt::skip]
const CASES: &[(&str, Purpose, Go, &str)] = &[
    ("version 3", Client, Takes, "good"),
    ("version 1", Client, Takes, "good"),
    ("version 2", Client, Takes, "good"),
    ("says it is a CA", Client, Takes, "good"),
    ("says it is a CA, for a server", Server, Takes, "good"),
    ("empty subject", Client, Takes, "good"),
    ("version 1, empty subject", Client, Takes, "good"),
    ("no basic constraints", Client, Takes, "good"),
    ("empty subject of the CA", Client, Takes, "good"),
    ("given itself", Client, Takes, "good"),
    ("given itself, version 1", Client, Takes, "good"),
    ("given itself, says it is a CA", Client, Takes, "good"),
    ("given itself, signed by somebody who was not", Client, Takes, "good"),
    ("given itself, expired", Client, Refuses, "Expired"),
    ("given itself, for servers", Client, Refuses, "Purpose(Client)"),
    ("given itself, unknown critical extension", Client, Refuses, "Extension"),
    ("signed by a given leaf", Client, Refuses, "BadAuthority(NotToSign)"),
    ("version 1, signed by a given leaf", Client, Refuses, "BadAuthority(NotToSign)"),
    ("signed by a given leaf without basic constraints", Client, Refuses, "BadAuthority(NotToSign)"),
    ("signed by a CA whose key is not for certificates", Client, Refuses, "BadAuthority(NotToSign)"),
    ("version 1, signed by a CA whose key is not for certificates", Client, Refuses, "BadAuthority(NotToSign)"),
    ("signed by a given version 1", Client, Takes, "good"),
    ("version 1, signed by a given version 1", Client, Takes, "good"),
    ("version 1, signed by a given version 2", Client, Takes, "good"),
    ("behind an intermediate", Client, Takes, "good"),
    ("intermediate not sent", Client, Refuses, "UnknownAuthority"),
    ("behind a version 1 intermediate", Client, Refuses, "BadAuthority(NotToSign)"),
    ("behind an intermediate that is no CA", Client, Refuses, "BadAuthority(NotToSign)"),
    ("behind an intermediate whose key is not for certificates", Client, Refuses, "BadAuthority(NotToSign)"),
    ("behind two, in the wrong order, one not needed", Client, Takes, "good"),
    ("root with path length 0, no intermediate", Client, Takes, "good"),
    ("root with path length 0, one intermediate", Client, Refuses, "BadAuthority(PathLength)"),
    ("intermediate with path length 0, another below", Client, Refuses, "BadAuthority(PathLength)"),
    ("expired", Client, Refuses, "Expired"),
    ("not yet valid", Client, Refuses, "NotValidYet"),
    ("expired root", Client, Refuses, "BadAuthority(Expired)"),
    ("root prolonged, both given", Client, Takes, "good"),
    ("expired intermediate", Client, Refuses, "BadAuthority(Expired)"),
    ("for servers", Client, Refuses, "Purpose(Client)"),
    ("root for servers", Client, Refuses, "BadAuthority(Purpose(Client))"),
    ("intermediate for servers", Client, Refuses, "BadAuthority(Purpose(Client))"),
    ("for clients", Client, Takes, "good"),
    ("root for clients", Client, Takes, "good"),
    ("intermediate for clients", Client, Takes, "good"),
    ("for anything", Client, Takes, "good"),
    ("root for anything", Client, Takes, "good"),
    ("intermediate for anything", Client, Takes, "good"),
    ("for something unknown", Client, Refuses, "Purpose(Client)"),
    ("root for something unknown", Client, Refuses, "BadAuthority(Purpose(Client))"),
    ("intermediate for something unknown", Client, Refuses, "BadAuthority(Purpose(Client))"),
    ("unknown critical extension of the root", Client, Refuses, "BadAuthority(Extension)"),
    ("unknown critical extension of the intermediate", Client, Refuses, "BadAuthority(Extension)"),
    ("a CA of the same name and another key", Client, Refuses, "BadAuthority(Signature)"),
    ("two CAs of the same name, the second signs", Client, Takes, "good"),
    ("spoilt signature", Client, Refuses, "BadAuthority(Signature)"),
    ("spoilt signature of the intermediate", Client, Refuses, "BadAuthority(Signature)"),
    ("cross-signed, the first leads to a CA of the same name", Client, Takes, "good"),
    ("signed with SHA-1", Client, Refuses, "Algorithm"),
    ("CA with RSA of 1024 bits", Client, Takes, "BadAuthority(WeakKey(1024))"),
    ("RSA of 1024 bits", Client, Takes, "WeakKey(1024)"),
    ("CA that allows some names, none in it", Client, Takes, "good"),
    ("CA that allows some names, one of these", Client, Takes, "good"),
    ("CA that allows some names, another", Client, Refuses, "Other(NameConstraintViolation)"),
    ("says it is a CA, CA that allows some names, another", Client, Refuses, "BadAuthority(Limits)"),
    ("version 1, behind an intermediate", Client, Takes, "good"),
    ("version 1, intermediate not sent", Client, Refuses, "UnknownAuthority"),
    ("version 1, behind a version 1 intermediate", Client, Refuses, "BadAuthority(NotToSign)"),
    ("version 1, behind an intermediate that is no CA", Client, Refuses, "BadAuthority(NotToSign)"),
    ("version 1, behind an intermediate whose key is not for certificates", Client, Refuses, "BadAuthority(NotToSign)"),
    ("version 1, behind two, in the wrong order, one not needed", Client, Takes, "good"),
    ("version 1, root with path length 0, no intermediate", Client, Takes, "good"),
    ("version 1, root with path length 0, one intermediate", Client, Refuses, "BadAuthority(PathLength)"),
    ("version 1, intermediate with path length 0, another below", Client, Refuses, "BadAuthority(PathLength)"),
    ("version 1, expired", Client, Refuses, "Expired"),
    ("version 1, not yet valid", Client, Refuses, "NotValidYet"),
    ("version 1, expired root", Client, Refuses, "BadAuthority(Expired)"),
    ("version 1, root prolonged, both given", Client, Takes, "good"),
    ("version 1, expired intermediate", Client, Refuses, "BadAuthority(Expired)"),
    ("version 1, root for servers", Client, Refuses, "BadAuthority(Purpose(Client))"),
    ("version 1, intermediate for servers", Client, Refuses, "BadAuthority(Purpose(Client))"),
    ("version 1, root for clients", Client, Takes, "good"),
    ("version 1, intermediate for clients", Client, Takes, "good"),
    ("version 1, root for anything", Client, Takes, "good"),
    ("version 1, intermediate for anything", Client, Takes, "good"),
    ("version 1, root for something unknown", Client, Refuses, "BadAuthority(Purpose(Client))"),
    ("version 1, intermediate for something unknown", Client, Refuses, "BadAuthority(Purpose(Client))"),
    ("version 1, unknown critical extension of the root", Client, Refuses, "BadAuthority(Extension)"),
    ("version 1, unknown critical extension of the intermediate", Client, Refuses, "BadAuthority(Extension)"),
    ("version 1, a CA of the same name and another key", Client, Refuses, "BadAuthority(Signature)"),
    ("version 1, two CAs of the same name, the second signs", Client, Takes, "good"),
    ("version 1, spoilt signature", Client, Refuses, "BadAuthority(Signature)"),
    ("version 1, spoilt signature of the intermediate", Client, Refuses, "BadAuthority(Signature)"),
    ("version 1, cross-signed, the first leads to a CA of the same name", Client, Takes, "good"),
    ("version 1, signed with SHA-1", Client, Refuses, "Algorithm"),
    ("version 1, CA with RSA of 1024 bits", Client, Takes, "BadAuthority(WeakKey(1024))"),
    ("version 1, RSA of 1024 bits", Client, Takes, "WeakKey(1024)"),
    ("version 1, CA that allows some names, none in it", Client, Takes, "BadAuthority(Limits)"),
    ("says it is a CA, for servers", Client, Refuses, "Purpose(Client)"),
    ("says it is a CA, expired", Client, Refuses, "Expired"),
    ("says it is a CA, behind an intermediate", Client, Takes, "good"),
    ("says it is a CA, unknown critical extension", Client, Refuses, "Extension"),
    ("says it is a CA, root with path length 0", Client, Takes, "good"),
    ("unknown critical extension", Client, Refuses, "Extension"),
    ("unknown extension", Client, Takes, "good"),
    ("purposes that cannot be read", Client, Refuses, "Unreadable"),
    ("empty list of purposes", Client, Takes, "Purpose(Client)"),
    ("critical certificate policies", Client, Takes, "Extension"),
    ("version 1, no CA given", Client, Refuses, "UnknownAuthority"),
    ("two algorithms named", Client, Refuses, "Unreadable"),
    ("until 9999", Client, Takes, "good"),
    ("serial number 0", Client, Takes, "good"),
    ("negative serial number", Client, Refuses, "good"),
    ("serial number of 24 bytes", Client, Takes, "good"),
    ("version 1, until 9999", Client, Takes, "good"),
    ("version 1, serial number 0", Client, Takes, "good"),
    ("version 1, negative serial number", Client, Refuses, "good"),
    ("version 1, serial number of 24 bytes", Client, Takes, "good"),
    ("says it is a CA, made anew with the key of the one given", Client, Refuses, "good"),
    ("version 1, made anew with the key of the one given", Client, Refuses, "good"),
    ("CA with P-384", Client, Takes, "good"),
    ("says it is a CA, CA with P-384", Client, Takes, "good"),
    ("CA with P-521", Client, Takes, "good"),
    ("says it is a CA, CA with P-521", Client, Takes, "good"),
    ("CA with Ed25519", Client, Takes, "good"),
    ("says it is a CA, CA with Ed25519", Client, Takes, "good"),
    ("CA with RSA of 2048 bits", Client, Takes, "good"),
    ("says it is a CA, CA with RSA of 2048 bits", Client, Takes, "good"),
    ("CA with RSA-PSS", Client, Takes, "good"),
    ("says it is a CA, CA with RSA-PSS", Client, Takes, "good"),
    ("version 1, behind 14 of the same name and another key", Client, Takes, "good"),
    ("version 1, behind 20 of the same name and another key", Client, Takes, "TooMany(16)"),
];

/// Cases that Go accepts and we do not, and why.
const STRICTER: &[(&str, &str)] = &[
    ("CA with RSA of 1024 bits", "too weak"),
    ("RSA of 1024 bits", "too weak"),
    ("version 1, CA with RSA of 1024 bits", "too weak"),
    ("version 1, RSA of 1024 bits", "too weak"),
    (
        "version 1, CA that allows some names, none in it",
        "names are webpki's, which does not read version 1",
    ),
    ("empty list of purposes", "means nothing; webpki"),
    ("critical certificate policies", "not understood; webpki"),
    (
        "version 1, behind 20 of the same name and another key",
        "would cost too much",
    ),
];

/// Cases that we accept and Go does not, and why.
const WIDER: &[(&str, &str)] = &[
    ("negative serial number", "serial numbers mean nothing here"),
    (
        "version 1, negative serial number",
        "serial numbers mean nothing here",
    ),
    (
        "says it is a CA, made anew with the key of the one given",
        "the key of a CA that was given may sign",
    ),
    (
        "version 1, made anew with the key of the one given",
        "the key of a CA that was given may sign",
    ),
];

/// The trusted certificates, and those that the peer sends.
type Certificates = [Vec<CertificateDer<'static>>; 2];

/// The certificates of a case of `cases.txt`.
fn certificates(name: &str) -> Certificates {
    let text = include_str!("tests/cases.txt");
    let (_, after) = text.split_once(&format!("# {name}\n")).expect(name);
    let one = after.split('#').next().unwrap();
    let (given, shown) = one.split_once("shown\n").unwrap();
    [given, shown].map(|pem| {
        let pem = CertificateDer::pem_slice_iter(pem.as_bytes());
        pem.collect::<Result<_, _>>().unwrap()
    })
}

fn authorities(given: Vec<CertificateDer<'static>>) -> Authorities {
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
    Authorities::new(given, algorithms).unwrap()
}

fn at() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(AT))
}

fn result([given, shown]: Certificates, purpose: Purpose) -> String {
    match authorities(given).verify(&shown, purpose, at()) {
        Ok(()) => "good".to_owned(),
        Err(refusal) => format!("{refusal:?}"),
    }
}

#[test]
fn results_are_those_of_go() {
    let found: Vec<_> = CASES
        .iter()
        .map(|(name, purpose, go, _)| (*name, *purpose, *go, result(certificates(name), *purpose)))
        .collect();
    let wrong: Vec<_> = found
        .iter()
        .zip(CASES)
        .filter(|(found, case)| found.3 != case.3)
        .map(|(found, case)| (found.0, &found.3, case.3))
        .collect();
    assert!(wrong.is_empty(), "case, found, wanted: {wrong:#?}");
}

#[test]
fn where_they_differ_is_named() {
    for (name, _, go, ours) in CASES {
        let is_among = |list: &[(&str, &str)]| list.iter().any(|(one, _)| one == name);
        let wanted = match (is_among(STRICTER), is_among(WIDER)) {
            (false, false) => *go,
            (true, false) => Refuses,
            (false, true) => Takes,
            (true, true) => panic!("{name}: either"),
        };
        let ours = if *ours == "good" { Takes } else { Refuses };
        assert_eq!(ours, wanted, "{name}");
        let differs = is_among(STRICTER) || is_among(WIDER);
        assert_eq!(ours != *go, differs, "{name}");
    }
    let cases = include_str!("tests/cases.txt").matches("# ").count();
    assert_eq!(cases, CASES.len(), "every case has a verdict");
}

#[test]
fn a_chain_of_nothing_is_not_good() {
    let [given, _] = certificates("version 3");
    assert_eq!(
        authorities(given).verify(&[], Client, at()),
        Err(Refusal::Missing)
    );
}

#[test]
fn checked_signatures_have_a_limit() {
    // The search checks 15 signatures for the first step and one for the second.
    let name = "version 1, behind 14 of the same name and another key";
    let [given, shown] = certificates(name);
    assert_eq!(result([given.clone(), shown.clone()], Client), "good");
    let [other, _] = certificates("a CA of the same name and another key");
    let both = [other, given].concat();
    assert_eq!(result([both, shown], Client), "TooManySignatures");
}

#[test]
fn webpki_is_shown_no_more_than_it_follows() {
    let [given, shown] = certificates("version 3");
    let authorities = authorities(given.clone());
    let with = |others: usize| {
        let others = std::iter::repeat_n(given.first().unwrap().clone(), others);
        let chain: Vec<_> = shown.iter().take(1).cloned().chain(others).collect();
        authorities.verify(&chain, Client, at())
    };
    assert_eq!(with(2), Ok(()));
    assert_eq!(with(3), Err(Refusal::OfOneName(2)));
    assert_eq!(with(7), Err(Refusal::TooMany(6)));
}

/// CAs with one name and different keys. webpki reads them, and x509-parser does not, because an unknown extension
/// occurs twice.
#[test]
fn intermediates_count_as_webpki_reads_them() {
    let [given, shown] = certificates("version 3");
    let authorities = authorities(given);
    let own = shown.first().unwrap().clone();
    let unknown = rcgen::CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    let other = || {
        let mut ca = rcgen::CertificateParams::default();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        ca.custom_extensions = vec![unknown.clone(), unknown.clone()];
        let key = rcgen::KeyPair::generate().unwrap();
        ca.self_signed(&key).unwrap().der().clone()
    };
    assert!(Certificate::read(&other()).is_err());
    let with = |others: usize| {
        let others = std::iter::repeat_with(other).take(others);
        let chain: Vec<_> = std::iter::once(own.clone()).chain(others).collect();
        authorities.verify(&chain, Client, at())
    };
    assert_eq!(with(3), Err(Refusal::OfOneName(2)));
    assert_eq!(with(6), Err(Refusal::OfOneName(2)));
}

#[test]
fn whatever_bit_of_it_changes_it_is_not_good() {
    for name in ["version 1", "says it is a CA", "version 3"] {
        let [given, shown] = certificates(name);
        let authorities = authorities(given);
        let own = shown.first().unwrap();
        for place in 0..own.len() {
            for bit in 0..8 {
                let mut other = own.to_vec();
                other[place] ^= 1 << bit;
                let result = authorities.verify(&[other.into()], Client, at());
                assert!(result.is_err(), "{name}: byte {place}, bit {bit}");
            }
        }
    }
}

#[test]
fn what_to_do_is_said() {
    let text = |refusal: Refusal| refusal.to_string();
    assert_eq!(
        text(Refusal::WeakKey(1024)),
        "RSA key of 1024 bits (issue the certificate again with a key of 2048 bits or more)"
    );
    assert_eq!(
        text(Refusal::Purpose(Client)),
        "certificate is not for clients (issue it again with extendedKeyUsage=clientAuth)"
    );
    assert_eq!(
        text(Refusal::NotToSign.of_issuer()),
        "certificate signed by unknown authority (one has the name of its issuer: it may not sign \
         others: it does not say CA:TRUE, or its key usage lacks keyCertSign)"
    );
}
