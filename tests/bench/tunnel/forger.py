#!/usr/bin/env python3
"""Floods a WireGuard port with handshake messages that nobody can have made.

`forger.py EDGE_PUBLIC_KEY ADDRESS PORT KIND RATE SECONDS [SOURCE]`, KIND being

* `initiation`: a right mac1 under the edge's public key, which is no secret; all else random. The worst that someone who
  knows no private key can send: what refuses it without the cost of a handshake is a cookie (whitepaper §5.3).
* `garbage`: of the right type and length, with a random mac1.

Sends from many addresses under SOURCE (default 198.18, which the host must own as a local route; `-` for its own
address). Prints `flooding` when it begins, and at its end, which comes by itself, JSON: how much was sent in how many
seconds, how many cookie replies and responses came back and found room.
"""

import base64
import hashlib
import json
import os
import socket
import sys
import time

INITIATION, RESPONSE, COOKIE_REPLY = 1, 2, 3
SOCKETS, MESSAGES, TURN = 64, 4096, 0.005


def messages(public_key, has_mac1):
    """Initiations (whitepaper §5.4.2): type, sender, ephemeral, static, timestamp, mac1, mac2."""
    mac1_key = hashlib.blake2s(b"mac1----" + public_key).digest()
    for _ in range(MESSAGES):
        body = INITIATION.to_bytes(4, "little") + os.urandom(4 + 32 + 48 + 28)
        mac1 = hashlib.blake2s(body, key=mac1_key, digest_size=16).digest() if has_mac1 else os.urandom(16)
        yield body + mac1 + bytes(16)


def sockets(source):
    for number in range(SOCKETS):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.setblocking(False)
        sender.bind(("" if source == "-" else f"{source}.{number % 256}.{1 + number // 256}", 0))
        yield sender


def flood(target, forged, senders, rate, seconds):
    sent, begin = 0, time.monotonic()
    while (now := time.monotonic()) < begin + seconds:
        due = int((now - begin) * rate)
        for number in range(sent, due):
            try:
                senders[number % len(senders)].sendto(forged[number % len(forged)], target)
            except BlockingIOError:
                pass
        sent = max(sent, due)
        time.sleep(TURN)
    return sent, time.monotonic() - begin


def answers(senders):
    """The types of what came back and found room."""
    kinds = []
    for sender in senders:
        try:
            while True:
                kinds.append(sender.recv(2048)[0])
        except BlockingIOError:
            pass
    return kinds


def main():
    public_key, address, port, kind, rate, seconds = sys.argv[1:7]
    source = sys.argv[7] if len(sys.argv) > 7 else "198.18"
    forged = list(messages(base64.b64decode(public_key), kind == "initiation"))
    senders = list(sockets(source))
    print("flooding", flush=True)
    sent, took = flood((address, int(port)), forged, senders, int(rate), float(seconds))
    kinds = answers(senders)
    counts = {"cookies": kinds.count(COOKIE_REPLY), "responses": kinds.count(RESPONSE)}
    print(json.dumps({"sent": sent, "seconds": took} | counts))


if __name__ == "__main__":
    main()
