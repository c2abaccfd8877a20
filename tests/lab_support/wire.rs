//! A wire to a PostgreSQL server that lets one statement through and keeps the answer: what a dropped connection in
//! the worst moment looks like. Everything else passes.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// First byte of the protocol message that binds parameters to a statement, to run it.
const BIND: u8 = b'B';

pub struct Wire {
    port: u16,
    swallowed: Arc<AtomicUsize>,
}

impl Wire {
    /// To a port of this machine; answers to statements that contain the word are kept.
    pub fn to(server: u16, word: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let swallowed = Arc::new(AtomicUsize::new(0));
        let counts = swallowed.clone();
        // It ends with the test's process; a connection that is refused by then is nobody's.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                join(client, server, word, &counts);
            }
        });
        Self { port, swallowed }
    }

    /// Its own port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many statements were let through whose answer was kept.
    pub fn swallowed(&self) -> usize {
        self.swallowed.load(Ordering::SeqCst)
    }
}

fn join(client: TcpStream, server: TcpStream, word: &'static str, counts: &Arc<AtomicUsize>) {
    let silent = Arc::new(AtomicBool::new(false));
    let (from_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (hush, counts) = (silent.clone(), counts.clone());
    std::thread::spawn(move || {
        let mut named = false;
        pass(from_client, to_server, |bytes| {
            if named && bytes.first() == Some(&BIND) && !hush.swap(true, Ordering::SeqCst) {
                counts.fetch_add(1, Ordering::SeqCst);
            }
            named |= bytes.windows(word.len()).any(|part| part == word.as_bytes());
            true
        });
    });
    std::thread::spawn(move || pass(server, client, |_| !silent.load(Ordering::SeqCst)));
}

/// Passes bytes on until one end closes; `lets` may keep them back.
fn pass(mut from: TcpStream, mut to: TcpStream, mut lets: impl FnMut(&[u8]) -> bool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(n) = from.read(&mut buffer) {
        if n == 0 || (lets(&buffer[..n]) && to.write_all(&buffer[..n]).is_err()) {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
