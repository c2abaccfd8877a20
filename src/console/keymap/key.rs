//! One key: how it is recognised, shown and written.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// One key, with or without Ctrl. The case of a letter carries Shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Which.
    pub code: KeyCode,
    /// With Ctrl.
    pub ctrl: bool,
}

/// Keys that are written by a name.
const NAMED: &[(&str, KeyCode)] = &[
    ("Space", KeyCode::Char(' ')),
    ("Enter", KeyCode::Enter),
    ("Esc", KeyCode::Esc),
    ("Tab", KeyCode::Tab),
    ("Shift-Tab", KeyCode::BackTab),
    ("Up", KeyCode::Up),
    ("Down", KeyCode::Down),
    ("Left", KeyCode::Left),
    ("Right", KeyCode::Right),
    ("PgUp", KeyCode::PageUp),
    ("PgDn", KeyCode::PageDown),
    ("Home", KeyCode::Home),
    ("End", KeyCode::End),
    ("Insert", KeyCode::Insert),
    ("Delete", KeyCode::Delete),
    ("Backspace", KeyCode::Backspace),
];

impl Key {
    /// Whether an event is this key.
    pub fn matches(self, event: &KeyEvent) -> bool {
        event.code == self.code
            && event.modifiers.contains(KeyModifiers::CONTROL) == self.ctrl
            && !event.modifiers.contains(KeyModifiers::ALT)
    }

    /// Whether it writes something where text is typed.
    pub const fn is_text(self) -> bool {
        !self.ctrl && matches!(self.code, KeyCode::Char(_) | KeyCode::Backspace | KeyCode::Delete)
    }

    /// As it is written on the screen, and in a file of own keys.
    pub fn name(self) -> String {
        if let Some((name, _)) = NAMED.iter().find(|(_, code)| *code == self.code) {
            return (*name).to_owned();
        }
        match self.code {
            KeyCode::Char(c) if self.ctrl => format!("Ctrl-{}", c.to_ascii_uppercase()),
            KeyCode::Char(c) => c.to_string(),
            other => format!("{other}"),
        }
    }

    /// The key of that name, or why there is none: a terminal sends the same bytes for some pairs of keys.
    pub fn named(name: &str) -> Result<Self, String> {
        let plain = |code| Ok(Self { code, ctrl: false });
        if let Some((_, code)) = NAMED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return plain(*code);
        }
        let mut chars = name.chars();
        if let (Some(c), None) = (chars.next(), chars.next()) {
            return if c.is_control() { Err(format!("{c:?} is no key")) } else { plain(KeyCode::Char(c)) };
        }
        if let Some(number) =
            name.strip_prefix(['F', 'f']).and_then(|n| n.parse().ok()).filter(|n| (1..=12).contains(n))
        {
            return plain(KeyCode::F(number));
        }
        let ctrl = name.split_once('-').filter(|(prefix, _)| prefix.eq_ignore_ascii_case("ctrl"));
        let letter = ctrl.and_then(|(_, rest)| match rest.as_bytes() {
            [letter] if letter.is_ascii_alphabetic() => Some(char::from(letter.to_ascii_lowercase())),
            _ => None,
        });
        let same = |other: &str| Err(format!("a terminal sends the same for `{name}` as for {other}"));
        match letter {
            Some('i') => same("Tab"),
            Some('m' | 'j') => same("Enter"),
            Some('h') => same("Backspace"),
            Some(letter) => Ok(Self { code: KeyCode::Char(letter), ctrl: true }),
            None => {
                let names: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
                Err(format!(
                    "`{name}` is no key; allowed are one character, Ctrl-LETTER, F1 to F12, {}",
                    names.join(", ")
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_written() {
        for binding in super::super::BINDINGS {
            for key in binding.keys {
                assert_eq!(Key::named(&key.name()), Ok(*key));
            }
        }
        assert_eq!(Key::named("f12").map(Key::name), Ok("F12".to_owned()));
        assert_eq!(Key::named("ctrl-k").map(Key::name), Ok("Ctrl-K".to_owned()));
        assert_eq!(Key::named("é").map(Key::name), Ok("é".to_owned()));
        for (name, says) in [("Ctrl-I", "the same for `Ctrl-I` as for Tab"), ("Alt-x", "is no key"), ("", "is no key")]
        {
            assert!(Key::named(name).unwrap_err().contains(says), "{name}");
        }
    }
}
