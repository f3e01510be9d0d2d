//! Pages of kubelets -> [`Reading`].
//!
//! Those of `/metrics/resource` are read here, those of `/stats/summary`, which old
//! kubelets and virtual nodes have, in [`mod@summary`].
//!
//! What a node reports changes slowly, so the [`Layout`] of a node remembers
//! the roster of its last page and which row each line was about. The next page
//! is read against that: every line is predicted, its labels are compared with
//! the names of the predicted row, and the numbers go straight into columns.
//! No line of an unchanged page is hashed, looked up or allocated for. At the
//! first line that is not as predicted the page is read again, twice: [`mod@learn`]
//! makes the layout, then its numbers are read by that.
//!
//! What cannot be used is refused in the smallest unit, the series, and
//! counted. A container whose numbers were refused stays in the roster without
//! them, so that its pod is not served as if it were whole.

mod family;
mod fill;
mod identity;
mod learn;
mod refused;
mod summary;

use std::sync::Arc;

use tributary_model::{NoUsage, NodeName, Reading, Remarks, Roster, RosterBuilder, Timestamp};

pub use self::learn::MAX_LINES;
pub use self::refused::{Refusals, Refused};
use self::{
    fill::{Fill, Filled, LayoutSource, RowRef},
    learn::{Learnt, learn},
};
use super::exposition::Exposition;

/// What is remembered of the last page of one node.
#[derive(Clone, Debug)]
pub struct Layout {
    roster: Arc<Roster>,
    /// Of each line about a container, in the order of the page: at most
    /// [`MAX_LINES`]. `None` before there was a page that has lines.
    row_refs: Option<Box<[RowRef]>>,
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
    /// Not a summary of statistics.
    #[error("line {line}, column {column} is not of a summary of statistics: `{text}`")]
    NotASummary {
        /// Where it is first seen.
        line: usize,
        /// Counted from one, as the line.
        column: usize,
        /// The beginning of the page.
        text: String,
    },
    /// It has the right series and none of them can be used.
    #[error("nothing on the page can be used: {0}")]
    Refused(Refusals),
    /// More containers than a node may have.
    #[error("more than {} containers on the page", Roster::MAX_CONTAINERS)]
    TooManyContainers,
    /// More lines about containers than this many containers have.
    #[error("more than {MAX_LINES} lines about containers on the page")]
    TooManyLines,
    /// More bytes of names than a node may have.
    #[error(
        "more than {} bytes of names of containers on the page",
        Roster::MAX_NAME_BYTES
    )]
    TooManyNameBytes,
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
            row_refs: None,
        }
    }
}

impl Layout {
    /// Reads a page of `node`, asked for at `asked_at`, which stands in for
    /// timestamps that the page does not give (docs/parity.md#decoding).
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
            None => self.read_again(page, asked_at)?,
        };
        if !filled.is_of_use {
            return Err(why_nothing(page, filled));
        }
        Ok(self.decoded(filled, node, asked_at))
    }

    /// Reads a page of `/stats/summary`, by the rules of [`Layout::decode`].
    ///
    /// # Errors
    ///
    /// Nothing on the page can be used; [`Undecodable`] says why.
    pub fn decode_summary(
        &mut self,
        page: &[u8],
        node: &NodeName,
        asked_at: Timestamp,
    ) -> Result<Decoded, Undecodable> {
        let (roster, filled) = summary::read(page, &self.roster, asked_at)?;
        self.keep(roster, None);
        if !filled.is_of_use {
            return Err(match filled.refused.total() {
                0 => Undecodable::Empty {
                    scrape_error: false,
                },
                _ => Undecodable::Refused(filled.refused),
            });
        }
        Ok(self.decoded(filled, node, asked_at))
    }

    fn decoded(&self, filled: Filled, node: &NodeName, asked_at: Timestamp) -> Decoded {
        let remarks = Remarks {
            withheld: withheld(&filled),
            unreadable: filled.unreadable,
            is_stamped_by_scraper: filled.is_without_times,
            ..Remarks::default()
        };
        Decoded {
            reading: Reading {
                node: node.clone(),
                roster: Arc::clone(&self.roster),
                asked_at,
                point: filled.point,
                columns: filled.columns,
                remarks,
            },
            refused: filled.refused,
            scrape_error: filled.scrape_error,
        }
    }

    fn read_as_before(&self, page: &[u8], asked_at: Timestamp) -> Option<Filled> {
        let row_refs = self.row_refs.as_ref()?;
        self.fill(row_refs, LayoutSource::Before, asked_at)
            .page(page)
            .ok()
    }

    fn read_again(&mut self, page: &[u8], asked_at: Timestamp) -> Result<Filled, Undecodable> {
        let Learnt {
            roster,
            row_refs,
            torn,
        } = learn(page, &self.roster)?;
        self.keep(roster, Some(row_refs));
        let row_refs = self.row_refs.as_deref().unwrap_or_default();
        // What was learnt from this very page cannot be wrong about it.
        let filled = self
            .fill(row_refs, LayoutSource::Learnt, asked_at)
            .page(page);
        let mut filled = filled.unwrap_or_default();
        filled.unreadable = torn;
        Ok(filled)
    }

    /// Remembers what a page is about. The roster stays if its content does.
    fn keep(&mut self, roster: Arc<Roster>, row_refs: Option<Box<[RowRef]>>) {
        if *roster != *self.roster {
            self.roster = roster;
        }
        self.row_refs = row_refs;
    }

    fn fill<'a>(
        &'a self,
        row_refs: &'a [RowRef],
        layout_source: LayoutSource,
        asked_at: Timestamp,
    ) -> Fill<'a> {
        Fill::new(&self.roster, row_refs, layout_source, asked_at)
    }
}

/// Why rows have no value, in their order.
fn withheld(filled: &Filled) -> Box<[(u32, NoUsage)]> {
    let twice = |row: &u32| (*row, NoUsage::ReportedTwice);
    let bad = |row: &u32| (*row, NoUsage::BadValue);
    let only_bad = filled.bad_rows.difference(&filled.twice_rows);
    let mut withheld: Vec<_> = filled.twice_rows.iter().map(twice).collect();
    withheld.extend(only_bad.map(bad));
    withheld.sort_by_key(|(row, _)| *row);
    withheld.into()
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
