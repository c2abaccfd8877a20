//! `[cost]`: what reserved capacity costs, for the account that `report governance` gives.

use super::reader::Table;
use crate::domain::account::Prices;

/// Greatest price of an hour, in the currency.
const DEAREST: f64 = 10_000.0;

/// Decodes `[cost]`.
pub(super) fn one(mut table: Table<'_, '_>) -> Option<Prices> {
    let letters = |text: &str| text.len() == 3 && text.chars().all(|c| c.is_ascii_uppercase());
    let currency = table
        .parsed("currency", "three capital letters such as \"EUR\"", |text| letters(text).then(|| text.to_owned()));
    if !table.has("currency") {
        table.reject("currency", "[cost] lacks `currency`; for example `currency = \"EUR\"`");
    }
    let (core_hour, gib_hour) = (price(&mut table, "core_hour"), price(&mut table, "gib_hour"));
    table.finish();
    Some(Prices { currency: currency?, core_hour: core_hour?, gib_hour: gib_hour? })
}

/// Millionths of the currency.
fn price(table: &mut Table<'_, '_>, key: &'static str) -> Option<u64> {
    if !table.has(key) {
        table.reject(key, format!("[cost] lacks `{key}`; for example `{key} = 0.03`"));
        return None;
    }
    let price = table.number(key)?;
    if !(0.0..=DEAREST).contains(&price) {
        table.reject(key, format!("`{key}` of [cost] is {price}; allowed is 0 to {DEAREST}"));
        return None;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "its bounds are checked")]
    Some((price * 1e6).round() as u64)
}

#[cfg(test)]
mod tests {
    use crate::config::decode::decode;

    const ESTATE: &str = "[estate]\nname = \"a\"\nenvironment = \"staging\"\n";

    #[test]
    fn a_price_is_kept_in_millionths_and_none_is_needed() {
        let text = format!("{ESTATE}[cost]\ncurrency = \"EUR\"\ncore_hour = 0.0315\ngib_hour = 0.004\n");
        let prices = decode("c.toml", &text).unwrap().cost.unwrap();
        assert_eq!((prices.currency.as_str(), prices.core_hour, prices.gib_hour), ("EUR", 31_500, 4_000));
        assert_eq!(decode("c.toml", ESTATE).unwrap().cost, None);
    }

    #[test]
    fn half_a_price_or_a_wrong_one_is_a_sentence_with_its_place() {
        for (table, expected) in [
            ("[cost]\ncurrency = \"EUR\"\ngib_hour = 1\n", "c.toml:4:1: [cost] lacks `core_hour`"),
            ("[cost]\ncore_hour = 1\ngib_hour = 1\n", "c.toml:4:1: [cost] lacks `currency`"),
            (
                "[cost]\ncurrency = \"euro\"\ncore_hour = 1\ngib_hour = 1\n",
                "c.toml:5:12: `currency` of [cost] is `euro`; allowed is three capital letters",
            ),
            (
                "[cost]\ncurrency = \"EUR\"\ncore_hour = -1\ngib_hour = 1\n",
                "`core_hour` of [cost] is -1; allowed is 0 to 10000",
            ),
        ] {
            let found = decode("c.toml", &format!("{ESTATE}{table}")).unwrap_err().to_string();
            assert!(found.contains(expected), "{expected}\n in\n{found}");
        }
    }
}
