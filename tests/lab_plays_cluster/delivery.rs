//! What Git says, releases, and certificates.

use crate::headless::Desk;
use crate::lab_support::load::Load;
use crate::lab_support::{LONG, Lab};
use crate::stage::{CLUSTER, Made, argo_cd, beside, delivered};
use serde_json::{Value, json};
use std::process::Command;

#[test]
fn what_was_changed_by_hand_goes_into_git_and_git_is_delivered() {
    let Some(lab) = Lab::open("drift-reconcile", CLUSTER) else { return };
    let _gone = lab.home(&["application_drifts_clear", "t017"]);
    let _before = lab.home(&["deployments_home", "t017"]);
    let desk = Desk::open_with(&lab, "", delivered);
    // The emergency change: a third pod, which Git does not know of.
    lab.kubectl(&["scale", "deployment", "odoo", "-n", "t017", "--replicas=3"]);
    lab.fault(&["application_drifts", "t017", "on"]);
    let _people = Load::of(&lab, &["t017"]);
    desk.offers("delivery", "t017", "drift-reconcile", LONG);

    let params = [("tenant", "t017"), ("delivery", "gitops"), ("application", "odoo")];
    let mut run = desk.start("drift-reconcile", &params);
    run.decide("keep", "live");
    run.give("backport", &[("merge_request", "!42")]);
    let deliver =
        || argo_cd(&lab, |_| drop(lab.kubectl(&["scale", "deployment", "odoo", "-n", "t017", "--replicas=3"])));
    beside(deliver, || run.confirm("sync"));
    run.finished();
    let asked = lab.object(&["application", "odoo", "-n", "t017"], "{.status.operationState.operation}");
    let asked: Value = serde_json::from_str(&asked).unwrap();
    assert_eq!(asked["initiatedBy"]["username"], "quarterdeck", "{asked}");
    assert_eq!(asked["sync"]["prune"], false, "{asked}");
    assert_eq!(lab.object(&["deployment", "odoo", "-n", "t017"], "{.status.availableReplicas}"), "3", "the fix stays");

    let records = desk.leave();
    records.acted_once("sync");
}

/// The serial number and the end of the certificate that Traefik shows for a host.
fn certificate(lab: &Lab, host: &str) -> String {
    let address = lab.var("LAB_TRAEFIK_HTTPS").trim_start_matches("https://");
    let script = "openssl s_client -connect \"$1\" -servername \"$2\" < /dev/null 2> /dev/null | openssl x509 -noout -serial -enddate";
    let out = Command::new("bash").args(["-c", script, "_", address, host]).output().unwrap();
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn an_expired_certificate_is_asked_for_anew_and_served() {
    let needs = ["LAB_KUBECTL", "LAB_DELIVERY", "LAB_TRAEFIK_HTTPS", "LAB_TRAEFIK_CA"];
    let Some(lab) = Lab::open("certificate-renewal", &needs) else { return };
    let _forgotten = lab.undo(&["certificate_forgotten"]);
    let object = json!({
        "apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": "t090-tls", "namespace": "t090"},
        "spec": {"secretName": "t090-tls", "dnsNames": ["t090.lab.test"], "issuerRef": {"name": "lab"}},
    });
    let _made = Made::new(&lab, &json!([object]));
    let status = |conditions: Value, ends: &str| {
        let status = json!({"status": {"conditions": conditions, "notAfter": ends}}).to_string();
        lab.kubectl(&[
            "patch",
            "certificate",
            "t090-tls",
            "-n",
            "t090",
            "--subresource=status",
            "--type=merge",
            "-p",
            &status,
        ]);
    };
    let ready = |status: &str| json!({"type": "Ready", "status": status, "reason": "lab", "message": "lab"});
    lab.fault(&["certificate_expired", "on"]);
    status(json!([ready("False")]), "2026-11-21T00:00:00Z");
    let (old, others) = (certificate(&lab, "t090.lab.test"), certificate(&lab, "t017.lab.test"));

    // People come by TLS, and so does the probe.
    let desk = Desk::open_with(&lab, "", |config| {
        let edge = config["traefik"].as_array_mut().unwrap()[0].as_table_mut().unwrap();
        edge.insert("probe_url".into(), lab.var("LAB_TRAEFIK_HTTPS").into());
        edge.insert("ca".into(), lab.var("LAB_TRAEFIK_CA").into());
    });
    desk.offers("certificate", "t090", "certificate-renewal", LONG);
    let mut run = desk.start("certificate-renewal", &[("tenant", "t090"), ("certificate", "t090-tls")]);
    run.decide("why-not", "done");
    let cert_manager = || {
        let issuing = "{.status.conditions[?(@.type==\"Issuing\")].reason}";
        if lab.object(&["certificate", "t090-tls", "-n", "t090"], issuing) == "ManuallyTriggered" {
            lab.fault(&["certificate_renewed"]);
            status(json!([ready("True")]), "2027-02-20T00:00:00Z");
        }
    };
    beside(cert_manager, || run.confirm("renew"));
    run.finished();
    assert_ne!(certificate(&lab, "t090.lab.test"), old);
    assert_eq!(certificate(&lab, "t017.lab.test"), others, "another tenant's certificate was touched");

    let records = desk.leave();
    records.acted_once("renew");
}

#[test]
fn a_release_that_crashes_is_taken_back_by_argo_cd_under_a_hold() {
    let needs = [CLUSTER, &["LAB_ODOO_WORKER_URL"]].concat();
    let Some(lab) = Lab::open("release-rollback", &needs) else { return };
    let _gone = lab.home(&["application_drifts_clear", "t017"]);
    let _served = lab.home(&["backend_5xx", "t017", "off"]);
    let _before = lab.home(&["deployments_home", "t017"]);
    let project = |namespace: &str| {
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
            "metadata": {"name": "default", "namespace": namespace}, "spec": {"sourceRepos": ["*"]}})
    };
    let _made = Made::new(&lab, &json!([project("t017"), project("t003")]));
    lab.fault(&["application_drifts", "t017", "off"]);
    let deployed = |id: u32, revision: &str| {
        json!({"id": id, "revision": revision, "deployedAt": "2026-11-21T10:00:00Z",
            "source": {"repoURL": "https://git.example/odoo", "path": "t017", "targetRevision": "main"}})
    };
    let history = json!({"status": {"history": [deployed(1, "r117"), deployed(2, "r118")]}}).to_string();
    lab.kubectl(&["patch", "application", "odoo", "-n", "t017", "--type=merge", "-p", &history]);
    let image = || lab.object(&["deployment", "odoo", "-n", "t017"], "{.spec.template.spec.containers[0].image}");
    let desk = Desk::open_with(&lab, "", delivered);
    lab.fault(&["bad_revision", "t017", "on"]);
    lab.fault(&["backend_5xx", "t017", "on"]);
    let _people = Load::of(&lab, &["t017", "t003"]);
    let others = || lab.object(&["deployments", "-n", "t003"], "{.items[*].metadata.generation}");
    let before = others();
    desk.offers("crash-loop", "t017", "release-rollback", LONG);
    desk.declare("t017 crashes since r118", "SEV2");

    let params = [("tenant", "t017"), ("delivery", "gitops"), ("application", "odoo")];
    let mut run = desk.start("release-rollback", &params);
    run.confirm_approved("freeze");
    let windows =
        |namespace: &str| lab.object(&["appproject", "default", "-n", namespace], "{.spec.syncWindows[*].kind}");
    assert_eq!((windows("t017").as_str(), windows("t003").as_str()), ("deny", ""));
    run.decide("migration", "none");
    run.confirm("auto-sync-off");
    let deliver = || {
        argo_cd(&lab, |operation| {
            assert_eq!(operation["sync"]["revision"], "r117", "{operation}");
            lab.fault(&["bad_revision", "t017", "off"]);
            lab.fault(&["backend_5xx", "t017", "off"]);
        });
    };
    run.ask_typed("roll-back", "t017");
    beside(deliver, || run.approve("roll-back"));
    assert_eq!(image(), "registry.example/odoo:19.0-r117");
    run.confirm("restart-workers");
    run.decide("tell", "done");
    run.decide("hold-stays", "reverted");
    run.confirm_approved("unfreeze");
    assert_eq!(windows("t017"), "");
    run.decide("done", "done");
    run.finished();
    assert_eq!((others(), lab.request("t017").0), (before, 200));

    let records = desk.leave();
    for step in ["auto-sync-off", "restart-workers"] {
        records.acted_once(step);
    }
    for step in ["freeze", "roll-back", "unfreeze"] {
        records.acted_once_approved(step, "ines");
    }
}
