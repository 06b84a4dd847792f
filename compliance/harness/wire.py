"""A WebSocket client made of a socket and nothing else, so that it can break every rule there is."""

import base64
import hashlib
import os
import socket
import struct

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_value(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = accept_value(KEY)

# No check depends on how fast an answer comes, only on its coming at all.
PATIENCE = 30


class Frame:
    def __init__(self, first, mask, payload):
        self.fin = bool(first & 0x80)
        self.rsv = first >> 4 & 7
        self.opcode = first & 15
        self.mask = mask
        self.payload = payload

    def close_code(self):
        return struct.unpack("!H", self.payload[:2])[0] if len(self.payload) >= 2 else 1005

    def __repr__(self):
        return "<opcode %d fin %d rsv %d, %d bytes>" % (self.opcode, self.fin, self.rsv, len(self.payload))


class Head:
    """The head of a response, with its status, or of a request."""

    def __init__(self, raw):
        lines = raw.decode("latin-1").split("\r\n")
        self.start = lines[0]
        self.status = int(self.start.split(" ")[1]) if self.start.startswith("HTTP/") else None
        self.fields = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:] if line)]

    def get(self, name):
        values = [value for field, value in self.fields if field == name.lower()]
        return ", ".join(values) if values else None


class Wire:
    """One TCP connection. What was sent and not yet asked for waits in `buffer`."""

    def __init__(self, port=None, receive_buffer=None, accepted=None):
        """Connects to `port`, or takes over a socket that was `accepted`."""
        self.socket = accepted or socket.socket()
        self.socket.settimeout(PATIENCE)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if not accepted:
            self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def read_head(self):
        while b"\r\n\r\n" not in self.buffer:
            if not self.more():
                raise EOFError("the stream ended inside a response head: %r" % bytes(self.buffer[:200]))
        end = self.buffer.index(b"\r\n\r\n") + 4
        return Head(self._take(end))

    def read_frame(self):
        first, second = self._exactly(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self._exactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._exactly(8))
        mask = self._exactly(4) if second & 0x80 else None
        payload = self._exactly(length)
        return Frame(first, mask, masked(payload, mask) if mask else payload)

    def read_message(self):
        """The next data message, whole; pings and pongs in between are passed over."""
        opcode, parts = None, []
        while True:
            frame = self.read_frame()
            if frame.opcode == CLOSE:
                raise ConnectionError("closed with %d: %r" % (frame.close_code(), frame.payload[2:]))
            if frame.opcode in (PING, PONG):
                continue
            opcode = frame.opcode if opcode is None else opcode
            parts.append(frame.payload)
            if frame.fin:
                return opcode, b"".join(parts)

    def read_close(self):
        """The Close frame that has to come next; pings and pongs may come before it, data may not."""
        while True:
            frame = self.read_frame()
            if frame.opcode == CLOSE:
                return frame.close_code()
            if frame.opcode not in (PING, PONG):
                raise AssertionError("%r where a Close frame was due" % frame)

    def read_to_end(self):
        """What else comes until the other side ends the stream, which it has to."""
        while self.more():
            pass
        return self._take(len(self.buffer))

    def _exactly(self, count):
        while len(self.buffer) < count:
            if not self.more():
                raise EOFError("the stream ended with %d of %d bytes" % (len(self.buffer), count))
        return self._take(count)

    def _take(self, count):
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def more(self):
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            return False  # an end like any other
        self.buffer += data
        return bool(data)


def request(*, path="/", method="GET", version="HTTP/1.1", without=(), fields=(), replace=None):
    """An upgrade request with fields left out, replaced or added."""
    standard = {
        "Host": "127.0.0.1",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    } | (replace or {})
    lines = ["%s %s %s" % (method, path, version)]
    lines += ["%s: %s" % field for field in standard.items() if field[0] not in without]
    lines += ["%s: %s" % field for field in fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def opened(port, **options):
    """A connection whose opening handshake is done."""
    wire = Wire(port, **options)
    wire.send(request())
    head = wire.read_head()
    if head.status != 101 or head.get("Sec-WebSocket-Accept") != ACCEPT:
        raise AssertionError("status %d, accept %r" % (head.status, head.get("Sec-WebSocket-Accept")))
    return wire


def frame(opcode, payload=b"", *, fin=True, rsv=0, mask=True, length=None, form=None):
    """A frame. `length` lies about the payload's, `form` (7, 16 or 64 bits) writes it in other than the shortest way."""
    length = len(payload) if length is None else length
    form = form or (7 if length < 126 else 16 if length < 1 << 16 else 64)
    first = fin << 7 | rsv << 4 | opcode
    bit = 0x80 if mask else 0
    head = {
        7: lambda: struct.pack("!BB", first, bit | length),
        16: lambda: struct.pack("!BBH", first, bit | 126, length),
        64: lambda: struct.pack("!BBQ", first, bit | 127, length),
    }[form]()
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + masked(payload, key)


def close_frame(code=1000, reason=b""):
    return frame(CLOSE, struct.pack("!H", code) + reason)


def masked(payload, key):
    """XOR as one big number: the only way that is fast in plain Python."""
    repeated = (key * (len(payload) // 4 + 1))[:len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(payload), "big")
