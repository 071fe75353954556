#!/usr/bin/env python3
"""Measures how fast mail is taken, durably, beside Postfix's queue and Dovecot's LMTP: the same load, one machine, one disk,
one run, at 1, 20 and 200 connections.

Home does all its checks and delivers to the mailbox before its 250. Each row is a ratio to the better of the two, beside its bar.
"""

import argparse
import json
import os
import pathlib
import sys
import tempfile

from load import load
from peers import DovecotLmtp, Postfix
from servers import Postern

# Connections, and how many times the rate of the better peer it has to be.
BARS = {1: 1.0, 20: 2.0, 200: None}


def measure(server, port, messages, lmtp=False):
    """Messages a second and processor seconds a message, by connections; then the memory before and after as many again."""
    figures = {}
    load(port, 1, 20, lmtp)
    for connections in BARS:
        count = max(messages // 10, 20) if connections == 1 else messages
        before = server.processor_seconds()
        seconds = load(port, connections, count, lmtp)
        figures[connections] = (count / seconds, (server.processor_seconds() - before) / count)
    half = server.pss_megabytes()
    load(port, 20, messages, lmtp)
    return figures, half, server.pss_megabytes()


def servers(folder, program):
    """Each made, measured and stopped before the next."""
    yield lambda: (server := Postern(17993, folder, program), server.smtp_port, False)
    yield lambda: (Postfix(17025, folder), 17025, False)
    yield lambda: (DovecotLmtp(17024, folder), 17024, True)


def rows(results):
    ours, _, _ = results["Postern"]
    peers = {name: figures for name, (figures, _, _) in results.items() if name != "Postern"}
    for connections, bar in BARS.items():
        best = max(peers, key=lambda name: peers[name][connections][0])
        for at, (metric, unit) in enumerate([("accepted", "messages/s"), ("processor", "CPU-s/message")]):
            value, other = ours[connections][at], peers[best][connections][at]
            yield {"metric": f"{metric}, {connections} connection(s)", "unit": unit, "ours": value, "peer": other,
                   "peer_name": best, "ratio": value / other if other else None}, bar if at == 0 else None
    _, half, end = results["Postern"]
    yield {"metric": "memory: after / before as many messages again", "unit": "", "ours": end / half, "peer": None, "peer_name": None, "ratio": None}, None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True, help="postern-home, as it runs in production")
    parser.add_argument("--messages", type=int, default=4000)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    options = parser.parse_args()
    if os.geteuid():
        sys.exit("bench: Postfix and Dovecot have to be started as root")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    results = {}
    with tempfile.TemporaryDirectory(dir=options.output.parent.resolve()) as folder:
        for make in servers(pathlib.Path(folder), options.program):
            server, port, lmtp = make()
            try:
                results[server.name] = measure(server, port, options.messages, lmtp)
            except RuntimeError as error:
                sys.exit(f"bench: {server.name}: {error}: {server.log.read_text()[-2000:]}")
            finally:
                server.stop()
    table = list(rows(results))
    for row, bar in table:
        peer = "" if row["ratio"] is None else f"{row['peer_name']} {row['peer']:.5g}, ratio {row['ratio']:.2f}"
        print(f"{row['metric']:30} {row['ours']:10.5g} {row['unit']:14} {peer:34} {'' if bar is None else f'bar {bar:g}'}")
    options.output.write_text(json.dumps([row for row, _ in table], indent=1) + "\n")


if __name__ == "__main__":
    main()
