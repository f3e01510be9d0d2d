//! What kube-apiserver forwards to an aggregated API server of a user's request.

use std::sync::Arc;

use anyhow::Context as _;
use axum::{Json, Router, extract::Request};
use http::{HeaderMap, header::AUTHORIZATION};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tributary_controlplane::{
    components::NAMESPACE,
    objects::{apply, grant, service_account},
    patience::eventually,
    rig::{Rig, share},
};
use tributary_runtime::{
    serve::{Address, FirstLook, Limits, Listener, ServeMetrics, Server},
    tls::{ClientCertificates, ServingCertificate, TLS12_AND_13, server_config},
};

use crate::credentials::kubectl;

const GROUP: &str = "forwarded.tributary.dev";

/// The path and headers of each request.
type Received = Arc<Mutex<Vec<(String, HeaderMap)>>>;

/// An API server that keeps what it receives, and its port.
async fn keeper(received: &Received) -> anyhow::Result<(u16, JoinSet<std::io::Result<()>>)> {
    let listening = Listener::bind(&"127.0.0.1:0".parse()?).await?;
    let Address::Tcp(address) = listening.address else {
        anyhow::bail!("no TCP address");
    };
    let own = ServingCertificate::self_signed(["localhost".to_owned()], [])?;
    let tls = server_config(own, ClientCertificates::Unverified, TLS12_AND_13, &[])?;
    let kept = Arc::clone(received);
    let router = Router::new().fallback(async move |request: Request| {
        let path = request.uri().path().to_owned();
        kept.lock().push((path, request.headers().clone()));
        Json(json!({ "kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": format!("{GROUP}/v1"), "resources": [] }))
    });
    let server = Server {
        listener: listening.listener,
        tls: Some(tls),
        first_look: FirstLook::default(),
        limits: Limits::default(),
        metrics: ServeMetrics::default(),
    };
    let mut running = JoinSet::new();
    running.spawn(server.run(router, CancellationToken::new()));
    Ok((address.port(), running))
}

/// The Service and the `APIService` that lead to it.
async fn register(rig: &Rig, port: u16) -> anyhow::Result<()> {
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "namespace": NAMESPACE, "name": "forwarded" },
        "spec": { "type": "ExternalName", "externalName": "localhost" },
    });
    let version: Value = json!({
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": { "name": format!("v1.{GROUP}") },
        "spec": {
            "group": GROUP,
            "version": "v1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "service": { "namespace": NAMESPACE, "name": "forwarded", "port": port },
            "insecureSkipTLSVerify": true,
        },
    });
    apply(&rig.client, &service).await?;
    apply(&rig.client, &version).await
}

/// Sends a request of a user through kube-apiserver, and looks at what has been forwarded.
async fn is_forwarded_without_its_token(rig: &Rig, received: &Received) -> anyhow::Result<()> {
    let name = "forwarded-user";
    let token = service_account(&rig.client, NAMESPACE, name).await?;
    let rules = json!([{ "apiGroups": [GROUP], "resources": ["things"], "verbs": ["get"] }]);
    grant(&rig.client, (NAMESPACE, name), rules).await?;
    let user = kubectl(rig, name, &token)?;
    let path = format!("/apis/{GROUP}/v1/things/one");
    eventually("the request arrives", || async {
        let outcome = user.run(&["get", "--raw", &path]).await?;
        anyhow::ensure!(outcome.ok, "{outcome:?}");
        Ok(())
    })
    .await?;
    let received = received.lock().clone();
    let of_user = received.iter().find(|(of, _)| *of == path);
    let (_, headers) = of_user.context("the request")?;
    let remote = headers.get("x-remote-user").context("a user")?.to_str()?;
    let expected = format!("system:serviceaccount:{NAMESPACE}:{name}");
    anyhow::ensure!(remote == expected, "{remote}");
    for (path, headers) in &received {
        anyhow::ensure!(headers.get(AUTHORIZATION).is_none(), "{path}");
        let has_token = headers.values().any(|value| {
            value
                .as_bytes()
                .windows(token.len())
                .any(|part| part == token.as_bytes())
        });
        anyhow::ensure!(!has_token, "{path}");
    }
    Ok(())
}

#[test]
fn the_token_of_a_user_does_not_come_through_kube_apiserver() -> anyhow::Result<()> {
    share(|rig| async move {
        let received = Received::default();
        let (port, _running) = keeper(&received).await?;
        // Others share the control plane, so what is registered goes away whatever happens: nothing before may panic.
        let outcome = match register(&rig, port).await {
            Ok(()) => is_forwarded_without_its_token(&rig, &received).await,
            failed => failed,
        };
        let version = format!("v1.{GROUP}");
        let remove = ["delete", "apiservice", &version, "--ignore-not-found"];
        let removed = rig.kubectl()?.ok(&remove).await;
        outcome?;
        removed.map(drop)
    })
}
