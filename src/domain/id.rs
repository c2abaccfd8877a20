//! Names of things. Each is a short string that was checked where it entered the program; the types keep a
//! tenant from being passed where a run is meant.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::fmt;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(transparent)]
        pub struct $name(SmolStr);

        impl $name {
            /// Names the thing; the caller has checked the characters.
            pub fn new(name: impl Into<SmolStr>) -> Self {
                Self(name.into())
            }

            /// The bare name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        /// So that a map copies a name only where it does not have it yet.
        impl From<&Self> for $name {
            fn from(name: &Self) -> Self {
                name.clone()
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(name.into())
            }
        }
    )+};
}

ids! {
    /// One observer: `pg-a`, `k8s-1`, `redis-q`, `edge-1`, `odoo/t017`.
    SourceId,
    /// One tenant: `t017`.
    TenantId,
    /// One finding, stable while it lasts: `lock-chain/t017`.
    FindingId,
    /// One incident: `INC-42`.
    IncidentId,
    /// One playbook run: `RUN-9`.
    RunId,
    /// One playbook: `schema-lock`.
    PlaybookId,
    /// One step within a playbook: `terminate-root`.
    StepId,
    /// A person, as policy knows them: `mara`.
    Person,
}

/// A sha256, shown and stored as 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// Writes 32 hash bytes as hexadecimal.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        use fmt::Write as _;
        let mut hex = String::with_capacity(64);
        for byte in bytes {
            let _ = write!(hex, "{byte:02x}");
        }
        Self(hex)
    }

    /// Reads 64 lower-case hexadecimal digits, and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        (text.len() == 64 && is_hex).then(|| Self(text.to_owned()))
    }

    /// All 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first four and last two digits, as screens show it: `7f3a…c2`.
    pub fn short(&self) -> String {
        match (self.0.get(..4), self.0.get(self.0.len().saturating_sub(2)..)) {
            (Some(head), Some(tail)) if self.0.len() > 6 => format!("{head}…{tail}"),
            _ => self.0.clone(),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
