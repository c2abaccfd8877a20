//! What a script sends, and what becomes of it before a server that fails in the middle.

use super::super::client::{Client, Fault};
use super::run::run;
use super::script::{Stage, filled, fixtures, own, script};
use crate::config::model::{Ca, SecretRef};
use crate::config::odoo::Door;
use crate::config::synthetic::Synthetics;
use crate::domain::synthetic::Synthetic;
use crate::observe::http::rig::Tiny;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn ground(synthetic: Synthetic) -> Map<String, Value> {
    let all = fixtures(synthetic).iter().enumerate().map(|(i, f)| (f.name.to_owned(), json!(100 + i)));
    all.chain([("<company>".to_owned(), json!(7))]).collect()
}

/// Every name of a script is one of the ground, or one that an earlier call of the same script gets.
#[test]
fn each_name_in_a_script_is_bound_before_it_is_used() {
    for synthetic in Synthetic::ALL {
        let mut known: BTreeSet<String> = ground(synthetic).into_iter().map(|(name, _)| name).collect();
        for call in script(synthetic, "quarterdeck-probe/x", Timestamp::UNIX_EPOCH) {
            let text = call.body.to_string();
            for name in text.split('"').filter(|w| w.starts_with('<') && w.ends_with('>')) {
                assert!(known.contains(name), "{synthetic}: {} uses {name}", call.path());
            }
            known.extend(call.binds.map(str::to_owned));
        }
    }
}

#[test]
fn only_documents_with_the_mark_in_the_probe_company_are_ever_taken_away() {
    for synthetic in Synthetic::ALL {
        let calls = script(synthetic, "quarterdeck-probe/x", Timestamp::UNIX_EPOCH);
        for (i, call) in calls.iter().enumerate().filter(|(_, c)| ["unlink", "action_cancel"].contains(&c.method)) {
            let name = call.body["ids"].as_str().unwrap();
            let search = calls[..i].iter().rfind(|c| c.binds == Some(name)).unwrap();
            let domain = search.body["domain"].to_string();
            assert!(domain.contains("quarterdeck-probe/"), "{synthetic}: {domain}");
            assert!(domain.contains(r#"["company_id","=","<company>"]"#), "{synthetic}: {domain}");
        }
        assert!(calls.iter().any(|c| c.stage == Stage::Verify), "{synthetic}");
        let made = calls.iter().filter(|c| c.method == "create").all(|c| c.body.to_string().contains("<company>"));
        assert!(made, "{synthetic} makes something that is of no company");
    }
    assert_eq!(filled(&own(Synthetic::SalesOrder, "r"), &ground(Synthetic::SalesOrder)).unwrap()[1][2], 7);
}

#[test]
fn a_name_that_stands_for_nothing_leaves_the_call_out() {
    let known = Map::from_iter([("<a>".to_owned(), json!([3])), ("<none>".to_owned(), json!([]))]);
    assert_eq!(filled(&json!({ "ids": "<a>", "x": [1, "<a>"] }), &known), Some(json!({ "ids": [3], "x": [1, [3]] })));
    assert_eq!(filled(&json!({ "ids": "<none>" }), &known), None);
    assert_eq!(filled(&json!({ "ids": ["<b>"] }), &known), None);
}

/// A sales order before a server that answers by path; what it was asked, in order.
async fn tried(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> (super::run::Ran, Vec<String>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let server = Tiny::http(move |first, _| {
        let path = first.split(' ').nth(1).unwrap().trim_start_matches("/json/2/").to_owned();
        seen.lock().unwrap().push(path.clone());
        answer(&path)
    });
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    std::fs::write(&key, "k").unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let config = Synthetics {
        tenant: "t017".into(),
        door: Door {
            url: server.url(),
            host: None,
            database: "t017".into(),
            key: Some(SecretRef::File(key)),
            ca: Ca::default(),
        },
        company: "P".into(),
        run: vec![Synthetic::SalesOrder],
        interval: Duration::from_mins(5),
        timeout: Duration::from_secs(5),
    };
    let client = Client::open(&config.door).await.unwrap();
    let calls = script(Synthetic::SalesOrder, "quarterdeck-probe/x", Timestamp::UNIX_EPOCH);
    let ran = run(&client, &calls, &ground(Synthetic::SalesOrder), Duration::from_secs(5)).await;
    let asked = asked.lock().unwrap().clone();
    (ran, asked)
}

const CLEANED: [&str; 4] =
    ["sale.order/search", "sale.order/action_cancel", "sale.order/unlink", "sale.order/search_count"];

fn answer(path: &str) -> (u16, String) {
    let said = match path {
        "sale.order/search_count" => "0",
        "sale.order/create" | "sale.order/search" => "[5]",
        _ => "true",
    };
    (200, said.to_owned())
}

#[tokio::test]
async fn what_was_made_is_taken_away_also_when_the_work_fails() {
    // The confirmation has no effect although Odoo said yes: the count of confirmed orders tells.
    let (ran, asked) = tried(answer).await;
    assert!(matches!(&ran.work, Err(Fault::Refused(why)) if why.message.contains("search_count answered 0, not 1")));
    assert!(ran.clean.is_ok() && asked.ends_with(&CLEANED.map(str::to_owned)), "{asked:?}");

    let refused = |path: &str| match path {
        "sale.order/action_confirm" => (422, r#"{"message": "no price"}"#.to_owned()),
        path => answer(path),
    };
    let (ran, asked) = tried(refused).await;
    assert!(matches!(&ran.work, Err(Fault::Refused(why)) if why.message.ends_with("no price")), "{ran:?}");
    assert!(ran.clean.is_ok() && asked.ends_with(&CLEANED.map(str::to_owned)), "{asked:?}");

    // A proxy gives up on the creation: it may come about later, and it is looked for all the same.
    let lost = |path: &str| if path == "sale.order/create" { (504, String::new()) } else { answer(path) };
    let (ran, asked) = tried(lost).await;
    assert!(matches!(&ran.work, Err(Fault::Lost(_))) && asked.ends_with(&CLEANED.map(str::to_owned)), "{asked:?}");

    // What can not be deleted is said.
    let held =
        |path: &str| if path == "sale.order/unlink" { (403, r#"{"message": "no"}"#.into()) } else { answer(path) };
    let (ran, asked) = tried(held).await;
    assert_eq!(asked.iter().filter(|p| *p == "sale.order/create").count(), 0, "nothing is added to what is left");
    assert!(ran.work.is_err() && ran.clean.is_err(), "{ran:?}");
}
