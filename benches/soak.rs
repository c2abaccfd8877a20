//! A day of an estate in twenty-four minutes: whether memory, descriptors or threads grow. Prints figures and ratios within
//! one run; asserts nothing.
//!
//! `cargo bench --bench soak` serves a simulated estate at sixty times its time, with a deploy, a silent source and a lock
//! chain on another tenant each hour. A console on a pseudo-terminal is attached all the while, and with real keys each
//! chain is declared, ended by its playbook and closed. `-- HOURS` makes it shorter. `-- pid PID` looks at a process that
//! runs already, such as an engine on the laboratory, for as long as it lives.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a tool for developers; it fails by panicking"
)]

#[path = "../tests/support/engine.rs"]
mod engine;
mod measured;
#[path = "../tests/support/mod.rs"]
mod support;

use engine::Served;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};
use support::{CTRL_C, END, ENTER, SOON, Start, TAB, Term};

/// Seconds of the estate that pass in one.
const SPEED: u64 = 60;
/// Hours of the estate until what is kept of the past has its size: ten minutes.
const SETTLED: u64 = 10;
const TENANTS: [&str; 8] = ["t017", "t003", "t044", "t090", "t001", "t002", "t004", "t005"];
/// An hour, and what comes late in it.
const LONG: Duration = Duration::from_mins(2);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match args.as_slice() {
        [word, pid] if word == "pid" => watch(pid.parse().expect("PID is a number")),
        [hours] => day(hours.parse().expect("HOURS is a number")),
        _ => day(24),
    }
}

/// What a process holds.
#[derive(Clone, Copy)]
struct Held {
    mib: f64,
    descriptors: usize,
    threads: usize,
}

impl Held {
    fn by(pid: u32) -> Self {
        let count = |what: &str| std::fs::read_dir(format!("/proc/{pid}/{what}")).unwrap().count();
        Self { mib: measured::memory(pid, "VmRSS"), descriptors: count("fd"), threads: count("task") }
    }

    fn words(self) -> String {
        format!("{:.1} MiB, {} descriptors, {} threads", self.mib, self.descriptors, self.threads)
    }

    /// What became of it, to what it was.
    fn since(self, before: Self) -> String {
        format!(
            "memory x{:.3} ({:+.1} MiB), descriptors {:+}, threads {:+}",
            self.mib / before.mib,
            self.mib - before.mib,
            self.descriptors.cast_signed() - before.descriptors.cast_signed(),
            self.threads.cast_signed() - before.threads.cast_signed()
        )
    }
}

/// The scenario: what comes in each hour.
fn scenario(hours: u64) -> String {
    let mut text = format!(
        "exercise:\n  id: soak\n  name: A day\n  briefing: Nothing but work.\n  objectives: [keep on]\n  seed: 7\n  \
         minutes: {hours}\n  clock: {{start: 2026-11-20T00:00:00Z, speed: {SPEED}}}\n  roles: [commander, operator, approver]\n\
         baseline:\n  size: {{tenants: 24}}\ninjects:\n"
    );
    for (hour, tenant) in (0..hours).zip(TENANTS.iter().cycle()) {
        let mut comes = |id: &str, minute: u64, effect: &str| {
            let at = hour * 3600 + minute * 60;
            writeln!(text, "  - {{id: {id}-{hour}, at: T+{at}s, channel: telemetry, effects: [{effect}]}}").unwrap();
        };
        comes("silent", 2, "{fault: telemetry-gap, source: pg-b-r, seconds: 240}");
        comes("deploy", 4, &format!("{{fault: deploy, tenant: {tenant}, tag: r{hour}}}"));
        let root = "root: idle-in-transaction, table: sale_order, application: odoo-deploy";
        comes("lock", 5, &format!("{{fault: lock-chain, tenant: {tenant}, {root}}}"));
    }
    text
}

/// The chain of an hour: declared, ended, closed.
fn worked_off(term: &mut Term, tenant: &str) {
    term.keys("o");
    term.until("the chain to hurt", LONG, |t| {
        t.contains(&format!("lock chain on {tenant}")) && t.contains("→ schema-lock")
    });
    term.keys("F").shows("Declare an incident");
    term.keys(TAB).keys(TAB).keys(TAB).shows("> Declare <");
    term.keys(ENTER).until("the playbook to be next", LONG, |t| t.contains("start schema-lock"));
    term.keys(" ").shows("[ Start ]");
    term.keys(TAB).keys(TAB).shows("> Start <");
    term.keys(ENTER);
    let mut before = String::new();
    loop {
        let screen = term.until("something else to be next", LONG, |t| next(t).is_some_and(|next| next != before));
        next(&screen).unwrap_or_default().clone_into(&mut before);
        if before.contains("close INC-") {
            break;
        } else if before.contains("confirm step ") {
            term.keys(" ").shows("> Cancel <");
            let typed = if before.contains("risk H") { tenant } else { "" };
            term.keys(END).keys(typed).keys(TAB).shows("> Run <");
            term.keys(ENTER).until("the dialog to be closed", LONG, |t| !t.contains("> Run <"));
        } else if before.contains("unblock step ") {
            // A source was late: at sixty times its time the machine's hiccups are minutes.
            term.keys("r");
        }
    }
    term.keys(" ").shows("Close INC-");
    term.keys("the deploy job was ended").keys(TAB).keys(TAB).shows("> Close <");
    term.keys(ENTER).until("the incident to be closed", LONG, |t| !t.contains("close INC-"));
}

/// What the console says is next, without its key.
fn next(screen: &str) -> Option<&str> {
    screen
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("Next: "))
        .map(|next| next.trim_end_matches("Space").trim())
}

fn size(dir: &Path) -> u64 {
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => size(&entry.path()),
        Ok(about) => about.len(),
        Err(_) => 0,
    };
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(of).sum()
}

fn day(hours: u64) {
    let home = tempfile::tempdir().unwrap();
    let drills = home.path().join(".config/quarterdeck/drills");
    std::fs::create_dir_all(&drills).unwrap();
    std::fs::write(drills.join("soak.yaml"), scenario(hours)).unwrap();
    let served = Served::start(home.path(), &["--drill=soak"]);
    let socket = served.socket.display().to_string();
    let args = ["attach", "--socket", &socket];
    let mut term = Term::start(&Start { args: &args, env: &[], home: home.path(), size: (120, 40) });
    term.shows("DRILL");
    let journal = served.socket.parent().unwrap().to_path_buf();
    let (began, console) = (Instant::now(), term.pid());
    let (mut first, mut last) = (None, None);
    for (hour, tenant) in (1..=hours).zip(TENANTS.iter().cycle()) {
        worked_off(&mut term, tenant);
        let until = Duration::from_secs(hour * 3600 / SPEED).saturating_sub(Duration::from_secs(3));
        std::thread::sleep(until.saturating_sub(began.elapsed()));
        let now = (Held::by(served.pid()), Held::by(console));
        println!(
            "hour {hour}: engine {}; console {}; journal {} kB",
            now.0.words(),
            now.1.words(),
            size(&journal) / 1000
        );
        if hour <= SETTLED {
            first = Some((hour, now));
        }
        last = Some((hour, now));
    }
    if let (Some((from, before)), Some((to, after))) = (first, last) {
        println!("engine, hour {from} to {to}: {}", after.0.since(before.0));
        println!("console, hour {from} to {to}: {}", after.1.since(before.1));
    }
    term.keys(CTRL_C).ends(SOON);
    served.ends();
}

fn watch(pid: u32) {
    let (began, mut settled, mut said) = (Instant::now(), None, Held::by(pid));
    while Path::new(&format!("/proc/{pid}/fd")).exists() {
        said = Held::by(pid);
        let minute = began.elapsed().as_secs() / 60;
        println!("minute {minute}: {}", said.words());
        if minute <= 10 {
            settled = Some((minute, said));
        }
        std::thread::sleep(Duration::from_mins(1));
    }
    if let Some((minute, before)) = settled {
        println!("since minute {minute}: {}", said.since(before));
    }
}
