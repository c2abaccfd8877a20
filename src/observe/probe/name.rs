//! From a name to its addresses, as this machine resolves names: its hosts file and its resolvers, as every other program
//! here does. A name that there is not is known; a resolver that does not answer makes it unknown.

use dns_lookup::{AddrInfoHints, LookupError, LookupErrorKind, SockType, getaddrinfo};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// What became of the name of an address.
#[derive(Debug, Default)]
pub(super) enum Name {
    /// None was asked for: it is an address already.
    #[default]
    Address,
    /// It was asked for, and nobody has answered yet.
    Asked,
    /// An answer: the addresses, none where there is no such name or it has none.
    Told { took: Duration, addresses: Vec<IpAddr> },
    /// Nobody can say, and why.
    Silent(String),
}

/// Resolves a host; an address stands for itself. `Err` says why there is nothing to connect to.
pub(super) async fn resolve(host: &str, name: &mut Name) -> Result<Vec<IpAddr>, String> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    *name = Name::Asked;
    let begun = Instant::now();
    let asked = host.to_owned();
    let answer = tokio::task::spawn_blocking(move || look_up(&asked)).await;
    let answer = answer.map_err(|_| format!("resolving the name {host} was broken off"))?;
    *name = told(begun.elapsed(), answer);
    match name {
        Name::Told { addresses, .. } if addresses.is_empty() => {
            Err(format!("the name {host} is not resolved here: there is none, or it has no address"))
        }
        Name::Told { addresses, .. } => Ok(addresses.clone()),
        Name::Silent(why) => Err(format!("the name {host} is not resolved here: {why}")),
        Name::Address | Name::Asked => Err(format!("the name {host} is not resolved here")),
    }
}

/// Addresses in the order in which they are tried (RFC 6724), each once. Blocks, for as long as the resolvers take.
fn look_up(host: &str) -> Result<Vec<IpAddr>, LookupError> {
    let hints = AddrInfoHints { socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
    let mut addresses: Vec<IpAddr> = Vec::new();
    for found in getaddrinfo(Some(host), None, Some(hints))? {
        let address = found?.sockaddr.ip();
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// What getaddrinfo(3) answers: NXDOMAIN and a name without addresses are `EAI_NONAME` and `EAI_NODATA`; a server that
/// fails, or none that answers, is `EAI_AGAIN`.
fn told(took: Duration, answer: Result<Vec<IpAddr>, LookupError>) -> Name {
    match answer {
        Ok(addresses) => Name::Told { took, addresses },
        Err(e) => match e.kind() {
            LookupErrorKind::NoName | LookupErrorKind::NoData => Name::Told { took, addresses: Vec::new() },
            LookupErrorKind::Again => Name::Silent("no resolver of this machine answers, or they fail".to_owned()),
            _ => Name::Silent(std::io::Error::from(e).to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_such_name_is_an_answer_and_a_silent_resolver_is_none() {
        let of = |code: i32| told(Duration::from_millis(7), Err(LookupError::new(code)));
        // EAI_NONAME and EAI_NODATA of Linux.
        for code in [-2, -5] {
            let Name::Told { took, addresses } = of(code) else { panic!("{code}") };
            assert_eq!((took.as_millis(), addresses.len()), (7, 0));
        }
        // EAI_AGAIN, EAI_FAIL.
        for (code, words) in [(-3, "no resolver of this machine answers"), (-4, "")] {
            let Name::Silent(why) = of(code) else { panic!("{code}") };
            assert!(why.contains(words) && !why.is_empty(), "{why}");
        }
    }

    #[tokio::test]
    async fn an_address_needs_no_resolver_and_a_name_of_this_machine_has_one() {
        let mut name = Name::default();
        assert_eq!(resolve("::1", &mut name).await, Ok(vec!["::1".parse().unwrap()]));
        assert!(matches!(name, Name::Address));
        let found = resolve("localhost", &mut name).await.unwrap();
        assert!(found.iter().all(IpAddr::is_loopback) && matches!(name, Name::Told { .. }), "{found:?}");
        let twice = found.iter().filter(|a| **a == found[0]).count();
        assert_eq!(twice, 1, "{found:?}");
    }
}
