//! Standard output: a screen that is redrawn, or lines.

use std::{
    collections::VecDeque,
    io::{self, IsTerminal as _, Write as _},
};

use tributary_runtime::clock::Clock;

/// The most events that are kept for the screen.
const KEPT: usize = 8;

/// The output of the demo.
#[derive(Debug)]
pub(crate) struct Output {
    clock: Clock,
    terminal: bool,
    drawn: bool,
    events: VecDeque<String>,
}

impl Output {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            terminal: io::stdout().is_terminal(),
            drawn: false,
            events: VecDeque::new(),
        }
    }

    /// Whether there is a screen to draw on.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// The newest events, the newest last.
    pub(crate) fn events(&self) -> Vec<String> {
        self.events.iter().cloned().collect()
    }

    /// Writes an event, as a line or with the next screen.
    ///
    /// # Errors
    ///
    /// Standard output is closed.
    pub(crate) fn event(&mut self, text: &str) -> io::Result<()> {
        let text = format!("{} {text}", self.clock.now().strftime("%H:%M:%SZ"));
        if !self.drawn {
            self.line(&text)?;
        }
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back(text);
        Ok(())
    }

    /// Writes a line.
    ///
    /// # Errors
    ///
    /// As for [`Output::event`].
    #[expect(clippy::unused_self, reason = "whoever writes has to hold the output")]
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()
    }

    /// Draws over the screen. Clearing it first would flicker.
    ///
    /// # Errors
    ///
    /// As for [`Output::event`].
    pub(crate) fn draw(&mut self, text: &str) -> io::Result<()> {
        const CLEAR_ALL: &str = "\x1b[2J";
        const HOME: &str = "\x1b[H";
        const CLEAR_LINE_END: &str = "\x1b[K\r\n";
        const CLEAR_BELOW: &str = "\x1b[J";
        let mut bytes = String::new();
        if !self.drawn {
            bytes += CLEAR_ALL;
        }
        bytes += HOME;
        for line in text.lines() {
            bytes += line;
            bytes += CLEAR_LINE_END;
        }
        bytes += CLEAR_BELOW;
        self.drawn = true;
        let mut out = io::stdout().lock();
        out.write_all(bytes.as_bytes())?;
        out.flush()
    }
}
