//! A person's ssh-agent: the real one, with keys of every kind, a certificate, a key that may only log in to named
//! hosts, a locked agent, and none.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use quarterdeck::attest::agent::{Agent, AgentError, Held};
use quarterdeck::policy::sshsig::SshSig;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const NAMESPACE: &str = "approval@quarterdeck";

/// The real agent, until the end of the test.
struct SshAgent {
    child: Child,
    dir: tempfile::TempDir,
}

impl Drop for SshAgent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl SshAgent {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent");
        let child = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let began = std::time::Instant::now();
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            assert!(began.elapsed() < Duration::from_secs(10), "ssh-agent does not listen");
            std::thread::yield_now();
        }
        Self { child, dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn run(&self, program: &str, args: &[&str]) -> String {
        let output = Command::new(program)
            .args(args)
            .current_dir(self.path())
            .env("SSH_AUTH_SOCK", self.path().join("agent"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn pair(&self, name: &str, args: &[&str]) {
        self.run("ssh-keygen", &[&["-q", "-N", "", "-C", name, "-f", name], args].concat());
    }

    fn agent(&self) -> Agent {
        Agent::at(&self.path().join("agent"))
    }

    /// Whether `ssh-keygen -Y verify` takes a signature under these allowed signers.
    fn verifies(&self, allowed: &str, armored: &str, message: &[u8]) -> bool {
        fs::write(self.path().join("allowed"), allowed).unwrap();
        fs::write(self.path().join("sig"), armored).unwrap();
        fs::write(self.path().join("message"), message).unwrap();
        let status = Command::new("ssh-keygen")
            .args(["-Y", "verify", "-f", "allowed", "-I", "ines", "-n", NAMESPACE, "-s", "sig"])
            .current_dir(self.path())
            .stdin(fs::File::open(self.path().join("message")).unwrap())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        status.success()
    }
}

fn named<'a>(keys: &'a [Held], comment: &str) -> &'a Held {
    keys.iter().find(|k| k.comment == comment).unwrap()
}

#[tokio::test]
async fn it_signs_with_each_kind_of_key_and_ssh_keygen_takes_the_signature() {
    let agent = SshAgent::start();
    let message = b"what is approved";
    for (name, args) in [
        ("ed25519", ["-t", "ed25519", "-b", "256"]),
        ("p256", ["-t", "ecdsa", "-b", "256"]),
        ("p384", ["-t", "ecdsa", "-b", "384"]),
        ("rsa", ["-t", "rsa", "-b", "2048"]),
        // Of a kind that is not accepted: it is left out of the list and hinders nothing.
        ("p521", ["-t", "ecdsa", "-b", "521"]),
    ] {
        agent.pair(name, &args);
        agent.run("ssh-add", &["-q", name]);
    }
    let keys = agent.agent().keys().await.unwrap();
    assert_eq!(keys.len(), 4);
    for key in &keys {
        let armored = agent.agent().sign(key, NAMESPACE, message).await.unwrap();
        let allowed = format!("ines {}\n", key.key.line());
        assert!(agent.verifies(&allowed, &armored, message), "{}", key.name());
        assert!(!agent.verifies(&allowed, &armored, b"something else"), "{}", key.name());
        SshSig::parse(&armored).unwrap().check(message, NAMESPACE).unwrap();
    }
}

#[tokio::test]
async fn it_signs_with_a_certificate() {
    let agent = SshAgent::start();
    agent.pair("ca", &["-t", "ed25519"]);
    agent.pair("laptop", &["-t", "rsa", "-b", "2048"]);
    agent.run("ssh-keygen", &["-q", "-s", "ca", "-I", "laptop", "-n", "ines", "-V", "-1h:+1h", "laptop.pub"]);
    agent.run("ssh-add", &["-q", "laptop"]);
    let keys = agent.agent().keys().await.unwrap();
    assert_eq!(keys.len(), 2, "the key and its certificate");
    let held = keys.iter().find(|k| k.certificate.is_some()).unwrap();
    let armored = agent.agent().sign(held, NAMESPACE, b"approved").await.unwrap();
    let authority = fs::read_to_string(agent.path().join("ca.pub")).unwrap();
    assert!(agent.verifies(&format!("ines cert-authority {authority}"), &armored, b"approved"));
    assert_eq!(SshSig::parse(&armored).unwrap().certificate().unwrap().principals(), ["ines"]);
}

#[tokio::test]
async fn a_refusal_is_explained() {
    let agent = SshAgent::start();
    for name in ["host", "bound", "free"] {
        agent.pair(name, &["-t", "ed25519"]);
    }
    let host = fs::read_to_string(agent.path().join("host.pub")).unwrap();
    fs::write(agent.path().join("known_hosts"), format!("bastion {host}")).unwrap();
    agent.run("ssh-add", &["-q", "-H", "known_hosts", "-h", "bastion", "bound"]);
    agent.run("ssh-add", &["-q", "free"]);
    let keys = agent.agent().keys().await.unwrap();
    let error = agent.agent().sign(named(&keys, "bound"), NAMESPACE, b"approved").await.unwrap_err();
    assert!(matches!(error, AgentError::Constrained(_)), "{error}");
    assert!(error.to_string().contains("ssh-add -h") && error.to_string().contains("request export"), "{error}");
    agent.agent().sign(named(&keys, "free"), NAMESPACE, b"approved").await.unwrap();
    agent.run("ssh-add", &["-q", "-d", "free"]);
    let error = agent.agent().sign(named(&keys, "free"), NAMESPACE, b"approved").await.unwrap_err();
    assert!(matches!(error, AgentError::Locked(_)), "{error}");
    agent.run("ssh-add", &["-q", "-D"]);
    let error = agent.agent().keys().await.unwrap_err();
    assert!(matches!(error, AgentError::Empty { held: 0 }), "{error}");
    let error = Agent::at(&agent.path().join("nothing")).keys().await.unwrap_err();
    assert!(matches!(error, AgentError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn an_agent_that_talks_nonsense_is_named_and_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let answers: Vec<Vec<u8>> = vec![
        vec![0xff, 0xff, 0xff, 0xff],
        vec![0, 0, 0, 0],
        vec![0, 0, 0, 5, 12, 0xff, 0xff, 0xff, 0xff],
        vec![0, 0, 0, 1, 99],
        vec![0, 0, 0, 9, 12],
    ];
    let count = answers.len();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 5];
            stream.read_exact(&mut asked).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    });
    for _ in 0..count {
        let error = Agent::at(&path).keys().await.unwrap_err();
        assert!(matches!(error, AgentError::Answer(_) | AgentError::Unreachable { .. }), "{error}");
    }
}
