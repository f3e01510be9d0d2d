//! Where the programs of the control plane are.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

/// What `build` makes, if `KUBEBUILDER_ASSETS` names no other directory.
const BUILT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bin");

/// Programs without which nothing here works.
const NEEDED: [&str; 4] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kubectl",
];

/// A program is in no directory that was looked at.
#[derive(Debug)]
pub struct Missing {
    program: &'static str,
    looked_in: Vec<PathBuf>,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let folders = self.looked_in.iter().map(|dir| dir.display().to_string());
        write!(
            f,
            "no {} in {}: run tests/controlplane/build, or set KUBEBUILDER_ASSETS to a folder that holds it",
            self.program,
            folders.collect::<Vec<_>>().join(" or ")
        )
    }
}

impl std::error::Error for Missing {}

/// The folders that hold the programs.
#[derive(Clone, Debug)]
pub struct Assets {
    /// The first that has a program wins.
    folders: Vec<PathBuf>,
}

impl Assets {
    /// Those in `KUBEBUILDER_ASSETS`, and what is not there (envtest has no controller manager) in `bin` beside this
    /// crate.
    ///
    /// # Errors
    ///
    /// One of them is in neither.
    pub fn find() -> Result<Self, Missing> {
        let given = env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
        let folders = given.into_iter().chain([PathBuf::from(BUILT)]).collect();
        let assets = Self { folders };
        for program in NEEDED {
            assets.program(program)?;
        }
        Ok(assets)
    }

    /// One of them.
    ///
    /// # Errors
    ///
    /// It is in none of the folders.
    pub fn program(&self, program: &'static str) -> Result<PathBuf, Missing> {
        let mut paths = self.folders.iter().map(|directory| directory.join(program));
        paths.find(|path| path.is_file()).ok_or_else(|| Missing {
            program,
            looked_in: self.folders.clone(),
        })
    }

    /// Every kubectl there is: the one that was built, and those that `KUBECTLS` names (paths, separated by blanks) or,
    /// without it, those on `PATH` that carry a version in their names (`kubectl.1.33`).
    ///
    /// # Errors
    ///
    /// As for [`Self::program`].
    pub fn kubectls(&self) -> Result<Vec<PathBuf>, Missing> {
        let mut found = vec![self.program("kubectl")?];
        if let Some(named) = env::var_os("KUBECTLS") {
            let named = named.to_string_lossy().into_owned();
            found.extend(named.split_whitespace().map(PathBuf::from));
            return Ok(found);
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let mut versioned = BTreeSet::new();
        for directory in env::split_paths(&path) {
            // Where several versions are installed, the one on PATH is a link into the directory of all of them.
            let real = fs::canonicalize(directory.join("kubectl"));
            let real = real.ok().and_then(|path| path.parent().map(Path::to_owned));
            for directory in [Some(directory), real].into_iter().flatten() {
                versioned.extend(versions_in(&directory));
            }
        }
        found.extend(versioned);
        Ok(found)
    }
}

fn versions_in(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| name_of(path).starts_with("kubectl.1."))
}

/// The name of a program's file.
pub(crate) fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
