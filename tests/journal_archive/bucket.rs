//! A bucket of real object storage as an archive.

use crate::anchor_support::{Storage, wall};
use crate::house::*;
use crate::journal_support::*;
use quarterdeck::attest::anchor::StorageError;
use quarterdeck::attest::archive::{Archive, ArchiveError};
use quarterdeck::config::model::{Anchor, Archive as Config, Storage as Wanted, Store};
use quarterdeck::journal::archive;

fn bucket(anchor: &Anchor, region: &str) -> Config {
    let Anchor { endpoint, bucket, prefix, region: signing_region, access_key, secret_key, ca, .. } = anchor.clone();
    let storage = Wanted { endpoint, bucket, prefix, signing_region, access_key, secret_key, ca };
    Config { region: region.into(), store: Store::Bucket(storage) }
}

#[test]
fn segments_lie_in_a_bucket_and_what_is_wrong_there_is_said() {
    let Some(storage) = Storage::open("archive: bucket") else { return };
    let house = House::new();
    runtime().block_on(async {
        let name = storage.bucket(None).await;
        let config = storage.config(&name);
        let archive = Archive::open(&bucket(&config, "eu"), ORIGIN, wall()).await.unwrap();
        let plan = house.plan(Some((0, 40)));
        for segment in &plan.sealed {
            let (sha256, bytes) = archive::digest_of(&segment.path).unwrap();
            assert!(archive.keep(&segment.name, &segment.path, &sha256).await.unwrap(), "it is new");
            assert!(!archive.keep(&segment.name, &segment.path, &sha256).await.unwrap(), "and then there");
            assert_eq!(archive.read(&segment.name, &sha256).await.unwrap().len() as u64, bytes);
            assert_eq!(archive.read(&segment.name, &sha256).await.unwrap(), std::fs::read(&segment.path).unwrap());
        }
        let first = &plan.sealed[0];
        let (sha256, _) = archive::digest_of(&first.path).unwrap();
        storage.overwrite(&name, &format!("{}/{}", config.prefix, first.name), b"something else").await;
        assert!(matches!(archive.read(&first.name, &sha256).await, Err(ArchiveError::Unlike { .. })));
        assert!(matches!(archive.read("records/no", &sha256).await, Err(ArchiveError::Missing { .. })));
        // Another region, another log, a key that may only read, a bucket that is not there, no server.
        let other = Archive::open(&bucket(&config, "us"), ORIGIN, wall()).await.unwrap_err();
        assert!(matches!(&other, ArchiveError::OtherRegion { found, .. } if found == "eu"), "{other}");
        let other = Archive::open(&bucket(&config, "eu"), "quarterdeck/other", wall()).await.unwrap_err();
        assert!(matches!(other, ArchiveError::OtherLog { .. }), "{other}");
        let reader = Archive::open(&bucket(&storage.reader(&name), "eu"), ORIGIN, wall()).await.unwrap();
        let refused = reader.keep("records/new", &first.path, &sha256).await.unwrap_err();
        assert!(matches!(refused, ArchiveError::Storage { why: StorageError::Refused { .. }, .. }), "{refused}");
        let gone = Anchor { bucket: "not-there".into(), ..config.clone() };
        let gone = Archive::open(&bucket(&gone, "eu"), ORIGIN, wall()).await.unwrap_err();
        assert!(matches!(gone, ArchiveError::Storage { why: StorageError::NoBucket { .. }, .. }), "{gone}");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let silent = Anchor { endpoint: format!("http://127.0.0.1:{port}"), ..config };
        let silent = Archive::open(&bucket(&silent, "eu"), ORIGIN, wall()).await.unwrap_err();
        assert!(matches!(silent, ArchiveError::Storage { why: StorageError::Unreachable(_), .. }), "{silent}");
        let said = silent.to_string();
        assert!(
            said.starts_with("the archive s3://") && said.contains("quarterdeck/test at http://127.0.0.1:"),
            "{said}"
        );
    });
}
