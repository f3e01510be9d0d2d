//! The Leases by which scrapers find each other, and what is seen of scrapers that are gone.

use k8s_openapi::api::coordination::v1::Lease;

use super::{
    super::{facts::Facts, finding::Finding},
    Checked, NAMED, NotMade, fleet,
};
use crate::{
    catalogue::Code,
    leases::{Group, Lost, is_connected, overdue},
    printed::{count, span},
};

fn groups(facts: &Facts) -> Result<Vec<Group<'_>>, NotMade> {
    Ok(Group::all(facts.leases.as_ref()?, facts.now))
}

/// The groups in which no Lease is renewed, for people. Empty if that is not known.
pub(super) fn gone(facts: &Facts) -> Vec<String> {
    let groups = groups(facts).unwrap_or_default();
    let gone = groups.iter().filter(|group| group.is_gone());
    gone.map(Group::title).collect()
}

/// Whether the scrapers of each group renew their Leases.
pub(super) fn renewed(facts: &Facts) -> Checked {
    let groups = groups(facts)?;
    if groups.is_empty() {
        let why = "no scraper holds a Lease";
        return Err(NotMade::Nothing(why.to_owned()));
    }
    let mut findings = Vec::new();
    for group in groups {
        // One that is not connected is lost, which is another check.
        let scrapers = facts.scrapers.as_ref();
        let may_be_connected =
            |it: &Lease| scrapers.map_or(true, |scrapers| is_connected(scrapers, it));
        let old = group.old.iter().copied();
        let wrong = old.filter(|it| group.is_gone() || may_be_connected(it));
        let wrong: Vec<_> = wrong.collect();
        let Some(first) = wrong.first() else {
            continue;
        };
        let title = group.title();
        let what = if group.is_gone() {
            format!("no scraper of {title} renews its Lease")
        } else {
            format!("{} of {title}", count(wrong.len(), "scraper"))
        };
        let name = first.metadata.name.clone().unwrap_or_default();
        let mut finding = Finding::new(Code::LeaseNotRenewed, what)
            .with("namespace", group.namespace)
            .with("lease", name);
        for lease in wrong.iter().take(NAMED) {
            let age = overdue(lease, facts.now).unwrap_or_default();
            let name = lease.metadata.name.as_deref().unwrap_or_default();
            finding = finding.seen(format!("{name}: not renewed for {}", span(age)));
        }
        findings.push(finding);
    }
    Ok(findings)
}

/// Whether scrapers are gone whose nodes others scrape.
pub(super) fn lost(facts: &Facts) -> Checked {
    let scrapers = fleet(facts, &facts.scrapers)?;
    if scrapers.is_empty() {
        // Another check says that no stream is open.
        return Ok(Vec::new());
    }
    let nodes = fleet(facts, &facts.scrapes)?;
    let leases = facts.leases.as_ref()?;
    let Some(lost) = Lost::of(leases, scrapers, nodes, facts.now) else {
        return Ok(Vec::new());
    };
    let namespace = lost.namespace.map(str::to_owned);
    let first = lost.scrapers.first().copied();
    let mut finding = Finding::new(Code::ScraperLost, lost.title())
        .with("namespace", namespace.unwrap_or_else(|| facts.namespace()))
        .with("scraper", first.unwrap_or_default());
    for seen in lost.evidence.into_iter().take(NAMED) {
        finding = finding.seen(seen);
    }
    Ok(vec![finding])
}
