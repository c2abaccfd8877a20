//! One line of a log: its time, its level and what it says, in the formats that the systems of an estate write: Odoo,
//! PostgreSQL, JSON, klog, access logs in the common format, and whatever names its level near its beginning.

use crate::domain::logs::LogLevel;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

/// Words in which a level is looked for.
const HEAD: usize = 8;

/// A line with a head of its own. One without belongs to the line before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Its time, where it has one.
    pub at: Option<Timestamp>,
    /// How bad it is.
    pub level: LogLevel,
    /// The database that it names, of Odoo.
    pub database: Option<&'a str>,
    /// What counts for its fingerprint: logger and message, without time and process.
    pub says: std::borrow::Cow<'a, str>,
}

/// Reads a line's head; nothing when it has none, and so goes on with what the line before it said.
pub(super) fn head(line: &str) -> Option<Line<'_>> {
    if line.starts_with(char::is_whitespace) {
        return None;
    }
    odoo(line).or_else(|| json(line)).or_else(|| access(line)).or_else(|| klog(line)).or_else(|| plain(line))
}

/// The time that Kubernetes puts before each line when it is asked to, and the rest.
pub(super) fn stamped(line: &str) -> (Option<Timestamp>, &str) {
    let Some((stamp, rest)) = line.split_once(' ') else {
        return match rfc3339(line) {
            Some(at) => (Some(at), ""),
            None => (None, line),
        };
    };
    match rfc3339(stamp) {
        Some(at) => (Some(at), rest),
        None => (None, line),
    }
}

fn rfc3339(word: &str) -> Option<Timestamp> {
    if word.len() < 20 || !word.contains('T') {
        return None;
    }
    word.parse().ok()
}

pub(super) fn level(word: &str) -> Option<LogLevel> {
    let word = word.trim_matches(|c: char| !c.is_ascii_alphabetic());
    Some(match word {
        "CRITICAL" | "FATAL" | "PANIC" | "EMERG" | "ALERT" | "CRIT" => LogLevel::Critical,
        "ERROR" | "ERR" => LogLevel::Error,
        "WARNING" | "WARN" => LogLevel::Warning,
        "INFO" | "DEBUG" | "NOTICE" | "LOG" | "TRACE" | "STATEMENT" | "DETAIL" | "HINT" | "CONTEXT" => LogLevel::Info,
        _ => return None,
    })
}

/// A day and a time of day without a zone are read as UTC, which is what servers in containers write.
fn moment(day: &str, time: &str) -> Option<Timestamp> {
    let time = time.replace(',', ".");
    let at: DateTime = format!("{day}T{time}").parse().ok()?;
    at.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp())
}

/// `2026-11-22 07:00:01,123 12 ERROR t001 odoo.http: message`.
fn odoo(line: &str) -> Option<Line<'_>> {
    let mut words = line.splitn(6, ' ');
    let (day, time, process) = (words.next()?, words.next()?, words.next()?);
    let (word, database, rest) = (words.next()?, words.next()?, words.next()?);
    let at = time.contains(',').then(|| moment(day, time)).flatten()?;
    process.parse::<u32>().ok()?;
    let level = level(word)?;
    let database = Some(database).filter(|d| *d != "?");
    Some(Line { at: Some(at), level, database, says: rest.into() })
}

/// One object a line, as many loggers write it.
fn json(line: &str) -> Option<Line<'_>> {
    if !line.starts_with('{') {
        return None;
    }
    let value: Value = serde_json::from_str(line).ok()?;
    let text = |names: &[&str]| names.iter().find_map(|n| value.get(n)?.as_str());
    let at = text(&["time", "timestamp", "ts", "@timestamp", "requestReceivedTimestamp", "StartUTC"]);
    let at = at.and_then(|t| t.parse::<Timestamp>().ok());
    let status = ["DownstreamStatus", "OriginStatus", "status"].iter().find_map(|n| value.get(n)?.as_u64());
    let named = text(&["level", "severity", "lvl", "levelname", "log.level"]).map(str::to_ascii_uppercase);
    let named = named.and_then(|w| level(&w));
    let says = text(&["message", "msg", "error", "event"]);
    let level = named.into_iter().chain(status.and_then(of_status)).max();
    let request = || {
        let method = text(&["RequestMethod", "method", "verb"])?;
        let path = text(&["RequestPath", "path", "requestURI"])?;
        Some(format!("{method} {} answered {}", without_query(path), in_words(status?)))
    };
    let says = match (says, request()) {
        (Some(says), _) => says.to_owned(),
        (None, Some(request)) => request,
        // Nothing that is known to say what happened: the whole of it does.
        (None, None) => line.to_owned(),
    };
    Some(Line { at, level: level.unwrap_or(LogLevel::Info), database: None, says: says.into() })
}

fn without_query(path: &str) -> &str {
    path.split(['?', '#']).next().unwrap_or(path)
}

fn of_status(status: u64) -> Option<LogLevel> {
    match status {
        500..=599 => Some(LogLevel::Error),
        100..=499 => Some(LogLevel::Info),
        _ => None,
    }
}

/// `10.0.0.1 - - [22/Nov/2026:07:00:01 +0000] "GET /web HTTP/1.1" 502 11 …`, as Traefik and others write it.
fn access(line: &str) -> Option<Line<'_>> {
    let (before, rest) = line.split_once(" [")?;
    if before.split(' ').count() != 3 {
        return None;
    }
    let (stamp, rest) = rest.split_once("] \"")?;
    let (request, rest) = rest.split_once("\" ")?;
    let mut words = rest.split(' ');
    let status: u64 = words.next()?.parse().ok()?;
    let level = of_status(status)?;
    let at = jiff::fmt::strtime::parse("%d/%b/%Y:%H:%M:%S %z", stamp).ok().and_then(|t| t.to_timestamp().ok());
    let mut request = request.split(' ');
    let (method, path) = (request.next().unwrap_or_default(), request.next().unwrap_or_default());
    // Traefik goes on with size, two quoted words, a count, and the name of the router in quotes.
    let router = rest.split('"').nth(5).filter(|r| r.contains('@')).map_or_else(String::new, |r| format!(" by {r}"));
    let says = format!("{method} {} answered {}{router}", without_query(path), in_words(status));
    Some(Line { at, level, database: None, says: says.into() })
}

/// A status as a word, which no shape replaces.
fn in_words(status: u64) -> &'static str {
    match status {
        500 => "internal error",
        502 => "bad gateway",
        503 => "unavailable",
        504 => "gateway timeout",
        505..=599 | 501 => "server error",
        400..=499 => "client error",
        300..=399 => "redirect",
        _ => "ok",
    }
}

/// `E1122 07:00:01.123456       1 reflector.go:150] message`, as Kubernetes itself writes it.
fn klog(line: &str) -> Option<Line<'_>> {
    let (first, rest) = line.split_once(' ')?;
    let mut chars = first.chars();
    let level = match chars.next()? {
        'I' => LogLevel::Info,
        'W' => LogLevel::Warning,
        'E' => LogLevel::Error,
        'F' => LogLevel::Critical,
        _ => return None,
    };
    let digits = chars.as_str();
    if digits.len() != 4 || !digits.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    // It has no year.
    Some(Line { at: None, level, database: None, says: rest.split_once("] ").map_or(rest, |(_, says)| says).into() })
}

/// Anything with a date at its beginning, or with a level among its first words.
fn plain(line: &str) -> Option<Line<'_>> {
    let (at, rest) = dated(line);
    let found = rest.split_whitespace().take(HEAD).find_map(|word| {
        // `ERROR:` and `[error]` name a level, `Error` and `error` are words of a sentence.
        let key = word.strip_prefix("level=").or_else(|| word.strip_prefix("lvl="));
        if let Some(value) = key {
            return level(&value.to_ascii_uppercase()).map(|l| (l, word));
        }
        if word.starts_with('[') && word.ends_with(']') {
            return level(&word.to_ascii_uppercase()).map(|l| (l, word));
        }
        let first = word.split(':').next().unwrap_or(word);
        level(first).map(|l| (l, first))
    });
    let Some((level, word)) = found else {
        at?;
        return Some(Line { at, level: LogLevel::Info, database: None, says: rest.into() });
    };
    let says = rest.split_once(word).map_or(rest, |(_, says)| says).trim_start_matches([':', ' ']);
    Some(Line { at, level, database: None, says: message(says).into() })
}

/// What stands in `msg="…"`, where a line of pairs has it.
fn message(says: &str) -> &str {
    let inside = says.split_once("msg=\"").or_else(|| says.split_once("message=\""));
    inside.map_or(says, |(_, rest)| rest.split('"').next().unwrap_or(rest))
}

/// The date and time that a line begins with, and the rest.
fn dated(line: &str) -> (Option<Timestamp>, &str) {
    let (stamp, rest) = stamped(line);
    if stamp.is_some() {
        return (stamp, rest);
    }
    let mut words = line.splitn(3, ' ');
    let (Some(day), Some(time), rest) = (words.next(), words.next(), words.next()) else { return (None, line) };
    match moment(day, time) {
        Some(at) => (Some(at), rest.unwrap_or_default()),
        None => (None, line),
    }
}
