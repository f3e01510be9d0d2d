//! Limits the memory of answers that are complete before their first byte is sent.
//!
//! Most lists are written while they are sent. Some must be complete first: in protobuf the length comes first, and in
//! a part of a list the token comes before the items. These share a budget, so that a few hundred of them do not use
//! the memory of the process. An answer without room is refused at once with 429. It does not wait, because waiting
//! answers would keep their memory and could wait for each other.

use std::{collections::HashMap, sync::Arc};

use axum::extract::Request;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    auth::User,
    requests::limits::{self, Busy, Limits, Whose},
};

/// An answer up to this size is sent in one piece, with its length. Longer answers are compressed
/// ([`super::layers::compression`]).
pub(crate) const WHOLE: usize = 128 * 1024;

/// The budget of all answers: eleven lists of 150,000 pods in protobuf.
const ALL: usize = 256 << 20;

/// An answer reserves memory in steps of this size, so that it does so seldom.
const STEP: usize = 64 << 10;

/// The memory of an item of a part of a list until it is written.
pub(super) const ITEM: usize = 256;

/// Answers to one user, or to all `ServiceAccounts` of a namespace, get at most one part in this many: a quarter.
const OF_ONE: usize = 4;

/// The budget. Cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Steps that are not reserved.
    steps: Arc<Semaphore>,
    /// The most steps of one tenant.
    reservation: usize,
    /// The reserved steps of each tenant. Tenants without any are removed.
    of_tenants: Mutex<HashMap<Arc<str>, usize>>,
}

/// The reservation of one answer, until this is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Budget,
    /// The tenant that the answer is for.
    tenant: Arc<str>,
    /// Drops answers that are not read, if there is no room.
    limits: Option<Limits>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Default for Budget {
    fn default() -> Self {
        Self::of(ALL)
    }
}

impl Budget {
    fn of(bytes: usize) -> Self {
        let steps = bytes / STEP;
        Self(Arc::new(Inner {
            steps: Arc::new(Semaphore::new(steps)),
            reservation: steps / OF_ONE,
            of_tenants: Mutex::default(),
        }))
    }

    /// An empty reservation for the answer to `request`.
    pub(super) fn reservation(&self, request: &Request) -> Reservation {
        let extensions = request.extensions();
        let user = extensions.get::<Arc<User>>();
        let user = user.map_or("", |user| &user.name);
        self.share_of(user, extensions.get::<Limits>().cloned())
    }

    fn share_of(&self, user: &str, limits: Option<Limits>) -> Reservation {
        Reservation {
            budget: self.clone(),
            tenant: limits::tenant_of(user).into(),
            limits,
            permit: None,
        }
    }
}

impl Inner {
    fn of_tenants(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.of_tenants.lock()
    }

    /// Reserves `steps` for an answer to `tenant`.
    ///
    /// # Errors
    ///
    /// There is no room. The error says whose answers use it.
    fn take(&self, tenant: &Arc<str>, steps: usize) -> Result<OwnedSemaphorePermit, Whose> {
        let mut of_tenants = self.of_tenants();
        let reserved = of_tenants.get(tenant).copied().unwrap_or_default();
        let reserved = reserved.saturating_add(steps);
        let many = u32::try_from(steps).map_err(|_| Whose::Own)?;
        if reserved > self.reservation {
            return Err(Whose::Own);
        }
        let permit = Arc::clone(&self.steps).try_acquire_many_owned(many);
        let permit = permit.map_err(|_| Whose::Anybody)?;
        of_tenants.insert(Arc::clone(tenant), reserved);
        Ok(permit)
    }

    fn give_back(&self, tenant: &str, steps: usize) {
        let mut of_tenants = self.of_tenants();
        match of_tenants.get_mut(tenant) {
            Some(reserved) if *reserved > steps => *reserved -= steps,
            _ => drop(of_tenants.remove(tenant)),
        }
    }
}

impl Reservation {
    /// Sets the memory of the answer to `bytes`. Small answers are free, because the limit of requests in flight limits
    /// them already, and because they must be served even if there is no room.
    ///
    /// # Errors
    ///
    /// There is no room, even after answers that are not read were dropped.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), Busy> {
        let missing = bytes.div_ceil(STEP).saturating_sub(self.reserved());
        if bytes <= WHOLE || missing == 0 {
            return Ok(());
        }
        loop {
            let more = self.budget.0.take(&self.tenant, missing);
            match (more, &self.limits) {
                (Ok(more), _) => {
                    match &mut self.permit {
                        Some(permit) => permit.merge(more),
                        none => *none = Some(more),
                    }
                    return Ok(());
                }
                // Each round drops an answer, so this ends.
                (Err(whose), Some(limits)) if limits.make_room(&self.tenant, whose) => {}
                (Err(_), _) => return Err(Busy),
            }
        }
    }

    fn reserved(&self) -> usize {
        let permit = self.permit.as_ref();
        permit.map_or(0, OwnedSemaphorePermit::num_permits)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // The permit itself is released right after this.
        self.budget.0.give_back(&self.tenant, self.reserved());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_takes_what_it_holds_and_gives_it_back() {
        let budget = Budget::of(4 << 20);
        let jane = || budget.share_of("jane", None);
        let (mut one, mut other) = (jane(), jane());
        for kib in [100, 128, 129, 500, 600, 600, 100] {
            assert_eq!(one.hold(kib << 10), Ok(()), "{kib}");
        }
        assert_eq!(other.hold(384 << 10), Ok(()));
        assert_eq!(other.hold(600 << 10), Err(Busy));
        assert_eq!(one.hold(2 << 20), Err(Busy));
        // Small answers need no room.
        assert_eq!(jane().hold(WHOLE), Ok(()));
        drop(one);
        assert_eq!(other.hold(600 << 10), Ok(()));
        drop(other);
        assert_eq!(budget.0.steps.available_permits(), 64);
        assert!(budget.0.of_tenants().is_empty());
    }

    #[test]
    fn answers_to_one_tenant_leave_room_for_others() {
        let budget = Budget::of(4 << 20);
        let reserved: Vec<_> = [
            "system:serviceaccount:shop:a",
            "system:serviceaccount:shop:b",
        ]
        .iter()
        .map(|user| {
            let mut reservation = budget.share_of(user, None);
            assert_eq!(reservation.hold(512 << 10), Ok(()));
            reservation
        })
        .collect();
        let third = budget
            .share_of("system:serviceaccount:shop:c", None)
            .hold(192 << 10);
        assert_eq!(third, Err(Busy));
        let mut jane = budget.share_of("jane", None);
        assert_eq!(jane.hold(1 << 20), Ok(()));
        drop(reserved);
        let third = budget
            .share_of("system:serviceaccount:shop:c", None)
            .hold(192 << 10);
        assert_eq!(third, Ok(()));
    }
}
