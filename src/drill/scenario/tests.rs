use super::*;

const GOOD: &str = "\
exercise:
  id: small
  name: Small
  objectives: [look]
  seed: 1
  minutes: 5
  clock: {start: 2026-11-20T02:00:00Z, speed: 4}
  roles: [commander]
injects:
- id: lock
  at: T+1m30s
  channel: telemetry
  effects: [{fault: lock-chain, tenant: t017}]
  expectations:
  - {id: found, what: it is found, by: 2m, score: 5, match: {kind: finding.acknowledged, body: {finding: lock-chain/t017}}}
  hints: [{after: 1m, cost: 2, text: Look at the database.}]
- id: call
  when: signals.t017[\"lock.blocked\"] >= 5.0
  channel: call
  from: Brandt
  text: Orders hang.
- id: again
  after: call
  wait: 1m
  channel: email
  text: Still.
mistakes:
- {id: restart, what: it does not help, cost: 5, match: {kind: run.started, body: {playbook: queue-backlog}}}
endWhen: elapsed_s > 100.0
";

fn errors(text: &str) -> Vec<String> {
    parse("x.yaml", text).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn a_good_scenario_is_read() {
    let scenario = parse("x.yaml", GOOD).unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(scenario.injects[0].at, Some(Offset(90)));
    assert_eq!(scenario.cast().into_iter().map(|t| t.to_string()).collect::<Vec<_>>(), ["t017"]);
    assert_eq!(scenario.baseline.size, Size::default());
    assert_eq!(scenario.all_hints().map(|(id, ..)| id).collect::<Vec<_>>(), ["lock-1"]);
}

/// Line and column of a word in a text, as errors name them.
fn place(text: &str, word: &str) -> String {
    let at = text.find(word).unwrap_or_else(|| panic!("{word} is not in\n{text}"));
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    format!("x.yaml:{line}:{}: ", at - before.rfind('\n').map_or(0, |n| n + 1) + 1)
}

/// Each change of the good scenario is said at the place of a word.
fn each(cases: &[(&str, &str, &str, &str)]) {
    for (from, to, word, said) in cases {
        assert!(GOOD.contains(from), "{from}");
        let text = GOOD.replacen(from, to, 1);
        let (found, place) = (errors(&text), place(&text, word));
        let is_said = |e: &String| e.starts_with(&place) && e[place.len()..].starts_with(said);
        assert!(found.iter().any(is_said), "{found:#?}\nhas no {place}{said}");
        assert!(found.iter().all(|e| !e.contains('\n')), "{found:?}");
    }
}

#[test]
fn what_is_wrong_in_form_has_its_place() {
    each(&[
        ("  minutes: 5", "  minuten: 5", "minuten", "unknown field `minuten`"),
        ("fault: lock-chain", "fault: lock-chian", "lock-chian", "unknown variant `lock-chian`"),
        ("T+1m30s", "soon", "soon", "`soon` is no time since the beginning"),
        ("after: 1m", "after: soon", "soon, cost", "`soon` is no duration"),
        ("kind: finding.acknowledged", "kind: finding.eaten", "finding.eaten", "unknown variant `finding.eaten`"),
        ("id: small", "id: small\n  id: twice", "id: twice", "the key `id` stands already in line 2"),
    ]);
    assert!(errors(&GOOD.replace("exercise:", "exercise: ["))[0].starts_with("x.yaml:"));
    assert!(errors(&GOOD.replace("tenant: t017}]", "tenant: t017, days: 2}]"))[0].contains("unknown field `days`"));
}

#[test]
fn each_meaning_that_is_wrong_is_said_with_its_place() {
    let condition = "signals.t017[\"lock.blocked\"] >= 5.0";
    let lock = "{fault: lock-chain, tenant: t017}";
    let started = "kind: run.started, body: {playbook: queue-backlog}";
    each(&[
        ("speed: 4", "speed: 0.01", "T+1m30s", "inject `lock` can never come"),
        ("id: small", "id: Small One", "Small One", "the id `Small One` may have"),
        ("roles: [commander]", "roles: [boss]", "boss", "there is no role `boss`; there are commander, deputy"),
        ("at: T+1m30s", "at: T+1h", "T+1h", "inject `lock` can never come: it is due 3600 s"),
        ("tenant: t017}]", "tenant: t999}]", "t999", "there is no tenant t999 in an estate of this size"),
        (lock, "{fault: primary-down, instance: pg-z}", "pg-z", "there is no primary `pg-z`"),
        (lock, "{fault: demand, tenant: t017, factor: 99}", "{fault: demand", "factor is 99"),
        (
            lock,
            "{fault: endpoint-down, tenant: t017, channel: root.x, down: true}",
            "root.x",
            "there is no channel of jobs",
        ),
        ("by: 2m", "by: 30m", "30m", "expectation `found` is due 1890 s"),
        ("score: 5,", "score: 0,", "0, match", "score is 0, allowed is 1 to 1000"),
        (
            "body: {finding:",
            "body: {fnding:",
            "lock-chain/t017",
            "a record finding.acknowledged has no member `fnding`",
        ),
        ("lock.blocked", "lock.blokked", "signals.t017", "there is no signal `lock.blokked`; there are lock."),
        (">= 5.0", ">= (", "signals.t017", "`when`: "),
        ("signals.t017", "signals.t999", "signals.t999", "there is no tenant t999"),
        (condition, "elapsed_s > 5000.0", "elapsed_s > 5000", "`elapsed_s > 5000.0` never holds"),
        (condition, "weather > 1.0", "weather", "`when`: `weather` is not known here"),
        ("  text: Orders hang.\n", "", "id: call", "inject `call` is told to the crew and has no `text`"),
        ("after: call", "after: cal", "cal\n", "inject `again` comes after `cal`, which there is not"),
        ("after: call", "after: again", "again\n  wait", "inject `again` can not be reached, it waits in a cycle"),
        ("  wait: 1m\n", "  at: T+1m\n", "id: again", "inject `again` needs exactly one of"),
        ("channel: email", "channel: approver-absent", "id: again", "inject `again` on this channel needs `for`"),
        ("playbook: queue-backlog}", "playbok: queue-backlog}", "queue-backlog}", "a record run.started has no member"),
        (
            started,
            "kind: step.finished, playbook: queue-backlogs",
            "queue-backlogs",
            "there is no playbook `queue-backlogs`",
        ),
        (
            started,
            "kind: step.finished, playbook: queue-backlog, step: terminate-root",
            "terminate-root",
            "the playbook queue-backlog has no step `terminate-root`",
        ),
        (started, "kind: journal.opened", "journal.opened", "records of the kind journal.opened"),
        ("id: restart", "id: found", "found, what: it does not help", "the id `found` is used by two"),
        (
            "elapsed_s > 100.0",
            "signals.t017[\"nothing\"] > 1.0",
            "signals.t017[\"nothing",
            "there is no signal `nothing`",
        ),
    ]);
}

#[test]
fn every_error_is_named_at_once_in_the_order_of_the_text() {
    let bad = GOOD
        .replace("tenant: t017}]", "tenant: t999}]")
        .replace("  text: Orders hang.\n", "")
        .replace("speed: 4", "speed: 700");
    let found = errors(&bad);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found[0].starts_with("x.yaml:7:") && found[1].starts_with("x.yaml:13:") && found[2].starts_with("x.yaml:17:"),
        "{found:?}"
    );
}

#[test]
fn a_cycle_of_several_is_said_at_each() {
    let bad = GOOD.replace("when: signals.t017[\"lock.blocked\"] >= 5.0", "after: again");
    let found = errors(&bad);
    assert!(found.iter().filter(|e| e.contains("cycle: ")).count() == 2, "{found:?}");
    assert!(found[0].contains("call after again after call"), "{found:?}");
}
