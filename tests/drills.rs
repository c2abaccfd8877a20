//! Every shipped scenario is played to its end by its script, and some by a wrong one; the same seed and script give the
//! same records at any speed; the score comes from the journal alone; what is wrong is said with its place.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use support::run;

/// A play: exit code, what it printed, what it said.
fn play(home: &Path, args: &[&str]) -> (i32, Value, String) {
    let all = [&["drill"], args, &["--headless", "--format", "json"]].concat();
    let (code, out, err) = run(home, &all);
    let value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{args:?} {code} {e}: {out}\n{err}"));
    (code, value, err)
}

/// Every expectation that is not for the facilitator.
fn judged(played: &Value) -> impl Iterator<Item = &Value> {
    played["expectations"].as_array().unwrap().iter().filter(|e| e["kind"] == "auto" && e["state"] != "not-asked")
}

/// The scenario is played well: everything that was expected is met, nothing of the script was for nothing.
fn well(id: &str) {
    let home = tempfile::tempdir().unwrap();
    let (code, played, err) = play(home.path(), &[id]);
    assert_eq!(code, 0, "{id}: {err}");
    assert_eq!(played["reached"], true, "{id}: {played:#}");
    let missed: Vec<String> = judged(&played)
        .filter(|e| e["state"] != "met")
        .map(|e| format!("{}: {} at {:?}, due {:?}", e["id"], e["state"], e["at_s"], e["due_s"]))
        .collect();
    assert!(missed.is_empty(), "{id}: {missed:?}");
    assert!(played["details"]["mistakes"].as_array().unwrap().is_empty(), "{id}: {:#}", played["details"]["mistakes"]);
    assert_eq!(played["score"], played["of"], "{id}");
    // Each met expectation names its record, and the score is the same from the journal alone.
    assert!(judged(&played).all(|e| e["seq"].is_u64()), "{played:#}");
    let journal = played["journal"].as_str().unwrap();
    let (code, out, err) = run(home.path(), &["drill", "score", journal, "--format", "json"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), played["details"], "{id}");
    support::verifies(home.path(), Path::new(journal));
}

macro_rules! scenarios {
    ($($name:ident $id:literal;)+) => {
        $(
            #[test]
            fn $name() {
                well($id);
            }
        )+

        #[test]
        fn every_shipped_scenario_is_played() {
            let shipped: Vec<&str> = quarterdeck::drill::catalog::BUILT_IN.iter().map(|(id, _)| *id).collect();
            assert_eq!(shipped, [$($id),+]);
            let scripts: Vec<&str> = quarterdeck::drill::script::BUILT_IN.iter().map(|(id, _)| *id).collect();
            assert_eq!(scripts, shipped);
        }
    };
}

scenarios! {
    a_schema_lock "schema-lock";
    a_queue_backlog "queue-backlog";
    a_failing_release_beside_an_expiring_certificate "certificate-and-maintenance";
    an_unstable_release "release-instability";
    a_planning_run "mrp-degradation";
    a_regional_outage "regional-outage";
    contention_in_a_shared_cluster "shared-cluster";
    a_spike_on_the_supplier_portal "supplier-portal";
    corrupt_storage "storage-corruption";
    a_deployment_of_two_found_at_six "night-deploy";
    ransomware "ransomware";
    an_identity_outage "identity-outage";
    a_partner_that_does_not_answer "integration-failure";
    an_expired_certificate "certificate-expiry";
    a_split_brain_scare "split-brain";
    a_dropped_table "dropped-table";
    a_burst_of_barcodes "barcode-burst";
    a_legacy_link "legacy-link";
}

/// Plays a scenario by a script of this test.
fn by(id: &str, acts: &str) -> (i32, Value, String, tempfile::TempDir) {
    let home = tempfile::tempdir().unwrap();
    let script = home.path().join("script.yaml");
    std::fs::write(&script, format!("scenario: {id}\nacts:\n{acts}")).unwrap();
    let (code, played, err) = play(home.path(), &[id, "--script", script.to_str().unwrap()]);
    (code, played, err, home)
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect()
}

#[test]
fn whoever_promotes_without_looking_makes_two_primaries_and_is_told() {
    let params = "{tenant: t017, cluster: k8s-1, namespace: databases, database: pg-a, old: pg-a, new: pg-a-r, pooler: \
                  pg-a-pool, host: pg-a-r.db.example}";
    let acts = format!(
        "- {{at: T+4m, declare: {{title: The primary is gone, severity: SEV1}}}}\n- run: {{playbook: pg-failover, \
         params: {params}, decide: {{manager: nobody}}, give: {{check-orders: {{complete_until: 02:30 UTC}}}}}}\n"
    );
    let (_, played, err, _home) = by("split-brain", &acts);
    let mistakes = ids(&played["details"]["mistakes"]);
    assert!(mistakes.contains(&"promoted"), "{mistakes:?} {err}");
    assert_eq!(played["score"], 0, "{played:#}");
    let missed = judged(&played).filter(|e| e["state"] == "missed").count();
    assert!(missed >= 1, "{played:#}");
}

#[test]
fn a_crew_that_does_nothing_gets_nothing_and_time_ends_it() {
    let (code, played, err, _home) = by("schema-lock", "- {at: T+1m, note: we wait}\n");
    assert_eq!((code, played["reached"].as_bool(), played["score"].as_u64()), (0, Some(false), Some(0)), "{err}");
    assert!(judged(&played).all(|e| e["state"] == "missed"), "{played:#}");
    assert_eq!(played["seconds"], 15 * 60 * 4);
}

#[test]
fn hints_cost_and_are_recorded() {
    let (_, played, err, home) = by(
        "queue-backlog",
        "- {at: T+4m, hint: 1}\n- {declare: {title: Workers hang, severity: SEV2}}\n- run: {playbook: queue-backlog, \
         params: {tenant: t003}}\n",
    );
    let hints = played["details"]["hints"].as_array().unwrap();
    assert_eq!(hints.len(), 1, "{played:#} {err}");
    let cost = hints[0]["cost"].as_u64().unwrap();
    assert!(cost > 0 && played["score"].as_u64().unwrap() + cost <= played["of"].as_u64().unwrap());
    let records = support::records(home.path(), Path::new(played["journal"].as_str().unwrap()));
    let hint = records.iter().find(|r| r["kind"] == "hint.given").unwrap();
    assert_eq!(hint["seq"], hints[0]["seq"]);
}

#[test]
fn acts_and_keys_that_do_nothing_are_said_with_their_places() {
    let acts = "- {at: T+2m, acknowledge: no-such/finding}\n- {press: '<End><F99>'}\n- {press: \"\u{00e4}\"}\n\
                - {when: '\"nothing\" in findings', within: 10s, note: never}\n- {press: E}\n";
    let (code, played, err, _home) = by("schema-lock", acts);
    assert_eq!(code, 2, "{err}");
    let said: Vec<&str> = err.lines().collect();
    assert_eq!(played["for_nothing"].as_array().unwrap().len(), 4, "{played:#}");
    for (line, what) in [
        (3, "`acknowledge` did nothing: there is no finding no-such/finding now"),
        (4, "there is no key `<F99>`"),
        (5, "the key \u{00e4} does nothing here"),
        (6, "did not hold within 10 s"),
    ] {
        let place = format!("script.yaml\",\"line\":{line},\"column\":3}}");
        assert!(said.iter().any(|said| said.contains(&place) && said.contains(what)), "{line}: {what}\n{err}");
    }
}

#[test]
fn a_script_of_another_scenario_or_with_an_error_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let script = home.path().join("s.yaml");
    std::fs::write(&script, "scenario: schema-lock\nacts:\n- {hint: 1, note: both}\n").unwrap();
    let file = script.to_str().unwrap();
    let (code, _, err) = run(home.path(), &["drill", "schema-lock", "--headless", "--script", file]);
    assert!(code == 2 && err.contains("s.yaml:3:3: an act does exactly one thing"), "{code} {err}");
    std::fs::write(&script, "scenario: schema-lock\nacts: []\n").unwrap();
    let (code, _, err) = run(home.path(), &["drill", "queue-backlog", "--headless", "--script", file]);
    assert!(code == 2 && err.contains("the script plays the scenario `schema-lock`, not `queue-backlog`"), "{err}");
}

/// The bodies of a journal, one a line, with kinds.
fn bodies(home: &Path, journal: &Value) -> String {
    let all = support::records(home, &PathBuf::from(journal.as_str().unwrap()));
    all.iter().fold(String::new(), |mut text, record| {
        let _ = writeln!(text, "{} {} {}", record["kind"], record["time"], record["body"]);
        text
    })
}

#[test]
fn the_same_seed_and_script_give_the_same_bodies_at_any_speed() {
    let home = tempfile::tempdir().unwrap();
    let one = |more: &[&str]| {
        let (code, played, err) = play(home.path(), &[&["schema-lock"], more].concat());
        assert_eq!(code, 0, "{err}");
        bodies(home.path(), &played["journal"])
    };
    let fastest = one(&[]);
    assert!(fastest.lines().count() > 30);
    assert_eq!(fastest, one(&["--speed", "60"]), "at 60x");
    assert_eq!(fastest, one(&["--speed", "600"]), "at 600x");
    assert_ne!(fastest, one(&["--seed", "18"]), "another seed is another estate");
}

#[test]
fn a_new_scenario_is_lint_clean_and_playable() {
    let home = tempfile::tempdir().unwrap();
    let drills = home.path().join(".config/quarterdeck/drills");
    std::fs::create_dir_all(&drills).unwrap();
    let file = drills.join("own.yaml");
    let file = file.to_str().unwrap();
    let (code, _, err) = run(home.path(), &["drill", "new", "own-one", file]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(run(home.path(), &["drill", "lint", file]).0, 0);
    let (code, _, err) = run(home.path(), &["drill", "new", "own-one", file]);
    assert!(code == 2 && err.contains("is there already"), "{err}");
    let script = home.path().join("s.yaml");
    std::fs::write(&script, "scenario: own-one\nacts:\n- {at: T+5m, hint: 1}\n").unwrap();
    let (code, played, err) = play(home.path(), &["own-one", "--script", script.to_str().unwrap()]);
    assert_eq!((code, played["scenario"].as_str()), (0, Some("own-one")), "{err}");
    let text = std::fs::read_to_string(file).unwrap().replace("tenant: t003", "tenant: t999");
    let line = text.lines().position(|line| line.contains("t999")).unwrap() + 1;
    std::fs::write(file, text).unwrap();
    let (code, _, err) = run(home.path(), &["drill", "lint", file]);
    assert!(
        code == 2 && err.contains(&format!("own.yaml:{line}:")) && err.contains("there is no tenant t999"),
        "{err}"
    );
}

#[test]
fn a_scenario_made_of_an_incident_has_no_name_of_it_and_can_be_played() {
    let home = tempfile::tempdir().unwrap();
    let (_, played, _) = play(home.path(), &["queue-backlog"]);
    let journal = played["journal"].as_str().unwrap();
    let own = home.path().join(".config/quarterdeck/drills");
    std::fs::create_dir_all(&own).unwrap();
    let file = own.join("made.yaml");
    let file = file.to_str().unwrap();
    let (code, _, err) = run(home.path(), &["drill", "from-incident", "INC-1", file, "--journal", journal]);
    assert!(code == 0 && err.contains("no signal of it was recorded") && err.contains("made.yaml is written"), "{err}");
    let (code, out, err) = run(home.path(), &["drill", "lint", file]);
    assert!(code == 0 && out.contains("1 scenarios, no error"), "{out} {err}");
    let script = home.path().join("script.yaml");
    let act = "{title: orders stand still, severity: SEV2}";
    std::fs::write(&script, format!("scenario: from-inc-1\nacts:\n- {{when: size(findings) > 0, declare: {act}}}\n"))
        .unwrap();
    let (code, made, err) = play(home.path(), &["from-inc-1", "--script", script.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(made["details"]["scenario"], "from-inc-1");
    let state = |id: &str| {
        let of = made["expectations"].as_array().unwrap().iter().find(|e| e["id"] == id);
        of.unwrap_or_else(|| panic!("{id}: {made:#}"))["state"].clone()
    };
    assert_eq!((state("declared"), state("queue-backlog-finished")), ("met".into(), "missed".into()));
    let (code, _, err) = run(home.path(), &["drill", "from-incident", "INC-9", "--journal", journal]);
    assert!(code == 1 && err.contains("declares no incident INC-9"), "{code} {err}");
}

#[test]
fn the_report_of_an_exercise_has_its_score_as_the_command_explains_it() {
    let home = tempfile::tempdir().unwrap();
    let (_, played, _) = play(home.path(), &["schema-lock"]);
    let journal = played["journal"].as_str().unwrap();
    let (_, score, _) = run(home.path(), &["drill", "score", journal]);
    let (_, json, _) = run(home.path(), &["report", "INC-1", "--journal", journal, "--format", "json"]);
    let exercise = serde_json::from_str::<Value>(&json).unwrap()["exercise"].clone();
    assert_eq!(exercise["headline"].as_str(), score.lines().next());
    for point in exercise["points"].as_array().unwrap() {
        let part = |name: &str| point[name].as_str().unwrap().to_owned();
        let line = format!("{}  {}: {}", part("points"), part("what"), part("why"));
        assert!(score.lines().any(|l| l.trim_start() == line), "{line}\n{score}");
    }
    let (_, md, _) = run(home.path(), &["report", "INC-1", "--journal", journal, "--format", "md"]);
    let (_, html, _) = run(home.path(), &["report", "INC-1", "--journal", journal, "--format", "html"]);
    let points = format!("{} of {} points", exercise["score"], exercise["of"]);
    assert!(md.contains(&format!("## Score: {points}")) && html.contains(&format!("<h2>Score: {points}")), "{md}");
    // The trends of the real estate know of the exercise, which has a journal of its own.
    let config = support::lonely(home.path());
    let (code, _, err) = run(home.path(), &["--config", &config, "incident", "declare", "t", "--severity", "SEV4"]);
    assert_eq!(code, 0, "{err}");
    let (_, trends, err) = run(home.path(), &["--config", &config, "report", "governance"]);
    assert!(trends.contains(&format!("schema-lock: {points}")) && !trends.contains("no exercise"), "{trends} {err}");
    assert!(!html.contains("<script") && !html.contains("http://") && html.contains("<svg"), "self-contained");
}

#[test]
fn a_journal_of_another_version_is_one_sentence_for_each_that_reads_it() {
    let home = tempfile::tempdir().unwrap();
    let (_, played, _) = play(home.path(), &["schema-lock"]);
    let journal = played["journal"].as_str().unwrap();
    let records = Path::new(journal).join("records/00000000000000000000.jsonl");
    let text = std::fs::read_to_string(&records).unwrap();
    let later: Vec<String> = text
        .lines()
        .enumerate()
        .map(|(n, line)| if n == 4 { line.replace("\"v\":1", "\"v\":2") } else { line.to_owned() })
        .collect();
    assert_ne!(later.join("\n"), text.trim_end(), "the fifth line is a record");
    std::fs::write(&records, later.join("\n") + "\n").unwrap();
    for args in [
        &["report", "INC-1", "--journal"][..],
        &["report", "governance", "--journal"],
        &["replay", "INC-1", "--journal"],
        &["drill", "from-incident", "INC-1", "--journal"],
        &["drill", "score"],
    ] {
        let (code, out, err) = run(home.path(), &[args, &[journal]].concat());
        assert!(code == 1 && out.is_empty(), "{args:?}: {code} {out}");
        assert!(err.contains("line 5 has format version 2, which this version of quarterdeck does not know"), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    }
}

#[test]
fn business_by_hand_is_set_ended_and_settled_by_its_playbook() {
    let home = tempfile::tempdir().unwrap();
    let (_, played, _) = play(home.path(), &["legacy-link"]);
    let journal = played["journal"].as_str().unwrap();
    let (_, json, _) = run(home.path(), &["report", "INC-1", "--journal", journal, "--format", "json"]);
    let report: Value = serde_json::from_str(&json).unwrap();
    let all: Vec<(&str, bool)> = report["measures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| (m["id"].as_str().unwrap(), m["lifted"].is_string()))
        .filter(|(id, _)| id.starts_with("fallback/") || id.starts_with("reconcile/"))
        .collect();
    let ids: Vec<&str> = all.iter().map(|(id, _)| *id).collect();
    for (hand, papers) in [
        ("order-capture", true),
        ("production-reporting", true),
        ("carriers", false),
        ("shipping", true),
        ("receiving", true),
    ] {
        assert!(ids.contains(&format!("fallback/{hand}/t044").as_str()), "{hand}: {ids:?}");
        assert_eq!(ids.contains(&format!("reconcile/{hand}/t044").as_str()), papers, "{hand}: {ids:?}");
    }
    assert!(!ids.iter().any(|id| id.contains("priorities")), "by wish date alone: {ids:?}");
    assert!(all.iter().all(|(_, lifted)| *lifted), "{all:?}");
}
