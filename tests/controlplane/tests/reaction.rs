//! The measurement of docs/REACTION.md, small: every figure is there, for our components and for metrics-server.

use std::time::Duration;

use tributary_controlplane::reaction::{self, Effort, Nodes, Pipeline, figures};

#[test]
fn every_figure_is_measured_for_both() -> anyhow::Result<()> {
    let names = ["metrics-server", "tributary"];
    let pipelines: Vec<Pipeline> = names
        .into_iter()
        .map(Pipeline::named)
        .collect::<anyhow::Result<_>>()?;
    // Each Deployment makes one step; the first is up, and makes pods.
    let effort = Effort {
        steps: 4,
        apps: 4,
        nodes: Nodes::Simulated(2),
        spread: Duration::from_secs(2),
        seed: 1,
    };
    let runtime = tokio::runtime::Runtime::new()?;
    // On a thread of the runtime, because programs end with the thread that started them.
    let run = runtime.spawn(async move { reaction::run(&pipelines, effort).await });
    let json = figures::json(&runtime.block_on(run)??);
    for name in names {
        for figure in ["decision_s", "right_size_s", "new_pod_s", "sample_age_s"] {
            let one = &json["pipelines"][name][figure];
            assert!(one["n"].as_u64().is_some_and(|n| n > 0), "{name}: {json:#}");
            for part in ["mean", "p50", "p95", "max"] {
                assert!(one[part].as_f64().is_some_and(|s| s > 0.0), "{json:#}");
            }
        }
    }
    Ok(())
}
