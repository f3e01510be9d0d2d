//! Answers for a while: bounded, each asked for once however many wait for it.
//!
//! A failure to ask is never kept, because it is no answer. Whoever waits for
//! the same question shares the failure, though: they asked at the same time.
//!
//! While nobody can be asked, an answer that is past its time may stand in for
//! a while longer ([`Hold::spare`]). It is asked for again and again meanwhile,
//! and never replaces an answer.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};
use tokio::time::{Instant, timeout};

use super::metrics::Spares;

/// How long whoever has a spare answer waits for a new one: long for a review,
/// short for those who are served meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);

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
}

impl Hold {
    /// For so long and no longer.
    pub(crate) fn only(fresh: Duration) -> Self {
        let spare = Duration::ZERO;
        Self { fresh, spare }
    }
}

/// Why there is no answer.
pub(crate) trait Failure {
    /// Whether nobody could be asked. If not, somebody was asked and did not
    /// answer the question: a spare answer would be against their word.
    fn is_outage(&self) -> bool;
}

/// Answers by question.
pub(crate) struct Cache<V, E> {
    held: Arc<Mutex<Held<V, E>>>,
    spares: Spares,
}

type Question<V, E> = Shared<BoxFuture<'static, Result<V, E>>>;

struct Held<V, E> {
    room: usize,
    answers: HashMap<Key, Answer<V>>,
    /// The keys of the answers by when they were last used.
    used: BTreeMap<u64, Key>,
    uses: u64,
    /// Questions under way, kept alive by those who wait: at most one for each
    /// request under way, which the server bounds.
    asking: HashMap<Key, WeakShared<BoxFuture<'static, Result<V, E>>>>,
}

struct Answer<V> {
    value: V,
    /// When it has to be asked for again.
    until: Instant,
    /// When it is worth nothing any more.
    spare_until: Instant,
    used: u64,
}

/// What is held for a question.
enum Found<V> {
    Answer(V),
    Spare(V),
    Nothing,
}

impl<V, E> Cache<V, E>
where
    V: Clone + Send + Sync + 'static,
    E: Failure + Clone + Send + Sync + 'static,
{
    /// Room for so many answers; the one not used for longest makes way.
    /// `spares` counts where one had to stand in.
    pub(crate) fn new(room: usize, spares: Spares) -> Self {
        let held = Held {
            room,
            answers: HashMap::new(),
            used: BTreeMap::new(),
            uses: 0,
            asking: HashMap::new(),
        };
        Self {
            held: Arc::new(Mutex::new(held)),
            spares,
        }
    }

    /// The answer that is held, or else that of `ask`, which says for how long
    /// it may be held; zero is not at all.
    ///
    /// `ask` is dropped when nobody waits for it any more.
    pub(crate) async fn get<F>(&self, key: Key, ask: impl FnOnce() -> F) -> Result<V, E>
    where
        F: Future<Output = Result<(V, Hold), E>> + Send + 'static,
    {
        let question = {
            let mut held = lock(&self.held);
            let spare = match held.find(&key, Instant::now()) {
                Found::Answer(value) => return Ok(value),
                Found::Spare(value) => Some(value),
                Found::Nothing => None,
            };
            let asked = held.asking.get(&key).and_then(WeakShared::upgrade);
            asked.unwrap_or_else(|| {
                let question = self.question(key, spare, ask());
                held.asking.retain(|_, asked| asked.upgrade().is_some());
                // It is there: nobody has polled the question yet.
                held.asking
                    .extend(question.downgrade().map(|weak| (key, weak)));
                question
            })
        };
        question.await
    }

    fn question<F>(&self, key: Key, spare: Option<V>, ask: F) -> Question<V, E>
    where
        F: Future<Output = Result<(V, Hold), E>> + Send + 'static,
    {
        let (held, spares) = (Arc::clone(&self.held), self.spares.clone());
        let question = async move {
            let Some(spare) = spare else {
                let answer = ask.await;
                return settle(&held, key, answer, &spares);
            };
            match timeout(PATIENCE, ask).await {
                Ok(Ok(answer)) => settle(&held, key, Ok(answer), &spares),
                Ok(Err(error)) if !error.is_outage() => settle(&held, key, Err(error), &spares),
                Ok(Err(_)) | Err(_) => {
                    let mut held = lock(&held);
                    held.asking.remove(&key);
                    held.go_on(&key, Instant::now());
                    spares.used();
                    Ok(spare)
                }
            }
        };
        question.boxed().shared()
    }
}

/// Holds an answer, if it is one and may be held.
fn settle<V: Clone, E>(
    cache: &Mutex<Held<V, E>>,
    key: Key,
    answer: Result<(V, Hold), E>,
    spares: &Spares,
) -> Result<V, E> {
    let mut cache = lock(cache);
    cache.asking.remove(&key);
    let (value, hold) = answer?;
    spares.not_needed();
    if hold.fresh.is_zero() {
        cache.forget(&key);
    } else {
        cache.keep(key, value.clone(), Instant::now() + hold.fresh, hold.spare);
    }
    Ok(value)
}

impl<V: Clone, E> Held<V, E> {
    fn find(&mut self, key: &Key, now: Instant) -> Found<V> {
        let Some(answer) = self.answers.get_mut(key) else {
            return Found::Nothing;
        };
        self.used.remove(&answer.used);
        if answer.spare_until <= now {
            self.answers.remove(key);
            return Found::Nothing;
        }
        self.uses += 1;
        answer.used = self.uses;
        self.used.insert(self.uses, *key);
        let value = answer.value.clone();
        if answer.until <= now {
            Found::Spare(value)
        } else {
            Found::Answer(value)
        }
    }

    /// Nothing is held, not even a spare.
    fn forget(&mut self, key: &Key) {
        if let Some(before) = self.answers.remove(key) {
            self.used.remove(&before.used);
        }
    }

    /// Lets a spare stand in until it is time to ask again.
    fn go_on(&mut self, key: &Key, now: Instant) {
        if let Some(answer) = self.answers.get_mut(key) {
            answer.until = answer.spare_until.min(now + ASK_AGAIN);
        }
    }

    fn keep(&mut self, key: Key, value: V, until: Instant, spare: Duration) {
        self.uses += 1;
        let used = self.uses;
        let answer = Answer {
            value,
            until,
            spare_until: until + spare,
            used,
        };
        if let Some(before) = self.answers.insert(key, answer) {
            self.used.remove(&before.used);
        }
        self.used.insert(used, key);
        while self.answers.len() > self.room
            && let Some((_, oldest)) = self.used.pop_first()
        {
            self.answers.remove(&oldest);
        }
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
