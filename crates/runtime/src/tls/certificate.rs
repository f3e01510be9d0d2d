//! One certificate of any version, read as far as it matters for TLS.

use std::net::{Ipv4Addr, Ipv6Addr};

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{SubjectPublicKeyInfoDer, UnixTime};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    oid_registry::{
        OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_CERTIFICATE_POLICIES,
        OID_X509_EXT_CRL_DISTRIBUTION_POINTS, OID_X509_EXT_EXTENDED_KEY_USAGE,
        OID_X509_EXT_INHIBIT_ANY_POLICY, OID_X509_EXT_KEY_USAGE, OID_X509_EXT_NAME_CONSTRAINTS,
        OID_X509_EXT_POLICY_CONSTRAINTS, OID_X509_EXT_SUBJECT_ALT_NAME, Oid,
    },
    prelude::{FromDer as _, X509Version},
    public_key::PublicKey,
    x509::SubjectPublicKeyInfo,
};

use super::authorities::{Purpose, Refusal};

/// An RSA key has at least this many bytes: 2,048 bits, as in rustls.
const RSA_BYTES: usize = 256;

/// The extensions that are needed for a decision. If one of these cannot be read, the certificate cannot be read.
const DECIDING: [Oid<'static>; 3] = [
    OID_X509_EXT_BASIC_CONSTRAINTS,
    OID_X509_EXT_KEY_USAGE,
    OID_X509_EXT_EXTENDED_KEY_USAGE,
];

/// The extensions that may be critical. Those about names and policies limit a CA, and are checked only for CAs
/// ([`Certificate::limits`]).
const KNOWN: [Oid<'static>; 7] = [
    OID_X509_EXT_BASIC_CONSTRAINTS,
    OID_X509_EXT_KEY_USAGE,
    OID_X509_EXT_EXTENDED_KEY_USAGE,
    OID_X509_EXT_SUBJECT_ALT_NAME,
    OID_X509_EXT_CERTIFICATE_POLICIES,
    OID_X509_EXT_CRL_DISTRIBUTION_POINTS,
    OID_X509_EXT_NAME_CONSTRAINTS,
];

/// The extensions by which a CA limits what it may sign.
const LIMITS: [Oid<'static>; 3] = [
    OID_X509_EXT_NAME_CONSTRAINTS,
    OID_X509_EXT_POLICY_CONSTRAINTS,
    OID_X509_EXT_INHIBIT_ANY_POLICY,
];

/// What the extended key usage allows.
#[derive(Clone, Copy, Debug)]
struct Purposes {
    any: bool,
    client: bool,
    server: bool,
}

/// A certificate that could be read.
#[derive(Debug)]
pub(super) struct Certificate<'a> {
    x509: X509Certificate<'a>,
    envelope: Envelope<'a>,
    /// The algorithm of the key: the content of an `AlgorithmIdentifier`.
    key_algorithm: &'a [u8],
    /// `cA` of the basic constraints, if there are any.
    is_ca: Option<bool>,
    path_length: Option<u32>,
    /// Whether the key usage allows signing certificates.
    key_may_sign: bool,
    /// `None`: any.
    purposes: Option<Purposes>,
}

impl<'a> Certificate<'a> {
    /// Reads a certificate.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unreadable`].
    pub(super) fn read(der: &'a [u8]) -> Result<Self, Refusal> {
        let unreadable = |_| Refusal::Unreadable;
        let (after, x509) = X509Certificate::from_der(der).map_err(|_| Refusal::Unreadable)?;
        let is_clear = x509.extensions().iter().all(|extension| {
            let parsed = extension.parsed_extension();
            !(DECIDING.contains(&extension.oid)
                && matches!(parsed, ParsedExtension::ParseError { .. }))
        });
        if !after.is_empty() || !is_clear {
            return Err(Refusal::Unreadable);
        }
        x509.extensions_map().map_err(unreadable)?;
        let constraints = x509.basic_constraints().map_err(unreadable)?;
        let constraints = constraints.map(|it| (it.value.ca, it.value.path_len_constraint));
        let usage = x509.key_usage().map_err(unreadable)?;
        let purposes = x509.extended_key_usage().map_err(unreadable)?;
        Ok(Self {
            envelope: Envelope::open(der)?,
            key_algorithm: algorithm_of_key(x509.tbs_certificate.subject_pki.raw)?,
            is_ca: constraints.map(|(is_ca, _)| is_ca),
            path_length: constraints.and_then(|(_, length)| length),
            key_may_sign: usage.is_none_or(|it| it.value.flags == 0 || it.value.key_cert_sign()),
            purposes: purposes.map(|it| Purposes {
                any: it.value.any,
                client: it.value.client_auth,
                server: it.value.server_auth,
            }),
            x509,
        })
    }

    /// The subject, in DER.
    pub(super) fn subject(&self) -> &'a [u8] {
        self.x509.tbs_certificate.subject.as_raw()
    }

    /// The issuer, in DER.
    pub(super) fn issuer(&self) -> &'a [u8] {
        self.x509.tbs_certificate.issuer.as_raw()
    }

    /// The subject for people. A stranger may have written it.
    pub(super) fn name(&self) -> String {
        self.x509.subject().to_string()
    }

    /// The common name, if there is one and it is text.
    pub(super) fn common_name(&self) -> Option<&str> {
        let mut names = self.x509.subject().iter_common_name();
        names.next().and_then(|name| name.as_str().ok())
    }

    /// The host names and addresses among its subject alternative names.
    pub(super) fn hosts(&self) -> Vec<String> {
        let names = self.x509.subject_alternative_name().ok().flatten();
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let host = |name: &GeneralName<'_>| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        };
        names.filter_map(host).collect()
    }

    /// Whether it is of version 3. Other versions have no extensions.
    pub(super) fn is_version_3(&self) -> bool {
        self.x509.version() == X509Version::V3
    }

    /// The key, in DER.
    pub(super) fn key(&self) -> SubjectPublicKeyInfoDer<'a> {
        self.spki().raw.into()
    }

    /// Whether webpki can read it as the certificate of a client or server.
    pub(super) fn is_usual(&self) -> bool {
        self.is_version_3() && self.is_ca != Some(true)
    }

    /// Whether it may sign others if it is trusted itself: it is a CA, or has a version that cannot say whether it is
    /// one.
    pub(super) fn may_sign(&self) -> bool {
        let is_old = !self.is_version_3();
        self.is_ca.unwrap_or(is_old) && self.key_may_sign
    }

    /// Whether it may sign others as an intermediate.
    pub(super) fn may_sign_between(&self) -> bool {
        self.is_version_3() && self.is_ca == Some(true) && self.key_may_sign
    }

    /// Whether it limits names or policies of what it signs.
    pub(super) fn limits(&self) -> bool {
        let mut extensions = self.x509.extensions().iter();
        extensions.any(|extension| LIMITS.contains(&extension.oid))
    }

    /// Checks the certificate itself.
    ///
    /// # Errors
    ///
    /// The certificate is not valid. The error says why.
    pub(super) fn is_good(&self, purpose: Purpose, now: UnixTime) -> Result<(), Refusal> {
        let mut extensions = self.x509.extensions().iter();
        if extensions.any(|extension| extension.critical && !KNOWN.contains(&extension.oid)) {
            return Err(Refusal::Extension);
        }
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let validity = self.x509.validity();
        if now < validity.not_before.timestamp() {
            return Err(Refusal::NotValidYet);
        }
        if now > validity.not_after.timestamp() {
            return Err(Refusal::Expired);
        }
        let is_for = |it: Purposes| match purpose {
            Purpose::Client => it.any || it.client,
            Purpose::Server => it.any || it.server,
        };
        if !self.purposes.is_none_or(is_for) {
            return Err(Refusal::Purpose(purpose));
        }
        self.has_good_key()
    }

    /// Checks that it is valid as a CA with this number of intermediates below it.
    ///
    /// # Errors
    ///
    /// It is not. The error says why.
    pub(super) fn is_good_above(
        &self,
        intermediates: usize,
        purpose: Purpose,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let length = self.path_length.map(usize::try_from);
        if length.is_some_and(|length| length.is_ok_and(|length| intermediates > length)) {
            return Err(Refusal::PathLength);
        }
        self.is_good(purpose, now)
    }

    /// Checks that the key is long enough.
    ///
    /// # Errors
    ///
    /// [`Refusal::WeakKey`].
    pub(super) fn has_good_key(&self) -> Result<(), Refusal> {
        let Ok(PublicKey::RSA(key)) = self.spki().parsed() else {
            return Ok(());
        };
        let zeros = key.modulus.iter().take_while(|byte| **byte == 0).count();
        let bytes = key.modulus.len() - zeros;
        if bytes < RSA_BYTES {
            return Err(Refusal::WeakKey(bytes * 8));
        }
        Ok(())
    }

    /// Checks that the key of `issuer` has signed it.
    ///
    /// # Errors
    ///
    /// It has not, or with an algorithm that is not accepted.
    pub(super) fn is_signed_by(
        &self,
        issuer: &Certificate<'_>,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), Refusal> {
        let algorithms = algorithms.all.iter();
        let mut known = algorithms
            .filter(|it| it.signature_alg_id().as_ref() == self.envelope.algorithm)
            .peekable();
        if known.peek().is_none() {
            return Err(Refusal::Algorithm);
        }
        let key = &issuer.spki().subject_public_key.data;
        let Envelope {
            signed, signature, ..
        } = self.envelope;
        let has_signed = known
            .filter(|it| it.public_key_alg_id().as_ref() == issuer.key_algorithm)
            .any(|it| it.verify_signature(key, signed, signature).is_ok());
        has_signed.then_some(()).ok_or(Refusal::Signature)
    }

    fn spki(&self) -> &SubjectPublicKeyInfo<'a> {
        &self.x509.tbs_certificate.subject_pki
    }
}

/// An IP address of four or sixteen bytes.
fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).to_string());
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).to_string()))
        .ok()
}

/// The three parts of a certificate, byte for byte. The parts around the signed one must be in DER, so that they cannot
/// be changed.
#[derive(Clone, Copy, Debug)]
struct Envelope<'a> {
    /// The signed part: `tbsCertificate`.
    signed: &'a [u8],
    /// The content of `signatureAlgorithm`.
    algorithm: &'a [u8],
    signature: &'a [u8],
}

/// `INTEGER`, `BIT STRING`, `SEQUENCE` and the version, `[0] EXPLICIT`.
const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

impl<'a> Envelope<'a> {
    fn open(der: &'a [u8]) -> Result<Self, Refusal> {
        let (whole, after) = element(SEQUENCE, der)?;
        let (inner, rest) = element(SEQUENCE, whole)?;
        let signed = whole.get(..whole.len() - rest.len());
        let (algorithm, rest) = element(SEQUENCE, rest)?;
        let (bits, rest) = element(BITS, rest)?;
        // All bits of the last byte must be used.
        let signature = bits.strip_prefix(&[0]);
        let is_one = algorithm_inside(inner)? == algorithm;
        match (signed, signature) {
            (Some(signed), Some(signature)) if is_one && rest.is_empty() && after.is_empty() => {
                Ok(Self {
                    signed,
                    algorithm,
                    signature,
                })
            }
            _ => Err(Refusal::Unreadable),
        }
    }
}

/// The algorithm that the signed part names, after the version and the serial number.
fn algorithm_inside(signed: &[u8]) -> Result<&[u8], Refusal> {
    let after_version = if signed.first() == Some(&VERSION) {
        element(VERSION, signed)?.1
    } else {
        signed
    };
    let (_, rest) = element(INTEGER, after_version)?;
    element(SEQUENCE, rest).map(|(algorithm, _)| algorithm)
}

/// `SubjectPublicKeyInfo ::= SEQUENCE { algorithm, .. }`
fn algorithm_of_key(key: &[u8]) -> Result<&[u8], Refusal> {
    let (inner, _) = element(SEQUENCE, key)?;
    element(SEQUENCE, inner).map(|(algorithm, _)| algorithm)
}

/// The content of a DER element with this tag, and the rest after it. The length must have its shortest form and be
/// below 2^24.
fn element(tag: u8, der: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let found = match der {
        [found, length, after @ ..] if *found == tag && *length < 0x80 => {
            after.split_at_checked(usize::from(*length))
        }
        [found, 0x81, length @ 0x80..=0xff, after @ ..] if *found == tag => {
            after.split_at_checked(usize::from(*length))
        }
        [found, 0x82, high @ 1..=0xff, low, after @ ..] if *found == tag => {
            after.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))
        }
        [found, 0x83, high @ 1..=0xff, middle, low, after @ ..] if *found == tag => {
            let length = u32::from_be_bytes([0, *high, *middle, *low]);
            usize::try_from(length)
                .ok()
                .and_then(|length| after.split_at_checked(length))
        }
        _ => None,
    };
    found.ok_or(Refusal::Unreadable)
}
