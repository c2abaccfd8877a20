//! `postgres.blocking_tree`, `postgres.cancel_backend` and `postgres.terminate_backend` on the simulated instances.

use super::super::arguments::{gone, optional, parameter, required};
use super::super::{Action, specs};
use crate::correlate::{locks, say};
use crate::domain::facts::Facts;
use crate::domain::facts::postgres::{PostgresFacts, Session};
use crate::domain::id::SourceId;
use crate::domain::pane::LockNode;
use crate::domain::ports::{Outcome, Reconciled, RenderContext, VerbError};
use crate::domain::request::{Operation, Request, Target};
use crate::domain::sample::{Failure, FailureKind};
use crate::drill::look::backend_start;
use crate::drill::model::Simulation;
use crate::drill::model::locks::Kind;
use jiff::Timestamp;
use serde_json::{Value, json};

const TREE: &str = "\
SELECT pid, backend_start, datname, usename, application_name, state, xact_start, query_start,
  pg_catalog.pg_blocking_pids(pid) AS blocked_by, left(query, 400) AS query
FROM pg_catalog.pg_stat_activity
WHERE backend_type = 'client backend' AND ($1 = '' OR datname = $1)";

/// The primary that an argument names.
fn instance<'a>(context: &RenderContext<'_>, sim: &'a Simulation) -> Result<(SourceId, &'a str), VerbError> {
    let id = SourceId::new(required(context, "instance")?);
    let found = sim.instances.get(&id).map(|i| i.system_identifier.as_str());
    found.map(|system| (id.clone(), system)).ok_or_else(|| VerbError::new(format!("there is no primary {id}")))
}

fn by_hand(source: &SourceId, operation: &Operation) -> String {
    let Operation::Sql { database, statement, parameters } = operation else { return String::new() };
    let mut sql = statement.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    for (i, value) in parameters.iter().enumerate().rev() {
        sql = sql.replace(&format!("${}", i + 1), &format!("'{}'", value.replace('\'', "''")));
    }
    format!("psql -h {source}.db.example -d {database} -c \"{}\"", sql.replace('"', "\\\""))
}

fn facts(sim: &Simulation, source: &SourceId) -> Result<PostgresFacts, Failure> {
    match sim.look(source)? {
        Facts::Postgres(facts) => Ok(facts),
        _ => Err(Failure::new(FailureKind::Protocol, format!("{source} is no PostgreSQL"))),
    }
}

/// Shows the tree.
pub(in crate::drill::verbs) struct BlockingTree;

impl BlockingTree {
    fn ask(request: &Request, sim: &Simulation) -> Result<(Value, String), Failure> {
        let database = parameter(request, 1)?;
        let facts = facts(sim, &request.target.source)?;
        let of = |s: &&Session| database.is_empty() || s.database == database;
        let sessions: Vec<Session> = facts.sessions.iter().filter(of).cloned().collect();
        Ok(answer(&sessions))
    }
}

/// The result for expressions, and one line.
fn answer(sessions: &[Session]) -> (Value, String) {
    let tree = locks::tree(sessions);
    let blocked = sessions.iter().filter(|s| !s.blocked_by.is_empty()).count();
    let roots: Vec<&LockNode> = tree.iter().filter(|n| n.depth == 0).collect();
    let rows: Vec<Value> = roots
        .iter()
        .map(|n| {
            json!({
                "pid": n.pid, "backend_start": n.backend_start.to_string(), "database": n.database, "user": n.user,
                "application": n.application, "state": n.state, "age_s": n.age_s,
                "waiting": n.waiting_behind, "query": n.query,
            })
        })
        .collect();
    let behind = |n: &&LockNode| format!("{} waiting behind pid {}", n.waiting_behind, n.pid);
    let summary = if roots.is_empty() {
        "no session waits for a lock".to_owned()
    } else {
        roots.iter().map(behind).collect::<Vec<_>>().join(", ")
    };
    (json!({ "blocked": blocked, "roots": rows, "tree": lines(&tree) }), summary)
}

/// The tree for reading: roots with all they say, of the others the ten that wait longest.
fn lines(tree: &[LockNode]) -> Vec<String> {
    let line = |n: &LockNode| {
        let indent = "  ".repeat(usize::from(n.depth));
        let age = n.age_s.map_or_else(String::new, |s| format!(" {}", say::span(s)));
        let state = if n.depth == 0 { format!(" {}", n.state) } else { " waits".into() };
        format!("{indent}{} {} {}{state}{age}: {}", n.pid, n.user, n.application, say::cut(&n.query, 80))
    };
    let most = 11;
    let mut lines: Vec<String> = tree.iter().take(most).map(line).collect();
    if tree.len() > most {
        lines.push(format!("  … and {} more", tree.len() - most));
    }
    lines
}

impl Action for BlockingTree {
    fn name(&self) -> &'static str {
        specs::BLOCKING_TREE.name
    }

    fn render(&self, context: &RenderContext<'_>, sim: &Simulation) -> Result<Request, VerbError> {
        let (source, system) = instance(context, sim)?;
        let database = optional(context, "database")?.unwrap_or_default();
        let tenants = context.estate.tenants_on(&source);
        let tenants =
            tenants.filter(|t| database.is_empty() || t.database.as_ref().is_some_and(|d| d.name == database));
        let of = if database.is_empty() { String::new() } else { format!(", database {database}") };
        let operation =
            Operation::Sql { database: "postgres".into(), statement: TREE.into(), parameters: vec![database.clone()] };
        Ok(Request {
            verb: specs::BLOCKING_TREE.name.into(),
            target: Target {
                object: format!("sessions of {source}{of}"),
                identity: system.into(),
                environment: context.estate.environment,
                tenants: tenants.map(|t| t.id.clone()).collect(),
                count: 0,
                source: source.clone(),
            },
            by_hand: by_hand(&source, &operation),
            operation,
            server_checks: vec!["read-only transaction, ended by the server after 4 s".into()],
            hurts: "Nobody: it only looks.".into(),
            undo: "There is nothing to take back.".into(),
        })
    }

    fn dry_run(&self, request: &Request, sim: &Simulation) -> Result<String, Failure> {
        Self::ask(request, sim).map(|(_, summary)| summary)
    }

    fn run(&self, request: &Request, sim: &mut Simulation) -> Outcome {
        match Self::ask(request, sim) {
            Ok((result, summary)) => Outcome::Done { result, summary },
            Err(why) => Outcome::Failed { why },
        }
    }

    fn reconcile(&self, _: &Request, _: &Simulation) -> Reconciled {
        Reconciled::NoEffect { seen: "a look changes nothing".into() }
    }
}

/// Cancels or terminates.
pub(in crate::drill::verbs) struct Signal {
    pub terminates: bool,
}

/// A backend as a request names it.
struct Backend<'a> {
    pid: i32,
    start: Timestamp,
    database: &'a str,
}

impl<'a> Backend<'a> {
    fn of(request: &'a Request) -> Result<Self, Failure> {
        let bad = || Failure::new(FailureKind::Local, "the request names no backend");
        let pid = parameter(request, 1)?.parse().map_err(|_| bad())?;
        let start = parameter(request, 2)?.parse().map_err(|_| bad())?;
        Ok(Self { pid, start, database: parameter(request, 3)? })
    }

    fn find(&self, request: &Request, sim: &Simulation) -> Result<Option<Session>, Failure> {
        let same = |s: &Session| s.pid == self.pid && s.backend_start == self.start && s.database == self.database;
        Ok(facts(sim, &request.target.source)?.sessions.into_iter().find(same))
    }
}

/// What a signal did.
enum Hit {
    /// The session is the root.
    Root,
    /// The session waited.
    Waiter(Kind),
}

impl Signal {
    fn act(&self, backend: &Backend<'_>, source: &SourceId, sim: &mut Simulation) {
        let tick = sim.elapsed_s();
        // The waiting sessions by the moment that they show, which the tick alone does not give.
        let starts: Vec<(i32, i64, Timestamp)> = sim
            .tenants
            .iter()
            .filter(|t| t.instance == *source)
            .flat_map(|t| t.lock.iter().flat_map(|l| &l.waiters))
            .map(|w| (w.pid, w.backend_start, backend_start(sim, w.pid, w.backend_start)))
            .collect();
        let Some(tenant) = sim.tenant_of_database(source, backend.database) else { return };
        let Some(lock) = &mut tenant.lock else { return };
        let hit = if lock.pid == backend.pid {
            Some(Hit::Root)
        } else {
            let found = starts.iter().find(|(pid, _, at)| *pid == backend.pid && *at == backend.start);
            found.and_then(|(pid, tick, _)| lock.remove(*pid, *tick)).map(Hit::Waiter)
        };
        match hit {
            // An idle session has no query to cancel; its transaction and its locks stay.
            Some(Hit::Root) if self.terminates || !lock.idle => lock.terminate(tick),
            // A job whose session ends is started and will not be heard of again.
            Some(Hit::Waiter(Kind::Job)) => tenant.jobs.lose_started(tick, 1),
            _ => {}
        }
    }

    fn hurts(&self, session: &Session, waiting: u32) -> String {
        let age =
            session.transaction_s.map_or_else(String::new, |s| format!(" with {} of open transaction", say::span(s)));
        let effect = match (self.terminates, session.state.as_str()) {
            (true, _) => "loses its connection and all work of that transaction",
            (false, "active") => "gets an error for its running query and loses the work of that transaction",
            (false, _) => "is not touched: it runs no query that could be cancelled, and its locks stay",
        };
        let who = format!("{} ({})", session.user, session.application);
        format!("{who}{age} {effect}; {waiting} sessions wait behind it; its query: {}", session.query)
    }
}

impl Action for Signal {
    fn name(&self) -> &'static str {
        if self.terminates { specs::TERMINATE.name } else { specs::CANCEL.name }
    }

    fn render(&self, context: &RenderContext<'_>, sim: &Simulation) -> Result<Request, VerbError> {
        let (source, system) = instance(context, sim)?;
        let Some(Facts::Postgres(seen)) = context.world.fresh(&source, context.now) else {
            return Err(VerbError::new(format!("{source} is not observed now: nothing is known of its sessions")));
        };
        let session = pick(context, seen)?;
        let tree = locks::tree(&seen.sessions);
        let waiting = tree.iter().find(|n| n.pid == session.pid).map_or(0, |n| n.waiting_behind);
        let function = if self.terminates { "pg_terminate_backend" } else { "pg_cancel_backend" };
        let (pid, start, database) = (session.pid, session.backend_start, &session.database);
        let operation = Operation::Sql {
            database: "postgres".into(),
            statement: format!(
                "SELECT pg_catalog.{function}(pid) AS signalled, state\nFROM pg_catalog.pg_stat_activity\n\
                 WHERE pid = $1 AND backend_start = $2::timestamptz AND datname = $3"
            ),
            parameters: vec![pid.to_string(), start.to_string(), database.clone()],
        };
        let undo = if self.terminates {
            "Can not be taken back: the lost work has to be done again by whoever did it; Odoo connects again by itself."
        } else {
            "Can not be taken back: the query has to be run again by whoever ran it."
        };
        Ok(Request {
            verb: self.name().into(),
            target: Target {
                identity: system.into(),
                environment: context.estate.environment,
                object: format!("backend {pid} of database {database}, started {}", start.strftime("%F %T%.3fZ")),
                tenants: context
                    .estate
                    .tenant_of_database(&source, database)
                    .map(|t| t.id.clone())
                    .into_iter()
                    .collect(),
                count: 1,
                source: source.clone(),
            },
            by_hand: by_hand(&source, &operation),
            operation,
            server_checks: vec![
                format!("only if pid {pid} is still the backend that started at {start}, in database {database}"),
                format!("only on the server with system_identifier {system}, and not in recovery"),
            ],
            hurts: self.hurts(session, waiting),
            undo: undo.into(),
        })
    }

    fn dry_run(&self, request: &Request, sim: &Simulation) -> Result<String, Failure> {
        let object = &request.target.object;
        let session = Backend::of(request)?.find(request, sim)?.ok_or_else(|| gone(object))?;
        Ok(format!("would signal {object}: {} ({}), {}", session.user, session.application, session.state))
    }

    fn run(&self, request: &Request, sim: &mut Simulation) -> Outcome {
        let object = &request.target.object;
        let found = Backend::of(request).and_then(|b| b.find(request, sim).map(|s| (b, s)));
        let (backend, session) = match found {
            Ok((backend, Some(session))) => (backend, session),
            Ok((_, None)) => return Outcome::Failed { why: gone(object) },
            Err(why) => return Outcome::Failed { why },
        };
        self.act(&backend, &request.target.source, sim);
        let summary = match (self.terminates, session.state.as_str()) {
            (true, _) => format!("told {object} to end"),
            (false, "active") => format!("told {object} to cancel its query"),
            (false, state) => format!("{object} was told to cancel, but it was {state}: it had no query to cancel"),
        };
        Outcome::Done { result: json!({ "signalled": true, "state": session.state }), summary }
    }

    fn reconcile(&self, request: &Request, sim: &Simulation) -> Reconciled {
        let object = &request.target.object;
        match Backend::of(request).and_then(|b| b.find(request, sim)) {
            Ok(None) => Reconciled::TookEffect { seen: format!("{object} is gone") },
            Ok(Some(session)) => Reconciled::NoEffect { seen: format!("{object} is still there: {}", session.state) },
            Err(why) => Reconciled::Undecided { why: why.message },
        }
    }
}

/// The session that the arguments name.
fn pick<'a>(context: &RenderContext<'_>, facts: &'a PostgresFacts) -> Result<&'a Session, VerbError> {
    let given = |name| optional(context, name);
    match (given("pid")?, given("backend_start")?, given("root_of")?) {
        (Some(pid), Some(start), None) => {
            let at: Option<Timestamp> = start.parse().ok();
            let found = facts.sessions.iter().find(|s| s.pid.to_string() == pid && Some(s.backend_start) == at);
            found.ok_or_else(|| {
                let why =
                    "is not among the sessions that wait, block or have a long transaction now: it may have ended";
                VerbError::new(format!("backend {pid} started {start} {why}"))
            })
        }
        (None, None, Some(database)) => {
            let root = locks::tree(&facts.sessions).into_iter().find(|n| n.depth == 0 && n.database == database);
            let found = root.and_then(|root| facts.sessions.iter().find(|s| s.pid == root.pid));
            found.ok_or_else(|| VerbError::new(format!("nothing in database {database} waits for a lock now")))
        }
        _ => Err(VerbError::new("give either pid and backend_start, or root_of")),
    }
}
