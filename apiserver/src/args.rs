//! The flags of a frontend. The doc comments are the manual.

mod foreign;
mod serving;
mod tls_auto;

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args as ClapArgs, Parser};
use tributary_runtime::{
    args::{KubeArgs, LogArgs},
    duration::GoDuration,
    serve::Address,
};

pub use self::{
    foreign::Foreign,
    serving::ServingArgs,
    tls_auto::{ServiceName, TlsAutoArgs},
};
use crate::bus::Allow;

/// Serves the Kubernetes resource metrics API (`metrics.k8s.io`).
///
/// Holds the newest samples that scrapers send and answers `kubectl top`, the
/// horizontal pod autoscaler and whoever else asks. Any number of frontends may
/// run; each holds everything and gives the same answers.
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
    /// The kubeconfig file for reviewing tokens and for reading the config map
    /// `kube-system/extension-apiserver-authentication`; by default that of
    /// everything else.
    #[arg(long, value_name = "FILE")]
    pub authentication_kubeconfig: Option<PathBuf>,

    /// Do not read the config map: only CAs that flags name count.
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub authentication_skip_lookup: bool,

    /// Take a config map that cannot be read for one that says nothing.
    ///
    /// Callers with a certificate are then nobody (401 or 403) until it can be
    /// read. Without this flag they are asked to come again (503), and
    /// `/readyz` fails.
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub authentication_tolerate_lookup_failure: bool,

    /// How long the verdict on a bearer token is held; 0s is not at all.
    ///
    /// A token that is revoked is good for so much longer.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = GoDuration::read_positive)]
    pub authentication_token_webhook_cache_ttl: Duration,

    /// A CA whose clients may call this server directly, in PEM; read again when
    /// it changes. Instead of that of the config map.
    #[arg(long, value_name = "FILE")]
    pub client_ca_file: Option<PathBuf>,

    /// The CA that signs the certificate of the front proxy, in PEM: that of
    /// kube-apiserver's `--requestheader-client-ca-file`; read again when it
    /// changes.
    ///
    /// Instead of all that the config map says about the front proxy: the other
    /// `--requestheader` flags count then, and only then.
    #[arg(long, value_name = "FILE")]
    pub requestheader_client_ca_file: Option<PathBuf>,

    /// The common names that the front proxy's certificate may have; any by
    /// default.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub requestheader_allowed_names: Vec<String>,

    /// The headers that may have the user's name.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "x-remote-user"
    )]
    pub requestheader_username_headers: Vec<String>,

    /// The headers that may have the user's identifier.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub requestheader_uid_headers: Vec<String>,

    /// The headers that have the user's groups.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "x-remote-group"
    )]
    pub requestheader_group_headers: Vec<String>,

    /// What the headers with further facts about the user begin with.
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
    /// The kubeconfig file for reviewing access; by default that of everything
    /// else.
    #[arg(long, value_name = "FILE")]
    pub authorization_kubeconfig: Option<PathBuf>,

    /// The paths that anybody may ask for, such as those of probes: whole, or up
    /// to a `*` at the end. Never those of resources.
    #[arg(
        long,
        value_name = "PATHS",
        value_delimiter = ',',
        default_value = "/healthz,/readyz,/livez"
    )]
    pub authorization_always_allow_paths: Vec<String>,

    /// How long a decision that allows is held; 0s is not at all.
    ///
    /// Whoever loses a permission keeps it for so much longer.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = GoDuration::read_positive)]
    pub authorization_webhook_cache_authorized_ttl: Duration,

    /// How long a decision that does not allow is held; 0s is not at all.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = GoDuration::read_positive)]
    pub authorization_webhook_cache_unauthorized_ttl: Duration,

    /// How long past its time a verdict on a token, or a decision, that lets
    /// somebody in may still be used while the Kubernetes API cannot be asked;
    /// 0s is not at all.
    ///
    /// Whoever could ask goes on being served through an outage of the
    /// Kubernetes API. Nobody new is let in meanwhile.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = humantime::parse_duration)]
    pub review_outage_ttl: Duration,
}

/// Flags about the bus.
#[derive(ClapArgs, Clone, Debug)]
#[command(next_help_heading = "Bus")]
pub struct BusArgs {
    /// Where scrapers connect: `IP:PORT`, or `unix:///PATH` for a scraper in
    /// the same pod. May be given several times. An address that is unspecified
    /// stands for all of IPv4 and IPv6.
    ///
    /// TCP is TLS 1.3 with the API's certificate. Whoever publishes over it has to
    /// show a token, unless `--bus-client-ca-file` is given.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8443")]
    pub bus_address: Vec<Address>,

    /// The audience of the tokens that scrapers show.
    ///
    /// A token is good if a TokenReview says so, and if its user may `create`
    /// `samplestreams` of the group `bus.tributary.dev`.
    #[arg(long, value_name = "AUDIENCE", default_value = "tributary-bus")]
    pub bus_token_audience: String,

    /// The CA that signs the certificates of scrapers, in PEM; read again when it
    /// changes.
    ///
    /// Scrapers then show a certificate instead of a token. Use a CA of its own:
    /// whoever holds a certificate of it may publish.
    #[arg(long, value_name = "FILE")]
    pub bus_client_ca_file: Option<PathBuf>,

    /// The names of scrapers, as common name or DNS name in their certificates;
    /// any by default.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        requires = "bus_client_ca_file"
    )]
    pub bus_allowed_names: Vec<String>,

    /// Want a token besides the certificate.
    #[arg(long, requires = "bus_client_ca_file")]
    pub bus_require_token: bool,

    /// How often the token, the permission and the certificate of an open stream
    /// are checked again.
    ///
    /// Whoever loses them is cut off so much later, and 20 seconds at most. Each
    /// check of a token is two reviews. At least 1s: it cannot be switched off.
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = read_recheck)]
    pub bus_recheck_interval: Duration,

    /// Whose processes may publish over a Unix socket, besides those of this
    /// frontend's own user and of root.
    ///
    /// The socket is then open to its group too: the pod needs an `fsGroup`.
    #[arg(long, value_name = "UIDS", value_delimiter = ',')]
    pub bus_allowed_uids: Vec<u32>,

    /// Who may publish which nodes: `PUBLISHER=SELECTOR`, with labels of nodes in
    /// the syntax of `kubectl -l`, or none for all. May be given several times.
    ///
    /// A publisher is the user of a token
    /// (`system:serviceaccount:NAMESPACE:NAME`), a name in a certificate, or
    /// `uid:NUMBER` on a Unix socket. Others may then publish nothing. By default
    /// everybody who is let in may publish all.
    #[arg(long, value_name = "RULE")]
    pub bus_allow: Vec<Allow>,

    /// Take samples over plain TCP from anybody.
    ///
    /// For tests: whoever reaches the port decides what autoscalers see.
    #[arg(long, conflicts_with_all = ["bus_client_ca_file", "bus_allow"])]
    pub bus_insecure: bool,

    /// The name of this frontend in the logs of scrapers.
    #[arg(
        long,
        value_name = "NAME",
        env = "HOSTNAME",
        default_value = "frontend"
    )]
    pub frontend_name: String,
}

/// Flags about samples.
#[derive(ClapArgs, Clone, Debug)]
#[command(next_help_heading = "Samples")]
pub struct SampleArgs {
    /// How long a sample is served after the kubelet was asked for it.
    ///
    /// A failed scrape hides nothing until then. By default three times the
    /// resolution of the scraper that sent it. Longer than 0.
    #[arg(long, value_name = "DURATION", value_parser = read_sample_age)]
    pub max_sample_age: Option<Duration>,

    /// The share of nodes, in percent, that must be answered for before `/readyz`
    /// succeeds.
    ///
    /// A node is answered for if it is served, if its scrape fails, or if it is
    /// scraped and reports nothing usable: waiting longer would not help. Once
    /// ready, half of this share keeps the frontend ready.
    #[arg(long, value_name = "PERCENT", default_value_t = 90,
          value_parser = clap::value_parser!(u8).range(0..=100))]
    pub readiness_coverage: u8,

    /// The share of nodes, in percent, that must be served before `/readyz`
    /// succeeds: the usage of the node, or of one of its pods.
    ///
    /// At least one node, also with 0. Lower it where most nodes cannot be scraped;
    /// better, exclude these by `--node-selector`. Once ready, half of this share
    /// keeps the frontend ready.
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
    let interval = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if interval < Duration::from_secs(1) {
        return Err("must be at least 1s".to_owned());
    }
    Ok(interval)
}

/// Reads `--max-sample-age`. With 0 nothing would ever be served.
fn read_sample_age(text: &str) -> Result<Duration, String> {
    let age = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if age.is_zero() {
        return Err("must be longer than 0s: with it nothing would ever be served".to_owned());
    }
    Ok(age)
}
