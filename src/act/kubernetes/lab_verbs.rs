//! Every verb on objects once on the lab's API server, rendered from what was read there, judged by what kubectl sees.
//! What a controller that does not run here would write, the test writes: simulated.

use super::lab::{Loses, Space, apply, cluster, done, kubectl, lab, lossy, refused, render, set_status};
use super::tests::verb;
use super::*;
use crate::domain::id::Digest;
use crate::domain::ports::{Outcome, Reconciled};
use crate::domain::request::{Operation, Request};
use crate::policy::authorized::Authorized;
use serde_json::{Value, json};
use std::time::Duration;

/// The verb on the lab's cluster; a lost request is taken to be settled soon.
fn on_lab(name: &str) -> Arc<DynVerb> {
    let clusters = Arc::new(Clusters::settling(&[cluster().unwrap()], Duration::from_millis(100)));
    on(&clusters).into_iter().find(|v| v.spec().name == name).unwrap()
}

fn args<'a>(space: &Space, more: &[(&'a str, Value)]) -> Vec<(&'a str, Value)> {
    let mut all = vec![("cluster", json!("k8s-1")), ("namespace", json!(space.0))];
    all.extend(more.iter().cloned());
    all
}

async fn took(verb: &DynVerb, request: &Request) -> bool {
    matches!(verb.reconcile(request).await, Reconciled::TookEffect { .. })
}

/// A dry run leaves nothing behind.
async fn dry(verb: &DynVerb, request: &Request) {
    let words = verb.dry_run(request, None).await.unwrap();
    assert!(words.starts_with("the API server would take it"), "{words}");
    let found = verb.reconcile(request).await;
    assert!(matches!(found, Reconciled::NoEffect { .. }), "{}: {found:?}", request.verb);
}

fn deployment(space: &Space, image: &str) {
    space.kubectl(&["create", "deployment", "web", &format!("--image={image}"), "--replicas=2"]);
    space.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
}

#[tokio::test]
async fn an_earlier_template_comes_back_and_the_rollout_can_be_held() {
    let Some(space) = Space::new("undo") else { return };
    deployment(&space, "registry.example/odoo:1");
    let undo = on_lab("kubernetes.rollout_undo");
    let given = args(&space, &[("deployment", json!("web"))]);
    let first = render(&*undo, &given).await.unwrap_err().message;
    assert!(first.contains("no such revision") && first.contains("kept are: 1"), "{first}");
    let release = args(&space, &[("deployment", json!("web")), ("release", json!("true"))]);
    let only = render(&*undo, &release).await.unwrap_err().message;
    assert!(only.contains("no earlier revision with other images"), "{only}");
    space.kubectl(&["set", "image", "deployment/web", "odoo=registry.example/odoo:2"]);
    space.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);

    let diff = on_lab("kubernetes.diff");
    let look = render(&*diff, &given).await.unwrap();
    let Outcome::Done { result, .. } = diff.look(&look).await else { panic!() };
    assert_eq!(result["image"], "registry.example/odoo:2");
    assert_eq!(result["changed"], json!(["spec.containers[0].image"]));

    let request = render(&*undo, &given).await.unwrap();
    assert!(request.hurts.contains("odoo:2 by registry.example/odoo:1"), "{}", request.hurts);
    dry(&*undo, &request).await;
    done(&*undo, &request).await;
    assert_eq!(space.read("deployment/web", "{.spec.template.spec.containers[0].image}"), "registry.example/odoo:1");
    assert!(took(&*undo, &request).await);
    let again = refused(&*undo, &request).await;
    assert!(again.contains("not the object that was shown"), "{again}");
    // A restart makes a revision too: the release before is one further back.
    space.kubectl(&["rollout", "restart", "deployment/web"]);
    space.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    let release = args(&space, &[("deployment", json!("web")), ("release", json!("true"))]);
    let request = render(&*undo, &release).await.unwrap();
    assert!(request.hurts.contains("odoo:1 by registry.example/odoo:2"), "{}", request.hurts);
    let restarted = render(&*undo, &given).await.unwrap();
    assert!(restarted.hurts.contains("odoo:1 by registry.example/odoo:1"), "{}", restarted.hurts);
    let both = [&release[..], &[("to_revision", json!("1"))]].concat();
    assert!(render(&*undo, &both).await.unwrap_err().message.contains("not both"));

    for (name, paused) in [("kubernetes.rollout_pause", "true"), ("kubernetes.rollout_resume", "")] {
        let verb = on_lab(name);
        let request = render(&*verb, &given).await.unwrap();
        dry(&*verb, &request).await;
        done(&*verb, &request).await;
        assert_eq!(space.read("deployment/web", "{.spec.paused}"), paused, "{name}");
        assert!(took(&*verb, &request).await, "{name}");
        let same = render(&*verb, &given).await.unwrap_err().message;
        assert!(same.contains("already has paused"), "{same}");
    }
}

#[tokio::test]
async fn crons_and_autoscalers_are_held_and_bounded() {
    let Some(space) = Space::new("hold") else { return };
    space.kubectl(&["create", "cronjob", "nightly", "--image=x", "--schedule=0 3 * * *"]);
    let given = args(&space, &[("cronjob", json!("nightly"))]);
    for (name, suspended) in [("kubernetes.suspend_cronjob", "true"), ("kubernetes.resume_cronjob", "false")] {
        let verb = on_lab(name);
        let request = render(&*verb, &given).await.unwrap();
        dry(&*verb, &request).await;
        done(&*verb, &request).await;
        assert_eq!(space.read("cronjob/nightly", "{.spec.suspend}"), suspended);
        assert!(took(&*verb, &request).await);
    }
    space.kubectl(&["create", "deployment", "web", "--image=x", "--replicas=0"]);
    space.kubectl(&["autoscale", "deployment", "web", "--min=2", "--max=4"]);
    let hpa = on_lab("kubernetes.patch_hpa");
    let given = |min: u32, max: u32| args(&space, &[("hpa", json!("web")), ("min", json!(min)), ("max", json!(max))]);
    assert!(render(&*hpa, &given(5, 4)).await.unwrap_err().message.contains("max not less"));
    let request = render(&*hpa, &given(3, 9)).await.unwrap();
    assert_eq!(request.undo, "the same with min = 2 and max = 4");
    dry(&*hpa, &request).await;
    // Somebody else is faster: the server refuses what was shown.
    space.kubectl(&["patch", "hpa", "web", "--type=merge", "-p", r#"{"spec":{"maxReplicas":5}}"#]);
    assert!(refused(&*hpa, &request).await.contains("a value that was tested"));
    let Reconciled::Undecided { why } = hpa.reconcile(&request).await else { panic!() };
    assert!(why.contains("spec.maxReplicas = 5"), "{why}");
    let request = render(&*hpa, &given(3, 9)).await.unwrap();
    done(&*hpa, &request).await;
    assert_eq!(space.read("hpa/web", "{.spec.minReplicas} {.spec.maxReplicas}"), "3 9");
    assert!(took(&*hpa, &request).await);
}

/// A node of the test's own, which kwok keeps ready; deleted at the end.
struct OwnNode(String);

impl OwnNode {
    fn new(name: &str) -> Self {
        let name = format!("{name}-{}", std::process::id());
        apply(&json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "test": name}},
            "spec": {"taints": [{"key": "test", "value": name, "effect": "NoSchedule"}]},
        }));
        let node = Self(name);
        let until = std::time::Instant::now() + Duration::from_secs(30);
        let ready = r#"{.status.conditions[?(@.type=="Ready")].status}"#;
        while kubectl(&["get", "node", &node.0, "-o", &format!("jsonpath={ready}")]) != "True" {
            assert!(std::time::Instant::now() < until, "waited 30 s for node {} to be ready", node.0);
        }
        node
    }

    fn read(&self, path: &str) -> String {
        kubectl(&["get", "node", &self.0, "-o", &format!("jsonpath={path}")])
    }

    /// A Deployment of two pods that only this node takes.
    fn deploy(&self, space: &Space, name: &str) {
        apply(&json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": space.0},
            "spec": {
                "replicas": 2, "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {
                        "nodeSelector": {"test": self.0}, "tolerations": [{"key": "test", "operator": "Exists"}],
                        "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": false,
                        "containers": [{"name": "c", "image": "x"}],
                    },
                },
            },
        }));
        space.kubectl(&["rollout", "status", &format!("deployment/{name}"), "--timeout=60s"]);
    }
}

impl Drop for OwnNode {
    fn drop(&mut self) {
        let mut run = std::process::Command::new(lab("LAB_KUBECTL").unwrap_or_default());
        let run = run.arg("--kubeconfig").arg(lab("LAB_KUBECONFIG_ADMIN").unwrap_or_default());
        let _ = run.args(["delete", "node", &self.0, "--wait=false"]).output();
    }
}

#[tokio::test]
async fn a_node_is_closed_drained_and_opened() {
    let Some(space) = Space::new("drain") else { return };
    let node = OwnNode::new("drained");
    let given = vec![("cluster", json!("k8s-1")), ("node", json!(node.0))];
    for (name, closed) in [("kubernetes.cordon", "true"), ("kubernetes.uncordon", "")] {
        let verb = on_lab(name);
        let request = render(&*verb, &given).await.unwrap();
        dry(&*verb, &request).await;
        done(&*verb, &request).await;
        assert_eq!(node.read("{.spec.unschedulable}"), closed, "{name}");
        assert!(took(&*verb, &request).await);
    }
    node.deploy(&space, "web");
    node.deploy(&space, "kept");
    apply(&json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "kept", "namespace": space.0},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "kept"}}},
    }));
    space.wait("pdb/kept", "{.status.currentHealthy}", "2");
    let (drain, status) = (on_lab("kubernetes.drain"), on_lab("kubernetes.node_status"));
    let request = render(&*drain, &given).await.unwrap();
    let Operation::Calls { calls } = &request.operation else { panic!("{request:?}") };
    assert_eq!((calls.len(), request.target.count), (5, 4), "{calls:?}");
    // The budget lets none of its two go: what was done and what was not is said, and looking shows the same.
    let short = Authorized::for_test(request.clone(), Digest::from_bytes(&[7; 32]), Duration::from_secs(5));
    let Outcome::Unknown { why } = drain.execute(short).await else { panic!() };
    assert!(why.message.contains("3 of 5 requests had their effect"), "{}", why.message);
    assert!(why.message.contains("disruption budget"), "{}", why.message);
    let Reconciled::Undecided { why } = drain.reconcile(&request).await else { panic!() };
    assert!(why.contains("3 of 5 objects show it") && why.contains("it is there still"), "{why}");
    assert_eq!(node.read("{.spec.unschedulable}"), "true");

    space.kubectl(&["delete", "pdb", "kept"]);
    let request = render(&*drain, &given).await.unwrap();
    let (result, _) = done(&*drain, &request).await;
    assert_eq!(result["count"], 2, "only those that were left");
    assert!(took(&*drain, &request).await);
    let look = render(&*status, &given).await.unwrap();
    let until = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        let Outcome::Done { result, summary } = status.look(&look).await else { panic!() };
        if result["drained"] == true {
            break;
        }
        assert!(std::time::Instant::now() < until, "waited 30 s for the node to be drained: {summary}");
    }
    let empty = render(&*drain, &given).await.unwrap_err().message;
    assert!(empty.contains("has none that would leave"), "{empty}");
}

#[tokio::test]
async fn a_pod_goes_by_eviction_or_deletion_and_never_another_of_its_name() {
    let Some(space) = Space::new("pods") else { return };
    let pod = |name: &str| {
        apply(&json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": space.0, "labels": {"app": name}},
            "spec": {"automountServiceAccountToken": false, "containers": [{"name": "c", "image": "x"}]},
        }));
        space.wait(&format!("pod/{name}"), "{.status.phase}", "Running");
    };
    pod("one");
    pod("two");
    let (evict, delete) = (on_lab("kubernetes.evict_pod"), on_lab("kubernetes.delete_pod"));
    let named = |name: &str| args(&space, &[("pod", json!(name))]);
    let request = render(&*evict, &named("one")).await.unwrap();
    dry(&*evict, &request).await;
    // Replaced between render and execute.
    space.kubectl(&["delete", "pod", "one", "--force", "--grace-period=0"]);
    pod("one");
    let why = refused(&*evict, &request).await;
    assert!(why.contains("not the object that was shown"), "{why}");
    let request = render(&*evict, &named("one")).await.unwrap();
    done(&*evict, &request).await;
    assert!(took(&*evict, &request).await);

    let request = render(&*delete, &named("two")).await.unwrap();
    assert!(matches!(&request.operation, Operation::Http { method, .. } if method == "DELETE"));
    apply(&json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "two", "namespace": space.0},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "two"}}},
    }));
    let under = render(&*delete, &named("two")).await.unwrap();
    assert!(matches!(&under.operation, Operation::Http { path, .. } if path.contains("/eviction")), "{under:?}");
    assert!(under.hurts.contains("the budget two stands over it"), "{}", under.hurts);
    let why = refused(&*delete, &under).await;
    assert!(why.contains("disruption budget"), "{why}");
    dry(&*delete, &request).await;
    done(&*delete, &request).await;
    assert!(took(&*delete, &request).await);
    space.kubectl(&["wait", "--for=delete", "pod/two", "--timeout=30s"]);
    assert!(refused(&*delete, &request).await.contains("not found"));
    assert!(render(&*delete, &named("two")).await.unwrap_err().message.contains("there is no pod"));
}

#[tokio::test]
async fn a_namespace_is_limited_and_isolated_and_let_go_again() {
    let Some(space) = Space::new("fence") else { return };
    let (set, remove) = (on_lab("kubernetes.set_quota"), on_lab("kubernetes.remove_quota"));
    let given = |hard: Value| args(&space, &[("hard", hard)]);
    let request = render(&*set, &given(json!("limits.cpu=4000m,pods=3"))).await.unwrap();
    dry(&*set, &request).await;
    done(&*set, &request).await;
    assert_eq!(space.read("quota/quarterdeck", r"{.spec.hard.limits\.cpu} {.spec.hard.pods}"), "4 3");
    assert!(took(&*set, &request).await);
    assert!(refused(&*set, &request).await.contains("already exists"), "made once only");
    let request = render(&*set, &given(json!({"pods": 5}))).await.unwrap();
    assert_eq!(request.undo, "the same with hard = limits.cpu=4,pods=3");
    done(&*set, &request).await;
    assert_eq!(space.read("quota/quarterdeck", "{.spec.hard}"), r#"{"pods":"5"}"#);
    let request = render(&*remove, &args(&space, &[])).await.unwrap();
    dry(&*remove, &request).await;
    done(&*remove, &request).await;
    assert!(took(&*remove, &request).await);
    assert!(render(&*remove, &args(&space, &[])).await.unwrap_err().message.contains("there is no ResourceQuota"));

    let (isolate, lift) = (on_lab("kubernetes.isolate_namespace"), on_lab("kubernetes.lift_isolation"));
    let request = render(&*isolate, &args(&space, &[("allow", json!("ingress"))])).await.unwrap();
    dry(&*isolate, &request).await;
    done(&*isolate, &request).await;
    assert!(took(&*isolate, &request).await);
    let policy = "networkpolicy/quarterdeck-isolation";
    assert_eq!(space.read(policy, "{.spec.policyTypes}"), r#"["Ingress","Egress"]"#);
    assert!(space.read(policy, "{.spec.ingress}").contains(r#""kubernetes.io/metadata.name":"ingress""#));
    assert!(render(&*isolate, &args(&space, &[])).await.unwrap_err().message.contains("isolated already"));
    let request = render(&*lift, &args(&space, &[])).await.unwrap();
    space.kubectl(&["label", policy, "changed=yes"]);
    let why = refused(&*lift, &request).await;
    assert!(why.contains("not the object that was shown"), "another version: {why}");
    let request = render(&*lift, &args(&space, &[])).await.unwrap();
    done(&*lift, &request).await;
    assert!(took(&*lift, &request).await);
}

#[tokio::test]
async fn a_service_is_sent_elsewhere_only_where_somebody_answers() {
    let Some(space) = Space::new("repoint") else { return };
    deployment(&space, "x");
    space.kubectl(&["create", "service", "clusterip", "web", "--tcp=80:80"]);
    space.kubectl(&["create", "service", "externalname", "db", "--external-name=old.example"]);
    let verb = on_lab("kubernetes.repoint_service");
    let selector = |to: &str| args(&space, &[("service", json!("web")), ("selector", json!(to))]);
    assert!(render(&*verb, &selector("app=nobody")).await.unwrap_err().message.contains("no ready pod"));
    assert!(render(&*verb, &selector("app=web")).await.unwrap_err().message.contains("already points"));
    space.kubectl(&["patch", "service", "web", "--type=merge", "-p", r#"{"spec":{"selector":{"app":"gone"}}}"#]);
    let request = render(&*verb, &selector("app=web")).await.unwrap();
    assert_eq!(request.undo, "the same with selector = app=gone");
    dry(&*verb, &request).await;
    done(&*verb, &request).await;
    assert_eq!(space.read("service/web", "{.spec.selector}"), r#"{"app":"web"}"#);
    assert!(took(&*verb, &request).await);
    let host = args(&space, &[("service", json!("db")), ("host", json!("new.example"))]);
    let request = render(&*verb, &host).await.unwrap();
    done(&*verb, &request).await;
    assert_eq!(space.read("service/db", "{.spec.externalName}"), "new.example");
    let both = args(&space, &[("service", json!("db")), ("selector", json!("a=b"))]);
    assert!(render(&*verb, &both).await.unwrap_err().message.contains("takes host"));

    let look = on_lab("kubernetes.pod_status");
    let request = render(&*look, &args(&space, &[("selector", json!("app=web"))])).await.unwrap();
    let Outcome::Done { result, .. } = look.look(&request).await else { panic!() };
    assert_eq!((&result["ready"], &result["total"], &result["not_ready"]), (&json!(2), &json!(2), &json!([])));
}

#[tokio::test]
async fn certificates_and_nodes_are_asked_for_in_their_own_objects() {
    if lab("LAB_DELIVERY").is_none() {
        return;
    }
    let Some(space) = Space::new("objects") else { return };
    apply(&json!({
        "apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": "edge", "namespace": space.0},
        "spec": {"secretName": "edge", "dnsNames": ["a.example"], "issuerRef": {"name": "ca"}},
    }));
    let ready =
        json!({"type": "Ready", "status": "True", "reason": "Ready", "lastTransitionTime": "2026-11-01T00:00:00Z"});
    set_status("certificate", &space.0, "edge", &json!({"notAfter": "2026-12-01T00:00:00Z", "conditions": [ready]}));
    let renew = on_lab("kubernetes.renew_certificate");
    let given = args(&space, &[("certificate", json!("edge"))]);
    let request = render(&*renew, &given).await.unwrap();
    assert!(request.hurts.contains("ends 2026-12-01T00:00:00Z"), "{}", request.hurts);
    dry(&*renew, &request).await;
    done(&*renew, &request).await;
    let issuing = r#"{.status.conditions[?(@.type=="Issuing")].reason}"#;
    assert_eq!(space.read("certificate/edge", issuing), "ManuallyTriggered");
    assert!(took(&*renew, &request).await);
    assert!(render(&*renew, &given).await.unwrap_err().message.contains("being issued already"));

    apply(&json!({
        "apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "MachineDeployment",
        "metadata": {"name": "pool", "namespace": space.0},
        "spec": {
            "clusterName": "c", "replicas": 3, "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
                "clusterName": "c", "bootstrap": {"dataSecretName": "x"},
                "infrastructureRef": {"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "T", "name": "t"}}},
        },
    }));
    let pool = format!("pool-{}", std::process::id());
    apply(&json!({
        "apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": pool},
        "spec": {"replicas": 2, "template": {"spec": {
            "nodeClassRef": {"group": "karpenter.test.sh", "kind": "N", "name": "n"},
            "requirements": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}]}}},
    }));
    let scale = on_lab("kubernetes.scale_nodes");
    let machines = args(&space, &[("machine_deployment", json!("pool")), ("nodes", json!(5))]);
    let request = render(&*scale, &machines).await.unwrap();
    assert!(matches!(&request.operation, Operation::Http { path, .. } if path.contains("/cluster.x-k8s.io/v1beta2/")));
    dry(&*scale, &request).await;
    let (result, _) = done(&*scale, &request).await;
    assert_eq!(result["nodes"], 5);
    assert_eq!(space.read("machinedeployment/pool", "{.spec.replicas}"), "5");
    assert!(took(&*scale, &request).await);
    let fewer = vec![("cluster", json!("k8s-1")), ("node_pool", json!(pool)), ("nodes", json!(1))];
    let request = render(&*scale, &fewer).await.unwrap();
    assert!(request.hurts.contains("1 of 2 nodes"), "{}", request.hurts);
    done(&*scale, &request).await;
    assert_eq!(kubectl(&["get", "nodepool", &pool, "-o", "jsonpath={.spec.replicas}"]), "1");
    kubectl(&["delete", "nodepool", &pool]);
}

#[tokio::test]
async fn a_missing_right_is_said_by_the_server_and_nothing_is_changed() {
    let Some(space) = Space::new("rights") else { return };
    space.kubectl(&["create", "cronjob", "nightly", "--image=x", "--schedule=0 3 * * *"]);
    let mut poor = cluster().unwrap();
    poor.act_kubeconfig = lab("LAB_KUBECONFIG_POOR").map(Into::into);
    let verb = verb(&[poor.clone()], "kubernetes.suspend_cronjob");
    let given = args(&space, &[("cronjob", json!("nightly"))]);
    let request = render(&*verb, &given).await.unwrap();
    let why = refused(&*verb, &request).await;
    assert!(why.contains("403") && why.contains("cannot patch resource \"cronjobs\""), "{why}");
    assert_eq!(space.read("cronjob/nightly", "{.spec.suspend}"), "false");
    poor.kubeconfig = lab("LAB_KUBECONFIG_POOR").map(Into::into).unwrap();
    let blind = super::tests::verb(&[poor], "kubernetes.suspend_cronjob");
    let why = render(&*blind, &given).await.unwrap_err().message;
    assert!(why.contains("cannot get resource"), "{why}");
}

#[tokio::test]
async fn lost_in_the_middle_is_unknown_and_then_found_out() {
    let Some(space) = Space::new("lost") else { return };
    space.kubectl(&["create", "cronjob", "nightly", "--image=x", "--schedule=0 3 * * *"]);
    let name = "kubernetes.suspend_cronjob";
    let given = args(&space, &[("cronjob", json!("nightly"))]);
    for (loses, suspended) in [(Loses::Requests, "false"), (Loses::Answers, "true")] {
        let way = lossy(loses).await;
        let mut through = cluster().unwrap();
        through.act_kubeconfig = Some(way.kubeconfig.clone());
        let clusters = Arc::new(Clusters::settling(&[through], Duration::from_millis(500)));
        let verb = on(&clusters).into_iter().find(|v| v.spec().name == name).unwrap();
        let request = render(&*verb, &given).await.unwrap();
        let short = Authorized::for_test(request.clone(), Digest::from_bytes(&[7; 32]), Duration::from_secs(2));
        let outcome = verb.execute(short).await;
        let Outcome::Unknown { why } = outcome else { panic!("{loses:?}: {outcome:?}") };
        assert!(why.message.contains("no answer within 2 s"), "{}", why.message);
        let found = verb.reconcile(&request).await;
        assert_eq!(matches!(found, Reconciled::TookEffect { .. }), loses == Loses::Answers, "{found:?}");
        assert_eq!(matches!(found, Reconciled::NoEffect { .. }), loses == Loses::Requests, "{found:?}");
        assert_eq!(space.read("cronjob/nightly", "{.spec.suspend}"), suspended);
    }
}

/// What an API server does that is frozen and goes on: the request is taken up late, after the client gave up.
#[tokio::test]
async fn taken_up_late_is_unknown_and_then_found_out() {
    let Some(space) = Space::new("frozen") else { return };
    space.kubectl(&["create", "cronjob", "nightly", "--image=x", "--schedule=0 3 * * *"]);
    let way = lossy(Loses::Time).await;
    let mut through = cluster().unwrap();
    through.act_kubeconfig = Some(way.kubeconfig.clone());
    let clusters = Arc::new(Clusters::settling(&[through], Duration::from_secs(10)));
    let verb = on(&clusters).into_iter().find(|v| v.spec().name == "kubernetes.suspend_cronjob").unwrap();
    let request = render(&*verb, &args(&space, &[("cronjob", json!("nightly"))])).await.unwrap();
    let short = Authorized::for_test(request.clone(), Digest::from_bytes(&[7; 32]), Duration::from_secs(2));
    let outcome = verb.execute(short).await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    assert_eq!(space.read("cronjob/nightly", "{.spec.suspend}"), "false", "it has not been taken up yet");
    let (found, ()) = tokio::join!(verb.reconcile(&request), async { way.thaw() });
    assert!(matches!(found, Reconciled::TookEffect { .. }), "{found:?}");
    assert_eq!(space.read("cronjob/nightly", "{.spec.suspend}"), "true");
}
