//! `[[synthetic]]`: the probe company of a tenant's Odoo, and what is tried in it.

use super::odoo::{self, Door};
use super::reader::Table;
use crate::domain::estate::Tenant;
use crate::domain::id::TenantId;
use crate::domain::synthetic::Synthetic;
use std::collections::BTreeSet;
use std::time::Duration;

/// `[[synthetic]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synthetics {
    /// Whose Odoo it is.
    pub tenant: TenantId,
    /// The way there; its key's user belongs to the probe company alone.
    pub door: Door,
    /// Name of the company that exists for nothing else.
    pub company: String,
    /// What is tried.
    pub run: Vec<Synthetic>,
    /// Time between two tries of each.
    pub interval: Duration,
    /// Time allowed for one, with its clean-up.
    pub timeout: Duration,
}

/// Decodes `[[synthetic]]`.
pub fn all(tables: Vec<Table<'_, '_>>, tenants: &[Tenant]) -> Vec<Synthetics> {
    let mut seen = BTreeSet::new();
    let one = |mut table: Table<'_, '_>| {
        let (tenant, known) = odoo::tenant(&mut table, "[[synthetic]]", "probe company", tenants, &mut seen);
        let door = odoo::door(&mut table, "[[synthetic]]", "the probe company's user", known);
        let company = table.string("company").unwrap_or_else(|| "Quarterdeck Probe".to_owned());
        let names = table.strings("run");
        let mut run: Vec<Synthetic> = Vec::new();
        for name in &names {
            match Synthetic::named(name) {
                Some(found) if run.contains(&found) => table.reject("run", format!("`run` names `{name}` twice")),
                Some(found) => run.push(found),
                None => {
                    let allowed = Synthetic::ALL.map(Synthetic::name).join(", ");
                    table.reject("run", format!("`run` names `{name}`; allowed is {allowed}"));
                }
            }
        }
        if names.is_empty() {
            run = Synthetic::ALL.to_vec();
        }
        let (minute, day) = (Duration::from_mins(1), Duration::from_hours(24));
        let interval = table.duration("interval", minute, day).unwrap_or(minute * 5);
        let timeout = table.duration("timeout", Duration::from_secs(5), minute * 5).unwrap_or(minute / 2);
        table.finish();
        Synthetics { tenant, door, company, run, interval, timeout }
    };
    tables.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use crate::config::decode::decode;
    use crate::domain::synthetic::Synthetic;

    const HEAD: &str = "[estate]\nname = \"e\"\nenvironment = \"production\"\ntime_zone = \"UTC\"\n\
        [[tenant]]\nid = \"t1\"\nname = \"T\"\ntenancy = \"dedicated\"\n[[synthetic]]\ntenant = \"t1\"\n";

    fn problems(rest: &str) -> String {
        decode("c.toml", &format!("{HEAD}{rest}")).unwrap_err().to_string()
    }

    #[test]
    fn a_probe_company_is_read_with_its_defaults_and_wrong_words_are_named() {
        let good = "url = \"https://t1.example\"\ndatabase = \"t1\"\nkey = \"env:PROBE\"\nrun = [\"work-order\"]\n";
        let config = decode("c.toml", &format!("{HEAD}{good}")).unwrap();
        let read = &config.synthetic[0];
        assert_eq!((read.run.as_slice(), read.company.as_str()), (&[Synthetic::WorkOrder][..], "Quarterdeck Probe"));
        assert_eq!((read.interval.as_secs(), read.timeout.as_secs()), (300, 30));
        let bad = problems("url = \"https://t1.example\"\nrun = [\"invoice\"]\n");
        for words in [
            "`run` names `invoice`; allowed is sales-order, stock-move, work-order",
            "lacks `key`",
            "lacks `database`, and its tenant has none",
        ] {
            assert!(bad.contains(words), "{bad}");
        }
        let twice = problems(&format!("{good}[[synthetic]]\ntenant = \"t1\"\n{good}"));
        assert!(twice.contains("stands twice"), "{twice}");
    }
}
