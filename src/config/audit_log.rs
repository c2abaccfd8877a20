//! `[[audit_log]]`: the audit log of a Kubernetes API server, as a file of this machine.

use super::decode::{Ids, interval, path};
use super::reader::Table;
use crate::domain::id::SourceId;
use std::path::PathBuf;
use std::time::Duration;

/// `[[audit_log]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLog {
    /// Source name.
    pub id: SourceId,
    /// The `[[kubernetes]]` whose log it is.
    pub cluster: SourceId,
    /// The file; events of audit.k8s.io/v1, one a line.
    pub path: PathBuf,
    /// Users whose privileged actions are their work; a star at the end stands for the rest of the name.
    pub ignore: Vec<String>,
    /// Time between two looks.
    pub interval: Duration,
}

/// Decodes `[[audit_log]]`.
pub(super) fn all(tables: Vec<Table<'_, '_>>, ids: &mut Ids) -> Vec<AuditLog> {
    let one = |mut table: Table<'_, '_>| {
        let id = ids.source(&mut table, "audit_log");
        let cluster = ids.refer(&mut table, "cluster", "kubernetes");
        if !table.has("path") {
            table.reject("path", "[[audit_log]] lacks `path`; for example `path = \"/var/log/kubernetes/audit.log\"`");
        }
        let file = path(&mut table, "path");
        if file.as_ref().is_some_and(|p| !p.is_absolute()) {
            table.reject("path", "`path` of [[audit_log]] must be an absolute path");
        }
        let ignore = table.checked_strings("ignore", |user| {
            let whole = !user.trim_end_matches('*').is_empty() && !user.trim_end_matches('*').contains('*');
            if whole {
                Ok(())
            } else {
                Err(format!("`{user}` is no user; a star may stand at the end only, after a beginning"))
            }
        });
        let interval = interval(&mut table, Duration::from_secs(5));
        table.finish();
        Some(AuditLog { id, cluster, path: file?, ignore, interval })
    };
    tables.into_iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use crate::config::decode::decode;

    const HEAD: &str = "[estate]\nname = \"e\"\nenvironment = \"production\"\n[[kubernetes]]\nid = \"k8s-1\"\n\
                        kubeconfig = \"/k\"\n[[audit_log]]\nid = \"audit\"\n";

    #[test]
    fn a_log_names_its_cluster_and_an_absolute_file() {
        let read = |rest: &str| decode("c.toml", &format!("{HEAD}{rest}"));
        let log = read("cluster = \"k8s-1\"\npath = \"/l\"\nignore = [\"system:serviceaccount:argocd:*\"]\n").unwrap();
        assert_eq!((log.audit_log[0].cluster.as_str(), log.audit_log[0].interval.as_secs()), ("k8s-1", 5));
        let said = |rest: &str| read(rest).unwrap_err().to_string();
        assert!(said("cluster = \"k8s-2\"\npath = \"/l\"\n").contains("no [[kubernetes]]"));
        assert!(said("cluster = \"k8s-1\"\n").contains("lacks `path`"));
        assert!(said("cluster = \"k8s-1\"\npath = \"l\"\n").contains("absolute path"));
        assert!(said("cluster = \"k8s-1\"\npath = \"/l\"\nignore = [\"*\"]\n").contains("is no user"));
        assert!(said("cluster = \"k8s-1\"\npath = \"/l\"\nignore = [\"a*b\"]\n").contains("is no user"));
    }
}
