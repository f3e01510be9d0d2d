//! `OpenMetrics`, and the older text format.
//!
//! They differ in the names in comments about counters and infos, in units, in the mark at the end, and in how limits
//! of buckets are written.

use std::fmt::Write as _;

use http::{HeaderMap, header::ACCEPT};

/// The format of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Version 1.0.0.
    OpenMetrics,
    /// Prometheus text, version 0.0.4.
    Text,
}

impl Format {
    /// The format that the client prefers. Without a preference, the older one.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let (mut open, mut text) = (0.0_f32, 0.0_f32);
        for value in headers.get_all(ACCEPT) {
            for range in value.to_str().unwrap_or_default().split(',') {
                let mut parts = range.split(';').map(str::trim);
                let kind = parts.next().unwrap_or_default();
                let (mut quality, mut version) = (1.0, "");
                for part in parts {
                    match part.split_once('=') {
                        Some(("q", value)) => quality = value.parse().unwrap_or(1.0),
                        Some(("version", value)) => version = value,
                        _ => {}
                    }
                }
                match (kind, version) {
                    ("application/openmetrics-text", "" | "1.0.0") => open = open.max(quality),
                    ("text/plain" | "text/*" | "*/*", _) => text = text.max(quality),
                    _ => {}
                }
            }
        }
        if open > 0.0 && open >= text {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Converts `OpenMetrics` to Prometheus text. Both have one line for each number.
pub(super) fn as_text(open: &str) -> String {
    let mut out = String::with_capacity(open.len());
    let mut help = "";
    for line in open.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            // The help text comes before the type, which decides the name.
            help = rest;
        } else if let Some((name, kind)) = type_of(line) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            if let Some((_, text)) = help.split_once(' ').filter(|(named, _)| *named == name) {
                out.extend(["# HELP ", name, suffix, " ", text, "\n"]);
            }
            out.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            sample(&mut out, line);
        }
    }
    out
}

fn type_of(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("# TYPE ")?.split_once(' ')
}

/// A line with a number. The limit of a bucket is written as Go writes it, because dashboards expect that.
fn sample(out: &mut String, line: &str) {
    let bound = line.split_once("_bucket{le=\"");
    let parts = bound.and_then(|(name, rest)| Some((name, rest.split_once('"')?)));
    match parts {
        Some((name, (bound, rest))) => {
            out.extend([name, "_bucket{le=\"", &go(bound), "\"", rest, "\n"]);
        }
        None => out.extend([line, "\n"]),
    }
}

/// A number as `strconv.FormatFloat(n, 'g', -1, 64)` writes it.
fn go(number: &str) -> String {
    let whole = number.strip_suffix(".0").unwrap_or(number);
    match number.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 1e6 => {
            let mut text = format!("{value:e}");
            if let Some((digits, exponent)) = text.split_once('e') {
                let mut padded = format!("{digits}e+");
                if write!(padded, "{exponent:0>2}").is_ok() {
                    text = padded;
                }
            }
            text
        }
        _ => whole.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn wanted(accept: &'static str) -> Format {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        Format::wanted(&headers)
    }

    #[test]
    fn who_asks_for_open_metrics_gets_it_and_others_the_older_text() {
        // The headers of Prometheus 3 and of Prometheus 2.
        assert_eq!(
            wanted(
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
            ),
            Format::OpenMetrics
        );
        assert_eq!(
            wanted(
                "application/openmetrics-text;version=1.0.0,\
                 application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
            ),
            Format::OpenMetrics
        );
        assert_eq!(
            wanted("text/plain;version=0.0.4;q=0.5,*/*;q=0.1"),
            Format::Text
        );
        assert_eq!(wanted("*/*"), Format::Text);
        assert_eq!(
            wanted("text/plain, application/openmetrics-text;q=0.4"),
            Format::Text
        );
        assert_eq!(wanted("application/openmetrics-text;q=0"), Format::Text);
        assert_eq!(
            wanted("application/openmetrics-text;version=0.0.1"),
            Format::Text
        );
        assert_eq!(Format::wanted(&HeaderMap::new()), Format::Text);
    }

    #[test]
    fn text_names_what_the_samples_are_named() {
        let open = "# HELP served Requests.\n# TYPE served counter\nserved_total{le=\"x\"} 3\n\
            # HELP build The version.\n# TYPE build info\nbuild_info{version=\"1\"} 1\n\
            # HELP age_seconds Age.\n# TYPE age_seconds gauge\n# UNIT age_seconds seconds\n\
            age_seconds 2.5\n# TYPE odd unknown\nodd 1\n# EOF\n";
        assert_eq!(
            as_text(open),
            "# HELP served_total Requests.\n# TYPE served_total counter\nserved_total{le=\"x\"} 3\n\
             # HELP build_info The version.\n# TYPE build_info gauge\nbuild_info{version=\"1\"} 1\n\
             # HELP age_seconds Age.\n# TYPE age_seconds gauge\nage_seconds 2.5\n\
             # TYPE odd untyped\nodd 1\n"
        );
    }

    #[test]
    fn limits_of_buckets_are_written_as_go_writes_them() {
        for (ours, theirs) in [
            ("0.005", "0.005"),
            ("1.0", "1"),
            ("1.364", "1.364"),
            ("100000.0", "100000"),
            ("1000000.0", "1e+06"),
            ("1000000000.0", "1e+09"),
            ("+Inf", "+Inf"),
        ] {
            assert_eq!(
                as_text(&format!("a_bucket{{le=\"{ours}\",verb=\"GET\"}} 7\n")),
                format!("a_bucket{{le=\"{theirs}\",verb=\"GET\"}} 7\n")
            );
        }
    }
}
