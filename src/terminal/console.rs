//! The loop of a console: await one message, drain what is queued, update, draw once behind a gate.

use super::attention::{self, Attention};
use super::desks::{Begin, Berth, Desks};
use super::editor;
use super::frame::Screen;
use super::guard::{self, Guard};
use super::outer::{self, Between};
use super::pace::Pace;
use super::signals::{Signalled, Signals};
use super::torn::{Part, Torn};
use crate::console::effect::Effect;
use crate::console::links::Links;
use crate::console::msg::Msg;
use crate::console::state::Facts;
use crate::console::theme::Wardrobe;
use crate::console::view;
use crate::console::view::Targets;
use crate::console::views::View;
use base64::Engine as _;
use crossterm::event::{Event, EventStream, KeyEventKind};
use futures::StreamExt as _;
use jiff::Timestamp;
use std::future::poll_fn;
use std::io::{self, Write};
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// What a console starts with.
pub struct Options {
    /// What does not change.
    pub facts: Facts,
    /// How it can look.
    pub themes: Wardrobe,
    /// Mouse reporting.
    pub mouse: bool,
    /// How it calls a person who looks elsewhere.
    pub attention: attention::Wanted,
    /// Whether the terminal is told where web addresses lead.
    pub hyperlinks: bool,
    /// Most bytes that it may write in a second, where the link is slow.
    pub budget: Option<u32>,
    /// The person's own editor and its arguments, where they may use one.
    pub editor: Vec<String>,
    /// What is said first.
    pub notice: Option<String>,
    /// For whom it shows what; the commander when absent.
    pub view: Option<View>,
}

impl Options {
    /// The usual ones.
    pub fn new(facts: Facts, themes: Wardrobe) -> Self {
        let attention = attention::Wanted::default();
        let (budget, editor, notice, view) = (None, Vec::new(), None, None);
        let hyperlinks = false;
        Self { facts, themes, mouse: true, attention, hyperlinks, budget, editor, notice, view }
    }
}

/// How a console ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The person left.
    Quit,
    /// A signal, or the terminal is gone.
    Signal(i32),
    /// A part of the program has panicked; what it said stands on the terminal.
    Panicked,
}

/// Runs a console until the person leaves or a signal ends it. The terminal is given back in any case.
pub async fn run(berth: Berth, options: Options) -> io::Result<Ended> {
    match play(berth, options).await {
        // The terminal is gone, and it was noticed by using it before SIGHUP was heard of: by writing to it, or by the
        // SIGCONT that comes with a hang-up (what is asked for then has errors of all kinds).
        Err(_) if rustix::termios::tcgetattr(rustix::stdio::stdout()).is_err() => Ok(Ended::Signal(1)),
        ended => ended,
    }
}

async fn play(berth: Berth, options: Options) -> io::Result<Ended> {
    let mut signals = Signals::listen()?;
    let between = Between::decide(|name| std::env::var(name).ok());
    // screen 4.9 keeps an `Esc` to itself while the mouse is asked for, until the next key, which then is lost in it.
    let mouse = options.mouse && between != Between::Screen;
    let guard = Guard::enter(mouse, options.attention.title)?;
    // Right behind it: from here on a change of size is noticed, and crossterm panics where it first asks for the keys of a
    // terminal that is gone.
    let mut input = EventStream::new();
    let (width, height) = crossterm::terminal::size().unwrap_or((80, 24));
    let screen = Screen::new(io::stdout(), width, height)?;
    let Options { facts, view, notice, .. } = options;
    let desks = Desks::open(berth, Begin { facts, view, notice, size: (width, height) }, Timestamp::now());
    let mut console = Console {
        desks,
        screen,
        guard,
        targets: Targets::default(),
        attention: Attention::new(options.attention, between),
        hyperlinks: options.hyperlinks,
        torn: Torn::default(),
        pace: Pace::new(options.budget, Instant::now()),
        editor: options.editor,
        themes: options.themes,
    };
    console.attention.title(console.desks.fleet.shown().title.clone());
    console.draw()?;
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut waiting = false;
    loop {
        let (settles, far) = (console.desks.fleet.settles_at().map(Instant::from_std), Instant::now());
        let msg = tokio::select! {
            biased;
            () = guard::panicked() => return Ok(Ended::Panicked),
            signal = signals.next() => match signal {
                Signalled::End { number, .. } => return Ok(Ended::Signal(number)),
                Signalled::Continued => {
                    console.guard.retake()?;
                    console.screen.redraw()?;
                    Some((None, console.size()?))
                }
            },
            event = input.next() => match event {
                Some(Ok(event)) => console.message(event).map(|msg| (None, msg)),
                // The terminal is gone, as after a hang-up.
                Some(Err(_)) | None => return Ok(Ended::Signal(1)),
            },
            Some((of, msg)) = console.desks.next() => Some((Some(of), msg)),
            _ = second.tick() => {
                // A change of size that came before it was listened for, or was swallowed on its way, is seen now.
                if crossterm::terminal::size().is_ok_and(|size| size != console.desks.fleet.shown().size) {
                    let size = console.size()?;
                    console.take(None, size)?;
                }
                Some((None, Msg::Tick(Timestamp::now())))
            },
            () = tokio::time::sleep_until(console.pace.next()), if waiting => None,
            () = tokio::time::sleep_until(settles.unwrap_or(far)), if settles.is_some() => None,
        };
        console.desks.fleet.settle_by(std::time::Instant::now());
        let mut flow = match msg {
            Some((of, msg)) => console.take(of, msg)?,
            None => Flow::On,
        };
        // Drain the keys that are there already, so that a burst of them costs one frame. It is asked with this task's
        // own waker: the stream keeps the first one that it is given, and a waker of nobody would leave the next key
        // lying until something else happens.
        while flow == Flow::On
            && let Poll::Ready(Some(Ok(event))) = poll_fn(|cx| Poll::Ready(input.poll_next_unpin(cx))).await
        {
            if let Some(msg) = console.message(event) {
                flow = console.take(None, msg)?;
            }
        }
        match flow {
            Flow::On => {}
            Flow::Leave => return Ok(Ended::Quit),
            Flow::Edit(text) => {
                // Whoever reads the terminal beside the editor would take its keys.
                drop(input);
                let edited = console.edit(&text).await?;
                input = EventStream::new();
                // A Ctrl-C in the editor was for the editor.
                signals = Signals::listen()?;
                console.take(None, edited)?;
            }
        }
        waiting |= console.desks.fleet.shown_mut().take_dirty();
        if waiting && Instant::now() >= console.pace.next() {
            console.draw()?;
            waiting = false;
        }
        console.tell()?;
    }
}

/// How the loop goes on.
#[derive(Debug, PartialEq, Eq)]
enum Flow {
    On,
    /// The person leaves.
    Leave,
    /// The person edits a text in their own editor.
    Edit(String),
}

struct Console<W: Write> {
    desks: Desks,
    screen: Screen<W>,
    guard: Guard,
    /// What the mouse can point at on the frame that was drawn last.
    targets: Targets,
    attention: Attention,
    hyperlinks: bool,
    torn: Torn,
    pace: Pace,
    editor: Vec<String>,
    themes: Wardrobe,
}

impl<W: Write> Console<W> {
    /// What came from the terminal, as a message.
    fn message(&mut self, event: Event) -> Option<Msg> {
        self.pace.urge();
        match self.torn.part(&event, std::time::Instant::now()) {
            Part::None => {}
            // Nothing is left of it that could be trusted; that it is ignored is said.
            Part::Begin => return Some(Msg::Paste(String::new())),
            Part::Text => return None,
        }
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => Some(Msg::Key(key)),
            Event::Paste(text) => Some(Msg::Paste(text)),
            Event::Mouse(mouse) => Some(Msg::Mouse { kind: mouse.kind, on: self.targets.at(mouse.column, mouse.row) }),
            Event::Resize(width, height) => Some(Msg::Resize { width, height }),
            Event::Key(_) | Event::FocusGained | Event::FocusLost => None,
        }
    }

    /// Gives the terminal to the person's own editor until it ends.
    async fn edit(&mut self, text: &str) -> io::Result<Msg> {
        self.guard.give();
        let edited = editor::edit(&self.editor, text).await;
        self.guard.retake()?;
        self.screen.redraw()?;
        let size = self.size()?;
        self.take(None, size)?;
        Ok(Msg::Edited(edited))
    }

    /// Bell, notification and title, as far as they are due.
    fn tell(&mut self) -> io::Result<()> {
        let due = self.attention.due(std::time::Instant::now());
        self.send_raw(&due)
    }

    fn send_raw(&mut self, text: &str) -> io::Result<()> {
        if !text.is_empty() && guard::is_taken() {
            self.pace.wrote(text.len(), Instant::now());
            self.screen.send_raw(text.as_bytes())?;
        }
        Ok(())
    }

    /// Takes one message of an estate, or of the terminal; answers how the loop goes on.
    fn take(&mut self, of: Option<usize>, msg: Msg) -> io::Result<Flow> {
        if let Msg::Resize { width, height } = msg {
            self.screen.resize(width, height)?;
        }
        let mut effects = self.desks.take(of, msg);
        let mut flow = Flow::On;
        while let Some(effect) = (!effects.is_empty()).then(|| effects.remove(0)) {
            match effect {
                Effect::Copy(text) => {
                    let text = base64::engine::general_purpose::STANDARD.encode(text);
                    let text = self.attention.between().wrap(&outer::clipboard(&text));
                    self.send_raw(&text)?;
                }
                Effect::Call(text) => self.attention.call(text),
                Effect::Title(text) => self.attention.title(text),
                Effect::EditOutside(_) if self.editor.is_empty() => {
                    let why = "no editor may be used here: `editor` under [console], or EDITOR where the engine runs in \
                               this console, names one";
                    effects.extend(self.desks.take(None, Msg::Edited(Err(why.to_owned()))));
                }
                Effect::EditOutside(text) => flow = Flow::Edit(text),
                Effect::Suspend => {
                    self.guard.suspend()?;
                    self.screen.redraw()?;
                    let size = self.size()?;
                    effects.extend(self.desks.take(None, size));
                }
                Effect::Redraw => self.screen.redraw()?,
                Effect::Quit => return Ok(Flow::Leave),
                _ => {}
            }
        }
        Ok(flow)
    }

    /// The size of the terminal, which may have changed while it was not ours.
    fn size(&mut self) -> io::Result<Msg> {
        let (width, height) = crossterm::terminal::size()?;
        self.screen.resize(width, height)?;
        Ok(Msg::Resize { width, height })
    }

    fn draw(&mut self) -> io::Result<()> {
        // Given back by a panic: the loop is about to end, and what was said must stay readable.
        if !guard::is_taken() {
            return Ok(());
        }
        let state = self.desks.fleet.shown();
        let theme = self.themes.named(state.worn());
        let (mut targets, hyperlinks) = (Targets::default(), self.hyperlinks);
        let bytes = self.screen.draw_linked(|frame| {
            targets = view::view(state, theme, frame);
            if hyperlinks { std::mem::take(&mut targets.links) } else { Links::default() }
        })?;
        self.targets = targets;
        self.desks.fleet.drawn(std::time::Instant::now());
        self.pace.drew(bytes, Instant::now());
        Ok(())
    }
}
