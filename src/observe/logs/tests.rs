//! Loki and `OpenSearch` are simulated here: small servers that answer as theirs do, and as none should.

use super::*;
use crate::config::decode::decode;
use crate::domain::logs::{LogAsk, LogView, Told};
use crate::domain::mode::Mode;
use crate::observe::http::rig::Tiny;
use crate::observe::kubernetes::fake::{Asked, Fake, Reply};
use jiff::Timestamp;
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::time::Duration;

const BEGIN: &str = "[estate]\nname = \"a\"\nenvironment = \"staging\"\n";
const TENANT: &str = "[[tenant]]\nid = \"t017\"\nname = \"A\"\n\
                      database = { instance = \"pg\", name = \"t017\" }\n\
                      kubernetes = { cluster = \"k8s\", namespace = \"erp-t017\" }\n\
                      [[postgres]]\nid = \"pg\"\nhost = \"h\"\nuser = \"u\"\n";

fn config(kubeconfig: &str, more: &str) -> Config {
    let cluster = format!("[[kubernetes]]\nid = \"k8s\"\nkubeconfig = \"{kubeconfig}\"\n");
    decode("c.toml", &format!("{BEGIN}{TENANT}{cluster}{more}")).unwrap()
}

fn ask(config: &Config) -> LogAsk {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    LogAsk {
        tenant: config.estate.tenants[0].clone(),
        from: at("2026-11-22T06:45:00Z"),
        until: at("2026-11-22T07:10:00Z"),
    }
}

/// What the source of that name says.
async fn said(config: &Config, id: &str) -> Vec<LogPlace> {
    let all = readers(Mode::ReadOnly.may_observe().unwrap(), config);
    let reader = all.iter().find(|r| r.id().as_str() == id).unwrap();
    tokio::time::timeout(Duration::from_secs(20), reader.read(&ask(config))).await.unwrap()
}

pub(super) fn tail(place: &LogPlace) -> &Tail {
    match &place.said {
        Told::Yes(tail) => tail,
        Told::No(untold) => panic!("{untold:?}"),
    }
}

pub(super) fn untold(place: &LogPlace) -> &Untold {
    match &place.said {
        Told::Yes(tail) => panic!("{tail:?}"),
        Told::No(untold) => untold,
    }
}

fn web(kind: &str, url: &str) -> String {
    format!(
        "[[logs]]\nid = \"w\"\nkind = \"{kind}\"\nurl = \"{url}\"\ntimeout = \"600ms\"\n[[logs.query]]\n\
         name = \"access log\"\nquery = 'a=\"{{namespace}}\"'\n"
    )
}

const ODOO: &str = "2026-11-22 07:00:01,123 7 ERROR t017 odoo.http: broken pipe 17";

fn loki_answer() -> String {
    let at = |s: i64| (1_795_330_800_i64 + s).to_string() + "000000000";
    json!({ "status": "success", "data": { "resultType": "streams", "result": [
        { "stream": { "app": "odoo" }, "values": [[at(2), ODOO.replace("pipe 17", "pipe 9")], [at(1), ODOO]] },
        { "stream": { "app": "traefik" }, "values": [[at(3), "10.0.0.1 - - [22/Nov/2026:07:00:03 +0000] \"GET /x HTTP/1.1\" 502 1"]] },
    ] } })
    .to_string()
}

#[tokio::test]
async fn loki_is_asked_for_the_tenant_and_its_lines_are_counted_in_their_order() {
    let server = Tiny::http(|first, head| {
        let url = first.split(' ').nth(1).unwrap().to_owned();
        let wanted = [
            "/loki/api/v1/query_range?",
            "query=a%3D%22erp-t017%22",
            "start=1795329900000000000",
            "direction=backward",
        ];
        let fine = wanted.iter().all(|w| url.contains(w))
            && head.iter().any(|h| h.eq_ignore_ascii_case("x-scope-orgid: org7"));
        if fine { (200, loki_answer()) } else { (400, format!("parse error at {url} {head:?}")) }
    });
    let text = web("loki", &server.url()).replace("timeout", "org = \"org7\"\ntimeout");
    let places = said(&config("/none", &text), "w").await;
    let tail = tail(&places[0]);
    assert_eq!((places[0].log.as_str(), tail.lines, tail.errors, tail.fingerprints.len()), ("access log", 3, 3, 2));
    assert_eq!(tail.fingerprints[0].shape, "odoo.http: broken pipe ‹n›");
    assert_eq!(tail.fingerprints[0].count, 2);
    assert!(tail.last.windows(2).all(|w| w[0].at <= w[1].at), "{:?}", tail.last);
}

#[tokio::test]
async fn opensearch_is_asked_by_a_get_and_partial_answers_are_said() {
    let server = Tiny::http(|first, _| {
        let target = first.split(' ').nth(1).unwrap();
        let url = reqwest::Url::parse(&format!("http://h{target}")).unwrap();
        let source = url.query_pairs().find(|(k, _)| k == "source").unwrap().1.into_owned();
        let source: serde_json::Value = serde_json::from_str(&source).unwrap();
        let filters = &source["query"]["bool"]["filter"];
        if !first.starts_with("GET ")
            || url.path() != "/odoo-*/_search"
            || filters[0]["query_string"]["query"] != "a=\"erp-t017\""
            || filters[1]["range"]["@timestamp"]["gte"] != "2026-11-22T06:45:00Z"
        {
            return (400, format!("{source}"));
        }
        let hit = |at: &str, text: &str| json!({ "_source": { "@timestamp": at, "log": { "text": text } } });
        let hits = [hit("2026-11-22T07:00:02Z", ODOO), hit("2026-11-22T07:00:01Z", "INFO fine")];
        (200, json!({ "timed_out": false, "_shards": { "failed": 1 }, "hits": { "hits": hits } }).to_string())
    });
    let text = web("opensearch", &server.url()) + "index = \"odoo-*\"\nmessage = \"log.text\"\n";
    let places = said(&config("/none", &text), "w").await;
    let tail = tail(&places[0]);
    assert_eq!((tail.lines, tail.errors), (2, 1));
    assert_eq!(tail.cut.as_deref(), Some("1 of its shards did not answer"));
}

#[tokio::test]
async fn what_a_system_of_logs_does_wrong_is_said_in_its_place() {
    for kind in ["loki", "opensearch"] {
        let refuses = Tiny::http(|_, _| (403, "no org for Bearer abc1.def".into()));
        let rejects = Tiny::http(|_, _| (400, "parse error at line 1\u{1b}[2J: unexpected IDENTIFIER".into()));
        let broken = Tiny::http(|_, _| (200, "{\"data\":".into()));
        let other = Tiny::http(|_, _| (200, "{\"status\":\"ok\"}".into()));
        let silent = Tiny::raw(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
        let endless = Tiny::raw(|mut stream| {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(&[b'x'; 8_192]).is_ok() {}
        });
        let slow = Tiny::raw(|mut stream| {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{");
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let cut = Tiny::bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{");
        for (url, words) in [
            (refuses.url(), "answered HTTP 403: no org for Bearer ***"),
            (rejects.url(), "answered HTTP 400: parse error at line 1·[2J: unexpected IDENTIFIER"),
            (broken.url(), "it is no JSON"),
            (other.url(), "does not answer as it should: the answer has no `"),
            (silent.url(), "no answer from http://127.0.0.1"),
            (endless.url(), "sent more than 4 MiB"),
            (slow.url(), "no answer from http://127.0.0.1"),
            (cut.url(), "127.0.0.1"),
            ("http://127.0.0.1:9".to_owned(), "no connection to http://127.0.0.1:9"),
        ] {
            let mut text = web(kind, &url);
            if words != "no answer from http://127.0.0.1" {
                // On a busy machine an answer may take its time; only silence is to be waited for.
                text = text.replace("600ms", "9s");
            }
            let places = said(&config("/none", &text), "w").await;
            let why = untold(&places[0]);
            assert!(why.why.contains(words), "{kind} {words}: {why:?}");
            assert!(places[0].took_ms < 10_000, "{places:?}");
            assert_eq!(words.contains("403"), why.remedy.as_ref().is_some_and(|r| r.contains("bearer")), "{why:?}");
        }
    }
    let numbers = Tiny::http(|_, _| (200, json!({ "data": { "resultType": "matrix", "result": [] } }).to_string()));
    let places = said(&config("/none", &web("loki", &numbers.url())), "w").await;
    assert!(untold(&places[0]).why.contains("gives numbers and no lines"));
    let empty = Tiny::http(|_, _| (200, json!({ "timed_out": true, "hits": { "hits": [] } }).to_string()));
    let places = said(&config("/none", &web("opensearch", &empty.url())), "w").await;
    assert!(untold(&places[0]).why.contains("gave up searching"), "nothing found in time is not calm");
}

#[tokio::test]
async fn the_end_of_a_file_is_read_and_what_can_not_be_read_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let file = |path: &str| format!("[[logs]]\nid = \"f\"\nkind = \"file\"\npath = \"{path}\"\n");
    let filler = "2026-11-22 06:50:00,000 7 INFO t017 odoo: nothing of interest here\n".repeat(20_000);
    std::fs::write(path("t017.log"), format!("{filler}{ODOO}\n{}\n", ODOO.replace("t017", "t003"))).unwrap();
    let places = said(&config("/none", &file(&path("{tenant}.log"))), "f").await;
    let read = tail(&places[0]);
    assert_eq!((read.errors, read.of_others, read.cut.as_deref()), (1, 1, Some("only its last 1024 KiB were read")));
    assert!(read.bytes <= u64::try_from(LONGEST).unwrap() && read.newest.is_some());
    for (name, words) in [("gone.log", "is not there"), ("", "is no file")] {
        let places = said(&config("/none", &file(&path(name))), "f").await;
        assert!(untold(&places[0]).why.contains(words), "{places:?}");
    }
    rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("pipe"), rustix::fs::Mode::RUSR).unwrap();
    let places = said(&config("/none", &file(&path("pipe"))), "f").await;
    assert!(untold(&places[0]).why.contains("is no file"), "a pipe would keep its reader waiting: {places:?}");
    let mut outside = config("/none", &file(&path("{database}")));
    outside.estate.tenants[0].database.as_mut().unwrap().name = "../../etc/passwd".into();
    let places = said(&outside, "f").await;
    assert!(untold(&places[0]).why.contains("can not be part of a path"), "{places:?}");
}

fn pod(name: &str, owner: &str, ready: bool, restarts: u32) -> serde_json::Value {
    let state = if ready { json!({ "running": {} }) } else { json!({ "waiting": { "reason": "CrashLoopBackOff" } }) };
    json!({
        "metadata": { "name": name, "ownerReferences": [{ "kind": "ReplicaSet", "name": owner }] },
        "spec": { "containers": [{ "name": "proxy" }, { "name": "odoo" }] },
        "status": { "containerStatuses": [{ "name": "odoo", "ready": ready, "restartCount": restarts, "state": state }] },
    })
}

fn listed(pods: &[serde_json::Value]) -> Reply {
    Reply::Answer(200, json!({ "items": pods }).to_string())
}

fn is_log(asked: &Asked) -> bool {
    asked.line.contains("/log?")
}

#[tokio::test]
async fn pods_that_do_not_run_well_are_read_first_and_a_crashed_one_before_its_restart() {
    let pods = [
        pod("odoo-a-1", "odoo-a", true, 0),
        pod("odoo-worker-b-2", "odoo-worker-b", false, 4),
        pod("other-c-3", "other-c", false, 9),
    ];
    let fake = Fake::start(move |asked| {
        if !is_log(asked) {
            return listed(&pods);
        }
        Reply::Answer(200, format!("2026-11-22T07:00:02.5Z {ODOO}\n"))
    })
    .await;
    let config = config(&fake.kubeconfig.display().to_string(), "");
    let places = said(&config, "k8s").await;
    let names: Vec<&str> = places.iter().map(|p| p.log.as_str()).collect();
    assert_eq!(names, ["pod erp-t017/odoo-worker-b-2, before its restart", "pod erp-t017/odoo-a-1"]);
    assert_eq!(tail(&places[1]).newest.unwrap().to_string(), "2026-11-22T07:00:02.5Z");
    assert_eq!((fake.count("container=odoo"), fake.count("previous=true"), fake.count("taillines=1000")), (2, 1, 2));
    assert_eq!(fake.count("sincetime=2026-11-22t06:45:00z"), 1, "what ended before is read whole");
}

#[tokio::test]
async fn a_right_that_is_missing_is_named_with_its_rule() {
    let forbidden = |words: &str| Reply::Answer(403, json!({ "kind": "Status", "message": words }).to_string());
    let fake = Fake::start(move |asked| {
        if is_log(asked) {
            forbidden("pods is forbidden: can not get pods/log")
        } else {
            listed(&[pod("odoo-a-1", "odoo-a", true, 0)])
        }
    })
    .await;
    let places = said(&config(&fake.kubeconfig.display().to_string(), ""), "k8s").await;
    let why = untold(&places[0]);
    assert!(
        why.why.contains("403") && why.remedy.as_ref().unwrap().contains("resources: [\"pods/log\"], verbs: [\"get\"]"),
        "{why:?}"
    );
    let fake = Fake::start(move |_| forbidden("no")).await;
    let places = said(&config(&fake.kubeconfig.display().to_string(), ""), "k8s").await;
    assert!(
        untold(&places[0]).remedy.as_ref().unwrap().contains("resources: [\"pods\"], verbs: [\"list\"]"),
        "{places:?}"
    );
    let places = said(&config("/nowhere/kubeconfig", ""), "k8s").await;
    assert!(untold(&places[0]).why.contains("kubeconfig /nowhere/kubeconfig"), "{places:?}");
    let fake = Fake::start(|_| listed(&[])).await;
    let places = said(&config(&fake.kubeconfig.display().to_string(), ""), "k8s").await;
    assert!(untold(&places[0]).why.contains("there is no pod of odoo or odoo-worker in erp-t017"), "{places:?}");
}

#[tokio::test]
async fn endless_logs_and_many_pods_are_bounded() {
    let many: Vec<_> = (0..9).map(|n| pod(&format!("odoo-a-{n}"), "odoo-a", true, 0)).collect();
    let fake = Fake::start(move |asked| {
        if !is_log(asked) {
            return listed(&many);
        }
        // Longer than is read at all, and as long with fewer lines for one of the pods.
        let short = asked.line.contains("taillines=50&") && !asked.line.contains("odoo-a-2");
        let lines = if short { 50 } else { 280 };
        Reply::Answer(200, format!("2026-11-22T07:00:02.5Z INFO {}\n", "x".repeat(4_000)).repeat(lines))
    })
    .await;
    let places = said(&config(&fake.kubeconfig.display().to_string(), ""), "k8s").await;
    assert_eq!(places.len(), 7);
    assert!(untold(&places[6]).why.starts_with("3 more pods were not read"), "{:?}", places[6]);
    let cut: Vec<_> = places[..6].iter().filter_map(|p| tail(p).cut.as_deref()).collect();
    assert_eq!(cut, ["its last 50 lines are longer than 1024 KiB, the newest are missing"]);
    assert!(places[..6].iter().all(|p| tail(p).bytes <= u64::try_from(LONGEST).unwrap()));
}

#[tokio::test]
async fn a_log_that_hangs_keeps_what_has_come_and_says_so() {
    let fake = Fake::start(|asked| {
        if !is_log(asked) {
            return listed(&[pod("odoo-a-1", "odoo-a", true, 0), pod("odoo-a-2", "odoo-a", true, 0)]);
        }
        if asked.line.contains("odoo-a-1") {
            Reply::Watch(vec![format!("2026-11-22T07:00:02.5Z {ODOO}")])
        } else {
            Reply::Silence
        }
    })
    .await;
    let places = said(&config(&fake.kubeconfig.display().to_string(), ""), "k8s").await;
    let of = |name: &str| places.iter().find(|p| p.log.ends_with(name)).unwrap();
    assert_eq!(tail(of("odoo-a-1")).cut.as_deref(), Some("no more came within 5 s"));
    assert!(untold(of("odoo-a-2")).why.contains("within 5 s"), "{places:?}");
}

#[test]
fn errors_of_several_logs_are_put_together_and_silence_is_counted() {
    let mut reader = crate::correlate::logs::Reader::new(None);
    reader.feed(format!("{ODOO}\n{ODOO}\n").as_bytes());
    let at = Instant::now();
    let place = |log: &str, said| place(&SourceId::new("k8s"), log, at, said);
    let view = LogView {
        tenant: "t017".into(),
        from: Timestamp::UNIX_EPOCH,
        until: Timestamp::UNIX_EPOCH,
        logs: vec![
            place("a", Ok(reader.finish())),
            place("b", Err(Untold::new("gone"))),
            place("c", Ok(Tail::default())),
        ],
        traces: Vec::new(),
        trace_link: None,
    };
    let totals = view.totals();
    assert_eq!((totals.told, totals.untold, totals.errors, totals.kinds, totals.lines), (2, 1, 2, 1, 2));
    assert_eq!(view.worst()[0].0.log, "a");
}
