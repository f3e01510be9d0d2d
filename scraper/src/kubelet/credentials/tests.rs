use std::fs;

use kube::config::AuthInfo;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};

use super::*;

fn base(auth_info: AuthInfo) -> Config {
    let mut config = Config::new("https://cluster.test".parse().unwrap());
    config.auth_info = auth_info;
    config
}

fn authorization(credentials: &Credentials) -> String {
    let access = credentials.access();
    let value = access.authorization.as_ref().unwrap();
    assert!(value.is_sensitive());
    value.to_str().unwrap().to_owned()
}

fn self_signed() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["n1.test".to_owned()]).unwrap()
}

#[test]
fn the_token_of_the_cluster_is_sent_to_kubelets() {
    let auth_info = AuthInfo {
        token: Some("abc\n".to_owned().into()),
        ..AuthInfo::default()
    };
    let credentials = Credentials::new(&Security::default(), &base(auth_info)).unwrap();
    assert_eq!(authorization(&credentials), "Bearer abc");
    assert!(credentials.access().tls.is_some());
    assert!(!format!("{credentials:?}").contains("abc"));
}

#[test]
fn a_user_name_and_password_are_sent_when_there_is_no_token() {
    let auth_info = AuthInfo {
        username: Some("jane".to_owned()),
        password: Some("secret".to_owned().into()),
        ..AuthInfo::default()
    };
    let credentials = Credentials::new(&Security::default(), &base(auth_info)).unwrap();
    assert_eq!(authorization(&credentials), "Basic amFuZTpzZWNyZXQ=");
}

#[test]
fn completely_insecure_is_without_tls_and_credentials() {
    let auth_info = AuthInfo {
        token_file: Some("/nonexistent/token".to_owned()),
        ..AuthInfo::default()
    };
    let security = Security {
        completely_insecure: true,
        ..Security::default()
    };
    let credentials = Credentials::new(&security, &base(auth_info)).unwrap();
    let access = credentials.access();
    assert!(access.tls.is_none() && access.authorization.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_token_file_is_read_again_after_a_minute() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    fs::write(&path, "one\n").unwrap();
    let auth_info = AuthInfo {
        token_file: Some(path.display().to_string()),
        ..AuthInfo::default()
    };
    let credentials = Credentials::new(&Security::default(), &base(auth_info)).unwrap();
    fs::write(&path, "two").unwrap();
    assert_eq!(authorization(&credentials), "Bearer one");
    tokio::time::advance(POLL_INTERVAL).await;
    assert_eq!(authorization(&credentials), "Bearer two");
    // Connections do not depend on it.
    assert_eq!(credentials.access().generation, 0);

    fs::remove_file(&path).unwrap();
    tokio::time::advance(POLL_INTERVAL).await;
    assert_eq!(authorization(&credentials), "Bearer two");
}

#[tokio::test(start_paused = true)]
async fn another_authority_or_certificate_makes_a_new_generation() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    let write = |pair: &CertifiedKey<KeyPair>| {
        fs::write(file("tls.crt"), pair.cert.pem()).unwrap();
        fs::write(file("tls.key"), pair.signing_key.serialize_pem()).unwrap();
    };
    write(&self_signed());
    fs::write(file("ca.crt"), self_signed().cert.pem()).unwrap();
    let security = Security {
        authority: Some(file("ca.crt")),
        pair: Some(PairFiles {
            certificate: file("tls.crt"),
            key: file("tls.key"),
        }),
        ..Security::default()
    };
    let credentials = Credentials::new(&security, &base(AuthInfo::default())).unwrap();

    write(&self_signed());
    tokio::time::advance(POLL_INTERVAL).await;
    assert_eq!(credentials.access().generation, 1);

    // Half of a pair is not taken.
    fs::write(
        file("tls.key"),
        KeyPair::generate().unwrap().serialize_pem(),
    )
    .unwrap();
    tokio::time::advance(POLL_INTERVAL).await;
    assert_eq!(credentials.access().generation, 1);

    write(&self_signed());
    fs::write(file("ca.crt"), self_signed().cert.pem()).unwrap();
    tokio::time::advance(POLL_INTERVAL).await;
    assert_eq!(credentials.access().generation, 2);
}

#[test]
fn what_cannot_be_used_at_the_start_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.crt");
    let security = Security {
        authority: Some(path.clone()),
        ..Security::default()
    };
    let error = || {
        let credentials = Credentials::new(&security, &base(AuthInfo::default()));
        credentials.unwrap_err().to_string()
    };
    let start = format!(
        "--kubelet-certificate-authority {}: No such file",
        path.display()
    );
    assert!(error().starts_with(&start), "{}", error());
    fs::write(&path, "hello").unwrap();
    assert_eq!(
        error(),
        "--kubelet-certificate-authority: no certificate in it"
    );
}
