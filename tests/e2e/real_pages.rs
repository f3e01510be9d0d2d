//! The pages of a real kubelet, ten seconds apart, with expected answers that were computed by hand. The container
//! `main` of the pod `burner` was killed between the fourth and the fifth page.

use bytes::Bytes;
use serde_json::Value;
use tributary_e2e::{ask::Client, patience::eventually, stack::Stack};
use tributary_sim::{Cluster, Fault, NodeSpec, PodSpec, Usage};

use super::{NODES, PODS};

const PAGES: [&[u8]; 8] = [
    include_bytes!("../golden/kubelet-1.36/resource-1.txt"),
    include_bytes!("../golden/kubelet-1.36/resource-2.txt"),
    include_bytes!("../golden/kubelet-1.36/resource-3.txt"),
    include_bytes!("../golden/kubelet-1.36/resource-4.txt"),
    include_bytes!("../golden/kubelet-1.36/resource-5.txt"),
    include_bytes!("../golden/kubelet-1.36/resource-6.txt"),
    include_bytes!("../golden/kubelet-1.36/resource-7.txt"),
    include_bytes!("../golden/kubelet-1.36/resource-8.txt"),
];

/// What is served after each page except the first, computed independently of the code: name, time, window, then CPU
/// and memory of each container or of the node.
const ANSWERS: [&[&str]; 7] = [
    &[
        "burner-real-node 02:51:33 10.037s main 99414825n 20720Ki, sidecar 1502366n 2280Ki",
        "idle-real-node 02:51:33 10.043s main 0 480Ki, sidecar 1438489n 2536Ki",
        "memory-real-node 02:51:33 10.037s main 5406632n 51484Ki, sidecar 1500157n 2536Ki",
        "real-node 02:51:31 10.027s 152987428n 3319604Ki",
    ],
    &[
        "burner-real-node 02:51:43 10.033s main 98615202n 20720Ki, sidecar 1515093n 2280Ki",
        "idle-real-node 02:51:43 10.034s main 0 480Ki, sidecar 1557729n 2536Ki",
        "memory-real-node 02:51:43 10.034s main 5525217n 51484Ki, sidecar 1484563n 2536Ki",
        "real-node 02:51:41 10.024s 163562314n 3316856Ki",
    ],
    &[
        "burner-real-node 02:51:53 10.047s main 98198392n 20716Ki, sidecar 1541172n 2280Ki",
        "idle-real-node 02:51:53 10.045s main 0 480Ki, sidecar 1500577n 2536Ki",
        "memory-real-node 02:51:53 10.044s main 5354235n 51484Ki, sidecar 1509049n 2536Ki",
        "real-node 02:51:51 10.027s 140514774n 3311824Ki",
    ],
    // On the fifth page, `main` of `burner` started 9.2 s before. That is too short for a rate from its start, so the
    // whole pod is omitted.
    &[
        "idle-real-node 02:52:03 10.055s main 0 196Ki, sidecar 1501707n 2416Ki",
        "memory-real-node 02:52:03 10.054s main 5352554n 51484Ki, sidecar 1459165n 2364Ki",
        "real-node 02:52:01 10.039s 154732624n 3310484Ki",
    ],
    &[
        "burner-real-node 02:52:13 10.034s main 98822014n 20964Ki, sidecar 1682434n 2276Ki",
        "idle-real-node 02:52:13 10.036s main 0 196Ki, sidecar 1648944n 2416Ki",
        "memory-real-node 02:52:13 10.03s main 5395664n 51484Ki, sidecar 1464067n 2364Ki",
        "real-node 02:52:11 10.039s 148455017n 3305740Ki",
    ],
    &[
        "burner-real-node 02:52:23 10.043s main 87647185n 20964Ki, sidecar 1448818n 2276Ki",
        "idle-real-node 02:52:23 10.044s main 0 196Ki, sidecar 1281419n 2416Ki",
        "memory-real-node 02:52:23 10.044s main 5218165n 51484Ki, sidecar 1300296n 2364Ki",
        "real-node 02:52:21 10.032s 1260610030n 3446024Ki",
    ],
    &[
        "burner-real-node 02:52:33 10.043s main 87602874n 20964Ki, sidecar 1343764n 2276Ki",
        "idle-real-node 02:52:33 10.037s main 0 196Ki, sidecar 1294223n 2416Ki",
        "memory-real-node 02:52:33 10.044s main 5273627n 51484Ki, sidecar 1615361n 2364Ki",
        "real-node 02:52:31 10.028s 1739346556n 3488460Ki",
    ],
];

#[tokio::test(flavor = "multi_thread")]
async fn real_pages_give_the_answers_worked_out_by_hand() {
    let cluster = Cluster::builder().nodes(0).pods_per_node(0);
    // A page of the real kubelet is current for ten seconds. Here it is current as long as the test needs it.
    let mut stack = Stack::patient(cluster, 1, 1).await;
    let cluster = &mut stack.cluster;
    let spec = NodeSpec::new("real-node");
    cluster.add_node(spec).await.unwrap();
    for pod in ["burner", "idle", "memory"] {
        let usage = Usage::steady(1, 1 << 20);
        let pod = PodSpec::new("default", &format!("{pod}-real-node"), "real-node");
        cluster.add_pod(pod.container("main", usage).container("sidecar", usage));
    }
    let front = stack.front(0);
    let mut pages = PAGES.into_iter();
    show(&stack, pages.next().unwrap()).await;
    for (page, expected) in pages.zip(ANSWERS) {
        show(&stack, page).await;
        eventually(|| async {
            let served = served(&front).await?;
            if served == expected {
                Ok(())
            } else {
                Err(served)
            }
        })
        .await;
    }
    stack.stop().await;
}

/// Makes the kubelet return `page`, and waits for two scrapes: the first is stored, and the second must change nothing.
async fn show(stack: &Stack, page: &'static [u8]) {
    let fault = Fault::Page(Bytes::from_static(page));
    stack.cluster.set_fault("real-node", fault).await.unwrap();
    super::scraped_again(stack, "real-node", 2).await;
}

async fn served(front: &Client) -> Result<Vec<String>, Vec<String>> {
    let ask = async |path| front.ok(path).await.map_err(|error| vec![error]);
    let mut lines: Vec<String> = ask(PODS).await?.items().iter().map(pod).collect();
    lines.extend(ask(NODES).await?.items().iter().map(node));
    Ok(lines)
}

fn pod(item: &Value) -> String {
    let containers = item["containers"].as_array().unwrap().iter();
    let containers: Vec<String> = containers
        .map(|container| format!("{} {}", text(&container["name"]), usage(container)))
        .collect();
    format!("{} {}", stem(item), containers.join(", "))
}

fn node(item: &Value) -> String {
    format!("{} {}", stem(item), usage(item))
}

fn stem(item: &Value) -> String {
    let timestamp = text(&item["timestamp"]);
    let time = timestamp
        .strip_prefix("2026-11-21T")
        .and_then(|time| time.strip_suffix('Z'));
    let name = text(&item["metadata"]["name"]);
    format!(
        "{name} {} {}",
        time.unwrap_or(timestamp),
        text(&item["window"])
    )
}

fn usage(item: &Value) -> String {
    // The real kubelet reports swap, and none was used.
    assert_eq!(item["usage"]["swap"], "0", "{item}");
    format!(
        "{} {}",
        text(&item["usage"]["cpu"]),
        text(&item["usage"]["memory"])
    )
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
