//! Objects are lost, damaged, refused, or belong to others, or the clock is set.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::json;
use tokio::time::advance;
use tributary_runtime::tls::{in_pem, issue};

use super::{
    ALMOST_AN_HOUR, Frontend, HOUR, SERVER, all_take,
    cluster::{CONFIG_MAP, Cluster, SECRET, api_service, leading_to},
    takes,
};

const DAY: i64 = 86_400;

/// A change to the Secret from outside.
type Harm = fn(&Cluster);

#[tokio::test(start_paused = true)]
async fn what_is_lost_in_the_secret_is_written_again_by_who_remembers() {
    let damages: [(&str, Harm); 4] = [
        ("deleted", |cluster| cluster.delete(SECRET)),
        ("as the chart renders it", |cluster| {
            cluster.put(SECRET, json!({ "metadata": {} }));
        }),
        ("half a key", |cluster| {
            let half = BASE64_STANDARD.encode("-----BEGIN PRIVATE KEY-----\nMIGH");
            cluster.change(SECRET, &json!({ "data": { "tls.key": half } }));
        }),
        ("another's key", |cluster| {
            let other = issue(&[SERVER.to_owned()], 0, 1).unwrap();
            let key = BASE64_STANDARD.encode(other.key);
            cluster.change(SECRET, &json!({ "data": { "tls.key": key } }));
        }),
    ];
    for (damage, harm) in damages {
        let cluster = Cluster::new();
        let mut one = Frontend::new(&cluster, "t-1");
        one.keeper.begin().await;
        let (shown, key) = (one.shown(), cluster.stored("tls.key"));
        harm(&cluster);
        one.keeper.look().await;
        assert_eq!(one.shown(), shown, "{damage}");
        assert_eq!(cluster.stored("tls.key"), key, "{damage}");
        all_take(&cluster, &[&one]);
        let restored = "tributary_serving_certificate_steps_total{step=\"restore\"} 1\n";
        assert!(one.metrics().contains(restored), "{damage}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_secret_that_no_frontend_remembers_is_replaced_and_its_ca_stays_trusted() {
    let cluster = Cluster::new();
    let mut one = Frontend::new(&cluster, "t-1");
    one.keeper.begin().await;
    let damaged = BASE64_STANDARD.encode("nothing");
    cluster.change(SECRET, &json!({ "data": { "tls.crt": damaged } }));
    let mut two = Frontend::new(&cluster, "t-2");
    two.keeper.begin().await;
    assert_ne!(two.shown(), one.shown());
    // The first frontend does not know it yet, and its certificate is still accepted.
    for version in ["v1beta1", "v1"] {
        let bundle = cluster.bundle(version);
        assert!(takes(&cluster, &bundle, &one) && takes(&cluster, &bundle, &two));
    }
    one.keeper.look().await;
    assert_eq!(two.shown(), one.shown());
    assert_eq!(cluster.cas(), 2);
    advance(HOUR).await;
    one.keeper.look().await;
    assert_eq!(cluster.cas(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_others_have_written_is_trusted_for_an_overlap_after_a_restore() {
    let damages: [Harm; 2] = [
        |cluster| {
            let damaged = BASE64_STANDARD.encode("nothing");
            cluster.change(SECRET, &json!({ "data": { "tls.crt": damaged } }));
        },
        // The pair has expired.
        |cluster| {
            let now = u64::try_from(cluster.now().as_second()).unwrap();
            let old = issue(&[SERVER.to_owned()], now - 100, now - 1).unwrap();
            let data = json!({
                "tls.crt": BASE64_STANDARD.encode(&old.certificate),
                "tls.key": BASE64_STANDARD.encode(&old.key),
            });
            cluster.change(SECRET, &json!({ "data": data }));
        },
    ];
    for harm in damages {
        let cluster = Cluster::new();
        let mut one = Frontend::new(&cluster, "t-1");
        one.keeper.begin().await;
        advance(5 * HOUR).await;
        // Another frontend replaces the pair. The first one serves that after the next damage.
        cluster.put(SECRET, json!({ "metadata": {} }));
        let mut two = Frontend::new(&cluster, "t-2");
        two.keeper.begin().await;
        assert_ne!(two.shown(), one.shown());
        harm(&cluster);
        one.keeper.look().await;
        assert_eq!(cluster.cas(), 2);
        all_take(&cluster, &[&one]);
        advance(ALMOST_AN_HOUR).await;
        one.keeper.look().await;
        for version in ["v1beta1", "v1"] {
            let bundle = cluster.bundle(version);
            assert!(takes(&cluster, &bundle, &two), "{version}");
        }
        advance(Duration::from_secs(1)).await;
        one.keeper.look().await;
        assert_eq!(cluster.cas(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_empties_the_secret_again_and_again_stops_no_renewal() {
    let cluster = Cluster::new();
    let mut one = Frontend::new(&cluster, "t-1");
    one.keeper.begin().await;
    let first = one.shown();
    for _ in 0..(19 * 12) {
        advance(Duration::from_mins(5)).await;
        cluster.put(SECRET, json!({ "metadata": {} }));
        one.keeper.look().await;
        all_take(&cluster, &[&one]);
    }
    assert_ne!(one.shown(), first);
    assert_eq!(cluster.cas(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_always_faster_is_counted_and_waited_for() {
    let objects = [
        ("secret", SECRET),
        ("configmap", CONFIG_MAP),
        ("apiservice", &api_service("v1")),
    ];
    for (object, path) in objects {
        let cluster = Cluster::new();
        let mut one = Frontend::new(&cluster, "t-1");
        cluster.occupy(Some(path));
        one.keeper.begin().await;
        one.keeper.look().await;
        let failed =
            format!("tributary_serving_certificate_failures_total{{object=\"{object}\"}} 2\n");
        assert!(one.metrics().contains(&failed), "{}", one.metrics());
        cluster.occupy(None);
        one.keeper.look().await;
        assert!(one.metrics().contains(&failed), "{}", one.metrics());
        all_take(&cluster, &[&one]);
    }
}

#[tokio::test(start_paused = true)]
async fn objects_that_are_longer_in_json_than_in_etcd_are_read() {
    let cluster = Cluster::new();
    // JSON needs six times as many bytes for this text as etcd, which stores half a MiB.
    let long = json!({ "metadata": { "annotations": { "long": "x".repeat(3 << 20) } } });
    for path in [SECRET, CONFIG_MAP, &api_service("v1")] {
        cluster.change(path, &long);
    }
    let mut one = Frontend::new(&cluster, "t-1");
    one.keeper.begin().await;
    all_take(&cluster, &[&one]);
}

#[tokio::test(start_paused = true)]
async fn a_next_pair_that_is_damaged_is_made_again() {
    let cluster = Cluster::new();
    let mut one = Frontend::new(&cluster, "t-1");
    one.keeper.begin().await;
    advance(16 * HOUR).await;
    one.keeper.look().await;
    let damaged = BASE64_STANDARD.encode("nothing");
    cluster.change(SECRET, &json!({ "data": { "next.key": damaged } }));
    for _ in 0..5 {
        one.keeper.look().await;
        all_take(&cluster, &[&one]);
        advance(HOUR).await;
    }
    assert_eq!(cluster.cas(), 1);
    // The first certificate was issued 24 hours ago, so it has expired.
    advance(4 * HOUR).await;
    one.keeper.look().await;
    all_take(&cluster, &[&one]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_update_stops_nothing_and_a_renewal_goes_on_when_all_have_the_ca() {
    let cluster = Cluster::new();
    let mut one = Frontend::new(&cluster, "t-1");
    one.keeper.begin().await;
    let first = one.shown();
    let closed = api_service("v1");
    cluster.close(&closed);
    for _ in 0..20 {
        advance(HOUR).await;
        one.keeper.look().await;
        all_take(&cluster, &[&one]);
    }
    // The next pair exists, and one APIService does not have its CA.
    assert_eq!((one.shown(), cluster.cas()), (first.clone(), 2));
    let failed = "tributary_serving_certificate_failures_total{object=\"apiservice\"} ";
    assert!(one.metrics().contains(failed));
    cluster.open();
    one.keeper.look().await;
    advance(ALMOST_AN_HOUR).await;
    one.keeper.look().await;
    assert_eq!(one.shown(), first);
    advance(Duration::from_secs(1)).await;
    one.keeper.look().await;
    assert_ne!(one.shown(), first);
    all_take(&cluster, &[&one]);

    // Now writes to the Secret are refused.
    let second = one.shown();
    cluster.close(SECRET);
    advance(20 * HOUR).await;
    one.keeper.look().await;
    assert_eq!(one.shown(), second);
    let failed = "tributary_serving_certificate_failures_total{object=\"secret\"} 1\n";
    assert!(one.metrics().contains(failed), "{}", one.metrics());
    // A frontend that could never write has nothing to serve.
    let cluster = Cluster::new();
    cluster.close(SECRET);
    let mut two = Frontend::new(&cluster, "t-2");
    two.keeper.begin().await;
    assert!(two.keeper.readiness().check().is_err());
}

#[tokio::test(start_paused = true)]
async fn what_is_good_goes_on_where_what_is_bad_is_put_in_its_place() {
    let cluster = Cluster::new();
    let mut one = Frontend::new(&cluster, "t-1");
    one.keeper.begin().await;
    let first = one.shown();
    // The pair is for another name.
    let now = u64::try_from(cluster.now().as_second()).unwrap();
    let other = issue(&["other.test".to_owned()], now, now + 86_400).unwrap();
    let data = json!({
        "tls.crt": BASE64_STANDARD.encode(&other.certificate),
        "tls.key": BASE64_STANDARD.encode(&other.key),
        "ca.crt": BASE64_STANDARD.encode(&other.ca),
    });
    cluster.change(SECRET, &json!({ "data": data }));
    cluster.close(SECRET);
    one.keeper.look().await;
    assert_eq!(one.shown(), first);
    all_take(&cluster, &[&one]);
    // It returns as soon as it can be written.
    cluster.open();
    one.keeper.look().await;
    assert_eq!(one.shown(), first);
    all_take(&cluster, &[&one]);
    let mut two = Frontend::new(&cluster, "t-2");
    two.keeper.begin().await;
    assert_eq!(two.shown(), first);
    // The other pair has left no CA.
    advance(HOUR).await;
    one.keeper.look().await;
    assert_eq!(cluster.cas(), 1);
}

#[tokio::test(start_paused = true)]
async fn api_services_of_others_and_those_that_verify_nothing_are_left_alone() {
    let cluster = Cluster::new();
    cluster.put(&api_service("v1beta1"), leading_to("kube-system", "t"));
    let skips = json!({ "spec": { "insecureSkipTLSVerify": true } });
    cluster.change(&api_service("v1"), &skips);
    let mut one = Frontend::new(&cluster, "t-1");
    one.keeper.begin().await;
    assert!(cluster.bundle("v1beta1").is_empty());
    assert!(cluster.bundle("v1").is_empty());
    // They do no harm, and neither does a missing APIService.
    cluster.delete(&api_service("v1"));
    let first = one.shown();
    for _ in 0..17 {
        advance(HOUR).await;
        one.keeper.look().await;
    }
    assert_ne!(one.shown(), first);
    assert!(cluster.bundle("v1beta1").is_empty());
    // An APIService that changes to our Service gets the CAs.
    cluster.put(&api_service("v1beta1"), leading_to("ns", "t"));
    one.keeper.look().await;
    assert!(takes(&cluster, &cluster.bundle("v1beta1"), &one));
}

#[tokio::test(start_paused = true)]
async fn what_others_have_written_stays_for_an_overlap() {
    let cluster = Cluster::new();
    let now = u64::try_from(cluster.now().as_second()).unwrap();
    let other = issue(&[SERVER.to_owned()], now, now + 86_400).unwrap();
    let gone = issue(&[SERVER.to_owned()], now - 100, now - 1).unwrap();
    let there = format!("{}{}", other.ca, gone.ca);
    let bundle = json!({ "spec": { "caBundle": BASE64_STANDARD.encode(&there) } });
    cluster.change(&api_service("v1"), &bundle);
    cluster.change(CONFIG_MAP, &json!({ "data": { "ca.crt": there } }));
    let other = in_pem(other.ca.as_bytes());

    let mut one = Frontend::new(&cluster, "t-1");
    one.keeper.begin().await;
    let bundle = cluster.bundle("v1");
    assert!(takes(&cluster, &bundle, &one));
    assert_eq!(bundle[1..], other);
    // Scrapers may still trust earlier pods, too.
    let mapped = cluster.get(CONFIG_MAP).unwrap();
    let mapped = in_pem(mapped["data"]["ca.crt"].as_str().unwrap().as_bytes());
    assert_eq!(mapped, bundle);

    advance(ALMOST_AN_HOUR).await;
    one.keeper.look().await;
    assert_eq!(cluster.bundle("v1"), bundle);
    advance(Duration::from_secs(1)).await;
    one.keeper.look().await;
    assert_eq!(cluster.bundle("v1"), bundle[..1]);
    // An unreadable CA is removed at once.
    let nonsense = json!({ "spec": { "caBundle": BASE64_STANDARD.encode("nonsense") } });
    cluster.change(&api_service("v1"), &nonsense);
    one.keeper.look().await;
    assert_eq!(cluster.bundle("v1"), bundle[..1]);
}

#[tokio::test(start_paused = true)]
async fn however_many_cas_others_have_published_all_of_them_stay_for_an_overlap() {
    let cluster = Cluster::new();
    let now = u64::try_from(cluster.now().as_second()).unwrap();
    let other = |_| issue(&[SERVER.to_owned()], now, now + 86_400).unwrap().ca;
    let there: String = (0..20).map(other).collect();
    let bundle = json!({ "spec": { "caBundle": BASE64_STANDARD.encode(&there) } });
    cluster.change(&api_service("v1"), &bundle);
    cluster.change(CONFIG_MAP, &json!({ "data": { "ca.crt": there } }));
    let there = in_pem(there.as_bytes());

    let mut one = Frontend::new(&cluster, "t-1");
    one.keeper.begin().await;
    advance(ALMOST_AN_HOUR).await;
    one.keeper.look().await;
    all_take(&cluster, &[&one]);
    let mapped = cluster.get(CONFIG_MAP).unwrap();
    let mapped = in_pem(mapped["data"]["ca.crt"].as_str().unwrap().as_bytes());
    for bundle in [cluster.bundle("v1"), mapped] {
        assert_eq!(bundle.len(), 21);
        assert_eq!(bundle[1..], there);
    }
    advance(Duration::from_secs(1)).await;
    one.keeper.look().await;
    assert_eq!(cluster.bundle("v1").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_removed_from_api_service_or_config_map_is_written_again() {
    let cluster = Cluster::new();
    let mut one = Frontend::new(&cluster, "t-1");
    one.keeper.begin().await;
    cluster.put(&api_service("v1"), leading_to("ns", "t"));
    cluster.delete(CONFIG_MAP);
    one.keeper.look().await;
    all_take(&cluster, &[&one]);
    assert!(cluster.get(CONFIG_MAP).is_some());
}

#[tokio::test(start_paused = true)]
async fn when_the_clock_of_who_verifies_is_set_there_is_something_good_at_once() {
    let cluster = Cluster::new();
    let mut one = Frontend::new(&cluster, "t-1");
    one.keeper.begin().await;
    for by in [400 * DAY, -400 * DAY, -30 * DAY, 30 * DAY, -3_600] {
        cluster.set_clock(by);
        one.keeper.look().await;
        for version in ["v1beta1", "v1"] {
            let bundle = cluster.bundle(version);
            assert!(takes(&cluster, &bundle, &one), "{by} {version}");
        }
        // The list does not grow without end.
        assert!(cluster.cas() <= 8);
    }
    // Times in the future count from now.
    for _ in 0..3 {
        advance(HOUR).await;
        one.keeper.look().await;
    }
    assert_eq!(cluster.cas(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_in_progress_survives_a_clock_that_is_set_back_a_little() {
    let cluster = Cluster::new();
    let mut one = Frontend::new(&cluster, "t-1");
    one.keeper.begin().await;
    let first = one.shown();
    advance(16 * HOUR).await;
    one.keeper.look().await;
    assert_eq!(cluster.cas(), 2);
    cluster.set_clock(-600);
    for _ in 0..3 {
        one.keeper.look().await;
        all_take(&cluster, &[&one]);
        advance(HOUR).await;
    }
    one.keeper.look().await;
    assert_ne!(one.shown(), first);
    all_take(&cluster, &[&one]);
}
