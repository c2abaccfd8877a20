//! Argo CD of the simulated estate: each tenant is one Application of its name, which delivers its image.

use super::effect::{Aim, Done, Effect, Look, http};
use super::given::Given;
use crate::domain::id::TenantId;
use crate::domain::ports::VerbError;
use crate::domain::text::sanitize;
use crate::drill::model::Simulation;
use crate::drill::model::build::CLUSTER;
use crate::drill::model::tenant::Tenant;
use serde_json::{Value, json};

pub(super) static EFFECTS: &[Effect] = &[
    Effect {
        name: "delivery.freeze",
        aim: freeze_aim,
        act: freeze,
        stands: |_, s| s.tenants.iter().all(|t| t.delivery.denied),
    },
    Effect {
        name: "delivery.unfreeze",
        aim: unfreeze_aim,
        act: unfreeze,
        stands: |_, s| s.tenants.iter().all(|t| !t.delivery.denied),
    },
    Effect {
        name: "delivery.auto_sync_off",
        aim: auto_aim,
        act: auto_off,
        stands: |g, s| app(g, s).is_ok_and(|t| !t.delivery.auto_sync),
    },
    Effect {
        name: "delivery.auto_sync_on",
        aim: auto_aim,
        act: auto_on,
        stands: |g, s| app(g, s).is_ok_and(|t| t.delivery.auto_sync),
    },
    Effect {
        name: "delivery.argocd_rollback",
        aim: rollback_aim,
        act: rollback,
        stands: |g, s| app(g, s).is_ok_and(|t| t.delivery.before.last() == Some(&t.web.image)),
    },
    Effect {
        name: "delivery.sync",
        aim: sync_aim,
        act: sync,
        stands: |g, s| app(g, s).is_ok_and(|t| t.delivery.synced(&t.web.image)),
    },
];

pub(super) static LOOKS: &[Look] = &[
    Look { name: "delivery.freeze_status", aim: look_aim, tell: freeze_status },
    Look { name: "delivery.diff", aim: look_aim, tell: diff },
];

/// The one delivery of the estate.
const DELIVERY: &str = "gitops";

fn delivery(given: &Given<'_>) -> Result<(), VerbError> {
    let name = given.text("delivery")?;
    if name == DELIVERY {
        return Ok(());
    }
    Err(VerbError::new(format!("delivery {} is not configured; known: {DELIVERY}", sanitize(&name))))
}

fn app<'s>(given: &Given<'_>, sim: &'s Simulation) -> Result<&'s Tenant, VerbError> {
    delivery(given)?;
    let name = given.text("application")?;
    let found = sim.tenant(&TenantId::new(&*name));
    found.ok_or_else(|| VerbError::new(format!("there is no Application {}", sanitize(&name))))
}

fn app_mut<'s>(given: &Given<'_>, sim: &'s mut Simulation) -> Result<&'s mut Tenant, VerbError> {
    let name = given.text("application")?;
    let found = sim.tenant_mut(&TenantId::new(&*name));
    found.ok_or_else(|| VerbError::new(format!("there is no Application {}", sanitize(&name))))
}

/// A patch of an Application, bound to what runs and what Git declares.
fn patch(given: &Given<'_>, sim: &Simulation, body: &Value) -> Result<Aim, VerbError> {
    let t = app(given, sim)?;
    let path = format!("/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/{}", t.id);
    let aim =
        Aim::at(CLUSTER, format!("Application argocd/{}", t.id), http("PATCH", path, body)).tenants([t.id.clone()]);
    Ok(aim.bound(json!({ "image": t.web.image, "git": t.delivery.declared, "auto_sync": t.delivery.auto_sync })))
}

fn everything(given: &Given<'_>, sim: &Simulation, body: &Value) -> Result<Aim, VerbError> {
    delivery(given)?;
    let path = "/apis/argoproj.io/v1alpha1/namespaces/argocd/appprojects/default";
    let aim = Aim::at(CLUSTER, format!("delivery {DELIVERY}"), http("PATCH", path, body));
    let denied = sim.tenants.iter().filter(|t| t.delivery.denied).count();
    Ok(aim.tenants(sim.tenants.iter().map(|t| t.id.clone())).bound(json!({ "held": denied })))
}

fn freeze_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let reason = sanitize(&given.text("reason")?);
    let body = json!({ "syncWindows": [{ "kind": "deny", "schedule": "* * * * *", "description": format!("quarterdeck freeze: {reason}") }] });
    let aim = everything(given, sim, &body)?;
    Ok(aim.means(
        "whoever wants to deliver something: it waits",
        "delivery.unfreeze lets go what this holds, and nothing else",
    ))
}

#[expect(clippy::unnecessary_wraps, reason = "one signature for all verbs")]
fn freeze(_: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    for tenant in &mut sim.tenants {
        (tenant.delivery.denied, tenant.delivery.held) = (true, 0);
    }
    let held = ["AppProject argocd/default"];
    Ok((json!({ "held": held, "lift": "delivery.unfreeze" }), "deliveries are held in 1 project".into()))
}

fn unfreeze_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let aim = everything(given, sim, &json!({ "syncWindows": [] }))?;
    let waiting: u32 = sim.tenants.iter().map(|t| t.delivery.held).sum();
    Ok(aim.means(format!("{waiting} deliveries that waited may come at once"), "delivery.freeze"))
}

#[expect(clippy::unnecessary_wraps, reason = "one signature for all verbs")]
fn unfreeze(_: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    for tenant in &mut sim.tenants {
        tenant.delivery.denied = false;
    }
    Ok((json!({ "held": [] }), "deliveries go on".into()))
}

fn auto_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let on = app(given, sim)?.delivery.auto_sync;
    let aim = patch(
        given,
        sim,
        &json!({ "spec": { "syncPolicy": { "automated": if on { Value::Null } else { json!({}) } } } }),
    )?;
    Ok(aim.means(
        "nobody now; what Git says reaches the cluster only when asked for, or by itself again",
        "the other of auto_sync_off and auto_sync_on",
    ))
}

fn auto_off(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    app_mut(given, sim)?.delivery.auto_sync = false;
    Ok((json!({ "auto_sync": false }), "it syncs only when asked".into()))
}

fn auto_on(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    app_mut(given, sim)?.delivery.auto_sync = true;
    Ok((json!({ "auto_sync": true }), "it syncs by itself again".into()))
}

fn rollback_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let t = app(given, sim)?;
    if t.delivery.auto_sync {
        return Err(VerbError::new(format!("Argo CD refuses a rollback of {} while it syncs by itself", t.id)));
    }
    let to = t.delivery.before.last().ok_or_else(|| VerbError::new(format!("{} has no earlier revision", t.id)))?;
    let (to, now) = (to.clone(), t.web.image.clone());
    let aim = patch(given, sim, &json!({ "operation": { "sync": { "revision": to } } }))?;
    let hurts =
        format!("every pod is replaced: {now} gives way to {to}; hooks do not run, a migration is not reversed");
    Ok(aim.means(hurts, format!("delivery.sync delivers {now} again")))
}

fn rollback(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let tick = sim.elapsed_s();
    let t = app_mut(given, sim)?;
    let to = t.delivery.before.last().cloned().unwrap_or_default();
    t.web.deploy(&to, tick);
    t.workers.deploy(&to, tick);
    t.deploy_job_ends(tick);
    Ok((json!({ "revision": to }), format!("Argo CD delivers {to}")))
}

fn sync_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let to = app(given, sim)?.delivery.declared.clone();
    let aim = patch(given, sim, &json!({ "operation": { "sync": { "prune": false } } }))?;
    Ok(aim.means(format!("pods are replaced where {to} differs from what runs"), "delivery.argocd_rollback"))
}

fn sync(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let tick = sim.elapsed_s();
    let t = app_mut(given, sim)?;
    let to = t.delivery.declared.clone();
    if !t.delivery.synced(&t.web.image) {
        t.run_image(&to, tick);
    }
    Ok((json!({ "revision": to }), format!("Argo CD delivers {to}")))
}

fn look_aim(given: &Given<'_>, _: &Simulation) -> Result<Aim, VerbError> {
    delivery(given)?;
    let path = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications?limit=250";
    Ok(Aim::at(CLUSTER, format!("delivery {DELIVERY}"), http("GET", path, &Value::Null)))
}

#[expect(clippy::unnecessary_wraps, reason = "one signature for all verbs")]
fn freeze_status(_: &Given<'_>, sim: &Simulation) -> Result<Done, VerbError> {
    let frozen = sim.tenants.iter().all(|t| t.delivery.denied);
    let held: Vec<&str> = if frozen { vec!["AppProject argocd/default"] } else { Vec::new() };
    let open: Vec<&str> = if frozen { Vec::new() } else { vec!["AppProject argocd/default"] };
    let words = if frozen { "all deliveries are held" } else { "deliveries go on" };
    Ok((json!({ "frozen": frozen, "held": held, "held_otherwise": [], "open": open, "lift": held }), words.into()))
}

#[expect(clippy::unnecessary_wraps, reason = "one signature for all verbs")]
fn diff(_: &Given<'_>, sim: &Simulation) -> Result<Done, VerbError> {
    let synced = |t: &Tenant| t.delivery.synced(&t.web.image) && t.delivery.synced(&t.workers.image);
    let items: Vec<Value> = sim
        .tenants
        .iter()
        .map(|t| {
            let out = if synced(t) { Vec::new() } else { vec!["apps Deployment odoo", "apps Deployment odoo-worker"] };
            json!({
                "what": format!("Application argocd/{}", t.id), "synced": synced(t), "revision": t.delivery.declared,
                "objects": out, "seen_at": sim.now().to_string(),
            })
        })
        .collect();
    let out = sim.tenants.iter().filter(|t| !synced(t)).count();
    let words = format!("{out} of {} applications differ from Git", items.len());
    let result = json!({ "drift": out > 0, "differ": out, "synced": items.len() - out, "unknown": 0, "items": items });
    Ok((result, words))
}
