//! The start screen of a machine without a configuration: it says where it looked and offers an exercise, a
//! new configuration, or the way out. A person who expects production is never put into a drill unasked.

use super::keymap::{Action, Keymap, Place};
use super::strip::{Strip, fit};
use super::theme::{Role, Theme};
use super::view::canvas::Canvas;
use crossterm::event::{KeyEvent, KeyEventKind};
use ratatui::Frame;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr as _;

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

/// The choices, with the actions that are them and what they mean.
const CHOICES: [(Choice, Action, &str); 3] = [
    (Choice::Exercise, Action::RunExercise, "run an exercise on a simulated estate (nothing real is touched)"),
    (Choice::Init, Action::Configure, "write a configuration: answers a few questions, probes what is there"),
    (Choice::Quit, Action::Quit, "quit"),
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
    /// The keys of this person.
    pub keys: Keymap,
    /// What is said at the bottom: what is wrong with the own keys.
    pub notice: Option<String>,
}

impl Start {
    /// The screen with the cursor on the first choice and the built-in keys.
    pub fn new(version: String, looked: Vec<(String, String)>) -> Self {
        Self { version, looked, at: 0, keys: Keymap::default(), notice: None }
    }

    /// The same with a person's own keys, or with what is wrong with them.
    #[must_use]
    pub fn typing(self, keys: Keymap, notice: Option<String>) -> Self {
        Self { keys, notice, ..self }
    }

    /// Takes in a key; answers the choice when one was made.
    pub fn press(&mut self, key: &KeyEvent) -> Option<Choice> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        match self.keys.lookup(Place::Start, key)?.action {
            Action::Back => Some(Choice::Quit),
            Action::Up => {
                self.at = self.at.saturating_sub(1);
                None
            }
            Action::Down => {
                self.at = (self.at + 1).min(CHOICES.len() - 1);
                None
            }
            // A key that is held down must not choose.
            Action::Press if key.kind == KeyEventKind::Press => CHOICES.get(self.at).map(|(choice, ..)| *choice),
            action => CHOICES.iter().find(|(_, a, _)| *a == action).map(|(choice, ..)| *choice),
        }
    }

    /// The key of a choice on this screen.
    fn key_of(&self, action: Action) -> String {
        let mut valid = self.keys.valid(Place::Start);
        let keys = valid.find_map(|(binding, keys)| (binding.action == action).then_some(keys));
        keys.and_then(|keys| keys.first().map(|key| key.name())).unwrap_or_default()
    }

    /// Draws it.
    pub fn view(&self, theme: &Theme, frame: &mut Frame<'_>) {
        let area = frame.area();
        let mut canvas = Canvas::new(frame.buffer_mut(), theme);
        let width = usize::from(area.width.saturating_sub(2));
        let mut lines: Vec<(Line, Strip)> = Vec::new();
        let roomy = area.height >= 14;
        lines.push((Line::Text, Strip::of(Role::Title, format!("quarterdeck {}", self.version))));
        if roomy {
            lines.push((Line::Text, Strip::new()));
        }
        lines.push((Line::Text, Strip::text("No configuration was found. Looked at:")));
        let widest = self.looked.iter().map(|(place, _)| place.chars().count()).max().unwrap_or(0).min(44);
        // The choices come first when there is no room for both.
        let spare = usize::from(area.height).saturating_sub(lines.len() + CHOICES.len() + 2);
        for (place, found) in self.looked.iter().take(spare) {
            let place = fit(place, 44, theme.glyphs.ellipsis);
            lines.push((Line::Text, Strip::text(format!("  {place:<widest$}  ")).and(Role::Dim, found)));
        }
        if roomy {
            lines.push((Line::Text, Strip::new()));
        }
        let keys: Vec<String> = CHOICES.iter().map(|(_, action, _)| self.key_of(*action)).collect();
        let widest = keys.iter().map(|key| key.width()).max().unwrap_or(0);
        for (i, ((.., what), key)) in CHOICES.iter().zip(&keys).enumerate() {
            let gap = " ".repeat(widest - key.width() + 3);
            let strip = Strip::of(Role::Accent, format!("{key}{gap}")).and(Role::Text, what);
            lines.push((if i == self.at { Line::Cursor } else { Line::Choice }, strip));
        }
        for (row, (kind, strip)) in (0..area.height).zip(lines) {
            let line = Rect { x: area.x, y: area.y + row, width: area.width, height: 1 };
            let strip = strip.fit(width, theme.glyphs.ellipsis);
            match kind {
                Line::Cursor => {
                    let marked = Strip::of(Role::Text, theme.glyphs.cursor).and(Role::Text, " ");
                    canvas.line(line, 0, &marked.and(Role::Text, strip.plain()));
                    canvas.tint(line, Role::Cursor);
                }
                Line::Choice => canvas.line(line, 0, &Strip::text("  ").and_strip(strip)),
                Line::Text => canvas.line(line, 0, &Strip::text(" ").and_strip(strip)),
            }
        }
        if let Some(notice) = self.notice.as_ref().filter(|_| roomy) {
            let last = area.height - 1;
            canvas.line(area, last, &Strip::of(Role::Warn, format!(" {notice}")));
        }
    }
}

/// What a line of the screen is.
#[derive(Clone, Copy)]
enum Line {
    Text,
    Choice,
    /// The choice under the cursor.
    Cursor,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::{KeyCode, KeyModifiers};

    fn press(start: &mut Start, code: KeyCode) -> Option<Choice> {
        start.press(&KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn own_keys_choose_and_move_and_the_built_in_ones_do_no_longer() {
        let keys = "run-exercise = [\"F2\"]\ndown = [\"F6\"]\nquit = [\"z\"]\n";
        let mut start = Start::new("0".into(), Vec::new()).typing(Keymap::own("keys.toml", keys).unwrap(), None);
        assert_eq!(press(&mut start, KeyCode::Char('d')), None);
        assert_eq!(press(&mut start, KeyCode::Char('q')), None);
        assert_eq!(press(&mut start, KeyCode::F(6)), None);
        assert_eq!(start.at, 1);
        assert_eq!(press(&mut start, KeyCode::Enter), Some(Choice::Init));
        assert_eq!(press(&mut start, KeyCode::F(2)), Some(Choice::Exercise));
        assert_eq!(press(&mut start, KeyCode::Char('z')), Some(Choice::Quit));
        assert_eq!(start.key_of(Action::RunExercise), "F2");
    }

    #[test]
    fn the_built_in_keys_are_those_that_are_shown() {
        let mut start = Start::new("0".into(), Vec::new());
        for (choice, action, _) in CHOICES {
            let key = start.key_of(action).chars().next().unwrap();
            assert_eq!(press(&mut start, KeyCode::Char(key)), Some(choice));
        }
        assert_eq!(press(&mut start, KeyCode::Esc), Some(Choice::Quit));
        assert_eq!(start.press(&KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Some(Choice::Quit));
        assert_eq!(start.press(&KeyEvent::new(KeyCode::Char('x'), KeyModifiers::CONTROL)), None);
    }
}
