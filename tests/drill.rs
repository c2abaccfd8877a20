//! The main job on the default exercise, with real keys in a real pseudo-terminal; then the journal is read back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use rustix::process::Signal;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::{CTRL_C, CTRL_X, END, ENTER, SOON, Start, TAB, Term, kinds, records, run, verifies};

const LONG: Duration = Duration::from_secs(90);

/// A drill of the default scenario, at the moment at which its lock chain is a finding that hurts.
fn drill(home: &Path) -> Term {
    let args = ["drill", "--seed", "7", "--speed", "8"];
    let term = Term::start(&Start { args: &args, env: &[], home, size: (120, 40) });
    term.shows("DRILL");
    term.until("the lock chain to be found", LONG, |t| t.contains("lock chain on t017") && t.contains("Next: declare"));
    term
}

/// The journal of the only drill that was played in this home.
fn journal(home: &Path) -> PathBuf {
    let mut all = std::fs::read_dir(home.join(".local/state/quarterdeck/drills")).unwrap();
    let dir = all.next().unwrap().unwrap().path();
    assert!(all.next().is_none(), "a drill has one journal");
    dir
}

fn declare(term: &mut Term) {
    term.keys(" ").shows("Declare an incident");
    // Enter alone in its fields ends on Cancel and declares nothing.
    term.keys(ENTER).keys(ENTER).shows("> Cancel <");
    term.keys(ENTER).shows("cancelled: nothing was sent");
    term.keys(" ").shows("Declare an incident");
    term.keys(TAB).keys(TAB).keys(TAB).shows("> Declare <");
    term.keys(ENTER).shows("INC-1");
    term.until("the incident to be in force", SOON, |t| {
        t.lines().next().is_some_and(|line| line.contains("INC-1 SEV1"))
    });
}

/// Starts the offered playbook and comes to its first step that waits for a person.
fn start(term: &mut Term) {
    term.until("the playbook to be offered", SOON, |t| t.contains("Next: start schema-lock tenant=t017"));
    term.keys(" ").shows("[ Start ]");
    term.keys(TAB).keys(TAB).shows("> Start <");
    term.keys(ENTER).shows("RUN-1");
    term.until("the cancel step to wait", SOON, |t| t.contains("cancel the root's query, risk M"));
}

fn confirm(term: &mut Term) {
    term.keys(ENTER).shows("> Cancel <");
    term.keys(END).shows("Ready: nothing stands in the way.");
    term.keys(TAB).shows("> Run <");
    term.keys(ENTER).until("it to be sent", SOON, |t| !t.contains("> Run <"));
}

fn of_step<'a>(all: &'a [Value], step: &str) -> Vec<&'a str> {
    all.iter()
        .filter(|r| r["body"]["step"] == step && r["body"]["run"] == "RUN-1")
        .map(|r| r["kind"].as_str().unwrap())
        .collect()
}

#[test]
fn the_main_job_from_the_finding_to_the_closed_incident() {
    let home = tempfile::tempdir().unwrap();
    let mut term = drill(home.path());
    declare(&mut term);
    start(&mut term);

    // The step says what will happen, to what, and whom it hurts, before anybody is asked.
    let screen = term.text();
    for said in ["pg_cancel_backend", "database t017", "Hurts:", "Undo:", "digest", "Worked when"] {
        assert!(screen.contains(said), "{said} is missing:\n{screen}");
    }
    // Enter alone on the dialog cancels.
    term.keys(ENTER).shows("> Cancel <");
    term.keys(ENTER).shows("cancelled: nothing was sent");
    assert!(term.text().contains("cancel the root's query, risk M"));
    confirm(&mut term);
    // It runs, and has no effect: the root is idle in its transaction.
    term.until("terminate to wait", LONG, |t| t.contains("terminate the root, risk H"));
    assert!(term.text().contains('✖'), "the cancel step is said to have failed:\n{}", term.text());

    // The high step is typed: a wrong phrase does not run, and a second person is asked.
    term.keys(ENTER).shows("type t017 to confirm");
    term.shows("in a drill the second person is simulated");
    term.keys(END).keys("t018").shows("Not yet: type `t017` exactly");
    term.keys(TAB).shows("> Run <");
    term.keys(ENTER).shows("not sent: type `t017` exactly");
    term.keys("\x7f7").shows("Ready: nothing stands in the way.");
    term.keys(ENTER);
    term.until("the run to be verified", LONG, |t| t.contains("finished · RUN-1") && t.contains("done and verified"));

    // The chain is gone from the server that is watched, and so is its finding.
    term.keys("o").until("the chain to be gone", LONG, |t| t.contains("Tenants") && !t.contains("lock chain on t017"));
    term.keys("C").shows("Close INC-1");
    term.keys("lock released").keys(TAB).keys(TAB).shows("> Close <");
    term.keys(ENTER).shows("INC-1 closed");
    term.until("no incident to be open", SOON, |t| t.lines().next().is_some_and(|line| line.contains("no incident")));

    // Every action is on the journal's screen.
    term.keys("j").shows("Journal, newest last");
    term.keys("g");
    let mut seen = String::new();
    let wanted = [
        "incident.declared",
        "run.started",
        "RUN-1 cancel-root: confirmed",
        "RUN-1 cancel-root: NOT verified",
        "RUN-1 terminate-root: confirmed",
        "approved by ines (simulated)",
        "RUN-1 terminate-root: verified",
        "run.finished",
        "lock released",
    ];
    for _ in 0..4 {
        seen.push_str(&term.shows("Journal, newest last"));
        term.keys(support::PAGE_DOWN);
    }
    term.until("the last record", SOON, |t| t.contains("lock released"));
    seen.push_str(&term.text());
    for what in wanted {
        assert!(seen.contains(what), "{what} is not on the journal's screen:\n{seen}");
    }
    assert_eq!(term.keys(CTRL_C).ends(SOON).exit_code(), 0);
    term.is_given_back();

    let dir = journal(home.path());
    let all = records(home.path(), &dir);
    verifies(home.path(), &dir);
    assert!(all.iter().all(|r| r["mode"] == "drill"), "mode is in every record");
    assert_eq!(of_step(&all, "show-tree"), ["step.started", "step.finished"]);
    assert_eq!(
        of_step(&all, "cancel-root"),
        ["step.intended", "step.confirmed", "step.started", "step.finished", "step.verification_failed"]
    );
    assert_eq!(
        of_step(&all, "terminate-root"),
        [
            "step.intended",
            "step.confirmed",
            "approval.requested",
            "approval.granted",
            "step.started",
            "step.finished",
            "step.verified"
        ]
    );
    // What was intended, confirmed and started is the same request.
    for step in ["cancel-root", "terminate-root"] {
        let digests: Vec<_> = all
            .iter()
            .filter(|r| r["body"]["step"] == step && r["body"]["digest"].is_string())
            .map(|r| r["body"]["digest"].clone())
            .collect();
        assert!(digests.len() >= 3 && digests.windows(2).all(|w| w[0] == w[1]), "{step}: {digests:?}");
    }
    let acted: Vec<_> = all.iter().filter(|r| r["kind"].as_str().unwrap().starts_with("step.")).collect();
    assert!(acted.iter().all(|r| r["actor"]["user"] == "mara" && r["incident"] == "INC-1"), "who and under what");
    let closed = all.iter().find(|r| r["kind"] == "incident.closed").unwrap();
    assert!(closed["body"].to_string().contains("lock released"), "{closed}");
    assert_eq!(kinds(&all).last(), Some(&"journal.closed"));
    tells(home.path(), &dir);
}

/// The report tells the same story, from the journal alone.
fn tells(home: &Path, dir: &Path) {
    let journal = dir.display().to_string();
    let report = |form: &str, more: &[&str]| {
        let args = [&["report", "INC-1", "--journal", &journal, "--format", form], more].concat();
        let (code, out, err) = run(home, &args);
        assert_eq!(code, 0, "{out}\n{err}");
        out
    };
    let told: Value = serde_json::from_str(&report("json", &[])).unwrap();
    assert_eq!((told["state"].as_str(), told["mode"].as_str()), (Some("closed"), Some("drill")));
    let step = |name: &str| told["runs"][0]["actions"].as_array().unwrap().iter().find(|a| a["step"] == name).unwrap();
    assert_eq!(step("cancel-root")["verified"], false);
    let high = step("terminate-root");
    assert_eq!(
        (&high["verified"], &high["risk"], &high["confirmed_by"]),
        (&true.into(), &"high".into(), &"mara".into())
    );
    assert_eq!(high["approved_by"][0], "ines (simulated)");
    let recovered = told["intervals"].as_array().unwrap().iter().find(|i| i["what"] == "to recover").unwrap();
    assert!(recovered["seconds"].as_i64().is_some_and(|s| s > 60), "{recovered}");
    assert_eq!(told["proof"]["verdict"], "self-consistent, key unpinned");
    assert!(report("md", &[]).contains("This was an exercise on a simulated estate."));

    let trends = |form: &str, more: &[&str]| {
        let args = [&["report", "governance", "--journal", &journal, "--format", form], more].concat();
        run(home, &args)
    };
    let (code, out, _) = trends("json", &["--since", "2020-01-01"]);
    let counted: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &counted["all"]["exercises"], &counted["all"]["incidents"]), (0, &1.into(), &0.into()), "{out}");
    assert!(trends("html", &[]).1.contains("<svg"));
    let (code, _, said) = trends("md", &["--since", "nonsense"]);
    assert!(code == 2 && said.contains("--since nonsense: allowed are"), "{said}");
    let page = home.join("report.html").display().to_string();
    assert_eq!(report("html", &["--output", &page]), "");
    assert!(std::fs::read_to_string(&page).unwrap().contains("<svg"));
    let again = run(home, &["report", "INC-1", "--journal", &journal, "--output", &page]);
    assert!(again.0 == 2 && again.2.contains("--force replaces it"), "{again:?}");
    let (code, _, err) = run(home, &["report", "INC-9", "--journal", &journal]);
    assert!(code == 1 && err.contains("declares no incident INC-9"), "{code} {err}");
}

#[test]
fn the_emergency_stop_in_the_middle_is_recorded_and_nothing_new_starts() {
    let home = tempfile::tempdir().unwrap();
    let mut term = drill(home.path());
    declare(&mut term);
    start(&mut term);
    confirm(&mut term);
    term.keys(CTRL_X).until("the stop to be said", SOON, |t| t.contains("RUN-1 stop"));
    term.until("the run to be stopped", LONG, |t| t.contains("stopped · RUN-1"));
    let dir = journal(home.path());
    let all = records(home.path(), &dir);
    let stopped = all.iter().find(|r| r["kind"] == "run.stopped").unwrap_or_else(|| panic!("{:?}", kinds(&all)));
    assert!(stopped["actor"]["user"] == "mara" && stopped["body"].to_string().contains("emergency"), "{stopped}");
    // It waits for nobody's Enter any more: the step that would have come next is not intended.
    assert!(of_step(&all, "terminate-root").is_empty(), "{:?}", of_step(&all, "terminate-root"));
    term.signal(Signal::TERM);
    assert_eq!(term.ends(LONG).exit_code(), 130);
    let all = records(home.path(), &dir);
    assert!(of_step(&all, "terminate-root").is_empty(), "{:?}", of_step(&all, "terminate-root"));
    verifies(home.path(), &dir);
}

#[test]
fn a_lost_session_in_the_middle_of_a_step_records_its_outcome_first() {
    let home = tempfile::tempdir().unwrap();
    let mut term = drill(home.path());
    declare(&mut term);
    start(&mut term);
    confirm(&mut term);
    // Whether the request is still out or its effect is being awaited: it has been sent.
    term.until("the step to be under way", SOON, |t| !t.contains("waits for your confirmation"));
    term.signal(Signal::HUP);
    assert_eq!(term.ends(LONG).exit_code(), 130);
    let dir = journal(home.path());
    let all = records(home.path(), &dir);
    let steps = of_step(&all, "cancel-root");
    assert_eq!(steps[..4], ["step.intended", "step.confirmed", "step.started", "step.finished"]);
    assert!(of_step(&all, "terminate-root").is_empty(), "nothing new was started");
    assert_eq!(kinds(&all).last(), Some(&"journal.closed"));
    verifies(home.path(), &dir);
}
