//! Which container a series is about.

use tributary_model::{ContainerName, PodKey, Roster, is_dns_label, is_dns_subdomain};

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
    pub(super) namespace: &'a str,
    pub(super) pod: &'a str,
    pub(super) container: &'a str,
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

    /// Whether this is the pod itself, which some runtimes report as a container
    /// without a name.
    pub(super) fn is_of_the_pod(&self) -> bool {
        self.container.is("")
    }

    /// Whether this is the container in `row` of `roster`.
    pub(super) fn is(&self, roster: &Roster, row: usize) -> bool {
        names_of(roster, row).is_some_and(|(pod, container)| {
            self.pod.is(&pod.name)
                && self.container.is(container.as_str())
                && self.namespace.is(&pod.namespace)
        })
    }

    /// The names, if Kubernetes allows them.
    pub(super) fn names(&self) -> Result<Names<'a>, Refused> {
        Ok(Names {
            namespace: name(self.namespace, is_dns_label)?,
            pod: name(self.pod, is_dns_subdomain)?,
            container: name(self.container, is_dns_label)?,
        })
    }
}

/// Whether `labels` are those of the container in `row` of `roster`, written as
/// kubelets write them: in this order and with nothing else. No name in a roster
/// needs an escape.
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
pub(super) fn pod_of(labels: Labels<'_>) -> Option<(&str, &str)> {
    let value = |wanted: &[u8], is_name: fn(&str) -> bool| {
        let mut found = labels.iter().filter_map(Result::ok);
        let (_, value) = found.find(|(label, _)| *label == wanted)?;
        name(value, is_name).ok()
    };
    Some((
        value(b"namespace", is_dns_label)?,
        value(b"pod", is_dns_subdomain)?,
    ))
}

impl Names<'_> {
    /// The row in `roster`.
    pub(super) fn row(&self, roster: &Roster) -> Option<usize> {
        let wanted = (self.namespace, self.pod);
        let at = roster
            .pods()
            .binary_search_by(|pod| (&*pod.key.namespace, &*pod.key.name).cmp(&wanted))
            .ok()?;
        let pod = roster.pods().get(at)?;
        let at = roster
            .containers_of(pod)
            .binary_search_by(|container| container.as_str().cmp(self.container))
            .ok()?;
        Some(pod.rows().start + at)
    }
}

fn name(value: LabelValue<'_>, is_name: fn(&str) -> bool) -> Result<&str, Refused> {
    // What is escaped has a character that no name has.
    let bytes = value.verbatim().ok_or(Refused::BadLabel)?;
    let text = std::str::from_utf8(bytes).ok();
    text.filter(|text| is_name(text)).ok_or(Refused::BadLabel)
}
