//! The Kubernetes observer against real API servers: the lab's, and one that this test starts beside it on the
//! same etcd, so that it can be frozen, killed and started again without disturbing anybody else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use jiff::Timestamp;
use quarterdeck::config::model::Kubernetes;
use quarterdeck::domain::facts::{Facts, KubernetesFacts};
use quarterdeck::domain::id::SourceId;
use quarterdeck::domain::mode::Mode;
use quarterdeck::domain::ports::Observer;
use quarterdeck::domain::sample::{FailureKind, Sample};
use quarterdeck::observe::kubernetes::KubernetesObserver;
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

const INTERVAL: Duration = Duration::from_secs(1);

/// A variable of the lab; without the lab the test is skipped, or fails where the lab is required.
fn lab(name: &str) -> Option<String> {
    let value = std::env::var(name).ok();
    if value.is_none() {
        let required = std::env::var("QUARTERDECK_LAB").is_ok_and(|v| v == "require");
        assert!(!required, "QUARTERDECK_LAB=require, but {name} is not set: tests/lab/lab up kubernetes");
        println!("skipped: {name} is not set (tests/lab/lab up kubernetes, then tests/lab/lab env)");
    }
    value
}

struct Watching {
    samples: UnboundedReceiver<Sample>,
    task: JoinHandle<()>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn watch(kubeconfig: impl Into<PathBuf>) -> Watching {
    let config = Kubernetes {
        id: SourceId::new("k8s-1"),
        kubeconfig: kubeconfig.into(),
        context: None,
        act_kubeconfig: None,
        impersonate: None,
        interval: INTERVAL,
    };
    let observer = KubernetesObserver::new(Mode::ReadOnly.may_observe().unwrap(), &config);
    let (send, samples) = unbounded_channel();
    let task = tokio::spawn(Box::new(observer).run(Arc::new(move |sample| {
        let _ = send.send(sample);
    })));
    Watching { samples, task }
}

impl Watching {
    /// The next sample that fits, within a minute; what came instead is in the message otherwise.
    async fn until(&mut self, what: &str, fits: impl Fn(&Sample) -> bool) -> Sample {
        let mut last = None;
        let found = tokio::time::timeout(Duration::from_mins(1), async {
            loop {
                let sample = self.samples.recv().await.expect("the observer runs for ever");
                if fits(&sample) {
                    return sample;
                }
                last = Some(sample);
            }
        });
        let found = found.await.ok();
        found.unwrap_or_else(|| panic!("waited a minute for: {what}; last sample {last:?}"))
    }

    async fn good(&mut self) -> KubernetesFacts {
        facts(&self.until("a good sample", |s| s.result.is_ok()).await)
    }
}

fn facts(sample: &Sample) -> KubernetesFacts {
    match sample.result.as_deref() {
        Ok(Facts::Kubernetes(facts)) => facts.clone(),
        other => panic!("not facts of a cluster: {other:?}"),
    }
}

fn failed(kind: FailureKind) -> impl Fn(&Sample) -> bool {
    move |s| s.result.as_ref().is_err_and(|f| f.kind == kind)
}

fn kubectl(args: &[&str]) -> Option<String> {
    let mut run = Command::new(lab("LAB_KUBECTL")?);
    let out = run.arg("--kubeconfig").arg(lab("LAB_KUBECONFIG_ADMIN")?).args(args).output().expect("kubectl runs");
    assert!(out.status.success(), "kubectl {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    Some(String::from_utf8(out.stdout).expect("text"))
}

/// A kubeconfig of the lab for the same API behind another port.
fn at_port(kubeconfig: &str, port: &str) -> String {
    let theirs = format!("127.0.0.1:{}", lab("LAB_KUBERNETES_PORT").unwrap());
    assert!(kubeconfig.contains(&theirs), "the lab's variables are of another lab than its files: set them anew");
    kubeconfig.replace(&theirs, &format!("127.0.0.1:{port}"))
}

#[tokio::test]
async fn the_lab_is_seen_as_kubectl_sees_it() {
    let Some(kubeconfig) = lab("LAB_KUBECONFIG_OBSERVE") else { return };
    let mut watching = watch(kubeconfig);
    let facts = watching.good().await;
    let ask = |args: &[&str]| kubectl(args).unwrap();
    assert_eq!(facts.cluster_uid, ask(&["get", "ns", "kube-system", "-o", "jsonpath={.metadata.uid}"]));
    assert!(facts.version.starts_with("v1."), "{}", facts.version);
    assert_eq!(facts.missing, []);
    let path = "jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {.metadata.uid} {.spec.replicas} \
                {.spec.template.spec.containers[0].image}{\"\\n\"}{end}";
    let theirs = ask(&["get", "deployments", "-A", "-o", path, "--sort-by=.metadata.namespace"]);
    // Other tests change namespaces of their own meanwhile.
    let mut theirs: Vec<&str> = theirs.lines().filter(|l| l.starts_with("t0")).collect();
    theirs.sort_unstable();
    let ours = facts.workloads.iter().filter(|w| w.namespace.starts_with("t0"));
    let mut ours: Vec<String> =
        ours.map(|w| format!("{}/{} {} {} {}", w.namespace, w.name, w.uid, w.desired, w.image)).collect();
    ours.sort_unstable();
    assert_eq!(ours, theirs);
    let nodes = ask(&["get", "nodes", "-o", "jsonpath={range .items[*]}{.metadata.name}{\"\\n\"}{end}"]);
    let ours: Vec<&str> = facts.nodes.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(ours, nodes.lines().collect::<Vec<_>>());
    for tenant in ["t003", "t017", "t090"] {
        let odoo = facts.workloads.iter().find(|w| w.namespace == tenant && w.name == "odoo").expect(tenant);
        let since = odoo.image_since.expect("ReplicaSets may be read");
        assert!(since <= Timestamp::now() && !odoo.revision.is_empty(), "{odoo:?}");
    }
}

#[tokio::test]
async fn changes_arrive_by_watch_and_the_image_age_survives_a_restart() {
    if lab("LAB_KUBECONFIG_OBSERVE").is_none() {
        return;
    }
    let namespace = format!("watch-{}", std::process::id());
    let _cleanup = Namespace(namespace.clone());
    kubectl(&["create", "namespace", &namespace]);
    let mut watching = watch(lab("LAB_KUBECONFIG_OBSERVE").unwrap());
    watching.good().await;
    let mine = |s: &Sample| -> Option<_> {
        let Ok(Facts::Kubernetes(facts)) = s.result.as_deref() else { return None };
        facts.workloads.iter().find(|w| w.namespace == namespace).cloned()
    };
    let n = namespace.as_str();
    kubectl(&["-n", n, "create", "deployment", "probe", "--image=registry.example/probe:1", "--replicas=2"]);
    let up = watching.until("two ready pods", |s| mine(s).is_some_and(|w| w.ready == 2 && w.observed)).await;
    let first = mine(&up).unwrap();
    assert_eq!((first.image.as_str(), first.revision.as_str()), ("registry.example/probe:1", "1"));
    let since = first.image_since.expect("known from the ReplicaSet");

    kubectl(&["-n", n, "rollout", "restart", "deployment/probe"]);
    let restarted = watching
        .until("a complete restart", |s| {
            mine(s).is_some_and(|w| w.restarted_at.is_some() && w.revision == "2" && w.updated == 2 && w.available == 2)
        })
        .await;
    assert_eq!(mine(&restarted).unwrap().image_since, Some(since), "a restart brings no new image");

    kubectl(&["-n", n, "set", "image", "deployment/probe", "probe=registry.example/probe:2"]);
    let newer = watching
        .until("the new image", |s| mine(s).is_some_and(|w| w.image.ends_with(":2") && w.revision == "3"))
        .await;
    let newer = mine(&newer).unwrap().image_since.expect("known");
    assert!(newer > since);

    // The observer that saw the rollback knows when it was; one that comes later goes by the pods' age.
    let before = Timestamp::now();
    kubectl(&["-n", n, "rollout", "undo", "deployment/probe", "--to-revision=2"]);
    let back = watching
        .until("the rollback", |s| {
            mine(s).is_some_and(|w| w.image.ends_with(":1") && w.revision == "4" && w.ready == 2)
        })
        .await;
    assert!(mine(&back).unwrap().image_since.expect("seen") >= before);
    let mut later = watch(lab("LAB_KUBECONFIG_OBSERVE").unwrap());
    let seen = later.until("the rollback", |s| mine(s).is_some_and(|w| w.revision == "4" && w.ready == 2)).await;
    // Creation times are whole seconds.
    assert!(mine(&seen).unwrap().image_since.expect("by pods").as_second() >= before.as_second());

    kubectl(&["-n", n, "delete", "deployment", "probe"]);
    watching.until("its end", |s| s.result.is_ok() && mine(s).is_none()).await;
}

#[tokio::test]
async fn restarts_are_counted_as_they_are_seen() {
    if lab("LAB_KUBECONFIG_OBSERVE").is_none() {
        return;
    }
    let namespace = format!("restarts-{}", std::process::id());
    let _cleanup = Namespace(namespace.clone());
    kubectl(&["create", "namespace", &namespace]);
    let n = namespace.as_str();
    // A ReplicaSet's pods on no node: nothing but this test writes their status.
    kubectl(&["-n", n, "create", "deployment", "probe", "--image=registry.example/probe:1"]);
    let patch = r#"{"spec":{"template":{"spec":{"schedulerName":"nobody"}}}}"#;
    kubectl(&["-n", n, "patch", "deployment", "probe", "-p", patch]);
    let mut watching = watch(lab("LAB_KUBECONFIG_OBSERVE").unwrap());
    let mine = |s: &Sample| -> Option<_> {
        let Ok(Facts::Kubernetes(facts)) = s.result.as_deref() else { return None };
        facts.workloads.iter().find(|w| w.namespace == namespace).cloned()
    };
    watching.until("a pending pod", |s| mine(s).is_some_and(|w| w.pending == Some(1) && w.revision == "2")).await;
    let pod = kubectl(&["-n", n, "get", "pods", "--field-selector=spec.nodeName=", "-o", "name"]).unwrap();
    let pod = pod.trim();
    let crash = |restarts: u32| {
        let status = format!(
            r#"{{"status":{{"containerStatuses":[{{"name":"probe","image":"","imageID":"","ready":false,
            "restartCount":{restarts},"state":{{"waiting":{{"reason":"CrashLoopBackOff"}}}},
            "lastState":{{"terminated":{{"reason":"OOMKilled","exitCode":137}}}}}}]}}}}"#
        );
        kubectl(&["-n", n, "patch", pod, "--subresource=status", "-p", &status]);
    };
    crash(3);
    let seen = watching.until("three restarts", |s| mine(s).is_some_and(|w| w.restarts == Some(3))).await;
    let seen = mine(&seen).unwrap();
    assert_eq!((seen.restarts_5m, seen.crash_looping, seen.oom_killed), (Some(3), Some(1), Some(1)));
    let mut later = watch(lab("LAB_KUBECONFIG_OBSERVE").unwrap());
    let first = later.until("three restarts", |s| mine(s).is_some_and(|w| w.restarts == Some(3))).await;
    assert_eq!(mine(&first).unwrap().restarts_5m, Some(0), "nobody knows when restarts before the first look were");
    crash(5);
    let more = later.until("five restarts", |s| mine(s).is_some_and(|w| w.restarts == Some(5))).await;
    assert_eq!(mine(&more).unwrap().restarts_5m, Some(2));
}

#[tokio::test]
async fn a_missing_right_is_named_with_its_remedy_and_the_rest_goes_on() {
    let Some(kubeconfig) = lab("LAB_KUBECONFIG_POOR") else { return };
    let none = watch(&kubeconfig).until("a refusal", failed(FailureKind::Permission)).await;
    let message = none.result.unwrap_err().message;
    assert!(message.contains("quarterdeck-poor") && message.contains("403"), "{message}");

    let name = format!("quarterdeck-test-{}", std::process::id());
    let _cleanup = ClusterRole(name.clone());
    let resources = "--resource=deployments.apps,pods";
    kubectl(&["create", "clusterrole", &name, "--verb=get,list,watch", resources]);
    kubectl(&["create", "clusterrolebinding", &name, "--clusterrole", &name, "--user=quarterdeck-poor"]);
    let seen = |s: &Sample| {
        s.result.is_ok() && !facts(s).workloads.is_empty() && facts(s).pods.as_ref().is_some_and(|p| p.total > 0)
    };
    let facts = facts(&watch(&kubeconfig).until("Deployments and pods", seen).await);
    assert!(facts.nodes.is_empty() && facts.cluster_uid.is_empty());
    let missing: Vec<&str> = facts.missing.iter().map(|m| m.remedy.as_str()).collect();
    assert_eq!(missing.len(), 3, "{missing:?}");
    for (remedy, right) in missing.iter().zip(["\"namespaces\"", "\"replicasets\"", "\"nodes\""]) {
        assert!(remedy.contains(right), "{remedy}");
    }
}

#[tokio::test]
async fn an_api_server_that_freezes_dies_and_comes_back_is_told_each_time() {
    let Some(mut server) = Server::start() else { return };
    let mut watching = watch(server.kubeconfig.clone());
    let first = watching.good().await;
    assert!(first.workloads.iter().any(|w| w.namespace == "t017"), "paged lists bring the same rows");

    let frozen = Instant::now();
    server.signal(Signal::STOP);
    let silent = watching.until("a timeout", failed(FailureKind::Timeout)).await;
    // The sample in hand may have been answered just before: one interval to the next, one for its timeout.
    assert!(frozen.elapsed() < INTERVAL * 3, "told after {:?}", frozen.elapsed());
    let message = silent.result.unwrap_err().message;
    assert!(message.contains("no answer to GET /readyz") || message.contains("no connection"), "{message}");
    server.signal(Signal::CONT);
    assert_eq!(watching.good().await.cluster_uid, first.cluster_uid);

    server.kill();
    watching.until("nobody listens", failed(FailureKind::Unreachable)).await;
    server.run();
    assert_eq!(watching.good().await.cluster_uid, first.cluster_uid);
}

#[tokio::test]
async fn a_closed_port_and_a_wrong_authority_are_told_apart() {
    let Some(kubeconfig) = lab("LAB_KUBECONFIG_OBSERVE") else { return };
    let dir = tempfile::tempdir().unwrap();
    let known = std::fs::read_to_string(kubeconfig).unwrap();
    let closed = dir.path().join("closed");
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let free = listener.local_addr().unwrap().port().to_string();
    drop(listener);
    std::fs::write(&closed, at_port(&known, &free)).unwrap();
    watch(closed).until("a refused connection", failed(FailureKind::Unreachable)).await;

    let strange = dir.path().join("strange");
    let authority = known.split("certificate-authority-data: ").nth(1).unwrap().split('}').next().unwrap();
    let other = known.split("client-certificate-data: ").nth(1).unwrap().split(',').next().unwrap();
    std::fs::write(&strange, known.replacen(authority, other, 1)).unwrap();
    let sample = watch(strange).until("a TLS failure", failed(FailureKind::Tls)).await;
    let message = sample.result.unwrap_err().message;
    assert!(message.contains("certificate"), "{message}");
}

/// Runs kubectl at the end of a test, where a second panic would hide the first.
fn clean(args: &[&str]) {
    let mut run = Command::new(lab("LAB_KUBECTL").unwrap_or_default());
    let _ = run.arg("--kubeconfig").arg(lab("LAB_KUBECONFIG_ADMIN").unwrap_or_default()).args(args).output();
}

/// Deleted when the test ends, also when it fails.
struct Namespace(String);

impl Drop for Namespace {
    fn drop(&mut self) {
        clean(&["delete", "namespace", &self.0, "--wait=false"]);
    }
}

struct ClusterRole(String);

impl Drop for ClusterRole {
    fn drop(&mut self) {
        clean(&["delete", "clusterrolebinding,clusterrole", &self.0]);
    }
}

/// A second API server on the lab's etcd, without streaming lists, as servers were before 1.32.
struct Server {
    dir: tempfile::TempDir,
    port: String,
    kubeconfig: PathBuf,
    child: Child,
}

impl Server {
    fn start() -> Option<Self> {
        let observe = lab("LAB_KUBECONFIG_OBSERVE")?;
        let dir = tempfile::tempdir().unwrap();
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        drop(listener);
        let kubeconfig = dir.path().join("kubeconfig");
        let known = std::fs::read_to_string(observe).unwrap();
        std::fs::write(&kubeconfig, at_port(&known, &port)).unwrap();
        let child = spawn(&port, dir.path());
        let mut server = Self { dir, port, kubeconfig, child };
        server.ready();
        Some(server)
    }

    /// Waits until it answers, so that the observer has no failures to back off from.
    fn ready(&mut self) {
        let deadline = Instant::now() + Duration::from_mins(1);
        let kubeconfig = self.kubeconfig.display().to_string();
        while !Command::new(lab("LAB_KUBECTL").unwrap())
            .args(["--kubeconfig", &kubeconfig, "get", "--raw", "/readyz", "--request-timeout=1s"])
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .unwrap()
            .success()
        {
            assert!(self.child.try_wait().unwrap().is_none(), "the API server ended");
            assert!(Instant::now() < deadline, "the API server was not ready within a minute");
        }
    }

    fn run(&mut self) {
        self.child = spawn(&self.port, self.dir.path());
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(5).collect();
            eprintln!("last lines of the API server, newest first: {tail:#?}");
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(port: &str, dir: &Path) -> Child {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let bin = PathBuf::from(variable("LAB_KUBECTL")).with_file_name("kube-apiserver");
    let pki = Path::new(&variable("LAB_KUBECONFIG_ADMIN")).with_file_name("pki");
    let file = |name: &str| pki.join(name).display().to_string();
    let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("log")).unwrap();
    Command::new(bin)
        .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"])
        .args(["--authorization-mode=Node,RBAC", "--disable-admission-plugins=ServiceAccount"])
        .args(["--service-cluster-ip-range=10.96.0.0/16", "--service-account-issuer=https://lab"])
        .arg("--feature-gates=WatchList=false")
        .arg(format!("--secure-port={port}"))
        .arg(format!("--etcd-servers=http://127.0.0.1:{}", variable("LAB_ETCD_PORT")))
        .arg(format!("--client-ca-file={}", file("ca.crt")))
        .arg(format!("--tls-cert-file={}", file("apiserver.crt")))
        .arg(format!("--tls-private-key-file={}", file("apiserver.key")))
        .arg(format!("--service-account-key-file={}", file("sa.key")))
        .arg(format!("--service-account-signing-key-file={}", file("sa.key")))
        .arg(format!("--cert-dir={}", dir.display()))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("kube-apiserver of the lab starts")
}
