//! Sending one rendered SQL operation: the right server, once, and an outcome that says what is known.

use crate::domain::ports::Outcome;
use crate::domain::request::{Operation, Request};
use crate::domain::sample::{Failure, FailureKind};
use crate::observe::postgres::failure;
use crate::observe::postgres::link::{Link, Session, Settings};
use bytes::BytesMut;
use futures::TryStreamExt as _;
use std::error::Error;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Row, Statement};

/// Who answers, and whether the login can see the sessions of others at all.
const READY: &str = "\
SELECT system_identifier::text AS identity, pg_is_in_recovery() AS in_recovery,
  pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS reads_stats
FROM pg_catalog.pg_control_system()";

/// A parameter in text form, whatever type the server infers for its place: the same as `psql` sends.
#[derive(Debug)]
struct AsText<'a>(&'a str);

impl ToSql for AsText<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// Sends the request's own operation, once, within the time allowed. Nothing is sent to another server than the
/// one named by its identity, nor to one in recovery. `done` makes the outcome of the rows.
///
/// Of the time allowed two fifths are for reaching the server and half is the server's own `statement_timeout`:
/// a statement that takes too long is ended by the server, and known to have failed, before this side gives up.
pub async fn change(
    link: &Link,
    request: &Request,
    allowed: Duration,
    done: impl FnOnce(&[Row]) -> Outcome,
) -> Outcome {
    change_on(Server::Primary, link, request, allowed, done).await
}

/// The same on a server of the given kind.
pub async fn change_on(
    server: Server,
    link: &Link,
    request: &Request,
    allowed: Duration,
    done: impl FnOnce(&[Row]) -> Outcome,
) -> Outcome {
    let started = Instant::now();
    let address = link.address();
    let (to_reach, to_run) = (allowed.mul_f64(0.4), allowed.mul_f64(0.5));
    let ready = prepare(link, request, Settings::Change { statement_timeout: to_run }, server);
    let (session, statement, parameters) = match timeout_at(started + to_reach, ready).await {
        Ok(Ok(ready)) => ready,
        Ok(Err(why)) => return Outcome::Failed { why },
        Err(_) => return Outcome::Failed { why: late(address, to_reach, "nothing was sent") },
    };
    let deadline = started + allowed;
    match timeout_at(deadline, rows(&session, &statement, &parameters)).await {
        Ok(Ok(rows)) => {
            session.close().await;
            done(&rows)
        }
        Ok(Err(error)) if failure::is_refusal(&error) => Outcome::Failed { why: failure::classify(address, &error) },
        Ok(Err(error)) => Outcome::Unknown { why: failure::classify(address, &error) },
        Err(_) => Outcome::Unknown { why: late(address, allowed, "it may have taken effect") },
    }
}

/// Runs the request's own operation where it only looks, on any server, in a read-only transaction.
pub async fn look(link: &Link, request: &Request, allowed: Duration) -> Result<Vec<Row>, Failure> {
    let settings = Settings::Look { statement_timeout: allowed.mul_f64(0.8) };
    let asking = async {
        let (session, statement, parameters) = prepare(link, request, settings, Server::Any).await?;
        let rows = rows(&session, &statement, &parameters).await;
        session.close().await;
        rows.map_err(|e| failure::classify(link.address(), &e))
    };
    let answer = tokio::time::timeout(allowed, asking).await;
    answer.unwrap_or_else(|_| Err(late(link.address(), allowed, "nothing was changed")))
}

/// Asks something else with the parameters of the request, of the server that the request names.
pub async fn ask(link: &Link, request: &Request, statement: &str, allowed: Duration) -> Result<Vec<Row>, Failure> {
    let Operation::Sql { database, parameters, .. } = &request.operation else { return Err(not_sql(request)) };
    let asked =
        Operation::Sql { database: database.clone(), statement: statement.to_owned(), parameters: parameters.clone() };
    look(link, &Request { operation: asked, ..request.clone() }, allowed).await
}

/// The same with parameters of its own.
pub async fn ask_with(
    link: &Link,
    request: &Request,
    (statement, parameters): (String, Vec<String>),
    allowed: Duration,
) -> Result<Vec<Row>, Failure> {
    let Operation::Sql { database, .. } = &request.operation else { return Err(not_sql(request)) };
    let asked = Operation::Sql { database: database.clone(), statement, parameters };
    look(link, &Request { operation: asked, ..request.clone() }, allowed).await
}

/// Reads from a server whichever it is, in a read-only transaction: before there is a request.
pub async fn read(
    link: &Link,
    database: &str,
    statement: &str,
    parameters: &[String],
    allowed: Duration,
) -> Result<Vec<Row>, Failure> {
    let said = |e: &tokio_postgres::Error| failure::classify(link.address(), e);
    let asking = async {
        let session = link.open(database, Settings::Look { statement_timeout: allowed.mul_f64(0.8) }).await?;
        let statement = session.client().prepare(statement).await.map_err(|e| said(&e))?;
        let parameters: Vec<AsText<'_>> = parameters.iter().map(|p| AsText(p)).collect();
        let rows = rows(&session, &statement, &parameters).await;
        session.close().await;
        rows.map_err(|e| said(&e))
    };
    let answer = tokio::time::timeout(allowed, asking).await;
    answer.unwrap_or_else(|_| Err(late(link.address(), allowed, "nothing was changed")))
}

/// Which server a statement may run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// One that takes writes.
    Primary,
    /// One in recovery.
    Replica,
    /// Any of this identity.
    Any,
}

/// Opens a session with the right server and has the statement parsed; the statement has not run.
async fn prepare<'a>(
    link: &Link,
    request: &'a Request,
    settings: Settings,
    server: Server,
) -> Result<(Session, Statement, Vec<AsText<'a>>), Failure> {
    let Operation::Sql { database, statement, parameters } = &request.operation else { return Err(not_sql(request)) };
    let address = link.address();
    let session = link.open(database, settings).await?;
    if server != Server::Any || !request.target.identity.is_empty() {
        is_target(link, &session, request, server).await?;
    }
    let statement = session.client().prepare(statement).await.map_err(|e| failure::classify(address, &e))?;
    if statement.params().len() != parameters.len() {
        let (asked, given) = (statement.params().len(), parameters.len());
        let message = format!("{}: the statement has {asked} parameters, {given} are given", request.verb);
        return Err(Failure::new(FailureKind::Local, message));
    }
    Ok((session, statement, parameters.iter().map(|p| AsText(p)).collect()))
}

async fn is_target(link: &Link, session: &Session, request: &Request, server: Server) -> Result<(), Failure> {
    let address = link.address();
    let rows = session.ask(READY, &[]).await.map_err(|e| {
        let mut failure = failure::classify(address, &e);
        if failure.kind == FailureKind::Permission {
            let grant = format!("; GRANT EXECUTE ON FUNCTION pg_control_system() TO {}", link.user());
            failure = Failure::new(failure.kind, failure.message + &grant);
        }
        failure
    })?;
    let read = |row: &Row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
    let row = rows.first().map(read).transpose().map_err(|e: tokio_postgres::Error| failure::classify(address, &e))?;
    let Some((identity, in_recovery, reads_stats)): Option<(String, bool, bool)> = row else {
        return Err(Failure::new(FailureKind::Protocol, format!("{address}: pg_control_system() is empty")));
    };
    let target = &request.target;
    if identity != target.identity {
        let message = format!(
            "{address} is another server now (system_identifier {identity}, the request is for {}): nothing was done",
            target.identity
        );
        return Err(Failure::new(FailureKind::Local, message));
    }
    if server == Server::Primary && in_recovery {
        let message = format!("{address} is in recovery, no longer the primary: nothing was done");
        return Err(Failure::new(FailureKind::Local, message));
    }
    if server == Server::Replica && !in_recovery {
        let message = format!("{address} is not in recovery: it is a primary already, nothing was done");
        return Err(Failure::new(FailureKind::Local, message));
    }
    if !reads_stats && request.verb.starts_with("postgres.") {
        let message = format!("{address}: sessions of others are not visible; GRANT pg_monitor TO {}", link.user());
        return Err(Failure::new(FailureKind::Permission, message));
    }
    Ok(())
}

async fn rows(
    session: &Session,
    statement: &Statement,
    parameters: &[AsText<'_>],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    session
        .client()
        .query_raw(statement, parameters.iter().map(|p| p as &(dyn ToSql + Sync)))
        .await?
        .try_collect()
        .await
}

fn late(address: &str, allowed: Duration, effect: &str) -> Failure {
    let message = format!("no answer from {address} within {} s; {effect}", allowed.as_secs_f64());
    Failure::new(FailureKind::Timeout, message)
}

fn not_sql(request: &Request) -> Failure {
    Failure::new(FailureKind::Local, format!("{}: the request is not an SQL statement", request.verb))
}

/// A row that can not be read as what the statement asked for: after a change that is not known to have failed.
pub fn unreadable(request: &Request, error: &tokio_postgres::Error) -> Failure {
    Failure::new(FailureKind::Protocol, format!("{}: {error}", request.verb))
}
