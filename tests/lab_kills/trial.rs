//! One run that is broken off at one boundary, and gone on with.

use crate::boundary::{Boundary, Event};
use crate::case::{Case, Gate, Scene};
use crate::engine::Served;
use crate::lab_support::LONG;
use crate::lab_support::record::{Records, verify};
use crate::lab_support::wire::At;
use crate::support::{self, SOON, program};
use crate::syscalls;
use rustix::process::Signal;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often a person tries again what has failed.
const RETRIES: usize = 10;

/// Where a run stands.
#[derive(Default)]
struct Stands {
    state: String,
    what: String,
    digest: Option<String>,
    choices: Vec<String>,
    /// How it is answered.
    how: String,
    now: String,
}

struct Trial<'a> {
    case: &'a Case<'a>,
    home: tempfile::TempDir,
    args: Vec<String>,
}

impl<'a> Trial<'a> {
    fn new(scene: &Scene<'_>, case: &'a Case<'a>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let text = format!(
            "[estate]\nname = \"kills\"\nenvironment = \"development\"\ntime_zone = \"UTC\"\n[journal]\ndir = \"{}\"\n{}{}",
            home.path().join("journal").display(),
            scene.redis("seen", scene.port("LAB_REDIS_PORT"), ""),
            case.config
        );
        let books = home.path().join(".config/quarterdeck/playbooks");
        std::fs::create_dir_all(&books).unwrap();
        std::fs::write(books.join("kill.yaml"), case.playbook(&(case.prepare)())).unwrap();
        let mut args = vec!["--config".to_owned(), support::config(home.path(), &text)];
        if let Some(policy) = &case.policy {
            let file = home.path().join("policy.toml");
            std::fs::write(&file, policy).unwrap();
            args.extend(["--policy".to_owned(), file.display().to_string()]);
        }
        Self { case, home, args }
    }

    fn journal(&self) -> PathBuf {
        self.home.path().join("journal")
    }

    fn serve(&self) -> Served {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        Served::start(self.home.path(), &args)
    }

    fn words(&self, more: &[String]) -> Vec<String> {
        let run = ["--format", "json", "playbook", "run", "kill", "--wait", "20"].map(str::to_owned);
        [&self.args[..], &run, more].concat()
    }

    /// Goes on with the run; how it stands then.
    fn go(&self, more: &[String]) -> Stands {
        let words = self.words(more);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (_, out, err) = support::run(self.home.path(), &words);
        // A run that is just being looked after can not be resumed at that moment; the engine says so.
        if out.is_empty() {
            return Stands { state: err, ..Stands::default() };
        }
        let said: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let waits = &said["waits"];
        let steps = said["steps"].as_array().into_iter().flatten();
        Stands {
            state: text(&said["state"]),
            what: text(&waits["what"]),
            digest: waits["digest"].as_str().map(str::to_owned),
            choices: waits["choices"].as_array().into_iter().flatten().map(text).collect(),
            how: text(&waits["how"]),
            now: format!("{} {:?}", text(&said["now"]), steps.map(|s| text(&s["outcome"])).collect::<Vec<_>>()),
        }
    }

    /// What commands in the background have said.
    fn said(&self) -> std::path::PathBuf {
        self.home.path().join("said")
    }

    /// A command in the background, while something is broken off.
    fn begin(&self, more: &[String]) -> Child {
        let mut command = Command::new(program());
        command.args(self.words(more)).env_clear().env("PATH", std::env::var("PATH").unwrap_or_default());
        command.env("HOME", self.home.path()).env("USER", "mara").env("LANG", "C.UTF-8").current_dir(self.home.path());
        let said = || std::fs::File::options().create(true).append(true).open(self.said()).unwrap();
        command.stdin(Stdio::null()).stdout(said()).stderr(said()).spawn().unwrap()
    }

    /// Says something to the engine that it must take.
    fn says(&self, words: &[&str]) {
        let head: Vec<&str> = self.args.iter().map(String::as_str).collect();
        let (code, out, err) = support::run(self.home.path(), &[&head[..], words].concat());
        assert_eq!(code, 0, "{words:?}: {out}{err}");
    }

    /// Brings the run to where it waits for its confirmation; what gives it.
    fn confirmation(&self) -> Vec<String> {
        if self.case.is_high() {
            self.says(&["incident", "declare", "it stands"]);
            self.says(&["glass", "break", "nobody is awake"]);
        }
        let mut stands = self.go(&[]);
        assert!(!stands.now.is_empty(), "{}: {}", self.case.verb, stands.state);
        let deadline = Instant::now() + SOON;
        while stands.what != "confirmation" {
            let (verb, state, what, now) = (self.case.verb, &stands.state, &stands.what, &stands.now);
            assert!(Instant::now() < deadline, "{verb} is not to be confirmed: {state} {what} {now}");
            stands = self.go(&go_on());
        }
        if self.case.is_high() {
            stands = self.go(&[go_on(), confirmed(&stands)].concat());
        }
        [go_on(), confirmed(&stands)].concat()
    }

    /// Lets people go on with what the disk holds, until the run has ended.
    fn to_the_end(&self, mut stands: Stands) {
        let verb = self.case.verb;
        let mut retries = 0;
        let deadline = Instant::now() + LONG;
        while Instant::now() < deadline {
            let more = match stands.what.as_str() {
                _ if stands.state == "finished" => return,
                "confirmation" => confirmed(&stands),
                "decision" => {
                    // A person looks at the server.
                    let took = (self.case.count)() > 0;
                    let has = |key: &str| stands.choices.iter().any(|c| c == key);
                    let key = match (took, has("took-effect"), has("retry")) {
                        (true, true, _) => "took-effect",
                        (false, true, _) => "no-effect",
                        (false, _, true) if retries < RETRIES => {
                            retries += 1;
                            "retry"
                        }
                        _ if retries == RETRIES => panic!("{verb} fails whenever it is tried: {}", stands.now),
                        _ => panic!("{verb}, which took effect: {took}, offers {:?}: {}", stands.choices, stands.now),
                    };
                    vec!["--decide".to_owned(), format!("act={key}:looked")]
                }
                _ => Vec::new(),
            };
            stands = self.go(&[go_on(), more].concat());
        }
        panic!("{verb} does not end: {} {} {:?} {}", stands.state, stands.what, stands.choices, stands.now);
    }
}

fn go_on() -> Vec<String> {
    ["--continue", "RUN-1"].map(str::to_owned).into()
}

fn confirmed(stands: &Stands) -> Vec<String> {
    let digest = stands.digest.as_deref().unwrap();
    // What has to be typed is said once the digest is right.
    let typed = stands.how.split_once("--type ").map(|(_, phrase)| ["--type".to_owned(), phrase.to_owned()]);
    ["--confirm".to_owned(), format!("act={digest}")].into_iter().chain(typed.into_iter().flatten()).collect()
}

/// Goes through one boundary; the last record at the cut, or nothing where the run did not come that far.
pub fn run(scene: &Scene<'_>, case: &Case<'_>, boundary: &Boundary) -> Option<String> {
    let trial = Trial::new(scene, case);
    assert_eq!((case.count)(), 0, "{}: it had its effect before it was asked", case.verb);
    if let Gate::Wire(wire) = &case.gate {
        wire.forget();
    }
    let (last, served) = match *boundary {
        Boundary::Call { from_start, call, nth } => at_a_call(&trial, from_start, call, nth),
        Boundary::Wire { at, event } => at_a_request(&trial, at, event),
    };
    // A run that had ended before the cut needs nobody any more.
    let over = Records::read(trial.home.path(), &trial.journal()).all("run.finished").len() == 1;
    if !over {
        let known = run_is_known(&trial);
        trial.to_the_end(trial.go(&if known { go_on() } else { Vec::new() }));
    }
    let said = format!("{} {boundary:?}, last on disk {last:?}", case.verb);
    // What takes away what it makes leaves it only where the engine that was to do so is gone, and never two.
    let killed = !matches!(boundary, Boundary::Wire { event: Event::ConsoleKilled | Event::Cut, .. });
    let counts = if case.tidies { 0..=u64::from(killed) } else { 1..=1 };
    assert!(counts.contains(&(case.count)()), "{said}: its server counts {}, not {counts:?}", (case.count)());
    if let Gate::Wire(wire) = &case.gate {
        let most = if case.tidies { 2 } else { 1 };
        assert!((1..=most).contains(&wire.arrived()), "{said}: {} requests reached the server", wire.arrived());
    }
    let last = match served.ends_by(Signal::TERM) {
        (Some(0), _) => last,
        // The kill came after all, beside what follows when the command has ended.
        (None, _) if last.is_none() => Some(last_kind(&trial)),
        other => panic!("{said}: the engine ended with {other:?}"),
    };
    verify(trial.home.path(), &trial.journal());
    let records = Records::read(trial.home.path(), &trial.journal());
    let (begun, over) = (records.count("act", "step.started"), records.all("run.finished"));
    assert_eq!(over.len(), 1, "{said}: the run ended once");
    assert!(begun >= 1 && over[0]["body"]["state"] == "finished", "{said}: {over:?}");
    last
}

fn run_is_known(trial: &Trial<'_>) -> bool {
    let words = [&trial.args[..], &["run", "list", "--format", "json"].map(str::to_owned)].concat();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    support::run(trial.home.path(), &words).1.contains("RUN-1")
}

fn last_kind(trial: &Trial<'_>) -> String {
    Records::read(trial.home.path(), &trial.journal()).last_kind()
}

/// Waits until a command ends by itself, as one must whose engine is gone.
fn ends(mut client: Child, longest: Duration) -> Option<i32> {
    let deadline = Instant::now() + longest;
    loop {
        if let Some(status) = client.try_wait().unwrap() {
            return status.code();
        }
        if Instant::now() > deadline {
            let _ = client.kill();
            let _ = client.wait();
            panic!("a run without a screen waits for ever for an engine that is gone");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn gone(mut client: Child) {
    let _ = client.kill();
    let _ = client.wait();
}

fn at_a_call(trial: &Trial<'_>, from_start: bool, call: &str, nth: usize) -> (Option<String>, Served) {
    let mut served = trial.serve();
    let more = if from_start { Vec::new() } else { trial.confirmation() };
    let mut strace = syscalls::kill_at(served.pid(), call, nth);
    let mut client = trial.begin(&more);
    let deadline = Instant::now() + SOON * 2;
    let reached = loop {
        if served.has_ended() {
            break true;
        }
        if client.try_wait().unwrap().is_some() {
            break served.has_ended();
        }
        assert!(Instant::now() < deadline, "{} {call} {nth}: neither killed nor done", trial.case.verb);
        std::thread::sleep(Duration::from_millis(5));
    };
    gone(client);
    let _ = strace.kill();
    let _ = strace.wait();
    // What follows after the command has ended, such as that its console is gone, is a record too.
    if !(reached || served.has_ended()) {
        return (None, served);
    }
    drop(served);
    let last = last_kind(trial);
    (Some(last), trial.serve())
}

fn at_a_request(trial: &Trial<'_>, at: At, event: Event) -> (Option<String>, Served) {
    let served = trial.serve();
    let more = trial.confirmation();
    arm(&trial.case.gate, at);
    let mut client = trial.begin(&more);
    let held = holds(trial, || client.try_wait().unwrap().is_some());
    if !held {
        let records = Records::read(trial.home.path(), &trial.journal());
        let told: Vec<_> =
            ["step.refused", "step.finished"].iter().filter_map(|kind| records.all(kind).pop()).collect();
        let said = std::fs::read_to_string(trial.said()).unwrap_or_default();
        panic!("{} {at:?}: the request was never sent; {told:?}; {said}", trial.case.verb);
    }
    match event {
        Event::EngineKilled => {
            served.kill();
            release(&trial.case.gate, at == At::Late);
            let last = last_kind(trial);
            if at == At::Answer {
                // Nobody tells it any more, and it does not wait for ever.
                assert_eq!(ends(client, SOON * 2), Some(8), "{}: the outcome is not known", trial.case.verb);
            } else {
                gone(client);
            }
            (Some(last), trial.serve())
        }
        Event::ConsoleKilled => {
            gone(client);
            let last = last_kind(trial);
            release(&trial.case.gate, true);
            (Some(last), served)
        }
        Event::Cut => {
            let last = last_kind(trial);
            if at == At::Connect {
                // Until the engine has said so, nothing listens.
                ends(client, LONG);
                release(&trial.case.gate, true);
            } else {
                release(&trial.case.gate, false);
                ends(client, LONG);
            }
            (Some(last), served)
        }
    }
}

fn arm(gate: &Gate, at: At) {
    match gate {
        Gate::Wire(wire) => wire.arm(at),
        Gate::Stays(dir) => {
            let _ = std::fs::remove_file(dir.join("begun"));
            std::fs::write(dir.join(if at == At::Late { "before" } else { "after" }), "").unwrap();
        }
        Gate::None => {}
    }
}

fn holds(trial: &Trial<'_>, mut over: impl FnMut() -> bool) -> bool {
    match &trial.case.gate {
        Gate::Wire(wire) => wire.holds(over),
        Gate::Stays(dir) => {
            // It has begun, and waits; or it has done its work, and waits to say so.
            let late = dir.join("before").exists();
            let there = || if late { dir.join("begun").exists() } else { (trial.case.count)() > 0 };
            let deadline = Instant::now() + SOON * 2;
            while !there() {
                if over() {
                    return false;
                }
                assert!(Instant::now() < deadline, "{}: the program does not run", trial.case.verb);
                std::thread::sleep(Duration::from_millis(10));
            }
            true
        }
        Gate::None => panic!("{}: nothing is on its way", trial.case.verb),
    }
}

/// Lets go what is held, or drops it.
pub fn release(gate: &Gate, passes: bool) {
    match gate {
        Gate::Wire(wire) => wire.release(passes),
        Gate::Stays(dir) => {
            for file in ["before", "after"] {
                let _ = std::fs::remove_file(dir.join(file));
            }
        }
        Gate::None => {}
    }
}
