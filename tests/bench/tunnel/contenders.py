"""The programs that are measured: how each is started at both ends, and what it uses of the machine."""

import base64
import os
import pathlib

import link

PORT, MTU = 51820, 1380
# The private keys of edge and home, the same for every program and worth nothing.
KEYS = [base64.b64encode(bytes([n] * 32)).decode() for n in (1, 2)]


def public_key(space):
    return link.run("wg", "pubkey", input=KEYS[space]).stdout.strip()


class Contender:
    """A program at work at both ends of a fresh link; use it with `with`."""

    def __init__(self, name, log):
        self.name, self.log, self.daemons = name, log, [None, None]
        self.kind = link.CUT

    def over(self, kind):
        """The same program, over a link of this kind the next time."""
        self.kind = kind
        return self

    def __enter__(self):
        link.make(self.kind)
        for space in (link.EDGE, link.HOME):
            self.start(space)
        self.await_tunnel()
        return self

    def __exit__(self, *_):
        for space in (link.EDGE, link.HOME):
            self.stop(space)
        link.remove()
        self.kind = link.CUT

    def stop(self, space):
        daemon, self.daemons[space] = self.daemons[space], None
        if daemon:
            daemon.terminate()
            daemon.wait(10)

    def await_tunnel(self, seconds=10.0):
        """Waits until a ping comes through; returns the seconds that it took."""
        ping = ("ping", "-c", "1", "-W", "0.2", link.INNER[link.EDGE])
        reach = lambda: link.run(*ping, space=link.HOME, check=False).returncode == 0
        return link.wait(reach, f"{self.name}'s tunnel", seconds)

    def processor_seconds(self):
        """What each daemon has used so far, to the nanosecond (schedstat's first number)."""
        return [sum(task_seconds(task) for task in tasks(daemon.pid)) for daemon in self.daemons]

    def peak_megabytes(self):
        return max(peak_megabytes(daemon.pid) for daemon in self.daemons)


class Ours(Contender):
    """Both ends of our own tunnel."""

    def __init__(self, program, log):
        super().__init__("postern", log)
        self.program = program

    def start(self, space):
        role = ("edge",) if space == link.EDGE else ("home", f"{link.OUTER[link.EDGE]}:{PORT}")
        self.daemons[space] = link.start(self.program, *role, space=space, log=self.log)


class Stock(Contender):
    """Both ends of a WireGuard program that `wg` configures."""

    def __init__(self, name, log, *command):
        super().__init__(name, log)
        self.command = command

    def start(self, space):
        peer = 1 - space
        # The programs name their control socket after the interface, so the two ends have different names.
        interface = f"tunnel{space}"
        self.daemons[space] = link.start(*self.command, interface, space=space, log=self.log)
        answers = lambda: link.run("wg", "show", interface, check=False).returncode == 0
        link.wait(answers, f"{self.name} on {interface}")
        link.run("wg", "set", interface, "listen-port", str(PORT), "private-key", "/dev/stdin",
                 "peer", public_key(peer), "endpoint", f"{link.OUTER[peer]}:{PORT}", "allowed-ips", "0.0.0.0/0",
                 input=KEYS[space])
        link.run("ip", "addr", "add", link.INNER[space], "peer", link.INNER[peer], "dev", interface, space=space)
        link.run("ip", "link", "set", interface, "mtu", str(MTU), "up", space=space)


def tasks(pid):
    return pathlib.Path(f"/proc/{pid}/task").iterdir()


def task_seconds(task):
    try:
        return int((task / "schedstat").read_text().split()[0]) / 1e9
    except FileNotFoundError:
        return 0.0


def peak_megabytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0
