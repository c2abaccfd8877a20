//! The admin console of `PgBouncer`: the state of its pools, `PAUSE`, `RESUME` and `KILL` of one database
//! (<https://www.pgbouncer.org/usage.html#admin-console>). Names are quoted as the console's parser takes them.

use super::typed::identifier;
use crate::act::look::{Answer, Look};
use crate::act::{again, args};
use crate::config::model;
use crate::domain::behalf::Behalf;
use crate::domain::facts::Facts;
use crate::domain::id::{SourceId, TenantId};
use crate::domain::mode::MayAct;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Survey, Verb, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, Target, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::observe::pgbouncer::{CONSOLE, show};
use crate::observe::postgres::failure;
use crate::observe::postgres::link::{Link, Settings};
use crate::policy::authorized::Authorized;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// For looks.
pub(super) const ALLOWED: Duration = Duration::from_secs(5);
/// A command that was lost may still be on its way; no effect is believed only when a second look after this time sees
/// none either.
pub(super) const SECOND_LOOK: Duration = Duration::from_secs(2);
/// What the object of a request says of a database whose clients are held already.
const PAUSED: &str = ", paused already";

const POOLER: ArgSpec = ArgSpec { name: "pooler", required: true, what: "source id of the PgBouncer" };
const DATABASE: ArgSpec = ArgSpec { name: "database", required: true, what: "database as PgBouncer names it" };

const fn spec(name: &'static str, what: &'static str, risk_floor: Risk, reversible: Reversible) -> VerbSpec {
    VerbSpec {
        name,
        what,
        risk_floor,
        blast_radius: BlastRadius::Tenant,
        reversible,
        idempotent: true,
        read_only: false,
        args: &[POOLER, DATABASE],
    }
}

/// What pausing declares.
pub static PAUSE: VerbSpec = spec(
    "postgres.pgbouncer_pause",
    "lets queries that run end, then holds all clients of a database; in transaction pooling LISTEN/NOTIFY is lost",
    Risk::Medium,
    Reversible::Yes,
);
/// What resuming declares.
pub static RESUME: VerbSpec =
    spec("postgres.pgbouncer_resume", "lets held clients of a database go on", Risk::Medium, Reversible::Yes);
/// What killing declares.
pub static KILL: VerbSpec = spec(
    "postgres.pgbouncer_kill",
    "drops all client and server connections of a database at once, and holds new ones until it is resumed",
    Risk::High,
    Reversible::Compensatable,
);

/// What the look declares.
pub static STATUS: VerbSpec = VerbSpec {
    name: "postgres.pool_status",
    what: "shows the pools of a PgBouncer: who waits, and what is paused",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: true,
    args: &[POOLER],
};

/// The `PgBouncer`s that verbs may be aimed at.
pub(super) struct Poolers(BTreeMap<SourceId, Pooler>);

/// One of them, with its two logins.
pub(super) struct Pooler {
    pub(super) config: model::Pgbouncer,
    pub(super) observe: Link,
    act: Option<Link>,
}

/// A row of `SHOW DATABASES`.
pub(super) struct Database {
    pub(super) host: String,
    pub(super) port: String,
    pub(super) mode: String,
    paused: bool,
    disabled: bool,
    connections: u64,
}

impl Poolers {
    pub(super) fn new(_: MayAct, configured: &[model::Pgbouncer]) -> Self {
        let one = |config: &model::Pgbouncer| {
            let (observe, act) = (Link::pgbouncer(config), Link::pgbouncer_admin(config));
            (config.id.clone(), Pooler { config: config.clone(), observe, act })
        };
        Self(configured.iter().map(one).collect())
    }

    pub(super) fn get(&self, id: &SourceId) -> Result<&Pooler, VerbError> {
        self.0.get(id).ok_or_else(|| {
            let known: Vec<&str> = self.0.keys().map(SourceId::as_str).collect();
            let known = if known.is_empty() { "none is configured".to_owned() } else { known.join(", ") };
            VerbError::new(format!("there is no PgBouncer {}; known: {known}", sanitize(id.as_str())))
        })
    }

    pub(super) fn reach(&self, id: &SourceId) -> Result<&Pooler, Failure> {
        self.get(id).map_err(|e| Failure::new(FailureKind::Local, e.message))
    }
}

impl Pooler {
    pub(super) fn act(&self) -> Result<&Link, Failure> {
        self.act.as_ref().ok_or_else(|| {
            let why = format!("[[pgbouncer]] {} has no `act` login, one of its admin_users", self.config.id);
            Failure::new(FailureKind::Local, why)
        })
    }

    /// `SHOW DATABASES`, by name; columns come and go between versions.
    pub(super) async fn databases(&self) -> Result<BTreeMap<String, Database>, Failure> {
        let address = self.observe.address();
        let asked = async {
            let session = self.observe.open(CONSOLE, Settings::Console).await?;
            let rows = show(address, &session, "SHOW DATABASES").await;
            session.close().await;
            rows
        };
        let late = |_| {
            let why = format!("no answer from {address} within {} s", ALLOWED.as_secs());
            Failure::new(FailureKind::Timeout, why)
        };
        let rows = tokio::time::timeout(ALLOWED, asked).await.map_err(late)??;
        let read = |row: &tokio_postgres::SimpleQueryRow| {
            let text = |name: &str| row.try_get(name).ok().flatten().map(sanitize).unwrap_or_default();
            let database = Database {
                host: text("host"),
                port: text("port"),
                mode: text("pool_mode"),
                paused: text("paused") == "1",
                disabled: text("disabled") == "1",
                connections: text("current_connections").parse().unwrap_or_default(),
            };
            (text("name"), database)
        };
        Ok(rows.iter().map(read).filter(|(name, _)| name != CONSOLE).collect())
    }
}

/// Sends one command to the console. The console answers `PAUSE` only when the last query has ended.
pub(super) async fn command(link: &Link, command: &str, allowed: Duration) -> Outcome {
    let started = Instant::now();
    let address = link.address();
    let late = |effect: &str| {
        let why = format!("no answer from {address} within {} s; {effect}", allowed.as_secs_f64());
        Failure::new(FailureKind::Timeout, why)
    };
    let opened = tokio::time::timeout(allowed.mul_f64(0.5), link.open(CONSOLE, Settings::Console)).await;
    let session = match opened {
        Ok(Ok(session)) => session,
        Ok(Err(why)) => return Outcome::Failed { why },
        Err(_) => return Outcome::Failed { why: late("nothing was sent") },
    };
    let left = allowed.saturating_sub(started.elapsed());
    match tokio::time::timeout(left, session.client().simple_query(command)).await {
        Ok(Ok(_)) => {
            session.close().await;
            Outcome::Done { result: json!({ "command": command }), summary: format!("{address} did {command}") }
        }
        // One that ends says so to its clients: what it did before is not known.
        Ok(Err(e)) if e.as_db_error().is_some_and(|said| said.severity() == "ERROR") => {
            Outcome::Failed { why: failure::classify(address, &e) }
        }
        Ok(Err(e)) => Outcome::Unknown { why: failure::classify(address, &e) },
        Err(_) => Outcome::Unknown { why: late("it may have taken effect") },
    }
}

/// The tenants whose database has this name, on any instance: a pooler does not say which it stands before.
pub(super) fn tenants(context: &RenderContext<'_>, database: &str) -> Vec<TenantId> {
    let is = |t: &&crate::domain::estate::Tenant| t.database.as_ref().is_some_and(|d| d.name == database);
    context.estate.tenants.iter().filter(is).map(|t| t.id.clone()).collect()
}

/// How many clients a database has there, as observed.
fn clients(context: &RenderContext<'_>, id: &SourceId, database: &str) -> Result<u32, VerbError> {
    match super::fresh(context, id)? {
        Facts::Pgbouncer(facts) => {
            let of = facts.pools.iter().filter(|p| p.database == database);
            Ok(of.map(|p| p.clients_active.saturating_add(p.clients_waiting)).sum())
        }
        _ => Err(VerbError::new(format!("{id} is no PgBouncer"))),
    }
}

/// As a person would type it.
pub(super) fn by_hand(config: &model::Pgbouncer, link: &Link, command: &str) -> String {
    let (host, port, user) = (args::shell(&config.host), config.port, args::shell(link.user()));
    format!("psql -h {host} -p {port} -U {user} -d {CONSOLE} -c {}", args::shell(command))
}

/// `PAUSE`, `RESUME` or `KILL`.
pub(super) struct Admin {
    spec: &'static VerbSpec,
    poolers: Arc<Poolers>,
}

impl Admin {
    pub(super) const fn new(spec: &'static VerbSpec, poolers: Arc<Poolers>) -> Self {
        Self { spec, poolers }
    }

    fn word(&self) -> &'static str {
        if std::ptr::eq(self.spec, &raw const PAUSE) {
            "PAUSE"
        } else if std::ptr::eq(self.spec, &raw const RESUME) {
            "RESUME"
        } else {
            "KILL"
        }
    }

    /// Whether it drops clients; that they are held afterwards is then only half of its effect.
    fn drops(&self) -> bool {
        self.word() == "KILL"
    }

    /// Its command, when the request is one of this verb.
    fn checked<'a>(&self, request: &'a Request) -> Result<(&'a str, &Pooler), Failure> {
        let Operation::Sql { database, statement, parameters } = &request.operation else {
            return Err(crate::act::foreign(request));
        };
        let ours = statement.strip_prefix(self.word()).is_some_and(|rest| rest.starts_with(" \""));
        if request.verb != self.spec.name || database != CONSOLE || !parameters.is_empty() || !ours {
            return Err(crate::act::foreign(request));
        }
        Ok((statement, self.poolers.reach(&request.target.source)?))
    }

    async fn database(&self, request: &Request) -> Result<Database, Failure> {
        let (_, pooler) = self.checked(request)?;
        let object = &request.target.object;
        let name = object.strip_prefix("database ").unwrap_or_default();
        let name = if self.drops() { name.strip_suffix(PAUSED).unwrap_or(name) } else { name };
        let gone = || Failure::new(FailureKind::Local, format!("PgBouncer knows no database {name}"));
        pooler.databases().await?.remove(name).ok_or_else(gone)
    }
}

impl Verb for Admin {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        self.spec
    }

    fn survey(&self, asked: &Survey) -> Option<BoxFuture<'static, Result<Value, Failure>>> {
        let word = |name: &str| Some(asked.args.get(name)?.as_str()?.to_owned());
        let (id, name) = (SourceId::new(word("pooler")?), word("database")?);
        let poolers = self.drops().then(|| self.poolers.clone())?;
        Some(Box::pin(async move {
            let all = poolers.reach(&id)?.databases().await?;
            Ok(json!({ "paused": all.get(&name).is_some_and(|now| now.paused) }))
        }))
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let id = SourceId::new(args::required(context, "pooler")?);
        let name = args::required(context, "database")?;
        let pooler = self.poolers.get(&id)?;
        let link = pooler.act().map_err(|why| VerbError::new(why.message))?;
        let held = context.surveyed.and_then(|s| s.get("paused")).and_then(Value::as_bool) == Some(true);
        let clients = clients(context, &id, &name)?;
        let statement = format!("{} {}", self.word(), identifier(&name)?);
        let (hurts, undo) = match self.word() {
            "PAUSE" => (
                format!(
                    "{clients} clients wait until it is resumed; sessions that LISTEN through transaction pooling, as \
                     Odoo's bus and the job runner do, lose their notifications"
                ),
                "postgres.pgbouncer_resume lets them go on",
            ),
            "RESUME" => ("nobody; held clients go on".to_owned(), "postgres.pgbouncer_pause holds them again"),
            _ => (
                format!("{clients} clients lose their connection and the work of open transactions; new ones wait"),
                "postgres.pgbouncer_resume lets clients in again; lost work is not restored",
            ),
        };
        Ok(Request {
            verb: self.spec.name.to_owned(),
            target: Target {
                source: id,
                identity: String::new(),
                environment: context.estate.environment,
                object: format!("database {name}{}", if held { PAUSED } else { "" }),
                tenants: tenants(context, &name),
                count: u64::from(clients),
            },
            by_hand: by_hand(&pooler.config, link, &statement),
            operation: Operation::Sql { database: CONSOLE.to_owned(), statement, parameters: Vec::new() },
            server_checks: vec!["only if PgBouncer knows a database of that name".to_owned()],
            hurts,
            undo: undo.to_owned(),
        })
    }

    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let now = self.database(request).await?;
            let state = match (now.paused, now.disabled) {
                (true, _) => "it is paused now",
                (_, true) => "it is disabled now",
                _ => "it serves now",
            };
            let (word, object) = (self.word(), &request.target.object);
            Ok(format!("would {word} {object}: {state}, {} server connections", now.connections))
        })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let request = permit.request();
            let link = match self.checked(request) {
                Ok((statement, pooler)) => pooler.act().map(|link| (statement, link)),
                Err(why) => Err(why),
            };
            let (statement, link) = match link {
                Ok(found) => found,
                Err(why) => return Outcome::Failed { why },
            };
            // RESUME of what is not paused is an error there; it is what was wanted.
            if self.word() == "RESUME" && self.database(request).await.is_ok_and(|now| !now.paused) {
                let summary = format!("{} was not paused", request.target.object);
                return Outcome::Done { result: json!({ "command": statement, "changed": false }), summary };
            }
            command(link, statement, permit.timeout()).await
        })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(async move {
            let wanted = self.word() != "RESUME";
            let object = &request.target.object;
            let look = || async {
                match self.database(request).await {
                    Ok(now) if now.paused && self.drops() && object.ends_with(PAUSED) => Reconciled::Undecided {
                        why: format!("{object}, and still is: whether its clients were dropped can not be told"),
                    },
                    Ok(now) if now.paused == wanted => {
                        let seen = if now.paused { "is paused" } else { "is not paused" };
                        Reconciled::TookEffect { seen: format!("{object} {seen}") }
                    }
                    Ok(now) => {
                        let seen = if now.paused { "is still paused" } else { "is not paused" };
                        Reconciled::NoEffect { seen: format!("{object} {seen}") }
                    }
                    Err(why) => Reconciled::Undecided { why: why.message },
                }
            };
            again::twice(SECOND_LOOK, look).await
        })
    }
}

/// `postgres.pool_status`.
pub(super) struct Status(pub(super) Arc<Poolers>);

impl Look for Status {
    fn spec(&self) -> &'static VerbSpec {
        &STATUS
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let id = SourceId::new(args::required(context, "pooler")?);
        let pooler = self.0.get(&id)?;
        let statement = "SHOW DATABASES".to_owned();
        Ok(Request {
            verb: STATUS.name.to_owned(),
            target: Target {
                source: id.clone(),
                identity: String::new(),
                environment: context.estate.environment,
                object: format!("pools of {id}"),
                tenants: Vec::new(),
                count: 0,
            },
            by_hand: by_hand(&pooler.config, &pooler.observe, &statement),
            operation: Operation::Sql { database: CONSOLE.to_owned(), statement, parameters: Vec::new() },
            server_checks: Vec::new(),
            hurts: "Nobody: it only looks.".to_owned(),
            undo: "There is nothing to take back.".to_owned(),
        })
    }

    fn ask<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let all = self.0.reach(&request.target.source)?.databases().await?;
            let paused: Vec<&str> = all.iter().filter(|(_, d)| d.paused).map(|(n, _)| n.as_str()).collect();
            let rows: Vec<Value> = all
                .iter()
                .map(|(name, d)| {
                    json!({
                        "database": name, "host": d.host, "port": d.port, "mode": d.mode, "paused": d.paused,
                        "disabled": d.disabled, "connections": d.connections,
                    })
                })
                .collect();
            let said =
                if paused.is_empty() { "none is paused".to_owned() } else { format!("paused: {}", paused.join(", ")) };
            Ok((json!({ "databases": rows, "paused": paused }), format!("{} databases, {said}", all.len())))
        })
    }
}
