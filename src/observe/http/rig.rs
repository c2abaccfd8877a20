//! What tests of adapters share: servers that the test starts itself, and waiting for a condition.

use crate::domain::facts::{Facts, MeasuredFacts};
use crate::domain::ports::Clock;
use crate::observe::poll::Poll;
use jiff::Timestamp;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A clock that a test sets.
pub(crate) struct SetClock(Mutex<Timestamp>);

impl SetClock {
    /// One that stands at a moment.
    pub(crate) fn at(moment: Timestamp) -> Arc<Self> {
        Arc::new(Self(Mutex::new(moment)))
    }

    /// Sets it.
    pub(crate) fn set(&self, moment: Timestamp) {
        *self.0.lock().unwrap() = moment;
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// What an observer of measured values says, once.
pub(crate) async fn measured(observer: &mut impl Poll) -> MeasuredFacts {
    match observer.poll().await.unwrap() {
        Facts::Measured(facts) => facts,
        other => panic!("{other:?}"),
    }
}

/// Says why a test can not run here; with `QUARTERDECK_LAB=require` that is a failure.
pub(crate) fn skip(test: &str, reason: &str) {
    assert!(
        std::env::var("QUARTERDECK_LAB").as_deref() != Ok("require"),
        "{test} needs what this machine has not: {reason}"
    );
    eprintln!("SKIP {test}: {reason}");
}

/// A program on the PATH.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(name)).find(|p| p.is_file())
}

/// Waits until `look` says something, at most `limit`; else fails with `what`.
pub(crate) async fn until<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let from = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(from.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// Free loopback ports. Each is left in `TIME_WAIT`: for a minute the kernel gives it to nobody else, while a server
/// that binds it by number with `SO_REUSEADDR` gets it at once.
pub(crate) fn ports<const N: usize>() -> [u16; N] {
    let held: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| {
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        // The side that closes first keeps the port.
        drop(listener.accept().unwrap());
        drop(client);
        address.port()
    })
}

/// Makes `cert.pem` and `key.pem` in a directory; false where there is no openssl.
pub(crate) fn certificate(dir: &Path, days: i64, names: &[&str]) -> bool {
    let Some(openssl) = program("openssl") else { return false };
    let names: Vec<String> = names.iter().map(|n| format!("DNS:{n}")).collect();
    let made = Command::new(openssl)
        .current_dir(dir)
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem"])
        .args(["-out", "cert.pem", "-days", &days.to_string(), "-subj", "/CN=t017.example"])
        .args(["-addext", &format!("subjectAltName={}", names.join(","))])
        // An authority may not stand for itself, so it is none.
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    true
}

/// A real server of TLS 1.2 and nothing newer, which answers each GET, with its certificate in `cert.pem`, and its port; `None`
/// where there is no openssl.
pub(crate) async fn tls12(dir: &Path) -> Option<(Server, u16)> {
    if !certificate(dir, 9, &["localhost"]) {
        return None;
    }
    let [port] = ports();
    let mut command = Command::new(program("openssl")?);
    command.current_dir(dir).args(["s_server", "-tls1_2", "-www", "-cert", "cert.pem", "-key", "key.pem"]);
    command.args(["-accept", &format!("127.0.0.1:{port}")]);
    let server = Server::start(&mut command, &dir.join("s_server.log"));
    until("openssl listens", Duration::from_secs(20), async || TcpStream::connect(("127.0.0.1", port)).ok()).await;
    Some((server, port))
}

/// A process that ends with the test.
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts it with its output in `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let out = std::fs::File::create(log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        Self { child, log: log.to_owned() }
    }

    /// Whether it ended by itself.
    pub(crate) fn ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// The last lines of its log.
    pub(crate) fn log(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// Sends a signal to it.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that answers each connection by a function of the first line and the headers, until it is dropped.
pub(crate) struct Tiny {
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Tiny {
    /// Hands each connection to `answer` on a thread of its own.
    pub(crate) fn raw(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(answer);
        // The thread ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answer = answer.clone();
                std::thread::spawn(move || answer(stream));
            }
        });
        Self { address }
    }

    /// Waits for a whole head of HTTP and answers these bytes.
    pub(crate) fn bytes(answer: &'static [u8]) -> Self {
        Self::raw(move |stream| {
            if head(&stream).is_some() {
                send(&stream, answer);
            }
        })
    }

    /// Answers HTTP: `answer` gets method and path, then the header lines, and gives status and body.
    pub(crate) fn http(answer: impl Fn(&str, &[String]) -> (u16, String) + Send + Sync + 'static) -> Self {
        Self::raw(move |stream| {
            let Some((first, head)) = head(&stream) else { return };
            let (status, body) = answer(&first, &head);
            let length = body.len();
            let text = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
            send(&stream, text.as_bytes());
        })
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn head(stream: &TcpStream) -> Option<(String, Vec<String>)> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    Some((first, lines.map_while(Result::ok).take_while(|l| !l.is_empty()).collect()))
}

/// Writes, and closes only after the other side has: an early close would reset what it has not read.
pub(crate) fn send(mut stream: &TcpStream, bytes: &[u8]) {
    if stream.write_all(bytes).is_ok() && stream.shutdown(std::net::Shutdown::Write).is_ok() {
        let _ = stream.read_to_end(&mut Vec::new());
    }
}
