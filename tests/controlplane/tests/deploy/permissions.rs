//! The permissions that the chart gives are enough, and each is needed.
//!
//! `get` on `nodes/metrics` is checked by real kubelets only: `tests/controlplane/run real` takes it away there. Whether it
//! is in the right hands is looked at in `credentials.rs`.

use anyhow::Context as _;
use serde_json::Value;
use tributary_controlplane::{
    objects::{apply, deployment, namespace},
    patience::eventually,
};
use tributary_sim::{PodSpec, Usage};

use crate::site::{NAMESPACE, Site, on_site};

/// A permission, who does without it, and what that one logs.
struct Needed {
    role: &'static str,
    resource: &'static str,
    verb: &'static str,
    component: &'static str,
    says: &'static str,
    /// What is done to the cluster, by kubectl, so that the permission is used.
    used_after: &'static [&'static str],
}

const fn needed(
    role: &'static str,
    resource: &'static str,
    verb: &'static str,
    component: &'static str,
    says: &'static str,
) -> Needed {
    Needed {
        role,
        resource,
        verb,
        component,
        says,
        used_after: &[],
    }
}

impl Needed {
    const fn used_after(self, used_after: &'static [&'static str]) -> Self {
        Self { used_after, ..self }
    }
}

const FRONTEND: &str = "clusterrole/system:tributary";
const SCRAPER: &str = "clusterrole/system:tributary-scraper";
const LOCAL: &str = "role/tributary-scraper";
const READER: &str = "clusterrole/system:tributary-kubelet-reader";
const TOKENS: &str = "role/tributary-kubelet-reader";
const SERVING: &str = "role/tributary-serving";
/// In the namespace `default`. `node_events.rs` takes its permissions away.
const EVENTS: &str = "role/tributary-node-events";

/// Both components apart, with certificates that run themselves: all roles that there are.
const AUTO: &str = "profile=ha,tls.type=auto";

/// Every permission of both components, in the order of the chart.
const NEEDED: [Needed; 23] = [
    needed(
        FRONTEND,
        "nodes",
        "list",
        "frontend",
        "cannot list resource \"nodes\"",
    ),
    needed(
        FRONTEND,
        "nodes",
        "watch",
        "frontend",
        "cannot watch resource \"nodes\"",
    ),
    needed(
        FRONTEND,
        "pods",
        "list",
        "frontend",
        "cannot list resource \"pods\"",
    ),
    needed(
        FRONTEND,
        "pods",
        "watch",
        "frontend",
        "cannot watch resource \"pods\"",
    ),
    needed(
        FRONTEND,
        "apiservices",
        "get",
        "frontend",
        "cannot get resource \"apiservices\"",
    ),
    needed(
        FRONTEND,
        "apiservices",
        "patch",
        "frontend",
        "cannot patch resource \"apiservices\"",
    )
    .used_after(&[
        "patch",
        "apiservice/v1.metrics.k8s.io",
        "--type=merge",
        "-p",
        r#"{"spec":{"caBundle":null}}"#,
    ]),
    needed(
        SERVING,
        "secrets",
        "get",
        "frontend",
        "cannot get resource \"secrets\"",
    ),
    needed(
        SERVING,
        "secrets",
        "patch",
        "frontend",
        "cannot patch resource \"secrets\"",
    )
    .used_after(&[
        "annotate",
        "secret/tributary-serving",
        "tributary.dev/renew=now",
    ]),
    needed(
        SERVING,
        "secrets",
        "create",
        "frontend",
        "cannot create resource \"secrets\"",
    )
    .used_after(&["delete", "secret/tributary-serving"]),
    needed(
        SERVING,
        "configmaps",
        "get",
        "frontend",
        "cannot get resource \"configmaps\"",
    ),
    needed(
        SERVING,
        "configmaps",
        "patch",
        "frontend",
        "cannot patch resource \"configmaps\"",
    )
    .used_after(&[
        "patch",
        "configmap/tributary-ca",
        "--type=merge",
        "-p",
        r#"{"data":null}"#,
    ]),
    needed(
        SERVING,
        "configmaps",
        "create",
        "frontend",
        "cannot create resource \"configmaps\"",
    )
    .used_after(&["delete", "configmap/tributary-ca"]),
    needed(
        SCRAPER,
        "nodes",
        "list",
        "scraper",
        "cannot list resource \"nodes\"",
    ),
    needed(
        SCRAPER,
        "nodes",
        "watch",
        "scraper",
        "cannot watch resource \"nodes\"",
    ),
    needed(
        TOKENS,
        "serviceaccounts/token",
        "create",
        "scraper",
        "cannot create resource \"serviceaccounts/token\"",
    ),
    needed(
        "clusterrole/system:tributary-publisher",
        "samplestreams",
        "create",
        "scraper",
        "may not create samplestreams.bus.tributary.dev",
    ),
    needed(
        LOCAL,
        "leases",
        "list",
        "scraper",
        "cannot list resource \"leases\"",
    ),
    needed(
        LOCAL,
        "leases",
        "watch",
        "scraper",
        "cannot watch resource \"leases\"",
    ),
    needed(
        LOCAL,
        "leases",
        "create",
        "scraper",
        "cannot create resource \"leases\"",
    ),
    needed(
        LOCAL,
        "leases",
        "patch",
        "scraper",
        "cannot patch resource \"leases\"",
    ),
    needed(
        LOCAL,
        "leases",
        "delete",
        "scraper",
        "cannot delete resource \"leases\"",
    ),
    needed(
        LOCAL,
        "endpointslices",
        "list",
        "scraper",
        "cannot list resource \"endpointslices\"",
    ),
    needed(
        LOCAL,
        "endpointslices",
        "watch",
        "scraper",
        "cannot watch resource \"endpointslices\"",
    ),
];

#[test]
fn no_permission_lacks_and_without_any_one_its_feature_fails_and_says_so() -> anyhow::Result<()> {
    on_site(async |site| {
        site.install(&["--set", AUTO]).await?;
        site.available().await?;
        site.top().await?;
        two_nodes_report_a_pod(&site).await?;
        restart(&site, "frontend").await?;
        restart(&site, "scraper").await?;
        site.top().await?;
        for component in ["frontend", "scraper"] {
            let log = site.log_of(component);
            assert!(
                !log.contains("forbidden") && !log.contains("may not"),
                "{log}"
            );
        }
        every_rule_is_in_the_list(&site).await?;
        for needed in &NEEDED {
            let failed = fails_without(&site, needed).await;
            failed.with_context(|| format!("{} {}", needed.verb, needed.resource))?;
        }
        site.top().await?;
        Ok(())
    })
}

/// A pod of ours, also reported by a node where it does not run.
async fn two_nodes_report_a_pod(site: &Site) -> anyhow::Result<()> {
    namespace(&site.client, "shop").await?;
    apply(&site.client, &deployment("shop", "web", 1, &["main"])).await?;
    let (namespace, name) = eventually("a pod runs", || async {
        site.cluster.pods().first().cloned().context("no pod")
    })
    .await?;
    for node in site.cluster.nodes() {
        let ghost = PodSpec::new(&namespace, &name, &node);
        site.cluster
            .add_ghost(ghost.container("main", Usage::steady(100, 1 << 20)));
    }
    Ok(())
}

async fn role(site: &Site, name: &str) -> anyhow::Result<Value> {
    let namespace = if name == EVENTS { "default" } else { NAMESPACE };
    let get = ["get", name, "-n", namespace, "-o", "json"];
    let text = site.kubectl.ok(&get).await?;
    Ok(serde_json::from_str(&text)?)
}

/// So that a new permission cannot be forgotten here.
async fn every_rule_is_in_the_list(site: &Site) -> anyhow::Result<()> {
    let mut given = Vec::new();
    for name in [
        FRONTEND,
        SCRAPER,
        "clusterrole/system:tributary-publisher",
        LOCAL,
        READER,
        TOKENS,
        SERVING,
        EVENTS,
    ] {
        let role = role(site, name).await?;
        for rule in role["rules"].as_array().into_iter().flatten() {
            for verb in rule["verbs"].as_array().into_iter().flatten() {
                let resource = rule["resources"][0].as_str().unwrap_or_default();
                given.push(format!(
                    "{name} {resource} {}",
                    verb.as_str().unwrap_or_default()
                ));
            }
            assert_eq!(
                rule["resources"].as_array().map(Vec::len),
                Some(1),
                "{rule}"
            );
            is_bound_to_names(rule);
        }
    }
    let mut listed: Vec<String> = NEEDED
        .iter()
        .map(|needed| format!("{} {} {}", needed.role, needed.resource, needed.verb))
        .collect();
    listed.push(format!("{READER} nodes/metrics get"));
    listed.extend(["create", "patch"].map(|verb| format!("{EVENTS} events {verb}")));
    given.sort();
    listed.sort();
    assert_eq!(given, listed);
    Ok(())
}

/// What is of others, too, is read and written by name only.
fn is_bound_to_names(rule: &Value) {
    let names: &[&str] = match rule["resources"][0].as_str().unwrap_or_default() {
        "secrets" => &["tributary-serving"],
        "configmaps" => &["tributary-ca"],
        "apiservices" => &[
            "v1beta1.metrics.k8s.io",
            "v1.metrics.k8s.io",
            "v1alpha1.fleet.tributary.dev",
        ],
        _ => return,
    };
    assert_eq!(rule["resourceNames"], serde_json::json!(names), "{rule}");
}

async fn fails_without(site: &Site, needed: &Needed) -> anyhow::Result<()> {
    let before = role(site, needed.role).await?;
    let mut without = before.clone();
    let rules = without["rules"].as_array_mut().context("rules")?;
    for rule in rules
        .iter_mut()
        .filter(|rule| rule["resources"][0] == needed.resource)
    {
        let verbs = rule["verbs"].as_array_mut().context("verbs")?;
        verbs.retain(|verb| verb != needed.verb);
    }
    rules.retain(|rule| {
        rule["verbs"]
            .as_array()
            .is_some_and(|verbs| !verbs.is_empty())
    });
    assert!(
        !site.log_of(needed.component).contains(needed.says),
        "{} before",
        needed.says
    );
    write_rules(site, needed.role, &without).await?;
    restart(site, needed.component).await?;
    if !needed.used_after.is_empty() {
        let used = [needed.used_after, &["-n", NAMESPACE]].concat();
        site.kubectl.ok(&used).await?;
    }
    eventually("it says what it lacks", || async {
        let said = site.log_of(needed.component).contains(needed.says);
        anyhow::ensure!(said, "{} is not in the log", needed.says);
        Ok(())
    })
    .await?;
    write_rules(site, needed.role, &before).await
}

async fn write_rules(site: &Site, name: &str, role: &Value) -> anyhow::Result<()> {
    let patch = format!(
        r#"[{{"op":"replace","path":"/rules","value":{}}}]"#,
        role["rules"]
    );
    let patch = ["patch", name, "-n", NAMESPACE, "--type=json", "-p", &patch];
    site.kubectl.ok(&patch).await?;
    Ok(())
}

/// Replaces the pods of a component.
async fn restart(site: &Site, component: &str) -> anyhow::Result<()> {
    let label = format!("app.kubernetes.io/component={component}");
    let delete = [
        "delete",
        "pod",
        "-n",
        NAMESPACE,
        "-l",
        &label,
        "--wait=false",
    ];
    site.kubectl.ok(&delete).await?;
    Ok(())
}

#[test]
fn without_its_bindings_a_frontend_says_what_it_lacks() -> anyhow::Result<()> {
    on_site(async |site| {
        site.install(&["--set", AUTO]).await?;
        site.available().await?;
        let bindings = [
            (
                "clusterrolebinding/tributary:system:auth-delegator",
                "",
                "cannot create resource \"tokenreviews\"",
            ),
            (
                "rolebinding/tributary-auth-reader",
                "kube-system",
                "cannot list resource \"configmaps\"",
            ),
            (
                "rolebinding/tributary-serving",
                "",
                "cannot get resource \"secrets\"",
            ),
        ];
        for (binding, namespace, says) in bindings {
            let namespace = if namespace.is_empty() {
                NAMESPACE
            } else {
                namespace
            };
            site.kubectl
                .ok(&["delete", binding, "-n", namespace])
                .await?;
            restart(&site, "frontend").await?;
            eventually("it says what it lacks", || async {
                let said = site.log_of("frontend") + &site.log_of("scraper");
                anyhow::ensure!(said.contains(says), "{says} is in no log");
                Ok(())
            })
            .await?;
        }
        Ok(())
    })
}

#[test]
fn a_viewer_reads_metrics_by_the_role_of_the_chart_and_not_without_it() -> anyhow::Result<()> {
    on_site(async |site| {
        site.install(&[]).await?;
        site.available().await?;
        site.top().await?;
        let bind = [
            "create",
            "clusterrolebinding",
            "viewers",
            "--clusterrole=view",
            "--user=jane",
        ];
        site.kubectl.ok(&bind).await?;
        let top = ["top", "pods", "-A", "--as=jane"];
        eventually("the aggregated role is in force", || site.kubectl.ok(&top)).await?;
        let one = [
            "auth",
            "can-i",
            "get",
            "pods.metrics.k8s.io",
            "-A",
            "--as=jane",
        ];
        assert_eq!(site.kubectl.ok(&one).await?, "yes\n");

        let role = "clusterrole/system:tributary-aggregated-reader";
        site.kubectl.ok(&["delete", role]).await?;
        eventually("jane reads no more", || async {
            let outcome = site.kubectl.run(&top).await?;
            anyhow::ensure!(
                !outcome.ok && outcome.stderr.contains("User \"jane\" cannot list"),
                "{outcome:?}"
            );
            Ok(())
        })
        .await
    })
}
