//! The lab's object storage as its administrator and as an attacker see it, and stubs for what no storage does.
//! Each test makes buckets of its own, so that none waits for another.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "shared by tests, which fail by panicking"
)]

use jiff::Timestamp;
use quarterdeck::config::model::{Anchor as Config, SecretRef};
use quarterdeck::domain::ports::Clock;
use reqwest::{Client, Url};
use rusty_s3::{Bucket, Method, UrlStyle, signing};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub struct Wall;

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that goes wrong by so many seconds.
pub struct Skewed(pub i64);

impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        Timestamp::now() + jiff::SignedDuration::from_secs(self.0)
    }
}

pub fn wall() -> Arc<dyn Clock> {
    Arc::new(Wall)
}

/// A configuration for a bucket anywhere.
pub fn config(endpoint: &str, bucket: &str, access: &str, secret: &str) -> Config {
    // The program that prints it, so that no test has to change the environment of all.
    let printed = |value: &str| SecretRef::Command(vec!["echo".into(), value.into()]);
    Config {
        endpoint: endpoint.to_owned(),
        bucket: bucket.to_owned(),
        prefix: "quarterdeck/test".to_owned(),
        region: "us-east-1".to_owned(),
        access_key: printed(access),
        secret_key: printed(secret),
        interval: Duration::from_millis(50),
        retention_days: 2,
        evidence: true,
        ca: None,
    }
}

/// How long a request that fails within the server is sent again.
const AGAIN_FOR: Duration = Duration::from_secs(20);

/// The lab's storage.
pub struct Storage {
    env: BTreeMap<String, String>,
    http: Client,
}

/// One version as a list tells of it.
#[derive(Debug, Clone)]
pub struct Listed {
    pub key: String,
    pub version: String,
    pub size: u64,
    pub marker: bool,
}

impl Storage {
    /// None, with the reason printed, where there is no lab and none is required.
    pub fn open(test: &str) -> Option<Self> {
        let dir = std::env::var_os("QUARTERDECK_LAB_DIR")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/lab"), PathBuf::from);
        let wish = std::env::var("QUARTERDECK_LAB").unwrap_or_default();
        let lines = std::fs::read_to_string(dir.join("env")).unwrap_or_default();
        let pairs = lines.lines().filter_map(|line| line.split_once('='));
        let env: BTreeMap<_, _> =
            pairs.map(|(key, value)| (key.to_owned(), value.trim_matches('\'').to_owned())).collect();
        if wish == "off" || !env.contains_key("LAB_S3_URL") {
            let why = if wish == "off" { "QUARTERDECK_LAB=off" } else { "no LAB_S3_URL in the lab" };
            assert!(wish != "require", "QUARTERDECK_LAB=require, but {why}");
            let _ = writeln!(std::io::stderr(), "SKIP {test}: {why}; tests/lab/lab up storage");
            return None;
        }
        quarterdeck::observe::http::install_ring();
        let http = Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        Some(Self { env, http })
    }

    pub fn url(&self) -> &str {
        &self.env["LAB_S3_URL"]
    }

    /// With the key that may do everything.
    pub fn config(&self, bucket: &str) -> Config {
        config(self.url(), bucket, &self.env["LAB_S3_ACCESS_KEY"], &self.env["LAB_S3_SECRET_KEY"])
    }

    /// With the key that may read and list.
    pub fn reader(&self, bucket: &str) -> Config {
        config(self.url(), bucket, &self.env["LAB_S3_READER_ACCESS_KEY"], &self.env["LAB_S3_READER_SECRET_KEY"])
    }

    /// Sends a request as the administrator: status, headers and body. What fails within the server (5xx) is sent
    /// again, as the S3 protocol asks of its clients: a bucket's first object may come before there is room for it.
    pub async fn ask(
        &self,
        method: Method,
        bucket: &str,
        key: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (u16, reqwest::header::HeaderMap, String) {
        let endpoint = Url::parse(self.url()).unwrap();
        let place = Bucket::new(endpoint, UrlStyle::Path, bucket.to_owned(), "us-east-1").unwrap();
        let url = if key.is_empty() { place.base_url().clone() } else { place.object_url(key) };
        let (access, secret) = (&self.env["LAB_S3_ACCESS_KEY"], &self.env["LAB_S3_SECRET_KEY"]);
        let deadline = Instant::now() + AGAIN_FOR;
        loop {
            let (now, query, signed) = (Timestamp::now(), query.iter().copied(), headers.iter().copied());
            let url = signing::sign(&now, method, url.clone(), access, secret, None, "us-east-1", 600, query, signed);
            let mut request = self.http.request(method.to_str().parse().unwrap(), url).body(body.to_vec());
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let answer = request.send().await.unwrap();
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            let said = answer.text().await.unwrap_or_default();
            if status < 500 || Instant::now() > deadline {
                return (status, headers, said);
            }
            let _ = writeln!(std::io::stderr(), "{bucket}/{key}: {status} {said}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Makes a bucket of a name that no other test has; with a lock, with a default retention.
    pub async fn bucket(&self, locked: Option<(&str, u32)>) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("t{}-{}-{n}", std::process::id(), Timestamp::now().as_millisecond());
        let headers: &[_] = if locked.is_some() { &[("x-amz-bucket-object-lock-enabled", "true")] } else { &[] };
        let (status, _, body) = self.ask(Method::Put, &name, "", &[], headers, b"").await;
        assert_eq!(status, 200, "{body}");
        if let Some((mode, days)) = locked {
            let lock = format!(
                "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>\
                 <Mode>{mode}</Mode><Days>{days}</Days></DefaultRetention></Rule></ObjectLockConfiguration>"
            );
            let query = [("object-lock", "")];
            let (status, _, body) = self.ask(Method::Put, &name, "", &query, &[], lock.as_bytes()).await;
            assert_eq!(status, 200, "{body}");
        }
        name
    }

    /// Puts an object over whatever lies there, as one who may write can.
    pub async fn overwrite(&self, bucket: &str, key: &str, body: &[u8]) {
        let (status, _, said) = self.ask(Method::Put, bucket, key, &[], &[], body).await;
        assert_eq!(status, 200, "{said}");
    }

    /// Every version below a prefix, as the server lists them: the newest of each key first.
    pub async fn versions(&self, bucket: &str, prefix: &str) -> Vec<Listed> {
        let query = [("prefix", prefix), ("versions", "")];
        let (status, _, body) = self.ask(Method::Get, bucket, "", &query, &[], b"").await;
        assert_eq!(status, 200, "{body}");
        let document = roxmltree::Document::parse(&body).unwrap();
        let nodes = document.root_element().children();
        let nodes = nodes.filter(|n| matches!(n.tag_name().name(), "Version" | "DeleteMarker"));
        nodes
            .map(|node| {
                let text = |name: &str| {
                    node.children()
                        .find(|c| c.tag_name().name() == name)
                        .and_then(|c| c.text())
                        .unwrap_or("")
                        .to_owned()
                };
                let marker = node.tag_name().name() == "DeleteMarker";
                let size = text("Size").parse().unwrap_or(0);
                Listed { key: text("Key"), version: text("VersionId"), size, marker }
            })
            .collect()
    }
}
