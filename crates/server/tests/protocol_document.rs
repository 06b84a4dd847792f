//! docs/protocol.md is normative: its table of codes is the one in the code.

use trunkline_dialect::{Code, Reconnect};

#[test]
fn the_table_of_codes_in_protocol_md_is_that_of_the_dialect() {
    let document = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md"));
    let rows: Vec<Vec<&str>> = document
        .lines()
        .skip_while(|line| !line.starts_with("| code | close |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let expected: Vec<Vec<String>> = Code::ALL
        .iter()
        .map(|code| {
            let retry = if code.retry() { "yes" } else { "no" };
            let back = match code.reconnect() {
                Reconnect::Yes => "yes",
                Reconnect::WithNewCredential => "new ticket",
                Reconnect::No => "no",
            };
            vec![format!("`{}`", code.name()), code.close_code().to_string(), retry.into(), back.into()]
        })
        .collect();
    let documented: Vec<Vec<&str>> = rows.iter().map(|row| row[..4].to_vec()).collect();
    assert_eq!(documented, expected);
}
