//! `odoo.set_job_priority`: lets waiting jobs of a channel go first or last. The job runner hears of it through the
//! trigger of `queue_job`, and orders its queue anew (`ChannelManager.notify`).

use super::{Place, Said, TENANT, parameters, question};
use crate::act::args;
use crate::act::postgres::Instances;
use crate::act::postgres::change::{Change, Question, number, rows, unclear};
use crate::domain::ports::{Outcome, Reconciled, RenderContext, Survey, VerbError};
use crate::domain::request::{ArgSpec, Request, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::Failure;
use serde_json::{Value, json};
use std::sync::Arc;

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "odoo.set_job_priority",
    what: "sets the priority of the waiting jobs of a channel",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Compensatable,
    idempotent: true,
    read_only: false,
    args: &[
        TENANT,
        ArgSpec { name: "channel", required: true, what: "full name of the channel, such as root.wms" },
        ArgSpec { name: "priority", required: true, what: "0 goes first, 10 is usual, 1000 goes last" },
    ],
};

/// How many jobs wait, by priority. `$1` channel.
const WAITING: &str = "\
SELECT json_build_object('priority', coalesce(j.priority, 10), 'jobs', count(*)) AS found FROM public.queue_job j
WHERE j.state = 'pending' AND j.channel = $1 GROUP BY coalesce(j.priority, 10) ORDER BY coalesce(j.priority, 10)";

/// `$1` channel, `$2` priority, `$3` how many at most.
const STATEMENT: &str = "\
WITH picked AS MATERIALIZED (
  SELECT j.id FROM public.queue_job j
  WHERE j.state = 'pending' AND j.channel = $1 AND coalesce(j.priority, 10) <> $2::int
  ORDER BY j.id LIMIT $3::bigint FOR NO KEY UPDATE OF j SKIP LOCKED
), changed AS (
  UPDATE public.queue_job j SET priority = $2::int FROM picked WHERE j.id = picked.id RETURNING 1
)
SELECT json_build_object('changed', (SELECT count(*) FROM changed)) AS found";

/// The verb.
pub(super) struct JobPriority(pub(super) Arc<Instances>);

/// Jobs whose priority is another.
fn others(found: &[Value], priority: i64) -> i64 {
    found.iter().filter(|f| number(f, "priority") != priority).map(|f| number(f, "jobs")).sum()
}

fn wanted(request: &Request) -> i64 {
    parameters(request).get(1).and_then(|p| p.parse().ok()).unwrap_or_default()
}

impl Change for JobPriority {
    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn instances(&self) -> &Arc<Instances> {
        &self.0
    }

    fn survey(&self, asked: &Survey) -> Option<Result<Question, VerbError>> {
        let channel = asked.args.get("channel")?.as_str()?.trim().to_owned();
        question(asked, WAITING, vec![channel])
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let place = Place::new(context, &self.0)?;
        let channel = args::required(context, "channel")?;
        let priority = args::required_whole(context, "priority", 0, 1000)?;
        let found = rows(context)?;
        let count = others(found, priority);
        if count == 0 {
            let why = format!("no waiting job of channel {channel} has another priority than {priority}");
            return Err(VerbError::new(why));
        }
        let before: Vec<String> =
            found.iter().map(|f| format!("{} of {}", number(f, "jobs"), number(f, "priority"))).collect();
        let parameters = vec![channel.clone(), priority.to_string(), count.to_string()];
        place.request(
            context,
            &SPEC,
            (STATEMENT, parameters),
            Said {
                object: format!("{count} waiting jobs of channel {channel}"),
                count: count.unsigned_abs(),
                server_checks: vec!["only jobs that still wait".to_owned(), format!("never more than {count} of them")],
                hurts: format!("{}: jobs of other priorities go before or after these", place.tenant.id),
                undo: format!("the same with the priority of before (now: {})", before.join(", ")),
            },
        )
    }

    fn question(&self, request: &Request) -> (String, Vec<String>) {
        (WAITING.to_owned(), parameters(request).into_iter().take(1).collect())
    }

    fn would(&self, request: &Request, found: &[Value]) -> Result<String, Failure> {
        let priority = wanted(request);
        Ok(format!("would give {} waiting jobs the priority {priority}", others(found, priority)))
    }

    fn done(&self, request: &Request, found: &[Value]) -> Outcome {
        let Some(found) = found.first() else { return unclear(request) };
        let (changed, priority) = (number(found, "changed"), wanted(request));
        Outcome::Done {
            result: json!({ "changed": changed, "priority": priority }),
            summary: format!("{changed} waiting jobs have priority {priority}"),
        }
    }

    fn seen(&self, request: &Request, found: &[Value]) -> Reconciled {
        let (left, shown) = (others(found, wanted(request)).unsigned_abs(), request.target.count);
        let seen = format!("{left} waiting jobs have another priority, {shown} were shown");
        match left {
            0 => Reconciled::TookEffect { seen },
            n if n >= shown => Reconciled::NoEffect { seen },
            _ => Reconciled::Undecided { why: seen },
        }
    }
}
