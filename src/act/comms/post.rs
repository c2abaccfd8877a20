//! Messages of an incident on their way to people: the same wires as the verbs, for what a record has announced. One
//! sent again has the same `Message-ID`, idempotency key, `dedup_key`, `alias` and file name.

use super::bodies::Said;
use super::{email, file, hook, page, request_of};
use crate::act::call;
use crate::comms::letter::{Channel, Letter, Post, Way};
use crate::config::model::{Audience, Comms, Place, WebhookBody};
use crate::domain::incident::Severity;
use crate::domain::mode::MayAct;
use crate::domain::ports::{BoxFuture, Outcome};
use crate::domain::sample::{Failure, FailureKind};
use std::sync::Arc;
use std::time::Duration;

/// Time for a web hook, a pager or a file.
const WITHIN: Duration = Duration::from_secs(20);

/// What takes messages of `[comms]` out of the house.
pub fn post(_: MayAct, config: &Comms, estate: &str) -> Arc<dyn Post> {
    Arc::new(Live { config: Arc::new(config.clone()), estate: estate.to_owned() })
}

struct Live {
    config: Arc<Comms>,
    estate: String,
}

impl Post for Live {
    fn ways(&self) -> Vec<Way> {
        let mut all = Vec::new();
        for audience in &self.config.audiences {
            for channel in channels(&self.config, audience) {
                all.push(Way {
                    recipient: audience.name.clone(),
                    groups: audience.groups.clone(),
                    channel,
                    to: to(&self.config, audience, channel),
                });
            }
        }
        all
    }

    fn deliver(&self, letter: Letter) -> BoxFuture<'static, Outcome> {
        let (config, estate) = (Arc::clone(&self.config), self.estate.clone());
        Box::pin(async move { deliver(&config, &estate, &letter).await })
    }
}

/// The channels of an audience in the order in which they are tried: as configured, else mail, web hook, pager, file.
fn channels(config: &Comms, audience: &Audience) -> Vec<Channel> {
    let named: Vec<Channel> = audience.channels.iter().filter_map(|word| Channel::named(word)).collect();
    let order = if named.is_empty() { Channel::REAL.to_vec() } else { named };
    let there = |channel: &Channel| match channel {
        Channel::Email => config.smtp.is_some() && !audience.email.is_empty(),
        Channel::Webhook => audience.webhook.is_some(),
        Channel::Page => audience.page.is_some(),
        Channel::File => config.dir.is_some(),
        Channel::Simulated => false,
    };
    order.into_iter().filter(there).collect()
}

/// Where a channel leads, in words; of what is secret its reference.
fn to(config: &Comms, audience: &Audience, channel: Channel) -> String {
    match channel {
        Channel::Email if audience.email.len() == 1 => audience.email.concat(),
        Channel::Email => format!("{} addresses", audience.email.len()),
        Channel::Webhook => {
            let kind = match audience.body {
                WebhookBody::Generic => "web hook",
                WebhookBody::Slack => "Slack",
                WebhookBody::Teams => "Teams",
                WebhookBody::Pagerduty => "PagerDuty",
                WebhookBody::Opsgenie => "Opsgenie",
            };
            format!("{kind} {}", audience.webhook.as_ref().map_or("", Place::shown))
        }
        Channel::Page => audience.page.as_ref().map(|p| p.url.clone()).unwrap_or_default(),
        Channel::File => config.dir.as_ref().map(|d| d.display().to_string()).unwrap_or_default(),
        Channel::Simulated => String::new(),
    }
}

const fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Sev1 => "critical",
        Severity::Sev2 => "error",
        Severity::Sev3 => "warning",
        Severity::Sev4 => "info",
    }
}

async fn deliver(config: &Comms, estate: &str, letter: &Letter) -> Outcome {
    let no = |why: String| Outcome::Failed { why: Failure::new(FailureKind::Local, why) };
    let gone = |what: &str| no(format!("{} has no {what} any more; nothing was sent", letter.recipient()));
    let Some(audience) = config.audiences.iter().find(|a| a.name == letter.recipient()) else {
        return no(format!("there is no [[comms.audience]] {} any more; nothing was sent", letter.recipient()));
    };
    let said = Said {
        subject: letter.subject(),
        text: letter.text(),
        key: letter.key(),
        estate,
        environment: letter.environment(),
        severity: word(letter.severity()),
        of: Some((letter.message(), letter.incident())),
    };
    match letter.channel() {
        Channel::Email => {
            let Some(mailer) = config.smtp.as_ref().filter(|_| !audience.email.is_empty()) else { return gone("mail") };
            match email::compose(&mailer.from, &audience.email, said.subject, said.text, said.key, Some(letter.at())) {
                Ok(mail) => email::submit(mailer, &mail, audience.email.len(), mailer.timeout).await,
                Err(why) => no(why),
            }
        }
        Channel::Webhook => match hook::operation(audience, &said) {
            Some(operation) => {
                let request = super::unmarked(&request_of(letter, operation));
                call::send(&request, &hook::secrets(audience), WITHIN).await
            }
            None => gone("web hook"),
        },
        Channel::Page => match &audience.page {
            Some(pager) => {
                let request = super::unmarked(&request_of(letter, page::operation(pager, &said)));
                call::send(&request, &page::secrets(pager), WITHIN).await
            }
            None => gone("pager"),
        },
        Channel::File => match &config.dir {
            Some(dir) => {
                let path = dir.join(format!("quarterdeck-{}-{}.txt", audience.name, said.key));
                file::leave(path, file::content(&audience.name, said.subject, said.text), WITHIN).await
            }
            None => gone("directory"),
        },
        Channel::Simulated => no("a simulated message is none of a live estate; nothing was sent".to_owned()),
    }
}
