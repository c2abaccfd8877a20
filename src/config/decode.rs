//! From the text of a configuration to its model. Each table of the file is decoded in one function, which
//! is the one place that lists its keys, bounds and defaults.

use super::model::{
    Archiving, Ca, Config, Console, Engine, Journal, Kubernetes, Login, Pgbouncer, Postgres, Redis, SecretRef,
    Template, Threshold, Tls, Traefik, Workload, WorkloadKind,
};
use super::problem::Problems;
use super::reader::{self, Source, Table};
use crate::domain::estate::{
    Cutoff, DatabaseRef, Environment, Estate, NamespaceRef, Plant, RouterRef, Tenancy, Tenant, Terms,
};
use crate::domain::id::{SourceId, TenantId};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_hours(1);
/// One look into a tenant's database takes about 25 ms of the server's processor, most of it for a session that knows
/// nothing yet (`benches/watched`): with this time between two of them all cost less than a hundredth of a core.
const TENANT_PACE: Duration = Duration::from_secs(5);

/// Decodes a configuration; every error is reported at once.
pub fn decode(file: &str, text: &str) -> Result<Config, Problems> {
    let source = Source::new(file, text);
    let root = reader::parse(file, text)?;
    let mut config = whole(Table::root(&source, &root));
    config.secrets = source.secrets();
    let problems = source.into_problems();
    if problems.is_empty() { Ok(config) } else { Err(Problems(problems)) }
}

/// Decodes the file's table; what is wrong is noted at its source, and stands in the result as a default.
pub(super) fn whole(mut root: Table<'_, '_>) -> Config {
    let mut ids = Ids::default();
    let estate_table = root.table("estate");
    if estate_table.is_none() && !root.has("estate") {
        root.reject("estate", "the file lacks the table [estate] with name, environment and time_zone");
    }
    let (name, environment, time_zone, region, trace_link) = estate_table.map(estate).unwrap_or_default();
    let kubernetes: Vec<_> = root.tables("kubernetes").into_iter().map(|t| kubernetes(t, &mut ids)).collect();
    root.allow(|places| places.clusters.clone_from(&kubernetes));
    let vaults = super::vault::all(root.tables("vault"));
    root.allow(|places| places.vaults.clone_from(&vaults));
    let oidc = root.table("oidc").map(super::oidc::one);
    let postgres: Vec<_> = root.tables("postgres").into_iter().map(|t| postgres(t, &mut ids)).collect();
    let pgbouncer: Vec<_> = root.tables("pgbouncer").into_iter().map(|t| pgbouncer(t, &mut ids)).collect();
    let redis: Vec<_> = root.tables("redis").into_iter().map(|t| redis(t, &mut ids)).collect();
    let traefik: Vec<_> = root.tables("traefik").into_iter().map(|t| traefik(t, &mut ids)).collect();
    let delivery: Vec<_> =
        root.tables("delivery").into_iter().map(|t| super::delivery::delivery(t, &mut ids)).collect();
    let ci: Vec<_> = root.tables("ci").into_iter().map(|t| super::delivery::ci(t, &mut ids)).collect();
    let prometheus: Vec<_> =
        root.tables("prometheus").into_iter().map(|t| super::prometheus::prometheus(t, &mut ids)).collect();
    let alertmanager: Vec<_> =
        root.tables("alertmanager").into_iter().map(|t| super::prometheus::alertmanager(t, &mut ids)).collect();
    let mut terms = BTreeMap::new();
    let mut tenants: Vec<_> = root.tables("tenant").into_iter().map(|t| tenant(t, &mut ids, &mut terms)).collect();
    tenants.sort_by(|a, b| a.id.cmp(&b.id));
    let logs = super::logs::logs(root.tables("logs"), &mut ids, &tenants);
    let traces = super::logs::traces(root.tables("traces"), &mut ids, &tenants);
    let thresholds = root.tables("threshold").into_iter().filter_map(threshold).collect();
    let journal = match root.table("journal") {
        Some(table) => journal(table, &name, region, &postgres),
        None => Journal { archiving: Archiving { region, ..Archiving::default() }, ..Journal::default() },
    };
    let pgbackrest = super::backup::pgbackrest(root.tables("pgbackrest"), &mut ids);
    let patroni = super::backup::patroni(root.tables("patroni"), &mut ids);
    let bucket = super::bucket::all(root.tables("bucket"), &mut ids, &tenants);
    let restore_test = super::restore_test::all(root.tables("restore_test"), &mut ids);
    let audit_log = super::audit_log::all(root.tables("audit_log"), &mut ids);
    let baseline = root.table("baseline").and_then(|t| super::baseline::one(t, &ids));
    let probe = super::probe::all(root.tables("probe"), &mut ids, &tenants);
    let (integration, measure) = super::integration::all(root.tables("integration"), &tenants);
    let synthetic = super::synthetic::all(root.tables("synthetic"), &tenants);
    let odoo = super::odoo::all(root.tables("odoo"), &tenants);
    let standby = super::standby::all(root.tables("standby"), &mut ids);
    let sources: BTreeSet<String> = ids.sources.keys().cloned().collect();
    let calendar = super::calendar::all(root.tables("calendar"), &tenants);
    let services = super::service::services(root.tables("service"), &sources);
    let comms = root.table("comms").map(super::comms::decode).unwrap_or_default();
    let webhook = super::comms::hooks(root.tables("webhook"));
    let cost = root.table("cost").and_then(super::cost::one);
    let console = root.table("console").map_or_else(Console::default, console);
    let estates = super::estates::all(root.tables("estates"), &name);
    let engine = root.table("engine").map(engine).unwrap_or_default();
    let share = root.table("observe").is_some_and(|t| super::watch::share(t, journal.database.is_some()));
    let metrics = root.table("metrics").and_then(super::watch::metrics);
    let log = root.table("log").map(super::watch::log).unwrap_or_default();
    root.finish();
    let estate = Estate { name, environment: environment.unwrap_or(Environment::Production), time_zone, tenants };
    Config {
        estate,
        kubernetes,
        vaults,
        secrets: Vec::new(),
        oidc,
        postgres,
        pgbouncer,
        redis,
        traefik,
        prometheus,
        alertmanager,
        logs,
        traces,
        trace_link,
        delivery,
        ci,
        comms,
        webhook,
        pgbackrest,
        patroni,
        bucket,
        restore_test,
        standby,
        audit_log,
        baseline,
        probe,
        integration,
        measure,
        synthetic,
        odoo,
        journal,
        calendar,
        services,
        terms,
        thresholds,
        cost,
        console,
        estates,
        engine,
        share,
        metrics,
        log,
    }
}

/// Names in use, so that a second one and a reference to none are found.
#[derive(Default)]
pub(super) struct Ids {
    sources: BTreeMap<String, &'static str>,
    tenants: BTreeSet<String>,
}

impl Ids {
    pub(super) fn source(&mut self, table: &mut Table<'_, '_>, kind: &'static str) -> SourceId {
        let id = name(table, "id", &format!("{kind}-1"));
        if let Some(other) = self.sources.get(&id) {
            table
                .reject("id", format!("the name `{id}` is already that of a [[{other}]]; names of sources are unique"));
        }
        if !id.is_empty() {
            self.sources.insert(id.clone(), kind);
        }
        SourceId::new(id)
    }

    /// The kind of a source of this name.
    pub(super) fn kind(&self, id: &str) -> Option<&'static str> {
        self.sources.get(id).copied()
    }

    /// The names of sources of some kinds.
    pub(super) fn of_kinds(&self, kinds: &[&str]) -> Vec<&str> {
        self.sources.iter().filter(|(_, kind)| kinds.contains(kind)).map(|(id, _)| id.as_str()).collect()
    }

    pub(super) fn refer(&self, table: &mut Table<'_, '_>, key: &'static str, kind: &'static str) -> SourceId {
        let id = table.required(key, &format!("{kind}-1"));
        if !id.is_empty() && self.sources.get(&id) != Some(&kind) {
            let known: Vec<&str> = self.sources.iter().filter(|(_, k)| **k == kind).map(|(n, _)| n.as_str()).collect();
            let known = if known.is_empty() { "none is configured".to_owned() } else { known.join(", ") };
            table.reject(key, format!("`{key}` names `{id}`, which is no [[{kind}]]; known: {known}"));
        }
        SourceId::new(id)
    }
}

impl Ids {
    /// The same for a key that may be absent.
    pub(super) fn may_refer(
        &self,
        table: &mut Table<'_, '_>,
        key: &'static str,
        kind: &'static str,
    ) -> Option<SourceId> {
        // Asked for in any case, so that the schema has it.
        table.string(key)?;
        Some(self.refer(table, key, kind))
    }
}

/// A required name of at most 63 letters, digits, `.`, `_` and `-`.
pub fn name(table: &mut Table<'_, '_>, key: &'static str, example: &str) -> String {
    let text = table.required(key, example);
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.len() > 63 || !text.chars().all(fine) {
        table.reject(key, format!("`{key}` is `{text}`; allowed are 1 to 63 letters, digits, `.`, `_` and `-`"));
    }
    text
}

fn time_zone(table: &mut Table<'_, '_>) -> String {
    let parse = |text: &str| jiff::tz::TimeZone::get(text).ok().map(|_| text.to_owned());
    table.parsed("time_zone", "an IANA time zone such as \"Europe/Berlin\"", parse).unwrap_or_else(|| "UTC".to_owned())
}

/// Name, class, time zone, region, and the template of links to traces.
type EstateTable = (String, Option<Environment>, String, Option<String>, Option<Template>);

fn estate(mut table: Table<'_, '_>) -> EstateTable {
    let name = name(&mut table, "name", "acme-prod");
    if !table.has("environment") {
        table.reject("environment", "[estate] lacks `environment`; allowed is production, staging or development");
    }
    let environment = table.parsed("environment", "production, staging or development", |text| match text {
        "production" => Some(Environment::Production),
        "staging" => Some(Environment::Staging),
        "development" => Some(Environment::Development),
        _ => None,
    });
    let time_zone = time_zone(&mut table);
    let region = super::archive::region(&mut table);
    let trace_link = super::logs::link(&mut table);
    table.finish();
    (name, environment, time_zone, region, trace_link)
}

pub(super) fn interval(table: &mut Table<'_, '_>, default: Duration) -> Duration {
    table.duration("interval", SHORTEST, LONGEST).unwrap_or(default)
}

pub(super) fn timeout(table: &mut Table<'_, '_>) -> Duration {
    table.duration("timeout", Duration::from_millis(50), Duration::from_mins(1)).unwrap_or(SECOND * 2)
}

fn password(table: &mut Table<'_, '_>) -> Option<SecretRef> {
    secret_of(table, "password")
}

pub(super) fn secret_of(table: &mut Table<'_, '_>, key: &'static str) -> Option<SecretRef> {
    table.secret(key)
}

pub(super) fn login(table: &mut Table<'_, '_>, example: &str) -> Login {
    Login { user: table.required("user", example), password: password(table) }
}

pub(super) fn path(table: &mut Table<'_, '_>, key: &'static str) -> Option<PathBuf> {
    table.string(key).map(PathBuf::from)
}

pub(super) fn url(table: &mut Table<'_, '_>, key: &'static str, schemes: &[&str]) -> Option<String> {
    let allowed = format!("a URL without a password that starts with {}", schemes.join(" or "));
    let text = table.string(key)?;
    let fine = schemes.iter().any(|s| text.starts_with(s))
        && reqwest::Url::parse(&text)
            .is_ok_and(|u| u.password().is_none() && u.host_str().is_some_and(|h| !h.is_empty()));
    if !fine {
        // Not repeated: it may contain a password.
        table.reject(key, format!("`{key}` is not {allowed}"));
        return None;
    }
    Some(text)
}

pub(super) fn required_url(table: &mut Table<'_, '_>, key: &'static str, schemes: &[&str], example: &str) -> String {
    if table.has(key) { url(table, key, schemes).unwrap_or_default() } else { table.required(key, example) }
}

/// A host name or an address, which is shown on screens: no place for a password.
pub(super) fn host(table: &mut Table<'_, '_>, example: &str) -> String {
    let host = table.required("host", example);
    if host.contains('@') {
        // Not repeated: it may contain a password.
        table.reject("host", "`host` is not a host name or an address: it has an `@`; user and password have own keys");
    }
    host
}

pub(super) fn port(table: &mut Table<'_, '_>, default: u16) -> u16 {
    table.integer("port", 1, 65_535).and_then(|p| u16::try_from(p).ok()).unwrap_or(default)
}

fn kubernetes(mut table: Table<'_, '_>, ids: &mut Ids) -> Kubernetes {
    let id = ids.source(&mut table, "kubernetes");
    let kubeconfig = PathBuf::from(table.required("kubeconfig", "/etc/quarterdeck/observe.kubeconfig"));
    let context = table.string("context");
    let act_kubeconfig = path(&mut table, "act_kubeconfig");
    let impersonate = super::impersonation::decode(&mut table);
    if impersonate.is_some() && act_kubeconfig.is_none() {
        let message =
            "`impersonate` needs `act_kubeconfig`: the user who may impersonate others, and who acts in no other way";
        table.reject("impersonate", message);
    }
    let interval = interval(&mut table, SECOND * 2);
    table.finish();
    Kubernetes { id, kubeconfig, context, act_kubeconfig, impersonate, interval }
}

/// The login that acts.
fn act(table: &mut Table<'_, '_>) -> Option<Login> {
    table.table("act").map(|mut act| {
        let login = login(&mut act, "quarterdeck_act");
        act.finish();
        login
    })
}

fn postgres(mut table: Table<'_, '_>, ids: &mut Ids) -> Postgres {
    let id = ids.source(&mut table, "postgres");
    let host = host(&mut table, "db.internal");
    let port = port(&mut table, 5432);
    let database = table.string("database").unwrap_or_else(|| "postgres".to_owned());
    let observe = login(&mut table, "quarterdeck_observe");
    let act = act(&mut table);
    let (tls, ca) = tls(&mut table);
    let interval = interval(&mut table, SECOND * 2);
    let tenant_pace = table.duration("tenant_pace", SHORTEST, Duration::from_mins(1)).unwrap_or(TENANT_PACE);
    let timeout = timeout(&mut table);
    table.finish();
    Postgres { id, host, port, database, observe, act, tls, ca, interval, tenant_pace, timeout }
}

/// How a PostgreSQL server is spoken to, and whose authorities vouch for it.
pub(super) fn tls(table: &mut Table<'_, '_>) -> (Tls, Ca) {
    let tls = table.parsed("tls", "disable or verify-full", |text| match text {
        "disable" => Some(Tls::Disable),
        "verify-full" => Some(Tls::VerifyFull),
        _ => None,
    });
    let ca = super::tls::ca(table);
    for key in ["tls_min", "client_cert", "client_key"] {
        if tls == Some(Tls::Disable) && table.has(key) {
            table.reject(key, format!("`{key}` is given where `tls` is \"disable\"; leave one of both out"));
        }
    }
    (tls.unwrap_or(Tls::VerifyFull), ca)
}

fn pgbouncer(mut table: Table<'_, '_>, ids: &mut Ids) -> Pgbouncer {
    let id = ids.source(&mut table, "pgbouncer");
    let host = host(&mut table, "db.internal");
    let port = port(&mut table, 6432);
    let observe = login(&mut table, "stats");
    let act = act(&mut table);
    let databases_file = path(&mut table, "databases_file");
    let interval = interval(&mut table, SECOND * 5);
    let timeout = timeout(&mut table);
    table.finish();
    Pgbouncer { id, host, port, observe, act, databases_file, interval, timeout }
}

fn redis(mut table: Table<'_, '_>, ids: &mut Ids) -> Redis {
    let id = ids.source(&mut table, "redis");
    let url = required_url(&mut table, "url", &["redis://", "rediss://"], "redis://127.0.0.1:6379/0");
    let user = table.string("user");
    let password = password(&mut table);
    let observe = match (user, password) {
        (None, None) => None,
        (user, password) => Some(Login { user: user.unwrap_or_else(|| "default".to_owned()), password }),
    };
    let act = act(&mut table);
    let allowed = "cache, session or queue";
    let purpose =
        table.parsed("purpose", allowed, |t| ["cache", "session", "queue"].contains(&t).then(|| t.to_owned()));
    let sentinels = table.strings("sentinels");
    let sentinel_name = table.string("sentinel_name");
    if !sentinels.is_empty() && sentinel_name.is_none() {
        table.reject("sentinels", "`sentinels` are given without `sentinel_name`, the name they know the primary by");
    }
    let ca = super::tls::without_min(&mut table);
    let workload = table.table("workload").map(|t| workload(t, ids));
    let interval = interval(&mut table, SECOND * 2);
    let timeout = timeout(&mut table);
    let keys = table.strings("keys");
    if keys.len() > 32 {
        table.reject("keys", format!("`keys` has {}; allowed are 32, each is asked for at every sample", keys.len()));
    }
    table.finish();
    let purpose = purpose.unwrap_or_else(|| "queue".to_owned());
    Redis { id, url, observe, act, purpose, sentinels, sentinel_name, keys, ca, workload, interval, timeout }
}

/// What a source runs in: `{ cluster = "k8s", namespace = "data", statefulset = "redis" }`.
fn workload(mut table: Table<'_, '_>, ids: &Ids) -> Workload {
    let cluster = ids.refer(&mut table, "cluster", "kubernetes");
    let namespace = name(&mut table, "namespace", "data");
    let (set, deployment) = (table.string("statefulset"), table.string("deployment"));
    let (kind, name) = match (set, deployment) {
        (Some(name), None) => (WorkloadKind::StatefulSet, name),
        (None, Some(name)) => (WorkloadKind::Deployment, name),
        _ => {
            table.reject("statefulset", "[workload] names either a `statefulset` or a `deployment`, and not both");
            (WorkloadKind::StatefulSet, String::new())
        }
    };
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if !name.chars().all(fine) {
        table.reject(kind.word(), format!("`{}` is `{name}`, which is no name that Kubernetes allows", kind.word()));
    }
    table.finish();
    Workload { cluster, namespace, kind, name }
}

fn traefik(mut table: Table<'_, '_>, ids: &mut Ids) -> Traefik {
    let http = ["http://", "https://"];
    let id = ids.source(&mut table, "traefik");
    let metrics = required_url(&mut table, "metrics", &http, "http://127.0.0.1:8082/metrics");
    let api = url(&mut table, "api", &http);
    let dynamic_dir = path(&mut table, "dynamic_dir");
    let maintenance_url = url(&mut table, "maintenance_url", &http);
    let probe_url = url(&mut table, "probe_url", &http);
    let ca = super::tls::ca(&mut table);
    let interval = interval(&mut table, SECOND * 5);
    let timeout = timeout(&mut table);
    table.finish();
    Traefik { id, metrics, api, dynamic_dir, maintenance_url, probe_url, ca, interval, timeout }
}

fn cutoff(mut table: Table<'_, '_>) -> Option<Cutoff> {
    let what = table.required("what", "receiving starts");
    if !table.has("at") {
        table.reject("at", "a cut-off lacks `at`; for example `at = \"06:00\"`");
    }
    let at = table.parsed("at", "a time of day such as \"06:00\"", |text| text.parse().ok());
    let time_zone = time_zone(&mut table);
    table.finish();
    Some(Cutoff { what, at: at?, time_zone })
}

fn tenant(mut table: Table<'_, '_>, ids: &mut Ids, terms: &mut BTreeMap<TenantId, Terms>) -> Tenant {
    let id = name(&mut table, "id", "t001");
    if !id.is_empty() && !ids.tenants.insert(id.clone()) {
        table.reject("id", format!("the tenant `{id}` stands twice; ids of tenants are unique"));
    }
    let label = table.string("name").unwrap_or_else(|| id.clone());
    let tenancy = table.parsed("tenancy", "dedicated or multi-tenant", |text| match text {
        "dedicated" => Some(Tenancy::Dedicated),
        "multi-tenant" => Some(Tenancy::MultiTenant),
        _ => None,
    });
    terms.insert(TenantId::new(id.clone()), super::terms::decode(&mut table));
    let criticality = table.integer("criticality", 1, 5).and_then(|c| u8::try_from(c).ok()).unwrap_or(3);
    let plants = table.strings("plants").into_iter().map(|name| Plant { name, time_zone: "UTC".into() }).collect();
    let cutoffs = table.tables("cutoffs").into_iter().filter_map(cutoff).collect();
    let database = table.table("database").map(|mut t| {
        let database =
            DatabaseRef { instance: ids.refer(&mut t, "instance", "postgres"), name: t.required("name", "t001") };
        t.finish();
        database
    });
    let namespace = table.table("kubernetes").map(|mut t| {
        let namespace = NamespaceRef {
            cluster: ids.refer(&mut t, "cluster", "kubernetes"),
            name: name(&mut t, "namespace", "t001"),
            web: t.string("web").unwrap_or_else(|| "odoo".into()),
            workers: t.string("workers").unwrap_or_else(|| "odoo-worker".into()),
        };
        t.finish();
        namespace
    });
    let router = table.table("router").map(|mut t| {
        let router = RouterRef {
            ingress: ids.refer(&mut t, "ingress", "traefik"),
            name: t.required("name", "t001@file"),
            host: name(&mut t, "host", "t001.example"),
        };
        t.finish();
        router
    });
    table.finish();
    let tenancy = tenancy.unwrap_or(Tenancy::MultiTenant);
    Tenant { id: TenantId::new(id), name: label, tenancy, criticality, plants, cutoffs, database, namespace, router }
}

fn threshold(mut table: Table<'_, '_>) -> Option<Threshold> {
    let signal = table.required("signal", "replication.lag");
    for key in ["warn", "critical"] {
        if !table.has(key) {
            table.reject(key, format!("[[threshold]] lacks `{key}`, a number in the signal's unit"));
        }
    }
    let warn = table.number("warn");
    let critical = table.number("critical");
    table.finish();
    Some(Threshold { signal, warn: warn?, critical: critical? })
}

fn journal(mut table: Table<'_, '_>, estate: &str, region: Option<String>, acted_on: &[Postgres]) -> Journal {
    let dir = path(&mut table, "dir");
    let vkey = table.string("vkey");
    let witnesses = super::witness::decode(&mut table);
    let anchor = table.table("anchor").map(|t| super::anchor::decode(t, estate));
    let archiving = super::archive::decode(&mut table, estate, region);
    let openings = table.table("openings").map(super::openings::decode).unwrap_or_default();
    let database = table.table("postgres").map(|t| super::journal_database::decode(t, acted_on));
    if database.is_some() {
        super::journal_database::refuse_beside(&table, !witnesses.all.is_empty(), archiving.retention.is_some());
    }
    table.finish();
    Journal { dir, database, vkey, witnesses, anchor, archiving, openings }
}

fn engine(mut table: Table<'_, '_>) -> Engine {
    let socket = path(&mut table, "socket");
    if let Some(path) = &socket {
        // The longest that fits into a socket's address, with the name that it bears while it is set up.
        const LONGEST: usize = 103;
        let length = path.as_os_str().len();
        if !path.is_absolute() || length > LONGEST {
            let shown = path.display();
            let message = format!("`socket` is `{shown}`; allowed is an absolute path of at most {LONGEST} bytes");
            table.reject("socket", message);
        }
    }
    let policy = path(&mut table, "policy");
    let socket_group = table.string("socket_group");
    if socket_group.is_some() && socket.is_none() {
        let message = "`socket_group` needs `socket`: beside the journal, which only the engine's user may read, no \
                       group can reach it";
        table.reject("socket_group", message);
    }
    table.finish();
    Engine { socket, socket_group, policy }
}

pub(super) fn console(mut table: Table<'_, '_>) -> Console {
    let theme = table.string("theme");
    // `console::views` has the table; a test holds that these are its words.
    let words = ["commander", "dba", "erp", "security", "operations"];
    let view = table.parsed("view", "commander, dba, erp, security or operations", |word| {
        words.contains(&word).then(|| word.to_owned())
    });
    let usual = Console::default();
    let mouse = table.boolean("mouse").unwrap_or(usual.mouse);
    let bell = table.boolean("bell").unwrap_or(usual.bell);
    let one_of = |words: &'static [&'static str]| move |word: &str| words.contains(&word).then(|| word.to_owned());
    let notify =
        table.parsed("notify", "osc9, osc777 or off", one_of(&["osc9", "osc777", "off"])).unwrap_or(usual.notify);
    let title = table.boolean("title").unwrap_or(usual.title);
    let hyperlinks =
        table.parsed("hyperlinks", "auto, on or off", one_of(&["auto", "on", "off"])).unwrap_or(usual.hyperlinks);
    let bandwidth = table.parsed("bandwidth", "full or low", one_of(&["full", "low"])).unwrap_or(usual.bandwidth);
    let editor = table.string("editor").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    table.finish();
    Console { theme, mouse, view, bell, notify, title, hyperlinks, bandwidth, editor }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        decode("c.toml", text).unwrap_err().0.iter().map(ToString::to_string).collect()
    }

    const ESTATE: &str = "[estate]\nname = \"a\"\nenvironment = \"staging\"\n";

    #[test]
    fn all_errors_are_reported_at_once_with_their_places() {
        let text = format!(
            "{ESTATE}colour = 1\n[[postgres]]\nid = \"pg a\"\nhost = 5\nport = 70000\nuser = \"u\"\npassword = \"hunter2\"\n[[tenant]]\nid = \"t1\"\ndatabase = {{ instance = \"pg-x\", name = \"t1\" }}\n"
        );
        let found = problems(&text);
        assert_eq!(
            found,
            [
                "c.toml:4:1: unknown key `colour` in [estate]; allowed are environment, name, region, time_zone, trace_link",
                "c.toml:6:6: `id` is `pg a`; allowed are 1 to 63 letters, digits, `.`, `_` and `-`",
                "c.toml:7:8: `host` of [[postgres]] is an integer; a string is expected",
                "c.toml:8:8: `port` of [[postgres]] is 70000; allowed is 1 to 65535",
                "c.toml:10:12: `password` is not a reference: env:NAME, file:PATH, command:PROGRAM ARG, kubernetes:CLUSTER/NAMESPACE/NAME#KEY or vault:ID/PATH#KEY; a password itself never stands in this file",
                "c.toml:13:25: `instance` names `pg-x`, which is no [[postgres]]; known: pg a",
            ]
        );
    }

    #[test]
    fn a_duplicate_key_and_a_syntax_error_have_their_place() {
        let found = problems("[estate]\nname = \"a\"\nname = \"b\"\n");
        assert!(found[0].starts_with("c.toml:3:1: duplicate key"), "{found:?}");
        let found = problems("[estate\n");
        assert!(found[0].starts_with("c.toml:1:"), "{found:?}");
    }

    #[test]
    fn a_url_with_a_password_is_refused_and_not_repeated() {
        let found = problems(&format!("{ESTATE}[[redis]]\nid = \"r\"\nurl = \"redis://u:secret@h/0\"\n"));
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("c.toml:6:7: `url`") && !found[0].contains("secret"), "{found:?}");
    }

    #[test]
    fn defaults_are_safe() {
        let text = format!("{ESTATE}[[postgres]]\nid = \"p\"\nhost = \"h\"\nuser = \"u\"\n");
        let config = decode("c.toml", &text).unwrap();
        assert_eq!(config.postgres[0].tls, Tls::VerifyFull);
        assert!(config.postgres[0].act.is_none());
    }
}
