//! `[[probe]]`: addresses that are asked from this machine, as people outside reach them.

use super::decode::{Ids, path, timeout};
use super::reader::Table;
use crate::domain::estate::Tenant;
use crate::domain::id::{SourceId, TenantId};
use ipnet::IpNet;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// `[[probe]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Source name.
    pub id: SourceId,
    /// What is asked.
    pub target: Target,
    /// `host` and port that are connected to, where they are not the target's own.
    pub connect: Option<(String, u16)>,
    /// Where its name has to lead; anywhere when empty.
    pub addresses: Vec<IpNet>,
    /// Whose address it is.
    pub tenant: Option<TenantId>,
    /// Answers of HTTP that are as they should be.
    pub status: Vec<RangeInclusive<u16>>,
    /// Own certificate authorities, PEM.
    pub ca: Option<PathBuf>,
    /// Time between two looks.
    pub interval: Duration,
    /// Time allowed for one, from the name to the answer.
    pub timeout: Duration,
}

/// What is spoken at the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP in the clear.
    Http,
    /// HTTP in TLS.
    Https,
    /// TLS alone: the handshake is all.
    Tls,
}

/// The parts of `url`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What is spoken.
    pub speaks: Speaks,
    /// Host name or address; an IPv6 address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path and query; `/` where none is given.
    pub path: String,
}

impl Target {
    /// `host:port`, an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

const URL: &str = "https://HOST/PATH, http://HOST/PATH or tls://HOST:PORT, without a user";

/// Reads `url`.
fn target(text: &str) -> Option<Target> {
    let url = reqwest::Url::parse(text).ok()?;
    let (speaks, standard) = match url.scheme() {
        "http" => (Speaks::Http, Some(80)),
        "https" => (Speaks::Https, Some(443)),
        "tls" => (Speaks::Tls, None),
        _ => return None,
    };
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return None;
    }
    let host = url.host_str().filter(|h| !h.is_empty())?.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = url.port().or(standard).filter(|p| *p > 0)?;
    let path = url.path().to_owned() + &url.query().map_or_else(String::new, |q| format!("?{q}"));
    // Of TLS alone nothing is asked.
    let bare = matches!(path.as_str(), "" | "/");
    if speaks == Speaks::Tls && !bare {
        return None;
    }
    Some(Target { speaks, host, port, path: if bare { "/".to_owned() } else { path } })
}

/// Reads `connect`.
fn address(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let fine =
        !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'));
    let port = port.parse().ok().filter(|p| *p > 0)?;
    fine.then(|| (host.to_owned(), port))
}

/// `203.0.113.7` or `203.0.113.0/24`.
fn net(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// `200` or `3xx`.
fn status(text: &str) -> Option<RangeInclusive<u16>> {
    let code = match text.strip_suffix("xx") {
        Some(class) => class.parse::<u16>().ok().filter(|c| (1..=5).contains(c)).map(|c| c * 100..=c * 100 + 99),
        None => text.parse::<u16>().ok().filter(|c| (100..=599).contains(c)).map(|c| c..=c),
    };
    code.filter(|_| text.len() == 3)
}

/// Decodes `[[probe]]`.
pub(super) fn all(tables: Vec<Table<'_, '_>>, ids: &mut Ids, tenants: &[Tenant]) -> Vec<Probe> {
    let one = |mut table: Table<'_, '_>| {
        let id = ids.source(&mut table, "probe");
        if !table.has("url") {
            table.reject("url", "[[probe]] lacks `url`; for example `url = \"https://t001.example/web/login\"`");
        }
        let target = table.string("url").and_then(|text| {
            let read = target(&text);
            if read.is_none() {
                // Not repeated: it may contain a password.
                table.reject("url", format!("`url` of [[probe]] is not {URL}"));
            }
            read
        });
        let connect = table.parsed("connect", "host:port, such as \"127.0.0.1:8443\"", address);
        let addresses = table.checked_strings("addresses", |text| match net(text) {
            Some(_) => Ok(()),
            None => Err(format!(
                "`{text}` is no address; allowed is one such as \"203.0.113.7\", or a net: \"203.0.113.0/24\""
            )),
        });
        let named = target.as_ref().is_none_or(|t| t.host.parse::<IpAddr>().is_err());
        if !addresses.is_empty() && (connect.is_some() || !named) {
            table.reject(
                "addresses",
                "`addresses` is where the name in `url` has to lead; with `connect`, or an address in `url`, no name is asked for",
            );
        }
        let addresses = addresses.iter().filter_map(|text| net(text)).collect();
        let tenant = table.string("tenant");
        if let Some(name) = tenant.as_ref().filter(|name| !tenants.iter().any(|t| t.id.as_str() == name.as_str())) {
            table.reject("tenant", format!("`tenant` names `{name}`, which is no [[tenant]]"));
        }
        let words = table.checked_strings("status", |text| match status(text) {
            Some(_) => Ok(()),
            None => Err(format!("`{text}` is no status of HTTP; allowed is one such as \"200\", or a class: \"3xx\"")),
        });
        let mut status: Vec<_> = words.iter().filter_map(|w| status(w)).collect();
        if !words.is_empty() && target.as_ref().is_some_and(|t| t.speaks == Speaks::Tls) {
            table.reject("status", "`status` is for http and https; tls:// ends with the handshake");
        }
        if status.is_empty() {
            status = vec![200..=399];
        }
        let ca = path(&mut table, "ca");
        let interval = table.duration("interval", Duration::from_secs(5), Duration::from_hours(1));
        let timeout = timeout(&mut table);
        table.finish();
        let target = target.unwrap_or(Target {
            speaks: Speaks::Https,
            host: "localhost".to_owned(),
            port: 443,
            path: "/".to_owned(),
        });
        let interval = interval.unwrap_or(Duration::from_secs(30)).max(timeout);
        Probe { id, target, connect, addresses, tenant: tenant.map(TenantId::new), status, ca, interval, timeout }
    };
    tables.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::decode::decode;

    const HEAD: &str = "[estate]\nname = \"e\"\nenvironment = \"production\"\n[[tenant]]\nid = \"t1\"\n[[probe]]\n";

    #[test]
    fn an_address_is_read_with_its_defaults() {
        let text = format!(
            "{HEAD}id = \"front\"\nurl = \"https://t1.example/web/login?db=t1\"\ntenant = \"t1\"\nstatus = [\"200\", \"3xx\"]\n\
             connect = \"[::1]:8443\"\n[[probe]]\nid = \"ldap\"\nurl = \"tls://ldap.example:636\"\ntimeout = \"8s\"\n\
             interval = \"5s\"\naddresses = [\"203.0.113.0/24\", \"2001:db8::7\"]\n"
        );
        let probes = decode("c.toml", &text).unwrap().probe;
        let front = &probes[0];
        assert_eq!((front.target.port, front.target.path.as_str()), (443, "/web/login?db=t1"));
        assert_eq!((front.connect.clone(), front.status.len()), (Some(("::1".to_owned(), 8443)), 2));
        assert!(front.status[1].contains(&303) && front.tenant.is_some());
        let ldap = &probes[1];
        assert_eq!((ldap.target.speaks, ldap.target.authority().as_str()), (Speaks::Tls, "ldap.example:636"));
        let leads = |text: &str| ldap.addresses.iter().any(|net| net.contains(&text.parse::<IpAddr>().unwrap()));
        assert!(leads("203.0.113.9") && leads("2001:db8::7") && !leads("203.0.114.9") && !leads("2001:db8::8"));
        assert_eq!(ldap.interval, Duration::from_secs(8), "no look begins before the one before it is over");
    }

    #[test]
    fn what_can_not_be_asked_is_a_sentence_with_its_place() {
        let said = |rest: &str| decode("c.toml", &format!("{HEAD}id = \"p\"\n{rest}")).unwrap_err().to_string();
        for (rest, expected) in [
            ("", "c.toml:6:1: [[probe]] lacks `url`"),
            ("url = \"ftp://h\"\n", "c.toml:8:7: `url` of [[probe]] is not https://HOST/PATH"),
            ("url = \"tls://h\"\n", "tls://HOST:PORT"),
            ("url = \"tls://h:1/x\"\n", "tls://HOST:PORT"),
            ("url = \"https://h\"\ntenant = \"t9\"\n", "`tenant` names `t9`, which is no [[tenant]]"),
            ("url = \"https://h\"\nconnect = \"h\"\n", "host:port, such as"),
            ("url = \"https://h\"\naddresses = [\"10.0.0.1/40\"]\n", "c.toml:9:14: `10.0.0.1/40` is no address"),
            ("url = \"https://10.0.0.1\"\naddresses = [\"10.0.0.1\"]\n", "no name is asked for"),
            ("url = \"https://h\"\nconnect = \"i:1\"\naddresses = [\"10.0.0.1\"]\n", "no name is asked for"),
            ("url = \"https://h\"\nstatus = [\"9xx\"]\n", "c.toml:9:11: `9xx` is no status of HTTP"),
            ("url = \"tls://h:1\"\nstatus = [\"200\"]\n", "ends with the handshake"),
        ] {
            let found = said(rest);
            assert!(found.contains(expected), "{found}, not {expected}");
        }
        let hidden = said("url = \"https://u:hunter2@h\"\n");
        assert!(!hidden.contains("hunter2") && hidden.contains("without a user"), "{hidden}");
    }
}
