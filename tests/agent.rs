//! A person's ssh-agent: the real one, with keys of every kind, a certificate, a key that may only log in to named
//! hosts, a locked agent, and none.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "support/agent.rs"]
mod agent;

use agent::SshAgent;
use quarterdeck::attest::agent::{Agent, AgentError, Held};
use quarterdeck::policy::sshsig::SshSig;
use std::fs;
use std::process::{Command, Stdio};

const NAMESPACE: &str = "approval@quarterdeck";

fn client(agent: &SshAgent) -> Agent {
    Agent::at(&agent.socket())
}

/// Whether `ssh-keygen -Y verify` takes a signature under these allowed signers.
fn verifies(agent: &SshAgent, allowed: &str, armored: &str, message: &[u8]) -> bool {
    fs::write(agent.path().join("allowed"), allowed).unwrap();
    fs::write(agent.path().join("sig"), armored).unwrap();
    fs::write(agent.path().join("message"), message).unwrap();
    let status = Command::new("ssh-keygen")
        .args(["-Y", "verify", "-f", "allowed", "-I", "ines", "-n", NAMESPACE, "-s", "sig"])
        .current_dir(agent.path())
        .stdin(fs::File::open(agent.path().join("message")).unwrap())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    status.success()
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
    let keys = client(&agent).keys().await.unwrap();
    assert_eq!(keys.len(), 4);
    for key in &keys {
        let armored = client(&agent).sign(key, NAMESPACE, message).await.unwrap();
        let allowed = format!("ines {}\n", key.key.line());
        assert!(verifies(&agent, &allowed, &armored, message), "{}", key.name());
        assert!(!verifies(&agent, &allowed, &armored, b"something else"), "{}", key.name());
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
    let keys = client(&agent).keys().await.unwrap();
    assert_eq!(keys.len(), 2, "the key and its certificate");
    let held = keys.iter().find(|k| k.certificate.is_some()).unwrap();
    let armored = client(&agent).sign(held, NAMESPACE, b"approved").await.unwrap();
    let authority = fs::read_to_string(agent.path().join("ca.pub")).unwrap();
    assert!(verifies(&agent, &format!("ines cert-authority {authority}"), &armored, b"approved"));
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
    let keys = client(&agent).keys().await.unwrap();
    let error = client(&agent).sign(named(&keys, "bound"), NAMESPACE, b"approved").await.unwrap_err();
    assert!(matches!(error, AgentError::Constrained(_)), "{error}");
    assert!(error.to_string().contains("ssh-add -h") && error.to_string().contains("request export"), "{error}");
    client(&agent).sign(named(&keys, "free"), NAMESPACE, b"approved").await.unwrap();
    agent.run("ssh-add", &["-q", "-d", "free"]);
    let error = client(&agent).sign(named(&keys, "free"), NAMESPACE, b"approved").await.unwrap_err();
    assert!(matches!(error, AgentError::Locked(_)), "{error}");
    agent.run("ssh-add", &["-q", "-D"]);
    let error = client(&agent).keys().await.unwrap_err();
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
