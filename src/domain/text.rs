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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_overrides_lose_their_power() {
        assert_eq!(sanitize("a\u{1b}[31mb\u{202e}c\u{9b}d\n"), "a·[31mb·c·d ");
        assert_eq!(sanitize("Łódź 東京"), "Łódź 東京");
    }
}
