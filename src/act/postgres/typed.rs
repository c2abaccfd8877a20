//! An SQL operation as a person would type it.

use crate::act::args::shell;
use crate::config::model;
use crate::domain::ports::VerbError;
use crate::domain::request::Operation;
use crate::domain::text::{is_hostile, sanitize};

/// A name as an SQL identifier: in double quotes, those in it doubled. Names that could end the quoting of a larger
/// statement, or that no person could read, are refused.
pub fn identifier(name: &str) -> Result<String, VerbError> {
    checked(name).map(quoted_name)
}

/// A text as an SQL literal, with `standard_conforming_strings` as it is since PostgreSQL 9.1.
pub fn literal(text: &str) -> Result<String, VerbError> {
    checked(text).map(quoted)
}

/// Any name as an SQL identifier, for a text that a person reads before a server does.
pub fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Any text as an SQL literal, for the same.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn checked(text: &str) -> Result<&str, VerbError> {
    let fine = !text.is_empty() && text.len() <= 63 && !text.chars().any(|c| is_hostile(c) || matches!(c, '$' | '\\'));
    let said = || VerbError::new(format!("{:?} is no name that is put into a statement", sanitize(text)));
    if fine { Ok(text) } else { Err(said()) }
}

/// An SQL operation as one `psql` command, parameters put in as literals.
pub fn by_hand(config: &model::Postgres, user: &str, operation: &Operation) -> String {
    let Operation::Sql { database, statement, parameters } = operation else { return String::new() };
    let mut sql = statement.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    for (i, value) in parameters.iter().enumerate().rev() {
        sql = sql.replace(&format!("${}", i + 1), &quoted(value));
    }
    let (host, port) = (shell(&config.host), config.port);
    format!("psql -h {host} -p {port} -U {} -d {} -c {}", shell(user), shell(database), shell(&sql))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_not_break_out_of_a_statement() {
        assert_eq!(identifier("t017").unwrap(), "\"t017\"");
        assert_eq!(identifier("a\"; DROP").unwrap(), "\"a\"\"; DROP\"");
        assert_eq!(literal("o'x").unwrap(), "'o''x'");
        for bad in ["", "$q$", "a\\", "a\u{1b}", &"x".repeat(64)] {
            assert!(identifier(bad).is_err() && literal(bad).is_err(), "{bad:?}");
        }
    }
}
