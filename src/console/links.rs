//! Web addresses in text: where they stand, so that a terminal can open them. What is shown is always the address itself,
//! so that no foreign text can show one and lead to another.

use super::strip::{Strip, wrap};
use super::theme::Role;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Longest address that is a link: VTE, iTerm2 and others drop longer ones (their limits are 2,083 bytes and more).
const MOST: usize = 2000;

/// Which cells of a screen lead where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links(BTreeMap<(u16, u16), Arc<str>>);

impl Links {
    /// Where a cell leads.
    pub fn at(&self, column: u16, row: u16) -> Option<&Arc<str>> {
        self.0.get(&(row, column))
    }

    /// Whether no cell leads anywhere.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says where the cells of a row lead; none is what lies above a link.
    pub fn set(&mut self, row: u16, columns: Range<u16>, link: Option<&Arc<str>>) {
        match link {
            Some(link) => self.0.extend(columns.map(|column| ((row, column), link.clone()))),
            None if self.0.is_empty() => {}
            None => columns.for_each(|column| drop(self.0.remove(&(row, column)))),
        }
    }

    /// Cells that lead elsewhere than in `other`, as column and row.
    pub fn apart<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (u16, u16)> + 'a {
        let differs = |(at, link): &(&(u16, u16), &Arc<str>), there: &Self| there.0.get(*at) != Some(*link);
        let mine = self.0.iter().filter(move |cell| differs(cell, other));
        let gone = other.0.iter().filter(|(at, _)| !self.0.contains_key(*at));
        mine.chain(gone).map(|((row, column), _)| (*column, *row))
    }
}

/// Where web addresses stand in a text, in bytes. They end at what RFC 3986 does not allow, and before the punctuation of
/// the sentence around them.
pub fn addresses(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find("http")).map(|at| at + from) {
        let rest = text.get(at..).unwrap_or_default();
        let scheme = ["https://", "http://"].into_iter().find(|s| rest.starts_with(s)).map_or(0, str::len);
        from = at + 4;
        let in_a_word = text.get(..at).and_then(|t| t.chars().next_back()).is_some_and(char::is_alphanumeric);
        if scheme == 0 || in_a_word {
            continue;
        }
        let long = rest.find(|c: char| !is_of_an_address(c)).unwrap_or(rest.len());
        let address = without_punctuation(rest.get(..long).unwrap_or_default());
        if (scheme + 1..=MOST).contains(&address.len()) {
            found.push(at..at + address.len());
        }
        from = at + long.max(4);
    }
    found
}

fn is_of_an_address(c: char) -> bool {
    c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}')
}

fn without_punctuation(address: &str) -> &str {
    let mut address = address;
    while let Some(last) = address.chars().next_back() {
        let opened = match last {
            ')' => address.contains('('),
            ']' => address.contains('['),
            '.' | ',' | ';' | ':' | '!' | '?' | '\'' | '*' => false,
            _ => true,
        };
        if opened {
            break;
        }
        address = address.get(..address.len() - 1).unwrap_or_default();
    }
    address
}

/// Breaks text into lines as [`wrap`] does, its web addresses linked: also one that is broken leads to all of it.
pub fn wrap_linked(role: Role, text: &str, width: usize) -> Vec<Strip> {
    let lines = wrap(text, width);
    if !text.contains("http") {
        return lines.into_iter().map(|line| Strip::of(role, line)).collect();
    }
    let whole = Strip::of(role, text).plain();
    let found: Vec<(Range<usize>, Arc<str>)> =
        addresses(&whole).into_iter().filter_map(|r| Some((r.clone(), Arc::from(whole.get(r)?)))).collect();
    let mut at = 0;
    lines.iter().map(|line| linked_line(role, line, &whole, &mut at, &found)).collect()
}

/// One line of a text that is read on from `at`; what wrapping has left out are blanks.
fn linked_line(role: Role, line: &str, whole: &str, at: &mut usize, found: &[(Range<usize>, Arc<str>)]) -> Strip {
    let mut strip = Strip::new();
    let mut piece = String::new();
    let mut leads: Option<&Arc<str>> = None;
    for c in line.chars() {
        let skipped = whole.get(*at..).and_then(|rest| rest.find(c)).unwrap_or(0);
        let here = *at + skipped;
        *at = here + c.len_utf8();
        let to = found.iter().find(|(range, _)| range.contains(&here)).map(|(_, address)| address);
        if to != leads && !piece.is_empty() {
            strip.push_linked(role, std::mem::take(&mut piece), leads.cloned());
        }
        leads = to;
        piece.push(c);
    }
    strip.push_linked(role, piece, leads.cloned());
    strip
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(text: &str) -> Vec<&str> {
        addresses(text).into_iter().map(|r| &text[r]).collect()
    }

    #[test]
    fn addresses_end_where_the_sentence_goes_on() {
        assert_eq!(
            found("see https://g.example/t?q=a&b=(c), or http://x."),
            ["https://g.example/t?q=a&b=(c)", "http://x"]
        );
        assert_eq!(
            found("(https://a.example/b) <http://c> \"https://d\""),
            ["https://a.example/b", "http://c", "https://d"]
        );
        assert!(found("http:// xhttps://no file:///etc/passwd javascript:alert(1) https://").is_empty());
        assert_eq!(found("https://a\u{1b}]8;;https://evil\u{7}b"), ["https://a", "https://evil"]);
        assert_eq!(found("https://bücher.example/x"), ["https://b"]);
        assert!(found(&format!("https://{}", "a".repeat(MOST))).is_empty());
    }

    #[test]
    fn a_broken_address_leads_to_all_of_it() {
        let text = "at  https://grafana.example/explore?left=1 now";
        let lines = wrap_linked(Role::Text, text, 12);
        assert!(lines.len() > 3);
        let linked: String =
            lines.iter().flat_map(Strip::pieces).filter(|p| p.link.is_some()).map(|p| p.text.as_str()).collect();
        assert_eq!(linked, "https://grafana.example/explore?left=1");
        for piece in lines.iter().flat_map(Strip::pieces) {
            assert!(piece.link.as_deref().is_none_or(|l| l == "https://grafana.example/explore?left=1"), "{piece:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_led_astray(before in ".{0,30}", path in "[ -~]{0,40}", after in ".{0,30}", width in 1_usize..50) {
            let text = format!("{before} https://a.example/{path} {after}");
            let lines = wrap_linked(Role::Text, &text, width);
            let plain: Vec<String> = lines.iter().map(Strip::plain).collect();
            prop_assert_eq!(plain, wrap(&text, width));
            let mut shown = String::new();
            for piece in lines.iter().flat_map(Strip::pieces) {
                if let Some(link) = &piece.link {
                    prop_assert!(link.contains(&piece.text), "{:?} shows what it does not lead to", piece);
                    prop_assert!(link.chars().all(is_of_an_address));
                    shown.push_str(&piece.text);
                }
            }
            prop_assert!(shown.contains("https://a.example"), "{shown:?}");
        }
    }

    #[test]
    fn what_lies_above_a_link_leads_nowhere() {
        let link: Arc<str> = "https://a".into();
        let mut links = Links::default();
        links.set(1, 2..6, Some(&link));
        links.set(1, 4..9, None);
        assert_eq!(links.at(3, 1), Some(&link));
        assert_eq!(links.at(4, 1), None);
        let apart: Vec<_> = links.apart(&Links::default()).collect();
        assert_eq!(apart, [(2, 1), (3, 1)]);
        assert_eq!(Links::default().apart(&links).count(), 2);
        assert_eq!(links.apart(&links.clone()).count(), 0);
    }
}
