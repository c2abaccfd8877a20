//! `audit begin`: a new log in an empty directory, deliberately: also where an earlier one is known by its pin, and with
//! the last checkpoint of the log that it follows in its first record.

use super::super::args::Global;
use super::super::output::{self, Error, Exit};
use super::super::pins::Pins;
use super::super::{opening, session};
use super::args::Begin;
use crate::journal::{Journal, OpenOptions};

/// Runs it.
pub fn run(global: &Global, what: &Begin) -> Result<Exit, Error> {
    if global.drill.is_some() {
        return Err(Error::Usage("a drill begins its own journal".into()));
    }
    let loaded = session::load(global)?;
    let follows = what.follows.as_deref().map(session::read_file).transpose()?;
    let options = OpenOptions { follows, pin: None, ..opening::options(&loaded, "cli")? };
    let time = options.time;
    let journal = Journal::begin(options).map_err(|e| Error::journal(&e))?;
    let key = journal.verifier().clone();
    journal.close_blocking(time).map_err(|e| Error::journal(&e))?;
    let pins = Pins::own();
    let before = pins.get(key.name())?;
    let path = pins.put(&key)?;
    output::line(&format!("began {} with the key {}", journal.dir().display(), key.id()))?;
    output::line(&match before {
        Some(old) => format!("pinned in {}, in place of {}", path.display(), old.id()),
        None => format!("pinned in {}", path.display()),
    })?;
    Ok(Exit::Done)
}
