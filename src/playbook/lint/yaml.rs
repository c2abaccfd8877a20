//! YAML as JSON with the place of every value and key, so that each later problem can be pointed at.

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;
use serde_saphyr::options::DuplicateKeyPolicy;
use std::collections::BTreeMap;
use std::fmt;

/// A place in the text, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

/// A parsed text.
#[derive(Debug)]
pub(crate) struct Document {
    /// The same as JSON.
    pub(crate) value: Value,
    /// Keys that stand twice in one mapping; the first counts.
    pub(crate) repeated: Vec<(Place, String)>,
    /// Place of each key, or of each list element, by JSON pointer (RFC 6901).
    keys: BTreeMap<String, Place>,
    /// Place of each value, by JSON pointer.
    values: BTreeMap<String, Place>,
}

impl Document {
    /// The place of a value; of what is nearest above it where it is not there.
    pub(crate) fn place(&self, pointer: &str) -> Place {
        Self::nearest(&self.values, pointer)
    }

    /// The place of a key.
    pub(crate) fn key_place(&self, pointer: &str) -> Place {
        self.keys.get(pointer).copied().unwrap_or_else(|| self.place(pointer))
    }

    fn nearest(places: &BTreeMap<String, Place>, pointer: &str) -> Place {
        let mut at = pointer;
        loop {
            match (places.get(at), at.rsplit_once('/')) {
                (Some(place), _) => return *place,
                (None, Some((above, _))) => at = above,
                (None, None) => return Place { line: 1, column: 1 },
            }
        }
    }
}

/// One part of a JSON pointer.
pub(crate) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Reads a text.
pub(crate) fn read(text: &str) -> Result<Document, (Place, String)> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
    };
    let node: Spanned<Node> = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place =
            error.location().map_or(Place { line: 1, column: 1 }, |l| Place { line: l.line(), column: l.column() });
        let shown = error.without_snippet().to_string();
        // The crate repeats the place at the end or the beginning of its sentence; ours stands before it.
        let message = shown.lines().next().unwrap_or_default();
        let message = message.split(" at line ").next().unwrap_or(message);
        (place, format!("not YAML: {}", crate::domain::text::sanitize(message)))
    })?;
    let mut document =
        Document { value: Value::Null, repeated: Vec::new(), keys: BTreeMap::new(), values: BTreeMap::new() };
    document.value = document.take(node, "");
    Ok(document)
}

impl Document {
    fn take(&mut self, node: Spanned<Node>, pointer: &str) -> Value {
        let place = Place { line: node.referenced.line(), column: node.referenced.column() };
        self.values.insert(pointer.to_owned(), place);
        match node.value {
            Node::Scalar(value) => value,
            Node::List(items) => {
                let items = items.into_iter().enumerate();
                Value::Array(items.map(|(i, item)| self.take(item, &format!("{pointer}/{i}"))).collect())
            }
            Node::Map(entries) => {
                let mut fields = serde_json::Map::new();
                for (key, value) in entries {
                    let at = format!("{pointer}/{}", escape(&key.value));
                    let place = Place { line: key.referenced.line(), column: key.referenced.column() };
                    if fields.contains_key(&key.value) {
                        let first = self.key_place(&at).line;
                        let shown = crate::domain::text::sanitize(&key.value);
                        self.repeated.push((place, format!("the key `{shown}` stands already in line {first}")));
                        continue;
                    }
                    self.keys.insert(at.clone(), place);
                    let value = self.take(value, &at);
                    fields.insert(key.value, value);
                }
                Value::Object(fields)
            }
        }
    }
}

/// A node with the places of what is below it.
enum Node {
    Scalar(Value),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping, a list, a text, a number, `true`, `false` or nothing")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Scalar(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Scalar(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
                Ok(Node::Scalar(value.into()))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
                if value.is_finite() {
                    Ok(Node::Scalar(value.into()))
                } else {
                    Err(E::custom("a number must be finite"))
                }
            }

            fn visit_str<E>(self, value: &str) -> Result<Node, E> {
                Ok(Node::Scalar(value.into()))
            }

            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Scalar(Value::Null))
            }

            fn visit_none<E>(self) -> Result<Node, E> {
                Ok(Node::Scalar(Value::Null))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
                let mut all = Vec::new();
                while let Some(item) = items.next_element()? {
                    all.push(item);
                }
                Ok(Node::List(all))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
                let mut all = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    all.push(entry);
                }
                Ok(Node::Map(all))
            }
        }
        from.deserialize_any(Any)
    }
}
