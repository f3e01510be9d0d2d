//! Frontends understand publishers of earlier versions. The streams were recorded with those versions.
//!
//! `cargo run -p tributary-e2e --bin record -- FILE` (in tests/e2e/streams) makes a recording. It is kept as long as
//! its version is accepted.

use serde_json::json;
use tributary_e2e::{
    patience::eventually,
    recording::{cluster, replay},
    stack::Stack,
};

use super::{NODES, PODS, all_served};

/// The recording of each accepted version.
const RECORDED: &[(u32, &[u8])] = &[(1, include_bytes!("streams/protocol-1.bin"))];

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_stream_of_every_accepted_version_gives_the_answers_known() {
    for (version, recording) in RECORDED {
        let (stack, socket) = Stack::alone(cluster()).await;
        let front = stack.front(0);
        // Samples do not count before the objects are listed.
        eventually(|| front.ok(NODES)).await;
        let _stream = replay(&socket, recording).await.unwrap();
        all_served(&stack, &front).await;
        let pods = front.ok(PODS).await.unwrap().items();
        assert_eq!(pods.len(), 4);
        for pod in pods {
            for container in pod["containers"].as_array().unwrap() {
                let usage = json!({ "cpu": "250m", "memory": "64Mi", "swap": "0" });
                assert_eq!(container["usage"], usage, "version {version}: {pod}");
            }
        }
        let metrics = front.ok("/metrics").await.unwrap();
        assert_eq!(metrics.metric("tributary_bus_streams"), Some(1));
        assert_eq!(
            metrics.metric("tributary_bus_unknown_messages_total"),
            Some(0)
        );
        stack.stop().await;
    }
}
