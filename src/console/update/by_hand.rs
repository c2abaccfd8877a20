//! Business by hand from the console: what begins, who knows of it, how it ends, and what was compared afterwards.

use super::{say, send};
use crate::console::effect::Effect;
use crate::console::state::{Awaited, Field, Form, Overlay, PaneId, Purpose, Screen, State};
use crate::console::theme::Role;
use crate::domain::by_hand::{FALLBACK, Hand, RECONCILE};
use crate::domain::id::{FindingId, TenantId};
use crate::domain::signal::Subject;
use crate::engine::api::{ByHand, Command};

/// The measure under the cursor of the incident's screen or of the pane Business.
pub(super) fn measure(state: &State) -> Option<String> {
    if state.focused() != PaneId::Business {
        return state.panes.get(PaneId::Measures).selected_key().map(str::to_owned);
    }
    let snapshot = state.snapshot.as_deref()?;
    let at = state.panes.get(PaneId::Business).selected()?.index;
    match &snapshot.panes.business.get(at)?.subject {
        Subject::ByHand { measure, .. } => Some(measure.to_string()),
        _ => None,
    }
}

/// Opens the dialog that puts a fallback into force: for the tenant under the cursor, else the first that the incident hurts.
pub(super) fn begin(state: &mut State) {
    if let Some(why) = super::dialogs::hindrance(state) {
        return say(state, Role::Critical, why);
    }
    let Some(snapshot) = state.snapshot.as_deref() else { return };
    let Some(incident) = snapshot.current_incident() else {
        return say(state, Role::Warn, "no incident is open: business goes on by hand in an incident only");
    };
    let here = match state.focused() {
        PaneId::Business => {
            let at = state.panes.get(PaneId::Business).selected().map(|slot| slot.index);
            at.and_then(|at| snapshot.panes.business.get(at)).and_then(|row| row.tenant.clone())
        }
        PaneId::Tenants => state.panes.get(PaneId::Tenants).selected_key().map(TenantId::new),
        _ => None,
    };
    let hurt = || {
        let of = |id: &FindingId| {
            snapshot.findings.iter().find(|f| f.id == *id).and_then(|f| f.whom.tenants.first().cloned())
        };
        incident.findings.iter().find_map(of)
    };
    let tenant = here.or_else(hurt).map(|t| t.to_string()).unwrap_or_default();
    let ways = Hand::ALL.into_iter().map(|hand| (hand.word().to_owned(), hand.says().to_owned())).collect();
    let fields = vec![
        Field::choice("process", "what", ways, Hand::OrderCapture.word()),
        Field::text("tenant", "tenant", "whose business", true, &tenant),
        Field::text("plant", "plant", "one of its plants; empty for all of it", false, ""),
        Field::text("owner", "owner", "who owns it there and has to acknowledge it", true, ""),
        Field::text("how", "how", "how it is done, which order of priority, or what was agreed", true, ""),
    ];
    let intro =
        ["It is a measure in force until it is ended; what makes papers then owes a reconciliation.".to_owned()];
    let form = Form::new(Purpose::GoByHand, "Business by hand", "Put into force", fields).intro(intro);
    state.overlays.push(Overlay::Form(Box::new(form)));
}

/// What can be done about a fallback or a reconciliation; nothing for other measures.
pub(super) fn settle(id: &str, me: &str) -> Option<Form> {
    let (title, ways, chosen) = if id.starts_with(FALLBACK) {
        let ways = [
            ("acknowledge", "its owner knows of it"),
            ("end", "it ends: Odoo is used again"),
            ("hand", "hand it over"),
        ];
        ("Settle", ways.to_vec(), "acknowledge")
    } else if id.starts_with(RECONCILE) {
        ("Reconcile", vec![("compared", "papers and documents were compared"), ("hand", "hand it over")], "compared")
    } else {
        return None;
    };
    let ways = ways.into_iter().map(|(value, label)| (value.to_owned(), label.to_owned())).collect();
    let mut fields = vec![Field::choice("way", "what", ways, chosen)];
    if id.starts_with(RECONCILE) {
        fields.push(Field::text("sheets", "sheets", "of paper, where they were compared", false, ""));
        fields.push(Field::text("documents", "documents", "that were entered in Odoo", false, ""));
        fields.push(Field::text("text", "difference", "what became of it, where the two are not the same", false, ""));
    }
    fields.push(Field::text("owner", "owner", "who answers for it, where it is handed over", false, me));
    fields.push(Field::text("hours", "hours", "for how many hours, 1 to 8760", false, "24"));
    Some(Form::new(Purpose::Measure(id.to_owned()), format!("{title} {id}"), title, fields))
}

/// Says for the fallback under the cursor that its owner knows of it.
pub(super) fn acknowledge(state: &mut State, effects: &mut Vec<Effect>) {
    match measure(state).filter(|id| id.starts_with(FALLBACK)) {
        Some(measure) => {
            let act = ByHand::Acknowledge { measure };
            send(state, Command::ByHand { act }, Awaited::Other("acknowledging"), effects);
        }
        None => say(state, Role::Dim, "nothing under the cursor is done by hand and waits to be acknowledged"),
    }
}

/// Whether the screen has measures rather than findings under its cursor.
pub(super) fn is_here(state: &State) -> bool {
    matches!(state.screen, Screen::Incident | Screen::Subjects(_))
}
