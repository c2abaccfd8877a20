//! Opens the console: on the configured estate, on a drill, or the start screen where nothing is configured.

use super::args::{Format, Global, Play};
use super::attach;
use super::files::Files;
use super::fleet;
use super::looks::{self, Looks};
use super::opening::{self, Opened};
use super::output::{self, Error, Exit};
use super::session::{self, Home, Meant, Target};
use crate::config::locate::{Located, Looked};
use crate::console::start::{Choice, Start};
use crate::domain::text::sanitize;
use crate::engine::attach::remote::{self, Away};
use crate::engine::attach::wire::Greeting;
use crate::journal::key::VerifierKey;
use crate::playbook::library;
use crate::terminal::console::Ended;
use crate::terminal::desks::Berth;
use crate::terminal::outside::Way;
use crate::terminal::{capabilities, start};
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// How long the engine may take to end after a part of the program has panicked.
pub(super) const AFTER_PANIC: Duration = Duration::from_secs(10);

/// `quarterdeck` without a command.
pub fn open(global: &Global) -> Result<Exit, Error> {
    if let Some(scenario) = &global.drill {
        return drill(global, &Play { scenario: Some(scenario.clone()), ..Play::default() });
    }
    match session::locate(global)? {
        Located::File(_) => {
            library::read_ahead();
            let meant = session::meant(global)?;
            interactive(global)?;
            let looks = Looks::of(global, Some(&meant.console()))?.with_own_editor();
            let meant = match meant {
                Meant::Several(several) if global.estate.is_none() => return fleet::open(global, several, looks),
                meant => meant,
            };
            let loaded = match session::chosen(global, meant)? {
                Target::Estate(loaded) => *loaded,
                served @ Target::Served { .. } => {
                    return attach::at(global, session::home_of(served).caller("socket", global.read_only));
                }
            };
            let home = session::home(&loaded.config);
            if let Some(greeting) = session::runtime()?.block_on(running(&home)) {
                return instead(global, &home, &greeting);
            }
            session::runtime()?.block_on(async {
                let opened = opening::live(&loaded, session::live_mode(global), true, "console")?;
                // Known by now at the latest: the opening has pinned it at first sight.
                show(opened, looks, opening::known_key(&loaded)?).await
            })
        }
        Located::Nowhere(looked) => offer(global, looked),
    }
}

/// What the engine says that listens already, if one does.
async fn running(home: &Home) -> Option<Greeting> {
    match remote::greeting(&home.caller("console", true)).await {
        Ok(greeting) => Some(greeting),
        Err(Away::Nobody(_)) => None,
        Err(away) => {
            crate::note!("quarterdeck: {away}");
            None
        }
    }
}

/// An engine runs for the estate already: a second can not, but this console can attach to it. Asked before the screen
/// opens, because nobody must take an engine of somebody else for one of their own.
fn instead(global: &Global, home: &Home, greeting: &Greeting) -> Result<Exit, Error> {
    let Greeting { estate, user, pid, .. } = greeting;
    let (estate, user) = (sanitize(estate), sanitize(user));
    output::line(&format!("The engine of {user} (pid {pid}) runs for {estate} already."))?;
    output::raw(b"Enter attaches this console to it, q leaves: ")?;
    let mut answer = String::new();
    let read = std::io::stdout().flush().and_then(|()| std::io::stdin().read_line(&mut answer));
    match (read, answer.trim()) {
        (Ok(1..), "") => attach::at(global, home.caller("socket", global.read_only)),
        _ => Err(Error::Failed(format!(
            "the engine of {user} (pid {pid}) runs for {estate} already; `quarterdeck attach` opens a console on it"
        ))),
    }
}

/// `quarterdeck drill`.
pub fn drill(global: &Global, play: &Play) -> Result<Exit, Error> {
    interactive(global)?;
    library::read_ahead();
    let looks = Looks::of(global, None)?.with_own_editor();
    session::runtime()?.block_on(async {
        let opened = opening::drill(play, "console")?;
        show(opened, looks, None).await
    })
}

pub(super) fn interactive(global: &Global) -> Result<(), Error> {
    if global.plain || capabilities::is_interactive() {
        return Ok(());
    }
    Err(Error::Usage(
        "the console needs a terminal on standard input and output; `--plain` and `status` work without one".into(),
    ))
}

/// The start screen. A person who expects production is never put into a drill unasked.
fn offer(global: &Global, looked: Vec<Looked>) -> Result<Exit, Error> {
    if global.plain || !capabilities::is_interactive() {
        session::load(global)?;
    }
    let themes = looks::wardrobe(global.theme.as_deref())?;
    let looked = looked.into_iter().map(|l| (from_home(l.place), l.found)).collect();
    let (keys, notice) = looks::keys_in_force();
    let screen = Start::new(env!("CARGO_PKG_VERSION").to_owned(), looked).typing(keys, notice);
    let chosen = session::runtime()?.block_on(start::run(screen, themes.worn())).map_err(Error::failed)?;
    match chosen {
        Choice::Exercise => drill(global, &Play::default()),
        Choice::Init => super::init::run(Format::Table, None, false, false),
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

/// The way to an engine in this process.
pub(super) fn way(opened: &Opened, pin: Option<VerifierKey>) -> Way {
    Way { client: opened.running.client.clone(), journal: Arc::new(Files { dir: opened.home.journal.clone(), pin }) }
}

async fn show(opened: Opened, looks: Looks, pin: Option<VerifierKey>) -> Result<Exit, Error> {
    let ended = looks.show(Berth::one(way(&opened, pin))).await;
    // The engine ends in good order whatever became of the terminal: the step in hand is waited for and recorded. After
    // a panic something may be owed that never comes.
    let panicked = matches!(ended, Ok(Ended::Panicked));
    let longest = if panicked { AFTER_PANIC } else { Duration::MAX };
    let closed = tokio::time::timeout(longest, opened.end()).await.is_ok();
    came_of(ended, closed)
}

/// What became of a console whose engines have ended, in good order or not.
pub(super) fn came_of(ended: std::io::Result<Ended>, closed: bool) -> Result<Exit, Error> {
    match ended.map_err(Error::failed)? {
        Ended::Panicked => Err(Error::Failed(format!(
            "a part of the program failed, as said above; {}",
            if closed { "the journal is closed" } else { "the journal was left open, the next start recovers it" }
        ))),
        Ended::Quit => Ok(Exit::Done),
        Ended::Signal(_) => Ok(Exit::Interrupted),
    }
}
