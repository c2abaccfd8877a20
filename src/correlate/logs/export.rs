//! What Odoo logs when somebody exports records: `odoo/addons/web/controllers/export.py` of Odoo 13 to 19 writes `User %d
//! exported %d %r records from %s. Fields: %s. …` at the level INFO.

use crate::domain::logs::Export;
use crate::domain::text::sanitize;
use jiff::Timestamp;

/// The logger that writes it, where the line names one.
const LOGGER: &str = "odoo.addons.web.controllers.export: ";

/// The export that a line tells of, if it does.
pub(super) fn export(at: Timestamp, says: &str) -> Option<Export> {
    let rest = says.strip_prefix(LOGGER).unwrap_or(says).strip_prefix("User ")?;
    let (user, rest) = rest.split_once(" exported ")?;
    let (records, rest) = rest.split_once(" '")?;
    let (model, rest) = rest.split_once("' records from ")?;
    let (from, _) = rest.split_once(". Fields: ")?;
    Some(Export {
        at,
        user: user.parse().ok()?,
        records: records.parse().ok()?,
        model: sanitize(model),
        from: sanitize(from),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(says: &str) -> Option<(u64, u64, String, String)> {
        export(Timestamp::UNIX_EPOCH, says).map(|e| (e.user, e.records, e.model, e.from))
    }

    #[test]
    fn an_export_names_who_took_how_much_of_what() {
        let says = "User 7 exported 12034 'res.partner' records from 10.0.0.3. Fields: name,email. Domain: [['a. Fields: ', '=', 1]]";
        let wanted = Some((7, 12_034, "res.partner".to_owned(), "10.0.0.3".to_owned()));
        assert_eq!(of(says), wanted);
        assert_eq!(of(&format!("{LOGGER}{says}")), wanted);
    }

    #[test]
    fn what_only_looks_like_it_is_none() {
        for says in [
            "",
            "User 7 exported everything",
            "odoo.http: User 7 exported 3 'x' records from 10.0.0.3. Fields: a. Domain: []",
            "User seven exported 3 'x' records from 10.0.0.3. Fields: a. Domain: []",
            "User 7 exported -3 'x' records from 10.0.0.3. Fields: a. Domain: []",
            "User 7 exported 99999999999999999999999 'x' records from 10.0.0.3. Fields: a.",
            "User 7 exported 3 'x' records from 10.0.0.3",
        ] {
            assert_eq!(of(says), None, "{says}");
        }
    }
}
