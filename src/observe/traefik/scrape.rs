//! One scrape of Traefik's metrics, folded to what is read from it
//! (<https://doc.traefik.io/traefik/reference/install-configuration/observability/metrics/>).

use super::exposition::{Sample, samples};
use crate::domain::facts::traefik::Certificate;
use crate::domain::text::sanitize;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What is kept of one scrape.
#[derive(Debug, Default)]
pub(super) struct Scrape {
    /// `process_start_time_seconds`; another value is another process, whose counters began anew.
    pub(super) started: Option<f64>,
    /// By router.
    pub(super) routers: BTreeMap<String, Scope>,
    /// By entry point.
    pub(super) entrypoints: BTreeMap<String, Scope>,
    /// `traefik_open_connections` by entry point.
    pub(super) open_connections: BTreeMap<String, u64>,
    /// `traefik_config_last_reload_success`, seconds since 1970.
    pub(super) reload_success: Option<f64>,
    /// `traefik_config_last_reload_failure`, which Traefik 2 has and 3 has not.
    pub(super) reload_failure: Option<f64>,
    /// `traefik_config_reloads_total`.
    pub(super) reloads: Option<f64>,
    /// Certificates, nearest expiry first.
    pub(super) certificates: Vec<Certificate>,
}

/// Counters of one router or entry point, by the labels that tell its series apart.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// Service behind a router; of several, the one named last.
    pub(super) service: Option<String>,
    /// Series, by code, method, protocol and service.
    pub(super) series: BTreeMap<Box<str>, Series>,
}

/// Counters of one series.
#[derive(Debug, Default)]
pub(super) struct Series {
    /// First digit of the status code, 0 when there is none.
    pub(super) class: u8,
    /// Durations mean the time to an answer: not so for `websocket` and `sse`, which last as long as the page.
    pub(super) timed: bool,
    /// `…_requests_total`.
    pub(super) requests: f64,
    /// `…_request_duration_seconds_bucket`: upper bound and cumulative count.
    pub(super) buckets: Vec<(f64, f64)>,
}

/// Reads a scrape; an error is the reason in words.
pub(super) fn read(text: &str) -> Result<Scrape, String> {
    let mut scrape = Scrape::default();
    let mut traefik = false;
    for sample in samples(text) {
        let sample = sample.map_err(|m| format!("line {} of the metrics is wrong: expected {}", m.line, m.expected))?;
        traefik |= sample.name.starts_with("traefik_");
        scrape.take(&sample);
    }
    if !traefik {
        return Err("the metrics hold no traefik_… series".into());
    }
    newest(&mut scrape.certificates);
    scrape.certificates.sort_by(|a, b| (a.not_after, &a.name).cmp(&(b.not_after, &b.name)));
    Ok(scrape)
}

impl Scrape {
    fn take(&mut self, s: &Sample<'_>) {
        match s.name {
            "process_start_time_seconds" => self.started = Some(s.value),
            "traefik_config_last_reload_success" => self.reload_success = Some(s.value),
            "traefik_config_last_reload_failure" => self.reload_failure = Some(s.value),
            "traefik_config_reloads_total" => self.reloads = Some(s.value),
            "traefik_open_connections" => {
                let open = self.open_connections.entry(sanitize(s.label("entrypoint"))).or_default();
                *open = open.saturating_add(whole(s.value).unwrap_or(0));
            }
            "traefik_tls_certs_not_after" => self.certificates.extend(certificate(s)),
            "traefik_router_requests_total" => scope(&mut self.routers, "router", s).count(s),
            "traefik_entrypoint_requests_total" => scope(&mut self.entrypoints, "entrypoint", s).count(s),
            "traefik_router_request_duration_seconds_bucket" => scope(&mut self.routers, "router", s).bucket(s),
            "traefik_entrypoint_request_duration_seconds_bucket" => {
                scope(&mut self.entrypoints, "entrypoint", s).bucket(s);
            }
            _ => {}
        }
    }
}

fn scope<'a>(scopes: &'a mut BTreeMap<String, Scope>, label: &str, s: &Sample<'_>) -> &'a mut Scope {
    scopes.entry(sanitize(s.label(label))).or_default()
}

impl Scope {
    fn series(&mut self, s: &Sample<'_>) -> &mut Series {
        let (code, protocol, service) = (s.label("code"), s.label("protocol"), s.label("service"));
        if !service.is_empty() {
            self.service = Some(sanitize(service));
        }
        let key = [code, s.label("method"), protocol, service].join("\0");
        let series = self.series.entry(key.into_boxed_str()).or_default();
        series.class = code.bytes().next().map_or(0, |b| b.wrapping_sub(b'0'));
        series.timed = !matches!(protocol, "websocket" | "sse");
        series
    }

    fn count(&mut self, s: &Sample<'_>) {
        self.series(s).requests = s.value;
    }

    fn bucket(&mut self, s: &Sample<'_>) {
        if let Ok(bound) = s.label("le").parse::<f64>() {
            self.series(s).buckets.push((bound, s.value));
        }
    }
}

/// Of the certificates for the same names the one that ends last: Traefik goes on telling of those that were replaced,
/// until it is started anew.
fn newest(all: &mut Vec<Certificate>) {
    all.sort_by(|a, b| (&a.name, &a.sans).cmp(&(&b.name, &b.sans)).then_with(|| b.not_after.cmp(&a.not_after)));
    all.dedup_by(|later, first| later.name == first.name && later.sans == first.sans);
}

fn certificate(s: &Sample<'_>) -> Option<Certificate> {
    let not_after = timestamp(s.value)?;
    let sans: Vec<String> = s.label("sans").split(',').filter(|n| !n.is_empty()).map(sanitize).collect();
    let name = match s.label("cn") {
        "" => sans.first().cloned().unwrap_or_else(|| format!("serial {}", sanitize(s.label("serial")))),
        cn => sanitize(cn),
    };
    Some(Certificate { name, sans, not_after })
}

/// Seconds since 1970 as a moment; `None` when there is none such, or it is 0, which means never.
pub(super) fn timestamp(seconds: f64) -> Option<Timestamp> {
    whole(seconds).filter(|s| *s > 0).and_then(|s| Timestamp::from_second(i64::try_from(s).ok()?).ok())
}

/// A count that was written as a float.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked just before")]
pub(super) fn whole(value: f64) -> Option<u64> {
    (0.0..9_007_199_254_740_992.0).contains(&value).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_certificates_and_connections_are_folded() {
        let text = "process_start_time_seconds 5.5\ntraefik_config_reloads_total 3\n\
            traefik_config_last_reload_success 1.795272681e+09\n\
            traefik_open_connections{entrypoint=\"web\",protocol=\"TCP\"} 2\n\
            traefik_open_connections{entrypoint=\"web\",protocol=\"UDP\"} 3\n\
            traefik_router_requests_total{code=\"502\",method=\"GET\",protocol=\"http\",router=\"t@file\",service=\"s@file\"} 7\n\
            traefik_router_request_duration_seconds_bucket{code=\"502\",method=\"GET\",protocol=\"http\",router=\"t@file\",service=\"s@file\",le=\"0.1\"} 4\n\
            traefik_tls_certs_not_after{cn=\"late\",sans=\"late\",serial=\"1\"} 1.9e+09\n\
            traefik_tls_certs_not_after{cn=\"late\",sans=\"late\",serial=\"0\"} 1.7e+09\n\
            traefik_tls_certs_not_after{cn=\"\",sans=\"a.example,b.example\",serial=\"2\"} 1.8e+09\n";
        let scrape = read(text).unwrap();
        assert_eq!(scrape.open_connections["web"], 5);
        assert_eq!((scrape.started, scrape.reloads), (Some(5.5), Some(3.0)));
        let scope = &scrape.routers["t@file"];
        assert_eq!(scope.service.as_deref(), Some("s@file"));
        let series = scope.series.values().next().unwrap();
        assert_eq!((series.class, series.requests, series.timed), (5, 7.0, true));
        assert_eq!(series.buckets, [(0.1, 4.0)]);
        let names: Vec<_> = scrape.certificates.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["a.example", "late"]);
        assert_eq!(scrape.certificates[0].sans, ["a.example", "b.example"]);
        assert_eq!(scrape.certificates[0].not_after.as_second(), 1_800_000_000);
    }

    #[test]
    fn other_programs_and_pages_are_refused() {
        assert_eq!(read("node_load1 0.5\n").unwrap_err(), "the metrics hold no traefik_… series");
        assert_eq!(read("<html>\n").unwrap_err(), "line 1 of the metrics is wrong: expected a metric name");
        assert!(read("").is_err());
    }

    #[test]
    fn what_is_no_moment_is_none() {
        assert_eq!(timestamp(0.0), None);
        assert_eq!(timestamp(f64::NAN), None);
        assert_eq!(timestamp(f64::INFINITY), None);
        assert_eq!(timestamp(-1.0), None);
    }
}
