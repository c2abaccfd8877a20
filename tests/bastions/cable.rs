//! The cable between one bastion and one server of the journal: it carries, holds what is on it, or is cut.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// They pass.
    Open,
    /// They wait, and so do those who want to connect.
    Still,
    /// Connections end, and new ones are ended at once.
    Cut,
}

struct State {
    /// Port of the server; another one after a failover.
    to: u16,
    way: Way,
    ends: Vec<TcpStream>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone)]
pub struct Cable {
    pub port: u16,
    shared: Arc<Shared>,
}

impl Cable {
    /// To a port of this machine. Its threads end with the test's process.
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State { to: server, way: Way::Open, ends: Vec::new() };
        let cable = Self { port, shared: Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }) };
        let shared = cable.shared.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || join(near, &shared));
            }
        });
        cable
    }

    /// Changes what becomes of bytes.
    pub fn set(&self, way: Way) {
        let mut state = self.shared.state.lock().unwrap();
        state.way = way;
        if way == Way::Cut {
            for end in state.ends.drain(..) {
                let _ = end.shutdown(Shutdown::Both);
            }
        }
        self.shared.changed.notify_all();
    }

    /// Leads to another server from now on; connections to the old one end.
    pub fn lead_to(&self, server: u16) {
        let mut state = self.shared.state.lock().unwrap();
        state.to = server;
        for end in state.ends.drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    /// Waits while nothing passes; whether it passes then, and to which port.
    fn passes(&self) -> Option<u16> {
        let state = self.changed.wait_while(self.state.lock().unwrap(), |s| s.way == Way::Still).unwrap();
        (state.way == Way::Open).then_some(state.to)
    }
}

fn join(near: TcpStream, shared: &Arc<Shared>) {
    let Some(far) = shared.passes().and_then(|port| TcpStream::connect(("127.0.0.1", port)).ok()) else { return };
    let copies = || Some([near.try_clone().ok()?, far.try_clone().ok()?]);
    let Some(ends) = copies() else { return };
    shared.state.lock().unwrap().ends.extend(ends);
    let Some([back_to, back_from]) = copies() else { return };
    let other = shared.clone();
    std::thread::spawn(move || carry(back_from, back_to, &other));
    carry(near, far, shared);
}

fn carry(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let mut bytes = [0; 16 << 10];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        if shared.passes().is_none() || to.write_all(&bytes[..n]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
