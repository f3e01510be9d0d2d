//! From one profile to another and back by Helm alone, while clients list nodes through kube-apiserver.

use crate::{
    polling::{Polling, goes_on, rolled_out},
    site::{NAMESPACE, Site, on_site},
};

/// Waits until a change is over in both components, and nothing has failed.
async fn is_over(site: &Site, polling: &mut Polling) -> anyhow::Result<()> {
    rolled_out(site).await?;
    goes_on(site).await?;
    polling.is_well()
}

#[test]
fn more_replicas_another_profile_and_a_rollback_cost_no_request() -> anyhow::Result<()> {
    on_site(async |site| {
        site.install(&[]).await?;
        site.available().await?;
        site.top().await?;
        let mut polling = Polling::start(&site);
        for values in ["replicas=2", "profile=ha,replicas=2"] {
            site.install(&["--set", values]).await?;
            is_over(&site, &mut polling).await?;
        }
        // To two replicas of profile sidecar, and from there to one.
        for revision in ["2", "1"] {
            let back = ["rollback", "tributary", revision, "-n", NAMESPACE];
            let outcome = site.helm(&back).await?;
            anyhow::ensure!(outcome.ok, "helm: {}", outcome.stderr);
            is_over(&site, &mut polling).await?;
        }
        println!("{}", site.top().await?);
        polling.end().await
    })
}
