//! The TLS that is spoken with kubelets.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature,
        verify_tls13_signature,
    },
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _};
use tokio_rustls::TlsConnector;

use super::{Material, Source, Unusable, Verify};

/// One configuration for all kubelets, so that they share its session cache,
/// which is bounded: it serves connections that come and go, not all at once.
pub(super) fn connector(verify: &Verify, material: &Material) -> Result<TlsConnector, Unusable> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| content(&error))?;
    let builder = match verify {
        Verify::Nobody => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TrustAnybody::new(&provider))),
        Verify::NoAuthority | Verify::Der(_) | Verify::Pem(_) => {
            builder.with_root_certificates(roots(verify, material)?)
        }
    };
    let mut config = match (&material.certificate, &material.key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate, "client certificate for kubelets")?;
            let key = PrivateKeyDer::from_pem_slice(key)
                .map_err(|error| Unusable::Content(format!("client key for kubelets: {error}")))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                Unusable::Content(format!("client certificate and key for kubelets: {error}"))
            })?
        }
        (None, None) => builder.with_no_client_auth(),
        (Some(_), None) | (None, Some(_)) => {
            return Err(Unusable::Content(
                "client certificate for kubelets without its key, or the other way round".into(),
            ));
        }
    };
    // HTTP/2 would cost more memory per connection and nothing is gained: there
    // is one request at a time.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config).into())
}

fn roots(verify: &Verify, material: &Material) -> Result<RootCertStore, Unusable> {
    let mut roots = RootCertStore::empty();
    let authorities = match (verify, &material.authority) {
        (Verify::Der(der), _) => der.iter().cloned().map(CertificateDer::from).collect(),
        (Verify::Pem(Source::File { named, .. }), Some(pem)) => certificates(pem, named)?,
        (Verify::Pem(_) | Verify::Nobody | Verify::NoAuthority, _) => Vec::new(),
    };
    for authority in authorities {
        roots.add(authority).map_err(|error| content(&error))?;
    }
    Ok(roots)
}

fn certificates(pem: &[u8], named: &str) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| Unusable::Content(format!("{named}: {error}")))?;
    if chain.is_empty() {
        return Err(Unusable::Content(format!("{named}: no certificate in it")));
    }
    Ok(chain)
}

fn content(error: &Error) -> Unusable {
    Unusable::Content(error.to_string())
}

/// `--kubelet-insecure-tls`: any certificate is good, but whoever shows it must
/// have its key.
#[derive(Debug)]
struct TrustAnybody(WebPkiSupportedAlgorithms);

impl TrustAnybody {
    fn new(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }
}

impl ServerCertVerifier for TrustAnybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
