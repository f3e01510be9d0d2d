//! Changes of `APIService`s. Each is one write, and refused by kube-apiserver if another writer was there meanwhile.
//!
//! A write that was not answered may still be done, minutes later. It replaces one `resourceVersion` only, so any other
//! write that is done before it makes it fail. Going back therefore writes, even where nothing has changed yet.

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
            Failure::NotFound(text)
            | Failure::Forbidden(text)
            | Failure::Conflict(text)
            | Failure::Foreign(text) => Self::Refused(text),
        }
    }
}

/// A write of `switch to`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Written {
    pub(super) version: Version,
    /// What was there before.
    pub(super) kept: Kept,
    /// Whether it is known to be done. If not, it may be done at any time.
    pub(super) is_done: bool,
}

impl Written {
    /// Whether it creates an object, and may still do so.
    pub(super) fn may_create(&self) -> bool {
        self.kept == Kept::Nothing && !self.is_done
    }

    /// Whether an object that it has not changed must be written, so that it no longer can.
    fn must_be_prevented(&self, found: &Object, ours: Ours<'_>) -> bool {
        // With something kept, that is removed, which is a write.
        let is_written = ours.is(found) || found.kept().is_some();
        !self.is_done && self.kept != Kept::Nothing && !is_written
    }
}

/// What going back came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Restored {
    /// It leads here again.
    LeadsTo(String),
    /// It does not exist, as there was none before.
    Deleted,
    /// Another writer has led it here already. What was kept is forgotten.
    Elsewhere(String),
    /// It is as it was: nothing is kept, or it does not exist.
    Nothing,
}

fn object_path(version: Version) -> String {
    format!("{}?{MANAGER}", version.path())
}

/// Who has led a version to Tributary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LedBy {
    /// This command: going back undoes it.
    Us,
    /// Another writer, since it was looked at. That is not ours to undo.
    Another,
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
) -> Result<LedBy, NotChanged> {
    let mut conflict = String::new();
    for _ in 0..TRIES {
        let found = find::object(api, &version.path()).await;
        let found = found.map_err(|failure| NotChanged::Refused(failure.to_string()))?;
        if found.as_ref().and_then(Object::service).as_ref() == Some(&backend.service) {
            return Ok(LedBy::Another);
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
            Ok(_) => return Ok(LedBy::Us),
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

impl Ours<'_> {
    fn is(self, object: &Object) -> bool {
        let (Self::Just(ours) | Self::Perhaps(Some(ours))) = self else {
            return false;
        };
        object.service().as_ref() == Some(ours)
    }
}

/// Restores what was there before `lead`. `written` is used if the object does not say what that was.
///
/// # Errors
///
/// As for [`lead`].
pub(super) async fn restore(
    api: &KubeApi,
    version: Version,
    ours: Ours<'_>,
    mut written: Option<&mut Written>,
) -> Result<Restored, NotChanged> {
    let mut conflict = String::new();
    for _ in 0..TRIES {
        let found = find::object(api, &version.path()).await;
        let found = found.map_err(|failure| NotChanged::Unclear(failure.to_string()))?;
        let Some(found) = found else {
            return Ok(gone(written.as_deref()));
        };
        if let Some(written) = written.as_deref_mut() {
            written.is_done |= ours.is(&found);
        }
        let written = written.as_deref();
        let remembered = || written.map(|written| written.kept.clone());
        let Some(kept) = found.kept().or_else(remembered) else {
            return Ok(Restored::Nothing);
        };
        if written.is_some_and(|written| written.must_be_prevented(&found, ours)) {
            // Keeping what is there is a change; the next round removes it again.
            let same = found.changed(found.spec());
            match api.replace(&object_path(version), &same.0).await {
                Ok(_) => {}
                Err(Failure::NotFound(_)) => return Ok(Restored::Nothing),
                Err(Failure::Conflict(text)) => conflict = text,
                Err(failure) => return Err(NotChanged::of(failure)),
            }
            continue;
        }
        let (answer, restored) = write_back(api, version, &found, ours, kept).await;
        match answer {
            Ok(_) => return Ok(restored),
            // Deleted meanwhile.
            Err(Failure::NotFound(_)) => return Ok(gone(written)),
            Err(Failure::Conflict(text)) => conflict = text,
            Err(failure) => return Err(NotChanged::of(failure)),
        }
    }
    Err(NotChanged::Unclear(conflict))
}

/// An object that was created does not exist, or no longer. That is as before, unless it may still be created.
fn gone(written: Option<&Written>) -> Restored {
    let created = written.filter(|written| written.kept == Kept::Nothing);
    if created.is_some_and(|written| written.is_done) {
        Restored::Deleted
    } else {
        Restored::Nothing
    }
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
