//! Trust in any server, like `insecureSkipTLSVerify`.

use std::{net::SocketAddr, sync::Arc};

use rustls::{
    ALL_VERSIONS, ClientConfig, DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion,
    WantsVerifier,
    client::{
        WantsClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{
        WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
    },
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// The TLS of a client that trusts any server. The caller adds the client's certificate.
///
/// # Errors
///
/// There is no such version.
pub fn any_server(
    versions: &[&'static SupportedProtocolVersion],
) -> Result<rustls::ConfigBuilder<ClientConfig, WantsClientCert>, rustls::Error> {
    with_check(versions, true)
}

fn with_check(
    versions: &[&'static SupportedProtocolVersion],
    has_key: bool,
) -> Result<rustls::ConfigBuilder<ClientConfig, WantsClientCert>, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder: rustls::ConfigBuilder<ClientConfig, WantsVerifier> =
        ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)?;
    let verifier = AnyServer {
        algorithms: provider.signature_verification_algorithms,
        has_key,
    };
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier)))
}

/// Opens a TLS session with the server at `address`, with the server name `name` and the application protocols
/// `protocols`. The certificate may be one that webpki cannot read, such as one of version 1.
///
/// # Errors
///
/// There is no server, or it refuses the session.
pub async fn session(
    address: SocketAddr,
    name: &str,
    protocols: &[&str],
) -> anyhow::Result<TlsStream<TcpStream>> {
    let mut config = with_check(ALL_VERSIONS, false)?.with_no_client_auth();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned())?;
    Ok(TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?)
}

/// Accepts any certificate.
#[derive(Debug)]
struct AnyServer {
    algorithms: WebPkiSupportedAlgorithms,
    /// Whether the server must prove that it has the key of its certificate.
    has_key: bool,
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if !self.has_key {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if !self.has_key {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
