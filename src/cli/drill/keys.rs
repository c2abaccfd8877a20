//! Keys of a script: pressed on a console without a terminal, whose commands go to the engine. A key that does nothing is
//! said.

use crate::console::effect::{Effect, RequestId};
use crate::console::msg::Msg;
use crate::console::state::{Facts, State};
use crate::console::theme::{Capabilities, ColorDepth, Theme, Wardrobe};
use crate::console::update;
use crate::console::view::Gate;
use crate::domain::actor::Actor;
use crate::engine::api::{Command, Reply, Snapshot};
use crate::engine::stepped::Stepped;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::sync::Arc;

/// Size of the console, in cells.
const SIZE: (u16, u16) = (80, 24);
/// How it looks; nothing depends on it.
const THEME: &str = "mono";
/// What its screen can show.
const CAN: Capabilities = Capabilities { colors: ColorDepth::None, unicode: true };

/// The console.
pub struct Keys {
    state: State,
    theme: Theme,
    screen: Gate,
}

impl Keys {
    /// One that shows a snapshot.
    ///
    /// # Errors
    /// Why there is no theme; there is one.
    pub fn new(snapshot: &Snapshot) -> Result<Self, String> {
        let themes = Wardrobe::open(Some(THEME), &[], CAN).map_err(|e| e.to_string())?;
        let facts = Facts::of(snapshot).wearing(&themes);
        Ok(Self { state: State::new(facts, SIZE, snapshot.at), theme: themes.worn().clone(), screen: Gate::default() })
    }

    /// Presses keys one after another.
    ///
    /// # Errors
    /// The first key that does nothing, or that there is not; or why a command that a key sent was refused.
    pub async fn press(&mut self, keys: &str, stepped: &mut Stepped, me: &Actor) -> Result<(), String> {
        for (name, key) in parse(keys)? {
            update(&mut self.state, Msg::Snapshot(Arc::new(stepped.snapshot())));
            let _ = self.screen.differs(&self.state, &self.theme);
            let effects = update(&mut self.state, Msg::Key(key));
            if effects.is_empty() && !self.screen.differs(&self.state, &self.theme) {
                return Err(format!("the key {name} does nothing here"));
            }
            for effect in effects {
                if let Effect::Command { id, command } = effect {
                    self.send(id, command, stepped, me).await?;
                }
            }
        }
        Ok(())
    }

    async fn send(&mut self, id: RequestId, command: Command, stepped: &mut Stepped, me: &Actor) -> Result<(), String> {
        let reply = stepped.command(command, me.clone()).await;
        let refused = match &reply {
            Reply::Refused { why, .. } => Some(why.clone()),
            _ => None,
        };
        update(&mut self.state, Msg::Reply { to: id, reply });
        refused.map_or(Ok(()), Err)
    }
}

/// Keys by their names: one character each, or a name in `<>`.
fn parse(keys: &str) -> Result<Vec<(String, KeyEvent)>, String> {
    let mut all = Vec::new();
    let mut rest = keys;
    while let Some(first) = rest.chars().next() {
        let named = rest.strip_prefix('<').and_then(|after| after.split_once('>'));
        let (name, after) = match named {
            Some((name, after)) => (name.to_owned(), after),
            None => (first.to_string(), rest.get(first.len_utf8()..).unwrap_or_default()),
        };
        let event = key(&name).ok_or_else(|| {
            format!("there is no key `<{name}>`; there are <Enter>, <Esc>, <Tab>, <Space>, <Up>, <Down>, <Left>, <Right>, <Home>, <End>, <PgUp>, <PgDn>, <Backspace>, <C-x> and every character")
        })?;
        all.push((name, event));
        rest = after;
    }
    Ok(all)
}

fn key(name: &str) -> Option<KeyEvent> {
    let plain = |code| Some(KeyEvent::new(code, KeyModifiers::NONE));
    let mut characters = name.chars();
    if let (Some(one), None) = (characters.next(), characters.next()) {
        let shifted = if one.is_uppercase() { KeyModifiers::SHIFT } else { KeyModifiers::NONE };
        return Some(KeyEvent::new(KeyCode::Char(one), shifted));
    }
    if let Some(rest) = name.strip_prefix("C-") {
        let mut characters = rest.chars();
        let (Some(one), None) = (characters.next(), characters.next()) else { return None };
        return Some(KeyEvent::new(KeyCode::Char(one.to_ascii_lowercase()), KeyModifiers::CONTROL));
    }
    match name {
        "Enter" => plain(KeyCode::Enter),
        "Esc" => plain(KeyCode::Esc),
        "Tab" => plain(KeyCode::Tab),
        "Space" => plain(KeyCode::Char(' ')),
        "Up" => plain(KeyCode::Up),
        "Down" => plain(KeyCode::Down),
        "Left" => plain(KeyCode::Left),
        "Right" => plain(KeyCode::Right),
        "Home" => plain(KeyCode::Home),
        "End" => plain(KeyCode::End),
        "PgUp" => plain(KeyCode::PageUp),
        "PgDn" => plain(KeyCode::PageDown),
        "Backspace" => plain(KeyCode::Backspace),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_names() {
        let names = |keys: &str| parse(keys).unwrap().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names("ab<Enter><C-x>"), ["a", "b", "Enter", "C-x"]);
        assert_eq!(names("<"), ["<"]);
        assert!(parse("<Hyper>").unwrap_err().contains("`<Hyper>`"));
    }
}
