"""Two network namespaces with one veth pair between them, and commands inside them.

There are two kinds. One takes no super-packets, as a plain network card does not: the kernel cuts them before it and puts
them together behind it, and both is done at the cost of the sender. The other is a veth pair as it comes, which passes them
whole, as a card with UDP segmentation takes them.
"""

import subprocess
import sys
import time

EDGE, HOME = 0, 1
CUT, WHOLE = "packets are cut before the link", "the link takes super-packets"
SPACES = ("speed-bench-edge", "speed-bench-home")
OUTER = ("192.0.2.1", "192.0.2.2")
INNER = ("10.118.0.1", "10.118.0.2")
# Where forgers send from: the home side owns the whole network, the edge side has a route to it.
FORGERS = "198.18.0.0/16"


def run(*command, space=None, check=True, **options):
    """Runs a command to its end and returns it with its output."""
    prefix = ["ip", "netns", "exec", SPACES[space]] if space is not None else []
    return subprocess.run([*prefix, *command], check=check, capture_output=True, text=True, **options)


def start(*command, space, log):
    """Starts a command that goes on."""
    command = ["ip", "netns", "exec", SPACES[space], *command]
    return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def wait(condition, what, seconds=10.0):
    """Waits for a condition; returns the seconds that it took."""
    begin = time.monotonic()
    while not condition():
        if time.monotonic() > begin + seconds:
            sys.exit(f"bench: {what} is not ready after {seconds} s")
        time.sleep(0.02)
    return time.monotonic() - begin


def make(kind=CUT):
    """Makes the namespaces and the link anew."""
    remove()
    for name in SPACES:
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
    run("ip", "link", "add", "wire", "netns", SPACES[0], "type", "veth", "peer", "name", "wire", "netns", SPACES[1])
    for space, address in enumerate(OUTER):
        run("ip", "addr", "add", f"{address}/24", "dev", "wire", space=space)
        if kind == CUT:
            run("ethtool", "-K", "wire", "tso", "off", "tx-udp-segmentation", "off", "gro", "on", space=space)
        run("ip", "link", "set", "wire", "up", space=space)
    run("ip", "route", "add", "local", FORGERS, "dev", "lo", space=HOME)
    run("ip", "route", "add", FORGERS, "via", OUTER[HOME], space=EDGE)


def remove():
    """Takes the namespaces away, with all that is in them."""
    for name in SPACES:
        run("ip", "netns", "del", name, check=False)
