//! Changes of `APIService`s. Each is one write, and refused by kube-apiserver if another writer was there meanwhile.

use serde_json::Value;

use super::{
    find,
    object::{Backend, Kept, Object, Service, Version, leads_to},
};
use crate::{
    api_services::API_SERVICES,
    kube_api::{Failure, KubeApi},
};

/// How often a write is tried again that another writer came before.
const TRIES: usize = 4;

/// Who writes, for `managedFields`.
const MANAGER: &str = "fieldManager=kubectl-tributary";

/// Why an `APIService` was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotChanged {
    /// It is certain that nothing was written.
    #[error("{0}")]
    Refused(String),
    /// kube-apiserver did not say.
    #[error("{0}")]
    Unclear(String),
}

impl NotChanged {
    fn of(failure: Failure) -> Self {
        match failure {
            Failure::Failed(text) | Failure::Unreachable(text) | Failure::Unavailable(text) => {
                Self::Unclear(text)
            }
            Failure::NotFound(text) | Failure::Forbidden(text) | Failure::Conflict(text) => {
                Self::Refused(text)
            }
        }
    }
}

/// What going back came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Restored {
    /// It leads here again.
    LeadsTo(String),
    /// It was deleted, as there was none before.
    Deleted,
    /// Another writer has led it here already. What was kept is forgotten.
    Elsewhere(String),
    /// It is as it was: nothing is kept, or it does not exist.
    Nothing,
}

fn object_path(version: Version) -> String {
    format!("{}?{MANAGER}", version.path())
}

/// Leads a version to `backend`, and keeps what was there.
///
/// # Errors
///
/// Nothing was changed, or it is not known whether something was.
pub(super) async fn lead(
    api: &KubeApi,
    version: Version,
    backend: &Backend,
    reviewed: Option<&Object>,
) -> Result<(), NotChanged> {
    let mut conflict = String::new();
    for _ in 0..TRIES {
        let found = find::object(api, &version.path()).await;
        let found = found.map_err(|failure| NotChanged::Refused(failure.to_string()))?;
        if found.as_ref().and_then(Object::service).as_ref() == Some(&backend.service) {
            return Ok(());
        }
        // A change that was not looked at is not overwritten.
        let service = |object: Option<&Object>| object.map(Object::leads_to);
        if service(found.as_ref()) != service(reviewed) {
            let now = service(found.as_ref()).unwrap_or_else(|| "nothing".to_owned());
            let text = format!(
                "{} was changed meanwhile and leads to {now}",
                version.object()
            );
            return Err(NotChanged::Refused(text));
        }
        let spec = backend.spec(version);
        let written = match found {
            None => {
                let new = Object::new(version, &spec);
                api.create(&format!("{API_SERVICES}?{MANAGER}"), &new.0)
                    .await
            }
            Some(found) => {
                api.replace(&object_path(version), &found.changed(spec).0)
                    .await
            }
        };
        match written {
            Ok(_) => return Ok(()),
            Err(Failure::Conflict(text)) => conflict = text,
            Err(failure) => return Err(NotChanged::of(failure)),
        }
    }
    Err(NotChanged::Refused(conflict))
}

/// What is known of the Service of Tributary when a version is led back.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ours<'a> {
    /// This one. A version that leads elsewhere was changed by another writer, and is left alone.
    Just(&'a Service),
    /// Perhaps this one: the operator wants what was there before, whatever is there now.
    Perhaps(Option<&'a Service>),
}

/// Restores what was there before `lead`. `remembered` is used if the object does not say what that was.
///
/// # Errors
///
/// As for [`lead`].
pub(super) async fn restore(
    api: &KubeApi,
    version: Version,
    ours: Ours<'_>,
    remembered: Option<&Kept>,
) -> Result<Restored, NotChanged> {
    let mut conflict = String::new();
    for _ in 0..TRIES {
        let found = find::object(api, &version.path()).await;
        let found = found.map_err(|failure| NotChanged::Unclear(failure.to_string()))?;
        let Some(found) = found else {
            return Ok(Restored::Nothing);
        };
        let Some(kept) = found.kept().or_else(|| remembered.cloned()) else {
            return Ok(Restored::Nothing);
        };
        let (written, restored) = write_back(api, version, &found, ours, kept).await;
        match written {
            Ok(_) => return Ok(restored),
            // Deleted meanwhile.
            Err(Failure::NotFound(_)) => return Ok(Restored::Nothing),
            Err(Failure::Conflict(text)) => conflict = text,
            Err(failure) => return Err(NotChanged::of(failure)),
        }
    }
    Err(NotChanged::Unclear(conflict))
}

async fn write_back(
    api: &KubeApi,
    version: Version,
    found: &Object,
    ours: Ours<'_>,
    kept: Kept,
) -> (Result<Value, Failure>, Restored) {
    let path = object_path(version);
    let service = found.service();
    let elsewhere = match (ours, &kept) {
        (Ours::Just(ours), _) | (Ours::Perhaps(Some(ours)), Kept::Nothing) => {
            service.as_ref() != Some(ours)
        }
        // What is there now is what was there before.
        (Ours::Perhaps(_), Kept::Spec(spec)) => service == Service::of(spec),
        (Ours::Perhaps(None), Kept::Nothing) => false,
    };
    if elsewhere {
        let elsewhere = Restored::Elsewhere(found.leads_to());
        if found.kept().is_none() {
            return (Ok(Value::Null), elsewhere);
        }
        let forgetting = found.forgetting();
        return (api.replace(&path, &forgetting.0).await, elsewhere);
    }
    match kept {
        Kept::Nothing => {
            let options = found.delete_options();
            let deleted = api.delete(&version.path(), &options).await;
            (deleted, Restored::Deleted)
        }
        Kept::Spec(spec) => {
            let leads = Restored::LeadsTo(leads_to(&spec));
            let restored = found.restored(spec);
            (api.replace(&path, &restored.0).await, leads)
        }
    }
}
