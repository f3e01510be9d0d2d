//! The comparison as text. Pure.

use super::{Compared, Comparison, Difference};
use crate::printed::{Paint, Table, count, harmless};

/// How many of what is missing, or differs, are named.
const NAMED: usize = 10;

/// What was compared, what is missing, and what differs.
#[must_use]
pub fn text(comparison: &Comparison, paint: Paint) -> String {
    let rounds = count(comparison.rounds, "round");
    let Comparison {
        incumbent,
        tributary,
        ..
    } = comparison;
    let title = format!("Tributary ({tributary}) compared with {incumbent} in {rounds}");
    let mut text = harmless(&title) + "\n";
    let mut table = Table::new(&[
        "KIND",
        "INCUMBENT",
        "BOTH",
        "SHARE",
        "ONLY TRIBUTARY",
        "CPU DIFFERS",
        "MEMORY DIFFERS",
    ]);
    let kinds = [("nodes", &comparison.nodes), ("pods", &comparison.pods)];
    let kinds = kinds.map(|(kind, compared)| Some((kind, compared.as_ref()?)));
    let kinds: Vec<(&str, &Compared)> = kinds.into_iter().flatten().collect();
    for (kind, compared) in &kinds {
        let percent = |parts: Option<i64>| parts.map(|parts| format!("{parts} %"));
        table.row([
            (*kind).to_owned(),
            compared.last.incumbent.to_string(),
            compared.last.both.to_string(),
            compared.share().percent(),
            compared.only_tributary.to_string(),
            percent(compared.typical_cpu_difference).unwrap_or_default(),
            percent(compared.typical_memory_difference).unwrap_or_default(),
        ]);
    }
    if !kinds.is_empty() {
        text.push_str(&table.text(paint));
    }
    for (kind, compared) in &kinds {
        text.push_str(&missing(kind, compared, paint));
        text.push_str(&differences(kind, compared, paint));
    }
    for unknown in &comparison.unknown {
        push(&mut text, &paint.warn(&format!("unknown: {unknown}")));
    }
    for finding in &comparison.findings {
        push(&mut text, &paint.bad(finding));
    }
    text
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn missing(kind: &str, compared: &Compared, paint: Paint) -> String {
    let all = &compared.missing;
    if all.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "{}\n",
        paint.bold(&format!("missing {kind}: {}", all.len()))
    );
    for one in all.iter().take(NAMED) {
        let why = if one.why.is_empty() {
            format!("missing in {} of {} rounds", one.missing_in, one.rounds)
        } else {
            one.why.clone()
        };
        push(&mut text, &harmless(&format!("  {}: {why}", one.name)));
    }
    more(&mut text, all.len());
    text
}

fn differences(kind: &str, compared: &Compared, paint: Paint) -> String {
    let all = &compared.differences;
    if all.is_empty() {
        return String::new();
    }
    let title = format!("{kind} whose usage differs widely: {}", all.len());
    let mut text = format!("{}\n", paint.bold(&title));
    for one in all.iter().take(NAMED) {
        let Difference {
            name,
            resource,
            incumbent,
            tributary,
        } = one;
        let (theirs, ours) = (amount(resource, *incumbent), amount(resource, *tributary));
        let line = format!("  {name}: {resource} {theirs}, Tributary {ours}");
        push(&mut text, &harmless(&line));
    }
    more(&mut text, all.len());
    text
}

fn more(text: &mut String, all: usize) {
    if let Some(more @ 1..) = all.checked_sub(NAMED) {
        push(text, &format!("  and {more} more (all of them: -o json)"));
    }
}

/// As `kubectl top` shows it.
fn amount(resource: &str, amount: i64) -> String {
    match resource {
        "cpu" => format!("{amount}m"),
        _ => format!("{}Mi", amount >> 20),
    }
}
