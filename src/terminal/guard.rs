//! Takes the terminal and gives it back, whatever happens: on drop, on panic, on a signal, on suspend.

use super::outer::{KEEP_TITLE, RESTORE_TITLE};
use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste};
use crossterm::execute;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use std::io::{self, Write as _};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Asks for reports of clicks and of the wheel alone, in the form that has no greatest column (SGR), as xterm's control
/// sequences have it (1000, 1006). What crossterm asks for reports every movement too: bytes over a slow link that nobody
/// heeds, and for each a chance to be cut in half, which crossterm waits for the end of (crossterm-rs/crossterm#993, #1104).
const CLICKS: &str = "\x1b[?1000h\x1b[?1006h";

/// Whether the terminal is ours at the moment; read by the panic hook, which can not see the guard.
static TAKEN: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();
/// Whether any part of the program has panicked since the terminal was first taken.
static PANICKED: AtomicBool = AtomicBool::new(false);
/// Whether the window had a title of its own, which is kept by the terminal.
static TITLED: AtomicBool = AtomicBool::new(false);
static FELL: Notify = Notify::const_new();

/// Waits until any part of the program panics, also one whose panic its runtime catches: the console must end then,
/// because the terminal has been given back and because nobody knows what the lost part still owed.
pub async fn panicked() {
    while !PANICKED.load(Ordering::SeqCst) {
        FELL.notified().await;
    }
}

/// Whether the terminal is ours, so that something may be drawn.
pub fn is_taken() -> bool {
    TAKEN.load(Ordering::SeqCst)
}

/// The terminal in raw mode on the alternate screen, for as long as this lives.
#[derive(Debug)]
pub struct Guard {
    mouse: bool,
    title: bool,
}

impl Guard {
    /// Takes the terminal, with the mouse and the title of the window where they are wanted. From here on a panic gives it back before its message is printed.
    pub fn enter(mouse: bool, title: bool) -> io::Result<Self> {
        HOOK.call_once(|| {
            let print = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                restore();
                print(info);
                PANICKED.store(true, Ordering::SeqCst);
                FELL.notify_one();
            }));
        });
        let guard = Self { mouse, title };
        guard.take()?;
        Ok(guard)
    }

    fn take(&self) -> io::Result<()> {
        enable_raw_mode()?;
        crate::notes::keep();
        TAKEN.store(true, Ordering::SeqCst);
        let mut out = io::stdout();
        execute!(out, EnterAlternateScreen, EnableBracketedPaste, Hide)?;
        if self.mouse {
            out.write_all(CLICKS.as_bytes())?;
            out.flush()?;
        }
        if self.title {
            out.write_all(KEEP_TITLE.as_bytes())?;
            out.flush()?;
            TITLED.store(true, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Gives the terminal to another program; [`Self::retake`] takes it again.
    pub fn give(&self) {
        restore();
    }

    /// Gives the terminal back, stops this process as Ctrl-Z does, and takes it again when it goes on.
    pub fn suspend(&self) -> io::Result<()> {
        restore();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)?;
        self.take()
    }

    /// Takes the terminal again after it was lost to a `SIGCONT` that we did not cause.
    pub fn retake(&self) -> io::Result<()> {
        self.take()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back if it is ours. Errors are of no use here: the terminal may be gone.
pub fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let mut out = io::stdout();
        if TITLED.swap(false, Ordering::SeqCst) {
            let _ = out.write_all(RESTORE_TITLE.as_bytes());
        }
        let _ = execute!(out, DisableMouseCapture, DisableBracketedPaste, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
        let _ = out.flush();
        crate::notes::tell();
    }
}
