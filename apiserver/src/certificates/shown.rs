//! Whether what is shown is trusted.

use std::{sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

/// Whether a certificate is shown that those trust who verify it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Until when what is shown is good.
    good_until: Option<Instant>,
    /// Whether the CA was once published at every place.
    published: bool,
}

impl Shown {
    /// For readiness.
    ///
    /// # Errors
    ///
    /// The pair in use is not good, or its CA was never published at every place.
    pub(crate) fn check(&self) -> Result<(), String> {
        let state = self.state();
        if state.good_until.is_none_or(|until| until <= Instant::now()) {
            return Err(
                "no good serving certificate: the Secret could not be read or written".to_owned(),
            );
        }
        state.published.then_some(()).ok_or_else(|| {
            "not all who verify have the CA of the serving certificate: an APIService or the \
             ConfigMap could not be read or written"
                .to_owned()
        })
    }

    /// What is shown is valid for so long from now on, or not good.
    pub(super) fn lasts(&self, lasts: Option<Duration>) {
        let until = lasts.and_then(|lasts| Instant::now().checked_add(lasts));
        self.state().good_until = until;
    }

    /// All who verify have its CA.
    pub(super) fn is_published(&self) {
        self.state().published = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}
