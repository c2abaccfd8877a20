//! A rule in words: what it judges, when it counts, what it entitles to, and what would disprove it.

use super::decode::word;
use super::{Absent, Beyond, During, Rule, Rules, Side};
use crate::correlate::phases;
use crate::correlate::say;
use crate::correlate::signals::{self, Direction, Thresholds};
use crate::domain::estate::Occasion;
use crate::domain::finding::Class;

const fn class(class: Class) -> &'static str {
    match class {
        Class::Pressure => "PRESSURE: something is full or busy; alone it is a note",
        Class::Cause => "CAUSE: something that explains harm; alone it is an alert, with IMPACT an incident",
        Class::Impact => "IMPACT: harm to transactions; with a CAUSE it is an incident",
    }
}

fn hold(seconds: u32) -> String {
    if seconds == 0 { "at once".into() } else { format!("after {}", say::span(f64::from(seconds))) }
}

/// `warns from 2 times what is usual, critical from 4 times; what is usual counts as at least 0.3 s`.
fn usual(beyond: &Beyond, unit: crate::domain::signal::Unit) -> String {
    let (from, floor) = match beyond.side {
        Side::Over => ("from", "what is usual counts as at least"),
        Side::Under => ("down from", "nothing is judged where usual is less than"),
    };
    let least =
        if beyond.at_least > 0.0 { format!("; {floor} {}", say::value(beyond.at_least, unit)) } else { String::new() };
    format!("warns {from} {} times what is usual, critical {from} {} times{least}", beyond.warn, beyond.critical)
}

/// `month-end: queue.oldest warns from 30m, critical from 60m; counts after 20m beyond the first threshold`.
fn phase(during: &During) -> String {
    let minutes = |seconds: u32| say::span(f64::from(seconds));
    let mut when = phases::word(during.kind).to_owned();
    if let Some(what) = &during.what {
        when.push_str(&format!(" `{what}`"));
    }
    for (seconds, from, side) in [(during.before_s, "from", "before"), (during.after_s, "until", "after")] {
        if seconds > 0 {
            when.push_str(&format!(", {from} {} {side} it", minutes(seconds)));
        }
    }
    let limits = during.thresholds.iter().filter_map(|(name, limits)| {
        let signal = signals::find(name)?;
        let from = if signal.direction == Direction::Above { "from" } else { "down from" };
        let (warn, critical) = (say::value(limits.warn, signal.unit), say::value(limits.critical, signal.unit));
        Some(format!("{name} warns {from} {warn}, critical {from} {critical}"))
    });
    let holds = [(during.hold_s, "first"), (during.critical_hold_s, "second")];
    let holds =
        holds.into_iter().filter_map(|(s, which)| Some(format!("counts {} beyond the {which} threshold", hold(s?))));
    format!("{when}: {}", limits.chain(holds).collect::<Vec<_>>().join("; "))
}

impl Rules {
    /// Lines that explain a rule: a name and a text each. `calendar` are the declared occasions, where these are known.
    pub fn explain(
        &self,
        rule: &Rule,
        thresholds: &Thresholds,
        calendar: Option<&[Occasion]>,
    ) -> Vec<(&'static str, String)> {
        let mut out =
            vec![("rule", format!("{} ({})", rule.name, rule.origin)), ("class", class(rule.class).to_owned())];
        if rule.critical_class != rule.class {
            out.push(("", format!("beyond the second threshold {}", class(rule.critical_class))));
        }
        let kinds: Vec<&str> = rule.subjects.iter().map(|k| word(*k)).collect();
        out.push(("judges", kinds.join(", ")));
        for name in &rule.signals {
            let Some(signal) = signals::find(name) else { continue };
            let limits = match &rule.usual {
                Some(beyond) => usual(beyond, signal.unit),
                None => thresholds.of(signal).map_or_else(
                    || "evidence only, no threshold".to_owned(),
                    |l| {
                        let from = if signal.direction == Direction::Above { "from" } else { "down from" };
                        let (warn, critical) = (say::value(l.warn, signal.unit), say::value(l.critical, signal.unit));
                        format!("warns {from} {warn}, critical {from} {critical}")
                    },
                ),
            };
            out.push(("signal", format!("{name}: {}; {limits}; from {}", signal.what, signal.source)));
        }
        out.push((
            "counts",
            format!(
                "{} beyond the first threshold, {} beyond the second",
                hold(rule.hold_s),
                hold(rule.critical_hold_s)
            ),
        ));
        for during in &rule.during {
            let meant = calendar.is_none_or(|all| all.iter().any(|occasion| phases::means(during, occasion)));
            let none = if meant { "" } else { "; the calendar declares none such" };
            out.push(("during", phase(during) + none));
        }
        out.push(("clears", "after three good samples; what comes again within 15 minutes is the same".to_owned()));
        if rule.usual.is_some() {
            out.push((
                "usual",
                "the median of the last good hours at the same hour of the week, in the time zone of the calendar; until \
                 three such hours were seen it is not known, and the rule says nothing"
                    .to_owned(),
            ));
        }
        if let Some(present) = rule.present {
            out.push((
                "trails",
                format!("what a cause has done is none of its own for ten minutes, as long as {present} is well"),
            ));
        }
        if rule.absent == Absent::Unknown {
            out.push(("absence", "a value that is not told neither ends it nor goes on with it".to_owned()));
        }
        if rule.explains_impact {
            out.push(("explains", "failing and slow requests of the same tenant".to_owned()));
        }
        if rule.blames_deploy {
            out.push(("blames", "a deploy less than an hour before; its rollback is offered first".to_owned()));
        }
        let of = |r: &&Rule| r.explained_by.contains(&rule.name);
        let others: Vec<&str> = self.iter().filter(of).map(|r| r.name.as_str()).collect();
        if !others.is_empty() {
            out.push(("explains", others.join(", ")));
        }
        if !rule.explained_by.is_empty() {
            out.push(("is part of", format!("{} where that holds too", rule.explained_by.join(", "))));
        }
        for offer in &rule.offers {
            out.push(("offers", format!("{}: {}", offer.playbook, offer.why)));
        }
        out.push(("refute", rule.disproof.clone()));
        out
    }
}
