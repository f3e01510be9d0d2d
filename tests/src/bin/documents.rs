//! Writes the documents that are generated from the code. A test checks that they are current.

use std::{fs, path::Path};

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for document in tributary_e2e::documents::all() {
        let path = root.join(document.path);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(&path, document.text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
