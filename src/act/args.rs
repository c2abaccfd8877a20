//! Arguments of verbs as playbooks give them, and words as a person would type them.

use crate::domain::ports::{RenderContext, VerbError};
use crate::domain::text::sanitize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

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

/// A whole number within bounds, as a number or as its text, since templating makes text of numbers.
pub fn whole(context: &RenderContext<'_>, name: &str, least: i64, most: i64) -> Result<Option<i64>, VerbError> {
    let Some(text) = optional(context, name)? else { return Ok(None) };
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
        _ => {
            let text = sanitize(&text);
            Err(VerbError::new(format!("the argument {name} is {text}; allowed is {least} to {most}")))
        }
    }
}

/// The same, which must be there.
pub fn required_whole(context: &RenderContext<'_>, name: &str, least: i64, most: i64) -> Result<i64, VerbError> {
    whole(context, name, least, most)?.ok_or_else(|| VerbError::new(format!("the argument {name} is not given")))
}

/// A list of texts, or one text with commas between.
pub fn list(context: &RenderContext<'_>, name: &str) -> Result<Vec<String>, VerbError> {
    let wrong = || VerbError::new(format!("the argument {name} must be texts, as a list or with commas between"));
    let words: Vec<String> = match context.args.get(name) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => text.split(',').map(|w| w.trim().to_owned()).collect(),
        Some(Value::Array(items)) => {
            items.iter().map(|v| v.as_str().map(|w| w.trim().to_owned()).ok_or_else(wrong)).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(wrong()),
    };
    Ok(words.into_iter().filter(|w| !w.is_empty()).collect())
}

/// One of a few words, or the first of them when the argument is absent.
pub fn word<'w>(context: &RenderContext<'_>, name: &str, allowed: &[&'w str]) -> Result<&'w str, VerbError> {
    let given = optional(context, name)?;
    let found = match &given {
        None => allowed.first(),
        Some(text) => allowed.iter().find(|w| *w == text),
    };
    found.copied().ok_or_else(|| {
        let text = sanitize(&given.unwrap_or_default());
        VerbError::new(format!("the argument {name} is {text}; allowed is {}", allowed.join(", ")))
    })
}

/// Whether a switch is on; without the argument it is off.
pub fn flag(context: &RenderContext<'_>, name: &str) -> Result<bool, VerbError> {
    match context.args.get(name) {
        Some(Value::Bool(on)) => Ok(*on),
        _ => Ok(word(context, name, &["false", "true"])? == "true"),
    }
}

/// A word of a POSIX shell.
pub fn shell(word: &str) -> String {
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

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The first half of the SHA-256 of a text, as hexadecimal digits: enough to name what somebody here wrote.
pub fn name_of(text: &str) -> String {
    hex(Sha256::digest(text).get(..16).unwrap_or_default())
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
