//! A page -> its roster and the place of each line.
//!
//! Kubelets list the same containers in the same order in every family, so the
//! labels of most lines are, byte for byte, those that came next in the family
//! before. Only labels that are not are read. That is a guess about order and
//! about nothing else: the same labels kept twice name the same container.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use tributary_model::{ContainerName, InvalidRoster, PodKey, Remarks, Roster, RosterBuilder};

use super::{
    Undecodable,
    family::Family,
    fill::RowRef,
    identity::{Identity, Names, pod_of},
};
use crate::kubelet::exposition::{Exposition, Labels};

/// The most lines about containers: one in each of four families for as many
/// containers as a node may have. What is kept of each is some hundred bytes while
/// a page is learnt, and a line may be as short as 29 bytes.
pub const MAX_LINES: usize = FAMILIES * Roster::MAX_CONTAINERS;

/// Those of which [`Family::is_of_containers`] is true.
const FAMILIES: usize = 4;

/// What a page is about.
#[derive(Debug)]
pub(super) struct Learnt {
    /// Its containers.
    pub(super) roster: Arc<Roster>,
    /// Of each line about a container, in the order of the page.
    pub(super) row_refs: Box<[RowRef]>,
    /// Pods that are left out, sorted, [`Remarks::MAX_UNREADABLE`] at most.
    pub(super) torn: Box<[PodKey]>,
}

/// Learns a page, sharing names with `known`.
///
/// A pod of which a container cannot be read is left out: a part of a pod must
/// not pass for the whole (docs/ARCHITECTURE.md#invariants).
///
/// A container is one that has CPU or memory, good or bad. Swap or a start alone
/// makes none: it would hide its pod for want of the others, and kubelets report
/// the start of containers that ended long ago.
pub(super) fn learn(page: &[u8], known: &Roster) -> Result<Learnt, Undecodable> {
    let mut seen = Seen::default();
    for line in Exposition::new(page) {
        if let Some(family) = Family::of(line.name)
            && family.is_of_containers()
            && let Ok(series) = line.series()
        {
            seen.line(family, series.labels)?;
        }
    }
    let (roster, torn) = seen.roster(known)?;
    let row_refs: Vec<RowRef> = seen.subjects.iter().map(|it| it.row_ref(&roster)).collect();
    let row_ref = |line: &SeenLine| {
        let row_ref = row_refs.get(line.subject).copied();
        match row_ref.unwrap_or(RowRef::Unreadable) {
            RowRef::Row(row) if !line.makes_a_row => RowRef::Beside(row),
            row_ref => row_ref,
        }
    };
    Ok(Learnt {
        row_refs: seen.lines.iter().map(row_ref).collect(),
        torn,
        roster,
    })
}

/// The labels of a page: at most as many as lines, which are [`MAX_LINES`].
#[derive(Default)]
struct Seen<'a> {
    subjects: Vec<Subject<'a>>,
    lines: Vec<SeenLine>,
    family: Option<Family>,
    /// Which of `subjects` comes next if this family is as the one before.
    next: usize,
}

/// A line about a container.
struct SeenLine {
    /// Its place in [`Seen::subjects`].
    subject: usize,
    /// Whether it is of a family of which one line makes a container.
    makes_a_row: bool,
}

/// Whom labels name.
struct Subject<'a> {
    labels: Labels<'a>,
    /// Not a container, but a whole pod.
    is_pod: bool,
    names: Option<Names<'a>>,
    makes_a_row: bool,
}

impl<'a> Seen<'a> {
    fn line(&mut self, family: Family, labels: Labels<'a>) -> Result<(), Undecodable> {
        if self.lines.len() >= MAX_LINES {
            return Err(Undecodable::TooManyLines);
        }
        if self.family.replace(family) != Some(family) {
            self.next = 0;
        }
        let makes_a_row = family.makes_a_row();
        let at = match self.subjects.get_mut(self.next) {
            Some(known) if known.labels == labels => {
                known.makes_a_row |= makes_a_row;
                self.next
            }
            _ => {
                let identity = Identity::read(labels);
                self.subjects.push(Subject {
                    labels,
                    is_pod: identity.as_ref().is_ok_and(Identity::is_of_the_pod),
                    names: identity.and_then(|identity| identity.names()).ok(),
                    makes_a_row,
                });
                self.subjects.len() - 1
            }
        };
        self.lines.push(SeenLine {
            subject: at,
            makes_a_row,
        });
        self.next = at + 1;
        Ok(())
    }

    /// The containers, and the pods that are left out.
    fn roster(&self, known: &Roster) -> Result<(Arc<Roster>, Box<[PodKey]>), Undecodable> {
        let rows = |subject: &&Subject<'_>| subject.makes_a_row && !subject.is_pod;
        let rows = self.subjects.iter().filter(rows);
        let names = rows.clone().filter_map(|subject| subject.names.as_ref());
        let unread = rows.filter(|subject| subject.names.is_none());
        roster_of(names, unread.filter_map(|it| pod_of(it.labels)), known)
    }
}

/// Makes a roster of containers, each named once or more, sharing names with `known`.
/// Pods that are `torn`, each by namespace and name, are left out, and returned:
/// sorted, [`Remarks::MAX_UNREADABLE`] at most.
///
/// # Errors
///
/// There are more containers, or longer names, than a node may have.
pub(super) fn roster_of<'a>(
    names: impl Iterator<Item = &'a Names<'a>>,
    torn: impl Iterator<Item = (&'a str, &'a str)>,
    known: &Roster,
) -> Result<(Arc<Roster>, Box<[PodKey]>), Undecodable> {
    let mut interner = Interner::new(known);
    let mut builder = RosterBuilder::default();
    for names in names {
        let key = PodKey::new(interner.of(names.namespace), interner.of(names.pod));
        let container = ContainerName::from(interner.of(names.container));
        match builder.add(key, container) {
            Err(InvalidRoster::TooManyContainers { .. }) => {
                return Err(Undecodable::TooManyContainers);
            }
            Err(InvalidRoster::TooManyNameBytes { .. }) => {
                return Err(Undecodable::TooManyNameBytes);
            }
            // The same in another family, out of order. No name is bad: it
            // would not be one of `Names`.
            Ok(()) | Err(_) => {}
        }
    }
    let torn = torn.map(|(namespace, name)| PodKey::new(interner.of(namespace), interner.of(name)));
    let torn: BTreeSet<PodKey> = torn.collect();
    for pod in &torn {
        builder.remove(pod);
    }
    let some = torn.into_iter().take(Remarks::MAX_UNREADABLE);
    Ok((builder.build(), some.collect()))
}

impl Subject<'_> {
    fn row_ref(&self, roster: &Roster) -> RowRef {
        match &self.names {
            Some(names) => {
                let row = names.row(roster).and_then(|row| u32::try_from(row).ok());
                row.map_or(RowRef::NotInRoster, RowRef::Row)
            }
            None if self.is_pod => RowRef::Pod,
            None => RowRef::Unreadable,
        }
    }
}

/// Texts of which equal ones share memory: most containers of a node have one
/// of a few names, and its pods are in a few namespaces.
struct Interner(HashSet<Arc<str>>);

impl Interner {
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
