"""Runs every cell in rounds: in each, every server once, so that what changes on the machine changes for all."""

import contextlib
import json
import os
import resource
import statistics
import subprocess
import time

from harness.places import TARGET
from harness.process import port_announced, running

from . import machine

LOAD = str(TARGET / "trunkline-bench-load")
DESCRIPTORS = 20_000
FLOOR = "floor"
# A machine that others share changes its pace every few seconds: a ratio is to what was measured within two.
BETWEEN_FLOORS = 2


class Run:
    def __init__(self, cells, servers, options):
        self.cells, self.servers, self.options = cells, servers, options
        self.failed = False
        # By cell and server, a report of each round: a dict, with "error" in place of figures where it failed.
        self.rounds = {cell.name: {} for cell in cells}

    def cell_by_cell(self):
        """Yields after each."""
        raise_descriptor_limit()
        for cell in self.cells:
            able = [server for server in self.servers if cell.needs in server.commands]
            print("\n%s (%s)" % (cell.heading, cell.name), flush=True)
            for number in range(cell.repeats or self.options.repeats):
                self.round(cell, able, number)
            for server in able:
                print("  %-20s %s" % (server.name, self.in_words(cell, server)), flush=True)
            yield cell

    def round(self, cell, able, number):
        """Every server once; the floor before the first, after the last, and after every few in between."""
        floor = next((server for server in able if server.name == FLOOR), None)
        others = [server for server in able if server is not floor]
        # Nobody is always measured after the same one.
        turn = number * 5 % max(1, len(others))
        others = others[turn:] + others[:turn]
        before, group = floor and self.measure(cell, floor), []
        for index, server in enumerate(others, 1):
            group.append(self.measure(cell, server))
            # What does not depend on the moment is measured once.
            if cell.timed and floor and (index % BETWEEN_FLOORS == 0 or index == len(others)):
                after = self.measure(cell, floor)
                compare(group, cell.figure, before, after)
                before, group = after, []
        if floor:
            compare(group, cell.figure, before, before)

    def measure(self, cell, server):
        try:
            found = measure(cell, server, self.options)
        except Exception as error:  # the other servers are still to be measured
            found = {"error": "%s: %s" % (type(error).__name__, error)}
        self.failed |= "error" in found
        self.rounds[cell.name].setdefault(server.name, []).append(found)
        return found

    def in_words(self, cell, server):
        rounds = self.rounds[cell.name][server.name]
        errors = [found["error"] for found in rounds if "error" in found]
        figures = [found[cell.figure] for found in rounds if cell.figure in found]
        words = "%10.0f  (%s)" % (statistics.median(figures), " ".join("%.0f" % figure for figure in figures)) if figures else ""
        return words + "".join("\n      FAILED: " + error for error in errors)

    def results(self, facts):
        return {
            "machine": facts,
            "repeats": self.options.repeats,
            "seconds": self.options.seconds,
            "servers": [
                {"name": server.name, "heading": server.heading, "version": machine.version(server)} for server in self.servers
            ],
            "cells": [
                {"name": cell.name, "heading": cell.heading, "figure": cell.figure, "unit": cell.unit,
                 "load": list(cell.load), "rounds": self.rounds[cell.name]} for cell in self.cells
            ],
        }


def compare(group, figure, before, after):
    """Notes with each of what was measured between two floors its ratio to them."""
    floors = [floor[figure] for floor in (before, after) if figure in floor]
    for found in group:
        if figure in found and any(floors):
            found["to_floor"] = found[figure] / statistics.mean(floors)


def measure(cell, server, options):
    command = [part.replace("ADDRESS", "127.0.0.1:0") for part in server.commands[cell.needs]]
    alone = placed(options.server_core, options.polite)
    with running(command, "bench-" + server.name, preexec_fn=alone, env=os.environ | server.environment) as (process, log):
        port = port_announced(process, log)
        load = cell.floor_load if cell.floor_load and server.name == "floor" else cell.load
        command = [LOAD, "--address", "127.0.0.1:%d" % port, "--pid", str(process.pid), *load]
        seconds = max(options.seconds, cell.seconds)
        if cell.timed:
            command += ["--duration", str(seconds), "--warm-up", str(min(0.5, seconds / 2))]
        found = subprocess.run(command, capture_output=True, text=True, timeout=seconds + cell.patience,
                               preexec_fn=placed(options.load_core, options.polite))
    # The end of thousands of connections is not over with their processes.
    time.sleep(0.1)
    try:
        return json.loads(found.stdout)
    except ValueError:
        return {"error": "the load ended with %d: %s" % (found.returncode, found.stderr.strip())}


def placed(core, polite):
    """For a child process before it starts: on one core, and before all others there if the system allows that."""
    def place():
        os.sched_setaffinity(0, {core})
        if polite:
            return
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, -20)
            # Linux weighs sessions against each other first, and then the processes in each.
            os.setsid()
            with open("/proc/self/autogroup", "w") as autogroup:
                autogroup.write("-20")
    return place


def raise_descriptor_limit():
    """For the children: ten thousand connections and a few more, and no more than that."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
