//! Takes the pictures in `screenshots/` from the running program: `screenshots/make`. It plays the default exercise
//! with real keys in a pseudo-terminal, and writes what the terminal then shows.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a tool for developers; it fails by panicking"
)]

#[path = "../tests/support/engine.rs"]
mod engine;
#[path = "../tests/support/picture.rs"]
mod picture;
#[path = "../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::time::Duration;
use support::{CTRL_C, END, ENTER, ESC, SOON, Start, TAB, Term};

fn picture(term: &Term, name: &str) {
    let parser = term.shared.parser.lock().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("screenshots").join(format!("{name}.svg"));
    std::fs::write(&path, picture::svg(parser.screen())).unwrap();
    println!("{}", path.display());
}

fn play(size: (u16, u16), env: &[(&str, &str)], suffix: &str, whole: bool) {
    let home = tempfile::tempdir().unwrap();
    let long = Duration::from_secs(90);
    let mut term =
        Term::start(&Start { args: &["drill", "--seed", "7", "--speed", "4"], env, home: home.path(), size });
    term.until("a lock chain that hurts", long, |t| t.contains("lock chain on t017") && t.contains("→ schema-lock"));
    picture(&term, &format!("overview-{suffix}"));
    if !whole {
        return;
    }
    for (key, name) in [
        ("t", "tenants"),
        ("d", "database"),
        ("q", "queue"),
        ("i", "ingress"),
        ("n", "incident"),
        ("s", "sources"),
        ("j", "journal"),
        ("p", "playbooks"),
        ("?", "help"),
    ] {
        term.keys(key);
        std::thread::sleep(Duration::from_millis(700));
        picture(&term, &format!("{name}-{suffix}"));
    }
    // The main job: declare, start the playbook that fits, the step that waits, its dialog.
    // A letter right behind Escape would be read as Alt and that letter.
    term.keys(ESC).until("the help to close", SOON, |t| !t.contains("Everywhere"));
    term.keys("o").keys("F").shows("Declare an incident");
    term.keys(TAB).keys(TAB).keys(TAB).shows("> Declare <");
    term.keys(ENTER).shows("INC-1");
    term.keys(" ").shows("[ Start ]");
    term.keys(TAB).keys(TAB).shows("> Start <");
    term.keys(ENTER).shows("risk M");
    picture(&term, &format!("run-{suffix}"));
    term.keys(ENTER).shows("> Cancel <");
    term.keys(END).shows("Ready");
    picture(&term, &format!("confirm-{suffix}"));
}

/// Two consoles on one engine, and what the commander sees of them; then the engine is gone.
fn attached(size: (u16, u16), suffix: &str) {
    let home = tempfile::tempdir().unwrap();
    let served = engine::Served::start(home.path(), &["--drill"]);
    let socket = served.socket.display().to_string();
    let open = |user: &str, more: &[&str]| {
        let args = [&["attach", "--socket", &socket], more].concat();
        let env = [("USER", user), ("SSH_CONNECTION", "203.0.113.7 50022 203.0.113.1 22")];
        let term = Term::start(&Start { args: &args, env: &env, home: home.path(), size });
        term.shows("DRILL");
        term
    };
    let (mut mara, mut jon) = (open("mara", &[]), open("jon", &["--read-only"]));
    let long = Duration::from_secs(90);
    mara.until("a lock chain that hurts", long, |t| t.contains("lock chain on t017") && t.contains("→ schema-lock"));
    mara.keys("F").shows("Declare an incident");
    mara.keys(TAB).keys(TAB).keys(TAB).shows("> Declare <");
    mara.keys(ENTER).shows("INC-1");
    mara.keys("W").shows("2 consoles attached");
    picture(&mara, &format!("who-{suffix}"));
    mara.keys(ESC).until("the sheet to close", SOON, |t| !t.contains("2 consoles attached"));
    mara.keys("b").shows("runs open");
    picture(&mara, &format!("brief-{suffix}"));
    jon.keys("o").shows("OBSERVER");
    served.kill();
    jon.until("the loss and its seconds", SOON, |t| t.contains("ENGINE GONE") && t.contains("(2 s)"));
    picture(&jon, &format!("gone-{suffix}"));
}

/// The steps of the first exercise, as `docs/first-drill.md` shows them.
fn first_drill() {
    let (home, size, long) = (tempfile::tempdir().unwrap(), (100, 30), Duration::from_mins(3));
    let args = ["drill", "--seed", "7", "--speed", "4"];
    let mut term = Term::start(&Start { args: &args, env: &[], home: home.path(), size });
    let shot = |term: &Term, name: &str| {
        // What was typed last has to be drawn.
        std::thread::sleep(Duration::from_millis(700));
        picture(term, &format!("first-drill-{name}"));
    };
    term.until("a lock chain", long, |t| t.contains("lock chain on t017") && t.contains("declare an incident"));
    shot(&term, "1-next");
    // `x`: it is seen.
    term.keys("x");
    std::thread::sleep(Duration::from_millis(700));
    term.keys(" ").shows("Declare an incident");
    term.keys(TAB).keys(TAB).keys(TAB).shows("> Declare <");
    shot(&term, "2-declare");
    term.keys(ENTER).shows("INC-1");
    term.until("the playbook to be next", long, |t| t.contains("start schema-lock"));
    term.keys(" ").shows("[ Start ]");
    term.keys(TAB).keys(TAB).shows("> Start <");
    term.keys(ENTER).shows("risk M");
    term.keys(ENTER).shows("> Cancel <");
    term.keys(END).shows("Ready");
    shot(&term, "3-confirm");
    term.keys(TAB).shows("> Run <");
    term.keys(ENTER).until("the step of high risk to wait", long, |t| t.contains("risk H") && t.contains("confirm"));
    shot(&term, "4-failed");
    term.keys(ENTER).shows("> Cancel <");
    term.keys(END).keys("t017");
    shot(&term, "5-typed");
    term.keys(TAB).keys(ENTER);
    term.until("the end of the incident to be next", long, |t| t.contains("close INC-1"));
    shot(&term, "6-close");
    term.keys(" ").shows("Close INC-1");
    term.keys("the deploy job was ended").keys(TAB).keys(TAB).shows("> Close <");
    term.keys(ENTER).until("the score to be next", long, |t| t.contains("read how the exercise went"));
    term.keys(" ").until("the score", long, |t| t.contains("points in"));
    shot(&term, "7-score");
    term.keys(ESC).keys(CTRL_C);
}

fn main() {
    if std::env::args().nth(1).is_some_and(|a| a == "first-drill") {
        return first_drill();
    }
    first_drill();
    attached((80, 24), "80x24");
    attached((120, 40), "120x40");
    if std::env::args().nth(1).is_some_and(|a| a == "attached") {
        return;
    }
    play((80, 24), &[], "80x24", true);
    play((120, 40), &[], "120x40", true);
    play((200, 60), &[], "200x60", false);
    play((80, 24), &[("TERM", "xterm"), ("COLORTERM", "")], "80x24-ansi16", false);
    play((80, 24), &[("NO_COLOR", "1")], "80x24-no-color", false);
}
