//! The metrics of the assignment; their names and help texts exist only here.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{
    bad_lease::BadLease,
    ownership::{Counts, Move, When},
};

/// What sharing the work counts. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct AssignmentMetrics {
    /// Scrapers of our group, us included.
    pub(crate) members: Gauge,
    /// Failed renewals of this scraper's Lease.
    pub(crate) lease_failures: Counter,
    /// Expired leases that we deleted.
    pub(crate) leases_cleaned: Counter,
    /// Scrapers that live and do not count, since they are too many.
    pub(crate) members_ignored: Gauge,
    leases_ignored: Family<Ignored, Counter>,
    /// Reports of overdue nodes that came faster than they were read.
    pub(crate) reports_dropped: Counter,
    nodes: Family<Role, Gauge>,
    changes: Family<Kind, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Role {
    role: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ignored {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

impl AssignmentMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let new = Self::default();
        let assignment = registry.sub_registry_with_prefix("tributary_assignment");
        assignment.register(
            "members",
            "Members of the group, including this scraper",
            new.members.clone(),
        );
        assignment.register(
            "lease_failures",
            "Failed renewals of this scraper's Lease",
            new.lease_failures.clone(),
        );
        assignment.register(
            "leases_cleaned",
            "Expired Leases that this scraper deleted",
            new.leases_cleaned.clone(),
        );
        assignment.register(
            "members_ignored",
            "Scrapers that do not count as members, because there are too many",
            new.members_ignored.clone(),
        );
        assignment.register(
            "leases_ignored",
            "Leases of the group that do not count, by reason",
            new.leases_ignored.clone(),
        );
        for reason in BadLease::ALL.map(BadLease::as_str) {
            drop(new.leases_ignored.get_or_create(&Ignored { reason }));
        }
        assignment.register(
            "overdue_reports_dropped",
            "Reports of overdue nodes that arrived faster than they were read",
            new.reports_dropped.clone(),
        );
        assignment.register(
            "nodes",
            "Nodes by the role of this scraper: owner, standby, leaving, rescuer",
            new.nodes.clone(),
        );
        assignment.register(
            "changes",
            "Changes of this scraper's nodes, by kind",
            new.changes.clone(),
        );
        for kind in [
            "own_at_once",
            "own_at_phase",
            "expedite",
            "rescue",
            "release",
        ] {
            drop(new.changes.get_or_create(&Kind { kind }));
        }
        new.count(Counts::default());
        new
    }

    pub(crate) fn lease_ignored(&self, why: BadLease, count: u64) {
        let reason = why.as_str();
        self.leases_ignored
            .get_or_create(&Ignored { reason })
            .inc_by(count);
    }

    #[cfg(test)]
    pub(crate) fn leases_ignored_total(&self, why: BadLease) -> u64 {
        let reason = why.as_str();
        self.leases_ignored.get_or_create(&Ignored { reason }).get()
    }

    pub(crate) fn moved(&self, change: &Move) {
        let kind = match change {
            Move::Own(_, When::AtOnce) => "own_at_once",
            Move::Own(_, When::AtPhase) => "own_at_phase",
            Move::Expedite(_) => "expedite",
            Move::Rescue(..) => "rescue",
            Move::Release(_) => "release",
        };
        self.changes.get_or_create(&Kind { kind }).inc();
    }

    pub(crate) fn count(&self, counts: Counts) {
        for (role, nodes) in [
            ("owner", counts.owned),
            ("standby", counts.standby),
            ("leaving", counts.leaving),
            ("rescuer", counts.rescued),
        ] {
            self.nodes.get_or_create(&Role { role }).set(gauge(nodes));
        }
    }
}

/// `count` for a gauge.
fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
