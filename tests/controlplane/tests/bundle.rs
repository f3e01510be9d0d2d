//! `kubectl tributary bundle` on a real kube-apiserver: what is in it, and which secrets are not. The secrets are invented.

use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
};
use serde_json::{Value, json};
use tributary_cli::{
    bundle::{self, Contents, Limits},
    kube_api::KubeApi,
    printed::Outcome,
};
use tributary_controlplane::{
    components::NAMESPACE,
    objects::{apply, deployment, service_account},
    patience::eventually,
    rig::{self, Rig, Size},
};

use crate::doctor;

const SECRET: &str = "hunter2";

const LIMITS: Limits = Limits {
    log: 1 << 20,
    all: 16 << 20,
};

/// Objects of Tributary, with a secret in every place where people leave one.
async fn install(rig: &Rig) -> anyhow::Result<()> {
    let labels = json!({ "app.kubernetes.io/name": "tributary" });
    let metadata = |name: &str| json!({ "namespace": NAMESPACE, "name": name, "labels": labels });
    let container = json!({
        "name": "frontend", "image": "registry.example/tributary:1",
        "args": ["--frontend-name=a", format!("--password={SECRET}"), "--token", SECRET],
        "env": [{ "name": "ANYTHING", "value": SECRET }],
    });
    let frontend = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata("tributary"),
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": [container] } },
        },
    });
    apply(&rig.client, &frontend).await?;
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("tributary-map"),
        "data": { "config": SECRET },
    });
    apply(&rig.client, &map).await?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": metadata("tributary-serving"),
        "stringData": { "tls.key": SECRET },
    });
    apply(&rig.client, &secret).await?;
    let web = deployment("default", "web", 1, &["main"]);
    apply(&rig.client, &web).await?;
    let annotation = format!("{{\"env\":\"{SECRET}\"}}");
    let target = json!({ "type": "Utilization", "averageUtilization": 50 });
    let scaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": { "namespace": "default", "name": "web", "annotations": { "example.org/note": annotation } },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
            "maxReplicas": 3,
            "metrics": [{ "type": "Resource", "resource": { "name": "cpu", "target": target } }],
        },
    });
    apply(&rig.client, &scaler).await?;
    let nodes = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Node"));
    let nodes: Api<DynamicObject> = Api::all_with(rig.client.clone(), &nodes);
    let annotations = json!({ "metadata": { "annotations": { "cloud.example/join": SECRET } } });
    let patch = Patch::Merge(annotations);
    nodes
        .patch("node-00001", &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

async fn gather(api: &KubeApi) -> anyhow::Result<Contents> {
    let now = "2026-11-30T01:02:03Z".parse()?;
    Ok(Box::pin(bundle::gather(api, None, LIMITS, now)).await)
}

/// The items of a list in a bundle.
fn items(contents: &Contents, name: &str) -> Vec<Value> {
    let file = contents.files().iter().find(|file| file.name == name);
    let list: Value = file.map_or(Value::Null, |file| {
        serde_json::from_str(&file.text).unwrap_or_default()
    });
    let items = list.get("items").and_then(Value::as_array).cloned();
    items.unwrap_or_default()
}

/// Waits until the controllers have made the pod and kube-apiserver shows the fleet.
async fn complete(api: &KubeApi) -> anyhow::Result<Contents> {
    eventually("everything can be read", || async {
        let contents = gather(api).await?;
        let counts = [
            "pods.json",
            "nodescrapes.json",
            "nodes.json",
            "scrapers.json",
        ];
        let counts = counts.map(|name| items(&contents, name).len());
        let lists = contents.missing().iter();
        let lists: Vec<_> = lists.filter(|it| !it.what.starts_with("logs/")).collect();
        anyhow::ensure!(
            counts == [1, 3, 3, 2] && lists.is_empty(),
            "{counts:?} {lists:?}"
        );
        Ok(contents)
    })
    .await
}

/// An account that may read nothing gets a bundle that says so.
async fn stranger(rig: &Rig) -> anyhow::Result<()> {
    let token = service_account(&rig.client, "default", "stranger").await?;
    let stranger = doctor::api(&rig.plane.kubeconfig_of("bundle-stranger", &token)?).await?;
    let little = gather(&stranger).await?;
    let names = little.files().iter().map(|file| &*file.name);
    assert_eq!(names.collect::<Vec<_>>(), ["versions.json", "doctor.json"]);
    let refused = little.missing().iter();
    assert!(refused.clone().count() > 10);
    assert!(
        refused.clone().all(|it| it.reason.contains("forbidden")),
        "{:?}",
        little.missing()
    );
    Ok(())
}

#[test]
fn a_bundle_of_a_real_cluster_has_no_secret() -> anyhow::Result<()> {
    rig::alone(Size::SMALL, async |rig| {
        install(&rig).await?;
        let api = doctor::api(&rig.plane.kubeconfig()).await?;
        let contents = complete(&api).await?;
        for file in contents.files() {
            assert!(!file.text.contains(SECRET), "{}: {}", file.name, file.text);
            println!("{:32} {:7} {}", file.name, file.bytes, file.removed);
        }
        for name in [
            "deployments.json",
            "services.json",
            "apiservices.json",
            "configmaps.json",
            "leases.json",
            "events.json",
            "horizontalpodautoscalers.json",
        ] {
            assert!(
                contents.files().iter().any(|file| file.name == name),
                "{name}"
            );
        }
        let deployments = items(&contents, "deployments.json");
        let container = "/spec/template/spec/containers/0";
        let container = deployments.first().and_then(|it| it.pointer(container));
        let part = |field: &str| container.and_then(|it| it.get(field)).cloned();
        let args = [
            "--frontend-name=a",
            "--password=<removed>",
            "--token",
            "<removed>",
        ];
        assert_eq!(part("args"), Some(json!(args)));
        let variables = json!([{ "name": "ANYTHING", "value": "<removed>" }]);
        assert_eq!(part("env"), Some(variables));
        let maps = items(&contents, "configmaps.json");
        let data = maps.first().and_then(|map| map.get("data")).cloned();
        assert_eq!(data, Some(json!({ "config": "7 bytes, not shown" })));

        // No kubelet has started the containers, so there is no log, and that is said.
        let logs = contents.missing().iter().map(|it| &*it.what);
        let log = logs.filter(|what| what.ends_with("/frontend.log"));
        assert_eq!(log.count(), 1, "{:?}", contents.missing());
        let directory = tempfile::tempdir()?;
        let path = directory.path().join(bundle::file_name(contents.made_at));
        let written = bundle::write(&contents, &path)?;
        assert_eq!(written.outcome, Outcome::Findings);
        assert!(bundle::check(&path).is_err());
        stranger(&rig).await
    })
}
