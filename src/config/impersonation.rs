//! `impersonate` of a `[[kubernetes]]`: in whose name its API server is asked to act.

use super::reader::Table;
use crate::domain::id::Person;

/// What stands for the person.
const PERSON: &str = "{person}";

/// What Kubernetes keeps for its own users and groups; nobody of the roster is one of them.
const OWN: &str = "system:";

/// How people of the roster are named on a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impersonate {
    user: String,
    /// The group that they act in beside `system:authenticated`, which the rights are bound to; each person when absent.
    pub group: Option<String>,
}

impl Impersonate {
    /// How people are named, with `{person}` for their names here.
    pub fn shown(&self) -> &str {
        &self.user
    }

    /// The user that a person is there.
    ///
    /// # Errors
    /// One sentence: it would be one of Kubernetes' own, or no header can carry it.
    pub fn user(&self, person: &Person) -> Result<String, String> {
        let user = self.user.replace(PERSON, person.as_str());
        match usable(&user) {
            Ok(()) => Ok(user),
            Err(why) => Err(format!("nobody can act in the name of {person}: {why}")),
        }
    }
}

fn usable(name: &str) -> Result<(), String> {
    let shown = crate::domain::text::sanitize(name);
    if name.starts_with(OWN) {
        return Err(format!("`{shown}` is a name of Kubernetes' own, which begin with `{OWN}`"));
    }
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_graphic() || c == ' ') || name.trim() != name {
        return Err(format!("`{shown}` is no name that a request can carry; allowed is printable ASCII"));
    }
    Ok(())
}

/// Decodes it.
pub(super) fn decode(table: &mut Table<'_, '_>) -> Option<Impersonate> {
    let mut table = table.table("impersonate")?;
    let user = table.required("user", PERSON);
    let group = table.string("group");
    if table.has("user") && user.matches(PERSON).count() != 1 {
        table.reject("user", format!("`user` is `{user}`; {PERSON} has to stand in it once, as in \"oidc:{PERSON}\""));
    } else if let Err(why) = usable(&user) {
        table.reject("user", why);
    }
    if let Some(Err(why)) = group.as_deref().map(usable) {
        table.reject("group", why);
    }
    table.finish();
    Some(Impersonate { user, group })
}

#[cfg(test)]
mod tests {
    use super::Impersonate;
    use crate::config::decode::decode;
    use crate::domain::id::Person;

    const HEAD: &str = "[estate]\nname = \"e\"\nenvironment = \"production\"\n[[kubernetes]]\nid = \"k8s-1\"\n\
                        kubeconfig = \"/k\"\n";

    fn read(rest: &str) -> Result<Option<Impersonate>, String> {
        let config = decode("c.toml", &format!("{HEAD}{rest}\n")).map_err(|e| e.to_string())?;
        Ok(config.kubernetes[0].impersonate.clone())
    }

    #[test]
    fn people_are_named_as_the_cluster_knows_them() {
        assert_eq!(read("").unwrap(), None);
        let text = "act_kubeconfig = \"/a\"\nimpersonate = { user = \"oidc:{person}@acme.example\", group = \"crew\" }";
        let found = read(text).unwrap().unwrap();
        assert_eq!(found.user(&Person::from("ines")).unwrap(), "oidc:ines@acme.example");
        assert_eq!(found.group.as_deref(), Some("crew"));
    }

    #[test]
    fn a_name_of_kubernetes_own_or_one_for_everybody_is_refused() {
        let act = "act_kubeconfig = \"/a\"\n";
        for (text, said) in [
            ("impersonate = { user = \"{person}\" }".to_owned(), "`impersonate` needs `act_kubeconfig`"),
            (format!("{act}impersonate = {{ user = \"crew\" }}"), "{person} has to stand in it once"),
            (format!("{act}impersonate = {{ user = \"{{person}}{{person}}\" }}"), "{person} has to stand in it once"),
            (format!("{act}impersonate = {{ user = \"system:{{person}}\" }}"), "a name of Kubernetes' own"),
            (format!("{act}impersonate = {{ user = \"{{person}}\", group = \"system:masters\" }}"), "Kubernetes' own"),
            (format!("{act}impersonate = {{ group = \"crew\" }}"), "lacks `user`"),
            (format!("{act}impersonate = {{ user = \"{{person}}\", gruop = \"a\" }}"), "unknown key `gruop`"),
        ] {
            let why = read(&text).unwrap_err();
            assert!(why.contains(said), "{text}: {why}");
        }
        let found = read(&format!("{act}impersonate = {{ user = \"{{person}}\" }}")).unwrap().unwrap();
        for person in ["system:admin", "a\r\nImpersonate-Group: system:masters", "Jörg", ""] {
            assert!(found.user(&Person::from(person)).is_err(), "{person}");
        }
    }
}
