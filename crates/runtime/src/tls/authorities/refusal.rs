//! Why a certificate is not good.

use super::Purpose;

/// What is wrong with a certificate, in words for those who issue them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is none.
    #[error("no certificate")]
    Missing,
    /// More than anybody needs were shown.
    #[error("more than {0} intermediate certificates (show those of the chain only)")]
    TooMany(usize),
    /// More of one name than anybody needs were shown.
    #[error("more than {0} intermediate certificates of one name (show those of the chain only)")]
    OfOneName(usize),
    /// It is not DER, or not what X.509 allows.
    #[error("certificate cannot be read")]
    Unreadable,
    /// The date is before it.
    #[error("certificate is not valid yet")]
    NotValidYet,
    /// The date is after it.
    #[error("certificate has expired")]
    Expired,
    /// The extended key usage says something else.
    #[error("certificate is not for {0} (issue it anew with extendedKeyUsage={usage})", usage = .0.usage())]
    Purpose(Purpose),
    /// It says that it must not be used by those who do not know something.
    #[error("certificate has a critical extension that is not known here")]
    Extension,
    /// An RSA key of so many bits.
    #[error("RSA key of {0} bits (issue the certificate anew with a key of 2048 bits or more)")]
    WeakKey(usize),
    /// It is signed with SHA-1, say.
    #[error(
        "certificate is signed with an algorithm that is not taken \
         (issue it anew with SHA-256 or better)"
    )]
    Algorithm,
    /// Another key has signed it than that of the CA of this name.
    #[error("the signature is of another key")]
    Signature,
    /// What has signed it may not.
    #[error("it may not sign others: it does not say CA:TRUE, or its key usage lacks keyCertSign")]
    NotToSign,
    /// Too many certificates below a CA.
    #[error("too many intermediate certificates for its path length")]
    PathLength,
    /// Who has signed it limits names, and it is of a kind where these are not
    /// looked at.
    #[error(
        "it limits names or policies, which is looked at for certificates of version 3 without \
         CA:TRUE only (issue the certificate anew as one)"
    )]
    Limits,
    /// It says nothing of what its owner is called.
    #[error(
        "certificate has no subject alternative name, for which X.509 version 1 has no room \
         (issue it anew with one, as by `openssl x509 -req -extfile`)"
    )]
    NoNames,
    /// Nobody who was given has signed it.
    #[error("certificate signed by unknown authority")]
    UnknownAuthority,
    /// Somebody has signed it who is not good.
    #[error("certificate signed by unknown authority (one has the name of its issuer: {0})")]
    BadAuthority(Box<Refusal>),
    /// So many certificates had the right name that not all were tried.
    #[error(
        "more than {} certificates with the name of an issuer",
        super::chain::MOST_SIGNATURES
    )]
    TooManySignatures,
    /// What else webpki found.
    #[error("certificate is not valid: {0}")]
    Other(webpki::Error),
}

impl Refusal {
    /// The same said of who has signed a certificate.
    pub(super) fn of_issuer(self) -> Self {
        match self {
            // Of the certificate itself, or of all.
            one @ (Self::Algorithm
            | Self::UnknownAuthority
            | Self::BadAuthority(_)
            | Self::TooManySignatures) => one,
            other => Self::BadAuthority(Box::new(other)),
        }
    }

    /// What webpki says of a chain whose first certificate it could read, and which is
    /// good by itself.
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
    /// What webpki says of one certificate.
    fn from(error: webpki::Error) -> Self {
        match error {
            webpki::Error::UnsupportedCriticalExtension => Self::Extension,
            other => Self::Other(other),
        }
    }
}
