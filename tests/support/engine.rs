//! An engine that is served for a test, and ends with it.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "shared by several test programs, each of which uses a part; tests fail by panicking"
)]

use crate::support::{SOON, program};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Instant;

pub struct Served {
    pub socket: PathBuf,
    child: Child,
    said: Option<BufReader<ChildStderr>>,
}

/// The socket of the engine whose journal lies in a home directory.
pub fn socket_of(home: &Path) -> PathBuf {
    home.join("journal/engine.sock")
}

impl Served {
    /// Starts an engine and waits until it says that it is ready.
    pub fn start(home: &Path, args: &[&str]) -> Self {
        Self::start_with(home, args, &[])
    }

    pub fn start_with(home: &Path, args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::try_start(home, args, env).unwrap_or_else(|said| panic!("the engine ended before it was ready: {said}"))
    }

    /// The same; what it said where it ended instead.
    pub fn try_start(home: &Path, args: &[&str], env: &[(&str, &str)]) -> Result<Self, String> {
        let child = Command::new(program())
            .args(args)
            .arg("serve")
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .env("HOME", home)
            .env("USER", "mara")
            .env("LANG", "C.UTF-8")
            .envs(env.iter().copied())
            .current_dir(home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut served = Self { socket: PathBuf::new(), child, said: None };
        let mut said = BufReader::new(served.child.stderr.take().unwrap());
        let mut all = String::new();
        loop {
            let mut line = String::new();
            let n = said.read_line(&mut line).unwrap();
            all += &line;
            if n == 0 {
                return Err(all);
            }
            if let Some((_, rest)) = line.split_once(") at ").filter(|_| line.contains("serving")) {
                served.socket = rest.rsplit_once(", pid ").unwrap().0.into();
                served.said = Some(said);
                return Ok(served);
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Ends it as a power failure of the process would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it by a signal; answers the exit code and what it said.
    pub fn ends_by(mut self, signal: Signal) -> (Option<i32>, String) {
        self.signal(signal);
        let deadline = Instant::now() + SOON;
        let mut said = String::new();
        self.said.take().unwrap().read_to_string(&mut said).unwrap();
        let status = self.child.wait().unwrap();
        assert!(Instant::now() < deadline, "{said}");
        (status.code(), said)
    }

    /// Ends it in good order.
    pub fn ends(self) {
        let (code, said) = self.ends_by(Signal::TERM);
        assert_eq!(code, Some(0), "{said}");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
