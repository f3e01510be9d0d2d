//! Kubeconfig files for kubectl and kube clients.

use std::path::Path;

use crate::Error;
use crate::encode::base64;
use crate::pki::{Ca, Pki, write_file};

/// Writes the kubeconfig of an administrator.
pub(super) fn write_admin(pki: &Pki, url: &str, path: &Path) -> Result<(), Error> {
    let admin = pki.client(Ca::Cluster, "kubernetes-admin", &["system:masters"])?;
    let user = format!(
        "client-certificate-data: {}\n    client-key-data: {}",
        base64(admin.certificate.as_bytes()),
        base64(admin.key.as_bytes())
    );
    write_file(path, text(pki, url, &user).as_bytes())
}

/// A kubeconfig with a token.
pub(super) fn with_token(pki: &Pki, url: &str, token: &str) -> String {
    text(pki, url, &format!("token: {token}"))
}

fn text(pki: &Pki, url: &str, user: &str) -> String {
    let ca = base64(pki.ca(Ca::Cluster).as_bytes());
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: simulated
  cluster:
    server: {url}
    certificate-authority-data: {ca}
users:
- name: user
  user:
    {user}
contexts:
- name: simulated
  context:
    cluster: simulated
    user: user
current-context: simulated
"
    )
}
