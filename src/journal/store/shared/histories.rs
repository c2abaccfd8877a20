//! Histories of three engines on one log, from a seed each: sessions that are cut, answers that are lost, requests that come
//! late, a standby that stops answering and takes over, engines that die and come back. After each: nothing that was
//! acknowledged is missing, nothing stands twice, no step was begun twice, and none by an engine that did not lead.

use super::model::{Fault, Model};
use super::open::{Begun, begin};
use super::{Database, fetch};
use crate::domain::actor::Actor;
use crate::domain::estate::Environment;
use crate::domain::id::IncidentId;
use crate::domain::mode::Mode;
use crate::journal::read::{Filter, Reader};
use crate::journal::record::Ready;
use crate::journal::store::serve::Writes;
use crate::journal::verify::{self, Options, Verdict};
use crate::journal::{Draft, JournalError, Kind, OpenOptions, Record};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const HISTORIES: u64 = 500;
const STEPS: u32 = 80;
const INCIDENTS: [&str; 2] = ["INC-1", "INC-2"];

struct Bastion {
    host: String,
    dir: PathBuf,
    begun: Option<Begun>,
}

#[derive(Default)]
struct Totals {
    acknowledged: u64,
    refused: u64,
    executed: u64,
    taken_over: u64,
    failed_over: u64,
    died: u64,
}

struct History {
    seed: u64,
    rng: fastrand::Rng,
    model: Model,
    bastions: Vec<Bastion>,
    notes: u64,
    acknowledged: Vec<String>,
    executed: BTreeMap<(String, u64), String>,
    totals: Totals,
    _dir: tempfile::TempDir,
}

impl Bastion {
    fn options(&self, model: &Model) -> OpenOptions {
        let (user, via, host) = ("mara".into(), "cli".into(), self.host.clone());
        let actor = Actor { user, uid: 1001, via, host, console: None };
        let time = "2026-11-23T08:00:00Z".parse().unwrap();
        let options = OpenOptions::new(&self.dir, "log", actor, Mode::Live, Environment::Production, time);
        let database: Option<Arc<dyn Database>> = Some(Arc::new(model.clone()));
        OpenOptions { low_water: 0, segment_bytes: 5_000, database, ..options }
    }

    fn open(&mut self, model: &Model) -> Result<(), JournalError> {
        let options = self.options(model);
        let database = options.database.clone().unwrap();
        self.begun = Some(begin(&options, &database, Arc::new(|| {}), None)?);
        Ok(())
    }

    /// Appends one record as the handle and the writer do.
    fn put(&mut self, model: &Model, kind: Kind, incident: &str, body: serde_json::Value) -> Result<u64, JournalError> {
        let OpenOptions { actor, mode, environment, time, .. } = self.options(model);
        let incident = Some(IncidentId::from(incident));
        let ready = Ready::new(Draft { kind, incident, body, actor, mode, environment, time }).unwrap();
        let begun = self.begun.as_mut().unwrap();
        let fences = begun.leads.fences(std::iter::once(&ready))?;
        let done = begun.writer.commit(&[ready], &fences);
        if let Err(JournalError::NotLed { name }) = &done {
            begun.leads.lost(name);
        }
        done.map(|committed| committed[0].seq)
    }

    fn records(&self) -> Vec<Record> {
        Reader::open(&self.dir, Filter::default()).unwrap().map(|stored| stored.unwrap().record).collect()
    }

    /// Numbers of the steps of an incident that were begun, and of those whose outcome is known.
    fn steps(&self, incident: &str) -> (BTreeSet<u64>, BTreeSet<u64>) {
        let (mut begun, mut ended) = (BTreeSet::new(), BTreeSet::new());
        for record in self.records() {
            let Some(step) = record.body.get("step").and_then(serde_json::Value::as_u64) else { continue };
            if record.incident.as_ref().is_some_and(|i| i.as_str() == incident) {
                let into = if record.kind == Kind::StepStarted { &mut begun } else { &mut ended };
                into.insert(step);
            }
        }
        (begun, ended)
    }
}

impl History {
    fn new(seed: u64) -> Self {
        let memory = std::path::Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let model = Model::new();
        let mut bastions: Vec<Bastion> = Vec::new();
        for n in 1..=3 {
            let host = format!("bastion{n}");
            let mut bastion = Bastion { dir: dir.path().join(&host), host, begun: None };
            if let Some(first) = bastions.first() {
                std::fs::create_dir(&bastion.dir).unwrap();
                std::fs::copy(first.dir.join("log.key"), bastion.dir.join("log.key")).unwrap();
            }
            bastion.open(&model).unwrap();
            bastions.push(bastion);
        }
        let rng = fastrand::Rng::with_seed(seed);
        let (acknowledged, executed, totals) = (Vec::new(), BTreeMap::new(), Totals::default());
        Self { seed, rng, model, bastions, notes: 0, acknowledged, executed, totals, _dir: dir }
    }

    fn run(&mut self) {
        for _ in 0..STEPS {
            for bastion in &mut self.bastions {
                if let Some(begun) = bastion.begun.as_mut().filter(|_| self.rng.bool()) {
                    begun.writer.look();
                }
            }
            let at = self.rng.usize(..self.bastions.len());
            match self.rng.u32(..100) {
                0..30 => self.note(at),
                30..55 => self.act(at),
                55..62 => self.model.pass(Duration::from_secs(self.rng.u64(1..25))),
                62..68 => self.model.cut(&self.bastions[at].host, self.rng.bool()),
                68..74 => self.model.standby(self.rng.bool()),
                74..82 => {
                    let fault = [Fault::Before, Fault::After, Fault::Late][self.rng.usize(..3)];
                    self.model.fault(&self.bastions[at].host, fault);
                }
                82..86 => self.model.arrive(),
                86..89 => self.model.cancel(),
                89..92 => {
                    self.model.fail_over();
                    self.totals.failed_over += 1;
                }
                92..95 => {
                    self.totals.died += u64::from(self.bastions[at].begun.take().is_some());
                }
                _ => self.come_back(at),
            }
        }
    }

    fn come_back(&mut self, at: usize) {
        if self.bastions[at].begun.is_none() {
            let model = self.model.clone();
            // It may be out of reach still.
            let opened = self.bastions[at].open(&model);
            let expected = matches!(opened, Ok(()) | Err(JournalError::Database { .. } | JournalError::Broken { .. }));
            assert!(expected, "seed {}: {opened:?}", self.seed);
        }
    }

    fn note(&mut self, at: usize) {
        if self.bastions[at].begun.is_none() {
            return;
        }
        self.notes += 1;
        let text = format!("note {}", self.notes);
        let model = self.model.clone();
        match self.bastions[at].put(&model, Kind::NoteAdded, "INC-1", json!({ "text": text })) {
            Ok(_) => {
                self.totals.acknowledged += 1;
                self.acknowledged.push(text);
            }
            Err(_) => self.totals.refused += 1,
        }
    }

    /// The next step of an incident, by an engine that may or may not lead it.
    fn act(&mut self, at: usize) {
        let incident = INCIDENTS[self.rng.usize(..INCIDENTS.len())];
        let (seed, model) = (self.seed, self.model.clone());
        let bastion = &mut self.bastions[at];
        let Some(begun) = &bastion.begun else { return };
        // One that thinks it leads mostly tries at once, also when it has been away for long.
        let led = begun.leads.holds(incident);
        if (!led || self.rng.u8(..4) == 0) && begun.leads.lead(incident).is_err() {
            return;
        }
        if !begun.leads.holds(incident) {
            if bastion.put(&model, Kind::LeadTaken, incident, json!({ "what": incident })).is_err() {
                return;
            }
            let (started, ended) = bastion.steps(incident);
            for step in started.difference(&ended) {
                self.totals.taken_over += 1;
                if bastion.put(&model, Kind::StepUnknown, incident, json!({ "step": step })).is_err() {
                    return;
                }
            }
        }
        let step = bastion.steps(incident).0.last().map_or(1, |last| last + 1);
        if bastion.put(&model, Kind::StepStarted, incident, json!({ "step": step })).is_err() {
            return;
        }
        let writer = bastion.begun.as_ref().unwrap().leads.writer().to_owned();
        assert_eq!(model.leader(incident), Some(writer.clone()), "seed {seed}: two leaders of {incident}");
        let before = self.executed.insert((incident.to_owned(), step), writer);
        assert_eq!(before, None, "seed {seed}: step {step} of {incident} was run twice");
        self.totals.executed += 1;
        // It may die before the outcome is written.
        if self.rng.u8(..6) == 0 {
            bastion.begun = None;
        } else {
            let _ = bastion.put(&model, Kind::StepFinished, incident, json!({ "step": step }));
        }
    }

    /// Everything is in reach again, and everybody comes to the same end.
    fn end(&mut self) {
        let seed = self.seed;
        self.model.standby(true);
        self.model.arrive();
        for at in 0..self.bastions.len() {
            let host = self.bastions[at].host.clone();
            self.model.cut(&host, false);
            for _ in 0..3 {
                self.come_back(at);
                if let Some(begun) = &mut self.bastions[at].begun {
                    begun.writer.look();
                }
            }
        }
        let model = self.model.clone();
        let key = std::fs::read_to_string(self.bastions[0].dir.join("log.vkey")).unwrap().parse().unwrap();
        for bastion in &mut self.bastions {
            let begun = bastion.begun.as_mut().unwrap();
            begun.writer.look();
            assert_eq!(begun.writer.status().broken, None, "seed {seed}");
        }
        let size = self.bastions.iter().map(|b| b.begun.as_ref().unwrap().writer.status().size).max().unwrap();
        for bastion in &mut self.bastions {
            let begun = bastion.begun.as_mut().unwrap();
            begun.writer.look();
            assert_eq!(begun.writer.status().size, size, "seed {seed}");
            let report = verify::verify(&bastion.dir, &Options::against(&key)).unwrap();
            assert_eq!((report.verdict, report.records), (Verdict::Verified, size), "seed {seed}: {report:?}");
        }
        for bastion in &self.bastions {
            self.check(bastion.records());
        }
        let there = tempfile::tempdir().unwrap();
        fetch(model.session(Arc::new(|| {})).as_mut(), "model", there.path()).unwrap();
        let report = verify::verify(there.path(), &Options::against(&key)).unwrap();
        assert_eq!((report.verdict, report.records), (Verdict::Verified, size), "seed {seed}");
    }

    fn check(&self, records: Vec<Record>) {
        let seed = self.seed;
        let (mut notes, mut started) = (BTreeMap::new(), BTreeSet::new());
        for record in records {
            if let Some(text) = record.body.get("text").and_then(serde_json::Value::as_str) {
                *notes.entry(text.to_owned()).or_insert(0_u32) += 1;
            }
            if record.kind == Kind::StepStarted {
                let incident = record.incident.unwrap().as_str().to_owned();
                let step = record.body["step"].as_u64().unwrap();
                assert!(started.insert((incident, step)), "seed {seed}: step {step} began twice");
            }
        }
        for text in &self.acknowledged {
            assert_eq!(notes.get(text), Some(&1), "seed {seed}: {text}");
        }
        assert!(notes.values().all(|n| *n == 1), "seed {seed}: {notes:?}");
        for step in self.executed.keys() {
            assert!(started.contains(step), "seed {seed}: {step:?} was run and is not in the log");
        }
    }
}

#[test]
fn histories_of_three_engines_lose_nothing_and_run_nothing_twice() {
    let mut all = Totals::default();
    for seed in 0..HISTORIES {
        let mut history = History::new(seed);
        history.run();
        history.end();
        let Totals { acknowledged, refused, executed, taken_over, failed_over, died } = history.totals;
        all.acknowledged += acknowledged;
        all.refused += refused;
        all.executed += executed;
        all.taken_over += taken_over;
        all.failed_over += failed_over;
        all.died += died;
    }
    let Totals { acknowledged, refused, executed, taken_over, failed_over, died } = all;
    println!(
        "{HISTORIES} histories: {acknowledged} notes acknowledged, {refused} refused, {executed} steps run, \
         {taken_over} taken over unknown, {failed_over} failovers, {died} engines died"
    );
    // What can not happen proves nothing.
    assert!(acknowledged > 2_000 && refused > 500 && executed > 500, "{acknowledged} {refused} {executed}");
    assert!(taken_over > 50 && failed_over > 500 && died > 500, "{taken_over} {failed_over} {died}");
}
