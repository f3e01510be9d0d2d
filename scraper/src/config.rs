//! [`Args`] -> [`Config`]: every check that needs no file and no cluster.

mod bus;
mod names;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use tributary_model::SHORTEST_RESOLUTION;
use tributary_proto::limits::LONGEST_RESOLUTION;
use tributary_runtime::{
    args::KubeArgs,
    exit::Misconfigured,
    selector::{BadSelector, Selector},
    tls::PairFiles,
};

use self::{
    bus::bus,
    names::{address_types, name},
};
pub use crate::bus::frontend::{BadFrontend, BusSecurity, Frontend, Service};
use crate::{
    args::{Args, AssignmentArgs, ByteSize, GoDuration, KubeletArgs},
    assignment::shard::{BadShard, Shard},
    kubelet::{Limits, PAGE_LIMITS, Security},
    nodes::AddressRules,
};

/// How often nodes are asked that are wanted fresh, unless a flag says otherwise.
const FAST_RESOLUTION: Duration = Duration::from_secs(5);

/// Flags that fit together.
///
/// # Invariants
///
/// - The resolution is 1 s to 1 h, which is what frontends take, and nine tenths
///   of it are enough for a request that takes all its time, so two requests to a
///   node never overlap.
/// - The limit of a page is one of [`PAGE_LIMITS`].
/// - The index of our shard is below their count; without shards, names can
///   stand in leases.
/// - There is a frontend, and if one is spoken to over TLS, a CA.
#[derive(Clone, Debug)]
pub struct Config {
    /// How often each node is asked.
    pub(crate) resolution: Duration,
    /// How often nodes are asked that are wanted fresh, if more often.
    pub(crate) fast_resolution: Option<Duration>,
    /// How long a kubelet may take.
    pub(crate) request_timeout: Duration,
    /// Bytes of a kubelet's page.
    pub(crate) max_page: usize,
    /// Whether kubelets are asked for other endpoints than the first.
    pub(crate) fallback: bool,
    /// A label selector; empty for all nodes.
    pub(crate) node_selector: String,
    /// After which time without a scrape a node has an Event. `None`: no Events.
    pub(crate) node_event_delay: Option<Duration>,
    /// How kubelets are found.
    pub(crate) rules: AddressRules,
    /// How they are spoken to.
    pub(crate) security: Security,
    /// What we are called.
    pub(crate) source_name: String,
    /// The UID of the pod of that name, in which this process runs.
    pub(crate) pod_uid: Option<String>,
    /// With whom we share.
    pub(crate) group: String,
    /// How we share.
    pub(crate) sharding: Sharding,
    /// How many scrapers ask each node, at least one.
    pub(crate) replicas: usize,
    /// Where we publish, at least one.
    pub(crate) frontends: Vec<Frontend>,
    /// How frontends are spoken to.
    pub(crate) bus: BusSecurity,
    /// Where probes and metrics are served.
    pub(crate) admin_address: SocketAddr,
    /// How the API server is found.
    pub(crate) kube: KubeArgs,
}

/// How the members of a group know of each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sharding {
    /// By flags.
    Fixed(Shard),
    /// By leases.
    Leases {
        /// Where they are, if said.
        namespace: Option<String>,
    },
}

/// Flags that do not fit together. Only the first fault is told, in the order
/// of metrics-server (docs/parity.md#validation).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadConfig {
    /// Two flags that exclude each other.
    #[error("cannot use both {0} and {1}")]
    Both(&'static str, &'static str),
    /// One flag without the other.
    #[error("need both {0} and {1}")]
    NeedBoth(&'static str, &'static str),
    /// `--kubelet-request-timeout`
    #[error("kubelet-request-timeout should be positive")]
    TimeoutNotPositive,
    /// `--metric-resolution`
    #[error("metric-resolution should be a time duration at least 1s, but value {0} provided")]
    ResolutionTooShort(GoDuration),
    /// `--fast-resolution`
    #[error(
        "fast-resolution should be 0s, or a time duration at least 1s and at most \
         metric-resolution, but value {0} provided"
    )]
    FastResolution(GoDuration),
    /// `--node-event-delay`
    #[error("node-event-delay should not be negative, but value {0} provided")]
    NodeEventDelay(GoDuration),
    /// `--metric-resolution`
    #[error(
        "metric-resolution should be a time duration at most 1h0m0s, which is what frontends take, \
         but value {0} provided"
    )]
    ResolutionTooLong(GoDuration),
    /// `--kubelet-max-page-size`
    #[error("kubelet-max-page-size should be 64Ki to 64Mi, but value {0} provided")]
    PageSize(ByteSize),
    /// A kubelet could be asked again before it has answered.
    #[error(
        "metric-resolution should be larger than kubelet-request-timeout, \
         but metric-resolution value {resolution} kubelet-request-timeout value {timeout} provided; \
         kubelet-request-timeout may be at most nine tenths of metric-resolution"
    )]
    TimeoutTooLong {
        /// `--metric-resolution`
        resolution: GoDuration,
        /// `--kubelet-request-timeout`
        timeout: GoDuration,
    },
    /// `--shard-index` or `--shard-count`
    #[error(transparent)]
    NoSuchShard(#[from] BadShard),
    /// `--replication-factor`
    #[error("--replication-factor should be at least 1")]
    NoReplica,
    /// A name that cannot stand in a lease.
    #[error(
        "{flag} should be letters, digits, `-` and `.` as in the name of a pod, for a lease, \
         but value `{value}` provided"
    )]
    LeaseName {
        /// The flag.
        flag: &'static str,
        /// What it was given.
        value: String,
    },
    /// `--node-selector`
    #[error("--node-selector: {0}")]
    NodeSelector(#[from] BadSelector),
    /// A name that frontends refuse.
    #[error(
        "{flag} should be 1 to 253 visible characters of ASCII without blanks, but value {value:?} \
         provided"
    )]
    Name {
        /// The flag.
        flag: &'static str,
        /// What it was given.
        value: String,
    },
    /// `--kubelet-preferred-address-types` is empty.
    #[error(
        "--kubelet-preferred-address-types should be at least one type, as no node has an address otherwise"
    )]
    NoAddressType,
    /// `--kubelet-preferred-address-types` has a type of Kubernetes in other letters.
    #[error("--kubelet-preferred-address-types: {given:?} is written {known}")]
    AddressType {
        /// What it was given.
        given: String,
        /// As Kubernetes writes it.
        known: &'static str,
    },
    /// No `--frontend`.
    #[error("need at least one --frontend to publish to")]
    NoFrontend,
    /// One that cannot be read.
    #[error(transparent)]
    Frontend(#[from] BadFrontend),
    /// One without TLS.
    #[error("--frontend {0} is without TLS and needs --bus-insecure")]
    Insecure(Frontend),
    /// One with TLS.
    #[error("--frontend {0} needs --bus-ca-file to verify its certificate")]
    NoAuthority(Frontend),
}

impl From<BadConfig> for Misconfigured {
    fn from(error: BadConfig) -> Self {
        Self::new(error)
    }
}

impl Config {
    /// The same at another pace, which may be faster than flags allow: a
    /// simulated kubelet has new samples whenever it is asked, a real one has
    /// not.
    #[must_use]
    pub fn paced(self, resolution: Duration, request_timeout: Duration) -> Self {
        Self {
            resolution,
            fast_resolution: self.fast_resolution.filter(|fast| *fast <= resolution),
            request_timeout,
            ..self
        }
    }

    /// The same, with another pace for nodes that are wanted fresh.
    #[must_use]
    pub fn fast(self, resolution: Option<Duration>) -> Self {
        Self {
            fast_resolution: resolution,
            ..self
        }
    }

    /// What one kubelet may take.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            time: self.request_timeout,
            page: self.max_page,
            fallback: self.fallback,
        }
    }
}

impl TryFrom<Args> for Config {
    type Error = BadConfig;

    fn try_from(args: Args) -> Result<Self, BadConfig> {
        let security = security(&args.kubelet)?;
        let (resolution, request_timeout) = pace(
            args.scrape.metric_resolution,
            args.kubelet.kubelet_request_timeout,
        )?;
        let sharding = sharding(&args.assignment)?;
        let replicas = usize::try_from(args.assignment.replication_factor).unwrap_or(usize::MAX);
        if replicas == 0 {
            return Err(BadConfig::NoReplica);
        }
        let (frontends, bus) = bus(args.bus)?;
        Ok(Self {
            resolution,
            fast_resolution: fast(args.scrape.fast_resolution, resolution)?,
            request_timeout,
            max_page: max_page(args.kubelet.kubelet_max_page_size)?,
            fallback: args.kubelet.kubelet_fallback,
            node_selector: selector(&args.scrape.node_selector)?,
            node_event_delay: node_event_delay(args.scrape.node_event_delay)?,
            rules: AddressRules {
                address_types: address_types(args.kubelet.kubelet_preferred_address_types)?.into(),
                port: args.kubelet.kubelet_port,
                use_status_port: args.kubelet.kubelet_use_node_status_port,
            },
            security,
            source_name: name("--source-name", args.assignment.source_name)?,
            pod_uid: args.assignment.pod_uid.filter(|uid| !uid.is_empty()),
            group: name("--group", args.assignment.group)?,
            sharding,
            replicas,
            frontends,
            bus,
            admin_address: args.admin_address,
            kube: args.kube,
        })
    }
}

const AUTHORITY: &str = "--kubelet-certificate-authority";
const CERTIFICATE: &str = "--kubelet-client-certificate";
const KEY: &str = "--kubelet-client-key";
const TOKEN: &str = "--kubelet-token-service-account";
const INSECURE_TLS: &str = "--kubelet-insecure-tls";
const INSECURE: &str = "--deprecated-kubelet-completely-insecure";
const VERIFY_NAME: &str = "--kubelet-verify-node-name";

fn security(args: &KubeletArgs) -> Result<Security, BadConfig> {
    let authority = args.kubelet_certificate_authority.is_some();
    let certificate = args.kubelet_client_certificate.is_some();
    let key = args.kubelet_client_key.is_some();
    let token = args.kubelet_token_service_account.is_some();
    let insecure_tls = args.kubelet_insecure_tls;
    let insecure = args.deprecated_kubelet_completely_insecure;
    let verify_name = args.kubelet_verify_node_name;
    let faults = [
        (
            authority && insecure_tls,
            BadConfig::Both(AUTHORITY, INSECURE_TLS),
        ),
        (key != certificate, BadConfig::NeedBoth(KEY, CERTIFICATE)),
        (key && insecure, BadConfig::Both(KEY, INSECURE)),
        (
            certificate && insecure,
            BadConfig::Both(CERTIFICATE, INSECURE),
        ),
        (
            insecure_tls && insecure,
            BadConfig::Both(INSECURE_TLS, INSECURE),
        ),
        (authority && insecure, BadConfig::Both(AUTHORITY, INSECURE)),
        (
            verify_name && insecure_tls,
            BadConfig::Both(VERIFY_NAME, INSECURE_TLS),
        ),
        (
            verify_name && insecure,
            BadConfig::Both(VERIFY_NAME, INSECURE),
        ),
        (token && insecure, BadConfig::Both(TOKEN, INSECURE)),
    ];
    if let Some((_, fault)) = faults.into_iter().find(|(is_there, _)| *is_there) {
        return Err(fault);
    }
    Ok(Security {
        authority: args.kubelet_certificate_authority.clone(),
        pair: pair(
            args.kubelet_client_certificate.as_ref(),
            args.kubelet_client_key.as_ref(),
        ),
        token: args.kubelet_token_service_account.clone(),
        insecure_tls,
        completely_insecure: insecure,
        verify_node_name: verify_name,
    })
}

fn node_event_delay(delay: GoDuration) -> Result<Option<Duration>, BadConfig> {
    let delay = delay.positive().ok_or(BadConfig::NodeEventDelay(delay))?;
    Ok(Some(delay).filter(|delay| !delay.is_zero()))
}

fn pair(certificate: Option<&PathBuf>, key: Option<&PathBuf>) -> Option<PairFiles> {
    Some(PairFiles {
        certificate: certificate?.clone(),
        key: key?.clone(),
    })
}

fn pace(resolution: GoDuration, timeout: GoDuration) -> Result<(Duration, Duration), BadConfig> {
    let positive = |span: GoDuration| span.positive().filter(|span| !span.is_zero());
    let waited = positive(timeout).ok_or(BadConfig::TimeoutNotPositive)?;
    let interval = resolution
        .positive()
        .filter(|interval| *interval >= SHORTEST_RESOLUTION)
        .ok_or(BadConfig::ResolutionTooShort(resolution))?;
    if interval > LONGEST_RESOLUTION {
        return Err(BadConfig::ResolutionTooLong(resolution));
    }
    if interval * 9 / 10 < waited {
        return Err(BadConfig::TimeoutTooLong {
            resolution,
            timeout,
        });
    }
    Ok((interval, waited))
}

fn fast(wanted: Option<GoDuration>, resolution: Duration) -> Result<Option<Duration>, BadConfig> {
    let Some(wanted) = wanted else {
        return Ok(Some(FAST_RESOLUTION).filter(|fast| *fast <= resolution));
    };
    let fast = wanted.positive().ok_or(BadConfig::FastResolution(wanted))?;
    if fast.is_zero() {
        Ok(None)
    } else if (SHORTEST_RESOLUTION..=resolution).contains(&fast) {
        Ok(Some(fast))
    } else {
        Err(BadConfig::FastResolution(wanted))
    }
}

fn max_page(size: ByteSize) -> Result<usize, BadConfig> {
    usize::try_from(size.bytes())
        .ok()
        .filter(|bytes| PAGE_LIMITS.contains(bytes))
        .ok_or(BadConfig::PageSize(size))
}

/// The API server applies it; that it is one is seen before.
fn selector(text: &str) -> Result<String, BadSelector> {
    let text = text.trim();
    text.parse::<Selector>().map(|_| text.to_owned())
}

fn sharding(args: &AssignmentArgs) -> Result<Sharding, BadConfig> {
    let shard = match (args.shard_index, args.shard_count) {
        (Some(index), Some(count)) => Shard::new(index, count)?,
        (None, Some(count)) => Shard::of_pod(&args.source_name, count)?,
        (Some(_), None) => return Err(BadConfig::NeedBoth("--shard-index", "--shard-count")),
        (None, None) => {
            lease_name("--group", &args.group, 63)?;
            lease_name("--source-name", &args.source_name, 240)?;
            let namespace = args.lease_namespace.clone();
            return Ok(Sharding::Leases { namespace });
        }
    };
    Ok(Sharding::Fixed(shard))
}

/// The group is the value of a label, the source a part of a name: what both
/// may be.
fn lease_name(flag: &'static str, value: &str, most: usize) -> Result<(), BadConfig> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = value.len() <= most
        && value.starts_with(letter)
        && value.ends_with(letter)
        && value.chars().all(|c| letter(c) || c == '-' || c == '.');
    if fits || value.is_empty() {
        return Ok(()); // that it is empty is told in better words
    }
    let value = value.to_owned();
    Err(BadConfig::LeaseName { flag, value })
}

#[cfg(test)]
mod tests;
