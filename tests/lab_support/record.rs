//! The journal that a console wrote, read back with `quarterdeck audit`, as an auditor would.

use crate::support::run;
use serde_json::Value;
use std::path::Path;

/// The records of one journal so far.
pub struct Records(Vec<Value>);

impl Records {
    /// Reads them; the console may go on writing.
    pub fn read(home: &Path, journal: &Path) -> Self {
        let dir = journal.display().to_string();
        let (code, out, err) = run(home, &["audit", "show", "--journal", &dir, "--format", "json"]);
        assert_eq!(code, 0, "{err}");
        Self(out.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    fn kind(record: &Value) -> &str {
        record["kind"].as_str().unwrap()
    }

    /// Kinds of the records about a step, in order.
    pub fn of_step(&self, step: &str) -> Vec<&str> {
        self.0.iter().filter(|r| r["body"]["step"] == step).map(Self::kind).collect()
    }

    /// All records of a kind.
    pub fn all(&self, kind: &str) -> Vec<&Value> {
        self.0.iter().filter(|r| Self::kind(r) == kind).collect()
    }

    /// How many records of a kind there are about a step.
    pub fn count(&self, step: &str, kind: &str) -> usize {
        self.of_step(step).iter().filter(|k| **k == kind).count()
    }

    /// Fails unless the records about a step hold these kinds in this order, others between them allowed.
    pub fn in_order(&self, step: &str, kinds: &[&str]) {
        let have = self.of_step(step);
        let mut rest = have.iter();
        for kind in kinds {
            assert!(rest.any(|k| k == kind), "{kind} of {kinds:?} is not where it should be in {have:?}");
        }
    }

    /// Fails unless a step acted once, each of its records after the one before and there once.
    pub fn acted_once(&self, step: &str) {
        self.acted(step, &["step.intended", "step.confirmed", "step.started", "step.finished", "step.verified"]);
    }

    /// The same of a step that another person has approved with an own key.
    pub fn acted_once_approved(&self, step: &str, person: &str) {
        let kinds = ["step.intended", "step.confirmed", "approval.requested", "approval.granted"];
        self.acted(step, &[&kinds[..], &["step.started", "step.finished", "step.verified"]].concat());
        assert_eq!(self.bodies(step, "approval.granted")[0]["person"], person);
        assert!(self.all("glass.broken").is_empty());
    }

    fn acted(&self, step: &str, kinds: &[&str]) {
        self.in_order(step, kinds);
        // A request may be shown anew before it is confirmed.
        for kind in kinds.iter().filter(|k| **k != "step.intended") {
            assert_eq!(self.count(step, kind), 1, "{kind} of {step}: {:?}", self.of_step(step));
        }
        assert_eq!(self.bodies(step, "step.finished")[0]["ended"], "done");
        let shown = self.bodies(step, "step.intended").last().unwrap()["digest"].clone();
        assert_eq!(self.bodies(step, "step.confirmed")[0]["digest"], shown, "what was shown is what ran");
    }

    /// Kinds of the records about a measure, in order.
    pub fn measure(&self, id: &str) -> Vec<&str> {
        self.0.iter().filter(|r| r["body"]["measure"] == id).map(Self::kind).collect()
    }

    /// Kind of the newest record.
    pub fn last_kind(&self) -> String {
        self.0.last().map(|r| Self::kind(r).to_owned()).unwrap_or_default()
    }

    /// The bodies of a step's records of a kind.
    pub fn bodies(&self, step: &str, kind: &str) -> Vec<&Value> {
        self.all(kind).into_iter().map(|r| &r["body"]).filter(|b| b["step"] == step).collect()
    }
}

/// Fails unless `audit verify` finds nothing wrong with the journal.
pub fn verify(home: &Path, journal: &Path) {
    let dir = journal.display().to_string();
    let key = journal.join("log.vkey").display().to_string();
    let (code, out, err) = run(home, &["audit", "verify", "--journal", &dir, "--vkey", &key, "--format", "json"]);
    assert_eq!(code, 0, "{out}{err}");
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["ok"], true, "{found}");
}
