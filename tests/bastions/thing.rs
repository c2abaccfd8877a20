//! What the steps act on: a web hook that counts how often each number was sent to it, and answers when it may. It counts
//! who looks at it, too.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// How long it takes to answer: what goes wrong meanwhile leaves an outcome that nobody knows.
const LATENCY: Duration = Duration::from_millis(400);

#[derive(Default)]
struct State {
    counts: BTreeMap<u64, u32>,
    /// How often each path was asked for.
    looks: BTreeMap<String, u32>,
    holds: bool,
    /// Requests that have come and are not answered.
    in_hand: u32,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone)]
pub struct Thing {
    pub port: u16,
    shared: Arc<Shared>,
}

impl Thing {
    /// Its threads end with the test's process.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let thing = Self { port: listener.local_addr().unwrap().port(), shared: Arc::default() };
        let shared = thing.shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || answer(stream, &shared));
            }
        });
        thing
    }

    /// How often a number has come.
    pub fn count(&self, number: u64) -> u32 {
        self.shared.state.lock().unwrap().counts.get(&number).copied().unwrap_or(0)
    }

    /// All that has come.
    pub fn counts(&self) -> BTreeMap<u64, u32> {
        self.shared.state.lock().unwrap().counts.clone()
    }

    /// How often each path was asked for.
    pub fn looks(&self) -> BTreeMap<String, u32> {
        self.shared.state.lock().unwrap().looks.clone()
    }

    /// Answers nothing from now on, or everything.
    pub fn hold(&self, holds: bool) {
        self.shared.state.lock().unwrap().holds = holds;
        self.shared.changed.notify_all();
    }

    /// Waits until something has come that is not answered yet.
    pub fn is_busy(&self, longest: Duration) {
        let idle = |s: &mut State| s.in_hand == 0;
        drop(self.shared.changed.wait_timeout_while(self.shared.state.lock().unwrap(), longest, idle).unwrap());
    }

    /// Waits until a number has come.
    pub fn comes(&self, number: u64, longest: Duration) {
        let state = self.shared.state.lock().unwrap();
        let missing = |s: &mut State| !s.counts.contains_key(&number);
        let waited = self.shared.changed.wait_timeout_while(state, longest, missing).unwrap();
        assert!(!waited.1.timed_out(), "{number} never came");
    }
}

fn answer(mut stream: TcpStream, shared: &Shared) {
    let mut from = BufReader::new(stream.try_clone().unwrap());
    let (mut posts, mut measures, mut length) = (false, false, 0);
    for n in 0.. {
        let mut line = String::new();
        if from.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if n == 0 {
            posts = line.starts_with("POST ");
            measures = line.starts_with("GET /metrics");
            if let Some(path) = line.strip_prefix("GET ").and_then(|l| l.split(' ').next()) {
                *shared.state.lock().unwrap().looks.entry(path.to_owned()).or_default() += 1;
            }
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    if from.read_exact(&mut body).is_err() {
        return;
    }
    if posts {
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let mut state = shared.state.lock().unwrap();
        *state.counts.entry(body["number"].as_u64().unwrap()).or_default() += 1;
        shared.changed.notify_all();
        state.in_hand += 1;
        drop(shared.changed.wait_while(state, |s| s.holds).unwrap());
        std::thread::sleep(LATENCY);
        shared.state.lock().unwrap().in_hand -= 1;
    }
    // What a Traefik says that has served nobody yet.
    let said = if measures { "traefik_config_reloads_total 1\n" } else { "{}" };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", said.len());
    let _ = stream.write_all((head + said).as_bytes());
}
