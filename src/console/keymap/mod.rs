//! The one table of actions: each has its keys, its hint, its help and its danger in one record, which feeds
//! the dispatch of keys, the palette, the help, the hint line and the mouse. `Ctrl-A` and `Ctrl-B` are left to `screen`
//! and `tmux`. Letters name screens, so that rows are moved through with the arrows or with `J` and `K`. A [`Keymap`] is
//! that table with a person's own keys.

mod action;
mod key;
mod own;
mod place;
mod table;

use crossterm::event::KeyEvent;

pub use action::Action;
pub use key::Key;
pub use place::{Place, Scope};
pub use table::BINDINGS;

/// One action with all that is ever said about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// What it does.
    pub action: Action,
    /// Its keys unless a person has own ones; the first is shown.
    pub keys: &'static [Key],
    /// A word or two for the hint line.
    pub label: &'static str,
    /// What it does, for the palette and the help.
    pub help: &'static str,
    /// Whether it can change the estate or cut somebody off; drawn as such, never run by the palette without
    /// the dialog that belongs to it.
    pub danger: bool,
    /// Where it is valid.
    pub scope: Scope,
    /// Place in the hint line, small first; 0 is never shown there.
    pub hint: u8,
}

/// A binding with the keys that it has for this person.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bound {
    binding: &'static Binding,
    keys: Vec<Key>,
}

impl Bound {
    /// The keys that count in a place. Where text is typed a key that can be typed does not act; an action that would
    /// have none left there keeps the built-in ones.
    fn keys_in(&self, place: Place) -> Vec<Key> {
        if !place.is_typed_in() || self.keys.is_empty() {
            return self.keys.clone();
        }
        let mut keys = self.keys.clone();
        keys.retain(|key| !key.is_text());
        if keys.is_empty() { self.binding.keys.to_vec() } else { keys }
    }
}

/// The table with the keys of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keymap(Vec<Bound>);

impl Default for Keymap {
    fn default() -> Self {
        Self(BINDINGS.iter().map(|binding| Bound { binding, keys: binding.keys.to_vec() }).collect())
    }
}

impl Keymap {
    /// The action of a key in a place.
    pub fn lookup(&self, place: Place, event: &KeyEvent) -> Option<&'static Binding> {
        self.bound(place).find(|b| b.keys_in(place).iter().any(|k| k.matches(event))).map(|b| b.binding)
    }

    /// Every binding that is valid in a place, with its keys there; the first is shown.
    pub fn valid(&self, place: Place) -> impl Iterator<Item = (&'static Binding, Vec<Key>)> {
        self.bound(place).map(move |b| (b.binding, b.keys_in(place)))
    }

    /// The key of an action as it is written on the screen; empty where it has none.
    pub fn key_of(&self, action: Action) -> String {
        let bound = self.0.iter().find(|b| b.binding.action == action);
        bound.and_then(|b| b.keys.first()).map_or_else(String::new, |k| k.name())
    }

    /// Every binding with its keys, in the order of the table.
    pub fn all(&self) -> impl Iterator<Item = (&'static Binding, &[Key])> {
        self.0.iter().map(|b| (b.binding, b.keys.as_slice()))
    }

    fn bound(&self, place: Place) -> impl Iterator<Item = &Bound> {
        self.0.iter().filter(move |b| b.binding.scope.holds(place))
    }
}

#[cfg(test)]
mod tests {
    use super::Place as P;
    use super::*;
    use crossterm::event::{KeyCode, KeyModifiers};

    #[test]
    fn no_key_means_two_things_in_one_place() {
        for place in P::ALL {
            let mut seen: Vec<Key> = Vec::new();
            for (_, keys) in Keymap::default().valid(place) {
                for key in keys {
                    assert!(!seen.contains(&key), "{} twice on {place:?}", key.name());
                    seen.push(key);
                }
            }
        }
    }

    #[test]
    fn the_prefixes_of_tmux_and_screen_are_left_alone() {
        let taken = BINDINGS.iter().flat_map(|b| b.keys).any(|k| k.ctrl && matches!(k.code, KeyCode::Char('a' | 'b')));
        assert!(!taken);
    }

    #[test]
    fn the_way_out_and_the_stop_work_everywhere() {
        for place in P::ALL {
            for action in [Action::Back, Action::EmergencyStop, Action::Quit] {
                assert!(Keymap::default().valid(place).any(|(b, _)| b.action == action), "{action:?} on {place:?}");
            }
        }
    }

    #[test]
    fn nothing_that_can_be_typed_acts_where_text_is_typed() {
        for place in P::ALL.into_iter().filter(|p| p.is_typed_in()) {
            for binding in BINDINGS.iter().filter(|b| b.scope.holds(place)) {
                assert!(!binding.keys.iter().any(|k| k.is_text()), "{:?} on {place:?}", binding.action);
            }
        }
    }

    #[test]
    fn shift_is_carried_by_the_letter() {
        let action =
            |place, code, modifiers| Keymap::default().lookup(place, &KeyEvent::new(code, modifiers)).map(|b| b.action);
        assert_eq!(action(P::Overview, KeyCode::Char('F'), KeyModifiers::SHIFT), Some(Action::Declare));
        assert_eq!(action(P::Form, KeyCode::Char('x'), KeyModifiers::CONTROL), Some(Action::EmergencyStop));
        assert_eq!(action(P::Overview, KeyCode::Char('x'), KeyModifiers::ALT), None);
    }
}
