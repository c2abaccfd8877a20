//! A simulated API server that streams 10,000 pods of realistic size, or another number, in a process of its own: the bench starts itself
//! a second time with [`SERVE`], so that its memory is not counted.

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, BufWriter, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The argument with which a bench is this server.
pub const SERVE: &str = "--serve";

const PODS_EACH: usize = 10;
const NODES: usize = 100;

/// The server while it runs.
pub struct Cluster {
    server: Child,
    pub kubeconfig: PathBuf,
    _dir: tempfile::TempDir,
}

impl Cluster {
    /// With so many Deployments, each in a namespace of its own and with ten pods.
    pub fn of(deployments: usize) -> Self {
        let mut server = Command::new(std::env::current_exe().unwrap());
        let mut server = server.arg(SERVE).arg(deployments.to_string()).stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut address).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let kubeconfig = dir.path().join("kubeconfig");
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: c, users: [],
              clusters: [{{name: c, cluster: {{server: 'http://{}'}}}}],
              contexts: [{{name: c, context: {{cluster: c, user: ''}}}}]}}",
            address.trim()
        );
        std::fs::write(&kubeconfig, text).unwrap();
        Self { server, kubeconfig, _dir: dir }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Serves until it is killed; prints its address first.
pub fn serve() {
    let deployments = std::env::args().skip_while(|a| a != SERVE).nth(1).unwrap().parse().unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    println!("{}", listener.local_addr().unwrap());
    for stream in listener.incoming() {
        std::thread::spawn(move || answer(&stream.unwrap(), deployments));
    }
}

fn answer(stream: &TcpStream, deployments: usize) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|n| n > 0) {
        let path = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
        while line.trim() != "" {
            line.clear();
            if reader.read_line(&mut line).is_err() {
                return;
            }
        }
        line.clear();
        let mut out = BufWriter::new(stream);
        let small = match path.as_str() {
            "/readyz" => "ok".to_owned(),
            "/version" => json!({"gitVersion": "v1.36.3", "minor": "36"}).to_string(),
            "/api/v1/namespaces/kube-system" => json!({"metadata": {"uid": "bench"}}).to_string(),
            _ => {
                let sent = watch(&mut out, &path, deployments);
                let _ = sent.and_then(|()| out.flush());
                drop(out);
                // Open until the client goes.
                let _ = reader.read_line(&mut line);
                return;
            }
        };
        let sent = write!(out, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{small}", small.len());
        if sent.and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

fn watch(out: &mut impl Write, path: &str, deployments: usize) -> std::io::Result<()> {
    write!(out, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
    let each = |n| (0..deployments).flat_map(move |d| (0..n).map(move |p| (d, p)));
    match path.split('?').next().unwrap_or_default() {
        "/api/v1/pods" => {
            for (d, p) in each(PODS_EACH) {
                event(out, &pod(d, p))?;
            }
        }
        "/apis/apps/v1/deployments" => {
            for (d, _) in each(1) {
                event(out, &workload(d, "Deployment"))?;
            }
        }
        "/apis/apps/v1/replicasets" => {
            for (d, _) in each(1) {
                event(out, &workload(d, "ReplicaSet"))?;
            }
        }
        "/api/v1/nodes" => {
            for n in 0..NODES {
                let conditions = json!([{"type": "Ready", "status": "True"}]);
                let meta = json!({"name": format!("node-{n}"), "uid": uid(3, n, 0), "resourceVersion": "1"});
                event(out, &json!({"metadata": meta, "spec": {}, "status": {"conditions": conditions}}))?;
            }
        }
        // Of everything else it has none.
        _ => {}
    }
    let end = json!({"resourceVersion": "9", "annotations": {"k8s.io/initial-events-end": "true"}});
    chunk(out, &format!("{{\"type\":\"BOOKMARK\",\"object\":{}}}\n", json!({"metadata": end})))
}

fn event(out: &mut impl Write, object: &Value) -> std::io::Result<()> {
    chunk(out, &format!("{{\"type\":\"ADDED\",\"object\":{object}}}\n"))
}

fn chunk(out: &mut impl Write, text: &str) -> std::io::Result<()> {
    write!(out, "{:x}\r\n{text}\r\n", text.len())
}

fn uid(kind: usize, major: usize, minor: usize) -> String {
    format!("{kind:08x}-0000-4000-8000-{major:06x}{minor:06x}")
}

/// Field ownership, as the API server keeps it: most of the weight of a small object.
fn managed(fields: usize) -> Value {
    let names: serde_json::Map<String, Value> = (0..fields).map(|n| (format!("f:field-{n:03}"), json!({}))).collect();
    json!([{"manager": "kube-controller-manager", "operation": "Update", "fieldsV1": names}])
}

fn workload(d: usize, kind: &str) -> Value {
    let set = kind == "ReplicaSet";
    let name = if set { format!("odoo-{d:08x}") } else { "odoo".into() };
    json!({
        "metadata": {
            "name": name, "namespace": format!("t{d:04}"), "uid": uid(usize::from(set), d, 0), "resourceVersion": "5",
            "generation": 1, "creationTimestamp": "2026-11-21T10:00:00Z", "managedFields": managed(40),
            "annotations": {"deployment.kubernetes.io/revision": "1"},
            "ownerReferences": if set { json!([{"kind": "Deployment", "name": "odoo", "controller": true}]) } else { json!([]) },
        },
        "spec": {"replicas": PODS_EACH, "template": {"spec": {"containers": [{"image": "registry.example/odoo:19.0-r117"}]}}},
        "status": {"observedGeneration": 1, "readyReplicas": 10, "updatedReplicas": 10, "availableReplicas": 10},
    })
}

fn pod(d: usize, p: usize) -> Value {
    let variables: Vec<Value> = (0..20).map(|n| json!({"name": format!("ODOO_{n}"), "value": "value"})).collect();
    json!({
        "metadata": {
            "name": format!("odoo-{d:08x}-{p:05x}"), "namespace": format!("t{d:04}"), "uid": uid(2, d, p),
            "resourceVersion": "5", "creationTimestamp": "2026-11-21T10:00:00Z", "managedFields": managed(80),
            "labels": {"pod-template-hash": format!("{d:08x}"), "app.kubernetes.io/name": "odoo"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": format!("odoo-{d:08x}"), "controller": true}],
        },
        "spec": {"nodeName": "node-1", "containers": [{"name": "odoo", "image": "registry.example/odoo:19.0-r117", "env": variables}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "odoo", "restartCount": 0, "state": {"running": {}}}]},
    })
}
