//! Reads kubeconfig files, and says what is wrong with one without what it contains. It has tokens, passwords and keys, and
//! the errors of parsers quote the lines around a mistake.
//!
//! - [`config`]: the configuration in one file, or in several that are merged
//! - [`usual_files`]: the files that kubectl reads if none is named
//! - [`mod@text`]: an error of a client or of its credentials
//! - [`proxy()`]: why a proxy cannot be used
//! - [`plug_in`]: the program that gives credentials

mod no_proxy;
mod proxy;
mod text;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};

pub use self::{
    proxy::proxy,
    text::{server, text},
};

/// The longest kubeconfig that is read. Those of hundreds of clusters have some MiB.
const LONGEST: u64 = 16 << 20;

/// Kubeconfig files that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    files: Vec<PathBuf>,
    why: String,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", names(&self.files), self.why)
    }
}

impl std::error::Error for Unusable {}

/// The configuration in these files, of this context or of the current one. What an earlier file says counts.
///
/// # Errors
///
/// A file cannot be read, or lacks something.
pub async fn config(files: &[PathBuf], context: Option<&str>) -> Result<Config, Unusable> {
    let unusable = |files: &[PathBuf], error: KubeconfigError| Unusable {
        files: files.to_vec(),
        why: text::of_file(&error),
    };
    let mut merged = Kubeconfig::default();
    for file in files {
        if let Some(why) = unreadable(file) {
            return Err(Unusable {
                files: vec![file.clone()],
                why,
            });
        }
        let of_file = |error| unusable(std::slice::from_ref(file), error);
        let read = Kubeconfig::read_from(file).map_err(of_file)?;
        merged = merged.merge(read).map_err(of_file)?;
    }
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    let names_proxy = proxy::is_named(&merged, context);
    let config = Config::from_custom_kubeconfig(merged, &options).await;
    let mut config = config.map_err(|error| unusable(files, error))?;
    if !names_proxy && no_proxy::is_direct(&config.cluster_url, &no_proxy::of_environment()) {
        config.proxy_url = None;
    }
    // kube panics at a server without a scheme, and at others sends nothing.
    if !matches!(config.cluster_url.scheme_str(), Some("http" | "https")) {
        return Err(Unusable {
            files: files.to_vec(),
            why: text::NO_SCHEME.to_owned(),
        });
    }
    // kube panics at such a token, which a block of YAML easily has: its last line ends.
    if !text::is_header(&config.auth_info) {
        return Err(Unusable {
            files: files.to_vec(),
            why: text::NO_HEADER.to_owned(),
        });
    }
    Ok(config)
}

/// Why a file is not read, although it may be there: a pipe may never end, and a device has no end.
fn unreadable(file: &Path) -> Option<String> {
    // Why it cannot be looked at is said where it is read.
    let found = file.metadata().ok()?;
    if !found.is_file() && !found.is_dir() {
        return Some("a pipe or a device, and not a file: write its content to a file".to_owned());
    }
    let length = found.len();
    (length > LONGEST).then(|| format!("has {length} bytes, and {LONGEST} is the limit"))
}

/// The program that the user of this configuration gets credentials from, if there is one.
#[must_use]
pub fn plug_in(config: &Config) -> Option<String> {
    let user = &config.auth_info;
    let exec = user.exec.as_ref().and_then(|exec| exec.command.clone());
    // The older way.
    let older = user.auth_provider.as_ref();
    exec.or_else(|| older?.config.get("cmd-path").cloned())
}

/// Files, for people.
#[must_use]
pub fn names(files: &[PathBuf]) -> String {
    let names = files.iter().map(|file| file.display().to_string());
    names.collect::<Vec<_>>().join(", ")
}

/// The files that kubectl reads if none is named: those in `$KUBECONFIG`, or `~/.kube/config`. Those that are not there are
/// left out, unless none is there.
#[must_use]
pub fn usual_files() -> Vec<PathBuf> {
    let named = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let named = std::env::split_paths(&named);
    let mut files: Vec<PathBuf> = named.filter(|path| !path.as_os_str().is_empty()).collect();
    if files.is_empty() {
        let home = std::env::home_dir().unwrap_or_default();
        files.push(home.join(".kube/config"));
    }
    there(files)
}

fn there(files: Vec<PathBuf>) -> Vec<PathBuf> {
    // One that cannot be looked at is not absent: its error is shown.
    let there = files.iter();
    let there = there
        .filter(|file| file.try_exists().unwrap_or(true))
        .cloned();
    let there: Vec<PathBuf> = there.collect();
    if there.is_empty() { files } else { there }
}

#[cfg(test)]
mod tests;
