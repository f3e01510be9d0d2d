//! The logs of the containers of our pods.

use futures::{StreamExt as _, stream};
use serde_json::Value;
use tokio::task::spawn_blocking;

use super::{
    contents::Contents,
    own::own_lines,
    redactor::{CONTAINERS, clean},
};
use crate::kube_api::{Failure, KubeApi, Tail, encoded, path};

/// Of how many pods logs are read. Pods that are not ready come first.
const PODS: usize = 50;

/// How many lines of a log the kubelet looks for.
const LINES: usize = 10_000;

/// How many bytes the kubelet sends of these lines, the oldest ones first.
const READ: usize = 16 << 20;

/// How many logs are read at a time.
const AT_A_TIME: usize = 4;

/// A log.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Log {
    file: String,
    about: String,
    path: String,
}

/// Adds the logs of `pods`, of each no more than `most` bytes.
pub(super) async fn add(api: &KubeApi, contents: &mut Contents, pods: &[Value], most: usize) {
    let mut pods: Vec<&Value> = pods.iter().collect();
    pods.sort_by_key(|pod| is_ready(pod));
    if pods.len() > PODS {
        let more = format!("logs of {} more pods", pods.len() - PODS);
        contents.miss(
            more,
            &format!("logs of {PODS} pods are read, of those that are not ready first"),
        );
    }
    let logs = pods.iter().take(PODS).flat_map(|pod| of_pod(pod));
    let logs: Vec<Log> = logs.collect();
    let reads = logs
        .iter()
        .map(|log| async move { (log, api.tail(&log.path, most).await) });
    let mut reads = stream::iter(reads).buffered(AT_A_TIME);
    while let Some((log, tail)) = reads.next().await {
        one(contents, log, tail).await;
    }
}

async fn one(contents: &mut Contents, log: &Log, tail: Result<Tail, Failure>) {
    match tail {
        Ok(tail) => {
            let about = match tail.read {
                READ.. => format!(
                    "{}, without its newest lines: it is longer than {READ} bytes",
                    log.about
                ),
                read if read > tail.text.len() => format!("{}, its last lines", log.about),
                _ => log.about.clone(),
            };
            // On a thread of its own: a long log takes its time, and the limit of time ends the wait for it.
            let read = spawn_blocking(move || {
                let (own, others) = own_lines(&tail.text);
                let mut clean = clean(&own);
                clean.removed += others;
                clean
            });
            match read.await {
                Ok(clean) => contents.text(log.file.clone(), about, clean),
                Err(failure) => contents.miss(log.file.clone(), &failure.to_string()),
            }
        }
        Err(failure) => contents.miss(log.file.clone(), &failure.to_string()),
    }
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|it| text(it, "type") == "Ready" && text(it, "status") == "True")
}

/// The logs of each container of Tributary, and of the one before it if it was restarted. Others write what they want.
fn of_pod(pod: &Value) -> Vec<Log> {
    let name = |field: &str| {
        pod.get("metadata")
            .map_or("", |metadata| text(metadata, field))
    };
    let (namespace, pod_name) = (name("namespace"), name("name"));
    let kinds = [
        // A sidecar of Kubernetes is one of them.
        ("/spec/initContainers", "/status/initContainerStatuses"),
        ("/spec/containers", "/status/containerStatuses"),
    ];
    let mut logs = Vec::new();
    for (containers, statuses) in kinds {
        let list = |path: &str| {
            pod.pointer(path)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
        };
        let names = list(containers).map(|it| text(it, "name"));
        for container in names.filter(|name| CONTAINERS.contains(name)) {
            let status = list(statuses).find(|it| text(it, "name") == container);
            let restarts = status.and_then(|it| it.get("restartCount")?.as_u64());
            let log = path("/api/v1/namespaces", &[namespace, "pods", pod_name, "log"]);
            let base = format!(
                "{log}?container={}&timestamps=true&tailLines={LINES}&limitBytes={READ}",
                encoded(container)
            );
            let file = path("logs", &[namespace, pod_name, container]);
            logs.push(Log {
                file: format!("{file}.log"),
                about: format!("log of {container}"),
                path: base.clone(),
            });
            if restarts.is_some_and(|restarts| restarts > 0) {
                logs.push(Log {
                    file: format!("{file}.previous.log"),
                    about: format!("log of {container} before its last restart"),
                    path: format!("{base}&previous=true"),
                });
            }
        }
    }
    logs
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn each_container_of_tributary_has_a_log_and_the_one_before_a_restart() {
        let pod = json!({
            "metadata": { "namespace": "sys", "name": "tributary-a" },
            "spec": { "initContainers": [{ "name": "init" }], "containers": [{ "name": "frontend" }, { "name": "scraper" }] },
            "status": { "containerStatuses": [{ "name": "scraper", "restartCount": 2 }, { "name": "frontend", "restartCount": 0 }] },
        });
        let files = of_pod(&pod).into_iter().map(|log| log.file);
        assert_eq!(
            files.collect::<Vec<_>>(),
            [
                "logs/sys/tributary-a/frontend.log",
                "logs/sys/tributary-a/scraper.log",
                "logs/sys/tributary-a/scraper.previous.log",
            ]
        );
    }

    #[test]
    fn names_with_any_letters_have_files_of_their_own_below_the_archive() {
        let mut files = BTreeSet::new();
        let names = ["a/b", "a_b", "a%2Fb", "..", "../../etc", "a?b", "a b", ""];
        for name in names {
            let pod = json!({
                "metadata": { "namespace": name, "name": name },
                "spec": { "containers": [{ "name": "frontend" }] },
            });
            let [log] = &*of_pod(&pod) else {
                panic!("{pod}")
            };
            log.path.parse::<http::Uri>().unwrap();
            let parts: Vec<&str> = log.file.split('/').collect();
            assert_eq!(parts.len(), 4, "{}", log.file);
            assert!(!parts.contains(&".."), "{}", log.file);
            files.insert(log.file.clone());
        }
        // The empty name and that of dots are the same.
        assert_eq!(files.len(), names.len() - 1);
    }
}
