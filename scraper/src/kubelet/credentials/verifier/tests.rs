use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SerialNumber,
};
use rustls::{
    ClientConfig, ServerConfig,
    crypto::aws_lc_rs,
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

/// A certificate and its key.
struct Kubelet {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

/// One that signed itself, for `n1.test`.
fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> Kubelet {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["n1.test".to_owned()]).unwrap();
    params.serial_number = Some(SerialNumber::from(7));
    change(&mut params);
    let certificate = params.self_signed(&key).unwrap();
    Kubelet {
        certificate: certificate.der().clone(),
        key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
    }
}

fn says_it_is_a_ca(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
}

/// Made by `openssl x509 -req` without extensions.
fn of_version_1() -> Kubelet {
    Kubelet {
        certificate: CertificateDer::from_pem_slice(include_bytes!("version1.crt")).unwrap(),
        key: PrivateKeyDer::from_pem_slice(include_bytes!("version1.key")).unwrap(),
    }
}

/// What comes of a handshake with `kubelet`, called `name`.
async fn handshake(
    verifier: Arc<dyn ServerCertVerifier>,
    kubelet: &Kubelet,
    name: &'static str,
) -> Result<(), String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    // As it is: rustls would look into a certificate of its own before it shows it.
    let key = provider
        .key_provider
        .load_private_key(kubelet.key.clone_key());
    let shown = CertifiedKey::new(vec![kubelet.certificate.clone()], key.unwrap());
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
    let (near, far) = tokio::io::duplex(16 << 10);
    let connector = TlsConnector::from(Arc::new(client));
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let name = ServerName::try_from(name).unwrap();
    let (connected, _) = tokio::join!(connector.connect(name, near), acceptor.accept(far));
    connected.map(|_| ()).map_err(|error| error.to_string())
}

/// A verifier to which these were given.
fn given(certificates: &[&Kubelet]) -> Arc<dyn ServerCertVerifier> {
    let certificates = certificates.iter().map(|it| it.certificate.clone());
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
    Arc::new(Given::new(certificates.collect(), algorithms).unwrap())
}

fn anybody() -> Arc<dyn ServerCertVerifier> {
    let provider = aws_lc_rs::default_provider();
    Arc::new(Anybody(provider.signature_verification_algorithms))
}

#[tokio::test]
async fn a_certificate_that_was_given_is_good_itself() {
    let ca = self_signed(says_it_is_a_ca);
    let leaf = self_signed(|_| ());
    let for_servers = self_signed(|params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    for kubelet in [&ca, &leaf, &for_servers] {
        let verifier = given(&[&ca, &leaf, &for_servers]);
        assert_eq!(handshake(verifier, kubelet, "n1.test").await, Ok(()));
    }
}

#[tokio::test]
async fn one_that_was_given_must_be_good_all_the_same() {
    let of = async |change: fn(&mut CertificateParams), name| {
        let kubelet = self_signed(change);
        handshake(given(&[&kubelet]), &kubelet, name)
            .await
            .unwrap_err()
    };
    let other_name = of(says_it_is_a_ca, "n2.test").await;
    assert!(other_name.contains("OtherNames"), "{other_name}");
    let expired = |params: &mut CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    };
    let expired = of(expired, "n1.test").await;
    assert!(expired.contains("xpired"), "{expired}");
    let future = |params: &mut CertificateParams| {
        params.not_before = rcgen::date_time_ymd(4000, 1, 1);
    };
    let future = of(future, "n1.test").await;
    assert!(future.contains("NotValidYet"), "{future}");
    let for_clients = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    let for_clients = of(for_clients, "n1.test").await;
    assert!(for_clients.contains("urpose"), "{for_clients}");
}

#[tokio::test]
async fn one_that_was_not_given_is_not_good() {
    let (given_one, other) = (self_signed(says_it_is_a_ca), self_signed(says_it_is_a_ca));
    let refused = handshake(given(&[&given_one]), &other, "n1.test").await;
    assert!(refused.is_err(), "{refused:?}");
}

#[tokio::test]
async fn a_leaf_that_was_given_signs_for_no_other() {
    for (is_ca, signs) in [
        (IsCa::NoCa, false),
        (IsCa::ExplicitNoCa, false),
        (IsCa::Ca(BasicConstraints::Unconstrained), true),
    ] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["n1.test".to_owned()]).unwrap();
        params.is_ca = is_ca;
        let pinned = Kubelet {
            certificate: params.self_signed(&key).unwrap().der().clone(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        };
        let other_key = KeyPair::generate().unwrap();
        let other = CertificateParams::new(["n2.test".to_owned()]).unwrap();
        let issuer = Issuer::new(params, key);
        let other = Kubelet {
            certificate: other.signed_by(&other_key, &issuer).unwrap().der().clone(),
            key: PrivatePkcs8KeyDer::from(other_key.serialize_der()).into(),
        };
        let verifier = given(&[&pinned]);
        assert_eq!(
            handshake(Arc::clone(&verifier), &pinned, "n1.test").await,
            Ok(())
        );
        let answer = handshake(verifier, &other, "n2.test").await;
        assert_eq!(answer.is_ok(), signs, "{answer:?}");
    }
}

#[tokio::test]
async fn one_that_says_it_is_a_ca_and_was_signed_by_one_is_good() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    says_it_is_a_ca(&mut params);
    let ca = Kubelet {
        certificate: params.self_signed(&key).unwrap().der().clone(),
        key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
    };
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["n1.test".to_owned()]).unwrap();
    says_it_is_a_ca(&mut params);
    let kubelet = Kubelet {
        certificate: params.signed_by(&key, &issuer).unwrap().der().clone(),
        key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
    };
    assert_eq!(handshake(given(&[&ca]), &kubelet, "n1.test").await, Ok(()));
    let other = handshake(given(&[&ca]), &kubelet, "n2.test").await;
    assert!(other.unwrap_err().contains("OtherNames"));
}

#[tokio::test]
async fn version_1_has_no_names() {
    let kubelet = of_version_1();
    let refused = handshake(given(&[&kubelet]), &kubelet, "n1.test").await;
    let error = refused.unwrap_err();
    assert!(error.contains("NoNames"), "{error}");
}

#[tokio::test]
async fn without_verification_any_certificate_is_good() {
    for kubelet in [
        self_signed(|_| ()),
        self_signed(says_it_is_a_ca),
        of_version_1(),
    ] {
        assert_eq!(handshake(anybody(), &kubelet, "other.test").await, Ok(()));
    }
}

#[test]
fn without_verification_a_key_that_is_too_short_for_rustls_is_good() {
    use rustls::internal::msgs::codec::{Codec as _, Reader};

    // rustls cannot sign with such a key, so this is no handshake.
    let weak = CertificateDer::from_pem_slice(include_bytes!("weak.crt")).unwrap();
    let signature = [8, 4, 0, 1, 0];
    let signature = DigitallySignedStruct::read(&mut Reader::init(&signature)).unwrap();
    let verified = anybody().verify_tls13_signature(b"", &weak, &signature);
    assert!(verified.is_ok(), "{verified:?}");
}

#[tokio::test]
async fn a_client_with_a_certificate_has_its_key() {
    let stolen = Kubelet {
        certificate: self_signed(|_| ()).certificate,
        ..self_signed(|_| ())
    };
    let refused = handshake(anybody(), &stolen, "n1.test").await;
    assert!(refused.is_err(), "{refused:?}");
}
