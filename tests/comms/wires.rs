//! What receives messages: a real mail server, and a receiver of web hooks.

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Longest wait for something that should come soon.
pub const SOON: Duration = Duration::from_mins(1);

/// `aiosmtpd` with STARTTLS.
pub struct Mail {
    pub port: u16,
    child: Child,
    said: Receiver<Value>,
}

impl Mail {
    /// Starts it; nothing where no Python here has `aiosmtpd`, which CI installs.
    pub fn start(dir: &Path) -> Option<Self> {
        let has = |python: &&str| {
            let tried = Command::new(python).args(["-c", "import aiosmtpd"]).output();
            tried.is_ok_and(|o| o.status.success())
        };
        let Some(python) = ["/usr/bin/python3", "python3"].into_iter().find(has) else {
            assert!(std::env::var("QUARTERDECK_LAB").as_deref() != Ok("require"), "no Python here has aiosmtpd");
            println!("SKIP: no Python here has aiosmtpd");
            return None;
        };
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/comms/server.py");
        let mut child = Command::new(python)
            .args([&script, &dir.join("cert.pem"), &dir.join("key.pem")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, said) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = send.send(serde_json::from_str(&line).unwrap());
            }
        });
        let ready: Value = said.recv_timeout(SOON).unwrap();
        let port = u16::try_from(ready["ready"].as_u64().unwrap()).unwrap();
        Some(Self { port, child, said })
    }

    /// The next mail whose text has come.
    pub fn next(&self) -> Value {
        self.said.recv_timeout(SOON).unwrap()
    }

    /// Whether no mail has come that nobody has asked for.
    pub fn is_quiet(&self) -> bool {
        self.said.try_recv().is_err()
    }
}

impl Drop for Mail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request as it came.
#[derive(Debug)]
pub struct Taken {
    pub headers: BTreeMap<String, String>,
    pub body: Value,
}

/// A receiver of web hooks that answers with a status.
pub struct Hooks {
    pub url: String,
    taken: Receiver<Taken>,
}

impl Hooks {
    pub fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (send, taken) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let head: Vec<String> =
                    reader.by_ref().lines().map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
                let headers: BTreeMap<String, String> = head
                    .iter()
                    .filter_map(|l| l.split_once(": "))
                    .map(|(k, v)| (k.to_ascii_lowercase(), v.to_owned()))
                    .collect();
                let Some(length) = headers.get("content-length").and_then(|l| l.parse().ok()) else { continue };
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let _ = send.send(Taken { headers, body: serde_json::from_slice(&body).unwrap() });
                let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
                let _ = (&stream).write_all(answer.as_bytes());
            }
        });
        Self { url, taken }
    }

    pub fn next(&self) -> Taken {
        self.taken.recv_timeout(SOON).unwrap()
    }

    pub fn is_quiet(&self) -> bool {
        self.taken.try_recv().is_err()
    }
}
