//! `redis.restart` before the lab's API server and a Redis of the test's own. The test stands in for the kubelet: when
//! the `StatefulSet` has a new `restartedAt`, it ends the process and starts it again.

use super::tests::{Rig, of};
use super::*;
use crate::act::kubernetes::lab::{Loses, Space, apply, cluster, done, lab, lossy, refused, render};
use crate::config::model::{Workload, WorkloadKind};
use crate::domain::id::Digest;
use crate::domain::mode::Mode;
use crate::domain::ports::{Outcome, Reconciled};
use crate::policy::authorized::Authorized;
use rustix::process::Signal;
use serde_json::json;

const WRITTEN: &str = r"{.spec.template.metadata.annotations.quarterdeck\.io/redis-before-restart}";

fn make(space: &Space) {
    apply(&json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "redis", "namespace": space.0 },
        "spec": {
            "replicas": 1, "serviceName": "redis", "selector": { "matchLabels": { "app": "redis" } },
            "template": {
                "metadata": { "labels": { "app": "redis" } },
                "spec": { "containers": [{ "name": "redis", "image": "registry.example/redis:7" }] },
            },
        },
    }));
}

fn restart(rig: &Rig, space: &Space, cluster: &Kubernetes) -> Arc<DynVerb> {
    let workload = Workload {
        cluster: cluster.id.clone(),
        namespace: space.0.clone(),
        kind: WorkloadKind::StatefulSet,
        name: "redis".to_owned(),
    };
    let config = Config { workload: Some(workload), ..rig.config.clone() };
    let all = verbs(Mode::Live.may_act().unwrap(), &[config], std::slice::from_ref(cluster));
    all.into_iter().find(|v| v.spec().name == "redis.restart").unwrap()
}

async fn run_id(rig: &Rig) -> String {
    let text: String = ::redis::cmd("INFO").arg("server").query_async(&mut rig.admin().await).await.unwrap();
    text.lines().find_map(|l| l.strip_prefix("run_id:")).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_redis_is_restarted_through_its_workload_and_its_run_id_tells() {
    let Some(space) = Space::new("redis-restart") else { return };
    let Some(mut rig) = Rig::start("redis-restart", "queue", "+info").await else { return };
    make(&space);
    let cluster = cluster().unwrap();
    let verb = restart(&rig, &space, &cluster);
    let request = render(&*verb, &of(&[])).await.unwrap();
    let before = run_id(&rig).await;
    assert!(request.target.object.contains(&before), "{}", request.target.object);
    assert!(verb.dry_run(&request, None).await.unwrap().contains("as generation 2"));
    assert_eq!(space.read("statefulset/redis", WRITTEN), "", "a dry run leaves nothing behind");
    let (result, _) = done(&*verb, &request).await;
    assert_eq!(result["before"], json!(before));
    assert_eq!(space.read("statefulset/redis", WRITTEN), format!("redis-q {before}"));
    let found = verb.reconcile(&request).await;
    assert!(matches!(&found, Reconciled::TookEffect { seen } if seen.contains("still has the run id")), "{found:?}");
    rig.restart().await;
    let now = run_id(&rig).await;
    assert_ne!(now, before);
    let found = verb.reconcile(&request).await;
    assert!(matches!(&found, Reconciled::TookEffect { seen } if seen.contains(&now)), "{found:?}");
    // The request is of the run that is gone: it is not sent again.
    let again = refused(&*verb, &request).await;
    assert!(again.contains(&format!("has the run id {now} now, {before} was shown")), "{again}");

    // Somebody changes the workload, or has made it anew, after it was shown.
    let request = render(&*verb, &of(&[])).await.unwrap();
    space.kubectl(&["scale", "statefulset", "redis", "--replicas=2"]);
    let moved = refused(&*verb, &request).await;
    assert!(moved.contains("its uid or its generation differs"), "{moved}");
    let request = render(&*verb, &of(&[])).await.unwrap();
    space.kubectl(&["delete", "statefulset", "redis", "--wait=true"]);
    make(&space);
    refused(&*verb, &request).await;
    assert_eq!(space.read("statefulset/redis", WRITTEN), "");
    assert!(!matches!(verb.reconcile(&request).await, Reconciled::TookEffect { .. }));

    // A Redis that hangs is the reason to restart it: asked for as such, and refused once it answers.
    rig.process.signal(Signal::STOP);
    let request = render(&*verb, &of(&[])).await.unwrap();
    assert!(request.target.object.contains("which does not answer"), "{}", request.target.object);
    rig.process.signal(Signal::CONT);
    let back = refused(&*verb, &request).await;
    assert!(back.contains("silent was shown"), "{back}");
    rig.process.signal(Signal::STOP);
    done(&*verb, &request).await;
    rig.process.signal(Signal::CONT);
    assert_eq!(space.read("statefulset/redis", WRITTEN), "redis-q silent");

    let poor = Kubernetes { act_kubeconfig: lab("LAB_KUBECONFIG_POOR").map(Into::into), ..cluster };
    let verb = restart(&rig, &space, &poor);
    let request = render(&*verb, &of(&[])).await.unwrap();
    let why = refused(&*verb, &request).await;
    assert!(why.contains("cannot patch resource \"statefulsets\""), "{why}");
}

#[tokio::test]
async fn a_restart_whose_answer_is_lost_is_found_out() {
    let Some(space) = Space::new("redis-lost") else { return };
    let Some(rig) = Rig::start("redis-lost", "queue", "+info").await else { return };
    make(&space);
    for loses in [Loses::Requests, Loses::Answers] {
        let way = lossy(loses).await;
        let through = Kubernetes { act_kubeconfig: Some(way.kubeconfig.clone()), ..cluster().unwrap() };
        let verb = restart(&rig, &space, &through);
        let request = render(&*verb, &of(&[])).await.unwrap();
        let short = Authorized::for_test(request.clone(), Digest::from_bytes(&[7; 32]), Duration::from_secs(2));
        let outcome = verb.execute(short).await;
        assert!(matches!(outcome, Outcome::Unknown { .. }), "{loses:?}: {outcome:?}");
        let found = verb.reconcile(&request).await;
        assert_eq!(matches!(found, Reconciled::TookEffect { .. }), loses == Loses::Answers, "{found:?}");
        assert_eq!(matches!(found, Reconciled::NoEffect { .. }), loses == Loses::Requests, "{found:?}");
    }
}
