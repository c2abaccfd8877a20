//! `postgres.replication`: standbys, slots and the timeline, asked of the server itself.

use super::{Instances, run, typed};
use crate::act::args;
use crate::act::look::{Answer, Look};
use crate::domain::facts::Facts;
use crate::domain::id::SourceId;
use crate::domain::ports::{BoxFuture, RenderContext, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, Target, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::text::sanitize;
use crate::observe::postgres::failure;
use serde_json::Value;
use std::sync::Arc;

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "postgres.replication",
    what: "shows standbys, slots and what they hold back",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: true,
    args: &[ArgSpec { name: "instance", required: true, what: "source id of the PostgreSQL instance" }],
};

const STATEMENT: &str = "\
WITH here AS (
  SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
    ELSE pg_catalog.pg_current_wal_lsn() END AS lsn
)
SELECT json_build_object('in_recovery', pg_catalog.pg_is_in_recovery(), 'lsn', here.lsn::text,
  'standbys', coalesce((SELECT json_agg(json_build_object('name', r.application_name, 'state', r.state,
      'sync_state', r.sync_state, 'replay_lag_s', extract(epoch FROM r.replay_lag)::float8,
      'lag_bytes', pg_catalog.pg_wal_lsn_diff(here.lsn, r.replay_lsn)::bigint) ORDER BY r.application_name)
    FROM pg_catalog.pg_stat_replication r), '[]'),
  'slots', coalesce((SELECT json_agg(json_build_object('name', s.slot_name, 'type', s.slot_type, 'active', s.active,
      'wal_status', s.wal_status,
      'held_bytes', pg_catalog.pg_wal_lsn_diff(here.lsn, s.restart_lsn)::bigint) ORDER BY s.slot_name)
    FROM pg_catalog.pg_replication_slots s), '[]')) AS found
FROM here";

/// The verb.
pub(super) struct Replication(pub(super) Arc<Instances>);

fn lines(found: &Value) -> String {
    let list = |name: &str| found.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |v: &Value, name: &str| v.get(name).and_then(Value::as_str).map(sanitize).unwrap_or_default();
    let standbys: Vec<String> = list("standbys")
        .iter()
        .map(|s| {
            let lag = s
                .get("lag_bytes")
                .and_then(Value::as_i64)
                .map_or("an unknown lag".to_owned(), |b| format!("{b} bytes behind"));
            format!("{} {}, {lag}", text(s, "name"), text(s, "state"))
        })
        .collect();
    let idle: Vec<String> = list("slots")
        .iter()
        .filter(|s| s.get("active").and_then(Value::as_bool) == Some(false))
        .map(|s| {
            let held = s.get("held_bytes").and_then(Value::as_i64).unwrap_or_default();
            format!("slot {} is not used and holds {held} bytes of WAL", text(s, "name"))
        })
        .collect();
    let standbys = if standbys.is_empty() { vec!["no standby is connected".to_owned()] } else { standbys };
    standbys.into_iter().chain(idle).collect::<Vec<_>>().join("; ")
}

impl Look for Replication {
    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let id = SourceId::new(args::required(context, "instance")?);
        let instance = self.0.get(&id)?;
        let identity = match context.world.fresh(&id, context.now) {
            Some(Facts::Postgres(facts)) => facts.system_identifier.clone(),
            _ => String::new(),
        };
        let operation = Operation::Sql {
            database: instance.config.database.clone(),
            statement: STATEMENT.to_owned(),
            parameters: Vec::new(),
        };
        Ok(Request {
            verb: SPEC.name.to_owned(),
            target: Target {
                source: id.clone(),
                identity,
                environment: context.estate.environment,
                object: format!("replication of {id}"),
                tenants: context.estate.tenants_on(&id).map(|t| t.id.clone()).collect(),
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
            let link = &self.0.reach(&request.target.source)?.observe;
            let rows = run::look(link, request, super::change::ALLOWED).await?;
            let found = rows.first().map(|row| row.try_get::<_, Value>("found")).transpose();
            let found = found.map_err(|e| failure::classify(link.address(), &e))?.unwrap_or_default();
            let summary = lines(&found);
            Ok((found, summary))
        })
    }
}
