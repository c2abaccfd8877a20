//! The sheet of a tenant's logs: errors by their fingerprints, the slowest spans, where each came from and how old it is,
//! and the last lines.

use super::Page;
use crate::console::format::{age, clock, count, moment, seconds_between, span};
use crate::console::state::{Logged, State, Wanting};
use crate::console::strip::{Strip, wrap};
use crate::console::theme::Role;
use crate::domain::finding::Finding;
use crate::domain::logs::{Fingerprint, LogLevel, LogPlace, LogView, Spans, Tail, Told, Totals, Untold};
use crate::domain::mode::Mode;
use crate::engine::api::Snapshot;
use jiff::Timestamp;

/// Kinds of errors of which an example is shown.
const EXAMPLES: usize = 3;
/// Lines of an example, and of the end of each log.
const LINES: usize = 12;

/// Title of the sheet.
pub(super) fn title(state: &State) -> String {
    state.logged.as_ref().map_or_else(|| "Logs".to_owned(), |l| format!("Logs of {}", l.wanting.tenant))
}

/// Writes the sheet.
pub(super) fn write(out: &mut Page, state: &State, snapshot: Option<&Snapshot>) {
    let Some(logged) = &state.logged else { return out.line(Role::Unknown, "nothing was asked") };
    let known = snapshot.and_then(|s| s.estate.tenant(&logged.wanting.tenant));
    let name = known.map_or("", |t| t.name.as_str());
    out.pair("tenant", Role::Strong, format!("{} {name}", logged.wanting.tenant));
    let finding = logged.wanting.finding.as_ref();
    let finding = finding.and_then(|id| snapshot?.findings.iter().find(|f| f.id == *id));
    if let Some(finding) = finding {
        out.pair("beside", finding.severity.into(), &finding.what);
        others(out, finding, logged);
    }
    match &logged.answer {
        None => out.line(Role::Unknown, "being read; what takes longer than 12 s is given up"),
        Some(Err(why)) => out.line(Role::Unknown, format!("not told: {why}")),
        Some(Ok(view)) => all(out, state, view),
    }
}

fn others(out: &mut Page, finding: &Finding, logged: &Logged) {
    let all = Wanting::tenants(finding);
    if let Some(at) = all.iter().position(|t| *t == logged.wanting.tenant).filter(|_| all.len() > 1) {
        out.pair("", Role::Dim, format!("tenant {} of {} that it names; Tab goes to the next", at + 1, all.len()));
    }
}

/// What all logs together say of errors, and how it is to be taken: what was not read is never calm.
pub(in crate::console) fn verdict(view: &LogView, mode: Mode) -> (Role, String) {
    let totals = view.totals();
    let Totals { told, untold, lines, errors, kinds, more_kinds } = totals;
    if told + untold == 0 {
        let why =
            if mode == Mode::Drill { "a scenario simulates no logs" } else { "no log of this tenant is configured" };
        return (Role::Unknown, format!("not known: {why}"));
    }
    let silent = match untold {
        0 => String::new(),
        n => format!("; {} said nothing", count(n, "log")),
    };
    if told == 0 {
        return (
            Role::Unknown,
            format!(
                "not known: {} said nothing",
                if untold == 1 { "the one log".into() } else { format!("all {untold} logs") }
            ),
        );
    }
    let read = format!("in {} of {}", amount(lines, "line"), count(told, "log"));
    if errors > 0 {
        let least = if more_kinds > 0 { "more than " } else { "" };
        return (Role::Warn, format!("{} of {least}{} {read}{silent}", amount(errors, "error"), count(kinds, "kind")));
    }
    let role = if untold > 0 || lines == 0 { Role::Unknown } else { Role::Text };
    (role, format!("no error {read}{silent}"))
}

fn amount(n: u64, noun: &str) -> String {
    count(usize::try_from(n).unwrap_or(usize::MAX), noun)
}

fn all(out: &mut Page, state: &State, view: &LogView) {
    let now = state.now();
    let asked = age(seconds_between(view.until, now));
    out.pair("since", Role::Text, format!("{}, read {asked} ago", moment(view.from)));
    let (role, words) = verdict(view, state.mode());
    out.pair("errors", role, words);
    let worst = view.worst();
    if !worst.is_empty() {
        out.heading("Errors by what they have in common");
        for (place, one) in &worst {
            kind(out, place, one);
        }
    }
    for (_, one) in worst.iter().take(EXAMPLES) {
        out.heading(format!("The newest of {}", one.id));
        let skipped = one.example.len().saturating_sub(LINES);
        if skipped > 0 {
            out.line(Role::Dim, format!("{} before", amount(u64::try_from(skipped).unwrap_or(u64::MAX), "line")));
        }
        for line in one.example.iter().skip(skipped) {
            out.line(Role::Text, line);
        }
    }
    traces(out, view);
    out.heading("Where it comes from");
    for place in &view.logs {
        source(out, place, now);
    }
    if view.logs.is_empty() {
        out.line(Role::Unknown, "a [[kubernetes]] that has the tenant's namespace, or a [[logs]]; there is neither");
    }
    for place in &view.logs {
        if let Told::Yes(tail) = &place.said {
            last(out, place, tail);
        }
    }
}

fn kind(out: &mut Page, place: &LogPlace, one: &Fingerprint) {
    let role = if one.level == LogLevel::Critical { Role::Critical } else { Role::Warn };
    let lines = wrap(&one.shape, out.width.saturating_sub(8).max(8));
    for (i, line) in lines.into_iter().enumerate() {
        let number = if i == 0 { format!("{:>6}x ", one.count) } else { " ".repeat(8) };
        out.lines.push(Strip::of(Role::Strong, number).and(role, line));
    }
    let times = match (one.first, one.last) {
        (Some(first), Some(last)) if first == last => format!("at {}", clock(last)),
        (Some(first), Some(last)) => format!("{} to {}", clock(first), clock(last)),
        _ => "at no time that it names".to_owned(),
    };
    let wide = out.width.saturating_sub(8).max(8);
    for line in wrap(&format!("{}, {times}, {} {}", one.id, place.source, place.log), wide) {
        out.lines.push(Strip::text(" ".repeat(8)).and(Role::Dim, line));
    }
}

fn traces(out: &mut Page, view: &LogView) {
    if view.traces.is_empty() && view.trace_link.is_none() {
        return;
    }
    out.heading("Traces");
    if let Some(link) = &view.trace_link {
        out.pair("link", Role::Accent, link);
    }
    for place in &view.traces {
        match &place.said {
            Told::No(untold) => not_told(out, place.source.as_str(), untold),
            Told::Yes(Spans { slowest, traces, cut }) => {
                let cut = cut.as_ref().map_or_else(String::new, |why| format!("; {why}"));
                let words = format!("slowest of {}, took {} ms{cut}", amount(*traces, "trace"), place.took_ms);
                out.pair(place.source.as_str(), Role::Dim, words);
                for one in slowest {
                    let at = one.at.map_or_else(|| "no time".to_owned(), clock);
                    let words = format!("{} {} at {at}, trace {}", one.service, one.operation, one.trace);
                    out.pair(&format!("{:>12}", span(one.took_s)), Role::Text, words);
                }
            }
        }
    }
}

fn not_told(out: &mut Page, name: &str, untold: &Untold) {
    out.pair(name, Role::Unknown, format!("not told: {}", untold.why));
    if let Some(remedy) = &untold.remedy {
        out.pair("", Role::Warn, format!("would help: {remedy}"));
    }
}

fn source(out: &mut Page, place: &LogPlace, now: Timestamp) {
    match &place.said {
        Told::No(untold) => {
            let why = format!("{}: {}", place.log, untold.why);
            not_told(out, place.source.as_str(), &Untold { why, remedy: untold.remedy.clone() });
        }
        Told::Yes(tail) => {
            let newest = match tail.newest {
                Some(at) => format!("the newest {} old", age(seconds_between(at, now))),
                None if tail.lines == 0 => "none since then".to_owned(),
                None => "without times".to_owned(),
            };
            let others = match tail.of_others {
                0 => String::new(),
                n => format!(", {n} of them of other tenants"),
            };
            let words =
                format!("{}: {}{others}, {newest}, took {} ms", place.log, amount(tail.lines, "line"), place.took_ms);
            out.pair(place.source.as_str(), Role::Text, words);
            if let Some(cut) = &tail.cut {
                out.pair("", Role::Warn, format!("not all of it: {cut}"));
            }
        }
    }
}

fn last(out: &mut Page, place: &LogPlace, tail: &Tail) {
    if tail.last.is_empty() {
        return;
    }
    out.heading(format!("Last lines of {}", place.log));
    for line in tail.last.iter().skip(tail.last.len().saturating_sub(LINES)) {
        let role = match line.level {
            LogLevel::Critical => Role::Critical,
            LogLevel::Error | LogLevel::Warning => Role::Warn,
            LogLevel::Info => Role::Dim,
        };
        out.line(role, &line.text);
    }
}
