//! The canonical bytes (RFC 8785) of what a digest is over, written straight from the request: a step over hundreds of
//! targets is digested with each look at it, and a tree of values in between costs more than all else. That it says the
//! same as the general way is tested for every kind of operation.

use super::digest::{Bound, NotCanonical};
use crate::domain::canonical::{MAX_INTEGER, write_ordered};
use crate::domain::id::{PlaybookId, StepId};
use crate::domain::request::{HttpCall, Operation, Request};
use serde::Serialize;
use std::collections::BTreeMap;

/// The bytes of a document with and without its run.
pub(super) struct Bytes {
    /// Up to where they differ.
    pub(super) head: Vec<u8>,
    /// The run, where it has one.
    pub(super) run: Vec<u8>,
    /// What follows.
    pub(super) tail: Vec<u8>,
}

/// What stands before the run, in the order of the names.
#[derive(Serialize)]
struct Head<'a> {
    mode: &'a str,
    playbook: &'a PlaybookId,
    playbook_version: u32,
    preconditions: &'a [String],
    request: &'a Request,
}

/// What stands behind it.
#[derive(Serialize)]
struct Tail<'a> {
    step: &'a StepId,
    timeout_ms: String,
    v: u8,
}

impl Bytes {
    /// The bytes of the document with the members of `digest::document`.
    pub(super) fn of(bound: &Bound<'_>) -> Result<Self, NotCanonical> {
        let Bound { mode, playbook: (playbook, playbook_version), run, step, request, preconditions, timeout } = *bound;
        exact(request)?;
        // Enough for most: growing to what hundreds of targets need costs more than writing it.
        let targets = if let Operation::Several { requests } = &request.operation { requests.len() } else { 1 };
        let mut head = Vec::with_capacity(1024 * targets.max(1));
        let before = Head { mode: mode.word(), playbook, playbook_version, preconditions, request };
        written(&before, &mut head)?;
        // The object goes on.
        head.pop();
        let mut named = Vec::new();
        if let Some(run) = run {
            named.extend_from_slice(b",\"run\":");
            written(run, &mut named)?;
        }
        let mut tail = b",".to_vec();
        let after = Tail { step, timeout_ms: timeout.as_millis().to_string(), v: 1 };
        written(&after, &mut tail)?;
        tail.remove(1);
        Ok(Self { head, run: named, tail })
    }
}

fn written(value: &impl Serialize, out: &mut Vec<u8>) -> Result<(), NotCanonical> {
    write_ordered(value, out).map_err(|e| NotCanonical::new(e.to_string()))
}

/// Whether every reader sees the same numbers and the same order of names. What is not so could not be recorded either.
fn exact(request: &Request) -> Result<(), NotCanonical> {
    let fits = |number: u64| {
        let why = || NotCanonical::new(format!("the number {number} is beyond what JSON keeps exact"));
        if number <= MAX_INTEGER { Ok(()) } else { Err(why()) }
    };
    let names = |headers: &BTreeMap<String, String>| match headers.keys().find(|name| !name.is_ascii()) {
        None => Ok(()),
        Some(name) => Err(NotCanonical::new(format!("the header {} is not plain ASCII", name.escape_default()))),
    };
    fits(request.target.count)?;
    match &request.operation {
        Operation::Http { headers, .. } => names(headers),
        Operation::Calls { calls } => calls.iter().try_for_each(|HttpCall { headers, .. }| names(headers)),
        Operation::Redis { database, .. } => fits(database.unsigned_abs()),
        Operation::Several { requests } => requests.iter().try_for_each(exact),
        Operation::Sql { .. }
        | Operation::File { .. }
        | Operation::Command { .. }
        | Operation::Mail { .. }
        | Operation::Record { .. }
        | Operation::Simulated { .. } => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::digest::{Bound, both, digest, document, of_document};
    use super::*;
    use crate::domain::estate::Environment;
    use crate::domain::mode::Mode;
    use crate::domain::request::Target;
    use proptest::prelude::*;
    use std::time::Duration;

    fn request(operation: Operation, text: &str, count: u64) -> Request {
        Request {
            verb: "lab.poke".into(),
            target: Target {
                source: text.into(),
                identity: "74".into(),
                environment: Environment::Production,
                object: text.into(),
                tenants: vec!["t017".into(), text.into()],
                count,
            },
            operation,
            server_checks: vec![text.into(), "only if it is there".into()],
            hurts: text.into(),
            undo: String::new(),
            by_hand: format!("psql -c '{text}'"),
        }
    }

    /// One of each kind.
    fn operations(text: &str, database: i64) -> Vec<Operation> {
        let word = || text.to_owned();
        let headers =
            BTreeMap::from([("accept".to_owned(), word()), ("Accept".to_owned(), word()), ("x-a".to_owned(), word())]);
        let plain = BTreeMap::from([("content-type".to_owned(), word())]);
        let call = HttpCall { method: "PUT".into(), path: word(), headers: plain.clone(), body: word() };
        let sql = Operation::Sql { database: word(), statement: word(), parameters: vec![word(), String::new()] };
        let simulated = Operation::Simulated { statement: word() };
        let parts = vec![request(sql.clone(), text, 1), request(simulated.clone(), text, 2)];
        vec![
            sql,
            Operation::Http { method: "POST".into(), path: word(), headers, body: word() },
            Operation::Http { method: "POST".into(), path: word(), headers: plain, body: word() },
            Operation::Calls { calls: vec![call.clone(), call] },
            Operation::Calls { calls: vec![] },
            Operation::File { path: word(), content: Some(word()) },
            Operation::File { path: word(), content: None },
            Operation::Redis { database, commands: vec![vec![word(), "GET".into()], vec![]] },
            Operation::Command { argv: vec![word()], sha256: word() },
            Operation::Mail { server: word(), from: word(), to: vec![word()], subject: word(), body: word() },
            Operation::Several { requests: parts },
            simulated,
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_written_at_once_is_what_the_general_way_makes(
            text in "\\PC{0,12}|[\\x00-\\x7f]{0,12}",
            count in prop_oneof![0..3_u64, Just(MAX_INTEGER - 1), Just(MAX_INTEGER)],
            database in prop_oneof![0..16_i64, Just(-1)],
        ) {
            let (playbook, run, step) = ("p".into(), text.as_str().into(), "act".into());
            let preconditions = [text.clone(), "signals.a > 1".to_owned()];
            for operation in operations(&text, database) {
                let request = request(operation, &text, count);
                let bound = Bound {
                    mode: Mode::Live,
                    playbook: (&playbook, 3),
                    run: Some(&run),
                    step: &step,
                    request: &request,
                    preconditions: &preconditions,
                    timeout: Duration::from_millis(1500),
                };
                let slow = |bound: &Bound<'_>| of_document(&document(bound).unwrap());
                let shown = Bound { run: None, ..bound };
                prop_assert_eq!(digest(&bound), slow(&bound));
                prop_assert_eq!(digest(&shown), slow(&shown));
                prop_assert_eq!(both(&bound), slow(&bound).and_then(|of_run| Ok((of_run, slow(&shown)?))));
            }
        }
    }

    #[test]
    fn what_readers_would_see_differently_has_no_digest() {
        let poke = || Operation::Simulated { statement: "poke".into() };
        let headers = BTreeMap::from([("x-\u{e4}".to_owned(), "1".to_owned())]);
        let call = HttpCall { method: "PUT".into(), path: "/".into(), headers: headers.clone(), body: String::new() };
        let (playbook, step) = ("p".into(), "act".into());
        for (request, says) in [
            (request(poke(), "a", MAX_INTEGER + 1), "9007199254740992 is beyond"),
            (request(Operation::Redis { database: i64::MIN, commands: vec![] }, "a", 1), "is beyond"),
            (
                request(
                    Operation::Http { method: "GET".into(), path: "/".into(), headers, body: String::new() },
                    "a",
                    1,
                ),
                "x-",
            ),
            (request(Operation::Calls { calls: vec![call] }, "a", 1), "not plain ASCII"),
            (request(Operation::Several { requests: vec![request(poke(), "a", u64::MAX)] }, "a", 1), "is beyond"),
        ] {
            let bound = Bound {
                mode: Mode::Live,
                playbook: (&playbook, 3),
                run: None,
                step: &step,
                request: &request,
                preconditions: &[],
                timeout: Duration::from_secs(1),
            };
            let why = digest(&bound).unwrap_err().to_string();
            assert!(why.contains(says), "{why}");
        }
    }
}
