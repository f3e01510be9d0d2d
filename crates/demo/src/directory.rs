//! The directory of the demo.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom},
    net::SocketAddr,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::Serialize;
use tempfile::TempDir;
use tributary_runtime::exit::Misconfigured;

/// How many bytes of a log are read to find its last line.
const TAIL: u64 = 4096;

/// A process in `processes.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Entry<'a> {
    /// `None` while it does not run.
    pub(crate) pid: Option<u32>,
    pub(crate) role: &'static str,
    pub(crate) name: &'a str,
    pub(crate) addresses: &'a BTreeMap<&'static str, SocketAddr>,
    pub(crate) restarts: u32,
}

/// The directory. A temporary one is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    temporary: Option<TempDir>,
    /// Locked as long as it is open: two demos would write each other's files.
    _lock: File,
}

impl Directory {
    /// Makes the directory `--dir` names, or a temporary one.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub(crate) fn open(dir: Option<&Path>) -> anyhow::Result<Self> {
        let Some(dir) = dir else {
            let made = tempfile::Builder::new().prefix("tributary-demo-").tempdir();
            let made = made.context("make a temporary folder")?;
            let path = made.path().to_owned();
            return Ok(Self::at(path, Some(made))?);
        };
        let wrong = |error| Misconfigured::new(format!("--dir {}: {error}", dir.display()));
        let path = std::path::absolute(dir).map_err(wrong)?;
        Self::at(path, None).map_err(|error| wrong(error).into())
    }

    fn at(path: PathBuf, temporary: Option<TempDir>) -> io::Result<Self> {
        // The directory will contain private keys.
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(path.join("logs"))?;
        let lock = File::create(path.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other("another demo uses it"),
            TryLockError::Error(error) => error,
        })?;
        Ok(Self {
            path,
            temporary,
            _lock: lock,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.path.join("kubeconfig")
    }

    fn log(&self, name: &str) -> PathBuf {
        self.path.join("logs").join(format!("{name}.log"))
    }

    /// Opens the log of a process for writing. It is emptied before the first start. Later output is appended.
    pub(crate) fn open_log(&self, name: &str, first: bool) -> io::Result<File> {
        let path = self.log(name);
        if first {
            File::create(&path)?;
        }
        // stdout and stderr share the file, so both must append.
        OpenOptions::new().append(true).open(&path)
    }

    /// The last line of a process's log. Empty if there is none.
    pub(crate) fn last_line(&self, name: &str) -> String {
        tail(&self.log(name)).unwrap_or_default()
    }

    /// Replaces `processes.json` in one step, so that a reader never sees a part of it.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub(crate) fn write_processes(&self, entries: &[Entry<'_>]) -> anyhow::Result<()> {
        let (path, new) = (
            self.path.join("processes.json"),
            self.path.join("processes.json.new"),
        );
        let mut text = serde_json::to_string_pretty(entries)?;
        text.push('\n');
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, &path))
            .with_context(|| format!("write {}", path.display()))
    }

    /// Removes the directory if it is a temporary one.
    ///
    /// # Errors
    ///
    /// It cannot be removed.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        match self.temporary {
            Some(temporary) => temporary.close().context("remove the temporary folder"),
            None => Ok(()),
        }
    }
}

fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let last = text.lines().rfind(|line| !line.trim().is_empty());
    Ok(last.unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_named_directory_stays_and_a_temporary_one_goes() {
        let outer = tempfile::tempdir().unwrap();
        let named = outer.path().join("a/b");
        Directory::open(Some(&named)).unwrap().close().unwrap();
        assert!(named.join("logs").is_dir());

        let directory = Directory::open(None).unwrap();
        let path = directory.path().to_owned();
        assert!(path.is_dir());
        directory.close().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_named_directory_is_for_one_demo_at_a_time() {
        let outer = tempfile::tempdir().unwrap();
        let named = outer.path().join("a");
        let first = Directory::open(Some(&named)).unwrap();
        let error = Directory::open(Some(&named)).unwrap_err();
        let sentence = format!("--dir {}: another demo uses it", named.display());
        assert_eq!(error.to_string(), sentence);
        assert!(error.is::<Misconfigured>());
        first.close().unwrap();
        Directory::open(Some(&named)).unwrap();
    }

    #[test]
    fn the_last_line_of_a_log_is_the_last_that_says_something() {
        let directory = Directory::open(None).unwrap();
        assert_eq!(directory.last_line("scraper-0"), "");
        let mut log = directory.open_log("scraper-0", true).unwrap();
        writeln!(log, "{}\nfirst", "x".repeat(5000)).unwrap();
        let mut log = directory.open_log("scraper-0", false).unwrap();
        write!(log, "error: port taken\n\n").unwrap();
        assert_eq!(directory.last_line("scraper-0"), "error: port taken");
        directory.open_log("scraper-0", true).unwrap();
        assert_eq!(directory.last_line("scraper-0"), "");
    }

    #[test]
    fn processes_are_listed_with_their_addresses() {
        let directory = Directory::open(None).unwrap();
        let addresses = BTreeMap::from([("admin", "127.0.0.101:8080".parse().unwrap())]);
        let entry = Entry {
            pid: None,
            role: "scraper",
            name: "scraper-0",
            addresses: &addresses,
            restarts: 2,
        };
        directory.write_processes(&[entry]).unwrap();
        let text = fs::read_to_string(directory.path().join("processes.json")).unwrap();
        let expected = r#"[
  {
    "pid": null,
    "role": "scraper",
    "name": "scraper-0",
    "addresses": {
      "admin": "127.0.0.101:8080"
    },
    "restarts": 2
  }
]
"#;
        assert_eq!(text, expected);
    }
}
