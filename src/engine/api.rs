//! What consoles and the command line exchange with the engine: [`Command`] in, [`Reply`] back, and a
//! [`Snapshot`] whenever something changed. Everything is plain data, so that it can cross a socket.

use crate::comms::{Board, Channel, Moment, WayView};
pub use crate::domain::by_hand::Hand;
use crate::domain::estate::{Ahead, Environment, Estate, Service};
use crate::domain::finding::{Change, Finding};
use crate::domain::health::Health;
use crate::domain::id::{Digest, FindingId, IncidentId, Person, PlaybookId, RunId, StepId, TenantId};
use crate::domain::incident::{Incident, Role, Severity, TimelineEntry};
use crate::domain::logs::LogView;
use crate::domain::mode::Mode;
use crate::domain::pane::{Panes, SubjectView};
use crate::domain::request::Request;
use crate::domain::risk::ApprovalTerms;
use crate::domain::risk::{Assessment, Risk};
pub use crate::domain::run::{RunState, StepState};
use crate::domain::secret::SecretText;
use crate::domain::signal::Subject;
use crate::domain::usual::UsualState;
use crate::playbook::schema::{Parameter, Playbook};
pub use crate::policy::statement::{Decision, LogPoint};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Something a person asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// Declares an incident.
    Declare {
        /// What it is about.
        title: String,
        /// How bad.
        severity: Severity,
        /// Findings it is declared for.
        findings: Vec<FindingId>,
    },
    /// Changes severity or state of an incident.
    UpdateIncident {
        /// Which.
        incident: IncidentId,
        /// New severity.
        severity: Option<Severity>,
        /// New state; `Closed` is refused here.
        state: Option<crate::domain::incident::IncidentState>,
    },
    /// Writes a note, also on something done outside.
    Note {
        /// Incident, or none.
        incident: Option<IncidentId>,
        /// Text.
        text: String,
    },
    /// Gives a role to a person.
    AssignRole {
        /// Incident.
        incident: IncidentId,
        /// Role.
        role: Role,
        /// Who.
        person: Person,
    },
    /// Takes the command over from a commander whose console is gone. Only the deputy can.
    TakeOver {
        /// Incident.
        incident: IncidentId,
        /// Why.
        reason: String,
    },
    /// Closes an incident; refused while a run is open, a measure is in force without an owner, or the glass
    /// is broken and not reviewed.
    Close {
        /// Which.
        incident: IncidentId,
        /// What was the outcome, one line.
        summary: String,
    },
    /// Says that a person has seen a finding.
    Acknowledge {
        /// Which.
        finding: FindingId,
    },
    /// Starts a playbook.
    StartRun {
        /// Which.
        playbook: PlaybookId,
        /// Parameters as text.
        params: BTreeMap<String, String>,
        /// Incident it belongs to.
        incident: Option<IncidentId>,
    },
    /// Starts a playbook that has secret parameters.
    StartRunWith {
        /// Which.
        playbook: PlaybookId,
        /// Parameters that are not secret, as text.
        params: BTreeMap<String, String>,
        /// Secret ones.
        secrets: BTreeMap<String, SecretText>,
        /// Incident it belongs to.
        incident: Option<IncidentId>,
    },
    /// Confirms the step as shown. Refused when target, digest or generation differ from what waits.
    Confirm {
        /// Run.
        run: RunId,
        /// Step.
        step: StepId,
        /// Digest that was on the screen.
        digest: Digest,
        /// Plan generation that was on the screen.
        generation: u64,
        /// What was typed, where typing is asked for.
        typed: Option<String>,
    },
    /// Answers a step that waits for a decision.
    Decide {
        /// Run.
        run: RunId,
        /// Step.
        step: StepId,
        /// Plan generation that was on the screen.
        generation: u64,
        /// Key of one of the offered choices.
        choice: String,
        /// Why, where the choice asks for it.
        reason: String,
    },
    /// Gives the values that a step asks for.
    Give {
        /// Run.
        run: RunId,
        /// Step.
        step: StepId,
        /// Plan generation that was on the screen.
        generation: u64,
        /// Values as text, by name.
        values: BTreeMap<String, String>,
    },
    /// Keeps a step from running by itself; it waits for a confirmation then.
    Hold {
        /// Run.
        run: RunId,
        /// Step.
        step: StepId,
    },
    /// Says that stakeholders were told what a step says.
    Told {
        /// Run.
        run: RunId,
        /// Step.
        step: StepId,
    },
    /// Evaluates a waiting step again (after a failed precondition, a stale signal).
    Recheck {
        /// Run.
        run: RunId,
        /// Step.
        step: StepId,
    },
    /// Ends a run after the step in hand.
    StopRun {
        /// Run.
        run: RunId,
        /// Why.
        reason: String,
    },
    /// Goes on with a stopped or interrupted run.
    ResumeRun {
        /// Run.
        run: RunId,
    },
    /// The same with the secrets that are not known any more after a restart ([`RunView::secrets_missing`]).
    ResumeRunWith {
        /// Run.
        run: RunId,
        /// The values, by parameter; each is checked against what it was started with.
        secrets: BTreeMap<String, SecretText>,
    },
    /// Stops every run after the target in hand, and says what can not be recalled.
    EmergencyStop,
    /// Breaks the glass for 30 minutes.
    BreakGlass {
        /// Why; at least ten characters.
        reason: String,
    },
    /// Mends the glass before its end.
    RestoreGlass,
    /// Records the review of a broken glass.
    ReviewGlass {
        /// What the review found.
        text: String,
    },
    /// Says that something that is owed after an incident is done; what can be looked at is looked at.
    DutyDone {
        /// Its measure: `duty/RUN-3/unfreeze`.
        duty: String,
        /// What was done.
        text: String,
    },
    /// Hands a measure in force to an owner with an end date, so that the incident may close.
    AssignMeasure {
        /// Measure id.
        measure: String,
        /// Owner.
        owner: Person,
        /// Until when.
        until: Timestamp,
    },
    /// Business goes on by hand, or goes back.
    ByHand {
        /// What.
        act: ByHand,
    },
    /// A second person's signed answer to a request.
    Answer {
        /// Request: `REQ-3`.
        request: String,
        /// Yes or no.
        decision: Decision,
        /// Role in which it is given.
        role: Role,
        /// The armored SSHSIG over [`RequestView::statement`].
        signature: String,
        /// Why; needed for a no.
        reason: String,
    },
    /// Asks for a role for a time; another person grants it.
    Elevate {
        /// Role.
        role: Role,
        /// For how long, in seconds.
        lasts_s: u64,
        /// Why.
        reason: String,
    },
    /// Gives back an elevation before its end.
    EndElevation {
        /// Role.
        role: Role,
    },
    /// Ends a login at the identity provider.
    CancelSignIn {
        /// Which.
        id: String,
    },
    /// Freezes changes.
    SetFreeze {
        /// Why.
        reason: String,
        /// When it ends by itself.
        until: Option<Timestamp>,
    },
    /// Lifts the freeze that a command has set.
    LiftFreeze {
        /// Why.
        reason: String,
    },
    /// The business owner accepts the recovery.
    AcceptRecovery {
        /// Of which incident.
        incident: IncidentId,
        /// What is accepted.
        text: String,
    },
    /// Proposes another policy; people under the policy in force sign it.
    ProposePolicy {
        /// Its text.
        policy: String,
        /// What is revoked, base64, where the policy names such a file.
        revoked: Option<String>,
    },
    /// Records that a piece of evidence is deleted, then deletes its file.
    Redact {
        /// Its digest, 64 hexadecimal digits.
        sha256: String,
        /// Why.
        reason: String,
    },
    /// Lets sealed segments go that were copied to an archive: writes the record that names them, then removes them.
    Prune {
        /// Digest of the `pruned.json` that was prepared beside the records, 64 hexadecimal digits.
        sha256: String,
    },
    /// Asks for all that is known of one subject; changes nothing.
    Look {
        /// Which.
        subject: Subject,
    },
    /// Drill only: asks for help; it costs points.
    DrillHint,
    /// Drill only: what a facilitator does.
    Facilitate {
        /// What.
        act: Steer,
    },
    /// Asks for the logs and the slowest spans of a tenant; changes nothing.
    Logs {
        /// Whose.
        tenant: TenantId,
        /// From when on; a quarter of an hour back when absent.
        #[serde(default)]
        from: Option<Timestamp>,
    },
    /// Asks for a message to an audience as its template has it; changes nothing.
    Draft {
        /// Incident; the open one when absent.
        incident: Option<IncidentId>,
        /// Audience, by any of its names.
        audience: String,
        /// First word, one in between, or the last; what is due when absent.
        moment: Option<Moment>,
        /// Template; the one that fits best when absent.
        template: Option<String>,
    },
    /// Tells an audience something.
    Tell {
        /// Incident; the open one when absent.
        incident: Option<IncidentId>,
        /// Audience, by any of its names.
        audience: String,
        /// First word, one in between, or the last, which promises no other.
        moment: Option<Moment>,
        /// Template that it was written from.
        template: Option<String>,
        /// Subject, one line.
        subject: String,
        /// Text as a person wants it.
        text: String,
        /// Ways; the first of each recipient when empty.
        by: Vec<WayName>,
        /// Name of the draft ([`DraftView::draft`]), which is sent once however often it is asked for.
        draft: Option<String>,
    },
    /// Tries a message again where it has not arrived.
    Resend {
        /// Which: `MSG-3`.
        message: String,
        /// To whom; to all that have not got it when absent.
        recipient: Option<String>,
        /// By what; by the same as before when absent.
        channel: Option<Channel>,
    },
    /// Says that the call for a waiting step has reached a person: nobody else is called.
    AcknowledgeCall {
        /// Run.
        run: RunId,
        /// Step.
        step: StepId,
    },
    /// Drill only: pause, resume or set the speed of the scenario clock.
    DrillClock {
        /// Speed; 0 pauses.
        speed: f64,
    },
    /// Replay only: plays, or goes to another moment.
    Replay {
        /// What is asked for.
        ask: ReplayAsk,
    },
}

/// A way to an audience, as a person names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayName {
    /// Who is reached; everybody of the audience when absent.
    pub recipient: Option<String>,
    /// By what.
    pub channel: Channel,
}

/// A message to an audience before it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DraftView {
    /// Name of the draft, which is sent once.
    pub draft: String,
    /// Incident.
    pub incident: IncidentId,
    /// Audience.
    pub audience: String,
    /// As people say it.
    pub name: String,
    /// First word, one in between, or the last.
    pub moment: Moment,
    /// Template.
    pub template: String,
    /// Where the template came from.
    pub origin: String,
    /// Subject.
    pub subject: String,
    /// Text.
    pub text: String,
    /// When the next word is promised, once it is sent.
    pub next: Option<Timestamp>,
    /// Ways to the audience, in the order in which they are tried.
    pub ways: Vec<WayView>,
    /// Why it can not be sent, when that is so.
    pub mute: Option<String>,
}

/// What a person asks of a replay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplayAsk {
    /// Plays so many times as fast as it was; 0 stands still.
    Speed(f64),
    /// To a moment, as people write it.
    To(String),
    /// So many seconds on, or back.
    By(i64),
    /// To the record of the incident before this moment.
    Earlier,
    /// To the next record of the incident.
    Later,
}

impl Command {
    /// Whether it changes nothing: who only looks on may ask it too.
    pub const fn only_looks(&self) -> bool {
        matches!(self, Self::Look { .. } | Self::Replay { .. } | Self::Logs { .. } | Self::Draft { .. })
    }
}

/// What a facilitator does to an exercise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum Steer {
    /// The clock runs at the speed of the scenario.
    Start,
    /// The clock stands.
    Pause,
    /// The clock runs at another speed.
    Speed {
        /// Seconds of the scenario in one second.
        speed: f64,
    },
    /// An inject does not come.
    Skip {
        /// Which.
        inject: String,
    },
    /// An inject comes now.
    Fire {
        /// Which.
        inject: String,
    },
    /// An inject comes later.
    Delay {
        /// Which.
        inject: String,
        /// By how many seconds.
        seconds: i64,
    },
    /// Gives a hint to the crew without being asked; it costs nothing.
    Hint,
    /// Gives other points for an expectation.
    Override {
        /// Which.
        expectation: String,
        /// Points.
        score: u32,
        /// Why; at least ten characters.
        reason: String,
    },
    /// Writes something down that the crew's screens do not show.
    Note {
        /// Text.
        text: String,
    },
    /// Tells the crew something.
    Tell {
        /// Text.
        text: String,
    },
    /// Asks for the injects as they stand; changes nothing.
    Plan,
}

/// One inject as a facilitator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InjectView {
    /// Id.
    pub id: String,
    /// How it is told.
    pub channel: String,
    /// Where it stands.
    pub stands: String,
    /// What is said, or what it does.
    pub what: String,
    /// What only the facilitator sees.
    pub note: Option<String>,
    /// Whether it only misleads.
    pub red_herring: bool,
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// Done, and on disk.
    Accepted {
        /// One line for people.
        message: String,
        /// Name of what came of it (incident, run), where something did.
        id: Option<String>,
    },
    /// What was asked for.
    Seen {
        /// All that is known of the subject.
        view: Box<SubjectView>,
    },
    /// The injects of the exercise as they stand.
    Planned {
        /// In the order of the scenario.
        injects: Vec<InjectView>,
    },
    /// What logs and traces say.
    Logs {
        /// All of it.
        view: Box<LogView>,
    },
    /// A message to an audience, not sent.
    Drafted {
        /// All of it.
        view: Box<DraftView>,
    },
    /// Not done.
    Refused {
        /// Why, one sentence.
        why: String,
        /// Whether policy said no (exit code 7) rather than the request being wrong.
        denied: bool,
    },
}

impl Reply {
    /// What it says.
    pub fn words(&self) -> &str {
        match self {
            Self::Accepted { message, .. } => message,
            Self::Seen { .. } => "seen",
            Self::Planned { .. } => "planned",
            Self::Logs { .. } => "read",
            Self::Drafted { .. } => "drafted",
            Self::Refused { why, .. } => why,
        }
    }

    /// The login at the identity provider that has to be done before what was asked for is.
    pub fn login(&self) -> Option<&str> {
        match self {
            Self::Accepted { id: Some(id), .. } if id.starts_with(LOGIN) => Some(id),
            _ => None,
        }
    }

    /// Done.
    pub fn accepted(message: impl Into<String>) -> Self {
        Self::Accepted { message: message.into(), id: None }
    }

    /// Not done, because the request does not fit the state.
    pub fn refused(why: impl Into<String>) -> Self {
        Self::Refused { why: why.into(), denied: false }
    }

    /// Not done, because policy says no.
    pub fn denied(why: impl Into<String>) -> Self {
        Self::Refused { why: why.into(), denied: true }
    }
}

/// Everything a console shows, at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Counts up with each change.
    pub generation: u64,
    /// The engine's clock when it was made; in a drill the scenario's.
    pub at: Timestamp,
    /// The declared estate.
    pub estate: Arc<Estate>,
    /// Mode.
    pub mode: Mode,
    /// Roll-up of everything.
    pub health: Health,
    /// The panes.
    pub panes: Arc<Panes>,
    /// Findings, worst first.
    pub findings: Arc<Vec<Finding>>,
    /// What changed in the last hours, newest first, at most 50.
    pub changes: Arc<Vec<Change>>,
    /// Open incidents, then the last closed ones.
    pub incidents: Arc<Vec<Incident>>,
    /// Runs, newest first, at most 50.
    pub runs: Arc<Vec<RunView>>,
    /// Playbooks.
    pub playbooks: Arc<Vec<PlaybookSummary>>,
    /// Measures in force.
    pub measures: Vec<Measure>,
    /// What stakeholders were told and are promised in the incident in hand.
    #[serde(default)]
    pub comms: Arc<Board>,
    /// The broken glass, when it is.
    pub glass: Option<Glass>,
    /// State of the journal.
    pub journal: JournalView,
    /// State of the drill, when this is one.
    pub drill: Option<DrillView>,
    /// Where a replay stands, when this is one.
    #[serde(default)]
    pub replay: Option<ReplayView>,
    /// Requests for signatures, oldest first: those that wait, and the last that are over.
    #[serde(default)]
    pub requests: Arc<Vec<RequestView>>,
    /// Roles that people have for a time.
    #[serde(default)]
    pub elevations: Vec<Elevation>,
    /// Logins at the identity provider: those under way, and the last that are over.
    #[serde(default)]
    pub sign_ins: Vec<SignIn>,
    /// The policy in force.
    #[serde(default)]
    pub policy: PolicyView,
    /// The declared services.
    #[serde(default)]
    pub services: Arc<Vec<Service>>,
    /// What the calendar has in force, and what lies ahead within a day, by time.
    #[serde(default)]
    pub ahead: Arc<Vec<Ahead>>,
    /// How far it is known what is usual.
    #[serde(default)]
    pub usual: Arc<UsualState>,
    /// Who sits at this engine.
    pub me: Person,
    /// Who is attached.
    #[serde(default)]
    pub consoles: Vec<ConsoleView>,
}

impl Snapshot {
    /// The consoles at which a person sits and that have been heard of lately.
    pub fn present<'a>(&'a self, person: &'a Person) -> impl Iterator<Item = &'a ConsoleView> {
        self.consoles.iter().filter(move |c| c.user == *person && c.silent_since.is_none())
    }

    /// Name and class of the estate.
    pub fn estate_words(&self) -> String {
        format!("{} {}", self.estate.name, self.environment().to_string().to_uppercase())
    }

    /// Class of the estate.
    pub fn environment(&self) -> Environment {
        self.estate.environment
    }

    /// The open incident that the screen is about: the worst, then the oldest.
    pub fn current_incident(&self) -> Option<&Incident> {
        use crate::domain::incident::IncidentState::Closed;
        self.incidents.iter().filter(|i| i.state != Closed).min_by_key(|i| (i.severity, i.declared_at))
    }
}

/// A playbook in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaybookSummary {
    /// Id.
    pub id: PlaybookId,
    /// Name.
    pub name: String,
    /// Version.
    pub version: u32,
    /// What it is for, one line.
    pub description: String,
    /// Greatest declared risk of its steps.
    pub risk: Risk,
    /// Parameters.
    pub parameters: Vec<ParameterView>,
    /// Steps: id, name and declared risk.
    pub steps: Vec<StepSummary>,
    /// Where it came from: `built-in` or a path.
    pub origin: String,
}

/// A step in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StepSummary {
    /// Id.
    pub id: StepId,
    /// Name.
    pub name: String,
    /// Declared risk.
    pub risk: Risk,
}

/// A parameter of a playbook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ParameterView {
    /// Name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Whether it must be given.
    pub required: bool,
    /// Default.
    pub default: Option<String>,
    /// Allowed values; empty when any.
    pub allowed: Vec<String>,
    /// Whether it is secret: entered unseen, and given apart from the others.
    #[serde(default)]
    pub secret: bool,
}

impl ParameterView {
    /// The parameters of a playbook: those that must be given first, each kind in the order of the file.
    pub fn all(playbook: &Playbook) -> Vec<Self> {
        Self::of(&playbook.parameters)
    }

    /// The same of any list of parameters.
    pub fn of(parameters: &IndexMap<String, Parameter>) -> Vec<Self> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let view = |(name, p): (&String, &Parameter)| Self {
            name: name.clone(),
            description: p.description.clone(),
            required: p.required,
            default: p.default.as_ref().map(text),
            allowed: p.allowed_values.iter().map(text).collect(),
            secret: p.secret,
        };
        let mut all: Vec<Self> = parameters.iter().map(view).collect();
        all.sort_by_key(|p| !p.required);
        all
    }
}

/// One run as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunView {
    /// Name: `RUN-9`.
    pub id: RunId,
    /// Playbook.
    pub playbook: PlaybookId,
    /// Name of the playbook.
    pub name: String,
    /// Version.
    pub version: u32,
    /// Parameters.
    pub params: BTreeMap<String, String>,
    /// Incident.
    pub incident: Option<IncidentId>,
    /// State.
    pub state: RunState,
    /// Whether it stands still until a person resumes it; also where an outcome is unknown that nobody has looked at yet.
    #[serde(default)]
    pub stands: bool,
    /// Started.
    pub started_at: Timestamp,
    /// Ended.
    pub ended_at: Option<Timestamp>,
    /// Counts up with each change of the plan; a confirmation carries it.
    pub generation: u64,
    /// Index of the step in hand.
    pub current: usize,
    /// Steps.
    pub steps: Vec<StepView>,
    /// One line: what happens now, or what is waited for.
    pub now: String,
    /// Secret parameters that have to be given again before it can go on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets_missing: Vec<String>,
    /// Host of the engine that leads it, where that is another one: there it is acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub led_by: Option<String>,
}

/// One step as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StepView {
    /// Id.
    pub id: StepId,
    /// Name.
    pub name: String,
    /// Why the playbook has it.
    pub why: String,
    /// State.
    pub state: StepState,
    /// Risk: assessed when rendered, else declared.
    pub risk: Risk,
    /// What policy said.
    pub assessment: Option<Assessment>,
    /// Rendered request.
    pub request: Option<Request>,
    /// Its digest.
    pub digest: Option<Digest>,
    /// Preconditions, as last evaluated.
    pub checks: Vec<CheckView>,
    /// How it is known to have worked, as declared.
    pub verify: Vec<CheckView>,
    /// What came out, one line.
    pub outcome: Option<String>,
    /// Lines that a look returned, such as the blocking tree.
    pub output: Vec<String>,
    /// Choices, when it awaits a decision: key and label.
    pub choices: Vec<(String, String)>,
    /// Type: check, action and so on.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Digest of the request without the run: what `playbook render` prints for the same request.
    #[serde(default)]
    pub shown_digest: Option<Digest>,
    /// Its targets, where it is over several: name, state, what came out.
    #[serde(default)]
    pub targets: Vec<TargetView>,
    /// What the server said that the request would do.
    #[serde(default)]
    pub dry_run: Option<String>,
    /// When it goes on by itself: a low-risk step that may run without a key, or one that lets time pass.
    #[serde(default)]
    pub by_itself_at: Option<Timestamp>,
    /// Values that it asks a person for.
    #[serde(default)]
    pub asks: Vec<ParameterView>,
    /// What stakeholders are to be told, and whom, where that is due.
    #[serde(default)]
    pub comms: Option<CommsView>,
    /// Started.
    pub started_at: Option<Timestamp>,
    /// Ended.
    pub ended_at: Option<Timestamp>,
}

/// One of several targets of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TargetView {
    /// Its name.
    pub name: String,
    /// How far it is.
    pub state: StepState,
    /// What came out.
    pub outcome: String,
}

/// What stakeholders are to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CommsView {
    /// Who.
    pub audience: Vec<String>,
    /// What.
    pub text: String,
    /// When it is due; in the past it is overdue.
    pub due: Timestamp,
}

/// One check as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CheckView {
    /// Sentence or expression.
    pub text: String,
    /// True, false, or not known.
    pub holds: Option<bool>,
    /// Detail: values, ages, `held 12 s of 30 s`.
    pub detail: String,
}

/// A measure in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Measure {
    /// Id: `maintenance/t017`.
    pub id: String,
    /// What it is.
    pub what: String,
    /// Who set it.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
    /// Incident it was set in.
    pub incident: Option<IncidentId>,
    /// How to lift it.
    pub lift: String,
    /// Who answers for it after the incident, with the end.
    pub owner: Option<(Person, Timestamp)>,
    /// Who owns it while it is in force, where that is somebody: has to acknowledge it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Person>,
    /// Who has acknowledged it, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<(Person, Timestamp)>,
}

impl Measure {
    /// Whether its owner has to acknowledge it and has not.
    pub const fn is_unacknowledged(&self) -> bool {
        self.asked.is_some() && self.acknowledged.is_none()
    }
}

/// What a person does about business by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum ByHand {
    /// Something is done by hand from now on.
    Start {
        /// What.
        process: Hand,
        /// Whose.
        tenant: TenantId,
        /// At which of its plants; at all when absent.
        plant: Option<String>,
        /// Who owns it.
        owner: Person,
        /// How it is done, or which order of priority, or what was agreed.
        how: String,
    },
    /// Its owner knows of it.
    Acknowledge {
        /// Measure: `fallback/shipping/t017`.
        measure: String,
    },
    /// It ends.
    End {
        /// Measure.
        measure: String,
    },
    /// Papers and documents were compared.
    Reconcile {
        /// Measure: `reconcile/shipping/t017`.
        measure: String,
        /// Sheets of paper.
        sheets: u32,
        /// Documents that were entered.
        documents: u32,
        /// What became of those that differ.
        text: String,
    },
}

/// A broken glass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Glass {
    /// Who broke it.
    pub by: Person,
    /// Why.
    pub reason: String,
    /// When.
    pub since: Timestamp,
    /// When it mends itself.
    pub until: Timestamp,
    /// Whether it is mended and only waits for its review.
    pub review_due: bool,
}

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RequestSubject {
    /// A step of a run.
    Step,
    /// A role for a time.
    Elevation,
    /// A change of the policy.
    Policy,
}

/// What has become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RequestState {
    /// It waits.
    Open,
    /// All approvals are there.
    Granted,
    /// A start, or what else was asked for, has used them up.
    Used,
    /// A person said no.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// The step was changed, refused or stopped.
    Void,
}

impl RequestState {
    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Granted => "granted",
            Self::Used => "used",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Void => "void",
        }
    }
}

/// A request for signatures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RequestView {
    /// Name: `REQ-3`.
    pub id: String,
    /// What it is about.
    pub subject: RequestSubject,
    /// One line.
    pub title: String,
    /// Digest of the document: what is signed.
    pub digest: Digest,
    /// What would be done, in full; the sha256 of its JCS bytes is the digest.
    pub document: Value,
    /// Incident.
    pub incident: Option<IncidentId>,
    /// Run, where it is about a step.
    pub run: Option<RunId>,
    /// Step.
    pub step: Option<StepId>,
    /// Who asked for it, by the roster.
    pub requester: Option<Person>,
    /// Who executes it, by the roster.
    pub operator: Option<Person>,
    /// When.
    pub asked_at: Timestamp,
    /// When somebody is called.
    pub escalate_at: Option<Timestamp>,
    /// Whether somebody was.
    pub escalated: bool,
    /// First moment at which an answer does not count any more.
    pub not_after: Timestamp,
    /// Nonce, 64 digits.
    pub nonce: String,
    /// The journal when it was asked for.
    pub log: LogPoint,
    /// Number of people who have to approve.
    pub needed: u8,
    /// Who they are.
    pub terms: ApprovalTerms,
    /// Who has approved.
    pub granted: Vec<Grant>,
    /// What has become of it.
    pub state: RequestState,
    /// Why it ended so.
    pub why: Option<String>,
    /// Its record.
    pub seq: u64,
}

/// One approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Grant {
    /// Who.
    pub person: Person,
    /// In which role.
    pub role: Role,
    /// Fingerprint of the key.
    pub key: String,
    /// The bytes that were signed.
    pub statement: String,
    /// The armored signature.
    pub signature: String,
    /// When.
    pub at: Timestamp,
    /// Its record.
    pub seq: u64,
}

/// What the name of a login begins with.
pub(super) const LOGIN: &str = "LOGIN-";

/// Somebody who proves a second factor at the identity provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignIn {
    /// `LOGIN-1`.
    pub id: String,
    /// Who.
    pub person: Person,
    /// For what.
    pub title: String,
    /// Since when.
    pub at: Timestamp,
    /// How far it is.
    pub state: SignInState,
}

/// How far a login is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum SignInState {
    /// The provider is asked for a code.
    Asking,
    /// The person has to use it.
    Waiting {
        /// The page.
        uri: String,
        /// The same with the code in it.
        uri_complete: Option<String>,
        /// What is entered there.
        code: String,
        /// How long that can be done.
        until: Timestamp,
    },
    /// It is done, and what was wished for is asked for.
    Proven {
        /// What it was for: the request of an elevation or of an approval, the run of a confirmation.
        request: String,
        /// One line for people.
        message: String,
    },
    /// It has come to nothing.
    Failed {
        /// Why, one sentence.
        why: String,
    },
}

/// A role for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Elevation {
    /// Who.
    pub person: Person,
    /// Role.
    pub role: Role,
    /// Until when.
    pub until: Timestamp,
    /// The record that granted it.
    pub seq: u64,
}

/// The policy in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PolicyView {
    /// Where it came from: a path, `built-in`, or the record that put it in force.
    pub origin: String,
    /// sha256 of its text.
    pub digest: String,
    /// Number of people in its roster.
    pub people: usize,
    /// Why the file on the disk is not the one in force, where that is so.
    pub differs: Option<String>,
    /// What `ssh-keygen -Y verify -f` takes to check approvals.
    pub allowed_signers: String,
}

/// State of the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalView {
    /// Directory.
    pub dir: String,
    /// Records on disk.
    pub size: u64,
    /// Root over them, base64.
    pub root: String,
    /// Why nothing new may begin, when that is so: nothing can be written, or what is there is damaged.
    pub broken: Option<String>,
    /// How far the records are checked that were not read at the opening; absent when all were.
    #[serde(default)]
    pub scrub: Option<ScrubView>,
    /// How far outsiders vouch for it; absent where no witness is configured.
    #[serde(default)]
    pub witnessed: Option<Outside>,
    /// How far copies lie elsewhere; absent where no anchor is configured.
    #[serde(default)]
    pub anchored: Option<Outside>,
    /// The newest records, oldest first, at most 200, as lines for people.
    pub tail: Arc<Vec<TimelineEntry>>,
}

/// How far the records are checked that a snapshot stood for at the opening.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubView {
    /// Records that are true.
    pub done: u64,
    /// Records that are to be checked.
    pub of: u64,
    /// The first record that is not true, or may not be.
    pub bad: Option<u64>,
    /// Where it lies and what is wrong.
    pub why: Option<String>,
}

impl ScrubView {
    /// How far it is in hundredths, while it is at work.
    pub fn percent(&self) -> Option<u64> {
        let is_running = self.bad.is_none() && self.done < self.of;
        is_running.then(|| self.done.saturating_mul(100).checked_div(self.of).unwrap_or(0))
    }
}

/// How far something outside the house knows the journal: witnesses, or anchors in object storage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// Number of records that are covered; 0 when nothing is.
    pub size: u64,
    /// When that was last confirmed.
    pub at: Option<Timestamp>,
    /// How many of them confirmed it, and how many policy asks for.
    pub confirmed: u32,
    /// Needed for the quorum.
    pub needed: u32,
    /// Number of records whose bytes lie there too; absent where only checkpoints go there.
    #[serde(default)]
    pub shipped: Option<u64>,
    /// Why it does not go on, when that is so.
    pub trouble: Option<String>,
}

/// What proves that a console is the person's whose name it bears.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// Nothing: the name is what the console says.
    #[default]
    Claimed,
    /// The kernel: the process runs under the person's own login.
    Login,
    /// A signature by a key of the roster, by its fingerprint.
    Key(String),
}

impl Proof {
    /// In words for people.
    pub fn words(&self) -> String {
        match self {
            Self::Claimed => "claimed".to_owned(),
            Self::Login => "by login".to_owned(),
            Self::Key(fingerprint) => format!("by key {fingerprint}"),
        }
    }
}

/// One attached console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ConsoleView {
    /// Its number; an engine gives none twice.
    pub id: u64,
    /// Who sits there.
    pub user: Person,
    /// What proves it.
    pub proof: Proof,
    /// User id of its process, as the kernel says.
    pub uid: u32,
    /// How it came: `console` for the one that the engine runs in, `socket`.
    pub via: String,
    /// Terminal.
    pub console: Option<String>,
    /// Address from which its SSH session came, as sshd says.
    pub from: Option<String>,
    /// Whether it only looks on.
    pub read_only: bool,
    /// Since when.
    pub since: Timestamp,
    /// When it was last heard of, once it has been silent for longer than it should.
    pub silent_since: Option<Timestamp>,
}

/// Where a replay stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ReplayView {
    /// The incident that is looked back on.
    pub incident: IncidentId,
    /// First moment that can be shown.
    pub from: Timestamp,
    /// Last moment that can be shown.
    pub to: Timestamp,
    /// Speed; 0 when it stands.
    pub speed: f64,
    /// Records of the incident by this moment, and in all.
    pub records: (usize, usize),
    /// Whether the incident was one of an exercise.
    #[serde(default)]
    pub of_drill: bool,
    /// Why what the consoles showed is not known of this moment; only what the journal says is shown then.
    pub unseen: Option<String>,
}

/// State of a drill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrillView {
    /// Scenario id.
    pub scenario: String,
    /// Its name.
    pub name: String,
    /// Scenario clock speed; 0 when paused.
    pub speed: f64,
    /// Seconds of scenario time since its start.
    pub elapsed_s: f64,
    /// What the crew is told, newest last.
    pub messages: Vec<String>,
    /// Whether it is over.
    #[serde(default)]
    pub ended: bool,
    /// What the crew shall learn.
    #[serde(default)]
    pub objectives: Vec<String>,
    /// Points so far, and at most.
    #[serde(default)]
    pub points: Option<(u32, u32)>,
    /// What the next hint costs, when one can be had now.
    #[serde(default)]
    pub hint: Option<u32>,
    /// The score point by point and the questions for afterwards, once it is over.
    #[serde(default)]
    pub debrief: Vec<String>,
}
