//! What the crew and the facilitator ask of a drill that runs, over its socket; and the facilitator's console, line by
//! line.

use crate::cli::args::{Facilitate, Format, Global, ToDrill};
use crate::cli::output::{self, Error, Exit};
use crate::cli::session;
use crate::drill::scenario::time::{Lasting, Offset};
use crate::engine::api::{Command, DrillView, Reply, Snapshot, Steer};
use crate::engine::attach::remote::{self, Away};
use clap::Parser;
use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

fn socket(to: &ToDrill) -> Result<PathBuf, Error> {
    let none = || {
        Error::Failed(
            "no drill of this user runs: `quarterdeck drill` or `quarterdeck --drill serve` starts one".into(),
        )
    };
    to.socket.clone().or_else(session::running_drill).ok_or_else(none)
}

async fn send(to: &ToDrill, command: Command) -> Result<Reply, Error> {
    let caller = session::caller(&socket(to)?, "cli", false);
    remote::command(&caller, command).await.map_err(away)
}

fn away(away: Away) -> Error {
    match away {
        Away::Nobody(path) => Error::Failed(format!("no engine listens at {path}")),
        away => Error::failed(away),
    }
}

/// `drill hint`.
pub fn hint(global: &Global, to: &ToDrill) -> Result<Exit, Error> {
    let reply = session::runtime()?.block_on(send(to, Command::DrillHint))?;
    output::reply(&reply, global.format)
}

/// `drill facilitate`: one act, or the console without one.
pub fn facilitate(global: &Global, to: &ToDrill, act: Option<&Facilitate>) -> Result<Exit, Error> {
    match act {
        Some(act) => {
            let reply = session::runtime()?.block_on(send(to, Command::Facilitate { act: steer(act) }))?;
            output::reply(&reply, global.format)
        }
        None => console(global, to),
    }
}

fn steer(act: &Facilitate) -> Steer {
    match act.clone() {
        Facilitate::Start => Steer::Start,
        Facilitate::Pause => Steer::Pause,
        Facilitate::Speed { speed } => Steer::Speed { speed },
        Facilitate::Skip { inject } => Steer::Skip { inject },
        Facilitate::Fire { inject } => Steer::Fire { inject },
        Facilitate::Delay { inject, by } => Steer::Delay { inject, seconds: by },
        Facilitate::Hint => Steer::Hint,
        Facilitate::Override { expectation, score, reason } => {
            Steer::Override { expectation, score, reason: reason.join(" ") }
        }
        Facilitate::Note { text } => Steer::Note { text: text.join(" ") },
        Facilitate::Tell { text } => Steer::Tell { text: text.join(" ") },
        Facilitate::Plan => Steer::Plan,
    }
}

/// A duration on the command line, in seconds.
pub fn lasting(text: &str) -> Result<i64, String> {
    Lasting::parse(text).map(|l| l.0).ok_or_else(|| format!("`{text}` is no duration, such as 90s, 5m or 1h05m"))
}

/// One line that a facilitator types.
#[derive(Debug, Parser)]
#[command(multicall = true, disable_help_subcommand = true, disable_version_flag = true)]
struct Typed {
    #[command(subcommand)]
    act: Facilitate,
}

/// The state of the exercise in one line.
fn line_of(drill: &DrillView) -> String {
    let pace = if drill.speed > 0.0 { format!("{}x", drill.speed) } else { "PAUSED".to_owned() };
    let points = drill.points.map_or_else(String::new, |(points, of)| format!(", {points} of {of} points"));
    let over = if drill.ended { ", over" } else { "" };
    let elapsed = Offset(elapsed(drill));
    format!("DRILL {} {elapsed} {pace}{points}{over}", drill.scenario)
}

#[expect(clippy::cast_possible_truncation, reason = "seconds of one exercise")]
const fn elapsed(drill: &DrillView) -> i64 {
    drill.elapsed_s as i64
}

/// The facilitator's console: what the crew is told and does comes as lines, acts are typed.
fn console(global: &Global, to: &ToDrill) -> Result<Exit, Error> {
    if global.format == Format::Json {
        return Err(Error::Usage("the facilitator's console has no JSON form; `drill facilitate ACT` has".into()));
    }
    let socket = socket(to)?;
    session::runtime()?.block_on(async {
        let attached = remote::attach(session::caller(&socket, "facilitator", false)).await.map_err(away)?;
        let client = attached.client.clone();
        if client.snapshot().drill.is_none() {
            return Err(Error::Failed("that engine runs no drill: there is nothing to facilitate".into()));
        }
        let (typed, mut lines) = tokio::sync::mpsc::channel(16);
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines() {
                let Ok(line) = line else { break };
                if typed.blocking_send(line).is_err() {
                    break;
                }
            }
        });
        output::line(
            "You facilitate. `plan` shows the injects, `help` all acts, `quit` leaves; the exercise goes on.",
        )?;
        let mut snapshots = client.snapshots.clone();
        let mut seen = Told::default();
        seen.tell(&snapshots.borrow_and_update().clone())?;
        loop {
            prompt()?;
            tokio::select! {
                changed = snapshots.changed() => {
                    if changed.is_err() {
                        output::line("the exercise has ended")?;
                        return Ok(Exit::Done);
                    }
                    let snapshot = snapshots.borrow_and_update().clone();
                    seen.tell(&snapshot)?;
                }
                line = lines.recv() => match line.as_deref().map(str::trim) {
                    None | Some("quit" | "q" | "exit") => return Ok(Exit::Done),
                    Some("") => output::line(&client.snapshot().drill.as_ref().map(line_of).unwrap_or_default())?,
                    Some("help" | "?") => output::line(HELP)?,
                    Some(words) => match Typed::try_parse_from(words.split_whitespace()) {
                        Ok(Typed { act }) => match client.send(Command::Facilitate { act: steer(&act) }).await {
                            Reply::Refused { why, .. } => output::line(&format!("refused: {why}"))?,
                            reply => drop(output::reply(&reply, Format::Table)?),
                        },
                        Err(wrong) => {
                            let said = wrong.to_string();
                            output::line(said.lines().next().unwrap_or("that is no act; `help` names them"))?;
                        }
                    },
                },
            }
        }
    })
}

/// The acts, for `help`.
const HELP: &str = "start | pause | speed X | plan | fire INJECT | skip INJECT | delay INJECT 5m | hint | \
                    override EXPECTATION POINTS REASON… | note TEXT… | tell TEXT… | quit";

fn prompt() -> Result<(), Error> {
    output::raw(b"\rfacilitator> ")?;
    std::io::stdout().flush().map_err(Error::failed)
}

/// What the facilitator has been shown.
#[derive(Default)]
struct Told {
    messages: usize,
    record: Option<u64>,
    pace: Option<String>,
}

impl Told {
    /// Shows what is new: what the crew was told, and what it did.
    fn tell(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), Error> {
        let Some(drill) = &snapshot.drill else { return Ok(()) };
        let pace = format!("{}{}", drill.speed, drill.ended);
        if self.pace.as_ref() != Some(&pace) {
            output::line(&format!("\r{}", line_of(drill)))?;
            self.pace = Some(pace);
        }
        for message in drill.messages.iter().skip(self.messages) {
            output::line(&format!("\r{message}"))?;
        }
        self.messages = drill.messages.len();
        let shown = self.record;
        for entry in snapshot.journal.tail.iter().filter(|e| shown.is_none_or(|last| e.seq > last)) {
            output::line(&format!("\r{} {} {}: {}", entry.at.strftime("%H:%M:%S"), entry.seq, entry.who, entry.text))?;
            self.record = Some(entry.seq);
        }
        Ok(())
    }
}
