//! From the text of `policy.toml` to its values. Each table is read in one function, which is the one place that lists
//! its keys, bounds and defaults; then what can not work is refused at its place: nobody who may approve, a quorum that
//! nobody can reach.

use super::{ApprovalRule, Held, Member, Policy, Raise, Right, SecondFactor, Window, WindowKind};
use crate::config::problem::Problems;
use crate::config::reader::{self, Source, Table};
use crate::domain::estate::{Environment, Tenancy};
use crate::domain::id::{Digest, Person};
use crate::domain::incident::{Role, Severity};
use crate::domain::risk::{BlastRadius, Risk};
use crate::policy::commands::Allowed;
use crate::policy::sshsig::{Authority, PublicKey, Revoked};
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);
const ROLES: &str = "commander, deputy, operator, dba, comms, scribe, approver, business-owner, observer";
const RISKS: &str = "low, medium, high";

/// A word of the file as the value of that name.
fn word<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_value(text.into()).ok()
}

/// Numbers of the file that are small by their bounds.
fn small<T: TryFrom<i64>>(number: Option<i64>) -> Option<T> {
    number.and_then(|n| T::try_from(n).ok())
}

pub(super) fn decode(file: &str, text: &str) -> Result<Policy, Problems> {
    let source = Source::new(file, text);
    let root = reader::parse(file, text)?;
    let policy = whole(Table::root(&source, &root), Digest::from_bytes(&Sha256::digest(text).into()));
    let problems = source.into_problems();
    if problems.is_empty() { Ok(policy) } else { Err(Problems(problems)) }
}

fn whole(mut root: Table<'_, '_>, digest: Digest) -> Policy {
    let people = people(root.tables("person"));
    let known: BTreeSet<Person> = people.iter().map(|m| m.person.clone()).collect();
    let authorities: Vec<Authority> =
        root.tables("authority").into_iter().filter_map(|t| authority(t, &known)).collect();
    let revoked_file = root.string("revoked");
    let raises = root.tables("raise").into_iter().map(raise).collect();
    let mut approvals = BTreeMap::new();
    let mut table = root.table("approvals");
    for (name, risk) in [("low", Risk::Low), ("medium", Risk::Medium), ("high", Risk::High)] {
        let below = table.as_mut().and_then(|t| t.table(name));
        approvals.insert(
            risk,
            below.map_or_else(ApprovalRule::strict, |t| approval(t, risk, &people, !authorities.is_empty())),
        );
    }
    if let Some(table) = table {
        table.finish();
    }
    let rights = root.tables("right").into_iter().filter_map(|t| right(t, &people)).collect();
    let windows = root.tables("window").into_iter().filter_map(window).collect();
    let (freeze_may_act, freeze_approver) =
        root.table("freeze").map_or((Vec::new(), Role::Approver), |t| freeze(t, &people));
    let strict = Policy::default();
    let (glass, waives) = root.table("glass").map_or((strict.glass, Vec::new()), glass);
    let (elevation_by, elevation_mfa, elevation_longest) =
        root.table("elevation").map_or((Vec::new(), Vec::new(), strict.elevation_longest), |t| elevation(t, &people));
    let commands = root.tables("command").into_iter().filter_map(command).collect();
    let automation = root.table("automation").is_some_and(automation);
    let (mfa_from, mfa_source) = root.table("mfa").map_or((None, None), mfa);
    let roster_quorum = root.table("roster").map_or(1, |mut t| {
        let quorum = small(t.integer("quorum", 1, 9)).unwrap_or(1_u8);
        if !people.is_empty() && people.len() <= usize::from(quorum) {
            let why = format!(
                "{quorum} people besides the proposer have to sign a change, and the roster has {} people in all",
                people.len()
            );
            t.reject("quorum", why);
        }
        t.finish();
        quorum
    });
    let recovery_accepted = root.table("closing").and_then(|mut t| {
        let severity = t.parsed("recovery_accepted", "SEV1, SEV2, SEV3, SEV4", word::<Severity>);
        if severity.is_some() && !people.is_empty() && !any(&people, Role::BusinessOwner) {
            t.reject(
                "recovery_accepted",
                "nobody in the roster is business-owner, so no such incident could be closed",
            );
        }
        t.finish();
        severity
    });
    root.finish();
    Policy {
        digest,
        people,
        authorities,
        revoked_file,
        revoked: Revoked::default(),
        raises,
        approvals,
        rights,
        windows,
        freeze_may_act,
        freeze_approver,
        glass,
        glass_waives_approvals: waives.iter().any(|w| w == "approvals"),
        glass_waives_witnesses: waives.iter().any(|w| w == "witnesses"),
        elevation_by,
        elevation_mfa,
        elevation_longest,
        commands,
        automation,
        mfa_from,
        mfa_source,
        roster_quorum,
        recovery_accepted,
    }
}

fn any(people: &[Member], role: Role) -> bool {
    people.iter().any(|m| m.roles.iter().any(|h| h.role == role))
}

fn roles(table: &mut Table<'_, '_>, key: &'static str) -> Vec<Role> {
    let mut all = Vec::new();
    for text in table.strings(key) {
        match word(&text) {
            Some(role) => all.push(role),
            None => table.reject(key, format!("`{text}` is no role; there are {ROLES}")),
        }
    }
    all
}

fn people(tables: Vec<Table<'_, '_>>) -> Vec<Member> {
    let mut all: Vec<Member> = Vec::new();
    for mut table in tables {
        let person = Person::new(table.required("name", "ines"));
        if all.iter().any(|m| m.person == person) {
            table.reject("name", format!("{person} is there already; one person is one entry, with all their keys"));
        }
        let user = table.string("user");
        let uid = small(table.integer("uid", 0, i64::from(u32::MAX)));
        if user.is_none() && uid.is_none() {
            table.reject("user", format!("{person} has neither `user` nor `uid`, so that no console can be theirs"));
        }
        if uid.is_none() && user.is_some() && all.iter().any(|m| m.user == user) {
            table.reject("user", "this login name stands for another person already");
        }
        if uid.is_some() && all.iter().any(|m| m.uid == uid && (m.user == user || m.user.is_none() || user.is_none())) {
            table.reject("uid", "this user id stands for another person already");
        }
        let oidc = table.string("oidc");
        let named = oidc.as_deref().unwrap_or(person.as_str());
        if all.iter().any(|m| m.person != person && m.oidc.as_deref().unwrap_or(m.person.as_str()) == named) {
            let key = if oidc.is_some() { "oidc" } else { "name" };
            table.reject(key, format!("`{named}` is what the identity provider calls another person already"));
        }
        let mut roles = Vec::new();
        for text in table.strings("roles") {
            match held(&text) {
                Ok(held) => roles.push(held),
                Err(why) => table.reject("roles", why),
            }
        }
        let mut keys: Vec<PublicKey> = Vec::new();
        for text in table.strings("keys") {
            match PublicKey::parse(&text) {
                Ok(key) if all.iter().any(|m| m.keys.contains(&key)) || keys.contains(&key) => {
                    table.reject("keys", format!("the key {} is there already", key.fingerprint()));
                }
                Ok(key) => keys.push(key),
                Err(why) => table.reject("keys", format!("a key of {person}: {why}")),
            }
        }
        table.finish();
        all.push(Member { person, user, uid, oidc, roles, keys });
    }
    all
}

/// `approver`, or `approver until 2027-06-30T22:00:00Z`.
fn held(text: &str) -> Result<Held, String> {
    let (role, until) = match text.split_once(" until ") {
        None => (text, None),
        Some((role, time)) => {
            let time = time
                .trim()
                .parse()
                .map_err(|_| format!("`{time}` in `{text}` is no moment; one is written like 2027-06-30T22:00:00Z"))?;
            (role, Some(time))
        }
    };
    let role = word(role.trim()).ok_or_else(|| format!("`{role}` is no role; there are {ROLES}"))?;
    Ok(Held { role, until })
}

fn authority(mut table: Table<'_, '_>, known: &BTreeSet<Person>) -> Option<Authority> {
    let text = table.required("key", "ssh-ed25519 AAAA... ca");
    let mut principals = Vec::new();
    for text in table.strings("principals") {
        match text.split_once('=').map(|(principal, person)| (principal.trim(), Person::new(person.trim()))) {
            Some((principal, person)) if known.contains(&person) => principals.push((principal.to_owned(), person)),
            Some((_, person)) => table.reject("principals", format!("{person} is not in the roster")),
            None => table.reject("principals", format!("`{text}` is not of the form PRINCIPAL=PERSON")),
        }
    }
    let key = match PublicKey::parse(&text) {
        Ok(key) => Some(key),
        Err(_) if text.is_empty() => None,
        Err(why) => {
            table.reject("key", format!("the key of the authority: {why}"));
            None
        }
    };
    table.finish();
    Some(Authority { key: key?, principals })
}

fn raise(mut table: Table<'_, '_>) -> Raise {
    table.required("to", "high");
    let to = table.parsed("to", RISKS, word::<Risk>);
    let environments = table.strings("environment");
    let allowed = "production, staging, development";
    let mut known = Vec::new();
    for text in &environments {
        match word::<Environment>(text) {
            Some(environment) => known.push(environment),
            None => table.reject("environment", format!("`{text}` is no environment; there are {allowed}")),
        }
    }
    let window = table.parsed("window", "production", |w| (w == "production").then_some(()));
    let raise = Raise {
        to,
        verb: table.string("verb"),
        environments: known,
        tenancy: table.parsed("tenancy", "multi-tenant, dedicated", word::<Tenancy>),
        blast_radius: table.parsed("blast_radius", "pod, tenant, cluster, region", word::<BlastRadius>),
        irreversible: table.boolean("irreversible"),
        shared: table.boolean("shared"),
        tenants_over: small(table.integer("tenants_over", 0, 1_000_000)),
        objects_over: small(table.integer("objects_over", 0, 1_000_000)),
        in_production_window: window.is_some(),
        frozen: table.boolean("frozen").unwrap_or(false),
        because: table.required("because", "it reaches a region"),
    };
    table.finish();
    raise
}

fn approval(mut table: Table<'_, '_>, risk: Risk, people: &[Member], certified: bool) -> ApprovalRule {
    let mut quorum = |key| small::<u8>(table.integer(key, 0, 9));
    let plain = quorum("quorum").unwrap_or_else(|| u8::from(risk == Risk::High));
    let (shared, several) = (quorum("quorum_shared").unwrap_or(plain), quorum("quorum_several").unwrap_or(plain));
    let roles = roles(&mut table, "roles");
    let timeout = table.duration("timeout", MINUTE, DAY).unwrap_or(Duration::from_mins(15));
    let allowed = "deny or escalate";
    let escalates = table.parsed("on_timeout", allowed, |w| match w {
        "deny" => Some(false),
        "escalate" => Some(true),
        _ => None,
    });
    if risk == Risk::High && plain == 0 {
        table.reject("quorum", "high risk needs at least one other person's approval");
    }
    let most = plain.max(shared).max(several);
    if !people.is_empty() && most > 0 {
        let may = people.iter().filter(|m| roles.is_empty() || m.roles.iter().any(|h| roles.contains(&h.role)));
        let (may, signing): (Vec<&Member>, usize) = {
            let may: Vec<&Member> = may.collect();
            let signing = may.iter().filter(|m| !m.keys.is_empty()).count();
            (may, signing)
        };
        let named: Vec<String> = roles.iter().map(ToString::to_string).collect();
        let who = if named.is_empty() { "anybody".to_owned() } else { named.join(" or ") };
        let key = if table.has("roles") { "roles" } else { "quorum" };
        if may.is_empty() {
            table.reject(key, format!("nobody in the roster may approve {risk} risk: it takes {who}"));
        } else if may.len() < usize::from(most) {
            let why = format!("{most} approvals are asked for, and {} in the roster may give one ({who})", may.len());
            table.reject(key, why);
        } else if people.len() <= usize::from(most) {
            let why = format!(
                "{most} people besides the one who asks have to approve, and the roster has {} people in all",
                people.len()
            );
            table.reject(key, why);
        } else if signing == 0 && !certified {
            table.reject(key, format!("nobody who may approve {risk} risk has a key"));
        }
    }
    table.finish();
    ApprovalRule {
        quorum: plain,
        quorum_shared: shared,
        quorum_several: several,
        roles,
        timeout,
        escalates: escalates.unwrap_or(false),
    }
}

fn right(mut table: Table<'_, '_>, people: &[Member]) -> Option<Right> {
    let verbs = table.strings("verbs");
    if verbs.is_empty() {
        table.reject("verbs", "a decision right names the verbs that it is about, for example verbs = [\"cnpg.*\"]");
    }
    let from = table.parsed("risk", RISKS, word::<Risk>).unwrap_or(Risk::Low);
    table.required("needs", "business-owner");
    let needs = table.parsed("needs", ROLES, word::<Role>);
    if let Some(role) = needs
        && !people.is_empty()
        && !any(people, role)
    {
        table.reject("needs", format!("nobody in the roster is {role}, so these verbs could never be approved"));
    }
    let because = table.required("because", "it decides how much data is lost");
    table.finish();
    Some(Right { verbs, from, needs: needs?, because })
}

fn window(mut table: Table<'_, '_>) -> Option<Window> {
    let name = table.required("name", "month-end closing");
    table.required("kind", "freeze");
    let kind = table.parsed("kind", "production, freeze, change", |w| match w {
        "production" => Some(WindowKind::Production),
        "freeze" => Some(WindowKind::Freeze),
        "change" => Some(WindowKind::Change),
        _ => None,
    });
    table.required("zone", "Europe/Berlin");
    let zone = table.parsed("zone", "a time zone such as \"Europe/Berlin\"", |name| TimeZone::get(name).ok());
    let mut days = Vec::new();
    for text in table.strings("days") {
        match text.as_str() {
            "mon" => days.push(Weekday::Monday),
            "tue" => days.push(Weekday::Tuesday),
            "wed" => days.push(Weekday::Wednesday),
            "thu" => days.push(Weekday::Thursday),
            "fri" => days.push(Weekday::Friday),
            "sat" => days.push(Weekday::Saturday),
            "sun" => days.push(Weekday::Sunday),
            _ => table.reject("days", format!("`{text}` is no day; there are mon, tue, wed, thu, fri, sat and sun")),
        }
    }
    let from = table.parsed("from", "a time of day such as \"06:00\"", |t| t.parse().ok());
    let to = table.parsed("to", "a time of day such as \"22:00\"", |t| t.parse().ok());
    if table.has("from") != table.has("to") {
        let (there, missing) = if table.has("from") { ("from", "to") } else { ("to", "from") };
        table.reject(there, format!("`{there}` stands alone; `{missing}` is needed too"));
    }
    let moment = "a moment of that zone such as \"2026-12-28T00:00\"";
    let start = table.parsed("start", moment, |t| t.parse().ok());
    let end = table.parsed("end", moment, |t| t.parse().ok());
    if let (Some(start), Some(end)) = (start, end)
        && end <= start
    {
        table.reject("end", "the window ends before it begins");
    }
    table.finish();
    Some(Window { name, kind: kind?, zone: zone?, days, hours: from.zip(to), start, end })
}

fn freeze(mut table: Table<'_, '_>, people: &[Member]) -> (Vec<Role>, Role) {
    let may_act = roles(&mut table, "may_act");
    let approver = table.parsed("approver", ROLES, word::<Role>);
    if let Some(role) = approver
        && !people.is_empty()
        && !any(people, role)
    {
        let why = format!("nobody in the roster is {role}, so nothing could run outside a change window");
        table.reject("approver", why);
    }
    if approver == Some(Role::Observer) {
        table.reject("approver", "an observer approves nothing");
    }
    table.finish();
    (may_act, approver.unwrap_or(Role::Approver))
}

fn glass(mut table: Table<'_, '_>) -> (Duration, Vec<String>) {
    let lasts = table.duration("lasts", MINUTE, Duration::from_hours(4)).unwrap_or(Duration::from_mins(30));
    let waives = table.strings("waives");
    for other in waives.iter().filter(|w| !["approvals", "witnesses"].contains(&w.as_str())) {
        let why =
            format!("a broken glass can not waive `{other}`; allowed are approvals and witnesses, never the journal");
        table.reject("waives", why);
    }
    table.finish();
    (lasts, waives)
}

fn elevation(mut table: Table<'_, '_>, people: &[Member]) -> (Vec<Role>, Vec<Role>, Duration) {
    let by = roles(&mut table, "granted_by");
    if !people.is_empty() && !by.is_empty() && !by.iter().any(|role| any(people, *role)) {
        table.reject("granted_by", "nobody in the roster holds one of these roles");
    }
    let mfa = roles(&mut table, "mfa");
    let longest = table.duration("longest", MINUTE, DAY).unwrap_or(Duration::from_hours(1));
    table.finish();
    (by, mfa, longest)
}

fn command(mut table: Table<'_, '_>) -> Option<Allowed> {
    let path = table.required("path", "/usr/local/bin/failover-dns");
    if !path.is_empty() && !path.starts_with('/') {
        table.reject("path", format!("`{path}` is no absolute path"));
    }
    table.required("sha256", "the output of sha256sum");
    let sha256 = table.parsed("sha256", "64 digits from 0 to 9 and a to f", Digest::parse);
    let args = table.strings("args");
    table.finish();
    Some(Allowed { path: path.into(), sha256: sha256?.to_string(), args })
}

fn automation(mut table: Table<'_, '_>) -> bool {
    let low = table.boolean("low_risk").unwrap_or(false);
    table.finish();
    low
}

fn mfa(mut table: Table<'_, '_>) -> (Option<Risk>, Option<SecondFactor>) {
    let from = table.parsed("from", RISKS, word::<Risk>);
    let source = table.parsed("source", "security-key, oidc", |w| match w {
        "security-key" => Some(SecondFactor::SecurityKey),
        "oidc" => Some(SecondFactor::Oidc),
        _ => None,
    });
    table.finish();
    (from, source)
}
