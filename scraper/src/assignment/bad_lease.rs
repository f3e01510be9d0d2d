//! Why a Lease does not count as a member.

/// Why a Lease does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub(crate) enum BadLease {
    /// Its holder is not a valid name of a pod.
    #[error("the holder is not the name of a pod")]
    Holder,
    /// Its name does not match its holder.
    #[error("the name is not `tributary-` and the holder")]
    Name,
    /// It is not of this group.
    #[error("the label tributary.dev/group is of another group")]
    Group,
    /// Its renewal time or duration is missing, or a date is not valid.
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

    /// The value in labels of metrics and fields of logs.
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
