//! The columns of `kubectl get nodescrapes`.

use std::time::Duration;

use tributary_model::Timestamp;

use super::{
    super::{
        Span, Text,
        table::{Cell, Column, Tabled},
    },
    NodeScrape,
};

impl Tabled for NodeScrape {
    const COLUMNS: &'static [Column<Self>] = &[
        Column {
            name: "State",
            kind: "string",
            wide: false,
            description: "The state of the node",
            cell: |node| Cell::text(Some(node.status.state)),
        },
        Column {
            name: "Owner",
            kind: "string",
            wide: false,
            description: "The scraper that scrapes it",
            cell: |node| Cell::text(node.status.owner.as_ref().map(Text::as_str)),
        },
        Column {
            name: "Standby",
            kind: "string",
            wide: false,
            description: "The scraper that scrapes it if the owner does not deliver it",
            cell: |node| Cell::text(node.status.standby.as_ref().map(Text::as_str)),
        },
        Column {
            name: "Sample",
            kind: "string",
            wide: false,
            description: "The time since the scrape of the newest sample",
            cell: |node| Cell::ago(node.scraped_at(), node.now),
        },
        Column {
            name: "Kubelet",
            kind: "string",
            wide: false,
            description: "The age of its numbers at that scrape, by the kubelet's clock",
            cell: |node| Cell::span(node.behind()),
        },
        Column {
            name: "Reason",
            kind: "string",
            wide: false,
            description: "Why it has no metrics",
            cell: |node| Cell::text(node.status.reason),
        },
        Column {
            name: "Resolution",
            kind: "string",
            wide: true,
            description: "How often it is scraped",
            cell: |node| Cell::text(node.status.resolution.map(Span::text).as_deref()),
        },
        Column {
            name: "Measures",
            kind: "string",
            wide: true,
            description: "When its kubelet measures: at every request, or how far apart samples are",
            cell: |node| match &node.status.kubelet {
                Some(kubelet) if kubelet.period.is_none() => Cell::text(Some(kubelet.freshness)),
                kubelet => Cell::span(kubelet.as_ref().and_then(|it| Some(it.period?.0))),
            },
        },
        Column {
            name: "Remedy",
            kind: "string",
            wide: true,
            description: "What to do about it: a section in docs/FLEET.md",
            cell: |node| Cell::text(node.status.remedy),
        },
        Column {
            name: "Failed",
            kind: "string",
            wide: true,
            description: "The time since the last scrape that failed",
            cell: |node| match &node.status.last_failure {
                Some(failure) => Cell::ago(Some(failure.time.0), node.now),
                None => Cell::text(None),
            },
        },
        Column {
            name: "Message",
            kind: "string",
            wide: true,
            description: "Why it has no metrics, as a sentence",
            cell: |node| Cell::text(node.status.message.as_deref()),
        },
    ];
}

impl NodeScrape {
    fn scraped_at(&self) -> Option<Timestamp> {
        self.status
            .sample
            .as_ref()
            .map(|sample| sample.scraped_at.0)
    }

    /// How old the newest sample was when the kubelet was scraped.
    fn behind(&self) -> Option<Duration> {
        let measured_at = self.status.sample.as_ref()?.measured_at?;
        Some(self.scraped_at()?.since(measured_at.0).unwrap_or_default())
    }
}
