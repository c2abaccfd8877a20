//! What an identity provider has said of a person, after everything in it was checked.

use super::id::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Somebody who has authenticated with a second factor. Never the token, from which others could learn more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The provider.
    pub issuer: String,
    /// What the provider calls the person, which no other ever has.
    pub subject: String,
    /// What the configured claim says: a name that the roster knows.
    pub name: String,
    /// How it was authenticated, as a class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// By which methods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
    /// When the person authenticated.
    pub auth_time: Timestamp,
    /// sha256 of the token.
    pub token: Digest,
}
