//! Templates in arguments: minijinja with strict undefined values, without files and with bounded work. A text that is
//! one expression as a whole (`{{ params.older_than }}`) keeps the type of its value; one that comes out as none is left
//! out, so that an optional parameter can become an optional argument: `{{ params.channel | default(none) }}`.

use super::expr::{Scope, TENANT_FIELDS, nearest};
use super::schema::Call;
use crate::domain::text::{is_hostile, sanitize};
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Work that one template may do, in instructions of the engine.
const FUEL: u64 = 10_000;

/// Longest text that a template may make.
const MAX_CHARS: usize = 8192;

/// What templates see.
#[derive(Clone, Debug, Serialize)]
pub struct Values<'a> {
    /// Parameters of the run.
    pub params: &'a BTreeMap<String, Value>,
    /// The tenant that the run is about, from `expr::tenant_value`.
    pub tenant: Option<&'a Value>,
    /// Outputs of steps, by output name.
    pub outputs: &'a BTreeMap<String, Value>,
    /// The item that a foreach is at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<&'a Value>,
}

impl Values<'_> {
    /// The value that a plain path names; most templates are nothing more, and this is many times faster.
    fn at(&self, path: &str) -> Option<&Value> {
        let mut parts = path.split('.');
        let mut found = match parts.next()? {
            "params" => self.params.get(parts.next()?)?,
            "outputs" => self.outputs.get(parts.next()?)?,
            "tenant" => self.tenant?,
            "item" => self.item?,
            _ => return None,
        };
        for part in parts {
            found = found.as_object()?.get(part)?;
        }
        Some(found)
    }
}

/// Whether a text is names with dots between them and nothing else.
fn is_path(text: &str) -> bool {
    text.split('.').all(|part| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// The engine of all templates; making one fills its tables of filters and functions, which costs more than most
/// templates do.
static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(16);
    environment
});

/// Renders the arguments of a call.
///
/// # Errors
/// One sentence that names the argument.
pub fn args(call: &Call, values: &Values<'_>) -> Result<BTreeMap<String, Value>, String> {
    let mut rendered = BTreeMap::new();
    for (name, value) in &call.args {
        match render(value, values).map_err(|why| format!("argument `{name}` of {}: {why}", call.name()))? {
            Value::Null => {}
            value => drop(rendered.insert(name.clone(), value)),
        }
    }
    Ok(rendered)
}

/// Renders one text, such as the phrase that has to be typed.
///
/// # Errors
/// One sentence.
pub fn text(source: &str, values: &Values<'_>) -> Result<String, String> {
    let text = ENVIRONMENT.render_str(source, Serde(values)).map_err(|e| sentence(source, &e))?;
    checked(text)
}

fn render(value: &Value, values: &Values<'_>) -> Result<Value, String> {
    match value {
        Value::String(source) => match whole(source) {
            Some(expression) => {
                if is_path(expression)
                    && let Some(found) = values.at(expression)
                {
                    return match found {
                        Value::String(text) => checked(text.clone()).map(Value::String),
                        other => Ok(other.clone()),
                    };
                }
                let compiled = ENVIRONMENT.compile_expression(expression).map_err(|e| sentence(source, &e))?;
                let result = compiled.eval(Serde(values)).map_err(|e| sentence(source, &e))?;
                if result.is_undefined() {
                    return Err(format!("`{}` is not known", sanitize(source)));
                }
                match serde_json::to_value(&result).map_err(|e| e.to_string())? {
                    Value::String(text) => checked(text).map(Value::String),
                    other => Ok(other),
                }
            }
            None if !source.contains('{') => checked(source.clone()).map(Value::String),
            None => text(source, values).map(Value::String),
        },
        Value::Array(items) => {
            items.iter().map(|item| render(item, values)).collect::<Result<_, _>>().map(Value::Array)
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| Ok((name.clone(), render(value, values)?)));
            fields.collect::<Result<_, String>>().map(Value::Object)
        }
        other => Ok(other.clone()),
    }
}

/// The expression of a text that is one `{{ … }}` as a whole.
fn whole(source: &str) -> Option<&str> {
    let inner = source.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    // Most have no brace in them, and a search for two costs more than all else here.
    let is_one = !inner.bytes().any(|b| matches!(b, b'{' | b'}')) || !(inner.contains("{{") || inner.contains("}}"));
    is_one.then(|| inner.trim_matches('-').trim())
}

fn checked(text: String) -> Result<String, String> {
    if text.chars().any(is_hostile) {
        return Err(format!("it comes out with control characters: “{}”", sanitize(&text)));
    }
    let chars = text.chars().count();
    if chars > MAX_CHARS {
        return Err(format!("it comes out with {chars} characters, at most {MAX_CHARS} are allowed"));
    }
    Ok(text)
}

fn sentence(source: &str, error: &minijinja::Error) -> String {
    let source = sanitize(source);
    match error.kind() {
        ErrorKind::UndefinedError => format!("`{source}` refers to something that is not known"),
        ErrorKind::OutOfFuel => format!("`{source}` works for too long"),
        _ => {
            format!("`{source}`: {}", sanitize(error.to_string().split(" (in ").next().unwrap_or_default()))
        }
    }
}

/// Calls back for each text in a value.
pub(super) fn texts(value: &Value, each: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, each)),
        Value::Object(fields) => fields.values().for_each(|value| texts(value, each)),
        _ => {}
    }
}

/// Whether a template of a call refers to a variable.
pub(super) fn mentions(call: &Call, variable: &str) -> bool {
    let mut found = false;
    for value in call.args.values() {
        texts(value, &mut |text| {
            found = found || names(text).iter().any(|name| name.split('.').next() == Some(variable));
        });
    }
    found
}

/// The outputs that a template refers to, by output name.
pub(super) fn outputs_of(source: &str) -> Vec<String> {
    names(source)
        .into_iter()
        .filter_map(|name| Some(name.strip_prefix("outputs.")?.split('.').next()?.to_owned()))
        .collect()
}

fn names(source: &str) -> Vec<String> {
    let mut names: Vec<String> = ENVIRONMENT
        .template_from_str(source)
        .map(|t| t.undeclared_variables(true).into_iter().collect())
        .unwrap_or_default();
    names.sort();
    names
}

/// What is wrong with a template at its place, one sentence each.
pub(super) fn check(source: &str, scope: &Scope) -> Vec<String> {
    if let Err(error) = ENVIRONMENT.template_from_str(source) {
        return vec![sentence(source, &error)];
    }
    let mut problems: Vec<String> = names(source).iter().filter_map(|name| unknown(name, scope)).collect();
    // A filter or function that does not exist shows only when it is called.
    let params: BTreeMap<String, Value> = scope.params.keys().map(|name| (name.clone(), Value::from("1"))).collect();
    let tenant: Value = TENANT_FIELDS.iter().map(|(name, _)| ((*name).to_owned(), Value::from("1"))).collect();
    let item = Value::from("1");
    let values = Values { params: &params, tenant: Some(&tenant), outputs: &BTreeMap::new(), item: Some(&item) };
    if let Err(error) = ENVIRONMENT.render_str(source, Serde(&values))
        && matches!(
            error.kind(),
            ErrorKind::UnknownFilter | ErrorKind::UnknownFunction | ErrorKind::UnknownTest | ErrorKind::OutOfFuel
        )
    {
        problems.push(sentence(source, &error));
    }
    problems
}

fn unknown(name: &str, scope: &Scope) -> Option<String> {
    let mut parts = name.split('.');
    if scope.partial && matches!(parts.clone().next(), Some("params" | "outputs" | "tenant")) {
        return None;
    }
    match (parts.next().unwrap_or_default(), parts.next()) {
        ("params", Some(name)) if !scope.params.contains_key(name) => {
            let all: Vec<&str> = scope.params.keys().map(String::as_str).collect();
            Some(format!("unknown parameter `{name}`{}", nearest(name, &all)))
        }
        ("tenant", _) if !scope.tenant => Some("`tenant` needs a parameter of type tenant".into()),
        ("tenant", Some(field)) if !TENANT_FIELDS.iter().any(|(name, _)| *name == field) => {
            let all: Vec<&str> = TENANT_FIELDS.iter().map(|(name, _)| *name).collect();
            Some(format!("a tenant has no `{field}`{}", nearest(field, &all)))
        }
        ("outputs", Some(step)) if !scope.outputs.contains(step) => {
            let all: Vec<&str> = scope.outputs.iter().map(String::as_str).collect();
            Some(format!("no step before this one has the output `{step}`{}", nearest(step, &all)))
        }
        ("item", _) if scope.item => None,
        ("item", _) => Some("`item` is there only in a foreach".into()),
        // Global functions of the engine stand in this list too; whether they exist shows when they are called.
        ("params" | "tenant" | "outputs", Some(_)) | ("range" | "dict" | "namespace" | "debug", None) => None,
        ("params" | "tenant" | "outputs", None) => Some(format!("`{name}` needs the name of a part: {name}.…")),
        (root, _) => Some(format!("unknown variable `{root}`, there are `params`, `tenant`, `outputs`, `item`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rendered(args: &Value) -> Result<Value, String> {
        let params = BTreeMap::from([("age".to_owned(), json!(900)), ("name".to_owned(), json!("x' OR 1=1 --"))]);
        let outputs = BTreeMap::from([("tree".to_owned(), json!({"root": {"pid": 4711}, "evil": "a\u{1b}[31m"}))]);
        let tenant = json!({"id": "t017", "database": "t017"});
        let values = Values { params: &params, tenant: Some(&tenant), outputs: &outputs, item: None };
        let call: Call = serde_json::from_value(json!({"adapter": "a", "verb": "v", "args": args})).unwrap();
        super::args(&call, &values).map(|args| json!(args))
    }

    #[test]
    fn a_whole_expression_keeps_its_type_and_none_leaves_the_argument_out() {
        let args = json!({
            "pid": "{{ outputs.tree.root.pid }}", "age": "{{ params.age }}", "text": "db {{ tenant.database }}",
            "channel": "{{ params.channel | default(none) }}", "fixed": 3, "list": ["{{ tenant.id }}", true],
            "root": "{{ outputs.tree.root }}",
        });
        let expected = json!({
            "pid": 4711, "age": 900, "text": "db t017", "fixed": 3, "list": ["t017", true], "root": {"pid": 4711},
        });
        assert_eq!(rendered(&args), Ok(expected));
    }

    #[test]
    fn hostile_values_stay_one_value_wherever_they_stand() {
        for evil in [
            "'; DROP TABLE queue_job; --",
            "$(rm -rf /)",
            "`id`; reboot",
            "{{ outputs.tree.root.pid }}",
            "{% for i in range(9) %}x{% endfor %}",
            "\"}, {\"op\": \"remove\", \"path\": \"/\"",
            "../../../etc/passwd",
        ] {
            let params = BTreeMap::from([("v".to_owned(), json!(evil))]);
            let outputs = BTreeMap::from([("look".to_owned(), json!({"v": evil}))]);
            let item = json!({"v": evil});
            let values = Values { params: &params, tenant: None, outputs: &outputs, item: Some(&item) };
            let args = json!({
                "whole": "{{ params.v }}", "within": "a {{ params.v }} b", "list": ["{{ outputs.look.v }}"],
                "item": "{{ item.v }}",
            });
            let call: Call = serde_json::from_value(json!({"adapter": "a", "verb": "v", "args": args})).unwrap();
            let expected = json!({"whole": evil, "within": format!("a {evil} b"), "list": [evil], "item": evil});
            assert_eq!(super::args(&call, &values).map(|args| json!(args)), Ok(expected));
        }
        // What would end a header or a line is refused, whichever way it comes.
        for evil in ["a\r\nX-Evil: 1", "a\nb", "a\u{202e}b"] {
            let params = BTreeMap::from([("v".to_owned(), json!(evil))]);
            let values = Values { params: &params, tenant: None, outputs: &BTreeMap::new(), item: None };
            for source in ["{{ params.v }}", "x {{ params.v }}"] {
                let call: Call =
                    serde_json::from_value(json!({"adapter": "a", "verb": "v", "args": {"a": source}})).unwrap();
                assert!(super::args(&call, &values).unwrap_err().contains("control characters"), "{evil:?}");
            }
        }
    }

    #[test]
    fn text_is_passed_on_as_it_is_and_never_becomes_a_template() {
        assert_eq!(rendered(&json!({"a": "{{ params.name }}"})), Ok(json!({"a": "x' OR 1=1 --"})));
    }

    #[test]
    fn what_is_not_known_or_would_move_a_terminal_is_a_sentence() {
        for (source, part) in [
            ("{{ outputs.later.pid }}", "refers to something that is not known"),
            ("{{ tenant.instance }}", "is not known"),
            ("db-{{ tenant.instance }}", "refers to something that is not known"),
            ("{{ outputs.tree.evil }}", "control characters: “a·[31m”"),
            ("x {{ outputs.tree.evil }}", "control characters"),
            ("{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}", "works for too long"),
            ("{{ 'x' * 9000 }}-", "at most 8192 are allowed"),
            ("{% include 'a' %}", "`{% include 'a' %}`"),
        ] {
            let why = rendered(&json!({"a": source})).unwrap_err();
            assert!(why.starts_with("argument `a` of a.v: ") && why.contains(part), "{source}: {why}");
        }
    }
}
