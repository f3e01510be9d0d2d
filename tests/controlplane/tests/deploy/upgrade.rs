//! From scrapers that show kubelets their own token, all under one account, to what the chart does now: nothing is
//! missing meanwhile, also when the new pods do not start.

use std::{collections::BTreeSet, fs, path::Path};

use tributary_controlplane::patience::eventually;

use crate::{
    credentials::seen_by_kubelets,
    polling::{goes_on, oldest},
    site::{CHART, NAMESPACE, ROOT, Site, on_site},
};

/// What the chart did before, in values.
const BEFORE: &str = "kubeletReader.enabled=false,leasePolicy.enabled=false";

const GROUPS: &str = r#"scraper.groups=[
    { "name": "edge", "selector": "pool=edge", "replicas": 1 },
    { "name": "rest", "selector": "pool!=edge", "replicas": 1 }
]"#;

/// The chart as it was when all groups were under one account: by one line of a template.
fn chart_of_before(directory: &Path) -> anyhow::Result<String> {
    let chart = directory.join("tributary");
    let from = Path::new(ROOT).join(CHART);
    for part in ["", "files", "templates"] {
        fs::create_dir_all(chart.join(part))?;
        for entry in fs::read_dir(from.join(part))? {
            let (file, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
            if file.is_file() {
                fs::copy(file, chart.join(part).join(name))?;
            }
        }
    }
    let accounts = chart.join("templates/_accounts.tpl");
    let now = fs::read_to_string(&accounts)?;
    let before = now.replace("{{- with $group.name }}-{{ . }}{{- end -}}", "");
    anyhow::ensure!(before != now, "the template has changed");
    fs::write(&accounts, before)?;
    Ok(chart.display().to_string())
}

async fn may_ask_kubelets(site: &Site, account: &str) -> anyhow::Result<bool> {
    let user = format!("--as=system:serviceaccount:{NAMESPACE}:{account}");
    let ask = [
        "auth",
        "can-i",
        "get",
        "nodes",
        "--subresource=metrics",
        &user,
    ];
    Ok(site.kubectl.run(&ask).await?.ok)
}

async fn accounts(site: &Site) -> anyhow::Result<BTreeSet<String>> {
    let get = ["get", "serviceaccounts", "-n", NAMESPACE, "-o", "name"];
    let names = site.kubectl.ok(&get).await?;
    let names = names
        .lines()
        .filter_map(|line| line.strip_prefix("serviceaccount/"));
    Ok(names
        .filter(|name| *name != "default")
        .map(str::to_owned)
        .collect())
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn scrapers_of_before_go_on_until_those_of_now_have_taken_over() -> anyhow::Result<()> {
    on_site(async |site| {
        let directory = tempfile::tempdir()?;
        let chart = chart_of_before(directory.path())?;
        let before = ["--set", "profile=ha", "--set", BEFORE, "--set-json", GROUPS];
        site.install_chart(&chart, &before).await?;
        site.available().await?;
        site.top().await?;
        let own = set(&["system:serviceaccount:tributary-system:tributary-scraper"]);
        assert_eq!(seen_by_kubelets(&site).await?, own);
        assert_eq!(
            accounts(&site).await?,
            set(&["tributary", "tributary-scraper"])
        );

        // The new pods do not start: those of before have all that they need.
        let broken = [
            "--set",
            "profile=ha,priorityClassName=absent",
            "--set-json",
            GROUPS,
        ];
        site.install(&broken).await?;
        assert!(may_ask_kubelets(&site, "tributary-scraper").await?);
        for _ in 0..4 {
            goes_on(&site).await?;
        }
        assert_eq!(seen_by_kubelets(&site).await?, own);

        let now = ["--set", "profile=ha", "--set-json", GROUPS];
        site.install(&now).await?;
        let reader = set(&["system:serviceaccount:tributary-system:tributary-kubelet-reader"]);
        eventually("kubelets see the reader only", || async {
            oldest(&site).await?;
            let seen = seen_by_kubelets(&site).await?;
            anyhow::ensure!(seen == reader, "{seen:?}");
            Ok(())
        })
        .await?;
        goes_on(&site).await?;
        goes_on(&site).await?;

        // What was kept for those of before goes with the next upgrade.
        site.install(&now).await?;
        let wanted = [
            "tributary",
            "tributary-kubelet-reader",
            "tributary-scraper-edge",
            "tributary-scraper-rest",
        ];
        assert_eq!(accounts(&site).await?, set(&wanted));
        for (account, may) in [
            ("tributary-scraper", false),
            ("tributary-scraper-edge", false),
            ("tributary-kubelet-reader", true),
        ] {
            assert_eq!(may_ask_kubelets(&site, account).await?, may, "{account}");
        }
        goes_on(&site).await?;
        goes_on(&site).await?;
        println!("{}", site.top().await?);
        Ok(())
    })
}
