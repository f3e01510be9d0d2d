//! Builds the layer from the flags about authentication and authorization.

use std::{path::Path, sync::Arc};

use futures::{FutureExt as _, future::BoxFuture};
use kube::Client;
use prometheus_client::registry::Registry;
use tributary_runtime::{
    args::KubeArgs,
    clock::Clock,
    exit::Misconfigured,
    kube::{self as runtime_kube, Watches},
    kube_credentials::KubeCredentials,
    log_limiter::LogLimiter,
    tasks::Tasks,
};

use super::{
    Auth, Inner,
    access::{Access, Holds, OpenPaths},
    ask::Reviews,
    cache::Ttl,
    front_proxy::Headers,
    metrics::AuthMetrics,
    token::Tokens,
    trust::{Keeper, Settings},
    waiting::WaitingRoom,
};
use crate::{
    args::{AuthenticationArgs, AuthorizationArgs},
    k8s::resource::Resources,
};

/// The settings from the flags. A value exists only if they fit together.
#[derive(Debug)]
pub(crate) struct AuthConfig {
    keeper: Keeper,
    open: OpenPaths,
    token_ttl: Ttl,
    hold_access: Holds,
}

impl AuthConfig {
    /// Checks the flags and reads the files that they name.
    ///
    /// # Errors
    ///
    /// A flag is not valid, or a file cannot be used.
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
            let flag = flag_of(authentication, &name);
            Misconfigured::new(format!("{flag}: no header is named {name:?}"))
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
        let ttl = |fresh| Ttl {
            fresh,
            stale: authorization.review_outage_ttl,
            denies: false,
        };
        Ok(Self {
            keeper,
            open: open.map_err(|error| {
                Misconfigured::new(format!("--authorization-always-allow-paths: {error}"))
            })?,
            token_ttl: ttl(authentication.authentication_token_webhook_cache_ttl),
            hold_access: Holds {
                allowed: ttl(authorization.authorization_webhook_cache_authorized_ttl),
                denied: authorization.authorization_webhook_cache_unauthorized_ttl,
            },
        })
    }

    /// Starts the task that keeps the CAs up to date, and returns the layer. Selectors of
    /// `resources` are part of the question whether a caller may list them.
    pub(crate) fn start(
        self,
        clients: Clients,
        resources: Resources,
        tasks: &mut Tasks,
        registry: &mut Registry,
        clock: Clock,
    ) -> Auth {
        let metrics = AuthMetrics::register(registry);
        let tokens = Reviews::new(clients.authentication, metrics.token_reviews.clone());
        let access = Reviews::new(clients.authorization, metrics.access_reviews.clone());
        let waiting = WaitingRoom::new(metrics.waiting.clone());
        let stale_answers = (metrics.stale_tokens.clone(), metrics.stale_access.clone());
        let auth = Auth(Arc::new(Inner {
            trust: self.keeper.current(),
            tokens: Tokens::new(tokens, self.token_ttl, stale_answers.0, waiting.clone()),
            access: Access::new(access, self.hold_access, stale_answers.1, waiting),
            open: self.open,
            resources,
            clock,
            metrics,
            refusals: LogLimiter::default(),
        }));
        let stop = tasks.stop();
        let keeper = self.keeper;
        tasks.spawn("trust", async move {
            keeper.follow(clients.config_map, stop).await;
            Ok(())
        });
        auth
    }
}

/// The flag that has this name of a header.
fn flag_of(args: &AuthenticationArgs, name: &str) -> &'static str {
    let has = |names: &[String]| names.iter().any(|it| it == name);
    if has(&args.requestheader_username_headers) {
        "--requestheader-username-headers"
    } else if has(&args.requestheader_uid_headers) {
        "--requestheader-uid-headers"
    } else {
        "--requestheader-group-headers"
    }
}

/// The clients for reviews and for the watch of the config map.
pub(crate) struct Clients {
    authentication: Client,
    authorization: Client,
    /// For the watch of the config map, with the credentials of token reviews.
    config_map: Client,
}

impl Clients {
    /// Makes the clients from the kubeconfig files that the flags name, or from the general
    /// configuration. Their credentials are read again when they are refused, and are among
    /// `credentials`.
    ///
    /// # Errors
    ///
    /// A file cannot be used.
    pub(crate) async fn new(
        authentication: Option<&Path>,
        authorization: Option<&Path>,
        otherwise: &KubeArgs,
        watches: &Watches,
        credentials: &KubeCredentials,
    ) -> Result<Self, Misconfigured> {
        let tokens = reader("--authentication-kubeconfig", authentication, otherwise);
        let access = reader("--authorization-kubeconfig", authorization, otherwise);
        let authentication = credentials.client("tokenreviews", tokens).await?;
        Ok(Self {
            config_map: watches.observe("configmaps", &authentication),
            authorization: credentials.client("subjectaccessreviews", access).await?,
            authentication,
        })
    }
}

/// Makes a client from what `file` has now, or else from `otherwise`.
fn reader(
    flag: &'static str,
    file: Option<&Path>,
    otherwise: &KubeArgs,
) -> impl Fn() -> BoxFuture<'static, Result<Client, Misconfigured>> + Send + Sync + 'static {
    let (file, otherwise) = (file.map(Path::to_owned), otherwise.clone());
    move || {
        let (file, otherwise) = (file.clone(), otherwise.clone());
        async move {
            let config = match file {
                Some(file) => runtime_kube::config_from(flag, &file).await?,
                None => runtime_kube::config(&otherwise).await?,
            };
            otherwise.limits.client(config)
        }
        .boxed()
    }
}
