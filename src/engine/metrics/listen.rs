//! The server of the measures: HTTP/1.1 on the loopback, `GET /metrics` and nothing else, bounded in bytes, time and
//! connections. It only reads what the engine publishes anyway, so that asking costs the engine nothing.

use super::Process;
use super::table::{self, View};
use crate::engine::client::Client;
use crate::engine::counters::Counters;
use crate::journal::Status;
use jiff::Timestamp;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// Connections served at a time; others wait.
const AT_ONCE: usize = 4;
/// Time allowed for one, from its first byte to the answer.
const WITHIN: Duration = Duration::from_secs(5);
/// Longest head.
const HEAD: usize = 8 << 10;
/// Pause after a connection that could not be taken: out of descriptors, most likely.
const PAUSE: Duration = Duration::from_millis(100);
/// What the answer is (`OpenMetrics` 1.0).
const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The engine.
    pub client: Client,
    /// Its journal.
    pub journal: watch::Receiver<Status>,
    /// Where that lies.
    pub dir: PathBuf,
    /// What it counts.
    pub counters: Arc<Counters>,
}

impl Watched {
    fn view(&self) -> View {
        View {
            snapshot: self.client.snapshot(),
            beat: *self.client.beat.borrow(),
            journal: self.journal.borrow().clone(),
            counters: self.counters.clone(),
            process: Process::now(&self.dir),
            tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks() as u64,
            now: Timestamp::now(),
        }
    }
}

/// The listening end, which ends with it.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens; port 0 takes a free one. Must be called on the runtime.
pub fn listen(address: SocketAddr, watched: Watched) -> io::Result<Server> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let address = listener.local_addr()?;
    Ok(Server { address, task: tokio::spawn(serve(listener, Arc::new(watched))) })
}

async fn serve(listener: TcpListener, watched: Arc<Watched>) {
    let turnstile = Arc::new(Semaphore::new(AT_ONCE));
    while let Ok(turn) = turnstile.clone().acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let watched = watched.clone();
        tokio::spawn(async move {
            let _turn = turn;
            let _ = tokio::time::timeout(WITHIN, answer(stream, &watched)).await;
        });
    }
}

async fn answer(mut stream: TcpStream, watched: &Watched) -> io::Result<()> {
    let (code, kind, body) = match asked(&mut stream).await? {
        Ok(()) => match table::written(watched.view()) {
            Ok(text) => ("200 OK", KIND, text),
            Err(_) => ("500 Internal Server Error", "text/plain", "the measures can not be written down\n".to_owned()),
        },
        Err((code, words)) => (code, "text/plain", format!("{words}\n")),
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {code}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

type Refusal = (&'static str, &'static str);

/// Reads the head of a request, and says what is wrong with it.
async fn asked(stream: &mut TcpStream) -> io::Result<Result<(), Refusal>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(judged) = judge(&bytes) {
            return Ok(judged);
        }
        if bytes.len() > HEAD {
            return Ok(Err(("431 Request Header Fields Too Large", "the head is longer than 8 KiB")));
        }
        let mut chunk = [0_u8; 2048];
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            return Ok(Err(("400 Bad Request", "the request breaks off")));
        }
        bytes.extend_from_slice(chunk.get(..read).unwrap_or_default());
    }
}

/// What a head asks for, once it is whole.
fn judge(bytes: &[u8]) -> Option<Result<(), Refusal>> {
    let mut headers = [httparse::EMPTY_HEADER; 48];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) => return None,
        Ok(httparse::Status::Complete(_)) => {}
        Err(_) => return Some(Err(("400 Bad Request", "the head is no HTTP/1.1"))),
    }
    // A page in somebody's browser that resolves its own name to this machine has another host than the loopback.
    let host = request.headers.iter().find(|h| h.name.eq_ignore_ascii_case("host")).map(|h| h.value);
    if !host.is_some_and(is_loopback) {
        return Some(Err(("421 Misdirected Request", "the host is not the loopback")));
    }
    Some(match (request.method, request.path) {
        (Some("GET"), Some("/metrics")) => Ok(()),
        (_, Some("/metrics")) => Err(("405 Method Not Allowed", "measures are asked for by GET")),
        _ => Err(("404 Not Found", "measures are at /metrics")),
    })
}

fn is_loopback(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let is = |name: &str| name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.parse::<SocketAddr>().is_ok_and(|a| a.ip().is_loopback())
        || is(bare)
        || host.rsplit_once(':').is_some_and(|(name, port)| port.parse::<u16>().is_ok() && name == "localhost")
}
