//! Against servers of the test's own, with certificates that it makes, and against a real Traefik.

use super::*;
use crate::config::probe::Target;
use crate::domain::mode::Mode;
use crate::observe::http::rig::{Tiny, ports};
use crate::observe::traefik::lab::{DAYS, HOST, Private};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::path::PathBuf;

/// An authority, and a server's certificate by it or by itself.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        Self::named("Test Root")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, dir }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A server that shows a certificate for `name` which holds until `year`.
    fn serve(&self, name: &str, year: i32, by_itself: bool) -> Tiny {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let made = if by_itself { params.self_signed(&key) } else { params.signed_by(&key, &self.issuer) }.unwrap();
        let mut chain = vec![made.der().clone()];
        if !by_itself {
            chain.push(self.issuer.as_ref().der().clone());
        }
        secure(chain, &key)
    }
}

fn secure(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Tiny {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    Tiny::raw(move |mut tcp| {
        let mut tls = rustls::ServerConnection::new(config.clone()).unwrap();
        let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
        let mut head = [0; 512];
        if stream.read(&mut head).is_ok_and(|n| head[..n].starts_with(b"GET /web")) {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    })
}

fn config(target: &str, to: Option<std::net::SocketAddr>, ca: Option<&Path>) -> Probe {
    let tenant = "[[tenant]]\nid = \"t1\"\n";
    let connect = to.map_or_else(String::new, |a| format!("connect = \"{a}\"\n"));
    let ca = ca.map_or_else(String::new, |ca| format!("ca = \"{}\"\n", ca.display()));
    let text = format!(
        "[estate]\nname = \"e\"\nenvironment = \"staging\"\n{tenant}[[probe]]\nid = \"p\"\ntenant = \"t1\"\ntimeout = \"3s\"\n\
         url = \"{target}\"\n{connect}{ca}"
    );
    crate::config::decode::decode("c.toml", &text).unwrap().probe.remove(0)
}

async fn look(config: &Probe) -> MeasuredFacts {
    let mut observer = ProbeObserver::new(Mode::ReadOnly.may_observe().unwrap(), config);
    match observer.poll().await.unwrap() {
        Facts::Measured(facts) => facts,
        other => panic!("{other:?}"),
    }
}

fn value(facts: &MeasuredFacts, signal: &str) -> Option<f64> {
    facts.readings.iter().find(|r| r.signal == signal).map(|r| r.value)
}

fn says(facts: &MeasuredFacts, words: &str) {
    assert!(facts.said.iter().any(|s| s.contains(words)), "{words}: {:#?}", facts.said);
}

#[tokio::test]
async fn a_good_chain_is_good_and_every_certificate_of_it_is_told() {
    let authority = Authority::new();
    let server = authority.serve("t1.example", 2099, false);
    let config = config("https://t1.example/web/login", Some(server.address), Some(&authority.file()));
    let facts = look(&config).await;
    let told = ["probe.ok", "probe.status", "certificate.valid", "probe.tls"].map(|s| value(&facts, s));
    assert_eq!(told, [Some(1.0), Some(200.0), Some(1.0), Some(1.3)], "{:#?}", facts.said);
    assert!(value(&facts, "probe.latency").unwrap() > 0.0 && value(&facts, "certificate.days").unwrap() > 10_000.0);
    says(&facts, "certificate 1 of 2: t1.example, signed by Test Root, until 2099-01-01");
    says(&facts, "certificate 2 of 2: Test Root, signed by itself");
    assert_eq!(facts.readings[0].subject.tenant().map(crate::domain::id::TenantId::as_str), Some("t1"));
}

#[tokio::test]
async fn an_expired_foreign_or_self_signed_chain_is_recorded_as_what_it_is() {
    let authority = Authority::new();
    let ca = authority.file();
    let url = "https://t1.example/web";
    for (server, words) in [
        (authority.serve("t1.example", 2021, false), vec!["the certificate t1.example expired at 2021-01-01"]),
        (authority.serve("t2.example", 2099, false), vec!["not for t1.example, but for t2.example"]),
        (authority.serve("t1.example", 2099, true), vec!["signed by itself, and no authority"]),
        (
            authority.serve("t2.example", 2021, true),
            vec!["expired at 2021", "not for t1.example", "signed by itself, and no authority"],
        ),
        (
            Authority::named("Other Root").serve("t1.example", 2099, false),
            vec!["no authority that is trusted here signed the chain"],
        ),
    ] {
        let facts = look(&config(url, Some(server.address), Some(&ca))).await;
        // What lies behind the certificate is seen all the same.
        let told = ["probe.ok", "certificate.valid", "probe.status"].map(|s| value(&facts, s));
        assert_eq!(told, [Some(0.0), Some(0.0), Some(200.0)], "{words:?}: {:#?}", facts.said);
        let faults = facts.said.iter().filter(|s| s.starts_with("t1.example:443/web: ")).count();
        assert_eq!(faults, words.len(), "{:#?}", facts.said);
        for words in words {
            says(&facts, words);
        }
        assert!(value(&facts, "certificate.days").is_some());
    }
}

#[tokio::test]
async fn slow_gone_broken_and_wrong_answers_are_values_with_their_reason() {
    let [free] = ports();
    let open = Tiny::http(|first, _| (if first.contains("/login") { 200 } else { 503 }, String::new()));
    let slow = Tiny::raw(|stream| {
        std::thread::park_timeout(Duration::from_mins(1));
        drop(stream);
    });
    let broken = Tiny::raw(drop);
    let mute = Tiny::bytes(b"");
    let rubbish = Tiny::bytes(b"-ERR unknown command\r\n");
    let at = |tiny: &Tiny, scheme: &str| config(&format!("{scheme}://{}", tiny.address), None, None);
    let good = look(&config(&format!("{}/login", open.url()), None, None)).await;
    assert_eq!((value(&good, "probe.ok"), value(&good, "certificate.valid")), (Some(1.0), None));
    assert!(good.untold.is_empty(), "{good:?}");
    let own = Authority::new();
    let with_ca = |probe: Probe| Probe { ca: Some(own.file()), timeout: Duration::from_millis(300), ..probe };
    for (probe, words) in [
        (at(&open, "http"), "it answers HTTP 503"),
        (config(&format!("http://127.0.0.1:{free}"), None, None), "no connection to 127.0.0.1"),
        (config("http://nowhere.invalid", None, None), "the name nowhere.invalid is not resolved here"),
        (with_ca(at(&slow, "http")), "no answer within 0.3 s"),
        (with_ca(at(&slow, "https")), "connected, but no end of the TLS handshake within 0.3 s"),
        (with_ca(at(&open, "tls")), "the TLS handshake fails"),
        (with_ca(at(&broken, "https")), "the TLS handshake fails"),
        (at(&mute, "http"), "it closed the connection without an answer"),
        (at(&rubbish, "http"), "does not speak HTTP as it should"),
    ] {
        let facts = look(&probe).await;
        assert_eq!(value(&facts, "probe.ok"), Some(0.0), "{words}: {facts:#?}");
        says(&facts, words);
    }
    let cut = look(&with_ca(at(&broken, "https"))).await;
    let untold: Vec<&str> = cut.untold.iter().map(|u| u.signal.as_str()).collect();
    assert_eq!(untold, ["probe.latency", "certificate.days", "certificate.valid"], "{cut:#?}");
}

#[tokio::test]
async fn a_name_that_leads_nowhere_or_elsewhere_is_told_with_where() {
    let open = Tiny::http(|_, _| (200, String::new()));
    let url = format!("http://localhost:{}/", open.address.port());
    let leading = |to: &[&str]| {
        let mut probe = config(&url, None, None);
        probe.addresses = to.iter().map(|net| net.parse().unwrap()).collect();
        probe
    };
    for (to, ok) in [(&[][..], 1.0), (&["127.0.0.0/8", "::1/128"], 1.0), (&["203.0.113.0/24"], 0.0)] {
        let facts = look(&leading(to)).await;
        // What answers at a wrong address is seen all the same.
        assert_eq!((value(&facts, "dns.ok"), value(&facts, "probe.ok")), (Some(ok), Some(1.0)), "{facts:#?}");
        assert!(value(&facts, "dns.took").is_some_and(|took| (0.0..3.0).contains(&took)), "{facts:#?}");
        let foreign = facts.said.iter().any(|s| s.starts_with("localhost leads to ") && s.ends_with("is not its own"));
        assert_eq!(foreign, ok == 0.0, "{:#?}", facts.said);
        says(&facts, "resolved to ");
    }
    let bare = look(&config(&open.url(), None, None)).await;
    assert!(bare.readings.iter().all(|r| !r.signal.starts_with("dns.")), "an address has no name: {bare:#?}");
}

#[test]
fn a_silent_resolver_leaves_the_name_unknown_and_not_wrong() {
    let observer = ProbeObserver::new(Mode::ReadOnly.may_observe().unwrap(), &config("http://t1.example/", None, None));
    for (name, why) in [(Name::Asked, "within 3 s"), (Name::Silent("no resolver answers".into()), "no resolver")] {
        let facts = observer.tell(&Seen { name, fault: Some("x".into()), ..Seen::default() }, Timestamp::now());
        let untold: Vec<_> = facts.untold.iter().filter(|u| u.signal.starts_with("dns.")).collect();
        assert!(untold.len() == 2 && untold.iter().all(|u| u.why.contains(why)), "{facts:#?}");
        assert!(facts.readings.iter().all(|r| r.signal != "dns.ok"));
    }
    let nowhere = Name::Told { took: Duration::from_millis(5), addresses: Vec::new() };
    let facts = observer.tell(&Seen { name: nowhere, ..Seen::default() }, Timestamp::now());
    assert_eq!((value(&facts, "dns.ok"), value(&facts, "dns.took")), (Some(0.0), Some(0.005)));
}

#[tokio::test]
async fn authorities_that_can_not_be_read_are_no_fault_of_the_address() {
    let mut probe = config("https://t1.example", None, None);
    probe.ca = Some(PathBuf::from("/nonexistent/ca.pem"));
    let mut observer = ProbeObserver::new(Mode::ReadOnly.may_observe().unwrap(), &probe);
    let failure = observer.poll().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Local);
    assert!(failure.message.contains("/nonexistent/ca.pem"), "{failure}");
    assert_eq!(observer.spec().address, "t1.example:443");
    let target = Target { speaks: Speaks::Tls, host: "::1".into(), port: 636, path: "/".into() };
    assert_eq!(target.authority(), "[::1]:636");
}

#[tokio::test]
async fn a_real_traefik_shows_its_certificate() {
    let Some(traefik) = Private::start("a_real_traefik_shows_its_certificate").await else { return };
    let secure: std::net::SocketAddr = traefik.secure.trim_start_matches("https://").parse().unwrap();
    let good =
        look(&config(&format!("https://{HOST}/web"), Some(secure), Some(&traefik.dir.path().join("cert.pem")))).await;
    assert_eq!((value(&good, "probe.ok"), value(&good, "probe.status")), (Some(1.0), Some(200.0)), "{:#?}", good.said);
    let days = value(&good, "certificate.days").unwrap();
    assert!((days.ceil() - f64::from(i32::try_from(DAYS).unwrap())).abs() < 1.0, "{days}");
    let foreign = look(&config("https://other.example/web", Some(secure), None)).await;
    assert_eq!(value(&foreign, "certificate.valid"), Some(0.0));
    says(&foreign, "is not for other.example");
}
