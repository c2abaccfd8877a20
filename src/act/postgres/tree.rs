//! `postgres.blocking_tree`: who blocks whom now, asked of the server itself.

use super::{Instances, chain, run, typed};
use crate::act::args;
use crate::act::look::{Answer, Look};
use crate::domain::facts::Facts;
use crate::domain::facts::postgres::Session;
use crate::domain::id::SourceId;
use crate::domain::ports::{BoxFuture, RenderContext, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, Target, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::observe::postgres::{failure, sessions};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// A person waits for it, so it may take longer than an observer's question.
const ALLOWED: Duration = Duration::from_secs(5);

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "postgres.blocking_tree",
    what: "shows which sessions wait for locks, and who stands at the root of each chain",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: true,
    args: &[
        ArgSpec { name: "instance", required: true, what: "source id of the PostgreSQL instance" },
        ArgSpec { name: "database", required: false, what: "only sessions of this database and those that block them" },
    ],
};

/// The verb.
#[derive(Debug)]
pub(super) struct BlockingTree {
    instances: Arc<Instances>,
}

impl BlockingTree {
    pub(super) const fn new(instances: Arc<Instances>) -> Self {
        Self { instances }
    }
}

impl Look for BlockingTree {
    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let id = SourceId::new(args::required(context, "instance")?);
        let instance = self.instances.get(&id)?;
        let database = args::optional(context, "database")?.unwrap_or_default();
        let identity = match context.world.fresh(&id, context.now) {
            Some(Facts::Postgres(facts)) => facts.system_identifier.clone(),
            _ => String::new(),
        };
        let tenants = context.estate.tenants_on(&id);
        let tenants =
            tenants.filter(|t| database.is_empty() || t.database.as_ref().is_some_and(|d| d.name == database));
        let operation = Operation::Sql {
            database: instance.config.database.clone(),
            statement: sessions::SESSIONS.to_owned(),
            parameters: vec![database.clone(), String::new()],
        };
        let of = if database.is_empty() { String::new() } else { format!(", database {database}") };
        Ok(Request {
            verb: SPEC.name.to_owned(),
            target: Target {
                source: id.clone(),
                identity,
                environment: context.estate.environment,
                object: format!("sessions of {id}{of}"),
                tenants: tenants.map(|t| t.id.clone()).collect(),
                count: 0,
            },
            by_hand: typed::by_hand(&instance.config, instance.observe.user(), &operation),
            operation,
            server_checks: vec!["read-only transaction, ended by the server after 4 s".to_owned()],
            hurts: "Nobody: it only looks.".to_owned(),
            undo: "There is nothing to take back.".to_owned(),
        })
    }

    fn ask<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let link = &self.instances.reach(&request.target.source)?.observe;
            let rows = run::look(link, request, ALLOWED).await?;
            let read = rows.iter().map(sessions::read).collect::<Result<Vec<_>, _>>();
            read.map(|sessions| answer(&sessions)).map_err(|e| failure::classify(link.address(), &e))
        })
    }
}

/// The result for expressions, and one line.
fn answer(sessions: &[Session]) -> (Value, String) {
    let chains = chain::chains(sessions);
    let by_pid: BTreeMap<i32, &Session> = sessions.iter().map(|s| (s.pid, s)).collect();
    let blocked: BTreeSet<i32> = sessions.iter().filter(|s| !s.blocked_by.is_empty()).map(|s| s.pid).collect();
    let roots: Vec<Value> = chains
        .iter()
        .map(|c| match by_pid.get(&c.root) {
            Some(s) => json!({
                "pid": s.pid, "backend_start": s.backend_start.to_string(), "database": s.database, "user": s.user,
                "application": s.application, "state": s.state, "age_s": s.transaction_s,
                "waiting": c.waiting.len(), "query": s.query,
            }),
            None => json!({ "pid": c.root, "waiting": c.waiting.len() }),
        })
        .collect();
    let behind = |c: &chain::Chain| match c.root {
        0 => format!("{} waiting behind a prepared transaction", c.waiting.len()),
        pid => format!("{} waiting behind pid {pid}", c.waiting.len()),
    };
    let summary = match (chains.as_slice(), blocked.len()) {
        ([], 0) => "no session waits for a lock".to_owned(),
        ([], n) => format!("{n} sessions wait for each other: a deadlock"),
        (chains, _) => chains.iter().map(behind).collect::<Vec<_>>().join(", "),
    };
    let tree = chain::lines(&chains, sessions);
    (json!({ "blocked": blocked.len(), "roots": roots, "tree": tree }), summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_counts_each_waiter_once_and_names_the_roots() {
        let session = |pid, blocked_by: &[i32]| Session { pid, blocked_by: blocked_by.to_vec(), ..Session::default() };
        let (result, summary) = answer(&[session(1, &[]), session(2, &[1]), session(3, &[1, 2]), session(4, &[0])]);
        assert_eq!(summary, "2 waiting behind pid 1, 1 waiting behind a prepared transaction");
        assert_eq!((&result["blocked"], &result["roots"][0]["waiting"]), (&json!(3), &json!(2)));
        assert_eq!(result["tree"].as_array().unwrap().len(), 5);
        assert_eq!(answer(&[]).1, "no session waits for a lock");
        assert_eq!(answer(&[session(1, &[2]), session(2, &[1])]).1, "2 sessions wait for each other: a deadlock");
    }
}
