//! Tidy: what the project promises about its own tree, checked by reading it.
//!
//! A rule that only stands in a document is a wish. Each test here is one rule; it fails with every place that breaks it, as
//! `file:line: what is wrong and what to do`.

mod crates;
mod lexer;
mod locked;
mod reach;
mod rules;
mod size;
mod testing;
mod tree;

use tree::{Tree, Violation};

#[track_caller]
fn assert_none(rule: &str, violations: Vec<Violation>) {
    let lines: Vec<String> = violations.iter().map(Violation::to_string).collect();
    assert!(lines.is_empty(), "{rule}\n\n{}\n", lines.join("\n"));
}

#[test]
fn pure_crates_contain_no_io_clock_randomness_task_or_lock() {
    let violations = rules::impurities(&Tree::of_the_project());
    assert_none("websocket, trunk and dialect get time, random bytes and input as arguments", violations);
}

#[test]
fn the_servers_machines_contain_no_async() {
    let violations = rules::async_in_machines(&Tree::of_the_project());
    assert_none("hub, channel, presence, peer, ticket and policy are driven, they do not wait", violations);
}

#[test]
fn unsafe_stands_in_the_modules_that_are_known_for_it_and_nowhere_else() {
    let violations = rules::unsafe_elsewhere(&Tree::of_the_project());
    assert_none("measured speed, a module of its own, a safe twin", violations);
}

#[test]
fn dependencies_between_crates_run_down_the_floors() {
    assert_none("a crate uses only what stands below it", crates::floors(&Tree::of_the_project()));
}

#[test]
fn every_crate_takes_lints_and_dependency_versions_from_the_workspace() {
    assert_none(
        "versions and lints stand once, in the root Cargo.toml",
        crates::manifests(&Tree::of_the_project()),
    );
}

#[test]
fn every_source_file_is_reachable_and_has_something_in_it() {
    assert_none(
        "a file that no mod declaration names is a dead room",
        reach::dead_files(&Tree::of_the_project()),
    );
}

#[test]
fn files_stay_within_450_lines() {
    let violations = size::long_files(&Tree::of_the_project());
    assert_none("a file that wants to be larger holds a second concept: which one?", violations);
}

#[test]
fn functions_stay_within_80_lines() {
    let violations = size::long_functions(&Tree::of_the_project());
    assert_none("a function that does not fit a screen does two things: which ones?", violations);
}

#[test]
fn nothing_is_left_for_later_in_the_source() {
    assert_none(
        "what is committed is finished, and every test runs",
        rules::leftovers(&Tree::of_the_project()),
    );
}

#[test]
fn no_file_names_a_package_registry_or_somebodys_home() {
    let violations = rules::foreign_places(&Tree::of_the_project());
    assert_none("where packages come from and where the clone lies are the machine's own affair", violations);
}

#[test]
fn every_item_of_the_standards_names_a_test_that_exists() {
    let violations = testing::unmapped_items(&Tree::of_the_project());
    assert_none("docs/conformance.md maps each item to its test", violations);
}

#[test]
fn every_fault_on_record_names_a_test_that_exists_or_a_reason() {
    let violations = testing::unmapped_faults(&Tree::of_the_project());
    assert_none("docs/security-record.md maps each fault to its test", violations);
}

#[test]
fn every_limit_names_a_test_at_it_and_one_past_it() {
    let violations = testing::untested_limits(&Tree::of_the_project());
    assert_none("docs/testing.md maps each limit to its tests", violations);
}

#[test]
fn no_dependency_has_a_fault_that_is_on_record() {
    let violations = locked::faulty(&Tree::of_the_project());
    assert_none("docs/security-record.md says which versions are whole", violations);
}
