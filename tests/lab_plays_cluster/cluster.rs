//! Nodes, autoscalers, capacity and the pods of workers.

use crate::headless::Desk;
use crate::lab_support::{LONG, Lab};
use crate::stage::{CLUSTER, Made, available, crowd, delivered, machines, pods};
use serde_json::{Value, json};

fn budget(namespace: &str) -> Value {
    let labels = json!({"app.kubernetes.io/component": "web"});
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "odoo-web", "namespace": namespace},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": labels}},
    })
}

#[test]
fn a_node_that_fails_is_closed_emptied_and_opened_again() {
    const NODE: &str = "node-2";
    let Some(lab) = Lab::open("node-disruption", CLUSTER) else { return };
    let _made = Made::new(&lab, &json!([budget("t017"), budget("t003"), machines(5)]));
    // Two tenants share the node that will fail.
    let _open = Uncordoned(&lab);
    let others = ["node-1", "node-3", "node-4", "node-5"];
    lab.kubectl(&[&["cordon"], &others[..]].concat());
    for tenant in ["t017", "t003"] {
        let name =
            lab.object(&["pods", "-n", tenant, "-l", "app.kubernetes.io/component=web"], "{.items[0].metadata.name}");
        lab.kubectl(&["delete", "pod", "-n", tenant, &name]);
        available(&lab, tenant, "odoo");
    }
    lab.kubectl(&[&["uncordon"], &others[..]].concat());
    let before = pods(&lab);
    let here = before.values().filter(|(_, node)| node == NODE).count();

    let desk = Desk::open(&lab);
    let _ready = lab.home(&["node_not_ready", NODE, "off"]);
    lab.fault(&["node_not_ready", NODE, "on"]);
    desk.offers("node-not-ready", NODE, "node-disruption", LONG);
    desk.declare("node-2 does not answer", "SEV2");
    let params = [("cluster", "k8s"), ("node", NODE), ("machines", "workers"), ("nodes", "6")];
    let mut run = desk.start("node-disruption", &params);
    run.confirm("cordon");
    assert_eq!(lab.object(&["node", NODE], "{.spec.unschedulable}"), "true");
    assert_eq!(pods(&lab).values().filter(|(_, node)| node == NODE).count(), here, "what runs there stays for now");
    run.decide("room", "add");
    run.confirm("add-node");
    assert_eq!(lab.object(&["machinedeployment", "workers"], "{.spec.replicas}"), "6");
    run.confirm_approved("drain");
    let after = pods(&lab);
    assert_eq!(after.values().filter(|(_, node)| node == NODE).count(), 0, "{after:?}");
    for (name, (uid, _)) in before.iter().filter(|(_, (_, node))| node != NODE) {
        assert_eq!(after.get(name).map(|(uid, _)| uid), Some(uid), "{name} had nothing to do with it");
    }
    for (tenant, deployment) in [("t017", "odoo"), ("t003", "odoo"), ("t090", "odoo"), ("t017", "odoo-worker")] {
        available(&lab, tenant, deployment);
    }
    lab.fault(&["node_not_ready", NODE, "off"]);
    run.decide("repaired", "well");
    run.confirm("uncordon");
    assert_eq!(lab.object(&["nodes"], "{.items[*].spec.unschedulable}"), "");
    run.decide("handed-over", "done");
    run.finished();

    let records = desk.leave();
    for step in ["cordon", "add-node", "uncordon"] {
        records.acted_once(step);
    }
    records.acted_once_approved("drain", "ines");
}

/// Opens every node to pods when it is dropped.
struct Uncordoned<'a>(&'a Lab);

impl Drop for Uncordoned<'_> {
    fn drop(&mut self) {
        self.0.kubectl(&["uncordon", "node-1", "node-2", "node-3", "node-4", "node-5"]);
    }
}

#[test]
fn an_autoscaler_that_runs_away_is_capped_and_people_are_served() {
    let Some(lab) = Lab::open("autoscale-guard", CLUSTER) else { return };
    let _calm = lab.home(&["backend_busy", "t017", "off"]);
    let _down = lab.home(&["autoscaler_runs_away", "t017", "8", "off"]);
    let desk = Desk::open(&lab);
    // Slow, however many pods it makes: what is slow is behind them.
    lab.fault(&["backend_busy", "t017", "on"]);
    lab.fault(&["autoscaler_runs_away", "t017", "8"]);
    let people = crowd(&lab, "t017", 8);
    desk.offers_too("http-slow", "t017", "autoscale-guard", LONG);
    let others =
        || lab.object(&["deployments", "-n", "t003"], "{.items[*].metadata.generation} {.items[*].spec.replicas}");
    let before = others();

    let mut run = desk.start("autoscale-guard", &[("tenant", "t017"), ("hpa", "odoo"), ("most", "3")]);
    lab.fault(&["backend_busy", "t017", "off"]);
    run.confirm("cap");
    run.finished();
    assert_eq!(lab.object(&["hpa", "odoo", "-n", "t017"], "{.spec.minReplicas} {.spec.maxReplicas}"), "2 3");
    // The real controller of autoscalers has obeyed.
    assert_eq!(
        lab.object(&["deployment", "odoo", "-n", "t017"], "{.spec.replicas} {.status.availableReplicas}"),
        "3 3"
    );
    assert_eq!(others(), before, "another tenant was touched");
    drop(people);

    let records = desk.leave();
    records.acted_once("cap");
}

#[test]
fn workers_that_leak_get_room_and_then_the_release_before() {
    let needs = [CLUSTER, &["LAB_ODOO_WORKER_URL"]].concat();
    let Some(lab) = Lab::open("worker-regression", &needs) else { return };
    let _gone = lab.home(&["application_drifts_clear", "t017"]);
    let _mended = lab.home(&["leaking_release", "t017", "off"]);
    lab.fault(&["application_drifts", "t017", "off"]);
    let desk = Desk::open_with(&lab, "", delivered);
    lab.fault(&["leaking_release", "t017", "on"]);
    let web = || lab.object(&["deployment", "odoo", "-n", "t017"], "{.metadata.generation}");
    let others = || lab.object(&["deployments", "-n", "t003"], "{.items[*].metadata.generation}");
    let before = (web(), others());
    let worker = |path: &str| lab.object(&["deployment", "odoo-worker", "-n", "t017"], path);
    let image = || worker("{.spec.template.spec.containers[0].image}");
    desk.offers_too("restarts", "t017", "worker-regression", LONG);
    desk.declare("workers of t017 are killed for memory", "SEV2");

    let params = [("tenant", "t017"), ("delivery", "gitops"), ("application", "odoo"), ("memory", "4Gi")];
    let mut run = desk.start("worker-regression", &params);
    run.confirm("restart");
    run.confirm("room");
    assert_eq!(worker("{.spec.template.spec.containers[0].resources.limits.memory}"), "4Gi");
    assert_eq!(image(), "registry.example/odoo:19.0-r118");
    run.decide("slope", "climbs");
    run.confirm("auto-sync-off");
    assert_eq!(lab.object(&["application", "odoo", "-n", "t017"], "{.spec.syncPolicy.automated}"), "");
    run.ask_typed("undo", "t017");
    run.approve("undo");
    run.finished();
    assert_eq!(image(), "registry.example/odoo:19.0-r117", "the release before, not the memory before");
    let label = "lab.quarterdeck.io/leak=true";
    assert_eq!(lab.object(&["pods", "-n", "t017", "-l", label], "{.items[*].metadata.name}"), "");
    assert_eq!((web(), others()), before, "people keep their release, and other tenants theirs");

    let records = desk.leave();
    for step in ["restart", "room", "auto-sync-off"] {
        records.acted_once(step);
    }
    records.acted_once_approved("undo", "ines");
}

#[test]
fn capacity_is_there_before_the_peak_and_goes_after_it() {
    let Some(lab) = Lab::open("peak-prescale", CLUSTER) else { return };
    let _made = Made::new(&lab, &json!([machines(5)]));
    let _down = lab.home(&["autoscaler_runs_away", "t017", "2", "off"]);
    lab.kubectl(&["autoscale", "deployment", "odoo", "-n", "t017", "--min=2", "--max=3"]);
    let desk = Desk::open(&lab);
    let others = || lab.object(&["deployments", "-n", "t003"], "{.items[*].metadata.generation}");
    let before = others();
    let bounds = || lab.object(&["hpa", "odoo", "-n", "t017"], "{.spec.minReplicas} {.spec.maxReplicas}");
    let web = || lab.object(&["deployment", "odoo", "-n", "t017"], "{.status.availableReplicas}");
    let nodes = || lab.object(&["machinedeployment", "workers"], "{.spec.replicas}");

    let params = [
        ("tenant", "t017"),
        ("hpa", "odoo"),
        ("least", "5"),
        ("most", "8"),
        ("after", "2"),
        ("after_most", "3"),
        ("machines", "workers"),
        ("nodes", "7"),
        ("nodes_after", "5"),
    ];
    let mut run = desk.start("peak-prescale", &params);
    run.decide("agreed", "done");
    run.confirm("add-nodes");
    assert_eq!(nodes(), "7");
    run.confirm("raise-floor");
    assert_eq!((bounds().as_str(), web().as_str()), ("5 8", "5"), "before the load comes");
    run.decide("peak", "done");
    run.confirm("lower-floor");
    assert_eq!(bounds(), "2 3");
    lab.until("the pods are given back", LONG, || web() == "3");
    run.confirm_approved("remove-nodes");
    run.finished();
    assert_eq!((nodes().as_str(), others()), ("5", before));

    let records = desk.leave();
    for step in ["add-nodes", "raise-floor", "lower-floor"] {
        records.acted_once(step);
    }
    records.acted_once_approved("remove-nodes", "ines");
}
