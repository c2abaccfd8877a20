//! The newest values of a signal as bars.

use crate::console::theme::UNICODE;

/// A bar a value, from nothing to the greatest of them or to the threshold.
pub(super) fn spark(values: &[f32], limit: Option<f64>) -> String {
    let limit = limit.map_or(0.0, f64::abs);
    let most = values.iter().map(|v| f64::from(v.abs())).fold(limit, f64::max);
    let bar = |v: &f32| {
        let share = if most > 0.0 { f64::from(v.abs()) / most } else { 0.0 };
        let rank = (1..8_u8).rev().find(|n| share * 7.0 >= f64::from(*n)).unwrap_or(0);
        UNICODE.bars.get(usize::from(rank)).copied().unwrap_or_default()
    };
    values.iter().map(bar).collect()
}

/// The newest of them that fit into a column.
pub(super) fn newest(values: &[f32], limit: Option<f64>, width: usize) -> String {
    spark(values.get(values.len().saturating_sub(width)..).unwrap_or_default(), limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_climbs_and_nothing_is_empty() {
        assert_eq!(spark(&[], Some(1.0)), "");
        let rise = spark(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], None);
        assert_eq!(rise.chars().count(), 8);
        assert!(rise.chars().zip(rise.chars().skip(1)).all(|(a, b)| a <= b), "{rise}");
        assert_eq!(newest(&[1.0, 2.0, 3.0], None, 2).chars().count(), 2);
        assert_eq!(spark(&[f32::NAN, f32::INFINITY], None).chars().count(), 2);
    }
}
