//! The dynamic configuration that puts a maintenance page before one tenant
//! (<https://doc.traefik.io/traefik/reference/routing-configuration/http/routing/rules-and-priority/>).

use crate::domain::id::TenantId;
use crate::domain::ports::VerbError;
use crate::domain::text::sanitize;
use serde_json::Value;
use std::fmt::Write as _;
use std::net::IpAddr;

const PREFIX: &str = "quarterdeck-maintenance-";
const SUFFIX: &str = ".yml";
/// Above every priority that follows from the length of a rule, and below what Traefik keeps for itself.
const PRIORITY: u32 = 1_000_000;

/// First words of each file that this program wrote.
pub(super) const MARK: &str = "# Quarterdeck: maintenance page of tenant ";

/// The page of one tenant; its names are safe in a path, in YAML and in a rule.
#[derive(Debug)]
pub(super) struct Page<'a> {
    tenant: &'a str,
    host: &'a str,
}

impl<'a> Page<'a> {
    /// Checks the names.
    pub(super) fn new(tenant: &'a TenantId, host: &'a str) -> Result<Self, VerbError> {
        let tenant = tenant.as_str();
        if !is_tenant(tenant) {
            let tenant = sanitize(tenant);
            let why = format!("the tenant id {tenant} can not name a file: letters, digits, '-', '_' and '.' can");
            return Err(VerbError::new(why));
        }
        if !is_host(host) {
            return Err(VerbError::new(format!("{} is no host name", sanitize(host))));
        }
        Ok(Self { tenant, host })
    }

    /// Name of the file.
    pub(super) fn file_name(&self) -> String {
        format!("{PREFIX}{}{SUFFIX}", self.tenant)
    }

    /// The whole file. Two routers, since Traefik gives requests with TLS only to routers that have a `tls` section;
    /// no entry points are named, so the host is caught at all of them. A path of the URL replaces the one that was
    /// asked for: Traefik leaves out the path of a server's URL.
    pub(super) fn content(&self, maintenance_url: &str, allowed: &[String]) -> Result<String, VerbError> {
        let bad = |why: &str| VerbError::new(format!("maintenance_url can not be used: {why}"));
        let url = reqwest::Url::parse(maintenance_url).map_err(|e| bad(&e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("it must begin with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(bad("it may have a host, a port and a path only"));
        }
        let server = url.origin().ascii_serialization();
        let (name, host) = (self.tenant, self.host);
        let mut rule = format!("Host(`{host}`)");
        for network in allowed {
            // ClientIP takes one value.
            let _ = write!(rule, " && !ClientIP(`{network}`)");
        }
        let path = Some(url.path()).filter(|p| *p != "/");
        let middlewares =
            if path.is_some() { format!("      middlewares: [\"{PREFIX}{name}\"]\n") } else { String::new() };
        let mut text = format!("{MARK}{name}. traefik.maintenance_off removes it.\nhttp:\n  routers:\n");
        for (router, tls) in [(PREFIX, ""), ("quarterdeck-tls-maintenance-", "      tls: {}\n")] {
            let _ = write!(
                text,
                "    \"{router}{name}\":\n      rule: \"{rule}\"\n      priority: {PRIORITY}\n      \
                 service: \"{PREFIX}{name}\"\n{middlewares}{tls}"
            );
        }
        if let Some(path) = path {
            let _ =
                write!(text, "  middlewares:\n    \"{PREFIX}{name}\":\n      replacePath:\n        path: \"{path}\"\n");
        }
        let _ = write!(
            text,
            "  services:\n    \"{PREFIX}{name}\":\n      loadBalancer:\n        servers:\n          - url: \"{server}\"\n"
        );
        Ok(text)
    }
}

/// Whether a file name is one that [`Page::file_name`] makes.
pub(super) fn is_file_name(name: &str) -> bool {
    name.strip_prefix(PREFIX).and_then(|n| n.strip_suffix(SUFFIX)).is_some_and(is_tenant)
}

pub(super) fn is_tenant(id: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    id.starts_with(|c: char| c.is_ascii_alphanumeric()) && id.len() <= 63 && id.chars().all(good)
}

pub(super) fn is_host(host: &str) -> bool {
    let label = |l: &str| {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        !l.is_empty() && l.len() <= 63 && l.chars().all(good) && !l.starts_with('-') && !l.ends_with('-')
    };
    host.len() <= 253 && host.split('.').all(label)
}

/// The networks of the argument `allow_from`: text with commas, or a list of texts.
pub(super) fn networks(argument: Option<&Value>) -> Result<Vec<String>, VerbError> {
    let wrong = || VerbError::new("allow_from must be networks such as 10.1.0.0/16, as a list or with commas between");
    let words: Vec<&str> = match argument {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => text.split(',').map(str::trim).filter(|w| !w.is_empty()).collect(),
        Some(Value::Array(list)) => {
            list.iter().map(|v| v.as_str().map(str::trim).ok_or_else(wrong)).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(wrong()),
    };
    words.into_iter().map(network).collect()
}

fn network(word: &str) -> Result<String, VerbError> {
    let bad = || VerbError::new(format!("allow_from: {} is no network such as 10.1.0.0/16", sanitize(word)));
    let (address, bits) = match word.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| bad())?)),
        None => (word, None),
    };
    let address: IpAddr = address.parse().map_err(|_| bad())?;
    let widest = if address.is_ipv4() { 32 } else { 128 };
    match bits {
        Some(bits) if bits <= widest => Ok(format!("{address}/{bits}")),
        Some(_) => Err(bad()),
        None => Ok(address.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn content(url: &str, allowed: &[&str]) -> String {
        let allowed: Vec<String> = allowed.iter().map(|a| (*a).to_owned()).collect();
        Page::new(&"t017".into(), "t017.example").unwrap().content(url, &allowed).unwrap()
    }

    #[test]
    fn the_page_is_two_routers_to_one_service() {
        assert_eq!(
            content("http://127.0.0.1:9000", &[]),
            r#"# Quarterdeck: maintenance page of tenant t017. traefik.maintenance_off removes it.
http:
  routers:
    "quarterdeck-maintenance-t017":
      rule: "Host(`t017.example`)"
      priority: 1000000
      service: "quarterdeck-maintenance-t017"
    "quarterdeck-tls-maintenance-t017":
      rule: "Host(`t017.example`)"
      priority: 1000000
      service: "quarterdeck-maintenance-t017"
      tls: {}
  services:
    "quarterdeck-maintenance-t017":
      loadBalancer:
        servers:
          - url: "http://127.0.0.1:9000"
"#
        );
    }

    #[test]
    fn operators_are_let_in_and_a_path_replaces_the_one_asked_for() {
        let text = content("https://pages.example/down.html", &["10.1.0.0/16", "::1"]);
        let yaml: Value = serde_saphyr::from_str(&text).unwrap();
        let router = &yaml["http"]["routers"]["quarterdeck-tls-maintenance-t017"];
        assert_eq!(router["rule"], "Host(`t017.example`) && !ClientIP(`10.1.0.0/16`) && !ClientIP(`::1`)");
        assert_eq!(router["middlewares"], json!(["quarterdeck-maintenance-t017"]));
        let http = &yaml["http"];
        assert_eq!(http["middlewares"]["quarterdeck-maintenance-t017"]["replacePath"]["path"], "/down.html");
        let server = &http["services"]["quarterdeck-maintenance-t017"]["loadBalancer"]["servers"][0]["url"];
        assert_eq!(server, "https://pages.example");
    }

    #[test]
    fn nothing_can_be_smuggled_into_a_path_a_rule_or_yaml() {
        for tenant in ["", "../x", "a/b", "a b", "a\"", ".a", "a\n", "{{x}}", "ü"] {
            assert!(Page::new(&tenant.into(), "a.example").is_err(), "{tenant:?}");
        }
        for host in ["", "a`) || Host(`b", "a\"", "a b", "a..b", "-a", "a:80", "*.a", "{{x}}", "a\n"] {
            assert!(Page::new(&"t".into(), host).is_err(), "{host:?}");
        }
        let tenant = "t".into();
        let page = Page::new(&tenant, "a.example").unwrap();
        for url in ["ftp://a", "http://u:p@a", "http://a?b", "http://a#b", "nonsense", ""] {
            assert!(page.content(url, &[]).is_err(), "{url:?}");
        }
        let odd = page.content("http://a/{{env \"X\"}}\\`", &[]).unwrap();
        assert!(!odd.contains("{{") && serde_saphyr::from_str::<Value>(&odd).is_ok(), "{odd}");
    }

    #[test]
    fn networks_are_texts_or_lists_and_checked() {
        assert_eq!(networks(None).unwrap(), Vec::<String>::new());
        assert_eq!(networks(Some(&json!("10.1.0.0/16, 192.0.2.7"))).unwrap(), ["10.1.0.0/16", "192.0.2.7"]);
        assert_eq!(networks(Some(&json!(["2001:DB8::/32"]))).unwrap(), ["2001:db8::/32"]);
        for wrong in [json!("10.0.0.0/33"), json!("a"), json!(["1.2.3.4`)"]), json!(7), json!([7]), json!("1.2.3.4/-1")]
        {
            assert!(networks(Some(&wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_our_own_file_names_are_ours() {
        assert!(is_file_name("quarterdeck-maintenance-t017.yml"));
        for other in ["base.yml", "quarterdeck-maintenance-.yml", "quarterdeck-maintenance-a.yaml", "x"] {
            assert!(!is_file_name(other), "{other}");
        }
    }
}
