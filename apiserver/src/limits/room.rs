//! How many requests are answered at a time, and which of them have to make room.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tributary_runtime::serve::Sending;

use super::Busy;

/// One tenant may have this part of all places: a quarter.
const SHARE: usize = 4;

/// An answer may be dropped for another request when the peer took nothing of it for
/// this long.
const UNTAKEN: Duration = Duration::from_secs(1);

/// The same, if its tenant has more places than the one who asks would have.
const UNTAKEN_OF_MANY: Duration = Duration::from_millis(100);

/// How the names of ServiceAccounts begin; the namespace is next.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// All places. An answer keeps its place until the peer has taken it, and a peer may
/// take nothing; so each tenant has a share, and what is not taken makes room. A tenant
/// is a user, or a namespace with all its ServiceAccounts: whoever may create one can
/// create any number.
#[derive(Debug)]
pub(super) struct Room {
    places: Arc<Semaphore>,
    share: usize,
    held: Mutex<HeldPlaces>,
}

#[derive(Debug, Default)]
struct HeldPlaces {
    /// How many places each tenant has. Tenants without any are not kept.
    of_tenants: HashMap<String, usize>,
    /// The answers that keep a place, and some that are over.
    answers: Vec<Answer>,
}

#[derive(Clone, Debug)]
struct Answer {
    tenant: Arc<str>,
    sending: Sending,
}

/// An answer that its peer leaves untaken.
#[derive(Clone, Copy, Debug)]
struct Untaken {
    /// How many places its tenant has.
    places: usize,
    since: Instant,
}

/// A place of a tenant; given back when this is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    room: Arc<Room>,
    tenant: Arc<str>,
    _permit: OwnedSemaphorePermit,
}

impl Room {
    pub(super) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(places)),
            share: (places / SHARE).max(1),
            held: Mutex::default(),
        })
    }

    /// A place for a request of `user`.
    ///
    /// # Errors
    ///
    /// There is none, or the tenant has its share.
    pub(super) fn take(self: &Arc<Self>, user: &str) -> Result<Taken, Busy> {
        let tenant = tenant_of(user);
        let has = self.places_of(tenant);
        // First, so that a tenant who has its share takes from nobody. Several requests
        // that come at one moment may get one place each beyond it.
        if has >= self.share {
            return Err(Busy);
        }
        let mut permit = Arc::clone(&self.places).try_acquire_owned();
        if permit.is_err() {
            self.make_room(has);
            permit = Arc::clone(&self.places).try_acquire_owned();
        }
        let permit = permit.map_err(|_| Busy)?;
        *self.lock().of_tenants.entry(tenant.to_owned()).or_default() += 1;
        Ok(Taken {
            room: Arc::clone(self),
            tenant: tenant.into(),
            _permit: permit,
        })
    }

    fn places_of(&self, tenant: &str) -> usize {
        let has = self.lock().of_tenants.get(tenant).copied();
        has.unwrap_or_default()
    }

    /// Lets go of an answer for a tenant that has `places`, if there is one that may go.
    fn make_room(&self, places: usize) {
        let now = Instant::now();
        // An answer that is over gives its place back, which locks: so nothing is asked
        // of answers while the lock is held.
        let answers = self.lock().answers.clone();
        let untaken = answers.iter().filter_map(|answer| {
            let since = answer.sending.untaken_since()?;
            let places = self.places_of(&answer.tenant);
            Some((Untaken { places, since }, &answer.sending))
        });
        let may_go = untaken.filter(|(untaken, _)| untaken.may_go_for(places, now));
        if let Some((_, sending)) = may_go.min_by_key(|(untaken, _)| untaken.since) {
            sending.cut();
        }
    }

    pub(super) fn sends(&self, sending: Sending, taken: &Taken) {
        let tenant = Arc::clone(&taken.tenant);
        let mut held = self.lock();
        // As often as its size doubles, so that each costs little.
        if held.answers.len() == held.answers.capacity() {
            held.answers.retain(|answer| !answer.sending.is_over());
        }
        held.answers.push(Answer { tenant, sending });
    }

    fn lock(&self) -> MutexGuard<'_, HeldPlaces> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut held = self.room.lock();
        match held.of_tenants.get_mut(&*self.tenant) {
            Some(has) if *has > 1 => *has -= 1,
            _ => drop(held.of_tenants.remove(&*self.tenant)),
        }
    }
}

impl Untaken {
    /// Whether it may be dropped `now` for a tenant that has `places`.
    fn may_go_for(self, places: usize, now: Instant) -> bool {
        let has_more = self.places > places.saturating_add(1);
        let after = if has_more { UNTAKEN_OF_MANY } else { UNTAKEN };
        now >= self.since + after
    }
}

/// Whose share the requests of `user` take from.
fn tenant_of(user: &str) -> &str {
    let account = user.strip_prefix(SERVICE_ACCOUNT);
    match account.and_then(|account| account.split_once(':')) {
        Some((_, name)) => user
            .strip_suffix(name)
            .and_then(|rest| rest.strip_suffix(':'))
            .unwrap_or(user),
        None => user,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_accounts_of_a_namespace_are_one_tenant() {
        let cases = [
            ("jane", "jane"),
            ("system:node:a", "system:node:a"),
            (
                "system:serviceaccount:shop:web",
                "system:serviceaccount:shop",
            ),
            (
                "system:serviceaccount:shop:api",
                "system:serviceaccount:shop",
            ),
            (
                "system:serviceaccount:shop2:web",
                "system:serviceaccount:shop2",
            ),
            ("system:serviceaccount:shop", "system:serviceaccount:shop"),
        ];
        for (user, tenant) in cases {
            assert_eq!(tenant_of(user), tenant, "{user}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_untaken_goes_sooner_for_those_who_have_less() {
        let since = Instant::now();
        let goes = |places, for_places, ms| {
            let now = since + Duration::from_millis(ms);
            Untaken { places, since }.may_go_for(for_places, now)
        };
        // Two places against none: with one more, the other still has less.
        assert_eq!([99, 100, 999].map(|ms| goes(2, 0, ms)), [false, true, true]);
        assert_eq!([99, 100, 999].map(|ms| goes(9, 7, ms)), [false, true, true]);
        // It would have as many, or has more already.
        for (places, for_places) in [(1, 0), (9, 8), (2, 9)] {
            let at = [100, 999, 1_000];
            let goes = at.map(|ms| goes(places, for_places, ms));
            assert_eq!(goes, [false, false, true], "{places} {for_places}");
        }
    }
}
