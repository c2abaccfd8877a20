//! The verbs on the operator's objects on the lab's API server (its definitions are the lab's own, see
//! `tests/lab/delivery/cnpg.yaml`). The operator does not run; its status is set by the test: simulated.

use super::*;
use crate::act::kubernetes::lab::{Space, apply, cluster, done, lab, refused, render, set_status};
use crate::domain::ports::{Outcome, Reconciled};
use crate::domain::request::Request;
use serde_json::json;
use std::time::Duration;

fn on_lab(name: &str) -> Arc<DynVerb> {
    let clusters = Arc::new(Clusters::settling(&[cluster().unwrap()], Duration::from_millis(100)));
    on(&clusters).into_iter().find(|v| v.spec().name == name).unwrap()
}

fn args<'a>(space: &Space, more: &[(&'a str, Value)]) -> Vec<(&'a str, Value)> {
    let mut all = vec![("cluster", json!("k8s-1")), ("namespace", json!(space.0)), ("database", json!("pg"))];
    all.extend(more.iter().cloned());
    all
}

async fn dry(verb: &DynVerb, request: &Request) {
    verb.dry_run(request, None).await.unwrap();
    let found = verb.reconcile(request).await;
    assert!(matches!(found, Reconciled::NoEffect { .. }), "a dry run leaves nothing behind: {found:?}");
}

async fn took(verb: &DynVerb, request: &Request) {
    let found = verb.reconcile(request).await;
    assert!(matches!(found, Reconciled::TookEffect { .. }), "{}: {found:?}", request.verb);
}

fn database(space: &Space) {
    apply(&json!({
        "apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": {"name": "pg", "namespace": space.0},
        "spec": {"instances": 3, "imageName": "pg:17", "storage": {"size": "10Gi"}, "postgresql": {"parameters": {"max_connections": "200"}}},
    }));
    operator(space, "pg-1", "pg-1", &["pg-1", "pg-2"]);
}

/// What the operator would say: simulated.
fn operator(space: &Space, current: &str, target: &str, healthy: &[&str]) {
    set_status(
        "clusters.postgresql.cnpg.io",
        &space.0,
        "pg",
        &json!({
            "instanceNames": ["pg-1", "pg-2", "pg-3"], "currentPrimary": current, "targetPrimary": target,
            "instancesStatus": {"healthy": healthy}, "phase": "Cluster in healthy state", "timelineID": 4,
        }),
    );
}

const PG: &str = "clusters.postgresql.cnpg.io/pg";
const FENCES: &str = r"{.metadata.annotations.cnpg\.io/fencedInstances}";

#[tokio::test]
async fn an_old_primary_is_fenced_before_another_is_promoted() {
    if lab("LAB_DELIVERY").is_none() {
        return;
    }
    let Some(space) = Space::new("cnpg") else { return };
    database(&space);
    let (fence, unfence, promote) = (on_lab("cnpg.fence"), on_lab("cnpg.unfence"), on_lab("cnpg.promote"));
    let of = |instance: &str| args(&space, &[("instance", json!(instance))]);
    let why = |refused: Result<Request, VerbError>| refused.unwrap_err().message;
    assert!(why(render(&*promote, &of("pg-2")).await).contains("pg-1 is not fenced; cnpg.fence it first"));
    assert!(why(render(&*promote, &of("pg-9")).await).contains("it has pg-1, pg-2, pg-3"));
    assert!(why(render(&*promote, &of("pg-3")).await).contains("not healthy"));
    assert!(why(render(&*unfence, &of("pg-1")).await).contains("is not fenced"));

    let request = render(&*fence, &of("pg-1")).await.unwrap();
    assert!(request.hurts.contains("every transaction on pg ends"), "{}", request.hurts);
    dry(&*fence, &request).await;
    done(&*fence, &request).await;
    took(&*fence, &request).await;
    assert_eq!(space.read(PG, FENCES), r#"["pg-1"]"#);

    let request = render(&*promote, &of("pg-2")).await.unwrap();
    assert!(request.hurts.contains("had not received is lost"), "{}", request.hurts);
    dry(&*promote, &request).await;
    // The fence is lifted between confirmation and start: two primaries would be possible, and the server refuses.
    space.kubectl(&["annotate", PG, "cnpg.io/fencedInstances-"]);
    assert!(refused(&*promote, &request).await.contains("a value that was tested"));
    let request = render(&*fence, &of("pg-1")).await.unwrap();
    done(&*fence, &request).await;
    let request = render(&*promote, &of("pg-2")).await.unwrap();
    done(&*promote, &request).await;
    took(&*promote, &request).await;
    assert_eq!(space.read(PG, "{.status.targetPrimary} {.status.phase}"), "pg-2 Switchover in progress");
    assert!(why(render(&*promote, &of("pg-2")).await).contains("is making pg-2 the primary already"));

    operator(&space, "pg-2", "pg-2", &["pg-2", "pg-3"]);
    let status = on_lab("cnpg.status");
    let look = render(&*status, &args(&space, &[])).await.unwrap();
    let Outcome::Done { result, .. } = status.look(&look).await else { panic!() };
    assert_eq!(
        (&result["primary"], &result["settled"], &result["fenced"]),
        (&json!("pg-2"), &json!(true), &json!(["pg-1"]))
    );
    let request = render(&*unfence, &of("all")).await.unwrap();
    done(&*unfence, &request).await;
    took(&*unfence, &request).await;
    assert_eq!(space.read(PG, FENCES), "");
    let planned = args(&space, &[("instance", json!("pg-3")), ("planned", json!(true))]);
    let request = render(&*promote, &planned).await.unwrap();
    assert!(request.hurts.contains("nothing that was committed is lost"), "{}", request.hurts);

    let scale = on_lab("cnpg.scale");
    let request = render(&*scale, &args(&space, &[("instances", json!(2))])).await.unwrap();
    dry(&*scale, &request).await;
    done(&*scale, &request).await;
    took(&*scale, &request).await;
    assert_eq!(space.read(PG, "{.spec.instances}"), "2");
}

#[tokio::test]
async fn a_backup_is_made_once_and_restored_beside() {
    if lab("LAB_DELIVERY").is_none() {
        return;
    }
    let Some(space) = Space::new("aside") else { return };
    database(&space);
    let (backup, status, restore) = (on_lab("cnpg.backup"), on_lab("cnpg.backup_status"), on_lab("cnpg.restore_aside"));
    let given = args(&space, &[("name", json!("before")), ("method", json!("plugin"))]);
    let request = render(&*backup, &given).await.unwrap();
    dry(&*backup, &request).await;
    done(&*backup, &request).await;
    took(&*backup, &request).await;
    assert!(refused(&*backup, &request).await.contains("already exists"));
    assert_eq!(space.read("backup/before", "{.spec.pluginConfiguration.name}"), "barman-cloud.cloudnative-pg.io");

    let aside = |until: &str| {
        args(&space, &[("name", json!("pg-aside")), ("backup", json!("before")), ("until", json!(until))])
    };
    let early = render(&*restore, &aside("2026-11-21T10:30:00Z")).await.unwrap_err().message;
    assert!(early.contains("is not begun, not completed"), "{early}");
    let times = json!({"phase": "completed", "startedAt": "2026-11-20T09:00:00Z", "stoppedAt": "2026-11-20T10:00:00Z"});
    set_status("backup", &space.0, "before", &times);
    let look = render(&*status, &given).await.unwrap();
    let Outcome::Done { result, .. } = status.look(&look).await else { panic!() };
    assert_eq!(result["completed"], true);
    for (until, why) in
        [("yesterday", "not RFC 3339"), ("2026-11-20T09:30:00Z", "between"), ("2099-01-01T00:00:00Z", "between")]
    {
        let message = render(&*restore, &aside(until)).await.unwrap_err().message;
        assert!(message.contains(why), "{message}");
    }
    let request = render(&*restore, &aside("2026-11-20T11:30:00+01:00")).await.unwrap();
    dry(&*restore, &request).await;
    done(&*restore, &request).await;
    took(&*restore, &request).await;
    let aside = "clusters.postgresql.cnpg.io/pg-aside";
    let recovery = "{.spec.bootstrap.recovery.backup.name} {.spec.bootstrap.recovery.recoveryTarget.targetTime}";
    assert_eq!(space.read(aside, recovery), "before 2026-11-20T10:30:00Z");
    assert_eq!(
        space.read(aside, "{.spec.storage.size} {.spec.imageName} {.spec.postgresql.parameters.max_connections}"),
        "10Gi pg:17 200"
    );
}

#[test]
fn every_verb_is_in_the_catalogue_with_its_rights() {
    let built: Vec<&str> = on(&Arc::new(Clusters::new(&[]))).iter().map(|v| v.spec().name).collect();
    let declared: Vec<&str> = SPECS.iter().map(|s| s.name).collect();
    assert_eq!(built, declared);
    assert_eq!(declared, RIGHTS.iter().map(|(s, _)| s.name).collect::<Vec<_>>());
}
