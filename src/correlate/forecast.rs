//! What the past of a signal foretells: when it reaches its critical threshold, or when a queue has drained, with the
//! uncertainty that the past has. The pace is the median of the slopes between all pairs of values (Theil and Sen), the
//! range their quartiles, so that single outliers count for nothing.

use super::history::SLOT_S;
use super::say;
use super::signals::{Direction, Limits, Signal};

/// Values below which nothing is foretold.
const FEW: usize = 12;
/// Signals that are foretold to reach their critical threshold.
const FILLS: [&str; 6] =
    ["connections.share", "volume.used", "redis.memory_share", "memory.share", "quota.share", "xid.age"];
/// Signals that are foretold to come back to zero.
const DRAINS: [&str; 3] = ["queue.depth", "queue.oldest", "integration.backlog"];
/// Further ahead than this, in seconds, ten minutes of the past say nothing.
const HORIZON_S: f64 = 4.0 * 86_400.0;

/// One line about a signal that fills or drains: when, and between when and when, or why that can not be told. Nothing
/// for other signals, and where it is there already.
pub(super) fn forecast(signal: &Signal, limits: Option<Limits>, series: &[Option<f32>], now: f64) -> Option<String> {
    let (fills, drains) = (FILLS.contains(&signal.name), DRAINS.contains(&signal.name));
    if !fills && !drains {
        return None;
    }
    let target = if drains { 0.0 } else { limits?.critical };
    let left = target - now;
    if left.abs() < f64::EPSILON || fills && signal.direction == Direction::Above && left < 0.0 {
        return None;
    }
    let what = if drains { "drained".to_owned() } else { format!("at {}", say::value(target, signal.unit)) };
    let Some((slow, pace, fast)) = slopes(series) else {
        let known = series.iter().flatten().count();
        return Some(format!("when it is {what} can not be told: {known} of {FEW} values are known"));
    };
    let after = |slope: f64| (slope * left > 0.0).then(|| left / slope);
    let Some(likely) = after(pace) else {
        return Some(format!("it is not {what} at the pace of the last minutes"));
    };
    // All three have to lead there.
    let (Some(one), Some(other)) = (after(slow), after(fast)) else {
        return Some(format!(
            "when it is {what} can not be told: it wanders, {} at its middle pace",
            say::span(likely)
        ));
    };
    let (soonest, latest) = (one.min(other), one.max(other));
    if likely > HORIZON_S {
        return Some(format!("it is not {what} within 4 days at the pace of the last minutes"));
    }
    let (from, to) = (say::span(soonest), say::span(latest));
    Some(format!("at the pace of the last minutes it is {what} in {}, between {from} and {to}", say::span(likely)))
}

/// The lower quartile, the median and the upper quartile of the slopes between all pairs, a second each.
fn slopes(series: &[Option<f32>]) -> Option<(f64, f64, f64)> {
    let known: Vec<(f64, f64)> =
        (0_u32..).zip(series).filter_map(|(at, value)| Some((f64::from(at), f64::from((*value)?)))).collect();
    if known.len() < FEW {
        return None;
    }
    let step = f64::from(u32::try_from(SLOT_S).ok()?);
    let mut all: Vec<f64> = Vec::with_capacity(known.len() * known.len() / 2);
    for (i, (at, value)) in known.iter().enumerate() {
        all.extend(known.iter().skip(i + 1).map(|(later, then)| (then - value) / ((later - at) * step)));
    }
    all.sort_by(f64::total_cmp);
    let quantile = |of_four: usize| all.get(all.len() * of_four / 4).copied();
    Some((quantile(1)?, quantile(2)?, quantile(3)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::signals::{Thresholds, find};

    fn told(name: &str, value: impl Fn(f32) -> f32) -> Option<String> {
        let series: Vec<Option<f32>> = (0..60_u8).map(|n| Some(value(f32::from(n)))).collect();
        let signal = find(name).unwrap();
        forecast(signal, Thresholds::default().of(signal), &series, f64::from(value(59.0)))
    }

    #[test]
    fn a_rise_with_an_outlier_foretells_when_it_is_full() {
        let said = told("connections.share", |n| if (n - 30.0).abs() < 0.5 { 0.95 } else { 0.5 + n * 0.002 }).unwrap();
        assert!(said.starts_with("at the pace of the last minutes it is at 95% in 27m"), "{said}");
    }

    #[test]
    fn a_queue_that_shrinks_foretells_when_it_is_drained_and_one_that_grows_does_not() {
        let said = told("queue.depth", |n| 1000.0 - n * 10.0).unwrap();
        assert!(said.contains("drained in 6m50s"), "{said}");
        assert_eq!(told("queue.depth", |n| n * 10.0).unwrap(), "it is not drained at the pace of the last minutes");
    }

    #[test]
    fn what_is_not_known_is_said_with_why() {
        let said = |value: fn(f32) -> f32| told("connections.share", value).unwrap();
        assert_eq!(said(|_| 0.5), "it is not at 95% at the pace of the last minutes");
        assert!(
            said(|n| 0.5 + (n * 1.7).sin() * 0.1).contains("not at 95%")
                || said(|n| 0.5 + (n * 1.7).sin() * 0.1).contains("wanders")
        );
        assert!(said(|n| 0.5 + n * 1e-8).ends_with("within 4 days at the pace of the last minutes"));
        let few = [Some(0.1), None, Some(0.2)];
        let signal = find("connections.share").unwrap();
        let said = forecast(signal, Thresholds::default().of(signal), &few, 0.2).unwrap();
        assert_eq!(said, "when it is at 95% can not be told: 2 of 12 values are known");
    }

    #[test]
    fn what_neither_fills_nor_drains_or_is_there_already_foretells_nothing() {
        assert_eq!(told("http.p95", |n| n), None);
        assert_eq!(told("queue.depth", |_| 0.0), None);
        assert_eq!(told("connections.share", |_| 0.99), None);
    }

    #[test]
    fn the_range_holds_the_likely_time_whatever_the_past() {
        use proptest::prelude::*;
        proptest!(|(series in proptest::collection::vec(proptest::option::of(0.0_f32..1.0), 0..60), now in 0.0_f64..1.0)| {
            let signal = find("volume.used").unwrap();
            let said = forecast(signal, Thresholds::default().of(signal), &series, now);
            prop_assert!(said.is_none_or(|s| !s.contains("NaN") && !s.contains("inf")));
        });
    }
}
