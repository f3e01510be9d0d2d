//! What the chart renders: taken by kube-apiserver, and every flag in it by our binaries.

use std::path::Path;

use anyhow::Context as _;
use clap::Parser as _;
use serde_json::Value;
use tributary_apiserver::args::Args as FrontendArgs;
use tributary_controlplane::patience::eventually;
use tributary_scraper::{args::Args as ScraperArgs, config::Config};

use crate::site::{CHART, NAMESPACE, Site, helm, items, on_site};

const PROFILES: [(&str, &[&str]); 6] = [
    ("sidecar", &[]),
    (
        "without what is new",
        &[
            "--set",
            "replicas=2,kubeletReader.enabled=false,leasePolicy.enabled=false",
        ],
    ),
    (
        "with accounts that exist",
        &[
            "--set",
            "profile=ha,scraper.serviceAccount.create=false,scraper.serviceAccount.name=mine",
            "--set",
            "kubeletReader.serviceAccount.create=false,kubeletReader.serviceAccount.name=theirs",
        ],
    ),
    ("sidecar with three replicas", &["--set", "replicas=3"]),
    ("ha", &["--set", "profile=ha,replicas=2"]),
    (
        "ha with groups",
        &[
            "--set",
            "profile=ha,scraper.groups[0].name=a,scraper.groups[0].selector=pool=a",
            "--set",
            "scraper.groups[1].name=b,scraper.groups[1].selector=pool!=a,scraper.groups[1].replicas=1",
        ],
    ),
];

const CERTIFICATES: [(&str, &[&str]); 7] = [
    ("auto", &[]),
    (
        "helm",
        &["--set", "tls.type=helm,tls.helm.allowOffline=true"],
    ),
    (
        "injected",
        &[
            "--set",
            "tls.type=existingSecret,tls.existingSecret.name=mine,apiService.caBundleInjected=true",
        ],
    ),
    ("cert-manager", &["--set", "tls.type=cert-manager"]),
    (
        "an issuer that exists",
        &[
            "--set",
            "tls.type=cert-manager,tls.certManager.existingIssuer.enabled=true",
        ],
    ),
    (
        "a secret that exists",
        &[
            "--set",
            "tls.type=existingSecret,tls.existingSecret.name=mine,apiService.caBundle=PEM",
        ],
    ),
    (
        "none",
        &[
            "--set",
            "tls.type=existingSecret,tls.existingSecret.name=mine,apiService.insecureSkipTLSVerify=true",
        ],
    ),
];

/// All that is off by default.
const EVERYTHING: &[&str] = &[
    "--set",
    "metrics.enabled=true,serviceMonitor.enabled=true,prometheusRule.enabled=true,dashboard.enabled=true",
    "--set",
    "networkPolicy.egress.enabled=true,podDisruptionBudget.enabled=true,hostUsers=false",
];

#[test]
fn every_profile_with_every_certificate_is_taken_by_kube_apiserver_and_by_the_binaries()
-> anyhow::Result<()> {
    on_site(async |site| {
        define(&site).await?;
        for (profile, one) in PROFILES {
            for (certificate, two) in CERTIFICATES {
                for more in [&[][..], EVERYTHING] {
                    let values = [one, two, more].concat();
                    let tried = taken(&site, &values).await;
                    tried.with_context(|| format!("{profile}, {certificate}"))?;
                }
            }
        }
        let own = [
            "--set",
            "tls.type=metrics-server,apiService.insecureSkipTLSVerify=true",
        ];
        taken(&site, &own).await.context("made by the frontend")
    })
}

/// The kinds of cert-manager and of the Prometheus operator.
pub(crate) async fn define(site: &Site) -> anyhow::Result<()> {
    let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/bin/crds");
    let crds = crds.display().to_string();
    let apply = ["apply", "--server-side", "-f", &crds];
    site.kubectl.ok(&apply).await?;
    eventually("the kinds are served", || async {
        let kinds = site.kubectl.ok(&["api-resources", "--no-headers"]).await?;
        let served = [
            "issuers",
            "certificates",
            "servicemonitors",
            "prometheusrules",
        ];
        let all = served.iter().all(|kind| kinds.contains(kind));
        anyhow::ensure!(all, "{kinds}");
        Ok(())
    })
    .await
}

async fn taken(site: &Site, values: &[&str]) -> anyhow::Result<()> {
    let lint = helm(None, &[&["lint", CHART], values].concat()).await?;
    anyhow::ensure!(lint.ok, "{}{}", lint.stdout, lint.stderr);
    let path = site.dir.path().join("rendered.yaml");
    std::fs::write(&path, template(values).await?)?;
    let path = path.display().to_string();
    let command = [
        "apply",
        "--server-side",
        "--dry-run=server",
        "-o",
        "json",
        "-f",
        &path,
    ];
    let outcome = site.kubectl.run(&command).await?;
    anyhow::ensure!(outcome.ok, "{}", outcome.stderr);
    // Pods that would not be admitted are warned of.
    anyhow::ensure!(outcome.stderr.is_empty(), "{}", outcome.stderr);
    let mut containers = 0;
    for object in items(&outcome.stdout)? {
        let found = object.pointer("/spec/template/spec/containers");
        for container in found.and_then(Value::as_array).into_iter().flatten() {
            parse(container)?;
            containers += 1;
        }
    }
    anyhow::ensure!(containers >= 2, "{containers} containers");
    Ok(())
}

/// Parses the flags of a container as its binary does.
fn parse(container: &Value) -> anyhow::Result<()> {
    let words = |field: &str| {
        let words = container[field].as_array().into_iter().flatten();
        words
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let line = [words("command"), words("args")].concat();
    match line.first().map(String::as_str) {
        Some("/usr/bin/tributary-apiserver") => {
            FrontendArgs::try_parse_from(&line).with_context(|| line.join(" "))?;
        }
        Some("/usr/bin/tributary-scraper") => {
            let named = [line.clone(), vec!["--source-name=pod".to_owned()]].concat();
            let args = ScraperArgs::try_parse_from(named).with_context(|| line.join(" "))?;
            Config::try_from(args).with_context(|| line.join(" "))?;
        }
        other => anyhow::bail!("a container that runs {other:?}"),
    }
    Ok(())
}

/// `helm template` of a profile with a certificate.
async fn template(values: &[&str]) -> anyhow::Result<String> {
    let start = ["template", "tributary", CHART, "-n", NAMESPACE];
    let rendered = helm(None, &[&start[..], values].concat()).await?;
    anyhow::ensure!(rendered.ok, "{}", rendered.stderr);
    Ok(rendered.stdout)
}

#[test]
fn rendered_twice_it_is_the_same_except_certificates_that_helm_makes() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    for (profile, one) in PROFILES {
        for (certificate, two) in CERTIFICATES {
            let values = [one, two, EVERYTHING].concat();
            let first = runtime.block_on(template(&values))?;
            let second = runtime.block_on(template(&values))?;
            let same = certificate != "helm";
            assert_eq!(first == second, same, "{profile}, {certificate}");
        }
    }
    Ok(())
}
