"""Other people's proxies, each with the file that docs/paths has for it, on ports of the check's own."""

import contextlib
import os
import re
import tempfile
from pathlib import Path

from harness.places import ROOT
from harness.process import free_port, running, wait_until_listening

SNIPPETS = ROOT / "docs" / "paths"
# What stands in the snippets for the two ends.
FRONT, BACK = "8080", "8101"


class Way:
    """One way to the server: where to come in, and what is known of it."""

    def __init__(self, name, port, doors=None, connect=None):
        self.name, self.port, self.doors = name, port, doors
        # host:port to CONNECT to, for a forward proxy.
        self.connect = connect


def snippet(name, front, back, change=lambda text: text):
    """A file of docs/paths with these ports."""
    text = change((SNIPPETS / name).read_text())
    return re.sub(r"\b%s\b" % BACK, str(back), re.sub(r"\b%s\b" % FRONT, str(front), text))


@contextlib.contextmanager
def started(name, command, port, **options):
    with running(command, "paths-" + name, **options) as (process, _):
        wait_until_listening(port, process)
        yield port


@contextlib.contextmanager
def nginx(name, back, change=lambda text: text):
    with folder() as place:
        front = free_port()
        text = snippet("nginx-stream.conf" if "stream" in name else "nginx.conf", front, back, change)
        if "stream" not in name:
            temporary = "\n".join("%s_temp_path %s/%s;" % (kind, place, kind) for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            text = "http {\naccess_log off;\n%s\n%s\n}" % (temporary, text)
        modules = "/usr/lib/nginx/modules/ngx_stream_module.so"
        load = "load_module %s;\n" % modules if "stream" in name and os.path.exists(modules) else ""
        conf = place / "nginx.conf"
        conf.write_text("%sdaemon off;\npid %s/pid;\nerror_log stderr warn;\nmaster_process off;\nevents {}\n%s\n" % (load, place, text))
        with started(name, ["/usr/sbin/nginx", "-p", str(place), "-e", "stderr", "-c", str(conf)], front) as port:
            yield port


@contextlib.contextmanager
def haproxy(name, back, file="haproxy.cfg", change=lambda text: text):
    with folder() as place:
        front = free_port()
        conf = place / "haproxy.cfg"
        conf.write_text(snippet(file, front, back, change))
        with started(name, ["/usr/sbin/haproxy", "-db", "-f", str(conf)], front) as port:
            yield port


@contextlib.contextmanager
def apache(name, back, change=lambda text: text):
    with folder() as place:
        front = free_port()
        modules = "/usr/lib/apache2/modules"
        wanted = ["mpm_event", "authz_core", "proxy", "proxy_http", "headers"]
        loads = "\n".join("LoadModule %s_module %s/mod_%s.so" % (module, modules, module) for module in wanted)
        user = "User www-data\nGroup www-data\n" if os.geteuid() == 0 else ""
        conf = place / "apache.conf"
        head = "ServerRoot %s\nServerName localhost\nPidFile %s/pid\nMutex file:%s\nErrorLog /dev/stderr\n" % (place, place, place)
        conf.write_text("%s%s%s\n%s" % (head, user, loads, snippet("apache.conf", front, back, change)))
        with started(name, ["/usr/sbin/apache2", "-DFOREGROUND", "-f", str(conf)], front) as port:
            yield port


@contextlib.contextmanager
def varnish(name, back):
    with folder() as place:
        front = free_port()
        (place / "varnish.vcl").write_text(snippet("varnish.vcl", front, back))
        options = ["-a", "127.0.0.1:%d" % front, "-f", str(place / "varnish.vcl"), "-p", "pipe_timeout=75"]
        command = ["/usr/sbin/varnishd", "-F", "-j", "none", "-n", str(place / "work"), "-T", "none", *options]
        with started(name, command, front) as port:
            yield port


@contextlib.contextmanager
def caddy(name, back):
    with folder() as place:
        front = free_port()
        (place / "Caddyfile").write_text("{\n    admin off\n    auto_https off\n}\n" + snippet("Caddyfile", front, back))
        command = ["/usr/bin/caddy", "run", "--adapter", "caddyfile", "--config", str(place / "Caddyfile")]
        with started(name, command, front, env=os.environ | {"HOME": str(place), "XDG_DATA_HOME": str(place), "XDG_CONFIG_HOME": str(place)}) as port:
            yield port


@contextlib.contextmanager
def squid(name, back):
    with folder() as place:
        front = free_port()
        own = "visible_hostname localhost\npid_filename none\naccess_log none\ncache_log %s/cache.log\ncoredump_dir %s\nshutdown_lifetime 0 seconds\n"
        (place / "squid.conf").write_text(own % (place, place) + snippet("squid.conf", front, back))
        with started(name, ["/usr/sbin/squid", "-N", "-f", str(place / "squid.conf")], front, cwd=place) as port:
            yield port


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory(prefix="trunkline-paths-") as path:
        # Some leave root behind and still have to read here.
        os.chmod(path, 0o777)
        yield Path(path)
