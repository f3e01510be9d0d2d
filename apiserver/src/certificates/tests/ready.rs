//! A ready frontend serves a certificate that clients accept.

use serde_json::json;
use tokio::time::advance;

use super::{
    ALMOST_AN_HOUR, Frontend, HOUR, all_take,
    cluster::{CONFIG_MAP, Cluster, KUBELET, SECRET, api_service},
};

const NOT_GOOD: &str = "no valid serving certificate: see the log for its Secret";

const NOT_PUBLISHED: &str = "the CA of the serving certificate is not published: see the log for the \
                        APIServices and the ConfigMap";

fn check(frontend: &Frontend) -> Result<(), String> {
    frontend.keeper.readiness().check()
}

#[tokio::test(start_paused = true)]
async fn an_expired_certificate_makes_no_frontend_ready() {
    let cluster = Cluster::new();
    let mut one = Frontend::new(&cluster, "t-1");
    one.keeper.begin().await;
    cluster.close(SECRET);
    // The certificate expires even if the keeper does not check.
    advance(23 * HOUR + ALMOST_AN_HOUR).await;
    assert_eq!(check(&one), Ok(()));
    advance(HOUR).await;
    assert_eq!(check(&one), Err(NOT_GOOD.to_owned()));
    // A new frontend finds the same certificate and cannot replace it.
    let mut two = Frontend::new(&cluster, "t-2");
    for frontend in [&mut one, &mut two] {
        frontend.keeper.look().await;
        assert_eq!(check(frontend), Err(NOT_GOOD.to_owned()));
    }
    cluster.open();
    for frontend in [&mut one, &mut two] {
        frontend.keeper.look().await;
        assert_eq!(check(frontend), Ok(()));
    }
    advance(KUBELET).await;
    all_take(&cluster, &[&one, &two]);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_invalid_by_the_clock_of_its_clients_makes_no_frontend_ready() {
    let cluster = Cluster::new();
    let mut one = Frontend::new(&cluster, "t-1");
    one.keeper.begin().await;
    cluster.close(SECRET);
    // The clock is before the validity, then after it.
    for by in [-10_000, 200_000] {
        cluster.set_clock(by);
        one.keeper.look().await;
        assert_eq!(check(&one), Err(NOT_GOOD.to_owned()), "{by}");
    }
    cluster.set_clock(-190_000);
    one.keeper.look().await;
    assert_eq!(check(&one), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_frontend_that_never_published_the_ca_to_all_is_not_ready() {
    for closed in [&*api_service("v1"), &*api_service("v1beta1"), CONFIG_MAP] {
        let cluster = Cluster::new();
        cluster.close(closed);
        let mut one = Frontend::new(&cluster, "t-1");
        one.keeper.begin().await;
        assert_eq!(check(&one), Err(NOT_PUBLISHED.to_owned()), "{closed}");
        cluster.open();
        one.keeper.look().await;
        assert_eq!(check(&one), Ok(()), "{closed}");
        all_take(&cluster, &[&one]);
        // A frontend that has nothing to write does not need the permission.
        cluster.close(closed);
        let mut two = Frontend::new(&cluster, "t-2");
        two.keeper.begin().await;
        assert_eq!(check(&two), Ok(()), "{closed}");
        // A ready frontend stays ready when one place loses the CA.
        let taken = json!({ "spec": { "caBundle": null }, "data": null });
        cluster.change(closed, &taken);
        two.keeper.look().await;
        assert_eq!(check(&two), Ok(()), "{closed}");
    }
}

#[tokio::test(start_paused = true)]
async fn frontends_that_begin_at_once_are_ready_at_once() {
    let cluster = Cluster::new();
    let mut all = ["t-1", "t-2", "t-3"].map(|name| Frontend::new(&cluster, name));
    let [one, two, three] = &mut all;
    tokio::join!(one.keeper.begin(), two.keeper.begin(), three.keeper.begin());
    for frontend in &all {
        assert_eq!(check(frontend), Ok(()));
    }
}
