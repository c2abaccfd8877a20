//! `[journal.anchor]`.

use super::decode::{name, path, required_url, secret_of};
use super::model::{Anchor, SecretRef};
use super::reader::Table;
use std::time::Duration;

/// Least time between two checkpoints when nothing is said.
const INTERVAL: Duration = Duration::from_secs(30);

/// Reads the table; `estate` names what is copied where no prefix does.
pub(super) fn decode(mut table: Table<'_, '_>, estate: &str) -> Anchor {
    let endpoint = required_url(&mut table, "endpoint", &["https://", "http://"], "https://s3.eu-central-1.example");
    let bucket = name(&mut table, "bucket", "journal-anchors");
    let prefix = prefix(&mut table, estate);
    let region = signing_region(&mut table, "region");
    let access_key = required_secret(&mut table, "access_key", "env:QUARTERDECK_ANCHOR_ACCESS_KEY");
    let secret_key = required_secret(&mut table, "secret_key", "env:QUARTERDECK_ANCHOR_SECRET_KEY");
    let interval = table.duration("interval", Duration::from_secs(1), Duration::from_hours(1)).unwrap_or(INTERVAL);
    let retention_days = table.integer("retention_days", 1, 36_500).and_then(|d| u32::try_from(d).ok()).unwrap_or(365);
    let evidence = table.boolean("evidence").unwrap_or(true);
    let ca = path(&mut table, "ca");
    table.finish();
    Anchor { endpoint, bucket, prefix, region, access_key, secret_key, interval, retention_days, evidence, ca }
}

/// What all keys begin with: the estate's own prefix when nothing is said.
pub(super) fn prefix(table: &mut Table<'_, '_>, estate: &str) -> String {
    let key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let allowed = "1 to 200 letters, digits, `.`, `_` and `-`, in parts with `/` between them that are not `.` or `..`";
    let prefix = table.parsed("prefix", allowed, |text| {
        let part = |p: &str| !p.is_empty() && p != "." && p != ".." && p.chars().all(key);
        (text.len() <= 200 && text.split('/').all(part)).then(|| text.to_owned())
    });
    prefix.unwrap_or_else(|| format!("quarterdeck/{estate}"))
}

/// The region that requests are signed for.
pub(super) fn signing_region(table: &mut Table<'_, '_>, key: &'static str) -> String {
    let region = table.parsed(key, "1 to 63 letters, digits and `-`", |text| {
        let fits = text.len() <= 63 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        fits.then(|| text.to_owned())
    });
    region.unwrap_or_else(|| "us-east-1".to_owned())
}

/// A secret that must be there; when it is not, that is noted and the result names nothing.
pub(super) fn required_secret(table: &mut Table<'_, '_>, key: &'static str, example: &str) -> SecretRef {
    let found = if table.has(key) {
        secret_of(table, key)
    } else {
        table.required(key, example);
        None
    };
    found.unwrap_or(SecretRef::Env(String::new()))
}

#[cfg(test)]
mod tests {
    use super::super::decode::decode;
    use super::*;

    const ESTATE: &str = "[estate]\nname = \"a\"\nenvironment = \"staging\"\n";

    fn problems(text: &str) -> Vec<String> {
        decode("c.toml", text).unwrap_err().0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_anchor_is_checked_key_by_key_and_has_defaults() {
        let good = "[journal.anchor]\nendpoint = \"https://s3.example\"\nbucket = \"b\"\naccess_key = \"env:A\"\nsecret_key = \"file:/s\"\n";
        let anchor = decode("c.toml", &format!("{ESTATE}{good}")).unwrap().journal.anchor.unwrap();
        let said = (anchor.prefix.as_str(), anchor.region.as_str(), anchor.retention_days, anchor.evidence);
        assert_eq!(said, ("quarterdeck/a", "us-east-1", 365, true));
        assert_eq!(anchor.interval, Duration::from_secs(30));
        let bad = "[journal.anchor]\nendpoint = \"https://u:hunter2@h\"\nbucket = \"b/c\"\nprefix = \"a/../b\"\n\
                   region = \"a b\"\naccess_key = \"AKIA\"\ninterval = \"0s\"\nretention_days = 0\nlock = true\n";
        let found = problems(&format!("{ESTATE}{bad}"));
        for (problem, (place, words)) in found.iter().zip([
            ("c.toml:4:1", "[anchor] lacks `secret_key`; for example `secret_key = \"env:"),
            ("c.toml:5:12", "`endpoint` is not a URL without a password"),
            ("c.toml:6:10", "`bucket` is `b/c`; allowed are"),
            ("c.toml:7:10", "`prefix` of [anchor] is `a/../b`; allowed is"),
            ("c.toml:8:10", "`region` of [anchor] is `a b`; allowed is"),
            ("c.toml:9:14", "`access_key` is not a reference"),
            ("c.toml:10:12", "`interval` of [anchor] is `0s`; allowed is a duration"),
            ("c.toml:11:18", "`retention_days` of [anchor] is 0; allowed is 1 to 36500"),
            ("c.toml:12:1", "unknown key `lock` in [anchor]; allowed are access_key, bucket, ca"),
        ]) {
            assert!(problem.starts_with(&format!("{place}: ")) && problem.contains(words), "{problem}");
        }
        assert_eq!(found.len(), 9, "{found:#?}");
        assert!(!found.iter().any(|p| p.contains("hunter2") || p.contains("AKIA")), "{found:?}");
    }
}
