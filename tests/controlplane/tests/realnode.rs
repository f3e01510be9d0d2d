//! Real kubelets: containerd, crun, and containers that are processes of this machine.

mod pages;

use std::{cell::RefCell, collections::BTreeMap, ops::RangeInclusive};

use anyhow::Context as _;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tributary_controlplane::{
    components::{KUBELET_READER, NAMESPACE},
    node::{Account, Certificate, pod},
    objects::{apply, grant, namespace},
    patience::eventually,
    rig::{self, Rig, Size},
};

use crate::get;

/// 50 milli-cores and 50 MiB, a fifth and a tenth more or less.
const BURNT: RangeInclusive<f64> = 0.040..=0.060;
const STORED: RangeInclusive<f64> = 45.0..=55.0;

/// How far what is reported may be from what the kernel gave, in cores.
const EXACT: f64 = 0.010;

/// In how many windows it must be 50 milli-cores.
const WINDOWS: usize = 3;

#[test]
fn what_real_containers_burn_and_hold_is_reported_and_none_is_missed() -> anyhow::Result<()> {
    rig::alone(Size::REAL, async |rig| {
        rig.real_node("real", Certificate::Signed).await?;
        namespace(&rig.client, "real").await?;
        let place = |name| ("real", name, "real");
        for pod in [
            pod(place("burns"), &[], &[("main", &["50", "0"])]),
            pod(place("holds"), &[], &[("main", &["0", "50"])]),
            pod(place("init"), &[("first", &["end"])], &[("main", &[])]),
            pod(place("sidecar"), &[], &[("main", &[]), ("beside", &[])]),
            pod(place("restartable"), &[("first", &[])], &[("main", &[])]),
        ] {
            apply(&rig.client, &pod).await?;
        }
        all_containers(&rig).await?;
        measured_right(&rig).await?;
        shown(&rig).await
    })
}

/// Waits until every pod is reported, and looks at its containers.
async fn all_containers(rig: &Rig) -> anyhow::Result<()> {
    let found = eventually("five pods", async || {
        let pods = get(rig, "namespaces/real/pods").await?;
        let items = list(&pods, "/items");
        anyhow::ensure!(items.len() == 5, "{pods}");
        Ok(items)
    })
    .await?;
    let containers = found.iter().map(|pod| {
        let containers = list(pod, "/containers").into_iter();
        let names = containers.map(|container| text(&container, "/name").to_owned());
        let name = text(pod, "/metadata/name").to_owned();
        (name, names.collect::<Vec<_>>())
    });
    let wanted = [
        ("burns", vec!["main"]),
        ("holds", vec!["main"]),
        ("init", vec!["main"]),
        ("restartable", vec!["first", "main"]),
        ("sidecar", vec!["beside", "main"]),
    ];
    let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
    let wanted = wanted.map(|(pod, names)| (pod.to_owned(), owned(names)));
    assert_eq!(
        containers.collect::<BTreeMap<_, Vec<_>>>(),
        BTreeMap::from(wanted)
    );
    Ok(())
}

/// Looks at windows that follow each other, until in three of them the program had all that it wants: a machine that
/// is busy gives it less. In each the kernel's own account tells what is right.
async fn measured_right(rig: &Rig) -> anyhow::Result<()> {
    let account = Account::of(&["50", "0"])?;
    tokio::select! {
        ended = account.keep() => return Err(ended),
        seen = burnt_right(rig, &account) => seen?,
    }
    let pod = get(rig, "namespaces/real/pods/holds").await?;
    let stored = amount(text(&pod, "/containers/0/usage/memory"))? / f64::from(1 << 20);
    assert!(STORED.contains(&stored), "not 50Mi: {pod}");
    let node = get(rig, "nodes/real").await?;
    assert!(amount(text(&node, "/usage/cpu"))? > 0.05, "{node}");
    Ok(())
}

async fn burnt_right(rig: &Rig, account: &Account) -> anyhow::Result<()> {
    let windows = RefCell::new(BTreeMap::new());
    eventually("three windows with 50m", async || {
        let pod = get(rig, "namespaces/real/pods/burns").await?;
        let end = text(&pod, "/timestamp").to_owned();
        let length: SignedDuration = text(&pod, "/window").parse()?;
        let given = account.cores(end.parse()?, length.unsigned_abs())?;
        let burnt = amount(text(&pod, "/containers/0/usage/cpu"))?;
        let right = given.start() - EXACT..=given.end() + EXACT;
        assert!(right.contains(&burnt), "the kernel gave {given:?}: {pod}");
        windows.borrow_mut().insert(end, burnt);
        let windows = windows.borrow();
        let full = windows.values().filter(|burnt| BURNT.contains(burnt));
        anyhow::ensure!(full.count() >= WINDOWS, "{windows:?}");
        Ok(())
    })
    .await
}

fn text<'a>(object: &'a Value, at: &str) -> &'a str {
    let found = object.pointer(at).and_then(Value::as_str);
    found.unwrap_or_default()
}

fn list(object: &Value, at: &str) -> Vec<Value> {
    let found = object.pointer(at).and_then(Value::as_array);
    found.cloned().unwrap_or_default()
}

/// A quantity.
fn amount(text: &str) -> anyhow::Result<f64> {
    let end = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: f64 = text.strip_suffix(end).unwrap_or_default().parse()?;
    let unit = match end {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        _ => anyhow::bail!("no quantity: {text:?}"),
    };
    Ok(number * unit)
}

/// Looks with the eyes of a person.
async fn shown(rig: &Rig) -> anyhow::Result<()> {
    let kubectl = rig.kubectl()?;
    eventually("50m and 50Mi", async || {
        let command = ["top", "pods", "-n", "real", "--no-headers"];
        let top = kubectl.ok(&command).await?;
        let column = |pod: &str, index: usize, unit: &str| {
            let mut lines = top.lines().map(|line| line.split_whitespace());
            let mut line = lines.find(|line| line.clone().next() == Some(pod))?;
            line.nth(index)?.strip_suffix(unit)?.parse::<f64>().ok()
        };
        let millis = column("burns", 1, "m").context(top.clone())?;
        let mebibytes = column("holds", 2, "Mi").context(top.clone())?;
        let right = BURNT.contains(&(millis / 1_000.0)) && STORED.contains(&mebibytes);
        anyhow::ensure!(right, "{top}");
        Ok(())
    })
    .await?;
    let nodes = kubectl.ok(&["top", "nodes", "--no-headers"]).await?;
    assert!(
        nodes.starts_with("real ") && nodes.contains("Mi"),
        "{nodes}"
    );
    Ok(())
}

#[test]
fn a_kubelet_that_cannot_be_read_is_named_with_the_cause_and_the_remedy() -> anyhow::Result<()> {
    rig::alone(Size::REAL, async |rig| {
        let reader = (NAMESPACE, KUBELET_READER);
        let other = json!({ "apiGroups": [""], "resources": ["nodes/log"], "verbs": ["get"] });
        grant(&rig.client, reader, json!([other])).await?;
        rig.real_node("forbidden", Certificate::Signed).await?;
        rig.real_node("stranger", Certificate::SelfSigned).await?;

        refused(
            &rig,
            "forbidden",
            "request failed, status: \"403 Forbidden\"; the kubelet needs the verb get on nodes/metrics to be allowed",
        )
        .await?;
        refused(
            &rig,
            "stranger",
            "x509: certificate signed by unknown authority (give its CA as --kubelet-certificate-authority, or \
             --kubelet-insecure-tls to verify nothing)",
        )
        .await?;

        let metrics =
            json!({ "apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"] });
        grant(&rig.client, reader, json!([metrics])).await?;
        eventually("a node that may be read", async || {
            get(&rig, "nodes/forbidden").await
        })
        .await?;
        // Nothing else was allowed meanwhile.
        refused(&rig, "stranger", "x509: ").await
    })
}

/// Waits until a GET of the node says why there is nothing.
async fn refused(rig: &Rig, node: &str, cause: &str) -> anyhow::Result<()> {
    let begin = format!("no metrics for node \"{node}\": last scrape failed ");
    let says = format!("s ago by scraper-0: {cause}");
    eventually("the reason", async || {
        let answer = get(rig, &format!("nodes/{node}")).await;
        let refused = answer.err().context("the node is measured")?;
        let Some(kube::Error::Api(status)) = refused.downcast_ref::<kube::Error>() else {
            anyhow::bail!("{refused:#}");
        };
        let said = status.message.starts_with(&begin) && status.message.contains(&says);
        anyhow::ensure!(status.code == 404 && said, "{}", status.message);
        Ok(())
    })
    .await
}
