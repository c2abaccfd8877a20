//! `attach`: the full console on an engine that runs elsewhere. It works without arguments, as the forced command of an
//! SSH key; what the other end of the SSH session asked for is then held against a short list.

use super::args::{Cli, Format, Global};
use super::files::{self, Found, Question};
use super::looks::Looks;
use super::output::{Error, Exit};
use super::session;
use crate::console::effect::RequestId;
use crate::console::state::{MOST_HITS, RecordView, Scanned, Wanted};
use crate::domain::incident::TimelineEntry;
use crate::engine::attach::remote::{self, Away, Caller, Remote};
use crate::terminal::capabilities;
use crate::terminal::console::Ended;
use crate::terminal::desks::Berth;
use crate::terminal::outside::{Journal, Way};
use clap::Parser as _;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::sync::Arc;

/// What an SSH key whose forced command is `quarterdeck attach` may run beside the console. All of it only looks.
const ALLOWED: &[&[&str]] = &[
    &["attach"],
    &["attach", "--read-only"],
    &["attach", "--plain"],
    &["status"],
    &["status", "--format", "json"],
    &["incident", "list"],
    &["incident", "list", "--format", "json"],
    &["run", "list"],
    &["run", "list", "--format", "json"],
];

/// Runs it.
pub fn run(global: &Global, socket: Option<&Path>) -> Result<Exit, Error> {
    match std::env::var("SSH_ORIGINAL_COMMAND").ok().filter(|c| !c.trim().is_empty()) {
        None => open(global, socket),
        Some(asked) => forced(global, socket, &asked),
    }
}

/// What the SSH session asked for, when it is on the list. The words are compared whole: no shell sees them.
fn forced(global: &Global, socket: Option<&Path>, asked: &str) -> Result<Exit, Error> {
    let words: Vec<&str> = asked.split_whitespace().collect();
    let words = words.strip_prefix(&["quarterdeck"]).unwrap_or(&words);
    if !ALLOWED.contains(&words) {
        let allowed: Vec<String> = ALLOWED.iter().map(|words| words.join(" ")).collect();
        let asked = crate::domain::text::sanitize(asked);
        let message = format!("this SSH key may not run `{asked}`; allowed is nothing, or {}", allowed.join(", "));
        return Err(Error::Denied(message));
    }
    let read_only = global.read_only || words.contains(&"--read-only");
    let parsed = Cli::try_parse_from(std::iter::once("quarterdeck").chain(words.iter().copied()));
    let parsed = parsed.map_err(|e| Error::Usage(e.to_string()))?;
    // What the key's own command line says of configuration and theme stays in force.
    let plain = global.plain || words.contains(&"--plain");
    let global = Global { read_only, plain, format: parsed.global.format, ..global.clone() };
    match words.first() {
        Some(&"attach") => open(&global, socket),
        _ => super::run(Cli { global, command: parsed.command }),
    }
}

/// The engine that is meant.
fn find(global: &Global, socket: Option<&Path>) -> Result<Caller, Error> {
    if let Some(socket) = socket {
        let caller = session::caller(socket, "socket", global.read_only);
        return Ok(Caller { estate: global.estate.clone(), ..caller });
    }
    Ok(session::reached(global)?.caller("socket", global.read_only))
}

fn open(global: &Global, socket: Option<&Path>) -> Result<Exit, Error> {
    if !global.plain && !capabilities::is_interactive() {
        let message = "attach opens a full screen and needs a terminal (`ssh -t`); `--plain` and `quarterdeck status` work without";
        return Err(Error::Usage(message.into()));
    }
    if global.format == Format::Json {
        return Err(Error::Usage("attach opens a full screen, which has no JSON form; `status` has".into()));
    }
    at(global, find(global, socket)?)
}

/// Opens the console on the engine at a socket.
pub fn at(global: &Global, caller: Caller) -> Result<Exit, Error> {
    let looks = Looks::heeding(global)?;
    session::runtime()?.block_on(async {
        let attached = remote::attach(caller).await.map_err(|away| match away {
            Away::Nobody(path) => Error::Failed(format!("no engine listens at {path}: `quarterdeck serve` starts one")),
            away => Error::failed(away),
        })?;
        match looks.show(Berth::one(far(attached))).await.map_err(Error::failed)? {
            Ended::Quit => Ok(Exit::Done),
            Ended::Signal(_) => Ok(Exit::Interrupted),
            Ended::Panicked => Err(Error::Failed(
                "a part of the program failed, as said above; the engine goes on without this console".into(),
            )),
        }
    })
}

/// The way to an engine elsewhere.
pub(super) fn far(attached: Remote) -> Way {
    Way { client: attached.client.clone(), journal: Arc::new(Far(attached)) }
}

/// The journal's files, read by the engine; the connection lasts as long as this.
struct Far(Remote);

impl Far {
    fn ask<T: DeserializeOwned>(&self, question: &Question) -> Result<T, String> {
        let question = serde_json::to_value(question).map_err(|e| e.to_string())?;
        serde_json::from_value(self.0.asker.ask(question)?)
            .map_err(|e| format!("the engine's answer is not understood: {e}"))
    }
}

impl Journal for Far {
    fn records(&self, before: u64, limit: u16) -> Result<Vec<TimelineEntry>, String> {
        self.ask(&Question::Records { before, limit })
    }

    fn scan(
        &self,
        id: RequestId,
        wanted: &Wanted,
        before: u64,
        goes_on: &dyn Fn() -> bool,
        tell: &mut dyn FnMut(Scanned),
    ) {
        let (mut down_to, mut count) = (before, 0);
        while goes_on() {
            match self.ask::<Found>(&Question::Older { wanted: wanted.clone(), before: down_to }) {
                // Each answer leads further back, or the search would never end.
                Ok(found) if found.down_to < down_to || found.down_to == 0 => {
                    down_to = found.down_to;
                    count += found.hits.len();
                    let done = down_to == 0 || count > MOST_HITS;
                    tell(Scanned { id, hits: found.hits, down_to, done, trouble: None });
                    if done {
                        return;
                    }
                }
                Ok(_) => {
                    let trouble = Some("the engine's answer leads nowhere".to_owned());
                    return tell(Scanned { id, hits: vec![], down_to, done: true, trouble });
                }
                Err(why) => {
                    return tell(Scanned { id, hits: vec![], down_to, done: true, trouble: Some(why) });
                }
            }
        }
    }

    fn save(&self, name: &str, text: &str) -> Result<String, String> {
        files::save(name, text)
    }

    fn open(&self, seq: u64) -> Result<Box<RecordView>, String> {
        self.ask(&Question::Open { seq })
    }
}
