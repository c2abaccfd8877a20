//! The second person: a real ssh-agent with a key of her own, a home of her own, and `quarterdeck approve`.

#[path = "../support/agent.rs"]
mod agent;

use crate::support::run_with;
use agent::SshAgent;

pub struct Approver {
    agent: SshAgent,
    key: String,
}

impl Approver {
    /// Makes her key and starts her agent.
    pub fn new() -> Self {
        let agent = SshAgent::start();
        let key = agent.holding("ines");
        Self { agent, key }
    }

    /// Her entry in the roster.
    pub fn entry(&self) -> String {
        format!("[[person]]\nname = \"ines\"\nuser = \"ines\"\nroles = [\"approver\"]\nkeys = [\"{}\"]\n", self.key)
    }

    /// Signs a request, as what its digest says that it is.
    pub fn approves(&self, config: &str, request: &str, digest: &str) {
        let socket = self.agent.socket().display().to_string();
        let words = ["--config", config, "approve", request, "--role", "approver", "--digest", digest];
        let (code, out, err) = run_with(self.agent.path(), &words, &[("SSH_AUTH_SOCK", &socket), ("USER", "ines")]);
        assert_eq!(code, 0, "{out}{err}");
    }
}
