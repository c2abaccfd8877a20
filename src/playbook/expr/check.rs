//! The type check of an expression at lint time: which variables, fields and signals there are, and whether the
//! operators fit. The crate parses and evaluates but does not check types; this finds what would fail at two in the
//! morning while it is still a file.

use super::context::TENANT_FIELDS;
use super::parsed::{Parsed, children, path_of, signal_of};
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Type of a part of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Double,
    /// Text.
    Text,
    /// A list.
    List,
    /// A map.
    Map,
    /// Nothing.
    Null,
    /// Known only when it runs: `result`, `outputs`.
    Any,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "true or false",
            Self::Int => "a whole number",
            Self::Double => "a number",
            Self::Text => "a text",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Null => "null",
            Self::Any => "anything",
        })
    }
}

/// What an expression at one place of a playbook may refer to.
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each says of one variable whether it is there")]
pub struct Scope {
    /// Signal names, dotted.
    pub signals: BTreeSet<String>,
    /// Parameters with their types.
    pub params: BTreeMap<String, Type>,
    /// Whether a parameter says which tenant the run is about.
    pub tenant: bool,
    /// Output names of the steps before.
    pub outputs: BTreeSet<String>,
    /// Whether the answer of a look is bound to `result`.
    pub result: bool,
    /// Whether the item of a foreach is bound to `item`.
    pub item: bool,
    /// Whether there may be parameters and outputs that are not listed here, because the playbook could be read only
    /// in part.
    pub partial: bool,
}

const VARIABLES: &str = "`params`, `tenant`, `signals`, `ages`, `incident`, `outputs`, `result`, `item`, `mode`";

/// Checks an expression that has to be true or false (`Some(Bool)`), or anything (`None`).
///
/// # Errors
/// One sentence for each thing that is wrong.
pub fn check(parsed: &Parsed, scope: &Scope, expected: Option<Type>) -> Result<(), Vec<String>> {
    let mut checker = Checker { scope, bound: Vec::new(), loops: 0, problems: Vec::new() };
    let found = checker.infer(parsed.root());
    if let Some(expected) = expected
        && found != expected
        && found != Type::Any
    {
        checker.problems.push(format!("the expression is {found}, it must be {expected}"));
    }
    if checker.problems.is_empty() { Ok(()) } else { Err(checker.problems) }
}

struct Checker<'a> {
    scope: &'a Scope,
    bound: Vec<String>,
    loops: usize,
    problems: Vec<String>,
}

impl Checker<'_> {
    fn infer(&mut self, expr: &IdedExpr) -> Type {
        if let Some(path) = path_of(expr) {
            let test = matches!(&expr.expr, Expr::Select(select) if select.test);
            let found = self.path(&path);
            return if test { Type::Bool } else { found };
        }
        match &expr.expr {
            Expr::Literal(literal) => match literal {
                LiteralValue::Boolean(_) => Type::Bool,
                LiteralValue::Int(_) | LiteralValue::UInt(_) => Type::Int,
                LiteralValue::Double(_) => Type::Double,
                LiteralValue::String(_) => Type::Text,
                LiteralValue::Null => Type::Null,
                LiteralValue::Bytes(_) => Type::Any,
            },
            Expr::Call(call) => self.call(call),
            Expr::Select(select) => {
                self.infer(&select.operand);
                if select.test { Type::Bool } else { Type::Any }
            }
            Expr::Comprehension(c) => {
                self.infer(&c.iter_range);
                for name in std::iter::once(&c.iter_var).chain(&c.iter_var2) {
                    if is_variable(name) {
                        self.problems.push(format!("`{name}` is a variable already, use another name in the macro"));
                    }
                }
                self.loops += 1;
                if self.loops > 2 {
                    self.problems.push("macros may be nested twice at most".into());
                }
                let before = self.bound.len();
                self.bound.push(c.iter_var.clone());
                self.bound.extend(c.iter_var2.clone());
                self.bound.push(c.accu_var.clone());
                let start = self.infer(&c.accu_init);
                for part in [&c.loop_cond, &c.loop_step, &c.result] {
                    self.infer(part);
                }
                self.bound.truncate(before);
                self.loops -= 1;
                // `all` and `exists` start from a boolean, `map` and `filter` from a list; `exists_one` counts.
                if start == Type::Int { Type::Bool } else { start }
            }
            Expr::List(_) => {
                self.descend(expr);
                Type::List
            }
            Expr::Map(_) => {
                self.descend(expr);
                Type::Map
            }
            Expr::Struct(_) => {
                self.problems.push("messages can not be made here".into());
                Type::Any
            }
            Expr::Unspecified | Expr::Ident(_) => Type::Any,
        }
    }

    fn descend(&mut self, expr: &IdedExpr) {
        for child in children(expr) {
            self.infer(child);
        }
    }

    fn path(&mut self, path: &[String]) -> Type {
        let Some((root, rest)) = path.split_first() else { return Type::Any };
        if root.starts_with('@') || self.bound.contains(root) {
            return Type::Any;
        }
        match (root.as_str(), rest) {
            ("params" | "outputs" | "tenant", [_, ..]) if self.scope.partial => Type::Any,
            ("signals" | "ages", []) => {
                self.problem(format!("`{root}` needs the name of a signal: {root}[\"lock.blocked\"]"));
                Type::Any
            }
            ("signals" | "ages", _) => {
                let name = signal_of(path).unwrap_or_default();
                if !self.scope.signals.contains(&name) {
                    let all: Vec<&str> = self.scope.signals.iter().map(String::as_str).collect();
                    self.problem(format!("unknown signal `{name}`{}", nearest(&name, &all)));
                }
                Type::Double
            }
            ("params", [name]) => self.scope.params.get(name).copied().unwrap_or_else(|| {
                let all: Vec<&str> = self.scope.params.keys().map(String::as_str).collect();
                self.problem(format!("unknown parameter `{name}`{}", nearest(name, &all)));
                Type::Any
            }),
            ("tenant", [field]) => {
                if !self.scope.tenant {
                    self.problem("`tenant` needs a parameter of type tenant".into());
                }
                TENANT_FIELDS.iter().find(|(name, _)| name == field).map_or_else(
                    || {
                        let all: Vec<&str> = TENANT_FIELDS.iter().map(|(name, _)| *name).collect();
                        self.problem(format!("a tenant has no `{field}`{}", nearest(field, &all)));
                        Type::Any
                    },
                    |(_, found)| *found,
                )
            }
            ("incident", [field]) if field == "declared" => Type::Bool,
            ("incident", [field]) if field == "severity" => Type::Text,
            ("incident", _) => {
                self.problem("of `incident` there are `declared` and `severity`".into());
                Type::Any
            }
            ("mode", []) => Type::Text,
            ("outputs", [step, ..]) => {
                if !self.scope.outputs.contains(step) {
                    let all: Vec<&str> = self.scope.outputs.iter().map(String::as_str).collect();
                    self.problem(format!("no step before this one has the output `{step}`{}", nearest(step, &all)));
                }
                Type::Any
            }
            ("item", _) => {
                if !self.scope.item {
                    self.problem("`item` is there only in a foreach".into());
                }
                Type::Any
            }
            ("result", _) => {
                if !self.scope.result {
                    self.problem("`result` is there only beside a `run`".into());
                }
                Type::Any
            }
            ("params" | "tenant" | "outputs" | "mode", _) => {
                self.problem(format!("`{}` can not be used like this", path.join(".")));
                Type::Any
            }
            _ => {
                self.problem(format!("unknown variable `{root}`, there are {VARIABLES}"));
                Type::Any
            }
        }
    }

    fn problem(&mut self, sentence: String) {
        if !self.problems.contains(&sentence) {
            self.problems.push(sentence);
        }
    }

    fn call(&mut self, call: &CallExpr) -> Type {
        let target = call.target.as_deref().map(|t| self.infer(t));
        let args: Vec<Type> = call.args.iter().map(|a| self.infer(a)).collect();
        match (call.func_name.as_str(), args.as_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, _) => {
                self.each(&args, Type::Bool, "`&&` and `||` join what is true or false");
                Type::Bool
            }
            (operators::LOGICAL_NOT, _) => {
                self.each(&args, Type::Bool, "`!` negates what is true or false");
                Type::Bool
            }
            (operators::CONDITIONAL, [condition, yes, no]) => {
                self.each(&[*condition], Type::Bool, "`?` asks what is true or false");
                self.unify(*yes, *no, "the two sides of `:` differ")
            }
            (operators::EQUALS | operators::NOT_EQUALS, [a, b]) => {
                if *a != Type::Null && *b != Type::Null && !comparable(*a, *b) {
                    self.problem(format!("{a} is compared with {b}"));
                }
                Type::Bool
            }
            (operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS, [a, b]) => {
                let ordered = |t: &Type| matches!(t, Type::Int | Type::Double | Type::Text | Type::Any);
                if !comparable(*a, *b) || !ordered(a) || !ordered(b) {
                    self.problem(format!("{a} is compared with {b}"));
                }
                Type::Bool
            }
            (operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE, [a, b]) => {
                let fits =
                    |t: &Type| matches!(t, Type::Int | Type::Double | Type::Any) || call.func_name == operators::ADD;
                if !fits(a) || !fits(b) || matches!(a, Type::Bool | Type::Null) {
                    self.problem(format!("{a} and {b} can not be calculated with"));
                    return Type::Any;
                }
                self.unify(*a, *b, "CEL does not calculate across types, write double(…) around the whole number")
            }
            (operators::MODULO, _) => {
                self.each(&args, Type::Int, "`%` takes whole numbers");
                Type::Int
            }
            (operators::NEGATE, [a]) => *a,
            (operators::IN | operators::NOT_STRICTLY_FALSE, _) => Type::Bool,
            (operators::INDEX, [operand, _]) => {
                if let Some(first) = call.args.first()
                    && let Some(path) = path_of(first)
                    && matches!(path.first().map(String::as_str), Some("signals" | "ages" | "params" | "tenant"))
                {
                    self.problem("a name in brackets must be a literal text".into());
                }
                if !matches!(operand, Type::List | Type::Map | Type::Any) {
                    self.problem(format!("{operand} has no elements"));
                }
                Type::Any
            }
            ("size", _) | ("int", [_]) => Type::Int,
            ("contains" | "startsWith" | "endsWith" | "matches", _) => {
                if let Some(receiver) = target
                    && !matches!(receiver, Type::Text | Type::Any)
                {
                    self.problem(format!("`{}` is asked of {receiver}, it needs a text", call.func_name));
                }
                Type::Bool
            }
            ("double", [_]) => Type::Double,
            ("string", [_]) => Type::Text,
            (name, _) => {
                self.problem(format!(
                    "unknown function `{name}`, there are `size`, `contains`, `startsWith`, `endsWith`, `matches`, `int`, \
                     `double`, `string`, `has`, `all`, `exists`, `exists_one`, `map`, `filter`"
                ));
                Type::Any
            }
        }
    }

    fn each(&mut self, found: &[Type], expected: Type, why: &str) {
        for one in found {
            if *one != expected && *one != Type::Any {
                self.problem(format!("{why}, here is {one}"));
            }
        }
    }

    fn unify(&mut self, a: Type, b: Type, why: &str) -> Type {
        match (a, b) {
            (Type::Any, other) | (other, Type::Any) => other,
            (a, b) if a == b => a,
            (a, b) => {
                self.problem(format!("{a} and {b}: {why}"));
                Type::Any
            }
        }
    }
}

fn comparable(a: Type, b: Type) -> bool {
    let numeric = |t: Type| matches!(t, Type::Int | Type::Double);
    a == b || a == Type::Any || b == Type::Any || (numeric(a) && numeric(b))
}

fn is_variable(name: &str) -> bool {
    matches!(name, "params" | "tenant" | "signals" | "ages" | "incident" | "outputs" | "result" | "mode")
}

/// `, did you mean …?` or the list of what there is.
pub(in crate::playbook) fn nearest(name: &str, all: &[&str]) -> String {
    let letters = |s: &str| s.chars().filter(|c| c.is_alphanumeric()).collect::<Vec<_>>();
    let wanted = letters(name);
    let best = all.iter().min_by_key(|candidate| distance(&wanted, &letters(candidate)));
    match best {
        Some(best) if distance(&wanted, &letters(best)) <= 2 => format!(", did you mean `{best}`?"),
        Some(_) if all.len() <= 16 => format!(", there are `{}`", all.join("`, `")),
        Some(_) => String::new(),
        None => ", there are none".into(),
    }
}

/// Levenshtein distance.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (j, y) in b.iter().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or(usize::MAX);
            let here = (diagonal + usize::from(x != y)).min(left + 1).min(above.saturating_add(1));
            diagonal = above;
            if let Some(cell) = row.get_mut(j) {
                *cell = left;
            }
            left = here;
        }
        if let Some(cell) = row.get_mut(b.len()) {
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope {
            signals: ["lock.blocked", "queue.oldest"].map(str::to_owned).into(),
            params: [("tenant".to_owned(), Type::Text), ("limit".to_owned(), Type::Int)].into(),
            tenant: true,
            outputs: ["show_tree".to_owned()].into(),
            result: true,
            item: false,
            partial: false,
        }
    }

    fn problems(source: &str) -> String {
        check(&Parsed::new(source).unwrap(), &scope(), Some(Type::Bool)).err().unwrap_or_default().join("; ")
    }

    #[test]
    fn what_is_written_in_playbooks_passes() {
        for source in [
            "signals.lock.blocked > 0",
            "signals[\"lock.blocked\"] == 0.0 && ages.queue.oldest < 30",
            "result.status == 503 || result.status < 500",
            "outputs.show_tree.blocked > 0",
            "outputs[\"show_tree\"].rows.exists(r, r.pid == 4711)",
            "result.rows.all(r, r.waiting < params.limit)",
            "tenant.tenancy == \"dedicated\" && tenant.criticality <= 2",
            "!incident.declared || incident.severity in [\"SEV1\", \"SEV2\"]",
            "mode == \"drill\" ? true : size(result.rows) == 0",
            "has(result.status) && result.text.contains(\"x\")",
            "signals.queue.oldest / 60.0 < double(params.limit)",
        ] {
            assert_eq!(problems(source), "", "{source}");
        }
    }

    #[test]
    fn what_would_fail_at_night_is_named_now() {
        for (source, part) in [
            ("signals.lock.blokked > 0", "did you mean `lock.blocked`?"),
            ("signals.lock > 0", "unknown signal `lock`"),
            ("signals[params.tenant] > 0", "needs the name of a signal"),
            ("size(signals) > 0", "needs the name of a signal"),
            ("params.tenent == \"a\"", "did you mean `tenant`?"),
            ("tenant.db == \"a\"", "a tenant has no `db`"),
            ("outputs.later.x == 1", "no step before this one has the output `later`"),
            ("blocked > 0", "unknown variable `blocked`"),
            ("signals.lock.blocked", "it must be true or false"),
            ("signals.lock.blocked + 1 > 0.0", "does not calculate across types"),
            ("params.tenant > 3", "a text is compared with a whole number"),
            ("params.tenant && true", "join what is true or false"),
            ("!params.limit", "negates what is true or false"),
            ("incident.open", "there are `declared` and `severity`"),
            ("frobnicate(1)", "unknown function `frobnicate`"),
            ("result.a.all(params, true)", "is a variable already"),
            ("result.a.all(x, x.all(y, y.all(z, true)))", "nested twice at most"),
        ] {
            assert!(problems(source).contains(part), "{source}: {}", problems(source));
        }
    }

    #[test]
    fn result_and_tenant_are_only_where_they_are() {
        let bare = Scope::default();
        let says = |source: &str| check(&Parsed::new(source).unwrap(), &bare, None).unwrap_err().join("; ");
        assert!(says("result.status == 1").contains("only beside a `run`"));
        assert!(says("tenant.id == \"a\"").contains("needs a parameter of type tenant"));
        assert!(says("signals.a.b > 1").contains("there are none"));
    }

    #[test]
    fn broken_and_endless_expressions_are_refused_while_parsing() {
        assert!(Parsed::new("1 +").unwrap_err().contains("at its column"));
        assert!(Parsed::new(&"x".repeat(1001)).unwrap_err().contains("at most 1000"));
        for deep in [
            format!("{}1{}", "(".repeat(450), ")".repeat(450)),
            "!".repeat(900),
            "[".repeat(900),
            format!("{}true", "true ? true : ".repeat(70)),
        ] {
            assert_eq!(Parsed::new(&deep).unwrap_err(), "the expression is nested too deeply");
        }
        // Long without being deep: the parser answers, whatever it answers.
        for long in [format!("a{}", ".b".repeat(499)), format!("1{}", "+1".repeat(499)), "a||".repeat(300) + "a"] {
            let _ = Parsed::new(&long).map(|p| check(&p, &scope(), None));
        }
    }
}
