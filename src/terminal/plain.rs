//! The console in plain lines, for screen readers, serial lines and pipes: the same state, keys and dialogs as on the full
//! screen, told one below the other, with words instead of signs and no cursor control. A line that is typed is a key,
//! an action or text.

mod input;
mod text;

use super::console::{Ended, Options};
use super::desks::{Begin, Berth, Desks};
use super::signals::{Signalled, Signals};
use crate::console::effect::Effect;
use crate::console::msg::Msg;
use crate::console::state::State;
use crate::console::theme::Theme;
use input::Typed;
use jiff::Timestamp;
use std::collections::VecDeque;
use std::io::{self, BufRead as _, Write as _};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

/// Columns of its text.
const WIDTH: u16 = 100;
/// Rows: enough that nothing is left out, since nothing scrolls.
const HEIGHT: u16 = 400;
/// How long an answer of the engine is waited for before what there is is told.
const ANSWER: Duration = Duration::from_secs(2);

/// How it goes on after a line.
#[derive(Debug, PartialEq, Eq)]
enum Flow {
    /// The next line.
    On,
    /// Where the person is has to be told.
    Show,
    /// The person leaves.
    Leave,
}

struct Plain {
    desks: Desks,
    theme: Theme,
    unicode: bool,
    /// The alarms and the next verb, as they were told last.
    told: Vec<String>,
}

/// Runs a console in plain lines until the person leaves, its input ends, or a signal ends it.
pub async fn run(berth: Berth, options: Options, unicode: bool) -> io::Result<Ended> {
    let mut signals = Signals::listen()?;
    let mut lines = typed_lines();
    let theme = options.themes.worn().clone().in_words();
    let Options { facts, view, notice, .. } = options;
    let begin = Begin { facts: facts.in_one_column(), view, notice, size: (WIDTH, HEIGHT) };
    let mut plain = Plain { desks: Desks::open(berth, begin, Timestamp::now()), theme, unicode, told: Vec::new() };
    plain.say(
        "Type a key (`?` shows them), the word of an action, or a text where one is asked for. `help` says more.",
    )?;
    plain.show()?;
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut waiting: VecDeque<String> = VecDeque::new();
    // What was typed is answered when the engine has answered, so that what is told is how it stands then.
    let mut owes: Option<Instant> = None;
    loop {
        if owes.is_some_and(|since| plain.state().awaited.is_empty() || since.elapsed() >= ANSWER) {
            owes = None;
            plain.show()?;
        }
        if owes.is_none()
            && let Some(typed) = waiting.pop_front()
        {
            match plain.typed(&typed)? {
                Flow::On => plain.prompt()?,
                Flow::Show => owes = Some(Instant::now()),
                Flow::Leave => return Ok(Ended::Quit),
            }
            continue;
        }
        let msg = tokio::select! {
            biased;
            signal = signals.next() => match signal {
                Signalled::End { number, .. } => return Ok(Ended::Signal(number)),
                Signalled::Continued => None,
            },
            news = plain.desks.next() => news.map(|(of, msg)| (Some(of), msg)),
            _ = second.tick() => Some((None, Msg::Tick(Timestamp::now()))),
            typed = lines.recv() => match typed {
                Some(typed) => { waiting.push_back(typed); None }
                // The end of the input is the end of the session, as a hang-up is.
                None => return Ok(Ended::Signal(1)),
            },
        };
        let tick = matches!(msg, Some((_, Msg::Tick(_))));
        if let Some((of, msg)) = msg
            && plain.take(of, msg)? == Flow::Leave
        {
            return Ok(Ended::Quit);
        }
        if tick {
            plain.news()?;
        }
    }
}

/// Lines that are typed. A thread of its own reads them: it can not be ended while it waits, and must not keep the
/// program from ending.
fn typed_lines() -> mpsc::Receiver<String> {
    let (lines, typed) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    typed
}

impl Plain {
    /// The estate that is told of.
    const fn state(&self) -> &State {
        self.desks.fleet.shown()
    }

    /// Takes one message of an estate, or of whoever types.
    fn take(&mut self, of: Option<usize>, msg: Msg) -> io::Result<Flow> {
        let mut effects: VecDeque<Effect> = self.desks.take(of, msg).into();
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Call(text) => self.say(&format!("*** {text}"))?,
                // There is no clipboard to reach: what is copied is told.
                Effect::Copy(text) => self.say(&text)?,
                Effect::Quit => return Ok(Flow::Leave),
                Effect::EditOutside(_) => {
                    // Whoever reads the lines would take them from an editor.
                    let why = "no editor can be opened between plain lines: type the text as a line";
                    effects.extend(self.desks.take(None, Msg::Edited(Err(why.to_owned()))));
                }
                // A line has no title, and a shell stops a job without being asked.
                _ => {}
            }
        }
        Ok(Flow::On)
    }

    /// Does what a line says.
    fn typed(&mut self, line: &str) -> io::Result<Flow> {
        match input::read(self.state(), line) {
            Typed::Show => Ok(Flow::Show),
            Typed::Help => {
                for line in input::HELP {
                    self.say(line)?;
                }
                Ok(Flow::On)
            }
            Typed::Nothing(why) => {
                self.say(&why)?;
                Ok(Flow::On)
            }
            Typed::Keys(keys) => {
                let at = self.desks.fleet.at();
                for key in keys {
                    if self.take(None, Msg::Key(key))? == Flow::Leave {
                        return Ok(Flow::Leave);
                    }
                    // What is left of the line was meant for the estate in which it was typed.
                    if self.desks.fleet.at() != at {
                        break;
                    }
                }
                // Whoever types the next line has heard which estate this one has led to.
                self.desks.fleet.seen();
                Ok(Flow::Show)
            }
        }
    }

    /// Tells where the person is: what lies on top, else the screen; then what is next and what can be typed.
    fn show(&mut self) -> io::Result<()> {
        for line in text::whole(self.state(), &self.theme) {
            self.say(&line)?;
        }
        self.told = text::news(self.state(), &self.theme);
        self.prompt()
    }

    fn prompt(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        write!(out, "{}> ", self.state().place().words())?;
        out.flush()
    }

    /// Tells alarms and the next verb when they say something else than before, numbers aside: those change all the time.
    fn news(&mut self) -> io::Result<()> {
        let now = text::news(self.state(), &self.theme);
        let bare = |line: &String| line.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
        let before: Vec<String> = self.told.iter().map(bare).collect();
        let new: Vec<String> = now.iter().filter(|line| !before.contains(&bare(line))).cloned().collect();
        if !new.is_empty() {
            self.say("")?;
            for line in new {
                self.say(&line)?;
            }
            self.told = now;
            self.prompt()?;
        }
        Ok(())
    }

    fn say(&self, line: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.unicode { writeln!(out, "{line}") } else { writeln!(out, "{}", text::ascii(line)) }
    }
}
