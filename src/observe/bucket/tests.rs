//! Against servers that speak S3 as its reference says, for what no real one does at will. `tests/bucket.rs` asks a
//! real one.

use super::*;
use crate::domain::mode::Mode;
use crate::observe::http::rig::{SetClock, Tiny, measured, ports};

const DATE: &str = "Sun, 22 Nov 2026 12:00:00 GMT";

/// Answers by what stands in the query; `None` is a refusal.
fn storage(answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Tiny {
    Tiny::raw(move |stream| {
        use std::io::{BufRead as _, BufReader};
        let mut first = String::new();
        let mut reader = BufReader::new(&stream);
        reader.read_line(&mut first).unwrap();
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
            line.clear();
        }
        let (status, body) = match answer(&first) {
            Some(body) => (200, body),
            None => (403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>".to_owned()),
        };
        let lock =
            "x-amz-object-lock-mode: COMPLIANCE\r\nx-amz-object-lock-retain-until-date: 2026-12-22T12:00:00Z\r\n";
        let more = if first.starts_with("HEAD") && first.contains("locked") { lock } else { "" };
        let length = if first.starts_with("HEAD") { 0 } else { body.len() };
        let body = if length == 0 { "" } else { &body };
        let text = format!(
            "HTTP/1.1 {status} X\r\nDate: {DATE}\r\n{more}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        crate::observe::http::rig::send(&stream, text.as_bytes());
    })
}

fn lock(mode: &str, days: u32) -> String {
    format!(
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>{mode}</Mode>\
         <Days>{days}</Days></DefaultRetention></Rule></ObjectLockConfiguration>"
    )
}

fn list(objects: &[(&str, &str, u64)], more: bool) -> String {
    let each = objects.iter().map(|(key, at, size)| {
        format!("<Contents><Key>{key}</Key><LastModified>{at}</LastModified><Size>{size}</Size></Contents>")
    });
    let objects = each.collect::<Vec<_>>().concat();
    format!("<ListBucketResult><IsTruncated>{more}</IsTruncated>{objects}</ListBucketResult>")
}

const VERSIONS: &str = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";

fn observer(url: &str, more: &str) -> BucketObserver {
    let text = format!(
        "[estate]\nname = \"e\"\nenvironment = \"staging\"\nregion = \"eu-central\"\n[[tenant]]\nid = \"t1\"\n[[bucket]]\n\
         id = \"b\"\nendpoint = \"{url}\"\nbucket = \"backups\"\naccess_key = \"command:echo a\"\n\
         secret_key = \"command:echo b\"\n{more}"
    );
    let config = crate::config::decode::decode("c.toml", &text).unwrap();
    let clock: Arc<dyn Clock> = SetClock::at("2026-11-22T12:00:00Z".parse().unwrap());
    BucketObserver::all(Mode::ReadOnly.may_observe().unwrap(), &config, &clock).remove(0)
}

async fn look(url: &str, more: &str) -> MeasuredFacts {
    measured(&mut observer(url, more)).await
}

fn value(facts: &MeasuredFacts, signal: &str) -> Option<f64> {
    facts.readings.iter().find(|r| r.signal == signal).map(|r| r.value)
}

/// A bucket with this lock, and one object of this key that is an hour old.
fn with(mode: &'static str, days: u32, key: &'static str) -> Tiny {
    storage(move |first| {
        Some(if first.contains("object-lock") {
            lock(mode, days)
        } else if first.contains("versioning") {
            VERSIONS.to_owned()
        } else if first.contains("filestore") {
            list(&[("filestore/1", "2026-11-22T09:00:00Z", 5)], false)
        } else {
            list(&[("folder/", "2026-11-22T11:59:00Z", 0), (key, "2026-11-22T11:00:00Z", 4096)], false)
        })
    })
}

#[tokio::test]
async fn a_lock_counts_where_it_is_promised_and_seen() {
    let good = with("COMPLIANCE", 30, "pg/locked");
    let facts = look(&good.url(), "retention_days = 30\nregion = \"eu-west\"\n").await;
    let told = ["bucket.locked", "bucket.versioned", "bucket.retention", "backup.age", "backup.size", "backup.apart"];
    assert_eq!(told.map(|s| value(&facts, s)), [1.0, 1.0, 30.0, 3600.0, 4096.0, 1.0].map(Some), "{facts:#?}");
    assert!(facts.missing.is_empty(), "{facts:#?}");
    let same = look(&good.url(), "region = \"eu-central\"\n").await;
    assert_eq!(value(&same, "backup.apart"), Some(0.0));
    for (mode, days, more, why) in [
        ("COMPLIANCE", 7, "retention_days = 30\n", "keeps for 7 days, and retention_days asks for 30"),
        ("GOVERNANCE", 30, "", "an administrator can lift"),
        ("", 0, "", "no default retention"),
    ] {
        let facts = look(&with(mode, days, "pg/locked").url(), more).await;
        assert_eq!(value(&facts, "bucket.locked"), Some(0.0), "{mode}");
        assert!(facts.said.iter().any(|s| s.contains(why)), "{why}: {facts:#?}");
    }
    // What was put there before the promise is not kept by it.
    let before = look(&with("COMPLIANCE", 30, "pg/old").url(), "").await;
    assert_eq!(value(&before, "bucket.locked"), None);
    assert!(before.untold.iter().any(|u| u.signal == "bucket.locked" && u.why.contains("no lock is to be seen")));
    assert!(before.missing.iter().any(|m| m.remedy.contains("`region`")), "{before:#?}");
}

#[tokio::test]
async fn dump_and_filestore_are_compared_by_their_times() {
    let server = with("COMPLIANCE", 30, "dump/locked");
    let pair = "[[bucket.pair]]\ntenant = \"t1\"\ndump = \"dump/\"\nfilestore = \"filestore/\"\n";
    let facts = look(&server.url(), pair).await;
    assert_eq!(value(&facts, "backup.skew"), Some(7200.0), "{facts:#?}");
    let none = storage(|first| {
        Some(if first.contains("object-lock") {
            lock("COMPLIANCE", 1)
        } else if first.contains("versioning") {
            VERSIONS.to_owned()
        } else {
            list(&[], false)
        })
    });
    let facts = look(&none.url(), pair).await;
    let why = |signal: &str| facts.untold.iter().find(|u| u.signal == signal).map(|u| u.why.clone());
    assert_eq!(why("backup.skew").as_deref(), Some("there is no dump below dump/"));
    assert_eq!(why("backup.age").as_deref(), Some("there is no object with anything in it"));
}

#[tokio::test]
async fn a_right_that_is_missing_is_said_with_what_would_give_it() {
    let refuses = storage(|_| None);
    let facts = look(&refuses.url(), "region = \"eu-west\"\n").await;
    assert!(facts.readings.iter().all(|r| r.signal == "backup.apart"), "{facts:#?}");
    let remedies: Vec<&str> = facts.missing.iter().map(|m| m.remedy.as_str()).collect();
    assert_eq!(
        remedies,
        ["allow s3:GetBucketObjectLockConfiguration", "allow s3:GetBucketVersioning", "allow s3:ListBucket"]
    );
    assert!(facts.untold.iter().any(|u| u.signal == "bucket.locked" && u.why.contains("AccessDenied")));
}

#[tokio::test]
async fn more_objects_than_are_gone_through_a_clock_that_is_wrong_and_the_future_are_not_known() {
    let endless = storage(|first| {
        Some(if first.contains("object-lock") {
            lock("COMPLIANCE", 1)
        } else if first.contains("versioning") {
            VERSIONS.to_owned()
        } else {
            list(&[("locked", "2026-11-22T11:00:00Z", 1)], true)
        })
    });
    let facts = look(&endless.url(), "").await;
    let why = facts.untold.iter().find(|u| u.signal == "backup.age").unwrap();
    assert!(why.why.contains("more than 20000 objects"), "{why:?}");
    let ahead = storage(|first| {
        Some(if first.contains("object-lock") {
            lock("COMPLIANCE", 1)
        } else if first.contains("versioning") {
            VERSIONS.to_owned()
        } else {
            list(&[("locked", "2026-11-23T11:00:00Z", 1)], false)
        })
    });
    let facts = look(&ahead.url(), "").await;
    assert!(facts.untold.iter().any(|u| u.signal == "backup.age" && u.why.contains("still to come")), "{facts:#?}");
}

#[tokio::test]
async fn what_is_gone_silent_or_no_storage_is_a_failure() {
    let [free] = ports();
    let gone = observer(&format!("http://127.0.0.1:{free}"), "").poll().await.unwrap_err();
    assert_eq!(gone.kind, FailureKind::Unreachable, "{gone}");
    let rubbish = Tiny::http(|_, _| (200, "<html>".into()));
    let failure = observer(&rubbish.url(), "").poll().await.unwrap_err();
    assert!(failure.kind == FailureKind::Protocol && failure.message.contains("no object storage"), "{failure}");
    let other = storage(|_| Some("<a/>".into()));
    assert_eq!(observer(&other.url(), "").poll().await.unwrap_err().kind, FailureKind::Protocol);
    let mut secret = observer("http://127.0.0.1:1", "");
    secret.config.storage.secret_key = model::SecretRef::Command(vec!["false".into()]);
    let failure = secret.poll().await.unwrap_err();
    assert!(failure.kind == FailureKind::Local && failure.message.contains("[[bucket]]"), "{failure}");
    assert!(secret.timeout() <= Duration::from_mins(1) && secret.spec().address.ends_with("/backups/"));
}
