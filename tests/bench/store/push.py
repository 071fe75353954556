"""Sessions that idle: the memory and the processor time that each costs, and how soon they hear of a delivery."""

import socket
import time

from delivery import message
from imap import Imap
from servers import PASSWORD, USER

# As many as a service takes of its 1000 connections from networks with ten each.
SESSIONS, DELIVERIES, WARM_UP = 800, 300, 20
BARS = {"EXISTS after the 250, p50, ms": 1, "EXISTS after the 250, p99, ms": 3,
        "memory of an idle session over TLS, kB": 20, "processor of all idle sessions, CPU-s in 10 s": 0.02}


def idling(server, source):
    """A session in IDLE. A network may have so many connections and no more: each session comes from its own."""
    client = Imap(server.port, USER, PASSWORD, source)
    client.do("SELECT INBOX")
    client.send("IDLE")
    while not client.file.readline().startswith(b"+"):
        pass
    return client


class Smtp:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        self.reply()
        self.command(b"EHLO stranger.example\r\n")

    def reply(self):
        while (line := self.file.readline())[3:4] == b"-":
            pass
        if line[:1] not in b"23" or not line:
            raise RuntimeError(line)

    def command(self, octets):
        self.socket.sendall(octets)
        self.reply()

    def deliver(self, number):
        """The moment of the 250."""
        for line in ("MAIL FROM:<bo@stranger.example>", f"RCPT TO:<{USER}>", "DATA"):
            self.command(line.encode() + b"\r\n")
        self.command(message(number, 3_000, USER))
        return time.perf_counter()


def latencies(server):
    """Milliseconds from the 250 to EXISTS, ascending; one that came before the 250 counts as none."""
    probe, smtp, found = idling(server, "127.0.0.1"), Smtp(server.smtp_port), []
    for number in range(WARM_UP + DELIVERIES):
        accepted = smtp.deliver(9_000_000 + number)
        while b"EXISTS" not in probe.file.readline():
            pass
        found.append(max(0.0, time.perf_counter() - accepted) * 1e3)
        time.sleep(0.01)
    probe.close()
    return sorted(found[WARM_UP:])


def figures(server):
    """Names, bars and values. The server has done its other work and been started anew."""
    times = latencies(server)
    warm = [idling(server, "127.0.1.1") for _ in range(5)]
    time.sleep(2)
    before = server.pss_megabytes()
    held = [idling(server, f"127.0.{2 + number // 10}.1") for number in range(SESSIONS)]
    time.sleep(3)
    memory = (server.pss_megabytes() - before) * 1024 / SESSIONS
    processor = server.processor_seconds()
    time.sleep(10)
    processor = server.processor_seconds() - processor
    for client in held + warm:
        client.close()
    values = [times[len(times) // 2], times[len(times) * 99 // 100], memory, processor]
    return [(name, bar, value) for (name, bar), value in zip(BARS.items(), values)]
