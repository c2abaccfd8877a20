//! A wire to a server that is held, or cut, at a chosen moment of the request that changes something. Everything else
//! passes. It counts how often such a request reached the server. The unit tests of `act` use it too (`act::cut`).

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Longest wait for the request.
const LIMIT: Duration = Duration::from_secs(40);

/// How far the request has come when it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// New connections are refused, and those that are there are closed.
    Connect,
    /// It has left the engine and never arrives.
    Request,
    /// It has left the engine, and arrives when that is gone.
    Late,
    /// It has arrived and been answered; nothing of the answer has come back.
    Answer,
    /// Half of the answer has come back.
    Middle,
}

impl At {
    pub const ALL: [Self; 5] = [Self::Connect, Self::Request, Self::Late, Self::Answer, Self::Middle];
}

/// Says of what a client sends whether it is the request; knows what came before on the same connection.
pub type Asks = Arc<dyn Fn(&mut Vec<u8>, &[u8]) -> bool + Send + Sync>;

/// A request whose bytes contain a word.
pub fn says(word: impl Into<Vec<u8>>) -> Asks {
    let word = word.into();
    Arc::new(move |_, bytes| contains(bytes, &word))
}

/// A statement of PostgreSQL's extended protocol that contains a word: it runs with the message that binds it.
pub fn runs(word: &'static str) -> Asks {
    const BIND: u8 = b'B';
    Arc::new(move |named, bytes| {
        let asks = !named.is_empty() && bytes.first() == Some(&BIND);
        if contains(bytes, word.as_bytes()) {
            named.push(1);
        }
        asks
    })
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|part| part == word)
}

#[derive(Debug, Default)]
struct State {
    at: Option<At>,
    held: bool,
    /// What becomes of what is held.
    passes: Option<bool>,
    arrived: usize,
    open: Vec<TcpStream>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    asks: Asks,
}

#[derive(Clone)]
pub struct Wire {
    port: u16,
    shared: Arc<Shared>,
}

impl Wire {
    /// To a port of this machine.
    pub fn to(server: u16, asks: Asks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), asks });
        let all = shared.clone();
        // It ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if all.state.lock().unwrap().at == Some(At::Connect) {
                    all.state.lock().unwrap().held = true;
                    all.changed.notify_all();
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                join(client, server, &all);
            }
        });
        Self { port, shared }
    }

    /// Its own port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on the request is held there.
    pub fn arm(&self, at: At) {
        let mut state = self.shared.state.lock().unwrap();
        (state.at, state.held, state.passes) = (Some(at), false, None);
        if at == At::Connect {
            close(&mut state);
        }
    }

    /// Waits until it is held; whether it was, before `over` said that there is nothing to wait for.
    pub fn holds(&self, mut over: impl FnMut() -> bool) -> bool {
        let deadline = Instant::now() + LIMIT;
        let mut state = self.shared.state.lock().unwrap();
        while !state.held {
            assert!(Instant::now() < deadline, "the request does not come");
            if over() {
                return false;
            }
            state = self.shared.changed.wait_timeout(state, Duration::from_millis(20)).unwrap().0;
        }
        true
    }

    /// Lets what is held go on, or keeps it for ever; the wire passes everything from here on.
    pub fn release(&self, passes: bool) {
        let mut state = self.shared.state.lock().unwrap();
        (state.at, state.passes) = (None, Some(passes));
        if !passes {
            close(&mut state);
        }
        self.shared.changed.notify_all();
    }

    /// How many such requests have reached the server.
    pub fn arrived(&self) -> usize {
        self.shared.state.lock().unwrap().arrived
    }

    /// Begins to count anew.
    pub fn forget(&self) {
        self.shared.state.lock().unwrap().arrived = 0;
    }
}

fn close(state: &mut State) {
    for stream in state.open.drain(..) {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

impl Shared {
    /// Holds a piece of the request or of its answer where the wire is to do so; whether it is to go on.
    fn held(&self, here: &[At]) -> bool {
        let mut state = self.state.lock().unwrap();
        if state.held || !state.at.is_some_and(|at| here.contains(&at)) {
            return true;
        }
        state.held = true;
        self.changed.notify_all();
        loop {
            if let Some(passes) = state.passes {
                return passes;
            }
            state = self.changed.wait(state).unwrap();
        }
    }

    fn is_at(&self, at: At) -> bool {
        let state = self.state.lock().unwrap();
        state.at == Some(at) && !state.held
    }
}

fn join(client: TcpStream, server: TcpStream, all: &Arc<Shared>) {
    let asked = Arc::new(Mutex::new(false));
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    all.state.lock().unwrap().open.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
    let (shared, sent) = (all.clone(), asked.clone());
    std::thread::spawn(move || {
        let (mut buffer, mut before, mut late) = (vec![0; 64 * 1024], Vec::new(), false);
        while let Ok(n @ 1..) = from_client.read(&mut buffer) {
            let asks = (shared.asks)(&mut before, &buffer[..n]);
            late |= asks && shared.is_at(At::Late);
            if asks && !shared.held(&[At::Request, At::Late]) {
                break;
            }
            if asks {
                *sent.lock().unwrap() = true;
            }
            if to_server.write_all(&buffer[..n]).is_err() {
                break;
            }
            if asks {
                shared.state.lock().unwrap().arrived += 1;
            }
        }
        // A server need not carry out what comes from somebody who has hung up: one that is late has not.
        if !late {
            let _ = to_server.shutdown(Shutdown::Write);
        }
    });
    let (shared, mut from_server, mut to_client) = (all.clone(), server, client);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(n @ 1..) = from_server.read(&mut buffer) {
            let asked = *asked.lock().unwrap();
            let first = if asked && shared.is_at(At::Middle) { n / 2 } else { 0 };
            let _ = to_client.write_all(&buffer[..first]);
            if asked && !shared.held(&[At::Answer, At::Middle]) {
                break;
            }
            if to_client.write_all(&buffer[first..n]).is_err() {
                break;
            }
        }
        let _ = to_client.shutdown(Shutdown::Write);
    });
}
