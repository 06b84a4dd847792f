#!/usr/bin/env python3
"""The Python side of the game in README.md, on the `websockets` package.

    python_peer.py server            prints `listening on ws://127.0.0.1:PORT`
    python_peer.py client URL SCENARIO
"""

import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

SIZES = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20]
CLOSES = [(1000, "done"), (3000, ""), (4999, "ünïcödé \U0001f9f6")]
CLOSED = [(1001, "going"), (3001, ""), (4998, "z\u0301 中文")]

# What the last offer asks for is the least of everything: no window outlives a message, and the windows are 512 bytes.
DEFLATE_OFFERS = [{}, {"client_max_window_bits": True}, {"server_no_context_takeover": True, "client_no_context_takeover": True,
                                                        "server_max_window_bits": 9, "client_max_window_bits": 9}]
# Equal messages in a row, so that a window that is carried over is used; what does not compress; nothing; longer than any window.
COMPRESSIBLE = ["", "x", *['{"user": "ünïcödé", "text": "hello hello hello"}'] * 3, bytes(range(256)) * 4, "to and fro " * 20000, b"\0" * (1 << 20)]


async def server():
    async def handle(connection):
        path = connection.request.path
        try:
            async for message in connection:
                await HANDLERS[path](connection, message)
        except ConnectionClosed:
            pass
        print("ended %s %s %s" % (path, connection.close_code, connection.close_reason), flush=True)

    def select(_, offered):
        return "interop" if "interop" in offered else None

    async with serve(handle, "127.0.0.1", 0, select_subprotocol=select, max_size=2 << 20) as started:
        print("listening on ws://127.0.0.1:%d" % started.sockets[0].getsockname()[1], flush=True)
        await started.serve_forever()


async def echo(connection, message):
    await connection.send(message)


async def echo_in_fragments(connection, message):
    await connection.send([message[at:at + 1000] for at in range(0, len(message), 1000)] or [message])


async def ping_back(connection, message):
    await (await connection.ping(message))
    await connection.send("pong: " + message)


async def close_as_told(connection, message):
    code, _, reason = message.partition(" ")
    await connection.close(int(code), reason)


HANDLERS = {"/": echo, "/fragments": echo_in_fragments, "/pinged": ping_back, "/closed": close_as_told}


async def sizes(url):
    async with connect(url + "/", max_size=2 << 20) as connection:
        for size in SIZES:
            for message in ("x" * size, bytes(n % 251 for n in range(size))):
                await connection.send(message)
                assert await connection.recv() == message, size


async def fragments(url):
    async with connect(url + "/", max_size=2 << 20) as connection:
        for parts in (["a", "", "ü", ""], ["x" * 1000] * 1000, [b"", b"1", b"2" * 65536, b""]):
            await connection.send(parts)
            assert await connection.recv() == type(parts[0])().join(parts)


async def ping(url):
    async with connect(url + "/") as connection:
        for payload in (b"", b"\x00\xff", b"x" * 125):
            await (await connection.ping(payload))


async def pinged(url):
    async with connect(url + "/pinged") as connection:
        await connection.send("are you there?")
        assert await connection.recv() == "pong: are you there?"


async def close(url):
    for code, reason in CLOSES:
        connection = await connect(url + "/")
        await connection.close(code, reason)
        assert connection.close_code == code, connection.close_code


async def closed(url):
    for code, reason in CLOSED:
        async with connect(url + "/closed") as connection:
            await connection.send("%d %s" % (code, reason))
            try:
                message = await connection.recv()
            except ConnectionClosed as end:
                assert (end.rcvd.code, end.rcvd.reason) == (code, reason), end
            else:
                raise AssertionError("a message where a Close frame was due: %r" % message)


async def deflate(url):
    for offer in DEFLATE_OFFERS:
        async with connect(url + "/", compression=None, extensions=[ClientPerMessageDeflateFactory(**offer)], max_size=2 << 20) as connection:
            assert [extension.name for extension in connection.protocol.extensions] == ["permessage-deflate"]
            for message in COMPRESSIBLE:
                await connection.send(message)
                assert await connection.recv() == message, (offer, len(message))


async def subprotocol(url):
    async with connect(url + "/", subprotocols=["other", "interop"]) as connection:
        assert connection.subprotocol == "interop", connection.subprotocol


SCENARIOS = {scenario.__name__: scenario for scenario in (sizes, fragments, ping, pinged, close, closed, subprotocol, deflate)}

if sys.argv[1] == "server":
    asyncio.run(server())
else:
    asyncio.run(SCENARIOS[sys.argv[3]](sys.argv[2]))
