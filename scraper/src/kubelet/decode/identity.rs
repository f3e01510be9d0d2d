//! Which container a series is about.

use std::borrow::Cow;

use tributary_model::{ContainerName, MAX_NAME, PodKey, Roster};

use super::refused::Refused;
use crate::kubelet::exposition::{LabelValue, Labels};

/// The three labels that name a container, as the page has them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity<'a> {
    namespace: LabelValue<'a>,
    pod: LabelValue<'a>,
    container: LabelValue<'a>,
}

/// The names, as text that may stand in a roster.
#[derive(Debug)]
pub(super) struct Names<'a> {
    pub(super) namespace: Cow<'a, str>,
    pub(super) pod: Cow<'a, str>,
    pub(super) container: Cow<'a, str>,
}

impl<'a> Identity<'a> {
    /// Takes the three labels of exactly these names, in any order. Others are
    /// ignored.
    pub(super) fn read(labels: Labels<'a>) -> Result<Self, Refused> {
        if labels.is_empty() {
            return Err(Refused::NoLabels);
        }
        let (mut namespace, mut pod, mut container) = (None, None, None);
        for label in labels.iter() {
            let (name, value) = label.map_err(|_| Refused::BadLabel)?;
            let place = match name {
                b"namespace" => &mut namespace,
                b"pod" => &mut pod,
                b"container" => &mut container,
                _ => continue,
            };
            if place.replace(value).is_some() {
                return Err(Refused::BadLabel);
            }
        }
        Ok(Self {
            namespace: namespace.ok_or(Refused::BadLabel)?,
            pod: pod.ok_or(Refused::BadLabel)?,
            container: container.ok_or(Refused::BadLabel)?,
        })
    }

    /// Whether this is the container in `row` of `roster`.
    pub(super) fn is(&self, roster: &Roster, row: usize) -> bool {
        names_of(roster, row).is_some_and(|(pod, container)| {
            self.pod.is(&pod.name)
                && self.container.is(container.as_str())
                && self.namespace.is(&pod.namespace)
        })
    }

    /// The names, if they can be names at all.
    pub(super) fn names(&self) -> Result<Names<'a>, Refused> {
        Ok(Names {
            namespace: name(self.namespace)?,
            pod: name(self.pod)?,
            container: name(self.container)?,
        })
    }
}

/// Whether `labels` are those of the container in `row` of `roster`, written as
/// kubelets write them: in this order and with nothing else. It may be asked
/// only where no name has a quote or a backslash, which would need an escape.
pub(super) fn are_verbatim(labels: Labels<'_>, roster: &Roster, row: usize) -> bool {
    names_of(roster, row).is_some_and(|(pod, container)| {
        labels.are(&[
            "container=\"",
            container.as_str(),
            "\",namespace=\"",
            &pod.namespace,
            "\",pod=\"",
            &pod.name,
            "\"",
        ])
    })
}

fn names_of(roster: &Roster, row: usize) -> Option<(&PodKey, &ContainerName)> {
    let after = roster.pods().partition_point(|pod| pod.rows().start <= row);
    let pod = roster.pods().get(after.checked_sub(1)?)?;
    Some((&pod.key, roster.container(row)?))
}

/// The pod of a series of which the container cannot be read: namespace and
/// name, if these can.
pub(super) fn pod_of(labels: Labels<'_>) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    let value = |wanted: &[u8]| {
        let mut found = labels.iter().filter_map(Result::ok);
        let (_, value) = found.find(|(label, _)| *label == wanted)?;
        name(value).ok()
    };
    Some((value(b"namespace")?, value(b"pod")?))
}

impl Names<'_> {
    /// The row in `roster`.
    pub(super) fn row(&self, roster: &Roster) -> Option<usize> {
        let wanted = (&*self.namespace, &*self.pod);
        let at = roster
            .pods()
            .binary_search_by(|pod| (&*pod.key.namespace, &*pod.key.name).cmp(&wanted))
            .ok()?;
        let pod = roster.pods().get(at)?;
        let at = roster
            .containers_of(pod)
            .binary_search_by(|container| container.as_str().cmp(&self.container))
            .ok()?;
        Some(pod.rows().start + at)
    }
}

fn name(value: LabelValue<'_>) -> Result<Cow<'_, str>, Refused> {
    let text = match value.unescaped() {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    };
    text.filter(|text| (1..=MAX_NAME).contains(&text.len()))
        .ok_or(Refused::BadLabel)
}
