"""What is sent through a tunnel, and what is read off meanwhile. Each load gives {metric: (unit, value)}."""

import json
import pathlib
import subprocess
import sys
import time

import contenders
import link

FORGER = pathlib.Path(__file__).with_name("forger.py")
PACKETS = pathlib.Path(__file__).with_name("packets.py")
DISCARD = 9
# Octets of payload in a small packet, and a rate of them that every program can carry.
SMALL, SMALL_RATE = 200, 20_000
# A mail server's line; and the flow that a flood must not hurt, in packets of so many octets.
PACED = "50M"
LIVE, LIVE_RATE = 1200, 2000
FORGED_PER_SECOND = 10_000
FLOODS = {"initiation": "flood of forged initiations", "garbage": "flood of garbage"}


def ping(count, address=link.INNER[link.HOME]):
    """Round trips in microseconds on a quiet line."""
    output = link.run("ping", "-n", "-i", "0.01", "-c", str(count), address, space=link.EDGE).stdout
    return [float(line.split("time=")[1].split()[0]) * 1000 for line in output.splitlines() if "time=" in line]


def begin(client, *options):
    """Starts a transfer through the tunnel."""
    server = link.start("iperf3", "-s", "-1", space=1 - client, log=subprocess.DEVNULL)
    link.wait(lambda: ":5201" in link.run("ss", "-Hltn", space=1 - client).stdout, "iperf3's server")
    command = ["ip", "netns", "exec", link.SPACES[client], "iperf3", "-J", "-c", link.INNER[1 - client], *options]
    return server, subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(transfer):
    """What iperf3 tells at the transfer's end."""
    server, client = transfer
    output, _ = client.communicate()
    server.wait(10)
    return json.loads(output)["end"]


def directions():
    """The sender, iperf3's option for it, and what to call it."""
    return (link.EDGE, [], "edge to home"), (link.HOME, ["-R"], "home to edge")


def measured(contender, *options):
    """A TCP transfer: what iperf3 tells of it, and processor seconds per GB at the edge and at home."""
    before = contender.processor_seconds()
    end = finish(begin(link.EDGE, "-C", "cubic", *options))
    octets = end["sum_received"]["bytes"]
    return end, [(after - start) * 1e9 / octets for after, start in zip(contender.processor_seconds(), before)]


def bulk(contender, seconds):
    """TCP as fast as it goes: one flow and eight, both ways; labelled by the kind of link where it is not the usual one."""
    found = {}
    kind = "" if contender.kind == link.CUT else f"{contender.kind}: "
    for flows in (1, 8):
        for sender, direction, name in directions():
            end, used = measured(contender, "-P", str(flows), "-t", str(seconds), *direction)
            label = f"{kind}{flows} flow{'s'[:flows > 1]}, {name}"
            found[label] = ("Gbit/s", end["sum_received"]["bits_per_second"] / 1e9)
            found[f"{label}, sender"] = ("CPU-s/GB", used[sender])
            found[f"{label}, receiver"] = ("CPU-s/GB", used[1 - sender])
    return found


def paced(contender, seconds):
    """One TCP flow at the pace of a busy mail server."""
    found = {}
    for sender, direction, name in directions():
        _, used = measured(contender, "-b", PACED, "-t", str(seconds), *direction)
        found[f"paced {PACED}bit/s, {name}, sender"] = ("CPU-s/GB", used[sender])
        found[f"paced {PACED}bit/s, {name}, receiver"] = ("CPU-s/GB", used[1 - sender])
    return found


def packets(contender, octets, rate, seconds):
    """UDP packets from home to edge: how many were sent and how many the edge's daemon delivered, and in what time.

    Nobody reads them: what is measured ends at the device.
    """
    counter = ["cat", "/sys/class/net/tunnel0/statistics/rx_packets"]
    sink = ["python3", "-c", f"import socket,time; s = socket.socket(2, 2); s.bind(('', {DISCARD})); time.sleep(99)"]
    sink = link.start(*sink, space=link.EDGE, log=contender.log)
    link.wait(lambda: f":{DISCARD} " in link.run("ss", "-Hlun", space=link.EDGE).stdout, "the sink")
    before = int(link.run(*counter, space=link.EDGE).stdout)
    command = ["python3", str(PACKETS), link.INNER[link.EDGE], str(DISCARD), str(octets), str(rate), str(seconds)]
    sent = int(link.run(*command, space=link.HOME).stdout)
    time.sleep(0.2)
    arrived = int(link.run(*counter, space=link.EDGE).stdout) - before
    sink.kill()
    sink.wait(10)
    return sent, min(arrived, sent)


def small(contender, seconds):
    """Small packets from home to edge: as many as go, and a rate that goes without loss."""
    found = {}
    for label, rate in (("small packets", 0), (f"{SMALL_RATE} small packets/s", SMALL_RATE)):
        before = contender.processor_seconds()
        sent, arrived = packets(contender, SMALL, rate, seconds)
        used = sum(contender.processor_seconds()) - sum(before)
        if not rate:
            found[label] = ("packets/s", arrived / seconds)
        found[f"{label}, loss"] = ("%", 100 * (1 - arrived / sent))
        found[f"{label}, both ends"] = ("CPU-s/million", used * 1e6 / arrived)
    return found


def flood(contender, seconds):
    """Forged handshake initiations against the edge, while a flow runs and while home starts anew."""
    found = {}
    for kind, label in FLOODS.items():
        forger = start_forger(contender, kind, seconds + 1)
        before = contender.processor_seconds()[link.EDGE]
        sent, arrived = packets(contender, LIVE, LIVE_RATE, seconds)
        used = contender.processor_seconds()[link.EDGE] - before
        forged = json.loads(forger.communicate()[0])
        found[f"{label}, forged"] = ("a second", forged["sent"] / forged["seconds"])
        found[f"{label}, a live flow's loss"] = ("%", 100 * (1 - arrived / sent))
        found[f"{label}, edge"] = ("cores", used / seconds)
    forger = start_forger(contender, "initiation", 30)
    time.sleep(0.5)
    contender.stop(link.HOME)
    contender.start(link.HOME)
    found[f"{FLOODS['initiation']}, until a restarted home is connected"] = ("s", contender.await_tunnel(25))
    forger.terminate()
    forger.wait(10)
    return found


def start_forger(contender, kind, seconds):
    command = ["python3", str(FORGER), contenders.public_key(link.EDGE), link.OUTER[link.EDGE], str(contenders.PORT),
               kind, str(FORGED_PER_SECOND), str(seconds)]
    command = ["ip", "netns", "exec", link.SPACES[link.HOME], *command]
    forger = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    if forger.stdout.readline() != "flooding\n":
        sys.exit("bench: the forger does not flood")
    return forger


def cipher_floor():
    """Processor seconds per GB that ChaCha20-Poly1305 alone takes on one core, for packets of our MTU."""
    command = ["openssl", "speed", "-evp", "chacha20-poly1305", "-aead", "-bytes", str(contenders.MTU), "-seconds", "2"]
    thousands = link.run(*command).stdout.split()[-1].removesuffix("k")
    return 1e6 / float(thousands)
