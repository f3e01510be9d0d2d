//! Trusted certificates, and the chains that they verify.
//!
//! The rules are those of Go's `crypto/x509`: files that work with metrics-server must work here.
//! webpki, the verifier of rustls, builds the chain wherever it can. It is stricter than Go: it
//! requires version 3, and refuses `CA:TRUE` in the certificate of a peer. Those certificates go to
//! [`chain`]. `cases.txt` has the differences, each with Go's result.

mod chain;
mod refusal;

use std::{cell::RefCell, fmt};

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{
    EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, KeyUsage,
    RequiredEkuNotFoundContext, VerifiedPath, anchor_from_trusted_cert,
};

use self::chain::Search;
pub use self::refusal::Refusal;
use super::certificate::Certificate;

/// How many certificates a peer may send with one that webpki cannot read.
const MOST_INTERMEDIATES: usize = 16;

/// How many a peer may send with one that webpki reads. webpki follows no longer chain, and tries
/// each order of certificates with the same name before it checks a signature.
pub(super) const MOST_OF_WEBPKI: usize = 6;

/// How many of them may have the same name: a CA and the one that replaces it. With six, webpki
/// would try some 2,000 orders, and read each certificate every time.
const MOST_OF_ONE_NAME: usize = 2;

/// Refuses chains that would take webpki long.
///
/// # Errors
///
/// There are too many certificates, or too many with one name.
pub(super) fn few_enough(intermediates: &[CertificateDer<'_>]) -> Result<(), Refusal> {
    if intermediates.len() > MOST_OF_WEBPKI {
        return Err(Refusal::TooMany(MOST_OF_WEBPKI));
    }
    // Certificates are read with webpki. It does not try those that it cannot read.
    let read = intermediates.iter().map(EndEntityCert::try_from);
    let read: Vec<_> = read.filter_map(Result::ok).collect();
    let same = |one: &EndEntityCert<'_>| {
        let same = read.iter().filter(|it| it.subject() == one.subject());
        same.count()
    };
    if read.iter().any(|one| same(one) > MOST_OF_ONE_NAME) {
        return Err(Refusal::OfOneName(MOST_OF_ONE_NAME));
    }
    Ok(())
}

/// The purpose of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A client sends it.
    Client,
    /// A server sends it.
    Server,
}

impl Purpose {
    /// Its name in OpenSSL.
    fn usage(self) -> &'static str {
        match self {
            Self::Client => "clientAuth",
            Self::Server => "serverAuth",
        }
    }

    /// Its object identifier.
    fn id(self) -> KeyPurposeId<'static> {
        match self {
            Self::Client => KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 2]),
            Self::Server => KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 1]),
        }
    }

    fn required(self) -> KeyUsage {
        match self {
            Self::Client => KeyUsage::client_auth(),
            Self::Server => KeyUsage::server_auth(),
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "clients",
            Self::Server => "servers",
        })
    }
}

/// `anyExtendedKeyUsage`
const ANY: KeyPurposeId<'static> = KeyPurposeId::new(&[0x55, 0x1d, 0x25, 0]);

impl ExtendedKeyUsageValidator for Purpose {
    /// As in Go: no extended key usage, any, or this one.
    fn validate(&self, found: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut is_empty = true;
        let mut is_for_this = false;
        for id in found {
            let id = id?;
            is_empty = false;
            is_for_this |= id == ANY || id == self.id();
        }
        if is_empty || is_for_this {
            return Ok(());
        }
        let missing = RequiredEkuNotFoundContext {
            required: self.required(),
            present: Vec::new(),
        };
        Err(webpki::Error::RequiredEkuNotFoundContext(missing))
    }
}

/// Trusted certificates.
///
/// Each of them is trusted itself. CAs, and certificates of a version that cannot say whether they
/// are one, also verify the certificates that they have signed. The others verify no other
/// certificate.
pub struct Authorities {
    given: Box<[Given]>,
    /// The CAs among them, for webpki.
    anchors: Box<[TrustAnchor<'static>]>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// One trusted certificate.
struct Given {
    der: CertificateDer<'static>,
    /// Its name and its key in DER.
    subject: Box<[u8]>,
    key: Box<[u8]>,
    /// Present if it may sign and webpki can read it.
    anchor: Option<TrustAnchor<'static>>,
}

impl Given {
    fn new(der: CertificateDer<'static>) -> Result<Self, Refusal> {
        let read = Certificate::read(&der)?;
        let anchor = read.may_sign().then(|| anchor_from_trusted_cert(&der));
        Ok(Self {
            subject: read.subject().into(),
            key: read.key().as_ref().into(),
            anchor: anchor.and_then(Result::ok).map(|anchor| anchor.to_owned()),
            der,
        })
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorities")
            .field("given", &self.given.len())
            .finish_non_exhaustive()
    }
}

impl Authorities {
    /// Reads the certificates.
    ///
    /// # Errors
    ///
    /// One of them cannot be read.
    pub fn new(
        given: impl IntoIterator<Item = CertificateDer<'static>>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<Self, Refusal> {
        let given: Result<Vec<_>, _> = given.into_iter().map(Given::new).collect();
        Ok(Self::of(given?, algorithms))
    }

    /// Reads the certificates that can be read, and skips the others.
    ///
    /// # Errors
    ///
    /// None can be read.
    pub fn of_readable(
        given: impl IntoIterator<Item = CertificateDer<'static>>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<Self, Refusal> {
        let given = given.into_iter().map(Given::new);
        let given: Vec<_> = given.filter_map(Result::ok).collect();
        if given.is_empty() {
            return Err(Refusal::Unreadable);
        }
        Ok(Self::of(given, algorithms))
    }

    fn of(given: Vec<Given>, algorithms: WebPkiSupportedAlgorithms) -> Self {
        let anchors = given.iter().filter_map(|it| it.anchor.clone()).collect();
        Self {
            given: given.into(),
            anchors,
            algorithms,
        }
    }

    /// Verifies a chain for this purpose at this time. The peer's own certificate is first. Names
    /// are not checked.
    ///
    /// # Errors
    ///
    /// The reason why the chain is not valid.
    pub fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        purpose: Purpose,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let (der, others) = chain.split_first().ok_or(Refusal::Missing)?;
        let own = Certificate::read(der)?;
        own.is_good(purpose, now)?;
        if self.given.iter().any(|it| it.der == *der) {
            return Ok(());
        }
        if own.is_usual() {
            few_enough(others)?;
            return self.usual(&own, der, others, purpose, now);
        }
        if others.len() > MOST_INTERMEDIATES {
            return Err(Refusal::TooMany(MOST_INTERMEDIATES));
        }
        let others = others.iter().map(|it| Certificate::read(it));
        let others: Vec<_> = others.filter_map(Result::ok).collect();
        Search::new(self, &others, purpose, now).run(&own)
    }

    /// Whether a trusted certificate has the name and the key of one of `others`. The rest of the
    /// certificates does not matter.
    pub fn has_one_of(&self, others: &Self) -> bool {
        let is_one = |one: &Given| {
            let mut others = others.given.iter();
            others.any(|it| it.subject == one.subject && it.key == one.key)
        };
        self.given.iter().any(is_one)
    }

    /// The trusted certificates with this name.
    fn named(&self, subject: &[u8]) -> impl Iterator<Item = Certificate<'_>> {
        let named = self.given.iter().filter(move |it| *it.subject == *subject);
        named.filter_map(|it| Certificate::read(&it.der).ok())
    }

    /// Verifies by webpki, and checks what Go checks besides.
    fn usual(
        &self,
        own: &Certificate<'_>,
        der: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        purpose: Purpose,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let reason = RefCell::new(None);
        let judge = |path: &VerifiedPath<'_>| {
            self.is_good_path(path, purpose, now).map_err(|found| {
                reason.borrow_mut().get_or_insert(found);
                webpki::Error::UnknownIssuer
            })
        };
        let verified = EndEntityCert::try_from(der)?
            .verify_for_usage(
                self.algorithms.all,
                &self.anchors,
                others,
                now,
                purpose,
                None,
                Some(&judge),
            )
            .map(drop);
        verified.map_err(|error| match reason.into_inner() {
            Some(found) => found.of_issuer(),
            None => self.why(own, purpose, error),
        })
    }

    /// Checks that every issuer may sign, and that the trusted certificate is valid itself. webpki
    /// ignores key usage, and uses only name and key of trusted certificates.
    fn is_good_path(
        &self,
        path: &VerifiedPath<'_>,
        purpose: Purpose,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let mut between = 0;
        for one in path.intermediate_certificates() {
            if !Certificate::read(&one.der())?.may_sign_between() {
                return Err(Refusal::NotToSign);
            }
            between += 1;
        }
        let mut result = Err(Refusal::UnknownAuthority);
        // A name and key may be trusted twice, as after a CA was renewed with its key.
        for one in &self.given {
            if one.anchor.as_ref() == Some(path.anchor()) {
                let root = Certificate::read(&one.der)?;
                result = root.is_good_above(between, purpose, now);
            }
            if result.is_ok() {
                break;
            }
        }
        result
    }

    /// The cause of webpki's error, where the error does not name it.
    fn why(&self, own: &Certificate<'_>, purpose: Purpose, error: webpki::Error) -> Refusal {
        let by_issuer = |issuer: Certificate<'_>| {
            if issuer.may_sign() {
                issuer.has_good_key().err()
            } else {
                Some(Refusal::NotToSign)
            }
        };
        let found = self.named(own.issuer()).find_map(by_issuer);
        found.map_or_else(|| Refusal::of_chain(error, purpose), Refusal::of_issuer)
    }
}

#[cfg(test)]
mod tests;
