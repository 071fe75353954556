#!/usr/bin/env python3
"""Sends UDP packets: `packets.py ADDRESS PORT OCTETS RATE SECONDS`; a RATE of 0 is as many as go. Prints how many.

iperf3 cannot do this here: it waits for a datagram in return, and home admits none.
"""

import itertools
import socket
import sys
import time

TURN, BURST = 0.002, 64


def main():
    address, port, octets, rate, seconds = sys.argv[1], *map(int, sys.argv[2:])
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.connect((address, port))
    payload, begin, sent = bytes(octets), time.monotonic(), 0
    while (now := time.monotonic()) < begin + seconds:
        due = int((now - begin) * rate) - sent if rate else BURST
        for _ in itertools.repeat(None, due):
            sender.send(payload)
        sent += due
        if rate:
            time.sleep(TURN)
    print(sent)


if __name__ == "__main__":
    main()
