//! The TLS that is spoken with kubelets.

use std::sync::Arc;

use rustls::{ClientConfig, crypto::aws_lc_rs, sign::SingleCertAndKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio_rustls::TlsConnector;
use tributary_runtime::tls::certified_key;

use super::{
    Material, Source, Unusable, Verify,
    verifier::{Anybody, Given},
};

/// One configuration for all kubelets, so that they share its session cache,
/// which is bounded: it serves connections that come and go, not all at once.
pub(super) fn connector(verify: &Verify, material: &Material) -> Result<TlsConnector, Unusable> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| content(&error))?;
    let builder = match verify {
        Verify::Skip => {
            let anybody = Anybody(provider.signature_verification_algorithms);
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(anybody))
        }
        Verify::NoAuthority | Verify::Der(_) | Verify::Pem(_) => {
            let algorithms = provider.signature_verification_algorithms;
            let given = Given::new(authorities(verify, material)?, algorithms);
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(given.map_err(|error| content(&error))?))
        }
    };
    let mut config = match (&material.certificate, &material.key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate, "client certificate for kubelets")?;
            let key = PrivateKeyDer::from_pem_slice(key)
                .map_err(|error| Unusable::Content(format!("client key for kubelets: {error}")))?;
            let pair = certified_key(chain, key).map_err(|error| {
                Unusable::Content(format!("client certificate and key for kubelets: {error}"))
            })?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair)))
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

fn authorities(
    verify: &Verify,
    material: &Material,
) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    Ok(match (verify, &material.authority) {
        (Verify::Der(der), _) => der.iter().cloned().map(CertificateDer::from).collect(),
        (Verify::Pem(Source::File { named, .. }), Some(pem)) => certificates(pem, named)?,
        (Verify::Pem(_) | Verify::Skip | Verify::NoAuthority, _) => Vec::new(),
    })
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

fn content(error: &dyn std::error::Error) -> Unusable {
    Unusable::Content(error.to_string())
}
