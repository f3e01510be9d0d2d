//! `status`: one screen about the whole fleet.

mod overview;
mod text;

use std::{io::Write, time::Duration};

use terminal_size::{Height, terminal_size};
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
            let height = terminal_size().map(|(_, Height(height))| usize::from(height));
            text = format!("{CLEAR}{}", cut(&text, height.unwrap_or(usize::MAX)));
        }
        out.write_all(text.as_bytes())?;
        out.flush()?;
        tokio::select! {
            () = sleep(every) => {}
            ended = ctrl_c() => return Ok(ended.map(|()| last)?),
        }
    }
}

/// As many lines as a terminal of this height has. The last one says how many are left out.
fn cut(text: &str, height: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    // The last line of the terminal is that of the cursor.
    let room = height.saturating_sub(1);
    if lines.len() <= room {
        return lines.join("\n");
    }
    let kept = room.saturating_sub(1);
    let more = count(lines.len() - kept, "more line");
    let last = format!("({more}: kubectl tributary status shows all)");
    let mut shown: Vec<&str> = lines.into_iter().take(kept).collect();
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

    #[test]
    fn what_does_not_fit_on_the_screen_is_counted() {
        let text = "a\nb\nc\nd\n";
        assert_eq!(cut(text, usize::MAX), "a\nb\nc\nd");
        assert_eq!(cut(text, 5), "a\nb\nc\nd");
        let two = "a\nb\n(2 more lines: kubectl tributary status shows all)";
        assert_eq!(cut(text, 4), two);
        let all = "(4 more lines: kubectl tributary status shows all)";
        assert_eq!([cut(text, 2), cut(text, 0)], [all, all]);
    }
}
