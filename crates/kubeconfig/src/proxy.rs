//! Proxies, which are not supported.

use kube::Config;

use crate::server;

/// Why a configuration with a proxy cannot be used. `None` if it has none.
#[must_use]
pub fn proxy(config: &Config) -> Option<String> {
    let proxy = server(config.proxy_url.as_ref()?);
    Some(format!(
        "the Kubernetes API is to be reached by the proxy {proxy} (proxy-url in the kubeconfig, or HTTPS_PROXY), which is \
         not supported"
    ))
}
