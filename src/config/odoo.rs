//! `[[odoo]]`: a tenant's Odoo asked by its own API, where its database gives no login.

use super::decode::{required_url, secret_of};
use super::model::SecretRef;
use super::reader::Table;
use crate::domain::estate::Tenant;
use crate::domain::id::TenantId;
use std::collections::BTreeSet;
use std::time::Duration;

/// The way to the API of one Odoo.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Door {
    /// Base URL, as its users reach it.
    pub url: String,
    /// `Host`, where it differs from the URL's.
    pub host: Option<String>,
    /// Its database.
    pub database: String,
    /// API key of the user who asks.
    pub key: Option<SecretRef>,
    /// Whose authorities vouch for it, and from which version of TLS on.
    pub ca: crate::config::tls::Ca,
}

/// `[[odoo]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OdooApi {
    /// Whose Odoo it is.
    pub tenant: TenantId,
    /// The way there.
    pub door: Door,
    /// The key's user: then JSON-RPC is spoken, which Odoo before 19 needs.
    pub login: Option<String>,
    /// Time between samples.
    pub interval: Duration,
    /// Time allowed for one sample.
    pub timeout: Duration,
}

/// Reads `tenant` of a table of which a tenant has one; `what` it has one of.
pub(super) fn tenant<'t>(
    table: &mut Table<'_, '_>,
    kind: &str,
    what: &str,
    tenants: &'t [Tenant],
    seen: &mut BTreeSet<String>,
) -> (TenantId, Option<&'t Tenant>) {
    let tenant = table.required("tenant", "t001");
    let known = tenants.iter().find(|t| t.id.as_str() == tenant);
    if !tenant.is_empty() && known.is_none() {
        table.reject("tenant", format!("`tenant` names `{tenant}`, which is no [[tenant]]"));
    }
    if !tenant.is_empty() && !seen.insert(tenant.clone()) {
        table.reject("tenant", format!("a {kind} of `{tenant}` stands twice; a tenant has one {what}"));
    }
    (TenantId::new(tenant), known)
}

/// Reads the way to an API; `whose` key it is.
pub(super) fn door(table: &mut Table<'_, '_>, kind: &str, whose: &str, known: Option<&Tenant>) -> Door {
    let url = required_url(table, "url", &["http://", "https://"], "https://t001.example");
    let host = table.string("host");
    let own = known.and_then(|t| t.database.as_ref()).map(|d| d.name.clone());
    let database = table.string("database").or(own).unwrap_or_default();
    if database.is_empty() && known.is_some() {
        table.reject("database", format!("{kind} lacks `database`, and its tenant has none in the configuration"));
    }
    let key = secret_of(table, "key");
    if key.is_none() && !table.has("key") {
        table.reject("key", format!("{kind} lacks `key`, the API key of {whose}"));
    }
    Door { url, host, database, key, ca: crate::config::tls::ca(table) }
}

/// Decodes `[[odoo]]`.
pub fn all(tables: Vec<Table<'_, '_>>, tenants: &[Tenant]) -> Vec<OdooApi> {
    let mut seen = BTreeSet::new();
    let one = |mut table: Table<'_, '_>| {
        let (tenant, known) = tenant(&mut table, "[[odoo]]", "Odoo", tenants, &mut seen);
        let door = door(&mut table, "[[odoo]]", "a user who may read jobs and crons", known);
        let login = table.string("login");
        let second = Duration::from_secs(1);
        let interval = table.duration("interval", second * 10, second * 3600).unwrap_or(second * 30);
        let timeout = table.duration("timeout", second, second * 60).unwrap_or(second * 5);
        table.finish();
        OdooApi { tenant, door, login, interval, timeout }
    };
    tables.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use crate::config::decode::decode;

    const HEAD: &str = "[estate]\nname = \"e\"\nenvironment = \"production\"\ntime_zone = \"UTC\"\n\
        [[tenant]]\nid = \"t1\"\nname = \"T\"\ntenancy = \"dedicated\"\n[[odoo]]\ntenant = \"t1\"\n";

    #[test]
    fn an_api_is_read_with_its_defaults_and_wrong_words_are_named() {
        let good = "url = \"https://t1.example\"\ndatabase = \"t1\"\nkey = \"env:KEY\"\n";
        let config = decode("c.toml", &format!("{HEAD}{good}")).unwrap();
        let read = &config.odoo[0];
        assert_eq!((read.door.database.as_str(), read.login.as_deref()), ("t1", None));
        assert_eq!((read.interval.as_secs(), read.timeout.as_secs()), (30, 5));
        let problems = |rest: &str| decode("c.toml", &format!("{HEAD}{rest}")).unwrap_err().to_string();
        let bad = problems("url = \"t1.example\"\ninterval = \"1s\"\n");
        for words in ["`url`", "lacks `key`", "lacks `database`, and its tenant has none", "`interval`"] {
            assert!(bad.contains(words), "{bad}");
        }
        let twice = problems(&format!("{good}[[odoo]]\ntenant = \"t1\"\n{good}"));
        assert!(twice.contains("a [[odoo]] of `t1` stands twice; a tenant has one Odoo"), "{twice}");
    }
}
