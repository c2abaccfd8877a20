//! Which columns of a table are shown, and how wide each is: by what its cells have to say, the most important first.

use super::{Align, Cell, Column};
use crate::console::format::ABSENT;
use unicode_width::UnicodeWidthStr as _;

/// Columns up to this rank come with their least width already; later ones only where all that is shown has its room.
const CORE: u8 = 4;

/// Words wider than this get their width in steps, so that columns do not tremble while a number in them grows.
const STEADY: usize = 16;
const STEP: usize = 4;

/// The widest text of each column, in cells; nothing where no row has anything to say.
pub fn needs<'a>(columns: &[Column], rows: impl IntoIterator<Item = &'a [Cell]>) -> Vec<u16> {
    let mut widest = vec![0_usize; columns.len()];
    for row in rows {
        for (most, cell) in widest.iter_mut().zip(row).filter(|(_, cell)| cell.text != ABSENT) {
            *most = (*most).max(cell.text.width());
        }
    }
    widest.into_iter().map(|n| u16::try_from(n).unwrap_or(u16::MAX)).collect()
}

/// A width of words that does not change with every letter.
pub fn steady(width: usize) -> usize {
    if width <= STEADY { width } else { width.next_multiple_of(STEP) }
}

/// What a column wants of a table: nothing where it has nothing to say and may be left out.
fn wanted(column: &Column, need: u16) -> u16 {
    let title = u16::try_from(column.title.width()).unwrap_or(u16::MAX);
    match column.align {
        // Numbers that matter keep their place while there are none, since they are looked for there.
        Align::Right if need == 0 && column.rank > CORE => 0,
        Align::Right => need.max(column.min),
        Align::Left if need == 0 && column.rank > 0 => 0,
        Align::Left => {
            let words = u16::try_from(steady(usize::from(need))).unwrap_or(u16::MAX).max(title);
            // What is always there does not jump when it has more to say.
            if column.rank == 0 { words.max(column.min) } else { words }
        }
    }
}

/// Which columns fit into a width, and how wide each is; at least those of rank 0. `needs` is the widest text of each.
/// Text is cut only where there is no room, in the columns of the highest ranks first.
pub fn layout(columns: &[Column], needs: &[u16], width: u16, gap: u16) -> Vec<(usize, u16)> {
    let wants: Vec<u16> =
        columns.iter().zip(needs.iter().chain(std::iter::repeat(&0))).map(|(c, n)| wanted(c, *n)).collect();
    let want = |i: usize| wants.get(i).copied().unwrap_or(0);
    let usual = |i: usize| columns.get(i).map_or(0, |c| want(i).min(c.max.max(c.min)));
    let total = |chosen: &[(usize, u16)]| -> u16 {
        let gaps = u16::try_from(chosen.len().saturating_sub(1)).unwrap_or(u16::MAX).saturating_mul(gap);
        chosen.iter().fold(gaps, |sum, (_, w)| sum.saturating_add(*w))
    };
    let mut by_rank: Vec<usize> = (0..columns.len()).filter(|i| want(*i) > 0).collect();
    let rank = |i: &usize| columns.get(*i).map_or(u8::MAX, |c| c.rank);
    by_rank.sort_by_key(rank);
    let mut chosen: Vec<(usize, u16)> = Vec::new();
    for i in by_rank.iter().copied().filter(|i| rank(i) <= CORE) {
        // By the first a row is known: it is cut for nothing that could be left out.
        let least = if i == 0 { usual(i) } else { columns.get(i).map_or(0, |c| c.min).min(want(i)) };
        chosen.push((i, least));
        if rank(&i) > 0 && total(&chosen) > width {
            chosen.pop();
        }
    }
    // Where even the columns of rank 0 are too wide, words give way before numbers.
    while total(&chosen) > width {
        let words = |i: &usize| columns.get(*i).is_some_and(|c| c.align == Align::Left);
        match chosen.iter_mut().filter(|(i, w)| words(i) && *w > 4).max_by_key(|(_, w)| *w) {
            Some((_, w)) => *w -= 1,
            None => break,
        }
    }
    // Chosen by rank, so grown by rank.
    let grow = |chosen: &mut Vec<(usize, u16)>, most: &dyn Fn(usize) -> u16| -> bool {
        let mut left = width.saturating_sub(total(chosen));
        for (i, w) in chosen.iter_mut() {
            let more = most(*i).saturating_sub(*w).min(left);
            *w += more;
            left -= more;
        }
        chosen.iter().all(|(i, w)| *w >= most(*i))
    };
    if grow(&mut chosen, &usual) {
        for i in by_rank.iter().copied().filter(|i| rank(i) > CORE) {
            chosen.push((i, usual(i)));
            if total(&chosen) > width {
                chosen.pop();
            }
        }
        grow(&mut chosen, &want);
    }
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 6] = [
        Column::left("name", 6, 20, 0),
        Column::right("p95", 6, 2),
        Column::left("why", 10, 40, 1),
        Column::right("5xx", 5, 3),
        Column::left("owner", 6, 12, 9),
        Column::right("age", 7, 7),
    ];

    #[test]
    fn columns_leave_by_rank_and_give_way_before_they_leave() {
        let needs = [10, 5, 30, 4, 8, 3];
        assert_eq!(layout(&COLUMNS, &needs, 9, 1), [(0, 9)]);
        assert_eq!(layout(&COLUMNS, &needs, 5, 1), [(0, 5)]);
        assert_eq!(layout(&COLUMNS, &needs, 17, 1), [(0, 10), (1, 6)]);
        assert_eq!(layout(&COLUMNS, &needs, 21, 1), [(0, 10), (2, 10)]);
        assert_eq!(layout(&COLUMNS, &needs, 34, 1), [(0, 10), (1, 6), (2, 10), (3, 5)]);
        // First the words of rank 0 are whole, then those of rank 1; only then is there a column that is less important.
        assert_eq!(layout(&COLUMNS, &needs, 36, 1), [(0, 10), (1, 6), (2, 12), (3, 5)]);
        assert_eq!(layout(&COLUMNS, &needs, 64, 1), [(0, 10), (1, 6), (2, 32), (3, 5), (5, 7)]);
        assert_eq!(layout(&COLUMNS, &needs, 200, 2), [(0, 10), (1, 6), (2, 32), (3, 5), (4, 8), (5, 7)]);
    }

    #[test]
    fn nothing_is_cut_while_there_is_room_and_nothing_gets_what_it_does_not_need() {
        let long = layout(&COLUMNS, &[31, 9, 90, 4, 0, 3], 200, 2);
        assert_eq!(long, [(0, 32), (1, 9), (2, 92), (3, 5), (5, 7)], "an owner that nobody declared has no column");
        assert_eq!(layout(&COLUMNS, &[3, 0, 0, 0, 0, 0], 200, 2), [(0, 6), (1, 6), (3, 5)]);
    }

    #[test]
    fn any_width_is_kept_where_the_least_can_be_cut() {
        for width in 4..160 {
            for need in [0, 3, 20, 300] {
                let chosen = layout(&COLUMNS, &[need; 6], width, 2);
                let total: u16 =
                    chosen.iter().map(|(_, w)| w).sum::<u16>() + 2 * (u16::try_from(chosen.len()).unwrap() - 1);
                assert!(total <= width, "{width} {need}: {chosen:?}");
            }
        }
    }

    #[test]
    fn a_number_that_grows_in_words_moves_nothing() {
        let at = |what: u16| layout(&COLUMNS, &[4, 4, what, 4, 0, 3], 100, 2);
        let (before, after) = ("5 blocked, oldest 3.0 s".len(), "410 blocked, oldest 62 s".len());
        assert_eq!((before, after), (23, 24));
        assert_eq!(at(23), at(24));
    }

    #[test]
    fn what_says_nothing_in_any_row_needs_nothing() {
        let row = |name: &str, owner: &str| {
            vec![Cell::text(name), Cell::dim("–"), Cell::text(""), Cell::dim("1"), Cell::dim(owner), Cell::dim("?")]
        };
        let rows = [row("t1", "–"), row("東京", "–")];
        assert_eq!(needs(&COLUMNS, rows.iter().map(Vec::as_slice)), [4, 0, 0, 1, 0, 1]);
        let rows = [row("t1", "–"), row("t2", "dba")];
        assert_eq!(needs(&COLUMNS, rows.iter().map(Vec::as_slice))[4], 3);
    }
}
