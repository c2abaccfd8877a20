//! Secret values of a run. Whoever gives one sends it to the engine; there it stays in memory, and everything else sees a
//! word that stands for it, made of the commitment that the records hold. The value takes the place of the word in the
//! copy of a request that is sent, after the gate, and is taken out of whatever the server says.

use super::id::Digest;
use super::ports::{Outcome, Reconciled};
use super::request::{HttpCall, Operation, Request};
use super::sample::Failure;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use zeroize::{Zeroize as _, Zeroizing};

/// What the word for a secret begins with; the 64 digits of its commitment follow.
const PREFIX: &str = "secret-sha256-";
/// Characters of the digits.
const DIGITS: usize = 64;
/// The least length of a secret, in characters: a shorter one would be found in what has nothing to do with it.
const LEAST: usize = 4;
/// The greatest length of a secret, in bytes.
const MOST: usize = 4096;

/// A secret value: overwritten when it is dropped, never shown. It is written out only on its way to the engine.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes a value that is in memory already.
    pub fn new(value: impl Into<String>) -> Self {
        Self(Zeroizing::new(value.into()))
    }

    /// The value, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it can be kept secret.
    ///
    /// # Errors
    /// One sentence, which does not repeat it.
    pub fn check(&self) -> Result<(), String> {
        if self.0.chars().count() < LEAST || self.0.len() > MOST {
            return Err(format!("a secret has {LEAST} characters at least and {MOST} bytes at most"));
        }
        if self.0.chars().any(super::text::is_hostile) {
            return Err("it holds control characters".into());
        }
        Ok(())
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self::new)
    }
}

impl schemars::JsonSchema for SecretText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SecretText".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

/// The word that stands for the secret with this commitment.
pub fn word(commitment: &Digest) -> String {
    format!("{PREFIX}{commitment}")
}

/// The word for a secret that nobody has given: what a preview shows.
pub fn no_word() -> String {
    format!("{PREFIX}{}", "0".repeat(DIGITS))
}

/// The commitment that a text is the word of, where it is nothing else.
pub fn commitment_of(text: &str) -> Option<Digest> {
    Digest::parse(text.strip_prefix(PREFIX)?)
}

/// Whether a word for a secret stands in a text.
pub fn stands_in(text: &str) -> bool {
    text.match_indices(PREFIX).any(|(at, _)| {
        let digits = text.get(at + PREFIX.len()..at + PREFIX.len() + DIGITS);
        digits.is_some_and(|d| Digest::parse(d).is_some())
    })
}

/// The secrets of a run, by their words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<String, SecretText>);

/// How a value is written where it stands.
#[derive(Clone, Copy)]
enum Form {
    Plain,
    Json,
    Percent,
}

impl Form {
    fn write(self, value: &str) -> Zeroizing<String> {
        Zeroizing::new(match self {
            Self::Plain => value.to_owned(),
            Self::Json => {
                let quoted = Zeroizing::new(Value::String(value.to_owned()).to_string());
                quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
            }
            Self::Percent => value
                .bytes()
                .map(|b| {
                    let plain = b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
                    if plain { char::from(b).to_string() } else { format!("%{b:02X}") }
                })
                .collect(),
        })
    }
}

impl Secrets {
    /// Takes in a secret with its commitment.
    pub fn insert(&mut self, commitment: &Digest, value: SecretText) {
        self.0.insert(word(commitment), value);
    }

    /// The secret that a word stands for.
    pub fn get(&self, word: &str) -> Option<&SecretText> {
        self.0.get(word)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The request as it is sent; `None` where no secret belongs into it.
    ///
    /// # Errors
    /// One sentence: a secret is not there, or stands where it can not be kept secret.
    pub fn fill(&self, request: &Request) -> Result<Option<Request>, String> {
        let mut has = false;
        visit(&request.operation, &mut |text| has = has || stands_in(text));
        if !has {
            return Ok(None);
        }
        let mut filled = request.clone();
        let done = self.operation(&mut filled.operation);
        let mut missing = false;
        visit(&filled.operation, &mut |text| missing = missing || stands_in(text));
        let done = done.and_then(|()| {
            if missing {
                Err("a secret value of it is not known any more and has to be given again".into())
            } else {
                Ok(())
            }
        });
        if let Err(why) = done {
            wipe(&mut filled.operation);
            return Err(why);
        }
        Ok(Some(filled))
    }

    fn operation(&self, operation: &mut Operation) -> Result<(), String> {
        let never = |text: &str, what: &str| {
            if stands_in(text) { Err(format!("a secret can not stand in {what}")) } else { Ok(()) }
        };
        match operation {
            Operation::Sql { database, statement, parameters } => {
                never(database, "the name of a database")?;
                never(statement, "the text of a statement; it is given as a parameter of it")?;
                for parameter in parameters {
                    self.put(parameter, Form::Plain);
                }
            }
            Operation::Http { path, headers, body, .. } => self.http(path, headers, body),
            Operation::Calls { calls } => {
                for HttpCall { path, headers, body, .. } in calls {
                    self.http(path, headers, body);
                }
            }
            Operation::File { path, content } => {
                never(path, "a path")?;
                if let Some(content) = content {
                    let form = if is_json(content) { Form::Json } else { Form::Plain };
                    self.put(content, form);
                }
            }
            Operation::Redis { commands, .. } => {
                commands.iter_mut().flatten().for_each(|word| self.put(word, Form::Plain));
            }
            Operation::Command { argv, .. } => {
                for word in argv {
                    never(word, "an argument of a program, where everybody on the machine can read it")?;
                }
            }
            Operation::Mail { to, subject, body, .. } => {
                for address in to {
                    never(address, "an address")?;
                }
                never(subject, "a subject")?;
                self.put(body, Form::Plain);
            }
            Operation::Several { requests } => {
                for request in requests {
                    self.operation(&mut request.operation)?;
                }
            }
            // Nothing is sent.
            Operation::Record { text } => never(text, "words that are recorded")?,
            Operation::Simulated { statement } => self.put(statement, Form::Plain),
        }
        Ok(())
    }

    fn http(&self, path: &mut String, headers: &mut BTreeMap<String, String>, body: &mut String) {
        let form = headers
            .iter()
            .any(|(k, v)| k.eq_ignore_ascii_case("content-type") && v.starts_with("application/x-www-form-urlencoded"));
        self.put(path, Form::Percent);
        for value in headers.values_mut() {
            self.put(value, Form::Plain);
        }
        let form = match (form, is_json(body)) {
            (true, _) => Form::Percent,
            (_, true) => Form::Json,
            _ => Form::Plain,
        };
        self.put(body, form);
    }

    fn put(&self, text: &mut String, form: Form) {
        for (word, value) in self.0.iter().filter(|(word, _)| text.contains(word.as_str())).collect::<Vec<_>>() {
            let mut before = std::mem::take(text);
            *text = before.replace(word.as_str(), &form.write(value.expose()));
            before.zeroize();
        }
    }

    /// A text from outside without the secrets, in whichever form they stand in it.
    pub fn scrub(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        for (word, value) in &self.0 {
            for form in [Form::Plain, Form::Json, Form::Percent] {
                let written = form.write(value.expose());
                if clean.contains(written.as_str()) {
                    clean = clean.replace(written.as_str(), word);
                }
            }
        }
        clean
    }

    fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.scrub(&text)),
            Value::Array(items) => Value::Array(items.into_iter().map(|item| self.value(item)).collect()),
            Value::Object(fields) => {
                Value::Object(fields.into_iter().map(|(name, value)| (self.scrub(&name), self.value(value))).collect())
            }
            other => other,
        }
    }

    fn failure(&self, mut why: Failure) -> Failure {
        why.message = self.scrub(&why.message);
        why
    }

    /// What came of a request, without the secrets.
    pub fn outcome(&self, outcome: Outcome) -> Outcome {
        if self.is_empty() {
            return outcome;
        }
        match outcome {
            Outcome::Done { result, summary } => {
                Outcome::Done { result: self.value(result), summary: self.scrub(&summary) }
            }
            Outcome::Failed { why } => Outcome::Failed { why: self.failure(why) },
            Outcome::Unknown { why } => Outcome::Unknown { why: self.failure(why) },
        }
    }

    /// What looking for an effect found, without the secrets.
    pub fn reconciled(&self, found: Reconciled) -> Reconciled {
        match found {
            Reconciled::TookEffect { seen } => Reconciled::TookEffect { seen: self.scrub(&seen) },
            Reconciled::NoEffect { seen } => Reconciled::NoEffect { seen: self.scrub(&seen) },
            Reconciled::Undecided { why } => Reconciled::Undecided { why: self.scrub(&why) },
        }
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|v| v.is_object() || v.is_array())
}

/// Every text of an operation.
fn visit(operation: &Operation, see: &mut dyn FnMut(&str)) {
    let mut http = |path: &str, headers: &BTreeMap<String, String>, body: &str| {
        see(path);
        for value in headers.values() {
            see(value);
        }
        see(body);
    };
    match operation {
        Operation::Http { path, headers, body, .. } => http(path, headers, body),
        Operation::Calls { calls } => calls.iter().for_each(|c| http(&c.path, &c.headers, &c.body)),
        Operation::Sql { database, statement, parameters } => {
            see(database);
            see(statement);
            for parameter in parameters {
                see(parameter);
            }
        }
        Operation::File { path, content } => {
            see(path);
            if let Some(content) = content {
                see(content);
            }
        }
        Operation::Redis { commands, .. } => commands.iter().flatten().for_each(|w| see(w)),
        Operation::Command { argv, .. } => argv.iter().for_each(|w| see(w)),
        Operation::Mail { to, subject, body, .. } => {
            for address in to {
                see(address);
            }
            see(subject);
            see(body);
        }
        Operation::Several { requests } => requests.iter().for_each(|r| visit(&r.operation, see)),
        Operation::Simulated { statement: text } | Operation::Record { text } => see(text),
    }
}

/// Overwrites what can hold a secret in an operation.
pub fn wipe(operation: &mut Operation) {
    let http = |path: &mut String, headers: &mut BTreeMap<String, String>, body: &mut String| {
        path.zeroize();
        headers.values_mut().for_each(zeroize::Zeroize::zeroize);
        body.zeroize();
    };
    match operation {
        Operation::Http { path, headers, body, .. } => http(path, headers, body),
        Operation::Calls { calls } => calls.iter_mut().for_each(|c| http(&mut c.path, &mut c.headers, &mut c.body)),
        Operation::Sql { parameters, .. } => parameters.iter_mut().for_each(zeroize::Zeroize::zeroize),
        Operation::File { content, .. } => content.iter_mut().for_each(zeroize::Zeroize::zeroize),
        Operation::Redis { commands, .. } => commands.iter_mut().flatten().for_each(zeroize::Zeroize::zeroize),
        Operation::Mail { body, .. } => body.zeroize(),
        Operation::Several { requests } => requests.iter_mut().for_each(|r| wipe(&mut r.operation)),
        Operation::Simulated { statement: text } | Operation::Record { text } => text.zeroize(),
        Operation::Command { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::estate::Environment;
    use crate::domain::request::Target;
    use serde_json::json;

    const VALUE: &str = "p\"ss wörd&1";

    fn secrets() -> (Secrets, String) {
        let commitment = Digest::from_bytes(&[7; 32]);
        let mut secrets = Secrets::default();
        secrets.insert(&commitment, SecretText::new(VALUE));
        (secrets, word(&commitment))
    }

    fn request(operation: Operation) -> Request {
        Request {
            verb: "http.webhook".into(),
            target: Target {
                source: "x".into(),
                identity: String::new(),
                environment: Environment::Production,
                object: "o".into(),
                tenants: vec![],
                count: 1,
            },
            operation,
            server_checks: vec![],
            hurts: String::new(),
            undo: String::new(),
            by_hand: String::new(),
        }
    }

    #[test]
    fn a_value_takes_the_place_of_its_word_in_the_form_of_the_place() {
        let (secrets, word) = secrets();
        let http = Operation::Http {
            method: "POST".into(),
            path: format!("/x?token={word}"),
            headers: [("Authorization".to_owned(), format!("Bearer {word}"))].into(),
            body: format!("{{\"password\":\"{word}\"}}"),
        };
        let filled = secrets.fill(&request(http.clone())).unwrap().unwrap();
        let Operation::Http { path, headers, body, .. } = &filled.operation else { panic!() };
        assert_eq!(path, "/x?token=p%22ss%20w%C3%B6rd%261");
        assert_eq!(headers["Authorization"], format!("Bearer {VALUE}"));
        assert_eq!(serde_json::from_str::<Value>(body).unwrap(), json!({"password": VALUE}));
        let empty = Secrets::default().fill(&request(http)).unwrap_err();
        assert!(empty.contains("has to be given again"), "{empty}");
        let sql = |statement: String, parameters| Operation::Sql { database: "d".into(), statement, parameters };
        let filled = secrets.fill(&request(sql("select $1".into(), vec![word.clone()]))).unwrap().unwrap();
        assert_eq!(filled.operation, sql("select $1".into(), vec![VALUE.into()]));
        assert!(secrets.fill(&request(sql(format!("select '{word}'"), vec![]))).unwrap_err().contains("statement"));
        let argv = Operation::Command { argv: vec!["/bin/x".into(), word], sha256: String::new() };
        assert!(secrets.fill(&request(argv)).unwrap_err().contains("everybody on the machine"));
        assert_eq!(secrets.fill(&request(sql("select 1".into(), vec![]))), Ok(None));
    }

    #[test]
    fn what_a_server_says_is_kept_without_the_value_in_any_form() {
        let (secrets, word) = secrets();
        let said = format!("no: {VALUE}, p%22ss%20w%C3%B6rd%261, {}", json!(VALUE));
        let outcome = Outcome::Done { result: json!({"echo": [said], VALUE: 1}), summary: said };
        let text = format!("{:?}", secrets.outcome(outcome));
        assert!(text.contains(&word) && !text.contains("ss wörd") && !text.contains("%20w"), "{text}");
        assert_eq!(format!("{secrets:?}").matches("***").count(), 1);
    }

    #[test]
    fn a_filled_operation_can_be_overwritten() {
        let (secrets, word) = secrets();
        let redis = Operation::Redis { database: 0, commands: vec![vec!["AUTH".into(), word]] };
        let mut filled = secrets.fill(&request(redis)).unwrap().unwrap();
        wipe(&mut filled.operation);
        assert!(!format!("{filled:?}").contains("ss w"));
        assert!(SecretText::new("abc").check().is_err() && SecretText::new("abcd").check().is_ok());
        assert!(SecretText::new("ab\ncd").check().is_err());
    }
}
