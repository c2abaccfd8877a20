//! `postgres.promote`: makes a replica the primary. The old primary must be fenced before: it is refused while one is
//! seen to take writes, and the server itself refuses while it still receives WAL from one.

use super::change::{About, Change, Question, moved, number, request, row, text};
use super::run::Server;
use super::{Instances, fresh};
use crate::act::args;
use crate::domain::facts::{Facts, PostgresFacts};
use crate::domain::id::SourceId;
use crate::domain::ports::{Outcome, Reconciled, RenderContext, Survey, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use serde_json::{Value, json};
use std::sync::Arc;

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "postgres.promote",
    what: "makes a replica the primary, on a new timeline",
    risk_floor: Risk::High,
    blast_radius: BlastRadius::Cluster,
    reversible: Reversible::No,
    idempotent: true,
    read_only: false,
    args: &[ArgSpec { name: "instance", required: true, what: "source id of the replica" }],
};

/// How the replica stands.
const NOW: &str = "\
SELECT json_build_object('in_recovery', pg_catalog.pg_is_in_recovery(),
  'timeline', (SELECT c.timeline_id FROM pg_catalog.pg_control_checkpoint() c),
  'receiving', EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver w WHERE w.status = 'streaming'),
  'received', pg_catalog.pg_last_wal_receive_lsn()::text, 'replayed', pg_catalog.pg_last_wal_replay_lsn()::text,
  -- It waits for more WAL: a promotion ends that wait at once.
  'waits', EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.backend_type = 'startup' AND a.wait_event IN
    ('RecoveryWalStream', 'RecoveryRetrieveRetryInterval', 'RecoveryApplyDelay', 'RecoveryPause')),
  'behind', coalesce(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_receive_lsn(),
    pg_catalog.pg_last_wal_replay_lsn()), 0)::bigint) AS found";

/// `pg_promote` does not wait here: the promotion goes on by itself when this session ends.
const STATEMENT: &str = "\
SELECT json_build_object('signalled', pg_catalog.pg_promote(wait => false)) AS found
WHERE pg_catalog.pg_is_in_recovery()
  AND (SELECT c.timeline_id FROM pg_catalog.pg_control_checkpoint() c) = $1::int
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver w WHERE w.status = 'streaming')";

/// The verb.
pub(super) struct Promote(pub(super) Arc<Instances>);

/// Another instance of the same cluster that takes writes now.
fn other_primary<'a>(context: &RenderContext<'a>, id: &SourceId, facts: &PostgresFacts) -> Option<&'a SourceId> {
    context.world.sources.keys().find(|other| {
        *other != id
            && matches!(context.world.fresh(other, context.now), Some(Facts::Postgres(p))
                if !p.in_recovery && p.system_identifier == facts.system_identifier)
    })
}

impl Change for Promote {
    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn instances(&self) -> &Arc<Instances> {
        &self.0
    }

    fn server(&self) -> Server {
        Server::Replica
    }

    fn survey(&self, asked: &Survey) -> Option<Result<Question, VerbError>> {
        let instance = SourceId::new(asked.args.get("instance")?.as_str()?);
        Some(Ok(Question { instance, database: None, statement: NOW.to_owned(), parameters: Vec::new() }))
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let id = SourceId::new(args::required(context, "instance")?);
        let instance = self.0.get(&id)?;
        let Facts::Postgres(facts) = fresh(context, &id)? else {
            return Err(VerbError::new(format!("{id} is no PostgreSQL instance")));
        };
        if facts.system_identifier.is_empty() {
            return Err(VerbError::new(format!(
                "the identity of {id} is not known: pg_control_system() may not be read"
            )));
        }
        if !facts.in_recovery {
            return Err(VerbError::new(format!("{id} is a primary already")));
        }
        if let Some(primary) = other_primary(context, &id, facts) {
            return Err(VerbError::new(format!("{primary} takes writes as the primary: fence it first")));
        }
        let found = row(context, || format!("{id} does not say how it stands"))?;
        let timeline = number(found, "timeline");
        let behind = number(found, "behind");
        let operation = Operation::Sql {
            database: instance.config.database.clone(),
            statement: STATEMENT.to_owned(),
            parameters: vec![timeline.to_string()],
        };
        request(
            context,
            &SPEC,
            instance,
            operation,
            About {
                object: format!("replica {id} on timeline {timeline}, replayed to {}", text(found, "replayed")),
                identity: facts.system_identifier.clone(),
                count: 1,
                tenants: context.estate.tenants_on(&id).map(|t| t.id.clone()).collect(),
                server_checks: vec![
                    format!("only while it is in recovery on timeline {timeline}"),
                    "only while it receives no WAL from a primary: that one has to be fenced".to_owned(),
                    format!("only on a server with system_identifier {}", facts.system_identifier),
                ],
                hurts: format!(
                    "what the old primary committed after {} is lost ({behind} bytes that were received are replayed first)",
                    text(found, "received")
                ),
                undo: "Can not be taken back: the old primary has to be rebuilt or rewound as a replica.".to_owned(),
            },
        )
    }

    fn question(&self, _: &Request) -> (String, Vec<String>) {
        (NOW.to_owned(), Vec::new())
    }

    fn would(&self, request: &Request, found: &[Value]) -> Result<String, Failure> {
        let found = found.first().cloned().unwrap_or_default();
        let is = |name: &str| found.get(name).and_then(Value::as_bool) == Some(true);
        let refuse = |why: &str| Err(Failure::new(FailureKind::Local, format!("{}: {why}", request.target.object)));
        if !is("in_recovery") {
            return refuse("it is a primary already");
        }
        if is("receiving") {
            return refuse("it still receives WAL from a primary, which has to be fenced first");
        }
        Ok(format!(
            "would promote {}; {} bytes are to be replayed first",
            request.target.object,
            number(&found, "behind")
        ))
    }

    fn done(&self, request: &Request, found: &[Value]) -> Outcome {
        match found.first().and_then(|f| f.get("signalled")).and_then(Value::as_bool) {
            Some(true) => Outcome::Done {
                result: json!({ "promoting": true }),
                summary: format!("told {} to end its recovery", request.target.object),
            },
            Some(false) => {
                moved(format!("the server could not signal its startup process for {}", request.target.object))
            }
            None => moved("it is no longer in recovery on that timeline, or still receives WAL from a primary"),
        }
    }

    fn seen(&self, request: &Request, found: &[Value]) -> Reconciled {
        let is = |name: &str| found.first().and_then(|f| f.get(name)).and_then(Value::as_bool);
        let source = &request.target.source;
        match (is("in_recovery"), is("waits")) {
            (Some(false), _) => Reconciled::TookEffect { seen: format!("{source} takes writes now") },
            (Some(true), Some(true)) => {
                Reconciled::NoEffect { seen: format!("{source} is in recovery and waits for more WAL") }
            }
            (Some(true), _) => Reconciled::Undecided {
                why: format!("{source} is in recovery and replays WAL: it may be promoted when it has ended that"),
            },
            (None, _) => Reconciled::Undecided { why: "the server does not say whether it is in recovery".to_owned() },
        }
    }
}
