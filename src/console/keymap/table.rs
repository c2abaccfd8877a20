//! The table itself: one record an action.

use super::{Action, Binding, Key, Place, Scope};
use crossterm::event::KeyCode;

const fn key(code: KeyCode) -> Key {
    Key { code, ctrl: false }
}

const fn ch(c: char) -> Key {
    key(KeyCode::Char(c))
}

const fn ctrl(c: char) -> Key {
    Key { code: KeyCode::Char(c), ctrl: true }
}

const fn bind(
    action: Action,
    keys: &'static [Key],
    label: &'static str,
    help: &'static str,
    scope: Scope,
    hint: u8,
) -> Binding {
    Binding { action, keys, label, help, danger: false, scope, hint }
}

const fn danger(binding: Binding) -> Binding {
    Binding { danger: true, ..binding }
}

use Place as P;
use Scope::{Always, In, Screens, ScreensBut};

const LISTS: Scope = In(&[
    P::Overview,
    P::Tenants,
    P::Database,
    P::Queue,
    P::Ingress,
    P::Subjects,
    P::Findings,
    P::Finding,
    P::Incident,
    P::Playbooks,
    P::Run,
    P::Journal,
    P::Found,
    P::Sources,
    P::Record,
    P::Subject,
    P::Logs,
    P::Sheet,
]);
const OPENED: Scope = In(&[
    P::Overview,
    P::Tenants,
    P::Database,
    P::Queue,
    P::Ingress,
    P::Subjects,
    P::Findings,
    P::Finding,
    P::Incident,
    P::Playbooks,
    P::Journal,
    P::Found,
    P::Sources,
]);
const FILTERED: Scope = In(&[
    P::Overview,
    P::Tenants,
    P::Queue,
    P::Ingress,
    P::Subjects,
    P::Findings,
    P::Playbooks,
    P::Sources,
    P::Database,
]);
const LOG: Scope = In(&[P::Journal, P::Found]);
const PANES: Scope = In(&[P::Overview, P::Database, P::Incident, P::Playbooks, P::Finding]);
const DIALOGS: Scope = In(&[P::Confirm, P::Asked, P::Question]);
const READ: Scope = In(&[P::Confirm, P::Asked]);

/// Every action.
pub const BINDINGS: &[Binding] = &[
    // Screens.
    bind(Action::Overview, &[ch('o')], "overview", "Overview: worst first", Screens, 40),
    bind(Action::Tenants, &[ch('t'), ch('1')], "tenants", "Tenants", Screens, 41),
    bind(Action::Database, &[ch('d'), ch('2')], "database", "Databases: topology, lag, lock tree", Screens, 42),
    bind(Action::Queue, &[ch('q'), ch('3')], "queue", "Queues: job channels and Redis", Screens, 43),
    bind(Action::Ingress, &[ch('i'), ch('4')], "ingress", "Ingress: routers, latency, certificates", Screens, 44),
    bind(Action::Platform, &[ch('5')], "platform", "Platform: clusters, nodes and what runs on them", Screens, 0),
    bind(Action::Recovery, &[ch('6')], "recovery", "Recovery: backups and what they are worth", Screens, 0),
    bind(Action::Delivery, &[ch('7')], "delivery", "Delivery: what brings changes, and how far it is", Screens, 0),
    bind(Action::Business, &[ch('8')], "business", "Business: processes, integrations, synthetics", Screens, 0),
    bind(Action::Security, &[ch('9')], "security", "Security: rights, certificates, privileged actions", Screens, 0),
    bind(Action::Playbooks, &[ch('p')], "playbooks", "Playbooks and runs", Screens, 45),
    bind(Action::Journal, &[ch('j')], "journal", "Journal: every record", Screens, 46),
    bind(Action::Findings, &[ch('f')], "findings", "Findings with their evidence", Screens, 47),
    bind(
        Action::Incident,
        &[ch('n'), ch('I')],
        "incident",
        "Incident: state, timeline, roles",
        ScreensBut(P::Found),
        48,
    ),
    bind(Action::Incident, &[ch('I')], "incident", "Incident: state, timeline, roles", In(&[P::Found]), 48),
    bind(Action::Sources, &[ch('s')], "sources", "Sources: age, latency and error of every observer", Screens, 49),
    // What to do.
    bind(Action::Next, &[ch(' ')], "do next", "Do what the line `Next` says", Screens, 0),
    bind(Action::Open, &[key(KeyCode::Enter)], "details", "Open what is under the cursor", OPENED, 10),
    bind(
        Action::Open,
        &[key(KeyCode::Enter)],
        "confirm",
        "Confirm or decide the step in hand; show all of any other",
        In(&[P::Run]),
        10,
    ),
    bind(
        Action::Acknowledge,
        &[ch('x')],
        "seen",
        "Say that you have seen the finding",
        In(&[P::Overview, P::Findings, P::Finding]),
        12,
    ),
    bind(
        Action::Logs,
        &[ch('l')],
        "logs",
        "Logs of the tenant under the cursor: errors counted, slowest spans, last lines",
        In(&[P::Finding]),
        13,
    ),
    bind(
        Action::Logs,
        &[ch('l')],
        "logs",
        "Logs of the tenant under the cursor: errors counted, slowest spans, last lines",
        In(&[P::Overview, P::Tenants, P::Queue, P::Ingress, P::Subjects, P::Findings, P::Subject]),
        0,
    ),
    danger(bind(Action::Declare, &[ch('F')], "declare", "Declare an incident", Screens, 14)),
    bind(Action::Note, &[ch('N')], "note", "Write a note, also on something done outside", ScreensBut(P::Found), 20),
    bind(Action::EditIncident, &[ch('e')], "edit", "Change severity or state of the incident", In(&[P::Incident]), 11),
    bind(Action::AssignRole, &[ch('a')], "role", "Give a role in the incident to a person", In(&[P::Incident]), 12),
    danger(bind(
        Action::TakeOver,
        &[ch('O')],
        "take over",
        "Deputy: take the command over when no console of the commander is heard of",
        Screens,
        0,
    )),
    danger(bind(Action::CloseIncident, &[ch('C')], "close", "Close the incident", Screens, 0)),
    bind(
        Action::AssignMeasure,
        &[ch('h')],
        "hand over",
        "Hand the measure under the cursor to an owner",
        In(&[P::Incident]),
        13,
    ),
    bind(Action::Explain, &[ch('e')], "explain", "Explain the risk of the step", In(&[P::Run]), 11),
    bind(
        Action::Explain,
        &[ch('e')],
        "explain",
        "Explain the finding: its rule, values and what else it rests on",
        In(&[P::Findings, P::Finding]),
        11,
    ),
    bind(Action::ByHand, &[ch('k')], "kubectl/SQL", "Show the step as a command to type", In(&[P::Run]), 13),
    bind(Action::Recheck, &[ch('r')], "check again", "Evaluate the waiting step again", In(&[P::Run]), 14),
    danger(bind(Action::StopRun, &[ch('Z')], "stop run", "End the run after the step in hand", In(&[P::Run]), 15)),
    danger(bind(Action::ResumeRun, &[ch('R')], "resume", "Go on with a stopped run", In(&[P::Run]), 0)),
    danger(bind(
        Action::EmergencyStop,
        &[ctrl('x')],
        "STOP",
        "Emergency stop: every run halts after the target in hand",
        Always,
        12,
    )),
    danger(bind(
        Action::BreakGlass,
        &[ch('B')],
        "break glass",
        "Break the glass for 30 minutes, with a reason",
        Screens,
        0,
    )),
    bind(Action::RestoreGlass, &[ch('M')], "mend glass", "Mend the broken glass before its end", Screens, 0),
    bind(Action::ReviewGlass, &[ch('V')], "review", "Record the review of the broken glass", Screens, 0),
    // One key away.
    bind(Action::Situation, &[ch('w')], "report", "Situation report in ten lines", Screens, 0),
    bind(Action::Since, &[ch('u')], "since", "What happened since you left", Screens, 0),
    bind(Action::Measures, &[ch('m')], "measures", "Measures in force, with owner and end", Screens, 0),
    bind(Action::Requests, &[ch('A')], "approvals", "Requests that wait for a signature", Screens, 0),
    bind(Action::People, &[ch('W')], "who", "Who is attached, and in which role", Screens, 0),
    bind(Action::Brief, &[ch('b')], "brief", "Brief for whoever takes the command over", Screens, 0),
    bind(Action::Exercise, &[ch('E')], "exercise", "Drill: briefing, what was told, the score afterwards", Screens, 0),
    bind(Action::DrillHint, &[ch('H')], "hint", "Drill: ask for a hint; it costs points", Screens, 0),
    bind(Action::DrillPause, &[ch('T')], "pause", "Drill, replay: stand still or go on", Screens, 0),
    bind(Action::DrillFaster, &[ch('+')], "faster", "Drill, replay: double the speed", Screens, 0),
    bind(Action::DrillSlower, &[ch('-')], "slower", "Drill, replay: halve the speed", Screens, 0),
    bind(Action::ReplayEarlier, &[ch('[')], "record before", "Replay: to the record before", Screens, 0),
    bind(Action::ReplayLater, &[ch(']')], "next record", "Replay: to the next record", Screens, 0),
    bind(Action::ReplayBack, &[ch('{')], "minute back", "Replay: a minute back", Screens, 0),
    bind(Action::ReplayOn, &[ch('}')], "minute on", "Replay: a minute on", Screens, 0),
    bind(Action::ReplayTo, &[ch('@')], "moment", "Replay: to a moment that is asked for", Screens, 0),
    // Moving.
    bind(Action::Up, &[key(KeyCode::Up), ch('K')], "up", "A row up", LISTS, 0),
    bind(Action::Down, &[key(KeyCode::Down), ch('J')], "down", "A row down", LISTS, 0),
    bind(Action::PageUp, &[key(KeyCode::PageUp), ctrl('u')], "page up", "A page up", LISTS, 0),
    bind(Action::PageDown, &[key(KeyCode::PageDown), ctrl('d')], "page down", "A page down", LISTS, 0),
    bind(Action::Top, &[key(KeyCode::Home), ch('g')], "top", "To the first row; rows are sorted again", LISTS, 0),
    bind(Action::Bottom, &[key(KeyCode::End), ch('G')], "end", "To the last row", LISTS, 0),
    bind(Action::NextPane, &[key(KeyCode::Tab)], "next pane", "To the next pane", PANES, 16),
    bind(Action::PreviousPane, &[key(KeyCode::BackTab)], "pane before", "To the pane before", PANES, 0),
    bind(Action::Search, &[ch('/')], "search", "Search the whole journal for words", LOG, 11),
    bind(Action::OlderMatch, &[ch('n')], "older", "To the next match that is older", In(&[P::Found]), 12),
    bind(Action::NewerMatch, &[ch('N')], "newer", "To the next match that is newer", In(&[P::Found]), 13),
    bind(
        Action::OnlyIncident,
        &[ch('c')],
        "this incident",
        "Only records of the incident under the cursor; again for all",
        LOG,
        14,
    ),
    bind(Action::OnlyKind, &[ch('k')], "kind", "Only records of the kind under the cursor; again for all", LOG, 15),
    bind(Action::OnlyWho, &[ch('a')], "who", "Only records by the person under the cursor; again for all", LOG, 16),
    bind(
        Action::SaveProof,
        &[ch('s')],
        "save proof",
        "Write the proof of the record into a file in the working directory",
        In(&[P::Record]),
        11,
    ),
    bind(Action::Filter, &[ch('/')], "filter", "Filter the rows", FILTERED, 15),
    bind(Action::Sort, &[ch('S')], "sort", "Sort the rows another way", FILTERED, 17),
    bind(Action::Group, &[ch('c')], "group", "Group the rows by tenant, plant, cluster or region", FILTERED, 18),
    bind(
        Action::NextPane,
        &[key(KeyCode::Tab), key(KeyCode::Right)],
        "next signal",
        "Chart of the next signal",
        In(&[P::Subject]),
        11,
    ),
    bind(
        Action::PreviousPane,
        &[key(KeyCode::BackTab), key(KeyCode::Left)],
        "signal before",
        "Chart of the signal before",
        In(&[P::Subject]),
        0,
    ),
    bind(
        Action::NextPane,
        &[key(KeyCode::Tab), key(KeyCode::Right)],
        "next tenant",
        "Logs of the next tenant that the finding names",
        In(&[P::Logs]),
        11,
    ),
    bind(
        Action::PreviousPane,
        &[key(KeyCode::BackTab), key(KeyCode::Left)],
        "tenant before",
        "Logs of the tenant before",
        In(&[P::Logs]),
        0,
    ),
    bind(Action::Copy, &[ch('y')], "copy", "Copy what is under the cursor to your clipboard", LISTS, 0),
    // Dialogs.
    bind(Action::Press, &[key(KeyCode::Enter)], "press", "Press the button with the focus", DIALOGS, 1),
    bind(
        Action::MoveFocus,
        &[key(KeyCode::Tab), key(KeyCode::BackTab), key(KeyCode::Left), key(KeyCode::Right)],
        "other button",
        "To the other button",
        DIALOGS,
        2,
    ),
    bind(Action::PageDown, &[key(KeyCode::PageDown)], "read on", "A page of the request down", READ, 3),
    bind(Action::PageUp, &[key(KeyCode::PageUp)], "page up", "A page of the request up", READ, 0),
    bind(Action::Down, &[key(KeyCode::Down)], "down", "A line of the request down", READ, 0),
    bind(Action::Up, &[key(KeyCode::Up)], "up", "A line of the request up", READ, 0),
    bind(Action::Bottom, &[key(KeyCode::End)], "end", "To the end of the request", READ, 0),
    bind(Action::Top, &[key(KeyCode::Home)], "top", "To the beginning of the request", READ, 0),
    bind(Action::NextRequest, &[ch('n')], "next", "To the next request", In(&[P::Asked]), 4),
    bind(Action::TurnRole, &[ch('r')], "role", "Answer in the next role that is asked for", In(&[P::Asked]), 5),
    bind(Action::Press, &[key(KeyCode::Enter)], "next or send", "Next field, or press the button", In(&[P::Form]), 1),
    bind(
        Action::NextPane,
        &[key(KeyCode::Tab), key(KeyCode::Down)],
        "next field",
        "To the next field",
        In(&[P::Form]),
        2,
    ),
    bind(
        Action::PreviousPane,
        &[key(KeyCode::BackTab), key(KeyCode::Up)],
        "field before",
        "To the field before",
        In(&[P::Form]),
        3,
    ),
    bind(Action::Press, &[key(KeyCode::Enter)], "choose", "Choose or keep", In(&[P::Palette, P::Filter]), 1),
    bind(Action::Up, &[key(KeyCode::Up), ctrl('p')], "up", "A line up", In(&[P::Palette]), 0),
    bind(Action::Down, &[key(KeyCode::Down), ctrl('n')], "down", "A line down", In(&[P::Palette]), 0),
    bind(
        Action::View,
        &[ch('v')],
        "view",
        "View of the next role: commander, DBA, ERP, security, operations",
        Screens,
        0,
    ),
    bind(Action::Theme, &[ctrl('t')], "theme", "Theme: tries each on as you go through them", Screens, 0),
    // The way out.
    bind(Action::Back, &[key(KeyCode::Esc)], "back", "Back, or close what lies on top", Always, 50),
    bind(
        Action::Palette,
        &[ch(':'), ctrl('p')],
        "palette",
        "Palette: search every action, tenant and playbook",
        Screens,
        51,
    ),
    bind(Action::Help, &[ch('?')], "help", "Help: every key of this screen", Screens, 52),
    bind(Action::Quit, &[ch('Q')], "quit", "Quit; asks while a run is open", Screens, 0),
    bind(Action::Quit, &[ctrl('c')], "quit", "Quit, from everywhere", Always, 0),
    bind(Action::Suspend, &[ctrl('z')], "suspend", "Suspend to the shell", Always, 0),
    bind(Action::Redraw, &[ctrl('l')], "redraw", "Draw the screen again", Always, 0),
];
