//! Permits for requests in flight, and which answers are dropped to make room.

use std::{cmp::Reverse, collections::HashMap, sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;
use tributary_runtime::serve::Sending;

use super::{Busy, Whose};

/// One tenant may have one part in this many of all permits: a quarter.
const USER_SHARE: usize = 4;

/// An answer may be dropped for another request if the peer has read nothing of it for this long.
const UNTAKEN: Duration = Duration::from_secs(1);

/// The same, if its tenant has more permits than the tenant of the request would have.
const UNTAKEN_OF_MANY: Duration = Duration::from_millis(100);

/// The prefix of the names of `ServiceAccount`s. The namespace follows.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// All permits. An answer keeps its permit until the peer has read it, and a peer may read nothing. So each tenant has
/// a share, and unread answers make room. A tenant is a user, or a namespace with all its `ServiceAccount`s, because a
/// tenant that may create one ServiceAccount can create any number.
#[derive(Debug)]
pub(super) struct Room {
    per_user: usize,
    permits: Mutex<Places>,
}

#[derive(Debug)]
struct Places {
    free: usize,
    /// The permits of each tenant. Tenants without any are removed.
    of_tenants: HashMap<Arc<str>, usize>,
    /// The answers that have a permit, and some that have ended.
    answers: Vec<Answer>,
}

#[derive(Clone, Debug)]
struct Answer {
    tenant: Arc<str>,
    sending: Sending,
}

/// An answer that its peer does not read.
#[derive(Clone, Copy, Debug)]
struct Untaken {
    /// The number of permits of its tenant.
    permits: usize,
    since: Instant,
}

/// A permit of a tenant. It is released when this is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    room: Arc<Room>,
    tenant: Arc<str>,
}

/// Why there is no permit.
#[derive(Clone, Copy, Debug)]
enum Full {
    /// The tenant has its share.
    Share,
    /// All are taken. The tenant has this many.
    All(usize),
}

impl Room {
    pub(super) fn new(permits: usize) -> Arc<Self> {
        Arc::new(Self {
            per_user: (permits / USER_SHARE).max(1),
            permits: Mutex::new(Places {
                free: permits,
                of_tenants: HashMap::new(),
                answers: Vec::new(),
            }),
        })
    }

    /// A permit for a request of `user`. It may take the permit of an answer that is not read.
    ///
    /// # Errors
    ///
    /// There is none, or the tenant has its share.
    pub(super) fn take(self: &Arc<Self>, user: &str) -> Result<Taken, Busy> {
        let tenant: Arc<str> = tenant_of(user).into();
        let Err(full) = self.lock().take(&tenant, self.per_user) else {
            return Ok(self.taken(tenant));
        };
        self.make_room(full, &tenant);
        let taken = self.lock().take(&tenant, self.per_user);
        taken.map_err(|_| Busy)?;
        Ok(self.taken(tenant))
    }

    /// The same, but no answer is dropped for it.
    pub(super) fn take_free(self: &Arc<Self>, user: &str) -> Option<Taken> {
        let tenant: Arc<str> = tenant_of(user).into();
        let taken = self.lock().take(&tenant, self.per_user);
        taken.is_ok().then(|| self.taken(tenant))
    }

    /// Drops an answer that is not read, to make room in memory for an answer to `tenant`. Returns whether there was
    /// one. `whose` says whose answers may be dropped.
    pub(super) fn make_room_for(&self, tenant: &str, whose: Whose) -> bool {
        let full = match whose {
            Whose::Own => Full::Share,
            Whose::Anybody => Full::All(self.lock().of(tenant)),
        };
        self.make_room(full, tenant)
    }

    fn taken(self: &Arc<Self>, tenant: Arc<str>) -> Taken {
        Taken {
            room: Arc::clone(self),
            tenant,
        }
    }

    /// Drops an answer, if one may be dropped. If the tenant has its share, it is one of its own answers, and otherwise
    /// one of the tenant with most permits.
    fn make_room(&self, full: Full, tenant: &str) -> bool {
        let now = Instant::now();
        // An answer that ends releases its permit, which takes the lock. So no method of an answer is called while the
        // lock is held.
        let answers = self.lock().answers.clone();
        let untaken = answers.iter().filter_map(|answer| {
            let since = answer.sending.untaken_since()?;
            let permits = self.lock().of(&answer.tenant);
            Some((Untaken { permits, since }, answer))
        });
        let may_go = untaken.filter(|(untaken, answer)| match full {
            Full::Share => *answer.tenant == *tenant && untaken.since + UNTAKEN <= now,
            Full::All(permits) => untaken.may_go_for(permits, now),
        });
        let first = may_go.min_by_key(|(untaken, _)| (Reverse(untaken.permits), untaken.since));
        let Some((_, answer)) = first else {
            return false;
        };
        answer.sending.cut();
        let answers = &mut self.lock().answers;
        answers.retain(|other| !other.sending.is(&answer.sending));
        true
    }

    pub(super) fn sends(&self, sending: Sending, taken: &Taken) {
        let tenant = Arc::clone(&taken.tenant);
        let answers = &mut self.lock().answers;
        // This happens whenever the size has doubled, so the cost for each answer is small.
        if answers.len() == answers.capacity() {
            answers.retain(|answer| !answer.sending.is_over());
        }
        answers.push(Answer { tenant, sending });
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.permits.lock()
    }
}

impl Places {
    fn of(&self, tenant: &str) -> usize {
        self.of_tenants.get(tenant).copied().unwrap_or_default()
    }

    fn take(&mut self, tenant: &Arc<str>, per_user: usize) -> Result<(), Full> {
        let has = self.of(tenant);
        // This is checked first, so that a tenant with a full share makes no other answer be dropped.
        if has >= per_user {
            return Err(Full::Share);
        }
        let free = self.free.checked_sub(1).ok_or(Full::All(has))?;
        self.free = free;
        self.of_tenants.insert(Arc::clone(tenant), has + 1);
        Ok(())
    }

    fn give_back(&mut self, tenant: &str) {
        self.free += 1;
        match self.of_tenants.get_mut(tenant) {
            Some(has) if *has > 1 => *has -= 1,
            _ => drop(self.of_tenants.remove(tenant)),
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.lock().give_back(&self.tenant);
    }
}

impl Untaken {
    /// Whether it may be dropped `now` for a tenant that has this many `permits`.
    fn may_go_for(self, permits: usize, now: Instant) -> bool {
        let has_more = self.permits > permits.saturating_add(1);
        let after = if has_more { UNTAKEN_OF_MANY } else { UNTAKEN };
        now >= self.since + after
    }
}

/// The tenant to which the requests of `user` count.
pub(crate) fn tenant_of(user: &str) -> &str {
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
        let goes = |permits, for_places, ms| {
            let now = since + Duration::from_millis(ms);
            Untaken { permits, since }.may_go_for(for_places, now)
        };
        // Two permits against none: with one more, the second tenant still has fewer.
        assert_eq!([99, 100, 999].map(|ms| goes(2, 0, ms)), [false, true, true]);
        assert_eq!([99, 100, 999].map(|ms| goes(9, 7, ms)), [false, true, true]);
        // With one more, the second tenant has as many or more.
        for (permits, for_places) in [(1, 0), (9, 8), (2, 9)] {
            let at = [100, 999, 1_000];
            let goes = at.map(|ms| goes(permits, for_places, ms));
            assert_eq!(goes, [false, false, true], "{permits} {for_places}");
        }
    }
}
