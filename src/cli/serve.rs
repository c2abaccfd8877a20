//! `serve`: an engine without a screen. It answers at its socket until HUP, TERM or INT; then it starts nothing new,
//! waits for the step in hand, records the outcome and ends.

use super::args::{Global, Play};
use super::opening::{self, Opened};
use super::output::{Error, Exit};
use super::session;
use crate::terminal::signals::{Signalled, Signals};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// How the engine came, in records; there is no console with it.
const VIA: &str = "serve";

/// Runs it.
pub fn run(global: &Global) -> Result<Exit, Error> {
    session::runtime()?.block_on(async {
        // Before anything is opened, so that a signal while it opens ends it in good order too.
        let mut signals = Signals::listen().map_err(Error::failed)?;
        let opened = match &global.drill {
            Some(scenario) => opening::drill(&Play { scenario: Some(scenario.clone()), ..Play::default() }, VIA)?,
            None => opening::live(&session::load(global)?, session::live_mode(global), true, VIA)?,
        };
        let ended = serve(&opened, &mut signals).await;
        notify("STOPPING=1\nSTATUS=waiting for the step in hand");
        opened.end().await;
        ended
    })
}

async fn serve(opened: &Opened, signals: &mut Signals) -> Result<Exit, Error> {
    let snapshot = opened.running.client.snapshot();
    let socket = opened.home.socket.display();
    let pid = std::process::id();
    crate::note!("quarterdeck: serving {} ({}) at {socket}, pid {pid}", snapshot.estate.name, snapshot.mode);
    if let Some(address) = opened.metrics() {
        crate::note!("quarterdeck: measures at http://{address}/metrics");
    }
    notify(&format!("READY=1\nSTATUS=serving {} ({})", snapshot.estate.name, snapshot.mode));
    let mut beat = opened.running.client.beat.clone();
    loop {
        tokio::select! {
            signal = signals.next() => if let Signalled::End { number, .. } = signal {
                crate::note!("quarterdeck: signal {number}: starting nothing new, waiting for the step in hand");
                return Ok(Exit::Done);
            },
            alive = beat.changed() => if alive.is_err() {
                return Err(Error::Failed("the engine has failed, as said above; the next start recovers".into()));
            },
        }
    }
}

/// Tells systemd, where it asks (`sd_notify(3)`). A service manager that does not listen is no reason to stop.
fn notify(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let bytes = path.as_encoded_bytes();
    let address = match bytes.split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name),
        Some((b'/', _)) => SocketAddr::from_pathname(&path),
        _ => return,
    };
    if let (Ok(address), Ok(socket)) = (address, UnixDatagram::unbound()) {
        let _ = socket.send_to_addr(state.as_bytes(), &address);
    }
}
