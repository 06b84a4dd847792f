//! `trunkline serve` and `trunkline ticket`: what they print, and how the server stops.

use crate::support::{Folder, KEY, Running, finish, run, trunkline};

#[test]
fn without_a_key_it_makes_one_up_and_prints_it_apart_from_the_addresses() {
    let (server, port) = Running::server(trunkline(&["serve", "--listen", "127.0.0.1:0"]));
    let api = format!("http://127.0.0.1:{port}");
    assert_eq!(server.out.lines(2, |_| true)[0], format!("listening on {api}"));
    let demo = server.out.line(|line| line.contains("demo page"));
    assert!(demo.ends_with(&format!("{api}/")), "{demo}");

    let line = server.err.line(|line| line.starts_with("API key"));
    let key = line.rsplit(' ').next().expect("it is at the end");
    let done = run(&["ticket", "--user", "ann", "--api", &api, "--key", key], "");
    assert_eq!((done.code, done.err.as_str(), done.out.lines().count()), (Some(0), "", 1));
    assert!(!server.out.so_far().contains(key));
}

#[test]
fn a_key_from_the_environment_is_used_and_not_printed() {
    let (server, port) = Running::server(with_key(&["serve", "--listen", "127.0.0.1:0"]));
    let api = format!("http://127.0.0.1:{port}/");
    let ticket = finish(with_key(&["ticket", "--user", "ann", "--api", &api]), "");
    assert_eq!((ticket.code, ticket.err.as_str()), (Some(0), ""));
    server.signal("TERM");
    let done = server.wait();
    assert_eq!(done.code, Some(0));
    assert!(!done.err.contains(KEY) && !done.out.contains(KEY), "{}", done.err);
}

#[test]
fn a_listener_of_the_api_alone_says_so() {
    let text = "[listen]\naddress = \"127.0.0.1:0\"\n\n[listen.api]\naddress = \"127.0.0.1:0\"\n";
    let folder = Folder::with("trunkline.toml", text);
    let mut command = with_key(&["serve"]);
    command.current_dir(folder.path());
    let (server, doors) = Running::server(command);
    let line = server.out.line(|line| line.starts_with("api on "));
    let api = line.trim_start_matches("api on ");
    assert_ne!(api, format!("http://127.0.0.1:{doors}"));
    let ticket = finish(with_key(&["ticket", "--user", "ann", "--api", api]), "");
    assert_eq!((ticket.code, ticket.err.as_str()), (Some(0), ""));
}

#[test]
fn a_ticket_opens_the_door_once() {
    let (_server, port) = Running::server(with_key(&["serve", "--listen", "127.0.0.1:0"]));
    let api = format!("http://127.0.0.1:{port}");
    let terms = [
        "--info",
        "{\"n\":1}",
        "--ip",
        "127.0.0.1",
        "--policy",
        "exact",
        "--ttl",
        "60",
        "--channels",
        "{\"room:*\":[\"subscribe\"]}",
    ];
    let minted = finish(with_key(&[&["ticket", "--user", "ann", "--api", &api][..], &terms].concat()), "");
    assert_eq!((minted.code, minted.out.lines().count()), (Some(0), 1), "{}", minted.err);
    let ticket = minted.out.trim_end();
    let url = format!("{api}/connect");

    let first = run(
        &["connect", &url, "--ticket", ticket],
        "{\"id\":1,\"publish\":{\"channel\":\"room:1\",\"data\":1}}\n",
    );
    let mut lines = first.out.lines();
    assert!(
        lines.next().is_some_and(|line| line.starts_with("{\"connected\":")),
        "{} {}",
        first.out,
        first.err
    );
    assert!(lines.next().is_some_and(|line| line.contains("\"forbidden\"")), "{}", first.out);
    assert_eq!(first.code, Some(0));

    let second = Running::start(trunkline(&["connect", &url, "--ticket", ticket])).wait();
    assert!(second.out.starts_with("{\"disconnect\":"), "{}", second.out);
    assert!(second.err.starts_with("closed by the remote with code 4401"), "{}", second.err);
}

#[test]
fn what_the_api_refuses_is_told_in_its_words() {
    let (_server, port) = Running::server(with_key(&["serve", "--listen", "127.0.0.1:0"]));
    let api = format!("http://127.0.0.1:{port}");
    let wrong_key = run(&["ticket", "--user", "ann", "--api", &api, "--key", "wrong"], "");
    assert_eq!((wrong_key.code, wrong_key.out.as_str()), (Some(1), ""));
    assert!(wrong_key.err.contains("401"), "{}", wrong_key.err);
    assert!(wrong_key.err.contains("the API key is not the server's"), "{}", wrong_key.err);
    let too_long = finish(with_key(&["ticket", "--user", "ann", "--api", &api, "--ttl", "61"]), "");
    assert_eq!((too_long.code, too_long.out.as_str()), (Some(1), ""));
    assert!(too_long.err.contains("ttl_s"), "{}", too_long.err);
    let (_echo, url) = Running::echo(&[]);
    let no_api = finish(with_key(&["ticket", "--user", "ann", "--api", &url.replace("ws:", "http:")]), "");
    assert_eq!((no_api.code, no_api.out.as_str()), (Some(1), ""));
    assert!(no_api.err.contains("does not look like a Trunkline API"), "{}", no_api.err);
}

#[test]
fn sigterm_tells_the_clients_and_ends_cleanly() {
    let (server, port) = Running::server(with_key(&["serve", "--listen", "127.0.0.1:0"]));
    let mut client = Running::start(trunkline(&["connect", &format!("ws://127.0.0.1:{port}/connect")]));
    client.write("{\"id\":1,\"ping\":{}}\n");
    client.out.line(|line| line.contains("\"id\":1"));
    server.signal("TERM");
    let told = client.wait();
    assert!(told.err.starts_with("closed by the remote with code 1001"), "{}", told.err);
    let done = server.wait();
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.err.contains("a second signal ends at once"), "{}", done.err);
}

#[test]
fn a_second_signal_does_not_wait_for_a_client_that_does_not_answer() {
    let (server, port) = Running::server(with_key(&["serve", "--listen", "127.0.0.1:0"]));
    let mut client = Running::start(trunkline(&["connect", &format!("ws://127.0.0.1:{port}/connect")]));
    client.write("{\"id\":1,\"ping\":{}}\n");
    client.out.line(|line| line.contains("\"id\":1"));
    client.signal("STOP");
    server.signal("TERM");
    server.err.line(|line| line.contains("a second signal ends at once"));
    server.signal("TERM");
    // A stop that had waited for the client would have ended with 0.
    assert_eq!(server.wait().code, Some(1));
}

fn with_key(args: &[&str]) -> std::process::Command {
    let mut command = trunkline(args);
    command.env("TRUNKLINE_API_KEY", KEY);
    command
}
