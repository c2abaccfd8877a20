//! Where keys go, and where an action is valid.

/// Where keys go: the screen, or what lies on top of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The screen of a machine without a configuration.
    Start,
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
    /// The pane of business, where some of it may go on by hand.
    Business,
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
    /// Overview of estates.
    Estates,
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
    /// All of them.
    pub const ALL: [Self; 29] = [
        Self::Start,
        Self::Overview,
        Self::Tenants,
        Self::Database,
        Self::Queue,
        Self::Ingress,
        Self::Subjects,
        Self::Business,
        Self::Findings,
        Self::Finding,
        Self::Incident,
        Self::Playbooks,
        Self::Run,
        Self::Journal,
        Self::Found,
        Self::Sources,
        Self::Estates,
        Self::Record,
        Self::Subject,
        Self::Logs,
        Self::Comms,
        Self::Compose,
        Self::Sheet,
        Self::Confirm,
        Self::Asked,
        Self::Question,
        Self::Form,
        Self::Palette,
        Self::Filter,
    ];

    /// Whether keys that can be typed are text there, or must do nothing because a person may be typing.
    pub const fn is_typed_in(self) -> bool {
        matches!(self, Self::Form | Self::Compose | Self::Palette | Self::Filter | Self::Question | Self::Confirm)
    }

    /// What it is, in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Start => "the start screen",
            Self::Overview => "the overview",
            Self::Tenants => "the screen of tenants",
            Self::Database => "the screen of databases",
            Self::Queue => "the screen of queues",
            Self::Ingress => "the screen of ingress",
            Self::Subjects => "a pane of subjects",
            Self::Business => "the pane of business",
            Self::Findings => "the list of findings",
            Self::Finding => "a finding",
            Self::Incident => "the incident",
            Self::Playbooks => "the screen of playbooks",
            Self::Run => "a run",
            Self::Journal => "the journal",
            Self::Found => "the journal while it is searched",
            Self::Sources => "the screen of sources",
            Self::Estates => "the overview of estates",
            Self::Record => "a record",
            Self::Subject => "the sheet of a row",
            Self::Logs => "the sheet of logs",
            Self::Comms => "the sheet of updates",
            Self::Compose => "the dialog of a message",
            Self::Sheet => "a sheet",
            Self::Confirm => "the dialog of a step",
            Self::Asked => "the dialog of an approval",
            Self::Question => "a question",
            Self::Form => "a form",
            Self::Palette => "the palette",
            Self::Filter => "the filter line",
        }
    }

    /// Whether it is a screen, and not something on top of one.
    pub const fn is_screen(self) -> bool {
        !matches!(
            self,
            Self::Start
                | Self::Record
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
    /// Everywhere but here, whatever lies on top.
    AlwaysBut(Place),
    /// On every screen, when nothing lies on top.
    Screens,
    /// On every screen but this.
    ScreensBut(Place),
    /// In these places.
    In(&'static [Place]),
}

impl Scope {
    /// Whether it holds whatever lies on top.
    pub const fn is_always(self) -> bool {
        matches!(self, Self::Always | Self::AlwaysBut(_))
    }

    /// Whether it holds in a place.
    pub fn holds(self, place: Place) -> bool {
        match self {
            Self::Always => true,
            Self::AlwaysBut(other) => place != other,
            Self::Screens => place.is_screen(),
            Self::ScreensBut(other) => place.is_screen() && place != other,
            Self::In(places) => places.contains(&place),
        }
    }
}
