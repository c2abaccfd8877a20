//! `odoo.synthetic` on the lab's Odoo: whole, refused, and lost in the middle.

use super::synthetic::Try;
use super::*;
use crate::act::kubernetes::lab::lab;
use crate::config::model::{Ca, Door, SecretRef, Synthetics};
use crate::domain::estate::{Estate, NamespaceRef};
use crate::domain::id::{Digest, SourceId};
use crate::domain::mode::Mode;
use crate::domain::ports::{Outcome, Reconciled};
use crate::domain::synthetic::Synthetic;
use crate::domain::world::World;
use crate::observe::odoo::client::{Client, Fault, lacks_model};
use crate::policy::authorized::Authorized;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(super) fn estate(namespace: Option<&str>) -> Arc<Estate> {
    let mut estate = crate::observe::postgres::testbed::estate(&["t003"]);
    estate.tenants[0].namespace = namespace.map(|name| NamespaceRef {
        cluster: SourceId::new("k8s-1"),
        name: name.to_owned(),
        web: "odoo".to_owned(),
        workers: "odoo-worker".to_owned(),
    });
    Arc::new(estate)
}

pub(super) async fn render(verb: &DynVerb, estate: &Arc<Estate>, args: &[(&str, Value)]) -> Result<Request, VerbError> {
    let args: BTreeMap<String, Value> = args.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    let now = Timestamp::now();
    let world = World::new(Arc::clone(estate), [], now);
    let surveyed = match verb.survey(&Survey { estate: Arc::clone(estate), args: args.clone() }) {
        Some(reading) => Some(reading.await.map_err(|why| VerbError::new(why.message))?),
        None => None,
    };
    verb.render(&RenderContext { estate, world: &world, now, args: &args, surveyed: surveyed.as_ref() })
}

/// The probe company is one, and what is counted in it is this test's.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The lab's probe company, in the database of t003.
fn probe() -> Option<Synthetics> {
    Some(Synthetics {
        tenant: "t003".into(),
        door: Door {
            url: lab("LAB_ODOO_URL")?,
            host: Some("t003.lab.test".into()),
            database: "t003".into(),
            key: Some(SecretRef::File(lab("LAB_ODOO_PROBE_KEY_FILE")?.into())),
            ca: Ca::default(),
        },
        company: "Quarterdeck Probe".into(),
        run: Synthetic::ALL.to_vec(),
        interval: Duration::from_mins(5),
        timeout: Duration::from_secs(30),
    })
}

/// The same probe company, reached by another URL.
fn behind(config: &Synthetics, url: String) -> Synthetics {
    let mut config = config.clone();
    config.door.url = url;
    config
}

fn tries(config: &Synthetics) -> Arc<DynVerb> {
    Try::shared(Mode::Live.may_act().unwrap(), std::slice::from_ref(config))
}

fn patient(request: &Request) -> Authorized {
    Authorized::for_test(request.clone(), Digest::from_bytes(&[7; 32]), Duration::from_secs(30))
}

fn of(synthetic: Synthetic) -> [(&'static str, Value); 2] {
    [("tenant", json!("t003")), ("synthetic", json!(synthetic.name()))]
}

/// A count in the database, as its administrator.
async fn count(statement: &str) -> i64 {
    let mut config: tokio_postgres::Config = lab("LAB_PG_ADMIN_DSN").unwrap().parse().unwrap();
    let (client, link) = config.dbname("t003").connect(tokio_postgres::NoTls).await.unwrap();
    let link = tokio::spawn(link);
    let found = client.query_one(&format!("SELECT ({statement})::bigint"), &[]).await.unwrap().get(0);
    link.abort();
    found
}

/// Documents of synthetics that are not done, and what lies in the probe's place.
async fn left() -> i64 {
    count(
        "SELECT (SELECT count(*) FROM sale_order WHERE client_order_ref LIKE 'quarterdeck-probe/verb/%')
           + (SELECT count(*) FROM mrp_production WHERE origin LIKE 'quarterdeck-probe/verb/%')
           + (SELECT count(*) FROM stock_picking WHERE origin LIKE 'quarterdeck-probe/verb/%' AND state <> 'done')
           + (SELECT count(*) FROM stock_quant q JOIN stock_location l ON l.id = q.location_id
              WHERE l.barcode = 'QUARTERDECK-PROBE' AND q.quantity <> 0)",
    )
    .await
}

#[tokio::test]
async fn each_synthetic_works_in_the_probe_company_and_leaves_nothing() {
    let Some(config) = probe() else { return };
    let _turn = TURN.lock().await;
    let verb = tries(&config);
    let others = "SELECT (SELECT count(*) FROM sale_order) + (SELECT count(*) FROM mrp_production)";
    let before = count(others).await;
    for synthetic in Synthetic::ALL {
        let request = render(&*verb, &estate(None), &of(synthetic)).await.unwrap();
        let dry = verb.dry_run(&request, None).await.unwrap();
        assert!(dry.contains("is there with all it takes"), "{dry}");
        assert!(matches!(verb.reconcile(&request).await, Reconciled::NoEffect { .. }), "{synthetic}");
        let outcome = verb.execute(patient(&request)).await;
        let Outcome::Done { result, summary } = outcome else { panic!("{synthetic}: {outcome:?}") };
        println!("{synthetic}: {result} {summary}");
        assert!(summary.ends_with("nothing of it is left"), "{summary}");
        assert_eq!(left().await, 0, "{synthetic}");
        assert!(matches!(verb.reconcile(&request).await, Reconciled::NoEffect { .. }), "{synthetic}");
        let mut foreign = request.clone();
        foreign.target.source = SourceId::new("odoo/t017");
        assert!(matches!(verb.execute(patient(&foreign)).await, Outcome::Failed { .. }));
    }
    assert_eq!(count(others).await, before, "no other company has more or fewer documents");
    let moved = "SELECT count(*) FROM stock_picking WHERE origin LIKE 'quarterdeck-probe/verb/%' AND state = 'done'";
    assert!(count(moved).await >= 2, "a piece was moved there and back");
}

#[tokio::test]
async fn outside_of_a_dedicated_probe_company_nothing_is_done() {
    let Some(config) = probe() else { return };
    let _turn = TURN.lock().await;
    let says = async |config: &Synthetics, synthetic| {
        render(&*tries(config), &estate(None), &of(synthetic)).await.unwrap_err().message
    };
    let named = Synthetics { company: "Nordholz AG".into(), ..config.clone() };
    let other = says(&named, Synthetic::SalesOrder).await;
    assert!(
        other.contains("belongs to the company Quarterdeck Probe, not to the probe company Nordholz AG"),
        "{other}"
    );

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, "0123456789012345678901234567890123456789").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut stranger = config.clone();
    stranger.door.key = Some(SecretRef::File(path));
    let wrong = says(&stranger, Synthetic::SalesOrder).await;
    assert!(wrong.contains("Invalid apikey"), "{wrong}");

    let none = Synthetics { run: vec![Synthetic::StockMove], ..config.clone() };
    let off = says(&none, Synthetic::SalesOrder).await;
    assert!(off.ends_with("does not name sales-order"), "{off}");

    // What Odoo itself says of a model that no module brings.
    let client = Client::open(&config.door).await.unwrap();
    let fault = client.call("/json/2/no.such/search", &json!({ "domain": [] }), Duration::from_secs(5)).await;
    assert!(matches!(&fault, Err(Fault::Refused(why)) if lacks_model(why)), "{fault:?}");

    // Somebody works in the probe company: a manufacturing order that no synthetic made.
    let order = json!({ "vals_list": [{ "product_id": made().await, "product_qty": 1, "origin": "people" }] });
    let ids = client.call("/json/2/mrp.production/create", &order, Duration::from_secs(10)).await.unwrap();
    let used = says(&config, Synthetic::WorkOrder).await;
    let gone = client.call("/json/2/mrp.production/unlink", &json!({ "ids": ids }), Duration::from_secs(10)).await;
    assert!(used.contains("the company is used for work, and nothing is done in it"), "{used}");
    assert_eq!(gone.unwrap(), json!(true));
}

async fn made() -> i64 {
    count("SELECT id FROM product_product WHERE default_code = 'QUARTERDECK-PROBE-MADE'").await
}

/// A way to Odoo on which the answer to one method is lost; all else passes.
async fn deaf_to(method: &'static str) -> String {
    let to = lab("LAB_ODOO_URL").unwrap().trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let own = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&to).await.unwrap();
            tokio::spawn(async move {
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let (said, heard) = tokio::sync::watch::channel(false);
                let there = async move {
                    let mut buffer = vec![0; 64 << 10];
                    while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
                        if buffer[..n].windows(method.len()).any(|w| w == method.as_bytes()) {
                            said.send_replace(true);
                        }
                        to_server.write_all(&buffer[..n]).await.unwrap();
                    }
                };
                let back = async move {
                    let mut buffer = vec![0; 64 << 10];
                    while let Ok(n @ 1..) = from_server.read(&mut buffer).await {
                        // The connection is cut in the place of the answer.
                        if *heard.borrow() || to_client.write_all(&buffer[..n]).await.is_err() {
                            return;
                        }
                    }
                };
                tokio::select! { () = there => {}, () = back => {} }
            });
        }
    });
    format!("http://{own}")
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_nothing_and_is_looked_after() {
    let Some(config) = probe() else { return };
    let _turn = TURN.lock().await;
    for (lost, synthetic) in [("/create", Synthetic::SalesOrder), ("/button_start", Synthetic::WorkOrder)] {
        let through = behind(&config, deaf_to(lost).await);
        let verb = tries(&through);
        let request = render(&*verb, &estate(None), &of(synthetic)).await.unwrap();
        let outcome = verb.execute(patient(&request)).await;
        let Outcome::Unknown { why } = &outcome else { panic!("{lost}: {outcome:?}") };
        assert!(why.message.contains("nothing of it was found"), "{lost}: {why}");
        assert!(matches!(verb.reconcile(&request).await, Reconciled::NoEffect { .. }), "{lost}");
        assert_eq!(left().await, 0, "{lost}");
    }
    // It can not be cleaned up either: a person is told what is left, and a later try sweeps it.
    let through = behind(&config, deaf_to("/unlink").await);
    let verb = tries(&through);
    let request = render(&*verb, &estate(None), &of(Synthetic::SalesOrder)).await.unwrap();
    let outcome = verb.execute(patient(&request)).await;
    assert!(matches!(&outcome, Outcome::Unknown { .. }), "{outcome:?}");
    assert_eq!(left().await, 0, "the deletion whose answer was lost took effect");
}
