//! Histories on real servers: three bastions write one log while sessions are cut, the standby stops answering, and the
//! primary dies and its standby takes over. Checked like the histories on the model (`journal::shared`): nothing that was
//! acknowledged is lost, nothing stands twice, no step is begun twice, and none by two leaders.
//!
//! `QUARTERDECK_HISTORIES` says how many; without it two are played.

use super::rig::{Bastion, Pair, append, assert_verified, close, until};
use crate::domain::id::IncidentId;
use crate::journal::verify::{self, Options};
use crate::journal::{Draft, Journal, JournalError, Kind, Record};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(2);
const INCIDENT: &str = "INC-42";

/// What engines have done outside the journal.
#[derive(Default)]
struct Seen {
    acknowledged: Vec<String>,
    executed: BTreeMap<u64, String>,
    twice: Vec<u64>,
    refused: u64,
    taken_over: u64,
}

/// One engine: writes notes, leads when it can, and runs steps while it leads.
struct Engine {
    bastion: Arc<Bastion>,
    journal: Journal,
    rng: fastrand::Rng,
    seen: Arc<Mutex<Seen>>,
}

impl Engine {
    fn records(&self) -> Vec<Record> {
        self.bastion.records().into_iter().map(|stored| stored.record).collect()
    }

    fn draft(&self, kind: Kind, body: serde_json::Value) -> Draft {
        let incident = Some(IncidentId::from(INCIDENT));
        Draft { incident, ..self.bastion.draft(kind, body) }
    }

    async fn put(&mut self, kind: Kind, body: serde_json::Value) -> Result<(), JournalError> {
        append(&self.journal, self.draft(kind, body)).await.map(|_| ())
    }

    async fn run(mut self, name: usize, over: Arc<AtomicBool>) -> Journal {
        let mut n = 0;
        while !over.load(Ordering::Relaxed) {
            n += 1;
            if self.rng.u8(..3) == 0 {
                let text = format!("{name}.{n}");
                let done = self.put(Kind::NoteAdded, json!({ "text": text })).await;
                let mut seen = self.seen.lock().unwrap();
                match done {
                    Ok(()) => seen.acknowledged.push(text),
                    Err(_) => seen.refused += 1,
                }
            } else if self.step().await.is_err() {
                self.seen.lock().unwrap().refused += 1;
            }
            tokio::time::sleep(Duration::from_millis(self.rng.u64(1..30))).await;
        }
        self.journal
    }

    /// As `engine::bastions` and the runs do: lead, take over, start durably, act, say what came of it.
    async fn step(&mut self) -> Result<(), JournalError> {
        if !self.journal.leads(INCIDENT) || self.rng.u8(..10) == 0 {
            self.journal.lead(INCIDENT).await?;
        }
        if !self.journal.leads(INCIDENT) {
            self.put(Kind::LeadTaken, json!({ "what": INCIDENT })).await?;
            let of = |kinds: &[Kind], records: &[Record]| -> BTreeSet<u64> {
                let those = records.iter().filter(|r| kinds.contains(&r.kind));
                those.filter_map(|r| r.body.get("step")?.as_u64()).collect()
            };
            let records = self.records();
            let (begun, ended) =
                (of(&[Kind::StepStarted], &records), of(&[Kind::StepFinished, Kind::StepUnknown], &records));
            for step in begun.difference(&ended) {
                self.seen.lock().unwrap().taken_over += 1;
                self.put(Kind::StepUnknown, json!({ "step": step })).await?;
            }
        }
        let started = self.records().into_iter().filter(|r| r.kind == Kind::StepStarted);
        let step = started.filter_map(|r| r.body.get("step")?.as_u64()).max().unwrap_or(0) + 1;
        self.put(Kind::StepStarted, json!({ "step": step })).await?;
        if !self.journal.leads(INCIDENT) {
            return Ok(());
        }
        {
            let mut seen = self.seen.lock().unwrap();
            let by = self.bastion.options().actor.host;
            if seen.executed.insert(step, by).is_some() {
                seen.twice.push(step);
            }
        }
        tokio::time::sleep(Duration::from_millis(self.rng.u64(..10))).await;
        self.put(Kind::StepFinished, json!({ "step": step })).await
    }
}

/// Plays one history and returns what was seen.
async fn play(history: u64) -> Option<Seen> {
    let mut pair = Pair::start().await?;
    (pair.timeout, pair.lease) = (Duration::from_secs(1), Some(LEASE));
    let mut rng = fastrand::Rng::with_seed(history);
    let first = Arc::new(Bastion::new("bastion-1"));
    let mut bastions = vec![(first.clone(), pair.open(&first))];
    for host in ["bastion-2", "bastion-3"] {
        let bastion = Arc::new(first.beside(host));
        bastions.push((bastion.clone(), pair.open(&bastion)));
    }
    let key = bastions[0].1.verifier().clone();
    let (seen, over) = (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
    let seen_by_all = seen.clone();
    let mut tasks = Vec::new();
    for (n, (bastion, journal)) in bastions.iter().enumerate() {
        let engine = Engine {
            bastion: bastion.clone(),
            journal: journal.clone(),
            rng: fastrand::Rng::with_seed(history * 10 + n as u64),
            seen: seen.clone(),
        };
        tasks.push(tokio::spawn(engine.run(n, over.clone())));
    }
    let cut =
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'qd_bastion' AND random() < 0.6";
    let progress = |notes: usize, steps: usize| {
        let seen = seen.lock().unwrap();
        let (notes, steps) = (seen.acknowledged.len() + notes, seen.executed.len() + steps);
        let seen = &seen_by_all;
        move || {
            let seen = seen.lock().unwrap();
            seen.acknowledged.len() >= notes && seen.executed.len() >= steps
        }
    };
    for _ in 0..4 {
        until("engines write and act", progress(2, 2)).await;
        tokio::time::sleep(Duration::from_millis(rng.u64(100..600))).await;
        match rng.u8(..3) {
            0 => {
                pair.primary.connect("postgres").await.query(cut, &[]).await.unwrap();
            }
            1 => {
                pair.standby.freeze();
                tokio::time::sleep(Duration::from_millis(rng.u64(200..1500))).await;
                pair.standby.thaw();
            }
            _ => {
                pair.primary.freeze();
                tokio::time::sleep(Duration::from_millis(rng.u64(200..3000))).await;
                pair.primary.thaw();
            }
        }
    }
    pair.primary.kill();
    pair.fail_over().await;
    until("engines write and act again", progress(3, 3)).await;
    over.store(true, Ordering::Relaxed);
    for task in tasks {
        drop(task.await.unwrap());
    }
    for (_, journal) in &bastions {
        until("the journal is in order", || journal.status().broken.is_none()).await;
    }
    let size = bastions.iter().map(|(_, journal)| journal.status().size).max().unwrap();
    for (bastion, journal) in &bastions {
        until("all have all", || journal.status().size >= size).await;
        check(history, &bastion.records().into_iter().map(|s| s.record).collect::<Vec<_>>(), &seen.lock().unwrap());
    }
    for (_, journal) in bastions.iter_mut().map(|(b, j)| (b, j.clone())) {
        close(journal).await;
    }
    for (bastion, _) in &bastions {
        assert_verified(&verify::verify(&bastion.dir(), &Options::against(&key)).unwrap());
    }
    assert_verified(&pair.verify(&key));
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    Some(seen)
}

fn check(history: u64, records: &[Record], seen: &Seen) {
    assert_eq!(seen.twice, Vec::<u64>::new(), "history {history}: steps that were run twice");
    let (mut notes, mut started) = (BTreeMap::new(), BTreeMap::new());
    for record in records {
        if let Some(text) = record.body.get("text").and_then(serde_json::Value::as_str) {
            *notes.entry(text).or_insert(0_u32) += 1;
        }
        if record.kind == Kind::StepStarted {
            let before = started.insert(record.body["step"].as_u64().unwrap(), record.actor.host.clone());
            assert_eq!(before, None, "history {history}: a step began twice");
        }
    }
    for text in &seen.acknowledged {
        assert_eq!(notes.get(text.as_str()), Some(&1), "history {history}: {text} was acknowledged");
    }
    assert!(notes.values().all(|n| *n == 1), "history {history}: {notes:?}");
    for (step, by) in &seen.executed {
        assert_eq!(started.get(step), Some(by), "history {history}: step {step} was run by {by}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_on_real_servers_lose_nothing_and_run_nothing_twice() {
    let histories = std::env::var("QUARTERDECK_HISTORIES").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
    for history in 0..histories {
        let Some(seen) = play(history).await else { return };
        let Seen { acknowledged, executed, refused, taken_over, .. } = &seen;
        println!(
            "history {history}: {} notes acknowledged, {} steps run, {taken_over} taken over unknown, {refused} refused",
            acknowledged.len(),
            executed.len()
        );
        assert!(*refused > 0, "history {history}: nothing was in the way");
    }
}
