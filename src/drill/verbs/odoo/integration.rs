//! Integrations of simulated tenants: `TENANT-CHANNEL` is the one whose jobs run in that channel below `root`.

use super::super::effect::{Aim, Done, Effect, sql};
use super::super::given::Given;
use crate::domain::id::TenantId;
use crate::domain::ports::VerbError;
use crate::domain::text::sanitize;
use crate::drill::model::Simulation;
use crate::drill::model::jobs::Channel;
use serde_json::json;

pub(super) static EFFECTS: &[Effect] = &[
    Effect {
        name: "integration.breaker_open",
        aim: open_aim,
        act: open,
        stands: |g, s| channel(g, s).is_ok_and(|c| c.open),
    },
    Effect {
        name: "integration.breaker_close",
        aim: close_aim,
        act: close,
        stands: |g, s| channel(g, s).is_ok_and(|c| !c.open),
    },
    Effect {
        name: "integration.buffer",
        aim: buffer_aim,
        act: buffer,
        stands: |g, s| channel(g, s).is_ok_and(|c| c.buffered() > 0),
    },
    Effect {
        name: "integration.replay",
        aim: replay_aim,
        act: replay,
        stands: |g, s| channel(g, s).is_ok_and(|c| c.buffered() == 0),
    },
];

fn named(given: &Given<'_>) -> Result<(TenantId, String), VerbError> {
    let id = given.text("integration")?;
    let (tenant, channel) = id.split_once('-').unwrap_or((&id, ""));
    Ok((TenantId::new(tenant), if channel == "root" { "root".into() } else { format!("root.{channel}") }))
}

fn missing(given: &Given<'_>) -> VerbError {
    VerbError::new(format!("there is no integration {}", sanitize(&given.text("integration").unwrap_or_default())))
}

fn channel<'s>(given: &Given<'_>, sim: &'s Simulation) -> Result<&'s Channel, VerbError> {
    let (tenant, name) = named(given)?;
    sim.tenant(&tenant).and_then(|t| t.jobs.channel(&name)).ok_or_else(|| missing(given))
}

fn channel_mut<'s>(given: &Given<'_>, sim: &'s mut Simulation) -> Result<&'s mut Channel, VerbError> {
    let (tenant, name) = named(given)?;
    sim.tenant_mut(&tenant).and_then(|t| t.jobs.channel_mut(&name)).ok_or_else(|| missing(given))
}

fn aim(given: &Given<'_>, sim: &Simulation, text: &str) -> Result<Aim, VerbError> {
    let ((id, name), found) = (named(given)?, channel(given, sim)?);
    let tenant = sim.tenant(&id).ok_or_else(|| missing(given))?;
    let object = format!("integration {} (channel {name} of {id})", given.text("integration")?);
    let aim = Aim::at(tenant.instance.clone(), object, sql(id.as_str(), text, vec![name]));
    Ok(aim.tenants([id]).bound(json!({ "open": found.open })))
}

const SWITCH: &str = "UPDATE public.ir_config_parameter SET value = $2 WHERE key = $1 AND value = $3";

fn open_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let hurts = "the partner gets nothing until it is closed again; its messages wait and none is lost";
    Ok(aim(given, sim, SWITCH)?.means(hurts, "integration.breaker_close"))
}

fn close_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    Ok(aim(given, sim, SWITCH)?.means("the partner, if it is still not well", "integration.breaker_open"))
}

fn open(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    channel_mut(given, sim)?.open = true;
    Ok((json!({ "switched": true }), "nothing of it is tried any more".into()))
}

fn close(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    channel_mut(given, sim)?.open = false;
    Ok((json!({ "switched": true }), "it calls out again".into()))
}

fn buffer_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let (due, held) = channel(given, sim).map(|c| (c.depth(), c.buffered()))?;
    let aim = aim(
        given,
        sim,
        "UPDATE public.queue_job SET state = 'wait_dependencies', eta = $2 WHERE state = 'pending' AND channel = $1",
    )?;
    Ok(Aim { count: u64::from(due), ..aim }
        .bound(json!({ "held": held }))
        .means("its messages are late for as long as they are held", "integration.replay"))
}

fn buffer(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let channel = channel_mut(given, sim)?;
    let (before, moved) = (channel.buffered(), channel.buffer());
    Ok((json!({ "counted": moved, "moved": moved, "held_before": before }), format!("{moved} jobs are held")))
}

fn replay_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let held = channel(given, sim)?.buffered();
    let aim = aim(
        given,
        sim,
        "UPDATE public.queue_job SET state = 'pending', eta = NULL WHERE state = 'wait_dependencies' AND channel = $1",
    )?;
    Ok(Aim { count: u64::from(held), ..aim }.bound(json!({ "held": held })).means(
        "the partner gets everything that was held in a short time",
        "integration.buffer holds what still waits",
    ))
}

fn replay(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let tick = sim.elapsed_s();
    let channel = channel_mut(given, sim)?;
    let (before, moved) = (channel.buffered(), channel.replay(tick));
    Ok((json!({ "counted": before, "moved": moved, "held_before": before }), format!("{moved} jobs may run")))
}
