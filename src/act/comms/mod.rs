//! Telling people: mail, web hook, pager, a file for others to pick up. The text is rendered by the playbook layer
//! already; here it gets its way. Only the engine calls this.

mod bodies;
mod email;
mod file;
mod hook;
mod page;
mod post;
#[cfg(test)]
mod tests;

use super::DynVerb;
use super::args;
use crate::comms::Letter;
use crate::config::model::{Audience, Comms};
use crate::domain::id::SourceId;
use crate::domain::mode::MayAct;
use crate::domain::ports::{RenderContext, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, Target, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::text::{is_hostile, sanitize};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

pub use post::post;

/// Characters of a message at most; a longer one is an attachment for somebody to send.
const LONGEST: usize = 20_000;
/// Characters of a subject at most.
const LONGEST_SUBJECT: usize = 200;

const AUDIENCE: ArgSpec = ArgSpec { name: "audience", required: true, what: "name of a [[comms.audience]]" };
const SUBJECT: ArgSpec = ArgSpec { name: "subject", required: true, what: "one line" };
const TEXT: ArgSpec = ArgSpec { name: "text", required: true, what: "the message, rendered" };

/// What sending declares: telling people can not be taken back, but it changes no system.
const fn spec(name: &'static str, what: &'static str, args: &'static [ArgSpec], idempotent: bool) -> VerbSpec {
    VerbSpec {
        name,
        what,
        risk_floor: Risk::Low,
        blast_radius: BlastRadius::Pod,
        reversible: Reversible::No,
        idempotent,
        read_only: false,
        args,
    }
}

/// What the verbs declare.
pub static SPECS: &[&VerbSpec] = &[&email::SPEC, &file::SPEC, &hook::SPEC, &page::SPEC];

/// The verbs, for `[comms]`.
pub fn verbs(_: MayAct, config: &Comms) -> Vec<Arc<DynVerb>> {
    let config = Arc::new(config.clone());
    vec![
        Arc::new(email::Email(config.clone())),
        Arc::new(file::File(config.clone())),
        Arc::new(hook::WebHook(config.clone())),
        Arc::new(page::Page(config)),
    ]
}

/// What is to be said, to whom.
struct Message<'a> {
    audience: &'a Audience,
    subject: String,
    text: String,
}

impl<'a> Message<'a> {
    fn new(context: &RenderContext<'_>, config: &'a Comms) -> Result<Self, VerbError> {
        let name = args::required(context, "audience")?;
        let audience = config.audiences.iter().find(|a| a.name == name).ok_or_else(|| {
            let known: Vec<&str> = config.audiences.iter().map(|a| a.name.as_str()).collect();
            let known = if known.is_empty() { "none is configured".to_owned() } else { known.join(", ") };
            VerbError::new(format!("there is no [[comms.audience]] {}; known: {known}", sanitize(&name)))
        })?;
        let subject = args::required(context, "subject")?;
        if subject.chars().any(is_hostile) || subject.chars().count() > LONGEST_SUBJECT {
            let allowed = format!("it must be one line of at most {LONGEST_SUBJECT} characters");
            return Err(VerbError::new(format!("the argument subject can not be sent: {allowed}")));
        }
        let text = args::required(context, "text")?;
        if text.chars().any(|c| is_hostile(c) && c != '\n' && c != '\t') || text.chars().count() > LONGEST {
            let allowed = format!("at most {LONGEST} characters, none of which controls a terminal");
            return Err(VerbError::new(format!("the argument text can not be sent: allowed are {allowed}")));
        }
        Ok(Self { audience, subject, text })
    }

    /// Names this message to this audience: the same again is the same message.
    fn key(&self) -> String {
        let mut hash = Sha256::new();
        for part in [&self.audience.name, &self.subject, &self.text] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        args::hex(hash.finalize().get(..16).unwrap_or_default())
    }

    fn said<'b>(&'b self, context: &'b RenderContext<'_>, key: &'b str, severity: &'b str) -> bodies::Said<'b> {
        bodies::Said {
            subject: &self.subject,
            text: &self.text,
            key,
            estate: &context.estate.name,
            environment: context.estate.environment,
            severity,
            of: None,
        }
    }

    fn no_way(&self, table: &str) -> VerbError {
        VerbError::new(format!("[[comms.audience]] {} has no `{table}`", self.audience.name))
    }
}

/// A request without the header that stands for a secret one.
fn unmarked(request: &Request) -> Request {
    let mut request = request.clone();
    if let Operation::Http { headers, .. } = &mut request.operation {
        headers.remove("Authorization");
    }
    request
}

/// The request of a message that a record has announced.
fn request_of(letter: &Letter, operation: Operation) -> Request {
    Request {
        verb: format!("comms.{}", letter.channel()),
        target: Target {
            source: SourceId::new("comms"),
            identity: String::new(),
            environment: letter.environment(),
            object: letter.recipient().to_owned(),
            tenants: Vec::new(),
            count: 1,
        },
        operation,
        server_checks: Vec::new(),
        hurts: String::new(),
        undo: String::new(),
        by_hand: String::new(),
    }
}

/// The request around an operation.
fn request(
    context: &RenderContext<'_>,
    verb: &VerbSpec,
    object: String,
    count: usize,
    operation: Operation,
    by_hand: String,
    server_checks: Vec<String>,
) -> Request {
    Request {
        verb: verb.name.to_owned(),
        target: Target {
            source: SourceId::new("comms"),
            identity: String::new(),
            environment: context.estate.environment,
            object,
            tenants: Vec::new(),
            count: count as u64,
        },
        operation,
        server_checks,
        hurts: "nobody; people outside read it".to_owned(),
        undo: "It can not be taken back: another message has to correct it.".to_owned(),
        by_hand,
    }
}
