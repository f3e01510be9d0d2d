//! Which Lease objects count, and what is read of them.
//!
//! Whoever may write Leases in our namespace can make more members of the group.
//! Who has a pod of ours can write its own, and where a policy says so no other:
//! so the name of the object says who the holder is, and one that says something
//! else counts for nobody. What a name may be is bounded, since every node is
//! ranked by it.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::LeaseSpec,
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
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
    /// It does not say when it was renewed, or how long it lasts.
    #[error("renewTime or leaseDurationSeconds is missing or out of range")]
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
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Object {
    pub(super) metadata: ObjectMeta,
    pub(super) spec: LeaseSpec,
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
        let date = |time: &MicroTime| Timestamp::from_millis(time.0.as_millisecond());
        let renewed = date(spec.renew_time.as_ref().ok_or(BadLease::Times)?);
        let created = metadata.creation_timestamp;
        let lease = Lease {
            holder: holder.into(),
            // Every API gives one. Without it, nothing is older.
            created: Timestamp::from_millis(
                created.map_or(i64::MAX, |created| created.0.as_millisecond()),
            ),
            acquired: spec.acquire_time.as_ref().map_or(renewed, date),
            renewed,
        };
        let object = (name, metadata.resource_version.unwrap_or_default());
        Ok(Self { lease, object })
    }
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
