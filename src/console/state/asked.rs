//! The overlay of requests that wait for a signature: which there are, and one of them in full. What is signed is what
//! this holds and shows; it takes a signature only after its last line has been on the screen.

use crate::console::strip::wrap;
use crate::domain::incident::Role;
use crate::domain::text::sanitize;
use crate::engine::api::{Decision, RequestState, RequestView, Snapshot};
use serde_json::Value;

/// The buttons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answering {
    /// Does nothing and closes; has the focus at first.
    Cancel,
    /// Signs a no.
    Deny,
    /// Signs a yes.
    Approve,
}

impl Answering {
    /// The next one.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Cancel => Self::Deny,
            Self::Deny => Self::Approve,
            Self::Approve => Self::Cancel,
        }
    }
}

/// One request as it is shown, with a line for each that waits.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Name and class of the estate in which it was opened.
    pub estate: String,
    /// The request.
    pub request: RequestView,
    /// Names of those that wait, oldest first.
    pub waiting: Vec<String>,
    /// Role in which it would be answered.
    pub role: Role,
    /// The button with the focus.
    pub focus: Answering,
    /// First line that is shown.
    pub scroll: usize,
    /// Whether the last line has been on the screen.
    pub read: bool,
}

fn open(snapshot: &Snapshot) -> impl Iterator<Item = &RequestView> {
    snapshot.requests.iter().filter(|r| r.state == RequestState::Open)
}

impl Asked {
    /// The oldest that waits, or the one after this; `None` when none waits.
    pub fn of(snapshot: &Snapshot, after: Option<&str>) -> Option<Self> {
        let all: Vec<&RequestView> = open(snapshot).collect();
        let at = after.and_then(|id| all.iter().position(|r| r.id == id)).map_or(0, |at| at + 1);
        let request = (*all.get(at).or_else(|| all.first())?).clone();
        Some(Self {
            estate: snapshot.estate_words(),
            role: roles(&request).first().copied().unwrap_or(Role::Approver),
            waiting: all.iter().map(|r| r.id.clone()).collect(),
            request,
            focus: Answering::Cancel,
            scroll: 0,
            read: false,
        })
    }

    /// Whether it still waits, as it was shown.
    pub fn still_stands(&self, snapshot: &Snapshot) -> bool {
        open(snapshot).any(|r| r.id == self.request.id && r.nonce == self.request.nonce)
    }

    /// Answers in the next role that is asked for.
    pub fn turn_role(&mut self) {
        let all = roles(&self.request);
        let at = all.iter().position(|r| *r == self.role).map_or(0, |at| at + 1);
        self.role = all.get(at).or_else(|| all.first()).copied().unwrap_or(self.role);
    }

    /// What stays on every page: target, count, digest.
    pub fn head(&self) -> Vec<String> {
        let request = &self.request;
        let target = request.document.get("request").and_then(|r| r.get("target"));
        let text = |name: &str| target.and_then(|t| t.get(name)).and_then(Value::as_str).unwrap_or_default();
        let count = target.and_then(|t| t.get("count")).and_then(Value::as_u64);
        let what = match count {
            Some(count) => format!("count {count} · target: {} on {}", text("object"), text("source")),
            None => format!("count 1 · target: {}", request.title),
        };
        vec![
            format!("{} · {what}", self.estate),
            format!("digest: {}", request.digest),
            format!(
                "{} of {} approvals · as {} · until {}",
                request.granted.len(),
                request.needed,
                self.role,
                request.not_after.strftime("%H:%M:%SZ")
            ),
        ]
    }

    /// Every line that has to be read: who asks, and the whole document whose digest is signed. Nothing is cut off.
    pub fn lines(&self, width: u16) -> Vec<String> {
        let width = usize::from(width);
        let request = &self.request;
        let asked_by = request.requester.as_ref().map_or("nobody of the roster", |p| p.as_str());
        let mut lines = vec![format!("{}: {}", request.id, request.title), format!("asked by {asked_by}")];
        lines.push(format!("takes {} approval(s) by {}", request.needed, request.terms.who()));
        if request.terms.login {
            lines.push("who approves logs in at the identity provider, with a second factor".to_owned());
        }
        for grant in &request.granted {
            lines.push(format!("approved by {} as {}", grant.person, grant.role));
        }
        let log = &request.log;
        lines.push(format!("journal {} with {} records, root {}", log.origin, log.size, log.root));
        let document = serde_json::to_string_pretty(&request.document).unwrap_or_default();
        lines.extend(document.lines().flat_map(|l| l.split("\\n").map(sanitize).collect::<Vec<_>>()));
        lines.push(format!("signed is {}", request.statement(Decision::Approve, self.role)));
        lines.iter().flat_map(|line| wrap(line, width)).collect()
    }

    /// Why it can not be answered yet.
    pub fn obstacle(&self) -> Option<String> {
        if !self.request.is_what_it_shows() {
            return Some("the digest is not that of what is shown; do not sign, ask the commander why".into());
        }
        (!self.read).then(|| "read the request to its end first (PgDn)".into())
    }
}

/// The roles in which a request can be answered.
fn roles(request: &RequestView) -> Vec<Role> {
    let terms = &request.terms;
    if terms.roles.is_empty() {
        return super::ROLES.to_vec();
    }
    let mut all = terms.roles.clone();
    all.extend(terms.also.iter().filter(|r| !terms.roles.contains(r)));
    all
}
