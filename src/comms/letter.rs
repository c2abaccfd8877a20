//! A message on its way by one channel. It can only be made of the record that announces it, so that nothing is sent
//! that is not on disk first, and nothing else than what stands there.

use crate::domain::estate::Environment;
use crate::domain::incident::Severity;
use crate::domain::mode::Mode;
use crate::domain::ports::{BoxFuture, Outcome};
use crate::journal::{Kind, Record};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// By what a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Mail.
    Email,
    /// A web hook: chat, status page, service desk.
    Webhook,
    /// Whoever wakes people up.
    Page,
    /// A file for others to pick up.
    File,
    /// Nothing outside: an exercise.
    Simulated,
}

impl Channel {
    /// Those that can be configured.
    pub const REAL: [Self; 4] = [Self::Email, Self::Webhook, Self::Page, Self::File];

    /// The word in files and output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Webhook => "webhook",
            Self::Page => "page",
            Self::File => "file",
            Self::Simulated => "simulated",
        }
    }

    /// The channel of a word.
    pub fn named(word: &str) -> Option<Self> {
        Self::REAL.into_iter().chain([Self::Simulated]).find(|c| c.word() == word)
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// One way to an audience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Way {
    /// Who is reached: a `[[comms.audience]]` by its name.
    pub recipient: String,
    /// Names of audiences that this one belongs to.
    pub groups: Vec<String>,
    /// By what.
    pub channel: Channel,
    /// To what, in words for people: `2 addresses`.
    pub to: String,
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    message: String,
    incident: String,
    recipient: String,
    channel: Channel,
    subject: String,
    text: String,
    key: String,
    severity: Severity,
    environment: Environment,
    at: Timestamp,
}

impl Letter {
    /// What a `comms.intended` says; nothing where a member is missing or the record is of another kind. In an exercise
    /// it goes by the simulated channel or not at all.
    pub fn of(record: &Record) -> Option<Self> {
        let body = &record.body;
        let text = |key: &str| body.get(key)?.as_str().filter(|t| !t.is_empty()).map(str::to_owned);
        let channel = Channel::named(&text("channel")?)?;
        let allowed = match record.mode {
            Mode::Live => channel != Channel::Simulated,
            Mode::Drill => channel == Channel::Simulated,
            Mode::ReadOnly | Mode::Replay => false,
        };
        if record.kind != Kind::CommsIntended || !allowed {
            return None;
        }
        Some(Self {
            message: text("message")?,
            incident: record.incident.as_ref()?.to_string(),
            recipient: text("recipient")?,
            channel,
            subject: text("subject")?,
            text: text("text")?,
            key: text("key")?,
            severity: body.get("severity").and_then(|s| serde_json::from_value(s.clone()).ok())?,
            environment: record.environment,
            at: record.time,
        })
    }

    /// Name of the message: `MSG-3`.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Its incident.
    pub fn incident(&self) -> &str {
        &self.incident
    }

    /// Who is told.
    pub fn recipient(&self) -> &str {
        &self.recipient
    }

    /// By what.
    pub const fn channel(&self) -> Channel {
        self.channel
    }

    /// Subject.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What is the same however often this message is sent to this recipient, and of no other message.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Severity of the incident when it was written.
    pub const fn severity(&self) -> Severity {
        self.severity
    }

    /// Class of the estate.
    pub const fn environment(&self) -> Environment {
        self.environment
    }

    /// When it was announced.
    pub const fn at(&self) -> Timestamp {
        self.at
    }
}

/// What takes messages out of the house, or in an exercise only says so.
pub trait Post: Send + Sync {
    /// The ways there are, those of one recipient in the order in which they are tried.
    fn ways(&self) -> Vec<Way>;
    /// Sends a message, once. `Failed` is certain to have reached nobody.
    fn deliver(&self, letter: Letter) -> BoxFuture<'static, Outcome>;
}
