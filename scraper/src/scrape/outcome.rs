//! Reports the outcome of a scrape: in the log, in metrics, and to frontends.

use std::time::Duration;

use tracing::{debug, info, warn};
use tributary_model::{NodeName, Timestamp};
use tributary_proto::{
    convert::failure_text,
    v1::{ScrapeFailure, scrape_failure},
};

use super::ScrapeMetrics;
use crate::kubelet::{Reason, ScrapeError, decode::Decoded};

/// A line for every scrape, at debug. The span `scrape` has the node.
pub(super) fn tell_end(outcome: &Result<Decoded, ScrapeError>, took: Duration) {
    let outcome = match outcome {
        Ok(_) => "ok",
        Err(error) => error.reason().as_str(),
    };
    debug!(outcome, took_ms = took.as_millis(), "scrape ended");
}

/// A node whose condition Ready is not true is expected to fail (docs/parity.md#which-nodes).
pub(super) fn tell(node: &NodeName, ready: bool, error: &ScrapeError) {
    let kind = error.reason().as_str();
    let answer = error.excerpt();
    if ready {
        warn!(%node, kind, %error, answer, "scrape failed");
    } else {
        info!(%node, kind, %error, answer, "scrape failed; the node is not ready");
    }
}

/// Counts what was refused of a page. A change is logged at warn, without bytes of the page; `refusing` is whether parts
/// of the page before were refused.
pub(super) fn count_refused(
    metrics: &ScrapeMetrics,
    node: &NodeName,
    decoded: &Decoded,
    refusing: &mut bool,
) {
    let mut kinds = Vec::new();
    for (kind, count) in decoded.refused.iter() {
        metrics.refused(kind.as_str(), u64::from(count));
        kinds.push(kind.as_str());
    }
    let began = !std::mem::replace(refusing, !kinds.is_empty());
    if !kinds.is_empty() {
        if began {
            warn!(%node, kinds = kinds.join(","), "parts of the page refused");
        }
        debug!(%node, refused = %decoded.refused, "parts of the page refused");
    }
}

pub(super) fn to_wire(node: &NodeName, asked_at: Timestamp, error: &ScrapeError) -> ScrapeFailure {
    use scrape_failure::Reason as Wire;
    let reason = match error.reason() {
        Reason::Address => Wire::Address,
        Reason::Dial => Wire::Dial,
        Reason::Tls => Wire::Tls,
        Reason::Auth => Wire::Auth,
        Reason::Status => Wire::Status,
        Reason::Timeout => Wire::Timeout,
        Reason::TooLarge => Wire::TooLarge,
        Reason::Malformed => Wire::Malformed,
        Reason::Empty => Wire::Empty,
    };
    ScrapeFailure {
        node: node.to_string(),
        asked_at_ms: asked_at.as_millis(),
        reason: reason.into(),
        message: failure_text(error.to_string()),
    }
}
