//! Proxies, which are not supported.

use kube::{Config, config::Kubeconfig};

use crate::server;

/// Why a configuration with a proxy cannot be used. `None` if it has none.
#[must_use]
pub fn proxy(config: &Config) -> Option<String> {
    let proxy = server(config.proxy_url.as_ref()?);
    Some(format!(
        "the Kubernetes API is to be reached by the proxy {proxy} (proxy-url in the kubeconfig, or HTTPS_PROXY), which is \
         not supported. If the server can be reached without it, add its host to NO_PROXY, or remove proxy-url"
    ))
}

/// Whether the cluster of the context names a proxy. Then `NO_PROXY` does not count, as for kubectl.
pub(crate) fn is_named(kubeconfig: &Kubeconfig, context: Option<&str>) -> bool {
    let current = context.or(kubeconfig.current_context.as_deref());
    let mut contexts = kubeconfig.contexts.iter();
    let context = contexts.find(|it| Some(&*it.name) == current);
    let context = context.and_then(|it| it.context.as_ref());
    let mut clusters = kubeconfig.clusters.iter();
    let cluster = clusters.find(|it| context.is_some_and(|context| context.cluster == it.name));
    let url = cluster.and_then(|it| it.cluster.as_ref()?.proxy_url.as_deref());
    url.is_some_and(|url| !url.is_empty())
}
