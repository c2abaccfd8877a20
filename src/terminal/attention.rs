//! Bell, notification and title: at most one of each a second, whatever happens.

use super::outer::{self, Between};
use std::time::{Duration, Instant};

/// Least time between two.
const PAUSE: Duration = Duration::from_secs(1);

/// Which of them a person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The bell.
    pub bell: bool,
    /// The notification.
    pub notify: Notify,
    /// The title of the window.
    pub title: bool,
}

/// How a terminal is asked for a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// Not.
    Off,
    /// OSC 9.
    Osc9,
    /// OSC 777.
    Osc777,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { bell: true, notify: Notify::Osc9, title: true }
    }
}

/// What is to be told, and when something was told last.
#[derive(Debug)]
pub struct Attention {
    wanted: Wanted,
    between: Between,
    waiting: Vec<String>,
    called: Option<Instant>,
    title: Option<String>,
    shown: Option<String>,
    titled: Option<Instant>,
}

impl Attention {
    /// Nothing was told yet.
    pub const fn new(wanted: Wanted, between: Between) -> Self {
        Self { wanted, between, waiting: Vec::new(), called: None, title: None, shown: None, titled: None }
    }

    /// What runs between this program and the person's terminal.
    pub const fn between(&self) -> Between {
        self.between
    }

    /// Takes in something that a person would look up for.
    pub fn call(&mut self, text: String) {
        if self.wanted.bell || self.wanted.notify != Notify::Off {
            self.waiting.push(text);
        }
    }

    /// Takes in the title that the window should have.
    pub fn title(&mut self, text: String) {
        if self.wanted.title {
            self.title = Some(text);
        }
    }

    /// The bytes that are due; empty when there is nothing to tell, or it has to wait.
    pub fn due(&mut self, now: Instant) -> String {
        let mut out = String::new();
        let may = |last: Option<Instant>| last.is_none_or(|last| now.duration_since(last) >= PAUSE);
        if !self.waiting.is_empty() && may(self.called) {
            let waiting = std::mem::take(&mut self.waiting);
            let first = waiting.first().cloned().unwrap_or_default();
            let call = if waiting.len() == 1 { first } else { format!("{first} (and {} more)", waiting.len() - 1) };
            match self.wanted.notify {
                Notify::Off => {}
                Notify::Osc9 => out.push_str(&self.between.wrap(&outer::osc9(&call))),
                Notify::Osc777 => out.push_str(&self.between.wrap(&outer::osc777(&call))),
            }
            if self.wanted.bell {
                out.push('\x07');
            }
            self.called = Some(now);
        }
        if self.title != self.shown && may(self.titled) {
            if let Some(title) = &self.title {
                out.push_str(&outer::title(title));
            }
            self.shown.clone_from(&self.title);
            self.titled = Some(now);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_one_a_second_and_nothing_is_swallowed() {
        let mut attention = Attention::new(Wanted::default(), Between::Nothing);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(attention.due(at(0)), "");
        attention.call("a".into());
        assert_eq!(attention.due(at(1)), "\x1b]9;quarterdeck: a\x07\x07");
        for each in ["b", "c", "d"] {
            attention.call(each.into());
            assert_eq!(attention.due(at(500)), "");
        }
        assert_eq!(attention.due(at(1001)), "\x1b]9;quarterdeck: b (and 2 more)\x07\x07");
        assert_eq!(attention.due(at(5000)), "");
        attention.title("t".into());
        assert_eq!(attention.due(at(5000)), "\x1b]2;t\x07");
        attention.title("u".into());
        assert_eq!(attention.due(at(5900)), "");
        attention.title("t".into());
        assert_eq!(attention.due(at(6100)), "", "the title that it has is not written again");
    }

    #[test]
    fn what_is_not_wanted_is_not_told() {
        let off = Wanted { bell: false, notify: Notify::Off, title: false };
        let mut attention = Attention::new(off, Between::Nothing);
        attention.call("a".into());
        attention.title("t".into());
        assert_eq!(attention.due(Instant::now()), "");
        let mut attention =
            Attention::new(Wanted { notify: Notify::Osc777, bell: false, ..Wanted::default() }, Between::Nothing);
        attention.call("a".into());
        assert_eq!(attention.due(Instant::now()), "\x1b]777;notify;quarterdeck;a\x07");
    }
}
