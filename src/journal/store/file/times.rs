//! Which segments can hold records of a time. A segment tells by its first record; a clock that stepped back between two
//! segments is seen by that, and one that stepped back within a segment is allowed for.

use super::walk::{Segment, Whole};
use crate::journal::error::{JournalError, READING};
use crate::journal::record::{MAX_BYTES, Record};
use jiff::{SignedDuration, Timestamp};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};

/// How far a clock may have stepped back within a segment.
pub const STEP_BACK: SignedDuration = SignedDuration::from_hours(1);

/// The numbers of records between which all of a time lie: from one on, and before another where that is known.
pub fn span(
    at: Whole<'_>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
) -> Result<(u64, Option<u64>), JournalError> {
    if since.is_none() && until.is_none() {
        return Ok((0, None));
    }
    let segments = at.segments()?;
    let mut times = Vec::with_capacity(segments.len());
    for segment in &segments {
        // What can not be read is for the walk to speak of, which then has to come by.
        let Some(time) = first_time(segment)? else { return Ok((0, None)) };
        times.push(time);
    }
    let earlier = |time: Timestamp| time.saturating_sub(STEP_BACK).unwrap_or(Timestamp::MIN);
    let from = since.map_or(0, |since| {
        // The records of a segment are no later than the latest first record up to the one after it.
        let mut latest = Timestamp::MIN;
        let reached = times.iter().position(|time| {
            latest = latest.max(*time);
            latest >= earlier(since)
        });
        reached.map_or(times.len(), |n| n).saturating_sub(1)
    });
    let end = until.and_then(|until| {
        let over = times.iter().rev().take_while(|time| earlier(**time) >= until).count();
        segments.get(times.len() - over)
    });
    Ok((segments.get(from).map_or(0, |s| s.first), end.map(|s| s.first)))
}

/// The time of a segment's first record; none when it has no legible one.
fn first_time(segment: &Segment) -> Result<Option<Timestamp>, JournalError> {
    let failed = |e: std::io::Error| JournalError::io(READING, &segment.path, &e);
    let file = File::open(&segment.path).map_err(failed)?;
    let mut line = Vec::new();
    BufReader::with_capacity(4096, file).take(MAX_BYTES as u64 + 1).read_until(b'\n', &mut line).map_err(failed)?;
    Ok(line.strip_suffix(b"\n").and_then(|line| Record::parse(line).ok()).map(|record| record.time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::kind::Kind;
    use crate::journal::record::{Ready, tests::draft};
    use std::path::Path;

    fn at(hour: i64) -> Timestamp {
        "2026-11-21T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hour)
    }

    /// Segments of ten records that begin at these hours.
    fn segments(dir: &Path, hours: &[i64]) {
        std::fs::create_dir_all(dir.join("records")).unwrap();
        for (n, hour) in (0_u64..).zip(hours) {
            let mut bytes = vec![];
            let mut draft = draft(Kind::NoteAdded, serde_json::json!({}));
            draft.time = at(*hour);
            Ready::new(draft).unwrap().write(n * 10, &mut bytes);
            bytes.push(b'\n');
            std::fs::write(Segment::at(dir, n * 10).path, bytes).unwrap();
        }
    }

    #[test]
    fn a_time_is_in_the_segments_around_it() {
        let dir = tempfile::tempdir().unwrap();
        segments(dir.path(), &[0, 10, 20, 30, 40]);
        let span =
            |since: Option<i64>, until: Option<i64>| span(dir.path().into(), since.map(at), until.map(at)).unwrap();
        assert_eq!(span(None, None), (0, None));
        assert_eq!(span(Some(-5), None), (0, None));
        assert_eq!(span(Some(15), None), (10, None));
        assert_eq!(span(Some(25), Some(26)), (20, Some(30)));
        // As far as a clock may have stepped back.
        assert_eq!(span(Some(21), Some(29)), (10, Some(30)));
        assert_eq!(span(Some(22), Some(30)), (20, Some(40)));
        assert_eq!(span(Some(90), None), (40, None));
        assert_eq!(span(None, Some(-9)), (0, Some(0)));
    }

    #[test]
    fn a_clock_that_stepped_back_hides_nothing() {
        let dir = tempfile::tempdir().unwrap();
        segments(dir.path(), &[0, 50, 20, 30, 40]);
        let span = |since: i64, until: i64| span(dir.path().into(), Some(at(since)), Some(at(until))).unwrap();
        // The clock was at 50 before it stepped back to 20: what lies around may be in either segment.
        assert_eq!(span(45, 48), (0, None));
        assert_eq!(span(25, 28), (0, Some(30)));
        assert_eq!(span(60, 70), (40, None));
    }

    #[test]
    fn an_illegible_first_record_leaves_everything_to_the_walk() {
        let dir = tempfile::tempdir().unwrap();
        segments(dir.path(), &[0, 10, 20]);
        std::fs::write(Segment::at(dir.path(), 10).path, "x").unwrap();
        assert_eq!(span(dir.path().into(), Some(at(25)), Some(at(26))).unwrap(), (0, None));
    }
}
