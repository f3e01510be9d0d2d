//! What values mean: those of metrics-server's chart, those left empty, and the chart within another.

use std::path::Path;

use anyhow::Context as _;
use tokio::runtime::Runtime;

use crate::site::{CHART, ROOT, helm};

/// A line of the tables in docs/VALUES.md.
struct Row {
    keys: Vec<String>,
    tried: String,
    expected: Expected,
}

enum Expected {
    Renders(String),
    Refused(String),
}

fn rows() -> anyhow::Result<Vec<Row>> {
    let document = std::fs::read_to_string(Path::new(ROOT).join("docs/VALUES.md"))?;
    let code = |cell: &str| cell.trim_matches('`').to_owned();
    let mut rows = Vec::new();
    for line in document.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [keys, _, tried, expected] = cells[..] else {
            anyhow::bail!("not four columns: {line}");
        };
        rows.push(Row {
            keys: keys.split(", ").map(code).collect(),
            tried: code(tried),
            expected: match expected.strip_prefix("refused: ") {
                Some(sentence) => Expected::Refused(code(sentence)),
                None => Expected::Renders(code(expected)),
            },
        });
    }
    Ok(rows)
}

/// The keys of a values file, with dots: those that have no keys below them.
fn keys(values: &str) -> Vec<String> {
    let mut above: Vec<(usize, &str)> = Vec::new();
    let mut keys: Vec<String> = Vec::new();
    for line in values.lines() {
        let text = line.trim_start();
        let Some((key, _)) = text.split_once(':') else {
            continue;
        };
        if !key.chars().all(|letter| letter.is_ascii_alphanumeric()) {
            continue;
        }
        let depth = line.len() - text.len();
        above.retain(|(other, _)| *other < depth);
        above.push((depth, key));
        let path: Vec<&str> = above.iter().map(|(_, key)| *key).collect();
        let path = path.join(".");
        keys.retain(|key| !path.starts_with(&format!("{key}.")));
        keys.push(path);
    }
    keys
}

#[test]
fn every_key_of_metrics_servers_chart_means_what_the_document_says() -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let rows = rows()?;
    let path = "tests/deploy/bin/metrics-server/charts/metrics-server/values.yaml";
    let theirs = std::fs::read_to_string(Path::new(ROOT).join(path))
        .with_context(|| format!("read {path}, which tests/deploy/run makes"))?;
    let theirs = keys(&theirs);
    assert!(theirs.len() > 60, "{theirs:?}");
    for key in theirs {
        let has = |row: &Row| {
            let mut keys = row.keys.iter();
            keys.any(|named| *named == key || key.starts_with(&format!("{named}.")))
        };
        assert!(rows.iter().any(has), "docs/VALUES.md does not have {key}");
    }
    for row in rows {
        let tried = &row.tried;
        let outcome = runtime.block_on(helm(None, &["template", "t", CHART, "--set", tried]))?;
        match row.expected {
            Expected::Refused(sentence) => {
                assert!(!outcome.ok, "{tried} renders");
                let stderr = outcome.stderr;
                assert!(stderr.contains(&sentence), "{tried}: {stderr}");
            }
            Expected::Renders(line) => {
                assert!(outcome.ok, "{tried}: {}", outcome.stderr);
                let mut lines = outcome.stdout.lines().map(str::trim);
                assert!(lines.any(|rendered| rendered == line), "{tried}: no {line}");
            }
        }
    }
    Ok(())
}

/// What is rendered with these values, as trimmed lines; or the complaint.
fn rendered(arguments: &[&str]) -> anyhow::Result<Result<Vec<String>, String>> {
    let outcome = Runtime::new()?.block_on(helm(None, arguments))?;
    if !outcome.ok {
        return Ok(Err(outcome.stderr));
    }
    let lines = outcome.stdout.lines().map(|line| line.trim().to_owned());
    Ok(Ok(lines.collect()))
}

#[test]
fn keys_left_empty_are_taken_or_named() -> anyhow::Result<()> {
    for list in [
        "args",
        "defaultArgs",
        "frontend.args",
        "scraper.args",
        "scraper.groups",
        "tolerations",
        "topologySpreadConstraints",
        "extraVolumes",
        "extraVolumeMounts",
        "imagePullSecrets",
        "networkPolicy.metricsFrom",
        "networkPolicy.egress.dnsPorts",
        "affinity",
        "resources",
        "podLabels",
        "commonLabels",
        "dnsConfig",
        "global",
        "frontend.image",
        "service.ipFamilies",
        "service.ipFamilyPolicy",
        "resourceQuota",
        "kubeletReader",
    ] {
        for profile in ["sidecar", "ha"] {
            let values = format!("{list}=null,profile={profile},networkPolicy.egress.enabled=true");
            let outcome = rendered(&["template", "t", CHART, "--set", &values])?;
            assert!(outcome.is_ok(), "{list}, {profile}: {outcome:?}");
        }
    }
    for object in [
        "tls",
        "networkPolicy",
        "image",
        "apiService",
        "scraper",
        "bus",
    ] {
        let values = format!("{object}=null");
        let outcome = rendered(&["template", "t", CHART, "--set", &values])?;
        let complaint = outcome.err().unwrap_or_default();
        assert!(complaint.contains(&format!("'{object}'")), "{complaint}");
    }
    Ok(())
}

/// Values, and lines that are rendered with them, or not.
#[expect(clippy::too_many_lines, reason = "a table")]
#[test]
fn values_render_as_their_comments_say() -> anyhow::Result<()> {
    let hosts = "hostNetwork.enabled=true,containerPort=4443,replicas=2";
    let digest = format!("sha256:{}", "0".repeat(64));
    let old = format!("profile=ha,image.tag=2.0.0,image.digest={digest},scraper.image.tag=1.0.0");
    let new = format!("image: \"localhost/tributary:2.0.0@{digest}\"");
    let alerts = "prometheusRule.enabled=true,prometheusRule.alertLabels.team=platform,\
                  prometheusRule.alerts.TributarySamplesOld.threshold=120,prometheusRule.alerts.TributarySamplesOld.for=15m,\
                  prometheusRule.alerts.TributaryManyNodesWithoutMetrics.threshold=0.25,\
                  prometheusRule.alerts.TributaryApiErrors.severity=page,\
                  prometheusRule.alerts.TributaryNodesRescued.enabled=false";
    let cases = [
        // Ports of nodes that others do not use.
        (hosts, "- --admin-address=0.0.0.0:10280", true),
        (hosts, "- --bus-address=0.0.0.0:10281", true),
        ("replicas=2", "- --admin-address=0.0.0.0:8080", true),
        ("replicas=2", "- --bus-address=0.0.0.0:8443", true),
        // One half before the other.
        (old.as_str(), new.as_str(), true),
        (old.as_str(), "image: \"localhost/tributary:1.0.0\"", true),
        (
            "image.repository=quay.io/org/tributary,global.imageRegistry=registry.corp:5000/mirror",
            "image: \"registry.corp:5000/mirror/org/tributary:0.1.0\"",
            true,
        ),
        (
            "image.repository=registry.corp/metrics-server/tributary",
            "image: \"registry.corp/metrics-server/tributary:0.1.0\"",
            true,
        ),
        // Budgets of both components.
        ("profile=ha,replicas=2", "kind: PodDisruptionBudget", true),
        (
            "profile=ha,replicas=2,podDisruptionBudget.enabled=false",
            "kind: PodDisruptionBudget",
            false,
        ),
        (
            "profile=ha,podDisruptionBudget.minAvailable=1",
            "minAvailable: 1",
            true,
        ),
        // Replicas that something else sets.
        (
            "profile=ha,replicas=null,scraper.replicas=null",
            "replicas: 1",
            false,
        ),
        (
            "profile=ha,replicas=null,scraper.replicas=null",
            "replicas: 2",
            false,
        ),
        // Alerts as they are wanted.
        (alerts, "for: 15m", true),
        (alerts, "> 120", true),
        (
            alerts,
            "/ on (cluster, namespace, instance) (tributary_catalog_nodes > 0) > 0.25",
            true,
        ),
        (alerts, "severity: page", true),
        (alerts, "team: platform", true),
        (
            "prometheusRule.enabled=true,prometheusRule.alertLabels.severity=page",
            "severity: page",
            true,
        ),
        (
            "prometheusRule.enabled=true,prometheusRule.alertLabels.severity=page",
            "severity: critical",
            false,
        ),
        // The threshold follows the resolution, the names of Deployments that of the release.
        (
            "prometheusRule.enabled=true,args={--metric-resolution=1m}",
            "> 120",
            true,
        ),
        (
            "prometheusRule.enabled=true,fullnameOverride=mine",
            "max by (cluster, namespace, deployment) (kube_deployment_spec_replicas{deployment=~\"mine(-scraper.*)?\"})",
            true,
        ),
        (alerts, "alert: TributaryApiSlow", true),
        (alerts, "alert: TributaryNodesRescued", false),
        // DNS of OpenShift, too.
        (
            "networkPolicy.egress.enabled=true",
            "- { port: 5353, protocol: UDP }",
            true,
        ),
    ];
    for (values, line, wanted) in cases {
        let lines = rendered(&["template", "t", CHART, "--set", values])?;
        let lines = lines
            .map_err(anyhow::Error::msg)
            .context(values.to_owned())?;
        assert_eq!(
            lines.iter().any(|is| is == line),
            wanted,
            "{values}: {line}"
        );
    }
    Ok(())
}

#[test]
fn the_chart_can_be_a_part_of_another() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let umbrella = |alias: &str| {
        format!(
            "apiVersion: v2\nname: umbrella\nversion: 0.0.1\ndependencies:\n  - name: tributary\n    version: 0.1.0\n    \
             condition: {alias}.enabled\n    alias: {alias}\n    repository: file://{ROOT}/{CHART}\n"
        )
    };
    let chart = dir.path().display().to_string();
    let one = |alias: &str, values: &str| {
        std::fs::write(dir.path().join("Chart.yaml"), umbrella(alias))?;
        let values = format!("global.imageRegistry=registry.corp,{alias}.enabled={values}");
        let built = rendered(&["dependency", "update", &chart])?;
        built.map_err(anyhow::Error::msg)?;
        rendered(&["template", "t", &chart, "--set", &values])
    };
    let image = "image: \"registry.corp/tributary:0.1.0\"";
    let lines = one("tributary", "true")?.map_err(anyhow::Error::msg)?;
    assert!(lines.iter().any(|line| line == image), "{lines:?}");
    let lines = one("tributary", "false")?.map_err(anyhow::Error::msg)?;
    assert!(!lines.iter().any(|line| line == image), "{lines:?}");
    let lines = one("metrics", "true")?.map_err(anyhow::Error::msg)?;
    assert!(
        lines.iter().any(|line| line == "name: t-metrics"),
        "{lines:?}"
    );
    // The incumbent of such a chart is called like this.
    let complaint = one("metrics-server", "true")?.err().unwrap_or_default();
    let sentence = "objects called \"t-metrics-server\" would replace those of metrics-server";
    assert!(complaint.contains(sentence), "{complaint}");
    Ok(())
}
