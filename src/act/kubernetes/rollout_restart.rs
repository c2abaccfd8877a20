//! `kubernetes.rollout_restart`: replaces the pods of a Deployment as `kubectl rollout restart` does, by
//! writing a new `restartedAt` into the annotations of its pod template.

use super::call::{Clusters, RESTARTED_AT, acts_only, body_of, same_object, seconds};
use super::target::Found;
use super::{CLUSTER, DEPLOYMENT, NAMESPACE};
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Verb, VerbError};
use crate::domain::request::{Operation, Request, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use crate::policy::authorized::Authorized;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "kubernetes.rollout_restart",
    what: "replaces the pods of a Deployment one after another, as its rollout strategy says",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Compensatable,
    idempotent: false,
    read_only: false,
    args: &[CLUSTER, NAMESPACE, DEPLOYMENT],
};

/// The verb.
#[derive(Debug)]
pub struct RolloutRestart(pub Arc<Clusters>);

impl Verb for RolloutRestart {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let found = Found::new(context)?;
        let names = &found.names;
        self.0.check_acting(&names.cluster).map_err(|why| VerbError::new(why.message))?;
        let at = seconds(context.now);
        let patch = json!({
            "metadata": found.preconditions(),
            "spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: at}}}},
        });
        let (namespace, name, pods) = (&names.namespace, &names.deployment, found.workload.desired);
        Ok(Request {
            verb: SPEC.name.into(),
            target: names.target(context, found.facts, found.object(), u64::from(pods)),
            operation: Operation::Http {
                method: "PATCH".into(),
                path: format!("{}?fieldManager=quarterdeck", names.path()),
                headers: BTreeMap::from([("content-type".into(), "application/merge-patch+json".into())]),
                body: format!("{patch:#}"),
            },
            server_checks: found.server_checks(),
            hurts: format!("{pods} pods of {namespace}/{name} are replaced; what runs on each ends with it"),
            undo: format!(
                "kubectl -n {namespace} rollout undo deployment/{name} restores the template; ended work is not restored"
            ),
            by_hand: format!("kubectl -n {namespace} rollout restart deployment/{name}"),
        })
    }

    fn dry_run<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let seen = self.0.dry_run(SPEC.name, request).await?;
            let at = seen.restarted_at().unwrap_or("nothing");
            Ok(format!("the API server would write restartedAt = {at} (generation {})", seen.metadata.generation))
        })
    }

    fn look<'a>(&'a self, _request: &'a Request) -> BoxFuture<'a, Outcome> {
        Box::pin(async { acts_only(SPEC.name) })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let asked = asked_time(permit.request()).unwrap_or_default();
            let seen = match self.0.execute(SPEC.name, permit).await {
                Ok(seen) => seen,
                Err(outcome) => return outcome,
            };
            if seen.restarted_at() != Some(asked.as_str()) {
                let why = format!("the API server answered with restartedAt = {:?}", seen.restarted_at());
                return Outcome::Unknown { why: Failure::new(FailureKind::Protocol, why) };
            }
            Outcome::Done {
                result: json!({
                    "restarted_at": asked,
                    "generation": seen.metadata.generation,
                    "resource_version": seen.metadata.resource_version,
                    "desired": seen.spec.replicas.unwrap_or(1),
                }),
                summary: format!(
                    "restart written at {asked}; the rollout of generation {} begins",
                    seen.metadata.generation
                ),
            }
        })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(async move {
            let Some(asked) = asked_time(request) else {
                return Reconciled::Undecided { why: "the request does not say which restart it asked for".into() };
            };
            let body = body_of(request);
            self.0
                .reconcile(request, |seen| {
                    if let Err(other) = same_object(seen, &body) {
                        return other;
                    }
                    judge(&asked, seen.restarted_at())
                })
                .await
        })
    }
}

/// What the annotation says of a restart that was asked for.
fn judge(asked: &str, found: Option<&str>) -> Reconciled {
    let time = |text: &str| text.parse::<Timestamp>().ok();
    match found {
        Some(found) if found == asked => {
            Reconciled::TookEffect { seen: format!("the pod template has our restartedAt = {asked}") }
        }
        Some(found) if time(found) > time(asked) => Reconciled::Undecided {
            why: format!("it was restarted again at {}, which hides ours", crate::domain::text::sanitize(found)),
        },
        Some(found) => Reconciled::NoEffect {
            seen: format!("the pod template still has restartedAt = {}", crate::domain::text::sanitize(found)),
        },
        None => Reconciled::NoEffect { seen: "the pod template has no restartedAt".into() },
    }
}

/// The time that a request writes.
fn asked_time(request: &Request) -> Option<String> {
    let annotations = body_of(request);
    let at = annotations.pointer("/spec/template/metadata/annotations").and_then(|a| a.get(RESTARTED_AT));
    at.and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_that_is_not_ours_is_judged_by_its_time() {
        let ours = "2026-11-21T10:00:00Z";
        assert!(matches!(judge(ours, Some(ours)), Reconciled::TookEffect { .. }));
        assert!(matches!(judge(ours, None), Reconciled::NoEffect { .. }));
        assert!(matches!(judge(ours, Some("2026-11-21T10:59:59+01:00")), Reconciled::NoEffect { .. }));
        assert!(matches!(judge(ours, Some("2026-11-21T11:00:01+01:00")), Reconciled::Undecided { .. }));
    }
}
