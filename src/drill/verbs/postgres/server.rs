//! One simulated server: connection limits, checkpoints, marks in the WAL, promotion, replication.

use super::super::effect::{Aim, Done, Effect, Look, sql};
use super::super::given::Given;
use crate::domain::facts::Facts;
use crate::domain::id::{SourceId, TenantId};
use crate::domain::ports::VerbError;
use crate::domain::text::sanitize;
use crate::drill::model::Simulation;
use crate::drill::model::shared::Instance;
use serde_json::json;

pub(super) static EFFECTS: &[Effect] = &[
    Effect { name: "postgres.set_connection_limit", aim: limit_aim, act: set_limit, stands: limited },
    Effect { name: "postgres.checkpoint", aim: checkpoint_aim, act: checkpoint, stands: |_, _| false },
    Effect { name: "postgres.create_restore_point", aim: mark_aim, act: mark, stands: marked },
    Effect { name: "postgres.switch_wal", aim: switch_aim, act: switch, stands: |_, _| false },
    Effect { name: "postgres.promote", aim: promote_aim, act: promote, stands: promoted },
];

pub(super) static LOOKS: &[Look] = &[Look { name: "postgres.replication", aim: replication_aim, tell: replication }];

/// Name of the pair that the argument `instance` belongs to, and whether it names the second server.
fn pair(given: &Given<'_>, sim: &Simulation) -> Result<(SourceId, bool), VerbError> {
    let name = given.text("instance")?;
    let first = SourceId::new(&*name);
    if sim.instances.contains_key(&first) {
        return Ok((first, false));
    }
    let second = name.strip_suffix("-r").map(SourceId::new).filter(|id| sim.instances.contains_key(id));
    second.map(|id| (id, true)).ok_or_else(|| VerbError::new(format!("there is no instance {}", sanitize(&name))))
}

fn found<'s>(sim: &'s Simulation, id: &SourceId) -> Result<&'s Instance, VerbError> {
    sim.instances.get(id).ok_or_else(|| VerbError::new(format!("there is no instance {id}")))
}

fn found_mut<'s>(sim: &'s mut Simulation, id: &SourceId) -> Result<&'s mut Instance, VerbError> {
    sim.instances.get_mut(id).ok_or_else(|| VerbError::new(format!("there is no instance {id}")))
}

/// A statement on a server; what is written needs one that takes writes.
fn statement(
    given: &Given<'_>,
    sim: &Simulation,
    text: &str,
    parameters: Vec<String>,
    writes: bool,
) -> Result<Aim, VerbError> {
    let (id, second) = pair(given, sim)?;
    let instance = found(sim, &id)?;
    let name = given.text("instance")?;
    let up = if second { true } else { !instance.pair.down };
    let takes_writes = if second { instance.pair.promoted } else { instance.pair.first_writes() };
    if !up || (writes && !takes_writes) {
        return Err(VerbError::new(format!("{name} takes no writes now")));
    }
    let tenants = sim.tenants.iter().filter(|t| t.instance == id).map(|t| t.id.clone());
    let aim = Aim::at(&*name, format!("server {name}"), sql("postgres", text, parameters));
    Ok(Aim { identity: instance.system_identifier.clone(), ..aim }.tenants(tenants))
}

/// The tenant of the argument `database` on that instance.
fn of_database<'s>(
    given: &Given<'_>,
    sim: &'s Simulation,
) -> Result<&'s crate::drill::model::tenant::Tenant, VerbError> {
    let ((id, _), database) = (pair(given, sim)?, given.text("database")?);
    let found = sim.tenant(&TenantId::new(&*database)).filter(|t| t.instance == id);
    found.ok_or_else(|| VerbError::new(format!("{id} has no database {}", sanitize(&database))))
}

/// The limit that is asked for; -1 is none.
fn limit(given: &Given<'_>) -> Result<Option<u32>, VerbError> {
    match given.text("limit")?.as_str() {
        "-1" => Ok(None),
        _ => given.number("limit").map(Some),
    }
}

fn limit_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let tenant = of_database(given, sim)?;
    let (was, wanted) = (tenant.limits.connections, limit(given)?);
    let shown = wanted.map_or(-1, i64::from);
    let text = format!("ALTER DATABASE \"{}\" CONNECTION LIMIT {shown}", tenant.id);
    let aim = statement(given, sim, &text, Vec::new(), true)?.tenants([tenant.id.clone()]);
    let beyond = wanted.map_or(0, |most| tenant.connections().saturating_sub(most));
    let hurts = format!("{beyond} sessions are beyond it now: new ones are refused until so many have ended");
    let undo = format!("the same with limit = {}", was.map_or(-1, i64::from));
    Ok(Aim { object: format!("database {}", tenant.id), ..aim }
        .bound(json!({ "datconnlimit": was.map_or(-1, i64::from) }))
        .means(hurts, undo))
}

fn set_limit(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let (id, wanted) = (of_database(given, sim)?.id.clone(), limit(given)?);
    if let Some(tenant) = sim.tenant_mut(&id) {
        tenant.limits.connections = wanted;
    }
    let shown = wanted.map_or(-1, i64::from);
    Ok((json!({ "limit": shown }), format!("database {id} may have {shown} sessions")))
}

fn limited(given: &Given<'_>, sim: &Simulation) -> bool {
    of_database(given, sim).is_ok_and(|t| limit(given) == Ok(t.limits.connections))
}

fn checkpoint_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let aim = statement(given, sim, "CHECKPOINT", Vec::new(), false)?;
    Ok(aim.means("everyone a little: the disk is busy for as long as it takes", "there is nothing to take back"))
}

fn checkpoint(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let (id, _) = pair(given, sim)?;
    let instance = found_mut(sim, &id)?;
    instance.checkpoints += 1;
    // What is not archived is kept.
    if instance.backups.failing.is_none() {
        instance.volume.free();
    }
    Ok((json!({ "checkpoint": true }), "all changed pages are on disk".into()))
}

/// A position in the WAL: a segment a minute.
fn lsn(sim: &Simulation, instance: &Instance) -> String {
    format!("{:X}/{:08X}", instance.backups.archived, sim.elapsed_s().max(0) * 0x1_0000)
}

fn mark_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let name = given.text("name")?;
    let aim = statement(given, sim, "SELECT pg_catalog.pg_create_restore_point($1)", vec![name.clone()], true)?;
    let server = given.text("instance")?;
    Ok(Aim { object: format!("mark {} in the WAL of {server}", sanitize(&name)), tenants: Vec::new(), ..aim }
        .means("nobody", "can not be taken back, and need not be"))
}

fn mark(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let ((id, _), name, tick) = (pair(given, sim)?, given.text("name")?, sim.elapsed_s());
    let at = lsn(sim, found(sim, &id)?);
    found_mut(sim, &id)?.backups.restore_points.push((name.clone(), tick));
    Ok((json!({ "lsn": at }), format!("mark {name} is at {at}")))
}

fn marked(given: &Given<'_>, sim: &Simulation) -> bool {
    let (Ok((id, _)), Ok(name)) = (pair(given, sim), given.text("name")) else { return false };
    found(sim, &id).is_ok_and(|i| i.backups.restore_points.iter().any(|(n, _)| *n == name))
}

fn switch_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let aim = statement(given, sim, "SELECT pg_catalog.pg_switch_wal()", Vec::new(), true)?;
    Ok(Aim { tenants: Vec::new(), ..aim }.means("nobody", "there is nothing to take back"))
}

fn switch(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let (id, _) = pair(given, sim)?;
    let at = lsn(sim, found(sim, &id)?);
    let tick = sim.elapsed_s();
    let instance = found_mut(sim, &id)?;
    if instance.backups.failing.is_none() {
        instance.backups.archive(tick);
    }
    let segment = format!("{:024X}", instance.backups.archived);
    Ok((json!({ "switched": true, "segment": segment, "lsn": at }), format!("segment {segment} has ended at {at}")))
}

fn promote_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let (id, second) = pair(given, sim)?;
    let pair = &found(sim, &id)?.pair;
    let name = given.text("instance")?;
    if !second || pair.promoted {
        return Err(VerbError::new(format!("{name} is a primary already")));
    }
    if pair.first_writes() && pair.receiving {
        let why = format!("{name} still receives WAL from {id}: fence {id} first, or there are two primaries");
        return Err(VerbError::new(why));
    }
    let aim = statement(given, sim, "SELECT pg_catalog.pg_promote(false)", Vec::new(), false)?;
    Ok(Aim { object: format!("server {name}, in recovery on timeline {}", pair.timeline), ..aim }
        .bound(json!({ "timeline": pair.timeline, "in_recovery": true }))
        .means(
            "whoever still writes to the old primary: what it took after the last WAL that was received is lost",
            "can not be taken back: the old primary has to be built again as its replica",
        ))
}

fn promote(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let (id, _) = pair(given, sim)?;
    let pair = &mut found_mut(sim, &id)?.pair;
    pair.promote();
    Ok((json!({ "promoting": true }), format!("told it to end its recovery; it begins timeline {}", pair.timeline)))
}

fn promoted(given: &Given<'_>, sim: &Simulation) -> bool {
    pair(given, sim).and_then(|(id, _)| found(sim, &id).map(|i| i.pair.promoted)).unwrap_or(false)
}

fn replication_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let text = "SELECT pg_is_in_recovery(), standbys, slots FROM pg_stat_replication, pg_replication_slots";
    let (id, _) = pair(given, sim)?;
    let name = given.text("instance")?;
    let identity = found(sim, &id)?.system_identifier.clone();
    Ok(Aim { identity, ..Aim::at(&*name, format!("replication of {name}"), sql("postgres", text, Vec::new())) })
}

fn replication(given: &Given<'_>, sim: &Simulation) -> Result<Done, VerbError> {
    let (id, _) = pair(given, sim)?;
    let (name, instance) = (given.text("instance")?, found(sim, &id)?);
    let seen = sim.look(&SourceId::new(&*name)).map_err(|why| VerbError::new(why.message))?;
    let Facts::Postgres(facts) = seen else { return Err(VerbError::new(format!("{name} is no PostgreSQL"))) };
    let standbys: Vec<_> = facts
        .standbys
        .iter()
        .map(|s| {
            json!({
                "name": s.name, "state": s.state, "sync_state": s.sync_state, "replay_lag_s": s.replay_lag_s,
                "lag_bytes": s.lag_bytes,
            })
        })
        .collect();
    let streams = !standbys.is_empty();
    let slots = json!([{
        "name": format!("{id}_r").replace('-', "_"), "type": "physical", "active": streams,
        "wal_status": if streams { "reserved" } else { "extended" }, "held_bytes": if streams { 0 } else { 1 << 24 },
    }]);
    let words = if facts.in_recovery {
        format!("{name} is a replica")
    } else if streams {
        format!("one standby streams, {:.1} s behind", instance.lag_s)
    } else {
        "no standby is connected".to_owned()
    };
    let slots = if facts.in_recovery { json!([]) } else { slots };
    let result = json!({
        "in_recovery": facts.in_recovery, "lsn": lsn(sim, instance), "standbys": standbys, "slots": slots,
    });
    Ok((result, words))
}
