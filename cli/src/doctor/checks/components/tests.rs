use serde_json::json;

use super::{
    super::super::facts::healthy::{NOW, object},
    *,
};

#[test]
fn the_status_of_a_pod_says_why_it_is_not_ready() {
    let of = |status: serde_json::Value| {
        let pod: Pod = object(json!({ "metadata": { "name": "p" }, "status": status }));
        why_not_ready(&pod)
    };
    let container = |state: serde_json::Value, last: serde_json::Value| {
        json!({ "phase": "Running", "containerStatuses": [{
            "name": "frontend", "image": "", "imageID": "", "ready": false, "restartCount": 3,
            "state": state, "lastState": last,
        }] })
    };
    let waiting = json!({ "waiting": { "reason": "ImagePullBackOff", "message": "not found" } });
    assert_eq!(
        of(container(waiting, json!({}))),
        "frontend: ImagePullBackOff not found"
    );
    let crash = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
    let ended = json!({ "terminated": { "exitCode": 2 } });
    assert_eq!(
        of(container(crash, ended.clone())),
        "frontend: CrashLoopBackOff, ended last with code 2"
    );
    let running = json!({ "running": {} });
    assert_eq!(
        of(container(running, json!({}))),
        "frontend: not ready, 3 restarts"
    );
    assert_eq!(of(json!({ "phase": "Pending" })), "Pending, and not ready");
}

#[test]
fn a_pod_has_a_minute_to_become_ready() {
    let now: Timestamp = NOW.parse().unwrap();
    let pod = |created: &str| -> Pod {
        object(
            json!({ "metadata": { "creationTimestamp": created }, "status": { "phase": "Pending" } }),
        )
    };
    assert!(!should_be_ready(&pod("2026-11-29T16:59:30Z"), now));
    assert!(should_be_ready(&pod("2026-11-29T16:58:30Z"), now));
    let ended = json!({ "metadata": {}, "status": { "phase": "Succeeded" } });
    assert!(!should_be_ready(&object(ended), now));
}

#[test]
fn a_frontend_understands_its_own_version_and_the_one_before() {
    assert!(fits("0.1.0", "0.1.7"));
    assert!(fits("0.1.0", "0.2.0"));
    assert!(!fits("0.1.0", "0.3.0"));
    assert!(!fits("0.3.0", "0.2.0"));
    assert!(fits("", "0.2.0"));
    assert_eq!(numbers("v1.27.3-gke.100"), Some((1, 27)));
}
