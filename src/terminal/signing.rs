//! A person's answer to a request, signed by the ssh-agent of the session that the console runs in.

use crate::attest::agent::{Agent, AgentError, Held};
use crate::domain::incident::Role;
use crate::engine::api::{Decision, RequestView};
use crate::policy::statement::NAMESPACE;

/// Has the request signed as it was shown, by the one key of the agent that the roster knows.
///
/// # Errors
/// One sentence.
pub async fn sign(
    request: &RequestView,
    decision: Decision,
    role: Role,
    allowed_signers: &str,
) -> Result<String, String> {
    if !request.is_what_it_shows() {
        return Err("the digest is not that of what was shown".into());
    }
    let agent = Agent::of_session().map_err(said)?;
    let keys = agent.keys().await.map_err(said)?;
    let mut fitting = keys.iter().filter(|k| k.certificate.is_some() || allowed_signers.contains(&k.key.line()));
    let key = match (fitting.next(), fitting.next()) {
        (Some(one), None) => one,
        (None, _) => return Err("no key of your ssh-agent is in the roster".into()),
        (Some(_), Some(_)) => {
            let names: Vec<String> = keys.iter().map(Held::name).collect();
            return Err(format!(
                "several keys of your ssh-agent could sign ({}); `quarterdeck approve {} --key KEY` names one",
                names.join("; "),
                request.id
            ));
        }
    };
    agent.sign(key, NAMESPACE, request.statement(decision, role).as_bytes()).await.map_err(said)
}

#[allow(clippy::needless_pass_by_value, reason = "used as a function for `map_err`")]
fn said(error: AgentError) -> String {
    error.to_string()
}
