use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

use super::{
    super::{pulse::PATIENCE, waiting::WaitingMetrics},
    *,
};

const MINUTE: Duration = Duration::from_mins(1);

/// A source that counts how often it was asked, and answers with the count.
#[derive(Clone, Default)]
struct Source(Arc<AtomicU32>);

impl Source {
    fn ask(&self, fresh: Duration) -> Asked {
        let count = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        async move { Ok((count, ttl(fresh, Duration::ZERO))) }.boxed()
    }
}

type Asked = BoxFuture<'static, Result<(u32, Ttl), &'static str>>;

impl Failure for &'static str {
    fn busy() -> Self {
        "busy"
    }

    fn is_outage(&self) -> bool {
        *self == "gone"
    }
}

/// Asks for a known caller.
trait Ask {
    async fn ask<F>(&self, name: &str, ask: impl FnOnce() -> F) -> Result<u32, &'static str>
    where
        F: Future<Output = Result<(u32, Ttl), &'static str>> + Send + 'static;
}

impl Ask for Cache<u32, &'static str> {
    async fn ask<F>(&self, name: &str, ask: impl FnOnce() -> F) -> Result<u32, &'static str>
    where
        F: Future<Output = Result<(u32, Ttl), &'static str>> + Send + 'static,
    {
        let caller = Caller::of(CallerKind::Proven);
        let ask = |how: How| {
            how.permitted.now();
            ask()
        };
        self.get(key(name.as_bytes()), &caller, ask).await
    }
}

fn cache(room: usize) -> Cache<u32, &'static str> {
    Cache::new(Settings {
        room,
        room_for_denials: 2,
        stale_answers: StaleAnswers::new("test"),
        pulse: Pulse::default(),
        waiting: WaitingRoom::new(WaitingMetrics::default()),
    })
}

fn ttl(fresh: Duration, stale: Duration) -> Ttl {
    Ttl {
        fresh,
        stale,
        denies: false,
    }
}

/// The result of a question: an answer that is fresh for a minute and usable while stale for ten more, or a failure.
fn says(answer: Result<u32, &'static str>) -> Asked {
    async move { answer.map(|value| (value, ttl(MINUTE, MINUTE * 10))) }.boxed()
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_cached_for_its_time() {
    let (cache, source) = (cache(8), Source::default());
    let ask = || cache.ask("a", || source.ask(MINUTE));
    assert_eq!(ask().await, Ok(1));
    tokio::time::advance(Duration::from_secs(59)).await;
    assert_eq!(ask().await, Ok(1));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(ask().await, Ok(2));
}

#[tokio::test]
async fn an_answer_for_no_time_is_not_cached() {
    let (cache, source) = (cache(8), Source::default());
    for count in [1, 2] {
        let answer = cache.ask("a", || source.ask(Duration::ZERO)).await;
        assert_eq!(answer, Ok(count));
    }
}

#[tokio::test]
async fn the_answer_not_used_for_longest_makes_way() {
    let (cache, source) = (cache(2), Source::default());
    let ask = |name: &'static str| cache.ask(name, || source.ask(MINUTE));
    for (name, count) in [("a", 1), ("b", 2), ("a", 1), ("c", 3), ("a", 1), ("b", 4)] {
        assert_eq!(ask(name).await, Ok(count), "{name}");
    }
    assert_eq!(lock(&cache.entries).sizes(), (2, 2));
}

#[tokio::test]
async fn a_failure_to_ask_is_no_answer() {
    let cache = cache(8);
    let fail = || async { Err::<(u32, Ttl), _>("gone") };
    assert_eq!(cache.ask("a", fail).await, Err("gone"));
    let source = Source::default();
    assert_eq!(cache.ask("a", || source.ask(MINUTE)).await, Ok(1));
}

#[tokio::test]
async fn those_who_ask_at_the_same_time_share_one_question() {
    let (cache, source) = (cache(8), Source::default());
    let gate = Arc::new(Notify::new());
    let ask = || {
        cache.ask("a", || {
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
    assert_eq!(lock(&cache.entries).asking(), 0);
}

#[tokio::test]
async fn a_review_without_callers_is_asked_again() {
    let (cache, source) = (cache(8), Source::default());
    let never = || std::future::pending::<Result<(u32, Ttl), &'static str>>();
    let mut given_up = Box::pin(cache.ask("a", never));
    assert!(futures::poll!(&mut given_up).is_pending());
    drop(given_up);
    assert_eq!(cache.ask("a", || source.ask(MINUTE)).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_is_used_in_an_outage_and_no_longer() {
    let cache = cache(8);
    let ask = |answer| cache.ask("a", move || says(answer));
    assert_eq!(ask(Ok(1)).await, Ok(1));
    tokio::time::advance(MINUTE).await;
    assert_eq!(ask(Err("gone")).await, Ok(1));
    assert_eq!(cache.settings.stale_answers.count(), 1);
    // The question is asked again after ten seconds, not at once.
    assert_eq!(ask(Ok(2)).await, Ok(1));
    tokio::time::advance(ASK_AGAIN).await;
    assert_eq!(ask(Ok(2)).await, Ok(2));
    tokio::time::advance(MINUTE * 11).await;
    assert_eq!(ask(Err("gone")).await, Err("gone"));
    assert_eq!(cache.settings.stale_answers.count(), 1);
    assert_eq!(lock(&cache.entries).sizes(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn using_a_stale_answer_does_not_make_it_younger() {
    let cache = cache(8);
    let ask = |answer| cache.ask("a", move || says(answer));
    assert_eq!(ask(Ok(1)).await, Ok(1));
    for _ in 0..65 {
        tokio::time::advance(ASK_AGAIN).await;
        assert_eq!(ask(Err("gone")).await, Ok(1));
    }
    // Eleven minutes have passed: the answer was fresh for one and stale for ten.
    tokio::time::advance(ASK_AGAIN).await;
    assert_eq!(ask(Err("gone")).await, Err("gone"));
}

#[tokio::test(start_paused = true)]
async fn with_a_stale_answer_no_caller_waits_long() {
    let cache = cache(8);
    assert_eq!(cache.ask("a", || says(Ok(1))).await, Ok(1));
    tokio::time::advance(MINUTE).await;
    let start = Instant::now();
    let never = || std::future::pending::<Result<(u32, Ttl), &'static str>>();
    assert_eq!(cache.ask("a", never).await, Ok(1));
    assert_eq!(start.elapsed(), PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_late_counts() {
    let cache = cache(8);
    assert_eq!(cache.ask("a", || says(Ok(1))).await, Ok(1));
    tokio::time::advance(MINUTE).await;
    let late = || async {
        tokio::time::sleep(PATIENCE * 3).await;
        Ok((2, ttl(MINUTE, MINUTE)))
    };
    assert_eq!(cache.ask("a", late).await, Ok(1));
    tokio::time::sleep(PATIENCE * 3).await;
    let never = || std::future::pending::<Result<(u32, Ttl), &'static str>>();
    assert_eq!(cache.ask("a", never).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn no_stale_answer_is_used_while_others_are_answered_or_its_turn_has_not_come() {
    let cache = cache(8);
    assert_eq!(cache.ask("a", || says(Ok(1))).await, Ok(1));
    tokio::time::advance(MINUTE).await;
    let slow = || async {
        tokio::time::sleep(PATIENCE * 5).await;
        Ok((2, ttl(MINUTE, MINUTE)))
    };
    let others = async {
        for _ in 0..10 {
            tokio::time::sleep(PATIENCE / 2).await;
            cache.settings.pulse.answered();
        }
    };
    let (answer, ()) = tokio::join!(cache.ask("a", slow), others);
    assert_eq!(answer, Ok(2));
    tokio::time::advance(MINUTE).await;
    // The turn never comes, so this does not count as an outage.
    let waits = |_: How| async {
        tokio::time::sleep(PATIENCE * 10).await;
        Err("busy")
    };
    let caller = Caller::of(CallerKind::Proven);
    let answer = cache.get(key(b"a"), &caller, waits).await;
    assert_eq!(answer, Err("busy"));
    assert_eq!(cache.settings.stale_answers.count(), 0);
}

#[tokio::test]
async fn any_number_of_denials_evict_no_approval() {
    let (cache, source) = (cache(2), Source::default());
    assert_eq!(cache.ask("good", || source.ask(MINUTE)).await, Ok(1));
    for name in 0..100 {
        let denied = || async { Ok((0, Ttl::denial(MINUTE))) };
        let answer = cache.ask(&format!("bad-{name}"), denied).await;
        assert_eq!(answer, Ok(0));
    }
    assert_eq!(cache.ask("good", || source.ask(MINUTE)).await, Ok(1));
    assert_eq!(lock(&cache.entries).sizes(), (3, 3));
}

#[tokio::test]
async fn a_caller_beyond_the_limit_is_refused_at_once() {
    let (cache, source) = (cache(8), Source::default());
    let never = |_: How| std::future::pending::<Result<(u32, Ttl), &'static str>>();
    let stranger = Caller::of(CallerKind::Anonymous);
    let mut waiting = Vec::new();
    for at in 0..100 {
        let name = format!("{at}");
        let mut one = Box::pin(cache.get(key(name.as_bytes()), &stranger, never));
        assert!(futures::poll!(&mut one).is_pending());
        waiting.push(one);
    }
    assert_eq!(lock(&cache.entries).asking(), 100);
    let one_more = cache.get(key(b"more"), &stranger, never).await;
    assert_eq!(one_more, Err("busy"));
    assert_eq!(cache.ask("known", || source.ask(MINUTE)).await, Ok(1));
    drop(waiting);
    assert_eq!(lock(&cache.entries).asking(), 0, "nobody waits for them");
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_does_not_stand_against_a_new_one() {
    let cache = cache(8);
    let ask = |answer| cache.ask("a", move || answer);
    assert_eq!(ask(says(Ok(1))).await, Ok(1));
    tokio::time::advance(MINUTE).await;
    assert_eq!(ask(says(Err("not you"))).await, Err("not you"));
    // An answer that must not be cached also removes the stale one.
    let source = Source::default();
    assert_eq!(ask(source.ask(Duration::ZERO)).await, Ok(1));
    assert_eq!(ask(says(Err("gone"))).await, Err("gone"));
    assert_eq!(cache.settings.stale_answers.count(), 0);
}
