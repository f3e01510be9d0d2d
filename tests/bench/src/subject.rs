//! The programs under test, with the flags of production.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use crate::{
    args::{BenchArgs, Bus, What},
    cluster::Where,
    process::Process,
};

/// The resolution in seconds. metrics-server has 60 s by default and 15 s in its manifests.
pub(crate) const RESOLUTION: u32 = 15;

/// A subject: the processes that serve the API together.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    programs: Vec<Program>,
    /// The API of each frontend.
    pub(crate) apis: Vec<SocketAddr>,
}

#[derive(Clone, Debug)]
struct Program {
    name: String,
    path: PathBuf,
    flags: Vec<String>,
}

impl Subject {
    /// Scrapers and frontends of Tributary.
    ///
    /// # Errors
    ///
    /// There are no free ports, or the flags contradict each other.
    pub(crate) fn tributary(args: &BenchArgs, at: &Where) -> anyhow::Result<Self> {
        let bus = args.bus()?;
        let ports = free_ports(args.frontends * 2 + args.scrapers)?;
        let (served, admins) = ports.split_at(args.frontends * 2);
        let (mut programs, mut apis, mut buses) = (Vec::new(), Vec::new(), Vec::new());
        for (index, pair) in served.chunks_exact(2).enumerate() {
            let [api, port] = *pair else { continue };
            let mut flags = frontend(at, index, api);
            match bus {
                Bus::Unix => {
                    let socket = format!("unix://{}", file(at, "bus.sock"));
                    flags.push(format!("--bus-address={socket}"));
                    buses.push(format!("--frontend={socket}"));
                }
                Bus::Tls => {
                    flags.push(format!("--bus-client-ca-file={}", file(at, "bus-ca.crt")));
                    flags.push(format!("--bus-address={port}"));
                    buses.push(format!("--frontend=https://{port}"));
                }
            }
            programs.push(Program {
                name: format!("frontend-{index}"),
                path: args.programs.join("tributary-apiserver"),
                flags,
            });
            apis.push(api);
        }
        for (index, admin) in admins.iter().enumerate() {
            let mut flags = scraper(at, index, *admin, bus);
            flags.extend(buses.iter().cloned());
            if args.what == What::Hot {
                flags.push("--fast-resolution=5s".to_owned());
            }
            programs.push(Program {
                name: format!("scraper-{index}"),
                path: args.programs.join("tributary-scraper"),
                flags,
            });
        }
        Ok(Self {
            name: "Tributary",
            programs,
            apis,
        })
    }

    /// metrics-server.
    ///
    /// # Errors
    ///
    /// There is no free port.
    pub(crate) fn metrics_server(args: &BenchArgs, at: &Where) -> anyhow::Result<Self> {
        let apis = free_ports(1)?;
        let kubeconfig = at.kubeconfig.display();
        let mut flags: Vec<String> = ["", "authentication-", "authorization-"]
            .map(|which| format!("--{which}kubeconfig={kubeconfig}"))
            .into();
        flags.extend(kubelets(at));
        flags.extend(apis.iter().flat_map(listen));
        flags.push(format!("--cert-dir={}", at.dir.join("peer").display()));
        Ok(Self {
            name: "metrics-server",
            programs: vec![Program {
                name: "metrics-server".to_owned(),
                path: args.metrics_server.clone(),
                flags,
            }],
            apis,
        })
    }

    /// Starts all processes.
    ///
    /// # Errors
    ///
    /// A program is missing.
    pub(crate) fn start(&self, logs: &Path) -> anyhow::Result<Vec<Process>> {
        self.programs.iter().map(|one| one.start(logs)).collect()
    }

    /// Starts the frontend `index` again.
    ///
    /// # Errors
    ///
    /// The program is missing.
    pub(crate) fn start_one(&self, index: usize, logs: &Path) -> anyhow::Result<Process> {
        let program = self.programs.get(index);
        program.map_or_else(
            || anyhow::bail!("no program {index}"),
            |one| one.start(logs),
        )
    }
}

impl Program {
    fn start(&self, logs: &Path) -> anyhow::Result<Process> {
        Process::start(&self.name, &self.path, &self.flags, logs)
    }
}

/// The flags about kubelets, which both have.
fn kubelets(at: &Where) -> Vec<String> {
    vec![
        format!(
            "--kubelet-certificate-authority={}",
            file(at, "kubelet-ca.crt")
        ),
        format!("--kubelet-port={}", at.kubelet_port),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        format!("--metric-resolution={RESOLUTION}s"),
    ]
}

/// The flags about addresses, which both have.
fn listen(api: &SocketAddr) -> [String; 2] {
    [
        format!("--bind-address={}", api.ip()),
        format!("--secure-port={}", api.port()),
    ]
}

fn frontend(at: &Where, index: usize, api: SocketAddr) -> Vec<String> {
    let mut flags = vec![
        format!("--kubeconfig={}", at.kubeconfig.display()),
        format!("--tls-cert-file={}", file(at, "frontend.crt")),
        format!("--tls-private-key-file={}", file(at, "frontend.key")),
        format!("--frontend-name=frontend-{index}"),
    ];
    flags.extend(listen(&api));
    flags
}

/// The flags of a scraper, as in the chart: a single one without Leases, several with Leases.
fn scraper(at: &Where, index: usize, admin: SocketAddr, bus: Bus) -> Vec<String> {
    let mut flags = vec![
        format!("--kubeconfig={}", at.kubeconfig.display()),
        format!("--source-name=scraper-{index}"),
        format!("--admin-address={admin}"),
    ];
    let connection = match bus {
        Bus::Unix => vec!["--shard-count=1".to_owned(), "--shard-index=0".to_owned()],
        Bus::Tls => vec![
            "--lease-namespace=kube-system".to_owned(),
            "--bus-server-name=localhost".to_owned(),
            format!("--bus-ca-file={}", file(at, "bus-ca.crt")),
            format!("--bus-client-certificate={}", file(at, "publisher.crt")),
            format!("--bus-client-key={}", file(at, "publisher.key")),
        ],
    };
    flags.extend(connection);
    flags.extend(kubelets(at));
    flags
}

fn file(at: &Where, name: &str) -> String {
    at.dir.join(name).display().to_string()
}

/// Ports that are free now, on an address that no other program uses.
fn free_ports(count: usize) -> anyhow::Result<Vec<SocketAddr>> {
    let address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 77));
    let stored: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind((address, 0)))
        .collect::<Result<_, _>>()?;
    let found: Result<_, _> = stored.iter().map(TcpListener::local_addr).collect();
    Ok(found?)
}
