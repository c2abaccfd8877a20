use super::*;
use crate::config::model::{HttpAuth, SecretRef, Webhook};
use crate::domain::estate::{Environment, Tenancy, Tenant};
use crate::domain::mode::Mode;
use crate::domain::sample::Sample;
use crate::domain::signal::Subject;
use crate::observe::http::rig::{Server, Tiny, ports, program, skip, until};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use tokio::sync::mpsc;

fn estate() -> Estate {
    let tenant = Tenant {
        id: "t017".into(),
        name: "A".into(),
        tenancy: Tenancy::Dedicated,
        criticality: 1,
        plants: Vec::new(),
        cutoffs: Vec::new(),
        database: None,
        namespace: None,
        router: None,
    };
    let (name, time_zone) = ("a".into(), "UTC".into());
    Estate { name, environment: Environment::Staging, time_zone, tenants: vec![tenant] }
}

fn config(url: Option<String>, webhook: Option<Webhook>) -> model::Alertmanager {
    model::Alertmanager {
        id: "alerts".into(),
        url,
        auth: HttpAuth::default(),
        ca: crate::config::model::Ca::default(),
        interval: Duration::from_millis(300),
        timeout: Duration::from_secs(2),
        tenant_label: "tenant".into(),
        critical: vec!["critical".into()],
        webhook,
    }
}

/// Runs it until the test ends.
fn run(config: &model::Alertmanager) -> (mpsc::UnboundedReceiver<Sample>, tokio::task::JoinHandle<()>) {
    let observer = AlertmanagerObserver::new(Mode::ReadOnly.may_observe().unwrap(), config, &estate());
    let (send, receive) = mpsc::unbounded_channel();
    let sink: SampleSink = Arc::new(move |sample| {
        let _ = send.send(sample);
    });
    (receive, tokio::spawn(Box::new(observer).run(sink)))
}

async fn next(samples: &mut mpsc::UnboundedReceiver<Sample>, fits: impl Fn(&MeasuredFacts) -> bool) -> MeasuredFacts {
    let wait = async {
        loop {
            let sample = samples.recv().await.unwrap();
            if let Ok(facts) = &sample.result
                && let Facts::Measured(facts) = &**facts
                && fits(facts)
            {
                return facts.clone();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("such a sample comes")
}

fn secret(dir: &std::path::Path) -> SecretRef {
    let path = dir.join("hook");
    std::fs::write(&path, "s3cret-of-the-hook").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    SecretRef::File(path)
}

#[tokio::test]
async fn a_real_one_is_pulled_and_tells_by_its_web_hook_and_resolved_alerts_are_gone() {
    let Some(binary) = program("prometheus-alertmanager") else {
        return skip("alertmanager", "no prometheus-alertmanager (Debian)");
    };
    let dir = tempfile::tempdir().unwrap();
    let [port, hook] = ports::<2>();
    let secret = secret(dir.path());
    let text = format!(
        "route: {{receiver: q, group_wait: 100ms, group_interval: 1s}}\nreceivers:\n- name: q\n  webhook_configs:\n  \
         - url: http://127.0.0.1:{hook}/alerts\n    http_config: {{authorization: {{credentials: s3cret-of-the-hook}}}}\n"
    );
    std::fs::write(dir.path().join("a.yml"), text).unwrap();
    let server = Server::start(
        Command::new(binary)
            .arg(format!("--config.file={}", dir.path().join("a.yml").display()))
            .arg(format!("--storage.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address="),
        &dir.path().join("log"),
    );
    let url = format!("http://127.0.0.1:{port}");
    crate::observe::http::install_ring();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let raise = async |ends: &str| {
        let body = format!(
            r#"[{{"labels":{{"alertname":"InstanceDown","instance":"db1","severity":"critical","tenant":"t017"}},
               "annotations":{{"summary":"db1 \u001b[31mis gone"}}{ends}}}]"#
        );
        let asked = client.post(format!("{url}/api/v2/alerts")).header("Content-Type", "application/json").body(body);
        asked.send().await.ok().filter(|r| r.status().is_success())
    };
    until(&format!("Alertmanager takes an alert; {}", server.log()), Duration::from_secs(20), async || raise("").await)
        .await;

    let (mut pulled, running) = run(&config(Some(url.clone()), None));
    let facts = next(&mut pulled, |f| !f.readings.is_empty()).await;
    let alert =
        Subject::Alert { source: "alerts".into(), alert: "InstanceDown t017 db1".into(), tenant: Some("t017".into()) };
    assert_eq!((&facts.readings[0].subject, facts.readings[0].value), (&alert, 2.0));
    assert!(facts.said[0].contains("db1 ·[31mis gone") && facts.version.is_some(), "{facts:?}");

    let listen = std::net::SocketAddr::from(([127, 0, 0, 1], hook));
    let (mut told, listening) = run(&config(None, Some(Webhook { listen, secret })));
    let facts = next(&mut told, |f| !f.readings.is_empty()).await;
    assert_eq!(facts.readings[0].subject, alert);
    assert!(facts.missing.iter().any(|m| m.disables.contains("whether the Alertmanager lives")));

    let past = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(1);
    raise(&format!(r#","endsAt":"{past}""#)).await.unwrap();
    next(&mut pulled, |f| f.readings.is_empty()).await;
    next(&mut told, |f| f.readings.is_empty()).await;
    drop(server);
    let gone =
        tokio::time::timeout(Duration::from_secs(20), async { while pulled.recv().await.unwrap().result.is_ok() {} });
    gone.await.expect("an Alertmanager that is gone is a failure");
    running.abort();
    listening.abort();
}

/// Sends bytes, and answers the status.
async fn call(at: std::net::SocketAddr, request: String) -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(at).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn the_web_hook_refuses_strangers_and_what_it_can_not_read_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let [port] = ports::<1>();
    let listen = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let (mut samples, running) = run(&config(None, Some(Webhook { listen, secret: secret(dir.path()) })));
    until("the web hook listens", Duration::from_secs(10), async || tokio::net::TcpStream::connect(listen).await.ok())
        .await;
    let with = |method: &str, path: &str, secret: &str, length: usize, body: &str| {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let good = "s3cret-of-the-hook";
    let body = r#"{"version":"4","status":"firing","truncatedAlerts":3,"alerts":[{"status":"firing",
        "labels":{"alertname":"A","severity":"warning"},"annotations":{},"fingerprint":"f1"}]}"#;
    assert_eq!(call(listen, with("POST", "/alerts", "wrong", body.len(), body)).await, 401);
    assert_eq!(call(listen, "POST /alerts HTTP/1.1\r\nContent-Length: 0\r\n\r\n".into()).await, 401);
    assert_eq!(call(listen, with("GET", "/alerts", good, 0, "")).await, 405);
    assert_eq!(call(listen, with("POST", "/", good, 0, "")).await, 404);
    assert_eq!(call(listen, with("POST", "/alerts", good, 99_000_000, "")).await, 413);
    assert_eq!(call(listen, with("POST", "/alerts", good, 4, "nope")).await, 400);
    assert_eq!(call(listen, format!("POST /alerts HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(40_000))).await, 431);
    assert_eq!(call(listen, "\u{1}\u{2}\r\n\r\n".into()).await, 400);
    assert_eq!(call(listen, with("POST", "/alerts", good, body.len(), body)).await, 200);
    let facts = next(&mut samples, |f| !f.readings.is_empty()).await;
    assert!((facts.readings[0].value - 1.0).abs() < 1e-9);
    assert!(facts.missing.iter().any(|m| m.disables.contains("calls of the web hook that were refused")));
    assert!(facts.missing.iter().any(|m| m.disables.starts_with("3 alerts")), "{:?}", facts.missing);
    let resolved = body.replace("\"status\":\"firing\",\n", "\"status\":\"resolved\",\n");
    assert_eq!(call(listen, with("POST", "/alerts", good, resolved.len(), &resolved)).await, 200);
    next(&mut samples, |f| f.readings.is_empty()).await;
    running.abort();
}

#[tokio::test]
async fn rubbish_a_refusal_and_a_hook_that_can_not_listen_are_failures() {
    let first = async |config: &model::Alertmanager| {
        let (mut samples, running) = run(config);
        let sample = tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                if let Err(failure) = samples.recv().await.unwrap().result {
                    return failure;
                }
            }
        });
        let failure = sample.await.expect("a failure comes");
        running.abort();
        failure
    };
    let rubbish = Tiny::http(|_, _| (200, "[{\"labels\":5}]".into()));
    let failure = first(&config(Some(rubbish.url()), None)).await;
    assert!(failure.message.contains("does not answer as Alertmanager does: line 1"), "{failure}");
    let refuses = Tiny::http(|_, _| (403, String::new()));
    assert_eq!(first(&config(Some(refuses.url()), None)).await.kind, FailureKind::Permission);
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hook = Webhook { listen: taken.local_addr().unwrap(), secret: secret(dir.path()) };
    let failure = first(&config(None, Some(hook))).await;
    assert!(failure.message.contains("can not listen"), "{failure}");
}
