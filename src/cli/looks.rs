//! How a console looks and feels: what the command line and the configuration ask for, and the person's own themes and
//! keys.

use super::args::{Bandwidth, Global};
use super::output::Error;
use super::session;
use crate::config::locate::Located;
use crate::config::model;
use crate::console::keymap::Keymap;
use crate::console::state::Facts;
use crate::console::theme::Wardrobe;
use crate::console::views::View;
use crate::terminal::attention::{Notify, Wanted};
use crate::terminal::capabilities;
use crate::terminal::console::{self, Ended, Options};
use crate::terminal::desks::{Berth, Desk};
use crate::terminal::outer;
use crate::terminal::plain;
use std::path::Path;

/// The file of own keys.
const KEYS: &str = "keys.toml";

/// Bytes a second on a slow link: a modem's, a satellite's, what a serial line of 19,200 baud carries.
const LOW: u32 = 2048;

/// What a console starts with, before its engine is known.
pub struct Looks {
    themes: Wardrobe,
    keys: Keymap,
    mouse: bool,
    view: Option<View>,
    attention: Wanted,
    hyperlinks: bool,
    budget: Option<u32>,
    editor: Vec<String>,
    notice: Option<String>,
    plain: bool,
}

impl Looks {
    /// Those of a configuration, or the usual ones without.
    ///
    /// # Errors
    /// There is no such theme, or it can not be read.
    pub fn of(global: &Global, config: Option<&model::Console>) -> Result<Self, Error> {
        let usual = model::Console::default();
        let config = config.unwrap_or(&usual);
        let (keys, notice) = keys_in_force();
        let term = std::env::var("TERM").unwrap_or_default();
        let notify = match config.notify.as_str() {
            // The console of Linux would print the text.
            _ if matches!(term.as_str(), "linux" | "dumb" | "") => Notify::Off,
            "osc777" => Notify::Osc777,
            "off" => Notify::Off,
            _ => Notify::Osc9,
        };
        let low = match global.bandwidth {
            Some(asked) => asked == Bandwidth::Low,
            None => config.bandwidth == "low",
        };
        let hyperlinks = match config.hyperlinks.as_str() {
            "on" => true,
            "off" => false,
            // On a slow link an address costs more than it brings.
            _ => !low && outer::follows_links(|name| std::env::var(name).ok()),
        };
        Ok(Self {
            themes: wardrobe(global.theme.as_deref().or(config.theme.as_deref()))?,
            keys,
            mouse: config.mouse,
            view: global.view.or_else(|| config.view.as_deref().and_then(View::named)),
            attention: Wanted { bell: config.bell, notify, title: config.title && term != "linux" },
            hyperlinks,
            budget: low.then_some(LOW),
            editor: config.editor.clone(),
            notice,
            plain: global.plain,
        })
    }

    /// Those of a console that needs no configuration, but heeds one that is there.
    ///
    /// # Errors
    /// As of [`Self::of`], and what is wrong with the configuration.
    pub fn heeding(global: &Global) -> Result<Self, Error> {
        match session::locate(global)? {
            Located::File(path) if global.drill.is_none() => {
                Self::of(global, Some(&session::named_by(path)?.console()))
            }
            _ => Self::of(global, None),
        }
    }

    /// The person's own editor may be used: this console is a shell's, not the forced command of an SSH key, whose
    /// holder an editor would give a shell.
    #[must_use]
    pub fn with_own_editor(mut self) -> Self {
        if self.editor.is_empty() {
            let named =
                ["VISUAL", "EDITOR"].iter().find_map(|n| std::env::var(n).ok().filter(|v| !v.trim().is_empty()));
            self.editor = named.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        }
        self
    }

    /// Runs the console: on the full screen, or in plain lines.
    ///
    /// # Errors
    /// The terminal can not be read or written.
    pub async fn show(self, berth: Berth) -> std::io::Result<Ended> {
        let plain = self.plain;
        let options = self.options(&berth.first);
        if plain {
            plain::run(berth, options, capabilities::detect().unicode).await
        } else {
            console::run(berth, options).await
        }
    }

    fn options(self, first: &Desk) -> Options {
        let facts = Facts::new(first.estate.clone(), first.mode).wearing(&self.themes).typing(self.keys);
        let Self { mouse, attention, hyperlinks, budget, editor, notice, view, .. } = self;
        Options { mouse, attention, hyperlinks, budget, editor, notice, view, ..Options::new(facts, self.themes) }
    }
}

/// The built-in keys with the person's own ones in their places. A `short` error names the file without its folder.
///
/// # Errors
/// What is wrong with `keys.toml` beside the user's configuration.
pub fn own_keys(short: bool) -> Result<Keymap, Error> {
    match session::own_file(KEYS)? {
        Some((path, text)) => Ok(Keymap::own(if short { KEYS } else { &path }, &text)?),
        None => Ok(Keymap::default()),
    }
}

/// The keys that a console begins with, and what is wrong with the own ones: a key that is written wrong must keep nobody
/// out at 2 a.m.
pub fn keys_in_force() -> (Keymap, Option<String>) {
    match own_keys(true) {
        Ok(keys) => (keys, None),
        Err(error) => (Keymap::default(), Some(format!("the built-in keys are in force: {}", error.first_line()))),
    }
}

/// All themes, with the one of that name on, or the one that suits the terminal.
///
/// # Errors
/// There is no such theme, or it can not be read.
pub fn wardrobe(name: Option<&str>) -> Result<Wardrobe, Error> {
    let own = session::own_files_of("themes", "toml")?;
    let own: Vec<(String, String)> = own
        .into_iter()
        .map(|(path, text)| {
            let name = Path::new(&path).file_stem().map(|s| s.to_string_lossy().into_owned());
            (name.unwrap_or(path), text)
        })
        .collect();
    Wardrobe::open(name, &own, capabilities::detect()).map_err(|e| Error::Usage(e.to_string()))
}
