//! Pages of `/metrics/resource` -> [`Reading`].
//!
//! What a node reports changes slowly, so the [`Layout`] of a node remembers
//! the roster of its last page and which row each line was about. The next page
//! is read against that: every line is predicted, its labels are compared with
//! the names of the predicted row, and the numbers go straight into columns.
//! No line of an unchanged page is hashed, looked up or allocated for. At the
//! first line that is not as predicted the page is read anew, twice: for its
//! names, then for its numbers.
//!
//! What cannot be used is refused in the smallest unit, the series, and
//! counted. A container whose numbers were refused stays in the roster without
//! them, so that its pod is not served as if it were whole.

mod family;
mod fill;
mod identity;
mod refused;

use std::{collections::HashSet, sync::Arc};

use tributary_model::{
    ContainerName, InvalidRoster, NodeName, PodKey, Reading, Roster, RosterBuilder, Timestamp,
};

pub use self::refused::{Refusals, Refused};
use self::{
    family::Family,
    fill::{Fill, Filled, Rows},
    identity::{Identity, pod_of},
};
use super::exposition::Exposition;

/// What is remembered of the last page of one node.
#[derive(Clone, Debug)]
pub struct Layout {
    roster: Arc<Roster>,
    /// The row of each line about a container, in the order of the page. As
    /// many as the page had such lines, so bounded by its size.
    rows: Box<[u32]>,
}

/// What a page says.
#[derive(Debug)]
pub struct Decoded {
    /// The numbers.
    pub reading: Reading,
    /// What was not used, and why.
    pub refused: Refusals,
    /// The kubelet says that it could not measure everything
    /// (`resource_scrape_error 1`).
    pub scrape_error: bool,
}

/// A page without anything to use.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// Not a page of metrics.
    #[error("line {line} is not a metric: `{text}`")]
    Malformed {
        /// The first line that is none.
        line: u32,
        /// Its beginning.
        text: String,
    },
    /// It has the right series and none of them can be used.
    #[error("nothing on the page can be used: {0}")]
    Refused(Refusals),
    /// More containers than a node may have.
    #[error("more than {} containers on the page", Roster::MAX_CONTAINERS)]
    TooManyContainers,
    /// A page of metrics that has nothing about the node or a container.
    #[error(
        "no usage of the node or of a container on the page{}",
        if *.scrape_error { "; the kubelet reports resource_scrape_error 1" } else { "" }
    )]
    Empty {
        /// As in [`Decoded`].
        scrape_error: bool,
    },
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            roster: RosterBuilder::default().build(),
            rows: Box::default(),
        }
    }
}

impl Layout {
    /// Reads a page of `node`, asked for at `asked_at`, which stands in for
    /// timestamps that the page does not give (PARITY 3.3).
    ///
    /// # Errors
    ///
    /// Nothing on the page can be used; [`Undecodable`] says why.
    pub fn decode(
        &mut self,
        page: &[u8],
        node: &NodeName,
        asked_at: Timestamp,
    ) -> Result<Decoded, Undecodable> {
        let filled = match self.read_as_before(page, asked_at) {
            Some(filled) => filled,
            None => self.read_anew(page, asked_at)?,
        };
        if !filled.is_of_use {
            return Err(why_nothing(page, filled));
        }
        Ok(Decoded {
            reading: Reading {
                node: node.clone(),
                roster: Arc::clone(&self.roster),
                asked_at,
                point: filled.point,
                columns: filled.columns,
            },
            refused: filled.refused,
            scrape_error: filled.scrape_error,
        })
    }

    fn read_as_before(&self, page: &[u8], asked_at: Timestamp) -> Option<Filled> {
        let rows = Rows::Remembered(self.rows.iter());
        let fill = Fill::new(&self.roster, rows, asked_at);
        fill.page(page).ok()
    }

    fn read_anew(&mut self, page: &[u8], asked_at: Timestamp) -> Result<Filled, Undecodable> {
        let roster = names(page, &self.roster)?;
        if *roster != *self.roster {
            self.roster = roster;
        }
        let mut rows = Vec::new();
        let fill = Fill::new(&self.roster, Rows::LookedUp(&mut rows), asked_at);
        // Looking up cannot be wrong about what comes next.
        let filled = fill.page(page).unwrap_or_default();
        self.rows = rows.into();
        Ok(filled)
    }
}

/// The roster of a page, sharing its names with `known`.
///
/// A pod of which a container cannot be read is left out: a part of a pod must
/// not pass for the whole (DESIGN 3.3).
///
/// A container is one that has CPU, memory or a start time, good or bad. Swap
/// alone makes none: it would hide its pod for want of the others.
fn names(page: &[u8], known: &Roster) -> Result<Arc<Roster>, Undecodable> {
    let mut shared = Shared::new(known);
    let mut builder = RosterBuilder::default();
    let mut torn = Vec::new();
    for line in Exposition::new(page) {
        let makes_a_row = matches!(
            Family::of(line.name),
            Some(Family::ContainerCpu | Family::ContainerMemory | Family::ContainerStart)
        );
        if !makes_a_row {
            continue;
        }
        let Ok(series) = line.series() else {
            continue;
        };
        let identity = Identity::read(series.labels);
        let Ok(names) = identity.and_then(|identity| identity.names()) else {
            if let Some((namespace, pod)) = pod_of(series.labels) {
                torn.push(PodKey::new(shared.of(&namespace), shared.of(&pod)));
            }
            continue;
        };
        let key = PodKey::new(shared.of(&names.namespace), shared.of(&names.pod));
        let container = ContainerName::from(shared.of(&names.container));
        if let Err(InvalidRoster::TooManyContainers { .. }) = builder.add(key, container) {
            return Err(Undecodable::TooManyContainers);
        }
    }
    for pod in &torn {
        builder.remove(pod);
    }
    Ok(builder.build())
}

/// Texts of which equal ones share memory: most containers of a node have one
/// of a few names, and its pods are in a few namespaces.
struct Shared(HashSet<Arc<str>>);

impl Shared {
    fn new(known: &Roster) -> Self {
        let mut texts = HashSet::new();
        for pod in known.pods() {
            texts.insert(Arc::clone(&pod.key.namespace));
            texts.insert(Arc::clone(&pod.key.name));
        }
        Self(texts)
    }

    fn of(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.0.insert(Arc::clone(&new));
        new
    }
}

fn why_nothing(page: &[u8], filled: Filled) -> Undecodable {
    if filled.refused.total() > 0 {
        return Undecodable::Refused(filled.refused);
    }
    let not_a_metric = Exposition::new(page).find(|line| line.check().is_err());
    match not_a_metric {
        Some(line) => Undecodable::Malformed {
            line: line.number,
            text: refused::beginning(line.text),
        },
        None => Undecodable::Empty {
            scrape_error: filled.scrape_error,
        },
    }
}

#[cfg(test)]
mod tests;
