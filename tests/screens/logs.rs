//! Logs beside a finding: what asks for them, how they look, and that what was not read is never calm.

use crate::fixture::{at, console, drill, later, now, snapshot};
use crate::{press, screen};
use quarterdeck::console::effect::{Effect, RequestId};
use quarterdeck::console::msg::Msg;
use quarterdeck::console::state::State;
use quarterdeck::console::update;
use quarterdeck::domain::id::TenantId;
use quarterdeck::domain::logs::{
    Fingerprint, LogLevel, LogLine, LogPlace, LogView, Span, Spans, Tail, Told, TracePlace, Untold,
};
use quarterdeck::engine::api::{Command, Reply};

fn asked(effects: &[Effect]) -> Vec<(RequestId, TenantId, Option<jiff::Timestamp>)> {
    let logs = |e: &Effect| match e {
        Effect::Command { id, command: Command::Logs { tenant, from } } => Some((*id, tenant.clone(), *from)),
        _ => None,
    };
    effects.iter().filter_map(logs).collect()
}

fn tick(state: &mut State, seconds: i64) -> Vec<Effect> {
    let wall = later(state, seconds);
    update(state, Msg::Tick(wall))
}

fn tail() -> Tail {
    let kind = |id: &str, level, shape: &str, count, example: &[&str]| Fingerprint {
        id: id.into(),
        level,
        shape: shape.into(),
        count,
        first: Some(at("02:01:41")),
        last: Some(at("02:13:02")),
        example: example.iter().map(|l| (*l).to_owned()).collect(),
    };
    let line = |level, text: &str| LogLine { at: Some(at("02:13:05")), level, text: text.into() };
    Tail {
        lines: 1_000,
        bytes: 141_000,
        of_others: 12,
        oldest: Some(at("01:56:40")),
        newest: Some(at("02:13:05")),
        cut: Some("only the newest 1000 lines were asked for".into()),
        errors: 58,
        warnings: 3,
        fingerprints: vec![
            kind(
                "5c1f09aa",
                LogLevel::Error,
                "psycopg2.errors.LockNotAvailable in sale_x/models/sale_order.py action_confirm",
                57,
                &[
                    "2026-11-21 02:13:02,511 12 ERROR t017 odoo.http: Exception during request handling.",
                    "Traceback (most recent call last):",
                    "  File \"/mnt/extra/addons/sale_x/models/sale_order.py\", line 41, in action_confirm",
                    "psycopg2.errors.LockNotAvailable: could not obtain lock on row in relation \"stock_quant\"",
                ],
            ),
            kind(
                "0b77e310",
                LogLevel::Critical,
                "odoo.service.server: Thread ‹n› virtual real time limit (‹n›/‹n›s) reached.",
                1,
                &["x"],
            ),
        ],
        more_kinds: 0,
        exports: Vec::new(),
        last: vec![
            line(
                LogLevel::Info,
                "2026-11-21 02:13:04,020 12 INFO t017 werkzeug: \"POST /web/dataset/call_kw HTTP/1.1\" 200",
            ),
            line(
                LogLevel::Error,
                "2026-11-21 02:13:05,900 12 ERROR t017 odoo.http: Exception during request handling.",
            ),
        ],
    }
}

fn view() -> LogView {
    let place = |source: &str, log: &str, said| LogPlace { source: source.into(), log: log.into(), took_ms: 84, said };
    let refused = Untold {
        why: "API server 10.0.0.1:6443: answered 403 Forbidden: pods \"odoo-worker-b-2\" is forbidden".into(),
        remedy: Some("ClusterRole rule: apiGroups: [\"\"], resources: [\"pods/log\"], verbs: [\"get\"]".into()),
    };
    let span = Span {
        trace: "4bf92f3577b34da6".into(),
        service: "odoo".into(),
        operation: "POST /web/dataset/call_kw/sale.order/action_confirm".into(),
        at: Some(at("02:12:58")),
        took_s: 61.2,
    };
    LogView {
        tenant: "t017".into(),
        from: at("01:56:40"),
        until: now(),
        logs: vec![
            place("k8s-1", "pod erp-t017/odoo-7d9f-x2x", Told::Yes(tail())),
            place("k8s-1", "pod erp-t017/odoo-worker-b-2", Told::No(refused)),
        ],
        traces: vec![TracePlace {
            source: "tempo-1".into(),
            took_ms: 120,
            said: Told::Yes(Spans { slowest: vec![span], traces: 42, cut: None }),
        }],
        trace_link: Some("https://grafana.example/explore?tenant=t017&from=1".into()),
    }
}

fn answer(state: &mut State, id: RequestId, view: LogView) {
    update(state, Msg::Reply { to: id, reply: Reply::Logs { view: Box::new(view) } });
}

#[test]
fn the_key_shows_the_logs_of_the_tenant_of_a_finding() {
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        let mut state = console(snapshot(), width, height);
        press(&mut state, "f Home");
        let effects = press(&mut state, "Enter l");
        let (id, tenant, from) = asked(&effects).pop().unwrap();
        assert_eq!((tenant.as_str(), from), ("t017", Some(at("01:56:40"))), "five minutes before the finding");
        assert!(screen(&state).contains("being read"), "{}", screen(&state));
        answer(&mut state, id, view());
        insta::assert_snapshot!(format!("sheet_logs_{width}x{height}"), screen(&state));
        press(&mut state, "End");
        assert!(screen(&state).contains("02:13:05,900 12 ERROR"), "{}", screen(&state));
        press(&mut state, "Esc");
        assert!(screen(&state).contains("58 errors of 2 kinds"), "the finding says it too: {}", screen(&state));
    }
}

#[test]
fn an_open_finding_asks_by_itself_and_not_again_at_once() {
    let mut state = console(snapshot(), 120, 40);
    press(&mut state, "f Home Enter");
    let first = asked(&tick(&mut state, 1));
    assert_eq!(first.len(), 1);
    assert!(asked(&tick(&mut state, 40)).is_empty(), "while an answer is awaited");
    answer(&mut state, first[0].0, view());
    // What was asked 40 s ago has grown old; then it stands for half a minute.
    let again = asked(&tick(&mut state, 1));
    assert_eq!(again.len(), 1);
    answer(&mut state, again[0].0, view());
    assert!(asked(&tick(&mut state, 29)).is_empty());
    assert_eq!(asked(&tick(&mut state, 2)).len(), 1);
    press(&mut state, "o");
    assert!(asked(&tick(&mut state, 60)).is_empty(), "nobody looks at it any more");
    let mut state = console(drill(), 120, 40);
    press(&mut state, "f Home Enter");
    assert!(asked(&tick(&mut state, 1)).is_empty(), "a scenario simulates no logs");
}

#[test]
fn rows_of_a_tenant_have_logs_and_others_say_that_they_have_none() {
    let mut state = console(snapshot(), 120, 40);
    let effects = press(&mut state, "t Home l");
    let (_, tenant, from) = asked(&effects).pop().unwrap();
    assert!(!tenant.as_str().is_empty() && from.is_none());
    let mut state = console(snapshot(), 120, 40);
    assert_eq!(asked(&press(&mut state, "t Home Enter l")).len(), 1, "from the sheet of a tenant");
    let mut state = console(snapshot(), 120, 40);
    assert!(asked(&press(&mut state, "5 Home l")).is_empty());
    assert!(screen(&state).contains("nothing here names one"), "{}", screen(&state));
}

#[test]
fn what_was_not_read_is_never_calm() {
    let untold = || Told::No(Untold::new("gone"));
    let place = |said| LogPlace { source: "k8s-1".into(), log: "pod a/b".into(), took_ms: 1, said };
    let quiet = Tail { lines: 40, ..Tail::default() };
    for (logs, words) in [
        (vec![place(Told::Yes(quiet.clone()))], "no error in 40 lines of 1 log"),
        (vec![place(Told::Yes(quiet)), place(untold())], "no error in 40 lines of 1 log; 1 log said nothing"),
        (vec![place(untold())], "not known: the one log said nothing"),
        (vec![place(untold()), place(untold())], "not known: all 2 logs said nothing"),
        (vec![], "not known: no log of this tenant is configured"),
    ] {
        let mut state = console(snapshot(), 120, 40);
        press(&mut state, "f Home");
        let (id, ..) = asked(&press(&mut state, "l")).pop().unwrap();
        answer(&mut state, id, LogView { logs, traces: Vec::new(), trace_link: None, ..view() });
        assert!(screen(&state).contains(words), "{words}: {}", screen(&state));
    }
    let mut state = console(snapshot(), 120, 40);
    press(&mut state, "f Home");
    let (id, ..) = asked(&press(&mut state, "l")).pop().unwrap();
    update(&mut state, Msg::Reply { to: id, reply: Reply::refused("10 questions for logs wait already") });
    assert!(screen(&state).contains("not told: 10 questions"), "{}", screen(&state));
}
