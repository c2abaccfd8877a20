//! The SQL that makes a database the place of a journal.

use crate::journal::shared::FORMAT;

/// What a superuser runs in the database: roles, tables, functions and triggers of the log `origin`, which `login` writes.
pub fn sql(origin: &str, login: &str) -> String {
    // One pass: what stands in a name is never taken for a place to fill.
    let mut out = String::new();
    let mut rest = include_str!("setup.sql");
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let filled = after.split_once('}').and_then(|(name, after)| Some((fill(name, origin, login)?, after)));
        rest = match filled {
            Some((text, after)) => {
                out.push_str(&text);
                after
            }
            None => {
                out.push('{');
                after
            }
        };
    }
    out.push_str(rest);
    out
}

fn fill(name: &str, origin: &str, login: &str) -> Option<String> {
    Some(match name {
        "origin" => crate::domain::text::sanitize(origin),
        "origin_text" => literal(origin),
        "login" => format!("\"{}\"", login.replace('"', "\"\"")),
        "login_text" => literal(login),
        "format" => FORMAT.to_string(),
        _ => return None,
    })
}

/// A string as SQL has it (`standard_conforming_strings` is on since PostgreSQL 9.1).
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_nothing_is_left_to_fill() {
        let sql = sql("quarterdeck/o'hara {login}", "a\"b");
        assert!(sql.contains("VALUES ('quarterdeck/o''hara {login}', 1)"), "{sql}");
        assert!(sql.contains("CREATE ROLE \"a\"\"b\" LOGIN;"), "{sql}");
        assert_eq!(sql.matches("{login}").count(), 2, "where the origin has it, and nowhere else");
        assert!(!["{origin", "{login_text}", "{format}"].iter().any(|name| sql.contains(name)), "{sql}");
    }
}
