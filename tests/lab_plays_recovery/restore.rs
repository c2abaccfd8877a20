//! A release that could be taken back, a database that goes back to a moment, and an environment that is built anew. The
//! tenant's database is on the server that pgBackRest backs up, and the lab's pool leads there.

use crate::headless::{Desk, Run};
use crate::lab_support::keep::{BACKED_UP, tenant};
use crate::lab_support::load::Load;
use crate::lab_support::{LONG, Lab, Undo};
use crate::stage::{CLUSTER, argo_cd, beside, delivered};

/// t017's database as Odoo has made it, in the backup of last night, and clients that come to it through the pool.
fn stage<'a>(lab: &'a Lab, aside: &'static str) -> [Undo<'a>; 3] {
    let home = [
        lab.home(&["backup_aside_clear", aside]),
        lab.home(&["pool_home", "t017"]),
        lab.home(&["limits_clear", "t017"]),
    ];
    lab.fault(&["backup_tenant"]);
    lab.fault(&["backup_stale", "off"]);
    lab.fault(&["pool_leads", "t017", lab.var("LAB_BACKUP_PORT")]);
    home
}

/// Files of attachments of t017 on the copy that Odoo's filestore does not have.
fn missing_files(lab: &Lab) -> usize {
    let store = lab.dir().join("odoo/data/filestore/t017");
    let names = lab.ask(&["backup_copy_sql", "SELECT store_fname FROM ir_attachment WHERE store_fname IS NOT NULL"]);
    assert!(names.lines().count() > 20, "{names}");
    names.lines().filter(|name| !store.join(name).exists()).count()
}

/// What is asked before and after people are kept out, the cut-over to a copy between them.
fn cut_over(lab: &Lab, run: &mut Run<'_>, page_off: &str) {
    let led_to = |tenant: &str| lab.ask(&["pooled", tenant, "SELECT current_setting('port')"]);
    let others = led_to("t003");
    assert_eq!(led_to("t017"), lab.var("LAB_BACKUP_PORT"));
    run.ask_typed("cut-over", "t017");
    run.approve("cut-over");
    assert_eq!((led_to("t017").as_str(), led_to("t003")), (lab.var("LAB_BACKUP_COPY_PORT"), others));
    assert_eq!([lab.request("t017").0, lab.request("t003").0], [503, 200], "people are still kept out");
    run.confirm(page_off);
    assert_eq!([lab.request("t017").0, lab.request("t003").0], [200, 200]);
}

#[test]
fn a_release_passes_its_gate_and_the_mark_leads_back() {
    let Some(lab) = Lab::open("release-readiness", BACKED_UP) else { return };
    let _home = stage(&lab, "mark");
    let sql = |sql: &str| lab.ask(&["backup_of_tenant", sql]);
    // What a person marks before Odoo is started with the new code.
    sql("UPDATE ir_module_module SET state = 'to upgrade' WHERE name = 'sale_management'");
    let desk = Desk::open_with(&lab, "", |config| tenant(&lab, config));
    let _people = Load::of(&lab, &["t017"]);
    desk.offers("modules-pending", "t017", "release-readiness", LONG);
    let backups = || lab.ask(&["backup_labels"]).split(' ').count();
    let before = backups();

    let params = [("tenant", "t017"), ("backup", "backup-a"), ("mark", "before-r205")];
    let mut run = desk.start("release-readiness", &params);
    run.confirm("backup");
    assert_eq!(backups(), before + 1);
    run.confirm("mark");
    run.confirm("archive");
    run.give("restore-evidence", &[("proven_on", "2026-11-22"), ("minutes", "1")]);
    run.give("criteria", &[("share_5xx_percent", "5"), ("minutes", "3"), ("who", "the commander")]);
    run.approve("gate");
    run.decide("tell", "done");
    run.finished();
    // The release comes, and has to go back.
    sql("UPDATE ir_module_module SET state = 'installed', latest_version = 'r205' WHERE name = 'sale_management'");
    lab.fault(&["backup_archived"]);
    lab.fault(&["backup_to_mark", "mark", "before-r205"]);
    let state = "SELECT state FROM ir_module_module WHERE name = 'sale_management'";
    assert_eq!([lab.ask(&["backup_read", "mark", state, "t017"]), sql(state)], ["to upgrade", "installed"]);

    let records = desk.leave();
    records.acted_once("backup");
    for step in ["mark", "archive"] {
        records.in_order(step, &["step.confirmed", "step.started", "step.finished"]);
    }
}

#[test]
fn a_database_goes_back_to_the_moment_before_the_damage() {
    let Some(lab) = Lab::open("pitr", BACKED_UP) else { return };
    let _home = stage(&lab, "moment");
    let sql = |sql: &str| lab.ask(&["backup_of_tenant", sql]);
    let copy = |sql: &str| lab.ask(&["backup_copy_sql", sql]);
    sql("UPDATE res_partner SET ref = 'right'");
    let moment = sql("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')");
    // The damage: an upgrade that overwrote all partners and broke off; the jobs that need them fail.
    sql("UPDATE res_partner SET ref = 'spoiled'");
    sql("UPDATE ir_module_module SET state = 'to upgrade' WHERE name = 'sale_management'");
    sql("INSERT INTO queue_job (uuid, channel, state, date_created) \
         SELECT 'failed-' || n, 'root.edi', 'failed', now() AT TIME ZONE 'UTC' FROM generate_series(1, 20) n");
    let crons = "SELECT count(*) FROM ir_cron WHERE active";
    let before = sql(crons);
    let desk = Desk::open_with(&lab, "", |config| tenant(&lab, config));
    desk.offers_too("modules-pending", "t017", "pitr", LONG);
    desk.declare("the partners of t017 are spoiled", "SEV1");

    let port = lab.var("LAB_BACKUP_COPY_PORT");
    let params = [
        ("tenant", "t017"),
        ("backup", "backup-a"),
        ("aside", "moment"),
        ("host", "127.0.0.1"),
        ("port", port),
        ("pooler", "pool"),
    ];
    let mut run = desk.start("pitr", &params);
    run.ask_typed("keep-out", "t017");
    run.approve("keep-out");
    assert_eq!([lab.request("t017").0, lab.request("t003").0], [503, 200]);
    run.confirm("stop-jobs");
    assert_eq!(sql(crons), "0");
    run.confirm("archived");
    run.give("choose", &[("moment", &moment), ("found_by", "the log of the upgrade")]);
    run.ask_typed("restore", "moment");
    run.approve("restore");
    // What a person does with the copy before anybody else reaches it.
    lab.fault(&["backup_copy_serves", "moment"]);
    assert_eq!(copy("SELECT DISTINCT ref FROM res_partner"), "right");
    assert_eq!(copy("SELECT count(*) FROM queue_job"), "0");
    let kept = copy("UPDATE ir_cron SET active = false WHERE active RETURNING id").replace('\n', ",");
    let missing = missing_files(&lab).to_string();
    run.give("start-copy", &[("rows_agree", "true"), ("files_missing", &missing), ("lost", "what was written since")]);
    run.accept("owner-agrees");
    cut_over(&lab, &mut run, "let-in");
    assert_eq!(lab.ask(&["pooled", "t017", "SELECT DISTINCT ref FROM res_partner"]), "right");
    copy(&format!("UPDATE ir_cron SET active = true WHERE id IN ({kept})"));
    run.decide("crons-of-copy", "done");
    assert_eq!(copy(crons), before);
    run.confirm("resume-jobs");
    run.decide("tell", "done");
    run.finished();
    assert_eq!(sql("SELECT DISTINCT ref FROM res_partner"), "spoiled", "the old database stays for the retrospective");

    let records = desk.leave();
    for step in ["stop-jobs", "archived", "let-in", "resume-jobs"] {
        records.acted_once(step);
    }
    for step in ["keep-out", "restore", "cut-over"] {
        records.acted_once_approved(step, "ines");
    }
    for measure in ["crons/t017", "maintenance/t017"] {
        assert_eq!(records.measure(measure), ["measure.set", "measure.lifted"], "{measure}");
    }
}

#[test]
fn an_environment_is_built_anew_from_git_and_a_backup() {
    let Some(lab) = Lab::open("environment-rebuild", &[BACKED_UP, CLUSTER].concat()) else { return };
    let _gone = lab.home(&["application_drifts_clear", "t017"]);
    let _served = lab.home(&["backend_5xx", "t017", "off"]);
    let _image = lab.home(&["deployments_home", "t017"]);
    let _home = stage(&lab, "rebuilt");
    let image =
        |tenant: &str| lab.object(&["deployment", "odoo", "-n", tenant], "{.spec.template.spec.containers[0].image}");
    let before = [image("t017"), image("t003")];
    lab.ask(&["backup_of_tenant", "UPDATE res_partner SET ref = 'right'"]);
    // What the archive has not is lost with the volume.
    lab.fault(&["backup_archived"]);
    let desk = Desk::open_with(&lab, "", |config| {
        tenant(&lab, config);
        delivered(config);
    });
    lab.fault(&["application_drifts", "t017", "on"]);
    lab.fault(&["bad_revision", "t017", "on"]);
    lab.fault(&["backend_5xx", "t017", "on"]);
    let _people = Load::of(&lab, &["t017", "t003"]);
    desk.offers_too("crash-loop", "t017", "environment-rebuild", LONG);
    desk.declare("the volume of t017 is corrupt", "SEV1");

    let port = lab.var("LAB_BACKUP_COPY_PORT");
    let params = [
        ("tenant", "t017"),
        ("delivery", "gitops"),
        ("application", "odoo"),
        ("backup", "backup-a"),
        ("aside", "rebuilt"),
        ("host", "127.0.0.1"),
        ("port", port),
        ("pooler", "pool"),
    ];
    let mut run = desk.start("environment-rebuild", &params);
    run.decide("what-is-corrupt", "everything");
    run.confirm("page-on");
    assert_eq!([lab.request("t017").0, lab.request("t003").0], [503, 200]);
    // What Argo CD does, and what comes up then.
    let deliver = || {
        argo_cd(&lab, |_| {
            lab.fault(&["deployments_home", "t017"]);
            lab.fault(&["backend_5xx_end", "t017"]);
        });
    };
    run.ask_typed("rebuild", "t017");
    beside(deliver, || run.approve("rebuild"));
    assert_eq!([image("t017"), image("t003")], before);
    run.ask_typed("restore", "rebuilt");
    run.approve("restore");
    lab.fault(&["backup_copy_serves", "rebuilt"]);
    lab.fault(&["backup_copy_checked"]);
    assert_eq!(missing_files(&lab), 0);
    run.give("checked", &[("sound", "true")]);
    cut_over(&lab, &mut run, "page-off");
    run.finished();
    assert_eq!(lab.ask(&["pooled", "t017", "SELECT DISTINCT ref FROM res_partner"]), "right");

    let records = desk.leave();
    for step in ["page-on", "page-off"] {
        records.acted_once(step);
    }
    for step in ["rebuild", "restore", "cut-over"] {
        records.acted_once_approved(step, "ines");
    }
}
