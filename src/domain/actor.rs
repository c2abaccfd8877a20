//! Who did something, as the record names them.

use serde::{Deserialize, Serialize};

/// Author of a record. `user` is claimed unless `uid` came from a socket's peer credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Actor {
    /// Login name, or `quarterdeck` for what the program did by itself.
    pub user: String,
    /// Numeric user id of the process that asked.
    pub uid: u32,
    /// How the request came: `console`, `cli`, `engine`, `socket`, `socket, key SHA256:…`.
    pub via: String,
    /// Host on which it was asked.
    pub host: String,
    /// Terminal of the console, where there is one: `/dev/pts/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<String>,
}

/// How `via` names the key that proves a person at the engine's socket.
const BY_KEY: &str = "socket, key ";

impl Actor {
    /// Proven at the engine's socket by a key with this fingerprint to be this person.
    #[must_use]
    pub fn proven(self, person: String, fingerprint: &str) -> Self {
        Self { user: person, via: format!("{BY_KEY}{fingerprint}"), ..self }
    }

    /// Fingerprint of the key that proves that `user` is the person's name; nothing where a name is only claimed.
    pub fn key(&self) -> Option<&str> {
        self.via.strip_prefix(BY_KEY)
    }

    /// The same process acting by itself, not for a person.
    #[must_use]
    pub fn engine(&self) -> Self {
        Self { user: "quarterdeck".into(), via: "engine".into(), console: None, ..self.clone() }
    }
}
