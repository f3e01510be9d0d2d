//! Reads what a bundle consists of.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::{
    Limits,
    contents::Contents,
    lists::{self, List, PODS, WORKLOADS},
    logs,
};
use crate::{
    commands::Commands,
    doctor::{Facts, Report},
    kube_api::{Failure, KubeApi},
};

/// How many objects of a list are read for their logs: more pods than any installation has.
const PODS_KEPT: usize = 1_000;

/// How long lists and logs may take together. Each has a limit of its own, and there are many.
const WITHIN: Duration = Duration::from_mins(10);

/// The end of a list.
const END: &str = "\n]}\n";

/// Reads everything. Autoscalers are those of `namespace`, or all.
///
/// # Errors
///
/// The patterns of secrets cannot be used. What cannot be read is no error.
pub async fn gather(
    api: &KubeApi,
    namespace: Option<&str>,
    limits: Limits,
    now: Timestamp,
) -> anyhow::Result<Contents> {
    let mut contents = Contents::new(now, limits.all)?;
    let mut facts = Box::pin(Facts::read(api, namespace, now)).await;
    // Those who read the bundle have another kubeconfig, and those who send it keep the name of theirs.
    facts.commands = Commands::default();
    let report = Report::of(&facts);
    let versions = json!({
        "kubectl-tributary": env!("CARGO_PKG_VERSION"),
        "kubernetes": facts.version.as_ref().ok(),
        "metrics": report.server,
    });
    contents.object("versions.json", "versions", versions);
    match &facts.version {
        Ok(_) => contents.answered = true,
        Err(failure) => contents.miss("the version of Kubernetes", &failure.to_string()),
    }
    // Lists in a namespace that is not there are empty.
    if let (Some(namespace), Err(failure @ Failure::NotFound(_))) = (namespace, &facts.scalers) {
        let what = format!("the namespace {namespace}");
        contents.miss(what, &failure.to_string());
    }
    contents.object("doctor.json", "what `doctor` finds", json!(report));
    let service = facts.own_service();
    let own = service.as_ref().map(|(namespace, _)| namespace.as_str());
    drop(facts);
    let end = Instant::now() + WITHIN;
    let mut pods = Vec::new();
    // How many of the files of workloads were read and are empty.
    let mut without_workload = 0;
    for list in lists::all(own, namespace) {
        let is_pods = list.file == PODS;
        let mut is_empty = true;
        let added = add(api, &mut contents, &list, |object| {
            is_empty = false;
            if is_pods && pods.len() < PODS_KEPT {
                pods.push(object.clone());
            }
        });
        match timeout_at(end, added).await {
            Ok(Ok(())) => {
                contents.answered = true;
                let is_of_workloads = WORKLOADS.contains(&list.file);
                without_workload += usize::from(is_empty && is_of_workloads);
            }
            Ok(Err(failure)) => contents.miss(list.file, &failure.to_string()),
            Err(_) => contents.miss(list.file, &late()),
        }
    }
    if without_workload == WORKLOADS.len() {
        let namespace = own.map(|namespace| format!(" in the namespace {namespace}"));
        let reason = format!(
            "no Deployment, StatefulSet, DaemonSet or pod{} has the label app.kubernetes.io/name=tributary",
            namespace.unwrap_or_default()
        );
        contents.miss("workloads of Tributary", &reason);
    }
    let added = logs::add(api, &mut contents, &pods, limits.log);
    if timeout_at(end, added).await.is_err() {
        contents.miss("logs that are not listed", &late());
    }
    Ok(contents)
}

/// Why something is missing after that time.
fn late() -> String {
    format!("everything together was not read in {WITHIN:?}")
}

/// Adds a list, one object a line, as far as there is room for it.
async fn add(
    api: &KubeApi,
    contents: &mut Contents,
    list: &List,
    mut seen: impl FnMut(&Value) + Send,
) -> Result<(), Failure> {
    let mut text = "{\"items\":[\n".to_owned();
    let (mut objects, mut is_cut) = (0_usize, false);
    let mut pages = api.pages(&list.path);
    'pages: while let Some(page) = pages.next::<Value>().await? {
        for object in page.items {
            seen(&object);
            let line = contents.clean(list.kind, object);
            if text.len() + line.len() + END.len() + 2 > contents.left() {
                is_cut = true;
                break 'pages;
            }
            if objects > 0 {
                text.push_str(",\n");
            }
            text.push_str(&line);
            objects += 1;
        }
    }
    text.push_str(END);
    if is_cut {
        let reason = format!("only the first {objects} objects fit: --max-size");
        contents.miss(list.file, &reason);
    }
    contents.add(list.file.to_owned(), list.about.to_owned(), text);
    Ok(())
}
