use rustls::{
    ClientConfig, RootCertStore, SignatureScheme, SupportedProtocolVersion,
    client::ResolvesClientCert,
    crypto::aws_lc_rs,
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, pem::PemObject as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{
    super::{ClientCertificates, ServingCertificate, TLS12_AND_13, server_config},
    *,
};

/// A certificate and a key, which need not match.
struct Shown(CertificateDer<'static>, PrivateKeyDer<'static>);

/// Made by `openssl x509 -req` without extensions.
fn of_version_1() -> Shown {
    let certificate = include_bytes!("version1.crt");
    let key = include_bytes!("version1.key");
    Shown(
        CertificateDer::from_pem_slice(certificate).unwrap(),
        PrivateKeyDer::from_pem_slice(key).unwrap(),
    )
}

fn of_version_3() -> Shown {
    let made = rcgen::generate_simple_self_signed(["jane.test".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    Shown(made.cert.der().clone(), key.into())
}

/// A certificate with an RSA key of 1,024 bits. Its private key is not known.
fn weak() -> CertificateDer<'static> {
    let cases = include_str!("../authorities/tests/cases.txt");
    let (_, case) = cases.split_once("# RSA of 1024 bits\n").unwrap();
    let (_, shown) = case.split_once("shown\n").unwrap();
    CertificateDer::from_pem_slice(shown.as_bytes()).unwrap()
}

/// Sends the certificate whatever CAs the server names.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesClientCert for Always {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// The result of a handshake with this certificate, as the server sees it: the certificates.
async fn shake(
    Shown(certificate, key): Shown,
    version: &'static SupportedProtocolVersion,
) -> Result<Vec<CertificateDer<'static>>, io::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let key = provider.key_provider.load_private_key(key).unwrap();
    let shown = Always(Arc::new(CertifiedKey::new(vec![certificate], key)));
    let own = ServingCertificate::self_signed(["localhost".to_owned()], []).unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(own.shown().cert.first().unwrap().clone())
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(shown));
    let clients = ClientCertificates::Unverified;
    let server = server_config(own, clients, TLS12_AND_13, &[]).unwrap();
    let (near, far) = tokio::io::duplex(16 << 10);
    let name = ServerName::try_from("localhost").unwrap();
    let connecting = TlsConnector::from(Arc::new(client)).connect(name, near);
    let accepting = TlsAcceptor::from(server).accept(far);
    let (_connected, accepted) = tokio::join!(connecting, accepting);
    let chain = accepted?.get_ref().1.peer_certificates().map(<[_]>::to_vec);
    Ok(chain.unwrap_or_default())
}

#[tokio::test]
async fn the_right_key_is_accepted_with_any_version() {
    for shown in [of_version_1, of_version_3] {
        for version in [&TLS12, &TLS13] {
            let certificate = shown().0;
            let seen = shake(shown(), version).await.unwrap();
            // A certificate that was issued again has another key.
            if certificate == of_version_1().0 {
                assert_eq!(seen, [certificate]);
            }
            assert_eq!(seen.len(), 1);
        }
    }
}

#[tokio::test]
async fn another_key_is_refused() {
    for shown in [of_version_1, of_version_3] {
        for version in [&TLS12, &TLS13] {
            let Shown(certificate, _) = shown();
            let stolen = Shown(certificate, of_version_3().1);
            let error = shake(stolen, version).await.unwrap_err().to_string();
            assert!(error.contains("BadSignature"), "{version:?}: {error}");
        }
    }
}

#[tokio::test]
async fn a_key_that_is_too_short_is_reported_with_its_owner() {
    let shown = Shown(weak(), of_version_3().1);
    let error = shake(shown, &TLS13).await.unwrap_err();
    let refused = RefusedCertificate::cause_of(&error).unwrap();
    assert_eq!(refused.subject, "CN=jane");
    assert_eq!(refused.refusal, Refusal::WeakKey(1024));
    let shown = Shown(vec![0x30, 0].into(), of_version_3().1);
    let error = shake(shown, &TLS13).await.unwrap_err();
    assert!(RefusedCertificate::cause_of(&error).is_none(), "{error}");
}

#[test]
fn what_a_subject_says_is_escaped_and_cut() {
    let of = |name: &str| {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        let key = rcgen::KeyPair::generate().unwrap();
        subject(params.self_signed(&key).unwrap().der())
    };
    assert_eq!(of("a\nlevel=ERROR\u{202e}"), "CN=a\\nlevel=ERROR\\u{202e}");
    assert_eq!(of(&"x".repeat(1000)), format!("CN={}", "x".repeat(253)));
    assert_eq!(subject(&vec![1, 2, 3].into()), "");
}
