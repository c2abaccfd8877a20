//! `kubernetes.rollout_status`: looks how far the rollout of a Deployment is.

use super::call::{Clusters, Deployment};
use super::target::Names;
use super::{CLUSTER, DEPLOYMENT, NAMESPACE};
use crate::domain::behalf::Behalf;
use crate::domain::facts::{Facts, KubernetesFacts};
use crate::domain::ports::{BoxFuture, Outcome, RenderContext, Verb, VerbError};
use crate::domain::request::{Operation, Request, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::Failure;
use crate::domain::text::sanitize;
use crate::policy::authorized::Authorized;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "kubernetes.rollout_status",
    what: "looks how far the rollout of a Deployment is",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: true,
    args: &[CLUSTER, NAMESPACE, DEPLOYMENT],
};

/// The verb.
#[derive(Debug)]
pub struct RolloutStatus(pub Arc<Clusters>);

impl Verb for RolloutStatus {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    /// Needs no fresh facts: it is how to find out when there are none.
    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let names = Names::from_args(context)?;
        let known = names.source(context)?.good.as_ref().map(|good| &*good.facts);
        let nothing = KubernetesFacts::default();
        let facts = if let Some(Facts::Kubernetes(facts)) = known { facts } else { &nothing };
        let (namespace, name) = (&names.namespace, &names.deployment);
        Ok(Request {
            verb: SPEC.name.into(),
            target: names.target(context, facts, format!("Deployment {namespace}/{name}"), 1),
            operation: Operation::Http {
                method: "GET".into(),
                path: names.path(),
                headers: BTreeMap::new(),
                body: String::new(),
            },
            server_checks: Vec::new(),
            hurts: "nobody: it only reads".into(),
            undo: "nothing to undo: it only reads".into(),
            by_hand: format!("kubectl -n {namespace} rollout status deployment/{name}"),
        })
    }

    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move { self.0.read(request).await.map(|seen| summary(&seen)) })
    }

    fn look<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match self.0.read(request).await {
                Ok(seen) => done(&seen),
                Err(why) => Outcome::Failed { why },
            }
        })
    }
}

fn done(seen: &Deployment) -> Outcome {
    let status = &seen.status;
    Outcome::Done {
        result: json!({
            "desired": desired(seen),
            "updated": status.updated_replicas,
            "ready": status.ready_replicas,
            "available": status.available_replicas,
            "observed": observed(seen),
            "complete": complete(seen),
            "stalled": stalled(seen),
            "restarted_at": seen.restarted_at().map(sanitize),
        }),
        summary: summary(seen),
    }
}

fn summary(seen: &Deployment) -> String {
    let status = &seen.status;
    let state = match () {
        () if complete(seen) => "rollout complete",
        () if stalled(seen) => "rollout stalled, its deadline has passed",
        () if !observed(seen) => "not yet seen by the controller",
        () => "rollout under way",
    };
    let old = status.replicas.saturating_sub(status.updated_replicas);
    let (desired, updated, available) = (desired(seen), status.updated_replicas, status.available_replicas);
    format!("{state}: {updated} of {desired} updated, {old} old left, {available} available")
}

fn desired(seen: &Deployment) -> u32 {
    seen.spec.replicas.unwrap_or(1)
}

fn observed(seen: &Deployment) -> bool {
    seen.status.observed_generation >= seen.metadata.generation
}

/// As `kubectl rollout status` judges it: the newest spec was seen, all pods are of the newest template, none
/// of an older one is left, and all are available.
fn complete(seen: &Deployment) -> bool {
    let status = &seen.status;
    observed(seen)
        && status.updated_replicas >= desired(seen)
        && status.replicas == status.updated_replicas
        && status.available_replicas >= status.updated_replicas
}

/// `Progressing` with reason `ProgressDeadlineExceeded`.
fn stalled(seen: &Deployment) -> bool {
    let conditions = seen.status.conditions.as_deref().unwrap_or_default();
    conditions.iter().any(|c| c.kind == "Progressing" && c.reason == "ProgressDeadlineExceeded")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(status: &serde_json::Value) -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"uid": "u", "generation": 7}, "spec": {"replicas": 3}, "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn a_rollout_is_complete_only_when_seen_updated_available_and_without_old_pods() {
        let full = json!({"observedGeneration": 7, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3});
        assert!(complete(&deployment(&full)));
        let lacking = [("observedGeneration", 6), ("replicas", 4), ("updatedReplicas", 2), ("availableReplicas", 2)];
        for (field, value) in lacking {
            let mut status = full.clone();
            status[field] = json!(value);
            assert!(!complete(&deployment(&status)), "{field} = {value}");
        }
        assert!(!complete(&deployment(&json!({}))), "a Deployment that no controller has seen");
    }

    #[test]
    fn a_passed_deadline_is_said() {
        let status = json!({
            "observedGeneration": 7, "replicas": 4, "updatedReplicas": 1, "availableReplicas": 3,
            "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}],
        });
        let words = summary(&deployment(&status));
        assert_eq!(words, "rollout stalled, its deadline has passed: 1 of 3 updated, 3 old left, 3 available");
    }
}
