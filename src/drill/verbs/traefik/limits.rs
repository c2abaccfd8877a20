//! Limits and routes of one tenant at its simulated ingress; each is taken away again with `lift`.

use super::super::effect::{Aim, Done, Effect};
use super::super::given::Given;
use crate::domain::ports::VerbError;
use crate::domain::request::Operation;
use crate::drill::model::Simulation;
use crate::drill::model::tenant::Tenant;
use serde_json::{Value, json};

pub(in crate::drill::verbs) static EFFECTS: &[Effect] = &[
    Effect {
        name: "traefik.rate_limit",
        aim: |g, s| aim(g, s, &RATE),
        act: |g, s| act(g, s, &RATE),
        stands: |g, s| stands(g, s, &RATE),
    },
    Effect {
        name: "traefik.in_flight_limit",
        aim: |g, s| aim(g, s, &IN_FLIGHT),
        act: |g, s| act(g, s, &IN_FLIGHT),
        stands: |g, s| stands(g, s, &IN_FLIGHT),
    },
    Effect {
        name: "traefik.circuit_breaker",
        aim: |g, s| aim(g, s, &BREAKER),
        act: |g, s| act(g, s, &BREAKER),
        stands: |g, s| stands(g, s, &BREAKER),
    },
    Effect {
        name: "traefik.route_priority",
        aim: |g, s| aim(g, s, &PRIORITY),
        act: |g, s| act(g, s, &PRIORITY),
        stands: |g, s| stands(g, s, &PRIORITY),
    },
    Effect {
        name: "traefik.weight_region",
        aim: |g, s| aim(g, s, &WEIGHT),
        act: |g, s| act(g, s, &WEIGHT),
        stands: |g, s| stands(g, s, &WEIGHT),
    },
];

/// One setting.
struct Setting {
    /// Argument that it takes.
    arg: &'static str,
    /// What it is, for people.
    what: &'static str,
    /// Whom it hurts.
    hurts: &'static str,
    /// How it stands.
    now: fn(&Tenant) -> Value,
    /// Sets it, or takes it away.
    set: fn(&mut Tenant, Option<&str>) -> Result<(), VerbError>,
}

fn number(text: Option<&str>, what: &str) -> Result<Option<u32>, VerbError> {
    let wrong = |_| VerbError::new(format!("{what} has to be a whole number"));
    text.map(|t| t.parse::<u32>().map_err(wrong)).transpose()
}

static RATE: Setting = Setting {
    arg: "average",
    what: "requests a second",
    hurts: "requests beyond it are answered with 429",
    now: |t| json!(t.limits.rate),
    set: |t, to| number(to, "average").map(|n| t.limits.rate = n),
};

static IN_FLIGHT: Setting = Setting {
    arg: "amount",
    what: "requests at once",
    hurts: "requests beyond it are answered with 429",
    now: |t| json!(t.limits.in_flight),
    set: |t, to| number(to, "amount").map(|n| t.limits.in_flight = n),
};

static BREAKER: Setting = Setting {
    arg: "share",
    what: "share of failures at which requests are cut short",
    hurts: "while it is open everybody gets 503 at once",
    now: |t| json!(t.limits.circuit_breaker),
    set: |t, to| {
        t.limits.circuit_breaker = to.is_some();
        Ok(())
    },
};

static PRIORITY: Setting = Setting {
    arg: "priority",
    what: "priority of the route to its own service",
    hurts: "other routers that take this host are not asked any more",
    now: |t| json!(t.limits.route_priority),
    set: |t, to| {
        t.limits.route_priority = number(to, "priority")?;
        // The router that took its host loses against one of a higher priority.
        t.trouble.misrouted &= to.is_none();
        Ok(())
    },
};

static WEIGHT: Setting = Setting {
    arg: "weights",
    what: "weights of the services",
    hurts: "requests go where the weights say, whatever runs there",
    now: |t| json!(t.limits.weights),
    set: |t, to| {
        t.limits.weights = to.map(str::to_owned);
        Ok(())
    },
};

/// The value that is asked for, `None` to lift.
fn wanted(given: &Given<'_>, setting: &Setting) -> Result<Option<String>, VerbError> {
    if given.or("lift", "false")? == "true" {
        return Ok(None);
    }
    given.text(setting.arg).map(Some)
}

fn tenant<'s>(given: &Given<'_>, sim: &'s Simulation) -> Result<&'s Tenant, VerbError> {
    let id = &given.tenant()?.id;
    sim.tenant(id).ok_or_else(|| VerbError::new(format!("there is no tenant {id}")))
}

fn aim(given: &Given<'_>, sim: &Simulation, setting: &Setting) -> Result<Aim, VerbError> {
    let (t, wanted) = (tenant(given, sim)?, wanted(given, setting)?);
    // What can not be set is refused before anybody is asked.
    (setting.set)(&mut t.clone(), wanted.as_deref())?;
    let path = format!("/etc/traefik/dynamic/quarterdeck-limits-{}.yml", t.id);
    let content =
        wanted.as_ref().map(|to| format!("# Quarterdeck: limits of tenant {}\n# {}: {to}\n", t.id, setting.what));
    let shown = wanted.as_deref().unwrap_or("none");
    let aim = Aim::at(
        t.edge.clone(),
        format!("host {}.erp.example, {}: {shown}", t.id, setting.what),
        Operation::File { path, content },
    );
    let hurts = if wanted.is_some() { setting.hurts } else { "nobody, if it is not needed any more" };
    let was = (setting.now)(t);
    Ok(aim
        .tenants([t.id.clone()])
        .bound(json!({ setting.arg: was }))
        .means(hurts, "the same with lift = true, or with what was before"))
}

fn act(given: &Given<'_>, sim: &mut Simulation, setting: &Setting) -> Result<Done, VerbError> {
    let (id, wanted, tick) = (given.tenant()?.id.clone(), wanted(given, setting)?, sim.elapsed_s());
    let Some(t) = sim.tenant_mut(&id) else { return Err(VerbError::new(format!("there is no tenant {id}"))) };
    let before = (setting.now)(t);
    (setting.set)(t, wanted.as_deref())?;
    let (edge, changed) = (t.edge.clone(), (setting.now)(t) != before);
    if let Some(edge) = sim.edges.get_mut(&edge).filter(|_| changed) {
        edge.reloaded = tick;
        edge.reloads += 1;
    }
    let path = format!("quarterdeck-limits-{id}.yml");
    let words = if changed { format!("wrote {path}") } else { format!("{path} said so already") };
    Ok((json!({ "changed": changed, "path": path }), words))
}

fn stands(given: &Given<'_>, sim: &Simulation, setting: &Setting) -> bool {
    let (Ok(t), Ok(wanted)) = (tenant(given, sim), wanted(given, setting)) else { return false };
    let mut copy = t.clone();
    (setting.set)(&mut copy, wanted.as_deref()).is_ok() && (setting.now)(&copy) == (setting.now)(t)
}
