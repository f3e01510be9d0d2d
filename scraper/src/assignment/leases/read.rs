//! Which Lease objects count, and their relevant fields.
//!
//! A user who may write Leases in the namespace can add members to the group. A pod of a scraper
//! can write its own Lease, and none else if a policy forbids it. So the name of the object decides
//! who the holder is, and an object with another holder does not count. The length of a name is
//! limited, because every node is ranked by it.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::jiff;
use serde::Deserialize;
use tributary_model::Timestamp;

use super::super::{
    bad_lease::BadLease,
    membership::{LEASE, Lease},
};
use super::{GROUP, PREFIX};

/// The longest name of an object.
const MAX_NAME: usize = 253;

/// No version of the scraper writes a Lease with a longer duration than this many of ours.
const MOST_LEASES_LONG: u32 = 20;

/// The fields of a Lease object that are read.
///
/// Dates are strings: Kubernetes accepts some that jiff does not (`9999-12-31T23:59:59Z`), and a
/// date that cannot be parsed must concern its own Lease only.
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

/// A Lease, with the name and version of its object.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) lease: Lease,
    pub(super) object: (String, String),
}

impl Read {
    /// The Lease in an object of `group`.
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
            // Every API server sets one. A Lease without it counts as the newest.
            created: date(metadata.creation_timestamp.as_ref())?
                .unwrap_or(Timestamp::from_millis(i64::MAX)),
            acquired: date(spec.acquire_time.as_ref())?.unwrap_or(renewed),
            renewed,
        };
        let object = (name, metadata.resource_version.unwrap_or_default());
        Ok(Self { lease, object })
    }
}

/// The date, if there is one. It may be out of range, or not valid.
fn date(text: Option<&String>) -> Result<Option<Timestamp>, BadLease> {
    // `null` is not a string, so it is no date.
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let date: jiff::Timestamp = text.parse().map_err(|_| BadLease::Times)?;
    Ok(Some(Timestamp::from_millis(date.as_millisecond())))
}

/// Whether it is a DNS subdomain (RFC 1123), as all names of pods are.
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
