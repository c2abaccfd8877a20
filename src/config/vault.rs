//! `[[vault]]`: a Vault or an `OpenBao` that references to secrets may name (`vault:ID/PATH#KEY`).

use super::anchor::required_secret;
use super::decode::{name, required_url};
use super::reader::Table;
use super::secret::vault::{Login, Vault};
use crate::config::model::SecretRef;
use std::sync::Arc;

/// Decodes `[[vault]]`.
pub(super) fn all(tables: Vec<Table<'_, '_>>) -> Vec<Arc<Vault>> {
    let mut all: Vec<Arc<Vault>> = Vec::new();
    for mut table in tables {
        let id = name(&mut table, "id", "vault-1");
        if all.iter().any(|v| v.id == id) {
            table.reject("id", format!("`{id}` is the name of a vault already"));
        }
        let url = required_url(&mut table, "url", &["https://", "http://"], "https://vault.internal:8200");
        if url.starts_with("http://") && !is_here(&url) {
            let message = "`url` is http, by which everybody on the way could read the token and the secrets; allowed is https, \
                           and http on this machine (127.0.0.1, localhost)";
            table.reject("url", message);
        }
        let ca = super::tls::ca(&mut table);
        let namespace = table.string("namespace");
        let mount = table.string("mount").map_or_else(|| "secret".to_owned(), |m| m.trim_matches('/').to_owned());
        let login = login(&mut table);
        table.finish();
        all.push(Arc::new(Vault::new((id, url, ca), namespace, mount, login)));
    }
    all
}

/// Whether a URL leads to this machine.
pub(super) fn is_here(url: &str) -> bool {
    let host = reqwest::Url::parse(url).ok().and_then(|u| u.host_str().map(str::to_owned)).unwrap_or_default();
    host == "localhost" || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// One of three ways.
fn login(table: &mut Table<'_, '_>) -> Login {
    let token = table.has("token");
    let by_token = super::decode::secret_of(table, "token");
    let by_role = table.table("approle").map(|mut t| {
        let mount = t.string("mount").unwrap_or_else(|| "approle".to_owned());
        let (role_id, secret_id) =
            (t.required("role_id", "9f2c…"), required_secret(&mut t, "secret_id", "file:/run/q/id"));
        t.finish();
        Login::AppRole { mount, role_id, secret_id }
    });
    let by_account = table.table("kubernetes").map(|mut t| {
        let mount = t.string("mount").unwrap_or_else(|| "kubernetes".to_owned());
        let (role, token) = (t.required("role", "quarterdeck"), required_secret(&mut t, "token", "file:/run/q/token"));
        t.finish();
        Login::Kubernetes { mount, role, token }
    });
    let ways = [token, by_role.is_some(), by_account.is_some()].into_iter().filter(|given| *given).count();
    if ways != 1 {
        let key = if token { "token" } else { "id" };
        table.reject(key, "[[vault]] needs one of `token`, `approle` and `kubernetes`, by which it is logged in to");
    }
    by_role.or(by_account).unwrap_or_else(|| Login::Token(by_token.unwrap_or(SecretRef::Env(String::new()))))
}

#[cfg(test)]
mod tests {
    use super::Login;
    use crate::config::decode::decode;
    use crate::config::model::{Config, SecretRef};

    const HEAD: &str =
        "[estate]\nname = \"e\"\nenvironment = \"production\"\n[[kubernetes]]\nid = \"k8s-1\"\nkubeconfig = \"/k\"\n";
    const VAULT: &str = "[[vault]]\nid = \"v\"\nurl = \"https://v.internal:8200/\"\n";

    fn read(text: &str) -> Result<Config, String> {
        decode("c.toml", &format!("{HEAD}{text}\n")).map_err(|e| e.to_string())
    }

    fn password(reference: &str) -> Result<SecretRef, String> {
        let pg = format!("[[postgres]]\nid = \"p\"\nhost = \"h\"\nuser = \"u\"\npassword = \"{reference}\"\n");
        let config = read(&format!("{VAULT}token = \"env:T\"\n{pg}"))?;
        Ok(config.postgres[0].observe.password.clone().unwrap())
    }

    #[test]
    fn a_reference_names_a_cluster_or_a_vault_that_is_configured() {
        let Ok(SecretRef::Vault(at)) = password("vault:v/odoo/pg#password") else { panic!() };
        assert_eq!(
            (at.path.as_str(), at.key.as_str(), at.vault.url.as_str()),
            ("odoo/pg", "password", "https://v.internal:8200")
        );
        assert_eq!(at.vault.mount, "secret");
        let Ok(SecretRef::Kubernetes(at)) = password("kubernetes:k8s-1/odoo/pg#password") else { panic!() };
        assert_eq!((at.namespace.as_str(), at.name.as_str(), at.key.as_str()), ("odoo", "pg", "password"));
        assert_eq!(at.kubeconfig.to_str(), Some("/k"));
        let said = password("vault:w/odoo/pg#password").unwrap_err();
        assert!(said.contains("`password` names `w`, which is no [[vault]]; known: v"), "{said}");
        let said = password("kubernetes:k9/a/b#c").unwrap_err();
        assert!(said.contains("`password` names `k9`, which is no [[kubernetes]]; known: k8s-1"), "{said}");
        for wrong in [
            "vault:v/odoo",
            "vault:v#k",
            "vault:v/a/../b#k",
            "kubernetes:k8s-1/a#k",
            "kubernetes:k8s-1/a/b/c#k",
            "hunter2#x",
        ] {
            let said = password(wrong).unwrap_err();
            assert!(said.contains("is not a reference") && !said.contains(wrong), "{said}");
        }
    }

    #[test]
    fn a_vault_has_one_way_to_log_in_and_no_open_line() {
        let of = |text: &str| read(&format!("{VAULT}{text}"));
        let role = "approle = { role_id = \"r\", secret_id = \"file:/s\" }";
        let config = of(role).unwrap();
        assert!(matches!(&config.vaults[0].login, Login::AppRole { mount, .. } if mount == "approle"));
        let config = of("kubernetes = { role = \"q\", token = \"file:/t\", mount = \"k8s\" }").unwrap();
        assert!(matches!(&config.vaults[0].login, Login::Kubernetes { mount, .. } if mount == "k8s"));
        for (text, said) in [
            ("", "needs one of `token`, `approle` and `kubernetes`"),
            (&format!("token = \"env:T\"\n{role}"), "needs one of `token`"),
            ("token = \"hvs.abc\"", "`token` is not a reference"),
            ("token = \"vault:v/a#b\"", "which is no [[vault]]; known: none is configured"),
            ("approle = { role_id = \"r\" }", "secret_id"),
            ("token = \"env:T\"\nmuont = \"x\"", "unknown key `muont`"),
        ] {
            let why = of(text).unwrap_err();
            assert!(why.contains(said), "{text}: {why}");
        }
        let open = |url: &str| read(&format!("[[vault]]\nid = \"v\"\nurl = \"{url}\"\ntoken = \"env:T\"\n"));
        assert!(open("http://vault.internal:8200").unwrap_err().contains("could read the token"));
        assert!(open("http://127.0.0.1:8200").is_ok() && open("http://[::1]:8200").is_ok());
        let twice = format!("{VAULT}token = \"env:T\"\n{VAULT}token = \"env:T\"\n");
        assert!(read(&twice).unwrap_err().contains("is the name of a vault already"));
    }
}
