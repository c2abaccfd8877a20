//! The console in a real pseudo-terminal: what it writes, what it leaves behind, and what it does with what it is sent.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use rustix::process::Signal;
use std::path::Path;
use std::time::Duration;
use support::{
    CTRL_C, CTRL_Z, DOWN, ENTER, ESC, SOON, Start, TAB, Term, kinds, lonely, lonely_with, records, verifies,
};

const WIDE: (u16, u16) = (100, 30);

fn home() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn open(home: &Path, args: &[&str], env: &[(&str, &str)]) -> Term {
    Term::start(&Start { args, env, home, size: WIDE })
}

/// A console on an estate of which nothing answers, with its first frame on the screen and what is not there said.
fn live(home: &Path, env: &[(&str, &str)]) -> Term {
    let file = lonely(home);
    let term = open(home, &["--config", &file], env);
    term.until("the source to be unknown", SOON, |t| t.contains("lonely") && t.contains("pg is not observed"));
    term
}

/// Every screen, one after the other.
fn visit_all(term: &mut Term) {
    for (key, shows) in [
        ("t", "Tenants"),
        ("d", "Database"),
        ("q", "Queue"),
        ("i", "Ingress"),
        ("f", "Findings"),
        ("n", "Incident"),
        ("p", "Playbooks"),
        ("j", "Journal"),
        ("s", "Sources"),
        ("o", "Told and changed"),
    ] {
        term.keys(key).shows(shows);
    }
    term.keys("?").shows("Everywhere");
    escape(term, "Everywhere");
}

/// Presses Esc and waits until it was taken: Esc with another key right behind it is Alt with that key.
fn escape(term: &mut Term, closes: &str) {
    term.keys(ESC).until("Esc to close it", SOON, |t| !t.contains(closes));
}

#[test]
fn the_start_screen_says_where_it_looked_and_q_leaves() {
    let home = home();
    let mut term = open(home.path(), &[], &[]);
    let screen = term.shows("No configuration was found");
    for place in ["QUARTERDECK_CONFIG", "~/.config/quarterdeck/config.toml", "/etc/quarterdeck/config.toml"] {
        assert!(screen.contains(place), "{place} is missing:\n{screen}");
    }
    assert!(screen.contains("run an exercise") && screen.contains("write a configuration"), "{screen}");
    assert_ne!(term.modes()[3], 0);
    assert_eq!(term.keys("q").ends(SOON).exit_code(), 0);
    term.is_given_back();
}

#[test]
fn the_start_screen_opens_an_exercise_by_key_and_by_cursor() {
    for keys in ["d", "\r"] {
        let home = home();
        let mut term = open(home.path(), &[], &[]);
        term.shows("No configuration was found");
        term.keys(keys).until("the drill's banner", SOON, |t| t.contains("DRILL") && t.contains("Tenants"));
        assert_eq!(term.keys(CTRL_C).ends(SOON).exit_code(), 0);
        term.is_given_back();
    }
}

#[test]
fn the_start_screen_heeds_own_keys_and_says_what_is_wrong_with_them() {
    let home = home();
    let folder = home.path().join(".config/quarterdeck");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("keys.toml"), "run-exercise = [\"F2\"]\nquit = [\"z\"]\n").unwrap();
    let mut term = open(home.path(), &[], &[]);
    let screen = term.shows("No configuration was found");
    assert!(screen.contains("F2") && screen.contains("z    quit"), "{screen}");
    // `q` and `d` are nobody's now; `z` comes behind them.
    assert_eq!(term.keys("qdz").ends(SOON).exit_code(), 0);
    std::fs::write(folder.join("keys.toml"), "run-exercise = [\"i\"]\n").unwrap();
    let mut term = open(home.path(), &[], &[]);
    term.shows("the built-in keys are in force: keys.toml:1:17: `i` means");
    assert_eq!(term.keys("q").ends(SOON).exit_code(), 0);
}

#[test]
fn the_start_screen_leads_to_the_questions_that_write_a_configuration() {
    let home = home();
    let mut term = open(home.path(), &[], &[]);
    term.shows("No configuration was found");
    term.keys(DOWN).keys(ENTER).shows("Name of the estate");
    term.is_given_back();
    term.keys("plain\n").shows("Environment");
    term.keys("staging\n").shows("Time zone");
    for question in ["Kubeconfig", "PostgreSQL", "Redis", "Traefik"] {
        term.keys("\n").shows(question);
    }
    assert_eq!(term.keys("\n").ends(SOON).exit_code(), 0, "{}", term.text());
    let file = home.path().join(".config/quarterdeck/config.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\"plain\"") && text.contains("\"staging\""), "{text}");
    assert_eq!(support::run(home.path(), &["config", "check"]).0, 0);
}

#[test]
fn every_way_out_gives_the_terminal_back_and_closes_the_journal() {
    type Way = (&'static str, fn(&mut Term), u32);
    let ways: [Way; 5] = [
        (
            "Ctrl-C",
            |t| {
                t.keys(CTRL_C);
            },
            0,
        ),
        (
            "Quit from the palette",
            |t| {
                t.keys(":").shows("Palette");
                t.keys("quit").shows("Quit; asks while");
                t.keys(ENTER);
            },
            0,
        ),
        ("SIGTERM", |t| t.signal(Signal::TERM), 130),
        ("SIGINT", |t| t.signal(Signal::INT), 130),
        ("SIGHUP", |t| t.signal(Signal::HUP), 130),
    ];
    for (way, leave, code) in ways {
        let home = home();
        let mut term = live(home.path(), &[]);
        leave(&mut term);
        assert_eq!(term.ends(SOON).exit_code(), code, "{way}: {}", term.text());
        term.is_given_back();
        let raw = term.raw();
        let last = |what: &[u8]| raw.windows(what.len()).rposition(|w| w == what);
        for (on, off) in [("\x1b[?1049h", "\x1b[?1049l"), ("\x1b[?25l", "\x1b[?25h"), ("\x1b[?2004h", "\x1b[?2004l")] {
            assert!(last(off.as_bytes()) > last(on.as_bytes()), "{way}: {off:?} does not come last");
        }
        let journal = home.path().join("journal");
        let all = records(home.path(), &journal);
        assert_eq!(kinds(&all).last(), Some(&"journal.closed"), "{way}");
        verifies(home.path(), &journal);
    }
}

#[test]
fn a_lost_connection_ends_it_and_closes_the_journal() {
    let home = home();
    let mut term = live(home.path(), &[]);
    term.lose();
    assert_eq!(term.ends(SOON).exit_code(), 130);
    let all = records(home.path(), &home.path().join("journal"));
    assert_eq!(kinds(&all).last(), Some(&"journal.closed"));
}

/// Run by the test below in a pseudo-terminal of its own.
#[test]
#[ignore = "panics on purpose; another test runs it in a pseudo-terminal"]
fn panics_with_the_terminal_taken() {
    let _guard = quarterdeck::terminal::guard::Guard::enter(true, true).unwrap();
    panic!("on purpose");
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_is_said() {
    let home = home();
    let args = ["panics_with_the_terminal_taken", "--exact", "--ignored", "--nocapture", "--test-threads=1"];
    let start = Start { args: &args, env: &[], home: home.path(), size: WIDE };
    let mut term = Term::start_program(&std::env::current_exe().unwrap(), &start);
    assert_ne!(term.ends(SOON).exit_code(), 0);
    term.is_given_back();
    let raw = String::from_utf8_lossy(&term.raw()).into_owned();
    let (taken, left) = (raw.find("\x1b[?1049h").unwrap(), raw.find("\x1b[?1049l").unwrap());
    let said = raw.find("on purpose").unwrap();
    assert!(taken < left && left < said, "{raw:?}");
    assert!(term.text().contains("on purpose"), "the message is on the screen that stays:\n{}", term.text());
}

/// A console without older records.
struct NoFiles;

impl quarterdeck::terminal::outside::Journal for NoFiles {
    fn records(&self, _: u64, _: u16) -> Result<Vec<quarterdeck::domain::incident::TimelineEntry>, String> {
        Ok(Vec::new())
    }

    fn scan(
        &self,
        _: quarterdeck::console::effect::RequestId,
        _: &quarterdeck::console::state::Wanted,
        _: u64,
        _: &dyn Fn() -> bool,
        _: &mut dyn FnMut(quarterdeck::console::state::Scanned),
    ) {
    }

    fn save(&self, name: &str, _: &str) -> Result<String, String> {
        Err(format!("{name} can not be written"))
    }

    fn open(&self, seq: u64) -> Result<Box<quarterdeck::console::state::RecordView>, String> {
        Err(format!("there is no record {seq}"))
    }
}

/// Run by the test below: a console on a simulated estate, in which a task beside the loop panics.
#[test]
#[ignore = "panics on purpose; another test runs it in a pseudo-terminal"]
fn panics_beside_the_loop() {
    use quarterdeck::console::state::Facts;
    use quarterdeck::console::theme::{Capabilities, ColorDepth, Wardrobe};
    use quarterdeck::domain::{actor::Actor, mode::Mode};
    use quarterdeck::drill::{Drill, Options, catalog};
    use quarterdeck::engine::{adapters, core, state::State};
    use quarterdeck::journal::{OpenOptions, fold};
    use quarterdeck::terminal::console;
    use quarterdeck::terminal::desks::Berth;
    use quarterdeck::terminal::outside::Way;

    let home = home();
    let dir = home.path().join("journal");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let ended = runtime.block_on(async {
        let adapters = adapters::drill(Drill::start(&catalog::load(&[]).0[0].scenario, Options::default()));
        let me = Actor { user: "mara".into(), uid: 0, via: "test".into(), host: "test".into(), console: None };
        let (environment, now) = (adapters.estate.environment, adapters.clock.now());
        let mut state = State::default();
        let open = OpenOptions::new(&dir, "quarterdeck/test", me.clone(), Mode::Drill, environment, now);
        let (journal, _) = tokio::task::block_in_place(|| fold::open(open, &mut state)).unwrap();
        let running = core::start(core::Parts {
            adapters,
            library: quarterdeck::playbook::library::Library::default(),
            journal,
            state,
            journal_dir: String::new(),
            me,
            witnesses: None,
            anchored: None,
            loaded: serde_json::json!({}),
        });
        let can = Capabilities { colors: ColorDepth::True, unicode: true };
        let themes = Wardrobe::open(Some("dark"), &[], can).unwrap();
        let facts = Facts::new("x".into(), Mode::Drill).wearing(&themes);
        let options = console::Options::new(facts, themes);
        let way = Way { client: running.client.clone(), journal: std::sync::Arc::new(NoFiles) };
        let mut beats = running.client.beat.clone();
        tokio::spawn(async move {
            // The engine beats each second, so that some frames have been drawn.
            beats.changed().await.unwrap();
            panic!("on purpose, beside the loop");
        });
        let ended = console::run(Berth::one(way), options).await.unwrap();
        running.end().await;
        ended
    });
    let verified =
        quarterdeck::journal::verify::verify(&dir, &quarterdeck::journal::verify::Options::default()).unwrap();
    println!("ENDED {ended:?}, {:?}", verified.first_bad);
    std::process::exit(7);
}

#[test]
fn a_panic_beside_the_loop_ends_the_console_and_closes_the_journal() {
    let home = home();
    let args = ["panics_beside_the_loop", "--exact", "--ignored", "--nocapture", "--test-threads=1"];
    let start = Start { args: &args, env: &[], home: home.path(), size: WIDE };
    let mut term = Term::start_program(&std::env::current_exe().unwrap(), &start);
    assert_eq!(term.ends(SOON).exit_code(), 7, "{}", term.text());
    term.is_given_back();
    let text = term.text();
    assert!(text.contains("on purpose, beside the loop"), "the message is on the screen that stays:\n{text}");
    assert!(text.contains("ENDED Panicked, None"), "the loop ended by itself, and the journal is whole:\n{text}");
    let raw = String::from_utf8_lossy(&term.raw()).into_owned();
    let said = raw.find("beside the loop").unwrap();
    assert!(!raw[said..].contains("\x1b[?2026h"), "nothing is drawn after it");
}

#[test]
fn suspending_gives_the_terminal_back_and_continuing_draws_everything_again() {
    let home = home();
    let mut term = live(home.path(), &[]);
    let raw = term.modes();
    term.keys(CTRL_Z).until_stopped();
    term.until_given_back();
    term.scribble(b"\x1b[2J\x1b[Hother work");
    term.resize(90, 26);
    term.signal(Signal::CONT);
    term.until("a whole frame in the new size", SOON, |t| {
        t.contains("lonely") && t.contains("Tenants") && !t.contains("other work")
    });
    assert_eq!(term.modes(), raw, "raw mode is back");
    term.keys("j").shows("Journal");
    assert_eq!(term.keys(CTRL_C).ends(SOON).exit_code(), 0);
    term.is_given_back();
}

#[test]
fn after_a_stop_from_outside_everything_is_drawn_again() {
    let home = home();
    let mut term = live(home.path(), &[]);
    term.signal(Signal::STOP);
    term.until_stopped();
    term.scribble(b"\x1b[?1049l\x1b[?25h\x1b[2J\x1b[Ha shell was here");
    term.signal(Signal::CONT);
    term.until_screen("the whole screen to be back", SOON, |s| {
        let text = s.contents();
        s.alternate_screen()
            && s.hide_cursor()
            && text.contains("lonely")
            && text.contains("Tenants")
            && !text.contains("a shell")
    });
    assert_eq!(term.keys(CTRL_C).ends(SOON).exit_code(), 0);
    term.is_given_back();
}

#[test]
fn a_storm_of_sizes_leaves_a_readable_screen() {
    let home = home();
    let mut term = open(home.path(), &["drill", "--speed", "8"], &[]);
    term.shows("DRILL");
    for key in ["o", "t", "d", "f", "n", "j", "p", "s", "?"] {
        term.keys(key);
        for (width, height) in [(1, 1), (2, 1), (20, 3), (1, 40), (300, 1), (40, 10), (48, 12), (300, 80), (80, 24)] {
            term.resize(width, height);
        }
    }
    term.until("the sheet in the last size", SOON, |t| {
        t.lines().next().is_some_and(|line| line.contains("DRILL")) && t.contains("┌ Help") && t.contains("more below")
    });
    term.keys(ESC).until("the sheet to be closed", SOON, |t| t.contains("─Sources") && !t.contains("┌ Help"));
    term.keys("o");
    term.until("the overview to be readable", SOON, |t| {
        t.contains("DRILL") && t.contains("Tenants") && t.contains("Findings")
    });
    for (width, height, shows) in
        [(40, 10, "DRILL"), (20, 3, "DRILL"), (300, 80, "Told and changed"), (80, 24, "Findings")]
    {
        term.resize(width, height);
        term.until_screen(&format!("{width}x{height} to be readable"), SOON, |s| s.contents().contains(shows));
        assert!(term.shared.parser.lock().unwrap().screen().hide_cursor(), "no cursor blinks after {width}x{height}");
    }
    assert_eq!(term.keys(CTRL_C).ends(SOON).exit_code(), 0);
    term.is_given_back();
}

#[test]
fn each_small_size_shows_something() {
    let home = home();
    let mut term = open(home.path(), &["drill"], &[]);
    term.shows("DRILL");
    for (width, height) in [(1, 1), (5, 1), (20, 1), (20, 3), (30, 5), (40, 10)] {
        term.resize(width, height);
        term.until(&format!("{width}x{height} to show something"), SOON, |t| !t.trim().is_empty());
    }
    assert_eq!(term.keys(CTRL_C).ends(SOON).exit_code(), 0);
}

/// The parameters of every SGR sequence that was written.
fn sgr(raw: &[u8]) -> Vec<Vec<u16>> {
    let text = String::from_utf8_lossy(raw);
    let sequences = text.split("\x1b[").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';' && c != ':')?;
        rest[end..].starts_with('m').then(|| &rest[..end])
    });
    sequences.map(|s| s.split([';', ':']).map(|n| n.parse().unwrap_or(0)).collect()).collect()
}

/// The colours among them: (`38` or `48` and its kind, or the number itself).
fn colours(raw: &[u8]) -> Vec<Vec<u16>> {
    let is_colour = |n: u16| matches!(n, 30..=38 | 40..=48 | 58 | 90..=97 | 100..=107);
    sgr(raw).into_iter().filter(|params| params.iter().any(|n| is_colour(*n))).collect()
}

#[test]
fn without_colour_none_is_written_and_nothing_is_lost() {
    let home = home();
    let mut term = open(home.path(), &["drill", "--speed", "20"], &[("NO_COLOR", "1")]);
    term.until("a critical finding", Duration::from_mins(1), |t| t.contains('✖'));
    visit_all(&mut term);
    let found = colours(&term.raw());
    assert!(found.is_empty(), "{:?}", &found[..found.len().min(10)]);
    assert!(!sgr(&term.raw()).is_empty(), "bold and reverse still tell");
}

#[test]
fn sixteen_colours_where_the_terminal_says_no_more() {
    let home = home();
    let mut term = open(home.path(), &["drill", "--speed", "20"], &[("TERM", "xterm"), ("COLORTERM", "")]);
    term.until("a critical finding", Duration::from_mins(1), |t| t.contains('✖'));
    visit_all(&mut term);
    let found = colours(&term.raw());
    assert!(!found.is_empty(), "sixteen colours are colours");
    for params in found {
        for (i, n) in params.iter().enumerate() {
            if matches!(n, 38 | 48 | 58) && i + 1 < params.len() {
                assert!(params[i + 1] == 5 && params[i + 2] < 16, "more than sixteen colours: {params:?}");
                break;
            }
        }
    }
}

#[test]
fn the_mouse_reports_what_is_clicked_and_no_movement() {
    let home = home();
    let term = open(home.path(), &["drill"], &[]);
    term.shows("Tenants");
    let parser = term.shared.parser.lock().unwrap();
    assert_eq!(parser.screen().mouse_protocol_mode(), vt100::MouseProtocolMode::PressRelease);
    assert_eq!(parser.screen().mouse_protocol_encoding(), vt100::MouseProtocolEncoding::Sgr);
}

#[test]
fn a_terminal_without_unicode_gets_ascii() {
    let home = home();
    let mut term = open(home.path(), &["drill", "--speed", "20"], &[("LANG", "C")]);
    term.until("a critical finding", Duration::from_mins(1), |t| t.contains("lock chain"));
    visit_all(&mut term);
    let raw = term.raw();
    if let Some(at) = raw.iter().position(|b| !b.is_ascii()) {
        let around = &raw[at.saturating_sub(80)..(at + 20).min(raw.len())];
        panic!("not ASCII: {:?}", String::from_utf8_lossy(around));
    }
}

#[test]
fn nonsense_neither_ends_it_nor_acts() {
    let home = home();
    let mut term = live(home.path(), &[]);
    // Half a sequence of each sort, followed by what breaks it.
    for part in ["\x1b[", "\x1bO", "\x1b]52;c;", "\x1b[200", "\x1bP", "\x1b[1;5", "\x1b[27;5;", "\x1b[9999999999;1~"] {
        term.keys(part).keys("\x1b\\");
    }
    term.keys("\x1b[<0;M").keys("j").shows("Journal, newest last");
    // `Esc` while the wheel turns: the digits of its report would lead to Recovery.
    term.keys("o").shows("What changed");
    term.keys("j").shows("Journal, newest last");
    term.keys("\x1b\x1b[<65;61;16M").shows("What changed");
    // Bytes above ASCII in an order that makes no UTF-8, and every control but those that have a meaning. An
    // ordinary letter at the end completes whatever sequence they may have begun.
    let rubbish: Vec<u8> = (0..4000u32)
        .map(|n| u8::try_from(n * 73 % 256).unwrap())
        .filter(|b| *b >= 0x80 || matches!(b, 0..=2 | 4..=7 | 0x0e | 0x0f | 0x11..=0x13 | 0x15..=0x17 | 0x1c..=0x1f))
        .collect();
    term.send(&rubbish).keys("zzzz").keys("o").shows("What changed");
    // Keys that would declare, note, stop and quit, if they were typed.
    let paste = "F\r\t\t\rN\x18\x03:quit\r ".repeat(10_000 / 16);
    term.keys("\x1b[200~").keys(&paste).keys("\x1b[201~");
    // Its answer to keys is still there.
    term.shows("pasted text is ignored");
    term.keys("j").shows("Journal, newest last");
    term.keys("o").shows("What changed");
    assert_eq!(term.keys(CTRL_C).ends(SOON).exit_code(), 0);
    term.is_given_back();
    let all = records(home.path(), &home.path().join("journal"));
    let acted: Vec<_> = kinds(&all)
        .into_iter()
        .filter(|k| !["journal", "config", "console", "finding"].contains(&k.split('.').next().unwrap()))
        .collect();
    assert!(acted.is_empty(), "{acted:?}");
}

#[test]
fn a_second_console_is_told_who_holds_the_estate_and_may_attach() {
    let home = home();
    let mut first = live(home.path(), &[]);
    let file = home.path().join("c.toml").display().to_string();
    let mut second = open(home.path(), &["--config", &file], &[("USER", "jon")]);
    let asked = second.shows("Enter attaches");
    assert!(asked.contains("mara") && asked.contains(&first.pid().to_string()) && asked.contains("lonely"), "{asked}");
    assert_eq!(second.keys("q\r").ends(SOON).exit_code(), 1);
    let said = second.text();
    assert!(said.contains("quarterdeck attach"), "{said}");
    assert!(!second.raw().windows(8).any(|w| w == b"\x1b[?1049h"), "no screen was opened");
    second.is_given_back();
    // Enter opens a console on the engine of the first.
    let mut second = open(home.path(), &["--config", &file], &[("USER", "jon")]);
    second.shows("Enter attaches");
    second.keys(ENTER).shows("Tenants");
    second
        .keys("W")
        .until("both to be attached", SOON, |t| t.contains("You are jon") && t.contains("2 consoles attached"));
    assert_eq!(second.keys(CTRL_C).ends(SOON).exit_code(), 0);
    second.is_given_back();
    first.keys("j").shows("Journal");
    assert_eq!(first.keys(CTRL_C).ends(SOON).exit_code(), 0);
    // Once the first has ended the estate is free.
    let mut third = open(home.path(), &["--config", &file], &[("USER", "jon")]);
    third.shows("lonely");
    assert_eq!(third.keys(CTRL_C).ends(SOON).exit_code(), 0);
}

#[test]
fn read_only_is_on_every_screen_and_starts_nothing() {
    let home = home();
    let file = lonely(home.path());
    let books = home.path().join(".config/quarterdeck/playbooks");
    std::fs::create_dir_all(&books).unwrap();
    std::fs::write(books.join("look.yaml"), LOOK).unwrap();
    let mut term = open(home.path(), &["--config", &file, "--read-only"], &[]);
    term.shows("READ-ONLY");
    for key in ["t", "d", "q", "i", "f", "n", "j", "s", "p"] {
        term.keys(key).shows("READ-ONLY");
    }
    term.keys("/")
        .keys("waits for whom\r")
        .until("the playbook", SOON, |t| t.contains(" 1 of ") && t.contains("look v1"));
    term.keys(ENTER).until("the form or the refusal", SOON, |t| t.contains("read-only") || t.contains("[ Start ]"));
    if term.text().contains("[ Start ]") {
        term.keys("t1").keys(TAB).keys(TAB).keys(ENTER);
        term.shows("read-only");
    }
    assert_eq!(term.keys(CTRL_C).ends(SOON).exit_code(), 0);
    let all = records(home.path(), &home.path().join("journal"));
    assert!(!kinds(&all).iter().any(|k| k.starts_with("run.") || k.starts_with("step.")), "{:?}", kinds(&all));
    assert!(all.iter().all(|r| r["mode"] == "read-only"), "mode is in every record");
}

const LOOK: &str = r#"schemaVersion: 1
id: look
name: Look at the locks
version: 1
owner: dba
description: Shows who waits for whom.
parameters:
  tenant: {type: tenant, required: true}
steps:
  - id: show
    name: show blocking tree
    why: see
    type: check
    run: {adapter: postgres, verb: blocking_tree, args: {instance: "{{ tenant.instance }}", database: "{{ tenant.database }}"}}
"#;

#[test]
fn a_journal_that_can_not_be_kept_is_said_before_the_screen_opens() {
    let home = home();
    std::fs::write(home.path().join("file"), "in the way").unwrap();
    // Not even root makes a directory in /proc.
    for journal in [home.path().join("file"), home.path().join("file/journal"), "/proc/quarterdeck".into()] {
        let file = lonely_with(home.path(), &journal);
        let mut term = open(home.path(), &["--config", &file], &[]);
        assert_eq!(term.ends(SOON).exit_code(), 1, "{}", term.text());
        let said = term.text().replace('\n', "");
        assert!(said.contains(&journal.display().to_string()), "{said}");
        assert!(!term.raw().windows(8).any(|w| w == b"\x1b[?1049h"), "no screen was opened");
        term.is_given_back();
    }
}

#[test]
fn a_quiet_estate_writes_its_heartbeat_and_little_else() {
    let home = home();
    let term = live(home.path(), &[]);
    let heart = |t: &str| t.lines().next().and_then(|line| line.trim_end().chars().last());
    let beat = |before: Option<char>| {
        let screen = term.until("the heart to beat", SOON, |t| heart(t) != before);
        heart(&screen)
    };
    let mut last = beat(None);
    // The first answers of the sources have been drawn after a few beats.
    for _ in 0..3 {
        last = beat(last);
    }
    let before = term.bytes();
    let began = std::time::Instant::now();
    for _ in 0..5 {
        last = beat(last);
    }
    let (bytes, seconds) = (term.bytes() - before, began.elapsed().as_secs() + 1);
    assert!(
        bytes <= 64 * seconds,
        "{bytes} bytes in {seconds} s: {:?}",
        String::from_utf8_lossy(&term.raw()[usize::try_from(before).unwrap()..])
    );
    assert!(bytes >= 5, "a heart that beats is written");
}

#[test]
fn an_own_editor_gets_the_terminal_and_what_it_leaves_is_in_the_note() {
    let home = home();
    let editor = home.path().join("editor");
    std::fs::write(&editor, "#!/bin/sh\nprintf 'EDITOR HAS IT: '\nread line\nprintf '%s' \"$line\" > \"$1\"\n")
        .unwrap();
    std::fs::set_permissions(&editor, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let mut term = live(home.path(), &[("VISUAL", editor.to_str().unwrap())]);
    term.keys("N").shows("Ctrl-G editor");
    term.keys("\u{7}").shows("EDITOR HAS IT:");
    // The terminal is the editor's: in line mode, on the first screen, and with nobody else at its keys.
    term.is_given_back();
    // What is typed is seen at once; the dialog is there again when the editor has ended.
    term.keys("pump 3 stands\n");
    term.until("the note with the text", SOON, |t| t.contains("note  pump 3 stands") && t.contains("Ctrl-G editor"));
    term.keys(TAB).keys(TAB).keys(ENTER).until("the note to be sent", SOON, |t| !t.contains("Ctrl-G editor"));
    assert_eq!(term.keys(CTRL_C).ends(SOON).exit_code(), 0);
    let all = records(home.path(), &home.path().join("journal"));
    assert!(all.iter().any(|r| r.to_string().contains("pump 3 stands")), "{all:?}");
}

#[test]
fn own_keys_act_and_wrong_ones_keep_nobody_out() {
    let home = home();
    let own = home.path().join(".config/quarterdeck");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::write(own.join("keys.toml"), "journal = [\"F2\"]\n").unwrap();
    let (code, said, _) = support::run(home.path(), &["keys"]);
    assert!(code == 0 && said.lines().any(|l| l.starts_with("journal ") && l.contains(" F2 ")), "{said}");
    let mut term = live(home.path(), &[]);
    term.keys("\u{1b}OQ").shows("Journal, newest last");
    assert_eq!(term.keys(CTRL_C).ends(SOON).exit_code(), 0);
    std::fs::write(own.join("keys.toml"), "journal = [\"t\"]\n").unwrap();
    assert_eq!(support::run(home.path(), &["keys"]).0, 2);
    let mut term = live(home.path(), &[]);
    let screen = term.shows("the built-in keys are in force");
    assert!(screen.contains("keys.toml:1:12: `t` means `tenants`"), "{screen}");
    term.keys("j").shows("Journal, newest last");
    assert_eq!(term.keys(CTRL_C).ends(SOON).exit_code(), 0);
}

#[test]
fn a_slow_link_gets_two_kibibytes_a_second() {
    let home = home();
    let mut term = open(home.path(), &["drill", "--bandwidth", "low"], &[]);
    term.until("the drill's banner", SOON, |t| t.contains("DRILL") && t.contains("Tenants"));
    let (start, before) = (std::time::Instant::now(), term.raw().len());
    // The estate changes all the time, and somebody looks around in it.
    for (key, shows) in [("d", "Lock tree"), ("q", "Job channels"), ("f", "Findings"), ("j", "Journal, newest last")] {
        term.keys(key).until(shows, Duration::from_mins(1), |t| t.contains(shows));
    }
    let (bytes, took) = (u32::try_from(term.raw().len() - before).unwrap(), start.elapsed().as_secs_f64());
    // Half a second may run ahead, and the last frame, of a few thousand bytes, is written before it is carried.
    let most = 2048.0 * (took + 0.5) + 6_000.0;
    assert!(f64::from(bytes) < most, "{bytes} bytes in {took} s");
    term.keys(CTRL_C);
    term.ends(SOON);
}

/// Opens the sheet of a tenant's logs, which has an address of traces; answers the screen and what was written.
fn logs_with_a_trace_link(term: &mut Term) -> (String, String) {
    term.shows("lonely");
    term.keys("t").shows("Tenants");
    term.keys("l");
    let screen = term.until("the address", SOON, |t| t.contains("https://traces.example/t1"));
    (screen, String::from_utf8_lossy(&term.raw()).into_owned())
}

#[test]
fn web_addresses_are_links_where_they_are_wanted_and_the_terminal_knows_them() {
    let home = home();
    let file = lonely(home.path());
    let text = std::fs::read_to_string(&file).unwrap();
    let link = "trace_link = \"https://traces.example/{tenant}?from={from}\"\n";
    let with = text.replace("name = \"lonely\"\n", &format!("name = \"lonely\"\n{link}"));
    let off = format!("{with}[console]\nhyperlinks = \"off\"\n");
    let cases = [
        (with.as_str(), &[][..], &[][..], true),
        (&with, &[("TERM", "linux")], &[], false),
        (&with, &[], &["--bandwidth", "low"], false),
        (&off, &[], &[], false),
    ];
    for (text, env, args, linked) in cases {
        std::fs::write(&file, text).unwrap();
        let mut term = open(home.path(), &[&["--config", file.as_str()], args].concat(), env);
        let (screen, wrote) = logs_with_a_trace_link(&mut term);
        assert_eq!(wrote.contains("\x1b]8;id="), linked, "{env:?} {args:?} {screen}");
        if linked {
            assert!(wrote.contains(";https://traces.example/t1?from="), "{wrote:?}");
            assert!(wrote.matches("\x1b]8;;\x07").count() >= 1, "an opened link is closed");
        }
        term.keys(CTRL_C).ends(SOON);
    }
    // In plain lines there is no control sequence at all, whatever is wanted.
    std::fs::write(&file, with.replace("[journal]", "[console]\nhyperlinks = \"on\"\n[journal]")).unwrap();
    let mut term = open(home.path(), &["--config", &file, "--plain"], &[]);
    term.shows("lonely");
    term.keys("tenants\nl\n").shows("https://traces.example/t1");
    assert!(!String::from_utf8_lossy(&term.raw()).contains("\x1b]8"));
}
