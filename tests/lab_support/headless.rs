//! A commander's seat at the lab without a screen: an engine that is served on the lab's configuration with a journal of
//! its own, and a playbook that is gone through gate by gate with `playbook run --continue`, each gate by its name. Who
//! approves is another person with an own key.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "shared by several test programs, each of which uses a part; tests fail by panicking"
)]

mod approver;

use crate::engine::Served;
use crate::lab_support::record::{Records, verify};
use crate::lab_support::{LONG, Lab, rules};
use crate::support;
use approver::Approver;
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait until a step comes to its gate: what holds it back must go by itself.
const GATE: Duration = Duration::from_mins(2);
/// How often it is asked again.
const AGAIN: Duration = Duration::from_millis(300);
/// What the holds of a playbook are divided by; all else of it is played as it ships.
const HOLDS: u64 = 10;

/// The engine, and who sits before it.
pub struct Desk<'a> {
    lab: &'a Lab,
    home: TempDir,
    config: String,
    ines: Approver,
    otto: Approver,
    engine: Served,
}

impl<'a> Desk<'a> {
    /// Serves the lab as it is configured, with the shipped policy, and waits until every source has answered.
    pub fn open(lab: &'a Lab) -> Self {
        Self::open_with(lab, "", |_| {})
    }

    /// The same with more lines of policy and a changed configuration.
    pub fn open_with(lab: &'a Lab, policy: &str, change: impl FnOnce(&mut toml::Table)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut config = lab.config(home.path());
        change(&mut config);
        let config = support::config(home.path(), &config.to_string());
        let [ines, otto] =
            [("ines", "approver"), ("otto", "business-owner")].map(|(name, role)| Approver::new(name, role));
        let mara = format!(
            "[[person]]\nname = \"mara\"\nuid = {}\nroles = [\"commander\", \"operator\", \"dba\", \"comms\"]\nkeys = []\n",
            rustix::process::getuid().as_raw()
        );
        let policy = [include_str!("../../policy.toml"), policy, &mara, &ines.entry(), &otto.entry()].join("\n");
        std::fs::write(home.path().join("policy.toml"), policy).unwrap();
        rules::write(home.path());
        shorten_holds(home.path());
        let engine = Served::start(home.path(), &["--config", &config]);
        let desk = Self { lab, home, config, ines, otto, engine };
        let silent = || -> Vec<String> {
            let status = desk.status();
            let sources = status["sources"].as_array().unwrap().iter();
            sources.filter(|s| s["kind"] != "none" && s["health"] == "unknown").map(Value::to_string).collect()
        };
        lab.until("every source answers", LONG, || silent().is_empty());
        desk
    }

    /// A command of the program: its exit code and what it said.
    fn quarterdeck(&self, words: &[&str]) -> (i32, String, String) {
        support::run(self.home.path(), &[&["--config", &self.config], words].concat())
    }

    /// A command that must be taken.
    pub fn says(&self, words: &[&str]) -> String {
        let (code, out, err) = self.quarterdeck(words);
        assert_eq!(code, 0, "{words:?}: {out}{err}");
        out
    }

    fn status(&self) -> Value {
        let (_, out, err) = self.quarterdeck(&["status", "--format", "json"]);
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("status: {e}: {out}{err}"))
    }

    /// Waits until a finding of a rule speaks of something and offers the playbook first; the finding's id.
    pub fn offers(&self, rule: &str, about: &str, playbook: &str, longest: Duration) -> String {
        self.until_offered((rule, about), playbook, longest, |offered| offered.first() == Some(&playbook))
    }

    /// The same, whichever others stand before it.
    pub fn offers_too(&self, rule: &str, about: &str, playbook: &str, longest: Duration) -> String {
        self.until_offered((rule, about), playbook, longest, |offered| offered.contains(&playbook))
    }

    fn until_offered(
        &self,
        (rule, about): (&str, &str),
        playbook: &str,
        longest: Duration,
        fits: impl Fn(&[&str]) -> bool,
    ) -> String {
        let deadline = Instant::now() + longest;
        loop {
            let status = self.status();
            let of_rule = |f: &&Value| f["rule"] == rule && f.to_string().contains(about);
            let found = status["findings"].as_array().unwrap().iter().find(of_rule);
            if let Some(found) = found.filter(|found| fits(&offered(found))) {
                self.lab.note(&format!("{rule} offers {}: {}", offered(found).join(", "), found["what"]));
                return found["id"].as_str().unwrap().to_owned();
            }
            assert!(
                Instant::now() < deadline,
                "{rule} about {about} does not offer {playbook}: {found:#?}\n{}",
                status["findings"]
            );
            std::thread::sleep(AGAIN);
        }
    }

    /// Whether a finding offers a playbook too, behind what fits better.
    pub fn also_offers(&self, finding: &str, playbook: &str) -> bool {
        let status = self.status();
        let found = status["findings"].as_array().unwrap().iter().find(|f| f["id"] == finding).cloned();
        found.is_some_and(|found| offered(&found).contains(&playbook))
    }

    /// Declares an incident.
    pub fn declare(&self, title: &str, severity: &str) {
        self.says(&["incident", "declare", title, "--severity", severity]);
    }

    /// Starts a playbook and waits for its first gate.
    pub fn start(&'a self, playbook: &str, params: &[(&str, &str)]) -> Run<'a> {
        let params: Vec<String> = params.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let words: Vec<&str> = params.iter().flat_map(|p| ["--param", p]).collect();
        let mut run = Run { desk: self, playbook: playbook.to_owned(), id: String::new(), now: Value::Null };
        run.go(&words);
        run.id = run.now["run"].as_str().unwrap().to_owned();
        run
    }

    /// The records so far.
    pub fn records(&self) -> Records {
        Records::read(self.home.path(), &self.journal())
    }

    pub fn journal(&self) -> PathBuf {
        self.home.path().join("journal")
    }

    /// Ends the engine; the journal must then verify.
    pub fn leave(self) -> Records {
        let (journal, home) = (self.journal(), self.home);
        self.engine.ends();
        verify(home.path(), &journal);
        Records::read(home.path(), &journal)
    }
}

/// The playbooks that a finding offers, the one that fits best first.
fn offered(finding: &Value) -> Vec<&str> {
    finding["playbooks"].as_array().unwrap().iter().map(|p| p["id"].as_str().unwrap()).collect()
}

/// Writes each shipped playbook with shorter holds where the program looks for a user's own.
fn shorten_holds(home: &std::path::Path) {
    let books = home.join(".config/quarterdeck/playbooks");
    std::fs::create_dir_all(&books).unwrap();
    let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks");
    for file in std::fs::read_dir(shipped).unwrap().map(|f| f.unwrap().path()) {
        if file.extension().is_none_or(|e| e != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let lines = text.lines().map(|line| match line.split_once("hold: ") {
            Some((before, rest)) => {
                let digits = rest.chars().take_while(char::is_ascii_digit).count();
                let (number, rest) = rest.split_at(digits);
                let (unit, rest) = rest.split_at(1);
                let seconds = number.parse::<u64>().unwrap() * if unit == "m" { 60 } else { 1 };
                format!("{before}hold: {}s{rest}\n", seconds.div_ceil(HOLDS))
            }
            None => format!("{line}\n"),
        });
        std::fs::write(books.join(file.file_name().unwrap()), lines.collect::<String>()).unwrap();
    }
}

/// A run that is gone through. Each answer names the gate that must be waited at.
pub struct Run<'a> {
    desk: &'a Desk<'a>,
    playbook: String,
    id: String,
    /// How the run stood at the end of the last command.
    now: Value,
}

impl Run<'_> {
    /// One command; it ends at the next gate.
    fn go(&mut self, more: &[&str]) {
        let mut words = vec!["playbook", "run", &self.playbook, "--format", "json", "--wait", "0"];
        if !self.id.is_empty() {
            words.extend(["--continue", &self.id]);
        }
        words.extend(more);
        let (_, out, err) = self.desk.quarterdeck(&words);
        self.now = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{words:?}: {e}: {out}{err}"));
    }

    /// How it stands, in a few lines.
    fn shown(&self) -> String {
        let begun = self.now["steps"].as_array().into_iter().flatten().filter(|s| s["state"] != "pending");
        let begun: Vec<String> = begun.map(|s| format!("{}: {} ({})", s["id"], s["state"], s["outcome"])).collect();
        format!("{}: {}, waits for {:#}\n{}", self.now["state"], self.now["now"], self.now["waits"], begun.join("\n"))
    }

    fn is_at(&self, step: &str, what: &str) -> bool {
        self.now["waits"]["step"] == step && self.now["waits"]["what"] == what
    }

    /// Goes on until the run waits at this gate. A precondition may come true by itself; any other gate is a failure.
    fn at(&mut self, step: &str, what: &str) {
        let deadline = Instant::now() + GATE;
        while !self.is_at(step, what) {
            let held = self.now["waits"]["what"] == "precondition" && Instant::now() < deadline;
            assert!(held, "{} does not wait for {what} of {step}: {}", self.playbook, self.shown());
            std::thread::sleep(AGAIN);
            self.go(&[]);
        }
        self.desk.lab.note(&format!("{step} waits for {what}"));
    }

    /// Answers a gate, again where the request was made anew meanwhile, until the run waits there no more.
    fn answer(&mut self, step: &str, what: &str, mut words: impl FnMut(&Value) -> Vec<String>) {
        self.at(step, what);
        let deadline = Instant::now() + GATE;
        while self.is_at(step, what) || self.is_at(step, "precondition") {
            assert!(Instant::now() < deadline, "{what} of {step} is not taken: {}", self.shown());
            let words = words(&self.now["waits"]);
            self.go(&words.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }

    /// Confirms a step, which must then be done.
    pub fn confirm(&mut self, step: &str) {
        self.ask(step);
        self.is_done(step);
    }

    fn is_done(&self, step: &str) {
        let steps = self.now["steps"].as_array().unwrap();
        let found = steps.iter().find(|s| s["id"] == step).unwrap();
        assert_eq!(found["state"], "done", "{}: {found:#}", self.playbook);
    }

    /// Confirms a step that another person has to approve too.
    pub fn ask(&mut self, step: &str) {
        self.answer(step, "confirmation", |waits| confirmation(step, waits));
    }

    /// The same of a step that is confirmed by typing; without the words it stays shut.
    pub fn ask_typed(&mut self, step: &str, phrase: &str) {
        self.at(step, "confirmation");
        let only_pressed = confirmation(step, &self.now["waits"]);
        self.go(&only_pressed.iter().map(String::as_str).collect::<Vec<_>>());
        let how = self.now["waits"]["how"].as_str().unwrap_or_default();
        assert!(
            how.contains(&format!("--type {step}={phrase}")),
            "{step} is not confirmed by typing: {}",
            self.shown()
        );
        let typed = ["--type".to_owned(), format!("{step}={phrase}")];
        self.answer(step, "confirmation", |waits| [confirmation(step, waits), typed.to_vec()].concat());
    }

    /// Confirms a step that another person approves besides; then it must be done.
    pub fn confirm_approved(&mut self, step: &str) {
        self.ask(step);
        self.approve(step);
    }

    /// Has the second person approve a step, which must then be done.
    pub fn approve(&mut self, step: &str) {
        self.signed(step, &self.desk.ines);
    }

    /// The same by the business owner.
    pub fn accept(&mut self, step: &str) {
        self.signed(step, &self.desk.otto);
    }

    fn signed(&mut self, step: &str, person: &Approver) {
        self.at(step, "approval");
        let open: Value = serde_json::from_str(&self.desk.says(&["request", "list", "--format", "json"])).unwrap();
        let open = open.as_array().unwrap();
        let [request] = open.as_slice() else { panic!("one request is open: {open:#?}") };
        assert_eq!((request["run"].as_str(), request["step"].as_str()), (Some(self.id.as_str()), Some(step)));
        let text = |name: &str| request[name].as_str().unwrap();
        person.approves(&self.desk.config, text("id"), text("digest"));
        while self.is_at(step, "approval") {
            self.go(&[]);
        }
        self.is_done(step);
    }

    /// Says that those were told whom a step names.
    pub fn told(&mut self, step: &str) {
        self.answer(step, "comms", |_| vec!["--told".to_owned(), step.to_owned()]);
    }

    /// Decides a step, or says of a manual one that it is `done`.
    pub fn decide(&mut self, step: &str, choice: &str) {
        let words = format!("{step}={choice}:the play goes this way");
        self.answer(step, "decision", |_| vec!["--decide".to_owned(), words.clone()]);
    }

    /// Gives the values that a step asks for.
    pub fn give(&mut self, step: &str, values: &[(&str, &str)]) {
        let words = values.iter().flat_map(|(name, value)| ["--give".to_owned(), format!("{step}.{name}={value}")]);
        let words: Vec<String> = words.collect();
        self.answer(step, "values", |_| words.clone());
    }

    /// Fails unless a step is held back with these words.
    pub fn is_held(&mut self, step: &str, words: &str) {
        assert!(self.is_at(step, "precondition"), "{step} is not held back: {}", self.shown());
        assert!(self.now["waits"]["how"].as_str().unwrap().contains(words), "{}", self.shown());
    }

    /// What came out of a step.
    pub fn outcome(&self, step: &str) -> &str {
        let steps = self.now["steps"].as_array().unwrap();
        steps.iter().find(|s| s["id"] == step).and_then(|s| s["outcome"].as_str()).unwrap_or_default()
    }

    /// Fails unless the run has come to its end.
    pub fn finished(&self) {
        assert_eq!(self.now["state"], "finished", "{}", self.shown());
        self.desk.lab.note(&format!("{} has finished", self.playbook));
    }
}

fn confirmation(step: &str, waits: &Value) -> Vec<String> {
    vec!["--confirm".to_owned(), format!("{step}={}", waits["digest"].as_str().unwrap_or_default())]
}
