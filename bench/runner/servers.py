"""Who is measured."""

from dataclasses import dataclass, field

from harness.places import ROOT, TARGET, TRUNKLINE

PEERS = ROOT / "bench" / "peers" / "target" / "release"
# With sockudo-ws's own allocator: a feature, hence another build.
PEERS_MIMALLOC = ROOT / "bench" / "peers" / "target" / "mimalloc" / "release"
JS = ROOT / "bench" / "peers" / "js"

# The publisher of the load is one client; what one client may say in a second is not what is measured.
HUB = {"TRUNKLINE_LIMITS_COMMANDS_PER_S": "1000000", "TRUNKLINE_LIMITS_COMMANDS_BURST": "1000000"}


@dataclass(frozen=True)
class Server:
    name: str
    heading: str
    # Command by need; HOST:PORT is put in for ADDRESS. What is not in it, the server cannot do.
    commands: dict
    # Where its version stands: (kind, name).
    version: tuple
    full_only: bool = False
    environment: dict = field(default_factory=dict)


def all_servers(trunklines):
    """`trunklines`: name and path of each build to be measured; the path None is the one built here."""
    return [floor(), *(trunkline(name, path) for name, path in trunklines.items()), *peers()]


def floor():
    echo = [str(TARGET / "trunkline-bench-floor"), "echo", "ADDRESS"]
    sends = [echo[0], "sends", "ADDRESS"]
    return Server("floor", "raw epoll, no checks", {"echo": echo, "handshake": echo, "hub": sends}, ("floor", ""))


def trunkline(name, path):
    echo = [str(path or TRUNKLINE), "echo", "--listen", "ADDRESS"]
    serve = [echo[0], "serve", "--listen", "ADDRESS"]
    commands = {"echo": echo, "handshake": echo, "deflate": echo, "hub": serve, "hub-idle": serve}
    return Server(name, "trunkline echo, trunkline serve", commands, ("trunkline", echo[0]), environment=HUB)


def peers():
    return [
        rust("tungstenite", "default", "tungstenite", full_only=True, crate="tokio-tungstenite"),
        rust("tungstenite", "tuned", "tungstenite-tuned", crate="tokio-tungstenite"),
        rust("tokio-websockets", "", "tokio-websockets"),
        rust("fastwebsockets", "", "fastwebsockets", handshake="hyper"),
        rust("yawc", "plain", "yawc", full_only=True, handshake="hyper"),
        rust("yawc", "batch", "yawc-batch", handshake="hyper", deflate=True),
        rust("yawc", "tuned", "yawc-tuned", full_only=True, handshake=None, deflate=True),
        rust("sockudo", "", "sockudo", crate="sockudo-ws", deflate=True),
        rust("sockudo", "", "sockudo-mimalloc", folder=PEERS_MIMALLOC, full_only=True, crate="sockudo-ws", deflate=True),
        rust("soketto", "", "soketto"),
        rust("web-socket", "", "web-socket", handshake=None),
        javascript("node", "node.mjs", ["node"], "deflate", ("npm", "ws"), full_only=True),
        javascript("bun", "bun.mjs", [str(JS / "node_modules" / ".bin" / "bun")], "shared", ("npm", "bun")),
        javascript("bun-dedicated", "bun.mjs", [str(JS / "node_modules" / ".bin" / "bun")], "dedicated", ("npm", "bun"),
                   only="deflate", full_only=True),
    ]


def rust(program, variant, name, crate=None, folder=PEERS, handshake="", deflate=False, full_only=False):
    """`handshake`: the variant that does it as the library would have it; None if the library has none."""
    command = lambda variant: [str(folder / program), "ADDRESS", *([variant] if variant else [])]
    commands = {"echo": command(variant)}
    if handshake is not None:
        commands["handshake"] = command(handshake or variant)
    if deflate:
        commands["deflate"] = command(variant)
    return Server(name, "%s %s" % (crate or program, variant), commands, ("crate", crate or program), full_only)


def javascript(name, script, interpreter, deflate, version, only=None, full_only=False):
    plain = [*interpreter, str(JS / script), "ADDRESS"]
    commands = {"echo": plain, "handshake": plain, "deflate": [*plain, deflate]}
    commands = {need: command for need, command in commands.items() if only in (None, need)}
    return Server(name, " ".join(version), commands, version, full_only)
