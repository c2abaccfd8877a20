//! An API server of a few lines for tests of what no real one can be made to do.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What it does with a request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Answers and goes on.
    Answer(u16, String),
    /// Writes these bytes and closes the connection.
    Raw(Vec<u8>),
    /// Answers a watch with these lines and leaves it open.
    Watch(Vec<String>),
    /// Answers a watch with these lines and ends it.
    Ended(Vec<String>),
    /// Never answers.
    Silence,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// `GET /path?query`.
    pub(crate) line: String,
    /// Headers, as they came.
    pub(crate) head: String,
    /// Body.
    pub(crate) body: String,
}

/// A server on a free port of the loopback interface.
pub(crate) struct Fake {
    /// A kubeconfig for it.
    pub(crate) kubeconfig: PathBuf,
    /// Requests so far.
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
    _dir: TempDir,
}

impl Fake {
    /// Starts it with a function from request to reply.
    pub(crate) async fn start(reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let kubeconfig = dir.path().join("kubeconfig");
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: c, users: [],
              clusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}],
              contexts: [{{name: c, context: {{cluster: c, user: ''}}}}]}}"
        );
        std::fs::write(&kubeconfig, text).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, reply) = (Arc::clone(&asked), Arc::new(reply));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, reply) = (Arc::clone(&log), Arc::clone(&reply));
                tokio::spawn(async move {
                    let mut stream = stream;
                    while let Some(asked) = request(&mut stream).await {
                        log.lock().unwrap().push(asked.clone());
                        if !answer(&mut stream, reply(&asked)).await {
                            return;
                        }
                    }
                });
            }
        });
        Self { kubeconfig, asked, _dir: dir }
    }

    /// Request lines so far that contain a text.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|a| a.line.contains(text)).count()
    }
}

async fn request(stream: &mut TcpStream) -> Option<Asked> {
    let mut read = Vec::new();
    loop {
        let mut byte = [0; 1];
        if stream.read(&mut byte).await.ok()? == 0 {
            return None;
        }
        read.extend(byte);
        if read.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    let text = String::from_utf8(read).ok()?.to_ascii_lowercase();
    let (line, head) = text.split_once("\r\n")?;
    let length = head.split("content-length: ").nth(1).and_then(|l| l.lines().next()?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let line = line.trim_end_matches(" http/1.1").to_owned();
    Some(Asked { line, head: head.to_owned(), body: String::from_utf8(body).ok()? })
}

/// Whether the connection goes on.
async fn answer(stream: &mut TcpStream, reply: Reply) -> bool {
    match reply {
        Reply::Answer(code, body) => {
            let text = format!("HTTP/1.1 {code} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(text.as_bytes()).await.is_ok()
        }
        Reply::Raw(bytes) => {
            let _ = stream.write_all(&bytes).await;
            false
        }
        Reply::Watch(lines) => {
            write_lines(stream, &lines).await;
            // Open until the client goes.
            let _ = stream.read(&mut [0; 1]).await;
            false
        }
        Reply::Ended(lines) => {
            write_lines(stream, &lines).await;
            stream.write_all(b"0\r\n\r\n").await.is_ok()
        }
        Reply::Silence => {
            let _ = stream.read(&mut [0; 1]).await;
            false
        }
    }
}

async fn write_lines(stream: &mut TcpStream, lines: &[String]) {
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    for line in lines {
        let chunk = format!("{:x}\r\n{line}\n\r\n", line.len() + 1);
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            return;
        }
    }
}
