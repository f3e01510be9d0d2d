//! What happens, drawn from a seed.

use std::time::Duration;

use crate::assignment::shard::finalize;

/// Numbers that look random and follow from a seed.
#[derive(Debug)]
pub(in super::super) struct Dice(u64);

impl Dice {
    pub(in super::super) fn new(seed: u64) -> Self {
        Self(finalize(seed ^ 0x9e37_79b9_7f4a_7c15))
    }

    pub(in super::super) fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        finalize(self.0) % most
    }

    pub(super) fn millis(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.below(most))
    }
}

/// What can happen to one scraper, or to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Trouble {
    Crash,
    Leave,
    /// It stands still, as by SIGSTOP.
    Stop,
    /// It cannot reach half of the nodes.
    CutFromNodes,
    CutFromApi,
    /// It cannot reach one of the frontends.
    CutFromFrontend,
    /// The date of its machine is set, by up to an hour.
    ClockStep,
    /// Nobody can reach the API.
    ApiDown,
    Join,
}

impl Trouble {
    pub(in super::super) fn random(dice: &mut Dice) -> Self {
        const ALL: [Trouble; 9] = [
            Trouble::Crash,
            Trouble::Leave,
            Trouble::Stop,
            Trouble::CutFromNodes,
            Trouble::CutFromApi,
            Trouble::CutFromFrontend,
            Trouble::ClockStep,
            Trouble::ApiDown,
            Trouble::Join,
        ];
        ALL[usize::try_from(dice.below(9)).unwrap()]
    }
}
