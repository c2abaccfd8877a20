//! The limits, broken off in the middle: a disk that does not say whether it keeps what was written, and a Traefik that
//! stands still.

use super::limits_tests::{prepare, verb};
use super::tests::permit;
use super::*;
use crate::act::cut::Args;
use crate::observe::http::rig::{Tiny, skip, until};
use crate::observe::postgres::testbed::unprivileged;
use crate::observe::traefik::lab::{HOST, LIMIT, Private, get};
use rustix::process::Signal;
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::time::Duration;

/// Every limit, and a word of what Traefik shows once it is in force.
fn all() -> [(&'static str, Args, &'static str); 5] {
    [
        ("traefik.rate_limit", vec![("average", json!(100))], "quarterdeck-rate-limit-t017@file"),
        ("traefik.in_flight_limit", vec![("amount", json!(100))], "quarterdeck-in-flight-limit-t017@file"),
        ("traefik.circuit_breaker", vec![("share", json!(0.3))], "quarterdeck-circuit-breaker-t017@file"),
        ("traefik.route_priority", vec![("priority", json!(4711))], "4711"),
        ("traefik.weight_region", vec![("weights", json!("t017@file=1"))], "quarterdeck-weight-region-t017"),
    ]
}

fn rights(dir: &Path, mode: u32) {
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs itself again as a user who may write in a folder and not open it, so that it can not be brought to disk.
#[tokio::test]
async fn what_may_not_be_on_disk_is_unknown_and_found_out() {
    const MARK: &str = "QUARTERDECK_TEST_LOWLY";
    const NAME: &str = "act::traefik::cut_tests::what_may_not_be_on_disk_is_unknown_and_found_out";
    if let (None, Some((user, group))) = (std::env::var_os(MARK), unprivileged()) {
        let mut lowly = std::process::Command::new(std::env::current_exe().unwrap());
        lowly.args(["--exact", NAME, "--nocapture"]).env(MARK, "yes").current_dir("/").uid(user).gid(group);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        return match lowly.output() {
            Ok(ran) => assert!(
                ran.status.success() && text(&ran.stdout).contains("1 passed"),
                "{}{}",
                text(&ran.stdout),
                text(&ran.stderr)
            ),
            Err(e) => skip(NAME, &format!("the test can not be started as another user: {e}")),
        };
    }
    let api = Tiny::http(|_, _| (200, json!({ "service": "t017", "provider": "file" }).to_string()));
    for (name, args, _) in all() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            id: "edge-1".into(),
            metrics: String::new(),
            api: Some(api.url()),
            dynamic_dir: Some(dir.path().to_owned()),
            maintenance_url: None,
            probe_url: None,
            ca: crate::config::model::Ca::default(),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(5),
        };
        let verb = verb(&config, name);
        let file = dir.path().join("quarterdeck-limits-t017.yml");
        for (lift, stands) in [(false, true), (true, false)] {
            let args = if lift { vec![("lift", json!(true))] } else { args.clone() };
            let request = prepare(&verb, &args).await.unwrap();
            rights(dir.path(), 0o555);
            let refused = verb.execute(permit(&request)).await;
            assert!(matches!(refused, Outcome::Failed { .. }), "{name}: {refused:?}");
            let found = verb.reconcile(&request).await;
            assert!(matches!(found, Reconciled::NoEffect { .. }), "{name}: {found:?}");
            rights(dir.path(), 0o333);
            let open = verb.execute(permit(&request)).await;
            let said = |why: &Failure| why.message.contains("but that it stays so is not sure");
            assert!(matches!(&open, Outcome::Unknown { why } if said(why)), "{name}: {open:?}");
            assert_eq!(file.exists(), stands, "{name}");
            let found = verb.reconcile(&request).await;
            assert!(matches!(found, Reconciled::TookEffect { .. }), "{name}: {found:?}");
            let again = verb.execute(permit(&request)).await;
            assert!(matches!(&again, Outcome::Done { result, .. } if result["changed"] == false), "{name}: {again:?}");
            rights(dir.path(), 0o755);
        }
    }
}

#[tokio::test]
async fn a_traefik_that_stands_still_follows_when_it_goes_on() {
    let Some(private) = Private::start("a_traefik_that_stands_still").await else { return };
    let config = private.config();
    let router = format!("{}/api/http/routers/quarterdeck-limits-t017@file", private.admin);
    for (name, args, word) in all() {
        let verb = verb(&config, name);
        let request = prepare(&verb, &args).await.unwrap();
        private.signal(Signal::STOP);
        let outcome = verb.execute(permit(&request)).await;
        let found = verb.reconcile(&request).await;
        private.signal(Signal::CONT);
        assert!(matches!(outcome, Outcome::Done { .. }), "{name}: {outcome:?}");
        assert!(matches!(found, Reconciled::TookEffect { .. }), "{name}: {found:?}");
        until(name, LIMIT, async || get(&router, "x").await.ok()?.1.contains(word).then_some(())).await;
    }
    let routers = get(&format!("{}/api/http/routers", private.admin), "x").await.unwrap().1;
    assert_eq!(routers.matches("\"quarterdeck-limits-t017@file\"").count(), 1, "{routers}");
    assert_eq!(get(&private.web, HOST).await.unwrap().0, 200);
}
