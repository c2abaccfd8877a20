//! The verbs on the real objects of Argo CD and Flux on the lab's API server. Their controllers do not run there: what
//! they would write, the test writes: simulated.

use super::*;
use crate::act::kubernetes::lab::{Space, apply, cluster, done, kubectl, lab, refused, render, set_status};
use crate::domain::ports::{Outcome, Reconciled};
use crate::domain::request::{Operation, Request};
use serde_json::json;
use std::time::Duration;

fn on_lab(space: &Space, name: &str) -> Arc<DynVerb> {
    let delivery = Delivery {
        id: SourceId::new("gitops"),
        cluster: SourceId::new("k8s-1"),
        argocd_namespace: Some(space.0.clone()),
        flux: true,
    };
    let clusters = Arc::new(Clusters::settling(&[cluster().unwrap()], Duration::from_millis(100)));
    on(&Deliveries([delivery].into()), &clusters).into_iter().find(|v| v.spec().name == name).unwrap()
}

fn args<'a>(more: &[(&'a str, Value)]) -> Vec<(&'a str, Value)> {
    let mut all = vec![("delivery", json!("gitops"))];
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

async fn looked(verb: &DynVerb) -> Value {
    let request = render(verb, &args(&[])).await.unwrap();
    match verb.look(&request).await {
        Outcome::Done { result, .. } => result,
        other => panic!("{other:?}"),
    }
}

fn kustomization(space: &Space, name: &str, suspend: bool) {
    apply(&json!({
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
        "metadata": {"name": name, "namespace": space.0},
        "spec": {"interval": "5m", "path": "./", "prune": true, "suspend": suspend, "targetNamespace": space.0,
            "sourceRef": {"kind": "GitRepository", "name": "git"}},
    }));
}

fn project(space: &Space, name: &str, windows: &Value) {
    apply(&json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": name, "namespace": space.0},
        "spec": {"sourceRepos": ["*"], "syncWindows": windows},
    }));
}

/// One test for all that a freeze touches: Flux's objects are listed over all namespaces.
#[tokio::test]
async fn a_freeze_holds_all_that_delivers_and_lifts_only_that() {
    if lab("LAB_DELIVERY").is_none() {
        return;
    }
    let Some(space) = Space::new("freeze") else { return };
    // What an earlier run has left ends with its namespace.
    let until = std::time::Instant::now() + Duration::from_secs(30);
    while !kubectl(&["get", "kustomizations,helmreleases", "-A", "-o", "name"]).is_empty() {
        assert!(std::time::Instant::now() < until, "waited 30 s for the objects of an earlier run to be gone");
    }
    let theirs = json!({"kind": "deny", "schedule": "0 22 * * *", "duration": "1h", "applications": ["*"]});
    project(&space, "default", &json!([theirs]));
    project(&space, "odoo", &json!([]));
    kustomization(&space, "apps", false);
    kustomization(&space, "paused", true);
    apply(&json!({
        "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease", "metadata": {"name": "redis", "namespace": space.0},
        "spec": {"interval": "5m"},
    }));
    let (freeze, unfreeze) = (on_lab(&space, "delivery.freeze"), on_lab(&space, "delivery.unfreeze"));
    let status = on_lab(&space, "delivery.freeze_status");
    assert_eq!(looked(&*status).await["frozen"], false);
    assert!(render(&*unfreeze, &args(&[])).await.unwrap_err().message.contains("nothing of delivery gitops is held"));

    let given = args(&[("reason", json!("INC-7"))]);
    let request = render(&*freeze, &given).await.unwrap();
    let Operation::Calls { calls } = &request.operation else { panic!("{request:?}") };
    assert_eq!(calls.len(), 4, "{calls:?}");
    assert!(request.hurts.contains("1 were suspended before"), "{}", request.hurts);
    dry(&*freeze, &request).await;
    let (result, _) = done(&*freeze, &request).await;
    assert_eq!(result["held"].as_array().unwrap().len(), 4);
    took(&*freeze, &request).await;
    let window = "{.spec.syncWindows[1].kind} {.spec.syncWindows[1].manualSync} {.spec.syncWindows[1].description}";
    assert_eq!(space.read("appproject/default", window), "deny true quarterdeck freeze: INC-7");
    assert_eq!(space.read("kustomization/apps", "{.spec.suspend}"), "true");
    assert_eq!(space.read("helmrelease/redis", "{.spec.suspend}"), "true");
    let proven = looked(&*status).await;
    assert_eq!((&proven["frozen"], proven["lift"].as_array().unwrap().len()), (&json!(true), 4), "{proven}");
    assert!(render(&*freeze, &given).await.unwrap_err().message.contains("frozen already"));

    // A part that somebody changes under the freeze is refused by the server, and the rest is not hidden.
    let request = render(&*unfreeze, &args(&[])).await.unwrap();
    space.kubectl(&["patch", "kustomization", "apps", "--type=merge", "-p", r#"{"spec":{"suspend":false}}"#]);
    let outcome = unfreeze.execute(crate::act::kubernetes::lab::permit(&request)).await;
    let Outcome::Unknown { why } = outcome else { panic!("{outcome:?}") };
    assert!(why.message.contains("2 of 4 requests had their effect"), "{}", why.message);
    let Reconciled::Undecided { why } = unfreeze.reconcile(&request).await else { panic!() };
    assert!(why.contains("2 of 4 objects show it"), "{why}");
    let request = render(&*unfreeze, &args(&[])).await.unwrap();
    done(&*unfreeze, &request).await;
    took(&*unfreeze, &request).await;
    assert_eq!(space.read("appproject/default", "{.spec.syncWindows[*].schedule}"), "0 22 * * *", "theirs stays");
    assert_eq!(space.read("appproject/odoo", "{.spec.syncWindows}"), "");
    assert_eq!(space.read("kustomization/paused", "{.spec.suspend}"), "true", "it was suspended before");
    assert_eq!(space.read("helmrelease/redis", "{.spec.suspend} {.metadata.annotations}"), "false ");
    assert_eq!(looked(&*status).await["frozen"], false);

    for (name, is) in [("delivery.flux_suspend", "true"), ("delivery.flux_resume", "false")] {
        let verb = on_lab(&space, name);
        let given = args(&[("namespace", json!(space.0)), ("kustomization", json!("apps"))]);
        let request = render(&*verb, &given).await.unwrap();
        dry(&*verb, &request).await;
        done(&*verb, &request).await;
        took(&*verb, &request).await;
        assert_eq!(space.read("kustomization/apps", "{.spec.suspend}"), is);
        let same = render(&*verb, &given).await.unwrap_err().message;
        assert!(same.contains("suspended"), "{same}");
    }
    let sync = on_lab(&space, "delivery.sync");
    let named = |name: &str| args(&[("namespace", json!(space.0)), ("kustomization", json!(name))]);
    assert!(render(&*sync, &named("paused")).await.unwrap_err().message.contains("resume it first"));
    let request = render(&*sync, &named("apps")).await.unwrap();
    done(&*sync, &request).await;
    took(&*sync, &request).await;
    let asked = r"{.metadata.annotations.reconcile\.fluxcd\.io/requestedAt}";
    assert!(!space.read("kustomization/apps", asked).is_empty());

    apply(&json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": {"name": "git", "namespace": space.0},
        "spec": {"interval": "1m", "url": "https://git.example/odoo.git"},
    }));
    let artifact = json!({"digest": "sha256:aa", "lastUpdateTime": "2026-11-21T10:00:00Z", "path": "p", "revision": "main@sha1:2", "url": "http://x"});
    set_status("gitrepository", &space.0, "git", &json!({"artifact": artifact}));
    set_status("kustomization", &space.0, "apps", &json!({"lastAppliedRevision": "main@sha1:1"}));
    let diff = looked(&*on_lab(&space, "delivery.diff")).await;
    assert_eq!((&diff["drift"], &diff["differ"], &diff["unknown"]), (&json!(true), &json!(1), &json!(1)), "{diff}");
}

#[tokio::test]
async fn a_rollback_takes_auto_sync_off_first_and_is_found_where_argo_cd_keeps_it() {
    if lab("LAB_DELIVERY").is_none() {
        return;
    }
    let Some(space) = Space::new("rollback") else { return };
    apply(&json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "odoo", "namespace": space.0},
        "spec": {
            "project": "default", "destination": {"namespace": "t017", "server": "https://kubernetes.default.svc"},
            "source": {"repoURL": "https://git.example/odoo.git", "path": ".", "targetRevision": "main"},
            "syncPolicy": {"automated": {"prune": true, "selfHeal": true}, "syncOptions": ["ServerSideApply=true"]},
        },
    }));
    let entry = |id: u32, revision: &str| {
        json!({"id": id, "revision": revision, "deployedAt": "2026-11-21T10:00:00Z",
            "source": {"repoURL": "https://git.example/odoo.git", "path": ".", "targetRevision": "main"}})
    };
    let status = |more: Value| {
        let mut status = json!({"history": [entry(1, "aaa"), entry(2, "bbb"), entry(3, "bbb")],
            "sync": {"status": "OutOfSync", "revision": "ccc"}, "resources": [
                {"kind": "Deployment", "name": "odoo", "namespace": "t017", "status": "OutOfSync"}]});
        status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        // Applications have no status subresource.
        let patch = json!({"status": status, "operation": null}).to_string();
        space.kubectl(&["patch", "application", "odoo", "--type=merge", "-p", &patch]);
    };
    status(json!({}));
    let given = args(&[("application", json!("odoo"))]);
    let rollback = on_lab(&space, "delivery.argocd_rollback");
    let why = render(&*rollback, &given).await.unwrap_err().message;
    assert!(why.contains("delivery.auto_sync_off first"), "{why}");

    let off = on_lab(&space, "delivery.auto_sync_off");
    let request = render(&*off, &given).await.unwrap();
    dry(&*off, &request).await;
    done(&*off, &request).await;
    took(&*off, &request).await;
    assert_eq!(space.read("application/odoo", "{.spec.syncPolicy.automated}"), "");

    let request = render(&*rollback, &given).await.unwrap();
    assert!(request.hurts.contains("from bbb back to aaa"), "{}", request.hurts);
    assert!(request.server_checks.iter().any(|c| c == "only if spec.syncPolicy.automated = nothing"));
    assert_eq!(request.target.tenants, [crate::domain::id::TenantId::new("t017")]);
    dry(&*rollback, &request).await;
    // Auto-sync comes back between confirmation and start: Argo CD would undo the rollback at once.
    let patch = |p: &str| space.kubectl(&["patch", "application", "odoo", "--type=merge", "-p", p]);
    patch(r#"{"spec":{"syncPolicy":{"automated":{}}}}"#);
    assert!(refused(&*rollback, &request).await.contains("a value that was tested"));
    patch(r#"{"spec":{"syncPolicy":{"automated":null}}}"#);
    let request = render(&*rollback, &given).await.unwrap();
    done(&*rollback, &request).await;
    let sync = "{.operation.sync.revision} {.operation.sync.syncStrategy} {.operation.sync.syncOptions}";
    assert_eq!(space.read("application/odoo", sync), r#"aaa {"apply":{}} ["ServerSideApply=true"]"#);
    assert!(render(&*rollback, &given).await.unwrap_err().message.contains("an operation under way"));
    // Argo CD takes it up (simulated): the operation moves into the status, where it is found again.
    let operation: Value = serde_json::from_str(&space.read("application/odoo", "{.operation}")).unwrap();
    let state =
        json!({"operationState": {"operation": operation, "phase": "Succeeded", "startedAt": "2026-11-21T10:00:00Z"}});
    status(state);
    assert_eq!(space.read("application/odoo", "{.operation}"), "");
    took(&*rollback, &request).await;

    let verb = on_lab(&space, "delivery.sync");
    let request = render(&*verb, &args(&[("application", json!("odoo")), ("revision", json!("ddd"))])).await.unwrap();
    assert_eq!(request.by_hand, "argocd app sync odoo --revision ddd");
    dry(&*verb, &request).await;
    done(&*verb, &request).await;
    took(&*verb, &request).await;

    let on = on_lab(&space, "delivery.auto_sync_on");
    let request = render(&*on, &given).await.unwrap();
    done(&*on, &request).await;
    took(&*on, &request).await;
    assert_eq!(space.read("application/odoo", "{.spec.syncPolicy.automated.prune} {.metadata.annotations}"), "true ");
}

#[test]
fn every_verb_is_in_the_catalogue_with_its_rights() {
    let clusters = Arc::new(Clusters::new(&[]));
    let servers = Servers::new(&[]);
    let all = on(&Deliveries([].into()), &clusters).into_iter().chain(pipelines(&servers));
    let built: Vec<&str> = all.map(|v| v.spec().name).collect();
    let declared: Vec<&str> = SPECS.iter().map(|s| s.name).collect();
    assert_eq!(built, declared);
    assert_eq!(declared, RIGHTS.iter().map(|(s, _)| s.name).collect::<Vec<_>>());
    for (spec, rights) in RIGHTS.iter().filter(|(_, rights)| !rights.is_empty()) {
        assert_eq!(rights.iter().any(|r| r.acts), !spec.read_only, "{}", spec.name);
    }
}
