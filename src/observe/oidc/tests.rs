//! Providers that say wrong things before anybody could log in; those that answer well are met in `tests/oidc`.

use super::*;
use crate::config::model::Ca;
use crate::domain::mode::Mode;
use crate::observe::http::rig::Tiny;
use serde_json::json;

fn provider(issuer: &str) -> Provider {
    let config = Oidc {
        issuer: issuer.to_owned(),
        client_id: "q".into(),
        client_secret: None,
        ca: Ca::default(),
        name: "preferred_username".into(),
        acr: Vec::new(),
        amr: vec!["otp".into()],
        max_age: Duration::from_mins(5),
        clock_skew: Duration::from_secs(30),
    };
    Provider::new(Mode::Live.may_observe().unwrap(), &config)
}

/// A provider that describes itself so, and answers everything else with one text.
fn says(change: impl Fn(&mut Value) + Send + Sync + 'static, rest: &'static str) -> Tiny {
    Tiny::http(move |first, head| {
        if !first.contains("/.well-known/openid-configuration") {
            return (200, rest.to_owned());
        }
        let host = head.iter().find_map(|l| l.to_ascii_lowercase().strip_prefix("host: ").map(str::to_owned)).unwrap();
        let at = |path: &str| format!("http://{host}/{path}");
        let mut said = json!({
            "issuer": format!("http://{host}"), "device_authorization_endpoint": at("d"), "token_endpoint": at("t"),
            "jwks_uri": at("k"),
        });
        change(&mut said);
        (200, said.to_string())
    })
}

#[tokio::test]
async fn a_provider_that_describes_itself_wrongly_is_not_asked_for_a_code() {
    let set = |key: &'static str, value: Value| move |said: &mut Value| said[key] = value.clone();
    let code =
        r#"{"device_code": "d", "user_code": "A-B", "verification_uri": "http://127.0.0.1/d", "expires_in": 60}"#;
    for (server, sentence) in [
        (says(|_| {}, "<html>"), "does not answer with a code"),
        (says(|_| {}, "{}"), "does not answer with a code: missing field `device_code`"),
        (says(set("issuer", json!("https://other.example")), code), "is about https://other.example"),
        (says(set("device_authorization_endpoint", Value::Null), code), "nobody can log in with a code there"),
        (says(set("token_endpoint", json!("ftp://x")), code), "names `ftp://x` as its `token_endpoint`"),
        (says(set("jwks_uri", json!(7)), code), "does not say what a provider says"),
        (Tiny::http(|_, _| (200, "<html>".into())), "is no JSON"),
        (Tiny::http(|_, _| (404, String::new())), "answered HTTP 404"),
        (Tiny::bytes(b"\0\xff\r\n\r\n"), "does not speak HTTP"),
    ] {
        let why = provider(&server.url()).standing().await.unwrap_err();
        assert!(why.contains(sentence), "{sentence}: {why}");
    }
    assert_eq!(provider(&says(|_| {}, code).url()).standing().await, Ok(()));
}

#[tokio::test]
async fn a_page_that_a_person_is_sent_to_is_one_of_the_web_and_harmless_to_show() {
    for (page, sentence) in [
        ("javascript:alert(1)", "as its `verification_uri`, which is no https URL"),
        ("not a page", "which is no https URL"),
    ] {
        let body: &'static str = Box::leak(
            json!({ "device_code": "d", "user_code": "A\u{1b}[31mB", "verification_uri": page, "expires_in": 60 })
                .to_string()
                .into_boxed_str(),
        );
        let server = says(|_| {}, body);
        let clock = crate::observe::http::rig::SetClock::at(Timestamp::UNIX_EPOCH);
        let shown = |codes| panic!("{codes:?} was shown");
        let why = provider(&server.url()).authenticate(&*clock, shown).await.unwrap_err();
        assert!(why.contains(sentence), "{why}");
    }
    assert_eq!(words("A\u{1b}[31mB"), "A·[31mB");
}

#[test]
fn a_value_is_encoded_as_a_form_carries_it() {
    assert_eq!(*encoded("a b&c=d/ü%"), "a+b%26c%3Dd%2F%C3%BC%25");
    assert_eq!(*encoded(""), "");
    assert_eq!(*encoded("=="), "%3D%3D");
}
