//! A person's own keys: a file in which each action that has other keys than the built-in ones stands with them.

use super::{Action, BINDINGS, Bound, Key, Keymap, Place};
use crate::config::problem::{Problem, Problems};
use crate::config::reader::{self, Source};
use std::ops::Range;
use toml::de::DeValue;

/// Actions without which somebody could be locked in, or could not stop what runs.
const NEEDED: [Action; 4] = [Action::Back, Action::EmergencyStop, Action::Quit, Action::Press];

impl Keymap {
    /// Reads a file of own keys: `ACTION = ["KEY", …]`; an empty list takes the keys away.
    ///
    /// # Errors
    /// Every unknown action and key, and every key that would mean two things in one place, with its place in the file.
    pub fn own(file: &str, text: &str) -> Result<Self, Problems> {
        let root = reader::parse(file, text)?;
        let source = Source::new(file, text);
        let mut map = Self::default();
        let mut spans: Vec<(Action, Key, Range<usize>)> = Vec::new();
        for (name, value) in root.get_ref() {
            let Some(action) = Action::named(name.get_ref()) else {
                let message = format!("`{}` is no action; `quarterdeck keys` lists them", name.get_ref());
                source.note(&name.span(), message);
                continue;
            };
            let DeValue::Array(array) = value.get_ref() else {
                source.note(
                    &value.span(),
                    format!("`{}` takes an array of keys, such as [\"x\", \"Ctrl-X\"]", action.word()),
                );
                continue;
            };
            let mut keys = Vec::new();
            for item in array {
                match item.get_ref().as_str().ok_or_else(|| "a string is expected".to_owned()).and_then(Key::named) {
                    Ok(key) => {
                        keys.push(key);
                        spans.push((action, key, item.span()));
                    }
                    Err(why) => source.note(&item.span(), why),
                }
            }
            if array.is_empty() && NEEDED.contains(&action) {
                source.note(&value.span(), format!("`{}` needs at least one key", action.word()));
                continue;
            }
            for bound in map.0.iter_mut().filter(|b| b.binding.action == action) {
                bound.keys.clone_from(&keys);
            }
        }
        map.clashes(|action, key, message| {
            // It stands at the one of the two that the file has changed.
            if let Some((_, _, span)) = spans.iter().find(|(a, k, _)| *a == action && *k == key) {
                source.note(span, message);
                return true;
            }
            false
        });
        let problems: Vec<Problem> = source.into_problems();
        if problems.is_empty() { Ok(map) } else { Err(Problems(problems)) }
    }

    /// Tells of each key that means two things in one place: once a pair, for the first of the two that is taken.
    fn clashes(&self, mut tell: impl FnMut(Action, Key, String) -> bool) {
        let mut told: Vec<(Action, Action, Key)> = Vec::new();
        for place in Place::ALL {
            let mut seen: Vec<(&Bound, Key)> = Vec::new();
            for bound in self.bound(place) {
                for key in bound.keys_in(place) {
                    let action = bound.binding.action;
                    let Some((other, _)) = seen.iter().find(|(b, k)| *k == key && b.binding.action != action) else {
                        seen.push((bound, key));
                        continue;
                    };
                    let other = other.binding.action;
                    if told.contains(&(other, action, key)) {
                        continue;
                    }
                    told.push((other, action, key));
                    let says = |other: Action| {
                        format!(
                            "`{}` means `{}` already in {}; allowed is a key that is free there, or give \
                             `{}` another one in this file",
                            key.name(),
                            other.word(),
                            place.words(),
                            other.word()
                        )
                    };
                    let _ = tell(action, key, says(other)) || tell(other, key, says(action));
                }
            }
        }
    }
}

impl Action {
    /// The word by which a file of own keys names it: `next-pane`.
    pub fn word(self) -> String {
        let mut word = String::new();
        for c in format!("{self:?}").chars() {
            if c.is_ascii_uppercase() && !word.is_empty() {
                word.push('-');
            }
            word.push(c.to_ascii_lowercase());
        }
        word
    }

    /// The action of that word, where the table has it.
    fn named(word: &str) -> Option<Self> {
        BINDINGS.iter().map(|b| b.action).find(|action| action.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    fn wrong(text: &str) -> Vec<String> {
        Keymap::own("keys.toml", text).unwrap_err().0.iter().map(ToString::to_string).collect()
    }

    fn press(map: &Keymap, place: Place, c: char) -> Option<Action> {
        map.lookup(place, &KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)).map(|b| b.action)
    }

    #[test]
    fn own_keys_take_the_place_of_the_built_in_ones() {
        let map = Keymap::own("keys.toml", "down = [\"j\", \"Down\"]\nup = [\"k\", \"Up\"]\njournal = [\"F2\"]\nby-hand = [\"b\"]\nbrief = []\nonly-kind = []\n").unwrap();
        assert_eq!(press(&map, Place::Overview, 'j'), Some(Action::Down));
        assert_eq!(press(&map, Place::Overview, 'J'), None);
        assert_eq!(map.key_of(Action::Journal), "F2");
        assert_eq!(press(&map, Place::Run, 'b'), Some(Action::ByHand));
        assert_eq!(press(&map, Place::Overview, 'b'), None, "an empty list takes the key away");
        // In the palette `j` is a letter; the arrow, which can not be typed, goes on moving.
        assert_eq!(press(&map, Place::Palette, 'j'), None);
        let down = KeyEvent::new(KeyCode::Down, KeyModifiers::NONE);
        assert_eq!(map.lookup(Place::Palette, &down).map(|b| b.action), Some(Action::Down));
    }

    #[test]
    fn where_text_is_typed_an_action_that_would_lose_its_keys_keeps_the_built_in_ones() {
        let map = Keymap::own("keys.toml", "emergency-stop = [\"!\"]\n").unwrap();
        assert_eq!(press(&map, Place::Overview, '!'), Some(Action::EmergencyStop));
        assert_eq!(press(&map, Place::Confirm, '!'), None);
        let stop = KeyEvent::new(KeyCode::Char('x'), KeyModifiers::CONTROL);
        assert_eq!(map.lookup(Place::Confirm, &stop).map(|b| b.action), Some(Action::EmergencyStop));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        assert_eq!(
            wrong("jump = [\"x\"]\nopen = \"x\"\nquit = []\nback = [\"Hyper-x\", 3]\n"),
            [
                "keys.toml:1:1: `jump` is no action; `quarterdeck keys` lists them",
                "keys.toml:2:8: `open` takes an array of keys, such as [\"x\", \"Ctrl-X\"]",
                "keys.toml:3:8: `quit` needs at least one key",
                "keys.toml:4:9: `Hyper-x` is no key; allowed are one character, Ctrl-LETTER, F1 to F12, Space, Enter, Esc, Tab, \
                 Shift-Tab, Up, Down, Left, Right, PgUp, PgDn, Home, End, Insert, Delete, Backspace",
                "keys.toml:4:20: a string is expected",
            ]
        );
        let clash = wrong("journal = [\"t\"]\n");
        assert_eq!(clash.len(), 1, "{clash:?}");
        assert!(clash[0].starts_with("keys.toml:1:12: `t` means `tenants` already in the overview;"), "{clash:?}");
        assert!(wrong("up = [")[0].starts_with("keys.toml:1:"));
    }
}
