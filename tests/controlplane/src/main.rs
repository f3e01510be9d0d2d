//! A control plane with simulated nodes and our components, for a person to try, until Ctrl-C. `up` builds what it needs.

use std::{io::Write as _, time::Duration};

use clap::Parser;
use tokio_util::sync::CancellationToken;
use tributary_controlplane::{
    node::{Certificate, pod},
    objects::{apply, deployment, namespace},
    rig::{Rig, Size},
};
use tributary_runtime::signal::Signals;

/// Starts etcd, kube-apiserver and kube-controller-manager on loopback, with simulated nodes, scrapers and a frontend.
#[derive(Debug, Parser)]
#[command(name = "up")]
struct Args {
    /// Simulated nodes.
    #[arg(long, default_value_t = 10)]
    nodes: usize,

    /// Pods, in Deployments of ten.
    #[arg(long, default_value_t = 50)]
    pods: usize,

    /// A real node beside them: kubelet, containerd and crun, with a pod that burns 50 milli-cores and one that holds
    /// 50 MiB. Needs root.
    #[arg(long)]
    real_node: bool,

    /// Scrapers that share the nodes.
    #[arg(long, default_value_t = 2)]
    scrapers: usize,

    /// How often each node is asked, in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    resolution: u64,
}

/// Pods of one Deployment.
const REPLICAS: usize = 10;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let size = Size {
        nodes: args.nodes,
        scrapers: args.scrapers,
        resolution: Duration::from_secs(args.resolution),
        housekeeping: Duration::ZERO,
    };
    let signals = Signals::take_over()?;
    let mut stop = std::pin::pin!(signals.stop(CancellationToken::new()));
    let mut rig = tokio::select! {
        rig = Rig::start(size) => rig?,
        () = &mut stop => return Ok(()),
    };
    let outcome = tokio::select! {
        outcome = serve(&mut rig, &args) => outcome,
        () = &mut stop => Ok(()),
    };
    outcome.and(rig.stop().await)
}

/// Makes the pods, says what there is, and ends when a program does.
async fn serve(rig: &mut Rig, args: &Args) -> anyhow::Result<()> {
    namespace(&rig.client, "shop").await?;
    for index in 0..args.pods.div_ceil(REPLICAS) {
        let replicas = REPLICAS.min(args.pods.saturating_sub(index * REPLICAS));
        let containers = ["main", "sidecar"];
        let object = deployment("shop", &format!("web-{index}"), replicas, &containers);
        apply(&rig.client, &object).await?;
    }
    if args.real_node {
        rig.real_node("real", Certificate::Signed).await?;
        for (name, load) in [("burns", ["50", "0"]), ("holds", ["0", "50"])] {
            let pod = pod(("shop", name, "real"), &[], &[("main", &load)]);
            apply(&rig.client, &pod).await?;
        }
    }
    let kubeconfig = rig.plane.kubeconfig();
    let mut out = std::io::stdout();
    writeln!(out, "kubeconfig: {}", kubeconfig.display())?;
    writeln!(out, "logs: {}", rig.dir().join("log").display())?;
    writeln!(out, "\nexport KUBECONFIG={}", kubeconfig.display())?;
    for line in [
        "kubectl get apiservices | grep metrics",
        "kubectl top nodes",
        "kubectl top pods -n shop --containers",
        "kubectl autoscale deployment web-0 -n shop --cpu-percent=50 --min=1 --max=10",
        "kubectl annotate pods -n shop -l app=web-0 --overwrite usage.tributary.dev/main='900m 64Mi'",
    ] {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "\nCtrl-C ends everything.")?;
    Err(tributary_controlplane::patience::while_ok(|| rig.plane.still_runs()).await)
}
