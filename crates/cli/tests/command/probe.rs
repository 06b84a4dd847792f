//! `trunkline probe`: through a proxy that breaks one thing, it names that thing; through one that breaks nothing, it finds
//! nothing.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::Value;

use crate::fault::{Fault, proxy};
use crate::support::{Finished, Folder, Running, run, trunkline};

/// A far end, and its port.
fn far_end() -> (Running, u16) {
    Running::server(trunkline(&["probe", "--listen", "127.0.0.1:0"]))
}

fn probe(port: u16, options: &[&str]) -> Finished {
    let url = format!("http://127.0.0.1:{port}/");
    let patience: &[&str] = if options.contains(&"--timeout") { &[] } else { &["--timeout", "2"] };
    run(&[&["probe", &url, "--json"], patience, options].concat(), "")
}

/// What is quick, and enough for most faults.
const QUICK: &[&str] = &["--idle-max", "0", "--bytes", "2000000"];

fn report(finished: &Finished) -> Value {
    serde_json::from_str(&finished.out).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
}

fn codes(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().expect("a list");
    findings.iter().map(|finding| finding["code"].as_str().expect("a name").to_owned()).collect()
}

/// Through `fault`, these and no other findings, and this exit code.
#[track_caller]
fn finds(fault: Fault, options: &[&str], expected: &[&str], code: i32) {
    let (_far, port) = far_end();
    let finished = probe(proxy(fault, port), options);
    let report = report(&finished);
    let mut found = codes(&report);
    found.sort();
    assert_eq!(found, expected, "{fault:?}: {:#}", report["findings"]);
    assert_eq!(finished.code, Some(code), "{fault:?}: {:#}", report["findings"]);
}

#[test]
fn nothing_is_found_without_a_proxy_and_through_one_that_is_as_it_should_be() {
    let (_far, port) = far_end();
    for port in [port, proxy(Fault::None, port)] {
        let finished = probe(port, &["--idle-max", "2", "--bytes", "2000000"]);
        let report = report(&finished);
        assert_eq!(codes(&report), Vec::<String>::new(), "{report:#}");
        assert_eq!(finished.code, Some(0));
        assert_eq!(report["facts"]["far"], "probe");
        assert_eq!(report["facts"]["bulk"]["there"]["received"], 2_000_000);
        assert_eq!(report["facts"]["idle"].as_array().map(Vec::len), Some(3));
        assert_eq!(
            report["facts"]["endings"].as_array().map(Vec::len),
            Some(6),
            "{:#}",
            report["facts"]["endings"]
        );
    }
}

#[test]
fn a_stripped_upgrade_is_named() {
    finds(
        Fault::StripUpgrade,
        QUICK,
        &["lines_blocked", "quiet_blocked", "stream_blocked", "upgrade_stripped"],
        20,
    );
}

#[test]
fn a_path_that_lets_only_websockets_through_is_healthy_and_named() {
    finds(Fault::OnlyWebSocket, QUICK, &["lines_blocked", "quiet_blocked", "stream_blocked"], 0);
}

#[test]
fn a_proxy_that_answers_for_itself_is_told_from_the_server() {
    finds(
        Fault::AnswersItself,
        QUICK,
        &["answered_by_path", "lines_blocked", "quiet_blocked", "stream_blocked"],
        20,
    );
}

#[test]
fn an_upgrade_without_an_answer_is_named() {
    finds(
        Fault::Swallows,
        &["--idle-max", "0", "--timeout", "0.5", "--only", "ways"],
        &["lines_blocked", "quiet_blocked", "stream_blocked", "upgrade_unanswered"],
        20,
    );
}

#[test]
fn bytes_that_vanish_upwards_are_told_from_those_that_vanish_downwards() {
    let quick: &[&str] = &["--idle-max", "0", "--timeout", "0.5", "--only", "ways"];
    let blocked = ["lines_blocked", "quiet_blocked", "stream_blocked"];
    finds(Fault::DropsUpward, quick, &[&blocked[..], &["upward_lost"]].concat(), 20);
    finds(Fault::DropsDownward, quick, &[&blocked[..2], &["stream_blocked", "tunnel_dead"]].concat(), 20);
}

#[test]
fn an_error_page_inside_a_tunnel_is_recognised() {
    finds(
        Fault::ErrorPage,
        &["--idle-max", "0", "--only", "ways"],
        &["error_page_in_tunnel", "lines_blocked", "quiet_blocked", "stream_blocked"],
        20,
    );
}

#[test]
fn early_data_that_is_lost_is_named_and_healthy() {
    finds(Fault::LosesEarly, QUICK, &["early_data_lost"], 0);
}

#[test]
fn held_events_are_named() {
    // This proxy knows no HTTP/2, and waits for the whole of it as of any response.
    finds(Fault::Buffers, QUICK, &["events_held", "http2_blocked"], 10);
}

#[test]
fn a_byte_that_is_changed_is_found() {
    finds(
        Fault::Flips(1_000_500),
        &["--idle-max", "0", "--only", "bulk", "--bytes", "2000000"],
        &["corrupted"],
        20,
    );
}

#[test]
fn a_standstill_is_named() {
    finds(
        Fault::Stalls(1_000_000),
        &["--idle-max", "0", "--only", "bulk", "--timeout", "0.7", "--bytes", "8000000"],
        &["deadlock"],
        20,
    );
}

#[test]
fn idle_limits_are_told_from_each_other() {
    let idle: &[&str] = &["--only", "idle", "--idle-max", "2.4"];
    finds(Fault::CutsIdle(1000), idle, &["idle_limit"], 10);
    finds(Fault::CutsClientIdle(1000), idle, &["client_must_send", "idle_limit"], 10);
    finds(Fault::CutsAlways(1000), idle, &["lifetime_limit"], 10);
}

#[test]
fn a_connection_that_is_forgotten_in_silence_is_found_by_asking() {
    let (_far, port) = far_end();
    let idle: &[&str] = &["--only", "idle", "--idle-max", "2.4", "--timeout", "0.5"];
    let finished = probe(proxy(Fault::ForgetsIdle(1000), port), idle);
    let report = report(&finished);
    let found = codes(&report);
    assert!(
        ["idle_limit", "silent_cut"].iter().all(|code| found.iter().any(|found| found == code)),
        "{found:?}"
    );
    let silent = &report["facts"]["idle"][0];
    assert!(silent["cut_ms"].is_null() && silent["between_ms"][0].as_f64() >= Some(300.0), "{silent:#}");
}

#[test]
fn half_close_that_breaks_is_named_and_healthy() {
    finds(Fault::NoHalfClose, QUICK, &["half_close_lost"], 0);
}

#[test]
fn what_a_path_does_to_headers_is_named() {
    let headers: &[&str] = &["--only", "headers"];
    finds(Fault::HostWithoutPort, headers, &["forwarded_for", "host_changed"], 10);
    finds(Fault::DropsAuthorization, headers, &["authorization_dropped"], 10);
    finds(Fault::Appends, headers, &["forwarded_for"], 0);
}

#[test]
fn a_server_that_is_not_ours_is_judged_by_the_rules_it_keeps() {
    let (_echo, url) = Running::echo(&[]);
    let finished = run(&["probe", &url, "--json", "--only", "rules", "--timeout", "3"], "");
    let report = report(&finished);
    assert_eq!(report["facts"]["far"], "foreign", "{report:#}");
    let rules = report["facts"]["rules"].as_array().expect("a list");
    assert!(rules.len() >= 15, "{rules:#?}");
    assert!(rules.iter().all(|rule| rule["kept"] == true), "{rules:#?}");
    assert_eq!(finished.code, Some(0), "{report:#}");
}

#[test]
fn a_closed_port_is_broken_and_an_open_one_is_told_from_it() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = listener.local_addr().expect("bound").port();
    drop(listener);
    let (_far, open) = far_end();
    let ports = format!("{open},{closed}");
    let finished = probe(closed, &["--ports", &ports]);
    let report = report(&finished);
    assert_eq!((codes(&report), finished.code), (vec!["unreachable".to_owned()], Some(20)));
    let states: Vec<_> =
        report["facts"]["ports"].as_array().expect("a list").iter().map(|port| &port["state"]).collect();
    assert_eq!(states, ["open", "refused"]);
}

#[test]
fn a_server_that_says_garbage_or_nothing_is_broken_and_never_hangs() {
    for garbage in [&b""[..], b"\x00\xff\x00\xff", b"HTTP/1.1 101 x\r\n\r\nabc", b"HTTP/1.1 200 OK\r\n"] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(garbage);
            }
        });
        let finished = probe(port, &["--timeout", "0.5", "--idle-max", "1"]);
        assert_eq!(finished.code, Some(20), "{garbage:?}: {finished:?}");
    }
}

#[test]
fn connections_are_held_in_parallel_and_counted() {
    let (_far, port) = far_end();
    let finished = probe(port, &["--only", "ways", "--parallel", "50", "--idle-max", "0.2"]);
    let report = report(&finished);
    let parallel = &report["facts"]["parallel"];
    assert_eq!((&parallel["opened"], &parallel["alive"]), (&50.into(), &50.into()), "{parallel:#}");
}

#[test]
fn ones_own_handshake_is_tried_with_ones_own_headers() {
    let (_far, port) = far_end();
    let own = ["--only", "ways", "--handshake", "PUT /x my-token/2", "--header", "X-Mine: 1"];
    let finished = probe(port, &own);
    let report = report(&finished);
    let ways = report["facts"]["ways"].as_array().expect("a list");
    let own = ways.iter().find(|way| way["name"] == "own").expect("it was tried");
    assert_eq!(own["outcome"]["is"], "works", "{own:#}");
    assert_eq!(own["hello"]["method"], "PUT");
    let headers = own["hello"]["headers"].to_string();
    assert!(headers.contains("my-token/2") && headers.contains("X-Mine"), "{headers}");
}

#[test]
fn serve_has_the_probe_beside_its_doors_only_if_told() {
    let (_with, port) = Running::server(trunkline(&["serve", "--listen", "127.0.0.1:0", "--probe"]));
    let finished = probe(port, &["--only", "headers,latency"]);
    assert_eq!((report(&finished)["facts"]["far"].as_str(), finished.code), (Some("probe"), Some(0)));
    let (_without, port) = Running::server(trunkline(&["serve", "--listen", "127.0.0.1:0"]));
    let finished = probe(port, &["--only", "headers"]);
    let report = report(&finished);
    assert_eq!(report["facts"]["far"], "probe_off", "{report:#}");
    let url = format!("http://127.0.0.1:{port}/connect");
    let finished = run(&["probe", &url, "--json", "--only", "ways"], "");
    assert!(finished.out.contains("\"websocket\""), "{finished:?}");
}

#[test]
fn the_summary_is_for_people_and_the_page_stands_alone() {
    let (_far, port) = far_end();
    let folder = Folder::with("unused", "");
    let file = folder.path().join("report.html");
    let url = format!("http://127.0.0.1:{port}");
    let page = file.to_str().expect("a path of ours");
    let finished = run(&["probe", &url, "--only", "latency,bulk", "--bytes", "500000", "--html", page], "");
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.out.contains("healthy") && finished.out.contains("round trip"), "{}", finished.out);
    let page = std::fs::read_to_string(file).expect("it was written");
    assert!(page.contains("<svg") && page.ends_with("</html>\n"), "{page}");
}

#[test]
fn what_makes_no_sense_is_usage() {
    for args in [
        &["probe"][..],
        &["probe", "nonsense"],
        &["probe", "ws://h/", "--only", "nonsense"],
        &["probe", "ws://h/", "--bytes", "0"],
        &["probe", "ws://h/", "--timeout", "0"],
        &["probe", "ws://h/", "--handshake", "GET"],
        &["probe", "ws://h/", "--via", "nonsense://x"],
        &["probe", "ws://h/", "--listen", "127.0.0.1:0"],
    ] {
        assert_eq!(run(args, "").code, Some(2), "{args:?}");
    }
}
