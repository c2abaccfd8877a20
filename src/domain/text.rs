//! The one sanitiser for text that came from outside (pod names, SQL, log lines, playbook output).

/// Makes foreign text safe for one line of a terminal cell or a record: control characters (C0, DEL, C1)
/// and bidirectional overrides become `·`, tabs and newlines become one space.
pub fn sanitize(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' | '\n' | '\r' | '\u{2028}' | '\u{2029}' => ' ',
            c if is_hostile(c) => '·',
            c => c,
        })
        .collect()
}

/// Whether a character could move the cursor, switch direction or hide: C0, DEL, C1, bidi and zero-width
/// controls (Unicode Standard Annex 9), byte order mark, tags.
pub fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' | '\u{061c}')
}

/// The first of many, and how many more there are: `a, b and 3 more`; of what a semicolon parts, `a; b; and 3 more`.
pub fn first_of<S: AsRef<str>>(all: &[S], most: usize, between: &str) -> String {
    let shown = all.iter().take(most).map(AsRef::as_ref).collect::<Vec<_>>().join(between);
    let end = if between.starts_with(';') { ";" } else { "" };
    match all.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown}{end} and {more} more"),
    }
}

/// Whether a pattern means a name: `postgres.*` all that begin so, `http.probe` just that one. Only a star at the end counts.
pub fn means(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |beginning| name.starts_with(beginning))
}

/// Whether one of these patterns [`means`] a name.
pub fn is_among(name: &str, patterns: &[impl AsRef<str>]) -> bool {
    patterns.iter().any(|pattern| means(pattern.as_ref(), name))
}

/// A value as it stands within a URL: letters, digits and `-._~` as they are (RFC 3986, unreserved characters).
pub fn in_url(value: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    value.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// A server's words without what looks like a credential that it was sent and repeats: what follows `Bearer` or
/// `Basic`, and user and password of a URL. Each becomes `***`.
pub fn conceal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut after_scheme = false;
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        // A word of small letters only is prose: "Basic authentication failed".
        let is_prose = word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_punctuation());
        if after_scheme && !word.is_empty() && !is_prose {
            out.push_str("***");
        } else {
            out.push_str(&without_userinfo(word));
        }
        out.push_str(piece.get(word.len()..).unwrap_or_default());
        if !word.is_empty() {
            let last = word.rsplit(|c: char| !c.is_alphanumeric()).find(|part| !part.is_empty()).unwrap_or_default();
            after_scheme = ["bearer", "basic"].iter().any(|scheme| last.eq_ignore_ascii_case(scheme));
        }
    }
    out
}

fn without_userinfo(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest.get(..end).and_then(|authority| authority.rfind('@')) {
        Some(at) => format!("{scheme}://***{}", rest.get(at..).unwrap_or_default()),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_star_at_the_end_of_a_pattern_stands_for_more() {
        for (pattern, name, meant) in [
            ("postgres.*", "postgres.terminate_backend", true),
            ("postgres.*", "postgresql.vacuum", false),
            ("http.probe", "http.probe", true),
            ("http.probe", "http.probes", false),
            ("*", "", true),
            ("*.probe", "http.probe", false),
            ("", "x", false),
        ] {
            assert_eq!(means(pattern, name), meant, "{pattern} for {name}");
            assert_eq!(is_among(name, &["other", pattern]), meant, "{pattern} for {name}");
        }
    }

    #[test]
    fn what_is_not_plain_is_encoded_within_a_url() {
        assert_eq!(in_url("a-Z_0.~"), "a-Z_0.~");
        assert_eq!(in_url("Łódź/a b&c=%"), "%C5%81%C3%B3d%C5%BA%2Fa%20b%26c%3D%25");
    }

    #[test]
    fn credentials_that_a_server_repeats_are_concealed_and_prose_is_not() {
        for (said, shown) in [
            (
                "denied: GET /api authorization: Bearer s3cr+t/x?y\r\naccept: */*",
                "denied: GET /api authorization: Bearer ***\r\naccept: */*",
            ),
            ("{\"Authorization\":\"bearer  eyJh.b\"}", "{\"Authorization\":\"bearer  ***"),
            ("Basic dTpwYXNz is wrong", "Basic *** is wrong"),
            ("HTTP Basic authentication failed.", "HTTP Basic authentication failed."),
            ("redis://u:p@h:6379/0 refused", "redis://***@h:6379/0 refused"),
            ("see https://h/a?x=1@2 for more", "see https://h/a?x=1@2 for more"),
            ("", ""),
        ] {
            assert_eq!(conceal(said), shown);
        }
    }

    #[test]
    fn escape_sequences_and_overrides_lose_their_power() {
        assert_eq!(sanitize("a\u{1b}[31mb\u{202e}c\u{9b}d\n"), "a·[31mb·c·d ");
        assert_eq!(sanitize("Łódź 東京"), "Łódź 東京");
    }
}
