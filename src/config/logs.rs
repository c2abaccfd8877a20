//! `[[logs]]`, `[[traces]]` and `[estate] trace_link`: what is asked for logs and traces when a person or an open finding
//! wants them. Pods' logs need no table: a `[[kubernetes]]` has them.

use super::decode::{Ids, required_url};
use super::model::HttpAuth;
use super::prometheus::auth;
use super::reader::Table;
use crate::domain::estate::Tenant;
use crate::domain::id::{SourceId, TenantId};
use crate::domain::text::in_url;
use std::time::Duration;

/// What a template may name of a tenant.
const OF_TENANT: [&str; 4] = ["tenant", "namespace", "database", "host"];
/// What the link may name beside it: milliseconds and microseconds since 1970.
const OF_TIME: [&str; 4] = ["from", "to", "from_us", "to_us"];

/// Time allowed for a query.
const ALLOWED: Duration = Duration::from_secs(5);
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(30);

const HTTP: [&str; 2] = ["http://", "https://"];

/// `[[logs]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logs {
    /// Source name.
    pub id: SourceId,
    /// What is asked.
    pub by: LogsBy,
    /// Whose logs it has; everybody's when empty.
    pub tenants: Vec<TenantId>,
    /// Time allowed for one query.
    pub timeout: Duration,
    /// Whether it has Odoo's log, which is read each minute for who exports how much.
    pub exports: bool,
}

/// What a `[[logs]]` asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogsBy {
    /// A file on this machine, such as Odoo's `logfile`; its path is a template.
    File(Template),
    /// Loki's `query_range`.
    Loki {
        /// The server.
        server: Server,
        /// Its own tenant, sent as `X-Scope-OrgID`.
        org: Option<String>,
        /// What is asked.
        queries: Vec<LogQuery>,
    },
    /// `OpenSearch`'s `_search`.
    Opensearch {
        /// The server.
        server: Server,
        /// What is asked.
        queries: Vec<LogQuery>,
    },
}

/// A system of HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Base URL.
    pub url: String,
    /// Who asks.
    pub auth: HttpAuth,
    /// Whose authorities vouch for it, and from which version of TLS on.
    pub ca: crate::config::tls::Ca,
}

/// `[[logs.query]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogQuery {
    /// What log it is, for people.
    pub name: String,
    /// `LogQL`, or the syntax of `query_string`.
    pub query: Template,
    /// Indices of `OpenSearch`.
    pub index: String,
    /// Field of the time.
    pub time: String,
    /// Field of the message.
    pub message: String,
}

/// `[[traces]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traces {
    /// Source name.
    pub id: SourceId,
    /// Which system it is.
    pub kind: TracesKind,
    /// The server.
    pub server: Server,
    /// `TraceQL` of Tempo, or the name of Jaeger's service.
    pub query: Template,
    /// Whose traces it has; everybody's when empty.
    pub tenants: Vec<TenantId>,
    /// Time allowed for one query.
    pub timeout: Duration,
}

/// Systems of traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TracesKind {
    /// Grafana Tempo.
    Tempo,
    /// Jaeger.
    Jaeger,
}

/// A text with `{tenant}` and the like in it. Other braces stand for themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(String);

impl Template {
    /// The text for a tenant; what it names and the tenant has not is the error, in words.
    ///
    /// `escape` makes a value fit where it is put.
    pub fn of(&self, tenant: &Tenant, escape: impl Fn(&str) -> Result<String, String>) -> Result<String, String> {
        let mut text = self.0.clone();
        for name in OF_TENANT {
            let place = format!("{{{name}}}");
            if !text.contains(&place) {
                continue;
            }
            let lacks = |what: &str| format!("the tenant {} has no {what}, which this log is found by", tenant.id);
            let value = match name {
                "tenant" => tenant.id.as_str(),
                "namespace" => tenant.namespace.as_ref().map(|n| n.name.as_str()).ok_or_else(|| lacks("kubernetes"))?,
                "database" => tenant.database.as_ref().map(|d| d.name.as_str()).ok_or_else(|| lacks("database"))?,
                _ => tenant.router.as_ref().map(|r| r.host.as_str()).ok_or_else(|| lacks("router"))?,
            };
            text = text.replace(&place, &escape(value)?);
        }
        Ok(text)
    }

    /// The link for a tenant and a time.
    pub fn link(&self, tenant: &Tenant, from: jiff::Timestamp, to: jiff::Timestamp) -> Option<String> {
        let mut text = self.of(tenant, |value| Ok(in_url(value))).ok()?;
        let values = [from.as_millisecond(), to.as_millisecond(), from.as_microsecond(), to.as_microsecond()];
        for (name, value) in OF_TIME.iter().zip(values) {
            text = text.replace(&format!("{{{name}}}"), &value.to_string());
        }
        Some(text)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names in braces: of `{tenant}/{x="y"}` only the first.
fn named(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| {
        let name = rest.split('}').next().filter(|n| rest.len() > n.len())?;
        (!name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')).then_some(name)
    })
}

fn checked(table: &Table<'_, '_>, key: &'static str, text: String, also: &[&str]) -> Template {
    if let Some(wrong) = named(&text).find(|n| !OF_TENANT.contains(n) && !also.contains(n)) {
        let allowed: Vec<String> = OF_TENANT.iter().chain(also).map(|n| format!("{{{n}}}")).collect();
        table.reject(key, format!("`{key}` has `{{{wrong}}}`; allowed are {}", allowed.join(", ")));
    }
    Template(text)
}

/// `[estate] trace_link`.
pub(super) fn link(table: &mut Table<'_, '_>) -> Option<Template> {
    let text = table.string("trace_link")?;
    if !HTTP.iter().any(|scheme| text.starts_with(scheme)) || text.contains(char::is_whitespace) {
        table.reject("trace_link", "`trace_link` is not a URL that starts with http:// or https://");
        return None;
    }
    Some(checked(table, "trace_link", text, &OF_TIME))
}

fn tenants(table: &mut Table<'_, '_>, known: &[Tenant]) -> Vec<TenantId> {
    let one = |name: &str| {
        let known: Vec<&str> = known.iter().map(|t| t.id.as_str()).collect();
        if known.contains(&name) {
            return Ok(());
        }
        let known = if known.is_empty() { "none is configured".to_owned() } else { known.join(", ") };
        Err(format!("`tenants` names `{name}`, which is no [[tenant]]; known: {known}"))
    };
    table.checked_strings("tenants", one).into_iter().map(TenantId::new).collect()
}

fn server(table: &mut Table<'_, '_>, example: &str) -> Server {
    Server { url: required_url(table, "url", &HTTP, example), auth: auth(table), ca: crate::config::tls::ca(table) }
}

/// Decodes `[[logs]]`.
pub(super) fn logs(tables: Vec<Table<'_, '_>>, ids: &mut Ids, known: &[Tenant]) -> Vec<Logs> {
    let one = |mut table: Table<'_, '_>| {
        let id = ids.source(&mut table, "logs");
        let tenants = tenants(&mut table, known);
        let timeout = table.duration("timeout", SHORTEST, LONGEST).unwrap_or(ALLOWED);
        let kind = kind(&mut table, &["loki", "opensearch", "file"]);
        // All keys are asked for, so that the schema has them; those that do not fit are refused by the name of the kind.
        let keys: &[&str] = match kind.as_deref() {
            Some("file") => &["path"],
            Some("loki") => &["url", "bearer", "basic", "ca", "tls_min", "org", "query"],
            Some("opensearch") => &["url", "bearer", "basic", "ca", "tls_min", "query"],
            _ => &["path", "url", "bearer", "basic", "ca", "tls_min", "org", "query"],
        };
        for key in ["path", "url", "bearer", "basic", "ca", "tls_min", "org", "query"] {
            if table.has(key) && !keys.contains(&key) {
                let word = kind.as_deref().unwrap_or_default();
                table.reject(
                    key,
                    format!("`{key}` does nothing in a [[logs]] of kind {word}; it has {}", keys.join(", ")),
                );
            }
        }
        let by = if kind.as_deref() == Some("file") {
            let text = table.required("path", "/var/log/odoo/{tenant}.log");
            if !text.is_empty() && !text.starts_with('/') {
                table.reject("path", format!("`path` is `{text}`; allowed is a path from the root on"));
            }
            LogsBy::File(checked(&table, "path", text, &[]))
        } else {
            let server = server(&mut table, "http://127.0.0.1:3100");
            let org = table.string("org");
            drop(kind.is_none().then(|| table.string("path")));
            let search = kind.as_deref() == Some("opensearch");
            let queries: Vec<LogQuery> = table.tables("query").into_iter().map(|t| query(t, search)).collect();
            if queries.is_empty() && !table.has("query") {
                table
                    .reject("query", "a [[logs]] of this kind has at least one [[logs.query]] with `name` and `query`");
            }
            if search { LogsBy::Opensearch { server, queries } } else { LogsBy::Loki { server, org, queries } }
        };
        let exports = table.boolean("exports").unwrap_or(false);
        table.finish();
        Logs { id, by, tenants, timeout, exports }
    };
    tables.into_iter().map(one).collect()
}

fn kind(table: &mut Table<'_, '_>, words: &[&str]) -> Option<String> {
    let allowed = words.join(", ");
    if !table.has("kind") {
        table.reject("kind", format!("`kind` is missing; allowed is {allowed}"));
    }
    table.parsed("kind", &allowed, |text| words.contains(&text).then(|| text.to_owned()))
}

fn query(mut table: Table<'_, '_>, search: bool) -> LogQuery {
    let name = table.required("name", "Traefik access log");
    let text = table.required("query", "{namespace=\"{namespace}\"}");
    let query = checked(&table, "query", text, &[]);
    for key in ["index", "time", "message"] {
        if table.has(key) && !search {
            table.reject(key, format!("`{key}` belongs to a [[logs]] of kind opensearch"));
        }
    }
    let index = table.string("index").unwrap_or_else(|| "*".to_owned());
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*' | ',');
    if !index.chars().all(fine) {
        table.reject("index", format!("`index` is `{index}`; allowed are names of indices with `*`, parted by commas"));
    }
    let time = table.string("time").unwrap_or_else(|| "@timestamp".to_owned());
    let message = table.string("message").unwrap_or_else(|| "message".to_owned());
    table.finish();
    LogQuery { name, query, index, time, message }
}

/// Decodes `[[traces]]`.
pub(super) fn traces(tables: Vec<Table<'_, '_>>, ids: &mut Ids, known: &[Tenant]) -> Vec<Traces> {
    let one = |mut table: Table<'_, '_>| {
        let id = ids.source(&mut table, "traces");
        let tenants = tenants(&mut table, known);
        let timeout = table.duration("timeout", SHORTEST, LONGEST).unwrap_or(ALLOWED);
        let kind = match kind(&mut table, &["tempo", "jaeger"]).as_deref() {
            Some("jaeger") => TracesKind::Jaeger,
            _ => TracesKind::Tempo,
        };
        let server = server(&mut table, "http://127.0.0.1:3200");
        let key = if kind == TracesKind::Tempo { "query" } else { "service" };
        let other = if kind == TracesKind::Tempo { "service" } else { "query" };
        if table.has(other) {
            table.reject(other, format!("`{other}` does nothing here: what is asked of this kind stands in `{key}`"));
        }
        let (query, service) = (table.string("query"), table.string("service"));
        let text = if kind == TracesKind::Tempo { query } else { service };
        if text.is_none() && !table.has(key) && !table.has("kind") {
            // The missing kind is said already.
        } else if text.is_none() && !table.has(key) {
            let example = match kind {
                TracesKind::Tempo => "query = '{ resource.service.namespace = \"{namespace}\" }'",
                TracesKind::Jaeger => "service = \"odoo-{tenant}\"",
            };
            table.reject(key, format!("a [[traces]] of this kind lacks `{key}`; for example `{example}`"));
        }
        let query = checked(&table, key, text.unwrap_or_default(), &[]);
        table.finish();
        Traces { id, kind, server, query, tenants, timeout }
    };
    tables.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::decode::decode;

    const ESTATE: &str = "[estate]\nname = \"a\"\nenvironment = \"staging\"\n[[tenant]]\nid = \"t1\"\n\
                          router = { ingress = \"e\", name = \"t1@file\", host = \"t1.x\" }\n\
                          [[traefik]]\nid = \"e\"\nmetrics = \"http://h/metrics\"\n";

    fn refused(text: &str) -> String {
        decode("c.toml", &format!("{ESTATE}{text}")).unwrap_err().to_string()
    }

    #[test]
    fn all_kinds_are_read_and_templates_are_filled() {
        let text = format!(
            "{ESTATE}[[logs]]\nid = \"l\"\nkind = \"loki\"\nurl = \"http://h:3100\"\norg = \"o\"\ntenants = [\"t1\"]\n\
             [[logs.query]]\nname = \"access\"\nquery = '{{app=\"traefik\"}} |= \"{{host}}\"'\n\
             [[logs]]\nid = \"f\"\nkind = \"file\"\npath = \"/var/log/{{tenant}}.log\"\n\
             [[logs]]\nid = \"o\"\nkind = \"opensearch\"\nurl = \"https://h:9200\"\n\
             [[logs.query]]\nname = \"odoo\"\nquery = 'ns:\"{{namespace}}\"'\nindex = \"odoo-*\"\n\
             [[traces]]\nid = \"j\"\nkind = \"jaeger\"\nurl = \"http://h:16686\"\nservice = \"odoo-{{tenant}}\"\n"
        );
        let text = text
            .replace("name = \"a\"\n", "name = \"a\"\ntrace_link = \"https://g/t?q={host}&from={from}&to={to_us}\"\n");
        let config = decode("c.toml", &text).unwrap();
        let tenant = &config.estate.tenants[0];
        let LogsBy::Loki { queries, org, .. } = &config.logs[0].by else { panic!("{:?}", config.logs) };
        let plain = |v: &str| Ok(v.to_owned());
        assert_eq!(queries[0].query.of(tenant, plain).unwrap(), "{app=\"traefik\"} |= \"t1.x\"");
        assert_eq!(org.as_deref(), Some("o"));
        let LogsBy::Opensearch { queries, .. } = &config.logs[2].by else { panic!("{:?}", config.logs) };
        let why = queries[0].query.of(tenant, plain).unwrap_err();
        assert_eq!(why, "the tenant t1 has no kubernetes, which this log is found by");
        let at = |s| jiff::Timestamp::from_second(s).unwrap();
        let link = config.trace_link.unwrap().link(tenant, at(1), at(2)).unwrap();
        assert_eq!(link, "https://g/t?q=t1.x&from=1000&to=2000000");
        assert_eq!(config.traces[0].kind, TracesKind::Jaeger);
    }

    #[test]
    fn what_can_not_work_is_a_sentence_with_its_place() {
        let loki = "[[logs]]\nid = \"l\"\nkind = \"loki\"\nurl = \"http://h\"\n";
        for (text, says) in [
            (loki.to_owned(), "at least one [[logs.query]]"),
            (
                format!("{loki}[[logs.query]]\nname = \"a\"\nquery = \"{{tennant}}\"\n"),
                "`query` has `{tennant}`; allowed are {tenant}, ",
            ),
            (
                format!("{loki}[[logs.query]]\nname = \"a\"\nquery = \"x\"\nindex = \"i\"\n"),
                "belongs to a [[logs]] of kind opensearch",
            ),
            (
                format!("{loki}path = \"/x\"\n[[logs.query]]\nname = \"a\"\nquery = \"x\"\n"),
                "`path` does nothing in a [[logs]] of kind loki",
            ),
            (
                "[[logs]]\nid = \"l\"\nkind = \"file\"\npath = \"x.log\"\n".to_owned(),
                "allowed is a path from the root on",
            ),
            ("[[logs]]\nid = \"l\"\nkind = \"splunk\"\n".to_owned(), "loki, opensearch, file"),
            (
                format!("{loki}tenants = [\"t9\"]\n[[logs.query]]\nname = \"a\"\nquery = \"x\"\n"),
                "`t9`, which is no [[tenant]]; known: t1",
            ),
            (
                "[[traces]]\nid = \"t\"\nkind = \"jaeger\"\nurl = \"http://h\"\nquery = \"x\"\n".to_owned(),
                "stands in `service`",
            ),
            ("[[traces]]\nid = \"t\"\nkind = \"tempo\"\nurl = \"http://h\"\n".to_owned(), "lacks `query`"),
        ] {
            let found = refused(&text);
            assert!(found.contains(says) && found.contains("c.toml:"), "{text}: {found}");
        }
        let link = ESTATE.replace("name = \"a\"\n", "name = \"a\"\ntrace_link = \"ftp://x\"\n");
        assert!(decode("c.toml", &link).unwrap_err().to_string().contains("`trace_link` is not a URL"));
    }
}
