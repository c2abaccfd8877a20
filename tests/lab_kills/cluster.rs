//! Kubernetes, `CloudNativePG`, Argo CD, Flux: objects on the lab's API server, and what it has of them afterwards. No
//! controller of the latter three runs there.

use crate::case::{Case, Gate, Scene, Since, number, write};
use crate::lab_support::wire::{Asks, Wire};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A request of one method on one path that is not a dry run.
fn asks(method: &str, path: &str) -> Asks {
    let line = format!("{method} {path}");
    Arc::new(move |_, bytes| {
        let text = String::from_utf8_lossy(bytes);
        text.lines().any(|l| l.starts_with(&line) && !l.contains("dryRun"))
    })
}

/// A wire to the API server, and the configuration of a cluster that acts over it.
fn wired(scene: &Scene<'_>, name: &str, method: &str, path: &str) -> (Gate, String) {
    let wire = Wire::to(scene.api, asks(method, path));
    let file = scene.dir.path().join(format!("{name}.kubeconfig"));
    let text = format!(
        "apiVersion: v1\nkind: Config\nclusters: [{{name: lab, cluster: {{server: 'http://127.0.0.1:{}'}}}}]\nusers: [{{name: \
         lab, user: {{}}}}]\ncontexts: [{{name: lab, context: {{cluster: lab, user: lab}}}}]\ncurrent-context: lab\n",
        wire.port()
    );
    write(&file, &text, 0o600);
    let config = format!(
        "[[kubernetes]]\nid = \"k8s\"\nkubeconfig = \"{}\"\nact_kubeconfig = \"{}\"\n[[tenant]]\nid = \"t1\"\nkubernetes = \
         {{ cluster = \"k8s\", namespace = \"{}\", web = \"restarted\", workers = \"scaled\" }}\n",
        scene.lab.var("LAB_KUBECONFIG_OBSERVE"),
        file.display(),
        scene.space
    );
    (Gate::Wire(wire), config)
}

fn apply(scene: &Scene<'_>, objects: &str) {
    let mut child = Command::new(scene.lab.var("LAB_KUBECTL"))
        .args(["--kubeconfig", scene.lab.var("LAB_KUBECONFIG_ADMIN"), "-n", &scene.space, "apply", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(objects.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{objects}");
}

const CLUSTER: &str = "apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {name: NAME}
spec: {instances: 2, storage: {size: 1Gi}}
";

const FLUX: &str = "apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: NAME}
spec: {interval: 5m, path: ./, prune: true, suspend: false, sourceRef: {kind: GitRepository, name: git}}
";

const ARGO: &str = "apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: odoo}
spec:
  project: default
  destination: {namespace: t1, server: 'https://kubernetes.default.svc'}
  source: {repoURL: 'https://git.example/odoo.git', path: ., targetRevision: main}
";

/// How many pods were made to be deleted.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

pub fn cases<'a>(scene: &'a Scene<'a>) -> Vec<Case<'a>> {
    let space = scene.space.as_str();
    for name in ["restarted", "scaled"] {
        scene.kubectl(&["create", "deployment", name, "--image=registry.example/probe:1"]);
    }
    let read = move |object: &str, path: &str| scene.kubectl(&["get", object, "-o", &format!("jsonpath={path}")]);
    let there = move |kind: &str| scene.kubectl(&["get", kind, "-o", "name"]).lines().count() as u64;
    let generation = move |object: &'static str| Since::new(move || number(&read(object, "{.metadata.generation}")));
    let args = move |more: &str| format!("cluster: k8s, namespace: {space}, {more}");
    let apps = format!("/apis/apps/v1/namespaces/{space}/deployments");
    let mut cases = Vec::new();

    let (gate, config) = wired(scene, "restart", "PATCH", &format!("{apps}/restarted?"));
    let restarts = generation("deployment/restarted");
    let again = restarts.clone();
    cases.push(
        Case::new(
            ("kubernetes.rollout_restart", "restart"),
            config,
            gate,
            move || {
                restarts.now();
                args("deployment: restarted")
            },
            move || again.count(),
        )
        .first(),
    );

    let (gate, config) = wired(scene, "scale", "PATCH", &format!("{apps}/scaled"));
    let scaled = generation("deployment/scaled");
    let again = scaled.clone();
    cases.push(Case::new(
        ("kubernetes.scale", "set"),
        config,
        gate,
        move || {
            scene.kubectl(&["scale", "deployment", "scaled", "--replicas=1"]);
            scaled.now();
            args("deployment: scaled, replicas: 2")
        },
        move || again.count(),
    ));

    let (gate, config) = wired(scene, "quota", "POST", &format!("/api/v1/namespaces/{space}/resourcequotas"));
    cases.push(Case::new(
        ("kubernetes.set_quota", "create"),
        config,
        gate,
        move || {
            scene.kubectl(&["delete", "resourcequota", "--all"]);
            args("quota: kills, hard: {pods: '50'}")
        },
        move || there("resourcequota"),
    ));

    let (gate, config) = wired(scene, "pod", "DELETE", &format!("/api/v1/namespaces/{space}/pods/"));
    let pod = Arc::new(std::sync::Mutex::new(String::new()));
    let again = pod.clone();
    cases.push(Case::new(
        ("kubernetes.delete_pod", "delete"),
        config,
        gate,
        move || {
            // A name of its own each time: one that is deleted stays in the list for a moment.
            let name = format!("victim-{}", TAKEN.fetch_add(1, Ordering::SeqCst));
            scene.kubectl(&["run", &name, "--image=registry.example/probe:1"]);
            scene.kubectl(&["wait", "--for=condition=Ready", &format!("pod/{name}"), "--timeout=60s"]);
            pod.lock().unwrap().clone_from(&name);
            args(&format!("pod: {name}"))
        },
        move || {
            let name = again.lock().unwrap().clone();
            let left = scene.kubectl(&["get", "pod", &name, "--ignore-not-found", "-o", "name"]);
            u64::from(left.is_empty())
        },
    ));

    let clusters = format!("/apis/postgresql.cnpg.io/v1/namespaces/{space}");
    let database = move |name: &str, more: &str| {
        apply(scene, &CLUSTER.replace("NAME", name));
        format!("cluster: k8s, namespace: {space}, database: {name}, {more}")
    };
    let (gate, config) = wired(scene, "cnpg-backup", "POST", &format!("{clusters}/backups"));
    cases.push(
        Case::new(
            ("cnpg.backup", "create"),
            config,
            gate,
            move || {
                scene.kubectl(&["delete", "backups.postgresql.cnpg.io", "--all"]);
                database("pg-kept", "name: kills")
            },
            move || there("backups.postgresql.cnpg.io"),
        )
        .first(),
    );
    let (gate, config) = wired(scene, "cnpg-scale", "PATCH", &format!("{clusters}/clusters/pg"));
    let sized = generation("clusters.postgresql.cnpg.io/pg");
    let again = sized.clone();
    cases.push(
        Case::new(
            ("cnpg.scale", "set"),
            config,
            gate,
            move || {
                let args = database("pg", "instances: 3");
                sized.now();
                args
            },
            move || again.count(),
        )
        .with("risk: medium, blastRadius: cluster, reversible: compensatable"),
    );

    let delivery =
        format!("[[delivery]]\nid = \"gitops\"\ncluster = \"k8s\"\nargocd_namespace = \"{space}\"\nflux = true\n");
    let flux = format!("/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{space}/kustomizations");
    let (gate, config) = wired(scene, "flux-suspend", "PATCH", &format!("{flux}/held"));
    let held = generation("kustomization/held");
    let again = held.clone();
    cases.push(Case::new(
        ("delivery.flux_suspend", "set"),
        delivery.clone() + &config,
        gate,
        move || {
            apply(scene, &FLUX.replace("NAME", "held"));
            // What the verb noted is taken away too.
            scene.kubectl(&["patch", "kustomization", "held", "--type=merge", "-p", r#"{"spec":{"suspend":false}}"#]);
            held.now();
            format!("delivery: gitops, namespace: {space}, kustomization: held")
        },
        move || again.count(),
    ));
    let (gate, config) = wired(scene, "flux-sync", "PATCH", &format!("{flux}/apps"));
    cases.push(
        Case::new(
            ("delivery.sync", "one-shot"),
            delivery.clone() + &config,
            gate,
            move || {
                scene.kubectl(&["delete", "kustomization", "apps", "--ignore-not-found"]);
                apply(scene, &FLUX.replace("NAME", "apps"));
                format!("delivery: gitops, namespace: {space}, kustomization: apps")
            },
            move || {
                let asked = r"{.metadata.annotations.reconcile\.fluxcd\.io/requestedAt}";
                u64::from(!read("kustomization/apps", asked).is_empty())
            },
        )
        .first(),
    );
    let application = format!("/apis/argoproj.io/v1alpha1/namespaces/{space}/applications/odoo");
    let (gate, config) = wired(scene, "argo-sync", "PATCH", &application);
    let operations = generation("application/odoo");
    let again = operations.clone();
    cases.push(Case::new(
        ("delivery.sync", "one-shot of Argo CD"),
        delivery + &config,
        gate,
        move || {
            scene.kubectl(&["delete", "application", "odoo", "--ignore-not-found"]);
            apply(scene, ARGO);
            operations.now();
            "delivery: gitops, application: odoo".to_owned()
        },
        move || again.count(),
    ));
    cases
}
