//! Whether an ID token (`OpenID` Connect Core 1.0, 2 and 3.1.3.7) says of a person what is asked: its signature, for whom and by
//! whom it was made, when, of whom, and whether with a second factor. Everything is an argument, also the time.

use crate::domain::id::Digest;
use crate::domain::identity::Identity;
use crate::domain::text::sanitize;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::crypto::{CryptoProvider, JwkUtils, JwtVerifier};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Validation};
use ring::signature as by;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// Longest token that is looked at, in bytes.
const LONGEST: usize = 32 << 10;
/// Longest name or value of a claim that is taken, in characters.
const LONGEST_VALUE: usize = 200;
/// Most methods of `amr`.
const METHODS: usize = 20;

/// What a token has to say.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// By whom it is.
    pub issuer: &'a str,
    /// For whom it is.
    pub client_id: &'a str,
    /// What we sent to be repeated. The device flow has no word on it (RFC 8628), so that a provider may leave it out.
    pub nonce: &'a str,
    /// The claim that names the person.
    pub name: &'a str,
    /// Values of `acr` that stand for a second factor.
    pub acr: &'a [String],
    /// Values of `amr` that do.
    pub amr: &'a [String],
    /// How long ago the person may have authenticated.
    pub max_age: Duration,
    /// How far the two clocks may be apart.
    pub skew: Duration,
    /// When it was asked for: an older one belongs to something else.
    pub asked: Timestamp,
    /// Now.
    pub now: Timestamp,
}

/// Keys of a provider. What is no key that could have signed is passed over, as RFC 7517, 5 asks.
pub fn keys(set: &Value) -> Vec<Jwk> {
    let all = set.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let signs = |key: &Jwk| matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
    all.iter().filter_map(|key| serde_json::from_value(key.clone()).ok()).filter(signs).collect()
}

/// Reads a token.
///
/// # Errors
/// One sentence, which begins as one about "the token" does: `is signed by …`.
pub fn read(token: &str, keys: &[Jwk], expected: &Expected<'_>) -> Result<Identity, String> {
    if token.len() > LONGEST {
        return Err(format!("is longer than {LONGEST} bytes"));
    }
    let claims = verified(token, keys)?;
    let says = |claim: &str| claims.get(claim).and_then(Value::as_str).map(kept);
    match says("iss") {
        Some(issuer) if issuer == expected.issuer => {}
        other => return Err(format!("is by {}, not by {}", or_nobody(other), expected.issuer)),
    }
    for_us(&claims, expected.client_id)?;
    if says("nonce").is_some_and(|nonce| nonce != expected.nonce) {
        return Err("answers another question: it repeats another nonce than was sent".into());
    }
    let auth_time = in_time(&claims, expected)?;
    let subject = says("sub").filter(|s| !s.is_empty()).ok_or("has no `sub`, so that it is of nobody")?;
    let name = says(expected.name).filter(|n| !n.is_empty());
    let name = name.ok_or_else(|| format!("has no claim `{}`, so that it names nobody", expected.name))?;
    let (acr, amr) = (says("acr"), methods(&claims));
    let second =
        acr.as_ref().is_some_and(|acr| expected.acr.contains(acr)) || amr.iter().any(|m| expected.amr.contains(m));
    if !second {
        let said = match (&acr, amr.is_empty()) {
            (None, true) => "it has neither `acr` nor `amr`".to_owned(),
            (acr, _) => format!("its acr is {}, its amr {}", acr.as_deref().unwrap_or("none"), amr.join(", ")),
        };
        return Err(format!("does not say that a second factor was proven: {said}"));
    }
    let token = Digest::from_bytes(&Sha256::digest(token).into());
    Ok(Identity { issuer: expected.issuer.to_owned(), subject, name, acr, amr, auth_time, token })
}

fn kept(text: &str) -> String {
    sanitize(text).chars().take(LONGEST_VALUE).collect()
}

fn or_nobody(who: Option<String>) -> String {
    who.unwrap_or_else(|| "nobody".to_owned())
}

fn methods(claims: &Map<String, Value>) -> Vec<String> {
    let all = claims.get("amr").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(Value::as_str).take(METHODS).map(kept).collect()
}

/// Whether it was made for this client: `aud` names it, alone or with `azp` that names it.
fn for_us(claims: &Map<String, Value>, client_id: &str) -> Result<(), String> {
    let audience: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !audience.contains(&client_id) {
        let names: Vec<String> = audience.iter().take(METHODS).map(|a| kept(a)).collect();
        let names = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
        return Err(format!("was made for {names}, not for the client {client_id}"));
    }
    let party = claims.get("azp").and_then(Value::as_str);
    match party {
        Some(party) if party != client_id => {
            Err(format!("was given to the client {}, not to {client_id}", kept(party)))
        }
        None if audience.len() > 1 => {
            Err(format!("was made for {} clients and does not say for which", audience.len()))
        }
        _ => Ok(()),
    }
}

/// Whether its times fit; when the person authenticated.
fn in_time(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<Timestamp, String> {
    let moment = |claim: &str| {
        let seconds = claims.get(claim)?;
        // A number may have a fraction (RFC 7519, 2).
        #[allow(clippy::cast_possible_truncation, reason = "a moment beyond all calendars is none, below")]
        let seconds = seconds.as_i64().or_else(|| seconds.as_f64().map(|s| s as i64))?;
        Timestamp::from_second(seconds).ok()
    };
    let needed = |claim: &str| moment(claim).ok_or_else(|| format!("has no time `{claim}`"));
    let skew = SignedDuration::try_from(expected.skew).unwrap_or(SignedDuration::ZERO);
    let before = |at: Timestamp, by: SignedDuration| at.checked_sub(by).unwrap_or(Timestamp::MIN);
    let after = |at: Timestamp, by: SignedDuration| at.checked_add(by).unwrap_or(Timestamp::MAX);
    let now = expected.now;
    let clocks = "; do both clocks go right?";
    let (ends, made) = (needed("exp")?, needed("iat")?);
    if now >= after(ends, skew) {
        return Err(format!("has ended at {ends:.0}, and now it is {now:.0}{clocks}"));
    }
    if made > after(now, skew) || moment("nbf").is_some_and(|from| from > after(now, skew)) {
        return Err(format!("is of {made:.0}, and now it is only {now:.0}{clocks}"));
    }
    if made < before(expected.asked, skew) {
        return Err(format!("is of {made:.0}, before it was asked for ({:.0}){clocks}", expected.asked));
    }
    let authenticated = moment("auth_time").ok_or("does not say when the person authenticated (`auth_time`)")?;
    if authenticated > after(now, skew) {
        return Err(format!("says that the person will authenticate at {authenticated:.0}{clocks}"));
    }
    let oldest = SignedDuration::try_from(expected.max_age).unwrap_or(SignedDuration::ZERO).saturating_add(skew);
    if authenticated < before(now, oldest) {
        return Err(format!(
            "is about an authentication at {authenticated:.0}; it may be {} min old: log out there, and in again",
            expected.max_age.as_secs() / 60
        ));
    }
    Ok(authenticated)
}

/// The claims of a token that one of the keys has signed.
fn verified(token: &str, keys: &[Jwk]) -> Result<Map<String, Value>, String> {
    // Whoever was first has installed the same.
    let _ = RING.install_default();
    let header = jsonwebtoken::decode_header(token).map_err(|_| "is no signed token".to_owned())?;
    if !SIGNED_BY.contains(&header.alg) {
        return Err(format!("is signed by {:?}, which proves nothing about who has signed it", header.alg));
    }
    let named: Vec<&Jwk> = keys.iter().filter(|key| header.kid.is_none() || key.common.key_id == header.kid).collect();
    if named.is_empty() {
        let name = header.kid.as_deref().map_or_else(|| "none".to_owned(), kept);
        return Err(format!("is signed by a key that the provider does not publish ({name})"));
    }
    let mut validation = Validation::new(header.alg);
    // What it says is judged by whoever asks, with the time and the sentences that belong to it.
    validation.required_spec_claims.clear();
    (validation.validate_exp, validation.validate_aud) = (false, false);
    let reads = |key: &Jwk| {
        let key = DecodingKey::from_jwk(key).ok()?;
        jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation).ok()
    };
    let read = named.into_iter().find_map(reads);
    read.map(|read| read.claims).ok_or_else(|| "has a signature that is not by the provider's key".to_owned())
}

/// Signatures that count: those of a key that only the provider holds.
const SIGNED_BY: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Checks signatures by ring, and makes none.
static RING: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
    verifier_factory: |algorithm, key| Ok(Box::new(ByRing { algorithm: *algorithm, key: key.clone() })),
    jwk_utils: JwkUtils::new_unimplemented(),
};

struct ByRing {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl JwtVerifier for ByRing {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for ByRing {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let wrong = |_| signature::Error::new();
        let rsa = |how: &by::RsaParameters| match self.key.kind() {
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                by::RsaPublicKeyComponents { n, e }.verify(how, message, signature).map_err(wrong)
            }
            DecodingKeyKind::SecretOrDer(_) => Err(signature::Error::new()),
        };
        let point = |how: &'static dyn by::VerificationAlgorithm| match self.key.kind() {
            DecodingKeyKind::SecretOrDer(key) => {
                by::UnparsedPublicKey::new(how, key).verify(message, signature).map_err(wrong)
            }
            DecodingKeyKind::RsaModulusExponent { .. } => Err(signature::Error::new()),
        };
        match self.algorithm {
            Algorithm::RS256 => rsa(&by::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::RS384 => rsa(&by::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::RS512 => rsa(&by::RSA_PKCS1_2048_8192_SHA512),
            Algorithm::PS256 => rsa(&by::RSA_PSS_2048_8192_SHA256),
            Algorithm::PS384 => rsa(&by::RSA_PSS_2048_8192_SHA384),
            Algorithm::PS512 => rsa(&by::RSA_PSS_2048_8192_SHA512),
            Algorithm::ES256 => point(&by::ECDSA_P256_SHA256_FIXED),
            Algorithm::ES384 => point(&by::ECDSA_P384_SHA384_FIXED),
            Algorithm::EdDSA => point(&by::ED25519),
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => Err(signature::Error::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use serde_json::json;

    const NOW: i64 = 1_800_000_000;

    struct Issuer {
        key: EcdsaKeyPair,
        kid: &'static str,
    }

    impl Issuer {
        fn new(kid: &'static str) -> Self {
            let random = SystemRandom::new();
            let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
            let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, made.as_ref(), &random).unwrap();
            Self { key, kid }
        }

        fn published(&self) -> Value {
            let point = self.key.public_key().as_ref();
            let (x, y) = (B64.encode(&point[1..33]), B64.encode(&point[33..]));
            json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid, "x": x, "y": y })
        }

        fn sign(&self, header: &Value, claims: &Value) -> String {
            let text = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
            let signature = self.key.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
            format!("{text}.{}", B64.encode(signature.as_ref()))
        }

        fn token(&self, claims: &Value) -> String {
            self.sign(&json!({ "alg": "ES256", "kid": self.kid }), claims)
        }
    }

    fn good() -> Value {
        json!({
            "iss": "https://login.example", "aud": "q", "sub": "s-17", "preferred_username": "ines", "amr": ["pwd", "otp"],
            "iat": NOW - 2, "exp": NOW + 300, "auth_time": NOW - 60,
        })
    }

    fn with(changes: &Value) -> Value {
        let mut claims = good();
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        claims
    }

    fn judged(token: &str, keys: &[Jwk]) -> Result<Identity, String> {
        let (acr, amr) = (["phr".to_owned()], ["otp".to_owned(), "hwk".to_owned()]);
        let expected = Expected {
            issuer: "https://login.example",
            client_id: "q",
            nonce: "n-1",
            name: "preferred_username",
            acr: &acr,
            amr: &amr,
            max_age: Duration::from_mins(5),
            skew: Duration::from_secs(30),
            asked: Timestamp::from_second(NOW - 40).unwrap(),
            now: Timestamp::from_second(NOW).unwrap(),
        };
        read(token, keys, &expected)
    }

    #[test]
    fn what_is_good_is_taken_and_the_token_itself_is_not_kept() {
        let issuer = Issuer::new("k");
        let keys = keys(&json!({ "keys": [{ "kty": "nonsense" }, issuer.published()] }));
        for claims in [
            good(),
            with(&json!({ "aud": ["q"], "nonce": "n-1" })),
            with(&json!({ "aud": ["q", "r"], "azp": "q" })),
            with(&json!({ "amr": null, "acr": "phr" })),
            // Within the skew.
            with(&json!({ "exp": NOW - 20, "iat": NOW - 60 })),
            with(&json!({ "iat": NOW + 20, "auth_time": NOW + 20 })),
            with(&json!({ "auth_time": NOW - 320 })),
        ] {
            let token = issuer.token(&claims);
            let identity = judged(&token, &keys).unwrap_or_else(|why| panic!("{claims}: {why}"));
            assert_eq!((identity.name.as_str(), identity.subject.as_str()), ("ines", "s-17"));
            let written = serde_json::to_string(&identity).unwrap();
            assert!(!token.split('.').any(|part| written.contains(part)), "{written}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_token_is_one_sentence_each() {
        let issuer = Issuer::new("k");
        let keys = keys(&json!({ "keys": [issuer.published()] }));
        for (changes, says) in [
            (json!({ "iss": "https://elsewhere.example" }), "is by https://elsewhere.example, not by"),
            (json!({ "iss": null }), "is by nobody"),
            (json!({ "aud": "other" }), "was made for other, not for the client q"),
            (json!({ "aud": null }), "was made for nobody"),
            (json!({ "aud": ["q", "other"] }), "for 2 clients and does not say for which"),
            (json!({ "azp": "other" }), "was given to the client other"),
            (json!({ "nonce": "n-2" }), "another nonce"),
            (json!({ "exp": NOW - 31 }), "has ended at"),
            (json!({ "exp": null }), "has no time `exp`"),
            (json!({ "iat": null }), "has no time `iat`"),
            (json!({ "iat": NOW + 31 }), "now it is only"),
            (json!({ "nbf": NOW + 31 }), "now it is only"),
            // Made for something that was asked for earlier.
            (json!({ "iat": NOW - 71 }), "before it was asked for"),
            (json!({ "auth_time": null }), "does not say when the person authenticated"),
            (json!({ "auth_time": NOW - 331 }), "it may be 5 min old"),
            (json!({ "auth_time": NOW + 31 }), "will authenticate"),
            (json!({ "sub": "" }), "is of nobody"),
            (json!({ "preferred_username": null }), "has no claim `preferred_username`"),
            (json!({ "amr": ["pwd"] }), "does not say that a second factor was proven: its acr is none, its amr pwd"),
            (json!({ "amr": null }), "it has neither `acr` nor `amr`"),
            (json!({ "amr": "otp" }), "it has neither"),
            (json!({ "amr": null, "acr": "pwd" }), "its acr is pwd"),
        ] {
            let why = judged(&issuer.token(&with(&changes)), &keys).expect_err(&changes.to_string());
            assert!(why.contains(says), "{changes}: {why}");
        }
    }

    #[test]
    fn only_a_published_key_of_the_provider_signs() {
        let (issuer, old) = (Issuer::new("new"), Issuer::new("old"));
        let published = keys(&json!({ "keys": [issuer.published()] }));
        let why = |token: &str| judged(token, &published).unwrap_err();
        assert!(why(&old.token(&good())).contains("does not publish (old)"));
        let same_name = Issuer::new("new");
        assert!(why(&same_name.token(&good())).contains("not by the provider's key"));
        // The public key as a shared secret, and none at all.
        for alg in ["HS256", "none"] {
            let said = why(&issuer.sign(&json!({ "alg": alg, "kid": "new" }), &good()));
            assert!(said.contains("proves nothing") || said.contains("no signed token"), "{alg}: {said}");
        }
        let token = issuer.token(&good());
        let (head, signature) = token.rsplit_once('.').unwrap();
        let changed = head.replacen('.', ".e", 1);
        assert!(judged(&format!("{changed}.{signature}"), &published).is_err());
        for rubbish in ["", "a.b", "a.b.c", "....", &"x".repeat(LONGEST + 1)] {
            assert!(judged(rubbish, &published).is_err(), "{rubbish:.20}");
        }
        // A key for encryption signs nothing; after a change of keys both are there for a while.
        let mut encrypts = old.published();
        encrypts["use"] = json!("enc");
        let both = keys(&json!({ "keys": [encrypts, old.published(), issuer.published()] }));
        assert_eq!(both.len(), 2);
        assert!(judged(&old.token(&good()), &both).is_ok() && judged(&token, &both).is_ok());
        assert!(keys(&json!({ "keys": "none" })).is_empty());
    }
}
