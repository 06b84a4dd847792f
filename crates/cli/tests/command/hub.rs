//! `trunkline publish` and `trunkline subscribe` at a real server, which may be killed under them.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Finished, Folder, KEY, PATIENCE, Running, finish, run, trunkline};

#[test]
fn what_is_published_is_printed_with_its_data_unchanged() {
    let hub = Hub::start();
    let subscriber = hub.subscriber("bob", &["room:1", "room:2"]);
    let published = hub.publish("ann", &["room:1", "--verbose"], "{\"n\": 1.50}\n\n[1, \"\u{e4}\"]\n");
    assert_eq!((published.code, published.err.as_str()), (Some(0), ""));
    let positions: Vec<serde_json::Value> = published.out.lines().map(json).collect();
    assert_eq!(
        positions.iter().map(|position| position["offset"].as_u64()).collect::<Vec<_>>(),
        [Some(1), Some(2)]
    );
    assert!(positions[0]["epoch"].is_string());
    let quiet = hub.publish("ann", &["room:2", "--data", "null"], "");
    assert_eq!((quiet.code, quiet.out.as_str(), quiet.err.as_str()), (Some(0), "", ""));

    let lines = subscriber.out.lines(3, is_publication);
    assert!(
        lines[0].starts_with(r#"{"channel":"room:1","offset":1,"data":{"n": 1.50},"user":"ann","at":"#),
        "{lines:?}"
    );
    assert!(lines[1].contains(r#""data":[1, "ä"]"#), "{lines:?}");
    assert!(
        lines[2].starts_with(r#"{"channel":"room:2","offset":1,"data":null,"user":"ann","at":"#),
        "{lines:?}"
    );
    assert!(json(&lines[0])["at"].is_u64());
    subscriber.signal("INT");
    let done = subscriber.wait();
    assert_eq!((done.code, done.err.lines().count()), (Some(0), 2), "beside \"subscribed\": {}", done.err);
}

#[test]
fn lines_of_text_are_published_as_strings_empty_ones_too() {
    let hub = Hub::start();
    let subscriber = hub.subscriber("bob", &["room:1"]);
    assert_eq!(hub.publish("ann", &["room:1", "--text"], "say \"hi\"\n\n").code, Some(0));
    let lines = subscriber.out.lines(2, is_publication);
    assert_eq!((&json(&lines[0])["data"], &json(&lines[1])["data"]), (&"say \"hi\"".into(), &"".into()));
}

#[test]
fn a_line_that_is_not_json_is_named_and_ends_it_after_those_before_it() {
    let hub = Hub::start();
    let subscriber = hub.subscriber("bob", &["room:1"]);
    let done = hub.publish("ann", &["room:1"], "1\n2\nthree\n4\n");
    assert_eq!(done.code, Some(1));
    assert!(done.err.starts_with("trunkline: stdin:3: not JSON"), "{}", done.err);
    assert_eq!(hub.publish("ann", &["room:1"], "5\n").code, Some(0));
    assert_eq!(
        subscriber
            .out
            .lines(3, is_publication)
            .iter()
            .map(|line| json(line)["data"].as_u64())
            .collect::<Vec<_>>(),
        [Some(1), Some(2), Some(5)]
    );
}

#[test]
fn what_the_hub_refuses_for_good_is_told_with_its_line() {
    let hub = Hub::start();
    let done = hub.publish("ann", &["nowhere:1"], "1\n");
    assert_eq!(done.code, Some(1));
    assert!(
        done.err.starts_with("trunkline: stdin:1: ") && done.err.contains("unknown_channel"),
        "{}",
        done.err
    );
    let done = run(&["subscribe", "room:1", "--url", &hub.url()], "");
    assert_eq!((done.code, done.out.as_str()), (Some(1), ""), "nobody in particular may not come in");
    assert!(done.err.contains("4401") && done.err.contains("give --ticket"), "{}", done.err);
}

#[test]
fn a_rate_limit_slows_it_down_and_loses_nothing() {
    let hub = Hub::start_with("[namespaces.room]\npublish_per_s = 10\n");
    let subscriber = hub.subscriber("bob", &["room:1"]);
    let lines: String = (0..20).map(|number| format!("{number}\n")).collect();
    let done = hub.publish("ann", &["room:1", "--log", "trunkline=debug"], &lines);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.err.contains("refused for now"), "{}", done.err);
    let seen = subscriber.out.lines(20, is_publication);
    assert!((0..20).eq(seen.iter().filter_map(|line| json(line)["data"].as_u64())), "{seen:?}");
}

#[test]
fn presence_shows_who_is_there_who_comes_and_who_goes() {
    let hub = Hub::start_with("[presence]\ngrace_s = 0\n");
    let watcher = hub.subscriber("bob", &["room:1", "--presence"]);
    let visitor = hub.subscriber("ann", &["room:1"]);
    let join = watcher.out.line(|line| line.contains("\"join\""));
    assert_eq!(join, r#"{"channel":"room:1","join":{"user":"ann"}}"#);
    visitor.signal("INT");
    assert_eq!(visitor.wait().code, Some(0));
    let leave = watcher.out.line(|line| line.contains("\"leave\""));
    assert_eq!(leave, r#"{"channel":"room:1","leave":{"user":"ann"}}"#);
}

#[test]
fn a_ticket_given_by_hand_is_enough() {
    let hub = Hub::start();
    let minted = finish(hub.command(&["ticket", "--user", "ann", "--api", &hub.api()]), "");
    let done = run(
        &["publish", "room:1", "--url", &hub.url(), "--ticket", minted.out.trim_end(), "--data", "1"],
        "",
    );
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""));
}

#[test]
fn a_url_that_browsers_take_leads_into_the_hub_too() {
    let hub = Hub::start();
    let url = format!("{}?a=[1]|b", hub.url().replace("ws://", "http://"));
    let args = ["publish", "room:1", "--data", "1", "--user", "ann", "--api", &hub.api(), "--url", &url];
    let done = finish(hub.command(&args), "");
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""));
}

#[test]
fn an_api_that_hangs_up_without_an_answer_is_told_so() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let api = format!("http://{}", listener.local_addr().expect("it has one"));
    let server = std::thread::spawn(move || drop(listener.accept()));
    let done = finish(with_key(&["ticket", "--user", "ann", "--api", &api]), "");
    server.join().expect("a client came");
    assert_eq!((done.code, done.out.as_str()), (Some(1), ""));
    assert!(done.err.starts_with(&format!("trunkline: {api}: ")), "{}", done.err);
    assert!(!done.err.contains("no answer within"), "{}", done.err);
}

#[test]
fn a_ticket_that_cannot_bring_it_back_ends_it_with_the_way_that_could() {
    let mut hub = Hub::start();
    let minted = finish(hub.command(&["ticket", "--user", "ann", "--api", &hub.api()]), "");
    let way_in = ["--url", &hub.url(), "--ticket", minted.out.trim_end()];
    let log = ["subscribe", "room:1", "--log", "warn,trunkline::command=info"];
    let subscriber = Running::start(trunkline(&[&log[..], &way_in].concat()));
    subscriber.err.line(|line| line.contains("subscribed"));
    hub.kill();
    // The new one does not know the session of the old one.
    hub.restart();
    let done = subscriber.wait();
    assert_eq!(done.code, Some(1));
    let why = done.err.lines().find(|line| line.starts_with("trunkline: no subscription is left"));
    assert!(why.is_some_and(|why| why.contains("--user")), "{}", done.err);
}

#[test]
fn where_there_was_no_connection_there_is_no_close_code() {
    let mut hub = Hub::start();
    let (url, api) = (hub.url(), hub.api());
    let wrong_key = ["--user", "ann", "--key", "wrong", "--url", &url, "--api", &api];
    let refused = run(&[&["subscribe", "room:1"][..], &wrong_key].concat(), "");
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.err.contains("no ticket: ") && refused.err.contains("not the server's"),
        "{}",
        refused.err
    );
    hub.kill();
    let nobody_there = run(&["subscribe", "room:1", "--url", &url], "");
    assert_eq!(nobody_there.code, Some(1));
    assert!(nobody_there.err.contains("could not connect: "), "{}", nobody_there.err);
    for done in [refused, nobody_there] {
        assert!(!done.err.contains("1006"), "{}", done.err);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_server_that_is_killed_is_come_back_to_and_what_was_lost_is_said() {
    let mut hub = Hub::start();
    let subscriber = hub.subscriber("bob", &["room:1"]);
    let mut publisher = Running::start(hub.command(&hub.at("ann", &["publish", "room:1"])));
    publisher.write("\"before\"\n");
    subscriber.out.line(|line| line.contains("before"));

    // A server that stands still takes the line from the network and never answers it.
    hub.server.signal("STOP");
    publisher.write("\"in doubt\"\n");
    hub.wait_until_sent();
    hub.kill();
    publisher.err.line(|line| line.starts_with("stdin:2: the connection was cut before the answer came"));
    hub.restart();
    subscriber.err.line(|line| line.starts_with("room:1: may be lost: what came after offset 1 of epoch "));
    publisher.write("\"after\"\n");
    publisher.end_stdin();

    let after = subscriber.out.line(|line| line.contains("after"));
    assert!(after.starts_with(r#"{"channel":"room:1","offset":1,"#), "a new epoch begins: {after}");
    let told = publisher.wait();
    assert_eq!(told.code, Some(1), "not all is known to be published: {}", told.err);
    assert!(told.err.contains("connected again"), "{}", told.err);
    subscriber.signal("TERM");
    let done = subscriber.wait();
    assert_eq!(done.code, Some(0));
    assert!(!done.out.contains("in doubt"), "{}", done.out);
}

/// A server, and how to come in.
pub(crate) struct Hub {
    pub(crate) server: Running,
    port: u16,
}

impl Hub {
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    pub(crate) fn start_with(configuration: &str) -> Self {
        let folder = Folder::with("trunkline.toml", configuration);
        let mut command = with_key(&["serve", "--listen", "127.0.0.1:0"]);
        command.current_dir(folder.path());
        let (server, port) = Running::server(command);
        Self { server, port }
    }

    pub(crate) fn kill(&mut self) {
        self.server.kill();
    }

    pub(crate) fn restart(&mut self) {
        let address = format!("127.0.0.1:{}", self.port);
        self.server = Running::server(with_key(&["serve", "--listen", &address])).0;
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/connect", self.port)
    }

    fn api(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The arguments with those that say how to come in as `user`.
    fn at(&self, user: &str, args: &[&str]) -> Vec<String> {
        let way_in = ["--url", &self.url(), "--api", &self.api(), "--user", user];
        args.iter().chain(&way_in).map(|arg| (*arg).to_owned()).collect()
    }

    pub(crate) fn command(&self, args: &[impl AsRef<str>]) -> Command {
        with_key(&args.iter().map(AsRef::as_ref).collect::<Vec<_>>())
    }

    fn publish(&self, user: &str, args: &[&str], stdin: &str) -> Finished {
        finish(self.command(&self.at(user, &[&["publish"], args].concat())), stdin)
    }

    /// `trunkline subscribe`, once it is subscribed to all of its channels.
    fn subscriber(&self, user: &str, args: &[&str]) -> Running {
        let args = self.at(user, &[&["subscribe", "--log", "warn,trunkline::command=info"], args].concat());
        let subscriber = Running::start(self.command(&args));
        let channels = args.iter().filter(|arg| arg.starts_with("room:")).count();
        subscriber.err.lines(channels, |line| line.contains("subscribed"));
        subscriber
    }

    /// Waits until the kernel holds bytes for the server that it has not read: those of a client that were sent to it
    /// while it stood still.
    #[cfg(target_os = "linux")]
    fn wait_until_sent(&self) {
        let deadline = Instant::now() + PATIENCE;
        let port = format!(":{:04X}", self.port);
        let waits = |line: &str| {
            // proc(5): number, local address, remote address, state, tx_queue:rx_queue, all hexadecimal.
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields[1].ends_with(&port) && fields[3] == "01" && !fields[4].ends_with(":00000000")
        };
        while !std::fs::read_to_string("/proc/net/tcp").expect("there is /proc").lines().skip(1).any(waits) {
            assert!(Instant::now() < deadline, "nothing was sent to the server");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn with_key(args: &[&str]) -> Command {
    let mut command = trunkline(args);
    command.env("TRUNKLINE_API_KEY", KEY);
    command
}

fn is_publication(line: &str) -> bool {
    json(line).get("data").is_some()
}

fn json(line: &str) -> serde_json::Value {
    serde_json::from_str(line).expect("a line of JSON")
}
