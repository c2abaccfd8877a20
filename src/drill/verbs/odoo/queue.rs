//! `odoo.queue_inspect` and `odoo.requeue_jobs` on the simulated tenants.

use super::super::arguments::{gone, optional, parameter, target_tenant, tenant};
use super::super::{Action, specs};
use crate::correlate::say;
use crate::domain::estate::{DatabaseRef, Tenant};
use crate::domain::facts::Facts;
use crate::domain::id::SourceId;
use crate::domain::ports::{Outcome, Reconciled, RenderContext, VerbError};
use crate::domain::request::{Operation, Request, Target, VerbSpec};
use crate::domain::sample::{Failure, FailureKind};
use crate::drill::look::{channels, held_beyond};
use crate::drill::model::Simulation;
use crate::drill::model::jobs::ZOMBIE_AFTER_S;
use serde_json::{Value, json};

const INSPECT: &str = "\
SELECT channel, state, count(*) AS jobs, min(coalesce(eta, date_created)) AS oldest_due,
  count(*) FILTER (WHERE state = 'started' AND date_started < (now() AT TIME ZONE 'UTC') - make_interval(secs => $1))
    AS zombies
FROM public.queue_job WHERE state IN ('pending', 'enqueued', 'started', 'failed')
GROUP BY channel, state ORDER BY channel";

const REQUEUE: &str = "\
WITH dead AS MATERIALIZED (
  SELECT j.id FROM public.queue_job j
  WHERE j.state = 'started' AND j.date_started < (now() AT TIME ZONE 'UTC') - make_interval(secs => $1::float8)
    AND ($2::text = '' OR j.channel = $2::text)
    AND j.id IN (SELECT l.queue_job_id FROM public.queue_job_lock l FOR NO KEY UPDATE SKIP LOCKED)
  FOR UPDATE OF j SKIP LOCKED
)
UPDATE public.queue_job j SET state = 'pending', date_enqueued = NULL, date_started = NULL, worker_pid = NULL,
  retry = coalesce(j.retry, 0) + 1
FROM dead WHERE j.id = dead.id AND (SELECT count(*) FROM dead) <= $3::bigint
RETURNING j.uuid";

fn database(tenant: &Tenant) -> Result<&DatabaseRef, VerbError> {
    tenant.database.as_ref().ok_or_else(|| VerbError::new(format!("{} has no database", tenant.id)))
}

/// A request in a tenant's database; `object` and the rest are filled by the caller.
fn request(
    verb: &'static VerbSpec,
    context: &RenderContext<'_>,
    sim: &Simulation,
    operation: Operation,
) -> Result<Request, VerbError> {
    let tenant = tenant(context)?;
    let database = database(tenant)?;
    let identity = sim.instances.get(&database.instance).map_or("", |i| i.system_identifier.as_str());
    Ok(Request {
        verb: verb.name.into(),
        target: Target {
            source: database.instance.clone(),
            identity: identity.into(),
            environment: context.estate.environment,
            object: format!("job channels in database {}", database.name),
            tenants: vec![tenant.id.clone()],
            count: 0,
        },
        by_hand: format!("psql -h {}.db.example -d {} -f -", database.instance, database.name),
        operation,
        server_checks: Vec::new(),
        hurts: String::new(),
        undo: String::new(),
    })
}

/// Shows the channels.
pub(in crate::drill::verbs) struct QueueInspect;

impl QueueInspect {
    fn ask(request: &Request, sim: &Simulation) -> Result<(Value, String), Failure> {
        let id = target_tenant(request)?;
        let tenant = sim.tenant(id).ok_or_else(|| gone(id))?;
        let channels = channels(tenant, sim.elapsed_s());
        let depth: u32 = channels.iter().map(crate::domain::facts::odoo::Channel::depth).sum();
        let zombies: u32 = channels.iter().map(|c| c.zombies).sum();
        let oldest = channels.iter().filter_map(|c| c.oldest_due_s.map(|s| (s, c))).max_by(|a, b| a.0.total_cmp(&b.0));
        let due =
            oldest.map_or_else(String::new, |(s, c)| format!(", the oldest in {} due for {}", c.name, say::span(s)));
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
        Ok((result, format!("{depth} jobs wait in {} channels{due}; {zombies} zombies", channels.len())))
    }
}

impl Action for QueueInspect {
    fn name(&self) -> &'static str {
        specs::QUEUE_INSPECT.name
    }

    fn render(&self, context: &RenderContext<'_>, sim: &Simulation) -> Result<Request, VerbError> {
        let operation = Operation::Sql {
            database: database(tenant(context)?)?.name.clone(),
            statement: INSPECT.into(),
            parameters: vec![ZOMBIE_AFTER_S.to_string()],
        };
        let rendered = request(&specs::QUEUE_INSPECT, context, sim, operation)?;
        Ok(Request {
            server_checks: vec!["read-only transaction, ended by the server after 4 s".into()],
            hurts: "Nobody: it only looks.".into(),
            undo: "There is nothing to take back.".into(),
            ..rendered
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

/// Puts zombies back.
pub(in crate::drill::verbs) struct RequeueJobs;

impl Action for RequeueJobs {
    fn name(&self) -> &'static str {
        specs::REQUEUE_JOBS.name
    }

    fn render(&self, context: &RenderContext<'_>, sim: &Simulation) -> Result<Request, VerbError> {
        let tenant = tenant(context)?;
        let source = SourceId::new(format!("odoo/{}", tenant.id));
        let Some(Facts::Odoo(facts)) = context.world.fresh(&source, context.now) else {
            return Err(VerbError::new(format!("{source} is not observed now: nothing is known of its jobs")));
        };
        let channel = optional(context, "channel")?.unwrap_or_default();
        let named = facts.channels.iter().flatten().filter(|c| channel.is_empty() || c.name == channel);
        let count: u32 = named.map(|c| c.zombies).sum();
        let of = if channel.is_empty() { String::new() } else { format!(" of channel {channel}") };
        if count == 0 {
            return Err(VerbError::new(format!("{} has no zombie jobs{of} now", tenant.id)));
        }
        let least = f64::from(i32::try_from(ZOMBIE_AFTER_S).unwrap_or(i32::MAX));
        let older_than = match optional(context, "older_than_s")? {
            None => least,
            Some(given) => match given.parse::<f64>() {
                Ok(seconds) if seconds.is_finite() && seconds >= least => seconds,
                _ => {
                    let why = format!("older_than_s is {given}, the least is {least}: a younger job may still run");
                    return Err(VerbError::new(why));
                }
            },
        };
        let name = &database(tenant)?.name;
        let operation = Operation::Sql {
            database: name.clone(),
            statement: REQUEUE.into(),
            parameters: vec![older_than.to_string(), channel, count.to_string()],
        };
        let mut rendered = request(&specs::REQUEUE_JOBS, context, sim, operation)?;
        let limit = say::span(older_than);
        rendered.target.object = format!("{count} jobs{of} in database {name}, started more than {limit} ago");
        rendered.target.count = u64::from(count);
        rendered.server_checks = vec![
            format!("only jobs in state started since more than {limit}"),
            format!("nothing at all if there are more than {count} of them"),
            format!("only on the server with system_identifier {}, and not in recovery", rendered.target.identity),
            "only jobs whose row in queue_job_lock nobody holds".into(),
        ];
        rendered.hurts = format!(
            "{} ({}): each job starts again from its beginning; jobs that a worker still holds are left alone",
            tenant.id, tenant.name
        );
        rendered.undo = "Can not be taken back: a worker takes the jobs at once; what they did outside the database \
                         before they died may be done again."
            .into();
        Ok(rendered)
    }

    fn dry_run(&self, request: &Request, sim: &Simulation) -> Result<String, Failure> {
        let id = target_tenant(request)?;
        let tenant = sim.tenant(id).ok_or_else(|| gone(id))?;
        let (dead, shown) = (tenant.jobs.zombies(parameter(request, 2)?, sim.elapsed_s()), request.target.count);
        Ok(match u64::from(dead) {
            0 => "no job is beyond the limit any more".into(),
            n if n > shown => format!("{n} jobs are beyond the limit, {shown} were shown: nothing would be done"),
            n => format!("would requeue up to {n} jobs"),
        })
    }

    fn run(&self, request: &Request, sim: &mut Simulation) -> Outcome {
        let tick = sim.elapsed_s();
        let found = target_tenant(request).and_then(|id| Ok((id, parameter(request, 2)?)));
        let (id, channel) = match found {
            Ok(found) => found,
            Err(why) => return Outcome::Failed { why },
        };
        let Some(tenant) = sim.tenant_mut(id) else { return Outcome::Failed { why: gone(id) } };
        let (dead, shown) = (tenant.jobs.zombies(channel, tick), request.target.count);
        if u64::from(dead) > shown {
            let why = format!("there are {dead} zombie jobs now, {shown} were shown: nothing was done, look again");
            return Outcome::Failed { why: Failure::new(FailureKind::Local, why) };
        }
        let requeued = tenant.jobs.requeue(channel, tick);
        let left = held_beyond(tenant, tick);
        let what = match requeued {
            0 => "no zombie job is left, nothing was requeued".into(),
            n => format!("{n} jobs requeued"),
        };
        let summary = match left {
            0 => what,
            n => format!("{what}; {n} beyond the limit are held by a worker and were left alone"),
        };
        Outcome::Done { result: json!({ "requeued": requeued, "left_alone": left }), summary }
    }

    fn reconcile(&self, request: &Request, sim: &Simulation) -> Reconciled {
        let found = target_tenant(request).and_then(|id| Ok((id, parameter(request, 2)?)));
        let (id, channel) = match found {
            Ok(found) => found,
            Err(why) => return Reconciled::Undecided { why: why.message },
        };
        match sim.tenant(id).map(|t| t.jobs.zombies(channel, sim.elapsed_s())) {
            Some(0) => Reconciled::TookEffect { seen: "no job beyond the limit is left".into() },
            Some(n) if u64::from(n) >= request.target.count => {
                Reconciled::NoEffect { seen: format!("{n} jobs are still started beyond the limit") }
            }
            Some(n) => Reconciled::Undecided {
                why: format!("{n} jobs are started beyond the limit, {} were shown", request.target.count),
            },
            None => Reconciled::Undecided { why: format!("{id} is not there any more") },
        }
    }
}
