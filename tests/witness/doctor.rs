//! `doctor` asks each witness.

use super::journal_support::*;
use super::support::*;
use quarterdeck::journal::{Journal, OpenOptions};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// What `doctor` says of the witnesses of an estate, by name.
fn doctor(home: &Path, journal: &Path, witnesses: &[&Served]) -> Vec<Value> {
    let mut text = format!(
        "[estate]\nname = \"lab\"\nenvironment = \"staging\"\n[journal]\ndir = \"{}\"\nwitness_quorum = 1\n",
        journal.display()
    );
    for Served { witness, .. } in witnesses {
        text.push_str(&format!(
            "[[journal.witness]]\nname = \"{}\"\nurl = \"{}\"\nvkey = \"{}\"\nadministrator = \"us\"\n",
            witness.name,
            witness.url,
            witness.key.as_str()
        ));
    }
    let config = home.join("c.toml");
    std::fs::write(&config, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_quarterdeck"))
        .args(["--format", "json", "--config"])
        .arg(&config)
        .arg("doctor")
        .env("HOME", home)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).expect("doctor answers");
    said["systems"].as_array().unwrap().iter().filter(|s| s["kind"] == "witness").cloned().collect()
}

#[test]
fn doctor_says_of_each_witness_whether_it_answers_knows_the_log_and_signs() {
    let (dir, state, home, copied) = (fast_dir(), fast_dir(), fast_dir(), fast_dir());
    let (journal, _) = Journal::open(OpenOptions { origin: "quarterdeck/lab".into(), ..options(dir.path()) }).unwrap();
    let Some(a) = serve(state.path(), "a", "mldsa", journal.verifier()) else { return };
    let gone = down(&state, &journal);
    // Configured with the key of another witness.
    let mut mixed = serve(state.path(), "mixed", "ed25519", journal.verifier()).unwrap();
    mixed.witness.key = serve(state.path(), "other", "ed25519", journal.verifier()).unwrap().witness.key.clone();
    copy(dir.path(), copied.path());
    journal.append_blocking((0..20).map(note).collect()).unwrap();
    let size = journal.status().size;
    let said = doctor(home.path(), dir.path(), &[&a, &gone, &mixed]);
    let healths: Vec<_> = said.iter().map(|s| (s["id"].as_str().unwrap(), s["health"].as_str().unwrap())).collect();
    assert_eq!(healths, [("a", "ok"), ("down", "unknown"), ("mixed", "warn")]);
    assert_eq!(said[0]["version"], "ML-DSA-44, us");
    let why = said[0]["why"].as_str().unwrap();
    assert!(why.starts_with(&format!("its key matches and has cosigned {size} records; its clock is ")), "{why}");
    assert!(said[1]["why"].as_str().unwrap().starts_with("the witness can not be reached: "), "{}", said[1]);
    let why = said[2]["why"].as_str().unwrap();
    assert!(
        why.starts_with("the witness answered without a signature by its configured key witness.example/other+"),
        "{why}"
    );
    // On an older copy it is told that the log was rolled back.
    let said = doctor(home.path(), copied.path(), &[&a]);
    assert_eq!(said[0]["health"], "critical");
    assert!(said[0]["why"].as_str().unwrap().contains("it was rolled back"), "{}", said[0]);
}
