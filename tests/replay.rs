//! Looking back on an incident: a real engine, its journal, and the console on the past.
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
use std::time::Duration;
use support::{CTRL_C, ENTER, SOON, Start, TAB, Term, kinds, lonely, records, run, verifies};

const LONG: Duration = Duration::from_secs(90);

/// An incident that was declared, noted on and closed while an engine ran; the configuration of its estate.
fn incident(home: &Path) -> String {
    let file = lonely(home);
    let served = Served::start(home, &["--config", &file]);
    let asks: &[&[&str]] = &[
        &["declare", "orders hang", "--severity", "SEV1"],
        &["note", "INC-1", "a migration holds the lock"],
        &["close", "INC-1", "the lock is gone"],
    ];
    for ask in asks {
        let (code, out, err) = run(home, &[&["--config", &file, "incident"], *ask].concat());
        assert_eq!(code, 0, "{ask:?}: {out}{err}");
    }
    served.ends();
    file
}

#[test]
fn what_the_consoles_showed_is_kept_with_the_log_and_shown_again_without_a_screen() {
    let home = tempfile::tempdir().unwrap();
    let file = incident(home.path());
    let journal = home.path().join("journal");
    let all = records(home.path(), &journal);
    let piece = all.iter().find(|r| r["kind"] == "evidence.captured").unwrap_or_else(|| panic!("{:?}", kinds(&all)));
    assert_eq!(piece["body"]["media_type"], "application/vnd.quarterdeck.recording+gzip");
    assert!(piece["body"]["frames"].as_u64() >= Some(1), "{piece}");
    verifies(home.path(), &journal);
    let (code, out, err) =
        run(home.path(), &["audit", "evidence", "list", "--journal", &journal.display().to_string()]);
    assert!(code == 0 && out.contains("what the consoles showed"), "{out}{err}");

    let noted = all.iter().find(|r| r["kind"] == "note.added").unwrap()["time"].as_str().unwrap();
    let asked = ["--config", &file, "--format", "json", "replay", "INC-1", "--at", noted];
    let (code, out, err) = run(home.path(), &asked);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let shown: Value = serde_json::from_str(&out).unwrap();
    // A record writes all six digits of a second, `generated_at` only those that are needed.
    let moment = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    assert_eq!(shown["mode"], "replay");
    assert_eq!(moment(shown["generated_at"].as_str().unwrap()), moment(noted));
    assert_eq!(shown["sources"][0]["health"], "unknown", "{shown}");
    assert_ne!(shown["sources"][0]["kind"], "none", "the source that was observed: {shown}");

    for (ask, said) in [
        (&["replay", "INC-9"][..], "declares no incident INC-9"),
        (&["replay", "INC-1", "--at", "soon"], "--at soon: allowed are"),
        (&["replay", "INC-1", "--at", "2020-01-01"], "is not part of INC-1, which goes from"),
    ] {
        let (code, out, err) = run(home.path(), &[&["--config", &file], ask].concat());
        assert!(matches!(code, 1 | 2) && err.contains(said), "{ask:?}: {code} {out}{err}");
    }
}

#[test]
fn the_console_goes_through_the_past_by_keys_and_can_change_nothing() {
    let home = tempfile::tempdir().unwrap();
    let file = incident(home.path());
    let before = records(home.path(), &home.path().join("journal")).len();
    let args = ["--config", &file, "replay", "INC-1"];
    let mut term = Term::start(&Start { args: &args, env: &[("USER", "zoe")], home: home.path(), size: (110, 30) });
    term.shows("REPLAY");
    term.shows("replay of INC-1 STANDS");
    term.keys("n").shows("INC-1");
    // From record to record: the note is not there before it was written.
    let noted = |t: &str| t.contains("a migration holds the lock");
    term.keys("@").shows("goes from");
    let declared = records(home.path(), &home.path().join("journal"));
    let declared = declared.iter().find(|r| r["kind"] == "incident.declared").unwrap()["time"].as_str().unwrap();
    term.keys(declared).keys(TAB).keys(TAB).keys(ENTER);
    term.until("the moment of the declaration", SOON, |t| !t.contains("goes from") && t.contains("record 1 of 3"));
    assert!(!noted(&term.text()), "{}", term.text());
    term.keys("]").until("the note", SOON, |t| t.contains("record 2 of 3") && noted(t));
    term.keys("]").until("the end", SOON, |t| t.contains("record 3 of 3"));
    term.keys("]").shows("no record of the incident after this moment");
    term.keys("[").until("the note again", SOON, |t| t.contains("record 2 of 3"));
    term.keys("T").until("to play to the end", SOON, |t| t.contains("record 3 of 3") && t.contains("STANDS"));
    // Nothing can be done.
    term.keys("N").shows("Record");
    term.keys("from the future").keys(TAB).keys(TAB).keys(ENTER).shows("nothing can be changed in a replay");
    assert_eq!(term.keys(CTRL_C).ends(SOON).exit_code(), 0, "{}", term.text());
    term.is_given_back();
    assert_eq!(records(home.path(), &home.path().join("journal")).len(), before);
}

#[test]
fn an_exercise_is_looked_back_on_as_its_crew_saw_it_and_never_passes_for_real() {
    let home = tempfile::tempdir().unwrap();
    let args = ["drill", "--seed", "7", "--speed", "8"];
    let mut term = Term::start(&Start { args: &args, env: &[], home: home.path(), size: (120, 40) });
    let found = |t: &str| t.contains("lock chain on t017");
    term.until("the lock chain to be found", LONG, |t| found(t) && t.contains("Next: declare"));
    term.keys(" ").shows("Declare an incident");
    term.keys(TAB).keys(TAB).keys(TAB).shows("> Declare <");
    term.keys(ENTER).until("the incident", SOON, |t| t.lines().next().is_some_and(|line| line.contains("INC-1")));
    assert_eq!(term.keys(CTRL_C).ends(SOON).exit_code(), 0, "{}", term.text());

    let args = ["replay", "INC-1", "--drill"];
    let mut term = Term::start(&Start { args: &args, env: &[], home: home.path(), size: (120, 40) });
    term.until("the banner of the exercise", SOON, |t| {
        let first = t.lines().next().unwrap_or_default();
        first.contains("DRILL") && first.contains("REPLAY") && !first.to_lowercase().contains("production")
    });
    term.keys("]").until("what the crew saw", SOON, |t| t.contains("record 1 of") && found(t));
    assert_eq!(term.keys(CTRL_C).ends(SOON).exit_code(), 0, "{}", term.text());
    let (code, out, err) = run(home.path(), &["--drill", "audit", "verify"]);
    assert!(matches!(code, 0 | 3), "{code} {out}{err}");
    let nobody = tempfile::tempdir().unwrap();
    let (code, out, err) = run(nobody.path(), &["replay", "INC-1", "--drill"]);
    assert!(code == 1 && err.contains("has played no drill"), "{code} {out}{err}");
}

#[test]
fn without_what_the_consoles_showed_the_records_are_shown_and_the_rest_is_unknown() {
    let home = tempfile::tempdir().unwrap();
    let file = incident(home.path());
    std::fs::remove_dir_all(home.path().join("journal/evidence")).unwrap();
    let (code, out, err) = run(home.path(), &["--config", &file, "replay", "INC-1"]);
    assert!(code == 0 && err.contains("only the records are known of this moment: the piece that record"), "{err}");
    assert!(out.contains("unknown at"), "{out}");
    let args = ["--config", &file, "replay", "INC-1"];
    let mut term = Term::start(&Start { args: &args, env: &[], home: home.path(), size: (80, 24) });
    term.until("what is not known", SOON, |t| t.contains("not known: the piece") && t.contains("records only"));
    assert_eq!(term.keys(CTRL_C).ends(SOON).exit_code(), 0, "{}", term.text());
}
