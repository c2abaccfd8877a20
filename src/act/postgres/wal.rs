//! `postgres.create_restore_point` and `postgres.switch_wal`: marks in the WAL to which a recovery can go, and the end
//! of the current segment so that it is archived now.

use super::change::{About, Change, Question, request, row, text, unclear};
use super::{Instances, primary};
use crate::act::args;
use crate::domain::id::SourceId;
use crate::domain::ports::{Outcome, Reconciled, RenderContext, Survey, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::Failure;
use crate::domain::text::{is_hostile, sanitize};
use serde_json::{Value, json};
use std::sync::Arc;

const INSTANCE: ArgSpec =
    ArgSpec { name: "instance", required: true, what: "source id of the PostgreSQL instance, the primary" };

/// What a restore point declares.
pub static RESTORE_POINT: VerbSpec = VerbSpec {
    name: "postgres.create_restore_point",
    what: "puts a named mark into the WAL, to which a recovery can go",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::Yes,
    idempotent: false,
    read_only: false,
    args: &[INSTANCE, ArgSpec { name: "name", required: true, what: "name of the mark, at most 63 bytes" }],
};

/// What ending a segment declares.
pub static SWITCH: VerbSpec = VerbSpec {
    name: "postgres.switch_wal",
    what: "ends the current WAL segment, so that it is archived now",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[INSTANCE],
};

/// Where the WAL is now, and how archiving does.
const NOW: &str = "\
SELECT json_build_object('segment', CASE WHEN pg_catalog.pg_is_in_recovery() THEN ''
    ELSE pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()) END,
  'archive_mode', pg_catalog.current_setting('archive_mode'), 'last_archived', a.last_archived_wal,
  'failed', a.failed_count) AS found
FROM pg_catalog.pg_stat_archiver a";

fn sql(statement: &str, database: &str, parameters: Vec<String>) -> Operation {
    Operation::Sql { database: database.to_owned(), statement: statement.to_owned(), parameters }
}

/// The verb.
pub(super) struct RestorePoint(pub(super) Arc<Instances>);

impl Change for RestorePoint {
    fn spec(&self) -> &'static VerbSpec {
        &RESTORE_POINT
    }

    fn instances(&self) -> &Arc<Instances> {
        &self.0
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let id = SourceId::new(args::required(context, "instance")?);
        let name = args::required(context, "name")?;
        if name.len() > 63 || name.chars().any(is_hostile) {
            return Err(VerbError::new(format!(
                "{:?} can not name a restore point: at most 63 bytes",
                sanitize(&name)
            )));
        }
        let (instance, facts) = (self.0.get(&id)?, primary(context, &id)?);
        let statement = "SELECT json_build_object('lsn', pg_catalog.pg_create_restore_point($1)::text) AS found";
        let operation = sql(statement, &instance.config.database, vec![name.clone()]);
        request(
            context,
            &RESTORE_POINT,
            instance,
            operation,
            About {
                object: format!("restore point {name} in the WAL of {id}"),
                identity: facts.system_identifier.clone(),
                count: 1,
                tenants: Vec::new(),
                server_checks: vec![format!(
                    "only on the server with system_identifier {}, and not in recovery",
                    facts.system_identifier
                )],
                hurts: "Nobody: it writes a few bytes of WAL.".to_owned(),
                undo: "There is nothing to take back.".to_owned(),
            },
        )
    }

    fn question(&self, _: &Request) -> (String, Vec<String>) {
        (NOW.to_owned(), Vec::new())
    }

    fn would(&self, request: &Request, found: &[Value]) -> Result<String, Failure> {
        let segment = found.first().map(|f| text(f, "segment")).unwrap_or_default();
        Ok(format!("would write {} into segment {segment}", request.target.object))
    }

    fn done(&self, request: &Request, found: &[Value]) -> Outcome {
        match found.first().map(|f| text(f, "lsn")) {
            Some(lsn) if !lsn.is_empty() => Outcome::Done {
                result: json!({ "lsn": lsn }),
                summary: format!("{} is at {lsn}", request.target.object),
            },
            _ => unclear(request),
        }
    }

    fn seen(&self, request: &Request, _: &[Value]) -> Reconciled {
        let why = format!(
            "whether {} was written stands in the WAL only; another of that name does no harm",
            request.target.object
        );
        Reconciled::Undecided { why }
    }
}

/// The verb.
pub(super) struct Switch(pub(super) Arc<Instances>);

impl Change for Switch {
    fn spec(&self) -> &'static VerbSpec {
        &SWITCH
    }

    fn instances(&self) -> &Arc<Instances> {
        &self.0
    }

    fn survey(&self, asked: &Survey) -> Option<Result<Question, VerbError>> {
        let instance = SourceId::new(asked.args.get("instance")?.as_str()?);
        Some(Ok(Question { instance, database: None, statement: NOW.to_owned(), parameters: Vec::new() }))
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let id = SourceId::new(args::required(context, "instance")?);
        let (instance, facts) = (self.0.get(&id)?, primary(context, &id)?);
        let segment = text(row(context, || format!("{id} does not say where its WAL is"))?, "segment");
        if segment.is_empty() {
            return Err(VerbError::new(format!("{id} does not say which segment it writes")));
        }
        let statement = "SELECT json_build_object('lsn', pg_catalog.pg_switch_wal()::text) AS found
WHERE pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()) = $1";
        let operation = sql(statement, &instance.config.database, vec![segment.clone()]);
        request(
            context,
            &SWITCH,
            instance,
            operation,
            About {
                object: format!("WAL segment {segment} of {id}"),
                identity: facts.system_identifier.clone(),
                count: 1,
                tenants: Vec::new(),
                server_checks: vec![
                    format!("only while {segment} is the current segment"),
                    format!(
                        "only on the server with system_identifier {}, and not in recovery",
                        facts.system_identifier
                    ),
                ],
                hurts: "Nobody: the rest of the segment stays empty, and is archived with it.".to_owned(),
                undo: "There is nothing to take back.".to_owned(),
            },
        )
    }

    fn question(&self, _: &Request) -> (String, Vec<String>) {
        (NOW.to_owned(), Vec::new())
    }

    fn would(&self, request: &Request, found: &[Value]) -> Result<String, Failure> {
        let found = found.first().cloned().unwrap_or_default();
        let (now, mode) = (text(&found, "segment"), text(&found, "archive_mode"));
        let archived = if mode == "off" { "; nothing archives it: archive_mode is off" } else { "" };
        Ok(if wanted(request) == now {
            format!("would end segment {now}{archived}")
        } else {
            format!("segment {} has ended by itself; {now} is written now", wanted(request))
        })
    }

    fn done(&self, request: &Request, found: &[Value]) -> Outcome {
        let segment = wanted(request);
        match found.first().map(|f| text(f, "lsn")) {
            Some(lsn) => Outcome::Done {
                result: json!({ "switched": true, "segment": segment, "lsn": lsn }),
                summary: format!("segment {segment} has ended at {lsn}"),
            },
            None => Outcome::Done {
                result: json!({ "switched": false, "segment": segment }),
                summary: format!("segment {segment} had ended by itself"),
            },
        }
    }

    fn seen(&self, request: &Request, found: &[Value]) -> Reconciled {
        let now = found.first().map(|f| text(f, "segment")).unwrap_or_default();
        if now.is_empty() {
            return Reconciled::Undecided { why: "the server does not say which segment it writes".to_owned() };
        }
        if now == wanted(request) {
            Reconciled::NoEffect { seen: format!("segment {now} is still written") }
        } else {
            Reconciled::TookEffect { seen: format!("segment {now} is written now") }
        }
    }
}

fn wanted(request: &Request) -> String {
    match &request.operation {
        Operation::Sql { parameters, .. } => parameters.first().cloned().unwrap_or_default(),
        _ => String::new(),
    }
}
