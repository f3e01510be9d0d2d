//! Which processes there are: their names, addresses and flags.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use anyhow::Context as _;
use tributary_runtime::tls::PairFiles;
use tributary_sim::{Cluster, Endpoint};

use crate::{args::DemoArgs, credentials::Credentials};

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Scraper,
    Frontend,
}

impl Kind {
    /// As in `processes.json`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Scraper => "scraper",
            Self::Frontend => "frontend",
        }
    }

    /// The subcommand of this binary.
    pub(crate) fn subcommand(self) -> &'static str {
        match self {
            Self::Scraper => "role-scraper",
            Self::Frontend => "role-apiserver",
        }
    }
}

/// Where leases are, and the Service of the frontends: its name is in their
/// certificates.
const NAMESPACE: &str = "kube-system";
const SERVICE: &str = "tributary-apiserver";

/// How the Service calls the port of the bus.
const BUS: &str = "bus";

/// A process to be started, each time with the same flags at the same
/// addresses.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) flags: Vec<String>,
    /// Where the demo looks: the API of a frontend, the admin port of a scraper.
    pub(crate) look_at: SocketAddr,
    pub(crate) addresses: BTreeMap<&'static str, SocketAddr>,
}

/// Scrapers first, then frontends.
///
/// # Errors
///
/// A certificate cannot be made, or no port is free.
pub(crate) fn plan(
    args: &DemoArgs,
    cluster: &Cluster,
    credentials: &Credentials,
) -> anyhow::Result<Vec<Spec>> {
    let ports = Ports::reserve(args)?;
    let mut specs = Vec::new();
    for (index, admin) in ports.scrapers.iter().enumerate() {
        let name = format!("scraper-{index}");
        let pair = credentials.publishing(cluster, &name)?;
        let mut flags = scraper(args, cluster, credentials, &pair);
        flags.extend([
            format!("--source-name={name}"),
            format!("--admin-address={admin}"),
        ]);
        if args.fixed_shards {
            flags.push(format!("--shard-index={index}"));
            flags.push(format!("--shard-count={}", args.scrapers));
        }
        specs.push(Spec {
            kind: Kind::Scraper,
            name,
            flags,
            look_at: *admin,
            addresses: BTreeMap::from([("admin", *admin)]),
        });
    }
    for (index, (api, bus)) in ports.frontends.iter().enumerate() {
        let name = format!("frontend-{index}");
        let pair = credentials.serving(cluster, &name, api.ip())?;
        let mut flags = frontend(credentials, &pair);
        flags.extend([
            format!("--frontend-name={name}"),
            format!("--bind-address={}", api.ip()),
            format!("--secure-port={}", api.port()),
            format!("--bus-address={bus}"),
        ]);
        specs.push(Spec {
            kind: Kind::Frontend,
            name,
            flags,
            look_at: *api,
            addresses: BTreeMap::from([("api", *api), (BUS, *bus)]),
        });
    }
    Ok(specs)
}

/// Makes the frontends the endpoints of their Service, ready or not. They are as
/// pods whose containers are started again: they keep their addresses.
///
/// # Errors
///
/// The cluster does not take them.
pub(crate) fn publish(cluster: &Cluster, frontends: &[(&Spec, bool)]) -> anyhow::Result<()> {
    let endpoints = frontends.iter().filter_map(|(spec, ready)| {
        let (address, ready) = (*spec.addresses.get(BUS)?, *ready);
        Some(Endpoint { address, ready })
    });
    let endpoints: Vec<Endpoint> = endpoints.collect();
    Ok(cluster.set_endpoints((NAMESPACE, SERVICE), BUS, &endpoints)?)
}

/// The flags that all scrapers have, except their certificate.
fn scraper(
    args: &DemoArgs,
    cluster: &Cluster,
    credentials: &Credentials,
    pair: &PairFiles,
) -> Vec<String> {
    let paths = &credentials.paths;
    vec![
        format!("--kubeconfig={}", credentials.scraper_kubeconfig.display()),
        format!("--metric-resolution={}", args.resolution),
        "--kubelet-request-timeout=5s".to_owned(),
        format!(
            "--kubelet-certificate-authority={}",
            paths.kubelet_ca.display()
        ),
        format!("--kubelet-port={}", cluster.kubelet_port()),
        // The names of the nodes are in no DNS.
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        format!("--lease-namespace={NAMESPACE}"),
        format!("--frontend=k8s:///{NAMESPACE}/{SERVICE}:{BUS}"),
        format!("--bus-ca-file={}", paths.bus_ca.display()),
        format!("--bus-client-certificate={}", pair.certificate.display()),
        format!("--bus-client-key={}", pair.key.display()),
    ]
}

/// The flags that all frontends have, except their certificate.
fn frontend(credentials: &Credentials, pair: &PairFiles) -> Vec<String> {
    let paths = &credentials.paths;
    vec![
        format!("--kubeconfig={}", credentials.frontend_kubeconfig.display()),
        format!("--tls-cert-file={}", pair.certificate.display()),
        format!("--tls-private-key-file={}", pair.key.display()),
        format!(
            "--requestheader-client-ca-file={}",
            paths.front_proxy_ca.display()
        ),
        format!("--bus-client-ca-file={}", paths.bus_ca.display()),
        "--shutdown-delay-duration=1s".to_owned(),
        "--shutdown-grace-period=2s".to_owned(),
    ]
}

/// Ports that are free now. Every process has a loopback address of its own,
/// on which nobody else looks for a port, so that it finds its ports free
/// again after a restart.
struct Ports {
    scrapers: Vec<SocketAddr>,
    /// API and bus.
    frontends: Vec<(SocketAddr, SocketAddr)>,
}

impl Ports {
    fn reserve(args: &DemoArgs) -> anyhow::Result<Self> {
        // Kept until all are chosen, or one would be given twice.
        let mut stored = Vec::new();
        let mut port = |last: u8| -> anyhow::Result<SocketAddr> {
            let address = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0));
            let listener = TcpListener::bind(address)
                .with_context(|| format!("find a free port on {}", address.ip()))?;
            let found = listener.local_addr()?;
            stored.push(listener);
            Ok(found)
        };
        // At most 64 of each, so these do not meet.
        let frontends = (11..)
            .take(args.frontends.into())
            .map(|last| Ok((port(last)?, port(last)?)))
            .collect::<anyhow::Result<_>>()?;
        let scrapers = (101..)
            .take(args.scrapers.into())
            .map(&mut port)
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            scrapers,
            frontends,
        })
    }
}
