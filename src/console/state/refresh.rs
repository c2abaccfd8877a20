//! Puts what the engine said into the panes: which rows each holds.

use super::pane::Look;
use super::{PaneId, Screen, State, no_estate};
use crate::domain::finding::Finding;
use crate::domain::pane::LockNode;
use crate::engine::api::Snapshot;
use std::sync::Arc;

impl State {
    /// Takes the rows of every pane from the snapshot.
    pub(in crate::console) fn refresh_panes(&mut self) {
        for id in PaneId::ALL {
            self.refresh_pane(id);
        }
    }

    /// Takes the rows of one pane from the snapshot.
    pub(in crate::console) fn refresh_pane(&mut self, id: PaneId) {
        if Screen::Estates.panes().contains(&id) {
            return self.refresh_estates(id);
        }
        let Some(snapshot) = self.snapshot.clone() else { return };
        let snapshot: &Arc<Snapshot> = &snapshot;
        let cx = self.context(snapshot);
        let look = Look { focused: self.focused() == id, newest_last: id.newest_last(), wall: self.clock.wall };
        macro_rules! rows {
            ($rows:expr) => {{
                let rows = $rows;
                self.panes.change(id, |pane| pane.refresh(rows, &cx, look));
            }};
        }
        match id {
            PaneId::Tenants => rows!(&snapshot.panes.tenants),
            PaneId::Databases => rows!(&snapshot.panes.databases),
            PaneId::Locks => rows!(shown_locks(self, snapshot)),
            PaneId::Queues => rows!(&snapshot.panes.queues),
            PaneId::Ingress => rows!(&snapshot.panes.ingress),
            PaneId::Platform => rows!(&snapshot.panes.platform),
            PaneId::Recovery => rows!(&snapshot.panes.recovery),
            PaneId::Delivery => rows!(&snapshot.panes.delivery),
            PaneId::Business => rows!(&snapshot.panes.business),
            PaneId::Security => rows!(&snapshot.panes.security),
            PaneId::Sources => rows!(&snapshot.panes.sources),
            PaneId::Findings => rows!(snapshot.findings.iter()),
            PaneId::Changes => rows!(snapshot.changes.iter()),
            PaneId::Offers => rows!(shown_finding(self, snapshot).map(|f| f.playbooks.as_slice()).unwrap_or_default()),
            PaneId::Evidence => rows!(shown_finding(self, snapshot).map(|f| f.evidence.as_slice()).unwrap_or_default()),
            PaneId::Timeline => {
                rows!(snapshot.current_incident().map(|i| i.timeline.as_slice()).unwrap_or_default());
            }
            PaneId::Measures => rows!(&snapshot.measures),
            PaneId::Playbooks => rows!(snapshot.playbooks.iter()),
            PaneId::Runs => rows!(snapshot.runs.iter()),
            PaneId::Journal => {
                let entries = self.log.entries(&snapshot.journal.tail);
                self.panes.change(id, |pane| pane.refresh(entries, &cx, look));
            }
            PaneId::Estates | PaneId::EstateIncidents | PaneId::EstateRecords => {}
            PaneId::Steps => {
                let Screen::Run(run) = &self.screen else { return };
                let Some(run) = snapshot.runs.iter().find(|r| r.id == *run) else { return };
                let current = run.current;
                self.panes.change(id, |pane| {
                    pane.refresh(&run.steps, &cx, look);
                    if !pane.pinned {
                        pane.place(current);
                        pane.pinned = false;
                    }
                });
            }
        }
    }

    /// The same of a pane whose rows are of all estates: they need nothing of this one.
    fn refresh_estates(&mut self, id: PaneId) {
        let nothing = no_estate();
        let cx = self.context_of(&nothing);
        let look = Look { focused: self.focused() == id, newest_last: id.newest_last(), wall: self.clock.wall };
        let estates = &self.estates;
        self.panes.change(id, |pane| match id {
            PaneId::Estates => pane.refresh(estates.rows.iter(), &cx, look),
            PaneId::EstateIncidents => pane.refresh(&estates.incidents, &cx, look),
            _ => pane.refresh(&estates.records, &cx, look),
        });
    }
}

/// The lock tree of the database under the cursor, or of the first that has one when the cursor was not placed.
pub fn shown_locks<'a>(state: &State, snapshot: &'a Snapshot) -> &'a [LockNode] {
    let pane = state.panes.get(PaneId::Databases);
    let rows = &snapshot.panes.databases;
    let selected = pane.selected().and_then(|slot| rows.get(slot.index)).filter(|_| pane.pinned);
    selected.or_else(|| rows.iter().find(|r| !r.locks.is_empty())).map(|r| r.locks.as_slice()).unwrap_or_default()
}

/// The finding on the screen.
pub fn shown_finding<'a>(state: &State, snapshot: &'a Snapshot) -> Option<&'a Finding> {
    let Screen::Finding(id) = &state.screen else { return None };
    snapshot.findings.iter().find(|f| f.id == *id)
}
