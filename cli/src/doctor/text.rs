//! The report as text. Pure: everything is an argument.

use std::fmt::Write as _;

use super::{Finding, Report, Unmade};
use crate::{
    catalogue::Level,
    printed::{Paint, count, harmless},
};

/// The width of the column of titles.
const TITLES: usize = 10;

/// The width of prose.
const WIDTH: usize = 100;

/// The report, for people.
#[must_use]
pub fn text(report: &Report, paint: Paint) -> String {
    let kubernetes = match &*report.kubernetes {
        "" => "Kubernetes of a version that is not known",
        version => &format!("Kubernetes {version}"),
    };
    let head = format!("{}, with {}", kubernetes, report.server);
    let mut text = format!("{}\n\n", paint.bold(&harmless(&head)));
    for finding in &report.findings {
        text.push_str(&of_finding(finding, paint));
        text.push('\n');
    }
    text.push_str(&last_lines(report, paint));
    text
}

fn of_finding(finding: &Finding, paint: Paint) -> String {
    let trouble = finding.code.trouble();
    let title = format!("{} {}", trouble.code, trouble.title);
    let title = match finding.level() {
        Level::Error => paint.bad(&title),
        Level::Warning => paint.warn(&title),
    };
    let mut text = format!("{title}\n");
    let mut part = |title: &str, lines: &[String]| {
        for (index, line) in lines.iter().enumerate() {
            let title = if index == 0 { title } else { "" };
            let title = paint.faint(&format!("{title:<TITLES$}"));
            writeln!(text, "  {title}{}", harmless(line)).ok();
        }
    };
    part("what", std::slice::from_ref(&finding.what));
    part("evidence", &finding.evidence);
    part("matters", &wrapped(trouble.matters));
    part("do", &wrapped(trouble.remedy));
    part("run", &finding.commands());
    let explain = finding.explain();
    part("read", &[format!("{}, or {explain}", finding.code.link())]);
    text
}

/// Prose in lines of a width that can be read.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Checks that were not made, those with the same reason together, as names and reason.
fn by_reason(checks: &[Unmade]) -> Vec<(String, &str)> {
    let mut groups: Vec<(String, &str)> = Vec::new();
    for Unmade { check, reason } in checks {
        let same = groups.iter_mut().find(|(_, known)| known == reason);
        if let Some((names, _)) = same {
            names.push_str(", ");
            names.push_str(check);
        } else {
            groups.push(((*check).to_owned(), reason));
        }
    }
    groups
}

fn last_lines(report: &Report, paint: Paint) -> String {
    let mut text = String::new();
    for (names, reason) in by_reason(&report.skipped) {
        let line = format!("skipped {names}: {reason}");
        writeln!(text, "{}", paint.faint(&harmless(&line))).ok();
    }
    let unknown = by_reason(&report.unknown);
    let alone = report.checked.is_empty() && report.skipped.is_empty() && unknown.len() == 1;
    for (names, reason) in unknown {
        let line = if alone {
            format!("no check could be made: {reason}")
        } else {
            format!("cannot check {names}: {reason}")
        };
        writeln!(text, "{}", paint.warn(&harmless(&line))).ok();
    }
    let errors = report
        .findings
        .iter()
        .filter(|it| it.level() == Level::Error)
        .count();
    let warnings = report.findings.len() - errors;
    let line = format!(
        "{}, {}; {} made, {} not possible, {} skipped",
        count(errors, "error"),
        count(warnings, "warning"),
        count(report.checked.len(), "check"),
        report.unknown.len(),
        report.skipped.len()
    );
    let line = if report.findings.is_empty() && report.unknown.is_empty() {
        paint.good(&line)
    } else {
        line
    };
    text + &line + "\n"
}
