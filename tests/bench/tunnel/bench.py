#!/usr/bin/env python3
"""Measures the tunnel's data plane against other userspace WireGuard programs, in one run on one machine.

Two network namespaces with one veth pair between them; in each a daemon; iperf3 and ping through the tunnel. The link
takes no super-packets, as a plain network card does not: the kernel cuts them before it and puts them together behind it. Needs root, ip, wg, ethtool,
ping, iperf3, openssl. See docs/performance.md.
"""

import argparse
import base64
import json
import os
import pathlib
import subprocess
import sys
import time

SPACES = ("speed-bench-edge", "speed-bench-home")
OUTER = ("192.0.2.1", "192.0.2.2")
INNER = ("10.118.0.1", "10.118.0.2")
PORT, MTU = 51820, 1380
TICKS = os.sysconf("SC_CLK_TCK")


def run(*command, space=None, check=True, **options):
    prefix = ["ip", "netns", "exec", space] if space else []
    return subprocess.run([*prefix, *command], check=check, capture_output=True, text=True, **options)


def start(*command, space, log):
    command = ["ip", "netns", "exec", space, *command]
    return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def make_link():
    remove_link()
    for space in SPACES:
        run("ip", "netns", "add", space)
        run("ip", "link", "set", "lo", "up", space=space)
    run("ip", "link", "add", "wire", "netns", SPACES[0], "type", "veth", "peer", "name", "wire", "netns", SPACES[1])
    for space, address in zip(SPACES, OUTER):
        run("ip", "addr", "add", f"{address}/24", "dev", "wire", space=space)
        run("ethtool", "-K", "wire", "tso", "off", "tx-udp-segmentation", "off", "gro", "on", space=space)
        run("ip", "link", "set", "wire", "up", space=space)


def remove_link():
    for space in SPACES:
        run("ip", "netns", "del", space, check=False)


class Ours:
    """Both ends of our own tunnel."""

    def __init__(self, name, program):
        self.name, self.program = name, program

    def start(self, log):
        edge = start(self.program, "edge", space=SPACES[0], log=log)
        home = start(self.program, "home", f"{OUTER[0]}:{PORT}", space=SPACES[1], log=log)
        return edge, home


class Stock:
    """Both ends of a WireGuard program that `wg` configures."""

    def __init__(self, name, *command):
        self.name, self.command = name, command

    def start(self, log):
        daemons = []
        keys = [base64.b64encode(bytes([n] * 32)).decode() for n in (1, 2)]
        public = [run("wg", "pubkey", input=key).stdout.strip() for key in keys]
        for us, peer in ((0, 1), (1, 0)):
            # The programs name their control socket after the interface, so the two ends have different names.
            space, interface = SPACES[us], f"tunnel{us}"
            daemons.append(start(*self.command, interface, space=space, log=log))
            wait(lambda: run("wg", "show", interface, check=False).returncode == 0, f"{self.name} on {interface}")
            run("wg", "set", interface, "listen-port", str(PORT), "private-key", "/dev/stdin", "peer", public[peer],
                "endpoint", f"{OUTER[peer]}:{PORT}", "allowed-ips", "0.0.0.0/0", input=keys[us])
            run("ip", "addr", "add", INNER[us], "peer", INNER[peer], "dev", interface, space=space)
            run("ip", "link", "set", interface, "mtu", str(MTU), "up", space=space)
        return daemons


def wait(condition, what, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"bench: {what} is not ready after {seconds} s")
        time.sleep(0.05)


def processor_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_megabytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def ping(count):
    """Round trips in microseconds, p50 and p99."""
    output = run("ping", "-n", "-i", "0.01", "-c", str(count), INNER[1], space=SPACES[0]).stdout
    times = sorted(float(line.split("time=")[1].split()[0]) * 1000 for line in output.splitlines() if "time=" in line)
    return times[len(times) // 2], times[len(times) * 99 // 100]


def transfer(flows, is_reverse, seconds, daemons):
    """Gbit/s, and processor seconds per GB of sender and receiver."""
    server = start("iperf3", "-s", "-1", space=SPACES[1], log=subprocess.DEVNULL)
    listening = lambda: ":5201" in run("ss", "-Hltn", space=SPACES[1]).stdout
    wait(listening, "iperf3's server")
    before = [processor_seconds(daemon.pid) for daemon in daemons]
    direction = ["-R"] if is_reverse else []
    command = ["iperf3", "-J", "-c", INNER[1], "-P", str(flows), "-t", str(seconds), *direction]
    result = json.loads(run(*command, space=SPACES[0]).stdout)
    used = [processor_seconds(daemon.pid) - start for daemon, start in zip(daemons, before)]
    server.wait(10)
    received = result["end"]["sum_received"]
    per_gigabyte = [seconds / (received["bytes"] / 1e9) for seconds in used]
    return received["bits_per_second"] / 1e9, *(reversed(per_gigabyte) if is_reverse else per_gigabyte)


def measure(contender, arguments, log):
    """Every metric of one program: {name: (unit, value)}."""
    make_link()
    daemons = contender.start(log)
    try:
        reach = lambda: run("ping", "-c", "1", "-W", "1", INNER[1], space=SPACES[0], check=False).returncode == 0
        wait(reach, f"{contender.name}'s tunnel")
        p50, p99 = ping(arguments.pings)
        found = {"idle ping, p50": ("µs", p50), "idle ping, p99": ("µs", p99)}
        for flows in (1, 8):
            for is_reverse in (False, True):
                label = f"{flows} flow{'s'[:flows > 1]}, {'home to edge' if is_reverse else 'edge to home'}"
                speed, sender, receiver = transfer(flows, is_reverse, arguments.seconds, daemons)
                found[label] = ("Gbit/s", speed)
                found[f"{label}, sender"] = ("CPU-s/GB", sender)
                found[f"{label}, receiver"] = ("CPU-s/GB", receiver)
        found["peak RSS"] = ("MB", max(peak_megabytes(daemon.pid) for daemon in daemons))
        return found
    finally:
        for daemon in daemons:
            daemon.terminate()
            daemon.wait(10)
        remove_link()


def cipher_floor():
    """Processor seconds per GB that ChaCha20-Poly1305 alone takes on one core, for packets of our MTU."""
    command = ["openssl", "speed", "-evp", "chacha20-poly1305", "-aead", "-bytes", str(MTU), "-seconds", "2"]
    thousands = run(*command).stdout.split()[-1].removesuffix("k")
    return 1e6 / float(thousands)


def report(ours, peers, floor):
    rows = []
    for metric, (unit, value) in ours.items():
        if unit == "CPU-s/GB":
            row = {"metric": metric, "unit": unit, "ours": round(value, 3), "peer": round(floor, 3)}
            rows.append(row | {"peer_name": "ChaCha20-Poly1305 alone", "ratio": round(value / floor, 3)})
    for metric, (unit, value) in ours.items():
        for name, found in peers.items():
            peer = found[metric][1]
            ratio = round(value / peer, 3) if peer else None
            row = {"metric": metric, "unit": unit, "ours": round(value, 3), "peer": round(peer, 3)}
            rows.append(row | {"peer_name": name, "ratio": ratio})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True, help="the built example tunnel_end")
    parser.add_argument("--boringtun", help="boringtun-cli")
    parser.add_argument("--wireguard-go", help="wireguard-go")
    parser.add_argument("--seconds", type=int, default=4, help="of each transfer")
    parser.add_argument("--pings", type=int, default=300)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    contenders = [Ours("postern", arguments.program)]
    if arguments.boringtun:
        # Its default of four threads halves its speed; one is its best.
        contenders.append(Stock("boringtun-cli", arguments.boringtun, "-f", "-t", "1", "--disable-drop-privileges"))
    if arguments.wireguard_go:
        contenders.append(Stock("wireguard-go", arguments.wireguard_go, "-f"))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    results = {}
    with open(arguments.output.with_suffix(".log"), "w") as log:
        for contender in contenders:
            results[contender.name] = measure(contender, arguments, log)
            print(contender.name)
            for metric, (unit, value) in results[contender.name].items():
                print(f"  {metric:<34}{value:>10.2f} {unit}", flush=True)
    floor = cipher_floor()
    print(f"ChaCha20-Poly1305 alone: {floor:.2f} CPU-s/GB")
    rows = report(results.pop("postern"), results, floor)
    arguments.output.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
