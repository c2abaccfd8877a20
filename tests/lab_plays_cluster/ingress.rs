//! Routes, limits, and partners that do not answer.

use crate::headless::Desk;
use crate::lab_support::load::Load;
use crate::lab_support::{LONG, Lab};
use crate::stage::{CLUSTER, Made, crowd, delivered, measures};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// `limits` of a tenant as Traefik has taken them up, by its own API.
fn middlewares(lab: &Lab) -> String {
    let url = format!("{}/api/http/middlewares", lab.var("LAB_TRAEFIK_API"));
    let out = Command::new("curl").args(["-fsS", "-m", "5", &url]).output().unwrap();
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn a_host_that_leads_nowhere_is_led_to_its_own_service_until_the_route_is_mended() {
    let Some(lab) = Lab::open("ingress-misroute", CLUSTER) else { return };
    let file = Path::new(lab.var("LAB_TRAEFIK_DYNAMIC")).join("quarterdeck-limits-t017.yml");
    let _lifted = Remove(&file);
    let _mended = lab.home(&["misroute", "t017", "off"]);
    let _gone = lab.home(&["application_drifts_clear", "t017"]);
    lab.fault(&["application_drifts", "t017", "off"]);
    let desk = Desk::open_with(&lab, "", delivered);
    lab.fault(&["misroute", "t017", "on"]);
    let _people = Load::of(&lab, &["t017", "t003"]);
    desk.offers("router-disabled", "t017", "ingress-misroute", LONG);
    let answers = || ["t017", "t003", "t090"].map(|t| lab.request(t).0);
    assert_eq!(answers(), [502, 200, 200], "before");

    let mut run = desk.start("ingress-misroute", &[("tenant", "t017"), ("delivery", "gitops")]);
    run.confirm("own-route");
    assert_eq!(answers(), [200, 200, 200], "its own service answers");
    run.decide("leak", "no");
    lab.fault(&["misroute", "t017", "off"]);
    run.decide("mended", "mended");
    run.confirm("lift");
    run.decide("handed-over", "done");
    run.finished();
    assert!(!file.exists(), "{} is still there", file.display());
    assert_eq!(answers(), [200, 200, 200], "after");

    let records = desk.leave();
    for step in ["own-route", "lift"] {
        records.acted_once(step);
    }
    assert_eq!(measures(&records, "measure.set").len(), 1);
    assert_eq!(measures(&records, "measure.set"), measures(&records, "measure.lifted"));
}

/// Removes a file when it is dropped.
struct Remove<'a>(&'a Path);

impl Drop for Remove<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.0);
    }
}

#[test]
fn a_host_that_fills_the_ingress_is_limited_until_its_load_is_over() {
    let Some(lab) = Lab::open("ingress-saturation", CLUSTER) else { return };
    let file = Path::new(lab.var("LAB_TRAEFIK_DYNAMIC")).join("quarterdeck-limits-t017.yml");
    let _lifted = Remove(&file);
    let _calm = lab.home(&["backend_busy", "t017", "off"]);
    // The lab's Traefik is a process; its Deployment stands for it on the cluster.
    let labels = json!({"app": "traefik"});
    let controller = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "traefik", "namespace": "traefik"},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels},
            "spec": {"automountServiceAccountToken": false, "containers": [{"name": "traefik", "image": "registry.example/traefik:3.7"}]},
        }},
    });
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "traefik"}});
    let _made = Made::new(&lab, &json!([namespace, controller]));
    let desk = Desk::open(&lab);
    lab.fault(&["backend_busy", "t017", "on"]);
    let people = crowd(&lab, "t017", 8);
    desk.offers_too("http-slow", "t017", "ingress-saturation", LONG);

    let params = [
        ("tenant", "t017"),
        ("cluster", "k8s"),
        ("deployment", "traefik"),
        ("replicas", "3"),
        ("average", "20"),
        ("amount", "2"),
    ];
    let mut run = desk.start("ingress-saturation", &params);
    run.confirm_approved("scale");
    assert_eq!(lab.object(&["deployment", "traefik", "-n", "traefik"], "{.status.availableReplicas}"), "3");
    run.confirm("rate");
    lab.until("the rate is limited", LONG, || middlewares(&lab).contains("\"average\":20"));
    run.confirm("in-flight");
    lab.until("the requests at once are limited", LONG, || middlewares(&lab).contains("\"amount\":2"));
    let statuses = |tenant: &str| (0..20).map(|_| lab.request(tenant).0).collect::<Vec<_>>();
    lab.until("too many at once are told so", LONG, || statuses("t017").contains(&429));
    assert_eq!(statuses("t003"), [200; 20], "another tenant was limited");
    run.decide("tell", "done");
    // The load is over.
    drop(people);
    lab.fault(&["backend_busy", "t017", "off"]);
    let _people = Load::of(&lab, &["t017", "t003"]);
    run.decide("lift", "lift");
    run.confirm("lift-rate");
    lab.until("the rate is limited no more", LONG, || !middlewares(&lab).contains("\"average\":20"));
    run.confirm("lift-in-flight");
    run.decide("handed-over", "done");
    run.finished();
    assert!(!file.exists(), "{} is still there", file.display());
    assert_eq!(["t017", "t003"].map(|t| lab.request(t).0), [200, 200]);

    let records = desk.leave();
    records.acted_once_approved("scale", "ines");
    for step in ["rate", "in-flight", "lift-rate", "lift-in-flight"] {
        records.acted_once(step);
    }
    assert_eq!(measures(&records, "measure.set").len(), 2);
    assert_eq!(measures(&records, "measure.set"), measures(&records, "measure.lifted"));
}

#[test]
fn a_partner_that_does_not_answer_is_cut_off_and_its_messages_are_replayed_once() {
    let needs = ["LAB_PG_ADMIN_DSN", "LAB_ODOO_WORKER_URL"];
    let Some(lab) = Lab::open("integration-isolation", &needs) else { return };
    let _clear = lab.home(&["partner_slow", "t017", "off"]);
    lab.fault(&["queue_clear", "t017"]);
    let switch = || lab.sql("t017", "SELECT value FROM ir_config_parameter WHERE key = 'lab.edi.enabled'");
    lab.fault(&["partner_slow", "t017", "on", "24", "3"]);
    let desk = Desk::open_with(&lab, "", |config| {
        let text = "[[integration]]\nid = \"edi-t017\"\ntenant = \"t017\"\nchannel = \"root.edi\"\n\
            switch = \"lab.edi.enabled\"\n[integration.measure]\ninterval = \"10s\"\n\
            sql = \"SELECT count(*) < 5 AS ok, count(*) AS backlog FROM public.queue_job \
            WHERE channel = 'root.edi' AND state IN ('pending', 'enqueued')\"\n";
        let integration: toml::Table = text.parse().unwrap();
        config.extend(integration);
    });
    let count = |which: &str| lab.count("t017", &format!("SELECT count(*) FROM queue_job WHERE {which}"));
    let others = lab.sql("t003", "SELECT count(*), max(write_date) FROM ir_config_parameter");
    desk.offers("integration", "edi-t017", "integration-isolation", LONG);

    let mut run = desk.start("integration-isolation", &[("tenant", "t017"), ("integration", "edi-t017")]);
    run.confirm("open");
    assert_eq!(switch(), "False");
    run.confirm("buffer");
    let held = count("channel = 'root.edi' AND state = 'wait_dependencies' AND eta = '2999-01-01'");
    assert!(held > 0, "nothing was held");
    lab.until("the jobs of the others are done", LONG, || count("channel = 'root.mrp' AND state <> 'done'") == 0);
    lab.until("no message is under way", LONG, || count("channel = 'root.edi' AND state <> 'done'") == held);
    run.decide("tell-partner", "done");
    run.decide("well", "done");
    run.confirm("close");
    assert_eq!(switch(), "True");
    run.confirm("replay");
    lab.until("what was held is done", LONG, || count("state <> 'done'") == 0);
    assert_eq!(count("channel = 'root.edi'"), 24, "none is lost and none was made twice");
    let doubles = lab.count("t017", "SELECT count(*) FROM queue_job WHERE channel = 'root.edi' AND retry > 1");
    let (confirmed, doubles) = (held.to_string(), doubles.to_string());
    run.give("reconcile", &[("confirmed", &confirmed), ("doubles", &doubles)]);
    run.decide("agreed", "done");
    run.finished();
    assert_eq!(lab.sql("t003", "SELECT count(*), max(write_date) FROM ir_config_parameter"), others);

    let records = desk.leave();
    for step in ["open", "buffer", "close", "replay"] {
        records.acted_once(step);
    }
    let moved = |step: &str| {
        let finished = records.bodies(step, "step.finished");
        let result: Value = serde_json::from_str(finished[0]["result"].as_str().unwrap()).unwrap();
        result["moved"].as_u64().unwrap()
    };
    assert_eq!((moved("buffer"), moved("replay")), (held, held), "as many were replayed as were held");
}
