//! The second person: a real ssh-agent with a key of her own, a home of her own, and `quarterdeck approve`.

use crate::support::{SOON, run_with};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;

pub struct Approver {
    home: TempDir,
    agent: Child,
}

impl Approver {
    /// Makes her key and starts her agent.
    pub fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        must(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "ines", "-f"]).arg(at("key")));
        let agent =
            Command::new("ssh-agent").args(["-D", "-a"]).arg(at("agent")).stdout(Stdio::null()).spawn().unwrap();
        let ines = Self { home, agent };
        let deadline = Instant::now() + SOON;
        while std::os::unix::net::UnixStream::connect(ines.home().join("agent")).is_err() {
            assert!(Instant::now() < deadline, "ssh-agent does not listen");
            std::thread::yield_now();
        }
        let key = ines.home().join("key");
        must(Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", ines.home().join("agent")));
        ines
    }

    fn home(&self) -> &Path {
        self.home.path()
    }

    /// Her entry in the roster.
    pub fn entry(&self) -> String {
        let key = std::fs::read_to_string(self.home().join("key.pub")).unwrap();
        format!("[[person]]\nname = \"ines\"\nuser = \"ines\"\nroles = [\"approver\"]\nkeys = [\"{}\"]\n", key.trim())
    }

    /// Signs a request, as what its digest says that it is.
    pub fn approves(&self, config: &str, request: &str, digest: &str) {
        let agent = self.home().join("agent").display().to_string();
        let words = ["--config", config, "approve", request, "--role", "approver", "--digest", digest];
        let (code, out, err) = run_with(self.home(), &words, &[("SSH_AUTH_SOCK", &agent), ("USER", "ines")]);
        assert_eq!(code, 0, "{out}{err}");
    }
}

impl Drop for Approver {
    fn drop(&mut self) {
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}

fn must(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
