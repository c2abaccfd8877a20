//! A message as it is written from a template, before a person has edited it; and what every message must keep to.

use super::facts::{Facts, NAMES};
use super::table::Template;
use crate::domain::text::{is_hostile, sanitize};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// Work that one template may do, in instructions of the engine.
const FUEL: u64 = 50_000;
/// Characters of a message at most: it stands in a record as it was sent.
pub const LONGEST: usize = 8_000;
/// Characters of a subject at most.
pub const LONGEST_SUBJECT: usize = 200;
/// What stands at both ends of each message of an exercise.
pub const DRILL: &str = "DRILL: this is an exercise, nothing of it is real.";

/// A message that nobody has sent yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Draft {
    /// One line.
    pub subject: String,
    /// Text.
    pub text: String,
}

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(16);
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    environment
});

impl Draft {
    /// Writes a template.
    ///
    /// # Errors
    /// One sentence.
    pub fn of(template: &Template, facts: &Facts) -> Result<Self, String> {
        let subject = write(&template.subject, facts)?;
        let text = write(&template.text, facts)?;
        Ok(Self { subject: subject.split_whitespace().collect::<Vec<_>>().join(" "), text: tidy(&text) })
    }

    /// The message as it may leave: one line of subject, a text without anything that controls a terminal, and in an
    /// exercise the mark at both ends, whatever a person has made of it.
    ///
    /// # Errors
    /// One sentence: what is wrong, and what is allowed.
    pub fn checked(&self, drill: bool) -> Result<Self, String> {
        let subject = self.subject.trim();
        if subject.is_empty() || subject.chars().any(is_hostile) || subject.chars().count() > LONGEST_SUBJECT {
            return Err(format!("the subject must be one line of 1 to {LONGEST_SUBJECT} characters"));
        }
        let text = tidy(&self.text);
        if text.is_empty() || text.chars().any(|c| is_hostile(c) && c != '\n') || text.chars().count() > LONGEST {
            let allowed = "none of which controls a terminal";
            return Err(format!("the text must be 1 to {LONGEST} characters, {allowed}"));
        }
        if !drill {
            return Ok(Self { subject: subject.to_owned(), text });
        }
        let bare = text.trim_start_matches(DRILL).trim_end_matches(DRILL).trim_matches('\n');
        let subject = subject.trim_start_matches("[DRILL]").trim_start();
        Ok(Self { subject: format!("[DRILL] {subject}"), text: format!("{DRILL}\n\n{bare}\n\n{DRILL}") })
    }
}

fn write(source: &str, facts: &Facts) -> Result<String, String> {
    ENVIRONMENT.render_str(source, Serde(facts)).map_err(|e| sentence(&e))
}

/// Lines without space at their ends, and never two empty ones in a row.
fn tidy(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\t', "    ");
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines().map(str::trim_end) {
        if !(line.is_empty() && lines.last().is_none_or(|l| l.is_empty())) {
            lines.push(line);
        }
    }
    while lines.last().is_some_and(|l| l.is_empty()) {
        lines.pop();
    }
    lines.join("\n")
}

fn sentence(error: &minijinja::Error) -> String {
    let line = error.line().map(|n| format!(" in its line {n}")).unwrap_or_default();
    match error.kind() {
        ErrorKind::UndefinedError => format!("it uses a name that is not known{line}"),
        ErrorKind::OutOfFuel => "it works for too long".to_owned(),
        _ => format!("{}{line}", sanitize(error.to_string().split(" (in ").next().unwrap_or_default())),
    }
}

/// What is wrong with a template, a sentence each: its syntax, names that are not known, and whatever goes wrong with
/// much and with little to say.
pub(super) fn check(source: &str) -> Vec<String> {
    let template = match ENVIRONMENT.template_from_str(source) {
        Ok(template) => template,
        Err(error) => return vec![sentence(&error)],
    };
    let mut unknown: Vec<String> = template
        .undeclared_variables(true)
        .into_iter()
        .filter(|name| !NAMES.iter().any(|known| name == known || *name == "loop"))
        .collect();
    unknown.sort();
    if !unknown.is_empty() {
        return vec![format!("it uses {}, which is not known; known are {}", unknown.join(", "), NAMES.join(", "))];
    }
    let tried = [false, true].map(|poor| write(source, &Facts::sample(poor)));
    let mut wrong: Vec<String> = tried.into_iter().filter_map(Result::err).collect();
    wrong.dedup();
    wrong
}
