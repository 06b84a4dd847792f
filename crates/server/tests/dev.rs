//! Dev mode: the demo page and its tickets, for this machine alone.

mod support;

use serde_json::json;
use support::raw::{Answer, ask};
use support::{Running, start, start_with};

async fn get(server: &Running, path: &str, host: &str) -> Answer {
    ask(server.address, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await
}

async fn ticket(server: &Running, host: &str, more: &str, body: &str) -> Answer {
    let head = format!(
        "POST /dev/ticket HTTP/1.1\r\nHost: {host}\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    ask(server.address, &(head + body)).await
}

const JSON: &str = "Content-Type: application/json\r\n";
const ANN: &str = r#"{"user":"ann"}"#;

#[tokio::test]
async fn the_page_and_all_it_names_are_served_with_their_types_and_a_strict_policy() {
    let server = start().await;
    let page = get(&server, "/", "localhost").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let mut paths = vec!["/".to_owned()];
    for part in page
        .body
        .split(['"'])
        .filter(|part| part.ends_with(".js") || part.ends_with(".css") || part.ends_with(".svg"))
    {
        paths.push(format!("/{part}"));
    }
    assert!(paths.len() > 3, "{paths:?}");
    for path in paths {
        let answer = get(&server, &path, "127.0.0.1:8101").await;
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'self'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
}

#[tokio::test]
async fn every_module_that_a_script_imports_is_served() {
    let server = start().await;
    let mut todo = vec!["app.js".to_owned()];
    let mut done = Vec::new();
    while let Some(name) = todo.pop() {
        let script = get(&server, &format!("/{name}"), "localhost").await;
        assert_eq!(
            (script.status, script.header("content-type")),
            (200, Some("text/javascript; charset=utf-8")),
            "{name}"
        );
        let quoted = script.body.split(['\'', '"']).map(|part| part.trim_start_matches("./"));
        for part in quoted.filter(|part| part.ends_with(".js")).map(str::to_owned) {
            if part != name && !done.contains(&part) && !todo.contains(&part) {
                todo.push(part);
            }
        }
        done.push(name);
    }
    assert!(done.len() > 2, "{done:?}");
}

#[tokio::test]
async fn a_page_of_this_origin_gets_a_ticket_that_works() {
    let server = start().await;
    let more = format!("{JSON}Origin: http://localhost:8101\r\nSec-Fetch-Site: same-origin\r\n");
    let answer = ticket(&server, "localhost:8101", &more, ANN).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let query = format!("?ticket={}", answer.json()["ticket"].as_str().expect("a ticket"));
    let peer = support::peer::Peer::with_query(&server, &query).await;
    assert_eq!(peer.connected["user"], "ann");
}

#[tokio::test]
async fn a_name_of_the_web_that_resolves_here_gets_nothing() {
    let server = start().await;
    // No name at all is no request of HTTP/1.1.
    let foreign = ["evil.example", "evil.example:8101", "127.0.0.1.evil.example", "localhost.evil.example"];
    for (host, status) in foreign.map(|host| (host, 403)).into_iter().chain([("", 400)]) {
        assert_eq!(get(&server, "/", host).await.status, status, "{host}");
        assert_eq!(get(&server, "/app.js", host).await.status, status, "{host}");
        assert_eq!(ticket(&server, host, JSON, ANN).await.status, status, "{host}");
    }
}

#[tokio::test]
async fn a_page_of_another_origin_and_what_is_not_json_get_no_ticket() {
    let server = start().await;
    let two = format!("{JSON}Origin: http://localhost\r\nOrigin: http://evil.example\r\n");
    assert_eq!(ticket(&server, "localhost", &two, ANN).await.status, 403, "two origins");
    for (more, status) in [
        (format!("{JSON}Origin: https://evil.example\r\n"), 403),
        (format!("{JSON}Origin: null\r\n"), 403),
        (format!("{JSON}Origin: http://localhost:8102\r\n"), 403),
        (format!("{JSON}Sec-Fetch-Site: cross-site\r\n"), 403),
        (format!("{JSON}Sec-Fetch-Site: same-site\r\n"), 403),
        ("Content-Type: text/plain\r\n".to_owned(), 415),
        ("Content-Type: application/x-www-form-urlencoded\r\n".to_owned(), 415),
        (String::new(), 415),
    ] {
        assert_eq!(ticket(&server, "localhost:8101", &more, ANN).await.status, status, "{more}");
    }
    for body in ["", "{}", r#"{"user":""}"#, r#"{"user":"ann","channels":{}}"#] {
        assert_eq!(ticket(&server, "localhost:8101", JSON, body).await.status, 400, "{body}");
    }
}

#[tokio::test]
async fn without_dev_mode_there_is_neither_page_nor_ticket() {
    let server = start_with("dev = false").await;
    assert_eq!(get(&server, "/", "localhost").await.status, 405, "OPTIONS is all that is served there");
    assert_eq!(get(&server, "/app.js", "localhost").await.status, 404);
    assert_eq!(ticket(&server, "localhost", JSON, ANN).await.status, 404);
    let (status, _) = server.post("tickets", &json!({"user": "ann"})).await;
    assert_eq!(status, 200, "the API is not dev mode's");
}
