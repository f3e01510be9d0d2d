//! Answers for a while: bounded, each asked for once however many wait for it.
//!
//! A failure to ask is never kept, because it is no answer. Whoever waits for
//! the same question shares the failure, though: they asked at the same time.
//!
//! While no review of the kind is answered, an answer that is past its time may
//! stand in for a while longer ([`Hold::spare`], [`Pulse`]). It is asked for again
//! and again meanwhile, and never replaces an answer.
//!
//! # Invariants
//!
//! - A question under way is known while somebody waits for it, and no longer.
//! - Answers that let nobody in have room of their own: strangers can make any
//!   number of them, and push out none that lets somebody in.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};
use tokio::{task::JoinSet, time::Instant};

use self::held::{Found, Held};
use super::{
    metrics::Spares,
    pulse::{Permitted, Pulse},
    waiting::{Caller, Standing, WaitingRoom},
};

mod held;

/// How long a spare answer stands in before the question is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// What a question is known by: the hash of all that it depends on. So no token
/// stays in memory, and every key has the same size.
pub(crate) type Key = [u8; 32];

/// The key of a text.
pub(crate) fn key(text: &[u8]) -> Key {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text);
    // SHA-256 has 32 bytes.
    hash.as_ref().try_into().unwrap_or_default()
}

/// How long an answer is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hold {
    /// So long it is taken for what would be answered; zero is not at all.
    pub(crate) fresh: Duration,
    /// So long after that it may stand in while nobody can be asked.
    pub(crate) spare: Duration,
    /// Whether it lets nobody in.
    pub(crate) denies: bool,
}

impl Hold {
    /// An answer that lets nobody in, for so long and no longer.
    pub(crate) fn denial(fresh: Duration) -> Self {
        Self {
            fresh,
            spare: Duration::ZERO,
            denies: true,
        }
    }
}

/// Why there is no answer.
pub(crate) trait Failure {
    /// There was no place for the question.
    fn busy() -> Self;

    /// Whether nobody can be asked, which was found out as [`Pulse`] says. If
    /// not, a spare answer would be against the word of somebody who was asked.
    fn is_outage(&self) -> bool;
}

/// In which line a question waits for its turn to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Those of callers who showed nothing.
    Anonymous,
    /// Those that were not answered lately.
    New,
    /// Those whose earlier answer let somebody in, and those of publishers.
    Known,
}

/// How a question is to be asked.
#[derive(Clone, Debug)]
pub(crate) struct How {
    pub(crate) lane: Lane,
    /// Whether there is an answer that may stand in.
    pub(crate) spare: bool,
    /// To be set when its turn has come.
    pub(crate) permitted: Permitted,
}

/// Answers by question.
pub(crate) struct Cache<V, E> {
    held: Arc<Mutex<Held<V, E>>>,
    settings: Settings,
    /// Questions for which an answer stood in, and which are under way yet. Each
    /// has a permit, so there are at most as many.
    late: Arc<Mutex<JoinSet<()>>>,
}

/// What a cache is made of.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// How many answers that let somebody in are held; the one not used for
    /// longest makes way.
    pub(crate) room: usize,
    /// How many others.
    pub(crate) room_for_denials: usize,
    /// Counts where an answer had to stand in.
    pub(crate) spares: Spares,
    /// Whether reviews of this kind are answered.
    pub(crate) pulse: Pulse,
    /// Where those wait who ask.
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
            held: Arc::new(Mutex::new(Held::new(&settings))),
            settings,
            late: Arc::default(),
        }
    }

    /// The answer that is held, or else that of `ask`, which says for how long
    /// it may be held; zero is not at all.
    ///
    /// `ask` is dropped when nobody waits for it any more.
    pub(crate) async fn get<F>(
        &self,
        key: Key,
        caller: &Caller,
        ask: impl FnOnce(How) -> F,
    ) -> Result<V, E>
    where
        F: Future<Output = Result<(V, Hold), E>> + Send + 'static,
    {
        let (question, _seat) = {
            let mut held = lock(&self.held);
            let spare = match held.find(&key, Instant::now()) {
                Found::Answer(value) => return Ok(value),
                Found::Spare(value) => Some(value),
                Found::Nothing => None,
            };
            let seat = self.settings.waiting.enter(caller, spare.is_some());
            let seat = seat.map_err(|_| E::busy())?;
            let question = held.under_way(&key).unwrap_or_else(|| {
                let how = How {
                    lane: lane(caller.standing, spare.is_some()),
                    spare: spare.is_some(),
                    permitted: Permitted::default(),
                };
                let permitted = how.permitted.clone();
                let entry = Entry {
                    held: Arc::clone(&self.held),
                    key,
                    serial: held.next_serial(),
                };
                let serial = entry.serial;
                let question = match spare {
                    None => settled(entry, self.settings.clone(), ask(how)).boxed(),
                    Some(spare) => self.impatient(entry, (spare, permitted), ask(how)).boxed(),
                };
                let question = question.shared();
                held.begin(key, serial, &question);
                question
            });
            (question, seat)
        };
        question.await
    }

    /// The answer of `ask`, or `spare` if it fails or nothing comes of it because
    /// nobody can be asked.
    fn impatient<F>(
        &self,
        entry: Entry<V, E>,
        (spare, permitted): (V, Permitted),
        ask: F,
    ) -> impl Future<Output = Result<V, E>> + Send + use<V, E, F>
    where
        F: Future<Output = Result<(V, Hold), E>> + Send + 'static,
    {
        let (late, settings) = (Arc::clone(&self.late), self.settings.clone());
        async move {
            let held = Arc::clone(&entry.held);
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
                        // What it says counts when it comes.
                        late.spawn(ask.map(drop));
                    }
                }
            }
            let mut held = lock(&held);
            held.forget_question(&key, None);
            held.go_on(&key, Instant::now());
            settings.spares.used();
            Ok(spare)
        }
    }
}

/// In which line the question of somebody waits.
fn lane(standing: Standing, known: bool) -> Lane {
    match standing {
        Standing::Anonymous => Lane::Anonymous,
        Standing::Publisher => Lane::Known,
        Standing::Unproven | Standing::Proven if known => Lane::Known,
        Standing::Unproven | Standing::Proven => Lane::New,
    }
}

/// The answer of `ask`, which is held if it may be.
async fn settled<V: Clone, E, F>(entry: Entry<V, E>, settings: Settings, ask: F) -> Result<V, E>
where
    F: Future<Output = Result<(V, Hold), E>>,
{
    let answer = ask.await;
    let (value, hold) = answer?;
    settings.spares.not_needed();
    let mut answers = lock(&entry.held);
    answers.forget_question(&entry.key, Some(entry.serial));
    if hold.fresh.is_zero() {
        answers.forget(&entry.key);
    } else {
        answers.keep(entry.key, value.clone(), hold, Instant::now());
    }
    Ok(value)
}

/// That a question is under way, until this is dropped: when it is answered, or
/// nobody waits for it.
struct Entry<V, E> {
    held: Arc<Mutex<Held<V, E>>>,
    key: Key,
    serial: u64,
}

impl<V, E> Drop for Entry<V, E> {
    fn drop(&mut self) {
        lock(&self.held).forget_question(&self.key, Some(self.serial));
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<V, E> fmt::Debug for Cache<V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
