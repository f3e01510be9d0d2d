//! Changing over, and what leads back.

mod cluster;

use std::{future::pending, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;

use self::cluster::{
    Lost, OURS, Serves, Shared, THEIRS, Trouble, V1, V1BETA1, api, cluster, is_untouched, leads,
    spec,
};
use super::*;
use crate::{
    commands::{self, Commands},
    kube_api::fake::{Fake, patient},
    printed::Outcome,
};

fn wanted() -> To {
    To {
        compare: Some(Pace {
            length: Duration::from_mins(1),
            every: Duration::from_secs(10),
        }),
        only_v1: false,
        ignore_owner: false,
        dry_run: false,
        watch_for: Duration::from_mins(1),
        service: None,
    }
}

fn skipping() -> To {
    To {
        compare: None,
        service: None,
        ..wanted()
    }
}

async fn over(cluster: &Shared, wanted: &To) -> (Report, Vec<String>) {
    over_until(cluster, wanted, Box::pin(pending())).await
}

async fn over_until(
    cluster: &Shared,
    wanted: &To,
    mut stop: Pin<Box<dyn Future<Output = ()> + Send>>,
) -> (Report, Vec<String>) {
    let mut lines = Vec::new();
    let mut say = |line: &str| lines.push(line.to_owned());
    let report = to(
        &api(cluster),
        wanted,
        &mut Log::new(Commands::default(), &mut say),
        stop.as_mut(),
    )
    .await;
    (report, lines)
}

async fn and_back(cluster: &Shared, drop_v1: bool) -> Report {
    let wanted = Back {
        drop_v1,
        ignore_endpoints: true,
        dry_run: false,
        watch_for: Duration::from_secs(30),
    };
    let mut say = |_: &str| {};
    back(
        &api(cluster),
        &wanted,
        &mut Log::new(Commands::default(), &mut say),
    )
    .await
}

#[tokio::test(start_paused = true)]
async fn what_to_run_next_names_the_cluster_of_the_caller() {
    let cluster = cluster(Serves::Everything, Serves::Everything, Trouble::None);
    let mut lines = Vec::new();
    let mut say = |line: &str| lines.push(line.to_owned());
    let mut log = Log::new(commands::tests::named(), &mut say);
    let mut stop: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(pending());
    to(&api(&cluster), &skipping(), &mut log, stop.as_mut()).await;
    let wanted = Back {
        drop_v1: false,
        ignore_endpoints: true,
        dry_run: false,
        watch_for: Duration::from_secs(30),
    };
    back(&api(&cluster), &wanted, &mut log).await;
    log.interrupted();
    lines.retain(|line| line.contains("kubectl"));
    assert_eq!(lines.len(), 3, "{lines:?}");
    let begins = format!("kubectl tributary {} switch ", commands::tests::FLAGS);
    for line in lines {
        assert_eq!(line.matches("kubectl").count(), 1, "{line}");
        assert!(line.contains(&begins), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn status_says_at_once_that_no_server_answers() {
    let object = json!({ "metadata": {}, "spec": spec("metrics-server") });
    let refused = json!({ "message": "service unavailable" });
    let services = "/apis/apiregistration.k8s.io/v1/apiservices";
    let api = Fake::default()
        .with(&format!("{services}/{V1BETA1}"), 200, object)
        .with("/apis/metrics.k8s.io/v1beta1/nodes", 503, refused)
        .api();
    let start = Instant::now();
    let standing = Standing::read(&patient(api)).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(standing.outcome, Outcome::Findings);
    let said = "v1beta1: 503: service unavailable";
    assert_eq!(standing.versions[0].answered_by, said);

    // kube-apiserver itself is not ready.
    let refused = json!({ "message": "apiserver not ready" });
    let api = Fake::default()
        .with(&format!("{services}/{V1BETA1}"), 503, refused)
        .api();
    let failure = Standing::read(&patient(api)).await.unwrap_err();
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(failure.to_string(), "503: apiserver not ready");
}

#[tokio::test(start_paused = true)]
async fn over_and_back() {
    let cluster = cluster(Serves::Everything, Serves::Everything, Trouble::None);
    let (report, _) = over(&cluster, &wanted()).await;
    assert_eq!(
        (report.outcome, report.state),
        (Outcome::Healthy, State::Changed)
    );
    assert_eq!(leads(&cluster), [OURS, OURS]);
    let changed = cluster.lock().objects[V1BETA1].clone();
    assert_eq!(changed["spec"]["caBundle"], "Q0E=");
    assert!(changed["spec"]["insecureSkipTLSVerify"].is_null());
    let standing = Standing::read(&api(&cluster)).await.unwrap();
    assert_eq!(standing.outcome, Outcome::Healthy);
    let before = standing.versions.iter().map(|one| one.before.as_deref());
    assert_eq!(
        before.collect::<Vec<_>>(),
        [Some("kube-system/metrics-server"), Some("none")]
    );
    let (again, lines) = over(&cluster, &wanted()).await;
    assert_eq!(
        (again.outcome, again.state),
        (Outcome::Healthy, State::Unchanged)
    );
    assert_eq!(lines, [NOTHING]);

    let report = and_back(&cluster, false).await;
    assert_eq!(
        (report.outcome, report.state),
        (Outcome::Healthy, State::Changed)
    );
    assert_eq!(leads(&cluster), [THEIRS, OURS]);
    let report = and_back(&cluster, true).await;
    assert_eq!(
        (report.outcome, report.state),
        (Outcome::Healthy, State::Changed)
    );
    is_untouched(&cluster);
    let report = and_back(&cluster, true).await;
    assert_eq!(
        (report.outcome, report.state),
        (Outcome::Findings, State::Unchanged)
    );
}

#[tokio::test(start_paused = true)]
async fn a_comparison_that_fails_changes_nothing() {
    for (fleet, outcome) in [
        (Serves::OneNodeOfTen, Outcome::Findings),
        (Serves::Nothing, Outcome::Findings),
        (Serves::Silence, Outcome::Findings),
    ] {
        let cluster = cluster(Serves::Everything, fleet, Trouble::None);
        let (report, lines) = over(&cluster, &wanted()).await;
        assert_eq!(
            (report.outcome, report.state),
            (outcome, State::Unchanged),
            "{lines:?}"
        );
        is_untouched(&cluster);
        assert_eq!(cluster.lock().writes, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_after_the_change_leads_back() {
    for (metrics, why) in [
        (
            Serves::OneNodeOfTen,
            "v1beta1: Tributary serves only 1 of 10 nodes: going back",
        ),
        (Serves::Nothing, "v1beta1: refused with 503: going back"),
        (
            Serves::Silence,
            "v1beta1: no answer from https://fake in 5s: going back",
        ),
        (
            Serves::OneMorePage,
            "v1beta1: no whole answer in 15s: going back",
        ),
    ] {
        for wanted in [wanted(), skipping()] {
            let cluster = cluster(metrics, Serves::Everything, Trouble::None);
            let start = Instant::now();
            let (report, lines) = over(&cluster, &wanted).await;
            assert!(start.elapsed() < Duration::from_mins(3), "{lines:?}");
            assert_eq!(
                (report.outcome, report.state),
                (Outcome::Findings, State::GoneBack)
            );
            assert!(lines.iter().any(|line| line == why), "{lines:?}");
            let again = "kube-system/metrics-server answers again, with 10 nodes";
            assert!(lines.iter().any(|line| line == again), "{lines:?}");
            is_untouched(&cluster);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn success_needs_an_answer_of_each_version_however_short_the_watch_is() {
    let quick = To {
        watch_for: Duration::from_millis(1),
        ..skipping()
    };
    for knows_version in [false, true] {
        // 2 to count, 4 first ones of each version.
        for (to, is_known) in [(11, true), (13, true), (15, true), (usize::MAX, false)] {
            let trouble = Trouble::NotKnownElsewhere {
                from: 11,
                to,
                knows_version,
            };
            let cluster = cluster(Serves::Everything, Serves::Everything, trouble);
            let (report, lines) = over(&cluster, &quick).await;
            let state = if is_known {
                State::Changed
            } else {
                State::GoneBack
            };
            assert_eq!(report.state, state, "{to}: {lines:?}");
            let two = "changed over: 2 answers, all from Tributary";
            let has_two = lines.last().unwrap().starts_with(two);
            assert_eq!(has_two, is_known, "{lines:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_leads_back() {
    for (seconds, state) in [
        (30, State::Unchanged),
        (62, State::GoneBack),
        (90, State::GoneBack),
    ] {
        let cluster = cluster(Serves::Everything, Serves::Everything, Trouble::None);
        let stop = tokio::time::sleep(Duration::from_millis(seconds * 1_000 + 50));
        let (report, lines) = over_until(&cluster, &wanted(), Box::pin(stop)).await;
        assert_eq!(
            (report.outcome, report.state),
            (Outcome::Findings, state),
            "{lines:?}"
        );
        assert!(
            lines.iter().any(|line| line.starts_with("interrupted")),
            "{lines:?}"
        );
        is_untouched(&cluster);
    }
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_writes_it_back_is_named() {
    // Of seven rounds two answers each, and so many after the change.
    let cluster = cluster(
        Serves::Everything,
        Serves::Everything,
        Trouble::WrittenBack(30),
    );
    let (report, lines) = over(&cluster, &wanted()).await;
    assert_eq!(
        (report.outcome, report.state),
        (Outcome::Findings, State::GoneBack)
    );
    let why = "kube-addon-manager has led v1beta1.metrics.k8s.io to kube-system/metrics-server meanwhile: going back";
    assert!(lines.iter().any(|line| line == why), "{lines:?}");
    is_untouched(&cluster);
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_comes_between_does_no_harm() {
    let cluster = cluster(Serves::Everything, Serves::Everything, Trouble::Conflict);
    let (report, _) = over(&cluster, &wanted()).await;
    assert_eq!(report.state, State::Changed);
    assert_eq!(leads(&cluster), [OURS, OURS]);
}

#[tokio::test(start_paused = true)]
async fn what_another_writer_has_changed_over_is_not_undone() {
    for (serves, outcome, leads_to) in [
        (Serves::OneNodeOfTen, Outcome::Findings, [OURS, ""]),
        (Serves::Everything, Outcome::Healthy, [OURS, OURS]),
    ] {
        // After both answers that count what is served.
        let cluster = cluster(serves, Serves::Everything, Trouble::LedByAnother(2));
        let (report, lines) = over(&cluster, &skipping()).await;
        assert_eq!(report.outcome, outcome, "{lines:?}");
        let line = "v1beta1.metrics.k8s.io leads to kube-system/tributary already: another writer has led it there meanwhile; not verified yet";
        assert!(lines.iter().any(|one| one == line), "{lines:?}");
        assert_eq!(leads(&cluster), leads_to, "{lines:?}");
        let object = cluster.lock().objects[V1BETA1].clone();
        assert_eq!(object["spec"], spec(OURS));
        if outcome == Outcome::Findings {
            assert_eq!(report.state, State::Unchanged);
            assert_eq!(cluster.lock().writes, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_serves_no_node_is_nothing_to_compare_with() {
    for wanted in [wanted(), skipping()] {
        let cluster = cluster(Serves::Nothing, Serves::Everything, Trouble::NoNode);
        let (report, lines) = over(&cluster, &wanted).await;
        assert_eq!(
            (report.outcome, report.state),
            (Outcome::Unknown, State::Unchanged),
            "{lines:?}"
        );
        assert_eq!(cluster.lock().writes, 0);
        is_untouched(&cluster);
    }
}

/// A change-over whose `write`th write is not answered, and done before the `done_before`th request after it.
async fn over_losing(write: usize, done_before: usize) -> (Shared, Report) {
    // With a v1 that nobody knows, writes 3 and 4 are those of going back.
    let trouble = if write > 2 {
        Trouble::UnknownAtFirst(1_000)
    } else {
        Trouble::None
    };
    let cluster = cluster(Serves::Everything, Serves::Everything, trouble);
    cluster.lock().lost = Some(Lost { write, done_before });
    let (report, _) = over(&cluster, &skipping()).await;
    cluster.lock().deliver();
    (cluster, report)
}

#[tokio::test(start_paused = true)]
async fn after_gone_back_no_write_without_an_answer_changes_anything() {
    // At once, at any moment of going back, and after it.
    for done_before in (1..=80).chain([1_000_000]) {
        for write in 1..=4 {
            let (cluster, report) = over_losing(write, done_before).await;
            if write == 2 && report.state == State::Unclear {
                continue;
            }
            assert_eq!(
                (report.outcome, report.state),
                (Outcome::Findings, State::GoneBack),
                "write {write}, done before {done_before}: {report:?}"
            );
            is_untouched(&cluster);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_that_may_still_be_created_is_looked_for_and_then_named() {
    // One look every two seconds.
    let (_, report) = over_losing(2, 30).await;
    assert_eq!(report.state, State::GoneBack);
    let start = Instant::now();
    let (_, report) = over_losing(2, 1_000_000).await;
    assert!(start.elapsed() < Duration::from_mins(3), "{report:?}");
    assert_eq!(
        (report.outcome, report.state),
        (Outcome::Unknown, State::Unclear)
    );
    let [.., named, _, last] = &*report.steps else {
        panic!("{report:?}");
    };
    assert_eq!(
        named,
        "v1.metrics.k8s.io is not there. kube-apiserver did not answer the request that creates it, and may still do it"
    );
    assert!(
        last.ends_with("go back: kubectl tributary switch back --drop-v1"),
        "{last}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_owner_is_respected_unless_the_operator_says_otherwise() {
    let label = json!({ "addonmanager.kubernetes.io/mode": "Reconcile" });
    let owned = || {
        let cluster = cluster(Serves::Everything, Serves::Everything, Trouble::None);
        let mut inside = cluster.lock();
        inside.objects.get_mut(V1BETA1).unwrap()["metadata"]["labels"] = label.clone();
        drop(inside);
        cluster
    };
    let cluster = owned();
    let (report, lines) = over(&cluster, &wanted()).await;
    assert_eq!(
        (report.outcome, report.state),
        (Outcome::Findings, State::Unchanged)
    );
    assert_eq!(report.owners.len(), 1);
    assert_eq!(lines[2], "    kubectl tributary switch to --only-v1");
    assert_eq!(cluster.lock().writes, 0);

    let only_v1 = To {
        only_v1: true,
        ..wanted()
    };
    let (report, _) = over(&cluster, &only_v1).await;
    assert_eq!(report.state, State::Changed);
    assert_eq!(leads(&cluster), [THEIRS, OURS]);

    let ignoring = To {
        ignore_owner: true,
        ..wanted()
    };
    let cluster = owned();
    let (report, _) = over(&cluster, &ignoring).await;
    assert_eq!(report.state, State::Changed);
    assert_eq!(leads(&cluster), [OURS, OURS]);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_writes_nothing() {
    let cluster = cluster(Serves::Everything, Serves::Everything, Trouble::None);
    let dry = To {
        dry_run: true,
        ..wanted()
    };
    let (report, lines) = over(&cluster, &dry).await;
    assert_eq!(
        (report.outcome, report.state),
        (Outcome::Healthy, State::Unchanged)
    );
    let planned = [
        "v1beta1.metrics.k8s.io would lead to kube-system/tributary, and leads to kube-system/metrics-server",
        "v1.metrics.k8s.io would lead to kube-system/tributary, and does not exist",
        "dry run: nothing was changed",
    ];
    assert_eq!(lines[lines.len() - 3..], planned);
    assert_eq!(cluster.lock().writes, 0);
}

/// What is said if all is as it is wanted.
const NOTHING: &str = "the APIServices lead to Tributary (kube-system/tributary) already: there is nothing to change. Who \
                       answers: kubectl tributary switch status";

#[tokio::test(start_paused = true)]
async fn where_nothing_is_to_be_changed_that_is_said_and_is_no_error() {
    for (ca, only_v1, names) in [
        (true, false, &[V1BETA1, V1][..]),
        // It is needed only for a write.
        (false, false, &[V1BETA1, V1]),
        (false, true, &[V1]),
    ] {
        for dry_run in [true, false] {
            for service in [None, Some("kube-system/tributary".to_owned())] {
                let cluster = cluster(Serves::Everything, Serves::Everything, Trouble::None);
                for name in names {
                    let object = json!({ "metadata": { "name": name }, "spec": spec(OURS) });
                    cluster.lock().objects.insert((*name).to_owned(), object);
                }
                if !ca {
                    let mut cluster = cluster.lock();
                    let fleet = cluster.objects.get_mut("v1alpha1.fleet.tributary.dev");
                    fleet.unwrap()["spec"]["caBundle"] = Value::Null;
                }
                let wanted = To {
                    only_v1,
                    dry_run,
                    service,
                    ..wanted()
                };
                let (report, lines) = over(&cluster, &wanted).await;
                assert_eq!(
                    (report.outcome, report.state, lines),
                    (Outcome::Healthy, State::Unchanged, vec![NOTHING.to_owned()])
                );
                assert_eq!(cluster.lock().writes, 0);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_write_should_lead_to_is_said_to_be_verified_only_after_an_answer() {
    let cluster = cluster(Serves::Everything, Serves::Everything, Trouble::None);
    let (_, lines) = over(&cluster, &skipping()).await;
    let of_writes = [
        "v1beta1.metrics.k8s.io leads to kube-system/tributary; not verified yet",
        "v1beta1: Tributary answers",
        "v1.metrics.k8s.io leads to kube-system/tributary; not verified yet",
        "v1: Tributary answers",
    ];
    assert_eq!(lines[..4], of_writes);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_kube_apiserver_does_not_know_yet_is_waited_for() {
    let trouble = Trouble::UnknownAtFirst(4);
    let cluster = cluster(Serves::Everything, Serves::Everything, trouble);
    let (report, lines) = over(&cluster, &wanted()).await;
    assert_eq!(report.outcome, Outcome::Healthy, "{lines:?}");
    assert_eq!(leads(&cluster), [OURS, OURS]);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_never_becomes_known_leads_back() {
    let trouble = Trouble::UnknownAtFirst(1_000);
    let cluster = cluster(Serves::Everything, Serves::Everything, trouble);
    let (report, lines) = over(&cluster, &wanted()).await;
    assert_eq!(report.outcome, Outcome::Findings, "{lines:?}");
    assert!(lines.join("\n").contains("v1: "), "{lines:?}");
    is_untouched(&cluster);
}

#[tokio::test(start_paused = true)]
async fn without_a_number_to_compare_with_nothing_is_changed() {
    let trouble = Trouble::NothingToCount;
    let cluster = cluster(Serves::Everything, Serves::Everything, trouble);
    let (report, lines) = over(&cluster, &skipping()).await;
    assert_eq!(report.outcome, Outcome::Unknown, "{lines:?}");
    let text = lines.join("\n");
    assert!(text.contains("failed to count the nodes"), "{text}");
    assert_eq!(cluster.lock().writes, 0);
    is_untouched(&cluster);
}
