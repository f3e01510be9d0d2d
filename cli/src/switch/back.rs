//! `switch back`.
//!
//! `v1` stays with Tributary while that answers, if there was no `v1` before: no other server serves it, and clients that
//! have discovered it would find nothing. `--drop-v1` deletes it.

use k8s_openapi::api::{core::v1::Service as KubeService, discovery::v1::EndpointSlice};

use super::{
    Back, find,
    object::{Kept, Object, Service, Version},
    report::{Log, Report, State},
    to::caches,
    watch::{ANSWER_WITHIN, Answered, Expected, ask, others_answer},
    write::{self, NotChanged, Ours, Restored},
};
use crate::{
    commands::Commands,
    kube_api::{Failure, KubeApi, encoded, path},
    printed::{Outcome, count},
};

/// What is there, and what was there before.
type Changed = (Version, Object, Kept);

/// Goes back to what was there before `switch to`.
pub async fn back(api: &KubeApi, wanted: &Back, log: &mut Log<'_>) -> Report {
    let changed = match read(api).await {
        Ok(changed) => changed,
        Err(failure) => {
            return log.end_with(failure.to_string(), Outcome::Unknown, State::Unchanged);
        }
    };
    if changed.is_empty() {
        let text = "there is nothing to go back to: no APIService of metrics.k8s.io has the annotation \
                    tributary.dev/before. Nothing was changed";
        return log.end_with(text, Outcome::Findings, State::Unchanged);
    }
    if !wanted.ignore_endpoints {
        for (_, object, kept) in &changed {
            if let Some(why) = not_ready(api, object, kept).await {
                let text = format!(
                    "refused: {why}. Start that server first, or use --ignore-endpoints. Nothing was changed"
                );
                return log.end_with(text, Outcome::Findings, State::Unchanged);
            }
        }
    }
    // Where Tributary is only decides whether a version that did not exist may be deleted.
    let tributary = find::backend(api, None).await.ok();
    let tributary = tributary.map(|backend| backend.service);
    let mut end = Ending::default();
    for (version, object, kept) in &changed {
        if *kept == Kept::Nothing && *version == Version::V1 && !wanted.drop_v1 {
            let quick = api.within(ANSWER_WITHIN);
            let answered = ask(&quick, Version::V1, Expected::default(), false).await;
            if matches!(answered, Answered::Tributary { .. }) {
                let step = stays(object, &log.commands);
                log.step(step);
                continue;
            }
        }
        if wanted.dry_run {
            log.step(planned(*version, kept));
            continue;
        }
        let ours = Ours::Perhaps(tributary.as_ref());
        let restored = write::restore(api, *version, ours, None).await;
        end.take(*version, restored, log);
    }
    if wanted.dry_run {
        let text = "dry run: nothing was changed";
        return log.end_with(text, Outcome::Healthy, State::Unchanged);
    }
    end.report(api, wanted, log).await
}

async fn read(api: &KubeApi) -> Result<Vec<Changed>, Failure> {
    let mut changed = Vec::new();
    for version in [Version::V1beta1, Version::V1] {
        let object = find::object(api, &version.path()).await?;
        let kept = object.as_ref().and_then(Object::kept);
        changed.extend(
            object
                .zip(kept)
                .map(|(object, kept)| (version, object, kept)),
        );
    }
    Ok(changed)
}

fn stays(object: &Object, commands: &Commands) -> String {
    let drop = commands.command("kubectl tributary switch back --drop-v1");
    format!(
        "v1.metrics.k8s.io stays with Tributary ({}): no other server serves it, and clients that have discovered it would find \
         nothing. Before you uninstall Tributary: {drop}",
        object.leads_to()
    )
}

fn planned(version: Version, kept: &Kept) -> String {
    let name = version.object();
    match kept {
        Kept::Nothing => format!("{name} would be deleted"),
        Kept::Spec(spec) => format!("{name} would lead to {}", super::object::leads_to(spec)),
    }
}

/// Why the server of before cannot answer, if that is known.
async fn not_ready(api: &KubeApi, object: &Object, kept: &Kept) -> Option<String> {
    let Kept::Spec(spec) = kept else { return None };
    let service = Service::of(spec)?;
    if object.service().as_ref() == Some(&service) {
        return None;
    }
    let Service {
        namespace, name, ..
    } = &service;
    let of_service = path("/api/v1/namespaces", &[namespace, "services", name]);
    let found = match api.get::<KubeService>(&of_service).await {
        Ok(found) => found,
        Err(Failure::NotFound(_)) => return Some(format!("there is no Service {service}")),
        // Not known.
        Err(_) => return None,
    };
    let spec = found.spec.unwrap_or_default();
    if spec.type_.as_deref() == Some("ExternalName") {
        return None;
    }
    let slices = path(
        "/apis/discovery.k8s.io/v1/namespaces",
        &[namespace, "endpointslices"],
    );
    let selector = format!(
        "labelSelector=kubernetes.io%2Fservice-name%3D{}",
        encoded(name)
    );
    let slices = format!("{slices}?{selector}");
    let slices = api.list::<EndpointSlice>(&slices).await.ok()?;
    let mut endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
    let ready = endpoints.any(|endpoint| {
        let conditions = endpoint.conditions.as_ref();
        conditions.is_none_or(|conditions| conditions.ready.unwrap_or(true))
    });
    (!ready).then(|| format!("no pod behind the Service {service} is ready"))
}

/// What going back has come to.
#[derive(Debug, Default)]
struct Ending {
    written: bool,
    unclear: bool,
    refused: bool,
    incumbent: Option<String>,
}

impl Ending {
    fn take(
        &mut self,
        version: Version,
        restored: Result<Restored, NotChanged>,
        log: &mut Log<'_>,
    ) {
        let name = version.object();
        match restored {
            Ok(Restored::LeadsTo(service)) => {
                self.written = true;
                log.step(format!("{name} leads to {service} again; not verified yet"));
                if version == Version::V1beta1 {
                    self.incumbent = Some(service);
                }
            }
            Ok(Restored::Deleted) => {
                self.written = true;
                log.step(format!("{name} is deleted, as there was none before"));
                if version == Version::V1 {
                    log.step(caches(&log.commands));
                }
            }
            Ok(Restored::Elsewhere(service)) => {
                self.written = true;
                log.step(format!("{name} leads to {service} already"));
            }
            Ok(Restored::Nothing) => log.step(format!("{name} was changed meanwhile")),
            Err(NotChanged::Refused(why)) => {
                self.refused = true;
                log.step(format!("{name} could not be changed: {why}"));
            }
            Err(NotChanged::Unclear(why)) => {
                self.unclear = true;
                log.step(format!("it is not known whether {name} was changed: {why}"));
            }
        }
    }

    async fn report(self, api: &KubeApi, wanted: &Back, log: &mut Log<'_>) -> Report {
        if self.unclear || (self.refused && self.written) {
            let status = log.commands.command("kubectl tributary switch status");
            let text = format!("try again after a look at: {status}");
            return log.end_with(text, Outcome::Unknown, State::Unclear);
        }
        if self.refused {
            let text = "nothing was changed";
            return log.end_with(text, Outcome::Findings, State::Unchanged);
        }
        let Some(service) = self.incumbent else {
            let state = if self.written {
                State::Changed
            } else {
                State::Unchanged
            };
            return log.end(Outcome::Healthy, state);
        };
        match others_answer(&api.within(ANSWER_WITHIN), wanted.watch_for).await {
            Ok(nodes) => {
                let text = format!("{service} answers, with {}", count(nodes, "node"));
                log.end_with(text, Outcome::Healthy, State::Changed)
            }
            Err(why) => {
                let again = log.commands.command("kubectl tributary switch to");
                let text = format!(
                    "{service} does not answer: {why}. To lead v1beta1 to Tributary again: {again}"
                );
                log.end_with(text, Outcome::Findings, State::Changed)
            }
        }
    }
}
