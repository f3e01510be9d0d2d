//! Which Lease objects count, and what is read of them.
//!
//! Whoever may write Leases in our namespace can make more members of the group.
//! Who has a pod of ours can write its own, and where a policy says so no other:
//! so the name of the object says who the holder is, and one that says something
//! else counts for nobody. What a name may be is bounded, since every node is
//! ranked by it.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::jiff;
use serde::Deserialize;
use tributary_model::Timestamp;

use super::{GROUP, PREFIX};
use crate::membership::{LEASE, Lease};

/// The longest name of an object.
const MAX_NAME: usize = 253;

/// A lease that says it lasts longer than so many of ours was not written by any
/// version of us.
const MOST_LEASES_LONG: u32 = 20;

/// Why a lease does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub(crate) enum BadLease {
    /// Its holder is not a name that a pod can have.
    #[error("the holder is not the name of a pod")]
    Holder,
    /// It is not called after its holder.
    #[error("the name is not `tributary-` and the holder")]
    Name,
    /// It is not of our group.
    #[error("the label tributary.dev/group is of another group")]
    Group,
    /// It does not say when it was renewed, or how long it lasts, or a date in it is none.
    #[error("renewTime or leaseDurationSeconds is missing, or a time is out of range")]
    Times,
    /// There are more than are remembered.
    #[error("there are too many")]
    TooMany,
}

impl BadLease {
    /// Every reason.
    pub(crate) const ALL: [Self; 5] = [
        Self::Holder,
        Self::Name,
        Self::Group,
        Self::Times,
        Self::TooMany,
    ];

    /// A word for labels of metrics and fields of logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Holder => "holder",
            Self::Name => "name",
            Self::Group => "group",
            Self::Times => "times",
            Self::TooMany => "too-many",
        }
    }
}

/// What is read of a Lease object.
///
/// Dates as they are written: Kubernetes takes such as jiff has none for
/// (`9999-12-31T23:59:59Z`), and one that cannot be read must cost its own Lease and no
/// other.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Object {
    pub(super) metadata: Meta,
    pub(super) spec: Spec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Meta {
    pub(super) name: Option<String>,
    pub(super) resource_version: Option<String>,
    pub(super) creation_timestamp: Option<String>,
    pub(super) labels: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    pub(super) holder_identity: Option<String>,
    pub(super) lease_duration_seconds: Option<i64>,
    pub(super) acquire_time: Option<String>,
    pub(super) renew_time: Option<String>,
}

/// A lease, and the object that it was read from: name and version.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) lease: Lease,
    pub(super) object: (String, String),
}

impl Read {
    /// What matters of an object of `group`.
    ///
    /// # Errors
    ///
    /// It does not count.
    pub(super) fn of(object: Object, group: &str) -> Result<Self, BadLease> {
        let Object { metadata, spec } = object;
        let holder = spec.holder_identity.unwrap_or_default();
        if !is_name(&holder) {
            return Err(BadLease::Holder);
        }
        let name = metadata.name.unwrap_or_default();
        if name.strip_prefix(PREFIX) != Some(&*holder) || name.len() > MAX_NAME {
            return Err(BadLease::Name);
        }
        let label = metadata.labels.as_ref().and_then(|all| all.get(GROUP));
        if label.is_none_or(|label| label != group) {
            return Err(BadLease::Group);
        }
        let longest = LEASE * MOST_LEASES_LONG;
        let lasts = spec.lease_duration_seconds.unwrap_or_default();
        let lasts = Duration::from_secs(u64::try_from(lasts).unwrap_or_default());
        if lasts.is_zero() || lasts > longest {
            return Err(BadLease::Times);
        }
        let renewed = date(spec.renew_time.as_ref())?.ok_or(BadLease::Times)?;
        let lease = Lease {
            holder: holder.into(),
            // Every API gives one. Without it, nothing is older.
            created: date(metadata.creation_timestamp.as_ref())?
                .unwrap_or(Timestamp::from_millis(i64::MAX)),
            acquired: date(spec.acquire_time.as_ref())?.unwrap_or(renewed),
            renewed,
        };
        let object = (name, metadata.resource_version.unwrap_or_default());
        Ok(Self { lease, object })
    }
}

/// A date, if there is one. It may be one that is out of range, or none.
fn date(text: Option<&String>) -> Result<Option<Timestamp>, BadLease> {
    // `null`, and so no text, is none.
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let date: jiff::Timestamp = text.parse().map_err(|_| BadLease::Times)?;
    Ok(Some(Timestamp::from_millis(date.as_millisecond())))
}

/// Whether it is a DNS name as RFC 1123 has it and Kubernetes wants it, which all
/// names of pods are.
fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        let ends = [bytes.first(), bytes.last()];
        let ends_well = ends.iter().all(|end| end.is_some_and(|it| letter(*it)));
        ends_well && bytes.iter().all(|byte| letter(*byte) || *byte == b'-')
    };
    name.len() <= MAX_NAME && name.split('.').all(is_label)
}
