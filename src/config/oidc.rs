//! `[oidc]`: the identity provider at which a person proves a second factor.

use super::decode::{required_url, secret_of};
use super::model::{Ca, SecretRef};
use super::reader::Table;
use std::time::Duration;

const MINUTE: Duration = Duration::from_mins(1);

/// `[oidc]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oidc {
    /// The provider, as its tokens name it.
    pub issuer: String,
    /// What we are called there.
    pub client_id: String,
    /// What proves that, where the client is confidential.
    pub client_secret: Option<SecretRef>,
    /// Whose authorities vouch for it, and from which version of TLS on.
    pub ca: Ca,
    /// The claim that names the person.
    pub name: String,
    /// Values of `acr` that say that a second factor was proven.
    pub acr: Vec<String>,
    /// Values of `amr` (RFC 8176) of which each says so.
    pub amr: Vec<String>,
    /// How long ago the person may have authenticated.
    pub max_age: Duration,
    /// How far the provider's clock may be off.
    pub clock_skew: Duration,
}

/// Decodes `[oidc]`.
pub(super) fn one(mut table: Table<'_, '_>) -> Oidc {
    let issuer = required_url(&mut table, "issuer", &["https://", "http://"], "https://login.example/realms/ops");
    if issuer.starts_with("http://") && !super::vault::is_here(&issuer) {
        let message = "`issuer` is http, by which anybody on the way could say who somebody is; allowed is https, and http on this \
                       machine (127.0.0.1, localhost)";
        table.reject("issuer", message);
    }
    if issuer.contains(['?', '#']) {
        table.reject("issuer", "`issuer` has a query or a fragment, which no issuer has");
    }
    let client_id = table.required("client_id", "quarterdeck");
    let client_secret = secret_of(&mut table, "client_secret");
    let ca = super::tls::ca(&mut table);
    let name = table.string("name").unwrap_or_else(|| "preferred_username".to_owned());
    let (acr, amr) = (table.strings("acr"), table.strings("amr"));
    if acr.is_empty() && amr.is_empty() {
        let message = "[oidc] names no value of `acr` or `amr` that says that a second factor was proven, so that nobody could \
                       prove one; for example amr = [\"otp\", \"hwk\"]";
        table.reject(if table.has("acr") { "acr" } else { "issuer" }, message);
    }
    let max_age = table.duration("max_age", MINUTE, Duration::from_hours(12)).unwrap_or(5 * MINUTE);
    let clock_skew = table.duration("clock_skew", Duration::ZERO, 5 * MINUTE).unwrap_or(Duration::from_secs(30));
    table.finish();
    Oidc { issuer, client_id, client_secret, ca, name, acr, amr, max_age, clock_skew }
}

#[cfg(test)]
mod tests {
    use super::MINUTE;
    use crate::config::decode::decode;
    use crate::config::model::{Config, SecretRef};

    fn read(text: &str) -> Result<Config, String> {
        let head = "[estate]\nname = \"e\"\nenvironment = \"production\"\n[oidc]\n";
        decode("c.toml", &format!("{head}{text}\n")).map_err(|e| e.to_string())
    }

    #[test]
    fn a_provider_has_an_issuer_a_client_and_a_word_for_the_second_factor() {
        let whole =
            "issuer = \"https://login.example/ops\"\nclient_id = \"q\"\nclient_secret = \"file:/s\"\namr = [\"otp\"]";
        let config = read(whole).unwrap();
        let oidc = config.oidc.unwrap();
        assert_eq!((oidc.name.as_str(), oidc.max_age), ("preferred_username", 5 * MINUTE));
        assert!(matches!(oidc.client_secret, Some(SecretRef::File(_))));
        assert_eq!(config.secrets.len(), 1, "`doctor` follows it");
        for (text, said) in [
            ("client_id = \"q\"\namr = [\"otp\"]", "issuer"),
            ("issuer = \"https://l.example\"\namr = [\"otp\"]", "client_id"),
            ("issuer = \"https://l.example\"\nclient_id = \"q\"", "names no value of `acr` or `amr`"),
            ("issuer = \"http://l.example\"\nclient_id = \"q\"\nacr = [\"x\"]", "anybody on the way"),
            ("issuer = \"https://l.example/?x\"\nclient_id = \"q\"\nacr = [\"x\"]", "a query or a fragment"),
            ("issuer = \"https://l.example\"\nclient_id = \"q\"\nacr = [\"x\"]\nclock_skew = \"1h\"", "`clock_skew`"),
            (
                "issuer = \"https://l.example\"\nclient_id = \"q\"\nacr = [\"x\"]\nclient_secret = \"hunter2\"",
                "is not a reference",
            ),
        ] {
            let why = read(text).unwrap_err();
            assert!(why.contains(said), "{text}: {why}");
        }
        assert!(read("issuer = \"http://127.0.0.1:1\"\nclient_id = \"q\"\nacr = [\"x\"]").is_ok());
    }
}
