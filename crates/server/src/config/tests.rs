//! Every layer, every kind of mistake, and the reference in docs/operating.md.

use std::collections::BTreeMap;
use std::time::Duration;

use super::listener::LISTENER_SETTINGS;
use super::namespace::NAMESPACE_SETTINGS;
use super::service::SERVICE_SETTINGS;
use super::{Api, ApiListen, Config, Doors, Origins, Override, ProxyProtocol, SETTINGS, Speaks, Tls};
use crate::policy::{SlowReader, Who};

fn problems(toml: &str) -> Vec<String> {
    match Config::parse("trunkline.toml", toml) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn nothing_said_is_a_server_on_loopback_in_dev_mode() {
    let config = Config::default();
    assert!(config.check().is_empty());
    assert_eq!(config.listen.address, ["127.0.0.1:8101".parse().expect("an address")]);
    assert!(config.is_dev() && config.is_local());
    assert_eq!(config.namespaces.0.keys().collect::<Vec<_>>(), ["room"]);
}

#[test]
fn every_setting_is_read_from_its_place_in_a_file() {
    let config = Config::parse(
        "trunkline.toml",
        r#"
        dev = false
        origins = ["https://app.example"]

        [listen]
        address = ["127.0.0.1:1", "[::1]:2", "localhost:3"]
        unix = "/run/t.sock"
        tls = "offloaded"
        trusted = ["10.0.0.0/8", "192.0.2.1"]
        [listen.api]
        address = "127.0.0.1:4"

        [api]
        key = "secret"
        [session]
        key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff"
        linger_s = 90
        [limits]
        message_bytes = "2 MiB"
        publication_bytes = 1000
        commands_per_s = 7
        [heartbeat]
        interval_s = 12.5
        [presence]
        grace_s = 0
        [tickets]
        ttl_s = 20
        [stop]
        timeout_s = 3
        [node]
        name = "left"
        [namespaces.news]
        subscribe = "anyone"
        publish = "nobody"
        history_size = 5
        slow_reader = "newest-only"
        publish_per_s = 3
        [namespaces.room]
        "#,
    )
    .expect("no problems");
    assert_eq!(config.dev, Some(false));
    assert_eq!(config.origins, Origins::Listed(vec!["https://app.example".into()]));
    let ports: Vec<u16> = config.listen.address.iter().map(std::net::SocketAddr::port).collect();
    assert_eq!(ports, [1, 2, 3]);
    assert_eq!(config.listen.tls, Some(Tls::Offloaded));
    assert_eq!(config.listen.trusted.networks.len(), 2);
    let api = ApiListen { address: vec!["127.0.0.1:4".parse().expect("an address")], ..ApiListen::default() };
    assert_eq!(config.listen.api, Api::Apart(api));
    assert_eq!(config.api_key.as_ref().map(|key| key.reveal()), Some("secret"));
    assert_eq!(config.session.key.as_ref().map(|key| (key.0[1], key.0[31])), Some((1, 0xFF)));
    assert_eq!(config.session.linger, Duration::from_secs(90));
    assert_eq!(
        (config.limits.message, config.limits.publication, config.limits.command_rate),
        (2 << 20, 1000, 7)
    );
    assert_eq!(config.heartbeat.interval, Duration::from_millis(12_500));
    assert_eq!(config.presence.grace, Duration::ZERO);
    assert_eq!(config.tickets.ttl, Duration::from_secs(20));
    assert_eq!(config.stop.timeout, Duration::from_secs(3));
    assert_eq!(config.node_name.as_deref(), Some("left"));
    let news = &config.namespaces.0["news"];
    assert_eq!((news.subscribe, news.publish, news.history.size), (Who::Anyone, Who::Nobody, 5));
    assert_eq!(news.slow_reader, Some(SlowReader::NewestOnly));
    assert_eq!(news.publish_rate.map(|rate| (rate.per_second, rate.burst)), Some((3, 3)));
    assert_eq!(config.namespaces.0.len(), 2);
}

#[test]
fn all_problems_of_a_file_are_told_at_once_each_with_its_line() {
    let found = problems(
        "lisen = 1\n\
         [listen]\n\
         adress = \"127.0.0.1:1\"\n\
         tls = \"yes\"\n\
         [limits]\n\
         message_bytes = true\n\
         connections = 0\n\
         commands_per_s = \"many\"\n\
         [namespaces.room]\n\
         subscribe = \"everyone\"\n\
         histroy_size = 1\n\
         [namespaces.\"a:b\"]\n\
         [nonsense]\n\
         key = 1\n",
    );
    let expected = [
        "trunkline.toml:1: lisen: no such setting; did you mean listen?",
        "trunkline.toml:3: listen.adress: no such setting; did you mean listen.address?",
        "trunkline.toml:4: listen.tls: expected \"on\" or \"off\" or \"offloaded\"",
        "trunkline.toml:6: limits.message_bytes: expected a number of bytes from 1024 to 1073741824, such as \"64 KiB\", found true",
        "trunkline.toml:7: limits.connections: expected a whole number from 1 to 100000000, found 0",
        "trunkline.toml:8: limits.commands_per_s: expected a whole number from 1 to 100000000",
        "trunkline.toml:10: namespaces.room.subscribe: expected \"anyone\" or \"ticket\" or \"nobody\"",
        "trunkline.toml:11: namespaces.room.histroy_size: no such setting; did you mean history_size?",
        "trunkline.toml:12: namespaces.a:b: a namespace's name has 1 to 64 bytes, no colon and no control character",
        "trunkline.toml:13: nonsense: no such setting",
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_is_not_toml_is_told_with_its_line() {
    let found = problems("dev = true\n[listen\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("trunkline.toml:2: not TOML: "), "{found:?}");
}

#[test]
fn a_section_where_a_value_belongs_and_a_value_where_a_section_belongs_are_told() {
    assert_eq!(problems("limits = 3"), ["trunkline.toml:1: limits: expected a table, [limits]"]);
    assert_eq!(problems("namespaces = 3"), ["trunkline.toml:1: namespaces: expected a table, [namespaces]"]);
    assert_eq!(problems("[dev]\nx = 1"), ["trunkline.toml:1: dev: expected true or false, found a table"]);
    assert_eq!(problems("listen.api = 3"), ["trunkline.toml:1: listen.api: expected true or false, found 3"]);
}

#[test]
fn off_loopback_nothing_starts_in_plaintext_or_without_secrets() {
    let found = problems("dev = true\n[listen]\naddress = \"0.0.0.0:80\"");
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found[0].starts_with(
        "trunkline.toml:3: listen.address: 0.0.0.0:80 is not loopback, and off loopback plaintext is refused"
    ));
    assert!(found[1].starts_with("api.key: required"));
    assert!(found[2].starts_with("session.key: required"));
    assert!(found[3].starts_with("trunkline.toml:1: dev: "));

    let short = "[listen]\naddress = \"0.0.0.0:80\"\ntls = \"offloaded\"\ntrusted = \"10.0.0.0/8\"\n[api]\nkey = \"short\"\n[session]\nkey = \"{KEY}\"";
    let short = short.replace("{KEY}", &"ab".repeat(32));
    assert_eq!(
        problems(&short),
        ["trunkline.toml:6: api.key: at least 16 characters are required when a listener is not loopback"]
    );
    assert_eq!(problems(&short.replace("short", "long enough to be safe").replace(' ', "")), [""; 0]);

    let api = problems("[listen.api]\naddress = \"192.0.2.1:81\"");
    assert!(
        api[0].starts_with("trunkline.toml:2: listen.api.address: 192.0.2.1:81 is not loopback"),
        "{api:#?}"
    );
}

#[test]
fn a_mapped_loopback_address_is_loopback() {
    assert_eq!(problems("listen.address = \"[::ffff:127.0.0.1]:80\""), [""; 0]);
}

#[test]
fn contradictions_are_told() {
    for (toml, begins) in [
        ("[listen]\naddress = []", "trunkline.toml:2: listen: there is neither"),
        (
            "[listen]\naddress = [\"127.0.0.1:1\", \"127.0.0.1:1\"]",
            "trunkline.toml:2: listen: 127.0.0.1:1 is named twice",
        ),
        (
            "[listen]\nunix = \"/a\"\n[listen.api]\nunix = \"/a\"",
            "trunkline.toml:4: listen.api: /a is named twice",
        ),
        ("[listen.api]\ntls = \"off\"", "trunkline.toml:2: listen.api: there is neither"),
        (
            "[limits]\npublication_bytes = \"2 MiB\"\noutbox_bytes = \"4 MiB\"\nrequest_bytes = \"4 MiB\"",
            "trunkline.toml:2: limits.publication_bytes: larger than limits.message_bytes",
        ),
        (
            "[limits]\noutbox_total = \"512 KiB\"",
            "trunkline.toml:2: limits.outbox_total: less than limits.outbox_bytes",
        ),
        ("[limits]\noutbox_bytes = \"8 KiB\"", "limits.publication_bytes: larger than limits.outbox_bytes"),
        ("[limits]\nrequest_bytes = \"8 KiB\"", "limits.publication_bytes: larger than limits.request_bytes"),
        ("[limits]\ncommands_per_s = 1000", "limits.commands_burst: less than"),
        ("origins = []", "trunkline.toml:1: origins: an empty list"),
        ("[namespaces]", "namespaces: there is none"),
        (
            "[namespaces.a]\nhistory_size = 0\nslow_reader = \"catch-up\"",
            "trunkline.toml:1: namespaces.a.slow_reader: catch-up needs a history",
        ),
        (
            "[namespaces.a]\npublish_per_s = 5\npublish_burst = 2",
            "trunkline.toml:1: namespaces.a.publish_burst: less than",
        ),
    ] {
        let found = problems(toml);
        assert_eq!(found.len(), 1, "{toml}: {found:#?}");
        assert!(found[0].starts_with(begins), "{toml}: {found:#?}");
    }
}

#[test]
fn listeners_with_a_name_are_read_and_judged_as_the_first_one_is() {
    let config = Config::parse(
        "trunkline.toml",
        r#"
        api.key = "long-enough-to-be-safe"
        session.key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff"
        [listen]
        trusted = ["10.0.0.0/8", "unix", "::ffff:192.0.2.0/120"]
        doors = "websocket"
        [listener.behind-haproxy]
        address = ["127.0.0.1:1", "[::1]:2"]
        unix = "/run/t2.sock"
        proxy_protocol = "required"
        doors = ["websocket"]
        [listener.plain]
        address = "127.0.0.1:3"
        "#,
    )
    .expect("no problems");
    let websocket = Doors { websocket: true, ..Doors::NONE };
    assert_eq!((config.listen.doors, config.listen.trusted.unix), (Some(websocket), true));
    assert!(config.listen.trusted.contains("192.0.2.7".parse().expect("an address")), "mapped is IPv4");
    let behind = &config.listeners["behind-haproxy"];
    assert_eq!((behind.address.len(), behind.unix.is_some(), behind.doors), (2, true, Some(websocket)));
    assert_eq!(behind.proxy_protocol, ProxyProtocol::Required);
    assert_eq!(config.listeners["plain"].speaks, Speaks::Http);
    assert!(!config.is_local(), "who is behind a proxy need not be on this machine");
}

#[test]
fn what_is_wrong_with_a_listener_is_told_with_its_line() {
    for (toml, begins) in [
        ("listener = 3", "trunkline.toml:1: listener: expected a table, [listener]"),
        ("listener.a = 3", "trunkline.toml:1: listener.a: expected a table, [listener.a]"),
        (
            "[listener.\"a b\"]\naddress = \"127.0.0.1:1\"",
            "trunkline.toml:1: listener.a b: a listener's name has",
        ),
        ("[listener.a]", "trunkline.toml:1: listener.a: there is neither"),
        (
            "[listener.a]\naddress = \"127.0.0.1:8101\"",
            "trunkline.toml:2: listener.a: 127.0.0.1:8101 is named twice",
        ),
        (
            "[listener.a]\nunix = \"/a\"\n[listener.b]\nunix = \"/a\"",
            "trunkline.toml:4: listener.b: /a is named twice",
        ),
        (
            "[listener.a]\naddress = \"127.0.0.1:1\"\nadress = 1",
            "trunkline.toml:3: listener.a.adress: no such setting; did you mean address?",
        ),
        (
            "[listener.a]\naddress = \"127.0.0.1:1\"\nspeaks = \"stream:\"",
            "trunkline.toml:3: listener.a.speaks: expected \"http\" or \"lines\" or \"stream:<service>\"",
        ),
        (
            "[listener.a]\naddress = \"127.0.0.1:1\"\ndoors = [\"trunk\"]",
            "trunkline.toml:3: listener.a.doors: expected a list of",
        ),
        ("[listen]\ndoors = []", "trunkline.toml:2: listen.doors: an empty list"),
        ("listen.trusted = \"10.0.0.0/33\"", "trunkline.toml:1: listen.trusted: expected a network such as"),
    ] {
        let found = problems(toml);
        assert_eq!(found.len(), 1, "{toml}: {found:#?}");
        assert!(found[0].starts_with(begins), "{toml}: {found:#?}");
    }
}

#[test]
fn what_a_proxy_says_is_only_taken_from_listed_ones() {
    let secrets =
        format!("[api]\nkey = \"long-enough-to-be-safe\"\n[session]\nkey = \"{}\"\n", "ab".repeat(32));
    for (listen, begins) in [
        (
            "proxy_protocol = \"required\"",
            Some("trunkline.toml:6: listen.proxy_protocol: \"required\" needs listen.trusted"),
        ),
        ("proxy_protocol = \"required\"\ntrusted = \"127.0.0.1\"", None),
        (
            "unix = \"/a\"\nproxy_protocol = \"required\"\ntrusted = \"127.0.0.1\"",
            Some("trunkline.toml:7: listen.proxy_protocol: \"required\" on a unix socket needs"),
        ),
        (
            "address = \"0.0.0.0:80\"\ntls = \"offloaded\"",
            Some("trunkline.toml:7: listen.tls: \"offloaded\" needs listen.trusted"),
        ),
        ("address = \"0.0.0.0:80\"\ntls = \"offloaded\"\ntrusted = \"10.0.0.1\"", None),
        (
            "[listen.api]\naddress = \"0.0.0.0:81\"\ntls = \"offloaded\"",
            Some("trunkline.toml:8: listen.api.tls: \"offloaded\" needs listen.trusted"),
        ),
    ] {
        let found = problems(&format!("{secrets}[listen]\n{listen}"));
        assert_eq!(found.len(), usize::from(begins.is_some()), "{listen}: {found:#?}");
        assert!(begins.is_none_or(|begins| found[0].starts_with(begins)), "{listen}: {found:#?}");
    }
    let found = problems("[listen]\nproxy_protocol = \"required\"\ntrusted = \"127.0.0.1\"");
    assert_eq!(found.len(), 2, "secrets are required where clients are elsewhere: {found:#?}");
}

#[test]
fn the_environment_wins_over_the_file_and_overrides_win_over_both() {
    let path = std::env::temp_dir().join(format!("trunkline-config-{}.toml", std::process::id()));
    std::fs::write(
        &path,
        "[listen]\naddress = \"127.0.0.1:1\"\n[limits]\nconnections = 5\nsubscriptions = 6",
    )
    .expect("a temporary file");
    let variables = env(&[
        ("TRUNKLINE_LIMITS_CONNECTIONS", "7"),
        ("TRUNKLINE_LISTEN_ADDRESS", "127.0.0.1:2, 127.0.0.1:3"),
        ("PATH", "/bin"),
    ]);
    let flag =
        Override { setting: "listen.address".into(), value: "127.0.0.1:4".into(), from: "--listen".into() };
    let config = Config::load(Some(&path), variables, [flag]).expect("no problems");
    std::fs::remove_file(&path).expect("still there");
    assert_eq!(config.listen.address, ["127.0.0.1:4".parse().expect("an address")]);
    assert_eq!((config.limits.connections, config.limits.subscriptions), (7, 6));
}

#[test]
fn problems_of_every_layer_are_told_together_and_name_their_place() {
    let variables = env(&[
        ("TRUNKLINE_DEV", "perhaps"),
        ("TRUNKLINE_API_KEYS", "x"),
        ("TRUNKLINE_PORT", "tcp://10.0.0.1:80"),
    ]);
    let flag = Override {
        setting: "listen.address".into(),
        value: "chat.example:80".into(),
        from: "--listen".into(),
    };
    let missing = std::path::Path::new("/nonexistent/trunkline.toml");
    let found = Config::load(Some(missing), variables, [flag]).expect_err("problems").to_string();
    let lines: Vec<&str> = found.lines().collect();
    assert_eq!(lines.len(), 4, "{found}");
    assert!(lines[0].starts_with("/nonexistent/trunkline.toml: cannot be read"));
    assert_eq!(lines[1], "environment TRUNKLINE_DEV: dev: expected true or false");
    assert_eq!(lines[2], "environment TRUNKLINE_API_KEYS: no such setting; did you mean TRUNKLINE_API_KEY?");
    assert_eq!(
        lines[3],
        "--listen: listen.address: expected an IP address and port such as 127.0.0.1:8101, not \"chat.example:80\""
    );
}

#[test]
fn secrets_do_not_show_themselves() {
    let toml = format!("[api]\nkey = \"hush-hush\"\n[session]\nkey = \"{}\"", "5a".repeat(32));
    let shown = format!("{:?}", Config::parse("t", &toml).expect("no problems"));
    assert!(!shown.contains("hush") && !shown.contains("90, 90"), "{shown}");
}

#[test]
fn the_reference_in_operating_md_has_every_setting_with_its_default_and_meaning() {
    let reference = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operating.md"));
    let rows: BTreeMap<&str, (&str, &str)> = reference
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.strip_suffix(" |")?.splitn(3, " | ");
            Some((cells.next()?.strip_suffix('`')?, (cells.next()?, cells.next()?)))
        })
        .collect();
    let global = SETTINGS.iter().map(|setting| (setting.path.to_owned(), setting.default, setting.meaning));
    let of_namespace = |path: &str| format!("namespaces.<name>.{path}");
    let namespaces = NAMESPACE_SETTINGS.iter().map(|s| (of_namespace(s.path), s.default, s.meaning));
    let of_listener = |path: &str| format!("listener.<name>.{path}");
    let listeners = LISTENER_SETTINGS.iter().map(|s| (of_listener(s.path), s.default, s.meaning));
    let services =
        SERVICE_SETTINGS.iter().map(|s| (format!("service.<name>.{}", s.path), s.default, s.meaning));
    let all: Vec<_> = global.chain(namespaces).chain(listeners).chain(services).collect();
    for (path, default, meaning) in &all {
        let row =
            rows.get(path.as_str()).unwrap_or_else(|| panic!("docs/operating.md has no row for {path}"));
        assert_eq!(*row, (*default, *meaning), "{path}");
    }
    let documented = rows.keys().filter(|name| !name.starts_with("trunkline_")).count();
    assert_eq!(documented, all.len(), "docs/operating.md has a row for a setting that does not exist");
}

#[test]
fn a_default_that_the_reference_states_as_a_value_is_the_default() {
    for setting in SETTINGS {
        let parses = setting.default.parse::<toml_edit::Value>().is_ok();
        if parses {
            let section = setting
                .path
                .rsplit_once('.')
                .map(|(section, _)| format!("[{section}]\n"))
                .unwrap_or_default();
            let key = setting.path.rsplit('.').next().unwrap_or(setting.path);
            let toml = format!("{section}{key} = {}", setting.default);
            if toml.starts_with("[listen.api]") {
                continue;
            }
            let config = Config::parse("t", &toml).unwrap_or_else(|problems| panic!("{toml}: {problems}"));
            let without_sources =
                |config: &Config| format!("{:?}", Config { sources: BTreeMap::new(), ..config.clone() });
            assert_eq!(without_sources(&config), without_sources(&Config::default()), "{toml}");
        }
    }
}
