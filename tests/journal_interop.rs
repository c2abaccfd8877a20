//! The formats as another implementation reads them: Go's `golang.org/x/mod/sumdb/{note,tlog}`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod journal_support;

use journal_support::*;
use quarterdeck::journal::{Journal, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the Go program, where there is Go and its modules can be had.
fn build(into: &Path) -> Option<PathBuf> {
    let binary = into.join("journal");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/journal_go");
    let built = Command::new("go").args(["build", "-o"]).arg(&binary).arg(".").current_dir(source).output();
    match built {
        Err(e) => println!("skipped: there is no Go here ({e})"),
        Ok(output) if !output.status.success() => {
            println!("skipped: the Go program could not be built: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(_) => return Some(binary),
    }
    None
}

#[test]
fn go_opens_every_note_finds_every_root_and_proves_every_record() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(program) = build(scratch.path()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(OpenOptions { segment_bytes: 4_000, ..options(dir.path()) }).unwrap();
    for b in 0..30 {
        let drafts = (0..=b % 5).map(|n| note(format!("{b}/{n} <&> \"\\ \u{1f}\u{2028} żółć 😀"))).collect();
        journal.append_blocking(drafts).unwrap();
    }
    let run = |vkey: &str| {
        let output = Command::new(&program).arg(dir.path()).arg(vkey).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let report = assert_verified(dir.path(), journal.verifier());
    let expected = format!("{} records, {} commits, root {}\n", report.records, report.signatures, report.root);
    assert_eq!(run(journal.verifier().as_str()), (true, expected));

    // It would notice: another key, and another record.
    let other = tempfile::tempdir().unwrap();
    let (ok, why) = run(open(other.path()).0.verifier().as_str());
    assert!(!ok && why.contains("no verifiable signatures"), "{why}");
    let vkey = journal.verifier().as_str().to_owned();
    drop(journal);
    let path = &segments(dir.path())[1];
    let edited = String::from_utf8(content(path)).unwrap().replacen("żółć", "żołć", 1);
    std::fs::write(path, edited).unwrap();
    let (ok, why) = run(&vkey);
    assert!(!ok && why.contains("has the root"), "{why}");
}
