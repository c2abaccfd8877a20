//! A Go witness to work with, and a log that follows it.

use super::journal_support::*;
use quarterdeck::attest::witness::{OnDisk, Pace, Settings, Witness, Witnesses, start};
use quarterdeck::journal::Journal;
use quarterdeck::journal::cosignature;
use quarterdeck::journal::key::VerifierKey;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Longer than anything here takes on a loaded machine.
pub const LONG: Duration = Duration::from_secs(30);

pub fn skip(reason: &str) {
    assert!(std::env::var("QUARTERDECK_LAB").as_deref() != Ok("require"), "the witness tests need Go: {reason}");
    eprintln!("SKIP witness: {reason}");
}

/// The Go program, built once and kept under `target`; nothing where there is no Go or its modules can not be had.
pub fn program() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let build = || {
        let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join("witness_go");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/witness_go");
        match Command::new("go").args(["build", "-o"]).arg(&binary).arg(".").current_dir(source).output() {
            Err(e) => skip(&e.to_string()),
            Ok(output) if !output.status.success() => skip(&String::from_utf8_lossy(&output.stderr)),
            Ok(_) => return Some(binary),
        }
        None
    };
    BUILT.get_or_init(build).as_deref()
}

/// A running witness; it ends with this value, its state stays.
pub struct Served {
    pub child: Child,
    pub witness: Witness,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a witness of this name and algorithm, whose state and key lie in a directory.
pub fn serve(state: &Path, name: &str, algorithm: &str, log: &VerifierKey) -> Option<Served> {
    let mut child = Command::new(program()?)
        .arg(state.join(format!("{name}.state")))
        .arg(state.join(format!("{name}.key")))
        .args([algorithm, &format!("witness.example/{name}"), log.as_str()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: serde_json::Value = serde_json::from_str(&line).expect("the witness says where it is");
    let key = said["vkey"].as_str().unwrap().parse().unwrap();
    let (name, url) = (name.to_owned(), said["url"].as_str().unwrap().to_owned());
    Some(Served { child, witness: Witness { administrator: name.clone(), name, url, key, ca: None } })
}

pub fn settings(dir: &Path, witnesses: &[&Served], quorum: u32) -> Settings {
    Settings {
        witnesses: witnesses.iter().map(|s| s.witness.clone()).collect(),
        quorum,
        max_uncosigned_age: Duration::from_mins(10),
        dir: dir.to_owned(),
        pace: Pace {
            interval: Duration::from_millis(20),
            timeout: LONG,
            first_wait: Duration::from_millis(20),
            longest_wait: Duration::from_millis(100),
        },
    }
}

pub fn follow(journal: &Journal, settings: Settings) -> Witnesses {
    let log = Arc::new(OnDisk::new(journal.dir().to_owned(), journal.verifier().clone()));
    start(settings, log, journal.verifier().clone(), journal.watch()).unwrap()
}

/// Appends some records and answers the size then.
pub async fn grow(journal: &Journal, count: usize) -> u64 {
    journal.append((0..count).map(note).collect()).await.unwrap();
    journal.status().size
}

pub fn cosigned(dir: &Path, key: &VerifierKey, witnesses: &[&Served]) -> cosignature::Cosigned {
    let note = std::fs::read_to_string(dir.join("cosigned")).unwrap();
    let keys: Vec<_> = witnesses.iter().map(|s| s.witness.key.clone()).collect();
    cosignature::open(&note, key, &keys).unwrap()
}

/// A witness whose address nobody listens on.
pub fn down(state: &tempfile::TempDir, journal: &Journal) -> Served {
    let mut served = serve(state.path(), "down", "ed25519", journal.verifier()).unwrap();
    served.child.kill().unwrap();
    served.child.wait().unwrap();
    served
}
