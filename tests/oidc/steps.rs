//! A second factor for the confirmation of a step and for its approval: the login of the person each, for this step and for no
//! other, beside the record of what it is for.

use super::{House, Keys, accepted, denied, ends, fails, person};
use crate::agent::SshAgent;
use crate::approvals_support::{Bench, actor};
use crate::engine::Served;
use crate::support::{self, lonely, records};
use quarterdeck::domain::incident::{Role, Severity};
use quarterdeck::engine::api::{
    Command, Decision, Reply, RequestState, RequestView, RunState, RunView, SignIn, SignInState, StepState,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStderr, Stdio};

const RULES: &str = "[mfa]\nfrom = \"high\"\nsource = \"oidc\"\n";

fn proven(who: &str) -> String {
    format!("login={who}&amr=pwd,otp")
}

/// The name of the login that a reply asks for.
fn login(reply: &Reply) -> String {
    match reply {
        Reply::Accepted { id: Some(id), .. } if id.starts_with("LOGIN-") => id.clone(),
        other => panic!("no login is asked for: {other:?}"),
    }
}

/// The code of a login, once the provider has given it.
async fn code(bench: &Bench, id: &str) -> String {
    let has = |one: &SignIn| one.id == id && matches!(one.state, SignInState::Waiting { .. });
    let seen = bench.until(|s| s.sign_ins.iter().any(has)).await;
    match &seen.sign_ins.iter().find(|one| one.id == id).unwrap().state {
        SignInState::Waiting { code, .. } => code.clone(),
        other => panic!("{other:?}"),
    }
}

/// A run whose step waits for its confirmation.
async fn waiting(bench: &Bench, playbook: &str) -> RunView {
    if bench.snapshot().current_incident().is_none() {
        let declare = Command::Declare { title: "it stands".into(), severity: Severity::Sev1, findings: vec![] };
        accepted(&bench.send(declare).await);
    }
    let begin = Command::StartRun { playbook: playbook.into(), params: BTreeMap::new(), incident: None };
    let Reply::Accepted { id: Some(run), .. } = bench.send(begin).await else { panic!("the run did not start") };
    let waits = |r: &RunView| r.id.as_str() == run && r.steps[0].state == StepState::AwaitsConfirmation;
    let seen = bench.until(|s| s.runs.iter().any(waits)).await;
    seen.runs.iter().find(|r| waits(r)).unwrap().clone()
}

/// Mara confirms it, as it was shown to her.
async fn confirm(bench: &Bench, shown: &RunView) -> Reply {
    let command = Command::Confirm {
        run: shown.id.clone(),
        step: shown.steps[0].id.clone(),
        digest: shown.steps[0].digest.clone().unwrap(),
        generation: shown.generation,
        typed: Some("the thing".into()),
    };
    bench.send(command).await
}

/// The request that a run waits with.
async fn asked(bench: &Bench, shown: &RunView) -> RequestView {
    let open = |r: &RequestView| r.state == RequestState::Open && r.run.as_ref() == Some(&shown.id);
    let seen = bench.until(|s| s.requests.iter().any(open)).await;
    seen.requests.iter().find(|r| open(r)).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_confirms_and_who_approves_logs_in_and_the_records_hold_it() {
    let Some(house) = House::open(60) else { return };
    // By policy, and by the playbook alone.
    for (rules, playbook) in [(RULES, "plain"), ("[mfa]\nsource = \"oidc\"\n", "touched")] {
        let mut bench = Bench::at_a_provider(rules, Some(house.config("quarterdeck")));
        let shown = waiting(&bench, playbook).await;
        let assessment = shown.steps[0].assessment.as_ref().unwrap();
        assert!(assessment.login && assessment.denials.is_empty(), "{assessment:?}");
        let id = login(&confirm(&bench, &shown).await);
        let view = bench.snapshot().sign_ins.iter().find(|one| one.id == id).unwrap().clone();
        assert_eq!(view.person.as_str(), "mara");
        assert!(view.title.contains("confirms poke of RUN-1, digest "), "{}", view.title);
        let shown_code = code(&bench, &id).await;
        assert!(bench.records("step.confirmed").is_empty(), "nothing is confirmed before it is proven");
        house.log_in(&shown_code, &proven("mara")).await;
        assert!(matches!(ends(&bench, &id).await, SignInState::Proven { request, .. } if request == "RUN-1"));
        let request = asked(&bench, &shown).await;
        assert!(request.terms.login && !request.terms.security_key);
        // The signature alone is not enough; with the login of whoever signed it is.
        let id = login(&bench.approve(&request, "ines").await);
        let shown_code = code(&bench, &id).await;
        assert_eq!((bench.records("approval.granted").len(), bench.pokes()), (0, 0));
        house.log_in(&shown_code, &proven("ines")).await;
        assert!(matches!(ends(&bench, &id).await, SignInState::Proven { request: of, .. } if of == request.id));
        bench.until(|s| s.runs[0].state == RunState::Finished).await;
        assert_eq!(bench.pokes(), 1);
        let digest = shown.steps[0].digest.as_ref().unwrap().as_str();
        let logins = bench.records("identity.proven");
        assert_eq!(logins.len(), 2);
        assert_eq!(logins[0].body["for"], json!({ "run": "RUN-1", "step": "poke", "digest": digest }));
        assert_eq!(logins[1].body["for"], json!({ "request": request.id, "digest": digest }));
        for (kind, who, proof) in [("step.confirmed", "mara", &logins[0]), ("approval.granted", "ines", &logins[1])] {
            let record = &bench.records(kind)[0];
            let identity = &record.body["identity"];
            assert_eq!((identity["name"].as_str(), &identity["token"]), (Some(who), &proof.body["token"]), "{kind}");
            assert!(proof.seq < record.seq, "it is durable first");
        }
        bench.end().await;
        for (path, bytes) in bench.on_disk() {
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains("eyJhbGci") && !text.contains(&shown_code), "{}", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_person_no_second_factor_and_a_cancelled_login_confirm_and_approve_nothing() {
    let Some(house) = House::open(60) else { return };
    let mut bench = Bench::at_a_provider(RULES, Some(house.config("quarterdeck")));
    let shown = waiting(&bench, "plain").await;
    for (how, says) in [
        ("login=bo&amr=pwd,otp", "bo has logged in, and mara had asked"),
        ("login=mara&amr=pwd", "does not say that a second factor was proven"),
    ] {
        let id = login(&confirm(&bench, &shown).await);
        house.log_in(&code(&bench, &id).await, how).await;
        let why = fails(&bench, &id).await;
        assert!(why.contains(says), "{how}: {why}");
    }
    let id = login(&confirm(&bench, &shown).await);
    // One login of a person at a time; only they end it.
    let again = confirm(&bench, &shown).await;
    assert!(again.words().contains("is logging in already") && again.words().contains("confirms poke"), "{again:?}");
    let cancel = Command::CancelSignIn { id: id.clone() };
    assert!(denied(&bench.send_as(&actor("ines", 1004), cancel.clone()).await).contains("is a login of mara"));
    accepted(&bench.send(cancel).await);
    assert_eq!(fails(&bench, &id).await, "it was cancelled");
    assert!(bench.records("step.confirmed").is_empty());
    assert_eq!(bench.snapshot().runs[0].steps[0].state, StepState::AwaitsConfirmation, "it waits as before");
    // Who the roster does not know can prove nothing.
    let stranger = Command::Confirm {
        run: shown.id.clone(),
        step: "poke".into(),
        digest: shown.steps[0].digest.clone().unwrap(),
        generation: shown.generation,
        typed: Some("the thing".into()),
    };
    let reply = bench.send_as(&actor("mallory", 4000), stranger).await;
    assert!(denied(&reply).contains("the roster does not know you"), "{reply:?}");

    let id = login(&confirm(&bench, &shown).await);
    house.log_in(&code(&bench, &id).await, &proven("mara")).await;
    let request = asked(&bench, &shown).await;
    let id = login(&bench.approve(&request, "ines").await);
    house.log_in(&code(&bench, &id).await, &proven("bo")).await;
    let why = fails(&bench, &id).await;
    assert!(why.contains("bo has logged in, and ines had asked"), "{why}");
    // A signature that does not count asks nobody to log in.
    assert!(denied(&bench.approve(&request, "mara").await).contains("can not approve it"));
    // A no needs no second factor, and ends a login for the yes without effect.
    let id = login(&bench.approve(&request, "ines").await);
    let shown_code = code(&bench, &id).await;
    let no = bench.signature(&request, "bo", Decision::Deny, Role::Approver);
    accepted(&bench.answer(&request.id, Decision::Deny, Role::Approver, no).await);
    house.log_in(&shown_code, &proven("ines")).await;
    let why = fails(&bench, &id).await;
    assert!(why.contains(&format!("{} was denied", request.id)), "{why}");
    assert_eq!((bench.records("approval.granted").len(), bench.pokes()), (0, 0));
    assert_eq!(bench.records("identity.refused").len(), 5);
    let last = &bench.records("identity.refused")[4];
    assert_eq!(last.body["for"]["request"], request.id, "{}", last.body);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_for_the_step_as_it_was_shown_and_its_token_counts_once() {
    let Some(house) = House::open(60) else { return };
    let mut bench = Bench::at_a_provider(RULES, Some(house.config("quarterdeck")));
    // The step is prepared anew while she is at the provider: what she saw is not what waits.
    let shown = waiting(&bench, "plain").await;
    let id = login(&confirm(&bench, &shown).await);
    let shown_code = code(&bench, &id).await;
    accepted(&bench.send(Command::Recheck { run: shown.id.clone(), step: "poke".into() }).await);
    house.log_in(&shown_code, &proven("mara")).await;
    let why = fails(&bench, &id).await;
    assert!(why.contains("the plan has changed since it was shown"), "{why}");
    assert_eq!((bench.records("identity.proven").len(), bench.records("step.confirmed").len()), (0, 0));
    // Nor after everything was stopped.
    let shown = bench.until(|s| s.runs[0].steps[0].state == StepState::AwaitsConfirmation).await.runs[0].clone();
    let id = login(&confirm(&bench, &shown).await);
    let shown_code = code(&bench, &id).await;
    accepted(&bench.send(Command::EmergencyStop).await);
    house.log_in(&shown_code, &proven("mara")).await;
    fails(&bench, &id).await;
    assert!(bench.records("step.confirmed").is_empty());
    // One token for the steps of two runs: it counts for the first.
    let token = house.token_of("quarterdeck", &proven("mara")).await;
    let (first, second) = (waiting(&bench, "plain").await, waiting(&bench, "two").await);
    let with_it = async |shown: &RunView| {
        house.answers(&json!([{ "id_token": token }])).await;
        let id = login(&confirm(&bench, shown).await);
        house.log_in(&code(&bench, &id).await, &proven("mara")).await;
        id
    };
    let id = with_it(&first).await;
    assert!(matches!(ends(&bench, &id).await, SignInState::Proven { .. }), "{:?}", ends(&bench, &id).await);
    asked(&bench, &first).await;
    let id = with_it(&second).await;
    let why = fails(&bench, &id).await;
    assert!(why.contains("its token was used before"), "{why}");
    let confirmed = bench.records("step.confirmed");
    assert_eq!(confirmed.len(), 1);
    assert_eq!(confirmed[0].body["run"], first.id.as_str());
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_provider_no_such_step_is_intended() {
    let mut bench = Bench::start(RULES);
    let declare = Command::Declare { title: "it stands".into(), severity: Severity::Sev1, findings: vec![] };
    accepted(&bench.send(declare).await);
    let why = bench.ask_blocked("plain").await;
    assert!(why.contains("there is no [oidc] here") && why.contains("the answer is no"), "{why}");
    assert_eq!((bench.pokes(), bench.records("step.intended").len()), (0, 0));
    bench.end().await;
}

/// An estate on which one program may be run, with people who log in for it: mara asks, ines approves.
pub struct Estate {
    home: tempfile::TempDir,
    pub config: String,
}

impl Estate {
    pub fn new(house: &House) -> Self {
        let home = tempfile::tempdir().unwrap();
        let at = home.path();
        let tool = at.join("tool");
        std::fs::write(&tool, "#!/bin/sh\necho done\n").unwrap();
        std::fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let digest = Sha256::digest(std::fs::read(&tool).unwrap());
        let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        let uid = rustix::process::getuid().as_raw();
        let keys = Keys(at.to_owned());
        let policy = [
            person("mara", uid, "\"commander\"", &[]),
            person("ines", uid + 1, "\"approver\"", &[&keys.make("ines")]),
            format!("[[command]]\npath = \"{}\"\nsha256 = \"{sha256}\"\nargs = []\n", tool.display()),
            "[approvals.low]\nquorum = 1\nroles = [\"approver\"]\n[approvals.medium]\nquorum = 1\nroles = [\"approver\"]\n".to_owned(),
            "[approvals.high]\nquorum = 1\nroles = [\"approver\"]\n".to_owned(),
            "[mfa]\nfrom = \"low\"\nsource = \"oidc\"\n".to_owned(),
            "[elevation]\ngranted_by = [\"approver\"]\nmfa = [\"dba\"]\n".to_owned(),
        ]
        .concat();
        std::fs::write(at.join("policy.toml"), policy).unwrap();
        let books = at.join(".config/quarterdeck/playbooks");
        std::fs::create_dir_all(&books).unwrap();
        let book = format!(
            "schemaVersion: 1\nid: call\nname: Call\nversion: 1\nowner: tests\ndescription: One call.\nsteps:\n- id: act\n  \
             name: call\n  why: It is tried.\n  type: action\n  reversible: false\n  \
             run: {{adapter: command, verb: run, args: {{program: {}, args: []}}}}\n  timeout: 60s\n",
            tool.display()
        );
        std::fs::write(books.join("call.yaml"), book).unwrap();
        let config = lonely(at);
        let oidc = format!(
            "[oidc]\nissuer = \"{}\"\nclient_id = \"quarterdeck\"\nca = \"{}\"\namr = [\"otp\"]\n[engine]\npolicy = \"policy.toml\"\n",
            house.url,
            house.ca().display()
        );
        let text = std::fs::read_to_string(&config).unwrap() + &oidc;
        std::fs::write(&config, text.replace("\"staging\"", "\"development\"")).unwrap();
        Self { home, config }
    }

    pub fn at(&self) -> &Path {
        self.home.path()
    }

    pub fn begin(&self, args: &[&str], env: &[(&str, &str)]) -> Child {
        std::process::Command::new(support::program())
            .args(["--config", &self.config])
            .args(args)
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .env("HOME", self.at())
            .env("USER", "mara")
            .envs(env.iter().copied())
            .current_dir(self.at())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    pub fn of(&self, kind: &str) -> Vec<Value> {
        let all = records(self.at(), &self.at().join("journal"));
        all.into_iter().filter(|record| record["kind"] == kind).collect()
    }
}

/// An ssh-agent that holds somebody's key.
pub fn holds_key(estate: &Estate, name: &str) -> SshAgent {
    let agent = SshAgent::start();
    agent.run("ssh-add", &["-q", &estate.at().join(name).display().to_string()]);
    agent
}

/// The code that a command shows.
fn shown(child: &mut Child) -> (String, BufReader<ChildStderr>) {
    let (mut said, mut all) = (BufReader::new(child.stderr.take().unwrap()), String::new());
    loop {
        let mut line = String::new();
        assert!(said.read_line(&mut line).unwrap() > 0, "it ended before it showed a code: {all}");
        if let Some((page, code)) = line.split_once(" and enter the code ") {
            assert!(page.contains("/device"), "{page}");
            return (code.split(' ').next().unwrap().to_owned(), said);
        }
        all += &line;
    }
}

/// What a command has come to: code, standard output, standard error.
fn came(mut child: Child, mut said: BufReader<ChildStderr>) -> (Option<i32>, String, String) {
    let (mut out, mut err) = (String::new(), String::new());
    said.read_to_string(&mut err).unwrap();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    (child.wait().unwrap().code(), out, err)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_shows_the_code_of_a_run_and_of_an_approval_and_goes_on_after_it() {
    let Some(house) = House::open(60) else { return };
    let estate = Estate::new(&house);
    let served = Served::start(estate.at(), &["--config", &estate.config]);
    let run = ["playbook", "run", "call", "--format", "json"];
    let child = estate.begin(&run, &[]);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{output:?}"));
    let confirm = format!("act={}", said["waits"]["digest"].as_str().unwrap_or_else(|| panic!("{said}")));
    let go_on = [&run[..], &["--continue", "RUN-1", "--confirm", &confirm, "--wait", "60"]].concat();
    // Whoever has another log in is told so, and may do it again.
    let mut child = estate.begin(&go_on, &[]);
    let (code, err) = shown(&mut child);
    house.log_in(&code, "login=ines&amr=otp").await;
    let (code, out, err) = came(child, err);
    let said: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
    assert_eq!(code, Some(7), "{out}{err}");
    assert!(said["waits"]["how"].as_str().unwrap().contains("ines has logged in, and mara had asked"), "{out}");

    let mut running = estate.begin(&go_on, &[]);
    let (code, err) = shown(&mut running);
    house.log_in(&code, "login=mara&amr=otp").await;
    // It waits for the approval, for which ines logs in at her own terminal.
    let agent = holds_key(&estate, "ines");
    let socket = agent.socket().display().to_string();
    let env = [("SSH_AUTH_SOCK", socket.as_str())];
    let request: Value = loop {
        let listed = estate.begin(&["request", "list", "--format", "json"], &[]).wait_with_output().unwrap();
        let all: Value = serde_json::from_slice(&listed.stdout).unwrap_or(Value::Null);
        if let Some(open) = all.as_array().and_then(|all| all.first()) {
            break open.clone();
        }
    };
    let (id, digest) = (request["id"].as_str().unwrap(), request["digest"].as_str().unwrap());
    let mut approving = estate.begin(&["approve", id, "--digest", digest, "--key", "ines"], &env);
    let (code, said) = shown(&mut approving);
    house.log_in(&code, "login=ines&amr=otp").await;
    let (code, out, said) = came(approving, said);
    assert!(code == Some(0) && out.contains("is approved by ines"), "{code:?} {out}{said}");
    let (code, out, err) = came(running, err);
    assert_eq!(code, Some(0), "{out}{err}");
    served.ends();
    assert_eq!(estate.of("step.confirmed")[0]["body"]["identity"]["name"], "mara");
    assert_eq!(estate.of("approval.granted")[0]["body"]["identity"]["name"], "ines");
    assert_eq!((estate.of("identity.proven").len(), estate.of("identity.refused").len()), (2, 1));
    assert_eq!(estate.of("step.verified").len() + estate.of("step.finished").len(), 1);
}
