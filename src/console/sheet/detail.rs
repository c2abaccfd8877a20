//! Sheets about one thing: a row of a pane with where it comes from, a step, why it has its risk.

use super::Page;
use crate::console::format::{age, count, known, moment, seconds_between};
use crate::console::rows::since_words;
use crate::console::rows::{PaneRow, class_words, step_words};
use crate::console::state::{PaneId, Screen, State, shown_finding};
use crate::console::strip::Strip;
use crate::console::theme::Role;
use crate::domain::by_hand::FALLBACK;
use crate::domain::finding::Finding;
use crate::domain::id::{RunId, SourceId, StepId};
use crate::domain::pane::{QueueRow, SourceRow, SubjectRow};
use crate::domain::risk::Confirmation;
use crate::domain::sample::SourceKind;
use crate::domain::signal::Subject;
use crate::engine::api::{CheckView, RunView, Snapshot, StepView};

/// Writes about a step of a run, if both are still known.
pub(super) fn with_step(
    out: &mut Page,
    state: &State,
    run: &RunId,
    step: &StepId,
    write: fn(&mut Page, &RunView, &StepView),
) {
    match state.run(run).and_then(|r| r.steps.iter().find(|s| s.id == *step).map(|s| (r, s))) {
        Some((run, step)) => write(out, run, step),
        None => out.line(Role::Unknown, "this run is no longer known to the engine"),
    }
}

/// Why a step has its risk, and what it takes.
pub(super) fn explain(out: &mut Page, run: &RunView, step: &StepView) {
    out.pair("step", Role::Strong, &step.name);
    out.pair("of", Role::Text, format!("{} {} v{}", run.id, run.playbook, run.version));
    out.pair("why", Role::Text, &step.why);
    out.pair("risk", step.risk.into(), step.risk.to_string());
    let Some(assessment) = &step.assessment else {
        out.line(Role::Dim, "Policy looks at it when it is rendered; this is the risk that the playbook declares.");
        return;
    };
    out.heading("Why this risk");
    for reason in &assessment.reasons {
        out.line(Role::Text, format!("- {reason}"));
    }
    out.heading("What it takes");
    out.line(
        Role::Text,
        match &assessment.confirmation {
            None => "no confirmation: it only looks".to_owned(),
            Some(Confirmation::Keypress) => "a dialog in which Cancel has the focus".to_owned(),
            Some(Confirmation::Typed { phrase }) => format!("`{phrase}` typed exactly"),
        },
    );
    out.line(Role::Text, format!("{} from other people", count(usize::from(assessment.approvals), "approval")));
    out.line(Role::Text, if assessment.needs_incident { "a declared incident" } else { "no declared incident" });
    if !assessment.denials.is_empty() {
        out.heading("Why it can not run now");
        for denial in &assessment.denials {
            out.line(Role::Critical, format!("no: {denial}"));
        }
    }
}

/// A step as a command to type.
pub(super) fn by_hand(out: &mut Page, _: &RunView, step: &StepView) {
    let Some(request) = &step.request else {
        out.line(Role::Dim, "It is rendered when it is reached; there is no request yet.");
        return;
    };
    out.line(Role::Dim, "The same as a command to type. What is typed elsewhere is not recorded here: write a note.");
    out.lines.push(Strip::new());
    for line in request.by_hand.lines() {
        out.line(Role::Strong, line);
    }
    out.heading("What is sent");
    for line in request.operation.lines() {
        out.line(Role::Text, line);
    }
}

/// What each kind of source is asked.
const fn asked(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Kubernetes => "watch of Deployments, Pods and Nodes",
        SourceKind::Postgres => {
            "pg_stat_activity with pg_blocking_pids(), pg_stat_replication, pg_stat_database, pg_control_checkpoint()"
        }
        SourceKind::Pgbouncer => "SHOW POOLS",
        SourceKind::Odoo => "queue_job, ir_cron, ir_module_module",
        SourceKind::Redis => "INFO",
        SourceKind::Traefik => "metrics: requests_total, request_duration_seconds, config reloads, tls_certs_not_after",
        SourceKind::Objects => {
            "watch of platform objects, and of those of CloudNativePG, Argo CD, Flux and cert-manager"
        }
        SourceKind::Prometheus => "instant queries of PromQL, each mapped to one signal",
        SourceKind::Alertmanager => "alerts that fire, from its API and from its web hook",
        SourceKind::Patroni => "/cluster, /history",
        SourceKind::Pgbackrest => "pgbackrest info --output=json",
        SourceKind::Bucket => "versioning and object lock of the bucket, by the S3 API",
        SourceKind::Standby => "the sources that the region needs, as they answered last",
        SourceKind::Restore => "runs of the playbook in the journal, and the report",
        SourceKind::Baseline => {
            "pg_roles, pg_auth_members, pg_database; lists of roles, bindings, network policies, namespaces, storage classes"
        }
        SourceKind::Exports => "the log of Odoo, for who exports how many records",
        SourceKind::Journal => "broken glass, elevations, keys and the roster, from the journal",
        SourceKind::Audit => "privileged actions in the audit log of Kubernetes",
        SourceKind::Probe => "TLS handshake, certificate chain, one GET",
        SourceKind::Integration => "the query or the endpoint of the integration",
        SourceKind::Business => "sale_order, procurement runs, sessions of Odoo's database",
        SourceKind::Synthetic => "transactions tried in the probe company",
        SourceKind::Sharing => "the leases of engines that share the sources, in the database of the journal",
    }
}

fn source(out: &mut Page, state: &State, source: &SourceRow) {
    out.pair(
        source.id.as_str(),
        source.health.into(),
        format!(
            "{} at {}: {}, seen {}, took {}",
            source.kind,
            source.address,
            source.health,
            source.observed_at.map_or_else(|| "never".into(), moment),
            known(source.took_ms, |ms| format!("{ms:.0} ms")),
        ),
    );
    out.pair("", Role::Dim, asked(source.kind));
    if let Some(host) = &source.watched_by {
        out.pair("", Role::Dim, format!("watched by the engine on {host}"));
    }
    if let Some(since) = source.unknown_since {
        let silent = age(seconds_between(since, state.now()));
        out.pair("", Role::Unknown, format!("silent since {}, {silent}", moment(since)));
    }
    if let Some(why) = &source.why {
        out.pair("", source.health.into(), why);
    }
    for said in &source.said {
        out.pair("", Role::Text, said);
    }
    for missing in &source.missing {
        out.pair("", Role::Warn, format!("not seen: {}; would help: {}", missing.disables, missing.remedy));
    }
}

fn from_sources<'a>(out: &mut Page, state: &State, snapshot: &Snapshot, ids: impl IntoIterator<Item = &'a SourceId>) {
    out.heading("Where it comes from");
    let before = out.lines.len();
    for id in ids {
        if let Some(row) = snapshot.panes.sources.iter().find(|s| s.id == *id) {
            source(out, state, row);
        }
    }
    if out.lines.len() == before {
        out.line(Role::Unknown, "no source is configured for it");
    }
}

/// A subject with its signals: value, grade, threshold and source of each.
fn subject(out: &mut Page, state: &State, snapshot: &Snapshot, row: &SubjectRow) {
    out.pair("health", row.health.into(), row.health.word());
    out.pair("kind", Role::Text, &row.kind);
    if !row.why.is_empty() {
        out.pair("why", row.health.into(), &row.why);
    }
    out.pair("owner", Role::Text, row.owner.as_deref().unwrap_or("not declared"));
    if let Some(tenant) = &row.tenant {
        out.pair("tenant", Role::Text, tenant.as_str());
    }
    findings(out, snapshot, |f| f.subject == row.subject);
    let mut ids: Vec<&SourceId> = row.signals.iter().map(|s| &s.source).collect();
    ids.dedup();
    from_sources(out, state, snapshot, ids);
}

/// A row of a pane.
pub(super) fn row(out: &mut Page, state: &State, snapshot: &Snapshot, pane: PaneId, key: &str) {
    let cx = state.context(snapshot);
    macro_rules! find {
        ($rows:expr) => {
            $rows.into_iter().find(|r| r.key() == key)
        };
    }
    if pane.has_signals() {
        super::signals::write(out, state, snapshot, pane, key);
    }
    let before = out.lines.len();
    match pane {
        PaneId::Tenants => {
            if let Some(row) = find!(&snapshot.panes.tenants) {
                out.row(row, &cx);
                findings(out, snapshot, |f| f.whom.tenants.contains(&row.id));
                let tenant = snapshot.estate.tenant(&row.id);
                let odoo = SourceId::new(format!("odoo/{}", row.id));
                let mut ids: Vec<SourceId> = Vec::new();
                if let Some(tenant) = tenant {
                    ids.extend(tenant.router.as_ref().map(|r| r.ingress.clone()));
                    ids.extend(tenant.namespace.as_ref().map(|n| n.cluster.clone()));
                    ids.extend(tenant.database.as_ref().map(|d| d.instance.clone()));
                }
                ids.push(odoo);
                from_sources(out, state, snapshot, &ids);
            }
        }
        PaneId::Databases => {
            if let Some(row) = find!(&snapshot.panes.databases) {
                out.row(row, &cx);
                from_sources(out, state, snapshot, [&row.id]);
                let hosted: Vec<_> = snapshot.estate.tenants_on(&row.id).map(|t| t.id.as_str()).collect();
                out.heading(format!("Tenants on it: {}", hosted.len()));
                out.line(Role::Text, hosted.join(" "));
            }
        }
        PaneId::Queues => match find!(&snapshot.panes.queues) {
            Some(QueueRow::Channel(row)) => {
                out.row(row, &cx);
                from_sources(out, state, snapshot, [&row.source]);
            }
            Some(QueueRow::Redis(row)) => {
                out.row(row, &cx);
                from_sources(out, state, snapshot, [&row.id]);
            }
            None => {}
        },
        PaneId::Ingress => {
            if let Some(row) = find!(&snapshot.panes.ingress) {
                out.row(row, &cx);
                for line in &row.behind {
                    out.pair("", Role::Text, line);
                }
                from_sources(out, state, snapshot, [&row.source]);
            }
        }
        PaneId::Platform | PaneId::Recovery | PaneId::Delivery | PaneId::Business | PaneId::Security => {
            let rows = pane.subjects().map(|pane| snapshot.panes.subjects(pane)).unwrap_or_default();
            if let Some(row) = find!(rows) {
                match &row.subject {
                    Subject::ByHand { measure, .. } => fallback(out, snapshot, measure),
                    _ => subject(out, state, snapshot, row),
                }
            }
        }
        // Where they stand they are gone to, not opened.
        PaneId::Estates | PaneId::EstateIncidents | PaneId::EstateRecords => {}
        PaneId::Sources => {
            if let Some(row) = find!(&snapshot.panes.sources) {
                out.row(row, &cx);
                from_sources(out, state, snapshot, [&row.id]);
            }
        }
        PaneId::Locks => {
            let all = snapshot.panes.databases.iter().flat_map(|d| &d.locks);
            if let Some(row) = find!(all) {
                out.row(row, &cx);
                out.pair("session began", Role::Text, moment(row.backend_start));
            }
        }
        PaneId::Journal | PaneId::Timeline => {
            if let Some(entry) = find!(state.records())
                .or_else(|| snapshot.current_incident().and_then(|i| i.timeline.iter().find(|e| e.key() == key)))
            {
                super::record::write(out, state, entry);
            }
        }
        PaneId::Changes => {
            if let Some(row) = find!(snapshot.changes.iter()) {
                out.row(row, &cx);
                out.pair("exactly", Role::Text, moment(row.at));
            }
        }
        PaneId::Measures => {
            if let Some(row) = find!(&snapshot.measures) {
                out.row(row, &cx);
                out.pair("since", Role::Text, moment(row.since));
            }
        }
        PaneId::Findings => {
            if let Some(row) = find!(snapshot.findings.iter()) {
                out.row(row, &cx);
            }
        }
        PaneId::Offers => {
            let offers = shown_finding(state, snapshot).map(|f| f.playbooks.as_slice()).unwrap_or_default();
            if let Some(row) = find!(offers) {
                out.row(row, &cx);
            }
        }
        PaneId::Evidence => {
            let evidence = shown_finding(state, snapshot).map(|f| f.evidence.as_slice()).unwrap_or_default();
            if let Some(row) = find!(evidence) {
                out.row(row, &cx);
                out.heading("Series, oldest first");
                let values: Vec<_> = row.series.iter().map(|v| crate::console::format::value(*v, row.unit)).collect();
                out.line(Role::Text, values.join("  "));
            }
        }
        PaneId::Playbooks => {
            if let Some(row) = find!(snapshot.playbooks.iter()) {
                out.row(row, &cx);
            }
        }
        PaneId::Runs => {
            if let Some(row) = find!(snapshot.runs.iter()) {
                out.row(row, &cx);
            }
        }
        PaneId::Steps => {
            let run = match &state.screen {
                Screen::Run(id) => state.run(id),
                _ => None,
            };
            if let Some((run, step)) = run.and_then(|r| r.steps.iter().find(|s| s.id.as_str() == key).map(|s| (r, s))) {
                step_sheet(out, run, step);
            }
        }
    }
    if out.lines.len() == before {
        out.line(Role::Unknown, "it is gone: the engine no longer reports it");
    }
}

/// Something that goes on by hand, or what is owed for it, and what its owner does next.
fn fallback(out: &mut Page, snapshot: &Snapshot, measure: &str) {
    let Some(known) = snapshot.measures.iter().find(|m| m.id == measure) else { return };
    out.pair("what", Role::Strong, &known.what);
    out.pair("since", Role::Text, moment(known.since));
    out.pair("set by", Role::Text, &known.by);
    out.pair("owner", Role::Text, known.asked.as_ref().map_or_else(|| "nobody".into(), ToString::to_string));
    match (&known.acknowledged, &known.asked) {
        (Some((by, at)), _) => out.pair("acknowledged", Role::Ok, format!("by {by}, {}", moment(*at))),
        (None, Some(_)) if measure.starts_with(FALLBACK) => {
            out.pair("acknowledged", Role::Warn, format!("NOT YET: quarterdeck continuity acknowledge '{measure}'"));
        }
        (None, _) => {}
    }
    out.pair("next", Role::Accent, &known.lift);
}

fn step_sheet(out: &mut Page, run: &RunView, step: &StepView) {
    out.pair("step", Role::Strong, &step.name);
    out.pair("state", Role::Text, step_words(step.state));
    out.pair("began", Role::Text, step.started_at.map_or_else(|| "not yet".into(), moment));
    out.pair("ended", Role::Text, step.ended_at.map_or_else(|| "not yet".into(), moment));
    if let Some(digest) = &step.digest {
        out.pair("digest", Role::Text, digest.as_str());
    }
    if let Some(outcome) = &step.outcome {
        out.pair("outcome", Role::Strong, outcome);
    }
    for (title, all) in [("Checked", &step.checks), ("Worked when", &step.verify)] {
        if !all.is_empty() {
            out.heading(title);
            for one in all {
                check(out, one);
            }
        }
    }
    if !step.output.is_empty() {
        out.heading("Output");
        for line in &step.output {
            out.line(Role::Text, line);
        }
    }
    out.heading("Risk");
    explain(out, run, step);
}

fn check(out: &mut Page, check: &CheckView) {
    let (word, role) = match check.holds {
        Some(true) => ("holds", Role::Ok),
        Some(false) => ("FALSE", Role::Critical),
        None => ("unknown", Role::Unknown),
    };
    out.pair(word, role, format!("{}  {}", check.text, check.detail));
}

fn findings(out: &mut Page, snapshot: &Snapshot, choose: impl Fn(&Finding) -> bool) {
    let mut title = false;
    for finding in snapshot.findings.iter().filter(|f| choose(f)) {
        if !title {
            out.heading("Findings");
            title = true;
        }
        out.line(
            finding.severity.into(),
            format!("{} {} {}", class_words(finding), finding.what, since_words(finding)),
        );
    }
}
