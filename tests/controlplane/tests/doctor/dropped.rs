//! A port whose packets are dropped: a firewall between the control plane and the nodes.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpSocket, TcpStream},
    process::Command,
    task::JoinSet,
    time::timeout,
};
use tributary_cli::{doctor::text, printed::Paint};
use tributary_controlplane::rig::{self, Rig, Size};
use tributary_sim::Ca;

use super::{
    Doctor,
    frontends::{lead, lead_back},
};

/// What a connection on loopback takes is a part of a millisecond.
const DROPPED_AFTER: Duration = Duration::from_secs(1);

/// A port of which the kernel drops the first packet of each connection: its queue of connections is full.
#[derive(Debug)]
struct Dropped {
    listener: TcpListener,
    queue: Vec<TcpStream>,
}

impl Dropped {
    async fn new() -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let listener = socket.listen(1)?;
        let address = listener.local_addr()?;
        let mut queue = Vec::new();
        while let Ok(stream) = timeout(DROPPED_AFTER, TcpStream::connect(address)).await {
            queue.push(stream?);
        }
        Ok(Self { listener, queue })
    }

    fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Opens the port: connections go on to this address until the result is dropped.
    fn open(self, to: SocketAddr) -> JoinSet<()> {
        drop(self.queue);
        let mut opened = JoinSet::new();
        opened.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = self.listener.accept().await {
                connections.spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(to).await {
                        // A connection that ends early is the caller's.
                        copy_bidirectional(&mut stream, &mut server).await.ok();
                    }
                });
            }
        });
        opened
    }
}

/// Runs a command that `doctor` prints, as it is, and returns its exit code and what it prints.
async fn copied(command: &str) -> anyhow::Result<(Option<i32>, String)> {
    let output = Command::new("sh").args(["-c", command]).output().await?;
    anyhow::ensure!(
        output.status.code() != Some(127),
        "the shell has no such program: install what `{command}` starts"
    );
    let printed = String::from_utf8(output.stdout)?;
    Ok((output.status.code(), printed))
}

/// Checks that need the fleet, which is behind the same port.
const UNKNOWN: [&str; 6] = [
    "connected scrapers",
    "lost scrapers",
    "versions of components",
    "nodes",
    "age of metrics",
    "certificates",
];

async fn is_found_and_mended(rig: &Rig) -> anyhow::Result<()> {
    let doctor = Doctor::of(rig).await?;
    doctor.finds(&[]).await?;
    let port = Dropped::new().await?;
    lead(rig, port.address()?, rig.cluster.pki().ca(Ca::Bus)).await?;
    let report = doctor.finds_without(&["NoRoute"], &UNKNOWN).await?;

    let finding = report.findings.first().context("a finding")?;
    let server = format!("https://localhost:{}", port.address()?.port());
    assert_eq!(finding.evidence.len(), 3, "{:?}", finding.evidence);
    for seen in &finding.evidence {
        let (_, said) = seen.split_once(": ").context("a name")?;
        let failing = "FailedDiscoveryCheck: failing or missing response from ";
        assert!(
            said.starts_with(&format!("{failing}{server}/apis/")),
            "{said}"
        );
        assert!(!said.contains("refused"), "{said}");
    }
    assert!(finding.code.trouble().remedy.contains("firewall"));
    let commands = finding.commands();
    let curl = commands.last().context("a command")?;
    assert_eq!(*curl, format!("curl -k --max-time 5 {server}/livez"));
    assert!(text(&report, Paint::PLAIN).contains(curl));
    // 28: the time is over.
    assert_eq!(copied(curl).await?, (Some(28), String::new()));

    let opened = port.open(rig.components.api);
    assert_eq!(copied(curl).await?, (Some(0), "ok".to_owned()));
    doctor.finds(&[]).await?;
    lead_back(rig, &doctor).await?;
    drop(opened);
    Ok(())
}

#[test]
fn a_port_that_drops_packets_is_found_and_opening_it_helps() -> anyhow::Result<()> {
    rig::alone(Size::SMALL, async |rig| is_found_and_mended(&rig).await)
}
