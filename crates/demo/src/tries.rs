//! Commands that a user of the demo may try.

use std::path::Path;

use tributary_sim::Cluster;

use crate::{
    credentials::Credentials,
    plan::Kind,
    processes::{Process, Processes},
};

/// Commands that query the API, for another terminal.
pub(crate) fn asking(
    kubeconfig: &Path,
    cluster: &Cluster,
    credentials: &Credentials,
) -> Vec<String> {
    if on_path("kubectl") {
        let kubectl = format!("kubectl --kubeconfig {}", kubeconfig.display());
        return [
            "top nodes",
            "top pods -A",
            "top pods -n ns-0000 -l app=app-0 --containers",
            "get --raw /apis/metrics.k8s.io/v1beta1/nodes/node-00001",
        ]
        .map(|command| format!("{kubectl} {command}"))
        .into();
    }
    let curl = format!(
        "curl --cacert {} --cert {} --key {} {}/apis/metrics.k8s.io/v1beta1",
        credentials.paths.cluster_ca.display(),
        credentials.admin.certificate.display(),
        credentials.admin.key.display(),
        cluster.api_url(),
    );
    [
        "/nodes",
        "/nodes/node-00001",
        "/namespaces/ns-0000/pods?labelSelector=app%3Dapp-0",
    ]
    .map(|path| format!("{curl}{path}"))
    .into()
}

/// Commands that cause a failure. Their process IDs change.
pub(crate) fn breaking(processes: &Processes) -> Vec<String> {
    let kill = |process: &Process| {
        let pid = process.pid?;
        Some(format!("kill -9 {pid}   # {}", process.spec.name))
    };
    [Kind::Scraper, Kind::Frontend]
        .into_iter()
        .filter_map(|kind| processes.of_kind(kind).next().and_then(kill))
        .collect()
}

fn on_path(program: &str) -> bool {
    let Some(path) = std::env::var_os("PATH") else {
        return false;
    };
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}
