//! The one table of actions: each has its keys, its hint, its help and its danger in one record, which feeds
//! the dispatch of keys, the palette, the help and the hint line. `Ctrl-A` and `Ctrl-B` are left to `screen`
//! and `tmux`. Letters name screens, so that rows are moved through with the arrows or with `J` and `K`.

mod table;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

pub use table::BINDINGS;

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
    /// To clusters, nodes and what runs on them.
    Platform,
    /// To the backups.
    Recovery,
    /// To what delivers changes.
    Delivery,
    /// To the processes of the business.
    Business,
    /// To the security.
    Security,
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
    /// Groups the rows another way.
    Group,
    /// Searches the journal.
    Search,
    /// To the next match that is older.
    OlderMatch,
    /// To the next match that is newer.
    NewerMatch,
    /// Only records of the incident under the cursor.
    OnlyIncident,
    /// Only records of the kind under the cursor.
    OnlyKind,
    /// Only records by the user under the cursor.
    OnlyWho,
    /// Writes the proof of a record into a file.
    SaveProof,
    /// To the view of the next role.
    View,
    /// Chooses another theme.
    Theme,
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
    /// Shows the requests that wait for a signature.
    Requests,
    /// To the next request.
    NextRequest,
    /// Answers in the next role that is asked for.
    TurnRole,
    /// Shows the logs beside what is under the cursor.
    Logs,
    /// Shows what stakeholders are told, and what they were promised.
    Comms,
    /// Writes a message to the audience that has the mark.
    Write,
    /// Asks whether a message that has not arrived is tried again.
    AskAgain,
    /// Tries it again.
    ResendMessage,
    /// Takes the next template for a message.
    NextTemplate,
    /// Sends a message by the next channel.
    TurnWay,
    /// Says that the call for a waiting step has reached the person.
    AcknowledgeCall,
    /// Asks whether a message is sent.
    AskSend,
    /// Sends it.
    SendMessage,
    /// Shows who is attached.
    People,
    /// Shows what whoever takes the command over has to know.
    Brief,
    /// Takes the command over as deputy.
    TakeOver,
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
    /// Shows the exercise: briefing, what was told, and afterwards the score.
    Exercise,
    /// Asks for a hint.
    DrillHint,
    /// Pauses or resumes the scenario, or the replay.
    DrillPause,
    /// Doubles the speed of the scenario, or of the replay.
    DrillFaster,
    /// Halves the speed of the scenario, or of the replay.
    DrillSlower,
    /// Replay: to the record before.
    ReplayEarlier,
    /// Replay: to the next record.
    ReplayLater,
    /// Replay: a minute back.
    ReplayBack,
    /// Replay: a minute on.
    ReplayOn,
    /// Replay: asks for a moment.
    ReplayTo,
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
    /// A pane whose rows are subjects with their signals.
    Subjects,
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
    /// Journal, while a text is searched for: two letters go from match to match.
    Found,
    /// Sources.
    Sources,
    /// The sheet of a record on top.
    Record,
    /// The sheet of a subject with its signals on top.
    Subject,
    /// The sheet of a tenant's logs on top.
    Logs,
    /// The sheet of what stakeholders are told on top.
    Comms,
    /// The dialog in which a message is written.
    Compose,
    /// A sheet of text on top.
    Sheet,
    /// The dialog that confirms a step.
    Confirm,
    /// The requests that wait for a signature.
    Asked,
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
        !matches!(
            self,
            Self::Record
                | Self::Subject
                | Self::Logs
                | Self::Comms
                | Self::Compose
                | Self::Sheet
                | Self::Confirm
                | Self::Asked
                | Self::Question
                | Self::Form
                | Self::Palette
                | Self::Filter
        )
    }
}

/// Where an action is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere, whatever lies on top.
    Always,
    /// On every screen, when nothing lies on top.
    Screens,
    /// On every screen but this.
    ScreensBut(Place),
    /// In these places.
    In(&'static [Place]),
}

impl Scope {
    /// Whether it holds in a place.
    pub fn holds(self, place: Place) -> bool {
        match self {
            Self::Always => true,
            Self::Screens => place.is_screen(),
            Self::ScreensBut(other) => place.is_screen() && place != other,
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
    use super::Place as P;
    use super::*;

    const PLACES: [Place; 26] = [
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
        P::Comms,
        P::Compose,
        P::Sheet,
        P::Confirm,
        P::Asked,
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
        for place in [P::Form, P::Compose, P::Palette, P::Filter, P::Question, P::Confirm] {
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
