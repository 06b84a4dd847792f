use super::*;
use crate::facts::{Delivery, Outcome, Way};

fn report() -> Report {
    let page = "HTTP/1.1 500 <script>alert(1)</script>\u{1b}[2J".to_owned();
    let way = Way {
        name: "websocket".to_owned(),
        outcome: Outcome::ErrorPage { page },
        head_ms: Some(1.0),
        echo_ms: None,
        hello: None,
    };
    let delivery =
        Delivery { name: "sse".to_owned(), sent: 2, sent_ms: vec![0.0, 50.0], came_ms: vec![1.0, 51.0] };
    let facts = Facts {
        url: "ws://h/probe".to_owned(),
        ways: vec![way],
        deliveries: vec![delivery],
        ..Facts::default()
    };
    Report::new(facts)
}

#[test]
fn the_json_is_read_back_as_it_was() {
    let report = report();
    let back: Report = serde_json::from_str(&report.json()).expect("our own JSON");
    assert_eq!(back, report);
}

#[test]
fn the_page_has_a_chart_asks_for_nothing_and_runs_nothing_that_a_remote_wrote() {
    let page = report().html();
    assert!(page.contains("<svg") && page.contains("error_page_in_tunnel"));
    for foreign in ["<script", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.contains("&lt;script&gt;"));
}

#[test]
fn the_summary_says_verdict_cause_and_advice_and_moves_no_cursor() {
    let text = report().text();
    assert!(text.starts_with("ws://h/probe: broken"), "{text}");
    assert!(text.contains("error_page_in_tunnel") && text.contains("->"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}
