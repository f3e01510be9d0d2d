//! Numbers equal the closed form, from every server and in every form.

use tributary_e2e::{patience::eventually, stack::Stack};
use tributary_sim::{NodeSpec, PodSpec, Usage};

use super::{NODES, PODS, all_served, steady};

#[tokio::test(flavor = "multi_thread")]
async fn every_pod_uses_what_its_formula_says() {
    let stack = Stack::start(steady(3, 4), 2, 2).await;
    let admin = stack.admin();
    all_served(&stack, &admin).await;
    for pod in admin.ok(PODS).await.unwrap().items() {
        let [container] = &pod["containers"].as_array().unwrap()[..] else {
            panic!("{pod}");
        };
        // The rate is a quarter of a core for any window.
        assert_eq!(container["usage"]["cpu"], "250m", "{pod}");
        assert_eq!(container["usage"]["memory"], "64Mi", "{pod}");
    }
    // Each node has four containers, and 200 millicores and 1 GiB of its own.
    for node in admin.ok(NODES).await.unwrap().items() {
        assert_eq!(node["usage"]["cpu"], "1200m", "{node}");
        assert_eq!(node["usage"]["memory"], "1280Mi", "{node}");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_and_every_path_answer_through_the_aggregator() {
    let stack = Stack::start(steady(2, 2), 1, 1).await;
    let admin = stack.admin();
    all_served(&stack, &admin).await;
    let (namespace, pod) = stack.cluster.pods().remove(0);
    for version in ["v1", "v1beta1"] {
        let base = format!("/apis/metrics.k8s.io/{version}");
        for (path, kind) in [
            (base.clone(), "APIResourceList"),
            (format!("{base}/nodes"), "NodeMetricsList"),
            (format!("{base}/nodes/node-00001"), "NodeMetrics"),
            (format!("{base}/pods"), "PodMetricsList"),
            (
                format!("{base}/namespaces/{namespace}/pods"),
                "PodMetricsList",
            ),
            (
                format!("{base}/namespaces/{namespace}/pods/{pod}"),
                "PodMetrics",
            ),
        ] {
            let answer = admin.ok(&path).await.unwrap().json();
            assert_eq!(answer["kind"], kind, "{path}");
            if kind.contains("Metrics") {
                let group_version = format!("metrics.k8s.io/{version}");
                assert_eq!(answer["apiVersion"], group_version, "{path}");
            }
        }
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_moves_is_served_from_where_it_is() {
    let stack = Stack::start(steady(1, 1), 1, 1).await;
    for name in ["here", "there"] {
        let spec = NodeSpec::new(name);
        stack.cluster.add_node(spec).await.unwrap();
    }
    let pod = |node: &str, millis| {
        PodSpec::new("default", "moved", node).container("main", Usage::steady(millis, 32 << 20))
    };
    stack.cluster.add_pod(pod("here", 100));
    // Another kubelet reports it, too, with a later start.
    stack.cluster.add_ghost(pod("there", 700));
    let admin = stack.admin();
    let path = "/apis/metrics.k8s.io/v1/namespaces/default/pods/moved";
    eventually(|| async {
        let usage = admin.ok(path).await?.json()["containers"][0]["usage"]["cpu"].take();
        assert_eq!(usage, "100m", "from the first answer on");
        Ok::<_, String>(())
    })
    .await;
    // The pod is created again on the other node, and the kubelet of the first node still reports it.
    stack.cluster.remove_ghosts("there");
    stack.cluster.move_pod("default", "moved", "there").unwrap();
    stack.cluster.add_ghost(pod("here", 900));
    let on_node = |node: &str| {
        let admin = admin.clone();
        let path = format!("{PODS}?fieldSelector=spec.nodeName%3D{node}");
        async move { admin.ok(&path).await.unwrap().items().len() }
    };
    eventually(|| async {
        match (on_node("here").await, on_node("there").await) {
            (0, 1) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    // What that node reported of it earlier may be served until its next page.
    eventually(|| async {
        let usage = admin.ok(path).await?.json()["containers"][0]["usage"]["cpu"].take();
        assert_ne!(usage, "900m", "from where it was");
        if usage == "100m" {
            Ok(())
        } else {
            Err(usage.to_string())
        }
    })
    .await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frontends_give_the_same_bytes_for_the_same_readings() {
    let stack = Stack::start(steady(3, 3), 2, 2).await;
    all_served(&stack, &stack.front(0)).await;
    all_served(&stack, &stack.front(1)).await;
    // The creation time is that of the request, so it is removed before the comparison.
    let answer = |index| {
        let client = stack.front(index);
        async move {
            let mut items = client.ok(PODS).await?.items();
            for item in &mut items {
                item["metadata"]["creationTimestamp"].take();
            }
            Ok::<_, String>(items)
        }
    };
    eventually(|| async {
        let (one, other) = tokio::join!(answer(0), answer(1));
        if one? == other? {
            Ok(())
        } else {
            Err("they differ".to_owned())
        }
    })
    .await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_get_probes_and_nothing_else() {
    let stack = Stack::start(steady(1, 1), 1, 1).await;
    all_served(&stack, &stack.front(0)).await;
    let stranger = stack.stranger(0);
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(stranger.get(path).await.unwrap().status, 200, "{path}");
    }
    for path in [PODS, NODES, "/metrics", "/apis", "/readyz/ping", "/nope"] {
        let answer = stranger.get(path).await.unwrap();
        assert_eq!(answer.status.as_u16(), 403, "{path}");
        let who = "User \"system:anonymous\" cannot ";
        assert!(answer.message().contains(who), "{}", answer.message());
    }
    let metrics = stack.front(0).ok("/metrics").await.unwrap();
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(text.contains("\ntributary_store_nodes 1\n"), "{text}");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_publishes_over_a_unix_socket() {
    let stack = Stack::sidecar(steady(2, 2)).await;
    all_served(&stack, &stack.admin()).await;
    stack.stop().await;
}
