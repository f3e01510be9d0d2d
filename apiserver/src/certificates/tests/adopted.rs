//! Adopting the certificate of an earlier installation whose pods still run.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::time::advance;
use tributary_runtime::tls::{Issued, in_pem, issue};

use super::{
    Frontend, HOUR, SERVER, all_take,
    cluster::{BEFORE, Cluster, SECRET},
    takes,
};

const ADOPT: [&str; 1] = ["--tls-auto-adopt=t-tls"];

const ADOPTED: &str = "tributary_serving_certificate_steps_total{step=\"adopt\"} 1\n";

/// A pair of an earlier installation for this name, valid for this many seconds from now.
fn of_before(cluster: &Cluster, name: &str, until: u64) -> Issued {
    let now = u64::try_from(cluster.now().as_second()).unwrap();
    issue(&[name.to_owned()], now - 100, now + until).unwrap()
}

fn secret(of: &Issued) -> Value {
    let data = json!({
        "tls.crt": BASE64_STANDARD.encode(&of.certificate),
        "tls.key": BASE64_STANDARD.encode(&of.key),
        "ca.crt": BASE64_STANDARD.encode(&of.ca),
    });
    json!({ "metadata": {}, "data": data })
}

#[tokio::test(start_paused = true)]
async fn the_pair_of_before_is_taken_over_and_renewed_with_an_overlap() {
    let cluster = Cluster::new();
    let before = of_before(&cluster, SERVER, 86_400 * 700);
    cluster.put(BEFORE, secret(&before));
    let ca = in_pem(before.ca.as_bytes());
    let mut one = Frontend::with(&cluster, "t-1", &ADOPT);
    let mut two = Frontend::with(&cluster, "t-2", &ADOPT);
    tokio::join!(one.keeper.begin(), two.keeper.begin());
    assert!(format!("{}{}", one.metrics(), two.metrics()).contains(ADOPTED));
    // Older pods trust this CA and cannot get another one.
    assert!(takes(&cluster, &ca, &one) && takes(&cluster, &ca, &two));
    all_take(&cluster, &[&one, &two]);
    let first = one.shown();
    assert_eq!(cluster.cas(), 2);
    // By now the older pods have ended.
    advance(HOUR).await;
    one.keeper.look().await;
    two.keeper.look().await;
    assert_ne!(one.shown(), first);
    all_take(&cluster, &[&one, &two]);
    advance(HOUR).await;
    one.keeper.look().await;
    assert_eq!(cluster.cas(), 1);
    assert!(!takes(&cluster, &ca, &one));
    // The pair is adopted only once, so a new frontend does not read it.
    cluster.delete(BEFORE);
    let mut three = Frontend::with(&cluster, "t-3", &ADOPT);
    three.keeper.begin().await;
    assert_eq!(three.shown(), one.shown());
}

#[tokio::test(start_paused = true)]
async fn an_earlier_pair_that_no_client_accepts_is_left_alone() {
    let cluster = Cluster::new();
    let now = u64::try_from(cluster.now().as_second()).unwrap();
    let over = issue(&[SERVER.to_owned()], now - 100, now - 1).unwrap();
    let other = of_before(&cluster, "other.test", 86_400);
    let mut damaged = secret(&of_before(&cluster, SERVER, 86_400));
    damaged["data"]["tls.key"] = BASE64_STANDARD.encode("nothing").into();
    let nothing = json!({ "metadata": {} });
    for before in [secret(&over), secret(&other), damaged, nothing] {
        let cluster = Cluster::new();
        cluster.put(BEFORE, before.clone());
        let mut one = Frontend::with(&cluster, "t-1", &ADOPT);
        one.keeper.begin().await;
        all_take(&cluster, &[&one]);
        assert_eq!(cluster.cas(), 1, "{before}");
        assert!(!one.metrics().contains(ADOPTED), "{before}");
    }
}

#[tokio::test(start_paused = true)]
async fn cas_of_a_damaged_secret_are_trusted_on_beside_the_pair_of_before() {
    let cluster = Cluster::new();
    let before = of_before(&cluster, SERVER, 86_400);
    cluster.put(BEFORE, secret(&before));
    let other = of_before(&cluster, SERVER, 86_400);
    let mut damaged = secret(&other);
    damaged["data"]["tls.key"] = BASE64_STANDARD.encode("nothing").into();
    cluster.put(SECRET, damaged);
    let mut one = Frontend::with(&cluster, "t-1", &ADOPT);
    one.keeper.begin().await;
    assert!(one.metrics().contains(ADOPTED));
    all_take(&cluster, &[&one]);
    let bundle = cluster.bundle("v1");
    for ca in [&before.ca, &other.ca] {
        assert!(bundle.contains(&in_pem(ca.as_bytes())[0]));
    }
}

#[tokio::test(start_paused = true)]
async fn while_it_cannot_be_read_whether_there_is_a_pair_of_before_none_is_made() {
    let cluster = Cluster::new();
    let before = of_before(&cluster, SERVER, 86_400);
    cluster.put(BEFORE, secret(&before));
    cluster.hide(BEFORE);
    let mut one = Frontend::with(&cluster, "t-1", &ADOPT);
    one.keeper.begin().await;
    assert!(one.keeper.readiness().check().is_err());
    assert_eq!(cluster.stored("tls.crt"), None);
    cluster.open();
    one.keeper.look().await;
    assert_eq!(one.keeper.readiness().check(), Ok(()));
    assert!(takes(&cluster, &in_pem(before.ca.as_bytes()), &one));
    assert!(cluster.get(SECRET).is_some());
}
