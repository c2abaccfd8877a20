use super::*;
use crate::act::traefik::tests::{estate, render};
use crate::domain::mode::Mode;
use crate::observe::http::rig::{Tiny, ports};
use crate::observe::traefik::lab::{HOST, done};
use serde_json::json;

fn probe(probe_url: Option<&str>) -> Probe {
    let config = Config {
        id: SourceId::from("edge-1"),
        metrics: String::new(),
        api: None,
        dynamic_dir: None,
        maintenance_url: None,
        probe_url: probe_url.map(str::to_owned),
        ca: crate::config::model::Ca::default(),
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
    };
    Probe::new(Mode::Live.may_act().unwrap(), &[config])
}

#[tokio::test]
async fn the_answer_is_status_latency_and_a_clean_beginning() {
    let server = Tiny::http(|first, head| {
        let host = head.iter().find(|l| l.to_ascii_lowercase().starts_with("host:")).cloned().unwrap();
        (503, format!("{first} {host} \u{1b}[31m{}", "é".repeat(300)))
    });
    let verb = probe(Some(&server.url()));
    let args = [("tenant", json!("t017")), ("path", json!("/web/login?db=a&x=y"))];
    let request = render(&verb, &estate(HOST), &args).unwrap();
    let (result, summary) = done(verb.look(&request)).await;
    let body = result["body_start"].as_str().unwrap();
    assert!(body.starts_with("GET /web/login?db=a&x=y HTTP/1.1 host: t017.example ·[31mé"), "{body}");
    assert_eq!((result["status"].as_u64(), body.chars().count()), (Some(503), 200));
    assert_eq!(summary, format!("503 in {} ms", result["latency_ms"].as_u64().unwrap()));
}

#[tokio::test]
async fn an_url_is_asked_as_it_is_and_silence_of_the_port_is_a_failure() {
    let server = Tiny::http(|first, _| (if first.starts_with("GET /x?y HTTP") { 204 } else { 400 }, String::new()));
    let verb = probe(None);
    let url = format!("{}/x?y", server.url());
    let request = render(&verb, &estate(HOST), &[("url", json!(url))]).unwrap();
    assert_eq!(done(verb.look(&request)).await.0["status"], 204);
    assert_eq!(request.by_hand, format!("curl -sSi '{url}'"));
    let [nobody] = ports();
    let request = render(&verb, &estate(HOST), &[("url", json!(format!("http://127.0.0.1:{nobody}")))]).unwrap();
    let outcome = verb.look(&request).await;
    assert!(matches!(&outcome, Outcome::Failed { why } if why.kind == FailureKind::Unreachable), "{outcome:?}");
}

#[test]
fn the_request_can_be_typed_by_hand() {
    let args = [("tenant", json!("t017"))];
    let plain = render(&probe(Some("http://10.0.0.1:8080")), &estate(HOST), &args).unwrap();
    assert_eq!(plain.by_hand, "curl -sSi -H 'Host: t017.example' 'http://10.0.0.1:8080/'");
    assert_eq!(plain.operation.lines(), ["GET http://10.0.0.1:8080/", "Host: t017.example"]);
    let tls = render(&probe(Some("https://10.0.0.1")), &estate(HOST), &args).unwrap();
    assert_eq!(tls.by_hand, "curl -sSi --connect-to t017.example:443:10.0.0.1:443 'https://t017.example/'");
}

#[test]
fn wrong_arguments_are_sentences() {
    let verb = probe(Some("http://10.0.0.1"));
    let says =
        |verb: &Probe, args: &[(&str, serde_json::Value)]| render(verb, &estate(HOST), args).unwrap_err().message;
    for path in ["web", "//other.example/", "/\\other", "/a\nb", ""] {
        let message = says(&verb, &[("tenant", json!("t017")), ("path", json!(path))]);
        assert!(message.contains("is no path"), "{path:?}: {message}");
    }
    assert!(says(&verb, &[]).contains("the argument tenant"));
    assert!(says(&verb, &[("tenant", json!("t017")), ("url", json!("http://a"))]).contains("not both"));
    assert!(says(&verb, &[("url", json!("file:///etc/passwd"))]).contains("must begin with http"));
    assert!(says(&verb, &[("url", json!("http://u:p@a"))]).contains("no user or password"));
    assert!(says(&probe(None), &[("tenant", json!("t017"))]).contains("has no probe_url"));
}
