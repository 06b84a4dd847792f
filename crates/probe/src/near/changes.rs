//! What a path did to header fields: those sent at one end against those seen at the other.

use crate::facts::Changes;
use crate::wire::Field;

/// Compares what was sent with what arrived. Names have no case and fields no order; of several with one name the values are
/// taken together, as HTTP does.
pub(crate) fn compare(sent: &[Field], arrived: &[Field]) -> Changes {
    let (sent, arrived) = (joined(sent), joined(arrived));
    let mut changes = Changes::default();
    for (name, value) in &sent {
        match arrived.iter().find(|(other, _)| other == name) {
            None => changes.dropped.push((name.clone(), value.clone())),
            Some((_, other)) if same(name, value, other) => {}
            Some((_, other)) => changes.changed.push((name.clone(), value.clone(), other.clone())),
        }
    }
    let added = arrived.iter().filter(|(name, _)| !sent.iter().any(|(other, _)| other == name));
    changes.added = added.cloned().collect();
    changes
}

/// Names that were sent with capitals and arrived without.
pub(crate) fn lowered(sent: &[Field], arrived: &[Field]) -> Vec<String> {
    let capital = |name: &str| name.bytes().any(|byte| byte.is_ascii_uppercase());
    let came = |name: &str| arrived.iter().any(|(other, _)| *other == name.to_ascii_lowercase());
    sent.iter().filter(|(name, _)| capital(name) && came(name)).map(|(name, _)| name.clone()).collect()
}

fn joined(fields: &[Field]) -> Vec<Field> {
    let mut all: Vec<Field> = Vec::new();
    for (name, value) in fields {
        let name = name.to_ascii_lowercase();
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => {
                known.push_str(", ");
                known.push_str(value);
            }
            None => all.push((name, value.clone())),
        }
    }
    all
}

/// `Connection` and `Upgrade` are lists of words without case; everything else is compared as it is.
fn same(name: &str, one: &str, other: &str) -> bool {
    let words = |text: &str| {
        let mut words: Vec<String> = text.split(',').map(|word| word.trim().to_ascii_lowercase()).collect();
        words.sort();
        words
    };
    one == other || (matches!(name, "connection" | "upgrade") && words(one) == words(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(fields: &[(&str, &str)]) -> Vec<Field> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn added_dropped_and_changed_fields_are_told_apart() {
        let sent = fields(&[
            ("Host", "a:1"),
            ("X-One", "1"),
            ("Connection", "Upgrade"),
            ("Accept", "a"),
            ("Accept", "b"),
        ]);
        let arrived =
            fields(&[("host", "a"), ("connection", "upgrade"), ("accept", "a, b"), ("via", "1.1 proxy")]);
        let changes = compare(&sent, &arrived);
        assert_eq!(changes.added, fields(&[("via", "1.1 proxy")]));
        assert_eq!(changes.dropped, fields(&[("x-one", "1")]));
        assert_eq!(changes.changed, [("host".to_owned(), "a:1".to_owned(), "a".to_owned())]);
        assert_eq!(lowered(&sent, &arrived), ["Host", "Connection", "Accept", "Accept"]);
    }

    #[test]
    fn what_arrives_as_it_was_sent_has_no_changes() {
        let sent = fields(&[("Host", "a"), ("Upgrade", "websocket")]);
        assert_eq!(compare(&sent, &sent), Changes::default());
        assert!(lowered(&sent, &sent).is_empty());
    }
}
