//! What a fuzzer begins with: one valid example of everything, and the mistakes that others made.

/// Frames as clients send them.
pub fn frames_of_clients() -> Vec<Vec<u8>> {
    plain_frames().iter().map(|frames| masked(frames)).chain(plain_bytes()).collect()
}

/// Frames as servers send them.
pub fn frames_of_servers() -> Vec<Vec<u8>> {
    let plain = plain_frames().into_iter().map(|frames| frames.concat());
    plain.chain(plain_bytes()).chain([masked(&[b"\x81\x05Hello".to_vec()])]).collect()
}

/// "Hello", compressed (RFC 7692 section 7.2.3.1).
const HELLO: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";

/// Each a conversation, as whole unmasked frames.
fn plain_frames() -> Vec<Vec<Vec<u8>>> {
    let frame = |first: u8, payload: &[u8]| {
        let len = u8::try_from(payload.len()).expect("a short payload");
        [&[first, len], payload].concat()
    };
    let medium = [&[0x82, 126, 1, 0][..], &[7; 256]].concat();
    let at_the_limit = [&[0x82, 126, 8, 0][..], &[7; 2048]].concat();
    let over_the_limit = [&[0x82, 126, 8, 1][..], &[7; 2049]].concat();
    vec![
        vec![frame(0x81, b"Hello")],
        vec![frame(0x81, "Ünïcödé \u{1f9f6}".as_bytes()), frame(0x82, b""), frame(0x88, b"\x03\xe8bye")],
        vec![frame(0x01, b"Hel"), frame(0x89, b"ping"), frame(0x00, b""), frame(0x80, b"lo")],
        vec![frame(0x01, b"\xf0\x9f"), frame(0x80, b"\xa7\xb6")],
        vec![frame(0x01, b"\xed\xa0"), frame(0x80, b"\x80")],
        vec![frame(0x81, b"\xc0\xaf")],
        vec![frame(0x8a, b"unasked"), frame(0x89, b""), frame(0x88, b"")],
        vec![frame(0x88, b"\x03"), frame(0x81, b"late")],
        vec![frame(0x88, b"\x03\xee")],
        vec![frame(0x88, b"\x03\xe8\xff")],
        vec![frame(0x09, b"fragmented ping")],
        vec![frame(0x80, b"nothing to continue")],
        vec![frame(0x01, b"a"), frame(0x81, b"b")],
        vec![frame(0xc1, b"RSV1")],
        vec![
            frame(0xc1, HELLO),
            frame(0x89, b""),
            frame(0x41, &HELLO[..3]),
            frame(0x00, b""),
            frame(0x80, &HELLO[3..]),
        ],
        // Twice the same, the second time as a match; then a stored block, and one that says it is the last.
        vec![frame(0xc1, HELLO), frame(0xc1, b"\xf2\x00\x11\x00\x00"), frame(0xc2, b"\x00")],
        vec![frame(0xc2, b"\x00\x05\x00\xfa\xffHello\x00"), frame(0xc2, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00")],
        // One byte, 258 of them, and so on: it becomes larger than a message may be.
        vec![frame(0xc2, &[&[0x4a, 0x1c, 0x05][..], &[0xa3; 60]].concat()), frame(0x81, b"late")],
        vec![frame(0x83, b"reserved opcode")],
        vec![medium, frame(0x89, &[1; 125])],
        vec![at_the_limit.clone(), at_the_limit],
        vec![over_the_limit],
        std::iter::once(frame(0x01, b"")).chain((0..20).map(|_| frame(0x00, b""))).collect(),
        (0..40).map(|number| frame(0x89, &[number; 100])).collect(),
    ]
}

/// What ends at the header, whoever sends it.
fn plain_bytes() -> Vec<Vec<u8>> {
    let headers: &[&[u8]] = &[
        b"",
        b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x82\xff\0\0\0\0\0\0\0\x01",
        b"\x82\xfe\0\x7d",
        b"\x83\xff\x40\0\0\0\0\0\0\0",
        b"\x8b\x7f\x40\0\0\0\0\0\0\0",
    ];
    headers.iter().map(|header| header.to_vec()).collect()
}

fn masked(frames: &[Vec<u8>]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = Vec::new();
    for frame in frames {
        let head = if frame[1] == 126 { 4 } else { 2 };
        bytes.extend([frame[0], frame[1] | 0x80]);
        bytes.extend(&frame[2..head]);
        bytes.extend(MASK);
        bytes.extend(frame[head..].iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }
    bytes
}

/// Heads as a server receives them.
pub fn request_heads() -> Vec<Vec<u8>> {
    let valid = "GET /chat?a=b HTTP/1.1\r\nHost: example.com:8101\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    let with = |fields: &str| format!("{valid}{fields}\r\n").into_bytes();
    let upgrade = |token: &str| {
        format!(
            "GET /stream/echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {token}\r\n\r\nearly"
        )
        .into_bytes()
    };
    let mut seeds = vec![
        upgrade("stream"),
        upgrade("TLS/1.2, stream"),
        with(""),
        [with(""), b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec()].concat(),
        with("Origin: https://example.com:8101\r\n"),
        with("Origin: null\r\n"),
        with("Sec-WebSocket-Protocol: chat, hub.json.1\r\nSec-WebSocket-Protocol: other\r\n"),
        with(
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x; a=\"b\\\"c\"; d=1\r\n",
        ),
        with("Sec-WebSocket-Extensions: x; y=\"unterminated\r\n"),
        with("Content-Length: 5\r\n"),
        with("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"),
        with("Expect: 100-continue\r\n"),
        with("X-Folded: a\r\n b\r\n"),
        with("X-Space : a\r\n"),
        with("Host: example.com\r\n"),
        with("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"),
        with(&format!("Sec-WebSocket-Protocol: a{}b\r\n", " ".repeat(1000))),
        with(&(0..30).map(|number| format!("X-{number}: \r\n")).collect::<String>()),
        with(&format!("X: {}\r\n", "x".repeat(3000))),
        b"\r\nGET / HTTP/1.0\r\n\r\n".to_vec(),
        b"CONNECT example.com:80 HTTP/1.1\r\nHost: example.com:80\r\n\r\n".to_vec(),
        b"OPTIONS * HTTP/1.1\r\nHost: [::1]\r\nUpgrade: firepresence\r\n\r\n".to_vec(),
        b"GET http://example.com/a HTTP/1.1\r\nHost: example.com\r\n\r\n".to_vec(),
    ];
    for browser in [
        include_bytes!("../../websocket/tests/fixtures/request_chromium.http").as_slice(),
        include_bytes!("../../websocket/tests/fixtures/request_firefox.http"),
    ] {
        seeds.push(browser.to_vec());
    }
    seeds
}

/// Heads as a client receives them, in answer to [`crate::request_head`]'s counterpart with a fixed key.
pub fn response_heads() -> Vec<Vec<u8>> {
    let valid = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    let with = |fields: &str| format!("{valid}{fields}\r\n").into_bytes();
    vec![
        with(""),
        [with("Server: x\r\n"), b"\x81\x05Hello".to_vec()].concat(),
        with("Sec-WebSocket-Protocol: superchat\r\n"),
        with("Sec-WebSocket-Protocol: unoffered\r\n"),
        with("Sec-WebSocket-Extensions: permessage-deflate\r\n"),
        with("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
        with("Content-Length: 0\r\n"),
        [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n".to_vec(), with("")]
            .concat(),
        b"HTTP/1.1 100 Continue\r\n\r\n".repeat(20),
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nno".to_vec(),
        b"HTTP/1.0 200 OK\r\n\r\n".to_vec(),
        b"HTTP/1.1 426\r\nUpgrade: websocket\r\n\r\n".to_vec(),
    ]
}

/// URLs, good and bad.
pub fn urls() -> Vec<Vec<u8>> {
    let urls = [
        "ws://example.com",
        "wss://example.com:443/chat?room=1",
        "WS://Example.COM:80/%7Ea?b",
        "ws://[2001:db8::1]:8101/",
        "ws://user:p%40ss@example.com/",
        "ws://0x7f.1/",
        "ws://127.1:65535",
        "ws:example.com",
        "ws://ex\u{e4}mple.com/\u{fc}",
        "https://example.com/a",
        "/relative?q",
        "//other.example/b",
        "?q",
        "",
        "ws://h?x",
        "ws://h/#f",
        "ws://h#",
        "ws://h\\a\\b",
        "ws://h:0/",
        "ws://h:65536/",
        "ws://h:/",
        "ws://[fe80::1%25eth0]/",
        "ws://a b/",
        "ws://h/a b",
        "ws://h/%zz",
        "ws://h/\r\nX: y",
        "ws://@h/",
        "ws://:@h/",
        "ws://h.:80./",
        "ws://%41/",
        "ftp://h/",
        "ws://h/../a/./b",
        "ws:///a",
        "ws://h/|{}^`[]",
    ];
    urls.iter().map(|url| url.as_bytes().to_vec()).collect()
}

/// Messages of clients and of the hub.
pub fn dialect() -> Vec<Vec<u8>> {
    let messages = [
        r#"{"id":1,"connect":{"ticket":"t0","client":{"name":"x","version":"1"}}}"#,
        r#"{"id":2,"subscribe":{"channel":"room:1","since":{"epoch":"e","offset":7},"presence":true}}"#,
        r#"{"publish":{"channel":"room:1","data":{"text":"h\u00e9llo","n":[1,2.5e3,null,true]},"exclude_self":true},"id":3}"#,
        r#"{"id":4,"history":{"channel":"room:1","limit":10,"reverse":true}}"#,
        r#"{"id":5,"presence":{"channel":"room:1"}}"#,
        r#"{"id":6,"unsubscribe":{"channel":"room:1"}}"#,
        r#"{"id":7,"refresh":{"token":"a.b.c"}}"#,
        r#"{"id":9007199254740991,"ping":{}}"#,
        r#"{"pong":3}"#,
        r#"{"id":0,"ping":{}}"#,
        r#"{"id":9007199254740992,"ping":{}}"#,
        r#"{"id":1.0,"ping":{}}"#,
        r#"{"id":1,"id":2,"ping":{}}"#,
        r#"{"id":1,"ping":{},"presence":{"channel":"a"}}"#,
        r#"{"id":1,"dance":{}}"#,
        r#"{"id":1,"publish":{"channel":"a","data":[[[[[[[[1]]]]]]]]}}"#,
        r#"{"id":1,"publish":{"channel":"","data":1}}"#,
        r#"{"id":1,"publish":{"channel":"a\u0000b","data":1}}"#,
        r#"{"id":1,"publish":{"channel":"a","data":"\ud800"}}"#,
        r#"[{"id":1}]"#,
        r#""text""#,
        "",
        "{",
        r#"{"id":1,"ok":{"session":"s","user":"u","node":"n","expires":1,"heartbeat_ms":1}}"#,
        r#"{"id":2,"ok":{"epoch":"e","offset":7,"recovered":true,"publications":[{"offset":7,"data":1,"at":1}]}}"#,
        r#"{"id":3,"error":{"code":"forbidden","message":"no","retry":false}}"#,
        r#"{"channel":"a","pub":{"offset":8,"data":{},"user":"u","at":1}}"#,
        r#"{"channel":"a","join":{"user":"u","info":{}}}"#,
        r#"{"channel":"a","leave":{"user":"u"}}"#,
        r#"{"channel":"a","gap":{"from":1,"to":2}}"#,
        r#"{"channel":"a","unsubscribed":{"code":"forbidden","message":"m"}}"#,
        r#"{"go_away":{"leave_ms":1,"return_ms":2,"where":"w","code":"unavailable"}}"#,
        r#"{"disconnect":{"code":"expired","message":"m","reconnect":true}}"#,
        r#"{"expiring":{"in_ms":1000}}"#,
        r#"{"ping":1}"#,
    ];
    let deep = [
        b"[".repeat(5000),
        br#"{"id":1,"publish":{"channel":"a","data":"#.iter().copied().chain(b"[".repeat(4000)).collect(),
    ];
    messages.iter().map(|message| message.as_bytes().to_vec()).chain(deep).collect()
}
