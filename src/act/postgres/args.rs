//! Arguments of SQL verbs, and the statement as a person would type it.

use crate::config::model;
use crate::domain::ports::{RenderContext, VerbError};
use crate::domain::request::Operation;
use serde_json::Value;

/// A text argument; numbers and flags count as text, an empty one as absent.
pub fn optional(context: &RenderContext<'_>, name: &str) -> Result<Option<String>, VerbError> {
    match context.args.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim().to_owned()).filter(|t| !t.is_empty())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(other) => Err(VerbError::new(format!("the argument {name} is {other}, not a text or a number"))),
    }
}

/// A text argument that must be there.
pub fn required(context: &RenderContext<'_>, name: &str) -> Result<String, VerbError> {
    optional(context, name)?.ok_or_else(|| VerbError::new(format!("the argument {name} is not given")))
}

/// An SQL operation as one `psql` command, parameters put in as literals.
pub fn by_hand(config: &model::Postgres, user: &str, operation: &Operation) -> String {
    let Operation::Sql { database, statement, parameters } = operation else { return String::new() };
    let mut sql = statement.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    for (i, value) in parameters.iter().enumerate().rev() {
        let literal = format!("'{}'", value.replace('\'', "''"));
        sql = sql.replace(&format!("${}", i + 1), &literal);
    }
    let (host, port) = (shell(&config.host), config.port);
    format!("psql -h {host} -p {port} -U {} -d {} -c {}", shell(user), shell(database), shell(&sql))
}

/// A word of a POSIX shell.
fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in word.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// A number of seconds for people: `42 s`, `5 min 12 s`, `3 h 2 min`.
pub fn span(seconds: f64) -> String {
    let whole = std::time::Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default().as_secs();
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_shell_can_not_break_out() {
        assert_eq!(shell("t017"), "t017");
        assert_eq!(shell(""), "\"\"");
        assert_eq!(shell("a'b \"$(id)` \\"), r#""a'b \"\$(id)\` \\""#);
    }

    #[test]
    fn spans_are_short() {
        assert_eq!(
            [0.4, 59.9, 312.0, 10_920.0, -3.0, f64::NAN].map(span),
            ["0 s", "59 s", "5 min 12 s", "3 h 2 min", "0 s", "0 s"]
        );
    }
}
