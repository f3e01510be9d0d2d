//! Who may publish is decided by real tokens and real RBAC.

use std::net::SocketAddr;

use anyhow::Context as _;
use kube::{Api, api::DeleteParams};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tributary_controlplane::{
    components::{AUDIENCE, NAMESPACE},
    objects::{grant, service_account, token},
    patience::eventually,
    rig::{Rig, share},
};

use crate::{
    access::at_the_frontend,
    credentials::{kubectl, may},
};

/// A number that a scraper tells of itself.
async fn metric(admin: SocketAddr, name: &str) -> anyhow::Result<u64> {
    let mut stream = TcpStream::connect(admin).await?;
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let mut values = text
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(values.next().context("no such metric")?.parse()?)
}

const DENIED: &str = "tributary_bus_streams_denied_total";
const CONNECTED: &str = "tributary_bus_frontends_connected";

async fn is_denied(admin: SocketAddr) -> anyhow::Result<()> {
    eventually("a refusal", || async {
        let denied = metric(admin, DENIED).await?;
        anyhow::ensure!(denied > 0 && metric(admin, CONNECTED).await? == 0);
        Ok(())
    })
    .await
}

async fn account(rig: &Rig, name: &str) -> anyhow::Result<()> {
    service_account(&rig.client, NAMESPACE, name)
        .await
        .map(drop)
}

#[test]
fn a_service_account_publishes_while_rbac_lets_it() -> anyhow::Result<()> {
    share(|rig| async move {
        let name = "newcomer";
        let own = service_account(&rig.client, NAMESPACE, name).await?;
        let own = kubectl(&rig, name, &own)?;
        let before = may(&own, NAMESPACE).await?;
        let shown = token(&rig.client, (NAMESPACE, name), &[AUDIENCE]).await?;
        let scraper = rig
            .components
            .idle_scraper(&rig.cluster, name, &shown)
            .await?;
        is_denied(scraper.admin).await?;

        let rules = json!([
            { "apiGroups": ["bus.tributary.dev"], "resources": ["samplestreams"], "verbs": ["create"] },
        ]);
        grant(&rig.client, (NAMESPACE, name), rules).await?;
        eventually("it is let in", || async {
            anyhow::ensure!(metric(scraper.admin, CONNECTED).await? == 1);
            Ok(())
        })
        .await?;
        // With the permission it can do nothing else that a scraper can do.
        let after = may(&own, NAMESPACE).await?;
        let more: Vec<_> = after.difference(&before).map(String::as_str).collect();
        assert_eq!(more, ["samplestreams.bus.tributary.dev [] [] [create]"]);
        assert!(before.len() > 3 && before.is_subset(&after), "{before:?}");

        let bindings: Api<k8s_openapi::api::rbac::v1::ClusterRoleBinding> =
            Api::all(rig.client.clone());
        let binding = format!("{NAMESPACE}:{name}:{NAMESPACE}:{name}");
        bindings.delete(&binding, &DeleteParams::default()).await?;
        eventually("it is sent away", || async {
            anyhow::ensure!(metric(scraper.admin, CONNECTED).await? == 0);
            Ok(())
        })
        .await?;
        scraper.stop().await
    })
}

#[test]
fn a_token_for_the_bus_is_of_no_use_anywhere_else() -> anyhow::Result<()> {
    share(|rig| async move {
        let name = "bus-only";
        account(&rig, name).await?;
        let rules = json!([
            { "apiGroups": ["", "metrics.k8s.io"], "resources": ["nodes"], "verbs": ["list"] },
        ]);
        grant(&rig.client, (NAMESPACE, name), rules).await?;
        let [server, ca] = at_the_frontend(&rig);
        let metrics = "/apis/metrics.k8s.io/v1/nodes";
        let usual = token(&rig.client, (NAMESPACE, name), &[]).await?;
        let usual = kubectl(&rig, "usual", &usual)?;
        // A frontend that keeps the token of a scraper cannot use it.
        let kept = token(&rig.client, (NAMESPACE, name), &[AUDIENCE]).await?;
        let kept = kubectl(&rig, "kept", &kept)?;
        for list in [
            &["get", "nodes", "-o", "name"][..],
            &[&server, &ca, "get", "--raw", metrics],
        ] {
            eventually("it may list nodes", || async {
                let outcome = usual.run(list).await?;
                anyhow::ensure!(outcome.ok, "{outcome:?}");
                Ok(())
            })
            .await?;
            // That is 401.
            let outcome = kept.run(list).await?;
            let refused = !outcome.ok && outcome.stderr.contains("Unauthorized");
            assert!(refused, "{list:?}: {outcome:?}");
        }
        Ok(())
    })
}

#[test]
fn a_token_for_another_audience_is_refused() -> anyhow::Result<()> {
    share(|rig| async move {
        let name = "astray";
        account(&rig, name).await?;
        let rules = json!([
            { "apiGroups": ["bus.tributary.dev"], "resources": ["samplestreams"], "verbs": ["create"] },
        ]);
        grant(&rig.client, (NAMESPACE, name), rules).await?;
        for (which, audiences) in [("astray-api", &[][..]), ("astray-other", &["others"][..])] {
            let shown = token(&rig.client, (NAMESPACE, name), audiences).await?;
            let scraper = rig
                .components
                .idle_scraper(&rig.cluster, which, &shown)
                .await?;
            is_denied(scraper.admin).await?;
            scraper.stop().await?;
        }
        Ok(())
    })
}
