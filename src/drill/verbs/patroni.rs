//! Patroni of the simulated estate: each pair is a cluster of the name of its first member, the other is NAME-r; the
//! leader's address follows the leader.

use super::effect::{Aim, Done, Effect, http};
use super::given::Given;
use crate::domain::id::SourceId;
use crate::domain::ports::VerbError;
use crate::domain::text::sanitize;
use crate::drill::model::Simulation;
use crate::drill::model::pair::Route;
use crate::drill::model::shared::Instance;
use serde_json::{Value, json};

pub(super) static EFFECTS: &[Effect] = &[
    Effect {
        name: "patroni.switchover",
        aim: switchover_aim,
        act: promote,
        stands: |g, s| found(g, s).is_ok_and(|i| i.pair.promoted),
    },
    Effect {
        name: "patroni.failover",
        aim: failover_aim,
        act: promote,
        stands: |g, s| found(g, s).is_ok_and(|i| i.pair.promoted),
    },
    Effect {
        name: "patroni.pause",
        aim: pause_aim,
        act: pause,
        stands: |g, s| found(g, s).is_ok_and(|i| Ok(!i.pair.managed) == wanted(g)),
    },
    Effect {
        name: "patroni.reinit",
        aim: reinit_aim,
        act: reinit,
        stands: |g, s| found(g, s).is_ok_and(|i| i.pair.rebuilt.is_some()),
    },
];

fn id(given: &Given<'_>) -> Result<SourceId, VerbError> {
    given.text("patroni").map(SourceId::new)
}

fn found<'s>(given: &Given<'_>, sim: &'s Simulation) -> Result<&'s Instance, VerbError> {
    let id = id(given)?;
    sim.instances.get(&id).ok_or_else(|| VerbError::new(format!("there is no [[patroni]] {}", sanitize(id.as_str()))))
}

fn found_mut<'s>(given: &Given<'_>, sim: &'s mut Simulation) -> Result<&'s mut Instance, VerbError> {
    let id = id(given)?;
    sim.instances
        .get_mut(&id)
        .ok_or_else(|| VerbError::new(format!("there is no [[patroni]] {}", sanitize(id.as_str()))))
}

fn call(given: &Given<'_>, sim: &Simulation, path: &str, body: &Value) -> Result<Aim, VerbError> {
    let (id, instance) = (id(given)?, found(given, sim)?);
    let operation = http("POST", format!("https://{id}.db.example:8008/{path}"), body);
    let tenants = sim.tenants.iter().filter(|t| t.instance == id).map(|t| t.id.clone());
    let pair = &instance.pair;
    let bound = json!({ "timeline": pair.timeline, "promoted": pair.promoted, "managed": pair.managed });
    let aim = Aim::at(id.clone(), format!("Patroni cluster {id}"), operation);
    Ok(Aim { identity: instance.system_identifier.clone(), ..aim }.tenants(tenants).bound(bound))
}

/// The member that is to take over, which has to be the replica.
fn candidate(given: &Given<'_>, sim: &Simulation) -> Result<String, VerbError> {
    let (id, name, pair) = (id(given)?, given.text("candidate")?, &found(given, sim)?.pair);
    if name != format!("{id}-r") || pair.promoted {
        return Err(VerbError::new(format!("{} is no replica of {id}", sanitize(&name))));
    }
    Ok(name)
}

fn switchover_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let (to, pair) = (candidate(given, sim)?, &found(given, sim)?.pair);
    if !pair.first_writes() {
        return Err(VerbError::new("there is no healthy primary to switch from; that is patroni.failover"));
    }
    let aim = call(given, sim, "switchover", &json!({ "leader": id(given)?, "candidate": to }))?;
    Ok(aim.means("writes wait some seconds, open transactions are rolled back", "a switchover back"))
}

fn failover_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let (to, pair) = (candidate(given, sim)?, &found(given, sim)?.pair);
    if pair.first_writes() {
        return Err(VerbError::new("the primary is healthy; that is patroni.switchover"));
    }
    let aim = call(given, sim, "failover", &json!({ "candidate": to }))?;
    Ok(aim.means(
        "what the old primary committed and the candidate has not is lost",
        "can not be taken back: the old primary is rewound or made anew",
    ))
}

fn promote(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let pair = &mut found_mut(given, sim)?.pair;
    // Patroni stops the old leader before another one begins.
    pair.fenced = true;
    pair.promote();
    pair.route = Route::Second;
    let timeline = pair.timeline;
    Ok((
        json!({ "leader": given.text("candidate")?, "timeline": timeline }),
        format!("it leads on timeline {timeline}"),
    ))
}

fn wanted(given: &Given<'_>) -> Result<bool, VerbError> {
    Ok(given.or("paused", "true")? == "true")
}

fn pause_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let on = wanted(given)?;
    let aim = call(given, sim, "config", &json!({ "pause": on }))?;
    let hurts = if on { "nobody at once; no replica takes over by itself meanwhile" } else { "nobody" };
    Ok(aim.means(hurts, format!("the same with paused = {}", !on)))
}

fn pause(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let on = wanted(given)?;
    found_mut(given, sim)?.pair.managed = !on;
    let words = if on { "it does not fail over by itself" } else { "it fails over by itself again" };
    Ok((json!({ "paused": on }), words.into()))
}

fn reinit_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let (id, member, pair) = (id(given)?, given.text("member")?, &found(given, sim)?.pair);
    let replica = if pair.promoted { id.to_string() } else { format!("{id}-r") };
    if member != replica {
        return Err(VerbError::new(format!("{} is no replica of {id}", sanitize(&member))));
    }
    let aim = call(given, sim, "reinitialize", &json!({ "force": false }))?;
    Ok(Aim { object: format!("replica {member} of {id}"), ..aim }.means(
        "readers of it until it is whole again; the primary sends all of its data",
        "can not be taken back: it has to be copied to its end",
    ))
}

fn reinit(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let (member, tick) = (given.text("member")?, sim.elapsed_s());
    found_mut(given, sim)?.pair.rebuild(tick);
    Ok((json!({ "member": member }), format!("{member} is made anew")))
}
