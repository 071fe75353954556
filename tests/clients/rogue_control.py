"""A control server of a taken-over edge: it answers every call with the next of a list of lies.

Prints "lying", and a line for each call: method, path, and the lie. Ends with its standard input.
"""

import itertools
import json
import os
import socket
import sys
import threading
import time

STATUS = {"version": "9", "protocol": 1, "public_addresses": ["192.0.2.10"], "joined": True, "last_counter": 0,
          "zones": [], "forward": {"ports": {}, "home_may_connect_to": []}}


def answer(stream, body, length=None):
    length = len(body) if length is None else length
    stream.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % length)
    stream.sendall(body)


def huge(stream):
    answer(stream, b"", 1 << 40)
    for _ in range(4096):
        stream.sendall(b"[" * 65536)


def endless_chunks(stream):
    stream.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(4096):
        stream.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")


def endless_head(stream):
    stream.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(100000):
        stream.sendall(b"x-%d: y\r\n" % number)


def slow(stream):
    body = json.dumps(STATUS).encode()
    answer(stream, b"", len(body))
    for octet in body:
        stream.sendall(bytes([octet]))
        time.sleep(0.3)


def with_status(**changes):
    return lambda stream: answer(stream, json.dumps(STATUS | changes).encode())


LIES = {
    "a huge body": huge,
    "endless chunks": endless_chunks,
    "an endless head": endless_head,
    "deep nesting": lambda stream: answer(stream, b"[" * 2_000_000),
    "wrong types": with_status(protocol="one", public_addresses={"a": 1}),
    "no HTTP": lambda stream: stream.sendall(b"\0" * 4096),
    "nothing": lambda stream: None,
    "the greatest counter": with_status(last_counter=(1 << 64) - 1),
    "many addresses": with_status(public_addresses=[f"192.0.2.{n % 250 + 1}" for n in range(20000)]),
    "a slow answer": slow,
}


def serve(stream, name):
    with stream:
        try:
            head = stream.recv(65536).split(b"\r\n")[0].decode("latin-1") or "no call"
            print(f"{head} - {name}", flush=True)
            LIES[name](stream)
        except OSError:
            pass


def end_with_input():
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_input, daemon=True).start()
listener = socket.create_server(("10.118.0.1", 8053))
print("lying", flush=True)
for name in itertools.cycle(LIES):
    stream, _ = listener.accept()
    threading.Thread(target=serve, args=(stream, name), daemon=True).start()
