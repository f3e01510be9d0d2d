//! Of a log, only the lines that our own programs write.
//!
//! What others write into a log may have any form, over many lines. Our lines have one of few, and a secret in one of these is found by its
//! shape.

use std::fmt::Write as _;

const LEVELS: [&str; 5] = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];

/// How the first lines of programs that end at once begin, and those of a panic.
const ENDS: [&str; 6] = [
    "error: ",
    "Error: ",
    "thread '",
    "stack backtrace:",
    "note: run with",
    "Usage: ",
];

/// The text with the lines of others left out, and how many these are.
pub(super) fn own_lines(text: &str) -> (String, usize) {
    let mut kept = String::with_capacity(text.len());
    let (mut others, mut all) = (0_usize, 0);
    for line in text.lines() {
        if is_own(line) {
            end(&mut kept, &mut others);
            kept.push_str(line);
            kept.push('\n');
        } else {
            others += 1;
            all += 1;
        }
    }
    end(&mut kept, &mut others);
    (kept, all)
}

/// Says how many lines of others were left out here.
fn end(kept: &mut String, others: &mut usize) {
    if *others > 0 {
        writeln!(kept, "<{others} lines that Tributary did not write>").ok();
    }
    *others = 0;
}

fn is_own(line: &str) -> bool {
    // The time of the kubelet, which it was asked for, is in front of our own.
    let Some(line) = without_time(line) else {
        return false;
    };
    let line = line.trim_end_matches('\r');
    is_json(line) || ENDS.iter().any(|begin| line.starts_with(begin)) || is_text(line)
}

/// As with `--log-format=text`: time, level and module.
fn is_text(line: &str) -> bool {
    let Some(line) = without_time(line) else {
        return false;
    };
    let level = line.trim_start().split(' ').next().unwrap_or_default();
    LEVELS.contains(&level)
}

/// As with `--log-format=json`.
fn is_json(line: &str) -> bool {
    line.starts_with("{\"timestamp\":\"") && line.ends_with('}') && line.contains("\",\"level\":\"")
}

/// What follows a time at the begin of a line.
fn without_time(line: &str) -> Option<&str> {
    let (time, rest) = line.split_once(' ')?;
    time.parse::<jiff::Timestamp>().ok().map(|_| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_lines_are_kept_behind_the_time_of_the_kubelet() {
        let lines = [
            "2026-11-30T01:02:03.000004Z  INFO tributary_scraper::run: scraper started version=\"0.1.0\"",
            "2026-11-30T01:02:03.000004Z ERROR tributary_apiserver: failed to list nodes: 401",
            r#"{"timestamp":"2026-11-30T01:02:03Z","level":"WARN","fields":{"message":"x"},"target":"tributary_scraper"}"#,
            "error: invalid value '1' for '--min-window <DURATION>': must be 1s to 1m",
            "thread 'main' (7) panicked at src/main.rs:1:1:",
        ];
        for line in lines {
            let line = format!("2026-11-30T01:02:03.123456789Z {line}\n");
            assert_eq!(own_lines(&line), (line.clone(), 0));
        }
    }

    #[test]
    fn lines_of_others_are_counted_where_they_were() {
        let time = "2026-11-30T01:02:03Z";
        let ours = format!("{time} {time}  INFO a: b");
        let text = format!(
            "{ours}\n{time} apiVersion: v1\n{time}   hunter2\n{time} INFO hunter2\n{ours}\nhunter2"
        );
        let kept = format!(
            "{ours}\n<3 lines that Tributary did not write>\n{ours}\n<1 lines that Tributary did not write>\n"
        );
        assert_eq!(own_lines(&text), (kept, 4));
        assert_eq!(own_lines(""), (String::new(), 0));
    }
}
