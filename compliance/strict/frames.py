"""Frames that break a rule, and large messages compared byte by byte."""

import os
import struct
import threading

from harness.tally import expect, expect_equal
from harness.wire import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_frame, frame, opened)

MIB = 1 << 20

# What is wrong, the bytes, and the close code that says so.
VIOLATIONS = [
    ("an unmasked text frame", frame(TEXT, b"hello", mask=False), 1002),
    ("an unmasked empty binary frame", frame(BINARY, mask=False), 1002),
    ("an unmasked ping", frame(PING, b"hello", mask=False), 1002),
    ("an unmasked Close frame", frame(CLOSE, b"\x03\xe8", mask=False), 1002),
    ("an unmasked frame that declares 2^62 bytes", frame(BINARY, mask=False, length=1 << 62), 1002),
    ("length 0 in 16 bits", frame(TEXT, b"", form=16), 1002),
    ("length 125 in 16 bits", frame(TEXT, b"x" * 125, form=16), 1002),
    ("length 0 in 64 bits", frame(TEXT, b"", form=64), 1002),
    ("length 126 in 64 bits", frame(TEXT, b"x" * 126, form=64), 1002),
    ("length 65535 in 64 bits", frame(BINARY, b"x" * 65535, form=64), 1002),
    ("a length with its highest bit set", frame(BINARY, length=1 << 63), 1002),
    ("the longest length there is", frame(BINARY, length=(1 << 64) - 1), 1002),
    ("a length just below the highest bit", frame(BINARY, length=(1 << 63) - 1), 1009),
    ("a declared length of 2^32", frame(TEXT, length=1 << 32), 1009),
    ("RSV1", frame(TEXT, b"hello", rsv=4), 1002),
    ("RSV2", frame(TEXT, b"hello", rsv=2), 1002),
    ("RSV3", frame(TEXT, b"hello", rsv=1), 1002),
    ("RSV1 on a continuation", frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b", rsv=4), 1002),
    ("RSV1 on a ping", frame(PING, rsv=4), 1002),
    ("a fragmented ping", frame(PING, fin=False), 1002),
    ("a fragmented pong", frame(PONG, fin=False), 1002),
    ("a fragmented Close frame", frame(CLOSE, b"\x03\xe8", fin=False), 1002),
    ("a ping of 126 bytes", frame(PING, b"x" * 126), 1002),
    ("a pong of 126 bytes", frame(PONG, b"x" * 126), 1002),
    ("a Close frame of 126 bytes", close_frame(1000, b"x" * 124), 1002),
    ("a continuation of nothing", frame(CONTINUATION, b"hello"), 1002),
    ("a text frame inside a message", frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    ("a Close frame of one byte", frame(CLOSE, b"\x03"), 1002),
    ("a close reason that is not UTF-8", frame(CLOSE, b"\x03\xe8\xff"), 1007),
    ("a text that is not UTF-8", frame(TEXT, b"\xc0\xaf"), 1007),
    ("a text that ends inside a character", frame(TEXT, b"\xe2\x82"), 1007),
    ("a surrogate", frame(TEXT, b"\xed\xa0\x80"), 1007),
]
VIOLATIONS += [("opcode %d that declares 2^62 bytes" % opcode, frame(opcode, length=1 << 62), 1002)
               for opcode in (3, 4, 5, 6, 7)]
VIOLATIONS += [("opcode %d" % opcode, frame(opcode), 1002) for opcode in (11, 12, 13, 14, 15)]
VIOLATIONS += [("close code %d" % code, close_frame(code), 1002)
               for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)]


def checks(server):
    for name, data, code in VIOLATIONS:
        yield "closes with %d: %s" % (code, name), violation_is_answered_by_its_close_code_and_the_end, server, data, code
    for code in (1000, 1001, 1007, 1012, 1014, 3000, 4999):
        yield "a Close frame with %d" % code, close_frame_is_echoed_and_the_stream_ends, server, close_frame(code, b"bye"), code
    yield "a Close frame without a code", close_frame_is_echoed_and_the_stream_ends, server, frame(CLOSE), 1005
    yield "nothing after a Close frame counts", frames_after_a_close_frame_are_ignored, server
    for size in (0, 1, 125, 126, 127, 65535, 65536, MIB, 4 * MIB, 16 * MIB):
        yield "%d random bytes come back" % size, binary_content_comes_back, server, size, size or 1
    for size in (65536, MIB, 16 * MIB):
        for part in (64, 4096, 65536) if size < 16 * MIB else (4096, 1 * MIB):
            yield "%d bytes in fragments of %d come back" % (size, part), binary_content_comes_back, server, size, part
    yield "text cut inside every character", text_cut_inside_characters_comes_back, server
    yield "10,000 messages in one write", many_messages_in_one_write_come_back_in_order, server
    yield "frames a byte at a time", frames_a_byte_at_a_time_come_back, server
    yield "a ping inside a message", ping_inside_a_message_is_answered_at_once, server
    yield "ten pings, ten pongs", every_one_of_ten_pings_is_answered, server
    yield "a pong nobody asked for", unsolicited_pong_is_not_answered, server
    yield "one byte more than the largest message", message_over_the_limit_is_refused, server
    yield "the largest message in fragments and a byte more", fragmented_message_over_the_limit_is_refused, server


def violation_is_answered_by_its_close_code_and_the_end(server, data, code):
    with opened(server.port) as wire:
        # Whatever follows a violation must not be delivered: an echo of this would stand before the Close frame.
        wire.send(data + frame(TEXT, b"must not be read") if code != 1009 else data)
        expect_equal(wire.read_close(), code, "close code")
        expect_equal(wire.read_to_end(), b"", "after the Close frame")


def close_frame_is_echoed_and_the_stream_ends(server, data, code):
    with opened(server.port) as wire:
        wire.send(data)
        expect_equal(wire.read_close(), code, "close code")
        # Section 7.1.1: the server is the one to end the TCP connection; we keep our side open and wait for it.
        expect_equal(wire.read_to_end(), b"", "after the Close frame")


def frames_after_a_close_frame_are_ignored(server):
    with opened(server.port) as wire:
        wire.send(close_frame(1000) + frame(TEXT, b"late") + frame(PING, b"late"))
        expect_equal(wire.read_frame().opcode, CLOSE, "opcode")
        expect_equal(wire.read_to_end(), b"", "after the Close frame")


def binary_content_comes_back(server, size, part):
    payload = os.urandom(size)
    with opened(server.port) as wire:
        send_while_reading(wire, in_fragments(BINARY, payload, part))
        opcode, echo = wire.read_message()
        expect_equal(opcode, BINARY, "opcode")
        expect(echo == payload, "the echo differs: %d bytes for %d", len(echo), len(payload))


def text_cut_inside_characters_comes_back(server):
    words = ("Ünïcödé 中文 \U0001f9f6 z\u0301 " * 50).encode()
    with opened(server.port) as wire:
        for part in (1, 2, 3, 5):
            wire.send(in_fragments(TEXT, words, part))
            expect_equal(wire.read_message(), (TEXT, words), "fragments of %d" % part)


def many_messages_in_one_write_come_back_in_order(server):
    messages = [struct.pack("!I", n) * (n % 50) for n in range(10_000)]
    with opened(server.port) as wire:
        send_while_reading(wire, b"".join(frame(BINARY, message) for message in messages))
        for message in messages:
            expect_equal(wire.read_message(), (BINARY, message), "echo")


def frames_a_byte_at_a_time_come_back(server):
    with opened(server.port) as wire:
        for payload in (b"", b"hello", b"x" * 126):
            for byte in frame(TEXT, payload):
                wire.send(bytes([byte]))
            expect_equal(wire.read_message(), (TEXT, payload), "echo")


def ping_inside_a_message_is_answered_at_once(server):
    with opened(server.port) as wire:
        wire.send(frame(TEXT, b"a", fin=False) + frame(PING, b"now"))
        pong = wire.read_frame()
        expect_equal((pong.opcode, pong.payload), (PONG, b"now"), "answer")
        wire.send(frame(CONTINUATION, b"b"))
        expect_equal(wire.read_message(), (TEXT, b"ab"), "echo")


def every_one_of_ten_pings_is_answered(server):
    with opened(server.port) as wire:
        wire.send(b"".join(frame(PING, b"%d" % n) for n in range(10)))
        answers = [wire.read_frame() for _ in range(10)]
        expect_equal([(answer.opcode, answer.payload) for answer in answers], [(PONG, b"%d" % n) for n in range(10)], "answers")


def unsolicited_pong_is_not_answered(server):
    with opened(server.port) as wire:
        wire.send(frame(PONG, b"unasked") + frame(TEXT, b"hello"))
        answer = wire.read_frame()
        expect_equal((answer.opcode, answer.payload), (TEXT, b"hello"), "answer")


def message_over_the_limit_is_refused(server):
    with opened(server.port) as wire:
        wire.send(frame(BINARY, length=16 * MIB + 1))
        expect_equal(wire.read_close(), 1009, "close code")


def fragmented_message_over_the_limit_is_refused(server):
    with opened(server.port) as wire:
        for _ in range(16):
            wire.send(frame(BINARY if not _ else CONTINUATION, bytes(MIB), fin=False))
        wire.send(frame(CONTINUATION, b"x"))
        expect_equal(wire.read_close(), 1009, "close code")


def in_fragments(opcode, payload, part):
    pieces = [payload[at:at + part] for at in range(0, len(payload), part)] or [b""]
    frames = [frame(CONTINUATION if n else opcode, piece, fin=n == len(pieces) - 1) for n, piece in enumerate(pieces)]
    return b"".join(frames)


def send_while_reading(wire, data):
    """An echo larger than what the kernel buffers only flows if somebody reads it meanwhile."""
    threading.Thread(target=wire.send, args=(data,), daemon=True).start()
