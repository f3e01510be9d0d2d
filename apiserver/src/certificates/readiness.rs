//! Whether clients accept the serving certificate.

use std::{sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

/// Whether the frontend serves a valid certificate whose CA all clients have. Cheap to clone; clones share their state.
#[derive(Clone, Debug, Default)]
pub(crate) struct CertificateReadiness(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Until when the served certificate is valid.
    valid_until: Option<Instant>,
    /// Whether the CA was ever published at every place.
    published: bool,
}

impl CertificateReadiness {
    /// The check for readiness.
    ///
    /// # Errors
    ///
    /// The served certificate is not valid, or its CA was never published at every place.
    pub(crate) fn check(&self) -> Result<(), String> {
        let state = self.state();
        if state
            .valid_until
            .is_none_or(|until| until <= Instant::now())
        {
            return Err("no valid serving certificate: see the log for its Secret".to_owned());
        }
        state.published.then_some(()).ok_or_else(|| {
            "the CA of the serving certificate is not published: see the log for the APIServices and the \
             ConfigMap"
                .to_owned()
        })
    }

    /// Sets how long the served certificate is valid from now on. `None`: it is not valid.
    pub(super) fn set_valid_for(&self, time: Option<Duration>) {
        let until = time.and_then(|time| Instant::now().checked_add(time));
        self.state().valid_until = until;
    }

    /// Records that all clients have its CA.
    pub(super) fn set_published(&self) {
        self.state().published = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}
