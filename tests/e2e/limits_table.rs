//! The table of limits in docs/ARCHITECTURE.md has the values of the code.

use crate::repository::{code, files, has_end, places, read};

/// A row: the limited value, the text of the limit, and (file, constant).
struct Row {
    what: String,
    maximum: String,
    constants: Vec<(String, String)>,
}

fn rows() -> Vec<Row> {
    let text = read("docs/ARCHITECTURE.md");
    let (_, table) = text.split_once("\n## Limits\n").unwrap();
    let lines = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    let row = |line: &str| {
        let cells = line.trim().trim_matches('|').split('|');
        let cells: Vec<&str> = cells.map(str::trim).collect();
        assert_eq!(cells.len(), 5, "{line}");
        let mut file = String::new();
        let mut constants = Vec::new();
        for name in code(cells[2]) {
            if name.contains('/') {
                name.clone_into(&mut file);
            } else {
                constants.push((file.clone(), name.to_owned()));
            }
        }
        Row {
            what: cells[0].to_owned(),
            maximum: cells[1].to_owned(),
            constants,
        }
    };
    lines.map(row).collect()
}

/// The source text of a constant, or of the default of a field (`Limits::idle`).
fn expression(text: &str, name: &str) -> Option<String> {
    let begins = match name.split_once("::") {
        Some((_, field)) => format!(" {field}: "),
        None => format!("const {name}: "),
    };
    let rest = if name.contains("::") {
        let (_, rest) = text.split_once("impl Default for ")?;
        rest.split_once(&begins)?.1.split_once([',', '\n'])?.0
    } else {
        let (_, rest) = text.split_once(&begins)?;
        rest.split_once('=')?.1.split_once(';')?.0
    };
    Some(rest.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The value of an expression: a number, numbers with an operator, or another constant.
fn value(expression: &str, file: &str) -> Option<u64> {
    let text = expression.trim().trim_matches(['(', ')']);
    for (operator, apply) in OPERATORS {
        if let Some((left, right)) = text.split_once(operator) {
            return Some(apply(value(left, file)?, value(right, file)?));
        }
    }
    if let Ok(number) = text.replace('_', "").parse() {
        return Some(number);
    }
    let name = text.rsplit("::").next()?;
    let is_name = |letter: char| letter.is_ascii_uppercase() || letter == '_';
    if !name.chars().all(is_name) {
        return None;
    }
    let own = read(file);
    if let Some(found) = self::expression(&own, name) {
        return value(&found, file);
    }
    let sources = files().into_iter().filter(|path| has_end(path, "rs"));
    let found = sources.filter_map(|path| Some((self::expression(&read(&path), name)?, path)));
    let found: Vec<_> = found.collect();
    let [(only, path)] = found.as_slice() else {
        return None;
    };
    value(only, path)
}

type Operator = (&'static str, fn(u64, u64) -> u64);

const OPERATORS: [Operator; 3] = [
    (" << ", |left, right| left << right),
    (" * ", |left, right| left * right),
    (" / ", |left, right| left / right),
];

/// A number in the format of the table.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The possible texts for the value of an expression in the table.
fn spellings(expression: &str, file: &str) -> Option<Vec<String>> {
    if let Some((_, rest)) = expression.split_once("Duration::from_") {
        let (unit, number) = rest.trim_end_matches(')').split_once('(')?;
        let number = value(number, file)?;
        let unit = match unit {
            "millis" => "ms",
            "secs" => "s",
            "mins" => "min",
            "hours" => "h",
            _ => return None,
        };
        return Some(vec![format!("{} {unit}", grouped(number))]);
    }
    let number = value(expression, file)?;
    let mut spellings = vec![grouped(number)];
    for (size, unit) in [(1 << 20, "MiB"), (1 << 10, "KiB")] {
        if number.is_multiple_of(size) {
            spellings.push(format!("{} {unit}", number / size));
        }
    }
    Some(spellings)
}

/// Whether a text contains this number, and not as a part of a longer one.
fn has(text: &str, number: &str) -> bool {
    places(text, number).any(|(before, after)| {
        let before = before.chars().next_back();
        let mut after = after.chars();
        let (next, one_more) = (after.next(), after.next());
        let is_digit = |letter: Option<char>| letter.is_some_and(|it| it.is_ascii_digit());
        let goes_on = is_digit(next)
            || (next == Some(',') && is_digit(one_more))
            || next.is_some_and(char::is_alphabetic);
        !is_digit(before) && before != Some(',') && !goes_on
    })
}

#[test]
fn expressions_become_what_is_written() {
    let file = "proto/src/limits.rs";
    let spelled = |text| spellings(text, file).unwrap();
    assert_eq!(spelled("4 << 20"), ["4,194,304", "4 MiB", "4096 KiB"]);
    assert_eq!(spelled("20_000"), ["20,000"]);
    assert_eq!(spelled("Duration::from_mins(5)"), ["5 min"]);
    assert_eq!(spelled("4 * NODES_PER_STREAM"), ["80,000"]);
    assert!(has("at most 1,024 bytes", "1,024"));
    assert!(!has("at most 11,024 bytes", "1,024"));
    assert!(!has("5 min", "5 m"));
    assert!(!has("1,024", "1"));
}

#[test]
fn the_table_of_limits_has_the_numbers_of_the_code() {
    let rows = rows();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for row in &rows {
        for (file, name) in &row.constants {
            checked += 1;
            let text = read(file);
            let spellings = expression(&text, name).and_then(|it| spellings(&it, file));
            let Some(spellings) = spellings else {
                wrong.push(format!("{}: no number {name} in {file}", row.what));
                continue;
            };
            let everywhere = format!("{} {}", row.what, row.maximum);
            if !spellings.iter().any(|number| has(&everywhere, number)) {
                wrong.push(format!(
                    "{}: {name} is {}",
                    row.what,
                    spellings.join(" or ")
                ));
            }
        }
    }
    assert!(rows.len() > 70, "{} rows", rows.len());
    assert!(checked > 90, "{checked} constants");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_limit_of_the_bus_is_in_the_table() {
    let named: Vec<String> = rows()
        .into_iter()
        .flat_map(|row| row.constants)
        .filter(|(file, _)| file == "proto/src/limits.rs")
        .map(|(_, name)| name)
        .collect();
    let text = read("proto/src/limits.rs");
    let constants = text.split("pub const ").skip(1);
    let constants = constants.filter_map(|rest| rest.split_once(':'));
    for (name, _) in constants {
        assert!(
            named.iter().any(|known| known == name),
            "{name} is not in the table"
        );
    }
}
