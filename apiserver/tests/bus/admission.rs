//! Who is admitted, and for how long.

use std::os::unix::fs::PermissionsExt as _;

use tonic::Code;
use tributary_proto::v1::{Hello, publish_request::Message, publish_response::Message as Answer};
use tributary_sim::{ApiFault, Ca, Pki, TokenSpec};
use tributary_testkit::patience::eventually;

use super::{
    publisher::{Proof, dial, dial_socket, dial_with_window, hello, reading, roster},
    stage::{SCRAPER, Stage},
};

/// Code and text of a refusal of a stream.
async fn refusal(stage: &Stage, proof: &Proof) -> (Code, String) {
    match dial(stage, proof).await {
        Ok(_) => panic!("let in"),
        Err(status) => (status.code(), status.message().to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_the_bus_is_required_by_default() {
    let stage = Stage::start(&[]).await;
    dial(&stage, &stage.good()).await.unwrap().greet().await;

    let nothing = refusal(&stage, &Proof::default()).await;
    let text = "no token was presented (--bus-token-file)";
    assert_eq!(nothing, (Code::Unauthenticated, text.to_owned()));

    let api_token = stage.cluster.mint(TokenSpec::new(SCRAPER));
    let (code, text) = refusal(&stage, &Proof::token(&api_token)).await;
    assert_eq!(code, Code::Unauthenticated);
    let start = "the token is not valid for audience \"tributary-bus\": ";
    assert!(text.starts_with(start), "{text}");

    let (code, _) = refusal(&stage, &Proof::token("made up")).await;
    assert_eq!(code, Code::Unauthenticated);

    let intruder = "system:serviceaccount:shop:web";
    stage.cluster.restrict(intruder);
    let token = TokenSpec::new(intruder).audience("tributary-bus");
    let token = stage.cluster.mint(token);
    let forbidden = refusal(&stage, &Proof::token(&token)).await;
    let text = "system:serviceaccount:shop:web may not create samplestreams.bus.tributary.dev";
    assert_eq!(forbidden, (Code::PermissionDenied, text.to_owned()));

    stage
        .cluster
        .allow(intruder, "create", "bus.tributary.dev", "samplestreams");
    eventually(|| async { dial(&stage, &Proof::token(&token)).await.map(drop) }).await;
    assert_eq!(stage.refused("token").await, 3);
    assert!(stage.refused("forbidden").await >= 1);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_is_taken_away_ends_the_stream() {
    let stage = Stage::start(&[]).await;
    let mut publisher = dial(&stage, &stage.good()).await.unwrap();
    publisher.greet().await;
    stage.cluster.restrict(SCRAPER);
    let (code, text) = publisher.end().await;
    assert_eq!(code, Code::PermissionDenied, "{text}");
    assert_eq!(stage.refused("forbidden").await, 1);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_revoked_ends_the_stream() {
    let stage = Stage::start(&[]).await;
    let token = stage.token();
    let mut publisher = dial(&stage, &Proof::token(&token)).await.unwrap();
    publisher.greet().await;
    stage.cluster.revoke(&token);
    let (code, text) = publisher.end().await;
    assert_eq!(code, Code::Unauthenticated, "{text}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_revoked_ends_a_stream_whose_responses_are_not_read() {
    let stage = Stage::start(&[]).await;
    let token = stage.token();
    let proof = Proof::token(&token);
    let publisher = dial_with_window(&stage, &proof, Some(0)).await.unwrap();
    publisher.say(Message::Hello(hello())).await;
    // Whether the reading is read or not: the response to the first message waits.
    publisher.say(reading("node-00001", 1_000)).await;
    eventually(|| async {
        match stage
            .metric("tributary_bus_readings_total{outcome=\"first\"}")
            .await
        {
            0 => stage_has(&stage, 1).await,
            _ => Ok(()),
        }
    })
    .await;
    stage.cluster.revoke(&token);
    eventually(|| stage_has(&stage, 0)).await;
    drop(publisher);
    stage.stop().await;
}

/// Whether the frontend has this many streams, and connections of publishers.
async fn stage_has(stage: &Stage, wanted: u64) -> Result<(), (u64, u64)> {
    let streams = stage.metric("tributary_bus_streams").await;
    let connections = stage.metric("tributary_bus_connections").await;
    if (streams, connections) == (wanted, wanted) {
        Ok(())
    } else {
        Err((streams, connections))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_kubernetes_api_streams_go_on_and_strangers_wait() {
    let stage = Stage::start(&[]).await;
    let mut publisher = dial(&stage, &stage.good()).await.unwrap();
    publisher.greet().await;
    let unknown = Proof::token(&stage.token());
    stage.cluster.set_api_fault(ApiFault::Refuse).await;
    let (code, text) = refusal(&stage, &unknown).await;
    assert_eq!(code, Code::Unavailable, "{text}");
    assert!(
        text.contains("unable to review the token, try again"),
        "{text}"
    );
    // Longer than two checks take.
    let checked = tokio::time::Instant::now() + std::time::Duration::from_secs(3);
    tokio::time::sleep_until(checked).await;
    publisher.say(roster("node-00001", "web")).await;
    publisher.say(reading("node-00002", 1_000)).await;
    let answer = publisher.hear().await.unwrap();
    assert!(matches!(answer, Some(Answer::NeedRoster(_))), "{answer:?}");
    stage.cluster.set_api_fault(ApiFault::None).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_a_ca_and_with_a_name_may_stand_for_tokens() {
    let other = Pki::new().unwrap();
    let cluster = tributary_sim::Cluster::builder().start().await.unwrap();
    let ca = cluster.paths().dir.join("publishers.crt");
    std::fs::write(&ca, cluster.pki().ca(Ca::Bus)).unwrap();
    let ca_flag = format!("--bus-client-ca-file={}", ca.display());
    let names = "--bus-allowed-names=scraper,other";
    let stage = Stage::beside(cluster, &[&ca_flag, names]).await;
    let of = |pki: &Pki, name: &str| Proof::certificate(pki.client(Ca::Bus, name, &[]).unwrap());
    let good = of(stage.cluster.pki(), "scraper");
    let mut publisher = dial(&stage, &good).await.unwrap();
    publisher.greet().await;

    let nothing = refusal(&stage, &stage.good()).await;
    let text = "no certificate was presented (--bus-client-certificate)";
    assert_eq!(nothing, (Code::Unauthenticated, text.to_owned()));
    let (code, text) = refusal(&stage, &of(&other, "scraper")).await;
    assert_eq!(code, Code::Unauthenticated, "{text}");
    let (code, text) = refusal(&stage, &of(stage.cluster.pki(), "kubelet")).await;
    assert_eq!(code, Code::Unauthenticated);
    let expected = "the certificate is of \"kubelet\", which is not among --bus-allowed-names";
    assert_eq!(text, expected);
    assert_eq!(stage.refused("certificate").await, 3);

    // A CA that is dropped ends the streams of its certificates.
    std::fs::write(&ca, other.ca(Ca::Bus)).unwrap();
    let (code, text) = publisher.end().await;
    assert_eq!(code, Code::Unauthenticated, "{text}");
    let other = of(&other, "other");
    dial(&stage, &other).await.unwrap().greet().await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_and_a_token_may_both_be_wanted() {
    let cluster = tributary_sim::Cluster::builder().start().await.unwrap();
    let ca = format!("--bus-client-ca-file={}", cluster.paths().bus_ca.display());
    let stage = Stage::beside(cluster, &[&ca, "--bus-require-token"]).await;
    let pair = stage.cluster.pki().client(Ca::Bus, "scraper", &[]).unwrap();
    let certificate = Proof::certificate(pair);
    let (code, _) = refusal(&stage, &certificate).await;
    assert_eq!(code, Code::Unauthenticated);
    let (code, _) = refusal(&stage, &stage.good()).await;
    assert_eq!(code, Code::Unauthenticated);
    let both = certificate.and_token(&stage.token());
    dial(&stage, &both).await.unwrap().greet().await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_has_the_nodes_that_it_is_given_and_no_others() {
    let rule = format!("--bus-allow={SCRAPER}=pool=gpu");
    let stage = Stage::start(&[&rule]).await;
    stage
        .cluster
        .label_node("node-00001", "pool", Some("gpu"))
        .unwrap();
    let mut publisher = dial(&stage, &stage.good()).await.unwrap();
    publisher.greet().await;
    // The frontend learns of the label in its own time.
    eventually(|| async {
        publisher.say(roster("node-00001", "web")).await;
        publisher.say(roster("node-00002", "web")).await;
        match stage.metric("tributary_bus_rosters_total").await {
            0 => Err("no roster taken"),
            _ => Ok(()),
        }
    })
    .await;
    publisher.say(reading("node-00002", 1_000)).await;
    publisher.say(reading("node-00001", 1_000)).await;
    let taken = "tributary_bus_readings_total{outcome=\"first\"}";
    eventually(|| async {
        match stage.metric(taken).await {
            1 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    assert!(stage.refused("node").await >= 2);
    let other = TokenSpec::new("system:serviceaccount:shop:web").audience("tributary-bus");
    let other = Proof::token(&stage.cluster.mint(other));
    let nothing = refusal(&stage, &other).await;
    let text = "system:serviceaccount:shop:web is not allowed to publish any node (--bus-allow)";
    assert_eq!(nothing, (Code::PermissionDenied, text.to_owned()));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_has_the_name_of_the_pod_to_which_its_token_is_bound() {
    let stage = Stage::start(&[]).await;
    let bound = TokenSpec::new(SCRAPER)
        .audience("tributary-bus")
        .pod("scraper-1");
    let bound = Proof::token(&stage.cluster.mint(bound));
    let greet = |source: &'static str| {
        let (stage, bound) = (&stage, &bound);
        async move {
            let mut publisher = dial(stage, bound).await.unwrap();
            let source = source.to_owned();
            publisher
                .say(Message::Hello(Hello { source, ..hello() }))
                .await;
            publisher.hear().await
        }
    };
    for own in ["scraper-1", "scraper-1/windows"] {
        let answer = greet(own).await.unwrap();
        assert!(matches!(answer, Some(Answer::Welcome(_))), "{answer:?}");
    }
    let status = greet("scraper-10").await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(
        status.message(),
        "the source calls itself \"scraper-10\", and its token is bound to pod \"scraper-1\": it \
         must have the pod's name, or one that begins with it and '/' (--source-name)"
    );
    assert_eq!(stage.refused("source").await, 1);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_is_for_our_own_user() {
    let stage = Stage::start(&["--bus-allow=uid:4711="]).await;
    let mode = std::fs::metadata(&stage.socket).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    // We are admitted as ourselves, and have no nodes then.
    let status = dial_socket(&stage.socket).await.err().unwrap();
    assert_eq!(status.code(), Code::PermissionDenied);
    let own = format!(
        "uid:{} is not allowed to publish any node (--bus-allow)",
        tributary_runtime::serve::own_uid()
    );
    assert_eq!(status.message(), own);
    stage.stop().await;

    let stage = Stage::start(&["--bus-allowed-uids=4711"]).await;
    let mode = std::fs::metadata(&stage.socket).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o660);
    dial_socket(&stage.socket).await.unwrap().greet().await;
    stage.stop().await;
}
