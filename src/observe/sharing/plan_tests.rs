//! The division on a model of the database: engines that come, die, stand still and are cut off, answers that are lost, a
//! clock that jumps, a database that loses what it kept.

use super::*;
use proptest::prelude::*;

const LEASE: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(5);
const ROUND: Duration = Duration::from_secs(3);
const TICK: Duration = Duration::from_secs(1);
const SOURCES: usize = 24;

fn sources(count: usize) -> Vec<SourceId> {
    (0..count).map(|n| SourceId::new(format!("odoo/t{n:04}"))).collect()
}

fn members(count: usize) -> Vec<Member> {
    (0..count).map(|n| Member { id: format!("engine-{n}"), host: format!("bastion-{n}") }).collect()
}

#[test]
fn whoever_comes_takes_its_part_and_nothing_else_moves() {
    let (sources, all) = (sources(1000), members(6));
    let of = |engines: &[Member]| sources.iter().map(|s| owner(engines, s).unwrap().clone()).collect::<Vec<_>>();
    for count in 1..all.len() {
        let (before, after) = (of(&all[..count]), of(&all[..=count]));
        let moved: Vec<_> = before.iter().zip(&after).filter(|(old, new)| old != new).map(|(_, new)| new).collect();
        assert!(moved.iter().all(|new| **new == all[count]), "they move to the one who comes");
        let part = sources.len() / (count + 1);
        assert!((part * 3 / 4..part * 5 / 4).contains(&moved.len()), "{} of {part} at {count}", moved.len());
    }
}

#[test]
fn a_source_is_let_go_of_when_its_owner_was_seen_to_watch_it() {
    let all = members(2);
    let term = Term { born: 7, generation: 1 };
    let mut plan = Plan::new("engine-0", sources(SOURCES), PATIENCE);
    let (first, second) = (Duration::from_secs(1), Duration::from_secs(2));
    assert!(!plan.watches(&sources(1)[0], false), "nothing before the database was asked");
    plan.told(&Round { term, engines: all[..1].to_vec(), apart: vec![] }, first);
    assert!(plan.sources().iter().all(|s| plan.watches(s, false) && plan.is_mine(s)));
    plan.told(&Round { term: Term { generation: 2, ..term }, engines: all.clone(), apart: vec![] }, second);
    let others = plan.others();
    assert!(!others.is_empty() && others.len() < SOURCES, "{others:?}");
    assert_eq!(plan.parts()["engine-1"], ("bastion-1", others.len()));
    for source in others.keys() {
        assert!(plan.watches(source, true), "until the other one does");
        assert!(!plan.watches(source, false) && !plan.is_mine(source));
        plan.heard(source, "engine-7");
        assert!(plan.watches(source, true), "a third one was heard");
        plan.heard(source, "engine-1");
        assert!(!plan.watches(source, true));
    }
}

#[test]
fn without_the_database_an_engine_watches_everything_after_a_while_and_at_once_at_its_start() {
    let mut plan = Plan::new("engine-0", sources(SOURCES), PATIENCE);
    plan.failed("nobody answers", TICK);
    assert_eq!(plan.alone(), Some("nobody answers"));
    assert!(plan.sources().iter().all(|s| plan.watches(s, false)));
    let term = Term { born: 7, generation: 1 };
    let asked = Duration::from_secs(10);
    plan.told(&Round { term, engines: members(2), apart: vec![] }, asked);
    plan.failed("it is slow", asked + PATIENCE.saturating_sub(TICK));
    assert_eq!((plan.alone(), plan.term()), (None, Some(term)));
    plan.failed("it is gone", asked + PATIENCE);
    assert_eq!((plan.alone(), plan.term()), (Some("it is gone"), None));
    assert!(plan.sources().iter().all(|s| plan.watches(s, false) && !plan.is_mine(s)));
}

struct Entry {
    member: Member,
    turn: i64,
    answered: bool,
    renewed: i64,
}

/// What `share_renew`, `share_publish` and `share_read` of `setup.sql` do.
struct Database {
    /// By its clock.
    now: i64,
    term: Term,
    engines: BTreeMap<String, Entry>,
    /// Answers so far.
    answers: i64,
    newest: BTreeMap<SourceId, String>,
    /// Who has published what under each term.
    published: BTreeMap<(Term, SourceId), BTreeSet<String>>,
}

impl Database {
    fn renew(&mut self, member: &Member, turn: i64) -> (i64, Round) {
        let (now, lease) = (self.now, i64::try_from(LEASE.as_secs()).unwrap());
        let lives = |e: &Entry| e.renewed <= now && now <= e.renewed + lease;
        let gone = self.engines.values().any(|e| e.answered && !lives(e));
        self.engines.retain(|_, e| lives(e));
        let new = || Entry { member: member.clone(), turn: 0, answered: false, renewed: now };
        let entry = self.engines.entry(member.id.clone()).or_insert_with(new);
        let heard = entry.turn == turn && turn > 0;
        let came = heard && !entry.answered;
        self.answers += 1;
        entry.turn = self.answers;
        if heard {
            (entry.answered, entry.renewed) = (true, now);
        }
        let turn = entry.turn;
        if gone || came {
            self.term.generation += 1;
        }
        let engines = self.engines.values().filter(|e| e.answered).map(|e| e.member.clone()).collect();
        (turn, Round { term: self.term, engines, apart: vec![] })
    }

    fn publish(&mut self, engine: &str, term: Term, source: &SourceId) -> bool {
        if term == self.term {
            self.newest.insert(source.clone(), engine.to_owned());
            self.published.entry((term, source.clone())).or_default().insert(engine.to_owned());
        }
        term == self.term
    }

    /// A crash, or a standby that takes over: nothing is left.
    fn lose(&mut self) {
        self.term = Term { born: self.term.born + 1, generation: 0 };
        self.engines.clear();
        self.newest.clear();
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Open,
    /// Questions do not arrive.
    Cut,
    /// They arrive, and answers do not.
    Mute,
}

struct Engine {
    member: Member,
    plan: Plan,
    running: BTreeSet<SourceId>,
    line: Line,
    stands: bool,
    asked: Duration,
    /// What the last answer drew.
    last: i64,
}

impl Engine {
    fn new(number: usize) -> Self {
        let member = Member { id: format!("engine-{number}"), host: "bastion".to_owned() };
        let plan = Plan::new(&*member.id, sources(SOURCES), PATIENCE);
        let (running, line, stands, asked) = (BTreeSet::new(), Line::Open, false, Duration::ZERO);
        Self { member, plan, running, line, stands, asked, last: 0 }
    }

    fn renew(&mut self, now: Duration, database: &mut Database) {
        for _ in 0..2 {
            let answer = (self.line != Line::Cut).then(|| database.renew(&self.member, self.last));
            let Some((turn, round)) = answer.filter(|_| self.line == Line::Open) else {
                return self.plan.failed("nobody answers", now);
            };
            self.last = turn;
            if round.engines.contains(&self.member) {
                self.asked = now;
                return self.plan.told(&round, now);
            }
        }
        panic!("an engine that hears answers has no lease");
    }

    fn turn(&mut self, now: Duration, database: &mut Database) {
        if self.stands {
            return;
        }
        if self.plan.term().is_none() || now >= self.asked + ROUND {
            self.renew(now, database);
        }
        for _ in 0..2 {
            let Some(term) = self.plan.term() else { break };
            if self.line == Line::Cut {
                self.plan.failed("nobody answers", now);
                break;
            }
            let mut own = self.running.iter().filter(|s| self.plan.is_mine(s));
            if own.all(|s| database.publish(&self.member.id, term, s)) {
                break;
            }
            self.renew(now, database);
        }
        if self.line == Line::Open {
            let newest = database.newest.iter().filter(|(_, from)| **from != self.member.id);
            newest.for_each(|(source, from)| self.plan.heard(source, from));
        }
        if self.plan.has_moved() {
            let watches = |s: &&SourceId| self.plan.watches(s, self.running.contains(*s));
            self.running = self.plan.sources().iter().filter(watches).cloned().collect();
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    Comes,
    Dies(usize),
    Stands(usize, bool),
    Line(usize, Line),
    Jumps(i64),
    Loses,
    Passes(u8),
}

fn event() -> impl Strategy<Value = Event> {
    let line = prop_oneof![Just(Line::Open), Just(Line::Cut), Just(Line::Mute)];
    prop_oneof![
        2 => Just(Event::Comes),
        2 => (0..8_usize).prop_map(Event::Dies),
        2 => (0..8_usize, any::<bool>()).prop_map(|(n, stands)| Event::Stands(n, stands)),
        3 => (0..8_usize, line).prop_map(|(n, line)| Event::Line(n, line)),
        1 => (-4000..4000_i64).prop_map(Event::Jumps),
        1 => Just(Event::Loses),
        8 => (1..25_u8).prop_map(Event::Passes),
    ]
}

struct Site {
    now: Duration,
    database: Database,
    engines: Vec<Engine>,
    came: usize,
}

impl Site {
    fn new() -> Self {
        let (engines, newest, published, term) =
            (BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), Term { born: 1, generation: 0 });
        let database = Database { now: 1_000_000, term, engines, answers: 0, newest, published };
        Self { now: Duration::ZERO, database, engines: vec![Engine::new(0)], came: 1 }
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += TICK;
            self.database.now += 1;
            for engine in &mut self.engines {
                engine.turn(self.now, &mut self.database);
            }
        }
    }

    fn play(&mut self, event: &Event) {
        let count = self.engines.len();
        let at = |n: &usize| n % count;
        match event {
            Event::Comes if count < 6 => {
                self.engines.push(Engine::new(self.came));
                self.came += 1;
            }
            Event::Dies(n) if count > 1 => drop(self.engines.remove(at(n))),
            Event::Comes | Event::Dies(_) => {}
            Event::Stands(n, stands) => self.engines[at(n)].stands = *stands,
            Event::Line(n, line) => self.engines[at(n)].line = *line,
            Event::Jumps(seconds) => self.database.now += seconds,
            Event::Loses => self.database.lose(),
            Event::Passes(seconds) => self.pass(u64::from(*seconds)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn one_engine_a_term_tells_of_a_source_and_every_source_is_watched(
        events in prop::collection::vec(event(), 1..40)
    ) {
        let mut site = Site::new();
        for event in &events {
            site.play(event);
            let twice = site.database.published.iter().find(|(_, by)| by.len() > 1);
            prop_assert!(twice.is_none(), "two engines published: {twice:?}");
        }
        // From here on nothing happens any more: who stands still or is cut off stays so, and one is well. After a lease, a
        // round, and what it takes to see and to tell, each source is watched by one of those who are well.
        site.engines[0].stands = false;
        site.engines[0].line = Line::Open;
        let within = LEASE + ROUND + 3 * TICK;
        site.pass(within.as_secs());
        let (well, ill): (Vec<&Engine>, Vec<&Engine>) =
            site.engines.iter().filter(|e| !e.stands).partition(|e| e.line == Line::Open);
        let term = site.database.term;
        for source in &sources(SOURCES) {
            let telling: Vec<_> = well.iter().filter(|e| e.plan.is_mine(source)).collect();
            prop_assert_eq!(telling.len(), 1, "{} is told of by one", source);
            let watching: Vec<_> = well.iter().filter(|e| e.running.contains(source)).map(|e| &e.member).collect();
            prop_assert_eq!(watching, vec![&telling[0].member], "{} is watched by that one", source);
            prop_assert_eq!(&site.database.newest[source], &telling[0].member.id);
            prop_assert!(ill.iter().all(|e| e.running.contains(source)), "who is by itself watches {}", source);
        }
        // And it stays so.
        site.pass(30);
        prop_assert_eq!(site.database.term, term);
    }
}
