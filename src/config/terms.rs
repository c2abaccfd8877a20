//! What was agreed about a tenant: its owner, its service level, and how long each process of its business may stand still.

use super::reader::Table;
use crate::domain::estate::{Process, Terms};
use std::time::Duration;

/// Longest time that may be agreed.
const MONTH: Duration = Duration::from_hours(31 * 24);

/// A service level in percent, as a share.
pub(super) fn slo(table: &mut Table<'_, '_>) -> Option<f64> {
    let percent = table.number("slo")?;
    if !(50.0..=99.999).contains(&percent) {
        table.reject("slo", format!("`slo` is {percent}; allowed is 50 to 99.999 percent of requests that go well"));
        return None;
    }
    Some(percent / 100.0)
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

/// Decodes the keys of a tenant's table.
pub(super) fn decode(table: &mut Table<'_, '_>) -> Terms {
    let (owner, slo) = (table.string("owner"), slo(table));
    let processes = table.tables("processes").into_iter().map(|mut process| {
        let what = process.required("what", "order entry");
        let rto = process.duration("rto", Duration::from_secs(1), MONTH);
        let rpo = process.duration("rpo", Duration::ZERO, MONTH);
        if !process.has("rto") && !process.has("rpo") {
            process
                .reject("rto", format!("the process `{what}` has neither `rto` nor `rpo`; give one, such as \"30m\""));
        }
        process.finish();
        Process { what, rto_s: rto.map(seconds), rpo_s: rpo.map(seconds) }
    });
    let processes = processes.collect();
    Terms { owner, slo, processes }
}

#[cfg(test)]
mod tests {
    use crate::config::decode::decode;

    const HEAD: &str = "[estate]\nname = \"a\"\nenvironment = \"staging\"\n[[tenant]]\nid = \"t1\"\n";

    #[test]
    fn terms_are_read_and_the_shortest_of_them_found() {
        let text = format!(
            "{HEAD}owner = \"team erp\"\nslo = 99.95\nprocesses = [{{ what = \"order entry\", rto = \"30m\", rpo = \"5m\" }}, \
             {{ what = \"receiving\", rto = \"15m\" }}]\n"
        );
        let config = decode("c.toml", &text).unwrap();
        let terms = &config.terms[&"t1".into()];
        assert_eq!(terms.owner.as_deref(), Some("team erp"));
        assert!((terms.slo.unwrap() - 0.9995).abs() < 1e-9);
        assert_eq!((terms.rto(), terms.rpo()), (Some((900, "receiving")), Some((300, "order entry"))));
    }

    #[test]
    fn each_mistake_says_what_is_allowed() {
        for (text, said) in [
            ("slo = 100", "c.toml:6:7: `slo` is 100; allowed is 50 to 99.999 percent"),
            ("slo = 0.999", "`slo` is 0.999; allowed is 50 to 99.999 percent"),
            ("processes = [{ what = \"x\" }]", "neither `rto` nor `rpo`"),
            ("processes = [{ what = \"x\", rto = \"soon\" }]", "a duration such as"),
            ("processes = [{ what = \"x\", rto = \"1m\", mttr = 1 }]", "unknown key `mttr`"),
        ] {
            let problems = decode("c.toml", &format!("{HEAD}{text}\n")).unwrap_err().to_string();
            assert!(problems.contains(said), "{said}: {problems}");
        }
    }
}
