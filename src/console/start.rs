//! The start screen of a machine without a configuration: it says where it looked and offers an exercise, a
//! new configuration, or the way out. A person who expects production is never put into a drill unasked.

use super::strip::{Strip, fit};
use super::theme::{Role, Theme};
use super::view::canvas::Canvas;
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::Frame;
use ratatui::layout::Rect;

/// What a person chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// An exercise on the simulated estate.
    Exercise,
    /// Write a configuration.
    Init,
    /// Leave.
    Quit,
}

/// The choices, with their keys and what they mean.
const CHOICES: [(Choice, char, &str); 3] = [
    (Choice::Exercise, 'd', "run an exercise on a simulated estate (nothing real is touched)"),
    (Choice::Init, 'i', "write a configuration: answers a few questions, probes what is there"),
    (Choice::Quit, 'q', "quit"),
];

/// The start screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Version of the program.
    pub version: String,
    /// Where a configuration was looked for, and what was found there.
    pub looked: Vec<(String, String)>,
    /// Which choice is under the cursor.
    pub at: usize,
}

impl Start {
    /// The screen with the cursor on the first choice.
    pub const fn new(version: String, looked: Vec<(String, String)>) -> Self {
        Self { version, looked, at: 0 }
    }

    /// Takes in a key; answers the choice when one was made.
    pub fn press(&mut self, key: &KeyEvent) -> Option<Choice> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if ctrl => Some(Choice::Quit),
            KeyCode::Esc | KeyCode::Char('Q') => Some(Choice::Quit),
            KeyCode::Up | KeyCode::Char('K' | 'k') => {
                self.at = self.at.saturating_sub(1);
                None
            }
            KeyCode::Down | KeyCode::Char('J' | 'j') => {
                self.at = (self.at + 1).min(CHOICES.len() - 1);
                None
            }
            KeyCode::Enter if key.kind == KeyEventKind::Press => CHOICES.get(self.at).map(|(choice, ..)| *choice),
            KeyCode::Char(c) if !ctrl => CHOICES.iter().find(|(_, k, _)| *k == c).map(|(choice, ..)| *choice),
            _ => None,
        }
    }

    /// Draws it.
    pub fn view(&self, theme: &Theme, frame: &mut Frame<'_>) {
        let area = frame.area();
        let mut canvas = Canvas::new(frame.buffer_mut(), theme);
        let width = usize::from(area.width.saturating_sub(2));
        let mut lines: Vec<(bool, Strip)> = Vec::new();
        let roomy = area.height >= 14;
        lines.push((false, Strip::of(Role::Title, format!("quarterdeck {}", self.version))));
        if roomy {
            lines.push((false, Strip::new()));
        }
        lines.push((false, Strip::text("No configuration was found. Looked at:")));
        let widest = self.looked.iter().map(|(place, _)| place.chars().count()).max().unwrap_or(0).min(44);
        // The choices come first when there is no room for both.
        let spare = usize::from(area.height).saturating_sub(lines.len() + CHOICES.len() + 2);
        for (place, found) in self.looked.iter().take(spare) {
            let place = fit(place, 44, theme.glyphs.ellipsis);
            lines.push((false, Strip::text(format!("  {place:<widest$}  ")).and(Role::Dim, found)));
        }
        if roomy {
            lines.push((false, Strip::new()));
        }
        for (i, (_, key, what)) in CHOICES.iter().enumerate() {
            let strip = Strip::of(Role::Accent, format!("{key}   ")).and(Role::Text, what);
            lines.push((i == self.at, strip));
        }
        for (row, (under_cursor, strip)) in (0..area.height).zip(lines) {
            let line = Rect { x: area.x, y: area.y + row, width: area.width, height: 1 };
            let strip = strip.fit(width, theme.glyphs.ellipsis);
            if under_cursor {
                canvas.line(
                    line,
                    0,
                    &Strip::of(Role::Text, theme.glyphs.cursor).and(Role::Text, " ").and(Role::Text, strip.plain()),
                );
                canvas.tint(line, Role::Cursor);
            } else {
                let indent = usize::from(CHOICES.iter().any(|(_, k, _)| strip.plain().starts_with(&format!("{k}   "))));
                canvas.line(line, 0, &Strip::text(" ".repeat(1 + indent)).and_strip(strip));
            }
        }
    }
}
