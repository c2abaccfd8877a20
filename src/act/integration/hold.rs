//! `integration.buffer` and `integration.replay`: waiting jobs of the integration's channel are held back in the state of
//! those that wait for other jobs, with a due time that marks them as held, and get their turn again in batches. Nothing is
//! deleted, and both count before and after. Jobs that come later have to be held by buffering again.
//!
//! A due time alone would not do: the jobrunner of `queue_job` sleeps until the nearest one, and more than 24 days ahead ends
//! it with an `OverflowError`, for every tenant that it serves (`wait_notification` of `jobrunner/runner.py`, Odoo 19). Of a
//! job that waits for others it keeps the name alone (`notify` of `jobrunner/channels.py`), and one that waits for none is
//! never freed by another that ends (`enqueue_waiting` of `job.py`).

use super::{INTEGRATION, Known, with_tenant};
use crate::act::args;
use crate::act::odoo::{Place, Said, parameters, question};
use crate::act::postgres::Instances;
use crate::act::postgres::change::{Change, Question, moved, number, row, unclear};
use crate::domain::ports::{Outcome, Reconciled, RenderContext, Survey, VerbError};
use crate::domain::request::{ArgSpec, Request, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::Failure;
use serde_json::{Value, json};
use std::sync::Arc;

/// What holding declares.
pub static BUFFER: VerbSpec = VerbSpec {
    name: "integration.buffer",
    what: "holds the waiting jobs of an integration back; none is lost",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[INTEGRATION],
};

/// What replaying declares. A job may have had a part of its effect before it was held: its other side has to take it twice.
pub static REPLAY: VerbSpec = VerbSpec {
    name: "integration.replay",
    what: "lets held jobs of an integration run, oldest first, at most so many",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Compensatable,
    idempotent: true,
    read_only: false,
    args: &[
        INTEGRATION,
        ArgSpec { name: "batch", required: false, what: "how many jobs at most; all that are held when absent" },
    ],
};

/// Due in the year 2999: nothing else is, so this marks what is held. It is changed together with the state, since the
/// jobrunner forgets that a job was pending only where one of the properties that order it changes too.
const MARK: &str = "timestamp '2999-01-01 00:00:00'";
/// What is held, of `j`.
const HELD: &str = "j.state = 'wait_dependencies' AND j.eta = timestamp '2999-01-01 00:00:00'";

/// `$1` channel.
fn now() -> String {
    format!(
        "SELECT json_build_object(
  'due', count(*) FILTER (WHERE j.state = 'pending' AND (j.eta IS NULL OR j.eta <= now() AT TIME ZONE 'UTC')),
  'held', count(*) FILTER (WHERE {HELD}), 'all', count(*)) AS found
FROM public.queue_job j WHERE j.state IN ('pending', 'wait_dependencies') AND j.channel = $1"
    )
}

/// How many are held before the statement changes anything; `$1` channel.
fn held() -> String {
    format!(
        "before AS MATERIALIZED (
  SELECT count(*) AS held FROM public.queue_job j WHERE j.channel = $1 AND {HELD}
)"
    )
}

/// `$1` channel, `$2` how many at most, `$3` how many are held already: where it is another number it has been done.
fn holding() -> String {
    let before = held();
    format!(
        "WITH {before}, picked AS MATERIALIZED (
  SELECT j.id FROM public.queue_job j WHERE j.state = 'pending' AND j.channel = $1
    AND (j.eta IS NULL OR j.eta <= now() AT TIME ZONE 'UTC') AND (SELECT held FROM before) = $3::bigint
  ORDER BY j.id LIMIT $2::bigint FOR NO KEY UPDATE OF j SKIP LOCKED
), held AS (
  UPDATE public.queue_job j SET state = 'wait_dependencies', eta = {MARK} FROM picked WHERE j.id = picked.id RETURNING 1
)
SELECT json_build_object('moved', (SELECT count(*) FROM held), 'held', (SELECT held FROM before)) AS found"
    )
}

/// The same parameters.
fn replaying() -> String {
    let before = held();
    format!(
        "WITH {before}, picked AS MATERIALIZED (
  SELECT j.id FROM public.queue_job j WHERE j.channel = $1 AND {HELD}
    AND (SELECT held FROM before) = $3::bigint
  ORDER BY j.date_created, j.id LIMIT $2::bigint FOR NO KEY UPDATE OF j SKIP LOCKED
), freed AS (
  UPDATE public.queue_job j SET state = 'pending', eta = NULL FROM picked WHERE j.id = picked.id RETURNING 1
)
SELECT json_build_object('moved', (SELECT count(*) FROM freed), 'held', (SELECT held FROM before)) AS found"
    )
}

/// `held` before, which the object of a request names.
fn before(request: &Request) -> u64 {
    let words: Vec<&str> = request.target.object.split_whitespace().collect();
    words.iter().position(|w| *w == "held:").and_then(|i| words.get(i + 1)?.parse().ok()).unwrap_or_default()
}

fn result(request: &Request, found: &[Value], word: &str) -> Outcome {
    let Some(found) = found.first() else { return unclear(request) };
    let (now, shown) = (number(found, "held").unsigned_abs(), before(request));
    if now != shown {
        return moved(format!("{now} jobs are held by now, {shown} were shown"));
    }
    let moved = number(found, "moved");
    let shown = request.target.count;
    let differs = if moved.unsigned_abs() == shown { String::new() } else { format!(", {shown} were shown") };
    Outcome::Done {
        result: json!({ "counted": shown, "moved": moved, "held_before": before(request) }),
        summary: format!("{moved} jobs {word}{differs}"),
    }
}

/// The verb.
pub(super) struct Buffer(pub(super) Arc<Known>);

/// The verb.
pub(super) struct Replay(pub(super) Arc<Known>);

fn survey(known: &Known, asked: &Survey) -> Option<Result<Question, VerbError>> {
    let (integration, asked) = known.asked(asked)?;
    question(&asked, &now(), vec![integration.channel.clone()])
}

impl Change for Buffer {
    fn spec(&self) -> &'static VerbSpec {
        &BUFFER
    }

    fn instances(&self) -> &Arc<Instances> {
        &self.0.instances
    }

    fn survey(&self, asked: &Survey) -> Option<Result<Question, VerbError>> {
        survey(&self.0, asked)
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let integration = self.0.named(context)?;
        let args = with_tenant(context.args, integration);
        let inner = RenderContext { args: &args, ..*context };
        let place = Place::new(&inner, &self.0.instances)?;
        let found = row(context, || "the jobs have not been counted".to_owned())?;
        let (due, held, channel) = (number(found, "due"), number(found, "held"), &integration.channel);
        if due == 0 {
            return Err(VerbError::new(format!("no job of channel {channel} waits for its turn; {held} are held")));
        }
        let statement = holding();
        place.request(
            &inner,
            &BUFFER,
            (&statement, vec![channel.clone(), due.to_string(), held.to_string()]),
            Said {
                object: format!("{due} waiting jobs of channel {channel}, held: {held} now,"),
                count: due.unsigned_abs(),
                server_checks: vec![
                    "only jobs that still wait".to_owned(),
                    format!("never more than {due} of them, and only while {held} are held"),
                ],
                hurts: format!(
                    "{}: {due} messages of {} wait until they are replayed",
                    place.tenant.id, integration.id
                ),
                undo: "integration.replay lets them run".to_owned(),
            },
        )
    }

    fn question(&self, request: &Request) -> (String, Vec<String>) {
        (now(), parameters(request).into_iter().take(1).collect())
    }

    fn would(&self, request: &Request, found: &[Value]) -> Result<String, Failure> {
        let (due, held) = found.first().map_or((0, 0), |f| (number(f, "due"), number(f, "held")));
        Ok(format!("would hold up to {} of {due} waiting jobs; {held} are held", request.target.count))
    }

    fn done(&self, request: &Request, found: &[Value]) -> Outcome {
        result(request, found, "are held")
    }

    fn seen(&self, request: &Request, found: &[Value]) -> Reconciled {
        let (due, held) = found.first().map_or((0, 0), |f| (number(f, "due"), number(f, "held").unsigned_abs()));
        let seen = format!("{held} jobs are held, {} were before; {due} wait for their turn", before(request));
        if held > before(request) { Reconciled::TookEffect { seen } } else { Reconciled::NoEffect { seen } }
    }
}

impl Change for Replay {
    fn spec(&self) -> &'static VerbSpec {
        &REPLAY
    }

    fn instances(&self) -> &Arc<Instances> {
        &self.0.instances
    }

    fn survey(&self, asked: &Survey) -> Option<Result<Question, VerbError>> {
        survey(&self.0, asked)
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let integration = self.0.named(context)?;
        let args = with_tenant(context.args, integration);
        let inner = RenderContext { args: &args, ..*context };
        let place = Place::new(&inner, &self.0.instances)?;
        let found = row(context, || "the jobs have not been counted".to_owned())?;
        let (held, channel) = (number(found, "held"), &integration.channel);
        if held == 0 {
            return Err(VerbError::new(format!("no job of channel {channel} is held")));
        }
        let batch = args::whole(context, "batch", 1, i64::from(u32::MAX))?.unwrap_or(held).min(held);
        let statement = replaying();
        place.request(&inner, &REPLAY, (&statement, vec![channel.clone(), batch.to_string(), held.to_string()]), Said {
            object: format!("{batch} held jobs of channel {channel}, held: {held} now,"),
            count: batch.unsigned_abs(),
            server_checks: vec![
                format!("only while {held} are held"),
                format!("never more than {batch} of them, oldest first"),
            ],
            hurts: format!(
                "{}: {batch} messages go out as fast as channel {channel} runs; what had a part of its effect before is \
                 sent again",
                place.tenant.id
            ),
            undo: "integration.buffer holds back what has not run yet; what has run is sent".to_owned(),
        })
    }

    fn question(&self, request: &Request) -> (String, Vec<String>) {
        (now(), parameters(request).into_iter().take(1).collect())
    }

    fn would(&self, request: &Request, found: &[Value]) -> Result<String, Failure> {
        let held = found.first().map_or(0, |f| number(f, "held"));
        Ok(format!("would let {} of {held} held jobs run", request.target.count))
    }

    fn done(&self, request: &Request, found: &[Value]) -> Outcome {
        result(request, found, "may run")
    }

    fn seen(&self, request: &Request, found: &[Value]) -> Reconciled {
        let held = found.first().map_or(0, |f| number(f, "held")).unsigned_abs();
        let seen = format!("{held} jobs are held, {} were before", before(request));
        if held < before(request) { Reconciled::TookEffect { seen } } else { Reconciled::NoEffect { seen } }
    }
}
