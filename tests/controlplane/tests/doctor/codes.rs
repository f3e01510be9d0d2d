//! docs/troubles/MADE.md has each code of the catalogue, and the test that makes it.

use std::{fs, path::Path};

use anyhow::Context as _;
use tributary_cli::catalogue::Code;

#[test]
fn each_code_of_the_catalogue_is_made_by_a_test() -> anyhow::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = here.join("../../docs/troubles/MADE.md");
    let page = fs::read_to_string(&page).with_context(|| page.display().to_string())?;
    let rows = page.lines().filter(|line| line.starts_with("| TRB"));
    let rows: Vec<Vec<&str>> = rows
        .map(|row| row.split('|').map(str::trim).collect())
        .collect();
    let listed: Vec<(&str, &str)> = rows.iter().map(|row| (row[1], row[2])).collect();
    let all = Code::ALL.iter().map(|code| code.trouble());
    let all: Vec<(&str, &str)> = all.map(|trouble| (trouble.code, trouble.name)).collect();
    assert_eq!(listed, all);
    for row in rows {
        let (name, test) = (row[2], row[4].trim_matches('`'));
        let source = here.join("tests/doctor").join(test);
        let source = fs::read_to_string(&source).with_context(|| test.to_owned())?;
        assert!(
            source.contains(&format!("\"{name}\"")),
            "{test} does not find {name}"
        );
    }
    Ok(())
}
