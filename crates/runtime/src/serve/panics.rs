//! A panic is a bug. It costs one request or one connection, and is counted and logged.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
};

use axum::{body::Body, response::IntoResponse as _};
use futures::FutureExt as _;
use http::{Response, StatusCode};
use tokio::task::JoinError;
use tracing::error;

use super::metrics::ServeMetrics;

/// The text of the response, as in Kubernetes.
const PANICKED: &str = "This request caused the server to panic. Look in the logs for details.\n";

/// The body of a response was abandoned.
#[derive(Debug, thiserror::Error)]
#[error("the body of the answer panicked")]
pub(super) struct Panicked;

/// The response of `answer`, or 500 if it panics.
pub(super) async fn answer_of<E>(
    answer: impl Future<Output = Result<Response<Body>, E>>,
    metrics: &ServeMetrics,
) -> Result<Response<Body>, E> {
    // Shared state of handlers is behind locks that can be used after a panic.
    match AssertUnwindSafe(answer).catch_unwind().await {
        Ok(answer) => answer,
        Err(panic) => {
            count(&*panic, metrics);
            Ok((StatusCode::INTERNAL_SERVER_ERROR, PANICKED).into_response())
        }
    }
}

/// The result of `work`, unless it panics.
pub(super) fn caught<T>(metrics: &ServeMetrics, work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        count(&*panic, metrics);
        Panicked
    })
}

/// Checks how the task of a connection ended.
pub(super) fn look_at(ended: Result<(), JoinError>, metrics: &ServeMetrics) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        count(&*panic, metrics);
    }
}

fn count(panic: &(dyn Any + Send), metrics: &ServeMetrics) {
    metrics.panics.inc();
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    error!(panic = text.unwrap_or("unknown"), "panic while serving");
}
