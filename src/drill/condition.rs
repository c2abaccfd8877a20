//! Conditions of a scenario: CEL over `elapsed_s` and `signals.TENANT["lock.blocked"]`, with the numbers that the
//! console would show.

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

/// Names that a condition may use.
const NAMES: [&str; 2] = ["elapsed_s", "signals"];

impl Condition {
    /// Compiles; the error is one sentence.
    pub fn compile(text: &str) -> Result<Self, String> {
        let program = cel::Program::compile(text).map_err(|e| {
            let why = e.to_string();
            format!("`{text}` is no CEL expression: {}", why.lines().next().unwrap_or_default())
        })?;
        let references = program.references();
        let unknown: Vec<&str> = references.variables().into_iter().filter(|v| !NAMES.contains(v)).collect();
        if let Some(name) = unknown.first() {
            return Err(format!("`{name}` is not known here; there are {}", NAMES.join(", ")));
        }
        Ok(Self { text: text.into(), program })
    }

    /// Whether it holds; what can not be told does not hold.
    pub fn holds(&self, seen: &Seen) -> bool {
        let mut context = cel::Context::default();
        context.add_variable_from_value("elapsed_s", Value::Float(seen.elapsed_s));
        context.add_variable_from_value("signals", seen.signals.clone());
        matches!(self.program.execute(&context), Ok(Value::Bool(true)))
    }
}

/// What conditions look at.
#[derive(Clone, Debug)]
pub struct Seen {
    elapsed_s: f64,
    signals: Value,
}

impl Seen {
    /// The signals of some tenants in the estate as it is now.
    pub fn new(sim: &Simulation, tenants: &BTreeSet<TenantId>) -> Self {
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
        Self { elapsed_s: f64::from(i32::try_from(sim.elapsed_s()).unwrap_or(i32::MAX)), signals }
    }
}

fn map(entries: impl Iterator<Item = (String, Value)>) -> Value {
    let map: HashMap<Key, Value> = entries.map(|(name, value)| (Key::from(name), value)).collect();
    Value::Map(Map { map: Arc::new(map) })
}
