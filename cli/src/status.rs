//! `status`: one screen about the whole fleet.

mod overview;
mod text;

use std::{io::Write, time::Duration};

use terminal_size::{Height, Width, terminal_size};
use tokio::{signal::ctrl_c, time::sleep};

pub use self::overview::{Group, NodeCounts, Overview, Spread};
use crate::{
    args::Output,
    kube_api::KubeApi,
    printed::{self, Outcome, Paint, count},
};

/// Clears a terminal; enters and leaves a screen of our own on it.
const CLEAR: &str = "\x1b[H\x1b[2J";
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

/// How to show it.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Text or JSON.
    pub output: Output,
    /// Colours.
    pub paint: Paint,
    /// Whether the output is a terminal, and so can be cleared.
    pub terminal: bool,
}

/// Shows it once.
///
/// # Errors
///
/// `out` takes no more.
pub async fn once(api: &KubeApi, style: Style, out: &mut impl Write) -> anyhow::Result<Outcome> {
    let overview = Overview::read(api).await;
    out.write_all(shown(&overview, style).as_bytes())?;
    Ok(overview.outcome)
}

/// Shows it again and again until Ctrl-C.
///
/// # Errors
///
/// `out` takes no more.
pub async fn watch(
    api: &KubeApi,
    style: Style,
    every: Duration,
    out: &mut impl Write,
) -> anyhow::Result<Outcome> {
    let screen = style.terminal && style.output == Output::Text;
    if screen {
        out.write_all(ENTER.as_bytes())?;
    }
    let shown = show_until_ctrl_c(api, style, every, screen, out).await;
    if screen {
        out.write_all(LEAVE.as_bytes())?;
        out.flush()?;
    }
    shown
}

async fn show_until_ctrl_c(
    api: &KubeApi,
    style: Style,
    every: Duration,
    screen: bool,
    out: &mut impl Write,
) -> anyhow::Result<Outcome> {
    let mut last = Outcome::Unknown;
    loop {
        let overview = tokio::select! {
            overview = Overview::read(api) => overview,
            ended = ctrl_c() => return Ok(ended.map(|()| last)?),
        };
        last = overview.outcome;
        let mut text = shown(&overview, style);
        if screen {
            let all = overview.commands.command("kubectl tributary status");
            text = format!("{CLEAR}{}", cut(&text, Size::of_terminal(), &all));
        }
        out.write_all(text.as_bytes())?;
        out.flush()?;
        tokio::select! {
            () = sleep(every) => {}
            ended = ctrl_c() => return Ok(ended.map(|()| last)?),
        }
    }
}

/// How many rows and columns a terminal has.
#[derive(Clone, Copy, Debug)]
struct Size {
    columns: usize,
    rows: usize,
}

impl Size {
    /// That of the terminal; without limits if it does not say.
    fn of_terminal() -> Self {
        let size = terminal_size();
        let columns = size.map(|(Width(columns), _)| usize::from(columns));
        let rows = size.map(|(_, Height(rows))| usize::from(rows));
        Self {
            columns: columns.unwrap_or(usize::MAX),
            rows: rows.unwrap_or(usize::MAX),
        }
    }

    /// How many rows a line takes. Terminals wrap long ones.
    fn rows_of(self, line: &str) -> usize {
        let mut columns = 0_usize;
        let mut letters = line.chars();
        while let Some(letter) = letters.next() {
            if letter == '\x1b' {
                // A colour, which ends with its letter.
                letters.by_ref().find(char::is_ascii_alphabetic);
                continue;
            }
            // From here on some letters are wide. Those that are not only cost room.
            columns += if letter < '\u{1100}' { 1 } else { 2 };
        }
        columns.div_ceil(self.columns.max(1)).max(1)
    }
}

/// As many lines as a terminal of this size shows. The last one says how many are left out, and `all` shows them.
fn cut(text: &str, size: Size, all: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    // The last row of the terminal is that of the cursor.
    let room = size.rows.saturating_sub(1);
    let rows = lines.iter().map(|line| size.rows_of(line)).sum::<usize>();
    if rows <= room {
        return lines.join("\n");
    }
    let last = |left_out| format!("({}: {all} shows all)", count(left_out, "more line"));
    let room = room.saturating_sub(size.rows_of(&last(lines.len())));
    let mut used = 0;
    let fits = |line: &&&str| {
        used += size.rows_of(line);
        used <= room
    };
    let mut shown: Vec<&str> = lines.iter().take_while(fits).copied().collect();
    let last = last(lines.len() - shown.len());
    shown.push(&last);
    shown.join("\n")
}

fn shown(overview: &Overview, style: Style) -> String {
    let text = || text::of(overview, style.paint);
    printed::shown(style.output, style.paint, text, overview)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(columns: usize, rows: usize) -> Size {
        Size { columns, rows }
    }

    #[test]
    fn what_does_not_fit_on_the_screen_is_counted() {
        let text = "a\nb\nc\nd\n";
        let cut = |rows| cut(text, size(80, rows), "x");
        assert_eq!(cut(usize::MAX), "a\nb\nc\nd");
        assert_eq!(cut(5), "a\nb\nc\nd");
        assert_eq!(cut(4), "a\nb\n(2 more lines: x shows all)");
        let none = "(4 more lines: x shows all)";
        assert_eq!([cut(2), cut(0)], [none, none]);
    }

    #[test]
    fn rows_are_counted_and_not_lines() {
        let ten = size(10, 24);
        for (line, rows) in [
            ("", 1),
            ("0123456789", 1),
            ("0123456789a", 2),
            ("\x1b[31m0123456789\x1b[0m", 1),
            ("日本語日本", 1),
            ("日本語日本語", 2),
        ] {
            assert_eq!(ten.rows_of(line), rows, "{line}");
        }
        let long = "x".repeat(100);
        let text = format!("a\n{long}\nb\n");
        // The hint takes two rows of twenty columns, the long line five.
        let narrow = |rows| cut(&text, size(20, rows), "x");
        assert_eq!(narrow(8), text.trim_end());
        assert_eq!(narrow(7), "a\n(2 more lines: x shows all)");
        assert_eq!(size(0, 0).rows_of("abc"), 3);
    }
}
