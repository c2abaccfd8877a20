//! A journal in PostgreSQL, for the engines of several bastions: [`crate::journal::shared::Database`] over the functions of
//! `setup.sql`. A batch counts when its commit has returned, which the server makes wait for the standby, and without a
//! warning: a wait that somebody cancelled is told by one, and means that the standby may not have it.

#[cfg(test)]
mod campaign;
#[cfg(test)]
mod rig;
pub mod setup;
#[cfg(test)]
mod tests;

use crate::attest::anchor::hash;
use crate::config::model::{JournalDatabase, Login};
use crate::domain::id::Digest;
use crate::journal::shared::{Database, FORMAT, Head, Heard, LEASE, Lead, Ledger, LedgerError, Offer, Row};
use crate::observe::postgres::failure;
use crate::observe::postgres::link::{Link, Session, Settings};
use jiff::Timestamp;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio_postgres::AsyncMessage;
use tokio_postgres::error::Severity;
use tokio_postgres::types::{ToSql, Type};

/// Records that are read at once, at most; a batch is never divided.
const AT_ONCE: u64 = 2000;

/// A statement's parameter.
type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// The servers of `[journal.postgres]`: the one that takes writes is used.
#[derive(Debug)]
pub struct Postgres {
    address: String,
    database: String,
    timeout: Duration,
    lease: Duration,
    links: Arc<Vec<Link>>,
    driver: Arc<Driver>,
}

/// What drives the sessions: threads of its own, since the journal's writer waits for them while the engine's threads do
/// other things.
#[derive(Debug)]
struct Driver(Option<Runtime>);

impl Driver {
    fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T, LedgerError> {
        let runtime = self.0.as_ref().ok_or_else(|| LedgerError::Lost("it is closed".to_owned()))?;
        Ok(runtime.block_on(work))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The last session may end on a thread that must not wait.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Postgres {
    /// Nothing is opened or read yet. Who asks a session must be on a thread that may wait.
    pub fn new(config: &JournalDatabase) -> std::io::Result<Self> {
        let links = Link::journal(config);
        let first = links.first().map(Link::address).unwrap_or_default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("journal-database")
            .enable_all()
            .build()?;
        Ok(Self {
            address: format!("{first}/{}", config.database),
            database: config.database.clone(),
            timeout: config.timeout,
            lease: config.lease.unwrap_or(LEASE),
            links: Arc::new(links),
            driver: Arc::new(Driver(Some(runtime))),
        })
    }

    /// Whether an engine could write the log `origin` there, without writing: the version of the server, or why not.
    pub fn examine(&self, origin: &str) -> Result<String, LedgerError> {
        let mut session = self.writing(Arc::new(|| {}));
        let rows = session.ask("SELECT current_setting('server_version'), quarterdeck_journal.guard()::text", &[])?;
        let version: String = rows.first().ok_or_else(|| form("no row"))?.try_get(0).map_err(form)?;
        let rows = session.ask("SELECT origin, format FROM quarterdeck_journal.log", &[])?;
        let row = rows.first().ok_or_else(|| form("no row"))?;
        let (found, format): (String, i32) = (row.try_get(0).map_err(form)?, row.try_get(1).map_err(form)?);
        let found = crate::domain::text::sanitize(&found);
        match format {
            _ if found != origin => {
                Err(LedgerError::Unfit(format!("it holds the journal of `{found}`, not of `{origin}`")))
            }
            FORMAT => Ok(crate::domain::text::sanitize(&version)),
            _ => Err(LedgerError::Unfit(format!(
                "it has form {format} of a journal, and this quarterdeck writes form {FORMAT}"
            ))),
        }
    }

    /// The engines that share the sources there, a sentence each.
    pub fn sharing(&self) -> Result<Vec<String>, LedgerError> {
        let rows = self
            .writing(Arc::new(|| {}))
            .ask("SELECT r_host, r_engine, r_sources FROM quarterdeck_journal.share_show()", &[])?;
        let say = |row: &tokio_postgres::Row| {
            let (host, engine): (String, String) = (row.try_get(0).map_err(form)?, row.try_get(1).map_err(form)?);
            let sources: i64 = row.try_get(2).map_err(form)?;
            let host = crate::domain::text::sanitize(&host);
            Ok(format!("the engine on {host} ({engine}) watches {sources} sources"))
        };
        rows.iter().map(say).collect()
    }

    fn writing(&self, heard: Heard) -> Writing {
        Writing {
            database: self.database.clone(),
            timeout: self.timeout,
            links: self.links.clone(),
            driver: self.driver.clone(),
            heard,
            held: None,
            writer: String::new(),
            epoch: 0,
        }
    }

    /// Runs what [`setup::sql`] makes as the superuser `login`, at the first server.
    pub fn set_up(&self, config: &JournalDatabase, login: Login, origin: &str) -> Result<(), LedgerError> {
        let link = Link::journal_as(config, login).ok_or_else(|| LedgerError::Lost("no server".to_owned()))?;
        let sql = setup::sql(origin, &config.login.user);
        let run = async {
            let settings = Settings::Change { statement_timeout: self.timeout };
            let session = link.open(&self.database, settings).await.map_err(|f| LedgerError::Lost(f.to_string()))?;
            session.client().batch_execute(&sql).await.map_err(|e| refusal(&e))
        };
        let late = |_| LedgerError::Lost(format!("no answer within {:?}; its standby may not answer", self.timeout));
        self.driver.wait(async { tokio::time::timeout(self.timeout, run).await })?.map_err(late)?
    }
}

impl Database for Postgres {
    fn address(&self) -> &str {
        &self.address
    }

    fn lease(&self) -> Duration {
        self.lease
    }

    fn session(&self, heard: Heard) -> Box<dyn Ledger> {
        Box::new(self.writing(heard))
    }
}

/// An open session with what its server has warned of.
struct Held {
    session: Session,
    warnings: Arc<Mutex<Vec<String>>>,
}

impl Held {
    fn warned(&self) -> Option<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).drain(..).next_back()
    }
}

/// The session of one writer or reader.
struct Writing {
    database: String,
    timeout: Duration,
    links: Arc<Vec<Link>>,
    driver: Arc<Driver>,
    heard: Heard,
    held: Option<Held>,
    writer: String,
    epoch: i64,
}

impl Writing {
    /// Opens a session at the first server that takes writes.
    fn connect(&self) -> Result<Held, LedgerError> {
        let mut why = Vec::new();
        for link in self.links.iter() {
            let opened = async { tokio::time::timeout(self.timeout, self.open(link)).await };
            match self.driver.wait(opened)? {
                Ok(Ok(held)) => return Ok(held),
                Ok(Err(said)) => why.push(said),
                Err(_) => why.push(format!("{} does not answer within {:?}", link.address(), self.timeout)),
            }
        }
        Err(LedgerError::Lost(why.join("; ")))
    }

    async fn open(&self, link: &Link) -> Result<Held, String> {
        let warnings: Arc<Mutex<Vec<String>>> = Arc::default();
        let (heard, said) = (self.heard.clone(), warnings.clone());
        let hear = move |message| match message {
            AsyncMessage::Notification(_) => heard(),
            AsyncMessage::Notice(notice) if notice.parsed_severity() == Some(Severity::Warning) => {
                said.lock().unwrap_or_else(PoisonError::into_inner).push(notice.message().to_owned());
            }
            _ => {}
        };
        let settings = Settings::Change { statement_timeout: self.timeout };
        let session = link.open_hearing(&self.database, settings, hear).await.map_err(|failure| failure.to_string())?;
        let failed = |e: tokio_postgres::Error| failure::classify(link.address(), &e).to_string();
        let standby = session.ask("SELECT pg_catalog.pg_is_in_recovery()", &[]).await.map_err(failed)?;
        if standby.first().is_none_or(|row| row.try_get(0).unwrap_or(true)) {
            return Err(format!("{} is a standby, which takes no writes", link.address()));
        }
        session.client().batch_execute("LISTEN quarterdeck_journal").await.map_err(failed)?;
        Ok(Held { session, warnings })
    }

    /// Asks one statement, which is a transaction. When this returns rows, that transaction is durable.
    fn ask(&mut self, statement: &str, parameters: &[Parameter<'_>]) -> Result<Vec<tokio_postgres::Row>, LedgerError> {
        let held = match self.held.take().filter(|held| held.session.is_open()) {
            Some(held) => held,
            None => self.connect()?,
        };
        held.warned();
        let asked = held.session.client().query_typed(statement, parameters);
        let answer = self.driver.wait(async { tokio::time::timeout(self.timeout, asked).await })?;
        match answer {
            // The session is dropped, and its socket with it: nobody waits for what it may still do.
            Err(_) => {
                Err(LedgerError::Lost(format!("no answer within {:?}; its standby may not answer", self.timeout)))
            }
            Ok(Err(error)) => {
                if failure::is_refusal(&error) {
                    self.held = Some(held);
                }
                Err(refusal(&error))
            }
            Ok(Ok(rows)) => match held.warned() {
                Some(warning) => Err(LedgerError::Lost(format!("it warns: {warning}"))),
                None => {
                    self.held = Some(held);
                    Ok(rows)
                }
            },
        }
    }

    /// Asks a function that this writer calls in the session that it has entered.
    fn call(&mut self, statement: &str, more: &[Parameter<'_>]) -> Result<(), LedgerError> {
        let (writer, epoch) = (self.writer.clone(), self.epoch);
        let mut parameters: Vec<Parameter<'_>> = vec![(&writer, Type::TEXT), (&epoch, Type::INT8)];
        parameters.extend(more.iter().cloned());
        self.ask(statement, &parameters).map(|_| ())
    }
}

/// What an error means for who asked. SQLSTATE classes: PostgreSQL documentation, appendix A; `QD…` are of `setup.sql`.
fn refusal(error: &tokio_postgres::Error) -> LedgerError {
    let Some(said) = error.as_db_error() else { return LedgerError::Lost(error.to_string()) };
    let message = crate::domain::text::sanitize(said.message());
    if !failure::is_refusal(error) {
        return LedgerError::Lost(message);
    }
    match said.code().code() {
        "QD001" => LedgerError::Moved,
        "QD004" => LedgerError::Fenced(message),
        "QD002" => LedgerError::Lost(message),
        "QD003" => LedgerError::Unfit(message),
        // No such schema, table or function.
        "3F000" | "42P01" | "42883" => LedgerError::Unfit(format!(
            "it has no journal of this form ({message}); set it up with what `quarterdeck audit database` prints"
        )),
        _ => LedgerError::Refused(message),
    }
}

/// A column that is not what it should be.
fn form(error: impl std::fmt::Display) -> LedgerError {
    LedgerError::Unfit(format!("it answers in another form: {error}"))
}

fn whole(number: i64) -> Result<u64, LedgerError> {
    u64::try_from(number).map_err(form)
}

fn signed(number: u64) -> Result<i64, LedgerError> {
    i64::try_from(number).map_err(form)
}

impl Ledger for Writing {
    fn enter(&mut self, writer: &str, origin: &str) -> Result<Head, LedgerError> {
        let rows = self.ask(
            "SELECT r_epoch, r_size, r_note FROM quarterdeck_journal.enter($1, $2, $3)",
            &[(&writer, Type::TEXT), (&origin, Type::TEXT), (&FORMAT, Type::INT4)],
        )?;
        let row = rows.first().ok_or_else(|| form("no row"))?;
        (self.writer, self.epoch) = (writer.to_owned(), row.try_get(0).map_err(form)?);
        Ok(Head { size: whole(row.try_get(1).map_err(form)?)?, note: row.try_get(2).map_err(form)? })
    }

    fn append(&mut self, offer: &Offer<'_>) -> Result<(), LedgerError> {
        let size = signed(offer.size)?;
        let names: Vec<&str> = offer.fences.iter().map(|(name, _)| name.as_str()).collect();
        let tokens = offer.fences.iter().map(|(_, token)| signed(*token)).collect::<Result<Vec<i64>, _>>()?;
        let (root, after) = (offer.root.0.as_slice(), offer.root_after.0.as_slice());
        self.call(
            "SELECT quarterdeck_journal.append($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            &[
                (&size, Type::INT8),
                (&root, Type::BYTEA),
                (&offer.leaves, Type::BYTEA_ARRAY),
                (&after, Type::BYTEA),
                (&offer.note, Type::TEXT),
                (&names, Type::TEXT_ARRAY),
                (&tokens, Type::INT8_ARRAY),
            ],
        )
    }

    fn read(&mut self, from: u64) -> Result<Vec<Row>, LedgerError> {
        let from = signed(from)?;
        let batches = self.ask(
            "SELECT first, size, note FROM quarterdeck_journal.checkpoint WHERE first >= $1 ORDER BY first LIMIT 500",
            &[(&from, Type::INT8)],
        )?;
        let mut rows = Vec::new();
        for batch in &batches {
            let first = whole(batch.try_get(0).map_err(form)?)?;
            let size = whole(batch.try_get(1).map_err(form)?)?;
            rows.push(Row { first, size, note: batch.try_get(2).map_err(form)?, leaves: Vec::new() });
            if size.saturating_sub(rows.first().map_or(first, |row| row.first)) > AT_ONCE {
                break;
            }
        }
        let Some((first, last)) = rows.first().map(|r| r.first).zip(rows.last().map(|r| r.size)) else {
            return Ok(rows);
        };
        let entries = self.ask(
            "SELECT seq, leaf FROM quarterdeck_journal.entry WHERE seq >= $1 AND seq < $2 ORDER BY seq",
            &[(&signed(first)?, Type::INT8), (&signed(last)?, Type::INT8)],
        )?;
        for entry in &entries {
            let seq = whole(entry.try_get(0).map_err(form)?)?;
            let leaf = entry.try_get(1).map_err(form)?;
            if let Some(row) = rows.iter_mut().find(|row| row.first <= seq && seq < row.size) {
                row.leaves.push((seq, leaf));
            }
        }
        Ok(rows)
    }

    fn note_at(&mut self, size: u64) -> Result<Option<String>, LedgerError> {
        let size = signed(size)?;
        let rows =
            self.ask("SELECT note FROM quarterdeck_journal.checkpoint WHERE size = $1", &[(&size, Type::INT8)])?;
        rows.first().map(|row| row.try_get(0).map_err(form)).transpose()
    }

    fn settle(&mut self) -> Result<(), LedgerError> {
        self.call("SELECT quarterdeck_journal.settle($1, $2)", &[])
    }

    fn keep(&mut self, sha256: &Digest, bytes: &[u8]) -> Result<(), LedgerError> {
        let sha256 = hash(sha256);
        self.call(
            "SELECT quarterdeck_journal.keep($1, $2, $3, $4)",
            &[(&sha256.as_slice(), Type::BYTEA), (&bytes, Type::BYTEA)],
        )
    }

    fn kept(&mut self, sha256: &Digest) -> Result<Option<Vec<u8>>, LedgerError> {
        let sha256 = hash(sha256);
        let rows = self.ask(
            "SELECT bytes FROM quarterdeck_journal.evidence WHERE sha256 = $1",
            &[(&sha256.as_slice(), Type::BYTEA)],
        )?;
        rows.first().map(|row| row.try_get(0).map_err(form)).transpose()
    }

    fn forget(&mut self, sha256: &Digest) -> Result<(), LedgerError> {
        let sha256 = hash(sha256);
        self.call("SELECT quarterdeck_journal.forget($1, $2, $3)", &[(&sha256.as_slice(), Type::BYTEA)])
    }

    fn lead(&mut self, writer: &str, name: &str, lease: Duration) -> Result<Lead, LedgerError> {
        let seconds = lease.as_secs_f64();
        let rows = self.ask(
            "SELECT r_token, r_holder, r_left FROM quarterdeck_journal.lead($1, $2, $3)",
            &[(&writer, Type::TEXT), (&name, Type::TEXT), (&seconds, Type::FLOAT8)],
        )?;
        let row = rows.first().ok_or_else(|| form("no row"))?;
        if let Some(token) = row.try_get::<_, Option<i64>>(0).map_err(form)? {
            return Ok(Lead::Own { token: whole(token)? });
        }
        let left = row.try_get::<_, f64>(2).map_err(form)?;
        let left = Duration::try_from_secs_f64(left).unwrap_or_default();
        Ok(Lead::Other { holder: row.try_get(1).map_err(form)?, left })
    }

    fn let_go(&mut self, writer: &str, name: &str) -> Result<(), LedgerError> {
        let parameters: [Parameter<'_>; 2] = [(&writer, Type::TEXT), (&name, Type::TEXT)];
        self.ask("SELECT quarterdeck_journal.let_go($1, $2)", &parameters).map(|_| ())
    }

    fn now(&mut self) -> Result<Timestamp, LedgerError> {
        let rows = self.ask("SELECT clock_timestamp()", &[])?;
        rows.first().ok_or_else(|| form("no row"))?.try_get(0).map_err(form)
    }

    fn number(&mut self, name: &str, least: u64) -> Result<u64, LedgerError> {
        let least = signed(least)?;
        let parameters: [Parameter<'_>; 2] = [(&name, Type::TEXT), (&least, Type::INT8)];
        let rows = self.ask("SELECT quarterdeck_journal.number($1, $2)", &parameters)?;
        whole(rows.first().ok_or_else(|| form("no row"))?.try_get(0).map_err(form)?)
    }
}
