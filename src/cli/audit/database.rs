//! `audit database`: the SQL that makes a database the place of a journal, and its records in a directory.

use super::super::args::{Format, Global};
use super::super::output::{self, Error, Exit};
use super::super::{opening, session};
use super::args::Database as What;
use crate::attest::ledger::{Postgres, setup};
use crate::config::model::{Config, JournalDatabase, Login, SecretRef};
use crate::config::secret::places::{ALLOWED, Places, Unreferred};
use crate::journal::JournalError;
use crate::journal::shared::{self, Database, Fetched, LedgerError};
use std::path::Path;
use std::sync::Arc;

/// Runs it.
pub fn run(global: &Global, what: &What) -> Result<Exit, Error> {
    let loaded = session::load(global)?;
    let config = loaded.config.journal.database.as_ref().ok_or_else(|| {
        Error::Usage(format!(
            "{} has no table [journal.postgres]: its journal lies in a directory",
            loaded.path.display()
        ))
    })?;
    let origin = opening::origin(&loaded.config.estate.name);
    match what {
        What::Init { apply: true, user: Some(user), password } => {
            let password = password.as_deref().map(|text| reference(&loaded.config, text)).transpose()?;
            apply(config, Login { user: user.clone(), password }, &origin)?;
            let Login { user, .. } = &config.login;
            output::line(&format!(
                "{} is ready for the journal of {origin}, which {user} writes",
                place(config)?.address()
            ))?;
        }
        What::Init { .. } => output::raw(setup::sql(&origin, &config.login.user).as_bytes())?,
        What::Fetch { to } => {
            let database: Arc<dyn Database> = Arc::new(place(config)?);
            let fetched = fetch(&database, to, &session::home(&loaded.config).journal)?;
            if global.format == Format::Json {
                output::json(&fetched)?;
                return Ok(Exit::Done);
            }
            let (Fetched { records, evidence }, to) = (fetched, to.display());
            output::line(&format!("{records} records and {evidence} files of evidence are in {to}"))?;
            output::line(&format!("check them: quarterdeck audit verify --journal {to}"))?;
        }
    }
    Ok(Exit::Done)
}

/// The database of the configured journal, where no directory is named and it lies in one.
pub fn of(global: &Global, named: Option<&Path>) -> Result<Option<Arc<dyn Database>>, Error> {
    if named.is_some() || global.drill.is_some() { Ok(None) } else { opening::database(&session::load(global)?) }
}

/// Brings what a database holds into a directory; beside it the public half of the key, where this bastion has it.
pub fn fetch(database: &Arc<dyn Database>, to: &Path, copy: &Path) -> Result<Fetched, Error> {
    let mut ledger = database.session(Arc::new(|| {}));
    let fetched = shared::fetch(ledger.as_mut(), database.address(), to).map_err(|e| Error::journal(&e))?;
    match std::fs::copy(copy.join("log.vkey"), to.join("log.vkey")) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::failed(e)),
        _ => Ok(fetched),
    }
}

fn place(config: &JournalDatabase) -> Result<Postgres, Error> {
    Postgres::new(config).map_err(Error::failed)
}

fn reference(config: &Config, text: &str) -> Result<SecretRef, Error> {
    let places = Places { clusters: config.kubernetes.clone(), vaults: config.vaults.clone() };
    // Not repeated: it may be the password.
    places.refer(text).map_err(|why| match why {
        Unreferred::Form => Error::Usage(format!("--password is not a reference: {ALLOWED}")),
        Unreferred::Unknown(why) => Error::Usage(format!("--password {why}")),
    })
}

fn apply(config: &JournalDatabase, login: Login, origin: &str) -> Result<(), Error> {
    let place = place(config)?;
    let failed = |e: LedgerError| {
        Error::journal(&JournalError::Database { database: place.address().to_owned(), why: e.to_string() })
    };
    place.set_up(config, login, origin).map_err(failed)
}
