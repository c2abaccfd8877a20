//! Tempo and Jaeger are simulated here: small servers that answer as theirs do, and as none should.

use super::*;
use crate::config::decode::decode;
use crate::domain::logs::Told;
use crate::domain::mode::Mode;
use crate::observe::http::rig::Tiny;
use serde_json::json;

async fn said(kind: &str, key: &str, url: &str) -> Told<Spans> {
    let text = format!(
        "[estate]\nname = \"a\"\nenvironment = \"staging\"\n[[tenant]]\nid = \"t017\"\nname = \"A\"\n[[traces]]\n\
         id = \"tr\"\nkind = \"{kind}\"\nurl = \"{url}\"\n{key} = 'odoo-{{tenant}}'\ntimeout = \"9s\"\n"
    );
    let config = decode("c.toml", &text).unwrap();
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let tenant = config.estate.tenants[0].clone();
    let ask = LogAsk { tenant, from: at("2026-11-22T06:45:00Z"), until: at("2026-11-22T07:10:00Z") };
    let all = readers(Mode::ReadOnly.may_observe().unwrap(), &config);
    all[0].read(&ask).await.unwrap().said
}

fn told(said: Told<Spans>) -> Spans {
    match said {
        Told::Yes(spans) => spans,
        Told::No(untold) => panic!("{untold:?}"),
    }
}

#[tokio::test]
async fn the_slowest_spans_of_tempo_come_first() {
    let tempo = Tiny::http(|first, _| {
        if !["/api/search?", "q=odoo-t017", "start=1795329900", "end=1795331401"].iter().all(|w| first.contains(w)) {
            return (400, first.to_owned());
        }
        let span = |name: &str, nanos: &str| {
            let service = json!([{ "key": "service.name", "value": { "stringValue": "postgres" } }]);
            json!({ "spanID": "1", "name": name, "startTimeUnixNano": "1795330800000000000", "durationNanos": nanos, "attributes": service })
        };
        let trace = |id: &str, ms: u64, spans: serde_json::Value| {
            json!({ "traceID": id, "rootServiceName": "odoo", "rootTraceName": "POST /web", "startTimeUnixNano": "1795330800000000000",
                    "durationMs": ms, "spanSets": [{ "spans": spans, "matched": 1 }] })
        };
        let traces = [
            trace("aa", 1200, json!([span("SELECT", "900000000")])),
            trace("bb", 8400, json!([span("UPDATE \u{1b}[1m", "8000000000"), span("odd", "NaN")])),
        ];
        (200, json!({ "traces": traces, "metrics": {} }).to_string())
    });
    let spans = told(said("tempo", "query", &tempo.url()).await);
    let found: Vec<_> =
        spans.slowest.iter().map(|s| (s.trace.as_str(), s.service.as_str(), s.operation.as_str(), s.took_s)).collect();
    assert_eq!(
        found,
        [
            ("bb", "odoo", "POST /web", 8.4),
            ("bb", "postgres", "UPDATE ·[1m", 8.0),
            ("aa", "odoo", "POST /web", 1.2),
            ("aa", "postgres", "SELECT", 0.9),
        ]
    );
    assert_eq!(spans.slowest[0].at.unwrap().to_string(), "2026-11-22T07:00:00Z");
}

#[tokio::test]
async fn the_slowest_spans_of_jaeger_have_the_service_of_their_process() {
    let jaeger = Tiny::http(|first, _| {
        if !["/api/traces?", "service=odoo-t017", "start=1795329900000000"].iter().all(|w| first.contains(w)) {
            return (400, first.to_owned());
        }
        let span = |name: &str, process: &str, us: i64| json!({ "traceID": "aa", "operationName": name, "processID": process, "startTime": 1_795_330_800_000_000_i64, "duration": us });
        let spans = [span("render", "p1", 10_000), span("INSERT", "p2", 3_500_000), span("back", "p1", -4)];
        let processes = json!({ "p1": { "serviceName": "odoo" }, "p2": { "serviceName": "postgres" } });
        (
            200,
            json!({ "data": [{ "traceID": "aa", "spans": spans, "processes": processes }], "errors": null })
                .to_string(),
        )
    });
    let spans = told(said("jaeger", "service", &jaeger.url()).await);
    let found: Vec<_> = spans.slowest.iter().map(|s| (s.service.as_str(), s.operation.as_str(), s.took_s)).collect();
    assert_eq!(found, [("postgres", "INSERT", 3.5), ("odoo", "render", 0.01)]);
    let none = Tiny::http(|_, _| (200, json!({ "data": null, "errors": null }).to_string()));
    assert_eq!(told(said("jaeger", "service", &none.url()).await), Spans::default());
}

#[tokio::test]
async fn what_a_system_of_traces_does_wrong_is_said() {
    for (kind, key) in [("tempo", "query"), ("jaeger", "service")] {
        let refuses = Tiny::http(|_, _| (401, String::new()));
        let other = Tiny::http(|_, _| (200, "{\"errors\":[{\"msg\":\"no such service\"}]}".into()));
        let endless = Tiny::http(|_, _| (200, "x".repeat(5 << 20)));
        for (url, words) in [
            (refuses.url(), "answered HTTP 401"),
            (other.url(), "does not answer as it should: "),
            (endless.url(), "sent more than 4 MiB"),
            ("http://127.0.0.1:9".into(), "no connection to"),
        ] {
            match said(kind, key, &url).await {
                Told::No(untold) => assert!(untold.why.contains(words), "{kind} {words}: {untold:?}"),
                Told::Yes(spans) => panic!("{kind} {words}: {spans:?}"),
            }
        }
    }
}
