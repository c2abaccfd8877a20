//! The loop of a console: await one message, drain what is queued, update, draw once behind a gate.

use super::frame::Screen;
use super::guard::{self, Guard};
use super::signals::{Signalled, Signals};
use crate::console::effect::{Effect, RequestId};
use crate::console::msg::Msg;
use crate::console::see;
use crate::console::state::{Facts, RecordView, Scanned, State, Wanted};
use crate::console::theme::Wardrobe;
use crate::console::views::View;
use crate::console::{update, view};
use crate::domain::incident::TimelineEntry;
use crate::engine::api::{Command, Reply};
use crate::engine::client::Client;
use base64::Engine as _;
use crossterm::event::{Event, EventStream, KeyEventKind};
use futures::StreamExt as _;
use jiff::Timestamp;
use std::future::poll_fn;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

/// Least time between two frames: at most thirty a second.
const FRAME: Duration = Duration::from_millis(33);

/// Messages from threads that read, until the loop takes them.
const READ: usize = 64;

/// Reads the journal's files for the journal screen, on a thread that may block.
pub trait Journal: Send + Sync + 'static {
    /// Up to `limit` records before one, oldest first, or why they can not be read.
    fn records(&self, before: u64, limit: u16) -> Result<Vec<TimelineEntry>, String>;

    /// Searches from the record before `before` back to the first and tells what it finds, as long as it `goes_on`.
    fn scan(
        &self,
        id: RequestId,
        wanted: &Wanted,
        before: u64,
        goes_on: &dyn Fn() -> bool,
        tell: &mut dyn FnMut(Scanned),
    );

    /// Writes a new file into the working directory and answers its path, or why it was not written.
    fn save(&self, name: &str, text: &str) -> Result<String, String>;

    /// One record with all that can be said of it, or why it can not be read.
    fn open(&self, seq: u64) -> Result<Box<RecordView>, String>;
}

/// What a console starts with.
pub struct Options {
    /// What does not change.
    pub facts: Facts,
    /// How it can look.
    pub themes: Wardrobe,
    /// Mouse reporting.
    pub mouse: bool,
    /// For whom it shows what; the commander when absent.
    pub view: Option<View>,
    /// The journal's files.
    pub journal: Arc<dyn Journal>,
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
pub async fn run(client: &Client, options: Options) -> io::Result<Ended> {
    match play(client, options).await {
        // The terminal is gone, and it was noticed by writing before the signal came.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => Ok(Ended::Signal(1)),
        ended => ended,
    }
}

async fn play(client: &Client, options: Options) -> io::Result<Ended> {
    let mut signals = Signals::listen()?;
    let guard = Guard::enter(options.mouse)?;
    let (width, height) = crossterm::terminal::size().unwrap_or((80, 24));
    let screen = Screen::new(io::stdout(), width, height)?;
    let mut state = State::new(options.facts, (width, height), Timestamp::now());
    if let Some(view) = options.view {
        see(&mut state, view);
    }
    let (replies, mut answered) = mpsc::channel(64);
    let (reads, mut read) = mpsc::channel(READ);
    let mut console = Console {
        state,
        screen,
        guard,
        themes: options.themes,
        journal: options.journal,
        reads,
        scanning: Arc::default(),
        client: client.clone(),
        replies,
    };
    let mut link = client.link.clone();
    let linked = link.borrow_and_update().clone();
    console.take(Msg::Link(linked))?;
    console.take(Msg::Snapshot(client.snapshot()))?;
    console.draw()?;
    let mut input = EventStream::new();
    let (mut snapshots, mut beat) = (client.snapshots.clone(), client.beat.clone());
    let (mut engine_lives, mut beat_lives, mut link_lives) = (true, true, true);
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut drawn = Instant::now();
    let mut waiting = false;
    loop {
        let msg = tokio::select! {
            biased;
            () = guard::panicked() => return Ok(Ended::Panicked),
            signal = signals.next() => match signal {
                Signalled::End { number, .. } => return Ok(Ended::Signal(number)),
                Signalled::Continued => {
                    console.guard.retake()?;
                    console.screen.redraw()?;
                    Some(console.size()?)
                }
            },
            event = input.next() => match event {
                Some(Ok(event)) => message(event),
                // The terminal is gone, as after a hang-up.
                Some(Err(_)) | None => return Ok(Ended::Signal(1)),
            },
            Some(msg) = read.recv() => Some(msg),
            Some((to, reply)) = answered.recv() => Some(Msg::Reply { to, reply }),
            _ = second.tick() => Some(Msg::Tick(Timestamp::now())),
            changed = snapshots.changed(), if engine_lives => match changed {
                Ok(()) => Some(Msg::Snapshot(snapshots.borrow_and_update().clone())),
                Err(_) => { engine_lives = false; None }
            },
            changed = beat.changed(), if beat_lives => match changed {
                Ok(()) => Some(Msg::Beat(Timestamp::now())),
                Err(_) => { beat_lives = false; None }
            },
            changed = link.changed(), if link_lives => match changed {
                Ok(()) => Some(Msg::Link(link.borrow_and_update().clone())),
                // The engine runs in this process.
                Err(_) => { link_lives = false; None }
            },
            () = tokio::time::sleep_until(drawn + FRAME), if waiting => None,
        };
        if let Some(msg) = msg
            && console.take(msg)?
        {
            return Ok(Ended::Quit);
        }
        // Drain the keys that are there already, so that a burst of them costs one frame. It is asked with this task's
        // own waker: the stream keeps the first one that it is given, and a waker of nobody would leave the next key
        // lying until something else happens.
        while let Poll::Ready(Some(Ok(event))) = poll_fn(|cx| Poll::Ready(input.poll_next_unpin(cx))).await {
            if let Some(msg) = message(event)
                && console.take(msg)?
            {
                return Ok(Ended::Quit);
            }
        }
        waiting |= console.state.take_dirty();
        if waiting && drawn.elapsed() >= FRAME {
            console.draw()?;
            drawn = Instant::now();
            waiting = false;
        }
    }
}

fn message(event: Event) -> Option<Msg> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => Some(Msg::Key(key)),
        Event::Paste(text) => Some(Msg::Paste(text)),
        Event::Mouse(mouse) => Some(Msg::Mouse(mouse)),
        Event::Resize(width, height) => Some(Msg::Resize { width, height }),
        Event::Key(_) | Event::FocusGained | Event::FocusLost => None,
    }
}

struct Console<W: Write> {
    state: State,
    screen: Screen<W>,
    guard: Guard,
    themes: Wardrobe,
    journal: Arc<dyn Journal>,
    /// Where threads that read put what they have read.
    reads: mpsc::Sender<Msg>,
    /// Number of the search that may go on; 0 when none may.
    scanning: Arc<AtomicU64>,
    client: Client,
    replies: mpsc::Sender<(RequestId, Reply)>,
}

impl<W: Write> Console<W> {
    /// Takes one message; answers whether the person leaves.
    fn take(&mut self, msg: Msg) -> io::Result<bool> {
        if let Msg::Resize { width, height } = msg {
            self.screen.resize(width, height)?;
        }
        let mut effects = update(&mut self.state, msg);
        while let Some(effect) = (!effects.is_empty()).then(|| effects.remove(0)) {
            match effect {
                Effect::Command { id, command } => {
                    let (client, replies) = (self.client.clone(), self.replies.clone());
                    tokio::spawn(async move {
                        let reply = client.send(command).await;
                        // A console that has ended does not need it; the journal has it.
                        let _ = replies.send((id, reply)).await;
                    });
                }
                Effect::Sign { id, request, decision, role, reason, allowed_signers } => {
                    let (client, replies) = (self.client.clone(), self.replies.clone());
                    tokio::spawn(async move {
                        let signed = super::signing::sign(&request, decision, role, &allowed_signers).await;
                        let reply = match signed {
                            Ok(signature) => {
                                let request = request.id;
                                client.send(Command::Answer { request, decision, role, signature, reason }).await
                            }
                            Err(why) => Reply::refused(format!("nothing was signed: {why}")),
                        };
                        let _ = replies.send((id, reply)).await;
                    });
                }
                Effect::Records { before, limit } => {
                    self.read(move |journal| Msg::Records(journal.records(before, limit)));
                }
                Effect::Open { seq } => self.read(move |journal| Msg::Opened { seq, read: journal.open(seq) }),
                Effect::SaveProof { seq, file } => {
                    self.read(move |journal| Msg::Saved(journal.save(&format!("record-{seq}.tlog-proof"), &file)));
                }
                Effect::Scan { id, wanted, before } => self.scan(id, wanted, before),
                Effect::EndScan => self.scanning.store(0, Ordering::Relaxed),
                Effect::Copy(text) => {
                    let text = base64::engine::general_purpose::STANDARD.encode(text);
                    self.screen.send_raw(format!("\x1b]52;c;{text}\x07").as_bytes())?;
                }
                Effect::Suspend => {
                    self.guard.suspend()?;
                    self.screen.redraw()?;
                    let size = self.size()?;
                    effects.extend(update(&mut self.state, size));
                }
                Effect::Redraw => self.screen.redraw()?,
                Effect::Quit => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Reads on a thread that may block.
    fn read(&self, work: impl FnOnce(&dyn Journal) -> Msg + Send + 'static) {
        let (journal, reads) = (self.journal.clone(), self.reads.clone());
        tokio::task::spawn_blocking(move || {
            // A console that has ended does not need it.
            let _ = reads.blocking_send(work(&*journal));
        });
    }

    /// Searches on a thread that may block; the search before it ends.
    fn scan(&self, id: RequestId, wanted: Wanted, before: u64) {
        self.scanning.store(id.0, Ordering::Relaxed);
        let (journal, reads, scanning) = (self.journal.clone(), self.reads.clone(), self.scanning.clone());
        tokio::task::spawn_blocking(move || {
            let goes_on = || scanning.load(Ordering::Relaxed) == id.0 && !reads.is_closed();
            journal.scan(id, &wanted, before, &goes_on, &mut |found| {
                let _ = reads.blocking_send(Msg::Scanned(found));
            });
        });
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
        let (state, theme) = (&self.state, self.themes.named(self.state.worn()));
        self.screen.draw(|frame| view::view(state, theme, frame)).map(|_| ())
    }
}
