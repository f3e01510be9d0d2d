//! Who may write which Lease: a pod its own, by the policy of the chart.

use anyhow::Context as _;
use serde_json::{Value, json};
use tributary_controlplane::{kubectl::Outcome, patience::eventually};

use crate::{
    installed::both_own_nodes,
    site::{NAMESPACE, Site, items, on_site},
};

/// The token of a pod of a scraper, as somebody has it who broke in there.
struct Thief<'a> {
    site: &'a Site,
    kubeconfig: String,
    pod: String,
}

impl<'a> Thief<'a> {
    async fn of(site: &'a Site, pod: &str, bound: bool) -> anyhow::Result<Self> {
        let start = ["create", "token", "tributary-scraper", "-n", NAMESPACE];
        let bind = ["--bound-object-kind=Pod", "--bound-object-name", pod];
        let bind: &[&str] = if bound { &bind } else { &[] };
        let token = site.kubectl.ok(&[&start[..], bind].concat()).await?;
        let kubeconfig = site.plane.kubeconfig_of("thief", token.trim())?;
        Ok(Self {
            site,
            kubeconfig: kubeconfig.display().to_string(),
            pod: pod.to_owned(),
        })
    }

    async fn run(&self, arguments: &[&str]) -> anyhow::Result<Outcome> {
        let start = ["--kubeconfig", &self.kubeconfig, "-n", NAMESPACE];
        self.site
            .kubectl
            .run(&[&start[..], arguments].concat())
            .await
    }

    /// Writes a Lease as scrapers do.
    async fn write(&self, name: &str, holder: &str, group: &str) -> anyhow::Result<Outcome> {
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": { "name": name, "labels": { "tributary.dev/group": group } },
            "spec": { "holderIdentity": holder, "leaseDurationSeconds": 15 },
        });
        let path = self.site.dir.path().join("lease.json");
        std::fs::write(&path, lease.to_string())?;
        let path = path.display().to_string();
        self.run(&["apply", "--server-side", "--force-conflicts", "-f", &path])
            .await
    }

    async fn delete(&self, name: &str) -> anyhow::Result<Outcome> {
        self.run(&["delete", "lease", name, "--wait=false"]).await
    }
}

fn refused(outcome: &Outcome, says: &str) -> anyhow::Result<()> {
    let refused = !outcome.ok && outcome.stderr.contains(says);
    anyhow::ensure!(refused, "{says}: {outcome:?}");
    Ok(())
}

const NAME: &str = "a scraper may write or delete only its own Lease, which is called tributary- and the name of its pod";
const HOLDER: &str = "the holder of a scraper's Lease is the scraper itself";
const GROUP: &str = "a scraper is in the group of its ServiceAccount";

#[test]
fn a_scraper_writes_and_deletes_its_own_lease_and_no_other() -> anyhow::Result<()> {
    on_site(async |site| {
        site.install(&["--set", "profile=ha"]).await?;
        site.available().await?;
        println!("{}", site.top().await?);
        both_own_nodes(&site).await?;
        let pods = site.pods_of("scraper").await?;
        let name = |index: usize| pods[index].0["metadata"]["name"].as_str();
        let (own, other) = (name(0).context("a pod")?, name(1).context("a pod")?);
        let thief = Thief::of(&site, own, true).await?;
        let lease = |pod: &str| format!("tributary-{pod}");

        // The policy is in force some time after it was made.
        eventually("another's Lease cannot be written", || async {
            refused(&thief.write(&lease(other), other, "default").await?, NAME)
        })
        .await?;
        refused(&thief.write(&lease("fake"), "fake", "default").await?, NAME)?;
        refused(&thief.write("kube-scheduler", own, "default").await?, NAME)?;
        refused(&thief.delete(&lease(other)).await?, NAME)?;
        refused(&thief.write(&lease(own), other, "default").await?, HOLDER)?;
        refused(&thief.write(&lease(own), own, "other").await?, GROUP)?;
        let own_written = thief.write(&lease(own), own, "default").await?;
        assert!(own_written.ok, "{own_written:?}");
        let own_deleted = thief.delete(&lease(&thief.pod)).await?;
        assert!(own_deleted.ok, "{own_deleted:?}");

        // A token of the same account that is of no pod writes nothing.
        let unbound = Thief::of(&site, own, false).await?;
        refused(&unbound.write(&lease(own), own, "default").await?, NAME)?;
        refused(&unbound.delete(&lease(other)).await?, NAME)?;

        both_own_nodes(&site).await?;
        println!("{}", site.top().await?);
        a_pod_that_goes_takes_its_lease_along(&site, own).await
    })
}

/// However it ends: others may not clear away what it leaves.
async fn a_pod_that_goes_takes_its_lease_along(site: &Site, pod: &str) -> anyhow::Result<()> {
    let get = ["get", "leases", "-n", NAMESPACE, "-o", "json"];
    let leases = items(&site.kubectl.ok(&get).await?)?;
    let mut named = leases
        .iter()
        .filter(|lease| lease["spec"]["holderIdentity"] == pod);
    let lease = named.next().context("the lease of the pod")?;
    let owner = &lease["metadata"]["ownerReferences"][0];
    assert_eq!(
        (&owner["kind"], &owner["name"]),
        (&json!("Pod"), &json!(pod))
    );
    // At once, so that it says nothing.
    let delete = [
        "delete",
        "pod",
        pod,
        "-n",
        NAMESPACE,
        "--grace-period=0",
        "--force",
    ];
    site.kubectl.ok(&delete).await?;
    eventually("the lease is gone, and another pod has one", || async {
        let leases = items(&site.kubectl.ok(&get).await?)?;
        let holders = leases.iter().map(|lease| &lease["spec"]["holderIdentity"]);
        let holders: Vec<&Value> = holders.collect();
        let replaced = holders.len() == 2 && holders.iter().all(|holder| **holder != pod);
        anyhow::ensure!(replaced, "{holders:?}");
        Ok(())
    })
    .await
}
