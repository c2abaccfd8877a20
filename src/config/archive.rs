//! `[estate] region`, `[journal.retention]` and `[[journal.archive]]`.

use super::anchor::{prefix, required_secret, signing_region};
use super::decode::{name, path, required_url};
use super::model::{Archive, Archiving, Retention, Storage, Store};
use super::reader::Table;

/// Days for which records stay when the table says only how many.
const DAYS: u32 = 90;

/// What a region is called.
const REGION: &str = "1 to 63 letters, digits and `-`, such as \"eu-central\"";

/// The region of the estate.
pub(super) fn region(table: &mut Table<'_, '_>) -> Option<String> {
    table.parsed("region", REGION, is_region)
}

fn is_region(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.len() <= 63 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    fits.then(|| text.to_owned())
}

/// Reads the keys from the table `[journal]`; `estate` names what is archived where no prefix does.
pub(super) fn decode(table: &mut Table<'_, '_>, estate: &str, region: Option<String>) -> Archiving {
    let retention = table.table("retention").map(retention);
    let is_given = table.has("archive");
    let tables = table.tables("archive");
    let places: Vec<Archive> = tables.into_iter().filter_map(|t| archive(t, estate)).collect();
    let archiving = Archiving { region, retention, places };
    if is_given && archiving.allowed().next().is_none() {
        let there: Vec<&str> = archiving.places.iter().map(|p| p.region.as_str()).collect();
        table.reject(
            "archive",
            match &archiving.region {
                None => "[[journal.archive]] is given, and [estate] has no `region`, which says where its records may lie"
                    .to_owned(),
                Some(region) => format!(
                    "no [[journal.archive]] is in the region `{region}` of the estate, where its records may lie; there \
                     are {}",
                    if there.is_empty() { "none".to_owned() } else { there.join(", ") }
                ),
            },
        );
    }
    archiving
}

fn retention(mut table: Table<'_, '_>) -> Retention {
    let days = table.integer("days", 0, 36_500).and_then(|d| u32::try_from(d).ok()).unwrap_or(DAYS);
    let records = table.integer("records", 0, 1 << 40).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    table.finish();
    Retention { days, records }
}

fn archive(mut table: Table<'_, '_>, estate: &str) -> Option<Archive> {
    let region = if table.has("region") {
        table.parsed("region", REGION, is_region)
    } else {
        table.required("region", "eu-central");
        None
    };
    let dir = path(&mut table, "dir");
    let s3 = table.table("s3").map(|t| bucket(t, estate));
    if let Some(dir) = dir.as_ref().filter(|dir| !dir.is_absolute()) {
        table.reject("dir", format!("`dir` is `{}`; allowed is an absolute path", dir.display()));
    }
    if dir.is_some() == s3.is_some() {
        let why = "[[journal.archive]] has `dir` or `s3`, one of both; write one table for each archive";
        table.reject("region", why);
    }
    let store = dir.map(Store::Directory).or(s3.map(Store::Bucket));
    table.finish();
    Some(Archive { region: region?, store: store? })
}

fn bucket(mut table: Table<'_, '_>, estate: &str) -> Storage {
    let storage = Storage {
        endpoint: required_url(&mut table, "endpoint", &["https://", "http://"], "https://s3.eu-central-1.example"),
        bucket: name(&mut table, "bucket", "journal-archive"),
        prefix: prefix(&mut table, estate),
        signing_region: signing_region(&mut table, "signing_region"),
        access_key: required_secret(&mut table, "access_key", "env:QUARTERDECK_ARCHIVE_ACCESS_KEY"),
        secret_key: required_secret(&mut table, "secret_key", "env:QUARTERDECK_ARCHIVE_SECRET_KEY"),
        ca: path(&mut table, "ca"),
    };
    table.finish();
    storage
}

#[cfg(test)]
mod tests {
    use super::super::decode::decode;
    use super::*;
    use std::path::PathBuf;

    const ESTATE: &str = "[estate]\nname = \"a\"\nenvironment = \"staging\"\n";

    fn problems(text: &str) -> Vec<String> {
        decode("c.toml", text).unwrap_err().0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_region_of_the_estate_chooses_among_the_archives() {
        let text = format!(
            "{ESTATE}region = \"eu\"\n[journal.retention]\ndays = 30\nrecords = 1000\n\
             [[journal.archive]]\nregion = \"us\"\ndir = \"/srv/us\"\n\
             [[journal.archive]]\nregion = \"eu\"\ndir = \"/srv/eu\"\n\
             [[journal.archive]]\nregion = \"eu\"\n[journal.archive.s3]\nendpoint = \"https://s3.example\"\n\
             bucket = \"b\"\naccess_key = \"env:A\"\nsecret_key = \"env:B\"\n"
        );
        let found = decode("c.toml", &text).unwrap().journal.archiving;
        assert_eq!(found.retention, Some(Retention { days: 30, records: 1000 }));
        assert_eq!((found.places.len(), found.allowed().count()), (3, 2));
        let stores: Vec<&Store> = found.allowed().map(|a| &a.store).collect();
        assert_eq!(stores[0], &Store::Directory(PathBuf::from("/srv/eu")));
        let Store::Bucket(storage) = stores[1] else { panic!("{stores:?}") };
        assert_eq!((storage.prefix.as_str(), storage.signing_region.as_str()), ("quarterdeck/a", "us-east-1"));
        assert_eq!(decode("c.toml", ESTATE).unwrap().journal.archiving, Archiving::default());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let archive = "[[journal.archive]]\nregion = \"us\"\ndir = \"/srv/us\"\n";
        let found = problems(&format!("{ESTATE}{archive}"));
        assert!(found[0].starts_with("c.toml:4:") && found[0].contains("[estate] has no `region`"), "{found:?}");
        let found = problems(&format!("{ESTATE}region = \"eu\"\n{archive}"));
        assert!(found[0].contains("no [[journal.archive]] is in the region `eu` of the estate"), "{found:?}");
        assert!(found[0].ends_with("there are us"), "{found:?}");
        let bad = "region = \"e u\"\n[journal.retention]\ndays = -1\nweeks = 2\n[[journal.archive]]\ndir = \"srv\"\n\
                   s3 = { endpoint = \"ftp://x\", secret_key = \"AKIA\" }\n";
        let found = problems(&format!("{ESTATE}{bad}"));
        for words in [
            "c.toml:4:10: `region` of [estate] is `e u`; allowed is 1 to 63 letters",
            "`days` of [retention] is -1; allowed is 0 to 36500",
            "unknown key `weeks` in [retention]; allowed are days, records",
            "lacks `region`; for example `region = \"eu-central\"`",
            "`dir` is `srv`; allowed is an absolute path",
            "`endpoint` is not a URL",
            "[s3] lacks `bucket`",
            "[[journal.archive]] has `dir` or `s3`, one of both",
        ] {
            assert!(found.iter().any(|p| p.contains(words)), "{words}: {found:#?}");
        }
        assert!(!found.iter().any(|p| p.contains("AKIA")), "{found:?}");
    }
}
