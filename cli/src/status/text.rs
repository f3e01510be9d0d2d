//! The screen as text. Pure: everything is an argument.

use std::{fmt::Write as _, time::Duration};

use jiff::Timestamp;

use super::overview::{Group, Overview, Spread};
use crate::{
    api_services::Registration,
    printed::{Outcome, Paint, Table, between, count, harmless, some_of, span},
};

/// How many nodes are named of those with the same trouble.
const NAMED: usize = 8;

pub(super) fn of(overview: &Overview, paint: Paint) -> String {
    // A screen that is too small loses what is below.
    let (head, wrong) = (head(overview, paint), wrong(overview, paint));
    // Where no frontend answers, there is nothing to say of versions.
    let first = if overview.frontends.is_empty() {
        [wrong, head]
    } else {
        [head, wrong]
    };
    let rest = [
        unread(overview, paint),
        nodes(overview, paint),
        api_services(overview, paint),
        frontends(overview, paint),
        scrapers(overview, paint),
    ];
    let parts = first.into_iter().chain(rest);
    let parts = parts.filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("\n")
}

fn head(overview: &Overview, paint: Paint) -> String {
    let mut versions: Vec<&str> = overview
        .frontends
        .iter()
        .map(|frontend| &*frontend.status.version)
        .chain(
            overview
                .scrapers
                .iter()
                .map(|scraper| &*scraper.status.version),
        )
        .filter(|version| !version.is_empty())
        .collect();
    versions.sort_unstable();
    versions.dedup();
    let ours = match &*versions {
        [] => "Tributary of a version that is not known".to_owned(),
        versions => format!("Tributary {}", versions.join(" and ")),
    };
    let kubernetes = match &*overview.kubernetes {
        "" => "Kubernetes of a version that is not known".to_owned(),
        version => format!("Kubernetes {version}"),
    };
    let date = overview
        .date
        .map(|date| format!(", {date}"))
        .unwrap_or_default();
    format!("{}\n", paint.bold(&format!("{ours} on {kubernetes}{date}")))
}

fn api_services(overview: &Overview, paint: Paint) -> String {
    if overview.api_services.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["APISERVICE", "SERVICE", "AVAILABLE", "REASON"]);
    for service in &overview.api_services {
        let available = match service.available {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        let cells = [&service.name, &service.target(), available, &service.reason];
        table.row(cells.map(harmless));
    }
    let mut text = table.text(paint);
    let down = |service: &&Registration| service.available == Some(false);
    for service in overview.api_services.iter().filter(down) {
        let line = format!("{}: {}", service.name, harmless(&service.message));
        text.push_str(&paint.bad(&line));
        text.push('\n');
    }
    text
}

fn nodes(overview: &Overview, paint: Paint) -> String {
    let counts = &overview.nodes;
    if counts.total == 0 {
        return String::new();
    }
    let states = counts.by_state.iter();
    let states: Vec<String> = states
        .map(|(state, number)| format!("{number} {state}"))
        .collect();
    let (with, total) = (counts.with_metrics, counts.total);
    let line = format!(
        "{with} of {} with metrics ({})",
        count(total, "node"),
        states.join(", ")
    );
    let line = if with == total {
        paint.good(&line)
    } else {
        paint.bad(&line)
    };
    let mut table = Table::new(&["FRESHNESS", "NODES", "P50", "P90", "P99", "MAX"]);
    let rows = [
        ("since the scrape", overview.since_scrape),
        ("since the kubelet measured", overview.since_measurement),
    ];
    for (title, spread) in rows {
        if let Some(spread) = spread {
            let Spread {
                p50, p90, p99, max, ..
            } = spread;
            let ages = [p50, p90, p99, max].map(in_words);
            let cells = [title.to_owned(), spread.nodes.to_string()];
            table.row(cells.into_iter().chain(ages));
        }
    }
    match overview.since_scrape {
        Some(_) => format!("{line}\n{}", table.text(paint)),
        None => format!("{line}\n"),
    }
}

/// An age in seconds, as all others are written.
fn in_words(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| String::new(), span)
}

/// How long ago, by the clock of the frontend.
fn ago(at: Option<Timestamp>, now: Option<Timestamp>) -> String {
    let age = at.zip(now).map(|(at, now)| between(at, now));
    age.map(span).unwrap_or_default()
}

/// How long until then.
fn until(at: Option<Timestamp>, now: Option<Timestamp>) -> String {
    match at.zip(now) {
        Some((at, now)) if at <= now => "expired".to_owned(),
        Some((at, now)) => span(between(now, at)),
        None => String::new(),
    }
}

fn frontends(overview: &Overview, paint: Paint) -> String {
    let mut table = Table::new(&[
        "FRONTEND",
        "VERSION",
        "SERVED",
        "FAILING",
        "STREAMS",
        "OLDEST",
        "CERTIFICATE",
    ]);
    for frontend in &overview.frontends {
        let status = &frontend.status;
        let coverage = status.coverage;
        table.row([
            harmless(&frontend.metadata.name),
            harmless(&status.version),
            format!("{}/{}", coverage.served, coverage.nodes),
            coverage.failing.to_string(),
            status.streams.to_string(),
            ago(status.oldest_sample, overview.date),
            until(status.certificate_expires, overview.date),
        ]);
    }
    let mut text = String::new();
    if !overview.frontends.is_empty() {
        text.push_str(&table.text(paint));
    }
    if let Some((ready, all)) = overview.endpoints.filter(|(_, all)| *all > 0) {
        let mut line = format!("{ready} of {} of the Service ready", count(all, "endpoint"));
        if all > 1 && !overview.frontends.is_empty() {
            line.push_str("; shown is the frontend that answered");
        }
        let line = if ready == all {
            line
        } else {
            paint.warn(&line)
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn scrapers(overview: &Overview, paint: Paint) -> String {
    // Why there is none, is said above.
    if overview.scrapers.is_empty() {
        return String::new();
    }
    let titles = [
        "SCRAPER", "VERSION", "GROUP", "NODES", "SHARE", "STANDBY", "RESCUED", "UNSERVED", "OLDEST",
    ];
    let mut table = Table::new(&titles);
    for scraper in &overview.scrapers {
        let status = &scraper.status;
        let shares = status.nodes;
        let percent = shares
            .owned
            .saturating_mul(100)
            .checked_div(overview.nodes.total);
        table.row([
            harmless(&scraper.metadata.name),
            harmless(&status.version),
            harmless(&status.group),
            shares.owned.to_string(),
            percent
                .map(|percent| format!("{percent}%"))
                .unwrap_or_default(),
            shares.standby.to_string(),
            shares.rescued.to_string(),
            shares.unserved.to_string(),
            ago(status.oldest_sample, overview.date),
        ]);
    }
    table.text(paint)
}

fn without_metrics(overview: &Overview, paint: Paint) -> String {
    let mut text = String::new();
    for group in &overview.without_metrics {
        let Group {
            state,
            reason,
            remedy,
            nodes,
            message,
        } = group;
        let mut words = vec![&**state, reason];
        if !remedy.is_empty() {
            words.push(remedy);
        }
        let title = format!("{} {}", count(nodes.len(), "node"), words.join(", "));
        let names = some_of(nodes.iter().map(String::as_str), NAMED);
        let (title, names) = (paint.bad(&harmless(&title)), harmless(&names));
        writeln!(text, "{title}: {names}").ok();
        if !message.is_empty() {
            writeln!(text, "  {}", harmless(message)).ok();
        }
    }
    text
}

fn wrong(overview: &Overview, paint: Paint) -> String {
    let wrong = overview.wrong.iter();
    let mut text: String = wrong.map(|line| paint.bad(line) + "\n").collect();
    text.push_str(&without_metrics(overview, paint));
    if overview.outcome == Outcome::Findings {
        let doctor = overview.commands.command("kubectl tributary doctor");
        writeln!(text, "What to do: {}", harmless(&doctor)).ok();
    }
    text
}

fn unread(overview: &Overview, paint: Paint) -> String {
    let lines = overview
        .unread
        .iter()
        .map(|line| paint.warn(&harmless(line)));
    lines.map(|line| line + "\n").collect()
}
