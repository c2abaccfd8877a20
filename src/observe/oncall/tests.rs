use super::*;
use crate::config::decode::decode;
use crate::domain::mode::Mode;
use crate::observe::http::rig::{Tiny, until};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const SOON: Duration = Duration::from_secs(20);

/// A reader of `kind` at `url`, whose key is `k3y-of-pager`.
fn reader(kind: &str, url: &str, more: &str) -> (ScheduleReader, tempfile::NamedTempFile) {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "k3y-of-pager\n").unwrap();
    let id = if kind == "opsgenie" { "name = \"Nacht / DBA\"" } else { "id = \"PI7\"" };
    let text = format!(
        "[estate]\nname = \"a\"\nenvironment = \"staging\"\n[[comms.oncall]]\nname = \"dba\"\n[comms.oncall.schedule]\n\
         kind = \"{kind}\"\n{id}\nurl = \"{url}\"\nkey = \"file:{}\"\n{more}",
        key.path().display()
    );
    let config = decode("c.toml", &text).unwrap();
    let reader = readers(Mode::ReadOnly.may_observe().unwrap(), &config.comms).pop().unwrap();
    (reader, key)
}

fn names(people: &[Contact]) -> Vec<(&str, &str)> {
    people.iter().map(|c| (c.name.as_str(), c.email.as_deref().unwrap_or("-"))).collect()
}

/// What the API of `PagerDuty` is documented to answer.
fn oncall(name: &str, level: u64) -> String {
    format!(
        r#"{{"escalation_policy":{{"id":"PT20","type":"escalation_policy_reference","summary":"E"}},"escalation_level":{level},
        "schedule":{{"id":"PI7","type":"schedule_reference","summary":"S"}},"start":"2026-03-06T15:28:51Z","end":null,
        "user":{{"id":"U{name}","type":"user","summary":"{name}","name":"{name}","email":"{name}@acme.example"}}}}"#
    )
}

#[tokio::test]
async fn pagerduty_is_asked_page_by_page_with_its_version_and_key() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let server = Tiny::http(move |first, head| {
        let second = first.contains("offset=100");
        seen.lock().unwrap().push((first.to_owned(), head.join("\n").to_ascii_lowercase()));
        let page = if second {
            [oncall("mara", 1), oncall("jon", 2)]
        } else {
            [oncall("jon", 2), oncall("in\\u001b[2Jes", 1)]
        };
        (200, format!(r#"{{"oncalls":[{}],"limit":100,"offset":0,"more":{},"total":null}}"#, page.join(","), !second))
    });
    let (mut reader, _key) = reader("pagerduty", &format!("{}/", server.url()), "");
    let people = reader.ask().await.unwrap();
    assert_eq!(
        names(&people),
        [("in·[2Jes", "in·[2Jes@acme.example"), ("mara", "mara@acme.example"), ("jon", "jon@acme.example")],
        "by level, each once, and nothing that controls a terminal"
    );
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 2);
    let (first, head) = &asked[0];
    assert!(first.contains("/oncalls?schedule_ids%5B%5D=PI7&include%5B%5D=users&limit=100&offset=0"), "{first}");
    assert!(head.contains("authorization: token token=k3y-of-pager"), "{head}");
    assert!(head.contains("accept: application/vnd.pagerduty+json;version=2"), "{head}");
}

#[tokio::test]
async fn opsgenie_is_asked_by_the_name_of_its_schedule() {
    let asked = Arc::new(Mutex::new((String::new(), String::new())));
    let seen = asked.clone();
    let server = Tiny::http(move |first, head| {
        *seen.lock().unwrap() = (first.to_owned(), head.join("\n").to_ascii_lowercase());
        let body = r#"{"data":{"_parent":{"id":"d","name":"N","enabled":true},"onCallRecipients":["ines@acme.example"]},
                       "took":0.1,"requestId":"r"}"#;
        (200, body.to_owned())
    });
    let (mut reader, _key) = reader("opsgenie", &server.url(), "");
    assert_eq!(names(&reader.ask().await.unwrap()), [("ines@acme.example", "ines@acme.example")]);
    let (first, head) = asked.lock().unwrap().clone();
    assert!(
        first.contains("/v2/schedules/Nacht%20%2F%20DBA/on-calls?scheduleIdentifierType=name&flat=true"),
        "{first}"
    );
    assert!(head.contains("authorization: geniekey k3y-of-pager"), "{head}");
}

#[tokio::test]
async fn each_thing_that_goes_wrong_is_one_sentence_and_never_nobody() {
    let page = |body: &str| format!("{{\"oncalls\":[{body}],\"more\":false}}");
    let of_other = oncall("jon", 1).replace("PI7", "PX");
    let cases: Vec<(&str, u16, String, &str)> = vec![
        ("pagerduty", 401, "no".into(), "refuses the key file:"),
        (
            "pagerduty",
            403,
            r#"{"error":{"message":"Token k3y-of-pager may not"}}"#.into(),
            "read the PagerDuty schedule PI7 (HTTP 403: Token *** may not)",
        ),
        ("pagerduty", 404, String::new(), "knows no schedule of that id: the PagerDuty schedule PI7 (HTTP 404)"),
        ("pagerduty", 429, String::new(), "wants to be left alone for a while"),
        ("pagerduty", 502, "<html>".into(), "has no answer (HTTP 502)"),
        ("pagerduty", 302, String::new(), "has no answer (HTTP 302)"),
        ("pagerduty", 200, "<html>login</html>".into(), "answers nonsense: no list of `oncalls`"),
        ("pagerduty", 200, "{}".into(), "missing field `oncalls`"),
        ("pagerduty", 200, page(""), "answers that nobody is on call in it"),
        ("pagerduty", 200, page(&of_other), "belongs to another schedule"),
        ("pagerduty", 200, page(r#"{"user":{"id":"U1"}}"#), "a `user` without a name"),
        ("pagerduty", 200, r#"{"oncalls":[],"more":true}"#.into(), "more after a page with nothing on it"),
        ("pagerduty", 200, format!("{{\"oncalls\":[{}],\"more\":true}}", oncall("jon", 1)), "more than 1000 people"),
        ("pagerduty", 200, "x".repeat(ANSWER + 1), "more than 1048576 bytes on one page"),
        ("opsgenie", 200, r#"{"data":{"onCallRecipients":[]}}"#.into(), "answers that nobody is on call in it"),
        ("opsgenie", 200, r#"{"data":{"onCallRecipients":["  "]}}"#.into(), "has no name"),
        (
            "opsgenie",
            200,
            r#"{"data":{"_parent":{"enabled":false},"onCallRecipients":[]}}"#.into(),
            "is switched off there",
        ),
        ("opsgenie", 200, "[]".into(), "answers nonsense: no list `onCallRecipients`"),
        ("opsgenie", 422, r#"{"message":"Could not authenticate"}"#.into(), "(HTTP 422: Could not authenticate)"),
    ];
    for (kind, status, body, part) in cases {
        let server = Tiny::http(move |_, _| (status, body.clone()));
        let (mut reader, _key) = reader(kind, &server.url(), "");
        let why = reader.ask().await.unwrap_err().failure.message;
        assert!(why.contains(part), "{part}\n---\n{why}");
        assert!(!why.contains("k3y") && !why.contains('\n') && why.len() < 400, "{why}");
    }
    let silent = Tiny::raw(std::mem::forget);
    let (mut late, _key) = reader("pagerduty", &silent.url(), "timeout = \"50ms\"\n");
    let why = late.ask().await.unwrap_err().failure;
    assert_eq!(why.kind, FailureKind::Timeout, "{why}");
    let (mut gone, _key) = reader("pagerduty", "http://127.0.0.1:1", "");
    assert_eq!(gone.ask().await.unwrap_err().failure.kind, FailureKind::Unreachable);
}

#[tokio::test]
async fn a_service_that_asks_for_time_gets_it() {
    let server = Tiny::bytes(b"HTTP/1.1 429 X\r\nRetry-After: 90\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let (mut reader, _key) = reader("opsgenie", &server.url(), "");
    let refusal = reader.ask().await.unwrap_err();
    assert!(refusal.failure.message.contains("left alone for 90 s"), "{refusal:?}");
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(90)));
    let mut headers = HeaderMap::new();
    let now = "2026-11-21T00:00:00Z".parse().unwrap();
    for (text, seconds) in [("Sat, 21 Nov 2026 00:02:00 GMT", Some(120)), ("99999999", Some(3600)), ("soon", None)] {
        headers.insert(RETRY_AFTER, HeaderValue::from_str(text).unwrap());
        assert_eq!(waits(&headers, now).map(|w| w.as_secs()), seconds, "{text}");
    }
}

#[tokio::test]
async fn the_last_good_answer_stays_when_a_service_falls_silent() {
    let count = Arc::new(AtomicUsize::new(0));
    let asked = count.clone();
    let server = Tiny::http(move |_, _| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => (200, format!("{{\"oncalls\":[{}],\"more\":false}}", oncall("jon", 1))),
        _ => (500, String::new()),
    });
    let (mut reader, _key) = reader("pagerduty", &server.url(), "");
    reader.config.interval = Duration::from_millis(5);
    let (tell, told) = watch::channel(Standing::default());
    let following = tokio::spawn(reader.follow(tell));
    let standing = until("a failure after a good answer", SOON, async || {
        let standing = told.borrow().clone();
        standing.failed.is_some().then_some(standing)
    });
    let standing = standing.await;
    assert_eq!(names(&standing.good.unwrap().0), [("jon", "jon@acme.example")]);
    assert!(standing.failed.unwrap().0.contains("HTTP 500"));
    drop(told);
    following.abort();
}
