//! Opens the console: on the configured estate, on a drill, or the start screen where nothing is configured.

use super::args::{Format, Global, Play};
use super::files::Files;
use super::opening::{self, Opened};
use super::output::{Error, Exit};
use super::session;
use crate::config::locate::{Located, Looked};
use crate::console::start::{Choice, Start};
use crate::console::state::Facts;
use crate::console::theme::Theme;
use crate::journal::key::VerifierKey;
use crate::terminal::console::{self, Ended, Options};
use crate::terminal::{capabilities, start};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long the engine may take to end after a part of the program has panicked.
const AFTER_PANIC: Duration = Duration::from_secs(10);

/// `quarterdeck` without a command.
pub fn open(global: &Global) -> Result<Exit, Error> {
    if let Some(scenario) = &global.drill {
        return drill(global, &Play { scenario: Some(scenario.clone()), seed: None, speed: None });
    }
    match session::locate(global)? {
        Located::File(path) => {
            let loaded = session::read(path)?;
            let theme = global.theme.clone().or_else(|| loaded.config.console.theme.clone());
            let mouse = loaded.config.console.mouse;
            interactive()?;
            let theme = choose(theme.as_deref())?;
            session::runtime()?.block_on(async {
                let opened = opening::live(&loaded, session::live_mode(global), true, "console")?;
                // Known by now at the latest: the opening has pinned it at first sight.
                show(opened, theme, mouse, opening::known_key(&loaded)?).await
            })
        }
        Located::Nowhere(looked) => offer(global, looked),
    }
}

/// `quarterdeck drill`.
pub fn drill(global: &Global, play: &Play) -> Result<Exit, Error> {
    interactive()?;
    let theme = choose(global.theme.as_deref())?;
    session::runtime()?.block_on(async {
        let opened = opening::drill(play, "console")?;
        show(opened, theme, true, None).await
    })
}

fn interactive() -> Result<(), Error> {
    if capabilities::is_interactive() {
        return Ok(());
    }
    Err(Error::Usage("the console needs a terminal on standard input and output; `status` works without one".into()))
}

fn choose(name: Option<&str>) -> Result<Theme, Error> {
    let own = session::own_files_of("themes", "toml")?;
    let own: Vec<(String, String)> = own
        .into_iter()
        .map(|(path, text)| {
            let name = Path::new(&path).file_stem().map(|s| s.to_string_lossy().into_owned());
            (name.unwrap_or(path), text)
        })
        .collect();
    Theme::choose(name, &own, capabilities::detect()).map_err(|e| Error::Usage(e.to_string()))
}

/// The start screen. A person who expects production is never put into a drill unasked.
fn offer(global: &Global, looked: Vec<Looked>) -> Result<Exit, Error> {
    if !capabilities::is_interactive() {
        session::load(global)?;
    }
    let theme = choose(global.theme.as_deref())?;
    let looked = looked.into_iter().map(|l| (from_home(l.place), l.found)).collect();
    let screen = Start::new(env!("CARGO_PKG_VERSION").to_owned(), looked);
    let chosen = session::runtime()?.block_on(start::run(screen, &theme)).map_err(Error::failed)?;
    match chosen {
        Choice::Exercise => drill(global, &Play { scenario: None, seed: None, speed: None }),
        Choice::Init => super::init::run(Format::Table, None, false),
        Choice::Quit => Ok(Exit::Done),
    }
}

/// A path as people write it: from `~`, so that its end has room.
fn from_home(place: String) -> String {
    let home = std::env::var("HOME").ok().filter(|h| h.len() > 1);
    match home.and_then(|home| place.strip_prefix(&home).map(|rest| format!("~{rest}"))) {
        Some(short) if short.starts_with("~/") => short,
        _ => place,
    }
}

async fn show(opened: Opened, theme: Theme, mouse: bool, pin: Option<VerifierKey>) -> Result<Exit, Error> {
    let client = opened.running.client.clone();
    let snapshot = client.snapshot();
    let facts = Facts {
        estate: snapshot.estate.name.clone(),
        mode: snapshot.mode,
        theme: theme.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let journal = Arc::new(Files { dir: opened.home.journal.clone(), pin });
    let options = Options { facts, theme, mouse, journal };
    let ended = console::run(&client, options).await;
    // The engine ends in good order whatever became of the terminal: the step in hand is waited for and recorded. After
    // a panic something may be owed that never comes.
    let panicked = matches!(ended, Ok(Ended::Panicked));
    let longest = if panicked { AFTER_PANIC } else { Duration::MAX };
    let closed = tokio::time::timeout(longest, opened.end()).await.is_ok();
    match ended.map_err(Error::failed)? {
        Ended::Panicked => Err(Error::Failed(format!(
            "a part of the program failed, as said above; {}",
            if closed { "the journal is closed" } else { "the journal was left open, the next start recovers it" }
        ))),
        Ended::Quit => Ok(Exit::Done),
        Ended::Signal(_) => Ok(Exit::Interrupted),
    }
}
