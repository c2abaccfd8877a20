//! The command line as it is typed.

use super::audit::args::Audit;
use crate::comms::{Channel, Moment};
use crate::console::views::View;
use crate::engine::api::Hand;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// A console from which an incident commander runs an outage of managed Odoo hosting.
#[derive(Debug, Parser)]
#[command(name = "quarterdeck", version, disable_help_subcommand = true)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// Without a command the console opens.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Configuration file; else that of the environment, of the user, of the machine
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The same command on the embedded simulated estate: --drill or --drill=SCENARIO
    #[arg(long, global = true, value_name = "SCENARIO", num_args = 0..=1, require_equals = true, default_missing_value = "", conflicts_with_all = ["config", "read_only"])]
    pub drill: Option<String>,
    /// Which estate is meant, where the configuration names several
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "drill")]
    pub estate: Option<String>,
    /// No verb can be built: look only
    #[arg(long, global = true)]
    pub read_only: bool,
    /// Output of commands: a table for people, or JSON
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Policy file; else policy.toml beside the configuration, else the shipped one
    #[arg(long, global = true, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// View of a role in the console: commander, dba, erp, security, operations
    #[arg(long, global = true, value_name = "ROLE", value_parser = view)]
    pub view: Option<View>,
    /// Theme of the console: dark, light, contrast, contrast-light, colorblind, nvg, amber, ansi16, mono, or an own one
    #[arg(long, global = true, value_name = "NAME")]
    pub theme: Option<String>,
    /// The console in plain lines: for screen readers, serial lines and pipes
    #[arg(long, global = true)]
    pub plain: bool,
    /// What the link carries: `low` writes at most 2 KiB a second
    #[arg(long, global = true, value_enum)]
    pub bandwidth: Option<Bandwidth>,
}

/// What the link to the terminal carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bandwidth {
    /// As much as there is to draw.
    Full,
    /// 2 KiB a second.
    Low,
}

fn view(word: &str) -> Result<View, String> {
    View::named(word).ok_or_else(|| format!("there is no view `{word}`; allowed are {}", View::words()))
}

/// Form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// Markdown; of `report` and `comms status-page` only.
    #[value(hide = true)]
    Md,
    /// A page for browsers and printers; of `report` only.
    #[value(hide = true)]
    Html,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// A tabletop exercise on the simulated estate
    #[command(args_conflicts_with_subcommands = true)]
    Drill {
        /// list, show or lint instead of playing
        #[command(subcommand)]
        what: Option<Drill>,
        /// What to play
        #[command(flatten)]
        play: Play,
    },
    /// An engine without a screen, for consoles that attach; ends in good order on HUP and TERM
    Serve,
    /// The console on the engine that runs for the estate; with --read-only it only looks on
    Attach {
        /// Socket of the engine; else that of the configured estate
        #[arg(long, value_name = "PATH")]
        socket: Option<PathBuf>,
    },
    /// Who is attached to the engine that runs, proven by what, and in which role
    Consoles,
    /// Health without a screen; exit 0 healthy, 4 degraded, 5 critical, 6 unknown
    Status {
        /// Print again whenever something changes
        #[arg(long)]
        watch: bool,
    },
    /// Explains a rule, or a finding of the engine that runs; without a name lists the rules
    Explain {
        /// RULE, or FINDING as RULE/SUBJECT
        #[arg(value_name = "FINDING|RULE")]
        what: Option<String>,
    },
    /// What the logs and traces of a tenant say: errors counted, slowest spans; exit 6 when no log said anything
    Logs {
        /// Which tenant
        tenant: String,
        /// From when on: a moment or a time ago (2h); 15 minutes when not given
        #[arg(long, value_name = "MOMENT")]
        since: Option<String>,
    },
    /// Three questions after a deploy, for a pipeline; exit 0 all good, 5 one is not, 6 one can not be told
    Gate {
        /// A moment, a span before now (30m), or the tag of a deploy that was seen
        #[arg(long, value_name = "DEPLOY")]
        since: String,
        /// Only what hurts this tenant
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Roles, rights and policies against what was approved
    Baseline {
        /// What about them
        #[command(subcommand)]
        what: Baseline,
    },
    /// Playbooks: what there is, what it would do
    Playbook {
        /// What about them
        #[command(subcommand)]
        what: Playbook,
    },
    /// Incidents: the commands that the console sends
    Incident {
        /// What about them
        #[command(subcommand)]
        what: Incident,
    },
    /// Runs: stop, resume, list
    Run {
        /// What about them
        #[command(subcommand)]
        what: Run,
    },
    /// The policy: check it, explain a step, propose another
    Policy {
        /// What about it
        #[command(subcommand)]
        what: Policy,
    },
    /// Approves a request with a key of your ssh-agent
    Approve {
        /// What
        #[command(flatten)]
        answer: Answer,
    },
    /// Denies a request with a key of your ssh-agent
    Deny {
        /// What
        #[command(flatten)]
        answer: Answer,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Requests for a second person: list, show, sign elsewhere
    Request {
        /// What about them
        #[command(subcommand)]
        what: Request,
    },
    /// Asks for a role for a time; another person grants it
    Elevate {
        /// What
        #[command(flatten)]
        what: Elevation,
    },
    /// The hold on changes
    Freeze {
        /// What about it
        #[command(subcommand)]
        what: Freeze,
    },
    /// What stakeholders are told: what is promised, drafts, sending, a status page
    Comms {
        /// What about it
        #[command(subcommand)]
        what: Comms,
    },
    /// Business by hand: what is done on paper, who owns it, and the reconciliation afterwards
    Continuity {
        /// What about it
        #[command(subcommand)]
        what: Continuity,
    },
    /// Measures in force
    Measures {
        /// What about them
        #[command(subcommand)]
        what: Measures,
    },
    /// The after-action report on an incident, from the journal alone: --format md, html or json
    Report(Report),
    /// The console on a past incident, as it was seen then; without a terminal one moment of it
    Replay(Replay),
    /// Breaking the glass
    Glass {
        /// What about it
        #[command(subcommand)]
        what: Glass,
    },
    /// The journal: show, verify
    Audit {
        /// What about it
        #[command(subcommand)]
        what: Audit,
    },
    /// For each configured system: reachable, version, rights held and missing
    Doctor {
        /// Write what doctor says into an archive too, with versions, configuration, log and the journal's health
        #[arg(long, value_name = "FILE")]
        bundle: Option<PathBuf>,
    },
    /// The least rights for what is configured and the verbs in use: manifests, SQL, rules of access lists
    Rbac(Rbac),
    /// The configuration: write one, check one
    Config {
        /// What about it
        #[command(subcommand)]
        what: Config,
    },
    /// Every action of the console with its keys; `keys.toml` beside the configuration gives them others
    Keys,
    /// Shell completions on standard output
    Completions {
        /// Shell
        shell: clap_complete::Shell,
    },
    /// The manual: one page on standard output, or a page a command in a directory
    Man {
        /// Write `quarterdeck.1`, `quarterdeck-status.1` and so on into this directory
        #[arg(long, value_name = "DIR")]
        output: Option<PathBuf>,
    },
}

/// About the approved security baseline.
#[derive(Debug, Subcommand)]
pub enum Baseline {
    /// What differs, by name; exit 0 as approved, 4 something differs, 5 something reaches further, 6 not all can be read
    Check,
    /// What is there now, as a file to read, approve and name in [baseline]; exit 6 when not all could be read
    Take {
        /// With the names of secrets; takes the right to list them
        #[arg(long)]
        secrets: bool,
    },
}

/// What to play.
#[derive(Clone, Debug, Default, Args)]
pub struct Play {
    /// Scenario; the default one when absent
    pub scenario: Option<String>,
    /// Seed of the simulated estate; equal seeds give equal estates
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Seconds of the scenario that pass in one second
    #[arg(long, value_name = "X", value_parser = speed)]
    pub speed: Option<f64>,
    /// Without a screen: a script plays it, as fast as it goes where no speed is given
    #[arg(long)]
    pub headless: bool,
    /// What the crew does, instead of the script that ships with the scenario; goes with --headless
    #[arg(long, value_name = "FILE", requires = "headless")]
    pub script: Option<PathBuf>,
}

fn speed(text: &str) -> Result<f64, String> {
    let number: f64 =
        text.trim_end_matches('x').parse().map_err(|_| "a number such as 4 or 0.5 is expected".to_owned())?;
    if (0.1..=600.0).contains(&number) { Ok(number) } else { Err("allowed is 0.1 to 600".to_owned()) }
}

/// About scenarios.
#[derive(Debug, Subcommand)]
pub enum Drill {
    /// The scenarios that there are
    List,
    /// One scenario
    Show {
        /// Its id
        id: String,
    },
    /// Checks scenario files
    Lint {
        /// Files; the built-in ones when absent
        files: Vec<PathBuf>,
    },
    /// A commented scenario to start from, on standard output or in a file that is not there yet
    New {
        /// Its id: lower-case letters, digits and `-`
        id: String,
        /// File
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// A scenario from a real incident: its findings as causes, its acts as expectations, no name of anybody
    FromIncident {
        /// The incident
        incident: String,
        /// File that is not there yet; standard output when absent
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// The journal's directory; else that of the configured estate
        #[arg(long, value_name = "DIR")]
        journal: Option<PathBuf>,
    },
    /// The score of an exercise, from its journal alone
    Score {
        /// The journal's directory, or an incident of it; the newest drill when absent
        #[arg(value_name = "DIR|INCIDENT")]
        of: Option<PathBuf>,
        /// The journal's directory, where an incident is named
        #[arg(long, value_name = "DIR")]
        journal: Option<PathBuf>,
    },
    /// Asks the drill that runs for a hint; it costs points
    Hint(ToDrill),
    /// Steers the drill that runs: one act, or the facilitator's console without one
    Facilitate {
        /// Which drill
        #[command(flatten)]
        to: ToDrill,
        /// What is done
        #[command(subcommand)]
        act: Option<Facilitate>,
    },
}

/// Which drill is meant.
#[derive(Clone, Debug, clap::Args)]
pub struct ToDrill {
    /// Socket of its engine; the newest drill of this user when absent
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

/// What a facilitator does.
#[derive(Clone, Debug, Subcommand)]
pub enum Facilitate {
    /// The clock runs at the speed of the scenario
    Start,
    /// The clock stands
    Pause,
    /// The clock runs at another speed
    Speed {
        /// Seconds of the scenario in one second
        #[arg(value_parser = speed)]
        speed: f64,
    },
    /// The injects as they stand
    Plan,
    /// An inject comes now
    Fire {
        /// Its id
        inject: String,
    },
    /// An inject does not come
    Skip {
        /// Its id
        inject: String,
    },
    /// An inject comes later
    Delay {
        /// Its id
        inject: String,
        /// By how much: 90s, 5m, 1h05m
        #[arg(value_parser = super::drill::running::lasting)]
        by: i64,
    },
    /// Gives the crew a hint that costs nothing
    Hint,
    /// Gives other points for an expectation, with a reason
    Override {
        /// Its id
        expectation: String,
        /// Points
        score: u32,
        /// Why; at least ten characters
        #[arg(required = true, num_args = 1.., trailing_var_arg = true)]
        reason: Vec<String>,
    },
    /// Writes down what the crew's screens do not show
    Note {
        /// Text
        #[arg(required = true, num_args = 1.., trailing_var_arg = true)]
        text: Vec<String>,
    },
    /// Tells the crew something
    Tell {
        /// Text
        #[arg(required = true, num_args = 1.., trailing_var_arg = true)]
        text: Vec<String>,
    },
}

/// About playbooks.
#[derive(Debug, Subcommand)]
pub enum Playbook {
    /// All of them, with origin, risk and what lint says
    List,
    /// One playbook
    Show {
        /// Its id
        id: String,
    },
    /// Checks playbook files; every error with its place
    Lint {
        /// Files; the built-in and the user's own when absent
        files: Vec<PathBuf>,
    },
    /// The exact requests and digests, without sending anything
    Render {
        /// Its id
        id: String,
        /// A parameter, `name=value`
        #[arg(long = "param", value_name = "K=V", value_parser = pair)]
        params: Vec<(String, String)>,
    },
    /// Runs it without a screen, with the same gates; exit 7 where a gate stays shut, 8 where an outcome is not known
    /// (also because the engine is gone), 9 rolled back
    Run(Headless),
    /// The JSON schema of a playbook file, for editors
    Schema,
}

/// A run without a screen.
#[derive(Clone, Debug, Args)]
pub struct Headless {
    /// Its id
    pub id: String,
    /// A parameter, `name=value`
    #[arg(long = "param", value_name = "K=V", value_parser = pair)]
    pub params: Vec<(String, String)>,
    /// Where a secret parameter is read: `env:VARIABLE`, `file:PATH` or `prompt`; also with --continue, after a restart
    #[arg(long = "secret", value_name = "K=PLACE", value_parser = pair)]
    pub secrets: Vec<(String, String)>,
    /// Confirms exactly this request of a step; `playbook render` prints its digest, and so does a run that waits
    #[arg(long, value_name = "STEP=DIGEST", value_parser = pair)]
    pub confirm: Vec<(String, String)>,
    /// The phrase that confirms a step of high risk
    #[arg(long = "type", value_name = "STEP=PHRASE", value_parser = pair)]
    pub typed: Vec<(String, String)>,
    /// How a step is decided, when it is to be
    #[arg(long, value_name = "STEP=KEY[:REASON]", value_parser = pair)]
    pub decide: Vec<(String, String)>,
    /// A value that a step asks for
    #[arg(long, value_name = "STEP.NAME=V", value_parser = pair)]
    pub give: Vec<(String, String)>,
    /// Stakeholders were told what this step says
    #[arg(long, value_name = "STEP")]
    pub told: Vec<String>,
    /// Incident that it belongs to: INC-1; else the open one
    #[arg(long, value_name = "ID")]
    pub incident: Option<String>,
    /// Goes on with this run instead of starting one: RUN-1
    #[arg(long = "continue", value_name = "RUN", conflicts_with_all = ["params", "incident"])]
    pub go_on: Option<String>,
    /// How long preconditions and approvals are waited for
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub wait: u64,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("name=value is expected".to_owned()),
    }
}

/// About incidents.
#[derive(Debug, Subcommand)]
pub enum Incident {
    /// All that the journal knows
    List,
    /// One incident with its timeline
    Show {
        /// Its id: INC-1
        id: String,
    },
    /// Declares one
    Declare {
        /// What it is about
        title: String,
        /// SEV1 to SEV4
        #[arg(long, default_value = "SEV2", value_parser = severity)]
        severity: crate::domain::incident::Severity,
        /// A finding it is declared for
        #[arg(long = "finding", value_name = "ID")]
        findings: Vec<String>,
    },
    /// Writes a note
    Note {
        /// Its id
        id: String,
        /// Text
        text: String,
    },
    /// Gives a role to a person
    Role {
        /// Its id
        id: String,
        /// commander, deputy, operator, dba, comms, scribe, approver, business-owner, observer
        #[arg(value_parser = role)]
        role: crate::domain::incident::Role,
        /// Who
        person: String,
    },
    /// Hands the command to another person
    Handover {
        /// Its id
        id: String,
        /// Who takes over
        person: String,
    },
    /// Accepts the recovery, as its business owner
    Accept {
        /// Its id
        id: String,
        /// What is accepted, one line
        text: String,
    },
    /// What whoever takes the command over has to know, from the engine that runs
    Brief,
    /// Takes the command over from a commander whose console is gone; for the deputy
    TakeOver {
        /// Its id
        id: String,
        /// Why
        reason: String,
    },
    /// Closes it
    Close {
        /// Its id
        id: String,
        /// The outcome, one line
        summary: String,
    },
}

fn severity(text: &str) -> Result<crate::domain::incident::Severity, String> {
    serde_json::from_value(text.to_uppercase().into()).map_err(|_| "allowed are SEV1, SEV2, SEV3 and SEV4".to_owned())
}

fn role(text: &str) -> Result<crate::domain::incident::Role, String> {
    serde_json::from_value(text.into()).map_err(|_| {
        "allowed are commander, deputy, operator, dba, comms, scribe, approver, business-owner and observer".to_owned()
    })
}

/// An answer to a request.
#[derive(Debug, Args)]
pub struct Answer {
    /// The request: REQ-3
    pub request: String,
    /// Fingerprint or comment of the key, where the agent holds several
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Role in which you answer, where several are asked for
    #[arg(long, value_parser = role)]
    pub role: Option<crate::domain::incident::Role>,
    /// The digest that you have read, in the place of the question
    #[arg(long)]
    pub digest: Option<String>,
}

/// About requests.
#[derive(Debug, Subcommand)]
pub enum Request {
    /// Those that wait
    List {
        /// The last that are over too
        #[arg(long)]
        all: bool,
    },
    /// One in full
    Show {
        /// Its name: REQ-3
        id: String,
    },
    /// Writes what has to be signed elsewhere, and what would be done
    Export {
        /// Its name
        id: String,
        /// approve or deny
        #[arg(long, default_value = "approve", value_parser = decision)]
        decision: crate::engine::api::Decision,
        /// Role in which it is signed, where several are asked for
        #[arg(long, value_parser = role)]
        role: Option<crate::domain::incident::Role>,
        /// Directory
        #[arg(long, value_name = "DIR", default_value = ".")]
        output: PathBuf,
    },
    /// Takes a signature that was made elsewhere
    Import {
        /// The file that ssh-keygen wrote: REQ-3.approve.json.sig
        signature: PathBuf,
        /// Why, for a no
        #[arg(long, default_value = "")]
        reason: String,
    },
}

fn decision(text: &str) -> Result<crate::engine::api::Decision, String> {
    serde_json::from_value(text.into()).map_err(|_| "allowed are approve and deny".to_owned())
}

/// About the policy.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Every error with its place; exit 2 when there is one
    Check {
        /// The file; the one that would be used when absent
        file: Option<PathBuf>,
    },
    /// Why a step has its risk, how it is confirmed, who may approve it, what denies it
    Explain {
        /// PLAYBOOK/STEP
        step: String,
        /// A parameter, `name=value`
        #[arg(long = "param", value_name = "K=V", value_parser = pair)]
        params: Vec<(String, String)>,
    },
    /// The file as it is used; the shipped one documents itself
    Show,
    /// The people
    Roster {
        /// As the file that `ssh-keygen -Y verify -f` takes
        #[arg(long)]
        allowed_signers: bool,
    },
    /// Asks for another policy; people of the roster in force sign it
    Propose {
        /// The file
        file: PathBuf,
    },
}

/// A role for a time.
#[derive(Debug, Args)]
pub struct Elevation {
    /// The role
    #[arg(value_parser = role, required_unless_present = "cancel")]
    pub role: Option<crate::domain::incident::Role>,
    /// For how long
    #[arg(long = "for", value_name = "TIME", default_value = "30m")]
    pub lasts: String,
    /// Why
    #[arg(long)]
    pub reason: Option<String>,
    /// Gives it back instead
    #[arg(long, conflicts_with = "reason")]
    pub end: bool,
    /// Ends a login at the identity provider that is under way: LOGIN-1
    #[arg(long, value_name = "LOGIN", conflicts_with_all = ["role", "reason", "end"])]
    pub cancel: Option<String>,
}

/// About the hold on changes.
#[derive(Debug, Subcommand)]
pub enum Freeze {
    /// Freezes changes
    Set {
        /// Why
        reason: String,
        /// For how long; until it is lifted when absent
        #[arg(long = "for", value_name = "TIME")]
        lasts: Option<String>,
    },
    /// Lifts it
    Lift {
        /// Why
        reason: String,
    },
}

/// About measures.
#[derive(Debug, Subcommand)]
pub enum Measures {
    /// Those in force
    List,
    /// Hands one to an owner, so that the incident may close
    Assign {
        /// Its id: maintenance/t017
        id: String,
        /// Who
        owner: String,
        /// For how long
        #[arg(long = "for", value_name = "TIME", default_value = "24h")]
        lasts: String,
    },
    /// Says that something that is owed after an incident is done
    Done {
        /// Its id: duty/RUN-3/unfreeze
        id: String,
        /// What was done
        text: String,
    },
    /// How one is lifted
    LiftHint {
        /// Its id
        id: String,
    },
}

/// A message that is meant.
#[derive(Clone, Debug, Args)]
pub struct CommsAsked {
    /// Audience: customer, warehouse, customer-service, procurement, executives, regulators, or an own one
    pub audience: String,
    /// Incident; the open one when absent
    #[arg(long, value_name = "INCIDENT")]
    pub incident: Option<String>,
    /// First word, one in between, or the last, which promises no other: first, update, resolved
    #[arg(long, value_parser = moment)]
    pub moment: Option<Moment>,
    /// Template; the one that fits best when absent
    #[arg(long, value_name = "ID")]
    pub template: Option<String>,
}

fn moment(word: &str) -> Result<Moment, String> {
    let found = Moment::ALL.into_iter().find(|m| m.word() == word);
    found.ok_or_else(|| format!("`{word}` is none; allowed are first, update and resolved"))
}

fn channel(word: &str) -> Result<Channel, String> {
    let allowed = "allowed are email, webhook, page and file, and in an exercise simulated";
    Channel::named(word).ok_or_else(|| format!("`{word}` is no channel; {allowed}"))
}

fn hand(word: &str) -> Result<Hand, String> {
    let words: Vec<&str> = Hand::ALL.into_iter().map(Hand::word).collect();
    let found = Hand::ALL.into_iter().find(|h| h.word() == word);
    found.ok_or_else(|| format!("`{word}` is none; allowed are {}", words.join(", ")))
}

/// About business by hand.
#[derive(Debug, Subcommand)]
pub enum Continuity {
    /// What is done by hand, who owns it and has acknowledged it, and what is to be reconciled
    List,
    /// Something is done by hand from now on: order-capture, shipping, receiving, production-reporting, priorities, carriers
    Start {
        /// What
        #[arg(value_parser = hand)]
        process: Hand,
        /// Whose
        tenant: String,
        /// How; for priorities their order, for carriers what was agreed
        how: String,
        /// At which of its plants; at all when absent
        #[arg(long)]
        plant: Option<String>,
        /// Who owns it and has to acknowledge it
        #[arg(long)]
        owner: String,
    },
    /// Its owner says that it is known
    Acknowledge {
        /// Its id: fallback/shipping/t017
        id: String,
    },
    /// It ends; its papers are to be reconciled
    End {
        /// Its id
        id: String,
    },
    /// Papers and documents were compared
    Reconcile {
        /// Its id: reconcile/shipping/t017
        id: String,
        /// Sheets of paper
        #[arg(long)]
        sheets: u32,
        /// Documents that were entered
        #[arg(long)]
        documents: u32,
        /// What became of those that differ
        #[arg(long, default_value = "")]
        text: String,
    },
}

/// About communications.
#[derive(Debug, Subcommand)]
pub enum Comms {
    /// Audiences with their last and their next promised word, and the messages
    List {
        /// Incident; the open one when absent
        #[arg(long, value_name = "INCIDENT")]
        incident: Option<String>,
    },
    /// The templates in force
    Templates,
    /// A message as its template has it; nothing is sent
    Preview(CommsAsked),
    /// Sends a message and waits for the channels; exit 1 where one failed, 8 where it is not known
    Send {
        /// Which
        #[command(flatten)]
        asked: CommsAsked,
        /// Another subject than the template's
        #[arg(long)]
        subject: Option<String>,
        /// Another text than the template's: a file, or - for standard input
        #[arg(long, value_name = "FILE")]
        text: Option<PathBuf>,
        /// Channels; the first of each recipient when absent
        #[arg(long, value_name = "CHANNEL", value_parser = channel)]
        by: Vec<Channel>,
    },
    /// Tries a message again where it has not arrived, under the same name; what has taken it is not asked again
    Resend {
        /// Its name: MSG-3
        message: String,
        /// To whom; to all that have not got it when absent
        #[arg(long, value_name = "RECIPIENT")]
        to: Option<String>,
        /// By what; by the same channel as before when absent
        #[arg(long, value_name = "CHANNEL", value_parser = channel)]
        by: Option<Channel>,
    },
    /// Who is on call now, and who is called next
    Oncall,
    /// Says that the call for a waiting step has reached you: nobody else is called
    Acknowledge {
        /// Run: RUN-3
        run: String,
        /// Step
        step: String,
    },
    /// The text of a status page: what is affected, since when, what was said, the next update; --format md or json
    StatusPage {
        /// Incident
        incident: String,
        /// To whom it speaks
        #[arg(long, default_value = "customer")]
        audience: String,
    },
}

/// About runs.
#[derive(Debug, Subcommand)]
pub enum Run {
    /// Runs of the engine
    List,
    /// Ends a run after the step in hand
    Stop {
        /// Its id: RUN-1
        id: String,
        /// Why
        reason: String,
    },
    /// Goes on with a stopped run
    Resume {
        /// Its id
        id: String,
    },
}

/// A report.
#[derive(Debug, Args)]
pub struct Report {
    /// The incident: INC-1; or `governance` for trends over all of them
    pub incident: String,
    /// With `governance`: from this moment on, such as 2026-01-01 or 90d; a year by default
    #[arg(long, value_name = "MOMENT")]
    pub since: Option<String>,
    /// Directory of the journal; that of the configured estate when absent
    #[arg(long, value_name = "DIR")]
    pub journal: Option<PathBuf>,
    /// Verifier key of the journal, from outside it
    #[arg(long, value_name = "FILE")]
    pub vkey: Option<PathBuf>,
    /// Write it to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long, requires = "output")]
    pub force: bool,
}

/// The least rights.
#[derive(Debug, Args)]
pub struct Rbac {
    /// Systems by their names in the configuration; all of them when none is named
    #[arg(value_name = "SYSTEM")]
    pub systems: Vec<String>,
    /// Verbs to act by: `kubernetes.scale,odoo.*`, or `none`; those of the playbooks when absent
    #[arg(long, value_name = "VERB,…", value_delimiter = ',')]
    pub verbs: Vec<String>,
    /// On Kubernetes: bind what acts in the namespaces of tenants only
    #[arg(long)]
    pub namespaced: bool,
    /// On Kubernetes: the user that looks, or system:serviceaccount:NAMESPACE:NAME
    #[arg(long, value_name = "USER", default_value = "quarterdeck-look")]
    pub look_as: String,
    /// On Kubernetes: the user that acts, or system:serviceaccount:NAMESPACE:NAME
    #[arg(long, value_name = "USER", default_value = "quarterdeck-act")]
    pub act_as: String,
}

/// A look back.
#[derive(Debug, Args)]
pub struct Replay {
    /// The incident: INC-1
    pub incident: String,
    /// The moment to begin at: 02:13, 2026-11-21T02:13:05Z, +5m from its beginning
    #[arg(long, value_name = "MOMENT")]
    pub at: Option<String>,
    /// Directory of the journal; that of the configured estate when absent
    #[arg(long, value_name = "DIR")]
    pub journal: Option<PathBuf>,
}

/// About the glass.
#[derive(Debug, Subcommand)]
pub enum Glass {
    /// Breaks it for 30 minutes
    Break {
        /// Why, at least ten characters
        reason: String,
    },
    /// Mends it before its end
    Restore,
    /// Records the review, without which the incident can not be closed
    Review {
        /// What the review found
        text: String,
    },
}

/// About the configuration.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Asks a few questions, probes what is there, writes a commented file
    Init {
        /// Where to write; the user's own place when absent
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Replace an existing file
        #[arg(long)]
        force: bool,
        /// For the service of this machine: written to /etc/quarterdeck, with its socket, journal and log
        #[arg(long)]
        system: bool,
    },
    /// Every error with its place; exit 2 when there is one
    Check,
    /// The JSON schema of the configuration file, for editors
    Schema,
}
