"""What it was measured on, and of which versions."""

import json
import os
import platform
import re
import subprocess
import tomllib
from datetime import datetime, timezone

from harness.places import ROOT


def facts():
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "rustc": output("rustc", "--version"),
        "commit": output("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "load_average": os.getloadavg()[0],
    }


def version(server):
    kind, name = server.version
    if kind == "trunkline":
        return output(name, "--version").removeprefix("trunkline ")
    if kind == "crate":
        return locked_crate(name)
    if kind == "npm":
        packages = json.loads((ROOT / "bench" / "peers" / "js" / "package-lock.json").read_text())["packages"]
        return packages["node_modules/" + name]["version"] + (", node " + output("node", "--version") if name == "ws" else "")
    return ""


def locked_crate(name):
    with open(ROOT / "bench" / "peers" / "Cargo.lock", "rb") as lock:
        return next(package["version"] for package in tomllib.load(lock)["package"] if package["name"] == name)


def cpu_model():
    with open("/proc/cpuinfo") as lines:
        found = re.search(r"^model name\s*:\s*(.+)$", lines.read(), re.MULTILINE)
    return found.group(1) if found else platform.machine()


def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
