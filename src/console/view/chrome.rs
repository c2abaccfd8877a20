//! What stands on every screen: who and where, the alarms that may not scroll away, the next verb, the hints.

use super::canvas::{Canvas, cells};
use crate::console::alarms;
use crate::console::estates;
use crate::console::format::{clock, hours_minutes, seconds_between, wall};
use crate::console::keymap::{self, Action};
use crate::console::msg::Target;
use crate::console::next::next;
use crate::console::rows::is_open;
use crate::console::state::{Overlay, PaneId, Screen, State, text_of};
use crate::console::strip::Strip;
use crate::console::theme::Role;
use crate::domain::estate::Environment;
use crate::domain::health::Health;
use crate::domain::incident::Role as Duty;
use crate::domain::mode::Mode;
use crate::engine::api::Snapshot;
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

/// The alarms that may not scroll away, also those of the other estates of this console.
pub fn alarms(canvas: &mut Canvas<'_>, state: &State, area: Rect) {
    let elsewhere = estates::elsewhere(state);
    if let Some((whole, head)) = gone(state) {
        let width = usize::from(area.width);
        let others: Vec<&str> = elsewhere.iter().map(|a| a.short.as_str()).collect();
        let others = if others.is_empty() { String::new() } else { format!(" | {}", others.join(" | ")) };
        let fits = |text: &str| Strip::text(text).width() + Strip::text(&others).width() <= width;
        let text = if fits(&whole) { whole } else { head };
        // What the others have to say keeps its place at the end.
        let room = width.saturating_sub(Strip::text(&others).width());
        let text = crate::console::strip::fit(&text, room, canvas.theme.glyphs.ellipsis);
        canvas.line(area, 0, &Strip::of(Role::Alarm, text + &others));
        canvas.tint(area, Role::Alarm);
        return;
    }
    let own = state.snapshot.as_deref().map(|snapshot| alarms::list(state, snapshot));
    let unknown = canvas.theme.glyphs.of(Health::Unknown);
    let mut alarms = match own {
        Some(own) => own,
        None if elsewhere.is_empty() => {
            let strip = Strip::of(Role::Unknown, format!(" {unknown} waiting for the engine: nothing is known yet"));
            canvas.line(area, 0, &strip);
            return;
        }
        None => vec![alarms::alarm(Health::Unknown, Role::Unknown, "waiting for the engine", "waiting")],
    };
    // Behind what is an alarm of its own here; before what may wait.
    let at = alarms.iter().take_while(|a| a.role == Role::Alarm).count();
    alarms.splice(at..at, elsewhere);
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

/// That the engine is gone or silent, where it is: with all that there is to say, and in short.
fn gone(state: &State) -> Option<(String, String)> {
    if let Some(lost) = &state.link.lost {
        let gone = seconds_between(lost.since, state.clock.wall);
        let head = format!(" ENGINE GONE since {}Z ({gone} s), nothing is current: {}", clock(lost.since), lost.why);
        return Some((format!("{head}; it is being looked for"), head));
    }
    state.snapshot.as_ref()?;
    let since = state.clock.lost()?;
    let silent = seconds_between(since, state.clock.wall);
    let text = format!(" ENGINE LOST since {}Z ({silent} s): nothing below is current", clock(since));
    Some((text.clone(), text))
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
    if state.settling {
        let name = estates::own_words(state);
        canvas.line(
            area,
            0,
            &Strip::of(Role::Accent, format!(" {name} is on the screen now; keys are taken in a moment")),
        );
        return;
    }
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
        Action::Estates => state.estates.are_several(),
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
        (Action::Open, keymap::Place::Estates, _) => "go there",
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
