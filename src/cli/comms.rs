//! `comms …`: what stakeholders are told, without a screen: what is promised, a draft, sending, trying again, and the
//! text of a status page. What is sent goes through the engine that runs, or through one that is opened for it.

use super::args::{Comms, CommsAsked, Format, Global};
use super::opening::{self, Opened};
use super::output::{self, Error, Exit};
use super::session::{self, Loaded};
use crate::comms::board::{AudienceView, Board, MessageView};
use crate::comms::oncall::{Chain, Kept, OnCall, Standing};
use crate::comms::roster::Roster;
use crate::comms::status_page::{Source as PageSource, StatusPage};
use crate::comms::{Channel, Delivery, Table, Way, decode};
use crate::config::problem::Problems;
use crate::config::reader::{self, Source};
use crate::domain::id::{IncidentId, RunId, StepId};
use crate::domain::mode::Mode;
use crate::engine::api::{Command, DraftView, Reply, WayName};
use crate::engine::attach::remote::{self, Away, Remote};
use crate::engine::client::Client;
use crate::engine::state::State;
use crate::journal::fold;
use crate::observe::oncall::{ScheduleReader, readers};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use toml::de::DeTable;

/// How long a delivery is waited for: longer than any channel may take.
const PATIENCE: Duration = Duration::from_secs(150);

/// One template, as `comms templates` prints it.
#[derive(Serialize, JsonSchema)]
pub struct TemplateRow {
    /// Id.
    id: String,
    /// Audience.
    audience: String,
    /// `first`, `update` or `resolved`.
    moment: crate::comms::Moment,
    /// Severities; empty for all.
    severity: Vec<crate::domain::incident::Severity>,
    /// `built-in:…`, or the file.
    origin: String,
    /// Subject, a template.
    subject: String,
}

/// Runs `comms`.
pub fn run(global: &Global, what: Comms) -> Result<Exit, Error> {
    match what {
        Comms::List { incident } => list(global, incident.as_deref()),
        Comms::Templates => templates(global),
        Comms::Preview(asked) => preview(global, &asked),
        Comms::Send { asked, subject, text, by } => send(global, &asked, subject, text.as_deref(), &by),
        Comms::Resend { message, to, by } => {
            let command = Command::Resend { message, recipient: to, channel: by };
            with_engine(global, async |client: &Client| settle(global, client, command).await)
        }
        Comms::Oncall => oncall(global),
        Comms::Acknowledge { run, step } => {
            let command = Command::AcknowledgeCall { run: RunId::new(run), step: StepId::new(step) };
            with_engine(global, async |client: &Client| output::reply(&client.send(command).await, global.format))
        }
        Comms::StatusPage { incident, audience } => status_page(global, &incident, &audience),
    }
}

/// The audiences and templates in force for a configuration; everything that is wrong with them, and with the groups of
/// `[[comms.audience]]` that they do not know.
pub fn table_of(loaded: &Loaded) -> Result<Arc<Table>, Error> {
    let table = match &loaded.config.comms.templates {
        None => decode::shipped(),
        Some(path) => {
            let beside = loaded.path.parent().unwrap_or(Path::new("")).join(path);
            let text = session::read_file(&beside)?;
            Arc::new(decode::table(Some((&beside.display().to_string(), &text)))?)
        }
    };
    known_groups(loaded, &table)?;
    Ok(table)
}

fn known_groups(loaded: &Loaded, table: &Table) -> Result<(), Problems> {
    let file = loaded.path.display().to_string();
    let (root, _) = DeTable::parse_recoverable(&loaded.text);
    let source = Source::new(&file, &loaded.text);
    let comms = reader::Table::root(&source, &root).table("comms");
    for mut audience in comms.map(|mut c| c.tables("audience")).unwrap_or_default() {
        audience.checked_strings("groups", |group| {
            if table.audiences.iter().any(|a| a.id == group) {
                return Ok(());
            }
            let known: Vec<&str> = table.audiences.iter().map(|a| a.id.as_str()).collect();
            Err(format!("`{group}` is no audience; known are {}", known.join(", ")))
        });
    }
    let problems = source.into_problems();
    if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
}

/// Whoever is on call, as `[[comms.oncall]]` and its rosters say.
pub fn oncall_of(loaded: &Loaded) -> Result<Vec<OnCall>, Error> {
    let audiences = &loaded.config.comms.audiences;
    let names: Vec<String> = audiences.iter().map(|a| a.name.clone()).collect();
    let one = |duty: &crate::config::model::Duty| {
        let roster = |file: &std::path::PathBuf| {
            let beside = loaded.path.parent().unwrap_or(Path::new("")).join(file);
            let roster = Roster::decode(&beside.display().to_string(), &session::read_file(&beside)?, &names)?;
            Ok::<_, Error>((roster, file.display().to_string()))
        };
        let kept = |s: &crate::config::model::Schedule| {
            Ok::<_, Error>(Kept { shown: s.shown(), interval: s.interval.try_into().map_err(Error::failed)? })
        };
        Ok(OnCall {
            name: duty.name.clone(),
            within: duty.within.try_into().map_err(Error::failed)?,
            schedule: duty.schedule.as_ref().map(kept).transpose()?,
            roster: duty.roster.as_ref().map(roster).transpose()?,
            then: duty.then.clone(),
            known: audiences.iter().map(|a| (a.name.clone(), a.email.clone())).collect(),
        })
    };
    loaded.config.comms.oncall.iter().map(one).collect()
}

/// Who is on call for a duty, as `comms oncall` prints it.
#[derive(Serialize, JsonSchema)]
pub struct DutyRow {
    /// Name of the duty.
    name: String,
    /// Who is called, in this order; nobody where no source says anybody.
    order: Vec<String>,
    /// On whose word each of them is called.
    sources: Vec<String>,
    /// A sentence for each source that does not say who is on call.
    unknown: Vec<String>,
    /// Seconds after which the next is called.
    acknowledge_within_s: i64,
}

/// What the services say now who is on call, by duty.
pub async fn ask_schedules(readers: Vec<ScheduleReader>) -> Vec<(ScheduleReader, Standing)> {
    let ask = |mut reader: ScheduleReader| async move {
        let answer = reader.ask().await.map_err(|refusal| refusal.failure.message);
        let mut standing = Standing::default();
        standing.take(answer, Timestamp::now());
        (reader, standing)
    };
    futures::future::join_all(readers.into_iter().map(ask)).await
}

fn oncall(global: &Global) -> Result<Exit, Error> {
    if global.drill.is_some() {
        return Err(Error::Usage("an exercise has no rosters: nobody outside is called".into()));
    }
    let loaded = session::load(global)?;
    let readers = Mode::ReadOnly.may_observe().map(|may| readers(may, &loaded.config.comms)).unwrap_or_default();
    let asked = session::runtime()?.block_on(ask_schedules(readers));
    let now = Timestamp::now();
    let row = |o: &OnCall| {
        let said = asked.iter().find(|(reader, _)| reader.duty() == o.name).map(|(_, standing)| standing.clone());
        let chain = o.chain(now, &said.unwrap_or_default());
        let (order, sources) = (chain.names(), chain.people.iter().map(|c| c.source.clone()).collect());
        let Chain { unknown, .. } = chain;
        DutyRow { name: o.name.clone(), order, sources, unknown, acknowledge_within_s: o.within.as_secs() }
    };
    let rows: Vec<DutyRow> = oncall_of(&loaded)?.iter().map(row).collect();
    let exit = if rows.iter().any(|r| !r.unknown.is_empty()) { Exit::Unknown } else { Exit::Done };
    if global.format == Format::Json {
        output::json(&rows)?;
        return Ok(exit);
    }
    let cells = |r: &DutyRow| {
        let (first, then) = r.order.split_first().map_or(("NOT KNOWN", &[] as &[String]), |(f, t)| (f.as_str(), t));
        let source = r.sources.first().cloned().unwrap_or_default();
        vec![r.name.clone(), first.to_owned(), format!("{} s", r.acknowledge_within_s), then.join(", "), source]
    };
    output::table(&["DUTY", "ON CALL", "NEXT AFTER", "THEN", "BY"], &rows.iter().map(cells).collect::<Vec<_>>())?;
    for row in &rows {
        for why in &row.unknown {
            output::line(&format!("{}: {why}", row.name))?;
        }
    }
    Ok(exit)
}

/// How the engine is reached.
enum Desk {
    Attached(Remote),
    Own(Box<Opened>),
}

async fn desk(global: &Global) -> Result<Desk, Error> {
    let caller = if global.drill.is_some() {
        let none = || Error::Failed("no drill of this user is served".into());
        session::caller(&session::running_drill().ok_or_else(none)?, "cli", false)
    } else {
        session::engine(global)?.caller("cli", false)
    };
    match remote::attach(caller).await {
        Ok(remote) => Ok(Desk::Attached(remote)),
        Err(Away::Nobody(_)) if global.drill.is_none() => {
            Ok(Desk::Own(Box::new(opening::named(global, false, "cli")?)))
        }
        Err(away) => Err(Error::failed(away)),
    }
}

fn with_engine(global: &Global, work: impl AsyncFnOnce(&Client) -> Result<Exit, Error>) -> Result<Exit, Error> {
    session::runtime()?.block_on(async {
        match desk(global).await? {
            Desk::Attached(remote) => work(&remote.client).await,
            Desk::Own(opened) => {
                let came = work(&opened.running.client).await;
                opened.end().await;
                came
            }
        }
    })
}

fn refused(reply: Reply) -> Error {
    match reply {
        Reply::Refused { why, denied: true } => Error::Denied(why),
        Reply::Refused { why, denied: false } if why == remote::UNANSWERED => Error::Unanswered(why),
        other => Error::Failed(other.words().to_owned()),
    }
}

fn draft_command(asked: &CommsAsked) -> Command {
    Command::Draft {
        incident: asked.incident.clone().map(IncidentId::new),
        audience: asked.audience.clone(),
        moment: asked.moment,
        template: asked.template.clone(),
    }
}

async fn drafted(client: &Client, asked: &CommsAsked) -> Result<Box<DraftView>, Error> {
    match client.send(draft_command(asked)).await {
        Reply::Drafted { view } => Ok(view),
        other => Err(refused(other)),
    }
}

fn preview(global: &Global, asked: &CommsAsked) -> Result<Exit, Error> {
    with_engine(global, async |client: &Client| {
        let draft = drafted(client, asked).await?;
        if global.format == Format::Json {
            output::json(&draft)?;
            return Ok(Exit::Done);
        }
        let next = draft.next.map_or_else(|| "none is promised".to_owned(), stamp);
        output::line(&format!("To: {} ({}), {}", draft.name, draft.incident, draft.template))?;
        for way in &draft.ways {
            output::line(&format!("    {} by {} ({})", way.recipient, way.channel, way.to))?;
        }
        if let Some(mute) = &draft.mute {
            output::line(&format!("    {mute}"))?;
        }
        output::line(&format!("Next word: {next}\nSubject: {}\n\n{}", draft.subject, draft.text))?;
        Ok(Exit::Done)
    })
}

/// The text that a person gives: a file, or standard input for `-`.
fn given(text: Option<&Path>) -> Result<Option<String>, Error> {
    match text {
        None => Ok(None),
        Some(path) if path == Path::new("-") => {
            let mut all = String::new();
            std::io::stdin().read_to_string(&mut all).map_err(|e| Error::Failed(format!("standard input: {e}")))?;
            Ok(Some(all))
        }
        Some(path) => Ok(Some(session::read_file(path)?)),
    }
}

fn send(
    global: &Global,
    asked: &CommsAsked,
    subject: Option<String>,
    text: Option<&Path>,
    by: &[Channel],
) -> Result<Exit, Error> {
    let text = given(text)?;
    let by: Vec<WayName> = by.iter().map(|channel| WayName { recipient: None, channel: *channel }).collect();
    with_engine(global, async |client: &Client| {
        let draft = drafted(client, asked).await?;
        let command = Command::Tell {
            incident: Some(draft.incident),
            audience: draft.audience,
            moment: Some(draft.moment),
            template: Some(draft.template),
            subject: subject.unwrap_or(draft.subject),
            text: text.unwrap_or(draft.text),
            by,
            draft: Some(draft.draft),
        };
        settle(global, client, command).await
    })
}

/// Sends a command about a message, and waits until it is known what became of it.
async fn settle(global: &Global, client: &Client, command: Command) -> Result<Exit, Error> {
    let (message, id) = match client.send(command).await {
        Reply::Accepted { message, id: Some(id) } => (message, id),
        other => return Err(refused(other)),
    };
    let (mut snapshots, mut link) = (client.snapshots.clone(), client.link.clone());
    let ended = async {
        loop {
            let found = snapshots.borrow_and_update().comms.messages.iter().find(|m| m.id == id).cloned();
            if found.as_ref().is_some_and(|view| view.delivery != Delivery::Pending) {
                return found;
            }
            if link.borrow_and_update().lost.is_some() {
                return None;
            }
            tokio::select! {
                changed = snapshots.changed() => changed.ok()?,
                // An engine in this process has no link that could change.
                Ok(()) = link.changed() => {}
            }
        }
    };
    let ended = tokio::time::timeout(PATIENCE, ended).await.ok().flatten();
    let Some(view) = ended else {
        return Err(Error::Unanswered(format!("what became of {id} is not known; `comms list` says it later")));
    };
    if global.format == Format::Json {
        output::json(&view)?;
    } else {
        output::line(&message)?;
        for line in told(&view) {
            output::line(&line)?;
        }
    }
    Ok(match view.delivery {
        Delivery::Sent => Exit::Done,
        Delivery::Unknown | Delivery::Pending => Exit::OutcomeUnknown,
        Delivery::Failed => Exit::Failed,
    })
}

/// What became of a message, a line an attempt, and what can be done about it.
fn told(view: &MessageView) -> Vec<String> {
    let mut lines = vec![format!("{} {}: {}", view.id, view.audience, view.delivery.word())];
    for attempt in &view.attempts {
        let detail = if attempt.detail.is_empty() { String::new() } else { format!(": {}", attempt.detail) };
        lines.push(format!("    {} by {} {}{detail}", attempt.recipient, attempt.channel, attempt.delivery.word()));
    }
    for offer in &view.offers {
        let command = format!("quarterdeck comms resend {} --to {} --by {}", view.id, offer.recipient, offer.channel);
        lines.push(format!("    next: {command}"));
    }
    lines
}

fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn list(global: &Global, incident: Option<&str>) -> Result<Exit, Error> {
    let (board, now) = board(global, incident)?;
    if global.format == Format::Json {
        output::json(&board)?;
        return Ok(Exit::Done);
    }
    let Some(id) = &board.incident else {
        output::line("no incident is open")?;
        return Ok(Exit::Done);
    };
    output::line(&format!("{id}{}", board.mute.as_ref().map(|m| format!(": {m}")).unwrap_or_default()))?;
    let row = |a: &AudienceView| {
        let last = a.last.as_ref().map_or_else(|| "nothing yet".to_owned(), |l| stamp(l.at));
        let due = a.countdown(now).unwrap_or_else(|| match &a.last {
            Some(last) if last.last => "was told the last word".to_owned(),
            _ => "nothing promised".to_owned(),
        });
        let ways = a.ways.iter().map(|w| {
            let delivery = w.delivery.map(|d| format!(" ({})", d.word())).unwrap_or_default();
            format!("{} by {}{delivery}", w.recipient, w.channel)
        });
        let ways: Vec<String> = ways.collect();
        let ways = if ways.is_empty() { "NO WAY to them".to_owned() } else { ways.join(", ") };
        vec![a.id.clone(), a.health(now).word().to_owned(), due, last, ways]
    };
    let rows: Vec<_> = board.audiences.iter().map(row).collect();
    output::table(&["AUDIENCE", "HEALTH", "NEXT WORD", "LAST WORD", "WAYS"], &rows)?;
    for message in &board.messages {
        for line in told(message) {
            output::line(&line)?;
        }
    }
    Ok(Exit::Done)
}

/// The communications of the engine that runs; else of the journal as it lies there.
fn board(global: &Global, incident: Option<&str>) -> Result<(Board, Timestamp), Error> {
    if global.drill.is_some() && incident.is_none() {
        let snapshot = super::brief::running(global)?;
        return Ok(((*snapshot.comms).clone(), snapshot.at));
    }
    let (known, place) = known(global)?;
    let incidents = known.incidents();
    let found = match incident {
        None => incidents.iter().find(|i| i.closed_at.is_none()),
        Some(id) => Some(
            incidents
                .iter()
                .find(|i| i.id.as_str() == id)
                .ok_or_else(|| Error::Failed(format!("there is no incident {id}")))?,
        ),
    };
    Ok((Board::of(&place.table, known.comms(), found, &place.ways), Timestamp::now()))
}

/// Where the records are read from, and with what.
struct Place {
    table: Arc<Table>,
    ways: Vec<Way>,
    time_zone: String,
    drill: bool,
}

/// What the journal says, read without its lock.
fn known(global: &Global) -> Result<(State, Place), Error> {
    let (dir, place) = if global.drill.is_some() {
        let dir = super::audit::directory(global, None)?;
        (dir, Place { table: decode::shipped(), ways: Vec::new(), time_zone: "UTC".into(), drill: true })
    } else {
        let loaded = session::load(global)?;
        let table = table_of(&loaded)?;
        let post = Mode::Live.may_act().map(|m| crate::act::comms::post(m, &loaded.config.comms, ""));
        let ways = post.map(|p| p.ways()).unwrap_or_default();
        let time_zone = loaded.config.estate.time_zone.clone();
        (session::home(&loaded.config).journal, Place { table, ways, time_zone, drill: false })
    };
    let state = if dir.exists() { fold::replay_kept(&dir).map_err(Error::failed)? } else { State::default() };
    Ok((state, place))
}

fn templates(global: &Global) -> Result<Exit, Error> {
    let table = if global.drill.is_some() { decode::shipped() } else { table_of(&session::load(global)?)? };
    let row = |t: &crate::comms::Template| TemplateRow {
        id: t.id.clone(),
        audience: t.audience.clone(),
        moment: t.moment,
        severity: t.severity.clone(),
        origin: t.origin.clone(),
        subject: t.subject.clone(),
    };
    let rows: Vec<TemplateRow> = table.templates.iter().map(row).collect();
    if global.format == Format::Json {
        output::json(&rows)?;
        return Ok(Exit::Done);
    }
    let cells = |r: &TemplateRow| {
        let severity: Vec<String> = r.severity.iter().map(ToString::to_string).collect();
        let severity = if severity.is_empty() { "all".to_owned() } else { severity.join(" ") };
        vec![r.audience.clone(), r.moment.to_string(), severity, r.id.clone(), r.origin.clone()]
    };
    let cells: Vec<_> = rows.iter().map(cells).collect();
    output::table(&["AUDIENCE", "MOMENT", "SEVERITY", "TEMPLATE", "FROM"], &cells)?;
    Ok(Exit::Done)
}

fn status_page(global: &Global, id: &str, audience: &str) -> Result<Exit, Error> {
    let (state, place) = known(global)?;
    let incidents = state.incidents();
    let incident = incidents
        .iter()
        .find(|i| i.id.as_str() == id)
        .ok_or_else(|| Error::Failed(format!("there is no incident {id}")))?;
    let audience = place.table.audience(audience).ok_or_else(|| {
        let known: Vec<&str> = place.table.audiences.iter().map(|a| a.id.as_str()).collect();
        Error::Usage(format!("there is no audience {audience}; known are {}", known.join(", ")))
    })?;
    // An exercise has its own time: that of its last record.
    let now = if place.drill { state.tail().last().map_or_else(Timestamp::now, |e| e.at) } else { Timestamp::now() };
    let page = StatusPage::of(PageSource {
        table: &place.table,
        book: state.comms(),
        incident,
        audience,
        ways: &place.ways,
        now,
        time_zone: &place.time_zone,
        drill: place.drill,
    });
    match global.format {
        Format::Json => output::json(&page)?,
        Format::Md => output::raw(page.markdown().as_bytes())?,
        Format::Table | Format::Html => output::raw(page.text().as_bytes())?,
    }
    Ok(Exit::Done)
}
