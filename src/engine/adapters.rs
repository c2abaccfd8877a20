//! Builds what the engine looks and acts with: from a configuration on real systems, or from a scenario on the
//! simulated estate. Never both: each branch starts from a token of the mode that the other can not have.

use super::api::{DrillView, Reply};
use super::logs::LogSources;
use super::telling::Means;
use crate::act::postgres::Instances;
use crate::act::{self, Verbs};
use crate::comms;
use crate::config::locate::Places;
use crate::config::model::Config;
use crate::correlate::Settings;
use crate::correlate::usual::Baselines;
use crate::domain::account::Prices;
use crate::domain::estate::Estate;
use crate::domain::mode::Mode;
use crate::domain::ports::{Clock, Observer};
use crate::drill::score::Ledger;
use crate::drill::{Drill, Help, View};
use crate::observe::alertmanager::AlertmanagerObserver;
use crate::observe::baseline::BaselineObserver;
use crate::observe::bucket::BucketObserver;
use crate::observe::deeds::audit::AuditObserver;
use crate::observe::deeds::journal::JournalDeeds;
use crate::observe::exports::ExportsObserver;
use crate::observe::integration::IntegrationObserver;
use crate::observe::kubernetes::KubernetesObserver;
use crate::observe::kubernetes::objects::ObjectsObserver;
use crate::observe::logs;
use crate::observe::odoo::ways::Ways;
use crate::observe::oidc::Provider;
use crate::observe::oncall;
use crate::observe::patroni::PatroniObserver;
use crate::observe::pgbackrest::PgbackrestObserver;
use crate::observe::pgbouncer::Pgbouncer;
use crate::observe::poll::Polling;
use crate::observe::postgres::Postgres;
use crate::observe::probe::ProbeObserver;
use crate::observe::prometheus::{self, PrometheusObserver};
use crate::observe::redis::{RedisObserver, password_of};
use crate::observe::restore_test::RestoreTestObserver;
use crate::observe::sharing::Sharing;
use crate::observe::traces;
use crate::observe::traefik::TraefikObserver;
use crate::observe::trial::TrialObserver;
use jiff::Timestamp;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A started job that nobody has finished for this long is a zombie: Odoo's default `limit_time_real` of a job
/// runner's worker, 15 minutes.
const ZOMBIE_AFTER: Duration = Duration::from_mins(15);

/// Greatest speed of a scenario's clock.
const FASTEST: f64 = 600.0;

/// Observers, verbs and time of one engine.
pub struct Adapters {
    /// The declared estate.
    pub estate: Arc<Estate>,
    /// The mode that they were built for.
    pub mode: Mode,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Observers, not yet started.
    pub observers: Vec<Box<dyn Observer>>,
    /// Verbs; none in the mode read-only.
    pub verbs: Verbs,
    /// Thresholds, and what each Redis is for.
    pub settings: Settings,
    /// The file that keeps what is usual; it is not kept without one.
    pub usual: Option<PathBuf>,
    /// What reserved capacity costs.
    pub prices: Option<Prices>,
    /// What is asked for logs and traces when somebody wants them.
    pub logs: LogSources,
    /// Audiences and templates, and what takes messages out.
    pub comms: Means,
    /// Where people prove a second factor.
    pub identity: Option<Provider>,
    /// The running scenario.
    pub drill: Option<DrillHandle>,
}

/// What the engine keeps of a drill.
#[derive(Clone, Debug)]
pub struct DrillHandle(Drill);

impl DrillHandle {
    /// How it is shown.
    pub fn view(&self, ledger: &Ledger) -> DrillView {
        let View { scenario, name, speed, elapsed_s, messages, ended } = self.0.view();
        let hint = match self.0.hint(ledger) {
            Help::Now { cost, .. } if !ended => Some(cost),
            _ => None,
        };
        let score = ledger.score();
        let objectives = score.as_ref().map(|s| s.objectives.clone()).unwrap_or_default();
        let points = score.as_ref().map(|s| (s.score, s.of));
        let debrief = score.filter(|s| s.ended).map(|s| s.lines()).unwrap_or_default();
        DrillView { scenario, name, speed, elapsed_s, messages, ended, objectives, points, hint, debrief }
    }

    /// The exercise itself.
    pub(super) const fn exercise(&self) -> &Drill {
        &self.0
    }

    /// What is usual on the simulated estate, as if it had been looked at for weeks.
    pub fn seed(&self, baselines: &mut Baselines) {
        self.0.seed(baselines);
    }

    /// Changes the speed of its clock; 0 pauses.
    pub fn set_speed(&self, speed: f64) -> Reply {
        if !(0.0..=FASTEST).contains(&speed) {
            return Reply::refused(format!("a scenario runs at 0 (paused) to {FASTEST} times the real speed"));
        }
        self.0.set_speed(speed);
        Reply::accepted(if speed == 0.0 {
            "the scenario stands still".into()
        } else {
            format!("the scenario runs at {speed}x")
        })
    }
}

/// The clock on the wall.
#[derive(Clone, Copy, Debug)]
pub struct Wall;

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Builds what a scenario simulates.
pub fn drill(drill: Drill) -> Adapters {
    let table = comms::decode::shipped();
    let post = drill.post(&table);
    Adapters {
        estate: drill.estate().clone(),
        mode: Mode::Drill,
        clock: drill.clock(),
        observers: drill.observers(),
        verbs: Verbs::new(drill.verbs()),
        settings: drill.settings(),
        usual: None,
        prices: None,
        // A scenario simulates none.
        logs: LogSources::default(),
        comms: Means { table, post: Some(post), ..Means::default() },
        identity: None,
        drill: Some(DrillHandle(drill)),
    }
}

/// Builds adapters of real systems; nothing is connected yet. A mode that may not observe gets none. Fails with a
/// sentence for each threshold or query that names a signal that there is not.
pub fn live(config: &Config, mode: Mode) -> Result<Adapters, Vec<String>> {
    let settings =
        Settings::from_config(config).map_err(|unknown| unknown.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let wrong = prometheus::check(config);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Ok(Adapters {
        estate: Arc::new(config.estate.clone()),
        mode,
        clock: Arc::new(Wall),
        observers: observers(config, mode),
        verbs: verbs(config, mode),
        settings,
        usual: None,
        prices: config.cost.clone(),
        logs: log_sources(config, mode),
        comms: Means {
            table: comms::decode::shipped(),
            post: mode.may_act().map(|may| act::comms::post(may, &config.comms, &config.estate.name)),
            schedules: mode.may_observe().map(|may| oncall::readers(may, &config.comms)).unwrap_or_default(),
            ..Means::default()
        },
        identity: mode.may_observe().zip(config.oidc.as_ref()).map(|(may, oidc)| Provider::new(may, oidc)),
        drill: None,
    })
}

/// Lets the engine on `host` share its sources with those of other bastions, where the configuration says so. What lies on
/// this machine alone it goes on watching by itself.
pub fn share(adapters: &mut Adapters, config: &Config, host: &str) {
    let (Some(may), Some(database)) = (adapters.mode.may_observe(), config.journal.database.as_ref()) else { return };
    if !config.share {
        return;
    }
    let all = std::mem::take(&mut adapters.observers);
    let (own, shared) = all.into_iter().partition(|o| o.spec().kind.is_of_one_machine());
    adapters.observers = own;
    let (whole, mode) = (config.clone(), adapters.mode);
    let make = Arc::new(move || observers(&whole, mode));
    let lease = database.lease.unwrap_or(crate::journal::shared::LEASE);
    adapters.observers.push(Box::new(Sharing::new(may, database, lease, host, shared, make)));
}

fn log_sources(config: &Config, mode: Mode) -> LogSources {
    let Some(may) = mode.may_observe() else { return LogSources::default() };
    LogSources {
        logs: logs::readers(may, config),
        traces: traces::readers(may, config),
        link: config.trace_link.clone(),
    }
}

fn observers(config: &Config, mode: Mode) -> Vec<Box<dyn Observer>> {
    let Some(may) = mode.may_observe() else { return Vec::new() };
    let mut all: Vec<Box<dyn Observer>> = Vec::new();
    for cluster in &config.kubernetes {
        all.push(Box::new(KubernetesObserver::new(may, cluster)));
        all.push(Box::new(Polling(ObjectsObserver::new(may, cluster, &config.estate))));
    }
    for instance in &config.postgres {
        all.push(Box::new(Polling(Postgres::new(may, instance))));
    }
    for odoo in Ways::all(may, config, ZOMBIE_AFTER) {
        all.push(Box::new(Polling(odoo)));
    }
    for pool in &config.pgbouncer {
        all.push(Box::new(Polling(Pgbouncer::new(may, pool))));
    }
    for redis in &config.redis {
        let password = password_of(redis.observe.as_ref());
        all.push(Box::new(Polling(RedisObserver::new(may, redis.clone(), password))));
    }
    for traefik in &config.traefik {
        all.push(Box::new(Polling(TraefikObserver::new(may, traefik.clone()))));
    }
    for patroni in &config.patroni {
        all.push(Box::new(Polling(PatroniObserver::new(may, patroni))));
    }
    for stanza in &config.pgbackrest {
        all.push(Box::new(Polling(PgbackrestObserver::new(may, stanza))));
    }
    let wall: Arc<dyn Clock> = Arc::new(Wall);
    for bucket in BucketObserver::all(may, config, &wall) {
        all.push(Box::new(Polling(bucket)));
    }
    let journal = Places::from_env().journal(config);
    if config.baseline.is_some() || !config.audit_log.is_empty() {
        all.push(Box::new(Polling(JournalDeeds::new(may, &journal, &wall))));
    }
    for exports in ExportsObserver::all(may, config, &wall) {
        all.push(Box::new(Polling(exports)));
    }
    for log in &config.audit_log {
        all.push(Box::new(Polling(AuditObserver::new(may, log, &wall))));
    }
    for test in RestoreTestObserver::all(may, config, &journal, &wall) {
        all.push(Box::new(Polling(test)));
    }
    for baseline in BaselineObserver::all(may, config, &wall) {
        all.push(Box::new(Polling(baseline)));
    }
    for probe in &config.probe {
        all.push(Box::new(Polling(ProbeObserver::new(may, probe))));
    }
    for integration in IntegrationObserver::all(may, config) {
        all.push(Box::new(Polling(integration)));
    }
    if let Some(may) = mode.may_act() {
        for trial in TrialObserver::all(may, config) {
            all.push(Box::new(Polling(trial)));
        }
    }
    for prometheus in &config.prometheus {
        all.push(Box::new(Polling(PrometheusObserver::new(may, prometheus, &config.estate))));
    }
    for alerts in &config.alertmanager {
        all.push(Box::new(AlertmanagerObserver::new(may, alerts, &config.estate)));
    }
    all
}

fn verbs(config: &Config, mode: Mode) -> Verbs {
    let Some(may) = mode.may_act() else { return Verbs::default() };
    let kubernetes = act::kubernetes::verbs(may, &config.kubernetes);
    let cnpg = act::cnpg::verbs(may, &config.kubernetes);
    let delivery = act::delivery::verbs(may, &config.delivery, &config.ci, &config.kubernetes);
    let instances = Arc::new(Instances::new(may, &config.postgres));
    let databases = act::postgres::verbs(may, &instances, &config.pgbouncer).into_iter().chain(act::odoo::verbs(
        may,
        &instances,
        &config.kubernetes,
    ));
    let ingress = act::traefik::verbs(may, &config.traefik).into_iter().chain(act::http::verbs(
        may,
        &config.traefik,
        &config.webhook,
    ));
    let integration = act::integration::verbs(&instances, &config.integration);
    let keepers =
        act::backup::verbs(may, &config.pgbackrest).into_iter().chain(act::patroni::verbs(may, &config.patroni));
    let redis = act::redis::verbs(may, &config.redis, &config.kubernetes);
    let telling = act::comms::verbs(may, &config.comms);
    // The allow-list is policy's: where it names no program, none is started.
    let commands = act::command::verbs(may, Vec::new());
    Verbs::new(
        kubernetes
            .into_iter()
            .chain(cnpg)
            .chain(delivery)
            .chain(databases)
            .chain(ingress.map(Arc::from))
            .chain(integration)
            .chain(keepers)
            .chain(redis)
            .chain(act::odoo::synthetics(may, &config.synthetic))
            .chain(telling)
            .chain(act::continuity::verbs(may))
            .chain(commands),
    )
}
