//! The archive on disk.

use std::{
    fs::{self, File as Disk, OpenOptions},
    io::{self, BufWriter, Write},
    path::Path,
};

use anyhow::Context as _;
use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use serde::Serialize;
use tar::{Builder, Header};

use super::{
    contents::{Contents, File, Missing},
    text,
};
use crate::{args::OUTPUT, printed::Outcome};

/// The name of the list of the files.
pub(super) const INDEX: &str = "index.txt";

/// A bundle that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Written {
    /// Whether it is complete: healthy, or findings. Unknown if nothing in it is from the cluster.
    pub outcome: Outcome,
    /// Where it is.
    pub file: String,
    /// How long the archive is.
    pub bytes: u64,
    /// What is in it, besides the list of this.
    pub files: Vec<File>,
    /// What should be, and could not be read.
    pub missing: Vec<Missing>,
}

/// The name of a bundle of this time.
#[must_use]
pub fn file_name(now: Timestamp) -> String {
    format!("{}.tar.gz", directory(now))
}

fn directory(now: Timestamp) -> String {
    format!("tributary-bundle-{}", now.strftime("%Y%m%dT%H%M%SZ"))
}

/// Refuses a file that exists, before anything is read for it.
///
/// # Errors
///
/// It exists, or it cannot be known.
pub fn check(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let exists = path.try_exists();
    anyhow::ensure!(
        !exists.with_context(|| format!("failed to look for {shown}"))?,
        "{shown} exists already, and is not overwritten"
    );
    Ok(())
}

/// Writes the archive.
///
/// # Errors
///
/// The file exists, or cannot be written. Then nothing is left of it.
pub fn write(contents: &Contents, path: &Path) -> anyhow::Result<Written> {
    let shown = path.display();
    let file = create(path).with_context(|| format!("failed to create {shown}"))?;
    let bytes = fill(contents, file);
    if bytes.is_err() {
        // What went wrong first is what to report.
        drop(fs::remove_file(path));
    }
    let bytes = bytes.with_context(|| format!("failed to write {shown}"))?;
    Ok(written(contents, shown.to_string(), bytes))
}

/// Writes the archive to an output.
///
/// # Errors
///
/// It takes no more.
pub fn write_to(contents: &Contents, output: &mut impl Write) -> anyhow::Result<Written> {
    let bytes = fill(contents, output).context("failed to write the archive")?;
    Ok(written(contents, OUTPUT.to_owned(), bytes))
}

fn written(contents: &Contents, file: String, bytes: u64) -> Written {
    let outcome = match (contents.answered, &*contents.missing) {
        (false, _) => Outcome::Unknown,
        (true, []) => Outcome::Healthy,
        (true, _) => Outcome::Findings,
    };
    Written {
        outcome,
        file,
        bytes,
        files: contents.files.clone(),
        missing: contents.missing.clone(),
    }
}

/// A new file that only its owner may read.
fn create(path: &Path) -> io::Result<Disk> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Returns how many bytes it is.
fn fill(contents: &Contents, output: impl Write) -> io::Result<u64> {
    let output = Counted { output, bytes: 0 };
    let encoder = GzEncoder::new(BufWriter::new(output), Compression::default());
    let mut archive = Builder::new(encoder);
    let directory = directory(contents.made_at);
    let mut append = |name: &str, text: &str| {
        let mut header = Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(u64::try_from(text.len()).unwrap_or(u64::MAX));
        header.set_mtime(u64::try_from(contents.made_at.as_second()).unwrap_or_default());
        archive.append_data(&mut header, format!("{directory}/{name}"), text.as_bytes())
    };
    append(INDEX, &text::index(contents))?;
    for file in &contents.files {
        append(&file.name, &file.text)?;
    }
    let output = archive.into_inner()?.finish()?;
    let mut output = output
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    output.flush()?;
    Ok(output.bytes)
}

/// An output, and how many bytes it took.
struct Counted<W> {
    output: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.output.write(bytes)?;
        self.bytes += u64::try_from(taken).unwrap_or_default();
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
