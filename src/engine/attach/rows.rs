//! What differs between two lists of rows: rows are known by their keys, so that one that moves is not sent again, and
//! members that only count seconds travel by themselves, so that a row that merely grows older is not sent either.

use crate::domain::finding::{Change, Finding};
use crate::domain::incident::{Incident, TimelineEntry};
use crate::domain::pane::{DatabaseRow, IngressRow, QueueRow, SourceRow, SubjectRow, TenantRow};
use crate::engine::api::RunView;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Members that count seconds.
pub type Seconds = [Option<f64>; 2];

/// A row that can be told from others.
pub trait Row: Clone + PartialEq {
    /// Its name in its list.
    fn key(&self) -> String;
    /// Whether another row has the same name.
    fn is(&self, other: &Self) -> bool;
    /// Its members that count seconds.
    fn seconds(&self) -> Seconds {
        [None, None]
    }
    /// Sets them.
    fn set_seconds(&mut self, _: Seconds) {}
    /// Whether all else is the same.
    fn same(&self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        if self.seconds() == other.seconds() {
            return false;
        }
        let mut aged = self.clone();
        aged.set_seconds(other.seconds());
        aged == *other
    }
}

macro_rules! rows {
    ($($row:ty, |$r:ident, $o:ident| $is:expr, $key:expr, [$($second:ident),*];)+) => {
        $(impl Row for $row {
            fn key(&self) -> String {
                let $r = self;
                $key
            }
            fn is(&self, other: &Self) -> bool {
                let ($r, $o) = (self, other);
                $is
            }
            rows!(@seconds [$($second),*]);
        })+
    };
    (@seconds []) => {};
    (@seconds [$one:ident]) => {
        fn seconds(&self) -> Seconds {
            [self.$one, None]
        }
        fn set_seconds(&mut self, [one, _]: Seconds) {
            self.$one = one;
        }
    };
    (@seconds [$one:ident, $two:ident]) => {
        fn seconds(&self) -> Seconds {
            [self.$one, self.$two]
        }
        fn set_seconds(&mut self, [one, two]: Seconds) {
            self.$one = one;
            self.$two = two;
        }
    };
}

rows! {
    SourceRow, |r, o| r.id == o.id, r.id.to_string(), [age_s];
    TenantRow, |r, o| r.id == o.id, r.id.to_string(), [age_s, image_age_s];
    DatabaseRow, |r, o| r.id == o.id, r.id.to_string(), [age_s];
    IngressRow, |r, o| r.name == o.name && r.source == o.source && r.scope == o.scope,
        format!("{}\n{}\n{}", r.source, r.scope, r.name), [age_s, reload_age_s];
    SubjectRow, |r, o| r.subject == o.subject, format!("{:?}", r.subject), [age_s];
    Finding, |r, o| r.id == o.id, r.id.to_string(), [];
    Change, |r, o| r == o, format!("{}\n{:?}\n{}\n{}", r.at, r.subject, r.what, r.by), [];
    RunView, |r, o| r.id == o.id, r.id.to_string(), [];
    Incident, |r, o| r.id == o.id, r.id.to_string(), [];
    TimelineEntry, |r, o| r.seq == o.seq, r.seq.to_string(), [];
}

impl Row for QueueRow {
    fn key(&self) -> String {
        match self {
            Self::Channel(row) => format!("{}\n{}\n{}", row.source, row.tenant, row.channel),
            Self::Redis(row) => row.id.to_string(),
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Channel(a), Self::Channel(b)) => {
                a.source == b.source && a.tenant == b.tenant && a.channel == b.channel
            }
            (Self::Redis(a), Self::Redis(b)) => a.id == b.id,
            _ => false,
        }
    }

    fn seconds(&self) -> Seconds {
        match self {
            Self::Channel(row) => [row.age_s, row.oldest_s],
            Self::Redis(row) => [row.age_s, None],
        }
    }

    fn set_seconds(&mut self, [one, two]: Seconds) {
        match self {
            Self::Channel(row) => {
                row.age_s = one;
                row.oldest_s = two;
            }
            Self::Redis(row) => row.age_s = one,
        }
    }
}

/// How to make a list from the one before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delta<T> {
    /// Where the rows come from, in their order: so many from this place of the list before. Absent when every row
    /// stays in its place. Places that are left open hold rows of `set`.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    keep: Option<Vec<(Option<u32>, u32)>>,
    /// New and changed rows with their places.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    set: Vec<(u32, T)>,
    /// The members of all rows that count seconds, when any of them differs otherwise.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    seconds: Option<Vec<Seconds>>,
}

fn none<T>() -> Option<T> {
    None
}

impl<T> Delta<T> {
    /// Whether nothing but seconds differs.
    pub const fn only_ages(&self) -> bool {
        self.keep.is_none() && self.set.is_empty()
    }
}

fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// What differs, or `None` when nothing does.
pub fn diff<T: Row>(old: &[T], new: &[T]) -> Option<Delta<T>> {
    let in_place = old.len() == new.len() && old.iter().zip(new).all(|(a, b)| a.is(b));
    let mut delta = Delta { keep: None, set: Vec::new(), seconds: None };
    let mut aged = false;
    let mut compare = |at: usize, before: Option<&T>, row: &T| match before {
        Some(before) if before.same(row) => aged |= before.seconds() != row.seconds(),
        _ => delta.set.push((place(at), row.clone())),
    };
    if in_place {
        for (at, (before, row)) in old.iter().zip(new).enumerate() {
            compare(at, Some(before), row);
        }
    } else {
        let places: HashMap<String, usize> = old.iter().enumerate().map(|(at, row)| (row.key(), at)).collect();
        let mut keep: Vec<(Option<u32>, u32)> = Vec::new();
        for (at, row) in new.iter().enumerate() {
            let from = places.get(&row.key()).copied();
            compare(at, from.and_then(|f| old.get(f)), row);
            let from = from.map(place);
            match keep.last_mut() {
                Some((Some(first), count)) if from == Some(first.saturating_add(*count)) => *count += 1,
                Some((None, count)) if from.is_none() => *count += 1,
                _ => keep.push((from, 1)),
            }
        }
        delta.keep = Some(keep);
    }
    if aged {
        delta.seconds = Some(new.iter().map(T::seconds).collect());
    }
    (delta.keep.is_some() || delta.seconds.is_some() || !delta.set.is_empty()).then_some(delta)
}

/// Makes the new list of the old one, whose rows are moved: most differences touch few of many. An error when the
/// difference does not fit the list before.
pub fn apply<T: Row>(old: Vec<T>, delta: Delta<T>) -> Result<Vec<T>, &'static str> {
    const WRONG: &str = "a difference that does not fit what was sent before";
    let Delta { keep, set, seconds } = delta;
    let index = |at: u32| usize::try_from(at).unwrap_or(usize::MAX);
    let mut rows = match keep {
        None => {
            let mut rows = old;
            for (at, row) in set {
                *rows.get_mut(index(at)).ok_or(WRONG)? = row;
            }
            rows
        }
        Some(keep) => {
            // Two rows of one name come from the same place: only the last of them is moved.
            let mut uses = vec![0_u32; old.len()];
            for (from, count) in &keep {
                let from = from.map_or(0..0, |f| index(f)..index(f).saturating_add(index(*count)));
                uses.get_mut(from).ok_or(WRONG)?.iter_mut().for_each(|n| *n = n.saturating_add(1));
            }
            let mut old: Vec<Option<T>> = old.into_iter().map(Some).collect();
            let mut rows: Vec<Option<T>> = Vec::new();
            for (from, count) in keep {
                let count = index(count);
                match from.map(index) {
                    Some(from) => {
                        let places = from..from.saturating_add(count);
                        let (kept, uses) =
                            (old.get_mut(places.clone()).ok_or(WRONG)?, uses.get_mut(places).ok_or(WRONG)?);
                        rows.extend(kept.iter_mut().zip(uses).map(|(row, uses)| {
                            *uses = uses.saturating_sub(1);
                            if *uses == 0 { row.take() } else { row.clone() }
                        }));
                    }
                    None if count <= set.len() => rows.extend(std::iter::repeat_with(|| None).take(count)),
                    None => return Err(WRONG),
                }
            }
            for (at, row) in set {
                *rows.get_mut(index(at)).ok_or(WRONG)? = Some(row);
            }
            rows.into_iter().collect::<Option<_>>().ok_or(WRONG)?
        }
    };
    if let Some(seconds) = seconds {
        if seconds.len() != rows.len() {
            return Err(WRONG);
        }
        for (row, seconds) in rows.iter_mut().zip(seconds) {
            row.set_seconds(seconds);
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Simple {
        name: u8,
        value: u8,
        age: Option<f64>,
    }

    impl Row for Simple {
        fn key(&self) -> String {
            self.name.to_string()
        }
        fn is(&self, other: &Self) -> bool {
            self.name == other.name
        }
        fn seconds(&self) -> Seconds {
            [self.age, None]
        }
        fn set_seconds(&mut self, [age, _]: Seconds) {
            self.age = age;
        }
    }

    fn list() -> impl Strategy<Value = Vec<Simple>> {
        let rows = proptest::collection::btree_map(0..12_u8, (0..3_u8, proptest::option::of(0..3_u8)), 0..12);
        rows.prop_map(|rows| {
            rows.into_iter().map(|(name, (value, age))| Simple { name, value, age: age.map(f64::from) }).collect()
        })
        .prop_flat_map(|rows: Vec<Simple>| Just(rows).prop_shuffle())
    }

    proptest! {
        #[test]
        fn a_difference_makes_the_new_list_from_the_old_one(old in list(), new in list()) {
            match diff(&old, &new) {
                None => prop_assert_eq!(&old, &new),
                Some(delta) => {
                    let text = serde_json::to_string(&delta).unwrap();
                    let read: Delta<Simple> = serde_json::from_str(&text).unwrap();
                    prop_assert_eq!(&read, &delta);
                    prop_assert_eq!(apply(old, read), Ok(new));
                }
            }
        }

        #[test]
        fn a_difference_of_other_lists_is_refused_or_makes_a_list(a in list(), b in list(), c in list()) {
            if let Some(delta) = diff(&a, &b) {
                let _ = apply(c.clone(), delta);
            }
        }
    }

    #[test]
    fn a_row_that_moves_or_grows_older_is_not_sent() {
        let row = |name, age: f64| Simple { name, value: 1, age: Some(age) };
        let delta = diff(&[row(1, 1.0), row(2, 1.0)], &[row(1, 2.0), row(2, 2.0)]).unwrap();
        assert!(delta.only_ages() && delta.seconds.is_some());
        let delta = diff(&[row(1, 1.0), row(2, 1.0), row(3, 1.0)], &[row(3, 1.0), row(1, 1.0), row(2, 1.0)]).unwrap();
        assert!(delta.set.is_empty() && delta.seconds.is_none());
        assert_eq!(delta.keep, Some(vec![(Some(2), 1), (Some(0), 2)]));
        let delta = diff(&[row(1, 1.0), row(2, 1.0)], &[row(2, 1.0), row(3, 1.0)]).unwrap();
        assert_eq!((delta.set.len(), delta.keep), (1, Some(vec![(Some(1), 1), (None, 1)])));
    }
}
