//! What a Redis says of stalls and of the lists and streams that are configured: `SLOWLOG GET`, `LATENCY LATEST`,
//! `LLEN`, `XLEN`, `XINFO GROUPS`. Each in constant time or over a few entries; what may not be asked is said once.

use super::connection::Endpoint;
use crate::domain::facts::Missing;
use crate::domain::facts::redis::{KeyFacts, RedisFacts};
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, FromRedisValue, ServerErrorKind, Value};
use std::time::Duration;

/// Entries of the slow log that are read; more between two samples count as these.
const SLOW: i64 = 64;
/// A stall counts for this long.
const STALL_S: i64 = 300;

/// Where the slow log ended at the sample before.
#[derive(Clone, Debug, Default)]
pub(super) struct SlowLog {
    run_id: String,
    newest: Option<i64>,
}

/// Asks all of it on the connection that is there.
pub(super) async fn observe(
    connection: &mut MultiplexedConnection,
    endpoint: &Endpoint,
    keys: &[String],
    timeout: Duration,
    slow: &mut SlowLog,
    facts: &mut RedisFacts,
) -> Result<(), Failure> {
    let mut ask = Ask { connection, endpoint, timeout, missing: Vec::new() };
    if let Some(entries) = ask.value("SLOWLOG GET", redis::cmd("SLOWLOG").arg("GET").arg(SLOW), "slow commands").await?
    {
        take_slow(entries, slow, facts);
    }
    let latest = ask.value("LATENCY LATEST", redis::cmd("LATENCY").arg("LATEST"), "stalls").await?;
    facts.worst_stall_s = latest.and_then(|value| worst_stall(value, jiff::Timestamp::now().as_second()));
    for key in keys {
        let Some(kind) = ask.value("TYPE", redis::cmd("TYPE").arg(key), "lists and streams").await? else { continue };
        let mut seen = KeyFacts { key: sanitize(key), ..KeyFacts::default() };
        let length = match String::from_redis_value(kind).unwrap_or_default().as_str() {
            "list" => ask.value("LLEN", redis::cmd("LLEN").arg(key), "lengths of lists").await?,
            "stream" => {
                let groups =
                    ask.value("XINFO GROUPS", redis::cmd("XINFO").arg("GROUPS").arg(key), "groups of streams").await?;
                (seen.pending, seen.lag) = groups.map(worst_group).unwrap_or_default();
                ask.value("XLEN", redis::cmd("XLEN").arg(key), "lengths of streams").await?
            }
            "none" => Some(Value::Int(0)),
            other => {
                let other = sanitize(other);
                ask.missing.push(Missing {
                    disables: format!("the length of {}", seen.key),
                    remedy: format!("it is a {other}; keys of [[redis]] names lists and streams"),
                });
                None
            }
        };
        if let Some(length) = length.and_then(|v| u64::from_redis_value(v).ok()) {
            seen.length = length;
            facts.keys.push(seen);
        }
    }
    facts.missing.append(&mut ask.missing);
    Ok(())
}

struct Ask<'a> {
    connection: &'a mut MultiplexedConnection,
    endpoint: &'a Endpoint,
    timeout: Duration,
    missing: Vec<Missing>,
}

impl Ask<'_> {
    /// `None` when it may not be asked, or this server does not know the command.
    async fn value(&mut self, doing: &str, command: &redis::Cmd, disables: &str) -> Result<Option<Value>, Failure> {
        match command.query_async::<Value>(self.connection).await {
            Ok(value) => Ok(Some(value)),
            Err(e) => {
                let failure = self.endpoint.classify(&e, doing, self.timeout);
                match e.kind() {
                    ErrorKind::Server(ServerErrorKind::NoPerm) => {
                        let missing = Missing { disables: disables.to_owned(), remedy: failure.message };
                        if !self.missing.iter().any(|m| m.disables == disables) {
                            self.missing.push(missing);
                        }
                        Ok(None)
                    }
                    ErrorKind::Server(_) | ErrorKind::Extension if failure.kind == FailureKind::Protocol => Ok(None),
                    _ => Err(failure),
                }
            }
        }
    }
}

fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) | Value::Set(items) => items,
        _ => Vec::new(),
    }
}

/// Entries are `[id, when, microseconds, [command, …], …]`, newest first.
fn take_slow(value: Value, slow: &mut SlowLog, facts: &mut RedisFacts) {
    let mut entries = Vec::new();
    for entry in items(value) {
        let mut parts = items(entry).into_iter();
        let (id, _when, micros, command) = (parts.next(), parts.next(), parts.next(), parts.next());
        let number = |v: Option<Value>| v.and_then(|v| i64::from_redis_value(v).ok());
        if let (Some(id), Some(micros)) = (number(id), number(micros)) {
            entries.push((id, micros, command));
        }
    }
    let newest = entries.iter().map(|(id, ..)| *id).max();
    let same = slow.run_id == facts.run_id && newest >= slow.newest;
    // Without a sample before, or after a restart or a reset, nothing is known to be new.
    if same {
        let known = slow.newest.unwrap_or(-1);
        let new = || entries.iter().filter(|(id, ..)| *id > known);
        facts.slow_commands = u32::try_from(new().count()).ok();
        facts.slowest = new().max_by_key(|(_, micros, _)| *micros).map(|(_, micros, command)| {
            let words = command.clone().map(items).unwrap_or_default().into_iter();
            let words: Vec<String> = words.filter_map(|w| String::from_redis_value(w).ok()).take(2).collect();
            let text: String = words.join(" ").chars().take(80).collect();
            sanitize(&format!("{text} took {} ms", micros / 1000))
        });
    }
    *slow = SlowLog { run_id: facts.run_id.clone(), newest };
}

/// Entries are `[event, when, latest ms, worst ms]`. An empty answer is one without a stall, or of a monitor that is off.
fn worst_stall(value: Value, now: i64) -> Option<f64> {
    let mut worst = None;
    for entry in items(value) {
        let numbers: Vec<i64> =
            items(entry).into_iter().skip(1).filter_map(|v| i64::from_redis_value(v).ok()).collect();
        if let [when, latest, ..] = numbers.as_slice() {
            let ms = if now - when <= STALL_S { *latest } else { 0 };
            worst = worst.max(Some(ms));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a stall")]
    worst.map(|ms| ms as f64 / 1000.0)
}

/// Groups are lists of names and values.
fn worst_group(value: Value) -> (Option<u64>, Option<u64>) {
    let (mut pending, mut lag) = (None, None);
    for group in items(value) {
        let fields: Vec<(Value, Value)> = match group {
            Value::Map(fields) => fields,
            group => {
                let mut all = items(group).into_iter();
                std::iter::from_fn(|| Some((all.next()?, all.next()?))).collect()
            }
        };
        for (name, value) in fields {
            let number = u64::from_redis_value(value).ok();
            match String::from_redis_value(name).unwrap_or_default().as_str() {
                "pending" => pending = pending.max(number),
                "lag" => lag = lag.max(number),
                _ => {}
            }
        }
    }
    (pending, lag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(word: &str) -> Value {
        Value::BulkString(word.as_bytes().to_vec())
    }

    #[test]
    fn only_what_is_new_in_the_slow_log_counts() {
        let entry = |id, micros| {
            let command = Value::Array(vec![text("KEYS"), text("*\u{1b}")]);
            Value::Array(vec![Value::Int(id), Value::Int(0), Value::Int(micros), command, text("a"), text("")])
        };
        let mut slow = SlowLog::default();
        let seen = |entries: Vec<Value>, slow: &mut SlowLog| {
            let mut facts = RedisFacts { run_id: "r".into(), ..RedisFacts::default() };
            take_slow(Value::Array(entries), slow, &mut facts);
            facts
        };
        assert_eq!(seen(vec![entry(7, 20_000)], &mut slow).slow_commands, None);
        assert_eq!(seen(vec![entry(7, 20_000)], &mut slow).slow_commands, Some(0));
        let facts = seen(vec![entry(9, 12_000), entry(8, 90_000), entry(7, 20_000)], &mut slow);
        assert_eq!((facts.slow_commands, facts.slowest.as_deref()), (Some(2), Some("KEYS *· took 90 ms")));
        assert_eq!(seen(Vec::new(), &mut slow).slow_commands, None, "a reset log tells nothing");
    }

    #[test]
    fn old_stalls_are_none_and_an_empty_answer_tells_nothing() {
        let event = |when| Value::Array(vec![text("command"), Value::Int(when), Value::Int(250), Value::Int(900)]);
        assert_eq!(worst_stall(Value::Array(vec![event(1000)]), 1100), Some(0.25));
        assert_eq!(worst_stall(Value::Array(vec![event(1000)]), 2000), Some(0.0));
        assert_eq!(worst_stall(Value::Array(Vec::new()), 2000), None);
    }

    #[test]
    fn the_worst_group_counts_and_an_unknown_lag_stays_so() {
        let group = |pending, lag| Value::Array(vec![text("pending"), Value::Int(pending), text("lag"), lag]);
        assert_eq!(worst_group(Value::Array(vec![group(3, Value::Int(5)), group(9, Value::Nil)])), (Some(9), Some(5)));
        assert_eq!(worst_group(Value::Array(vec![group(1, Value::Nil)])), (Some(1), None));
    }
}
