//! A certificate that somebody else keeps in a secret.

use std::fs;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use tributary_sim::{Ca, Pki};

use crate::{
    installed::both_own_nodes,
    site::{NAMESPACE, Site, on_site},
};

/// The name that kube-apiserver and scrapers verify.
const SERVER: &str = "tributary.tributary-system.svc";

/// Writes a certificate by the CA into the secret `mine`, which becomes just that.
async fn keep(site: &Site, pki: &Pki, with_ca: bool) -> anyhow::Result<()> {
    let dir = site.dir.path();
    let made = pki.server(Ca::Bus, &[SERVER.to_owned()])?;
    let mut files = vec![
        ("ca.crt", pki.ca(Ca::Bus).to_owned()),
        ("tls.crt", made.certificate.clone()),
        ("tls.key", made.key.clone()),
    ];
    if !with_ca {
        files.remove(0);
    }
    let mut data = serde_json::Map::new();
    for (name, text) in files {
        data.insert(name.to_owned(), BASE64_STANDARD.encode(text).into());
    }
    let secret = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": "mine", "namespace": NAMESPACE },
        "type": "kubernetes.io/tls",
        "data": data,
    });
    let path = dir.join("secret.json");
    fs::write(&path, secret.to_string())?;
    let path = path.display().to_string();
    let apply = ["apply", "--server-side", "-f", &path];
    site.kubectl.ok(&apply).await?;
    Ok(())
}

/// By whom kube-apiserver knows frontends: by this CA, and never by nobody.
async fn trusted_by(site: &Site, pki: &Pki) -> anyhow::Result<()> {
    for version in ["v1beta1", "v1"] {
        let name = format!("apiservice/{version}.metrics.k8s.io");
        let path = "jsonpath={.spec.caBundle} {.spec.insecureSkipTLSVerify}";
        let said = site.kubectl.ok(&["get", &name, "-o", path]).await?;
        let (bundle, skips) = said.split_once(' ').unwrap_or_default();
        assert_eq!(bundle, BASE64_STANDARD.encode(pki.ca(Ca::Bus)), "{version}");
        assert_eq!(skips, "", "{version}");
    }
    Ok(())
}

const MINE: &str = "tls.type=existingSecret,tls.existingSecret.name=mine";

#[test]
fn a_secret_of_ones_own_serves_by_its_ca_and_while_it_is_renewed() -> anyhow::Result<()> {
    on_site(async |site| {
        let pki = Pki::new()?;
        keep(&site, &pki, true).await?;
        let values = ["--set", MINE, "--set", "profile=ha,replicas=2"];
        site.install(&values).await?;
        trusted_by(&site, &pki).await?;
        site.available().await?;
        println!("{}", site.top().await?);
        both_own_nodes(&site).await?;

        keep(&site, &pki, true).await?;
        site.new_certificate_without_a_failure().await
    })
}

#[test]
fn a_secret_without_a_ca_serves_by_the_ca_in_the_values() -> anyhow::Result<()> {
    on_site(async |site| {
        let pki = Pki::new()?;
        keep(&site, &pki, false).await?;
        let ca = site.dir.path().join("values-ca.crt");
        fs::write(&ca, pki.ca(Ca::Bus))?;
        let ca = format!("apiService.caBundle={}", ca.display());
        let values = ["--set", MINE, "--set", "replicas=2", "--set-file", &ca];
        site.install(&values).await?;
        trusted_by(&site, &pki).await?;
        site.available().await?;
        println!("{}", site.top().await?);
        both_own_nodes(&site).await
    })
}
