//! `kubernetes.rollout_restart`: replaces the pods of a Deployment as `kubectl rollout restart` does, by
//! writing a new `restartedAt` into the annotations of its pod template.

use super::call::{Clusters, RESTARTED_AT, acts_only, body_of, operation, same_object, seconds};
use super::target::{Found, JSON_PATCH};
use super::{CLUSTER, DEPLOYMENT, NAMESPACE};
use crate::domain::behalf::Behalf;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Verb, VerbError};
use crate::domain::request::{Operation, Request, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use crate::policy::authorized::Authorized;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a Deployment has the annotations of its pods.
const ANNOTATIONS: &str = "/spec/template/metadata/annotations";

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
        // Annotations that are there stay; where there are none, the generation says that there are none still.
        let patch = if found.workload.annotated {
            [json!({"op": "add", "path": format!("{ANNOTATIONS}/{}", pointer(RESTARTED_AT)), "value": at})]
        } else {
            [json!({"op": "add", "path": ANNOTATIONS, "value": {RESTARTED_AT: at}})]
        };
        let (namespace, name, pods) = (&names.namespace, &names.deployment, found.workload.desired);
        Ok(Request {
            verb: SPEC.name.into(),
            target: names.target(context, found.facts, found.object(), u64::from(pods)),
            operation: Operation::Http {
                method: "PATCH".into(),
                path: format!("{}?fieldManager=quarterdeck", names.path()),
                headers: BTreeMap::from([("content-type".into(), JSON_PATCH.into())]),
                body: found.patch(patch),
            },
            server_checks: found.server_checks().into_iter().chain(self.0.named(&names.cluster)).collect(),
            hurts: format!("{pods} pods of {namespace}/{name} are replaced; what runs on each ends with it"),
            undo: format!(
                "kubectl -n {namespace} rollout undo deployment/{name} restores the template; ended work is not restored"
            ),
            by_hand: format!("kubectl -n {namespace} rollout restart deployment/{name}"),
        })
    }

    fn dry_run<'a>(
        &'a self,
        request: &'a Request,
        behalf: Option<&'a Behalf>,
    ) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let seen = self.0.dry_run(SPEC.name, request, behalf).await?;
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
    let body = body_of(request);
    let added = |path: &str| operation(&body, "add", path);
    let one = added(&format!("{ANNOTATIONS}/{}", pointer(RESTARTED_AT)));
    let at = one.or_else(|| added(ANNOTATIONS).and_then(|all| all.get(RESTARTED_AT)));
    at.and_then(Value::as_str).map(str::to_owned)
}

/// A name as a part of a JSON pointer (RFC 6901).
fn pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
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
