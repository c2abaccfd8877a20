//! Rates, shares and latency quantiles between two scrapes.

use super::scrape::{Scope, Scrape, Series};
use crate::domain::facts::traefik::Route;
use std::collections::BTreeMap;
use std::time::Duration;

/// The routes of the newer scrape with their traffic since the older one. Without an older one, or when Traefik was
/// started anew between them, nothing can be said yet and every number is `None`.
pub(super) fn routes(
    now: &BTreeMap<String, Scope>,
    before: Option<(&BTreeMap<String, Scope>, Duration)>,
) -> Vec<Route> {
    let empty = Scope::default();
    now.iter()
        .map(|(name, scope)| {
            let blank = Route { name: name.clone(), service: scope.service.clone(), ..Route::default() };
            match before {
                // A scope that was not there had no request: its series appear with the first one.
                Some((older, elapsed)) => traffic(blank, scope, older.get(name).unwrap_or(&empty), elapsed),
                None => blank,
            }
        })
        .collect()
}

/// Whether two scrapes are of one process, so that their difference means something.
pub(super) fn same_process(older: &Scrape, newer: &Scrape) -> bool {
    match (older.started, newer.started) {
        (Some(a), Some(b)) => a.to_bits() == b.to_bits(),
        // Without that metric a restart shows by the number of reloads beginning anew.
        _ => older.reloads.unwrap_or(0.0) <= newer.reloads.unwrap_or(0.0),
    }
}

fn traffic(mut route: Route, now: &Scope, before: &Scope, elapsed: Duration) -> Route {
    let seconds = elapsed.as_secs_f64();
    if seconds <= 0.0 {
        return route;
    }
    let (mut all, mut client, mut server) = (0.0, 0.0, 0.0);
    let mut buckets: Vec<(f64, f64)> = Vec::new();
    for (key, series) in &now.series {
        let older = before.series.get(key);
        let requests = increase(series.requests, older.map(|o| o.requests));
        all += requests;
        match series.class {
            4 => client += requests,
            5 => server += requests,
            _ => {}
        }
        if series.timed {
            add_buckets(&mut buckets, series, older);
        }
    }
    route.requests_per_s = Some(all / seconds);
    if all > 0.0 {
        route.share_4xx = Some(client / all);
        route.share_5xx = Some(server / all);
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    route.p50_s = quantile(0.50, &buckets);
    route.p95_s = quantile(0.95, &buckets);
    route.p99_s = quantile(0.99, &buckets);
    route
}

/// Growth of a counter. One that shrank began anew at 0 (a router that was removed and came back), as in
/// Prometheus' `increase`.
fn increase(now: f64, before: Option<f64>) -> f64 {
    let grown = match before {
        Some(before) if before <= now => now - before,
        _ => now,
    };
    if grown.is_finite() { grown.max(0.0) } else { 0.0 }
}

fn add_buckets(sum: &mut Vec<(f64, f64)>, now: &Series, before: Option<&Series>) {
    let older = |bound: f64| before?.buckets.iter().find(|(b, _)| b.to_bits() == bound.to_bits()).map(|(_, c)| *c);
    for (bound, count) in &now.buckets {
        let grown = increase(*count, older(*bound));
        match sum.iter_mut().find(|(b, _)| b.to_bits() == bound.to_bits()) {
            Some((_, total)) => *total += grown,
            None => sum.push((*bound, grown)),
        }
    }
}

/// The quantile `q` of cumulative buckets in the order of their upper bounds, as Prometheus' `histogram_quantile`
/// computes it: linear within the bucket that holds the rank, the first one beginning at 0. When the rank falls in
/// the `+Inf` bucket the greatest finite bound is the answer (*at least* so long). `None` without an observation,
/// without a `+Inf` bucket or with no other bucket.
pub(super) fn quantile(q: f64, buckets: &[(f64, f64)]) -> Option<f64> {
    let (last, finite) = buckets.split_last()?;
    let (greatest, _) = finite.last()?;
    if !last.0.is_infinite() || last.1.is_nan() || last.1 <= 0.0 {
        return None;
    }
    let rank = q * last.1;
    let (mut lower, mut below) = (0.0, 0.0);
    for (bound, count) in finite {
        // Counts can fall from one bucket to the next when a scrape was made in between two updates.
        let count = count.max(below);
        if count >= rank {
            let within = count - below;
            if *bound <= 0.0 || within <= 0.0 {
                return Some(*bound);
            }
            return Some(lower + (bound - lower) * ((rank - below) / within));
        }
        (lower, below) = (*bound, count);
    }
    Some(*greatest)
}

#[cfg(test)]
mod tests {
    use super::super::scrape::read;
    use super::*;
    use proptest::prelude::*;

    const INF: f64 = f64::INFINITY;

    /// Buckets as Traefik has them by default.
    fn traefik(counts: [f64; 5]) -> Vec<(f64, f64)> {
        [0.1, 0.3, 1.2, 5.0, INF].into_iter().zip(counts).collect()
    }

    fn close(a: Option<f64>, b: f64) -> bool {
        a.is_some_and(|a| (a - b).abs() < 1e-9)
    }

    #[test]
    fn quantiles_are_those_computed_by_hand() {
        // 100 observations: 60 up to 0.1 s, 30 up to 0.3 s, 8 up to 1.2 s, 1 up to 5 s, 1 longer.
        let b = traefik([60.0, 90.0, 98.0, 99.0, 100.0]);
        assert!(close(quantile(0.5, &b), 0.1 * 50.0 / 60.0));
        assert!(close(quantile(0.9, &b), 0.3));
        assert!(close(quantile(0.95, &b), 0.3 + 0.9 * (95.0 - 90.0) / 8.0));
        assert!(close(quantile(0.99, &b), 5.0));
        assert!(close(quantile(0.999, &b), 5.0), "in +Inf the greatest finite bound is the answer");
    }

    #[test]
    fn without_observations_or_bounds_there_is_no_quantile() {
        assert_eq!(quantile(0.5, &[]), None);
        assert_eq!(quantile(0.5, &traefik([0.0; 5])), None);
        assert_eq!(quantile(0.5, &[(INF, 3.0)]), None);
        assert_eq!(quantile(0.5, &[(0.1, 1.0), (0.3, 3.0)]), None, "no +Inf bucket");
        assert_eq!(quantile(0.5, &[(0.1, 0.0), (INF, f64::NAN)]), None);
    }

    proptest! {
        #[test]
        fn a_quantile_stays_in_the_bucket_that_holds_the_rank(
            sizes in proptest::collection::vec(0_u32..1000, 5), q in 0.01_f64..1.0
        ) {
            let mut total = 0.0;
            let counts: Vec<f64> = sizes.iter().map(|s| { total += f64::from(*s); total }).collect();
            let buckets = traefik([counts[0], counts[1], counts[2], counts[3], counts[4]]);
            let Some(value) = quantile(q, &buckets) else { prop_assert!(total == 0.0); return Ok(()) };
            let holding = buckets.iter().position(|(_, c)| *c >= q * total).unwrap();
            let upper = buckets[holding.min(3)].0;
            let lower = if holding == 0 { 0.0 } else { buckets[holding.min(4) - 1].0.min(upper) };
            prop_assert!(value >= lower - 1e-9 && value <= upper + 1e-9, "{value} not in {lower}..{upper}");
        }
    }

    fn scrape(started: f64, ok: u32, bad: u32, slow: u32) -> Scrape {
        let series = |code: &str, n: u32, fast: u32, protocol: &str| {
            let l =
                format!("code=\"{code}\",method=\"GET\",protocol=\"{protocol}\",router=\"t@file\",service=\"s@file\"");
            format!(
                "traefik_router_requests_total{{{l}}} {n}\n\
                 traefik_router_request_duration_seconds_bucket{{{l},le=\"0.1\"}} {fast}\n\
                 traefik_router_request_duration_seconds_bucket{{{l},le=\"5\"}} {n}\n\
                 traefik_router_request_duration_seconds_bucket{{{l},le=\"+Inf\"}} {n}\n"
            )
        };
        read(&format!(
            "process_start_time_seconds {started}\n{}{}{}",
            series("200", ok, ok - slow, "http"),
            if bad > 0 { series("503", bad, bad, "http") } else { String::new() },
            series("101", ok, 0, "websocket"),
        ))
        .unwrap()
    }

    fn between(older: &Scrape, newer: &Scrape) -> Route {
        let before = same_process(older, newer).then_some((&older.routers, Duration::from_secs(10)));
        routes(&newer.routers, before).remove(0)
    }

    #[test]
    fn shares_and_rates_are_differences_and_a_new_code_counts_from_zero() {
        let route = between(&scrape(1.0, 100, 0, 0), &scrape(1.0, 130, 20, 0));
        // 30 plain, 30 over websockets, 20 with 503.
        assert!(close(route.requests_per_s, 8.0));
        assert!(close(route.share_5xx, 0.25));
        assert_eq!(route.share_4xx, Some(0.0));
        assert_eq!(route.service.as_deref(), Some("s@file"));
        assert!(close(route.p99_s, 0.099), "sockets that stay open are no latency: {:?}", route.p99_s);
    }

    #[test]
    fn no_requests_mean_no_share_and_no_latency() {
        let route = between(&scrape(1.0, 100, 5, 0), &scrape(1.0, 100, 5, 0));
        assert_eq!(route.requests_per_s, Some(0.0));
        assert_eq!((route.share_5xx, route.share_4xx, route.p50_s, route.p99_s), (None, None, None, None));
    }

    #[test]
    fn a_restart_begins_anew_and_a_counter_that_shrank_counts_from_zero() {
        let route = between(&scrape(1.0, 100, 0, 0), &scrape(2.0, 130, 0, 0));
        assert_eq!((route.requests_per_s, route.share_5xx), (None, None));
        let route = between(&scrape(1.0, 100, 0, 0), &scrape(1.0, 10, 0, 0));
        assert!(close(route.requests_per_s, 2.0), "{route:?}");
    }

    #[test]
    fn the_first_scrape_says_nothing_yet() {
        let route = routes(&scrape(1.0, 1, 0, 0).routers, None).remove(0);
        assert_eq!(route.requests_per_s, None);
    }
}
