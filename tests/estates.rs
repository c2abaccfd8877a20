//! Several estates in one console: real engines, real sockets, real pseudo-terminals and keys.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "support/engine.rs"]
mod engine;
#[path = "support/estates.rs"]
mod estates;
#[path = "support/plain.rs"]
mod plain_lines;
mod support;

use engine::Served;
use estates::{Estates, Way};
use plain_lines::Plain;
use rustix::process::Signal;
use support::{CTRL_C, CTRL_X, ENTER, SOON, TAB, Term, kinds, records, run, verifies};

const NEXT: &str = "\x1bOS";
const BEFORE: &str = "\x1bOR";
const WIDE: (u16, u16) = (120, 30);

fn header(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Goes to another estate, and waits until it takes keys there.
fn come(term: &mut Term, keys: &str, name: &str) -> String {
    // The top of a frame is read before its end: both have to say it.
    let settles = |t: &str| t.contains(" is on the screen now; keys are taken in a moment");
    term.keys(keys).until(&format!("{name} to come"), SOON, |t| header(t).contains(&format!(" {name} ")) && settles(t));
    term.until(&format!("{name} to take keys"), SOON, |t| !settles(t))
}

fn leave(mut term: Term) {
    assert_eq!(term.keys(CTRL_C).ends(SOON).exit_code(), 0, "{}", term.text());
    term.is_given_back();
}

#[test]
fn each_estate_has_its_row_and_its_screens_and_what_is_gone_is_unknown() {
    let estates = Estates::new();
    let eu = estates.serve("eu");
    let us = estates.config("us");
    let fleet = estates.fleet(&[
        ("eu", Way::Socket(eu.socket.clone())),
        ("us", Way::Config(us)),
        ("asia", Way::Socket(estates.socket("asia"))),
    ]);
    let mut term = estates.console(&["--config", &fleet], WIDE);
    let text = term.until("all three to be known", SOON, |t| {
        t.contains("3 estates, 1 not reached") && t.contains("attached") && t.contains("engine in this console")
    });
    let row = |text: &str, name: &str| {
        text.lines()
            .skip(1)
            .find(|l| l.trim_start_matches(['▌', ' ', '?']).starts_with(name))
            .unwrap_or_default()
            .to_owned()
    };
    assert!(row(&text, "asia").contains("unknown") && row(&text, "asia").contains("never"), "{text}");
    assert!(row(&text, "eu").contains("staging"), "{text}");
    // Where the others are told of on every screen.
    term.keys("o").until("the alarm of the one that is gone", SOON, |t| {
        t.lines().nth(1).is_some_and(|l| l.contains("asia: NOT REACHED") || l.contains("asia ?"))
    });
    // Enter goes to the row under the cursor, F4 and F3 go on and back.
    term.keys("0").until("the overview of estates", SOON, |t| t.contains("3 estates"));
    come(&mut term, NEXT, "us");
    term.keys("N").shows("Record");
    term.keys("seen in the west").keys(TAB).keys(TAB).keys(ENTER).shows("noted");
    come(&mut term, BEFORE, "eu");
    let text = come(&mut term, &format!("{NEXT}{NEXT}"), "asia");
    assert!(text.contains("ENGINE GONE") && text.contains("no engine listens at"), "{text}");
    term.keys(CTRL_X).until("that nothing can be asked there", SOON, |t| t.contains("nothing was sent"));
    // The palette names them.
    term.keys(":").shows("Palette");
    come(&mut term, &format!("estate us{ENTER}"), "us");
    come(&mut term, "<", "asia");
    leave(term);
    eu.ends();
    // Each has its own journal, and nothing of the other in it.
    let (eu, us) = (records(estates.path(), &estates.journal("eu")), records(estates.path(), &estates.journal("us")));
    assert!(us.iter().any(|r| r["body"]["text"] == "seen in the west") && !kinds(&us).is_empty());
    assert!(!eu.iter().any(|r| r["body"]["text"] == "seen in the west"));
    assert_eq!(kinds(&us).last(), Some(&"journal.closed"));
    for name in ["eu", "us"] {
        verifies(estates.path(), &estates.journal(name));
    }
}

#[test]
fn what_was_typed_stays_in_its_estate_and_no_key_of_a_burst_reaches_the_next_one() {
    let estates = Estates::new();
    let (eu, us) = (estates.serve("eu"), estates.serve("us"));
    let fleet = estates.fleet(&[("eu", Way::Socket(eu.socket.clone())), ("us", Way::Socket(us.socket.clone()))]);
    let mut term = estates.console(&["--config", &fleet], WIDE);
    term.until("both to be attached", SOON, |t| t.matches("attached").count() >= 2);
    // A form in each, ready to be sent: two Tabs further stands its button.
    for (name, next) in [("eu", "us"), ("us", "eu")] {
        term.keys("N").shows("Record");
        term.keys(&format!("note of {name}"));
        term.until("the text", SOON, |t| t.contains(&format!("note of {name}")));
        come(&mut term, NEXT, next);
    }
    term.until("the text that was typed here", SOON, |t| t.contains("note of eu") && !t.contains("note of us"));
    // In one burst: on to the other one, and what would send the form there.
    let text = come(&mut term, &format!("{NEXT}{TAB}{TAB}{ENTER}more"), "us");
    assert!(text.contains("note of us") && !text.contains("more"), "{text}");
    // Now that it is on the screen its keys are its own.
    term.keys(TAB).keys(TAB).keys(ENTER).shows("noted");
    come(&mut term, NEXT, "eu");
    term.keys(" and more").keys(TAB).keys(TAB).keys(ENTER).shows("noted");
    leave(term);
    eu.ends();
    us.ends();
    let notes = |name: &str| -> Vec<String> {
        let all = records(estates.path(), &estates.journal(name));
        all.iter().filter_map(|r| r["body"]["text"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(notes("eu"), ["note of eu and more"]);
    assert_eq!(notes("us"), ["note of us"]);
}

#[test]
fn an_engine_of_another_estate_is_refused_with_a_sentence_and_a_record() {
    let estates = Estates::new();
    let eu = estates.serve("eu");
    let other = estates.config("other");
    let fleet = estates.fleet(&[
        ("us", Way::Socket(eu.socket.clone())),
        ("west", Way::Config(other.clone())),
        ("home", Way::Config(estates.config("home"))),
    ]);
    let mut term = estates.console(&["--config", &fleet], WIDE);
    term.until("why neither is used", SOON, |t| {
        t.contains("3 estates, 2 not reached") && t.contains("engine in this console")
    });
    term.keys("o").shows("the engine there runs for eu, and us was meant");
    term.keys(CTRL_X).shows("nothing was sent");
    come(&mut term, NEXT, "west");
    term.keys("o").shows("this is the configuration of other");
    leave(term);
    // The journal that was open in that console has each of them once, however often it was tried.
    let all = records(estates.path(), &estates.journal("home"));
    let misled: Vec<_> = all.iter().filter(|r| r["kind"] == "estate.refused").collect();
    let of = |name: &str| misled.iter().filter(|r| r["body"]["estate"] == name).collect::<Vec<_>>();
    assert_eq!((misled.len(), of("us").len(), of("west").len()), (2, 1, 1), "{misled:?}");
    let why = |name: &str| of(name)[0]["body"]["why"].as_str().unwrap().to_owned();
    assert!(why("us").contains("the engine there runs for eu, and us was meant"), "{misled:?}");
    assert!(why("west").contains("this is the configuration of other"), "{misled:?}");
    assert!(misled.iter().all(|r| r["actor"]["user"] == "mara" && r["actor"]["via"] == "console"), "{misled:?}");
    let (code, _, err) = run(estates.path(), &["--config", &fleet, "--estate", "us", "incident", "declare", "no"]);
    assert!(code == 1 && err.contains("runs for eu, and us was meant: nothing is done there"), "{code} {err}");
    let (code, _, err) = run(estates.path(), &["--config", &fleet, "--estate", "west", "status"]);
    assert!(code == 2 && err.contains("is the configuration of other"), "{code} {err}");
    eu.ends();
    let all = records(estates.path(), &estates.journal("eu"));
    let refused: Vec<_> = all.iter().filter(|r| r["kind"] == "console.refused").collect();
    assert!(!refused.is_empty() && refused[0]["body"]["why"].as_str().unwrap().contains("us was meant"), "{refused:?}");
    assert!(!kinds(&all).contains(&"incident.declared") && !estates.journal("other").exists());
}

#[test]
fn a_journal_of_another_estate_is_not_opened_and_stays_as_it_is() {
    let estates = Estates::new();
    let old = estates.config("old");
    let (code, _, err) = run(estates.path(), &["--config", &old, "incident", "declare", "of old"]);
    assert_eq!(code, 0, "{err}");
    let before = records(estates.path(), &estates.journal("old"));
    let south = estates.config("south");
    let text = std::fs::read_to_string(&south).unwrap();
    let (own, other) = (estates.journal("south"), estates.journal("old"));
    std::fs::write(&south, text.replace(own.to_str().unwrap(), other.to_str().unwrap())).unwrap();
    let fleet = estates.fleet(&[("south", Way::Config(south)), ("home", Way::Config(estates.config("home")))]);
    let mut term = estates.console(&["--config", &fleet], WIDE);
    term.until("that it is not used", SOON, |t| {
        t.contains("2 estates, 1 not reached") && t.contains("engine in this console")
    });
    term.keys("o").shows("quarterdeck/old");
    term.keys(CTRL_X).shows("nothing was sent");
    leave(term);
    assert_eq!(records(estates.path(), &other), before);
    // The journal that was open in that console says it.
    let all = records(estates.path(), &estates.journal("home"));
    let misled: Vec<_> = all.iter().filter(|r| r["kind"] == "estate.refused").collect();
    assert_eq!(misled.len(), 1, "{misled:?}");
    assert_eq!(misled[0]["body"]["estate"], "south");
    assert!(misled[0]["body"]["why"].as_str().unwrap().contains("quarterdeck/old"), "{misled:?}");
}

#[test]
fn a_console_that_has_lost_its_engine_does_not_take_another_estates_for_it_and_that_one_records_it() {
    let estates = Estates::new();
    let socket = estates.path().join("engine.sock");
    let serve = |name: &str| {
        let file = estates.config(name);
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{text}[engine]\nsocket = \"{}\"\n", socket.display())).unwrap();
        Served::start(estates.path(), &["--config", &file])
    };
    let eu = serve("eu");
    // By the socket alone: whose engine it is, is what it says.
    let term = estates.console(&["attach", "--socket", &socket.display().to_string()], WIDE);
    term.until("the estate", SOON, |t| header(t).contains(" eu "));
    eu.ends();
    let us = serve("us");
    term.shows("runs for us");
    assert!(header(&term.text()).contains(" eu "), "{}", term.text());
    leave(term);
    us.ends();
    let all = records(estates.path(), &estates.journal("us"));
    let refused: Vec<_> = all.iter().filter(|r| r["kind"] == "console.refused").collect();
    assert!(!refused.is_empty() && refused[0]["body"]["why"].as_str().unwrap().contains("eu was meant"), "{refused:?}");
}

#[test]
fn one_that_hangs_or_is_gone_keeps_no_other_from_being_heard() {
    let estates = Estates::new();
    let (eu, us) = (estates.serve("eu"), estates.serve("us"));
    let fleet = estates.fleet(&[
        ("eu", Way::Socket(eu.socket.clone())),
        ("us", Way::Socket(us.socket.clone())),
        ("asia", Way::Socket(estates.socket("asia"))),
    ]);
    let mut term = estates.console(&["--config", &fleet], WIDE);
    term.until("two to be attached", SOON, |t| t.matches("attached").count() >= 2 && t.contains("1 not reached"));
    us.signal(Signal::STOP);
    term.until("the one that hangs to be unknown", SOON, |t| t.contains("3 estates, 2 not reached"));
    // The one that lives is heard and can be asked as before.
    term.keys("N").shows("Record");
    term.keys("while the others are away").keys(TAB).keys(TAB).keys(ENTER).shows("noted");
    let (code, _, err) = run(estates.path(), &["--config", &fleet, "--estate", "eu", "incident", "declare", "slow"]);
    assert_eq!(code, 0, "{err}");
    term.until("what another has done there", SOON, |t| header(t).contains("INC-1"));
    // What hangs is there again by itself when it goes on.
    us.signal(Signal::CONT);
    term.keys("0").until("the one that hung to be known again", SOON, |t| t.contains("3 estates, 1 not reached"));
    leave(term);
    eu.ends();
    us.ends();
}

#[test]
fn incidents_and_records_of_all_stand_together_with_their_estates() {
    let estates = Estates::new();
    let (eu, us) = (estates.serve("eu"), estates.serve("us"));
    let fleet = estates.fleet(&[("eu", Way::Socket(eu.socket.clone())), ("us", Way::Socket(us.socket.clone()))]);
    for (name, severity) in [("eu", "SEV3"), ("us", "SEV1")] {
        let title = format!("trouble in {name}");
        let (code, _, err) = run(
            estates.path(),
            &["--config", &fleet, "--estate", name, "incident", "declare", &title, "--severity", severity],
        );
        assert_eq!(code, 0, "{err}");
    }
    let mut term = estates.console(&["--config", &fleet], WIDE);
    let text = term
        .until("the incidents of both", SOON, |t| t.contains("2 open") && t.matches("incident.declared").count() >= 2);
    let at_row = |what: &str| text.lines().position(|l| l.contains(what) && l.contains("INC-1")).unwrap();
    assert!(at_row("trouble in us") < at_row("trouble in eu"), "the worst first:\n{text}");
    // From the row of an incident to its screen, in its estate.
    let text = come(&mut term, &format!("{TAB}{ENTER}"), "us");
    assert!(text.contains("trouble in us") && text.contains("declared"), "{text}");
    leave(term);
    eu.ends();
    us.ends();
}

#[test]
fn commands_say_all_or_take_the_name_of_one_and_what_acts_is_refused_without_it() {
    let estates = Estates::new();
    let eu = estates.serve("eu");
    let us = estates.config("us");
    let fleet = estates.fleet(&[
        ("eu", Way::Socket(eu.socket.clone())),
        ("us", Way::Config(us)),
        ("asia", Way::Socket(estates.socket("asia"))),
    ]);
    let command = |args: &[&str]| run(estates.path(), &[&["--config", &fleet], args].concat());
    // A line each; the exit code is that of the worst.
    let (code, out, err) = command(&["status"]);
    assert!(code == 6 && out.lines().count() == 4, "{code} {out}{err}");
    for (name, says) in [("eu", "staging"), ("us", "staging"), ("asia", "no engine listens at")] {
        let row = out.lines().find(|l| l.starts_with(name)).unwrap();
        assert!(row.contains("unknown") && row.contains(says), "{row}");
    }
    let (code, out, _) = command(&["status", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &status["health"]), (6, &"unknown".into()));
    let one = |at: usize| &status["estates"][at];
    assert_eq!((&one(0)["estate"], &one(0)["status"]["estate"]), (&"eu".into(), &"eu".into()));
    assert!(one(2)["status"].is_null() && one(2)["why"].as_str().unwrap().contains("no engine listens at"));
    let (code, out, _) = command(&["--estate", "eu", "status", "--format", "json"]);
    let alone: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &alone["estate"], &alone["schema"]), (6, &"eu".into(), &1.into()));
    // What works on one is refused with the names of all.
    for args in [
        &["playbook", "run", "schema-lock", "--param", "tenant=t1"][..],
        &["incident", "declare", "which?"],
        &["serve"],
        &["run", "list"],
        &["audit", "evidence", "list"],
        &["glass", "break", "a reason that is long enough"],
    ] {
        let (code, out, err) = command(args);
        let told = "names 3 estates (eu, us, asia): --estate NAME says which one is meant";
        assert!(code == 2 && out.is_empty() && err.contains(told), "{args:?}: {code} {out}{err}");
    }
    let (code, _, err) = command(&["--estate", "africa", "status"]);
    assert!(code == 2 && err.contains("there is no estate `africa`") && err.contains("eu, us, asia"), "{err}");
    let (code, _, err) = command(&["--estate", "asia", "incident", "list"]);
    assert!(code == 1 && err.contains("no engine listens at"), "{code} {err}");
    let (code, _, err) = command(&["--estate", "asia", "audit", "verify"]);
    assert!(code == 2 && err.contains("asia is reached by the engine that is served at"), "{code} {err}");
    let (code, _, err) = command(&["status", "--watch"]);
    assert!(code == 2 && err.contains("--watch follows one estate"), "{code} {err}");
    // Each by its name, into its own journal.
    for name in ["eu", "us"] {
        let (code, _, err) = command(&["--estate", name, "incident", "declare", &format!("trouble in {name}")]);
        assert_eq!(code, 0, "{err}");
    }
    let (code, out, _) = command(&["incident", "list"]);
    assert!(code == 6 && out.contains("trouble in eu") && out.contains("trouble in us"), "{code} {out}");
    let (_, out, _) = command(&["incident", "list", "--format", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(listed[1]["incidents"][0]["title"], "trouble in us");
    assert!(listed[2]["incidents"].is_null() && listed[2]["why"].as_str().is_some(), "{listed}");
    let (code, out, err) = command(&["config", "check"]);
    assert!(code == 0 && out.contains("It names 3 estates"), "{code} {out}{err}");
    eu.ends();
    let titles = |name: &str| -> Vec<String> {
        let all = records(estates.path(), &estates.journal(name));
        all.iter().filter_map(|r| r["body"]["title"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(titles("eu"), ["trouble in eu"]);
    assert_eq!(titles("us"), ["trouble in us"]);
}

#[test]
fn a_file_may_be_an_estate_itself_beside_those_that_it_names() {
    let estates = Estates::new();
    let (eu, own) = (estates.serve("eu"), estates.config("own"));
    let text = std::fs::read_to_string(&own).unwrap();
    let named = format!("{text}[[estates]]\nname = \"eu\"\nsocket = \"{}\"\n", eu.socket.display());
    std::fs::write(&own, named).unwrap();
    let (code, _, err) = run(estates.path(), &["--config", &own, "--estate", "own", "incident", "declare", "own"]);
    assert_eq!(code, 0, "{err}");
    let playbooks = estates.path().join(".config/quarterdeck/playbooks");
    std::fs::create_dir_all(&playbooks).unwrap();
    std::fs::write(playbooks.join("broken.yaml"), "id: [\n").unwrap();
    let mut term = estates.console(&["--config", &own], WIDE);
    term.until("both", SOON, |t| t.contains("engine in this console") && t.contains("attached"));
    let text = come(&mut term, NEXT, "eu");
    // What the engine in this process says on standard error waits until the terminal is given back.
    assert!(!text.contains("left out"), "{text}");
    assert_eq!(term.keys(CTRL_C).ends(SOON).exit_code(), 0, "{}", term.text());
    term.is_given_back();
    assert!(term.text().contains("quarterdeck: a playbook is left out"), "{}", term.text());
    eu.ends();
    assert_eq!(kinds(&records(estates.path(), &estates.journal("own"))).last(), Some(&"journal.closed"));
}

#[test]
fn in_plain_lines_the_estates_are_told_chosen_and_kept_apart() {
    let estates = Estates::new();
    let (eu, us) = (estates.serve("eu"), estates.serve("us"));
    let fleet = estates.fleet(&[("eu", Way::Socket(eu.socket.clone())), ("us", Way::Socket(us.socket.clone()))]);
    let mut plain = Plain::start(estates.path(), &["--config", &fleet], "C.UTF-8");
    plain.line("", "2 estates");
    // Their rows fill in as they are heard of; what is asked again is told again.
    while !plain.line("", "Newest records of all estates").contains("journal.opened") {}
    let told = plain.line("next-estate", "us STAGING");
    assert!(told.contains("Tenants") && !told.contains('\x1b'), "{told}");
    plain.line("N", "Record");
    plain.line("told in plain lines", "told in plain lines");
    // What is left of a line that has led elsewhere is pressed nowhere.
    plain.line("F3", "eu STAGING");
    plain.line("F4", "told in plain lines");
    plain.line("Tab", "Record");
    plain.line("Tab", "Record");
    plain.line("Enter", "noted");
    plain.line(":estate eu", "Estate eu");
    plain.line("Enter", "eu STAGING");
    assert_eq!(plain.end().0, Some(130));
    eu.ends();
    us.ends();
    let noted = |name: &str| {
        records(estates.path(), &estates.journal(name)).iter().any(|r| r["body"]["text"] == "told in plain lines")
    };
    assert!(noted("us") && !noted("eu"));
}

#[test]
fn audit_answers_for_each_log_on_its_own_and_exits_as_the_worst_of_them() {
    let estates = Estates::new();
    for (name, title) in [("eu", "the trucks wait in Ulm"), ("us", "nobody logs in at Austin")] {
        let config = estates.config(name);
        let (code, _, err) = run(estates.path(), &["--config", &config, "incident", "declare", title]);
        assert_eq!(code, 0, "{err}");
    }
    let (eu, us) = (|| Way::Config(estates.config("eu")), || Way::Config(estates.config("us")));
    let fleet = estates.fleet(&[("eu", eu()), ("us", us())]);
    let audit = |args: &[&str]| run(estates.path(), &[&["--config", &fleet, "audit"][..], args].concat());
    let json = |text: &str| -> serde_json::Value { serde_json::from_str(text).unwrap_or_else(|_| panic!("{text}")) };
    let (code, out, err) = audit(&["verify", "--format", "json"]);
    assert_eq!(code, 0, "{out}{err}");
    let said = json(&out);
    for (i, name) in ["eu", "us"].into_iter().enumerate() {
        assert_eq!((said[i]["estate"].as_str(), said[i]["report"]["ok"].as_bool()), (Some(name), Some(true)), "{out}");
        assert_eq!(said[i]["report"]["origin"], format!("quarterdeck/{name}"));
    }
    let (code, out, _) = audit(&["verify"]);
    let (head, rest) = out.split_once("\n\nus\n").unwrap_or_else(|| panic!("{out}"));
    assert!(code == 0 && head.starts_with("eu\n") && head.contains("quarterdeck/eu"), "{out}");
    assert!(rest.contains("quarterdeck/us") && !rest.contains("quarterdeck/eu"), "{out}");

    // The records of each as stored, in one piece each.
    let (code, out, err) = audit(&["show", "--format", "json"]);
    assert_eq!(code, 0, "{err}");
    let lines: Vec<serde_json::Value> = out.lines().map(json).collect();
    let of = |name: &str| -> Vec<&serde_json::Value> {
        lines.iter().filter(|line| line["estate"] == name).map(|line| &line["record"]).collect()
    };
    for name in ["eu", "us"] {
        let stored = records(estates.path(), &estates.journal(name));
        assert!(!stored.is_empty() && of(name) == stored.iter().collect::<Vec<_>>(), "{name}");
    }
    let names: Vec<&str> = lines.iter().map(|line| line["estate"].as_str().unwrap()).collect();
    assert!(names.is_sorted(), "one after the other: {names:?}");
    let (code, out, _) = audit(&["show", "--kind", "incident"]);
    let (head, rest) = out.split_once("\n\nus\n").unwrap_or_else(|| panic!("{out}"));
    assert!(code == 0 && head.contains("Ulm") && !head.contains("Austin"), "{out}");
    assert!(rest.contains("Austin") && !rest.contains("Ulm"), "{out}");

    // What is about one log alone asks for which.
    for args in
        [&["show", "--seq", "0"][..], &["show", "--from", "1"], &["verify", "--from", "1"], &["show", "--follow"]]
    {
        let (code, _, err) = audit(args);
        assert!(code == 2 && err.contains("names 2 estates (eu, us): --estate NAME"), "{args:?}: {code} {err}");
    }
    let (code, _, err) = audit(&["show", "--kind", "nite"]);
    assert!(code == 2 && err.contains("there is no kind `nite`"), "{code} {err}");
    let (code, out, _) = audit(&["show", "--estate", "us", "--kind", "incident"]);
    assert!(code == 0 && out.contains("Austin") && !out.contains("Ulm"), "{out}");

    // One that can not be read from here, and one that was altered: the others are answered for all the same.
    let gone = Way::Socket(estates.socket("asia"));
    let fleet = estates.fleet(&[("eu", eu()), ("asia", gone), ("us", us())]);
    let audit = |args: &[&str]| run(estates.path(), &[&["--config", &fleet, "audit"][..], args].concat());
    let (code, out, _) = audit(&["verify", "--format", "json"]);
    let said = json(&out);
    assert!(code == 6 && said[1]["report"].is_null(), "{code} {out}");
    assert!(said[1]["why"].as_str().unwrap().contains("asia is reached by the engine"), "{out}");
    assert_eq!((said[0]["report"]["ok"].as_bool(), said[2]["report"]["ok"].as_bool()), (Some(true), Some(true)));
    let segment = std::fs::read_dir(estates.journal("us").join("records")).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, text.replacen("Austin", "Boston", 1)).unwrap();
    let (code, out, _) = audit(&["verify", "--format", "json"]);
    let said = json(&out);
    assert_eq!((code, said[0]["report"]["ok"].as_bool()), (3, Some(true)), "{out}");
    assert!(!said[2]["report"]["ok"].as_bool().unwrap_or(false), "{out}");
    let (code, out, _) = audit(&["show", "--format", "json"]);
    let last = json(out.lines().last().unwrap());
    assert_eq!((code, last["estate"].as_str()), (3, Some("us")), "{out}");
    assert!(last["record"].is_null() && !last["why"].as_str().unwrap().is_empty() && !out.contains("Boston"), "{out}");
    assert!(out.contains("Ulm"), "{out}");
}
