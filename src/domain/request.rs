//! A rendered request: exactly what a verb will send, to what, and what it means. Its digest is what is
//! confirmed and approved.

use super::estate::Environment;
use super::id::{SourceId, TenantId};
use super::risk::{BlastRadius, Reversible, Risk};
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::{BTreeMap, HashSet};

/// What a request is aimed at. Its members, like those of all that follows, stand in the order of their names: what is
/// written is canonical as it is ([`super::canonical`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Target {
    /// Number of objects touched.
    pub count: u64,
    /// Class of the estate.
    pub environment: Environment,
    /// Identity that the server itself states: cluster UID, PostgreSQL `system_identifier`, Redis run id;
    /// empty where the system has none.
    pub identity: String,
    /// The object, one line: `backend 4711 of database t017, started 02:01:38.117Z`.
    pub object: String,
    /// Source of the system: `pg-a`.
    pub source: SourceId,
    /// Tenants in the blast radius.
    pub tenants: Vec<TenantId>,
}

/// Exactly what will be sent. It is written by hand below, since its `kind` has a place among its other members.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Operation {
    /// One SQL statement with its parameters as text.
    Sql {
        /// Database it runs in.
        database: String,
        /// Statement with `$1` placeholders.
        statement: String,
        /// Parameters in order, as text.
        parameters: Vec<String>,
    },
    /// One HTTP request.
    Http {
        /// Method.
        method: String,
        /// URL or, on Kubernetes, path and query.
        path: String,
        /// Headers that matter, such as the content type.
        headers: BTreeMap<String, String>,
        /// Body, as sent.
        body: String,
    },
    /// Several HTTP requests, sent one after another in this order.
    Calls {
        /// The requests.
        calls: Vec<HttpCall>,
    },
    /// A whole file is written, or removed.
    File {
        /// Path.
        path: String,
        /// New content; `None` removes the file.
        content: Option<String>,
    },
    /// Redis commands, on one connection, in order.
    Redis {
        /// Number of the database.
        database: i64,
        /// Each command with its arguments; in `<…>` what is only known while they run, such as keys that were found.
        commands: Vec<Vec<String>>,
    },
    /// One program on this machine, started without a shell.
    Command {
        /// Path of the program, then its arguments.
        argv: Vec<String>,
        /// SHA-256 of the program's file in hexadecimal digits; empty where policy binds none.
        sha256: String,
    },
    /// One mail.
    Mail {
        /// `host:port` of the server that takes it.
        server: String,
        /// Sender.
        from: String,
        /// Recipients.
        to: Vec<String>,
        /// Subject.
        subject: String,
        /// Text, as sent.
        body: String,
    },
    /// Several requests of one step, one for each of its targets, under one digest.
    Several {
        /// The requests, in the order in which they are sent.
        requests: Vec<Request>,
    },
    /// Nothing is sent: what is agreed stands in the record.
    Record {
        /// What.
        text: String,
    },
    /// An action on the simulated estate.
    Simulated {
        /// What would have been sent, for people to read.
        statement: String,
    },
}

impl Serialize for Operation {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        macro_rules! members {
            ($($name:literal: $value:expr,)+) => {{
                let mut members = to.serialize_struct("Operation", [$($name),+].len())?;
                $(members.serialize_field($name, $value)?;)+
                members.end()
            }};
        }
        match self {
            Self::Sql { database, statement, parameters } => {
                members! { "database": database, "kind": "sql", "parameters": parameters, "statement": statement, }
            }
            Self::Http { method, path, headers, body } => {
                members! { "body": body, "headers": headers, "kind": "http", "method": method, "path": path, }
            }
            Self::Calls { calls } => members! { "calls": calls, "kind": "calls", },
            Self::File { path, content } => members! { "content": content, "kind": "file", "path": path, },
            Self::Redis { database, commands } => {
                members! { "commands": commands, "database": database, "kind": "redis", }
            }
            Self::Command { argv, sha256 } => members! { "argv": argv, "kind": "command", "sha256": sha256, },
            Self::Mail { server, from, to: recipients, subject, body } => {
                members! {
                    "body": body, "from": from, "kind": "mail", "server": server, "subject": subject, "to": recipients,
                }
            }
            Self::Several { requests } => members! { "kind": "several", "requests": requests, },
            Self::Record { text } => members! { "kind": "record", "text": text, },
            Self::Simulated { statement } => members! { "kind": "simulated", "statement": statement, },
        }
    }
}

/// One of several HTTP requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HttpCall {
    /// Body, as sent.
    pub body: String,
    /// Headers that matter, such as the content type.
    pub headers: BTreeMap<String, String>,
    /// Method.
    pub method: String,
    /// URL or, on Kubernetes, path and query.
    pub path: String,
}

impl HttpCall {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{} {}", self.method, self.path)];
        lines.extend(self.headers.iter().map(|(k, v)| format!("{k}: {v}")));
        lines.extend(self.body.lines().map(str::to_owned));
        lines
    }
}

impl Operation {
    /// The HTTP requests that it consists of, in order; none for what is not HTTP.
    pub fn http_calls(&self) -> Vec<HttpCall> {
        match self {
            Self::Http { method, path, headers, body } => vec![HttpCall {
                method: method.clone(),
                path: path.clone(),
                headers: headers.clone(),
                body: body.clone(),
            }],
            Self::Calls { calls } => calls.clone(),
            Self::Several { requests } => requests.iter().flat_map(|r| r.operation.http_calls()).collect(),
            Self::Sql { .. }
            | Self::File { .. }
            | Self::Redis { .. }
            | Self::Command { .. }
            | Self::Mail { .. }
            | Self::Record { .. }
            | Self::Simulated { .. } => Vec::new(),
        }
    }

    /// The request as lines for a screen, in the form that people know (`METHOD path`, SQL, file content).
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Sql { database, statement, parameters } => {
                let mut lines = vec![format!("-- database {database}")];
                lines.extend(statement.lines().map(str::to_owned));
                for (i, p) in parameters.iter().enumerate() {
                    lines.push(format!("-- ${} = {p}", i + 1));
                }
                lines
            }
            Self::Http { .. } => self.http_calls().iter().flat_map(HttpCall::lines).collect(),
            Self::Calls { calls } => calls.iter().flat_map(HttpCall::lines).collect(),
            Self::File { path, content: Some(content) } => {
                let mut lines = vec![format!("write {path}")];
                lines.extend(content.lines().map(str::to_owned));
                lines
            }
            Self::File { path, content: None } => vec![format!("remove {path}")],
            Self::Redis { database, commands } => {
                let said = commands.iter().map(|c| c.iter().map(|w| quoted(w)).collect::<Vec<_>>().join(" "));
                std::iter::once(format!("# database {database}")).chain(said).collect()
            }
            Self::Command { argv, sha256 } => {
                let mut lines = vec![argv.iter().map(|w| quoted(w)).collect::<Vec<_>>().join(" ")];
                if !sha256.is_empty() {
                    lines.push(format!("# sha256 of the program: {sha256}"));
                }
                lines
            }
            Self::Mail { server, from, to, subject, body } => {
                let mut lines = vec![
                    format!("mail through {server}"),
                    format!("From: {from}"),
                    format!("To: {}", to.join(", ")),
                    format!("Subject: {subject}"),
                    String::new(),
                ];
                lines.extend(body.lines().map(str::to_owned));
                lines
            }
            Self::Several { requests } => {
                let one = |(i, request): (usize, &Request)| {
                    let mut lines = vec![format!("-- {} of {}: {}", i + 1, requests.len(), request.target.object)];
                    lines.extend(request.operation.lines());
                    lines
                };
                requests.iter().enumerate().flat_map(one).collect()
            }
            Self::Record { text } => vec![format!("in the record: {text}")],
            Self::Simulated { statement } => statement.lines().map(str::to_owned).collect(),
        }
    }
}

/// A word of a command, in quotes where it would not be seen where it ends.
fn quoted(word: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '\'');
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("{word:?}") }
}

/// One rendered request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Request {
    /// The same as a command a person could type (`kubectl …`, `psql …`).
    pub by_hand: String,
    /// Whom it hurts and how, one sentence.
    pub hurts: String,
    /// What is sent.
    pub operation: Operation,
    /// What the server itself checks before it acts, a sentence each (`only if backend_start = …`).
    pub server_checks: Vec<String>,
    /// At what.
    pub target: Target,
    /// How it can be taken back, one sentence.
    pub undo: String,
    /// `adapter.verb`: `postgres.terminate_backend`.
    pub verb: String,
}

impl Request {
    /// One of several requests.
    pub fn part(&self, part: usize) -> Option<&Self> {
        match &self.operation {
            Operation::Several { requests } => requests.get(part),
            _ => None,
        }
    }

    /// Several requests as one: what a step over several targets shows, and what its digest binds.
    pub fn several(verb: &str, requests: Vec<Self>) -> Option<Self> {
        let environment = requests.first()?.target.environment;
        let count = requests.len();
        let named = |all: &[&str], count: usize| match count.checked_sub(NAMED) {
            None | Some(0) => all.join("; "),
            Some(more) => format!("{}; and {more} more", all.join("; ")),
        };
        let unique = |of: fn(&Self) -> &str| {
            let (mut known, mut first) = (HashSet::new(), Vec::new());
            let mut last = None;
            for text in requests.iter().map(of) {
                // Most are the same for all targets.
                if last == Some(text) {
                    continue;
                }
                last = Some(text);
                if known.insert(text) && first.len() < NAMED {
                    first.push(text);
                }
            }
            named(&first, known.len())
        };
        let objects: Vec<&str> = requests.iter().take(NAMED).map(|r| r.target.object.as_str()).collect();
        let mut tenants: Vec<TenantId> = requests.iter().flat_map(|r| r.target.tenants.iter().cloned()).collect();
        tenants.sort_unstable();
        tenants.dedup();
        let checks =
            |r: &Self| r.server_checks.iter().map(|c| [&r.target.object, ": ", c].concat()).collect::<Vec<_>>();
        Some(Self {
            verb: verb.to_owned(),
            target: Target {
                source: SourceId::new(unique(|r| r.target.source.as_str())),
                identity: unique(|r| &r.target.identity),
                environment,
                object: format!("{count} targets: {}", named(&objects, count)),
                tenants,
                count: requests.iter().map(|r| r.target.count).sum(),
            },
            server_checks: requests.iter().flat_map(checks).collect(),
            hurts: unique(|r| &r.hurts),
            undo: unique(|r| &r.undo),
            by_hand: requests.iter().map(|r| r.by_hand.as_str()).collect::<Vec<_>>().join("\n"),
            operation: Operation::Several { requests },
        })
    }
}

/// Objects that are named one by one where there are several; all of them stand in the operation.
const NAMED: usize = 8;

/// What a verb declares of itself; the one place for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerbSpec {
    /// `adapter.verb`.
    pub name: &'static str,
    /// What it does, one line.
    pub what: &'static str,
    /// The least risk it can have.
    pub risk_floor: Risk,
    /// How far it reaches.
    pub blast_radius: BlastRadius,
    /// Whether it can be taken back.
    pub reversible: Reversible,
    /// Whether running it twice equals running it once; only then may it be retried.
    pub idempotent: bool,
    /// Whether it only looks; such a verb needs no confirmation.
    pub read_only: bool,
    /// Its arguments.
    pub args: &'static [ArgSpec],
}

/// One argument of a verb.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ArgSpec {
    /// Name in the playbook.
    pub name: &'static str,
    /// Whether it must be given.
    pub required: bool,
    /// What it is, one line with its unit.
    pub what: &'static str,
}
