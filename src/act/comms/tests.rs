//! Messages on real wires: an SMTP server (aiosmtpd) where the machine has one, and servers of loopback that refuse,
//! fall silent or break off at a chosen word.

use super::*;
use crate::act::cut::{At, Case, Says, Wire, says};
use crate::config::model::{Login, Mailer, Pager, PagerKind, Place, SecretRef, Smtps, WebhookBody};
use crate::domain::id::Digest;
use crate::domain::mode::Mode;
use crate::domain::ports::{Outcome, Reconciled};
use crate::domain::sample::FailureKind;
use crate::domain::world::World;
use crate::observe::http::rig::{Server, Tiny, certificate, ports, program, skip, until};
use crate::policy::authorized::Authorized;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(15);

fn mailer(port: u16) -> Mailer {
    Mailer {
        host: "127.0.0.1".into(),
        port,
        tls: Smtps::None,
        from: "Operations <noc@acme.example>".into(),
        login: None,
        ca: crate::config::model::Ca::default(),
        timeout: Duration::from_secs(5),
    }
}

fn audience() -> Audience {
    Audience {
        name: "customers".into(),
        groups: vec!["customer".into()],
        channels: Vec::new(),
        body: WebhookBody::Generic,
        key: None,
        email: vec!["Weber <it@weber.example>".into(), "it@brandt.example".into()],
        webhook: None,
        page: None,
    }
}

fn comms(smtp: Option<Mailer>, audience: Audience) -> Comms {
    Comms { dir: None, templates: None, smtp, audiences: vec![audience], oncall: Vec::new() }
}

fn verb(config: &Comms, name: &str) -> Arc<DynVerb> {
    verbs(Mode::Live.may_act().unwrap(), config).into_iter().find(|v| v.spec().name == name).unwrap()
}

fn render(verb: &DynVerb, args: &[(&str, Value)]) -> Result<Request, VerbError> {
    let estate = crate::observe::postgres::testbed::estate(&["t017"]);
    let args: BTreeMap<String, Value> = args.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    let now = jiff::Timestamp::UNIX_EPOCH;
    let world = World::new(Arc::new(estate), [], now);
    verb.render(&RenderContext { estate: &world.estate, world: &world, now, args: &args, surveyed: None })
}

fn said() -> Vec<(&'static str, Value)> {
    vec![
        ("audience", json!("customers")),
        ("subject", json!("Störung SEV1")),
        ("text", json!("Wir arbeiten daran.\n. Ende")),
    ]
}

async fn execute(verb: &DynVerb, request: &Request, within: Duration) -> Outcome {
    verb.execute(Authorized::for_test(request.clone(), Digest::from_bytes(&[0; 32]), within)).await
}

/// A mail server that answers what it reads by a function of the line; `None` closes the connection.
fn smtp(answer: impl Fn(&str) -> Option<&'static str> + Send + Sync + 'static) -> u16 {
    let server = Tiny::raw(move |mut stream: TcpStream| {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        stream.write_all(b"220 here\r\n").unwrap();
        while let Some(Ok(line)) = lines.next() {
            let Some(said) = answer(&line) else { return };
            if stream.write_all(said.as_bytes()).is_err() {
                return;
            }
        }
    });
    server.address.port()
}

#[tokio::test]
async fn a_mail_reaches_a_real_server_once_and_a_frozen_one_says_unknown_or_failed() {
    let test = "a_mail_reaches_a_real_server";
    let found = ["/usr/bin/python3".into(), "python3".into()].into_iter().find(|python: &std::path::PathBuf| {
        Command::new(python).args(["-c", "import aiosmtpd"]).output().is_ok_and(|o| o.status.success())
    });
    let Some(python) = found else { return skip(test, "no Python here has aiosmtpd") };
    let dir = tempfile::tempdir().unwrap();
    let [port] = ports();
    let mails = dir.path().join("mails");
    let mut command = Command::new(python);
    command.args(["-m", "aiosmtpd", "-n", "-l", &format!("127.0.0.1:{port}"), "-c", "aiosmtpd.handlers.Mailbox"]);
    let server = Server::start(command.arg(&mails), &dir.path().join("log"));
    let limit = Duration::from_secs(30);
    until("the mail server listens", limit, async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok())
        .await;

    let email = verb(&comms(Some(mailer(port)), audience()), "comms.email");
    let request = render(&*email, &said()).unwrap();
    assert_eq!(request, render(&*email, &said()).unwrap());
    let Operation::Mail { server: at, to, .. } = &request.operation else { panic!("{request:?}") };
    assert_eq!((at, to.len(), request.target.count), (&format!("127.0.0.1:{port}"), 2, 2));
    let would = email.dry_run(&request, None).await.unwrap();
    assert!(would.contains("lets us in; would send"), "{would}");
    let count = || std::fs::read_dir(mails.join("new")).map_or(0, Iterator::count);
    assert_eq!(count(), 0, "a dry run sends nothing");
    let Outcome::Done { summary, .. } = execute(&*email, &request, LIMIT).await else { panic!() };
    assert!(summary.ends_with("took the mail for 2 addresses"), "{summary}");
    assert_eq!(count(), 1);
    let mail = std::fs::read_dir(mails.join("new")).unwrap().next().unwrap().unwrap().path();
    let mail = std::fs::read_to_string(mail).unwrap();
    for part in [
        "Operations <noc@acme.example>",
        "it@weber.example",
        "it@brandt.example",
        ".quarterdeck@acme.example>",
        "=?utf-8?",
    ] {
        assert!(mail.contains(part), "{part}\n{mail}");
    }

    server.signal(Signal::STOP);
    let frozen = execute(&*email, &request, Duration::from_millis(700)).await;
    assert!(matches!(&frozen, Outcome::Failed { why } if why.kind == FailureKind::Timeout), "{frozen:?}");
    server.signal(Signal::CONT);
    assert!(matches!(email.reconcile(&request).await, Reconciled::Undecided { .. }));
    drop(server);
    let gone = execute(&*email, &request, LIMIT).await;
    assert!(matches!(&gone, Outcome::Failed { why } if why.kind == FailureKind::Unreachable), "{gone:?}");
}

#[tokio::test]
async fn what_a_mail_server_refuses_failed_and_what_it_leaves_open_is_unknown() {
    let answers = |line: &str| match line.get(..4) {
        Some("EHLO") => Some("250 here\r\n"),
        Some("DATA") => Some("354 go on\r\n"),
        Some("MAIL" | "RCPT" | "QUIT") => Some("250 fine\r\n"),
        _ => Some(""),
    };
    let ends = move |line: &str, last: Option<&'static str>| if line == "." { last } else { answers(line) };
    let run = async |port: u16| {
        let email = verb(&comms(Some(mailer(port)), audience()), "comms.email");
        let request = render(&*email, &said()).unwrap();
        execute(&*email, &request, Duration::from_millis(900)).await
    };
    let refused =
        run(smtp(move |l| if l.starts_with("RCPT") { Some("550 no such user\r\n") } else { answers(l) })).await;
    assert!(matches!(&refused, Outcome::Failed { why } if why.message.contains("no such user")), "{refused:?}");
    let full = run(smtp(move |l| ends(l, Some("452 the disk is full\r\n")))).await;
    assert!(matches!(&full, Outcome::Failed { why } if why.message.contains("the disk is full")), "{full:?}");
    let cut = run(smtp(move |l| ends(l, None))).await;
    assert!(matches!(&cut, Outcome::Unknown { .. }), "{cut:?}");
    let silent = run(smtp(move |l| ends(l, Some("")))).await;
    assert!(matches!(&silent, Outcome::Unknown { why } if why.kind == FailureKind::Timeout), "{silent:?}");

    let plain = smtp(answers);
    let login = Some(Login { user: "noc".into(), password: None });
    let starttls = Mailer { tls: Smtps::Starttls, login, ..mailer(plain) };
    let dir = tempfile::tempdir().unwrap();
    if program("openssl").is_some() && certificate(dir.path(), 30, &["x"]) {
        let starttls = Mailer { ca: dir.path().join("cert.pem").into(), ..starttls };
        let email = verb(&comms(Some(starttls), audience()), "comms.email");
        let request = render(&*email, &said()).unwrap();
        let outcome = execute(&*email, &request, LIMIT).await;
        assert!(matches!(&outcome, Outcome::Failed { why } if why.message.contains("STARTTLS")), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_mail_server_of_an_older_tls_than_is_asked_for_gets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Some((_server, port)) = crate::observe::http::rig::tls12(dir.path()).await else { return };
    let file = Some(dir.path().join("cert.pem"));
    let ca = crate::config::model::Ca { file, min: crate::config::model::TlsMin::V13, client: None };
    let mailer = Mailer { host: "localhost".into(), tls: Smtps::Tls, ca, ..mailer(port) };
    let email = verb(&comms(Some(mailer), audience()), "comms.email");
    let request = render(&*email, &said()).unwrap();
    // What the server says to a greeting of TLS 1.3 alone.
    let outcome = execute(&*email, &request, Duration::from_millis(900)).await;
    assert!(matches!(&outcome, Outcome::Failed { why } if why.message.contains("ProtocolVersion")), "{outcome:?}");
}

/// Heads and bodies of requests.
type Taken = Arc<Mutex<Vec<(Vec<String>, String)>>>;

/// Takes one request after another, head and body, and answers with a status.
fn taking(status: u16) -> (Tiny, Taken) {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&taken);
    let server = Tiny::raw(move |stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let head: Vec<String> = reader.by_ref().lines().map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
        let length = head.iter().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        if reader.read_exact(&mut body).is_ok() && !head.is_empty() {
            keep.lock().unwrap().push((head, String::from_utf8(body).unwrap()));
            let text = format!("HTTP/1.1 {status} X\r\nContent-Length: 11\r\nConnection: close\r\n\r\n{{\"ok\":true}}");
            crate::observe::http::rig::send(&stream, text.as_bytes());
        }
    });
    (server, taken)
}

#[tokio::test]
async fn a_web_hook_whose_url_is_a_secret_is_named_by_its_reference_only() {
    let (server, taken) = taking(200);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("chat");
    std::fs::write(&file, format!("{}/hook/s3cret\n", server.url())).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let shown = format!("file:{}", file.display());
    let webhook = Some(Place::Secret { shown: shown.clone(), at: SecretRef::File(file) });
    let hook = verb(&comms(None, Audience { webhook, ..audience() }), "comms.webhook");
    let request = render(&*hook, &said()).unwrap();
    assert_eq!(request.operation.lines()[0], format!("POST {shown}"));
    let would = hook.dry_run(&request, None).await.unwrap();
    let Outcome::Done { result, summary } = execute(&*hook, &request, LIMIT).await else { panic!() };
    assert_eq!((&result["status"], &result["answer"]["ok"]), (&json!(200), &json!(true)));
    assert!(!format!("{request:?}{would}{summary}").contains("s3cret"), "{would} {summary}");
    let taken = taken.lock().unwrap().clone();
    assert!(taken[0].0[0].starts_with("POST /hook/s3cret "), "{taken:?}");
    assert!(taken[0].0.iter().any(|l| l.starts_with("idempotency-key: ")), "{taken:?}");
    let body: Value = serde_json::from_str(&taken[0].1).unwrap();
    assert_eq!(body["text"], "Störung SEV1\nWir arbeiten daran.\n. Ende");

    let elsewhere = Request { verb: "comms.page".into(), ..request };
    let outcome = execute(&*hook, &elsewhere, LIMIT).await;
    assert!(matches!(&outcome, Outcome::Failed { why } if why.message.contains("refused")), "{outcome:?}");
}

#[tokio::test]
async fn what_a_web_hook_answers_says_what_is_known() {
    let outcome = async |place: String| {
        let hook = verb(&comms(None, Audience { webhook: Some(Place::Url(place)), ..audience() }), "comms.webhook");
        let request = render(&*hook, &said()).unwrap();
        execute(&*hook, &request, Duration::from_millis(900)).await
    };
    let (no, _) = taking(404);
    assert!(matches!(outcome(no.url()).await, Outcome::Failed { .. }));
    let (broken, _) = taking(502);
    assert!(matches!(outcome(broken.url()).await, Outcome::Unknown { .. }));
    let silent = Tiny::raw(|stream| {
        let _ = BufReader::new(stream).lines().count();
    });
    let lost = outcome(silent.url()).await;
    assert!(matches!(&lost, Outcome::Unknown { why } if why.kind == FailureKind::Timeout), "{lost:?}");
    let [nobody] = ports();
    let refused = outcome(format!("http://127.0.0.1:{nobody}/")).await;
    assert!(matches!(&refused, Outcome::Failed { why } if why.kind == FailureKind::Unreachable), "{refused:?}");
}

#[tokio::test]
async fn a_page_carries_its_key_only_on_the_wire() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, "k3y-of-pager").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    for kind in [PagerKind::Pagerduty, PagerKind::Opsgenie] {
        let (server, taken) = taking(202);
        let key_shown = format!("file:{}", file.display());
        let page = Some(Pager { kind, url: server.url() + "/v2", key: SecretRef::File(file.clone()), key_shown });
        let verb = verb(&comms(None, Audience { page, ..audience() }), "comms.page");
        let request = render(&*verb, &said()).unwrap();
        assert!(verb.dry_run(&request, None).await.unwrap().starts_with("would POST"));
        let outcome = execute(&*verb, &request, LIMIT).await;
        assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
        assert!(!format!("{request:?}{outcome:?}").contains("k3y"), "{outcome:?}");
        let (head, body) = taken.lock().unwrap()[0].clone();
        let body: Value = serde_json::from_str(&body).unwrap();
        if kind == PagerKind::Pagerduty {
            assert_eq!((&body["routing_key"], &body["event_action"]), (&json!("k3y-of-pager"), &json!("trigger")));
            assert_eq!(body["payload"]["severity"], "critical");
        } else {
            assert!(head.iter().any(|l| l == "authorization: GenieKey k3y-of-pager"), "{head:?}");
            assert_eq!((&body["message"], &body["priority"]), (&json!("Störung SEV1"), &json!("P1")));
        }
        execute(&*verb, &request, LIMIT).await;
        let taken = taken.lock().unwrap();
        assert_eq!(taken[0].1, taken[1].1, "the same key joins the second event to the first");
    }
}

#[tokio::test]
async fn a_hook_and_a_page_that_are_cut_off_are_unknown_and_carry_the_same_name_when_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, "k3y-of-pager").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let page = |url: &str, kind| {
        let key_shown = format!("file:{}", file.display());
        let page = Some(Pager { kind, url: url.into(), key: SecretRef::File(file.clone()), key_shown });
        Audience { page, ..audience() }
    };
    for (name, kind) in
        [("comms.webhook", None), ("comms.page", Some(PagerKind::Pagerduty)), ("comms.page", Some(PagerKind::Opsgenie))]
    {
        let (server, taken) = taking(202);
        let wire = &Wire::to(server.address.port(), says("POST /in"));
        let url = format!("http://127.0.0.1:{}/in", wire.port());
        let reached = match kind {
            Some(kind) => page(&url, kind),
            None => Audience { webhook: Some(Place::Url(url)), ..audience() },
        };
        let verb = &*verb(&comms(None, reached), name);
        let request = &render(verb, &said()).unwrap();
        let count = async || i64::try_from(taken.lock().unwrap().len()).unwrap();
        // Only the receiver knows, so that a person is asked; what is sent again on their word joins the first there.
        let (lost, kept, answer, acted) = (Says::Open, Says::Open, At::Answer, [1, 2]);
        Case { wire, verb, request, lost, answer, kept, acted }.run(count).await;
        let taken = taken.lock().unwrap();
        let named = |(head, body): &(Vec<String>, String)| {
            let key = head.iter().find(|l| l.starts_with("idempotency-key: ")).cloned();
            (key, body.clone())
        };
        assert_eq!(named(&taken[0]), named(&taken[1]), "{name}");
        assert!(name == "comms.page" || named(&taken[0]).0.is_some(), "{name}: {taken:?}");
    }
}

#[tokio::test]
async fn a_file_is_left_once_and_never_replaces_another() {
    let dir = tempfile::tempdir().unwrap();
    let config = Comms { dir: Some(dir.path().to_owned()), ..comms(None, audience()) };
    let verb = verb(&config, "comms.file");
    let request = render(&*verb, &said()).unwrap();
    let Operation::File { path, .. } = &request.operation else { panic!() };
    assert!(verb.dry_run(&request, None).await.unwrap().starts_with("would write "));
    assert!(matches!(verb.reconcile(&request).await, Reconciled::NoEffect { .. }));
    let written = async || match execute(&*verb, &request, LIMIT).await {
        Outcome::Done { result, .. } => result["written"].as_bool().unwrap(),
        other => panic!("{other:?}"),
    };
    assert!(written().await);
    assert!(!written().await, "the second time nothing changes");
    assert!(matches!(verb.reconcile(&request).await, Reconciled::TookEffect { .. }));
    assert!(std::fs::read_to_string(path).unwrap().contains("Subject: Störung SEV1\n\nWir arbeiten daran."));
    std::fs::write(path, "else").unwrap();
    assert!(matches!(execute(&*verb, &request, LIMIT).await, Outcome::Failed { .. }));
    assert_eq!(std::fs::read_to_string(path).unwrap(), "else");
    std::fs::remove_file(path).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", path).unwrap();
    assert!(matches!(execute(&*verb, &request, LIMIT).await, Outcome::Failed { .. }));
    let mut outside = request.clone();
    let content = Some("x".to_owned());
    outside.operation = Operation::File { path: "/tmp/quarterdeck-outside.txt".into(), content };
    assert!(matches!(execute(&*verb, &outside, LIMIT).await, Outcome::Failed { .. }));
    assert!(!std::path::Path::new("/tmp/quarterdeck-outside.txt").exists());
}

#[test]
fn header_text_can_not_be_injected_and_what_is_missing_is_named() {
    let config = comms(Some(mailer(25)), audience());
    let says = |name: &str, args: &[(&str, Value)]| render(&*verb(&config, name), args).unwrap_err().message;
    let with = |key: &'static str, value: &str| {
        let mut args = said();
        args.retain(|(k, _)| *k != key);
        args.push((key, json!(value)));
        args
    };
    assert!(says("comms.email", &with("subject", "a\r\nBcc: x@y.example")).contains("one line"));
    assert!(says("comms.email", &with("text", "a\u{1b}[2J")).contains("controls a terminal"));
    assert!(says("comms.email", &with("audience", "nobody")).ends_with("known: customers"));
    assert!(says("comms.email", &with("subject", "")).contains("subject is not given"));
    assert!(says("comms.webhook", &said()).contains("has no `webhook`"));
    assert!(says("comms.page", &said()).contains("has no `page`"));
    assert!(says("comms.file", &said()).contains("no `dir`"));
    let none = comms(None, audience());
    assert!(render(&*verb(&none, "comms.email"), &said()).unwrap_err().message.contains("no [comms.smtp]"));
}
