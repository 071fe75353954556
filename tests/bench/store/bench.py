#!/usr/bin/env python3
"""Measures the mailbox store and IMAP beside Dovecot: the same generated mail, the same client, one machine, one run.

Each figure is a ratio, ours to Dovecot's, beside the bar that it has to meet; the last ones have fixed bars. The rows
that a server does not offer are said to be missing. See docs/performance.md.
"""

import argparse
import json
import os
import pathlib
import re
import sys
import tempfile
import time

from corpus import RARE, Corpus
from delivery import delivery_rates
from imap import Imap
from push import figures as push_figures
from servers import PASSWORD, USER, Dovecot, Postern

SERVERS = ("Postern", "Dovecot")
HEADERS = "BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE MESSAGE-ID REFERENCES)]"

# Step, commands before it that are not measured, the command, and the ratio to Dovecot that it may have.
STEPS = [
    ("SELECT", [], "SELECT INBOX", 0.05),
    ("SELECT again", [], "SELECT INBOX", None),
    ("FETCH FLAGS", [], "UID FETCH 1:* (FLAGS)", 1.0),
    ("FETCH ENVELOPE", [], "FETCH 1:* (FLAGS UID ENVELOPE)", 0.05),
    ("FETCH ENVELOPE again", [], "FETCH 1:* (FLAGS UID ENVELOPE)", 1.0),
    ("FETCH header fields", [], f"UID FETCH 1:* ({HEADERS})", 1.0),
    ("FETCH header fields again", [], f"UID FETCH 1:* ({HEADERS})", 1.0),
    ("FETCH BODYSTRUCTURE", [], "FETCH 1:* (BODYSTRUCTURE)", None),
    ("FETCH everything", [], "UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])", 1.0),
    ("SEARCH TEXT rare", [], f'UID SEARCH TEXT "{RARE}"', 0.001),
    ("SEARCH TEXT common", [], 'UID SEARCH TEXT "the"', None),
    ("SEARCH SUBJECT", [], 'UID SEARCH SUBJECT "subject"', None),
    ("SEARCH SINCE", [], "UID SEARCH SINCE 1-Jan-2015", None),
    ("SORT date", [], "UID SORT (REVERSE DATE) UTF-8 ALL", 0.05),
    ("THREAD references", [], "UID THREAD REFERENCES UTF-8 ALL", 0.03),
    ("STORE all", [], r"UID STORE 1:* +FLAGS.SILENT (\Flagged)", 0.5),
    ("COPY all", ["CREATE copies"], "UID COPY 1:* copies", 0.35),
    ("MOVE all", ["CREATE moved", "SELECT copies"], "UID MOVE 1:* moved", 0.2),
    ("EXPUNGE all", ["SELECT moved", r"UID STORE 1:* +FLAGS.SILENT (\Deleted)"], "EXPUNGE", 0.7),
]


def capabilities(client):
    return client.do("CAPABILITY")[0][0].decode().split()


def hits(lines):
    """How many messages SEARCH found, whichever form it answers in."""
    found = 0
    for line in lines:
        if line.startswith(b"* SEARCH"):
            found += len(line.split()) - 2
        elif match := re.search(rb"\* ESEARCH.* ALL (\S+)", line):
            for part in match[1].split(b","):
                first, _, last = part.partition(b":")
                found += abs(int(last or first) - int(first)) + 1
    return found


def settle(server):
    """Waits until what the server does behind the mail, an index for instance, is done."""
    deadline, before = time.monotonic() + 120, -1.0
    while time.monotonic() < deadline and (now := server.processor_seconds()) - before > 0.05:
        before = now
        time.sleep(2)


def measure(server, count):
    """Seconds, processor seconds and answers of each step."""
    figures, client = {}, Imap(server.port, USER, PASSWORD)
    before, start = server.processor_seconds(), time.monotonic()
    octets = client.append(Corpus(count))
    figures["load"] = {"seconds": time.monotonic() - start, "processor": server.processor_seconds() - before}
    figures["octets"] = octets
    client.close()
    settle(server)
    # What both keep in memory for a mailbox that is open goes; what is on the disk stays in the page cache of both.
    server.stop()
    figures["disk"] = server.disk_octets() / octets
    server.up()
    client = Imap(server.port, USER, PASSWORD)
    time.sleep(1)
    figures["PSS at rest"] = server.pss_megabytes()
    offered, most = capabilities(client), 0.0
    for name, preparation, command, _ in STEPS:
        extension = name.split()[0]
        if extension in ("SORT", "THREAD") and not any(one.startswith(extension) for one in offered):
            continue
        for line in preparation:
            client.do(line)
        before, start = server.processor_seconds(), time.monotonic()
        lines, received = client.do(command)
        figures[name] = {"seconds": time.monotonic() - start, "processor": server.processor_seconds() - before, "octets": received}
        if "SEARCH" in name:
            figures[name]["hits"] = hits(lines)
        most = max(most, server.pss_megabytes())
    figures["PSS while reading"] = most
    client.close()
    return figures


def verdict(value, bar, smaller_is_better=True):
    if bar is None:
        return ""
    return "passed" if (value <= bar) == smaller_is_better else "MISSED"


def compare(ours, theirs):
    rows = [("load", 0.25)] + [(name, bar) for name, _, _, bar in STEPS]
    for name, bar in rows:
        if name not in ours or name not in theirs:
            yield name, None, bar, "MISSED (not offered)" if bar else "not offered", ""
            continue
        a, b = ours[name], theirs[name]
        ratio = a["seconds"] / b["seconds"]
        note = f"{a['seconds']:.4f} s to {b['seconds']:.4f} s; processor {a['processor']:.2f} s to {b['processor']:.2f} s"
        if a.get("hits") != b.get("hits"):
            note += f"; finds {a['hits']} to {b['hits']}"
        yield name, ratio, bar, verdict(ratio, bar), note
    for name, bar, unit in (("disk", 0.6, "of the octets"), ("PSS at rest", 40, "MB"), ("PSS while reading", 80, "MB")):
        yield name, ours[name], bar, verdict(ours[name], bar), f"{unit}; Dovecot {theirs[name]:.2f}"
    for name, bar, rate in ours["delivery"]:
        yield name, rate, bar, verdict(rate, bar, smaller_is_better=False), "messages a second, each durable"
    for name, bar, value in ours["push"]:
        yield name, value, bar, verdict(value, bar), ""


def table(ours, theirs):
    """The rows of target/bench/store.json; `ratio` is ours / peer."""
    def row(metric, unit, a, b):
        return {"metric": metric, "unit": unit, "ours": a, "peer": b, "peer_name": "Dovecot", "ratio": a / b if b else None}

    for name in ["load"] + [step[0] for step in STEPS]:
        for key, unit in (("seconds", "s"), ("processor", "CPU-s")):
            if name in ours and name in theirs:
                yield row(f"{name}: {key}", unit, ours[name][key], theirs[name][key])
    for name, unit in (("disk", "octets on disk/octet"), ("PSS at rest", "MB"), ("PSS while reading", "MB")):
        yield row(name, unit, ours[name], theirs[name])
    for name, _, rate in ours["delivery"]:
        yield {"metric": name, "unit": "messages/s", "ours": rate, "peer": None, "peer_name": None, "ratio": None}
    for name, _, value in ours["push"]:
        metric, _, unit = name.rpartition(", ")
        yield {"metric": metric, "unit": unit, "ours": value, "peer": None, "peer_name": None, "ratio": None}


def kept(options, name):
    """The figures of one server, so that the two can be measured one after the other."""
    return options.output.with_suffix(f".{name.lower()}.json")


def run(name, folder, options):
    server = Postern(14993, folder, options.program) if name == "Postern" else Dovecot(15993, folder)
    try:
        figures = measure(server, options.messages)
        if name == "Postern":
            figures["delivery"] = delivery_rates(server.smtp_port, USER)
            server.stop()
            server.up()
            settle(server)
            figures["push"] = push_figures(server)
        return figures
    finally:
        server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True, help="postern-home, as it runs in production")
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--only", choices=SERVERS, help="measure this one now, and print what is known of both")
    options = parser.parse_args()
    if os.geteuid():
        sys.exit("bench: Dovecot has to be started as root")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    results = {}
    for name in (options.only,) if options.only else SERVERS:
        with tempfile.TemporaryDirectory(dir=options.output.parent.resolve()) as folder:
            kept(options, name).write_text(json.dumps(run(name, pathlib.Path(folder), options)))
    for name in SERVERS:
        if not kept(options, name).exists():
            return print(f"bench: {name} is still to be measured")
        results[name] = json.loads(kept(options, name).read_text())
    rows = list(compare(results["Postern"], results["Dovecot"]))
    for name, value, bar, judged, note in rows:
        print(f"{name:42} {'' if value is None else f'{value:10.4f}':>10}  {'' if bar is None else f'bar {bar:g}':12} {judged:8} {note}")
    options.output.write_text(json.dumps(list(table(results["Postern"], results["Dovecot"])), indent=1) + "\n")


if __name__ == "__main__":
    main()
