//! A volume without room: the WAL of the backed-up server lies on the lab's small file system, and a slot that nobody
//! reads holds it.

use crate::headless::Desk;
use crate::lab_support::keep::{BACKED_UP, tenant};
use crate::lab_support::load::Load;
use crate::lab_support::{LONG, Lab};

/// The volume as the one of the server `pg-c`, as a query of one's own says it.
fn volume_is_of_the_server(config: &mut toml::Table) {
    let prometheus = config["prometheus"].as_array_mut().unwrap()[0].as_table_mut().unwrap();
    let query = prometheus["query"].as_array_mut().unwrap()[0].as_table_mut().unwrap();
    assert_eq!(query["signal"].as_str(), Some("volume.used"));
    query.insert("subject".into(), "instance".into());
    query.insert("labels".into(), vec![toml::Value::from("instance")].into());
    let alias: toml::Table = "label = \"lab-disk\"\nsource = \"pg-c\"\n".parse().unwrap();
    prometheus.insert("alias".into(), vec![toml::Value::from(alias)].into());
}

#[test]
fn a_volume_that_a_slot_fills_with_wal_has_room_again() {
    let needs = [BACKED_UP, &["LAB_DISK"]].concat();
    let Some(lab) = Lab::open("volume-full", &needs) else { return };
    let _home = lab.home(&["wal_on_disk", "off"]);
    lab.fault(&["backup_tenant"]);
    lab.fault(&["wal_on_disk", "on"]);
    let sql = |sql: &str| lab.ask(&["backup_sql", sql]);
    let used = || lab.ask(&["disk_used"]).parse::<u64>().unwrap();
    let crons = || lab.ask(&["backup_of_tenant", "SELECT count(*) FROM ir_cron WHERE active"]);
    let before = crons();
    let desk = Desk::open_with(&lab, "", |config| {
        tenant(&lab, config);
        volume_is_of_the_server(config);
    });
    let _people = Load::of(&lab, &["t017"]);
    lab.fault(&["wal_held", "90"]);
    desk.offers("volume-full", "pg-c", "volume-full", LONG);

    let volume = format!("lab-disk:{}", lab.var("LAB_DISK"));
    let params = [("tenant", "t017"), ("backup", "backup-a"), ("volume", volume.as_str())];
    let mut run = desk.start("volume-full", &params);
    assert!(run.outcome("look").contains("forgotten"), "{}", run.outcome("look"));
    run.confirm("throttle");
    assert_eq!(crons(), "0");
    run.decide("fills", "wal");
    assert!(used() > 85, "{}", used());
    // What a person does with a slot whose reader is gone.
    lab.fault(&["slot_dropped"]);
    run.decide("release", "done");
    run.confirm("checkpoint");
    assert!(used() < 60, "{}", used());
    run.confirm("prove-archive");
    run.confirm("checkpoint-again");
    run.decide("enough", "room");
    run.confirm("resume");
    run.finished();
    assert_eq!((crons(), sql("SELECT count(*) FROM kept WHERE n <= 1000").as_str()), (before, "1000"));

    let records = desk.leave();
    for step in ["throttle", "checkpoint", "prove-archive", "checkpoint-again", "resume"] {
        records.acted_once(step);
    }
    assert_eq!(records.measure("crons/t017"), ["measure.set", "measure.lifted"]);
}
