//! `audit open`, and what `audit verify` notes of openings: as they are typed, on a journal whose records commit to a
//! secret that stands nowhere in it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod journal_support;
mod support;

use age::secrecy::ExposeSecret as _;
use journal_support::{draft, fast_dir, note, open};
use quarterdeck::journal::Kind;
use quarterdeck::journal::commitment::{Commitment, Recipients, commit};
use quarterdeck::journal::key::VerifierKey;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use support::run;

const SECRET: &str = "hunter2 of the kraken";

struct Case {
    home: tempfile::TempDir,
    log: PathBuf,
    key: VerifierKey,
    first: Commitment,
    second: Commitment,
}

impl Case {
    /// A log in which record 2 commits to two values; the identity of a recipient, and one of nobody.
    fn new() -> Self {
        let home = fast_dir();
        let (mine, other) = (age::x25519::Identity::generate(), age::x25519::Identity::generate());
        for (name, identity) in [("mine", &mine), ("other", &other)] {
            let text = format!("# created by a test\n{}\n", identity.to_string().expose_secret());
            std::fs::write(home.path().join(name), text).unwrap();
        }
        let recipients = Recipients::parse(&[mine.to_public().to_string()]).unwrap();
        let log = home.path().join("log");
        let (journal, _) = open(&log);
        let (first, one) = commit(SECRET, &recipients).unwrap();
        let (second, two) = commit("second", &recipients).unwrap();
        for sealed in [&one, &two] {
            sealed.keep(&log).unwrap();
        }
        let body = json!({ "run": "R", "parameters": { "password": one.reference(), "pin": two.reference() } });
        journal.append_blocking(vec![note("before"), draft(Kind::RunStarted, body)]).unwrap();
        let key = journal.verifier().clone();
        std::fs::write(home.path().join("vkey"), key.as_str()).unwrap();
        Self { home, log, key, first, second }
    }

    fn go(&self, args: &[&str]) -> (i32, String, String) {
        let log = self.log.display().to_string();
        let mut all = vec!["audit"];
        all.extend(args);
        all.extend(["--journal", &log]);
        run(self.home.path(), &all)
    }

    fn file(&self, commitment: &Commitment) -> PathBuf {
        self.log.join("openings").join(format!("{}.age", commitment.digits()))
    }
}

fn holds(path: &Path, needle: &str) -> bool {
    if path.is_dir() {
        return std::fs::read_dir(path).unwrap().any(|e| holds(&e.unwrap().path(), needle));
    }
    String::from_utf8_lossy(&std::fs::read(path).unwrap()).contains(needle)
}

#[test]
fn what_a_record_commits_to_is_opened_by_whoever_has_the_key() {
    let case = Case::new();
    assert!(!holds(&case.log, "hunter2") && !holds(&case.log, "kraken"), "the secret lies in the state directory");
    let (code, out, err) = case.go(&["open", "2", "--identity", "mine"]);
    let expected = format!("{}  {SECRET}\n{}  second\n", case.first, case.second);
    assert_eq!((code, out, err), (0, expected, String::new()));
    let (code, out, _) = case.go(&["open", &case.second.to_string(), "--identity", "mine", "--format", "json"]);
    let opened: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, opened[0]["value"].as_str(), opened[0]["record"].is_null()), (0, Some("second"), true));

    let elsewhere = format!("sha256:{}", "0".repeat(64));
    for (args, expected) in [
        (["2", "other"], (2, "is not sealed to this identity")),
        (["1", "mine"], (2, "record 1 (note.added) commits to no secret value")),
        (["9", "mine"], (2, "there is no record 9 in")),
        (["sha256:xyz", "mine"], (2, "`sha256:xyz` is neither the number of a record nor a commitment")),
        ([&elsewhere, "mine"], (1, "is not there: it was deleted, or is not in this copy")),
        (["2", "vkey"], (2, "vkey:1: this is no identity of age")),
        (["2", "nowhere"], (2, "nowhere")),
    ] {
        let (code, out, err) = case.go(&["open", args[0], "--identity", args[1]]);
        assert!(code == expected.0 && out.is_empty() && err.contains(expected.1), "{args:?}: {code} {out} {err}");
        assert!(!err.contains("hunter2"));
    }
    // The opening of another value under its name, and damage.
    std::fs::copy(case.file(&case.second), case.file(&case.first)).unwrap();
    let (code, _, err) = case.go(&["open", "2", "--identity", "mine"]);
    assert!(code == 3 && err.contains("what is sealed is the opening of"), "{code} {err}");
    let mut bytes = std::fs::read(case.file(&case.second)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(case.file(&case.second), bytes).unwrap();
    let (code, _, err) = case.go(&["open", &case.second.to_string(), "--identity", "mine"]);
    assert!(code == 3 && err.contains(&format!("the opening of {} is damaged", case.second)), "{code} {err}");
}

#[test]
fn verification_notes_missing_and_damaged_openings_and_stays_true() {
    let case = Case::new();
    let verify = || {
        let (code, out, err) = case.go(&["verify", "--vkey", "vkey", "--format", "json"]);
        assert_eq!(code, 0, "{out} {err}");
        serde_json::from_str::<Value>(&out).unwrap()["openings"].clone()
    };
    assert_eq!(verify(), json!({ "kept": 2, "notes": [] }));
    std::fs::remove_file(case.file(&case.first)).unwrap();
    let mut bytes = std::fs::read(case.file(&case.second)).unwrap();
    bytes.push(b'x');
    std::fs::write(case.file(&case.second), bytes).unwrap();
    let noted = |commitment: &Commitment, trouble| json!({ "record": 2, "commitment": commitment, "trouble": trouble });
    let expected = json!({ "kept": 0, "notes": [noted(&case.first, "missing"), noted(&case.second, "damaged")] });
    assert_eq!(verify(), expected);
    let (_, out, _) = case.go(&["verify", "--vkey", "vkey"]);
    assert!(out.contains("openings of secret values: 0 are there"), "{out}");
    assert!(out.contains(&format!("note: the opening of {} (record 2) is missing", case.first)), "{out}");
    assert!(out.contains("(record 2) has other bytes than its record says"), "{out}");
    assert!(
        quarterdeck::journal::verify::verify(&case.log, &quarterdeck::journal::verify::Options::against(&case.key))
            .unwrap()
            .ok
    );
}
