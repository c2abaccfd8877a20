//! Sheets: text to read about one thing, made anew from each snapshot. Absolute times, where each value comes
//! from, and what can be done about it.

use super::format::{age, clock, count, known, moment, seconds_between};
use super::keymap::{self, Place};
use super::rows::{Context, PaneRow, class_words, run_words, step_words, whom_words};
use super::state::{PaneId, SheetKind, State, shown_finding};
use super::strip::{Strip, wrap};
use super::theme::Role;
use crate::domain::health::Health;
use crate::domain::id::{RunId, SourceId, StepId};
use crate::domain::pane::{QueueRow, SourceRow};
use crate::domain::sample::SourceKind;
use crate::engine::api::{CheckView, RunView, Snapshot, StepView};

/// A sheet being written.
struct Page {
    lines: Vec<Strip>,
    width: usize,
}

impl Page {
    fn heading(&mut self, text: impl AsRef<str>) {
        if !self.lines.is_empty() {
            self.lines.push(Strip::new());
        }
        self.lines.push(Strip::of(Role::Title, text));
    }

    fn line(&mut self, role: Role, text: impl AsRef<str>) {
        self.lines.extend(wrap(text.as_ref(), self.width).into_iter().map(|line| Strip::of(role, line)));
    }

    fn pair(&mut self, name: &str, role: Role, value: impl AsRef<str>) {
        let lines = wrap(value.as_ref(), self.width.saturating_sub(16).max(8));
        for (i, line) in lines.into_iter().enumerate() {
            let name = if i == 0 { name } else { "" };
            self.lines.push(Strip::of(Role::Dim, format!("{name:<15} ")).and(role, line));
        }
    }

    fn row<R: PaneRow>(&mut self, row: &R, context: &Context<'_>) {
        if let Some(health) = row.health() {
            self.pair("health", health.into(), health.word());
        }
        for (column, cell) in R::COLUMNS.iter().zip(row.cells(context)) {
            self.pair(column.title, cell.role, if cell.text.is_empty() { "nothing" } else { &cell.text });
        }
    }
}

/// Title of a sheet.
pub fn title(kind: &SheetKind) -> String {
    match kind {
        SheetKind::Help(_) => "Help".into(),
        SheetKind::Row(pane, key) => {
            let noun = match pane {
                PaneId::Tenants => "Tenant",
                PaneId::Databases => "Instance",
                PaneId::Locks => "Session",
                PaneId::Queues => "Queue",
                PaneId::Ingress => "Ingress",
                PaneId::Findings => "Finding",
                PaneId::Changes => "Change",
                PaneId::Offers => "Offer",
                PaneId::Evidence => "Evidence",
                PaneId::Timeline | PaneId::Journal => "Record",
                PaneId::Measures => "Measure",
                PaneId::Playbooks => "Playbook",
                PaneId::Runs => "Run",
                PaneId::Steps => "Step",
                PaneId::Sources => "Source",
            };
            format!("{noun} {key}")
        }
        SheetKind::Explain(_, step) => format!("Risk of {step}"),
        SheetKind::ByHand(_, step) => format!("{step} by hand"),
        SheetKind::Situation => "Situation".into(),
        SheetKind::Since => "Since you left".into(),
        SheetKind::Measures => "Measures in force".into(),
    }
}

/// Lines of a sheet, no wider than `width`.
pub fn lines(state: &State, kind: &SheetKind, width: u16) -> Vec<Strip> {
    let mut out = Page { lines: Vec::new(), width: usize::from(width) };
    if let SheetKind::Help(place) = kind {
        help(&mut out, *place);
        return out.lines;
    }
    let Some(snapshot) = state.snapshot.as_deref() else {
        out.line(Role::Unknown, "nothing is known yet: the engine has not answered");
        return out.lines;
    };
    match kind {
        SheetKind::Help(_) => {}
        SheetKind::Row(pane, key) => row(&mut out, state, snapshot, *pane, key),
        SheetKind::Explain(run, step) => with_step(&mut out, state, run, step, explain),
        SheetKind::ByHand(run, step) => with_step(&mut out, state, run, step, by_hand),
        SheetKind::Situation => situation(&mut out, state, snapshot),
        SheetKind::Since => since(&mut out, state, snapshot),
        SheetKind::Measures => measures(&mut out, state, snapshot),
    }
    out.lines
}

fn help(out: &mut Page, place: Place) {
    let mut group = |title: &str, choose: &dyn Fn(&keymap::Binding) -> bool| {
        out.heading(title);
        for binding in keymap::valid(place).filter(|b| choose(b)) {
            let keys: Vec<_> = binding.keys.iter().map(|k| k.name()).collect();
            let role = if binding.danger { Role::Warn } else { Role::Accent };
            for (i, line) in wrap(binding.help, out.width.saturating_sub(20).max(8)).into_iter().enumerate() {
                let keys = if i == 0 { keys.join(" ") } else { String::new() };
                out.lines.push(Strip::of(role, format!("{keys:<18}  ")).and(Role::Text, line));
            }
        }
    };
    let only_here = |b: &keymap::Binding| matches!(b.scope, keymap::Scope::In(places) if places.len() < 6);
    let moving = |b: &keymap::Binding| matches!(b.scope, keymap::Scope::In(places) if places.len() >= 6);
    group("Here", &only_here);
    group("Moving", &moving);
    group("Everywhere", &|b| !only_here(b) && !moving(b));
    out.heading("Signs");
    out.line(Role::Text, "● o ok   ▲ ^ warn   ✖ x critical   ? unknown, never green   – nothing to observe");
    out.line(Role::Text, "Risk L looks, M is felt and can be taken back, H may lose work.");
    out.line(Role::Dim, "Rows are sorted again only while the cursor is elsewhere; Home sorts at once.");
}

fn with_step(out: &mut Page, state: &State, run: &RunId, step: &StepId, write: fn(&mut Page, &RunView, &StepView)) {
    match state.run(run).and_then(|r| r.steps.iter().find(|s| s.id == *step).map(|s| (r, s))) {
        Some((run, step)) => write(out, run, step),
        None => out.line(Role::Unknown, "this run is no longer known to the engine"),
    }
}

fn explain(out: &mut Page, run: &RunView, step: &StepView) {
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
            Some(crate::domain::risk::Confirmation::Keypress) => "a dialog in which Cancel has the focus".to_owned(),
            Some(crate::domain::risk::Confirmation::Typed { phrase }) => format!("`{phrase}` typed exactly"),
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

fn by_hand(out: &mut Page, _: &RunView, step: &StepView) {
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
    if let Some(since) = source.unknown_since {
        let silent = age(seconds_between(since, state.now()));
        out.pair("", Role::Unknown, format!("silent since {}, {silent}", moment(since)));
    }
    if let Some(why) = &source.why {
        out.pair("", source.health.into(), why);
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

fn row(out: &mut Page, state: &State, snapshot: &Snapshot, pane: PaneId, key: &str) {
    let cx = state.context(snapshot);
    macro_rules! find {
        ($rows:expr) => {
            $rows.into_iter().find(|r| r.key() == key)
        };
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
                from_sources(out, state, snapshot, [&row.source]);
            }
        }
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
                out.pair("record", Role::Text, entry.seq.to_string());
                out.pair("at", Role::Text, moment(entry.at));
                out.pair("kind", Role::Accent, &entry.kind);
                out.pair("who", Role::Text, &entry.who);
                out.pair("what", Role::Text, &entry.text);
                out.heading("Proof");
                out.line(Role::Dim, format!("quarterdeck audit show --seq {0} prints it as stored.", entry.seq));
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
                let values: Vec<_> = row.series.iter().map(|v| super::format::value(*v, row.unit)).collect();
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
                super::state::Screen::Run(id) => state.run(id),
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

fn findings(out: &mut Page, snapshot: &Snapshot, choose: impl Fn(&crate::domain::finding::Finding) -> bool) {
    let mut title = false;
    for finding in snapshot.findings.iter().filter(|f| choose(f)) {
        if !title {
            out.heading("Findings");
            title = true;
        }
        out.line(
            finding.severity.into(),
            format!("{} {} since {}", class_words(finding), finding.what, clock(finding.since)),
        );
    }
}

fn situation(out: &mut Page, state: &State, snapshot: &Snapshot) {
    let now = state.now();
    out.line(
        Role::Strong,
        format!("{} {} ({}) at {}", snapshot.estate.name, snapshot.environment(), snapshot.mode, moment(now)),
    );
    match snapshot.current_incident() {
        Some(i) => out.line(
            i.severity.into(),
            format!("{} {} {}: {}, {}", i.id, i.severity, i.state, i.title, age(seconds_between(i.declared_at, now))),
        ),
        None => out.line(Role::Text, "No incident is declared."),
    }
    for finding in snapshot.findings.iter().take(3) {
        out.line(
            finding.severity.into(),
            format!("{} since {}, hurts {}", finding.what, clock(finding.since), whom_words(finding)),
        );
    }
    if let Some(cutoff) = snapshot.findings.iter().filter_map(|f| f.whom.next_cutoff.as_ref()).min_by_key(|c| c.at) {
        out.line(
            Role::Strong,
            format!("{} of {} {}", cutoff.what, cutoff.tenant, super::format::ahead(now, cutoff.at)),
        );
    }
    let tally = |health: Health| snapshot.panes.tenants.iter().filter(|t| t.health == health).count();
    out.line(
        Role::Text,
        format!(
            "Tenants: {} critical, {} unknown, {} warn, {} ok.",
            tally(Health::Critical),
            tally(Health::Unknown),
            tally(Health::Warn),
            tally(Health::Ok)
        ),
    );
    match state.pressing_run() {
        Some(run) => {
            out.line(run.state.into(), format!("{} {}: {}, {}", run.id, run.playbook, run_words(run.state), run.now));
        }
        None => out.line(Role::Text, "No run is open."),
    }
    out.line(Role::Text, format!("{} in force.", count(snapshot.measures.len(), "measure")));
    if let Some(change) = snapshot.changes.first() {
        out.line(Role::Text, format!("Last change {} {}: {}", clock(change.at), change.subject, change.what));
    }
    if let Some(told) = snapshot.drill.as_ref().and_then(|d| d.messages.last()) {
        out.line(Role::Accent, format!("Told: {told}"));
    }
    out.line(Role::Dim, format!("Next: {}", super::next::next(state).text.plain()));
}

fn since(out: &mut Page, state: &State, snapshot: &Snapshot) {
    let Some(left) = state.left_at else {
        out.line(Role::Dim, "You have not been away for longer than a minute.");
        return;
    };
    out.line(Role::Strong, format!("Since {} ({} ago)", moment(left), age(seconds_between(left, state.now()))));
    out.heading("Findings that are new");
    let new: Vec<_> = snapshot.findings.iter().filter(|f| f.since >= left).collect();
    if new.is_empty() {
        out.line(Role::Dim, "none");
    }
    for finding in new {
        out.line(finding.severity.into(), format!("{} {}", clock(finding.since), finding.what));
    }
    out.heading("What changed");
    let changes: Vec<_> = snapshot.changes.iter().filter(|c| c.at >= left).collect();
    if changes.is_empty() {
        out.line(Role::Dim, "nothing");
    }
    for change in changes {
        out.line(Role::Text, format!("{} {} {} ({})", clock(change.at), change.subject, change.what, change.by));
    }
    out.heading("Records");
    for entry in state.records().into_iter().filter(|e| e.at >= left) {
        out.line(Role::Text, format!("{} {} {} {}", clock(entry.at), entry.kind, entry.who, entry.text));
    }
}

fn measures(out: &mut Page, state: &State, snapshot: &Snapshot) {
    if snapshot.measures.is_empty() {
        out.line(Role::Ok, "Nothing is in force.");
    }
    let cx = state.context(snapshot);
    for measure in &snapshot.measures {
        out.heading(&measure.id);
        out.row(measure, &cx);
    }
}
