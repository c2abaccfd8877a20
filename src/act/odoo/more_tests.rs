//! Crons, priorities, keys, exports, switches and held jobs before a real database; where the lab is up, before a copy
//! of the one that Odoo 19 itself made.

use super::tests::Tenant017;
use crate::act::postgres::tests::{done, execute, failed, prepare};
use crate::domain::ports::{Outcome, Reconciled};
use crate::domain::sample::FailureKind;
use crate::domain::world::World;
use serde_json::{Value, json};

/// Columns as Odoo 19 makes them, where the test of the observer has not made them already.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS ir_config_parameter (id serial PRIMARY KEY, key varchar UNIQUE, value text,
  create_uid int, create_date timestamp, write_uid int, write_date timestamp);
ALTER TABLE queue_job ADD COLUMN IF NOT EXISTS priority int;
CREATE TABLE orm_signaling_default (id serial PRIMARY KEY, date timestamp DEFAULT now());
CREATE TABLE orm_signaling_stable (id serial PRIMARY KEY, date timestamp DEFAULT now());
CREATE TABLE res_users (id serial PRIMARY KEY, login varchar);
CREATE TABLE res_users_apikeys (id serial PRIMARY KEY, name varchar NOT NULL, user_id int REFERENCES res_users(id),
  scope varchar, expiration_date timestamp, index varchar(8) NOT NULL, key varchar NOT NULL);
CREATE TABLE res_groups_users_rel (gid int, uid int, PRIMARY KEY (gid, uid));
CREATE TABLE res_groups_implied_rel (gid int, hid int, PRIMARY KEY (gid, hid));
CREATE TABLE ir_model_data (id serial PRIMARY KEY, module varchar, name varchar, res_id int);
INSERT INTO ir_config_parameter (key, value) VALUES ('edi.enabled', 'True');
INSERT INTO res_users (login) VALUES ('admin'), ('edi'), ('demo');
INSERT INTO res_users_apikeys (name, user_id, index, key, expiration_date) VALUES
  ('a', 1, '12345678', 'x', NULL), ('b', 2, '12345678', 'x', '2999-01-01'), ('old', 2, '12345678', 'x', '2001-01-01');
INSERT INTO ir_model_data (module, name, res_id) VALUES ('base', 'group_allow_export', 7), ('base', 'group_erp_manager', 9);
INSERT INTO res_groups_implied_rel VALUES (10, 9), (11, 7);
INSERT INTO res_users (login) VALUES ('boss'), ('clerk');
INSERT INTO res_groups_users_rel VALUES (7, 1), (7, 3), (8, 2), (10, 4), (11, 5);";

pub(super) async fn made(grants: bool) -> Option<(Tenant017, World)> {
    let mut tenant = Tenant017::make().await?;
    tenant.server.sql("t017", TABLES).await;
    tenant.server.sql("t017", "GRANT SELECT ON ir_cron, queue_job, ir_config_parameter TO act").await;
    if grants {
        let grants = crate::act::grants::TABLES.iter().map(|t| format!("GRANT {} TO act;", t.words("")));
        tenant.server.sql("t017", &grants.collect::<String>()).await;
    }
    let world = tenant.world().await;
    Some((tenant, world))
}

pub(super) async fn one(tenant: &Tenant017, question: &str) -> String {
    let found: Option<String> = tenant.server.connect("t017").await.query_one_scalar(question, &[]).await.unwrap();
    found.unwrap_or_default()
}

pub(super) fn of(more: &[(&'static str, Value)]) -> Vec<(&'static str, Value)> {
    [("tenant", json!("t017")), ("integration", json!("edi"))].into_iter().chain(more.iter().cloned()).collect()
}

fn took(found: &Reconciled) -> bool {
    matches!(found, Reconciled::TookEffect { .. })
}

fn nothing(found: &Reconciled) -> bool {
    matches!(found, Reconciled::NoEffect { .. })
}

#[tokio::test]
async fn exactly_the_crons_that_were_paused_are_resumed() {
    let Some((tenant, world)) = made(true).await else { return };
    tenant.server.sql("t017", "DELETE FROM ir_cron").await;
    let crons = "INSERT INTO ir_cron (id, cron_name, active, nextcall) VALUES
      (11, 'MRP: run', true, now()), (12, 'Mail: queue', true, now()), (13, 'Off', false, now()), (14, 'Busy', true, now())";
    tenant.server.sql("t017", crons).await;
    let active = "SELECT string_agg(id::text, ' ' ORDER BY id) FROM ir_cron WHERE active";
    let (pause, resume) = (tenant.verb("odoo.pause_crons"), tenant.verb("odoo.resume_crons"));
    let none = prepare(&*resume, &world, &of(&[])).await.unwrap_err().message;
    assert!(none.contains("were paused by odoo.pause_crons"), "{none}");
    let missing = prepare(&*pause, &world, &of(&[("crons", json!(["Off"]))])).await.unwrap_err().message;
    assert_eq!(missing, "no active cron of t017 is named Off");

    let request = prepare(&*pause, &world, &of(&[("except", json!(["Mail: queue"]))])).await.unwrap();
    assert_eq!((request.target.count, request.target.object.as_str()), (2, "2 crons in database t017"));
    assert_eq!(pause.dry_run(&request, None).await.unwrap(), "would pause up to 2 crons");
    assert!(nothing(&pause.reconcile(&request).await));
    // One runs: it holds its row as Odoo does.
    let busy = tenant.server.connect("t017").await;
    busy.batch_execute("BEGIN; SELECT FROM ir_cron WHERE id = 14 FOR NO KEY UPDATE").await.unwrap();
    let (result, summary) = done(execute(&*pause, &request).await);
    assert_eq!(result, json!({ "paused": [11], "running": 1 }));
    assert_eq!(summary, "1 crons are paused; 1 run at this moment and were left alone");
    busy.batch_execute("COMMIT").await.unwrap();
    assert_eq!(one(&tenant, active).await, "12 14");
    done(execute(&*pause, &request).await);
    assert_eq!(one(&tenant, active).await, "12");
    assert!(took(&pause.reconcile(&request).await));

    let stale = prepare(&*resume, &world, &of(&[])).await.unwrap();
    let more = prepare(&*pause, &world, &of(&[])).await.unwrap();
    done(execute(&*pause, &more).await);
    let refused = failed(execute(&*resume, &stale).await).message;
    assert!(refused.contains("other crons are noted as paused"), "{refused}");
    let request = prepare(&*resume, &world, &of(&[])).await.unwrap();
    assert!(request.hurts.contains("MRP: run") && request.hurts.contains("Busy"), "{}", request.hurts);
    assert!(nothing(&resume.reconcile(&request).await));
    assert_eq!(done(execute(&*resume, &request).await).0, json!({ "resumed": [11, 12, 14] }));
    assert_eq!(one(&tenant, active).await, "11 12 14", "what was off before stays off");
    assert!(took(&resume.reconcile(&request).await));
}

#[tokio::test]
async fn waiting_jobs_change_their_priority_and_others_do_not() {
    let Some((tenant, world)) = made(true).await else { return };
    let jobs = "INSERT INTO queue_job (uuid, channel, state, priority, date_created)
      SELECT 'p' || n, 'root.wms', 'pending', 10, now() FROM generate_series(1, 5) n";
    tenant.server.sql("t017", jobs).await;
    let verb = tenant.verb("odoo.set_job_priority");
    let args = of(&[("channel", json!("root.wms")), ("priority", json!("3"))]);
    let request = prepare(&*verb, &world, &args).await.unwrap();
    assert_eq!(request.target.count, 6);
    assert!(verb.dry_run(&request, None).await.unwrap().starts_with("would give 6 waiting jobs"));
    assert!(nothing(&verb.reconcile(&request).await));
    tenant
        .server
        .sql(
            "t017",
            "INSERT INTO queue_job (uuid, channel, state, date_created) VALUES ('late', 'root.wms', 'pending', now())",
        )
        .await;
    assert_eq!(done(execute(&*verb, &request).await).0["changed"], json!(6), "never more than shown");
    let other = "SELECT string_agg(uuid, ' ' ORDER BY uuid) FROM queue_job WHERE channel = 'root.wms' AND coalesce(priority, 10) <> 3";
    assert_eq!(one(&tenant, other).await, "late zombie-3");
    tenant.server.sql("t017", "UPDATE queue_job SET priority = 3 WHERE uuid = 'late'").await;
    assert!(took(&verb.reconcile(&request).await));
    assert!(prepare(&*verb, &world, &args).await.unwrap_err().message.contains("has another priority than 3"));
    let bad = of(&[("channel", json!("root.wms")), ("priority", json!(-1))]);
    assert!(prepare(&*verb, &world, &bad).await.unwrap_err().message.contains("allowed is 0 to 1000"));
}

#[tokio::test]
async fn keys_end_and_exports_are_locked_and_given_back_to_the_same_people() {
    let Some((tenant, world)) = made(true).await else { return };
    let keys = tenant.verb("odoo.revoke_api_keys");
    let request = prepare(&*keys, &world, &of(&[("login", json!("edi"))])).await.unwrap();
    assert_eq!(request.target.object, "1 API keys of edi in database t017");
    assert!(nothing(&keys.reconcile(&request).await));
    tenant
        .server
        .sql("t017", "INSERT INTO res_users_apikeys (name, user_id, index, key) VALUES ('n', 2, '12345678', 'x')")
        .await;
    let refused = failed(execute(&*keys, &request).await).message;
    assert!(refused.contains("there are 2 valid keys now, 1 were shown"), "{refused}");
    let request = prepare(&*keys, &world, &of(&[("login", json!("edi"))])).await.unwrap();
    assert_eq!(done(execute(&*keys, &request).await).1, "2 API keys have ended");
    assert!(took(&keys.reconcile(&request).await));
    assert_eq!(one(&tenant, "SELECT count(*)::text FROM res_users_apikeys").await, "4", "their rows stay");
    let all = prepare(&*keys, &world, &of(&[])).await.unwrap();
    assert_eq!(all.target.count, 1, "that of admin");

    let exports = tenant.verb("odoo.lock_exports");
    let request = prepare(&*exports, &world, &of(&[])).await.unwrap();
    // An administrator, and one whom another group gives the right.
    assert!(request.hurts.ends_with("or as administrators, these still can: boss, clerk"), "{}", request.hurts);
    let who = "SELECT string_agg(gid || ':' || uid, ' ' ORDER BY gid, uid) FROM res_groups_users_rel";
    assert!(nothing(&exports.reconcile(&request).await));
    assert_eq!(done(execute(&*exports, &request).await).0, json!({ "users": 2, "told": 1 }));
    assert_eq!(one(&tenant, who).await, "8:2 10:4 11:5");
    assert!(took(&exports.reconcile(&request).await));
    assert!(prepare(&*exports, &world, &of(&[])).await.unwrap_err().message.contains("no user of t017"));
    let back = prepare(&*exports, &world, &of(&[("locked", json!(false))])).await.unwrap();
    assert!(nothing(&exports.reconcile(&back).await));
    assert_eq!(done(execute(&*exports, &back).await).0["users"], json!(2));
    assert_eq!(one(&tenant, who).await, "7:1 7:3 8:2 10:4 11:5");
    assert!(took(&exports.reconcile(&back).await));
    assert_eq!(one(&tenant, "SELECT count(*)::text FROM orm_signaling_default").await, "2");
}

#[tokio::test]
async fn an_integration_is_cut_off_its_jobs_are_held_and_replayed_and_the_counts_agree() {
    let Some((tenant, world)) = made(true).await else { return };
    let jobs = "INSERT INTO queue_job (uuid, channel, state, date_created, eta)
      SELECT 'e' || n, 'root.edi', 'pending', now() - n * interval '1 min', NULL FROM generate_series(1, 5) n
      UNION ALL SELECT 'tomorrow', 'root.edi', 'pending', now(), now() + interval '1 day'
      UNION ALL SELECT 'child', 'root.edi', 'wait_dependencies', now(), NULL";
    tenant.server.sql("t017", jobs).await;
    let (open, close) = (tenant.verb("integration.breaker_open"), tenant.verb("integration.breaker_close"));
    let request = prepare(&*open, &world, &of(&[])).await.unwrap();
    assert!(nothing(&open.reconcile(&request).await));
    assert_eq!(open.dry_run(&request, None).await.unwrap(), "would set edi.enabled to False; it is True now");
    done(execute(&*open, &request).await);
    assert!(took(&open.reconcile(&request).await));
    assert_eq!(
        one(&tenant, "SELECT value || (SELECT count(*) FROM orm_signaling_stable) FROM ir_config_parameter").await,
        "False1"
    );
    let again = failed(execute(&*open, &request).await).message;
    assert!(again.contains("another value by now"), "{again}");
    assert!(prepare(&*open, &world, &of(&[])).await.unwrap_err().message.ends_with("is False already"));

    let (buffer, replay) = (tenant.verb("integration.buffer"), tenant.verb("integration.replay"));
    let request = prepare(&*buffer, &world, &of(&[])).await.unwrap();
    assert_eq!(request.target.count, 5, "the job of tomorrow waits by itself");
    assert!(nothing(&buffer.reconcile(&request).await));
    assert_eq!(done(execute(&*buffer, &request).await).0, json!({ "counted": 5, "moved": 5, "held_before": 0 }));
    assert!(took(&buffer.reconcile(&request).await));
    assert!(prepare(&*buffer, &world, &of(&[])).await.unwrap_err().message.contains("5 are held"));
    // A due time far away in what is pending would end queue_job's jobrunner.
    let far = "SELECT count(*)::text FROM queue_job WHERE state = 'pending' AND eta > now() + interval '24 days'";
    assert_eq!(one(&tenant, far).await, "0");

    let some = prepare(&*replay, &world, &of(&[("batch", json!(2))])).await.unwrap();
    assert!(nothing(&replay.reconcile(&some).await));
    assert_eq!(done(execute(&*replay, &some).await).0, json!({ "counted": 2, "moved": 2, "held_before": 5 }));
    assert!(took(&replay.reconcile(&some).await));
    let free = "SELECT string_agg(uuid, ' ' ORDER BY uuid) FROM queue_job WHERE state = 'pending' AND channel = 'root.edi' AND eta IS NULL";
    assert_eq!(one(&tenant, free).await, "e4 e5", "the oldest first");
    let rest = prepare(&*replay, &world, &of(&[])).await.unwrap();
    assert_eq!(done(execute(&*replay, &rest).await).0["moved"], json!(3));
    assert!(prepare(&*replay, &world, &of(&[])).await.unwrap_err().message.ends_with("is held"));
    let child = "SELECT state FROM queue_job WHERE uuid = 'child'";
    assert_eq!(one(&tenant, child).await, "wait_dependencies", "it waits for another job, and was not held");
    let back = prepare(&*close, &world, &of(&[])).await.unwrap();
    done(execute(&*close, &back).await);
}

#[tokio::test]
async fn what_lacks_a_right_says_which_and_a_database_that_is_gone_is_said() {
    let Some((tenant, world)) = made(false).await else { return };
    tenant.server.sql("t017", "INSERT INTO ir_cron (cron_name, active, nextcall) VALUES ('Mail', true, now())").await;
    for (name, more, words) in [
        ("odoo.pause_crons", &[][..], "GRANT SELECT, UPDATE ON ir_cron TO act"),
        ("integration.breaker_open", &[][..], "GRANT SELECT, INSERT ON orm_signaling_stable TO act"),
    ] {
        let verb = tenant.verb(name);
        let request = prepare(&*verb, &world, &of(more)).await.unwrap();
        let refused = failed(execute(&*verb, &request).await);
        assert_eq!(refused.kind, FailureKind::Permission, "{name}: {refused}");
        assert!(refused.message.contains(words), "{name}: {refused}");
    }
    let verb = tenant.verb("odoo.pause_crons");
    let request = prepare(&*verb, &world, &of(&[])).await.unwrap();
    tenant.server.freeze();
    let frozen = verb.execute(crate::act::postgres::tests::permit(&request, std::time::Duration::from_secs(1))).await;
    assert!(matches!(&frozen, Outcome::Failed { why } if why.kind == FailureKind::Timeout), "{frozen:?}");
    tenant.server.thaw();
    tenant.server.sql("postgres", "DROP DATABASE t017 WITH (FORCE)").await;
    let gone = failed(execute(&*verb, &request).await).message;
    assert!(gone.contains("t017"), "{gone}");
    assert!(matches!(verb.reconcile(&request).await, Reconciled::Undecided { .. }));
}
