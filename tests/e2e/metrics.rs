//! The metrics of the binaries agree with `docs/METRICS.md`.

use std::collections::{BTreeMap, BTreeSet};

use tributary_e2e::{ask::Answer, stack::Stack};

use super::{NODES, all_served, steady};

/// Families by name: their type and their labels.
type Families = BTreeMap<String, (String, BTreeSet<String>)>;

/// The families in the section `title` of the document.
fn documented(title: &str) -> Families {
    let text = include_str!("../../docs/METRICS.md");
    let (_, rest) = text.split_once(&format!("\n## {title}\n")).unwrap();
    let section = rest.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let family = |row: &str| {
        let cells = row.trim_matches('|').split('|').map(str::trim);
        let cells: Vec<&str> = cells.collect();
        let labels = cells[2].split(", ").map(|label| label.trim_matches('`'));
        let labels = labels.filter(|label| !label.is_empty());
        let labels = labels.map(str::to_owned).collect();
        let name = cells[0].trim_matches('`');
        (name.to_owned(), (cells[1].to_owned(), labels))
    };
    rows.map(family).collect()
}

/// The families of an answer in the text format 0.0.4.
fn exposed(answer: &Answer) -> Families {
    let text = text(answer);
    let mut families = Families::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|is| is.split_once(' '))
        {
            let help = format!("# HELP {name} ");
            assert!(text.contains(&help), "{name} has no help");
            let family = (kind.to_owned(), BTreeSet::new());
            let before = families.insert(name.to_owned(), family);
            assert_eq!(before, None, "{name} is told twice");
            name.clone_into(&mut current);
        } else if !line.starts_with('#') {
            assert!(line.starts_with(&current), "{line:?} is not of {current}");
            let (_, labels) = families.get_mut(&current).unwrap();
            let inside = line.split_once('{').map(|(_, rest)| rest);
            let inside = inside.and_then(|rest| rest.rsplit_once('}'));
            for pair in inside.iter().flat_map(|(inside, _)| inside.split("\",")) {
                let (label, _) = pair.split_once('=').unwrap();
                labels.insert(label.to_owned());
            }
            labels.remove("le");
        }
    }
    families
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

fn compare(what: &str, exposed: &Families) {
    let mut listed = documented(what);
    listed.extend(documented("Both"));
    for (name, family) in &listed {
        assert_eq!(
            exposed.get(name),
            Some(family),
            "{what}: {name} of the document"
        );
    }
    for name in exposed.keys() {
        let is_listed = listed.contains_key(name);
        assert!(is_listed, "{what}: {name} is not in the document");
    }
    println!("{what}: {} families", exposed.len());
}

/// The value of a series.
fn number(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    line.unwrap().trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_lists_every_metric_and_no_other() {
    let stack = Stack::start(steady(3, 2), 1, 1).await;
    let front = stack.front(0);
    all_served(&stack, &front).await;
    front.ok(NODES).await.unwrap();
    let answer = front.ok("/metrics").await.unwrap();
    compare("Frontend", &exposed(&answer));
    let text = text(&answer);
    let served = ["served", "late"].map(|state| format!("tributary_nodes{{state=\"{state}\"}}"));
    let served = served.iter().map(|series| number(text, series));
    assert!((served.sum::<f64>() - 3.0).abs() < 0.5, "{text}");
    let oldest = "tributary_sample_age_seconds{quantile=\"1\"}";
    assert!(number(text, oldest) > 0.0, "{text}");
    // At least three nodes, six pods, and three nodes again were served.
    let freshness = "tributary_api_metric_freshness_seconds_count";
    assert!(number(text, freshness) >= 12.0, "{text}");
    compare(
        "Scraper",
        &exposed(&stack.scraper_admin(0, "/metrics").await),
    );
    stack.stop().await;
}
