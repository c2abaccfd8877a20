//! What is known at one moment, and the evaluation of an expression against it.

use super::check::Type;
use super::convert::{from_json, map, to_json};
use super::parsed::Parsed;
use super::verdict::{Evaluation, Verdict};
use crate::domain::estate::{Tenancy, Tenant};
use crate::domain::incident::Severity;
use crate::domain::mode::Mode;
use cel::objects::Value as Cel;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// A signal's value at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Value in the unit of the table of signals.
    pub value: f64,
    /// When it was observed.
    pub observed_at: Timestamp,
}

/// What the engine knows around a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Surroundings {
    /// Now.
    pub now: Timestamp,
    /// Mode.
    pub mode: Mode,
    /// The tenant that the run is about, from [`tenant_value`].
    pub tenant: Option<Value>,
    /// Fresh signals by dotted name, flattened to the tenant; what is stale or unknown is not in it.
    pub signals: BTreeMap<String, Reading>,
    /// Severity of the declared incident.
    pub incident: Option<Severity>,
}

impl Surroundings {
    /// Of an expression that sees only what the run itself knows.
    pub fn nothing() -> Self {
        Self { now: Timestamp::UNIX_EPOCH, mode: Mode::Replay, tenant: None, signals: BTreeMap::new(), incident: None }
    }
}

/// Everything that an expression can see.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Around the run.
    pub around: &'a Surroundings,
    /// Parameters of the run.
    pub params: &'a BTreeMap<String, Value>,
    /// Outputs of steps, by output name.
    pub outputs: &'a BTreeMap<String, Value>,
    /// What a look answered.
    pub result: Option<&'a Value>,
    /// The item that a foreach is at.
    pub item: Option<&'a Value>,
}

/// The fields of `tenant`, in expressions and templates; those of parts that are not observed are missing.
pub const TENANT_FIELDS: [(&str, Type); 13] = [
    ("id", Type::Text),
    ("name", Type::Text),
    ("tenancy", Type::Text),
    ("criticality", Type::Int),
    ("instance", Type::Text),
    ("database", Type::Text),
    ("cluster", Type::Text),
    ("namespace", Type::Text),
    ("web", Type::Text),
    ("workers", Type::Text),
    ("ingress", Type::Text),
    ("router", Type::Text),
    ("host", Type::Text),
];

/// A tenant as expressions and templates see it.
pub fn tenant_value(tenant: &Tenant) -> Value {
    let mut fields = serde_json::Map::new();
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    put("id", json!(tenant.id));
    put("name", json!(tenant.name));
    let tenancy = match tenant.tenancy {
        Tenancy::Dedicated => "dedicated",
        Tenancy::MultiTenant => "multi-tenant",
    };
    put("tenancy", json!(tenancy));
    put("criticality", json!(tenant.criticality));
    if let Some(database) = &tenant.database {
        put("instance", json!(database.instance));
        put("database", json!(database.name));
    }
    if let Some(namespace) = &tenant.namespace {
        put("cluster", json!(namespace.cluster));
        put("namespace", json!(namespace.name));
        put("web", json!(namespace.web));
        put("workers", json!(namespace.workers));
    }
    if let Some(router) = &tenant.router {
        put("ingress", json!(router.ingress));
        put("router", json!(router.name));
        put("host", json!(router.host));
    }
    Value::Object(fields)
}

impl Known<'_> {
    /// Evaluates a condition. `text` is how people read it, `max_age` the greatest age of the signals that it uses.
    pub fn evaluate(&self, expr: &Parsed, text: &str, max_age: Option<Duration>) -> Evaluation {
        let names = expr.signals();
        let readings: Vec<(&String, Option<Reading>)> =
            names.iter().map(|n| (n, self.around.signals.get(n).copied().filter(|r| r.value.is_finite()))).collect();
        let observed_at = readings.iter().filter_map(|(_, r)| r.map(|r| r.observed_at)).min();
        let detail = self.detail(expr, &readings);
        let verdict = self.unknown_signal(&readings, max_age).unwrap_or_else(|| self.verdict(expr));
        Evaluation { text: text.to_owned(), verdict, detail, observed_at }
    }

    fn unknown_signal(&self, readings: &[(&String, Option<Reading>)], max_age: Option<Duration>) -> Option<Verdict> {
        readings.iter().find_map(|(name, reading)| match reading {
            None => Some(Verdict::Unknown(format!("the signal {name} is not known now"))),
            Some(reading) => {
                let age = age_s(self.around.now, reading.observed_at);
                let limit = max_age?.as_secs_f64();
                (age > limit).then(|| {
                    Verdict::Unknown(format!("the signal {name} is {age:.0} s old, at most {limit} s are allowed"))
                })
            }
        })
    }

    fn verdict(&self, expr: &Parsed) -> Verdict {
        if let Some(why) = self.too_long(expr) {
            return Verdict::Unknown(why);
        }
        match expr.program().execute(&self.context()) {
            Ok(Cel::Bool(true)) => Verdict::True,
            Ok(Cel::Bool(false)) => Verdict::False,
            Ok(other) => Verdict::Unknown(format!("it is {} and neither true nor false", other.type_of())),
            Err(cel::ExecutionError::NoSuchKey(key)) => Verdict::Unknown(format!("`{key}` is not known")),
            Err(error) => Verdict::Unknown(format!("it can not be evaluated: {error}")),
        }
    }

    /// A macro within a macro goes through one list for each element of another; what that comes to is bounded.
    fn too_long(&self, expr: &Parsed) -> Option<String> {
        if expr.loops() < 2 {
            return None;
        }
        let outside = self.params.values().chain(self.outputs.values()).chain(self.result).chain(self.item);
        let longest = outside.map(longest).max().unwrap_or(0);
        let work = u32::try_from(expr.loops()).ok().and_then(|loops| longest.checked_pow(loops));
        work.is_none_or(|work| work > MAX_WORK)
            .then(|| format!("it would go through {longest} elements for each of {longest}, which takes too long"))
    }

    /// The value of an expression as JSON; `None` when it is not known.
    pub fn value(&self, expr: &Parsed) -> Option<Value> {
        let known = |name: &String| self.around.signals.get(name).is_some_and(|r| r.value.is_finite());
        if !expr.signals().iter().all(known) || self.too_long(expr).is_some() {
            return None;
        }
        expr.program().execute(&self.context()).ok().as_ref().and_then(to_json)
    }

    fn context(&self) -> cel::Context<'static, 'static> {
        let mut context = cel::Context::default();
        let object = |fields: &BTreeMap<String, Value>| map(fields.iter().map(|(k, v)| (k.clone(), from_json(v))));
        let now = self.around.now;
        context.add_variable_from_value("params", object(self.params));
        context.add_variable_from_value("outputs", object(self.outputs));
        context.add_variable_from_value("mode", self.around.mode.word());
        if let Some(tenant) = &self.around.tenant {
            context.add_variable_from_value("tenant", from_json(tenant));
        }
        if let Some(result) = self.result {
            context.add_variable_from_value("result", from_json(result));
        }
        if let Some(item) = self.item {
            context.add_variable_from_value("item", from_json(item));
        }
        let incident = [
            ("declared".to_owned(), Cel::Bool(self.around.incident.is_some())),
            ("severity".to_owned(), Cel::from(self.around.incident.map(|s| s.to_string()).unwrap_or_default())),
        ];
        context.add_variable_from_value("incident", map(incident));
        let signals = self.around.signals.iter();
        context.add_variable_from_value("signals", nested(signals.clone().map(|(n, r)| (n.as_str(), r.value))));
        context.add_variable_from_value("ages", nested(signals.map(|(n, r)| (n.as_str(), age_s(now, r.observed_at)))));
        context
    }

    /// The values that the expression refers to, for people.
    fn detail(&self, expr: &Parsed, readings: &[(&String, Option<Reading>)]) -> String {
        let mut parts: Vec<String> = readings
            .iter()
            .map(|(name, reading)| match reading {
                Some(r) => format!("{name} = {} ({:.0} s old)", number(r.value), age_s(self.around.now, r.observed_at)),
                None => format!("{name} not known"),
            })
            .collect();
        for path in expr.paths() {
            let Some((root, rest)) = path.split_first() else { continue };
            let start = match (root.as_str(), rest) {
                ("result", _) => self.result,
                ("item", _) => self.item,
                ("params", [name, ..]) => self.params.get(name),
                ("outputs", [name, ..]) => self.outputs.get(name),
                _ => continue,
            };
            let skip = usize::from(!matches!(root.as_str(), "result" | "item"));
            let value = rest.iter().skip(skip).try_fold(start, |at, key| at.map(|v| v.get(key)));
            match value.flatten() {
                Some(Value::Object(_) | Value::Array(_)) => {}
                Some(value) => parts.push(format!("{} = {value}", path.join("."))),
                None => parts.push(format!("{} not known", path.join("."))),
            }
        }
        crate::domain::text::sanitize(&parts.join(", "))
    }
}

/// Selects a value from a result, for an `outputs` entry; `None` when it is not there.
pub fn select(expr: &Parsed, params: &BTreeMap<String, Value>, result: &Value) -> Option<Value> {
    let mut context = cel::Context::default();
    context.add_variable_from_value("params", map(params.iter().map(|(k, v)| (k.clone(), from_json(v)))));
    context.add_variable_from_value("result", from_json(result));
    expr.program().execute(&context).ok().as_ref().and_then(to_json)
}

/// Number of elements of the longest list or map in a value.
fn longest(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.len().max(items.iter().map(longest).max().unwrap_or(0)),
        Value::Object(fields) => fields.len().max(fields.values().map(longest).max().unwrap_or(0)),
        Value::String(text) => text.len() / 64,
        _ => 0,
    }
}

/// Steps that an expression with nested macros may take.
const MAX_WORK: usize = 1_000_000;

fn age_s(now: Timestamp, then: Timestamp) -> f64 {
    now.duration_since(then).as_secs_f64().max(0.0)
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

/// `lock.blocked` under its dotted name and nested, so that both ways of writing it work.
fn nested<'a>(values: impl Iterator<Item = (&'a str, f64)>) -> Cel {
    let mut flat: Vec<(String, Cel)> = Vec::new();
    let mut tree = Value::Object(serde_json::Map::new());
    for (name, value) in values {
        flat.push((name.to_owned(), Cel::Float(value)));
        let mut at = &mut tree;
        let mut parts = name.split('.').peekable();
        while let Some(part) = parts.next() {
            let Value::Object(fields) = at else { break };
            let leaf = if parts.peek().is_none() { json!(value) } else { json!({}) };
            at = fields.entry(part).or_insert(leaf);
        }
    }
    if let Value::Object(fields) = &tree {
        flat.extend(fields.iter().map(|(k, v)| (k.clone(), from_json(v))));
    }
    map(flat)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn around(signals: &[(&str, f64, i64)]) -> Surroundings {
        Surroundings {
            now: at(100),
            mode: Mode::Drill,
            tenant: Some(json!({"id": "t017", "tenancy": "dedicated"})),
            signals: signals
                .iter()
                .map(|(n, v, t)| ((*n).to_owned(), Reading { value: *v, observed_at: at(*t) }))
                .collect(),
            incident: Some(Severity::Sev2),
        }
    }

    fn evaluate(source: &str, around: &Surroundings, result: Option<&Value>, max_age: Option<u64>) -> Evaluation {
        let outputs = BTreeMap::from([("show_tree".to_owned(), json!({"blocked": 41}))]);
        let params = BTreeMap::from([("limit".to_owned(), json!(3))]);
        Known { around, params: &params, outputs: &outputs, result, item: None }.evaluate(
            &Parsed::new(source).unwrap(),
            source,
            max_age.map(Duration::from_secs),
        )
    }

    #[test]
    fn both_ways_to_write_a_signal_see_the_same_number() {
        let around = around(&[("lock.blocked", 41.0, 98), ("lock.oldest", 62.5, 90)]);
        for source in ["signals.lock.blocked == 41", "signals[\"lock.blocked\"] == 41", "ages.lock.oldest == 10"] {
            let e = evaluate(source, &around, None, None);
            assert_eq!(e.verdict, Verdict::True, "{source}");
        }
        let e = evaluate("signals.lock.blocked > signals.lock.oldest", &around, None, None);
        assert_eq!((e.verdict, e.observed_at), (Verdict::False, Some(at(90))), "the oldest signal counts");
        assert_eq!(e.detail, "lock.blocked = 41 (2 s old), lock.oldest = 62.500 (10 s old)");
    }

    #[test]
    fn a_missing_signal_is_unknown_even_where_cel_would_find_an_answer() {
        let around = around(&[("queue.depth", f64::NAN, 99)]);
        for source in [
            "signals.lock.blocked > 0",
            "signals.lock.blocked > 0 || true",
            "!has(signals.lock.blocked)",
            "signals.queue.depth >= 0.0 || true",
            "ages.lock.blocked < 5 || true",
        ] {
            let e = evaluate(source, &around, None, None);
            assert!(matches!(e.verdict, Verdict::Unknown(_)), "{source}: {e:?}");
        }
    }

    #[test]
    fn older_than_allowed_is_unknown() {
        let around = around(&[("lock.blocked", 41.0, 69)]);
        assert_eq!(evaluate("signals.lock.blocked > 0", &around, None, None).verdict, Verdict::True);
        assert_eq!(evaluate("signals.lock.blocked > 0", &around, None, Some(31)).verdict, Verdict::True);
        let stale = evaluate("signals.lock.blocked > 0", &around, None, Some(30));
        let why = "the signal lock.blocked is 31 s old, at most 30 s are allowed".to_owned();
        assert_eq!(stale.verdict, Verdict::Unknown(why));
    }

    #[test]
    fn results_outputs_parameters_and_surroundings_are_seen() {
        let around = around(&[]);
        let result = json!({"status": 503, "rows": [{"pid": 1, "wait": 1.5}]});
        for source in [
            "result.status == 503 && result.status + 1 == 504",
            "result.rows.exists(r, r.pid == 1 && r.wait > 1.0)",
            "outputs.show_tree.blocked > params.limit",
            "tenant.id == \"t017\" && mode == \"drill\"",
            "incident.declared && incident.severity == \"SEV2\"",
        ] {
            assert_eq!(evaluate(source, &around, Some(&result), None).verdict, Verdict::True, "{source}");
        }
        assert_eq!(evaluate("result.status < 500", &around, Some(&result), None).detail, "result.status = 503");
    }

    #[test]
    fn what_is_absent_is_unknown_and_so_is_what_is_no_condition() {
        let around = around(&[]);
        for source in ["result.status == 503", "outputs.later.x == 1", "tenant.instance == \"a\"", "result.a.b", "1"] {
            let e = evaluate(source, &around, Some(&json!({"status": "x"})), None);
            assert!(e.verdict != Verdict::True, "{source}: {e:?}");
        }
        assert!(matches!(evaluate("outputs.later.x == 1", &around, None, None).verdict, Verdict::Unknown(_)));
        assert!(matches!(evaluate("result.status == 503", &around, None, None).verdict, Verdict::Unknown(_)));
    }

    #[test]
    fn an_expression_that_would_run_for_ever_is_not_known() {
        let around = around(&[]);
        let rows: Vec<Value> = (0..5000).map(|i| json!({"pid": i})).collect();
        let result = json!({ "rows": rows });
        let nested = "result.rows.all(a, result.rows.exists(b, a.pid == b.pid))";
        let began = std::time::Instant::now();
        let said = evaluate(nested, &around, Some(&result), None).verdict;
        assert!(matches!(&said, Verdict::Unknown(why) if why.contains("takes too long")), "{said:?}");
        assert!(began.elapsed() < Duration::from_secs(5));
        let few = json!({ "rows": [{"pid": 1}, {"pid": 2}] });
        assert_eq!(evaluate(nested, &around, Some(&few), None).verdict, Verdict::True);
    }

    #[test]
    fn a_value_is_selected_as_json() {
        let params = BTreeMap::new();
        let result = json!({"root": {"pid": 4711, "since": "02:01"}, "share": 0.5});
        let select = |source: &str| super::select(&Parsed::new(source).unwrap(), &params, &result);
        assert_eq!(select("result.root.pid"), Some(json!(4711)));
        assert_eq!(select("result.root"), Some(json!({"pid": 4711, "since": "02:01"})));
        assert_eq!(select("result.share"), Some(json!(0.5)));
        assert_eq!(select("result.gone"), None);
    }
}
