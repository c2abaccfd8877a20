//! Starting one program: no shell, no input, a bare environment, bounded output, and an end for all of its processes
//! when the time is over. Observers that read what a program prints and the verbs of `act` that start one call this.

use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

/// Characters of an output that a summary or an error repeats.
const SHOWN: usize = 400;

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its status.
    pub status: ExitStatus,
    /// Standard output, cut where the caller said.
    pub stdout: Vec<u8>,
    /// Standard error, the same.
    pub stderr: Vec<u8>,
}

/// Why there is no end to tell of.
#[derive(Debug)]
pub enum Broken {
    /// It was not started.
    NotStarted(Failure),
    /// It was ended from here, or lost.
    Lost(Failure),
}

/// Ends all processes of a group when it is dropped, unless it has been told that they have ended.
struct Group(Option<rustix::process::Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}

/// Starts `program`, which is called `name`, and waits for its end. Of each output `kept` bytes are kept.
pub async fn run(program: &str, name: &str, args: &[String], within: Duration, kept: u64) -> Result<Ended, Broken> {
    let mut command = Command::new(program);
    command
        .arg0(name)
        .args(args)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        .env("LC_ALL", "C.UTF-8")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let failure = |kind, why: String| Failure::new(kind, why);
    let mut child = command
        .spawn()
        .map_err(|e| Broken::NotStarted(failure(FailureKind::Local, format!("{name} can not be started: {e}"))))?;
    let raw = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    let mut group = Group(raw);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let waiting = async { tokio::join!(child.wait(), taken(stdout, kept), taken(stderr, kept)) };
    match tokio::time::timeout(within, waiting).await {
        Ok((Ok(status), stdout, stderr)) => {
            group.0 = None;
            Ok(Ended { status, stdout, stderr })
        }
        Ok((Err(e), ..)) => Err(Broken::Lost(failure(FailureKind::Local, format!("{name} was lost: {e}")))),
        Err(_) => {
            let why = format!("{name} had not ended within {} s and was ended", within.as_secs_f64());
            Err(Broken::Lost(failure(FailureKind::Timeout, why)))
        }
    }
}

/// What it prints; beyond the limit it is read and thrown away, so that the program does not stand still.
async fn taken(from: Option<impl AsyncRead + Unpin>, kept: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Some(from) = from else { return bytes };
    let mut limited = from.take(kept);
    let _ = limited.read_to_end(&mut bytes).await;
    let _ = tokio::io::copy(&mut limited.into_inner(), &mut tokio::io::sink()).await;
    bytes
}

/// Why a program that ended with an error says it did.
pub fn said(name: &str, ended: &Ended) -> Failure {
    let words = [&ended.stderr, &ended.stdout].into_iter().map(|o| text(o)).find(|t| !t.trim().is_empty());
    let words: String = words.unwrap_or_default().chars().take(SHOWN).collect();
    Failure::new(FailureKind::Protocol, format!("{name} ended with {}: {words}", ended.status))
}

/// Output as text for records: lines stay lines.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).lines().map(sanitize).collect::<Vec<_>>().join("\n")
}
