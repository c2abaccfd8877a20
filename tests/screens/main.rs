//! The console as people see it and as keys move it: snapshots of every screen, key sequences, sizes, bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod asked;
mod by_hand;
mod comms;
mod estates;
mod fixture;
mod keys;
mod login;
mod logs;
mod looks;
mod moves;
mod quiet;
mod sizes;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use quarterdeck::console::effect::Effect;
use quarterdeck::console::msg::Msg;
use quarterdeck::console::state::State;
use quarterdeck::console::theme::{Capabilities, ColorDepth, Theme};
use quarterdeck::console::{update, view};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

/// A theme for a depth of colour.
fn theme(colors: ColorDepth, unicode: bool) -> Theme {
    Theme::choose(None, &[], Capabilities { colors, unicode }).unwrap()
}

/// The cells of a screen.
fn cells(state: &State, theme: &Theme) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(state.size.0, state.size.1)).unwrap();
    terminal.draw(|frame| drop(view::view(state, theme, frame))).unwrap();
    terminal.backend().buffer().clone()
}

/// The text of cells, a line a row, without blanks at the ends.
fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut skip = 0;
        for x in 0..buffer.area.width {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let symbol = buffer[(x, y)].symbol();
            skip = unicode_width::UnicodeWidthStr::width(symbol).saturating_sub(1);
            line.push_str(symbol);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// The text of a screen in the dark theme.
fn screen(state: &State) -> String {
    text(&cells(state, &theme(ColorDepth::True, true)))
}

/// The event of a key that is written `a`, `Enter`, `C-x`.
fn key(name: &str) -> KeyEvent {
    let code = match name {
        "Enter" => KeyCode::Enter,
        "Esc" => KeyCode::Esc,
        "Tab" => KeyCode::Tab,
        "BackTab" => KeyCode::BackTab,
        "Up" => KeyCode::Up,
        "Down" => KeyCode::Down,
        "Left" => KeyCode::Left,
        "Right" => KeyCode::Right,
        "PgUp" => KeyCode::PageUp,
        "PgDn" => KeyCode::PageDown,
        "Home" => KeyCode::Home,
        "End" => KeyCode::End,
        "Space" => KeyCode::Char(' '),
        "Backspace" => KeyCode::Backspace,
        _ => {
            if let Some(c) = name.strip_prefix("C-") {
                return KeyEvent::new(KeyCode::Char(c.chars().next().unwrap()), KeyModifiers::CONTROL);
            }
            KeyCode::Char(name.chars().next().unwrap())
        }
    };
    KeyEvent::new(code, KeyModifiers::NONE)
}

/// Presses keys, written with blanks between them; answers every effect.
fn press(state: &mut State, keys: &str) -> Vec<Effect> {
    keys.split_whitespace().flat_map(|name| update(state, Msg::Key(key(name)))).collect()
}

/// Types text.
fn type_text(state: &mut State, text: &str) -> Vec<Effect> {
    text.chars().flat_map(|c| update(state, Msg::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)))).collect()
}
