//! `ca`, `tls_min`, `client_cert` and `client_key` of a server: whose authorities vouch for it, which versions of TLS are good enough, and
//! what it is shown.

use super::certificate::ClientCertificate;
use super::reader::Table;
use std::path::PathBuf;

/// What a line to a server is protected by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ca {
    /// Own certificate authorities, PEM; the system's when absent.
    pub file: Option<PathBuf>,
    /// The oldest version that is spoken.
    pub min: TlsMin,
    /// What the server is shown when it asks who we are.
    pub client: Option<Box<ClientCertificate>>,
}

impl From<PathBuf> for Ca {
    fn from(file: PathBuf) -> Self {
        Self { file: Some(file), ..Self::default() }
    }
}

/// The oldest version of TLS that is spoken; what is older than 1.2 never is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMin {
    /// 1.2 (RFC 5246).
    #[default]
    V12,
    /// 1.3 (RFC 8446).
    V13,
}

/// As rustls takes it.
static NEWEST: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

impl TlsMin {
    /// The versions that are offered.
    pub fn versions(self) -> &'static [&'static rustls::SupportedProtocolVersion] {
        match self {
            Self::V12 => rustls::ALL_VERSIONS,
            Self::V13 => NEWEST,
        }
    }

    /// A client of HTTP that offers these alone.
    pub fn of(self, builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        match self {
            Self::V12 => builder,
            Self::V13 => builder.tls_version_min(reqwest::tls::Version::TLS_1_3),
        }
    }
}

/// Decodes all of them.
pub(super) fn ca(table: &mut Table<'_, '_>) -> Ca {
    let known = without_min(table);
    let min = table.parsed("tls_min", "1.2 or 1.3", |text| match text {
        "1.2" => Some(TlsMin::V12),
        "1.3" => Some(TlsMin::V13),
        _ => None,
    });
    Ca { min: min.unwrap_or_default(), ..known }
}

/// The same of a server whose library knows no oldest version.
pub(super) fn without_min(table: &mut Table<'_, '_>) -> Ca {
    let file = super::decode::path(table, "ca");
    Ca { file, min: TlsMin::default(), client: super::certificate::client(table) }
}

#[cfg(test)]
mod tests {
    use super::TlsMin;
    use crate::config::decode::decode;

    #[test]
    fn a_version_is_one_of_two_and_needs_tls() {
        let read = |rest: &str| {
            let head = "[estate]\nname = \"e\"\nenvironment = \"production\"\n[[postgres]]\nid = \"p\"\nhost = \"h\"\nuser = \"u\"\n";
            decode("c.toml", &format!("{head}{rest}\n")).map_err(|e| e.to_string())
        };
        assert_eq!(read("").unwrap().postgres[0].ca.min, TlsMin::V12);
        assert_eq!(read("tls_min = \"1.3\"").unwrap().postgres[0].ca.min, TlsMin::V13);
        let said = read("tls_min = \"1.1\"").unwrap_err();
        assert!(said.contains("`tls_min`") && said.contains("1.2 or 1.3"), "{said}");
        let said = read("tls = \"disable\"\ntls_min = \"1.3\"").unwrap_err();
        assert!(said.contains("`tls_min` is given where `tls` is \"disable\""), "{said}");
    }
}
