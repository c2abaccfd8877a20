//! A live engine on an estate of one thing, with a roster whose keys `ssh-keygen` has made, and a clock that a test sets
//! forward.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use jiff::{SignedDuration, Timestamp};
use quarterdeck::act::Verbs;
use quarterdeck::config::model::Oidc;
use quarterdeck::domain::actor::Actor;
use quarterdeck::domain::behalf::Behalf;
use quarterdeck::domain::estate::{Environment, Estate};
use quarterdeck::domain::id::{IncidentId, PlaybookId};
use quarterdeck::domain::incident::{Role, Severity};
use quarterdeck::domain::mode::Mode;
use quarterdeck::domain::ports::{BoxFuture, Clock, Outcome, RenderContext, Verb, VerbError};
use quarterdeck::domain::request::{ArgSpec, Operation, Request, Target, VerbSpec};
use quarterdeck::domain::risk::{BlastRadius, Reversible, Risk};
use quarterdeck::domain::sample::{Failure, FailureKind};
use quarterdeck::engine::adapters::Adapters;
use quarterdeck::engine::api::{Command, Decision, Reply, RequestState, RequestView, RunView, Snapshot, StepState};
use quarterdeck::engine::core::{self, Parts, Running};
use quarterdeck::engine::roster::PolicyFile;
use quarterdeck::engine::state::State;
use quarterdeck::journal::read::{Filter, Reader};
use quarterdeck::journal::{OpenOptions, Record, fold};
use quarterdeck::observe::oidc::Provider;
use quarterdeck::playbook::library::Library;
use quarterdeck::policy::authorized::Authorized;
use quarterdeck::policy::statement::NAMESPACE;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

static POKE: VerbSpec = VerbSpec {
    name: "lab.poke",
    what: "does something that can not be taken back",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::No,
    idempotent: false,
    read_only: false,
    args: &[ArgSpec { name: "token", required: false, what: "what it is poked with" }],
};

static PAGE: VerbSpec = VerbSpec {
    name: "comms.page",
    what: "wakes somebody",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::No,
    idempotent: false,
    read_only: false,
    args: &[
        ArgSpec { name: "audience", required: true, what: "who" },
        ArgSpec { name: "subject", required: true, what: "one line" },
        ArgSpec { name: "text", required: true, what: "why" },
    ],
};

fn playbook(id: &str, more: &str) -> (String, String) {
    headed(id, "", more)
}

fn headed(id: &str, head: &str, more: &str) -> (String, String) {
    let text = format!(
        "schemaVersion: 1\nid: {id}\nname: Poke\nversion: 1\nowner: tests\ndescription: Does one thing.\n{head}steps:\n  \
         - {{id: poke, name: poke it, why: To see who may., type: action, reversible: false{more}, \
         run: {{adapter: lab, verb: poke}}}}\n"
    );
    (format!("{id}.yaml"), text)
}

/// What was sent, and whether the thing is there.
#[derive(Default)]
pub struct Seen {
    pokes: AtomicU64,
    said: Mutex<Vec<String>>,
    gone: AtomicBool,
}

fn secret(id: &str) -> (String, String) {
    let (name, text) = headed(id, "parameters: {token: {type: string, required: true, secret: true}}\n", "");
    (name, text.replace("verb: poke}", "verb: poke, args: {token: '{{ params.token }}'}}"))
}

fn sides() -> (String, String) {
    let text = "schemaVersion: 1\nid: sides\nname: S\nversion: 1\nowner: tests\ndescription: Both.\nsteps:\n- {id: both, \
                name: B, why: W, type: parallel, runs: [{id: left, playbook: plain}, {id: right, playbook: two}]}\n";
    ("sides.yaml".to_owned(), text.to_owned())
}

struct Poke(&'static VerbSpec, Arc<Seen>);

impl Verb for Poke {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        self.0
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        if self.1.gone.load(Ordering::SeqCst) {
            return Err(VerbError::new("the thing is not there any more"));
        }
        let word = |name: &str| context.args.get(name).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
        let object = if self.0.name == PAGE.name { word("audience") } else { "the thing".into() };
        Ok(Request {
            verb: self.0.name.into(),
            target: Target {
                source: "lab".into(),
                identity: "lab".into(),
                environment: Environment::Production,
                object,
                tenants: vec![],
                count: 1,
            },
            operation: Operation::Simulated { statement: format!("{}{}", word("token"), word("text")) },
            server_checks: vec![],
            hurts: "nobody".into(),
            undo: "none".into(),
            by_hand: "poke".into(),
        })
    }

    fn dry_run<'a>(&'a self, _: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async { Ok("it would be poked".into()) })
    }

    fn look<'a>(&'a self, _: &'a Request) -> BoxFuture<'a, Outcome> {
        Box::pin(async { Outcome::Failed { why: Failure::new(FailureKind::Local, "it acts") } })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        let Operation::Simulated { statement } = &permit.request().operation else { panic!("{permit:?}") };
        assert!(!format!("{permit:?}").contains("statement"), "a permit shows no request");
        let statement = statement.clone();
        if self.0.name == POKE.name {
            self.1.pokes.fetch_add(1, Ordering::SeqCst);
        }
        self.1.said.lock().unwrap().push(format!("{}: {statement}", self.0.name));
        // A server that says everything again.
        let result = json!({ "echo": statement });
        Box::pin(async move { Outcome::Done { result, summary: format!("poked: {statement}") } })
    }
}

/// The wall's clock, set forward.
#[derive(Default)]
struct Ahead(AtomicI64);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

/// Keys in files of a directory.
pub struct Keys(pub PathBuf);

impl Keys {
    pub fn keygen(&self, args: &[&str]) {
        let output =
            std::process::Command::new("ssh-keygen").args(args).current_dir(&self.0).stdin(Stdio::null()).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Makes a key; its public line.
    pub fn make(&self, name: &str) -> String {
        self.keygen(&["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name]);
        fs::read_to_string(self.0.join(format!("{name}.pub"))).unwrap().trim().to_owned()
    }

    /// Signs with `ssh-keygen -Y sign`.
    pub fn sign(&self, key: &str, namespace: &str, text: &str) -> String {
        fs::write(self.0.join("text"), text).unwrap();
        let _ = fs::remove_file(self.0.join("text.sig"));
        self.keygen(&["-q", "-Y", "sign", "-n", namespace, "-f", key, "text"]);
        fs::read_to_string(self.0.join("text.sig")).unwrap()
    }

    /// Whether `ssh-keygen -Y verify` takes a signature.
    pub fn verifies(&self, allowed: &str, who: &str, text: &str, signature: &str) -> bool {
        for (name, content) in [("allowed", allowed), ("said", text), ("said.sig", signature)] {
            fs::write(self.0.join(name), content).unwrap();
        }
        let status = std::process::Command::new("ssh-keygen")
            .args(["-Y", "verify", "-f", "allowed", "-I", who, "-n", NAMESPACE, "-s", "said.sig"])
            .current_dir(&self.0)
            .stdin(fs::File::open(self.0.join("said")).unwrap())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.unwrap().success()
    }
}

/// An engine with its journal, its keys, and the count of what was executed.
pub struct Bench {
    dir: tempfile::TempDir,
    pub keys: Keys,
    pub policy: String,
    running: Option<Running>,
    clock: Arc<Ahead>,
    seen: Arc<Seen>,
    /// Who can open what records commit to.
    pub opener: age::x25519::Identity,
    /// Where people prove a second factor.
    pub oidc: Option<Oidc>,
}

/// One entry of a roster.
pub fn person(name: &str, uid: u32, roles: &str, keys: &[&str]) -> String {
    let keys: Vec<String> = keys.iter().map(|k| format!("\"{k}\"")).collect();
    format!("[[person]]\nname = \"{name}\"\nuid = {uid}\nroles = [{roles}]\nkeys = [{}]\n\n", keys.join(", "))
}

impl Bench {
    /// Mara commands and is an approver too, ines and bo approve, otto owns the business, dan is a DBA.
    pub fn start(rules: &str) -> Self {
        Self::at_a_provider(rules, None)
    }

    /// The same where people can prove a second factor.
    pub fn at_a_provider(rules: &str, oidc: Option<Oidc>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys(dir.path().join("keys"));
        fs::create_dir(&keys.0).unwrap();
        let made = |name: &str| keys.make(name);
        let policy = [
            person("mara", 1001, "\"commander\", \"approver\"", &[&made("mara"), &made("mara-second")]),
            person("ines", 1004, "\"approver\"", &[&made("ines"), &made("ines-second")]),
            person("bo", 1005, "\"approver\"", &[&made("bo")]),
            person("otto", 1006, "\"business-owner\"", &[&made("otto")]),
            person("dan", 1007, "\"dba\"", &[&made("dan")]),
        ]
        .concat();
        keys.make("stranger");
        let approvals = "[approvals.high]\nquorum = 1\nroles = [\"approver\"]\ntimeout = \"10m\"\n";
        let approvals = if rules.contains("[approvals.high]") { "" } else { approvals };
        let elevation = if rules.contains("[elevation]") { "" } else { "[elevation]\ngranted_by = [\"approver\"]\n" };
        let raise = "[[raise]]\nto = \"high\"\nverb = \"lab.*\"\nbecause = \"nobody pokes alone\"\n";
        let policy = format!("{policy}{raise}{approvals}{elevation}{rules}");
        let opener = age::x25519::Identity::generate();
        let (clock, seen) = (Arc::default(), Arc::default());
        let mut bench = Self { dir, keys, policy, running: None, clock, seen, opener, oidc };
        bench.open();
        bench
    }

    /// Opens the engine on what is there.
    pub fn open(&mut self) {
        let quorum = ", approval: {quorum: 2}";
        let escalates = ", approval: {quorum: 1, timeout: 10m, onTimeout: escalate}";
        let books = [
            playbook("plain", ""),
            playbook("two", quorum),
            playbook("escalates", escalates),
            playbook("careful", ", preconditions: [{check: \"incident.severity == 'SEV1'\"}]"),
            playbook("bound", ", bind: [incident.severity]"),
            playbook("called", ", escalate: {after: 5m, to: dba-oncall}"),
            playbook("touched", ", requires: {mfa: true}"),
            secret("secret"),
            sides(),
            headed("owing", "postIncident: {unfreeze: the hold of today, retrospective: why it stood}\n", ""),
            headed("timed", "changeWindow: {calendar: tonight, onClosed: requireFreezeApprover}\n", ""),
        ];
        let (library, problems) = Library::load(&books, &[&POKE, &PAGE], &[]);
        assert!(problems.iter().all(|p| p.to_string().starts_with("built-in")), "{problems:?}");
        let estate = Estate {
            name: "lab".into(),
            environment: Environment::Production,
            time_zone: "UTC".into(),
            tenants: vec![],
        };
        let adapters = Adapters {
            estate: Arc::new(estate),
            mode: Mode::Live,
            clock: self.clock.clone(),
            observers: vec![],
            verbs: Verbs::new([&POKE, &PAGE].map(|spec| Arc::new(Poke(spec, self.seen.clone())) as _)),
            settings: quarterdeck::correlate::settings::Settings::default(),
            usual: None,
            prices: None,
            logs: quarterdeck::engine::logs::LogSources::default(),
            comms: quarterdeck::engine::telling::Means::default(),
            identity: self.oidc.as_ref().zip(Mode::Live.may_observe()).map(|(oidc, may)| Provider::new(may, oidc)),
            drill: None,
        };
        let me = actor("mara", 1001);
        let dir = self.journal();
        let open = OpenOptions::new(
            &dir,
            "quarterdeck/lab",
            me.clone(),
            Mode::Live,
            Environment::Production,
            Timestamp::now(),
        );
        let mut state = State::default();
        let (journal, _) = tokio::task::block_in_place(|| fold::open(open, &mut state)).unwrap();
        let parts = Parts {
            adapters,
            library,
            journal,
            state,
            journal_dir: dir.display().to_string(),
            me,
            loaded: json!({}),
            witnesses: None,
            anchored: None,
        };
        let policy = PolicyFile::of("policy.toml", &self.policy, None).unwrap();
        self.running = Some(core::start_with(parts, policy, vec![self.opener.to_public().to_string()]));
    }

    pub fn journal(&self) -> PathBuf {
        self.dir.path().join("journal")
    }

    /// Ends the engine in good order.
    pub async fn end(&mut self) {
        if let Some(running) = self.running.take() {
            running.end().await;
        }
    }

    pub fn pokes(&self) -> u64 {
        self.seen.pokes.load(Ordering::SeqCst)
    }

    /// What was sent, in its order: verb and words.
    pub fn said(&self) -> Vec<String> {
        self.seen.said.lock().unwrap().clone()
    }

    /// The thing vanishes.
    pub fn vanish(&self) {
        self.seen.gone.store(true, Ordering::SeqCst);
    }

    /// Everything that lies on the disk, with the keys of the people left out.
    pub fn on_disk(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut open = vec![self.journal()];
        let mut all = Vec::new();
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let bytes = fs::read(&path).unwrap_or_default();
                    all.push((path, bytes));
                }
            }
        }
        all
    }

    pub fn ahead(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
    }

    fn client(&self) -> &quarterdeck::engine::client::Client {
        &self.running.as_ref().unwrap().client
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.client().snapshot()
    }

    pub async fn send_as(&self, who: &Actor, command: Command) -> Reply {
        self.client().acting_as(who.clone()).send(command).await
    }

    pub async fn send(&self, command: Command) -> Reply {
        self.client().send(command).await
    }

    pub async fn until(&self, what: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let mut snapshots = self.client().snapshots.clone();
        let found = tokio::time::timeout(Duration::from_mins(1), snapshots.wait_for(|s| what(s))).await;
        match found {
            Ok(found) => found.unwrap().clone(),
            Err(_) => {
                let seen = self.snapshot();
                panic!("it did not come to that: {:?} {:?}", seen.runs, seen.requests)
            }
        }
    }

    /// Declares the incident, starts a playbook and confirms its step; the request that then waits.
    pub async fn ask(&self, playbook: &str) -> RequestView {
        if self.snapshot().current_incident().is_none() {
            let declare = Command::Declare { title: "it stands".into(), severity: Severity::Sev1, findings: vec![] };
            assert!(matches!(self.send(declare).await, Reply::Accepted { .. }));
        }
        let playbook = PlaybookId::from(playbook);
        let begin = Command::StartRun { playbook, params: BTreeMap::new(), incident: None };
        let Reply::Accepted { id: Some(run), .. } = self.send(begin).await else { panic!("the run did not start") };
        self.confirm(&run).await
    }

    /// Starts a playbook and confirms its step, which waits for nobody; the run when it is over.
    pub async fn begin(&self, playbook: &str) -> RunView {
        let begin = Command::StartRun { playbook: playbook.into(), params: BTreeMap::new(), incident: None };
        let Reply::Accepted { id: Some(run), .. } = self.send(begin).await else { panic!("the run did not start") };
        let waits = |r: &RunView| r.id.as_str() == run && r.steps[0].state == StepState::AwaitsConfirmation;
        let seen = self.until(|s| s.runs.iter().any(waits)).await;
        self.send_confirm(seen.runs.iter().find(|r| waits(r)).unwrap()).await;
        self.run_over().await
    }

    /// Starts a playbook whose step can not be prepared; why not, when it has been tried a few times.
    pub async fn ask_blocked(&self, playbook: &str) -> String {
        let begin = Command::StartRun { playbook: playbook.into(), params: BTreeMap::new(), incident: None };
        let Reply::Accepted { id: Some(run), .. } = self.send(begin).await else { panic!("the run did not start") };
        for _ in 0..3 {
            self.ahead(3);
            let recheck = Command::Recheck { run: run.as_str().into(), step: "poke".into() };
            accepted(&self.send(recheck).await);
        }
        let seen = self.snapshot();
        seen.runs.iter().find(|r| r.id.as_str() == run).unwrap().steps[0].outcome.clone().unwrap_or_default()
    }

    /// Confirms the step of a run, and waits for its request.
    pub async fn confirm(&self, run: &str) -> RequestView {
        let is = |r: &RunView| r.id.as_str() == run;
        let waits = |r: &RunView| is(r) && r.steps[0].state == StepState::AwaitsConfirmation;
        let seen = self.until(|s| s.runs.iter().any(waits)).await;
        let shown = seen.runs.iter().find(|r| is(r)).unwrap();
        self.send_confirm(shown).await;
        let open = |r: &RequestView| r.state == RequestState::Open && r.run.as_ref().is_some_and(|r| r.as_str() == run);
        let seen = self.until(|s| s.requests.iter().any(open)).await;
        seen.requests.iter().find(|r| open(r)).unwrap().clone()
    }

    async fn send_confirm(&self, shown: &RunView) {
        let confirm = Command::Confirm {
            run: shown.id.clone(),
            step: shown.steps[0].id.clone(),
            digest: shown.steps[0].digest.clone().unwrap(),
            generation: shown.generation,
            typed: Some("the thing".into()),
        };
        let reply = self.send(confirm).await;
        assert!(matches!(reply, Reply::Accepted { .. }), "{reply:?}");
    }

    /// A signature over what a request asks, by a key of a file.
    pub fn signature(&self, request: &RequestView, key: &str, decision: Decision, role: Role) -> String {
        self.keys.sign(key, NAMESPACE, &request.statement(decision, role))
    }

    /// Approves with a key, as approver.
    pub async fn approve(&self, request: &RequestView, key: &str) -> Reply {
        let signature = self.signature(request, key, Decision::Approve, Role::Approver);
        self.answer(&request.id, Decision::Approve, Role::Approver, signature).await
    }

    /// Hands in an answer, from a peer of its own each time.
    pub async fn answer(&self, request: &str, decision: Decision, role: Role, signature: String) -> Reply {
        static PEER: AtomicU64 = AtomicU64::new(20_000);
        let uid = u32::try_from(PEER.fetch_add(1, Ordering::SeqCst)).unwrap();
        let answer =
            Command::Answer { request: request.into(), decision, role, signature, reason: "not like this".into() };
        self.send_as(&actor("peer", uid), answer).await
    }

    /// The last run of all, when it has come to its end or waits again.
    pub async fn run_over(&self) -> RunView {
        let seen = self.until(|s| s.runs.first().is_some_and(|r| r.ended_at.is_some())).await;
        seen.runs[0].clone()
    }

    pub fn incident(&self) -> IncidentId {
        self.snapshot().current_incident().unwrap().id.clone()
    }

    /// Records of a kind.
    pub fn records(&self, kind: &str) -> Vec<Record> {
        let all = Reader::open(&self.journal(), Filter::default()).unwrap();
        all.map(|r| r.unwrap().record).filter(|r| r.kind.word() == kind).collect()
    }
}

pub fn actor(user: &str, uid: u32) -> Actor {
    Actor { user: user.into(), uid, via: "test".into(), host: "test".into(), console: None }
}

/// The sentence of a refusal by policy.
pub fn denied(reply: &Reply) -> &str {
    match reply {
        Reply::Refused { why, denied: true } => why,
        other => panic!("not denied: {other:?}"),
    }
}

pub fn accepted(reply: &Reply) -> &str {
    match reply {
        Reply::Accepted { message, .. } => message,
        other => panic!("not accepted: {other:?}"),
    }
}
