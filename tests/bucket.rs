//! `[[bucket]]` against the lab's `SeaweedFS`: with a lock, without one, with a key that lacks a right, and no bucket.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod anchor_support;

use anchor_support::{Storage, wall};
use quarterdeck::config::model::SecretRef;
use quarterdeck::domain::facts::{Facts, MeasuredFacts};
use quarterdeck::domain::mode::Mode;
use quarterdeck::domain::sample::{Failure, FailureKind};
use quarterdeck::observe::bucket::BucketObserver;
use quarterdeck::observe::poll::Poll as _;

async fn look(config: &quarterdeck::config::model::Anchor) -> Result<MeasuredFacts, Failure> {
    let said = |secret: &SecretRef| match secret {
        SecretRef::Command(words) => format!("command:{}", words.join(" ")),
        other => panic!("{other:?}"),
    };
    let text = format!(
        "[estate]\nname = \"e\"\nenvironment = \"staging\"\n[[bucket]]\nid = \"b\"\nendpoint = \"{}\"\nbucket = \"{}\"\n\
         access_key = \"{}\"\nsecret_key = \"{}\"\nprefix = \"pg/\"\n",
        config.endpoint,
        config.bucket,
        said(&config.access_key),
        said(&config.secret_key)
    );
    let config = quarterdeck::config::decode::decode("c.toml", &text).unwrap();
    let mut all = BucketObserver::all(Mode::ReadOnly.may_observe().unwrap(), &config, &wall());
    match all[0].poll().await? {
        Facts::Measured(facts) => Ok(facts),
        other => panic!("{other:?}"),
    }
}

fn value(facts: &MeasuredFacts, signal: &str) -> Option<f64> {
    facts.readings.iter().find(|r| r.signal == signal).map(|r| r.value)
}

#[tokio::test]
async fn a_real_storage_tells_its_lock_its_versions_and_its_newest_object() {
    let Some(storage) = Storage::open("a_real_storage_tells_its_lock") else { return };
    let locked = storage.bucket(Some(("COMPLIANCE", 2))).await;
    storage.overwrite(&locked, "pg/base/20261122F", b"a backup").await;
    storage.overwrite(&locked, "other/later", b"not below the prefix").await;
    let facts = look(&storage.config(&locked)).await.unwrap();
    let told = ["bucket.locked", "bucket.versioned", "bucket.retention", "backup.size", "backup.kept"];
    assert_eq!(told.map(|s| value(&facts, s)), [1.0, 1.0, 2.0, 8.0, 1.0].map(Some), "{facts:#?}");
    assert!(value(&facts, "backup.age").unwrap() < 120.0);
    // The key that may only read and list sees the same.
    let facts = look(&storage.reader(&locked)).await.unwrap();
    assert_eq!(value(&facts, "backup.size"), Some(8.0), "{facts:#?}");
    assert!(value(&facts, "bucket.locked") == Some(1.0) || !facts.missing.is_empty(), "{facts:#?}");

    let open = storage.bucket(None).await;
    storage.overwrite(&open, "pg/base/1", b"x").await;
    let facts = look(&storage.config(&open)).await.unwrap();
    let told = ["bucket.locked", "bucket.versioned", "bucket.retention"].map(|s| value(&facts, s));
    assert_eq!(told, [Some(0.0); 3], "{facts:#?}");
    assert!(facts.said.iter().any(|s| s == "object lock is off"), "{facts:#?}");

    let lifted = storage.bucket(Some(("GOVERNANCE", 2))).await;
    let facts = look(&storage.config(&lifted)).await.unwrap();
    assert_eq!(value(&facts, "bucket.locked"), Some(0.0), "{facts:#?}");
    assert!(facts.untold.iter().any(|u| u.signal == "backup.age"), "an empty bucket has no backup: {facts:#?}");
}

#[tokio::test]
async fn a_wrong_key_and_a_bucket_that_is_not_there_are_said() {
    let Some(storage) = Storage::open("a_wrong_key_and_a_bucket_that_is_not_there_are_said") else { return };
    let none = look(&storage.config("no-such-bucket")).await.unwrap_err();
    assert!(none.kind == FailureKind::Protocol && none.message.contains("there is no bucket"), "{none}");
    let bucket = storage.bucket(Some(("COMPLIANCE", 2))).await;
    let mut config = storage.config(&bucket);
    config.secret_key = SecretRef::Command(vec!["echo".into(), "wrong".into()]);
    let facts = look(&config).await.unwrap();
    assert!(facts.readings.is_empty() && facts.missing.len() >= 3, "{facts:#?}");
}
