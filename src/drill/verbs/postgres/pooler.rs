//! The simulated PgBouncer before each pair: clients held, let go, dropped, and sent to another server.

use super::super::effect::{Aim, Done, Effect, Look, sql};
use super::super::given::Given;
use crate::domain::id::{SourceId, TenantId};
use crate::domain::ports::VerbError;
use crate::domain::request::Operation;
use crate::domain::text::sanitize;
use crate::drill::model::Simulation;
use crate::drill::model::pair::{Pair, Route};
use serde_json::json;

pub(super) static EFFECTS: &[Effect] = &[
    Effect { name: "postgres.pgbouncer_pause", aim: pause_aim, act: pause, stands: |g, s| held(g, s) == Ok(true) },
    Effect { name: "postgres.pgbouncer_resume", aim: resume_aim, act: resume, stands: |g, s| held(g, s) == Ok(false) },
    Effect { name: "postgres.pgbouncer_kill", aim: kill_aim, act: kill, stands: |g, s| held(g, s) == Ok(true) },
    Effect { name: "postgres.pgbouncer_repoint", aim: repoint_aim, act: repoint, stands: repointed },
];

pub(super) static LOOKS: &[Look] = &[Look { name: "postgres.pool_status", aim: status_aim, tell: status }];

/// The pair behind the pooler of the argument `pooler`.
fn behind(given: &Given<'_>, sim: &Simulation) -> Result<SourceId, VerbError> {
    let name = given.text("pooler")?;
    let id = name.strip_suffix("-pool").map(SourceId::new).filter(|id| sim.instances.contains_key(id));
    id.ok_or_else(|| VerbError::new(format!("there is no PgBouncer {}", sanitize(&name))))
}

fn pair<'s>(given: &Given<'_>, sim: &'s Simulation) -> Result<&'s Pair, VerbError> {
    let id = behind(given, sim)?;
    sim.instances.get(&id).map(|i| &i.pair).ok_or_else(|| VerbError::new(format!("there is no {id}")))
}

fn change(given: &Given<'_>, sim: &mut Simulation, how: impl FnOnce(&mut Pair)) -> Result<(), VerbError> {
    let id = behind(given, sim)?;
    if let Some(instance) = sim.instances.get_mut(&id) {
        how(&mut instance.pair);
    }
    Ok(())
}

/// The database, which has to stand behind this pooler.
fn database(given: &Given<'_>, sim: &Simulation) -> Result<String, VerbError> {
    let (id, name) = (behind(given, sim)?, given.text("database")?);
    let there = sim.tenant(&TenantId::new(&*name)).is_some_and(|t| t.instance == id);
    let why =
        || VerbError::new(format!("{} has no database {}", given.text("pooler").unwrap_or_default(), sanitize(&name)));
    if there { Ok(name) } else { Err(why()) }
}

fn held(given: &Given<'_>, sim: &Simulation) -> Result<bool, VerbError> {
    Ok(pair(given, sim)?.paused.contains(&database(given, sim)?))
}

fn command(given: &Given<'_>, sim: &Simulation, word: &str) -> Result<Aim, VerbError> {
    let name = database(given, sim)?;
    let pooler = given.text("pooler")?;
    let operation = sql("pgbouncer", format!("{word} \"{name}\""), Vec::new());
    let aim = Aim::at(&*pooler, format!("database {name} of {pooler}"), operation);
    Ok(aim.tenants([TenantId::new(&*name)]).bound(json!({ "paused": held(given, sim)? })))
}

fn pause_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let hurts = "its clients wait until they are let go; in transaction pooling LISTEN/NOTIFY is lost";
    Ok(command(given, sim, "PAUSE")?.means(hurts, "postgres.pgbouncer_resume"))
}

fn resume_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    Ok(command(given, sim, "RESUME")?.means("nobody: held clients go on", "postgres.pgbouncer_pause"))
}

fn kill_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let hurts = "every transaction under way is lost, and new clients wait until they are let in";
    Ok(command(given, sim, "KILL")?
        .means(hurts, "postgres.pgbouncer_resume lets clients in; lost work is not restored"))
}

fn set_paused(given: &Given<'_>, sim: &mut Simulation, on: bool, word: &str) -> Result<Done, VerbError> {
    let name = database(given, sim)?;
    change(given, sim, |pair| {
        if on {
            pair.paused.insert(name.clone());
        } else {
            pair.paused.remove(&name);
        }
    })?;
    Ok((json!({ "command": format!("{word} {name}") }), format!("it did {word} {name}")))
}

fn pause(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    set_paused(given, sim, true, "PAUSE")
}

fn resume(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    set_paused(given, sim, false, "RESUME")
}

fn kill(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let id = TenantId::new(database(given, sim)?);
    if let Some(tenant) = sim.tenant_mut(&id) {
        // Whoever held or wanted a lock has lost its session.
        let jobs = tenant.lock.as_mut().map_or(0, crate::drill::model::locks::Lock::workers_gone);
        tenant.lock = None;
        tenant.trouble.connections = 0;
        let tick = sim.elapsed_s();
        if let Some(tenant) = sim.tenant_mut(&id) {
            tenant.jobs.lose_started(tick, jobs);
        }
    }
    set_paused(given, sim, true, "KILL")
}

/// Where a host name leads.
fn route(given: &Given<'_>, sim: &Simulation) -> Result<Route, VerbError> {
    let (id, host) = (behind(given, sim)?, given.text("host")?);
    let name = host.split('.').next().unwrap_or_default();
    let aside = sim.instances.get(&id).and_then(|i| i.backups.aside(name));
    match aside {
        Some(copy) if copy.ready > sim.elapsed_s() => {
            Err(VerbError::new(format!("{name} is still being restored: it takes no clients yet")))
        }
        Some(copy) => Ok(Route::Aside(copy.name.clone())),
        None if name == id.as_str() => Ok(Route::First),
        None if name.strip_suffix("-r") == Some(id.as_str()) => Ok(Route::Second),
        None => Err(VerbError::new(format!("there is no server {}", sanitize(&host)))),
    }
}

fn shown(route: &Route) -> &str {
    match route {
        Route::First => "the first server",
        Route::Second => "the second server",
        Route::Aside(name) => name,
    }
}

fn repoint_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let (name, wanted) = (database(given, sim)?, route(given, sim)?);
    let (pooler, host) = (given.text("pooler")?, given.text("host")?);
    let was = pair(given, sim)?.route_of(&name).clone();
    let content = format!("[databases]\n\"{name}\" = host={host} port={}\n", given.or("port", "5432")?);
    let operation = Operation::File { path: format!("/etc/pgbouncer/quarterdeck/{name}.ini"), content: Some(content) };
    let hurts = format!("clients of {name} are sent to {host}: what was written elsewhere is not there");
    Ok(Aim::at(&*pooler, format!("database {name} of {pooler} to {host}"), operation)
        .tenants([TenantId::new(&*name)])
        .bound(json!({ "host": shown(&was) }))
        .means(hurts, format!("the same with the host of {}; leads now to {}", shown(&was), shown(&wanted))))
}

fn repoint(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let (name, wanted) = (database(given, sim)?, route(given, sim)?);
    let words = format!("clients of {name} are sent to {}", given.text("host")?);
    change(given, sim, |pair| drop(pair.routes.insert(name, wanted)))?;
    Ok((json!({ "reloaded": true }), words))
}

fn repointed(given: &Given<'_>, sim: &Simulation) -> bool {
    match (pair(given, sim), database(given, sim), route(given, sim)) {
        (Ok(pair), Ok(name), Ok(wanted)) => *pair.route_of(&name) == wanted,
        _ => false,
    }
}

fn status_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    behind(given, sim)?;
    let pooler = given.text("pooler")?;
    Ok(Aim::at(&*pooler, format!("pools of {pooler}"), sql("pgbouncer", "SHOW DATABASES", Vec::new())))
}

fn status(given: &Given<'_>, sim: &Simulation) -> Result<Done, VerbError> {
    let (id, pair) = (behind(given, sim)?, pair(given, sim)?);
    let host = |database: &str| match pair.route_of(database) {
        Route::First => id.to_string(),
        Route::Second => format!("{id}-r"),
        Route::Aside(name) => name.clone(),
    };
    let rows: Vec<_> = sim
        .tenants
        .iter()
        .filter(|t| t.instance == id)
        .map(|t| {
            json!({
                "database": t.id, "host": host(t.id.as_str()), "port": 5432, "mode": "transaction",
                "paused": pair.paused.contains(t.id.as_str()), "disabled": false, "connections": t.connections() / 2,
            })
        })
        .collect();
    let words = format!("{} databases, {} paused", rows.len(), pair.paused.len());
    Ok((json!({ "databases": rows, "paused": pair.paused }), words))
}
