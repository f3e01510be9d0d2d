//! What a cache holds: plain data.

use std::collections::{BTreeMap, HashMap};

use tokio::time::Instant;

use super::{ASK_AGAIN, Hold, Key, Question, Settings, WeakQuestion};

/// Answers, and questions under way.
pub(super) struct Held<V, E> {
    answers: HashMap<Key, Answer<V>>,
    /// Of answers that let somebody in.
    good: Room,
    /// Of the others.
    denials: Room,
    uses: u64,
    /// Kept alive by those who wait.
    asking: HashMap<Key, Asking<V, E>>,
    serials: u64,
}

/// The keys of answers of one sort, by when they were last used.
#[derive(Debug)]
struct Room {
    most: usize,
    used: BTreeMap<u64, Key>,
}

struct Asking<V, E> {
    question: WeakQuestion<V, E>,
    serial: u64,
}

struct Answer<V> {
    value: V,
    /// When it has to be asked for again.
    until: Instant,
    /// When it is worth nothing any more.
    spare_until: Instant,
    denies: bool,
    used: u64,
}

/// What is held for a question.
pub(super) enum Found<V> {
    Answer(V),
    Spare(V),
    Nothing,
}

impl<V, E> Held<V, E> {
    pub(super) fn new(settings: &Settings) -> Self {
        let room = |most| Room {
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

    /// How many questions are under way.
    #[cfg(test)]
    pub(super) fn asking(&self) -> usize {
        self.asking.len()
    }

    /// How many answers are held, and how many of them are known to be used.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        let used = self.good.used.len() + self.denials.used.len();
        (self.answers.len(), used)
    }

    /// A question gets a number that no other has.
    pub(super) fn next_serial(&mut self) -> u64 {
        self.serials += 1;
        self.serials
    }

    /// The question is under way. It is there: nobody has polled it yet.
    pub(super) fn begin(&mut self, key: Key, serial: u64, question: &Question<V, E>)
    where
        V: Clone,
        E: Clone,
    {
        let question = question.downgrade();
        self.asking
            .extend(question.map(|question| (key, Asking { question, serial })));
    }

    /// The question, if somebody waits for it.
    pub(super) fn under_way(&self, key: &Key) -> Option<Question<V, E>>
    where
        V: Clone,
        E: Clone,
    {
        self.asking.get(key)?.question.upgrade()
    }

    /// The question is not under way any more; only the one with this number, if
    /// one is given.
    pub(super) fn forget_question(&mut self, key: &Key, serial: Option<u64>) {
        let asking = self.asking.get(key);
        if asking.is_some_and(|it| serial.is_none_or(|serial| serial == it.serial)) {
            self.asking.remove(key);
        }
    }

    fn room(&mut self, denies: bool) -> &mut Room {
        if denies {
            &mut self.denials
        } else {
            &mut self.good
        }
    }
}

impl<V: Clone, E> Held<V, E> {
    pub(super) fn find(&mut self, key: &Key, now: Instant) -> Found<V> {
        let Some(answer) = self.answers.get_mut(key) else {
            return Found::Nothing;
        };
        let (before, denies) = (answer.used, answer.denies);
        let found = if answer.spare_until <= now {
            Found::Nothing
        } else if answer.until <= now {
            Found::Spare(answer.value.clone())
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

    /// Nothing is held, not even a spare.
    pub(super) fn forget(&mut self, key: &Key) {
        if let Some(before) = self.answers.remove(key) {
            self.room(before.denies).used.remove(&before.used);
        }
    }

    /// Lets a spare stand in until it is time to ask again.
    pub(super) fn go_on(&mut self, key: &Key, now: Instant) {
        if let Some(answer) = self.answers.get_mut(key) {
            answer.until = answer.spare_until.min(now + ASK_AGAIN);
        }
    }

    pub(super) fn keep(&mut self, key: Key, value: V, hold: Hold, now: Instant) {
        self.forget(&key);
        self.uses += 1;
        let (used, until) = (self.uses, now + hold.fresh);
        let answer = Answer {
            value,
            until,
            spare_until: until + hold.spare,
            denies: hold.denies,
            used,
        };
        self.answers.insert(key, answer);
        let room = self.room(hold.denies);
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
