//! Certificates are replaced while requests run, as an operator does it: both CAs in one file for a while.

use std::{fs, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{Extension, Router, response::IntoResponse as _, routing::any};
use http::{HeaderName, HeaderValue, Request, header::CONNECTION};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tributary_controlplane::{
    components::VERSIONS,
    objects::apply,
    patience::eventually,
    rig::{self, Rig, Size},
};
use tributary_runtime::{
    serve::{Address, FirstLook, Limits, Listener, Peer, ServeMetrics, Server},
    tls::{self, ClientCertificates, PairFiles, ServingCertificate, TLS12_AND_13},
};
use tributary_sim::{Ca, Credential, FRONT_PROXY_NAME, FRONTEND_NAME, Pki};

use crate::get;

/// Requests through the aggregator, one after the other, until it is dropped.
struct Traffic {
    seen: Arc<Mutex<Seen>>,
    _running: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    answers: u64,
    /// When the newest sample of every node was taken, the oldest of them.
    oldest: String,
    failed: Vec<String>,
}

impl Seen {
    fn take(&mut self, answer: anyhow::Result<String>) {
        match answer {
            Ok(oldest) => {
                self.answers += 1;
                self.oldest = oldest;
            }
            Err(error) => self.failed.push(format!("{error:#}")),
        }
    }
}

impl Traffic {
    fn on(rig: &Arc<Rig>) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut running = JoinSet::new();
        running.spawn({
            let (rig, seen) = (Arc::clone(rig), Arc::clone(&seen));
            async move {
                loop {
                    let answer = nodes(&rig).await;
                    seen.lock().take(answer);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        });
        Self {
            seen,
            _running: running,
        }
    }

    fn seen(&self) -> parking_lot::MutexGuard<'_, Seen> {
        self.seen.lock()
    }

    /// Waits for fifty more answers, and for samples that are newer.
    async fn goes_on(&self) -> anyhow::Result<()> {
        let (until, before) = {
            let seen = self.seen();
            (seen.answers + 50, seen.oldest.clone())
        };
        eventually("more answers, and newer samples", || async {
            let seen = self.seen();
            let (answers, oldest) = (seen.answers, &seen.oldest);
            anyhow::ensure!(
                answers >= until && *oldest > before,
                "{answers} of {until} answers, samples of {oldest}, {:?}",
                seen.failed
            );
            Ok(())
        })
        .await
    }

    /// What failed since it was last asked for.
    fn failed(&self) -> Vec<String> {
        std::mem::take(&mut self.seen().failed)
    }
}

/// The oldest date among the samples of all three nodes.
async fn nodes(rig: &Rig) -> anyhow::Result<String> {
    let list = get(rig, "nodes").await?;
    let items = list.get("items").and_then(Value::as_array);
    let dates = items.into_iter().flatten();
    let dates: Vec<&str> = dates
        .filter_map(|node| node.get("timestamp")?.as_str())
        .collect();
    anyhow::ensure!(dates.len() == 3, "{list}");
    Ok(dates.into_iter().min().unwrap_or_default().to_owned())
}

/// Replaces a file at once, as Kubernetes does.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    Ok(fs::rename(&new, path)?)
}

/// A direct client that trusts a server of `ca`, perhaps as somebody.
async fn direct(rig: &Rig, ca: &str, who: Option<&Credential>) -> anyhow::Result<Client> {
    let bytes = |text: &str| k8s_openapi::ByteString(text.as_bytes().to_vec());
    let user = who.map_or_else(
        || json!({}),
        |who| json!({ "client-certificate-data": bytes(&who.certificate), "client-key-data": bytes(&who.key) }),
    );
    let server = format!("https://{}", rig.components.api);
    let file: Kubeconfig = serde_json::from_value(json!({
        "clusters": [{ "name": "c", "cluster": { "server": server, "certificate-authority-data": bytes(ca) } }],
        "users": [{ "name": "u", "user": user }],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
        "current-context": "c",
    }))?;
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    let header = |name, value| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    };
    config.headers = vec![
        header("x-remote-user", "kubernetes-admin"),
        header("x-remote-group", "system:masters"),
    ];
    Ok(Client::try_from(config)?)
}

async fn answers(client: &Client, path: &str) -> anyhow::Result<()> {
    let request = Request::get(path).body(Vec::new())?;
    client.request_text(request).await?;
    Ok(())
}

/// An API that only remembers which certificate the aggregator shows.
struct Spy {
    shown: Arc<Mutex<Option<Vec<u8>>>>,
    _running: JoinSet<std::io::Result<()>>,
}

impl Spy {
    const PATH: &str = "/apis/rotation.test/v1";

    async fn start(rig: &Rig) -> anyhow::Result<Self> {
        let shown = Arc::new(Mutex::new(None));
        let note = Arc::clone(&shown);
        let answer = any(async move |Extension(peer): Extension<Peer>| {
            let own = peer.certificates.first().map(|own| own.to_vec());
            *note.lock() = own;
            // So that the next request comes on a connection of its own.
            ([(CONNECTION, "close")], "{}").into_response()
        });
        let listening = Listener::bind(&"127.0.0.1:0".parse()?).await?;
        let Address::Tcp(address) = listening.address else {
            anyhow::bail!("no TCP");
        };
        let paths = rig.cluster.paths();
        let serving = ServingCertificate::from_files(PairFiles {
            certificate: paths.frontend_certificate.clone(),
            key: paths.frontend_key.clone(),
        })?;
        let tls = tls::server_config(
            serving,
            ClientCertificates::Unverified,
            TLS12_AND_13,
            &[b"h2"],
        )?;
        let server = Server {
            listener: listening.listener,
            tls: Some(tls),
            first_look: FirstLook::default(),
            limits: Limits::default(),
            metrics: ServeMetrics::default(),
        };
        let mut running = JoinSet::new();
        let router = Router::new().fallback(answer);
        running.spawn(server.run(router, CancellationToken::new()));
        let api = json!({
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": { "name": "v1.rotation.test" },
            "spec": {
                "group": "rotation.test", "version": "v1",
                "groupPriorityMinimum": 10, "versionPriority": 10,
                "service": { "namespace": "kube-system", "name": "tributary-apiserver", "port": address.port() },
                "insecureSkipTLSVerify": true,
            },
        });
        apply(&rig.client, &api).await?;
        Ok(Self {
            shown,
            _running: running,
        })
    }

    /// Waits until kube-apiserver shows this certificate to those it connects to.
    async fn sees(&self, rig: &Rig, certificate: &Path) -> anyhow::Result<()> {
        let wanted = tls::certificates(certificate)?;
        let wanted = wanted.first().context("a certificate")?.to_vec();
        eventually("the aggregator shows its new certificate", || async {
            answers(&rig.client, Self::PATH).await?;
            let shown = self.shown.lock();
            anyhow::ensure!(shown.as_ref() == Some(&wanted), "another one");
            Ok(())
        })
        .await
    }
}

#[test]
fn the_ca_of_the_front_proxy_is_replaced_while_requests_run() -> anyhow::Result<()> {
    rig::alone(Size::SMALL, async |rig| {
        let (paths, pki, new) = (rig.cluster.paths(), rig.cluster.pki(), Pki::new()?);
        let spy = Spy::start(&rig).await?;
        spy.sees(&rig, &paths.front_proxy_certificate).await?;
        eventually("the first samples", || nodes(&rig)).await?;
        let traffic = Traffic::on(&rig);
        traffic.goes_on().await?;

        let both = [pki, &new].map(|pki| pki.ca(Ca::FrontProxy)).concat();
        replace(&paths.front_proxy_ca, &both)?;
        let pair = new.client(Ca::FrontProxy, FRONT_PROXY_NAME, &[])?;
        let proxy = direct(&rig, pki.ca(Ca::Bus), Some(&pair)).await?;
        let list = "/apis/metrics.k8s.io/v1/nodes";
        eventually("the new CA is believed", || answers(&proxy, list)).await?;

        replace(&paths.front_proxy_key, &pair.key)?;
        replace(&paths.front_proxy_certificate, &pair.certificate)?;
        spy.sees(&rig, &paths.front_proxy_certificate).await?;
        traffic.goes_on().await?;
        assert_eq!(traffic.failed(), [""; 0], "before a CA is dropped");

        replace(&paths.front_proxy_ca, new.ca(Ca::FrontProxy))?;
        let old = pki.client(Ca::FrontProxy, FRONT_PROXY_NAME, &[])?;
        let old = direct(&rig, pki.ca(Ca::Bus), Some(&old)).await?;
        eventually("the old CA is not believed", || async {
            // kube-apiserver only ever adds to the config map: a CA is taken out by hand.
            let map = json!({ "data": { "requestheader-client-ca-file": new.ca(Ca::FrontProxy) } });
            merge(&rig, CONFIG_MAP, &map).await?;
            match answers(&old, list).await {
                Ok(()) => anyhow::bail!("still believed"),
                Err(_) => anyhow::Ok(()),
            }
        })
        .await?;
        traffic.goes_on().await?;
        traffic.goes_on().await?;
        let failed = traffic.failed();
        println!("failed when the CA was dropped: {failed:?}");
        // The connections that kube-apiserver had made with the old certificate, once each.
        let unauthorized = failed.iter().all(|error| error.contains("Unauthorized"));
        assert!(unauthorized && failed.len() <= 2, "{failed:?}");
        Ok(())
    })
}

#[test]
fn the_serving_certificate_and_its_ca_are_replaced_while_requests_run() -> anyhow::Result<()> {
    rig::alone(Size::SMALL, async |rig| {
        let (paths, pki, new) = (rig.cluster.paths(), rig.cluster.pki(), Pki::new()?);
        eventually("the first samples", || nodes(&rig)).await?;
        let traffic = Traffic::on(&rig);
        traffic.goes_on().await?;

        // For kube-apiserver, and for scrapers.
        let both = [pki, &new].map(|pki| pki.ca(Ca::Bus)).concat();
        replace(&paths.bus_ca, &both)?;
        trust(&rig, &both).await?;
        traffic.goes_on().await?;

        let names = [FRONTEND_NAME, "localhost", "127.0.0.1"].map(str::to_owned);
        let pair = new.server(Ca::Bus, &names)?;
        // The key first: for a while they do not belong together.
        replace(&paths.frontend_key, &pair.key)?;
        traffic.goes_on().await?;
        replace(&paths.frontend_certificate, &pair.certificate)?;
        eventually("the new certificate is shown", || async {
            let client = direct(&rig, new.ca(Ca::Bus), None).await?;
            answers(&client, "/livez").await
        })
        .await?;
        traffic.goes_on().await?;
        trust(&rig, new.ca(Ca::Bus)).await?;
        traffic.goes_on().await?;
        assert_eq!(traffic.failed(), [""; 0]);
        Ok(())
    })
}

/// Has kube-apiserver verify the frontend with these CAs.
async fn trust(rig: &Rig, cas: &str) -> anyhow::Result<()> {
    for version in VERSIONS {
        let bundle = k8s_openapi::ByteString(cas.as_bytes().to_vec());
        let path = format!("/apis/apiregistration.k8s.io/v1/apiservices/{version}.metrics.k8s.io");
        merge(rig, &path, &json!({ "spec": { "caBundle": bundle } })).await?;
    }
    Ok(())
}

/// Where frontends read who signs the certificate of the front proxy.
const CONFIG_MAP: &str =
    "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";

/// Changes a part of an object.
async fn merge(rig: &Rig, path: &str, changes: &Value) -> anyhow::Result<()> {
    let request = Request::patch(path)
        .header("content-type", "application/merge-patch+json")
        .body(serde_json::to_vec(changes)?)?;
    rig.client.request_text(request).await?;
    Ok(())
}

#[test]
fn the_ca_of_kubelets_is_replaced_while_they_are_scraped() -> anyhow::Result<()> {
    rig::alone(Size::SMALL, async |rig| {
        let (paths, pki, new) = (rig.cluster.paths(), rig.cluster.pki(), Pki::new()?);
        eventually("the first samples", || nodes(&rig)).await?;
        let traffic = Traffic::on(&rig);
        traffic.goes_on().await?;

        let both = [pki, &new].map(|pki| pki.ca(Ca::Cluster)).concat();
        replace(&paths.kubelet_ca, &both)?;
        let connections = || connections(&rig);
        let before = connections()?;
        // What was made with the old bundle is not used again.
        eventually("the bundle is in force", || async {
            anyhow::ensure!(connections()? >= before + 3, "{}", connections()?);
            Ok(())
        })
        .await?;
        rig.cluster.certify_kubelets(&new)?;
        traffic.goes_on().await?;
        replace(&paths.kubelet_ca, new.ca(Ca::Cluster))?;
        let before = connections()?;
        eventually("the old CA is dropped", || async {
            anyhow::ensure!(connections()? >= before + 3, "{}", connections()?);
            Ok(())
        })
        .await?;
        traffic.goes_on().await?;
        assert_eq!(traffic.failed(), [""; 0]);
        Ok(())
    })
}

/// How many connections kubelets have taken.
fn connections(rig: &Rig) -> anyhow::Result<u64> {
    let of = |name: String| Ok(rig.cluster.kubelet_stats(&name)?.connections);
    rig.cluster.nodes().into_iter().map(of).sum()
}
