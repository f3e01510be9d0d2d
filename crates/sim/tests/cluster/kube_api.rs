//! The Kubernetes API with kube-rs and with raw clients.

use std::collections::BTreeMap;
use std::pin::pin;

use futures::{StreamExt, TryStreamExt};
use http::{Method, StatusCode};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use kube::api::{
    Api, ListParams, ObjectMeta, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::{Client, Config, ResourceExt};
use serde_json::{Value, json};
use tributary_sim::{ApiFault, Ca, Cluster, PodSpec, TokenSpec, Usage};

use crate::https::Https;

pub(crate) async fn cluster() -> Cluster {
    Cluster::builder()
        .nodes(3)
        .pods_per_node(4)
        .namespaces(2)
        .start()
        .await
        .unwrap()
}

pub(crate) async fn client(cluster: &Cluster) -> Client {
    let kubeconfig = Kubeconfig::read_from(&cluster.paths().kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

/// Sends a request with a token.
async fn ask(
    cluster: &Cluster,
    token: &str,
    method: Method,
    path: &str,
    body: &Value,
) -> (u16, Value) {
    let client = Https::new(cluster.pki().ca(Ca::Cluster), None);
    let bearer = format!("Bearer {token}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let answer = client
        .send(method, cluster.api_address(), path, &headers, &body)
        .await
        .unwrap();
    (
        answer.status.as_u16(),
        serde_json::from_slice(&answer.body).unwrap_or_default(),
    )
}

#[tokio::test]
async fn lists_come_whole_in_pages_and_by_selectors() {
    let cluster = cluster().await;
    let client = client(&cluster).await;
    let nodes: Api<Node> = Api::all(client.clone());
    let names: Vec<String> = nodes
        .list(&ListParams::default())
        .await
        .unwrap()
        .iter()
        .map(ResourceExt::name_any)
        .collect();
    assert_eq!(names, ["node-00001", "node-00002", "node-00003"]);

    let pods: Api<Pod> = Api::all(client.clone());
    let mut params = ListParams::default().limit(5);
    let mut sizes = Vec::new();
    loop {
        let page = pods.list_metadata(&params).await.unwrap();
        sizes.push((page.items.len(), page.metadata.remaining_item_count));
        match page.metadata.continue_ {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    assert_eq!(sizes, [(5, Some(7)), (5, Some(2)), (2, None)]);

    let labelled = ListParams::default().labels("app=app-1,tier in (front, back)");
    let one: Api<Pod> = Api::namespaced(client, "ns-0000");
    let names: Vec<String> = one
        .list(&labelled)
        .await
        .unwrap()
        .iter()
        .map(ResourceExt::name_any)
        .collect();
    assert_eq!(names, ["web-00002-0", "web-00002-1", "web-00002-2"]);
    let placed = ListParams::default().fields("spec.nodeName=node-00002,status.phase=Running");
    assert_eq!(pods.list(&placed).await.unwrap().items.len(), 4);
    cluster.stop().await;
}

#[tokio::test]
async fn a_watcher_sees_every_change_and_only_of_its_selection() {
    let cluster = cluster().await;
    let pods: Api<PartialObjectMeta<Pod>> = Api::all(client(&cluster).await);
    let config = watcher::Config::default()
        .fields("status.phase=Running")
        .labels("app=new");
    let mut events = pin!(watcher::watcher(pods, config));
    loop {
        if matches!(events.next().await.unwrap().unwrap(), Event::InitDone) {
            break;
        }
    }
    let pod = || PodSpec::new("shop", "web-0", "node-00001").container("main", Usage::steady(1, 1));
    let mut next = async || match events.next().await.unwrap().unwrap() {
        Event::Apply(pod) => format!("apply {}", pod.name_any()),
        Event::Delete(pod) => format!("delete {}", pod.name_any()),
        other => format!("{other:?}"),
    };
    cluster.add_pod(pod());
    cluster
        .label_pod("shop", "web-0", "app", Some("new"))
        .unwrap();
    assert_eq!(next().await, "apply web-0");
    cluster
        .set_phase("shop", "web-0", tributary_sim::Phase::Succeeded)
        .unwrap();
    assert_eq!(next().await, "delete web-0");
    cluster
        .set_phase("shop", "web-0", tributary_sim::Phase::Running)
        .unwrap();
    assert_eq!(next().await, "apply web-0");
    cluster.close_watches();
    cluster.remove_pod("shop", "web-0").unwrap();
    assert_eq!(next().await, "delete web-0");
    cluster.stop().await;
}

#[tokio::test]
async fn a_streaming_list_ends_with_its_bookmark() {
    let cluster = cluster().await;
    let nodes: Api<Node> = Api::all(client(&cluster).await);
    let mut events = pin!(watcher::watcher(
        nodes,
        watcher::Config::default().streaming_lists()
    ));
    let mut seen = Vec::new();
    while seen.len() < 5 {
        seen.push(match events.next().await.unwrap().unwrap() {
            Event::Init => "init".to_owned(),
            Event::InitApply(node) => node.name_any(),
            Event::InitDone => "done".to_owned(),
            other => format!("{other:?}"),
        });
    }
    assert_eq!(
        seen,
        ["init", "node-00001", "node-00002", "node-00003", "done"]
    );
    cluster.stop().await;
}

#[tokio::test]
async fn a_watch_from_a_forgotten_version_has_to_list_again() {
    let cluster = cluster().await;
    let nodes: Api<Node> = Api::all(client(&cluster).await);
    let version = nodes
        .list(&ListParams::default())
        .await
        .unwrap()
        .metadata
        .resource_version
        .unwrap();
    cluster.label_node("node-00001", "pool", Some("a")).unwrap();
    let params = WatchParams::default();
    let mut events = nodes.watch(&params, &version).await.unwrap().boxed();
    match events.try_next().await.unwrap().unwrap() {
        WatchEvent::Modified(node) => assert_eq!(node.labels()["pool"], "a"),
        other => panic!("{other:?}"),
    }
    cluster.expire_history();
    let error = nodes.watch(&params, &version).await.err().unwrap();
    match error {
        kube::Error::Api(status) => {
            assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
        }
        other => panic!("{other:?}"),
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_lease_is_guarded_by_its_version() {
    let cluster = cluster().await;
    let leases: Api<Lease> = Api::namespaced(client(&cluster).await, "kube-system");
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some("scraper-0".to_owned()),
            ..ObjectMeta::default()
        },
        ..Lease::default()
    };
    let post = PostParams::default();
    let created = leases.create(&post, &lease).await.unwrap();
    let code = |error: kube::Error| match error {
        kube::Error::Api(status) => (status.code, status.reason.clone()),
        other => panic!("{other:?}"),
    };
    let error = leases.create(&post, &lease).await.unwrap_err();
    assert_eq!(code(error), (409, "AlreadyExists".to_owned()));
    let renewed = leases.replace("scraper-0", &post, &created).await.unwrap();
    assert_ne!(renewed.resource_version(), created.resource_version());
    let error = leases
        .replace("scraper-0", &post, &created)
        .await
        .unwrap_err();
    assert_eq!(code(error), (409, "Conflict".to_owned()));
    let patch = Patch::Merge(json!({ "spec": { "holderIdentity": "me" } }));
    let patched = leases
        .patch("scraper-0", &PatchParams::default(), &patch)
        .await
        .unwrap();
    assert_eq!(patched.spec.unwrap().holder_identity.as_deref(), Some("me"));
    leases
        .delete("scraper-0", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    let error = leases.get("scraper-0").await.unwrap_err();
    assert_eq!(code(error), (404, "NotFound".to_owned()));
    cluster.stop().await;
}

#[tokio::test]
async fn a_token_review_honours_audience_and_expiry() {
    let cluster = cluster().await;
    let frontend = cluster.token("system:serviceaccount:kube-system:frontend");
    let scraper = cluster.mint(
        TokenSpec::new("system:serviceaccount:kube-system:scraper")
            .audience("tributary-bus")
            .pod("scraper-0"),
    );
    let review = async |audiences: &[&str]| {
        let body = json!({ "spec": { "token": scraper, "audiences": audiences } });
        let path = "/apis/authentication.k8s.io/v1/tokenreviews";
        ask(&cluster, &frontend, Method::POST, path, &body).await.1["status"].clone()
    };
    let status = review(&["tributary-bus"]).await;
    assert_eq!(status["authenticated"], true);
    assert_eq!(status["audiences"], json!(["tributary-bus"]));
    assert_eq!(
        status["user"]["username"],
        "system:serviceaccount:kube-system:scraper"
    );
    assert_eq!(
        status["user"]["extra"]["authentication.kubernetes.io/pod-name"],
        json!(["scraper-0"])
    );
    assert!(review(&[]).await.get("authenticated").is_none());
    assert_eq!(cluster.reviews().tokens, 2);
    cluster.stop().await;
}

#[tokio::test]
async fn an_access_review_follows_the_rules() {
    let cluster = cluster().await;
    let frontend = cluster.token("system:serviceaccount:kube-system:frontend");
    let allowed = async |user: &str| {
        let attributes = json!({
            "verb": "create", "group": "bus.tributary.dev", "resource": "samplestreams",
        });
        let body = json!({ "spec": { "user": user, "resourceAttributes": attributes } });
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        let (code, review) = ask(&cluster, &frontend, Method::POST, path, &body).await;
        assert_eq!(code, 201);
        review["status"]["allowed"].as_bool().unwrap()
    };
    assert!(allowed("system:serviceaccount:kube-system:scraper").await);
    cluster.restrict("system:serviceaccount:kube-system:scraper");
    assert!(!allowed("system:serviceaccount:kube-system:scraper").await);
    assert!(!allowed("jane").await);
    cluster.allow("jane", "create", "bus.tributary.dev", "samplestreams");
    assert!(allowed("jane").await);
    assert_eq!(cluster.reviews().accesses, 4);
    cluster.stop().await;
}

#[tokio::test]
async fn callers_without_a_name_or_a_right_are_refused() {
    let cluster = cluster().await;
    let (code, status) = ask(&cluster, "guess", Method::GET, "/api/v1/pods", &Value::Null).await;
    assert_eq!((code, &status["reason"]), (401, &json!("Unauthorized")));
    let jane = cluster.token("jane");
    let (code, status) = ask(&cluster, &jane, Method::GET, "/api/v1/pods", &Value::Null).await;
    assert_eq!(code, 403);
    let text = "pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" at the cluster scope";
    assert_eq!(status["message"], text);
    cluster.stop().await;
}

#[tokio::test]
async fn the_config_map_of_extension_servers_is_a_real_clusters() {
    let cluster = cluster().await;
    let maps: Api<ConfigMap> = Api::namespaced(client(&cluster).await, "kube-system");
    let data: BTreeMap<String, String> = maps
        .get("extension-apiserver-authentication")
        .await
        .unwrap()
        .data
        .unwrap();
    assert_eq!(data["client-ca-file"], cluster.pki().ca(Ca::Cluster));
    assert_eq!(
        data["requestheader-client-ca-file"],
        cluster.pki().ca(Ca::FrontProxy)
    );
    assert_eq!(
        data["requestheader-allowed-names"],
        "[\"front-proxy-client\"]"
    );
    assert_eq!(data["requestheader-group-headers"], "[\"X-Remote-Group\"]");
    cluster.stop().await;
}

#[tokio::test]
async fn an_api_that_is_down_comes_back() {
    let cluster = cluster().await;
    let token = cluster.token("system:serviceaccount:kube-system:scraper");
    cluster.set_api_fault(ApiFault::Status(503)).await;
    let (code, _) = ask(&cluster, &token, Method::GET, "/api/v1/nodes", &Value::Null).await;
    assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE.as_u16());
    cluster.set_api_fault(ApiFault::Refuse).await;
    tokio::net::TcpStream::connect(cluster.api_address())
        .await
        .unwrap_err();
    cluster.set_api_fault(ApiFault::None).await;
    let (code, nodes) = ask(&cluster, &token, Method::GET, "/api/v1/nodes", &Value::Null).await;
    assert_eq!((code, nodes["items"].as_array().unwrap().len()), (200, 3));
    cluster.stop().await;
}
