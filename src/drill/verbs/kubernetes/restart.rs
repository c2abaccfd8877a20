//! `kubernetes.rollout_restart` and `kubernetes.rollout_status` on the simulated cluster.

use super::super::arguments::{gone, required, statement};
use super::super::{Action, specs};
use crate::domain::facts::Facts;
use crate::domain::facts::kubernetes::Workload;
use crate::domain::id::SourceId;
use crate::domain::ports::{Outcome, Reconciled, RenderContext, VerbError};
use crate::domain::request::{Operation, Request, Target};
use crate::domain::sample::{Failure, FailureKind};
use crate::drill::model::Simulation;
use crate::drill::model::build::CLUSTER;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const UID: &str = "/metadata/uid";
const GENERATION: &str = "/metadata/generation";
const RESTARTED_AT: &str = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/";

/// The Deployment that the arguments name.
struct Named {
    source: SourceId,
    namespace: String,
    name: String,
}

impl Named {
    fn new(context: &RenderContext<'_>) -> Result<Self, VerbError> {
        let source = SourceId::new(required(context, "cluster")?);
        if source.as_str() != CLUSTER {
            return Err(VerbError::new(format!("there is no cluster {source}")));
        }
        let (namespace, name) = (required(context, "namespace")?, required(context, "deployment")?);
        Ok(Self { source, namespace, name })
    }

    fn path(&self) -> String {
        format!("{DEPLOYMENTS}{}/deployments/{}", self.namespace, self.name)
    }

    fn target(&self, context: &RenderContext<'_>, identity: String, object: String, count: u32) -> Target {
        let owner = |t: &&crate::domain::estate::Tenant| t.namespace.as_ref().is_some_and(|n| n.name == self.namespace);
        Target {
            source: self.source.clone(),
            identity,
            environment: context.estate.environment,
            object,
            tenants: context.estate.tenants.iter().filter(owner).map(|t| t.id.clone()).collect(),
            count: u64::from(count),
        }
    }
}

fn seen(sim: &Simulation, namespace: &str, name: &str) -> Option<Workload> {
    match sim.look(&CLUSTER.into()) {
        Ok(Facts::Kubernetes(facts)) => {
            facts.workloads.into_iter().find(|w| w.namespace == namespace && w.name == name)
        }
        _ => None,
    }
}

/// The Deployment of a rendered request, from its path, as it is now.
fn deployment(request: &Request, sim: &Simulation) -> Result<Workload, Failure> {
    let line = statement(request).lines().next().unwrap_or_default();
    let path = line.split_whitespace().nth(1).and_then(|p| p.strip_prefix(DEPLOYMENTS)).unwrap_or_default();
    let (namespace, rest) = path.split_once('/').unwrap_or_default();
    let name = rest.strip_prefix("deployments/").unwrap_or_default().split('?').next().unwrap_or_default();
    seen(sim, namespace, name).ok_or_else(|| gone(format!("Deployment {namespace}/{name}")))
}

/// The patch of a rendered request.
fn patch(request: &Request) -> Option<Value> {
    let text = statement(request);
    serde_json::from_str(text.get(text.find("\n[")?..)?).ok()
}

fn asked_time(request: &Request) -> Option<Timestamp> {
    value(&patch(request)?, "add", RESTARTED_AT)?.as_str()?.parse().ok()
}

/// The value of an operation of a JSON patch.
fn value<'a>(patch: &'a Value, op: &str, at: &str) -> Option<&'a Value> {
    patch.as_array()?.iter().find(|one| one["op"] == op && one["path"] == at)?.get("value")
}

/// Restarts a Deployment.
pub(in crate::drill::verbs) struct RolloutRestart;

impl Action for RolloutRestart {
    fn name(&self) -> &'static str {
        specs::ROLLOUT_RESTART.name
    }

    fn render(&self, context: &RenderContext<'_>, _: &Simulation) -> Result<Request, VerbError> {
        let named = Named::new(context)?;
        let (namespace, name) = (&named.namespace, &named.name);
        let Some(Facts::Kubernetes(facts)) = context.world.fresh(&named.source, context.now) else {
            return Err(VerbError::new(format!("{} is not observed now", named.source)));
        };
        let workload = facts.workloads.iter().find(|w| w.namespace == *namespace && w.name == *name);
        let workload = workload.ok_or_else(|| VerbError::new(format!("there is no Deployment {namespace}/{name}")))?;
        // Whole seconds, as the annotation has them.
        let at = Timestamp::from_second(context.now.as_second()).unwrap_or(context.now);
        let (uid, generation) = (&workload.uid, workload.generation);
        let patch = json!([
            { "op": "test", "path": UID, "value": uid },
            { "op": "test", "path": GENERATION, "value": generation },
            { "op": "add", "path": RESTARTED_AT, "value": at.to_string() },
        ]);
        let pods = workload.desired;
        Ok(Request {
            verb: specs::ROLLOUT_RESTART.name.into(),
            target: named.target(
                context,
                facts.cluster_uid.clone(),
                format!("Deployment {namespace}/{name}, uid {uid}"),
                pods,
            ),
            operation: Operation::Http {
                method: "PATCH".into(),
                path: format!("{}?fieldManager=quarterdeck", named.path()),
                headers: BTreeMap::from([("content-type".into(), "application/json-patch+json".into())]),
                body: format!("{patch:#}"),
            },
            server_checks: vec![
                format!("only if metadata.uid = {uid}"),
                format!("only if metadata.generation = {generation} (spec unchanged since seen)"),
            ],
            hurts: format!("{pods} pods of {namespace}/{name} are replaced; what runs on each ends with it"),
            undo: format!(
                "kubectl -n {namespace} rollout undo deployment/{name} restores the template; ended work is not restored"
            ),
            by_hand: format!("kubectl -n {namespace} rollout restart deployment/{name}"),
        })
    }

    fn dry_run(&self, request: &Request, sim: &Simulation) -> Result<String, Failure> {
        unchanged(request, &deployment(request, sim)?)?;
        let at = asked_time(request).map_or_else(|| "nothing".into(), |at| at.to_string());
        Ok(format!("the API server would write restartedAt = {at}"))
    }

    fn run(&self, request: &Request, sim: &mut Simulation) -> Outcome {
        let checked = deployment(request, sim).and_then(|w| unchanged(request, &w).map(|()| w));
        let workload = match checked {
            Ok(workload) => workload,
            Err(why) => return Outcome::Failed { why },
        };
        let Some(asked) = asked_time(request) else {
            let why = Failure::new(FailureKind::Local, "the request asks for no restart");
            return Outcome::Failed { why };
        };
        let tick = sim.elapsed_s();
        let Some(tenant) = sim.tenant_mut(&workload.namespace.as_str().into()) else {
            return Outcome::Failed { why: gone(&request.target.object) };
        };
        if workload.name == tenant.workers.name {
            tenant.restart_workers(tick);
        } else {
            tenant.restart_web(tick);
        }
        let now = if workload.name == tenant.workers.name { &tenant.workers } else { &tenant.web };
        Outcome::Done {
            result: json!({
                "restarted_at": asked.to_string(), "generation": now.revision, "desired": now.desired,
            }),
            summary: format!("restart written at {asked}; the rollout of generation {} begins", now.revision),
        }
    }

    fn reconcile(&self, request: &Request, sim: &Simulation) -> Reconciled {
        let (workload, asked) = match (deployment(request, sim), asked_time(request)) {
            (Ok(workload), Some(asked)) => (workload, asked),
            (Err(why), _) => return Reconciled::Undecided { why: why.message },
            (_, None) => return Reconciled::Undecided { why: "the request asks for no restart".into() },
        };
        match workload.restarted_at {
            // Rendering reads the clock before it sends.
            Some(at) if at >= asked => {
                Reconciled::TookEffect { seen: format!("the pod template was restarted at {at}") }
            }
            Some(at) => Reconciled::NoEffect { seen: format!("the pod template still has restartedAt = {at}") },
            None => Reconciled::NoEffect { seen: "the pod template has no restartedAt".into() },
        }
    }
}

/// Whether the Deployment is still the one that was shown.
fn unchanged(request: &Request, now: &Workload) -> Result<(), Failure> {
    let patch = patch(request).unwrap_or_default();
    let shown = |path: &str| value(&patch, "test", path);
    if shown(UID) == Some(&json!(now.uid)) && shown(GENERATION) == Some(&json!(now.generation)) {
        return Ok(());
    }
    let (object, generation) = (&request.target.object, now.generation);
    let why = format!("422 Invalid: {object} has generation {generation} now: its spec changed since it was shown");
    Err(Failure::new(FailureKind::Local, why))
}

/// Looks how far a rollout is.
pub(in crate::drill::verbs) struct RolloutStatus;

impl RolloutStatus {
    fn summary(w: &Workload) -> String {
        let state = if complete(w) { "rollout complete" } else { "rollout under way" };
        let old = w.desired.saturating_sub(w.updated);
        format!("{state}: {} of {} updated, {old} old left, {} available", w.updated, w.desired, w.available)
    }
}

fn complete(w: &Workload) -> bool {
    w.observed && w.updated >= w.desired && w.available >= w.updated
}

impl Action for RolloutStatus {
    fn name(&self) -> &'static str {
        specs::ROLLOUT_STATUS.name
    }

    fn render(&self, context: &RenderContext<'_>, sim: &Simulation) -> Result<Request, VerbError> {
        let named = Named::new(context)?;
        let (namespace, name) = (&named.namespace, &named.name);
        let identity = match sim.look(&named.source) {
            Ok(Facts::Kubernetes(facts)) => facts.cluster_uid,
            _ => String::new(),
        };
        Ok(Request {
            verb: specs::ROLLOUT_STATUS.name.into(),
            target: named.target(context, identity, format!("Deployment {namespace}/{name}"), 1),
            operation: Operation::Http {
                method: "GET".into(),
                path: named.path(),
                headers: BTreeMap::new(),
                body: String::new(),
            },
            server_checks: Vec::new(),
            hurts: "nobody: it only reads".into(),
            undo: "nothing to undo: it only reads".into(),
            by_hand: format!("kubectl -n {namespace} rollout status deployment/{name}"),
        })
    }

    fn dry_run(&self, request: &Request, sim: &Simulation) -> Result<String, Failure> {
        deployment(request, sim).map(|w| Self::summary(&w))
    }

    fn run(&self, request: &Request, sim: &mut Simulation) -> Outcome {
        match deployment(request, sim) {
            Ok(w) => Outcome::Done {
                result: json!({
                    "desired": w.desired, "updated": w.updated, "ready": w.ready, "available": w.available,
                    "observed": w.observed, "complete": complete(&w), "stalled": false,
                    "restarted_at": w.restarted_at.map(|at| at.to_string()),
                }),
                summary: Self::summary(&w),
            },
            Err(why) => Outcome::Failed { why },
        }
    }

    fn reconcile(&self, _: &Request, _: &Simulation) -> Reconciled {
        Reconciled::NoEffect { seen: "it only reads".into() }
    }
}
