//! The status of a `NodeScrape`: its fields, their schema, and why a node has no metrics.

use serde::Serialize;
use tributary_model::{Endpoint, Freshness};

use super::super::{
    Moment, Span, Text,
    remedy::{self, Known},
    schema::{Field, Type},
};
use crate::store::{FailedScrape, NoMetrics};

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    pub(super) state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) standby: Option<Text>,
    pub(super) scrapers: Roles,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resolution: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sample: Option<Sample>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kubelet: Option<Kubelet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_failure: Option<Failure>,
}

/// The scrapers that have a role for the node.
#[derive(Debug, Default, Serialize)]
pub(super) struct Roles {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) owners: Vec<Text>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) standby: Vec<Text>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) leaving: Vec<Text>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) rescuers: Vec<Text>,
}

/// The newest sample.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sample {
    pub(super) scraped_at: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) measured_at: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) window: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) endpoint: Option<&'static str>,
}

/// When the kubelet measures.
#[derive(Debug, Serialize)]
pub(super) struct Kubelet {
    pub(super) freshness: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) period: Option<Span>,
}

#[derive(Debug, Serialize)]
pub(super) struct Failure {
    pub(super) time: Moment,
    pub(super) reason: &'static str,
    pub(super) message: Text,
    pub(super) scraper: Text,
}

/// The words for when a kubelet measures, without that for a kubelet of which it is not known.
const FRESHNESS: [&str; 2] = {
    let [_, every_request, periodic] = Freshness::WORDS;
    [every_request, periodic]
};

/// The schema of the status, for `kubectl explain`.
pub(super) const STATUS: &[Field] = &[
    (
        "state",
        Type::OneOf(&[
            "served",
            "late",
            "incomplete",
            "unreported",
            "expired",
            "failing",
        ]),
        "The state of the node. served: it has metrics. late: it has metrics, and the next sample \
         is late. incomplete: it is scraped, and nothing can be computed from its samples. \
         unreported: no scraper has reported it. expired: its newest sample is too old to be \
         served. failing: scrapes fail, and its newest sample is too old to be served.",
    ),
    (
        "reason",
        Type::Text,
        "Why it has no metrics, in a word: that of the last failure if the node is failing. Absent \
         if it has metrics.",
    ),
    ("message", Type::Text, "The same as a sentence."),
    (
        "remedy",
        Type::OneOf(&remedy::ALL),
        "What to do about it: the title of a section in docs/FLEET.md. Absent if there is nothing \
         to do.",
    ),
    (
        "owner",
        Type::Text,
        "The scraper that scrapes the node; the first by name if there are several. The field \
         selector status.owner matches any of them.",
    ),
    (
        "standby",
        Type::Text,
        "The scraper that scrapes the node if the owner does not deliver it; the first by name.",
    ),
    (
        "scrapers",
        Type::Object(&[
            ("owners", Type::Texts, "The scrapers that scrape it."),
            (
                "standby",
                Type::Texts,
                "The scrapers that scrape it if the owners do not deliver it.",
            ),
            (
                "leaving",
                Type::Texts,
                "The former owners, which still scrape it for two resolutions.",
            ),
            (
                "rescuers",
                Type::Texts,
                "The scrapers that scrape it because the owners do not deliver it.",
            ),
        ]),
        "All connected scrapers that report a role for the node.",
    ),
    (
        "resolution",
        Type::Span,
        "How often it is scraped, as the scraper that reported it last says.",
    ),
    (
        "sample",
        Type::Object(&[
            (
                "scrapedAt",
                Type::Moment,
                "When the kubelet was scraped, by the clock of the frontend that answers.",
            ),
            (
                "measuredAt",
                Type::Moment,
                "When the kubelet measured the node's CPU, by its own clock. Absent if the node has \
                 no metrics.",
            ),
            (
                "window",
                Type::Span,
                "The time over which the CPU usage that is served is a mean.",
            ),
            (
                "endpoint",
                Type::Text,
                "The path on the kubelet, if it is not /metrics/resource.",
            ),
        ]),
        "The newest sample.",
    ),
    (
        "kubelet",
        Type::Object(&[
            (
                "freshness",
                Type::OneOf(&FRESHNESS),
                "every-request: it measures its containers when it is scraped. periodic: at times of \
                 its own.",
            ),
            (
                "period",
                Type::Span,
                "How far apart the samples of a container are, the median of some containers, if it \
                 is periodic. It is seen no finer than the kubelet is scraped.",
            ),
        ]),
        "When the kubelet measures, as the times of its samples show. Absent if too little is known.",
    ),
    (
        "lastFailure",
        Type::Object(&[
            ("time", Type::Moment, "When the kubelet was scraped."),
            (
                "reason",
                Type::Text,
                "What kind of failure: address, dial, tls, auth, status, timeout, too-large, \
                 malformed, empty, or refused by the frontend.",
            ),
            ("message", Type::Text, "The scraper's message."),
            ("scraper", Type::Text, "The scraper."),
        ]),
        "The last scrape that failed. It stays after later scrapes succeed.",
    ),
];

impl Status {
    pub(super) fn new(known: Known, freshness: Freshness) -> Self {
        let remedy = remedy::of(&known);
        let Known {
            report, scrapers, ..
        } = known;
        let failed = report.failed.as_ref();
        let why_not = report.why_not.as_ref();
        let measured = report.measured;
        let fallback = report.endpoint.filter(|it| *it != Endpoint::default());
        Self {
            state: report.state.as_str(),
            reason: report.reason(),
            message: why_not.map(|why| message(why, failed)),
            remedy,
            owner: scrapers.owners.first().map(Text::of),
            standby: scrapers.standby.first().map(Text::of),
            scrapers: Roles {
                owners: Text::all(scrapers.owners),
                standby: Text::all(scrapers.standby),
                leaving: Text::all(scrapers.leaving),
                rescuers: Text::all(scrapers.rescuers),
            },
            resolution: report.resolution.map(Span),
            sample: report.sampled_at.map(|at| Sample {
                scraped_at: Moment(at),
                measured_at: measured.map(|(at, _)| Moment(at)),
                window: measured.map(|(_, window)| Span(window)),
                endpoint: fallback.map(Endpoint::path),
            }),
            kubelet: Kubelet::of(freshness),
            last_failure: report.failed.map(|failed| Failure {
                time: Moment(failed.asked_at),
                reason: failed.reason,
                message: Text::of(&failed.message),
                scraper: Text::of(&failed.by),
            }),
        }
    }
}

impl Kubelet {
    fn of(freshness: Freshness) -> Option<Self> {
        (freshness != Freshness::Unknown).then(|| Self {
            freshness: freshness.as_str(),
            period: freshness.typical().map(Span),
        })
    }
}

/// Why a node has no metrics, as a sentence. It has no ages, because the status has times.
fn message(why: &NoMetrics, failed: Option<&FailedScrape>) -> String {
    match why {
        NoMetrics::Failed(failure) => failed.map_or_else(
            || failure.message.clone(),
            |failed| failed.message.to_string(),
        ),
        NoMetrics::TooOld(_) => "its newest sample is too old to be served".to_owned(),
        NoMetrics::NothingNew(_) => "the kubelet reports nothing new".to_owned(),
        NoMetrics::Recovering(_) => "waiting for a second sample".to_owned(),
        why => why.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::store::State;

    #[test]
    fn when_a_kubelet_measures_is_left_out_as_long_as_it_is_not_known() {
        let written = |freshness| serde_json::to_value(Kubelet::of(freshness)).unwrap();
        assert_eq!(written(Freshness::Unknown), Value::Null);
        let every_request = json!({ "freshness": "every-request" });
        assert_eq!(written(Freshness::EveryRequest), every_request);
        let typical = Duration::from_millis(14_200);
        let periodic = json!({ "freshness": "periodic", "period": "14.2s" });
        assert_eq!(written(Freshness::Periodic { typical }), periodic);
        assert_eq!(FRESHNESS, ["every-request", "periodic"]);
    }

    #[test]
    fn every_state_is_described() {
        let (_, kind, _) = STATUS.iter().find(|(name, ..)| *name == "state").unwrap();
        let Type::OneOf(words) = kind else {
            panic!("{kind:?}");
        };
        assert_eq!(State::ALL.map(State::as_str).as_slice(), *words);
    }
}
