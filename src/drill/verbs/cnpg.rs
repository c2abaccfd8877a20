//! `CloudNativePG` of the simulated estate: each pair is a Cluster of the name of its first server, with the instances
//! NAME and NAME-r; its Service follows the primary.

use super::effect::{Aim, Done, Effect, Look, http};
use super::given::Given;
use crate::domain::id::SourceId;
use crate::domain::ports::VerbError;
use crate::domain::text::sanitize;
use crate::drill::model::Simulation;
use crate::drill::model::build::CLUSTER;
use crate::drill::model::pair::Route;
use crate::drill::model::shared::Instance;
use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) static EFFECTS: &[Effect] = &[
    Effect { name: "cnpg.fence", aim: fence_aim, act: fence, stands: |g, s| found(g, s).is_ok_and(|i| i.pair.fenced) },
    Effect {
        name: "cnpg.unfence",
        aim: fence_aim,
        act: unfence,
        stands: |g, s| found(g, s).is_ok_and(|i| !i.pair.fenced),
    },
    Effect {
        name: "cnpg.promote",
        aim: promote_aim,
        act: promote,
        stands: |g, s| found(g, s).is_ok_and(|i| i.pair.promoted),
    },
    Effect {
        name: "cnpg.scale",
        aim: scale_aim,
        act: scale,
        stands: |g, s| found(g, s).is_ok_and(|i| i.pair.rebuilt.is_some()),
    },
    Effect {
        name: "cnpg.backup",
        aim: backup_aim,
        act: backup,
        stands: |g, s| found(g, s).is_ok_and(|i| i.backups.running.is_some()),
    },
    Effect { name: "cnpg.restore_aside", aim: restore_aim, act: restore, stands: |g, s| aside(g, s).is_some() },
];

pub(super) static LOOKS: &[Look] = &[
    Look { name: "cnpg.status", aim: status_aim, tell: status },
    Look { name: "cnpg.backup_status", aim: backup_status_aim, tell: backup_status },
];

fn id(given: &Given<'_>) -> Result<SourceId, VerbError> {
    given.cluster()?;
    given.text("namespace")?;
    given.text("database").map(SourceId::new)
}

fn found<'s>(given: &Given<'_>, sim: &'s Simulation) -> Result<&'s Instance, VerbError> {
    let id = id(given)?;
    sim.instances.get(&id).ok_or_else(|| VerbError::new(format!("there is no Cluster {}", sanitize(id.as_str()))))
}

fn found_mut<'s>(given: &Given<'_>, sim: &'s mut Simulation) -> Result<&'s mut Instance, VerbError> {
    let id = id(given)?;
    sim.instances.get_mut(&id).ok_or_else(|| VerbError::new(format!("there is no Cluster {}", sanitize(id.as_str()))))
}

/// A patch of the Cluster, with its state bound.
fn patch(given: &Given<'_>, sim: &Simulation, body: &Value) -> Result<Aim, VerbError> {
    let (id, instance) = (id(given)?, found(given, sim)?);
    let path = format!("/apis/postgresql.cnpg.io/v1/namespaces/{}/clusters/{id}", given.text("namespace")?);
    let aim = Aim::at(CLUSTER, format!("Cluster {id}"), http("PATCH", path, body));
    let tenants = sim.tenants.iter().filter(|t| t.instance == id).map(|t| t.id.clone());
    let pair = &instance.pair;
    let bound = json!({ "timeline": pair.timeline, "fenced": pair.fenced, "promoted": pair.promoted });
    Ok(Aim { identity: instance.system_identifier.clone(), ..aim }.tenants(tenants).bound(bound))
}

fn fence_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let (id, name) = (id(given)?, given.text("instance")?);
    if name != id.as_str() {
        return Err(VerbError::new(format!("{} is not the instance that was the primary, {id}", sanitize(&name))));
    }
    let aim = patch(given, sim, &json!({ "metadata": { "annotations": { "cnpg.io/fencedInstances": [name] } } }))?;
    Ok(aim.means("everyone whose database this is: PostgreSQL is shut down and kept down", "cnpg.unfence"))
}

fn fence(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    found_mut(given, sim)?.pair.fenced = true;
    Ok((json!({ "fenced": [given.text("instance")?] }), "it is fenced: it takes no writes".into()))
}

fn unfence(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let pair = &mut found_mut(given, sim)?.pair;
    if pair.promoted {
        return Err(VerbError::new("another instance was promoted: it comes back as its replica, not by unfencing"));
    }
    pair.fenced = false;
    Ok((json!({ "fenced": [] }), "PostgreSQL starts again".into()))
}

fn promote_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let (id, name, pair) = (id(given)?, given.text("instance")?, &found(given, sim)?.pair);
    if name != format!("{id}-r") || pair.promoted {
        return Err(VerbError::new(format!("{} can not become the primary of {id}", sanitize(&name))));
    }
    if pair.first_writes() && given.or("planned", "false")? != "true" {
        return Err(VerbError::new(format!("{id} still takes writes: fence it first, or there are two primaries")));
    }
    let aim = patch(given, sim, &json!({ "status": { "targetPrimary": name } }))?;
    Ok(aim.means(
        "writes that the replica has not received are lost; every client is cut off for some seconds",
        "another switch goes back once the old primary follows; lost writes stay lost",
    ))
}

fn promote(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let pair = &mut found_mut(given, sim)?.pair;
    pair.fenced = true;
    pair.promote();
    // The Service of the Cluster follows its primary.
    pair.route = Route::Second;
    let timeline = pair.timeline;
    Ok((json!({ "target": given.text("instance")?, "timeline": timeline }), format!("it begins timeline {timeline}")))
}

fn scale_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let wanted = given.number("instances")?;
    if wanted == 0 {
        return Err(VerbError::new("a Cluster has 1 instance or more"));
    }
    let aim = patch(given, sim, &json!({ "spec": { "instances": wanted } }))?;
    Ok(Aim { count: u64::from(wanted), ..aim }
        .means("nobody; a new replica copies the whole database", "the same with the number before"))
}

fn scale(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let (wanted, tick) = (given.number("instances")?, sim.elapsed_s());
    let pair = &mut found_mut(given, sim)?.pair;
    if wanted > 1 {
        pair.rebuild(tick);
    } else {
        pair.receiving = false;
    }
    Ok((json!({ "instances": wanted }), format!("{wanted} instances are asked for")))
}

fn status_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let aim = patch(given, sim, &Value::Null)?;
    Ok(aim.means("nobody: it only reads", "there is nothing to take back"))
}

fn status(given: &Given<'_>, sim: &Simulation) -> Result<Done, VerbError> {
    let (id, instance) = (id(given)?, found(given, sim)?);
    let pair = &instance.pair;
    let second = format!("{id}-r");
    let primary = if pair.promoted { second.clone() } else { id.to_string() };
    let mut healthy = Vec::new();
    if pair.first_writes() {
        healthy.push(id.to_string());
    }
    if pair.promoted || pair.receiving {
        healthy.push(second);
    }
    let fenced: Vec<String> = if pair.fenced { vec![id.to_string()] } else { Vec::new() };
    let settled = healthy.contains(&primary);
    let words = format!("primary {primary}, {} of 2 instances healthy, timeline {}", healthy.len(), pair.timeline);
    let result = json!({
        "primary": primary, "target": primary, "settled": settled, "instances": 2, "healthy": healthy, "fenced": fenced,
        "phase": if settled { "Cluster in healthy state" } else { "Failing over" }, "timeline": pair.timeline,
    });
    Ok((result, words))
}

fn backup_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let name = given.text("name")?;
    let aim = patch(
        given,
        sim,
        &json!({ "kind": "Backup", "metadata": { "name": name }, "spec": { "target": "prefer-standby" } }),
    )?;
    Ok(Aim { object: format!("Backup {name} of {}", id(given)?), ..aim }
        .means("nobody; disk and network are busy", "the backup can be deleted"))
}

fn backup(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let tick = sim.elapsed_s();
    if !found_mut(given, sim)?.backups.begin(tick) {
        return Err(VerbError::new("a backup is under way already"));
    }
    Ok((json!({ "name": given.text("name")? }), "the backup has begun".into()))
}

fn backup_status_aim(given: &Given<'_>, _: &Simulation) -> Result<Aim, VerbError> {
    given.cluster()?;
    let (namespace, name) = (given.text("namespace")?, given.text("name")?);
    let path = format!("/apis/postgresql.cnpg.io/v1/namespaces/{namespace}/backups/{name}");
    Ok(Aim::at(CLUSTER, format!("Backup {namespace}/{name}"), http("GET", path, &Value::Null)))
}

/// The newest backup of all pairs: a Backup does not say whose it is, but for its name.
fn backup_status(_: &Given<'_>, sim: &Simulation) -> Result<Done, VerbError> {
    let newest = sim.instances.values().map(|i| &i.backups).max_by_key(|b| (b.running.is_some(), b.ended));
    let backups = newest.ok_or_else(|| VerbError::new("there is no backup"))?;
    let (running, error) = (backups.running.is_some(), backups.failing.clone().filter(|_| backups.running.is_none()));
    let phase = if running {
        "running"
    } else if error.is_some() {
        "failed"
    } else {
        "completed"
    };
    let result = json!({
        "phase": phase, "completed": phase == "completed", "failed": phase == "failed", "started": null,
        "stopped": (!running).then(|| sim.at(backups.ended).to_string()), "error": error,
    });
    Ok((result, format!("it is {phase}")))
}

fn aside<'s>(given: &Given<'_>, sim: &'s Simulation) -> Option<&'s crate::drill::model::backups::Aside> {
    found(given, sim).ok()?.backups.aside(&given.text("name").ok()?)
}

/// The tick to which is restored; without one, now.
fn until(given: &Given<'_>, sim: &Simulation) -> Result<i64, VerbError> {
    let Some(text) = given.optional("until")? else { return Ok(sim.elapsed_s()) };
    let wrong = || VerbError::new(format!("argument until: {} is not RFC 3339 with an offset", sanitize(&text)));
    let at: Timestamp = text.parse().map_err(|_| wrong())?;
    let tick = sim.tick_of(at);
    let first = found(given, sim)?.backups.ended;
    if tick > sim.elapsed_s() || tick < first {
        return Err(VerbError::new(format!("until lies between the end of the backup, {}, and now", sim.at(first))));
    }
    Ok(tick)
}

fn restore_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let (name, to) = (given.text("name")?, until(given, sim)?);
    if aside(given, sim).is_some() {
        return Err(VerbError::new(format!("there is a Cluster {} already", sanitize(&name))));
    }
    let body = json!({ "kind": "Cluster", "metadata": { "name": name }, "spec": { "bootstrap": { "recovery": { "recoveryTarget": { "targetTime": sim.at(to).to_string() } } } } });
    let aim = patch(given, sim, &body)?;
    Ok(Aim { object: format!("new Cluster {name} beside {}", id(given)?), tenants: Vec::new(), ..aim }
        .bound(Value::Null)
        .means("nobody: what is stays untouched; disk and network are busy", "the new Cluster can be deleted"))
}

fn restore(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let (name, to, tick) = (given.text("name")?, until(given, sim)?, sim.elapsed_s());
    found_mut(given, sim)?.backups.restore(&name, to, tick);
    let until = sim.at(to);
    Ok((json!({ "name": name, "until": until.to_string() }), format!("{name} is being restored as of {until}")))
}
