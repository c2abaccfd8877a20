//! Signals as messages.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signalled {
    /// HUP or TERM: finish the step in hand, record it, and end. HUP means that the terminal is gone.
    End {
        /// Number of the signal, for the exit code.
        number: i32,
        /// The terminal is gone.
        hangup: bool,
    },
    /// CONT after a stop that we did not cause: the screen is not ours any more.
    Continued,
}

/// The signals that a console answers to. INT is a key in raw mode and is treated as TERM elsewhere.
#[derive(Debug)]
pub struct Signals {
    hup: Signal,
    term: Signal,
    int: Signal,
    cont: Signal,
}

impl Signals {
    /// Starts to listen.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hup: signal(SignalKind::hangup())?,
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            cont: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Signalled {
        tokio::select! {
            _ = self.hup.recv() => Signalled::End { number: 1, hangup: true },
            _ = self.term.recv() => Signalled::End { number: 15, hangup: false },
            _ = self.int.recv() => Signalled::End { number: 2, hangup: false },
            _ = self.cont.recv() => Signalled::Continued,
        }
    }
}
