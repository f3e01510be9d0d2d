//! The sending half of the bus.
//!
//! What is promised about delivery: every frontend gets the newest reading of
//! every node, sooner or later in its own time. A slow one loses history, never
//! freshness, and slows nobody else; one that is new gets the two newest
//! readings of every node first.
//!
//! - [`hub`]: what is stored for new frontends, and the mailboxes
//! - [`mailbox`]: what one frontend has not been sent
//! - [`outbox`]: the messages of one stream, in order
//! - [`client`]: one stream to one frontend
//! - [`mod@frontend_link`]: the streams to one frontend, one after another
//! - [`credentials`]: tokens, certificates and CAs, followed as they change
//! - [`dial`]: connections: TLS, Unix socket
//! - [`frontend`]: what `--frontend` says
//! - [`frontend_address`]: the frontends behind what `--frontend` says
//! - [`names`]: the addresses behind names, looked up again and again
//! - [`endpoints`]: the frontends behind a Service, as they come and go
//! - [`reports`]: what frontends say about nodes
//! - [`supervisor`]: one client per frontend, for as long as it exists

pub(crate) mod client;
pub(crate) mod credentials;
pub(crate) mod dial;
pub(crate) mod endpoints;
pub(crate) mod frontend;
pub(crate) mod frontend_address;
mod frontend_link;
pub(crate) mod hub;
mod mailbox;
pub(crate) mod metrics;
pub(crate) mod names;
mod outbox;
pub(crate) mod reports;
pub(crate) mod supervisor;
