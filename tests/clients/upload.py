"""Uploads and fetches large messages on one IMAP connection until its standard input ends.

Arguments: server, user, password, octets of a message, seconds of its upload. Each message is appended evenly over that
time, fetched back, compared octet by octet, and removed. Prints "uploading" when the first one has begun, and at the end
the number of messages. A connection that breaks, or one wrong octet, is an exception.
"""

import base64
import imaplib
import random
import re
import sys
import threading
import time

server, user, password = sys.argv[1:4]
octets, seconds = int(sys.argv[4]), float(sys.argv[5])
CHUNKS = 200
connection = imaplib.IMAP4_SSL(server, timeout=120)
over = threading.Event()


def wait_for_the_end():
    sys.stdin.read()
    over.set()


def message(number):
    noise = base64.encodebytes(random.Random(number).randbytes(octets * 3 // 4))
    head = b"From: ana@home.example\nSubject: upload %d\nContent-Transfer-Encoding: base64\n\n" % number
    return (head + noise).replace(b"\n", b"\r\n")


def until_tagged(tag):
    while True:
        line = connection.readline()
        assert line, "the server closed the connection"
        if line.startswith(tag):
            assert line.startswith(tag + b" OK"), line
            return line


def append(text, number):
    tag = b"U%d" % number
    connection.send(b"%s APPEND Uploads {%d}\r\n" % (tag, len(text)))
    line = connection.readline()
    assert line.startswith(b"+"), line
    size = -(-len(text) // CHUNKS)
    began = time.monotonic()
    for index, start in enumerate(range(0, len(text), size)):
        connection.send(text[start:start + size])
        if number == 1 and index == 1:
            print("uploading", flush=True)
        time.sleep(max(0, began + seconds * (index + 1) / CHUNKS - time.monotonic()))
    connection.send(b"\r\n")
    uid = re.search(rb"APPENDUID \d+ (\d+)", until_tagged(tag)).group(1).decode()
    # RFC 9051 §6.3.12: a server may leave the news of the new message to the next NOOP.
    ok(connection.noop())
    return uid


def ok(answer):
    assert answer[0] == "OK", answer
    return answer[1]


threading.Thread(target=wait_for_the_end, daemon=True).start()
ok(connection.login(user, password))
ok(connection.create("Uploads"))
ok(connection.select("Uploads"))
count = 0
while count == 0 or not over.is_set():
    count += 1
    sent = message(count)
    uid = append(sent, count)
    stored = ok(connection.uid("FETCH", uid, "(BODY.PEEK[])"))[0][1]
    assert stored == sent, f"message {count} came back with {len(stored)} octets instead of {len(sent)}, or others"
    ok(connection.uid("STORE", uid, "+FLAGS.SILENT", "(\\Deleted)"))
    ok(connection.expunge())
connection.logout()
print(count, flush=True)
