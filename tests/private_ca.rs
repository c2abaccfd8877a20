//! Witnesses and object storage behind certificates of a private authority: servers with rustls on the loopback.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use jiff::Timestamp;
use quarterdeck::attest::anchor::{AnchorError, Bucket, StorageError, fetch_checkpoints};
use quarterdeck::attest::witness::Witness;
use quarterdeck::attest::witness::client::{Answered, Client, Refused, Submission};
use quarterdeck::config::model::{SecretRef, Storage};
use quarterdeck::domain::ports::Clock;
use quarterdeck::journal::checkpoint::Checkpoint;
use quarterdeck::journal::key::{KeyRing, LogKey};
use quarterdeck::journal::tree::EMPTY_HASH;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(dir: &Path, name: &str) -> (Authority, PathBuf) {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let path = dir.join(name);
    std::fs::write(&path, issuer.pem()).unwrap();
    (issuer, path)
}

/// A server whose certificate the authority signed, which answers every request with this.
fn serve(issuer: &Authority, status: u16, body: &'static str) -> String {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        );
    let config = Arc::new(config.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = BufReader::new(rustls::StreamOwned::new(connection, stream.unwrap()));
            let (mut line, mut length) = (String::new(), 0);
            // A client that does not trust it says so and goes.
            while stream.read_line(&mut line).is_ok_and(|n| n > 2) {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let _ = stream.read_exact(&mut vec![0; length]);
            let now = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT");
            let head = format!(
                "HTTP/1.1 {status} X\r\ndate: {now}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.get_mut().write_all(format!("{head}{body}").as_bytes());
            stream.get_mut().conn.send_close_notify();
            let _ = stream.get_mut().flush();
        }
    });
    url
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn ask(url: &str, ca: Option<PathBuf>) -> Result<Answered, Refused> {
    let vkeys = include_str!("../src/journal/cosignature/vectors/go.vkeys");
    let key = vkeys.lines().nth(1).unwrap().parse().unwrap();
    let witness = Witness { name: "w".into(), url: url.to_owned(), key, administrator: "a".into(), ca };
    let log = LogKey::generate("example.com/log").unwrap();
    let note = Checkpoint { origin: log.verifier().name().into(), size: 0, root: EMPTY_HASH }.sign(&log).unwrap();
    let client = Client::new([&witness]).unwrap();
    let submission = Submission { old: 0, proof: &[], note: &note };
    runtime().block_on(client.add_checkpoint(&witness, log.verifier(), submission, LONG))
}

#[test]
fn a_witness_is_trusted_by_its_own_authority_only() {
    let dir = tempfile::tempdir().unwrap();
    let ((ours, ca), (_, other)) = (authority(dir.path(), "ca.pem"), authority(dir.path(), "other.pem"));
    let url = serve(&ours, 409, "7\n");
    assert_eq!(ask(&url, Some(ca)), Ok(Answered::Stale { size: 7 }));
    let why = ask(&url, Some(other.clone())).unwrap_err().to_string();
    let expected = format!("; trusted are the authorities in {}", other.display());
    assert!(
        why.starts_with("TLS with the witness failed: invalid peer certificate") && why.ends_with(&expected),
        "{why}"
    );
    // A file that is none is said with its line.
    let bad = dir.path().join("bad.pem");
    std::fs::write(&bad, "ours:\n-----BEGIN CERTIFICATE-----\nM*\n").unwrap();
    let vkeys = include_str!("../src/journal/cosignature/vectors/go.vkeys");
    let key = vkeys.lines().nth(1).unwrap().parse().unwrap();
    let witness = Witness { name: "w".into(), url, key, administrator: "a".into(), ca: Some(bad.clone()) };
    let why = Client::new([&witness]).unwrap_err();
    let expected =
        format!("{}:3: the authorities can not be used: this line of a certificate is not base64", bad.display());
    assert_eq!(why, expected);
}

#[derive(Debug)]
struct Wall;

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

#[test]
fn object_storage_is_trusted_by_its_own_authority_only() {
    let dir = tempfile::tempdir().unwrap();
    let ((ours, ca), (_, other)) = (authority(dir.path(), "ca.pem"), authority(dir.path(), "other.pem"));
    let empty = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>";
    let endpoint = serve(&ours, 200, empty);
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "x").unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let list = |ca: &Path| {
        let storage = Storage {
            endpoint: endpoint.clone(),
            bucket: "b".into(),
            prefix: "p".into(),
            signing_region: "us-east-1".into(),
            access_key: SecretRef::File(secret.clone()),
            secret_key: SecretRef::File(secret.clone()),
            ca: Some(ca.to_owned()),
        };
        let ring = KeyRing::of(LogKey::generate("log").unwrap().verifier().clone());
        runtime().block_on(async {
            let bucket = Bucket::connect(&storage, Arc::new(Wall)).await?;
            fetch_checkpoints(&bucket, "p", &ring).await
        })
    };
    assert_eq!(list(&ca).unwrap().copies, []);
    match list(&other).unwrap_err() {
        AnchorError::Storage(StorageError::Unreachable(why)) => {
            assert!(why.contains("TLS with") && why.contains("invalid peer certificate"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    let bad = dir.path().join("bad.pem");
    std::fs::write(&bad, "-----BEGIN CERTIFICATE-----\nMIIB\n").unwrap();
    let why = list(&bad).unwrap_err().to_string();
    assert!(why.contains(&format!("{}:1: the authorities can not be used", bad.display())), "{why}");
}
