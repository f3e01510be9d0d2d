//! A kube-apiserver without the flags of the aggregation layer.

use tributary_controlplane::{assets::Assets, plane::Plane};
use tributary_sim::Cluster;

use super::Doctor;

/// Nothing can be registered there, so that is found, too.
async fn troubles() -> anyhow::Result<()> {
    tributary_runtime::tls::install_provider();
    let assets = Assets::find()?;
    let dir = tempfile::Builder::new()
        .prefix("tributary-off-")
        .tempdir()?;
    let cluster = Cluster::builder().nodes(1).pods_per_node(0);
    let cluster = cluster.dir(dir.path().join("sim")).start().await?;
    let (pki, paths) = (cluster.pki(), cluster.paths());
    let without = ["--requestheader-client-ca-file="];
    let plane = Plane::start_with(&assets, dir.path(), pki, paths, &without).await?;
    let doctor = Doctor::at(&plane.kubeconfig()).await?;
    let found = doctor
        .finds_without(&["AggregationLayerOff", "ApiServiceMissing"], &["nodes"])
        .await;
    plane.stop().await?;
    cluster.stop().await;
    found.map(drop)
}

#[test]
fn an_aggregation_layer_that_is_off_is_found() -> anyhow::Result<()> {
    // Programs end with the thread that started them, which is this one.
    tokio::runtime::Runtime::new()?.block_on(troubles())
}
