//! The I/O of the journal: the only place in it that touches files. [`file`] keeps a log in a directory; [`shared`] keeps
//! one that several bastions write in a database, and a copy of it in a directory of the same form.

pub mod file;
mod serve;
pub mod shared;

use super::error::JournalError;
use super::fold::Replay;
use super::handle::{Journal, OpenOptions, Recovered};

/// Opens or makes a log, wherever the options say that it lies, and starts its writer.
pub fn open(options: OpenOptions, replay: Option<&mut dyn Replay>) -> Result<(Journal, Recovered), JournalError> {
    match options.database.clone() {
        Some(database) => shared::open::open(options, &database, replay),
        None => file::open::open(options, replay),
    }
}

/// Makes a log and starts its writer; one that is there already is left alone.
pub fn make_new(options: OpenOptions) -> Result<(Journal, Recovered), JournalError> {
    match options.database.clone() {
        Some(database) => shared::open::make_new(options, &database),
        None => file::open::make_new(options),
    }
}
