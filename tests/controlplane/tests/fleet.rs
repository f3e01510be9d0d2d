//! `fleet.tributary.dev` through the aggregator, with real clients.

use tributary_controlplane::{
    kubectl::Kubectl,
    objects::{namespace, service_account},
    patience::eventually,
    rig::{self, Rig, Size},
};
use tributary_sim::Fault;

const NODE: &str = "node-00001";

/// The `ClusterRole`s that the chart makes for readers.
const READERS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../deploy/kustomize/base/rbac-readers.yaml"
);

/// Waits until every node is shown as served.
async fn all_served(kubectl: &Kubectl) -> anyhow::Result<()> {
    eventually("all nodes are served", || async {
        let served = [
            "get",
            "nodescrapes",
            "-o",
            "jsonpath={.items[*].status.state}",
        ];
        let states = kubectl.ok(&served).await?;
        anyhow::ensure!(states == "served served served", "{states}");
        Ok(())
    })
    .await
}

/// The titles of a table.
fn titles(table: &str) -> Vec<&str> {
    let first = table.lines().next().unwrap_or_default();
    first.split_whitespace().collect()
}

async fn looks(rig: &Rig) -> anyhow::Result<()> {
    for kubectl in rig.kubectls()? {
        let name = kubectl.name();
        let all = "nodescrapes,scrapers,metricsfrontends";
        let tables = kubectl.ok(&["get", all]).await?;
        for shown in [
            "nodescrape.fleet.tributary.dev/node-00001",
            "scraper.fleet.tributary.dev/scraper-0",
            "scraper.fleet.tributary.dev/scraper-1",
            "metricsfrontend.fleet.tributary.dev/",
        ] {
            assert!(tables.contains(shown), "{name}: {tables}");
        }
        let table = kubectl.ok(&["get", "nodescrapes"]).await?;
        let narrow = [
            "NAME", "STATE", "OWNER", "STANDBY", "SAMPLE", "KUBELET", "REASON",
        ];
        assert_eq!(titles(&table), narrow, "{name}: {table}");
        assert_eq!(table.lines().count(), 4, "{name}: {table}");
        let wide = kubectl.ok(&["get", "nodescrapes", "-o", "wide"]).await?;
        let more = ["RESOLUTION", "MEASURES", "REMEDY", "FAILED", "MESSAGE"];
        assert_eq!(
            titles(&wide),
            [&narrow[..], &more].concat(),
            "{name}: {wide}"
        );
        let owner = ["get", "nodescrape", NODE, "-o", "jsonpath={.status.owner}"];
        let owner = kubectl.ok(&owner).await?;
        assert!(owner.starts_with("scraper-"), "{name}: {owner}");
        let selector = format!("--field-selector=status.owner={owner},status.state=served");
        let own = kubectl
            .ok(&["get", "nodescrapes", &selector, "-o", "name"])
            .await?;
        assert!(own.contains(NODE), "{name}: {own}");
        let none = "--field-selector=status.owner=nobody";
        let none = kubectl
            .ok(&["get", "nodescrapes", none, "-o", "name"])
            .await?;
        assert_eq!(none, "", "{name}");
        let yaml = kubectl
            .ok(&["get", "nodescrape", NODE, "-o", "yaml"])
            .await?;
        assert!(yaml.contains("\n  state: served\n"), "{name}: {yaml}");
        let paged = ["get", "nodescrapes", "--chunk-size=1", "-o", "name"];
        assert_eq!(kubectl.ok(&paged).await?.lines().count(), 3, "{name}");
    }
    Ok(())
}

#[test]
fn every_kubectl_shows_the_fleet() -> anyhow::Result<()> {
    rig::share(async |rig| {
        all_served(&rig.kubectl()?).await?;
        looks(&rig).await
    })
}

#[test]
fn every_kubectl_explains_the_fleet() -> anyhow::Result<()> {
    rig::share(async |rig| {
        for kubectl in rig.kubectls()? {
            explains(&kubectl).await?;
        }
        Ok(())
    })
}

async fn explains(kubectl: &Kubectl) -> anyhow::Result<()> {
    let name = kubectl.name();
    // The aggregator fetches the schema some time after the API became available.
    eventually("nodescrapes are explained", || async {
        let text = kubectl.ok(&["explain", "nodescrapes.status"]).await?;
        let fields = [
            "state",
            "owner",
            "standby",
            "remedy",
            "sample",
            "lastFailure",
        ];
        anyhow::ensure!(text.contains("KIND:       NodeScrape"), "{name}: {text}");
        anyhow::ensure!(
            fields.iter().all(|field| text.contains(field)),
            "{name}: {text}"
        );
        Ok(())
    })
    .await?;
    for (path, word) in [
        ("nodescrapes.status.state", "unreported"),
        ("scrapers.status.nodes", "standby"),
        ("metricsfrontends.status.coverage", "failing"),
    ] {
        let text = kubectl.ok(&["explain", path]).await?;
        assert!(text.contains(word), "{name} {path}: {text}");
    }
    Ok(())
}

#[test]
fn who_may_view_the_cluster_reads_the_fleet_and_tenants_do_not() -> anyhow::Result<()> {
    rig::share(async |rig| {
        let admin = rig.kubectl()?;
        admin.ok(&["apply", "-f", READERS]).await?;
        // The roles are aggregated by the controller manager.
        eventually("view has the rules", || async {
            let rules = [
                "get",
                "clusterrole",
                "view",
                "-o",
                "jsonpath={.rules[*].apiGroups}",
            ];
            let groups = admin.ok(&rules).await?;
            anyhow::ensure!(groups.contains("fleet.tributary.dev"), "{groups}");
            Ok(())
        })
        .await?;
        namespace(&rig.client, "viewers").await?;
        let token = service_account(&rig.client, "viewers", "viewer").await?;
        let binding = [
            "create",
            "clusterrolebinding",
            "fleet-viewer",
            "--clusterrole=view",
            "--serviceaccount=viewers:viewer",
        ];
        admin.ok(&binding).await?;
        for viewer in rig.kubectls_as(&rig.plane.kubeconfig_of("fleet-viewer", &token)?)? {
            eventually("the viewer may", || async {
                let all = "nodescrapes,scrapers,metricsfrontends";
                viewer.ok(&["get", all, "-o", "name"]).await.map(drop)
            })
            .await?;
            wait_for(&viewer, "served").await?;
        }

        let token = service_account(&rig.client, "viewers", "tenant").await?;
        let binding = [
            "create",
            "rolebinding",
            "tenant",
            "-n",
            "viewers",
            "--clusterrole=view",
            "--serviceaccount=viewers:tenant",
        ];
        admin.ok(&binding).await?;
        for tenant in rig.kubectls_as(&rig.plane.kubeconfig_of("fleet-tenant", &token)?)? {
            let refused = tenant.run(&["get", "nodescrapes"]).await?;
            assert_eq!(
                refused.stderr,
                "Error from server (Forbidden): nodescrapes.fleet.tributary.dev is forbidden: User \
                 \"system:serviceaccount:viewers:tenant\" cannot list resource \"nodescrapes\" in API \
                 group \"fleet.tributary.dev\" at the cluster scope\n",
                "{}",
                tenant.name()
            );
        }
        Ok(())
    })
}

/// Waits until a node is in a state. Nothing is complained about meanwhile.
async fn wait_for(kubectl: &Kubectl, state: &str) -> anyhow::Result<()> {
    let condition = format!("--for=jsonpath={{.status.state}}={state}");
    let node = format!("nodescrape/{NODE}");
    let waited = kubectl
        .run(&["wait", &condition, &node, "--timeout=60s"])
        .await?;
    let name = kubectl.name();
    anyhow::ensure!(waited.ok, "{name}: {}", waited.stderr);
    assert_eq!(waited.stderr, "", "{name}");
    assert_eq!(
        waited.stdout,
        format!("nodescrape.fleet.tributary.dev/{NODE} condition met\n"),
        "{name}"
    );
    Ok(())
}

#[test]
fn every_kubectl_waits_for_a_node_and_watches_it() -> anyhow::Result<()> {
    rig::alone(Size::SMALL, async |rig| {
        all_served(&rig.kubectl()?).await?;
        for kubectl in rig.kubectls()? {
            wait_for(&kubectl, "served").await?;
            let fails = async {
                let fault = Fault::Status(500);
                rig.cluster.set_fault(NODE, fault).await?;
                anyhow::Ok(())
            };
            let (waited, set) = tokio::join!(wait_for(&kubectl, "failing"), fails);
            waited.and(set)?;
            let why = ["get", "nodescrape", NODE, "-o"];
            let why = [&why[..], &["jsonpath={.status.reason} {.status.remedy}"]].concat();
            assert_eq!(kubectl.ok(&why).await?, "status KubeletAnswer");

            let selector = "--field-selector=status.state=failing";
            let watch = ["get", "nodescrapes", selector, "--no-headers", "-w"];
            let watch = [&watch[..], &["--output-watch-events"]].concat();
            let mut watch = kubectl.start(&watch)?;
            let first = watch.line().await?;
            assert!(
                first.starts_with("ADDED") && first.contains(NODE),
                "{first}"
            );
            rig.cluster.set_fault(NODE, Fault::None).await?;
            // The failures that follow change the object until then.
            let mut last = watch.line().await?;
            while last.starts_with("MODIFIED") {
                last = watch.line().await?;
            }
            assert!(last.starts_with("DELETED") && last.contains(NODE), "{last}");
        }
        Ok(())
    })
}
