//! What changes while requests run.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::task::JoinSet;
use tributary_sim::{ApiFault, Ca, Pki};
use tributary_testkit::patience::eventually;

use super::{
    caller::{Answer, Caller, Connection},
    stage::{NODES, Stage},
};

/// A line of the front proxy on which requests run until they are to end; gives
/// back the answers that were not 200.
struct Traffic {
    end: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    running: JoinSet<Vec<Answer>>,
}

impl Traffic {
    fn on(mut line: Connection) -> Self {
        let (end, answers) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let mut running = JoinSet::new();
        running.spawn({
            let (end, answers): (_, Arc<AtomicU64>) = (Arc::clone(&end), Arc::clone(&answers));
            async move {
                let mut failed = Vec::new();
                while !end.load(Ordering::Relaxed) {
                    let answer = line.get(NODES).await.expect("an answer");
                    answers.fetch_add(1, Ordering::Relaxed);
                    failed.extend((answer.status != 200).then_some(answer));
                }
                failed
            }
        });
        Self {
            end,
            answers,
            running,
        }
    }

    /// Waits for this many more answers.
    async fn goes_on(&self, more: u64) {
        let until = self.answers.load(Ordering::Relaxed) + more;
        eventually(|| async {
            let now = self.answers.load(Ordering::Relaxed);
            if now >= until { Ok(()) } else { Err(now) }
        })
        .await;
    }

    async fn end(mut self) -> Vec<Answer> {
        self.end.store(true, Ordering::Relaxed);
        self.running.join_next().await.unwrap().unwrap()
    }
}

fn proxy(pki: &Pki) -> Caller {
    Caller::with(pki, Ca::FrontProxy, "front-proxy-client")
        .header("X-Remote-User", "kubernetes-admin")
        .header("X-Remote-Group", "system:masters")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_is_replaced_while_requests_run() {
    let stage = Stage::ready(&[]).await;
    let (old, new) = (stage.cluster.pki(), Pki::new().unwrap());
    let (by_old, by_new) = (proxy(old), proxy(&new));
    let refused = async |caller: &Caller| {
        let answer = caller.get(stage.api, NODES).await;
        assert_eq!(answer.status, 401, "{answer:?}");
    };
    let admitted = async |caller: &Caller| {
        eventually(|| async {
            let answer = caller.get(stage.api, NODES).await;
            if answer.status == 200 {
                Ok(())
            } else {
                Err(answer)
            }
        })
        .await;
    };
    // Known to the frontend from the start; refused until its CA is named, and
    // then believed on the connection that it has.
    let mut early = by_new.connect(stage.api).await.unwrap();
    assert_eq!(early.get(NODES).await.unwrap().status, 401);
    let traffic = Traffic::on(by_old.connect(stage.api).await.unwrap());
    traffic.goes_on(10).await;

    stage.trust_proxies(&[old, &new]);
    admitted(&by_new).await;
    assert_eq!(early.get(NODES).await.unwrap().status, 200);
    traffic.goes_on(10).await;
    assert_eq!(traffic.end().await, []);

    let mut late = by_old.connect(stage.api).await.unwrap();
    assert_eq!(late.get(NODES).await.unwrap().status, 200);
    let traffic = Traffic::on(early);
    stage.trust_proxies(&[&new]);
    eventually(|| async {
        let answer = by_old.get(stage.api, NODES).await;
        if answer.status == 401 {
            Ok(())
        } else {
            Err(answer)
        }
    })
    .await;
    refused(&by_old).await;
    assert_eq!(late.get(NODES).await.unwrap().status, 401);
    traffic.goes_on(10).await;
    assert_eq!(traffic.end().await, []);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_kubernetes_api_those_who_are_known_go_on() {
    let hold = [
        "--authentication-token-webhook-cache-ttl=1h",
        "--authorization-webhook-cache-authorized-ttl=1h",
    ];
    let stage = Stage::ready(&hold).await;
    let cluster = &stage.cluster;
    for user in ["ann", "bob"] {
        cluster.allow(user, "list", "metrics.k8s.io", "nodes");
    }
    let [ann, bob] = ["ann", "bob"].map(|user| Caller::stranger().bearer(&cluster.token(user)));
    let proxied = stage.front_proxy("bob");
    assert_eq!(ann.get(stage.api, NODES).await.status, 200);

    cluster.set_api_fault(ApiFault::Refuse).await;
    assert_eq!(ann.get(stage.api, NODES).await.status, 200);
    let unknown = bob.get(stage.api, NODES).await;
    assert_eq!(unknown.status, 503, "{unknown:?}");
    assert!(
        unknown
            .body
            .contains("unable to review the token, try again"),
        "{unknown:?}"
    );
    let undecided = proxied.get(stage.api, NODES).await;
    assert_eq!(undecided.status, 500, "{undecided:?}");
    assert_eq!(undecided.content_type, "text/plain; charset=utf-8");
    let start = format!("Internal Server Error: {NODES:?}: ");
    assert!(undecided.body.starts_with(&start), "{undecided:?}");

    cluster.set_api_fault(ApiFault::None).await;
    for caller in [&bob, &proxied] {
        let answer = caller.get(stage.api, NODES).await;
        assert_eq!(answer.status, 200, "a failure is not held: {answer:?}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_that_comes_late_is_waited_for() {
    let cluster = tributary_sim::Cluster::builder().start().await.unwrap();
    cluster.set_api_fault(ApiFault::Status(403)).await;
    let stage = Stage::beside(cluster, &[]).await;
    let proxy = proxy(stage.cluster.pki());
    let answer = proxy.get(stage.api, NODES).await;
    assert_eq!(
        answer,
        Answer {
            status: 503,
            content_type: "application/json".to_owned(),
            body: concat!(
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"#,
                r#""client certificates cannot be checked: configmap kube-system/extension-apiserver-authentication has not been read yet","#,
                r#""reason":"ServiceUnavailable","code":503}"#,
                "\n"
            )
            .to_owned(),
        }
    );
    assert_eq!(
        Caller::stranger().get(stage.api, "/livez").await.status,
        200
    );
    let ready = Caller::stranger().get(stage.api, "/readyz").await;
    assert_eq!(ready.status, 500, "{ready:?}");
    stage.cluster.set_api_fault(ApiFault::None).await;
    eventually(|| async {
        let answer = proxy.get(stage.api, NODES).await;
        if answer.status == 200 {
            Ok(())
        } else {
            Err(answer)
        }
    })
    .await;
    stage.stop().await;
}

/// As docs/RUNBOOK.md#tributaryreviewsfail says.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_need_reviews_and_an_earlier_one_is_enough_only_while_there_is_no_answer() {
    let brief = [
        "--authentication-token-webhook-cache-ttl=1ms",
        "--authorization-webhook-cache-authorized-ttl=1ms",
    ];
    let stage = Stage::ready(&brief).await;
    let cluster = &stage.cluster;
    for user in ["known", "unknown"] {
        cluster.allow(user, "get", "", "/metrics");
    }
    let of = |user: &str| Caller::stranger().bearer(&cluster.token(user));
    let (known, unknown) = (of("known"), of("unknown"));
    let status = async |caller: &Caller| caller.get(stage.api, "/metrics").await.status;
    assert_eq!(status(&known).await, 200);

    cluster.set_api_fault(ApiFault::Status(403)).await;
    assert_eq!(status(&known).await, 503, "the reviews are refused");
    cluster.set_api_fault(ApiFault::None).await;
    assert_eq!(status(&known).await, 200);
    cluster.set_api_fault(ApiFault::Refuse).await;
    assert_eq!(status(&known).await, 200, "there is no answer");
    assert_eq!(status(&unknown).await, 503);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn own_credentials_that_are_refused_are_counted_and_read_again() {
    let stage = Stage::ready(&[]).await;
    let cluster = &stage.cluster;
    cluster.allow("ann", "list", "metrics.k8s.io", "nodes");
    let ann = Caller::stranger().bearer(&cluster.token("ann"));
    let root = cluster
        .pki()
        .client(Ca::Cluster, "root", &["system:masters"]);
    let root = root.unwrap();
    let root = Caller::showing(&root, &root);
    cluster.set_api_fault(ApiFault::Status(401)).await;
    let answer = ann.get(stage.api, NODES).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    let metrics = root.get(stage.api, "/metrics").await.body;
    // The watch of the config map is refused too.
    let line = r#"tributary_kube_credentials_refused_total{client="tokenreviews"} "#;
    let count = metrics
        .split_once(line)
        .map(|(_, count)| count.as_bytes()[0]);
    assert!(count.is_some_and(|count| count != b'0'), "{metrics}");
    let ready = root.get(stage.api, "/readyz/kube-credentials").await;
    assert_eq!(ready.status, 200, "not yet: {ready:?}");
    cluster.set_api_fault(ApiFault::None).await;
    let answer = ann.get(stage.api, NODES).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    stage.stop().await;
}
