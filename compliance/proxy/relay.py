"""TLS in front of something that has none: what `stunnel` is for, in the size that the checks need."""

import asyncio
import contextlib
import ssl
import subprocess
import threading


class Authority:
    """A certificate authority in a folder, with one certificate for this machine's names."""

    def __init__(self, folder):
        self.root, self._chain, self._key = folder / "ca.pem", folder / "server.pem", folder / "server.key"
        root_key, request = folder / "ca.key", folder / "server.csr"
        extensions = folder / "server.ext"
        extensions.write_text("subjectAltName=DNS:localhost,DNS:echo.test,IP:127.0.0.1\n")
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        openssl("req", "-x509", *key, "-keyout", root_key, "-out", self.root, "-days", "2", "-subj", "/CN=a test's own",
                "-addext", "basicConstraints=critical,CA:TRUE")
        openssl("req", *key, "-keyout", self._key, "-out", request, "-subj", "/CN=localhost")
        openssl("x509", "-req", "-in", request, "-CA", self.root, "-CAkey", root_key, "-CAcreateserial", "-days", "2",
                "-extfile", extensions, "-out", self._chain)

    def context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._chain, self._key)
        context.set_alpn_protocols(["http/1.1"])
        return context


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@contextlib.contextmanager
def tls_in_front_of(port, authority):
    """The port of a TLS server whose bytes go to `port`, for the length of a `with` block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def serve():
        async def connected(reader, writer):
            with contextlib.suppress(OSError):
                below_reader, below_writer = await asyncio.open_connection("127.0.0.1", port)
                await asyncio.gather(carry(reader, below_writer), carry(below_reader, writer))

        return await asyncio.start_server(connected, "127.0.0.1", 0, ssl=authority.context())

    server = asyncio.run_coroutine_threadsafe(serve(), loop).result()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


async def carry(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()
