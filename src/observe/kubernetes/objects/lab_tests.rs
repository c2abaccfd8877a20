//! The observer on the lab's API server. Controllers of Argo CD, Flux, `CloudNativePG` and cert-manager do not run there:
//! their status is set by the test: simulated.

use super::tests::{look, observer, value};
use super::*;
use crate::observe::http::rig::{skip, until};
use crate::observe::kubernetes::lab::kubectl;
use serde_json::{Value, json};

struct Space(String);

impl Drop for Space {
    fn drop(&mut self) {
        kubectl(&["delete", "namespace", &self.0, "--wait=false"], "");
    }
}

#[tokio::test]
async fn objects_of_the_real_api_server_are_watched_and_a_missing_right_is_said() {
    let (Ok(kubeconfig), Ok(poor), Ok(_)) =
        (std::env::var("LAB_KUBECONFIG_OBSERVE"), std::env::var("LAB_KUBECONFIG_POOR"), std::env::var("LAB_DELIVERY"))
    else {
        return skip("objects", "no lab (tests/lab/lab up kubernetes delivery)");
    };
    let space = Space(format!("objects-{}", std::process::id()));
    assert!(kubectl(&["create", "namespace", &space.0], ""));
    let mut observer = observer(kubeconfig.as_ref(), &space.0);
    let facts = look(&mut observer).await.unwrap();
    assert!(facts.missing.is_empty(), "{:?}", facts.missing);
    let t017 = Subject::Tenant { tenant: "t017".into() };

    let create =
        |object: Value| assert!(kubectl(&["-n", &space.0, "create", "-f", "-"], &object.to_string()), "{object}");
    let status = |kind: &str, name: &str, status: Value| {
        let patch = json!({"status": status}).to_string();
        let args = ["-n", &space.0, "patch", kind, name, "--subresource=status", "--type=merge", "-p", &patch];
        assert!(kubectl(&args, ""), "{kind} {name}");
    };
    // The quota controller is real.
    create(
        json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"configmaps": "2"}}}),
    );
    create(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "none", "resources": {"requests": {"storage": "1Gi"}}}}));
    create(json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": "tls"},
        "spec": {"secretName": "tls", "dnsNames": ["t017.example"], "issuerRef": {"name": "ca"}}}));
    status(
        "certificates.cert-manager.io",
        "tls",
        json!({"notAfter": "2099-01-01T00:00:00Z",
        "conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "lastTransitionTime": "2026-11-21T00:00:00Z"}]}),
    );
    create(
        json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": {"name": "apps"},
        "spec": {"interval": "5m", "path": "./", "prune": true, "suspend": true, "sourceRef": {"kind": "GitRepository", "name": "git"}}}),
    );
    create(json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "erp"},
        "spec": {"project": "default", "source": {"repoURL": "https://git.example/erp", "path": "."},
                 "destination": {"server": "https://kubernetes.default.svc", "namespace": space.0}}}));
    create(
        json!({"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": {"name": "pg"}, "spec": {"instances": 3}}),
    );
    status(
        "clusters.postgresql.cnpg.io",
        "pg",
        json!({"readyInstances": 3, "currentPrimary": "pg-1", "targetPrimary": "pg-1", "phase": "Cluster in healthy state"}),
    );
    let source = || SourceId::new("k8s-1/objects");
    let keep = Subject::Keep { source: source(), keep: format!("{}/pg", space.0).into() };
    let certificate = Subject::Certificate {
        source: source(),
        certificate: format!("{}/tls", space.0).into(),
        tenant: Some("t017".into()),
    };
    let facts = until("all objects are seen", Duration::from_secs(30), async || {
        let facts = look(&mut observer).await.unwrap();
        let seen = value(&facts, &t017, "quota.share").is_some()
            && value(&facts, &keep, "keep.ready") == Some(1.0)
            && value(&facts, &certificate, "certificate.ready") == Some(1.0);
        seen.then_some(facts)
    })
    .await;
    // Its own root certificate is a config map.
    assert_eq!(value(&facts, &t017, "quota.share"), Some(0.5));
    assert_eq!(value(&facts, &keep, "keep.healthy"), Some(1.0));
    let volume = Subject::Volume { source: "k8s-1".into(), volume: format!("{}/data", space.0).into() };
    assert_eq!(value(&facts, &volume, "volume.bound"), Some(0.0));
    let suspended =
        facts.readings.iter().find(|r| r.signal == "delivery.suspended" && r.subject.to_string().ends_with("/apps"));
    assert_eq!(suspended.map(|r| r.value), Some(1.0));
    assert!(facts.untold.iter().any(|u| u.subject.to_string().ends_with("/erp")), "Argo CD does not run: not known");
    assert!(kubectl(&["-n", &space.0, "delete", "resourcequota", "q"], ""));
    until("a deleted object is gone", Duration::from_secs(30), async || {
        let facts = look(&mut observer).await.unwrap();
        value(&facts, &t017, "quota.share").is_none().then_some(())
    })
    .await;
    let failure = look(&mut super::tests::observer(poor.as_ref(), &space.0)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Permission, "{failure}");
}

#[tokio::test]
async fn the_fences_of_a_tenant_are_read_from_the_real_api_server() {
    let Ok(kubeconfig) = std::env::var("LAB_KUBECONFIG_OBSERVE") else {
        return skip("tenancy", "no lab (tests/lab/lab up kubernetes)");
    };
    let space = Space(format!("tenancy-{}", std::process::id()));
    assert!(kubectl(&["create", "namespace", &space.0], ""));
    let mut observer = observer(kubeconfig.as_ref(), &space.0);
    let t017 = Subject::Tenant { tenant: "t017".into() };
    let seen = async |observer: &mut ObjectsObserver, what: &str, wanted: [(&str, f64); 3]| {
        until(what, Duration::from_secs(30), async || {
            let facts = look(observer).await.unwrap();
            let all = wanted.iter().all(|(signal, wanted)| value(&facts, &t017, signal) == Some(*wanted));
            all.then_some(())
        })
        .await;
    };
    let make = |object: Value| assert!(kubectl(&["-n", &space.0, "apply", "-f", "-"], &object.to_string()), "{object}");
    let policy = |name: &str, spec: Value| {
        make(
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec}),
        );
    };
    let values =
        |isolated, open, quota| [("tenancy.isolated", isolated), ("tenancy.open", open), ("tenancy.quota", quota)];
    seen(&mut observer, "nothing fences it in", values(0.0, 0.0, 0.0)).await;
    make(
        json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "10"}}}),
    );
    // The server fills in what is left out: without types it is one about what comes in.
    policy("default-deny", json!({"podSelector": {}}));
    seen(&mut observer, "it is fenced in and has a quota", values(1.0, 0.0, 1.0)).await;
    policy("anybody", json!({"podSelector": {"matchLabels": {"app": "odoo"}}, "ingress": [{}]}));
    policy("world", json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}));
    seen(&mut observer, "two policies let everybody in", values(1.0, 2.0, 1.0)).await;
    assert!(kubectl(&["-n", &space.0, "delete", "networkpolicy", "--all"], ""));
    assert!(kubectl(&["-n", &space.0, "delete", "resourcequota", "q"], ""));
    seen(&mut observer, "the fence and the quota are gone", values(0.0, 0.0, 0.0)).await;
}
