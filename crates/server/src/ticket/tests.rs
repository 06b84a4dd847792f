use std::time::Instant;

use super::*;

const TTL: Duration = Duration::from_secs(10);
const MAX_TTL: Duration = Duration::from_secs(60);

fn now() -> Now {
    Now { instant: Instant::now(), unix_ms: 1_000_000 }
}

fn request(json: &str) -> TicketRequest {
    serde_json::from_str(json).expect("a ticket request")
}

fn record(json: &str) -> TicketRecord {
    request(json).record(now(), TTL, MAX_TTL).expect("minted")
}

fn from(ip: &str) -> ClientAddress {
    ClientAddress::socket(ip.parse().expect("an address"))
}

#[test]
fn the_policy_defaults_to_exact_where_an_address_was_given_and_to_off_where_none_was() {
    let policy = |json| record(json).binding.policy;
    assert_eq!(policy(r#"{"user": "ann", "ip": "192.0.2.1"}"#), AddressPolicy::Exact);
    assert_eq!(policy(r#"{"user": "ann"}"#), AddressPolicy::Off);
    assert_eq!(policy(r#"{"user": "ann", "ip": "192.0.2.1", "policy": "off"}"#), AddressPolicy::Off);
}

#[test]
fn a_policy_that_compares_addresses_needs_one() {
    for policy in ["exact", "prefix", "adopt"] {
        let request = request(&format!(r#"{{"user": "ann", "policy": "{policy}"}}"#));
        assert!(matches!(request.record(now(), TTL, MAX_TTL), Err(MintRefused::NoAddress(_))), "{policy}");
    }
}

#[test]
fn the_ttl_is_ten_seconds_by_default_and_sixty_at_most() {
    let expires = |json: &str| request(json).record(now(), TTL, MAX_TTL).map(|record| record.expires_at);
    assert_eq!(expires(r#"{"user": "ann"}"#), Ok(1_010_000));
    assert_eq!(expires(r#"{"user": "ann", "ttl_s": 60}"#), Ok(1_060_000));
    for got in [0, 61, u32::MAX] {
        let refused = expires(&format!(r#"{{"user": "ann", "ttl_s": {got}}}"#));
        assert_eq!(refused, Err(MintRefused::BadTtl { got, max: 60 }));
    }
}

#[test]
fn info_and_meta_have_limits() {
    let with = |field: &str, value: &str| {
        request(&format!(r#"{{"user": "ann", "{field}": {value}}}"#)).record(now(), TTL, MAX_TTL).map(drop)
    };
    let text = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
    assert_eq!(with("info", &text(TicketRequest::MAX_INFO)), Ok(()));
    assert_eq!(with("meta", &text(TicketRequest::MAX_META)), Ok(()));
    let (limit, got) = (TicketRequest::MAX_INFO, TicketRequest::MAX_INFO + 1);
    assert_eq!(with("info", &text(got)), Err(MintRefused::TooLarge { what: "info", limit, got }));
    let deep = format!("{}{}", "[".repeat(63), "]".repeat(63));
    assert!(matches!(with("info", &deep), Err(MintRefused::BadInfo(BadJson::TooDeep { .. }))));
}

#[test]
fn which_address_redeems_which_ticket() {
    let v4 = "192.0.2.17";
    let v6 = "2001:db8:1:2::17";
    // ticket's ip, policy, client => good?
    let table = [
        (v4, "exact", v4, true),
        (v4, "exact", "192.0.2.18", false),
        (v4, "exact", "::ffff:192.0.2.17", true),
        ("::ffff:192.0.2.17", "exact", v4, true),
        (v4, "exact", v6, false),
        (v4, "prefix", "192.0.2.200", true),
        (v4, "prefix", "192.0.3.17", false),
        (v4, "prefix", "::ffff:192.0.2.9", true),
        (v6, "exact", "2001:db8:1:2::18", false),
        (v6, "prefix", "2001:db8:1:ffff::1", true),
        (v6, "prefix", "2001:db8:2::17", false),
        // The bits of one family must not be taken for the other's.
        ("0.0.0.1", "prefix", "::1", false),
        (v4, "off", "203.0.113.5", true),
        (v4, "adopt", "203.0.113.5", true),
    ];
    for (ip, policy, client, good) in table {
        let record = record(&format!(r#"{{"user": "ann", "ip": "{ip}", "policy": "{policy}"}}"#));
        let expected = if good { Ok(()) } else { Err(TicketRefused::WrongAddress) };
        assert_eq!(record.redeem(now(), &from(client)).map(drop), expected, "{policy} {ip} from {client}");
    }
}

#[test]
fn a_unix_socket_satisfies_only_a_ticket_that_asks_for_no_address() {
    let redeem = |json| record(json).redeem(now(), &ClientAddress::Local).map(drop);
    assert_eq!(redeem(r#"{"user": "ann", "ip": "192.0.2.1"}"#), Err(TicketRefused::WrongAddress));
    assert_eq!(redeem(r#"{"user": "ann"}"#), Ok(()));
}

#[test]
fn adopting_makes_the_tickets_address_the_clients() {
    let seen = from("203.0.113.5");
    let adopted = record(r#"{"user": "ann", "ip": "192.0.2.1", "policy": "adopt"}"#).binding.address(seen);
    assert_eq!(adopted, ClientAddress::Stated(IpAddr::from([192, 0, 2, 1])));
    assert_eq!(record(r#"{"user": "ann", "ip": "192.0.2.1"}"#).binding.address(seen), seen);
}

#[test]
fn only_a_ticket_whose_address_was_compared_counts_as_bound() {
    let bound = |policy: &str| {
        let json = format!(r#"{{"user": "ann", "ip": "192.0.2.1", "policy": "{policy}"}}"#);
        record(&json).redeem(now(), &from("192.0.2.1")).expect("redeemed").bound
    };
    assert_eq!(["exact", "prefix", "off", "adopt"].map(bound), [true, true, false, false]);
}

#[test]
fn a_ticket_expires_at_its_moment_and_its_session_when_it_says() {
    let record = record(r#"{"user": "ann", "ttl_s": 5, "session_ttl_s": 600}"#);
    let redeem = |ms| record.clone().redeem(now().later(Duration::from_millis(ms)), &ClientAddress::Local);
    assert_eq!(redeem(4_999).map(|grant| grant.expires), Ok(Some(1_000_000 + 4_999 + 600_000)));
    assert_eq!(redeem(5_000), Err(TicketRefused::Expired));
}

#[test]
fn a_record_survives_the_way_to_a_store_and_back() {
    let json = r#"{"user":"ann","info":{"a":1},"meta":[2],"channels":{"room:*":["subscribe"]},"ip":"192.0.2.1","policy":"prefix","session_ttl_s":60}"#;
    let record = record(json);
    let text = serde_json::to_string(&record).expect("JSON");
    let again: TicketRecord = serde_json::from_str(&text).expect("a record");
    let grant = |record: TicketRecord| record.redeem(now(), &from("192.0.2.9"));
    assert_eq!(grant(again), grant(record));
}

#[test]
fn what_is_not_shaped_like_an_id_is_refused_before_any_store_is_asked() {
    let good = TicketId::from_random([0xff; 16]);
    assert_eq!(good.expose().len(), TicketId::MIN_CHARS);
    assert_eq!(TicketId::parse(good.expose()), Ok(good.clone()));
    let long = "x".repeat(129);
    for bad in [
        "",
        "short",
        &good.expose()[1..],
        "AAAAAAAAAAAAAAAAAAAAA=",
        "AAAAAAAAAAAAAAAAAAAA/A",
        "ÄAAAAAAAAAAAAAAAAAAAAA",
        &long,
    ] {
        assert_eq!(TicketId::parse(bad), Err(TicketRefused::Malformed), "{bad:?}");
    }
}

#[test]
fn neither_debug_nor_the_refusal_shows_the_id() {
    let id = TicketId::from_random(*b"sixteen bytes!!!");
    assert!(!format!("{id:?}").contains(id.expose()));
    let messages = [TicketRefused::Unknown, TicketRefused::WrongAddress].map(ErrorBody::from);
    assert_eq!(messages[0], messages[1], "a guesser must not learn that an id exists");
}
