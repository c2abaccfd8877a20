//! Rows from objects as the API server sends them, and facts from rows.

use super::fold::{Kept, fold};
use super::store::Store;
use super::wire;
use crate::domain::facts::kubernetes::Workload;
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const START: &str = "2026-11-21T10:00:00Z";

fn at(minutes: i64) -> Timestamp {
    START.parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
}

fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

struct Cluster(Store, Kept);

impl Cluster {
    fn new() -> Self {
        Self(Store::default(), Kept::default())
    }

    fn deployment(&mut self, image: &str, revision: u32, now: i64) {
        let object = object(json!({
            "metadata": {"name": "odoo", "namespace": "t017", "uid": "d", "resourceVersion": "1", "generation": 3,
                         "creationTimestamp": at(0).to_string(), "labels": {"app": "odoo"},
                         "annotations": {"deployment.kubernetes.io/revision": revision.to_string()}},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [{"image": image}, {"image": "sidecar"}]}}},
            "status": {"observedGeneration": 2},
        }));
        self.0.put_deployment(object, at(now));
    }

    fn set(&mut self, hash: &str, image: &str, revision: u32, created: i64) {
        let object = object(json!({
            "metadata": {"name": format!("odoo-{hash}"), "namespace": "t017", "uid": format!("s-{hash}"),
                         "resourceVersion": "1", "creationTimestamp": at(created).to_string(),
                         "annotations": {"deployment.kubernetes.io/revision": revision.to_string()},
                         "ownerReferences": [{"kind": "Deployment", "name": "odoo", "controller": true}]},
            "spec": {"template": {"spec": {"containers": [{"image": image}]}}},
        }));
        self.0.put_set(&object);
    }

    fn pod(&mut self, uid: &str, hash: &str, created: i64, status: &Value, now: i64) {
        let object = object(json!({
            "metadata": {"name": format!("odoo-{hash}-{uid}"), "namespace": "t017", "uid": uid, "resourceVersion": "1",
                         "creationTimestamp": at(created).to_string(), "labels": {"pod-template-hash": hash},
                         "ownerReferences": [{"kind": "ReplicaSet", "name": format!("odoo-{hash}"), "controller": true}]},
            "spec": {"containers": [{"name": "odoo", "image": status["image"]}, {"name": "exporter", "image": "exporter"}]},
            "status": status,
        }));
        self.0.put_pod(&object, at(now));
    }

    /// As it is told, which is the same as if nothing were kept.
    fn workload(&mut self) -> Workload {
        let mut all = self.1.fold(&self.0, true).workloads;
        assert_eq!(all, fold(&self.0, true).workloads);
        assert_eq!(all.len(), 1);
        all.remove(0)
    }
}

/// A pod of the first container `odoo` with a sidecar whose status comes first.
fn running(image: &str, id: &str) -> Value {
    json!({"phase": "Running", "image": image, "containerStatuses": [
        {"name": "exporter", "imageID": "docker.io/exporter@sha256:eeee"}, {"name": "odoo", "imageID": id}]})
}

#[test]
fn what_pods_run_under_one_tag_is_told_with_its_digest_and_silence_is_none() {
    let mut c = Cluster::new();
    c.deployment("odoo:1", 3, 0);
    assert_eq!((c.workload().digests(), c.workload().digest()), (None, None));
    c.pod("p1", "b", 0, &running("odoo:1", ""), 0);
    assert_eq!(c.workload().digests(), None, "the node has not said it yet");
    // As containerd, Docker and a node that knows the image by its id alone say it.
    c.pod("p1", "b", 0, &running("odoo:1", "registry.example/odoo@sha256:aaaa"), 1);
    c.pod("p2", "b", 0, &running("odoo:1", "docker-pullable://registry.example/odoo@sha256:aaaa"), 1);
    c.pod("p3", "b", 0, &running("odoo:0", "sha256:bbbb"), 1);
    let w = c.workload();
    assert_eq!(w.digests(), Some(1), "another name is another release, as in a rollout: {w:?}");
    assert_eq!(w.digest().map(|r| (r.digest.as_str(), r.pods, r.short())), Some(("sha256:aaaa", 2, "aaaa")));
    // The tag has moved: what was pulled later is another image.
    c.pod("p4", "b", 2, &running("odoo:1", "registry.example/odoo@sha256:cccc"), 2);
    let w = c.workload();
    assert_eq!((w.digests(), w.digest()), (Some(2), None), "{w:?}");
    assert_eq!(w.runs.first().map(|r| r.pods), Some(2));
    let failed = json!({"phase": "Failed", "image": "odoo:1", "containerStatuses": running("odoo:1", "x@sha256:cccc")["containerStatuses"]});
    c.pod("p4", "b", 2, &failed, 3);
    assert_eq!(c.workload().digests(), Some(1), "a pod that does not run counts for nothing");
}

fn restarts(count: u32) -> Value {
    json!({"phase": "Running", "containerStatuses": [{"restartCount": count}]})
}

#[test]
fn a_restart_keeps_the_age_of_the_image() {
    let mut c = Cluster::new();
    c.deployment("odoo:1", 3, 0);
    c.set("a", "odoo:0", 1, 0);
    c.set("b", "odoo:1", 2, 10);
    c.set("c", "odoo:1", 3, 50);
    assert_eq!(c.workload().image_since, Some(at(10)));
}

#[test]
fn a_rollback_is_as_old_as_its_oldest_pod_or_as_it_was_seen() {
    let mut c = Cluster::new();
    c.deployment("odoo:1", 4, 0);
    c.set("c", "odoo:2", 3, 30);
    c.set("b", "odoo:1", 4, 10); // once revision 2, taken into use again
    assert_eq!(c.workload().image_since, None, "no pod yet, nothing seen");
    c.pod("p", "b", 42, &restarts(0), 60);
    c.pod("q", "b", 41, &restarts(0), 60);
    assert_eq!(c.workload().image_since, Some(at(41)));
    c.deployment("odoo:2", 5, 70);
    c.deployment("odoo:1", 6, 80);
    assert_eq!(c.workload().image_since, Some(at(80)), "this observer saw it");
}

#[test]
fn without_replica_sets_the_age_is_known_only_when_it_was_seen_or_never_changed() {
    let mut c = Cluster::new();
    c.deployment("odoo:1", 1, 5);
    assert_eq!(c.workload().image_since, Some(at(0)));
    c.deployment("odoo:2", 2, 7);
    assert_eq!(c.workload().image_since, Some(at(7)));
    let mut late = Cluster::new();
    late.deployment("odoo:2", 2, 7);
    assert_eq!(late.workload().image_since, None);
}

#[test]
fn restarts_count_from_the_second_look_on_and_for_five_minutes() {
    let mut c = Cluster::new();
    c.deployment("odoo:1", 1, 0);
    c.pod("p", "a", 0, &restarts(7), 1);
    assert_eq!((c.workload().restarts, c.workload().restarts_5m), (Some(7), Some(0)));
    c.pod("p", "a", 0, &restarts(9), 2);
    c.pod("q", "a", 0, &restarts(1), 2);
    c.pod("q", "a", 0, &restarts(2), 2);
    assert_eq!((c.workload().restarts, c.workload().restarts_5m), (Some(11), Some(3)));
    c.0.tidy(at(7));
    assert_eq!(c.workload().restarts_5m, Some(3));
    c.0.tidy(at(8));
    assert_eq!((c.workload().restarts, c.workload().restarts_5m), (Some(11), Some(0)));
}

#[test]
fn what_pods_say_of_themselves_is_counted_once_a_pod() {
    let mut c = Cluster::new();
    c.deployment("odoo:1", 1, 0);
    let looping = json!({"phase": "Running", "containerStatuses": [
        {"restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"reason": "OOMKilled"}}},
        {"restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"reason": "Error"}}},
    ]});
    c.pod("p", "a", 0, &looping, 0);
    let init = json!({"phase": "Pending", "containerStatuses": null, "initContainerStatuses": [
        {"restartCount": 1, "state": {"waiting": {"reason": "PodInitializing"}}}]});
    c.pod("q", "a", 0, &init, 0);
    // A pod of nobody's Deployment counts for the cluster only.
    let lone = json!({"metadata": {"name": "job", "namespace": "t017", "uid": "j", "resourceVersion": "1"},
                      "status": {"phase": "Failed"}});
    c.0.put_pod(&object(lone), at(0));
    let w = c.workload();
    assert_eq!(
        (w.restarts, w.crash_looping, w.oom_killed, w.pending, w.observed),
        (Some(7), Some(1), Some(1), Some(1), false)
    );
    let pods = fold(&c.0, true).pods.unwrap();
    assert_eq!((pods.total, pods.running, pods.pending, pods.failed, pods.crash_looping), (3, 1, 1, 1, 1));
}

#[test]
fn a_deployment_whose_name_begins_like_another_keeps_its_own_pods() {
    let mut c = Cluster::new();
    c.deployment("odoo:1", 1, 0);
    let worker = json!({
        "metadata": {"name": "odoo-worker-9f-x", "namespace": "t017", "uid": "w", "resourceVersion": "1",
                     "labels": {"pod-template-hash": "9f"},
                     "ownerReferences": [{"kind": "ReplicaSet", "name": "odoo-worker-9f", "controller": true}]},
        "status": restarts(5),
    });
    c.0.put_pod(&object(worker), at(0));
    assert_eq!(c.workload().restarts, Some(0));
}

#[test]
fn nodes_say_ready_pressure_and_cordons() {
    let mut store = Store::default();
    let node = |name: &str, ready: &str, unschedulable: Value| {
        object(json!({
            "metadata": {"name": name, "uid": name, "resourceVersion": "1"},
            "spec": {"unschedulable": unschedulable},
            "status": {"conditions": [
                {"type": "Ready", "status": ready}, {"type": "MemoryPressure", "status": "True"},
                {"type": "DiskPressure", "status": "False"}, {"type": "NetworkUnavailable", "status": "True"}]},
        }))
    };
    store.put_node(node("node-2", "Unknown", json!(true)));
    store.put_node(node("node-1", "True", Value::Null));
    store.put_node(node("node-3", "False", json!(false)));
    let nodes = fold(&store, true).nodes;
    let seen: Vec<_> = nodes.iter().map(|n| (n.name.as_str(), n.ready, n.cordoned)).collect();
    assert_eq!(seen, [("node-1", Some(true), false), ("node-2", None, true), ("node-3", Some(false), false)]);
    assert_eq!(nodes[0].pressure, ["MemoryPressure"]);
}

#[test]
fn a_list_drops_what_it_does_not_name_and_shared_names_go_with_the_last_row() {
    let mut store = Store::default();
    let pod = |uid: &str| object::<wire::Pod>(json!({"metadata": {"name": uid, "uid": uid, "resourceVersion": "1"}}));
    store.put_pod(&pod("a"), at(0));
    store.put_pod(&pod("b"), at(0));
    store.pods.begin();
    store.put_pod(&pod("b"), at(0));
    assert_eq!(store.pods.len(), 2, "nothing is lost while the list runs");
    store.pods.sweep();
    assert_eq!(store.pods.iter().map(|(uid, _)| uid).collect::<Vec<_>>(), ["b"]);
    store.pods.remove("b");
    assert_eq!(store.pods.len(), 0);
}

#[test]
fn what_is_kept_is_told_anew_once_a_row_changes_and_nodes_always() {
    let mut c = Cluster::new();
    c.deployment("odoo:19.0-1", 1, 0);
    c.set("a", "odoo:19.0-1", 1, 0);
    c.pod("p", "a", 0, &running("odoo:19.0-1", "odoo@sha256:aaaa"), 1);
    let node = |ready: &str| {
        object::<wire::Node>(json!({
            "metadata": {"name": "node-1", "uid": "n", "resourceVersion": "1"},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }))
    };
    c.0.put_node(node("True"));
    let before = c.0.version();
    assert_eq!((c.workload().runs[0].pods, c.1.fold(&c.0, true).nodes[0].ready), (1, Some(true)));
    c.0.put_node(node("False"));
    c.0.tidy(at(2));
    assert_eq!((c.0.version(), c.1.fold(&c.0, true).nodes[0].ready), (before, Some(false)));
    c.0.pods.remove("p");
    assert!(c.0.version() > before);
    assert_eq!((c.workload().runs.len(), c.1.fold(&c.0, true).pods.unwrap().total), (0, 0));
    assert_eq!(c.1.fold(&c.0, false).pods, None, "without a watch of pods nothing is known of them");
    // A list that no longer names the set, as after a watch that was lost.
    c.0.sets.begin();
    c.0.sets.sweep();
    c.workload();
}
