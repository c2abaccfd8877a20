//! Addresses asked from this machine: where their names lead, whether they answer, how long it takes, and the certificates
//! that they show. An expired or foreign certificate is recorded as what it is; an address that does not answer is a value
//! too, since that is what is asked. Only the engine and `doctor` call this.

mod chain;
mod line;
mod name;
#[cfg(test)]
mod tests;

use super::http::{authorities, install_ring};
use super::poll::Poll;
use crate::config::probe::{Probe, Speaks};
use crate::domain::facts::{Facts, MeasuredFacts};
use crate::domain::mode::MayObserve;
use crate::domain::ports::BoxFuture;
use crate::domain::sample::{Failure, FailureKind, SourceKind, SourceSpec};
use crate::domain::signal::Subject;
use crate::domain::text::sanitize;
use chain::Shown;
use jiff::Timestamp;
use line::Seen;
use name::Name;
use rustls::RootCertStore;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// For what comes before and after the look itself, which has its own limit.
const BESIDE: Duration = Duration::from_secs(2);

/// Asks one address.
#[derive(Debug)]
pub struct ProbeObserver {
    config: Probe,
    roots: Option<Arc<RootCertStore>>,
}

impl ProbeObserver {
    /// For a `[[probe]]` table. Nothing is read or sent before it runs.
    pub fn new(_: MayObserve, config: &Probe) -> Self {
        install_ring();
        Self { config: config.clone(), roots: None }
    }

    /// The address as people say it.
    fn address(&self) -> String {
        let target = &self.config.target;
        let path = target.path.split('?').next().unwrap_or_default();
        sanitize(&format!("{}{}", target.authority(), if path == "/" { "" } else { path }))
    }

    async fn look(&mut self) -> Result<Facts, Failure> {
        if self.roots.is_none() && self.config.target.speaks != Speaks::Http {
            let ca = self.config.ca.clone();
            let made = tokio::task::spawn_blocking(move || authorities::trusted(ca.as_deref())).await;
            let made = made.map_err(|_| "reading the authorities was broken off".to_owned()).and_then(|made| made);
            self.roots = Some(Arc::new(made.map_err(|why| Failure::new(FailureKind::Local, why))?));
        }
        let seen = line::look(&self.config, self.roots.clone()).await;
        Ok(Facts::Measured(self.tell(&seen, Timestamp::now())))
    }

    fn tell(&self, seen: &Seen, now: Timestamp) -> MeasuredFacts {
        let mut facts = MeasuredFacts::of(SourceKind::Probe);
        let (source, tenant) = (self.config.id.clone(), self.config.tenant.clone());
        let subject = Subject::Endpoint { source, endpoint: self.address().into(), tenant };
        let mut faults: Vec<String> = seen.chain.iter().flat_map(|c| c.faults.iter().cloned()).collect();
        faults.extend(seen.fault.clone());
        if let Some((_, status)) = seen.answered {
            facts.measure(&subject, "probe.status", f64::from(status));
            if !self.config.status.iter().any(|s| s.contains(&status)) {
                faults.push(format!("it answers HTTP {status}"));
            }
        }
        facts.measure(&subject, "probe.ok", if faults.is_empty() { 1.0 } else { 0.0 });
        let done = match self.config.target.speaks {
            Speaks::Tls => seen.secured.map(|(took, _)| took),
            Speaks::Http | Speaks::Https => seen.answered.map(|(took, _)| took),
        };
        match done {
            Some(took) => facts.measure(&subject, "probe.latency", took.as_secs_f64()),
            None => facts.untell(&subject, "probe.latency", "it does not answer"),
        }
        self.tell_name(&seen.name, &subject, &mut facts);
        if self.config.target.speaks != Speaks::Http {
            tell_certificates(seen, &subject, now, &mut facts);
        }
        facts.said.extend(faults.iter().map(|why| format!("{}: {why}", self.address())));
        facts.said.extend(words(seen));
        facts
    }
}

impl ProbeObserver {
    /// Whether the name leads to where it should, and how long the answer took. An address has no name to tell of.
    fn tell_name(&self, name: &Name, subject: &Subject, facts: &mut MeasuredFacts) {
        let host = sanitize(self.config.connect.as_ref().map_or(&self.config.target.host, |(host, _)| host));
        let why = match name {
            Name::Address => return,
            Name::Asked => format!("no answer to the name within {} s", self.config.timeout.as_secs_f64()),
            Name::Silent(why) => sanitize(why),
            Name::Told { took, addresses } => {
                facts.measure(subject, "dns.took", took.as_secs_f64());
                let own = |address: &IpAddr| self.config.addresses.iter().any(|net| net.contains(address));
                let judged = !self.config.addresses.is_empty();
                let foreign: Vec<String> =
                    addresses.iter().filter(|a| judged && !own(a)).map(ToString::to_string).collect();
                if !foreign.is_empty() {
                    facts.said.push(format!("{host} leads to {}, which is not its own", foreign.join(", ")));
                }
                let right = !addresses.is_empty() && foreign.is_empty();
                return facts.measure(subject, "dns.ok", if right { 1.0 } else { 0.0 });
            }
        };
        for signal in ["dns.ok", "dns.took"] {
            facts.untell(subject, signal, why.clone());
        }
    }
}

fn tell_certificates(seen: &Seen, subject: &Subject, now: Timestamp, facts: &mut MeasuredFacts) {
    let chain = seen.chain.as_ref().filter(|c| !c.shown.is_empty());
    let Some(chain) = chain else {
        for signal in ["certificate.days", "certificate.valid"] {
            facts.untell(subject, signal, "it did not come as far as showing a certificate");
        }
        return;
    };
    if let Some((_, version)) = seen.secured {
        facts.measure(subject, "probe.tls", version);
    }
    facts.measure(subject, "certificate.valid", if chain.faults.is_empty() { 1.0 } else { 0.0 });
    if let Some(first) = chain.shown.iter().map(|s| s.until).min() {
        facts.measure(subject, "certificate.days", first.duration_since(now).as_secs_f64() / 86_400.0);
    }
    for (n, Shown { name, issuer, until, own, .. }) in (1..).zip(&chain.shown) {
        let by = if *own { "itself".to_owned() } else { issuer.clone() };
        facts.said.push(format!("certificate {n} of {}: {name}, signed by {by}, until {until}", chain.shown.len()));
    }
}

/// How far it went, in one sentence.
fn words(seen: &Seen) -> Option<String> {
    let ms = |took: Duration| format!("{} ms", took.as_millis());
    let mut words = Vec::new();
    if let Name::Told { took, addresses } = &seen.name {
        let listed = addresses.iter().take(4).map(ToString::to_string).collect::<Vec<_>>().join(", ");
        words.push(format!("resolved to {listed} after {}", ms(*took)));
    }
    words.push(format!("connected after {}", ms(seen.connected?)));
    words.extend(seen.secured.map(|(took, version)| format!("TLS {version} after {}", ms(took))));
    words.extend(seen.answered.map(|(took, status)| format!("HTTP {status} after {}", ms(took))));
    Some(words.join(", "))
}

impl Poll for ProbeObserver {
    fn spec(&self) -> SourceSpec {
        let Probe { id, interval, .. } = &self.config;
        let via = self.config.connect.as_ref().map_or_else(String::new, |(host, port)| format!(" via {host}:{port}"));
        let address = self.address() + &via;
        SourceSpec { id: id.clone(), kind: SourceKind::Probe, interval: *interval, address }
    }

    fn timeout(&self) -> Duration {
        self.config.timeout + BESIDE
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Facts, Failure>> {
        Box::pin(self.look())
    }
}
