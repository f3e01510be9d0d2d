//! What a change-over did, said while it goes on.

use serde::Serialize;

use super::owner::Owner;
use crate::{commands::Commands, compare::Comparison, printed::Outcome};

/// How the cluster is afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// As before: nothing was written.
    Unchanged,
    /// As it was wanted.
    Changed,
    /// As before: what was written was taken back.
    GoneBack,
    /// Something was written and not taken back, or it is not known.
    Unclear,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether it is as it was wanted.
    pub outcome: Outcome,
    /// How the cluster is now.
    pub state: State,
    /// What was done, and why it ended.
    pub steps: Vec<String>,
    /// What else writes the `APIService`s.
    pub owners: Vec<Owner>,
    /// The comparison, if there was one.
    pub comparison: Option<Comparison>,
}

/// Collects what is done, and says it at once.
pub struct Log<'a> {
    pub(super) commands: Commands,
    say: &'a mut (dyn FnMut(&str) + Send),
    steps: Vec<String>,
    pub(super) owners: Vec<Owner>,
    pub(super) comparison: Option<Comparison>,
}

impl std::fmt::Debug for Log<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

impl<'a> Log<'a> {
    /// One that says each line with `say`. What is to be done next is in `commands`.
    pub fn new(commands: Commands, say: &'a mut (dyn FnMut(&str) + Send)) -> Self {
        Self {
            commands,
            say,
            steps: Vec::new(),
            owners: Vec::new(),
            comparison: None,
        }
    }

    /// Something was done, or found.
    pub(super) fn step(&mut self, text: impl Into<String>) {
        let text = text.into();
        (self.say)(&text);
        self.steps.push(text);
    }

    /// Says something that the report has in another form.
    pub(super) fn show(&mut self, text: &str) {
        (self.say)(text);
    }

    /// The end.
    pub(super) fn end(&mut self, outcome: Outcome, state: State) -> Report {
        Report {
            outcome,
            state,
            steps: std::mem::take(&mut self.steps),
            owners: std::mem::take(&mut self.owners),
            comparison: self.comparison.take(),
        }
    }

    /// The end where it was interrupted, perhaps in a write.
    pub fn interrupted(&mut self) -> Report {
        let status = self.commands.command("kubectl tributary switch status");
        self.step(format!(
            "interrupted, perhaps half-way. Try again after a look at: {status}"
        ));
        self.end(Outcome::Unknown, State::Unclear)
    }

    /// The end, with the reason.
    pub(super) fn end_with(
        &mut self,
        text: impl Into<String>,
        outcome: Outcome,
        state: State,
    ) -> Report {
        self.step(text);
        self.end(outcome, state)
    }
}
