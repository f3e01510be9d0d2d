//! The flags about authentication and authorization, to the layer.

use std::{path::Path, sync::Arc, time::Duration};

use kube::{Client, Config as KubeConfig};
use prometheus_client::registry::Registry;
use tributary_runtime::{clock::Clock, exit::Misconfigured, kube as runtime_kube, tasks::Tasks};

use super::{
    Auth, Inner,
    access::{Access, Holds, OpenPaths},
    ask::Reviews,
    cache::Hold,
    front_proxy::Headers,
    metrics::AuthMetrics,
    token::Tokens,
    trust::{Keeper, Settings},
};
use crate::args::{AuthenticationArgs, AuthorizationArgs};

/// How long a connection to the Kubernetes API may take to be made, within the
/// time of a review.
const CONNECT: Duration = Duration::from_secs(5);

/// What the flags mean. Exists only if they fit together.
#[derive(Debug)]
pub(crate) struct AuthConfig {
    keeper: Keeper,
    open: OpenPaths,
    hold_tokens: Hold,
    hold_access: Holds,
}

impl AuthConfig {
    /// Checks the flags and reads the files that they name.
    ///
    /// # Errors
    ///
    /// A flag cannot mean anything, or a file cannot be used.
    pub(crate) fn new(
        authentication: &AuthenticationArgs,
        authorization: &AuthorizationArgs,
    ) -> Result<Self, Misconfigured> {
        let headers = Headers::new(
            &authentication.requestheader_username_headers,
            &authentication.requestheader_uid_headers,
            &authentication.requestheader_group_headers,
            &authentication.requestheader_extra_headers_prefix,
        );
        let headers = headers.map_err(|name| {
            Misconfigured::new(format!("--requestheader-*: no header is named {name:?}"))
        })?;
        let keeper = Keeper::start(Settings {
            client_ca: authentication.client_ca_file.clone(),
            proxy_ca: authentication.requestheader_client_ca_file.clone(),
            allowed_names: authentication.requestheader_allowed_names.clone(),
            headers,
            lookup: !authentication.authentication_skip_lookup,
            tolerate: authentication.authentication_tolerate_lookup_failure,
        })?;
        let open = OpenPaths::new(&authorization.authorization_always_allow_paths);
        let hold = |fresh| Hold {
            fresh,
            spare: authorization.review_outage_ttl,
        };
        Ok(Self {
            keeper,
            open: open.map_err(|error| {
                Misconfigured::new(format!("--authorization-always-allow-paths: {error}"))
            })?,
            hold_tokens: hold(authentication.authentication_token_webhook_cache_ttl),
            hold_access: Holds {
                allowed: hold(authorization.authorization_webhook_cache_authorized_ttl),
                denied: authorization.authorization_webhook_cache_unauthorized_ttl,
            },
        })
    }

    /// Starts what keeps the CAs up to date, and gives the layer.
    pub(crate) fn start(
        self,
        clients: Clients,
        tasks: &mut Tasks,
        registry: &mut Registry,
        clock: Clock,
    ) -> Auth {
        let metrics = AuthMetrics::register(registry);
        let tokens = Reviews::new(
            clients.authentication.clone(),
            metrics.token_reviews.clone(),
        );
        let access = Reviews::new(clients.authorization, metrics.access_reviews.clone());
        let auth = Auth(Arc::new(Inner {
            trust: self.keeper.current(),
            tokens: Tokens::new(tokens, self.hold_tokens, metrics.token_spares.clone()),
            access: Access::new(access, self.hold_access, metrics.access_spares.clone()),
            open: self.open,
            clock,
            metrics,
        }));
        let stop = tasks.stop();
        let keeper = self.keeper;
        tasks.spawn("trust", async move {
            keeper.follow(clients.authentication, stop).await;
            Ok(())
        });
        auth
    }
}

/// The clients with which the Kubernetes API is asked.
pub(crate) struct Clients {
    authentication: Client,
    authorization: Client,
}

impl Clients {
    /// From the kubeconfig files that the flags name; where they name none, as
    /// for everything else.
    ///
    /// # Errors
    ///
    /// A file cannot be used.
    pub(crate) async fn new(
        authentication: Option<&Path>,
        authorization: Option<&Path>,
        otherwise: &KubeConfig,
    ) -> Result<Self, Misconfigured> {
        Ok(Self {
            authentication: client("--authentication-kubeconfig", authentication, otherwise)
                .await?,
            authorization: client("--authorization-kubeconfig", authorization, otherwise).await?,
        })
    }
}

async fn client(
    flag: &str,
    file: Option<&Path>,
    otherwise: &KubeConfig,
) -> Result<Client, Misconfigured> {
    let mut config = match file {
        Some(file) => runtime_kube::config_from(flag, file).await?,
        None => otherwise.clone(),
    };
    config.connect_timeout = Some(CONNECT);
    // Reviews are tried again by rules of their own, and watches by theirs.
    config.default_retry = false;
    runtime_kube::client(config)
}
