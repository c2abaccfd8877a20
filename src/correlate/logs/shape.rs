//! The shape of a message: its text with everything replaced that differs from one time to the next, so that the same
//! error counts as the same.

/// Longest shape, in characters.
const LONGEST: usize = 200;

/// A number.
const NUMBER: &str = "‹n›";
/// A UUID.
const ID: &str = "‹id›";
/// Hexadecimal digits.
const HEX: &str = "‹hex›";
/// What stood in quotes.
const TEXT: &str = "‹text›";
/// An address of a network.
const ADDRESS: &str = "‹addr›";

/// The shape of a message.
///
/// Quoted strings, UUIDs, addresses, hexadecimal digits and numbers are replaced, white space becomes one space.
pub fn shape(text: &str) -> String {
    let unquoted = without_quotes(text);
    let mut out = String::with_capacity(unquoted.len());
    for word in unquoted.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        push_word(word, &mut out);
        if out.chars().count() > LONGEST {
            break;
        }
    }
    if out.chars().count() > LONGEST {
        // A placeholder is not cut in two.
        let mut cut: String = out.chars().take(LONGEST).collect();
        if let Some(open) = cut.rfind('‹').filter(|open| cut.get(*open..).is_some_and(|rest| !rest.contains('›'))) {
            cut.truncate(open);
        }
        cut.truncate(cut.trim_end().len());
        return cut;
    }
    out
}

/// Replaces what stands between two quotes of the same kind that are no apostrophes.
fn without_quotes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['"', '\'', '`', '«', '“']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let Some(open) = from.chars().next() else { break };
        let close = match open {
            '«' => '»',
            '“' => '”',
            same => same,
        };
        let inner = from.get(open.len_utf8()..).unwrap_or_default();
        // `it's` is no quote: one opens after a space or a bracket, or at the beginning.
        let opens = open != '\'' || out.chars().last().is_none_or(|c| !c.is_alphanumeric());
        match inner.find(close).filter(|_| opens) {
            Some(end) => {
                out.push_str(TEXT);
                rest = inner.get(end + close.len_utf8()..).unwrap_or_default();
            }
            None => {
                out.push(open);
                rest = inner;
            }
        }
    }
    out.push_str(rest);
    out
}

fn push_word(word: &str, out: &mut String) {
    // `[2001:db8::1]:5432` has its brackets for itself.
    let trimmed = word.trim_end_matches(is_end);
    for core in [word, trimmed] {
        if word.starts_with('[') && is_address(core) {
            out.push_str(ADDRESS);
            return out.push_str(word.get(core.len()..).unwrap_or_default());
        }
    }
    let begin = word.len() - word.trim_start_matches(is_bracket).len();
    let core = word.get(begin..).unwrap_or_default();
    let end = core.trim_end_matches(is_end).len();
    let (core, after) = core.split_at(end);
    out.push_str(word.get(..begin).unwrap_or_default());
    if is_address(core) {
        out.push_str(ADDRESS);
    } else {
        push_pieces(core, out);
    }
    out.push_str(after);
}

const fn is_bracket(c: char) -> bool {
    matches!(c, '(' | '[' | '{' | '<')
}

const fn is_end(c: char) -> bool {
    matches!(c, ')' | ']' | '}' | '>' | ',' | ';' | ':' | '.' | '!' | '?')
}

/// An IPv4 or IPv6 address, also with a port or a length of prefix.
fn is_address(word: &str) -> bool {
    let host = word.split_once('/').map_or(word, |(host, _)| host);
    if host.parse::<core::net::IpAddr>().is_ok() || host.parse::<core::net::SocketAddr>().is_ok() {
        return true;
    }
    host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).is_some_and(|h| h.parse::<core::net::Ipv6Addr>().is_ok())
}

/// Replaces within a word, piece by piece: a piece is what letters, digits and what joins them make up.
fn push_pieces(word: &str, out: &mut String) {
    let mut rest = word;
    while !rest.is_empty() {
        let len = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(rest.len());
        if len == 0 {
            let one = rest.chars().next().map_or(rest.len(), char::len_utf8);
            out.push_str(rest.get(..one).unwrap_or_default());
            rest = rest.get(one..).unwrap_or_default();
            continue;
        }
        push_piece(rest.get(..len).unwrap_or_default(), out);
        rest = rest.get(len..).unwrap_or_default();
    }
}

fn push_piece(piece: &str, out: &mut String) {
    if is_uuid(piece) {
        return out.push_str(ID);
    }
    for (i, part) in piece.split('-').enumerate() {
        if i > 0 {
            out.push('-');
        }
        if is_hex(part) {
            out.push_str(HEX);
        } else {
            push_digits(part, out);
        }
    }
}

fn is_uuid(piece: &str) -> bool {
    let groups: Vec<&str> = piece.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|g| g.len()).collect();
    lengths == [8, 4, 4, 4, 12] && groups.iter().all(|g| g.chars().all(|c| c.is_ascii_hexdigit()))
}

/// `0x…`, or at least eight hexadecimal digits of which one is a figure.
fn is_hex(part: &str) -> bool {
    let all = |text: &str| text.chars().all(|c| c.is_ascii_hexdigit());
    if let Some(digits) = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
        return !digits.is_empty() && all(digits);
    }
    part.len() >= 8
        && all(part)
        && part.chars().any(|c| c.is_ascii_digit())
        && part.chars().any(|c| c.is_ascii_alphabetic())
}

/// Replaces each run of digits, also `1.5`, whose parts were split at the point before.
fn push_digits(part: &str, out: &mut String) {
    let mut digits = false;
    for c in part.chars() {
        if c.is_ascii_digit() {
            if !digits {
                // `1.5` and `10:04:22` are one number each.
                let joined = out.strip_suffix(['.', ':', ',']).is_some_and(|before| before.ends_with(NUMBER));
                if joined {
                    out.pop();
                } else {
                    out.push_str(NUMBER);
                }
            }
            digits = true;
        } else {
            out.push(c);
            digits = false;
        }
    }
}
