//! The requests that a frontend gets from the aggregator.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tributary_sim::{Ca, Cluster, FRONTEND_NAME, FrontendTrust};

use crate::https::Https;

const PATH: &str = "/apis/metrics.k8s.io/v1beta1/namespaces/ns-0000/pods?labelSelector=app%3Dweb";

/// A frontend that requires the aggregator's certificate, and returns the request, with a line for each header.
async fn echo(cluster: &Cluster, tasks: &mut JoinSet<()>) -> SocketAddr {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(cluster.pki().ca(Ca::FrontProxy).as_bytes());
    roots.add(ca.unwrap()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .unwrap();
    let own = cluster
        .pki()
        .server(Ca::Bus, &[FRONTEND_NAME.to_owned()])
        .unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let service = service_fn(async |request| Ok::<_, Infallible>(repeat(&request)));
                http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await
                    .ok();
            });
        }
    });
    address
}

fn repeat(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let mut lines = vec![format!("{} {}", request.method(), request.uri())];
    for (name, value) in request.headers() {
        lines.push(format!("{name}: {}", value.to_str().unwrap()));
    }
    lines.sort();
    Response::new(Full::from(lines.join("\n")))
}

async fn get(cluster: &Cluster, token: &str, path: &str) -> (u16, String) {
    let client = Https::new(cluster.pki().ca(Ca::Cluster), None);
    let bearer = format!("Bearer {token}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("accept", "application/vnd.kubernetes.protobuf, */*"),
        ("accept-encoding", "gzip"),
        ("user-agent", "kubectl.1.33/v1.33.1"),
        ("x-remote-user", "system:admin"),
        ("x-remote-group", "system:masters"),
        ("audit-id", "11111111-2222-3333-4444-555555555555"),
    ];
    let answer = client
        .get(cluster.api_address(), path, &headers)
        .await
        .unwrap();
    (answer.status.as_u16(), answer.text().to_owned())
}

async fn cluster() -> Cluster {
    Cluster::builder().nodes(0).start().await.unwrap()
}

#[tokio::test]
async fn a_frontend_learns_the_user_and_no_header_of_the_client() {
    let cluster = cluster().await;
    let mut tasks = JoinSet::new();
    let frontend = echo(&cluster, &mut tasks).await;
    cluster.set_frontends(vec![frontend]);
    let pem = cluster.pki().ca(Ca::Bus).to_owned();
    let trust = FrontendTrust::Ca {
        pem,
        server_name: FRONTEND_NAME.to_owned(),
    };
    cluster.set_frontend_trust(&trust).unwrap();

    let user = "system:serviceaccount:kube-system:horizontal-pod-autoscaler";
    let (code, text) = get(&cluster, &cluster.token(user), PATH).await;
    assert_eq!(code, 200, "{text}");
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("x-remote-uid") && !line.starts_with("x-remote-extra"))
        .collect();
    assert_eq!(
        lines,
        [
            &format!("GET {PATH}"),
            "accept-encoding: gzip",
            "accept: application/vnd.kubernetes.protobuf, */*",
            "audit-id: 11111111-2222-3333-4444-555555555555",
            &format!("host: {frontend}"),
            "user-agent: kubectl.1.33/v1.33.1",
            "x-forwarded-for: 127.0.0.1",
            &format!("x-forwarded-host: {}", cluster.api_address()),
            "x-forwarded-proto: https",
            "x-forwarded-uri: /apis/metrics.k8s.io/v1beta1/namespaces/ns-0000/pods",
            "x-remote-group: system:authenticated",
            "x-remote-group: system:serviceaccounts",
            "x-remote-group: system:serviceaccounts:kube-system",
            "x-remote-user: system:serviceaccount:kube-system:horizontal-pod-autoscaler",
        ]
    );
    let extra = "x-remote-extra-authentication.kubernetes.io%2fcredential-id: JTI=";
    assert!(text.lines().any(|line| line.starts_with(extra)), "{text}");
    cluster.stop().await;
}

#[tokio::test]
async fn a_frontend_that_is_gone_is_passed_over() {
    let cluster = cluster().await;
    let mut tasks = JoinSet::new();
    let token = cluster.token("system:serviceaccount:a:b");
    let (code, _) = get(&cluster, &token, PATH).await;
    assert_eq!(code, 404);

    let gone = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    cluster.set_frontends(vec![gone]);
    let (code, text) = get(&cluster, &token, PATH).await;
    assert_eq!(code, 503);
    assert!(
        text.contains("\"message\":\"service unavailable\""),
        "{text}"
    );

    let alive = echo(&cluster, &mut tasks).await;
    cluster.set_frontends(vec![gone, alive]);
    for _ in 0..4 {
        assert_eq!(get(&cluster, &token, PATH).await.0, 200);
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_frontend_with_a_certificate_of_another_name_is_not_trusted() {
    let cluster = cluster().await;
    let mut tasks = JoinSet::new();
    let frontend = echo(&cluster, &mut tasks).await;
    cluster.set_frontends(vec![frontend]);
    let pem = cluster.pki().ca(Ca::Bus).to_owned();
    let trust = FrontendTrust::Ca {
        pem,
        server_name: "other.kube-system.svc".to_owned(),
    };
    cluster.set_frontend_trust(&trust).unwrap();
    let token = cluster.token("system:serviceaccount:a:b");
    assert_eq!(get(&cluster, &token, PATH).await.0, 503);
    cluster
        .set_frontend_trust(&FrontendTrust::Unverified)
        .unwrap();
    assert_eq!(get(&cluster, &token, PATH).await.0, 200);
    cluster.stop().await;
}

#[tokio::test]
async fn the_group_is_there_when_a_frontend_is() {
    let cluster = cluster().await;
    let token = cluster.token("system:serviceaccount:a:b");
    let (_, groups) = get(&cluster, &token, "/apis").await;
    assert!(!groups.contains("metrics.k8s.io"), "{groups}");
    cluster.set_frontends(vec![SocketAddr::from(([127, 0, 0, 1], 1))]);
    let (code, group) = get(&cluster, &token, "/apis/metrics.k8s.io").await;
    assert_eq!(code, 200);
    let version = "{\"groupVersion\":\"metrics.k8s.io/v1beta1\",\"version\":\"v1beta1\"}";
    assert!(group.contains(version), "{group}");
    cluster.stop().await;
}

#[tokio::test]
async fn a_group_whose_frontends_are_gone_stays_registered_and_says_why_it_does_not_answer() {
    let cluster = cluster().await;
    let condition = || {
        let object = cluster.object("apiservices", "", "v1beta1.metrics.k8s.io")?;
        let condition = object.pointer("/status/conditions/0")?.clone();
        let field = |name: &str| condition.get(name)?.as_str().map(str::to_owned);
        Some((field("status")?, field("reason")?))
    };
    assert_eq!(condition(), None);
    cluster.set_frontends(Vec::new());
    assert_eq!(condition(), None);
    let is = |status: &str, reason: &str| Some((status.to_owned(), reason.to_owned()));
    cluster.set_frontends(vec![SocketAddr::from(([127, 0, 0, 1], 1))]);
    assert_eq!(condition(), is("True", "Passed"));
    cluster.set_frontends(Vec::new());
    assert_eq!(condition(), is("False", "MissingEndpoints"));
    let token = cluster.token("system:serviceaccount:a:b");
    let (code, text) = get(&cluster, &token, PATH).await;
    assert_eq!(code, 503, "{text}");
    let fleet = "/apis/fleet.tributary.dev/v1alpha1/nodescrapes";
    assert_eq!(get(&cluster, &token, fleet).await.0, 503);
    assert_eq!(get(&cluster, &token, "/apis/metrics.k8s.io").await.0, 200);
    cluster.stop().await;
}

#[tokio::test]
async fn a_group_may_be_registered_before_its_first_frontend() {
    let cluster = cluster().await;
    cluster.register();
    let token = cluster.token("system:serviceaccount:a:b");
    assert_eq!(get(&cluster, &token, PATH).await.0, 503);
    assert_eq!(get(&cluster, &token, "/apis/metrics.k8s.io").await.0, 200);
    cluster.stop().await;
}
