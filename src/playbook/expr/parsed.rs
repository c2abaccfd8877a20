//! One expression, parsed once, with the list of what it refers to.

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Longest expression that is read; longer ones are programs, not conditions.
const MAX_CHARS: usize = 1000;

/// A parsed expression.
#[derive(Clone)]
pub struct Parsed {
    source: String,
    program: Arc<cel::Program>,
    paths: BTreeSet<Vec<String>>,
    loops: usize,
}

impl fmt::Debug for Parsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parsed({:?})", self.source)
    }
}

impl Parsed {
    /// Parses an expression.
    ///
    /// # Errors
    /// One sentence with the column within the expression.
    pub fn new(source: &str) -> Result<Self, String> {
        let chars = source.chars().count();
        if chars > MAX_CHARS {
            return Err(format!("the expression has {chars} characters, at most {MAX_CHARS} are allowed"));
        }
        if too_deep(source) {
            return Err("the expression is nested too deeply".into());
        }
        let program = cel::Program::compile(source).map_err(|errors| {
            let first = errors.errors.first();
            let (column, what) = first.map_or((1, "can not be read"), |e| (e.pos.1, e.msg.as_str()));
            format!("not a CEL expression, at its column {column}: {what}")
        })?;
        let mut paths = BTreeSet::new();
        collect(program.expression(), &mut Vec::new(), &mut paths);
        let loops = loops(program.expression());
        Ok(Self { source: source.to_owned(), program: Arc::new(program), paths, loops })
    }

    /// How deeply macros are nested in it.
    pub(super) const fn loops(&self) -> usize {
        self.loops
    }

    /// The text.
    pub fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn root(&self) -> &IdedExpr {
        self.program.expression()
    }

    pub(super) fn program(&self) -> &cel::Program {
        &self.program
    }

    /// What it refers to: `["signals", "lock", "blocked"]`, `["result", "status"]`; the first part is the variable.
    pub fn paths(&self) -> impl Iterator<Item = &[String]> {
        self.paths.iter().map(Vec::as_slice)
    }

    /// The signals that it refers to, by their dotted names, through `signals` and `ages` alike.
    pub fn signals(&self) -> BTreeSet<String> {
        self.paths().filter_map(signal_of).collect()
    }

    /// Whether it refers to a variable at all.
    pub fn refers_to(&self, variable: &str) -> bool {
        self.paths().any(|p| p.first().is_some_and(|root| root == variable))
    }
}

/// Whether brackets, negations or conditionals nest so deeply that the parser, which recurses, could run out of stack.
fn too_deep(source: &str) -> bool {
    let (mut open, mut unary, mut conditionals) = (0_u32, 0_u32, 0_u32);
    source.chars().any(|c| {
        match c {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            '?' => conditionals += 1,
            _ => {}
        }
        match c {
            '!' | '-' => unary += 1,
            c if c.is_whitespace() => {}
            _ => unary = 0,
        }
        open > 16 || unary > 8 || conditionals > 8
    })
}

/// The dotted signal name of a path through `signals` or `ages`.
pub(super) fn signal_of(path: &[String]) -> Option<String> {
    let (root, rest) = path.split_first()?;
    (matches!(root.as_str(), "signals" | "ages") && !rest.is_empty()).then(|| rest.join("."))
}

/// The path that an expression spells by field selections and literal indices: `signals["lock.blocked"]` and
/// `signals.lock.blocked` give the same dotted name.
pub(super) fn path_of(expr: &IdedExpr) -> Option<Vec<String>> {
    match &expr.expr {
        Expr::Ident(name) => Some(vec![name.clone()]),
        Expr::Select(select) => {
            let mut path = path_of(&select.operand)?;
            path.push(select.field.clone());
            Some(path)
        }
        Expr::Call(call) if call.func_name == cel::common::ast::operators::INDEX && call.target.is_none() => {
            let [operand, index] = call.args.as_slice() else { return None };
            let Expr::Literal(LiteralValue::String(key)) = &index.expr else { return None };
            let mut path = path_of(operand)?;
            path.push(key.inner().to_owned());
            Some(path)
        }
        _ => None,
    }
}

/// All expressions directly below one.
pub(super) fn children(expr: &IdedExpr) -> Vec<&IdedExpr> {
    match &expr.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(c) => vec![&c.iter_range, &c.accu_init, &c.loop_cond, &c.loop_step, &c.result],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Map(map) => map.entries.iter().flat_map(|e| entry(&e.expr)).collect(),
        Expr::Struct(all) => all.entries.iter().flat_map(|e| entry(&e.expr)).collect(),
    }
}

fn entry(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

fn loops(expr: &IdedExpr) -> usize {
    let below = children(expr).into_iter().map(loops).max().unwrap_or(0);
    below + usize::from(matches!(&expr.expr, Expr::Comprehension(_)))
}

fn collect(expr: &IdedExpr, bound: &mut Vec<String>, paths: &mut BTreeSet<Vec<String>>) {
    if let Some(path) = path_of(expr) {
        if path.first().is_some_and(|root| !root.starts_with('@') && !bound.contains(root)) {
            paths.insert(path);
        }
        return;
    }
    if let Expr::Comprehension(c) = &expr.expr {
        collect(&c.iter_range, bound, paths);
        let before = bound.len();
        bound.push(c.iter_var.clone());
        bound.extend(c.iter_var2.clone());
        bound.push(c.accu_var.clone());
        for part in [&c.accu_init, &c.loop_cond, &c.loop_step, &c.result] {
            collect(part, bound, paths);
        }
        bound.truncate(before);
        return;
    }
    for child in children(expr) {
        collect(child, bound, paths);
    }
}
