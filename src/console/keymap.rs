//! The one table of actions: each has its keys, its hint, its help and its danger in one record, which feeds
//! the dispatch of keys, the palette, the help and the hint line. `Ctrl-A` and `Ctrl-B` are left to `screen`
//! and `tmux`. Letters name screens, so that rows are moved through with the arrows or with `J` and `K`.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Something a key can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// To the overview.
    Overview,
    /// To the tenants.
    Tenants,
    /// To the databases.
    Database,
    /// To the queues.
    Queue,
    /// To the ingress.
    Ingress,
    /// To the findings.
    Findings,
    /// To the incident.
    Incident,
    /// To the playbooks and runs.
    Playbooks,
    /// To the journal.
    Journal,
    /// To the sources.
    Sources,
    /// Does what is next.
    Next,
    /// Opens what is under the cursor.
    Open,
    /// Back, or closes what lies on top.
    Back,
    /// A row up.
    Up,
    /// A row down.
    Down,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the first row.
    Top,
    /// To the last row.
    Bottom,
    /// To the next pane or field.
    NextPane,
    /// To the pane or field before.
    PreviousPane,
    /// Filters the rows.
    Filter,
    /// Sorts the rows another way.
    Sort,
    /// Opens the palette.
    Palette,
    /// Opens the help.
    Help,
    /// Copies what is under the cursor to the clipboard.
    Copy,
    /// Says that a finding has been seen.
    Acknowledge,
    /// Declares an incident.
    Declare,
    /// Writes a note.
    Note,
    /// Changes severity or state of the incident.
    EditIncident,
    /// Gives a role to a person.
    AssignRole,
    /// Closes the incident.
    CloseIncident,
    /// Shows the measures in force.
    Measures,
    /// Hands a measure to an owner.
    AssignMeasure,
    /// Situation report in ten lines.
    Situation,
    /// What happened since the person left.
    Since,
    /// Breaks the glass.
    BreakGlass,
    /// Mends the glass.
    RestoreGlass,
    /// Records the review of a broken glass.
    ReviewGlass,
    /// Explains the risk of a step.
    Explain,
    /// Shows a step as a command.
    ByHand,
    /// Evaluates a waiting step again.
    Recheck,
    /// Ends a run after the step in hand.
    StopRun,
    /// Goes on with a run.
    ResumeRun,
    /// Stops every run.
    EmergencyStop,
    /// Pauses or resumes the scenario.
    DrillPause,
    /// Doubles the speed of the scenario.
    DrillFaster,
    /// Halves the speed of the scenario.
    DrillSlower,
    /// Leaves.
    Quit,
    /// Stops the console like any job.
    Suspend,
    /// Draws everything again.
    Redraw,
    /// To the other button.
    MoveFocus,
    /// Presses the button with the focus.
    Press,
}

/// Where keys go: the screen, or what lies on top of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Overview.
    Overview,
    /// Tenants.
    Tenants,
    /// Databases.
    Database,
    /// Queues.
    Queue,
    /// Ingress.
    Ingress,
    /// List of findings.
    Findings,
    /// One finding.
    Finding,
    /// Incident.
    Incident,
    /// Playbooks and runs.
    Playbooks,
    /// One run.
    Run,
    /// Journal.
    Journal,
    /// Sources.
    Sources,
    /// A sheet of text on top.
    Sheet,
    /// The dialog that confirms a step.
    Confirm,
    /// A dialog with a question and two buttons.
    Question,
    /// A dialog with fields.
    Form,
    /// The palette.
    Palette,
    /// The filter line.
    Filter,
}

impl Place {
    /// Whether it is a screen, and not something on top of one.
    pub const fn is_screen(self) -> bool {
        !matches!(self, Self::Sheet | Self::Confirm | Self::Question | Self::Form | Self::Palette | Self::Filter)
    }
}

/// Where an action is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere, whatever lies on top.
    Always,
    /// On every screen, when nothing lies on top.
    Screens,
    /// In these places.
    In(&'static [Place]),
}

impl Scope {
    /// Whether it holds in a place.
    pub fn holds(self, place: Place) -> bool {
        match self {
            Self::Always => true,
            Self::Screens => place.is_screen(),
            Self::In(places) => places.contains(&place),
        }
    }
}

/// One key, with or without Ctrl. The case of a letter carries Shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Which.
    pub code: KeyCode,
    /// With Ctrl.
    pub ctrl: bool,
}

const fn key(code: KeyCode) -> Key {
    Key { code, ctrl: false }
}

const fn ch(c: char) -> Key {
    key(KeyCode::Char(c))
}

const fn ctrl(c: char) -> Key {
    Key { code: KeyCode::Char(c), ctrl: true }
}

impl Key {
    fn matches(self, event: &KeyEvent) -> bool {
        event.code == self.code
            && event.modifiers.contains(KeyModifiers::CONTROL) == self.ctrl
            && !event.modifiers.contains(KeyModifiers::ALT)
    }

    /// As it is written on the screen.
    pub fn name(self) -> String {
        let name = match self.code {
            KeyCode::Char(' ') => "Space".to_owned(),
            KeyCode::Char(c) if self.ctrl => return format!("Ctrl-{}", c.to_ascii_uppercase()),
            KeyCode::Char(c) => c.to_string(),
            KeyCode::Enter => "Enter".into(),
            KeyCode::Esc => "Esc".into(),
            KeyCode::Tab => "Tab".into(),
            KeyCode::BackTab => "Shift-Tab".into(),
            KeyCode::Up => "Up".into(),
            KeyCode::Down => "Down".into(),
            KeyCode::Left => "Left".into(),
            KeyCode::Right => "Right".into(),
            KeyCode::PageUp => "PgUp".into(),
            KeyCode::PageDown => "PgDn".into(),
            KeyCode::Home => "Home".into(),
            KeyCode::End => "End".into(),
            other => format!("{other:?}"),
        };
        if self.ctrl { format!("Ctrl-{name}") } else { name }
    }
}

/// One action with all that is ever said about it.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// What it does.
    pub action: Action,
    /// Its keys; the first is shown.
    pub keys: &'static [Key],
    /// A word or two for the hint line.
    pub label: &'static str,
    /// What it does, for the palette and the help.
    pub help: &'static str,
    /// Whether it can change the estate or cut somebody off; drawn as such, never run by the palette without
    /// the dialog that belongs to it.
    pub danger: bool,
    /// Where it is valid.
    pub scope: Scope,
    /// Place in the hint line, small first; 0 is never shown there.
    pub hint: u8,
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
use Scope::{Always, In, Screens};

const LISTS: Scope = In(&[
    P::Overview,
    P::Tenants,
    P::Database,
    P::Queue,
    P::Ingress,
    P::Findings,
    P::Finding,
    P::Incident,
    P::Playbooks,
    P::Run,
    P::Journal,
    P::Sources,
    P::Sheet,
]);
const OPENED: Scope = In(&[
    P::Overview,
    P::Tenants,
    P::Database,
    P::Queue,
    P::Ingress,
    P::Findings,
    P::Finding,
    P::Incident,
    P::Playbooks,
    P::Journal,
    P::Sources,
]);
const FILTERED: Scope = In(&[
    P::Overview,
    P::Tenants,
    P::Queue,
    P::Ingress,
    P::Findings,
    P::Playbooks,
    P::Journal,
    P::Sources,
    P::Database,
]);
const PANES: Scope = In(&[P::Overview, P::Database, P::Incident, P::Playbooks, P::Finding]);
const DIALOGS: Scope = In(&[P::Confirm, P::Question]);

/// Every action.
pub const BINDINGS: &[Binding] = &[
    // Screens.
    bind(Action::Overview, &[ch('o')], "overview", "Overview: worst first", Screens, 40),
    bind(Action::Tenants, &[ch('t')], "tenants", "Tenants", Screens, 41),
    bind(Action::Database, &[ch('d')], "database", "Databases: topology, lag, lock tree", Screens, 42),
    bind(Action::Queue, &[ch('q')], "queue", "Queues: job channels and Redis", Screens, 43),
    bind(Action::Ingress, &[ch('i')], "ingress", "Ingress: routers, latency, certificates", Screens, 44),
    bind(Action::Playbooks, &[ch('p')], "playbooks", "Playbooks and runs", Screens, 45),
    bind(Action::Journal, &[ch('j')], "journal", "Journal: every record", Screens, 46),
    bind(Action::Findings, &[ch('f')], "findings", "Findings with their evidence", Screens, 47),
    bind(Action::Incident, &[ch('n'), ch('I')], "incident", "Incident: state, timeline, roles", Screens, 48),
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
    danger(bind(Action::Declare, &[ch('F')], "declare", "Declare an incident", Screens, 14)),
    bind(Action::Note, &[ch('N')], "note", "Write a note, also on something done outside", Screens, 20),
    bind(Action::EditIncident, &[ch('e')], "edit", "Change severity or state of the incident", In(&[P::Incident]), 11),
    bind(Action::AssignRole, &[ch('a')], "role", "Give a role in the incident to a person", In(&[P::Incident]), 12),
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
    bind(Action::DrillPause, &[ch('T')], "pause", "Drill: pause or resume the scenario", Screens, 0),
    bind(Action::DrillFaster, &[ch('+')], "faster", "Drill: double the speed of the scenario", Screens, 0),
    bind(Action::DrillSlower, &[ch('-')], "slower", "Drill: halve the speed of the scenario", Screens, 0),
    // Moving.
    bind(Action::Up, &[key(KeyCode::Up), ch('K')], "up", "A row up", LISTS, 0),
    bind(Action::Down, &[key(KeyCode::Down), ch('J')], "down", "A row down", LISTS, 0),
    bind(Action::PageUp, &[key(KeyCode::PageUp), ctrl('u')], "page up", "A page up", LISTS, 0),
    bind(Action::PageDown, &[key(KeyCode::PageDown), ctrl('d')], "page down", "A page down", LISTS, 0),
    bind(Action::Top, &[key(KeyCode::Home), ch('g')], "top", "To the first row; rows are sorted again", LISTS, 0),
    bind(Action::Bottom, &[key(KeyCode::End), ch('G')], "end", "To the last row", LISTS, 0),
    bind(Action::NextPane, &[key(KeyCode::Tab)], "next pane", "To the next pane", PANES, 16),
    bind(Action::PreviousPane, &[key(KeyCode::BackTab)], "pane before", "To the pane before", PANES, 0),
    bind(Action::Filter, &[ch('/')], "filter", "Filter the rows", FILTERED, 15),
    bind(Action::Sort, &[ch('S')], "sort", "Sort the rows another way", FILTERED, 17),
    bind(
        Action::Copy,
        &[ch('y')],
        "copy",
        "Copy what is under the cursor to your clipboard",
        In(&[
            P::Overview,
            P::Tenants,
            P::Database,
            P::Queue,
            P::Ingress,
            P::Findings,
            P::Finding,
            P::Incident,
            P::Playbooks,
            P::Run,
            P::Journal,
            P::Sources,
            P::Sheet,
        ]),
        0,
    ),
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
    bind(Action::PageDown, &[key(KeyCode::PageDown)], "read on", "A page of the request down", In(&[P::Confirm]), 3),
    bind(Action::PageUp, &[key(KeyCode::PageUp)], "page up", "A page of the request up", In(&[P::Confirm]), 0),
    bind(Action::Down, &[key(KeyCode::Down)], "down", "A line of the request down", In(&[P::Confirm]), 0),
    bind(Action::Up, &[key(KeyCode::Up)], "up", "A line of the request up", In(&[P::Confirm]), 0),
    bind(Action::Bottom, &[key(KeyCode::End)], "end", "To the end of the request", In(&[P::Confirm]), 0),
    bind(Action::Top, &[key(KeyCode::Home)], "top", "To the beginning of the request", In(&[P::Confirm]), 0),
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

/// The action of a key in a place.
pub fn lookup(place: Place, event: &KeyEvent) -> Option<&'static Binding> {
    valid(place).find(|b| b.keys.iter().any(|k| k.matches(event)))
}

/// Every binding that is valid in a place.
pub fn valid(place: Place) -> impl Iterator<Item = &'static Binding> {
    BINDINGS.iter().filter(move |b| b.scope.holds(place))
}

/// The record of an action, to write its key beside something that it does.
pub fn key_of(action: Action) -> String {
    BINDINGS.iter().find(|b| b.action == action).and_then(|b| b.keys.first()).map_or_else(String::new, |k| k.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: [Place; 18] = [
        P::Overview,
        P::Tenants,
        P::Database,
        P::Queue,
        P::Ingress,
        P::Findings,
        P::Finding,
        P::Incident,
        P::Playbooks,
        P::Run,
        P::Journal,
        P::Sources,
        P::Sheet,
        P::Confirm,
        P::Question,
        P::Form,
        P::Palette,
        P::Filter,
    ];

    #[test]
    fn no_key_means_two_things_in_one_place() {
        for place in PLACES {
            let mut seen: Vec<Key> = Vec::new();
            for binding in valid(place) {
                for key in binding.keys {
                    assert!(!seen.contains(key), "{} twice on {place:?}", key.name());
                    seen.push(*key);
                }
            }
        }
    }

    #[test]
    fn the_prefixes_of_tmux_and_screen_are_left_alone() {
        let taken = BINDINGS.iter().flat_map(|b| b.keys).any(|k| k.ctrl && matches!(k.code, KeyCode::Char('a' | 'b')));
        assert!(!taken);
    }

    #[test]
    fn the_way_out_and_the_stop_work_everywhere() {
        for place in PLACES {
            for action in [Action::Back, Action::EmergencyStop, Action::Quit] {
                assert!(valid(place).any(|b| b.action == action), "{action:?} on {place:?}");
            }
        }
    }

    #[test]
    fn nothing_that_can_be_typed_acts_where_text_is_typed() {
        for place in [P::Form, P::Palette, P::Filter, P::Question, P::Confirm] {
            for binding in valid(place) {
                let typed = binding.keys.iter().any(|k| !k.ctrl && matches!(k.code, KeyCode::Char(_)));
                assert!(!typed, "{:?} on {place:?}", binding.action);
            }
        }
    }

    #[test]
    fn shift_is_carried_by_the_letter() {
        let event = KeyEvent::new(KeyCode::Char('F'), KeyModifiers::SHIFT);
        assert_eq!(lookup(Place::Overview, &event).map(|b| b.action), Some(Action::Declare));
        let event = KeyEvent::new(KeyCode::Char('x'), KeyModifiers::CONTROL);
        assert_eq!(lookup(Place::Form, &event).map(|b| b.action), Some(Action::EmergencyStop));
        let event = KeyEvent::new(KeyCode::Char('x'), KeyModifiers::ALT);
        assert!(lookup(Place::Overview, &event).is_none());
    }
}
