"""Asks a name server steadily until its standard input ends: mostly by UDP, each eighth time by TCP.

Arguments: server's address, name. Nothing is asked twice: an answer that does not come within five seconds, or says
something else than the records, is a failure. Prints the numbers of questions and of failures.
"""

import random
import socket
import struct
import sys
import threading
import time

server, name = sys.argv[1:]
TYPES = {"NS": 2, "SOA": 6, "MX": 15, "TXT": 16}
PAUSE, THREADS, PATIENCE = 0.01, 2, 5
over = threading.Event()
asked, failures = [0] * THREADS, []


def question(identity, kind):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", identity, 0, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", kind, 1)


def by_udp(query):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(PATIENCE)
        udp.connect((server, 53))
        udp.send(query)
        return udp.recv(4096)


def by_tcp(query):
    with socket.create_connection((server, 53), PATIENCE) as tcp:
        tcp.sendall(struct.pack("!H", len(query)) + query)
        stream = tcp.makefile("rb")
        return stream.read(struct.unpack("!H", stream.read(2))[0])


def ask(thread):
    while not over.is_set():
        asked[thread] += 1
        identity, kind = random.getrandbits(16), random.choice(list(TYPES.values()))
        try:
            answer = (by_tcp if asked[thread] % 8 == 0 else by_udp)(question(identity, kind))
            got, flags, _, answers = struct.unpack("!4H", answer[:8])
            assert got == identity and flags & 0x840f == 0x8400 and answers > 0, (got, hex(flags), answers)
        except (OSError, AssertionError, struct.error) as error:
            failures.append(f"type {kind}: {error!r}")
        time.sleep(PAUSE)


threads = [threading.Thread(target=ask, args=(thread,)) for thread in range(THREADS)]
for thread in threads:
    thread.start()
print("asking", flush=True)
sys.stdin.read()
over.set()
for thread in threads:
    thread.join()
print(sum(asked), len(failures), flush=True)
print("\n".join(failures[:10]), file=sys.stderr)
