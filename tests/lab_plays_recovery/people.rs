//! What people do: take data out, release, and work on paper.

use crate::headless::Desk;
use crate::lab_support::load::Load;
use crate::lab_support::{LONG, Lab};

/// Longest wait for what a log says: it is read once a minute.
const READ: std::time::Duration = std::time::Duration::from_mins(3);

/// Odoo's log as the lab writes it, and far fewer records to be a finding than the shipped 10,000.
fn exports_are_read(lab: &Lab, config: &mut toml::Table) {
    let text = format!(
        "[[logs]]\nid = \"odoo-log\"\nkind = \"file\"\npath = \"{}\"\nexports = true\n\
         [[threshold]]\nsignal = \"exports.records\"\nwarn = 200\ncritical = 5000\n",
        lab.dir().join("log/odoo.log").display()
    );
    config.extend(text.parse::<toml::Table>().unwrap());
}

#[test]
fn who_takes_data_out_is_stopped_until_access_was_reviewed() {
    let needs = ["LAB_ODOO_URL", "LAB_KUBECTL", "LAB_S3_BUCKET", "LAB_TRAEFIK_HTTP", "LAB_PG_ADMIN_DSN"];
    let Some(lab) = Lab::open("security-anomaly", &needs) else { return };
    let _gone = lab.home(&["taker", "t017", "off"]);
    let _open = lab.home(&["policies_clear", "t017"]);
    let key = lab.fault(&["taker", "t017", "on"]);
    let export = |who: &str| lab.ask(&["export_status", "t017", "res.country", who, who]);
    let policies = |tenant: &str| lab.object(&["networkpolicies", "-n", tenant], "{.items[*].spec.policyTypes}");
    let who_may = |tenant: &str| {
        let sql = "SELECT string_agg(gid || ':' || uid, ' ' ORDER BY gid, uid) FROM res_groups_users_rel";
        lab.sql(tenant, sql)
    };
    let before = ["t017", "t003"].map(who_may);
    let desk = Desk::open_with(&lab, "", |config| exports_are_read(&lab, config));
    let _people = Load::of(&lab, &["t017", "t003"]);
    assert_eq!((export("taker").as_str(), lab.ask(&["api_status", "t017", &key]).as_str()), ("200", "200"));
    desk.offers("large-export", "t017", "security-anomaly", READ);
    desk.declare("somebody takes the data of t017 out", "SEV1");

    let mut run = desk.start("security-anomaly", &[("tenant", "t017")]);
    // What a person copies: the bucket locks it for two days.
    let copied = lab.fault(&["logs_kept", "security-anomaly"]);
    let (place, sha256) = copied.split_once(' ').unwrap();
    assert_eq!(lab.ask(&["kept", place]), sha256);
    run.give("logs", &[("where", place), ("sha256", sha256)]);
    run.decide("cut-egress", "cut");
    run.ask_typed("isolate", "t017");
    run.approve("isolate");
    assert_eq!([policies("t017"), policies("t003")], [r#"["Egress"]"#.to_owned(), String::new()]);
    run.confirm("revoke");
    assert_eq!(lab.ask(&["api_status", "t017", &key]), "401", "the key has ended");
    run.ask_typed("lock-exports", "t017");
    run.approve("lock-exports");
    assert_ne!(export("taker"), "200", "who took the data can go on");
    assert_eq!(export("admin"), "200", "as the request says, Odoo asks nothing of its administrators");
    run.decide("tell-authority", "done");
    run.give("review", &[("reviewed_by", "the tenant's security officer"), ("removed", "1")]);
    run.approve("give-back");
    run.decide("was-cut", "open");
    run.confirm("open");
    assert_eq!(policies("t017"), "");
    run.confirm("unlock");
    assert_eq!(export("taker"), "200", "who had the right has it again");
    run.finished();
    assert_eq!(["t017", "t003"].map(who_may), before);
    assert_eq!((policies("t003"), lab.request("t003").0, lab.request("t017").0), (String::new(), 200, 200));

    let records = desk.leave();
    for step in ["revoke", "open", "unlock"] {
        records.acted_once(step);
    }
    for step in ["isolate", "lock-exports"] {
        records.acted_once_approved(step, "ines");
    }
    assert_eq!(records.measure("exports/t017"), ["measure.set", "measure.lifted"]);
}

#[test]
fn a_tenant_works_on_paper_until_it_is_served_and_everything_is_entered() {
    let needs = ["LAB_ODOO_URL", "LAB_TRAEFIK_HTTP", "LAB_PG_ADMIN_DSN"];
    let Some(lab) = Lab::open("business-continuity", &needs) else { return };
    let _served = lab.home(&["backend_5xx", "t017", "off"]);
    let _papers = lab.home(&["papers_clear", "t017"]);
    lab.fault(&["backend_5xx", "t017", "on"]);
    let orders = |tenant: &str| lab.count(tenant, "SELECT count(*) FROM sale_order");
    let before = ["t017", "t003"].map(orders);
    let desk = Desk::open(&lab);
    let _people = Load::of(&lab, &["t017", "t003"]);
    desk.offers_too("http-errors", "t017", "business-continuity", LONG);
    desk.declare("t017 is away for the day", "SEV1");

    let mut run = desk.start("business-continuity", &[("tenant", "t017")]);
    run.accept("declare");
    run.give("last-known", &[("last_good", "05:40 plant time"), ("owner", "mara")]);
    run.decide("tell-plants", "done");
    run.confirm("orders-in-force");
    run.confirm("production-in-force");
    run.decide("order-capture", "done");
    run.decide("priorities", "medical");
    for step in ["priorities-in-force", "carriers-in-force", "shipping-in-force", "receiving-in-force"] {
        run.confirm(step);
    }
    let known = ["order-capture", "production-reporting", "priorities", "carriers", "shipping", "receiving"];
    for process in known {
        desk.says(&["continuity", "acknowledge", &format!("fallback/{process}/t017")]);
    }
    for step in ["shipping", "receiving"] {
        run.decide(step, "done");
    }
    assert_eq!([lab.request("t017").0, lab.request("t003").0], [503, 200]);
    // Whoever serves it has mended it by now.
    lab.fault(&["backend_5xx", "t017", "off"]);
    run.decide("reporting", "done");
    run.confirm("end");
    // Two people: one reads, one types.
    lab.fault(&["papers_entered", "t017", "3"]);
    run.decide("enter", "done");
    let entered = (orders("t017") - before[0]).to_string();
    run.give("reconcile", &[("sheets", "3"), ("documents", &entered)]);
    run.confirm("reconciled");
    run.accept("accepted");
    run.finished();
    assert_eq!((entered.as_str(), orders("t003"), lab.request("t017").0), ("3", before[1], 200));

    let records = desk.leave();
    for process in known {
        let kinds = records.measure(&format!("fallback/{process}/t017"));
        assert_eq!(kinds, ["measure.set", "measure.acknowledged", "measure.lifted"], "{process}");
    }
    for process in ["order-capture", "production-reporting", "shipping", "receiving"] {
        assert_eq!(
            records.measure(&format!("reconcile/{process}/t017")),
            ["measure.set", "measure.lifted"],
            "{process}"
        );
    }
}
