//! `postgres.cancel_backend` and `postgres.terminate_backend`. A backend is named by pid *and* `backend_start`,
//! and the server itself checks both: a session that later got the same pid can not be hit.

use super::{Instances, after, chain, primary, run, typed};
use crate::act::args::{self, span};
use crate::domain::behalf::Behalf;
use crate::domain::facts::PostgresFacts;
use crate::domain::facts::postgres::Session;
use crate::domain::id::SourceId;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Verb, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, Target, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::policy::authorized::Authorized;
use jiff::Timestamp;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Row;

/// For dry runs and for looking after an unknown outcome.
const ALLOWED: Duration = Duration::from_secs(5);

static ARGS: &[ArgSpec] = &[
    ArgSpec { name: "instance", required: true, what: "source id of the PostgreSQL instance" },
    ArgSpec { name: "pid", required: false, what: "process id of the backend, with backend_start" },
    ArgSpec { name: "backend_start", required: false, what: "when the backend started, RFC 3339 with microseconds" },
    ArgSpec {
        name: "root_of",
        required: false,
        what: "database name, instead of pid and backend_start: the root blocker with most sessions waiting behind it",
    },
];

/// What cancelling declares.
pub static CANCEL: VerbSpec = VerbSpec {
    name: "postgres.cancel_backend",
    what: "cancels the running query of one session",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::No,
    idempotent: false,
    read_only: false,
    args: ARGS,
};

/// What terminating declares.
pub static TERMINATE: VerbSpec = VerbSpec {
    name: "postgres.terminate_backend",
    what: "ends one session; its open transaction is rolled back",
    risk_floor: Risk::High,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::No,
    idempotent: true,
    read_only: false,
    args: ARGS,
};

/// The same rows that the statement would act on, and whether the login may signal them: members of the owner's
/// role or of `pg_signal_backend`, superusers' sessions only by superusers (`pg_signal_backend()` in the source).
const TARGET: &str = "\
SELECT a.state, coalesce(a.usename::text, '') AS usename, coalesce(a.application_name, '') AS application,
  extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS transaction_s,
  coalesce(me.rolsuper OR (NOT r.rolsuper
    AND (pg_has_role(r.oid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE'))), false) AS may
FROM pg_catalog.pg_stat_activity a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
  LEFT JOIN pg_catalog.pg_roles me ON me.rolname = current_user
WHERE a.pid = $1 AND a.backend_start = $2::timestamptz AND a.datname = $3";

/// One of the two verbs.
#[derive(Debug)]
pub(super) struct Signal {
    spec: &'static VerbSpec,
    function: &'static str,
    instances: Arc<Instances>,
}

impl Signal {
    pub(super) const fn cancel(instances: Arc<Instances>) -> Self {
        Self { spec: &CANCEL, function: "pg_cancel_backend", instances }
    }

    pub(super) const fn terminate(instances: Arc<Instances>) -> Self {
        Self { spec: &TERMINATE, function: "pg_terminate_backend", instances }
    }

    fn terminates(&self) -> bool {
        std::ptr::eq(self.spec, &raw const TERMINATE)
    }

    /// Whom it hurts, from what is observed.
    fn hurts(&self, session: &Session, waiting: usize) -> String {
        let who = chain::who(session);
        let age = session
            .transaction_s
            .map_or_else(|| "no open transaction".to_owned(), |t| format!("an open transaction of {}", span(t)));
        let behind = match waiting {
            0 => "nobody waits behind it".to_owned(),
            1 => "1 session waits behind it".to_owned(),
            n => format!("{n} sessions wait behind it"),
        };
        let effect = match (self.terminates(), session.state.as_str()) {
            (true, _) => "loses its connection and all work of that transaction",
            (false, "active" | "") => "gets an error for its running query and loses the work of that transaction",
            (false, _) => "is not touched: it runs no query that could be cancelled, and its locks stay",
        };
        let query = if session.query.is_empty() { String::new() } else { format!("; its query: {}", session.query) };
        format!("{who} with {age} {effect}; {behind}{query}")
    }

    fn undo(&self) -> &'static str {
        if self.terminates() {
            "Can not be taken back: the lost work has to be done again by whoever did it; Odoo connects again by itself."
        } else {
            "Can not be taken back: the query has to be run again by whoever ran it."
        }
    }

    fn done(&self, request: &Request, rows: &[Row]) -> Outcome {
        let object = &request.target.object;
        let Some(row) = rows.first() else {
            let message = format!("that session is gone: {object} is not there any more, nothing was done");
            return Outcome::Failed { why: Failure::new(FailureKind::Local, message) };
        };
        let read = row.try_get::<_, bool>("signalled").and_then(|s| Ok((s, row.try_get::<_, Option<&str>>("state")?)));
        let (signalled, state) = match read {
            Ok((signalled, state)) => (signalled, sanitize(state.unwrap_or_default())),
            Err(e) => return Outcome::Unknown { why: run::unreadable(request, &e) },
        };
        if !signalled {
            let message = format!("the server could not signal {object}: its process has just ended");
            return Outcome::Failed { why: Failure::new(FailureKind::Local, message) };
        }
        let summary = match (self.terminates(), state.as_str()) {
            (true, _) => format!("told {object} to end"),
            (false, "active") => format!("told {object} to cancel its query"),
            (false, state) => format!("{object} was told to cancel, but it was {state}: it had no query to cancel"),
        };
        Outcome::Done { result: json!({ "signalled": true, "state": state }), summary }
    }

    async fn target(&self, request: &Request) -> Result<Option<Found>, Failure> {
        let link = self.instances.reach(&request.target.source)?.act()?;
        let rows = run::ask(link, request, TARGET, ALLOWED).await?;
        rows.first().map(Found::read).transpose().map_err(|e| run::unreadable(request, &e))
    }
}

impl Verb for Signal {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        self.spec
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let id = SourceId::new(args::required(context, "instance")?);
        let instance = self.instances.get(&id)?;
        let user = instance.actor()?;
        let facts = primary(context, &id)?;
        let session = pick(context, &id, facts)?;
        if session.backend_start == Timestamp::UNIX_EPOCH {
            let message =
                format!("when backend {} started may not be seen, so it can not be named safely", session.pid);
            return Err(VerbError::new(message));
        }
        let chains = chain::chains(&facts.sessions);
        let waiting = chains.iter().find(|c| c.root == session.pid).map_or(0, |c| c.waiting.len());
        let statement = format!(
            "SELECT {}(pid) AS signalled, state\nFROM pg_catalog.pg_stat_activity\n\
             WHERE pid = $1 AND backend_start = $2::timestamptz AND datname = $3",
            self.function
        );
        let (pid, start, database) = (session.pid, session.backend_start, &session.database);
        let operation = Operation::Sql {
            database: instance.config.database.clone(),
            statement,
            parameters: vec![pid.to_string(), start.to_string(), database.clone()],
        };
        Ok(Request {
            verb: self.spec.name.to_owned(),
            target: Target {
                source: id.clone(),
                identity: facts.system_identifier.clone(),
                environment: context.estate.environment,
                object: format!("backend {pid} of database {database}, started {}", start.strftime("%F %T%.3fZ")),
                tenants: context.estate.tenant_of_database(&id, database).map(|t| t.id.clone()).into_iter().collect(),
                count: 1,
            },
            by_hand: typed::by_hand(&instance.config, user, &operation),
            operation,
            server_checks: vec![
                format!("only if pid {pid} is still the backend that started at {start}, in database {database}"),
                format!("only on the server with system_identifier {}, and not in recovery", facts.system_identifier),
            ],
            hurts: self.hurts(session, waiting),
            undo: self.undo().to_owned(),
        })
    }

    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let object = &request.target.object;
            let Some(found) = self.target(request).await? else {
                return Err(Failure::new(FailureKind::Local, format!("that session is gone: {object}")));
            };
            if !found.may {
                let user = self.instances.reach(&request.target.source)?.act()?.user();
                let message = format!(
                    "{user} may not signal {object}, a session of {}: GRANT pg_signal_backend TO {user} (a superuser's \
                     session only by a superuser)",
                    found.user
                );
                return Err(Failure::new(FailureKind::Permission, message));
            }
            Ok(format!("would signal {object}: {}", found.describe()))
        })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let request = permit.request();
            match self.instances.reach(&request.target.source).and_then(super::Instance::act) {
                Ok(link) => run::change(link, request, permit.timeout(), |rows| self.done(request, rows)).await,
                Err(why) => Outcome::Failed { why },
            }
        })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(async move {
            let object = &request.target.object;
            let look = || async {
                match self.target(request).await {
                    Ok(None) => Reconciled::TookEffect { seen: format!("{object} is gone") },
                    Ok(Some(found)) => {
                        let seen = format!("{object} is still there: {}", found.describe());
                        // A session without a query and without an open transaction waits for its client: what it
                        // ran has ended, by the cancel or by itself.
                        let over = matches!(found.state.as_str(), "idle" | "idle in transaction (aborted)");
                        if over && !self.terminates() {
                            Reconciled::TookEffect { seen }
                        } else {
                            Reconciled::NoEffect { seen }
                        }
                    }
                    Err(why) => Reconciled::Undecided { why: why.message },
                }
            };
            let instance = self.instances.reach(&request.target.source);
            after::look(instance.and_then(super::Instance::act), request, look).await
        })
    }
}

/// The session that the arguments name.
fn pick<'a>(context: &RenderContext<'_>, id: &SourceId, facts: &'a PostgresFacts) -> Result<&'a Session, VerbError> {
    let given = |name| args::optional(context, name);
    match (given("pid")?, given("backend_start")?, given("root_of")?) {
        (Some(pid), Some(start), None) => {
            let wrong = |name, value: &str| VerbError::new(format!("the argument {name} is {value:?}, which is none"));
            let number: i32 = pid.parse().map_err(|_| wrong("pid", &pid))?;
            let at: Timestamp = start.parse().map_err(|_| wrong("backend_start", &start))?;
            let found = facts.sessions.iter().find(|s| s.pid == number && s.backend_start == at);
            found.ok_or_else(|| {
                let message = "is not among the sessions that wait, block or have a long transaction now";
                VerbError::new(format!("backend {pid} started {start} of {id} {message}: it may have ended"))
            })
        }
        (None, None, Some(database)) => root_of(&database, &facts.sessions),
        _ => Err(VerbError::new("give either pid and backend_start, or root_of")),
    }
}

/// The root blocker of a database with most sessions waiting behind it.
fn root_of<'a>(database: &str, sessions: &'a [Session]) -> Result<&'a Session, VerbError> {
    let by_pid = |pid: i32| sessions.iter().find(|s| s.pid == pid);
    let concerns = |c: &&chain::Chain| {
        c.waiting.keys().chain([&c.root]).any(|pid| by_pid(*pid).is_some_and(|s| s.database == database))
    };
    let chains = chain::chains(sessions);
    let Some(worst) = chains.iter().find(concerns) else {
        return Err(VerbError::new(format!("nothing in database {database} waits for a lock now")));
    };
    by_pid(worst.root).ok_or_else(|| {
        VerbError::new(match worst.root {
            0 => format!(
                "a prepared transaction holds the lock in database {database}, no session does: find it in \
                 pg_prepared_xacts and end it with ROLLBACK PREPARED or COMMIT PREPARED"
            ),
            pid => format!("backend {pid} holds the lock in database {database}, but it is not visible"),
        })
    })
}

/// The target as the server shows it.
struct Found {
    state: String,
    user: String,
    application: String,
    transaction_s: Option<f64>,
    may: bool,
}

impl Found {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            state: sanitize(row.try_get::<_, Option<&str>>("state")?.unwrap_or("state not visible")),
            user: sanitize(row.try_get("usename")?),
            application: sanitize(row.try_get("application")?),
            transaction_s: row.try_get("transaction_s")?,
            may: row.try_get("may")?,
        })
    }

    fn describe(&self) -> String {
        let age = self.transaction_s.map_or_else(String::new, |t| format!(", transaction open for {}", span(t)));
        let application = if self.application.is_empty() { String::new() } else { format!(" ({})", self.application) };
        format!("{}{application}, {}{age}", self.user, self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(pid: i32, database: &str, blocked_by: &[i32]) -> Session {
        Session { pid, database: database.into(), blocked_by: blocked_by.to_vec(), ..Session::default() }
    }

    #[test]
    fn the_root_of_a_database_is_the_one_with_most_behind_it() {
        let sessions = [
            session(1, "t017", &[]),
            session(2, "t017", &[1]),
            session(3, "t017", &[]),
            session(4, "t017", &[3]),
            session(5, "t017", &[4, 3]),
            session(6, "t003", &[]),
            session(7, "t003", &[6]),
        ];
        assert_eq!(root_of("t017", &sessions).unwrap().pid, 3);
        assert_eq!(root_of("t003", &sessions).unwrap().pid, 6);
        let none = root_of("t090", &sessions).unwrap_err();
        assert_eq!(none.message, "nothing in database t090 waits for a lock now");
    }

    #[test]
    fn a_root_that_no_session_is_can_not_be_picked() {
        let prepared = root_of("t017", &[session(2, "t017", &[0])]).unwrap_err().message;
        assert!(prepared.contains("pg_prepared_xacts"), "{prepared}");
        let unseen = root_of("t017", &[session(2, "t017", &[77])]).unwrap_err().message;
        assert!(unseen.contains("backend 77") && unseen.contains("not visible"), "{unseen}");
    }
}
