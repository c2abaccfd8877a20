//! The engine's task: it owns all state, takes commands, samples and answers one at a time, and publishes a
//! snapshot when something changed. Everything slow runs elsewhere and comes back as an [`Answer`].

use super::accounts::Gathering;
use super::adapters::Adapters;
use super::api::{
    Command, JournalView, Outside, ParameterView, PlaybookSummary, Reply, ScrubView, Snapshot, StepSummary,
};
use super::approvals::Governance;
use super::client::{Client, Envelope, Link};
use super::counters::Counters;
use super::held::{Runs, Surveyed};
use super::inbox::Inbox;
use super::judge::Judge;
use super::keeping::Keeping;
use super::logs::LogDesk;
use super::outsiders::Outsiders;
use super::presence::{Arrival, Consoles, Door};
use super::recording::recorder::{Kept, Recorder};
use super::roster::PolicyFile;
use super::sign_in::SignIns;
use super::state::State;
use super::telling::{Desk, Posted};
use super::usual::Keeper;
use crate::act::Verbs;
use crate::attest::anchor::Anchored;
use crate::correlate::{panes, standby};
use crate::domain::actor::Actor;
use crate::domain::estate::Service;
use crate::domain::finding::Finding;
use crate::domain::id::{IncidentId, Person, RunId, StepId};
use crate::domain::mode::Mode;
use crate::domain::pane::{Panes, SubjectView};
use crate::domain::ports::Clock;
use crate::domain::sample::Sample;
use crate::domain::signal::Subject;
use crate::domain::world::World;
use crate::journal::fold::Fold as _;
use crate::journal::{Committed, Draft, Journal, Kind, Record, Scrub, Status};
use crate::playbook::library::{Entry, Library};
use crate::playbook::run::{Input, Ticket};
use crate::policy::sshsig::Signers;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};

/// Least time between two looks at new samples: at most five data frames a second.
const DATA_GATE: Duration = Duration::from_millis(200);
/// Judging a large estate takes tens of milliseconds: it is done so seldom that it takes a thirtieth of a core at most, and
/// yet more than once a second.
const OF_A_CORE: u32 = 30;
const LONGEST_GATE: Duration = Duration::from_millis(800);
/// Time without samples after which what is known is judged again: ages and silence change even so. Just below the
/// second of the tick, which is never exact.
const SILENCE: Duration = Duration::from_millis(900);
/// Time between two heartbeat records.
const HEARTBEAT: Duration = Duration::from_mins(5);
/// Commands that may wait.
const WAITING: usize = 64;

/// Something that ran elsewhere has an answer for a run.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) run: RunId,
    pub(super) what: Came,
}

/// What came for a run.
#[derive(Debug)]
pub(super) enum Came {
    /// An input.
    Input(Input),
    /// The wait for witnesses is over, well or not: the gate is next.
    Witnessed {
        /// Ticket of the execution.
        ticket: Ticket,
        /// The step.
        step: StepId,
        /// Which of several requests.
        part: Option<usize>,
    },
    /// What the verb of a step has read of its target: it can be rendered now.
    Surveyed {
        /// Ticket of the rendering.
        ticket: Ticket,
        /// The step.
        step: StepId,
        /// What was read, and for what.
        surveyed: Result<Vec<Surveyed>, String>,
    },
}

/// What the engine is made of.
pub struct Parts {
    /// Observers, verbs, clock.
    pub adapters: Adapters,
    /// Playbooks.
    pub library: Library,
    /// The open journal.
    pub journal: Journal,
    /// Its records so far, folded.
    pub state: State,
    /// Where it lies, for people.
    pub journal_dir: String,
    /// Who sits here.
    pub me: Actor,
    /// What is written at the start: digests of configuration and playbooks.
    pub loaded: Value,
    /// The configured witnesses; none in a drill.
    pub witnesses: Option<crate::attest::witness::Settings>,
    /// How far the journal's copies in object storage are, where there are any.
    pub anchored: Option<watch::Receiver<Anchored>>,
}

/// The engine.
pub struct Engine {
    pub(super) mode: Mode,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) me: Actor,
    pub(super) world: World,
    pub(super) state: State,
    pub(super) verbs: Verbs,
    pub(super) library: Library,
    playbooks: Arc<Vec<PlaybookSummary>>,
    pub(super) runs: Runs,
    pub(super) governance: Governance,
    /// Keys of those who can open what records commit to.
    pub(super) openings: Vec<String>,
    pub(super) answers: mpsc::Sender<Answer>,
    pub(super) panes: Arc<Panes>,
    pub(super) judge: Judge,
    usual: Option<Keeper>,
    pub(super) gathering: Gathering,
    /// The declared services.
    services: Arc<Vec<Service>>,
    /// When everything was last judged, and how long that took.
    judged: Instant,
    judging: Duration,
    pub(super) journal: Journal,
    pub(super) keeping: Keeping,
    pub(super) bastions: super::bastions::Bastions,
    /// Records as they come, where other engines write the journal too.
    arrivals: Option<mpsc::UnboundedReceiver<Record>>,
    journal_dir: String,
    pub(super) outsiders: Outsiders,
    pub(super) consoles: Consoles,
    pub(super) drill: Option<super::adapters::DrillHandle>,
    /// What the records of the exercise amount to.
    pub(super) ledger: crate::drill::score::Ledger,
    /// Answers that are being worked on.
    pub(super) under_way: std::sync::atomic::AtomicUsize,
    pub(super) logs: LogDesk,
    pub(super) desk: Desk,
    pub(super) sign_ins: Box<SignIns>,
    anchored: Option<watch::Receiver<Anchored>>,
    counters: Arc<Counters>,
    findings: Arc<Vec<Finding>>,
    generation: u64,
    stopping: bool,
}

/// A running engine, as its owner holds it.
#[derive(Debug)]
pub struct Running {
    /// The way in.
    pub client: Client,
    /// Where a listener says who comes and goes.
    pub door: Door,
    /// What it was asked, and what of that it refused.
    pub counters: Arc<Counters>,
    /// Whose signature counts, as the policy in force changes.
    pub signers: watch::Receiver<Arc<Signers>>,
    stop: Option<oneshot::Sender<()>>,
    ended: oneshot::Receiver<()>,
}

impl Running {
    /// Starts nothing new, waits for the step in hand, records its outcome, closes the journal.
    pub async fn end(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = (&mut self.ended).await;
    }
}

/// Starts the engine on the current runtime, under the shipped policy.
pub fn start(parts: Parts) -> Running {
    start_governed(parts, PolicyFile::default())
}

/// Starts the engine under a policy, unless the journal has pinned another one.
pub fn start_governed(parts: Parts, policy: PolicyFile) -> Running {
    start_with(parts, policy, Vec::new())
}

/// An engine that does nothing yet, with what goes with it.
pub(super) struct Made {
    pub(super) engine: Engine,
    pub(super) answers: mpsc::Receiver<Answer>,
    posted: mpsc::Receiver<Posted>,
    pub(super) observers: Vec<Box<dyn crate::domain::ports::Observer>>,
    pub(super) loaded: Value,
}

/// Makes an engine that has looked at nothing yet.
pub(super) fn make(parts: Parts, policy: &PolicyFile, openings: Vec<String>) -> Made {
    let Parts { adapters, library, journal, state, journal_dir, me, loaded, witnesses, anchored } = parts;
    let Adapters { estate, mode, clock, observers, verbs, settings, usual, prices, logs, comms, identity, drill } =
        adapters;
    let now = clock.now();
    let (answers, inbox_answers) = mpsc::channel(WAITING);
    let (post, posted) = mpsc::channel(WAITING);
    let specs = observers.iter().flat_map(|o| o.specs()).chain(standby::specs(&settings.standby));
    let world = World::new(estate.clone(), specs, now);
    let services = Arc::new(settings.services.clone());
    let mut judge = Judge::new(settings, &world.estate);
    let kept = usual.map(|path| Keeper::open(path, &world.estate.name, judge.baselines_mut()));
    if let Some(drill) = &drill {
        drill.seed(judge.baselines_mut());
    }
    let mut engine = Engine {
        mode,
        me,
        world,
        runs: Runs::default(),
        governance: Governance::new(Arc::new(policy.policy.clone()), policy.origin.clone(), None),
        answers,
        panes: Arc::default(),
        judge,
        usual: kept,
        gathering: Gathering::new(prices),
        services,
        judged: Instant::now(),
        judging: Duration::ZERO,
        outsiders: Outsiders::start(witnesses, &journal),
        openings,
        consoles: Consoles::default(),
        bastions: super::bastions::Bastions::default(),
        arrivals: journal.arrivals(),
        journal,
        keeping: Keeping::default(),
        journal_dir,
        state,
        verbs,
        playbooks: Arc::new(library.all().map(summary).collect()),
        library,
        drill,
        ledger: crate::drill::score::Ledger::default(),
        under_way: std::sync::atomic::AtomicUsize::new(0),
        logs: LogDesk::new(logs),
        desk: Desk::new(comms, post),
        sign_ins: Box::new(SignIns::new(identity)),
        anchored,
        counters: Arc::default(),
        findings: Arc::default(),
        generation: 0,
        stopping: false,
        clock,
    };
    engine.look(Vec::new());
    Made { engine, answers: inbox_answers, posted, observers, loaded }
}

/// The same; `openings` are the keys of those who can open what records commit to. Without them no run can be given a
/// secret.
pub fn start_with(parts: Parts, policy: PolicyFile, openings: Vec<String>) -> Running {
    let Made { mut engine, answers: inbox_answers, posted, observers, loaded } = make(parts, &policy, openings);
    let (me, now) = (engine.me.clone(), engine.clock.now());
    let (commands, inbox_commands) = mpsc::channel(WAITING);
    let (arrive, arrivals) = mpsc::channel(WAITING);
    let (stop, stopped) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let (snapshot, snapshots) = watch::channel(Arc::new(engine.snapshot()));
    let signers = engine.governance.signers();
    let counters = engine.counters.clone();
    let door = Door { arrive, counters: counters.clone() };
    let (beat, beats) = watch::channel(now);
    let (_, link) = watch::channel(Link::default());
    let client = Client { commands, snapshots, beat: beats, link, actor: me };
    let inbox = Inbox::default();
    // Without observers there is nothing to see. What a crew did in a drill no seed plays again; a script's drill is
    // stepped and comes not by here, so that its records are the same each time.
    let recorder =
        (!observers.is_empty()).then(|| Recorder::start(snapshot.subscribe(), engine.journal.dir().to_owned()));
    let observers: Vec<_> = observers.into_iter().map(|o| tokio::spawn(o.run(inbox.sink()))).collect();
    tokio::spawn(async move {
        let mut ends = Ends { commands: inbox_commands, answers: inbox_answers, posted, arrivals, recorder, stopped };
        engine.open(loaded, policy).await;
        engine.turn(&mut ends, &inbox, &snapshot, &beat).await;
        for observer in observers {
            observer.abort();
        }
        for kept in ends.left().await {
            engine.name_recording(kept).await;
        }
        engine.close().await;
        let _ = end.send(());
    });
    Running { client, door, counters, signers, stop: Some(stop), ended }
}

struct Ends {
    commands: mpsc::Receiver<Envelope>,
    answers: mpsc::Receiver<Answer>,
    posted: mpsc::Receiver<Posted>,
    arrivals: mpsc::Receiver<Arrival>,
    recorder: Option<Recorder>,
    stopped: oneshot::Receiver<()>,
}

impl Ends {
    /// What the consoles were shown; waits for ever where that is not kept.
    async fn kept(recorder: &mut Option<Recorder>) -> Kept {
        match recorder {
            Some(recorder) => recorder.next().await,
            None => std::future::pending().await,
        }
    }

    /// What was left to be named at the end.
    async fn left(&mut self) -> Vec<Kept> {
        match self.recorder.take() {
            Some(recorder) => recorder.end().await,
            None => Vec::new(),
        }
    }
}

impl Engine {
    /// The loop: people first, then answers, then time, then samples.
    async fn turn(
        &mut self,
        ends: &mut Ends,
        inbox: &Inbox,
        snapshots: &watch::Sender<Arc<Snapshot>>,
        beat: &watch::Sender<Timestamp>,
    ) {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut heartbeat = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        let mut gate = Instant::now();
        let mut stopped = false;
        loop {
            tokio::select! {
                biased;
                Some(envelope) = ends.commands.recv() => {
                    let Some(envelope) = self.logs_apart(envelope) else { continue };
                    let only_looks = envelope.command.only_looks();
                    let reply = self.command(envelope.command, envelope.actor).await;
                    if !only_looks {
                        self.counters.answered(&reply);
                        snapshots.send_replace(Arc::new(self.snapshot()));
                    }
                    let _ = envelope.answer.send(reply);
                    continue;
                }
                Some(answer) = ends.answers.recv() => self.came(answer).await,
                Some(posted) = ends.posted.recv() => self.came_back(posted).await,
                Some(arrival) = ends.arrivals.recv() => self.arrived(arrival).await,
                told = self.sign_ins.next() => self.told_of_sign_in(told).await,
                record = arrival(&mut self.arrivals) => {
                    self.fold(&record);
                    self.take_arrivals();
                    self.take_passed().await;
                }
                kept = Ends::kept(&mut ends.recorder) => self.name_recording(kept).await,
                _ = &mut ends.stopped, if !stopped => {
                    stopped = true;
                    self.stopping = true;
                    self.stop_all("the console ends", false, &self.me.engine()).await;
                }
                _ = second.tick() => {
                    self.second().await;
                    beat.send_replace(self.clock.now());
                }
                _ = heartbeat.tick() => {
                    let body = json!({ "sources": self.world.sources.len(), "runs": self.runs.open().count() });
                    let _ = self.record(Kind::JournalHeartbeat, None, body, &self.me.engine()).await;
                }
                () = inbox.arrived(), if Instant::now() >= gate => {
                    let began = Instant::now();
                    self.data(inbox.drain()).await;
                    gate = began + self.judging.saturating_mul(OF_A_CORE).clamp(DATA_GATE, LONGEST_GATE);
                    self.feed_open(&Input::Seen).await;
                }
                () = tokio::time::sleep_until(gate), if Instant::now() < gate => continue,
            }
            snapshots.send_replace(Arc::new(self.snapshot()));
            if stopped && !self.runs.in_hand() && !self.desk.in_hand() {
                return;
            }
        }
    }

    async fn open(&mut self, loaded: Value, policy: PolicyFile) {
        let engine = self.me.engine();
        let _ = self.record(Kind::ConfigLoaded, None, loaded, &engine).await;
        self.own_console().await;
        self.open_policy(policy).await;
        self.finish_redactions().await;
        self.lead_at_start().await;
        self.recover_comms().await;
        self.begin_exercise().await;
    }

    /// The same for an engine at which nobody sits.
    pub(super) async fn open_alone(&mut self, loaded: Value, policy: PolicyFile) {
        let engine = self.me.engine();
        let _ = self.record(Kind::ConfigLoaded, None, loaded, &engine).await;
        self.open_policy(policy).await;
        self.begin_exercise().await;
    }

    pub(super) async fn close(&mut self) {
        self.all_leave().await;
        self.account_at_end().await;
        self.keep_at_end().await;
        if let Some(kept) = self.usual.take() {
            kept.end(self.judge.baselines()).await;
        }
        if let Err(error) = self.journal.close(self.clock.now()).await {
            tracing::error!(%error, "the journal could not be closed");
        }
        let size = self.journal.status().size;
        self.outsiders.finish(size).await;
    }

    fn draft(&self, kind: Kind, incident: Option<IncidentId>, body: Value, actor: &Actor) -> Draft {
        Draft {
            kind,
            incident,
            body,
            actor: actor.clone(),
            mode: self.mode,
            environment: self.world.estate.environment,
            time: self.clock.now(),
        }
    }

    /// Writes one record and waits until it is durable; only then does it count.
    pub(super) async fn record(
        &mut self,
        kind: Kind,
        incident: Option<IncidentId>,
        body: Value,
        actor: &Actor,
    ) -> Result<Record, String> {
        let last = self.record_all(vec![(kind, body)], incident, actor).await?.pop();
        last.ok_or_else(|| "the journal acknowledged nothing".to_owned())
    }

    /// Writes several records in one batch, of which a crash leaves all or none, and answers them in their order.
    pub(super) async fn record_all(
        &mut self,
        records: Vec<(Kind, Value)>,
        incident: Option<IncidentId>,
        actor: &Actor,
    ) -> Result<Vec<Record>, String> {
        let kinds = records.iter().map(|(kind, _)| kind.word()).collect::<Vec<_>>().join(", ");
        let drafts = records.into_iter().map(|(kind, body)| self.draft(kind, incident.clone(), body, actor)).collect();
        match self.journal.append(drafts).await {
            Ok(committed) => {
                self.take_in(&committed);
                Ok(committed.into_iter().map(|one| one.record).collect())
            }
            Err(error) => {
                let why = error.to_string();
                tracing::error!(%why, kind = kinds, "a record was not written");
                Err(why)
            }
        }
    }

    /// Takes in what this engine has written. Where others write too, everything comes in the order of the log.
    fn take_in(&mut self, committed: &[Committed]) {
        if self.arrivals.is_some() {
            self.take_arrivals();
            return;
        }
        for one in committed {
            self.fold(&one.record);
        }
    }

    /// Takes in what has come from the journal so far.
    fn take_arrivals(&mut self) {
        while let Some(record) = self.arrivals.as_mut().and_then(|arrivals| arrivals.try_recv().ok()) {
            self.fold(&record);
        }
    }

    fn fold(&mut self, record: &Record) {
        if self.arrivals.is_some() {
            self.heed_record(record);
        }
        self.state.apply(record);
        self.ledger.apply(record);
    }

    /// Names a piece of what the consoles showed, so that it is proven with the log.
    async fn name_recording(&mut self, Kept { piece, sha256 }: Kept) {
        let _ = self.record(Kind::EvidenceCaptured, None, piece.body(&sha256), &self.me.engine()).await;
    }

    /// The journal.
    pub(super) const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Takes in samples, and judges again what is known.
    pub(super) async fn data(&mut self, samples: Vec<Sample>) {
        self.log_turns(&samples);
        let names_releases = super::accounts::names_releases(&samples);
        self.look(samples);
        if names_releases {
            self.record_releases().await;
        }
        self.heed_exercise().await;
        self.record_transitions().await;
    }

    /// Says once when a source fails, and once when it answers again.
    fn log_turns(&self, samples: &[Sample]) {
        for Sample { source, result, .. } in samples {
            let fails = self.world.sources.get(source).is_some_and(|s| s.failing.is_some());
            match result {
                Err(failure) if !fails => tracing::warn!(%source, why = %failure, "a source does not answer"),
                Ok(_) if fails => tracing::info!(%source, "a source answers again"),
                _ => {}
            }
        }
    }

    fn look(&mut self, samples: Vec<Sample>) {
        let now = self.clock.now();
        for sample in samples {
            self.judge.take(&mut self.world, &sample);
        }
        self.judged = Instant::now();
        let (mut findings, mut panes) = self.judge.look(&mut self.world, now);
        panes.business.splice(0..0, self.by_hand_rows(now));
        for finding in &mut findings {
            finding.acknowledged = self.state.acknowledged(&finding.id).cloned();
            super::offers::triggered(&self.library, finding);
        }
        self.withdraw_offers(&mut findings);
        self.findings = Arc::new(findings);
        self.panes = Arc::new(panes);
        self.judging = self.judged.elapsed();
    }

    /// Takes away the offers of playbooks that do not fit as things are: by their `triggers.when`, or because one of
    /// their contraindications holds or is not known.
    fn withdraw_offers(&self, findings: &mut [Finding]) {
        let incident = self.current_incident();
        for finding in findings {
            let tenant = finding.whom.tenants.first().cloned();
            let mut around = None;
            finding.playbooks.retain(|offer| {
                let Some(entry) = self.library.get(&offer.id).filter(|e| e.plan.is_conditional()) else { return true };
                let look = || self.scene().around(incident.as_ref(), tenant.as_ref());
                entry.plan.is_offered(around.get_or_insert_with(look), &finding.rule)
            });
        }
    }

    /// Writes what came up and what cleared since the records last said so.
    async fn record_transitions(&mut self) {
        if !self.leads_estate() {
            return;
        }
        let engine = self.me.engine();
        let raised: Vec<_> = self.findings.iter().filter(|f| !self.state.is_raised(&f.id)).cloned().collect();
        let up: std::collections::BTreeSet<_> = self.findings.iter().map(|f| &f.id).collect();
        let cleared: Vec<_> = self
            .state
            .raised()
            .filter(|(id, _)| !up.contains(id))
            .map(|(id, what)| json!({ "finding": id, "what": what }))
            .collect();
        let incident = self.current_incident();
        for finding in raised {
            let body = json!({
                "finding": finding.id, "rule": finding.rule, "classes": finding.classes, "level": finding.level,
                "severity": finding.severity, "since": finding.since, "what": finding.what,
                "tenants": finding.whom.tenants, "plants": finding.whom.plants,
                "playbooks": finding.playbooks.iter().map(|o| &o.id).collect::<Vec<_>>(),
            });
            let _ = self.record(Kind::FindingRaised, incident.clone(), body, &engine).await;
        }
        for body in cleared {
            let _ = self.record(Kind::FindingCleared, incident.clone(), body, &engine).await;
        }
    }

    /// An alarm of the witnesses is written down once, and stops every run.
    async fn heed_witnesses(&mut self) {
        let Some(why) = self.outsiders.alarm().filter(|_| !self.outsiders.told) else { return };
        self.outsiders.told = true;
        let engine = self.me.engine();
        let incident = self.current_incident();
        let _ = self.record(Kind::NoteAdded, incident, json!({ "text": why }), &engine).await;
        self.stop_all(&why, false, &engine).await;
    }

    async fn second(&mut self) {
        let now = self.clock.now();
        self.heed_leads().await;
        self.take_passed().await;
        self.heed_witnesses().await;
        // Where samples come, they were judged as they came; where none do, silence is judged.
        if self.judged.elapsed() >= SILENCE {
            self.data(Vec::new()).await;
        }
        self.heed_exercise().await;
        self.heed_time(now).await;
        self.keep().await;
        self.gather_capacity().await;
        if let Some(kept) = &mut self.usual {
            kept.keep(self.judge.baselines());
        }
    }

    /// What comes by itself when time passes.
    pub(super) async fn heed_time(&mut self, now: Timestamp) {
        if let Some(glass) = self.state.glass().filter(|_| self.leads_estate())
            && !glass.review_due
            && now >= glass.until
        {
            let body = json!({ "why": "its time is over", "reason": glass.reason });
            let _ = self.record(Kind::GlassRestored, None, body, &self.me.engine()).await;
        }
        if self.leads_estate() {
            self.heed_people().await;
        }
        self.heed_requests().await;
        if self.leads_estate() {
            self.heed_calls(now).await;
        }
        self.feed_open(&Input::Tick).await;
    }

    /// Tells every open run.
    pub(super) async fn feed_open(&mut self, input: &Input) {
        for run in self.runs.open().cloned().collect::<Vec<_>>() {
            self.feed_logged(&run, input.clone()).await;
        }
    }

    /// All runs as they are shown, with what they tell stakeholders filled in.
    fn run_views(&self) -> Vec<super::api::RunView> {
        let mut views = self.runs.views(self.clock.now());
        views.extend(self.bastions.views().cloned());
        for view in &mut views {
            for step in &mut view.steps {
                if let Some(comms) = &mut step.comms {
                    comms.text = self.comms_text(&view.id, &step.id).unwrap_or_default();
                }
            }
        }
        views
    }

    /// What is found wrong now.
    pub(super) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// All that is known of one subject.
    pub(super) fn subject(&self, subject: &Subject) -> SubjectView {
        self.judge.subject(&self.world, subject, self.clock.now())
    }

    /// Whether the engine is ending and starts nothing new.
    pub(super) const fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Why nothing new may begin, when that is so: the journal can not be written, what it holds is damaged,
    /// outsiders remember another one, or this machine's clock is wrong.
    pub(super) fn broken(&self) -> Option<String> {
        let damaged = |scrub: Scrub| scrub.bad.map(|bad| format!("it is damaged at {bad}"));
        let Status { broken, scrub, .. } = self.journal.status();
        let known = broken.or_else(|| scrub.and_then(damaged));
        known.or_else(|| self.outsiders.alarm()).or_else(|| self.bastions.clock_alarm())
    }

    /// The open incident that everything new belongs to when nothing else is said.
    pub(super) fn current_incident(&self) -> Option<IncidentId> {
        use crate::domain::incident::IncidentState::Closed;
        self.state.incidents().into_iter().find(|i| i.state != Closed).map(|i| i.id)
    }

    /// Drill only: changes the speed of the scenario clock.
    pub(super) fn set_speed(&self, speed: f64) -> Reply {
        match &self.drill {
            Some(drill) => drill.set_speed(speed),
            None => Reply::refused("there is no scenario clock outside a drill"),
        }
    }

    pub(super) fn snapshot(&mut self) -> Snapshot {
        self.generation = self.generation.saturating_add(1);
        let status = self.journal.status();
        let panes = self.panes.clone();
        let mut measures = self.state.measures();
        measures.sort_by_key(|m| m.since);
        Snapshot {
            generation: self.generation,
            at: self.clock.now(),
            estate: self.world.estate.clone(),
            mode: self.mode,
            health: panes::health(&panes),
            panes,
            findings: self.findings.clone(),
            changes: Arc::new(self.judge.changes()),
            incidents: Arc::new(self.state.incidents()),
            runs: Arc::new(self.run_views()),
            playbooks: self.playbooks.clone(),
            measures,
            comms: Arc::new(self.board()),
            glass: self.state.glass().cloned(),
            journal: JournalView {
                dir: self.journal_dir.clone(),
                size: status.size,
                root: status.root.to_string(),
                broken: self.broken(),
                scrub: status.scrub.map(scrub_view),
                witnessed: self.outsiders.view(Timestamp::now()),
                anchored: self.anchored.as_ref().map(|view| outside(&view.borrow())),
                tail: self.state.tail(),
            },
            drill: self.drill.as_ref().map(|drill| drill.view(&self.ledger)),
            replay: None,
            requests: Arc::new(self.state.requests().all().to_vec()),
            elevations: self.state.elevations().to_vec(),
            sign_ins: self.sign_ins.views(),
            policy: self.policy_view(),
            services: self.services.clone(),
            ahead: self.judge.ahead(self.clock.now()),
            usual: self.judge.usual(&self.world, self.clock.now()),
            me: Person::new(self.me.user.clone()),
            consoles: self.consoles.views(),
        }
    }

    /// Carries out a command of a person.
    pub(super) async fn command(&mut self, command: Command, actor: Actor) -> Reply {
        match self.carry_out(command, &actor).await {
            Ok(reply) | Err(reply) => reply,
        }
    }
}

/// The next record that another engine wrote; waits for ever where none does.
async fn arrival(arrivals: &mut Option<mpsc::UnboundedReceiver<Record>>) -> Record {
    if let Some(arrivals) = arrivals
        && let Some(record) = arrivals.recv().await
    {
        return record;
    }
    std::future::pending().await
}

fn scrub_view(Scrub { done, of, bad }: Scrub) -> ScrubView {
    ScrubView { done, of, bad: bad.as_ref().map(|b| b.seq), why: bad.map(|b| b.to_string()) }
}

/// Copies as they are shown. What nobody has to keep is no confirmation.
fn outside(view: &Anchored) -> Outside {
    let Anchored { size, at, locked, shipped, trouble } = view.clone();
    Outside { size, at, confirmed: u32::from(locked && size > 0), needed: 1, shipped: Some(shipped), trouble }
}

/// A playbook as lists show it.
fn summary(entry: &Entry) -> PlaybookSummary {
    let playbook = entry.playbook();
    PlaybookSummary {
        id: playbook.id.clone(),
        name: playbook.name.clone(),
        version: playbook.version,
        description: playbook.description.clone(),
        risk: playbook.risk(),
        parameters: ParameterView::all(playbook),
        steps: playbook
            .steps
            .iter()
            .map(|s| StepSummary { id: s.id.clone(), name: s.name.clone(), risk: s.declared_risk() })
            .collect(),
        origin: entry.origin.clone(),
    }
}
