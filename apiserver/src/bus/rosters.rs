//! The rosters and refused nodes of one stream.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;
use tributary_model::NodeName;
use tributary_proto::{convert::WireRoster, limits::NODES_PER_STREAM};

use super::accounts::{Account, TooMuch, Whose};

/// How long a node stays refused before its roster is requested again: it may be valid then, or a
/// limit may have room again.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// The rosters that readings refer to.
///
/// # Invariants
///
/// Every entry is in the account, with its roster if it has one.
#[derive(Debug)]
pub(super) struct Rosters {
    entries: HashMap<NodeName, Entry>,
    account: Arc<Account>,
}

#[derive(Debug)]
enum Entry {
    Roster(WireRoster),
    Refused(Refused),
}

/// A node whose roster was refused.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    /// The label of the metric.
    pub(super) reason: &'static str,
    /// For people.
    pub(super) message: Arc<str>,
    ask_at: Instant,
}

/// The result for a reading.
#[derive(Debug)]
pub(super) enum Found<'a> {
    Roster(&'a WireRoster),
    /// There is none, and it should be requested.
    Ask,
    /// There is none, because the node is refused.
    Refused(Refused),
    /// There is none, and there is no room for one.
    Full,
}

impl Rosters {
    pub(super) fn new(account: Arc<Account>) -> Self {
        Self {
            entries: HashMap::new(),
            account,
        }
    }

    /// Replaces the roster of a node. If that is over a limit, the node has none.
    pub(super) fn put(&mut self, node: NodeName, wire: WireRoster) -> Result<(), TooMuch> {
        self.remove(node.as_str());
        self.has_room()?;
        self.account.hold(Some(&wire.roster))?;
        self.entries.insert(node, Entry::Roster(wire));
        Ok(())
    }

    /// Refuses a node: its roster is dropped, and not requested for a while. Returns whether it was
    /// not refused before. If there is no room to remember it, the node is unknown.
    pub(super) fn refuse(
        &mut self,
        node: &NodeName,
        reason: &'static str,
        message: Arc<str>,
        now: Instant,
    ) -> bool {
        let refused = Entry::Refused(Refused {
            reason,
            message,
            ask_at: now + ASK_AGAIN,
        });
        if let Some(known @ Entry::Refused(_)) = self.entries.get_mut(node.as_str()) {
            *known = refused;
            return false;
        }
        self.remove(node.as_str());
        if self.has_room().is_ok() && self.account.hold(None).is_ok() {
            self.entries.insert(node.clone(), refused);
        }
        true
    }

    /// The result for a reading of `node` with roster `id`.
    pub(super) fn find(&mut self, node: &str, id: u64, now: Instant) -> Found<'_> {
        let full = self.has_room().is_err();
        match self.entries.get_mut(node) {
            Some(Entry::Roster(wire)) if wire.id == id => Found::Roster(wire),
            Some(Entry::Refused(refused)) if now < refused.ask_at => {
                Found::Refused(refused.clone())
            }
            Some(Entry::Refused(refused)) => {
                refused.ask_at = now + ASK_AGAIN;
                Found::Ask
            }
            None if full => Found::Full,
            Some(Entry::Roster(_)) | None => Found::Ask,
        }
    }

    pub(super) fn remove(&mut self, node: &str) {
        if let Some(entry) = self.entries.remove(node) {
            self.account.release(entry.roster());
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn has_room(&self) -> Result<(), TooMuch> {
        if self.entries.len() < NODES_PER_STREAM {
            return Ok(());
        }
        Err(TooMuch::Nodes {
            max: NODES_PER_STREAM,
            of: Whose::Stream,
        })
    }
}

impl Entry {
    fn roster(&self) -> Option<&Arc<tributary_model::Roster>> {
        match self {
            Self::Roster(wire) => Some(&wire.roster),
            Self::Refused(_) => None,
        }
    }
}

impl Drop for Rosters {
    fn drop(&mut self) {
        for entry in self.entries.values() {
            self.account.release(entry.roster());
        }
    }
}

#[cfg(test)]
mod tests;
