//! Answers for a while: bounded, each asked for once however many wait for it.
//!
//! A failure to ask is never kept, because it is no answer. Whoever waits for
//! the same question shares the failure, though: they asked at the same time.

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
use tokio::time::Instant;

/// What a question is known by: the hash of all that it depends on. So no token
/// stays in memory, and every key has the same size.
pub(crate) type Key = [u8; 32];

/// The key of a text.
pub(crate) fn key(text: &[u8]) -> Key {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text);
    // SHA-256 has 32 bytes.
    hash.as_ref().try_into().unwrap_or_default()
}

/// Answers by question.
pub(crate) struct Cache<V, E>(Arc<Mutex<Held<V, E>>>);

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
    until: Instant,
    used: u64,
}

impl<V, E> Cache<V, E>
where
    V: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// Room for so many answers; the one not used for longest makes way.
    pub(crate) fn new(room: usize) -> Self {
        Self(Arc::new(Mutex::new(Held {
            room,
            answers: HashMap::new(),
            used: BTreeMap::new(),
            uses: 0,
            asking: HashMap::new(),
        })))
    }

    /// The answer that is held, or else that of `ask`, which says for how long
    /// it may be held; zero is not at all.
    ///
    /// `ask` is dropped when nobody waits for it any more.
    pub(crate) async fn get<F>(&self, key: Key, ask: impl FnOnce() -> F) -> Result<V, E>
    where
        F: Future<Output = Result<(V, Duration), E>> + Send + 'static,
    {
        let question = {
            let mut held = lock(&self.0);
            if let Some(value) = held.answer(&key, Instant::now()) {
                return Ok(value);
            }
            let asked = held.asking.get(&key).and_then(WeakShared::upgrade);
            asked.unwrap_or_else(|| {
                let question = self.question(key, ask());
                held.asking.retain(|_, asked| asked.upgrade().is_some());
                // It is there: nobody has polled the question yet.
                held.asking
                    .extend(question.downgrade().map(|weak| (key, weak)));
                question
            })
        };
        question.await
    }

    fn question<F>(&self, key: Key, ask: F) -> Question<V, E>
    where
        F: Future<Output = Result<(V, Duration), E>> + Send + 'static,
    {
        let held = Arc::clone(&self.0);
        let question = async move {
            let answer = ask.await;
            let mut held = lock(&held);
            held.asking.remove(&key);
            let (value, keep) = answer?;
            if !keep.is_zero() {
                held.keep(key, value.clone(), Instant::now() + keep);
            }
            Ok(value)
        };
        question.boxed().shared()
    }
}

impl<V: Clone, E> Held<V, E> {
    fn answer(&mut self, key: &Key, now: Instant) -> Option<V> {
        let answer = self.answers.get_mut(key)?;
        self.used.remove(&answer.used);
        if answer.until <= now {
            self.answers.remove(key);
            return None;
        }
        self.uses += 1;
        answer.used = self.uses;
        self.used.insert(self.uses, *key);
        Some(answer.value.clone())
    }

    fn keep(&mut self, key: Key, value: V, until: Instant) {
        self.uses += 1;
        let used = self.uses;
        let answer = Answer { value, until, used };
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
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    /// A source that counts how often it was asked, and answers with the count.
    #[derive(Clone, Default)]
    struct Source(Arc<AtomicU32>);

    impl Source {
        fn ask(&self, keep: Duration) -> BoxFuture<'static, Result<(u32, Duration), &'static str>> {
            let count = self.0.fetch_add(1, Ordering::Relaxed) + 1;
            async move { Ok((count, keep)) }.boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_held_as_long_as_it_may_be() {
        let (cache, source) = (Cache::new(8), Source::default());
        let ask = || cache.get(key(b"a"), || source.ask(MINUTE));
        assert_eq!(ask().await, Ok(1));
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(ask().await, Ok(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(ask().await, Ok(2));
    }

    #[tokio::test]
    async fn an_answer_for_no_time_is_not_held() {
        let (cache, source) = (Cache::new(8), Source::default());
        for count in [1, 2] {
            let answer = cache.get(key(b"a"), || source.ask(Duration::ZERO)).await;
            assert_eq!(answer, Ok(count));
        }
    }

    #[tokio::test]
    async fn the_answer_not_used_for_longest_makes_way() {
        let (cache, source) = (Cache::new(2), Source::default());
        let ask = |name: &'static str| cache.get(key(name.as_bytes()), || source.ask(MINUTE));
        for (name, count) in [("a", 1), ("b", 2), ("a", 1), ("c", 3), ("a", 1), ("b", 4)] {
            assert_eq!(ask(name).await, Ok(count), "{name}");
        }
        assert_eq!(lock(&cache.0).answers.len(), 2);
        assert_eq!(lock(&cache.0).used.len(), 2);
    }

    #[tokio::test]
    async fn a_failure_to_ask_is_no_answer() {
        let cache = Cache::new(8);
        let fail = || async { Err::<(u32, Duration), _>("gone") };
        assert_eq!(cache.get(key(b"a"), fail).await, Err("gone"));
        let source = Source::default();
        assert_eq!(cache.get(key(b"a"), || source.ask(MINUTE)).await, Ok(1));
    }

    #[tokio::test]
    async fn those_who_ask_at_the_same_time_share_one_question() {
        let (cache, source) = (Cache::new(8), Source::default());
        let gate = Arc::new(Notify::new());
        let ask = || {
            cache.get(key(b"a"), || {
                let (gate, answer) = (Arc::clone(&gate), source.ask(MINUTE));
                async move {
                    gate.notified().await;
                    answer.await
                }
            })
        };
        let open = async { gate.notify_one() };
        let (one, two, three, ()) = tokio::join!(ask(), ask(), ask(), open);
        assert_eq!([one, two, three], [Ok(1), Ok(1), Ok(1)]);
        assert!(lock(&cache.0).asking.is_empty());
    }

    #[tokio::test]
    async fn a_question_nobody_waits_for_is_asked_anew() {
        let (cache, source) = (Cache::new(8), Source::default());
        let never = || std::future::pending::<Result<(u32, Duration), &'static str>>();
        let mut given_up = Box::pin(cache.get(key(b"a"), never));
        assert!(futures::poll!(&mut given_up).is_pending());
        drop(given_up);
        assert_eq!(cache.get(key(b"a"), || source.ask(MINUTE)).await, Ok(1));
    }
}
