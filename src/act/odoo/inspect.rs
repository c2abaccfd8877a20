//! `odoo.queue_inspect`: the job channels of a tenant now, asked of its database.

use super::tenant;
use crate::act::args::span;
use crate::act::look::{Answer, Look};
use crate::act::postgres::{Instances, run, typed};
use crate::domain::facts::Facts;
use crate::domain::facts::odoo::Channel;
use crate::domain::ports::{BoxFuture, RenderContext, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, Target, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::observe::odoo::{ZOMBIE_AFTER, queue, source_id};
use crate::observe::postgres::failure;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// A person waits for it, so it may take longer than an observer's question.
const ALLOWED: Duration = Duration::from_secs(5);

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "odoo.queue_inspect",
    what: "shows the job channels of a tenant: depth, oldest due, zombies",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: true,
    args: &[ArgSpec { name: "tenant", required: true, what: "id of the tenant" }],
};

/// The verb.
#[derive(Debug)]
pub(super) struct QueueInspect {
    instances: Arc<Instances>,
}

impl QueueInspect {
    pub(super) const fn new(instances: Arc<Instances>) -> Self {
        Self { instances }
    }
}

impl Look for QueueInspect {
    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let (tenant, database) = tenant(context)?;
        let instance = self.instances.get(&database.instance)?;
        let identity = match context.world.fresh(&database.instance, context.now) {
            Some(Facts::Postgres(facts)) => facts.system_identifier.clone(),
            _ => String::new(),
        };
        let zombie_after_s = match context.world.fresh(&source_id(&tenant.id), context.now) {
            Some(Facts::Odoo(facts)) => facts.zombie_after_s,
            _ => ZOMBIE_AFTER.as_secs_f64(),
        };
        let operation = Operation::Sql {
            database: database.name.clone(),
            statement: queue::CHANNELS.to_owned(),
            parameters: vec![zombie_after_s.to_string()],
        };
        Ok(Request {
            verb: SPEC.name.to_owned(),
            target: Target {
                source: database.instance.clone(),
                identity,
                environment: context.estate.environment,
                object: format!("job channels in database {}", database.name),
                tenants: vec![tenant.id.clone()],
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
            let read = rows.iter().map(queue::read).collect::<Result<Vec<_>, _>>();
            read.map(|channels| answer(&channels)).map_err(|e| failure::classify(link.address(), &e))
        })
    }
}

/// The result for expressions, and one line.
fn answer(channels: &[Channel]) -> (Value, String) {
    let depth = channels.iter().fold(0_u32, |sum, c| sum.saturating_add(c.depth()));
    let zombies = channels.iter().fold(0_u32, |sum, c| sum.saturating_add(c.zombies));
    let oldest = channels.iter().filter_map(|c| c.oldest_due_s.map(|s| (s, c))).max_by(|a, b| a.0.total_cmp(&b.0));
    let due = match oldest {
        Some((s, channel)) => format!(", the oldest in {} due for {}", channel.name, span(s)),
        None => String::new(),
    };
    let rows: Vec<Value> = channels
        .iter()
        .map(|c| {
            json!({
                "name": c.name, "depth": c.depth(), "pending": c.pending, "enqueued": c.enqueued,
                "started": c.started, "failed": c.failed, "done_10m": c.done_10m,
                "oldest_due_s": c.oldest_due_s, "zombies": c.zombies,
            })
        })
        .collect();
    let result = json!({
        "channels": rows, "depth": depth, "zombies": zombies, "oldest_due_s": oldest.map(|(s, _)| s),
    });
    (result, format!("{depth} jobs wait in {} channels{due}; {zombies} zombies", channels.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_adds_up_and_names_the_oldest() {
        let channel = |name: &str, pending, oldest_due_s, zombies| Channel {
            name: name.into(),
            pending,
            oldest_due_s,
            zombies,
            ..Channel::default()
        };
        let (result, line) = answer(&[channel("root", 2, Some(5.0), 0), channel("root.wms", 40, Some(960.0), 3)]);
        assert_eq!(line, "42 jobs wait in 2 channels, the oldest in root.wms due for 16 min 0 s; 3 zombies");
        assert_eq!(
            (&result["depth"], &result["zombies"], &result["oldest_due_s"]),
            (&json!(42), &json!(3), &json!(960.0))
        );
        assert_eq!(answer(&[]).1, "0 jobs wait in 0 channels; 0 zombies");
    }
}
