//! Why a certificate is refused.

use super::Purpose;

/// What is wrong with a certificate, for the operator who issues it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The peer has sent none.
    #[error("no certificate")]
    Missing,
    /// The peer has sent too many.
    #[error("more than {0} intermediate certificates (show those of the chain only)")]
    TooMany(usize),
    /// The peer has sent too many with one name.
    #[error("more than {0} intermediate certificates of one name (show those of the chain only)")]
    OfOneName(usize),
    /// It is not DER, or not valid X.509.
    #[error("certificate cannot be read")]
    Unreadable,
    /// It is not valid yet.
    #[error("certificate is not valid yet")]
    NotValidYet,
    /// It has expired.
    #[error("certificate has expired")]
    Expired,
    /// Its extended key usage has other purposes.
    #[error("certificate is not for {0} (issue it again with extendedKeyUsage={usage})", usage = .0.usage())]
    Purpose(Purpose),
    /// It has a critical extension that is not supported.
    #[error("certificate has a critical extension that is not known here")]
    Extension,
    /// Its RSA key has this many bits, which is too few.
    #[error("RSA key of {0} bits (issue the certificate again with a key of 2048 bits or more)")]
    WeakKey(usize),
    /// It is signed with SHA-1, for example.
    #[error(
        "certificate is signed with an algorithm that is not taken \
         (issue it again with SHA-256 or better)"
    )]
    Algorithm,
    /// The CA of this name has another key than the one that signed it.
    #[error("the signature is of another key")]
    Signature,
    /// Its issuer may not sign certificates.
    #[error("it may not sign others: it does not say CA:TRUE, or its key usage lacks keyCertSign")]
    NotToSign,
    /// There are too many certificates below a CA.
    #[error("too many intermediate certificates for its path length")]
    PathLength,
    /// Its issuer limits names, and it is of a kind for which name constraints are not supported.
    #[error(
        "it limits names or policies, which is looked at for certificates of version 3 without \
         CA:TRUE only (issue the certificate again as one)"
    )]
    Limits,
    /// It is for other hosts than the one that was dialled.
    #[error("certificate is valid for {names}, not {dialled}")]
    OtherNames {
        /// Its names and addresses, escaped.
        names: String,
        /// The name or address that was dialled.
        dialled: String,
    },
    /// It has no name or address as a subject alternative name.
    #[error(
        "certificate {}: wanted to match {dialled}, and it has no name or address as a subject \
         alternative name{} (issue it again with one, as by `openssl x509 -req -extfile`)",
        without_names(*.relies_on_common_name),
        without_room(*.is_version_3),
    )]
    NoNames {
        /// The name or address that was dialled.
        dialled: String,
        /// Whether its common name is what was dialled.
        relies_on_common_name: bool,
        /// Whether it is of the version that has room for names.
        is_version_3: bool,
    },
    /// No trusted certificate has signed it.
    #[error("certificate signed by unknown authority")]
    UnknownAuthority,
    /// A certificate with the name of its issuer is not valid.
    #[error("certificate signed by unknown authority (one has the name of its issuer: {0})")]
    BadAuthority(Box<Refusal>),
    /// Not all certificates with the right name were tried, because there are too many.
    #[error(
        "more than {} certificates with the name of an issuer",
        super::chain::MOST_SIGNATURES
    )]
    TooManySignatures,
    /// Another error of webpki.
    #[error("certificate is not valid: {0}")]
    Other(webpki::Error),
}

/// As Go says it.
fn without_names(relies_on_common_name: bool) -> &'static str {
    if relies_on_common_name {
        "relies on legacy Common Name field, use SANs instead"
    } else {
        "is not valid for any names"
    }
}

fn without_room(is_version_3: bool) -> &'static str {
    if is_version_3 {
        ""
    } else {
        ", for which X.509 version 1 has no room"
    }
}

impl Refusal {
    /// The same error about the issuer of a certificate.
    pub(super) fn of_issuer(self) -> Self {
        match self {
            // About the certificate itself, or about the whole chain.
            one @ (Self::Algorithm
            | Self::UnknownAuthority
            | Self::BadAuthority(_)
            | Self::TooManySignatures) => one,
            other => Self::BadAuthority(Box::new(other)),
        }
    }

    /// The error of webpki about a chain whose first certificate it could read and found valid.
    pub(super) fn of_chain(error: webpki::Error, purpose: Purpose) -> Self {
        use webpki::Error;
        match error {
            Error::UnknownIssuer => Self::UnknownAuthority,
            Error::CertExpired { .. } => Self::Expired.of_issuer(),
            Error::CertNotValidYet { .. } => Self::NotValidYet.of_issuer(),
            Error::RequiredEkuNotFoundContext(_) => Self::Purpose(purpose).of_issuer(),
            Error::UnsupportedCriticalExtension => Self::Extension.of_issuer(),
            Error::InvalidSignatureForPublicKey
            | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
                Self::Signature.of_issuer()
            }
            Error::UnsupportedSignatureAlgorithmContext(_) => Self::Algorithm,
            Error::EndEntityUsedAsCa | Error::UnsupportedCertVersion => Self::NotToSign.of_issuer(),
            Error::PathLenConstraintViolated => Self::PathLength.of_issuer(),
            Error::MaximumSignatureChecksExceeded | Error::MaximumPathBuildCallsExceeded => {
                Self::TooManySignatures
            }
            other => Self::Other(other),
        }
    }
}

impl From<webpki::Error> for Refusal {
    /// The error of webpki about one certificate.
    fn from(error: webpki::Error) -> Self {
        match error {
            webpki::Error::UnsupportedCriticalExtension => Self::Extension,
            other => Self::Other(other),
        }
    }
}
