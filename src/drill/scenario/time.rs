//! Times of a scenario as people write them: `T+5m` since the beginning, `90s` for a duration.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Longest time that a scenario may name: a week.
pub const LONGEST_S: i64 = 7 * 86_400;

/// Seconds of `1h05m`, `8m`, `90s`; `None` for anything else and for what is longer than [`LONGEST_S`].
fn seconds(text: &str) -> Option<i64> {
    let (mut seconds, mut number) = (0_i64, String::new());
    for c in text.chars() {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        let unit = match c {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(number.parse::<i64>().ok()?.checked_mul(unit)?)?;
        number.clear();
    }
    (number.is_empty() && !text.is_empty() && seconds <= LONGEST_S).then_some(seconds)
}

fn words(seconds: i64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, m, s) => format!("{m}m{s:02}s"),
        (h, m, s) => format!("{h}h{m:02}m{s:02}s"),
    }
}

/// A time since the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offset(pub i64);

/// A duration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lasting(pub i64);

impl Offset {
    fn parse(text: &str) -> Option<Self> {
        seconds(text.strip_prefix("T+")?).map(Self)
    }
}

impl Lasting {
    /// Reads `8m`, `90s`, `1h05m`.
    pub fn parse(text: &str) -> Option<Self> {
        seconds(text).map(Self)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T+{}", words(self.0))
    }
}

impl fmt::Display for Lasting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&words(self.0))
    }
}

impl Serialize for Offset {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Offset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "`{text}` is no time since the beginning, such as T+90s, T+5m or T+1h05m, at most a week"
            ))
        })
    }
}

impl Serialize for Lasting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lasting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!("`{text}` is no duration, such as 90s, 5m or 1h05m, at most a week"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_since_the_beginning() {
        let parsed = ["T+90s", "T+5m", "T+1h05m", "T+05m10s"].map(|t| Offset::parse(t).unwrap().0);
        assert_eq!(parsed, [90, 300, 3900, 310]);
        let wrong = ["", "T+", "90s", "T+5", "T+5x", "T+-5s", "T+99999999999999999999h", "T+200h"];
        assert!(wrong.iter().all(|t| Offset::parse(t).is_none()));
        assert_eq!((Offset(3905).to_string(), Lasting(90).to_string()), ("T+1h05m05s".into(), "1m30s".into()));
        assert_eq!(Lasting::parse(&Lasting(3905).to_string()), Some(Lasting(3905)));
    }
}
