//! metrics-server, to compare with.

use std::{net::SocketAddr, time::Duration};

use tributary_sim::Cluster;

use crate::plane::Plane;

/// Its flags as its manifests have them, with the certificate that is for the Service here, to serve at `api` and ask
/// each kubelet once in `resolution`.
#[must_use]
pub fn flags(
    plane: &Plane,
    cluster: &Cluster,
    api: SocketAddr,
    resolution: Duration,
) -> Vec<String> {
    let paths = cluster.paths();
    let kubeconfig = plane.kubeconfig();
    let kubeconfigs = ["", "authentication-", "authorization-"]
        .map(|which| format!("--{which}kubeconfig={}", kubeconfig.display()));
    let flags = [
        format!("--bind-address={}", api.ip()),
        format!("--secure-port={}", api.port()),
        format!("--tls-cert-file={}", paths.frontend_certificate.display()),
        format!("--tls-private-key-file={}", paths.frontend_key.display()),
        format!(
            "--kubelet-certificate-authority={}",
            paths.kubelet_ca.display()
        ),
        "--kubelet-use-node-status-port".to_owned(),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        format!("--metric-resolution={}s", resolution.as_secs()),
    ];
    kubeconfigs.into_iter().chain(flags).collect()
}
