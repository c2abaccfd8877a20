//! Users of a Redis, as rules of its access list.

use super::Wanted;
use crate::act::grants;
use crate::config::model::Redis;
use crate::observe::redis::RULES;
use std::fmt::Write as _;

/// Commands for `redis-cli`. Passwords are not in them.
pub(super) fn rules(config: &Redis, wanted: &Wanted<'_>) -> String {
    let mut out = format!(
        "# {}: made by `quarterdeck rbac`; `redis-cli` takes these lines. Passwords: ACL SETUSER NAME >PASSWORD, then ACL SAVE.\n",
        config.id
    );
    let keys: Vec<String> = config.keys.iter().map(|key| format!("~{}", glob(key))).collect();
    let on_keys = if keys.is_empty() { "resetkeys".to_owned() } else { format!("resetkeys {}", keys.join(" ")) };
    match &config.observe {
        Some(login) => {
            let _ = writeln!(out, "ACL SETUSER {} on resetchannels {on_keys} -@all {RULES}", login.user);
        }
        None => out.push_str("# it is looked at as the default user, whose rights are the server's own\n"),
    }
    let Some(login) = &config.act else { return out };
    let rules = grants::rules(|verb| wanted.verb(verb));
    if !rules.is_empty() {
        // Which keys a commander may have to touch is known when it burns.
        let touches = grants::COMMANDS.iter().any(|c| c.words.contains(&grants::NOBODYS_KEY) && wanted.any(c.verbs));
        let keys = if touches { "~*" } else { "resetkeys" };
        let _ = writeln!(
            out,
            "ACL SETUSER {} on resetchannels {keys} -@all +ping +hello +auth +select {rules}",
            login.user
        );
    }
    out
}

/// A key as a pattern of an access list: what stands for others stands for itself.
fn glob(key: &str) -> String {
    let special = |c: char| matches!(c, '*' | '?' | '[' | ']' | '\\');
    key.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}
