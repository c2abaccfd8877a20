//! `postgres.set_connection_limit`: how many sessions a database may have. `ALTER DATABASE` takes no parameters, so
//! the name is quoted by rule, and a block checks on the server that the limit is still the one that was shown.

use super::change::{About, Change, Question, moved, number, request, row};
use super::typed::{identifier, literal};
use super::{Instances, primary};
use crate::act::args;
use crate::domain::id::SourceId;
use crate::domain::ports::{Outcome, Reconciled, RenderContext, Survey, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use serde_json::{Value, json};
use std::sync::Arc;

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "postgres.set_connection_limit",
    what: "sets how many sessions a database may have at once",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[
        ArgSpec { name: "instance", required: true, what: "source id of the PostgreSQL instance" },
        ArgSpec { name: "database", required: true, what: "name of the database" },
        ArgSpec { name: "limit", required: true, what: "number of sessions, 1 or more; -1 for no limit" },
    ],
};

/// How the database is now: `$1` its name.
const NOW: &str = "\
SELECT json_build_object('limit', d.datconnlimit, 'sessions',
  (SELECT count(*) FROM pg_catalog.pg_stat_activity a WHERE a.datname = d.datname),
  'owner', pg_catalog.pg_get_userbyid(d.datdba),
  'may', pg_catalog.pg_has_role(current_user, d.datdba, 'USAGE')) AS found
FROM pg_catalog.pg_database d WHERE d.datname = $1";

/// The verb.
pub(super) struct ConnectionLimit(pub(super) Arc<Instances>);

/// The limit that a statement sets.
fn wanted(request: &Request) -> Option<i64> {
    let Operation::Sql { statement, .. } = &request.operation else { return None };
    statement.split("CONNECTION LIMIT ").nth(1)?.split(';').next()?.trim().parse().ok()
}

fn database(request: &Request) -> String {
    request.target.object.strip_prefix("database ").and_then(|o| o.split(',').next()).unwrap_or_default().to_owned()
}

fn named(limit: i64) -> String {
    if limit < 0 { "no limit".to_owned() } else { format!("{limit} sessions") }
}

impl Change for ConnectionLimit {
    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn instances(&self) -> &Arc<Instances> {
        &self.0
    }

    fn survey(&self, asked: &Survey) -> Option<Result<Question, VerbError>> {
        let instance = asked.args.get("instance")?.as_str()?;
        let database = asked.args.get("database")?.as_str()?.trim();
        let (instance, parameters) = (SourceId::new(instance), vec![database.to_owned()]);
        Some(Ok(Question { instance, database: None, statement: NOW.to_owned(), parameters }))
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let id = SourceId::new(args::required(context, "instance")?);
        let name = args::required(context, "database")?;
        let limit = args::required_whole(context, "limit", -1, 262_143)?;
        if limit == 0 {
            return Err(VerbError::new("a limit of 0 would let nobody in: give 1 or more, or -1 for no limit"));
        }
        let instance = self.0.get(&id)?;
        let facts = primary(context, &id)?;
        let found = row(context, || format!("there is no database {name} on {id}"))?;
        let (now, sessions) = (number(found, "limit"), number(found, "sessions"));
        if now == limit {
            return Err(VerbError::new(format!("database {name} has {} already", named(now))));
        }
        let (quoted, text) = (identifier(&name)?, literal(&name)?);
        let statement = format!(
            "DO $quarterdeck$ BEGIN
  IF (SELECT datconnlimit FROM pg_catalog.pg_database WHERE datname = {text}) IS DISTINCT FROM {now} THEN
    RAISE EXCEPTION 'the limit is no longer {now}';
  END IF;
  ALTER DATABASE {quoted} WITH CONNECTION LIMIT {limit};
END $quarterdeck$"
        );
        let operation =
            Operation::Sql { database: instance.config.database.clone(), statement, parameters: Vec::new() };
        let hurts = if limit >= 0 && limit < sessions {
            format!("{sessions} sessions are open, none is ended; no other is let in until fewer than {limit} are left")
        } else {
            format!("{sessions} sessions are open; new ones beyond {} are refused", named(limit))
        };
        request(
            context,
            &SPEC,
            instance,
            operation,
            About {
                object: format!("database {name}, which has {}", named(now)),
                identity: facts.system_identifier.clone(),
                count: 1,
                tenants: context.estate.tenant_of_database(&id, &name).map(|t| t.id.clone()).into_iter().collect(),
                server_checks: vec![
                    format!("only if the limit is still {now}"),
                    format!(
                        "only on the server with system_identifier {}, and not in recovery",
                        facts.system_identifier
                    ),
                ],
                hurts,
                undo: format!("the same with limit = {now}"),
            },
        )
    }

    fn question(&self, request: &Request) -> (String, Vec<String>) {
        (NOW.to_owned(), vec![database(request)])
    }

    fn would(&self, request: &Request, found: &[Value]) -> Result<String, Failure> {
        let name = database(request);
        let gone = || Failure::new(FailureKind::Local, format!("there is no database {name} any more"));
        let found = found.first().ok_or_else(gone)?;
        if found.get("may").and_then(Value::as_bool) != Some(true) {
            let owner = super::change::text(found, "owner");
            let why = format!("only its owner may alter database {name}; GRANT {owner} TO the role that acts");
            return Err(Failure::new(FailureKind::Permission, why));
        }
        let limit = wanted(request).unwrap_or_default();
        let (now, sessions) = (number(found, "limit"), number(found, "sessions"));
        Ok(format!("would set {} in place of {}; {sessions} sessions are open", named(limit), named(now)))
    }

    fn done(&self, request: &Request, _: &[Value]) -> Outcome {
        match wanted(request) {
            Some(limit) => Outcome::Done {
                result: json!({ "limit": limit }),
                summary: format!("database {} has {} now", database(request), named(limit)),
            },
            None => moved("the request sets no limit"),
        }
    }

    fn seen(&self, request: &Request, found: &[Value]) -> Reconciled {
        let name = database(request);
        match found.first().map(|f| number(f, "limit")) {
            Some(now) if Some(now) == wanted(request) => {
                Reconciled::TookEffect { seen: format!("database {name} has {}", named(now)) }
            }
            Some(now) => Reconciled::NoEffect { seen: format!("database {name} still has {}", named(now)) },
            None => Reconciled::Undecided { why: format!("there is no database {name} any more") },
        }
    }
}
