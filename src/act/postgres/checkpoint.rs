//! `postgres.checkpoint`: writes all changed pages now, before a planned restart or switchover.

use super::change::{About, Change, request, text};
use super::run::Server;
use super::{Instances, fresh};
use crate::act::args;
use crate::domain::facts::Facts;
use crate::domain::id::SourceId;
use crate::domain::ports::{Outcome, Reconciled, RenderContext, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::Failure;
use serde_json::{Value, json};
use std::sync::Arc;

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "postgres.checkpoint",
    what: "writes all changed pages to disk now",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Cluster,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[ArgSpec { name: "instance", required: true, what: "source id of the PostgreSQL instance" }],
};

const NOW: &str = "\
SELECT json_build_object('at', c.checkpoint_time, 'redo', c.redo_lsn::text,
  'may', pg_catalog.pg_has_role(current_user, 'pg_checkpoint', 'USAGE')) AS found
FROM pg_catalog.pg_control_checkpoint() c";

/// The verb.
pub(super) struct Checkpoint(pub(super) Arc<Instances>);

impl Change for Checkpoint {
    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn instances(&self) -> &Arc<Instances> {
        &self.0
    }

    fn server(&self) -> Server {
        Server::Any
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let id = SourceId::new(args::required(context, "instance")?);
        let instance = self.0.get(&id)?;
        let Facts::Postgres(facts) = fresh(context, &id)? else {
            return Err(VerbError::new(format!("{id} is no PostgreSQL instance")));
        };
        let operation = Operation::Sql {
            database: instance.config.database.clone(),
            statement: "CHECKPOINT".to_owned(),
            parameters: Vec::new(),
        };
        request(
            context,
            &SPEC,
            instance,
            operation,
            About {
                object: format!("changed pages of {id}"),
                identity: facts.system_identifier.clone(),
                count: 1,
                tenants: context.estate.tenants_on(&id).map(|t| t.id.clone()).collect(),
                server_checks: vec![format!("only on the server with system_identifier {}", facts.system_identifier)],
                hurts: "Everyone on the instance: the disk is busy until it has ended.".to_owned(),
                undo: "There is nothing to take back.".to_owned(),
            },
        )
    }

    fn question(&self, _: &Request) -> (String, Vec<String>) {
        (NOW.to_owned(), Vec::new())
    }

    fn would(&self, _: &Request, found: &[Value]) -> Result<String, Failure> {
        let at = found.first().map(|f| text(f, "at")).unwrap_or_default();
        Ok(format!("would begin a checkpoint; the last one was at {at}"))
    }

    fn done(&self, _: &Request, _: &[Value]) -> Outcome {
        Outcome::Done { result: json!({ "checkpoint": true }), summary: "all changed pages are on disk".to_owned() }
    }

    fn seen(&self, _: &Request, found: &[Value]) -> Reconciled {
        let at = found.first().map(|f| text(f, "at")).unwrap_or_default();
        let why = format!("the last checkpoint was at {at}; whether it was this one is not kept, another does no harm");
        Reconciled::Undecided { why }
    }
}
