//! The journal itself, through the handle that the engine holds.

use crate::{CLIENTS, RECORD_BYTES, Run, closed_loop};
use quarterdeck::domain::actor::Actor;
use quarterdeck::domain::estate::Environment;
use quarterdeck::domain::mode::Mode;
use quarterdeck::journal::verify::{self, Options};
use quarterdeck::journal::{Draft, Journal, Kind, OpenOptions};
use std::path::Path;
use std::time::{Duration, Instant};

fn options(dir: &Path) -> OpenOptions {
    let actor = Actor { user: "mara".into(), uid: 1001, via: "console".into(), host: "bastion-1".into(), console: None };
    let time = "2026-11-21T14:43:07.123456Z".parse().expect("a time");
    OpenOptions::new(dir, "quarterdeck/bench", actor, Mode::Live, Environment::Production, time)
}

fn note(dir: &Path, chars: usize) -> Draft {
    let OpenOptions { actor, mode, environment, time, .. } = options(dir);
    let body = serde_json::json!({ "text": "x".repeat(chars) });
    Draft { kind: Kind::NoteAdded, incident: Some("INC-42".into()), body, actor, mode, environment, time }
}

/// A note whose record has the length that everybody's records have.
fn record(dir: &Path, journal: &Journal) -> Draft {
    let stored = journal.append_blocking(vec![note(dir, 0)]).expect("append").remove(0).record;
    let empty = stored.to_bytes().expect("bytes").len();
    note(dir, RECORD_BYTES - empty - 4)
}

/// Many tasks, each of which waits for its record before it sends the next.
pub fn many(dir: &Path, time: Duration) -> Run {
    let (journal, _) = Journal::open(options(dir)).expect("open");
    let draft = record(dir, &journal);
    let before = journal.status().size;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("runtime");
    let begun = Instant::now();
    let waits = runtime.block_on(async {
        let tasks: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (journal, draft) = (journal.clone(), draft.clone());
                tokio::spawn(async move {
                    let mut waits = vec![];
                    while begun.elapsed() < time {
                        let asked = Instant::now();
                        journal.append(vec![draft.clone()]).await.expect("append");
                        waits.push(asked.elapsed());
                    }
                    waits
                })
            })
            .collect();
        let mut waits = vec![];
        for task in tasks {
            waits.extend(task.await.expect("task"));
        }
        waits
    });
    let took = begun.elapsed();
    let records = journal.status().size - before;
    drop(journal);
    let batches = verified(dir) - 2;
    Run { waits, took, per_sync: Some(records as f64 / batches as f64) }
}

/// One caller.
pub fn one(dir: &Path, time: Duration) -> Run {
    let (journal, _) = Journal::open(options(dir)).expect("open");
    let draft = record(dir, &journal);
    let (waits, took) = closed_loop(time, || {
        journal.append_blocking(vec![draft.clone()]).expect("append");
    });
    drop(journal);
    verified(dir);
    Run { waits, took, per_sync: Some(1.0) }
}

/// Verifies what was written and returns the number of its batches.
fn verified(dir: &Path) -> u64 {
    let key = verify::own_key(dir).expect("key");
    let report = verify::verify(dir, &Options::against(&key)).expect("verify");
    assert!(report.ok, "{report:?}");
    report.signatures
}
