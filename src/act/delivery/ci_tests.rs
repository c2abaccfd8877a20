//! The verbs against a small HTTP server that speaks the documented API of GitLab or GitHub: simulated.

use super::*;
use crate::act::kubernetes::lab::{permit, render};
use crate::config::model::{CiKind, SecretRef};
use crate::domain::ports::{Outcome, Reconciled};
use crate::domain::request::{Operation, Request};
use crate::domain::sample::FailureKind;
use crate::observe::kubernetes::fake::{Asked, Fake, Reply};
use serde_json::json;
use std::sync::Mutex;
use std::time::Duration;

/// What goes wrong, once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// The change is made, its answer is lost.
    AnswerLost,
    /// The change is refused.
    Forbidden,
}

struct Simulated {
    fake: Fake,
    servers: Servers,
    fault: Arc<Mutex<Fault>>,
    _secret: tempfile::TempDir,
}

async fn simulated(kind: CiKind) -> Simulated {
    let fault = Arc::new(Mutex::new(Fault::None));
    let (periods, active) = (
        Mutex::new(vec![
            json!({"id": 1, "freeze_start": "0 23 * * 5", "freeze_end": "0 7 * * 1", "cron_timezone": "UTC"}),
        ]),
        Mutex::new(true),
    );
    let (branch, merge) = (Mutex::new(false), Mutex::new(false));
    let wrong = Arc::clone(&fault);
    let answer = move |asked: &Asked| {
        let (method, path) = asked.line.split_once(' ').unwrap();
        let ok = |body: &Value| Reply::Answer(200, body.to_string());
        let token = if kind == CiKind::Gitlab { "private-token: s3cret" } else { "authorization: bearer s3cret" };
        if !asked.head.contains(token) {
            return Reply::Answer(401, json!({"message": "401 Unauthorized"}).to_string());
        }
        if method != "get" && *wrong.lock().unwrap() == Fault::Forbidden {
            return Reply::Answer(403, json!({"message": "403 Forbidden"}).to_string());
        }
        let running = json!({"id": 41, "status": "running", "ref": "main", "head_branch": "main"});
        let reply = match (method, path) {
            ("get", p) if p.starts_with("/projects/erp%2fodoo/pipelines?status=running") => ok(&json!([running])),
            ("get", p) if p.starts_with("/projects/erp%2fodoo/pipelines?status=pending") => ok(&json!([])),
            ("get", p) if p.starts_with("/projects/erp%2fodoo/freeze_periods") => ok(&json!(*periods.lock().unwrap())),
            ("post", "/projects/erp%2fodoo/freeze_periods") => {
                let mut period: Value = serde_json::from_str(&asked.body).unwrap();
                period["id"] = json!(7);
                periods.lock().unwrap().push(period.clone());
                Reply::Answer(201, period.to_string())
            }
            ("delete", "/projects/erp%2fodoo/freeze_periods/7") => {
                periods.lock().unwrap().retain(|p| p["id"] != 7);
                Reply::Answer(204, String::new())
            }
            ("get", p) if p.starts_with("/repos/erp/odoo/actions/runs?status=in_progress") => {
                ok(&json!({"total_count": 1, "workflow_runs": [running]}))
            }
            ("get", p) if p.starts_with("/repos/erp/odoo/actions/runs?status=queued") => {
                ok(&json!({"workflow_runs": []}))
            }
            ("get", p) if p.starts_with("/repos/erp/odoo/actions/workflows") => {
                let state = if *active.lock().unwrap() { "active" } else { "disabled_manually" };
                ok(&json!({"workflows": [
                    {"id": 1, "path": ".github/workflows/deploy.yml", "state": state},
                    {"id": 2, "path": ".github/workflows/test.yml", "state": "active"}]}))
            }
            ("put", p) if p.starts_with("/repos/erp/odoo/actions/workflows/deploy.yml/") => {
                *active.lock().unwrap() = p.ends_with("enable");
                Reply::Answer(204, String::new())
            }
            ("get", "/projects/erp%2fodoo/repository/files/apps%2fodoo.yaml?ref=main") => {
                ok(&json!({"content": "aW1hZ2U6IG9kb286MQo=", "last_commit_id": "c1"}))
            }
            ("get", "/repos/erp/odoo/contents/apps/odoo.yaml?ref=main") => {
                ok(&json!({"content": "aW1hZ2U6\nIG9kb286MQo=\n", "sha": "b1"}))
            }
            ("get", "/repos/erp/odoo/git/ref/heads/main") => ok(&json!({"object": {"sha": "c1"}})),
            ("post", "/projects/erp%2fodoo/repository/commits" | "/repos/erp/odoo/git/refs") => {
                *branch.lock().unwrap() = true;
                Reply::Answer(201, json!({"id": "c2"}).to_string())
            }
            ("put", "/repos/erp/odoo/contents/apps/odoo.yaml") => Reply::Answer(200, json!({"commit": {}}).to_string()),
            ("post", "/projects/erp%2fodoo/merge_requests" | "/repos/erp/odoo/pulls") => {
                *merge.lock().unwrap() = true;
                Reply::Answer(
                    201,
                    json!({"web_url": "https://git.example/1", "html_url": "https://git.example/1"}).to_string(),
                )
            }
            ("get", "/projects/erp%2fodoo/repository/branches/fix" | "/repos/erp/odoo/git/ref/heads/fix")
                if *branch.lock().unwrap() =>
            {
                ok(&json!({}))
            }
            ("get", p) if p.contains("/merge_requests?source_branch=fix") || p.contains("/pulls?head=erp:fix") => {
                ok(&if *merge.lock().unwrap() { json!([{}]) } else { json!([]) })
            }
            _ => Reply::Answer(404, json!({"message": "404 Not Found"}).to_string()),
        };
        if method != "get" && *wrong.lock().unwrap() == Fault::AnswerLost {
            return Reply::Raw(Vec::new());
        }
        reply
    };
    let fake = Fake::start(answer).await;
    let text = std::fs::read_to_string(&fake.kubeconfig).unwrap();
    let url = text.split('\'').nth(1).unwrap().to_owned();
    let secret = tempfile::tempdir().unwrap();
    let file = secret.path().join("token");
    std::fs::write(&file, "s3cret\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let workflows = if kind == CiKind::Github { vec!["deploy.yml".into()] } else { Vec::new() };
    let ci = Ci {
        id: SourceId::new("pipelines"),
        kind,
        url,
        project: "erp/odoo".into(),
        token: Some(SecretRef::File(file)),
        workflows,
        ca: crate::config::model::Ca::default(),
    };
    Simulated { fake, servers: Servers::settling(&[ci], Duration::from_millis(50)), fault, _secret: secret }
}

impl Simulated {
    fn verb(&self, name: &str) -> Arc<DynVerb> {
        pipelines(&self.servers).into_iter().find(|v| v.spec().name == name).unwrap()
    }

    async fn request(&self, name: &str) -> Result<Request, VerbError> {
        render(&*self.verb(name), &[("ci", json!("pipelines"))]).await
    }

    async fn held(&self) -> Value {
        let request = self.request("delivery.ci_status").await.unwrap();
        match self.verb("delivery.ci_status").look(&request).await {
            Outcome::Done { result, .. } => result,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn pipelines_are_listed_held_and_let_go_on_either_server() {
    for kind in [CiKind::Gitlab, CiKind::Github] {
        let server = simulated(kind).await;
        assert_eq!(server.held().await["held"], false, "{kind:?}: what others froze is not ours");
        assert!(server.request("delivery.ci_release").await.unwrap_err().message.contains("is not held"));
        let (hold, release) = (server.verb("delivery.ci_hold"), server.verb("delivery.ci_release"));
        let request = server.request("delivery.ci_hold").await.unwrap();
        assert!(
            request.hurts.starts_with("1 pipelines run still and go on: #41 of main, running"),
            "{}",
            request.hurts
        );
        assert!(!format!("{request:?}").contains("s3cret"), "the token stands in no request");
        assert!(hold.dry_run(&request, None).await.unwrap().contains("1 pipelines run"));
        assert!(matches!(hold.reconcile(&request).await, Reconciled::NoEffect { .. }));
        let outcome = hold.execute(permit(&request)).await;
        assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
        assert!(matches!(hold.reconcile(&request).await, Reconciled::TookEffect { .. }));
        assert_eq!(server.held().await["held"], true);
        assert!(server.request("delivery.ci_hold").await.is_err(), "held already");
        let request = server.request("delivery.ci_release").await.unwrap();
        let outcome = release.execute(permit(&request)).await;
        assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
        assert!(matches!(release.reconcile(&request).await, Reconciled::TookEffect { .. }));
        assert_eq!(server.held().await["held"], false);
    }
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_found_a_refusal_is_none() {
    for kind in [CiKind::Gitlab, CiKind::Github] {
        let server = simulated(kind).await;
        let hold = server.verb("delivery.ci_hold");
        let request = server.request("delivery.ci_hold").await.unwrap();
        *server.fault.lock().unwrap() = Fault::Forbidden;
        let outcome = hold.execute(permit(&request)).await;
        let Outcome::Failed { why } = outcome else { panic!("{outcome:?}") };
        assert_eq!(why.kind, FailureKind::Permission);
        assert!(why.message.contains("403 Forbidden") && !why.message.contains("s3cret"), "{}", why.message);
        *server.fault.lock().unwrap() = Fault::AnswerLost;
        let outcome = hold.execute(permit(&request)).await;
        assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
        assert!(matches!(hold.reconcile(&request).await, Reconciled::TookEffect { .. }));
    }
}

#[tokio::test]
async fn a_request_about_another_project_is_not_sent() {
    let server = simulated(CiKind::Gitlab).await;
    let hold = server.verb("delivery.ci_hold");
    let mut request = server.request("delivery.ci_hold").await.unwrap();
    let asked = server.fake.asked.lock().unwrap().len();
    if let Operation::Http { path, .. } = &mut request.operation {
        *path = path.replace("erp%2Fodoo", "erp%2Fother");
    }
    let outcome = hold.execute(permit(&request)).await;
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    request.verb = "delivery.ci_release".into();
    assert!(matches!(hold.execute(permit(&request)).await, Outcome::Failed { .. }));
    assert_eq!(server.fake.asked.lock().unwrap().len(), asked, "nothing was sent");
}

#[tokio::test]
async fn a_fix_by_hand_comes_back_to_git_as_a_merge_request() {
    for kind in [CiKind::Gitlab, CiKind::Github] {
        let server = simulated(kind).await;
        let verb = server.verb("delivery.backport");
        let args = |old: &str, file: &str| {
            let pairs = [("ci", "pipelines"), ("file", file), ("old", old), ("new", "odoo:2"), ("branch", "fix")];
            let mut all: Vec<_> = pairs.into_iter().map(|(k, v)| (k, json!(v))).collect();
            all.push(("title", json!("Back to 2")));
            all
        };
        let absent = render(&*verb, &args("odoo:9", "apps/odoo.yaml")).await.unwrap_err().message;
        assert!(absent.contains("stands 0 times"), "{absent}");
        for file in ["../x", "/etc/passwd", "a//b", "a b", "a?b"] {
            assert!(render(&*verb, &args("odoo:1", file)).await.is_err(), "{file}");
        }
        let request = render(&*verb, &args("odoo:1", "apps/odoo.yaml")).await.unwrap();
        let calls = request.operation.http_calls();
        let body: Value = serde_json::from_str(&calls[calls.len() - 2].body).unwrap();
        if kind == CiKind::Gitlab {
            assert_eq!(body["actions"][0]["content"], "image: odoo:2\n");
            assert_eq!(body["actions"][0]["last_commit_id"], "c1");
        } else {
            assert_eq!((&body["content"], &body["sha"]), (&json!("aW1hZ2U6IG9kb286Mgo="), &json!("b1")));
        }
        assert!(matches!(verb.reconcile(&request).await, Reconciled::NoEffect { .. }));
        *server.fault.lock().unwrap() = Fault::AnswerLost;
        let outcome = verb.execute(permit(&request)).await;
        assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
        // The branch was made, the rest not: a person has to look.
        assert!(matches!(verb.reconcile(&request).await, Reconciled::Undecided { .. }));
        *server.fault.lock().unwrap() = Fault::None;
        let Outcome::Done { result, .. } = verb.execute(permit(&request)).await else { panic!() };
        assert_eq!(result["url"], "https://git.example/1");
        assert!(matches!(verb.reconcile(&request).await, Reconciled::TookEffect { .. }));
    }
}
