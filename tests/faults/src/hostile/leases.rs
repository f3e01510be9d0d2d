//! Leases of scrapers that do not exist.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::{Attack, ROUNDS};
use crate::fleet::Fleet;

/// What it does.
pub(super) const WHAT: &str =
    "keeps 400 Leases of the group alive, half of them by the rules, and one of 1 MB";

/// What the fleet counts of it.
pub(super) const COUNTED: &[&str] = &[
    "tributary_assignment_leases_ignored_total{reason=\"name\"}",
    "tributary_assignment_leases_ignored_total{reason=\"holder\"}",
    "tributary_assignment_members_ignored",
];

const GROUP: &str = "default";
const NAMESPACE: &str = "kube-system";

/// Writes and renews them.
pub(super) async fn start(fleet: &Fleet) -> anyhow::Result<Attack> {
    let (cluster, clock) = (std::sync::Arc::clone(&fleet.cluster), fleet.clock.clone());
    let mut attack = Attack::new()?;
    attack.spawn(async move {
        let mut tick = interval(Duration::from_secs(5));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for _ in 0..ROUNDS {
            tick.tick().await;
            let now = clock.now();
            for number in 0_u32..400 {
                let holder = format!("0-fake-{number:04}");
                let name = if number.is_multiple_of(2) {
                    format!("tributary-{holder}")
                } else {
                    format!("evil-{number:04}")
                };
                cluster.put_object(lease(&name, &holder, now)).ok();
            }
            cluster
                .put_object(lease("evil-long", &"h".repeat(1_000_000), now))
                .ok();
        }
    });
    Ok(attack)
}

fn lease(name: &str, holder: &str, now: Timestamp) -> serde_json::Value {
    let long_ago = now - SignedDuration::from_hours(1);
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {"tributary.dev/group": GROUP},
        },
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": 15,
            "acquireTime": format!("{long_ago:.6}"),
            "renewTime": format!("{now:.6}"),
        },
    })
}
