//! The verbs before a real database with the columns and the trigger of `queue_job` 19.0.

use super::*;
use crate::act::Verbs;
use crate::act::postgres::tests::{done, execute, failed, render, world};
use crate::domain::estate::Estate;
use crate::domain::mode::Mode;
use crate::domain::ports::Reconciled;
use crate::domain::request::Operation;
use crate::domain::sample::FailureKind;
use crate::domain::world::World;
use crate::observe::odoo::tests::ODOO_19;
use crate::observe::odoo::{Odoo, ZOMBIE_AFTER};
use crate::observe::postgres::Postgres;
use crate::observe::postgres::testbed::{Server, estate};
use serde_json::json;

fn built(instances: &Arc<Instances>) -> Vec<Arc<DynVerb>> {
    let may = Mode::Live.may_act().unwrap();
    let hook = model::Integration {
        id: "edi".into(),
        tenant: "t017".into(),
        channel: "root.edi".into(),
        switch: Some("edi.enabled".into()),
        open: "False".into(),
        closed: "True".into(),
    };
    let other = model::Integration { id: "wms".into(), channel: "root.wms".into(), switch: None, ..hook.clone() };
    let integration = crate::act::integration::verbs(instances, &[hook, other]);
    verbs(may, instances, &[]).into_iter().chain(integration).collect()
}

pub(super) struct Tenant017 {
    pub(super) server: Server,
    estate: Arc<Estate>,
    verbs: Verbs,
    instance: Postgres,
    odoo: Odoo,
}

/// Two zombies and a young job in root.edi, one zombie in root.wms; all were enqueued, tried once.
const JOBS: &str = "
INSERT INTO queue_job (uuid, channel, state, retry, worker_pid, date_created, date_enqueued, date_started) VALUES
  ('zombie-1', 'root.edi', 'started', 1, 77, ago(60), ago(50), ago(40)),
  ('zombie-2', 'root.edi', 'started', NULL, 77, ago(60), ago(50), ago(30)),
  ('young', 'root.edi', 'started', 0, 78, ago(60), ago(50), ago(5)),
  ('zombie-3', 'root.wms', 'started', 0, 79, ago(60), ago(50), ago(20)),
  ('waits', 'root.wms', 'pending', 0, NULL, ago(60), NULL, NULL);
INSERT INTO queue_job_lock (queue_job_id) SELECT id FROM queue_job WHERE state = 'started';";

impl Tenant017 {
    pub(super) async fn make() -> Option<Self> {
        let server = Server::start().await?;
        server.role("act", "GRANT pg_monitor TO act").await;
        server.sql("postgres", "CREATE DATABASE t017").await;
        server.sql("postgres", "ALTER DATABASE t017 SET TimeZone = 'Asia/Tokyo'").await;
        server.sql("t017", ODOO_19).await;
        server.sql("t017", JOBS).await;
        server.sql("t017", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO act").await;
        server.sql("t017", "GRANT UPDATE ON queue_job, queue_job_lock TO act").await;
        let (config, estate) = (server.config("act"), Arc::new(estate(&["t017"])));
        let may = || Mode::Live.may_observe().unwrap();
        let odoo = Odoo::on(may(), &config, &estate, ZOMBIE_AFTER).pop().unwrap();
        let instance = Postgres::new(may(), &config);
        let verbs = Verbs::new(built(&Arc::new(Instances::new(Mode::Live.may_act().unwrap(), &[config]))));
        Some(Self { server, estate, verbs, instance, odoo })
    }

    pub(super) async fn world(&mut self) -> World {
        world(&self.estate, &mut [&mut self.instance, &mut self.odoo]).await
    }

    /// The verbs over another port.
    pub(super) fn through(&self, port: u16) -> Verbs {
        let config = model::Postgres { port, ..self.server.config("act") };
        Verbs::new(built(&Arc::new(Instances::new(Mode::Live.may_act().unwrap(), &[config]))))
    }

    pub(super) fn verb(&self, name: &str) -> Arc<DynVerb> {
        Arc::clone(self.verbs.get(name).unwrap())
    }

    /// Names of the jobs in a state.
    pub(super) async fn jobs(&self, state: &str) -> String {
        let question =
            format!("SELECT coalesce(string_agg(uuid, ' ' ORDER BY uuid), '') FROM queue_job WHERE state = '{state}'");
        self.server.connect("t017").await.query_one_scalar(&question, &[]).await.unwrap()
    }
}

#[tokio::test]
async fn the_queue_is_inspected() {
    let Some(mut tenant) = Tenant017::make().await else { return };
    let world = tenant.world().await;
    let inspect = tenant.verb("odoo.queue_inspect");
    let request = render(&*inspect, &world, &[("tenant", json!("t017"))]).unwrap();
    let (result, summary) = done(inspect.look(&request).await);
    assert_eq!(summary, "1 jobs wait in 2 channels, the oldest in root.wms due for 1 h 0 min; 3 zombies");
    assert_eq!((&result["depth"], &result["zombies"]), (&json!(1), &json!(3)));
    assert_eq!(result["channels"][0]["name"], json!("root.edi"));
    let unknown = render(&*inspect, &world, &[("tenant", json!("t404"))]).unwrap_err().message;
    assert_eq!(unknown, "there is no tenant t404");
}

#[tokio::test]
async fn zombies_are_requeued_as_the_module_does_it_and_the_runner_is_told() {
    let Some(mut tenant) = Tenant017::make().await else { return };
    let world = tenant.world().await;
    let requeue = tenant.verb("odoo.requeue_jobs");
    let list = [("tenant", json!("t017")), ("channel", json!("root.edi"))];
    let request = render(&*requeue, &world, &list).unwrap();
    assert_eq!(
        (request.target.count, request.target.object.as_str()),
        (2, "2 jobs of channel root.edi in database t017, started more than 15 min 0 s ago")
    );
    let Operation::Sql { database, parameters, .. } = &request.operation else { panic!() };
    assert_eq!(
        (database.as_str(), parameters.as_slice()),
        ("t017", &["900".into(), "root.edi".into(), "2".into()][..])
    );
    let answer = requeue.dry_run(&request, None).await.unwrap();
    assert!(answer.starts_with("would requeue up to 2 jobs: zombie-1 in root.edi, started 40 min"), "{answer}");
    assert_eq!(tenant.jobs("pending").await, "waits", "a dry run does nothing");
    assert!(matches!(requeue.reconcile(&request).await, Reconciled::NoEffect { .. }));

    let mut listener = Listener::on(&tenant.server).await;
    let (result, summary) = done(execute(&*requeue, &request).await);
    assert_eq!((result, summary.as_str()), (json!({ "requeued": 2, "left_alone": 0 }), "2 jobs requeued"));
    assert_eq!(tenant.jobs("pending").await, "waits zombie-1 zombie-2");
    assert_eq!(tenant.jobs("started").await, "young zombie-3");
    let clean = "SELECT bool_and(date_enqueued IS NULL AND date_started IS NULL AND worker_pid IS NULL
      AND retry = CASE uuid WHEN 'zombie-1' THEN 2 ELSE 1 END) FROM queue_job WHERE uuid IN ('zombie-1', 'zombie-2')";
    tenant.server.until("t017", clean).await;
    let mut told = [listener.next().await, listener.next().await];
    told.sort();
    assert_eq!(told, ["zombie-1", "zombie-2"]);
    assert!(matches!(requeue.reconcile(&request).await, Reconciled::TookEffect { .. }));
    let (result, summary) = done(execute(&*requeue, &request).await);
    assert_eq!((&result["requeued"], summary.as_str()), (&json!(0), "no zombie job is left, nothing was requeued"));
}

#[tokio::test]
async fn a_job_that_a_worker_still_holds_is_left_alone() {
    let Some(mut tenant) = Tenant017::make().await else { return };
    let world = tenant.world().await;
    let requeue = tenant.verb("odoo.requeue_jobs");
    let request = render(&*requeue, &world, &[("tenant", json!("t017"))]).unwrap();
    assert_eq!(request.target.count, 3);
    assert!(request.server_checks.iter().any(|c| c.contains("queue_job_lock")), "{:?}", request.server_checks);
    // What `Job.lock` of queue_job 19.0 does while a job runs.
    let worker = tenant.server.connect("t017").await;
    let lock =
        "BEGIN; SELECT * FROM queue_job_lock WHERE queue_job_id IN (SELECT id FROM queue_job WHERE uuid = 'zombie-2')
      FOR UPDATE";
    worker.batch_execute(lock).await.unwrap();
    let (result, summary) = done(execute(&*requeue, &request).await);
    assert_eq!(result, json!({ "requeued": 2, "left_alone": 1 }));
    assert_eq!(summary, "2 jobs requeued; 1 beyond the limit are held by a worker and were left alone");
    assert_eq!(tenant.jobs("started").await, "young zombie-2");
    worker.batch_execute("ROLLBACK").await.unwrap();
    let (result, _) = done(execute(&*requeue, &request).await);
    assert_eq!(result["requeued"], json!(1), "the worker died");
}

#[tokio::test]
async fn more_zombies_than_were_shown_are_not_touched() {
    let Some(mut tenant) = Tenant017::make().await else { return };
    let world = tenant.world().await;
    let requeue = tenant.verb("odoo.requeue_jobs");
    let request = render(&*requeue, &world, &[("tenant", json!("t017"))]).unwrap();
    tenant.server.sql("t017", "UPDATE queue_job SET date_started = ago(16) WHERE uuid = 'young'").await;
    let answer = requeue.dry_run(&request, None).await.unwrap();
    assert_eq!(answer, "4 jobs are beyond the limit, 3 were shown: probably nothing would be done");
    let refused = failed(execute(&*requeue, &request).await).message;
    assert_eq!(refused, "there are 4 zombie jobs now, 3 were shown: nothing was done, look again");
    assert_eq!(tenant.jobs("pending").await, "waits");
}

#[tokio::test]
async fn without_job_locks_the_request_says_what_it_risks_and_still_works() {
    let Some(mut tenant) = Tenant017::make().await else { return };
    tenant.server.sql("t017", "DROP TABLE queue_job_lock").await;
    let world = tenant.world().await;
    let requeue = tenant.verb("odoo.requeue_jobs");
    let list = [("tenant", json!("t017")), ("older_than_s", json!(1500))];
    let request = render(&*requeue, &world, &list).unwrap();
    assert!(request.hurts.ends_with("one that still runs after all would run twice"), "{}", request.hurts);
    assert_eq!(done(execute(&*requeue, &request).await).0["requeued"], json!(2));
    assert_eq!(tenant.jobs("started").await, "young zombie-3", "20 minutes are less than asked for");

    for (list, words) in [
        (vec![("tenant", json!("t017")), ("older_than_s", json!(60))], "the least is 900: a younger job may still run"),
        (
            vec![("tenant", json!("t017")), ("channel", json!("root.none"))],
            "t017 has no zombie jobs in channel root.none now",
        ),
    ] {
        let refused = render(&*requeue, &world, &list).unwrap_err().message;
        assert!(refused.contains(words), "{refused}");
    }
}

#[tokio::test]
async fn a_missing_right_is_said_with_the_grant_and_nothing_is_done() {
    let Some(mut tenant) = Tenant017::make().await else { return };
    let world = tenant.world().await;
    tenant.server.sql("t017", "REVOKE UPDATE ON queue_job_lock FROM act").await;
    let requeue = tenant.verb("odoo.requeue_jobs");
    let request = render(&*requeue, &world, &[("tenant", json!("t017"))]).unwrap();
    let refused = failed(execute(&*requeue, &request).await);
    assert_eq!(refused.kind, FailureKind::Permission, "{refused}");
    assert!(refused.message.ends_with("GRANT SELECT, UPDATE ON queue_job_lock TO act"), "{refused}");
    assert_eq!(tenant.jobs("pending").await, "waits");

    tenant.server.sql("t017", "REVOKE SELECT ON queue_job FROM act").await;
    let world = tenant.world().await;
    let hidden = render(&*requeue, &world, &[("tenant", json!("t017"))]).unwrap_err().message;
    assert_eq!(hidden, "the job channels of t017 are not known: it needs GRANT SELECT ON queue_job TO act");
}

/// Hears what the trigger tells the job runner.
struct Listener {
    heard: tokio::sync::mpsc::UnboundedReceiver<String>,
    _client: tokio_postgres::Client,
}

impl Listener {
    async fn on(server: &Server) -> Self {
        let (client, mut connection) = server.raw("t017").await;
        let (send, heard) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
                if let tokio_postgres::AsyncMessage::Notification(said) = message {
                    drop(send.send(said.payload().to_owned()));
                }
            }
        });
        client.batch_execute("LISTEN queue_job").await.unwrap();
        Self { heard, _client: client }
    }

    async fn next(&mut self) -> String {
        tokio::time::timeout(std::time::Duration::from_mins(1), self.heard.recv()).await.unwrap().unwrap()
    }
}
