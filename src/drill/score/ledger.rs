//! The fold of records that amounts to a score.

use super::card::{Card, CardLine};
use super::{Cost, Line, Met, SCHEMA, Score, Took};
use crate::drill::scenario::expect::Judge;
use crate::journal::{Kind, Record};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What it costs to act on a tenant that has no part in the exercise, to break the glass, or to close an incident whose
/// findings are still up.
const WRONG: u32 = 10;

/// When something happened: second, and sequence number of its record.
type Mark = (i64, u64);

/// What the records so far amount to.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    card: Option<Card>,
    runs: BTreeMap<String, String>,
    fired: BTreeMap<String, i64>,
    met: BTreeMap<String, Mark>,
    judged: BTreeMap<String, (u32, String, u64)>,
    wrong: Vec<Cost>,
    hints: Vec<Cost>,
    declared_for: BTreeMap<String, BTreeSet<String>>,
    /// Findings that are up, and when they came.
    up: BTreeMap<String, Mark>,
    aimed: BTreeMap<(String, String), (bool, bool)>,
    asked: BTreeMap<(String, String), i64>,
    waited: Option<(i64, u64)>,
    first: BTreeMap<&'static str, Mark>,
    ended: Option<(bool, i64)>,
    closed: bool,
    last_s: i64,
}

fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(body: &Value, name: &str) -> Option<i64> {
    body.get(name).and_then(Value::as_i64)
}

fn points(body: &Value, name: &str) -> u32 {
    number(body, name).and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

fn names(value: Option<&Value>) -> BTreeSet<String> {
    let all = value.and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|one| one.as_str().map(str::to_owned)).collect()
}

impl Ledger {
    /// Whether an exercise has begun in these records.
    pub const fn has_begun(&self) -> bool {
        self.card.is_some()
    }

    /// Whether every expectation of an inject is met, or none is there.
    pub fn is_settled(&self, inject: Option<&str>) -> bool {
        let card = self.card.iter().flat_map(|c| &c.expectations);
        let mut of = card.filter(|e| e.inject.as_deref() == inject && e.kind == Judge::Auto).peekable();
        of.peek().is_some() && of.all(|e| self.met.contains_key(&e.id))
    }

    /// Second at which an inject came.
    pub fn came(&self, inject: &str) -> Option<i64> {
        self.fired.get(inject).copied()
    }

    /// Whether a hint was given.
    pub fn was_hinted(&self, hint: &str) -> bool {
        self.hints.iter().any(|h| h.id == hint)
    }

    /// The points of an expectation at most; `None` when there is none of that id.
    pub fn worth(&self, expectation: &str) -> Option<u32> {
        let all = self.card.iter().flat_map(|c| &c.expectations);
        all.into_iter().find(|e| e.id == expectation).map(|e| e.score)
    }

    /// The ids of all expectations.
    pub fn expectations(&self) -> Vec<&str> {
        self.card.iter().flat_map(|c| c.expectations.iter().map(|e| e.id.as_str())).collect()
    }

    /// Takes in one record.
    pub fn apply(&mut self, record: &Record) {
        let (kind, body, seq) = (record.kind, &record.body, record.seq);
        if kind == Kind::ExerciseStarted {
            *self = Self { card: serde_json::from_value(body.clone()).ok(), ..Self::default() };
            return;
        }
        let Some(start) = self.card.as_ref().map(|c| c.start) else { return };
        let at_s = seconds(start, record.time);
        self.last_s = self.last_s.max(at_s);
        let mark = (at_s, seq);
        match kind {
            Kind::RunStarted => drop(self.runs.insert(text(body, "run").into(), text(body, "playbook").into())),
            Kind::InjectFired if !text(body, "inject").is_empty() => {
                let came = number(body, "at_s").unwrap_or(at_s);
                self.fired.entry(text(body, "inject").into()).or_insert(came);
                if number(body, "faults").unwrap_or(0) > 0 {
                    self.first.entry("fault").or_insert((came, seq));
                }
            }
            Kind::ExerciseObserved => self.observed(text(body, "id"), number(body, "at_s").unwrap_or(at_s), seq),
            Kind::HintGiven => self.hints.push(Cost {
                id: text(body, "hint").into(),
                what: text(body, "text").into(),
                cost: points(body, "cost"),
                at_s,
                seq,
            }),
            Kind::ScoreOverridden => {
                let judged = (points(body, "score"), text(body, "reason").to_owned(), seq);
                self.judged.insert(text(body, "what").into(), judged);
            }
            Kind::ExerciseEnded => {
                let reached = body.get("reached").and_then(Value::as_bool).unwrap_or(false);
                self.ended = Some((reached, number(body, "at_s").unwrap_or(at_s)));
                if reached {
                    self.first.entry("recovered").or_insert(mark);
                }
            }
            Kind::JournalClosed => self.closed = true,
            _ => self.crew(record, mark),
        }
        self.expected(record, at_s);
    }

    /// What the crew does, and what that says of it.
    fn crew(&mut self, record: &Record, mark: Mark) {
        let (body, (at_s, seq)) = (&record.body, mark);
        let step = || (text(body, "run").to_owned(), text(body, "step").to_owned());
        let mut first = |what| {
            self.first.entry(what).or_insert(mark);
        };
        match record.kind {
            Kind::FindingRaised => {
                // What was up before the first fault is not what is to be detected.
                if self.first.contains_key("fault") {
                    self.first.entry("detected").or_insert(mark);
                }
                self.up.insert(text(body, "finding").into(), mark);
            }
            Kind::FindingCleared => drop(self.up.remove(text(body, "finding"))),
            Kind::FindingAcknowledged => first("acknowledged"),
            Kind::IncidentDeclared => {
                let incident = record.incident.as_ref().map(ToString::to_string).unwrap_or_default();
                let findings = names(body.get("findings"));
                // What an incident is declared for is what had to be detected: a decoy that came before it is not.
                let fault = self.first.get("fault").copied().unwrap_or_default();
                let theirs = findings.iter().filter_map(|f| self.up.get(f)).filter(|came| **came >= fault).min();
                if let Some(came) = theirs.copied().filter(|_| !self.first.contains_key("declared")) {
                    self.first.insert("detected", came);
                }
                self.first.entry("declared").or_insert(mark);
                self.declared_for.insert(incident, findings);
            }
            Kind::CommsSent => first("told"),
            Kind::StepIntended => {
                let assessed = body.pointer("/assessment/risk").and_then(Value::as_str).unwrap_or_default();
                let tenants = names(body.pointer("/request/target/tenants"));
                let cast = self.card.as_ref().map(|c| c.cast.as_slice()).unwrap_or_default();
                let astray = !tenants.is_empty() && tenants.iter().all(|t| !cast.contains(t));
                self.aimed.insert(step(), (matches!(assessed, "medium" | "high"), astray));
            }
            Kind::StepStarted if self.aimed.get(&step()).is_some_and(|(risky, astray)| *risky && *astray) => {
                let (run, name) = step();
                self.cost("wrong-target", &format!("{run} {name} acted on a tenant that has no trouble"), at_s, seq);
            }
            Kind::StepFinished
                if text(body, "ended") == "done" && self.aimed.get(&step()).is_some_and(|(risky, _)| *risky) =>
            {
                first("mitigated");
            }
            Kind::ApprovalRequested => drop(self.asked.insert(step(), at_s)),
            Kind::ApprovalGranted => {
                if let Some(asked) = self.asked.remove(&step()) {
                    let waited = at_s.saturating_sub(asked);
                    if self.waited.is_none_or(|(longest, _)| waited > longest) {
                        self.waited = Some((waited, seq));
                    }
                }
            }
            Kind::GlassBroken => self.cost("bypass", "the glass was broken: rules were waived", at_s, seq),
            Kind::IncidentClosed => {
                let incident = record.incident.as_ref().map(ToString::to_string).unwrap_or_default();
                let open =
                    self.declared_for.get(&incident).into_iter().flatten().find(|f| self.up.contains_key(*f)).cloned();
                if let Some(finding) = open {
                    let what = format!("{incident} was closed while {finding} was still found");
                    self.cost("unvalidated-closure", &what, at_s, seq);
                }
            }
            _ => {}
        }
    }

    fn cost(&mut self, id: &str, what: &str, at_s: i64, seq: u64) {
        self.wrong.push(Cost { id: id.into(), what: what.into(), cost: WRONG, at_s, seq });
    }

    /// The exercise has seen what an expectation or a mistake waits for.
    fn observed(&mut self, id: &str, at_s: i64, seq: u64) {
        let Some(card) = &self.card else { return };
        if let Some(mistake) = card.mistakes.iter().find(|m| m.id == id) {
            let cost = Cost { id: id.into(), what: mistake.what.clone(), cost: mistake.cost, at_s, seq };
            self.wrong.push(cost);
        } else {
            self.met.entry(id.to_owned()).or_insert((at_s, seq));
        }
    }

    /// Expectations and mistakes that a record is the proof of.
    fn expected(&mut self, record: &Record, at_s: i64) {
        let Some(card) = &self.card else { return };
        let playbook = self.runs.get(text(&record.body, "run")).map(String::as_str);
        let is_met =
            |pattern: &super::super::scenario::expect::Match| pattern.is_met(record.kind, &record.body, playbook);
        for line in &card.expectations {
            if !self.met.contains_key(&line.id) && line.record.as_ref().is_some_and(is_met) {
                self.met.insert(line.id.clone(), (at_s, record.seq));
            }
        }
        for mistake in &card.mistakes {
            let known = self.wrong.iter().any(|w| w.id == mistake.id);
            if !known && mistake.record.as_ref().is_some_and(is_met) {
                let (id, what, cost) = (mistake.id.clone(), mistake.what.clone(), mistake.cost);
                self.wrong.push(Cost { id, what, cost, at_s, seq: record.seq });
            }
        }
    }

    fn line(&self, card: &CardLine, over: bool) -> Line {
        let from = match &card.inject {
            None => Some(0),
            Some(inject) => self.fired.get(inject).copied(),
        };
        let due_s = from.map(|from| from.saturating_add(card.by_s));
        let met = self.met.get(&card.id).copied();
        let state = match (met, due_s) {
            (Some((at, _)), Some(due)) if at > due => Met::Late,
            (Some(_), _) => Met::Met,
            (None, None) => Met::NotAsked,
            (None, Some(_)) if card.kind == Judge::Manual => Met::NotJudged,
            (None, Some(due)) if over || self.last_s > due => Met::Missed,
            (None, Some(_)) => Met::Open,
        };
        let by_state = match state {
            Met::Met => card.score,
            Met::Late => card.score / 2,
            Met::Missed | Met::Open | Met::NotAsked | Met::NotJudged => 0,
        };
        let judged = self.judged.get(&card.id);
        let state = match judged {
            Some((0, ..)) => Met::Missed,
            Some(_) if met.is_none() => Met::Met,
            _ => state,
        };
        Line {
            id: card.id.clone(),
            what: card.what.clone(),
            inject: card.inject.clone(),
            kind: card.kind,
            state,
            points: judged.map_or(by_state, |(points, ..)| (*points).min(card.score)),
            of: if matches!(state, Met::NotAsked | Met::NotJudged) { 0 } else { card.score },
            due_s,
            at_s: met.map(|(at, _)| at),
            seq: judged.map(|(.., seq)| *seq).or_else(|| met.map(|(_, seq)| seq)),
            reason: judged.map(|(_, reason, _)| reason.clone()),
        }
    }

    /// The score as the records have it; `None` where they tell of no exercise.
    pub fn score(&self) -> Option<Score> {
        let card = self.card.as_ref()?;
        let over = self.ended.is_some() || self.closed;
        let expectations: Vec<Line> = card.expectations.iter().map(|e| self.line(e, over)).collect();
        let won: u32 = expectations.iter().map(|l| l.points).sum();
        let lost: u32 = self.wrong.iter().chain(&self.hints).map(|c| c.cost).sum();
        let fault = self.first.get("fault").map_or(0, |(at, _)| *at);
        let took = |what: &str, key: &str| {
            let mark = self.first.get(key).copied();
            Took { what: what.into(), seconds: mark.map(|(at, _)| (at - fault).max(0)), seq: mark.map(|(_, seq)| seq) }
        };
        let mut times = vec![
            took("to detect", "detected"),
            took("to acknowledge", "acknowledged"),
            took("to declare", "declared"),
            took("to the first communication", "told"),
            took("to the first mitigation", "mitigated"),
            took("to recover", "recovered"),
        ];
        if let Some((seconds, seq)) = self.waited {
            times.push(Took { what: "longest wait for an approval".into(), seconds: Some(seconds), seq: Some(seq) });
        }
        Some(Score {
            schema: SCHEMA,
            scenario: card.scenario.clone(),
            name: card.name.clone(),
            seed: card.seed.clone(),
            ended: over,
            reached: self.ended.is_some_and(|(reached, _)| reached),
            score: won.saturating_sub(lost),
            of: expectations.iter().map(|l| l.of).sum(),
            objectives: card.objectives.clone(),
            expectations,
            mistakes: self.wrong.clone(),
            hints: self.hints.clone(),
            times,
            decoys: card.decoys.clone(),
            hotwash: card.hotwash.clone(),
        })
    }
}

/// Whole seconds between two moments.
fn seconds(from: Timestamp, to: Timestamp) -> i64 {
    to.duration_since(from).as_secs()
}
