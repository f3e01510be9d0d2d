//! The flags of the processes, as a chart would write them, except the addresses.

use std::{fs, net::SocketAddr, path::PathBuf};

use anyhow::Context as _;
use tributary_sim::{Ca, Cluster, FRONTEND_NAME};

use super::{RESOLUTION, flag};

const SCRAPER: &str = "system:serviceaccount:kube-system:tributary-scraper";
const FRONTEND: &str = "system:serviceaccount:kube-system:tributary-apiserver";

/// The addresses that a scraper connects to.
#[derive(Debug)]
pub(super) struct Ways {
    pub(super) api: SocketAddr,
    pub(super) kubelet_port: u16,
    pub(super) buses: Vec<SocketAddr>,
}

/// The flags of a scraper.
///
/// # Errors
///
/// A file cannot be made.
pub(super) fn scraper(
    cluster: &Cluster,
    name: &str,
    admin: SocketAddr,
    ways: &Ways,
) -> anyhow::Result<Vec<String>> {
    let paths = cluster.paths();
    let pair = cluster.pki().client(Ca::Bus, name, &[])?;
    let (certificate, key) = pair.write(&paths.dir, name)?;
    let mut flags = vec![
        format!("--source-name={name}"),
        format!("--admin-address={admin}"),
        format!("--metric-resolution={}s", RESOLUTION.as_secs()),
        "--kubelet-request-timeout=9s".to_owned(),
        format!("--kubelet-port={}", ways.kubelet_port),
        // DNS does not have the names of the nodes.
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        flag("--kubelet-certificate-authority", &paths.kubelet_ca),
        flag(
            "--kubeconfig",
            &kubeconfig(cluster, SCRAPER, name, ways.api)?,
        ),
        flag("--bus-ca-file", &paths.bus_ca),
        format!("--bus-server-name={FRONTEND_NAME}"),
        flag("--bus-client-certificate", &certificate),
        flag("--bus-client-key", &key),
    ];
    let buses = ways.buses.iter();
    flags.extend(buses.map(|bus| format!("--frontend=https://{bus}")));
    Ok(flags)
}

/// The flags of a frontend.
///
/// # Errors
///
/// A file cannot be made.
pub(super) fn frontend(
    cluster: &Cluster,
    name: &str,
    (api, bus): (SocketAddr, SocketAddr),
    kube: SocketAddr,
) -> anyhow::Result<Vec<String>> {
    let paths = cluster.paths();
    let names = [FRONTEND_NAME, "localhost"].map(str::to_owned);
    let pair = cluster.pki().server(Ca::Bus, &names)?;
    let (certificate, key) = pair.write(&paths.dir, name)?;
    Ok(vec![
        format!("--frontend-name={name}"),
        format!("--bind-address={}", api.ip()),
        format!("--secure-port={}", api.port()),
        format!("--bus-address={bus}"),
        flag("--bus-client-ca-file", &paths.bus_ca),
        flag("--tls-cert-file", &certificate),
        flag("--tls-private-key-file", &key),
        flag("--kubeconfig", &kubeconfig(cluster, FRONTEND, name, kube)?),
        "--shutdown-delay-duration=1s".to_owned(),
        "--shutdown-grace-period=2s".to_owned(),
    ])
}

/// A kubeconfig of `user` that leads to the Kubernetes API through `through`.
fn kubeconfig(
    cluster: &Cluster,
    user: &str,
    name: &str,
    through: SocketAddr,
) -> anyhow::Result<PathBuf> {
    let path = cluster.paths().dir.join(format!("{name}.kubeconfig"));
    let text = cluster.kubeconfig_for_token(&cluster.token(user));
    let text = text.replace(&cluster.api_url(), &format!("https://{through}"));
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}
