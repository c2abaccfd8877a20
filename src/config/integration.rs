//! `[[integration]]`: what a tenant exchanges with others (EDI, MES, WMS, carriers), and how it is cut off.

use super::decode::name;
use super::reader::Table;
use crate::domain::estate::Tenant;
use crate::domain::id::TenantId;
use std::collections::BTreeSet;

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

/// Decodes `[[integration]]`.
pub fn all(tables: Vec<Table<'_, '_>>, tenants: &[Tenant]) -> Vec<Integration> {
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
        table.finish();
        Integration { id, tenant: TenantId::new(tenant), channel, switch, open, closed }
    };
    tables.into_iter().map(one).collect()
}
