//! The JSON schemas of everything that `--format json` prints, made from the types that are printed. They lie in
//! `docs/schemas`; a test fails when those files are not what the types say (`UPDATE_SCHEMAS=1` writes them).

use crate::cli::{
    approve, audit, baseline, brief, comms, config, doctor, drill, estates, explain, gate, headless, keys, man, output,
    playbook, policy, rbac, status,
};
use crate::domain::incident::Incident;
use crate::drill::catalog;
use crate::engine::api::{ConsoleView, Measure, Reply, RequestView, RunView};
use crate::journal::{Record, verify};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

fn of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>()
}

/// Every output by the name of its file, with its title.
fn all() -> Vec<(&'static str, &'static str, Schema)> {
    vec![
        ("status", "status --format json", of::<status::Status<'_>>()),
        ("status-estates", "status --format json over several estates", of::<estates::Statuses<'_>>()),
        (
            "incident-list-estates",
            "incident list --format json over several estates",
            of::<Vec<estates::EstateIncidents>>(),
        ),
        ("doctor", "doctor --format json", of::<doctor::Report<'_>>()),
        ("playbook-list", "playbook list --format json", of::<Vec<playbook::Row>>()),
        ("playbook-show", "playbook show ID --format json", of::<playbook::Shown>()),
        ("playbook-lint", "playbook lint --format json", of::<playbook::Linted>()),
        ("playbook-render", "playbook render ID --format json", of::<playbook::Requests<'_>>()),
        ("playbook-run", "playbook run ID --format json", of::<headless::Summary>()),
        ("incident-list", "incident list --format json", of::<Vec<Incident>>()),
        ("incident-show", "incident show ID --format json", of::<Incident>()),
        ("incident-brief", "incident brief --format json", of::<brief::Brief>()),
        ("consoles", "consoles --format json", of::<Vec<ConsoleView>>()),
        ("run-list", "run list --format json", of::<Vec<RunView>>()),
        ("reply", "--format json of each command that changes something", of::<Reply>()),
        ("policy-check", "policy check --format json", of::<policy::Checked>()),
        ("policy-explain", "policy explain PLAYBOOK/STEP --format json", of::<policy::Explained>()),
        ("policy-roster", "policy roster --format json", of::<Vec<policy::Member>>()),
        ("request-list", "request list --format json", of::<Vec<RequestView>>()),
        ("request-show", "request show REQ --format json", of::<RequestView>()),
        ("request-export", "request export REQ --format json", of::<approve::Exported>()),
        ("comms-oncall", "comms oncall --format json", of::<Vec<comms::DutyRow>>()),
        ("continuity-list", "continuity list --format json", of::<Vec<Measure>>()),
        ("comms-list", "comms list --format json", of::<crate::comms::Board>()),
        ("comms-templates", "comms templates --format json", of::<Vec<comms::TemplateRow>>()),
        ("comms-preview", "comms preview AUDIENCE --format json", of::<crate::engine::api::DraftView>()),
        ("comms-send", "comms send|resend --format json", of::<crate::comms::MessageView>()),
        (
            "comms-status-page",
            "comms status-page INCIDENT --format json",
            of::<crate::comms::status_page::StatusPage>(),
        ),
        ("measures-list", "measures list --format json", of::<Vec<Measure>>()),
        ("rbac", "rbac --format json", of::<rbac::Report>()),
        ("keys", "keys --format json", of::<Vec<keys::KeyRow>>()),
        ("audit-database-fetch", "audit database fetch DIR --format json", of::<crate::journal::shared::Fetched>()),
        ("drill-list", "drill list --format json", of::<Vec<catalog::Summary>>()),
        ("drill-show", "drill show ID --format json", of::<catalog::Shown>()),
        ("drill-play", "drill ID --headless --format json", of::<drill::play::Played>()),
        ("drill-score", "drill score --format json", of::<crate::drill::score::Score>()),
        ("drill-plan", "drill facilitate plan --format json", of::<Vec<crate::engine::api::InjectView>>()),
        ("drill-lint", "drill lint --format json", of::<drill::Linted>()),
        ("config-check", "config check --format json", of::<config::Checked<'_>>()),
        ("config-check-estates", "config check --format json of several estates", of::<config::CheckedEstates<'_>>()),
        ("config-init", "config init --format json", of::<config::Written<'_>>()),
        ("man", "man --output DIR --format json", of::<man::Written>()),
        ("audit-verify", "audit verify --format json", of::<verify::Report>()),
        (
            "audit-verify-estates",
            "audit verify --format json over several estates",
            of::<Vec<audit::estates::EstateVerified>>(),
        ),
        (
            "audit-show-estates",
            "each line of audit show --format json over several estates",
            of::<audit::estates::EstateRecord>(),
        ),
        ("audit-show", "each line of audit show --format json: a record as stored", of::<Record>()),
        ("audit-show-seq", "audit show --seq N --format json", of::<audit::show::Whole<'_>>()),
        ("audit-keys-show", "audit keys show --format json", of::<audit::keys::Report>()),
        ("audit-keys-rotate", "audit keys rotate --format json", of::<audit::keys::Rotated>()),
        ("audit-archive", "audit archive --format json", of::<audit::archive::Report>()),
        ("audit-archive-fetch", "audit archive --fetch DIR|--restore --format json", of::<audit::archive::Brought>()),
        ("audit-anchors", "audit anchors --format json", of::<crate::attest::anchor::Report>()),
        ("audit-anchors-fetch", "audit anchors --fetch DIR --format json", of::<crate::attest::anchor::Fetched>()),
        ("audit-monitor", "each line of audit monitor --format json", of::<crate::attest::monitor::Alert>()),
        ("audit-evidence", "audit evidence list|check --format json", of::<Vec<crate::journal::evidence::Evidence>>()),
        ("audit-open", "audit open --format json", of::<Vec<audit::open::Opened>>()),
        ("audit-prove", "audit prove --format json", of::<audit::proof::Proved>()),
        ("audit-verify-proof", "audit verify PROOF --format json", of::<audit::proof::Verified<'_>>()),
        ("audit-export", "audit export --format json", of::<crate::journal::Exported>()),
        ("report", "report INCIDENT --format json", of::<crate::report::Report>()),
        ("governance", "report governance --format json", of::<crate::report::Governance>()),
        ("baseline-check", "baseline check --format json", of::<baseline::Checked>()),
        ("baseline-take", "baseline take --format json", of::<baseline::Taken>()),
        ("explain", "explain --format json", of::<explain::Explanation>()),
        ("gate", "gate --format json", of::<gate::Gated>()),
        ("logs", "logs TENANT --format json", of::<crate::domain::logs::LogView>()),
        ("error", "each line on standard error with --format json", of::<output::Failure>()),
        ("playbook", "a playbook file (quarterdeck playbook schema)", crate::playbook::schema::schema()),
        (
            "config",
            "config.toml (quarterdeck config schema)",
            Schema::try_from(crate::config::describe::schema()).unwrap(),
        ),
    ]
}

fn text(title: &str, mut schema: Schema) -> String {
    schema.insert("title".to_owned(), Value::from(format!("Quarterdeck: {title}")));
    format!("{:#}\n", schema.as_value())
}

#[test]
fn the_files_in_docs_are_what_the_types_say() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas");
    let write = std::env::var_os("UPDATE_SCHEMAS").is_some();
    let mut names = BTreeSet::new();
    for (name, title, schema) in all() {
        let file = format!("{name}.json");
        let (path, now) = (dir.join(&file), text(title, schema));
        if write {
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(&path, &now).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == now, "docs/schemas/{file} is not what the types say; UPDATE_SCHEMAS=1 writes it");
        names.insert(file);
    }
    let found: BTreeSet<String> =
        std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(found, names, "a file in docs/schemas belongs to no output");
}
