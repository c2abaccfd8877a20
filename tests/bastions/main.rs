//! Whole engines on several bastions, as an operator starts them, that write one journal in PostgreSQL: one that dies in the
//! middle of a step, a primary that dies, and histories of both with partitions made by holding and cutting connections and
//! by stopping processes. After each: nothing that a command said was done is missing from any copy, nothing stands twice,
//! no step was sent twice, and what the database holds verifies against every copy.
//!
//! `QUARTERDECK_HISTORIES` says how many histories are played; without it one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "../support/engine.rs"]
mod engine;
#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/shared_journal.rs"]
mod shared_journal;
#[path = "../support/mod.rs"]
mod support;

mod cable;
mod shares;
mod site;
mod thing;

use cable::Way;
use rustix::process::Signal;
use serde_json::Value;
use site::{Bastion, Site, Stands};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::SOON;

/// Longest wait for something that engines do among themselves.
const LONG: Duration = Duration::from_mins(3);
/// Things that go wrong in one history beside the failover.
const FAULTS: usize = 6;

fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LONG;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "still not: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Three bastions whose engines serve.
fn three(site: &Site) -> [Bastion; 3] {
    let first = Bastion::new(site, "one");
    first.serve();
    let others = ["two", "three"].map(|name| first.beside(site, name));
    others.iter().for_each(Bastion::serve);
    let [second, third] = others;
    [first, second, third]
}

/// A run as an engine tells of it.
fn run_at(bastion: &Bastion, run: &str) -> Option<Value> {
    let runs = bastion.json(&["run", "list"]);
    runs.as_array().unwrap().iter().find(|r| r["id"] == run).cloned()
}

/// Waits until all copies hold the same, verifies them, and gives back the records.
fn agreed(bastions: &[Bastion]) -> Vec<Value> {
    for bastion in bastions {
        // Whoever writes has taken in everything before it.
        until("the journal takes a note again", || {
            (bastion.run(&["incident", "note", "INC-1", "the end"]).0 == 0).then_some(())
        });
    }
    let records = until("all copies hold the same", || {
        let mut all: Vec<_> = bastions.iter().map(Bastion::records).collect();
        let first = all.remove(0);
        all.iter().all(|other| *other == first).then_some(first)
    });
    bastions.iter().for_each(Bastion::verifies);
    records
}

fn of_kind<'a>(records: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    records.iter().filter(move |r| r["kind"] == kind)
}

fn run_of(record: &Value) -> &str {
    record["body"]["run"].as_str().unwrap()
}

#[test]
#[ignore = "half a minute; tests/campaign plays it"]
fn an_engine_dies_in_the_middle_of_a_step_and_another_goes_on_without_sending_it_again() {
    let Some(site) = Site::start() else { return };
    let bastions = three(&site);
    let [first, second, third] = &bastions;
    assert_eq!(first.run(&["incident", "declare", "it stands"]).0, 0);
    let waits = first.send(&["--param", "number=1", "--incident", "INC-1"]).unwrap();
    assert_eq!(waits.waits, "confirmation", "{waits:?}");
    // The others see it, and may not act on it.
    until("the run is seen", || run_at(second, &waits.run));
    let refused = second.confirm(&waits).unwrap_err();
    assert!(refused.contains("led by the engine on"), "{refused}");
    site.thing.hold(true);
    std::thread::scope(|scope| {
        let confirmed = scope.spawn(|| first.confirm(&waits));
        site.thing.comes(1, LONG);
        assert!(first.kill());
        let _ = confirmed.join().unwrap();
    });
    site.thing.hold(false);

    // One of the two takes it over, as stopped, with an outcome that nobody knows.
    let led = until("somebody takes it over", || {
        let taken = |b: &&Bastion| run_at(b, &waits.run).is_some_and(|r| r["state"] == "unknown");
        [second, third].into_iter().find(taken)
    });
    let stands = led.send(&["--continue", &waits.run]).unwrap();
    assert_eq!(stands.waits, "decision", "{stands:?}");
    // The primary dies while a person decides.
    site.fail_over(&bastions);
    let stands = until("the decision is taken", || {
        // While the journal was away leases ended: either of the two may lead now.
        let decide = |b: &Bastion| b.send(&["--continue", &waits.run, "--decide", "act=took-effect:seen there"]).ok();
        [second, third].into_iter().find_map(|b| decide(b).filter(|s| s.state == "finished"))
    });
    assert_eq!(stands.waits, "", "{stands:?}");
    assert_eq!(site.thing.count(1), 1);

    // The dead one comes back, to what has become of its run.
    first.serve();
    until("it is known there too", || run_at(first, &waits.run).is_none_or(|r| r["state"] == "finished").then_some(()));
    let records = agreed(&bastions);
    for kind in ["step.started", "step.unknown", "run.finished"] {
        assert_eq!(of_kind(&records, kind).count(), 1, "{kind}");
    }
    assert_eq!(of_kind(&records, "lead.taken").filter(|r| r["body"]["what"] == "INC-1").count(), 2);
}

/// What people have seen of one history.
#[derive(Default)]
struct Seen {
    noted: Vec<String>,
    finished: BTreeSet<u64>,
    refused: u64,
    decided: u64,
}

struct History<'a> {
    site: &'a Site,
    bastions: &'a [Bastion],
    seen: Mutex<Seen>,
    numbers: AtomicU64,
    /// Whether a step is being confirmed at a bastion.
    acting: [AtomicBool; 3],
    over: AtomicBool,
}

impl History<'_> {
    /// A person at one bastion: writes notes, starts runs and confirms them, and goes on with runs that stand still.
    fn person(&self, at: usize, mut rng: fastrand::Rng) {
        while !self.over.load(Ordering::Relaxed) {
            if self.bastions[at].engine.lock().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(50));
                continue;
            }
            let incident = format!("INC-{}", rng.u8(1..=3));
            match rng.u8(..4) {
                0 => self.note(at, &incident),
                1 => self.tidy(at),
                _ => self.act(at, &incident),
            }
        }
    }

    fn refused(&self) {
        self.seen.lock().unwrap().refused += 1;
    }

    fn note(&self, at: usize, incident: &str) {
        let text = format!("note {}", self.numbers.fetch_add(1, Ordering::Relaxed));
        match self.bastions[at].run(&["incident", "note", incident, &text]).0 {
            0 => self.seen.lock().unwrap().noted.push(text),
            _ => self.refused(),
        }
    }

    fn act(&self, at: usize, incident: &str) {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let param = format!("number={number}");
        let bastion = &self.bastions[at];
        let stands = bastion.send(&["--param", &param, "--incident", incident]);
        let stands = stands.and_then(|stands| {
            if stands.waits != "confirmation" {
                return Ok(stands);
            }
            self.acting[at].store(true, Ordering::Relaxed);
            let stands = bastion.confirm(&stands);
            self.acting[at].store(false, Ordering::Relaxed);
            stands
        });
        match stands {
            Ok(stands) if stands.state == "finished" => {
                self.seen.lock().unwrap().finished.insert(number);
            }
            _ => self.refused(),
        }
    }

    /// Goes on with the runs that this engine holds and that stand still. Nobody sends a number again whose fate is unknown.
    fn tidy(&self, at: usize) {
        let bastion = &self.bastions[at];
        let (code, out, _) = bastion.run(&["run", "list", "--format", "json"]);
        if code != 0 {
            return self.refused();
        }
        let runs: Value = serde_json::from_str(&out).unwrap();
        let still =
            |r: &&Value| r["led_by"].is_null() && ["unknown", "stopped", "waiting"].iter().any(|s| r["state"] == *s);
        for run in runs.as_array().unwrap().iter().filter(still) {
            let id = run["id"].as_str().unwrap();
            let Ok(stands) = bastion.send(&["--continue", id]) else {
                self.refused();
                continue;
            };
            self.settle(bastion, &stands);
        }
    }

    fn settle(&self, bastion: &Bastion, stands: &Stands) {
        let has = |key: &str| stands.choices.iter().any(|c| c == key);
        let done = match stands.waits.as_str() {
            "confirmation" => bastion.confirm(stands),
            "decision" if has("took-effect") => {
                self.seen.lock().unwrap().decided += 1;
                // Whether it did is what the thing counts; it is not sent again in any case.
                bastion.send(&["--continue", &stands.run, "--decide", "act=took-effect:looked at"])
            }
            _ => return,
        };
        if done.is_err() {
            self.refused();
        }
    }

    /// Something goes wrong, and is over again.
    fn fault(&self, rng: &mut fastrand::Rng) -> &'static str {
        // In the middle of a step, if one is on its way.
        self.site.thing.is_busy(SOON);
        let acting = |at: &usize| self.acting[*at].load(Ordering::Relaxed);
        let at = (0..self.bastions.len()).find(acting).unwrap_or_else(|| rng.usize(..self.bastions.len()));
        let bastion = &self.bastions[at];
        // As long as a lease, or half of it, or two.
        let a_while = Duration::from_millis(rng.u64(500..6_000));
        let signal = |signal| {
            if let Some(engine) = bastion.engine.lock().unwrap().as_ref() {
                engine.signal(signal);
            }
        };
        match rng.u8(..6) {
            0 => {
                bastion.kill();
                std::thread::sleep(a_while);
                bastion.serve();
                "an engine dies and comes back"
            }
            1 => {
                signal(Signal::STOP);
                std::thread::sleep(a_while);
                signal(Signal::CONT);
                "an engine stands still"
            }
            2 => {
                bastion.cables(Way::Still);
                std::thread::sleep(a_while);
                bastion.cables(Way::Open);
                "connections are held"
            }
            3 => {
                bastion.cables(Way::Cut);
                std::thread::sleep(a_while);
                bastion.cables(Way::Open);
                "connections are cut"
            }
            4 => {
                self.site.freeze_standby(true);
                std::thread::sleep(a_while);
                self.site.freeze_standby(false);
                "the standby stands still"
            }
            _ => {
                self.site.end_sessions();
                "sessions are ended"
            }
        }
    }

    /// Waits until people have got a number of further things done.
    fn progress(&self) {
        let now = || {
            let seen = self.seen.lock().unwrap();
            (seen.noted.len(), seen.finished.len())
        };
        let before = now();
        until("people get things done", || (now().0 > before.0 && now().1 > before.1).then_some(()));
    }
}

/// Plays one history; what was seen, and how often each thing went wrong.
fn play(number: u64) -> Option<(Seen, BTreeMap<&'static str, u32>)> {
    let site = Site::start()?;
    let bastions = three(&site);
    for (n, bastion) in bastions.iter().enumerate() {
        assert_eq!(bastion.run(&["incident", "declare", &format!("trouble {n}")]).0, 0);
    }
    let mut rng = fastrand::Rng::with_seed(number);
    let mut faults = BTreeMap::new();
    let history = History {
        site: &site,
        bastions: &bastions,
        seen: Mutex::default(),
        numbers: AtomicU64::new(1),
        acting: Default::default(),
        over: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        for at in 0..bastions.len() {
            let (history, rng) = (&history, rng.fork());
            scope.spawn(move || history.person(at, rng));
        }
        // Also when this thread fails: the others would go on for ever.
        let _over = Ends(&history.over);
        let failover = rng.usize(..FAULTS);
        for n in 0..FAULTS {
            history.progress();
            *faults.entry(history.fault(&mut rng)).or_default() += 1;
            if n == failover {
                history.progress();
                site.fail_over(&bastions);
                *faults.entry("the primary dies").or_default() += 1;
            }
        }
        history.progress();
    });
    // People see to what stands still, until nothing does.
    until("no run is open", || {
        let open = bastions.iter().enumerate().filter(|(at, bastion)| {
            history.tidy(*at);
            let runs = bastion.json(&["run", "list"]);
            runs.as_array()
                .unwrap()
                .iter()
                .any(|r| !["finished", "failed", "rolled-back"].iter().any(|s| r["state"] == *s))
        });
        (open.count() == 0).then_some(())
    });
    let records = agreed(&bastions);
    let seen = history.seen.into_inner().unwrap();
    check(number, &records, &seen, &site.thing.counts());
    Some((seen, faults))
}

struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn check(number: u64, records: &[Value], seen: &Seen, counts: &BTreeMap<u64, u32>) {
    let mut notes = BTreeMap::new();
    for note in of_kind(records, "note.added") {
        *notes.entry(note["body"]["text"].as_str().unwrap()).or_insert(0) += 1;
    }
    for text in &seen.noted {
        assert_eq!(notes.get(text.as_str()), Some(&1), "history {number}: {text} was acknowledged");
    }
    let twice = |(text, n): &(&&str, &u32)| **n != 1 && **text != "the end";
    assert_eq!(notes.iter().find(twice), None, "history {number}");
    // A start that was not acknowledged may stand in the log, was never sent, and is followed by another one.
    let mut runs = BTreeSet::new();
    for record in of_kind(records, "run.finished") {
        let all = || records.iter().filter(|r| r["body"]["run"] == run_of(record)).map(Value::to_string);
        let (first, all) = (runs.insert(run_of(record)), all().collect::<Vec<_>>().join("\n"));
        assert!(first, "history {number}: a run ended twice:\n{all}");
    }
    assert_eq!(counts.iter().find(|(_, n)| **n != 1), None, "history {number}: a number that was sent twice");
    for sent in &seen.finished {
        assert_eq!(counts.get(sent), Some(&1), "history {number}: {sent} was said to be sent");
    }
    let started: BTreeSet<_> = of_kind(records, "step.started").map(run_of).collect();
    let numbers = of_kind(records, "run.started").filter(|r| started.contains(run_of(r)));
    let numbers: BTreeSet<u64> =
        numbers.map(|r| r["body"]["params"]["number"].as_str().unwrap().parse().unwrap()).collect();
    for sent in counts.keys() {
        assert!(numbers.contains(sent), "history {number}: {sent} was sent, and no record says that it began");
    }
}

#[test]
#[ignore = "a minute or two each; tests/campaign plays twenty"]
fn histories_of_whole_engines_lose_nothing_and_send_nothing_twice() {
    let histories = std::env::var("QUARTERDECK_HISTORIES").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    for number in 0..histories {
        let began = Instant::now();
        let Some((seen, faults)) = play(number) else { return };
        println!(
            "history {number}: {} notes, {} numbers sent, {} outcomes decided by people, {} refused, {faults:?}, {} s",
            seen.noted.len(),
            seen.finished.len(),
            seen.decided,
            seen.refused,
            began.elapsed().as_secs()
        );
    }
}
