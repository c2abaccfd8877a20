//! The tables of `setup.sql` in which engines say that they are there and what they have seen, in the database of the
//! journal. They are not durable, and no answer waits for a standby: what is lost is seen anew.

use super::plan::{Member, Round, Term};
use crate::config::model::JournalDatabase;
use crate::domain::id::SourceId;
use crate::domain::text::sanitize;
use crate::observe::postgres::failure;
use crate::observe::postgres::link::{Link, Session, Settings};
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

/// Samples that are published at once, at most: a reading never divides them.
pub const AT_ONCE: usize = 200;

/// A statement's parameter.
type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// What the database did not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// An engine has come or gone since, or the database has lost what it kept. Nothing was written.
    #[error("other engines share the sources now")]
    Moved,
    /// Nobody answers, or it refuses, in one sentence; what was written is not known.
    #[error("{0}")]
    Lost(String),
}

/// One sample for the others.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// Of which source.
    pub source: SourceId,
    /// How long ago it was seen.
    pub age: Duration,
    /// How long that took.
    pub took: Duration,
    /// What was seen; `None` where it is what this engine published before.
    pub body: Option<Vec<u8>>,
}

/// One sample of another engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Of which source, from which engine, how old and so on.
    pub news: News,
    /// The engine that saw it.
    pub from: String,
    /// Its place in the order of what was published.
    pub seq: i64,
}

/// The way to the tables, for one engine.
pub struct Table {
    links: Arc<Vec<Link>>,
    database: String,
    timeout: Duration,
    lease: Duration,
    list: String,
    me: Member,
    /// What the last answer to a renewal drew, which shows that it came.
    turn: i64,
    session: Option<Session>,
}

impl Table {
    /// Nothing is opened yet. `list` names the list of sources that this engine would watch.
    pub fn new(config: &JournalDatabase, lease: Duration, list: String, me: Member) -> Self {
        let (database, timeout, links) = (config.database.clone(), config.timeout, Arc::new(Link::journal(config)));
        Self { links, database, timeout, lease, list, me, turn: 0, session: None }
    }

    /// Another session of the same engine.
    pub fn beside(&self) -> Self {
        let (links, database, list, me) =
            (self.links.clone(), self.database.clone(), self.list.clone(), self.me.clone());
        Self { links, database, timeout: self.timeout, lease: self.lease, list, me, turn: 0, session: None }
    }

    /// The server and the database, for people.
    pub fn address(&self) -> String {
        format!("{}/{}", self.links.first().map(Link::address).unwrap_or_default(), self.database)
    }

    /// Takes or renews this engine's lease, and says who else has one.
    pub async fn renew(&mut self) -> Result<Round, Trouble> {
        // Sources are left only to one who has heard an answer, which the second question shows.
        for _ in 0..2 {
            let round = self.renew_once().await?;
            if round.engines.iter().any(|engine| engine.id == self.me.id) {
                return Ok(round);
            }
        }
        Err(Trouble::Lost(format!("{} gives this engine no lease", self.address())))
    }

    async fn renew_once(&mut self) -> Result<Round, Trouble> {
        let (list, me, seconds, turn) = (self.list.clone(), self.me.clone(), self.lease.as_secs_f64(), self.turn);
        let rows = self
            .ask(
                "SELECT r_turn, r_born, r_generation, r_engine, r_host, r_same \
                 FROM quarterdeck_journal.share_renew($1, $2, $3, $4, $5)",
                &[
                    (&list, Type::TEXT),
                    (&me.id, Type::TEXT),
                    (&me.host, Type::TEXT),
                    (&seconds, Type::FLOAT8),
                    (&turn, Type::INT8),
                ],
            )
            .await?;
        let first = rows.first().ok_or_else(|| form("no row"))?;
        self.turn = get(first, 0)?;
        let term = Term { born: get(first, 1)?, generation: get(first, 2)? };
        let (mut engines, mut apart) = (Vec::new(), Vec::new());
        for row in &rows {
            let (Some(id), Some(host)) = (get::<Option<String>>(row, 3)?, get::<Option<String>>(row, 4)?) else {
                continue;
            };
            let member = Member { id, host: sanitize(&host) };
            if get(row, 5)? {
                engines.push(member);
            } else {
                apart.push(member.host);
            }
        }
        engines.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Round { term, engines, apart })
    }

    /// Publishes samples, at most [`AT_ONCE`], as one of the engines of a term.
    pub async fn publish(&mut self, term: Term, news: &[News]) -> Result<(), Trouble> {
        let (list, me) = (self.list.clone(), self.me.id.clone());
        let sources: Vec<&str> = news.iter().map(|n| n.source.as_str()).collect();
        let ages: Vec<f64> = news.iter().map(|n| n.age.as_secs_f64()).collect();
        let tooks: Vec<f64> = news.iter().map(|n| n.took.as_secs_f64()).collect();
        let bodies: Vec<Option<&[u8]>> = news.iter().map(|n| n.body.as_deref()).collect();
        self.ask(
            "SELECT quarterdeck_journal.share_publish($1, $2, $3, $4, $5, $6, $7, $8)",
            &[
                (&list, Type::TEXT),
                (&me, Type::TEXT),
                (&term.born, Type::INT8),
                (&term.generation, Type::INT8),
                (&sources, Type::TEXT_ARRAY),
                (&ages, Type::FLOAT8_ARRAY),
                (&tooks, Type::FLOAT8_ARRAY),
                (&bodies, Type::BYTEA_ARRAY),
            ],
        )
        .await
        .map(|_| ())
    }

    /// What others have published after the place `after`, in its order, some of it; nothing when there is no more.
    pub async fn read(&mut self, born: i64, after: i64) -> Result<Vec<Told>, Trouble> {
        let (list, me) = (self.list.clone(), self.me.id.clone());
        let rows = self
            .ask(
                "SELECT r_source, r_engine, r_seq, r_age, r_took, r_body FROM quarterdeck_journal.share_read($1, $2, $3, $4)",
                &[(&list, Type::TEXT), (&me, Type::TEXT), (&born, Type::INT8), (&after, Type::INT8)],
            )
            .await?;
        let told = |row: &Row| {
            let source = SourceId::new(get::<String>(row, 0)?);
            let news = News { source, age: seconds(get(row, 3)?)?, took: seconds(get(row, 4)?)?, body: get(row, 5)? };
            Ok(Told { news, from: get(row, 1)?, seq: get(row, 2)? })
        };
        rows.iter().map(told).collect()
    }

    /// Ends this engine's lease.
    pub async fn leave(&mut self) -> Result<(), Trouble> {
        let (list, me) = (self.list.clone(), self.me.id.clone());
        let parameters: [Parameter<'_>; 2] = [(&list, Type::TEXT), (&me, Type::TEXT)];
        self.ask("SELECT quarterdeck_journal.share_leave($1, $2)", &parameters).await.map(|_| ())
    }

    async fn ask(&mut self, statement: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, Trouble> {
        let session = match self.session.take().filter(Session::is_open) {
            Some(session) => session,
            None => self.connect().await?,
        };
        let asked = tokio::time::timeout(self.timeout, session.client().query_typed(statement, parameters)).await;
        let Ok(answer) = asked else {
            return Err(Trouble::Lost(format!("{} does not answer within {:?}", self.address(), self.timeout)));
        };
        let answer = answer.map_err(|error| trouble(&self.address(), &error));
        // After anything else the next one may find another server.
        if matches!(answer, Ok(_) | Err(Trouble::Moved)) {
            self.session = Some(session);
        }
        answer
    }

    /// Opens a session at the first server that takes writes.
    async fn connect(&self) -> Result<Session, Trouble> {
        let mut why = Vec::new();
        for link in self.links.iter() {
            match tokio::time::timeout(self.timeout, self.open(link)).await {
                Ok(Ok(session)) => return Ok(session),
                Ok(Err(said)) => why.push(said),
                Err(_) => why.push(format!("{} does not answer within {:?}", link.address(), self.timeout)),
            }
        }
        Err(Trouble::Lost(why.join("; ")))
    }

    async fn open(&self, link: &Link) -> Result<Session, String> {
        let settings = Settings::Change { statement_timeout: self.timeout };
        let session = link.open(&self.database, settings).await.map_err(|failure| failure.to_string())?;
        let standby = session.ask("SELECT pg_catalog.pg_is_in_recovery()", &[]).await;
        let standby = standby.map_err(|e| failure::classify(link.address(), &e).to_string())?;
        if standby.first().is_none_or(|row| row.try_get(0).unwrap_or(true)) {
            return Err(format!("{} is a standby, which takes no writes", link.address()));
        }
        Ok(session)
    }
}

/// SQLSTATE classes: PostgreSQL documentation, appendix A; `QD…` are of `setup.sql`.
fn trouble(address: &str, error: &tokio_postgres::Error) -> Trouble {
    match error.code().map(tokio_postgres::error::SqlState::code) {
        Some("QD006") => Trouble::Moved,
        // No such schema, table or function.
        Some("3F000" | "42P01" | "42883") => Trouble::Lost(format!(
            "{address} was set up by an earlier version, without what engines share; run what `quarterdeck audit database \
             init` prints there again"
        )),
        _ => Trouble::Lost(failure::classify(address, error).to_string()),
    }
}

/// A column that is not what it should be.
fn form(error: impl std::fmt::Display) -> Trouble {
    Trouble::Lost(format!("the database of the journal answers in another form: {error}"))
}

fn get<'r, T: tokio_postgres::types::FromSql<'r>>(row: &'r Row, at: usize) -> Result<T, Trouble> {
    row.try_get(at).map_err(form)
}

fn seconds(seconds: f64) -> Result<Duration, Trouble> {
    Duration::try_from_secs_f64(seconds).map_err(form)
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("me", &self.me).finish_non_exhaustive()
    }
}
