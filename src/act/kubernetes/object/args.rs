//! Arguments of verbs on Kubernetes objects: a name that Kubernetes itself would refuse never gets into a path.

use crate::domain::ports::VerbError;
use crate::domain::text::sanitize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The arguments after templating, which makes text of numbers.
#[derive(Clone, Copy, Debug)]
pub(in crate::act) struct Args<'a>(pub &'a BTreeMap<String, Value>);

impl<'a> Args<'a> {
    /// A text that is not empty.
    pub fn text(self, arg: &str) -> Result<&'a str, VerbError> {
        self.opt_text(arg)?.ok_or_else(|| VerbError::new(format!("argument {arg} is missing")))
    }

    /// The same where it may be absent; an empty optional parameter of a playbook is absent.
    pub fn opt_text(self, arg: &str) -> Result<Option<&'a str>, VerbError> {
        match self.0.get(arg) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(VerbError::new(format!("argument {arg} has to be a text that is not empty"))),
        }
    }

    /// The name of an object: a DNS subdomain (RFC 1123).
    pub fn name(self, arg: &str) -> Result<&'a str, VerbError> {
        named(arg, self.text(arg)?, 253)
    }

    /// The name of a namespace: at most 63 characters.
    pub fn namespace(self, arg: &str) -> Result<&'a str, VerbError> {
        named(arg, self.text(arg)?, 63)
    }

    /// The name of an object, where it may be absent.
    pub fn opt_name(self, arg: &str) -> Result<Option<&'a str>, VerbError> {
        self.opt_text(arg)?.map(|name| named(arg, name, 253)).transpose()
    }

    /// A commit, a tag or a branch of Git, where it may be absent.
    pub fn revision(self, arg: &str) -> Result<Option<&'a str>, VerbError> {
        let fine = |t: &&str| t.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c)) && !t.starts_with('-');
        match self.opt_text(arg)? {
            Some(text) if !fine(&text) => {
                Err(VerbError::new(format!("argument {arg}: {:?} is no commit, tag or branch", sanitize(text))))
            }
            found => Ok(found),
        }
    }

    /// A whole number that the API's signed 32-bit fields hold, where it may be absent.
    pub fn opt_number(self, arg: &str) -> Result<Option<u32>, VerbError> {
        let number = match self.0.get(arg) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(n)) => n.as_u64().and_then(|n| u32::try_from(n).ok()),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        let number = number.filter(|n| i32::try_from(*n).is_ok());
        number.map(Some).ok_or_else(|| VerbError::new(format!("argument {arg} has to be a whole number, 0 or more")))
    }

    /// The same, required.
    pub fn number(self, arg: &str) -> Result<u32, VerbError> {
        self.opt_number(arg)?.ok_or_else(|| VerbError::new(format!("argument {arg} is missing")))
    }

    /// `true` or `false`; absent is `false`.
    pub fn flag(self, arg: &str) -> Result<bool, VerbError> {
        match self.0.get(arg) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if text == "true" => Ok(true),
            Some(Value::String(text)) if text == "false" => Ok(false),
            Some(_) => Err(VerbError::new(format!("argument {arg} has to be true or false"))),
        }
    }

    /// One of some words; absent is the first of them.
    pub fn one_of(self, arg: &str, words: &[&'static str]) -> Result<&'static str, VerbError> {
        let wrong = || VerbError::new(format!("argument {arg} has to be one of {}", words.join(", ")));
        match self.opt_text(arg)? {
            None => words.first().copied().ok_or_else(wrong),
            Some(text) => words.iter().find(|w| **w == text).copied().ok_or_else(wrong),
        }
    }

    /// Names, as a list or as a text with commas between; absent is none.
    pub fn names(self, arg: &str) -> Result<Vec<&'a str>, VerbError> {
        let wrong = || VerbError::new(format!("argument {arg} has to be names, as a list or with commas between"));
        let words: Vec<&str> = match self.0.get(arg) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(text)) => text.split(',').map(str::trim).filter(|w| !w.is_empty()).collect(),
            Some(Value::Array(list)) => list.iter().map(|v| v.as_str().ok_or_else(wrong)).collect::<Result<_, _>>()?,
            Some(_) => return Err(wrong()),
        };
        words.into_iter().map(|word| named(arg, word, 253)).collect()
    }

    /// Pairs, as a mapping or as a text `key=value,key=value`; none is an error.
    pub fn pairs(self, arg: &str) -> Result<BTreeMap<String, String>, VerbError> {
        let wrong = || VerbError::new(format!("argument {arg} has to be pairs: a mapping, or key=value,key=value"));
        let pairs: BTreeMap<String, String> = match self.0.get(arg) {
            None | Some(Value::Null) => return Err(VerbError::new(format!("argument {arg} is missing"))),
            Some(Value::Object(map)) => map
                .iter()
                .map(|(k, v)| match v {
                    Value::String(text) => Ok((k.clone(), text.clone())),
                    Value::Number(number) => Ok((k.clone(), number.to_string())),
                    _ => Err(wrong()),
                })
                .collect::<Result<_, _>>()?,
            Some(Value::String(text)) => text
                .split(',')
                .map(|pair| {
                    let (key, value) = pair.split_once('=').ok_or_else(wrong)?;
                    Ok((key.trim().to_owned(), value.trim().to_owned()))
                })
                .collect::<Result<_, _>>()?,
            Some(_) => return Err(wrong()),
        };
        // What labels and quantities are made of, and no more: it also stands in a command to be typed.
        let word = |w: &str| w.len() <= 253 && w.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
        let fine = |k: &str, v: &str| !k.is_empty() && word(k) && word(v);
        if pairs.is_empty() || pairs.iter().any(|(k, v)| !fine(k, v)) {
            return Err(wrong());
        }
        Ok(pairs)
    }
}

fn named<'a>(arg: &str, name: &'a str, longest: usize) -> Result<&'a str, VerbError> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let well_formed = name.len() <= longest
        && name.chars().all(inner)
        && end(name.chars().next())
        && end(name.chars().next_back())
        && !name.contains("..");
    if well_formed {
        Ok(name)
    } else {
        Err(VerbError::new(format!("argument {arg}: {:?} is not a name that Kubernetes allows", sanitize(name))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_kind_of_argument_is_checked() {
        let args: BTreeMap<String, Value> = serde_json::from_value(json!({
            "name": "a.b-1", "bad": "a/b", "n": "7", "neg": -1, "yes": "true", "odd": 3,
            "list": "a, b", "array": ["c"], "pairs": "app=odoo, tier=web", "map": {"limits.cpu": 4}, "none": "", "shell": "a=$(reboot)",
        }))
        .unwrap();
        let args = Args(&args);
        assert_eq!(args.name("name").unwrap(), "a.b-1");
        assert!(args.name("bad").unwrap_err().message.contains("\"a/b\" is not a name that Kubernetes allows"));
        assert_eq!(args.name("absent").unwrap_err().message, "argument absent is missing");
        assert!(args.opt_text("none").is_err() && args.opt_text("absent").unwrap().is_none());
        assert_eq!((args.number("n").unwrap(), args.opt_number("absent").unwrap()), (7, None));
        assert!(args.number("neg").is_err() && args.number("name").is_err());
        assert!(args.flag("yes").unwrap() && !args.flag("absent").unwrap() && args.flag("odd").is_err());
        assert_eq!(args.names("list").unwrap(), ["a", "b"]);
        assert_eq!(args.names("array").unwrap(), ["c"]);
        assert!(args.names("odd").is_err());
        assert_eq!(args.pairs("pairs").unwrap()["tier"], "web");
        assert_eq!(args.pairs("map").unwrap()["limits.cpu"], "4");
        assert!(args.pairs("name").is_err() && args.pairs("absent").is_err());
        assert!(args.pairs("shell").is_err() && args.revision("shell").is_err());
        assert_eq!(args.revision("name").unwrap(), Some("a.b-1"));
        assert_eq!(args.one_of("absent", &["both", "ingress"]).unwrap(), "both");
        assert!(args.one_of("name", &["both"]).unwrap_err().message.contains("one of both"));
    }
}
