//! The flags of a frontend. The doc comments are the manual.

mod allow;
mod foreign;
mod names;
mod serving;
mod tls_auto;

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args as ClapArgs, Parser, builder::NonEmptyStringValueParser};
use tributary_model::SHORTEST_RESOLUTION;
use tributary_runtime::{
    args::{KubeArgs, LogArgs},
    duration::GoDuration,
    serve::Address,
};

pub use self::{
    allow::{Allow, BadAllow},
    foreign::Foreign,
    serving::ServingArgs,
    tls_auto::{ServiceName, TlsAutoArgs},
};

/// Serves the Kubernetes resource metrics API (`metrics.k8s.io`).
///
/// Stores the newest samples that scrapers send, and answers `kubectl top`, the
/// horizontal pod autoscaler and other clients. Any number of frontends may run;
/// each has all samples and gives the same answers.
#[derive(Clone, Debug, Parser)]
#[command(name = "tributary-apiserver", version)]
pub struct Args {
    /// The flags about the API.
    #[command(flatten)]
    pub serving: ServingArgs,
    /// The flags about certificates that run themselves.
    #[command(flatten)]
    pub tls_auto: TlsAutoArgs,
    /// The flags about who asks.
    #[command(flatten)]
    pub authentication: AuthenticationArgs,
    /// The flags about who may.
    #[command(flatten)]
    pub authorization: AuthorizationArgs,
    /// The flags about the bus.
    #[command(flatten)]
    pub bus: BusArgs,
    /// The flags about samples.
    #[command(flatten)]
    pub samples: SampleArgs,
    /// The flags about the Kubernetes API.
    #[command(flatten)]
    pub kube: KubeArgs,
    /// The flags about logging.
    #[command(flatten)]
    pub log: LogArgs,
    /// The flags of metrics-server that are not here.
    #[command(flatten)]
    pub foreign: Foreign,
}

/// Flags about who asks. Names and defaults are those of metrics-server.
#[derive(ClapArgs, Clone, Debug)]
#[command(next_help_heading = "Authentication")]
pub struct AuthenticationArgs {
    /// The kubeconfig file for `TokenReviews` and for reading the config map
    /// `kube-system/extension-apiserver-authentication`. By default that of
    /// `--kubeconfig`.
    #[arg(long, value_name = "FILE")]
    pub authentication_kubeconfig: Option<PathBuf>,

    /// Do not read the config map: use only CAs from flags.
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub authentication_skip_lookup: bool,

    /// Continue without the config map if it cannot be read.
    ///
    /// Callers with a certificate are then anonymous (401 or 403) until it can be
    /// read. Without this flag they get 503, and `/readyz` fails.
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub authentication_tolerate_lookup_failure: bool,

    /// How long the result of a TokenReview is cached. 0s disables caching.
    ///
    /// A revoked token stays valid for this long.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = GoDuration::read_positive)]
    pub authentication_token_webhook_cache_ttl: Duration,

    /// The CA, in PEM, of clients that may call this server directly. It replaces
    /// the one in the config map, and is read again when it changes.
    #[arg(long, value_name = "FILE")]
    pub client_ca_file: Option<PathBuf>,

    /// The CA, in PEM, that signs the certificate of the front proxy: the one in
    /// kube-apiserver's `--requestheader-client-ca-file`. It is read again when it
    /// changes.
    ///
    /// It replaces everything that the config map says about the front proxy. The
    /// other `--requestheader-*` flags are used only together with this one.
    #[arg(long, value_name = "FILE")]
    pub requestheader_client_ca_file: Option<PathBuf>,

    /// The common names that the certificate of the front proxy may have. By
    /// default any.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub requestheader_allowed_names: Vec<String>,

    /// The headers that may contain the user's name.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "x-remote-user"
    )]
    pub requestheader_username_headers: Vec<String>,

    /// The headers that may contain the user's ID.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub requestheader_uid_headers: Vec<String>,

    /// The headers that contain the user's groups.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "x-remote-group"
    )]
    pub requestheader_group_headers: Vec<String>,

    /// The prefixes of the headers that contain further information about the user.
    #[arg(
        long,
        value_name = "PREFIXES",
        value_delimiter = ',',
        default_value = "x-remote-extra-"
    )]
    pub requestheader_extra_headers_prefix: Vec<String>,
}

/// Flags about who may. Names and defaults are those of metrics-server.
#[derive(ClapArgs, Clone, Debug)]
#[command(next_help_heading = "Authorization")]
pub struct AuthorizationArgs {
    /// The kubeconfig file for `SubjectAccessReviews`. By default that of
    /// `--kubeconfig`.
    #[arg(long, value_name = "FILE")]
    pub authorization_kubeconfig: Option<PathBuf>,

    /// The paths that need no authorization, such as those of probes: exact, or a
    /// prefix followed by `*`. Paths of resources always need it.
    #[arg(
        long,
        value_name = "PATHS",
        value_delimiter = ',',
        default_value = "/healthz,/readyz,/livez"
    )]
    pub authorization_always_allow_paths: Vec<String>,

    /// How long a decision to allow is cached. 0s disables caching.
    ///
    /// A revoked permission stays effective for this long.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = GoDuration::read_positive)]
    pub authorization_webhook_cache_authorized_ttl: Duration,

    /// How long a decision to deny is cached. 0s disables caching.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = GoDuration::read_positive)]
    pub authorization_webhook_cache_unauthorized_ttl: Duration,

    /// How much longer a cached result that allows something may be used while the
    /// Kubernetes API does not answer reviews. 0s disables this.
    ///
    /// Users with a cached result are served through an outage of the Kubernetes
    /// API. Other users are refused in the meantime.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = GoDuration::read_positive)]
    pub review_outage_ttl: Duration,
}

/// Flags about the bus.
#[derive(ClapArgs, Clone, Debug)]
#[command(next_help_heading = "Bus")]
pub struct BusArgs {
    /// The address on which scrapers connect: `IP:PORT`, or `unix:///PATH` for a
    /// scraper in the same pod. May be given several times. An unspecified address
    /// means all of IPv4 and IPv6.
    ///
    /// TCP uses TLS 1.3 with the certificate of the API. A publisher must show a
    /// token, unless `--bus-client-ca-file` is set.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8443")]
    pub bus_address: Vec<Address>,

    /// The audience of the scrapers' tokens.
    ///
    /// A token is accepted if a TokenReview confirms it and its user may `create`
    /// `samplestreams` of the group `bus.tributary.dev`.
    #[arg(long, value_name = "AUDIENCE", default_value = "tributary-bus",
          value_parser = NonEmptyStringValueParser::new())]
    pub bus_token_audience: String,

    /// The CA, in PEM, that signs the certificates of scrapers. It is read again
    /// when it changes.
    ///
    /// Scrapers then show a certificate instead of a token. Use a separate CA:
    /// every holder of one of its certificates may publish.
    #[arg(long, value_name = "FILE")]
    pub bus_client_ca_file: Option<PathBuf>,

    /// The names that scrapers may have, as common name or DNS name in their
    /// certificates. By default any.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        requires = "bus_client_ca_file"
    )]
    pub bus_allowed_names: Vec<String>,

    /// Require a token in addition to the certificate.
    #[arg(long, requires = "bus_client_ca_file")]
    pub bus_require_token: bool,

    /// How often the token, the permission and the certificate of an open stream
    /// are checked again.
    ///
    /// A publisher that loses them is cut off after this time and at most 20
    /// seconds more. Each check of a token is two reviews. At least 1s; it cannot
    /// be disabled.
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = read_recheck)]
    pub bus_recheck_interval: Duration,

    /// The users whose processes may publish over a Unix socket, in addition to
    /// this process's own user and root.
    ///
    /// The socket is then open to its group, too: the pod needs an `fsGroup`.
    #[arg(long, value_name = "UIDS", value_delimiter = ',')]
    pub bus_allowed_uids: Vec<u32>,

    /// Which publisher may publish which nodes: `PUBLISHER=SELECTOR`, with labels
    /// of nodes in the syntax of `kubectl -l`; an empty selector means all nodes.
    /// May be given several times.
    ///
    /// PUBLISHER is the user of a token (`system:serviceaccount:NAMESPACE:NAME`), a
    /// name in a certificate, or `uid:NUMBER` on a Unix socket. Publishers without
    /// a rule may then publish nothing. By default every admitted publisher may
    /// publish all nodes.
    #[arg(long, value_name = "RULE")]
    pub bus_allow: Vec<Allow>,

    /// Accept samples over plain TCP from any client.
    ///
    /// For tests only: any client that reaches the port controls what autoscalers
    /// see.
    #[arg(long, conflicts_with_all = ["bus_client_ca_file", "bus_allow"])]
    pub bus_insecure: bool,

    /// The name of this frontend in the logs of scrapers.
    #[arg(
        long,
        value_name = "NAME",
        env = "HOSTNAME",
        default_value = "frontend",
        value_parser = names::read_visible
    )]
    pub frontend_name: String,

    /// The shortest resolution that a publisher may claim. There is no flag: only tests with simulated kubelets change it.
    #[arg(skip = SHORTEST_RESOLUTION)]
    pub shortest_resolution: Duration,
}

/// Flags about samples.
#[derive(ClapArgs, Clone, Debug)]
#[command(next_help_heading = "Samples")]
pub struct SampleArgs {
    /// How long a sample is served, counted from the scrape.
    ///
    /// A failed scrape hides nothing until then. By default three times the
    /// resolution of the scraper that sent the sample, and at least 30s. Longer than 0.
    #[arg(long, value_name = "DURATION", value_parser = read_sample_age)]
    pub max_sample_age: Option<Duration>,

    /// The shortest time over which CPU usage is measured. 1s to 1m.
    ///
    /// Where samples are closer, because a node is scraped every second, usage is
    /// measured since the newest sample that is as old as this. Where most samples of a
    /// node are less than five quarters of this apart, it is measured over three times
    /// this, as soon as there are such samples: a mean over 5s shows requests that come
    /// at random as a change of load. A shorter window shows a change in load sooner,
    /// and more of what passes.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = read_min_window)]
    pub min_window: Duration,

    /// The percentage of nodes that must be served, or have a known reason why not,
    /// before `/readyz` succeeds.
    ///
    /// A failed scrape is such a reason, and so is a scrape without usable values:
    /// waiting longer would not help. After the frontend has become ready, half of
    /// this percentage keeps it ready.
    #[arg(long, value_name = "PERCENT", default_value_t = 90,
          value_parser = clap::value_parser!(u8).range(0..=100))]
    pub readiness_coverage: u8,

    /// The percentage of nodes that must be served before `/readyz` succeeds. A
    /// node is served if its own usage is, or that of one of its pods.
    ///
    /// At least one node must be served, even with 0. Lower it if most nodes cannot
    /// be scraped; it is better to exclude such nodes with `--node-selector`. After
    /// the frontend has become ready, half of this percentage keeps it ready.
    #[arg(long, value_name = "PERCENT", default_value_t = 50,
          value_parser = clap::value_parser!(u8).range(0..=100))]
    pub readiness_served: u8,

    /// Serve only nodes with these labels, in the syntax of `kubectl -l`.
    #[arg(short = 'l', long, value_name = "SELECTOR", default_value = "")]
    pub node_selector: String,
}

/// Reads `--bus-recheck-interval`. With 0 an open stream would be checked without
/// end, which is not what 0 means elsewhere.
fn read_recheck(text: &str) -> Result<Duration, String> {
    let interval = GoDuration::read_positive(text).map_err(|error| error.to_string())?;
    if interval < Duration::from_secs(1) {
        return Err("must be at least 1s".to_owned());
    }
    Ok(interval)
}

/// Reads `--max-sample-age`. With 0 nothing would ever be served.
fn read_sample_age(text: &str) -> Result<Duration, String> {
    let age = GoDuration::read_positive(text).map_err(|error| error.to_string())?;
    if age.is_zero() {
        return Err("must be longer than 0s: with it nothing would ever be served".to_owned());
    }
    Ok(age)
}

/// Reads `--min-window`.
fn read_min_window(text: &str) -> Result<Duration, String> {
    let window = GoDuration::read_positive(text).map_err(|error| error.to_string())?;
    if !(Duration::from_secs(1)..=Duration::from_mins(1)).contains(&window) {
        return Err("must be 1s to 1m".to_owned());
    }
    Ok(window)
}
