//! The pictures: every screen and what lies on top of it at four sizes, the overview in every theme, two consoles on one engine, and the steps of the first exercise.

use super::engine;
use super::estates::{Estates, Way};
use super::picture;
use super::settle;
use super::support::{CTRL_C, DOWN, END, ENTER, ESC, SOON, Start, TAB, Term};
use std::time::Duration;

/// The default exercise at a size, its finding with a playbook on the screen.
fn hurt(size: (u16, u16), home: &std::path::Path) -> Term {
    let args = ["drill", "--seed", "7", "--speed", "4"];
    let term = Term::start(&Start { args: &args, env: &[], home, size });
    let hurts = |t: &str| t.contains("lock chain on t017") && t.contains("→ schema-lock");
    term.until("a lock chain that hurts", Duration::from_secs(90), hurts);
    term
}

/// Opens what a key opens on top, takes its picture, and closes it.
fn on_top(term: &mut Term, key: &str, shows: &str, name: &str) {
    term.keys(key).shows(shows);
    settle();
    picture(term, name);
    // A letter right behind Escape would be read as Alt and that letter.
    term.keys(ESC);
    settle();
}

/// Every screen at the four sizes.
pub fn screens() {
    for size in [(80, 24), (120, 40), (200, 60), (300, 80)] {
        screens_at(size, &format!("{}x{}", size.0, size.1));
    }
    let home = tempfile::tempdir().unwrap();
    let start = Term::start(&Start { args: &[], env: &[], home: home.path(), size: (80, 24) });
    start.shows("No configuration was found");
    picture(&start, "start-80x24");
}

fn screens_at(size: (u16, u16), suffix: &str) {
    let home = tempfile::tempdir().unwrap();
    let mut term = hurt(size, home.path());
    // What was waited for may stand there before its frame is whole.
    settle();
    picture(&term, &format!("overview-{suffix}"));
    for (key, name) in [
        ("t", "tenants"),
        ("d", "database"),
        ("q", "queue"),
        ("i", "ingress"),
        ("5", "platform"),
        ("6", "recovery"),
        ("7", "delivery"),
        ("8", "business"),
        ("9", "security"),
        ("f", "findings"),
        ("n", "incident"),
        ("s", "sources"),
        ("j", "journal"),
        ("p", "playbooks"),
    ] {
        term.keys(key);
        settle();
        picture(&term, &format!("{name}-{suffix}"));
    }
    term.keys("t").shows("t017");
    on_top(&mut term, ENTER, "Tenant t017", &format!("tenant-{suffix}"));
    term.keys("o");
    on_top(&mut term, "?", "Moving", &format!("help-{suffix}"));
    on_top(&mut term, ":", "Palette", &format!("palette-{suffix}"));
    term.keys("f");
    settle();
    term.keys(ENTER).shows("hurts");
    settle();
    picture(&term, &format!("finding-{suffix}"));
    // The main job: declare, start the playbook that fits, the step that waits, its dialog.
    term.keys("o").keys("F").shows("Declare an incident");
    settle();
    picture(&term, &format!("declare-{suffix}"));
    term.keys(TAB).keys(TAB).keys(TAB).shows("> Declare <");
    term.keys(ENTER).shows("INC-1");
    term.keys(" ").shows("[ Start ]");
    term.keys(TAB).keys(TAB).shows("> Start <");
    term.keys(ENTER).shows("risk M");
    settle();
    picture(&term, &format!("run-{suffix}"));
    term.keys(ENTER).shows("> Cancel <");
    term.keys(END).shows("Ready");
    picture(&term, &format!("confirm-{suffix}"));
}

/// The overview in each theme, as the picker puts them on.
pub fn themes() {
    let home = tempfile::tempdir().unwrap();
    let mut term = hurt((120, 40), home.path());
    for name in ["light", "contrast", "contrast-light", "colorblind", "nvg", "amber", "ansi16", "mono"] {
        term.keys("\x14").shows("Themes");
        settle();
        if name == "amber" {
            picture(&term, "themes-120x40");
        }
        term.keys(DOWN);
        settle();
        term.keys(ENTER).until("the picker to close", SOON, |t| !t.contains("Themes"));
        settle();
        picture(&term, &format!("overview-120x40-{name}"));
    }
}

/// Two consoles on one engine at two sizes.
pub fn attached() {
    attached_at((80, 24), "80x24");
    attached_at((120, 40), "120x40");
}

/// Two consoles on one engine, and what the commander sees of them; then the engine is gone.
fn attached_at(size: (u16, u16), suffix: &str) {
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

/// One console over three estates, of which one is in trouble and one is not reached: from the calm one, and side by side.
pub fn estates() {
    let estates = Estates::new();
    let served = engine::Served::start(estates.path(), &["--drill"]);
    let here = estates.config("uscentral");
    let fleet = estates.fleet(&[
        ("uscentral", Way::Config(here)),
        ("acme", Way::Socket(served.socket.clone())),
        ("asia", Way::Socket(estates.socket("asia"))),
    ]);
    for size in [(80, 24), (120, 40), (200, 60), (300, 80)] {
        let suffix = format!("{}x{}", size.0, size.1);
        let mut term = estates.console(&["--config", &fleet], size);
        let trouble = |t: &str| t.contains("3 estates, 1 not reached") && t.contains("✖ acme");
        term.until("an estate in trouble", Duration::from_secs(90), trouble);
        settle();
        picture(&term, &format!("estates-{suffix}"));
        term.keys("o").shows("Tenants");
        settle();
        picture(&term, &format!("elsewhere-{suffix}"));
        term.keys(CTRL_C).ends(SOON);
    }
}

/// The steps of the first exercise, as `docs/first-drill.md` shows them.
pub fn first_drill() {
    let (home, size, long) = (tempfile::tempdir().unwrap(), (100, 30), Duration::from_mins(3));
    let args = ["drill", "--seed", "7", "--speed", "4"];
    let mut term = Term::start(&Start { args: &args, env: &[], home: home.path(), size });
    let shot = |term: &Term, name: &str| {
        settle();
        picture(term, &format!("first-drill-{name}"));
    };
    term.until("a lock chain", long, |t| t.contains("lock chain on t017") && t.contains("declare an incident"));
    shot(&term, "1-next");
    // `x`: it is seen.
    term.keys("x");
    settle();
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
