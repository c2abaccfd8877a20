//! A real ssh-agent with keys of its own: who approves, logs in or signs.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "shared by several test programs, each of which uses a part; tests fail by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The agent, in a directory of its own with its keys; it ends when it is dropped.
pub struct SshAgent {
    child: Child,
    dir: TempDir,
}

impl Drop for SshAgent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl SshAgent {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent");
        let child = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            assert!(began.elapsed() < Duration::from_secs(10), "ssh-agent does not listen");
            std::thread::yield_now();
        }
        Self { child, dir }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn socket(&self) -> PathBuf {
        self.path().join("agent")
    }

    /// A program that must end well, in the directory and with the agent; what it printed.
    pub fn run(&self, program: &str, args: &[&str]) -> String {
        let output = Command::new(program)
            .args(args)
            .current_dir(self.path())
            .env("SSH_AUTH_SOCK", self.socket())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Makes a pair of keys of this name.
    pub fn pair(&self, name: &str, args: &[&str]) {
        self.run("ssh-keygen", &[&["-q", "-N", "", "-C", name, "-f", name], args].concat());
    }

    /// Makes an Ed25519 key and holds it; its public line.
    pub fn holding(&self, name: &str) -> String {
        self.pair(name, &["-t", "ed25519"]);
        self.run("ssh-add", &["-q", name]);
        std::fs::read_to_string(self.path().join(format!("{name}.pub"))).unwrap().trim().to_owned()
    }
}
