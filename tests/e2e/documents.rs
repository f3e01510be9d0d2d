//! Documents say what the code says.

use std::{fs, path::Path};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

#[test]
fn documents_that_follow_from_the_code_are_current() {
    for document in tributary_e2e::documents::all() {
        let text = fs::read_to_string(root().join(document.path)).unwrap_or_default();
        assert!(
            text == document.text,
            "{} is not current: cargo run -p tributary-e2e --bin documents",
            document.path
        );
    }
}
