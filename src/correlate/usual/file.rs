//! What is usual as text, to be kept across restarts: a head with the version, a line a series, and a digest of all
//! before it. Whatever is wrong with it is a reason to begin anew, and said.

use super::places::{KEPT, MINUTES, Open, Place, Series, WEEK};
use super::{Baselines, MOST_SERIES};
use crate::correlate::signals::SIGNALS;
use crate::domain::id::Digest;
use crate::domain::signal::Subject;
use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Version of the layout.
const VERSION: u32 = 1;
#[derive(Serialize, Deserialize)]
struct Head {
    quarterdeck: String,
    version: u32,
    estate: String,
    series: usize,
    /// Series that were seen and not learnt.
    #[serde(default)]
    left_out: usize,
    /// Occasions with a place of their own, in the order of their places.
    occasions: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    subject: Subject,
    signal: String,
    /// Place, and the hours seen there, oldest first.
    places: Vec<(u16, Vec<f32>)>,
    /// The hour in hand: number, place, and what is known of its minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    open: Option<(i64, u16, BTreeMap<usize, Option<f32>>)>,
}

/// Why a text is not taken up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsualError {
    /// Another layout.
    #[error("its version is {0}, this program reads version {VERSION}")]
    Version(u32),
    /// That of another estate.
    #[error("it is of the estate `{0}`")]
    Estate(String),
    /// Not what was written.
    #[error("line {line} is damaged: {why}")]
    Damaged {
        /// Which line, from 1 on.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
}

fn damaged(line: usize, why: impl Into<String>) -> UsualError {
    UsualError::Damaged { line, why: why.into() }
}

fn digest(text: &str) -> String {
    Digest::from_bytes(&Sha256::digest(text).into()).to_string()
}

impl Baselines {
    /// All that was learnt, as text. Subjects come in their order, so that the same is written the same.
    pub fn to_text(&self, estate: &str) -> Result<String, serde_json::Error> {
        let head = Head {
            quarterdeck: "usual".into(),
            version: VERSION,
            estate: estate.to_owned(),
            series: self.count,
            left_out: self.left_out.len(),
            occasions: self.shifts.iter().map(|s| s.occasion.what.clone()).collect(),
        };
        let mut text = serde_json::to_string(&head)?;
        text.push('\n');
        let sorted: BTreeMap<&Subject, &Vec<(u16, Series)>> = self.series.iter().collect();
        for (subject, all) in sorted {
            for (row, series) in all {
                let Some(signal) = SIGNALS.get(usize::from(*row)) else { continue };
                let line = Line {
                    subject: subject.clone(),
                    signal: signal.name.to_owned(),
                    places: series.places.iter().map(|p| (p.place, p.hours.to_vec())).collect(),
                    open: series.open.as_ref().map(open_line),
                };
                text.push_str(&serde_json::to_string(&line)?);
                text.push('\n');
            }
        }
        text.push_str(&digest(&text));
        text.push('\n');
        Ok(text)
    }

    /// Takes up what was learnt before. Nothing is taken up of a text that is not whole. What is no longer learnt, and
    /// occasions that are no longer declared, are left out.
    pub fn take_up(&mut self, text: &str, estate: &str) -> Result<(), UsualError> {
        let lines = text.lines().count();
        let body = text.trim_end().rfind('\n').map(|at| text.split_at(at + 1));
        let (body, last) = body.ok_or_else(|| damaged(1, "the end is missing"))?;
        if last.trim_end() != digest(body) {
            return Err(damaged(lines, "it does not bear the digest of what stands before it"));
        }
        let mut rest = body.lines().enumerate();
        let (_, head) = rest.next().ok_or_else(|| damaged(1, "the head is missing"))?;
        let head: Head = serde_json::from_str(head).map_err(|e| damaged(1, e.to_string()))?;
        if head.version != VERSION || head.quarterdeck != "usual" {
            return Err(UsualError::Version(head.version));
        }
        if head.estate != estate {
            return Err(UsualError::Estate(head.estate));
        }
        let mut taken: Vec<(Subject, usize, Series)> = Vec::new();
        for (at, line) in rest {
            let line: Line = serde_json::from_str(line).map_err(|e| damaged(at + 1, e.to_string()))?;
            let Some(row) = super::row(&line.signal).filter(|row| self.learns(*row)) else { continue };
            let (subject, series) = self.series_of(line, &head.occasions).map_err(|why| damaged(at + 1, why))?;
            taken.push((subject, row, series));
        }
        if taken.len() > MOST_SERIES {
            return Err(damaged(lines, format!("it has more than {MOST_SERIES} series")));
        }
        for (subject, row, series) in taken {
            if let Some(known) = self.series_mut(&subject, row) {
                *known = series;
            }
        }
        Ok(())
    }

    /// How many series a text has, and how many were left out when it was written, as its head says.
    pub fn head(text: &str) -> Option<(usize, usize)> {
        let head: Head = serde_json::from_str(text.lines().next()?).ok()?;
        Some((head.series, head.left_out))
    }

    fn series_of(&self, line: Line, occasions: &[String]) -> Result<(Subject, Series), String> {
        let mut places = Vec::with_capacity(line.places.len());
        for (place, hours) in line.places {
            let known = ArrayVec::try_from(hours.as_slice()).ok();
            let fine = |hours: &ArrayVec<f32, KEPT>| hours.iter().all(|v| v.is_finite() && *v >= 0.0);
            let Some(hours) = known.filter(fine) else {
                return Err(format!("place {place} does not hold at most {KEPT} numbers"));
            };
            let Some(place) = self.place_now(place, occasions)? else { continue };
            places.push(Place { place, hours });
        }
        places.sort_by_key(|p| p.place);
        if places.windows(2).any(|pair| matches!(pair, [a, b] if a.place == b.place)) {
            return Err("a place stands twice".into());
        }
        let open = match line.open {
            None => None,
            Some((hour, place, known)) => self.place_now(place, occasions)?.map(|place| {
                let mut minutes = Box::new([f32::NAN; MINUTES]);
                for (minute, value) in known {
                    if let Some(slot) = minutes.get_mut(minute) {
                        *slot = value.filter(|v| v.is_finite() && *v >= 0.0).unwrap_or(f32::INFINITY);
                    }
                }
                Open { hour, place, minutes }
            }),
        };
        Ok((line.subject, Series { places: Arc::new(places), open }))
    }

    /// The place now of one that was written down; none for an occasion that is no longer declared.
    fn place_now(&self, place: u16, occasions: &[String]) -> Result<Option<u16>, String> {
        let Some(number) = place.checked_sub(WEEK) else { return Ok(Some(place)) };
        let name = occasions.get(usize::from(number)).ok_or_else(|| format!("there is no place {place}"))?;
        Ok(self.shifts.iter().find(|s| s.occasion.what == *name).map(|s| s.place))
    }
}

fn open_line(open: &Open) -> (i64, u16, BTreeMap<usize, Option<f32>>) {
    let known = open.minutes.iter().enumerate().filter(|(_, v)| !v.is_nan());
    (open.hour, open.place, known.map(|(minute, v)| (minute, v.is_finite().then_some(*v))).collect())
}
