//! A step over several targets or items. They are taken in rings, the canary first; each ring is rendered, confirmed
//! and approved as one request that holds them all. Within a ring so many are under way at a time as the playbook
//! allows; before each of those batches the preconditions are evaluated again and its start is made durable, and the
//! outcome of each target has a record of its own, so that an interruption leaves only what was under way unknown.

use super::effect::{Effect, Ticket};
use super::machine::{Run, offer};
use super::outcome::abort;
use super::record::{Clean, clean_json, masked};
use super::state::{Choose, Phase, Question, Sent, Then};
use super::view::StepState;
use crate::domain::id::TenantId;
use crate::domain::ports::{Outcome, Reconciled};
use crate::playbook::expr::Known;
use crate::playbook::plan::Over;
use crate::playbook::schema::{Order, RetryOn};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// Most items of one step.
pub(super) const MAX_ITEMS: usize = 1000;

/// Most bytes that the items of a foreach may have together in a record.
const MAX_VALUES: usize = 24 * 1024;

/// One of several targets or items of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Seat {
    /// Its name, unique within the step.
    pub label: String,
    /// The tenant, where it is one.
    pub tenant: Option<TenantId>,
    /// The item of a foreach.
    pub item: Option<Value>,
}

/// How far one of them is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ItemState {
    Waiting,
    InHand,
    Done,
    Failed,
    Unknown,
}

/// One of them with what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    pub(super) seat: Seat,
    pub(super) state: ItemState,
    pub(super) line: Option<String>,
    pub(super) result: Option<Value>,
}

/// All of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fan {
    pub(super) items: Vec<Item>,
    pub(super) ring: usize,
    order: Order,
    at_once: usize,
    max_errors: usize,
    /// Those that the rendered request holds, in its order.
    pub(super) asked: Vec<usize>,
    /// Those whose start is written or about to be.
    pub(super) batch: Vec<usize>,
    tickets: BTreeMap<Ticket, usize>,
    arrived: VecDeque<(usize, Outcome)>,
}

impl Fan {
    fn rings(&self) -> usize {
        if self.order == Order::CanaryFirst && self.items.len() > 1 { 2 } else { 1 }
    }

    /// The items of the ring in hand.
    fn ring_items(&self) -> impl Iterator<Item = usize> {
        let all = self.items.len();
        let canary = usize::from(self.rings() == 2);
        if self.ring == 0 && canary == 1 { 0..1 } else { canary..all }
    }

    fn of_ring(&self, state: ItemState) -> Vec<usize> {
        self.ring_items().filter(|i| self.items.get(*i).is_some_and(|item| item.state == state)).collect()
    }

    pub(super) fn set(&mut self, item: usize, state: ItemState, line: Option<String>) {
        if let Some(item) = self.items.get_mut(item) {
            item.state = state;
            item.line = line;
        }
    }

    fn count(&self, state: ItemState) -> usize {
        self.items.iter().filter(|i| i.state == state).count()
    }

    /// What has become of its requests together.
    pub(super) fn sent(&self) -> Sent {
        if self.count(ItemState::InHand) > 0 {
            Sent::InHand
        } else if self.count(ItemState::Unknown) > 0 {
            Sent::Unknown
        } else if self.has_done() {
            Sent::Done
        } else if self.count(ItemState::Failed) > 0 {
            Sent::Refused
        } else {
            Sent::No
        }
    }

    /// What was about to be sent was not.
    pub(super) fn not_sent(&mut self) {
        for item in self.items.iter_mut().filter(|i| i.state == ItemState::InHand) {
            item.state = ItemState::Waiting;
        }
        self.batch.clear();
    }

    /// Whether anything was done at all.
    pub(super) fn has_done(&self) -> bool {
        self.count(ItemState::Done) > 0
    }

    /// Why no more may be begun, when that is so.
    fn is_too_bad(&self) -> Option<String> {
        let failed = self.count(ItemState::Failed);
        let canary = self.ring == 0 && self.rings() == 2 && failed > 0;
        if failed <= self.max_errors && !canary {
            return None;
        }
        let first = self.items.iter().find(|i| i.state == ItemState::Failed);
        let first = first.map(|i| format!("{}: {}", i.seat.label, i.line.clone().unwrap_or_default()));
        let left = self.count(ItemState::Waiting);
        Some(format!("{}, {left} not begun; {}", self.line(), first.unwrap_or_default()))
    }

    /// One line: how far it is.
    pub(super) fn line(&self) -> String {
        let of = self.items.len();
        let mut parts = vec![format!("{} of {of} done", self.count(ItemState::Done))];
        for (state, word) in
            [(ItemState::InHand, "under way"), (ItemState::Failed, "failed"), (ItemState::Unknown, "not known")]
        {
            let count = self.count(state);
            if count > 0 {
                parts.push(format!("{count} {word}"));
            }
        }
        if self.rings() == 2 && self.ring == 0 {
            parts.push("the canary first".into());
        }
        parts.join(", ")
    }

    pub(super) fn find(&self, label: &str) -> Option<usize> {
        self.items.iter().position(|i| i.seat.label == label)
    }

    pub(super) fn labels(&self, items: &[usize]) -> Vec<&str> {
        items.iter().filter_map(|i| self.items.get(*i)).map(|i| i.seat.label.as_str()).collect()
    }

    /// Makes ready what a retry takes on again: what failed, or, where nothing did, the ring whose effect was not seen.
    pub(super) fn again(&mut self) {
        let failed = self.of_ring(ItemState::Failed);
        let chosen = if failed.is_empty() { self.ring_items().collect() } else { failed };
        for item in chosen {
            self.set(item, ItemState::Waiting, None);
        }
        self.batch.clear();
        self.asked.clear();
    }

    /// What is in hand when an engine ends is not known.
    pub(super) fn interrupted(&mut self) {
        for item in &mut self.items {
            if item.state == ItemState::InHand {
                item.state = ItemState::Unknown;
            }
        }
        self.tickets.clear();
        self.arrived.clear();
    }

    /// Whether every ring has been gone through.
    pub(super) fn is_over(&self) -> bool {
        self.ring + 1 >= self.rings()
    }

    /// The outputs: each target's answer by its name.
    pub(super) fn result(&self) -> Value {
        let answers = self.items.iter().filter_map(|i| Some((i.seat.label.clone(), i.result.clone()?)));
        Value::Object(answers.collect())
    }
}

impl Run {
    /// What a step is repeated over, or why that is not known.
    pub(super) fn new_fan(&self, index: usize) -> Result<Option<Fan>, String> {
        let Some(spec) = self.plan.steps().get(index) else { return Ok(None) };
        if !matches!(spec.class(), crate::playbook::schema::Class::Acts) {
            return Ok(None);
        }
        let Some(over) = self.plan.over(index) else { return Ok(None) };
        // What is taken back is what was done.
        let done = self.plan.taken_back_by(index).and_then(|of| self.steps.get(of)?.fan.as_ref());
        let seats: Vec<Seat> = match (done, over) {
            (Some(fan), _) => fan.items.iter().filter(|i| i.state == ItemState::Done).map(|i| i.seat.clone()).collect(),
            (None, Over::Targets) => self.target_seats(),
            (None, Over::Items) => self.items(spec.foreach.as_ref().map_or("", |f| f.items.as_str()))?,
        };
        Ok(self.fan_of(index, seats))
    }

    /// A step over these.
    pub(super) fn fan_of(&self, index: usize, seats: Vec<Seat>) -> Option<Fan> {
        let spec = self.plan.steps().get(index)?;
        let (order, at_once, max_errors) = match (&spec.foreach, &self.plan.playbook().targets) {
            (Some(f), _) => (f.order, f.max_concurrency, f.max_errors),
            (None, Some(t)) => (t.order, t.max_concurrency, t.max_errors),
            (None, None) => return None,
        };
        Some(Fan {
            items: seats
                .into_iter()
                .map(|seat| Item { seat, state: ItemState::Waiting, line: None, result: None })
                .collect(),
            ring: 0,
            order,
            at_once: usize::from(at_once.max(1)),
            max_errors: usize::from(max_errors),
            asked: Vec::new(),
            batch: Vec::new(),
            tickets: BTreeMap::new(),
            arrived: VecDeque::new(),
        })
    }

    /// The tenants that the run was started for.
    pub(super) fn target_seats(&self) -> Vec<Seat> {
        let seat = |t: &TenantId| Seat { label: t.to_string(), tenant: Some(t.clone()), item: None };
        self.start.targets.iter().map(seat).collect()
    }

    fn items(&self, source: &str) -> Result<Vec<Seat>, String> {
        let outputs = self.outputs();
        let around = crate::playbook::expr::Surroundings::nothing();
        let known = Known { around: &around, params: &self.start.params, outputs: &outputs, result: None, item: None };
        let value = self.plan.parsed(source).and_then(|parsed| known.value(parsed));
        let Some(Value::Array(values)) = value else {
            return Err(format!("`{source}` does not come out as a list"));
        };
        if values.len() > MAX_ITEMS {
            return Err(format!("`{source}` has {} items, at most {MAX_ITEMS} are taken", values.len()));
        }
        if Value::Array(values.clone()).to_string().len() > MAX_VALUES {
            return Err(format!("the items of `{source}` have more than {MAX_VALUES} bytes together"));
        }
        let mut seats: Vec<Seat> = Vec::new();
        for (i, value) in values.into_iter().enumerate() {
            let name = match &value {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                Value::Object(fields) => ["id", "name"].iter().find_map(|key| {
                    fields
                        .get(*key)
                        .and_then(|v| v.as_str().map(str::to_owned).or_else(|| v.as_i64().map(|n| n.to_string())))
                }),
                _ => None,
            };
            let mut label = name.map_or_else(|| format!("item {}", i + 1), |name| name.as_str().clean());
            if seats.iter().any(|s| s.label == label) {
                label = format!("{label} #{}", i + 1);
            }
            seats.push(Seat { label, tenant: None, item: Some(clean_json(value)) });
        }
        Ok(seats)
    }

    /// Chooses what the next rendering holds: all that waits in the ring in hand.
    pub(super) fn choose_ring(&mut self) {
        self.edit(|s| {
            if let Some(fan) = &mut s.fan {
                fan.asked = fan.of_ring(ItemState::Waiting);
                fan.batch.clear();
            }
        });
    }

    /// Chooses those that are started next; says whether there are any.
    pub(super) fn choose_batch(&mut self) -> bool {
        let mut any = false;
        self.edit(|s| {
            if let Some(fan) = &mut s.fan {
                let waiting = |i: &&usize| fan.items.get(**i).is_some_and(|item| item.state == ItemState::Waiting);
                fan.batch = fan.asked.iter().filter(waiting).take(fan.at_once).copied().collect();
                any = !fan.batch.is_empty();
            }
        });
        any
    }

    /// The start of a batch is on disk: its requests are sent.
    pub(super) fn send_batch(&mut self, out: &mut Vec<Effect>) {
        let Some((step, fan)) = self.current_step().zip(self.here().and_then(|h| h.fan.as_ref())) else { return };
        let step = step.id.clone();
        let parts: Vec<(usize, usize)> = fan
            .batch
            .iter()
            .filter_map(|item| Some((*item, fan.asked.iter().position(|asked| asked == item)?)))
            .collect();
        self.edit(|s| {
            s.state = StepState::Executing;
            s.sent = Sent::InHand;
        });
        for (item, part) in parts {
            let ticket = self.ticket();
            self.edit(|s| {
                if let Some(fan) = &mut s.fan {
                    fan.set(item, ItemState::InHand, None);
                    fan.tickets.insert(ticket, item);
                }
            });
            out.push(Effect::Execute { ticket, step: step.clone(), part: Some(part) });
        }
        self.edit(|s| s.line = s.fan.as_ref().map(Fan::line));
        self.phase = Phase::Batch;
    }

    /// One of several requests has ended; whether it was one of them.
    pub(super) fn item_executed(
        &mut self,
        ticket: Ticket,
        outcome: &Outcome,
        now: Timestamp,
        out: &mut Vec<Effect>,
    ) -> bool {
        let mut taken = false;
        self.edit(|s| {
            if let Some(fan) = &mut s.fan
                && let Some(item) = fan.tickets.remove(&ticket)
            {
                fan.arrived.push_back((item, outcome.clone()));
                taken = true;
            }
        });
        if taken && self.phase == Phase::Batch {
            self.next_outcome(now, out);
        }
        taken
    }

    /// Writes the next outcome that has come, waits for more, or goes on when there are none.
    pub(super) fn next_outcome(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let mask = self.spec().and_then(|s| s.run).map(|r| r.mask_outputs).unwrap_or_default();
        let mut next = None;
        let mut waits = false;
        self.edit(|s| {
            if let Some(fan) = &mut s.fan {
                next = fan.arrived.pop_front();
                waits = !fan.tickets.is_empty();
            }
        });
        let Some((item, outcome)) = next else {
            if waits {
                self.phase = Phase::Batch;
            } else {
                self.batch_over(now, out);
            }
            return;
        };
        let target = self.here().and_then(|h| h.fan.as_ref()?.items.get(item)).map(|i| i.seat.label.clone());
        let (kind, body, state, line, result) = match outcome {
            Outcome::Done { result, summary } => {
                let (result, summary) = (masked(clean_json(result), &mask), summary.clean());
                let body = json!({
                    "ended": "done", "target": target, "summary": summary, "result": result.to_string(),
                });
                ("step.finished", body, ItemState::Done, summary, Some(result))
            }
            Outcome::Failed { why } => {
                let why = why.message.clean();
                (
                    "step.finished",
                    json!({"ended": "failed", "target": target, "why": why}),
                    ItemState::Failed,
                    why,
                    None,
                )
            }
            Outcome::Unknown { why } => {
                let why = why.message.clean();
                ("step.unknown", json!({"target": target, "why": why}), ItemState::Unknown, why, None)
            }
        };
        self.edit(|s| {
            s.outcome_at = Some(now);
            if let Some(fan) = &mut s.fan {
                fan.set(item, state, Some(line));
                if let Some(item) = fan.items.get_mut(item) {
                    item.result = result;
                }
                s.line = Some(fan.line());
            }
        });
        self.record(kind, body, Then::ItemEnded, out);
    }

    /// Whether requests are under way whose outcomes are not on disk.
    pub(super) fn has_items_in_hand(&self) -> bool {
        self.here().and_then(|h| h.fan.as_ref()).is_some_and(|f| !f.tickets.is_empty() || !f.arrived.is_empty())
    }

    /// The item whose outcome is looked at first, with its place in the rendered request.
    pub(super) fn unknown_item(&self) -> Option<(usize, Option<usize>)> {
        let fan = self.here()?.fan.as_ref()?;
        let item = fan.items.iter().position(|i| i.state == ItemState::Unknown)?;
        Some((item, fan.asked.iter().position(|asked| *asked == item)))
    }

    /// All outcomes of a batch are on disk.
    fn batch_over(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let Some(fan) = self.here().and_then(|h| h.fan.clone()) else { return };
        if fan.count(ItemState::Unknown) > 0 {
            self.edit(|s| {
                s.sent = Sent::Unknown;
                s.state = StepState::Unknown;
            });
            return if self.stop.is_some() { self.stop_now(out) } else { self.ask_about_unknown(out) };
        }
        self.edit(|s| s.sent = if fan.has_done() { Sent::Done } else { Sent::Refused });
        if let Some(why) = fan.is_too_bad() {
            if self.stop.is_none() {
                return self.failed(why, true, RetryOn::Failure, now, out);
            }
            self.edit(|s| {
                s.state = StepState::Failed;
                s.line = Some(why);
            });
        }
        if self.stop.is_some() {
            return self.stop_now(out);
        }
        if self.choose_batch() {
            return self.ask_last_check(out);
        }
        self.verify_from(now, out);
    }

    pub(super) fn ask_about_unknown(&mut self, out: &mut Vec<Effect>) {
        match self.spec().map(|s| s.on_unknown) {
            Some(crate::playbook::schema::OnUnknown::Ask) => self.ask_person_what_happened(),
            _ => self.ask(Question::Reconcile, out),
        }
    }

    /// Takes in what looking at one of several targets found.
    pub(super) fn settle_item(&mut self, found: &Reconciled) {
        let Some((item, _)) = self.unknown_item() else { return };
        let (state, line) = match found {
            Reconciled::TookEffect { seen } => (ItemState::Done, format!("it had its effect: {}", seen.clean())),
            Reconciled::NoEffect { seen } => (ItemState::Failed, format!("it had no effect: {}", seen.clean())),
            Reconciled::Undecided { .. } => return,
        };
        self.edit(|s| {
            if let Some(fan) = &mut s.fan {
                fan.set(item, state, Some(line));
                s.line = Some(fan.line());
                if fan.count(ItemState::Unknown) == 0 {
                    s.sent = if fan.has_done() { Sent::Done } else { Sent::Refused };
                    s.state = StepState::Pending;
                }
            }
        });
    }

    /// What looking found is on disk, or what a person said; whether it was about one of several targets.
    pub(super) fn item_found(&mut self, found: &Reconciled, now: Timestamp, out: &mut Vec<Effect>) -> bool {
        if self.unknown_item().is_none() {
            return false;
        }
        if let Reconciled::Undecided { why } = found {
            self.edit(|s| s.line = Some(format!("looking can not tell: {}", why.clean())));
            self.ask_person_what_happened();
            return true;
        }
        self.settle_item(found);
        self.edit(|s| s.outcome_at = Some(now));
        // A person's confirmation was for the moment in which all were sent; what is left is confirmed again.
        if self.unknown_item().is_some() {
            self.ask_about_unknown(out);
        } else {
            self.resume_fan(now, out);
        }
        true
    }

    /// The ring's effect was seen: the next ring, if there is one.
    pub(super) fn next_ring(&mut self, out: &mut Vec<Effect>) -> bool {
        if self.here().and_then(|h| h.fan.as_ref()).is_none_or(Fan::is_over) {
            return false;
        }
        self.edit(|s| {
            if let Some(fan) = &mut s.fan {
                fan.ring += 1;
            }
        });
        self.prepare_rest(out);
        true
    }

    /// Prepares what is left of a step over several: rendered, confirmed and approved anew.
    pub(super) fn prepare_rest(&mut self, out: &mut Vec<Effect>) {
        let verify = self.spec().map_or(0, |s| s.verify.len());
        self.bump();
        self.edit(|s| {
            s.forget(verify);
            s.state = StepState::Preparing;
        });
        self.prepare(out);
    }

    /// Where a step over several was interrupted between two batches or rings.
    pub(super) fn resume_fan(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let Some(fan) = self.here().and_then(|h| h.fan.clone()) else { return };
        if let Some(why) = fan.is_too_bad() {
            self.failed(why, true, RetryOn::Failure, now, out);
        } else if fan.of_ring(ItemState::Waiting).is_empty() {
            self.verify_from(now, out);
        } else {
            self.prepare_rest(out);
        }
    }

    /// What a question about a step is asked for each of; `None` where it is asked once.
    pub(super) fn seats_of(&self, index: usize, what: super::effect::Subject) -> Option<Vec<Seat>> {
        use super::effect::Subject;
        let of_fan = |chosen: fn(&Fan) -> Vec<usize>| {
            let fan = self.steps.get(index)?.fan.as_ref()?;
            Some(chosen(fan).into_iter().filter_map(|i| fan.items.get(i)).map(|i| i.seat.clone()).collect::<Vec<_>>())
        };
        let fanned = match what {
            Subject::Condition | Subject::Ways => return None,
            Subject::Contraindications => None,
            Subject::Preconditions => of_fan(|f| if f.batch.is_empty() { f.asked.clone() } else { f.batch.clone() }),
            Subject::Verify(_) => of_fan(|f| f.of_ring(ItemState::Done)),
        };
        let all = || self.plan.playbook().targets.is_some().then(|| self.target_seats());
        fanned.or_else(all)
    }
}

/// The choices where looking can not tell what became of a request.
pub(super) fn unknown_choices() -> Vec<(super::Offered, Choose)> {
    vec![
        offer("reconcile", "look at the target again", false, Choose::Reconcile),
        offer("took-effect", "it had its effect", true, Choose::TookEffect),
        offer("no-effect", "it had none", true, Choose::NoEffect),
        abort(),
    ]
}
