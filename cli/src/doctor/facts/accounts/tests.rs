use serde_json::json;

use super::*;

fn deployment(containers: &Value) -> Deployment {
    let object = json!({
        "metadata": { "namespace": "sys", "name": "d" },
        "spec": { "selector": {}, "template": { "spec": {
            "serviceAccountName": "own", "containers": containers,
        } } },
    });
    serde_json::from_value(object).unwrap()
}

fn needs(account: &Account) -> Vec<String> {
    account.needs.iter().map(ToString::to_string).collect()
}

#[test]
fn a_scraper_of_its_own_needs_leases_slices_streams_and_tokens() {
    let scraper = json!([{ "name": "scraper", "args": [
        "--bus-token-file=/t", "--frontend=k8s:///sys/tributary-bus:bus",
        "--kubelet-token-service-account=sys/reader",
    ] }]);
    let accounts = accounts_of(&deployment(&scraper));
    let [scraper, reader] = &*accounts else {
        panic!("{accounts:?}");
    };
    assert_eq!(
        needs(scraper),
        [
            "list nodes",
            "watch nodes",
            "create samplestreams.bus.tributary.dev",
            "list leases.coordination.k8s.io in sys",
            "watch leases.coordination.k8s.io in sys",
            "create leases.coordination.k8s.io in sys",
            "patch leases.coordination.k8s.io in sys",
            "list endpointslices.discovery.k8s.io in sys",
            "watch endpointslices.discovery.k8s.io in sys",
            "create events.events.k8s.io in default",
            "patch events.events.k8s.io in default",
            "create serviceaccounts/token reader in sys",
        ]
    );
    assert_eq!(
        (&*reader.name, needs(reader)),
        ("reader", vec!["get nodes/metrics".to_owned()])
    );
}

#[test]
fn the_namespace_of_the_reader_may_be_that_of_the_pod() {
    let flag = "--kubelet-token-service-account=$(POD_NAMESPACE)/reader";
    let accounts = accounts_of(&deployment(&json!([{ "name": "scraper", "args": [flag] }])));
    let needed = needs(&accounts[0]);
    assert!(
        needed.contains(&"create serviceaccounts/token reader in sys".to_owned()),
        "{needed:?}"
    );
    let reader = &accounts[1];
    assert_eq!((&*reader.namespace, &*reader.name), ("sys", "reader"));
}

#[test]
fn a_scraper_beside_its_frontend_needs_little() {
    let both = json!([
        { "name": "frontend", "args": ["--secure-port=10250"] },
        { "name": "scraper", "args": [
            "--frontend=unix:///b.sock", "--shard-count=1", "--shard-index=0", "--node-event-delay=0s",
        ] },
    ]);
    let accounts = accounts_of(&deployment(&both));
    let roles: Vec<Role> = accounts.iter().map(|account| account.role).collect();
    assert_eq!(roles, [Role::Frontend, Role::Scraper, Role::KubeletReader]);
    assert_eq!(needs(&accounts[1]), ["list nodes", "watch nodes"]);
    // Its own token goes to kubelets.
    assert_eq!(accounts[2].name, "own");
}

#[test]
fn a_frontend_that_keeps_its_certificate_writes_it() {
    let auto = json!([{ "name": "frontend", "args": ["--tls-auto=sys/tributary"] }]);
    let needs = needs(&accounts_of(&deployment(&auto))[0]);
    assert!(
        needs.contains(&"patch secrets tributary-serving in sys".to_owned()),
        "{needs:?}"
    );
    assert!(
        needs.contains(
            &"patch apiservices.apiregistration.k8s.io v1beta1.metrics.k8s.io".to_owned()
        ),
        "{needs:?}"
    );
}

#[tokio::test]
async fn what_a_review_denies_is_reported() {
    let answer = json!({ "status": { "allowed": false } });
    let api = crate::kube_api::fake::Fake::default()
        .with(REVIEWS, 201, answer)
        .api();
    let scraper = [deployment(&json!([{ "name": "metrics-server" }]))];
    let denied = denied(&api, Ok(&scraper)).await.unwrap();
    assert_eq!(denied.len(), 8);
    assert_eq!(denied[0].account, "sys:own");
}
