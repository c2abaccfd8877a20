//! Odoo by its own API, for a tenant whose database gives no login: jobs, crons and modules as [`super::Odoo`] reads them, in at
//! most nine calls one after another (and two to begin JSON-RPC), none of which changes anything. Times are taken by the clock
//! of Odoo's own answers.

mod read;
mod rpc;
#[cfg(test)]
mod tests;

use self::read::{Field, Grouped};
use self::rpc::Session;
use super::client::{self, Client, Fault, lacks_model};
use crate::config::model::OdooApi;
use crate::domain::facts::Missing;
use crate::domain::facts::odoo::{Channel, Crons, OdooFacts};
use crate::domain::id::TenantId;
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::observe::http::{Answer, public};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Rows that are taken of one answer: an Odoo has about 30 crons, and rarely 20 channels of four states.
const ROWS: usize = 1000;

/// Jobs done within this time count as throughput.
const LATELY: Duration = Duration::from_mins(10);

/// Fields of `ir.cron` that not every version has.
const LATER: [&str; 2] = ["cron_name", "failure_count"];

/// Looks at one tenant's Odoo by its API.
#[derive(Debug)]
pub(super) struct Api {
    config: OdooApi,
    zombie_after: Duration,
    turn: Arc<Semaphore>,
    open: Option<Open>,
}

/// A way that is open; made anew after a failure, which also reads the key anew.
#[derive(Debug)]
struct Open {
    client: Client,
    /// Of JSON-RPC; JSON-2 has none.
    session: Option<Session>,
    /// Those of [`LATER`] that this Odoo has.
    cron_fields: Option<Vec<&'static str>>,
}

/// What became of one question.
enum Told<T> {
    /// This.
    Is(T),
    /// The key's user may not read it.
    Denied,
    /// There is no such model: its module is not installed.
    Absent,
}

impl<T> Told<T> {
    /// The same of what is made of it; only what was told can be made into nothing.
    fn map<U>(self, make: impl FnOnce(T) -> Result<U, Failure>) -> Result<Told<U>, Failure> {
        Ok(match self {
            Self::Is(told) => Told::Is(make(told)?),
            Self::Denied => Told::Denied,
            Self::Absent => Told::Absent,
        })
    }
}

impl Api {
    /// For an `[[odoo]]`; looks at tenants of the same Odoo take turns. Nothing is read or sent yet.
    pub(super) fn new(config: &OdooApi, zombie_after: Duration, turn: Arc<Semaphore>) -> Self {
        Self { config: config.clone(), zombie_after, turn, open: None }
    }

    pub(super) const fn tenant(&self) -> &TenantId {
        &self.config.tenant
    }

    pub(super) const fn interval(&self) -> Duration {
        self.config.interval
    }

    pub(super) const fn timeout(&self) -> Duration {
        self.config.timeout
    }

    /// As it is shown.
    pub(super) fn address(&self) -> String {
        sanitize(&format!("the API of {} for {}", public(&self.config.door.url), self.config.door.database))
    }

    /// Looks once; `instead_of`: why the database does not tell. Waiting for the turn does not count towards the time.
    pub(super) async fn look(&mut self, instead_of: Option<&str>) -> Result<OdooFacts, Failure> {
        let turn = Arc::clone(&self.turn);
        let _turn = turn.acquire().await;
        let within = self.config.timeout;
        let address = self.address();
        let late = |_| {
            let message = format!("no answer from {address} within {} s", within.as_secs_f64());
            Err(Failure::new(FailureKind::Timeout, message))
        };
        let mut facts = tokio::time::timeout(within, self.ask()).await.unwrap_or_else(late)?;
        if let Some(why) = instead_of {
            let database = &self.config.door.database;
            facts.missing.push(Missing {
                disables: format!("orders, people, planning runs, access and bloat of database {database}"),
                remedy: format!("only the database tells them, and it refuses: {}", sanitize(why)),
            });
        }
        Ok(facts)
    }

    async fn ask(&mut self) -> Result<OdooFacts, Failure> {
        let deadline = Instant::now() + self.config.timeout;
        let mut open = match self.open.take() {
            Some(open) => open,
            None => Open::new(&self.config, deadline).await?,
        };
        let mut look = Look { open: &mut open, config: &self.config, deadline, now: None };
        let facts = look.facts(self.zombie_after).await?;
        self.open = Some(open);
        Ok(facts)
    }
}

impl Open {
    async fn new(config: &OdooApi, deadline: Instant) -> Result<Self, Failure> {
        let client = Client::open(&config.door).await?;
        let session = match &config.login {
            Some(login) => Some(Session::begin(&client, &config.door.database, login, left(deadline)).await?),
            None => None,
        };
        Ok(Self { client, session, cron_fields: None })
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// One look.
struct Look<'a> {
    open: &'a mut Open,
    config: &'a OdooApi,
    deadline: Instant,
    /// What Odoo's clock said last.
    now: Option<Timestamp>,
}

impl Look<'_> {
    async fn facts(&mut self, zombie_after: Duration) -> Result<OdooFacts, Failure> {
        let mut facts = OdooFacts { zombie_after_s: zombie_after.as_secs_f64(), ..OdooFacts::default() };
        let mut denied = Vec::new();
        match self.modules().await? {
            Told::Is((version, pending)) => {
                (facts.version, facts.modules_pending) = (version.unwrap_or_default(), Some(pending));
            }
            Told::Denied => denied.push("ir.module.module"),
            Told::Absent => return Err(self.no_odoo()),
        }
        match self.crons().await? {
            Told::Is(crons) => facts.crons = Some(crons),
            Told::Denied => denied.push("ir.cron"),
            Told::Absent => return Err(self.no_odoo()),
        }
        match self.channels(zombie_after).await? {
            Told::Is(channels) => facts.channels = Some(channels),
            Told::Denied => {
                facts.queue_unseen = true;
                denied.push("queue.job");
            }
            Told::Absent => {}
        }
        let nothing = facts.crons.is_none() && facts.modules_pending.is_none() && facts.channels.is_none();
        if nothing {
            let why = format!("{}: may not read {}; {}", self.address(), denied.join(", "), self.remedy(&denied));
            return Err(Failure::new(FailureKind::Permission, why));
        }
        facts.missing.extend(denied.iter().map(|model| Missing {
            disables: format!("{} of database {}", disabled(model), self.config.door.database),
            remedy: self.remedy(&[model]),
        }));
        Ok(facts)
    }

    fn address(&self) -> String {
        public(&self.config.door.url)
    }

    fn remedy(&self, models: &[&str]) -> String {
        let who = self.config.login.as_deref().unwrap_or("the key's user");
        format!(
            "give {} read access to {} in Odoo (docs/observe-user.py makes a user who has no other)",
            sanitize(who),
            models.join(", ")
        )
    }

    fn no_odoo(&self) -> Failure {
        Failure::new(FailureKind::Protocol, format!("{}: no Odoo answers there (no model ir.cron)", self.address()))
    }

    /// Odoo's clock; ours as long as no answer has said it.
    fn now(&self) -> Timestamp {
        self.now.unwrap_or_else(Timestamp::now)
    }

    /// One question. What may not be read and what is not there are answers.
    async fn question(&mut self, model: &str, method: &str, asked: Value) -> Result<Told<Value>, Failure> {
        let within = left(self.deadline);
        let answer = match &self.open.session {
            Some(session) => session.call(&self.open.client, model, method, asked, within).await,
            None => self.open.client.post(&format!("/json/2/{model}/{method}"), &asked, true, within).await,
        };
        let answer = answer.map_err(Fault::why)?;
        self.now = read::clock(&answer).or(self.now);
        match self.said(model, method, &answer) {
            Ok(value) => Ok(Told::Is(value)),
            Err(why) if lacks_model(&why) => Ok(Told::Absent),
            // What a proxy forbids is no right of Odoo's.
            Err(why) if why.kind == FailureKind::Permission && !why.message.ends_with(" 403") => Ok(Told::Denied),
            Err(why) if self.open.session.is_none() && why.message.ends_with(" 404") => {
                let why = format!("{}; before Odoo 19 `login` is needed, so that JSON-RPC is spoken", why.message);
                Err(Failure::new(FailureKind::Protocol, why))
            }
            Err(why) => Err(why),
        }
    }

    fn said(&self, model: &str, method: &str, answer: &Answer) -> Result<Value, Failure> {
        match &self.open.session {
            Some(_) => rpc::read(&self.open.client.url(rpc::PATH), answer),
            None => {
                client::read(&self.open.client.url(&format!("/json/2/{model}/{method}")), answer).map_err(Fault::why)
            }
        }
    }

    /// Rows of an answer that is a list of records.
    async fn rows(&mut self, model: &str, method: &str, asked: Value) -> Result<Told<Vec<Value>>, Failure> {
        self.question(model, method, asked).await?.map(|value| match value {
            Value::Array(rows) => Ok(rows),
            _ => Err(self.odd(&format!("{model}.{method} gives no list"))),
        })
    }

    /// The version of `base` and how many modules wait.
    async fn modules(&mut self) -> Result<Told<(Option<String>, u32)>, Failure> {
        let asked = json!({
            "domain": ["|", ["name", "=", "base"], ["state", "=like", "to %"]],
            "fields": ["name", "state", "latest_version"], "limit": ROWS,
        });
        self.rows("ir.module.module", "search_read", asked).await?.map(|rows| Ok(read::modules(&rows)))
    }

    async fn crons(&mut self) -> Result<Told<Crons>, Failure> {
        let fields = match self.open.cron_fields.clone() {
            Some(fields) => fields,
            None => {
                let asked = json!({ "allfields": LATER, "attributes": ["type"] });
                match self.question("ir.cron", "fields_get", asked).await? {
                    Told::Is(found) => LATER.into_iter().filter(|f| found.get(f).is_some()).collect(),
                    Told::Denied => return Ok(Told::Denied),
                    Told::Absent => return Ok(Told::Absent),
                }
            }
        };
        self.open.cron_fields = Some(fields.clone());
        let fields: Vec<&str> = std::iter::once("nextcall").chain(fields).collect();
        let asked =
            json!({ "domain": [["active", "=", true]], "fields": fields, "order": "nextcall, id", "limit": ROWS });
        let rows = self.rows("ir.cron", "search_read", asked).await?;
        rows.map(|rows| read::crons(&rows, self.now()).map_err(|why| self.odd(&why)))
    }

    fn odd(&self, why: &str) -> Failure {
        Failure::new(FailureKind::Protocol, format!("{}: {why}", self.address()))
    }

    /// The job channels. What can be none because no job is in such a state is not asked.
    async fn channels(&mut self, zombie_after: Duration) -> Result<Told<Vec<Channel>>, Failure> {
        let live = json!([["state", "in", ["pending", "enqueued", "started", "failed"]]]);
        let mut found = Grouped::default();
        match self.group(live, &["channel", "state"], None).await? {
            Told::Is(rows) => found.counted(&rows),
            Told::Denied => return Ok(Told::Denied),
            Told::Absent => return Ok(Told::Absent),
        }
        let clock = self.now();
        let before = |ago: Duration| read::odoo_time(clock.checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH));
        let (now, recently, long_ago) = (before(Duration::ZERO), before(LATELY), before(zombie_after));
        if found.waiting() {
            let without = json!([["state", "in", ["pending", "enqueued"]], ["eta", "=", false]]);
            let with = json!([["state", "in", ["pending", "enqueued"]], ["eta", "<=", now]]);
            for (domain, field) in [(without, "date_created"), (with, "eta")] {
                let rows = self.told(domain, Some(field)).await?;
                found.due(&rows, field, self.now()).map_err(|why| self.odd(&why))?;
            }
        }
        if found.started() {
            let zombies = json!([["state", "=", "started"], ["date_started", "<", long_ago]]);
            let rows = self.told(zombies, None).await?;
            found.each(&rows, |channel, count| channel.zombies = count);
        }
        let done = json!([["state", "=", "done"], ["date_done", ">", recently]]);
        let rows = self.told(done, None).await?;
        found.each(&rows, |channel, count| channel.done_10m = count);
        // A channel that has had no job for a while is one too, where its name may be read.
        let asked = json!({ "domain": [], "fields": ["complete_name"], "limit": ROWS });
        if let Told::Is(rows) = self.rows("queue.job.channel", "search_read", asked).await? {
            found.named(&rows);
        }
        Ok(Told::Is(found.channels()))
    }

    /// Jobs by channel. Their states were told just before, so that no right can be missing.
    async fn told(&mut self, domain: Value, least: Option<&'static str>) -> Result<Vec<Value>, Failure> {
        match self.group(domain, &["channel"], least).await? {
            Told::Is(rows) => Ok(rows),
            Told::Denied | Told::Absent => Err(self.odd("queue.job can not be read any more")),
        }
    }

    /// Jobs in groups, each with its count and the least of a field. Odoo 19 has another method than those before it.
    async fn group(&mut self, domain: Value, by: &[&str], least: Option<Field>) -> Result<Told<Vec<Value>>, Failure> {
        let least: Vec<String> = least.iter().map(|field| format!("{field}:min")).collect();
        if self.open.session.as_ref().is_none_or(Session::is_19) {
            let aggregates: Vec<&str> = std::iter::once("__count").chain(least.iter().map(String::as_str)).collect();
            let asked = json!({ "domain": domain, "groupby": by, "aggregates": aggregates, "limit": ROWS });
            return self.rows("queue.job", "formatted_read_group", asked).await;
        }
        let fields: Vec<&str> = by.iter().copied().chain(least.iter().map(String::as_str)).collect();
        let asked = json!({ "domain": domain, "fields": fields, "groupby": by, "lazy": false, "limit": ROWS });
        self.rows("queue.job", "read_group", asked).await
    }
}

/// What can not be known without a model.
fn disabled(model: &str) -> &'static str {
    match model {
        "queue.job" => "the job channels",
        "ir.cron" => "the crons",
        _ => "version and waiting modules",
    }
}
