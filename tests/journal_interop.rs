//! The formats as other implementations read them: Go's `golang.org/x/mod/sumdb/{note,tlog}`, and `pymerkle` and
//! `rfc8785` from `PyPI`. Their versions stand in `tests/interop`. Where they can not be had the tests say SKIP, and
//! fail with `QUARTERDECK_LAB=require`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod journal_support;

use journal_support::*;
use quarterdeck::journal::tree::Hash;
use quarterdeck::journal::{Journal, OpenOptions, proof};
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

fn interop(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(folder)
}

/// Says that something is not here, which is a failure where everything must be.
fn missing(why: &str) {
    assert!(std::env::var("QUARTERDECK_LAB").as_deref() != Ok("require"), "QUARTERDECK_LAB=require, but {why}");
    println!("SKIP: {why}");
}

/// The Go program, built once, where there is Go and its modules can be had.
static GO: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("journal-go-{}", std::process::id()));
    let built =
        Command::new("go").args(["build", "-o"]).arg(&binary).arg(".").current_dir(interop("journal_go")).output();
    match built {
        Err(e) => missing(&format!("there is no Go here ({e})")),
        Ok(output) if !output.status.success() => {
            missing(&format!("the Go program could not be built: {}", String::from_utf8_lossy(&output.stderr)));
        }
        Ok(_) => return Some(binary),
    }
    None
});

/// Runs the Go program: whether it is content, and what it says.
fn go(program: &Path, args: &[&str]) -> (bool, String) {
    let output = Command::new(program).args(args).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

/// A folder with the Python packages, installed once for each list of them.
fn python() -> Option<PathBuf> {
    let list = interop("journal_python/requirements.txt");
    let name =
        std::fs::read_to_string(&list).unwrap().replace("==", "-").split_whitespace().collect::<Vec<_>>().join("_");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    let part = folder.with_extension(std::process::id().to_string());
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]).arg(&part).arg("-r");
    match pip.arg(&list).output() {
        Err(e) => missing(&format!("there is no Python here ({e})")),
        Ok(output) if !output.status.success() => {
            missing(&format!("the Python packages can not be had: {}", String::from_utf8_lossy(&output.stderr)));
        }
        Ok(_) => {
            // Another run may have been quicker.
            let _ = std::fs::rename(&part, &folder);
            return Some(folder);
        }
    }
    None
}

/// A log with every kind of character, in batches of one to five.
fn log(dir: &Path, batches: usize) -> Journal {
    let (journal, _) = Journal::open(OpenOptions { segment_bytes: 4_000, ..options(dir) }).unwrap();
    for b in 0..batches {
        let drafts = (0..=b % 5).map(|n| note(format!("{b}/{n} <&> \"\\ \u{1f}\u{2028} żółć 😀"))).collect();
        journal.append_blocking(drafts).unwrap();
    }
    journal
}

fn base64(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(ToString::to_string).collect()
}

#[test]
fn go_opens_every_note_finds_every_root_and_proves_every_record() {
    let Some(program) = &*GO else { return };
    let dir = tempfile::tempdir().unwrap();
    let journal = log(dir.path(), 30);
    let run = |vkey: &str| go(program, &["log", &dir.path().display().to_string(), vkey]);
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

#[test]
fn go_accepts_our_proofs_and_refuses_them_for_anything_else() {
    let Some(program) = &*GO else { return };
    let (dir, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let journal = log(dir.path(), 20);
    let vkey = journal.verifier().clone();
    let earlier = assert_verified(dir.path(), &vkey);
    drop(journal);
    drop(log(dir.path(), 40));
    let later = assert_verified(dir.path(), &vkey);
    let write = |name: &str, bytes: &[u8]| {
        let path = scratch.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let records = records(dir.path());
    for (seq, stored) in (0..).zip(&records) {
        let (bundle, proved) = proof::prove(dir.path(), seq, &vkey).unwrap();
        assert_eq!(&proved, stored);
        let (proof, record) = (write("proof", bundle.to_string().as_bytes()), write("record", &stored.bytes));
        let expected = format!("record {seq} of {}\n", later.records);
        assert_eq!(go(program, &["proof", &proof, &record, vkey.as_str()]), (true, expected));
    }
    let (bundle, _) = proof::prove(dir.path(), 7, &vkey).unwrap();
    let (proof, other) = (write("proof", bundle.to_string().as_bytes()), write("record", &records[8].bytes));
    assert!(!go(program, &["proof", &proof, &other, vkey.as_str()]).0, "another record");

    let (old, new) = (write("old", earlier.checkpoint.as_bytes()), write("new", later.checkpoint.as_bytes()));
    let hashes = base64(&proof::consistency(dir.path(), earlier.records, later.records).unwrap());
    let expected = format!("{} continues {}\n", later.records, earlier.records);
    assert_eq!(go(program, &["tree", &old, &new, &hashes.join(","), vkey.as_str()]), (true, expected));
    assert!(!go(program, &["tree", &old, &new, &hashes[1..].join(","), vkey.as_str()]).0, "a hash short");
}

#[test]
fn go_reads_an_export_from_a_static_file_server() {
    let Some(program) = &*GO else { return };
    let (dir, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let vkey = write_log(dir.path(), &[1, 250, 4, 1, 300, 50, 170], 40_000);
    let export = scratch.path().join("export");
    let exported = quarterdeck::journal::export(dir.path(), &export, &vkey).unwrap();
    let served = |dir: &Path| go(program, &["served", &dir.display().to_string(), vkey.as_str()]);
    let expected = format!("{} records, root {}\n", exported.records, exported.root);
    assert_eq!((exported.records, served(&export)), (777, (true, expected.clone())));
    // What lies beside the records is the same.
    assert_eq!(served(dir.path()), (true, expected));
    let tile = export.join("tile/0/001");
    let mut bytes = std::fs::read(&tile).unwrap();
    bytes[77] ^= 1;
    std::fs::write(&tile, bytes).unwrap();
    let (ok, why) = served(&export);
    assert!(!ok && why.contains("inconsistent tile"), "{why}");
}

#[test]
fn python_finds_the_same_bytes_roots_and_proofs() {
    let Some(packages) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    drop(log(dir.path(), 30));
    let size = records(dir.path()).len() as u64;
    let inclusion = |(seq, size)| (seq, size, base64(&proof::inclusion(dir.path(), seq, size).unwrap()));
    let pairs = (1..=size).flat_map(|size| (0..size).step_by(5).map(move |seq| (seq, size)));
    let proofs = json!(pairs.map(inclusion).collect::<Vec<_>>());
    let run = |proofs: &serde_json::Value| {
        let mut python = Command::new("python3");
        python.arg(interop("journal_python/check.py")).arg(dir.path()).env("PYTHONPATH", &packages);
        python.env("PYTHONDONTWRITEBYTECODE", "1");
        let mut child = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(proofs.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let commits = assert_verified(dir.path(), &quarterdeck::journal::verify::own_key(dir.path()).unwrap()).signatures;
    let expected = format!("{size} records, {commits} commits, {} proofs\n", proofs.as_array().unwrap().len());
    assert_eq!(run(&proofs), (true, expected));
    let mut wrong = proofs;
    wrong[40][2][0] = wrong[41][2][1].clone();
    let why = format!("refused: record {} in {}\n", wrong[40][0], wrong[40][1]);
    assert_eq!(run(&wrong), (false, why));
}
