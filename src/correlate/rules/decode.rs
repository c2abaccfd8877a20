//! From the text of rule files to rules. What is wrong is told with its file, line and column; a rule with a problem is
//! left out, and a shipped rule of its name stays then.

use super::{Absent, BUILT_IN, Beyond, During, Fits, Rule, Rules, SHIPPED, Side};
use crate::config::problem::{Problem, Problems};
use crate::config::reader::{self, Source, Table};
use crate::correlate::phases;
use crate::correlate::signals::{self, Direction, Limits, SubjectKind};
use crate::domain::finding::Class;
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest hold.
const DAY: Duration = Duration::from_hours(24);

const KINDS: [(&str, SubjectKind); 20] = [
    ("tenant", SubjectKind::Tenant),
    ("instance", SubjectKind::Instance),
    ("channel", SubjectKind::Channel),
    ("redis", SubjectKind::Redis),
    ("router", SubjectKind::Router),
    ("ingress", SubjectKind::Ingress),
    ("cluster", SubjectKind::Cluster),
    ("node", SubjectKind::Node),
    ("namespace", SubjectKind::Namespace),
    ("workload", SubjectKind::Workload),
    ("volume", SubjectKind::Volume),
    ("keep", SubjectKind::Keep),
    ("backup", SubjectKind::Backup),
    ("application", SubjectKind::Application),
    ("certificate", SubjectKind::Certificate),
    ("endpoint", SubjectKind::Endpoint),
    ("integration", SubjectKind::Integration),
    ("key", SubjectKind::Key),
    ("alert", SubjectKind::Alert),
    ("source", SubjectKind::Source),
];

/// The kind of a word.
fn kind(word: &str) -> Option<SubjectKind> {
    KINDS.iter().find(|(name, _)| *name == word).map(|(_, kind)| *kind)
}

/// The word of a kind.
pub(super) fn word(kind: SubjectKind) -> &'static str {
    KINDS.iter().find(|(_, k)| *k == kind).map_or("source", |(name, _)| name)
}

fn class(word: &str) -> Option<Class> {
    match word {
        "pressure" => Some(Class::Pressure),
        "cause" => Some(Class::Cause),
        "impact" => Some(Class::Impact),
        _ => None,
    }
}

/// What a file says of one rule.
enum Said {
    Rule(Box<Rule>),
    Off(String),
}

/// The shipped rules with the user's (path and text each) in their places, and what is wrong with those. `playbooks` are
/// the ids of those that there are; where none is given, ids are not looked at.
pub fn all(files: &[(String, String)], playbooks: &[String]) -> (Rules, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut rules = Vec::new();
    let shipped = [(BUILT_IN.to_owned(), SHIPPED.to_owned())];
    for (file, text) in shipped.iter().chain(files) {
        // A test holds that what the shipped rules offer ships.
        let known = if file == BUILT_IN { &[] } else { playbooks };
        put(&mut rules, file, text, known, &mut problems);
    }
    (Rules(rules), problems)
}

/// Puts the rules of one file in their places.
fn put(rules: &mut Vec<Rule>, file: &str, text: &str, playbooks: &[String], problems: &mut Vec<Problem>) {
    let root = match reader::parse(file, text) {
        Ok(root) => root,
        Err(Problems(syntax)) => return problems.extend(syntax),
    };
    let source = Source::new(file, text);
    let mut root = Table::root(&source, &root);
    let mut seen: Vec<String> = Vec::new();
    for table in root.tables("rule") {
        let Some(said) = one(table, file, rules, playbooks, &mut seen) else { continue };
        match said {
            Said::Off(name) => rules.retain(|r| r.name != name),
            Said::Rule(rule) => match rules.iter_mut().find(|r| r.name == rule.name) {
                Some(known) => *known = *rule,
                None => rules.push(*rule),
            },
        }
    }
    root.finish();
    problems.extend(source.into_problems());
    problems.extend(between(rules, file));
}

/// One rule; `None` when something is wrong with it, which is noted.
fn one(
    mut table: Table<'_, '_>,
    file: &str,
    known: &[Rule],
    playbooks: &[String],
    seen: &mut Vec<String>,
) -> Option<Said> {
    let before = table.noted();
    let name = crate::config::decode::name(&mut table, "name", "lock-chain");
    if seen.contains(&name) {
        table.reject("name", format!("there are two rules `{name}` in this file"));
    }
    seen.push(name.clone());
    if table.boolean("enabled") == Some(false) {
        if !known.iter().any(|r| r.name == name) {
            table.reject("name", format!("there is no rule `{name}` that could be switched off"));
        }
        table.finish();
        return Some(Said::Off(name));
    }
    let class_words = "pressure, cause or impact";
    if !table.has("class") {
        table.reject("class", format!("the rule `{name}` lacks `class`; allowed is {class_words}"));
    }
    let of_class = table.parsed("class", class_words, class).unwrap_or(Class::Pressure);
    let critical_class = table.parsed("critical_class", class_words, class).unwrap_or(of_class);
    let usual = usual(&mut table);
    let signals = signals_of(&mut table, &name, known, usual.is_some());
    let subjects = subjects_of(&mut table, &name, &signals);
    let seconds = |d: Option<Duration>| d.map_or(0, |d| u32::try_from(d.as_secs()).unwrap_or(u32::MAX));
    let hold_s = seconds(table.duration("hold", Duration::ZERO, DAY));
    let critical_hold_s = seconds(table.duration("critical_hold", Duration::ZERO, DAY));
    let harm = of_class == Class::Impact || critical_class == Class::Impact;
    let during = table.tables("during").into_iter().filter_map(|t| during(t, &name, &signals, harm, usual.is_some()));
    let during = during.collect();
    let explains_impact = table.boolean("explains_impact").unwrap_or(false);
    let blames_deploy = table.boolean("blames_deploy").unwrap_or(false);
    let explained_by = table.strings("explained_by");
    let present = table.string("present").and_then(|name| {
        let found = signals::find(&name);
        if found.is_none() {
            let near = signals::near(&name).join(", ");
            table.reject("present", format!("there is no signal `{name}`; near to it: {near}"));
        }
        found.map(|signal| signal.name)
    });
    let absent = table.parsed("absent", "good or unknown", |word| match word {
        "good" => Some(Absent::Good),
        "unknown" => Some(Absent::Unknown),
        _ => None,
    });
    let offers = table.tables("offers").into_iter().map(|mut offer| {
        let id = offer.required("playbook", "schema-lock");
        if !id.is_empty() && !playbooks.is_empty() && !playbooks.contains(&id) {
            offer.reject("playbook", format!("there is no playbook `{id}`; there are {}", playbooks.join(", ")));
        }
        let fits = Fits { playbook: id, why: offer.required("why", "it fits") };
        offer.finish();
        fits
    });
    let offers = offers.collect();
    let disproof = table.required("disproof", "the value falls below the threshold");
    let good = table.noted() == before;
    let clean = table.finish_clean() && good;
    let rule = Rule {
        name,
        signals,
        usual,
        subjects,
        class: of_class,
        critical_class,
        hold_s,
        critical_hold_s,
        during,
        explains_impact,
        blames_deploy,
        explained_by,
        offers,
        present,
        absent: absent.unwrap_or(Absent::Good),
        disproof,
        origin: file.to_owned(),
    };
    clean.then(|| Said::Rule(Box::new(rule)))
}

/// `over_usual` or `under_usual`.
fn usual(table: &mut Table<'_, '_>) -> Option<Beyond> {
    let (over, under) = (table.table("over_usual"), table.table("under_usual"));
    if over.is_some() && under.is_some() {
        table.reject("under_usual", "a rule has `over_usual` or `under_usual`, and not both");
    }
    let (side, mut given) = match (over, under) {
        (Some(given), _) => (Side::Over, given),
        (None, Some(given)) => (Side::Under, given),
        (None, None) => return None,
    };
    for key in ["warn", "critical"] {
        if !given.has(key) {
            given.reject(key, format!("`{key}` is missing: how many times what is usual, such as 2"));
        }
    }
    let (warn, critical) = (given.number("warn"), given.number("critical"));
    let at_least = given.number("at_least").unwrap_or(0.0);
    if at_least < 0.0 {
        given.reject("at_least", format!("`at_least` is {at_least}; allowed is 0 or more, in the unit of the signal"));
    }
    let (warn, critical) = (warn?, critical?);
    let (fine, words) = match side {
        Side::Over => (warn > 1.0 && critical >= warn, "`warn` above 1 and `critical` not below it"),
        Side::Under => (
            warn > 0.0 && warn < 1.0 && critical > 0.0 && critical <= warn,
            "`warn` between 0 and 1 and `critical` not above it",
        ),
    };
    if !fine {
        given.reject("warn", format!("`warn` is {warn} and `critical` {critical}; allowed is {words}"));
    }
    given.finish();
    Some(Beyond { side, warn, critical, at_least })
}

/// One `[[rule.during]]`; `None` when something is wrong with it, which is noted.
fn during(
    mut table: Table<'_, '_>,
    rule: &str,
    signals: &[&'static str],
    harm: bool,
    by_usual: bool,
) -> Option<During> {
    const KINDS: &str = "mrp, shift, month-end, cut-off or freeze";
    if harm {
        table.reject("calendar", format!("the rule `{rule}` is about harm, which the calendar never mutes"));
    }
    if !table.has("calendar") {
        table.reject("calendar", format!("[[rule.during]] lacks `calendar`; allowed is {KINDS}"));
    }
    let kind = table.parsed("calendar", KINDS, phases::kind);
    let what = table.string("what");
    let seconds = |d: Duration| u32::try_from(d.as_secs()).unwrap_or(u32::MAX);
    let mut span = |key| table.duration(key, Duration::ZERO, DAY).map(seconds);
    let (before_s, after_s) = (span("before").unwrap_or(0), span("after").unwrap_or(0));
    let (hold_s, critical_hold_s) = (span("hold"), span("critical_hold"));
    let mut thresholds: Vec<(&'static str, Limits)> = Vec::new();
    for given in table.tables("thresholds") {
        let Some((signal, limits)) = threshold(given, rule, signals, by_usual) else { continue };
        if thresholds.iter().any(|(name, _)| *name == signal) {
            table.reject("thresholds", format!("`{signal}` stands twice"));
        }
        thresholds.push((signal, limits));
    }
    if thresholds.is_empty() && hold_s.is_none() && critical_hold_s.is_none() {
        let message = "[[rule.during]] changes nothing; give `thresholds`, `hold` or `critical_hold`";
        table.reject("calendar", message);
    }
    table.finish_clean().then_some(())?;
    Some(During { kind: kind?, what, before_s, after_s, hold_s, critical_hold_s, thresholds })
}

/// One `thresholds` of a `during`.
fn threshold(
    mut table: Table<'_, '_>,
    rule: &str,
    signals: &[&'static str],
    by_usual: bool,
) -> Option<(&'static str, Limits)> {
    let name = table.required("signal", "queue.oldest");
    let known = signals.iter().find(|s| **s == name).copied();
    if by_usual {
        table.reject("signal", format!("the rule `{rule}` judges by what is usual, and has no thresholds"));
    } else if known.is_none() && !name.is_empty() {
        let all = signals.join(", ");
        table.reject("signal", format!("the rule `{rule}` does not judge `{name}`; it judges {all}"));
    }
    for key in ["warn", "critical"] {
        if !table.has(key) {
            table.reject(key, format!("`{key}` is missing: a number in the unit of the signal"));
        }
    }
    let (warn, critical) = (table.number("warn"), table.number("critical"));
    let limits = warn.zip(critical).map(|(warn, critical)| Limits { warn, critical });
    let direction = known.and_then(signals::find).map(|s| s.direction);
    let turned = limits.zip(direction).is_some_and(|(l, direction)| match direction {
        Direction::Above => l.critical < l.warn,
        Direction::Below => l.critical > l.warn,
    });
    if turned {
        table.reject("critical", format!("`critical` of `{name}` lies on the good side of `warn`"));
    }
    table.finish();
    known.zip(limits)
}

fn signals_of(table: &mut Table<'_, '_>, rule: &str, known: &[Rule], usual: bool) -> Vec<&'static str> {
    let mut all = Vec::new();
    let asked = table.strings("signals");
    if asked.is_empty() {
        table.reject("signals", format!("the rule `{rule}` judges no signal; name at least one"));
    }
    for name in asked {
        let Some(signal) = signals::find(&name) else {
            let near = signals::near(&name).join(", ");
            table.reject("signals", format!("there is no signal `{name}`; near to it: {near}"));
            continue;
        };
        if let Some(other) =
            known.iter().find(|r| r.name != rule && r.usual.is_some() == usual && r.signals.contains(&signal.name))
        {
            let message = format!(
                "`{name}` is judged by the rule `{}` of {}; a signal has one rule by its thresholds and one by what is usual: replace that one or switch it off first",
                other.name, other.origin
            );
            table.reject("signals", message);
        }
        all.push(signal.name);
    }
    all
}

fn subjects_of(table: &mut Table<'_, '_>, rule: &str, signals: &[&'static str]) -> Vec<SubjectKind> {
    let mut all = Vec::new();
    for word in table.strings("subjects") {
        match kind(&word) {
            Some(kind) => all.push(kind),
            None => {
                let words: Vec<&str> = KINDS.iter().map(|(word, _)| *word).collect();
                table.reject("subjects", format!("`{word}` is no kind of subject; allowed are {}", words.join(", ")));
            }
        }
    }
    if all.is_empty() {
        table.reject("subjects", format!("the rule `{rule}` judges no kind of subject; name at least one"));
    }
    for name in signals {
        let Some(signal) = signals::find(name) else { continue };
        if !all.is_empty() && !all.iter().any(|kind| signal.subjects.contains(kind)) {
            let kinds: Vec<&str> = signal.subjects.iter().map(|k| word(*k)).collect();
            table.reject("subjects", format!("`{name}` is about none of these; it is about {}", kinds.join(", ")));
        }
    }
    all
}

/// What is wrong between rules: explanations by rules that there are not, and in circles. Such explanations are dropped.
fn between(rules: &mut [Rule], file: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let names: Vec<String> = rules.iter().map(|r| r.name.clone()).collect();
    for rule in rules.iter_mut() {
        let name = &rule.name;
        rule.explained_by.retain(|by| {
            let known = names.contains(by);
            if !known {
                let message = format!("the rule `{name}` is explained by `{by}`, which is no rule");
                problems.push(Problem::whole(file, message));
            }
            known
        });
    }
    let graph: BTreeMap<String, Vec<String>> = rules.iter().map(|r| (r.name.clone(), r.explained_by.clone())).collect();
    for rule in rules.iter_mut().filter(|r| r.origin == file) {
        if circles(&graph, &rule.name) {
            let message = format!("the rule `{}` is explained by itself in a circle", rule.name);
            problems.push(Problem::whole(file, message));
            rule.explained_by.clear();
        }
    }
    problems
}

fn circles(graph: &BTreeMap<String, Vec<String>>, of: &str) -> bool {
    let mut left: Vec<&str> = vec![of];
    let mut seen: Vec<&str> = Vec::new();
    while let Some(at) = left.pop() {
        for next in graph.get(at).into_iter().flatten() {
            if next == of {
                return true;
            }
            if !seen.contains(&next.as_str()) {
                seen.push(next);
                left.push(next);
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> (Rules, Vec<String>) {
        let (rules, problems) = all(&[("r.toml".into(), text.into())], &["schema-lock".into(), "queue-backlog".into()]);
        (rules, problems.iter().map(ToString::to_string).collect())
    }

    const BASE: &str = "[[rule]]\nname = \"lock-chain\"\nclass = \"cause\"\nsignals = [\"lock.blocked\"]\n\
                        subjects = [\"tenant\"]\ndisproof = \"it is gone\"\n";

    #[test]
    fn a_rule_of_the_same_name_takes_its_place_and_another_is_added_behind() {
        let before = Rules::built_in();
        let place = |rules: &Rules, name: &str| rules.iter().position(|r| r.name == name);
        let (rules, problems) = load(&format!(
            "{BASE}hold = \"2m\"\n[[rule]]\nname = \"busy\"\nclass = \"pressure\"\nsignals = [\"http.requests\"]\n\
             subjects = [\"tenant\"]\ndisproof = \"fewer come\"\n"
        ));
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(place(&rules, "lock-chain"), place(&before, "lock-chain"));
        let chain = rules.find("lock-chain").unwrap();
        assert_eq!(
            (chain.hold_s, chain.origin.as_str(), chain.signals.as_slice()),
            (120, "r.toml", &["lock.blocked"][..])
        );
        assert_eq!(place(&rules, "busy"), Some(before.iter().count()));
    }

    #[test]
    fn a_phase_of_the_calendar_has_thresholds_and_holds_of_its_own() {
        let (rules, problems) = load(&format!(
            "{BASE}hold = \"1m\"\n[[rule.during]]\ncalendar = \"month-end\"\nwhat = \"close\"\nafter = \"1h\"\nhold = \"10m\"\n\
             thresholds = [{{ signal = \"lock.blocked\", warn = 20, critical = 50 }}]\n"
        ));
        assert_eq!(problems, Vec::<String>::new());
        let rule = rules.find("lock-chain").unwrap();
        assert_eq!((rule.holds(None).warn_s, rule.holds(Some(0)).warn_s, rule.during[0].after_s), (60, 600, 3600));
        assert_eq!(rule.holds(Some(0)).critical_s, 0, "what is not given stays as it is");
        assert_eq!(rule.limits(Some(0), "lock.blocked"), Some(Limits { warn: 20.0, critical: 50.0 }));
        assert_eq!((rule.limits(Some(0), "lock.oldest"), rule.limits(None, "lock.blocked")), (None, None));
    }

    #[test]
    fn a_phase_that_can_not_be_is_a_sentence_with_its_place() {
        let good = "[[rule.during]]\ncalendar = \"mrp\"\nhold = \"5m\"\n";
        let limits = |l: &str| format!("[[rule.during]]\ncalendar = \"mrp\"\nthresholds = [{l}]\n");
        for (during, said) in [
            (good.replace("mrp", "holiday"), "r.toml:8:12: `calendar` of "),
            (good.replace("calendar = \"mrp\"\n", ""), "[[rule.during]] lacks `calendar`; allowed is mrp, shift"),
            (good.replace("hold = \"5m\"\n", ""), "[[rule.during]] changes nothing"),
            (good.replace("hold", "holds"), "unknown key `holds`"),
            (good.replace("5m", "2d"), "`hold`"),
            (
                limits("{ signal = \"lock.oldest\", warn = 1, critical = 2 }"),
                "does not judge `lock.oldest`; it judges lock.blocked",
            ),
            (limits("{ signal = \"lock.blocked\", warn = 1 }"), "`critical` is missing"),
            (limits("{ signal = \"lock.blocked\", warn = 9, critical = 2 }"), "lies on the good side of `warn`"),
            (
                limits(
                    "{ signal = \"lock.blocked\", warn = 1, critical = 2 }, { signal = \"lock.blocked\", warn = 1, critical = 2 }",
                ),
                "`lock.blocked` stands twice",
            ),
        ] {
            let (rules, problems) = load(&format!("{BASE}{during}"));
            assert!(problems.iter().any(|p| p.starts_with("r.toml:") && p.contains(said)), "{said}: {problems:?}");
            assert_eq!(rules.find("lock-chain").unwrap().origin, BUILT_IN, "the shipped one stays: {said}");
        }
        let harm = format!("{}{good}", BASE.replace("\"cause\"", "\"impact\""));
        assert!(load(&harm).1.iter().any(|p| p.contains("which the calendar never mutes")));
    }

    #[test]
    fn a_rule_can_be_switched_off() {
        let (rules, problems) = load("[[rule]]\nname = \"cache-hit\"\nenabled = false\n");
        assert!(problems.is_empty() && rules.find("cache-hit").is_none(), "{problems:?}");
    }

    #[test]
    fn each_mistake_has_its_sentence_and_its_place_and_the_shipped_rule_stays() {
        for (from, to, said) in [
            (
                "lock.blocked",
                "lock.blokked",
                "r.toml:4:11: there is no signal `lock.blokked`; near to it: lock.blocked",
            ),
            ("lock.blocked", "http.p95", "`http.p95` is judged by the rule `http-slow` of built-in"),
            ("\"tenant\"", "\"tenants\"", "r.toml:5:12: `tenants` is no kind of subject; allowed are tenant, "),
            ("\"tenant\"", "\"node\"", "`lock.blocked` is about none of these; it is about tenant, instance"),
            (
                "\"cause\"",
                "\"reason\"",
                "r.toml:3:9: `class` of [[rule]] is `reason`; allowed is pressure, cause or impact",
            ),
            ("class = \"cause\"\n", "", "the rule `lock-chain` lacks `class`"),
            ("disproof", "disprove", "unknown key `disprove`"),
            ("[\"tenant\"]", "[]", "judges no kind of subject"),
            ("[[rule]]", "[[rules]]", "unknown key `rules`"),
            (
                "disproof = \"it is gone\"",
                "disproof = \"x\"\noffers = [{ playbook = \"schema-lok\", why = \"x\" }]",
                "r.toml:7:24: there is no playbook `schema-lok`; there are schema-lock, queue-backlog",
            ),
            ("disproof = \"it is gone\"", "disproof = \"x\"\nexplained_by = [\"nobody\"]", "which is no rule"),
            (
                "disproof = \"it is gone\"",
                "disproof = \"x\"\nexplained_by = [\"http-slow\", \"deadlocks\"]",
                "in a circle",
            ),
            ("name = \"lock-chain\"", "name = ", "r.toml:2:"),
        ] {
            let (rules, problems) = load(&BASE.replace(from, to));
            assert!(problems.iter().any(|p| p.contains(said)), "{said}: {problems:#?}");
            assert!(rules.find("lock-chain").is_some(), "{said}");
        }
        let (_, problems) = load(&format!("{BASE}{BASE}"));
        assert!(problems[0].starts_with("r.toml:8:8: there are two rules"), "{problems:?}");
        let (_, problems) = load("[[rule]]\nname = \"no-such\"\nenabled = false\n");
        assert!(problems[0].contains("no rule `no-such`"), "{problems:?}");
    }
    #[test]
    fn a_rule_may_ask_for_so_many_times_what_is_usual() {
        let usual = "over_usual = { warn = 3, critical = 6.5, at_least = 10 }\n";
        let (rules, problems) = load(&format!("{}{usual}", BASE.replace("lock-chain", "odd-chain")));
        assert_eq!(problems, Vec::<String>::new(), "a signal has a rule by thresholds and one by what is usual");
        let beyond = rules.find("odd-chain").unwrap().usual.unwrap();
        assert_eq!(beyond, Beyond { side: Side::Over, warn: 3.0, critical: 6.5, at_least: 10.0 });
        assert_eq!(beyond.grade(29.0, 1.0), crate::domain::health::Health::Ok, "usual counts as at least ten");
        assert_eq!(beyond.grade(130.0, 20.0), crate::domain::health::Health::Critical);
        for (wrong, said) in [
            (
                "over_usual = { warn = 0.5, critical = 2 }",
                "r.toml:7:23: `warn` is 0.5 and `critical` 2; allowed is `warn` above 1",
            ),
            ("under_usual = { warn = 0.2, critical = 0.5 }", "`warn` between 0 and 1 and `critical` not above it"),
            ("over_usual = { warn = 2 }", "`critical` is missing"),
            ("over_usual = { warn = 2, critical = 4, least = 1 }", "unknown key `least`"),
            ("over_usual = { warn = 2, critical = 4, at_least = -1 }", "`at_least` is -1"),
            ("over_usual = { warn = 2, critical = 4 }\nunder_usual = { warn = 0.5, critical = 0.2 }", "and not both"),
        ] {
            let (_, problems) = load(&format!("{}{wrong}\n", BASE.replace("lock-chain", "odd-chain")));
            assert!(problems.iter().any(|p| p.contains(said)), "{said}: {problems:#?}");
        }
    }
}
