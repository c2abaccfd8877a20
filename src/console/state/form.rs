//! Dialogs with fields: declare, note, close, parameters of a playbook, reasons. One model for all; what is
//! sent is decided by the purpose.

use crate::domain::by_hand::Hand;
use crate::domain::id::{FindingId, IncidentId, Person, PlaybookId, RunId, StepId, TenantId};
use crate::domain::incident::{IncidentState, Role, Severity};
use crate::domain::secret::SecretText;
use crate::domain::text::sanitize;
use crate::engine::api::{ByHand, Command, ReplayAsk, RequestView};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use tui_textarea::TextArea;

/// A text field of one line.
pub fn single_line(text: &str) -> TextArea<'static> {
    let mut area = TextArea::new(vec![sanitize(text)]);
    area.set_cursor_line_style(ratatui::style::Style::default());
    area.move_cursor(tui_textarea::CursorMove::End);
    area
}

/// What stands in a text field of one line.
pub fn text_of(area: &TextArea<'_>) -> String {
    sanitize(&area.lines().join(" "))
}

/// How a field is filled.
#[derive(Clone, Debug)]
pub enum FieldKind {
    /// By typing.
    Text(Box<TextArea<'static>>),
    /// By choosing: value and label of each.
    Choice {
        /// What there is.
        options: Vec<(String, String)>,
        /// Which is chosen.
        at: usize,
    },
}

/// One field.
#[derive(Clone)]
pub struct Field {
    /// Name in the command.
    pub name: String,
    /// What it is.
    pub label: String,
    /// What to enter.
    pub help: String,
    /// Whether it must be filled.
    pub required: bool,
    /// How.
    pub kind: FieldKind,
    /// Whether what is typed is not shown, and is given apart.
    pub secret: bool,
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut all = f.debug_struct("Field");
        all.field("name", &self.name).field("label", &self.label).field("required", &self.required);
        // What is typed into a secret one stands in no log.
        if self.secret { all.field("secret", &true) } else { all.field("kind", &self.kind) }.finish_non_exhaustive()
    }
}

impl Field {
    /// A text field whose text is not shown.
    pub fn secret(name: &str, label: &str, help: impl Into<String>, required: bool) -> Self {
        let mut area = single_line("");
        area.set_mask_char('*');
        let kind = FieldKind::Text(Box::new(area));
        Self { name: name.into(), label: label.into(), help: help.into(), required, kind, secret: true }
    }

    /// A text field.
    pub fn text(name: &str, label: &str, help: impl Into<String>, required: bool, value: &str) -> Self {
        let kind = FieldKind::Text(Box::new(single_line(value)));
        Self { name: name.into(), label: label.into(), help: help.into(), required, kind, secret: false }
    }

    /// A choice; `chosen` is the value that stands there at first.
    pub fn choice(name: &str, label: &str, options: Vec<(String, String)>, chosen: &str) -> Self {
        let at = options.iter().position(|(value, _)| value == chosen).unwrap_or(0);
        let kind = FieldKind::Choice { options, at };
        Self {
            name: name.into(),
            label: label.into(),
            help: "Left and Right choose".into(),
            required: true,
            kind,
            secret: false,
        }
    }

    /// What stands in it.
    pub fn value(&self) -> String {
        match &self.kind {
            // Nothing of a secret is taken away: a blank may belong to it.
            FieldKind::Text(area) if self.secret => area.lines().concat(),
            FieldKind::Text(area) => text_of(area).trim().to_owned(),
            FieldKind::Choice { options, at } => options.get(*at).map(|(value, _)| value.clone()).unwrap_or_default(),
        }
    }
}

/// What has the focus in a dialog with fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// A field.
    Field(usize),
    /// The button that closes.
    Cancel,
    /// The button that sends.
    Send,
}

/// What a dialog with fields is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Purpose {
    /// Declares an incident for these findings.
    Declare(Vec<FindingId>),
    /// Writes a note.
    Note(Option<IncidentId>),
    /// Changes severity and state.
    Edit(IncidentId),
    /// Gives a role.
    Role(IncidentId),
    /// Takes the command over.
    TakeOver(IncidentId),
    /// Closes an incident.
    Close(IncidentId),
    /// Starts a playbook.
    Start(PlaybookId, Option<IncidentId>),
    /// Decides a step, as shown with this plan generation.
    Decide(RunId, StepId, u64),
    /// Gives the values that a step asks for, as shown with this plan generation.
    Give(RunId, StepId, u64),
    /// Says that stakeholders were told what a step says.
    Told(RunId, StepId),
    /// Stops a run.
    StopRun(RunId),
    /// Goes on with a run, with its secrets given again.
    Resume(RunId),
    /// Asks for a role for a time.
    Elevate,
    /// Breaks the glass.
    BreakGlass,
    /// Reviews a broken glass.
    ReviewGlass,
    /// Settles a measure, or hands it over.
    Measure(String),
    /// Puts business by hand into force.
    GoByHand,
    /// Goes to a moment of a replay.
    Moment,
    /// Denies a request, in this role; it is signed first.
    Deny(Box<RequestView>, Role),
}

/// A dialog with fields.
#[derive(Clone, Debug)]
pub struct Form {
    /// What for.
    pub purpose: Purpose,
    /// Title.
    pub title: String,
    /// What will happen, a line each.
    pub intro: Vec<String>,
    /// Fields.
    pub fields: Vec<Field>,
    /// What has the focus.
    pub focus: Focus,
    /// The word on the button that sends.
    pub send: &'static str,
    /// Whether it changes more than a record: Enter in the last field then goes to Cancel, and never sends.
    pub danger: bool,
    /// Why it was not sent.
    pub error: Option<String>,
}

impl Form {
    /// A dialog with the focus on its first field, or on Cancel when it has none.
    pub fn new(purpose: Purpose, title: impl Into<String>, send: &'static str, fields: Vec<Field>) -> Self {
        let focus = if fields.is_empty() { Focus::Cancel } else { Focus::Field(0) };
        Self { purpose, title: title.into(), intro: Vec::new(), fields, focus, send, danger: false, error: None }
    }

    /// The dialog with lines that say what will happen.
    #[must_use]
    pub fn intro(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.intro.extend(lines);
        self
    }

    /// The dialog as one that changes more than a record.
    #[must_use]
    pub fn dangerous(mut self) -> Self {
        self.danger = true;
        self
    }

    /// What gets the focus after this.
    pub fn next(&self) -> Focus {
        match self.focus {
            Focus::Field(i) if i + 1 < self.fields.len() => Focus::Field(i + 1),
            Focus::Field(_) => Focus::Cancel,
            Focus::Cancel => Focus::Send,
            Focus::Send if self.fields.is_empty() => Focus::Cancel,
            Focus::Send => Focus::Field(0),
        }
    }

    /// What had the focus before this.
    pub fn previous(&self) -> Focus {
        match self.focus {
            Focus::Field(0) => Focus::Send,
            Focus::Field(i) => Focus::Field(i - 1),
            Focus::Cancel => self.fields.len().checked_sub(1).map_or(Focus::Send, Focus::Field),
            Focus::Send => Focus::Cancel,
        }
    }

    /// The text field with the focus.
    pub fn focused_text(&mut self) -> Option<&mut TextArea<'static>> {
        let Focus::Field(i) = self.focus else { return None };
        match &mut self.fields.get_mut(i)?.kind {
            FieldKind::Text(area) => Some(area),
            FieldKind::Choice { .. } => None,
        }
    }

    /// Whether what is typed into the field with the focus must not be seen anywhere.
    pub fn is_secret(&self) -> bool {
        matches!(self.focus, Focus::Field(i) if self.fields.get(i).is_some_and(|f| f.secret))
    }

    /// Goes to the next or the previous option of the choice with the focus; says whether there is one.
    pub fn turn(&mut self, forward: bool) -> bool {
        let Focus::Field(i) = self.focus else { return false };
        let Some(Field { kind: FieldKind::Choice { options, at }, .. }) = self.fields.get_mut(i) else { return false };
        let n = options.len().max(1);
        *at = if forward { (*at + 1) % n } else { (*at + n - 1) % n };
        true
    }

    pub(in crate::console) fn value(&self, name: &str) -> String {
        self.fields.iter().find(|f| f.name == name).map(Field::value).unwrap_or_default()
    }

    /// The command, or what is still wrong, one sentence.
    pub fn command(&self, now: Timestamp) -> Result<Command, String> {
        if let Some(empty) = self.fields.iter().find(|f| f.required && f.value().is_empty()) {
            return Err(format!("`{}` is needed: {}", empty.label, empty.help));
        }
        Ok(match &self.purpose {
            Purpose::Declare(findings) => Command::Declare {
                title: self.value("title"),
                severity: severity(&self.value("severity"))?,
                findings: findings.clone(),
            },
            Purpose::Note(incident) => Command::Note { incident: incident.clone(), text: self.value("text") },
            Purpose::Edit(incident) => Command::UpdateIncident {
                incident: incident.clone(),
                severity: Some(severity(&self.value("severity"))?),
                state: Some(state(&self.value("state"))?),
            },
            Purpose::Role(incident) => Command::AssignRole {
                incident: incident.clone(),
                role: role(&self.value("role"))?,
                person: Person::new(self.value("person")),
            },
            Purpose::TakeOver(incident) => {
                Command::TakeOver { incident: incident.clone(), reason: self.value("reason") }
            }
            Purpose::Close(incident) => Command::Close { incident: incident.clone(), summary: self.value("summary") },
            Purpose::Start(playbook, incident) if self.fields.iter().any(|f| f.secret) => Command::StartRunWith {
                playbook: playbook.clone(),
                params: self.filled(),
                secrets: self.secrets(),
                incident: incident.clone(),
            },
            Purpose::Resume(run) => Command::ResumeRunWith { run: run.clone(), secrets: self.secrets() },
            Purpose::Start(playbook, incident) => {
                Command::StartRun { playbook: playbook.clone(), params: self.filled(), incident: incident.clone() }
            }
            Purpose::Decide(run, step, generation) => Command::Decide {
                run: run.clone(),
                step: step.clone(),
                generation: *generation,
                choice: self.value("choice"),
                reason: self.value("reason"),
            },
            Purpose::Give(run, step, generation) => {
                Command::Give { run: run.clone(), step: step.clone(), generation: *generation, values: self.filled() }
            }
            Purpose::Told(run, step) => Command::Told { run: run.clone(), step: step.clone() },
            Purpose::StopRun(run) => Command::StopRun { run: run.clone(), reason: self.value("reason") },
            Purpose::Elevate => {
                let minutes = self.number("minutes")?;
                let (role, reason) = (role(&self.value("role"))?, self.value("reason"));
                Command::Elevate { role, lasts_s: u64::from(minutes) * 60, reason }
            }
            Purpose::BreakGlass => {
                let reason = self.value("reason");
                if reason.chars().count() < 10 {
                    return Err("a reason of at least ten characters is needed; it is recorded and reviewed".into());
                }
                Command::BreakGlass { reason }
            }
            Purpose::Deny(..) => return Err("a denial is signed before it is sent".into()),
            Purpose::Moment => Command::Replay { ask: ReplayAsk::To(self.value("moment")) },
            Purpose::ReviewGlass => Command::ReviewGlass { text: self.value("text") },
            Purpose::GoByHand => Command::ByHand { act: self.by_hand()? },
            Purpose::Measure(duty) if self.value("way") == "done" => {
                Command::DutyDone { duty: duty.clone(), text: self.value("text") }
            }
            Purpose::Measure(measure) if self.value("way") == "acknowledge" => {
                Command::ByHand { act: ByHand::Acknowledge { measure: measure.clone() } }
            }
            Purpose::Measure(measure) if self.value("way") == "end" => {
                Command::ByHand { act: ByHand::End { measure: measure.clone() } }
            }
            Purpose::Measure(measure) if self.value("way") == "compared" => Command::ByHand {
                act: ByHand::Reconcile {
                    measure: measure.clone(),
                    sheets: self.number("sheets")?,
                    documents: self.number("documents")?,
                    text: self.value("text"),
                },
            },
            Purpose::Measure(measure) => {
                let hours = self.value("hours");
                let until = hours
                    .parse::<u32>()
                    .ok()
                    .filter(|h| (1..=8760).contains(h))
                    .and_then(|h| now.checked_add(SignedDuration::from_hours(i64::from(h))).ok())
                    .ok_or_else(|| format!("`{hours}` is no number of hours from 1 to 8760"))?;
                Command::AssignMeasure { measure: measure.clone(), owner: Person::new(self.value("owner")), until }
            }
        })
    }

    fn by_hand(&self) -> Result<ByHand, String> {
        let word = self.value("process");
        let process = Hand::of(&word).ok_or_else(|| format!("`{word}` is nothing that is done by hand"))?;
        Ok(ByHand::Start {
            process,
            tenant: TenantId::new(self.value("tenant")),
            plant: Some(self.value("plant")).filter(|plant| !plant.is_empty()),
            owner: Person::new(self.value("owner")),
            how: self.value("how"),
        })
    }

    /// A whole number, 0 or more.
    fn number(&self, name: &str) -> Result<u32, String> {
        let text = self.value(name);
        text.parse().map_err(|_| format!("`{name}` is `{text}`; a whole number is asked for"))
    }

    /// The fields that are filled, by name.
    fn filled(&self) -> BTreeMap<String, String> {
        let open = self.fields.iter().filter(|f| !f.secret).map(|f| (f.name.clone(), f.value()));
        open.filter(|(_, value)| !value.is_empty()).collect()
    }

    fn secrets(&self) -> BTreeMap<String, SecretText> {
        let secret = self.fields.iter().filter(|f| f.secret && !f.value().is_empty());
        secret.map(|f| (f.name.clone(), SecretText::new(f.value()))).collect()
    }
}

fn severity(word: &str) -> Result<Severity, String> {
    [Severity::Sev1, Severity::Sev2, Severity::Sev3, Severity::Sev4]
        .into_iter()
        .find(|s| s.to_string() == word)
        .ok_or_else(|| format!("`{word}` is no severity"))
}

fn state(word: &str) -> Result<IncidentState, String> {
    [IncidentState::Investigating, IncidentState::Identified, IncidentState::Monitoring]
        .into_iter()
        .find(|s| s.to_string() == word)
        .ok_or_else(|| format!("`{word}` is no state"))
}

/// The roles that can be given.
pub const ROLES: [Role; 9] = [
    Role::Commander,
    Role::Deputy,
    Role::Operator,
    Role::Dba,
    Role::Comms,
    Role::Scribe,
    Role::Approver,
    Role::BusinessOwner,
    Role::Observer,
];

fn role(word: &str) -> Result<Role, String> {
    ROLES.into_iter().find(|r| r.to_string() == word).ok_or_else(|| format!("`{word}` is no role"))
}
