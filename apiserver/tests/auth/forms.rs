//! Certificates of forms that clusters have and webpki does not read.

use super::{
    caller::Caller,
    serving::shown,
    stage::{NODES, Stage},
};

const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/auth/version1");
const CERTIFICATE: &str = include_str!("version1/client.crt");
const KEY: &str = include_str!("version1/client.key");

/// A cluster set up by hand: `openssl x509 -req` makes version 1.
#[tokio::test(flavor = "multi_thread")]
async fn a_front_proxy_of_version_1_is_believed() {
    let ca = format!("--requestheader-client-ca-file={DIR}/ca.crt");
    let flags = [
        &*ca,
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-allowed-names=front-proxy-client",
    ];
    let stage = Stage::ready(&flags).await;
    let proxy = Caller::of(CERTIFICATE, KEY)
        .header("X-Remote-User", "root")
        .header("X-Remote-Group", "system:masters");
    for proxy in [proxy.clone(), proxy.tls12()] {
        let answer = proxy.get(stage.api, NODES).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_version_1_is_the_one_it_names() {
    let ca = format!("--client-ca-file={DIR}/ca.crt");
    let stage = Stage::ready(&[&ca]).await;
    let user = Caller::of(CERTIFICATE, KEY);
    let answer = user.get(stage.api, NODES).await;
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(answer.body.contains("front-proxy-client"), "{answer:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serving_certificate_of_version_1_is_shown() {
    let flags = [
        format!("--tls-cert-file={DIR}/client.crt"),
        format!("--tls-private-key-file={DIR}/client.key"),
    ];
    let flags = flags.each_ref().map(String::as_str);
    let stage = Stage::start(&flags).await;
    let (certificate, _) = shown(stage.api, "localhost").await;
    let files = tributary_runtime::tls::certificates(format!("{DIR}/client.crt").as_ref());
    assert_eq!(vec![certificate], files.unwrap());
    stage.stop().await;
}
