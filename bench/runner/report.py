"""The tables: results.json has everything, results.md what is read."""

import json
import statistics



def write(results, folder):
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "results.md").write_text(markdown(results))


def markdown(results):
    facts = results["machine"]
    lines = [
        "# Benchmarks",
        "",
        "%(cpu)s, %(cores)d cores, Linux %(kernel)s, %(rustc)s, commit %(commit)s, %(date)s, load average %(load_average).1f." % facts,
        "Server and load on a core each; medians of %d interleaved rounds of %g s, the spread of a ratio in results.json (`to_floor`)." % (results["repeats"], results["seconds"]),
        "",
    ]
    by_message = [cell for cell in results["cells"] if cell["figure"] == "cpu_ns_per_message"]
    others = [cell for cell in results["cells"] if cell not in by_message]
    if by_message:
        lines += ["## ns of server CPU for each echo, and its ratio to the floor's before and after it", ""]
        lines += table(results, by_message, figure_and_ratio)
        compressed = [cell for cell in by_message if "--deflate" in cell["load"]]
        if compressed:
            lines += ["## Bytes that come back for a compressed KiB: who compresses less has less to do", ""]
            lines += table(results, compressed, received)
        lines += ["## Latency of an echo, p50 / p99 in microseconds, with the generator as fast as it can", ""]
        lines += table(results, by_message, latency)
        lines += ["## Echoes a second, in thousands; how busy server and generator were", ""]
        lines += table(results, by_message, throughput)
    if others:
        lines += ["## Memory of idle connections, CPU of handshakes and of deliveries (ratio to the floor)", ""]
        lines += table(results, others, figure_and_ratio, "unit")
    lines += failures(results)
    lines += ["## Versions", ""]
    lines += ["- %s: %s %s" % (server["name"], server["heading"], server["version"]) for server in results["servers"]]
    return "\n".join(lines) + "\n"


def table(results, cells, value, unit=None):
    head = ["server"] + [cell["heading"] + (": " + cell[unit] if unit else "") for cell in cells]
    rows = [[server["name"]] + [value(cell, server["name"]) for cell in cells] for server in results["servers"]]
    rows = [row for row in rows if any(row[1:])]
    return [line(head), line(["---"] * len(head))] + [line(row) for row in rows] + [""]


def line(columns):
    return "| %s |" % " | ".join(columns)


def figure_and_ratio(cell, name):
    figures = values(cell, name, cell["figure"])
    if not figures:
        return ""
    # Bytes are not a multiple of the floor's, which has next to none.
    ratios = values(cell, name, "to_floor") if cell["unit"] != "bytes" else []
    return figure(statistics.median(figures), cell["unit"]) + (" (%.2f)" % statistics.median(ratios) if ratios else "")


def latency(cell, name):
    p50, p99 = (values(cell, name, "latency_us", percentile) for percentile in ("p50", "p99"))
    return "%s / %s" % (number(statistics.median(p50)), number(statistics.median(p99))) if p50 else ""


def received(cell, name):
    found = values(cell, name, "wire", "received_per_message")
    return number(statistics.median(found)) if found else ""


def throughput(cell, name):
    figures = [values(cell, name, key) for key in ("per_second", "server_busy", "generator_busy")]
    if not figures[0]:
        return ""
    per_second, server, generator = map(statistics.median, figures)
    return "%s, %.0f %% / %.0f %%" % (number(per_second / 1000), server * 100, generator * 100)


def values(cell, name, *path):
    found = []
    for round_ in cell["rounds"].get(name, []):
        for key in path:
            round_ = round_.get(key, {}) if isinstance(round_, dict) else {}
        if isinstance(round_, (int, float)):
            found.append(round_)
    return found


def figure(value, unit):
    return number(value / 1000 if unit.startswith("us") else value)


def number(value):
    """Three digits that mean something."""
    return format(round(value), ",") if value >= 100 else "%.3g" % value


def failures(results):
    found = []
    for cell in results["cells"]:
        for name, rounds in cell["rounds"].items():
            errors = [round_["error"] for round_ in rounds if "error" in round_]
            if errors:
                found.append("- %s, %s: %d of %d rounds: %s" % (cell["heading"], name, len(errors), len(rounds), errors[0]))
    return ["## Failures", ""] + found + [""] if found else []
