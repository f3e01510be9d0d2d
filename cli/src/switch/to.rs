//! `switch to`.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    Stop, To, find,
    object::{Backend, Kept, Object, Service, Version},
    owner::owners,
    report::{Log, Report, State},
    watch::{self, ANSWER_WITHIN, Expected, first_answers, others_answer},
    write::{self, LedBy, NotChanged, Ours, Restored, Written},
};
use crate::{
    api_services::registrations,
    commands::Commands,
    compare::{self, Comparison, Servers},
    kube_api::{Failure, KubeApi},
    printed::{Outcome, Paint, count, span},
};

/// How often going back is tried while it fails, and the pause between.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_secs(2);

/// How long a version is looked for whose creation was not answered: longer than kube-apiserver works on a request
/// (its `--request-timeout` is one minute).
const CREATED_WITHIN: Duration = Duration::from_secs(75);

/// How long the server of before may take to answer again.
const BACK_WITHIN: Duration = Duration::from_secs(15);

/// Whether something is to be changed.
enum Planned {
    Changes(Plan),
    /// All versions lead to this Service already. How it is verified does not matter then.
    Nothing(Service),
}

/// What is to be changed.
struct Plan {
    backend: Backend,
    /// The versions that lead elsewhere, with what is there.
    changes: Vec<(Version, Option<Object>)>,
    /// Whether `v1beta1` leads to Tributary already.
    serves_v1beta1: bool,
}

/// Changes over. `stop` leads back what was changed.
pub async fn to(api: &KubeApi, wanted: &To, log: &mut Log<'_>, mut stop: Stop<'_>) -> Report {
    let plan = match plan(api, wanted).await {
        Ok(Planned::Changes(plan)) => plan,
        Ok(Planned::Nothing(service)) => return nothing(&service, log),
        Err(why) => return log.end_with(why, Outcome::Unknown, State::Unchanged),
    };
    let owned = owned(&plan, wanted, log);
    if owned && !wanted.dry_run {
        let text =
            "refused: do first what is said above, or use --ignore-owner. Nothing was changed";
        return log.end_with(text, Outcome::Findings, State::Unchanged);
    }
    let compared = tokio::select! {
        compared = compared(api, wanted, &plan, log) => Some(compared),
        () = stop.as_mut() => None,
    };
    let expected = match compared {
        Some(Ok(expected)) => expected,
        Some(Err(outcome)) => {
            let text = if outcome == Outcome::Unknown {
                "refused: it is not known whether Tributary would serve what is served now. Nothing was changed"
            } else {
                "refused: Tributary would not serve what is served now. Nothing was changed"
            };
            return log.end_with(text, outcome, State::Unchanged);
        }
        None => {
            return log.end_with(
                "interrupted. Nothing was changed",
                Outcome::Findings,
                State::Unchanged,
            );
        }
    };
    if wanted.dry_run {
        for (version, before) in &plan.changes {
            log.step(planned(*version, before.as_ref(), &plan.backend));
        }
        let outcome = if owned {
            Outcome::Findings
        } else {
            Outcome::Healthy
        };
        return log.end_with("dry run: nothing was changed", outcome, State::Unchanged);
    }
    let mut done = Vec::new();
    match change(api, &plan, expected, wanted, &mut done, log, &mut stop).await {
        // Another writer has changed over meanwhile.
        Ok(()) if done.is_empty() => log.end(Outcome::Healthy, State::Unchanged),
        Ok(()) => log.end(Outcome::Healthy, State::Changed),
        Err(why) => go_back(api, &plan.backend, &mut done, why, log).await,
    }
}

async fn plan(api: &KubeApi, wanted: &To) -> Result<Planned, String> {
    let named = wanted.service.as_deref();
    let tributary = find::tributary(api, named).await?;
    let text = |failure: Failure| failure.to_string();
    let v1beta1 = find::object(api, &Version::V1beta1.path())
        .await
        .map_err(text)?;
    let v1 = find::object(api, &Version::V1.path()).await.map_err(text)?;
    let is_ours = |object: &Option<Object>| {
        let service = object.as_ref().and_then(Object::service);
        service.as_ref() == Some(&tributary)
    };
    let serves_v1beta1 = is_ours(&v1beta1);
    let mut changes = vec![(Version::V1beta1, v1beta1), (Version::V1, v1)];
    changes.retain(|(version, object)| {
        let left_alone = wanted.only_v1 && *version == Version::V1beta1;
        !left_alone && !is_ours(object)
    });
    if changes.is_empty() {
        return Ok(Planned::Nothing(tributary));
    }
    Ok(Planned::Changes(Plan {
        backend: find::backend(api, named).await?,
        changes,
        serves_v1beta1,
    }))
}

fn planned(version: Version, before: Option<&Object>, backend: &Backend) -> String {
    let before = before.map_or_else(
        || "and does not exist".to_owned(),
        |before| format!("and leads to {}", before.leads_to()),
    );
    let name = version.object();
    format!("{name} would lead to {}, {before}", backend.service)
}

fn nothing(service: &Service, log: &mut Log<'_>) -> Report {
    let status = log.commands.command("kubectl tributary switch status");
    let text = format!(
        "the APIServices lead to Tributary ({service}) already: there is nothing to change. Who answers: {status}"
    );
    log.end_with(text, Outcome::Healthy, State::Unchanged)
}

/// Names the owners. Whether there is one.
fn owned(plan: &Plan, wanted: &To, log: &mut Log<'_>) -> bool {
    let objects = plan
        .changes
        .iter()
        .filter_map(|(_, object)| object.as_ref());
    let found = objects.flat_map(|object| owners(object, &log.commands));
    let found: Vec<_> = found.collect();
    for owner in &found {
        let (object, who) = (&owner.object, &owner.who);
        log.show(&format!("{object} belongs to {who} ({})", owner.evidence));
        if wanted.ignore_owner {
            continue;
        }
        log.show(&format!("  {}", owner.first));
        for command in &owner.commands {
            log.show(&format!("    {command}"));
        }
    }
    let owned = !found.is_empty() && !wanted.ignore_owner;
    log.owners = found;
    owned
}

/// What Tributary has to serve, counted without a comparison.
async fn counted(api: &KubeApi, log: &mut Log<'_>) -> Result<Expected, Outcome> {
    match Expected::read(&api.within(ANSWER_WITHIN)).await {
        Ok(expected) => Ok(expected),
        Err(failure) => {
            log.step(format!(
                "failed to count the nodes that Tributary has to serve: {failure}"
            ));
            Err(Outcome::Unknown)
        }
    }
}

/// What Tributary has to serve, by a comparison if one is wanted.
async fn compared(
    api: &KubeApi,
    wanted: &To,
    plan: &Plan,
    log: &mut Log<'_>,
) -> Result<Expected, Outcome> {
    let Some(pace) = wanted.compare else {
        return counted(api, log).await;
    };
    if plan.serves_v1beta1 {
        log.step("v1beta1 leads to Tributary already: there is nothing to compare it with");
        return counted(api, log).await;
    }
    let servers = match registrations(api).await {
        Ok(all) => Servers::of(&all),
        Err(failure) => Err(failure.to_string()),
    };
    let servers = match servers {
        Ok(servers) => servers,
        Err(why) => {
            log.step(format!(
                "{why}. To go on without a comparison: --skip-compare"
            ));
            return Err(Outcome::Unknown);
        }
    };
    let fleet = find::backend(api, None).await.map(|fleet| fleet.service);
    if fleet.as_ref() != Ok(&plan.backend.service) {
        log.step(format!(
            "the fleet leads to {}, and --service names {}: the comparison would be with another server. To go on without it: \
             --skip-compare",
            servers.tributary, plan.backend.service
        ));
        return Err(Outcome::Unknown);
    }
    log.step(format!("comparing for {}", span(pace.length)));
    let comparison = compare::compare(api, servers, pace, &mut |line: &str| log.show(line)).await;
    for line in compare::text(&comparison, Paint::PLAIN).lines() {
        log.show(line);
    }
    let expected = Expected::by(&comparison);
    let Comparison { outcome, .. } = comparison;
    log.comparison = Some(comparison);
    match outcome {
        Outcome::Healthy => Ok(expected),
        Outcome::Unknown | Outcome::Findings => Err(outcome),
    }
}

/// Changes one version after the other, and asks. What was or may be written is in `done`, also after an error.
async fn change(
    api: &KubeApi,
    plan: &Plan,
    expected: Expected,
    wanted: &To,
    done: &mut Vec<Written>,
    log: &mut Log<'_>,
    stop: &mut Stop<'_>,
) -> Result<(), String> {
    let quick = api.within(ANSWER_WITHIN);
    for (version, before) in &plan.changes {
        let kept = before
            .as_ref()
            .map_or(Kept::Nothing, |before| Kept::Spec(before.spec()));
        let answer = write::lead(api, *version, &plan.backend, before.as_ref()).await;
        let written = Written {
            version: *version,
            kept,
            is_done: answer.is_ok(),
        };
        let mut by_another = "";
        match answer {
            Ok(LedBy::Us) => done.push(written),
            Ok(LedBy::Another) => {
                by_another = " already: another writer has led it there meanwhile";
            }
            Err(NotChanged::Refused(why)) => {
                return Err(format!("{} could not be changed: {why}", version.object()));
            }
            Err(NotChanged::Unclear(why)) => {
                done.push(written);
                let name = version.object();
                return Err(format!("it is not known whether {name} was changed: {why}"));
            }
        }
        log.step(format!(
            "{} leads to {}{by_another}; not verified yet",
            version.object(),
            plan.backend.service
        ));
        tokio::select! {
            answers = first_answers(&quick, *version, &plan.backend, expected) => answers?,
            () = stop.as_mut() => return Err("interrupted".to_owned()),
        }
        log.step(format!("{}: Tributary answers", version.name()));
    }
    let versions: Vec<Version> = plan.changes.iter().map(|(version, _)| *version).collect();
    log.step(format!("asking for {}", span(wanted.watch_for)));
    let watched = watch::watch(&quick, &versions, &plan.backend, expected, wanted.watch_for);
    let answers = tokio::select! {
        answers = watched => answers?,
        () = stop.as_mut() => return Err("interrupted".to_owned()),
    };
    let back = log.commands.command("kubectl tributary switch back");
    log.step(format!(
        "changed over: {}, all from Tributary. The way back: {back}",
        count(answers, "answer")
    ));
    Ok(())
}

/// Leads back what was changed, `v1beta1` first.
async fn go_back(
    api: &KubeApi,
    backend: &Backend,
    done: &mut [Written],
    why: String,
    log: &mut Log<'_>,
) -> Report {
    if done.is_empty() {
        return log.end_with(
            format!("{why}. Nothing was changed"),
            Outcome::Findings,
            State::Unchanged,
        );
    }
    log.step(format!("{why}: going back"));
    let (mut is_known, mut incumbent) = (true, None);
    for written in done {
        let restored = restored(api, backend, written).await;
        if let (Version::V1beta1, Ok(Restored::LeadsTo(service))) = (written.version, &restored) {
            incumbent = Some(service.clone());
        }
        is_known &= say_restored(written, restored, log);
    }
    if let Some(service) = incumbent {
        log.step(answers_again(api, &service).await);
    }
    if !is_known {
        let commands = &log.commands;
        let status = commands.command("kubectl tributary switch status");
        let back = commands.command("kubectl tributary switch back --drop-v1");
        let text = format!(
            "the state is not known. Look in a minute: {status}. If a version leads to Tributary then, go back: {back}"
        );
        return log.end_with(text, Outcome::Unknown, State::Unclear);
    }
    log.end_with("gone back", Outcome::Findings, State::GoneBack)
}

/// Says what going back came to. Whether it is known how the version is now.
fn say_restored(
    written: &Written,
    restored: Result<Restored, NotChanged>,
    log: &mut Log<'_>,
) -> bool {
    let name = written.version.object();
    let is_deleted = matches!(restored, Ok(Restored::Deleted));
    let is_known =
        is_deleted || matches!(restored, Ok(Restored::LeadsTo(_) | Restored::Elsewhere(_)));
    log.step(match restored {
        Ok(Restored::LeadsTo(service)) => {
            format!("{name} leads to {service} again; not verified yet")
        }
        Ok(Restored::Deleted) => format!("{name} is deleted again"),
        Ok(Restored::Elsewhere(service)) => format!("{name} leads to {service}"),
        Ok(Restored::Nothing) if written.may_create() => format!(
            "{name} is not there. kube-apiserver did not answer the request that creates it, and may still do it"
        ),
        Ok(Restored::Nothing) => format!("{name} is not there, or keeps nothing to go back to"),
        Err(failure) => format!("{name} may still lead to Tributary: {failure}"),
    });
    if written.version == Version::V1 && is_deleted {
        log.step(caches(&log.commands));
    }
    is_known
}

/// Printed when a version is gone again: kubectl caches discovery.
pub(super) fn caches(commands: &Commands) -> String {
    let refresh = commands.command("kubectl api-resources");
    format!(
        "kubectl caches what versions there are for up to 6 hours. Where kubectl top answers \"the server could not find the \
         requested resource\", run once: {refresh}"
    )
}

/// Leads a version back, with patience: it is the last chance.
async fn restored(
    api: &KubeApi,
    backend: &Backend,
    written: &mut Written,
) -> Result<Restored, NotChanged> {
    let ours = Ours::Just(&backend.service);
    let begin = Instant::now();
    let mut tries = 0;
    loop {
        let restored = write::restore(api, written.version, ours, Some(&mut *written)).await;
        let again = match &restored {
            Ok(Restored::Nothing) => written.may_create() && begin.elapsed() < CREATED_WITHIN,
            Ok(_) => false,
            Err(_) => {
                tries += 1;
                tries < TRIES
            }
        };
        if !again {
            return restored;
        }
        sleep(PAUSE).await;
    }
}

async fn answers_again(api: &KubeApi, service: &str) -> String {
    match others_answer(&api.within(ANSWER_WITHIN), BACK_WITHIN).await {
        Ok(nodes) => format!("{service} answers again, with {}", count(nodes, "node")),
        Err(why) => format!("{service} does not answer: {why}"),
    }
}
