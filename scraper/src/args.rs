//! The flags. What they say is what they mean; whether they fit together is
//! for [`Config`](crate::config::Config).
//!
//! The flags about kubelets and nodes are those of metrics-server, by name,
//! default and meaning (PARITY 1.1 and 1.2).

mod foreign;
mod size;

use std::{net::SocketAddr, path::PathBuf};

use clap::{ArgAction, Parser};
use tributary_runtime::args::{KubeArgs, LogArgs};

pub use self::{
    foreign::Foreign,
    size::{BadSize, ByteSize},
};
use crate::config::ServiceAccount;
pub use tributary_runtime::duration::{BadDuration, GoDuration};

/// Reads the kubelets of a Kubernetes cluster and publishes what they say to
/// every Tributary frontend.
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
    pub share: ShareArgs,

    #[expect(missing_docs, reason = "would become a part of --help")]
    #[command(flatten)]
    pub bus: BusArgs,

    /// Where `/livez`, `/readyz` and `/metrics` are served, without TLS; an address
    /// that is unspecified stands for all of IPv4 and IPv6.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
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
    /// How often every node is asked; at least 10s.
    ///
    /// Usage is measured over this time. Half of it costs twice the CPU, here
    /// and in the kubelets, which themselves measure every 10 to 20 seconds.
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub metric_resolution: GoDuration,

    /// Scrape only the nodes whose labels match.
    ///
    /// The grammar is that of `kubectl -l`: `zone=a,arch in (amd64,arm64),!spot`.
    #[arg(short = 'l', long, value_name = "SELECTOR", default_value = "")]
    pub node_selector: String,
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
    /// Credentials are sent all the same, to whoever answers. For testing.
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub kubelet_insecure_tls: bool,

    /// Use the port in the node's status, if it has one, rather than --kubelet-port.
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub kubelet_use_node_status_port: bool,

    /// The port of kubelets.
    #[arg(long, value_name = "PORT", default_value_t = 10_250)]
    pub kubelet_port: u16,

    /// Which of a node's addresses is used: the first type that it has.
    ///
    /// The kubelet's certificate must be for that address.
    #[arg(
        long,
        value_name = "TYPES",
        value_delimiter = ',',
        default_value = "Hostname,InternalDNS,InternalIP,ExternalDNS,ExternalIP"
    )]
    pub kubelet_preferred_address_types: Vec<String>,

    /// The file with the CAs that signed the certificates of kubelets.
    ///
    /// Without it, the CA of the cluster. Read again when it changes.
    #[arg(long, value_name = "FILE")]
    pub kubelet_certificate_authority: Option<PathBuf>,

    /// Ask a kubelet only if the common name of its certificate is `system:node:` and
    /// the name of the node.
    ///
    /// The address of a node is what its kubelet says; its name is not. Certificates of
    /// the signer kubernetes.io/kubelet-serving have that common name
    /// (serverTLSBootstrap), those that a kubelet makes itself have not.
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub kubelet_verify_node_name: bool,

    /// The file with the key of --kubelet-client-certificate.
    #[arg(long, value_name = "FILE")]
    pub kubelet_client_key: Option<PathBuf>,

    /// The file with the certificate that is shown to kubelets, and no token with
    /// it but that of --kubelet-token-service-account. Read again when it changes.
    #[arg(long, value_name = "FILE")]
    pub kubelet_client_certificate: Option<PathBuf>,

    /// The ServiceAccount whose tokens are shown to kubelets, as
    /// `[NAMESPACE/]NAME`; by default in the namespace of this pod.
    ///
    /// It needs the verb `get` on `nodes/metrics` and should have nothing else, so
    /// that a kubelet sees nothing that is of use elsewhere. This process needs
    /// `create` on `serviceaccounts/token` of that name: it requests tokens that
    /// are good for ten minutes. Without this flag, and without a client
    /// certificate, kubelets are shown the credentials for the Kubernetes API, as
    /// metrics-server does.
    #[arg(long, value_name = "ACCOUNT")]
    pub kubelet_token_service_account: Option<ServiceAccount>,

    /// How long a kubelet may take, from the dial to the last byte.
    ///
    /// At most nine tenths of --metric-resolution, or a slow node would be asked
    /// again before it has answered.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10s",
        allow_hyphen_values = true
    )]
    pub kubelet_request_timeout: GoDuration,

    /// How long the page of a kubelet may be, as sent and as inflated: bytes, or a
    /// number with `Ki` or `Mi`; 64Ki to 64Mi.
    ///
    /// 4Mi is some 5,000 containers. A node whose page is longer has no metrics, and
    /// says why; the others are not affected.
    #[arg(long, value_name = "SIZE", default_value = "4Mi")]
    pub kubelet_max_page_size: ByteSize,

    /// Ask a kubelet without `/metrics/resource` for `/metrics/resource/v1alpha1` and
    /// `/stats/summary`, and remember which it has.
    ///
    /// Kubelets before Kubernetes 1.18 and many virtual nodes have only these. The last
    /// needs the verb `get` on `nodes/stats`. A node that names its path by an
    /// annotation is asked for that path alone.
    #[arg(long, default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub kubelet_fallback: bool,

    /// Ask kubelets over plain HTTP and without credentials.
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub deprecated_kubelet_completely_insecure: bool,
}

/// Flags about who scrapes what.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Sharing the work")]
pub struct ShareArgs {
    /// What this scraper is called towards frontends; unique within the cluster.
    #[arg(long, value_name = "NAME", env = "HOSTNAME")]
    pub source_name: String,

    /// The UID of this pod, whose name is then --source-name.
    ///
    /// Kubernetes deletes our Lease with the pod if it is in the same namespace.
    #[arg(long, value_name = "UID", env = "POD_UID")]
    pub pod_uid: Option<String>,

    /// The scrapers that share nodes with this one.
    ///
    /// One group per --node-selector: members of a group must see the same nodes.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub group: String,

    /// How many scrapers ask each node. More than one costs kubelets as much again
    /// and saves the moments until another takes over.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub replication_factor: u32,

    /// Where the leases of the group are, by which its members find each other.
    ///
    /// Without it, the namespace of this pod; outside of a cluster, kube-system.
    #[arg(long, value_name = "NAMESPACE")]
    pub lease_namespace: Option<String>,

    /// How many shares of nodes there are: fixed, and without leases.
    ///
    /// All scrapers of a group must be given the same.
    #[arg(long, value_name = "N")]
    pub shard_count: Option<u32>,

    /// Which of --shard-count shares is ours, counted from 0.
    ///
    /// Without it, the number at the end of --source-name, as the pods of a
    /// stateful set have one.
    #[arg(long, value_name = "N")]
    pub shard_index: Option<u32>,
}

/// Flags about frontends.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Frontends")]
pub struct BusArgs {
    /// A frontend to publish to; repeat for more.
    ///
    /// `k8s:///NAMESPACE/SERVICE:PORT` is every endpoint of a Service, ready or
    /// not, as they come and go: the port is the Service's name for it, or the
    /// number of the pods'. `https://HOST:PORT` is one, `dns:///NAME:PORT` all
    /// that a name stands for, looked up again and again, `unix:///PATH` one in
    /// the same pod, and `http://HOST:PORT` one without TLS, for which
    /// --bus-insecure is needed.
    #[arg(long, value_name = "URL")]
    pub frontend: Vec<String>,

    /// The file with the CAs that signed the certificates of frontends. Read again
    /// when it changes, as are the other files here.
    #[arg(long, value_name = "FILE")]
    pub bus_ca_file: Option<PathBuf>,

    /// The file with the token that is shown to frontends over TLS: a projected
    /// token of this pod's service account, with the audience `tributary-bus`.
    #[arg(long, value_name = "FILE")]
    pub bus_token_file: Option<PathBuf>,

    /// The name in the certificates of frontends, if it is not the one in
    /// --frontend, which is `SERVICE.NAMESPACE.svc` for a Service.
    #[arg(long, value_name = "NAME")]
    pub bus_server_name: Option<String>,

    /// The file with the certificate that is shown to frontends, instead of a token
    /// or besides it.
    #[arg(long, value_name = "FILE")]
    pub bus_client_certificate: Option<PathBuf>,

    /// The file with the key of --bus-client-certificate.
    #[arg(long, value_name = "FILE")]
    pub bus_client_key: Option<PathBuf>,

    /// Publish without TLS: anybody on the way can read and change the numbers.
    #[arg(long)]
    pub bus_insecure: bool,
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
