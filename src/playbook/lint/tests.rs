use super::*;
use crate::domain::request::ArgSpec;
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::playbook::library::Library;

const fn arg(name: &'static str, required: bool) -> ArgSpec {
    ArgSpec { name, required, what: "a name" }
}

const fn verb(name: &'static str, risk_floor: Risk, read_only: bool, args: &'static [ArgSpec]) -> VerbSpec {
    VerbSpec {
        name,
        what: "for tests",
        risk_floor,
        blast_radius: BlastRadius::Pod,
        reversible: Reversible::Compensatable,
        idempotent: true,
        read_only,
        args,
    }
}

const BACKEND: &[ArgSpec] =
    &[arg("instance", true), arg("root_of", false), arg("pid", false), arg("backend_start", false)];
const DEPLOYMENT: &[ArgSpec] = &[arg("cluster", true), arg("namespace", true), arg("deployment", true)];

/// What the adapters offer, as the lint sees it.
static VERBS: [VerbSpec; 10] = [
    verb("postgres.blocking_tree", Risk::Low, true, &[arg("instance", true), arg("database", false)]),
    verb("postgres.cancel_backend", Risk::Medium, false, BACKEND),
    VerbSpec { reversible: Reversible::No, ..verb("postgres.terminate_backend", Risk::High, false, BACKEND) },
    verb("odoo.queue_inspect", Risk::Low, true, &[arg("tenant", true)]),
    VerbSpec {
        idempotent: false,
        ..verb(
            "odoo.requeue_jobs",
            Risk::Medium,
            false,
            &[arg("tenant", true), arg("channel", false), arg("older_than_s", false)],
        )
    },
    verb("kubernetes.rollout_restart", Risk::Low, false, DEPLOYMENT),
    verb("kubernetes.rollout_status", Risk::Low, true, DEPLOYMENT),
    verb("traefik.maintenance_on", Risk::Medium, false, &[arg("tenant", true)]),
    verb("traefik.maintenance_off", Risk::Medium, false, &[arg("tenant", true)]),
    verb("http.probe", Risk::Low, true, &[arg("tenant", false), arg("url", false), arg("path", false)]),
];

const SIGNALS: [&str; 7] =
    ["lock.blocked", "lock.oldest", "queue.depth", "queue.oldest", "queue.zombies", "http.p95", "replication.lag"];

fn verbs() -> Vec<&'static VerbSpec> {
    VERBS.iter().collect()
}

fn problems(text: &str) -> Vec<String> {
    lint(text, "p.yaml", &verbs(), &SIGNALS).iter().map(ToString::to_string).collect()
}

const GOOD: &str = "\
schemaVersion: 1
id: good
name: Good
version: 1
owner: platform
description: For tests
parameters:
  tenant: {type: tenant, required: true}
  limit: {type: integer, default: 3}
steps:
- id: tree
  name: Tree
  why: To see
  type: check
  run: {adapter: postgres, verb: blocking_tree, args: {instance: \"{{ tenant.instance }}\"}}
- id: cancel
  name: Cancel
  why: To free
  type: action
  risk: medium
  run: {adapter: postgres, verb: cancel_backend, args: {instance: \"{{ tenant.instance }}\", pid: \"{{ outputs.tree.pid }}\"}}
  verify: [{check: signals.lock.blocked == 0, within: 30s}]
";

fn changed(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from), "{from}");
    problems(&GOOD.replacen(from, to, 1))
}

#[test]
fn a_good_playbook_is_free_of_problems() {
    assert_eq!(problems(GOOD), Vec::<String>::new());
}

#[test]
fn several_errors_are_all_named_at_once_each_with_its_place() {
    let text = GOOD
        .replacen("name: Good", "nmae: Good", 1)
        .replacen("version: 1\nowner", "version: one\nowner", 1)
        .replacen("type: integer", "type: int", 1)
        .replacen("why: To see", "why: [To see]", 1)
        .replacen("  risk: medium\n", "  risk: medium\n  risk: low\n  retrry: {maxAttempts: 3}\n", 1)
        .replacen("within: 30s", "within: soon", 1);
    let found = problems(&text);
    for part in [
        "p.yaml:3:1: unknown key `nmae`, expected one of `schemaVersion`",
        "p.yaml:1:1: the playbook lacks `name`",
        "p.yaml:4:10: `version`: found string \"one\", expected a whole number",
        "p.yaml:9:17: `parameters.limit.type`: found `int`, expected one of `string`",
        "p.yaml:13:8: `steps.0.why`: found sequence, expected a string",
        "p.yaml:21:3: the key `risk` stands already in line 20",
        "p.yaml:22:3: unknown key `retrry`, expected one of",
        "expected a length of time such as `30s`",
    ] {
        assert!(found.iter().any(|p| p.contains(part)), "{part} is not in\n{}", found.join("\n"));
    }
    assert_eq!(found.len(), 8, "{}", found.join("\n"));
}

#[test]
fn places_stay_right_behind_what_was_taken_out_of_a_list() {
    let text =
        GOOD.replacen("- id: tree\n", "- just a text\n- 7\n- id: tree\n", 1).replacen("why: To free", "why: {}", 1);
    let found = problems(&text);
    assert!(found.iter().any(|p| p.starts_with("p.yaml:11:3: `steps.0`: found string")), "{found:?}");
    assert!(found.iter().any(|p| p.starts_with("p.yaml:12:3: `steps.1`: found integer")), "{found:?}");
    assert!(found.iter().any(|p| p.starts_with("p.yaml:20:8: `steps.3.why`: found map")), "{found:?}");
}

#[test]
fn all_that_a_step_lacks_is_named() {
    let found = changed("  name: Cancel\n  why: To free\n  type: action\n", "");
    for key in ["name", "why", "type"] {
        assert!(found.iter().any(|p| p.contains(&format!("p.yaml:16:3: `steps.1` lacks `{key}`"))), "{found:?}");
    }
}

#[test]
fn what_is_no_yaml_is_pointed_at() {
    for (text, place) in
        [("a: [1, 2", "p.yaml:"), ("a: b: c\n", "p.yaml:1:"), ("\tx: 1", "p.yaml:1:"), ("", "p.yaml:1:1")]
    {
        let found = problems(text);
        assert!(found[0].starts_with(place), "{text:?}: {found:?}");
    }
    let bomb: String = (1..30).fold("a0: &a0 [x]\n".to_owned(), |text, i| {
        format!("{text}a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", "))
    });
    assert_eq!(problems(&bomb).len(), 1, "an alias bomb is one sentence");
    assert!(problems(&"x".repeat(300_000))[0].contains("at most 262144 are read"));
}

#[test]
fn what_the_words_mean_is_checked() {
    for (from, to, expected) in [
        ("schemaVersion: 1", "schemaVersion: 2", "p.yaml:1:16: schema version 2 is not known"),
        ("id: good", "id: Good one", "p.yaml:2:5: `Good one` is no id"),
        ("verb: cancel_backend", "verb: cancel_backened", "unknown verb `postgres.cancel_backened`, did you mean"),
        ("adapter: postgres, verb: cancel", "adapter: oracle, verb: cancel", "unknown verb `oracle.cancel_backend`"),
        ("pid: ", "pdi: ", "postgres.cancel_backend has no argument `pdi`, did you mean `pid`?"),
        ("args: {instance: \"{{ tenant.instance }}\", ", "args: {", "needs the argument `instance`: a name"),
        ("risk: medium", "risk: low", "postgres.cancel_backend is at least medium, the step says low"),
        ("signals.lock.blocked", "signals.lock.blokked", "p.yaml:22:20: unknown signal `lock.blokked`, did you mean"),
        ("signals.lock.blocked == 0", "signals.lock.blocked", "it must be true or false"),
        ("signals.lock.blocked == 0", "params.limit == 3", "so that it proves nothing"),
        ("signals.lock.blocked == 0", "result.x == 0", "`result` is there only beside a `run`"),
        ("outputs.tree.pid", "outputs.cancel.pid", "no step before this one has the output `cancel`"),
        ("\"{{ outputs.tree.pid }}\"", "\"{{ outputs.tree.pid \"", "syntax error"),
        ("{{ outputs.tree.pid }}", "{{ params.pid }}", "unknown parameter `pid`"),
        ("{{ outputs.tree.pid }}", "{{ tenant.pid }}", "a tenant has no `pid`"),
        ("{{ outputs.tree.pid }}", "{{ pid }}", "unknown variable `pid`"),
        ("{{ outputs.tree.pid }}", "{{ params.limit | frobnicate }}", "unknown filter"),
        ("id: cancel", "id: tree", "the id `tree` is taken by step 1 already"),
        ("id: cancel", "id: exit-criteria", "is the name of the step for the exit criteria"),
        ("type: check", "type: parallel", "a step of type parallel has no `run`"),
        ("type: check", "type: chekc", "unknown step type `chekc`"),
        ("type: check", "type: action", "postgres.blocking_tree only looks"),
        ("type: action\n  risk: medium", "type: check", "changes something; that is a step of type action"),
        ("  risk: medium", "  risk: medium\n  onFailure: step:tree", "going back makes a cycle"),
        ("  risk: medium", "  risk: medium\n  onFailure: step:gone", "there is no step `gone`"),
        (
            "  risk: medium",
            "  risk: medium\n  onFailure: rollback",
            "neither this step nor one before it has a `rollback`",
        ),
        ("  risk: medium", "  risk: medium\n  choices: [{key: a, label: A, then: continue}]", "has no `choices`"),
        ("  risk: medium", "  risk: medium\n  timeout: 0s", "a timeout lies between"),
        ("  risk: medium", "  risk: medium\n  timeout: -5s", "expected a length of time"),
        (
            "  risk: medium",
            "  risk: medium\n  requires: {role: wizard}",
            "p.yaml:21:20: `steps.1.requires.role`: found `wizard`, expected one of `commander`, `deputy`",
        ),
        ("  risk: medium", "  risk: medium\n  reversible: maybe", "expected `true`, `false` or `compensatable`"),
        ("  risk: medium", "  risk: high", "the high-risk step `cancel` needs `approval`"),
        ("  risk: medium", "  risk: high", "needs `rollback`, or the words `reversible: false`"),
        ("default: 3", "default: three", "the value is not of the parameter's type: a whole number"),
        ("default: 3", "default: 3, required: true", "has no use for a default"),
        ("default: 3", "default: 3, pattern: '[0-9'", "a pattern is only for texts"),
        ("default: 3", "default: 3, secret: true", "a secret parameter is of type string"),
        ("limit: {type: integer, default: 3}", "limit: {type: tenant}", "only one parameter may be of type tenant"),
        ("limit: {type: integer, default: 3}", "Limit: {type: integer}", "made of lower-case letters"),
        ("limit: {type: integer, default: 3}", "limit: {type: string, pattern: '['}", "is not a regular expression"),
        ("description: For tests", "description: ''", "`description` is empty"),
        (
            "description: For tests",
            "description: x\ntriggers: {autoRunMaxRisk: medium}",
            "only `low` may run without a key",
        ),
        (
            "description: For tests",
            "description: x\nchangeWindow: {calendar: plant}",
            "`changeWindow` lacks `onClosed`",
        ),
        (
            "description: For tests",
            "description: x\nchangeWindow: {calendar: '', onClosed: deny}",
            "`calendar` is empty",
        ),
        (
            "description: For tests",
            "description: x\nchangeWindow: {calendar: plant, onClosed: approve}",
            "requireFreezeApprover",
        ),
        ("description: For tests", "description: x\nexitCriteria: ['params.limit > 1']", "has to look at a signal"),
        (
            "description: For tests",
            "description: x\ncontraindications: [{when: 'gone > 1', text: x}]",
            "unknown variable `gone`",
        ),
        (
            "description: For tests",
            "description: x\ncontraindications: [{when: 'signals.lock.blocked > 5', text: x, exceptFor: [keeper]}]",
            "`keeper` is not among `triggers.findings`",
        ),
    ] {
        let found = changed(from, to);
        assert!(found.iter().any(|p| p.contains(expected)), "{to}: {expected} is not in\n{}", found.join("\n"));
    }
}

#[test]
fn a_high_step_has_all_that_it_needs_or_is_refused() {
    let high = "  risk: high\n  reversible: false\n  approval: {quorum: 1}";
    assert_eq!(changed("  risk: medium", high), Vec::<String>::new());
    let text = GOOD.replacen("  risk: medium", high, 1);
    let bare = text.replacen("  verify: [{check: signals.lock.blocked == 0, within: 30s}]\n", "", 1);
    assert!(problems(&bare)[0].contains("needs `verify`"), "{:?}", problems(&bare));
    let pressed = text.replacen(high, &format!("{high}\n  confirmation: {{kind: keypress}}"), 1);
    assert!(problems(&pressed)[0].contains("is confirmed by typing"));
    // The verb makes it high even where the step says nothing.
    let floor = GOOD.replacen("  risk: medium\n", "", 1).replacen("cancel_backend", "terminate_backend", 1);
    assert!(problems(&floor).iter().any(|p| p.contains("needs `approval`")), "{:?}", problems(&floor));
}

#[test]
fn an_approval_and_what_it_is_bound_to_are_checked() {
    let high = "  risk: high\n  reversible: false\n  approval: {quorum: 2, distinctFrom: [requester, operator], roles: [approver], \
                timeout: 15m, onTimeout: escalate}\n  bind: [outputs.tree.pid, signals.lock.blocked]";
    assert_eq!(changed("  risk: medium", high), Vec::<String>::new());
    for (from, to, expected) in [
        ("quorum: 2", "quorum: 0", "a quorum counts from 1"),
        ("[requester, operator]", "[requester, requester]", "this person stands in the list already"),
        ("[requester, operator]", "[commander]", "found `commander`, expected `requester` or `operator`"),
        (
            "roles: [approver]",
            "roles: [dba, wizard]",
            "p.yaml:22:75: `steps.1.approval.roles.1`: found `wizard`, expected one of `commander`, `deputy`",
        ),
        ("roles: [approver]", "roles: [observer]", "an observer approves nothing"),
        ("roles: [approver]", "roles: [dba, dba]", "the role dba stands in the list already"),
        ("timeout: 15m, ", "", "escalating needs a `timeout`"),
        ("timeout: 15m", "timeout: 1s", "an approval is waited for between 1 min and 24 h"),
        ("onTimeout: escalate", "onTimeout: grant", "found `grant`, expected `deny` or `escalate`"),
        ("outputs.tree.pid,", "outputs.cancel.pid,", "no step before this one has the output `cancel`"),
        ("outputs.tree.pid,", "signals.lock.blocked,", "the value is bound already"),
    ] {
        let found = changed("  risk: medium", &high.replacen(from, to, 1));
        assert!(found.iter().any(|p| p.contains(expected)), "{to}: {expected} is not in\n{}", found.join("\n"));
    }
}

#[test]
fn a_step_behind_a_decision_that_passes_it_can_not_be_reached() {
    let text = format!(
        "{GOOD}- {{id: choose, name: C, why: W, type: decision, choices: [{{key: a, label: A, then: 'step:end'}}, {{key: b, \
         label: B, then: abort}}]}}\n- {{id: lost, name: L, why: W, type: manual}}\n- {{id: end, name: E, why: W, type: \
         manual}}\n"
    );
    assert_eq!(problems(&text), ["p.yaml:24:8: the step `lost` can not be reached"]);
}

#[test]
fn keys_that_mean_nothing_in_a_step_are_refused() {
    for (step, expected) in [
        ("type: manual, risk: medium", "a step of type manual has no `risk`"),
        ("type: manual, timeout: 5s", "a step of type manual has no `timeout`"),
        ("type: wait_for", "the step `x` of type wait_for needs `verify`"),
        ("type: assert, verify: [{check: signals.lock.blocked == 0, hold: 5s}]", "an assertion looks once"),
        ("type: decision", "needs at least two `choices`"),
        ("type: check", "the step `x` of type check needs `run`"),
        (
            "type: wait_for, verify: [{check: signals.lock.blocked == 0, run: {adapter: http, verb: probe}}]",
            "is not used",
        ),
        (
            "type: wait_for, verify: [{check: 'result.a == 1', run: {adapter: postgres, verb: cancel_backend, args: {instance: a}}}]",
            "a verification only looks",
        ),
        (
            "type: wait_for, verify: [{check: 'result.a == 1', maxAge: 5s, run: {adapter: http, verb: probe}}]",
            "`maxAge` needs a signal",
        ),
        (
            "type: check, run: {adapter: http, verb: probe}, outputs: [{name: a-b, selector: result.x}]",
            "an output's name",
        ),
        (
            "type: check, run: {adapter: http, verb: probe}, outputs: [{name: a, selector: params.limit}]",
            "has to look at `result`",
        ),
    ] {
        let found = problems(&format!("{GOOD}- {{id: x, name: X, why: W, {step}}}\n"));
        assert!(found.iter().any(|p| p.contains(expected)), "{step}: {expected} is not in\n{}", found.join("\n"));
        assert!(found.iter().all(|p| p.starts_with("p.yaml:23:")), "{found:?}");
    }
}

/// A playbook whose second step is this.
fn with(step: &str) -> Vec<String> {
    problems(&format!("{GOOD}- {{id: x, name: X, why: W, {step}}}\n"))
}

#[test]
fn every_type_of_step_is_accepted_as_it_is_meant() {
    let probe = "run: {adapter: http, verb: probe}";
    let requeue = "run: {adapter: odoo, verb: requeue_jobs, args: {tenant: '{{ item }}'}}";
    for step in [
        format!("type: evidence, {probe}"),
        format!("type: parallel, looks: [{{id: a, {probe}}}, {{id: b-c, {probe}}}]"),
        format!("type: foreach, foreach: {{items: outputs.tree.all, maxConcurrency: 5, maxErrors: 2}}, {requeue}"),
        "type: approval, approval: {quorum: 2, roles: [dba]}".to_owned(),
        "type: branch, branches: [{if: signals.lock.blocked > 0, then: abort}]".to_owned(),
        "type: input, inputs: {n: {type: integer, required: true}}".to_owned(),
        "type: notify, comms: {template: 'down: {{ tenant.id }}', audience: [ops], every: 20m}".to_owned(),
        "type: escalate, escalate: {to: dba-oncall}".to_owned(),
        "type: sub_playbook, playbook: other, params: {tenant: '{{ tenant.id }}'}".to_owned(),
        "type: sleep, duration: 30s".to_owned(),
        "type: manual, escalate: {after: 5m, to: dba}, comms: {template: t, audience: [ops], block: false}".to_owned(),
        "type: action, rollback: {run: {adapter: traefik, verb: maintenance_off, args: {tenant: t}}}, onFailure: \
             rollback, run: {adapter: traefik, verb: maintenance_on, args: {tenant: t}, dryRun: true, maskOutputs: [a.b]}, \
             retry: {maxAttempts: 3, backoff: 5s, on: [failure]}, evidence: [{capture: before, source: {adapter: http, \
             verb: probe}}]"
        .to_owned(),
    ] {
        assert_eq!(with(&step), Vec::<String>::new(), "{step}");
    }
}

#[test]
fn what_a_step_of_the_whole_language_can_not_be_is_a_sentence() {
    let act = "type: action, run: {adapter: odoo, verb: requeue_jobs, args: {tenant: t}}";
    let on = "type: action, run: {adapter: traefik, verb: maintenance_on, args: {tenant: t}}";
    for (step, expected) in [
        (format!("{act}, retry: {{maxAttempts: 3}}"), "odoo.requeue_jobs run twice is not the same as run once"),
        (format!("{on}, retry: {{maxAttempts: 99}}"), "a step is tried 2 to 10 times"),
        (format!("{on}, onFailure: rollback"), "has a `rollback`"),
        (format!("{on}, rollback: {{run: {{adapter: http, verb: probe}}}}"), "http.probe only looks; it takes nothing back"),
        (
            format!("{on}, rollback: {{risk: low, run: {{adapter: traefik, verb: maintenance_off, args: {{tenant: t}}}}}}"),
            "traefik.maintenance_off is at least medium, the rollback says low",
        ),
        (format!("{on}, reversible: false, rollback: {{run: {{adapter: traefik, verb: maintenance_off, args: {{tenant: t}}}}}}"), "there is nothing to take back"),
        (format!("{on}, evidence: [{{capture: after, source: {{adapter: traefik, verb: maintenance_off, args: {{tenant: t}}}}}}]"), "only looks stand here"),
        (format!("{on}, escalate: {{to: dba}}"), "needs `after`"),
        (format!("{on}, comms: {{template: t, audience: []}}"), "somebody has to be told"),
        (format!("{on}, comms: {{template: '{{{{ nobody }}}}', audience: [a]}}"), "unknown variable `nobody`"),
        ("type: check, run: {adapter: http, verb: probe, dryRun: true}".to_owned(), "it needs no dry run"),
        ("type: check, run: {adapter: http, verb: probe, maskOutputs: [a..b]}".to_owned(), "names no member"),
        ("type: check, run: {adapter: http, verb: probe, args: {path: '{{ item }}'}}".to_owned(), "`item` is there only in a foreach"),
        ("type: parallel, looks: [{id: a, run: {adapter: http, verb: probe}}]".to_owned(), "needs 2 to 20 `looks`"),
        ("type: parallel, looks: [{id: a, run: {adapter: http, verb: probe}}, {id: a, run: {adapter: http, verb: probe}}]".to_owned(), "is taken already"),
        ("type: foreach, foreach: {items: '[1]'}, run: {adapter: odoo, verb: requeue_jobs, args: {tenant: t}}".to_owned(), "the items come from `outputs` or `params`"),
        ("type: foreach, foreach: {items: outputs.tree.a, maxConcurrency: 0}, run: {adapter: odoo, verb: requeue_jobs, args: {tenant: t}}".to_owned(), "1 to 50 requests"),
        ("type: foreach, run: {adapter: odoo, verb: requeue_jobs, args: {tenant: t}}".to_owned(), "needs `foreach`"),
        ("type: approval".to_owned(), "needs `approval`"),
        ("type: branch, branches: [{if: signals.lock.blocked, then: abort}]".to_owned(), "must be true or false"),
        ("type: branch, branches: [{if: signals.lock.blocked > 0, then: continue}]".to_owned(), "every way of the branch leads to the next step"),
        ("type: branch, branches: [{if: signals.lock.blocked > 0, then: 'step:tree'}]".to_owned(), "going back makes a cycle"),
        ("type: input, inputs: {t: {type: tenant}}".to_owned(), "is a parameter of the playbook"),
        ("type: input, inputs: {t: {type: string, secret: true}}".to_owned(), "only a parameter of the playbook can be secret"),
        ("type: notify".to_owned(), "needs `comms`"),
        ("type: notify, comms: {template: t, audience: [a]}, run: {adapter: traefik, verb: maintenance_on, args: {tenant: t}}".to_owned(), "calls a verb of `comms` or `http`"),
        ("type: escalate, escalate: {after: 5m, to: a}".to_owned(), "calls at once"),
        ("type: sub_playbook".to_owned(), "needs `playbook`"),
        ("type: sleep, duration: 48h".to_owned(), "at most 24 h"),
        ("type: sleep, duration: 5s, verify: [{check: signals.lock.blocked == 0}]".to_owned(), "has no `verify`"),
    ] {
        let found = with(&step);
        assert!(found.iter().any(|p| p.contains(expected)), "{step}: {expected} is not in\n{}", found.join("\n"));
        assert!(found.iter().all(|p| p.starts_with("p.yaml:23:")), "{found:?}");
    }
}

#[test]
fn a_playbook_for_several_tenants_asks_no_question_of_one() {
    let several = |text: &str| {
        problems(&GOOD.replacen("  tenant: {type: tenant, required: true}\n", "", 1).replacen(
            "steps:\n",
            &format!("targets: {{selector: 'tenant.tenancy == \"dedicated\"', maxConcurrency: 4, maxErrors: 1}}\n{text}steps:\n"),
            1,
        ))
    };
    assert_eq!(several(""), Vec::<String>::new());
    let both = GOOD.replacen("steps:\n", "targets: {selector: 'true'}\nsteps:\n", 1);
    assert!(problems(&both)[0].contains("either `targets` or a parameter of type tenant"), "{:?}", problems(&both));
    let conditional = several("").is_empty();
    assert!(conditional);
    let text = GOOD
        .replacen("  tenant: {type: tenant, required: true}\n", "", 1)
        .replacen("steps:\n", "targets: {selector: 'true'}\nsteps:\n", 1)
        .replacen("  risk: medium\n", "  risk: medium\n  if: signals.lock.blocked > 0\n", 1);
    assert!(problems(&text)[0].contains("it can not look at one tenant"), "{:?}", problems(&text));
    for (head, expected) in [
        ("triggers: {findings: [a], autoRunMaxRisk: low}\n", "and `for`: how long one must have stood"),
        ("triggers: {for: 5m}\n", "which needs `autoRunMaxRisk: low`"),
        ("triggers: {when: signals.lock.blokked > 0}\n", "unknown signal `lock.blokked`"),
        ("postIncident: {cleanup: ''}\n", "`cleanup` is empty"),
    ] {
        let found = several(head);
        assert!(found.iter().any(|p| p.contains(expected)), "{head}: {found:?}");
    }
}

#[test]
fn what_is_too_much_is_one_sentence_and_quickly_said() {
    let began = std::time::Instant::now();
    let steps: String =
        (0..100_000).fold(String::new(), |text, i| text + &format!("- {{id: s{i}, name: N, why: W, type: manual}}\n"));
    let head = GOOD.split("steps:").next().unwrap();
    let found = problems(&format!("{head}steps:\n{steps}"));
    assert!(found.len() == 1 && found[0].contains("bytes, at most 262144 are read"), "{found:?}");
    let few: String =
        (0..3000).fold(String::new(), |text, i| text + &format!("- {{id: s{i}, name: N, why: W, type: manual}}\n"));
    let found = problems(&format!("{head}steps:\n{few}"));
    assert!(found.iter().any(|p| p.contains("has 3000 steps, at most 200 are allowed")), "{found:?}");
    let endless = changed("signals.lock.blocked == 0", &format!("'{}'", "[1].all(x, ".repeat(60)));
    assert_eq!(endless.len(), 1, "{endless:?}");
    let nested = changed(
        "signals.lock.blocked == 0",
        "'outputs.tree.a.all(x, outputs.tree.a.all(y, outputs.tree.a.all(z, x == z)))'",
    );
    assert!(nested.iter().any(|p| p.contains("nested twice at most")), "{nested:?}");
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_playbook_that_runs_others_is_held_against_them() {
    let book = |id: &str, child: &str, params: &str| {
        let text = GOOD.replacen("id: good", &format!("id: {id}"), 1);
        let step =
            format!("- {{id: x, name: X, why: W, type: sub_playbook, playbook: {child}, params: {{{params}}}}}\n");
        (format!("/q/{id}.yaml"), text + &step)
    };
    let tenant = "tenant: '{{ tenant.id }}'";
    let base = ("/q/base.yaml".to_owned(), GOOD.replacen("id: good", "id: base", 1));
    // What ships uses verbs that these tests do not know.
    let load = |files: Vec<(String, String)>| {
        let (library, mut problems) = Library::load(&[vec![base.clone()], files].concat(), &verbs(), &SIGNALS);
        problems.retain(|p| !p.file.starts_with("built-in:"));
        (library, problems)
    };
    let (library, problems) = load(vec![book("a", "base", tenant), book("b", "a", tenant)]);
    assert_eq!(problems, []);
    assert!(library.get(&"b".into()).is_some());
    for (files, expected) in [
        (vec![book("a", "gone", tenant)], "/q/a.yaml:23:3: there is no playbook `gone`"),
        (vec![book("a", "base", "")], "the playbook `base` needs the parameter `tenant`"),
        (vec![book("a", "base", "tenant: t, x: y")], "the playbook `base` has no parameter `x`"),
        (vec![book("a", "b", tenant), book("b", "a", tenant)], "comes to run this playbook again"),
    ] {
        let (library, problems) = load(files);
        assert!(problems.iter().any(|p| p.to_string().contains(expected)), "{expected}: {problems:?}");
        assert!(library.get(&"a".into()).is_none());
    }
}
