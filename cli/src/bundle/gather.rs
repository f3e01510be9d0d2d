//! Reads what a bundle consists of.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{
    task::yield_now,
    time::{Instant, timeout, timeout_at},
};

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

/// How long everything may take together. Each list and log has a limit of its own, and there are many.
const WITHIN: Duration = Duration::from_mins(10);

/// How long what `doctor` looks at may take of this.
const FACTS_WITHIN: Duration = Duration::from_mins(4);

/// The end of a list.
const END: &str = "\n]}\n";

/// Reads everything. Autoscalers are those of `namespace`, or all. What cannot be read is listed.
pub async fn gather(
    api: &KubeApi,
    namespace: Option<&str>,
    limits: Limits,
    now: Timestamp,
) -> Contents {
    let mut contents = Contents::new(now, limits.all);
    let end = Instant::now() + WITHIN;
    let facts = timeout(FACTS_WITHIN, Box::pin(Facts::read(api, namespace, now))).await;
    let own = if let Ok(mut facts) = facts {
        // Those who read the bundle have another kubeconfig, and those who send it keep the name of theirs.
        facts.commands = Commands::default();
        add_facts(&mut contents, &facts, namespace)
    } else {
        let late = format!("what `doctor` looks at was not read in {FACTS_WITHIN:?}");
        contents.miss("versions.json", &late);
        contents.miss("doctor.json", &late);
        None
    };
    let mut pods = Vec::new();
    // How many of the files of workloads were read and are empty.
    let mut without_workload = 0;
    for list in lists::all(own.as_deref(), namespace) {
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
        let namespace = own
            .as_deref()
            .map(|namespace| format!(" in the namespace {namespace}"));
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
    contents
}

/// Adds versions and what `doctor` finds. Returns the namespace of Tributary, if it is known.
fn add_facts(contents: &mut Contents, facts: &Facts, namespace: Option<&str>) -> Option<String> {
    let report = Report::of(facts);
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
    facts.own_service().map(|(namespace, _)| namespace)
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
            // The limit of time ends this between two objects.
            yield_now().await;
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
