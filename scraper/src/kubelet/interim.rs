//! Informational responses (1xx) before an answer.
//!
//! hyper reads past them, however many there are. Kubelets send none, and a proxy before one a few. A kubelet that
//! sends them without end would cost CPU until the time limit of the request, at each scrape.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::Request;
use hyper::ext::on_informational;
use tokio_util::sync::CancellationToken;

/// The most before one answer.
pub(super) const MOST: usize = 8;

/// Counts those of `request`. Returns a token that is cancelled when there are too many.
pub(super) fn counted<B>(request: &mut Request<B>) -> CancellationToken {
    let too_many = CancellationToken::new();
    let (seen, report) = (AtomicUsize::new(0), too_many.clone());
    on_informational(request, move |_| {
        if seen.fetch_add(1, Ordering::Relaxed) >= MOST {
            report.cancel();
        }
    });
    too_many
}
