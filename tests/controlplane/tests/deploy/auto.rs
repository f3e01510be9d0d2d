//! Certificates that run themselves (`tls.type: auto`), on a real control plane.

use std::{fs, net::SocketAddr};

use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use tributary_controlplane::patience::eventually;
use tributary_runtime::tls::in_pem;

use crate::{
    installed::both_own_nodes,
    polling::{Polling, every_stream_is_open, goes_on, rolled_out},
    site::{CHART, NAMESPACE, Site, helm, on_site},
};

/// A renewal within a minute. Scrapers look at their files every 5 s.
const QUICK: &str = "frontend.args={--tls-auto-overlap=15s}";

/// What an object has there, decoded.
async fn decoded(site: &Site, object: &str, pointer: &str) -> anyhow::Result<Vec<u8>> {
    let object = site.get(object).await?;
    let text = object.pointer(pointer).and_then(Value::as_str);
    Ok(BASE64_STANDARD.decode(text.unwrap_or_default())?)
}

/// The path of an object in the namespace of the release.
fn object(site: &Site, kind: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{}/{kind}/{name}", site.namespace)
}

async fn serving(site: &Site) -> anyhow::Result<Vec<u8>> {
    let secret = object(site, "secrets", "tributary-serving");
    decoded(site, &secret, "/data/tls.crt").await
}

/// All who verify have these CAs, and kube-apiserver verifies.
pub(crate) async fn reported(site: &Site) -> anyhow::Result<Vec<u8>> {
    let secret = object(site, "secrets", "tributary-serving");
    let stored = decoded(site, &secret, "/data/ca.crt").await?;
    for name in [
        "v1beta1.metrics.k8s.io",
        "v1.metrics.k8s.io",
        "v1alpha1.fleet.tributary.dev",
    ] {
        let path = format!("/apis/apiregistration.k8s.io/v1/apiservices/{name}");
        let bundle = decoded(site, &path, "/spec/caBundle").await?;
        anyhow::ensure!(bundle == stored, "{name} has another bundle");
        assert!(site.get(&path).await?["spec"]["insecureSkipTLSVerify"].is_null());
    }
    let map = site
        .get(&object(site, "configmaps", "tributary-ca"))
        .await?;
    let map = map["data"]["ca.crt"].as_str().unwrap_or_default();
    anyhow::ensure!(map.as_bytes() == stored, "the ConfigMap has another bundle");
    Ok(stored)
}

/// Every frontend shows a certificate that one of these CAs has signed.
async fn shown_by_all(site: &Site, cas: &[u8]) -> anyhow::Result<()> {
    let file = site.dir.path().join("cas.pem");
    fs::write(&file, cas)?;
    let cas = format!("--certificate-authority={}", file.display());
    let name = format!("--tls-server-name=tributary.{}.svc", site.namespace);
    for (_, ip) in site.pods_of("frontend").await? {
        let server = format!("https://{}", SocketAddr::new(ip.parse()?, 10250));
        let raw = ["get", "--raw", "/readyz", "--server", &server, &cas, &name];
        site.kubectl
            .ok(&raw)
            .await
            .with_context(|| server.clone())?;
    }
    Ok(())
}

/// Asks for a renewal and waits for its end, while a client polls: a new certificate, and the old CA is trusted nowhere.
pub(crate) async fn renew(site: &Site, polling: &mut Polling) -> anyhow::Result<()> {
    let (before, ca) = (serving(site).await?, reported(site).await?);
    assert_eq!(in_pem(&ca).len(), 1);
    let annotate = ["annotate", "secret/tributary-serving", "-n", site.namespace];
    let renew = ["tributary.dev/renew=now"];
    site.kubectl.ok(&[&annotate[..], &renew].concat()).await?;
    eventually("both CAs are trusted", || async {
        let secret = object(site, "secrets", "tributary-serving");
        let both = decoded(site, &secret, "/data/ca.crt").await?;
        anyhow::ensure!(in_pem(&both).len() == 2, "one CA");
        Ok(())
    })
    .await?;
    let cas = eventually("the old CA is gone everywhere", || async {
        let now = reported(site).await?;
        anyhow::ensure!(in_pem(&now).len() == 1 && now != ca, "not yet");
        Ok(now)
    })
    .await?;
    shown_by_all(site, &cas).await?;
    assert_ne!(serving(site).await?, before);
    polling.is_well()
}

#[test]
fn a_renewal_costs_no_request_and_no_stream_and_leaves_nothing_of_the_old_ca() -> anyhow::Result<()>
{
    on_site(async |site| {
        let values = [
            "--set",
            "tls.type=auto,profile=ha,replicas=2",
            "--set",
            QUICK,
        ];
        site.install(&values).await?;
        site.available().await?;
        println!("{}", site.top().await?);
        both_own_nodes(&site).await?;
        let mut polling = Polling::start(&site);
        renew(&site, &mut polling).await?;
        goes_on(&site).await?;
        every_stream_is_open(&site).await?;
        // Also to frontends that start now, by the new CA alone.
        let restart = ["rollout", "restart", "deploy/tributary", "-n", NAMESPACE];
        site.kubectl.ok(&restart).await?;
        rolled_out(&site).await?;
        every_stream_is_open(&site).await?;
        polling.is_well()?;

        // Upgrades take nothing away.
        let before = (serving(&site).await?, reported(&site).await?);
        site.install(&values).await?;
        site.install(&values).await?;
        assert_eq!((serving(&site).await?, reported(&site).await?), before);
        renew(&site, &mut polling).await?;
        goes_on(&site).await?;
        every_stream_is_open(&site).await?;
        polling.end().await?;

        // What frontends write goes with the release.
        let gone = site
            .helm(&["uninstall", "tributary", "-n", NAMESPACE])
            .await?;
        anyhow::ensure!(gone.ok, "{}", gone.stderr);
        for object in ["secret/tributary-serving", "configmap/tributary-ca"] {
            let get = ["get", object, "-n", NAMESPACE, "--ignore-not-found"];
            assert_eq!(site.kubectl.ok(&get).await?, "");
        }
        Ok(())
    })
}

#[test]
fn rendered_and_applied_again_and_again_it_costs_no_request() -> anyhow::Result<()> {
    on_site(async |site| {
        let template = [
            "template",
            "tributary",
            CHART,
            "-n",
            NAMESPACE,
            "--set",
            "tls.type=auto,replicas=2,bindAddress=$(POD_IP)",
            "--set",
            "scraper.args={--metric-resolution=4s,--kubelet-request-timeout=3s}",
            "--set",
            QUICK,
        ];
        let path = site.dir.path().join("rendered.yaml");
        let mut polling = None;
        let mut first = None;
        for _ in 0..4 {
            let rendered = helm(None, &template).await?;
            anyhow::ensure!(rendered.ok, "{}", rendered.stderr);
            fs::write(&path, &rendered.stdout)?;
            let text = first.get_or_insert_with(|| rendered.stdout.clone());
            assert_eq!(*text, rendered.stdout);
            let apply = ["apply", "-f", &path.display().to_string()];
            site.kubectl.ok(&apply).await?;
            site.available().await?;
            site.top().await?;
            reported(&site).await?;
            polling
                .get_or_insert_with(|| Polling::start(&site))
                .is_well()?;
            goes_on(&site).await?;
        }
        // What frontends have written is no difference, which GitOps tools would undo.
        let path = path.display().to_string();
        site.kubectl.ok(&["diff", "-f", &path]).await?;
        // By server-side apply, as they do.
        let server = ["--server-side", "--force-conflicts", "-f", &path];
        let apply = [&["apply"], &server[..]].concat();
        for _ in 0..2 {
            site.kubectl.ok(&apply).await?;
            reported(&site).await?;
            goes_on(&site).await?;
            site.kubectl.ok(&[&["diff"], &server[..]].concat()).await?;
        }
        let mut polling = polling.context("somebody who polls")?;
        renew(&site, &mut polling).await?;
        site.kubectl.ok(&apply).await?;
        reported(&site).await?;
        polling.end().await
    })
}

#[test]
fn what_is_deleted_comes_back_as_it_was_and_without_memory_as_new() -> anyhow::Result<()> {
    on_site(async |site| {
        let values = [
            "--set",
            "tls.type=auto,profile=ha,replicas=2",
            "--set",
            QUICK,
        ];
        site.install(&values).await?;
        site.available().await?;
        site.top().await?;
        let mut polling = Polling::start(&site);
        let before = serving(&site).await?;
        let delete = ["delete", "-n", NAMESPACE];
        let both = ["secret/tributary-serving", "configmap/tributary-ca"];
        site.kubectl.ok(&[&delete[..], &both].concat()).await?;
        eventually("it is written again", || async {
            anyhow::ensure!(serving(&site).await? == before, "another certificate");
            reported(&site).await
        })
        .await?;
        polling.is_well()?;
        polling.end().await?;

        // With all who remember it: two begin at once, and agree.
        let pods = ["-l", "app.kubernetes.io/component=frontend", "pod"];
        let scale = ["scale", "-n", NAMESPACE, "deploy/tributary", "--replicas"];
        site.kubectl.ok(&[&scale[..], &["0"]].concat()).await?;
        let wait = ["wait", "-n", NAMESPACE, "--for=delete", "--timeout=120s"];
        site.kubectl.ok(&[&wait[..], &pods].concat()).await?;
        site.kubectl.ok(&[&delete[..], &both].concat()).await?;
        site.kubectl.ok(&[&scale[..], &["2"]].concat()).await?;
        site.available().await?;
        site.top().await?;
        assert_ne!(serving(&site).await?, before);
        eventually("both are told of one pair", || reported(&site)).await?;
        eventually("both show it", || async {
            goes_on(&site).await?;
            for (_, ip) in site.pods_of("frontend").await? {
                site.ask_pod("frontend", &ip, "/readyz").await?;
            }
            anyhow::Ok(())
        })
        .await
    })
}

#[test]
fn from_a_certificate_made_by_helm_to_one_that_runs_itself_without_a_failed_request()
-> anyhow::Result<()> {
    on_site(async |site| {
        site.install(&["--set", "tls.type=helm,replicas=2"]).await?;
        site.available().await?;
        site.top().await?;
        let of_helm = object(&site, "secrets", "tributary-tls");
        let of_helm = decoded(&site, &of_helm, "/data/tls.crt").await?;
        let mut polling = Polling::start(&site);
        let auto = ["--set", "tls.type=auto,replicas=2"];
        site.install(&auto).await?;
        rolled_out(&site).await?;
        // Pods of before and of now talk to each other: they show the same.
        assert_eq!(serving(&site).await?, of_helm);
        assert_eq!(in_pem(&reported(&site).await?).len(), 2);
        polling.is_well()?;

        // What was kept for those of before goes with the next upgrade, and Helm's CA when its time has come.
        let values = [&auto[..], &["--set", QUICK]].concat();
        site.install(&values).await?;
        rolled_out(&site).await?;
        let secrets = ["get", "secrets", "-n", NAMESPACE, "-o", "name"];
        let secrets = site.kubectl.ok(&secrets).await?;
        for gone in ["secret/tributary-tls\n", "secret/tributary-ca\n"] {
            assert!(!secrets.contains(gone), "{secrets}");
        }
        eventually("Helm's CA is trusted no more", || async {
            let (cas, now) = (reported(&site).await?, serving(&site).await?);
            anyhow::ensure!(in_pem(&cas).len() == 1 && now != of_helm, "it is yet");
            Ok(())
        })
        .await?;
        polling.is_well()?;
        site.install(&values).await?;
        site.install(&values).await?;
        reported(&site).await?;
        renew(&site, &mut polling).await?;
        site.install(&values).await?;
        reported(&site).await?;
        polling.end().await
    })
}
