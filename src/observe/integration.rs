//! How an integration is doing (EDI, MES, WMS, carriers, portals, barcode and machine data): one query in a read-only
//! session on the tenant's database, or one endpoint that answers JSON or Prometheus's text. Only the engine and
//! `doctor` call this.

use super::http::{Http, public};
use super::poll::Poll;
use super::postgres::link::{Link, Settings};
use super::postgres::{STATEMENT_TIMEOUT, failure};
use super::prometheus::{Credentials, connect, request};
use crate::config::integration::FIELDS;
use crate::config::model::{self, HttpAuth, Measure, MeasureBy};
use crate::domain::estate::Estate;
use crate::domain::facts::{Facts, MeasuredFacts};
use crate::domain::id::SourceId;
use crate::domain::mode::MayObserve;
use crate::domain::ports::BoxFuture;
use crate::domain::sample::{Failure, FailureKind, SourceKind, SourceSpec};
use crate::domain::signal::Subject;
use crate::domain::text::sanitize;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Body bytes taken of an endpoint.
const ANSWER: usize = 1 << 20;

/// Observes one integration.
#[derive(Debug)]
pub struct IntegrationObserver {
    spec: SourceSpec,
    timeout: Duration,
    subject: Subject,
    by: By,
}

#[derive(Debug)]
enum By {
    /// Queries of one server take turns, so that they never take more than one session of it.
    Sql {
        link: Arc<Link>,
        turn: Arc<Semaphore>,
        database: String,
        statement: String,
    },
    Http {
        endpoint: Endpoint,
        ready: Option<(Http, Option<Credentials>)>,
    },
}

#[derive(Clone, Debug)]
struct Endpoint {
    url: String,
    auth: HttpAuth,
    ca: model::Ca,
    fields: Vec<(&'static str, String)>,
}

impl IntegrationObserver {
    /// One for each `[integration.measure]`. Nothing is read or sent before they run.
    pub fn all(_: MayObserve, config: &model::Config) -> Vec<Self> {
        let servers: Vec<_> = config
            .postgres
            .iter()
            .map(|p| (p.id.clone(), Arc::new(Link::observe(p)), Arc::new(Semaphore::new(1))))
            .collect();
        let one = |measure: &Measure| Self::new(measure, &config.estate, &servers);
        config.measure.iter().filter_map(one).collect()
    }

    fn new(measure: &Measure, estate: &Estate, servers: &[(SourceId, Arc<Link>, Arc<Semaphore>)]) -> Option<Self> {
        let Measure { integration, tenant, interval, timeout, .. } = measure;
        let (by, address) = match &measure.by {
            MeasureBy::Sql(statement) => {
                let database = estate.tenant(tenant)?.database.as_ref()?;
                let (_, link, turn) = servers.iter().find(|(id, ..)| *id == database.instance)?;
                let address = format!("{}/{}", link.address(), database.name);
                // The columns may be of any type: as JSON they are what they say.
                let statement = format!("SELECT to_jsonb(q)::text AS row FROM ({statement}\n) q LIMIT 2");
                let (link, turn, database) = (Arc::clone(link), Arc::clone(turn), database.name.clone());
                (By::Sql { link, turn, database, statement }, address)
            }
            MeasureBy::Http { url, auth, ca, fields } => {
                let endpoint =
                    Endpoint { url: url.clone(), auth: auth.clone(), ca: ca.clone(), fields: fields.clone() };
                (By::Http { endpoint, ready: None }, public(url))
            }
        };
        Some(Self {
            spec: SourceSpec {
                id: SourceId::new(format!("integration/{integration}")),
                kind: SourceKind::Integration,
                interval: *interval,
                address: sanitize(&address),
            },
            timeout: *timeout,
            subject: Subject::Integration { tenant: tenant.clone(), integration: integration.as_str().into() },
            by,
        })
    }

    async fn look(&mut self) -> Result<Facts, Failure> {
        let mut facts = MeasuredFacts::of(SourceKind::Integration);
        match &mut self.by {
            By::Sql { link, turn, database, statement } => {
                let row = query(link, turn, database, statement, self.timeout).await?;
                for field in FIELDS {
                    if let Some(value) = row.get(field) {
                        put(&mut facts, &self.subject, field, number(value), || {
                            format!("the column {field} is {value}")
                        });
                    }
                }
                if facts.readings.is_empty() && facts.untold.is_empty() {
                    let names = FIELDS.join(", ");
                    let why = format!("{}: the query gives none of the columns {names}", self.spec.address);
                    return Err(Failure::new(FailureKind::Protocol, why));
                }
            }
            By::Http { endpoint, ready } => {
                let (http, credentials) = match ready.take() {
                    Some(ready) => ready,
                    None => connect(&[&endpoint.url], &endpoint.ca, &endpoint.auth).await?,
                };
                let asked = request(&http, credentials.as_ref(), &endpoint.url, "", &[])?;
                let answer = Http::send(asked, &endpoint.url, ANSWER, self.timeout).await?;
                let text = answer.into_text(&endpoint.url)?;
                *ready = Some((http, credentials));
                take(&endpoint.fields, &text, &self.subject, &mut facts);
            }
        }
        Ok(Facts::Measured(facts))
    }
}

/// One row of one query, in a read-only session that ends with it.
async fn query(
    link: &Link,
    turn: &Semaphore,
    database: &str,
    statement: &str,
    within: Duration,
) -> Result<serde_json::Map<String, Value>, Failure> {
    let _turn = turn.acquire().await;
    let address = format!("{}/{database}", link.address());
    let wrong = |why: &str| Failure::new(FailureKind::Protocol, format!("{address}: the query {why}"));
    let asked = async {
        let session = link.open(database, Settings::Look { statement_timeout: STATEMENT_TIMEOUT }).await?;
        let rows = session.ask(statement, &[]).await.map_err(|e| failure::classify(&address, &e))?;
        session.close().await;
        Ok(rows)
    };
    let late = |_| {
        let why = format!("no answer from {address} within {} s", within.as_secs_f64());
        Err(Failure::new(FailureKind::Timeout, why))
    };
    let rows = tokio::time::timeout(within, asked).await.unwrap_or_else(late)?;
    let [row] = rows.as_slice() else {
        return Err(wrong(if rows.is_empty() {
            "gives no row; one is wanted"
        } else {
            "gives several rows; one is wanted"
        }));
    };
    let text: &str = row.try_get("row").map_err(|e| failure::classify(&address, &e))?;
    serde_json::from_str(text).map_err(|_| wrong("gives no row of columns"))
}

/// A number, or true and false as one and zero; digits in a string too, which is how JSON often carries them.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(yes) => Some(if *yes { 1.0 } else { 0.0 }),
        Value::Number(n) => n.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|n: &f64| n.is_finite())
}

fn put(facts: &mut MeasuredFacts, subject: &Subject, field: &str, value: Option<f64>, why: impl Fn() -> String) {
    let signal = format!("integration.{field}");
    match value {
        // A share beyond one and a negative count are mistakes of the query.
        Some(value) if value < 0.0 || (field == "success" && value > 1.0) => {
            facts.untell(subject, &signal, format!("{field} is {value}, which it can not be"));
        }
        Some(value) => facts.measure(subject, &signal, value),
        None => facts.untell(subject, &signal, sanitize(&why().chars().take(200).collect::<String>())),
    }
}

/// Fields of an answer: JSON pointers (RFC 6901) or metrics of Prometheus's text.
fn take(fields: &[(&'static str, String)], text: &str, subject: &Subject, facts: &mut MeasuredFacts) {
    let json: Option<Value> =
        if fields.iter().any(|(_, at)| at.starts_with('/')) { serde_json::from_str(text).ok() } else { None };
    for (field, at) in fields {
        let value = if at.starts_with('/') {
            json.as_ref().and_then(|json| json.pointer(at)).and_then(number)
        } else {
            metric(text, at)
        };
        put(facts, subject, field, value, || format!("the answer has no number at {at}"));
    }
}

/// The value of `name` or `name{label="…"}`, written as the page writes it; the sum where the bare name has several.
fn metric(text: &str, wanted: &str) -> Option<f64> {
    let mut sum = None;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some(rest) = line.strip_prefix(wanted) else { continue };
        let labelled = wanted.ends_with('}');
        let rest = match (rest.chars().next(), rest.rfind('}')) {
            (Some('{'), _) if labelled => continue,
            (Some('{'), Some(end)) => rest.get(end + 1..).unwrap_or_default(),
            (Some(c), _) if c.is_whitespace() => rest,
            _ => continue,
        };
        let value: f64 = rest.split_whitespace().next()?.parse().ok()?;
        sum = Some(sum.unwrap_or(0.0) + value);
    }
    sum.filter(|n| n.is_finite())
}

impl Poll for IntegrationObserver {
    fn spec(&self) -> SourceSpec {
        self.spec.clone()
    }

    /// With waiting for the turn; the look itself has its own limit.
    fn timeout(&self) -> Duration {
        self.spec.interval.max(self.timeout)
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Facts, Failure>> {
        Box::pin(self.look())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::mode::Mode;
    use crate::observe::http::rig::Tiny;
    use crate::observe::postgres::testbed::Server;

    fn config(postgres: Option<&Server>, measure: &str) -> model::Config {
        let (port, password) = match postgres.map(|server| (server.port, server.config("observe").observe.password)) {
            Some((port, Some(model::SecretRef::File(path)))) => {
                (port, format!("password = \"file:{}\"\n", path.display()))
            }
            _ => (1, String::new()),
        };
        let text = format!(
            "[estate]\nname = \"a\"\nenvironment = \"staging\"\n[[postgres]]\nid = \"pg\"\nhost = \"127.0.0.1\"\n\
             port = {port}\n{password}user = \"observe\"\ntls = \"disable\"\n[[tenant]]\nid = \"t1\"\nname = \"A\"\n\
             database = {{ instance = \"pg\", name = \"postgres\" }}\n[[integration]]\nid = \"edi\"\ntenant = \"t1\"\n\
             channel = \"root.edi\"\n[integration.measure]\n{measure}\n"
        );
        crate::config::decode::decode("c.toml", &text).unwrap()
    }

    async fn look(config: &model::Config) -> Result<MeasuredFacts, Failure> {
        let mut all = IntegrationObserver::all(Mode::ReadOnly.may_observe().unwrap(), config);
        match all[0].poll().await? {
            Facts::Measured(facts) => Ok(facts),
            other => panic!("{other:?}"),
        }
    }

    fn value(facts: &MeasuredFacts, field: &str) -> Option<f64> {
        facts.readings.iter().find(|r| r.signal == format!("integration.{field}")).map(|r| r.value)
    }

    #[tokio::test]
    async fn a_query_is_read_only_bounded_and_its_columns_are_told() {
        let Some(server) = Server::start().await else { return };
        server.role("observe", "").await;
        let sql = |text: &str| config(Some(&server), &format!("sql = \"\"\"{text}\"\"\""));
        let good = sql("SELECT true AS ok, 7 AS backlog, 0.5::numeric AS success, NULL::int AS lag, -3 AS retries;");
        let facts = look(&good).await.unwrap();
        assert_eq!(
            (value(&facts, "ok"), value(&facts, "backlog"), value(&facts, "success")),
            (Some(1.0), Some(7.0), Some(0.5))
        );
        let untold: Vec<&str> = facts.untold.iter().map(|u| u.signal.as_str()).collect();
        assert_eq!(untold, ["integration.retries", "integration.lag"], "{:?}", facts.untold);
        let why = async |text: &str| look(&sql(text)).await.unwrap_err();
        assert!(why("SELECT 1 AS ok WHERE false").await.message.contains("gives no row"));
        assert!(why("SELECT generate_series(1, 9) AS ok").await.message.contains("several rows"));
        assert!(why("SELECT 1 AS depth").await.message.contains("none of the columns"));
        assert!(why("DELETE FROM pg_catalog.pg_class").await.message.contains("syntax error"));
        let slow = why("SELECT 1 AS ok FROM pg_catalog.pg_sleep(30)").await;
        assert!(slow.kind == FailureKind::Timeout || slow.message.contains("statement timeout"), "{slow}");
        server.sql("postgres", "CREATE SEQUENCE public.counts; GRANT USAGE ON SEQUENCE public.counts TO observe").await;
        let write = why("SELECT pg_catalog.nextval('public.counts') AS ok").await;
        assert!(write.message.contains("read-only"), "{write}");
        drop(server);
    }

    #[tokio::test]
    async fn an_endpoint_of_json_or_metrics_is_read_and_what_is_missing_is_not_known() {
        let json = Tiny::http(|_, _| (200, r#"{"queue": {"depth": "12"}, "up": true, "lag": null}"#.into()));
        let fields = "fields = { backlog = \"/queue/depth\", ok = \"/up\", lag = \"/lag\", retries = \"/x\" }";
        let facts = look(&config(None, &format!("url = \"{}\"\n{fields}", json.url()))).await.unwrap();
        assert_eq!((value(&facts, "backlog"), value(&facts, "ok")), (Some(12.0), Some(1.0)));
        assert_eq!(facts.untold.len(), 2);
        let page = "# HELP q x\nq{c=\"a\"} 3\nq{c=\"b\"} 4 1700000000000\nqq 9\nnan NaN\n";
        let metrics = Tiny::http(move |_, _| (200, page.to_owned()));
        let fields = "fields = { backlog = \"q\", retries = 'q{c=\"a\"}', lag = \"nan\" }";
        let facts = look(&config(None, &format!("url = \"{}\"\n{fields}", metrics.url()))).await.unwrap();
        assert_eq!((value(&facts, "backlog"), value(&facts, "lag")), (Some(7.0), None));
        let refuses = Tiny::http(|_, _| (403, String::new()));
        let failure = look(&config(None, &format!("url = \"{}\"\n{fields}", refuses.url()))).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Permission);
    }

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        assert_eq!(metric("ab 1\na 2\na{x=\"}\"} 3\n", "a"), Some(5.0));
        assert_eq!(metric("a{x=\"1\"} 3\na{x=\"2\"} 4\n", "a{x=\"2\"}"), Some(4.0));
        assert_eq!(metric("ab 1\n", "a"), None);
    }
}
