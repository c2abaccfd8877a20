//! How many witnesses vouch for how much of the log. Witnesses under one administrator count once: whoever can make
//! one of them sign can make them all.

use std::collections::BTreeMap;

/// The number of records that at least `needed` administrators' witnesses have cosigned, given for each witness its
/// administrator and its size. With a quorum of none nothing is covered.
pub fn covered<'a>(witnesses: impl IntoIterator<Item = (&'a str, u64)>, needed: u32) -> u64 {
    let mut sizes: Vec<u64> = best(witnesses).into_values().collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let last = usize::try_from(needed).ok().and_then(|n| n.checked_sub(1));
    last.and_then(|n| sizes.get(n)).copied().unwrap_or(0)
}

/// How many administrators' witnesses have cosigned at least so many records.
pub fn confirmed<'a>(witnesses: impl IntoIterator<Item = (&'a str, u64)>, size: u64) -> u32 {
    let enough = best(witnesses).into_values().filter(|s| *s > 0 && *s >= size).count();
    u32::try_from(enough).unwrap_or(u32::MAX)
}

fn best<'a>(witnesses: impl IntoIterator<Item = (&'a str, u64)>) -> BTreeMap<&'a str, u64> {
    let mut best = BTreeMap::new();
    for (administrator, size) in witnesses {
        let greatest: &mut u64 = best.entry(administrator).or_default();
        *greatest = (*greatest).max(size);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: [(&str, u64); 4] = [("us", 90), ("us", 100), ("them", 40), ("others", 70)];

    #[test]
    fn administrators_count_once() {
        assert_eq!(covered(SEEN, 1), 100);
        assert_eq!(covered(SEEN, 2), 70);
        assert_eq!(covered(SEEN, 3), 40);
        assert_eq!(covered(SEEN, 4), 0);
        assert_eq!((confirmed(SEEN, 80), confirmed(SEEN, 70), confirmed(SEEN, 101)), (1, 2, 0));
    }

    #[test]
    fn nobody_covers_nothing() {
        assert_eq!(covered(SEEN, 0), 0);
        assert_eq!(covered([], 1), 0);
        // A witness that has signed nothing confirms nothing, not even the empty log.
        assert_eq!(confirmed([("us", 0)], 0), 0);
    }
}
