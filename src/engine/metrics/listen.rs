//! The server of the measures: HTTP/1.1 on the loopback, `GET /metrics` and nothing else, bounded in bytes, time and
//! connections. It only reads what the engine publishes anyway, so that asking costs the engine nothing.

use super::Process;
use super::table::{self, View};
use crate::engine::client::Client;
use crate::engine::counters::Counters;
use crate::journal::Status;
use crate::observe::http::call::{Refusal, answer, head, header};
use jiff::Timestamp;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
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
            let _ = tokio::time::timeout(WITHIN, serve_one(stream, &watched)).await;
        });
    }
}

async fn serve_one(mut stream: TcpStream, watched: &Watched) -> io::Result<()> {
    let said = match head(&mut stream, (HEAD, "the head is longer than 8 KiB"), judge).await {
        Ok(_) => table::written(watched.view()).map_err(|_| (500, "the measures can not be written down")),
        Err(refusal) => Err(refusal),
    };
    match said {
        Ok(text) => answer(&mut stream, "200 OK", KIND, &text).await,
        Err((code, words)) => {
            let status = http::StatusCode::from_u16(code).map_or_else(|_| code.to_string(), |s| s.to_string());
            answer(&mut stream, &status, "text/plain", &format!("{words}\n")).await
        }
    }
}

/// Whether it asks for the measures, and from here.
fn judge(request: &httparse::Request<'_, '_>) -> Result<(), Refusal> {
    // A page in somebody's browser that resolves its own name to this machine has another host than the loopback.
    if !header(request, "host").is_some_and(is_loopback) {
        return Err((421, "the host is not the loopback"));
    }
    match (request.method, request.path) {
        (Some("GET"), Some("/metrics")) => Ok(()),
        (_, Some("/metrics")) => Err((405, "measures are asked for by GET")),
        _ => Err((404, "measures are at /metrics")),
    }
}

fn is_loopback(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let is = |name: &str| name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.parse::<SocketAddr>().is_ok_and(|a| a.ip().is_loopback())
        || is(bare)
        || host.rsplit_once(':').is_some_and(|(name, port)| port.parse::<u16>().is_ok() && name == "localhost")
}
