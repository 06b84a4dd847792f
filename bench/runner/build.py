"""Builds and installs what the chosen servers need, and nothing else."""

import shutil
import subprocess
import sys

from harness.places import ROOT

from .servers import JS

SETUP = str(ROOT / "compliance" / "setup")


def prepare(servers, trunklines):
    kinds = {server.version[0] for server in servers}
    run("cargo", "build", "--release", "--package", "trunkline-bench-load", "--package", "trunkline-bench-floor")
    if "trunkline" in kinds and any(path is None for path in trunklines.values()):
        run("cargo", "build", "--release", "--package", "trunkline-cli", "--bin", "trunkline")
    if "crate" in kinds:
        manifest = ("--locked", "--manifest-path", "bench/peers/Cargo.toml")
        run("cargo", "build", "--release", *manifest)
        if any(server.name == "sockudo-mimalloc" for server in servers):
            run("cargo", "build", "--release", *manifest, "--bin", "sockudo", "--features", "sockudo-mimalloc",
                "--target-dir", "bench/peers/target/mimalloc")
    if "npm" in kinds:
        if not (shutil.which("node") and shutil.which("npm")):
            run(SETUP, "debian", "nodejs=node", "npm=npm")
        run(SETUP, "node", str(JS))


def run(*command):
    try:
        subprocess.run(command, cwd=ROOT, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit("bench: %s" % error)
