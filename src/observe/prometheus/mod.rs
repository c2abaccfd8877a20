//! Prometheus: instant queries of `PromQL`, each mapped to one signal, whose labels name the subject. What it does not
//! know for certain (NaN, a missing label, a series that has vanished, a server that scrapes nothing any more) is not
//! known here either. Only the engine and `doctor` call this; [`request`] also serves the Alertmanager's observer.

mod answer;
#[cfg(test)]
mod lab_tests;
mod names;
#[cfg(test)]
mod otlp_lab_tests;
mod queries;
#[cfg(test)]
mod tests;

use self::answer::{Refusal, Series};
use self::names::{Named, Names};
pub use self::queries::check;
use self::queries::{Query, Set};
use super::http::{Http, Trust, public};
use super::poll::Poll;
use crate::config::model::{self, Ca, HttpAuth};
use crate::config::secret;
use crate::correlate::signals::{self, SubjectKind};
use crate::domain::estate::Estate;
use crate::domain::facts::{Facts, MeasuredFacts};
use crate::domain::mode::MayObserve;
use crate::domain::ports::BoxFuture;
use crate::domain::sample::{Failure, FailureKind, SourceKind, SourceSpec};
use crate::domain::signal::Subject;
use crate::domain::text::{first_of, sanitize};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

/// Queries asked side by side.
const AT_ONCE: usize = 4;

/// Body bytes taken of one answer: 2,000 series of a few labels need a fifth of it.
const ANSWER: usize = 4 << 20;

/// A value that was there is missed for so many samples, then its subject is taken for gone.
const MISSED: u16 = 240;

/// Subjects that are remembered in order to miss them.
const REMEMBERED: usize = 20_000;

/// Scrapes are a minute apart where nothing else is configured; newer than two of them and a half is fresh.
const SCRAPED_WITHIN: Duration = Duration::from_secs(150);

/// Observes by one Prometheus.
#[derive(Debug)]
pub struct PrometheusObserver {
    config: model::Prometheus,
    names: Names,
    queries: Vec<Query>,
    http: Option<(Http, Option<Credentials>)>,
    version: Option<String>,
    /// What gave a value, and for how many samples it has not.
    seen: BTreeMap<(Subject, &'static str), u16>,
}

/// A header that holds a secret.
#[derive(Clone)]
pub(super) struct Credentials(reqwest::header::HeaderValue);

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(***)")
    }
}

impl PrometheusObserver {
    /// For a `[[prometheus]]` table. Nothing is read or sent before it runs.
    pub fn new(_: MayObserve, config: &model::Prometheus, estate: &Estate) -> Self {
        Self {
            names: Names::new(config, estate),
            queries: queries::of(config),
            config: config.clone(),
            http: None,
            version: None,
            seen: BTreeMap::new(),
        }
    }

    async fn look(&mut self) -> Result<Facts, Failure> {
        let (http, credentials) = match self.http.take() {
            Some(ready) => ready,
            None => connect(&[&self.config.url], &self.config.ca, &self.config.auth).await?,
        };
        let ask = Asking { http: &http, credentials: credentials.as_ref(), config: &self.config };
        if self.version.is_none() {
            self.version = ask.version().await?;
        }
        ask.alive().await?;
        let mut facts = MeasuredFacts::of(SourceKind::Prometheus);
        facts.version.clone_from(&self.version);
        ask.targets(&mut facts).await?;
        let asked: Vec<_> = self.queries.iter().map(|query| ask.query(&query.expr)).collect();
        let answers: Vec<Result<Vec<Series>, Refusal>> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
        self.http = Some((http.clone(), credentials.clone()));
        let mut given = BTreeSet::new();
        for (query, answer) in self.queries.iter().zip(answers) {
            take(&self.config, &self.names, query, answer, &mut facts, &mut given);
        }
        empty_sets(&self.config, &self.queries, &given, &mut facts);
        miss(&mut self.seen, &mut facts);
        Ok(Facts::Measured(facts))
    }
}

impl Poll for PrometheusObserver {
    fn spec(&self) -> SourceSpec {
        SourceSpec {
            id: self.config.id.clone(),
            kind: SourceKind::Prometheus,
            interval: self.config.interval,
            address: sanitize(&public(&self.config.url)),
        }
    }

    fn timeout(&self) -> Duration {
        self.config.timeout
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Facts, Failure>> {
        Box::pin(self.look())
    }
}

/// Makes a client, and reads the secrets; both are made anew after a failure.
pub(super) async fn connect(urls: &[&str], ca: &Ca, auth: &HttpAuth) -> Result<(Http, Option<Credentials>), Failure> {
    let trust = Trust::of(ca, urls.iter().copied());
    let http = tokio::task::spawn_blocking(move || Http::new(&trust))
        .await
        .map_err(|_| Failure::new(FailureKind::Local, "reading the certificate authorities was broken off"))??;
    let read = |reference| async move {
        secret::read(reference).await.map_err(|e| Failure::new(FailureKind::Local, e.to_string()))
    };
    let header = if let Some(bearer) = &auth.bearer {
        Some(format!("Bearer {}", read(bearer).await?.expose()))
    } else if let Some(login) = &auth.basic {
        use base64::Engine as _;
        let password = match &login.password {
            Some(reference) => read(reference).await?.expose().to_owned(),
            None => String::new(),
        };
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{}:{password}", login.user));
        Some(format!("Basic {pair}"))
    } else {
        None
    };
    let header = header.map(|text| {
        let mut value = reqwest::header::HeaderValue::from_str(&text)
            .map_err(|_| Failure::new(FailureKind::Local, "a secret has characters that a header can not carry"))?;
        value.set_sensitive(true);
        Ok::<_, Failure>(Credentials(value))
    });
    Ok((http, header.transpose()?))
}

/// A GET with credentials.
pub(super) fn request(
    http: &Http,
    credentials: Option<&Credentials>,
    base: &str,
    path: &str,
    query: &[(&str, &str)],
) -> Result<reqwest::RequestBuilder, Failure> {
    let text = format!("{}{path}", base.trim_end_matches('/'));
    let mut url = reqwest::Url::parse(&text)
        .map_err(|_| Failure::new(FailureKind::Local, format!("{} is no URL", public(&text))))?;
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    let request = http.request(reqwest::Method::GET, url).header(reqwest::header::ACCEPT, "application/json");
    Ok(match credentials {
        Some(Credentials(value)) => request.header(reqwest::header::AUTHORIZATION, value.clone()),
        None => request,
    })
}

#[derive(Clone, Copy)]
struct Asking<'a> {
    http: &'a Http,
    credentials: Option<&'a Credentials>,
    config: &'a model::Prometheus,
}

impl Asking<'_> {
    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<super::http::Answer, Failure> {
        let base = &self.config.url;
        let request = request(self.http, self.credentials, base, path, query)?;
        let url = format!("{}{path}", base.trim_end_matches('/'));
        Http::send(request, &url, ANSWER, self.config.timeout).await
    }

    /// The version; not every server that speaks the API tells it.
    async fn version(&self) -> Result<Option<String>, Failure> {
        let answer = self.get("/api/v1/status/buildinfo", &[]).await?;
        match answer.status {
            200 => Ok(answer::version(&answer.body).map(|v| sanitize(&v))),
            401 | 403 => answer.into_text(&self.config.url).map(|_| None),
            _ => Ok(None),
        }
    }

    /// Fails when everything that is scraped was scraped too long ago, or the server's clock is wrong: then no answer
    /// says anything of now. A server that scrapes nothing, because all is sent to it, has no `up`.
    async fn alive(&self) -> Result<(), Failure> {
        let Ok(newest) = self.query("time() - max(timestamp(up))").await? else { return Ok(()) };
        let Some(newest) = newest.first() else { return Ok(()) };
        let here = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
        let allowed = SCRAPED_WITHIN.max(self.config.interval * 2).as_secs_f64();
        let address = public(&self.config.url);
        let failed = |why: String| Err(Failure::new(FailureKind::Protocol, format!("{address} {why}")));
        if (newest.at - here).abs() > allowed {
            return failed(format!("answers for {:.0} s away from now: one of the clocks is wrong", newest.at - here));
        }
        match newest.value {
            age if age.is_nan() || age > allowed => failed(format!("has scraped nothing for {age:.0} s")),
            _ => Ok(()),
        }
    }

    /// Says which targets it can not scrape: their series are missing.
    async fn targets(&self, facts: &mut MeasuredFacts) -> Result<(), Failure> {
        let Ok(down) = self.query("up == 0").await? else { return Ok(()) };
        if down.is_empty() {
            return Ok(());
        }
        let name = |s: &Series| {
            let of = |label: &str| s.labels.get(label).map_or("?", String::as_str);
            sanitize(&format!("{} of {}", of("instance"), of("job")))
        };
        let named: Vec<String> = down.iter().map(name).collect();
        facts.lacks(
            format!("what {} targets would measure that it can not scrape: {}", down.len(), first_of(&named, 5, ", ")),
            "look at its page of targets, which says why",
        );
        Ok(())
    }

    /// One instant query. A failure is of the server; a refusal is of this query.
    async fn query(&self, expr: &str) -> Result<Result<Vec<Series>, Refusal>, Failure> {
        let within = format!("{}ms", self.config.timeout.as_millis());
        let answer = self.get("/api/v1/query", &[("query", expr), ("timeout", &within)]).await?;
        if answer.truncated {
            return Ok(Err(Refusal(format!("its answer is longer than {} MiB", ANSWER >> 20))));
        }
        match answer.status {
            200 => answer::series(&answer.body, self.config.series)
                .map_err(|why| Failure::new(FailureKind::Protocol, format!("{}: {why}", public(&self.config.url)))),
            400 | 422 | 503 => Ok(Err(Refusal(answer::error(&answer.body)))),
            _ => answer.into_text(&self.config.url).map(|_| Ok(Vec::new())),
        }
    }
}

/// Puts the series of one query into the facts.
fn take(
    config: &model::Prometheus,
    names: &Names,
    query: &Query,
    answer: Result<Vec<Series>, Refusal>,
    facts: &mut MeasuredFacts,
    given: &mut BTreeSet<usize>,
) {
    let own = Subject::Source { source: config.id.clone() };
    let signal = query.signal;
    let series = match answer {
        Ok(series) => series,
        Err(Refusal(why)) => {
            let why = sanitize(&why);
            facts.untell(&own, signal.name, why.clone());
            facts.lacks(format!("{} of the query `{}`", signal.name, query.short()), why);
            return;
        }
    };
    if series.is_empty() && query.set == Set::Own {
        facts.untell(&own, signal.name, format!("the query `{}` gives no series", query.short()));
        facts.lacks(format!("{} of the query `{}`", signal.name, query.short()), "it gives no series");
    }
    let mut unlabelled = 0_usize;
    for one in series {
        given.insert(query.number);
        match names.subject(query, &one.labels) {
            Named::Subject(subject) if signal.subjects.contains(&SubjectKind::of(&subject)) => {
                facts.measure(&subject, signal.name, one.value);
            }
            Named::Unlabelled => unlabelled += 1,
            // A tenant has its own signal for what a workload without owner says; or nobody owns it.
            Named::Subject(_) | Named::Nobody => {}
        }
    }
    if unlabelled > 0 {
        let labels = query.labels.join(", ");
        facts.untell(&own, signal.name, format!("{unlabelled} series lack the labels {labels}"));
        facts.lacks(
            format!("{} of {unlabelled} series without the labels {labels}", signal.name),
            "keep these labels, or name others in a [[prometheus.query]]",
        );
    }
}

/// A set that is asked for by name and gives nothing is a gap.
fn empty_sets(config: &model::Prometheus, queries: &[Query], given: &BTreeSet<usize>, facts: &mut MeasuredFacts) {
    for set in config.sets.iter().flatten() {
        let of = || queries.iter().filter(|q| q.set == Set::Shipped && q.set_name == *set);
        if of().next().is_some() && of().all(|q| !given.contains(&q.number)) {
            facts.lacks(
                format!("all that the set {set} would measure"),
                format!(
                    "none of its queries gives a series: let this Prometheus scrape it, or take `{set}` out of sets"
                ),
            );
        }
    }
}

/// What had a value and has none any more is not known; after a while it is taken for gone.
fn miss(seen: &mut BTreeMap<(Subject, &'static str), u16>, facts: &mut MeasuredFacts) {
    let mut now: BTreeSet<(&Subject, &'static str)> = BTreeSet::new();
    for reading in &facts.readings {
        if let Some(signal) = signals::find(&reading.signal) {
            now.insert((&reading.subject, signal.name));
        }
    }
    let told: BTreeSet<(&Subject, &str)> = facts.untold.iter().map(|u| (&u.subject, u.signal.as_str())).collect();
    let mut gone = Vec::new();
    seen.retain(|(subject, signal), missed| {
        if now.contains(&(subject, signal)) {
            *missed = 0;
            return true;
        }
        *missed += 1;
        if !told.contains(&(subject, signal)) {
            gone.push((subject.clone(), *signal));
        }
        *missed <= MISSED
    });
    for key in now {
        let key = (key.0.clone(), key.1);
        if seen.len() < REMEMBERED || seen.contains_key(&key) {
            seen.insert(key, 0);
        }
    }
    for (subject, signal) in gone {
        facts.untell(&subject, signal, "its series has vanished from Prometheus");
    }
}
