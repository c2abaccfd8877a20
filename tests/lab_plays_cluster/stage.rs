//! What the plays share: objects that a test makes, what the servers say, and controllers that are simulated.
#![allow(dead_code, reason = "shared by two test programs, each of which uses a part")]

use crate::lab_support::Lab;
use crate::lab_support::load::Load;
use crate::lab_support::record::Records;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What the plays on the cluster need.
pub const CLUSTER: &[&str] = &["LAB_KUBECTL", "LAB_DELIVERY", "LAB_TRAEFIK_HTTP", "LAB_PG_ADMIN_DSN"];

/// The measures of a kind of record by their names, without the duties that a playbook leaves.
pub fn measures(records: &Records, kind: &str) -> BTreeSet<String> {
    let names = records.all(kind).into_iter().map(|r| r["body"]["measure"].as_str().unwrap().to_owned());
    names.filter(|name| !name.starts_with("duty/")).collect()
}

/// Objects that the test makes on the API server, gone again at its end.
pub struct Made<'a>(&'a Lab, Value);

impl<'a> Made<'a> {
    pub fn new(lab: &'a Lab, items: &Value) -> Self {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        let out = feed(lab, &["apply", "-f", "-"], &list);
        assert!(out.is_ok(), "{out:?}");
        Self(lab, list)
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        if let Err(why) = feed(self.0, &["delete", "--ignore-not-found", "-f", "-"], &self.1) {
            self.0.note(&why);
        }
    }
}

/// `kubectl` with objects on its standard input.
fn feed(lab: &Lab, args: &[&str], objects: &Value) -> Result<(), String> {
    let mut command = Command::new(lab.var("LAB_KUBECTL"));
    command.arg("--kubeconfig").arg(lab.var("LAB_KUBECONFIG_ADMIN")).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    serde_json::to_writer(child.stdin.take().unwrap(), objects).map_err(|e| e.to_string())?;
    let out = child.wait_with_output().map_err(|e| e.to_string())?;
    if out.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&out.stderr).into_owned()) }
}

/// Pods by namespace and name: their uids and the nodes that they run on.
pub fn pods(lab: &Lab) -> BTreeMap<String, (String, String)> {
    let path = "{range .items[*]}{.metadata.namespace}/{.metadata.name} {.metadata.uid} {.spec.nodeName}{\"\\n\"}{end}";
    let all = lab.object(&["pods", "-A"], path);
    let one = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        Some((words.next()?, (words.next()?, words.next()?)))
    };
    all.lines().filter_map(one).collect()
}

pub fn available(lab: &Lab, namespace: &str, deployment: &str) {
    lab.kubectl(&["rollout", "status", "-n", namespace, &format!("deployment/{deployment}"), "--timeout=60s"]);
}

/// What makes nodes: the real definition of Cluster API, without its controller.
pub fn machines(nodes: u32) -> Value {
    json!({
        "apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "MachineDeployment",
        "metadata": {"name": "workers", "namespace": "default"},
        "spec": {
            "clusterName": "lab", "replicas": nodes, "selector": {"matchLabels": {"pool": "workers"}},
            "template": {"spec": {
                "clusterName": "lab", "bootstrap": {"dataSecretName": "none"},
                "infrastructureRef": {"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1", "kind": "None", "name": "none"},
            }},
        },
    })
}

/// The end of what runs beside a play, however that ends.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Plays, while a controller that does not run in the lab does its part again and again: simulated.
pub fn beside<T>(mut controller: impl FnMut() + Send, play: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let over = &over;
        scope.spawn(move || {
            while !over.load(Ordering::Relaxed) {
                controller();
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        let _end = End(over);
        play()
    })
}

/// Puts `[[delivery]]` into a configuration: Argo CD, whose objects are in the namespace of t017.
pub fn delivered(config: &mut toml::Table) {
    let delivery: toml::Table =
        "[[delivery]]\nid = \"gitops\"\ncluster = \"k8s\"\nargocd_namespace = \"t017\"\n".parse().unwrap();
    config.extend(delivery);
}

/// What Argo CD does with an operation that was asked for: it delivers, and moves the operation into the status.
pub fn argo_cd(lab: &Lab, deliver: impl Fn(&Value)) {
    let operation = lab.object(&["application", "odoo", "-n", "t017"], "{.operation}");
    if operation.is_empty() {
        return;
    }
    let operation: Value = serde_json::from_str(&operation).unwrap();
    deliver(&operation);
    let state = json!({"operation": operation, "phase": "Succeeded", "startedAt": "2026-11-22T02:00:00Z"});
    let status = json!({"operation": null, "status": {"operationState": state, "sync": {"status": "Synced"}}});
    lab.kubectl(&["patch", "application", "odoo", "-n", "t017", "--type=merge", "-p", &status.to_string()]);
}

/// Several people who use a tenant at once.
pub fn crowd(lab: &Lab, tenant: &str, people: usize) -> Vec<Load> {
    (0..people).map(|_| Load::of(lab, &[tenant])).collect()
}
