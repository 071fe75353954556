#!/usr/bin/env python3
"""Measures the edge's name server beside NSD, Knot and BIND 9, with one signed zone, one core for each server.

dnsperf asks from the other core over loopback. The figure that compares is queries answered for each second of
processor time of the server (/proc/PID/stat, all its processes). Then `attack.py` measures ours under attack.
See docs/performance.md.
"""

import argparse
import json
import os
import pathlib
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import attack

ORIGIN = "home.example"
SERVER_CORE, LOAD_CORE = 0, 1
TICKS = os.sysconf("SC_CLK_TCK")
TYPES = "A AAAA CAA CNAME DNSKEY DS MX NS NSEC PTR RRSIG SOA SRV TLSA TXT".split()

# What resolvers and mail servers ask a mail domain for.
USUAL = """home.example MX|mail.home.example A|mail.home.example AAAA|home.example TXT|_dmarc.home.example TXT
sel1._domainkey.home.example TXT|_25._tcp.mail.home.example TLSA|home.example NS|home.example SOA|home.example DNSKEY
autoconfig.home.example A|_imaps._tcp.home.example SRV|mail.home.example TXT|ns1.home.example A|ns1.home.example AAAA
home.example CAA|x.wild.home.example TXT|sub.home.example A""".replace("\n", "|").split("|")


def run(*command, cwd, check=True):
    return subprocess.run(command, cwd=cwd, check=check, capture_output=True, text=True).stdout


def make_zone(source, folder):
    """The signed zone as a master file, `zone`, and as home pushes it, `zone.json`."""
    key = run("dnssec-keygen", "-q", "-a", "13", "-f", "KSK", ORIGIN, cwd=folder).strip()
    (folder / "plain").write_text(source.read_text() + f"\n$INCLUDE {key}.key\n")
    run("dnssec-signzone", "-P", "-z", "-q", "-o", ORIGIN, "-f", "zone", "plain", key, cwd=folder)
    lines = run("ldns-read-zone", *(word for name in TYPES for word in ("-u", name)), "zone", cwd=folder).splitlines()
    records = [octets_record(line.split()) for line in lines if "\t" in line]
    soa = next(record for record in records if record["type"] == "TYPE6")
    serial = int.from_bytes(attack.from_base64(soa["rdata"])[-20:-16], "big")
    (folder / "zone.json").write_text(json.dumps({"origin": f"{ORIGIN}.", "serial": serial, "records": records}))


def octets_record(fields):
    rdata = attack.to_base64(bytes.fromhex("".join(fields[6:])))
    return {"name": fields[0], "ttl": int(fields[1]), "type": fields[3], "rdata": rdata}


class Server:
    """A name server on one core."""

    def __init__(self, name, port, folder, *command):
        self.name, self.port, self.folder, self.command = name, port, folder, command

    def __enter__(self):
        log = open(self.folder / f"{self.name}.log", "w")
        self.child = subprocess.Popen(["taskset", "-c", str(SERVER_CORE), *self.command], cwd=self.folder, stdout=log, stderr=log)
        dig = ["dig", "@127.0.0.1", "-p", str(self.port), "+time=1", "+tries=1", "+short", ORIGIN, "SOA"]
        deadline = time.monotonic() + 20
        while not run(*dig, cwd=self.folder, check=False).startswith("ns1."):
            if time.monotonic() > deadline or self.child.poll() is not None:
                sys.exit(f"bench: {self.name} does not answer: {(self.folder / f'{self.name}.log').read_text()}")
            time.sleep(0.1)
        return self

    def __exit__(self, *_):
        self.child.send_signal(signal.SIGTERM)
        self.child.wait(20)

    def processes(self):
        """The server's own process and all below it."""
        parents = {}
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(stat.parent.name)] = int(fields[1])
        family = {self.child.pid}
        while more := {pid for pid, parent in parents.items() if parent in family} - family:
            family |= more
        return family

    def processor_seconds(self):
        stats = [pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self.processes()]
        return sum(int(fields[11]) + int(fields[12]) for fields in stats) / TICKS

    def resident_megabytes(self):
        statuses = [pathlib.Path(f"/proc/{pid}/status").read_text() for pid in self.processes()]
        found = [int(match[1]) for status in statuses if (match := re.search(r"VmRSS:\s+(\d+)", status))]
        return sum(found) / 1024


def servers(folder, program):
    (folder / "nsd.conf").write_text(
        f'server:\n username: ""\n chroot: ""\n zonesdir: "{folder}"\n pidfile: "{folder}/nsd.pid"\n database: ""\n'
        f' xfrdfile: "{folder}/xfrd"\n xfrdir: "{folder}"\n zonelistfile: "{folder}/zone.list"\n server-count: 1\n'
        " minimal-responses: yes\n ip-address: 127.0.0.1@5302\n rrl-ratelimit: 0\n rrl-whitelist-ratelimit: 0\n"
        f"remote-control:\n control-enable: no\nzone:\n name: {ORIGIN}\n zonefile: zone\n")
    (folder / "knot.conf").write_text(
        f'server:\n    rundir: "{folder}"\n    listen: 127.0.0.1@5303\n    udp-workers: 1\n    tcp-workers: 1\n'
        f'    background-workers: 1\ndatabase:\n    storage: "{folder}"\nzone:\n  - domain: {ORIGIN}\n    storage: "{folder}"\n'
        "    file: zone\n    semantic-checks: off\n    zonefile-load: whole\n    journal-content: none\n")
    (folder / "named.conf").write_text(
        f'options {{ directory "{folder}"; pid-file none; listen-on port 5304 {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};'
        " recursion no; minimal-responses yes; dnssec-validation no; session-keyfile none; };\ncontrols { };\n"
        f'zone "{ORIGIN}" {{ type primary; file "zone"; }};\n')
    return [
        Server("Postern", 5301, folder, program, "127.0.0.1:5301", "zone.json", "unlimited"),
        Server("NSD", 5302, folder, "nsd", "-d", "-c", "nsd.conf"),
        Server("Knot", 5303, folder, "knotd", "-c", "knot.conf"),
        Server("BIND 9", 5304, folder, "named", "-g", "-n", "1", "-c", f"{folder}/named.conf"),
    ]


def write_questions(folder):
    chance = random.Random(4)
    labels = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=10)) for _ in range(20_000)]
    (folder / "usual").write_text("\n".join(USUAL) + "\n")
    (folder / "absent").write_text("\n".join(f"{label}.{ORIGIN} A" for label in labels) + "\n")


def load(server, questions, dnssec, seconds):
    """Queries answered in a second, and in a second of the server's processor time."""
    before = server.processor_seconds()
    command = ["taskset", "-c", str(LOAD_CORE), "dnsperf", "-s", "127.0.0.1", "-p", str(server.port), "-d", questions, "-l", str(seconds),
               "-c", "8", "-q", "400", "-t", "1", *(["-D"] if dnssec else [])]
    output = run(*command, cwd=server.folder)
    used = server.processor_seconds() - before
    answered = int(re.search(r"Queries completed:\s+(\d+)", output)[1])
    lost = int(re.search(r"Queries lost:\s+(\d+)", output)[1])
    if lost > answered / 100:
        print(f"  {server.name}: {lost} of {answered + lost} lost", file=sys.stderr)
    return answered / seconds, answered / used


MIXES = {"usual, DO": ("usual", True), "usual, plain": ("usual", False), "absent names, DO": ("absent", True)}


def compare(contenders, seconds, rounds):
    """Median over rounds, in which the servers take turns: {server: {mix: (queries/s, queries/CPU-s)}}."""
    found = {server.name: {mix: [] for mix in MIXES} for server in contenders}
    memory = {}
    for _ in range(rounds):
        for server in contenders:
            with server:
                for mix, (questions, dnssec) in MIXES.items():
                    found[server.name][mix].append(load(server, questions, dnssec, seconds))
                memory[server.name] = server.resident_megabytes()
    middle = lambda runs: tuple(statistics.median(column) for column in zip(*runs))
    return {name: {mix: middle(runs) for mix, runs in mixes.items()} for name, mixes in found.items()}, memory


def report(found, memory, attacks):
    ours = found["Postern"]
    rows = [
        {"metric": f"{mix}, queries per CPU-second", "server": name, "value": round(mixes[mix][1]),
         "queries per second": round(mixes[mix][0]), "ratio": round(ours[mix][1] / mixes[mix][1], 2)}
        for mix in MIXES for name, mixes in found.items()
    ]
    rows += [{"metric": "resident MB", "server": name, "value": round(value, 1)} for name, value in memory.items()]
    return {"rows": rows, "under attack": attacks}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=pathlib.Path, required=True)
    parser.add_argument("--zone", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    program = str(arguments.program.resolve())
    with tempfile.TemporaryDirectory(prefix="bench-dns-") as name:
        folder = pathlib.Path(name)
        make_zone(arguments.zone, folder)
        write_questions(folder)
        found, memory = compare(servers(folder, program), arguments.seconds, arguments.rounds)
        limited = Server("limited", 5301, folder, program, "0.0.0.0:5301", "zone.json", "limited")
        result = report(found, memory, attack.measure(limited, LOAD_CORE))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")
    for row in result["rows"]:
        print(f"{row['metric']:42} {row['server']:8} {row['value']:>9}  ratio {row.get('ratio', '-')}")
    for what, figure in result["under attack"].items():
        print(f"{what:58} {figure}")


if __name__ == "__main__":
    main()
