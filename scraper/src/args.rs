//! The flags. What they say is what they mean; whether they fit together is
//! for [`Config`](crate::config::Config).
//!
//! The flags about kubelets and nodes are those of metrics-server, by name,
//! default and meaning (docs/parity.md#flags-of-its-own).

mod foreign;
mod service_account;
mod size;

use std::{net::SocketAddr, path::PathBuf};

use clap::{ArgAction, Parser, value_parser};
use rustls_pki_types::ServerName;
use tributary_model::is_dns_label;
use tributary_runtime::{
    args::{KubeArgs, LogArgs},
    serve::ip_and_port,
};

pub use self::{
    foreign::Foreign,
    service_account::{BadServiceAccount, ServiceAccount},
    size::{BadSize, ByteSize},
};
pub use tributary_runtime::duration::{BadDuration, GoDuration};

/// Scrapes the kubelets of a Kubernetes cluster and sends the samples to every
/// Tributary frontend.
#[derive(Clone, Debug, Parser)]
#[command(name = "tributary-scraper", version)]
pub struct Args {
    #[expect(missing_docs, reason = "would become a part of --help")]
    #[command(flatten)]
    pub kube: KubeArgs,

    #[expect(missing_docs, reason = "would become a part of --help")]
    #[command(flatten)]
    pub scrape: ScrapeArgs,

    #[expect(missing_docs, reason = "would become a part of --help")]
    #[command(flatten)]
    pub kubelet: KubeletArgs,

    #[expect(missing_docs, reason = "would become a part of --help")]
    #[command(flatten)]
    pub assignment: AssignmentArgs,

    #[expect(missing_docs, reason = "would become a part of --help")]
    #[command(flatten)]
    pub bus: BusArgs,

    /// The address on which `/livez`, `/readyz` and `/metrics` are served without
    /// TLS. An unspecified address means all of IPv4 and IPv6.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080", value_parser = ip_and_port)]
    pub admin_address: SocketAddr,

    #[expect(missing_docs, reason = "would become a part of --help")]
    #[command(flatten)]
    pub log: LogArgs,

    #[expect(missing_docs, reason = "would become a part of --help")]
    #[command(flatten)]
    pub foreign: Foreign,
}

/// Flags about when and which nodes are scraped.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Scraping")]
pub struct ScrapeArgs {
    /// How often every node is scraped. At least 1s.
    ///
    /// Usage is measured over this time, and over `--min-window` of the frontends at
    /// least. Half of it costs twice the CPU, in this process and in the kubelets. Most
    /// kubelets measure every 10 to 20 seconds, and a shorter resolution than that shows
    /// sooner what they measured, but not more; `--fast-resolution` does so where it
    /// matters. Below 12s `--kubelet-request-timeout` must be shorter than by default.
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub metric_resolution: GoDuration,

    /// How often a node is scraped if an autoscaler reads its pods. 0s: as often as the
    /// others. At least 1s, and at most `--metric-resolution`. By default 5s, or 0s if
    /// `--metric-resolution` is shorter than that.
    ///
    /// A frontend that is asked for the same pods again and again, by a label selector
    /// or by name, as autoscalers ask, tells scrapers on which nodes these are. A
    /// minute after the last question they are scraped as the others. At most a fifth
    /// of the nodes of a scraper are scraped this often, or ten. A kubelet that measures
    /// all of its containers at once is scraped less often, when it may have something
    /// new. Usage is measured over `--min-window` of the frontends at least.
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub fast_resolution: Option<GoDuration>,

    /// Scrape only nodes with these labels.
    ///
    /// The syntax is that of `kubectl -l`: `zone=a,arch in (amd64,arm64),!spot`.
    #[arg(short = 'l', long, value_name = "SELECTOR", default_value = "")]
    pub node_selector: String,

    /// Write an Event on the Node when no scraper could scrape it for this long, and
    /// another when it is scraped again. 0s: no Events.
    ///
    /// Needs the verbs `create` and `patch` on `events.events.k8s.io` in the namespace
    /// `default`. While the node stays lost, the Event is repeated every half hour. At
    /// most 20 in a minute are written.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5m",
        allow_hyphen_values = true
    )]
    pub node_event_delay: GoDuration,
}

/// Flags about kubelets.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag; what they mean together is worked out in `Security`"
)]
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Kubelet client")]
pub struct KubeletArgs {
    /// Do not verify the certificates of kubelets.
    ///
    /// Credentials are sent to any server that answers. For tests only.
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub kubelet_insecure_tls: bool,

    /// Use the port in the node's status, if there is one, instead of
    /// --kubelet-port.
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub kubelet_use_node_status_port: bool,

    /// The port of the kubelets.
    #[arg(long, value_name = "PORT", default_value_t = 10_250, value_parser = value_parser!(u16).range(1..))]
    pub kubelet_port: u16,

    /// The types of node addresses, in order of preference: the first type that a
    /// node has is used.
    ///
    /// The kubelet's certificate must be valid for that address.
    #[arg(
        long,
        value_name = "TYPES",
        value_delimiter = ',',
        default_value = "Hostname,InternalDNS,InternalIP,ExternalDNS,ExternalIP"
    )]
    pub kubelet_preferred_address_types: Vec<String>,

    /// The file with the CAs that signed the certificates of kubelets.
    ///
    /// By default the CA of the cluster. The file is read again when it changes.
    #[arg(long, value_name = "FILE")]
    pub kubelet_certificate_authority: Option<PathBuf>,

    /// Scrape a kubelet only if the common name of its certificate is
    /// `system:node:` followed by the name of the node.
    ///
    /// A kubelet reports the address of its node itself, but not the name.
    /// Certificates of the signer kubernetes.io/kubelet-serving have this common
    /// name (serverTLSBootstrap); self-signed ones do not.
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub kubelet_verify_node_name: bool,

    /// The file with the key of --kubelet-client-certificate.
    #[arg(long, value_name = "FILE")]
    pub kubelet_client_key: Option<PathBuf>,

    /// The file with the client certificate for kubelets. No token is sent with it,
    /// except that of --kubelet-token-service-account. The file is read again when
    /// it changes.
    #[arg(long, value_name = "FILE")]
    pub kubelet_client_certificate: Option<PathBuf>,

    /// The ServiceAccount whose tokens are sent to kubelets, as `[NAMESPACE/]NAME`.
    /// By default in the namespace of this pod.
    ///
    /// It needs the verb `get` on `nodes/metrics` and should have no other
    /// permission, so that a kubelet receives nothing that is useful elsewhere.
    /// This process needs `create` on `serviceaccounts/token` of that name: it
    /// requests tokens that are valid for ten minutes. Without this flag, and
    /// without a client certificate, kubelets receive the credentials for the
    /// Kubernetes API, as with metrics-server.
    #[arg(long, value_name = "ACCOUNT")]
    pub kubelet_token_service_account: Option<ServiceAccount>,

    /// How long a scrape may take, from connecting to the last byte.
    ///
    /// At most nine tenths of --metric-resolution, so that a slow node has answered
    /// before the next scrape.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10s",
        allow_hyphen_values = true
    )]
    pub kubelet_request_timeout: GoDuration,

    /// The maximum size of a kubelet's page, as sent and as inflated: bytes, or a
    /// number with `Ki` or `Mi`; 64Ki to 64Mi.
    ///
    /// 4Mi is about 5,000 containers. A node with a larger page has no metrics, and
    /// its 404 says why. Other nodes are not affected.
    #[arg(long, value_name = "SIZE", default_value = "4Mi")]
    pub kubelet_max_page_size: ByteSize,

    /// Scrape a kubelet without `/metrics/resource` at `/metrics/resource/v1alpha1` and
    /// `/stats/summary`, and remember which of them it has.
    ///
    /// Kubelets before Kubernetes 1.18 and many virtual nodes have only these.
    /// `/stats/summary` needs the verb `get` on `nodes/stats`. If an annotation of the
    /// node names a path, only that path is scraped.
    #[arg(long, default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub kubelet_fallback: bool,

    /// Scrape kubelets over plain HTTP without credentials.
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub deprecated_kubelet_completely_insecure: bool,
}

/// Flags about who scrapes what.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Sharing the work")]
pub struct AssignmentArgs {
    /// The name of this scraper, as reported to frontends. Unique in the cluster.
    #[arg(long, value_name = "NAME", env = "HOSTNAME")]
    pub source_name: String,

    /// The UID of this pod, whose name is then --source-name.
    ///
    /// Kubernetes deletes the Lease together with the pod, if both are in the same
    /// namespace.
    #[arg(long, value_name = "UID", env = "POD_UID")]
    pub pod_uid: Option<String>,

    /// The group of scrapers that share the nodes.
    ///
    /// All members of a group must see the same nodes: use one group for each
    /// --node-selector.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub group: String,

    /// How many scrapers scrape each node. A factor of 2 doubles the requests to
    /// kubelets and avoids the delay of a failover.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub replication_factor: u32,

    /// The namespace of the Leases by which the members of the group find each
    /// other.
    ///
    /// By default the namespace of this pod; outside of a cluster, kube-system.
    #[arg(long, value_name = "NAMESPACE", value_parser = read_namespace)]
    pub lease_namespace: Option<String>,

    /// The number of fixed shards. Scrapers then need no Leases.
    ///
    /// All scrapers of a group must have the same number.
    #[arg(long, value_name = "N")]
    pub shard_count: Option<u32>,

    /// The shard of this scraper, from 0 to --shard-count minus 1.
    ///
    /// By default the number at the end of --source-name, as in the pods of a
    /// `StatefulSet`.
    #[arg(long, value_name = "N")]
    pub shard_index: Option<u32>,
}

/// Flags about frontends.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Frontends")]
pub struct BusArgs {
    /// A frontend to publish to. May be given several times.
    ///
    /// `k8s:///NAMESPACE/SERVICE:PORT` means every endpoint of a Service, ready or
    /// not, and follows changes; PORT is the name of the Service's port, or the
    /// port number of the pods. `https://HOST:PORT` is one frontend.
    /// `dns:///NAME:PORT` means all addresses of a DNS name, which is looked up
    /// again and again. `unix:///PATH` is a frontend in the same pod.
    /// `http://HOST:PORT` is one without TLS and needs --bus-insecure.
    #[arg(long, value_name = "URL")]
    pub frontend: Vec<String>,

    /// The file with the CAs that signed the certificates of frontends. It is read
    /// again when it changes, as are the other files here.
    #[arg(long, value_name = "FILE")]
    pub bus_ca_file: Option<PathBuf>,

    /// The file with the token that is sent to frontends over TLS: a projected
    /// token of this pod's ServiceAccount for the audience `tributary-bus`.
    #[arg(long, value_name = "FILE")]
    pub bus_token_file: Option<PathBuf>,

    /// The name in the certificates of frontends, if it differs from that in
    /// --frontend. For a Service that is `SERVICE.NAMESPACE.svc`.
    #[arg(long, value_name = "NAME", value_parser = read_host)]
    pub bus_server_name: Option<String>,

    /// The file with the client certificate for frontends, instead of a token or in
    /// addition to it.
    #[arg(long, value_name = "FILE")]
    pub bus_client_certificate: Option<PathBuf>,

    /// The file with the key of --bus-client-certificate.
    #[arg(long, value_name = "FILE")]
    pub bus_client_key: Option<PathBuf>,

    /// Publish without TLS: anyone on the network path can read and change the
    /// numbers.
    #[arg(long)]
    pub bus_insecure: bool,
}

/// Reads `--lease-namespace`, which becomes a part of URLs.
fn read_namespace(text: &str) -> Result<String, &'static str> {
    if is_dns_label(text) {
        Ok(text.to_owned())
    } else {
        Err("should be the name of a namespace")
    }
}

/// Reads `--bus-server-name`.
fn read_host(text: &str) -> Result<String, &'static str> {
    match ServerName::try_from(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("should be a DNS name or an IP address, as in a certificate"),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(args: &[&str]) -> Args {
        let start = ["tributary-scraper", "--source-name=s"];
        Args::try_parse_from(start.iter().chain(args)).unwrap()
    }

    #[test]
    fn the_flags_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_those_of_metrics_server() {
        let args = parse(&[]);
        assert_eq!(args.scrape.metric_resolution.to_string(), "1m0s");
        assert_eq!(args.scrape.node_selector, "");
        assert_eq!(args.kubelet.kubelet_request_timeout.to_string(), "10s");
        assert_eq!(args.kubelet.kubelet_port, 10_250);
        assert!(!args.kubelet.kubelet_insecure_tls);
        assert!(!args.kubelet.kubelet_use_node_status_port);
        assert!(!args.kubelet.deprecated_kubelet_completely_insecure);
        assert_eq!(
            args.kubelet.kubelet_preferred_address_types,
            [
                "Hostname",
                "InternalDNS",
                "InternalIP",
                "ExternalDNS",
                "ExternalIP"
            ]
        );
    }

    #[test]
    fn flags_are_written_as_for_metrics_server() {
        let args = parse(&[
            "--kubelet-insecure-tls",
            "--kubelet-use-node-status-port=false",
            "--kubelet-preferred-address-types=InternalIP,Hostname",
            "--kubelet-preferred-address-types=ExternalIP",
            "--kubelet-request-timeout=-1s",
            "-l",
            "a in (b,c)",
        ]);
        assert!(args.kubelet.kubelet_insecure_tls);
        assert!(!args.kubelet.kubelet_use_node_status_port);
        assert_eq!(
            args.kubelet.kubelet_preferred_address_types,
            ["InternalIP", "Hostname", "ExternalIP"]
        );
        assert_eq!(args.kubelet.kubelet_request_timeout.to_string(), "-1s");
        assert_eq!(args.scrape.node_selector, "a in (b,c)");
    }
}
