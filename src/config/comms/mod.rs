//! `[comms]`: how people outside are told, by mail, web hook, pager or file; and `[[webhook]]`, what `http.webhook`
//! may call. The one place that lists the keys, bounds and defaults of these tables.

mod oncall;

use super::decode::{host, login, name, path, port, secret_of, url};
use super::model::{Login, SecretRef};
use super::reader::Table;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

pub use oncall::{Duty, Schedule};

const HTTP: [&str; 2] = ["http://", "https://"];

/// `[comms]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comms {
    /// Directory in which `comms.file` leaves messages for others to pick up.
    pub dir: Option<PathBuf>,
    /// File with audiences, templates and cadences over the shipped ones.
    pub templates: Option<PathBuf>,
    /// The mail server.
    pub smtp: Option<Mailer>,
    /// Who can be told, and how.
    pub audiences: Vec<Audience>,
    /// Duties whose people change.
    pub oncall: Vec<Duty>,
}

/// How the way to the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Smtps {
    /// Plain text, for a relay on this machine.
    None,
    /// STARTTLS, which the server has to offer (RFC 3207).
    Starttls,
    /// TLS from the first byte (RFC 8314).
    Tls,
}

/// `[comms.smtp]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailer {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Protection.
    pub tls: Smtps,
    /// Sender, such as `Operations <noc@acme.example>`.
    pub from: String,
    /// Login, where the server wants one.
    pub login: Option<Login>,
    /// Whose authorities vouch for it, and from which version of TLS on.
    pub ca: crate::config::tls::Ca,
    /// Time allowed for one mail.
    pub timeout: Duration,
}

/// `[[comms.audience]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience {
    /// Name, as playbooks say it: `dba-oncall`.
    pub name: String,
    /// Stakeholders that it belongs to: `customer`, `executives`.
    pub groups: Vec<String>,
    /// Words of its channels in the order in which they are tried; all that there are when empty.
    pub channels: Vec<String>,
    /// Mail addresses.
    pub email: Vec<String>,
    /// Where a chat, a status page or a service desk takes messages as JSON.
    pub webhook: Option<Place>,
    /// Form of that JSON.
    pub body: WebhookBody,
    /// Routing key or API key that the form needs, with its reference as it stands in the configuration.
    pub key: Option<(SecretRef, String)>,
    /// Who wakes people up.
    pub page: Option<Pager>,
}

/// Form of the JSON that a web hook takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebhookBody {
    /// Members `text`, `subject`, `message` and more; Mattermost and Google Chat take it.
    #[default]
    Generic,
    /// Slack's incoming web hooks.
    Slack,
    /// A workflow of Teams.
    Teams,
    /// `PagerDuty` Events API v2.
    Pagerduty,
    /// Opsgenie Alert API.
    Opsgenie,
}

/// Words of the channels of an audience.
const CHANNELS: [&str; 4] = ["email", "webhook", "page", "file"];

/// A URL, which itself may be the secret, as those of chat services are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It stands in the configuration, and is shown.
    Url(String),
    /// Only its reference is shown.
    Secret {
        /// The reference as it stands in the configuration.
        shown: String,
        /// The same, parsed.
        at: SecretRef,
    },
}

impl Place {
    /// What is shown and recorded of it.
    pub fn shown(&self) -> &str {
        match self {
            Self::Url(url) => url,
            Self::Secret { shown, .. } => shown,
        }
    }
}

/// Whose interface a pager speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PagerKind {
    /// `PagerDuty` Events API v2 (<https://developer.pagerduty.com/docs/events-api-v2/overview/>).
    Pagerduty,
    /// Opsgenie Alert API (<https://docs.opsgenie.com/docs/alert-api>).
    Opsgenie,
}

/// `[comms.audience.page]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pager {
    /// Interface.
    pub kind: PagerKind,
    /// URL that events are sent to.
    pub url: String,
    /// Routing key or API key.
    pub key: SecretRef,
    /// The reference of the key as it stands in the configuration.
    pub key_shown: String,
}

/// `[[webhook]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Name, as playbooks say it.
    pub id: String,
    /// Where it is.
    pub url: Place,
    /// Sent as `Authorization: Bearer …`.
    pub token: Option<SecretRef>,
    /// Whose authorities vouch for it, and from which version of TLS on.
    pub ca: crate::config::tls::Ca,
}

/// Decodes `[comms]`.
pub fn decode(mut table: Table<'_, '_>) -> Comms {
    let dir = path(&mut table, "dir");
    let templates = path(&mut table, "templates");
    let smtp = table.table("smtp").map(mailer);
    let mut seen = BTreeSet::new();
    let there = (smtp.is_some(), dir.is_some());
    let audiences = table.tables("audience").into_iter().map(|t| audience(t, there, &mut seen)).collect();
    let names: Vec<String> = seen.iter().cloned().collect();
    let oncall = table.tables("oncall").into_iter().map(|t| oncall::duty(t, &names, &mut seen)).collect();
    table.finish();
    Comms { dir, templates, smtp, audiences, oncall }
}

/// Decodes `[[webhook]]`.
pub fn hooks(tables: Vec<Table<'_, '_>>) -> Vec<Hook> {
    let mut seen = BTreeSet::new();
    let hook = |mut table: Table<'_, '_>| {
        let id = unique(&mut table, "id", "ci-hold", &mut seen);
        if !table.has("url") {
            table.reject("url", "[[webhook]] lacks `url`; for example `url = \"https://ci.example/hold\"`");
        }
        let url = place(&mut table, "url").unwrap_or_else(|| Place::Url(String::new()));
        let token = secret_of(&mut table, "token");
        let ca = crate::config::tls::ca(&mut table);
        table.finish();
        Hook { id, url, token, ca }
    };
    tables.into_iter().map(hook).collect()
}

fn mailer(mut table: Table<'_, '_>) -> Mailer {
    let host = host(&mut table, "mail.acme.example");
    let tls = table.parsed("tls", "starttls, tls or none", |text| match text {
        "starttls" => Some(Smtps::Starttls),
        "tls" => Some(Smtps::Tls),
        "none" => Some(Smtps::None),
        _ => None,
    });
    let tls = tls.unwrap_or(Smtps::Starttls);
    let default = match tls {
        Smtps::Starttls => 587,
        Smtps::Tls => 465,
        Smtps::None => 25,
    };
    let port = port(&mut table, default);
    let from = table.required("from", "Operations <noc@acme.example>");
    if !from.is_empty() && from.parse::<lettre::message::Mailbox>().is_err() {
        table.reject("from", format!("`from` is `{from}`, which is no mail address"));
    }
    let login = table.has("user").then(|| login(&mut table, "noc"));
    if login.is_none() {
        // So that the keys are known where there is no login, too.
        table.string("user");
        if secret_of(&mut table, "password").is_some() {
            table.reject("password", "`password` is given without `user`");
        }
    } else if tls == Smtps::None {
        table.reject(
            "tls",
            "a password would travel in plain text: `tls` must be starttls or tls where `user` is given",
        );
    }
    let ca = crate::config::tls::ca(&mut table);
    let timeout = table.duration("timeout", Duration::from_secs(1), Duration::from_mins(2));
    table.finish();
    Mailer { host, port, tls, from, login, ca, timeout: timeout.unwrap_or(Duration::from_secs(20)) }
}

fn audience(mut table: Table<'_, '_>, (mail, dir): (bool, bool), seen: &mut BTreeSet<String>) -> Audience {
    let name = unique(&mut table, "name", "dba-oncall", seen);
    let groups = table.strings("groups");
    let email = table.strings("email");
    for address in &email {
        if address.parse::<lettre::message::Mailbox>().is_err() {
            table.reject("email", format!("`email` has `{address}`, which is no mail address"));
        }
    }
    let webhook = place(&mut table, "webhook");
    let body = table.parsed("webhook_body", "generic, slack, teams, pagerduty or opsgenie", |word| match word {
        "generic" => Some(WebhookBody::Generic),
        "slack" => Some(WebhookBody::Slack),
        "teams" => Some(WebhookBody::Teams),
        "pagerduty" => Some(WebhookBody::Pagerduty),
        "opsgenie" => Some(WebhookBody::Opsgenie),
        _ => None,
    });
    let body = body.unwrap_or_default();
    let shown = if table.has("webhook_key") { table.string("webhook_key") } else { None };
    let key = secret_of(&mut table, "webhook_key").zip(shown);
    let keyed = matches!(body, WebhookBody::Pagerduty | WebhookBody::Opsgenie);
    if keyed && !table.has("webhook_key") {
        table.reject("webhook_key", "this `webhook_body` needs a `webhook_key`, for example \"env:PAGER_KEY\"");
    } else if !keyed && key.is_some() {
        table.reject("webhook_key", "`webhook_key` goes with `webhook_body` pagerduty or opsgenie only");
    }
    if webhook.is_none() && (table.has("webhook_body") || key.is_some()) && !table.has("webhook") {
        table.reject("webhook", "`webhook_body` and `webhook_key` are given without `webhook`");
    }
    let page = table.table("page").map(pager);
    let there = |word: &str| match word {
        "email" => mail && !email.is_empty(),
        "webhook" => webhook.is_some(),
        "page" => page.is_some(),
        _ => dir,
    };
    let channels = table.checked_strings("channels", |word| {
        if !CHANNELS.contains(&word) {
            return Err(format!("`{word}` is no channel; allowed are {}", CHANNELS.join(", ")));
        }
        let needs = match word {
            "email" => "`email` here and a [comms.smtp]",
            "webhook" => "`webhook` here",
            "page" => "a [comms.audience.page]",
            _ => "`dir` in [comms]",
        };
        if there(word) { Ok(()) } else { Err(format!("the channel `{word}` needs {needs}")) }
    });
    table.finish();
    Audience { name, groups, channels, email, webhook, body, key, page }
}

fn pager(mut table: Table<'_, '_>) -> Pager {
    if !table.has("kind") {
        table.reject("kind", "[comms.audience.page] lacks `kind`; allowed is pagerduty or opsgenie");
    }
    let kind = table.parsed("kind", "pagerduty or opsgenie", |text| match text {
        "pagerduty" => Some(PagerKind::Pagerduty),
        "opsgenie" => Some(PagerKind::Opsgenie),
        _ => None,
    });
    let kind = kind.unwrap_or(PagerKind::Pagerduty);
    let url = url(&mut table, "url", &HTTP).unwrap_or_else(|| {
        match kind {
            PagerKind::Pagerduty => "https://events.pagerduty.com/v2/enqueue",
            PagerKind::Opsgenie => "https://api.opsgenie.com/v2/alerts",
        }
        .to_owned()
    });
    if !table.has("key") {
        table.reject("key", "[comms.audience.page] lacks `key`; for example `key = \"env:PAGER_KEY\"`");
    }
    let key = secret_of(&mut table, "key");
    let key_shown = if key.is_some() { table.string("key").unwrap_or_default() } else { String::new() };
    table.finish();
    Pager { kind, url, key: key.unwrap_or_else(|| SecretRef::Env(String::new())), key_shown }
}

/// A URL, or a reference to one that is a secret.
fn place(table: &mut Table<'_, '_>, key: &'static str) -> Option<Place> {
    let text = table.string(key)?;
    if let Some(at) = table.referred(key, &text) {
        return Some(Place::Secret { shown: text, at });
    }
    url(table, key, &HTTP).map(Place::Url)
}

fn unique(table: &mut Table<'_, '_>, key: &'static str, example: &str, seen: &mut BTreeSet<String>) -> String {
    let id = name(table, key, example);
    if !id.is_empty() && !seen.insert(id.clone()) {
        table.reject(key, format!("the name `{id}` stands twice; these names are unique"));
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::decode::decode as whole;

    const ESTATE: &str = "[estate]\nname = \"a\"\nenvironment = \"staging\"\n";

    #[test]
    fn audiences_have_ways_and_a_secret_url_shows_its_reference_only() {
        let text = format!(
            "{ESTATE}[comms]\ndir = \"/var/spool/q\"\n[comms.smtp]\nhost = \"mail\"\nfrom = \"NOC <noc@acme.example>\"\n\
             user = \"noc\"\npassword = \"env:P\"\n[[comms.audience]]\nname = \"dba-oncall\"\nemail = [\"dba@acme.example\"]\n\
             webhook = \"file:/etc/q/chat\"\n[comms.audience.page]\nkind = \"opsgenie\"\nkey = \"env:K\"\n\
             [[webhook]]\nid = \"ci\"\nurl = \"https://ci.example/hold\"\n"
        );
        let config = whole("c.toml", &text).unwrap();
        let smtp = config.comms.smtp.unwrap();
        assert_eq!((smtp.port, smtp.tls), (587, Smtps::Starttls));
        let audience = &config.comms.audiences[0];
        assert_eq!(audience.webhook.as_ref().unwrap().shown(), "file:/etc/q/chat");
        let page = audience.page.as_ref().unwrap();
        assert_eq!((page.url.as_str(), page.key_shown.as_str()), ("https://api.opsgenie.com/v2/alerts", "env:K"));
        assert_eq!(config.webhook[0].url, Place::Url("https://ci.example/hold".into()));
    }

    #[test]
    fn what_can_not_be_used_is_named_with_its_place() {
        let text = format!(
            "{ESTATE}[comms.smtp]\nhost = \"mail\"\nfrom = \"noc\"\nuser = \"noc\"\ntls = \"none\"\n[[comms.audience]]\n\
             name = \"a\"\nemail = [\"x\"]\nwebhook = \"ftp://u:hunter2@x\"\n[[comms.audience]]\nname = \"a\"\n\
             [comms.audience.page]\nkind = \"pigeon\"\n"
        );
        let found: Vec<String> = whole("c.toml", &text).unwrap_err().0.iter().map(ToString::to_string).collect();
        let text = found.join("\n");
        for part in [
            "c.toml:6:8: `from` is `noc`, which is no mail address",
            "c.toml:8:7: a password would travel in plain text",
            "c.toml:11:9: `email` has `x`",
            "c.toml:12:11: `webhook` is not a URL without a password",
            "c.toml:14:8: the name `a` stands twice",
            "lacks `key`",
            "`kind` of [page] is `pigeon`; allowed is pagerduty or opsgenie",
        ] {
            assert!(text.contains(part), "{part}\n---\n{text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
    }
}
