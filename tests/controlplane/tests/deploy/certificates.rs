//! The certificate that the chart makes: kept by upgrades, renewed in time, changed while requests run.

use crate::{
    auto::reported,
    installed::both_own_nodes,
    played,
    polling::{Polling, rolled_out},
    rendered::define,
    site::{NAMESPACE, Site, on_site},
};

/// Made by the chart.
const HELM: [&str; 2] = ["--set", "tls.type=helm"];

async fn stored(site: &Site, secret: &str, key: &str) -> anyhow::Result<String> {
    let path = format!("jsonpath={{.data.{}}}", key.replace('.', "\\."));
    let get = ["get", "secret", secret, "-n", NAMESPACE, "-o", &path];
    site.kubectl.ok(&get).await
}

#[test]
fn upgrades_keep_the_certificate_and_renew_it_in_time_without_a_failed_request()
-> anyhow::Result<()> {
    on_site(async |site| {
        site.install(&HELM).await?;
        site.available().await?;
        let (ca, first) = (
            stored(&site, "tributary-ca", "tls.crt").await?,
            stored(&site, "tributary-tls", "tls.crt").await?,
        );
        site.install(&HELM).await?;
        assert_eq!(stored(&site, "tributary-tls", "tls.crt").await?, first);
        assert_eq!(stored(&site, "tributary-ca", "tls.crt").await?, ca);

        // It is valid for 730 days.
        site.install(&["--set", "tls.type=helm,tls.helm.renewBeforeDays=731"])
            .await?;
        assert_ne!(stored(&site, "tributary-tls", "tls.crt").await?, first);
        assert_eq!(stored(&site, "tributary-ca", "tls.crt").await?, ca);
        site.new_certificate_without_a_failure().await?;

        // The CA is valid for five times that; another one is trusted beside it.
        site.install(&["--set", "tls.type=helm,tls.helm.certDurationDays=2000"])
            .await?;
        assert_ne!(stored(&site, "tributary-ca", "tls.crt").await?, ca);
        site.new_certificate_without_a_failure().await?;
        Ok(())
    })
}

#[test]
fn what_the_chart_asks_of_cert_manager_serves_and_while_it_is_renewed() -> anyhow::Result<()> {
    on_site(async |site| {
        define(&site).await?;
        let values = "tls.type=cert-manager,profile=ha,replicas=2";
        site.install(&["--set", values]).await?;
        // A CA of this release, and by it the certificate.
        assert_eq!(played::issue(&site).await?, 2);
        assert_eq!(played::inject(&site).await?, 3);
        site.available().await?;
        println!("{}", site.top().await?);
        both_own_nodes(&site).await?;

        // An upgrade takes away nothing that was injected.
        site.install(&["--set", values]).await?;
        for version in ["v1beta1", "v1"] {
            let name = format!("apiservice/{version}.metrics.k8s.io");
            let bundle = ["get", &name, "-o", "jsonpath={.spec.caBundle}"];
            let ca = stored(&site, "tributary-ca", "tls.crt").await?;
            assert_eq!(site.kubectl.ok(&bundle).await?, ca, "{version}");
        }

        played::renew(&site, "tributary").await?;
        site.new_certificate_without_a_failure().await
    })
}

/// Something else in the cluster writes `caBundle`, by an annotation of the user's.
const INJECTED: [&str; 4] = [
    "--set",
    "tls.type=cert-manager,tls.certManager.addInjectorAnnotations=false,replicas=2",
    "--set",
    r"apiService.caBundleInjected=true,apiService.annotations.cert-manager\.io/inject-ca-from=tributary-system/tributary",
];

#[test]
fn what_another_injects_stays_and_a_change_to_auto_costs_no_request() -> anyhow::Result<()> {
    on_site(async |site| {
        define(&site).await?;
        site.install(&INJECTED).await?;
        assert_eq!(played::issue(&site).await?, 2);
        assert_eq!(played::inject(&site).await?, 3);
        site.available().await?;
        site.top().await?;
        let mut polling = Polling::start(&site);
        site.install(&INJECTED).await?;
        let ca = stored(&site, "tributary-ca", "tls.crt").await?;
        for version in ["v1beta1", "v1"] {
            let name = format!("apiservice/{version}.metrics.k8s.io");
            let bundle = ["get", &name, "-o", "jsonpath={.spec.caBundle}"];
            assert_eq!(site.kubectl.ok(&bundle).await?, ca, "{version}");
        }
        polling.is_well()?;

        let before = stored(&site, "tributary-tls", "tls.crt").await?;
        site.install(&["--set", "tls.type=auto,replicas=2"]).await?;
        rolled_out(&site).await?;
        // The certificate of before is served until its successor is trusted everywhere.
        assert_eq!(stored(&site, "tributary-serving", "tls.crt").await?, before);
        reported(&site).await?;
        polling.end().await
    })
}
