//! The subject of a sheet: which it is, and what the engine said of it when it was asked.

use super::PaneId;
use crate::domain::id::SourceId;
use crate::domain::pane::{IngressRow, QueueRow, SignalView, SubjectView};
use crate::domain::signal::Subject;
use crate::engine::api::Snapshot;
use jiff::Timestamp;

/// What is known of the subject on the sheet.
#[derive(Clone, Debug, PartialEq)]
pub struct Looked {
    /// Which subject.
    pub subject: Subject,
    /// What the engine said, or why it did not.
    pub answer: Option<Result<Box<SubjectView>, String>>,
    /// When it was last asked, by the wall clock.
    pub asked: Timestamp,
    /// The signal under the cursor; the worst when none was chosen.
    pub chosen: Option<String>,
}

impl Looked {
    /// Its signals, worst first.
    pub fn signals(&self) -> &[SignalView] {
        match &self.answer {
            Some(Ok(view)) => &view.signals,
            _ => &[],
        }
    }

    /// Place of the signal under the cursor.
    pub fn at(&self) -> usize {
        let chosen = self.chosen.as_ref();
        chosen.and_then(|name| self.signals().iter().position(|s| s.now.signal == *name)).unwrap_or(0)
    }

    /// Puts the cursor on the next signal, or on the one before.
    pub fn turn(&mut self, forward: bool) {
        let n = self.signals().len().max(1);
        let next = if forward { (self.at() + 1) % n } else { (self.at() + n - 1) % n };
        self.chosen = self.signals().get(next).map(|s| s.now.signal.to_string());
    }
}

/// What a row of a pane is about, where signals tell of it.
pub fn subject_of(snapshot: &Snapshot, pane: PaneId, key: &str) -> Option<Subject> {
    use crate::console::rows::PaneRow as _;
    let panes = &snapshot.panes;
    match pane {
        PaneId::Tenants => Some(Subject::Tenant { tenant: key.into() }),
        PaneId::Databases => Some(Subject::Instance { source: SourceId::new(key) }),
        PaneId::Queues => panes.queues.iter().find(|r| r.key() == key).map(|row| match row {
            QueueRow::Channel(row) => Subject::Channel { tenant: row.tenant.clone(), channel: row.channel.clone() },
            QueueRow::Redis(row) => Subject::Redis { source: row.id.clone() },
        }),
        PaneId::Ingress => panes.ingress.iter().find(|r| r.key() == key).map(|row| match row {
            IngressRow { tenant: Some(tenant), .. } => Subject::Tenant { tenant: tenant.clone() },
            IngressRow { scope, source, .. } if scope == "ingress" => Subject::Ingress { source: source.clone() },
            IngressRow { source, name, claims, .. } => {
                Subject::Router { source: source.clone(), router: name.clone(), tenant: claims.clone() }
            }
        }),
        other => {
            let rows = panes.subjects(other.subjects()?);
            rows.iter().find(|r| r.key() == key).map(|r| r.subject.clone())
        }
    }
}
