//! `[[prometheus]]` and `[[alertmanager]]`: systems that have measured already, and that may stand in where direct
//! access is not given.

use super::decode::{Ids, interval, required_url, secret_of, timeout, url};
use super::model::{Login, SecretRef};
use super::reader::Table;
use crate::domain::id::SourceId;
use std::net::SocketAddr;
use std::time::Duration;

/// How a system of HTTP knows this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpAuth {
    /// `Authorization: Bearer`.
    pub bearer: Option<SecretRef>,
    /// `Authorization: Basic`.
    pub basic: Option<Login>,
}

/// `[[prometheus]]`.
#[derive(Clone, Debug)]
pub struct Prometheus {
    /// Source name.
    pub id: SourceId,
    /// Base URL, before `/api/v1`.
    pub url: String,
    /// Who asks.
    pub auth: HttpAuth,
    /// Whose authorities vouch for it, and from which version of TLS on.
    pub ca: crate::config::tls::Ca,
    /// Time between samples.
    pub interval: Duration,
    /// Time allowed for one sample.
    pub timeout: Duration,
    /// Series that one query may give; more is not taken.
    pub series: usize,
    /// Names of the shipped sets of queries that are asked; all when absent.
    pub sets: Option<Vec<String>>,
    /// The `[[kubernetes]]` whose nodes, namespaces and volumes it measures.
    pub cluster: Option<SourceId>,
    /// The `[[traefik]]` whose routers it measures.
    pub ingress: Option<SourceId>,
    /// What a value of a label stands for.
    pub aliases: Vec<Alias>,
    /// Own queries.
    pub queries: Vec<PromQuery>,
}

/// `[[prometheus.alias]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// Value of the label: `10.0.0.5:9187`.
    pub label: String,
    /// What it is called here: `pg-a`.
    pub source: String,
}

/// `[[prometheus.query]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromQuery {
    /// Signal that it gives.
    pub signal: String,
    /// `PromQL`.
    pub expr: String,
    /// What its series are about.
    pub subject: PromSubject,
    /// Labels that name the subject, in this order.
    pub labels: Vec<String>,
}

/// What the labels of a series name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PromSubject {
    /// The id of a tenant.
    Tenant,
    /// A namespace: its tenant, else the namespace.
    Namespace,
    /// `namespace`, `name`: the tenant of the namespace, else the workload.
    Workload,
    /// A database: its tenant.
    Database,
    /// A host: the tenant whose router answers for it.
    Host,
    /// A router: its tenant, else the router.
    Router,
    /// An ingress.
    Ingress,
    /// A PostgreSQL instance.
    Instance,
    /// A Redis.
    Redis,
    /// A list or a stream of a Redis.
    Key,
    /// The cluster; no label.
    Cluster,
    /// A node.
    Node,
    /// `namespace`, `claim`, or `host`, `mount point`.
    Volume,
    /// `tenant`, `integration`.
    Integration,
}

impl PromSubject {
    const ALL: [(&'static str, Self); 14] = [
        ("tenant", Self::Tenant),
        ("namespace", Self::Namespace),
        ("workload", Self::Workload),
        ("database", Self::Database),
        ("host", Self::Host),
        ("router", Self::Router),
        ("ingress", Self::Ingress),
        ("instance", Self::Instance),
        ("redis", Self::Redis),
        ("key", Self::Key),
        ("cluster", Self::Cluster),
        ("node", Self::Node),
        ("volume", Self::Volume),
        ("integration", Self::Integration),
    ];

    /// How many labels name it.
    pub const fn labels(self) -> usize {
        match self {
            Self::Cluster => 0,
            Self::Workload | Self::Volume | Self::Integration => 2,
            _ => 1,
        }
    }
}

/// `[[alertmanager]]`.
#[derive(Clone, Debug)]
pub struct Alertmanager {
    /// Source name.
    pub id: SourceId,
    /// Base URL, before `/api/v2`; only its web hook tells when absent.
    pub url: Option<String>,
    /// Who asks.
    pub auth: HttpAuth,
    /// Whose authorities vouch for it, and from which version of TLS on.
    pub ca: crate::config::tls::Ca,
    /// Time between samples.
    pub interval: Duration,
    /// Time allowed for one sample.
    pub timeout: Duration,
    /// Label that names the tenant, by its id or its namespace.
    pub tenant_label: String,
    /// Values of the label `severity` that are critical.
    pub critical: Vec<String>,
    /// Where it may tell.
    pub webhook: Option<Webhook>,
}

/// `[alertmanager.webhook]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where it is listened.
    pub listen: SocketAddr,
    /// What the sender gives as `Authorization: Bearer`.
    pub secret: SecretRef,
}

const HTTP: [&str; 2] = ["http://", "https://"];

pub(super) fn auth(table: &mut Table<'_, '_>) -> HttpAuth {
    let bearer = secret_of(table, "bearer");
    let basic = table.table("basic").map(|mut basic| {
        let login = Login { user: basic.required("user", "quarterdeck"), password: secret_of(&mut basic, "password") };
        basic.finish();
        login
    });
    if bearer.is_some() && basic.is_some() {
        table.reject("bearer", "`bearer` and `basic` are both given; a request carries one of them");
    }
    HttpAuth { bearer, basic }
}

pub(super) fn prometheus(mut table: Table<'_, '_>, ids: &mut Ids) -> Prometheus {
    let id = ids.source(&mut table, "prometheus");
    let url = required_url(&mut table, "url", &HTTP, "http://127.0.0.1:9090");
    let auth = auth(&mut table);
    let ca = crate::config::tls::ca(&mut table);
    let interval = interval(&mut table, Duration::from_secs(15));
    let timeout = table.duration("timeout", Duration::from_millis(50), Duration::from_mins(1));
    let series = table.integer("series", 1, 100_000).and_then(|n| usize::try_from(n).ok()).unwrap_or(2000);
    let sets = table.has("sets").then(|| table.strings("sets"));
    let cluster = ids.may_refer(&mut table, "cluster", "kubernetes");
    let ingress = ids.may_refer(&mut table, "ingress", "traefik");
    let aliases = table.tables("alias").into_iter().map(|mut t| {
        let alias = Alias { label: t.required("label", "10.0.0.5:9187"), source: t.required("source", "pg-a") };
        t.finish();
        alias
    });
    let aliases = aliases.collect();
    let queries = table.tables("query").into_iter().map(query).collect();
    table.finish();
    let timeout = timeout.unwrap_or(Duration::from_secs(5));
    Prometheus { id, url, auth, ca, interval, timeout, series, sets, cluster, ingress, aliases, queries }
}

fn query(mut table: Table<'_, '_>) -> PromQuery {
    let signal = table.required("signal", "http.p95");
    let expr = table.required("expr", "histogram_quantile(0.95, sum by (le, host) (rate(x_bucket[5m])))");
    let words: Vec<&str> = PromSubject::ALL.iter().map(|(word, _)| *word).collect();
    let allowed = words.join(", ");
    if !table.has("subject") {
        table.reject("subject", format!("[[prometheus.query]] lacks `subject`; allowed is {allowed}"));
    }
    let parse = |text: &str| PromSubject::ALL.iter().find(|(word, _)| *word == text).map(|(_, subject)| *subject);
    let subject = table.parsed("subject", &allowed, parse);
    let labels = table.strings("labels");
    if let Some(subject) = subject.filter(|s| s.labels() != labels.len()) {
        let needs = subject.labels();
        table.reject("labels", format!("`labels` has {}; this subject is named by {needs}", labels.len()));
    }
    table.finish();
    PromQuery { signal, expr, subject: subject.unwrap_or(PromSubject::Cluster), labels }
}

pub(super) fn alertmanager(mut table: Table<'_, '_>, ids: &mut Ids) -> Alertmanager {
    let id = ids.source(&mut table, "alertmanager");
    let base = url(&mut table, "url", &HTTP);
    let auth = auth(&mut table);
    let ca = crate::config::tls::ca(&mut table);
    let interval = interval(&mut table, Duration::from_secs(10));
    let timeout = timeout(&mut table);
    let tenant_label = table.string("tenant_label").unwrap_or_else(|| "tenant".to_owned());
    let mut critical = table.strings("critical");
    if critical.is_empty() {
        critical = ["critical", "page", "error"].map(str::to_owned).to_vec();
    }
    let webhook = table.table("webhook").and_then(webhook);
    if base.is_none() && webhook.is_none() && !table.has("url") && !table.has("webhook") {
        table.reject("url", "an [[alertmanager]] has `url`, a [alertmanager.webhook], or both; here is neither");
    }
    table.finish();
    Alertmanager { id, url: base, auth, ca, interval, timeout, tenant_label, critical, webhook }
}

fn webhook(mut table: Table<'_, '_>) -> Option<Webhook> {
    let parse = |text: &str| text.parse::<SocketAddr>().ok();
    let listen = table.parsed("listen", "an address with a port such as \"127.0.0.1:9097\"", parse);
    let secret = secret_of(&mut table, "secret");
    if secret.is_none() && !table.has("secret") {
        table.reject("secret", "a web hook lacks `secret`, a reference such as \"file:/etc/quarterdeck/hook\"");
    }
    table.finish();
    // Whoever reaches it may tell of alerts: only this machine, unless another address is named.
    Some(Webhook { listen: listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9097))), secret: secret? })
}

#[cfg(test)]
mod tests {
    const ESTATE: &str = "[estate]\nname = \"a\"\nenvironment = \"staging\"\n";

    fn refused(text: &str) -> String {
        crate::config::decode::decode("c.toml", &format!("{ESTATE}{text}")).unwrap_err().to_string()
    }

    #[test]
    fn both_are_read_with_safe_defaults() {
        let text = format!(
            "{ESTATE}[[prometheus]]\nid = \"p\"\nurl = \"http://127.0.0.1:9090\"\n[[prometheus.query]]\nsignal = \"http.p95\"\n\
             expr = \"x\"\nsubject = \"host\"\nlabels = [\"host\"]\n[[prometheus.alias]]\nlabel = \"a:1\"\nsource = \"pg\"\n\
             [[alertmanager]]\nid = \"am\"\n[alertmanager.webhook]\nsecret = \"env:HOOK\"\n"
        );
        let config = crate::config::decode::decode("c.toml", &text).unwrap();
        assert_eq!((config.prometheus[0].series, config.prometheus[0].sets.is_none()), (2000, true));
        assert_eq!(config.prometheus[0].queries[0].labels, ["host"]);
        assert!(config.alertmanager[0].webhook.as_ref().unwrap().listen.ip().is_loopback());
    }

    #[test]
    fn what_can_not_work_is_a_sentence() {
        assert!(refused("[[alertmanager]]\nid = \"a\"\n").contains("here is neither"));
        assert!(refused("[[alertmanager]]\nid = \"a\"\n[alertmanager.webhook]\n").contains("lacks `secret`"));
        let query =
            "[[prometheus]]\nid = \"p\"\nurl = \"http://h\"\n[[prometheus.query]]\nsignal = \"a\"\nexpr = \"x\"\n";
        assert!(refused(&format!("{query}subject = \"volume\"\nlabels = [\"a\"]\n")).contains("is named by 2"));
        assert!(refused(query).contains("lacks `subject`"));
        let both = "[[prometheus]]\nid = \"p\"\nurl = \"http://h\"\nbearer = \"env:A\"\nbasic = { user = \"u\" }\n";
        assert!(refused(both).contains("carries one of them"));
    }
}
