//! `[[integration]]`: what a tenant exchanges with others (EDI, MES, WMS, carriers), and how it is cut off.

use super::decode::{name, timeout, url};
use super::prometheus::{HttpAuth, auth};
use super::reader::Table;
use crate::domain::estate::Tenant;
use crate::domain::id::TenantId;
use std::collections::BTreeSet;
use std::time::Duration;

/// `[[integration]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integration {
    /// Name, as playbooks say it.
    pub id: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// Job channel that its work goes through: `root.edi`.
    pub channel: String,
    /// Key in `ir_config_parameter` that its module asks before it calls out.
    pub switch: Option<String>,
    /// Value of the switch that stops it.
    pub open: String,
    /// Value of the switch that lets it work.
    pub closed: String,
}

/// `[integration.measure]`: how an integration is doing, as one query or one endpoint tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// The integration.
    pub integration: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// Where its numbers come from.
    pub by: MeasureBy,
    /// Time between samples.
    pub interval: Duration,
    /// Time allowed for one sample.
    pub timeout: Duration,
}

/// Where the numbers of an integration come from.
#[derive(Clone, Debug, PartialEq)]
pub enum MeasureBy {
    /// One row of a query on the tenant's database; a column is named for what it says.
    Sql(String),
    /// An endpoint.
    Http {
        /// URL.
        url: String,
        /// Who asks.
        auth: HttpAuth,
        /// Own certificate authorities, PEM.
        ca: crate::config::tls::Ca,
        /// What each field is called there: a JSON pointer that begins with `/`, or a metric of Prometheus's text.
        fields: Vec<(&'static str, String)>,
    },
}

/// What is told of an integration; each is the signal `integration.FIELD`.
pub const FIELDS: [&str; 7] = ["ok", "success", "latency", "retries", "backlog", "lag", "failed_reservations"];

fn measure(mut table: Table<'_, '_>, integration: &str, tenant: &str) -> Option<Measure> {
    let sql = table.string("sql");
    let url = url(&mut table, "url", &["http://", "https://"]);
    let auth = auth(&mut table);
    let ca = crate::config::tls::ca(&mut table);
    let mut fields = Vec::new();
    if let Some(mut named) = table.table("fields") {
        fields.extend(FIELDS.iter().filter_map(|field| Some((*field, named.string(field)?))));
        named.finish();
    }
    // An endpoint of a partner, and a session on the tenant's database, are not to be worn out.
    let interval = table.duration("interval", Duration::from_secs(10), Duration::from_hours(1));
    let timeout = timeout(&mut table);
    let by = match (sql, url) {
        (Some(sql), None) => Some(MeasureBy::Sql(sql.trim().trim_end_matches(';').to_owned())),
        (None, Some(url)) => {
            if fields.is_empty() {
                let names = FIELDS.join(", ");
                table.reject("fields", format!("`url` needs `fields`, at least one of {names}"));
            }
            Some(MeasureBy::Http { url, auth, ca, fields })
        }
        (None, None) if table.has("url") => None,
        _ => {
            table.reject("sql", "[integration.measure] has `sql` or `url`, one of both");
            None
        }
    };
    table.finish();
    let (integration, tenant) = (integration.to_owned(), TenantId::new(tenant));
    Some(Measure { integration, tenant, by: by?, interval: interval.unwrap_or(Duration::from_secs(30)), timeout })
}

/// Decodes `[[integration]]`.
pub fn all(tables: Vec<Table<'_, '_>>, tenants: &[Tenant]) -> (Vec<Integration>, Vec<Measure>) {
    let mut measures = Vec::new();
    let mut seen = BTreeSet::new();
    let one = |mut table: Table<'_, '_>| {
        let id = name(&mut table, "id", "edi-t001");
        if !id.is_empty() && !seen.insert(id.clone()) {
            table.reject("id", format!("the name `{id}` stands twice; these names are unique"));
        }
        let tenant = table.required("tenant", "t001");
        let known = tenants.iter().find(|t| t.id.as_str() == tenant);
        if !tenant.is_empty() && known.is_none_or(|t| t.database.is_none()) {
            table.reject("tenant", format!("`tenant` names `{tenant}`, which is no [[tenant]] with a database"));
        }
        let channel = table.required("channel", "root.edi");
        let switch = table.string("switch");
        let open = table.string("open").unwrap_or_else(|| "False".to_owned());
        let closed = table.string("closed").unwrap_or_else(|| "True".to_owned());
        if open == closed {
            table.reject("open", format!("`open` and `closed` are both `{open}`: the switch would do nothing"));
        }
        measures.extend(table.table("measure").and_then(|t| measure(t, &id, &tenant)));
        table.finish();
        Integration { id, tenant: TenantId::new(tenant), channel, switch, open, closed }
    };
    let integrations = tables.into_iter().map(one).collect();
    (integrations, measures)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ESTATE: &str = "[estate]\nname = \"a\"\nenvironment = \"staging\"\n[[postgres]]\nid = \"pg\"\nhost = \"h\"\n\
        user = \"u\"\n[[tenant]]\nid = \"t1\"\nname = \"A\"\ndatabase = { instance = \"pg\", name = \"t1\" }\n\
        [[integration]]\nid = \"edi\"\ntenant = \"t1\"\nchannel = \"root.edi\"\n[integration.measure]\n";

    #[test]
    fn a_query_or_an_endpoint_measures_it_and_neither_or_both_are_refused() {
        let read = |text: &str| crate::config::decode::decode("c.toml", &format!("{ESTATE}{text}"));
        let query = read("sql = \"SELECT 1 AS ok;\"\n").unwrap();
        assert_eq!(query.measure[0].by, MeasureBy::Sql("SELECT 1 AS ok".into()));
        let endpoint = read("url = \"https://e\"\nfields = { backlog = \"/a/b\" }\n").unwrap();
        assert!(
            matches!(&endpoint.measure[0].by, MeasureBy::Http { fields, .. } if fields[0] == ("backlog", "/a/b".into()))
        );
        let refused = |text: &str| read(text).unwrap_err().to_string();
        assert!(refused("").contains("one of both"));
        assert!(refused("sql = \"x\"\nurl = \"https://e\"\n").contains("one of both"));
        assert!(refused("url = \"https://e\"\n").contains("needs `fields`"));
        assert!(refused("url = \"https://e\"\nfields = { depth = \"/a\" }\n").contains("unknown key `depth`"));
    }
}
