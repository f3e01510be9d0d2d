//! Informational responses (1xx) before an answer.
//!
//! hyper reads past them, however many there are. kube-apiserver sends none, and a proxy before it a few. A server that sends
//! them without end would cost CPU until the limit of the request.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::Request;
use hyper::ext::on_informational;
use tokio::sync::Notify;

/// The most before one answer.
pub(super) const MOST: usize = 8;

/// Counts those of `request`. What is returned is notified when there are too many.
pub(super) fn counted<B>(request: &mut Request<B>) -> Arc<Notify> {
    let too_many = Arc::new(Notify::new());
    let (seen, report) = (AtomicUsize::new(0), Arc::clone(&too_many));
    on_informational(request, move |_| {
        if seen.fetch_add(1, Ordering::Relaxed) >= MOST {
            report.notify_one();
        }
    });
    too_many
}
