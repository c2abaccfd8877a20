//! `delivery.backport`: brings what was fixed by hand back to Git: one text of one file is replaced on a branch of its own,
//! and a merge request is opened, which a person reviews. The server refuses the commit when the file has changed since it
//! was read (GitLab: `last_commit_id`, <https://docs.gitlab.com/api/commits/>; GitHub: `sha`,
//! <https://docs.github.com/en/rest/repos/contents>), and when the branch is there already.

use super::server::{Server, Servers};
use crate::act::kubernetes::object::Args;
use crate::config::model::CiKind;
use crate::domain::behalf::Behalf;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Survey, Verb, VerbError};
use crate::domain::request::{ArgSpec, HttpCall, Operation, Request, Target, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::policy::authorized::Authorized;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "delivery.backport",
    what: "commits one replaced text of one file to a new branch and opens a merge request",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Yes,
    idempotent: false,
    read_only: false,
    args: &[
        ArgSpec { name: "ci", required: true, what: "name of the [[ci]] whose project has the file" },
        ArgSpec { name: "file", required: true, what: "path of the file in the project" },
        ArgSpec { name: "old", required: true, what: "text that stands in the file once" },
        ArgSpec { name: "new", required: true, what: "text in its place" },
        ArgSpec { name: "branch", required: true, what: "name of the new branch" },
        ArgSpec { name: "base", required: false, what: "branch that it starts from; main by default" },
        ArgSpec { name: "title", required: true, what: "title of the commit and of the merge request" },
    ],
};

/// The verb.
pub(super) struct Backport(pub Servers);

/// The arguments, checked.
struct Wanted<'a> {
    file: &'a str,
    old: &'a str,
    new: &'a str,
    branch: &'a str,
    base: &'a str,
    title: String,
}

fn wanted(args: Args<'_>) -> Result<Wanted<'_>, VerbError> {
    let named = |arg: &str, text| {
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
        let text: &str = text;
        let whole = text.chars().all(fine) && !text.starts_with(['/', '-', '.']) && !text.ends_with('/');
        if whole && !text.contains("..") && !text.contains("//") && text.len() <= 250 {
            Ok(text)
        } else {
            Err(VerbError::new(format!(
                "argument {arg}: {:?} is not a name of a branch or a file here",
                sanitize(text)
            )))
        }
    };
    Ok(Wanted {
        file: named("file", args.text("file")?)?,
        old: args.text("old")?,
        new: args.text("new")?,
        branch: named("branch", args.text("branch")?)?,
        base: named("base", args.opt_text("base")?.unwrap_or("main"))?,
        title: sanitize(args.text("title")?),
    })
}

fn file_url(server: &Server<'_>, file: &str, at: &str) -> String {
    match server.config.kind {
        CiKind::Gitlab => server.path(&format!("/repository/files/{}?ref={at}", file.replace('/', "%2F"))),
        CiKind::Github => server.path(&format!("/contents/{file}?ref={at}")),
    }
}

/// Both servers give a file as base64, GitHub with line ends in it.
fn content(file: &Value) -> Result<String, VerbError> {
    let text: String = file["content"].as_str().unwrap_or_default().split_whitespace().collect();
    let bytes = STANDARD.decode(text).map_err(|_| VerbError::new("the server did not answer with a file"))?;
    String::from_utf8(bytes).map_err(|_| VerbError::new("the file is not text"))
}

fn post(method: &str, path: String, body: &Value) -> HttpCall {
    let headers = BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]);
    HttpCall { method: method.into(), path, headers, body: format!("{body:#}") }
}

fn calls(server: &Server<'_>, wanted: &Wanted<'_>, read: &Value, text: &str) -> Vec<HttpCall> {
    let Wanted { file, branch, base, title, .. } = wanted;
    match server.config.kind {
        CiKind::Gitlab => vec![
            post(
                "POST",
                server.path("/repository/commits"),
                &json!({
                    "branch": branch, "start_branch": base, "commit_message": title,
                    "actions": [{"action": "update", "file_path": file, "content": text,
                        "last_commit_id": read["file"]["last_commit_id"]}],
                }),
            ),
            post(
                "POST",
                server.path("/merge_requests"),
                &json!({"source_branch": branch, "target_branch": base, "title": title}),
            ),
        ],
        CiKind::Github => vec![
            post(
                "POST",
                server.path("/git/refs"),
                &json!({"ref": format!("refs/heads/{branch}"), "sha": read["base"]["object"]["sha"]}),
            ),
            post(
                "PUT",
                server.path(&format!("/contents/{file}")),
                &json!({"message": title, "content": STANDARD.encode(text), "sha": read["file"]["sha"], "branch": branch}),
            ),
            post("POST", server.path("/pulls"), &json!({"title": title, "head": branch, "base": base})),
        ],
    }
}

impl Backport {
    async fn read(&self, args: &BTreeMap<String, Value>) -> Result<Value, Failure> {
        let local = |e: VerbError| Failure::new(FailureKind::Local, e.message);
        let config = self.0.named(Args(args)).map_err(local)?;
        let wanted = wanted(Args(args)).map_err(local)?;
        let server = self.0.open(config).await?;
        let file = server.get(&file_url(&server, wanted.file, wanted.base)).await?;
        let base = match config.kind {
            CiKind::Gitlab => Value::Null,
            CiKind::Github => server.get(&server.path(&format!("/git/ref/heads/{}", wanted.base))).await?,
        };
        Ok(json!({"file": file, "base": base}))
    }

    /// What the branch shows: whether it is there, and whether a merge request from it is.
    async fn shown(&self, request: &Request) -> Result<(bool, bool), Failure> {
        let server = self.0.open(self.0.of(&request.target.source)?).await?;
        let calls = request.operation.http_calls();
        let body =
            |at: usize| -> Value { calls.get(at).and_then(|c| serde_json::from_str(&c.body).ok()).unwrap_or_default() };
        let last = body(calls.len().saturating_sub(1));
        let (branches, requests) = match server.config.kind {
            CiKind::Gitlab => {
                let branch = last["source_branch"].as_str().unwrap_or_default().to_owned();
                let name = branch.replace('/', "%2F");
                (format!("/repository/branches/{name}"), format!("/merge_requests?source_branch={name}&state=all"))
            }
            CiKind::Github => {
                let branch = last["head"].as_str().unwrap_or_default().to_owned();
                let owner = server.config.project.split('/').next().unwrap_or_default();
                (format!("/git/ref/heads/{branch}"), format!("/pulls?head={owner}:{branch}&state=all"))
            }
        };
        let branch = server.find(&server.path(&branches)).await?;
        let open = server.get(&server.path(&requests)).await?;
        Ok((branch.is_some(), open.as_array().is_some_and(|all| !all.is_empty())))
    }
}

impl Verb for Backport {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn survey(&self, asked: &Survey) -> Option<BoxFuture<'static, Result<Value, Failure>>> {
        let (verb, args) = (Self(self.0.clone()), asked.args.clone());
        Some(Box::pin(async move { verb.read(&args).await }))
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let args = Args(context.args);
        let (config, wanted) = (self.0.named(args)?, wanted(args)?);
        let read = context.surveyed.ok_or_else(|| VerbError::new("its target has not been read"))?;
        let text = content(&read["file"])?;
        let Wanted { file, old, new, branch, base, title } = &wanted;
        let times = text.matches(old).count();
        if times != 1 {
            return Err(VerbError::new(format!(
                "the text `old` stands {times} times in {file} of {base}; it has to be once"
            )));
        }
        let server = Server::unopened(config);
        let calls = calls(&server, &wanted, read, &text.replacen(old, new, 1));
        let version = read["file"]["last_commit_id"].as_str().or(read["file"]["sha"].as_str()).unwrap_or_default();
        Ok(Request {
            verb: SPEC.name.into(),
            target: Target {
                source: config.id.clone(),
                identity: String::new(),
                environment: context.estate.environment,
                object: format!("{file} of {}, branch {branch} from {base}", config.project),
                tenants: Vec::new(),
                count: 1,
            },
            operation: Operation::Calls { calls },
            server_checks: vec![
                format!("only if {file} is as it was read, {}", sanitize(version)),
                format!("only if no branch {branch} is there"),
            ],
            hurts: format!(
                "nobody: {} becomes {} on {branch}, and somebody has to merge it",
                sanitize(old),
                sanitize(new)
            ),
            undo: format!("close the merge request and delete the branch {branch}"),
            by_hand: format!(
                "git checkout -b {branch} origin/{base}; edit {file}; git commit -am '{}'; git push -u origin {branch}",
                title.replace('\'', r"'\''")
            ),
        })
    }

    /// Neither server has a dry run: the file is read again.
    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let (branch, _) = self.shown(request).await?;
            Ok(if branch {
                "the branch is there already: it would be refused".into()
            } else {
                "the branch is free".into()
            })
        })
    }

    fn look<'a>(&'a self, _request: &'a Request) -> BoxFuture<'a, Outcome> {
        Box::pin(async { crate::act::kubernetes::acts_only(SPEC.name) })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            match self.0.send(SPEC.name, &permit).await {
                Ok(answers) => {
                    let last = answers.last();
                    let url = last.and_then(|a| a["web_url"].as_str().or(a["html_url"].as_str())).map(sanitize);
                    Outcome::Done {
                        summary: format!("merge request {}", url.as_deref().unwrap_or("opened")),
                        result: json!({"url": url}),
                    }
                }
                Err(outcome) => outcome,
            }
        })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(async move {
            let until = tokio::time::Instant::now() + self.0.settle;
            loop {
                let found = match self.shown(request).await {
                    Ok((true, true)) => {
                        return Reconciled::TookEffect { seen: "branch and merge request are there".into() };
                    }
                    Ok((false, false)) => Reconciled::NoEffect { seen: "there is no such branch".into() },
                    Ok(_) => Reconciled::Undecided {
                        why: "the branch is there without a merge request; look at its commit".into(),
                    },
                    Err(why) => return Reconciled::Undecided { why: why.message },
                };
                let left = until.saturating_duration_since(tokio::time::Instant::now());
                if left.is_zero() {
                    return found;
                }
                tokio::time::sleep(left.min(std::time::Duration::from_secs(2))).await;
            }
        })
    }
}
