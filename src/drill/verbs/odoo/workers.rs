//! Crons and workers of a simulated tenant.

use super::super::effect::{Aim, Done, Effect, http};
use super::super::given::Given;
use super::{statement, tenant, tenant_mut};
use crate::domain::id::SourceId;
use crate::domain::ports::VerbError;
use crate::domain::synthetic::Synthetic;
use crate::domain::text::sanitize;
use crate::drill::model::Simulation;
use crate::drill::model::build::CLUSTER;
use serde_json::{Value, json};

pub(super) static EFFECTS: &[Effect] = &[
    Effect { name: "odoo.pause_crons", aim: pause_aim, act: pause, stands: |g, s| paused(g, s) == Some(true) },
    Effect { name: "odoo.resume_crons", aim: resume_aim, act: resume, stands: |g, s| paused(g, s) == Some(false) },
    Effect { name: "odoo.set_job_priority", aim: priority_aim, act: set_priority, stands: has_priority },
    Effect { name: "odoo.set_channel_capacity", aim: capacity_aim, act: set_capacity, stands: has_capacity },
    Effect { name: "odoo.set_worker_profile", aim: profile_aim, act: set_profile, stands: has_profile },
    Effect { name: "odoo.synthetic", aim: synthetic_aim, act: synthetic, stands: |_, _| false },
    Effect { name: "odoo.restart_workers", aim: restart_aim, act: restart, stands: restarted },
];

/// The crons that every tenant has, by name; the first are those that the plants wait for.
const CRONS: [&str; 6] = [
    "Procurement: run scheduler",
    "Carriers: fetch labels",
    "Mail: fleet digest",
    "Accounting: follow-up letters",
    "CRM: lead scoring",
    "Website: sitemap",
];

/// The crons that a pause touches.
fn chosen(given: &Given<'_>) -> Result<Vec<String>, VerbError> {
    let (only, except) = (given.list("crons")?, given.list("except")?);
    if let Some(name) = only.iter().chain(&except).find(|name| !CRONS.contains(&name.as_str())) {
        return Err(VerbError::new(format!("no active cron is named {}", sanitize(name))));
    }
    let wanted =
        |name: &&&str| (only.is_empty() || only.iter().any(|n| n == **name)) && !except.iter().any(|n| n == **name);
    Ok(CRONS.iter().filter(wanted).map(|name| (*name).to_owned()).collect())
}

fn paused(given: &Given<'_>, sim: &Simulation) -> Option<bool> {
    tenant(given, sim).ok().map(|t| !t.limits.crons_paused.is_empty())
}

fn pause_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let (names, was) = (chosen(given)?, tenant(given, sim)?.limits.crons_paused.clone());
    if names.is_empty() {
        return Err(VerbError::new("there is no active cron to pause"));
    }
    let text = "UPDATE public.ir_cron SET active = false WHERE cron_name = ANY($1) AND active";
    let aim = statement(given, sim, text, vec![names.join(", ")], format!("{} crons", names.len()))?;
    Ok(Aim { count: u64::try_from(names.len()).unwrap_or(0), ..aim }
        .bound(json!({ "paused": was }))
        .means(format!("whoever waits for {}", names.join(", ")), "odoo.resume_crons activates just these again"))
}

fn pause(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let names = chosen(given)?;
    let count = names.len();
    tenant_mut(given, sim)?.limits.crons_paused = names;
    Ok((json!({ "paused": (1..=count).collect::<Vec<_>>(), "running": 0 }), format!("{count} crons are paused")))
}

fn resume_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let was = tenant(given, sim)?.limits.crons_paused.clone();
    if was.is_empty() {
        return Err(VerbError::new("no cron was paused"));
    }
    let text = "UPDATE public.ir_cron SET active = true WHERE id = ANY($1)";
    let aim = statement(given, sim, text, vec![was.join(", ")], format!("{} crons", was.len()))?;
    Ok(aim.bound(json!({ "paused": was })).means("nobody; missed runs start now", "odoo.pause_crons"))
}

fn resume(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let count = std::mem::take(&mut tenant_mut(given, sim)?.limits.crons_paused).len();
    Ok((json!({ "resumed": (1..=count).collect::<Vec<_>>() }), format!("{count} crons are active again")))
}

/// The channel that the argument names, which has to be there.
fn channel(given: &Given<'_>, sim: &Simulation) -> Result<String, VerbError> {
    let name = given.text("channel")?;
    let there = tenant(given, sim)?.jobs.channel(&name).is_some();
    if there { Ok(name) } else { Err(VerbError::new(format!("there is no channel {}", sanitize(&name)))) }
}

fn priority_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let (name, wanted) = (channel(given, sim)?, given.number("priority")?);
    let found = tenant(given, sim)?.jobs.channel(&name);
    let (was, jobs) = found.map_or((0, 0), |c| (c.priority, c.depth()));
    let text = "UPDATE public.queue_job SET priority = $2 WHERE state = 'pending' AND channel = $1";
    let aim = statement(given, sim, text, vec![name.clone(), wanted.to_string()], format!("jobs of channel {name}"))?;
    Ok(Aim { count: u64::from(jobs), ..aim }
        .bound(json!({ "priority": was }))
        .means("jobs of the other channels wait for longer", format!("the same with priority = {was}")))
}

fn set_priority(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let (name, wanted) = (channel(given, sim)?, given.number("priority")?);
    let mut changed = 0;
    if let Some(channel) = tenant_mut(given, sim)?.jobs.channel_mut(&name) {
        channel.priority = wanted;
        changed = channel.depth();
    }
    Ok((json!({ "changed": changed, "priority": wanted }), format!("{changed} waiting jobs have priority {wanted}")))
}

fn has_priority(given: &Given<'_>, sim: &Simulation) -> bool {
    let (Ok(name), Ok(t)) = (channel(given, sim), tenant(given, sim)) else { return false };
    t.jobs.channel(&name).is_some_and(|c| given.number("priority") == Ok(c.priority))
}

/// The capacity that is asked for: what the real verb takes.
fn capacity(given: &Given<'_>) -> Result<u32, VerbError> {
    let wanted = given.number("capacity")?;
    if (1..=1000).contains(&wanted) {
        return Ok(wanted);
    }
    Err(VerbError::new(format!("the argument capacity is {wanted}; allowed is 1 to 1000")))
}

/// The bound on the channel that stands afterwards: none once it is as before.
fn bound(given: &Given<'_>) -> Result<Option<u32>, VerbError> {
    let wanted = capacity(given)?;
    Ok((!lifts(given)?).then_some(wanted))
}

fn lifts(given: &Given<'_>) -> Result<bool, VerbError> {
    Ok(given.or("lift", "false")? == "true")
}

/// A change of the worker Deployment.
fn deployment(given: &Given<'_>, sim: &Simulation, what: String, body: &Value) -> Result<Aim, VerbError> {
    let t = tenant(given, sim)?;
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/{}", t.id, t.workers.name);
    let aim = Aim::at(CLUSTER, what, http("PATCH", path, body)).tenants([t.id.clone()]);
    Ok(aim.bound(json!({ "metadata.generation": t.workers.revision })))
}

fn capacity_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let (name, wanted) = (channel(given, sim)?, capacity(given)?);
    let was = tenant(given, sim)?.jobs.channel(&name).and_then(|c| c.capacity);
    let body = json!({ "env": { "ODOO_QUEUE_JOB_CHANNELS": format!("{name}:{wanted}") } });
    let aim = deployment(given, sim, format!("capacity of channel {name}"), &body)?;
    let undo = format!("the same with capacity = {}", was.unwrap_or(0));
    let hurts = if lifts(given)? {
        format!("the job runner's pods are replaced; then {name}:{wanted}, as before")
    } else {
        format!("jobs of {name} wait for longer; the job runner's pods are replaced")
    };
    Ok(aim.means(hurts, undo))
}

fn set_capacity(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let (name, wanted, tick) = (channel(given, sim)?, bound(given)?, sim.elapsed_s());
    let t = tenant_mut(given, sim)?;
    if let Some(channel) = t.jobs.channel_mut(&name) {
        channel.capacity = wanted;
    }
    t.restart_workers(tick);
    Ok((json!({ "generation": t.workers.revision }), format!("channel {name} is changed, its pods are replaced")))
}

fn has_capacity(given: &Given<'_>, sim: &Simulation) -> bool {
    let (Ok(name), Ok(t)) = (channel(given, sim), tenant(given, sim)) else { return false };
    t.jobs.channel(&name).is_some_and(|c| bound(given) == Ok(c.capacity))
}

fn profile(given: &Given<'_>) -> Result<String, VerbError> {
    match (given.optional("cpu")?, given.optional("memory")?) {
        (None, None) => Err(VerbError::new("give cpu, memory or both")),
        (cpu, memory) => Ok(format!(
            "cpu {}, memory {}",
            cpu.as_deref().unwrap_or("as it is"),
            memory.as_deref().unwrap_or("as it is")
        )),
    }
}

fn profile_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let wanted = profile(given)?;
    let was = tenant(given, sim)?.limits.profile.clone().unwrap_or_else(|| "the usual".into());
    let aim = deployment(given, sim, format!("workers: {wanted}"), &json!({ "resources": wanted }))?;
    Ok(aim.means("the worker pods are replaced; jobs in hand are begun again", format!("back to {was}")))
}

fn set_profile(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let (wanted, tick) = (profile(given)?, sim.elapsed_s());
    let t = tenant_mut(given, sim)?;
    t.limits.profile = Some(wanted.clone());
    // Twice the memory makes a leak last twice as long.
    t.trouble.leak_mb *= 0.5;
    t.restart_workers(tick);
    Ok((json!({ "generation": t.workers.revision }), format!("workers have {wanted}, they are replaced")))
}

fn has_profile(given: &Given<'_>, sim: &Simulation) -> bool {
    tenant(given, sim).is_ok_and(|t| t.limits.profile == profile(given).ok())
}

fn synthetic_named(given: &Given<'_>) -> Result<Synthetic, VerbError> {
    let name = given.text("synthetic")?;
    let wrong = || {
        let allowed = Synthetic::ALL.map(Synthetic::name).join(", ");
        VerbError::new(format!("the argument synthetic is {}; allowed is {allowed}", sanitize(&name)))
    };
    Synthetic::named(&name).ok_or_else(wrong)
}

fn synthetic_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let (t, synthetic) = (tenant(given, sim)?, synthetic_named(given)?);
    let model = synthetic.document();
    let object = format!("probe company of tenant {}: {}", t.id, synthetic.what());
    let aim = Aim::at(
        SourceId::new(format!("odoo/{}", t.id)),
        object,
        http("POST", format!("/json/2/{model}/create"), &json!({})),
    );
    Ok(aim.tenants([t.id.clone()]).means(
        "nobody: it works in the probe company alone",
        "it takes away what it makes, and looks whether anything is left",
    ))
}

fn synthetic(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let synthetic = synthetic_named(given)?;
    // The database has to take writes.
    statement(given, sim, "SELECT 1", Vec::new(), String::new())?;
    let t = tenant(given, sim)?;
    let broken = match () {
        () if t.maintenance => Some("the maintenance page stands before it: HTTP 503"),
        () if t.lock.is_some() => Some("Odoo gave no answer in time"),
        () if t.broken_release > 0.2 => Some("Odoo answered HTTP 500"),
        () => None,
    };
    if let Some(why) = broken {
        return Err(VerbError::new(format!("{why}; nothing of the try is left")));
    }
    let result = json!({ "synthetic": synthetic.name(), "took_ms": 640, "calls": 9 });
    Ok((result, format!("{}, in 0.6 s, and nothing of it is left", synthetic.what())))
}

fn restart_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let aim = deployment(given, sim, "workers".into(), &json!({ "restartedAt": sim.now().to_string() }))?;
    Ok(aim.means("jobs in hand are begun again by their own retry", "ended work is not restored"))
}

fn restart(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let tick = sim.elapsed_s();
    let t = tenant_mut(given, sim)?;
    t.restart_workers(tick);
    Ok((json!({ "generation": t.workers.revision }), "the workers are replaced one after another".into()))
}

fn restarted(given: &Given<'_>, sim: &Simulation) -> bool {
    tenant(given, sim).is_ok_and(|t| t.workers.rolling(sim.elapsed_s()))
}
