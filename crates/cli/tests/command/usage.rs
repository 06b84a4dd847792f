//! What makes no sense ends with 2 before anything is tried; what is wrong with a configuration is told all at once.

use crate::support::{Folder, finish, run, trunkline};

/// What is said where a URL has no scheme, or one that is none of ours.
const BEGINNINGS: &str = "the URL begins with ws://, wss://, http:// or https://";

/// Nobody is there, and nobody is asked.
const ECHO: &str = "ws://127.0.0.1:1/";

#[test]
fn help_is_a_command_too() {
    let help = run(&["help"], "");
    assert_eq!((help.code, help.err.as_str()), (Some(0), ""));
    assert_eq!(help.out, run(&["--help"], "").out);
    let of_publish = run(&["help", "publish"], "");
    assert_eq!((of_publish.code, of_publish.out), (Some(0), run(&["publish", "--help"], "").out));
}

#[test]
fn usage_lines_name_the_user_and_not_the_key_whatever_the_environment_has() {
    for (name, args) in [("publish", &[][..]), ("subscribe", &["--presence"]), ("ticket", &["--ttl", "5"])] {
        let mut command = trunkline(&[&[name], args].concat());
        command.env("TRUNKLINE_API_KEY", "k");
        let done = finish(command, "");
        let usage = done.err.lines().find(|line| line.starts_with("Usage: ")).unwrap_or_default();
        assert!(usage.contains("--user <USER>") && !usage.contains("--key"), "{}", done.err);
    }
}

#[test]
fn usage_errors_end_with_2_and_say_why_on_stderr() {
    let table: &[(&[&str], &str)] = &[
        (&[], "Usage"),
        (&["dance"], "dance"),
        (&["connect"], "<URL>"),
        (&["connect", "ftp://127.0.0.1/"], "ws://"),
        (&["connect", "127.0.0.1:9001"], BEGINNINGS),
        (&["connect", "localhost:9001"], BEGINNINGS),
        (&["connect", "nonsense"], BEGINNINGS),
        (&["connect", "wss://127.0.0.1:1/", "--ca", "nowhere.pem"], "--ca: "),
        (&["connect", "wss://127.0.0.1:1/", "--cert", "nowhere.pem"], "--key"),
        (
            &["connect", "wss://127.0.0.1:1/", "--cert", "nowhere.pem", "--key", "nowhere.pem"],
            "--cert, --key: ",
        ),
        (&["connect", "ws://127.0.0.1:1/", "--proxy", "ftp://127.0.0.1"], "--proxy: "),
        (&["connect", "ws://127.0.0.1:1/", "--proxy", "http://127.0.0.1:1", "--no-proxy"], "--no-proxy"),
        (&["connect", "ws://127.0.0.1:1/", "--http2=perhaps"], "--http2"),
        (&["connect", "ws://127.0.0.1:1/", "--redirects", "256"], "--redirects"),
        (&["connect", "ws://127.0.0.1:1/", "--timeout", "soon"], "--timeout"),
        (&["connect", "ws://127.0.0.1:1/#fragment"], "fragment"),
        (&["connect", "ws://127.0.0.1:1/", "--header", "no colon"], "Name: value"),
        (&["connect", "ws://127.0.0.1:1/", "--header", "Sec-WebSocket-Key: x"], "sec-websocket-key"),
        (&["connect", "ws://127.0.0.1:1/", "--subprotocol", "a b"], "token"),
        (&["connect", "ws://127.0.0.1:1/", "--wait", "soon"], "--wait"),
        (&["bench"], "<URL>"),
        (&["bench", "nonsense"], BEGINNINGS),
        (&["bench", ECHO, "--connections", "0"], "0 is not in 1..=1000000"),
        (&["bench", ECHO, "--size", "67108865"], "67108865 is not in 0..=67108864"),
        (&["bench", ECHO, "--in-flight", "65537"], "65537 is not in 1..=65536"),
        (&["bench", ECHO, "--rate", "0"], "at least 0.001 and at most 1000000 a second, got 0"),
        (&["bench", ECHO, "--duration", "0"], "more than 0 seconds, got 0"),
        (&["bench", ECHO, "--warm-up", "90000"], "at most 86400 seconds, got 90000"),
        (&["bench", ECHO, "--messages", "0"], "--messages"),
        (&["bench", ECHO, "--text", "--binary"], "--binary"),
        (&["bench", ECHO, "--ramp", "1", "--connect-rate", "1"], "--connect-rate"),
        (&["bench", ECHO, "--connections", "3000", "--size", "1048576"], "at most 2147483648 bytes"),
        (&["bench", ECHO, "--header", "Sec-WebSocket-Key: x"], "sec-websocket-key"),
        (&["bench", ECHO, "--ca", "nowhere.pem"], "--ca: "),
        (&["bench", ECHO, "--subscribers", "2"], "--channel"),
        (&["bench", ECHO, "--channel", "room:1", "--connections", "2"], "--connections"),
        (&["bench", ECHO, "--channel", "room:1", "--ticket", "t"], "--ticket"),
        (&["bench", ECHO, "--channel", "room:1", "--binary"], "--binary"),
        (&["bench", ECHO, "--channel", "room:1", "--publishers", "0"], "0 is not in 1.."),
        (&["bench", ECHO, "--channel", "room:1", "--size", "63"], "in at least 64 bytes, got 63"),
        (&["bench", ECHO, "--channel", "room:1", "--user", "u"], "TRUNKLINE_API_KEY"),
        (
            &["bench", ECHO, "--channel", "room:1", "--user", "", "--api-key", "k", "--api", "ws://h"],
            "--api: ",
        ),
        (
            &["bench", ECHO, "--channel", "room:1", "--subscribers", "2049", "--publishers", "2048"],
            "at most 4194304, since every delivery is accounted for; got 4196352",
        ),
        (&["bench", ECHO, "--channel", "room:\n"], "--channel: "),
        (&["bench", "ws://ann:hunter2@127.0.0.1:1/", "--channel", "room:1"], "the URL has a user name"),
        (&["echo", "--listen", "somewhere"], "--listen"),
        (&["echo", "--max-message", "many"], "--max-message"),
        (&["echo", "--max-message", "0"], "--max-message"),
        (&["ticket"], "--user"),
        (&["ticket", "--user", "ann"], "TRUNKLINE_API_KEY"),
        (&["ticket", "--user", "ann", "--key", "k", "--info", "{"], "--info"),
        (&["ticket", "--user", "ann", "--key", "k", "--channels", "room"], "--channels"),
        (&["ticket", "--user", "ann", "--key", "k", "--policy", "maybe"], "--policy"),
        (&["ticket", "--user", "ann", "--key", "k", "--api", "ws://127.0.0.1:1"], "http:// or https://"),
        (&["ticket", "--user", "ann", "--key", "k", "--proxy", "ftp://127.0.0.1"], "--proxy: "),
        (&["ticket", "--user", "", "--key", "k"], "--user: "),
        (&["ticket", "--user", "ann", "--key", "k", "--policy", "exact"], "--ip"),
        (&["publish", "room:1", "--data", "{"], "--data"),
        (&["publish", "", "--data", "1"], "channel"),
        (&["publish", "room:1", "--user", "ann"], "TRUNKLINE_API_KEY"),
        (&["publish", "room:1", "--user", "ann", "--ticket", "t"], "--ticket"),
        (&["publish", "room:1", "--user", "", "--key", "k"], "--user: "),
        (&["publish", "room:1", "--url", "127.0.0.1:8101"], BEGINNINGS),
        (
            &["publish", "room:1", "--url", "ws://ann:hunter2@127.0.0.1:1/", "--data", "1"],
            "--ticket, or --user",
        ),
        (&["subscribe"], "<CHANNEL>"),
        (&["subscribe"], "--user <USER>"),
        (&["subscribe", "room:1", "--url", "ftp://127.0.0.1:1/connect"], BEGINNINGS),
        (&["subscribe", "room:1", "--url", "http://ann@127.0.0.1:1/connect"], "--ticket, or --user"),
        (&["subscribe", "room:1", "--ca", "nowhere.pem"], "--ca: "),
        (&["subscribe", "room:\n"], "channel"),
        (&["serve", "--listen", "somewhere"], "--listen"),
        (&["serve", "--listen", "0.0.0.0:0"], "--listen"),
        (&["check", "--log", "a=b=c"], "log filter"),
    ];
    for (args, word) in table {
        let done = run(args, "");
        assert_eq!((done.code, done.out.as_str()), (Some(2), ""), "{args:?}\n{}", done.err);
        assert!(done.err.contains(word), "{args:?} does not say {word:?}:\n{}", done.err);
        assert!(!done.err.contains("hunter2"), "{args:?}: {}", done.err);
    }
}

#[test]
fn check_names_every_problem_with_file_and_line() {
    let text = "[listen]\naddress = \"nowhere\"\nadress = \"127.0.0.1:1\"\n\n[limits]\nmessage_bytes = -1\n";
    let folder = Folder::with("broken.toml", text);
    let mut command = trunkline(&["check", "--config", "broken.toml"]);
    command.current_dir(folder.path()).env("TRUNKLINE_DEV", "perhaps");
    let done = finish(command, "");
    assert_eq!((done.code, done.err.as_str()), (Some(1), ""));
    for place in ["broken.toml:2: ", "broken.toml:3: ", "broken.toml:6: ", "environment TRUNKLINE_DEV: "] {
        let here = done.out.lines().filter(|line| line.starts_with(place)).count();
        assert_eq!(here, 1, "{place} in\n{}", done.out);
    }
    assert_eq!(done.out.lines().count(), 4, "{}", done.out);
}

#[test]
fn check_and_serve_go_by_the_trunkline_toml_of_the_folder() {
    let folder = Folder::with("trunkline.toml", "[node]\nnmae = \"left\"\n");
    for args in [&["check"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let mut command = trunkline(args);
        command.current_dir(folder.path());
        let done = finish(command, "");
        assert_eq!(done.code, Some(1), "{args:?}");
        assert!((done.out + &done.err).contains("trunkline.toml:2: "), "{args:?}");
    }
}

#[test]
fn check_of_a_sound_configuration_ends_with_0() {
    let text = "[listen]\naddress = \"127.0.0.1:0\"\n\n[namespaces.news]\npublish = \"nobody\"\n";
    let folder = Folder::with("sound.toml", text);
    let mut command = trunkline(&["check"]);
    command.current_dir(folder.path()).env("TRUNKLINE_CONFIG", "sound.toml").env("TRUNKLINE_LOG", "off");
    let done = finish(command, "");
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (Some(0), "no problems\n", ""));
}

#[test]
fn check_of_a_file_that_is_not_there_is_a_problem() {
    let done = run(&["check", "--config", "gone.toml"], "");
    assert_eq!(done.code, Some(1));
    assert!(done.out.starts_with("gone.toml: "), "{}", done.out);
}

#[test]
fn keys_tickets_and_numbers_may_begin_with_a_dash() {
    // Nobody listens on port 1: what fails there has understood its arguments.
    let (api, hub) = ("http://127.0.0.1:1", "ws://127.0.0.1:1/connect");
    for args in [
        &["ticket", "--user", "ann", "--info", "-1", "--key", "-gK2", "--api", api][..],
        &["publish", "--url", hub, "--ticket", "-1cQ", "--data", "-1", "room:1"],
        &["subscribe", "--url", hub, "--ticket", "-_Q", "room:1"],
        &["connect", hub, "--ticket", "-gQ"],
    ] {
        let finished = run(args, "");
        assert_eq!(finished.code, Some(1), "{args:?}: {}", finished.err);
    }
}
