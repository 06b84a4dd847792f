"""Opening handshakes as no browser sends them."""

import time

from harness.tally import expect, expect_equal
from harness.wire import ACCEPT, TEXT, Wire, frame, request

# What is wrong, the request, and the status that says so.
REFUSED = [
    ("no Host", request(without=["Host"]), 400),
    ("two Hosts", request(fields=[("Host", "127.0.0.1")]), 400),
    ("a Host with a space", request(replace={"Host": "a b"}), 400),
    ("a Host with a path", request(replace={"Host": "a/b"}), 400),
    ("no Upgrade", request(without=["Upgrade"]), 400),
    ("Upgrade to something else", request(replace={"Upgrade": "h2c"}), 400),
    ("Upgrade to a longer word", request(replace={"Upgrade": "websockets"}), 400),
    ("no Connection", request(without=["Connection"]), 400),
    ("Connection without upgrade", request(replace={"Connection": "keep-alive"}), 400),
    ("Connection with upgrade inside a word", request(replace={"Connection": "noupgrade, upgrade-insecure"}), 400),
    ("no key", request(without=["Sec-WebSocket-Key"]), 400),
    ("an empty key", request(replace={"Sec-WebSocket-Key": ""}), 400),
    ("a key of 15 bytes", request(replace={"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAA"}), 400),
    ("a key of 17 bytes", request(replace={"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAAA="}), 400),
    ("a key that is no base64", request(replace={"Sec-WebSocket-Key": "!!!!!!!!!!!!!!!!!!!!!!=="}), 400),
    ("a key without its padding", request(replace={"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ"}), 400),
    ("two keys", request(fields=[("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")]), 400),
    ("two versions", request(fields=[("Sec-WebSocket-Version", "13")]), 426),
    ("no version", request(without=["Sec-WebSocket-Version"]), 426),
    ("version 8", request(replace={"Sec-WebSocket-Version": "8"}), 426),
    ("version 013", request(replace={"Sec-WebSocket-Version": "013"}), 426),
    ("version 14", request(replace={"Sec-WebSocket-Version": "14"}), 426),
    ("a POST", request(method="POST"), 405),
    ("HTTP/1.0, in which Upgrade means nothing", request(version="HTTP/1.0"), 426),
    ("a version of HTTP that does not exist", request(version="HTTP/1.7"), 505),
    ("HTTP/0.9", b"GET /\r\n\r\n", 400),
    ("a body by Content-Length", request(fields=[("Content-Length", "5")]) + b"hello", 400),
    ("a body by Transfer-Encoding", request(fields=[("Transfer-Encoding", "chunked")]) + b"0\r\n\r\n", 400),
    ("Content-Length and Transfer-Encoding", request(fields=[("Content-Length", "0"), ("Transfer-Encoding", "chunked")]), 400),
    ("two Content-Lengths", request(fields=[("Content-Length", "0"), ("Content-Length", "1")]), 400),
    ("a Content-Length that is no number", request(fields=[("Content-Length", "-0")]), 400),
    ("a space before a colon", request(fields=[("X-Space ", "1")]), 400),
    ("a folded line", request(fields=[("X-Folded", "a\r\n b")]), 400),
    ("a NUL in a value", request(fields=[("X-Nul", "a\0b")]), 400),
    ("a bare CR in a value", request(fields=[("X-Cr", "a\rb")]), 400),
    ("a field without a name", request(fields=[("", "1")]), 400),
    ("a malformed extension", request(fields=[("Sec-WebSocket-Extensions", "permessage-deflate; =1")]), 400),
    ("an extension whose unquoted value is no token", request(fields=[("Sec-WebSocket-Extensions", 'a; b="c\\"d"')]), 400),
    ("an extension with an open quote", request(fields=[("Sec-WebSocket-Extensions", 'a; b="c')]), 400),
    ("a malformed subprotocol", request(fields=[("Sec-WebSocket-Protocol", "a b")]), 400),
    ("a subprotocol twice", request(fields=[("Sec-WebSocket-Protocol", "a, a")]), 400),
]

ACCEPTED = [
    ("field names in lower case", request().lower().replace(b"get / http", b"GET / HTTP").replace(b"dghlihnhbxbszsbub25jzq==", b"dGhlIHNhbXBsZSBub25jZQ==")),
    ("tokens in upper case", request(replace={"Upgrade": "WEBSOCKET", "Connection": "UPGRADE"})),
    ("Connection as a list", request(replace={"Connection": "keep-alive, Upgrade"})),
    ("Connection as two fields", request(replace={"Connection": "keep-alive"}, fields=[("Connection", "Upgrade")])),
    ("Upgrade as a list", request(replace={"Upgrade": "h2c, websocket"})),
    ("empty list elements", request(replace={"Connection": ", ,Upgrade,"})),
    ("an empty body", request(fields=[("Content-Length", "0")])),
    ("an IPv6 Host", request(replace={"Host": "[::1]:8101"})),
    ("any Origin", request(fields=[("Origin", "https://elsewhere.example")])),
    ("a query", request(path="/a/b?c=d%20e")),
    ("an empty line first", b"\r\n" + request()),
    ("an unknown extension", request(fields=[("Sec-WebSocket-Extensions", 'x-one; a="b"; c=d; e, x-two')])),
    ("subprotocols nobody speaks", request(fields=[("Sec-WebSocket-Protocol", "one, two")])),
]


def checks(server):
    for name, head, status in REFUSED:
        yield "refused with %d: %s" % (status, name), bad_handshake_is_refused_and_the_stream_ends, server, head, status
    for name, head in ACCEPTED:
        yield "accepted: %s" % name, unusual_but_valid_handshake_is_accepted, server, head
    yield "what follows a refused request is not answered", bytes_after_a_refused_request_are_not_a_request, server
    yield "a frame right behind the request is echoed", frame_in_the_same_segment_as_the_request_is_echoed, server
    yield "a handshake a byte at a time", handshake_a_byte_at_a_time_is_accepted, server
    yield "Expect: 100-continue", expect_continue_is_answered_before_the_upgrade, server
    yield "a field of 17 KiB", oversized_head_is_refused, server, request(fields=[("X-Long", "x" * 17408)]), 431
    yield "a target of 17 KiB", oversized_head_is_refused, server, request(path="/" + "x" * 17408), 414
    yield "101 fields", oversized_head_is_refused, server, request(fields=[("X-%d" % n, "") for n in range(96)]), 431


def slow_checks(server):
    yield "a head that trickles in for ever", endless_head_ends_with_the_handshake_deadline, server
    yield "a connection that never says anything", silent_connection_ends_with_the_handshake_deadline, server


def bad_handshake_is_refused_and_the_stream_ends(server, head, status):
    with Wire(server.port) as wire:
        wire.send(head)
        answer = wire.read_head()
        expect_equal(answer.status, status, "status")
        expect_equal((answer.get("Connection") or "").lower(), "upgrade, close" if status == 426 else "close", "Connection")
        if status == 426:
            expect_equal(answer.get("Sec-WebSocket-Version"), "13", "Sec-WebSocket-Version")
            expect_equal(answer.get("Upgrade"), "websocket", "Upgrade")
        body = wire.read_to_end()
        expect(len(body) > 10, "the body should say in words what is wrong")
        expect_equal(int(answer.get("Content-Length")), len(body), "Content-Length")


def unusual_but_valid_handshake_is_accepted(server, head):
    with Wire(server.port) as wire:
        wire.send(head)
        answer = wire.read_head()
        expect_equal(answer.status, 101, "status")
        expect_equal(answer.get("Sec-WebSocket-Accept"), ACCEPT, "Sec-WebSocket-Accept")
        expect_equal(answer.get("Upgrade").lower(), "websocket", "Upgrade")
        expect_equal(answer.get("Connection").lower(), "upgrade", "Connection")
        for absent in ("Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Content-Length", "Transfer-Encoding"):
            expect_equal(answer.get(absent), None, absent)
        wire.send(frame(TEXT, b"hello"))
        expect_equal(wire.read_message(), (TEXT, b"hello"), "echo")


def bytes_after_a_refused_request_are_not_a_request(server):
    with Wire(server.port) as wire:
        wire.send(request(without=["Sec-WebSocket-Key"]) + request())
        expect_equal(wire.read_head().status, 400, "status")
        expect(b"101" not in wire.read_to_end(), "a second request was answered")


def frame_in_the_same_segment_as_the_request_is_echoed(server):
    with Wire(server.port) as wire:
        wire.send(request() + frame(TEXT, b"early"))
        expect_equal(wire.read_head().status, 101, "status")
        expect_equal(wire.read_message(), (TEXT, b"early"), "echo")


def handshake_a_byte_at_a_time_is_accepted(server):
    with Wire(server.port) as wire:
        head = request(fields=[("X-Long", "x" * 15000)])
        for at in range(len(head)):
            wire.send(head[at:at + 1])
        expect_equal(wire.read_head().status, 101, "status")
        return "%d bytes" % len(head)


def expect_continue_is_answered_before_the_upgrade(server):
    with Wire(server.port) as wire:
        wire.send(request(fields=[("Expect", "100-continue")]))
        expect_equal(wire.read_head().status, 100, "first status")
        expect_equal(wire.read_head().status, 101, "second status")


def oversized_head_is_refused(server, head, status):
    with Wire(server.port) as wire:
        wire.send(head)
        expect_equal(wire.read_head().status, status, "status")
        wire.read_to_end()


def endless_head_ends_with_the_handshake_deadline(server):
    started = time.monotonic()
    with Wire(server.port) as wire:
        wire.send(b"GET / HTTP/1.1\r\nX-Slow: ")
        try:
            while time.monotonic() - started < 60:
                wire.send(b"x")
                wire.socket.settimeout(0.25)
                try:
                    if not wire.more():
                        return "ended"
                except TimeoutError:
                    pass
        except OSError:
            return "ended"
        raise AssertionError("still open after 60 s")


def silent_connection_ends_with_the_handshake_deadline(server):
    with Wire(server.port) as wire:
        wire.socket.settimeout(60)
        wire.read_to_end()
