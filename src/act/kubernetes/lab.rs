//! What tests on the lab's API server share.

use crate::act::DynVerb;
use crate::config::model::Kubernetes;
use crate::domain::facts::{Facts, KubernetesFacts};
use crate::domain::id::{Digest, SourceId};
use crate::domain::mode::Mode;
use crate::domain::ports::{Observer as _, Outcome, Reconciled, RenderContext, Survey, VerbError};
use crate::domain::request::Request;
use crate::domain::world::World;
use crate::observe::kubernetes::KubernetesObserver;
use crate::policy::authorized::Authorized;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A variable of the lab; without the lab the test is skipped, or fails where the lab is required.
pub(in crate::act) fn lab(name: &str) -> Option<String> {
    let value = std::env::var(name).ok();
    if value.is_none() {
        let required = std::env::var("QUARTERDECK_LAB").is_ok_and(|v| v == "require");
        assert!(!required, "QUARTERDECK_LAB=require, but {name} is not set: tests/lab/lab up kubernetes delivery");
        println!("skipped: {name} is not set (tests/lab/lab up kubernetes delivery, then tests/lab/lab env)");
    }
    value
}

/// The lab's cluster as it is configured.
pub(in crate::act) fn cluster() -> Option<Kubernetes> {
    Some(Kubernetes {
        id: SourceId::new("k8s-1"),
        kubeconfig: lab("LAB_KUBECONFIG_OBSERVE")?.into(),
        context: None,
        act_kubeconfig: Some(lab("LAB_KUBECONFIG_ACT")?.into()),
        impersonate: None,
        interval: Duration::from_secs(1),
    })
}

/// What the real observer sees first.
pub(in crate::act) async fn facts(cluster: &Kubernetes) -> KubernetesFacts {
    let observer = KubernetesObserver::new(Mode::Live.may_observe().unwrap(), cluster);
    let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
    let task = tokio::spawn(Box::new(observer).run(Arc::new(move |s| {
        let _ = send.send(s);
    })));
    loop {
        let sample = tokio::time::timeout(Duration::from_mins(1), receive.recv()).await.expect("a sample").unwrap();
        if let Ok(Facts::Kubernetes(facts)) = sample.result.as_deref() {
            task.abort();
            return facts.clone();
        }
    }
}

/// Runs `kubectl` as administrator.
pub(in crate::act) fn kubectl(args: &[&str]) -> String {
    let mut run = Command::new(lab("LAB_KUBECTL").unwrap());
    let out = run.arg("--kubeconfig").arg(lab("LAB_KUBECONFIG_ADMIN").unwrap()).args(args).output().unwrap();
    assert!(out.status.success(), "kubectl {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// Applies objects, one or many.
pub(in crate::act) fn apply(objects: &Value) {
    create_by("create", objects);
}

/// Sets the status of an object, in the place of its controller: simulated.
pub(in crate::act) fn set_status(kind: &str, namespace: &str, name: &str, status: &Value) {
    let patch = serde_json::json!({"status": status}).to_string();
    kubectl(&["-n", namespace, "patch", kind, name, "--subresource=status", "--type=merge", "-p", &patch]);
}

fn create_by(verb: &str, objects: &Value) {
    let mut run = Command::new(lab("LAB_KUBECTL").unwrap());
    run.arg("--kubeconfig").arg(lab("LAB_KUBECONFIG_ADMIN").unwrap()).args([verb, "-f", "-"]);
    let mut child = run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    serde_json::to_writer(child.stdin.take().unwrap(), objects).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "kubectl {verb}: {}", String::from_utf8_lossy(&out.stderr));
}

/// A namespace of the test's own, deleted at the end.
pub(in crate::act) struct Space(pub String);

impl Space {
    /// Makes it.
    pub(in crate::act) fn new(name: &str) -> Option<Self> {
        lab("LAB_KUBECTL")?;
        let space = format!("{name}-{}", std::process::id());
        kubectl(&["create", "namespace", &space]);
        Some(Self(space))
    }

    /// `kubectl` in it.
    pub(in crate::act) fn kubectl(&self, args: &[&str]) -> String {
        kubectl(&[&["-n", self.0.as_str()], args].concat())
    }

    /// One value of one object.
    pub(in crate::act) fn read(&self, object: &str, path: &str) -> String {
        self.kubectl(&["get", object, "-o", &format!("jsonpath={path}")])
    }

    /// Waits until a value of an object is as it should be.
    pub(in crate::act) fn wait(&self, object: &str, path: &str, wanted: &str) {
        let until = Instant::now() + Duration::from_secs(30);
        while self.read(object, path) != wanted {
            assert!(Instant::now() < until, "waited 30 s for {object} {path} = {wanted}: {}", self.read(object, path));
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // A second panic would hide the first.
        let mut run = Command::new(lab("LAB_KUBECTL").unwrap_or_default());
        let run = run.arg("--kubeconfig").arg(lab("LAB_KUBECONFIG_ADMIN").unwrap_or_default());
        let _ = run.args(["delete", "namespace", &self.0, "--wait=false"]).output();
    }
}

/// Reads the target and renders, as the engine does.
pub(in crate::act) async fn render(verb: &DynVerb, args: &[(&str, Value)]) -> Result<Request, VerbError> {
    let args: BTreeMap<String, Value> = args.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    let estate = super::tests::estate();
    let world = World::new(estate.clone(), [], Timestamp::now());
    let surveyed = match verb.survey(&Survey { estate: estate.clone(), args: args.clone() }) {
        Some(reading) => Some(reading.await.map_err(|why| VerbError::new(why.message))?),
        None => None,
    };
    let now = Timestamp::now();
    verb.render(&RenderContext { estate: &estate, world: &world, now, args: &args, surveyed: surveyed.as_ref() })
}

/// A permit for ten seconds.
pub(in crate::act) fn permit(request: &Request) -> Authorized {
    Authorized::for_test(request.clone(), Digest::from_bytes(&[7; 32]), Duration::from_secs(10))
}

/// Executes, and expects that the server said yes; before that the same request is cut off in the middle, which is not
/// known and then found to have had no effect. That looking finds one is what the tests ask of it afterwards.
pub(in crate::act) async fn done(verb: &DynVerb, request: &Request) -> (Value, String) {
    if let Some((twin, _way)) = twin(&request.verb).await {
        let cut = twin.execute(permit(request)).await;
        assert!(matches!(cut, Outcome::Unknown { .. }), "{} cut off: {cut:?}", request.verb);
        let found = verb.reconcile(request).await;
        assert!(matches!(found, Reconciled::NoEffect { .. }), "{} cut off: {found:?}", request.verb);
    }
    match verb.execute(permit(request)).await {
        Outcome::Done { result, summary } => (result, summary),
        other => panic!("{}: {other:?}", request.verb),
    }
}

/// The same verb on a way that is cut in the place of its request.
async fn twin(name: &str) -> Option<(Arc<DynVerb>, Way)> {
    let way = lossy(Loses::Connections).await;
    let through = [Kubernetes { act_kubeconfig: Some(way.kubeconfig.clone()), ..cluster()? }];
    let proof = || Mode::Live.may_act().unwrap();
    let all = crate::act::kubernetes::verbs(proof(), &through)
        .into_iter()
        .chain(crate::act::cnpg::verbs(proof(), &through))
        .chain(crate::act::delivery::verbs(proof(), &[], &[], &through));
    Some((all.into_iter().find(|v| v.spec().name == name)?, way))
}

/// Executes, and expects that nothing was changed.
pub(in crate::act) async fn refused(verb: &DynVerb, request: &Request) -> String {
    match verb.execute(permit(request)).await {
        Outcome::Failed { why } => why.message,
        other => panic!("{}: {other:?}", request.verb),
    }
}

/// What a way to the API server loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::act) enum Loses {
    /// Requests never arrive.
    Requests,
    /// Requests arrive and have their effect; nobody hears of it.
    Answers,
    /// Requests arrive once it is thawed; nobody hears of it.
    Time,
    /// Requests never arrive, and the connection is closed in the place of an answer.
    Connections,
}

/// How long nothing more comes of a request that is there.
const WHOLE: Duration = Duration::from_millis(300);
/// What is said of a connection that was closed.
const CLOSED: u32 = u32::MAX;

/// A kubeconfig for acting whose way to the API server loses what it is told to, as a firewall does that forgets
/// connections, or a server that is frozen. The bytes are TLS and pass as they are: the client's first are its greeting,
/// and with what it sends after it has heard the server's greeting comes the request (RFC 8446, section 2).
pub(in crate::act) struct Way {
    /// The kubeconfig.
    pub kubeconfig: std::path::PathBuf,
    thawed: tokio::sync::watch::Sender<bool>,
    _dir: tempfile::TempDir,
}

impl Way {
    /// Lets arrive what was held back.
    pub(in crate::act) fn thaw(&self) {
        self.thawed.send_replace(true);
    }
}

/// Such a way.
pub(in crate::act) async fn lossy(loses: Loses) -> Way {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    let text = std::fs::read_to_string(lab("LAB_KUBECONFIG_ACT").unwrap()).unwrap();
    let port: u16 = lab("LAB_KUBERNETES_PORT").unwrap().parse().unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    let kubeconfig = dir.path().join("kubeconfig");
    std::fs::write(&kubeconfig, text.replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{own}"))).unwrap();
    let (thawed, wait) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let (said, mut heard) = tokio::sync::watch::channel(0_u32);
            let so_far = heard.clone();
            let mut thaw = wait.clone();
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 << 10];
                let mut held: Vec<Vec<u8>> = Vec::new();
                loop {
                    let greeted = loses == Loses::Connections && *said.borrow() > 1;
                    let longest = if greeted { WHOLE } else { Duration::MAX };
                    let n = match tokio::time::timeout(longest, from_client.read(&mut buffer)).await {
                        Ok(Ok(n @ 1..)) => n,
                        Ok(_) => break,
                        Err(_) => {
                            said.send_replace(CLOSED);
                            return;
                        }
                    };
                    said.send_modify(|n| *n += 1);
                    let greeting = *said.borrow() == 1;
                    if loses == Loses::Time && !greeting {
                        held.push(buffer[..n].to_vec());
                    } else if (greeting || loses == Loses::Answers) && to_server.write_all(&buffer[..n]).await.is_err()
                    {
                        return;
                    }
                }
                if thaw.wait_for(|thawed| *thawed).await.is_ok() {
                    // Not the client's farewell, an alert of 24 bytes: it makes the server give the request up.
                    for bytes in held.iter().filter(|b| b.len() > 32) {
                        let _ = to_server.write_all(bytes).await;
                    }
                    // Closed only with the test: what is cut off need not be carried out.
                    let _ = thaw.wait_for(|thawed| !*thawed).await;
                }
            });
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 << 10];
                let passes = async {
                    while let Ok(n @ 1..) = from_server.read(&mut buffer).await {
                        if *so_far.borrow() < 2 && to_client.write_all(&buffer[..n]).await.is_err() {
                            return;
                        }
                    }
                    // The client is left waiting: its connection stays open.
                    std::future::pending::<()>().await;
                };
                tokio::select! { () = passes => {}, _ = heard.wait_for(|said| *said == CLOSED) => {} }
            });
        }
    });
    Way { kubeconfig, thawed, _dir: dir }
}
