//! `[[delivery]]` and `[[ci]]`: what delivers changes, and whose pipelines do.

use super::decode::{Ids, name, required_url, secret_of};
use super::model::{Ci, CiKind, Delivery};
use super::reader::Table;

pub(super) fn delivery(mut table: Table<'_, '_>, ids: &mut Ids) -> Delivery {
    let id = ids.source(&mut table, "delivery");
    let cluster = ids.refer(&mut table, "cluster", "kubernetes");
    let argocd_namespace = table.has("argocd_namespace").then(|| name(&mut table, "argocd_namespace", "argocd"));
    let flux = table.boolean("flux").unwrap_or(false);
    if argocd_namespace.is_none() && !flux {
        table.reject("flux", "a [[delivery]] has `argocd_namespace`, `flux = true`, or both; here is neither");
    }
    table.finish();
    Delivery { id, cluster, argocd_namespace, flux }
}

pub(super) fn ci(mut table: Table<'_, '_>, ids: &mut Ids) -> Ci {
    let id = ids.source(&mut table, "ci");
    if !table.has("kind") {
        table.reject("kind", "a [[ci]] lacks `kind`; allowed is gitlab or github");
    }
    let kind = table.parsed("kind", "gitlab or github", |text| match text {
        "gitlab" => Some(CiKind::Gitlab),
        "github" => Some(CiKind::Github),
        _ => None,
    });
    let url = required_url(&mut table, "url", &["https://", "http://"], "https://gitlab.example/api/v4");
    let project = table.required("project", "group/name");
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    if !project.chars().all(fine) || project.starts_with('/') || project.ends_with('/') || project.contains("..") {
        table.reject("project", "`project` is not the path of a project, such as \"group/name\"");
    }
    let token = secret_of(&mut table, "token");
    let workflows = table.strings("workflows");
    let is_name = |name: &String| name.chars().all(|c| fine(c) && c != '/') && !name.is_empty();
    match kind {
        Some(CiKind::Github) if workflows.is_empty() || !workflows.iter().all(is_name) => {
            let why = "`workflows` names the files that deliver, such as [\"deploy.yml\"]; GitHub needs one at least";
            table.reject("workflows", why);
        }
        Some(CiKind::Gitlab) if !workflows.is_empty() => {
            table.reject("workflows", "`workflows` is for kind = \"github\"; GitLab has none");
        }
        _ => {}
    }
    let ca = crate::config::tls::ca(&mut table);
    table.finish();
    Ci { id, kind: kind.unwrap_or(CiKind::Gitlab), url, project, token, workflows, ca }
}

#[cfg(test)]
mod tests {
    use crate::config::model::CiKind;

    const ESTATE: &str =
        "[estate]\nname = \"a\"\nenvironment = \"staging\"\n[[kubernetes]]\nid = \"k8s\"\nkubeconfig = \"/k\"\n";

    fn refused(text: &str) -> String {
        crate::config::decode::decode("config.toml", &format!("{ESTATE}{text}")).unwrap_err().to_string()
    }

    #[test]
    fn deliveries_and_pipelines_are_read() {
        let text = format!(
            "{ESTATE}[[delivery]]\nid = \"gitops\"\ncluster = \"k8s\"\nargocd_namespace = \"argocd\"\nflux = true\n\
             [[ci]]\nid = \"gh\"\nkind = \"github\"\nurl = \"https://api.github.example\"\nproject = \"erp/odoo\"\n\
             workflows = [\"deploy.yml\"]\ntoken = \"env:T\"\n"
        );
        let config = crate::config::decode::decode("config.toml", &text).unwrap();
        let [delivery] = config.delivery.as_slice() else { panic!() };
        assert_eq!((delivery.argocd_namespace.as_deref(), delivery.flux), (Some("argocd"), true));
        let [ci] = config.ci.as_slice() else { panic!() };
        assert_eq!((ci.kind, ci.project.as_str(), ci.workflows.len()), (CiKind::Github, "erp/odoo", 1));
    }

    #[test]
    fn what_can_not_work_is_a_sentence() {
        assert!(refused("[[delivery]]\nid = \"d\"\ncluster = \"k8s\"\n").contains("here is neither"));
        assert!(refused("[[delivery]]\nid = \"d\"\ncluster = \"nowhere\"\nflux = true\n").contains("known: k8s"));
        let ci = |more: &str| refused(&format!("[[ci]]\nid = \"c\"\nurl = \"https://a.example\"\n{more}"));
        assert!(ci("project = \"a/b\"\n").contains("gitlab or github"));
        assert!(ci("kind = \"github\"\nproject = \"a/b\"\n").contains("GitHub needs one at least"));
        assert!(ci("kind = \"gitlab\"\nproject = \"../b\"\n").contains("is not the path of a project"));
        let both = ci("kind = \"gitlab\"\nproject = \"a/b\"\nworkflows = [\"x.yml\"]\n");
        assert!(both.contains("GitLab has none"), "{both}");
    }
}
