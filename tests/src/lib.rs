//! The harness: both components in one process, with a simulated cluster.
//!
//! - [`documents`]: files of the repository that are generated from the code
//! - [`stack`]: a cluster, scrapers and frontends
//! - [`ask`]: a client of the Kubernetes API, which proxies to the frontends
//! - [`recording`]: the recorded bytes of a scraper, which can be sent again

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a failed step is a failed test"
)]

pub mod ask;
pub mod documents;
pub mod recording;
pub mod stack;

pub use tributary_testkit::patience;
