//! The correlator: takes in samples, keeps the conditions, and says at any moment which findings there are.
//! It has no clock: equal samples and equal moments give equal findings.

use super::burn::Budgets;
use super::calendar::Calendar;
use super::capacity::Moment;
use super::changes;
use super::condition::{Condition, Value};
use super::finding::{self, Active, Build, Key, Made};
use super::history::History;
use super::index::Index;
use super::look;
use super::panes;
use super::phases::Phases;
use super::readings::{Reading, Seen, readings};
use super::releases::Running;
use super::settings::Settings;
use super::signals::{Limits, SIGNALS, SubjectKind};
use super::silence::Watch;
use super::usual::{Baselines, MOST_SERIES};
use crate::domain::estate::{Ahead, Estate};
use crate::domain::facts::Facts;
use crate::domain::finding::{Acknowledged, Change, Class, Finding};
use crate::domain::health::Health;
use crate::domain::id::{FindingId, Person, SourceId, TenantId};
use crate::domain::pane::{Panes, SubjectView};
use crate::domain::sample::Sample;
use crate::domain::signal::Subject;
use crate::domain::usual::{UsualGap, UsualState};
use crate::domain::world::World;
use hashbrown::HashMap;
use jiff::tz::TimeZoneDatabase;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Values that can not be compared with what is usual, told one by one.
const GAPS: usize = 50;
/// Changes kept.
const CHANGES: usize = 200;

/// A finding that is no more.
#[derive(Clone, Debug, PartialEq)]
pub struct Cleared {
    /// As it last was.
    pub finding: Finding,
    /// The finding that now tells of the same condition, when it was not the condition that ended.
    pub merged_into: Option<FindingId>,
}

/// What became of the findings since the evaluation before: for the journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transitions {
    /// New ones.
    pub raised: Vec<Finding>,
    /// Ended ones.
    pub cleared: Vec<Cleared>,
}

/// Findings at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// Worst first.
    pub findings: Vec<Finding>,
    /// What is new and what ended.
    pub transitions: Transitions,
}

/// Key of a condition within its source.
type Judged = (usize, Subject);

/// How long after it cleared a finding that comes again is the same.
const COOL_DOWN: SignedDuration = SignedDuration::from_mins(15);

/// A finding that cleared lately.
#[derive(Clone, Copy, Debug)]
struct Cooling {
    until: Timestamp,
    since: Timestamp,
    times: u32,
}

/// How one rule grades a reading.
struct Graded {
    rule: usize,
    health: Health,
    /// What is usual, where the rule asks for that and it is known.
    usual: Option<f64>,
    /// The thresholds of the phase of the calendar that is in force, where these are others.
    limits: Option<Limits>,
    /// That it is not known begins nothing.
    unlearnt: bool,
}

/// How long an open finding keeps others from learning: what lasts longer is what is usual from now on.
const TROUBLE: SignedDuration = SignedDuration::from_hours(24);

/// What is hurt by an open finding.
#[derive(Clone, Debug, Default)]
struct Troubled {
    tenants: BTreeSet<TenantId>,
    subjects: BTreeSet<Subject>,
}

impl Troubled {
    fn holds(&self, subject: &Subject) -> bool {
        self.subjects.contains(subject) || subject.tenant().is_some_and(|t| self.tenants.contains(t))
    }
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Turns samples into findings.
#[derive(Clone, Debug)]
pub struct Correlator {
    settings: Settings,
    index: Index,
    calendar: Calendar,
    phases: Phases,
    /// Position of the rule of each row of the table of signals, by its thresholds and by what is usual.
    rule_of: Vec<[Option<usize>; 2]>,
    conditions: BTreeMap<SourceId, BTreeMap<Judged, Condition>>,
    /// When each source last answered.
    looked_at: HashMap<SourceId, Timestamp>,
    silence: Watch,
    history: History,
    budgets: Budgets,
    baselines: Baselines,
    /// Whose readings are none to learn from: a finding is open about them.
    troubled: Troubled,
    changes: VecDeque<Change>,
    acknowledged: BTreeMap<FindingId, Acknowledged>,
    previous: BTreeMap<FindingId, (Finding, Vec<Key>)>,
    /// When a condition was last told of by the finding of a cause that explains impact.
    explained: BTreeMap<Key, Timestamp>,
    /// Findings that cleared lately.
    cooling: BTreeMap<FindingId, Cooling>,
    swept_at: Timestamp,
}

impl Correlator {
    /// A correlator that has seen nothing. `zones` resolves the time zones of the cut-offs
    /// (`jiff::tz::db()` outside tests).
    pub fn new(settings: Settings, estate: &Arc<Estate>, zones: &TimeZoneDatabase) -> Self {
        let rules = &settings.rules;
        let rule_of = SIGNALS.iter().map(|s| {
            [false, true]
                .map(|usual| rules.iter().position(|r| r.usual.is_some() == usual && r.signals.contains(&s.name)))
        });
        let rule_of = rule_of.collect();
        Self {
            calendar: Calendar::new(estate, &settings.calendar, zones),
            phases: Phases::new(rules, &settings.calendar),
            baselines: Baselines::new(estate, &settings.calendar, zones, rules.asks_usual()),
            troubled: Troubled::default(),
            index: Index::new(estate).with_services(&settings.services).with_terms(&settings.terms),
            settings,
            rule_of,
            conditions: BTreeMap::new(),
            looked_at: HashMap::new(),
            silence: Watch::default(),
            history: History::default(),
            budgets: Budgets::default(),
            changes: VecDeque::new(),
            acknowledged: BTreeMap::new(),
            previous: BTreeMap::new(),
            explained: BTreeMap::new(),
            cooling: BTreeMap::new(),
            swept_at: Timestamp::MIN,
        }
    }

    /// The estate's look-ups.
    pub const fn index(&self) -> &Index {
        &self.index
    }

    /// The settings.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the other sources make of the regions that could take over, where that was last looked at an interval ago.
    pub fn standbys(&self, world: &World, now: Timestamp) -> Vec<Sample> {
        super::standby::due(world, &self.settings, &self.index, now)
    }

    /// The release that each tenant is to run now.
    pub fn releases<'a>(&'a self, world: &'a World) -> Vec<Running<'a>> {
        super::releases::releases(world, &self.index)
    }

    /// What tenants have reserved and use now, of whom both are known.
    pub fn capacity(&self, now: Timestamp) -> Vec<(TenantId, Moment)> {
        let tenants = self.index.estate().tenants.iter();
        tenants.filter_map(|t| Some((t.id.clone(), Moment::of(&self.history, &t.id, now)?))).collect()
    }

    /// The rows of all panes at one moment.
    pub fn panes(&self, world: &World, now: Timestamp) -> Panes {
        let harm = |f: &&(Finding, Vec<Key>)| f.0.classes.contains(&Class::Impact);
        let mut hurt: BTreeMap<&TenantId, Timestamp> = BTreeMap::new();
        for (finding, _) in self.previous.values().filter(harm) {
            for tenant in &finding.whom.tenants {
                let since = hurt.entry(tenant).or_insert(finding.since);
                *since = finding.since.min(*since);
            }
        }
        panes::build(world, &self.index, &self.settings, &self.history, &hurt, now)
    }

    /// All that is known of one subject.
    pub fn look(&self, world: &World, subject: &Subject, now: Timestamp) -> SubjectView {
        look::look(world, &self.settings, &self.history, &self.baselines, subject, now)
    }

    /// How far it is known what is usual: of the values of now that rules compare with it, about the subjects that their
    /// findings are about.
    pub fn usual(&self, world: &World, now: Timestamp) -> UsualState {
        let mut gaps: Vec<(u8, UsualGap)> = Vec::new();
        let mut compared = 0;
        for subject in self.history.subjects() {
            let kind = SubjectKind::of(subject);
            for newest in self.history.newest(subject) {
                let rule = self.rule_of.get(usize::from(newest.signal.row)).and_then(|rules| rules.last().copied()?);
                let rule = rule.and_then(|position| self.settings.rules.get(position));
                let Some(rule) = rule.filter(|r| r.subjects.first() == Some(&kind)) else { continue };
                if newest.told_by(world).is_none() {
                    continue;
                }
                compared += 1;
                let name = newest.signal.name;
                if self.baselines.usual(subject, newest.signal, now).median().is_some() {
                    continue;
                }
                let why = self.baselines.view(subject, newest.signal, now).map_or_else(String::new, |view| view.words);
                let criticality =
                    subject.tenant().and_then(|t| self.index.estate().tenant(t)).map_or(0, |t| t.criticality);
                let gap = UsualGap { subject: subject.clone(), signal: name.to_owned(), rule: rule.name.clone(), why };
                gaps.push((criticality, gap));
            }
        }
        let known = compared - gaps.len();
        gaps.sort_by(|(a, x), (b, y)| (a, &x.subject, &x.signal).cmp(&(b, &y.subject, &y.signal)));
        UsualState {
            learnt: self.baselines.len(),
            most: MOST_SERIES,
            left_out: self.baselines.left_out(),
            compared,
            known,
            gaps: gaps.into_iter().map(|(_, gap)| gap).take(GAPS).collect(),
        }
    }

    /// What is usual, as it was learnt.
    pub const fn baselines(&self) -> &Baselines {
        &self.baselines
    }

    /// The same, to take up what was learnt before.
    pub const fn baselines_mut(&mut self) -> &mut Baselines {
        &mut self.baselines
    }

    /// What the calendar has in force, and what lies ahead within a day.
    pub fn ahead(&self, now: Timestamp) -> Vec<Ahead> {
        self.calendar.ahead(self.index.estate(), now)
    }

    /// The recent past of one signal.
    pub fn series(&self, subject: &Subject, signal: &str) -> Vec<f64> {
        self.history.series(subject, signal)
    }

    /// What changed lately, newest first.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().rev()
    }

    /// Adds a change that another part knows of, such as a step of a run.
    pub fn record_change(&mut self, change: Change) {
        self.changes.push_back(change);
        // Deploys carry the time at which they began, which may lie before what is known already.
        self.changes.make_contiguous().sort_by_key(|c| c.at);
        let excess = self.changes.len().saturating_sub(CHANGES);
        self.changes.drain(..excess);
    }

    /// Takes in a sample that the world has accepted; `before` are the good facts that it replaced. A failure
    /// changes nothing here: the world remembers it.
    pub fn observe(&mut self, before: Option<&Facts>, sample: &Sample) {
        let Ok(facts) = &sample.result else { return };
        self.silence.answered(&sample.source);
        let seen = Seen { facts, before, source: &sample.source, at: sample.taken_at };
        let mut readings = readings(&seen, &self.index);
        self.budgets.observe(&mut readings, sample.taken_at, |subject| self.index.slo(subject));
        let source = self.history.source(&sample.source);
        for of_subject in readings.chunk_by(|a, b| a.subject == b.subject) {
            self.history.put(of_subject, source, sample.taken_at);
        }
        self.baselines.heed(&self.calendar, sample.taken_at);
        self.phases.heed(&self.calendar, sample.taken_at);
        self.judge(&sample.source, &readings, sample.taken_at);
        let (thresholds, troubled) = (&self.settings.thresholds, &self.troubled);
        self.baselines.observe(&readings, sample.taken_at, |r| {
            thresholds.grade(r.signal, r.value) > Health::Ok || troubled.holds(&r.subject)
        });
        self.looked_at.entry_ref(&sample.source).insert(sample.taken_at);
        for change in changes::diff(&sample.source, before, facts, &self.index, sample.taken_at) {
            self.record_change(change);
        }
        if sample.taken_at.duration_since(self.swept_at).as_secs() > 600 {
            self.history.forget_before(sample.taken_at);
            self.budgets.forget_before(sample.taken_at);
            self.swept_at = sample.taken_at;
        }
    }

    fn judge(&mut self, source: &SourceId, readings: &[Reading], at: Timestamp) {
        let mut keys: BTreeSet<Judged> =
            self.conditions.get(source).into_iter().flat_map(BTreeMap::keys).cloned().collect();
        for reading in readings {
            let bad = |g: &&Graded| g.health > Health::Ok && !g.unlearnt;
            let graded = self.grades(source, reading, at);
            keys.extend(graded.iter().flatten().filter(bad).map(|g| (g.rule, reading.subject.clone())));
        }
        // Of most samples nothing is bad and nothing was.
        if keys.is_empty() {
            return;
        }
        let graded =
            readings.iter().flat_map(|r| self.grades(source, r, at).into_iter().flatten().map(move |g| (g, r)));
        let mut values: HashMap<(usize, &Subject), BTreeMap<&'static str, Value>> =
            keys.iter().map(|(rule, subject)| ((*rule, subject), BTreeMap::new())).collect();
        for (Graded { rule, health, usual, limits, .. }, reading) in graded {
            if let Some(values) = values.get_mut(&(rule, &reading.subject)) {
                values.insert(reading.signal.name, Value { now: reading.value, health, usual, limits });
            }
        }
        let rules = Arc::clone(&self.settings.rules);
        let last_looked = self.looked_at.get(source).copied();
        let mut known = self.conditions.remove(source).unwrap_or_default();
        for key in &keys {
            let Some(rule) = rules.get(key.0) else { continue };
            let values = values.remove(&(key.0, &key.1)).unwrap_or_default();
            let mut condition = known.remove(key).unwrap_or_else(|| Condition::new(at, last_looked));
            let holds = rule.holds(self.phases.of(key.0, key.1.tenant(), at).map(|phase| phase.during));
            if condition.take(rule, holds, values, at) {
                known.insert(key.clone(), condition);
            }
        }
        if !known.is_empty() {
            self.conditions.insert(source.clone(), known);
        }
    }

    /// The rules of a reading and its grades, by its thresholds and by what is usual; none where no rule judges it.
    fn grades(&self, source: &SourceId, reading: &Reading, at: Timestamp) -> [Option<Graded>; 2] {
        let signal = reading.signal;
        let Some(rules) = self.rule_of.get(usize::from(signal.row)) else { return [None, None] };
        let kind = SubjectKind::of(&reading.subject);
        let judging =
            |rule: Option<usize>| Some((rule?, self.settings.rules.get(rule?)?)).filter(|(_, r)| r.judges(kind));
        let [by_limits, by_usual] = *rules;
        // A cache is meant to evict.
        let purpose = self.settings.redis_purpose.get(source).map(String::as_str);
        let meant = signal.name == "redis.evictions" && purpose == Some("cache");
        let by_limits = judging(by_limits).filter(|_| !meant).map(|(rule, judge)| {
            let phase = self.phases.of(rule, reading.subject.tenant(), at).map(|phase| phase.during);
            let limits = judge.limits(phase, signal.name);
            let in_force = limits.or_else(|| self.settings.thresholds.of(signal));
            let health = signal.grade(reading.value, in_force);
            Graded { rule, health, usual: None, limits, unlearnt: false }
        });
        let by_usual = judging(by_usual).and_then(|(rule, judge)| {
            let beyond = judge.usual.as_ref()?;
            let usual = self.baselines.usual(&reading.subject, signal, at).median();
            let health = usual.map_or(Health::Unknown, |usual| beyond.grade(reading.value, usual));
            Some(Graded { rule, health, usual, limits: None, unlearnt: usual.is_none() })
        });
        [by_limits, by_usual]
    }

    /// That a person has seen a finding; false when there is none of that name.
    pub fn acknowledge(&mut self, finding: &FindingId, by: Person, at: Timestamp) -> bool {
        let known = self.previous.contains_key(finding);
        if known {
            self.acknowledged.insert(finding.clone(), Acknowledged { by, at });
        }
        known
    }

    /// The findings at one moment, and what is new since the last evaluation.
    pub fn evaluate(&mut self, world: &World, now: Timestamp) -> Evaluation {
        let silent = self.silence.groups(world, &self.index, now);
        let rules = Arc::clone(&self.settings.rules);
        let active: Vec<Active<'_>> = self
            .conditions
            .iter()
            .flat_map(|(source, all)| all.iter().map(move |((rule, subject), c)| (source, *rule, subject, c)))
            .filter(|(_, _, _, condition)| condition.active)
            .filter_map(|(source, rule, subject, condition)| {
                let stale = world.sources.get(source).is_none_or(|s| !s.freshness(now).is_fresh());
                Some(Active { source, rule: rules.get(rule)?, rank: rule, subject, condition, stale })
            })
            .collect();
        let build = Build {
            world,
            index: &self.index,
            calendar: &self.calendar,
            thresholds: &self.settings.thresholds,
            history: &self.history,
            baselines: &self.baselines,
            phases: &self.phases,
            changes: &self.changes,
            now,
        };
        let mut made = finding::from_active(&build, &active, &self.explained);
        let silent = silent.iter().map(|group| finding::from_silence(&build, group));
        made.extend(silent.map(|finding| Made { finding, keys: Vec::new() }));
        for Made { finding, keys } in &mut made {
            finding.acknowledged = self.acknowledged.get(&finding.id).cloned();
            let lasting = keys.first().and_then(|key| rules.get(key.1)).is_some_and(|rule| rule.explains_impact);
            self.explained.extend(keys.iter().skip(1).filter(|_| lasting).map(|key| (key.clone(), now)));
        }
        let known =
            |key: &Key| self.conditions.get(&key.0).is_some_and(|all| all.contains_key(&(key.1, key.2.clone())));
        self.explained.retain(|key, _| known(key));
        self.cool_down(&mut made, now);
        made.sort_by(|a, b| finding::worst_first(&rules, now, &a.finding, &b.finding));
        let current: BTreeMap<FindingId, (Finding, Vec<Key>)> =
            made.iter().map(|m| (m.finding.id.clone(), (m.finding.clone(), m.keys.clone()))).collect();
        let transitions = self.transitions(&current);
        self.heed_trouble(&current, &transitions.raised, now);
        for (id, (finding, _)) in self.previous.iter().filter(|(id, _)| !current.contains_key(*id)) {
            let known = self.cooling.get(id).filter(|c| c.until > now);
            let times = known.map_or(1, |c| c.times.saturating_add(1));
            self.cooling.insert(id.clone(), Cooling { until: later(now, COOL_DOWN), since: finding.since, times });
        }
        self.cooling.retain(|id, c| c.until > now || current.contains_key(id));
        self.acknowledged.retain(|id, _| current.contains_key(id));
        self.previous = current;
        Evaluation { findings: made.into_iter().map(|m| m.finding).collect(), transitions }
    }

    /// Whom the open findings hurt: of them nothing is learnt, nor what was taken in since a new one began.
    fn heed_trouble(&mut self, current: &BTreeMap<FindingId, (Finding, Vec<Key>)>, raised: &[Finding], now: Timestamp) {
        let rules = Arc::clone(&self.settings.rules);
        let hurts = |f: &Finding| finding::bites(&rules, f) && now.duration_since(f.since) < TROUBLE;
        let of = |finding: &Finding| Troubled {
            tenants: finding.whom.tenants.iter().cloned().collect(),
            subjects: [finding.subject.clone()].into(),
        };
        self.troubled = Troubled::default();
        for (finding, _) in current.values().filter(|(f, _)| hurts(f)) {
            let Troubled { tenants, subjects } = of(finding);
            self.troubled.tenants.extend(tenants);
            self.troubled.subjects.extend(subjects);
        }
        for finding in raised.iter().filter(|f| hurts(f)) {
            let Troubled { tenants, subjects } = of(finding);
            self.baselines.void(&tenants, &subjects, finding.since);
        }
    }

    /// What comes again within the cool-down is the same: it has lasted since it first came.
    fn cool_down(&mut self, made: &mut [Made], now: Timestamp) {
        for Made { finding, .. } in made {
            let Some(cooling) = self.cooling.get_mut(&finding.id).filter(|c| c.until > now) else { continue };
            cooling.until = later(now, COOL_DOWN);
            finding.since = finding.since.min(cooling.since);
            let times = cooling.times.saturating_add(1);
            finding.because.push(format!("it comes and goes: the {times}. time since {}", finding.since));
        }
    }

    fn transitions(&self, current: &BTreeMap<FindingId, (Finding, Vec<Key>)>) -> Transitions {
        let raised = current.iter().filter(|(id, _)| !self.previous.contains_key(*id));
        let ended = self.previous.iter().filter(|(id, _)| !current.contains_key(*id));
        let cleared = ended.map(|(_, (finding, keys))| {
            let told = |(id, (_, now)): (&FindingId, &(Finding, Vec<Key>))| {
                keys.first().is_some_and(|head| now.contains(head)).then(|| id.clone())
            };
            Cleared { finding: finding.clone(), merged_into: current.iter().find_map(told) }
        });
        Transitions { raised: raised.map(|(_, (finding, _))| finding.clone()).collect(), cleared: cleared.collect() }
    }
}
