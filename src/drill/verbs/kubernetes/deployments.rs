//! Deployments of the simulated cluster: scaled, taken back to the revision before, held, their autoscalers bounded,
//! their pods ended, and what changed.

use super::super::effect::{Aim, Done, Effect, Look, http};
use super::super::given::Given;
use super::{deployment, deployment_mut, in_namespace};
use crate::domain::id::TenantId;
use crate::domain::ports::VerbError;
use crate::drill::model::Simulation;
use crate::drill::model::pods::Deployment;
use serde_json::{Value, json};

pub(super) static EFFECTS: &[Effect] = &[
    Effect { name: "kubernetes.scale", aim: scale_aim, act: scale, stands: scaled },
    Effect { name: "kubernetes.rollout_undo", aim: undo_aim, act: undo, stands: undone },
    Effect { name: "kubernetes.rollout_pause", aim: pause_aim, act: pause, stands: |g, s| held(g, s) == Some(true) },
    Effect { name: "kubernetes.rollout_resume", aim: pause_aim, act: resume, stands: |g, s| held(g, s) == Some(false) },
    Effect { name: "kubernetes.patch_hpa", aim: hpa_aim, act: patch_hpa, stands: bounded },
    Effect { name: "kubernetes.evict_pod", aim: pod_aim, act: end_pod, stands: |_, _| false },
    Effect { name: "kubernetes.delete_pod", aim: pod_aim, act: end_pod, stands: |_, _| false },
];

pub(super) static LOOKS: &[Look] = &[
    Look { name: "kubernetes.diff", aim: diff_aim, tell: diff },
    Look { name: "kubernetes.pod_status", aim: pods_aim, tell: pods },
];

/// Generation and identity: what a request is bound to.
fn bound(d: &Deployment) -> Value {
    json!({ "metadata.uid": d.uid, "metadata.generation": d.revision })
}

/// A patch of the Deployment that the arguments name.
fn patch(given: &Given<'_>, sim: &Simulation, path: &str, value: &Value) -> Result<Aim, VerbError> {
    let d = deployment(given, sim)?;
    let namespace = given.text("namespace")?;
    let url = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{}", d.name);
    let body = json!([
        { "op": "test", "path": "/metadata/uid", "value": d.uid },
        { "op": "test", "path": "/metadata/generation", "value": d.revision },
        { "op": "replace", "path": path, "value": value },
    ]);
    let object = format!("Deployment {namespace}/{}, uid {}", d.name, d.uid);
    Ok(in_namespace(given, object, http("PATCH", url, &body))?.bound(bound(d)))
}

fn scale_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let (now, wanted) = (deployment(given, sim)?.desired, given.number("replicas")?);
    let aim = patch(given, sim, "/spec/replicas", &json!(wanted))?;
    let hurts = match wanted {
        0 => format!("all {now} pods are stopped and none is left"),
        _ if wanted < now => format!("{} of {now} pods are stopped", now - wanted),
        _ => format!("{} more pods take room on the nodes", wanted - now),
    };
    Ok(Aim { count: u64::from(wanted.abs_diff(now)), ..aim.means(hurts, format!("the same with replicas = {now}")) })
}

fn scale(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let wanted = given.number("replicas")?;
    let d = deployment_mut(given, sim)?;
    d.scale(wanted);
    Ok((json!({ "desired": wanted, "generation": d.revision }), format!("{wanted} pods are asked for")))
}

fn scaled(given: &Given<'_>, sim: &Simulation) -> bool {
    deployment(given, sim).is_ok_and(|d| given.number("replicas") == Ok(d.desired))
}

/// The image before the one that runs.
fn before(given: &Given<'_>, sim: &Simulation) -> Result<String, VerbError> {
    let tenant = given.namespace(sim)?;
    let last = tenant.delivery.before.last().cloned();
    last.ok_or_else(|| VerbError::new(format!("no earlier revision of {} is kept", tenant.id)))
}

fn undo_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let image = before(given, sim)?;
    let now = deployment(given, sim)?.image.clone();
    let aim = patch(given, sim, "/spec/template", &json!({ "spec": { "containers": [{ "image": image }] } }))?;
    let hurts = format!("every pod is replaced: {now} gives way to {image}; a database migration is not reversed");
    Ok(aim.means(hurts, format!("deliver {now} again")))
}

fn undo(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let image = before(given, sim)?;
    let (id, tick) = (given.namespace(sim)?.id.clone(), sim.elapsed_s());
    let name = deployment(given, sim)?.name;
    if let Some(tenant) = sim.tenant_mut(&id) {
        let d = if name == tenant.web.name { &mut tenant.web } else { &mut tenant.workers };
        d.deploy(&image, tick);
        tenant.deploy_job_ends(tick);
    }
    let d = deployment(given, sim)?;
    Ok((json!({ "image": image, "generation": d.revision }), format!("the rollout back to {image} begins")))
}

fn undone(given: &Given<'_>, sim: &Simulation) -> bool {
    match (deployment(given, sim), before(given, sim)) {
        (Ok(d), Ok(image)) => d.image == image,
        _ => false,
    }
}

fn pause_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let paused = deployment(given, sim)?.paused;
    let aim = patch(given, sim, "/spec/paused", &json!(!paused))?;
    Ok(aim.means("nobody: running pods stay as they are", "the other of rollout_pause and rollout_resume"))
}

fn held(given: &Given<'_>, sim: &Simulation) -> Option<bool> {
    deployment(given, sim).ok().map(|d| d.paused)
}

fn set_paused(given: &Given<'_>, sim: &mut Simulation, paused: bool) -> Result<Done, VerbError> {
    let tick = sim.elapsed_s();
    let d = deployment_mut(given, sim)?;
    d.pause(paused, tick);
    let words = if paused { "its rollout is held" } else { "its rollout goes on" };
    Ok((json!({ "paused": paused }), words.into()))
}

fn pause(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    set_paused(given, sim, true)
}

fn resume(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    set_paused(given, sim, false)
}

/// The autoscaler has the name of its Deployment.
fn scaled_by<'s>(given: &Given<'_>, sim: &'s Simulation) -> Result<(TenantId, &'s Deployment), VerbError> {
    let (tenant, name) = (given.namespace(sim)?, given.text("hpa")?);
    let found = [&tenant.web, &tenant.workers].into_iter().find(|d| d.name == name);
    let why = || VerbError::new(format!("there is no HorizontalPodAutoscaler {}/{name}", tenant.id));
    Ok((tenant.id.clone(), found.ok_or_else(why)?))
}

fn bounds(given: &Given<'_>, d: &Deployment) -> Result<(u32, u32), VerbError> {
    let least = given.maybe_number("min")?.unwrap_or(d.autoscaler.least);
    let most = given.maybe_number("max")?.unwrap_or(d.autoscaler.most.max(least));
    if least > most || most == 0 {
        return Err(VerbError::new(format!("min is {least} and max is {most}: max has to be the greater")));
    }
    Ok((least, most))
}

fn hpa_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let (id, d) = scaled_by(given, sim)?;
    let (least, most) = bounds(given, d)?;
    let url = format!("/apis/autoscaling/v2/namespaces/{id}/horizontalpodautoscalers/{}", d.name);
    let body = json!({ "spec": { "minReplicas": least, "maxReplicas": most } });
    let (was, now) = (d.autoscaler, d.desired);
    let hurts = match () {
        () if most < now => format!("{} of {now} pods are stopped", now - most),
        () if least > now => format!("{} more pods take room on the nodes, and cost", least - now),
        () => format!("nobody now; {now} pods run and may become {least} to {most}"),
    };
    let aim = in_namespace(given, format!("HorizontalPodAutoscaler {id}/{}", d.name), http("PATCH", url, &body))?;
    let aim = aim.bound(json!({ "spec.minReplicas": was.least, "spec.maxReplicas": was.most }));
    Ok(aim.means(hurts, format!("the same with min = {} and max = {}", was.least, was.most)))
}

fn patch_hpa(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let (id, d) = scaled_by(given, sim)?;
    let ((least, most), name) = (bounds(given, d)?, d.name);
    let Some(tenant) = sim.tenant_mut(&id) else { return Err(VerbError::new(format!("there is no {id}"))) };
    let d = if name == tenant.web.name { &mut tenant.web } else { &mut tenant.workers };
    (d.autoscaler.least, d.autoscaler.most) = (least, most);
    d.scale(d.desired.clamp(least, most));
    Ok((json!({ "min": least, "max": most }), format!("it keeps {least} to {most} pods")))
}

fn bounded(given: &Given<'_>, sim: &Simulation) -> bool {
    scaled_by(given, sim).is_ok_and(|(_, d)| bounds(given, d) == Ok((d.autoscaler.least, d.autoscaler.most)))
}

/// The Deployment of a pod: pods are named by it and their number.
fn of_pod(given: &Given<'_>, sim: &Simulation) -> Result<(TenantId, &'static str), VerbError> {
    let (tenant, pod) = (given.namespace(sim)?, given.text("pod")?);
    let is = |d: &&Deployment| {
        let number = pod.strip_prefix(d.name).and_then(|rest| rest.strip_prefix('-'));
        number.and_then(|n| n.parse::<u32>().ok()).is_some_and(|n| n < d.desired)
    };
    let found = [&tenant.web, &tenant.workers].into_iter().find(is);
    let found = found.ok_or_else(|| VerbError::new(format!("there is no pod {}/{pod}", tenant.id)))?;
    Ok((tenant.id.clone(), found.name))
}

fn pod_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let (id, _) = of_pod(given, sim)?;
    let pod = given.text("pod")?;
    let url = format!("/api/v1/namespaces/{id}/pods/{pod}/eviction");
    let body = json!({ "kind": "Eviction", "metadata": { "name": pod, "namespace": id } });
    let aim = in_namespace(given, format!("pod {id}/{pod}"), http("POST", url, &body))?;
    let hurts = "what runs on this pod ends with it; its disruption budget may refuse";
    Ok(aim.means(hurts, "its controller starts another pod; ended work is not restored"))
}

fn end_pod(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let ((id, name), tick) = (of_pod(given, sim)?, sim.elapsed_s());
    if let Some(tenant) = sim.tenant_mut(&id) {
        let d = if name == tenant.web.name { &mut tenant.web } else { &mut tenant.workers };
        if d.ready(tick) < d.desired && d.crash_looping == 0 {
            return Err(VerbError::new(format!("the disruption budget of {name} allows no pod to end now")));
        }
        d.replace_one(tick);
    }
    let pod = given.text("pod")?;
    Ok((json!({ "count": 1, "evicted": true }), format!("pod {pod} is evicted")))
}

fn diff_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let (d, namespace) = (deployment(given, sim)?, given.text("namespace")?);
    let url = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{}", d.name);
    let aim = in_namespace(given, format!("Deployment {namespace}/{}", d.name), http("GET", url, &Value::Null))?;
    Ok(aim.by_hand(format!("kubectl -n {namespace} rollout history deployment/{}", d.name)))
}

fn diff(given: &Given<'_>, sim: &Simulation) -> Result<Done, VerbError> {
    let d = deployment(given, sim)?;
    let was = d.image_before.clone().or_else(|| before(given, sim).ok());
    let changed: Vec<&str> = if was.is_some() { vec!["spec.containers[0].image"] } else { Vec::new() };
    let words = format!("image {}, before {}", d.image, was.as_deref().unwrap_or("none that is kept"));
    let result = json!({
        "revision": d.revision, "previous": was.as_ref().map(|_| d.revision.saturating_sub(1)), "changed": changed,
        "differs": changed.len(), "image": d.image, "previous_image": was,
    });
    Ok((result, words))
}

fn pods_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    given.cluster()?;
    let id = given.namespace(sim)?.id.clone();
    in_namespace(given, format!("pods of {id}"), http("GET", format!("/api/v1/namespaces/{id}/pods"), &Value::Null))
}

fn pods(given: &Given<'_>, sim: &Simulation) -> Result<Done, VerbError> {
    let (t, tick) = (given.namespace(sim)?, sim.elapsed_s());
    let both = [&t.web, &t.workers];
    let sum = |of: fn(&Deployment, i64) -> u32| both.iter().map(|d| of(d, tick)).sum::<u32>();
    let (total, ready) = (sum(|d, _| d.desired), sum(Deployment::ready));
    let (crashing, killed) = (sum(|d, _| d.crash_looping), sum(|d, _| d.oom_killed));
    let result = json!({
        "total": total, "running": total - crashing, "ready": ready, "pending": 0, "failed": 0,
        "crash_looping": crashing, "oom_killed": killed, "restarts": crashing * 4 + killed, "not_ready": [],
    });
    Ok((result, format!("{total} pods: {ready} ready, {crashing} crash-looping, {killed} killed for memory")))
}
