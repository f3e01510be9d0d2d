//! Scrapers find frontends by real `EndpointSlices`, with a Role for one namespace.

use std::{net::UdpSocket, time::Duration};

use anyhow::Context as _;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{Api, api::DeleteParams};
use serde_json::json;
use tokio::{io::AsyncReadExt as _, net::TcpListener, time::timeout};
use tributary_controlplane::{
    components::{BUS_SERVICE, NAMESPACE},
    objects::apply,
    patience::eventually,
    rig::{Rig, Size, share},
};

const SLICE: &str = "tributary-bus-test";

/// An address of this machine that is not loopback, which the API refuses for endpoints. Nothing is sent.
fn own_address() -> anyhow::Result<std::net::IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket
        .connect("192.0.2.1:9")
        .context("this test needs an address that is not loopback")?;
    Ok(socket.local_addr()?.ip())
}

#[test]
fn scrapers_dial_the_endpoints_of_a_service_until_they_go() -> anyhow::Result<()> {
    share(|rig| async move { dialled(&rig).await })
}

async fn dialled(rig: &Rig) -> anyhow::Result<()> {
    let listener = TcpListener::bind((own_address()?, 0)).await?;
    let address = listener.local_addr()?;
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": NAMESPACE,
            "name": SLICE,
            "labels": { "kubernetes.io/service-name": BUS_SERVICE },
        },
        "addressType": "IPv4",
        "ports": [{ "name": "bus", "port": address.port(), "protocol": "TCP" }],
        "endpoints": [{ "addresses": [address.ip().to_string()], "conditions": { "ready": false } }],
    });
    apply(&rig.client, &slice).await?;

    // Kept open, so that each that comes is another scraper.
    let mut stored = Vec::new();
    let name = format!("{BUS_SERVICE}.{NAMESPACE}.svc");
    for _ in 0..Size::SMALL.scrapers {
        let accepted = timeout(Duration::from_secs(30), listener.accept()).await;
        let (mut stream, _) = accepted.context("nobody dials")??;
        // The name that is expected stands in the first message of TLS.
        let mut hello = vec![0; 4_096];
        let read = stream.read(&mut hello).await?;
        let hello = hello.get(..read).unwrap_or_default();
        anyhow::ensure!(
            hello
                .windows(name.len())
                .any(|part| part == name.as_bytes()),
            "dialled under another name than {name}"
        );
        stored.push(stream);
    }
    drop(stored);

    let slices: Api<EndpointSlice> = Api::namespaced(rig.client.clone(), NAMESPACE);
    slices.delete(SLICE, &DeleteParams::default()).await?;
    eventually("nobody dials for three seconds", || async {
        let accepted = timeout(Duration::from_secs(3), listener.accept()).await;
        anyhow::ensure!(accepted.is_err(), "somebody dials");
        Ok(())
    })
    .await
}
