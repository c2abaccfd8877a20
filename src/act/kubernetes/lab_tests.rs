//! The verbs on the lab's API server: rendered from what the observer saw, judged by what kubectl sees.

use super::lab::{kubectl, lab};
use super::tests::{named, permit, render, verb, world};
use super::*;
use crate::domain::facts::KubernetesFacts;
use crate::domain::id::SourceId;
use crate::domain::ports::{Outcome, Reconciled};
use crate::domain::sample::FailureKind;
use jiff::Timestamp;
use serde_json::json;
use std::process::Command;
use std::time::{Duration, Instant};

/// A namespace of the test's own with one Deployment of two pods, deleted at the end.
struct Own {
    namespace: String,
    cluster: Kubernetes,
}

impl Own {
    fn new(name: &str) -> Option<Self> {
        let cluster = Kubernetes {
            id: SourceId::new("k8s-1"),
            kubeconfig: lab("LAB_KUBECONFIG_OBSERVE")?.into(),
            context: None,
            act_kubeconfig: Some(lab("LAB_KUBECONFIG_ACT")?.into()),
            impersonate: None,
            interval: Duration::from_secs(1),
        };
        let namespace = format!("{name}-{}", std::process::id());
        kubectl(&["create", "namespace", &namespace]);
        let own = Self { namespace, cluster };
        own.kubectl(&["create", "deployment", "probe", "--image=registry.example/probe:1", "--replicas=2"]);
        own.kubectl(&["rollout", "status", "deployment/probe", "--timeout=60s"]);
        Some(own)
    }

    fn kubectl(&self, args: &[&str]) -> String {
        kubectl(&[&["-n", self.namespace.as_str()], args].concat())
    }

    fn read(&self, path: &str) -> String {
        self.kubectl(&["get", "deployment", "probe", "-o", &format!("jsonpath={path}")])
    }

    async fn facts(&self) -> KubernetesFacts {
        super::lab::facts(&self.cluster).await
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // A second panic would hide the first.
        let mut run = Command::new(lab("LAB_KUBECTL").unwrap_or_default());
        let run = run.arg("--kubeconfig").arg(lab("LAB_KUBECONFIG_ADMIN").unwrap_or_default());
        let _ = run.args(["delete", "namespace", &self.namespace, "--wait=false"]).output();
    }
}

const RESTARTED: &str = r"{.spec.template.metadata.annotations.kubectl\.kubernetes\.io/restartedAt}";

#[tokio::test]
async fn a_restart_runs_once_and_its_status_is_seen() {
    let Some(own) = Own::new("restart") else { return };
    let restart = verb(std::slice::from_ref(&own.cluster), "kubernetes.rollout_restart");
    let status = verb(std::slice::from_ref(&own.cluster), "kubernetes.rollout_status");
    let now = Timestamp::now();
    let world = world(own.facts().await, now);
    let args = named(&own.namespace, "probe");
    let request = render(&*restart, &world, now, &args).unwrap();

    let dry = restart.dry_run(&request, None).await.unwrap();
    assert!(dry.contains("would write"), "{dry}");
    assert_eq!(own.read(RESTARTED), "", "a dry run leaves nothing behind");
    assert!(matches!(restart.reconcile(&request).await, Reconciled::NoEffect { .. }));

    let outcome = restart.execute(permit(&request, Duration::from_secs(10))).await;
    let Outcome::Done { result, .. } = &outcome else { panic!("{outcome:?}") };
    assert_eq!(json!(own.read(RESTARTED)), result["restarted_at"]);
    assert_eq!(own.read("{.metadata.managedFields[?(@.manager=='quarterdeck')].manager}"), "quarterdeck");
    assert!(matches!(restart.reconcile(&request).await, Reconciled::TookEffect { .. }));

    let again = restart.execute(permit(&request, Duration::from_secs(10))).await;
    let Outcome::Failed { why } = &again else { panic!("the generation has moved on: {again:?}") };
    assert!(why.message.contains("its uid or its generation differs"), "{why:?}");

    let look = render(&*status, &world, now, &args).unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let outcome = status.look(&look).await;
        let Outcome::Done { result, summary } = &outcome else { panic!("{outcome:?}") };
        if result["complete"] == true {
            assert_eq!(
                (&result["desired"], &result["updated"], &result["available"]),
                (&json!(2), &json!(2), &json!(2))
            );
            break;
        }
        assert!(Instant::now() < deadline, "waited a minute for the rollout: {summary}");
    }
}

#[tokio::test]
async fn the_server_refuses_what_was_meant_for_another_object_of_that_name() {
    let Some(own) = Own::new("replaced") else { return };
    let restart = verb(std::slice::from_ref(&own.cluster), "kubernetes.rollout_restart");
    let now = Timestamp::now();
    let mut facts = own.facts().await;
    own.kubectl(&["delete", "deployment", "probe"]);
    own.kubectl(&["create", "deployment", "probe", "--image=registry.example/probe:1", "--replicas=2"]);
    own.kubectl(&["rollout", "status", "deployment/probe", "--timeout=60s"]);
    // The generation is right by chance; the UID is still that of the one that was shown.
    let generation: i64 = own.read("{.metadata.generation}").parse().unwrap();
    for workload in facts.workloads.iter_mut().filter(|w| w.namespace == own.namespace) {
        workload.generation = generation;
    }
    let request = render(&*restart, &world(facts, now), now, &named(&own.namespace, "probe")).unwrap();
    let outcome = restart.execute(permit(&request, Duration::from_secs(10))).await;
    let Outcome::Failed { why } = &outcome else { panic!("{outcome:?}") };
    assert!(why.message.to_lowercase().contains("uid"), "{why:?}");
    assert_eq!(own.read(RESTARTED), "");
    assert!(matches!(restart.reconcile(&request).await, Reconciled::Undecided { .. }));
}

#[tokio::test]
async fn scaling_sets_the_number_and_is_found_again() {
    let Some(own) = Own::new("scale") else { return };
    let scale = verb(std::slice::from_ref(&own.cluster), "kubernetes.scale");
    let now = Timestamp::now();
    let mut args = named(&own.namespace, "probe");
    args.push(("replicas", json!(4)));
    let request = render(&*scale, &world(own.facts().await, now), now, &args).unwrap();
    let dry = scale.dry_run(&request, None).await.unwrap();
    assert!(dry.contains("replicas = 4"), "{dry}");
    assert_eq!(own.read("{.spec.replicas}"), "2");
    let outcome = scale.execute(permit(&request, Duration::from_secs(10))).await;
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    assert_eq!(own.read("{.spec.replicas}"), "4");
    assert!(matches!(scale.reconcile(&request).await, Reconciled::TookEffect { .. }));
}

#[tokio::test]
async fn a_missing_right_is_a_failure_that_names_it() {
    let Some(mut own) = Own::new("poor") else { return };
    own.cluster.act_kubeconfig = lab("LAB_KUBECONFIG_POOR").map(Into::into);
    let restart = verb(std::slice::from_ref(&own.cluster), "kubernetes.rollout_restart");
    let now = Timestamp::now();
    let request = render(&*restart, &world(own.facts().await, now), now, &named(&own.namespace, "probe")).unwrap();
    let outcome = restart.execute(permit(&request, Duration::from_secs(10))).await;
    let Outcome::Failed { why } = &outcome else { panic!("{outcome:?}") };
    assert_eq!(why.kind, FailureKind::Permission);
    assert!(why.message.contains("patch") && why.message.contains("quarterdeck-poor"), "{why:?}");
    assert_eq!(own.read(RESTARTED), "");
}
