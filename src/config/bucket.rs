//! `[[bucket]]`: object storage that backups lie in.

use super::anchor::{required_secret, signing_region};
use super::decode::{Ids, name, path, required_url};
use super::model::Storage;
use super::reader::Table;
use crate::domain::estate::Tenant;
use crate::domain::id::{SourceId, TenantId};
use std::time::Duration;

/// `[[bucket]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Source name.
    pub id: SourceId,
    /// Where it is, and the key to it; `prefix` is what the keys of the backups begin with, empty for all.
    pub storage: Storage,
    /// The source or `[[service]]` whose backups these are.
    pub of: Option<String>,
    /// The region that it is in, to be another than that of `of`.
    pub region: Option<String>,
    /// Days for which it should keep what is put there; less is not locked.
    pub retention_days: Option<u32>,
    /// Whether a lock that an administrator can lift will do.
    pub governance: bool,
    /// Prefixes that belong together.
    pub pairs: Vec<Pair>,
    /// Time between two looks.
    pub interval: Duration,
}

/// `[[bucket.pair]]`: dump and filestore of one Odoo, which only fit when both were made at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Whose they are.
    pub tenant: TenantId,
    /// What the keys of the dumps begin with.
    pub dump: String,
    /// What the keys of the filestore's copies begin with.
    pub filestore: String,
}

const PREFIX: &str = "at most 500 characters without control characters";

fn prefix(table: &mut Table<'_, '_>, key: &'static str) -> Option<String> {
    table.parsed(key, PREFIX, |text| {
        (text.len() <= 500 && !text.chars().any(char::is_control)).then(|| text.trim_start_matches('/').to_owned())
    })
}

fn pair(mut table: Table<'_, '_>, tenants: &[Tenant]) -> Option<Pair> {
    let tenant = table.required("tenant", "t001");
    if !tenant.is_empty() && !tenants.iter().any(|t| t.id.as_str() == tenant) {
        table.reject("tenant", format!("`tenant` names `{tenant}`, which is no [[tenant]]"));
    }
    for (key, example) in [("dump", "t001/dump/"), ("filestore", "t001/filestore/")] {
        if !table.has(key) {
            table.reject(key, format!("[[bucket.pair]] lacks `{key}`; for example `{key} = \"{example}\"`"));
        }
    }
    let (dump, filestore) = (prefix(&mut table, "dump"), prefix(&mut table, "filestore"));
    if let (Some(dump), Some(filestore)) = (&dump, &filestore)
        && (dump.starts_with(filestore.as_str()) || filestore.starts_with(dump.as_str()))
    {
        table.reject("filestore", "`dump` and `filestore` begin alike: an object would count for both");
    }
    table.finish();
    Some(Pair { tenant: TenantId::new(tenant), dump: dump?, filestore: filestore? })
}

/// Decodes `[[bucket]]`.
pub(super) fn all(tables: Vec<Table<'_, '_>>, ids: &mut Ids, tenants: &[Tenant]) -> Vec<Bucket> {
    let one = |mut table: Table<'_, '_>| {
        let id = ids.source(&mut table, "bucket");
        let storage = Storage {
            endpoint: required_url(&mut table, "endpoint", &["https://", "http://"], "https://s3.eu-central-1.example"),
            bucket: name(&mut table, "bucket", "pg-backups"),
            prefix: prefix(&mut table, "prefix").unwrap_or_default(),
            signing_region: signing_region(&mut table, "signing_region"),
            access_key: required_secret(&mut table, "access_key", "env:QUARTERDECK_BUCKET_ACCESS_KEY"),
            secret_key: required_secret(&mut table, "secret_key", "env:QUARTERDECK_BUCKET_SECRET_KEY"),
            ca: path(&mut table, "ca"),
        };
        let of = table.string("of");
        let region = table.string("region");
        let retention_days = table.integer("retention_days", 1, 36_500).and_then(|d| u32::try_from(d).ok());
        let lock = table.parsed("lock", "compliance or governance", |text| match text {
            "compliance" => Some(false),
            "governance" => Some(true),
            _ => None,
        });
        let pairs = table.tables("pair").into_iter().filter_map(|t| pair(t, tenants)).collect();
        // Each look at a bucket with many objects costs several requests, and requests cost money.
        let interval = table.duration("interval", Duration::from_secs(10), Duration::from_hours(24));
        table.finish();
        let (governance, interval) = (lock.unwrap_or(false), interval.unwrap_or(Duration::from_mins(10)));
        Bucket { id, storage, of, region, retention_days, governance, pairs, interval }
    };
    tables.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use crate::config::decode::decode;

    const HEAD: &str = "[estate]\nname = \"e\"\nenvironment = \"production\"\n[[tenant]]\nid = \"t1\"\n[[bucket]]\n\
        id = \"b\"\nendpoint = \"https://s3.example\"\nbucket = \"backups\"\naccess_key = \"env:A\"\n\
        secret_key = \"env:B\"\n";

    #[test]
    fn a_bucket_is_read_with_its_defaults_and_its_pairs() {
        let config = decode("c.toml", HEAD).unwrap();
        let bucket = &config.bucket[0];
        assert_eq!((bucket.storage.prefix.as_str(), bucket.interval.as_secs(), bucket.governance), ("", 600, false));
        let more = "prefix = \"/pg/\"\nlock = \"governance\"\nretention_days = 30\nregion = \"eu-west\"\nof = \"pg-a\"\n\
            [[bucket.pair]]\ntenant = \"t1\"\ndump = \"t1/dump/\"\nfilestore = \"t1/files/\"\n";
        let config = decode("c.toml", &format!("{HEAD}{more}")).unwrap();
        let bucket = &config.bucket[0];
        assert_eq!((bucket.storage.prefix.as_str(), bucket.governance, bucket.pairs.len()), ("pg/", true, 1));
    }

    #[test]
    fn what_can_not_be_looked_at_is_a_sentence() {
        let said = |rest: &str| decode("c.toml", &format!("{HEAD}{rest}")).unwrap_err().to_string();
        assert!(said("lock = \"legal\"\n").contains("compliance or governance"));
        assert!(said("retention_days = 0\n").contains("allowed is 1 to 36500"));
        assert!(
            said("[[bucket.pair]]\ntenant = \"t9\"\ndump = \"a/\"\nfilestore = \"b/\"\n").contains("no [[tenant]]")
        );
        assert!(said("[[bucket.pair]]\ntenant = \"t1\"\ndump = \"a/\"\n").contains("lacks `filestore`"));
        assert!(
            said("[[bucket.pair]]\ntenant = \"t1\"\ndump = \"a/\"\nfilestore = \"a/f/\"\n").contains("begin alike")
        );
        let none = HEAD.replace("secret_key = \"env:B\"\n", "");
        assert!(decode("c.toml", &none).unwrap_err().to_string().contains("lacks `secret_key`"));
    }
}
