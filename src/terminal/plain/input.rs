//! What a typed line means: a key, an action, text for the field with the focus, or a search.

use crate::console::keymap::{Action, Key, Place};
use crate::console::state::State;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What `help` says.
pub const HELP: &[&str] = &[
    "Each line that you type is one of these:",
    "  nothing          tells again where you are",
    "  a key            ?  j  Enter  Esc  Tab  Down  PgDn  Space  Ctrl-X: what it does on the full screen; `?` shows all",
    "  an action        journal, close-incident, mark: `quarterdeck keys` lists the words",
    "  /text            filters the rows of the pane, or searches the journal; Esc ends it",
    "  :text            searches everything that can be done; Down and Enter choose",
    "  text             where a form, a question or a phrase asks for it; `=text` where the text is itself the name of a key",
    "A mark `>` stands before the row with the cursor. A dialog opens on Cancel or on its first field: Tab goes on, Enter presses a button.",
];

/// What a typed line means.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    /// Tell again where the person is.
    Show,
    /// Tell how this works.
    Help,
    /// Keys, one after the other.
    Keys(Vec<KeyEvent>),
    /// Nothing, and why.
    Nothing(String),
}

/// Reads a line.
pub fn read(state: &State, line: &str) -> Typed {
    let line = line.trim_end_matches(['\r', '\n']);
    let word = line.trim();
    let place = state.place();
    if word.is_empty() {
        return Typed::Show;
    }
    if let Some(text) = word.strip_prefix('=').filter(|_| place.is_typed_in()) {
        return Typed::Keys(text.chars().map(typed).collect());
    }
    // One character that can be typed is text where text is asked for.
    if let Ok(key) = Key::named(word)
        && !(place.is_typed_in() && key.is_text())
    {
        return Typed::Keys(vec![event(key)]);
    }
    if place.is_typed_in() {
        return Typed::Keys(line.chars().map(typed).collect());
    }
    if word == "help" {
        return Typed::Help;
    }
    let first = |wanted: &[Action]| {
        let found = state.facts.keys.valid(place).find(|(binding, _)| wanted.contains(&binding.action));
        found.and_then(|(_, keys)| keys.first().copied()).map(event)
    };
    let (opens, ends) = match word.chars().next() {
        Some('/') => {
            (first(&[Action::Filter, Action::Search]), Some(KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE)))
        }
        Some(':') => (first(&[Action::Palette]), None),
        _ => return action(state, place, word),
    };
    match opens {
        Some(key) => Typed::Keys(std::iter::once(key).chain(word.chars().skip(1).map(typed)).chain(ends).collect()),
        None => Typed::Nothing(format!("there is nothing to search in {}", place.words())),
    }
}

/// The key of an action, by its word.
fn action(state: &State, place: Place, word: &str) -> Typed {
    let named = |word: &str| state.facts.keys.valid(place).find(|(binding, _)| binding.action.word() == word);
    match named(word) {
        Some((_, keys)) => match keys.first() {
            Some(key) => Typed::Keys(vec![event(*key)]),
            None => Typed::Nothing(format!("`{word}` has no key; `:` and its words find it")),
        },
        None => Typed::Nothing(format!(
            "`{}` is no key and no action of {}; `?` shows the keys, `help` how this works",
            crate::domain::text::sanitize(word),
            place.words()
        )),
    }
}

fn typed(c: char) -> KeyEvent {
    KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)
}

fn event(key: Key) -> KeyEvent {
    KeyEvent::new(key.code, if key.ctrl { KeyModifiers::CONTROL } else { KeyModifiers::NONE })
}
