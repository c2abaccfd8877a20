//! Verbs on a tenant's database and those of its integrations, cut off in the middle before a real PostgreSQL; triggers
//! count each row that a statement changes.

use super::more_tests::{made, of, one};
use crate::act::cut::{Args, At, Case, Says, Wire, bound};
use crate::act::postgres::tests::prepare;
use futures::future::join_all;
use serde_json::json;

/// Rows as they are changed, by table, and by channel or parameter.
const EFFECTS: &str = "
CREATE TABLE effects (what text);
CREATE FUNCTION counted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE changed jsonb;
BEGIN
  IF TG_OP = 'DELETE' THEN changed := to_jsonb(OLD); ELSE changed := to_jsonb(NEW); END IF;
  INSERT INTO public.effects
  VALUES (rtrim(TG_TABLE_NAME || ' ' || coalesce(changed->>'channel', CASE WHEN changed ? 'value' THEN changed->>'key' END, '')));
  RETURN NULL;
END $$;
CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE ON ir_cron FOR EACH ROW EXECUTE FUNCTION counted();
CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE ON queue_job FOR EACH ROW EXECUTE FUNCTION counted();
CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE ON res_users_apikeys FOR EACH ROW EXECUTE FUNCTION counted();
CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE ON res_groups_users_rel FOR EACH ROW EXECUTE FUNCTION counted();
CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE ON ir_config_parameter FOR EACH ROW EXECUTE FUNCTION counted();
";

/// Two crons that were paused, a channel whose jobs wait, one whose jobs are held, one with a priority, an open breaker.
const STATE: &str = "
DELETE FROM ir_cron;
INSERT INTO ir_cron (id, cron_name, active, nextcall) VALUES (11, 'MRP: run', false, now()), (12, 'Mail', false, now());
INSERT INTO ir_config_parameter (key, value) VALUES ('quarterdeck.paused_crons', '11,12');
UPDATE ir_config_parameter SET value = 'False' WHERE key = 'edi.enabled';
UPDATE queue_job SET channel = 'root.zombie' WHERE state = 'started';
DELETE FROM queue_job WHERE state = 'pending';
INSERT INTO queue_job (uuid, channel, state, priority, date_created)
  SELECT c || n, 'root.' || c, 'pending', 10, now() FROM generate_series(1, 5) n, unnest(ARRAY['edi', 'wms', 'mail']) c;
UPDATE queue_job SET state = 'wait_dependencies', eta = '2999-01-01' WHERE channel = 'root.wms';";

#[tokio::test]
async fn every_verb_on_a_database_is_cut_off_and_found_out() {
    let Some((mut tenant, _)) = made(true).await else { return };
    tenant.server.sql("t017", STATE).await;
    tenant.server.sql("t017", EFFECTS).await;
    let world = &tenant.world().await;
    let tenant = &tenant;
    // What looking says of one that never arrived is always that it had no effect, and of the other that it had.
    let rows: [(&str, Args, At, &str, i64); 8] = [
        ("odoo.requeue_jobs", vec![("channel", json!("root.zombie"))], At::Answer, "queue_job root.zombie", 3),
        ("odoo.resume_crons", vec![], At::Middle, "ir_cron", 2),
        (
            "odoo.set_job_priority",
            vec![("channel", json!("root.mail")), ("priority", json!(3))],
            At::Answer,
            "queue_job root.mail",
            5,
        ),
        ("odoo.revoke_api_keys", vec![("login", json!("edi"))], At::Middle, "res_users_apikeys", 1),
        ("odoo.lock_exports", vec![], At::Answer, "res_groups_users_rel", 2),
        ("integration.breaker_close", vec![], At::Middle, "ir_config_parameter edi.enabled", 1),
        ("integration.buffer", vec![], At::Answer, "queue_job root.edi", 5),
        // Sent twice it would let two more run, which nobody has asked for.
        (
            "integration.replay",
            vec![("integration", json!("wms")), ("batch", json!(2))],
            At::Middle,
            "queue_job root.wms",
            2,
        ),
    ];
    let tried = rows.into_iter().map(async |(name, args, answer, what, once)| {
        let wire = Wire::to(tenant.server.port, bound());
        let verbs = tenant.through(wire.port());
        let verb = &**verbs.get(name).unwrap();
        let request = &prepare(verb, world, &of(&args)).await.unwrap();
        let count = async || {
            let counted = format!("SELECT count(*)::text FROM effects WHERE what = '{what}'");
            one(tenant, &counted).await.parse().unwrap()
        };
        let (lost, kept, acted) = (Says::Nothing, Says::Took, [once, once]);
        Case { wire: &wire, verb, request, lost, answer, kept, acted }.run(count).await;
    });
    join_all(tried).await;
}
