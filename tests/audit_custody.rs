//! `audit verify` against what is kept elsewhere: copies of checkpoints, and the witnesses of the configuration.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod journal_support;
mod support;

use journal_support::{ORIGIN, copy, fast_dir, note, open, options};
use quarterdeck::journal::checkpoint::Checkpoint;
use quarterdeck::journal::key::{LogKey, VerifierKey};
use quarterdeck::journal::{Journal, JournalError};
use serde_json::Value;
use std::path::{Path, PathBuf};
use support::run;

struct Case {
    home: tempfile::TempDir,
    log: PathBuf,
    key: VerifierKey,
}

impl Case {
    /// A log of some batches, of whose checkpoints `sizes` are kept in `copies/checkpoint`.
    fn new() -> Self {
        let home = fast_dir();
        let log = home.path().join("log");
        let (journal, _) = open(&log);
        std::fs::create_dir_all(home.path().join("copies/checkpoint")).unwrap();
        for n in 0..6 {
            let size = journal.append_blocking((0..=n).map(note).collect()).unwrap().last().unwrap().seq + 1;
            let checkpoint = quarterdeck::journal::read::find(&log, size - 1).unwrap().unwrap().checkpoint;
            std::fs::write(home.path().join(format!("copies/checkpoint/{size:020}")), checkpoint).unwrap();
        }
        let key = journal.verifier().clone();
        std::fs::write(home.path().join("vkey"), key.as_str()).unwrap();
        Self { home, log, key }
    }

    fn verify(&self, args: &[&str]) -> (i32, Value, String) {
        let log = self.log.display().to_string();
        let common = ["--format", "json", "audit", "verify", "--journal", &log, "--vkey", "vkey"];
        let (code, out, err) = run(self.home.path(), &[&common, args].concat());
        (code, serde_json::from_str(&out).unwrap_or_default(), err)
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.home.path().join("copies/checkpoint").join(name), text).unwrap();
    }

    fn secret(&self) -> LogKey {
        LogKey::parse(&std::fs::read_to_string(self.log.join("log.key")).unwrap()).unwrap()
    }
}

#[test]
fn copies_of_checkpoints_say_how_far_a_log_is_anchored() {
    let case = Case::new();
    let (code, report, _) = case.verify(&[]);
    assert_eq!(
        (code, &report["custody"]["anchored"], &report["custody"]["durable"]),
        (0, &Value::Null, &report["records"])
    );
    let (code, report, err) = case.verify(&["--anchor", "copies"]);
    let anchored = &report["custody"]["anchored"];
    let said = (code, report["verdict"].as_str(), anchored["covered"].as_u64(), anchored["copies"].as_u64());
    assert_eq!(said, (0, Some("verified"), report["records"].as_u64(), Some(6)), "{err}");
    let log = case.log.display().to_string();
    let text = ["audit", "verify", "--journal", &log, "--vkey", "vkey", "--anchor", "copies"];
    let (_, out, _) = run(case.home.path(), &text);
    assert!(out.contains("; anchored up to 22 records in copies; durable up to 22 records"), "{out}");
    assert!(out.contains("6 of 6 copies are not under object lock"), "{out}");

    // None at all.
    std::fs::create_dir_all(case.home.path().join("none/checkpoint")).unwrap();
    let (code, report, _) = case.verify(&["--anchor", "none"]);
    assert_eq!((code, report["verdict"].as_str(), report["ok"].as_bool()), (3, Some("not anchored"), Some(false)));
    // A copy by a key that the log never had.
    let stranger = LogKey::generate(ORIGIN).unwrap();
    let root = quarterdeck::journal::tree::record_hash(b"x");
    let note = Checkpoint { origin: ORIGIN.into(), size: 9, root }.sign(&stranger).unwrap();
    case.put(&format!("{:020}", 9), &note);
    let (code, report, _) = case.verify(&["--anchor", "copies"]);
    assert_eq!((code, report["verdict"].as_str()), (3, Some("not anchored")));
    assert_eq!(report["custody"]["anchored"]["strangers"][0], format!("checkpoint/{:020}", 9));
    // Something else there does not count; another root under the log's own key is where they part.
    std::fs::remove_file(case.home.path().join(format!("copies/checkpoint/{:020}", 9))).unwrap();
    case.put("README", "hello");
    let note = Checkpoint { origin: ORIGIN.into(), size: 9, root }.sign(&case.secret()).unwrap();
    case.put(&format!("{:020}", 9), &note);
    let (code, report, _) = case.verify(&["--anchor", "copies"]);
    let bad = &report["first_bad"];
    assert_eq!((code, report["verdict"].as_str()), (3, Some("damaged")), "{report}");
    assert_eq!((bad["seq"].as_u64(), bad["through"].as_u64()), (Some(7), Some(8)), "{bad}");
    assert!(bad["why"].as_str().unwrap().contains("rewritten there by a holder of its key"), "{bad}");
}

/// Opens a log that was open a moment ago. A child that another test begins may hold its lock until it is itself.
fn reopen(log: &Path) -> Journal {
    loop {
        match Journal::open(options(log)) {
            Err(JournalError::Locked { .. }) => std::thread::yield_now(),
            opened => return opened.unwrap().0,
        }
    }
}

#[test]
fn a_log_that_was_cut_is_shorter_than_its_copies() {
    let case = Case::new();
    let kept = fast_dir();
    copy(&case.log, kept.path());
    let grown = reopen(&case.log);
    let last = grown.append_blocking(vec![note("later")]).unwrap()[0].seq;
    let checkpoint = quarterdeck::journal::read::find(&case.log, last).unwrap().unwrap().checkpoint;
    case.put(&format!("{:020}", last + 1), &checkpoint);
    drop(grown);
    std::fs::remove_dir_all(&case.log).unwrap();
    std::fs::rename(kept.path(), &case.log).unwrap();
    let (code, report, _) = case.verify(&["--anchor", "copies"]);
    assert_eq!((code, report["verdict"].as_str()), (3, Some("damaged")));
    let why = report["first_bad"]["why"].as_str().unwrap();
    assert!(why.contains("the log ends with 22 records") && why.contains("it was cut or rolled back"), "{why}");
}

#[test]
fn what_is_asked_wrongly_has_its_sentence() {
    let case = Case::new();
    let keys = case.home.path().join("keys");
    std::fs::write(&keys, "# ours\n\nnonsense\n").unwrap();
    std::fs::write(case.home.path().join("empty"), "# nobody\n").unwrap();
    for (args, expected) in [
        (&["--anchor", "nowhere"][..], "--anchor nowhere has no folder `checkpoint`"),
        (&["--anchor"], "no configuration"),
        (&["--quorum", "1"], "--quorum needs the keys of witnesses"),
        (&["--witness-keys", "keys"], "keys:3: "),
        (&["--witness-keys", "empty"], "empty: no key of a witness is in it"),
    ] {
        let (code, _, err) = case.verify(args);
        assert!(code == 2 && err.contains(expected), "{args:?}: {code} {err}");
    }
    let _ = case.key;
}

/// The configuration of an estate whose journal is the case's, with witnesses of the vectors.
fn configured(case: &Case, quorum: u32) -> String {
    let vectors = include_str!("../src/journal/cosignature/vectors/go.vkeys");
    let (log, key) = (case.log.display(), case.key.as_str());
    let mut text = format!(
        "[estate]\nname = \"test\"\nenvironment = \"staging\"\n[journal]\ndir = \"{log}\"\nvkey = \"{key}\"\n\
         witness_quorum = {quorum}\n"
    );
    for (n, vkey) in vectors.lines().skip(1).take(2).enumerate() {
        text.push_str(&format!(
            "[[journal.witness]]\nname = \"w{n}\"\nurl = \"https://w{n}.example\"\nvkey = \"{vkey}\"\nadministrator = \"a{n}\"\n"
        ));
    }
    text
}

#[test]
fn the_witnesses_of_the_configuration_are_asked_about_by_default() {
    let case = Case::new();
    for (quorum, code, verdict) in [(0, 0, "verified"), (1, 3, "not witnessed")] {
        std::fs::write(case.home.path().join("c.toml"), configured(&case, quorum)).unwrap();
        let args = ["--config", "c.toml", "--format", "json", "audit", "verify"];
        let (found, out, err) = run(case.home.path(), &args);
        let report: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{err}"));
        assert_eq!((found, report["verdict"].as_str()), (code, Some(verdict)), "{out} {err}");
        assert_eq!((&report["custody"]["asked"], &report["custody"]["witnessed"]), (&2.into(), &Value::Null));
        let (_, out, _) = run(case.home.path(), &["--config", "c.toml", "audit", "verify"]);
        assert!(out.contains("; not witnessed: of 2 witnesses none has signed for it"), "{out}");
    }
    assert!(Path::new(&case.log).exists());
}
