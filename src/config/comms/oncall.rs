//! `[[comms.oncall]]`: a duty whose people change, by a roster file, by the schedule of a service, or by both.

use super::{HTTP, PagerKind, unique};
use crate::config::decode::{path, secret_of, url};
use crate::config::model::SecretRef;
use crate::config::reader::Table;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// Time between two questions to a service.
const INTERVAL: Duration = Duration::from_mins(1);
/// The services count requests a minute: more often than this would take them from others.
const SHORTEST: Duration = Duration::from_secs(10);
/// Time allowed for one question.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest id or name of a schedule, in characters.
const LONGEST: usize = 200;

/// `[[comms.oncall]]`: a name for whoever is on call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duty {
    /// Name, as playbooks say it: `dba-oncall`.
    pub name: String,
    /// File with the rotation; beside a schedule it counts where that is not known.
    pub roster: Option<PathBuf>,
    /// Schedule that a service keeps.
    pub schedule: Option<Schedule>,
    /// How long whoever was called may take to acknowledge it.
    pub within: Duration,
    /// Audiences that are called when nobody of the rotation answers.
    pub then: Vec<String>,
}

/// `[comms.oncall.schedule]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Whose interface.
    pub kind: PagerKind,
    /// Id of the schedule, or its name where `by_name`.
    pub id: String,
    /// Opsgenie knows schedules by name, too.
    pub by_name: bool,
    /// Where the interface is, without a path: the region of the account is in it.
    pub url: String,
    /// API key, one that may only read where the service has such.
    pub key: SecretRef,
    /// The reference of the key as it stands in the configuration.
    pub key_shown: String,
    /// Whose authorities vouch for it, and from which version of TLS on.
    pub ca: crate::config::tls::Ca,
    /// Time between two questions.
    pub interval: Duration,
    /// Time allowed for one question, all its pages together.
    pub timeout: Duration,
}

impl Schedule {
    /// What people call it.
    pub fn shown(&self) -> String {
        let service = match self.kind {
            PagerKind::Pagerduty => "PagerDuty",
            PagerKind::Opsgenie => "Opsgenie",
        };
        format!("the {service} schedule {}", crate::domain::text::sanitize(&self.id))
    }
}

pub(super) fn duty(mut table: Table<'_, '_>, audiences: &[String], seen: &mut BTreeSet<String>) -> Duty {
    let name = unique(&mut table, "name", "dba-oncall", seen);
    let roster = path(&mut table, "roster");
    let has = table.has("schedule");
    let schedule = table.table("schedule").and_then(schedule);
    if roster.is_none() && !has {
        let example = "`roster = \"dba-roster.toml\"`, or a [comms.oncall.schedule]";
        table.reject("roster", format!("[[comms.oncall]] says nowhere who is on call; it needs {example}"));
    }
    let within = table.duration("acknowledge_within", Duration::from_secs(1), Duration::from_hours(24));
    let then = table.checked_strings("then", |name| {
        let why = || format!("`{name}` is no [[comms.audience]]; there are {}", audiences.join(", "));
        audiences.iter().any(|a| a == name).then_some(()).ok_or_else(why)
    });
    table.finish();
    Duty { name, roster, schedule, within: within.unwrap_or(Duration::from_mins(5)), then }
}

fn schedule(mut table: Table<'_, '_>) -> Option<Schedule> {
    if !table.has("kind") {
        table.reject("kind", "[comms.oncall.schedule] lacks `kind`; allowed is pagerduty or opsgenie");
    }
    let kind = table.parsed("kind", "pagerduty or opsgenie", |text| match text {
        "pagerduty" => Some(PagerKind::Pagerduty),
        "opsgenie" => Some(PagerKind::Opsgenie),
        _ => None,
    });
    let (id, named) = (table.string("id"), table.string("name"));
    let by_name = named.is_some();
    match (&id, &named, kind) {
        (None, None, _) if !table.has("id") && !table.has("name") => {
            table.reject("id", "[comms.oncall.schedule] lacks `id`; for example `id = \"PI7DH85\"`");
        }
        (Some(_), Some(_), _) => table.reject("name", "give either `id` or `name` of the schedule, not both"),
        (None, Some(_), Some(PagerKind::Pagerduty)) => {
            table.reject(
                "name",
                "PagerDuty knows schedules by `id` only; it stands in the address of the schedule's page",
            );
        }
        _ => {}
    }
    let id = id.or(named).unwrap_or_default();
    let is_text = |text: &str| {
        let long = text.chars().count() > LONGEST;
        !text.trim().is_empty() && !long && !text.chars().any(crate::domain::text::is_hostile)
    };
    if (table.has("id") || table.has("name")) && !is_text(&id) {
        let key = if by_name { "name" } else { "id" };
        table.reject(key, format!("`{key}` of the schedule is not one line of 1 to {LONGEST} characters"));
    }
    let url = url(&mut table, "url", &HTTP).unwrap_or_else(|| {
        match kind {
            Some(PagerKind::Opsgenie) => "https://api.opsgenie.com",
            _ => "https://api.pagerduty.com",
        }
        .to_owned()
    });
    if !table.has("key") {
        table.reject("key", "[comms.oncall.schedule] lacks `key`; for example `key = \"env:PAGERDUTY_TOKEN\"`");
    }
    let key = secret_of(&mut table, "key");
    let key_shown = if key.is_some() { table.string("key").unwrap_or_default() } else { String::new() };
    let ca = crate::config::tls::ca(&mut table);
    let interval = table.duration("interval", SHORTEST, Duration::from_hours(1)).unwrap_or(INTERVAL);
    let timeout = table.duration("timeout", Duration::from_millis(50), Duration::from_mins(1)).unwrap_or(TIMEOUT);
    table.finish();
    Some(Schedule { kind: kind?, id, by_name, url, key: key?, key_shown, ca, interval, timeout })
}

#[cfg(test)]
mod tests {
    use crate::config::decode::decode;

    const ESTATE: &str = "[estate]\nname = \"a\"\nenvironment = \"staging\"\n[[comms.audience]]\nname = \"ines\"\n";

    #[test]
    fn a_duty_is_kept_by_a_file_or_by_a_service_of_either_region() {
        let text = format!(
            "{ESTATE}[[comms.oncall]]\nname = \"dba\"\nthen = [\"ines\"]\n[comms.oncall.schedule]\nkind = \"pagerduty\"\n\
             id = \"PI7DH85\"\nkey = \"env:PD\"\n[[comms.oncall]]\nname = \"ops\"\nroster = \"r.toml\"\n[comms.oncall.schedule]\n\
             kind = \"opsgenie\"\nname = \"Bereitschaft / Nacht\"\nkey = \"file:/k\"\nurl = \"https://api.eu.opsgenie.com\"\n\
             interval = \"30s\"\n"
        );
        let oncall = decode("c.toml", &text).unwrap().comms.oncall;
        let (first, second) = (oncall[0].schedule.as_ref().unwrap(), oncall[1].schedule.as_ref().unwrap());
        assert_eq!(
            (first.url.as_str(), first.by_name, first.interval.as_secs()),
            ("https://api.pagerduty.com", false, 60)
        );
        assert_eq!(first.shown(), "the PagerDuty schedule PI7DH85");
        assert_eq!((second.url.as_str(), second.by_name), ("https://api.eu.opsgenie.com", true));
        assert!(oncall[0].roster.is_none() && oncall[1].roster.is_some());
    }

    #[test]
    fn what_is_wrong_with_a_schedule_is_said_with_its_place() {
        let text = format!(
            "{ESTATE}[[comms.oncall]]\nname = \"a\"\n[[comms.oncall]]\nname = \"b\"\n[comms.oncall.schedule]\nkind = \"pigeon\"\n\
             key = \"hunter2\"\ncolour = 1\n[[comms.oncall]]\nname = \"c\"\n[comms.oncall.schedule]\nkind = \"pagerduty\"\n\
             name = \"night\"\nkey = \"env:K\"\nurl = \"https://u:hunter2@x\"\ninterval = \"1s\"\n"
        );
        let found = decode("c.toml", &text).unwrap_err().to_string();
        for part in [
            "c.toml:6:1: [[comms.oncall]] says nowhere who is on call",
            "c.toml:11:8: `kind` of [schedule] is `pigeon`; allowed is pagerduty or opsgenie",
            "lacks `id`; for example `id = \"PI7DH85\"`",
            "c.toml:12:7: `key` is not a reference",
            "c.toml:13:1: unknown key `colour`",
            "c.toml:18:8: PagerDuty knows schedules by `id` only",
            "c.toml:20:7: `url` is not a URL without a password",
            "c.toml:21:12: `interval` of [schedule] is",
        ] {
            assert!(found.contains(part), "{part}\n---\n{found}");
        }
        assert!(!found.contains("hunter2"), "{found}");
    }
}
