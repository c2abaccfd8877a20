//! `odoo.requeue_jobs`: puts zombie jobs (started beyond the time limit, nobody works on them) back to pending.
//!
//! Rendering knows counts, not names of jobs, so the statement carries the count that was shown: when the server
//! finds more zombies than that, it changes nothing. A job that still runs must not run twice: where the module
//! has `queue_job_lock`, a running job holds a lock on its row there, and the statement leaves it alone, the same
//! way as the module's own job runner does (`requeue_dead_jobs` in `queue_job/jobrunner/runner.py`, 19.0). Older
//! versions have no such table; then only the time limit speaks for a job being dead, and the request says so.
//!
//! Columns are those of `Job.set_pending` (`queue_job/job.py`), with `retry` counted up as `requeue_dead_jobs`
//! does; the trigger `queue_job_notify` tells the job runner.

use super::tenant;
use crate::act::args::{self, span};
use crate::act::postgres::{Instance, Instances, after, fresh, primary, run, typed};
use crate::domain::behalf::Behalf;
use crate::domain::facts::Facts;
use crate::domain::facts::odoo::OdooFacts;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Verb, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, Target, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use crate::observe::odoo::source_id;
use crate::policy::authorized::Authorized;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Row;

/// For dry runs and for looking after an unknown outcome.
const ALLOWED: Duration = Duration::from_secs(5);

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "odoo.requeue_jobs",
    what: "puts jobs that were started too long ago, and that nobody works on, back to pending",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::No,
    idempotent: true,
    read_only: false,
    args: &[
        ArgSpec { name: "tenant", required: true, what: "id of the tenant" },
        ArgSpec {
            name: "channel",
            required: false,
            what: "full name of one channel, such as root.wms; all when absent",
        },
        ArgSpec {
            name: "older_than_s",
            required: false,
            what: "seconds since a job was started; at least, and by default, the limit at which it counts as a zombie",
        },
    ],
};

/// Zombies: `$1` seconds, `$2` channel or empty. Odoo keeps UTC without a zone.
const ZOMBIE: &str = "\
j.state = 'started' AND j.date_started < (now() AT TIME ZONE 'UTC') - make_interval(secs => $1::float8)
    AND ($2::text = '' OR j.channel = $2::text)";

/// Nobody holds the job's lock: its row can be locked, or it has none.
const UNLOCKED: &str = "
    AND (j.id IN (SELECT l.queue_job_id FROM public.queue_job_lock l WHERE l.queue_job_id = j.id
                  FOR NO KEY UPDATE SKIP LOCKED)
      OR NOT EXISTS (SELECT FROM public.queue_job_lock l WHERE l.queue_job_id = j.id))";

/// The statement: over the limit, dead among them, requeued unless more are dead than `$3`.
fn statement(job_locks: bool) -> String {
    let unlocked = if job_locks { UNLOCKED } else { "" };
    format!(
        "WITH over_limit AS (
  SELECT j.id FROM public.queue_job j
  WHERE {ZOMBIE}
), dead AS MATERIALIZED (
  SELECT j.id FROM public.queue_job j
  WHERE {ZOMBIE}{unlocked}
  FOR UPDATE OF j SKIP LOCKED
), requeued AS (
  UPDATE public.queue_job j
  SET state = 'pending', date_enqueued = NULL, date_started = NULL, date_done = NULL, date_cancelled = NULL,
    worker_pid = NULL, retry = coalesce(j.retry, 0) + 1
  FROM dead WHERE j.id = dead.id AND (SELECT count(*) FROM dead) <= $3::bigint
  RETURNING j.uuid
)
SELECT (SELECT count(*) FROM over_limit) AS over_limit, (SELECT count(*) FROM dead) AS dead,
  (SELECT count(*) FROM requeued) AS requeued"
    )
}

/// The zombies by name, without touching them; `$3` has to stand somewhere.
fn zombies() -> String {
    format!(
        "SELECT j.uuid::text AS uuid, coalesce(j.channel, 'root') AS channel,
  extract(epoch FROM (now() AT TIME ZONE 'UTC') - j.date_started)::float8 AS started_s
FROM public.queue_job j
WHERE {ZOMBIE} AND $3::bigint >= 0
ORDER BY j.date_started"
    )
}

/// The verb.
#[derive(Debug)]
pub(super) struct RequeueJobs {
    instances: Arc<Instances>,
}

impl RequeueJobs {
    pub(super) const fn new(instances: Arc<Instances>) -> Self {
        Self { instances }
    }

    async fn zombies(&self, request: &Request) -> Result<Vec<Row>, Failure> {
        let link = self.instances.reach(&request.target.source)?.act()?;
        run::ask(link, request, &zombies(), ALLOWED).await
    }
}

impl Verb for RequeueJobs {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let (tenant, database) = tenant(context)?;
        let instance = self.instances.get(&database.instance)?;
        let user = instance.actor()?;
        let server = primary(context, &database.instance)?;
        let Facts::Odoo(facts) = fresh(context, &source_id(&tenant.id))? else {
            return Err(VerbError::new(format!("{} is no Odoo", source_id(&tenant.id))));
        };
        let channel = args::optional(context, "channel")?.unwrap_or_default();
        let older_than_s = older_than(args::optional(context, "older_than_s")?, facts)?;
        let count = count(facts, &channel, &tenant.id)?;
        let of = if channel.is_empty() { String::new() } else { format!(" of channel {channel}") };
        let operation = Operation::Sql {
            database: database.name.clone(),
            statement: statement(facts.job_locks),
            parameters: vec![older_than_s.to_string(), channel.clone(), count.to_string()],
        };
        let limit = span(older_than_s);
        let twice = if facts.job_locks {
            "jobs that a worker still holds are left alone"
        } else {
            "this version of queue_job has no job locks: one that still runs after all would run twice"
        };
        let mut server_checks = vec![
            format!("only jobs in state started since more than {limit}"),
            format!("nothing at all if there are more than {count} of them"),
            format!("only on the server with system_identifier {}, and not in recovery", server.system_identifier),
        ];
        if facts.job_locks {
            server_checks.push("only jobs whose row in queue_job_lock nobody holds".to_owned());
        }
        Ok(Request {
            verb: SPEC.name.to_owned(),
            target: Target {
                source: database.instance.clone(),
                identity: server.system_identifier.clone(),
                environment: context.estate.environment,
                object: format!("{count} jobs{of} in database {}, started more than {limit} ago", database.name),
                tenants: vec![tenant.id.clone()],
                count: u64::from(count),
            },
            by_hand: typed::by_hand(&instance.config, user, &operation),
            operation,
            server_checks,
            hurts: format!("{} ({}): each job starts again from its beginning; {twice}", tenant.id, tenant.name),
            undo: "Can not be taken back: a worker takes the jobs at once; what they did outside the database before \
                   they died may be done again."
                .to_owned(),
        })
    }

    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let rows = self.zombies(request).await?;
            would(&rows, request.target.count).map_err(|e| run::unreadable(request, &e))
        })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let request = permit.request();
            match self.instances.reach(&request.target.source).and_then(Instance::act) {
                Ok(link) => with_grant(
                    link.user(),
                    run::change(link, request, permit.timeout(), |rows| done(request, rows)).await,
                ),
                Err(why) => Outcome::Failed { why },
            }
        })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(async move {
            // One statement: all of it happened, or nothing.
            let look = || async {
                match self.zombies(request).await.map(|rows| rows.len() as u64) {
                    Ok(0) => Reconciled::TookEffect { seen: "no job beyond the limit is left".to_owned() },
                    Ok(n) if n >= request.target.count => {
                        Reconciled::NoEffect { seen: format!("{n} jobs are still started beyond the limit") }
                    }
                    Ok(n) => Reconciled::Undecided {
                        why: format!("{n} jobs are started beyond the limit, {} were shown", request.target.count),
                    },
                    Err(why) => Reconciled::Undecided { why: why.message },
                }
            };
            let instance = self.instances.reach(&request.target.source);
            after::look(instance.and_then(Instance::act), request, look).await
        })
    }
}

/// The limit in seconds: never below the one at which a job counts as a zombie, or it could still run.
fn older_than(given: Option<String>, facts: &OdooFacts) -> Result<f64, VerbError> {
    let Some(given) = given else { return Ok(facts.zombie_after_s) };
    let seconds: f64 = given.parse().map_err(|_| VerbError::new(format!("older_than_s is {given:?}, no number")))?;
    if seconds.is_finite() && seconds >= facts.zombie_after_s {
        Ok(seconds)
    } else {
        let least = facts.zombie_after_s;
        Err(VerbError::new(format!("older_than_s is {given}, the least is {least}: a younger job may still run")))
    }
}

/// Zombies as observed, in one channel or in all.
fn count(facts: &OdooFacts, channel: &str, tenant: &crate::domain::id::TenantId) -> Result<u32, VerbError> {
    let Some(channels) = &facts.channels else {
        let why = facts.missing.iter().find(|m| m.disables.contains("job channels"));
        let why = why.map_or_else(|| "queue_job is not installed".to_owned(), |m| format!("it needs {}", m.remedy));
        return Err(VerbError::new(format!("the job channels of {tenant} are not known: {why}")));
    };
    let named = channels.iter().filter(|c| channel.is_empty() || c.name == channel);
    match named.fold(0_u32, |sum, c| sum.saturating_add(c.zombies)) {
        0 => Err(VerbError::new(format!(
            "{tenant} has no zombie jobs{} now",
            if channel.is_empty() { String::new() } else { format!(" in channel {channel}") }
        ))),
        n => Ok(n),
    }
}

fn would(rows: &[Row], shown: u64) -> Result<String, tokio_postgres::Error> {
    let mut names = Vec::new();
    for row in rows.iter().take(5) {
        let (uuid, channel): (&str, &str) = (row.try_get("uuid")?, row.try_get("channel")?);
        names.push(format!("{uuid} in {channel}, started {} ago", span(row.try_get("started_s")?)));
    }
    let more =
        if rows.len() > names.len() { format!("; and {} more", rows.len() - names.len()) } else { String::new() };
    Ok(match rows.len() as u64 {
        0 => "no job is beyond the limit any more".to_owned(),
        n if n > shown => format!("{n} jobs are beyond the limit, {shown} were shown: probably nothing would be done"),
        n => format!("would requeue up to {n} jobs: {}{more}", names.join("; ")),
    })
}

fn done(request: &Request, rows: &[Row]) -> Outcome {
    let read = |row: &Row| Ok((row.try_get("over_limit")?, row.try_get("dead")?, row.try_get("requeued")?));
    let (over_limit, dead, requeued): (i64, i64, i64) = match rows.first().map(read) {
        Some(Ok(counts)) => counts,
        Some(Err(e)) => return Outcome::Unknown { why: run::unreadable(request, &e) },
        None => {
            let why = Failure::new(FailureKind::Protocol, format!("{}: the server answered no row", request.verb));
            return Outcome::Unknown { why };
        }
    };
    if dead > requeued {
        let shown = request.target.count;
        let message = format!("there are {dead} zombie jobs now, {shown} were shown: nothing was done, look again");
        return Outcome::Failed { why: Failure::new(FailureKind::Local, message) };
    }
    let left = over_limit - dead;
    let what = match requeued {
        0 => "no zombie job is left, nothing was requeued".to_owned(),
        n => format!("{n} jobs requeued"),
    };
    let summary = match left {
        0 => what,
        n => format!("{what}; {n} beyond the limit are held by a worker and were left alone"),
    };
    Outcome::Done { result: json!({ "requeued": requeued, "left_alone": left }), summary }
}

/// A refusal for want of a right says which.
fn with_grant(user: &str, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Failed { why } if why.kind == FailureKind::Permission => {
            let needs = crate::act::grants::statements(SPEC.name, user);
            Outcome::Failed { why: Failure::new(why.kind, format!("{}; it needs: {needs}", why.message)) }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::facts::odoo::Channel;
    use crate::domain::id::TenantId;

    #[test]
    fn a_limit_at_which_a_job_may_still_run_is_refused() {
        let facts = OdooFacts { zombie_after_s: 900.0, ..OdooFacts::default() };
        assert_eq!(older_than(None, &facts), Ok(900.0));
        assert_eq!(older_than(Some("1200".into()), &facts), Ok(1200.0));
        for bad in ["899", "-1", "NaN", "inf", "soon"] {
            assert!(older_than(Some(bad.into()), &facts).is_err(), "{bad}");
        }
    }

    #[test]
    fn zombies_are_counted_in_one_channel_or_in_all() {
        let channel = |name: &str, zombies| Channel { name: name.into(), zombies, ..Channel::default() };
        let channels = Some(vec![channel("root", 2), channel("root.wms", 5), channel("root.mail", 0)]);
        let facts = OdooFacts { channels, ..OdooFacts::default() };
        let tenant = TenantId::from("t017");
        assert_eq!((count(&facts, "", &tenant), count(&facts, "root.wms", &tenant)), (Ok(7), Ok(5)));
        let none = count(&facts, "root.mail", &tenant).unwrap_err().message;
        assert_eq!(none, "t017 has no zombie jobs in channel root.mail now");
        let absent = count(&OdooFacts::default(), "", &tenant).unwrap_err().message;
        assert_eq!(absent, "the job channels of t017 are not known: queue_job is not installed");
    }
}
