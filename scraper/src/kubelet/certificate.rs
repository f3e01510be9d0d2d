//! Whether a kubelet's certificate is that of its node.
//!
//! The address to which we dial, and with it the name that TLS verifies, is what
//! the kubelet itself wrote into the status of its node. So it can lead us to
//! anything that has a certificate of the same CA, with our credentials. The name
//! of the node is not its own choice: the signer `kubernetes.io/kubelet-serving`
//! gives it to that node alone, as common name (KEP-4872 has kube-apiserver check
//! the same).

use rustls_pki_types::CertificateDer;
use tributary_model::NodeName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::failure::{Reason, ScrapeError};

/// Whether the first certificate of a chain that was verified has the name of
/// `node`, and no other.
///
/// # Errors
///
/// It has not. The message says what is wanted and not what was found, which the
/// other side chose.
pub(super) fn is_of_node(
    chain: Option<&[CertificateDer<'_>]>,
    node: &NodeName,
) -> Result<(), ScrapeError> {
    let wanted = format!("system:node:{node}");
    let leaf = chain.and_then(<[_]>::first);
    if leaf.is_some_and(|leaf| is_named(leaf, &wanted)) {
        return Ok(());
    }
    Err(ScrapeError::new(
        Reason::Tls,
        format!(
            "x509: the common name of the certificate is not \"{wanted}\", which \
             --kubelet-verify-node-name wants (let the kubelet have a certificate from the \
             signer kubernetes.io/kubelet-serving, by serverTLSBootstrap)"
        ),
    ))
}

fn is_named(leaf: &CertificateDer<'_>, wanted: &str) -> bool {
    let Ok((_, leaf)) = X509Certificate::from_der(leaf) else {
        return false;
    };
    let mut names = leaf.subject().iter_common_name();
    let first = names.next().and_then(|name| name.as_str().ok());
    first == Some(wanted) && names.next().is_none()
}
