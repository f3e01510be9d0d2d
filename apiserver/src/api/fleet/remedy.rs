//! What to do about a node without metrics, as a word. docs/FLEET.md has a section for each word.

use tributary_model::NoUsage;

use crate::{
    scrapers::node_roles::Scrapers,
    store::{NoMetrics, Report, State},
};

/// What the frontend knows about a node.
pub(super) struct Known {
    pub(super) report: Report,
    pub(super) scrapers: Scrapers,
    /// Whether any scraper reports its roles.
    pub(super) reported: bool,
}

/// All remedies.
pub(super) const ALL: [&str; 12] = [
    FRONTEND_LIMIT,
    KUBELET_ACCESS,
    KUBELET_ANSWER,
    KUBELET_CERTIFICATE,
    KUBELET_PAGE,
    KUBELET_PAGE_SIZE,
    KUBELET_STALE,
    KUBELET_TIMEOUT,
    KUBELET_UNREACHABLE,
    NO_SCRAPER,
    NODE_ADDRESS,
    SCRAPER_SILENT,
];

const FRONTEND_LIMIT: &str = "FrontendLimit";
const KUBELET_ACCESS: &str = "KubeletAccess";
const KUBELET_ANSWER: &str = "KubeletAnswer";
const KUBELET_CERTIFICATE: &str = "KubeletCertificate";
const KUBELET_PAGE: &str = "KubeletPage";
const KUBELET_PAGE_SIZE: &str = "KubeletPageSize";
const KUBELET_STALE: &str = "KubeletStale";
const KUBELET_TIMEOUT: &str = "KubeletTimeout";
const KUBELET_UNREACHABLE: &str = "KubeletUnreachable";
const NODE_ADDRESS: &str = "NodeAddress";
const NO_SCRAPER: &str = "NoScraper";
const SCRAPER_SILENT: &str = "ScraperSilent";

/// What to do about a node. `None` if nothing is wrong, or if the operator can only wait.
pub(super) fn of(known: &Known) -> Option<&'static str> {
    let report = &known.report;
    let failed = || report.failed.as_ref().map(|failed| failed.reason);
    match report.state {
        State::Served => None,
        State::Failing => of_failure(failed()?),
        State::Late | State::Unreported => unscraped(known),
        // The kubelet may only be slow. The section of the remedy says how to find out.
        State::Expired if matches!(report.why_not, Some(NoMetrics::NothingNew(_))) => {
            Some(KUBELET_STALE)
        }
        State::Expired if has_no_scraper(known) => Some(NO_SCRAPER),
        State::Expired => Some(SCRAPER_SILENT),
        State::Incomplete => match report.why_not {
            Some(NoMetrics::NoUsage(reason)) => of_no_usage(reason),
            _ => None,
        },
    }
}

/// What to do about a node that has samples and no usage.
fn of_no_usage(reason: NoUsage) -> Option<&'static str> {
    match reason {
        NoUsage::NoCpu
        | NoUsage::NoMemory
        | NoUsage::ReportedTwice
        | NoUsage::BadValue
        // This ends after two samples, unless the node reports fewer CPUs than it uses.
        | NoUsage::RateOutOfRange => Some(KUBELET_PAGE),
        // The next sample ends this.
        NoUsage::NoPrevious
        | NoUsage::NoTimePassed
        | NoUsage::CounterWentBack
        | NoUsage::ClockSet => None,
    }
}

/// What to do about a failure with this reason.
fn of_failure(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "address" => NODE_ADDRESS,
        "dial" => KUBELET_UNREACHABLE,
        "tls" => KUBELET_CERTIFICATE,
        "auth" => KUBELET_ACCESS,
        "status" => KUBELET_ANSWER,
        "timeout" => KUBELET_TIMEOUT,
        "too-large" => KUBELET_PAGE_SIZE,
        "malformed" | "empty" => KUBELET_PAGE,
        "refused" => FRONTEND_LIMIT,
        _ => return None,
    })
}

/// The remedy if scrapers report their roles, but none is an owner or rescuer of the node.
fn unscraped(known: &Known) -> Option<&'static str> {
    (known.reported && has_no_scraper(known)).then_some(NO_SCRAPER)
}

/// Whether no connected scraper reports that it scrapes the node.
fn has_no_scraper(known: &Known) -> bool {
    known.scrapers.owners.is_empty() && known.scrapers.rescuers.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node in a state for which the reason why not does not matter.
    fn known(state: State, owner: Option<&str>, reported: bool) -> Known {
        let report = Report {
            state,
            why_not: None,
            resolution: None,
            sampled_at: None,
            endpoint: None,
            measured: None,
            failed: None,
        };
        let scrapers = Scrapers {
            owners: owner.into_iter().map(Into::into).collect(),
            ..Scrapers::default()
        };
        Known {
            report,
            scrapers,
            reported,
        }
    }

    #[test]
    fn only_a_scraper_that_there_is_is_silent() {
        for (state, owner, reported, remedy) in [
            (State::Expired, Some("s"), true, Some(SCRAPER_SILENT)),
            (State::Expired, None, true, Some(NO_SCRAPER)),
            // No scraper is connected, or none that reports its roles.
            (State::Expired, None, false, Some(NO_SCRAPER)),
            (State::Unreported, None, true, Some(NO_SCRAPER)),
            // After a start of the frontend the scrapers are about to connect.
            (State::Unreported, None, false, None),
            (State::Late, Some("s"), true, None),
        ] {
            assert_eq!(of(&known(state, owner, reported)), remedy, "{state}");
        }
    }

    #[test]
    fn what_the_next_sample_mends_has_no_remedy() {
        assert_eq!(of_no_usage(NoUsage::ClockSet), None);
        assert_eq!(of_no_usage(NoUsage::NoPrevious), None);
        for reason in [NoUsage::NoCpu, NoUsage::RateOutOfRange] {
            assert_eq!(of_no_usage(reason), Some(KUBELET_PAGE));
        }
    }

    #[test]
    fn every_remedy_has_a_section() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/FLEET.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (_, remedies) = text.split_once("\n## Remedies\n").unwrap();
        let titles = remedies
            .lines()
            .filter_map(|line| line.strip_prefix("### "));
        assert_eq!(titles.collect::<Vec<_>>(), ALL);
    }
}
