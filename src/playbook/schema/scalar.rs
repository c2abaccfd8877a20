//! Scalars with a grammar of their own: durations, jumps, what follows a failure.

use crate::domain::id::StepId;
use jiff::SignedDuration;
use serde::de::{self, Deserialize, Deserializer};
use std::fmt;
use std::time::Duration;

/// A length of time, written as `30s`, `5m`, `1h 30m` (jiff's friendly format) or in ISO 8601.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time such as `30s` or `5m`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                text.parse::<SignedDuration>()
                    .ok()
                    .and_then(|d| Duration::try_from(d).ok())
                    .map(Span)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        from.deserialize_str(Text)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SignedDuration::try_from(self.0) {
            Ok(d) => write!(f, "{d:#}"),
            Err(_) => write!(f, "{} s", self.0.as_secs()),
        }
    }
}

/// Where a decision leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// To the next step.
    Continue,
    /// To a later step; those between are skipped.
    Step(StepId),
    /// The run ends as failed.
    Abort,
}

impl Next {
    /// The words in the file.
    pub fn word(&self) -> String {
        match self {
            Self::Continue => "continue".to_owned(),
            Self::Step(id) => format!("step:{id}"),
            Self::Abort => "abort".to_owned(),
        }
    }
}

/// What follows when a step fails or its verification does not hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// A person decides.
    #[default]
    Ask,
    /// The run goes on with the next step.
    Continue,
    /// The run goes on with a later step; those between are skipped.
    Step(StepId),
    /// The run ends as failed.
    Abort,
    /// What was done is taken back, the last first; the run ends as rolled back.
    Rollback,
}

fn jump(text: &str) -> Option<StepId> {
    text.strip_prefix("step:").filter(|id| !id.is_empty()).map(StepId::from)
}

impl<'de> Deserialize<'de> for Next {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        match (text.as_str(), jump(&text)) {
            (_, Some(step)) => Ok(Self::Step(step)),
            ("continue", None) => Ok(Self::Continue),
            ("abort", None) => Ok(Self::Abort),
            _ => Err(de::Error::custom(format!("`{text}` is neither `continue`, `abort` nor `step:ID`"))),
        }
    }
}

impl<'de> Deserialize<'de> for OnFailure {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        match (text.as_str(), jump(&text)) {
            (_, Some(step)) => Ok(Self::Step(step)),
            ("ask", None) => Ok(Self::Ask),
            ("continue", None) => Ok(Self::Continue),
            ("abort", None) => Ok(Self::Abort),
            ("rollback", None) => Ok(Self::Rollback),
            _ => Err(de::Error::custom(format!(
                "`{text}` is neither `ask`, `continue`, `abort`, `rollback` nor `step:ID`"
            ))),
        }
    }
}
