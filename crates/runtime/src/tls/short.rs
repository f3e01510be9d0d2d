//! A limit on the length of a client's chain, checked before the chain is verified.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::authorities::few_enough;

/// Passes chains to `0` that are not longer than webpki follows. For longer ones, webpki would try every order.
#[derive(Debug)]
pub(super) struct Short(pub(super) Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Short {
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if let Err(refusal) = few_enough(intermediates) {
            return Err(CertificateError::Other(OtherError(Arc::new(refusal))).into());
        }
        self.0.verify_client_cert(end_entity, intermediates, now)
    }

    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rustls::{RootCertStore, crypto::aws_lc_rs, server::WebPkiClientVerifier};

    use super::*;

    #[test]
    fn a_long_chain_is_not_looked_at() {
        let key = rcgen::KeyPair::generate().unwrap();
        let own = rcgen::CertificateParams::new(vec!["a".to_owned()]).unwrap();
        let own = own.self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(own.der().clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = Short(verifier.build().unwrap());
        let with = |others: usize| {
            let others = vec![own.der().clone(); others];
            verifier.verify_client_cert(own.der(), &others, UnixTime::now())
        };
        assert!(with(2).is_ok());
        for (others, why) in [(3, "OfOneName(2)"), (7, "TooMany(6)")] {
            let refused = with(others).unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
