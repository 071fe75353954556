#!/usr/bin/env python3
"""Measures the tunnel's data plane against other userspace WireGuard programs, in one run on one machine.

Prints every figure, then which bars are passed and which are missed; writes the figures as JSON rows. Exits with 1 where
a bar is missed. Needs root, ip, ss, wg, ethtool, ping, iperf3, openssl. See docs/performance.md.
"""

import argparse
import json
import pathlib
import random
import statistics
import sys
from collections import defaultdict

import contenders
import link
import loads
import verdict

# Ping and transfers go in rounds in which every program has its turn, in an order drawn anew, since a machine's own speed
# drifts by a tenth and more; what counts is the median.
ROUNDS = 3


def main():
    arguments = parse()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with open(arguments.output.with_suffix(".log"), "w") as log:
        programs = list(chosen(arguments, log))
        results = in_rounds(programs, arguments.seconds, arguments.pings)
        for program in programs:
            results[program.name] |= once(program, max(2, arguments.seconds))
            show(program.name, results[program.name])
    floor = loads.cipher_floor()
    print(f"{verdict.CIPHER}: {floor:.2f} CPU-s/GB")
    ours = results.pop("postern")
    rows = verdict.rows(ours, results, floor)
    arguments.output.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    sys.exit(0 if judge(ours, results) else 1)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="the built example tunnel_end")
    parser.add_argument("--boringtun", help="boringtun-cli")
    parser.add_argument("--gotatun", help="gotatun")
    parser.add_argument("--wireguard-go", help="wireguard-go")
    parser.add_argument("--seconds", type=int, default=2, help="of each transfer in a round")
    parser.add_argument("--pings", type=int, default=150, help="in each round")
    parser.add_argument("--output", type=pathlib.Path, required=True)
    return parser.parse_args()


def chosen(arguments, log):
    yield contenders.Ours(arguments.program, log)
    if arguments.boringtun:
        # Its default of four threads halves its speed; one is its best.
        options = ("-f", "-t", "1", "--disable-drop-privileges")
        yield contenders.Stock("boringtun-cli", log, arguments.boringtun, *options)
    if arguments.gotatun:
        yield contenders.Stock("gotatun", log, arguments.gotatun, "-f", "--disable-drop-privileges")
    if arguments.wireguard_go:
        yield contenders.Stock("wireguard-go", log, arguments.wireguard_go, "-f")


def in_rounds(programs, seconds, pings):
    """What has a bar against the others: {program: {metric: (unit, value)}}."""
    rounds, round_trips, bare = defaultdict(list), defaultdict(list), []
    for _ in range(ROUNDS):
        bare += bare_link(pings)
        for program in random.sample(programs, len(programs)):
            with program:
                round_trips[program.name] += loads.ping(pings)
                found = carried(program, seconds)
            with program.over(link.WHOLE):
                rounds[program.name].append(found | loads.bulk(program, seconds))
    show("the link without a tunnel", quantiles(bare))
    return {name: quantiles(round_trips[name]) | together(found) for name, found in rounds.items()}


def carried(program, seconds):
    found = loads.bulk(program, seconds) | loads.paced(program, seconds)
    return found | {"peak RSS": ("MB", program.peak_megabytes())}


def together(rounds):
    """The median of all rounds; of peaks the highest."""
    over = lambda metric: max if metric.startswith("peak") else statistics.median
    return {metric: (unit, over(metric)(found[metric][1] for found in rounds))
            for metric, (unit, _) in rounds[0].items()}


def once(program, seconds):
    with program:
        found = loads.small(program, seconds)
        # Last, since it ends with a new process at home.
        return found | loads.flood(program, 2 * seconds)


def bare_link(count):
    link.make()
    try:
        return loads.ping(count, link.OUTER[link.HOME])
    finally:
        link.remove()


def quantiles(times):
    times = sorted(times)
    at = lambda share: times[int(len(times) * share)]
    return {"idle ping, p50": ("µs", at(0.5)), "idle ping, p99": ("µs", at(0.99))}


def show(name, found):
    print(name)
    for metric, (unit, value) in found.items():
        print(f"  {metric:<60}{value:>12.2f} {unit}", flush=True)


def judge(ours, peers):
    """Prints the bars; tells whether all are passed."""
    if not peers:
        return True
    found = list(verdict.bars(ours, peers))
    for asked, is_passed, figures in found:
        print(f"{'passed' if is_passed else 'MISSED'}  {asked}: {figures}")
    missed = sum(not is_passed for _, is_passed, _ in found)
    print(f"{len(found) - missed} bars passed, {missed} missed")
    return missed == 0


if __name__ == "__main__":
    main()
