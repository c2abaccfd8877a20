//! `playbook run` without a screen when something goes wrong around it: its engine is killed or hangs, and it ends with a
//! sentence and an exit code; a secret is asked for at the terminal and is not shown.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "support/engine.rs"]
mod engine;
mod support;

use engine::Served;
use rustix::process::Signal;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use support::{ENTER, SOON, Start, Term, kinds, program, records, run, verifies};

/// Longest that a command may go on when its engine is gone.
const ENDS: Duration = Duration::from_secs(30);

/// An estate with one web hook, which gets each request as a stream that is not answered yet.
struct House {
    home: tempfile::TempDir,
    config: String,
    asked: mpsc::Receiver<TcpStream>,
}

/// A public key of age, for whoever opens commitments to secrets; nobody does here.
const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

const HOOK: &str = "{adapter: http, verb: webhook, args: {webhook: hook, body: '{\"a\": 1}'}}";

impl House {
    fn new(parameters: &str, call: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (send, asked) = mpsc::channel();
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                if lines.by_ref().map_while(Result::ok).take_while(|l| !l.is_empty()).count() > 0 {
                    let _ = send.send(stream);
                }
            }
        });
        let home = tempfile::tempdir().unwrap();
        let config = support::config(
            home.path(),
            &format!(
                "[estate]\nname = \"lonely\"\nenvironment = \"development\"\ntime_zone = \"UTC\"\n[journal]\ndir = \"{}\"\n\
                 [journal.openings]\nrecipients = [\"{RECIPIENT}\"]\n[[webhook]]\nid = \"hook\"\nurl = \"http://127.0.0.1:{port}/hook\"\n",
                home.path().join("journal").display()
            ),
        );
        let books = home.path().join(".config/quarterdeck/playbooks");
        std::fs::create_dir_all(&books).unwrap();
        let text = format!(
            "schemaVersion: 1\nid: call\nname: Call\nversion: 1\nowner: tests\ndescription: One call.\n\
             lastReviewed: 2026-11-22\nseverity: [SEV1, SEV2, SEV3]\n{parameters}steps:\n  - id: act\n    name: call\n    \
             why: It is tried.\n    type: action\n    risk: medium\n    blastRadius: tenant\n    reversible: compensatable\n    \
             run: {call}\n    timeout: 60s\n    onUnknown: reconcile\n"
        );
        std::fs::write(books.join("call.yaml"), text).unwrap();
        Self { home, config, asked }
    }

    fn home(&self) -> &Path {
        self.home.path()
    }

    fn serve(&self) -> Served {
        Served::start(self.home(), &["--config", &self.config])
    }

    fn go(&self, more: &[&str]) -> (i32, String, String) {
        let head = ["--config", &self.config, "playbook", "run", "call", "--format", "json"];
        run(self.home(), &[&head[..], more].concat())
    }

    /// Starts a run; what confirms its step.
    fn confirmation(&self) -> String {
        let (code, out, err) = self.go(&[]);
        assert_eq!(code, 7, "{out}{err}");
        let said: Value = serde_json::from_str(&out).unwrap();
        format!("act={}", said["waits"]["digest"].as_str().unwrap())
    }

    fn begin(&self, more: &[&str]) -> Child {
        let head = ["--config", &self.config, "playbook", "run", "call", "--format", "json"];
        let mut command = Command::new(program());
        command.args(head).args(more).env_clear().env("PATH", std::env::var("PATH").unwrap_or_default());
        command.env("HOME", self.home()).env("USER", "mara").env("LANG", "C.UTF-8").current_dir(self.home());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

/// Exit code and standard error of a command that ends by itself.
fn ended(mut child: Child) -> (Option<i32>, String) {
    let deadline = Instant::now() + ENDS;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it waits for ever");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

#[test]
fn an_engine_that_is_killed_while_it_sends_leaves_an_unknown_outcome_and_the_run_goes_on_later() {
    let house = House::new("", HOOK);
    let served = house.serve();
    let confirm = house.confirmation();
    let client = house.begin(&["--continue", "RUN-1", "--confirm", &confirm]);
    let stream = house.asked.recv_timeout(SOON).unwrap();
    served.kill();
    let (code, said) = ended(client);
    assert_eq!(code, Some(8), "{said}");
    let error: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(error["error"]["kind"], "unanswered", "{said}");
    let words = error["error"]["message"].as_str().unwrap();
    assert!(words.starts_with("the engine can not be reached any more"), "{words}");
    assert!(words.contains("what became of act of RUN-1 is not known"), "{words}");
    assert!(words.ends_with("quarterdeck playbook run call --continue RUN-1"), "{words}");
    drop(stream);

    // What it says can be done.
    let again = house.serve();
    let (code, out, _) = house.go(&["--continue", "RUN-1", "--decide", "act=took-effect:the owner says so"]);
    assert_eq!(code, 0, "{out}");
    again.ends();
    let all = records(house.home(), &house.home().join("journal"));
    assert_eq!(kinds(&all).iter().filter(|k| **k == "step.started").count(), 1);
    verifies(house.home(), &house.home().join("journal"));
}

#[test]
fn an_engine_that_is_killed_or_hangs_while_a_person_is_waited_for_ends_the_command() {
    let house = House::new("", "{adapter: http, verb: webhook, args: {webhook: nowhere, body: '{}'}}");
    // The step is blocked, and that is waited for.
    let served = house.serve();
    let client = house.begin(&["--wait", "600"]);
    let deadline = Instant::now() + SOON;
    let blocked =
        || run(house.home(), &["--config", &house.config, "run", "list", "--format", "json"]).1.contains("blocked");
    while !blocked() {
        assert!(Instant::now() < deadline, "the run is not blocked");
        std::thread::sleep(Duration::from_millis(50));
    }
    served.kill();
    let (code, said) = ended(client);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("act of RUN-1 was blocked; once it serves again"), "{said}");

    let served = house.serve();
    let client = house.begin(&["--wait", "600"]);
    let known =
        || run(house.home(), &["--config", &house.config, "run", "list", "--format", "json"]).1.contains("RUN-2");
    while !known() {
        assert!(Instant::now() < deadline + SOON, "the run does not start");
        std::thread::sleep(Duration::from_millis(50));
    }
    served.signal(Signal::STOP);
    let (code, said) = ended(client);
    served.signal(Signal::CONT);
    assert!(code == Some(1) || code == Some(8), "{code:?} {said}");
    assert!(said.contains("it has said nothing for 15 s") && said.contains("--continue RUN-2"), "{said}");
}

#[test]
fn a_secret_is_asked_for_at_the_terminal_and_shown_nowhere() {
    const VALUE: &str = "correct-horse-battery";
    let call = "{adapter: http, verb: webhook, args: {webhook: hook, body: '{\"token\": \"{{ params.token }}\"}'}}";
    let house = House::new("parameters: {token: {type: string, required: true, secret: true}}\n", call);
    let _served = house.serve();
    let args = ["--config", &house.config, "playbook", "run", "call", "--secret", "token=prompt", "--format", "json"];
    let start = Start { args: &args, env: &[], home: house.home(), size: (110, 30) };
    let mut term = Term::start(&start);
    term.shows("token: ");
    term.keys(VALUE).keys(ENTER);
    // It waits for its confirmation, which nobody has given.
    let status = term.ends(SOON);
    assert_eq!(status.exit_code(), 7, "{}", term.text());
    let raw = String::from_utf8_lossy(&term.raw()).into_owned();
    assert!(raw.contains("confirmation") && !raw.contains(VALUE) && !raw.contains("horse"), "{raw}");
    let journal = house.home().join("journal");
    let (code, out, err) =
        run(house.home(), &["audit", "show", "--journal", &journal.display().to_string(), "--format", "json"]);
    assert!(code == 0 && !out.contains("horse") && out.contains("secret"), "{out}{err}");

    // Without a terminal it can not be asked for.
    let (code, _, err) = house.go(&["--secret", "token=prompt"]);
    assert!(code == 1 && err.contains("token can not be asked for without a terminal"), "{code} {err}");
}

#[test]
fn what_is_wrong_in_the_command_or_its_file_is_told_before_anything_begins() {
    let home = tempfile::tempdir().unwrap();
    let says = |words: &[&str], expected: &str| {
        let (code, out, err) = run(home.path(), words);
        assert_eq!((code, out.as_str()), (2, ""), "{words:?}: {err}");
        assert!(err.contains(expected), "{words:?}: {err}");
    };
    let none = "0".repeat(64);
    let [at, long] = [format!("gone={none}"), format!("cancel-root={none}x")];
    let tenant = "tenant=t017";
    for (more, expected) in [
        (vec!["nope"], "there is no playbook `nope`; there are access-outage, "),
        (vec!["schema-lock"], "parameter `tenant`: it must be given"),
        (vec!["schema-lock", "--param", "tenant=t999"], "there is no tenant “t999” in acme"),
        (vec!["schema-lock", "--param", tenant, "--param", "tenant=t003"], "--param tenant=… is given twice"),
        (vec!["schema-lock", "--param", tenant, "--param", "tenat=t003"], "unknown parameter `tenat`"),
        (
            vec!["schema-lock", "--param", tenant, "--confirm", &at],
            "--confirm gone: schema-lock has no such step; it has",
        ),
        (vec!["schema-lock", "--param", tenant, "--confirm", &long], "a digest has 64 hexadecimal digits"),
        (vec!["schema-lock", "--param", tenant, "--told", "gone"], "--told gone: schema-lock has no such step"),
    ] {
        says(&[&["--drill", "playbook", "run"], &more[..]].concat(), expected);
    }
    let twice = ["--drill", "playbook", "render", "schema-lock", "--param", tenant, "--param", tenant];
    says(&twice, "--param tenant=… is given twice, once is allowed");
    let file = home.path().join("bytes.yaml");
    std::fs::write(&file, b"id: x\nname: \xff\n").unwrap();
    says(
        &["playbook", "lint", &file.display().to_string()],
        "bytes.yaml:2:7: found the byte 0xff, which is no UTF-8; text in UTF-8 is expected",
    );
    says(&["playbook", "lint", "/dev/zero"], "/dev/zero: it has more than 16 MiB, at most that much is read");
}

#[test]
fn what_speaks_against_a_playbook_is_journaled_and_somebody_can_answer_for_it() {
    let house = House::new("contraindications: [{when: \"params.x == 'a'\", text: there is no x}]\n", HOOK);
    let file = house.home().join(".config/quarterdeck/playbooks/call.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("steps:", "parameters: {x: {type: string, default: a}}\nsteps:")).unwrap();
    let served = house.serve();
    let (code, out, err) = house.go(&["--wait", "0"]);
    assert_eq!(code, 1, "{out}{err}");
    let said: Value = serde_json::from_str(&out).unwrap();
    let how = said["waits"]["how"].as_str().unwrap();
    assert!(how.starts_with("this playbook should not be started: there is no x"), "{how}");
    assert_eq!(said["waits"]["choices"], serde_json::json!(["start-anyway", "stop"]));

    // Only what is offered is taken, and with a reason.
    let (code, out, _) = house.go(&["--continue", "RUN-1", "--wait", "0", "--decide", "act=skip:no"]);
    assert_eq!(code, 1, "{out}");
    let (code, out, err) = house.go(&["--continue", "RUN-1", "--wait", "0", "--decide", "act=start-anyway:x"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("needs a reason of at least"), "what was refused ends the command: {out}{err}");
    let (code, out, _) = house.go(&["--continue", "RUN-1", "--decide", "act=start-anyway:looked myself"]);
    assert_eq!(code, 7, "it waits for its confirmation: {out}");
    served.ends();

    let all = records(house.home(), &house.home().join("journal"));
    let refused: Vec<&Value> = all.iter().filter(|r| r["kind"] == "step.refused").collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0]["body"]["contraindications"][0]["text"], "there is no x", "{refused:?}");
    assert!(all.iter().any(|r| r["kind"] == "decision.made" && r["body"]["reason"] == "looked myself"));
    verifies(house.home(), &house.home().join("journal"));
}

#[test]
fn hostile_text_never_becomes_an_argument_and_a_program_that_became_a_link_is_not_started() {
    let call = "{adapter: command, verb: run, args: {program: TOOL, args: ['{{ params.text }}']}}";
    let house = House::new("parameters: {text: {type: string, required: true}}\n", call);
    let dir = std::fs::canonicalize(house.home()).unwrap();
    let (tool, moved, ran) = (dir.join("tool"), dir.join("moved"), dir.join("ran"));
    let script = format!("#!/bin/sh\nprintf '%s' \"$1\" >> '{}'\n", ran.display());
    std::fs::write(&tool, &script).unwrap();
    std::fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let file = dir.join(".config/quarterdeck/playbooks/call.yaml");
    let text = std::fs::read_to_string(&file).unwrap().replace("TOOL", &tool.display().to_string());
    let high = "risk: high\n    approval: {quorum: 1}";
    let text = text + "    verify: [{check: 'signals.http.share_5xx < 1', within: 1s}]\n";
    let text = text.replace("risk: medium", high).replace("compensatable", "false").replace("tenant\n", "region\n");
    std::fs::write(&file, text).unwrap();
    let sha256 = Sha256::digest(&script).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let policy = dir.join("policy.toml");
    let allowed = format!("[[command]]\npath = \"{}\"\nsha256 = \"{sha256}\"\nargs = [\"*\"]\n", tool.display());
    std::fs::write(&policy, allowed + "[glass]\nwaives = [\"approvals\"]\n").unwrap();
    let policy = policy.display().to_string();
    let served = Served::start(house.home(), &["--config", &house.config, "--policy", &policy]);
    let head = ["--config", &house.config, "--policy", &policy];
    for words in [["incident", "declare", "it stands"], ["glass", "break", "nobody is awake"]] {
        let (code, out, err) = run(house.home(), &[&head[..], &words].concat());
        assert_eq!(code, 0, "{out}{err}");
    }
    let ask = |wait: &str, more: &[&str]| {
        let words = ["playbook", "run", "call", "--format", "json", "--wait", wait];
        run(house.home(), &[&head[..], &words, more].concat())
    };
    let go = |wait: &str, more: &[&str]| {
        let (code, out, err) = ask(wait, more);
        let said: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
        (code, said)
    };

    // What would begin another line never gets as far as a run.
    let (code, out, err) = ask("0", &["--param", "text=a\r\nX-Evil: 1"]);
    assert!(code == 2 && err.contains("holds control characters"), "{code} {out}{err}");

    let evil = format!("x'; touch {}/pwned; $(id) `id`", dir.display());
    let (code, said) = go("0", &["--param", &format!("text={evil}")]);
    assert!(code != 0 && said["waits"]["what"] == "precondition", "{said}");
    assert!(said["waits"]["how"].as_str().unwrap().ends_with("policy allows *"), "{said}");

    let (_, said) = go("0", &["--param", "text=plain"]);
    let confirm = format!("act={}", said["waits"]["digest"].as_str().unwrap_or_else(|| panic!("{said}")));
    let (_, said) = go("0", &["--continue", "RUN-2", "--confirm", &confirm]);
    let how = said["waits"]["how"].as_str().unwrap();
    let typed = how.split_once("--type ").unwrap_or_else(|| panic!("{said}")).1.to_owned();
    // Between what was shown and what is to run, the program becomes a link to itself.
    std::fs::rename(&tool, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &tool).unwrap();
    let answer = ["--continue", "RUN-2", "--confirm", &confirm, "--type", &typed];
    let (code, said) = go("0", &answer);
    assert!(code != 0 && said["state"] != "finished", "{said}");
    assert!(said["steps"][0]["outcome"].as_str().unwrap_or_default().contains("is a link"), "{said}");
    assert!(!ran.exists(), "nothing was started");
    // As it was, it is started.
    std::fs::rename(&moved, &tool).unwrap();
    let (_, said) = go("20", &["--continue", "RUN-2", "--decide", "act=retry:it is itself again"]);
    let confirm = format!("act={}", said["waits"]["digest"].as_str().unwrap_or_else(|| panic!("{said}")));
    // Nothing here says how it went, so that it is not verified; that it ran is seen.
    let (_, said) = go("20", &["--continue", "RUN-2", "--confirm", &confirm, "--type", &typed]);
    assert_eq!(said["waits"]["what"], "decision", "{said}");
    assert_eq!(std::fs::read_to_string(&ran).unwrap(), "plain");
    assert!(!dir.join("pwned").exists());
    served.ends();

    let all = records(house.home(), &house.home().join("journal"));
    let why =
        |kind: &str| all.iter().find(|r| r["kind"] == kind).map(|r| r["body"]["why"].to_string()).unwrap_or_default();
    assert!(why("step.refused").contains("policy allows *"), "{}", why("step.refused"));
    assert!(why("step.finished").contains("is a link"), "{}", why("step.finished"));
    verifies(house.home(), &house.home().join("journal"));
}
