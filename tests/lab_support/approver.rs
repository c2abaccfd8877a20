//! A second person: a real ssh-agent with a key of their own, a home of their own, and `quarterdeck approve`.

#[path = "../support/agent.rs"]
mod agent;

use crate::support::run_with;
use agent::SshAgent;

pub struct Approver {
    agent: SshAgent,
    key: String,
    name: &'static str,
    role: &'static str,
}

impl Approver {
    /// Makes a key and starts the agent of a person with one role.
    pub fn new(name: &'static str, role: &'static str) -> Self {
        let agent = SshAgent::start();
        let key = agent.holding(name);
        Self { agent, key, name, role }
    }

    /// The entry in the roster.
    pub fn entry(&self) -> String {
        let Self { key, name, role, .. } = self;
        format!("[[person]]\nname = \"{name}\"\nuser = \"{name}\"\nroles = [\"{role}\"]\nkeys = [\"{key}\"]\n")
    }

    /// Signs a request, as what its digest says that it is.
    pub fn approves(&self, config: &str, request: &str, digest: &str) {
        let socket = self.agent.socket().display().to_string();
        let words = ["--config", config, "approve", request, "--role", self.role, "--digest", digest];
        let (code, out, err) = run_with(self.agent.path(), &words, &[("SSH_AUTH_SOCK", &socket), ("USER", self.name)]);
        assert_eq!(code, 0, "{out}{err}");
    }
}
