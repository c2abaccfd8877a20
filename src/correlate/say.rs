//! Values in words, as findings and panes write them: `62 s`, `7m12s`, `12%`, `19 d`.

use crate::domain::signal::{Unit, days};

/// A time span: `0.4 s`, `62 s`, `7m12s`, `2h05m`, `3 d`.
pub fn span(seconds: f64) -> String {
    if seconds.is_nan() {
        return "?".into();
    }
    let s = seconds.max(0.0);
    if s < 9.95 {
        format!("{s:.1} s")
    } else if s < 119.5 {
        format!("{s:.0} s")
    } else if s < 3600.0 {
        format!("{:.0}m{:02.0}s", (s / 60.0).floor(), (s % 60.0).floor())
    } else if s < 172_800.0 {
        format!("{:.0}h{:02.0}m", (s / 3600.0).floor(), (s % 3600.0 / 60.0).floor())
    } else {
        format!("{:.0} d", (s / 86_400.0).floor())
    }
}

/// A share in per cent, with one decimal below ten.
pub fn share(ratio: f64) -> String {
    let percent = ratio * 100.0;
    if percent > 0.0 && percent < 9.95 { format!("{percent:.1}%") } else { format!("{percent:.0}%") }
}

/// A value in its unit.
pub fn value(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Count => format!("{value:.0}"),
        Unit::Seconds => span(value),
        Unit::Ratio => share(value),
        Unit::Bytes => bytes(value),
        Unit::BytesPerSecond => format!("{}/s", bytes(value)),
        Unit::PerSecond => format!("{value:.1}/s"),
        Unit::Days => days(value),
        Unit::Cores => format!("{value:.2} cores"),
        Unit::Flag => (if value >= 0.5 { "yes" } else { "no" }).into(),
    }
}

fn bytes(bytes: f64) -> String {
    let units = [(1_073_741_824.0, "GiB"), (1_048_576.0, "MiB"), (1024.0, "KiB")];
    let fitting = units.iter().find(|(size, _)| bytes >= *size);
    fitting.map_or_else(|| format!("{bytes:.0} B"), |(size, unit)| format!("{:.1} {unit}", bytes / size))
}

/// The tag of an image, or the short digest: `registry/odoo:r118` is `r118`.
pub fn tag(image: &str) -> &str {
    if let Some((_, digest)) = image.split_once("@sha256:") {
        return digest.get(..12).unwrap_or(digest);
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split_once(':').map_or(name, |(_, tag)| tag)
}

/// At most so many characters, with an ellipsis where something was cut.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_on_the_screens() {
        let said: Vec<_> = [0.0, 0.44, 62.0, 432.0, 303.9, 7500.0, 1_700_000.0].map(span).to_vec();
        assert_eq!(said, ["0.0 s", "0.4 s", "62 s", "7m12s", "5m03s", "2h05m", "19 d"]);
        assert_eq!(span(f64::NAN), "?");
    }

    #[test]
    fn shares_bytes_and_tags() {
        assert_eq!((share(0.0), share(0.123), share(0.034)), ("0%".into(), "12%".into(), "3.4%".into()));
        assert_eq!(bytes(1_610_612_736.0), "1.5 GiB");
        assert_eq!(tag("registry.example:5000/odoo:r118"), "r118");
        assert_eq!(tag("odoo"), "odoo");
        assert_eq!(tag("odoo@sha256:0123456789abcdef0123"), "0123456789ab");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("äbcd", 4), "äbcd");
    }
}
