//! `bundle`: one archive to attach to an issue, without secrets.
//!
//! - [`mod@gather`] reads. What it cannot read becomes a line with the reason, never an error: a bundle is made where something
//!   is broken.
//! - The redactor removes secrets from everything before it is kept in memory as a file of the bundle. Secrets
//!   themselves are never read.
//! - [`write`](write()) writes a new file that only its owner may read, and lists every file in it; [`write_to`] writes to the
//!   output.

mod archive;
mod contents;
mod gather;
mod lists;
mod logs;
mod own;
mod redactor;
mod text;

pub use self::{
    archive::{Written, check, file_name, write, write_to},
    contents::{Contents, File, Missing},
    gather::gather,
    text::text,
};

/// How long a bundle may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of one log.
    pub log: usize,
    /// The most bytes of all files together, before they are compressed.
    pub all: usize,
}

#[cfg(test)]
mod tests;
