//! Conditions of a scenario: CEL over `elapsed_s`, `signals.TENANT["lock.blocked"]` with the numbers that the console
//! would show, `fired` (the injects that have come) and `primaries["pg-a"]` (servers of a pair that take writes).

use super::model::Simulation;
use crate::correlate;
use crate::domain::id::TenantId;
use crate::domain::sample::Sample;
use crate::domain::world::World;
use cel::objects::{Key, Map, Value};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// A compiled condition.
pub struct Condition {
    text: String,
    program: cel::Program,
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// A list of texts of CEL.
pub fn list<'a>(texts: impl Iterator<Item = &'a str>) -> Value {
    Value::List(Arc::new(texts.map(|text| Value::String(Arc::new(text.to_owned()))).collect()))
}

/// Names that a condition of a scenario may use.
const NAMES: &[&str] = &["elapsed_s", "fired", "primaries", "signals"];

impl Condition {
    /// Compiles; the error is one sentence.
    pub fn compile(text: &str) -> Result<Self, String> {
        Self::over(text, NAMES)
    }

    /// The same over other names.
    pub fn over(text: &str, names: &[&str]) -> Result<Self, String> {
        let program = cel::Program::compile(text).map_err(|e| {
            let why = e.to_string();
            format!("`{text}` is no CEL expression: {}", why.lines().next().unwrap_or_default())
        })?;
        let references = program.references();
        let unknown: Vec<&str> = references.variables().into_iter().filter(|v| !names.contains(v)).collect();
        if let Some(name) = unknown.first() {
            return Err(format!("`{name}` is not known here; there are {}", names.join(", ")));
        }
        Ok(Self { text: text.into(), program })
    }

    /// Whether it holds with these values; what can not be told does not hold.
    pub fn holds_with(&self, values: impl IntoIterator<Item = (&'static str, Value)>) -> bool {
        let mut context = cel::Context::default();
        for (name, value) in values {
            context.add_variable_from_value(name, value);
        }
        matches!(self.program.execute(&context), Ok(Value::Bool(true)))
    }

    /// Whether it asks for nothing but the time.
    pub fn is_of_time_only(&self) -> bool {
        self.program.references().variables().iter().all(|name| *name == "elapsed_s")
    }

    /// Whether one that asks for nothing but the time holds at any second before a limit.
    pub fn can_hold_within(&self, limit_s: i64) -> bool {
        (0..limit_s).any(|second| self.holds(&Seen::at(second)))
    }

    /// Whether it holds; what can not be told does not hold.
    pub fn holds(&self, seen: &Seen) -> bool {
        let of = |value: &Value| value.clone();
        self.holds_with([
            ("elapsed_s", Value::Float(seen.elapsed_s)),
            ("signals", of(&seen.signals)),
            ("fired", of(&seen.fired)),
            ("primaries", of(&seen.primaries)),
        ])
    }
}

/// What conditions look at.
#[derive(Clone, Debug)]
pub struct Seen {
    elapsed_s: f64,
    signals: Value,
    fired: Value,
    primaries: Value,
}

impl Seen {
    /// A moment of which nothing but the time is known.
    fn at(second: i64) -> Self {
        let nothing = || map(std::iter::empty());
        let elapsed_s = f64::from(i32::try_from(second).unwrap_or(i32::MAX));
        Self { elapsed_s, signals: nothing(), fired: Value::List(Arc::new(Vec::new())), primaries: nothing() }
    }

    /// The signals of some tenants in the estate as it is now, and the injects that have come.
    pub fn new<'a>(sim: &Simulation, tenants: &BTreeSet<TenantId>, fired: impl Iterator<Item = &'a str>) -> Self {
        let sim = sim.only(tenants);
        let now = sim.now();
        let sources = sim.sources();
        let mut world = World::new(Arc::clone(sim.estate()), sources.clone(), now);
        for spec in sources {
            let result = sim.look(&spec.id).map(Arc::new);
            world.take(Sample { source: spec.id, taken_at: now, took: Duration::ZERO, result });
        }
        let of = |tenant: &TenantId| {
            let signals = correlate::tenant_signals(&world, sim.estate(), tenant, now);
            map(signals.into_iter().map(|(name, signal)| (name, Value::Float(signal.value))))
        };
        let signals = map(tenants.iter().map(|t| (t.to_string(), of(t))));
        let primaries =
            sim.instances.iter().map(|(id, i)| (id.to_string(), Value::Float(f64::from(i.pair.primaries()))));
        Self { signals, fired: list(fired), primaries: map(primaries), ..Self::at(sim.elapsed_s()) }
    }
}

/// A map of CEL.
pub fn map(entries: impl Iterator<Item = (String, Value)>) -> Value {
    let map: HashMap<Key, Value> = entries.map(|(name, value)| (Key::from(name), value)).collect();
    Value::Map(Map { map: Arc::new(map) })
}
