//! The verbs on a tenant's Deployment before the lab's API server: whole, in conflict, without the right, and lost or
//! frozen in the middle.

use super::lab_tests::{estate, render};
use super::*;
use crate::act::Verbs;
use crate::act::kubernetes::lab::{Loses, Space, apply, cluster, done, lab, lossy, refused};
use crate::config::model::Kubernetes;
use crate::domain::id::Digest;
use crate::domain::mode::Mode;
use crate::domain::ports::{Outcome, Reconciled};
use crate::policy::authorized::Authorized;
use serde_json::{Value, json};
use std::time::Duration;

/// A verb, its arguments beside the tenant, what of the Deployment it changes, and what that is before and after.
struct Case {
    verb: &'static str,
    args: &'static [(&'static str, &'static str)],
    path: &'static str,
    before: &'static str,
    after: fn(&str) -> bool,
}

const CASES: [Case; 3] = [
    Case {
        verb: "odoo.set_channel_capacity",
        args: &[("channel", "root.wms"), ("capacity", "3")],
        path: "{.spec.template.spec.containers[0].env[?(@.name=='ODOO_QUEUE_JOB_CHANNELS')].value}",
        before: "root:4,root.wms:1:throttle=2",
        after: |now| now == "root:4,root.wms:3:throttle=2",
    },
    Case {
        verb: "odoo.set_worker_profile",
        args: &[("memory", "2Gi")],
        path: "{.spec.template.spec.containers[0].resources}",
        before: r#"{"limits":{"memory":"1Gi"},"requests":{"cpu":"100m"}}"#,
        after: |now| {
            let now: Value = serde_json::from_str(now).unwrap();
            now == json!({ "limits": { "memory": "2Gi" }, "requests": { "cpu": "100m", "memory": "2Gi" } })
        },
    },
    Case {
        verb: "odoo.restart_workers",
        args: &[],
        path: r"{.spec.template.metadata.annotations.kubectl\.kubernetes\.io/restartedAt}",
        before: "",
        after: |now| now.parse::<jiff::Timestamp>().is_ok(),
    },
];

/// A namespace with the workers of a tenant.
fn workers(name: &str) -> Option<Space> {
    let space = Space::new(name)?;
    make(&space);
    Some(space)
}

fn make(space: &Space) {
    let container = json!({
        "name": "odoo", "image": "registry.example/odoo:19",
        "env": [{ "name": "OTHER", "value": "x" }, { "name": "ODOO_QUEUE_JOB_CHANNELS", "value": CASES[0].before }],
        "resources": { "limits": { "memory": "1Gi" }, "requests": { "cpu": "100m" } },
    });
    apply(&json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "odoo-worker", "namespace": space.0 },
        "spec": {
            "replicas": 2, "selector": { "matchLabels": { "app": "w" } },
            "template": { "metadata": { "labels": { "app": "w" } }, "spec": { "containers": [container] } },
        },
    }));
    space.wait("deployment/odoo-worker", "{.status.availableReplicas}", "2");
}

fn on(cluster: &Kubernetes) -> Verbs {
    let may = Mode::Live.may_act().unwrap();
    Verbs::new(verbs(may, &Arc::new(Instances::new(may, &[])), std::slice::from_ref(cluster)))
}

impl Case {
    fn given(&self) -> Vec<(&'static str, Value)> {
        let tenant = [("tenant", json!("t003"))].into_iter();
        tenant.chain(self.args.iter().map(|(k, v)| (*k, json!(v)))).collect()
    }

    fn now(&self, space: &Space) -> String {
        space.read("deployment/odoo-worker", self.path)
    }

    /// The verb on a cluster, and a request that it rendered from what is there now. The restart is rendered from what an
    /// observer saw.
    async fn render(&self, cluster: &Kubernetes, space: &Space) -> (Arc<DynVerb>, Request) {
        let verb = Arc::clone(on(cluster).get(self.verb).unwrap());
        let estate = estate(Some(&space.0));
        let request = if self.verb == "odoo.restart_workers" {
            let facts = crate::act::kubernetes::lab::facts(cluster).await;
            let now = jiff::Timestamp::now();
            let mut world = crate::act::kubernetes::tests::world(facts, now);
            world.estate = Arc::clone(&estate);
            let args = self.given().into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
            verb.render(&RenderContext { estate: &estate, world: &world, now, args: &args, surveyed: None }).unwrap()
        } else {
            render(&*verb, &estate, &self.given()).await.unwrap()
        };
        (verb, request)
    }
}

#[tokio::test]
async fn settings_of_workers_are_changed_once_and_only_over_what_was_shown() {
    let Some(space) = workers("settings") else { return };
    let cluster = cluster().unwrap();
    for case in &CASES {
        let (verb, request) = case.render(&cluster, &space).await;
        let uid = space.read("deployment/odoo-worker", "{.metadata.uid}");
        assert!(request.server_checks[0].contains(&uid), "{:?}", request.server_checks);
        verb.dry_run(&request, None).await.unwrap();
        assert_eq!(case.now(&space), case.before, "{}: a dry run leaves nothing behind", case.verb);
        assert!(matches!(verb.reconcile(&request).await, Reconciled::NoEffect { .. }), "{}", case.verb);
        done(&*verb, &request).await;
        assert!((case.after)(&case.now(&space)), "{}: {}", case.verb, case.now(&space));
        assert!(matches!(verb.reconcile(&request).await, Reconciled::TookEffect { .. }), "{}", case.verb);
        // In conflict with what stands there by now.
        let again = refused(&*verb, &request).await;
        assert!(again.contains("422") || again.contains("409"), "{}: {again}", case.verb);
    }
    // Another Deployment of that name.
    for case in &CASES {
        space.kubectl(&["delete", "deployment", "odoo-worker", "--wait=true"]);
        make(&space);
        let (verb, request) = case.render(&cluster, &space).await;
        space.kubectl(&["delete", "deployment", "odoo-worker", "--wait=true"]);
        make(&space);
        refused(&*verb, &request).await;
        assert_eq!(case.now(&space), case.before, "{}", case.verb);
        assert!(matches!(verb.reconcile(&request).await, Reconciled::Undecided { .. }), "{}", case.verb);
    }
}

#[tokio::test]
async fn who_may_not_patch_is_told_by_the_server() {
    let Some(space) = workers("poor-workers") else { return };
    let poor = Kubernetes { act_kubeconfig: lab("LAB_KUBECONFIG_POOR").map(Into::into), ..cluster().unwrap() };
    for case in &CASES {
        let (verb, request) = case.render(&poor, &space).await;
        let dry = verb.dry_run(&request, None).await.unwrap_err().message;
        let why = refused(&*verb, &request).await;
        for said in [dry, why] {
            assert!(said.contains("cannot patch resource \"deployments\""), "{}: {said}", case.verb);
        }
        assert_eq!(case.now(&space), case.before, "{}", case.verb);
    }
}

#[tokio::test]
async fn a_way_that_is_lost_or_frozen_in_the_middle_is_unknown_and_then_found_out() {
    let Some(space) = workers("lost-workers") else { return };
    let short =
        |request: &Request| Authorized::for_test(request.clone(), Digest::from_bytes(&[7; 32]), Duration::from_secs(4));
    let mut cases = 0;
    for loses in [Loses::Requests, Loses::Time, Loses::Answers] {
        for case in &CASES {
            let way = lossy(loses).await;
            let through = Kubernetes { act_kubeconfig: Some(way.kubeconfig.clone()), ..cluster().unwrap() };
            let (verb, request) = case.render(&through, &space).await;
            let before = case.now(&space);
            let outcome = verb.execute(short(&request)).await;
            assert!(matches!(outcome, Outcome::Unknown { .. }), "{loses:?} {}: {outcome:?}", case.verb);
            // Frozen, and going on while it is looked.
            let (found, ()) = tokio::join!(verb.reconcile(&request), async { way.thaw() });
            if loses == Loses::Requests {
                assert!(matches!(found, Reconciled::NoEffect { .. }), "{}: {found:?}", case.verb);
                assert_eq!(case.now(&space), before, "{}", case.verb);
            } else {
                assert!(matches!(found, Reconciled::TookEffect { .. }), "{loses:?} {}: {found:?}", case.verb);
                assert!((case.after)(&case.now(&space)), "{loses:?} {}", case.verb);
                space.kubectl(&["delete", "deployment", "odoo-worker", "--wait=true"]);
                make(&space);
            }
            cases += 1;
        }
    }
    println!("{cases} cases of a request lost on its way to the API server");
}
