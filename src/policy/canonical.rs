//! The canonical bytes (RFC 8785) of what a digest is over, written straight from the request: a step over hundreds of
//! targets is digested with each look at it, and a tree of values in between costs more than all else. What could not
//! be written like this is left to the general way; that both say the same is tested for every kind of operation.

use super::digest::Bound;
use crate::domain::request::{HttpCall, Operation, Request, Target};
use std::collections::BTreeMap;

/// Greatest integer that RFC 8785 writes as it is.
const EXACT: u64 = 1 << 53;

/// The bytes of a document with and without its run.
pub(super) struct Bytes {
    /// Up to where they differ.
    head: Vec<u8>,
    /// The run, where it has one.
    run: Vec<u8>,
    tail: Vec<u8>,
}

impl Bytes {
    /// Nothing where the general way has to be taken.
    pub(super) fn of(bound: &Bound<'_>) -> Option<Self> {
        let Bound { mode, playbook: (playbook, version), run, step, request, preconditions, timeout } = bound;
        let mut head = Writer(Vec::with_capacity(1024));
        head.raw("{\"mode\":").text(mode.word());
        head.raw(",\"playbook\":").text(playbook.as_str());
        head.raw(",\"playbook_version\":").number(u64::from(*version))?;
        head.raw(",\"preconditions\":").texts(preconditions.iter().map(String::as_str));
        head.raw(",\"request\":").request(request)?;
        let mut named = Writer(Vec::new());
        if let Some(run) = run {
            named.raw(",\"run\":").text(run.as_str());
        }
        let mut tail = Writer(Vec::new());
        tail.raw(",\"step\":").text(step.as_str());
        tail.raw(",\"timeout_ms\":").text(&timeout.as_millis().to_string());
        tail.raw(",\"v\":1}");
        Some(Self { head: head.0, run: named.0, tail: tail.0 })
    }

    /// The part that is the same with and without a run, then the run, then what follows.
    pub(super) fn parts(&self) -> (&[u8], &[u8], &[u8]) {
        (&self.head, &self.run, &self.tail)
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn raw(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        if text.bytes().all(|b| b >= b' ' && b != b'"' && b != b'\\') {
            self.0.push(b'"');
            self.0.extend_from_slice(text.as_bytes());
            self.0.push(b'"');
        } else {
            // It escapes as RFC 8785 does: the short forms where there are such, else four lower-case digits.
            self.raw(&serde_json::Value::from(text).to_string());
        }
        self
    }

    fn number(&mut self, number: u64) -> Option<&mut Self> {
        (number <= EXACT).then(|| self.raw(&number.to_string()))
    }

    fn list<T>(
        &mut self,
        items: impl Iterator<Item = T>,
        mut each: impl FnMut(&mut Self, T) -> Option<()>,
    ) -> Option<()> {
        self.0.push(b'[');
        for (i, item) in items.enumerate() {
            if i > 0 {
                self.0.push(b',');
            }
            each(self, item)?;
        }
        self.0.push(b']');
        Some(())
    }

    fn texts<'a>(&mut self, texts: impl Iterator<Item = &'a str>) -> &mut Self {
        let _ = self.list(texts, |to, text| {
            to.text(text);
            Some(())
        });
        self
    }

    fn request(&mut self, request: &Request) -> Option<()> {
        let Request { verb, target, operation, server_checks, hurts, undo, by_hand } = request;
        self.raw("{\"by_hand\":").text(by_hand);
        self.raw(",\"hurts\":").text(hurts);
        self.raw(",\"operation\":").operation(operation)?;
        self.raw(",\"server_checks\":").texts(server_checks.iter().map(String::as_str));
        self.raw(",\"target\":").target(target)?;
        self.raw(",\"undo\":").text(undo);
        self.raw(",\"verb\":").text(verb);
        self.raw("}");
        Some(())
    }

    fn target(&mut self, target: &Target) -> Option<()> {
        let Target { source, identity, environment, object, tenants, count } = target;
        self.raw("{\"count\":").number(*count)?;
        self.raw(",\"environment\":").raw(&serde_json::to_string(environment).ok()?);
        self.raw(",\"identity\":").text(identity);
        self.raw(",\"object\":").text(object);
        self.raw(",\"source\":").text(source.as_str());
        self.raw(",\"tenants\":").texts(tenants.iter().map(crate::domain::id::TenantId::as_str));
        self.raw("}");
        Some(())
    }

    fn operation(&mut self, operation: &Operation) -> Option<()> {
        match operation {
            Operation::Sql { database, statement, parameters } => {
                self.raw("{\"database\":").text(database);
                self.raw(",\"kind\":\"sql\",\"parameters\":").texts(parameters.iter().map(String::as_str));
                self.raw(",\"statement\":").text(statement);
            }
            Operation::Http { method, path, headers, body } => {
                self.raw("{\"body\":").text(body);
                self.raw(",\"headers\":").headers(headers)?;
                self.raw(",\"kind\":\"http\",\"method\":").text(method);
                self.raw(",\"path\":").text(path);
            }
            Operation::Calls { calls } => {
                self.raw("{\"calls\":");
                self.list(calls.iter(), Self::call)?;
                self.raw(",\"kind\":\"calls\"");
            }
            Operation::File { path, content } => {
                self.raw("{\"content\":");
                match content {
                    Some(content) => self.text(content),
                    None => self.raw("null"),
                };
                self.raw(",\"kind\":\"file\",\"path\":").text(path);
            }
            Operation::Redis { database, commands } => {
                self.raw("{\"commands\":");
                self.list(commands.iter(), |to, words| {
                    to.texts(words.iter().map(String::as_str));
                    Some(())
                })?;
                self.raw(",\"database\":").number(u64::try_from(*database).ok()?)?;
                self.raw(",\"kind\":\"redis\"");
            }
            Operation::Command { argv, sha256 } => {
                self.raw("{\"argv\":").texts(argv.iter().map(String::as_str));
                self.raw(",\"kind\":\"command\",\"sha256\":").text(sha256);
            }
            Operation::Mail { server, from, to, subject, body } => {
                self.raw("{\"body\":").text(body);
                self.raw(",\"from\":").text(from);
                self.raw(",\"kind\":\"mail\",\"server\":").text(server);
                self.raw(",\"subject\":").text(subject);
                self.raw(",\"to\":").texts(to.iter().map(String::as_str));
            }
            Operation::Several { requests } => {
                self.raw("{\"kind\":\"several\",\"requests\":");
                self.list(requests.iter(), Self::request)?;
            }
            Operation::Simulated { statement } => {
                self.raw("{\"kind\":\"simulated\",\"statement\":").text(statement);
            }
        }
        self.raw("}");
        Some(())
    }

    fn call(&mut self, call: &HttpCall) -> Option<()> {
        let HttpCall { method, path, headers, body } = call;
        self.raw("{\"body\":").text(body);
        self.raw(",\"headers\":").headers(headers)?;
        self.raw(",\"method\":").text(method);
        self.raw(",\"path\":").text(path);
        self.raw("}");
        Some(())
    }

    /// RFC 8785 sorts names by their UTF-16 units; of ASCII that is the order of the map.
    fn headers(&mut self, headers: &BTreeMap<String, String>) -> Option<()> {
        self.0.push(b'{');
        for (i, (name, value)) in headers.iter().enumerate() {
            if !name.is_ascii() {
                return None;
            }
            if i > 0 {
                self.0.push(b',');
            }
            self.text(name).raw(":").text(value);
        }
        self.0.push(b'}');
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::digest::{Bound, both, digest, document, of_document};
    use super::*;
    use crate::domain::estate::Environment;
    use crate::domain::mode::Mode;
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
        let headers = BTreeMap::from([("accept".to_owned(), word()), ("x-ä".to_owned(), word()), (word(), word())]);
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
            count in prop_oneof![0..3_u64, Just(EXACT - 1), Just(EXACT), Just(EXACT + 1), Just(u64::MAX)],
            database in prop_oneof![0..16_i64, Just(-1), Just(i64::MAX)],
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
}
