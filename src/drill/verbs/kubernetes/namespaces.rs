//! What bounds a namespace of the simulated cluster, and the objects beside its Deployments: quota, network policy,
//! `CronJob`s, certificate, Service.

use super::super::effect::{Aim, Done, Effect, http};
use super::super::given::Given;
use super::in_namespace;
use crate::domain::ports::VerbError;
use crate::drill::model::Simulation;
use crate::drill::model::tenant::Tenant;
use serde_json::{Value, json};

pub(super) static EFFECTS: &[Effect] = &[
    Effect {
        name: "kubernetes.set_quota",
        aim: quota_aim,
        act: set_quota,
        stands: |g, s| tenant(g, s, |t| t.limits.quota_cores.is_some()),
    },
    Effect {
        name: "kubernetes.remove_quota",
        aim: unquota_aim,
        act: remove_quota,
        stands: |g, s| tenant(g, s, |t| t.limits.quota_cores.is_none()),
    },
    Effect {
        name: "kubernetes.isolate_namespace",
        aim: isolate_aim,
        act: isolate,
        stands: |g, s| tenant(g, s, |t| t.limits.isolated),
    },
    Effect {
        name: "kubernetes.lift_isolation",
        aim: lift_aim,
        act: lift,
        stands: |g, s| tenant(g, s, |t| !t.limits.isolated),
    },
    Effect {
        name: "kubernetes.suspend_cronjob",
        aim: cronjob_aim,
        act: suspend,
        stands: |g, s| tenant(g, s, |t| t.limits.cronjobs_suspended),
    },
    Effect {
        name: "kubernetes.resume_cronjob",
        aim: cronjob_aim,
        act: resume,
        stands: |g, s| tenant(g, s, |t| !t.limits.cronjobs_suspended),
    },
    Effect { name: "kubernetes.renew_certificate", aim: renew_aim, act: renew, stands: renewing },
];

fn tenant(given: &Given<'_>, sim: &Simulation, holds: fn(&Tenant) -> bool) -> bool {
    given.namespace(sim).is_ok_and(holds)
}

/// Changes the tenant of the namespace.
fn change(given: &Given<'_>, sim: &mut Simulation, how: impl FnOnce(&mut Tenant)) -> Result<(), VerbError> {
    let id = given.namespace(sim)?.id.clone();
    if let Some(tenant) = sim.tenant_mut(&id) {
        how(tenant);
    }
    Ok(())
}

/// A request about one object of the namespace.
fn object(
    given: &Given<'_>,
    sim: &Simulation,
    method: &str,
    group: &str,
    name: &str,
    body: &Value,
) -> Result<Aim, VerbError> {
    given.cluster()?;
    let id = &given.namespace(sim)?.id;
    let kind = group.rsplit('/').next().unwrap_or_default();
    in_namespace(
        given,
        format!("{kind} {id}/{name}"),
        http(method, format!("{}/{name}", group.replace("NS", id.as_str())), body),
    )
}

/// CPU cores that the pairs of `hard` allow, in whole cores.
fn cores(given: &Given<'_>) -> Result<u32, VerbError> {
    let wrong = || VerbError::new("hard has to name limits.cpu or requests.cpu in whole cores: limits.cpu=4");
    let pairs: Vec<(String, String)> = match given.args.get("hard") {
        Some(Value::Object(map)) => {
            map.iter().map(|(k, v)| (k.clone(), v.as_str().map_or_else(|| v.to_string(), str::to_owned))).collect()
        }
        _ => given.list("hard")?.iter().filter_map(|p| p.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect(),
    };
    let cpu = pairs.iter().find(|(key, _)| key == "limits.cpu" || key == "requests.cpu");
    cpu.and_then(|(_, value)| value.trim().parse().ok()).ok_or_else(wrong)
}

const QUOTAS: &str = "/api/v1/namespaces/NS/resourcequotas";
const POLICIES: &str = "/apis/networking.k8s.io/v1/namespaces/NS/networkpolicies";

fn quota_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let wanted = cores(given)?;
    let was = given.namespace(sim)?.limits.quota_cores;
    let name = given.or("quota", "quarterdeck")?;
    let aim = object(given, sim, "PATCH", QUOTAS, &name, &json!({ "spec": { "hard": { "limits.cpu": wanted } } }))?;
    let hurts = format!("its own users, once it wants more than {wanted} cores; nobody else");
    Ok(aim.bound(json!({ "spec.hard": was })).means(hurts, "kubernetes.remove_quota removes it"))
}

fn set_quota(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let wanted = cores(given)?;
    change(given, sim, |t| t.limits.quota_cores = Some(wanted))?;
    Ok((json!({ "hard": { "limits.cpu": wanted } }), format!("it may use {wanted} cores")))
}

fn unquota_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let name = given.or("quota", "quarterdeck")?;
    let was = given.namespace(sim)?.limits.quota_cores;
    let aim = object(given, sim, "DELETE", QUOTAS, &name, &Value::Null)?;
    Ok(aim
        .bound(json!({ "spec.hard": was }))
        .means("its neighbours, if it still takes too much", "kubernetes.set_quota"))
}

fn remove_quota(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    change(given, sim, |t| t.limits.quota_cores = None)?;
    Ok((json!({ "removed": true }), "the quota is removed".into()))
}

fn isolate_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let (was, direction) = (given.namespace(sim)?.limits.isolated, given.or("direction", "both")?);
    let body = json!({ "kind": "NetworkPolicy", "spec": { "podSelector": {}, "direction": direction } });
    let aim = object(given, sim, "POST", POLICIES, "quarterdeck-isolation", &body)?;
    let hurts = "everyone who uses this tenant: nothing gets in or out of its namespace";
    Ok(aim.bound(json!({ "isolated": was })).means(hurts, "kubernetes.lift_isolation removes it"))
}

fn isolate(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let direction = given.or("direction", "both")?;
    // Cutting off what goes out lets its users in, and keeps its data where it is.
    change(given, sim, |t| match direction.as_str() {
        "egress" => t.trouble.stolen_key = false,
        _ => t.limits.isolated = true,
    })?;
    Ok((json!({ "direction": direction }), format!("its namespace is cut off: {direction}")))
}

fn lift_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let was = given.namespace(sim)?.limits.isolated;
    let aim = object(given, sim, "DELETE", POLICIES, "quarterdeck-isolation", &Value::Null)?;
    Ok(aim.bound(json!({ "isolated": was })).means("nobody", "kubernetes.isolate_namespace closes it again"))
}

fn lift(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    change(given, sim, |t| t.limits.isolated = false)?;
    Ok((json!({ "removed": true }), "its namespace is open again".into()))
}

fn cronjob_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let was = given.namespace(sim)?.limits.cronjobs_suspended;
    let name = given.text("cronjob")?;
    let body = json!({ "spec": { "suspend": !was } });
    let aim = object(given, sim, "PATCH", "/apis/batch/v1/namespaces/NS/cronjobs", &name, &body)?;
    let hurts = "whoever waits for what it does; jobs that run go on";
    Ok(aim.bound(json!({ "spec.suspend": was })).means(hurts, "the other of suspend_cronjob and resume_cronjob"))
}

fn suspend(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    change(given, sim, |t| t.limits.cronjobs_suspended = true)?;
    Ok((json!({ "suspended": true }), "it starts no further jobs".into()))
}

fn resume(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    change(given, sim, |t| t.limits.cronjobs_suspended = false)?;
    Ok((json!({ "suspended": false }), "it starts jobs again".into()))
}

/// Seconds that an issuer takes.
const ISSUED_S: i64 = 20;

fn renew_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let ends = sim.at(given.namespace(sim)?.certificate.not_after);
    let name = given.text("certificate")?;
    let group = "/apis/cert-manager.io/v1/namespaces/NS/certificates";
    let body = json!({ "status": { "conditions": [{ "type": "Issuing", "status": "True" }] } });
    let aim = object(given, sim, "PATCH", group, &name, &body)?;
    let hurts = format!("nobody while it works (the one now ends {ends}); a new key may break who pins it");
    Ok(aim
        .bound(json!({ "status.notAfter": ends.to_string() }))
        .means(hurts, "can not be taken back; the old certificate stays valid until it ends"))
}

fn renew(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let (id, at) = (given.namespace(sim)?.id.clone(), sim.elapsed_s() + ISSUED_S);
    sim.renewals.push((id, at));
    Ok((json!({ "issuing": true }), "the issuer was asked for a new certificate".into()))
}

fn renewing(given: &Given<'_>, sim: &Simulation) -> bool {
    given.namespace(sim).is_ok_and(|t| sim.renewals.iter().any(|(id, _)| *id == t.id))
}
