//! Plans the processes: their names, addresses and flags.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use anyhow::Context as _;
use tributary_runtime::tls::PairFiles;
use tributary_sim::{Cluster, Endpoint};

use crate::{args::DemoArgs, credentials::Credentials};

/// The component that a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Scraper,
    Frontend,
}

impl Kind {
    /// The name in `processes.json`.
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

/// The namespace of Leases and of the frontends' Service. The name of the Service is in their certificates.
const NAMESPACE: &str = "kube-system";
const SERVICE: &str = "tributary-apiserver";

/// The name of the port of the bus in the Service.
const BUS: &str = "bus";

/// A process. It has the same flags and addresses at each start.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) flags: Vec<String>,
    /// The address that the demo observes: the API of a frontend, or the admin port of a scraper.
    pub(crate) look_at: SocketAddr,
    pub(crate) addresses: BTreeMap<&'static str, SocketAddr>,
}

/// Plans scrapers first, then frontends.
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

/// Makes the frontends the endpoints of their Service, ready or not. Like pods whose containers restart, they keep
/// their addresses.
///
/// # Errors
///
/// The cluster refuses the endpoints.
pub(crate) fn publish(cluster: &Cluster, frontends: &[(&Spec, bool)]) -> anyhow::Result<()> {
    let endpoints = frontends.iter().filter_map(|(spec, ready)| {
        let (address, ready) = (*spec.addresses.get(BUS)?, *ready);
        Some(Endpoint { address, ready })
    });
    let endpoints: Vec<Endpoint> = endpoints.collect();
    Ok(cluster.set_endpoints((NAMESPACE, SERVICE), BUS, &endpoints)?)
}

/// The flags of all scrapers, except their certificate.
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
        "--fast-resolution=1s".to_owned(),
        "--kubelet-request-timeout=5s".to_owned(),
        format!(
            "--kubelet-certificate-authority={}",
            paths.kubelet_ca.display()
        ),
        format!("--kubelet-port={}", cluster.kubelet_port()),
        // DNS does not have the names of the nodes.
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        format!("--lease-namespace={NAMESPACE}"),
        format!("--frontend=k8s:///{NAMESPACE}/{SERVICE}:{BUS}"),
        format!("--bus-ca-file={}", paths.bus_ca.display()),
        format!("--bus-client-certificate={}", pair.certificate.display()),
        format!("--bus-client-key={}", pair.key.display()),
    ]
}

/// The flags of all frontends, except their certificate.
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

/// Ports that are free now. Every process has its own loopback address, which no other program uses. So its ports are
/// free again at a restart.
struct Ports {
    scrapers: Vec<SocketAddr>,
    /// The addresses of API and bus.
    frontends: Vec<(SocketAddr, SocketAddr)>,
}

impl Ports {
    fn reserve(args: &DemoArgs) -> anyhow::Result<Self> {
        // The sockets stay open until all ports are selected, so that none is selected twice.
        let mut stored = Vec::new();
        let mut port = |last: u8| -> anyhow::Result<SocketAddr> {
            let address = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0));
            let listener = TcpListener::bind(address)
                .with_context(|| format!("find a free port on {}", address.ip()))?;
            let found = listener.local_addr()?;
            stored.push(listener);
            Ok(found)
        };
        // There are at most 64 of each, so the addresses differ.
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
