//! A cache of reviews, with a limit. Each question is asked once, however many requests wait for
//! it.
//!
//! A failure is never cached. Requests that wait for the same question share its failure, though.
//!
//! While no review of the kind is answered, a stale answer may be used for a while longer
//! ([`Ttl::stale`], [`Pulse`]). The question is asked again and again meanwhile, and a stale
//! answer never replaces a new one.
//!
//! # Invariants
//!
//! - A question in flight is known while a request waits for it, and no longer.
//! - Denials have their own limit: strangers can cause any number of them, and evict no approval.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};
use parking_lot::{Mutex, MutexGuard};
use tokio::{task::JoinSet, time::Instant};

use self::entries::{Entries, Found};
use super::{
    metrics::StaleAnswers,
    pulse::{Permitted, Pulse},
    waiting::{Caller, CallerKind, WaitingRoom},
};

mod entries;

/// How long a stale answer is used before the question is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// The key of a question: a hash of everything that the answer depends on. So no token stays in
/// memory, and all keys have the same size.
pub(crate) type Key = [u8; 32];

/// The hash of a text.
pub(crate) fn key(text: &[u8]) -> Key {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text);
    // SHA-256 has 32 bytes.
    hash.as_ref().try_into().unwrap_or_default()
}

/// How long an answer is cached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ttl {
    /// How long it is fresh. Zero: it is not cached.
    pub(crate) fresh: Duration,
    /// How long it may be used after that while no review is answered.
    pub(crate) stale: Duration,
    /// Whether it is a denial.
    pub(crate) denies: bool,
}

impl Ttl {
    /// A denial. It is never used when it is stale.
    pub(crate) fn denial(fresh: Duration) -> Self {
        Self {
            fresh,
            stale: Duration::ZERO,
            denies: true,
        }
    }
}

/// Why a question has no answer.
pub(crate) trait Failure {
    /// There was no room for the question.
    fn busy() -> Self;

    /// Whether no review is answered, as [`Pulse`] defines it. Otherwise a stale answer must not be
    /// used.
    fn is_outage(&self) -> bool;
}

/// The queue in which a question waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Questions of anonymous callers.
    Anonymous,
    /// Questions that were not answered recently.
    New,
    /// Questions whose earlier answer was an approval, and those of publishers.
    Known,
}

/// How a question is asked.
#[derive(Clone, Debug)]
pub(crate) struct How {
    pub(crate) lane: Lane,
    /// Whether there is a stale answer.
    pub(crate) stale: bool,
    /// `ask` must set this when its turn has come.
    pub(crate) permitted: Permitted,
}

/// Answers by question.
pub(crate) struct Cache<V, E> {
    entries: Arc<Mutex<Entries<V, E>>>,
    settings: Settings,
    /// Questions that got a stale answer and are still in flight. Each has a permit, which limits
    /// them.
    late: Arc<Mutex<JoinSet<()>>>,
}

/// What a cache needs.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The most approvals in the cache. The least recently used one is evicted.
    pub(crate) room: usize,
    /// The most denials in the cache.
    pub(crate) room_for_denials: usize,
    /// Counts uses of stale answers.
    pub(crate) stale_answers: StaleAnswers,
    /// Whether reviews of this kind are answered.
    pub(crate) pulse: Pulse,
    /// Limits the requests that wait.
    pub(crate) waiting: WaitingRoom,
}

type Question<V, E> = Shared<BoxFuture<'static, Result<V, E>>>;
type WeakQuestion<V, E> = WeakShared<BoxFuture<'static, Result<V, E>>>;

impl<V, E> Cache<V, E>
where
    V: Clone + Send + Sync + 'static,
    E: Failure + Clone + Send + Sync + 'static,
{
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            entries: Arc::new(Mutex::new(Entries::new(&settings))),
            settings,
            late: Arc::default(),
        }
    }

    /// The cached answer, or else that of `ask`, which also says how long it may be cached. Zero:
    /// not at all.
    ///
    /// `ask` is dropped when no request waits for it.
    pub(crate) async fn get<F>(
        &self,
        key: Key,
        caller: &Caller,
        ask: impl FnOnce(How) -> F,
    ) -> Result<V, E>
    where
        F: Future<Output = Result<(V, Ttl), E>> + Send + 'static,
    {
        let (question, _seat) = {
            let mut entries = lock(&self.entries);
            let stale = match entries.find(&key, Instant::now()) {
                Found::Answer(value) => return Ok(value),
                Found::Stale(value) => Some(value),
                Found::Nothing => None,
            };
            let seat = self.settings.waiting.enter(caller, stale.is_some());
            let seat = seat.map_err(|_| E::busy())?;
            let question = entries.in_flight(&key).unwrap_or_else(|| {
                let how = How {
                    lane: lane(caller.kind, stale.is_some()),
                    stale: stale.is_some(),
                    permitted: Permitted::default(),
                };
                let permitted = how.permitted.clone();
                let entry = Entry {
                    entries: Arc::clone(&self.entries),
                    key,
                    serial: entries.next_serial(),
                };
                let serial = entry.serial;
                let question = match stale {
                    None => settled(entry, self.settings.clone(), ask(how)).boxed(),
                    Some(stale) => self.impatient(entry, stale, permitted, ask(how)).boxed(),
                };
                let question = question.shared();
                entries.begin(key, serial, &question);
                question
            });
            (question, seat)
        };
        question.await
    }

    /// The answer of `ask`, or `stale` if `ask` fails, or if no review is answered.
    fn impatient<F>(
        &self,
        entry: Entry<V, E>,
        stale: V,
        permitted: Permitted,
        ask: F,
    ) -> impl Future<Output = Result<V, E>> + Send + use<V, E, F>
    where
        F: Future<Output = Result<(V, Ttl), E>> + Send + 'static,
    {
        let (late, settings) = (Arc::clone(&self.late), self.settings.clone());
        async move {
            let entries = Arc::clone(&entry.entries);
            let key = entry.key;
            let mut ask = settled(entry, settings.clone(), ask).boxed();
            tokio::select! {
                biased;
                answer = &mut ask => match answer {
                    Err(error) if error.is_outage() => {}
                    answer => return answer,
                },
                () = settings.pulse.silence(&permitted) => {
                    let mut late = lock(&late);
                    while late.try_join_next().is_some() {}
                    if permitted.has_come() {
                        // The new answer counts when it arrives.
                        late.spawn(ask.map(drop));
                    }
                }
            }
            let mut entries = lock(&entries);
            entries.forget_question(&key, None);
            entries.go_on(&key, Instant::now());
            settings.stale_answers.used();
            Ok(stale)
        }
    }
}

/// The queue for a question of this caller.
fn lane(kind: CallerKind, known: bool) -> Lane {
    match kind {
        CallerKind::Anonymous => Lane::Anonymous,
        CallerKind::Publisher => Lane::Known,
        CallerKind::Unproven | CallerKind::Proven if known => Lane::Known,
        CallerKind::Unproven | CallerKind::Proven => Lane::New,
    }
}

/// The answer of `ask`, which is cached if it may be.
async fn settled<V: Clone, E, F>(entry: Entry<V, E>, settings: Settings, ask: F) -> Result<V, E>
where
    F: Future<Output = Result<(V, Ttl), E>>,
{
    let answer = ask.await;
    let (value, ttl) = answer?;
    settings.stale_answers.not_needed();
    let mut answers = lock(&entry.entries);
    answers.forget_question(&entry.key, Some(entry.serial));
    if ttl.fresh.is_zero() {
        answers.forget(&entry.key);
    } else {
        answers.keep(entry.key, value.clone(), ttl, Instant::now());
    }
    Ok(value)
}

/// One question in flight. Dropped when it is answered, or when no request waits for it.
struct Entry<V, E> {
    entries: Arc<Mutex<Entries<V, E>>>,
    key: Key,
    serial: u64,
}

impl<V, E> Drop for Entry<V, E> {
    fn drop(&mut self) {
        lock(&self.entries).forget_question(&self.key, Some(self.serial));
    }
}

fn lock<T>(entries: &Mutex<T>) -> MutexGuard<'_, T> {
    entries.lock()
}

impl<V, E> fmt::Debug for Cache<V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
