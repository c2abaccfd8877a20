//! The communications of the incident: each audience with its countdown, what it heard last and by what it is reached;
//! then the messages and what became of them.

use super::Page;
use crate::comms::board::{AudienceView, Board, MessageView};
use crate::comms::{Attempt, Delivery};
use crate::console::format::{age, clock, seconds_between};
use crate::console::state::State;
use crate::console::strip::Strip;
use crate::console::theme::Role;
use crate::domain::health::Health;
use crate::engine::api::Snapshot;
use jiff::Timestamp;

/// Messages on the sheet.
const SHOWN: usize = 10;

/// The audience that has the mark: the one that was chosen, else the one that is due first.
pub(in crate::console) fn marked<'b>(state: &State, board: &'b Board) -> Option<&'b AudienceView> {
    let chosen = state.telling.as_ref().and_then(|id| board.audiences.iter().find(|a| a.id == *id));
    chosen.or_else(|| board.audiences.first())
}

pub(super) fn write(out: &mut Page, state: &State, snapshot: &Snapshot) {
    let board = &snapshot.comms;
    let now = state.now();
    let Some(incident) = &board.incident else {
        out.line(Role::Text, "No incident is open: nothing is promised to anybody.");
        return messages(out, board);
    };
    if let Some(mute) = &board.mute {
        out.line(Role::Warn, mute);
    }
    calls(out, board, now);
    duties(out, board);
    out.heading(format!("Promised in {incident}"));
    let chosen = marked(state, board).map(|a| a.id.as_str());
    for audience in &board.audiences {
        one(out, audience, now, chosen == Some(audience.id.as_str()));
    }
    messages(out, board);
}

/// Who was called for steps that wait, and who is next when nobody acknowledges.
fn calls(out: &mut Page, board: &Board, now: Timestamp) {
    if board.calls.is_empty() {
        return;
    }
    out.heading("Calls");
    for call in &board.calls {
        let (role, how) = match (&call.acknowledged, &call.next) {
            (Some((who, at)), _) => (Role::Ok, format!("acknowledged by {who} at {}Z", clock(*at))),
            (None, Some((next, at))) if *at > now => {
                let left = seconds_between(now, *at);
                (Role::Warn, format!("not acknowledged; {next} is called in {:02}:{:02}", left / 60, left % 60))
            }
            (None, Some((next, _))) => (Role::Critical, format!("not acknowledged; {next} is being called")),
            (None, None) => (Role::Critical, "not acknowledged, and nobody is left to call".to_owned()),
        };
        let (run, step, to) = (&call.run, &call.step, &call.to);
        out.line(role, format!("{} for {step} of {run} ({to}) {}Z: {how}", call.person, clock(call.at)));
        if let Some(source) = &call.source {
            out.line(Role::Dim, format!("  called by {source}"));
        }
    }
}

/// Who is on call, and what is not known of it.
fn duties(out: &mut Page, board: &Board) {
    if board.duties.is_empty() {
        return;
    }
    out.heading("On call");
    for duty in &board.duties {
        match duty.chain.people.split_first() {
            Some((first, then)) => {
                let then: Vec<&str> = then.iter().map(|c| c.person.as_str()).collect();
                let then = if then.is_empty() { String::new() } else { format!("; then {}", then.join(", ")) };
                out.line(Role::Text, format!("{}: {} by {}{then}", duty.name, first.person, first.source));
            }
            None => out.line(Role::Unknown, format!("{}: nobody is known", duty.name)),
        }
        for why in &duty.chain.unknown {
            out.line(Role::Unknown, format!("  {why}"));
        }
    }
}

fn role(delivery: Delivery) -> Role {
    match delivery {
        Delivery::Sent => Role::Ok,
        Delivery::Pending => Role::Text,
        Delivery::Failed => Role::Critical,
        Delivery::Unknown => Role::Unknown,
    }
}

fn one(out: &mut Page, audience: &AudienceView, now: Timestamp, is_marked: bool) {
    let health = audience.health(now);
    let due = audience.countdown(now).unwrap_or_else(|| match &audience.last {
        Some(last) if last.last => "has heard the last word".to_owned(),
        _ => "nothing promised".to_owned(),
    });
    let last = match &audience.last {
        Some(last) => format!("last word {}Z by {}", clock(last.at), last.by),
        None => "nothing said yet".to_owned(),
    };
    let mark = if is_marked { "> " } else { "  " };
    let due_role = if health == Health::Ok { Role::Text } else { health.into() };
    let name = if is_marked { Role::Strong } else { Role::Text };
    let strip = Strip::of(Role::Accent, mark)
        .and(name, format!("{:<24}", audience.name))
        .and(due_role, format!("{due:<18}"))
        .and(Role::Dim, last);
    out.lines.push(strip);
    if !is_marked {
        return;
    }
    if audience.ways.is_empty() {
        out.line(Role::Warn, "    no way to them: no [[comms.audience]] has them in its `groups`");
    }
    for way in &audience.ways {
        let (role, word) = match way.delivery {
            Some(delivery) => (role(delivery), format!("{} {}", delivery.word(), way.detail)),
            None => (Role::Dim, "not used yet".to_owned()),
        };
        out.line(role, format!("    {} by {} ({}): {word}", way.recipient, way.channel, way.to));
    }
}

fn messages(out: &mut Page, board: &Board) {
    if board.messages.is_empty() {
        return;
    }
    out.heading("Messages");
    for message in board.messages.iter().take(SHOWN) {
        let word = message.delivery.word();
        out.line(
            role(message.delivery),
            format!("{} {}Z to {} {word}: {}", message.id, clock(message.at), message.audience, message.subject),
        );
        for attempt in trouble(message) {
            let (who, by, word) = (&attempt.recipient, attempt.channel, attempt.delivery.word());
            out.line(role(attempt.delivery), format!("    {who} by {by} {word}: {}", attempt.detail));
        }
        for offer in &message.offers {
            out.line(Role::Accent, format!("    next: {} by {} (R)", offer.recipient, offer.channel));
        }
    }
}

/// Attempts that have not arrived, of a message that has not.
fn trouble(message: &MessageView) -> impl Iterator<Item = &Attempt> {
    let open = message.delivery != Delivery::Sent;
    message.attempts.iter().filter(move |a| open && a.delivery != Delivery::Sent && a.ended.is_some())
}

/// How long ago the last word was, for the report of the situation.
pub(super) fn situation(out: &mut Page, snapshot: &Snapshot, now: Timestamp) {
    let board = &snapshot.comms;
    let Some(next) = board.next() else { return };
    let due = next.countdown(now).unwrap_or_default();
    let last = next.last.as_ref().map_or_else(
        || "nothing said yet".to_owned(),
        |l| format!("last word {} ago", age(seconds_between(l.at, now))),
    );
    out.line(next.health(now).into(), format!("Next word: {} {due}, {last}.", next.name));
}
