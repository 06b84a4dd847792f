"""What a client says at each door, by sockets alone, through whatever is in between."""

import json
import os
import socket
import threading
import urllib.request

from harness.tally import expect, expect_equal
from harness.wire import TEXT, Wire, frame, request

CHANNEL = "room:paths"
CLIENT, FORGED = "127.0.0.7", "203.0.113.9"
KEY = "a-key-for-these-checks-alone"


class Api:
    """The server's own HTTP API, reached directly."""

    def __init__(self, port):
        self.base = "http://127.0.0.1:%d/api/v1/" % port

    def call(self, route, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": "Bearer " + KEY, "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(self.base + route, data, headers), timeout=30) as answer:
            return json.load(answer)

    def ticket(self, user):
        return self.call("tickets", {"user": user})["ticket"]

    def session(self, user):
        (session,) = self.call("sessions?user=" + user)["sessions"]
        return session


def come_in(path):
    """A connection to the server by this path, through its tunnel where it is one."""
    # An address that no server here trusts: who sends from it is believed nothing.
    wire = Wire(accepted=socket.create_connection(("127.0.0.1", path.port), source_address=(CLIENT, 0)))
    if path.connect:
        wire.send(b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (path.connect.encode(), path.connect.encode()))
        expect_equal(wire.read_head().status, 200, "answer to CONNECT")
    return wire


def websocket(path, api, user):
    """Connects, subscribes, publishes and hears of it. Answers the address that the server took for the client's."""
    with come_in(path) as wire:
        host = "127.0.0.1:%d" % path.port
        wire.send(request(path="/connect?ticket=" + api.ticket(user), fields=[("X-Forwarded-For", FORGED)], replace={"Host": host}))
        head = wire.read_head()
        expect_equal(head.status, 101, "status")
        expect(head.get("Trunkline"), "the answer is not Trunkline's: %s", head.fields)
        expect("connected" in heard(wire), "no connected")
        say(wire, {"id": 1, "subscribe": {"channel": CHANNEL}})
        expect("ok" in heard(wire), "not subscribed")
        text = "ä" * 5000
        say(wire, {"id": 2, "publish": {"channel": CHANNEL, "data": text}})
        both = [heard(wire), heard(wire)]
        pushed = [each["pub"]["data"] for each in both if "pub" in each]
        expect_equal(pushed, [text], "the publication")
        return api.session(user)["address"]


def say(wire, command):
    wire.send(frame(TEXT, json.dumps(command).encode()))


def heard(wire):
    return json.loads(wire.read_message()[1])


def firepresence(path, api, user):
    """The lines door by the name that its first clients know, which is answered with a version."""
    return lines(path, api, user, "firepresence", "firepresence/1.0")


def lines(path, api, user, token="hub-lines", answered="hub-lines"):
    """The same by JSON objects, one a line."""
    with come_in(path) as wire:
        fields = [("Host", host_of(path)), ("Connection", "Upgrade"), ("Upgrade", token), ("X-Auth-Token", api.ticket(user))]
        head = upgraded(wire, "OPTIONS", "/", fields)
        expect_equal(head.get("Upgrade"), answered, "Upgrade")
        expect("connected" in line(wire), "no connected")
        say_line(wire, {"id": 1, "subscribe": {"channel": CHANNEL}})
        expect("ok" in line(wire), "not subscribed")
        text = "ö" * 5000
        say_line(wire, {"id": 2, "publish": {"channel": CHANNEL, "data": text}})
        both = [line(wire), line(wire)]
        expect_equal([each["pub"]["data"] for each in both if "pub" in each], [text], "the publication")
        return api.session(user)["address"]


BULK = 8 << 20


def stream(path, api, user):
    """8 MiB up and the same 8 MiB down at the same time. Nobody is told an address here."""
    with come_in(path) as wire:
        upgraded(wire, "GET", "/stream/echo", [("Host", host_of(path)), ("Connection", "Upgrade"), ("Upgrade", "stream")])
        sent = os.urandom(1 << 16) * (BULK >> 16)
        sender = threading.Thread(target=wire.send, args=(sent,))
        sender.start()
        while len(wire.buffer) < BULK and wire.more():
            pass
        sender.join()
        expect_equal(len(wire.buffer), BULK, "bytes that came back")
        expect(wire.buffer == sent, "other bytes came back than were sent")


def sse(path, api, user):
    """Events down and a command up. The first event has to come before there is anything else."""
    with come_in(path) as wire:
        query = "/events?channels=%s&ticket=%s" % (CHANNEL, api.ticket(user))
        wire.send(b"GET %s HTTP/1.1\r\nHost: %s\r\nX-Forwarded-For: %s\r\nAccept: text/event-stream\r\n\r\n" % (
            query.encode(), host_of(path).encode(), FORGED.encode()))
        head = wire.read_head()
        expect_equal((head.status, head.get("Content-Type")), (200, "text/event-stream"), "answer")
        connected = event(wire, "connected")
        event(wire, "ok")
        with come_in(path) as up:
            body = json.dumps({"id": 1, "publish": {"channel": CHANNEL, "data": "by POST"}}).encode()
            token = connected["connected"]["session"]
            fields = "Host: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n" % (
                host_of(path), token, len(body))
            up.send(b"POST /commands HTTP/1.1\r\n%s\r\n%s" % (fields.encode(), body))
            expect_equal(up.read_head().status, 200, "answer to a command")
        expect_equal(event(wire, "pub")["pub"]["data"], "by POST", "the publication")
        return api.session(user)["address"]


def upgraded(wire, method, target, fields):
    fields = [*fields, ("X-Forwarded-For", FORGED)]
    wire.send(("%s %s HTTP/1.1\r\n%s\r\n" % (method, target, "".join("%s: %s\r\n" % field for field in fields))).encode())
    head = wire.read_head()
    expect_equal(head.status, 101, "status")
    expect(head.get("Trunkline"), "the answer is not Trunkline's: %s", head.fields)
    return head


def host_of(path):
    return path.connect or "127.0.0.1:%d" % path.port


def say_line(wire, command):
    wire.send(json.dumps(command).encode() + b"\n")


def line(wire):
    return json.loads(raw_line(wire))


def event(wire, wanted):
    """The next event whose data has this field. The framing of HTTP/1.1 is no matter: its lines are never `data:`."""
    while True:
        text = raw_line(wire)
        if text.startswith(b"data:"):
            data = json.loads(text[5:])
            if wanted in data:
                return data


def raw_line(wire):
    while b"\n" not in wire.buffer:
        expect(wire.more(), "the stream ended")
    text, _, rest = bytes(wire.buffer).partition(b"\n")
    wire.buffer[:] = rest
    return text.strip()
