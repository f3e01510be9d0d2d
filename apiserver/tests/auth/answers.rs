//! Who is told what, while nothing changes.

use std::time::Duration;

use tributary_sim::{Ca, Pki, TokenSpec};

use super::{
    caller::{Answer, Caller},
    stage::{NODES, Stage},
};

const UNAUTHORIZED: &str = concat!(
    r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
    r#""message":"Unauthorized","reason":"Unauthorized","code":401}"#,
    "\n"
);

fn json(status: u16, body: &str) -> Answer {
    Answer {
        status,
        content_type: "application/json".to_owned(),
        body: body.to_owned(),
    }
}

/// As recorded from metrics-server v0.9.0, except the reason, of which the
/// simulated cluster gives none.
fn denied(user: &str) -> Answer {
    json(
        403,
        &format!(
            concat!(
                r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","#,
                r#""message":"nodes.metrics.k8s.io is forbidden: User \"{}\" cannot list resource \"nodes\" in API group \"metrics.k8s.io\" at the cluster scope","#,
                r#""reason":"Forbidden","details":{{"group":"metrics.k8s.io","kind":"nodes"}},"code":403}}"#,
                "\n"
            ),
            user
        ),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_front_proxy_is_believed() {
    let stage = Stage::ready(&[]).await;
    let other = Pki::new().unwrap();
    let pki = stage.cluster.pki();
    let as_root = |caller: Caller| {
        caller
            .header("X-Remote-User", "root")
            .header("X-Remote-Group", "dev")
            .header("X-Remote-Group", "system:masters")
    };
    let proxy = "front-proxy-client";
    for (what, caller, answer) in [
        (
            "it is",
            as_root(Caller::with(pki, Ca::FrontProxy, proxy)),
            None,
        ),
        (
            "it is, with TLS 1.2",
            as_root(Caller::with(pki, Ca::FrontProxy, proxy)).tls12(),
            None,
        ),
        (
            "its user may not",
            stage.front_proxy("alice"),
            Some(denied("alice")),
        ),
        (
            "it names nobody",
            Caller::with(pki, Ca::FrontProxy, proxy),
            Some(json(401, UNAUTHORIZED)),
        ),
        (
            "another name",
            as_root(Caller::with(pki, Ca::FrontProxy, "somebody")),
            Some(json(401, UNAUTHORIZED)),
        ),
        (
            "another CA",
            as_root(Caller::with(&other, Ca::FrontProxy, proxy)),
            Some(json(401, UNAUTHORIZED)),
        ),
        (
            "no certificate",
            as_root(Caller::stranger()),
            Some(denied("system:anonymous")),
        ),
        (
            "a user's certificate",
            as_root(Caller::with(pki, Ca::Cluster, "jane")),
            Some(denied("jane")),
        ),
    ] {
        let got = caller.get(stage.api, NODES).await;
        match answer {
            None => assert_eq!(got.status, 200, "{what}: {got:?}"),
            Some(answer) => assert_eq!(got, answer, "{what}"),
        }
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_its_key_gets_no_answer() {
    let stage = Stage::ready(&[]).await;
    let pki = stage.cluster.pki();
    let [shown, owner] = ["front-proxy-client", "somebody"]
        .map(|name| pki.client(Ca::FrontProxy, name, &[]).unwrap());
    let thief = Caller::showing(&shown, &owner)
        .header("X-Remote-User", "root")
        .header("X-Remote-Group", "system:masters");
    for thief in [thief.clone(), thief.tls12()] {
        let answer = async { thief.connect(stage.api).await?.get(NODES).await };
        assert!(answer.await.is_err());
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_get_what_rbac_gives_them() {
    let stage = Stage::ready(&[]).await;
    let cluster = &stage.cluster;
    cluster.allow("jane", "list", "metrics.k8s.io", "nodes");
    cluster.allow("system:anonymous", "get", "", "/apis");
    let account = "system:serviceaccount:default:viewer";
    cluster.restrict(account);
    let jane = Caller::with(cluster.pki(), Ca::Cluster, "jane");
    let token = |spec| Caller::stranger().bearer(&cluster.mint(spec));
    let expired = TokenSpec::new("root").lifetime(Duration::ZERO);
    let elsewhere = TokenSpec::new("root").audience("somewhere-else");
    let anonymous = Caller::stranger();
    for (what, caller, path, status) in [
        ("x509", &jane, NODES, 200),
        ("x509, not that", &jane, "/apis/metrics.k8s.io/v1/pods", 403),
        ("token", &token(TokenSpec::new("jane")), NODES, 200),
        (
            "account without",
            &token(TokenSpec::new(account)),
            NODES,
            403,
        ),
        ("expired", &token(expired), NODES, 401),
        ("other audience", &token(elsewhere), NODES, 401),
        ("made up", &anonymous.clone().bearer("made.up"), NODES, 401),
        ("nobody, open", &anonymous, "/livez", 200),
        ("nobody, below what is open", &anonymous, "/livez/ping", 403),
        ("nobody, allowed", &anonymous, "/apis", 200),
        ("nobody", &anonymous, "/metrics", 403),
        ("nobody", &anonymous, NODES, 403),
    ] {
        let got = caller.get(stage.api, path).await;
        assert_eq!(got.status, status, "{what}: {got:?}");
    }
    cluster.allow(account, "*", "metrics.k8s.io", "pods");
    let with = token(TokenSpec::new(account));
    let pods = with.get(stage.api, "/apis/metrics.k8s.io/v1/pods").await;
    assert_eq!(pods.status, 200, "{pods:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_is_cached_and_counted() {
    let hold = [
        "--authentication-token-webhook-cache-ttl=1h",
        "--authorization-webhook-cache-authorized-ttl=1h",
        "--authorization-webhook-cache-unauthorized-ttl=1h",
    ];
    let stage = Stage::ready(&hold).await;
    let cluster = &stage.cluster;
    let token = Caller::stranger().bearer(&cluster.token("bob"));
    let before = cluster.reviews();
    for _ in 0..5 {
        assert_eq!(token.get(stage.api, NODES).await, denied("bob"));
    }
    let after = cluster.reviews();
    assert_eq!(
        (
            after.tokens - before.tokens,
            after.accesses - before.accesses
        ),
        (1, 1)
    );
    let root = Caller::stranger().bearer(&stage.root());
    let metrics = root.get(stage.api, "/metrics").await.body;
    for line in [
        r#"authorization_attempts_total{result="denied"} 5"#,
        r#"apiserver_delegated_authz_request_total{code="201"} 1"#,
        r#"authentication_attempts{result="success"}"#,
        r#"authenticated_user_requests{username="other"}"#,
        r#"apiserver_delegated_authn_request_duration_seconds_count{code="201"}"#,
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    stage.stop().await;
}
