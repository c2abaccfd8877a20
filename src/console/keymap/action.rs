//! What keys can ask for, and the words by which a file of own keys names it.

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
    /// To the overview of estates.
    Estates,
    /// To the next estate.
    NextEstate,
    /// To the estate before.
    PreviousEstate,
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
    /// To the place before.
    JumpBack,
    /// To the place that was gone back from.
    JumpOn,
    /// Marks the row under the cursor, or takes its mark away.
    Mark,
    /// Lists what is marked.
    Marks,
    /// Opens the text in the person's own editor.
    EditOutside,
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
    /// Settles a measure, or hands it to an owner.
    AssignMeasure,
    /// Puts business by hand into force.
    GoByHand,
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
    /// Asks for a role for a time.
    Elevate,
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
    /// Start screen: runs an exercise on the simulated estate.
    RunExercise,
    /// Start screen: writes a configuration.
    Configure,
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
