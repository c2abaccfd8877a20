//! `audit prove`, `audit verify --proof` and `audit export`: what they write, what they refuse, and that nothing is
//! written to the journal.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod journal_support;
mod support;

use journal_support::{content, fast_dir, records, segments, write_log};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use support::run;
use tempfile::TempDir;

/// A log of 300 records, its verifier key kept elsewhere, and a place for what is made of it.
struct Case {
    log: TempDir,
    scratch: TempDir,
}

impl Case {
    fn new() -> Self {
        let (log, scratch) = (fast_dir(), fast_dir());
        let key = write_log(log.path(), &[9, 240, 50], 30_000);
        std::fs::write(scratch.path().join("vkey"), format!("{}\n", key.as_str())).unwrap();
        Self { log, scratch }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn name(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.at(name), bytes).unwrap();
        self.name(name)
    }

    /// Runs `audit WHAT … --journal DIR`.
    fn audit(&self, args: &[&str]) -> (i32, String, String) {
        let log = self.log.path().display().to_string();
        run(self.scratch.path(), &[&["audit"], args, &["--journal", &log]].concat())
    }

    /// Runs `audit verify --proof FILE …`.
    fn verify(&self, args: &[&str]) -> (i32, String, String) {
        run(self.scratch.path(), &[&["audit", "verify", "--proof"], args].concat())
    }
}

/// Every file below a directory with its content.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(dir).unwrap().to_owned(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn a_proof_is_verified_without_the_journal() {
    let case = Case::new();
    let before = files(case.log.path());
    let (proof, vkey) = (case.name("7.tlog-proof"), case.name("vkey"));
    let (code, out, err) = case.audit(&["prove", "7", "--output", &proof]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out, format!("record 7 of quarterdeck/test under the checkpoint over 300 records: {proof}\n"));
    assert_eq!(files(case.log.path()), before, "nothing is written there");
    // On standard output, and in JSON, it is the same.
    let (_, printed, _) = case.audit(&["prove", "7"]);
    let kept = std::fs::read_to_string(&proof).unwrap();
    assert_eq!(printed, kept);
    let (_, json, _) = case.audit(&["prove", "7", "--format", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["proof"].as_str().unwrap(), json["size"].as_u64()), (kept.as_str(), Some(300)));

    let stored = records(case.log.path());
    // With the newline that `audit show` prints, and without it.
    for bytes in [stored[7].bytes.clone(), [&stored[7].bytes[..], b"\n"].concat()] {
        let record = case.write("record", &bytes);
        let (code, out, err) = case.verify(&[&proof, "--record", &record, "--vkey", &vkey]);
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.starts_with("verified: record 7 of quarterdeck/test\nunder 300 records, root "), "{out}");
        assert!(out.contains("note.added by mara"), "{out}");
    }
    // The record may travel with it.
    let whole = case.name("whole");
    assert_eq!(case.audit(&["prove", "299", "--with-record", "--output", &whole]).0, 0);
    let (code, out, _) = case.verify(&[&whole, "--vkey", &vkey, "--format", "json"]);
    let out: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &out["ok"], &out["seq"]), (0, &Value::Bool(true), &299.into()));
    assert_eq!(out["record"].as_str().unwrap().as_bytes(), stored[299].bytes);
}

#[test]
fn what_proves_nothing_has_its_own_sentence_and_exit_code() {
    let case = Case::new();
    let (proof, vkey) = (case.name("proof"), case.name("vkey"));
    case.audit(&["prove", "7", "--output", &proof]);
    let stored = records(case.log.path());
    let (right, wrong) = (case.write("right", &stored[7].bytes), case.write("wrong", &stored[8].bytes));
    let said = |(code, out, err): (i32, String, String)| {
        assert_eq!(out, "");
        (code, err.trim_start_matches("quarterdeck: ").replace(&case.name(""), "").trim_end().to_owned())
    };
    let verify = |args: &[&str]| said(case.verify(args));
    assert_eq!(
        verify(&[&proof, "--record", &wrong, "--vkey", &vkey]),
        (
            3,
            "proof: it does not prove this record: the hashes do not lead from it to the root of the checkpoint".into()
        )
    );
    assert_eq!(
        verify(&[&proof, "--vkey", &vkey]),
        (2, "the proof does not carry its record: name a file with the record's exact bytes with --record".into())
    );
    // The key of another log, and none.
    let other = fast_dir();
    let other = case.write("other", write_log(other.path(), &[1], 30_000).as_str().as_bytes());
    let (code, why) = verify(&[&proof, "--record", &right, "--vkey", &other]);
    assert!(code == 3 && why.contains("its checkpoint can not be used: it is not signed by the key"), "{why}");
    let (code, why) = verify(&[&proof, "--record", &right, "--vkey", &wrong]);
    assert!(code == 2 && why.starts_with("wrong: it is no verifier key"), "{why}");
    let (code, why) = verify(&[&proof, "--record", &right]);
    assert!(code == 2 && why.contains("--vkey"), "{why}");
    let (code, why) = verify(&[&right, "--record", &right, "--vkey", &vkey]);
    assert!(code == 3 && why.starts_with("right: it is no tlog-proof"), "{why}");
    let (code, why) = verify(&["nowhere", "--record", &right, "--vkey", &vkey]);
    assert!(code == 2 && why.starts_with("nowhere can not be read"), "{why}");

    let prove = |args: &[&str]| said(case.audit(&[&["prove"], args].concat()));
    assert_eq!(
        prove(&["300"]),
        (2, "record 300 is not among the first 300 records, whose numbers begin with 0".into())
    );
    let (code, why) = prove(&["7", "--output", &proof]);
    assert!(code == 1 && why.starts_with("proof can not be written: File exists"), "{why}");
    let (code, why) = prove(&["-1"]);
    assert!(code == 2 && why.contains("-1"), "{why}");
    std::fs::remove_file(case.log.path().join("log.vkey")).unwrap();
    let (code, why) = prove(&["7"]);
    assert!(code == 1 && why.starts_with("no verifier key was given"), "{why}");
}

#[test]
fn of_a_changed_record_no_proof_comes() {
    let case = Case::new();
    let vkey = case.name("vkey");
    let path = &segments(case.log.path())[0];
    let edited = String::from_utf8(content(path)).unwrap().replacen("batch 0 note 3", "batch 0 note 4", 1);
    std::fs::write(path, edited).unwrap();
    let (code, out, err) = case.audit(&["prove", "4"]);
    assert!(code == 3 && out.is_empty() && err.contains("`audit verify` says where"), "{err}");
    let (code, out, err) = case.audit(&["export", &case.name("export"), "--vkey", &vkey]);
    assert!(code == 3 && out.is_empty() && err.contains("nothing is exported of a damaged journal: record"), "{err}");
    assert!(!case.at("export").exists());
}

#[test]
fn an_export_grows_heals_and_takes_no_foreign_place() {
    let case = Case::new();
    let before = files(case.log.path());
    let (dir, vkey) = (case.name("export"), case.name("vkey"));
    let export = || {
        let (code, out, err) = case.audit(&["export", &dir, "--vkey", &vkey, "--format", "json"]);
        assert_eq!((code, err.as_str()), (0, ""));
        serde_json::from_str::<Value>(&out).unwrap()
    };
    let first = export();
    assert_eq!((first["records"].as_u64(), first["unchanged"].as_u64()), (Some(300), Some(0)));
    assert_eq!(files(case.log.path()), before, "nothing is written there");
    let made = files(&case.at("export"));
    let names: Vec<String> = made.keys().map(|path| path.display().to_string()).collect();
    assert_eq!(
        names,
        [
            "checkpoint",
            "log.vkey",
            "tile/0/000",
            "tile/0/001.p/44",
            "tile/1/000.p/1",
            "tile/entries/000",
            "tile/entries/001.p/44"
        ]
    );
    // Again, and with a damaged tile.
    assert_eq!((export()["unchanged"].as_u64(), files(&case.at("export"))), (Some(7), made.clone()));
    std::fs::write(case.at("export/tile/0/000"), "x").unwrap();
    assert_eq!(export()["rebuilt"], serde_json::json!(["tile/0/000"]));
    assert_eq!(files(&case.at("export")), made);
    // With more records.
    write_log(case.log.path(), &[250], 30_000);
    let more = export();
    assert_eq!((more["records"].as_u64(), more["rebuilt"].as_array().unwrap().len()), (Some(551), 0));
    assert!(!case.at("export/tile/0/001.p").exists() && case.at("export/tile/0/002.p/39").exists());

    let refused = |dir: &str| {
        let (code, out, err) = case.audit(&["export", dir, "--vkey", &vkey]);
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        err
    };
    std::fs::create_dir(case.at("mine")).unwrap();
    case.write("mine/thesis.tex", b"three years");
    let why = refused(&case.name("mine"));
    assert!(why.contains("`thesis.tex` is there, which no export wrote; name a new or an empty directory"), "{why}");
    assert!(refused(&case.log.path().join("export").display().to_string()).contains("it lies in the journal itself"));
    assert!(refused(&vkey).contains("it is no directory"));
    let (other, theirs) = (fast_dir(), case.name("theirs"));
    let key = write_log(other.path(), &[3], 30_000);
    quarterdeck::journal::export(other.path(), Path::new(&theirs), &key).unwrap();
    assert!(refused(&theirs).contains("it holds a log with the key quarterdeck/test+"));
    let (code, _, err) = case.audit(&["export", &case.name("new"), "--vkey", &case.name("nowhere")]);
    assert!(code == 2 && err.contains("can not be read"), "{err}");
    assert!(!case.at("new").exists());
    // A journal that has lost records since is not written over the export that has them.
    let last = segments(case.log.path()).pop().unwrap();
    std::fs::remove_file(last).unwrap();
    let (code, _, err) = case.audit(&["export", &dir, "--vkey", &vkey]);
    assert!(code == 3 && err.contains("the log ends here, and the kept checkpoint covers 551 records"), "{err}");
    // Nor where its own checkpoint was cut with it.
    std::fs::remove_file(case.log.path().join("checkpoint")).unwrap();
    let why = refused(&dir);
    assert!(why.contains("it holds 551 records of this log, and the journal only"), "{why}");
}
