//! Issuing and renewal without faults.

use std::time::Duration;

use serde_json::json;
use tokio::time::advance;

use super::{
    ALMOST_AN_HOUR, Frontend, HOUR, SERVER, all_take,
    cluster::{CONFIG_MAP, Cluster, KUBELET, SECRET},
    takes,
};

#[tokio::test(start_paused = true)]
async fn the_first_frontend_makes_a_certificate_and_tells_all_who_verify() {
    let cluster = Cluster::new();
    let mut one = Frontend::new(&cluster, "t-1");
    assert_eq!(
        one.keeper.readiness().check(),
        Err("no valid serving certificate: see the log for its Secret".to_owned())
    );
    one.keeper.begin().await;
    assert_eq!(one.keeper.readiness().check(), Ok(()));
    all_take(&cluster, &[&one]);
    assert_eq!(cluster.cas(), 1);
    // The Secret has no key that could sign certificates.
    let secret = cluster.get(SECRET).unwrap();
    let keys = secret["data"].as_object().unwrap().keys();
    assert_eq!(keys.collect::<Vec<_>>(), ["ca.crt", "tls.crt", "tls.key"]);

    // Another frontend serves the same certificate and writes nothing.
    cluster.written();
    let mut two = Frontend::new(&cluster, "t-2");
    two.keeper.begin().await;
    assert_eq!(two.shown(), one.shown());
    assert!(cluster.written().is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_ca_bundles_are_written_into_api_services() {
    let cluster = Cluster::new();
    let mut one = Frontend::new(&cluster, "t-1");
    one.keeper.begin().await;
    let written = cluster.written();
    let paths: Vec<&str> = written.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(
        paths,
        [
            SECRET,
            "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io",
            "/apis/apiregistration.k8s.io/v1/apiservices/v1.metrics.k8s.io",
            CONFIG_MAP,
        ]
    );
    for (_, body) in &written[1..3] {
        let keys = |at: &str| {
            let object = body[at].as_object().unwrap();
            object.keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(keys("metadata"), ["resourceVersion"]);
        assert_eq!(keys("spec"), ["caBundle"]);
        assert_eq!(body.as_object().unwrap().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn of_frontends_that_begin_at_once_one_wins_and_all_show_the_same() {
    for there in [true, false] {
        let cluster = Cluster::new();
        if !there {
            cluster.delete(SECRET);
            cluster.delete(CONFIG_MAP);
        }
        let mut all = ["t-1", "t-2", "t-3"].map(|name| Frontend::new(&cluster, name));
        let [one, two, three] = &mut all;
        tokio::join!(one.keeper.begin(), two.keeper.begin(), three.keeper.begin());
        let [one, two, three] = &all;
        assert_eq!(one.shown(), two.shown());
        assert_eq!(one.shown(), three.shown());
        all_take(&cluster, &[one, two, three]);
        assert_eq!(cluster.cas(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn through_renewals_all_who_verify_take_what_any_frontend_shows_at_each_moment() {
    const EVERY: Duration = Duration::from_mins(10);
    let cluster = Cluster::new();
    let mut one = Frontend::new(&cluster, "t-1");
    let mut two = Frontend::new(&cluster, "t-2");
    one.keeper.begin().await;
    two.keeper.begin().await;
    let first = one.shown();
    let (mut most, mut shown) = (0, vec![first.clone()]);
    // The second frontend is always late, and scrapers by half an hour. Both are well within an overlap.
    for look in 0..(47 * 6) {
        advance(EVERY).await;
        one.keeper.look().await;
        all_take(&cluster, &[&one, &two]);
        if look % 2 == 1 {
            two.keeper.look().await;
            all_take(&cluster, &[&one, &two]);
        }
        most = most.max(cluster.cas());
        if shown.last() != Some(&one.shown()) {
            shown.push(one.shown());
        }
    }
    // A renewal begins 16 hours after the last one, and its pair is served an hour later.
    assert_eq!(shown.len(), 3);
    assert_eq!(most, 2);
    assert_eq!(cluster.cas(), 1);
    // The first CA is removed everywhere.
    let bundles = [
        cluster.bundle("v1"),
        cluster.bundle("v1beta1"),
        cluster.mounted(),
    ];
    for bundle in bundles {
        assert_eq!(bundle.len(), 1);
        assert!(takes(&cluster, &bundle, &one));
    }
    assert!(cluster.stored("next.crt").is_none());
    assert!(cluster.stored("next.key").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_renewal_waits_for_an_overlap_before_and_after_the_change() {
    let cluster = Cluster::new();
    let mut one = Frontend::new(&cluster, "t-1");
    one.keeper.begin().await;
    let first = one.shown();
    // Eight of the 24 hours are left.
    advance(15 * HOUR + ALMOST_AN_HOUR).await;
    one.keeper.look().await;
    assert_eq!(cluster.cas(), 1);
    advance(Duration::from_secs(1)).await;
    one.keeper.look().await;
    assert_eq!(cluster.cas(), 2);
    advance(ALMOST_AN_HOUR).await;
    one.keeper.look().await;
    assert_eq!(one.shown(), first);
    advance(Duration::from_secs(1)).await;
    one.keeper.look().await;
    assert_ne!(one.shown(), first);
    assert_eq!(cluster.cas(), 2);
    advance(HOUR).await;
    one.keeper.look().await;
    assert_eq!(cluster.cas(), 1);
    assert_eq!(cluster.bundle("v1").len(), 2);
    advance(HOUR).await;
    one.keeper.look().await;
    assert_eq!(cluster.bundle("v1").len(), 1);
    advance(KUBELET).await;
    assert_eq!(cluster.mounted().len(), 1);
    let metrics = one.metrics();
    for line in [
        "tributary_serving_certificate_steps_total{step=\"replace\"} 1\n",
        "tributary_serving_certificate_steps_total{step=\"make\"} 1\n",
        "tributary_serving_certificate_steps_total{step=\"trust\"} 1\n",
        "tributary_serving_certificate_steps_total{step=\"serve\"} 1\n",
        "tributary_serving_certificate_steps_total{step=\"settle\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_may_ask_for_a_renewal_and_gets_one() {
    let cluster = Cluster::new();
    let mut one = Frontend::new(&cluster, "t-1");
    one.keeper.begin().await;
    let first = one.shown();
    let renew = json!({ "metadata": { "annotations": { "tributary.dev/renew": "now" } } });
    cluster.change(SECRET, &renew);
    one.keeper.look().await;
    assert_eq!(cluster.cas(), 2);
    assert_eq!(one.shown(), first);
    let secret = cluster.get(SECRET).unwrap();
    assert!(
        secret["metadata"]["annotations"]
            .get("tributary.dev/renew")
            .is_none()
    );
    for _ in 0..3 {
        advance(HOUR).await;
        one.keeper.look().await;
        all_take(&cluster, &[&one]);
    }
    assert_ne!(one.shown(), first);
    assert_eq!(cluster.cas(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_missing_comes_with_a_renewal() {
    let cluster = Cluster::new();
    let mut one = Frontend::new(&cluster, "t-1");
    one.keeper.begin().await;
    let mut two = Frontend::with(&cluster, "t-2", &["--tls-auto-names=other.test"]);
    two.keeper.begin().await;
    assert_eq!(two.shown(), one.shown());
    for _ in 0..2 {
        advance(HOUR).await;
        two.keeper.look().await;
        all_take(&cluster, &[&one, &two]);
        one.keeper.look().await;
    }
    let now = u64::try_from(cluster.now().as_second()).unwrap();
    for name in [SERVER, "other.test"] {
        let taken =
            tributary_runtime::tls::accepted(&cluster.bundle("v1"), &two.shown(), name, now);
        assert!(taken.is_ok(), "{name}");
    }
}
