//! The observer against an API server of a few lines, and the fold on recorded objects.

use super::*;
use crate::domain::estate::{Environment, NamespaceRef, Tenancy, Tenant};
use crate::domain::mode::Mode;
use crate::observe::kubernetes::fake::{Asked, Fake, Reply};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) fn estate(namespace: &str) -> Estate {
    let namespace = NamespaceRef {
        cluster: "k8s-1".into(),
        name: namespace.into(),
        web: "odoo".into(),
        workers: "odoo-worker".into(),
    };
    let tenant = Tenant {
        id: "t017".into(),
        name: "A".into(),
        tenancy: Tenancy::Dedicated,
        criticality: 1,
        plants: Vec::new(),
        cutoffs: Vec::new(),
        database: None,
        namespace: Some(namespace),
        router: None,
    };
    let (name, time_zone) = ("a".into(), "UTC".into());
    Estate { name, environment: Environment::Staging, time_zone, tenants: vec![tenant] }
}

pub(super) fn observer(kubeconfig: &Path, namespace: &str) -> ObjectsObserver {
    let config = Kubernetes {
        id: SourceId::new("k8s-1"),
        kubeconfig: kubeconfig.to_owned(),
        context: None,
        act_kubeconfig: None,
        impersonate: None,
        interval: Duration::from_secs(1),
    };
    ObjectsObserver::new(Mode::ReadOnly.may_observe().unwrap(), &config, &estate(namespace))
}

pub(super) async fn look(observer: &mut ObjectsObserver) -> Result<MeasuredFacts, Failure> {
    match observer.poll().await? {
        Facts::Measured(facts) => Ok(facts),
        other => panic!("{other:?}"),
    }
}

pub(super) fn value(facts: &MeasuredFacts, subject: &Subject, signal: &str) -> Option<f64> {
    facts.readings.iter().find(|r| r.subject == *subject && r.signal == signal).map(|r| r.value)
}

fn list(items: &Value) -> Reply {
    Reply::Answer(200, json!({"metadata": {"resourceVersion": "7"}, "items": items}).to_string())
}

fn meta(namespace: &str, name: &str) -> Value {
    json!({"namespace": namespace, "name": name, "uid": format!("{namespace}-{name}"), "generation": 1,
           "resourceVersion": "5", "creationTimestamp": "2026-11-21T10:00:00Z"})
}

/// Answers lists with what `objects` has for a resource, and watches with silence.
fn serve(asked: &Asked, objects: impl Fn(&str) -> Option<Value>) -> Reply {
    let path = asked.line.trim_start_matches("get ");
    if path.starts_with("/readyz") {
        return Reply::Answer(200, "ok".into());
    }
    if path.contains("watch=1") {
        return Reply::Watch(Vec::new());
    }
    let resource = path.split('?').next().unwrap().rsplit('/').next().unwrap();
    objects(resource).map_or(Reply::Answer(404, "{}".into()), |items| list(&items))
}

#[tokio::test]
async fn objects_become_signals_of_their_tenants_and_kinds_that_are_not_there_are_left_out() {
    let now = Timestamp::now();
    let ago = |minutes: i64| (now - jiff::SignedDuration::from_mins(minutes)).to_string();
    let (recent, old, backed_up) = (ago(2), ago(30), ago(60));
    let expires = (now + jiff::SignedDuration::from_hours(48)).to_string();
    let fake = Fake::start(move |asked| {
        serve(asked, |resource| match resource {
            "horizontalpodautoscalers" => Some(json!([
                {"metadata": meta("erp", "web"), "spec": {"maxReplicas": 8, "scaleTargetRef": {"name": "odoo"}}, "status": {"currentReplicas": 8}},
                {"metadata": meta("tools", "x"), "spec": {"maxReplicas": 8, "scaleTargetRef": {"name": "x"}}, "status": {"currentReplicas": 2}},
            ])),
            "poddisruptionbudgets" => Some(json!([
                {"metadata": meta("erp", "web"), "status": {"disruptionsAllowed": 0, "expectedPods": 2}},
            ])),
            "persistentvolumeclaims" => Some(json!([{"metadata": meta("erp", "data"), "status": {"phase": "Pending"}}])),
            "events" => Some(json!([
                {"metadata": meta("erp", "e1"), "type": "Warning", "reason": "BackOff", "count": 12, "lastTimestamp": recent,
                 "involvedObject": {"kind": "Pod", "name": "odoo-1"}, "message": "Back-off \u{1b}[2J restarting"},
                {"metadata": meta("erp", "e2"), "type": "Warning", "reason": "Evicted", "lastTimestamp": old,
                 "involvedObject": {"kind": "Pod", "name": "odoo-2"}, "message": "The node was low on memory"},
                {"metadata": meta("erp", "e3"), "type": "Normal", "reason": "Pulled", "lastTimestamp": recent},
            ])),
            "clusters" => Some(json!([{"metadata": meta("db", "pg"), "spec": {"instances": 3}, "status": {
                "readyInstances": 2, "phase": "Failing over", "currentPrimary": "pg-1", "targetPrimary": "pg-2",
                "instanceNames": ["pg-1", "pg-2", "pg-3"]}}])),
            "backups" => Some(json!([
                {"metadata": meta("db", "b1"), "spec": {"cluster": {"name": "pg"}}, "status": {"phase": "completed", "stoppedAt": backed_up}},
            ])),
            "applications" => Some(json!([{"metadata": meta("argocd", "erp"),
                "spec": {"destination": {"server": "https://kubernetes.default.svc", "namespace": "erp"}, "syncPolicy": {"automated": {}}},
                "status": {"sync": {"status": "OutOfSync"}, "health": {"status": "Degraded"},
                           "history": [{"deployedAt": recent, "revision": "3f2c1ab9c0d1e2f3a4b5c6d7e8f90123456789ab"}]}}])),
            "kustomizations" => Some(json!([{"metadata": meta("flux-system", "apps"), "spec": {"suspend": true},
                "status": {"observedGeneration": 0, "conditions": [{"type": "Ready", "status": "True", "reason": "ok"}]}}])),
            "certificates" => Some(json!([{"metadata": meta("erp", "tls"), "status": {"notAfter": expires,
                "conditions": [{"type": "Ready", "status": "False", "message": "order failed"}]}}])),
            _ => None,
        })
    })
    .await;
    let mut observer = observer(&fake.kubeconfig, "erp");
    let facts = look(&mut observer).await.unwrap();
    let t017 = Subject::Tenant { tenant: "t017".into() };
    let source = || SourceId::new("k8s-1/objects");
    let keep = Subject::Keep { source: source(), keep: "db/pg".into() };
    let application =
        Subject::Application { source: source(), application: "argocd/erp".into(), tenant: Some("t017".into()) };
    let certificate =
        Subject::Certificate { source: source(), certificate: "erp/tls".into(), tenant: Some("t017".into()) };
    let tools = Subject::Workload { source: "k8s-1".into(), workload: "tools/x".into() };
    let volume = Subject::Volume { source: "k8s-1".into(), volume: "erp/data".into() };
    for (subject, signal, wanted) in [
        (&t017, "hpa.at_max", 1.0),
        (&tools, "hpa.at_max", 0.0),
        (&t017, "pdb.blocking", 1.0),
        (&t017, "pods.evicted", 1.0),
        (&t017, "events.warning", 1.0),
        (&volume, "volume.bound", 0.0),
        (&keep, "keep.leader", 0.0),
        (&keep, "keep.healthy", 0.0),
        (&application, "delivery.synced", 0.0),
        (&application, "delivery.healthy", 0.0),
        (&certificate, "certificate.ready", 0.0),
    ] {
        assert_eq!(value(&facts, subject, signal), Some(wanted), "{signal} of {subject}: {facts:#?}");
    }
    assert!((value(&facts, &keep, "keep.ready").unwrap() - 2.0 / 3.0).abs() < 1e-9);
    let kept: Vec<&str> = facts.kept.iter().filter(|k| k.by == keep).map(|k| k.name.as_str()).collect();
    assert_eq!(kept, ["pg-1", "pg-2", "pg-3"]);
    let backup = Subject::Backup { source: source(), backup: "db/pg".into() };
    assert!((3600.0..3700.0).contains(&value(&facts, &backup, "backup.age").unwrap()));
    assert!((1.9..2.1).contains(&value(&facts, &certificate, "certificate.days").unwrap()));
    assert_eq!(facts.happened[0].what, "application argocd/erp delivered 3f2c1ab");
    assert!(facts.said.iter().any(|s| s.contains("BackOff 12 times on pod/odoo-1 in erp: Back-off ·[2J restarting")));
    let flux = facts.untold.iter().find(|u| u.signal == "delivery.synced").unwrap();
    assert!(flux.subject.to_string() == "flux-system/apps", "what its controller has not seen is not known: {flux:?}");
    assert!(facts.missing.is_empty(), "a kind that is not there is no gap: {:?}", facts.missing);
    assert!(look(&mut observer).await.is_ok());
    assert_eq!(fake.count("/certificates?limit"), 1, "one list and one watch a kind");
}

#[tokio::test]
async fn a_missing_right_is_said_and_all_missing_is_a_failure() {
    let all = std::sync::Arc::new(AtomicBool::new(false));
    let flag = all.clone();
    let fake = Fake::start(move |asked| {
        let forbidden = asked.line.contains("certificates") || flag.load(Ordering::SeqCst);
        if forbidden && !asked.line.contains("readyz") {
            return Reply::Answer(403, r#"{"message":"forbidden"}"#.into());
        }
        serve(asked, |resource| (resource == "events").then(|| json!([])))
    })
    .await;
    let facts = look(&mut observer(&fake.kubeconfig, "erp")).await.unwrap();
    assert_eq!(facts.missing.len(), 1);
    assert!(facts.missing[0].remedy.contains("apiGroups: [\"cert-manager.io\"], resources: [\"certificates\"]"));
    let cluster = Subject::Cluster { source: "k8s-1".into() };
    assert_eq!(value(&facts, &cluster, "events.warning"), Some(0.0));
    assert!(value(&facts, &cluster, "api.latency").is_some());
    all.store(true, Ordering::SeqCst);
    let failure = look(&mut observer(&fake.kubeconfig, "erp")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Permission, "{failure}");
}

#[tokio::test]
async fn what_a_server_does_not_know_yet_is_asked_for_again_soon() {
    let fake = Fake::start(|asked| {
        if asked.line.contains("readyz") {
            return serve(asked, |_| None);
        }
        Reply::Answer(403, r#"{"message":"forbidden"}"#.into())
    })
    .await;
    let mut observer = observer(&fake.kubeconfig, "erp");
    let again = async {
        while fake.count("/certificates?limit") < 3 {
            let _ = look(&mut observer).await;
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again).await.expect("it is asked for within seconds");
}

#[tokio::test]
async fn a_watch_that_says_nothing_is_begun_anew_and_nothing_is_unknown_for_that() {
    let fake =
        Fake::start(|asked| serve(asked, |resource| (resource == "poddisruptionbudgets").then(|| json!([])))).await;
    let mut observer = observer(&fake.kubeconfig, "erp");
    observer.patience.silence = Duration::from_millis(20);
    look(&mut observer).await.unwrap();
    let budgets = || fake.count("poddisruptionbudgets?watch=1");
    tokio::time::timeout(Duration::from_secs(30), async {
        while budgets() < 4 {
            look(&mut observer).await.unwrap();
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it is watched again and again");
    assert_eq!(fake.count("poddisruptionbudgets?limit"), 1, "what was listed once is not listed again");
}

#[tokio::test]
async fn a_silent_server_rubbish_and_one_that_is_gone_are_failures() {
    let fake = Fake::start(|asked| {
        let body = if asked.line.contains("readyz") { "ok" } else { "<html>" };
        Reply::Answer(200, body.into())
    })
    .await;
    let failure = look(&mut observer(&fake.kubeconfig, "erp")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Protocol, "{failure}");
    let silent = Fake::start(|_| Reply::Silence).await;
    let mut silent = observer(&silent.kubeconfig, "erp");
    let within = tokio::time::timeout(Duration::from_millis(500), look(&mut silent)).await;
    assert!(within.is_err(), "the driver gives up after its timeout, not before");
}
