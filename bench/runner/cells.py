"""What is measured: each cell is one load, the same for all servers."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cell:
    name: str
    heading: str
    # Arguments of trunkline-bench-load, its mode first.
    load: tuple
    # What the servers have to offer: echo, handshake, deflate, hub, hub-idle.
    needs: str = "echo"
    # Another load for the floor, which has no hub.
    floor_load: tuple = ()
    # The figure of the load's report that is compared, and the unit it is shown in.
    figure: str = "cpu_ns_per_message"
    unit: str = "ns"
    full_only: bool = False
    # Whether the load takes --duration and --warm-up.
    timed: bool = True
    # Rounds, where those of the others would only cost time.
    repeats: int | None = None
    # Seconds it may take besides what it is told to.
    patience: int = 60
    # At least so many seconds of measuring.
    seconds: float = 0


def echo(name, heading, *load, **more):
    return Cell(name, heading, ("echo", *map(str, load)), **more)


def deflate(name, heading, context, in_flight, **more):
    return echo(name, heading, "--connections", 100, "--size", 1024, "--kind", "json", "--deflate", context,
                "--in-flight", in_flight, needs="deflate", **more)


def fanout(name, heading, subscribers, *more, **options):
    load = ("--subscribers", str(subscribers), *more)
    return Cell(name, heading, ("fanout", *load), needs="hub", floor_load=("sends", *load, "--size", str(PUSH)),
                figure="cpu_ns_per_delivery", unit="ns a delivery", patience=180, **options)


# Bytes of the push in which the hub delivers 128 bytes of data: what the floor sends. The load reports it as payload_bytes.
PUSH = 214

ALL = [
    echo("16x1", "100 x 16 B", "--connections", 100, "--size", 16),
    echo("16x16", "100 x 16 B, 16 in flight", "--connections", 100, "--size", 16, "--in-flight", 16),
    echo("1kx16", "100 x 1 KiB, 16 in flight", "--connections", 100, "--size", 1024, "--in-flight", 16),
    echo("ascii", "100 x 1 KiB ASCII text, 16 in flight", "--connections", 100, "--size", 1024, "--kind", "ascii",
         "--in-flight", 16, full_only=True),
    echo("utf8", "100 x 1 KiB non-ASCII text, 16 in flight", "--connections", 100, "--size", 1024, "--kind", "utf8",
         "--in-flight", 16),
    echo("16kx16", "100 x 16 KiB, 16 in flight", "--connections", 100, "--size", 16384, "--in-flight", 16),
    echo("256kx1", "100 x 256 KiB", "--connections", 100, "--size", 262144, full_only=True),
    echo("1000x1", "1,000 x 16 B", "--connections", 1000, "--size", 16),
    echo("10000x1", "10,000 x 125 B", "--connections", 10000, "--size", 125, full_only=True),
    deflate("deflate", "deflate 1 KiB JSON, no context", "no-context", 1),
    deflate("deflate-context", "deflate 1 KiB JSON, own context", "context", 1, full_only=True),
    deflate("deflatex16", "deflate 1 KiB JSON, no context, 16 in flight", "no-context", 16, full_only=True),
    Cell("idle", "10,000 idle connections", ("idle", "--connections", "10000"), figure="bytes_per_connection", unit="bytes",
         timed=False, repeats=1, patience=180),
    Cell("idle-deflate", "the same with compression agreed on", ("idle", "--connections", "10000", "--deflate", "context"),
         needs="deflate", figure="bytes_per_connection", unit="bytes", timed=False, repeats=1, patience=180, full_only=True),
    fanout("fanout-1000", "one channel, 1,000 subscribers, 128 B", 1000, seconds=2),
    fanout("fanout-10000", "one channel, 10,000 subscribers, 128 B", 10000, seconds=5, full_only=True),
    fanout("fanout-paced", "1,000 subscribers, 20 publications a second", 1000, "--rate", "20", seconds=5, full_only=True),
    Cell("hub-idle", "10,000 idle peers with a subscription", ("idle", "--hub", "--connections", "10000"), needs="hub-idle",
         figure="bytes_per_connection", unit="bytes", timed=False, repeats=1, patience=300, full_only=True),
    Cell("handshake", "opening and closing", ("handshake",), needs="handshake", figure="cpu_ns_per_handshake", unit="us each"),
]
