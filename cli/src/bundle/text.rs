//! The list of what is in a bundle. Pure: everything is an argument.

use std::fmt::Write as _;

use super::{
    archive::{INDEX, Written},
    contents::{Contents, File, Missing},
};
use crate::printed::{Paint, Table, count, harmless};

/// What to do with it.
const LOOK: &str = "Secrets were removed by their shape. Look through the files before you attach them to an issue.";

/// The list, as a file of the archive.
pub(super) fn index(contents: &Contents) -> String {
    let head = format!(
        "Bundle of kubectl tributary {}, made at {:.0}\n{LOOK}\n\n",
        env!("CARGO_PKG_VERSION"),
        contents.made_at
    );
    head + &lists(&contents.files, &contents.missing, Paint::PLAIN)
}

/// The list, for people.
#[must_use]
pub fn text(written: &Written, paint: Paint) -> String {
    let Written {
        file,
        bytes,
        files,
        missing,
        ..
    } = written;
    let removed: usize = files.iter().map(|file| file.removed).sum();
    let lists = lists(files, missing, paint);
    let line = format!(
        "{}: {bytes} bytes, {}, {} removed, {} not read",
        file,
        count(files.len() + 1, "file"),
        count(removed, "value"),
        missing.len()
    );
    format!("{lists}\n{}\n{LOOK}\n", paint.bold(&line))
}

fn lists(files: &[File], missing: &[Missing], paint: Paint) -> String {
    let mut table = Table::new(&["FILE", "BYTES", "REMOVED", "WHAT"]);
    let about = "this list".to_owned();
    table.row([INDEX.to_owned(), String::new(), String::new(), about]);
    for file in files {
        let (bytes, removed) = (file.bytes.to_string(), file.removed.to_string());
        table.row([file.name.clone(), bytes, removed, file.about.clone()]);
    }
    let mut text = table.text(paint);
    if !missing.is_empty() {
        let title = format!("not read, or not whole: {}", missing.len());
        writeln!(text, "\n{}", paint.warn(&title)).ok();
    }
    for Missing { what, reason } in missing {
        writeln!(text, "{}", harmless(&format!("  {what}: {reason}"))).ok();
    }
    text
}
