//! The journal's screen: search, narrowing, and reading on where the loaded records end.

use super::say;
use crate::console::effect::Effect;
use crate::console::state::{Filter, Overlay, PaneId, Scan, Scanned, State, single_line, text_of};
use crate::console::theme::Role;
use crate::domain::incident::TimelineEntry;

/// Records that are asked for at once.
pub const PAGE: u16 = 200;

/// A property that records are narrowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The incident.
    Incident,
    /// The kind.
    Kind,
    /// The user.
    Who,
}

/// The record under the cursor.
fn under_cursor(state: &State) -> Option<&TimelineEntry> {
    let slot = state.panes.get(PaneId::Journal).selected()?;
    state.records().get(slot.index).copied()
}

/// Opens the line in which the text to search for is typed.
pub fn search(state: &mut State) {
    let input = single_line(&state.log.wanted.text);
    state.overlays.push(Overlay::Filter(Box::new(Filter { pane: PaneId::Journal, input })));
}

/// Moves the cursor to the newest loaded record that contains what is typed so far, from where it stood.
pub fn typed(state: &mut State) {
    let Some(Overlay::Filter(filter)) = state.overlays.last() else { return };
    let text = text_of(&filter.input);
    text.trim().clone_into(&mut state.log.wanted.text);
    let anchor = under_cursor(state).map_or(u64::MAX, |e| e.seq);
    let records = state.records();
    let fits = |e: &&&TimelineEntry| state.log.wanted.admits(e);
    let found = records.iter().rev().filter(|e| e.seq <= anchor).find(fits).or_else(|| records.iter().rev().find(fits));
    if let Some(key) = found.map(|e| e.seq.to_string()).filter(|_| !text.trim().is_empty()) {
        state.panes.change(PaneId::Journal, |pane| pane.select(&key));
    }
}

/// Keeps what was typed: the whole log is searched for it.
pub fn keep(state: &mut State, effects: &mut Vec<Effect>) {
    start(state, effects);
}

/// Ends the search and everything that the records are narrowed to.
pub fn clear(state: &mut State, effects: &mut Vec<Effect>) {
    state.log.wanted = crate::console::state::Wanted::default();
    start(state, effects);
}

/// Narrows the records to what the one under the cursor has, or takes that back.
pub fn narrow(state: &mut State, by: By, effects: &mut Vec<Effect>) {
    let Some(entry) = under_cursor(state).cloned() else {
        return say(state, Role::Dim, "there is no record under the cursor");
    };
    let wanted = &mut state.log.wanted;
    match by {
        By::Incident if wanted.incident.take().is_none() => match entry.incident {
            Some(id) => wanted.incident = Some(id),
            None => return say(state, Role::Dim, "this record belongs to no incident"),
        },
        By::Kind if wanted.kind.take().is_none() => wanted.kind = Some(entry.kind),
        By::Who if wanted.who.take().is_none() => wanted.who = Some(entry.who),
        By::Incident | By::Kind | By::Who => {}
    }
    start(state, effects);
    state.panes.change(PaneId::Journal, |pane| pane.select(&entry.seq.to_string()));
    state.refresh_pane(PaneId::Journal);
}

/// Begins the search over the whole log for what is wanted now.
fn start(state: &mut State, effects: &mut Vec<Effect>) {
    let ended = state.log.scan.take().is_some();
    if state.log.wanted.is_everything() {
        if ended {
            effects.push(Effect::EndScan);
        }
    } else {
        let id = state.request();
        let size = state.snapshot.as_ref().map_or(0, |s| s.journal.size);
        let tail = state.snapshot.as_ref().map(|s| s.journal.tail.clone()).unwrap_or_default();
        // What is loaded is there at once; the rest comes from the files.
        let loaded = tail.first().map_or(size, |e| e.seq);
        let hits = tail.iter().filter(|e| state.log.wanted.admits(e)).cloned().collect();
        let done = loaded == 0;
        let scan = Scan { id, hits, from: loaded, down_to: loaded, upto: size, done, full: false, trouble: None };
        state.log.scan = Some(scan);
        effects.push(Effect::Scan { id, wanted: state.log.wanted.clone(), before: loaded });
    }
    state.refresh_pane(PaneId::Journal);
    state.touch();
}

/// Takes in what the search found.
pub fn found(state: &mut State, found: Scanned) {
    state.log.found(found);
    state.refresh_pane(PaneId::Journal);
    state.touch();
}

/// Goes to the next hit.
pub fn jump(state: &mut State, older: bool, effects: &mut Vec<Effect>) {
    let at = under_cursor(state).map_or(u64::MAX, |e| e.seq);
    let Some(hit) = state.log.next_hit(at, older) else {
        let open = older && state.log.scan.as_ref().is_some_and(|s| !s.done);
        let words = match (open, older) {
            (true, _) => "none found yet before this one; the search goes on",
            (false, true) => "there is no older match",
            (false, false) => "there is no newer match",
        };
        return say(state, Role::Dim, words);
    };
    let tail = state.snapshot.as_ref().map(|s| s.journal.tail.clone()).unwrap_or_default();
    if tail.iter().any(|e| e.seq == hit) {
        state.log.attach();
    }
    if state.records().iter().any(|e| e.seq == hit) {
        state.refresh_pane(PaneId::Journal);
        state.panes.change(PaneId::Journal, |pane| pane.select(&hit.to_string()));
    } else {
        state.log.goal = Some(hit);
        ask(state, hit.saturating_add(u64::from(PAGE) / 2), effects);
    }
    state.refresh_pane(PaneId::Journal);
    state.touch();
}

/// Writes the proof of the record on the sheet into a file.
pub fn save_proof(state: &mut State, effects: &mut Vec<Effect>) {
    match &state.log.opened {
        Some((seq, Ok(read))) => match &read.proof {
            Ok(proof) => effects.push(Effect::SaveProof { seq: *seq, file: proof.file.clone() }),
            Err(why) => {
                let why = format!("there is no proof to write: {why}");
                say(state, Role::Critical, why);
            }
        },
        Some((_, Err(_))) => say(state, Role::Critical, "the record could not be read, so there is no proof of it"),
        None => say(state, Role::Dim, "the record is still being read"),
    }
}

/// Asks for a page of records before one.
fn ask(state: &mut State, before: u64, effects: &mut Vec<Effect>) {
    if !state.log.asked {
        state.log.asked = true;
        effects.push(Effect::Records { before, limit: PAGE });
    }
}

/// Reads on before the first record that is shown.
pub fn read_older(state: &mut State, effects: &mut Vec<Effect>) {
    if state.log.wanted.narrows() {
        return;
    }
    let before = state.records().first().map(|e| e.seq).filter(|seq| *seq > 0);
    if let Some(before) = before {
        ask(state, before, effects);
    }
}

/// Reads on after the last record that is shown, where that is not the newest.
pub fn read_newer(state: &mut State, effects: &mut Vec<Effect>) {
    let last = state.records().last().map(|e| e.seq);
    if let Some(last) = last {
        ask(state, last.saturating_add(1).saturating_add(u64::from(PAGE)), effects);
    }
}

/// Takes in records that were asked for.
pub fn records(state: &mut State, read: Result<Vec<TimelineEntry>, String>) {
    match read {
        Ok(entries) => {
            let tail = state.snapshot.as_ref().map(|s| s.journal.tail.clone()).unwrap_or_default();
            state.log.take(entries, &tail);
            if let Some(goal) = state.log.goal.take() {
                state.panes.change(PaneId::Journal, |pane| pane.select(&goal.to_string()));
            }
        }
        Err(why) => {
            state.log.asked = false;
            say(state, Role::Critical, format!("the records could not be read: {why}"));
        }
    }
    state.refresh_pane(PaneId::Journal);
    state.touch();
}

/// Follows the newest records; a search that missed some begins again.
pub fn follow(state: &mut State, before: &[TimelineEntry], now: &[TimelineEntry], effects: &mut Vec<Effect>) {
    if state.log.follow(before, now) {
        start(state, effects);
    }
}
