//! Which endpoint of a kubelet is asked.
//!
//! Kubelets before Kubernetes 1.18, and many virtual nodes, have no
//! `/metrics/resource`. One that says so is asked for the next endpoint at once, and
//! what it has is remembered. Only now and then a better one is looked for: such a
//! look costs one request, and nothing else whatever is answered.

use std::{time::Duration, vec};

use tokio::time::Instant;
use tributary_model::Endpoint;

/// A better endpoint is looked for so often while another delivers: kubelets are
/// upgraded a few times a year.
const LOOK_AGAIN: Duration = Duration::from_mins(10);

/// The same while nothing delivers: what passed for a kubelet without an endpoint may
/// have been one that was starting.
const LOOK_AGAIN_SOON: Duration = Duration::from_mins(1);

/// What is known of the endpoints of one kubelet.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    /// The one that it has. `None`: not known, or it has none.
    found: Option<Endpoint>,
    /// When to look for a better one, or for any. `None`: not looked for yet.
    look_at: Option<Instant>,
    /// Which of the better ones is looked for next.
    turn: usize,
}

/// How an endpoint answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// With numbers.
    Numbers,
    /// The kubelet does not have it.
    Absent,
    /// Something else, of no use.
    Refusal,
    /// Not at all.
    Silence,
}

/// The endpoints to ask at one scrape, each if the one before is of no use.
#[derive(Debug)]
pub(super) struct Round {
    now: Instant,
    rest: vec::IntoIter<Endpoint>,
    /// Whether it is being asked for what is not known to be there.
    looks: bool,
    /// The better endpoint that is only looked for, until it has answered.
    look: Option<Endpoint>,
}

impl Endpoints {
    /// Begins a round with its first endpoint.
    pub(super) fn begin(&mut self, now: Instant) -> (Endpoint, Round) {
        let is_due = self.look_at.is_none_or(|at| now >= at);
        let look = self.better().filter(|_| is_due);
        self.turn = self.turn.wrapping_add(usize::from(look.is_some()));
        let first = look.or(self.found).unwrap_or_default();
        let mut order: Vec<Endpoint> = self.found.into_iter().collect();
        // Of a kubelet that had none a moment ago only the first is asked.
        if self.found.is_some() || is_due {
            order.extend(Endpoint::ALL);
        }
        let mut rest = Vec::with_capacity(Endpoint::ALL.len());
        for endpoint in order {
            if endpoint != first && !rest.contains(&endpoint) {
                rest.push(endpoint);
            }
        }
        let round = Round {
            now,
            rest: rest.into_iter(),
            looks: look.is_some() || (self.found.is_none() && is_due),
            look,
        };
        (first, round)
    }

    /// Takes in how `asked`, the last endpoint of `round`, answered. Gives the one to
    /// be asked instead, if any.
    pub(super) fn next(
        &mut self,
        round: &mut Round,
        asked: Endpoint,
        answer: Answer,
    ) -> Option<Endpoint> {
        let is_look = round.look.take().is_some();
        let goes_on = answer == Answer::Absent || (is_look && answer == Answer::Refusal);
        let next = goes_on.then(|| round.rest.next()).flatten();
        if next.is_none() {
            self.end(round, asked, answer, is_look);
        }
        next
    }

    fn end(&mut self, round: &Round, asked: Endpoint, answer: Answer, is_look: bool) {
        let before = self.found;
        self.found = match answer {
            Answer::Numbers | Answer::Refusal => Some(asked),
            Answer::Absent => None,
            Answer::Silence => before,
        };
        let soon = round.now + LOOK_AGAIN_SOON;
        let later = round.now + LOOK_AGAIN;
        let planned = self.look_at.filter(|_| !round.looks);
        match answer {
            Answer::Numbers if self.found == before => {
                self.look_at = planned.or(Some(later));
            }
            Answer::Numbers => self.look_at = Some(later),
            Answer::Absent | Answer::Refusal => {
                self.look_at = Some(planned.map_or(soon, |at| at.min(soon)));
            }
            // It may be as silent at the next look.
            Answer::Silence if is_look => self.look_at = Some(later),
            Answer::Silence => {}
        }
    }

    /// One of those that are better than what was found, each in its turn.
    fn better(&self) -> Option<Endpoint> {
        let found = self.found?;
        let better = Endpoint::ALL.into_iter().take_while(|it| *it != found);
        let count = better.clone().count();
        better.clone().nth(self.turn.checked_rem(count)?)
    }
}

#[cfg(test)]
mod tests;
