//! Properties of all code that reads input of strangers.
//!
//! Each target accepts any bytes and panics if a property does not hold. The same functions run on the committed seeds
//! in every test run (`tests/seeds.rs`), and on what libFuzzer makes of these seeds (`tests/fuzz/run`).
//!
//! | target | input | sent by |
//! |---|---|---|
//! | [`page`] | pages of a kubelet, one after another | a node |
//! | [`bus`] | messages of the bus | a publisher |
//! | [`query`] | the query of a LIST: selectors, `limit`, `continue` | a caller |
//! | [`accept`] | `Accept` headers | a caller |
//! | [`identity`] | `X-Remote-*` and `Impersonate-*` headers | a caller |
//! | [`certificate`] | a chain of certificates | a caller |
//! | [`lease`] | Lease objects | clients that may write them |
//! | [`summary`] | the same as JSON, of `/stats/summary` | a node |

pub mod accept;
pub mod bus;
pub mod certificate;
pub mod identity;
pub mod lease;
pub mod memory;
pub mod page;
pub mod plain;
pub mod query;
pub mod summary;

/// A target. It panics if a property does not hold.
pub type Check = fn(&[u8]);

/// Every target, with the name of its directory of seeds and of its binary.
pub const TARGETS: [(&str, Check); 8] = [
    ("accept", accept::check),
    ("bus", bus::check),
    ("certificate", certificate::check),
    ("identity", identity::check),
    ("lease", lease::check),
    ("page", page::check),
    ("query", query::check),
    ("summary", summary::check),
];
