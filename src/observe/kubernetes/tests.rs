//! The observer against servers that answer wrongly, slowly, half or not at all.

use super::fake::{Asked, Fake, Reply};
use super::*;
use crate::domain::id::SourceId;
use crate::domain::mode::Mode;
use crate::domain::sample::Sample;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

struct Samples {
    receive: UnboundedReceiver<Sample>,
    task: JoinHandle<()>,
}

impl Drop for Samples {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Samples {
    async fn next(&mut self) -> Result<KubernetesFacts, Failure> {
        let waited = tokio::time::timeout(Duration::from_secs(30), self.receive.recv()).await;
        let sample = waited.expect("a sample within 30 s").expect("the observer runs for ever");
        sample.result.map(|facts| match &*facts {
            Facts::Kubernetes(facts) => facts.clone(),
            other => panic!("{other:?}"),
        })
    }

    async fn good(&mut self) -> KubernetesFacts {
        for _ in 0..20 {
            if let Ok(facts) = self.next().await {
                return facts;
            }
        }
        panic!("no good sample");
    }

    async fn bad(&mut self, kind: FailureKind) -> String {
        let mut last = None;
        for _ in 0..20 {
            match self.next().await {
                Err(failure) if failure.kind == kind => return failure.message,
                other => last = Some(other),
            }
        }
        panic!("no {kind:?}, last {last:?}");
    }
}

fn observe(kubeconfig: &Path) -> Samples {
    let config = Kubernetes {
        id: SourceId::new("k8s-1"),
        kubeconfig: kubeconfig.to_owned(),
        context: None,
        act_kubeconfig: None,
        impersonate: None,
        interval: Duration::from_millis(200),
    };
    let mut observer = KubernetesObserver::new(Mode::ReadOnly.may_observe().unwrap(), &config);
    observer.0.first_list = Some(Duration::from_millis(500));
    let (send, receive) = unbounded_channel();
    let task = tokio::spawn(Box::new(observer).run(Arc::new(move |sample| {
        let _ = send.send(sample);
    })));
    Samples { receive, task }
}

fn deployment(name: &str, version: u32) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "t017", "uid": format!("uid-{name}"), "resourceVersion": version.to_string(),
                     "generation": version, "creationTimestamp": "2026-11-21T10:00:00Z"},
        "spec": {"replicas": 2, "template": {"metadata": {"creationTimestamp": null},
                 "spec": {"containers": [{"name": "odoo", "image": "odoo:r117"}]}}},
        "status": {"observedGeneration": version, "readyReplicas": 2, "updatedReplicas": 2, "availableReplicas": 2},
    })
}

fn event(kind: &str, object: &Value) -> String {
    format!(r#"{{"type":"{kind}","object":{object}}}"#)
}

fn end_of_list(version: u32) -> String {
    let annotations = json!({"k8s.io/initial-events-end": "true"});
    event("BOOKMARK", &json!({"metadata": {"resourceVersion": version.to_string(), "annotations": annotations}}))
}

fn refusal(code: u16, message: &str) -> Reply {
    Reply::Answer(code, json!({"kind": "Status", "code": code, "message": message}).to_string())
}

/// What a server in order answers to everything but watches.
fn basics(asked: &Asked, minor: &str) -> Option<Reply> {
    let answer = match asked.line.as_str() {
        "get /readyz" => "ok".to_owned(),
        "get /version" => json!({"gitVersion": format!("v1.{minor}.0"), "major": "1", "minor": minor}).to_string(),
        "get /api/v1/namespaces/kube-system" => json!({"metadata": {"uid": "cluster-1"}}).to_string(),
        _ => return None,
    };
    Some(Reply::Answer(200, answer))
}

/// A server with these Deployments and nothing else.
fn orderly(asked: &Asked, deployments: &[Value]) -> Reply {
    basics(asked, "36").unwrap_or_else(|| {
        let mut lines = Vec::new();
        if asked.line.contains("/deployments?") && asked.line.contains("sendinitialevents") {
            lines.extend(deployments.iter().map(|d| event("ADDED", d)));
        }
        lines.push(end_of_list(100));
        Reply::Watch(lines)
    })
}

#[tokio::test]
async fn a_quiet_cluster_costs_four_watches_and_one_small_request_a_sample() {
    let fake = Fake::start(|asked| orderly(asked, &[deployment("odoo", 7)])).await;
    let mut samples = observe(&fake.kubeconfig);
    for _ in 0..8 {
        let facts = samples.next().await.unwrap();
        assert_eq!((facts.cluster_uid.as_str(), facts.version.as_str()), ("cluster-1", "v1.36.0"));
        let [odoo] = facts.workloads.as_slice() else { panic!("{facts:?}") };
        assert_eq!((odoo.desired, odoo.available, odoo.observed), (2, 2, true));
        assert_eq!((odoo.uid.as_str(), odoo.generation), ("uid-odoo", 7));
    }
    assert_eq!((fake.count("watch=1"), fake.count("/version"), fake.count("kube-system")), (4, 1, 1));
    let all = fake.asked.lock().unwrap().len();
    assert_eq!(all, 6 + fake.count("/readyz"), "nothing else is asked");
    assert!((8..=9).contains(&fake.count("/readyz")));
}

#[tokio::test]
async fn rubbish_instead_of_http_is_a_protocol_failure() {
    let fake = Fake::start(|_| Reply::Raw(b"\x00\x01SSH-2.0-nothing like HTTP\r\n".to_vec())).await;
    let message = observe(&fake.kubeconfig).bad(FailureKind::Protocol).await;
    assert!(message.contains("not HTTP"), "{message}");
}

#[tokio::test]
async fn an_ordinary_web_server_is_not_taken_for_an_api_server() {
    let fake = Fake::start(|_| Reply::Answer(200, "<html>welcome</html>".into())).await;
    let message = observe(&fake.kubeconfig).bad(FailureKind::Protocol).await;
    assert!(message.contains("does not answer like Kubernetes"), "{message}");
    let fake = Fake::start(|_| Reply::Answer(404, "<html>not here</html>".into())).await;
    let message = observe(&fake.kubeconfig).bad(FailureKind::Protocol).await;
    assert!(message.contains("404 Not Found"), "{message}");
    let fake = Fake::start(|_| Reply::Answer(302, String::new())).await;
    observe(&fake.kubeconfig).bad(FailureKind::Protocol).await;
}

#[tokio::test]
async fn an_answer_that_is_cut_short_is_told() {
    let fake = Fake::start(|_| Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this".to_vec())).await;
    let message = observe(&fake.kubeconfig).bad(FailureKind::Unreachable).await;
    assert!(message.contains("cut"), "{message}");
    let fake = Fake::start(|_| Reply::Raw(Vec::new())).await;
    let message = observe(&fake.kubeconfig).bad(FailureKind::Unreachable).await;
    assert!(message.contains("cut"), "{message}");
}

#[tokio::test]
async fn silence_is_a_timeout_that_says_what_was_asked() {
    let fake = Fake::start(|_| Reply::Silence).await;
    let message = observe(&fake.kubeconfig).bad(FailureKind::Timeout).await;
    assert!(message.contains("no answer to GET /readyz within 1 s"), "{message}");
    let fake =
        Fake::start(|asked| if asked.line.contains("/pods") { Reply::Watch(Vec::new()) } else { orderly(asked, &[]) })
            .await;
    let message = observe(&fake.kubeconfig).bad(FailureKind::Timeout).await;
    assert!(message.contains("not all pods have come within 1.5 s"), "{message}");
}

#[tokio::test]
async fn a_server_that_is_not_ready_is_unknown_and_says_which_check_fails() {
    let words = "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed";
    let fake = Fake::start(move |_| Reply::Answer(500, words.into())).await;
    let message = observe(&fake.kubeconfig).bad(FailureKind::Unreachable).await;
    assert!(message.contains("[-]etcd failed") && !message.contains("ping"), "{message}");
}

#[tokio::test]
async fn refused_credentials_are_told() {
    let fake = Fake::start(|_| refusal(401, "Unauthorized")).await;
    observe(&fake.kubeconfig).bad(FailureKind::Authentication).await;
}

#[tokio::test]
async fn a_watch_that_speaks_rubbish_takes_the_source_down_and_not_the_program() {
    let rubbish = ["this is not JSON", r#"{"type":"ADDED","object":{"metadata":7}}"#];
    for line in rubbish {
        let fake = Fake::start(move |asked| {
            if asked.line.contains("/nodes") { Reply::Watch(vec![line.into()]) } else { orderly(asked, &[]) }
        })
        .await;
        let message = observe(&fake.kubeconfig).bad(FailureKind::Protocol).await;
        assert!(message.contains("watch of nodes"), "{message}");
        assert!(!message.contains("this is"), "foreign text is not quoted: {message}");
    }
}

#[tokio::test]
async fn a_line_without_end_is_not_read_to_its_end() {
    let fake = Fake::start(|asked| {
        if asked.line.contains("/pods") { Reply::Watch(vec!["x".repeat(9 << 20)]) } else { orderly(asked, &[]) }
    })
    .await;
    let message = observe(&fake.kubeconfig).bad(FailureKind::Protocol).await;
    assert!(message.contains("longer than 8 MiB"), "{message}");
}

#[tokio::test]
async fn a_watch_that_ends_in_the_middle_of_a_line_is_not_believed() {
    let half = event("ADDED", &deployment("odoo", 7));
    let chunk = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1000\r\n{}", &half[..80]);
    let fake = Fake::start(move |asked| {
        if asked.line.contains("/deployments") { Reply::Raw(chunk.clone().into_bytes()) } else { orderly(asked, &[]) }
    })
    .await;
    observe(&fake.kubeconfig).bad(FailureKind::Unreachable).await;
}

#[tokio::test]
async fn a_server_that_ends_every_watch_is_asked_for_each_sample_and_not_in_a_loop() {
    let fake = Fake::start(|asked| {
        if asked.line.contains("/pods") { Reply::Ended(vec![end_of_list(1)]) } else { orderly(asked, &[]) }
    })
    .await;
    let mut samples = observe(&fake.kubeconfig);
    for _ in 0..5 {
        // Each sample wakes it up and gets all objects anew, so what it says is true.
        samples.next().await.unwrap();
    }
    let polled = fake.count("/readyz");
    // Once to begin with, once after each pause, once for each sample.
    assert!(fake.count("/pods") <= 2 * polled + 3, "{} in {polled} samples", fake.count("/pods"));
}

#[tokio::test]
async fn a_broken_watch_goes_on_where_it_was() {
    let broken = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&broken);
    let fake = Fake::start(move |asked| {
        if !asked.line.contains("/deployments") {
            return orderly(asked, &[]);
        }
        if seen.swap(true, Ordering::SeqCst) {
            return Reply::Watch(vec![event("DELETED", &deployment("odoo", 12))]);
        }
        let lines = ["odoo", "odoo-worker"].map(|name| event("ADDED", &deployment(name, 7)));
        Reply::Ended(lines.into_iter().chain([end_of_list(11)]).collect())
    })
    .await;
    let mut samples = observe(&fake.kubeconfig);
    let mut facts = samples.good().await;
    while facts.workloads.len() != 1 {
        facts = samples.good().await;
    }
    assert_eq!(facts.workloads[0].name, "odoo-worker");
    let asked = fake.asked.lock().unwrap();
    let lines: Vec<&String> = asked.iter().map(|a| &a.line).filter(|l| l.contains("/deployments")).collect();
    assert!(lines[0].contains("sendinitialevents=true") && !lines[0].contains("resourceversion="), "{lines:?}");
    assert!(lines[1].ends_with("&resourceversion=11"), "{lines:?}");
    assert_eq!(lines.len(), 2, "{lines:?}");
}

#[tokio::test]
async fn a_watch_that_falls_silent_is_down_until_it_is_opened_again() {
    let fake = Fake::start(|asked| orderly(asked, &[deployment("odoo", 7)])).await;
    let link = Link::open(fake.kubeconfig.clone(), None, Duration::from_secs(5)).await.unwrap();
    let board = Arc::<Board>::default();
    let patience = Patience { silence: Duration::from_millis(50), ..Patience::USUAL };
    let mut states = Vec::new();
    let watching = tokio::spawn(follow::<wire::Deployment>(link, Arc::clone(&board), true, patience));
    while fake.count("&resourceversion=100") < 2 {
        let state = board.state(Feed::Deployments);
        if states.last() != Some(&state) {
            states.push(state);
        }
        tokio::task::yield_now().await;
    }
    watching.abort();
    let down = states.iter().find_map(|s| if let State::Down(failure) = s { Some(failure) } else { None }).unwrap();
    assert_eq!(down.kind, FailureKind::Timeout);
    assert!(down.message.contains("watch of deployments") && down.message.contains("silent for 0.05 s"), "{down}");
    assert!(states.iter().filter(|s| **s == State::Live).count() >= 2, "{states:?}");
    assert_eq!(fake.count("sendinitialevents"), 1, "the rows are kept and go on from their version");
}

#[tokio::test]
async fn a_watch_that_a_server_takes_and_does_not_answer_is_begun_anew() {
    let asked_again = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked_again);
    // As one does that has only just been started.
    let fake = Fake::start(move |asked| {
        if !asked.line.contains("&resourceversion=") {
            return Reply::Ended(vec![event("ADDED", &deployment("odoo", 7)), end_of_list(11)]);
        }
        if seen.swap(true, Ordering::SeqCst) { Reply::Watch(Vec::new()) } else { Reply::Silence }
    })
    .await;
    let link = Link::open(fake.kubeconfig.clone(), None, Duration::from_mins(1)).await.unwrap();
    let board = Arc::<Board>::default();
    let patience = Patience { answer: Duration::from_millis(50), ..Patience::USUAL };
    let watching = tokio::spawn(follow::<wire::Deployment>(link, Arc::clone(&board), true, patience));
    while fake.count("&resourceversion=11") < 2 || board.state(Feed::Deployments) != State::Live {
        tokio::task::yield_now().await;
    }
    watching.abort();
    assert_eq!(fake.count("sendinitialevents"), 1, "the rows are kept and go on from their version");
}

#[tokio::test]
async fn a_version_that_the_server_has_forgotten_leads_to_a_new_list_without_what_is_gone() {
    let listed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&listed);
    let fake = Fake::start(move |asked| {
        if !asked.line.contains("/deployments") {
            return orderly(asked, &[]);
        }
        if asked.line.contains("&resourceversion=") {
            return refusal(410, "too old resource version: 11 (99)");
        }
        if seen.swap(true, Ordering::SeqCst) {
            return Reply::Watch(vec![event("ADDED", &deployment("odoo-worker", 98)), end_of_list(99)]);
        }
        let lines = ["odoo", "odoo-worker"].map(|name| event("ADDED", &deployment(name, 7)));
        Reply::Ended(lines.into_iter().chain([end_of_list(11)]).collect())
    })
    .await;
    let mut samples = observe(&fake.kubeconfig);
    let mut facts = samples.good().await;
    while facts.workloads.len() != 1 {
        facts = samples.good().await;
    }
    assert_eq!((facts.workloads[0].name.as_str(), facts.workloads[0].generation), ("odoo-worker", 98));
}

#[tokio::test]
async fn older_servers_are_listed_by_pages() {
    // 1.26 does not know streaming lists; 1.30 refuses them by name while the feature gate is off.
    for minor in ["26+", "30"] {
        let fake = Fake::start(move |asked| {
            if let Some(reply) = basics(asked, minor) {
                return reply;
            }
            if asked.line.contains("sendinitialevents") {
                return refusal(
                    422,
                    "sendInitialEvents: Forbidden: is forbidden for watch unless the WatchList feature",
                );
            }
            if asked.line.contains("watch=1") {
                return Reply::Watch(Vec::new());
            }
            let page = |items: Vec<Value>, next: &str| {
                let list = json!({"metadata": {"resourceVersion": "50", "continue": next}, "items": items});
                Reply::Answer(200, list.to_string())
            };
            match asked.line.as_str() {
                l if l.ends_with("/deployments?limit=250") => page(vec![deployment("odoo", 7)], "a/b=="),
                l if l.contains("/deployments?") => page(vec![deployment("odoo-worker", 8)], ""),
                _ => Reply::Answer(200, json!({"metadata": {"resourceVersion": "50"}, "items": null}).to_string()),
            }
        })
        .await;
        let facts = observe(&fake.kubeconfig).good().await;
        assert_eq!(facts.workloads.len(), 2);
        assert_eq!(fake.count("continue=a%2fb%3d%3d"), 1);
        assert_eq!(fake.count("&resourceversion=50"), 4);
        assert_eq!(fake.count("sendinitialevents"), if minor == "30" { 4 } else { 0 });
    }
}

#[tokio::test]
async fn without_the_right_to_watch_pods_nothing_is_known_of_restarts() {
    let fake = Fake::start(|asked| {
        if asked.line.contains("/pods") {
            refusal(403, "pods is forbidden: User \"x\" cannot watch resource \"pods\"")
        } else {
            orderly(asked, &[deployment("odoo", 7)])
        }
    })
    .await;
    let facts = observe(&fake.kubeconfig).good().await;
    let workload = &facts.workloads[0];
    assert_eq!((workload.restarts, workload.restarts_5m, workload.crash_looping), (None, None, None));
    assert_eq!((workload.pending, workload.ready, facts.pods.as_ref()), (None, 2, None));
    assert!(facts.missing[0].disables.starts_with("pods"), "{:?}", facts.missing);
}

#[tokio::test]
async fn rights_that_a_server_does_not_know_yet_are_asked_for_again_soon() {
    let refused = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&refused);
    let fake = Fake::start(move |asked| {
        if asked.line.contains("/pods") && !seen.swap(true, Ordering::SeqCst) {
            return refusal(403, "pods is forbidden: User \"x\" cannot watch resource \"pods\"");
        }
        orderly(asked, &[deployment("odoo", 7)])
    })
    .await;
    let mut samples = observe(&fake.kubeconfig);
    let known = async { while samples.good().await.workloads[0].restarts.is_none() {} };
    tokio::time::timeout(Duration::from_secs(20), known).await.expect("it is asked for within seconds");
}

#[tokio::test]
async fn a_missing_right_empties_its_rows_and_is_said_once_a_sample() {
    let fake = Fake::start(|asked| {
        if asked.line.contains("/nodes") {
            refusal(403, "nodes is forbidden: User \"x\" cannot watch resource \"nodes\"")
        } else {
            orderly(asked, &[deployment("odoo", 7)])
        }
    })
    .await;
    let facts = observe(&fake.kubeconfig).good().await;
    assert_eq!(facts.workloads.len(), 1);
    let [missing] = facts.missing.as_slice() else { panic!("{:?}", facts.missing) };
    assert!(missing.disables.starts_with("nodes") && missing.remedy.contains("[\"nodes\"]"), "{missing:?}");

    let fake =
        Fake::start(|asked| basics(asked, "36").unwrap_or_else(|| refusal(403, "deployments is forbidden"))).await;
    let message = observe(&fake.kubeconfig).bad(FailureKind::Permission).await;
    assert!(message.contains("deployments is forbidden"), "{message}");
}

#[tokio::test]
async fn another_cluster_behind_the_same_address_starts_from_nothing() {
    let other = Arc::new(AtomicBool::new(false));
    let down = Arc::new(AtomicBool::new(false));
    let (is_other, is_down) = (Arc::clone(&other), Arc::clone(&down));
    let fake = Fake::start(move |asked| {
        if is_down.load(Ordering::SeqCst) {
            return Reply::Raw(Vec::new());
        }
        let second = is_other.load(Ordering::SeqCst);
        if second && asked.line.contains("kube-system") {
            return Reply::Answer(200, json!({"metadata": {"uid": "cluster-2"}}).to_string());
        }
        orderly(asked, &[deployment(if second { "other" } else { "odoo" }, 7)])
    })
    .await;
    let mut samples = observe(&fake.kubeconfig);
    assert_eq!(samples.good().await.workloads[0].name, "odoo");
    down.store(true, Ordering::SeqCst);
    samples.bad(FailureKind::Unreachable).await;
    other.store(true, Ordering::SeqCst);
    down.store(false, Ordering::SeqCst);
    let facts = samples.good().await;
    assert_eq!(facts.cluster_uid, "cluster-2");
    let names: Vec<&str> = facts.workloads.iter().map(|w| w.name.as_str()).collect();
    assert_eq!(names, ["other"]);
}

#[tokio::test]
async fn an_unusable_kubeconfig_is_told_without_its_content() {
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("absent");
    let message = observe(&absent).bad(FailureKind::Local).await;
    assert!(message.contains("absent: can not be read"), "{message}");
    let broken = dir.path().join("broken");
    std::fs::write(&broken, "users: [{name: x, user: {token: geheim}}\n  - :").unwrap();
    let message = observe(&broken).bad(FailureKind::Local).await;
    assert!(message.contains("not a kubeconfig") && !message.contains("geheim"), "{message}");
    let plugin = dir.path().join("plugin");
    let exec = "exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, args: ['-c', 'echo geheim; exit 3'], \
                interactiveMode: Never}";
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: c, users: [{{name: u, user: {{{exec}}}}}],
          clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:9'}}}}],
          contexts: [{{name: c, context: {{cluster: c, user: u}}}}]}}"
    );
    std::fs::write(&plugin, text).unwrap();
    let message = observe(&plugin).bad(FailureKind::Local).await;
    assert!(message.contains("credential plugin") && !message.contains("geheim"), "{message}");
}

#[tokio::test]
async fn names_from_the_server_can_not_move_the_cursor() {
    let fake = Fake::start(|asked| orderly(asked, &[deployment("odoo\u{1b}[2J\u{202e}", 7)])).await;
    let facts = observe(&fake.kubeconfig).good().await;
    assert_eq!(facts.workloads[0].name, "odoo·[2J·");
    assert_eq!(facts.workloads[0].uid, "uid-odoo·[2J·");
}

#[test]
fn a_drill_and_a_replay_can_not_build_one() {
    assert!(Mode::Drill.may_observe().is_none() && Mode::Replay.may_observe().is_none());
}
