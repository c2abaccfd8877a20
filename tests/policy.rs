//! `policy …` and `request …` from the command line: errors with their places, why a step has its risk.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use serde_json::Value;
use support::run;

#[test]
fn the_shipped_policy_checks_and_says_that_nobody_is_in_it() {
    let home = tempfile::tempdir().unwrap();
    let (code, out, err) = run(home.path(), &["policy", "check"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("built-in: 0 people") && out.contains("only breaking the glass"), "{out}");
    let (code, out, _) = run(home.path(), &["policy", "show"]);
    assert_eq!(code, 0);
    // What is shown can be kept and changed.
    std::fs::write(home.path().join("own.toml"), &out).unwrap();
    let (code, out, err) = run(home.path(), &["policy", "check", "own.toml", "--format", "json"]);
    assert_eq!(code, 0, "{err}");
    let checked: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((checked["origin"].as_str(), checked["people"].as_u64()), (Some("own.toml"), Some(0)));
}

#[test]
fn errors_have_their_places_and_exit_2() {
    let home = tempfile::tempdir().unwrap();
    let bad = "[[person]]\nname = \"ines\"\nuser = \"ines\"\nroles = [\"boss\"]\n\n[approvals.high]\nquorum = 3\n";
    std::fs::write(home.path().join("bad.toml"), bad).unwrap();
    let (code, _, err) = run(home.path(), &["policy", "check", "bad.toml"]);
    assert_eq!(code, 2);
    assert!(err.contains("bad.toml:4:9: `boss` is no role"), "{err}");
    assert!(err.contains("bad.toml:7:10: 3 approvals are asked for, and 1"), "{err}");
    let (code, _, err) = run(home.path(), &["policy", "check", "missing.toml"]);
    assert_eq!(code, 2, "{err}");
    std::fs::write(home.path().join("revokes.toml"), "revoked = \"left.keys\"\n").unwrap();
    std::fs::write(home.path().join("left.keys"), "# nobody\nnonsense\n").unwrap();
    let (code, _, err) = run(home.path(), &["policy", "check", "revokes.toml"]);
    assert_eq!(code, 2);
    assert!(err.contains("left.keys:2:1: this is no public key"), "{err}");
}

#[test]
fn explain_says_why_a_step_has_its_risk() {
    let home = tempfile::tempdir().unwrap();
    let step = ["--drill", "policy", "explain", "schema-lock/terminate-root", "--param", "tenant=t017"];
    let (code, out, err) = run(home.path(), &[&step[..], &["--format", "json"]].concat());
    assert_eq!(code, 0, "{err}");
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((said["step"].as_str(), said["policy"].as_str()), (Some("terminate-root"), Some("built-in")));
    assert_eq!(said["risk"], "high");
    let (code, out, err) = run(home.path(), &step);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("schema-lock/terminate-root: high risk"), "{out}");
    for (step, says) in [("schema-lock", "PLAYBOOK/STEP"), ("schema-lock/nothing", "it has"), ("x/y", "no playbook")] {
        let (code, _, err) = run(home.path(), &["--drill", "policy", "explain", step]);
        assert_eq!(code, 2, "{err}");
        assert!(err.contains(says), "{err}");
    }
}

#[test]
fn without_an_engine_nothing_waits_and_a_drill_asks_nobody() {
    let home = tempfile::tempdir().unwrap();
    let (code, _, err) = run(home.path(), &["--drill", "request", "list"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("simulated"), "{err}");
}
