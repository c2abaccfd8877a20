//! `[journal.openings]`.

use super::reader::Table;

/// Reads the table: the recipients of every opening.
pub(super) fn decode(mut table: Table<'_, '_>) -> Vec<String> {
    if !table.has("recipients") {
        table.reject("recipients", "[openings] lacks `recipients`; for example `recipients = [\"age1…\"]`");
    }
    let recipients = table.checked_strings("recipients", check);
    if table.has("recipients") && recipients.is_empty() {
        table.reject(
            "recipients",
            "`recipients` of [openings] names nobody; leave the table out, or name a key `age1…`",
        );
    }
    let twice = recipients.iter().enumerate().find(|(n, r)| recipients.iter().take(*n).any(|other| other == *r));
    if let Some((_, recipient)) = twice {
        table.reject("recipients", format!("`recipients` of [openings] names {recipient} twice"));
    }
    table.finish();
    recipients
}

/// Whether a text is a public key of age. The text of a private one is not repeated.
fn check(text: &str) -> Result<(), String> {
    if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
        return Err(
            "`recipients` of [openings] has the private half of a key; name the public one, which begins with \
                    `age1`, and make a new key: this one has been written down"
                .to_owned(),
        );
    }
    text.parse::<age::x25519::Recipient>().map(|_| ()).map_err(|_| {
        format!(
            "`recipients` of [openings] has `{text}`; allowed are public keys of age (X25519), `age1` and 58 characters"
        )
    })
}

#[cfg(test)]
mod tests {
    use crate::config::decode::decode;

    const HEAD: &str = "[estate]\nname = \"a\"\nenvironment = \"staging\"\n[journal.openings]\n";
    const KEY: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

    #[test]
    fn recipients_are_public_keys_of_age() {
        let text = format!("{HEAD}recipients = [\"{KEY}\"]\n");
        assert_eq!(decode("c.toml", &text).unwrap().journal.openings, [KEY]);
        assert!(decode("c.toml", &HEAD.replace("[journal.openings]\n", "")).unwrap().journal.openings.is_empty());
    }

    #[test]
    fn each_error_has_its_place_and_repeats_no_private_key() {
        use age::secrecy::ExposeSecret as _;
        let secret = age::x25519::Identity::generate().to_string().expose_secret().to_owned();
        for (recipients, expected) in [
            (
                format!("recipients = [\"{KEY}\",\n \"age1xyz\"]"),
                "c.toml:6:2: `recipients` of [openings] has `age1xyz`; allowed",
            ),
            (
                format!("recipients = [\"{secret}\"]"),
                "c.toml:5:15: `recipients` of [openings] has the private half of a key",
            ),
            (format!("recipients = [\"{KEY}\", \"{KEY}\"]"), "c.toml:5:14: `recipients` of [openings] names age1ql3"),
            ("recipients = []".to_owned(), "c.toml:5:14: `recipients` of [openings] names nobody"),
            ("recipient = []".to_owned(), "c.toml:4:1: [openings] lacks `recipients`"),
            ("recipients = [1]".to_owned(), "c.toml:5:15: `recipients` of [openings] is an integer"),
        ] {
            let found = decode("c.toml", &format!("{HEAD}{recipients}\n")).unwrap_err().to_string();
            assert!(found.contains(expected), "{expected}\n in\n{found}");
            assert!(!found.contains(&secret), "{found}");
        }
    }
}
