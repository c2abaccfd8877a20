//! `gate`: after a deploy, three questions for a delivery pipeline: is the platform healthy, is the application stable,
//! are the workflows within their thresholds. What is not known is no yes.

use super::args::{Format, Global};
use super::output::{self, Error, Exit};
use super::status::{self, Look};
use crate::domain::finding::{Change, Class, Finding};
use crate::domain::health::Health;
use crate::domain::id::TenantId;
use crate::domain::pane::{Pane, SourceRow};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

/// Rules about workflows: what people and plants wait for.
const WORKFLOWS: [&str; 9] = [
    "queue-age",
    "queue-zombies",
    "queue-failed",
    "cron-late",
    "cron-failing",
    "modules-pending",
    "integration",
    "synthetic",
    "redis-evictions",
];
/// Rules about the application itself.
const APPLICATION: [&str; 9] = [
    "http-errors",
    "http-slow",
    "error-budget",
    "slower-than-usual",
    "crash-loop",
    "restarts",
    "workload-unavailable",
    "router-disabled",
    "unreachable-from-here",
];

/// The output contract of `gate --format json`.
#[derive(Serialize, JsonSchema)]
pub struct Gated {
    /// Version of this schema: 1.
    schema: u32,
    /// The estate.
    estate: String,
    /// When it was looked at.
    at: Timestamp,
    /// Since when what is found counts.
    since: Timestamp,
    /// The deploy that is meant, as it was seen; absent when only a moment was given.
    deploy: Option<String>,
    /// The tenant of the deploy; absent when all count.
    tenant: Option<TenantId>,
    /// `ok`: all three are; `critical`: one is not; `unknown`: one can not be told.
    verdict: Health,
    /// The three answers.
    answers: Vec<Judged>,
    /// What is still being delivered: a verdict on it comes too early.
    running: Vec<String>,
}

/// One of the three questions.
#[derive(Serialize, JsonSchema)]
struct Judged {
    /// The question.
    question: &'static str,
    /// `ok`, `critical` or `unknown`.
    answer: Health,
    /// What speaks against it, or what is not known; a sentence each.
    because: Vec<String>,
}

/// Runs it.
pub fn run(global: &Global, since: &str, tenant: Option<&str>) -> Result<Exit, Error> {
    let look = status::once(global)?;
    let only = tenant.map(TenantId::new);
    if let Some(id) = only.as_ref().filter(|id| look.estate.tenant(id).is_none()) {
        return Err(Error::Usage(format!("there is no tenant `{id}` in the estate")));
    }
    let (since, deploy) = moment(&look, since, only.as_ref())?;
    let tenant = only.or_else(|| deploy.as_ref().and_then(|d| d.subject.tenant().cloned()));
    let answers = vec![
        platform(&look, since),
        application(&look, since, tenant.as_ref()),
        workflows(&look, since, tenant.as_ref()),
    ];
    let running = running(&look, tenant.as_ref());
    let verdict = Gated {
        schema: 1,
        estate: look.estate.name.clone(),
        at: whole(look.at),
        since: whole(since),
        deploy: deploy.map(|d| format!("{} {}", d.subject, d.what)),
        tenant,
        verdict: Health::worst(answers.iter().map(|a| a.answer)),
        answers,
        running,
    };
    if global.format == Format::Json {
        output::json(&verdict)?;
    } else {
        output::line(&format!("{} since {}: {}", verdict.estate, verdict.since, verdict.verdict))?;
        for answer in &verdict.answers {
            output::line(&format!("{:<9} {}", answer.answer.word(), answer.question))?;
            for why in &answer.because {
                output::line(&format!("          {why}"))?;
            }
        }
        for one in &verdict.running {
            output::line(&format!("running   {one}"))?;
        }
    }
    Ok(verdict.verdict.into())
}

/// The same moment in whole seconds: nobody deploys by the nanosecond.
fn whole(at: Timestamp) -> Timestamp {
    at.round(jiff::Unit::Second).unwrap_or(at)
}

/// Signals that say of a delivery that it is not done: beyond their first threshold while it goes on.
const GOES_ON: [&str; 2] = ["delivery.synced", "delivery.healthy"];

/// What is still being delivered, to a tenant where one is meant: applications that are not in sync or not healthy yet,
/// and pods that are being replaced.
fn running(look: &Look, tenant: Option<&TenantId>) -> Vec<String> {
    let of = |t: Option<&TenantId>| tenant.is_none() || t.is_none() || t == tenant;
    let applications = look.panes.delivery.iter().filter(|r| of(r.tenant.as_ref())).filter_map(|row| {
        let said = row.signals.iter().filter(|s| s.value.is_some_and(|v| v < 0.5));
        let open: Vec<&str> = said
            .filter(|s| GOES_ON.contains(&s.signal.as_str()))
            .map(|s| if s.signal == "delivery.synced" { "not in sync yet" } else { "not healthy yet" })
            .collect();
        (!open.is_empty()).then(|| format!("{}: {}", row.name, open.join(", ")))
    });
    let pods = look.panes.tenants.iter().filter(|r| of(Some(&r.id))).flat_map(|row| {
        [("web", row.web), ("workers", row.workers)].into_iter().filter_map(|(what, pods)| {
            let (ready, desired) = pods.filter(|(ready, desired)| ready < desired)?;
            Some(format!("{} {what}: {ready} of {desired} pods ready", row.id))
        })
    });
    applications.chain(pods).collect()
}

/// What `--since` means: a moment, a span before now, or a deploy that was seen: a part of its words.
fn moment(look: &Look, text: &str, tenant: Option<&TenantId>) -> Result<(Timestamp, Option<Change>), Error> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok((at, None));
    }
    if let Ok(span) = text.parse::<SignedDuration>()
        && let Ok(at) = look.at.checked_sub(span)
    {
        return Ok((at, None));
    }
    let deploys = || look.changes.iter().filter(|c| c.what.starts_with("deploy "));
    let meant = deploys().find(|c| {
        c.what.split_whitespace().any(|word| word.trim_end_matches(',') == text)
            && tenant.is_none_or(|t| c.subject.tenant() == Some(t))
    });
    match meant {
        Some(change) => Ok((change.at, Some(change.clone()))),
        None => {
            let known: Vec<String> = deploys().take(8).map(|c| format!("{} of {}", c.what, c.subject)).collect();
            let known = if known.is_empty() { "none was seen".to_owned() } else { known.join("; ") };
            Err(Error::Usage(format!(
                "`{text}` is no moment (2026-11-22T01:00:00Z), no span (30m) and no deploy that was seen: {known}"
            )))
        }
    }
}

/// An answer: what speaks against it, else what is not known.
fn answer(question: &'static str, unknown: Vec<String>, because: Vec<String>) -> Judged {
    let (answer, because) = match (because.is_empty(), unknown.is_empty()) {
        (false, _) => (Health::Critical, because),
        (true, false) => (Health::Unknown, unknown),
        (true, true) => (Health::Ok, Vec::new()),
    };
    Judged { question, answer, because }
}

/// What of a tenant, or of all, can not be compared with what is usual: then nobody knows whether it is as usual.
fn uncompared(look: &Look, tenant: Option<&TenantId>) -> Option<String> {
    let usual = &look.usual;
    let concerns = |t: Option<&TenantId>| tenant.is_none() || t.is_none() || t == tenant;
    let gap = usual.gaps.iter().find(|gap| concerns(gap.subject.tenant()));
    match gap {
        Some(gap) => Some(format!("{} of {} can not be compared: {}", gap.signal, gap.subject, gap.why)),
        // The gaps that are not told one by one may be this tenant's.
        None if usual.learnt == 0 || !usual.told_all() => Some(usual.words()),
        None => None,
    }
}

/// Findings since the deploy; those of a tenant where one is meant. A note is none.
fn found<'a>(look: &'a Look, since: Timestamp, tenant: Option<&'a TenantId>) -> impl Iterator<Item = &'a Finding> {
    look.findings.iter().filter(move |f| {
        let notes = f.classes == [Class::Pressure];
        f.since >= since && !notes && tenant.is_none_or(|t| f.whom.tenants.contains(t))
    })
}

fn platform(look: &Look, since: Timestamp) -> Judged {
    let about = |f: &&Finding| !APPLICATION.contains(&f.rule.as_str()) && !WORKFLOWS.contains(&f.rule.as_str());
    let mut because: Vec<String> = found(look, since, None).filter(about).map(|f| f.what.clone()).collect();
    let shared = [Pane::Platform, Pane::Database, Pane::Ingress];
    let critical = shared.iter().filter(|p| look.panes.health(**p) == Some(Health::Critical));
    if because.is_empty() {
        because.extend(critical.map(|p| format!("the pane {} has a critical row", p.word())));
    }
    let silent = look.panes.sources.iter().filter(|s| s.health == Health::Unknown);
    let why = |s: &SourceRow| format!("{} is silent: {}", s.id, s.why.as_deref().unwrap_or("no answer yet"));
    let mut unknown: Vec<String> = silent.map(why).collect();
    if look.panes.sources.is_empty() {
        unknown.push("no source is configured".to_owned());
    }
    answer("the platform is healthy", unknown, because)
}

fn application(look: &Look, since: Timestamp, tenant: Option<&TenantId>) -> Judged {
    let about = |f: &&Finding| APPLICATION.contains(&f.rule.as_str()) || f.classes.contains(&Class::Impact);
    let because: Vec<String> = found(look, since, tenant).filter(about).map(|f| f.what.clone()).collect();
    let rows = look.panes.tenants.iter().filter(|r| tenant.is_none_or(|t| r.id == *t));
    let mut rows = rows.peekable();
    let mut unknown = Vec::new();
    if rows.peek().is_none() {
        unknown.push("there is no tenant".to_owned());
    }
    unknown.extend(rows.filter(|r| r.health == Health::Unknown).map(|r| format!("{}: {}", r.id, r.why)));
    unknown.extend(uncompared(look, tenant));
    answer("the application is stable", unknown, because)
}

fn workflows(look: &Look, since: Timestamp, tenant: Option<&TenantId>) -> Judged {
    let about = |f: &&Finding| WORKFLOWS.contains(&f.rule.as_str());
    let mut because: Vec<String> = found(look, since, tenant).filter(about).map(|f| f.what.clone()).collect();
    let rows = look.panes.business.iter().filter(|r| tenant.is_none_or(|t| r.tenant.as_ref() == Some(t)));
    because.extend(rows.clone().filter(|r| r.health == Health::Critical).map(|r| format!("{}: {}", r.name, r.why)));
    let channels = look.panes.queues.iter().map(crate::domain::pane::QueueRow::health);
    let mut all = rows.map(|r| r.health).chain(channels.filter(|_| tenant.is_none())).peekable();
    let watched = all.peek().is_some();
    let known = watched && all.all(|h| h != Health::Unknown);
    // Of one tenant without a process that is watched, its own row tells of its jobs and crons.
    let own = tenant.and_then(|t| look.panes.tenants.iter().find(|r| r.id == *t));
    let known = known || !watched && own.is_some_and(|r| r.queue_depth.is_some() || r.cron_lateness_s.is_some());
    because.dedup();
    let unknown = if known { Vec::new() } else { vec!["a process or a channel of jobs is not known".to_owned()] };
    answer("the workflows are within their thresholds", unknown, because)
}
