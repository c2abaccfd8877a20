use super::rig::{Tiny, ports, send};
use super::*;
use crate::config::certificate::tests::Authority;

const LIMIT: Duration = Duration::from_secs(5);

async fn get(url: &str, timeout: Duration) -> Result<Answer, Failure> {
    let http = Http::new(&Trust::plain_only()).unwrap();
    http.get(&Ask { url, host: Some("t017.example"), accept: "*/*", limit: 10, timeout }).await
}

async fn kind(url: &str) -> FailureKind {
    get(url, LIMIT).await.unwrap_err().kind
}

#[tokio::test]
async fn the_host_is_sent_and_the_body_is_bounded() {
    let server = Tiny::http(|_, head| {
        let host = head.iter().find_map(|l| l.to_ascii_lowercase().strip_prefix("host: ").map(str::to_owned));
        (200, host.unwrap())
    });
    let answer = get(&server.url(), LIMIT).await.unwrap();
    assert_eq!((answer.body.as_slice(), answer.truncated), (&b"t017.examp"[..], true));
    assert_eq!(answer.into_text(&server.url()).unwrap_err().kind, FailureKind::Protocol);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let server = Tiny::http(|_, _| (303, String::new()));
    assert_eq!(get(&server.url(), LIMIT).await.unwrap().status, 303);
}

#[tokio::test]
async fn statuses_are_sorted() {
    for (status, kind) in
        [(401, FailureKind::Authentication), (403, FailureKind::Permission), (404, FailureKind::Protocol)]
    {
        let server = Tiny::http(move |_, _| (status, String::new()));
        let failure = get(&server.url(), LIMIT).await.unwrap().into_text(&server.url()).unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.message.contains(&status.to_string()));
    }
}

#[tokio::test]
async fn nobody_listening_and_connections_cut_are_unreachable() {
    let [port] = ports();
    assert_eq!(kind(&format!("http://127.0.0.1:{port}/")).await, FailureKind::Unreachable);
    let shut = Tiny::raw(drop);
    assert_eq!(kind(&shut.url()).await, FailureKind::Unreachable);
    let half = Tiny::bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab");
    assert_eq!(kind(&half.url()).await, FailureKind::Unreachable);
}

#[tokio::test]
async fn other_protocols_are_said_so() {
    for rubbish in [
        &b"-ERR unknown command 'GET'\r\n"[..],
        b"\0\xff\x15\x03\x01\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n",
    ] {
        assert_eq!(kind(&Tiny::bytes(rubbish).url()).await, FailureKind::Protocol, "{}", rubbish.escape_ascii());
    }
    assert_eq!(kind("no url").await, FailureKind::Local);
}

#[tokio::test]
async fn silence_is_a_timeout() {
    let silent = Tiny::raw(|s| {
        let _ = std::io::Read::read_to_end(&mut &s, &mut Vec::new());
    });
    let failure = get(&silent.url(), Duration::from_millis(100)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Timeout);
    assert!(failure.message.ends_with("within 0.1 s"), "{failure}");
}

#[tokio::test]
async fn a_server_without_tls_is_a_tls_failure() {
    let plain = Tiny::raw(|s| send(&s, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"));
    let url = plain.url().replace("http:", "https:");
    let failure = get(&url, LIMIT).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Tls, "{failure}");
}

#[test]
fn unusable_authorities_are_local_failures() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    let trust = Trust::own(path.clone());
    assert_eq!(Http::new(&trust).unwrap_err().kind, FailureKind::Local);
    std::fs::write(&path, "not a certificate").unwrap();
    let failure = Http::new(&trust).unwrap_err();
    assert!(failure.message.contains("no PEM certificate"), "{failure}");
}

#[test]
fn addresses_lose_their_secrets() {
    assert_eq!(public("http://user:secret@a.example:81/m?token=x#y"), "http://a.example:81/m");
    assert_eq!(public("secret nonsense"), "the configured URL");
}

#[test]
fn trust_follows_from_the_urls() {
    assert_eq!(Trust::for_urls(None, ["http://a"]), Trust::plain_only());
    assert_eq!(Trust::for_urls(None, ["http://a", "https://b"]), Trust::system());
    assert_eq!(Trust::for_urls(Some(Path::new("/ca")), ["http://a"]), Trust::own("/ca".into()));
}

#[tokio::test]
async fn a_server_of_an_older_tls_than_is_asked_for_is_a_failure_of_tls() {
    let dir = tempfile::tempdir().unwrap();
    let Some((_server, port)) = super::rig::tls12(dir.path()).await else { return };
    let url = format!("https://localhost:{port}/");
    let asked = async |min| {
        let ca = Ca { file: Some(dir.path().join("cert.pem")), min, client: None };
        let http = Http::new(&Trust::of(&ca, [url.as_str()])).unwrap();
        http.get(&Ask { url: &url, host: None, accept: "*/*", limit: 10, timeout: LIMIT }).await
    };
    assert_eq!(asked(TlsMin::V12).await.unwrap().status, 200);
    let refused = asked(TlsMin::V13).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Tls, "{refused}");
    assert!(refused.message.contains("version") || refused.message.contains("ProtocolVersion"), "{refused}");
}

/// A real server that takes only clients with a certificate by this authority, and its port.
async fn asking(dir: &Path, authority: &Authority) -> Option<(super::rig::Server, u16)> {
    let openssl = super::rig::program("openssl")?;
    authority.issue(dir, "server", false);
    std::fs::write(dir.join("ca.crt"), &authority.pem).unwrap();
    let [port] = ports();
    let mut command = std::process::Command::new(openssl);
    command.current_dir(dir).args(["s_server", "-www", "-Verify", "1", "-verify_return_error", "-CAfile", "ca.crt"]);
    command.args(["-cert", "server.crt", "-key", "server.key", "-accept", &format!("127.0.0.1:{port}")]);
    let server = super::rig::Server::start(&mut command, &dir.join("s_server.log"));
    let listens = async || std::net::TcpStream::connect(("127.0.0.1", port)).ok();
    super::rig::until("openssl listens", Duration::from_secs(20), listens).await;
    Some((server, port))
}

#[tokio::test]
async fn a_server_that_asks_who_we_are_is_shown_a_certificate_as_it_is_now() {
    let dir = tempfile::tempdir().unwrap();
    let (dir, authority) = (dir.path(), Authority::new("ours"));
    let Some((server, port)) = asking(dir, &authority).await else { return };
    let url = format!("https://localhost:{port}/");
    for min in [TlsMin::V12, TlsMin::V13] {
        let made = |client| {
            let ca = Ca { file: Some(dir.join("ca.crt")), min, client };
            Http::new(&Trust::of(&ca, [url.as_str()])).unwrap()
        };
        let ask = Ask { url: &url, host: None, accept: "*/*", limit: 10, timeout: LIMIT };
        let certificate = authority.issue(dir, "quarterdeck", false);
        let http = made(Some(certificate.clone()));
        assert_eq!(http.get(&ask).await.unwrap_or_else(|e| panic!("{e} {}", server.log())).status, 200);
        let none = made(None).get(&ask).await.unwrap_err();
        assert_eq!(none.kind, FailureKind::Tls, "{none}");
        let strange = made(Some(Authority::new("another").issue(dir, "strange", false))).get(&ask).await.unwrap_err();
        assert_eq!(strange.kind, FailureKind::Tls, "{strange}");
        // The one that was good ends, and is renewed: by the same client, without a restart.
        authority.issue(dir, "quarterdeck", true);
        let ended = http.get(&ask).await.unwrap_err();
        assert_eq!(ended.kind, FailureKind::Local, "{ended}");
        assert!(ended.message.contains("the client certificate has ended at 2021-01-01"), "{ended}");
        authority.issue(dir, "quarterdeck", false);
        assert_eq!(http.get(&ask).await.unwrap().status, 200);
        // It vouches for us, and not for the server.
        let ca = Ca { client: Some(certificate), ..Ca::default() };
        let untrusted = Http::new(&Trust::of(&ca, [url.as_str()])).unwrap().get(&ask).await.unwrap_err();
        assert_eq!(untrusted.kind, FailureKind::Tls, "{untrusted}");
        assert!(untrusted.message.contains("UnknownIssuer"), "{untrusted}");
    }
}
