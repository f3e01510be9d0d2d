//! Certificates and CAs from files, and TLS configurations with them.
//!
//! Files are read again when they change, by content ([`crate::reload`]). Key and certificate are
//! swapped as a pair, and only if they match. An open connection keeps its own.

mod accept;
mod authorities;
mod certificate;
mod expiry;
mod files;
mod handshake;
mod issue;
mod names;
mod policy;
mod serving;
mod short;
mod unverified;

use std::sync::Arc;

use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

pub use self::{
    accept::{BadPair, accepted, pair},
    authorities::{Authorities, Purpose, Refusal},
    expiry::{first_to_expire, in_pem, last_to_expire},
    files::{BadFile, PairFiles, certificates, certified_key, private_key, roots},
    handshake::{
        RefusedCertificate, has_usable_key, subject, verify_tls12_signature, verify_tls13_signature,
    },
    issue::{Issued, issue},
    names::verify_host,
    policy::{BadPolicy, Policy},
    serving::{BadNamedPair, NamedPair, ServingCertificate},
};
use self::{short::Short, unverified::Unverified};
use crate::exit::Misconfigured;

/// Makes aws-lc-rs the TLS provider of this process. It must be called first; later calls have no
/// effect.
pub fn install_provider() {
    // An error means that there is a provider already, which can only be this one.
    drop(aws_lc_rs::default_provider().install_default());
}

/// Whether and how clients authenticate by certificate.
#[derive(Clone, Debug)]
pub enum ClientCertificates {
    /// They are not asked for one.
    None,
    /// They may send one. It is refused unless these CAs signed it.
    Optional(Arc<RootCertStore>),
    /// They must send one.
    Required(Arc<RootCertStore>),
    /// They may send any certificate: the handshake only proves that they have its key. The server
    /// verifies the chain later, and may do it again while the connection is open.
    Unverified,
}

/// TLS 1.3 and nothing older.
pub const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// TLS 1.2 and 1.3.
pub const TLS12_AND_13: &[&SupportedProtocolVersion] = rustls::ALL_VERSIONS;

/// A TLS server configuration that offers these application protocols, in the order of preference.
///
/// # Errors
///
/// The CAs cannot be used.
pub fn server_config(
    certificate: Arc<ServingCertificate>,
    clients: ClientCertificates,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&[u8]],
) -> Result<Arc<ServerConfig>, Misconfigured> {
    Policy::of_versions(versions).server_config(certificate, clients, protocols)
}

fn verifier(
    clients: ClientCertificates,
    provider: Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, Misconfigured> {
    let (roots, optional) = match clients {
        ClientCertificates::None => return Ok(None),
        ClientCertificates::Unverified => {
            let algorithms = provider.signature_verification_algorithms;
            return Ok(Some(Arc::new(Unverified(algorithms))));
        }
        ClientCertificates::Optional(roots) => (roots, true),
        ClientCertificates::Required(roots) => (roots, false),
    };
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider);
    if optional {
        builder = builder.allow_unauthenticated();
    }
    let verifier = builder.build().map_err(Misconfigured::new)?;
    Ok(Some(Arc::new(Short(verifier))))
}

#[cfg(test)]
mod tests;
