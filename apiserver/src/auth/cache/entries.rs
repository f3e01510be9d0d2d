//! The data of a cache.

use std::collections::{BTreeMap, HashMap};

use tokio::time::Instant;

use super::{ASK_AGAIN, Key, Question, Settings, Ttl, WeakQuestion};

/// Answers, and questions in flight.
pub(super) struct Entries<V, E> {
    answers: HashMap<Key, Answer<V>>,
    /// Approvals.
    good: Capacity,
    /// Denials.
    denials: Capacity,
    uses: u64,
    /// The waiting requests keep them alive.
    asking: HashMap<Key, Asking<V, E>>,
    serials: u64,
}

/// The keys of one kind of answers, by their last use.
#[derive(Debug)]
struct Capacity {
    most: usize,
    used: BTreeMap<u64, Key>,
}

struct Asking<V, E> {
    question: WeakQuestion<V, E>,
    serial: u64,
}

struct Answer<V> {
    value: V,
    /// When it must be asked again.
    until: Instant,
    /// When it must not be used, even as a stale answer.
    stale_until: Instant,
    denies: bool,
    used: u64,
}

/// What the cache has for a question.
pub(super) enum Found<V> {
    Answer(V),
    Stale(V),
    Nothing,
}

impl<V, E> Entries<V, E> {
    pub(super) fn new(settings: &Settings) -> Self {
        let room = |most| Capacity {
            most,
            used: BTreeMap::new(),
        };
        Self {
            answers: HashMap::new(),
            good: room(settings.room),
            denials: room(settings.room_for_denials),
            uses: 0,
            asking: HashMap::new(),
            serials: 0,
        }
    }

    /// The number of questions in flight.
    #[cfg(test)]
    pub(super) fn asking(&self) -> usize {
        self.asking.len()
    }

    /// The number of answers, and the number of entries in the queues of last use.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        let used = self.good.used.len() + self.denials.used.len();
        (self.answers.len(), used)
    }

    /// A unique number for a question.
    pub(super) fn next_serial(&mut self) -> u64 {
        self.serials += 1;
        self.serials
    }

    /// Adds a question in flight. No request has polled it yet.
    pub(super) fn begin(&mut self, key: Key, serial: u64, question: &Question<V, E>)
    where
        V: Clone,
        E: Clone,
    {
        let question = question.downgrade();
        self.asking
            .extend(question.map(|question| (key, Asking { question, serial })));
    }

    /// The question, if a request waits for it.
    pub(super) fn in_flight(&self, key: &Key) -> Option<Question<V, E>>
    where
        V: Clone,
        E: Clone,
    {
        self.asking.get(key)?.question.upgrade()
    }

    /// Removes a question in flight. If a number is given, only the question with this number.
    pub(super) fn forget_question(&mut self, key: &Key, serial: Option<u64>) {
        let asking = self.asking.get(key);
        if asking.is_some_and(|it| serial.is_none_or(|serial| serial == it.serial)) {
            self.asking.remove(key);
        }
    }

    fn room(&mut self, denies: bool) -> &mut Capacity {
        if denies {
            &mut self.denials
        } else {
            &mut self.good
        }
    }
}

impl<V: Clone, E> Entries<V, E> {
    pub(super) fn find(&mut self, key: &Key, now: Instant) -> Found<V> {
        let Some(answer) = self.answers.get_mut(key) else {
            return Found::Nothing;
        };
        let (before, denies) = (answer.used, answer.denies);
        let found = if answer.stale_until <= now {
            Found::Nothing
        } else if answer.until <= now {
            Found::Stale(answer.value.clone())
        } else {
            Found::Answer(answer.value.clone())
        };
        self.uses += 1;
        let used = self.uses;
        answer.used = used;
        let gone = matches!(found, Found::Nothing);
        if gone {
            self.answers.remove(key);
        }
        let room = self.room(denies);
        room.used.remove(&before);
        if !gone {
            room.used.insert(used, *key);
        }
        found
    }

    /// Removes the answer, also as a stale one.
    pub(super) fn forget(&mut self, key: &Key) {
        if let Some(before) = self.answers.remove(key) {
            self.room(before.denies).used.remove(&before.used);
        }
    }

    /// Uses a stale answer until it is time to ask again.
    pub(super) fn go_on(&mut self, key: &Key, now: Instant) {
        if let Some(answer) = self.answers.get_mut(key) {
            answer.until = answer.stale_until.min(now + ASK_AGAIN);
        }
    }

    pub(super) fn keep(&mut self, key: Key, value: V, ttl: Ttl, now: Instant) {
        self.forget(&key);
        self.uses += 1;
        let (used, until) = (self.uses, now + ttl.fresh);
        let answer = Answer {
            value,
            until,
            stale_until: until + ttl.stale,
            denies: ttl.denies,
            used,
        };
        self.answers.insert(key, answer);
        let room = self.room(ttl.denies);
        room.used.insert(used, key);
        let mut too_many = Vec::new();
        while room.used.len() > room.most
            && let Some((_, oldest)) = room.used.pop_first()
        {
            too_many.push(oldest);
        }
        for key in too_many {
            self.answers.remove(&key);
        }
    }
}
