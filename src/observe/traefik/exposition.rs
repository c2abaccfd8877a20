//! Reads the Prometheus text format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>), without copying it. The one crate for it
//! (prometheus-parse 0.2.5) cuts labels at commas, which stand inside `sans` of Traefik's certificates, and
//! passes over lines that it does not understand.

use std::borrow::Cow;

/// One line with a value.
#[derive(Debug, PartialEq)]
pub(super) struct Sample<'a> {
    /// Name of the series.
    pub(super) name: &'a str,
    /// Labels in the order of the line.
    pub(super) labels: Vec<(&'a str, Cow<'a, str>)>,
    /// Value.
    pub(super) value: f64,
}

impl Sample<'_> {
    /// The value of a label; empty when it is not there, as Prometheus has it.
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }
}

/// A line that is not of this format.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    /// Counted from 1.
    pub(super) line: usize,
    /// What was expected there.
    pub(super) expected: &'static str,
}

/// The samples of a text, in order.
pub(super) fn samples(text: &str) -> impl Iterator<Item = Result<Sample<'_>, Malformed>> {
    text.split('\n').enumerate().filter_map(|(i, line)| {
        let line = line.trim_matches([' ', '\t', '\r']);
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        Some(sample(line).map_err(|expected| Malformed { line: i + 1, expected }))
    })
}

fn sample(line: &str) -> Result<Sample<'_>, &'static str> {
    let (name, rest) = name(line, true).ok_or("a metric name")?;
    let (labels, rest) = match blank(rest).strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (Vec::new(), rest),
    };
    let mut words = rest.split([' ', '\t']).filter(|w| !w.is_empty());
    let value = words.next().and_then(number).ok_or("a number after the labels")?;
    // A time stamp in milliseconds may follow, and nothing else.
    if words.next().is_some_and(|w| w.parse::<i64>().is_err()) || words.next().is_some() {
        return Err("a time stamp or the end of the line");
    }
    Ok(Sample { name, labels, value })
}

type Labels<'a> = Vec<(&'a str, Cow<'a, str>)>;

fn labels(mut rest: &str) -> Result<(Labels<'_>, &str), &'static str> {
    let mut found = Vec::with_capacity(8);
    loop {
        rest = blank(rest);
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((found, after));
        }
        let (key, after) = name(rest, false).ok_or("a label name or }")?;
        let after = blank(after).strip_prefix('=').ok_or("= after a label name")?;
        let after = blank(after).strip_prefix('"').ok_or("a quoted label value")?;
        let (value, after) = quoted(after)?;
        found.push((key, value));
        rest = blank(after);
        if let Some(after) = rest.strip_prefix(',') {
            rest = after;
        } else if !rest.starts_with('}') {
            return Err(", or } after a label");
        }
    }
}

/// Reads up to the closing quote; `\\`, `\"` and `\n` are the only escapes.
fn quoted(text: &str) -> Result<(Cow<'_, str>, &str), &'static str> {
    const UNCLOSED: &str = "a closing quote";
    let end = text.find(['"', '\\']).ok_or(UNCLOSED)?;
    let (plain, rest) = text.split_at(end);
    if let Some(after) = rest.strip_prefix('"') {
        return Ok((Cow::Borrowed(plain), after));
    }
    let mut value = plain.to_owned();
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok((Cow::Owned(value), chars.as_str())),
            '\\' => value.push(match chars.next() {
                Some('n') => '\n',
                Some(c @ ('"' | '\\')) => c,
                _ => return Err("one of \\\\, \\\" and \\n"),
            }),
            c => value.push(c),
        }
    }
    Err(UNCLOSED)
}

fn name(text: &str, colon: bool) -> Option<(&str, &str)> {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colon && c == ':');
    let end = text.find(|c| !good(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    (!name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())).then_some((name, rest))
}

fn number(word: &str) -> Option<f64> {
    // Rust reads what Go writes: 1e+09, +Inf, NaN.
    word.parse().ok()
}

fn blank(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(line: &str) -> Sample<'_> {
        samples(line).next().unwrap().unwrap()
    }

    #[test]
    fn commas_quotes_and_braces_inside_a_label_stay_inside() {
        let s = one(r#"traefik_tls_certs_not_after{cn="a",sans="a,b=\"c\"}\\",serial="1"} 1.79613668e+09"#);
        assert_eq!(s.name, "traefik_tls_certs_not_after");
        assert_eq!((s.label("cn"), s.label("sans"), s.label("serial")), ("a", "a,b=\"c\"}\\", "1"));
        assert_eq!((s.label("none"), s.value), ("", 1_796_136_680.0));
    }

    #[test]
    fn values_blanks_and_time_stamps_are_as_go_writes_them() {
        let is = |line: &str, value: f64| assert_eq!(one(line).value.to_bits(), value.to_bits(), "{line}");
        is("a 3", 3.0);
        is("a:b { } -4.5 1700000000000", -4.5);
        is("a{le=\"+Inf\",} +Inf", f64::INFINITY);
        assert!(one("a NaN").value.is_nan());
        assert_eq!(samples("# HELP x y\n\n  \r\nx 1\r\n").count(), 1);
    }

    #[test]
    fn rubbish_is_named_with_its_line() {
        let wrong = |text: &str| samples(text).find_map(Result::err).unwrap();
        assert_eq!(wrong("a 1\n<html>"), Malformed { line: 2, expected: "a metric name" });
        assert_eq!(wrong("a").expected, "a number after the labels");
        assert_eq!(wrong("a{b} 1").expected, "= after a label name");
        assert_eq!(wrong("a{b=\"c} 1").expected, "a closing quote");
        assert_eq!(wrong("a{b=\"c\" d=\"e\"} 1").expected, ", or } after a label");
        assert_eq!(wrong("a{b=\"\\t\"} 1").expected, "one of \\\\, \\\" and \\n");
        assert_eq!(wrong("a 1 2 3").expected, "a time stamp or the end of the line");
    }

    proptest! {
        #[test]
        fn no_text_can_break_it(text in "\\PC*|[a-z{}\",=\\\\ 0-9\n]*") {
            samples(&text).for_each(drop);
        }

        #[test]
        fn what_is_escaped_comes_back(value in "[\\PC\n]*") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let line = format!("a{{l=\"{escaped}\"}} 1");
            let read = samples(&line).next().unwrap().unwrap();
            prop_assert_eq!(read.label("l"), value.as_str());
        }
    }
}
