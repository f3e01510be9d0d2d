//! Why a scrape failed: the kind, on which others decide, and a sentence for
//! people that names what helps.

use std::{error::Error, io, time::Duration};

use http::StatusCode;
use rustls::{CertificateError, OtherError};
use tributary_model::Endpoint;
use tributary_runtime::{duration::GoDuration, tls::Refusal};

use super::{decode::Undecodable, endpoints::Answer, interim::MOST as MOST_INTERIM};

/// The kinds of failure that the bus knows (proto/bus/v1/bus.proto).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The Node object has no address of a wanted type.
    Address,
    /// No connection.
    Dial,
    /// No TLS session.
    Tls,
    /// 401 or 403.
    Auth,
    /// Another status than 200.
    Status,
    /// No complete answer in time.
    Timeout,
    /// The page is larger than allowed.
    TooLarge,
    /// The page is not what a kubelet writes, or is cut short.
    Malformed,
    /// The page has nothing about the node or a container.
    Empty,
}

impl Reason {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Address,
        Self::Dial,
        Self::Tls,
        Self::Auth,
        Self::Status,
        Self::Timeout,
        Self::TooLarge,
        Self::Malformed,
        Self::Empty,
    ];

    /// A word for labels of metrics and fields of logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Dial => "dial",
            Self::Tls => "tls",
            Self::Auth => "auth",
            Self::Status => "status",
            Self::Timeout => "timeout",
            Self::TooLarge => "too-large",
            Self::Malformed => "malformed",
            Self::Empty => "empty",
        }
    }
}

/// A scrape that gave nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ScrapeError {
    reason: Reason,
    message: String,
    /// What the kubelet answered instead of 200.
    status: Option<StatusCode>,
    /// Escaped, and not a part of the message.
    excerpt: Option<String>,
}

/// Why an endpoint is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Because {
    /// It was found to be there, or the better ones not to be.
    Found,
    /// The node names it.
    Named,
}

/// How far a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Dial,
    Handshake,
    Request,
    Body,
    /// The page is large, and others are.
    Room,
}

impl ScrapeError {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            status: None,
            excerpt: None,
        }
    }

    /// The kind.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// What was answered instead of metrics, as far as it helps: for our own log.
    /// It is not for those who read the message: a node chooses what is asked, and
    /// what it says may be somebody else's.
    pub fn excerpt(&self) -> Option<&str> {
        self.excerpt.as_deref()
    }

    pub(super) fn timeout(stage: Stage, limit: Duration) -> Self {
        let during = match stage {
            Stage::Dial => "connecting",
            Stage::Handshake => "the TLS handshake",
            Stage::Request => "waiting for an answer",
            Stage::Body => "reading the answer",
            Stage::Room => "waiting for the memory of other large pages",
        };
        let limit = GoDuration::from(limit);
        Self::new(
            Reason::Timeout,
            format!("timeout during {during}: --kubelet-request-timeout is {limit}"),
        )
    }

    pub(super) fn dial(error: &io::Error) -> Self {
        Self::new(Reason::Dial, format!("dial: {error}"))
    }

    /// Of an answer without a page. Of what it says only the status is repeated.
    pub(super) fn status(status: StatusCode) -> Self {
        let (reason, hint) = match status {
            _ if status.is_redirection() => (Reason::Status, "; redirects are not followed"),
            StatusCode::UNAUTHORIZED => (
                Reason::Auth,
                "; the kubelet does not accept our token or client certificate",
            ),
            StatusCode::FORBIDDEN => (
                Reason::Auth,
                "; the kubelet needs the verb get on nodes/metrics to be allowed",
            ),
            _ => (Reason::Status, ""),
        };
        Self {
            status: Some(status),
            ..Self::new(reason, request_failed(status, hint))
        }
    }

    /// How the endpoint answered that was asked.
    pub(super) fn answer(&self) -> Answer {
        match (self.status, self.reason) {
            // Virtual kubelets answer 501 for what they lack.
            (Some(StatusCode::NOT_FOUND | StatusCode::NOT_IMPLEMENTED), _) => Answer::Absent,
            (None, Reason::Address | Reason::Dial | Reason::Tls | Reason::Timeout) => {
                Answer::Silence
            }
            _ => Answer::Refusal,
        }
    }

    /// Whether the credentials may be the cause. That `nodes/stats` is forbidden says
    /// nothing of them: it is not granted unless somebody wants it.
    pub(super) fn doubts_credentials(&self, endpoint: Endpoint) -> bool {
        let forbidden = self.status == Some(StatusCode::FORBIDDEN);
        self.reason == Reason::Auth && !(forbidden && endpoint == Endpoint::StatsSummary)
    }

    /// The same of this endpoint, and why it was asked.
    pub(super) fn of(mut self, endpoint: Endpoint, because: Because) -> Self {
        if let (Some(StatusCode::FORBIDDEN), Endpoint::StatsSummary) = (self.status, endpoint) {
            self.message = request_failed(StatusCode::FORBIDDEN, NEEDS_STATS);
        }
        let [resource, v1alpha1, summary] = Endpoint::ALL.map(Endpoint::path);
        let path = endpoint.path();
        let why = match (because, endpoint) {
            (Because::Found, _) if self.answer() == Answer::Absent => {
                format!("; the kubelet has none of {resource}, {v1alpha1} and {summary}")
            }
            (_, Endpoint::Resource) => String::new(),
            (Because::Found, _) => {
                format!("; asked for {path}, since the kubelet has no {resource}")
            }
            (Because::Named, _) => format!("; asked for {path}, which the node names"),
        };
        self.message.push_str(&why);
        self
    }

    /// Of a handshake that failed.
    pub(super) fn handshake(error: &io::Error) -> Self {
        match cause::<rustls::Error>(error) {
            Some(error) => Self::tls(error),
            None => Self::new(Reason::Tls, format!("TLS handshake: {error}")),
        }
    }

    fn tls(error: &rustls::Error) -> Self {
        let rustls::Error::InvalidCertificate(wrong) = error else {
            return Self::new(Reason::Tls, format!("TLS: {error}"));
        };
        let hint = match wrong {
            // A CA that was made again has its old name and another key.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "certificate signed by unknown authority \
                 (give its CA as --kubelet-certificate-authority, or --kubelet-insecure-tls to verify nothing)"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "certificate has expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "certificate is not valid yet"
            }
            CertificateError::Other(OtherError(other)) => {
                return Self::new(Reason::Tls, refused(&**other));
            }
            _ => return Self::new(Reason::Tls, format!("x509: {error}")),
        };
        Self::new(Reason::Tls, format!("x509: {hint}"))
    }

    /// Of a request on a connection that stood.
    pub(super) fn exchange(stage: Stage, error: &hyper::Error) -> Self {
        if let Some(error) = cause::<rustls::Error>(error) {
            // In TLS 1.3 the server speaks of our certificate after the handshake.
            return Self::tls(error);
        }
        if error.is_parse_too_large() {
            return Self::new(Reason::TooLarge, "the headers of the answer are too large");
        }
        if error.is_parse() {
            return Self::new(
                Reason::Malformed,
                format!("not an HTTP/1.1 answer: {error}"),
            );
        }
        match (stage, cause::<io::Error>(error)) {
            (Stage::Body | Stage::Room, _) => Self::cut_short(),
            (_, Some(error)) => Self::new(Reason::Dial, format!("connection lost: {error}")),
            (_, None) => Self::new(Reason::Dial, format!("connection lost: {error}")),
        }
    }

    pub(super) fn too_many_interim() -> Self {
        Self::new(
            Reason::Malformed,
            format!("more than {MOST_INTERIM} informational responses before the answer"),
        )
    }

    pub(super) fn cut_short() -> Self {
        Self::new(Reason::Malformed, "the answer is cut short")
    }
}

impl From<Undecodable> for ScrapeError {
    fn from(error: Undecodable) -> Self {
        let reason = match error {
            Undecodable::Malformed { .. }
            | Undecodable::NotASummary { .. }
            | Undecodable::Refused(_) => Reason::Malformed,
            Undecodable::TooManyContainers
            | Undecodable::TooManyLines
            | Undecodable::TooManyNameBytes => Reason::TooLarge,
            Undecodable::Empty { .. } => Reason::Empty,
        };
        let whole = error.to_string();
        let (message, excerpt) = match error {
            Undecodable::Malformed { line, .. } => (
                format!("line {line} of the answer is not a metric"),
                Some(whole),
            ),
            Undecodable::NotASummary { line, column, .. } => (
                format!(
                    "line {line}, column {column} of the answer is not of a summary of statistics"
                ),
                Some(whole),
            ),
            Undecodable::Refused(refusals) => (
                format!(
                    "nothing on the page can be used: {} series refused",
                    refusals.total()
                ),
                Some(whole),
            ),
            Undecodable::TooManyContainers
            | Undecodable::TooManyLines
            | Undecodable::TooManyNameBytes
            | Undecodable::Empty { .. } => (whole, None),
        };
        Self {
            excerpt,
            ..Self::new(reason, message)
        }
    }
}

/// What is wrong with a certificate, and what helps.
fn refused(error: &(dyn Error + Send + Sync + 'static)) -> String {
    let help = match error.downcast_ref() {
        Some(Refusal::BadAuthority(_)) => {
            "; give the CA that signs now as --kubelet-certificate-authority, or \
             --kubelet-insecure-tls to verify nothing"
        }
        Some(Refusal::OtherNames { .. }) => {
            " (choose another address by --kubelet-preferred-address-types, or let the kubelet \
             have a certificate from the cluster)"
        }
        _ => "",
    };
    format!("x509: {error}{help}")
}

const NEEDS_STATS: &str = "; the kubelet needs the verb get on nodes/stats to be allowed \
                           (in the Helm chart kubeletReader.stats=true)";

fn request_failed(status: StatusCode, hint: &str) -> String {
    format!("request failed, status: \"{status}\"{hint}")
}

/// The first `E` among an error and its causes. An `io::Error` hides what it
/// wraps from `source`, so it is asked as well.
fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_certificate_is_said_with_what_helps() {
        let said = |refusal: Refusal| {
            let error = io::Error::other(rustls::Error::from(refusal));
            ScrapeError::handshake(&error).to_string()
        };
        assert_eq!(
            said(Refusal::NoNames {
                dialled: "10.0.0.7".to_owned(),
                relies_on_common_name: false,
                is_version_3: false,
            }),
            "x509: certificate is not valid for any names: wanted to match 10.0.0.7, and it has no \
             name or address as a subject alternative name, for which X.509 version 1 has no room \
             (issue it again with one, as by `openssl x509 -req -extfile`)"
        );
        assert_eq!(
            said(Refusal::OtherNames {
                names: "n1, 10.0.0.1".to_owned(),
                dialled: "10.0.0.7".to_owned(),
            }),
            "x509: certificate is valid for n1, 10.0.0.1, not 10.0.0.7 (choose another address by \
             --kubelet-preferred-address-types, or let the kubelet have a certificate from the \
             cluster)"
        );
        assert_eq!(
            said(Refusal::WeakKey(1024)),
            "x509: RSA key of 1024 bits (issue the certificate again with a key of 2048 bits or more)"
        );
        assert_eq!(
            said(Refusal::BadAuthority(Box::new(Refusal::Expired))),
            "x509: certificate signed by unknown authority (one has the name of its issuer: \
             certificate has expired); give the CA that signs now as \
             --kubelet-certificate-authority, or --kubelet-insecure-tls to verify nothing"
        );
        let other_key = Refusal::BadAuthority(Box::new(Refusal::Signature));
        for refusal in [Refusal::UnknownAuthority, other_key] {
            assert_eq!(
                said(refusal),
                "x509: certificate signed by unknown authority (give its CA as \
                 --kubelet-certificate-authority, or --kubelet-insecure-tls to verify nothing)"
            );
        }
    }
}
