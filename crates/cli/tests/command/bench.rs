//! `trunkline bench`, against `trunkline echo`, `trunkline serve`, and servers that do not do as they should.

use std::net::TcpListener;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use serde_json::Value;
use trunkline_net::{Message, WebSocket};

use crate::connect::answers_once;
use crate::hub::Hub;
use crate::support::{Finished, Running, finish, run, trunkline};

/// Says on stderr when it begins to send.
const TELLING: [&str; 2] = ["--log", "warn,trunkline::command=info"];

#[test]
fn every_echo_is_counted() {
    let (_echo, url) = Running::echo(&[]);
    let table: &[&[&str]] = &[
        &["--connections", "4", "--in-flight", "3"],
        &["--connections", "7", "--binary", "--size", "0"],
        &["--deflate", "--size", "1000", "--ramp", "0.1"],
        &["--binary", "--deflate", "--connect-rate", "1000"],
        &["--size", "300000", "--in-flight", "2"],
        &["--rate", "2000"],
        &["--connections", "1", "--rate", "2000", "--in-flight", "1"],
    ];
    for options in table {
        let done = run(&[&["bench", &url, "--messages", "100", "--json"], *options].concat(), "");
        assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{options:?}: {}", done.out);
        let result = json(&done);
        let messages = &result["messages"];
        assert_eq!((&messages["sent"], &messages["echoed"]), (&100.into(), &100.into()), "{result}");
        assert_eq!((&result["mode"], &result["url"]), (&"echo".into(), &url.trim_end_matches('/').into()));
        assert_eq!(result["errors"], Value::Array(Vec::new()));
        assert_eq!(result["connections"]["wanted"], result["connections"]["opened"]);
        assert_percentiles_rise(&result["latency_ns"]);
        assert_eq!(result["send_delay_ns"].is_object(), options.contains(&"--rate"), "{result}");
    }
}

#[test]
fn compression_shows_in_the_bytes_on_the_wire() {
    let (_echo, url) = Running::echo(&[]);
    let wire = |options: &[&str]| {
        let args = ["bench", &url, "--messages", "20", "--size", "4000", "--json"];
        let result = json(&run(&[&args, options].concat(), ""));
        assert_eq!(result["bytes"]["sent"], 80_000);
        result["bytes"]["wire_sent"].as_u64().expect("a number")
    };
    assert!(wire(&[]) > 80_000);
    assert!(wire(&["--deflate"]) < 60_000);
    assert!(wire(&["--deflate", "--binary"]) > 80_000);
}

#[test]
fn in_a_pipe_there_is_nothing_but_the_result() {
    let (_echo, url) = Running::echo(&[]);
    let done = run(&["bench", &url, "--duration", "0.3", "--warm-up", "0.1"], "");
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""));
    let begins: Vec<&str> =
        done.out.lines().map(|line| line.split_whitespace().next().unwrap_or_default()).collect();
    let place = format!("{}:", url.trim_end_matches('/'));
    assert_eq!(
        begins,
        [place.as_str(), "connections", "messages", "bytes", "latency", "errors"],
        "{}",
        done.out
    );
}

#[test]
fn a_server_that_is_killed_is_an_error_of_every_connection_and_what_was_measured_is_told() {
    let (mut echo, url) = Running::echo(&[]);
    let bench = Running::start(trunkline(
        &[&["bench", &url, "--connections", "3", "--duration", "600", "--json"], &TELLING[..]].concat(),
    ));
    bench.err.line(|line| line.contains("sending"));
    echo.kill();
    let done = bench.wait();
    assert_eq!(done.code, Some(1), "{}", done.err);
    let result = json(&done);
    assert_eq!(count(&result, "ended"), 3, "{result}");
    assert_eq!((&result["connections"]["opened"], &result["interrupted"]), (&3.into(), &false.into()));
}

#[test]
fn a_url_that_leads_nowhere_is_told_as_connect_tells_it() {
    let (url, server) = answers_once("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone".to_owned());
    let done = run(&["bench", &format!("{url}?ticket=hunter2"), "--connections", "1000", "--json"], "");
    server.join().expect("the server has answered");
    assert_eq!((done.code, done.out.as_str()), (Some(1), ""));
    assert!(done.err.contains("HTTP/1.1 404 Not Found") && done.err.ends_with("gone\n"), "{}", done.err);
    assert!(!done.err.contains("hunter2"), "{}", done.err);
    // Nobody is there any more.
    let done = run(&["bench", &url], "");
    assert_eq!((done.code, done.out.as_str()), (Some(1), ""));
    assert!(done.err.contains("refused"), "{}", done.err);
}

#[test]
fn connections_that_are_refused_are_counted_and_the_others_measured() {
    let (url, _) =
        serves(2, |socket, _, message| Box::pin(async move { socket.send(message).await.is_ok() }));
    let done =
        run(&["bench", &url, "--connections", "5", "--messages", "20", "--json", "--timeout", "5"], "");
    assert_eq!(done.code, Some(1), "{}", done.err);
    let result = json(&done);
    assert_eq!((&result["connections"]["opened"], &result["connections"]["failed"]), (&2.into(), &3.into()));
    assert_eq!((count(&result, "open"), &result["messages"]["echoed"]), (3, &20.into()), "{result}");
}

#[test]
fn an_echo_that_is_not_what_was_sent_is_reported() {
    let table: [(&str, Change); 3] = [
        ("other bytes", |sent| Message::from(format!("X{}", &sent.as_text().unwrap_or_default()[1..]))),
        ("another length", |sent| Message::from(format!("{} ", sent.as_text().unwrap_or_default()))),
        ("binary for text", |sent| Message::Binary(sent.into_bytes())),
    ];
    for (words, wrong) in table {
        let (url, _) = serves(1, move |socket, number, message| {
            let message = if number == 5 { wrong(message) } else { message };
            Box::pin(async move { socket.send(message).await.is_ok() })
        });
        let done = run(&["bench", &url, "--connections", "1", "--messages", "1000", "--json"], "");
        assert_eq!(done.code, Some(1), "{}", done.err);
        let result = json(&done);
        assert_eq!((count(&result, "wrong_echo"), &result["messages"]["echoed"]), (1, &5.into()), "{result}");
        assert!(result["errors"].to_string().contains(words), "{result}");
    }
}

#[test]
fn a_message_that_nothing_was_sent_for_is_no_echo() {
    let (url, _) = serves(1, |socket, _, message| {
        Box::pin(
            async move { socket.feed(message.clone()).await.is_ok() && socket.send(message).await.is_ok() },
        )
    });
    let done = run(&["bench", &url, "--connections", "1", "--messages", "2", "--size", "1000", "--json"], "");
    let result = json(&done);
    assert_eq!((done.code, count(&result, "wrong_echo")), (Some(1), 1), "{result}");
}

#[test]
fn ctrl_c_ends_it_early_with_the_result() {
    let (url, echoed) =
        serves(3, |socket, _, message| Box::pin(async move { socket.send(message).await.is_ok() }));
    let args = ["bench", &url, "--connections", "3", "--duration", "600", "--warm-up", "0", "--json"];
    let bench = Running::start(trunkline(&args));
    for _ in 0..100 {
        echoed.recv().expect("messages come");
    }
    bench.signal("INT");
    let done = bench.wait();
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""));
    let result = json(&done);
    assert_eq!(
        (&result["interrupted"], &result["errors"]),
        (&true.into(), &Value::Array(Vec::new())),
        "{result}"
    );
    assert!(result["messages"]["echoed"].as_u64() >= Some(97), "{result}");
}

#[test]
fn a_second_ctrl_c_does_not_wait_for_echoes_that_do_not_come() {
    let (url, heard) = serves(1, |_, _, _| Box::pin(async { true }));
    let args = ["bench", &url, "--connections", "1", "--duration", "600", "--warm-up", "0"];
    let bench = Running::start(trunkline(&args));
    heard.recv().expect("a message comes");
    bench.signal("INT");
    bench.signal("TERM");
    let done = bench.wait();
    assert_eq!(done.code, Some(1));
    assert!(done.out.contains("; interrupted\n"), "{}", done.out);
    assert_eq!(done.err, "trunkline: nothing was measured\n");
}

#[test]
#[cfg(target_os = "linux")]
fn more_connections_than_descriptors_are_refused_with_the_limit() {
    let binary = env!("CARGO_BIN_EXE_trunkline");
    for (options, flag) in [
        ("--connections 45", "--connections"),
        ("--channel room:1 --subscribers 44", "--subscribers and --publishers"),
    ] {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n 300; exec {binary} bench ws://127.0.0.1:1/ {options}")]);
        let done = finish(shell, "");
        assert_eq!((done.code, done.out.as_str()), (Some(2), ""));
        let words = "at most 44 connections with the limit of 300 descriptors that this process has (ulimit -n), got 45";
        assert_eq!(done.err, format!("trunkline: {flag}: {words}\n"));
    }
}

#[test]
fn every_delivery_is_accounted_for() {
    let hub = Hub::start();
    let table: &[(&[&str], [u64; 2])] = &[
        (&["--subscribers", "3", "--publishers", "2", "--in-flight", "8"], [40, 120]),
        (&["--subscribers", "2", "--rate", "1000", "--deflate", "--size", "2000"], [40, 80]),
        (&["--subscribers", "0", "--publishers", "2", "--user", "load"], [40, 0]),
    ];
    for (options, [published, delivered]) in table {
        let url = hub.url();
        let args = ["bench", &url, "--channel", "room:bench", "--messages", "40", "--json"];
        let args = [&args, *options].concat();
        let done = finish(hub.command(&args), "");
        assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{options:?}: {}", done.out);
        let result = json(&done);
        let (publications, deliveries) = (&result["publications"], &result["deliveries"]);
        assert_eq!((&result["mode"], &publications["acknowledged"]), (&"hub".into(), &(*published).into()));
        assert_eq!(deliveries["received"], *delivered, "{result}");
        for fault in ["lost", "duplicated", "out_of_order", "foreign"] {
            assert_eq!(deliveries[fault], 0, "{fault}: {result}");
        }
        assert_eq!(result["errors"], Value::Array(Vec::new()));
        assert_percentiles_rise(&result["publish_latency_ns"]);
        if *delivered > 0 {
            assert_percentiles_rise(&result["delivery_latency_ns"]);
        }
    }
}

#[test]
fn what_others_publish_in_the_channel_is_not_taken_for_a_delivery() {
    let hub = Hub::start();
    let args = ["bench", &hub.url(), "--channel", "room:1", "--duration", "600", "--json"];
    let bench = Running::start(hub.command(&[&args[..], &TELLING].concat()));
    bench.err.line(|line| line.contains("sending"));
    let api = hub.url().replace("ws://", "http://").replace("/connect", "");
    let stranger =
        ["publish", "room:1", "--url", &hub.url(), "--api", &api, "--user", "ann", "--data", "[1]"];
    assert_eq!(finish(hub.command(&stranger), "").code, Some(0));
    bench.signal("INT");
    let done = bench.wait();
    let result = json(&done);
    assert_eq!(
        (&result["deliveries"]["foreign"], &result["deliveries"]["lost"]),
        (&1.into(), &0.into()),
        "{result}"
    );
    assert_eq!(result["errors"], Value::Array(Vec::new()));
}

#[test]
fn a_hub_that_is_killed_is_an_error_and_not_waited_for_at_the_end() {
    let mut hub = Hub::start();
    let args = ["bench", &hub.url(), "--channel", "room:bench", "--duration", "600", "--json"];
    let bench = Running::start(hub.command(&[&args[..], &TELLING].concat()));
    bench.err.line(|line| line.contains("sending"));
    hub.kill();
    bench.signal("INT");
    let done = bench.wait();
    assert_eq!(done.code, Some(1), "{}", done.err);
    let result = json(&done);
    assert!((1..=2).contains(&count(&result, "ended")), "{result}");
}

#[test]
fn a_hub_that_does_not_let_it_in_or_publish_says_why() {
    let hub = Hub::start_with("[namespaces.room]\n\n[namespaces.news]\npublish = \"nobody\"\n");
    let bench =
        |channel: &str| ["bench", &hub.url(), "--channel", channel, "--messages", "10"].map(str::to_owned);
    let unknown = finish(hub.command(&bench("nowhere:1")), "");
    assert_eq!((unknown.code, unknown.out.as_str()), (Some(1), ""));
    assert!(unknown.err.contains("unknown_channel"), "{}", unknown.err);
    let anonymous = finish(trunkline(&bench("room:1").each_ref().map(String::as_str)), "");
    assert_eq!((anonymous.code, anonymous.out.as_str()), (Some(1), ""));
    assert!(
        anonymous.err.contains("4401") && anonymous.err.contains("TRUNKLINE_API_KEY"),
        "{}",
        anonymous.err
    );
    let refused = finish(hub.command(&bench("news:1")), "");
    assert_eq!((refused.code, refused.err.as_str()), (Some(1), "trunkline: nothing was measured\n"));
    assert!(refused.out.contains("\n  1 refused: the hub refused: forbidden"), "{}", refused.out);
}

fn json(done: &Finished) -> Value {
    serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}: {done:?}"))
}

/// How many errors of a kind there are.
fn count(result: &Value, kind: &str) -> u64 {
    let errors = result["errors"].as_array().expect("a list");
    errors.iter().filter(|error| error["kind"] == kind).filter_map(|error| error["count"].as_u64()).sum()
}

fn assert_percentiles_rise(latency: &Value) {
    let all = ["min", "p50", "p90", "p99", "p99_9", "max"].map(|name| latency[name].as_u64().expect(name));
    assert!(all.is_sorted() && all[0] > 0, "{latency}");
}

type Change = fn(Message) -> Message;
type Answering<'s> = std::pin::Pin<Box<dyn Future<Output = bool> + Send + 's>>;
type Stream = tokio::net::TcpStream;

/// A WebSocket server that takes so many connections and then no more. Each message is given to `answer` with its number in
/// the connection; the receiver is told of each that was answered. It ends with the test.
fn serves(
    connections: usize,
    answer: impl for<'s> Fn(&'s mut WebSocket<Stream>, usize, Message) -> Answering<'s>
    + Send
    + Sync
    + Clone
    + 'static,
) -> (String, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket can be");
    let url = format!("ws://{}/", listener.local_addr().expect("it has one"));
    let (told, answered) = channel();
    let _: JoinHandle<()> = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("it does not block");
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..connections {
                let (stream, _) = listener.accept().await.expect("a client comes");
                let (answer, told) = (answer.clone(), told.clone());
                tasks.spawn_local(async move {
                    let mut socket = trunkline_net::accept(stream).await.expect("a handshake");
                    let mut number = 0;
                    while let Some(Ok(message)) = socket.recv().await {
                        if !answer(&mut socket, number, message).await {
                            break;
                        }
                        number += 1;
                        let _ = told.send(());
                    }
                });
            }
            drop(listener);
            while tasks.join_next().await.is_some() {}
        });
    });
    (url, answered)
}
