//! One engine, many consoles: real programs, real sockets, real pseudo-terminals and keys.
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

use engine::{Served, socket_of};
use rustix::process::Signal;
use std::path::Path;
use std::time::{Duration, Instant};
use support::{CTRL_C, END, ENTER, SOON, Start, TAB, Term, kinds, lonely, records, run, run_with, verifies};

const SIZE: (u16, u16) = (110, 30);
const LONG: Duration = Duration::from_secs(90);

fn home() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A console of a person on the engine that is served in a home directory.
fn attach(home: &Path, file: &str, user: &str, more: &[&str]) -> Term {
    let args = [&["--config", file, "attach"], more].concat();
    let term = Term::start(&Start { args: &args, env: &[("USER", user)], home, size: SIZE });
    term.shows("Tenants");
    term
}

fn leave(mut term: Term) {
    assert_eq!(term.keys(CTRL_C).ends(SOON).exit_code(), 0, "{}", term.text());
    term.is_given_back();
}

#[test]
fn two_consoles_see_the_same_incident_and_the_commander_sees_who_is_there() {
    let home = home();
    let file = lonely(home.path());
    let served = Served::start(home.path(), &["--config", &file]);
    let mut mara = attach(home.path(), &file, "mara", &[]);
    let mut jon = attach(home.path(), &file, "jon", &["--read-only"]);
    jon.shows("OBSERVER");
    let (code, out, err) =
        run(home.path(), &["--config", &file, "incident", "declare", "orders hang", "--severity", "SEV1"]);
    assert_eq!(code, 0, "{out}{err}");
    for term in [&mut mara, &mut jon] {
        term.shows("INC-1 SEV1");
    }
    mara.keys("W").until("who is there", SOON, |t| {
        t.contains("You are mara")
            && t.contains("2 consoles attached")
            && t.contains("jon")
            && t.contains("only looks on")
    });
    mara.keys("\x1b").until("the sheet to close", SOON, |t| !t.contains("You are mara"));
    // One writes, the other sees it; the one that looks on can not write.
    mara.keys("N").shows("Record");
    mara.keys("seen by everybody").keys(TAB).keys(TAB).keys(ENTER).shows("noted");
    jon.keys("n").shows("seen by everybody");
    jon.keys("N").shows("Record");
    jon.keys("not by jon").keys(TAB).keys(TAB).keys(ENTER).shows("only looks on");
    let (code, out, err) = run(home.path(), &["--config", &file, "consoles", "--format", "json"]);
    assert_eq!(code, 0, "{err}");
    let consoles: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(consoles.as_array().map(Vec::len), Some(2), "{consoles}");
    assert_eq!((&consoles[1]["user"], &consoles[1]["read_only"]), (&"jon".into(), &true.into()));
    leave(jon);
    // The engine hears of each by a connection of its own: the second goes when it knows that the first has gone.
    mara.keys("W").until("jon to have gone", SOON, |t| t.contains("You are mara") && !t.contains("only looks on"));
    mara.keys("\x1b").until("the sheet to close", SOON, |t| !t.contains("You are mara"));
    leave(mara);
    served.ends();
    let all = records(home.path(), &home.path().join("journal"));
    let told: Vec<_> = all.iter().filter(|r| r["kind"].as_str().unwrap().starts_with("console.")).collect();
    let told: Vec<_> =
        told.iter().map(|r| (r["kind"].as_str().unwrap(), r["actor"]["user"].as_str().unwrap())).collect();
    assert_eq!(
        told,
        [
            ("console.attached", "mara"),
            ("console.attached", "jon"),
            ("console.detached", "jon"),
            ("console.detached", "mara")
        ]
    );
    let jon = all.iter().find(|r| r["actor"]["user"] == "jon").unwrap();
    assert_eq!((&jon["actor"]["via"], &jon["body"]["proof"]), (&"socket".into(), &"claimed".into()));
    assert!(jon["actor"]["console"].as_str().is_some_and(|tty| tty.starts_with("/dev/pts/")), "{jon}");
    assert!(!all.iter().any(|r| r["body"]["text"] == "not by jon"), "nothing of one who looks on is recorded");
    verifies(home.path(), &home.path().join("journal"));
}

#[test]
fn a_step_that_one_confirms_is_seen_by_the_other_and_an_engine_that_ends_records_its_outcome() {
    let home = home();
    let served = Served::start(home.path(), &["--drill"]);
    let socket = served.socket.display().to_string();
    let open = |user: &str, args: &[&str]| {
        let term = Term::start(&Start { args, env: &[("USER", user)], home: home.path(), size: (120, 40) });
        term.shows("DRILL");
        term
    };
    let mut mara = open("mara", &["attach", "--socket", &socket]);
    let mut jon = open("jon", &["--drill", "attach"]);
    mara.keys("+").until("the exercise to run faster", SOON, |t| t.contains(" x8"));
    let found = |t: &str| t.contains("lock chain on t017") && t.contains("Next: declare");
    mara.until("the lock chain to be found", LONG, found);
    mara.keys(" ").shows("Declare an incident");
    mara.keys(TAB).keys(TAB).keys(TAB).shows("> Declare <");
    mara.keys(ENTER).shows("INC-1");
    jon.until("the incident on the other console", SOON, |t| {
        t.lines().next().is_some_and(|line| line.contains("INC-1 SEV1") && line.contains("cmd mara"))
    });
    mara.until("the playbook to be offered", SOON, |t| t.contains("Next: start schema-lock tenant=t017"));
    mara.keys(" ").shows("[ Start ]");
    mara.keys(TAB).keys(TAB).shows("> Start <");
    mara.keys(ENTER).shows("RUN-1");
    for term in [&mara, &jon] {
        term.until("the step to wait, on both", SOON, |t| t.contains("cancel the root's query"));
    }
    jon.keys(" ").shows("pg_cancel_backend");
    // Both have the dialog open; one presses, and the other's closes because nothing is to be confirmed any more.
    for term in [&mut mara, &mut jon] {
        term.keys(ENTER).shows("> Cancel <");
        term.keys(END).shows("Ready: nothing stands in the way.");
        term.keys(TAB).shows("> Run <");
    }
    mara.keys(ENTER).until("it to be sent", SOON, |t| !t.contains("> Run <"));
    jon.shows("nothing was sent, look at it again");
    // In the middle of the step the engine is told to end: the consoles see how it does.
    let (code, said) = served.ends_by(Signal::TERM);
    assert_eq!(code, Some(0), "{said}");
    for term in [&mara, &jon] {
        term.shows("it ended in good order");
    }
    leave(jon);
    leave(mara);
    let journal = Path::new(&socket).parent().unwrap();
    let all = records(home.path(), journal);
    let of_step: Vec<_> = all.iter().filter(|r| r["body"]["step"] == "cancel-root").collect();
    let steps: Vec<_> = of_step.iter().map(|r| r["kind"].as_str().unwrap()).collect();
    assert_eq!(steps[..4], ["step.intended", "step.confirmed", "step.started", "step.finished"], "{steps:?}");
    assert_eq!(of_step[1]["actor"]["user"], "mara");
    assert_eq!(kinds(&all).last(), Some(&"journal.closed"));
    verifies(home.path(), journal);
}

#[test]
fn a_console_that_is_killed_leaves_and_costs_nobody_anything() {
    let home = home();
    let file = lonely(home.path());
    let served = Served::start(home.path(), &["--config", &file]);
    let mut mara = attach(home.path(), &file, "mara", &[]);
    let jon = attach(home.path(), &file, "jon", &[]);
    mara.keys("W").shows("2 consoles attached");
    jon.signal(Signal::KILL);
    mara.shows("1 console attached");
    leave(mara);
    served.ends();
    let all = records(home.path(), &home.path().join("journal"));
    assert_eq!(kinds(&all).iter().filter(|k| **k == "console.detached").count(), 2);
}

#[test]
fn an_engine_that_is_killed_is_missed_within_three_seconds_and_found_again_with_everything_in_its_place() {
    let home = home();
    let file = lonely(home.path());
    let served = Served::start(home.path(), &["--config", &file]);
    let (mut mara, mut jon) = (attach(home.path(), &file, "mara", &[]), attach(home.path(), &file, "jon", &[]));
    mara.keys("s").shows("Sources");
    mara.keys("W").shows("2 consoles attached");
    jon.keys("N").shows("Record");
    jon.keys("half a thou");
    let killed = Instant::now();
    served.kill();
    for term in [&mara, &jon] {
        term.until("the loss to be said", Duration::from_secs(3), |t| t.contains("ENGINE GONE"));
    }
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    // What is asked meanwhile is refused in words.
    jon.keys("ght").keys(TAB).keys(TAB).keys(ENTER).shows("can not be reached");
    let served = Served::start(home.path(), &["--config", &file]);
    for term in [&mara, &jon] {
        term.until("the engine to be found again", SOON, |t| !t.contains("ENGINE GONE"));
    }
    mara.until("the sheet to be where it was", SOON, |t| {
        t.contains("2 consoles attached") && t.contains("You are mara")
    });
    mara.keys("\x1b").until("the screen below", SOON, |t| !t.contains("You are mara") && t.contains("Sources"));
    leave(jon);
    leave(mara);
    served.ends();
    verifies(home.path(), &home.path().join("journal"));
}

#[test]
fn an_engine_that_stands_still_is_missed_within_three_seconds() {
    let home = home();
    let file = lonely(home.path());
    let served = Served::start(home.path(), &["--config", &file]);
    let mara = attach(home.path(), &file, "mara", &[]);
    let stopped = Instant::now();
    served.signal(Signal::STOP);
    mara.until("the silence to be said", Duration::from_secs(5), |t| t.contains("ENGINE LOST"));
    // A beat may have been under way, and the machine has other work.
    assert!(stopped.elapsed() < Duration::from_secs(4), "{:?}", stopped.elapsed());
    served.signal(Signal::CONT);
    mara.until("the beat to be heard again", SOON, |t| !t.contains("ENGINE LOST"));
    leave(mara);
    served.ends();
}

#[test]
fn a_console_that_stands_still_does_not_slow_another_and_comes_back() {
    let home = home();
    let file = lonely(home.path());
    let served = Served::start(home.path(), &["--config", &file]);
    let mut mara = attach(home.path(), &file, "mara", &[]);
    let jon = attach(home.path(), &file, "jon", &[]);
    jon.signal(Signal::STOP);
    jon.until_stopped();
    for n in 0..5 {
        let begun = Instant::now();
        let text = format!("note number {n} of many");
        let (code, _, err) = run(home.path(), &["--config", &file, "incident", "declare", &text]);
        assert_eq!(code, 0, "{err}");
        mara.keys("j").shows(&text);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    mara.keys("W").until("the silence to be said", SOON, |t| t.contains("SILENT for"));
    jon.signal(Signal::CONT);
    mara.until("it to be heard again", SOON, |t| !t.contains("SILENT for"));
    jon.shows("INC-");
    leave(jon);
    leave(mara);
    served.ends();
}

#[test]
fn a_commander_whose_console_is_gone_is_followed_by_the_deputy_and_the_brief_comes_along() {
    let home = home();
    let file = lonely(home.path());
    let served = Served::start(home.path(), &["--config", &file]);
    let as_of =
        |user: &str, args: &[&str]| run_with(home.path(), &[&["--config", &file], args].concat(), &[("USER", user)]);
    assert_eq!(as_of("mara", &["incident", "declare", "orders hang"]).0, 0);
    assert_eq!(as_of("mara", &["incident", "role", "INC-1", "deputy", "jon"]).0, 0);
    let mara = attach(home.path(), &file, "mara", &[]);
    let mut jon = attach(home.path(), &file, "jon", &[]);
    let (code, _, err) = as_of("jon", &["incident", "take-over", "INC-1", "she does not answer"]);
    assert!(code == 7 && err.contains("mara is attached"), "{code} {err}");
    mara.signal(Signal::KILL);
    jon.keys("W").shows("1 console attached");
    jon.keys("\x1b").until("the sheet to close", SOON, |t| !t.contains("1 console attached"));
    let (code, _, err) = as_of("ines", &["incident", "take-over", "INC-1", "I can do it"]);
    assert!(code == 7 && err.contains("only the deputy"), "{code} {err}");
    jon.keys("O").shows("Take over the command");
    jon.keys("her session is gone").keys(TAB).keys(TAB).keys(ENTER);
    jon.until("the brief", SOON, |t| t.contains("Brief for the commander") && t.contains("runs open"));
    // Handing over prints the brief for whoever does it without a screen.
    let (code, out, err) = as_of("jon", &["incident", "handover", "INC-1", "ines"]);
    assert_eq!(code, 0, "{err}");
    for word in ["INC-1", "since", "hurts", "people", "done", "runs open", "in force", "approvals", "watch", "next"] {
        assert!(out.contains(word), "{word} is not in the brief:\n{out}");
    }
    jon.shows("cmd ines");
    leave(jon);
    served.ends();
    let all = records(home.path(), &home.path().join("journal"));
    let handed: Vec<_> =
        all.iter().filter(|r| r["kind"] == "role.assigned" && r["body"]["role"] == "commander").collect();
    assert_eq!(handed.len(), 2);
    assert_eq!((&handed[0]["body"]["person"], &handed[0]["body"]["from"]), (&"jon".into(), &"mara".into()));
    assert!(handed[0]["body"]["why"].as_str().unwrap().contains("her session is gone"));
    assert_eq!((&handed[1]["body"]["person"], &handed[1]["body"]["from"]), (&"ines".into(), &"jon".into()));
}

#[test]
fn as_a_forced_command_it_opens_the_console_or_says_what_it_may_run() {
    let home = home();
    let file = lonely(home.path());
    let env = |asked: &'static str| [("QUARTERDECK_CONFIG", file.as_str()), ("SSH_ORIGINAL_COMMAND", asked)];
    let served = Served::start(home.path(), &["--config", &file]);
    let (code, _, err) = run_with(home.path(), &["attach"], &env("")[..1]);
    assert!(code == 2 && err.contains("needs a terminal"), "{code} {err}");
    let (code, out, err) = run_with(home.path(), &["attach"], &env("incident list --format json"));
    assert_eq!((code, out.trim()), (0, "[]"), "{err}");
    let (code, out, _) = run_with(home.path(), &["attach"], &env("quarterdeck status --format json"));
    assert!(code == 6 && out.contains("\"lonely\""), "{code} {out}");
    for asked in
        ["sh -c id", "status; id", "incident close INC-1 x", "serve", "--config /etc/passwd status", "\u{1b}[2J"]
    {
        let (code, out, err) = run_with(home.path(), &["attach"], &env(asked));
        assert!(code == 7 && out.is_empty() && err.contains("may not run"), "{asked:?}: {code} {out}{err}");
        assert!(!err.contains('\u{1b}'), "{err:?}");
    }
    let all = [("QUARTERDECK_CONFIG", file.as_str()), ("SSH_CONNECTION", "203.0.113.7 50022 203.0.113.1 22")];
    let mut term = Term::start(&Start { args: &["attach"], env: &all, home: home.path(), size: SIZE });
    term.shows("Tenants");
    term.keys("W").shows("from 203.0.113.7");
    leave(term);
    served.ends();
}

#[test]
fn a_served_engine_says_that_it_is_ready_and_ends_in_good_order() {
    let home = home();
    let file = lonely(home.path());
    let manager = home.path().join("notify");
    let listens = std::os::unix::net::UnixDatagram::bind(&manager).unwrap();
    listens.set_read_timeout(Some(SOON)).unwrap();
    let heard = || {
        let mut buffer = [0; 500];
        let n = listens.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..n]).into_owned()
    };
    for signal in [Signal::TERM, Signal::HUP] {
        let env = [("NOTIFY_SOCKET", manager.to_str().unwrap())];
        let served = Served::start_with(home.path(), &["--config", &file], &env);
        assert!(heard().starts_with("READY=1\n"));
        assert_eq!(served.socket, socket_of(home.path()));
        let second = run(home.path(), &["--config", &file, "serve"]);
        assert!(second.0 == 1 && second.2.contains("mara"), "{second:?}");
        let mut mara = attach(home.path(), &file, "mara", &[]);
        let (code, said) = served.ends_by(signal);
        assert_eq!(code, Some(0), "{said}");
        assert!(heard().starts_with("STOPPING=1\n"));
        mara.shows("it ended in good order");
        assert_eq!(mara.keys(CTRL_C).ends(SOON).exit_code(), 0);
        assert!(!socket_of(home.path()).exists());
        let (code, _, err) = run(home.path(), &["--config", &file, "consoles"]);
        assert!(code == 1 && err.contains("no engine runs"), "{code} {err}");
    }
    let all = records(home.path(), &home.path().join("journal"));
    assert_eq!(kinds(&all).iter().filter(|k| **k == "journal.closed").count(), 2);
    assert_eq!(kinds(&all).last(), Some(&"journal.closed"));
    let mut nobody =
        Term::start(&Start { args: &["--config", &file, "attach"], env: &[], home: home.path(), size: SIZE });
    assert_eq!(nobody.ends(SOON).exit_code(), 1);
    assert!(nobody.text().contains("quarterdeck serve"), "{}", nobody.text());
}
