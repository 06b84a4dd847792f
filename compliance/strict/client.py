"""Servers that break the rules, and what `trunkline connect` makes of them.

A client that was refused or that refuses ends with exit status 1, and has told a server that broke the protocol by which close code.
"""

import base64
import contextlib
import socket
import struct
import subprocess

from harness.places import TRUNKLINE
from harness.tally import expect, expect_equal
from harness.wire import (BINARY, CLOSE, CONTINUATION, PATIENCE, PING, PONG, TEXT, Wire, accept_value, close_frame, frame)

# What is wrong with the answer: what is left out of a good one, what stands in place of a field's value, what comes on top.
REFUSED = [
    ("200 instead of 101", {"start": "HTTP/1.1 200 OK"}),
    ("a redirect", {"start": "HTTP/1.1 302 Found", "fields": ["Location: ws://127.0.0.1:1/"]}),
    ("101 of HTTP/1.0", {"start": "HTTP/1.0 101 Switching Protocols"}),
    ("no Upgrade", {"without": "Upgrade"}),
    ("Upgrade to something else", {"Upgrade": "h2c"}),
    ("no Connection", {"without": "Connection"}),
    ("Connection without upgrade", {"Connection": "keep-alive"}),
    ("no accept value", {"without": "Sec-WebSocket-Accept"}),
    ("the accept value of another key", {"Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}),
    ("a second accept value", {"fields": ["Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]}),
    ("an extension that was not offered", {"fields": ["Sec-WebSocket-Extensions: permessage-deflate"]}),
    ("a subprotocol that was not offered", {"fields": ["Sec-WebSocket-Protocol: other"]}),
    ("a body by Content-Length", {"fields": ["Content-Length: 5"]}),
    ("a body by Transfer-Encoding", {"fields": ["Transfer-Encoding: chunked"]}),
    ("a folded line", {"fields": ["X-Folded: a\r\n b"]}),
    ("200 fields", {"fields": ["X-%d: x" % n for n in range(200)]}),
    ("a field of 17 KiB", {"fields": ["X-Long: " + "x" * 17408]}),
    ("no HTTP at all", {"start": "SSH-2.0-OpenSSH_9.2"}),
]

ACCEPTED = [
    ("values in upper case", {"Upgrade": "WEBSOCKET", "Connection": "UPGRADE"}),
    ("Connection as a list", {"Connection": "keep-alive, Upgrade"}),
    ("spaces around the accept value", {"padded": True}),
    ("early hints first", {"before": "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"}),
]

# What the server does wrong once the handshake is done, and the code that says so.
VIOLATIONS = [
    ("a masked text frame", frame(TEXT, b"hello"), 1002),
    ("a masked ping", frame(PING), 1002),
    ("a masked Close frame", close_frame(1000), 1002),
    ("length 125 in 16 bits", frame(TEXT, b"x" * 125, mask=False, form=16), 1002),
    ("length 65535 in 64 bits", frame(BINARY, b"x" * 65535, mask=False, form=64), 1002),
    ("a length with its highest bit set", frame(BINARY, mask=False, length=1 << 63), 1002),
    ("RSV1 without permessage-deflate", frame(TEXT, b"hello", rsv=4, mask=False), 1002),
    ("an unknown opcode that declares 2^62 bytes", frame(3, mask=False, length=1 << 62), 1002),
    ("a fragmented ping", frame(PING, fin=False, mask=False), 1002),
    ("a continuation of nothing", frame(CONTINUATION, b"hello", mask=False), 1002),
    ("a Close frame with 1005", frame(CLOSE, struct.pack("!H", 1005), mask=False), 1002),
    ("a text that is not UTF-8", frame(TEXT, b"\xc0\xaf", mask=False), 1007),
    ("a message of more than 1 MiB", frame(BINARY, mask=False, length=(1 << 20) + 1), 1009),
    ("endless empty fragments", frame(TEXT, fin=False, mask=False) + frame(CONTINUATION, fin=False, mask=False) * 5000, 1009),
]


def checks():
    for name, answer in ACCEPTED:
        yield "client accepts: %s" % name, client_accepts_the_answer, answer
    for name, data, code in VIOLATIONS:
        yield "client closes with %d: %s" % (code, name), client_answers_a_violation_by_its_close_code, data, code
    yield "client sends a fresh key each time", client_sends_a_fresh_key_each_time
    yield "client masks each frame afresh", client_masks_each_frame_afresh
    yield "client sends nothing before the answer", client_sends_nothing_before_the_whole_answer
    yield "client takes frames behind the answer", client_reads_frames_in_the_same_segment_as_the_answer
    yield "client answers pings while it only reads", client_answers_pings_while_it_only_reads
    yield "client waits for the server to end TCP", client_answers_a_close_and_waits_for_the_server


def slow_checks():
    # An answer without a length ends with the stream or with the client's patience.
    for name, answer in REFUSED:
        yield "client refuses: %s" % name, client_refuses_the_answer_and_sends_no_frame, answer
    yield "client gives up on a server that never answers", client_gives_up_on_a_server_that_never_answers
    yield "client gives up on a server that never closes", client_gives_up_on_a_server_that_never_closes


class Visit:
    """One run of the client: its process, and our end of its connection with the request already read."""

    def __init__(self, process, wire):
        self.process = process
        self.wire = wire
        self.request = wire.read_head()

    def answer(self, *, start="HTTP/1.1 101 Switching Protocols", without=None, fields=(), padded=False, before="", behind=b"", **values):
        accept = accept_value(self.request.get("Sec-WebSocket-Key"))
        standard = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": " \t%s\t " % accept if padded else accept}
        lines = [start] + ["%s: %s" % field for field in (standard | values).items() if field[0] != without] + list(fields)
        self.wire.send((before + "\r\n".join(lines) + "\r\n\r\n").encode() + behind)

    def ended(self):
        """(exit status, stdout) of the client, which ends by itself."""
        output, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, output


@contextlib.contextmanager
def visit(lines=None):
    """Let the client come to us. `lines` are sent and then its stdin ends; without them stdin stays open."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        url = "ws://127.0.0.1:%d/" % listener.getsockname()[1]
        process = subprocess.Popen([str(TRUNKLINE), "connect", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            if lines is not None:
                process.stdin.write("".join(line + "\n" for line in lines).encode())
                process.stdin.close()
                process.stdin = None
            with Wire(accepted=listener.accept()[0]) as wire:
                yield Visit(process, wire)
        finally:
            process.kill()
            process.wait()


def client_refuses_the_answer_and_sends_no_frame(answer):
    with visit() as client:
        client.answer(**answer)
        expect_equal(client.wire.read_to_end(), b"", "sent after the answer")
        expect_equal(client.ended()[0], 1, "exit status")


def client_accepts_the_answer(answer):
    with visit() as client:
        client.answer(**answer)
        client.wire.send(frame(TEXT, b"hello", mask=False) + frame(CLOSE, b"\x03\xe8", mask=False))
        expect_equal(client.wire.read_close(), 1000, "close code")
        client.wire.socket.close()
        expect_equal(client.ended(), (0, b"hello\n"), "exit status and output")


def client_answers_a_violation_by_its_close_code(data, code):
    with visit() as client:
        client.answer()
        client.wire.send(data)
        expect_equal(client.wire.read_close(), code, "close code")
        client.wire.read_to_end()
        client.wire.socket.close()
        expect_equal(client.ended(), (1, b""), "exit status and output")


def client_sends_a_fresh_key_each_time():
    keys = set()
    for _ in range(5):
        with visit() as client:
            key = client.request.get("Sec-WebSocket-Key")
            nonce = base64.b64decode(key, validate=True)
            expect_equal((len(nonce), base64.b64encode(nonce).decode()), (16, key), "16 bytes in canonical base64")
            keys.add(key)
    expect_equal(len(keys), 5, "different keys")


def client_masks_each_frame_afresh():
    lines = ["line %d" % n for n in range(200)]
    masks = set()
    with visit(lines) as client:
        client.answer()
        for line in lines:
            got = client.wire.read_frame()
            expect_equal((got.opcode, got.payload), (TEXT, line.encode()), "frame")
            expect(got.mask is not None, "an unmasked frame")
            masks.add(got.mask)
    # Of 2^32 masks, 200 have a chance of one in 200,000 to contain one twice.
    expect(len(masks) >= 199, "%d different masks in 200 frames", len(masks))


def client_sends_nothing_before_the_whole_answer():
    with visit(["early"]) as client:
        head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n" % (
            accept_value(client.request.get("Sec-WebSocket-Key")))
        client.wire.send(head.encode())
        client.wire.socket.settimeout(0.5)
        try:
            early = client.wire.more()
        except TimeoutError:
            early = False
        expect(not early and not client.wire.buffer, "sent before the answer was complete: %r", bytes(client.wire.buffer))
        client.wire.socket.settimeout(PATIENCE)
        client.wire.send(b"\r\n")
        expect_equal(client.wire.read_message(), (TEXT, b"early"), "message")


def client_reads_frames_in_the_same_segment_as_the_answer():
    with visit() as client:
        client.answer(behind=frame(TEXT, b"early", mask=False) + frame(CLOSE, b"\x03\xe8", mask=False))
        expect_equal(client.wire.read_close(), 1000, "close code")
        client.wire.socket.close()
        expect_equal(client.ended(), (0, b"early\n"), "exit status and output")


def client_answers_pings_while_it_only_reads():
    with visit() as client:
        client.answer()
        for payload in (b"", b"x" * 125):
            client.wire.send(frame(PING, payload, mask=False))
            pong = client.wire.read_frame()
            expect_equal((pong.opcode, pong.payload), (PONG, payload), "answer")


def client_answers_a_close_and_waits_for_the_server():
    with visit() as client:
        client.answer()
        client.wire.send(frame(CLOSE, b"\x0f\xa0why", mask=False))
        expect_equal(client.wire.read_close(), 4000, "close code")
        # Section 7.1.1: it is for us to end the TCP connection, and the client is still there.
        client.wire.socket.settimeout(0.5)
        try:
            expect(client.wire.more(), "the client ended the stream first")
        except TimeoutError:
            pass
        client.wire.socket.close()
        expect_equal(client.ended()[0], 0, "exit status")


def client_gives_up_on_a_server_that_never_answers():
    with visit() as client:
        client.wire.socket.settimeout(60)
        expect_equal(client.wire.read_to_end(), b"", "sent meanwhile")
        expect_equal(client.ended()[0], 1, "exit status")


def client_gives_up_on_a_server_that_never_closes():
    with visit(["hello"]) as client:
        client.answer()
        expect_equal(client.wire.read_message(), (TEXT, b"hello"), "message")
        expect_equal(client.wire.read_close(), 1000, "close code")
        expect_equal(client.wire.read_to_end(), b"", "after the Close frame")
        expect_equal(client.ended()[0], 1, "exit status")
