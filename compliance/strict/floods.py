"""Peers that want us to remember too much, or never to let go.

Bounds are on memory and on descriptors. No timing is asserted: deadlines only keep a check from hanging.
"""

import time

from harness.tally import expect, expect_equal
from harness.wire import BINARY, CONTINUATION, PING, TEXT, Wire, close_frame, frame, opened, request

KIB = 1024
# How long a peer keeps pushing at a server that may have stopped reading; and how long a server may take to let go of one.
PUSH_SECONDS = 10
RELEASE_SECONDS = 40


def checks(server):
    yield "100,000 header fields", flood_of_headers_is_refused_in_bounded_memory, server
    yield "declared lengths allocate nothing", declared_lengths_allocate_nothing, server
    yield "65,536 fragments are a message", message_of_as_many_fragments_as_allowed_comes_back, server
    yield "a million empty fragments", endless_fragments_are_refused_in_bounded_memory, server, b""
    yield "a million fragments of a byte", endless_fragments_are_refused_in_bounded_memory, server, b"x"
    yield "a ping flood from a peer that never reads", ping_flood_without_reading_keeps_memory_flat, server
    yield "a message flood from a peer that never reads", message_flood_without_reading_keeps_memory_bounded, server
    yield "10,000 connections come and go", connections_leave_nothing_behind, server


def slow_checks(server):
    yield "a violation, and the peer never closes", peer_that_never_closes_after_a_violation_is_let_go, server
    yield "a Close frame, and the peer never closes", peer_that_never_closes_after_its_close_frame_is_let_go, server
    yield "a peer that never reads again", peer_that_never_reads_again_is_let_go, server
    yield "a peer that answers no ping", peer_that_answers_no_ping_is_let_go, server


def warm_up(server):
    """Have the server touch, once, the code and the arenas that every connection uses."""
    before = server.descriptors()
    for _ in range(50):
        with opened(server.port) as wire:
            wire.send(frame(TEXT, b"hello") + frame(PING) + frame(BINARY, bytes(1000)) + close_frame())
            wire.read_to_end()
    wait_until_let_go(server, before)


def flood_of_headers_is_refused_in_bounded_memory(server):
    with peak_growth(server) as growth, Wire(server.port) as wire:
        try:
            wire.send(request(fields=[("X-%d" % n, "x") for n in range(100_000)]))
        except OSError:
            pass  # it stopped listening to us long before the end, as it should
        try:
            expect_equal(wire.read_head().status, 431, "status")
        except EOFError:
            pass  # our unread bytes can make the kernel reset the stream before the answer is read
    return growth.within(512)


def declared_lengths_allocate_nothing(server):
    wires = []
    with peak_growth(server) as growth:
        for _ in range(200):
            wire = opened(server.port)
            # Allowed, and announced only: memory for it is due when its bytes come.
            wire.send(frame(BINARY, b"some", length=16 << 20))
            wires.append(wire)
        for wire in wires:
            wire.send(b"x")
    for wire in wires:
        wire.socket.close()
    return growth.within(2 * KIB)


def message_of_as_many_fragments_as_allowed_comes_back(server):
    with opened(server.port) as wire:
        middle = frame(CONTINUATION, b"x", fin=False) * 65_534
        wire.send(frame(TEXT, b"a", fin=False) + middle + frame(CONTINUATION, b"z"))
        expect_equal(wire.read_message(), (TEXT, b"a" + b"x" * 65_534 + b"z"), "echo")


def endless_fragments_are_refused_in_bounded_memory(server, payload):
    block = frame(CONTINUATION, payload, fin=False) * 10_000
    with peak_growth(server) as growth, opened(server.port) as wire:
        wire.send(frame(TEXT, payload, fin=False))
        try:
            for _ in range(100):
                wire.send(block)
        except OSError:
            pass  # refused long before
        try:
            expect_equal(wire.read_close(), 1009, "close code")
        except EOFError:
            pass  # our unread bytes can make the kernel reset the stream before the Close frame is read
    expect(server.alive(), "the server died")
    return growth.within(512)


def ping_flood_without_reading_keeps_memory_flat(server):
    block = frame(PING, b"x" * 125) * 1000
    with peak_growth(server) as growth, opened(server.port, receive_buffer=4096) as wire:
        sent = push(wire, block)
    return "%d MiB of pings, %s" % (sent >> 20, growth.within(512))


def message_flood_without_reading_keeps_memory_bounded(server):
    block = frame(BINARY, b"x" * 65_000) * 16
    with peak_growth(server) as growth, opened(server.port, receive_buffer=4096) as wire:
        sent = push(wire, block)
    return "%d MiB of messages, %s" % (sent >> 20, growth.within(2 * KIB))


def connections_leave_nothing_behind(server):
    def some(count):
        for _ in range(count):
            with opened(server.port) as wire:
                wire.send(frame(TEXT, b"hello"))
                wire.read_message()
                wire.send(close_frame())
                wire.read_to_end()

    descriptors = server.descriptors()
    some(1000)
    with peak_growth(server) as growth:
        some(9000)
    wait_until_let_go(server, descriptors)
    return growth.within(512)


def peer_that_never_closes_after_a_violation_is_let_go(server):
    before = server.descriptors()
    with opened(server.port) as wire:
        wire.send(frame(TEXT, b"hello", mask=False))
        expect_equal(wire.read_close(), 1002, "close code")
        wait_until_let_go(server, before)


def peer_that_never_closes_after_its_close_frame_is_let_go(server):
    before = server.descriptors()
    with opened(server.port) as wire:
        wire.send(close_frame(1000))
        expect_equal(wire.read_close(), 1000, "close code")
        wait_until_let_go(server, before)


def peer_that_never_reads_again_is_let_go(server):
    before = server.descriptors()
    with opened(server.port, receive_buffer=4096) as wire:
        push(wire, frame(BINARY, b"x" * 65_000) * 16, seconds=2)
        wait_until_let_go(server, before, seconds=90)


def peer_that_answers_no_ping_is_let_go(server):
    before = server.descriptors()
    with opened(server.port) as wire:
        wire.socket.settimeout(90)
        expect_equal(wire.read_frame().opcode, PING, "opcode")
        wait_until_let_go(server, before)


def push(wire, block, seconds=PUSH_SECONDS, at_most=256 << 20):
    """Send without ever reading, until so much or so long; the bytes that were taken."""
    sent = 0
    wire.socket.settimeout(1)
    deadline = time.monotonic() + seconds
    while sent < at_most and time.monotonic() < deadline:
        try:
            sent += wire.socket.send(block[sent % len(block):])
        except TimeoutError:
            pass  # it has stopped reading, which is one good answer
        except OSError:
            break  # it has had enough, which is another
    return sent


def wait_until_let_go(server, descriptors, seconds=RELEASE_SECONDS):
    deadline = time.monotonic() + seconds
    while server.descriptors() > descriptors:
        expect(time.monotonic() < deadline, "after %d s the server still holds the connection", seconds)
        time.sleep(0.1)


class peak_growth:
    """By how much the most memory the server ever used inside a `with` block exceeds what it used before."""

    def __init__(self, server):
        self.server = server

    def __enter__(self):
        self.server.reset_peak()
        self.before = self.server.peak_kib()
        return self

    def __exit__(self, *_):
        self.kib = self.server.peak_kib() - self.before

    def within(self, limit):
        """`limit` in KiB."""
        expect(self.kib <= limit, "memory grew by %d KiB, at most %d are allowed", self.kib, limit)
        return "memory +%d KiB" % self.kib
