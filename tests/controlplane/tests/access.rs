//! Who may read what, through the aggregator.

use serde_json::json;
use tributary_controlplane::{
    objects::{grant, service_account},
    rig,
};

use crate::with_pods;

#[test]
fn a_service_account_reads_what_its_role_allows_and_no_more() -> anyhow::Result<()> {
    rig::share(async |rig| {
        with_pods(&rig, "accounts").await?;
        let token = service_account(&rig.client, "accounts", "reader").await?;
        let rules = json!([
            { "apiGroups": ["metrics.k8s.io"], "resources": ["pods"], "verbs": ["get", "list"] },
        ]);
        grant(&rig.client, ("accounts", "reader"), rules).await?;
        let reader = rig.kubectl_as(&rig.plane.kubeconfig_of("reader", &token)?)?;

        let pods = reader
            .ok(&["top", "pods", "-n", "accounts", "--no-headers"])
            .await?;
        assert_eq!(pods.lines().count(), 2, "{pods}");
        let nodes = reader.run(&["top", "nodes"]).await?;
        assert_eq!(
            nodes.stderr,
            "Error from server (Forbidden): nodes.metrics.k8s.io is forbidden: User \
             \"system:serviceaccount:accounts:reader\" cannot list resource \"nodes\" in API group \
             \"metrics.k8s.io\" at the cluster scope\n"
        );
        let may = ["auth", "can-i", "list", "pods.metrics.k8s.io"];
        assert_eq!(reader.ok(&may).await?, "yes\n");
        let may = ["auth", "can-i", "list", "nodes.metrics.k8s.io"];
        assert_eq!(reader.run(&may).await?.stdout, "no\n");
        Ok(())
    })
}

#[test]
fn a_service_account_without_a_role_and_a_stranger_read_nothing() -> anyhow::Result<()> {
    rig::share(async |rig| {
        with_pods(&rig, "strangers").await?;
        let token = service_account(&rig.client, "strangers", "nobody").await?;
        let nobody = rig.kubectl_as(&rig.plane.kubeconfig_of("nobody", &token)?)?;
        let refused = nobody.run(&["top", "pods", "-n", "strangers"]).await?;
        assert_eq!(
            refused.stderr,
            "Error from server (Forbidden): pods.metrics.k8s.io is forbidden: User \
             \"system:serviceaccount:strangers:nobody\" cannot list resource \"pods\" in API group \
             \"metrics.k8s.io\" in the namespace \"strangers\"\n"
        );
        let stranger = rig.kubectl_as(&rig.plane.kubeconfig_of("stranger", "no-token")?)?;
        let refused = stranger.run(&["top", "nodes"]).await?;
        assert!(
            !refused.ok && refused.stderr.contains("must be logged in"),
            "{}",
            refused.stderr
        );
        Ok(())
    })
}

#[test]
fn an_administrator_may_look_with_the_eyes_of_another() -> anyhow::Result<()> {
    rig::share(async |rig| {
        with_pods(&rig, "eyes").await?;
        let admin = rig.kubectl()?;
        let rules = json!([
            { "apiGroups": ["metrics.k8s.io"], "resources": ["pods", "nodes"], "verbs": ["get", "list"] },
        ]);
        service_account(&rig.client, "eyes", "viewer").await?;
        grant(&rig.client, ("eyes", "viewer"), rules).await?;
        let top = ["top", "pods", "-n", "eyes", "--no-headers", "--as"];
        let viewer = "system:serviceaccount:eyes:viewer";
        let seen = admin.ok(&[&top[..], &[viewer]].concat()).await?;
        assert_eq!(seen.lines().count(), 2, "{seen}");
        let refused = admin.run(&[&top[..], &["jane"]].concat()).await?;
        let cause = "User \"jane\" cannot list resource \"pods\"";
        assert!(refused.stderr.contains(cause), "{}", refused.stderr);
        Ok(())
    })
}

#[test]
fn the_frontend_itself_asks_the_cluster_who_may_read() -> anyhow::Result<()> {
    rig::share(async |rig| {
        with_pods(&rig, "direct").await?;
        let server = format!("--server=https://{}", rig.halves.api);
        let ca = format!(
            "--certificate-authority={}",
            rig.cluster.paths().bus_ca.display()
        );
        let path = "/apis/metrics.k8s.io/v1beta1/namespaces/direct/pods";
        let raw = [server.as_str(), &ca, "get", "--raw", path];

        let token = service_account(&rig.client, "direct", "reader").await?;
        let reader = rig.kubectl_as(&rig.plane.kubeconfig_of("direct-reader", &token)?)?;
        let refused = reader.run(&raw).await?;
        assert_eq!(
            refused.stderr,
            "Error from server (Forbidden): pods.metrics.k8s.io is forbidden: User \
             \"system:serviceaccount:direct:reader\" cannot list resource \"pods\" in API group \
             \"metrics.k8s.io\" in the namespace \"direct\"\n"
        );
        // A refusal is remembered for a while, so the one who may is somebody else.
        let token = service_account(&rig.client, "direct", "viewer").await?;
        let rules = json!([
            { "apiGroups": ["metrics.k8s.io"], "resources": ["pods"], "verbs": ["list"] },
        ]);
        grant(&rig.client, ("direct", "viewer"), rules).await?;
        let viewer = rig.kubectl_as(&rig.plane.kubeconfig_of("direct-viewer", &token)?)?;
        let list: serde_json::Value = serde_json::from_str(&viewer.ok(&raw).await?)?;
        assert_eq!(list["items"].as_array().map(Vec::len), Some(2), "{list}");

        let stranger = rig.kubectl_as(&rig.plane.kubeconfig_of("direct-stranger", "no-token")?)?;
        let refused = stranger.run(&raw).await?;
        assert!(
            refused.stderr.contains("must be logged in"),
            "{}",
            refused.stderr
        );
        Ok(())
    })
}
