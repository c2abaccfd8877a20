//! A drill that is served: the crew asks for hints, the facilitator steers over the socket, every act is a record; and a
//! drill opens no socket but its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "support/engine.rs"]
mod engine;
mod support;

use engine::Served;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

fn facilitate(home: &Path, socket: &str, act: &[&str]) -> (i32, String, String) {
    support::run(home, &[&["drill", "facilitate", "--socket", socket], act].concat())
}

#[test]
fn the_facilitator_steers_a_served_drill_and_each_act_is_recorded() {
    let home = tempfile::tempdir().unwrap();
    let served = Served::start(home.path(), &["--drill=schema-lock"]);
    let socket = served.socket.display().to_string();
    let steer = |act: &[&str]| facilitate(home.path(), &socket, act);
    assert_eq!(steer(&["pause"]).0, 0);
    let (code, plan, err) = steer(&["plan"]);
    assert_eq!(code, 0, "{err}");
    assert!(plan.contains("brandt-calls  waits for signals.t017"), "{plan}");
    assert!(plan.contains("The root is idle in its transaction"), "the facilitator's notes are shown: {plan}");
    for (act, code, said) in [
        (&["fire", "brandt-calls"][..], 0, "fire brandt-calls"),
        (&["fire", "brandt-calls"], 1, "has come already"),
        (&["fire", "nothing"], 1, "there is no inject `nothing`; there are replica-silent"),
        (&["skip", "pager"], 0, "skip pager"),
        (&["delay", "brandt-again", "5m"], 0, "delay brandt-again by 300 s"),
        (&["tell", "the", "coffee", "is", "ready"], 0, "tell the coffee is ready"),
        (&["note", "they", "are", "calm"], 0, "noted"),
        (&["override", "declared", "21", "that was very quick"], 1, "more than the 20"),
        (&["override", "declared", "9", "short"], 1, "at least 10 characters"),
        (&["override", "declared", "9", "the title said nothing"], 0, "declared is worth 9 points now"),
        (&["override", "guessed", "9", "the title said nothing"], 1, "there is no expectation `guessed`"),
        (&["speed", "2"], 0, "speed 2x"),
        (&["start"], 0, "start at 4x"),
    ] {
        let (found, out, err) = steer(act);
        assert!(found == code && format!("{out}{err}").contains(said), "{act:?}: {found} {out}{err}");
    }
    let (code, _, err) = support::run(home.path(), &["drill", "hint", "--socket", &socket]);
    assert!(code == 1 && err.contains("hint"), "there is none so early: {code} {err}");
    let dir = served.socket.parent().unwrap().to_path_buf();
    served.ends();
    let records = support::records(home.path(), &dir);
    let acts: Vec<&str> =
        records.iter().filter(|r| r["kind"] == "exercise.steered").filter_map(|r| r["body"]["act"].as_str()).collect();
    assert_eq!(acts, ["pause", "fire", "skip", "delay", "tell", "note", "speed", "start"]);
    assert!(records.iter().all(|r| r["mode"] == "drill"));
    let steered = records.iter().find(|r| r["kind"] == "exercise.steered").unwrap();
    assert_eq!(steered["actor"]["user"], "mara");
    let fired: Vec<&Value> = records.iter().filter(|r| r["kind"] == "inject.fired").collect();
    assert!(fired.iter().any(|r| r["body"]["inject"] == "brandt-calls"), "{fired:?}");
    let (code, out, err) =
        support::run(home.path(), &["drill", "score", &dir.display().to_string(), "--format", "json"]);
    assert_eq!(code, 0, "{err}");
    let score: Value = serde_json::from_str(&out).unwrap();
    let declared = score["expectations"].as_array().unwrap().iter().find(|e| e["id"] == "declared").unwrap();
    assert_eq!((declared["points"].as_u64(), declared["reason"].as_str()), (Some(9), Some("the title said nothing")));
    support::verifies(home.path(), &dir);
}

/// System calls that make, bind or use a socket towards somebody.
const SOCKETS: &str = "trace=socket,connect,bind,listen,sendto,sendmsg";

#[test]
fn a_drill_without_a_screen_opens_no_socket_at_all() {
    let home = tempfile::tempdir().unwrap();
    let can = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    if !can.is_ok_and(|status| status.success()) {
        println!("SKIP: there is no strace on this machine, or it may not trace");
        return;
    }
    let calls = home.path().join("calls");
    let traced = Command::new("strace")
        .args(["-f", "-qq", "-e", SOCKETS, "-o"])
        .arg(&calls)
        .arg(support::program())
        .args(["drill", "schema-lock", "--headless"])
        .env_clear()
        .env("HOME", home.path())
        .env("USER", "mara")
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .current_dir(home.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(traced.status.success(), "{}", String::from_utf8_lossy(&traced.stderr));
    let calls = std::fs::read_to_string(&calls).unwrap();
    let used: Vec<&str> = calls.lines().filter(|line| line.contains('(')).collect();
    assert!(used.is_empty(), "a drill touched a socket:\n{}", used.join("\n"));
}
