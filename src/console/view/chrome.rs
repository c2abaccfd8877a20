//! What stands on every screen: who and where, the alarms that may not scroll away, the next verb, the hints.

use super::canvas::{Canvas, cells};
use crate::console::format::{clock, count, countdown, hours_minutes, seconds_between, wall};
use crate::console::keymap::{self, Action};
use crate::console::msg::Target;
use crate::console::next::next;
use crate::console::rows::{custody, is_open};
use crate::console::state::{Overlay, PaneId, Screen, State, text_of};
use crate::console::strip::Strip;
use crate::console::theme::Role;
use crate::domain::estate::Environment;
use crate::domain::health::Health;
use crate::domain::incident::Role as Duty;
use crate::domain::mode::Mode;
use crate::engine::api::{RequestState, ScrubView, SignInState, Snapshot, StepState};
use ratatui::layout::Rect;

/// Estate, environment, mode, incident, commander; UTC, plant time, heartbeat.
pub fn header(canvas: &mut Canvas<'_>, state: &State, area: Rect) {
    let width = usize::from(area.width);
    for detail in (0..=6).rev() {
        let (left, right) = (left(canvas, state, detail), right(canvas, state, detail));
        if left.width() + right.width() < width || detail == 0 {
            let room = Rect { width: area.width.saturating_sub(cells(right.width())), ..area };
            canvas.line(room, 0, &left);
            canvas.right(area, 0, &right);
            return;
        }
    }
}

/// The left of the header; more detail, more words.
fn left(canvas: &Canvas<'_>, state: &State, detail: u8) -> Strip {
    let shade = canvas.theme.glyphs.shade;
    let snapshot = state.snapshot.as_deref();
    let mut strip = Strip::text(" ");
    let name = snapshot.map_or(state.facts.estate.as_str(), |s| s.estate.name.as_str());
    let most = if detail >= 3 { 24 } else { 9 };
    strip.push(Role::Strong, crate::console::strip::fit(name, most, canvas.theme.glyphs.ellipsis));
    strip.push(Role::Text, " ");
    let environment = snapshot.map(Snapshot::environment);
    match state.mode() {
        // Also when it is looked back on: what was an exercise may never be taken for what happened.
        mode if state.is_drill() => {
            let words = if detail >= 2 {
                format!("{shade}{shade} DRILL {shade}{shade}")
            } else {
                format!("{shade}DRILL{shade}")
            };
            strip.push(Role::Drill, words);
            if mode == Mode::Replay {
                strip.push(Role::Drill, " REPLAY");
            } else if detail >= 6 {
                strip.push(Role::Dim, " nothing real");
            }
        }
        mode => {
            if let Some(environment) = environment {
                let role = if environment == Environment::Production { Role::Production } else { Role::Environment };
                strip.push(role, format!("{shade}{}{shade}", environment_word(environment, detail >= 2)));
                strip.push(Role::Text, " ");
            }
            match mode {
                Mode::Live if detail == 0 => {}
                Mode::Live => strip.push(Role::Strong, "LIVE"),
                Mode::ReadOnly => strip.push(Role::ReadOnly, " READ-ONLY "),
                Mode::Replay | Mode::Drill => strip.push(Role::Drill, format!("{shade}REPLAY{shade}")),
            }
        }
    }
    if state.looks_on() {
        strip.push(Role::ReadOnly, if detail >= 2 { " OBSERVER " } else { " OBS " });
    }
    let Some(snapshot) = snapshot else { return strip };
    if let Some(incident) = snapshot.current_incident() {
        let since = hours_minutes(seconds_between(incident.declared_at, state.now()));
        strip.push(Role::Text, if detail == 0 { "" } else { "  " });
        strip.push(Role::Strong, incident.id.as_str());
        strip.push(Role::Text, " ");
        strip.push(incident.severity.into(), incident.severity.to_string());
        if detail >= 2 {
            strip.push(Role::Text, format!(" T+{since}"));
        }
        if detail >= 4 {
            match incident.roles.get(&Duty::Commander) {
                Some(person) => strip.push(Role::Dim, format!("  cmd {person}")),
                None => strip.push(Role::Warn, "  no commander"),
            }
        }
    } else if detail >= 3 {
        strip.push(Role::Dim, "  no incident");
    }
    strip
}

const fn environment_word(environment: Environment, long: bool) -> &'static str {
    match (environment, long) {
        (Environment::Production, true) => "PRODUCTION",
        (Environment::Production, false) => "PROD",
        (Environment::Staging, true) => "STAGING",
        (Environment::Staging, false) => "STAG",
        (Environment::Development, true) => "DEVELOPMENT",
        (Environment::Development, false) => "DEV",
    }
}

/// The clocks. Plain text, so that a second costs a few bytes only; the plant's minute turns a second later
/// than UTC's for the same reason.
fn right(canvas: &Canvas<'_>, state: &State, detail: u8) -> Strip {
    let [on, off] = canvas.theme.glyphs.beat;
    let now = state.now();
    let mut strip = Strip::text(format!(" {}Z", clock(now)));
    let a_second_ago = now.checked_sub(jiff::SignedDuration::from_secs(1)).unwrap_or(now);
    let zone = state.snapshot.as_ref().map_or("UTC", |s| s.estate.time_zone.as_str());
    if detail >= 2 && zone != "UTC" {
        match wall(a_second_ago, zone) {
            Some(time) => strip.push(Role::Text, format!(" {time}")),
            None => strip.push(Role::Unknown, " ?"),
        }
    }
    let lost = state.lost().is_some();
    let [_, _, _, bad] = canvas.theme.glyphs.health;
    let (role, glyph) = match (lost, state.clock.beat) {
        (true, _) => (Role::Alarm, bad),
        (false, true) => (Role::Text, on),
        (false, false) => (Role::Text, off),
    };
    strip.push(Role::Text, " ");
    strip.push(role, glyph);
    strip
}

/// One alarm: how bad, in full, in short.
struct Alarm {
    health: Health,
    role: Role,
    long: String,
    short: String,
}

fn alarm(health: Health, role: Role, long: impl Into<String>, short: impl Into<String>) -> Alarm {
    Alarm { health, role, long: long.into(), short: short.into() }
}

/// The alarms that may not scroll away.
pub fn alarms(canvas: &mut Canvas<'_>, state: &State, area: Rect) {
    if let Some(lost) = &state.link.lost {
        let gone = seconds_between(lost.since, state.clock.wall);
        let head = format!(" ENGINE GONE since {}Z ({gone} s), nothing is current: {}", clock(lost.since), lost.why);
        let whole = format!("{head}; it is being looked for");
        let text = if Strip::text(&whole).width() <= usize::from(area.width) { whole } else { head };
        canvas.line(area, 0, &Strip::of(Role::Alarm, &text));
        canvas.tint(area, Role::Alarm);
        return;
    }
    if let Some(since) = state.clock.lost() {
        let silent = seconds_between(since, state.clock.wall);
        let text = format!(" ENGINE LOST since {}Z ({silent} s): nothing below is current", clock(since));
        canvas.line(area, 0, &Strip::of(Role::Alarm, &text));
        canvas.tint(area, Role::Alarm);
        return;
    }
    let Some(snapshot) = state.snapshot.as_deref() else {
        let strip = Strip::of(
            Role::Unknown,
            format!(" {} waiting for the engine: nothing is known yet", canvas.theme.glyphs.of(Health::Unknown)),
        );
        canvas.line(area, 0, &strip);
        return;
    };
    let alarms = list(state, snapshot);
    let worst = Health::worst(alarms.iter().map(|a| a.health));
    let separator = format!(" {} ", canvas.theme.glyphs.dot);
    let build = |in_full: usize| {
        let mut strip = Strip::of(worst.into(), format!(" {} ", canvas.theme.glyphs.of(worst)));
        for (i, alarm) in alarms.iter().enumerate() {
            strip.push(Role::Dim, if i == 0 { "" } else { &separator });
            strip.push(alarm.role, if i < in_full { &alarm.long } else { &alarm.short });
        }
        strip
    };
    // The least pressing are said in short first.
    let width = usize::from(area.width);
    let strip = (0..=alarms.len()).rev().map(build).find(|s| s.width() <= width).unwrap_or_else(|| build(0));
    canvas.line(area, 0, &strip);
}

/// The word that is due to stakeholders, when that is near or was missed.
fn promised(state: &State, snapshot: &Snapshot) -> Option<Alarm> {
    let (now, key) = (state.now(), state.key(Action::Comms));
    let overdue = snapshot.comms.overdue(now).count();
    let next = snapshot.comms.next()?;
    let countdown = next.countdown(now)?;
    if overdue > 1 {
        let long = format!("{} OVERDUE ({key})", count(overdue, "promised update"));
        return Some(alarm(Health::Critical, Role::Critical, long, format!("{overdue} OVERDUE")));
    }
    if overdue == 1 {
        let long = format!("update of {} {countdown} ({key})", next.name);
        return Some(alarm(Health::Critical, Role::Critical, long, "update OVERDUE"));
    }
    let near = next.is_near(now);
    near.then(|| alarm(Health::Warn, Role::Warn, format!("update of {} {countdown} ({key})", next.name), "update due"))
}

fn list(state: &State, snapshot: &Snapshot) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    let scrub = snapshot.journal.scrub.as_ref();
    if let Some((record, why)) = scrub.and_then(|s| s.bad.zip(s.why.as_ref())) {
        let long = format!("journal DAMAGED at record {record}, nothing new can begin: {why}");
        alarms.push(alarm(Health::Critical, Role::Alarm, long, "journal DAMAGED"));
    } else if let Some(why) = &snapshot.journal.broken {
        let long = format!("JOURNAL BROKEN, nothing can run: {why}");
        alarms.push(alarm(Health::Critical, Role::Alarm, long, "JOURNAL BROKEN"));
    }
    if let Some(glass) = &snapshot.glass {
        if glass.review_due {
            alarms.push(alarm(Health::Warn, Role::Warn, "glass review due", "review due"));
        } else {
            let until = glass.until.strftime("%H:%M");
            let long = format!("GLASS BROKEN by {} until {until}Z", glass.by);
            alarms.push(alarm(Health::Critical, Role::Alarm, long, "GLASS BROKEN"));
        }
    }
    let unknown: Vec<_> = snapshot.panes.sources.iter().filter(|s| s.health == Health::Unknown).collect();
    if let [only] = unknown.as_slice() {
        let long = format!("1 source unknown: {}", only.id);
        alarms.push(alarm(Health::Unknown, Role::Unknown, long, "1 unknown"));
    } else if !unknown.is_empty() {
        let n = unknown.len();
        alarms.push(alarm(Health::Unknown, Role::Unknown, format!("{n} sources unknown"), format!("{n} unknown")));
    }
    alarms.extend(promised(state, snapshot));
    let unanswered = snapshot.comms.calls.iter().filter(|c| c.acknowledged.is_none()).count();
    if unanswered > 0 {
        let long = format!("{} unanswered ({})", count(unanswered, "call"), state.key(Action::Comms));
        alarms.push(alarm(Health::Warn, Role::Warn, long, format!("{unanswered} unanswered")));
    }
    let unheard = snapshot.measures.iter().filter(|m| m.is_unacknowledged()).count();
    if unheard > 0 {
        let long = format!("{} not acknowledged", count(unheard, "fallback"));
        alarms.push(alarm(Health::Warn, Role::Warn, long, format!("{unheard} unheard")));
    }
    let measures = snapshot.measures.len();
    if measures > 0 {
        let long = format!("{} in force", count(measures, "measure"));
        alarms.push(alarm(Health::Warn, Role::Warn, long, format!("{measures} in force")));
    }
    let steps = snapshot.runs.iter().filter_map(crate::console::state::current_step);
    let steps = steps.filter(|s| s.state == StepState::AwaitsApproval).count();
    let open = snapshot.requests.iter().filter(|r| r.state == RequestState::Open).count();
    let approvals = steps.max(open);
    if approvals > 0 {
        let long = format!("{} waiting ({})", count(approvals, "approval"), state.key(Action::Requests));
        alarms.push(alarm(Health::Warn, Role::Warn, long, format!("{approvals} to approve")));
    }
    for one in &snapshot.sign_ins {
        if let SignInState::Waiting { code, until, .. } = &one.state {
            let left = countdown(seconds_between(state.now(), *until));
            let long = format!("{} logs in with {code}, {left} left ({})", one.person, state.key(Action::People));
            alarms.push(alarm(Health::Warn, Role::Warn, long, format!("login {code}")));
        }
    }
    let commander = snapshot.current_incident().and_then(|i| i.roles.get(&Duty::Commander));
    if let Some(commander) = commander.filter(|c| !snapshot.consoles.is_empty() && snapshot.present(c).next().is_none())
    {
        let long = format!("commander {commander} is not attached");
        alarms.push(alarm(Health::Warn, Role::Warn, long, "commander away"));
    }
    if let (Mode::Drill, Some(drill)) = (state.mode(), &snapshot.drill) {
        let pace = if drill.speed > 0.0 { format!("x{}", drill.speed) } else { "PAUSED".into() };
        alarms.push(alarm(
            Health::Ok,
            Role::Drill,
            format!(
                "exercise {} {pace} ({}{})",
                drill.scenario,
                state.key(Action::Exercise),
                drill.hint.map_or_else(String::new, |_| format!(", hint {}", state.key(Action::DrillHint)))
            ),
            format!("drill {pace} ({})", state.key(Action::Exercise)),
        ));
    }
    if let Some(replay) = &snapshot.replay {
        let pace = if replay.speed > 0.0 { format!("x{}", replay.speed) } else { "STANDS".into() };
        let (by_now, all) = replay.records;
        let day = snapshot.at.strftime("%Y-%m-%d");
        let long = format!("replay of {} {pace}, {day}, record {by_now} of {all}", replay.incident);
        alarms.push(alarm(Health::Ok, Role::Drill, long, format!("replay {pace}")));
        if let Some(why) = &replay.unseen {
            let long = format!("only the records are known: {why}");
            alarms.push(alarm(Health::Unknown, Role::Unknown, long, "records only"));
        }
    }
    let custody = custody(&snapshot.journal, state.now());
    for one in custody.iter().filter(|c| c.health == Some(Health::Warn)) {
        alarms.push(alarm(
            Health::Warn,
            Role::Warn,
            format!("journal {}: {}", one.word, one.short),
            format!("not {}", one.word),
        ));
    }
    if snapshot.journal.broken.is_none() {
        let good =
            custody.iter().filter(|c| c.health == Some(Health::Ok)).map(|c| c.word).collect::<Vec<_>>().join(", ");
        let (long, short) = match scrub.and_then(ScrubView::percent) {
            Some(percent) => (format!("journal {good}, scrub {percent}%"), format!("scrub {percent}%")),
            None => (format!("journal {good}"), "journal ok".to_owned()),
        };
        alarms.push(alarm(Health::Ok, Role::Dim, long, short));
    }
    if unknown.is_empty() && !snapshot.panes.sources.is_empty() {
        alarms.push(alarm(Health::Ok, Role::Dim, "every source answers", "sources ok"));
    }
    alarms
}

/// The next verb.
pub fn next_verb(canvas: &mut Canvas<'_>, state: &State, area: Rect) {
    let next = next(state);
    let key = next.go.as_ref().filter(|_| state.overlays.is_empty()).map(|_| state.key(Action::Next));
    let right = key.map_or_else(Strip::new, |key| Strip::text("  ").and(Role::Accent, key).and(Role::Text, " "));
    let room = Rect { width: area.width.saturating_sub(cells(right.width())), ..area };
    canvas.line(room, 0, &Strip::of(Role::Title, " Next: ").and_strip(next.text));
    canvas.right(area, 0, &right);
}

/// The keys of this place, or what just happened.
pub fn hints(canvas: &mut Canvas<'_>, state: &State, area: Rect) {
    if let Some(notice) = &state.notice {
        canvas.line(area, 0, &Strip::of(notice.role, format!(" {}", notice.text)));
        return;
    }
    if let Some(Overlay::Filter(filter)) = state.overlays.last()
        && filter.pane == PaneId::Journal
    {
        let loaded = state.records().into_iter().filter(|e| state.log.wanted.admits(e)).count();
        let loaded = if text_of(&filter.input).trim().is_empty() { 0 } else { loaded };
        let strip = Strip::of(Role::Accent, " / ")
            .and(Role::Input, text_of(&filter.input))
            .and(Role::Focus, " ")
            .and(Role::Dim, format!("  {loaded} of the loaded records"))
            .and(Role::Dim, format!("   {} search all  {} clear", state.key(Action::Press), state.key(Action::Back)));
        canvas.line(area, 0, &strip);
        return;
    }
    if let Some(Overlay::Filter(filter)) = state.overlays.last() {
        let pane = state.panes.get(filter.pane);
        let shown = format!("  {} of {}", pane.order.len(), pane.total);
        let strip = Strip::of(Role::Accent, " / ")
            .and(Role::Input, text_of(&filter.input))
            .and(Role::Focus, " ")
            .and(Role::Dim, shown)
            .and(Role::Dim, format!("   {} keep  {} clear", state.key(Action::Press), state.key(Action::Back)));
        canvas.line(area, 0, &strip);
        return;
    }
    let place = state.place();
    let reading = |b: &keymap::Binding| {
        matches!(place, keymap::Place::Sheet | keymap::Place::Record | keymap::Place::Subject | keymap::Place::Logs)
            && matches!(b.action, Action::PageDown | Action::PageUp | Action::Copy)
    };
    // What has no key can not be hinted at; the palette has it.
    let mut hints: Vec<(&keymap::Binding, String)> = (state.facts.keys.valid(place))
        .filter(|(b, _)| b.hint > 0 || reading(b))
        .filter_map(|(binding, keys)| keys.first().map(|key| (binding, key.name())))
        .collect();
    // The overview is where a person who has never seen it starts: it names the other screens first.
    let screens = |b: &keymap::Binding| (40..50).contains(&b.hint);
    let overview = place == keymap::Place::Overview;
    hints.sort_by_key(|(b, _)| if overview && screens(b) { b.hint - 40 } else { b.hint });
    let home = state.screen == Screen::Overview && !state.jumps.leads_back() && state.overlays.is_empty();
    hints.retain(|(b, _)| match b.action {
        Action::Back | Action::Overview => !home,
        Action::Declare => state.snapshot.as_ref().is_none_or(|s| s.current_incident().is_none()),
        // Where nothing goes on there is nothing to stop.
        Action::EmergencyStop => {
            let goes_on = state.shown_step().is_some_and(|(run, _)| is_open(run.state));
            place == keymap::Place::Confirm || place == keymap::Place::Run && goes_on
        }
        _ => true,
    });
    let way_out = |(b, _): &&(&keymap::Binding, String)| b.hint >= 50;
    let hint = |(b, key): &(&keymap::Binding, String)| {
        let role = if b.danger { Role::Warn } else { Role::Accent };
        Strip::text(" ").and(role, key).and(Role::Dim, format!(" {}", label(state, b)))
    };
    let mut tail = Strip::new();
    for binding in hints.iter().filter(|b| way_out(b)) {
        tail.append(hint(binding));
    }
    // What is dangerous takes a key, never a click.
    let mut pointed: Vec<(usize, usize, Action)> = Vec::new();
    let mut strip = Strip::new();
    for binding in hints.iter().filter(|b| !way_out(b)) {
        let one = hint(binding);
        if strip.width() + one.width() + tail.width() > usize::from(area.width) {
            break;
        }
        if !binding.0.danger {
            pointed.push((strip.width() + 1, one.width() - 1, binding.0.action));
        }
        strip.append(one);
    }
    for binding in hints.iter().filter(|b| way_out(b)) {
        let one = hint(binding);
        pointed.push((strip.width() + 1, one.width() - 1, binding.0.action));
        strip.append(one);
    }
    canvas.line(area, 0, &strip);
    for (x, width, action) in pointed {
        let here = Rect { x: area.x.saturating_add(cells(x)), width: cells(width), ..area };
        canvas.point(here, Target::Act(action));
    }
}

/// What a key does to what is under the cursor, in a word.
fn label(state: &State, binding: &keymap::Binding) -> &'static str {
    match (binding.action, state.place(), state.focused()) {
        (Action::Open, keymap::Place::Finding, PaneId::Offers)
        | (Action::Open, keymap::Place::Playbooks, PaneId::Playbooks) => "start",
        (Action::Open, keymap::Place::Run, _) => state.opens().word(),
        _ => binding.label,
    }
}

/// What is left of everything on a tiny terminal: one line, two or three when there are.
pub fn tiny(canvas: &mut Canvas<'_>, state: &State, area: Rect) {
    let glyphs = canvas.theme.glyphs;
    let health = state.snapshot.as_ref().map_or(Health::Unknown, |s| s.health);
    if area.width < 8 {
        let lost = state.lost().is_some();
        let (role, health) = if lost { (Role::Alarm, Health::Critical) } else { (health.into(), health) };
        canvas.line(area, 0, &Strip::of(role, glyphs.of(health)));
        return;
    }
    let mut strip = Strip::new();
    if state.lost().is_some() {
        strip.push(Role::Alarm, "LOST ");
    }
    strip.push(health.into(), glyphs.of(health));
    match state.mode() {
        _ if state.is_drill() => strip.push(Role::Drill, " DRILL"),
        Mode::Replay => strip.push(Role::Drill, " REPLAY"),
        Mode::Drill | Mode::Live | Mode::ReadOnly => {}
    }
    if let Some(snapshot) = state.snapshot.as_deref() {
        strip.push(health.into(), format!(" {}", health.word()));
        if let Some(incident) = snapshot.current_incident() {
            strip.push(incident.severity.into(), format!(" {} {}", incident.id, incident.severity));
        }
    }
    strip.push(Role::Text, format!(" {}Z", clock(state.now())));
    canvas.line(area, 0, &strip);
    if area.height > 1 {
        alarms(canvas, state, super::row(area, 1));
    }
    if area.height > 2 {
        next_verb(canvas, state, super::row(area, 2));
    }
    if area.height > 3 {
        hints(canvas, state, super::row(area, 3));
    }
}
