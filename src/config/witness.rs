//! `witness_quorum`, `max_uncosigned_age` and `[[journal.witness]]` of the table `[journal]`.

use super::model::{Witness, Witnesses};
use super::reader::Table;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a record may wait for the quorum when nothing is said.
const MAX_UNCOSIGNED_AGE: Duration = Duration::from_mins(10);

impl Default for Witnesses {
    fn default() -> Self {
        Self { quorum: 0, max_uncosigned_age: MAX_UNCOSIGNED_AGE, all: Vec::new() }
    }
}

/// Reads the keys from the table `[journal]`.
pub(super) fn decode(table: &mut Table<'_, '_>) -> Witnesses {
    let most = 16;
    let quorum = table.integer("witness_quorum", 0, most).and_then(|q| u32::try_from(q).ok()).unwrap_or(0);
    let age = table.duration("max_uncosigned_age", Duration::from_secs(10), Duration::from_hours(24));
    let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
    let tables = table.tables("witness");
    let all: Vec<Witness> = tables.into_iter().map(|t| witness(t, &mut names, &mut keys)).collect();
    if i64::try_from(all.len()).is_ok_and(|n| n > most) {
        table.reject("witness", format!("{} [[witness]] are configured; at most {most} are allowed", all.len()));
    }
    let administrators: BTreeSet<&str> = all.iter().map(|w| w.administrator.as_str()).collect();
    if usize::try_from(quorum).is_ok_and(|q| q > administrators.len()) {
        let have = administrators.len();
        table.reject(
            "witness_quorum",
            format!(
                "`witness_quorum` is {quorum}, and the [[journal.witness]] have {have} administrators; witnesses under \
                 one administrator count once"
            ),
        );
    }
    Witnesses { quorum, max_uncosigned_age: age.unwrap_or(MAX_UNCOSIGNED_AGE), all }
}

fn witness(mut table: Table<'_, '_>, names: &mut BTreeSet<String>, keys: &mut BTreeSet<String>) -> Witness {
    let name = super::decode::name(&mut table, "name", "w1");
    if !name.is_empty() && !names.insert(name.clone()) {
        table.reject("name", format!("the witness `{name}` stands twice; names of witnesses are unique"));
    }
    let url = super::decode::required_url(&mut table, "url", &["https://", "http://"], "https://witness.example");
    let vkey = table.required("vkey", "witness.example/w1+1f2e3d4c+BA…");
    if !vkey.is_empty() {
        if let Err(why) = check(&vkey) {
            table.reject("vkey", format!("`vkey` of [[witness]] is no verifier key of a witness: {why}"));
        } else if !keys.insert(vkey.clone()) {
            table.reject("vkey", "this `vkey` stands twice; each witness has a key of its own");
        }
    }
    let administrator = table.required("administrator", "Example Ltd");
    let ca = super::decode::path(&mut table, "ca");
    if ca.is_some() && url.starts_with("http:") {
        table.reject("ca", "`ca` of [[witness]] says nothing, since `url` begins with http://; leave one of them out");
    }
    table.finish();
    Witness { name, url, vkey, administrator, ca }
}

/// Whether a text is a verifier key of C2SP signed-note with one of the types of tlog-cosignature. Whether the key
/// in it is a point of its curve is found where it is used.
fn check(vkey: &str) -> Result<(), &'static str> {
    let mut parts = vkey.splitn(3, '+');
    let (name, id, key) = match (parts.next(), parts.next(), parts.next()) {
        (Some(name), Some(id), Some(key)) if signed_note::is_key_name_valid(name) => (name, id, key),
        _ => return Err("its form is NAME+ID+KEY"),
    };
    let bytes = BASE64_STANDARD.decode(key).map_err(|_| "its key is not base64")?;
    if id.len() != 8 || u32::from_str_radix(id, 16) != Ok(signed_note::key_id(name, &bytes)) {
        return Err("its id is not the one of its name and key");
    }
    match (bytes.first(), bytes.len()) {
        (Some(4), 33) | (Some(6), 1313) => Ok(()),
        (Some(1), _) => Err("it is of type 1, the key of a log; a witness's key is of type 4 or 6"),
        _ => Err("allowed are type 4 (Ed25519, 32 bytes) and type 6 (ML-DSA-44, 1312 bytes)"),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::decode::decode;
    use std::time::Duration;

    const HEAD: &str = "[estate]\nname = \"a\"\nenvironment = \"staging\"\n[journal]\n";

    /// An Ed25519 and an ML-DSA-44 key, as the tests of `journal::cosignature` have them.
    fn keys() -> [&'static str; 3] {
        let mut lines = include_str!("../journal/cosignature/vectors/go.vkeys").lines();
        [lines.next().unwrap(), lines.next().unwrap(), lines.next().unwrap()]
    }

    fn table(name: &str, vkey: &str, administrator: &str) -> String {
        format!(
            "[[journal.witness]]\nname = \"{name}\"\nurl = \"https://w.example\"\nvkey = \"{vkey}\"\n\
             administrator = \"{administrator}\"\n"
        )
    }

    #[test]
    fn witnesses_of_both_kinds_are_read() {
        let [_, ed25519, ml_dsa] = keys();
        let text = format!("{HEAD}witness_quorum = 2\n{}{}", table("w1", ed25519, "us"), table("w2", ml_dsa, "them"));
        let found = decode("c.toml", &text).unwrap().journal.witnesses;
        assert_eq!((found.quorum, found.max_uncosigned_age), (2, Duration::from_mins(10)));
        assert_eq!(found.all.iter().map(|w| w.name.as_str()).collect::<Vec<_>>(), ["w1", "w2"]);
        assert_eq!(decode("c.toml", HEAD).unwrap().journal.witnesses.all, []);
    }

    #[test]
    fn each_error_has_its_place() {
        let [log, ed25519, _] = keys();
        let broken = ed25519.replacen("+9582033c+", "+9582033d+", 1);
        let text = format!(
            "{HEAD}witness_quorum = 3\nmax_uncosigned_age = \"1s\"\n{}{}{}[[journal.witness]]\nname = \"w 4\"\nurl = \"ftp://x\"\nkey = 1\n",
            table("w1", log, "us"),
            table("w1", &broken, "us"),
            table("w3", ed25519, "us")
        );
        let found = decode("c.toml", &text).unwrap_err().to_string();
        for expected in [
            "c.toml:5:18: `witness_quorum` is 3, and the [[journal.witness]] have 2 administrators",
            "c.toml:6:22: `max_uncosigned_age`",
            "c.toml:10:8: `vkey` of [[witness]] is no verifier key of a witness: it is of type 1",
            "c.toml:13:8: the witness `w1` stands twice",
            "c.toml:15:8: `vkey` of [[witness]] is no verifier key of a witness: its id is not the one",
            "c.toml:23:8: `name` is `w 4`",
            "c.toml:24:7: `url` is not a URL",
            "[witness]] lacks `vkey`",
            "[witness]] lacks `administrator`",
            "c.toml:25:1: unknown key `key`",
        ] {
            assert!(found.contains(expected), "{expected}\n in\n{found}");
        }
    }
}
